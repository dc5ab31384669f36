"""Closing the pieces: walls from every open edge down to the ground, and a lid there.

The lid is the plain one where the open edges form simple loops seen from above: these loops, filled with triangles. Where they do not
(overhangs, notches of walls kept by the tolerance) the piece itself, turned over and laid on the ground, closes it: the *mirror lid*. Its
border is that of the piece, so the sum always closes. Open edges are counted as a signed sum per edge: two triangles that run
along an edge in opposite ways close it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Closing", "close_pieces", "lid_heights", "open_edges", "signed_volume"]

NO_LID, PLAIN_LID, MIRROR_LID = 0, 1, 2
MESH, WALL, LID = 0, 1, 2


@dataclass(frozen=True)
class Closing:
    """Triangles that close pieces; they come after those of the mesh."""

    points: Floats
    """Shape (k, 3): the new corners [m]; as corners they are numbered on from those of the mesh."""
    triangles: Ints
    """Shape (t, 3)."""
    piece: Ints
    """Shape (t,): the piece each one belongs to."""
    kind: Ints
    """Shape (t,): 1 wall, 2 lid."""
    lid: Ints
    """Shape (pieces,): 0 none needed, 1 plain, 2 mirror."""


def open_edges(triangles: Ints, piece: Ints, points: int) -> tuple[Ints, Ints, Ints]:
    """Return the open edges of each piece: piece (e,), start (e,) and end (e,), as the mesh runs along them.

    An edge along which k more triangles run one way than the other stands k times.
    """
    start, end = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    owner = np.repeat(piece, 3)
    used = start != end
    start, end, owner = start[used], end[used], owner[used]
    low, high = np.minimum(start, end), np.maximum(start, end)
    key = low * points + high
    order = np.lexsort((key, owner))
    first = np.ones(len(order), bool)
    first[1:] = (key[order][1:] != key[order][:-1]) | (owner[order][1:] != owner[order][:-1])
    begin = np.flatnonzero(first)
    net = np.add.reduceat(np.where(start < end, 1, -1)[order], begin) if len(begin) else np.empty(0, np.int64)
    row = np.repeat(order[begin], np.abs(net))
    forward = np.repeat(net, np.abs(net)) > 0
    return owner[row], np.where(forward, low[row], high[row]), np.where(forward, high[row], low[row])


def lid_heights(points: Floats, edges: tuple[Ints, Ints, Ints], pieces: int, ground: Floats | None) -> Floats:
    """Return the height of a flat lid of each piece [m], shape (pieces,): NaN for a piece without open edges.

    The lowest ground along the open edges where it is known there, else the lowest open corner of the mesh.
    """
    piece, start, _ = edges
    lowest = np.full(pieces, np.inf)
    if ground is not None:
        np.fmin.at(lowest, piece, ground[start])
    unknown = ~np.isfinite(lowest)
    other = np.full(pieces, np.inf)
    np.minimum.at(other, piece, points[start, 2])
    lowest[unknown] = other[unknown]
    return np.where(np.isfinite(lowest), lowest, np.nan)


def close_pieces(points: Floats, triangles: Ints, piece: Ints, pieces: int, flat: Floats, ground: Floats | None = None) -> Closing:
    """Return what closes the pieces of a cut mesh.

    Parameters
    ----------
    points : shape (n, 3)
        Corners [m].
    triangles, piece : shape (m, 3), (m,)
        The triangles that belong to a piece, and which.
    pieces
        Number of pieces.
    flat : shape (pieces,)
        Height of the lid [m]; from `lid_heights`.
    ground : shape (n,)
        Height of the terrain under each corner [m]: the lid lies on it, and at `flat` where it is NaN. Left out: all lids are flat.
    """
    owner, start, end = open_edges(triangles, piece, len(points))
    plain, plain_piece = _plain_lids(points, owner, start, end)
    lid = np.zeros(pieces, np.int64)
    lid[owner] = MIRROR_LID
    lid[plain_piece] = PLAIN_LID
    turned = lid[piece] == MIRROR_LID
    mirror, mirror_piece = triangles[turned][:, ::-1], piece[turned]
    corner = np.concatenate([plain, mirror])
    corner_piece = np.concatenate([plain_piece, mirror_piece])
    # every (piece, corner) of open edges and lids has one foot on the ground
    used = np.concatenate([owner * len(points) + start, owner * len(points) + end, (corner_piece[:, None] * len(points) + corner).ravel()])
    keys, row = np.unique(used, return_inverse=True)
    foot_piece, foot_point = keys // max(len(points), 1), keys % max(len(points), 1)
    height = flat[foot_piece]
    if ground is not None:
        height = np.where(np.isfinite(ground[foot_point]), ground[foot_point], height)
    feet = np.column_stack([points[foot_point, :2], height])
    row = row.ravel() + len(points)
    a, b, lids = row[: len(start)], row[len(start) : 2 * len(start)], row[2 * len(start) :].reshape(-1, 3)
    walls = np.concatenate([np.column_stack([end, start, a]), np.column_stack([end, a, b])])
    kind = np.repeat([WALL, LID], [len(walls), len(lids)])
    return Closing(feet, np.concatenate([walls, lids]), np.concatenate([owner, owner, corner_piece]), kind, lid)


def signed_volume(points: Floats, triangles: Ints, piece: Ints, pieces: int) -> Floats:
    """Return the volume inside each piece [m³], shape (pieces,); it means something for closed pieces only."""
    corner = points[triangles]
    anchor = np.zeros((pieces, 3))
    anchor[piece] = corner[:, 0]  # near the piece: no cancellation
    corner = corner - anchor[piece][:, None]
    six = np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2]))
    return np.asarray(np.bincount(piece, six, pieces) / 6)


# ---------------------------------------------------------------- plain lids


def _plain_lids(points: Floats, owner: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return downward triangles (t, 3) that fill the open loops of the pieces where these are simple, and their pieces (t,)."""
    found, pieces = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    if not len(owner):
        return found[0], pieces[0]
    order = np.lexsort((start, owner))  # pieces stand together
    owner, start, end = owner[order], start[order], end[order]
    first = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    for begin, stop in zip(first, np.append(first[1:], len(owner)), strict=True):  # one ear clipping per piece
        loops = _loops(start[begin:stop], end[begin:stop])
        filled = None if loops is None else _fill(points, loops)
        if filled is not None:
            found.append(filled)
            pieces.append(np.full(len(filled), owner[begin]))
    return np.concatenate(found), np.concatenate(pieces)


def _loops(start: Ints, end: Ints) -> list[Ints] | None:
    """Return the loops of open edges as corners in order; None where a corner is passed twice. `start` is sorted."""
    if len(np.unique(start)) < len(start) or not np.array_equal(start, np.sort(end)):
        return None
    after = np.searchsorted(start, end).tolist()
    left = [True] * len(after)
    loops = []
    for begin in range(len(after)):
        loop = []
        at = begin
        while left[at]:
            left[at] = False
            loop.append(at)
            at = after[at]
        if loop:
            loops.append(start[loop])
    return loops


def _fill(points: Floats, loops: list[Ints]) -> Ints | None:
    """Return downward triangles whose border is the loops run backwards; None where the loops are no polygons from above."""
    import mapbox_earcut
    import shapely

    areas = np.array([_plan_area(points[loop, :2]) for loop in loops])
    outer, holes = np.flatnonzero(areas > 0), np.flatnonzero(areas <= 0)
    rings = [shapely.LinearRing(points[loop, :2]) if len(loop) > 2 else None for loop in loops]
    if any(ring is None for ring in rings) or not len(outer):
        return None
    shells = [shapely.Polygon(rings[row]) for row in outer]
    if not all(shape.is_valid for shape in shells):
        return None
    home = [[row for row, shell in enumerate(shells) if shell.contains(shapely.Point(points[loops[hole][0], :2]))] for hole in holes]
    if any(len(rows) != 1 for rows in home):
        return None
    made = []
    for row, one in enumerate(outer):
        mine = [loops[one], *(loops[hole] for hole, rows in zip(holes, home, strict=True) if rows[0] == row)]
        if not shapely.Polygon(rings[one], [points[loop, :2] for loop in mine[1:]]).is_valid:
            return None
        index = np.concatenate(mine)
        local = mapbox_earcut.triangulate_float64(
            np.ascontiguousarray(points[index, :2]), np.cumsum([len(loop) for loop in mine]).astype(np.uint32)
        )
        made.append(_facing_down(points, index[local.reshape(-1, 3).astype(np.int64)]))
    lid = np.concatenate(made)
    return lid if _fits(lid, loops) else None


def _plan_area(xy: Floats) -> float:
    x, y = (xy - xy[0]).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _facing_down(points: Floats, triangles: Ints) -> Ints:
    corner = points[triangles][:, :, :2]
    u, v = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    up = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0
    return np.where(up[:, None], triangles[:, ::-1], triangles)


def _fits(lid: Ints, loops: list[Ints]) -> bool:
    """Say whether the lid has exactly the loops, backwards, for its border: ear clipping leaves out points that lie straight."""
    _, start, end = open_edges(lid, np.zeros(len(lid), np.int64), int(lid.max(initial=0)) + 1)
    border = set(zip(end.tolist(), start.tolist(), strict=True))
    wanted = {pair for loop in loops for pair in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)}
    return border == wanted and len(border) == len(start)


def count_open(triangles: Ints, piece: Ints, points: int, pieces: int) -> Ints:
    """Return the number of open edges of each piece, shape (pieces,)."""
    return np.bincount(open_edges(triangles, piece, points)[0], minlength=pieces)
