"""Which coordinate systems a city may be modelled in, which one fits a place, and how much a system distorts there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cim.crs.cgcs2000 import cgcs2000_zone
from cim.crs.city_crs import CityCRS
from cim.errors import CRSError, UsageError

if TYPE_CHECKING:
    from pyproj import CRS

__all__ = ["Distortion", "check_model_crs", "distortion", "is_web_mercator", "suggest_model_crs"]

# West, south, east, north [deg], area of use of EPSG:4490 and of EPSG:7415. China's box holds parts of its neighbours too.
_CHINA = (73.62, 16.7, 134.77, 53.56)
_NETHERLANDS = (3.2, 50.75, 7.22, 53.7)


@dataclass(frozen=True)
class Distortion:
    """What a map projection does to lengths, areas and directions at one place."""

    east_west: float
    """Map length over true length along the parallel."""
    north_south: float
    """Map length over true length along the meridian."""
    area: float
    """Map area over true area."""
    convergence_degrees: float
    """Angle from grid north to true north, positive where true north lies west of grid north."""

    @property
    def parts_per_million(self) -> float:
        """The larger of the two length errors [mm/km]."""
        return max(self.east_west - 1.0, self.north_south - 1.0, key=abs) * 1e6


def check_model_crs(crs: CityCRS, *, path: str = "", place: tuple[float, float] | None = None, allow_geographic: bool = False) -> None:
    """Refuse systems in which lengths and areas are wrong.

    For the city that is built, fused or saved. A reader may hold a source in the system its file declares, whatever it is, EPSG:3857
    too, and must not call this. A City read from one geographic source may stay so: `allow_geographic=True`.

    Parameters
    ----------
    crs
        The system proposed.
    path
        The input or the file to write, for the message.
    place
        Longitude and latitude [deg] of the city, so that the message can name a system that fits.
    allow_geographic
        Refuse only the Mercator projections.

    Raises
    ------
    CRSError
        If it is Web Mercator or another Mercator map of the world, or (unless allowed) geographic.

    Examples
    --------
    >>> from cim.crs import parse
    >>> check_model_crs(parse("EPSG:4549"))
    >>> check_model_crs(parse("EPSG:3857"), path="a.gpkg", place=(120.6, 31.3))
    Traceback (most recent call last):
    cim.errors.CRSError: a.gpkg: WGS 84 / Pseudo-Mercator is a Mercator map of the world: at latitude 31.3 it makes areas 1.37 times too
    large; use a system made for the place: EPSG:4549 in China, EPSG:32651 elsewhere
    """
    where = path or "city"
    name = crs.horizontal.name
    if crs.is_local:
        return
    if is_web_mercator(crs) or _is_world_mercator(crs.horizontal):
        grows = "lengths and areas grow towards the poles"
        if place is not None:
            grows = f"at latitude {place[1]:g} it makes areas {distortion(crs, *place).area:.2f} times too large"
        raise CRSError(where, f"{name} is a Mercator map of the world: {grows}", _fitting(place))
    if not crs.is_projected and not allow_geographic:
        raise CRSError(where, f"{name} is geographic: lengths and areas cannot be measured in degrees", _fitting(place))


def is_web_mercator(crs: CityCRS) -> bool:
    """Whether this is the map of the web tile services (EPSG:3857, 900913, ESRI:102100 and their kin)."""
    horizontal = crs.horizontal.source_crs if crs.horizontal.is_bound else crs.horizontal
    if horizontal is None or not horizontal.is_projected or horizontal.coordinate_operation is None:
        return False
    method = horizontal.coordinate_operation.method_name.lower()
    if "pseudo mercator" in method or "auxiliary_sphere" in method or "auxiliary sphere" in method:
        return True
    ellipsoid = horizontal.ellipsoid
    return method.startswith("mercator") and ellipsoid is not None and ellipsoid.inverse_flattening == 0.0


def _is_world_mercator(crs: CRS) -> bool:
    operation, area = crs.coordinate_operation, crs.area_of_use
    if operation is None or not operation.method_name.lower().startswith("mercator"):
        return False
    return area is None or area.east - area.west >= 350.0


def suggest_model_crs(longitude: float, latitude: float) -> tuple[str, ...]:
    """Return codes of projected systems that fit a place [deg], the most likely first.

    A suggestion for a message: the boxes of countries overlap, and a city may have a system of its own.

    Examples
    --------
    >>> suggest_model_crs(120.6, 31.3), suggest_model_crs(4.35, 52.0), suggest_model_crs(-70.7, -33.4)
    (('EPSG:4549', 'EPSG:32651'), ('EPSG:7415', 'EPSG:32631'), ('EPSG:32719',))
    """
    if not (-180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0):
        msg = f"({longitude}, {latitude}) is not a longitude and a latitude in degrees"
        raise UsageError(msg)
    zone = min(int((longitude + 180.0) // 6.0) + 1, 60)
    utm = f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
    if _holds(_CHINA, longitude, latitude):
        return cgcs2000_zone(longitude).epsg_without_zone, utm
    if _holds(_NETHERLANDS, longitude, latitude):
        return "EPSG:7415", utm
    return (utm,)


def _holds(box: tuple[float, float, float, float], longitude: float, latitude: float) -> bool:
    return box[0] <= longitude <= box[2] and box[1] <= latitude <= box[3]


def _fitting(place: tuple[float, float] | None) -> str:
    if place is None:
        return "use a projected system made for the place, such as EPSG:4549 (China, 120° E) or EPSG:7415 (Netherlands)"
    fitting = suggest_model_crs(*place)
    if len(fitting) == 1:
        return f"use a system made for the place: {fitting[0]}"
    country = "China" if fitting[0] != "EPSG:7415" else "the Netherlands"
    return f"use a system made for the place: {fitting[0]} in {country}, {fitting[1]} elsewhere"


def distortion(crs: CityCRS, longitude: float, latitude: float) -> Distortion:
    """Return what the projection of `crs` does to lengths and areas at a place [deg], measured on its own ellipsoid.

    Raises
    ------
    CRSError
        If the system is geographic or the place has no image.

    Notes
    -----
    Central differences of the projection over about 1 m; the curvature radii are those of the ellipsoid of the datum [1]_. PROJ's own
    factors of Web Mercator are those of a sphere, and so are not what a measured length on the ground grows by.

    References
    ----------
    .. [1] Snyder, J. P. (1987). Map Projections: A Working Manual. USGS Professional Paper 1395.   (eq. 4-18, 4-20)

    Examples
    --------
    >>> from cim.crs import parse
    >>> web = distortion(parse("EPSG:3857"), 120.6, 31.3)
    >>> round(web.east_west, 6), round(web.north_south, 6), round(web.area, 6)
    (1.169274, 1.175027, 1.373928)
    """
    import numpy as np
    from pyproj import Transformer

    geodetic = crs.horizontal.geodetic_crs
    if not crs.is_projected or geodetic is None or geodetic.ellipsoid is None:
        raise CRSError(crs.label, f"{crs.name} is no map projection", "distortion is a property of projected systems")
    step = 1e-5  # degrees, about 1 m: the truncation error is 1e-13 and rounding of metres 1e-9 of the length
    transformer = Transformer.from_crs(geodetic, crs.horizontal, always_xy=True)
    turn = np.array([0.0, step, -step, 0.0, 0.0])
    x, y = transformer.transform(longitude + turn, latitude + np.roll(turn, 2))
    if not np.isfinite([x, y]).all():
        raise CRSError(crs.label, f"({longitude}, {latitude}) has no image in it", "give longitude and latitude in degrees")
    unit = crs.linear_unit_factor
    x, y = np.asarray(x) * unit, np.asarray(y) * unit
    east, north = np.array([x[1] - x[2], y[1] - y[2]]), np.array([x[3] - x[4], y[3] - y[4]])
    along, up = _ground_lengths(geodetic.ellipsoid, latitude, 2.0 * np.radians(step))
    area = abs(float((east[0] * north[1] - east[1] * north[0]) / (along * up)))
    convergence = float(np.degrees(np.arctan2(-north[0], north[1])))
    return Distortion(float(np.hypot(*east) / along), float(np.hypot(*north) / up), area, convergence)


def _ground_lengths(ellipsoid: object, latitude: float, angle: float) -> tuple[float, float]:
    """Length on the ellipsoid [m] of `angle` [rad] along the parallel and along the meridian."""
    import math

    a = float(ellipsoid.semi_major_metre)  # type: ignore[attr-defined]
    b = float(ellipsoid.semi_minor_metre)  # type: ignore[attr-defined]
    e2 = 1.0 - (b / a) ** 2
    phi = math.radians(latitude)
    w2 = 1.0 - e2 * math.sin(phi) ** 2
    return a / math.sqrt(w2) * math.cos(phi) * angle, a * (1.0 - e2) / w2**1.5 * angle
