"""Exact solutions of the shallow water equations, as plain functions: the truth that the flood solver is held against.

Nothing of the toolkit is imported here. Depth h [m], velocity u [m/s], discharge per unit width q [m²/s], bed z [m], n [s/m^(1/3)].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
State = tuple[float, float]

GRAVITY = 9.81  # m/s², as in SWASHES
MANNING_POWER = 5.0 / 3.0  # q = α h^(5/3) on a wide plane


def cell_means(function: Callable[[Reals], ArrayLike], borders: ArrayLike, parts: int = 16) -> Reals:
    """Return the mean of a function over each cell, by the midpoint rule on `parts` parts: what a finite volume holds."""
    offsets = (np.arange(parts) + 0.5) / parts
    edges = np.asarray(borders, float)
    points = edges[:-1, None] + np.diff(edges)[:, None] * offsets
    means: Reals = np.asarray(function(points.ravel()), np.float64).reshape(points.shape).mean(axis=1)
    return means


# --- Riemann problem ----------------------------------------------------------------------------------------------------
def _curve(h: float, h0: float) -> float:
    """Return the velocity change over the wave that joins depth h0 to h: Toro (2001), eq. 5.6."""
    if h <= h0:
        return float(2.0 * (np.sqrt(GRAVITY * h) - np.sqrt(GRAVITY * h0)))
    return float((h - h0) * np.sqrt(0.5 * GRAVITY * (h + h0) / (h * h0)))


def middle_state(left: State, right: State) -> State:
    """Return depth and velocity between the two waves; both sides wet and no dry gap opening between them."""
    (hl, ul), (hr, ur) = left, right
    low, high = 0.0, max(hl, hr)
    while _curve(high, hl) + _curve(high, hr) + ur - ul < 0:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _curve(middle, hl) + _curve(middle, hr) + ur - ul < 0 else (low, middle)
    h = 0.5 * (low + high)
    return h, 0.5 * (ul + ur) + 0.5 * (_curve(h, hr) - _curve(h, hl))


def riemann(s: ArrayLike, left: State, right: State) -> tuple[Reals, Reals]:
    """Return depth and velocity at s = x/t of two constant states let loose at t = 0; either side may be dry.

    References
    ----------
    .. [1] Toro (2001). Shock-Capturing Methods for Free-Surface Shallow Flows. Wiley. Chapters 5 and 6.
    """
    speed = np.asarray(s, float)
    (hl, ul), (hr, ur) = left, right
    if hl <= 0 and hr <= 0:
        return np.zeros_like(speed), np.zeros_like(speed)
    cl, cr = np.sqrt(GRAVITY * max(hl, 0.0)), np.sqrt(GRAVITY * max(hr, 0.0))
    if hl > 0 and hr > 0 and 2 * (cl + cr) > ur - ul:
        h, u = middle_state(left, right)
        middle = (h, u)
    else:
        h, u, middle = 0.0, 0.0, (0.0, 0.0)
    from_left = _left_side(speed, left, middle) if hl > 0 else None
    mirrored = _left_side(-speed, (hr, -ur), (h, -u)) if hr > 0 else None
    if from_left is None:
        assert mirrored is not None
        return mirrored[0], -mirrored[1]
    if mirrored is None:
        return from_left
    border = u if h > 0 else 0.5 * (ul + 2 * cl + ur - 2 * cr)
    is_left = speed < border
    return np.where(is_left, from_left[0], mirrored[0]), np.where(is_left, from_left[1], -mirrored[1])


def _left_side(speed: Reals, outer: State, middle: State) -> tuple[Reals, Reals]:
    """Return the solution to the left of the contact: the outer state, its wave, the middle state (depth 0: dry)."""
    (h0, u0), (h, u) = outer, middle
    c0, c = np.sqrt(GRAVITY * h0), np.sqrt(GRAVITY * h)
    if h > h0:  # a shock
        front = u0 - np.sqrt(0.5 * GRAVITY * h * (h + h0) / h0)
        return np.where(speed < front, h0, h), np.where(speed < front, u0, u)
    tail = u - c if h > 0 else u0 + 2 * c0
    inside_c = np.clip((u0 + 2 * c0 - speed) / 3.0, 0.0, None)
    inside_u = (u0 + 2 * c0 + 2 * speed) / 3.0
    depth = np.where(speed < u0 - c0, h0, np.where(speed < tail, inside_c**2 / GRAVITY, h))
    velocity = np.where(speed < u0 - c0, u0, np.where(speed < tail, inside_u, u))
    return depth, velocity


def dam_break(x: ArrayLike, t: float, upstream: float, downstream: float) -> tuple[Reals, Reals]:
    """Return depth and velocity of water let loose at x = 0: Stoker (1957) on water, Ritter (1892) on a dry bed."""
    at = np.asarray(x, float)
    if t <= 0:
        return np.where(at < 0, upstream, downstream), np.zeros_like(at)
    return riemann(at / t, (upstream, 0.0), (downstream, 0.0))


def bore_from_stage(depth: float, still: float) -> tuple[float, float]:
    """Return velocity behind, and speed of, the bore that a suddenly raised stage sends into still water."""
    velocity = _curve(depth, still)
    return velocity, depth * velocity / (depth - still)


def bore_from_discharge(q: float, still: float) -> tuple[float, float, float]:
    """Return depth, velocity and speed of the bore that a sudden unit discharge q > 0 sends into still water."""
    low, high = still, still + 1.0
    while high * _curve(high, still) < q:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if middle * _curve(middle, still) < q else (low, middle)
    depth = 0.5 * (low + high)
    velocity, speed = bore_from_stage(depth, still)
    return depth, velocity, speed


def bore(x: ArrayLike, t: float, depth: float, still: float) -> tuple[Reals, Reals]:
    """Return depth and velocity when the water at x = 0 is held at another depth from t = 0: a bore, or a falling wave."""
    at = np.asarray(x, float)
    velocity = _curve(depth, still)
    if depth > still:
        front = depth * velocity / (depth - still) * t
        return np.where(at < front, depth, still), np.where(at < front, velocity, 0.0)
    c, c0 = np.sqrt(GRAVITY * depth), np.sqrt(GRAVITY * still)
    inside_c = (at / max(t, 1e-300) + 2 * c0) / 3.0  # u = 2 (c - c0) and x/t = u + c
    inside_c = np.clip(inside_c, c, c0)
    return inside_c**2 / GRAVITY, 2 * (inside_c - c0)


# --- bores and jumps against a stream ------------------------------------------------------------------------------------------
def bore_against(depth: float, velocity: float, behind: float) -> tuple[float, float]:
    """Return velocity behind, and speed of, a bore of depth `behind` that meets a stream which runs in the direction of x.

    Mass and momentum are the same on both sides (Rankine and Hugoniot): Toro (2001), section 3.6. A speed below 0 is against the stream.
    """
    speed = velocity - float(np.sqrt(0.5 * GRAVITY * behind * (behind + depth) / depth))
    return speed + depth * (velocity - speed) / behind, speed


def conjugate_depth(depth: float, velocity: float) -> float:
    """Return the depth behind a jump that stands still in a fast stream: Bélanger (1841)."""
    return float(0.5 * depth * (np.sqrt(1.0 + 8.0 * velocity**2 / (GRAVITY * depth)) - 1.0))


def reflected_depth(depth: float, velocity: float) -> float:
    """Return the depth of the bore that runs back from a wall into the stream that meets it: the water behind it is at rest."""
    return middle_state((depth, velocity), (depth, -velocity))[0]  # a wall is a stream that comes the other way


def jump_on_a_slope(x: ArrayLike, *, jump: float, end: float, q: float, slope: float, n: float) -> Reals:
    """Return the steady depth of a fast stream on a rough plane that jumps at x = `jump`.

    Before it the stream runs at normal depth; there it takes the conjugate depth; after it the depth follows
    dh/dx = (slope - friction) / (1 - Froude²) to x = `end`, by Runge and Kutta's rule on 20,000 parts.
    """
    before = float(normal_depth(q, slope, n))
    places, step = np.linspace(jump, end, 20_001, retstep=True)

    def rise(h: float) -> float:
        return float((slope - (n * q) ** 2 / h ** (2 * MANNING_POWER)) / (1.0 - q**2 / (GRAVITY * h**3)))

    depths = [conjugate_depth(before, q / before)]
    for _ in places[1:]:
        h = depths[-1]
        first = rise(h)
        second = rise(h + 0.5 * step * first)
        third = rise(h + 0.5 * step * second)
        depths.append(h + step / 6.0 * (first + 2.0 * second + 2.0 * third + rise(h + step * third)))
    at = np.asarray(x, float)
    return np.where(at < jump, before, np.interp(at, places, depths))


# --- rain on a plane ----------------------------------------------------------------------------------------------------
def normal_depth(q: ArrayLike, slope: float, n: float) -> Reals:
    """Return the depth at which unit discharge q runs down a plane without change: Manning."""
    return np.asarray((np.asarray(q, float) * n / np.sqrt(slope)) ** (1 / MANNING_POWER))


def kinematic_depth(distance: ArrayLike, rain: float, slope: float, n: float) -> Reals:
    """Return the steady depth at a distance below the top of a plane under rain [m/s]."""
    return normal_depth(rain * np.asarray(distance, float), slope, n)


def time_of_equilibrium(length: float, rain: float, slope: float, n: float) -> float:
    """Return when the outflow of a plane under rain becomes steady: the wave from the top arrives."""
    alpha = np.sqrt(slope) / n
    return float((length / (alpha * rain ** (MANNING_POWER - 1))) ** (1 / MANNING_POWER))


def kinematic_outflow(t: ArrayLike, length: float, rain: float, slope: float, n: float) -> Reals:
    """Return the unit discharge at the foot of a plane on which it has rained since t = 0."""
    time = np.asarray(t, float)
    return np.asarray(np.minimum(np.sqrt(slope) / n * (rain * time) ** MANNING_POWER, rain * length))


def kinematic_outflow_volume(t: ArrayLike, length: float, rain: float, slope: float, n: float) -> Reals:
    """Return what has left a plane, per metre of width [m²], since t = 0."""
    time = np.asarray(t, float)
    until = time_of_equilibrium(length, rain, slope, n)
    rising = np.sqrt(slope) / n * rain**MANNING_POWER * np.minimum(time, until) ** (MANNING_POWER + 1) / (MANNING_POWER + 1)
    return np.asarray(rising + rain * length * np.maximum(time - until, 0.0))


# --- oscillations in a bowl (Thacker 1981; Delestre et al. 2013, section 4.2) -----------------------------------------------
def thacker_planar(x: ArrayLike, t: float, *, a: float = 1.0, h0: float = 0.5, shift: float = 0.5) -> tuple[Reals, Reals, Reals]:
    """Return depth, velocity and bed of a plane surface that swings in a parabola about x = 0 (period 2π a / √(2 g h0))."""
    at = np.asarray(x, float)
    omega = np.sqrt(2 * GRAVITY * h0) / a
    bed = h0 * ((at / a) ** 2 - 1)
    depth = np.maximum(-h0 * (((at + shift * np.cos(omega * t)) / a) ** 2 - 1), 0.0)
    return depth, np.where(depth > 0, shift * omega * np.sin(omega * t), 0.0), bed


def thacker_radial(
    x: ArrayLike, y: ArrayLike, t: float, *, a: float = 1.0, h0: float = 0.1, r0: float = 0.8
) -> tuple[Reals, Reals, Reals, Reals]:
    """Return depth, both velocities and bed of a round surface that rises and falls in a bowl (period 2π a / √(8 g h0))."""
    east, north = np.asarray(x, float), np.asarray(y, float)
    ratio = (a**2 - r0**2) / (a**2 + r0**2)
    omega = np.sqrt(8 * GRAVITY * h0) / a
    share = 1 - ratio * np.cos(omega * t)
    square = (east**2 + north**2) / a**2
    bed = -h0 * (1 - square)
    level = h0 * (np.sqrt(1 - ratio**2) / share - 1 - square * ((1 - ratio**2) / share**2 - 1))
    depth = np.maximum(level - bed, 0.0)
    pull = 0.5 * omega * ratio * np.sin(omega * t) / share
    return depth, np.where(depth > 0, pull * east, 0.0), np.where(depth > 0, pull * north, 0.0), bed


# --- waves on a beach (Carrier and Greenspan 1958) --------------------------------------------------------------------------
def beach_at_rest(x: ArrayLike, *, length: float = 20.0, slope: float = 0.02, curvature: float = 0.1, shore: float = 0.7) -> Reals:
    """Return the depth at t = 0, at rest, over z = slope x, of the transient wave: Delestre et al. (2013), section 4.3.1."""
    at = np.asarray(x, float)
    a = 1.5 * np.sqrt(1 + 0.9 * curvature)
    sigma = np.linspace(0.0, 40.0, 400_001)
    base = 1 + sigma**2
    level = curvature * (1 - 2.5 / base**1.5 + 1.5 / base**2.5)
    place = -(a**2) * sigma**2 / 16 + level  # inland positive
    found = np.interp(at / length - shore, place[::-1], level[::-1])
    return np.asarray(np.maximum(slope * length * (shore + found) - slope * at, 0.0))


# --- steady flow ------------------------------------------------------------------------------------------------------------
def bump(x: ArrayLike) -> Reals:
    """Return the bed of the bump cases: max(0, 0.2 - 0.05 (x - 10)²) on 25 m."""
    return np.asarray(np.maximum(0.0, 0.2 - 0.05 * (np.asarray(x, float) - 10.0) ** 2))


def critical_depth(q: ArrayLike) -> Reals:
    """Return the depth at which a unit discharge runs as fast as its waves."""
    return np.asarray((np.asarray(q, float) ** 2 / GRAVITY) ** (1 / 3))


def depth_of_head(head: ArrayLike, q: float, *, fast: ArrayLike) -> Reals:
    """Return the depth with h + q²/(2 g h²) = head: the supercritical root where `fast`, else the subcritical one."""
    energy = np.asarray(head, float)
    critical = float(critical_depth(q))
    energy = np.maximum(energy, 1.5 * critical)
    fall = q**2 / (2 * GRAVITY)
    angle = np.arccos(np.clip(1 - 27 * fall / (2 * energy**3), -1.0, 1.0)) / 3
    slow = energy / 3 * (1 + 2 * np.cos(angle))
    quick = energy / 3 * (1 + 2 * np.cos(angle + 4 * np.pi / 3))
    return np.asarray(np.where(np.asarray(fast), quick, slow))


def bump_steady(x: ArrayLike, q: float, downstream: float | None, *, transcritical: bool = False) -> Reals:
    """Return the depth of steady frictionless flow over `bump`.

    Parameters
    ----------
    x
        Places [m].
    q
        Unit discharge [m²/s].
    downstream
        Depth at the right end [m]; None where the flow leaves faster than its waves.
    transcritical
        Whether the flow passes through the critical depth on the top; with `downstream`, a jump brings it back.
    """
    at = np.asarray(x, float)
    bed = bump(at)
    if not transcritical:
        assert downstream is not None
        return depth_of_head(downstream + q**2 / (2 * GRAVITY * downstream**2) - bed, q, fast=False)
    head = 1.5 * float(critical_depth(q)) + 0.2
    before = depth_of_head(head - bed, q, fast=at > 10.0)
    if downstream is None:
        return before
    after_head = downstream + q**2 / (2 * GRAVITY * downstream**2)
    after = depth_of_head(after_head - bed, q, fast=False)
    return np.where(at < bump_jump(q, downstream), before, after)


def bump_jump(q: float, downstream: float) -> float:
    """Return where the jump stands behind the top of `bump`: momentum is the same on both sides."""
    head = 1.5 * float(critical_depth(q)) + 0.2
    after_head = downstream + q**2 / (2 * GRAVITY * downstream**2)
    places = np.linspace(10.0, 12.0, 200_001)
    bed = bump(places)
    fast = depth_of_head(head - bed, q, fast=True)
    slow = depth_of_head(after_head - bed, q, fast=False)
    push = (q**2 / fast + GRAVITY * fast**2 / 2) - (q**2 / slow + GRAVITY * slow**2 / 2)
    possible = after_head - bed >= 1.5 * float(critical_depth(q))
    return float(places[possible][np.argmin(np.abs(push[possible]))])


def channel_bed(depth: Callable[[Reals], Reals], x: Reals, *, length: float, q: float, n: float, rain: float = 0.0) -> Reals:
    """Return the bed, 0 at the end, on which a stated depth is the steady solution: MacDonald et al. (1997).

    Parameters
    ----------
    depth
        Depth of each place [m], smooth.
    x
        Places [m].
    length
        Length of the channel [m].
    q
        Unit discharge that enters at x = 0 [m²/s].
    n
        Manning's coefficient.
    rain
        Rain along the channel [m/s]; the discharge is q + rain x.
    """
    fine = np.linspace(0.0, length, 200_001)
    h = depth(fine)
    flow = q + rain * fine
    slope = (flow**2 / (GRAVITY * h**3) - 1) * np.gradient(h, fine) - 2 * flow * rain / (GRAVITY * h**2)
    slope = slope - n**2 * flow * np.abs(flow) / h ** (10 / 3)
    rise = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]) * np.diff(fine))])
    return np.asarray(np.interp(x, fine, rise - rise[-1]))


def long_channel_slow(x: ArrayLike) -> Reals:
    """Return the subcritical depth of the 1,000 m channel: Delestre et al. (2013), eq. 12."""
    return np.asarray((4 / GRAVITY) ** (1 / 3) * (1 + 0.5 * np.exp(-16 * (np.asarray(x, float) / 1000 - 0.5) ** 2)))


def long_channel_fast(x: ArrayLike) -> Reals:
    """Return the supercritical depth of the 1,000 m channel: Delestre et al. (2013), eq. 13."""
    return np.asarray((4 / GRAVITY) ** (1 / 3) * (1 - 0.2 * np.exp(-36 * (np.asarray(x, float) / 1000 - 0.5) ** 2)))


def undulating_channel(x: ArrayLike) -> Reals:
    """Return the depth of the 5,000 m periodic channel: Delestre et al. (2013), eq. 17."""
    return np.asarray(9 / 8 + 0.25 * np.sin(np.pi * np.asarray(x, float) / 500))
