"""The area that pairs of polygons share: a closed formula for the many small ones, overlay for the few with very many corners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[Any]

__all__ = ["shared_areas"]

MANY = 1_000_000
"""Pairs of edges of one pair of polygons (two of a thousand corners) above which an overlay is cheaper than looking at all of them."""


def shared_areas(left: Shapes, right: Shapes, a: Ints, b: Ints) -> Floats:
    """Return the area of the intersection of pairs of valid polygons [m²], shape (p,).

    Parameters
    ----------
    left : shape (n,)
        shapely polygons or multipolygons; None shares nothing.
    right : shape (m,)
        The same.
    a, b : shape (p,)
        Rows of `left` and `right`.

    Examples
    --------
    >>> import shapely
    >>> shared_areas(shapely.box([0], 0, 2, 2), shapely.box([1], 1, 4, 4), np.array([0]), np.array([0]))
    array([1.])
    """
    import shapely

    from cim.loaders.fusion.overlap_kernel import add_shared_areas

    edges_a, start_a = _edges(left)
    edges_b, start_b = _edges(right)
    work = np.diff(start_a)[a] * np.diff(start_b)[b]
    shared = np.zeros(len(a))
    small, large = np.flatnonzero(work <= MANY), np.flatnonzero(work > MANY)
    if len(small):
        shared[small] = add_shared_areas(a[small], b[small], edges_a, start_a, edges_b, start_b, np.empty(len(small)))
    shared[large] = shapely.area(shapely.intersection(left[a[large]], right[b[large]]))
    return shared


def _edges(shapes: Shapes) -> tuple[Floats, Ints]:
    """Return the edges of polygons as the kernel takes them, and where those of each polygon begin; vertical ones bound no strip."""
    import shapely

    parts, row = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    if not len(xy):
        return np.empty((0, 5)), np.zeros(len(shapes) + 1, np.int64)
    outer = np.diff(part, prepend=-1) != 0
    same = ring[1:] == ring[:-1]
    of_ring = ring[1:][same]
    start, end = xy[:-1][same], xy[1:][same]
    corner = xy[np.flatnonzero(np.diff(ring, prepend=-1))][of_ring]  # turning is told near the ring, where no digits are lost
    cross = (start[:, 0] - corner[:, 0]) * (end[:, 1] - corner[:, 1]) - (end[:, 0] - corner[:, 0]) * (start[:, 1] - corner[:, 1])
    turn = np.sign(np.bincount(of_ring, cross, len(rings))) * np.where(outer, 1.0, -1.0)
    rightward = end[:, 0] > start[:, 0]
    low, high = np.where(rightward[:, None], start, end), np.where(rightward[:, None], end, start)
    sign = np.where(rightward, -1.0, 1.0) * turn[of_ring]
    steep = low[:, 0] < high[:, 0]
    edges = np.column_stack([low, high, sign])[steep]
    owner = np.asarray(row, np.int64)[part[of_ring[steep]]]
    return np.ascontiguousarray(edges), np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(shapes)))]).astype(np.int64)
