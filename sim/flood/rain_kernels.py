"""Interpolation between stations, one gather per cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["between_stations"]


@njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def between_stations(places: Floats, values: Floats, x: Floats, y: Floats, half_power: float, weighted: bool) -> Floats:  # noqa: FBT001
    """Return sum of v / d^p over sum of 1 / d^p for every cell, or the value of the nearest station; at a station its own value."""
    out = np.empty((y.size, x.size))
    for row in prange(y.size):
        for column in range(x.size):
            above, below, nearest, found = 0.0, 0.0, np.inf, 0.0
            for station in range(values.size):
                square = (places[station, 0] - x[column]) ** 2 + (places[station, 1] - y[row]) ** 2
                if square < nearest:
                    nearest, found = square, values[station]
                if weighted and square > 0.0:
                    weight = 1.0 / square if half_power == 1.0 else square**-half_power
                    above += weight * values[station]
                    below += weight
            out[row, column] = found if nearest == 0.0 or not weighted else above / below
    return out
