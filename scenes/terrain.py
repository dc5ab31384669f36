"""The layer of the ground: heights in muted colours under a light from the north-west, as on a printed map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.scenes.layer import Layer, Legend, Text
from cim.scenes.style import hex_colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.ground import Ground

    Reals = NDArray[np.float64]

__all__ = ["HYPSOMETRIC", "grid_triangles", "hillshade", "terrain_layer"]

HYPSOMETRIC = tuple(hex_colour(text) for text in ["#b9c9b0", "#c9d3b6", "#dcdcbf", "#e6dcc2", "#dccbb0", "#cdb79f", "#c8b8ad"])
"""Muted greens to browns, low to high."""
_LIGHT = np.array([-0.6, 0.4, 0.69])  # west-north-west, 44 degrees high: where map readers expect it, and near the light on the walls
_RELIEF = 2.0  # slopes are steepened for shading only, so that flat country shows its dikes


def hillshade(z: Reals, dx: float, dy: float, strength: float = _RELIEF) -> Reals:
    """Return the brightness of a grid lit from the north-west, 1 on level ground, shape of `z`.

    Parameters
    ----------
    z : shape (ny, nx)
        Heights [m], row 0 the southern one, no NaN.
    dx, dy
        Distance of grid points [m].
    """
    down, across = np.gradient(z, dy, dx)
    normal = np.stack([-across * strength, -down * strength, np.ones_like(z)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = _LIGHT / np.linalg.norm(_LIGHT)
    return np.asarray(np.clip(1 + 0.75 * (normal @ light - light[2]), 0.45, 1.3))


def grid_triangles(known: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return two triangles for each cell of a grid of points whose four corners are known, shape (m, 3).

    The diagonal runs from southwest to northeast, as `Ground.at` takes it.
    """
    nx = known.shape[1]
    whole = known[:-1, :-1] & known[:-1, 1:] & known[1:, :-1] & known[1:, 1:]
    j, i = np.nonzero(whole)
    southwest = j * nx + i
    lower = np.stack([southwest, southwest + 1, southwest + nx + 1], axis=1)
    upper = np.stack([southwest, southwest + nx + 1, southwest + nx], axis=1)
    return np.concatenate([lower, upper]).astype(np.int32)


def terrain_layer(ground: Ground) -> Layer | None:
    """Return the ground as a layer, None when there is no grid of heights."""
    if ground.heights is None or ground.x is None or ground.y is None:
        return None
    z = ground.heights
    known = np.isfinite(z)
    triangles = grid_triangles(known)
    filled = ground.at(*np.meshgrid(ground.x, ground.y))
    low, high = (float(value) for value in np.percentile(z[known], (1, 99)))
    high = max(high, low + 2.0)  # half a metre of noise is no mountain
    at = np.clip((filled - low) / (high - low), 0, 1) * (len(HYPSOMETRIC) - 1)
    stops = np.array(HYPSOMETRIC, float)
    below = np.minimum(at.astype(int), len(stops) - 2)
    colours = stops[below] + (stops[below + 1] - stops[below]) * (at - below)[..., None]
    shade = hillshade(filled, ground.x[1] - ground.x[0], ground.y[1] - ground.y[0])
    beyond = (bool((z[known] < low).any()), bool((z[known] > high).any()))
    legend = Legend(Text("Ground height", "地面高程"), (), "m", HYPSOMETRIC, low, high, beyond)
    east, north = np.meshgrid(ground.x, ground.y)
    used, renumbered = np.unique(triangles, return_inverse=True)
    points = np.column_stack([east.ravel(), north.ravel(), filled.ravel()])[used]
    return Layer(
        name="terrain", label=Text("Terrain", "地形"), points=points, triangles=renumbered.reshape(-1, 3).astype(np.int32),
        cell_object=np.zeros(len(triangles), np.int32), ids=np.array(list(ground.ids[:1]) or ["terrain"], object),
        colours=np.array([HYPSOMETRIC[2]], np.uint8), legend=legend,
        point_colours=np.rint(colours.reshape(-1, 3)[used]).astype(np.uint8), point_shade=shade.ravel()[used].astype(np.float32), lit=False,
        notes=ground.notes,
    )  # fmt: skip
