"""Outlines of polygons that fit edge to edge: sides that two of them share go, what is left runs around all of them.

The loops left wind around a point as often as polygons cover it. Where they make a valid polygon they therefore are the union, and no
polygon overlaps another; all else is left to the union of GEOS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.geometry import kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Shapes = NDArray[Any]

__all__ = ["Rings", "merged", "rings_of"]


@dataclass(frozen=True)
class Rings:
    """Rings seen from above, sorted by group."""

    points: Reals
    """Shape (p, 2), the first corner of a ring not repeated [m]."""
    start: Ints
    """Shape (r + 1,), into `points`."""
    group_start: Ints
    """Shape (g + 1,), into the rings."""


def rings_of(shapes: Shapes, group_start: Ints) -> Rings | None:
    """Return the rings of polygons that have no holes; None where one is anything else."""
    import shapely

    if (shapely.get_type_id(shapes) != 3).any() or (shapely.get_num_interior_rings(shapes) > 0).any():
        return None
    points, shape = shapely.get_coordinates(shapes, return_index=True)
    inner = np.append(shape[1:] == shape[:-1], False)  # the last point of each ring repeats the first
    count = np.bincount(shape[inner], minlength=len(shapes))
    return Rings(points[inner], np.concatenate([[0], np.cumsum(count)]), group_start)


def merged(rings: Rings) -> Shapes | None:
    """Return the polygon around each group, None where it has none of this kind; None for all where there is little to do.

    Examples
    --------
    >>> import shapely
    >>> merged(rings_of(shapely.box([0, 1], 0, [1, 2], 1), np.array([0, 2]))) is None  # two boxes are not worth compiled loops
    True
    """
    import shapely

    compiled = kernels(len(rings.points))
    out: Shapes = np.full(len(rings.group_start) - 1, None, object)
    if compiled is None or not np.isfinite(rings.points).all():
        return None
    x, y = np.ascontiguousarray(rings.points[:, 0]), np.ascontiguousarray(rings.points[:, 1])
    failed = np.zeros(len(out), np.uint8)
    corners, group, areas = np.empty(len(x), np.int64), np.empty(len(x), np.int64), np.empty(len(x))
    start = np.empty(len(x) + 1, np.int64)
    loops = compiled.outlines(x, y, rings.start, rings.group_start, failed, corners, start, group, areas)
    if not loops:
        return out
    start, group, areas = start[: loops + 1], group[:loops], areas[:loops]
    shells = np.bincount(group[areas > 0], minlength=len(out))
    taken = (shells == 1)[group]
    order = np.flatnonzero(taken)
    order = order[np.lexsort((areas[order] < 0, group[order]))]  # the shell before its holes
    size = np.diff(start)[order]
    place = np.repeat(start[order] - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))
    points = rings.points[corners[place]]
    made = shapely.linearrings(points, indices=np.repeat(np.arange(len(order)), size))
    groups, owner = np.unique(group[order], return_inverse=True)
    shapes = np.asarray(shapely.polygons(made, indices=owner), object)
    valid = shapely.is_valid(shapes)
    out[groups[valid]] = shapes[valid]
    return out
