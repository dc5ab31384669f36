"""GCJ-02 and BD-09, the shifted coordinates of Chinese web maps, to and from WGS 84; PROJ does not know them.

GCJ-02 moves a place by 400 m as a rule and 735 m at most, BD-09 by another 750 to 1010 m. Neither says so in its file. The shift has
no closed inverse; the one-step inverse in general use is up to 5 m off, so it is iterated here. (Figures: a million random places.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Pair = tuple[NDArray[np.float64], NDArray[np.float64]]

__all__ = ["GCJ02_BOX", "bd09_to_gcj02", "bd09_to_wgs84", "gcj02_to_bd09", "gcj02_to_wgs84", "wgs84_to_bd09", "wgs84_to_gcj02"]

# Constants of the published algorithm: Krasovsky ellipsoid [m], and the box of the shift (west, south, east, north) [deg].
_SEMI_MAJOR = 6378245.0
_ECCENTRICITY2 = 0.00669342162296594323
GCJ02_BOX = (72.004, 0.8293, 137.8347, 55.8271)
_BD_TURN = np.pi * 3000.0 / 180.0
# Each step of the inverse shrinks the error by about 500; six reach the last bits, the rest is margin. At longitude 105 the shift has a
# root whose slope is infinite: within 1e-12 degrees of it the shift is not one to one, and no inverse does better than 1e-11.
_STEPS = 12
_LAST_STEP = 1e-13  # degrees


def wgs84_to_gcj02(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Shift WGS 84 degrees to GCJ-02; outside `GCJ02_BOX` nothing is shifted.

    Parameters
    ----------
    longitude, latitude : shape (n,)
        WGS 84 [deg].

    Returns
    -------
    longitude, latitude : shape (n,)
        GCJ-02 [deg].

    Notes
    -----
    As published in several independent implementations, which agree to the last printed digit.

    Examples
    --------
    >>> lon, lat = wgs84_to_gcj02(116.404, 39.915)
    >>> round(float(lon), 9), round(float(lat), 9)
    (116.410244499, 39.916404282)
    """
    lon, lat = _degrees(longitude, latitude)
    shifted_lon, shifted_lat = _gcj_shift(lon, lat)
    inside = _inside(lon, lat)
    return np.where(inside, shifted_lon, lon)[()], np.where(inside, shifted_lat, lat)[()]


def gcj02_to_wgs84(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Return the WGS 84 degrees whose shift is the given GCJ-02 place, to 1e-11 degrees (a micrometre).

    Outside `GCJ02_BOX` nothing is shifted. Within 0.01 degrees of the border of the box the shift is not unique; there
    places outside are taken as not shifted.

    Parameters
    ----------
    longitude, latitude : shape (n,)
        GCJ-02 [deg].

    Returns
    -------
    longitude, latitude : shape (n,)
        WGS 84 [deg].

    Examples
    --------
    >>> lon, lat = gcj02_to_wgs84(*wgs84_to_gcj02(116.404, 39.915))
    >>> round(float(lon), 12), round(float(lat), 12)
    (116.404, 39.915)
    """
    lon, lat = _degrees(longitude, latitude)
    inside = _inside(lon, lat)
    # Places outside are moved into the box for the iteration, which would mean nothing there, and dropped after it.
    safe_lon, safe_lat = np.where(inside, lon, 105.0), np.where(inside, lat, 30.0)
    back_lon, back_lat = _inverse(_gcj_shift, safe_lon, safe_lat)
    inside &= _inside(back_lon, back_lat)
    return np.where(inside, back_lon, lon)[()], np.where(inside, back_lat, lat)[()]


def gcj02_to_bd09(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Shift GCJ-02 degrees to BD-09 [deg], as published.

    Examples
    --------
    >>> lon, lat = gcj02_to_bd09(116.404, 39.915)
    >>> round(float(lon), 9), round(float(lat), 9)
    (116.410369494, 39.921336994)
    """
    lon, lat = _degrees(longitude, latitude)
    shifted = _bd_shift(lon, lat)
    return shifted[0][()], shifted[1][()]


def bd09_to_gcj02(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Return the GCJ-02 degrees whose shift is the given BD-09 place; iterated, where the usual one-step inverse is up to 0.24 m off."""
    lon, lat = _degrees(longitude, latitude)
    back = _inverse(_bd_shift, lon, lat)
    return back[0][()], back[1][()]


def wgs84_to_bd09(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Shift WGS 84 degrees to BD-09, by way of GCJ-02."""
    return gcj02_to_bd09(*wgs84_to_gcj02(longitude, latitude))


def bd09_to_wgs84(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    """Return the WGS 84 degrees of a BD-09 place, by way of GCJ-02."""
    return gcj02_to_wgs84(*bd09_to_gcj02(longitude, latitude))


def _degrees(longitude: ArrayLike, latitude: ArrayLike) -> Pair:
    lon, lat = np.broadcast_arrays(np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64))
    return lon, lat


def _inside(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    west, south, east, north = GCJ02_BOX
    return (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)


def _inverse(shift: Callable[..., Pair], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Pair:
    """Find the place that `shift` moves to (lon, lat): take off the shift at the last guess until it stays."""
    guess_lon, guess_lat = lon, lat
    for _ in range(_STEPS):
        there_lon, there_lat = shift(guess_lon, guess_lat)
        step_lon, step_lat = lon - there_lon, lat - there_lat
        guess_lon, guess_lat = guess_lon + step_lon, guess_lat + step_lat
        if not np.any(np.maximum(np.abs(step_lon), np.abs(step_lat)) > _LAST_STEP):
            break
    return guess_lon, guess_lat


def _gcj_shift(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Pair:
    """Shift without regard to the box."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    common = 20.0 * np.sin(6.0 * np.pi * x) + 20.0 * np.sin(2.0 * np.pi * x)
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (common + _waves(y, 20.0, 40.0) + 160.0 * np.sin(np.pi * y / 12.0) + 320.0 * np.sin(np.pi * y / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (common + _waves(x, 20.0, 40.0) + 150.0 * np.sin(np.pi * x / 12.0) + 300.0 * np.sin(np.pi * x / 30.0)) * 2.0 / 3.0
    phi = np.radians(lat)
    w2 = 1.0 - _ECCENTRICITY2 * np.sin(phi) ** 2
    meridian = _SEMI_MAJOR * (1.0 - _ECCENTRICITY2) / (w2 * np.sqrt(w2))
    parallel = _SEMI_MAJOR / np.sqrt(w2) * np.cos(phi)
    return lon + np.degrees(east / parallel), lat + np.degrees(north / meridian)


def _waves(t: NDArray[np.float64], first: float, second: float) -> NDArray[np.float64]:
    waves: NDArray[np.float64] = first * np.sin(np.pi * t) + second * np.sin(np.pi * t / 3.0)
    return waves


def _bd_shift(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Pair:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_TURN)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_TURN)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006
