"""Triangles turned so that each body's faces look outward, and whether the body is closed: kernels leave both to chance.

Two triangles that share an edge agree when they run along it in opposite directions. On the double cover of the triangles (each one
as it is, and turned) agreeing states are joined; one search for connected components then says which triangles have to turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.loaders.ifc.shapes import Shape

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Bodies", "orient"]

_WELD = 1e-5  # m: corners of one body that lie closer are one point

_ASKED = 12  # corners of a part that are asked whether they lie inside another
_RAYS = np.array([[0.5773, 0.2113, 0.7887], [-0.4142, 0.8281, -0.3779], [0.1931, -0.7333, 0.6519]])


@dataclass(frozen=True)
class Bodies:
    """Shapes with their faces in order."""

    shapes: list[Shape]
    closed: Flags
    """Shape (n,): whether every edge is used in both directions equally often."""
    volume: Reals
    """Shape (n,): m³, meaningless where not closed."""
    turned: Ints
    """Shape (n,): triangles that were turned."""


def orient(shapes: Sequence[Shape]) -> Bodies:
    """Return the shapes without degenerate triangles, faces outward."""
    welded = [_welded(shape) for shape in shapes]
    count = [len(shape.triangles) for shape in welded]
    if not sum(count):
        nothing = np.zeros(len(welded))
        return Bodies(welded, nothing.astype(bool), nothing, nothing.astype(np.int64))
    first = np.concatenate([[0], np.cumsum([len(shape.points) for shape in welded])])
    triangles = np.concatenate([shape.triangles + np.int64(start) for shape, start in zip(welded, first[:-1], strict=True)])
    points = np.concatenate([shape.points - shape.points.mean(axis=0) if len(shape.points) else shape.points for shape in welded])
    owner = np.repeat(np.arange(len(welded)), count)
    flip, part = _agree(triangles, len(points))
    made = np.where(flip[:, None], triangles[:, ::-1], triangles)
    even = _balanced(made, part, int(part.max()) + 1)
    closed = _balanced(made, owner, len(welded)) & (np.asarray(count) > 0)
    flip ^= _outward(points, made, owner, part, even, len(welded))
    made = np.where(flip[:, None], triangles[:, ::-1], triangles)
    volume = _summed(owner, _signed(points, made), len(welded))
    place = np.concatenate([[0], np.cumsum(count)])
    out = [
        replace(shape, triangles=(made[a:b] - start).astype(np.int32))
        for shape, start, a, b in zip(welded, first[:-1], place[:-1], place[1:], strict=True)
    ]
    return Bodies(out, closed, volume, np.bincount(owner[flip], minlength=len(welded)))


def _welded(shape: Shape) -> Shape:
    """Return the shape with equal corners as one point, and without triangles that have two of them."""
    if not len(shape.points):
        return shape
    corner = np.round((shape.points - shape.points.min(axis=0)) / _WELD).astype(np.int64)
    _, kept, where = np.unique(corner, axis=0, return_index=True, return_inverse=True)
    triangles = where.reshape(-1)[shape.triangles]
    good = (triangles[:, 0] != triangles[:, 1]) & (triangles[:, 1] != triangles[:, 2]) & (triangles[:, 2] != triangles[:, 0])
    return replace(shape, points=shape.points[kept], triangles=triangles[good].astype(np.int32), style=shape.style[good])


def _edges(triangles: Ints, points: int) -> tuple[Ints, Ints]:
    """Return a key for the edge at each side of each triangle, sides of one triangle together, and its direction (+1, -1)."""
    a, b = triangles.reshape(-1), np.roll(triangles, -1, axis=1).reshape(-1)
    return np.minimum(a, b) * np.int64(points) + np.maximum(a, b), np.where(a < b, 1, -1)


def _agree(triangles: Ints, points: int) -> tuple[Flags, Ints]:
    """Return which triangles have to turn so that neighbours agree, and the connected part each belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    key, way = _edges(triangles, points)
    order = np.argsort(key, kind="stable")
    _, start, many = np.unique(key[order], return_index=True, return_counts=True)
    pair = start[many == 2]
    one, two = order[pair] // 3, order[pair + 1] // 3
    same = way[order[pair]] == way[order[pair + 1]]  # both along the edge in one direction: one of them has to turn
    n = len(triangles)
    rows = np.concatenate([one, one + n])
    columns = np.concatenate([np.where(same, two + n, two), np.where(same, two, two + n)])
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(2 * n, 2 * n))
    _, label = connected_components(graph, directed=False)
    straight, turned = label[:n], label[n:]
    lowest = np.minimum(straight, turned)  # names the part, whichever way round
    flip = (straight != lowest) & (straight != turned)
    names, part = np.unique(lowest, return_inverse=True)
    mostly = np.bincount(part, flip, len(names)) > 0.5 * np.bincount(part, minlength=len(names))
    return flip ^ mostly[part], part.astype(np.int64)


def _balanced(triangles: Ints, group: Ints, groups: int) -> Flags:
    """Return which groups use each of their edges equally often in both directions."""
    key, way = _edges(triangles, int(triangles.max()) + 1)
    group = np.repeat(group, 3)
    order = np.lexsort((key, group))
    key, way, group = key[order], way[order], group[order]
    start = np.flatnonzero(np.concatenate([[True], (key[1:] != key[:-1]) | (group[1:] != group[:-1])]))
    open_edges = np.add.reduceat(way, start) != 0
    fine = np.ones(groups, bool)
    fine[group[start[open_edges]]] = False
    return fine


def _signed(points: Reals, triangles: Ints) -> Reals:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    result: Reals = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0
    return result


def _summed(group: Ints, values: Reals, groups: int) -> Reals:
    result: Reals = np.bincount(group, weights=values, minlength=groups).astype(np.float64)
    return result


def _outward(points: Reals, made: Ints, owner: Ints, part: Ints, even: Flags, count: int) -> Flags:
    """Return which triangles turn once more so that volumes are positive.

    Each closed part is made positive, unless it lies inside another one that the kernel gave the other sense: that is a void. The open
    parts of a shape keep their sense to each other and are turned together.
    """
    signed = _signed(points, made)
    of_part = _summed(part, signed, len(even))
    loose = _summed(owner, signed * ~even[part], count) < 0
    turn = np.where(even[part], (of_part < 0)[part], loose[owner])
    home = np.zeros(len(even), np.int64)
    home[part] = owner
    many = np.bincount(home[even], minlength=count)
    lowest = np.bincount(home[even], of_part[even] < 0, count)
    for shape in np.flatnonzero((many > 1) & (lowest > 0) & (lowest < many)).tolist():
        for void in _voids(points, made, part, np.flatnonzero((home == shape) & even), of_part):
            turn[part == void] ^= True
    return turn


def _voids(points: Reals, triangles: Ints, part: Ints, parts: Ints, volume: Reals) -> list[int]:
    """Return the closed parts that lie inside an odd number of others of the other sense."""
    if len(parts) > 64:
        return []
    meshes = [triangles[part == one] for one in parts]
    boxes = [(points[mesh].reshape(-1, 3).min(axis=0), points[mesh].reshape(-1, 3).max(axis=0)) for mesh in meshes]
    found = []
    for i, (low, high) in enumerate(boxes):
        inside = sum(
            bool((low > boxes[j][0]).all() and (high < boxes[j][1]).all())
            and _holds_all(points, meshes[j], points[np.unique(meshes[i])[:_ASKED]])
            for j in range(len(boxes))
            if j != i and volume[parts[i]] * volume[parts[j]] < 0
        )
        if inside % 2:
            found.append(int(parts[i]))
    return found


def _holds_all(points: Reals, triangles: Ints, asked: Reals) -> bool:
    """Return whether a closed mesh holds every point, whichever way one looks; a point on its surface is not held for certain."""
    return all(_holds(points, triangles, point, ray) for point in asked for ray in _RAYS)


def _holds(points: Reals, triangles: Ints, point: Reals, ray: Reals) -> bool:
    """Return whether a closed mesh holds a point, by the crossings of a ray."""
    a, b, c = (points[triangles[:, k]] - point for k in range(3))
    e, f = b - a, c - a
    p = np.cross(ray, f)
    det = np.einsum("ij,ij->i", e, p)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.einsum("ij,ij->i", -a, p) / det
        q = np.cross(-a, e)
        v = q @ ray / det
        t = np.einsum("ij,ij->i", f, q) / det
    return bool(np.count_nonzero((np.abs(det) > 1e-14) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)) % 2)
