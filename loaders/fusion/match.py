"""Which object of one city is which object of another: by normalised identifiers first, then by geometry, class by class.

A match is a pair of keys with a kind, a score and its evidence, which names the alternatives. Polygons are matched by overlap, lines by
how much they run along each other, points by nearness; the points of a register by the polygon that holds them, else the nearest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.fusion.align import moved_shapes
from cim.loaders.fusion.identifiers import INSIDE, match_identifiers
from cim.loaders.fusion.lines import match_lines
from cim.loaders.fusion.overlap import match_polygons
from cim.loaders.fusion.pairs import Pairs, Tolerances, joined, nothing, side_of
from cim.loaders.fusion.points import match_points, match_register
from cim.model.spatial import polygons_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from cim.loaders.fusion.align import Shift
    from cim.loaders.fusion.pairs import Ints, Side
    from cim.model import City

__all__ = ["Pairs", "Tolerances", "match_cities", "tolerances"]

_SPOKEN_OF = ("Building", "BuildingPart", "LandUse")
"""Classes that registers speak of by a point: addresses, businesses, parcels."""


def match_cities(
    left: City, right: City, *, minimum: float = 0.5, use_identifiers: bool = True, within: Mapping[str, float] | float | None = None,
    shift: Shift | None = None, join: Mapping[str, str] | None = None,
) -> Pairs:  # fmt: skip
    """Return which objects of two cities are the same real thing.

    Parameters
    ----------
    left, right
        Cities in the same coordinate system.
    minimum
        Least intersection over union [0 to 1] for a match by geometry; of the two unions where several objects meet several.
    use_identifiers
        Compare normalised identifiers before geometry.
    within
        Greatest distances [m] as `Tolerances` names them (``point``, ``line``, ``register``); one number is that of all three.
    shift
        From `cim.loaders.fusion.align.find_shift`: where the footprints really lie, for the comparison only.
    join
        Class of a register's records to the class of the objects they speak of: ``{"GenericCityObject": "Building"}``.

    Notes
    -----
    Identifiers count only where one object of each city holds the value at a time, and where the footprints, if both have one, are not
    far apart. By geometry only objects of one class are compared, or of classes that `join` names, never what lies inside buildings, and
    only where their periods meet.
    """
    allowed = tolerances(within, minimum)
    classes = dict(join or {})
    shapes = [city.footprints() for city in (left, right)]
    if shift is not None:
        shapes = [moved_shapes(one, shift, left.crs, side=side) for one, side in zip(shapes, ("left", "right"), strict=True)]
    named = match_identifiers(left, right, shapes[0], shapes[1], classes) if use_identifiers else nothing()
    taken, used = np.concatenate([named.left, _coverages(left)]), np.concatenate([named.right, _coverages(right)])
    found = [named]
    for type, other in _comparable(left, right, classes):
        mine, theirs = (np.setdiff1d(city.keys(kind), done) for city, kind, done in ((left, type, taken), (right, other, used)))
        if len(mine) and len(theirs):
            sides = (side_of(left, mine, shapes[0][left.row_of_key(mine)]), side_of(right, theirs, shapes[1][right.row_of_key(theirs)]))
            found.append(_by_geometry(*sides, allowed, spoken_of=type != other or type in _SPOKEN_OF))
            used = np.concatenate([used, found[-1].right])
    return joined(found)


def tolerances(within: Mapping[str, float] | float | None, minimum: float = 0.5) -> Tolerances:
    """Return the distances that matching allows.

    Raises
    ------
    UsageError
        If a distance has an unknown name or is not above zero, or the overlap is no share.
    """
    names = ("point", "line", "register")
    given = dict.fromkeys(names, float(within)) if isinstance(within, int | float) else dict(within or {})
    unknown = sorted(set(given) - set(names))
    if unknown or not all(value > 0 for value in given.values()) or not 0 < minimum <= 1:
        msg = f"within={within!r}, minimum={minimum!r}; give distances above 0 m for {', '.join(names)}, and a share above 0, at most 1"
        raise UsageError(msg)
    return Tolerances(iou=minimum, **given)


def _coverages(city: City) -> Ints:
    """Return the objects that stand for a raster or a point cloud: two of them over one place are two data sets, not one thing."""
    return np.asarray(city.tables["coverages"]["object"].to_numpy(), np.int64)


def _comparable(left: City, right: City, join: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Give the classes to compare: of the first city, of the second."""
    for type in sorted(set(left.attributes) & set(right.attributes) - set(INSIDE)):
        yield type, type
    for other, type in sorted(join.items()):
        if type in left.attributes and other in right.attributes and other != type:
            yield type, other


def _by_geometry(left: Side, right: Side, allowed: Tolerances, *, spoken_of: bool) -> Pairs:
    """Match objects by what their footprints are: polygons, lines, points, and points with polygons."""
    import shapely

    kinds = [shapely.get_dimensions(side.shapes) for side in (left, right)]
    reach = allowed.register if spoken_of else allowed.point
    sides = [
        [side.take(np.flatnonzero(kind == dimension)) for dimension in (0, 1, 2)] for side, kind in zip((left, right), kinds, strict=True)
    ]
    (points, lines, areas), (other_points, other_lines, other_areas) = sides
    found = []
    if len(areas) and len(other_areas):
        found.append(match_polygons(_valid(areas), _valid(other_areas), allowed.iou))
    if len(lines) and len(other_lines):
        found.append(match_lines(lines, other_lines, allowed.line, allowed.iou))
    if len(points) and len(other_points):
        found.append(match_points(points, other_points, allowed.point))
    if len(areas) and len(other_points):
        rest = np.flatnonzero(~np.isin(other_points.keys, joined(found).right))
        found.append(match_register(areas, other_points.take(rest), reach))
    if len(points) and len(other_areas):
        mine = np.flatnonzero(~np.isin(points.keys, joined(found).left))
        theirs = np.flatnonzero(~np.isin(other_areas.keys, joined(found).right))
        found.append(_turned(match_register(other_areas.take(theirs), points.take(mine), reach)))
    return joined(found)


def _turned(pairs: Pairs) -> Pairs:
    """Return the pairs seen from the other side: what was a part of the left is now a whole of several."""
    kind: NDArray[Any] = np.where(pairs.kind == "part", "whole", pairs.kind).astype(object)
    return Pairs(pairs.right, pairs.left, kind, pairs.score, pairs.evidence)


def _valid(side: Side) -> Side:
    """Return valid polygons, None for everything else."""
    import shapely

    shapes = polygons_only(side.shapes)
    bad = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[bad] = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
    return replace(side, shapes=shapes)
