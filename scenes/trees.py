"""The layer of single trees: one merged mesh of simple crowns and trunks, sized by height and crown where they are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.scenes.context import Context, Members, members
from cim.scenes.layer import Layer, Legend, LegendEntry, Text
from cim.scenes.style import hex_colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["tree_model", "trees_layer"]

_HEIGHT = 8.0  # m, of a tree nobody measured
_CROWN = hex_colour("#7fa172")
_SPREAD = 0.42  # crown width over height
_SIDES = 7


def tree_model() -> tuple[Reals, NDArray[np.int64]]:
    """Return a tree of height 1 and crown width 1: points (p, 3) and triangles (t, 3), standing on the origin."""
    turn = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    rings = [(0.05, 0.0), (0.05, 0.32), (0.40, 0.36), (0.50, 0.55), (0.30, 0.86)]
    points = np.concatenate([*(np.column_stack([circle * width, np.full(_SIDES, z)]) for width, z in rings), [[0.0, 0.0, 1.0]]])
    i, after = np.arange(_SIDES), (np.arange(_SIDES) + 1) % _SIDES
    triangles = []
    for ring in range(len(rings) - 1):
        low, high = ring * _SIDES, (ring + 1) * _SIDES
        triangles += [np.stack([low + i, low + after, high + after], axis=1), np.stack([low + i, high + after, high + i], axis=1)]
    last = (len(rings) - 1) * _SIDES
    triangles.append(np.stack([last + i, last + after, np.full(_SIDES, len(points) - 1)], axis=1))
    return points, np.concatenate(triangles)


def trees_layer(context: Context) -> Layer | None:
    """Return single trees as one mesh, None when there is none."""
    import shapely

    who = members(context, {"SolitaryVegetationObject"})
    if not len(who):
        return None
    middle = shapely.get_coordinates(shapely.centroid(np.where(shapely.is_missing(who.shapes), shapely.Point(), who.shapes)))
    placed = ~shapely.is_missing(who.shapes) & ~shapely.is_empty(who.shapes)
    rows = np.flatnonzero(placed)
    rows, middle = rows[np.isfinite(middle).all(axis=1)], middle[np.isfinite(middle).all(axis=1)]
    if not len(rows):
        return None
    height, measured = _size(context, who, rows, "height", _HEIGHT)
    crown, _ = _size(context, who, rows, "crown_diameter", _SPREAD * height)
    foot = np.where(np.isfinite(who.z_ground[rows]), who.z_ground[rows], context.ground.at(middle[:, 0], middle[:, 1]))
    points, triangles = tree_model()
    turn = (rows * 2.399963) % (2 * np.pi)  # golden angle: no two neighbours alike, always the same
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x, y = points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos
    placed_points = np.stack(
        [x * crown[:, None] + middle[:, :1], y * crown[:, None] + middle[:, 1:], points[:, 2] * height[:, None] + foot[:, None]], axis=2
    )
    index = triangles[None] + (np.arange(len(rows)) * len(points))[:, None, None]
    tint = 1 + 0.10 * np.sin(rows * 12.9898)
    shade = np.where(points[:, 2] < 0.34, 0.62, 0.78 + 0.3 * points[:, 2])[None, :] * tint[:, None]
    legend = Legend(Text("Trees", "树木"), (LegendEntry(_CROWN, Text("tree", "树木"), len(who)),))
    guessed = int((~measured).sum())
    return Layer(
        name="trees",
        label=Text("Trees", "树木"),
        points=placed_points.reshape(-1, 3),
        triangles=index.reshape(-1, 3).astype(np.int32),
        cell_object=np.repeat(rows, len(triangles)).astype(np.int32),
        ids=who.ids,
        colours=np.tile(np.array(_CROWN, np.uint8), (len(who), 1)),
        legend=legend,
        point_shade=shade.reshape(-1).astype(np.float32),
        notes=(Text(f"{guessed:,} have no height and are drawn {_HEIGHT:g} m high", f"{guessed:,} 棵没有高度，按 {_HEIGHT:g} m 绘制"),)
        if guessed
        else (),
    )


def _size(context: Context, who: Members, rows: NDArray[np.int64], name: str, default: Reals | float) -> tuple[Reals, NDArray[np.bool_]]:
    """Return an attribute [m] with a default where it is missing or not positive, and where it was known."""
    base = np.broadcast_to(np.asarray(default, float), rows.shape).copy()
    if name not in context.city.attributes.schema("SolitaryVegetationObject").names:
        return base, np.zeros(len(rows), bool)
    column = context.city.column("SolitaryVegetationObject", name, who.keys[rows])
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        return base, np.zeros(len(rows), bool)
    values = np.asarray(column.cast(pa.float64()).to_numpy(), float)
    known = np.isfinite(values) & (values > 0) & (values < 150)
    return np.where(known, values, base), known
