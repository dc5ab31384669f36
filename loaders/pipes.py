"""Pipes in three dimensions: centrelines with inverts and sections become bodies, and ends that meet become the nodes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import UsageError
from cim.model.geometry import boundaries_from, vertices_from

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Bodies", "along", "sweep", "touching"]

SIDES = 12
"""Sides of the prism that stands for a round pipe; it has the cross-section area of the circle, so volumes are exact."""
_SHARPEST = 3.0  # times the section that a mitre may be longer at a sharp bend


@dataclass(frozen=True)
class Bodies:
    """Closed bodies along lines, columns for a geometry table."""

    row: Ints
    """Shape (g,): which line each body follows."""
    vertices: pa.Array
    boundaries: pa.Array


def along(points: ArrayLike, start: ArrayLike, first: ArrayLike, last: ArrayLike) -> Reals:
    """Return a height for every point of lines, running evenly from the first to the last point of each.

    Parameters
    ----------
    points : shape (n, 2) or more
        East and north [m], line after line.
    start : shape (g + 1,)
        Line g owns points start[g] to start[g + 1].
    first, last : shape (g,)
        Heights at both ends [m].

    Examples
    --------
    >>> along([[0, 0], [3, 0], [10, 0]], [0, 3], [5.0], [4.0])
    array([5. , 4.7, 4. ])
    """
    xy, begin = np.asarray(points, float)[:, :2], np.asarray(start, np.int64)
    if not len(xy):
        return np.empty(0)
    size = np.diff(begin)
    step = np.zeros(len(xy))
    step[1:] = np.hypot(*np.diff(xy, axis=0).T)
    step[begin[:-1][size > 0]] = 0.0
    run = np.cumsum(step)
    owner = np.repeat(np.arange(len(size)), size)
    origin, end = run[begin[:-1].clip(max=len(run) - 1)], run[(begin[1:] - 1).clip(min=0)]
    length = (end - origin)[owner]
    share = np.divide(run - origin[owner], length, out=np.zeros(len(run)), where=length > 0)
    low, high = np.asarray(first, float)[owner], np.asarray(last, float)[owner]
    height: Reals = low + share * (high - low)
    return height


def sweep(
    points: ArrayLike, start: ArrayLike, width: ArrayLike, height: ArrayLike, *, box: ArrayLike = False, sides: int = SIDES
) -> Bodies:
    """Return closed bodies with a constant section along lines, mitred at bends; normals point outward.

    Parameters
    ----------
    points : shape (n, 3)
        Axis of the bodies [m], line after line; two points in one place count as one.
    start : shape (g + 1,)
        Line g owns points start[g] to start[g + 1].
    width, height : shape (g,)
        Outer size of the section [m]; lines whose size is not finite and positive, or that are a point, get no body.
    box : shape (g,) or scalar
        Whether the section is a rectangle; otherwise it is an ellipse, drawn with `sides` corners on the same area.

    Raises
    ------
    UsageError
        If `points` is not (n, 3).

    Examples
    --------
    >>> from cim.model.geometry import volume
    >>> import pyarrow as pa
    >>> pipe = sweep([[0, 0, 0], [10, 0, 0]], [0, 2], [1.0], [1.0])
    >>> round(float(volume(pa.table({"vertices": pipe.vertices, "boundaries": pipe.boundaries}))[0]), 6)  # pi / 4 * 10
    7.853982
    """
    axis, begin = np.asarray(points, float), np.asarray(start, np.int64)
    if axis.ndim != 2 or axis.shape[1] != 3:
        msg = f"points have shape {axis.shape}; pass (n, 3): east, north and height of the axis"
        raise UsageError(msg)
    count = len(begin) - 1
    wide, high = (np.broadcast_to(np.asarray(size, float), (count,)) for size in (width, height))
    square = np.broadcast_to(np.asarray(box, bool), (count,))
    axis, size = _distinct(axis, begin)
    usable = np.isfinite(wide) & np.isfinite(high) & (wide > 0) & (high > 0) & (size >= 2)
    parts = [
        _prisms(axis, size, np.flatnonzero(usable & (square == flag)), wide, high, corners, flag)
        for flag, corners in ((False, sides), (True, 4))
    ]
    import pyarrow as pa

    rows = np.concatenate([part.row for part in parts])
    order = pa.array(np.argsort(rows, kind="stable"))
    joined = [pa.concat_arrays([getattr(part, name) for part in parts]).take(order) for name in ("vertices", "boundaries")]
    return Bodies(np.sort(rows), *joined)


def _distinct(axis: Reals, begin: Ints) -> tuple[Reals, Ints]:
    """Return points without those that repeat the one before, or are not finite, and how many each line has left."""
    owner = np.repeat(np.arange(len(begin) - 1), np.diff(begin))
    keep = np.isfinite(axis).all(axis=1)
    axis, owner = axis[keep], owner[keep]
    again = np.zeros(len(axis), bool)
    again[1:] = (owner[1:] == owner[:-1]) & (np.abs(np.diff(axis, axis=0)).max(axis=1, initial=0.0) < 1e-6)
    return axis[~again], np.bincount(owner[~again], minlength=len(begin) - 1)


def _prisms(axis: Reals, size: Ints, lines: Ints, wide: Reals, high: Reals, corners: int, square: bool) -> Bodies:  # noqa: FBT001
    """Return the bodies of some lines that have the same number of corners."""
    first = np.cumsum(size) - size
    count = size[lines]
    total = int(count.sum())
    begin = np.cumsum(count) - count
    place = np.repeat(first[lines] - begin, count) + np.arange(total)
    owner = np.repeat(np.arange(len(lines)), count)
    points = axis[place]
    across, up = _frames(points, owner)
    angle = (np.arange(corners) + 0.5) * 2 * np.pi / corners
    if square:
        unit = np.stack([np.sign(np.cos(angle)), np.sign(np.sin(angle))], axis=1)
    else:  # a polygon with the area of the ellipse
        unit = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.sqrt(2 * np.pi / (corners * np.sin(2 * np.pi / corners)))
    half_w, half_h = (wide[lines] / 2)[owner], (high[lines] / 2)[owner]
    ring = (
        points[:, None, :]
        + (half_w[:, None] * unit[:, 0])[..., None] * across[:, None, :]
        + (half_h[:, None] * unit[:, 1])[..., None] * up[:, None, :]
    )
    vertices = vertices_from(ring.reshape(-1, 3), count * corners)
    return Bodies(lines, vertices, _skins(count, corners))


def _frames(points: Reals, owner: Ints) -> tuple[Reals, Reals]:
    """Return the two directions that span the section at every point, lengthened where the line bends so that pipes keep their width."""
    step = np.zeros_like(points)
    same = owner[1:] == owner[:-1]
    move = np.diff(points, axis=0)
    length = np.linalg.norm(move, axis=1, keepdims=True)
    move = np.divide(move, length, out=np.zeros_like(move), where=length > 0) * same[:, None]
    step[:-1] += move
    step[1:] += move
    before, after = np.zeros_like(points), np.zeros_like(points)
    before[1:], after[:-1] = move, move
    norm = np.linalg.norm(step, axis=1, keepdims=True)
    turned_back = norm[:, 0] < 1e-9
    direction = np.where(turned_back[:, None], after, np.divide(step, norm, out=np.zeros_like(step), where=norm > 0))
    across = np.stack([direction[:, 1], -direction[:, 0], np.zeros(len(direction))], axis=1)
    flat = np.linalg.norm(across, axis=1, keepdims=True)
    across = np.where(flat > 1e-9, np.divide(across, flat, out=np.zeros_like(across), where=flat > 0), [1.0, 0.0, 0.0])
    up = np.cross(across, direction)
    bend = after - before  # lies in the plane of the bend, across the bisector
    both = (np.abs(before).sum(axis=1) > 0) & (np.abs(after).sum(axis=1) > 0) & ~turned_back
    cosine = np.where(both, np.einsum("ij,ij->i", direction, after), 1.0)
    stretch = np.minimum(1 / np.maximum(cosine, 1e-9), _SHARPEST) - 1
    size = np.linalg.norm(bend, axis=1, keepdims=True)
    along_bend = np.divide(bend, size, out=np.zeros_like(bend), where=size > 1e-9) * both[:, None]
    longer = [side + (stretch * np.einsum("ij,ij->i", side, along_bend))[:, None] * along_bend for side in (across, up)]
    return longer[0], longer[1]


def _skins(count: Ints, corners: int) -> pa.Array:
    """Return the boundaries of prisms: the quadrilaterals along each line and a cap at both ends."""
    spans = count - 1
    owner = np.repeat(np.arange(len(count)), spans)
    span = np.arange(int(spans.sum())) - np.repeat(np.cumsum(spans) - spans, spans)
    corner = np.arange(corners)
    low = span[:, None] * corners + corner
    low_next = span[:, None] * corners + (corner + 1) % corners
    sides = np.stack([low, low + corners, low_next + corners, low_next], axis=2)
    front, back = np.tile(corner, (len(count), 1)), (((count - 1) * corners)[:, None] + corner)[:, ::-1]
    ring_owner = np.concatenate([np.repeat(owner, corners), np.arange(len(count)), np.arange(len(count))])
    ring_size = np.concatenate([np.full(len(owner) * corners, 4), np.full(2 * len(count), corners)])
    index = np.concatenate([sides.reshape(-1), front.reshape(-1), back.reshape(-1)])
    order = np.argsort(ring_owner, kind="stable")
    first = np.cumsum(ring_size) - ring_size
    taken = ring_size[order]
    place = np.repeat(first[order] - (np.cumsum(taken) - taken), taken) + np.arange(len(index))
    faces = np.bincount(ring_owner, minlength=len(count))
    ones = np.ones(len(count), np.int64)
    return boundaries_from(index[place], taken, np.ones(len(taken), np.int64), faces, ones, ones)


def touching(points: ArrayLike, tolerance: float) -> Ints:
    """Return a number for every point, the same for points that lie within `tolerance` [m] of each other, directly or by way of others.

    Parameters
    ----------
    points : shape (n, 2) or (n, 3)
        Coordinates [m].

    Examples
    --------
    >>> touching([[0, 0], [5, 0], [0.1, 0]], 0.2)
    array([0, 1, 0])
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    place = np.asarray(points, float)
    if not len(place):
        return np.empty(0, np.int64)
    pairs = cKDTree(place).query_pairs(tolerance, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(place), len(place)))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
