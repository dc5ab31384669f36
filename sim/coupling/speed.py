"""How fast one may drive through water and rain, and what passes then: published laws as functions of depth and intensity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.sim.traffic.dynamic import WAVE_SPEED

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.sim.coupling.parameters import RoadParameters

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["DEEPEST", "ponding_capacity", "rain_class", "water_speed"]

DEEPEST = 0.3
"""Depth to which the speed law holds [m]; beyond, its value there is taken: as a parabola it would rise again from 0.307 m on."""


def water_speed(depth: ArrayLike, film: float = 0.0) -> Floats:
    """Return the greatest safe speed of a car in still water [m/s], infinite where there is none.

    Parameters
    ----------
    depth
        [m]; NaN is no water.
    film
        Depth below which the law says nothing [m].

    Notes
    -----
    v = 0.0009 w² - 0.5529 w + 86.9448 km/h with w in mm, from 0 to 300 mm; clamped there. It is a cap on the free speed, no factor.

    References
    ----------
    .. [1] Pregnolato, Ford, Wilkinson, Dawson (2017). The impact of flooding on road transport: a depth-disruption function.
       Transportation Research Part D 55, 67-81, doi 10.1016/j.trd.2017.06.020.

    Examples
    --------
    >>> (water_speed([0.0, 0.1, 0.3, 2.0]) * 3.6).round(4)
    array([    inf, 40.6548,  2.0748,  2.0748])
    """
    given = np.asarray(depth, float)
    w = np.clip(np.nan_to_num(given), 0.0, DEEPEST) * 1000.0
    found = (0.0009 * w * w - 0.5529 * w + 86.9448) / 3.6
    with np.errstate(invalid="ignore"):
        return np.where((given > 0) & (given >= film), found, np.inf)


def ponding_capacity(speed: ArrayLike, free: ArrayLike, how: str) -> Floats:
    """Return the factor on the capacity of a road whose speed water holds down at its slowest place.

    Parameters
    ----------
    speed, free
        With and without the water [m/s].
    how
        As `RoadParameters.ponding_capacity`.

    Examples
    --------
    >>> ponding_capacity([10.0, 5.0], 10.0, "speed")
    array([1. , 0.5])
    """
    v, f = np.broadcast_arrays(np.asarray(speed, float), np.asarray(free, float))
    slow = v < f
    ratio = np.ones(v.shape)
    if how == "stays":
        return ratio
    low, high = v[slow], f[slow]
    if how == "speed":
        ratio[slow] = low / high
        return ratio
    top = 1.0 / (1.0 + WAVE_SPEED / high)  # of the triangle: capacity = w k v / (v + w)
    ratio[slow] = low / (low + WAVE_SPEED) / top
    return ratio


def rain_class(intensity: ArrayLike, parameters: RoadParameters) -> Ints:
    """Return 0 without rain, 1 in light, 2 in medium, 3 in heavy rain; intensity in mm/h, a class ends with its limit.

    A ten-thousandth above the limit is still at it: sums over a domain round.

    Examples
    --------
    >>> from cim.sim.coupling.parameters import RoadParameters
    >>> rain_class([0.0, 2.54, 2.5400001, 3.0, 80.0], RoadParameters()).tolist()
    [0, 1, 1, 2, 3]
    """
    rain = np.asarray(intensity, float)
    return np.where(rain > 0, np.searchsorted(np.asarray(parameters.rain_intensity) * 1.0001, rain, side="left") + 1, 0).astype(np.int64)
