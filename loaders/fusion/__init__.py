"""Fusion: cities of one place become one, with one object per real thing and every value with its claim.

======================  =========================================================================
``apart``               sources that lie far from all others
``align``               is one layer shifted against another, or in the coordinates of a web map
``web_map``             the shift of a web map undone at every vertex
``match``               which object of one city is which of another, with score and evidence
``merge``               one city from two matched ones: claims, conflicts, identifiers, geometry
``marks``               what a record said when it was read, in a few letters
``resolve``             which of several claims is the value, by a stated policy
``heights``             ground and roof heights from terrain, surface model and point cloud
``blocks``              LoD0 and LoD1 geometry from footprints and heights
``fit``                 a building without a place among known footprints
======================  =========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.crs import CityCRS, check_model_crs, parse
from cim.errors import UsageError
from cim.loaders.fusion.align import Shift, find_shift
from cim.loaders.fusion.apart import far_sources
from cim.loaders.fusion.blocks import add_blocks
from cim.loaders.fusion.claims import dated
from cim.loaders.fusion.heights import add_heights
from cim.loaders.fusion.marks import marked, marks_of
from cim.loaders.fusion.match import Pairs, match_cities, tolerances
from cim.loaders.fusion.merge import merge, new_matches
from cim.loaders.fusion.policies import check_policy, resolve
from cim.loaders.fusion.web_map import from_bd09, from_gcj02
from cim.model.reproject import to_crs
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cim.loaders.fusion.policies import Policy
    from cim.model import City

__all__ = [
    "Pairs", "Shift", "add_blocks", "add_heights", "find_shift", "from_bd09", "from_gcj02", "fuse", "match_cities", "resolve",
]  # fmt: skip

_TITLES = {"gcj02": "GCJ-02", "bd09": "BD-09"}
_TOLD = 0.3
"""Shifts of at least this [m] are warned of; smaller ones are told."""


def fuse(  # noqa: PLR0913  # one argument per decision that is the caller's
    cities: Sequence[City], crs: str | CityCRS | None = None, *, name: str = "", minimum_iou: float = 0.5, use_identifiers: bool = True,
    percentile: float = 90.0, heights: Sequence[str] = ("points", "dsm", "read"), allow_ballpark: bool = False,
    align: Literal["correct", "report", "off"] = "correct", policy: Policy = "first", dates: Mapping[str, str] | None = None,
    within: Mapping[str, float] | float | None = None, join: Mapping[str, str] | None = None,
) -> City:  # fmt: skip
    """Return one city from several of the same place.

    Parameters
    ----------
    cities
        At least one, in any coordinate systems. The first that holds an object leads: its id, class and geometry are kept, what later
        ones say stands beside as claims. One whose georeference is unknown or coarse is put on the footprints of those before it.
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
    align
        Whether a city that is systematically shifted against those before it (see `find_shift`) is compared as if it were not
        (``correct``), or the shift is only told (``report``), or not looked for (``off``). Coordinates stay what the sources state in
        every case; `from_gcj02` and `from_bd09` correct those of a web map.
    policy
        Which claim is the value of an attribute: ``first`` (that of the leading source), ``newest``, ``most accurate``, or by attribute;
        see `resolve`.
    dates
        Date of sources by name (ISO 8601), for ``newest``.
    within
        Greatest distances [m] of what is matched by nearness, as `cim.loaders.fusion.pairs.Tolerances` names them.
    join
        Class of a register's records to the class of the objects they speak of: ``{"GenericCityObject": "Building"}``.

    Returns
    -------
    City
        ``.report`` shows matches, conflicts, leftovers and a balance that adds up to the records that came in.

    Raises
    ------
    CRSError
        If no system is given and no city has a projected one, or a transformation is not known well enough.
    UsageError
        If an option is not known.

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
    _check(cities, align, policy)
    tolerances(within, minimum_iou)
    target = _target(cities, crs)
    result = _moved(cities[0], target, None, allow_ballpark=allow_ballpark)
    shifts: dict[str, Any] = {}
    readings = dict(cities[0].extra.get("sources", {}))
    for city in track(cities[1:], label="fusing", unit="source"):
        moved = _moved(city, target, result, allow_ballpark=allow_ballpark)
        shift = None if align == "off" else find_shift(result, moved)
        first = next_source(result)
        readings |= {str(int(key) + first): said for key, said in city.extra.get("sources", {}).items()}
        if shift is not None and shift.found:
            shifts |= {str(key + first): asdict(shift) for key in city.tables["sources"]["key"].to_pylist()}
        moved = moved if shift is None else _told(moved, shift, corrected=align == "correct")
        pairs = match_cities(
            result, moved, minimum=minimum_iou, use_identifiers=use_identifiers, within=within,
            shift=shift if align == "correct" else None, join=join,
        )  # fmt: skip
        result = merge(result, moved, _marked(result, moved, pairs))
    result = result if policy == "first" else resolve(result, policy, dates=dates)
    fused = add_blocks(add_heights(result.with_issues(far_sources(result)), percentile=percentile, order=heights))
    said = {
        "minimum_iou": minimum_iou, "use_identifiers": use_identifiers, "percentile": percentile, "heights": list(heights), "align": align,
        "allow_ballpark": allow_ballpark, "policy": policy, "dates": dict(dates or {}), "shifts": shifts, "join": dict(join or {}),
        "within": dict(within) if isinstance(within, Mapping) else within,
    }  # fmt: skip
    return replace(fused, name=name or fused.name, extra={**fused.extra, "fusion": plain(said), "sources": readings})


def plain(value: Any) -> Any:
    """Return a value as a store keeps it: mappings, lists, texts and finite numbers; a number that is none becomes null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def next_source(city: City) -> int:
    """Return the key that the next source of a city gets."""
    keys = city.tables["sources"]["key"].to_pylist()
    return max(keys) + 1 if keys else 0


def _marked(left: City, right: City, pairs: Pairs) -> Pairs:
    """Return the pairs with the marks of their records, and with a word where the right footprint becomes that of the object."""
    import shapely

    matches = right.tables["matches"]
    texts = dict(zip(matches["object"].to_pylist(), matches["evidence"].to_pylist(), strict=True))
    kinds = [np.asarray(shapely.get_dimensions(city.footprints(keys))) for city, keys in ((left, pairs.left), (right, pairs.right))]
    fills = (kinds[1] >= 0) & ((kinds[0] < 0) | ((kinds[0] == 0) & (kinds[1] == 2)))
    marks = {key: text for key, text in texts.items() if text and text.startswith("record ")}
    return marked(pairs, marks, pairs.right[fills])


def _check(cities: Sequence[City], align: str, policy: Policy) -> None:
    if not cities:
        msg = "fuse needs at least one city"
        raise UsageError(msg)
    if align not in {"correct", "report", "off"}:
        msg = f"align is {align!r}, expected 'correct', 'report' or 'off'"
        raise UsageError(msg)
    check_policy(policy)


def _moved(city: City, target: CityCRS, known: City | None, *, allow_ballpark: bool) -> City:
    """Return a city in the system of the result, with a row in `matches` for each of its records."""
    marks = marks_of(city).texts()  # as the source states it, before anything is moved
    placed = known is not None and city.crs.is_local and not target.is_local
    if known is not None and placed:
        city = _placed(city, known)
    moved = to_crs(city, target, allow_ballpark=allow_ballpark)
    if known is not None and not placed and _loose(moved):
        moved = _placed(moved, known)
    moved = dated(moved)
    return moved.replace_tables(matches=pa.concat_tables([moved.tables["matches"], new_matches(moved, marks)]))


def _placed(city: City, known: City) -> City:
    """Return a city on the footprints it fits, or as it is with the candidates named."""
    from cim.loaders.fusion.fit import place_by_footprints

    return place_by_footprints(city, known)


def _loose(city: City) -> bool:
    """Say whether the city states that its own georeference is unknown or coarse."""
    table = city.tables["properties"]
    said = (pc.field("set") == "georeference") & (pc.field("name") == "verdict") & pc.field("value").isin(["unknown", "coarse"])
    return bool(table.filter(said).num_rows)


def _told(city: City, shift: Shift, *, corrected: bool) -> City:
    """Return the city with what the alignment check found as an issue of record ``alignment``."""
    if not shift.matters and not shift.right_datum and not shift.left_datum:
        return city
    how = "objects were compared with the shift undone" if corrected else "objects were compared as they lie"
    where = f"{city.name or 'this source'!r} is shifted against the sources before it: moved by {shift.text()} it lies on them"
    names = [
        (shift.right_datum, "its coordinates are suspected to be {}; if so, pass it through {}() of cim.loaders.fusion"),
        (shift.left_datum, "the coordinates of the sources before it are suspected to be {}; if so, pass them through {}()"),
    ]
    suspected = [text.format(_TITLES[code], f"from_{code}") for code, text in names if code]
    message = "; ".join([where, *suspected, how, "coordinates stay as the sources state them"])
    severity = "warning" if shift.length >= _TOLD else "info"
    source = city.tables["sources"]["key"].to_pylist()
    issue = {"code": "crs", "severity": severity, "record": "alignment", "source": source[0] if source else None, "message": message}
    return city.with_issues([issue])


def _target(cities: Sequence[City], crs: str | CityCRS | None) -> CityCRS:
    """Return the system of the result, with a vertical one where any city knows it."""
    if crs is not None:
        chosen = parse(crs)
    else:
        projected = [city.crs for city in cities if city.crs.is_projected and not city.crs.is_local]
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
