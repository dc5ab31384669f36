"""The layer of pipes and wells: bodies as they are, shafts of wells, and lines of one width on the screen where no body is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import ObjectNotFoundError
from cim.model.geometry import flatten, owner
from cim.scenes.context import SURFACES, members, values_of
from cim.scenes.faces import faces
from cim.scenes.groups import groups_of
from cim.scenes.layer import OUTLINE_LIMIT, Layer, Legend, LegendEntry, Text, join
from cim.scenes.solids import finest
from cim.scenes.style import MISSING, Categorical, Ramp, hex_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.context import Context, Members

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Mesh = tuple[Reals, NDArray[np.int32], NDArray[np.int32]]

__all__ = ["KINDS", "UNDER", "seen_below", "utilities_layer"]

KINDS = {
    "water": (hex_colour("#3d8fd1"), Text("water supply", "给水"), ("water_supply", "drinking", "potable", "给水", "供水")),
    "drainage": (hex_colour("#8a5a2b"), Text("drainage", "排水"), ("drain", "sewer", "storm", "排水", "雨水", "污水")),
    "gas": (hex_colour("#e07a9c"), Text("gas", "燃气"), ("gas", "燃气", "煤气")),
    "heat": (hex_colour("#f0a030"), Text("heating", "热力"), ("heat", "steam", "热力", "供热")),
    "power": (hex_colour("#d02c2c"), Text("power", "电力"), ("power", "electric", "电力", "供电")),
    "telecom": (hex_colour("#2f9e4f"), Text("telecommunication", "电信"), ("tele", "communication", "电信", "通信")),
}
"""Colour, name and words of kinds of pipes; the colours follow CJJ 61-2017, water blue, drainage brown, gas pink, heat orange."""
UNDER = frozenset({"terrain", "imagery", "landuse", "vegetation", "roads", "water", "other"})
"""Layers that lie on the ground and hide what is below."""
_GROUND_OPACITY = 0.42
_PAINT_OPACITY = 0.35
_WELL = hex_colour("#5b6470")
_WELL_NAME = Text("wells and nodes", "井与节点")
_PLAIN = hex_colour("#7d6b91")
_RADIUS = 0.5  # m, of a shaft whose size nobody stated
_RIBBON = 0.3  # m, of the strip under a line, which a click can hit
_LINE = 3.0  # pixels
_SIDES = 12
_DEEP = 0.2  # m below the ground from which pipes are hidden by it


def utilities_layer(context: Context) -> Layer | None:
    """Return pipes and wells as one layer, None when there is none.

    Coloured by kind where there are several, else by diameter [m]. Bodies are drawn as they are; a well without a body is a shaft
    between its bottom and its rim; a pipe without a body is a line of a fixed width on the screen, on the ground where no depth is known.
    """
    keys = groups_of(context).pipes
    if not len(keys):
        return None
    who = members(context, set(context.city.types()), keys)
    table = context.city.geometry_table(keys=keys)
    bodies = _bodies(context, who, table)
    free = np.ones(len(who), bool)
    free[bodies[2]] = False
    strips, lines, sunk = _lines(context, who, table, free)
    shafts, flat = _shafts(context, who, table, free)
    points, triangles, objects = join([bodies, strips, shafts])
    if not len(triangles):
        return None
    colours, legend = _colours(context, who)
    edges = lines + len(bodies[0])
    return Layer(
        name="utilities", label=Text("Pipes and wells", "管线"), points=points, triangles=triangles, cell_object=objects, ids=who.ids,
        colours=colours, legend=legend, edges=edges.astype(np.int32) if 0 < len(edges) <= OUTLINE_LIMIT else None, edge_own=True,
        edge_opacity=1.0, edge_width=_LINE, notes=_notes(who, objects, int(free[np.unique(strips[2])].sum()), sunk, flat),
    )  # fmt: skip


def _notes(who: Members, objects: NDArray[np.int32], thin: int, sunk: int, flat: int) -> tuple[Text, ...]:
    missing = len(who) - len(np.unique(objects))
    counts = [
        (thin, "pipes have no body and are drawn as lines", "条管线没有实体，按线绘制"),
        (sunk, "of them have no known depth and lie on the ground", "条管线埋深未知，绘于地面"),
        (flat, "wells have no known depth and are drawn as marks", "座井深度未知，按标记绘制"),
        (missing, "have no shape and are not drawn", "个对象没有形状，未绘制"),
    ]
    return tuple(Text(f"{count:,} {en}", f"{count:,} {zh}") for count, en, zh in counts if count)


def _bodies(context: Context, who: Members, table: pa.Table) -> Mesh:
    chosen = table.take(pa.array(finest(table)))
    chosen = chosen.filter(pc.is_in(chosen["type"], pa.array(SURFACES)))
    found = faces(chosen)
    row = np.searchsorted(who.keys, np.asarray(chosen["object"].to_numpy(), np.int64))[found.row]
    return found.points + (context.city.origin - context.origin), found.triangles.astype(np.int32), row.astype(np.int32)


def _own_lines(context: Context, who: Members, table: pa.Table, free: NDArray[np.bool_]) -> tuple[Reals, Ints, Ints]:
    """Return points of the three-dimensional lines of objects without body, the line of each point and the object of each."""
    mine = table.filter(pc.equal(table["type"], "MultiLineString"))
    row = np.searchsorted(who.keys, np.asarray(mine["object"].to_numpy(), np.int64))
    flat = flatten(mine)
    ring = owner(flat.ring_start)
    objects = row[flat.geometry_of_ring][ring] if len(ring) else np.empty(0, np.int64)
    keep = free[objects] if len(objects) else np.empty(0, bool)
    points = flat.vertices[flat.index] + (context.city.origin - context.origin)
    keep &= np.isfinite(points).all(axis=1)
    return points[keep], ring[keep], objects[keep]


def _lines(context: Context, who: Members, table: pa.Table, free: NDArray[np.bool_]) -> tuple[Mesh, Ints, int]:
    """Return strips under the lines of pipes, the lines as pairs of their points, and how many pipes have no known depth."""
    import shapely

    linear = np.isin(shapely.get_type_id(who.shapes), (1, 2, 5))
    points, ring, objects = _own_lines(context, who, table, linear)
    bare = free & linear
    bare[objects] = False
    rows = np.flatnonzero(bare)
    parts, of = shapely.get_parts(who.shapes[rows], return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    laid = np.column_stack([xy, context.ground.at(xy[:, 0], xy[:, 1]) + _DEEP]) if len(xy) else np.empty((0, 3))
    points = np.concatenate([points, laid])
    ring = np.concatenate([ring, part + int(ring.max(initial=-1)) + 1])
    objects = np.concatenate([objects, rows[of][part] if len(part) else np.empty(0, np.int64)])
    here = np.flatnonzero(ring[1:] == ring[:-1])
    # a body has a strip without width: its axis is seen from afar, where the body is thinner than a pixel
    width = np.where(free[objects[here]], _RIBBON, 0.0)
    return (*_strips(points[here], points[here + 1], objects[here], width), len(rows))


def _strips(first: Reals, last: Reals, objects: Ints, width: Reals) -> tuple[Mesh, Ints]:
    """Return a level strip of a width [m] beside each segment and its edge: four points a segment, the first two its ends."""
    along = (last - first)[:, :2]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    side = np.column_stack([-along[:, 1], along[:, 0], np.zeros(len(along))]) / np.where(length > 0, length, 1.0) * width[:, None]
    points = np.stack([first, last, last + side, first + side], axis=1).reshape(-1, 3)
    at = 4 * np.arange(len(first))[:, None]
    triangles = (at[:, :, None] + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return (points, triangles.astype(np.int32), np.repeat(objects, 2).astype(np.int32)), (at + np.array([0, 1])).astype(np.int64)


def _shafts(context: Context, who: Members, table: pa.Table, free: NDArray[np.bool_]) -> tuple[Mesh, int]:
    """Return upright prisms for wells, and how many have no known depth."""
    import shapely

    dots = np.flatnonzero(free & np.isin(shapely.get_type_id(who.shapes), (0, 4)) & ~shapely.is_empty(who.shapes))
    points, _, objects = _own_lines(context, who, table, free)
    low, high = np.full(len(who), np.inf), np.full(len(who), -np.inf)
    np.minimum.at(low, objects, points[:, 2])
    np.maximum.at(high, objects, points[:, 2])
    for edge, name in ((low, "invert_level"), (high, "rim_level")):
        told = _numbers(context, who, name) - context.origin[2]
        use = ~np.isfinite(edge) & np.isfinite(told)
        edge[use] = told[use]
    xy = shapely.get_coordinates(shapely.centroid(who.shapes[dots])) if len(dots) else np.empty((0, 2))
    ground = context.ground.at(xy[:, 0], xy[:, 1])
    low, high = low[dots], high[dots]
    deep = np.isfinite(low) & np.isfinite(high) & (high > low)
    low, high = np.where(deep, low, ground), np.where(deep, high, ground + 2 * _DEEP)
    width = _numbers(context, who, "diameter")[dots]
    radius = np.where(np.isfinite(width) & (width > 0), width / 2, _RADIUS)
    return _prisms(xy, low, high, radius, dots), int((~deep).sum())


def _prisms(xy: Reals, low: Reals, high: Reals, radius: Reals, rows: Ints) -> Mesh:
    turn = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    flat = xy[:, None, :] + circle * radius[:, None, None]
    rings = [np.concatenate([flat, np.broadcast_to(z[:, None, None], (*flat.shape[:2], 1))], axis=2) for z in (low, high)]
    points = np.concatenate(rings, axis=1)
    i, after = np.arange(_SIDES), (np.arange(_SIDES) + 1) % _SIDES
    lid = np.stack([np.full(_SIDES - 2, _SIDES), _SIDES + np.arange(1, _SIDES - 1), _SIDES + np.arange(2, _SIDES)], axis=1)
    one = np.concatenate(
        [np.stack([i, after, after + _SIDES], axis=1), np.stack([i, after + _SIDES, i + _SIDES], axis=1), lid, lid[:, ::-1] - _SIDES]
    )
    index = one[None] + (np.arange(len(rows)) * 2 * _SIDES)[:, None, None]
    return points.reshape(-1, 3), index.reshape(-1, 3).astype(np.int32), np.repeat(rows, len(one)).astype(np.int32)


def _told(context: Context, who: Members, name: str) -> list[Any]:
    try:
        return values_of(context.city, who.keys, who.types, name)[0]
    except ObjectNotFoundError:
        return [None] * len(who)


def _numbers(context: Context, who: Members, name: str) -> Reals:
    """Return an attribute [m], NaN where it is missing or no number."""
    values = _told(context, who, name)
    return np.array([float(value) if isinstance(value, int | float) else np.nan for value in values], float)


def _colours(context: Context, who: Members) -> tuple[NDArray[np.uint8], Legend]:
    """Return colours by kind where there are several, else by diameter, wells apart."""
    import shapely

    title = Text("Pipes and wells", "管线")
    dot = np.isin(shapely.get_type_id(who.shapes), (0, 4))
    kind = _kinds(context, who)
    names = sorted({name for name in kind[~dot].tolist() if name is not None})
    width, tall = (np.where(dot, np.nan, _numbers(context, who, name)) for name in ("diameter", "section_height"))
    said = Text("Pipes: diameter", "管线：管径")
    if (np.isnan(width) & np.isfinite(tall)).any():
        width, said = np.where(np.isnan(width), tall, width), Text("Pipes: diameter or height of section", "管线：管径或断面高")
    wells = (LegendEntry(_WELL, _WELL_NAME, int(dot.sum())),) if dot.any() else ()
    if len(names) < 2 and np.isfinite(width).any():
        # what has no diameter but is no pipe is not missing it
        ramp = Ramp().encode(width[~dot], said, "m")
        colours = np.full((len(who), 3), _WELL, np.uint8)
        colours[~dot] = ramp.colours
        return colours, replace(ramp.legend, entries=(*ramp.legend.entries, *wells))
    labels = {name: known[1] for name, known in KINDS.items()}
    fixed = {name: known[0] for name, known in KINDS.items()}
    kind[dot] = None
    shown = Categorical(fixed, labels).encode(kind, title)
    colours = np.where(dot[:, None], np.array(_WELL, np.uint8), shown.colours).astype(np.uint8)
    if not names:
        colours[~dot] = _PLAIN
        plain = (LegendEntry(_PLAIN, Text("pipe", "管线"), int((~dot).sum())),) if not dot.all() else ()
        return colours, Legend(title, (*plain, *wells))
    unknown = int(sum(name is None for name in kind[~dot].tolist()))
    entries = tuple(entry for entry in shown.legend.entries if entry.colour != MISSING)
    missing = (LegendEntry(MISSING, Text("kind not stated", "类型未知"), unknown),) if unknown else ()
    return colours, replace(shown.legend, entries=(*entries, *missing, *wells))


def _kinds(context: Context, who: Members) -> NDArray[np.object_]:
    """Return the kind of each pipe: from its function or medium, else from the network it is a link of; None where nothing says."""
    found = np.full(len(who), None, object)
    links = context.city.tables.scan("links", ["object", "network"])
    owners = np.asarray(links["object"].to_numpy(), np.int64)
    at = np.searchsorted(who.keys, owners).clip(max=len(who) - 1)
    mine = who.keys[at] == owners
    found[at[mine]] = _named(np.array(links["network"].to_pylist(), object)[mine].tolist(), plain=True)
    for name in ("function", "medium", "kind", "usage"):
        said = np.array(_named(_told(context, who, name), plain=False), object)
        known = np.array([value is not None for value in said.tolist()], bool)
        found[known] = said[known]
    return found


def _named(values: Sequence[Any], *, plain: bool) -> list[str | None]:
    """Return the kind that each text names, or the text itself where `plain`, None where it names none."""
    kinds = {text: _kind(text, plain=plain) for text in {value for value in values if isinstance(value, str)}}
    return [kinds.get(value) if isinstance(value, str) else None for value in values]


def _kind(text: str, *, plain: bool) -> str | None:
    lower = text.lower()
    return next((name for name, (_, _, marks) in KINDS.items() if any(mark in lower for mark in marks)), text if plain else None)


def seen_below(layers: Sequence[Layer], context: Context, *, underground: bool | None) -> tuple[Layer, ...]:
    """Return layers with the ground translucent, so that what lies below is seen.

    Parameters
    ----------
    underground
        Whether to; None for where most pipes lie below the ground.
    """
    if underground is None:
        underground = any(layer.name == "utilities" and _sunk(layer, context) for layer in layers)
    if not underground:
        return tuple(layers)
    return tuple(replace(layer, opacity=_faded(layer), through=True) if layer.name in UNDER else layer for layer in layers)


def _faded(layer: Layer) -> float:
    return min(layer.opacity, _GROUND_OPACITY if layer.name in {"terrain", "imagery"} else _PAINT_OPACITY)


def _sunk(layer: Layer, context: Context) -> bool:
    depth = context.ground.at(layer.points[:, 0], layer.points[:, 1]) - layer.points[:, 2]
    return bool(np.median(depth) > _DEEP)
