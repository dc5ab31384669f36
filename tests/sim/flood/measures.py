"""How far a run is from its truth: the measures that the tests and the validation page share."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]


def l1(model: ArrayLike, truth: ArrayLike, keep: Mask | None = None) -> float:
    """Return Σ|model - truth| / Σ|truth| over the cells kept, as a share."""
    found, right = np.asarray(model, float), np.asarray(truth, float)
    chosen = np.ones(right.shape, bool) if keep is None else np.broadcast_to(keep, right.shape)
    return float(np.abs(found - right)[chosen].sum() / np.abs(right)[chosen].sum())


def rmse(model: ArrayLike, truth: ArrayLike) -> float:
    """Return the root mean square difference."""
    return float(np.sqrt(np.mean((np.asarray(model, float) - np.asarray(truth, float)) ** 2)))


def mae(model: ArrayLike, truth: ArrayLike) -> float:
    """Return the mean absolute difference."""
    return float(np.mean(np.abs(np.asarray(model, float) - np.asarray(truth, float))))


def critical_success(one: ArrayLike, other: ArrayLike, threshold: float) -> float:
    """Return cells deep in both, of those deep in either (critical success index)."""
    first, second = np.asarray(one) >= threshold, np.asarray(other) >= threshold
    either = int((first | second).sum())
    return float((first & second).sum() / either) if either else 1.0


def first_time(times: Reals, values: Reals, threshold: float) -> float:
    """Return when a series first reaches a threshold, straight between its rows; NaN when never."""
    above = np.flatnonzero(values >= threshold)
    if not above.size:
        return float("nan")
    row = int(above[0])
    if row == 0:
        return float(times[0])
    share = (threshold - values[row - 1]) / (values[row] - values[row - 1])
    return float(times[row - 1] + share * (times[row] - times[row - 1]))


def away_from_jump(fast: Mask, cells: int = 3) -> Mask:
    """Return the cells further than `cells` from where fast flow turns slow along x."""
    jumps = np.flatnonzero(fast[:-1] & ~fast[1:])
    places = np.arange(fast.size)
    keep = np.ones(fast.size, bool)
    for jump in jumps:
        keep &= (places <= jump - cells) | (places > jump + cells)
    return keep


def order(errors: list[float], ratio: float = 2.0) -> list[float]:
    """Return the order of convergence between neighbouring grids, each `ratio` times finer than the last."""
    return [float(np.log(coarse / fine) / np.log(ratio)) for coarse, fine in pairwise(errors)]
