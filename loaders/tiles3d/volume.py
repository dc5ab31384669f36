"""Bounding volumes of tiles: read, checked, and held against the vertices of their content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.mesh.earth import is_ecef, to_geographic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["Volume", "outside", "volume_of"]

_SIZES = {"box": 12, "region": 6, "sphere": 4}
_RADIUS = 6_371_000.0
"""Mean radius of the Earth [m]: turns small angles into distances."""


@dataclass(frozen=True)
class Volume:
    """A bounding volume."""

    kind: str
    """"box", "region" or "sphere"."""
    values: Reals
    """As the tileset gives them: regions in radians and metres, the others in metres."""


def volume_of(told: Any) -> tuple[Volume | None, str]:
    """Return a bounding volume, or None and what is wrong with it.

    Examples
    --------
    >>> volume_of({"sphere": [0, 0, 0, -1]})
    (None, 'sphere with a negative radius of -1')
    """
    if not isinstance(told, dict):
        return None, "no bounding volume"
    kind = next((name for name in _SIZES if name in told), None)
    if kind is None:
        return None, "bounding volume of an unknown kind"
    values = told[kind]
    if not isinstance(values, list) or len(values) != _SIZES[kind]:
        found = len(values) if isinstance(values, list) else "no"
        return None, f"bounding {kind} with {found} numbers, expected {_SIZES[kind]}"
    return _checked(kind, values)


def _checked(kind: str, values: list[Any]) -> tuple[Volume | None, str]:
    numbers = np.array([v if isinstance(v, int | float) and not isinstance(v, bool) else np.nan for v in values], np.float64)
    if not np.isfinite(numbers).all():
        return None, f"bounding {kind} with numbers that are not finite (NaN or infinity)"
    if kind == "sphere" and numbers[3] < 0:
        return None, f"sphere with a negative radius of {numbers[3]:g}"
    if kind == "region" and (numbers[1] > numbers[3] or numbers[4] > numbers[5]):
        return None, "bounding region whose south lies north of its north, or whose bottom lies above its top"
    return Volume(kind, numbers), ""


def outside(volume: Volume, points: Reals, matrix: Reals) -> float | None:
    """Return how far the farthest point lies outside [m], 0 when all are inside; None where that cannot be told.

    Parameters
    ----------
    points : shape (n, 3)
        In the coordinates of the whole tileset [m].
    matrix : shape (4, 4)
        From the tile to the whole tileset; a region lies on the globe whatever the matrix.
    """
    if not len(points):
        return None
    values = volume.values
    if volume.kind == "region":
        return _outside_region(values, points) if is_ecef(points) else None
    center = matrix[:3, :3] @ values[:3] + matrix[:3, 3]
    local = points - center
    if volume.kind == "sphere":
        scale = float(np.linalg.norm(matrix[:3, :3], axis=0).max())
        return float(max(np.linalg.norm(local, axis=1).max() - values[3] * scale, 0.0))
    excess = np.zeros(len(points))
    for axis in values[3:].reshape(3, 3):
        half = matrix[:3, :3] @ axis
        length = float(np.linalg.norm(half))
        if length > 0:
            excess = np.maximum(excess, np.abs(local @ (half / length)) - length)
    return float(excess.max())


def _outside_region(values: Reals, points: Reals) -> float:
    west, south, east, north, low, high = values.tolist()
    globe = to_geographic(points)
    lon, lat, height = np.radians(globe[:, 0]), np.radians(globe[:, 1]), globe[:, 2]
    turn = 2 * np.pi
    width = (east - west) % turn
    beyond = (lon - west) % turn
    sideways = np.where(beyond <= width, 0.0, np.minimum(beyond - width, turn - beyond)) * np.cos(lat)
    along = np.maximum(np.maximum(south - lat, lat - north), 0.0)
    return float(np.maximum(np.hypot(sideways, along) * _RADIUS, np.maximum(np.maximum(low - height, height - high), 0.0)).max())
