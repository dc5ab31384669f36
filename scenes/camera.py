"""Where the picture is taken from, as a value that every renderer and the picker read the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]

__all__ = ["INSET", "Camera"]

INSET = (0.04, 0.05, 0.04, 0.07)
"""Share of a picture kept free at the left, top, right and bottom: the foot carries scale bar and source line."""


@dataclass(frozen=True)
class Camera:
    """A camera over the scene; metres in the axes of the scene (east, north, up of its origin).

    Examples
    --------
    >>> Camera.looking((0, 0, 0), distance=100.0, azimuth=0.0, elevation=90.0, orthographic=50.0).metres_per_pixel((800, 400))
    0.25
    """

    position: tuple[float, float, float]
    focus: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    view_angle: float = 30.0
    """Vertical opening [degree]; not used when `orthographic`."""
    orthographic: float | None = None
    """Half the height of the picture [m] of a parallel projection; perspective when None."""

    @classmethod
    def looking(
        cls, focus: ArrayLike, *, distance: float, azimuth: float = 0.0, elevation: float = 35.0, view_angle: float = 30.0,
        orthographic: float | None = None,
    ) -> Camera:  # fmt: skip
        """Return a camera that looks at a point.

        Parameters
        ----------
        focus : shape (3,)
            Point in the middle of the picture.
        distance
            From the focus [m].
        azimuth
            Direction of view, clockwise from north [degree]: 0 has north at the top.
        elevation
            Above the horizon [degree]; 90 looks straight down.
        """
        turn, rise = np.radians(azimuth), np.radians(np.clip(elevation, -90, 90))
        ahead = np.array([np.sin(turn) * np.cos(rise), np.cos(turn) * np.cos(rise), -np.sin(rise)])
        up = np.array([np.sin(turn) * np.sin(rise), np.cos(turn) * np.sin(rise), np.cos(rise)])
        middle = np.asarray(focus, float)
        return cls(_triple(middle - ahead * distance), _triple(middle), _triple(up), view_angle, orthographic)

    @classmethod
    def fitting(
        cls, points: ArrayLike, size: tuple[int, int], *, azimuth: float = 20.0, elevation: float = 34.0, view_angle: float = 28.0,
        inset: tuple[float, float, float, float] = INSET, orthographic: bool = False,
    ) -> Camera:  # fmt: skip
        """Return a camera that shows all points as large as the picture allows.

        Parameters
        ----------
        points : shape (n, 3)
            What must be seen [m].
        size
            Width and height of the picture [pixel].
        inset
            Share of the picture kept free at the left, top, right and bottom.
        """
        cloud = np.asarray(points, float)
        if not len(cloud):
            cloud = np.array([[-50.0, -50.0, 0.0], [50.0, 50.0, 10.0]])
        first = cls.looking(cloud.mean(axis=0), distance=1.0, azimuth=azimuth, elevation=elevation, view_angle=view_angle)
        right, up, ahead = first.axes()
        flat = np.stack([cloud @ right, cloud @ up, cloud @ ahead], axis=1)
        aspect = size[0] / size[1]
        left, top, right_, bottom = inset
        if orthographic:
            return _fit_parallel(first, flat, aspect, (left, top, right_, bottom))
        half = np.tan(np.radians(view_angle) / 2)
        distance = float(flat[:, 2].min()) - 1.0  # nothing behind the camera
        cones = []
        # a point (x, y, z) is seen from (cx, cy, cz) when low (z - cz) <= x - cx <= high (z - cz), likewise for y: linear in c
        for axis, low, high in (
            (0, -aspect * (1 - 2 * left) * half, aspect * (1 - 2 * right_) * half),
            (1, (2 * bottom - 1) * half, (1 - 2 * top) * half),
        ):
            upper, lower = (flat[:, axis] - high * flat[:, 2]).max(), (flat[:, axis] - low * flat[:, 2]).min()
            distance = min(distance, (lower - upper) / (high - low))
            cones.append((upper, high, lower, low))
        across, upward = ((upper + lower + (high + low) * distance) / 2 for upper, high, lower, low in cones)
        position = right * across + up * upward + ahead * distance
        reach = float(np.median(flat[:, 2])) - distance
        return cls(_triple(position), _triple(position + ahead * reach), _triple(up), view_angle)

    def axes(self) -> tuple[Reals, Reals, Reals]:
        """Return the unit vectors to the right, up and ahead, shape (3,) each.

        Raises
        ------
        UsageError
            If the camera has no direction: position equals focus, or up points along the view.
        """
        ahead = np.subtract(self.focus, self.position)
        right = np.cross(ahead, self.up)
        if not np.linalg.norm(ahead) or not np.linalg.norm(right):
            msg = f"camera at {self.position} looking at {self.focus} with up {self.up} has no direction; move it or turn up"
            raise UsageError(msg)
        ahead /= np.linalg.norm(ahead)
        right /= np.linalg.norm(right)
        return right, np.cross(right, ahead), ahead

    def rays(self, x: ArrayLike, y: ArrayLike, size: tuple[int, int]) -> tuple[Reals, Reals]:
        """Return start and unit direction of the rays through pixel centres.

        Parameters
        ----------
        x, y : shape (n,)
            Pixel column from the left and row from the top.
        size
            Width and height of the picture [pixel].

        Returns
        -------
        tuple
            Starts and directions, shape (n, 3) [m].
        """
        width, height = size
        across = (2 * (np.atleast_1d(np.asarray(x, float)) + 0.5) / width - 1) * width / height
        upward = 1 - 2 * (np.atleast_1d(np.asarray(y, float)) + 0.5) / height
        right, up, ahead = self.axes()
        if self.orthographic is not None:
            start = np.asarray(self.position) + (across[:, None] * right + upward[:, None] * up) * self.orthographic
            return start, np.broadcast_to(ahead, start.shape)
        half = np.tan(np.radians(self.view_angle) / 2)
        direction = ahead + half * (across[:, None] * right + upward[:, None] * up)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return np.broadcast_to(np.asarray(self.position, float), direction.shape), direction

    def project(self, points: ArrayLike, size: tuple[int, int]) -> Reals:
        """Return pixel column, pixel row and distance ahead of points, shape (n, 3); NaN behind the camera."""
        width, height = size
        right, up, ahead = self.axes()
        offset = np.atleast_2d(np.asarray(points, float)) - self.position
        depth = offset @ ahead
        scale = np.full_like(depth, self.orthographic) if self.orthographic is not None else np.tan(np.radians(self.view_angle) / 2) * depth
        scale = np.where((scale > 0) | (self.orthographic is not None), scale, np.nan)
        column = ((offset @ right) / scale * height / width + 1) * width / 2 - 0.5
        row = (1 - (offset @ up) / scale) * height / 2 - 0.5
        return np.stack([column, row, depth], axis=1)

    def metres_per_pixel(self, size: tuple[int, int]) -> float:
        """Return the size of a pixel across the picture at the focus [m]."""
        if self.orthographic is not None:
            return 2 * self.orthographic / size[1]
        distance = float(np.linalg.norm(np.subtract(self.focus, self.position)))
        return float(2 * np.tan(np.radians(self.view_angle) / 2) * distance / size[1])

    def north_on_screen(self) -> tuple[float, float]:
        """Return where north points at the focus: right and up in the picture, length 1 when not foreshortened."""
        right, up, _ = self.axes()
        return float(right[1]), float(up[1])


def _triple(values: Reals) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _fit_parallel(first: Camera, flat: Reals, aspect: float, inset: tuple[float, float, float, float]) -> Camera:
    """Return the parallel camera that shows points given along right, up, ahead."""
    right, up, ahead = first.axes()
    low, high = flat.min(axis=0), flat.max(axis=0)
    left, top, right_, bottom = inset
    wide = (high[0] - low[0]) / (1 - left - right_) / aspect
    tall = (high[1] - low[1]) / (1 - top - bottom)
    scale = max(wide, tall, 1e-6) / 2
    middle = (low + high) / 2
    middle[0] += (right_ - left) * scale * aspect
    middle[1] += (top - bottom) * scale
    focus = right * middle[0] + up * middle[1] + ahead * middle[2]
    reach = float(high[2] - low[2]) + 10.0
    return Camera(_triple(focus - ahead * reach), _triple(focus), _triple(up), first.view_angle, float(scale))
