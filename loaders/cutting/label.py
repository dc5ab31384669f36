"""Which footprint a triangle belongs to: by its centroid, walls by the ground just behind them, and bulging walls by a tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.zonal import points_in_polygons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["label"]

BEHIND = 1e-3
"""How far behind a wall the ground is looked at [m]."""
UPRIGHT = 0.01
"""Vertical part of the unit normal below which a triangle stands upright (within 0.6 degrees): its centroid may lie on the border."""
STEEP = 0.5
"""Vertical part of the unit normal below which a triangle is steep (more than 60 degrees): the wall tolerance holds for it."""


def label(points: Floats, triangles: NDArray[Any], polygons: NDArray[Any], *, wall_tolerance: float, tile: int) -> tuple[Ints, Flags]:
    """Return the polygon of each triangle, -1 for none, and which ones got theirs by the wall tolerance.

    Parameters
    ----------
    points : shape (n, 3)
        Corners [m].
    triangles : shape (m, 3)
        Cut at the borders of the polygons, normals outward.
    polygons : shape (p,)
        shapely polygons, None where there is none; where two overlap the first has the triangle.
    wall_tolerance
        How far outside a footprint a steep triangle may lie, all of it, and still belong to it [m].
    tile
        Triangles looked at together.
    """
    import shapely

    found, by_tolerance = np.full(len(triangles), -1, np.int64), np.zeros(len(triangles), bool)
    bounds = shapely.bounds(polygons)
    if not np.isfinite(bounds).any():
        return found, by_tolerance
    tree = shapely.STRtree(polygons)
    low, high = np.nanmin(bounds[:, :2], axis=0) - wall_tolerance, np.nanmax(bounds[:, 2:], axis=0) + wall_tolerance
    for first in range(0, len(triangles), tile):
        rows = slice(first, first + tile)
        corner = points[triangles[rows]]
        centre = corner.mean(axis=1)
        near = np.flatnonzero(((centre[:, :2] >= low) & (centre[:, :2] <= high)).all(axis=1))
        found[first + near], by_tolerance[first + near] = _label(corner[near], centre[near, :2], polygons, tree, wall_tolerance)
    return found, by_tolerance


def _label(corner: Floats, place: Floats, polygons: NDArray[Any], tree: Any, wall_tolerance: float) -> tuple[Ints, Flags]:
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(normal, axis=1)
    normal /= np.where(length > 0, length, 1.0)[:, None]
    upright = (np.abs(normal[:, 2]) < UPRIGHT) & (length > 0)
    place = place - np.where(upright[:, None], BEHIND * normal[:, :2], 0.0)
    found = points_in_polygons(place[:, 0], place[:, 1], polygons)
    by_tolerance = np.zeros(len(found), bool)
    steep = np.flatnonzero((found < 0) & (np.abs(normal[:, 2]) < STEEP) & (length > 0))
    if wall_tolerance > 0 and len(steep):
        nearest = _nearest_within(corner[steep, :, :2], place[steep], polygons, tree, wall_tolerance)
        found[steep], by_tolerance[steep] = nearest, nearest >= 0
    return found, by_tolerance


def _nearest_within(corner: Floats, centre: Floats, polygons: NDArray[Any], tree: Any, tolerance: float) -> Ints:
    """Return the polygon nearest to each centroid among those that have all three corners within the tolerance, -1 for none."""
    import shapely

    triangle, polygon = tree.query(shapely.points(centre), predicate="dwithin", distance=tolerance)
    outside = np.zeros(len(triangle), bool)
    for k in range(3):
        outside |= shapely.distance(shapely.points(corner[triangle, k]), polygons[polygon]) > tolerance
    triangle, polygon = triangle[~outside], polygon[~outside]
    away = shapely.distance(shapely.points(centre[triangle]), polygons[polygon])
    order = np.lexsort((polygon, away, triangle))[::-1]  # the nearest, then the first polygon, is written last
    found = np.full(len(centre), -1, np.int64)
    found[triangle[order]] = polygon[order]
    return found
