"""The equations of the flood solver, all of them and only here: shallow water on square cells, as numba row functions.

State per cell: depth h [m] and unit discharges qx, qy [m²/s] along columns (east) and rows (south). Arrays are padded by `PAD` cells; a
ground above `WALL` is no ground but a wall. Each function works on a list of tiles and releases the interpreter's lock, so that threads
share the tiles; a cell is always computed at the same place of the same tile from the same numbers, so that the bits do not depend on
how many threads there are or which tiles rest.

The face between two cells follows Audusse et al. (2004, doi 10.1137/S1064827503431090) where the bed steps (a wall, a kerb) and takes the
full gravity g h dz where the water follows the bed (a slope): hydrostatic reconstruction alone drowns or starves sheet flow on slopes. Fluxes
are HLLC with two-rarefaction speeds (Toro 2001); friction is Manning's, backward Euler in closed form.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numpy as np

__all__ = ["CLOSED", "FREE", "INFLOW", "PAD", "STAGE", "WALL", "WORK", "largest", "record", "stage_second", "step_first", "volumes"]

PAD = 2
"""Cells around the domain in every array; their ground is a wall."""
WALL = 1.0e5
"""A bed step of more than this is a wall [m]."""
GRAVITY = 9.81
CLOSED, FREE, STAGE, INFLOW = 0, 1, 2, 3
"""Kinds of boundary: a wall; water leaves as it comes; a level; a discharge."""
_X, _NORTH, _SOUTH, _FASTEST, _NONE, _ROOT = 8, 12, 16, 20, 21, 22  # rows of the work space; the first eight hold velocities
_ROWS_X, _ROWS_A, _ROWS_B, _DEPTH, _MOMENTUM, _IDLE = 23, 32, 41, 50, 51, 53
WORK = 54
"""Rows of the work space of one thread."""

# Without these, loops over more than eight arrays stay scalar: LLVM gives up comparing which of them may overlap.
llvmlite.binding.set_option("cim", "-runtime-memory-check-threshold=2000")
llvmlite.binding.set_option("cim", "-memory-check-merge-threshold=5000")

# No reassociation: the carry of lost digits and equal bits on both sides of a tile's edge need the order as written.
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})


@_jit
def _velocities(h, qx, qy, u, v, n, dry):
    """Write u = q / h of one row."""
    for i in range(n):
        inverse = h.dtype.type(1.0) / max(h[i], dry)
        u[i] = qx[i] * inverse
        v[i] = qy[i] * inverse


@_jit
def _faces(hl, ul, vl, zl, hr, ur, vr, zr, mass, left, right, side, n, per_dx):
    """Write the fluxes through n faces between a row of left and a row of right states.

    `mass` [m²/s]; momentum that leaves the left cell and that enters the right one, pressure and bed included, [m³/s²]; transverse momentum.
    """
    number = hl.dtype.type
    zero, half, quarter, one, two = number(0.0), number(0.5), number(0.25), number(1.0), number(2.0)
    g, half_g, tiny, wall = number(GRAVITY), number(0.5 * GRAVITY), number(1e-30), number(WALL)
    for i in range(n):
        h_l, h_r, u_l, u_r = hl[i], hr[i], ul[i], ur[i]
        dz = zr[i] - zl[i]
        wall_r, wall_l = dz > wall, dz < -wall
        h_r, u_r = (h_l if wall_r else h_r), (-u_l if wall_r else u_r)
        h_l, u_l = (h_r if wall_l else h_l), (-u_r if wall_l else u_l)
        dz = zero if (wall_r or wall_l) else dz
        de = dz + (h_r - h_l)
        weight = min(max(two - two * abs(dz) * per_dx, zero), one)
        slope = weight * (max(zero, min(dz, de)) + min(zero, max(dz, de)))
        step = dz - slope
        a = max(zero, h_l - max(zero, step))
        b = max(zero, h_r + min(zero, step))
        c_l, c_r = np.sqrt(g * a), np.sqrt(g * b)
        middle = half * (u_l + u_r) + c_l - c_r
        c_m = max(zero, half * (c_l + c_r) + quarter * (u_l - u_r))
        s_l, s_r = min(u_l - c_l, middle - c_m), max(u_r + c_r, middle + c_m)
        dry_l, dry_r = a <= zero, b <= zero
        s_l = (u_l - c_l) if dry_r else s_l
        s_r = (u_l + two * c_l) if dry_r else s_r
        s_l = (u_r - two * c_r) if dry_l else s_l
        s_r = (u_r + c_r) if dry_l else s_r
        s_l, s_r = min(s_l, zero), max(s_r, zero)
        inverse = one / max(s_r - s_l, tiny)
        both = s_l * s_r
        f_l, f_r = a * u_l, b * u_r
        flux = (s_r * f_l - s_l * f_r + both * (b - a)) * inverse
        flux = zero if (wall_r or wall_l) else flux  # a fused multiply-add would leave a last digit
        p_l, p_r = f_l * u_l + half_g * a * a, f_r * u_r + half_g * b * b
        push = (s_r * p_l - s_l * p_r + both * (f_r - f_l)) * inverse
        less = min(h_l, h_r)
        falls = dz < zero
        e_l, e_r = (h_l if falls else less), (less if falls else h_r)
        v_l, v_r = vl[i], vr[i]
        mass[i] = flux
        left[i] = push + half_g * (h_l * h_l - a * a) + half_g * e_l * slope
        right[i] = push + half_g * (h_r * h_r - b * b) - half_g * e_r * slope
        side[i] = flux * (v_l if flux > zero else v_r)


@_jit
def _boundary(kind, value, bed, given, h, u, dry):
    """Return what leaves through an outer face: mass [m²/s] and momentum with pressure [m³/s²]; u counts outwards.

    `value`: the water's depth beyond the face (STAGE), or the discharge that enters [m²/s] (INFLOW); `given`: depth of an inflow that
    is faster than its waves, 0 where nobody says [m]; `bed`: step of the ground over half
    a cell on either side of the face, as it goes on outwards [m].
    """
    g = GRAVITY
    c = np.sqrt(g * h)
    slope = 0.5 * g * h * bed
    if kind == FREE:
        if h <= dry or u <= 0.0:
            return 0.0, 0.5 * g * h * h + slope
        return h * u, h * u * u + 0.5 * g * h * h + slope
    if kind == STAGE:
        if u >= c and h > dry:
            return h * u, h * u * u + 0.5 * g * h * h + slope
        c_out = np.sqrt(g * value)
        u_out = u + 2.0 * (c - c_out)
        if u_out > c_out:  # lower than the water could reach: it falls over the edge at its critical depth
            c_out = max((u + 2.0 * c) / 3.0, 0.0)
            u_out = c_out
        elif u_out < -c_out:  # no more comes in than at critical depth
            u_out = -c_out
        h_out = c_out * c_out / g
        return h_out * u_out, h_out * u_out * u_out + 0.5 * g * h_out * h_out + slope
    q = value
    h_in = (q * q / g) ** (1.0 / 3.0)
    wave = u + 2.0 * c
    if 2.0 * np.sqrt(g * h_in) - q / max(h_in, 1e-30) < wave:  # subcritical: the wave that reaches the face from inside sets the depth
        h_in = max(h_in, h)
        for _ in range(20):
            gap = 2.0 * np.sqrt(g * h_in) - q / h_in - wave
            h_in = max(h_in - gap / (np.sqrt(g / h_in) + q / (h_in * h_in)), (q * q / g) ** (1.0 / 3.0))
    if q <= 0.0:
        return 0.0, 0.5 * g * h * h + slope
    if given > 0.0 and q * q > g * given * given * given:
        h_in = given
    return -q, q * q / h_in + 0.5 * g * h_in * h_in + slope


@_jit
def _roots(depth, root, cube, bits, n, dry):
    """Write depth^(-1/3) of one row: a third of the exponent taken off, then Newton's iteration (error below 1e-9)."""
    number = depth.dtype.type
    third, four = number(1.0 / 3.0), number(4.0)
    for i in range(n):
        cube[i] = max(depth[i], dry)
    for i in range(n):
        bits[i] = np.int32(1419967116) - np.int32(np.float32(bits[i]) * np.float32(1.0 / 3.0))
    for i in range(n):
        wet = max(depth[i], dry)
        one = number(cube[i])
        for _ in range(3):
            one = one * (four - wet * one * one * one) * third
        root[i] = one


@_jit
def _rub(depth, root, qx, qy, ground_friction, fastest, dt, n, dry):
    """Take Manning's friction off one row, backward Euler in closed form; keep the largest wave speed of each column [m/s]."""
    number = depth.dtype.type
    zero, one, two, four, g = number(0.0), number(1.0), number(2.0), number(4.0), number(GRAVITY)
    for i in range(n):
        cube = root[i] * root[i] * root[i]
        q_x, q_y = qx[i], qy[i]
        size = np.sqrt(q_x * q_x + q_y * q_y)
        drag = four * dt * ground_friction[i] * size * (cube * cube * root[i])
        factor = two / (one + np.sqrt(one + drag))
        factor = factor if depth[i] > dry else zero
        q_x, q_y = q_x * factor, q_y * factor
        qx[i], qy[i] = q_x, q_y
        fastest[i] = max(fastest[i], max(abs(q_x), abs(q_y)) * cube + np.sqrt(g * depth[i]))


@_jit
def _update(h, qx, qy, carry, work, north, south, rain, h_new, qx_new, qy_new, dt, dt_per_dx, n):
    """Move one row on by the fluxes and the rain.

    Rows `_X`, `north` and `south` of `work` begin the fluxes (mass, left, right, side) through the faces along the row, north and south of it.
    """
    x_mass, x_left, x_right, x_side = work[_X], work[_X + 1], work[_X + 2], work[_X + 3]
    n_mass, n_right, n_side = work[north], work[north + 2], work[north + 3]
    s_mass, s_left, s_side = work[south], work[south + 1], work[south + 3]
    zero = h.dtype.type(0.0)
    for i in range(n):
        change = dt * rain[i] - dt_per_dx * ((x_mass[i + 1] - x_mass[i]) + (s_mass[i] - n_mass[i])) - carry[i]
        total = h[i] + change
        carry[i] = (total - h[i]) - change
        h_new[i] = max(total, zero)
    for i in range(n):
        qx_new[i] = qx[i] - dt_per_dx * ((x_left[i + 1] - x_right[i]) + (s_side[i] - n_side[i]))
    for i in range(n):
        qy_new[i] = qy[i] - dt_per_dx * ((s_left[i] - n_right[i]) + (x_side[i + 1] - x_side[i]))


@_jit
def _edge_x(kind, value, bed, given, out, edge, row, h, u, v, work, place, dry):
    """Put the flux of the western (at 0) or eastern outer face of one row in its place."""
    out[edge, row] = 0.0
    if kind[edge, row] == CLOSED:  # the ground beyond is a wall already
        return
    outward = -u if edge == 0 else u
    mass, push = _boundary(kind[edge, row], value[edge, row], bed[edge, row], given[edge, row], h, outward, dry)
    out[edge, row] = mass
    work[_X, place] = -mass if edge == 0 else mass
    work[_X + 1, place] = push
    work[_X + 2, place] = push
    work[_X + 3, place] = max(mass, 0.0) * (-v if edge == 0 else v)


@_jit
def _edge_y(kind, value, bed, given, out, edge, first, h, u, v, work, rows, n, dry):
    """Put the fluxes of the northern or southern outer faces of a row of cells in their places."""
    for i in range(n):
        column = first + i
        out[edge, column] = 0.0
        if kind[edge, column] == CLOSED:
            continue
        outward = -v[i] if edge == 2 else v[i]
        mass, push = _boundary(kind[edge, column], value[edge, column], bed[edge, column], given[edge, column], h[i], outward, dry)
        out[edge, column] = mass
        work[rows, i] = -mass if edge == 2 else mass
        work[rows + 1, i] = push
        work[rows + 2, i] = push
        work[rows + 3, i] = max(mass, 0.0) * (-u[i] if edge == 2 else u[i])


@_jit
def step_first(h, qx, qy, carry, h_new, qx_new, qy_new, z, ground_friction, rain, tiles, edges, dt, dx, dry, work, cube, bits, speed):
    """Move the tiles on by one step, first order in space and time.

    Parameters
    ----------
    h, qx, qy, carry, h_new, qx_new, qy_new, z : padded, shape (ny + 2 PAD, nx + 2 PAD)
        State before and after; lost digits of h (one row of zeros for float64); ground [m].
    ground_friction : padded, or shape (1, nx + 2 PAD)
        g n² [m^(1/3)].
    rain : padded, or shape (1, nx + 2 PAD)
        [m/s].
    tiles : shape (k, 5)
        Number, first and end row, first and end column of each tile, padding counted.
    edges : kind, value, bed, given, out
        Boundaries, shape (4, max(ny, nx)) each: west, east, north, south; `out` receives the outflow [m²/s].
    speed : shape (tiles of the domain,)
        Receives the largest wave speed of each tile [m/s].
    """
    kind, value, bed, given, out = edges
    rows, columns = h.shape
    number = h.dtype.type
    per_dx, dt_per_dx = number(1.0) / dx, dt / dx
    kept = carry.shape[0] > 1
    for t in range(tiles.shape[0]):
        tile, j0, j1, i0, i1 = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        n = i1 - i0
        for i in range(n):
            work[_FASTEST, i] = number(0.0)
        for j in range(j0 - 1, j0 + 1):
            _velocities(h[j, i0 - 1 : i1 + 1], qx[j, i0 - 1 : i1 + 1], qy[j, i0 - 1 : i1 + 1], work[j % 2], work[2 + j % 2], n + 2, dry)
        a, b = (j0 - 1) % 2, j0 % 2
        fn, fs = _NORTH, _SOUTH
        _faces(h[j0 - 1, i0:i1], work[2 + a, 1:], work[a, 1:], z[j0 - 1, i0:i1], h[j0, i0:i1], work[2 + b, 1:], work[b, 1:], z[j0, i0:i1],
               work[fn], work[fn + 1], work[fn + 2], work[fn + 3], n, per_dx)  # fmt: skip
        if j0 == PAD:
            _edge_y(kind, value, bed, given, out, 2, i0 - PAD, h[j0, i0:i1], work[b, 1:], work[2 + b, 1:], work, fn, n, dry)
        for j in range(j0, j1):
            a, b = j % 2, (j + 1) % 2
            _faces(h[j, i0 - 1 : i1], work[a], work[2 + a], z[j, i0 - 1 : i1], h[j, i0 : i1 + 1], work[a, 1:], work[2 + a, 1:],
                   z[j, i0 : i1 + 1], work[_X], work[_X + 1], work[_X + 2], work[_X + 3], n + 1, per_dx)  # fmt: skip
            if i0 == PAD:
                _edge_x(kind, value, bed, given, out, 0, j - PAD, h[j, i0], work[a, 1], work[2 + a, 1], work, 0, dry)
            if i1 == columns - PAD:
                _edge_x(kind, value, bed, given, out, 1, j - PAD, h[j, i1 - 1], work[a, n], work[2 + a, n], work, n, dry)
            _velocities(h[j + 1, i0 - 1 : i1 + 1], qx[j + 1, i0 - 1 : i1 + 1], qy[j + 1, i0 - 1 : i1 + 1], work[b], work[2 + b], n + 2, dry)
            _faces(h[j, i0:i1], work[2 + a, 1:], work[a, 1:], z[j, i0:i1], h[j + 1, i0:i1], work[2 + b, 1:], work[b, 1:], z[j + 1, i0:i1],
                   work[fs], work[fs + 1], work[fs + 2], work[fs + 3], n, per_dx)  # fmt: skip
            if j + 1 == rows - PAD:
                _edge_y(kind, value, bed, given, out, 3, i0 - PAD, h[j, i0:i1], work[a, 1:], work[2 + a, 1:], work, fs, n, dry)
            if not kept:
                for i in range(n):
                    work[_NONE, i] = number(0.0)
            lost = carry[j, i0:i1] if kept else work[_NONE, :n]
            _update(h[j, i0:i1], qx[j, i0:i1], qy[j, i0:i1], lost, work, fn, fs,
                    rain[j if rain.shape[0] > 1 else 0, i0:i1], h_new[j, i0:i1], qx_new[j, i0:i1], qy_new[j, i0:i1],
                    dt, dt_per_dx, n)  # fmt: skip
            _roots(h_new[j, i0:i1], work[_ROOT], cube, bits, n, dry)
            _rub(h_new[j, i0:i1], work[_ROOT], qx_new[j, i0:i1], qy_new[j, i0:i1],
                 ground_friction[j if ground_friction.shape[0] > 1 else 0, i0:i1], work[_FASTEST], dt, n, dry)  # fmt: skip
            fn, fs = fs, fn
        speed[tile] = largest(work[_FASTEST, :n])


@_jit
def largest(values):
    """Return the largest of some numbers, 0 when there are none."""
    found = values.dtype.type(0.0)
    for i in range(values.shape[0]):
        found = max(found, values[i])
    return found


@_jit
def _van_leer(a, b):
    """Return the limited slope between two one-sided differences: their harmonic mean, 0 where they disagree."""
    both = a * b
    return (both + both) / (a + b) if both > 0 else both * 0


@_jit
def _reconstruct(hm, um, vm, zm, hc, uc, vc, zc, hp, up, vp, zp, work, to, n, per_dx, dry):
    """Write the states on both sides of n cells, and what the bed between them pushes, to nine rows of `work` from row `to`.

    m, c, p: the cell before, the cell, the cell after; u counts along that direction. At the shore, where one neighbour is dry, the surface
    slope is what the wet side shows, limited by the bed, so that a lake stays at rest and a running front keeps its shape.
    """
    number = hc.dtype.type
    zero, half, one, two, g, wall = number(0.0), number(0.5), number(1.0), number(2.0), number(GRAVITY), number(WALL)
    shore = max(number(1e-8), dry)
    h_lo, u_lo, v_lo, z_lo = work[to], work[to + 1], work[to + 2], work[to + 3]
    h_hi, u_hi, v_hi, z_hi, push = work[to + 4], work[to + 5], work[to + 6], work[to + 7], work[to + 8]
    for i in range(n):
        h, u, v, z = hc[i], uc[i], vc[i], zc[i]
        wall_m, wall_p = abs(zm[i] - z) > wall, abs(zp[i] - z) > wall
        h_m, u_m, v_m, z_m = (h if wall_m else hm[i]), (u if wall_m else um[i]), (v if wall_m else vm[i]), (z if wall_m else zm[i])
        h_p, u_p, v_p, z_p = (h if wall_p else hp[i]), (u if wall_p else up[i]), (v if wall_p else vp[i]), (z if wall_p else zp[i])
        z_before, z_after = z - z_m, z_p - z
        before, after = z_before + (h - h_m), z_after + (h_p - h)
        d_eta = _van_leer(before, after)
        d_h = _van_leer(h - h_m, h_p - h)
        d_u, d_v = _van_leer(u - u_m, u_p - u), _van_leer(v - v_m, v_p - v)
        dry_m, dry_p = h_m < shore, h_p < shore
        wet_step = z_before if dry_p else z_after
        weight = min(max(two - two * abs(wet_step) * per_dx, zero), one)
        bed = weight * _van_leer(z_before, z_after)
        seen = weight * (before if dry_p else after)
        shore_eta = max(zero, min(seen, bed)) + min(zero, max(seen, bed))
        shore_h = min(max(shore_eta - bed, -two * h), two * h)
        at_shore, alone = dry_m != dry_p, dry_m and dry_p
        d_eta = zero if alone else (shore_eta if at_shore else d_eta)
        d_h = zero if alone else (shore_h if at_shore else d_h)
        d_u = zero if (at_shore or alone) else d_u
        d_v = zero if (at_shore or alone) else d_v
        low, high = h - half * d_h, h + half * d_h
        per_h = half / max(h, dry)
        d_z = half * (d_eta - d_h)
        h_lo[i], u_lo[i], v_lo[i], z_lo[i] = low, u - d_u * high * per_h, v - d_v * high * per_h, z - d_z
        h_hi[i], u_hi[i], v_hi[i], z_hi[i] = high, u + d_u * low * per_h, v + d_v * low * per_h, z + d_z
        push[i] = -g * h * (d_eta - d_h)


@_jit
def _rows_y(h, z, work, j, i0, i1, to, per_dx, dry):
    """Reconstruct row j across the rows."""
    a, b, c = (j - 1) % 4, j % 4, (j + 1) % 4
    _reconstruct(h[j - 1, i0:i1], work[4 + a, 2:], work[a, 2:], z[j - 1, i0:i1], h[j, i0:i1], work[4 + b, 2:], work[b, 2:], z[j, i0:i1],
                 h[j + 1, i0:i1], work[4 + c, 2:], work[c, 2:], z[j + 1, i0:i1], work, to, i1 - i0, per_dx, dry)  # fmt: skip


@_jit
def stage_second(stage, h, qx, qy, carry, h_in, qx_in, qy_in, h_out, qx_out, qy_out, carry_out, z, ground_friction, rain, tiles, edges, dt, dx,
                 dry, work, cube, bits, speed):  # fmt: skip
    """Run one of the two stages of Heun's method on the tiles, second order in space (van Leer slopes of level, depth and velocity).

    Parameters
    ----------
    stage
        0: from the state (h, qx, qy = h_in, …) to the predicted one (h_out, …, carry_out); 1: from the predicted one (h_in, …, carry_out) to
        the mean of both, written over the state (h_out, … = h, …).

    The others are those of `step_first`.
    """
    kind, value, bed, given, out = edges
    rows, columns = h.shape
    number = h.dtype.type
    zero, half = number(0.0), number(0.5)
    per_dx, dt_per_dx = number(1.0) / dx, dt / dx
    kept = carry.shape[0] > 1
    for t in range(tiles.shape[0]):
        tile, j0, j1, i0, i1 = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        n = i1 - i0
        for i in range(n):
            work[_FASTEST, i] = zero
        for j in range(j0 - 2, j0 + 2):
            k = j % 4
            _velocities(h_in[j, i0 - 2 : i1 + 2], qx_in[j, i0 - 2 : i1 + 2], qy_in[j, i0 - 2 : i1 + 2], work[k], work[4 + k], n + 4, dry)
        here, below = _ROWS_A, _ROWS_B
        _rows_y(h_in, z, work, j0 - 1, i0, i1, below, per_dx, dry)
        _rows_y(h_in, z, work, j0, i0, i1, here, per_dx, dry)
        north, south = _NORTH, _SOUTH
        _faces(work[below + 4], work[below + 5], work[below + 6], work[below + 7], work[here], work[here + 1], work[here + 2], work[here + 3],
               work[north], work[north + 1], work[north + 2], work[north + 3], n, per_dx)  # fmt: skip
        k = j0 % 4
        if j0 == PAD:
            _edge_y(kind, value, bed, given, out, 2, i0 - PAD, h_in[j0, i0:i1], work[k, 2:], work[4 + k, 2:], work, north, n, dry)
        for j in range(j0, j1):
            k = (j + 2) % 4
            _velocities(h_in[j + 2, i0 - 2 : i1 + 2], qx_in[j + 2, i0 - 2 : i1 + 2], qy_in[j + 2, i0 - 2 : i1 + 2], work[k], work[4 + k],
                        n + 4, dry)  # fmt: skip
            _rows_y(h_in, z, work, j + 1, i0, i1, below, per_dx, dry)
            k = j % 4
            _faces(work[here + 4], work[here + 5], work[here + 6], work[here + 7], work[below], work[below + 1], work[below + 2],
                   work[below + 3], work[south], work[south + 1], work[south + 2], work[south + 3], n, per_dx)  # fmt: skip
            if j + 1 == rows - PAD:
                _edge_y(kind, value, bed, given, out, 3, i0 - PAD, h_in[j, i0:i1], work[k, 2:], work[4 + k, 2:], work, south, n, dry)
            _reconstruct(h_in[j, i0 - 2 : i1], work[k], work[4 + k], z[j, i0 - 2 : i1], h_in[j, i0 - 1 : i1 + 1], work[k, 1:], work[4 + k, 1:],
                         z[j, i0 - 1 : i1 + 1], h_in[j, i0 : i1 + 2], work[k, 2:], work[4 + k, 2:], z[j, i0 : i1 + 2], work, _ROWS_X, n + 2,
                         per_dx, dry)  # fmt: skip
            _faces(work[_ROWS_X + 4], work[_ROWS_X + 5], work[_ROWS_X + 6], work[_ROWS_X + 7], work[_ROWS_X, 1:], work[_ROWS_X + 1, 1:],
                   work[_ROWS_X + 2, 1:], work[_ROWS_X + 3, 1:], work[_X], work[_X + 1], work[_X + 2], work[_X + 3], n + 1, per_dx)  # fmt: skip
            if i0 == PAD:
                _edge_x(kind, value, bed, given, out, 0, j - PAD, h_in[j, i0], work[k, 2], work[4 + k, 2], work, 0, dry)
            if i1 == columns - PAD:
                _edge_x(kind, value, bed, given, out, 1, j - PAD, h_in[j, i1 - 1], work[k, n + 1], work[4 + k, n + 1], work, n, dry)
            for i in range(n):
                work[_NONE, i] = zero
            fall = rain[j if rain.shape[0] > 1 else 0, i0:i1]
            _update(h_in[j, i0:i1], qx_in[j, i0:i1], qy_in[j, i0:i1], work[_NONE], work, north, south, fall, work[_DEPTH],
                    work[_MOMENTUM], work[_MOMENTUM + 1], dt, dt_per_dx, n)  # fmt: skip
            push_x, push_y = work[_ROWS_X + 8, 1:], work[here + 8]
            for i in range(n):
                work[_MOMENTUM, i] += dt_per_dx * push_x[i]
                work[_MOMENTUM + 1, i] += dt_per_dx * push_y[i]
            friction = ground_friction[j if ground_friction.shape[0] > 1 else 0, i0:i1]
            if stage == 1:  # friction of the second stage acts on the second stage's own state
                _roots(work[_DEPTH], work[_ROOT], cube, bits, n, dry)
                for i in range(n):
                    work[_IDLE, i] = zero
                _rub(work[_DEPTH], work[_ROOT], work[_MOMENTUM], work[_MOMENTUM + 1], friction, work[_IDLE], dt, n, dry)
            x_mass, n_mass, s_mass = work[_X], work[north], work[south]
            old, new, old_x, old_y, new_x, new_y = h[j, i0:i1], h_out[j, i0:i1], qx[j, i0:i1], qy[j, i0:i1], qx_out[j, i0:i1], qy_out[j, i0:i1]
            for i in range(n):
                work[_NONE, i] = zero
                work[_IDLE, i] = zero
            before, depth_in = (carry[j, i0:i1] if kept else work[_NONE]), h_in[j, i0:i1]
            after = carry_out[j, i0:i1] if kept else work[_IDLE]
            for i in range(n):
                change = dt * fall[i] - dt_per_dx * ((x_mass[i + 1] - x_mass[i]) + (s_mass[i] - n_mass[i]))
                lost = before[i]
                first = (depth_in[i] - old[i]) - after[i] + lost
                change = (half * (first + change) if stage == 1 else change) - lost
                total = old[i] + change
                lost = (total - old[i]) - change
                new[i] = max(total, zero)
                before[i] = lost if stage == 1 else before[i]
                after[i] = lost
            if stage == 1:
                for i in range(n):
                    new_x[i] = half * (old_x[i] + work[_MOMENTUM, i])
                    new_y[i] = half * (old_y[i] + work[_MOMENTUM + 1, i])
            else:
                for i in range(n):
                    new_x[i], new_y[i] = work[_MOMENTUM, i], work[_MOMENTUM + 1, i]
            _roots(new, work[_ROOT], cube, bits, n, dry)
            for i in range(n):
                work[_NONE, i] = friction[i] if stage == 0 else zero
            _rub(new, work[_ROOT], new_x, new_y, work[_NONE], work[_FASTEST], dt, n, dry)
            north, south = south, north
            here, below = below, here
        speed[tile] = largest(work[_FASTEST, :n])


@_jit
def volumes(h, carry, tiles, found):
    """Add up the depths of each tile [m], in double precision and always in the same order."""
    kept = carry.shape[0] > 1
    for t in range(tiles.shape[0]):
        total = 0.0
        for j in range(tiles[t, 1], tiles[t, 2]):
            for i in range(tiles[t, 3], tiles[t, 4]):
                total += np.float64(h[j, i])
                if kept:
                    total -= np.float64(carry[j, i])
        found[tiles[t, 0]] = total


@_jit
def record(h, qx, qy, tiles, time, lasted, wet, film, depth, speed, discharge, hazard, arrival, duration):
    """Keep the largest depth, velocity, unit discharge and hazard d (v + 0.5), when the water came [s] and how long it stayed [s].

    `arrival` holds -1 where no water came yet; `wet`: depth that counts as flooded; `film`: depth below which a velocity is not looked at [m].
    """
    number = h.dtype.type
    half = number(0.5)
    for t in range(tiles.shape[0]):
        for j in range(tiles[t, 1], tiles[t, 2]):
            row = j - PAD
            for i in range(tiles[t, 3], tiles[t, 4]):
                d = h[j, i]
                if d > film:
                    column = i - PAD
                    q = np.sqrt(qx[j, i] * qx[j, i] + qy[j, i] * qy[j, i])
                    depth[row, column] = max(depth[row, column], d)
                    speed[row, column] = max(speed[row, column], q / d)
                    discharge[row, column] = max(discharge[row, column], q)
                    hazard[row, column] = max(hazard[row, column], q + half * d)
                    if d >= wet:
                        duration[row, column] += lasted
                        if arrival[row, column] < 0:
                            arrival[row, column] = time
