"""Kernels of the cut: index of footprint edges, splitting at wall planes, and triangles again after points were added on edges.

Everything is plain arrays; the callers have checked finiteness and shapes. A triangle is split by the whole vertical plane of a
footprint edge wherever the edge itself crosses it, so pieces stay triangles; the points this leaves on the sides of neighbouring
pieces are put into them by `stitch`. Positions inside a triangle travel as barycentric weights: whatever belongs to a corner
follows from them.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["index_edges", "split", "stitch"]

ON_PLANE = 1e-6
"""A corner this near a wall plane [m] counts as on it."""
REACH = 1e-5
"""An edge reaches this far beyond its ends [m], so that corners of a footprint are cut from both sides."""
ON_SIDE = 2e-5
"""A point this near a side inside a triangle [m] is on it: twice the welding distance."""
FEW = 32
"""Up to so many corners a piece is divided into its best triangles, beyond into the first that fit."""


@njit(cache=True)
def index_edges(edges: Floats, low: Floats, cell: float, shape: Ints) -> tuple[Ints, Ints]:
    """Return, per cell of a grid, the edges that pass through it: offsets (cells + 1,) and members.

    `edges` holds x0, y0, x1, y1 [m]; `low` is the corner of the grid, `shape` its columns and rows.
    """
    nx, ny = shape[0], shape[1]
    start = np.zeros(nx * ny + 1, np.int64)
    members = np.empty(0, np.int64)
    place = np.empty(0, np.int64)
    for step in range(2):
        if step == 1:
            for c in range(nx * ny):
                start[c + 1] += start[c]
            members = np.empty(start[nx * ny], np.int64)
            place = start[:-1].copy()
        for e in range(edges.shape[0]):
            x0, y0, x1, y1 = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
            j0 = min(max(int((min(y0, y1) - REACH - low[1]) / cell), 0), ny - 1)
            j1 = min(max(int((max(y0, y1) + REACH - low[1]) / cell), 0), ny - 1)
            for j in range(j0, j1 + 1):
                left, right = min(x0, x1), max(x0, x1)
                if y0 != y1:  # the part of the edge inside this row
                    a = min(max((low[1] + j * cell - REACH - y0) / (y1 - y0), 0.0), 1.0)
                    b = min(max((low[1] + (j + 1) * cell + REACH - y0) / (y1 - y0), 0.0), 1.0)
                    left, right = min(x0 + a * (x1 - x0), x0 + b * (x1 - x0)), max(x0 + a * (x1 - x0), x0 + b * (x1 - x0))
                i0 = min(max(int((left - REACH - low[0]) / cell), 0), nx - 1)
                i1 = min(max(int((right + REACH - low[0]) / cell), 0), nx - 1)
                for i in range(i0, i1 + 1):
                    if step == 0:
                        start[j * nx + i + 1] += 1
                    else:
                        members[place[j * nx + i]] = e
                        place[j * nx + i] += 1
    return start, members


@njit(cache=True)
def _more3(array: Floats, size: int) -> Floats:
    """Return the array with room for twice as many rows, and at least `size`."""
    out = np.empty((max(2 * array.shape[0], size), array.shape[1], array.shape[2]))
    out[: array.shape[0]] = array
    return out


@njit(cache=True)
def _more(array: Ints, size: int) -> Ints:
    """Return the array with room for twice as many values, and at least `size`."""
    out = np.empty(max(2 * array.shape[0], size), array.dtype)
    out[: array.shape[0]] = array
    return out


@njit(cache=True)
def _put(place: Floats, weight: Floats, row: int, source: int, a: int, b: int, c: int, new_place: Floats, new_weight: Floats) -> None:
    """Write a piece into `row`: corners 0 to 2 of piece `source`, or -1 and -2 for the new points."""
    held, held_weight = place[source].copy(), weight[source].copy()
    for k, corner in enumerate((a, b, c)):
        if corner >= 0:
            place[row, k], weight[row, k] = held[corner], held_weight[corner]
        else:
            place[row, k], weight[row, k] = new_place[-1 - corner], new_weight[-1 - corner]


@njit(cache=True)
def _between(place: Floats, weight: Floats, u: int, v: int, du: float, dv: float, new_place: Floats, new_weight: Floats, row: int) -> None:
    """Put the point of side u-v that lies on the plane into `row` of the new points."""
    t = du / (du - dv)
    for k in range(3):
        new_place[row, k] = place[u, k] + t * (place[v, k] - place[u, k])
        new_weight[row, k] = weight[u, k] + t * (weight[v, k] - weight[u, k])


@njit(cache=True)
def split_piece(place: Floats, weight: Floats, row: int, count: int, edge: Floats) -> int:  # noqa: C901  # the cases of one cut
    """Split piece `row` by the plane of `edge` if the edge crosses it; the parts go to `row` and from `count` on.

    Returns how many pieces came to be besides the first: 0, 1 or 2. `place` and `weight` have room for two more.
    """
    dx, dy = edge[2] - edge[0], edge[3] - edge[1]
    length = np.sqrt(dx * dx + dy * dy)
    dx, dy = dx / length, dy / length
    d = np.empty(3)
    above = below = 0
    for k in range(3):
        d[k] = dx * (place[row, k, 1] - edge[1]) - dy * (place[row, k, 0] - edge[0])
        if abs(d[k]) < ON_PLANE:
            d[k] = 0.0
        above += d[k] > 0.0
        below += d[k] < 0.0
    if above == 0 or below == 0:
        return 0
    new_place, new_weight = np.empty((2, 3)), np.empty((2, 3))
    alone = 0  # the corner on the plane, or the one alone on its side
    for k in range(3):
        if (above + below == 2 and d[k] == 0.0) or (above == 1 and below == 2 and d[k] > 0.0) or (above == 2 and below == 1 and d[k] < 0.0):
            alone = k
    i, j, k = alone, (alone + 1) % 3, (alone + 2) % 3
    if above + below == 2:
        _between(place[row], weight[row], j, k, d[j], d[k], new_place, new_weight, 0)
        s, t = _along(place[row, i], edge, dx, dy), _along(new_place[0], edge, dx, dy)
    else:
        _between(place[row], weight[row], i, j, d[i], d[j], new_place, new_weight, 0)
        _between(place[row], weight[row], i, k, d[i], d[k], new_place, new_weight, 1)
        s, t = _along(new_place[0], edge, dx, dy), _along(new_place[1], edge, dx, dy)
    if max(s, t) < -REACH or min(s, t) > length + REACH:
        return 0
    if above + below == 2:
        _put(place, weight, count, row, i, -1, k, new_place, new_weight)
        _put(place, weight, row, row, i, j, -1, new_place, new_weight)
        return 1
    first, second = 0.0, 0.0  # the shorter diagonal of the quadrilateral
    for n in range(3):
        first += (new_place[0, n] - place[row, k, n]) ** 2
        second += (new_place[1, n] - place[row, j, n]) ** 2
    if first <= second:
        _put(place, weight, count, row, -1, j, k, new_place, new_weight)
        _put(place, weight, count + 1, row, -1, k, -2, new_place, new_weight)
    else:
        _put(place, weight, count, row, -1, j, -2, new_place, new_weight)
        _put(place, weight, count + 1, row, j, k, -2, new_place, new_weight)
    _put(place, weight, row, row, i, -1, -2, new_place, new_weight)
    return 2


@njit(cache=True)
def _along(point: Floats, edge: Floats, dx: float, dy: float) -> float:
    """Return how far along the edge a point lies [m]."""
    return float(dx * (point[0] - edge[0]) + dy * (point[1] - edge[1]))


@njit(cache=True)
def split(  # noqa: C901  # triangles, their cells, the edges there, the pieces so far
    points: Floats, triangles: Any, edges: Floats, start: Ints, members: Ints, low: Floats, cell: float, shape: Ints
) -> tuple[Ints, Floats, Floats]:
    """Return the pieces of every triangle that footprint edges cross: triangle (p,), places (p, 3, 3) and weights (p, 3, 3).

    `start` and `members` come from `index_edges` with the same grid.
    """
    nx, ny = shape[0], shape[1]
    source, total = np.empty(64, np.int64), 0
    places, weights = np.empty((64, 3, 3)), np.empty((64, 3, 3))
    place, weight = np.empty((64, 3, 3)), np.empty((64, 3, 3))
    seen = np.full(edges.shape[0], -1, np.int64)
    for m in range(triangles.shape[0]):
        a, b, c = points[triangles[m, 0]], points[triangles[m, 1]], points[triangles[m, 2]]
        x0, x1 = min(a[0], b[0], c[0]) - REACH, max(a[0], b[0], c[0]) + REACH
        y0, y1 = min(a[1], b[1], c[1]) - REACH, max(a[1], b[1], c[1]) + REACH
        if x1 < low[0] or y1 < low[1] or x0 > low[0] + nx * cell or y0 > low[1] + ny * cell:
            continue
        place[0, 0], place[0, 1], place[0, 2] = a, b, c
        weight[0] = np.eye(3)
        count = 1
        for j in range(min(max(int((y0 - low[1]) / cell), 0), ny - 1), min(max(int((y1 - low[1]) / cell), 0), ny - 1) + 1):
            for i in range(min(max(int((x0 - low[0]) / cell), 0), nx - 1), min(max(int((x1 - low[0]) / cell), 0), nx - 1) + 1):
                for n in range(start[j * nx + i], start[j * nx + i + 1]):
                    e = members[n]
                    if seen[e] == m:
                        continue
                    seen[e] = m
                    edge = edges[e]
                    if max(edge[0], edge[2]) < x0 or min(edge[0], edge[2]) > x1 or max(edge[1], edge[3]) < y0 or min(edge[1], edge[3]) > y1:
                        continue
                    for row in range(count):
                        if count + 2 > place.shape[0]:
                            place, weight = _more3(place, 0), _more3(weight, 0)
                        count += split_piece(place, weight, row, count, edge)
        if count > 1:
            if total + count > source.shape[0]:
                source, places, weights = _more(source, total + count), _more3(places, total + count), _more3(weights, total + count)
            source[total : total + count] = m
            places[total : total + count], weights[total : total + count] = place[:count], weight[:count]
            total += count
    return source[:total].copy(), places[:total].copy(), weights[:total].copy()


# ---------------------------------------------------------------- points on sides, and triangles again


@njit(cache=True)
def _turn(xyz: Floats, a: int, b: int, c: int, normal: Floats) -> float:
    """Return twice the area of a-b-c as `normal` (unit) sees it [m²]; negative where it runs the other way."""
    ux, uy, uz = xyz[b, 0] - xyz[a, 0], xyz[b, 1] - xyz[a, 1], xyz[b, 2] - xyz[a, 2]
    vx, vy, vz = xyz[c, 0] - xyz[a, 0], xyz[c, 1] - xyz[a, 1], xyz[c, 2] - xyz[a, 2]
    return float(normal[0] * (uy * vz - uz * vy) + normal[1] * (uz * vx - ux * vz) + normal[2] * (ux * vy - uy * vx))


@njit(cache=True)
def _distance2(xyz: Floats, a: int, b: int) -> float:
    """Return the squared distance of two points [m²]."""
    x, y, z = xyz[a, 0] - xyz[b, 0], xyz[a, 1] - xyz[b, 1], xyz[a, 2] - xyz[b, 2]
    return float(x * x + y * y + z * z)


@njit(cache=True)
def _normal(xyz: Floats) -> Floats:
    """Return the unit normal of the first three points; zero where they lie on a line."""
    u, v = xyz[1] - xyz[0], xyz[2] - xyz[0]
    n = np.array([u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]])
    length = np.sqrt((n * n).sum())
    return n / length if length > 0.0 else n


@njit(cache=True)
def _without_spikes(ring: Ints, count: int) -> int:
    """Take repeated corners and spikes a-b-a out of a ring, in place; returns how many corners are left (0: nothing)."""
    again = True
    while again and count > 2:
        again = False
        for k in range(count):
            after = (k + 1) % count
            before = (k - 1) % count
            if ring[k] == ring[after] or ring[before] == ring[after]:
                for n in range(k, count - 1):
                    ring[n] = ring[n + 1]
                count -= 1
                again = True
                break
    return count if count > 2 else 0


@njit(cache=True)
def _ear(ring: Ints, count: int, k: int, xyz: Floats, normal: Floats) -> float:
    """Return how good an ear corner k is, 0 where it is none: its area over its longest side squared."""
    a, b, c = ring[(k - 1) % count], ring[k], ring[(k + 1) % count]
    area = _turn(xyz, a, b, c, normal)
    longest = max(_distance2(xyz, a, b), _distance2(xyz, b, c), _distance2(xyz, c, a))
    if area <= 0.0 or longest == 0.0 or area / np.sqrt(longest) < ON_PLANE:
        return 0.0
    for n in range(count):
        p = ring[n]
        if p != a and p != b and p != c:  # noqa: PLR1714  # plain comparisons compile best
            margin = -ON_PLANE
            if (
                _turn(xyz, a, b, p, normal) >= margin * np.sqrt(_distance2(xyz, a, b))
                and _turn(xyz, b, c, p, normal) >= margin * np.sqrt(_distance2(xyz, b, c))
                and _turn(xyz, c, a, p, normal) >= margin * np.sqrt(_distance2(xyz, c, a))
            ):
                return 0.0
    return float(area / longest)


@njit(cache=True)
def _clip(ring: Ints, count: int, xyz: Floats, normal: Floats, out: Ints) -> int:
    """Divide a ring into triangles, into `out` (t, 3); returns how many. The ring is used up.

    Where no ear fits (all corners on a line) the ring is divided as a fan: the triangles have no area, but its border stays.
    """
    made = 0
    while count > 3:
        best, found = 0.0, -1
        for k in range(count):
            good = _ear(ring, count, k, xyz, normal)
            if good > best:
                best, found = good, k
                if count > FEW:
                    break
        if found < 0:
            found = 1
        out[made, 0], out[made, 1], out[made, 2] = ring[(found - 1) % count], ring[found], ring[(found + 1) % count]
        made += 1
        for n in range(found, count - 1):
            ring[n] = ring[n + 1]
        count = _without_spikes(ring, count - 1)
    if count == 3:
        out[made, 0], out[made, 1], out[made, 2] = ring[0], ring[1], ring[2]
        made += 1
    return made


@njit(cache=True)
def _insert_inside(ring: Ints, count: int, u: int, v: int, xyz: Floats, by_x: Ints, xs: Floats) -> int:
    """Add to a ring the points that lie on the side u-v strictly between its ends, in their order; returns its new length."""
    length2 = _distance2(xyz, u, v)
    if length2 == 0.0:
        return count
    first, t_first = count, np.empty(8)
    left, right = min(xyz[u, 0], xyz[v, 0]) - ON_SIDE, max(xyz[u, 0], xyz[v, 0]) + ON_SIDE
    at = np.searchsorted(xs, left)
    while at < xs.shape[0] and xs[at] <= right:
        p = by_x[at]
        at += 1
        if p == u or p == v:  # noqa: PLR1714, SIM109  # plain comparisons compile best
            continue
        t, off = 0.0, 0.0
        for n in range(3):
            t += (xyz[p, n] - xyz[u, n]) * (xyz[v, n] - xyz[u, n])
        t /= length2
        if t <= 0.0 or t >= 1.0:
            continue
        for n in range(3):
            off += (xyz[u, n] + t * (xyz[v, n] - xyz[u, n]) - xyz[p, n]) ** 2
        if off > ON_SIDE * ON_SIDE:
            continue
        if count - first == t_first.shape[0]:
            wider = np.empty(2 * t_first.shape[0])
            wider[: t_first.shape[0]] = t_first
            t_first = wider
        k = count
        while k > first and t_first[k - 1 - first] > t:  # insertion sort along the side
            ring[k], t_first[k - first] = ring[k - 1], t_first[k - 1 - first]
            k -= 1
        ring[k], t_first[k - first] = p, t
        count += 1
    return count


@njit(cache=True)
def _insert_on_edge(ring: Ints, count: int, ends: tuple[int, int], on_edge: Ints, forward: Any, local: Ints) -> int:
    """Add to a ring the points of a mesh edge strictly between two ranks, seen from the side's start; returns its new length."""
    r, s = ends
    size = on_edge.shape[0]
    step = 1 if s > r else -1
    for rank in range(r + step, s, step):
        ring[count] = local[on_edge[rank - 1 if forward else size - rank]]
        count += 1
    return count


@njit(cache=True)
def _remember(p: int, share: Floats, count: int, name: Ints, weight: Floats, local: Ints) -> int:
    """Give a point its place among those of a triangle, unless it has one; returns how many there are."""
    if local[p] >= 0:
        return count
    local[p], name[count], weight[count] = count, p, share
    return count + 1


@njit(cache=True)
def _gather(
    points: Floats, corner: Ints, faces: Ints, weights: Floats, lists: tuple[Ints, Ints, Ints], forward: Any, name: Ints, weight: Floats,
    rank: Ints, local: Ints,
) -> int:  # fmt: skip
    """Collect the points of one triangle: corners, points of its pieces, points on its edges with their rank there; returns how many."""
    slot, list_start, list_point = lists
    count = 0
    for k in range(3):
        count = _remember(corner[k], np.eye(3)[k], count, name, weight, local)
    if count < 3:  # a corner twice
        return count
    for f in range(faces.shape[0]):
        for k in range(3):
            count = _remember(faces[f, k], weights[f, k], count, name, weight, local)
    share = np.zeros(3)
    for k in range(3):
        after = (k + 1) % 3
        on_edge = list_point[list_start[slot[k]] : list_start[slot[k] + 1]] if slot[k] >= 0 else list_point[:0]
        size = on_edge.shape[0]
        u, v = points[corner[k]], points[corner[after]]
        for n in range(size):
            share[:] = 0.0
            share[after] = ((points[on_edge[n]] - u) * (v - u)).sum() / ((v - u) * (v - u)).sum()
            share[k] = 1.0 - share[after]
            count = _remember(on_edge[n], share, count, name, weight, local)
            rank[local[on_edge[n]], k] = n + 1 if forward[k] else size - n
        rank[k, k], rank[after, k] = 0, size + 1
    return count


@njit(cache=True)
def _ring(
    face: Ints, ring: Ints, lists: tuple[Ints, Ints, Ints], forward: Any, rank: Ints, local: Ints, xyz: Floats, by_x: Ints, xs: Floats
) -> int:
    """Write the corners of a piece with all points on its sides into `ring`; returns how many."""
    slot, list_start, list_point = lists
    count = 0
    for k in range(3):
        u, v = local[face[k]], local[face[(k + 1) % 3]]
        ring[count] = u
        count += 1
        if u == v:
            continue
        on = -1
        for n in range(3):
            if rank[u, n] >= 0 and rank[v, n] >= 0:
                on = n
        if on < 0:
            count = _insert_inside(ring, count, u, v, xyz, by_x, xs)
        elif slot[on] >= 0:
            on_edge = list_point[list_start[slot[on]] : list_start[slot[on] + 1]]
            count = _insert_on_edge(ring, count, (rank[u, on], rank[v, on]), on_edge, forward[on], local)
    return int(_without_spikes(ring, count))


@njit(cache=True)
def stitch(
    points: Floats, triangles: Any, touched: Ints, faces: Ints, weights: Floats, face_start: Ints, slot: Ints, forward: Any,
    list_start: Ints, list_point: Ints,
) -> tuple[Ints, Ints, Floats]:  # fmt: skip
    """Return the triangles of every touched triangle with all points on its sides: row (t,), points (t, 3), weights (t, 3, 3).

    Parameters
    ----------
    points : shape (n, 3)
        Old and new points [m].
    triangles : shape (m, 3)
        The mesh as it was.
    touched : shape (k,)
        Triangles to work on; rows of the result count in it.
    faces, weights : shape (p, 3), (p, 3, 3)
        Their pieces; `face_start` (k + 1,) says which belong to which.
    slot, forward : shape (k, 3)
        For the mesh edge from corner j to the next: its row in the lists of points on edges (-1 none), and whether the list runs that way.
    list_start, list_point
        The new points on each mesh edge, in order.
    """
    local = np.full(points.shape[0], -1, np.int64)
    source, total = np.empty(64, np.int64), 0
    made, made_weights = np.empty((64, 3), np.int64), np.empty((64, 3, 3))
    for m in range(touched.shape[0]):
        mine = faces[face_start[m] : face_start[m + 1]]
        lists = (slot[m], list_start, list_point)
        room = 3 + 3 * mine.shape[0]
        for k in range(3):
            if slot[m, k] >= 0:
                room += list_start[slot[m, k] + 1] - list_start[slot[m, k]]
        name, weight, rank = np.empty(room, np.int64), np.empty((room, 3)), np.full((room, 3), -1, np.int64)
        held = weights[face_start[m] : face_start[m + 1]]
        count = _gather(points, triangles[touched[m]].astype(np.int64), mine, held, lists, forward[m], name, weight, rank, local)
        xyz = points[name[:count]]
        by_x = np.argsort(xyz[:, 0])
        xs = xyz[by_x, 0]
        ring, out = np.empty(4 * count + 8, np.int64), np.empty((4 * count + 8, 3), np.int64)
        for f in range(mine.shape[0] if count > 2 else 0):
            corners = _ring(mine[f], ring, lists, forward[m], rank, local, xyz, by_x, xs)
            new = _clip(ring, corners, xyz, _normal(xyz), out)
            if total + new > source.shape[0]:
                source, made_weights = _more(source, total + new), _more3(made_weights, total + new)
                wider = np.empty((source.shape[0], 3), np.int64)
                wider[:total] = made[:total]
                made = wider
            for n in range(new):
                source[total + n] = m
                for k in range(3):
                    made[total + n, k] = name[out[n, k]]
                    made_weights[total + n, k] = weight[out[n, k]]
            total += new
        for k in range(count):
            local[name[k]] = -1
    return source[:total].copy(), made[:total].copy(), made_weights[:total].copy()
