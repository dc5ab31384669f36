"""The light of a scene, the same in the picture and on the page: it comes from the world, not from the camera, so it can be baked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.layer import Layer

__all__ = ["FILL", "KEY", "SKY", "Shell", "corner_colours", "face_light", "shell"]

KEY = (-0.72, -0.28, 0.64)
"""Direction to the main light: west, so that one of the two walls the default camera sees is bright and the other is not."""
FILL = (0.35, -0.85, 0.4)
"""Direction to a weak second light that parts the other walls."""
SKY = 0.49
"""Light without direction."""

Shell = tuple["NDArray[np.float32]", "NDArray[np.int32]", "NDArray[np.uint8]"]


def face_light(points: NDArray[np.float64], triangles: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the brightness of each triangle, shape (m,): sky, main light and fill on its front."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= np.where(length > 0, length, 1.0)
    key, fill = (np.asarray(light) / np.linalg.norm(light) for light in (KEY, FILL))
    light = SKY + 0.47 * np.clip(normal @ key, 0, 1) + 0.10 * np.clip(normal @ fill, 0, 1) + 0.15 * np.clip(normal[:, 2], 0, 1)
    return np.asarray(light, float)


def corner_colours(layer: Layer) -> NDArray[np.uint8]:
    """Return the colour of every vertex of an unlit layer, shape (v, 3); white under a texture, which brings the colour."""
    base = layer.point_colours if layer.point_colours is not None else layer.colours[np.maximum(layer.point_object, 0)]
    if layer.texture is not None and layer.cell_image is None:
        base = np.full((len(layer.points), 3), 255, np.uint8)
    if layer.point_shade is not None:
        base = np.clip(base * layer.point_shade[:, None], 0, 255)
    if layer.cell_image is not None:
        base = np.where(layer.point_printed[:, None], 255, base)
    return np.asarray(base, np.uint8)


def shell(layer: Layer) -> Shell:
    """Return what is drawn: points relative to the origin (float32), triangles, and colours with the light in them.

    A lit layer gets its own corners per triangle, so that every face has one brightness.
    """
    colours = corner_colours(layer)
    if not layer.lit:
        return layer.points.astype(np.float32), layer.triangles, colours
    light = face_light(layer.points, layer.triangles).astype(np.float32)
    if layer.cell_image is not None:
        light[layer.cell_image >= 0] = 1.0
    corners = layer.triangles.reshape(-1)
    lit = colours[corners] * np.repeat(light, 3)[:, None]
    return (
        layer.points[corners].astype(np.float32),
        np.arange(len(corners), dtype=np.int32).reshape(-1, 3),
        np.clip(lit, 0, 255).astype(np.uint8),
    )
