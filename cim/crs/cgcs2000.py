"""The Gauss-Krüger zones of CGCS2000: which code belongs to a longitude, and what a pair of numbers gives away.

China's maps come in zones of 3° or 6°, each under two codes: with the zone number before the easting (40 557 122 m)
and without (557 122 m). Files mix them up, swap the axes (the authority lists north first), or keep a zone that the place has left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cim.crs.city_crs import CityCRS, parse
from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["GaussKruegerGuess", "ZoneCRS", "cgcs2000_zone", "detect_cgcs2000"]

# First and last zone of each width, and the first code with and without zone number (EPSG database).
_ZONES = {3: (25, 45, 4513, 4534), 6: (13, 23, 4491, 4502)}
# What a northing in China can be [m]: from 3° N (Nansha) to 53.6° N; swapped axes are told only above 9° N, where
# a northing is larger than any easting without zone number.
_NORTHING = (3.0e5, 6.0e6)
_SURE_NORTHING = (1.0e6, 6.0e6)
_EASTING = (1.0e5, 9.0e5)  # without zone number; 500 km is the central meridian


@dataclass(frozen=True)
class ZoneCRS:
    """A Gauss-Krüger zone and its two codes."""

    zone: int
    """Zone number, 25 to 45 (3°) or 13 to 23 (6°)."""
    central_meridian: float
    """[deg E]"""
    epsg_with_zone: str
    """Code whose eastings carry the zone number."""
    epsg_without_zone: str
    """Code whose eastings do not."""
    width: int
    """3 or 6 [deg]."""


@dataclass(frozen=True)
class GaussKruegerGuess:
    """What coordinates give away. A guess stays one: Beijing 1954 and Xian 1980 have the same zones and look alike."""

    crs: str | None
    """Code that fits, None when the numbers do not tell the zone."""
    swapped: bool
    """Whether the first number is the northing."""
    zone_prefix: int | None
    """Zone number before the easting, None without one."""
    zone: ZoneCRS | None
    """The zone the points lie in."""
    offset_degrees: float | None
    """How far the middle of the points lies east of the central meridian of the zone they are given in."""
    problems: tuple[str, ...]
    """Codes: axes_swapped, zone_prefix_in_unprefixed_crs, zone_prefix_missing, wrong_zone, not_gauss_kruger."""
    reason: str
    """The same in words."""


def cgcs2000_zone(longitude: float, *, width: int = 3) -> ZoneCRS:
    """Return the Gauss-Krüger zone of a longitude [deg E].

    Raises
    ------
    UsageError
        If the longitude is outside the zones of China, or the width is not 3 or 6.

    Examples
    --------
    >>> cgcs2000_zone(120.6)
    ZoneCRS(zone=40, central_meridian=120.0, epsg_with_zone='EPSG:4528', epsg_without_zone='EPSG:4549', width=3)
    """
    if width not in _ZONES:
        msg = f"zones are 3 or 6 degrees wide, not {width}"
        raise UsageError(msg)
    if not math.isfinite(longitude):
        msg = f"longitude {longitude} is not a number of degrees"
        raise UsageError(msg)
    return _zone(math.floor(longitude / 3 + 0.5) if width == 3 else math.floor(longitude / 6) + 1, width)


def _zone(number: int, width: int) -> ZoneCRS:
    first, last, prefixed, plain = _ZONES[width]
    meridian = 3.0 * number if width == 3 else 6.0 * number - 3.0
    if not first <= number <= last:
        msg = f"zone {number} ({meridian:g}° E) is none of China's {width}° zones {first} to {last}; use a UTM zone"
        raise UsageError(msg)
    step = number - first
    return ZoneCRS(number, meridian, f"EPSG:{prefixed + step}", f"EPSG:{plain + step}", width)


def detect_cgcs2000(
    eastings: ArrayLike, northings: ArrayLike, *, declared: CityCRS | str | None = None, longitude: float | None = None
) -> GaussKruegerGuess:
    """Tell by their magnitude how Gauss-Krüger coordinates are meant.

    Parameters
    ----------
    eastings, northings : shape (n,)
        Coordinates as the file gives them [m].
    declared
        The system the file claims.
    longitude
        Where the city is known to lie [deg E]; tells the zone when neither the numbers nor the file do.

    Examples
    --------
    >>> guess = detect_cgcs2000([40557122.865], [3464391.326], declared="EPSG:4549")
    >>> guess.crs, guess.zone_prefix, guess.problems
    ('EPSG:4528', 40, ('zone_prefix_in_unprefixed_crs',))
    >>> detect_cgcs2000([3464391.326], [557122.865], declared="EPSG:4549").problems
    ('axes_swapped',)
    """
    import numpy as np

    x, y = np.asarray(eastings, dtype=np.float64), np.asarray(northings, dtype=np.float64)
    valid = np.isfinite(x) & np.isfinite(y)
    if not valid.any():
        return _no_guess("there is no coordinate")
    east, north = float(np.median(x[valid])), float(np.median(y[valid]))
    swapped = _is_pair(north, east, _SURE_NORTHING) and not _is_pair(east, north, _NORTHING)
    if swapped:
        east, north = north, east
    if not _is_pair(east, north, _NORTHING):
        return _no_guess(f"({east:.3f}, {north:.3f}) cannot be an easting and a northing of a zone of China")
    return _guess(east, north, _claim(declared), longitude, swapped=swapped)


def _guess(east: float, north: float, claim: _Claim | None, longitude: float | None, *, swapped: bool) -> GaussKruegerGuess:
    prefix, width = _prefix(east)
    problems = ["axes_swapped"] if swapped else []
    words = ["the first number is the northing"] if swapped else []
    if prefix is not None:
        given: ZoneCRS | None = _zone(prefix, width)
    elif claim is not None:
        given = claim.zone
    else:
        given = None if longitude is None else cgcs2000_zone(longitude)
    if claim is not None and claim.prefixed != (prefix is not None):
        problems.append("zone_prefix_missing" if claim.prefixed else "zone_prefix_in_unprefixed_crs")
        words.append(f"easting {east:.3f} {'has no zone number' if claim.prefixed else f'carries the zone number {prefix}'}")
    if given is None:
        words.append("without zone number in the easting only the declared system or the longitude can tell the zone")
        return GaussKruegerGuess(None, swapped, prefix, None, None, tuple(problems), "; ".join(words))
    offset = _offset(east if prefix is None else east - prefix * 1e6, north, given)
    zone = given
    if abs(offset) > given.width / 2:
        problems.append("wrong_zone")
        words.append(f"the points lie {abs(offset):.2f}° from the central meridian {given.central_meridian:g}° E")
        zone = _neighbour(given, offset)
    elif claim is not None and claim.zone != given:
        problems.append("wrong_zone")
        words.append(f"declared for {claim.zone.central_meridian:g}° E, zone number {prefix}")
    crs = zone.epsg_without_zone if prefix is None or zone is not given else zone.epsg_with_zone
    words.append(f"{crs} fits")
    return GaussKruegerGuess(crs, swapped, prefix, zone, offset, tuple(problems), "; ".join(words))


@dataclass(frozen=True)
class _Claim:
    zone: ZoneCRS
    prefixed: bool


def _claim(declared: CityCRS | str | None) -> _Claim | None:
    """Return the zone of a declared CGCS2000 system, None for any other."""
    if declared is None:
        return None
    code = parse(declared).horizontal.to_epsg()
    for width, (first, last, prefixed, plain) in _ZONES.items():
        for start, has_prefix in ((prefixed, True), (plain, False)):
            if code is not None and start <= code <= start + last - first:
                return _Claim(_zone(first + code - start, width), has_prefix)
    return None


def _prefix(east: float) -> tuple[int | None, int]:
    number = int(east // 1e6)
    for width, (first, last, *_) in _ZONES.items():
        if first <= number <= last:
            return number, width
    return None, 3


def _is_pair(east: float, north: float, northing: tuple[float, float]) -> bool:
    number, _ = _prefix(east)
    rest = east if number is None else east - number * 1e6
    return _EASTING[0] <= rest <= _EASTING[1] and northing[0] <= north <= northing[1]


def _offset(east: float, north: float, zone: ZoneCRS) -> float:
    """Return how far east of the central meridian a point lies [deg]."""
    from pyproj import Transformer

    longitude, _ = Transformer.from_crs(zone.epsg_without_zone, "EPSG:4490", always_xy=True).transform(east, north)
    return float(longitude) - zone.central_meridian


def _neighbour(given: ZoneCRS, offset: float) -> ZoneCRS:
    try:
        return cgcs2000_zone(given.central_meridian + offset, width=given.width)
    except UsageError:
        return given


def _no_guess(reason: str) -> GaussKruegerGuess:
    return GaussKruegerGuess(None, False, None, None, None, ("not_gauss_kruger",), reason)
