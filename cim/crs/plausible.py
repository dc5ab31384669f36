"""Can these coordinates be in that system? One gate for every source, which catches swapped axes, degrees and wrong zones."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from cim.crs.cgcs2000 import GaussKruegerGuess, detect_cgcs2000
from cim.crs.city_crs import CityCRS
from cim.errors import CRSError

if TYPE_CHECKING:
    Box = tuple[float, float, float, float]

__all__ = ["check_plausible"]

# How far outside the area of use coordinates may lie before they are refused: twice its size, but 500 km (or 5 degrees) at
# least, because areas of use are drawn around land and many data sets reach beyond, and ten times that at most.
_SIZES_AWAY = 2.0
_TIMES_LEAST = 10.0
_METRES_AWAY = 5.0e5
_DEGREES_AWAY = 5.0
_LOCAL = 1.0e4  # metres: a system that starts at its own corner rather than at the projection's


def check_plausible(bounds: tuple[float, float, float, float], crs: CityCRS, *, path: str = "") -> list[str]:
    """Refuse coordinates that cannot be in `crs`, and return a warning for each doubt.

    Parameters
    ----------
    bounds
        West, south, east, north of the coordinates as they are taken (x = east, y = north), in units of `crs`.
        Four NaN stand for no coordinates.
    path
        The input, for messages.

    Raises
    ------
    CRSError
        If the axes are swapped, degrees stand in a metric system or metres in degrees, a zone number is wrong, or the place is
        far from where the system is used.

    Examples
    --------
    >>> from cim.crs import parse
    >>> check_plausible((557000.0, 3464000.0, 558000.0, 3465000.0), parse("EPSG:4549"))
    []
    >>> check_plausible((31.2, 120.5, 31.3, 120.6), parse("EPSG:4326"), path="a.geojson")
    Traceback (most recent call last):
    cim.errors.CRSError: a.geojson: latitude 120.6 is beyond 90 in WGS 84: the axes are swapped (latitude first); swap x and y
    """
    where = path or "coordinates"
    if all(math.isnan(value) for value in bounds):
        return []
    if not all(math.isfinite(value) for value in bounds):
        raise CRSError(where, f"bounds {bounds} are not finite", "remove the records with infinite or missing coordinates")
    if bounds[0] > bounds[2] or bounds[1] > bounds[3]:
        raise CRSError(where, f"bounds {bounds} are not west, south, east, north", "give the smaller value first")
    if crs.is_local:
        return []
    return _check_projected(bounds, crs, where) if crs.is_projected else _check_geographic(bounds, crs, where)


def _check_geographic(bounds: Box, crs: CityCRS, where: str) -> list[str]:
    turn = math.degrees(crs.horizontal.axis_info[0].unit_conversion_factor)
    west, south, east, north = (value * turn for value in bounds)
    name = crs.horizontal.name
    worst = max(abs(south), abs(north))
    if worst > 90.0:
        if max(abs(west), abs(east)) <= 90.0 and worst <= 360.0:
            reason = f"latitude {worst:g} is beyond 90 in {name}: the axes are swapped (latitude first)"
            raise CRSError(where, reason, "swap x and y")
        reason = f"coordinates up to {max(abs(v) for v in bounds):g} cannot be degrees of {name}: they look like metres"
        raise CRSError(where, reason, "state the projected system they are in")
    if max(abs(west), abs(east)) > 360.0:
        raise CRSError(where, f"longitude {max(west, east, key=abs):g} cannot be degrees of {name}", "state the system they are in")
    warnings = []
    if max(abs(west), abs(east)) > 180.0:
        warnings.append(f"longitude {max(west, east, key=abs):g} is beyond 180 in {name}; it is taken as counted all the way round")
        return warnings
    if bounds == (0.0, 0.0, 0.0, 0.0):
        warnings.append(f"all coordinates are (0, 0) in {name}, in the Gulf of Guinea: a missing position, probably")
    return warnings + _check_area((west, south, east, north), _area_degrees(crs), name, where, ("degrees", _DEGREES_AWAY, 1.0))


def _check_projected(bounds: Box, crs: CityCRS, where: str) -> list[str]:
    name = crs.horizontal.name
    _refuse_degrees(bounds, crs, where)
    _refuse_zone_mistakes(bounds, crs, where)
    metres = crs.linear_unit_factor
    area = _area_native(crs.to_string())
    biggest = max(abs(value) for value in bounds) * metres
    if biggest < _LOCAL and (area is None or _distance(bounds, area) > 0):
        return [f"coordinates up to {biggest:g} m look local, not {name}; give the position of their origin"]
    if area is None:
        return []
    return _check_area(bounds, area, name, where, ("m", _METRES_AWAY, metres)) + _zone_warning(bounds, crs)


def _refuse_degrees(bounds: Box, crs: CityCRS, where: str) -> None:
    """Raise when the numbers, read as degrees, lie where the system is used."""
    area = crs.horizontal.area_of_use
    if area is None or max(abs(value) for value in bounds) > 180.0:
        return
    used = (area.west, area.south, area.east, area.north)
    if used[2] - used[0] > 100.0 and bounds[0] <= 0.0 <= bounds[2] and bounds[1] <= 0.0 <= bounds[3]:
        return  # a map of the world: numbers around the origin tell nothing
    swapped = (bounds[1], bounds[0], bounds[3], bounds[2])
    for box, how in ((bounds, "longitude and latitude"), (swapped, "latitude and longitude")):
        if _distance(box, used) == 0.0:
            reason = f"coordinates such as ({bounds[0]:g}, {bounds[1]:g}) are degrees ({how}), not metres of {crs.horizontal.name}"
            raise CRSError(where, reason, "state the geographic system they are in, such as EPSG:4326 or EPSG:4490")


def _refuse_zone_mistakes(bounds: Box, crs: CityCRS, where: str) -> None:
    """Raise for the mistakes that numbers of a Chinese zone give away: swapped axes, a zone number too many or missing."""
    if (guess := _zone_guess(bounds, crs)) is None:
        return
    severe = [one for one in guess.problems if one not in {"wrong_zone", "not_gauss_kruger"}]
    if severe or ("wrong_zone" in guess.problems and guess.zone_prefix is not None and guess.crs != crs.to_string()):
        raise CRSError(where, f"{guess.reason}, but the file says {crs.horizontal.name}", _zone_remedy(guess))


def _zone_remedy(guess: GaussKruegerGuess) -> str:
    code = guess.crs
    if guess.swapped:
        return "swap x and y" + (f" and read it as {code}" if code else "")
    return f"read it as {code}" if code else "state the zone it is in"


def _zone_warning(bounds: Box, crs: CityCRS) -> list[str]:
    guess = _zone_guess(bounds, crs)
    if guess is None or "wrong_zone" not in guess.problems:
        return []
    return [f"{guess.reason} better than {crs.horizontal.name}"]


def _zone_guess(bounds: Box, crs: CityCRS) -> GaussKruegerGuess | None:
    if not crs.horizontal.name.startswith("CGCS2000"):
        return None
    middle = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    return detect_cgcs2000([middle[0]], [middle[1]], declared=crs)


def _check_area(bounds: Box, area: Box | None, name: str, where: str, measure: tuple[str, float, float]) -> list[str]:
    """Compare with the area of use; far outside raises, a little outside warns."""
    if area is None:
        return []
    unit, least, scale = measure
    away = _distance(bounds, area)
    if away <= 0.0:
        return []
    swapped = (bounds[1], bounds[0], bounds[3], bounds[2])
    found = f"coordinates ({bounds[0]:g}, {bounds[1]:g}) to ({bounds[2]:g}, {bounds[3]:g})"
    if _distance(swapped, area) == 0.0 and not _touches(bounds, area):
        raise CRSError(where, f"{found} lie outside the area of use of {name}, and inside it with the axes swapped", "swap x and y")
    size = max(area[2] - area[0], area[3] - area[1])
    if away * scale > max(least, min(_SIZES_AWAY * size * scale, _TIMES_LEAST * least)):
        reason = f"{found} lie {away * scale:.3g} {unit} outside the area of use of {name}"
        raise CRSError(where, reason, "state the system they are really in")
    return [f"{found} reach {away * scale:.3g} {unit} outside the area of use of {name}"]


def _distance(box: Box, area: Box) -> float:
    """Return how far the box sticks out of the area, in their unit; 0 when it lies inside."""
    return max(0.0, area[0] - box[0], area[1] - box[1], box[2] - area[2], box[3] - area[3])


def _touches(box: Box, area: Box) -> bool:
    return box[0] <= area[2] and box[2] >= area[0] and box[1] <= area[3] and box[3] >= area[1]


def _area_degrees(crs: CityCRS) -> Box | None:
    area = crs.horizontal.area_of_use
    if area is None or area.west > area.east:  # across the antimeridian: every longitude may be meant
        return None
    return float(area.west), float(area.south), float(area.east), float(area.north)


@lru_cache(maxsize=128)
def _area_native(text: str) -> Box | None:
    """Return the area of use in the system's own coordinates, None where it is not known or has no image."""
    from pyproj import Transformer

    from cim.crs.city_crs import parse

    crs = parse(text)
    area, geodetic = _area_degrees(crs), crs.horizontal.geodetic_crs
    if area is None or geodetic is None or geodetic.prime_meridian is None or geodetic.prime_meridian.longitude != 0.0:
        return None
    west, south, east, north = area
    transformer = Transformer.from_crs(geodetic, crs.horizontal, always_xy=True)
    turn = math.degrees(geodetic.axis_info[0].unit_conversion_factor)
    box = transformer.transform_bounds(west / turn, south / turn, east / turn, north / turn, densify_pts=21)
    return tuple(float(v) for v in box) if all(math.isfinite(v) for v in box) else None  # type: ignore[return-value]
