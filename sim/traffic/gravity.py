"""How many trips go from where to where: the doubly constrained gravity model, calibrated to how far people travel on average.

Trips between zones i and j are a_i b_j f(c_ij) with the cost c of the way; a and b are such that as many begin and end in each zone as is
given (Furness 1965), and the parameter of f is found for which the mean cost is the one observed (Hyman 1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from cim.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]

__all__ = ["Deterrence", "Gravity", "furness", "gravity"]

Deterrence = Literal["exponential", "power"]
"""How fewer trips are made the more they cost: exp(-b c), or c^-b."""
_KINDS = get_args(Deterrence)
_NEAR = 1e-6
"""Relative error of the mean cost at which the search for the parameter ends."""
_STEEP = 700.0
"""exp(-700) is the smallest power of e that a number still holds."""


@dataclass(frozen=True)
class Gravity:
    """Trips between zones."""

    trips: Reals
    """Shape (origins, destinations)."""
    parameter: float
    """b of the deterrence: per unit of cost when exponential, without a unit for a power."""
    mean_cost: float
    """Of all trips, in the unit of the costs."""
    error: float
    """Greatest difference of a sum over a row or a column from the one wanted, relative to all trips."""
    rounds: int
    """Of Furness's balancing, over all parameters that were tried."""


def furness(seed: ArrayLike, origins: ArrayLike, destinations: ArrayLike, *, tolerance: float = 1e-11, most: int = 20_000) -> Reals:
    """Return a matrix in proportion to a seed, row by row and column by column, with the sums that are wanted.

    Parameters
    ----------
    seed : shape (n, m)
        Not negative; where it is 0 no trip is made.
    origins, destinations : shape (n,), shape (m,)
        Sums of rows and columns; both have the same total.
    tolerance
        Greatest difference of any sum, relative to all trips, at which to stop.

    Raises
    ------
    UsageError
        If shapes, signs or totals do not fit, or a row or column with trips has no seed.
    RunError
        If the sums are not met; zeros in the seed can make that impossible.

    Examples
    --------
    >>> furness([[1, 1], [1, 1]], [30, 10], [20, 20])
    array([[15., 15.],
           [ 5.,  5.]])
    """
    weight, rows, columns = np.asarray(seed, float), np.asarray(origins, float), np.asarray(destinations, float)
    _fit(weight, rows, columns)
    factors, _ = _balance(weight, rows, columns, np.ones(len(columns)), tolerance, most)
    return np.asarray(factors[0][:, None] * weight * factors[1], float)


def gravity(
    origins: ArrayLike,
    destinations: ArrayLike,
    cost: ArrayLike,
    *,
    mean_cost: float | None = None,
    parameter: float | None = None,
    deterrence: Deterrence = "exponential",
    tolerance: float = 1e-11,
) -> Gravity:
    """Return trips between zones by a doubly constrained gravity model.

    Parameters
    ----------
    origins, destinations : shape (n,), shape (m,)
        Trips that begin and that end in each zone; the totals are the same.
    cost : shape (n, m)
        Of a trip from zone to zone: a length or a time; infinite where no way is.
    mean_cost
        Mean over all trips that the parameter is calibrated to, within 1e-6.
    parameter
        Of the deterrence, instead of `mean_cost`.
    deterrence
        A power needs costs above 0.

    Raises
    ------
    UsageError
        If the zones do not fit, or no deterrence gives such a mean cost; the message says which ones can be had.

    References
    ----------
    .. [1] Furness, K.P. (1965). Time function iteration. Traffic Engineering and Control 7, 458-460.
    .. [2] Hyman, G.M. (1969). The calibration of trip distribution models. Environment and Planning 1, 105-112.

    Examples
    --------
    >>> found = gravity([100, 100], [100, 100], [[1.0, 3.0], [3.0, 1.0]], mean_cost=1.5)
    >>> found.trips.round(3)
    array([[75., 25.],
           [25., 75.]])
    """
    rows, columns, cost = np.asarray(origins, float), np.asarray(destinations, float), np.asarray(cost, float)
    if (mean_cost is None) == (parameter is None):
        msg = f"gravity model with mean_cost={mean_cost} and parameter={parameter}; give one of them"
        raise UsageError(msg)
    _fit(cost, rows, columns, "cost")
    scale = _scale(cost, deterrence)
    start, rounds = [np.ones(len(columns))], [0]
    held: list[tuple[float, Reals]] = []

    def at(slope: float) -> float:
        """Return the mean cost at a parameter."""
        (a, b), count = _balance(_weights(scale, slope), rows, columns, start[0], tolerance, 20_000)
        start[0], rounds[0] = b, rounds[0] + count
        trips = np.asarray(a[:, None] * _weights(scale, slope) * b, float)
        mean = float((trips * np.where(trips > 0, cost, 0.0)).sum() / trips.sum())
        held[:] = [(mean, trips)]
        return mean

    slope = float(parameter) if parameter is not None else _calibrated(at, float(mean_cost or 0.0), scale)
    mean = at(slope)
    trips = held[0][1]
    off = max(float(np.abs(trips.sum(1) - rows).max()), float(np.abs(trips.sum(0) - columns).max()))
    return Gravity(trips, slope, mean, off / float(rows.sum()), rounds[0])


def _scale(cost: Reals, deterrence: Deterrence) -> Reals:
    """Return what the parameter multiplies in the exponent."""
    if deterrence not in _KINDS:
        msg = f"deterrence={deterrence!r}; expected {' or '.join(_KINDS)}"
        raise UsageError(msg)
    if deterrence == "exponential":
        return cost
    if not (cost > 0).all():
        msg = f"{int((~(cost > 0)).sum())} costs are 0; a power needs costs above 0, such as one for trips within a zone"
        raise UsageError(msg)
    return np.asarray(np.log(cost), float)


def _weights(scale: Reals, slope: float) -> Reals:
    """Return the deterrence, each row and then each column relative to its greatest: balancing takes such factors away again."""
    blocked = ~np.isfinite(scale)
    power = np.where(blocked, -np.inf, -slope * np.where(blocked, 0.0, scale))
    with np.errstate(invalid="ignore"):
        for axis in (1, 0):
            top = power.max(axis=axis, keepdims=True)
            power = power - np.where(np.isfinite(top), top, 0.0)
    return np.asarray(np.exp(np.maximum(power, -_STEEP)) * ~blocked, float)


def _fit(matrix: Reals, rows: Reals, columns: Reals, name: str = "seed") -> None:
    """Refuse what no matrix can have, all faults in one message."""
    faults = []
    if matrix.shape != (len(rows), len(columns)) or not matrix.size:
        faults.append(f"{name} has the shape {matrix.shape}, expected {(len(rows), len(columns))} and at least one zone")
    else:
        open_ = (matrix > 0) if name == "seed" else np.isfinite(matrix)
        for trips, axis, what in ((rows, 1, "origins"), (columns, 0, "destinations")):
            cut = (trips > 0) & ~open_.any(axis=axis)
            if cut.any():
                faults.append(f"{int(cut.sum())} {what} with trips have no way to any zone (first: {int(np.argmax(cut))})")
        if np.isnan(matrix).any() or (matrix < 0).any():
            faults.append(f"{int((~(matrix >= 0)).sum())} values of {name} are negative or no numbers")
    for trips, what in ((rows, "origins"), (columns, "destinations")):
        if not (np.isfinite(trips) & (trips >= 0)).all():
            faults.append(f"{int((~(np.isfinite(trips) & (trips >= 0))).sum())} {what} have trips that are negative or no numbers")
    if not faults and not (rows.sum() > 0 and abs(rows.sum() - columns.sum()) <= 1e-9 * rows.sum()):
        faults.append(f"{rows.sum():g} trips begin and {columns.sum():g} end; balance the totals first, above 0")
    if faults:
        msg = "trip distribution: " + "; ".join(faults)
        raise UsageError(msg)


def _balance(weight: Reals, rows: Reals, columns: Reals, start: Reals, tolerance: float, most: int) -> tuple[tuple[Reals, Reals], int]:
    """Return factors of rows and columns that give the sums wanted, and the rounds that took (Furness)."""
    total, b, error = rows.sum(), start, np.inf
    for count in range(1, most + 1):
        down = weight @ b
        a = np.divide(rows, down, out=np.zeros_like(rows), where=down > 0)
        across = a @ weight
        if (error := float(np.abs(across * b - columns).max()) / total) <= tolerance:
            return (a, b), count
        b = np.divide(columns, across, out=np.zeros_like(columns), where=across > 0)
    msg = f"trips from and to zones do not balance: {error:.1e} of them are off after {most} rounds; ways between zones are missing"
    raise RunError(msg)


def _calibrated(mean_at: Callable[[float], float], wanted: float, scale: Reals) -> float:
    """Return the parameter with the mean cost that is wanted, from Hyman's first guess on."""
    from scipy.optimize import brentq

    def beyond(slope: float) -> float:
        more = mean_at(slope) - wanted
        return 0.0 if abs(more) <= _NEAR * wanted else more

    flat = beyond(0.0)
    if not (wanted > 0 and flat >= 0):
        msg = f"no deterrence gives a mean cost of {wanted:g}: if cost did not matter it would be {mean_at(0.0):.6g}; give less, above 0"
        raise UsageError(msg)
    if flat == 0.0:
        return 0.0
    finite = scale[np.isfinite(scale)]
    steepest = _STEEP / max(float(np.ptp(finite)), 1e-300)
    low, high = 0.0, min(1.0 / wanted if finite.min() >= 0 else 1.0, steepest)
    while (more := beyond(high)) > 0:
        if high >= steepest:
            msg = f"no deterrence gives a mean cost of {wanted:g}: these zones allow no less than {wanted + more:.6g}; give more"
            raise UsageError(msg)
        low, high = high, min(2.0 * high, steepest)
    return high if more == 0.0 else float(brentq(beyond, low, high, rtol=1e-13, xtol=1e-300))
