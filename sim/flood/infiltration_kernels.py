"""Kernels of the infiltration laws: one gather per cell, rows in parallel, the same bits for any number of threads.

Parameters have the shape (ny, nx), or (1, 1) where they are the same everywhere. Every kernel lowers `depth` in place, keeps in `owed` what
the law wanted but the stored number could not give (a float32 depth loses small steps), and returns what each row lost, as stored.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Depth = NDArray[Any]
    Bools = NDArray[np.bool_]

__all__ = ["constant_rows", "curve_number_rows", "green_ampt_advance", "green_ampt_rows", "horton_rows"]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _stride(parameter: Any) -> tuple[int, int]:
    """Return how far to move in a parameter for one row and one column."""
    return (1 if parameter.shape[0] > 1 else 0), (1 if parameter.shape[1] > 1 else 0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _settle(depth: Depth, owed: Floats, row: int, column: int, law: float) -> float:
    """Take what the law wants from one cell, never more than is there; return what the stored depth lost (float() would stay float32)."""
    old = np.float64(depth[row, column])
    wanted = law + owed[row, column]
    depth[row, column] = max(0.0, old - max(0.0, wanted))
    lost = old - np.float64(depth[row, column])
    owed[row, column] = wanted - lost
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _log_excess(u: float) -> float:
    """Return u - ln(1 + u), without cancellation."""
    if u > 0.1:
        return u - math.log1p(u)
    s = u / (2.0 + u)
    square = s * s  # ln(1 + u) = 2 (s + s^3/3 + s^5/5 + ...), and u - 2 s = u s
    return u * s - 2.0 * s * square * (1.0 / 3.0 + square * (0.2 + square * (1.0 / 7.0 + square * (1.0 / 9.0 + square / 11.0))))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def green_ampt_advance(infiltrated: float, depth_of_front: float, conducted: float) -> float:
    """Return what infiltrates under ponding while K dt is conducted: y - D ln(1 + y / (F + D)) = K dt.

    With u = y / (F + D) this is F u + D (u - ln(1 + u)) = K dt, convex in u; from the right Newton comes down without overshooting.
    """
    if conducted <= 0.0:
        return 0.0
    if depth_of_front <= 0.0:
        return conducted
    whole = infiltrated + depth_of_front
    # Start from the root of the quadratic that u - ln(1 + u) = u^2 / 2 gives; one Newton step puts it right of the true root
    u = 2.0 * conducted / (infiltrated + math.sqrt(infiltrated * infiltrated + 2.0 * depth_of_front * conducted))
    if u < 0.1:  # the next term, -u^3 / 3, makes a better start: one step of Newton less
        more = conducted + depth_of_front * u * u * u / 3.0
        u = 2.0 * more / (infiltrated + math.sqrt(infiltrated * infiltrated + 2.0 * depth_of_front * more))
    for _ in range(60):
        step = (infiltrated * u + depth_of_front * _log_excess(u) - conducted) / (infiltrated + depth_of_front * u / (1.0 + u))
        u -= step
        if abs(step) <= 1e-8 * u:  # the next error is the square of it
            break
    return u * whole


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _green_ampt(f: float, front: float, k: float, standing: float, rain: float, dt: float) -> float:
    """Return what infiltrates in a step: ponded, from the rain alone, or first the one and then the other, without any dependence on dt."""
    rate, available = rain / dt, standing + rain
    if front <= 0.0:
        return min(available, k * dt)
    capacity: float = green_ampt_advance(f, front, k * dt)
    if standing >= capacity:  # it cannot fall dry on the way
        return capacity
    full = k * front / (rate - k) if rate > k else math.inf  # F from which the soil takes less than the rain brings
    if f < full < math.inf:
        until_full = (full - f - front * math.log((full + front) / (f + front))) / k
        if until_full < dt and standing + rate * until_full < full - f:  # dry for a while: the soil takes all the rain until F = full
            wet_from = (full - f - standing) / rate
            if wet_from >= dt:
                return available
            later: float = green_ampt_advance(full, front, k * (dt - wet_from))
            return full - f + later
    return min(available, capacity)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _green_ampt_row(
    row: int, depth: Depth, rain: Floats, active: Bools, k: Floats, front: Floats, dt: float, total: Floats, owed: Floats
) -> float:
    """Green-Ampt: k [m/s], front = suction times deficit [m]; `total` is what each cell has taken [m]."""
    lost = 0.0
    r, a, s, d = _stride(rain), _stride(active), _stride(k), _stride(front)
    for column in range(depth.shape[1]):
        water, conductivity = np.float64(depth[row, column]), k[row * s[0], column * s[1]]
        if not water > 0.0 or conductivity <= 0.0 or not active[row * a[0], column * a[1]]:
            continue
        fallen = min(max(rain[row * r[0], column * r[1]], 0.0), water)
        law = _green_ampt(total[row, column], front[row * d[0], column * d[1]], conductivity, water - fallen, fallen, dt)
        total[row, column] += law
        lost += _settle(depth, owed, row, column, law)
    return lost


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def green_ampt_rows(
    depth: Depth, rain: Floats, active: Bools, k: Floats, front: Floats, dt: float, total: Floats, owed: Floats, lost: Floats
) -> Floats:
    """Green-Ampt: k [m/s], front = suction times deficit [m]; `total` is what each cell has taken [m]."""
    for row in prange(depth.shape[0]):
        lost[row] = _green_ampt_row(row, depth, rain, active, k, front, dt, total, owed)
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _horton_time(left: float, decay: float, last: float, surplus: float, depth: float, dt: float) -> float:
    """Return the time in which the soil at capacity takes a depth; Newton from the left, the curve is concave."""
    time = 0.0
    for _ in range(60):
        gone = -math.expm1(-decay * time)
        missing = depth - last * time - surplus / decay * left * gone
        slope = last + surplus * left * (1.0 - gone)
        if slope <= 0.0:
            return dt
        step = missing / slope
        time += step
        if abs(step) <= 1e-8 * time:  # the next error is the square of it
            break
    return min(max(time, 0.0), dt)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _horton(
    left: float, last: float, surplus: float, decay: float, standing: float, rain: float, dt: float, gone: float
) -> tuple[float, float]:
    """Return what infiltrates in a step, and the share of the surplus that is left after it."""
    rate, available = rain / dt, standing + rain
    fall = surplus / decay
    capacity = last * dt + fall * left * gone
    if standing >= capacity:  # it cannot fall dry on the way
        return capacity, left * (1.0 - gone)
    full = (rate - last) / surplus if surplus > 0.0 else 0.0  # share at which the soil takes what the rain brings
    if 0.0 < full < left:
        until_full = math.log(left / full) / decay
        taken = last * until_full + fall * (left - full)
        if until_full < dt and standing + rate * until_full < taken:
            wet_from = (taken - standing) / rate
            if wet_from >= dt:
                return available, left * math.exp(-decay * _horton_time(left, decay, last, surplus, available, dt))
            after = dt - wet_from
            return taken + last * after - fall * full * math.expm1(-decay * after), full * math.exp(-decay * after)
    if available >= capacity:
        return capacity, left * (1.0 - gone)
    return available, left * math.exp(-decay * _horton_time(left, decay, last, surplus, available, dt))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _horton_row(
    row: int, depth: Depth, rain: Floats, active: Bools, first: Floats, last: Floats, decay: Floats, dt: float, left: Floats, owed: Floats
) -> float:
    """Horton: first and last rate [m/s], decay [1/s]; `left` is the share exp(-k t) of the surplus that each cell still has."""
    lost = 0.0
    r, a, i, j, k = _stride(rain), _stride(active), _stride(first), _stride(last), _stride(decay)
    known, gone = 0.0, 0.0
    for column in range(depth.shape[1]):
        water = np.float64(depth[row, column])
        if not water > 0.0 or not active[row * a[0], column * a[1]]:
            continue
        speed, end = decay[row * k[0], column * k[1]], last[row * j[0], column * j[1]]
        surplus = first[row * i[0], column * i[1]] - end
        if speed != known:
            known, gone = speed, -math.expm1(-speed * dt)
        fallen = min(max(rain[row * r[0], column * r[1]], 0.0), water)
        law, left[row, column] = _horton(left[row, column], end, surplus, speed, water - fallen, fallen, dt, gone)
        lost += _settle(depth, owed, row, column, law)
    return lost


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def horton_rows(
    depth: Depth,
    rain: Floats,
    active: Bools,
    first: Floats,
    last: Floats,
    decay: Floats,
    dt: float,
    left: Floats,
    owed: Floats,
    lost: Floats,
) -> Floats:
    """Horton: first and last rate [m/s], decay [1/s]; `left` is the share exp(-k t) of the surplus that each cell still has."""
    for row in prange(depth.shape[0]):
        lost[row] = _horton_row(row, depth, rain, active, first, last, decay, dt, left, owed)
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _constant_row(row: int, depth: Depth, active: Bools, rate: Floats, dt: float, owed: Floats) -> float:
    """Take a constant rate [m/s]."""
    lost = 0.0
    a, s = _stride(active), _stride(rate)
    for column in range(depth.shape[1]):
        water = np.float64(depth[row, column])
        if water > 0.0 and active[row * a[0], column * a[1]]:
            lost += _settle(depth, owed, row, column, min(water, rate[row * s[0], column * s[1]] * dt))
    return lost


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def constant_rows(depth: Depth, active: Bools, rate: Floats, dt: float, owed: Floats, lost: Floats) -> Floats:
    """Take a constant rate [m/s]."""
    for row in prange(depth.shape[0]):
        lost[row] = _constant_row(row, depth, active, rate, dt, owed)
    return lost


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _kept(rain: float, retention: float, initial: float) -> float:
    """Return the rain that does not run off: P - Q = Ia + x S / (x + S) with x = P - Ia; all of it until P = Ia."""
    beyond = rain - initial
    return rain if beyond <= 0.0 else initial + beyond * (retention / (beyond + retention) if retention > 0.0 else 0.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _curve_number_row(
    row: int, depth: Depth, rain: Floats, active: Bools, retention: Floats, share: Floats, total: Floats, owed: Floats
) -> float:
    """Curve number: retention S [m], initial abstraction as share of S; `total` is the rain on each cell [m]."""
    lost = 0.0
    r, a, s, i = _stride(rain), _stride(active), _stride(retention), _stride(share)
    for column in range(depth.shape[1]):
        water = np.float64(depth[row, column])
        if math.isnan(water) or not active[row * a[0], column * a[1]]:
            continue
        most, fallen = retention[row * s[0], column * s[1]], max(rain[row * r[0], column * r[1]], 0.0)
        initial, before = share[row * i[0], column * i[1]] * most, total[row, column]
        total[row, column] = before + fallen
        law = _kept(before + fallen, most, initial) - _kept(before, most, initial)
        lost += _settle(depth, owed, row, column, law)
    return lost


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def curve_number_rows(
    depth: Depth, rain: Floats, active: Bools, retention: Floats, share: Floats, total: Floats, owed: Floats, lost: Floats
) -> Floats:
    """Curve number: retention S [m], initial abstraction as share of S; `total` is the rain on each cell [m]."""
    for row in prange(depth.shape[0]):
        lost[row] = _curve_number_row(row, depth, rain, active, retention, share, total, owed)
    return lost
