"""Laying flat shapes on the ground: triangles are split where the ground bends, so that nothing sinks or floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.scenes.faces import plates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.ground import Ground

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Draped", "drape", "refine", "ribbon"]

_TOLERANCE = 0.06  # m that a triangle may lie off the ground before it is split
_ROUNDS = 12  # halvings of an edge: 4096 parts
_LARGEST = 3_000_000  # triangles of one layer; beyond this the ground is followed less closely

Draped = tuple["Reals", "NDArray[np.int32]", "NDArray[np.int32]", int]
_SHARE = np.array([0.25, 0.5, 0.75])


def drape(shapes: NDArray[Any], ground: Ground, lift: float) -> Draped:
    """Return polygons laid on the ground: points, triangles, polygon of each triangle, and how many gave nothing.

    Parameters
    ----------
    shapes : shape (n,)
        shapely polygons, relative to the origin of the scene [m].
    lift
        How far above the ground they are drawn [m].
    """
    flat = plates(shapes)
    points, triangles, row = refine(flat.points, flat.triangles, flat.row, ground)
    z = ground.at(points[:, 0], points[:, 1]) + lift
    return np.column_stack([points, z]), triangles.astype(np.int32), row.astype(np.int32), flat.failed


def refine(points: Reals, triangles: Ints, row: Ints, ground: Ground) -> tuple[Reals, Ints, Ints]:
    """Return triangles in the plane split until their edges follow the ground.

    An edge is halved where the ground leaves it by more than 6 cm, or where it is so long that a hill may hide beneath. Whether
    an edge is halved depends on its two ends only, so neighbours agree and no gap opens.
    """
    if not ground.known or not len(triangles):
        return points, triangles, row
    shortest, longest = ground.step * 0.75, ground.step * 24
    settled: list[tuple[Ints, Ints]] = []
    for _ in range(_ROUNDS):
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
        key = edges[..., 0] * np.int64(len(points)) + edges[..., 1]
        unique, place = np.unique(key, return_inverse=True)
        a, b = unique // len(points), unique % len(points)
        split = _bends(points[a], points[b], ground, shortest, longest)
        cut = split[place.reshape(-1, 3)]
        quiet = ~cut.any(axis=1)
        settled.append((triangles[quiet], row[quiet]))
        if quiet.all() or len(triangles) > _LARGEST:
            if not quiet.all():
                settled.append((triangles[~quiet], row[~quiet]))
            triangles, row = triangles[:0], row[:0]
            break
        middle = np.full(len(unique), -1, np.int64)
        middle[split] = len(points) + np.arange(int(split.sum()))
        points = np.concatenate([points, (points[a[split]] + points[b[split]]) / 2])
        triangles, row = _split(triangles[~quiet], row[~quiet], middle[place.reshape(-1, 3)][~quiet])
    settled.append((triangles, row))
    return points, np.concatenate([part for part, _ in settled]), np.concatenate([part for _, part in settled])


def _bends(a: Reals, b: Reals, ground: Ground, shortest: float, longest: float) -> NDArray[np.bool_]:
    """Say along which edges the ground leaves the straight line."""
    length = np.linalg.norm(b - a, axis=1)
    along = a[:, None, :] + (b - a)[:, None, :] * _SHARE[:, None]
    ends = ground.at(np.stack([a[:, 0], b[:, 0]], 1), np.stack([a[:, 1], b[:, 1]], 1))
    straight = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * _SHARE
    away = np.abs(ground.at(along[..., 0], along[..., 1]) - straight).max(axis=1)
    return np.asarray((length > longest) | ((length > shortest) & (away > _TOLERANCE)))


def _split(triangles: Ints, row: Ints, middle: Ints) -> tuple[Ints, Ints]:
    """Cut triangles at the middles of their halved edges (-1: not halved), shape (m, 3) each: into two, three or four."""
    count = (middle >= 0).sum(axis=1)
    made, owners = [], []
    one, two, three = (count == number for number in (1, 2, 3))
    # turn each triangle so that its first halved edge (for two: the edge before the unhalved one) comes first
    first = np.argmax(middle >= 0, axis=1)
    hole = np.argmin(middle >= 0, axis=1)
    turn = np.where(two, (hole + 1) % 3, first)
    order = (turn[:, None] + np.arange(3)) % 3
    (a, b, c), (ab, bc, ca) = np.take_along_axis(triangles, order, 1).T, np.take_along_axis(middle, order, 1).T
    for mine, corners in (
        (one, ((a, ab, c), (ab, b, c))),
        (two, ((ab, b, bc), (a, ab, bc), (a, bc, c))),
        (three, ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))),
    ):
        for corner in corners:
            made.append(np.stack(corner, axis=1)[mine])
            owners.append(row[mine])
    return np.concatenate(made), np.concatenate(owners)


def ribbon(lines: NDArray[Any], width: float) -> NDArray[Any]:
    """Return lines as polygons of a width [m]; anything else as it is."""
    import shapely

    linear = np.isin(shapely.get_type_id(lines), (1, 2, 5))
    out = np.asarray(lines, object).copy()
    out[linear] = shapely.buffer(out[linear], width / 2, cap_style="flat", quad_segs=2)
    return out
