"""Layers that lie on the ground: land use and plots, vegetation, roads, water; and what is left over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.model.classes import label
from cim.scenes.context import ROADS, VEGETATION, WATER, Members, members
from cim.scenes.drape import drape, ribbon
from cim.scenes.faces import faces, plates
from cim.scenes.groups import groups_of
from cim.scenes.layer import OUTLINE_LIMIT, Layer, Text, join
from cim.scenes.solids import MUTED, finest
from cim.scenes.style import Categorical, hex_colour
from cim.scenes.terrain import hillshade

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cim.scenes.context import Context
    from cim.scenes.ground import Ground

    Reals = NDArray[np.float64]
    Mesh = tuple[Reals, NDArray[np.int32], NDArray[np.int32]]

__all__ = ["landuse_layer", "other_layer", "roads_layer", "surface_layer", "vegetation_layer", "water_layer"]

COLOURS = {
    "Road": hex_colour("#8e9197"),
    "Railway": hex_colour("#75706c"),
    "Square": hex_colour("#c9c2b4"),
    "Track": hex_colour("#b5a88f"),
    "Section": hex_colour("#8e9197"),
    "Intersection": hex_colour("#85888f"),
    "TrafficArea": hex_colour("#989ba1"),
    "AuxiliaryTrafficArea": hex_colour("#b3bba6"),
    "TrafficSpace": hex_colour("#989ba1"),
    "WaterBody": hex_colour("#7db4d4"),
    "WaterSurface": hex_colour("#7db4d4"),
    "Waterway": hex_colour("#6fa6c8"),
    "PlantCover": hex_colour("#a3be8c"),
    "LandUse": hex_colour("#e3dcca"),
    "CityFurniture": hex_colour("#c9a55c"),
    "GenericOccupiedSpace": hex_colour("#b9a6a0"),
    "GenericThematicSurface": hex_colour("#b3aabd"),
}
_LINE_WIDTH = {"Road": 6.0, "Railway": 3.5, "Track": 2.5, "Waterway": 4.0, "Section": 6.0}
_MARK = 0.8  # m, half the side of the mark of a thing that is only a point


@dataclass(frozen=True)
class _Look:
    """How one layer of surfaces looks."""

    lift: float
    """Above the ground [m]; each layer has its own, so that none flickers through another."""
    opacity: float = 1.0
    outline: float = 0.0
    """Opacity of outlines; 0 for none."""
    level: bool = False
    """Whether each object is drawn level, as water is."""


def landuse_layer(context: Context) -> Layer | None:
    """Return land use and plots: light, with outlines."""
    return surface_layer(context, "landuse", Text("Plots and land use", "地块与用地"), {"LandUse"}, _Look(0.10, 0.75, 0.7))


def vegetation_layer(context: Context) -> Layer | None:
    """Return areas of vegetation."""
    return surface_layer(context, "vegetation", Text("Vegetation", "植被"), VEGETATION, _Look(0.24))


def roads_layer(context: Context) -> Layer | None:
    """Return roads and railways; centre lines as ribbons."""
    return surface_layer(context, "roads", Text("Roads and railways", "道路与铁路"), ROADS, _Look(0.38))


def water_layer(context: Context) -> Layer | None:
    """Return bodies of water."""
    return surface_layer(context, "water", Text("Water", "水体"), WATER, _Look(0.30, 0.82, level=True))


def other_layer(context: Context) -> Layer | None:
    """Return everything of a class that has no layer of its own and is neither a body nor a pipe."""
    groups = groups_of(context)
    rest = np.setdiff1d(context.city.tables.scan("objects", ["key"])["key"].to_numpy(), groups.all)
    return surface_layer(context, "other", Text("Other objects", "其他"), groups.rest, _Look(0.46, outline=0.4), rest)


def surface_layer(  # what a layer is made of
    context: Context, name: str, title: Text, types: Iterable[str], look: _Look, keys: NDArray[np.int64] | None = None
) -> Layer | None:
    """Return one merged mesh of the areas and lines of some classes, None when there is none.

    With a terrain, footprints are laid on it; without, an object's own 3D surfaces are drawn, else its footprint at street level.
    """
    who = members(context, types, keys)
    if not len(who):
        return None
    shapes = _areas(who)
    own, modelled = _own_surfaces(context, who, shapes)
    rows = np.flatnonzero(~modelled & _drawable(shapes))
    laid = _laid(context, shapes, rows, look)
    points, triangles, objects = join([own, laid])
    if not len(triangles):
        return None
    labels = {type: Text(label(type, "en"), label(type, "zh")) for type in set(who.types.tolist())}
    encoded = Categorical(COLOURS, labels, MUTED).encode(who.types, title)
    used = np.zeros(len(who), bool)
    used[objects] = True
    missing = int((~used).sum())
    edges = _outline(points, triangles) if look.outline else None
    return Layer(
        name=name,
        label=title,
        points=points,
        triangles=triangles,
        cell_object=objects,
        ids=who.ids,
        colours=encoded.colours,
        legend=encoded.legend,
        point_shade=_shade(context.ground, points),
        lit=bool(len(own[1])),
        opacity=look.opacity,
        edges=edges,
        edge_opacity=look.outline,
        notes=(Text(f"{missing:,} have no area or line and are not drawn", f"{missing:,} 个对象没有面或线，未绘制"),) if missing else (),
    )


def _areas(who: Members) -> NDArray[np.object_]:
    """Return footprints as polygons: lines widened, points as small squares."""
    import shapely

    shapes = who.shapes.copy()
    for type in sorted(set(who.types.tolist())):
        mine = who.types == type
        shapes[mine] = ribbon(shapes[mine], _LINE_WIDTH.get(type, 1.0))
    marks = np.isin(shapely.get_type_id(shapes), (0, 4))
    shapes[marks] = shapely.buffer(shapes[marks], _MARK, cap_style="square")
    return shapes


def _drawable(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    import shapely

    return np.asarray(
        np.isin(shapely.get_type_id(shapes), (3, 6)) & np.isfinite(shapely.bounds(shapes)).all(axis=1) & (shapely.area(shapes) > 0)
    )


def _own_surfaces(context: Context, who: Members, shapes: NDArray[np.object_]) -> tuple[Mesh, NDArray[np.bool_]]:
    """Return the 3D surfaces of objects that are not laid on the terrain."""
    wanted = np.ones(len(who), bool) if not context.ground.known else ~_drawable(shapes)
    table = context.city.geometry_table(keys=who.keys[wanted])
    chosen = table.take(pa.array(finest(table, solid=False)))
    found = faces(chosen)
    place = np.searchsorted(who.keys, np.asarray(chosen["object"].to_numpy(), np.int64))
    row = place[found.row].astype(np.int32)
    modelled = np.zeros(len(who), bool)
    modelled[row] = True
    points = found.points + (context.city.origin - context.origin)
    return (points, found.triangles.astype(np.int32), row), modelled


def _laid(context: Context, shapes: NDArray[np.object_], rows: NDArray[np.int64], look: _Look) -> Mesh:
    if look.level:
        flat = plates(shapes[rows])
        z = _levels(flat.points, flat.triangles, flat.row, len(rows), context.ground) + look.lift
        return np.column_stack([flat.points, z]), flat.triangles.astype(np.int32), rows[flat.row].astype(np.int32)
    points, triangles, row, _ = drape(shapes[rows], context.ground, look.lift)
    return points, triangles, rows[row].astype(np.int32)


def _levels(points: Reals, triangles: NDArray[np.int64], row: NDArray[np.int64], count: int, ground: Ground) -> Reals:
    """Return the height of water at the points of its banks.

    Where the banks of one body differ by less than 2 m it is level at their lower quarter; a longer river falls with its banks.
    Its bed is not asked: water covers it.
    """
    import pandas as pd

    bank = ground.at(points[:, 0], points[:, 1])
    owner = np.full(len(points), -1, np.int64)
    owner[triangles.reshape(-1)] = np.repeat(row, 3)
    groups = pd.Series(bank).groupby(owner)
    table = pd.DataFrame({"low": groups.quantile(0.25), "span": groups.quantile(0.9) - groups.quantile(0.1)}).reindex(range(count))
    low, span = table["low"].to_numpy(float), table["span"].to_numpy(float)
    return np.where((span[owner] < 2.0) & np.isfinite(low[owner]), low[owner], bank)


def _outline(points: Reals, triangles: NDArray[np.int32]) -> NDArray[np.int32] | None:
    """Return edges that belong to one triangle only: the border of each object."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
    key = edges[:, 0] * len(points) + edges[:, 1]
    unique, count = np.unique(key, return_counts=True)
    border = unique[count == 1]
    if not 0 < len(border) <= OUTLINE_LIMIT:
        return None
    return np.stack([border // len(points), border % len(points)], axis=1).astype(np.int32)


def _shade(ground: Ground, points: Reals) -> NDArray[np.float32] | None:
    """Return the relief of the ground at points, so that what lies on a hill is shaded as the hill is."""
    if ground.heights is None or ground.x is None or ground.y is None:
        return None
    east, north = np.meshgrid(ground.x, ground.y)
    shade = hillshade(ground.at(east, north), ground.x[1] - ground.x[0], ground.y[1] - ground.y[0])
    relief = replace(ground, heights=shade)
    return np.asarray(0.35 + 0.65 * relief.at(points[:, 0], points[:, 1]), np.float32)
