"""The equations of local inertial flow, as numba row functions; `inertial` says what they are for.

A face lies west (x) or north (y) of the cell of the same place. Row functions write into rows of the work space; a row of cells is
finished one row late, when it is known what the cells south of it can give.
"""

from __future__ import annotations

import numpy as np

from cim.sim.flood.kernels import CLOSED, GRAVITY, INFLOW, PAD, ROOT_G, STAGE, _inlined, _jit, _sixth

__all__ = ["THETA", "mean_of_faces", "move"]

THETA = 0.9
"""Share of a face's own discharge in its inertia; the rest comes from the two next to it, and damps [-]."""
_STEEP = 200.0
"""Froude number that a slope adds to the limit of 1, per unit slope: on slopes of 1 % and more, friction rules down to n = 0.01 [-]."""
_KINEMATIC = 2.36  # a film's wave runs at 5/3 of its velocity; times the root of two where it runs across the cells
_SURE = 1.0 - 1e-6  # of a cell's water may leave: the rest pays for rounding
_X, _Y, _SHARE, _FASTEST, _DEEPEST, _NONE = 0, 2, 5, 7, 8, 9  # rows of the work space: two, three, two, and one of each


@_inlined
def _through(h_l, z_l, h_r, z_r, before, q, after, across, rub, dt_per_dx, per_dx, dry):
    """Return the new unit discharge of a face [m²/s] and its velocity [m/s].

    `before`, `q`, `after`: old discharge of the face before, the face, the face after; `across`: the mean of the four faces around it that
    lie across; `rub`: time step times g n².
    """
    number = type(h_l)
    zero, quarter, half, one, two = number(0.0), number(0.25), number(0.5), number(1.0), number(2.0)
    dz = z_r - z_l
    de = dz + (h_r - h_l)
    flowing = max(h_l - max(zero, dz), h_r + min(zero, dz), zero)  # highest level less highest bed; a wall leaves nothing
    wet = max(flowing, dry)
    root = _sixth(wet)
    squared = root * root
    inverse = squared * squared * squared
    drag = rub * (inverse * inverse * squared)
    push = number(THETA) * q + number(0.5 - 0.5 * THETA) * (before + after) - number(GRAVITY) * dt_per_dx * flowing * de
    push_across = across * (one + drag * np.sqrt(q * q + across * across))
    new = push / (half + np.sqrt(quarter + drag * np.sqrt(push * push + push_across * push_across)))
    slope = max(min(dz, de), zero, -max(dz, de)) * per_dx  # of the bed, as far as the surface follows it
    share = min(max(two - two * abs(dz) * per_dx, zero), one)
    top = number(ROOT_G) * flowing * (wet * squared * root) * (one + number(_STEEP) * share * slope)
    new = min(max(new, -top), top)
    return new, abs(new) * inverse


@_jit
def _row_x(h, z, q, north, south, rough, out, fastest, dt, dt_per_dx, per_dx, dry, n):
    """Write the unit discharge of n faces between the cells of a row [m²/s]; `fastest` keeps the largest velocity of each [m/s].

    The rows begin one cell west of the first face; `north`, `south`: old discharge of the faces on both sides of the cells.
    """
    number = h.dtype.type
    half_dt, quarter = number(0.5) * dt, number(0.25)
    for i in range(n):
        across = quarter * ((north[i] + north[i + 1]) + (south[i] + south[i + 1]))
        new, velocity = _through(h[i], z[i], h[i + 1], z[i + 1], q[i], q[i + 1], q[i + 2], across, half_dt * (rough[i] + rough[i + 1]),
                                 dt_per_dx, per_dx, dry)  # fmt: skip
        out[i] = new
        fastest[i] = max(fastest[i], velocity)


@_jit
def _row_y(h_n, z_n, h_s, z_s, before, q, after, north, south, rough_n, rough_s, out, fastest, dt, dt_per_dx, per_dx, dry, n):
    """Write the unit discharge of n faces between two rows of cells [m²/s]; `fastest` keeps the largest velocity of each [m/s].

    `north`, `south`: old discharge of the faces along the two rows, from the western one of the first cell on.
    """
    number = h_n.dtype.type
    half_dt, quarter = number(0.5) * dt, number(0.25)
    for i in range(n):
        across = quarter * ((north[i] + north[i + 1]) + (south[i] + south[i + 1]))
        new, velocity = _through(h_n[i], z_n[i], h_s[i], z_s[i], before[i], q[i], after[i], across, half_dt * (rough_n[i] + rough_s[i]),
                                 dt_per_dx, per_dx, dry)  # fmt: skip
        out[i] = new
        fastest[i] = max(fastest[i], velocity)


@_jit
def _edge(kind, value, h, q, inner, inner_depth, friction, dt, dt_per_dx, dry):
    """Return what leaves through an outer face [m²/s]; discharges count outwards.

    `value`: depth beyond the face (STAGE) or discharge that enters (INFLOW); `q`: old discharge of the face, `inner` that of the face
    on the other side of the cell, with its depth.
    """
    if kind == INFLOW:
        return -value
    if kind == STAGE:
        depth = max(value, h)
        if depth <= dry:
            return 0.0
        push = THETA * q + (1.0 - THETA) * inner - GRAVITY * dt_per_dx * depth * (value - h)
        new = 2.0 * push / (1.0 + np.sqrt(1.0 + 4.0 * dt * friction * abs(push) * depth ** (-7.0 / 3.0)))
        top = depth * np.sqrt(GRAVITY * depth)
        return min(max(new, -top), top)
    return h * max(inner, 0.0) / inner_depth if inner_depth > dry else 0.0


@_jit
def _depth_between(hl, zl, hr, zr):
    """Return the depth that flows between two cells [m]: highest level less highest bed."""
    return max(hl - max(0.0, zr - zl), hr + min(0.0, zr - zl), 0.0)


@_jit
def _edges_x(kind, value, h, z, fx, friction, j, row, i0, i1, first, last, dt, dt_per_dx, dry):
    """Put the flow through the western and eastern outer faces of row j in their places."""
    k, n = j - PAD, i1 - i0
    if first and kind[0, k] != CLOSED:
        between = _depth_between(h[j, i0], z[j, i0], h[j, i0 + 1], z[j, i0 + 1])
        row[1] = -_edge(kind[0, k], value[0, k], h[j, i0], -fx[j, i0], -fx[j, i0 + 1], between, friction[i0], dt, dt_per_dx, dry)
    if last and kind[1, k] != CLOSED:
        between = _depth_between(h[j, i1 - 2], z[j, i1 - 2], h[j, i1 - 1], z[j, i1 - 1])
        row[n + 1] = _edge(kind[1, k], value[1, k], h[j, i1 - 1], fx[j, i1], fx[j, i1 - 1], between, friction[i1 - 1], dt, dt_per_dx, dry)


@_jit
def _edges_y(kind, value, h, z, fy, friction, r, row, i0, i1, columns, dt, dt_per_dx, dry):
    """Put the flow through the northern or southern outer faces in their places: row r of faces, one column more on either side."""
    side, cell, inner = (2, r, r + 1) if r == PAD else (3, r - 1, r - 1)
    other = cell + 1 if side == 2 else cell - 1
    out = -1.0 if side == 2 else 1.0
    for i in range(max(i0 - 1, PAD), min(i1 + 1, columns - PAD)):
        if kind[side, i - PAD] != CLOSED:
            between = _depth_between(h[cell, i], z[cell, i], h[other, i], z[other, i])
            q = _edge(kind[side, i - PAD], value[side, i - PAD], h[cell, i], out * fy[r, i], out * fy[inner, i], between, friction[i],
                      dt, dt_per_dx, dry)  # fmt: skip
            row[i - i0 + 1] = out * q


@_jit
def _shares(h, x, north, south, share, dt_per_dx, n):
    """Write which share of what should leave each of n cells may: all of it, or as much as the cell holds."""
    number = h.dtype.type
    zero, one, sure, tiny = number(0.0), number(1.0), number(_SURE), number(1e-30)
    for i in range(n):
        leaving = dt_per_dx * ((max(x[i + 1], zero) - min(x[i], zero)) + (max(south[i], zero) - min(north[i], zero)))
        share[i] = min(one, sure * h[i] / max(leaving, tiny))


@_jit
def _limit(flow, giver, taker, n):
    """Lower the flow through n faces to what the cells that give it may."""
    zero = flow.dtype.type(0.0)
    for i in range(n):
        forward, backward, q = giver[i], taker[i], flow[i]
        flow[i] = q * (forward if q > zero else backward)


@_jit
def _update(h, carry, x, north, south, rain, h_new, fx_new, fy_new, deepest, dt, dt_per_dx, n):
    """Move the depth of one row on by the flow through its faces and the rain, and keep the flow.

    What a cell could not give for rounding stays in the digits that are carried on.
    """
    zero = h.dtype.type(0.0)
    for i in range(n):
        change = dt * rain[i] - dt_per_dx * ((x[i + 1] - x[i]) + (south[i] - north[i])) - carry[i]
        new = max(h[i] + change, zero)
        carry[i] = (new - h[i]) - change
        h_new[i] = new
        deepest[i] = max(deepest[i], new)
    for i in range(n):
        fx_new[i], fy_new[i] = x[i], north[i]


@_jit
def _flow_x(h, fx, fy, z, friction, j, i0, n, work, dt, dt_per_dx, per_dx, dry):
    """Write the faces that lie west of the cells of row j, from one column before on."""
    a, b = i0 - 2, i0 - 1 + n
    _row_x(h[j, a:b], z[j, a:b], fx[j, a : b + 1], fy[j, a:b], fy[j + 1, a:b], friction[j if friction.shape[0] > 1 else 0, a:b],
           work[_X + j % 2], work[_FASTEST], dt, dt_per_dx, per_dx, dry, n)  # fmt: skip


@_jit
def _flow_y(h, fx, fy, z, friction, r, i0, n, work, dt, dt_per_dx, per_dx, dry):
    """Write row r of faces that lie north of cells, one column more on either side."""
    a, b = i0 - 1, i0 - 1 + n
    above, here = (r - 1, r) if friction.shape[0] > 1 else (0, 0)
    _row_y(h[r - 1, a:b], z[r - 1, a:b], h[r, a:b], z[r, a:b], fy[r - 1, a:b], fy[r, a:b], fy[r + 1, a:b], fx[r - 1, a : b + 1],
           fx[r, a : b + 1], friction[above, a:b], friction[here, a:b], work[_Y + r % 3], work[_FASTEST],
           dt, dt_per_dx, per_dx, dry, n)  # fmt: skip


@_jit
def move(h, fx, fy, carry, h_new, fx_new, fy_new, z, ground_friction, rain, tiles, edges, dt, dx, dry, work, speed):
    """Move the tiles on by one step.

    Parameters
    ----------
    h, carry, h_new, z, ground_friction, rain, tiles, speed
        As in `kernels.step_first`.
    fx, fy, fx_new, fy_new : padded, shape (ny + 2 PAD, nx + 2 PAD)
        Unit discharge through the western and the northern face of each cell, to the east and the south [m²/s].
    edges : kind, value, bed, given, out
        Boundaries, of which `kind` and `value` count; `out` receives the outflow [m²/s].
    """
    kind, value, _, _, out = edges
    rows, columns = h.shape
    number = h.dtype.type
    zero, one, g, kinematic = number(0.0), number(1.0), number(GRAVITY), number(_KINEMATIC)
    per_dx, dt_per_dx = one / dx, dt / dx
    kept = carry.shape[0] > 1
    for t in range(tiles.shape[0]):
        tile, j0, j1, i0, i1 = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        n = i1 - i0
        first, last, bottom = i0 == PAD, i1 == columns - PAD, j1 == rows - PAD
        wide = n + 2 if last else n + 3
        for i in range(n + 3):
            work[_FASTEST, i], work[_DEEPEST, i] = zero, zero
        _flow_y(h, fx, fy, z, ground_friction, j0 - 1, i0, n + 2, work, dt, dt_per_dx, per_dx, dry)
        for j in range(j0 - 1, j1 + 1):
            x, north, south, share = work[_X + j % 2], work[_Y + j % 3], work[_Y + (j + 1) % 3], work[_SHARE + j % 2]
            x[n + 2] = zero
            _flow_x(h, fx, fy, z, ground_friction, j, i0, wide, work, dt, dt_per_dx, per_dx, dry)
            inside = PAD <= j < rows - PAD
            rub = ground_friction[j if ground_friction.shape[0] > 1 else 0]
            if inside and (first or last):
                _edges_x(kind, value, h, z, fx, rub, j, x, i0, i1, first, last, dt, dt_per_dx, dry)
            if j == j1 and bottom:
                for i in range(n + 2):
                    south[i] = zero
            else:
                _flow_y(h, fx, fy, z, ground_friction, j + 1, i0, n + 2, work, dt, dt_per_dx, per_dx, dry)
                if j + 1 == PAD or j + 1 == rows - PAD:
                    cell = (PAD if j + 1 == PAD else j) if ground_friction.shape[0] > 1 else 0
                    _edges_y(kind, value, h, z, fy, ground_friction[cell], j + 1, south, i0, i1, columns, dt, dt_per_dx, dry)
            _shares(h[j, i0 - 1 : i1 + 1], x, north, south, share, dt_per_dx, n + 2)
            share[0] = one if first else share[0]  # what enters from outside is not limited
            share[n + 1] = one if last else share[n + 1]
            if not inside:
                for i in range(n + 2):
                    share[i] = one
            _limit(x[1:], share, share[1:], n + 1)
            if j >= j0:
                _limit(north[1:], work[_SHARE + (j + 1) % 2, 1:], share[1:], n)
            if inside and first and j0 <= j < j1:
                out[0, j - PAD] = -x[1]
            if inside and last and j0 <= j < j1:
                out[1, j - PAD] = x[n + 1]
                fx_new[j, i1] = x[n + 1]
            if j == PAD and j0 == PAD:
                for i in range(n):
                    out[2, i0 - PAD + i] = -north[i + 1]
            if j == j1 and bottom:
                for i in range(n):
                    out[3, i0 - PAD + i] = north[i + 1]
                    fy_new[j1, i0 + i] = north[i + 1]
            if j > j0:
                k = j - 1
                if not kept:
                    for i in range(n):
                        work[_NONE, i] = zero
                lost = carry[k, i0:i1] if kept else work[_NONE, :n]
                _update(h[k, i0:i1], lost, work[_X + k % 2, 1:], work[_Y + k % 3, 1:], north[1:],
                        rain[k if rain.shape[0] > 1 else 0, i0:i1], h_new[k, i0:i1], fx_new[k, i0:i1], fy_new[k, i0:i1], work[_DEEPEST],
                        dt, dt_per_dx, n)  # fmt: skip
        deepest, fastest = zero, zero
        for i in range(n):
            deepest = max(deepest, work[_DEEPEST, i])
        for i in range(n + 3):
            fastest = max(fastest, work[_FASTEST, i])
        speed[tile] = max(np.sqrt(g * deepest), kinematic * fastest) if deepest > zero else zero


@_jit
def _means(h_lo, z_lo, h, z, h_hi, z_hi, q_lo, q_hi, now, out, dry, n):
    """Write the unit discharge in n cells of a row along one axis [m²/s]: the mean of both faces, no faster than the faster of them.

    `h`: the depths that gave the faces theirs, `now`: those that came of it. A face to outside is as deep as the cell.
    """
    number = h.dtype.type
    zero, half = number(0.0), number(0.5)
    for i in range(n):
        here = max(h[i], now[i])
        step_lo, step_hi = z[i] - z_lo[i], z_hi[i] - z[i]
        depth_lo = max(h_lo[i] - max(zero, step_lo), h[i] + min(zero, step_lo))
        depth_hi = max(h[i] - max(zero, step_hi), h_hi[i] + min(zero, step_hi))
        depth_lo, depth_hi = (depth_lo if depth_lo > dry else here), (depth_hi if depth_hi > dry else here)
        most = now[i] * max(abs(q_lo[i]) / max(depth_lo, dry), abs(q_hi[i]) / max(depth_hi, dry))
        out[i] = min(max(half * (q_lo[i] + q_hi[i]), -most), most)


@_jit
def mean_of_faces(before, h, fx, fy, z, qx, qy, tiles, dry):
    """Write the unit discharge in the cells of the tiles [m²/s]; `before`: the depths [m] that gave the faces theirs."""
    for t in range(tiles.shape[0]):
        a, b = tiles[t, 3], tiles[t, 4]
        for j in range(tiles[t, 1], tiles[t, 2]):
            _means(before[j, a - 1 : b - 1], z[j, a - 1 : b - 1], before[j, a:b], z[j, a:b], before[j, a + 1 : b + 1], z[j, a + 1 : b + 1],
                   fx[j, a:b], fx[j, a + 1 : b + 1], h[j, a:b], qx[j, a:b], dry, b - a)  # fmt: skip
            _means(before[j - 1, a:b], z[j - 1, a:b], before[j, a:b], z[j, a:b], before[j + 1, a:b], z[j + 1, a:b],
                   fy[j, a:b], fy[j + 1, a:b], h[j, a:b], qy[j, a:b], dry, b - a)  # fmt: skip
