"""The equations of the flood solver, all of them and only here: shallow water on square cells, as numba row functions.

State per cell: depth h [m] and unit discharges qx, qy [m²/s] along columns (east) and rows (south). Arrays are padded by `PAD` cells; a
ground above `WALL` is no ground but a wall. Each function works on a list of tiles and releases the interpreter's lock, so that threads
share the tiles; a cell is always computed at the same place of the same tile from the same numbers, so that the bits do not depend on
how many threads there are or which tiles rest.

The face between two cells follows Audusse et al. (2004, doi 10.1137/S1064827503431090) where the bed steps (a wall, a kerb) and takes
the full gravity g h dz where the water follows the bed (a slope): hydrostatic reconstruction alone drowns or starves sheet flow on
slopes. Fluxes are HLLC with two-rarefaction speeds (Toro 2001); friction is Manning's, backward Euler in closed form.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import numba
import numpy as np

__all__ = [
    "CLOSED",
    "FREE",
    "INFLOW",
    "PAD",
    "STAGE",
    "WALL",
    "WORK",
    "largest",
    "record",
    "slow",
    "stage_second",
    "step_first",
    "touch",
    "volumes",
]

PAD = 2
"""Cells around the domain in every array; their ground is a wall."""
WALL = 1.0e5
"""A bed step of more than this is a wall [m]."""
GRAVITY = 9.81
ROOT_G = float(np.sqrt(GRAVITY))
CLOSED, FREE, STAGE, INFLOW = 0, 1, 2, 3
"""Kinds of boundary: a wall; water leaves as it comes; a level; a discharge."""
_X, _NORTH, _SOUTH, _FASTEST, _NONE = 8, 12, 16, 20, 21  # rows of the work space; the first eight hold velocities
_ROWS_X, _ROWS_A, _ROWS_B, _DEPTH, _MOMENTUM, _IDLE = 22, 31, 40, 49, 50, 52
WORK = 53
"""Rows of the work space of one thread."""

# Without these, loops over more than eight arrays stay scalar: LLVM gives up comparing which of them may overlap.
llvmlite.binding.set_option("cim", "-runtime-memory-check-threshold=2000")
llvmlite.binding.set_option("cim", "-memory-check-merge-threshold=5000")

# No reassociation: the carry of lost digits and equal bits on both sides of a tile's edge need the order as written.
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})
# A call inside a loop would stop the vectoriser.
_inlined: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"}, forceinline=True)


@_jit
def _velocities(h, qx, qy, at, work, u, v, n, dry):
    """Write u = q / h of n cells from place `at` to the rows u and v of `work`."""
    at = np.uintp(at)
    u = np.uintp(u)
    v = np.uintp(v)
    n = np.uintp(n)
    one = h.dtype.type(1.0)
    for i in range(n):
        inverse = one / max(h[at + i], dry)
        work[u + i] = qx[at + i] * inverse
        work[v + i] = qy[at + i] * inverse


@_inlined
def _face(h_l, h_r, u_l, u_r, v_l, v_r, dz, per_dx, walls):
    """Return what goes through a face between a left and a right state with a step dz of the bed.

    Mass [m²/s]; momentum that leaves the left cell and that enters the right one, pressure and bed included, [m³/s²]; transverse momentum.
    """
    number = type(h_l)
    zero, half, quarter, one, two = number(0.0), number(0.5), number(0.25), number(1.0), number(2.0)
    g, half_g, tiny, wall = number(GRAVITY), number(0.5 * GRAVITY), number(1e-30), number(WALL)
    if walls is not None:  # decided when compiled: the water meets its mirror image
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
    r_l, r_r = (u_r - two * c_r if a <= zero else u_l), (u_l + two * c_l if b <= zero else u_r)  # a dry side follows the front
    middle = half * (r_l + r_r) + c_l - c_r
    c_m = max(zero, half * (c_l + c_r) + quarter * (r_l - r_r))
    s_l, s_r = min(r_l - c_l, middle - c_m, zero), max(r_r + c_r, middle + c_m, zero)
    share = s_l / max(s_r - s_l, tiny)
    f_l, f_r = a * u_l, b * u_r
    flux = f_l + share * ((f_l - f_r) + s_r * (b - a))
    if walls is not None:
        flux = zero if (wall_r or wall_l) else flux  # not even a last digit
    a_2, b_2 = a * a, b * b
    p_l, p_r = f_l * u_l + half_g * a_2, f_r * u_r + half_g * b_2
    push = p_l + share * ((p_l - p_r) + s_r * (f_r - f_l))
    less = min(h_l, h_r)
    falls = dz < zero
    e_l, e_r = (h_l if falls else less), (less if falls else h_r)
    left = push + half_g * ((h_l * h_l - a_2) + e_l * slope)
    right = push + half_g * ((h_r * h_r - b_2) - e_r * slope)
    return flux, left, right, flux * (v_l if flux > zero else v_r)


@_jit
def _faces(h, hl, hr, z, zl, zr, work, ul, ur, vl, vr, to, wide, n, per_dx, walls):
    """Write what goes through n faces between left and right states to four rows of `work` from place `to`.

    hl, hr, zl, zr, ul, ur, vl, vr: places of the first depth, ground, normal and transverse velocity of each side.
    """
    hl, hr, zl, zr = np.uintp(hl), np.uintp(hr), np.uintp(zl), np.uintp(zr)
    ul, ur, vl, vr = np.uintp(ul), np.uintp(ur), np.uintp(vl), np.uintp(vr)
    left, right, side = np.uintp(to + wide), np.uintp(to + 2 * wide), np.uintp(to + 3 * wide)
    to, n = np.uintp(to), np.uintp(n)
    for i in range(n):
        work[to + i], work[left + i], work[right + i], work[side + i] = _face(
            h[hl + i], h[hr + i], work[ul + i], work[ur + i], work[vl + i], work[vr + i], z[zr + i] - z[zl + i], per_dx, walls
        )


@_jit
def _faces_below(h, qx, qy, z, at, below, work, u, v, u_next, v_next, to, wide, n, per_dx, dry, walls):
    """Write what goes through the n faces between two rows, and the velocities of the lower one: what is read is used at once.

    at, below: places of the first cell of either row; u, v, u_next, v_next: those of its velocities along columns and rows.
    """
    at, below = np.uintp(at), np.uintp(below)
    u, v, u_next, v_next = np.uintp(u), np.uintp(v), np.uintp(u_next), np.uintp(v_next)
    left, right, side = np.uintp(to + wide), np.uintp(to + 2 * wide), np.uintp(to + 3 * wide)
    to, n = np.uintp(to), np.uintp(n)
    one = h.dtype.type(1.0)
    for i in range(n):
        depth = h[below + i]
        inverse = one / max(depth, dry)
        along, across = qx[below + i] * inverse, qy[below + i] * inverse
        work[u_next + i], work[v_next + i] = along, across
        work[to + i], work[left + i], work[right + i], work[side + i] = _face(
            h[at + i], depth, work[v + i], across, work[u + i], along, z[below + i] - z[at + i], per_dx, walls
        )


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
        return 0.0, 0.5 * g * h * h
    if given > 0.0 and q * q > g * given * given * given:
        h_in = given
    return -q, q * q / h_in + 0.5 * g * h_in * h_in + slope


@_inlined
def _sixth(depth):
    """Return depth^(-1/6): a sixth of the exponent taken off, then Householder's iteration of third order (error below 2e-9)."""
    number = type(depth)
    one, a, b = number(1.0), number(1.0 / 6.0), number(7.0 / 72.0)
    bits = np.float32(np.float32(depth).view(np.int32))
    root = number(np.int32(np.int32(1242442726) - np.int32(bits * np.float32(1.0 / 6.0))).view(np.float32))
    for _ in range(2):
        cube = root * root * root
        off = one - depth * cube * cube
        root = root + root * off * (a + b * off)
    return root


@_inlined
def _rubbed(depth, q_x, q_y, friction, dt, dry):
    """Return unit discharges less Manning's friction, backward Euler in closed form, and the speed of the fastest wave [m/s]."""
    number = type(depth)
    zero, one, two, four, root_g = number(0.0), number(1.0), number(2.0), number(4.0), number(ROOT_G)
    least = number(1.2)  # a cell that empties over four sides gives 4 · 2/3 c h: it must last for the step
    wet = max(depth, dry)
    root = _sixth(wet)
    cube = root * root * root
    inverse = cube * cube
    size = np.sqrt(q_x * q_x + q_y * q_y)
    drag = four * dt * friction * size * (inverse * inverse * root * root)
    factor = two / (one + np.sqrt(one + drag))
    factor = factor if depth > dry else zero
    q_x, q_y = q_x * factor, q_y * factor
    wave = root_g * depth * cube
    return q_x, q_y, max(wave + max(abs(q_x), abs(q_y)) * inverse, least * wave)


@_jit
def _rub(h, at, qx, ax, qy, ay, work, friction, af, fastest, dt, n, dry):
    """Take Manning's friction off n cells; keep the largest wave speed of each column [m/s]."""
    at, ax, ay, af, fastest, n = np.uintp(at), np.uintp(ax), np.uintp(ay), np.uintp(af), np.uintp(fastest), np.uintp(n)
    for i in range(n):
        qx[ax + i], qy[ay + i], wave = _rubbed(h[at + i], qx[ax + i], qy[ay + i], friction[af + i], dt, dry)
        work[fastest + i] = max(work[fastest + i], wave)


@_jit
def _update(
    h, qx, qy, carry, at, work, x, north, south, wide, rain, ar, friction, af, h_new, qx_new, qy_new, fastest, dt, dt_per_dx, n, dry
):
    """Write the state of n cells after a step: `_fill`, `_push` and `_rub` in one loop, for first order."""
    next_x, x_left, x_right = np.uintp(x + 1), np.uintp(x + wide + 1), np.uintp(x + 2 * wide)
    x_side, next_side = np.uintp(x + 3 * wide), np.uintp(x + 3 * wide + 1)
    n_right, n_side = np.uintp(north + 2 * wide), np.uintp(north + 3 * wide)
    s_left, s_side = np.uintp(south + wide), np.uintp(south + 3 * wide)
    at, x, north, south, ar, af = np.uintp(at), np.uintp(x), np.uintp(north), np.uintp(south), np.uintp(ar), np.uintp(af)
    fastest, n = np.uintp(fastest), np.uintp(n)
    zero = h.dtype.type(0.0)
    for i in range(n):
        depth = h[at + i]
        change = dt * rain[ar + i] - dt_per_dx * ((work[next_x + i] - work[x + i]) + (work[south + i] - work[north + i])) - carry[at + i]
        new = max(depth + change, zero)
        carry[at + i] = (new - depth) - change
        h_new[at + i] = new
        along = (work[x_left + i] - work[x_right + i]) + (work[s_side + i] - work[n_side + i])
        across = (work[s_left + i] - work[n_right + i]) + (work[next_side + i] - work[x_side + i])
        qx_new[at + i], qy_new[at + i], wave = _rubbed(
            new, qx[at + i] - dt_per_dx * along, qy[at + i] - dt_per_dx * across, friction[af + i], dt, dry
        )
        work[fastest + i] = max(work[fastest + i], wave)


@_jit
def _fill(h, at, carry, ac, work, x, north, south, rain, ar, h_new, to, dt, dt_per_dx, n):
    """Add to n depths what the faces and the rain bring; the digits that a depth cannot hold are carried on."""
    at = np.uintp(at)
    ac = np.uintp(ac)
    north = np.uintp(north)
    south = np.uintp(south)
    ar = np.uintp(ar)
    to = np.uintp(to)
    n = np.uintp(n)
    next_x = np.uintp(x + 1)
    x = np.uintp(x)
    zero = h.dtype.type(0.0)
    for i in range(n):
        change = dt * rain[ar + i] - dt_per_dx * ((work[next_x + i] - work[x + i]) + (work[south + i] - work[north + i])) - carry[ac + i]
        new = max(h[at + i] + change, zero)
        carry[ac + i] = (new - h[at + i]) - change  # a cell that had to give more than it held owes the rest
        h_new[to + i] = new


@_jit
def _push(qx, qy, at, work, x, north, south, wide, qx_new, ax, qy_new, ay, dt_per_dx, n):
    """Change the momenta of n cells by what the faces push; x, north, south: places of the mass fluxes, before the others."""
    x_left = np.uintp(x + wide + 1)
    x_right = np.uintp(x + 2 * wide)
    x_side = np.uintp(x + 3 * wide)
    next_side = np.uintp(x + 3 * wide + 1)
    n_right = np.uintp(north + 2 * wide)
    n_side = np.uintp(north + 3 * wide)
    s_left = np.uintp(south + wide)
    s_side = np.uintp(south + 3 * wide)
    at = np.uintp(at)
    ax = np.uintp(ax)
    ay = np.uintp(ay)
    n = np.uintp(n)
    for i in range(n):
        along = (work[x_left + i] - work[x_right + i]) + (work[s_side + i] - work[n_side + i])
        qx_new[ax + i] = qx[at + i] - dt_per_dx * along
    for i in range(n):
        along = (work[s_left + i] - work[n_right + i]) + (work[next_side + i] - work[x_side + i])
        qy_new[ay + i] = qy[at + i] - dt_per_dx * along


@_jit
def _followed(kind, bed, h, z, at, inner):
    """Return the part of the bed step at an outer face that the surface follows, as it does between this cell and the inner one [m].

    Still water follows no bed, and must not be pushed; a free edge lets it go.
    """
    if kind == FREE or abs(z[at] - z[inner]) > WALL:
        return bed
    seen = (z[at] - z[inner]) + (h[at] - h[inner])
    both = min(h[at], h[inner]) / max(h[at], 1e-30)  # a bank that is hardly wet pushes hardly
    return both * (max(0.0, min(bed, seen)) + min(0.0, max(bed, seen)))


@_jit
def _edge_x(edges, edge, row, h, z, at, u, v, work, x, wide, dry):
    """Put the flux of the western (0) or eastern outer face of one row in its place."""
    kind, value, bed, given, out = edges
    out[edge, row] = 0.0
    if kind[edge, row] == CLOSED:  # the ground beyond is a wall already
        return
    outward = -u if edge == 0 else u
    slope = _followed(kind[edge, row], bed[edge, row], h, z, at, at + 1 if edge == 0 else at - 1)
    mass, push = _boundary(kind[edge, row], value[edge, row], slope, given[edge, row], h[at], outward, dry)
    out[edge, row] = mass
    work[x] = -mass if edge == 0 else mass
    work[x + wide] = push
    work[x + 2 * wide] = push
    work[x + 3 * wide] = max(mass, 0.0) * (-v if edge == 0 else v)


@_jit
def _edge_y(edges, edge, first, h, z, at, inner, work, u, v, y, wide, n, dry):
    """Put the fluxes of the northern (2) or southern outer faces of a row of cells in their places."""
    kind, value, bed, given, out = edges
    for i in range(n):
        column = first + i
        out[edge, column] = 0.0
        if kind[edge, column] == CLOSED:
            continue
        outward = -work[v + i] if edge == 2 else work[v + i]
        slope = _followed(kind[edge, column], bed[edge, column], h, z, at + i, inner + i)
        mass, push = _boundary(kind[edge, column], value[edge, column], slope, given[edge, column], h[at + i], outward, dry)
        out[edge, column] = mass
        work[y + i] = -mass if edge == 2 else mass
        work[y + wide + i] = push
        work[y + 2 * wide + i] = push
        work[y + 3 * wide + i] = max(mass, 0.0) * (-work[u + i] if edge == 2 else work[u + i])


@_jit
def largest(values):
    """Return the largest of some numbers, 0 when there are none."""
    found = values.dtype.type(0.0)
    for i in range(values.shape[0]):
        found = max(found, values[i])
    return found


@_jit
def _outer(h, at, z, work, u, v, x, wide, west, east, n, per_dx):
    """Solve the outermost faces of a row again, as walls, where the others look for none."""
    if west:
        _faces(h, at - 1, at, z, at - 1, at, work, u, u + 1, v, v + 1, x, wide, 1, per_dx, True)
    if east:
        last = at + n
        _faces(h, last - 1, last, z, last - 1, last, work, u + n, u + n + 1, v + n, v + n + 1, x + n, wide, 1, per_dx, True)


@_jit
def step_first(h2, qx2, qy2, carry2, h_new2, qx_new2, qy_new2, z2, friction2, rain2, tiles, edges, dt, dx, dry, work2, speed, walls):
    """Move the tiles on by one step, first order in space and time.

    All arrays are read as one row of numbers with places: slices of rows would cost more than the numbers in them.

    Parameters
    ----------
    h2, qx2, qy2, carry2, h_new2, qx_new2, qy_new2, z2 : padded, shape (ny + 2 PAD, nx + 2 PAD)
        State before and after; what h holds beyond what the cell owns (lost digits, and water it owes); ground [m].
    friction2 : padded, or shape (1, nx + 2 PAD)
        g n² [m^(1/3)].
    rain2 : padded, or shape (1, nx + 2 PAD)
        [m/s].
    tiles : shape (k, 5)
        Number, first and end row, first and end column of each tile, padding counted.
    edges : kind, value, bed, given, out
        Boundaries, shape (4, max(ny, nx)) each: west, east, north, south; `out` receives the outflow [m²/s].
    speed : shape (tiles of the domain,)
        Receives the largest wave speed of each tile [m/s].
    walls
        True, or None where no cell of the domain is a wall: then no face but the outer ones looks for any.
    """
    rows, columns = h2.shape
    number = h2.dtype.type
    per_dx, dt_per_dx = number(1.0) / dx, dt / dx
    rough, rainy = friction2.shape[0] > 1, rain2.shape[0] > 1
    h, qx, qy, z, friction, rain = (
        h2.reshape(-1),
        qx2.reshape(-1),
        qy2.reshape(-1),
        z2.reshape(-1),
        friction2.reshape(-1),
        rain2.reshape(-1),
    )
    h_new, qx_new, qy_new, work = h_new2.reshape(-1), qx_new2.reshape(-1), qy_new2.reshape(-1), work2.reshape(-1)
    wide = work2.shape[1]
    x, fastest = _X * wide, _FASTEST * wide
    carry = carry2.reshape(-1)
    for t in range(tiles.shape[0]):
        tile, j0, j1, i0, i1 = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        n = i1 - i0
        work[fastest : fastest + n] = number(0.0)
        u, u_next = (j0 - 1) % 2 * wide, j0 % 2 * wide
        north, south = _NORTH * wide, _SOUTH * wide
        at = j0 * columns + i0
        v, v_next = u + 2 * wide, u_next + 2 * wide
        _velocities(h, qx, qy, at - columns, work, u + 1, v + 1, n, dry)
        _faces_below(h, qx, qy, z, at - columns, at, work, u + 1, v + 1, u_next + 1, v_next + 1, north, wide, n, per_dx, dry, walls)
        if j0 == PAD:
            if walls is None:
                _faces(h, at - columns, at, z, at - columns, at, work, v + 1, v_next + 1, u + 1, u_next + 1, north, wide, n, per_dx, True)
            _edge_y(edges, 2, i0 - PAD, h, z, at, at + columns, work, u_next + 1, u_next + 2 * wide + 1, north, wide, n, dry)
        for j in range(j0, j1):
            at = j * columns + i0
            u, u_next = j % 2 * wide, (j + 1) % 2 * wide
            v, v_next = u + 2 * wide, u_next + 2 * wide
            _velocities(h, qx, qy, at - 1, work, u, v, 1, dry)
            _velocities(h, qx, qy, at + n, work, u + n + 1, v + n + 1, 1, dry)
            _faces(h, at - 1, at, z, at - 1, at, work, u, u + 1, v, v + 1, x, wide, n + 1, per_dx, walls)
            if walls is None:
                _outer(h, at, z, work, u, v, x, wide, i0 == PAD, i1 == columns - PAD, n, per_dx)
            if i0 == PAD:
                _edge_x(edges, 0, j - PAD, h, z, at, work[u + 1], work[v + 1], work, x, wide, dry)
            if i1 == columns - PAD:
                _edge_x(edges, 1, j - PAD, h, z, at + n - 1, work[u + n], work[v + n], work, x + n, wide, dry)
            _faces_below(h, qx, qy, z, at, at + columns, work, u + 1, v + 1, u_next + 1, v_next + 1, south, wide, n, per_dx, dry, walls)
            if j + 1 == rows - PAD:
                if walls is None:
                    _faces(
                        h, at, at + columns, z, at, at + columns, work, v + 1, v_next + 1, u + 1, u_next + 1, south, wide, n, per_dx, True
                    )
                _edge_y(edges, 3, i0 - PAD, h, z, at, at - columns, work, u + 1, v + 1, south, wide, n, dry)
            _update(h, qx, qy, carry, at, work, x, north, south, wide, rain, at if rainy else i0, friction, at if rough else i0,
                    h_new, qx_new, qy_new, fastest, dt, dt_per_dx, n, dry)  # fmt: skip
            north, south = south, north
        speed[tile] = largest(work[fastest : fastest + n])


@_jit
def _van_leer(a, b):
    """Return the limited slope between two one-sided differences: their harmonic mean, 0 where they disagree."""
    both = a * b
    return (both + both) / (a + b) if both > 0 else both * 0


@_jit
def _reconstruct(h, hm, hc, hp, z, zm, zc, zp, work, um, uc, up, vm, vc, vp, to, wide, n, per_dx, dry):
    """Write the states on both sides of n cells, and what the bed between them pushes, to nine rows of `work` from place `to`.

    m, c, p: places of the cell before, the cell, the cell after; u counts along that direction. At the shore, where one neighbour is dry,
    the surface slope is what the wet side shows, limited by the bed, so that a lake stays at rest and a running front keeps its shape.
    """
    to_1 = np.uintp(to + 1 * wide)
    to_2 = np.uintp(to + 2 * wide)
    to_3 = np.uintp(to + 3 * wide)
    to_4 = np.uintp(to + 4 * wide)
    to_5 = np.uintp(to + 5 * wide)
    to_6 = np.uintp(to + 6 * wide)
    to_7 = np.uintp(to + 7 * wide)
    to_8 = np.uintp(to + 8 * wide)
    to = np.uintp(to)
    hm = np.uintp(hm)
    hc = np.uintp(hc)
    hp = np.uintp(hp)
    zm = np.uintp(zm)
    zc = np.uintp(zc)
    zp = np.uintp(zp)
    um = np.uintp(um)
    uc = np.uintp(uc)
    up = np.uintp(up)
    vm = np.uintp(vm)
    vc = np.uintp(vc)
    vp = np.uintp(vp)
    n = np.uintp(n)
    number = h.dtype.type
    zero, half, one, two, g, wall = number(0.0), number(0.5), number(1.0), number(2.0), number(GRAVITY), number(WALL)
    shore = max(number(1e-8), dry)
    for i in range(n):
        d, u, v, ground = h[hc + i], work[uc + i], work[vc + i], z[zc + i]
        wall_m, wall_p = abs(z[zm + i] - ground) > wall, abs(z[zp + i] - ground) > wall
        h_m, u_m = (d if wall_m else h[hm + i]), (u if wall_m else work[um + i])
        v_m, z_m = (v if wall_m else work[vm + i]), (ground if wall_m else z[zm + i])
        h_p, u_p = (d if wall_p else h[hp + i]), (u if wall_p else work[up + i])
        v_p, z_p = (v if wall_p else work[vp + i]), (ground if wall_p else z[zp + i])
        z_before, z_after = ground - z_m, z_p - ground
        before, after = z_before + (d - h_m), z_after + (h_p - d)
        d_eta = _van_leer(before, after)
        d_h = _van_leer(d - h_m, h_p - d)
        d_u, d_v = _van_leer(u - u_m, u_p - u), _van_leer(v - v_m, v_p - v)
        dry_m, dry_p = h_m < shore, h_p < shore
        wet_step = z_before if dry_p else z_after
        weight = min(max(two - two * abs(wet_step) * per_dx, zero), one)
        bed = weight * _van_leer(z_before, z_after)
        seen = weight * (before if dry_p else after)
        shore_eta = max(zero, min(seen, bed)) + min(zero, max(seen, bed))
        shore_h = min(max(shore_eta - bed, -two * d), two * d)
        at_shore, alone = dry_m != dry_p, dry_m and dry_p
        d_eta = zero if alone else (shore_eta if at_shore else d_eta)
        d_h = zero if alone else (shore_h if at_shore else d_h)
        d_u = zero if (at_shore or alone) else d_u
        d_v = zero if (at_shore or alone) else d_v
        low, high = d - half * d_h, d + half * d_h
        per_h = half / max(d, dry)
        d_z = half * (d_eta - d_h)
        work[to + i], work[to_1 + i] = low, u - d_u * high * per_h
        work[to_2 + i], work[to_3 + i] = v - d_v * high * per_h, ground - d_z
        work[to_4 + i], work[to_5 + i] = high, u + d_u * low * per_h
        work[to_6 + i], work[to_7 + i] = v + d_v * low * per_h, ground + d_z
        work[to_8 + i] = -g * d * (d_eta - d_h)


@_jit
def _rows_y(h, z, at, columns, work, j, to, wide, n, per_dx, dry):
    """Reconstruct n cells of row j from place `at` across the rows; velocities begin two cells before."""
    a, b, c = (j - 1) % 4 * wide + 2, j % 4 * wide + 2, (j + 1) % 4 * wide + 2
    v = 4 * wide
    _reconstruct(
        h, at - columns, at, at + columns, z, at - columns, at, at + columns, work, a + v, b + v, c + v, a, b, c, to, wide, n, per_dx, dry
    )


@_jit
def _lean(work, to, push, dt_per_dx, n):
    """Add to a row what the bed within the cells pushes."""
    to, push, n = np.uintp(to), np.uintp(push), np.uintp(n)
    for i in range(n):
        work[to + i] += dt_per_dx * work[push + i]


@_jit
def _mix(stage, h, h_in, h_out, at, carry, carry_out, work, x, north, south, rain, ar, dt, dt_per_dx, n):
    """Write the depths of a stage: predicted (0), or the mean of the state and what follows from the predicted one (1)."""
    number = h.dtype.type
    zero, half = number(0.0), number(0.5)
    next_x = np.uintp(x + 1)
    at, x, north, south, ar, n = np.uintp(at), np.uintp(x), np.uintp(north), np.uintp(south), np.uintp(ar), np.uintp(n)
    for i in range(n):
        change = dt * rain[ar + i] - dt_per_dx * ((work[next_x + i] - work[x + i]) + (work[south + i] - work[north + i]))
        lost = carry[at + i]
        first = (h_in[at + i] - h[at + i]) - carry_out[at + i] + lost
        change = (half * (first + change) if stage == 1 else change) - lost
        total = max(h[at + i] + change, zero)
        rest = (total - h[at + i]) - change
        h_out[at + i] = total
        carry[at + i] = rest if stage == 1 else lost
        carry_out[at + i] = rest


@_jit
def _carry_over(stage, qx, qy, qx_out, qy_out, at, work, along, across, n):
    """Write the momenta of a stage: predicted (0), or the mean of the state and what follows from the predicted one (1)."""
    half = qx.dtype.type(0.5)
    at, along, across, n = np.uintp(at), np.uintp(along), np.uintp(across), np.uintp(n)
    if stage == 1:
        for i in range(n):
            qx_out[at + i] = half * (qx[at + i] + work[along + i])
        for i in range(n):
            qy_out[at + i] = half * (qy[at + i] + work[across + i])
    else:
        for i in range(n):
            qx_out[at + i] = work[along + i]
        for i in range(n):
            qy_out[at + i] = work[across + i]


@_jit
def stage_second(stage, h2, qx2, qy2, carry2, h_in2, qx_in2, qy_in2, h_out2, qx_out2, qy_out2, carry_out2, z2, friction2, rain2,
                 tiles, edges, dt, dx, dry, work2, speed):  # fmt: skip
    """Run one of the two stages of Heun's method on the tiles, second order in space (van Leer slopes of level, depth and velocity).

    Parameters
    ----------
    stage
        0: from the state (h2, qx2, qy2 = h_in2, …) to the predicted one (h_out2, …, carry_out2); 1: from the predicted one (h_in2, …) to
        the mean of both, written over the state (h_out2, … = h2, …).

    The others are those of `step_first`.
    """
    rows, columns = h2.shape
    number = h2.dtype.type
    zero = number(0.0)
    per_dx, dt_per_dx = number(1.0) / dx, dt / dx
    rough, rainy = friction2.shape[0] > 1, rain2.shape[0] > 1
    h, qx, qy, z, friction, rain = (
        h2.reshape(-1),
        qx2.reshape(-1),
        qy2.reshape(-1),
        z2.reshape(-1),
        friction2.reshape(-1),
        rain2.reshape(-1),
    )
    h_in, qx_in, qy_in, work = h_in2.reshape(-1), qx_in2.reshape(-1), qy_in2.reshape(-1), work2.reshape(-1)
    h_out, qx_out, qy_out = h_out2.reshape(-1), qx_out2.reshape(-1), qy_out2.reshape(-1)
    wide = work2.shape[1]
    x, fastest, none, idle = _X * wide, _FASTEST * wide, _NONE * wide, _IDLE * wide
    depth, along, across, cells = _DEPTH * wide, _MOMENTUM * wide, (_MOMENTUM + 1) * wide, _ROWS_X * wide
    carry = carry2.reshape(-1)
    carry_out = carry_out2.reshape(-1)
    for t in range(tiles.shape[0]):
        tile, j0, j1, i0, i1 = tiles[t, 0], tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        n = i1 - i0
        work[fastest : fastest + n] = zero
        for j in range(j0 - 2, j0 + 2):
            _velocities(h_in, qx_in, qy_in, j * columns + i0 - 2, work, j % 4 * wide, (4 + j % 4) * wide, n + 4, dry)
        here, below = _ROWS_A * wide, _ROWS_B * wide
        at = j0 * columns + i0
        _rows_y(h_in, z, at - columns, columns, work, j0 - 1, below, wide, n, per_dx, dry)
        _rows_y(h_in, z, at, columns, work, j0, here, wide, n, per_dx, dry)
        north, south = _NORTH * wide, _SOUTH * wide
        _faces(work, below + 4 * wide, here, work, below + 7 * wide, here + 3 * wide, work, below + 5 * wide, here + wide, below + 6 * wide,
               here + 2 * wide, north, wide, n, per_dx, True)  # fmt: skip
        u = j0 % 4 * wide + 2
        if j0 == PAD:
            _edge_y(edges, 2, i0 - PAD, h_in, z, at, at + columns, work, u, u + 4 * wide, north, wide, n, dry)
        for j in range(j0, j1):
            at = j * columns + i0
            k = (j + 2) % 4 * wide
            _velocities(h_in, qx_in, qy_in, at + 2 * columns - 2, work, k, k + 4 * wide, n + 4, dry)
            _rows_y(h_in, z, at + columns, columns, work, j + 1, below, wide, n, per_dx, dry)
            u = j % 4 * wide
            v = u + 4 * wide
            _faces(work, here + 4 * wide, below, work, here + 7 * wide, below + 3 * wide, work, here + 5 * wide, below + wide,
                   here + 6 * wide, below + 2 * wide, south, wide, n, per_dx, True)  # fmt: skip
            if j + 1 == rows - PAD:
                _edge_y(edges, 3, i0 - PAD, h_in, z, at, at - columns, work, u + 2, v + 2, south, wide, n, dry)
            _reconstruct(
                h_in, at - 2, at - 1, at, z, at - 2, at - 1, at, work, u, u + 1, u + 2, v, v + 1, v + 2, cells, wide, n + 2, per_dx, dry
            )
            _faces(work, cells + 4 * wide, cells + 1, work, cells + 7 * wide, cells + 3 * wide + 1, work, cells + 5 * wide,
                   cells + wide + 1, cells + 6 * wide, cells + 2 * wide + 1, x, wide, n + 1, per_dx, True)  # fmt: skip
            if i0 == PAD:
                _edge_x(edges, 0, j - PAD, h_in, z, at, work[u + 2], work[v + 2], work, x, wide, dry)
            if i1 == columns - PAD:
                _edge_x(edges, 1, j - PAD, h_in, z, at + n - 1, work[u + n + 1], work[v + n + 1], work, x + n, wide, dry)
            work[none : none + n] = zero
            ar, af = (at if rainy else i0), (at if rough else i0)
            _fill(h_in, at, work, none, work, x, north, south, rain, ar, work, depth, dt, dt_per_dx, n)
            _push(qx_in, qy_in, at, work, x, north, south, wide, work, along, work, across, dt_per_dx, n)
            _lean(work, along, cells + 8 * wide + 1, dt_per_dx, n)
            _lean(work, across, here + 8 * wide, dt_per_dx, n)
            work[none : none + n] = zero
            work[idle : idle + n] = zero
            if stage == 1:  # friction of the second stage acts on the second stage's own state
                _rub(work, depth, work, along, work, across, work, friction, af, idle, dt, n, dry)
                work[idle : idle + n] = zero
            _mix(stage, h, h_in, h_out, at, carry, carry_out, work, x, north, south, rain, ar, dt, dt_per_dx, n)
            _carry_over(stage, qx, qy, qx_out, qy_out, at, work, along, across, n)
            work[none : none + n] = friction[af : af + n] if stage == 0 else work[idle : idle + n] * zero
            _rub(h_out, at, qx_out, at, qy_out, at, work, work, none, fastest, dt, n, dry)
            north, south = south, north
            here, below = below, here
        speed[tile] = largest(work[fastest : fastest + n])


@_jit
def volumes(h, carry, tiles, found):
    """Add up the depths of each tile [m], in double precision and always in the same order."""
    for t in range(tiles.shape[0]):
        total = 0.0
        for j in range(tiles[t, 1], tiles[t, 2]):
            for i in range(tiles[t, 3], tiles[t, 4]):
                total += np.float64(h[j, i]) - np.float64(carry[j, i])
        found[tiles[t, 0]] = total


@_jit
def slow(h, before, qx, qy, tiles):
    """Take the momentum of water that was taken away: what stays keeps its velocity. `before`: depths before, shape (ny, nx)."""
    for t in range(tiles.shape[0]):
        for j in range(tiles[t, 1], tiles[t, 2]):
            for i in range(tiles[t, 3], tiles[t, 4]):
                old = before[j - PAD, i - PAD]
                if h[j, i] < old:
                    share = h[j, i] / old
                    qx[j, i] *= share
                    qy[j, i] *= share


@_jit
def touch(h, tiles, touched):
    """Say for each tile whether water stands in its two outermost columns in the west and east, and rows in the north and south."""
    for t in range(tiles.shape[0]):
        j0, j1, i0, i1 = tiles[t, 1], tiles[t, 2], tiles[t, 3], tiles[t, 4]
        west, east, north, south = False, False, False, False
        for j in range(j0, j1):
            for k in range(min(2, i1 - i0)):
                west |= h[j, i0 + k] > 0
                east |= h[j, i1 - 1 - k] > 0
        for k in range(min(2, j1 - j0)):
            for i in range(i0, i1):
                north |= h[j0 + k, i] > 0
                south |= h[j1 - 1 - k, i] > 0
        touched[tiles[t, 0], 0], touched[tiles[t, 0], 1] = west, east
        touched[tiles[t, 0], 2], touched[tiles[t, 0], 3] = north, south


@_jit
def record(h, qx, qy, tiles, time, lasted, wet, film, depth, speed, discharge, hazard, arrival, duration):
    """Keep the largest depth, velocity, unit discharge and hazard d (v + 0.5), when the water came [s] and how long it stayed [s].

    `arrival` holds -1 where no water came yet; `wet`: depth that counts as flooded; `film`: depth below which no velocity is looked at [m].
    """
    for t in range(tiles.shape[0]):
        a, b = tiles[t, 3], tiles[t, 4]
        left, right = a - PAD, b - PAD
        for j in range(tiles[t, 1], tiles[t, 2]):
            row = j - PAD
            _record_row(
                h[j, a:b], qx[j, a:b], qy[j, a:b], time, lasted, wet, film, depth[row, left:right], speed[row, left:right],
                discharge[row, left:right], hazard[row, left:right], arrival[row, left:right], duration[row, left:right], b - a,
            )  # fmt: skip


@_jit
def _record_row(h, qx, qy, time, lasted, wet, film, depth, speed, discharge, hazard, arrival, duration, n):
    number = h.dtype.type
    zero, half = number(0.0), number(0.5)
    for i in range(n):
        d = h[i]
        depth[i] = max(depth[i], d)
        moves = d > film
        q = np.sqrt(qx[i] * qx[i] + qy[i] * qy[i]) if moves else zero
        speed[i] = max(speed[i], q / max(d, film))
        discharge[i] = max(discharge[i], q)
        hazard[i] = max(hazard[i], q + half * d if moves else zero)
        flooded, came = d >= wet, arrival[i] >= 0  # not yet: it came since the last look
        duration[i] += lasted if moves and flooded and came else np.float32(0.0)
        arrival[i] = time if moves and flooded and not came else arrival[i]
