"""One reading of one piece of evidence: a rigid motion into a coordinate system, and the arithmetic that readings share."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cim.crs import CityCRS, parse, transform_points
from cim.errors import CRSError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["WGS84", "Reading", "apart", "in_area", "north_of", "place_of", "similarity", "to_degrees", "utm", "vertical_of"]

WGS84 = "EPSG:4326"
_SLACK = 0.5  # degrees: areas of use are drawn as boxes, and zones are used a little beyond their border
_ROUND_TRIP = 1.0  # m: farther from itself, a point there and back was outside what the projection can invert
_NAME = re.compile(r"[\w .:()/-]{2,80}")  # no PROJ string, which could reach for a file
_DATUMS = {
    "nap": "5709", "normaalamsterdamspeil": "5709", "napheight": "5709", "amsterdamspeil": "5709", "dhhn2016": "7837", "dhhn92": "5783",
    "odn": "5701", "ordnancedatumnewlyn": "5701", "newlyn": "5701", "navd88": "5703", "nn2000": "5941", "rh2000": "5613", "n2000": "3900",
    "evrf2007": "5621", "ln02": "5728", "taw": "5710", "ostend": "5710", "ngfign69": "5720", "ign69": "5720", "dvr90": "5799",
    "1985国家高程基准": "5737", "国家高程基准1985": "5737", "yellowsea1985": "5737", "1985国家高程": "5737", "黄海高程": "5736",
    "yellowsea1956": "5736",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What one source says when it is read in one way."""

    source: str
    """Such as "IfcMapConversion x1000"."""
    family: str
    """Readings of one family are ways to read the same statement; two families are independent."""
    crs: CityCRS
    matrix: Floats
    """Project coordinates [m] -> units of `crs`, shape (4, 4)."""
    anchor: tuple[float, float, float]
    """Point of the project [m] whose place the source states."""
    uncertainty: float
    """How far [m] the anchor may be off by the way it is written."""
    rotation_known: bool
    height: float | None
    scale: float = 1.0
    score: float = 0.0
    out: str = ""
    """Why it cannot be, empty when it can."""
    notes: tuple[str, ...] = ()
    """What was assumed to read it so; the reason of its score."""
    vertical: CityCRS | None = None
    said: tuple[tuple[str, str, str], ...] = field(default=())
    """Issues to raise when this reading is used: code, severity, message."""

    @property
    def rotation(self) -> float:
        """Angle from the project's x axis to east, counter-clockwise [rad]."""
        return math.atan2(self.matrix[1, 0], self.matrix[0, 0])


def similarity(anchor: Floats, place: Floats, rotation: float, scale: float = 1.0) -> Floats:
    """Return the motion that turns about the vertical through `anchor` and puts it on `place`; shape (4, 4).

    Examples
    --------
    >>> similarity(np.zeros(3), np.array([10.0, 20.0, 1.0]), 0.0) @ [1.0, 2.0, 3.0, 1.0]
    array([11., 22.,  4.,  1.])
    """
    matrix = np.eye(4)
    cos, sin = math.cos(rotation), math.sin(rotation)
    matrix[:3, :3] = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    matrix[:3, :3] *= scale
    matrix[:3, 3] = place - matrix[:3, :3] @ anchor
    return matrix


def to_degrees(crs: CityCRS, east: float, north: float) -> tuple[float, float] | None:
    """Return longitude and latitude in WGS 84, None where the system has no such point."""
    try:
        there = transform_points([east], [north], None, crs.without_vertical(), parse(WGS84), allow_ballpark=True)
        back = transform_points(there.x, there.y, None, parse(WGS84), crs.without_vertical(), allow_ballpark=True)
    except CRSError:
        return None
    away = math.hypot(float(back.x[0]) - east, float(back.y[0]) - north)
    limit = _ROUND_TRIP if crs.is_projected else 1e-5
    longitude, latitude = float(there.x[0]), float(there.y[0])
    return (longitude, latitude) if away < limit and abs(latitude) <= 90.0 else None


def in_area(crs: CityCRS, place: tuple[float, float] | None) -> bool:
    """Whether longitude and latitude lie where the system is used (half a degree around it too)."""
    if place is None:
        return False
    area = crs.horizontal.area_of_use
    if area is None:
        return True
    longitude, latitude = place
    east = area.east + (360.0 if area.west > area.east else 0.0)
    inside = any(area.west - _SLACK <= one <= east + _SLACK for one in (longitude, longitude + 360.0))
    return inside and area.south - _SLACK <= latitude <= area.north + _SLACK


def north_of(crs: CityCRS, longitude: float, latitude: float) -> float:
    """Return the angle from grid north to true north, counter-clockwise [rad], at a place."""
    step = 1e-4 if latitude < 89.0 else -1e-4
    wgs84 = parse(WGS84)
    there = transform_points([longitude] * 2, [latitude, latitude + step], None, wgs84, crs.without_vertical(), allow_ballpark=True)
    east, north = float(there.x[1] - there.x[0]), float(there.y[1] - there.y[0])
    return math.atan2(-east, north) if step > 0 else math.atan2(east, -north)


def place_of(reading: Reading, point: tuple[float, float, float]) -> tuple[float, float] | None:
    """Return longitude and latitude of a point of the project."""
    east, north, _, _ = reading.matrix @ np.array([*point, 1.0])
    return to_degrees(reading.crs, float(east), float(north))


def apart(a: Reading, b: Reading, centre: tuple[float, float, float]) -> float:
    """Return how far [m] two readings lie apart, at the point that the one without a known rotation fixes."""
    from pyproj import Geod

    point = b.anchor if not b.rotation_known else a.anchor if not a.rotation_known else centre
    first, second = place_of(a, point), place_of(b, point)
    if first is None or second is None:
        return math.inf
    return float(Geod(ellps="WGS84").inv(*first, *second)[2])


def utm(longitude: float, latitude: float) -> CityCRS:
    """Return the UTM zone of a place.

    Examples
    --------
    >>> utm(5.38, 52.15).to_string(), utm(151.2, -33.9).to_string()
    ('EPSG:32631', 'EPSG:32756')
    """
    zone = min(60, int((longitude + 180.0) // 6.0) + 1)
    return parse(f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}")


def vertical_of(horizontal: CityCRS, datum: str | None) -> tuple[CityCRS, str | None]:
    """Return the system with the height system that a file names, and why not when the name is not known."""
    if horizontal.vertical is not None or not datum or not datum.strip():
        return horizontal, None
    plain = "".join(letter for letter in datum.lower() if letter.isalnum())
    code = _DATUMS.get(plain, datum.strip())
    code = f"EPSG:{code}" if code.isdigit() else code
    if not _NAME.fullmatch(code):
        return horizontal, f"height system {datum[:40]!r} is no name of one: vertical unknown"
    from pyproj import CRS
    from pyproj.exceptions import CRSError as ProjError

    try:
        vertical = CRS.from_user_input(code)
    except ProjError:
        return horizontal, f"height system {datum!r} is not known to PROJ: vertical unknown"
    if not vertical.is_vertical:
        return horizontal, f"{datum!r} is no height system: vertical unknown"
    return CityCRS(horizontal.horizontal, vertical), None
