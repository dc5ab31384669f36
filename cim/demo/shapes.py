"""Footprints the demo district is built from: plain polygons around the origin, sizes in metres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

__all__ = ["angle_shape", "courtyard", "cross", "h_shape", "octagon", "rectangle", "u_shape"]


def rectangle(width: float, depth: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return a rectangle around (x, y)."""
    import shapely

    return shapely.box(x - width / 2, y - depth / 2, x + width / 2, y + depth / 2)


def angle_shape(width: float, depth: float, wing: float, x: float = 0.0, y: float = 0.0, *, flip: bool = False) -> Any:
    """Return an L: a wing along the south side and one along the west side (east when flipped)."""
    east, north = width / 2, depth / 2
    ring = np.array(
        [(-east, -north), (east, -north), (east, wing - north), (wing - east, wing - north), (wing - east, north), (-east, north)]
    )
    return _polygon(ring * [-1.0 if flip else 1.0, 1.0] + [x, y])


def u_shape(width: float, depth: float, wing: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return a U that is open to the south."""
    east, north = width / 2, depth / 2
    ring = [
        (-east, -north),
        (wing - east, -north),
        (wing - east, north - wing),
        (east - wing, north - wing),
        (east - wing, -north),
        (east, -north),
        (east, north),
        (-east, north),
    ]
    return _polygon(np.array(ring) + np.array([x, y]))


def h_shape(width: float, depth: float, wing: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return an H: two wings from south to north, and a bar between their middles."""
    east, north, bar = width / 2, depth / 2, wing / 2
    ring = [
        (-east, -north),
        (wing - east, -north),
        (wing - east, -bar),
        (east - wing, -bar),
        (east - wing, -north),
        (east, -north),
        (east, north),
        (east - wing, north),
        (east - wing, bar),
        (wing - east, bar),
        (wing - east, north),
        (-east, north),
    ]
    return _polygon(np.array(ring) + np.array([x, y]))


def cross(width: float, depth: float, notch: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return a rectangle without its four corners, as many residential towers have it."""
    east, north = width / 2, depth / 2
    ring = [
        (notch - east, -north),
        (east - notch, -north),
        (east - notch, notch - north),
        (east, notch - north),
        (east, north - notch),
        (east - notch, north - notch),
        (east - notch, north),
        (notch - east, north),
        (notch - east, north - notch),
        (-east, north - notch),
        (-east, notch - north),
        (notch - east, notch - north),
    ]
    return _polygon(np.array(ring) + np.array([x, y]))


def octagon(width: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return a regular octagon of this width across its flats."""
    turn = np.pi / 8 + np.arange(8) * np.pi / 4
    return _polygon(np.column_stack([np.cos(turn), np.sin(turn)]) * width / 2 / np.cos(np.pi / 8) + [x, y])


def courtyard(width: float, depth: float, wing: float, x: float = 0.0, y: float = 0.0) -> Any:
    """Return four wings around a court."""
    import shapely

    return shapely.difference(rectangle(width, depth, x, y), rectangle(width - 2 * wing, depth - 2 * wing, x, y))


def _polygon(ring: Any) -> Any:
    import shapely

    return shapely.orient_polygons(shapely.polygons(ring))
