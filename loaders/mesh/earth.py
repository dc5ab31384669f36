"""From a globe to a map: geocentric coordinates, and east-north-up frames at a place, turned into a coordinate system a city can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CRSError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cim.crs import CityCRS

    Reals = NDArray[np.float64]

__all__ = ["OnMap", "enu_matrix", "from_ecef", "is_ecef", "to_ecef", "to_geographic"]

# Distances from the centre of the Earth [m] between which a place on its surface lies: 60 km below the pole to 40 km above the equator.
_NEAREST, _FARTHEST = 6_297_000.0, 6_418_000.0
_SAMPLE = 10_000
"""Points that the residual is measured on."""


@dataclass(frozen=True)
class OnMap:
    """Points in a coordinate system of a city, and how they were got."""

    points: Reals
    """Shape (n, 3): east, north, up [m]."""
    crs: CityCRS
    pipeline: str
    accuracy: float | None
    """Stated accuracy of the operation [m]."""
    residual: float
    """Largest distance [m] between a point and itself after the way there and back."""
    notes: tuple[str, ...]
    assumed: bool
    """Whether the system was chosen here."""


def _geocentric(*, inverse: bool) -> object:
    from pyproj import Transformer

    return Transformer.from_pipeline(f"+proj=pipeline +step {'+inv ' if inverse else ''}+proj=cart +ellps=WGS84")


def to_geographic(points: ArrayLike) -> Reals:
    """Return longitude [deg], latitude [deg] and height above the ellipsoid [m] of geocentric points (EPSG:4978), shape (n, 3).

    Examples
    --------
    >>> to_geographic([[6378137.0, 0.0, 0.0]]).round(9).tolist()
    [[0.0, 0.0, 0.0]]
    """
    xyz = np.asarray(points, np.float64).reshape(-1, 3)
    told = _geocentric(inverse=True).transform(xyz[:, 0], xyz[:, 1], xyz[:, 2], radians=False)  # type: ignore[attr-defined]
    return np.column_stack(told)


def to_ecef(longitude: ArrayLike, latitude: ArrayLike, height: ArrayLike) -> Reals:
    """Return geocentric points (EPSG:4978) [m], shape (n, 3), from degrees and height above the ellipsoid [m]."""
    columns = (np.atleast_1d(np.asarray(one, np.float64)) for one in np.broadcast_arrays(longitude, latitude, height))
    return np.column_stack(_geocentric(inverse=False).transform(*columns, radians=False))  # type: ignore[attr-defined]


def enu_matrix(longitude: float, latitude: float, height: float) -> Reals:
    """Return the matrix, shape (4, 4), from east, north, up at a place [deg, m] to geocentric coordinates.

    Examples
    --------
    >>> (enu_matrix(0.0, 0.0, 0.0) @ [1.0, 2.0, 3.0, 1.0]).round(6).tolist()
    [6378140.0, 1.0, 2.0, 1.0]
    """
    a, b = np.radians([longitude, latitude])
    out = np.eye(4)
    out[:3, 0] = [-np.sin(a), np.cos(a), 0.0]
    out[:3, 1] = [-np.sin(b) * np.cos(a), -np.sin(b) * np.sin(a), np.cos(b)]
    out[:3, 2] = [np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)]
    out[:3, 3] = to_ecef(longitude, latitude, height)[0]
    return out


def is_ecef(points: Reals) -> bool:
    """Return whether points are geocentric coordinates near the surface of the Earth."""
    if not len(points):
        return False
    distance = np.linalg.norm(points, axis=1)
    return bool((distance > _NEAREST).all() and (distance < _FARTHEST).all())


def from_ecef(points: Reals, crs: str | None, path: Path) -> OnMap:
    """Return geocentric points in a system that a city can have.

    Parameters
    ----------
    points : shape (n, 3)
        Coordinates in EPSG:4978 [m].
    crs
        The system that was asked for; without it the UTM zone of the place with heights above the ellipsoid.

    Raises
    ------
    CRSError
        If there is no exact way there (a height system whose grid is missing), or the system has no place on the Earth.
    """
    from cim.crs import parse, transform_points

    globe = to_geographic(points)
    middle = globe.mean(axis=0)
    target = parse(crs if crs is not None else _utm(float(middle[0]), float(middle[1])), path="crs=")
    if target.is_local:
        remedy = "give a projected system, or none for the UTM zone of the place"
        raise CRSError(path, "has its place on the globe (geocentric coordinates), which crs='local' has not", remedy)
    known = target if target.vertical is not None else parse(_ellipsoidal(target), path="crs=")
    source = parse("EPSG:4979")
    done = transform_points(globe[:, 0], globe[:, 1], globe[:, 2], source, known, path=str(path))
    height = globe[:, 2] if done.z is None else done.z
    moved = np.column_stack([done.x, done.y, height])
    return OnMap(moved, known, done.pipeline, done.accuracy, _residual(points, moved, known), done.notes, crs is None)


def _utm(longitude: float, latitude: float) -> str:
    zone = min(int((longitude + 180.0) // 6.0) + 1, 60)
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}+ellipsoidal"


def _ellipsoidal(crs: CityCRS) -> str:
    """Return the same system with heights above its ellipsoid, which is what a globe has."""
    text = crs.to_string()
    return f"{text}+ellipsoidal" if ":" in text and "[" not in text else str(crs.horizontal.to_3d().to_wkt())


def _residual(points: Reals, moved: Reals, crs: CityCRS) -> float:
    from cim.crs import parse, transform_points

    step = max(1, len(points) // _SAMPLE)
    some, there = points[::step], moved[::step]
    back = transform_points(there[:, 0], there[:, 1], there[:, 2], crs, parse("EPSG:4979"))
    height = there[:, 2] if back.z is None else back.z
    return float(np.linalg.norm(to_ecef(back.x, back.y, height) - some, axis=1).max(initial=0.0))
