"""The cut: a triangle mesh divided at the vertical planes over the borders of polygons, each piece labelled with its polygon.

Works on plain arrays and knows no city. Splitting and labelling go through the triangles tile by tile, so that little more than the
mesh itself is held; welding looks at the new points of all tiles together. The result is the same for every size of tile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Cut", "cut", "polygon_edges"]

_MOST_CELLS = 2_000_000
"""Cells of the index of footprint edges: 16 MB of offsets."""
_BATCH = 500_000
"""Triangles measured together: about 100 MB."""


@dataclass(frozen=True)
class Cut:
    """A mesh cut by polygons: first the triangles that are as they were, then the parts of those that were cut."""

    points: Floats
    """Shape (n, 3): corners [m], relative to the origin of the input; repeats of the input are joined."""
    triangles: Ints
    """Shape (m, 3): rows of `points`."""
    source: Ints
    """Shape (m,): the triangle of the input that each one is, or is part of."""
    weights: Floats
    """Shape (changed, 3, 3): barycentric weights, in the source triangle, of the corners of the last `changed` triangles."""
    polygon: Ints
    """Shape (m,): the polygon each triangle belongs to, -1 for none: left over."""
    by_tolerance: Flags
    """Shape (m,): triangles that lie outside their polygon, within the wall tolerance."""
    rejected: Ints
    """Triangles of the input with a corner that is not finite or not there; they are in no part of the result."""
    split: int
    """Triangles of the input that were divided."""

    @property
    def unchanged(self) -> int:
        """Triangles at the head of the result that are as they were."""
        return len(self.triangles) - len(self.weights)

    @property
    def barycentric(self) -> Floats:
        """Weights of all corners in their source triangle, shape (m, 3, 3): 72 bytes a triangle."""
        return np.concatenate([np.broadcast_to(np.eye(3), (self.unchanged, 3, 3)), self.weights])

    def at_corners(self, values: NDArray[Any]) -> Floats:
        """Return values of the input's corners at the corners of the result.

        Parameters
        ----------
        values : shape (input triangles, 3, k)
            Such as texture coordinates.

        Returns
        -------
        shape (m, 3, k)
        """
        whole = np.asarray(values, np.float64)[self.source[: self.unchanged]]
        parts = np.einsum("tcs,tsk->tck", self.weights, values[self.source[self.unchanged :]])
        return np.concatenate([whole, parts])


def cut(
    points: ArrayLike,
    triangles: ArrayLike,
    polygons: ArrayLike,
    *,
    wall_tolerance: float = 0.1,
    tile: int = 500_000,
    advance: Callable[[int], None] | None = None,
) -> Cut:
    """Cut a triangle mesh at the wall planes of polygons.

    Parameters
    ----------
    points : shape (n, 3)
        East, north, up [m], relative to an origin nearby: 1e-6 m must be told apart.
    triangles : shape (m, 3)
        Rows of `points`, counter-clockwise seen from outside.
    polygons : shape (p,)
        Valid shapely polygons or multipolygons in the same frame; None and empty ones cut nothing.
    wall_tolerance
        Steep triangles that lie outside a polygon but within this distance [m] belong to it.
    tile
        Triangles worked on together; bounds the memory, does not change the result.
    advance
        Called with the number of triangles done, twice for each.

    Raises
    ------
    UsageError
        If shapes or options make no sense.

    Notes
    -----
    A triangle is split by the whole plane of each border edge that crosses it, |d| < 1e-6 m counting as on the plane. New points within
    1e-5 m of each other are one. Every point that comes to lie on a side is put into all triangles that have the side, so that the cut
    opens nothing that was closed.

    Examples
    --------
    >>> import shapely
    >>> square = [[0.0, 0.0, 5.0], [2.0, 0.0, 5.0], [2.0, 2.0, 5.0], [0.0, 2.0, 5.0]]
    >>> result = cut(square, [[0, 1, 2], [0, 2, 3]], [shapely.box(0.0, 0.0, 1.0, 2.0)])
    >>> [float(area_of(result.points, result.triangles)[result.polygon == p].sum()) for p in (-1, 0)]
    [2.0, 2.0]
    """
    xyz, corner = np.asarray(points, np.float64).reshape(-1, 3), np.asarray(triangles)
    if corner.size and (corner.ndim != 2 or corner.shape[1] != 3 or corner.dtype.kind not in "iu"):
        msg = f"triangles have shape {corner.shape} and type {corner.dtype}, expected whole numbers of shape (m, 3)"
        raise UsageError(msg)
    if tile < 1 or not 0.0 <= wall_tolerance < np.inf:
        msg = f"tile={tile}, wall_tolerance={wall_tolerance}: expected tile >= 1 and a finite tolerance >= 0 m"
        raise UsageError(msg)
    tell = advance or (lambda _: None)
    corner = corner.reshape(-1, 3).astype(np.int64, copy=False)
    sound = _sound(xyz, corner)
    kept, rejected = np.flatnonzero(sound), np.flatnonzero(~sound)
    shapes = np.array(polygons, dtype=object, copy=True).ravel()
    return _cut(xyz, corner[kept] if len(rejected) else corner, kept, rejected, shapes, wall_tolerance, tile, tell)


def area_of(points: Floats, triangles: NDArray[Any]) -> Floats:
    """Return the area of each triangle [m²]."""
    area = np.empty(len(triangles))
    for first in range(0, len(triangles), _BATCH):
        corner = points[triangles[first : first + _BATCH]]
        area[first : first + _BATCH] = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    return area


def polygon_edges(polygons: NDArray[Any]) -> Floats:
    """Return the border edges of polygons as x0, y0, x1, y1, each once and in one direction whatever polygons share it, shape (e, 4)."""
    import shapely

    rings = shapely.get_rings(shapely.get_parts(polygons[~shapely.is_missing(polygons)]))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    edges = np.hstack([xy[:-1], xy[1:]])[ring[:-1] == ring[1:]] if len(xy) else np.empty((0, 4))
    turned = (edges[:, 0] > edges[:, 2]) | ((edges[:, 0] == edges[:, 2]) & (edges[:, 1] > edges[:, 3]))
    edges = np.where(turned[:, None], edges[:, [2, 3, 0, 1]], edges)
    edges = edges[np.hypot(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]) > 1e-6]
    return np.asarray(np.unique(edges, axis=0))


def _sound(points: Floats, triangles: Ints) -> Flags:
    """Say which triangles have three corners that are there and finite."""
    inside = np.asarray(np.all((triangles >= 0) & (triangles < len(points)), axis=1))
    finite = np.asarray(np.isfinite(points).all(axis=1))
    sound = np.zeros(len(triangles), bool)
    rows = np.flatnonzero(inside)
    sound[rows] = np.all(finite[triangles[rows]], axis=1)
    return sound


def _cut(
    points: Floats, triangles: Ints, kept: Ints, rejected: Ints, polygons: NDArray[Any], tolerance: float, tile: int,
    tell: Callable[[int], None],
) -> Cut:  # fmt: skip
    from cim.loaders.cutting.label import label
    from cim.loaders.cutting.weld import Pieces, join_equal_points, restitch, weld

    points = np.where(np.isfinite(points), points, 0.0)  # of rejected triangles only
    points, triangles = join_equal_points(points, triangles)
    pieces = Pieces(*_split(points, triangles, polygons, tile, tell))
    source = np.arange(len(triangles))
    weights = np.empty((0, 3, 3))
    made = triangles
    if len(pieces.source):
        points, faces = weld(points, triangles, pieces)
        parts, part_faces, weights = restitch(points, triangles, pieces, faces, tile)
        whole = np.ones(len(triangles), bool)
        whole[parts] = False
        whole[pieces.source] = False
        source = np.concatenate([np.flatnonzero(whole), parts])
        made = np.concatenate([triangles[whole], part_faces])
    polygon, by_tolerance = label(points, made, polygons, wall_tolerance=tolerance, tile=tile)
    tell(len(triangles))
    return Cut(points, made, kept[source], weights, polygon, by_tolerance, rejected, len(np.unique(pieces.source)))


def _split(points: Floats, triangles: Ints, polygons: NDArray[Any], tile: int, tell: Callable[[int], None]) -> tuple[Ints, Floats, Floats]:
    """Return the pieces of all split triangles, tile by tile."""
    from cim.loaders.cutting.kernel import index_edges, split

    edges = _edges_near(points, polygon_edges(polygons))
    if not len(edges) or not len(triangles):
        return np.empty(0, np.int64), np.empty((0, 3, 3)), np.empty((0, 3, 3))
    low = np.minimum(edges[:, :2], edges[:, 2:]).min(axis=0)
    extent = np.maximum(edges[:, :2], edges[:, 2:]).max(axis=0) - low + 1e-3
    length = np.hypot(edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]).mean()
    cell = float(max(length / 2, np.sqrt(extent.prod() / _MOST_CELLS), extent.max() / _MOST_CELLS))
    shape = np.ceil(extent / cell).astype(np.int64)
    start, members = index_edges(edges, low, cell, shape)
    found = []
    for first in range(0, len(triangles), tile):
        part = triangles[first : first + tile]
        source, places, weights = split(points, part, edges, start, members, low, cell, shape)
        found.append((source + first, places, weights))
        tell(len(part))
    source, places, weights = (np.concatenate(column) for column in zip(*found, strict=True))
    return source, places, weights


def _edges_near(points: Floats, edges: Floats) -> Floats:
    """Return the edges whose box meets the box of the mesh."""
    if not len(points) or not len(edges):
        return edges[:0]
    low, high = points[:, :2].min(axis=0) - 1e-3, points[:, :2].max(axis=0) + 1e-3
    least, most = np.minimum(edges[:, :2], edges[:, 2:]), np.maximum(edges[:, :2], edges[:, 2:])
    return np.asarray(edges[((most >= low) & (least <= high)).all(axis=1)])
