"""Statistics per footprint: which points and cells lie in which polygon, percentiles of them, terrain along the rings.

Everything here works on arrays; no step is taken per object. `zonal_statistics`, one pass over a raster, is offered here too; as
attributes of a city it is `cim.loaders.zonal_city.add_zonal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.zonal_statistics import STATISTICS, ClassCounts, ZonalStatistics, zonal_classes, zonal_statistics

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.model.coverages import Raster

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = [
    "STATISTICS",
    "ClassCounts",
    "PolygonValues",
    "ZonalStatistics",
    "pairs_in_polygons",
    "percentile_per_group",
    "points_in_polygons",
    "raster_percentile_in_polygons",
    "sample_terrain_along_rings",
    "zonal_classes",
    "zonal_statistics",
]

_BATCH = 500_000  # points that are geometries at the same time: about 100 MB


def points_in_polygons(x: ArrayLike, y: ArrayLike, polygons: ArrayLike | Sequence[Any]) -> Ints:
    """Return the polygon that each point lies in, -1 for none.

    A point on a border that several polygons share belongs to the first of them; one inside a polygon belongs to it rather than to
    a polygon whose border it touches; one inside several that overlap belongs to the first.

    Parameters
    ----------
    x, y : shape (n,)
        East and north; NaN lies nowhere.
    polygons : shape (m,)
        shapely polygons or multipolygons; None and empty ones hold nothing.

    Returns
    -------
    shape (n,)
        Index into `polygons`.

    Examples
    --------
    >>> import shapely
    >>> points_in_polygons([0.5, 1.0, 3.0], [0.5, 0.5, 0.5], shapely.box([0, 1], 0, [1, 2], 1))
    array([ 0,  0, -1])
    """
    owner = np.full(np.shape(x), -1, np.int64)
    point, polygon = pairs_in_polygons(x, y, polygons)
    owner[point[::-1]] = polygon[::-1]  # pairs are sorted: the first polygon of a point is written last
    return owner


def pairs_in_polygons(x: ArrayLike, y: ArrayLike, polygons: ArrayLike | Sequence[Any]) -> tuple[Ints, Ints]:
    """Return every (point, polygon) pair where the point lies in the polygon, sorted by point, then polygon.

    As `points_in_polygons`, but a point inside several polygons that overlap (a building and its part) is paired with each of
    them. A point on borders only is paired with the first polygon.
    """
    import shapely

    east, north = np.asarray(x, float).ravel(), np.asarray(y, float).ravel()
    if east.shape != north.shape:
        msg = f"x has {len(east)} values, y has {len(north)}"
        raise UsageError(msg)
    shapes = _polygonal(polygons)
    bounds = shapely.bounds(shapes)
    if not np.isfinite(bounds).any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    low, high = np.nanmin(bounds[:, :2], axis=0), np.nanmax(bounds[:, 2:], axis=0)
    near = np.flatnonzero((east >= low[0]) & (east <= high[0]) & (north >= low[1]) & (north <= high[1]))
    tree = shapely.STRtree(shapes)
    shapely.prepare(shapes)
    parts = [_pairs(east, north, near[first : first + _BATCH], shapes, tree) for first in range(0, len(near), _BATCH)]
    none = np.empty(0, np.int64)
    return np.concatenate([none, *(part[0] for part in parts)]), np.concatenate([none, *(part[1] for part in parts)])


def _polygonal(polygons: ArrayLike | Sequence[Any]) -> Shapes:
    """Return the polygons as an array, with None for whatever has no area."""
    import shapely

    shapes = np.array(polygons, dtype=object, copy=True).ravel()
    shapes[~np.isin(shapely.get_type_id(shapes), (3, 6)) | shapely.is_empty(shapes)] = None
    return shapes


def _pairs(east: Floats, north: Floats, chosen: Ints, shapes: Shapes, tree: Any) -> tuple[Ints, Ints]:
    import shapely

    point, polygon = tree.query(shapely.points(east[chosen], north[chosen]))
    order = np.lexsort((point, polygon))  # one polygon after the other: its prepared form stays in the cache
    point, polygon = chosen[point[order]], polygon[order].astype(np.int64)
    touches = shapely.intersects_xy(shapes[polygon], east[point], north[point])
    point, polygon = point[touches], polygon[touches]
    order = np.lexsort((polygon, point))
    point, polygon = point[order], polygon[order]
    return _without_borders(point, polygon, east, north, shapes)


def _without_borders(point: Ints, polygon: Ints, east: Floats, north: Floats, shapes: Shapes) -> tuple[Ints, Ints]:
    """Drop the pairs of a point with several polygons where it only touches a border, but for the first when it is inside none."""
    import shapely

    first = np.concatenate([[True], point[1:] != point[:-1]]) if len(point) else np.empty(0, bool)
    several = ~first | np.concatenate([~first[1:], [False]]) if len(point) else first
    many = np.flatnonzero(several)
    if not len(many):
        return point, polygon
    inside = np.ones(len(point), bool)
    inside[many] = shapely.contains_xy(shapes[polygon[many]], east[point[many]], north[point[many]])
    group = np.cumsum(first) - 1
    somewhere = np.bincount(group, weights=inside, minlength=group[-1] + 1)[group] > 0
    keep = np.where(somewhere, inside, first)
    return point[keep], polygon[keep]


# ---------------------------------------------------------------- percentiles


def percentile_per_group(values: ArrayLike, group: ArrayLike, q: float, n_groups: int, *, method: str = "linear") -> Floats:
    """Return a percentile of the values of each group: what `numpy.percentile` gives for each group alone.

    Parameters
    ----------
    values : shape (n,)
        NaN is left out.
    group : shape (n,)
        Group of each value, 0 to `n_groups` - 1; a negative one leaves the value out.
    q
        Percentile [%], 0 to 100.
    n_groups
        Number of groups.
    method
        ``"linear"`` (between the two nearest), ``"lower"`` or ``"higher"``.

    Returns
    -------
    shape (n_groups,)
        NaN for a group without values.

    Examples
    --------
    >>> percentile_per_group([1.0, 2.0, 4.0, 9.0], [0, 0, 0, 2], 50.0, 3)
    array([ 2., nan,  9.])
    """
    if method not in {"linear", "lower", "higher"} or not 0.0 <= q <= 100.0:
        msg = f"q={q}, method={method!r}: expected 0 <= q <= 100 and one of linear, lower, higher"
        raise UsageError(msg)
    value, owner = np.asarray(values, float).ravel(), np.asarray(group, np.int64).ravel()
    if value.shape != owner.shape or (len(owner) and owner.max() >= n_groups):
        msg = (
            f"{len(value)} values and {len(owner)} groups up to {owner.max(initial=-1)}; expected as many of both, groups below {n_groups}"
        )
        raise UsageError(msg)
    used = (owner >= 0) & ~np.isnan(value)
    value, owner = value[used], owner[used]
    order = np.lexsort((value, owner))
    value = value[order]
    count = np.bincount(owner, minlength=n_groups)
    start = np.cumsum(count) - count
    found = np.full(n_groups, np.nan)
    filled = count > 0
    place = (q / 100.0) * (count[filled] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, count[filled] - 1)
    a, b = value[start[filled] + low], value[start[filled] + high]
    found[filled] = _between(a, b, place - low, method)
    return found


def _between(a: Floats, b: Floats, t: Floats, method: str) -> Floats:
    """Return the value at the share `t` from a to b, with the rounding of `numpy.percentile`."""
    if method == "lower":
        return a
    if method == "higher":
        return np.where(t > 0, b, a)
    with np.errstate(invalid="ignore"):  # inf - inf
        step = b - a
        return np.where(step == 0, a, np.where(t >= 0.5, b - step * (1 - t), a + step * t))


# ---------------------------------------------------------------- rasters


@dataclass(frozen=True)
class PolygonValues:
    """One value per polygon, and what it rests on."""

    values: Floats
    """Shape (m,), NaN where the raster says nothing."""
    cells: Ints
    """Shape (m,): known cells whose centre lies inside."""

    @property
    def sampled(self) -> NDArray[np.bool_]:
        """Shape (m,): polygons too small to hold a known cell centre, whose value was sampled at a point inside."""
        return np.asarray((self.cells == 0) & np.isfinite(self.values), bool)


def raster_percentile_in_polygons(raster: Raster, polygons: ArrayLike | Sequence[Any], q: float) -> PolygonValues:
    """Return a percentile of the known cells whose centre lies in each polygon.

    A polygon without such a cell takes the value at a point inside (between cell centres); `PolygonValues.sampled` says which did.

    Parameters
    ----------
    raster
        In the CRS of the polygons.
    polygons : shape (m,)
        shapely polygons or multipolygons; None and empty ones give NaN.
    q
        Percentile [%].
    """
    import shapely

    shapes = _polygonal(polygons)
    rows, columns = _candidates(raster, shapely.bounds(shapes))
    value = raster.values[rows, columns]
    known = np.isfinite(value)
    rows, columns, value = rows[known], columns[known], value[known]
    cell, polygon = pairs_in_polygons(raster.x[columns], raster.y[rows], shapes)
    values = percentile_per_group(value[cell], polygon, q, len(shapes))
    cells = np.bincount(polygon, minlength=len(shapes)).astype(np.int64)
    small = np.flatnonzero((cells == 0) & ~shapely.is_missing(shapes))
    inside = shapely.point_on_surface(shapes[small])
    values[small] = raster.sample(shapely.get_x(inside), shapely.get_y(inside))
    return PolygonValues(values, cells)


def _candidates(raster: Raster, bounds: Floats) -> tuple[Ints, Ints]:
    """Return rows and columns of the cells in the box of any polygon: boxes are added up by their corners, then summed."""
    ny, nx = raster.shape
    box = bounds[np.isfinite(bounds).all(axis=1)]
    left, right = np.clip((box[:, [0, 2]].T - raster.x_min) / raster.dx + [[-1.0], [1.0]], 0, nx).astype(np.int64)
    bottom, top = np.clip((raster.y_max - box[:, [1, 3]].T) / raster.dy + [[1.0], [-1.0]], 0, ny).astype(np.int64)
    change = np.zeros((ny + 1, nx + 1), np.int32)
    for row, column, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(change, (row, column), sign)
    covered = change.cumsum(axis=0).cumsum(axis=1)[:ny, :nx] > 0
    rows, columns = np.nonzero(covered)
    return rows.astype(np.int64), columns.astype(np.int64)


def sample_terrain_along_rings(raster: Raster, polygons: ArrayLike | Sequence[Any], *, how: str = "min") -> Floats:
    """Return the ground height of each polygon: the terrain along its outer rings.

    Parameters
    ----------
    raster
        Terrain, in the CRS of the polygons; sampled between cell centres, at the corners and at most a cell apart.
    polygons : shape (m,)
        shapely polygons or multipolygons; None and empty ones give NaN.
    how
        ``"min"``, or ``"p10"`` and the like: a percentile [%], which a single pit does not move.

    Returns
    -------
    shape (m,)
        Height [m], NaN where no terrain is known along the ring.
    """
    import shapely

    share = 0.0 if how == "min" else _share(how)
    shapes = _polygonal(polygons)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings = shapely.segmentize(shapely.get_exterior_ring(parts), min(raster.dx, raster.dy))
    place, ring = shapely.get_coordinates(rings, return_index=True)
    height = raster.sample(place[:, 0], place[:, 1])
    return percentile_per_group(height, owner[ring], share, len(shapes))


def _share(how: str) -> float:
    text = how.removeprefix("p")
    if not (how.startswith("p") and text.isdigit() and int(text) <= 100):
        msg = f"how is {how!r}, expected 'min' or a percentile such as 'p10'"
        raise UsageError(msg)
    return float(text)
