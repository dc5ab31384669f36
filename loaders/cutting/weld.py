"""From loose pieces to one mesh again: new points welded, points on mesh edges put into every triangle that has the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["WELD", "Pieces", "join_equal_points", "restitch", "weld"]

WELD = 1e-5
"""New points this near to each other, or to a corner of the mesh, are one [m]."""


@dataclass(frozen=True)
class Pieces:
    """The parts that crossed triangles were split into."""

    source: Ints
    """Shape (p,), rising: the triangle each part comes from."""
    places: Floats
    """Shape (p, 3, 3): corners [m]."""
    weights: Floats
    """Shape (p, 3, 3): barycentric weights of the corners in the triangle."""


def join_equal_points(points: Floats, triangles: NDArray[Any]) -> tuple[Floats, NDArray[Any]]:
    """Return the points without exact repeats and the triangles that use them: a seam of the texture is no seam of the surface."""
    order = np.lexsort(points.T)
    ordered = points[order]
    new = np.ones(len(points), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    if new.all():
        return points, triangles
    place = np.empty(len(points), triangles.dtype)
    place[order] = np.cumsum(new) - 1
    return ordered[new], place[triangles]


def weld(points: Floats, triangles: NDArray[Any], pieces: Pieces) -> tuple[Floats, Ints]:
    """Return all points, old ones first, and the corners (p, 3) of the pieces as rows of them.

    A new point takes the nearest corner of a split triangle within `WELD`; the others are joined by nearness, not by rounding:
    equal values can lie on two sides of a rounding border.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    faces = np.full(pieces.weights.shape[:2], -1, np.int64)
    part, corner = np.nonzero(pieces.weights.max(axis=2) == 1.0)
    faces[part, corner] = triangles[pieces.source[part], pieces.weights[part, corner].argmax(axis=1)]
    fresh = faces < 0
    if not fresh.any():
        return points, faces
    places, name = np.unique(pieces.places[fresh], axis=0, return_inverse=True)
    old = np.unique(triangles[np.unique(pieces.source)])
    distance, nearest = cKDTree(points[old]).query(places, distance_upper_bound=WELD)
    found = np.isfinite(distance)
    ids = np.full(len(places), -1, np.int64)
    ids[found] = old[nearest[found]]
    rest = np.flatnonzero(~found)
    pairs = cKDTree(places[rest]).query_pairs(WELD, output_type="ndarray") if len(rest) else np.empty((0, 2), np.int64)
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(rest), len(rest)))
    groups, group = connected_components(graph, directed=False)
    ids[rest] = len(points) + group
    first = np.full(groups, len(rest), np.int64)
    np.minimum.at(first, group, np.arange(len(rest)))
    faces[fresh] = ids[name.ravel()]
    return np.concatenate([points, places[rest[first]]]), faces


def restitch(points: Floats, triangles: NDArray[Any], pieces: Pieces, faces: Ints, tile: int) -> tuple[Ints, Ints, Floats]:
    """Return the triangles that take the place of all that were split or touched: source (t,), points (t, 3), weights (t, 3, 3).

    Parameters
    ----------
    points : shape (n, 3)
        Old and new points [m].
    triangles : shape (m, 3)
        The mesh as it was.
    pieces, faces
        What it was split into, and the corners of that as rows of `points`.
    tile
        Triangles looked at together.
    """
    from cim.loaders.cutting.kernel import stitch

    keys, start, listed = _points_on_edges(points, triangles, pieces, faces)
    near = _at_edges(points, triangles, keys, tile)
    touched = np.union1d(np.unique(pieces.source), near)
    corner = triangles[touched].astype(np.int64)
    after = corner[:, [1, 2, 0]]
    slot = _rows_of(keys, _edge_key(corner, after, len(points)))
    whole = np.setdiff1d(near, pieces.source)
    source = np.concatenate([pieces.source, whole])
    order = np.argsort(source, kind="stable")
    all_faces = np.concatenate([faces, triangles[whole]])[order]
    weights = np.concatenate([pieces.weights, np.broadcast_to(np.eye(3), (len(whole), 3, 3))])[order]
    face_start = np.searchsorted(source[order], np.append(touched, np.iinfo(np.int64).max))
    row, made, made_weights = stitch(points, triangles, touched, all_faces, weights, face_start, slot, corner < after, start, listed)
    return touched[row], made, made_weights


def _edge_key(a: Ints, b: Ints, count: int) -> Ints:
    return np.asarray(np.minimum(a, b).astype(np.int64) * count + np.maximum(a, b))


def _rows_of(keys: Ints, wanted: Ints) -> Ints:
    """Return the row of each wanted key among sorted keys, -1 for none."""
    if not len(keys):
        return np.full(wanted.shape, -1, np.int64)
    row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[row] == wanted, row, -1)


def _points_on_edges(points: Floats, triangles: NDArray[Any], pieces: Pieces, faces: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the mesh edges with points on them: sorted keys (e,), offsets (e + 1,) and the points from the lower corner on."""
    corner = triangles[pieces.source].astype(np.int64)
    keys, found = [], []
    for k in range(3):
        a, b = corner[:, k], corner[:, (k + 1) % 3]
        low, high = np.minimum(a, b), np.maximum(a, b)
        for j in range(3):
            p = faces[:, j]
            exact = pieces.weights[:, j, (k + 2) % 3] == 0.0
            on = (exact | (_off_line(points, p, low, high) < WELD)) & (p != low) & (p != high) & (low != high)
            keys.append(_edge_key(low, high, len(points))[on])
            found.append(p[on])
    pairs = np.unique(np.stack([np.concatenate(keys), np.concatenate(found)]), axis=1)
    low, high = pairs[0] // len(points), pairs[0] % len(points)
    t = _along(points, pairs[1], low, high)
    inside = (t > 0.0) & (t < 1.0)
    pairs, t = pairs[:, inside], t[inside]
    order = np.lexsort((t, pairs[0]))
    edges, count = np.unique(pairs[0], return_counts=True)
    return edges, np.concatenate([[0], np.cumsum(count)]).astype(np.int64), pairs[1][order]


def _along(points: Floats, p: Ints, a: Ints, b: Ints) -> Floats:
    """Return where p lies between a (0) and b (1)."""
    side = points[b] - points[a]
    square = np.einsum("ij,ij->i", side, side)
    return np.asarray(np.einsum("ij,ij->i", points[p] - points[a], side) / np.where(square > 0, square, 1.0))


def _off_line(points: Floats, p: Ints, a: Ints, b: Ints) -> Floats:
    """Return the distance of p from the line through a and b [m]."""
    foot = points[a] + _along(points, p, a, b)[:, None] * (points[b] - points[a])
    return np.asarray(np.linalg.norm(points[p] - foot, axis=1))


def _at_edges(points: Floats, triangles: NDArray[Any], keys: Ints, tile: int) -> Ints:
    """Return the triangles that have one of the edges, rising."""
    flagged = np.zeros(len(points), bool)
    flagged[keys // len(points)] = flagged[keys % len(points)] = True
    found = [np.empty(0, np.int64)]
    for first in range(0, len(triangles), tile):
        part = triangles[first : first + tile]
        mine = np.flatnonzero(flagged[part].sum(axis=1) > 1)
        corner = part[mine].astype(np.int64)
        rows = _rows_of(keys, _edge_key(corner, corner[:, [1, 2, 0]], len(points)))
        found.append(first + mine[(rows >= 0).any(axis=1)])
    return np.concatenate(found)
