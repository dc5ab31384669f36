"""Fusion: cities of one place become one, with one object per real thing and every value with its claim.

======================  =========================================================================
``match``               which object of one city is which of another, with score and evidence
``merge``               one city from two matched ones: claims, conflicts, identifiers, geometry
``heights``             ground and roof heights from terrain, surface model and point cloud
``blocks``              LoD0 and LoD1 geometry from footprints and heights
======================  =========================================================================
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from cim.crs import CityCRS, check_model_crs, parse
from cim.errors import UsageError
from cim.loaders.fusion.align import Shift, find_shift
from cim.loaders.fusion.blocks import add_blocks
from cim.loaders.fusion.heights import add_heights
from cim.loaders.fusion.match import Pairs, match_cities
from cim.loaders.fusion.merge import merge, new_matches
from cim.model.reproject import to_crs
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cim.model import City

__all__ = ["Pairs", "Shift", "add_blocks", "add_heights", "find_shift", "fuse", "match_cities"]


def fuse(
    cities: Sequence[City], crs: str | CityCRS | None = None, *, name: str = "", minimum_iou: float = 0.5, use_identifiers: bool = True,
    percentile: float = 90.0, heights: Sequence[str] = ("points", "dsm", "read"), allow_ballpark: bool = False,
) -> City:  # fmt: skip
    """Return one city from several of the same place.

    Parameters
    ----------
    cities
        At least one, in any coordinate systems. The first that holds an object leads: its id, class and values are kept, what later
        ones say stands beside as claims.
    crs
        Projected system of the result; that of the first projected city when left out. When it names no vertical system, the first
        one a city knows is taken.
    minimum_iou
        Least intersection over union [0 to 1] of footprints that count as the same thing.
    use_identifiers
        Match by normalised identifiers before geometry.
    percentile
        Percentile of the heights inside a footprint that is its roof height [%].
    heights
        Whose roof height is chosen, best first: ``points`` (point cloud), ``dsm`` (surface model), ``read`` (what sources state).
    allow_ballpark
        Accept transformations that PROJ itself calls a guess; each is an issue.

    Returns
    -------
    City
        ``.report`` shows matches, conflicts, leftovers and a balance that adds up to the records that came in.

    Raises
    ------
    CRSError
        If no system is given and no city has a projected one, or a transformation is not known well enough.

    Examples
    --------
    >>> import shapely
    >>> from cim.model import CityBuilder
    >>> def register(id, x):
    ...     builder = CityBuilder("EPSG:4549", name=id)
    ...     builder.add_objects("Building", [id], footprints=[shapely.box(x, 3460000, x + 10, 3460010)])
    ...     return builder.build()
    >>> len(fuse([register("a", 500000), register("b", 500001)]))
    1
    """
    if not cities:
        msg = "fuse needs at least one city"
        raise UsageError(msg)
    target = _target(cities, crs)
    result = _moved(cities[0], target, allow_ballpark=allow_ballpark)
    for city in track(cities[1:], label="fusing", unit="source"):
        moved = _moved(city, target, allow_ballpark=allow_ballpark)
        result = merge(result, moved, match_cities(result, moved, minimum=minimum_iou, use_identifiers=use_identifiers))
    fused = add_blocks(add_heights(result, percentile=percentile, order=heights))
    return replace(fused, name=name) if name else fused


def _moved(city: City, target: CityCRS, *, allow_ballpark: bool) -> City:
    """Return a city in the system of the result, with a row in `matches` for each of its records."""
    moved = to_crs(city, target, allow_ballpark=allow_ballpark)
    return moved.replace_tables(matches=pa.concat_tables([moved.tables["matches"], new_matches(moved)]))


def _target(cities: Sequence[City], crs: str | CityCRS | None) -> CityCRS:
    """Return the system of the result, with a vertical one where any city knows it."""
    if crs is not None:
        chosen = parse(crs)
    else:
        projected = [city.crs for city in cities if city.crs.is_projected]
        if not projected:
            check_model_crs(cities[0].crs, path=cities[0].name or "city", place=_place(cities[0]))
        chosen = projected[0] if projected else cities[0].crs
    check_model_crs(chosen, path="fuse")
    if chosen.vertical is None:
        known = [city.crs.vertical for city in cities if city.crs.vertical is not None]
        chosen = replace(chosen, vertical=known[0]) if known else chosen
    return chosen


def _place(city: City) -> tuple[float, float] | None:
    west, south, east, north = city.bounds
    return None if math.isnan(west) else ((west + east) / 2, (south + north) / 2)
