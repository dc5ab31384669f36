"""Compiled loops over flattened geometry: normals of rings, and what can be said about surfaces and shells without a doubt.

A ring is called simple only where floating point cannot be wrong about it (the error of an orientation is bounded, Shewchuk 1997);
all others are left to the exact predicates of GEOS. `cim.model.solids` and `cim.model.geometry` hold the same in numpy, for small
tables and as the yardstick of the tests.

References
----------
.. [1] Shewchuk, J. R. (1997). Adaptive precision floating-point arithmetic and fast robust geometric predicates.
   Discrete & Computational Geometry 18:305-363. doi:10.1007/PL00009321
"""

# mypy: allow-untyped-decorators
# ruff: noqa: C901, PLR0912, PLR0913, PLR0915, PLR0917, PLR1714, FBT001
# Compiled loops take many arrays, have all their cases in one place, and compile best from plain comparisons.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["CROWDED", "DOUBTFUL", "FEW", "OPENED", "TWISTED", "inspect", "normals", "outlines", "simple", "sure"]

OPENED, CROWDED, TWISTED = 1, 2, 4
FEW, DOUBTFUL = 1, 2
_ERROR = 1e-15
"""Bound of the error of an orientation, relative to the sum of its products; (3 + 16e)e with e = 2^-53 is 3.4e-16."""
_MANY = 256
"""Corners up to which every pair of sides is looked at."""
_P = types.Array(types.float64, 2, "C", readonly=True)
_R = types.Array(types.int64, 1, "C", readonly=True)
_BITS = types.Array(types.int64, 2, "C", readonly=True)
_FLAGS = types.Array(types.boolean, 1, "C", readonly=True)
_F, _I, _B = types.float64[::1], types.int64[::1], types.uint8[::1]


@njit(types.void(_P, _R, _R, types.float64[:, ::1]), cache=True)
def normals(points: Reals, index: Ints, start: Ints, out: Reals) -> None:
    """Write the area vector of each ring [m²], from its first corner (Newell)."""
    for r in range(start.shape[0] - 1):
        first, last = start[r], start[r + 1]
        nx = ny = nz = 0.0
        if last > first:
            ox, oy, oz = points[index[first], 0], points[index[first], 1], points[index[first], 2]
            ax = ay = az = 0.0
            for k in range(first + 1, last):
                v = index[k]
                bx, by, bz = points[v, 0] - ox, points[v, 1] - oy, points[v, 2] - oz
                nx += ay * bz - az * by
                ny += az * bx - ax * bz
                nz += ax * by - ay * bx
                ax, ay, az = bx, by, bz
        out[r, 0], out[r, 1], out[r, 2] = nx / 2, ny / 2, nz / 2


@njit(types.int64(_F, _F, types.int64, types.int64, types.int64), cache=True)
def _side(x: Reals, y: Reals, a: int, b: int, c: int) -> int:
    """Return on which side of the line through a and b point c lies: 1, -1, or 0 where that is in doubt."""
    left = (x[b] - x[a]) * (y[c] - y[a])
    right = (y[b] - y[a]) * (x[c] - x[a])
    turn = left - right
    bound = _ERROR * (abs(left) + abs(right))
    return 1 if turn > bound else -1 if turn < -bound else 0


@njit(types.boolean(_F, _F, types.int64), cache=True)
def simple(x: Reals, y: Reals, n: int) -> bool:
    """Return whether a ring of n corners does not touch itself, without a doubt."""
    if n < 3:
        return False
    turns = 0
    flips = 0
    last = 0
    convex = True
    for k in range(n):
        a, c = (k - 1 if k else n - 1), (k + 1 if k + 1 < n else 0)
        dx = x[c] - x[k]
        direction = 1 if dx > 0 else -1 if dx < 0 else 0
        if direction != 0:
            if last != 0 and direction != last:
                flips += 1
            last = direction
        side = _side(x, y, a, k, c)
        if side == 0:
            convex = False
            if not (x[k] - x[a]) * dx + (y[k] - y[a]) * (y[c] - y[k]) > 0:
                return False
        if k == 0:
            turns = side
        elif side != turns:
            convex = False
    if convex and flips <= 2:
        return True
    if n > _MANY:
        return False
    for i in range(n - 2):
        a, b = i, i + 1
        low_x, high_x = min(x[a], x[b]), max(x[a], x[b])
        low_y, high_y = min(y[a], y[b]), max(y[a], y[b])
        for j in range(i + 2, n):
            c, d = j, (j + 1 if j + 1 < n else 0)
            if d == a:
                continue
            if (x[c] > high_x and x[d] > high_x) or (x[c] < low_x and x[d] < low_x):
                continue
            if (y[c] > high_y and y[d] > high_y) or (y[c] < low_y and y[d] < low_y):
                continue
            left = _side(x, y, a, b, c)
            if left != 0 and left == _side(x, y, a, b, d):
                continue
            left = _side(x, y, c, d, a)
            if left != 0 and left == _side(x, y, c, d, b):
                continue
            return False
    return True


@njit(types.void(_F, _F, _R, _B), cache=True)
def sure(x: Reals, y: Reals, ring_start: Ints, found: Any) -> None:
    """Mark the rings that do not touch themselves, without a doubt: a polygon of one such ring is valid."""
    for r in range(ring_start.shape[0] - 1):
        first, last = ring_start[r], ring_start[r + 1]
        found[r] = simple(x[first:last], y[first:last], last - first)


@njit(types.void(_BITS, types.int64, types.int64, _I, _I), cache=True)
def _weld(bits: Any, first: int, last: int, table: Ints, same: Ints) -> None:
    """Write for each vertex of a geometry the first one at the same place; `bits` are those of the coordinates."""
    n = last - first
    if n <= 24:
        for v in range(first, last):
            same[v] = v
            for u in range(first, v):
                if bits[u, 0] == bits[v, 0] and bits[u, 1] == bits[v, 1] and bits[u, 2] == bits[v, 2]:
                    same[v] = u
                    break
        return
    size = 1
    while size < 2 * n:
        size *= 2
    table[:size] = -1
    for v in range(first, last):
        x, y, z = bits[v, 0], bits[v, 1], bits[v, 2]
        mixed = x * np.int64(-7046029254386353131) ^ (y * np.int64(-4417276706812531889)) ^ (z * np.int64(1609587929392839161))
        mixed ^= mixed >> 29
        mixed *= np.int64(-7046029254386353131)
        place = (mixed >> 32) & (size - 1)
        while True:
            other = table[place]
            if other < 0:
                table[place] = v
                same[v] = v
                break
            if bits[other, 0] == x and bits[other, 1] == y and bits[other, 2] == z:
                same[v] = other
                break
            place = (place + 1) & (size - 1)


@njit(types.int64(types.int64, types.int64, _R, _R, _I, _I, _I, _I), cache=True)
def _edges(first: int, last: int, index: Ints, ring_start: Ints, same: Ints, table: Ints, uses: Ints, balance: Ints) -> int:
    """Return what is wrong with the edges of the rings `first` to `last` of a shell."""
    size = 1
    while size < 2 * (ring_start[last] - ring_start[first]) + 2:
        size *= 2
    table[:size] = -1
    uses[:size] = 0
    balance[:size] = 0
    for r in range(first, last):
        begin, end = ring_start[r], ring_start[r + 1]
        for k in range(begin, end):
            a = same[index[k]]
            b = same[index[k + 1 if k + 1 < end else begin]]
            if a == b:
                continue
            low, high = min(a, b), max(a, b)
            key = low << 32 | high
            mixed = key * np.int64(-7046029254386353131)
            place = ((mixed ^ mixed >> 29) >> 16) & (size - 1)
            while table[place] != -1 and table[place] != key:
                place = (place + 1) & (size - 1)
            table[place] = key
            uses[place] += 1
            balance[place] += 1 if a < b else -1
    found = 0
    for place in range(size):
        if uses[place] == 0:
            continue
        if uses[place] % 2 == 1:
            found |= OPENED
        elif uses[place] > 2:
            found |= CROWDED
        if uses[place] % 2 == 0 and balance[place] != 0:
            found |= TWISTED
    return found


@njit(types.void(_P, _BITS, _R, _R, _R, _R, _R, _R, _FLAGS, types.boolean, types.int64, types.int64, _B, _F, _B, _F), cache=True)
def inspect(
    points: Reals, bits: Any, index: Ints, ring_start: Ints, surface_start: Ints, shell_start: Ints, shell_of: Ints, vertex_start: Ints,
    solid: Any, planar: bool, room: int, widest: int, shells: Any, volumes: Reals, surfaces: Any, errors: Reals,
) -> None:  # fmt: skip
    """Look at every surface and shell once.

    Parameters
    ----------
    points, bits
        Vertices, and the bits of their coordinates.
    shell_of : shape (g + 1,)
        First shell of each geometry.
    solid : shape (g,)
        Whether a geometry is a solid: only then its edges are looked at, and its volume is measured.
    planar
        Whether flatness is measured.
    room, widest
        Size of the tables: a power of two above four times the largest number of vertices of a geometry, or corners of a shell; and the
        largest number of corners of a ring.
    shells, volumes
        Get what is wrong with the edges of each shell, and its signed volume [m³].
    surfaces, errors
        Get what is wrong with each surface (1: too few corners, 2: it takes exact predicates to know that it is simple), and how far
        it is from flat [m].
    """
    table, uses, balance = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    same = np.empty(points.shape[0], np.int64)
    x, y = np.empty(widest + 1), np.empty(widest + 1)
    for g in range(shell_of.shape[0] - 1):
        _weld(bits, vertex_start[g], vertex_start[g + 1], table, same)
        for h in range(shell_of[g], shell_of[g + 1]):
            if solid[g]:
                rings = surface_start[shell_start[h]], surface_start[shell_start[h + 1]]
                shells[h] = _edges(rings[0], rings[1], index, ring_start, same, table, uses, balance)
            volume = 0.0
            corner = min(vertex_start[g], points.shape[0] - 1)
            for s in range(shell_start[h], shell_start[h + 1]):
                first, last = surface_start[s], surface_start[s + 1]
                mx = my = mz = 0.0
                few = False
                many = False
                for r in range(first, last):
                    begin, end = ring_start[r], ring_start[r + 1]
                    nx = ny = nz = 0.0
                    moves = 0
                    if end > begin:
                        v = index[begin]
                        ox, oy, oz = points[v, 0], points[v, 1], points[v, 2]
                        ax = ay = az = 0.0
                        before = same[v]
                        for k in range(begin + 1, end):
                            v = index[k]
                            bx, by, bz = points[v, 0] - ox, points[v, 1] - oy, points[v, 2] - oz
                            nx += ay * bz - az * by
                            ny += az * bx - ax * bz
                            nz += ax * by - ay * bx
                            ax, ay, az = bx, by, bz
                            moves += same[v] != before
                            before = same[v]
                        moves += before != same[index[begin]]
                        nx, ny, nz = nx / 2, ny / 2, nz / 2
                        volume += ((ox - points[corner, 0]) * nx + (oy - points[corner, 1]) * ny + (oz - points[corner, 2]) * nz) / 3
                    if moves < 3:
                        few = True
                    if moves > 3:
                        many = True
                    if r == first:
                        mx, my, mz = nx, ny, nz
                if few:
                    surfaces[s] = FEW
                if last == first:
                    continue
                begin, end = ring_start[first], ring_start[first + 1]
                if not few and last - first > 1:
                    surfaces[s] = DOUBTFUL
                elif not few and many:
                    px, py, pz = abs(mx), abs(my), abs(mz)
                    drop = 0 if px >= py and px >= pz else 1 if py >= pz else 2
                    first_axis = 1 if drop == 0 else 2 if drop == 1 else 0
                    second_axis = 2 if drop == 0 else 0 if drop == 1 else 1
                    for k in range(begin, end):
                        x[k - begin], y[k - begin] = points[index[k], first_axis], points[index[k], second_axis]
                    if not simple(x, y, end - begin):
                        surfaces[s] = DOUBTFUL
                if planar and end > begin:
                    length = np.sqrt(mx * mx + my * my + mz * mz)
                    if length > 0:
                        mx, my, mz = mx / length, my / length, mz / length
                    else:
                        mx = my = mz = 0.0
                    v = index[begin]
                    ox, oy, oz = points[v, 0], points[v, 1], points[v, 2]
                    low = high = 0.0
                    for k in range(begin, ring_start[last]):
                        v = index[k]
                        away = (points[v, 0] - ox) * mx + (points[v, 1] - oy) * my + (points[v, 2] - oz) * mz
                        low, high = min(low, away), max(high, away)
                    errors[s] = (high - low) / 2
            volumes[h] = volume


@njit(types.int64(_F, _F, _R, _R, _B, _I, _I, _I, _F), cache=True)
def outlines(
    x: Reals, y: Reals, ring_start: Ints, group_start: Ints, failed: Any, corners: Ints, loop_start: Ints, loop_group: Ints, areas: Reals,
) -> int:  # fmt: skip
    """Find the loops around groups of rings that fit edge to edge; return how many loops there are.

    Sides that two rings share go, the rest is chained. Every ring must be simple without a doubt and is run counter-clockwise, so that
    the loops of a group wind around a point as often as rings of the group cover it.

    Parameters
    ----------
    x, y, ring_start
        Corners of the rings, none repeated at the end.
    group_start : shape (g + 1,)
        Rings of each group.
    failed : shape (g,)
        Becomes 1 where sides are used twice in one direction, loops meet at a corner, or a ring is not simple.
    corners, loop_start, loop_group, areas
        Get the places in `x` of the corners of each loop, where each begins, its group, and its signed area [m²].
    """
    most = 0
    for g in range(group_start.shape[0] - 1):
        most = max(most, ring_start[group_start[g + 1]] - ring_start[group_start[g]])
    room = 16
    while room < 2 * most + 2:
        room *= 2
    spots, sides = np.empty(room, np.int64), np.empty(room, np.int64)
    alive = np.zeros(room, np.uint8)
    number, following = np.empty(most + 1, np.int64), np.empty(most + 1, np.int64)
    rx, ry = np.empty(most + 1), np.empty(most + 1)
    loops = filled = 0
    loop_start[0] = 0
    for g in range(group_start.shape[0] - 1):
        first, last = group_start[g], group_start[g + 1]
        base, total = ring_start[first], ring_start[last] - ring_start[first]
        size = 16
        while size < 2 * total + 2:
            size *= 2
        spots[:size] = -1
        sides[:size] = -1
        fine = total > 0
        for k in range(total):  # each corner gets the number of the first at its place
            px, py = x[base + k], y[base + k]
            place = (np.int64(px * 8192.0) * np.int64(-7046029254386353131) ^ (np.int64(py * 8192.0) * np.int64(1609587929392839161))) >> 13
            place &= size - 1
            while spots[place] >= 0 and (x[base + spots[place]] != px or y[base + spots[place]] != py):
                place = (place + 1) & (size - 1)
            if spots[place] < 0:
                spots[place] = k
            number[k] = spots[place]
            following[k] = -1
        for r in range(first, last):
            begin, count = ring_start[r], ring_start[r + 1] - ring_start[r]
            area = 0.0
            for k in range(count):
                rx[k], ry[k] = x[begin + k], y[begin + k]
                if k > 1:
                    area += (rx[k - 1] - rx[0]) * (ry[k] - ry[0]) - (rx[k] - rx[0]) * (ry[k - 1] - ry[0])
            if area == 0 or not simple(rx, ry, count):
                fine = False
                break
            for k in range(count):
                a, b = number[begin - base + k], number[begin - base + (k + 1 if k + 1 < count else 0)]
                if area < 0:
                    a, b = b, a
                place = ((min(a, b) * np.int64(-7046029254386353131)) ^ (max(a, b) * np.int64(1609587929392839161))) >> 13
                place &= size - 1
                key, back = a << 32 | b, b << 32 | a
                while sides[place] != -1 and sides[place] != key and sides[place] != back:
                    place = (place + 1) & (size - 1)
                if sides[place] == -1:
                    sides[place] = key
                    alive[place] = 1
                elif sides[place] == back and alive[place] == 1:
                    alive[place] = 0
                else:
                    fine = False
        if fine:
            left = 0
            for slot in range(size):
                if sides[slot] != -1 and alive[slot] == 1:
                    tail = sides[slot] >> 32
                    if following[tail] >= 0:
                        fine = False
                    following[tail] = sides[slot] & 0xFFFFFFFF
                    left += 1
            before, mark = loops, filled
            for k in range(total):
                if not fine or following[k] < 0:
                    continue
                area = 0.0
                at = k
                while following[at] >= 0:
                    corners[filled] = base + at
                    filled += 1
                    to = following[at]
                    area += (x[base + at] - x[base + k]) * (y[base + to] - y[base + k]) - (x[base + to] - x[base + k]) * (
                        y[base + at] - y[base + k]
                    )
                    following[at] = -1
                    at = to
                fine = at == k
                areas[loops] = area / 2
                loop_group[loops] = g
                loops += 1
                loop_start[loops] = filled
            if not fine or left == 0:
                loops, filled = before, mark
                fine = False
        failed[g] = 0 if fine else 1
    return loops
