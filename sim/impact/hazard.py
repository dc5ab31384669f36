"""How dangerous water is to people, vehicles and buildings: published ratings as functions of depth and velocity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.sim.impact.parameters import ImpactParameters, VehicleLimits

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["ARR_LIMITS", "DEFRA_CLASSES", "arr_class", "debris_factor", "defra_class", "defra_rating", "passable"]

DEFRA_CLASSES = ("low", "moderate", "significant", "extreme")
"""Caution; danger for some (children, the elderly); danger for most people; danger for all, emergency services too."""

ARR_LIMITS = ((0.3, 0.3, 2.0), (0.6, 0.5, 2.0), (0.6, 1.2, 2.0), (1.0, 2.0, 2.0), (4.0, 4.0, 4.0))
"""Of H1 to H5: greatest depth times velocity [m²/s], depth [m], velocity [m/s]; beyond the last is H6."""

_DEFAULTS = ImpactParameters()


def debris_factor(depth: ArrayLike, velocity: ArrayLike, limits: ImpactParameters = _DEFAULTS) -> Floats:
    """Return what debris adds to DEFRA's hazard rating."""
    carried = (np.asarray(depth) > limits.debris_depth) | (np.asarray(velocity) > limits.debris_velocity)
    return np.where(carried, limits.debris_factor, 0.0)


def defra_rating(depth: ArrayLike, velocity: ArrayLike, limits: ImpactParameters = _DEFAULTS) -> Floats:
    """Return DEFRA's hazard rating d (v + 0.5) + DF.

    Parameters
    ----------
    depth, velocity
        At one instant [m], [m/s]; maxima that do not coincide rate too high.

    Returns
    -------
    shape of `depth`
        Hazard rating [m²/s].

    References
    ----------
    .. [1] DEFRA and Environment Agency (2008). Supplementary note on flood hazard ratings and thresholds, to FD2320 and FD2321.

    Examples
    --------
    >>> defra_rating([0.2, 0.5], [1.0, 1.0]).round(9)
    array([0.3 , 1.75])
    """
    d, v = np.asarray(depth, float), np.asarray(velocity, float)
    return np.asarray(d * (v + 0.5) + debris_factor(d, v, limits), float)


def defra_class(rating: ArrayLike, limits: ImpactParameters = _DEFAULTS) -> Ints:
    """Return the place of a rating in `DEFRA_CLASSES`, -1 where it is not known; a class begins at its limit.

    Examples
    --------
    >>> [DEFRA_CLASSES[one] for one in defra_class([0.74, 0.75, 1.25, 2.0])]
    ['low', 'moderate', 'significant', 'extreme']
    """
    values = np.asarray(rating, float)
    return np.where(np.isnan(values), -1, np.searchsorted(limits.hazard_classes, values, side="right")).astype(np.int64)


def arr_class(depth: ArrayLike, velocity: ArrayLike, depth_velocity: ArrayLike) -> Ints:
    """Return the hazard class 1 to 6 (H1 to H6) of Australian Rainfall and Runoff, 0 where something is not known.

    Parameters
    ----------
    depth, velocity, depth_velocity
        Greatest depth [m], velocity [m/s] and product of both at one instant [m²/s], of one shape.

    References
    ----------
    .. [1] Ball et al. (2019). Australian Rainfall and Runoff, book 6, chapter 7, table 6.7.4; NSW flood risk management guideline FB03.

    Examples
    --------
    >>> arr_class([0.3, 0.4, 1.0, 1.9, 3.0, 0.2], [0.5, 0.5, 0.1, 0.1, 0.1, 4.5], [0.15, 0.2, 0.1, 0.19, 0.3, 0.9])
    array([1, 2, 3, 4, 5, 6])
    """
    d, v, dv = np.broadcast_arrays(*(np.asarray(one, float) for one in (depth, velocity, depth_velocity)))
    found = np.full(d.shape, 6, np.int64)
    for number in range(len(ARR_LIMITS), 0, -1):
        product, deep, fast = ARR_LIMITS[number - 1]
        found[(dv <= product) & (d <= deep) & (v <= fast)] = number
    return np.where(np.isnan(d) | np.isnan(v) | np.isnan(dv), 0, found)


def passable(depth: ArrayLike, velocity: ArrayLike, depth_velocity: ArrayLike, limits: VehicleLimits) -> NDArray[np.bool_]:
    """Return where a vehicle stays on the road; parameters as `arr_class`, unknown velocity counts as too much.

    Examples
    --------
    >>> passable([0.3, 0.31, 0.2], [0.1, 0.1, 1.6], [0.03, 0.031, 0.32], VehicleLimits(depth=0.3, depth_velocity=0.3)).tolist()
    [True, False, False]
    """
    d, v, dv = (np.asarray(one, float) for one in (depth, velocity, depth_velocity))
    return np.asarray((d <= limits.depth) & (dv <= limits.depth_velocity) & (v <= limits.velocity), bool)
