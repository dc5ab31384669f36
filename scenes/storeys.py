"""A building opened: its storeys pulled apart and named, or one storey cut open with its rooms coloured by function and named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import ObjectNotFoundError, UsageError
from cim.scenes.context import BUILDINGS, INTERIOR, OPENINGS, members, values_of
from cim.scenes.layer import Label, Layer, Legend, LegendEntry, Text
from cim.scenes.solids import solid_layer
from cim.scenes.style import MISSING, Categorical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.context import Context

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["opened", "storey_layers"]

CUT = 1.2
"""Height above the floor at which a storey is cut open [m], as in a floor plan."""
_GAP = 0.6  # of the height of the building, between two storeys
_LEAST_GAP = 3.0  # m
_FLOOR = 0.05  # m above the floor, of the colour of a room
_LEVEL = 0.9  # of a normal, upwards: such faces are floors
_THICK = 0.15  # m above the lowest point of a room within which its floor lies
_DEEPEST = 12  # levels of a tree of objects that are climbed
_PARTS = BUILDINGS | OPENINGS | (INTERIOR - {"BuildingStorey", "BuildingRoom", "BuildingUnit"})


@dataclass(frozen=True)
class _Inside:
    """The objects of a building and the storey each belongs to."""

    keys: Ints
    storey: Ints
    """Shape (n,): row of `storeys`, -1 for what belongs to none."""
    storeys: Ints
    """Keys of storeys, the lowest first."""
    floor: Reals
    """Floor of each storey, relative to the origin of the scene [m]; NaN where unknown."""
    names: list[str]


def _inside(context: Context, id: str) -> _Inside:
    city = context.city
    root = int(city.key_of([id])[0])
    table = city.tables.scan("objects", ["key", "id", "parent", "type", "name", "z_ground", "bbox"])
    keys = np.asarray(table["key"].to_numpy(), np.int64)
    parent = np.asarray(pc.fill_null(table["parent"], -1).to_numpy(), np.int64)
    is_storey = np.asarray(pc.equal(table["type"], "BuildingStorey").to_numpy(), bool)
    up = np.searchsorted(keys, parent).clip(max=len(keys) - 1)
    up = np.where((parent >= 0) & (keys[up] == parent), up, -1)
    at, storey, below = np.arange(len(keys)), np.full(len(keys), -1), keys == root
    for _ in range(_DEEPEST):
        fresh = (at >= 0) & (storey < 0) & is_storey[at]
        storey[fresh] = at[fresh]
        below |= (at >= 0) & (keys[at] == root)
        at = np.where(at >= 0, up[at], -1)
    mine = np.flatnonzero(below)
    found = np.unique(storey[mine][storey[mine] >= 0])
    if not len(found):
        msg = f"{id!r} has no storeys; give a building that has, or make them with cim.storeys(city)"
        raise UsageError(msg)
    low = np.asarray(table["z_ground"].to_numpy(), float)[found]
    box = np.asarray(pc.struct_field(table["bbox"], "zmin").to_numpy(), float)[found]
    floor = np.where(np.isfinite(low), low, box) - context.origin[2]
    order = np.argsort(floor, kind="stable")  # unknown ones last
    found, floor = found[order], floor[order]
    place = np.full(len(keys), -1)
    place[found] = np.arange(len(found))
    row = np.where(storey[mine] >= 0, place[storey[mine]], -1)
    said = zip(table["name"].take(pa.array(found)).to_pylist(), table["id"].take(pa.array(found)).to_pylist(), strict=True)
    return _Inside(keys[mine], row, keys[found], floor, [name or one for name, one in said])


def storey_layers(context: Context, id: str, *, only: str | None = None, gap: float | None = None) -> tuple[tuple[Layer, ...], Ints]:
    """Return the layers of an opened building, and the keys of the objects that they replace.

    Parameters
    ----------
    id
        The building, or anything with storeys.
    only
        Id or name of the storey that is cut open; all are pulled apart when left out.
    gap
        Between storeys [m]; 0.6 of the height of the building, shared among them, when left out.

    Raises
    ------
    UsageError
        If it has no storeys, or the gap is negative.
    ObjectNotFoundError
        If there is no such object, or no such storey.
    """
    if gap is not None and not gap >= 0:
        msg = f"gap={gap!r}, expected 0 m or more"
        raise UsageError(msg)
    inside = _inside(context, id)
    chosen = _chosen(context, inside, only) if only is not None else None
    wanted = inside.storey >= 0 if chosen is None else inside.storey == chosen
    parts = solid_layer(context, "storeys", Text("Storeys", "楼层"), _PARTS, inside.keys[wanted])
    rooms = _rooms(context, inside.keys[wanted])
    layers = [layer for layer in (*parts, rooms) if layer is not None and len(layer.triangles)]
    if chosen is not None:
        floor = inside.floor[chosen]
        layers = [layer if layer is rooms else _cut(layer, float(floor) + CUT) for layer in layers] if np.isfinite(floor) else layers
    else:
        high = max((float(layer.bounds[1, 2]) for layer in layers), default=0.0) - min(
            (float(layer.bounds[0, 2]) for layer in layers), default=0.0
        )
        step = gap if gap is not None else max(_LEAST_GAP, _GAP * high / max(len(inside.storeys) - 1, 1))
        layers = [_lifted(context, layer, inside, step) for layer in layers]
    return tuple(layer for layer in layers if len(layer.triangles)), inside.keys


def _chosen(context: Context, inside: _Inside, only: str) -> int:
    ids = context.city.ids(inside.storeys)
    for names in (ids, inside.names):
        if only in names:
            return names.index(only)
    msg = f"no storey {only!r}; there are {', '.join(inside.names)}"
    raise ObjectNotFoundError(msg)


def opened(layers: tuple[Layer, ...], context: Context, keys: Ints, added: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return the layers of a scene with those of an opened building in the place of its objects."""
    gone = set(context.city.ids(keys))
    kept = []
    for layer in layers:
        hidden = np.isin(layer.ids, list(gone)) if len(layer.ids) else np.zeros(0, bool)
        if hidden.any():
            stay = ~hidden[layer.cell_object]
            image = None if layer.cell_image is None else layer.cell_image[stay]
            edges = None if layer.edges is None else layer.edges[~hidden[np.maximum(layer.point_object, 0)][layer.edges].any(axis=1)]
            layer = replace(layer, triangles=layer.triangles[stay], cell_object=layer.cell_object[stay], cell_image=image, edges=edges)  # noqa: PLW2901
            if not len(layer.triangles):
                continue
            layer = _used(layer)  # noqa: PLW2901
        kept.append(layer)
    return (*kept, *added)


def _used(layer: Layer) -> Layer:
    """Return a layer without points that nothing uses, so that a camera does not frame them."""
    used, index = np.unique(layer.triangles, return_inverse=True)
    place = np.full(len(layer.points), -1)
    place[used] = np.arange(len(used))
    edges = None if layer.edges is None else place[layer.edges]
    edges = None if edges is None else edges[(edges >= 0).all(axis=1)].astype(np.int32)
    values = {name: getattr(layer, name) for name in ("uv", "point_shade", "point_colours")}
    taken: dict[str, Any] = {name: None if value is None else value[used] for name, value in values.items()}
    return replace(
        layer, points=layer.points[used], triangles=index.reshape(-1, 3).astype(np.int32), edges=edges, **taken,
    )  # fmt: skip


def _lifted(context: Context, layer: Layer, inside: _Inside, step: float) -> Layer:
    """Return a layer with each storey raised by its number times `step` [m]."""
    layer = _used(layer)
    keys = context.city.key_of(layer.ids.tolist())
    storey = inside.storey[np.searchsorted(inside.keys, keys)]
    points = layer.points.copy()
    points[:, 2] += step * np.maximum(storey, 0)[np.maximum(layer.point_object, 0)]
    if layer.name != "storeys":
        return replace(layer, points=points, labels=())  # names of rooms would be seen through walls
    titles = []
    for number, name in enumerate(inside.names):  # storeys, a handful
        mine = points[storey[layer.point_object] == number]
        if len(mine):
            corner = mine[:, :2].min(axis=0)
            row = int(np.flatnonzero(storey == number)[0])
            titles.append(Label(Text(name, name), (float(corner[0]), float(corner[1]), float(mine[:, 2].mean())), row))
    return replace(layer, points=points, labels=tuple(titles))


def _cut(layer: Layer, top: float) -> Layer:
    """Return a layer cut at a height [m]: what stands above is taken away, what crosses is cut."""
    high = layer.points[:, 2] > top
    above = high[layer.triangles]
    count = above.sum(axis=1)
    keep = layer.triangles[count == 0]
    made, owners, images = [keep], [layer.cell_object[count == 0]], [None if layer.cell_image is None else layer.cell_image[count == 0]]
    points: list[Reals] = [layer.points]
    values = {name: [getattr(layer, name)] for name in ("uv", "point_shade", "point_colours")}
    start = len(layer.points)
    for crossing, lone_high in ((count == 1, True), (count == 2, False)):
        if not crossing.any():
            continue
        corners, own = layer.triangles[crossing], above[crossing]
        lone = np.argmax(own == lone_high, axis=1)
        a, b, c = (np.take_along_axis(corners, ((lone + turn) % 3)[:, None], axis=1)[:, 0] for turn in range(3))
        share = [(top - layer.points[a, 2]) / (layer.points[other, 2] - layer.points[a, 2]) for other in (b, c)]
        for other, part in zip((b, c), share, strict=True):
            points.append(layer.points[a] + (layer.points[other] - layer.points[a]) * part[:, None])
            for name, column in values.items():
                value = getattr(layer, name)
                if value is not None:
                    mixed = value[a] + (value[other].astype(float) - value[a]) * (part if value.ndim == 1 else part[:, None])
                    column.append(mixed.astype(value.dtype))
        first = start + np.arange(len(a))
        second = first + len(a)
        start += 2 * len(a)
        pieces = (
            [np.stack([first, b, c], axis=1), np.stack([first, c, second], axis=1)] if lone_high else [np.stack([a, first, second], axis=1)]
        )
        made += pieces
        owners += [layer.cell_object[crossing]] * len(pieces)
        images += [None if layer.cell_image is None else layer.cell_image[crossing]] * len(pieces)
    image = None if layer.cell_image is None else np.concatenate([one for one in images if one is not None])
    edges = None if layer.edges is None else layer.edges[~high[layer.edges].any(axis=1)]
    joined: dict[str, Any] = {name: None if column[0] is None else np.concatenate(column) for name, column in values.items()}
    whole = replace(
        layer, points=np.concatenate(points), triangles=np.concatenate(made).astype(np.int32), cell_object=np.concatenate(owners),
        cell_image=image, edges=edges, **joined,
    )  # fmt: skip
    return _used(whole) if len(whole.triangles) else whole


def _rooms(context: Context, keys: Ints) -> Layer | None:
    """Return the floors of rooms, coloured by what they are for, with their names."""
    types = {"BuildingRoom", "BuildingUnit"} & set(context.city.types())
    made = solid_layer(context, "rooms", Text("Rooms", "房间"), types, keys, plain=True) if types else ()
    if not made or not len(made[0].triangles):
        return None
    layer = made[0]
    low = np.full(len(layer), np.inf)
    np.minimum.at(low, layer.cell_object, layer.points[layer.triangles][:, :, 2].min(axis=1))
    corner = layer.points[layer.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    length = np.linalg.norm(normal, axis=1)
    level = np.abs(normal[:, 2]) > _LEVEL * np.where(length > 0, length, np.inf)
    floor = level & (corner[:, :, 2].max(axis=1) < low[layer.cell_object] + _THICK)
    triangles = np.where(normal[:, 2:] < 0, layer.triangles[:, ::-1], layer.triangles)[floor]
    cells = layer.cell_object[floor]
    if not len(cells):
        return None
    bare = replace(layer, triangles=triangles.astype(np.int32), cell_object=cells, edges=None, lit=False)
    bare = _used(replace(bare, point_shade=None, visible=True))
    points = bare.points + np.array([0.0, 0.0, _FLOOR])
    colours, legend, names = _functions(context, bare)
    labels = _labels(points, bare, names)
    return replace(bare, points=points, colours=colours, legend=legend, labels=labels)


def _functions(context: Context, layer: Layer) -> tuple[NDArray[np.uint8], Legend, list[Text]]:
    """Return colours of rooms by function, the legend, and what each is called."""
    who = members(context, {"BuildingRoom", "BuildingUnit"}, context.city.key_of(layer.ids.tolist()))
    order = np.searchsorted(who.keys, context.city.key_of(layer.ids.tolist()))
    said: list[str | None] = [None] * len(who)
    for name in ("function", "usage", "long_name", "class"):
        try:
            values = values_of(context.city, who.keys, who.types, name)[0]
        except ObjectNotFoundError:
            continue
        said = [old if old is not None else str(new) if new is not None else None for old, new in zip(said, values, strict=True)]
    table = context.city.tables.scan("objects", ["name", "id"]).take(pa.array(context.city.row_of_key(who.keys)))
    names = [name or one for name, one in zip(table["name"].to_pylist(), table["id"].to_pylist(), strict=True)]
    shown = Categorical().encode(np.array(said, object), Text("Rooms by function", "房间功能"))
    texts = [
        Text(name, name) if use is None or use == name else Text(f"{name} {use}", f"{name} {use}")
        for name, use in zip(names, said, strict=True)
    ]
    legend = shown.legend
    if all(use is None for use in said):
        legend = Legend(Text("Rooms", "房间"), (LegendEntry(MISSING, Text("room, function not stated", "房间（功能未知）"), len(who)),))
    return shown.colours[order], legend, [texts[row] for row in order.tolist()]


def _labels(points: Reals, layer: Layer, names: list[Text]) -> tuple[Label, ...]:
    """Return the name of each room at the middle of its floor, weighted by area."""
    corner = points[layer.triangles]
    (ax, ay), (bx, by) = (corner[:, 1, :2] - corner[:, 0, :2]).T, (corner[:, 2, :2] - corner[:, 0, :2]).T
    area = np.abs(ax * by - ay * bx)
    weight = np.bincount(layer.cell_object, area, len(layer))
    place = [np.bincount(layer.cell_object, area * corner[:, :, axis].mean(axis=1), len(layer)) for axis in range(3)]
    rows = np.flatnonzero(weight > 0)
    middle = np.stack(place, axis=1)[rows] / weight[rows, None]
    return tuple(
        Label(names[row], (float(x), float(y), float(z)), row) for row, (x, y, z) in zip(rows.tolist(), middle.tolist(), strict=True)
    )
