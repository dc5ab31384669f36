"""Edits of a city's tables that steps are made of: values with claims, boxes, and geometry stretched upwards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.geometry import Flat, flatten, vertices_from
from cim.model.instances import put_out
from cim.model.schema import SCHEMAS, make_table, one_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.model import City

    Keys = NDArray[np.int64]
    Floats = NDArray[np.float64]

__all__ = ["Fact", "add_claims", "eaves", "move_boxes", "set_footprints", "set_values", "shift", "stretch"]

_GROUND_TOLERANCE = 0.01
"""Vertices this near above the lowest one [m] stand on the ground, where no GroundSurface says so."""


@dataclass(frozen=True)
class Fact:
    """New values of one attribute or core column for some objects of one class."""

    type: str
    name: str
    keys: Keys
    values: NDArray[Any]
    """Numbers, NaN where the value is not known any more; or texts and None as objects."""
    unit: str = ""
    """Unit of an attribute that does not exist yet."""

    @property
    def kind(self) -> pa.DataType:
        """Arrow type of the values."""
        return pa.string() if self.values.dtype.kind in "OU" else pa.float64()


def set_values(city: City, fact: Fact) -> City:
    """Return the city with new values in a core or attribute column; an attribute that does not exist yet is made."""
    if fact.name in SCHEMAS["objects"].names:
        return _with_tables(city, objects=_set(city.tables["objects"], "key", fact))
    table = city.attributes[fact.type]
    if fact.name not in table.column_names:
        metadata = {"unit": fact.unit} if fact.unit else None
        table = table.append_column(pa.field(fact.name, fact.kind, metadata=metadata), pa.nulls(table.num_rows, fact.kind))
    return _with_tables(city, attributes={fact.type: _set(table, "object", fact)})


def _set(table: pa.Table, key: str, fact: Fact) -> pa.Table:
    """Return a table with the column `fact.name` changed in the rows of the keys; whole numbers become real where they must."""
    row = np.searchsorted(np.asarray(table[key].to_numpy(), np.int64), fact.keys)
    field = table.schema.field(fact.name)
    kind = _kind(field.type, fact)
    mask = np.zeros(table.num_rows, bool)
    mask[row] = True
    order = np.argsort(row)
    values = pa.array(fact.values[order], fact.kind, from_pandas=True).cast(kind)
    column = pc.replace_with_mask(one_array(table[fact.name].cast(kind)), pa.array(mask), values)
    return table.set_column(table.column_names.index(fact.name), field.with_type(kind), column)


def _kind(held: pa.DataType, fact: Fact) -> pa.DataType:
    """Return the type a column has afterwards: its own, or real numbers where whole ones no longer do."""
    if fact.kind == pa.string():
        if pa.types.is_string(held) or pa.types.is_large_string(held):
            return held
    elif pa.types.is_floating(held):
        return held
    elif pa.types.is_integer(held):
        known = fact.values[np.isfinite(fact.values)]
        return held if (known == np.round(known)).all() else pa.float64()
    msg = f"{fact.type}.{fact.name} holds {held}, expected {'texts' if fact.kind == pa.string() else 'numbers'}"
    raise UsageError(msg)


def _with_tables(city: City, **tables: Any) -> City:
    """Return the city with tables exchanged; path and version go, for this is no stored city."""
    return city.replace_tables(**tables)


def add_claims(changed: City, before: City, fact: Fact, method: str, *, old: list[Any] | None = None) -> City:
    """Return the city with a chosen claim for each new value; what was chosen before stays as a claim that is not.

    Parameters
    ----------
    changed
        City to add to.
    before
        City that still holds the old values.
    method
        How the new value came about.
    old
        What the values were; read from `before` when left out.
    """
    claims = changed.tables["claims"]
    mine = pc.and_(pc.is_in(claims["object"], pa.array(fact.keys)), pc.equal(claims["attribute"], fact.name))
    had = set(claims.filter(pc.and_(mine, claims["chosen"]))["object"].to_pylist())
    chosen = pc.and_(claims["chosen"], pc.invert(mine))
    claims = claims.set_column(claims.column_names.index("chosen"), SCHEMAS["claims"].field("chosen"), chosen)
    unit = _unit(before, changed, fact) or None
    parts = [claims, make_table("claims", {
        "object": fact.keys, "attribute": fact.name, "value": [_json(value) for value in fact.values.tolist()], "unit": unit,
        "method": method, "chosen": True,
    })]  # fmt: skip
    old = _old_values(before, fact) if old is None else old
    bare = [place for place, (key, value) in enumerate(zip(fact.keys.tolist(), old, strict=True)) if key not in had and value is not None]
    if bare:
        core = before.tables["objects"].take(pa.array(before.row_of_key(fact.keys[bare])))
        parts.append(make_table("claims", {
            "object": fact.keys[bare], "attribute": fact.name, "value": [_json(old[place]) for place in bare], "unit": unit,
            "source": core["source"], "method": "read", "chosen": False,
        }))  # fmt: skip
    return _with_tables(changed, claims=pa.concat_tables(parts))


def _json(value: Any) -> str:
    """Return a value as JSON; what is not known is null."""
    return json.dumps(None if isinstance(value, float) and np.isnan(value) else value, ensure_ascii=False)


def _unit(before: City, changed: City, fact: Fact) -> str:
    if fact.kind == pa.string():
        return ""
    known = fact.name in SCHEMAS["objects"].names or fact.name in before.attributes.schema(fact.type).names
    return (before if known else changed).unit(fact.type, fact.name)


def _old_values(before: City, fact: Fact) -> list[Any]:
    if fact.name not in SCHEMAS["objects"].names and fact.name not in before.attributes.schema(fact.type).names:
        return [None] * len(fact.keys)
    found: list[Any] = before.column(fact.type, fact.name, fact.keys).to_pylist()
    return found


def move_boxes(city: City, keys: Keys, delta: float, names: tuple[str, ...] = ("zmax",)) -> City:
    """Return the city with sides of the boxes of some objects `delta` [m] higher; a box without height stays as it is."""
    if not len(keys):
        return city
    boxes = one_array(city.core_rows(["bbox"], keys)["bbox"])
    sides = {name: np.asarray(pc.struct_field(boxes, name).to_numpy(zero_copy_only=False), float) + delta for name in names}
    known = np.flatnonzero(np.asarray(pc.is_valid(boxes).to_numpy(zero_copy_only=False), bool))
    return _with_boxes(city, keys[known], {name: values[known] for name, values in sides.items()}) if len(known) else city


def set_footprints(city: City, keys: Keys, shapes: NDArray[Any], *, boxes: bool = True) -> City:
    """Return the city with other footprints for some objects.

    Parameters
    ----------
    shapes : shape (n,)
        shapely geometries in the CRS of the city.
    boxes
        Whether the boxes become those of the footprints, east and north.
    """
    import shapely

    if not len(keys):
        return city
    objects, schema = city.tables["objects"], SCHEMAS["objects"]
    rows = city.row_of_key(keys)
    mask = np.zeros(objects.num_rows, bool)
    mask[rows] = True
    order = np.argsort(rows)
    wkb = pa.array(shapely.to_wkb(shapes[order]).tolist(), pa.binary())
    column = pc.replace_with_mask(one_array(objects["footprint"]), pa.array(mask), wkb)
    objects = objects.set_column(objects.column_names.index("footprint"), schema.field("footprint"), column)
    changed = _with_tables(city, objects=objects)
    if not boxes:
        return changed
    bounds = shapely.bounds(shapes)
    return _with_boxes(changed, keys, {name: bounds[:, place] for place, name in enumerate(("xmin", "ymin", "xmax", "ymax"))})


def _with_boxes(city: City, keys: Keys, sides: Mapping[str, Floats]) -> City:
    """Return the city with some sides of the boxes of some objects set."""
    objects, field = city.tables["objects"], SCHEMAS["objects"].field("bbox")
    boxes, rows = one_array(objects["bbox"]), city.row_of_key(keys)
    null = np.asarray(pc.is_null(boxes).to_numpy(zero_copy_only=False), bool)
    null[rows] = False
    children = []
    for side in field.type:
        values = np.array(pc.struct_field(boxes, side.name).to_numpy(zero_copy_only=False), float)
        if side.name in sides:
            values[rows] = sides[side.name]
        children.append(pa.array(values, from_pandas=True))
    made = pa.StructArray.from_arrays(children, fields=list(field.type), mask=pa.array(null))
    return _with_tables(city, objects=objects.set_column(objects.column_names.index("bbox"), field, made))


def stretch(city: City, keys: Keys, delta: float, id: str) -> City:
    """Return the city with the geometries of some objects stretched: what stands on the ground stays, all above moves by `delta` [m].

    A block becomes a higher block; a roof keeps its shape and its walls grow. Ground is what a GroundSurface says, else the lowest
    vertices. A flat geometry moves only when it lies at the roof.

    Raises
    ------
    UsageError
        If lowering would push eaves to the ground or below.
    """
    city = put_out(city, keys)
    table = city.tables["geometries"]
    mine = np.flatnonzero(np.isin(np.asarray(table["object"].to_numpy(), np.int64), keys))
    if not len(mine) or delta == 0:
        return city
    part = table.take(pa.array(mine))
    flat = flatten(part)
    moves = _above_ground(city, part, flat)
    owner = np.repeat(np.arange(len(mine)), np.diff(flat.vertex_start))
    _refuse_sunken(flat, moves, owner, delta, id)
    return _with_vertices(city, mine, flat, moves, (0.0, 0.0, delta))


def shift(city: City, keys: Keys, delta: tuple[float, float, float]) -> City:
    """Return the city with the geometries of some objects moved by `delta` (east, north, up) [m] as a whole."""
    city = put_out(city, keys)
    table = city.tables["geometries"]
    mine = np.flatnonzero(np.isin(np.asarray(table["object"].to_numpy(), np.int64), keys))
    if not len(mine) or not any(delta):
        return city
    flat = flatten(table.take(pa.array(mine)))
    return _with_vertices(city, mine, flat, np.ones(len(flat.vertices), bool), delta)


def eaves(city: City, key: int) -> float:
    """Return the elevation from which on a building moves when it is raised [m]: its lowest moving vertex, else its roof; else NaN."""
    part = city.geometry_table(keys=[key])
    if part.num_rows:
        flat = flatten(part)
        moving = flat.vertices[_above_ground(city, part, flat), 2]
        if len(moving):
            return float(moving.min() + city.origin[2])
    return float(np.asarray(city.core_rows(["z_roof"], [key])["z_roof"].cast(pa.float64()).to_numpy(), float)[0])


def _with_vertices(city: City, mine: Keys, flat: Flat, moves: NDArray[np.bool_], delta: tuple[float, float, float]) -> City:
    """Return the city with some vertices of the geometries in the rows `mine` moved by `delta` [m]."""
    table = city.tables["geometries"]
    vertices = flat.vertices.copy()
    vertices[moves] += np.array(delta, float)
    column = vertices_from(vertices, np.diff(flat.vertex_start))
    place = np.arange(table.num_rows)
    place[mine] = table.num_rows + np.arange(len(mine))
    both = pa.chunked_array([*table["vertices"].chunks, column], table.schema.field("vertices").type)
    changed = table.set_column(table.column_names.index("vertices"), table.schema.field("vertices"), both.take(pa.array(place)))
    return _with_tables(city, geometries=changed)


def _above_ground(city: City, part: pa.Table, flat: Flat) -> NDArray[np.bool_]:
    """Say which vertices move, shape (v,)."""
    count = part.num_rows
    owner = np.repeat(np.arange(count), np.diff(flat.vertex_start))
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, owner, flat.vertices[:, 2])
    np.maximum.at(high, owner, flat.vertices[:, 2])
    level = high - low < _GROUND_TOLERANCE
    grounded, has_ground = _ground_vertices(city, part, flat)
    moves = np.where(has_ground[owner], ~grounded, flat.vertices[:, 2] > low[owner] + _GROUND_TOLERANCE)
    return np.where(level[owner], _at_roof(city, part, (low + high) / 2)[owner], moves)


def _ground_vertices(city: City, part: pa.Table, flat: Flat) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which vertices a GroundSurface uses, and which geometries have one."""
    surfaces = city.surface_table(part)
    ground = surfaces.filter(pc.equal(surfaces["type"], "GroundSurface"))
    pairs = set(zip(ground["geometry"].to_pylist(), ground["index"].to_pylist(), strict=True))
    used = np.zeros(len(flat.vertices), bool)
    has = np.zeros(part.num_rows, bool)
    first = np.searchsorted(flat.geometry_of_surface, np.arange(part.num_rows + 1))
    for row, (key, codes) in enumerate(
        zip(part["key"].to_pylist(), part["semantics"].to_pylist(), strict=True)
    ):  # one building: a few rows
        named = [first[row] + place for place, code in enumerate(codes or []) if (key, code) in pairs]
        has[row] = bool(named)
        for surface in named:
            rings = flat.ring_start[flat.surface_start[surface]], flat.ring_start[flat.surface_start[surface + 1]]
            used[flat.index[rings[0] : rings[1]]] = True
    return used, has


def _at_roof(city: City, part: pa.Table, z: Floats) -> NDArray[np.bool_]:
    """Say which flat geometries lie nearer to the roof of their object than to its ground."""
    core = city.tables["objects"].take(pa.array(city.row_of_key(np.asarray(part["object"].to_numpy(), np.int64))))
    ground, roof = (np.asarray(core[name].to_numpy(), float) for name in ("z_ground", "z_roof"))
    with np.errstate(invalid="ignore"):
        nearer = np.abs(z + city.origin[2] - roof) < np.abs(z + city.origin[2] - ground)
    return np.asarray(nearer, bool)


def _refuse_sunken(flat: Flat, moves: NDArray[np.bool_], owner: Keys, delta: float, id: str) -> None:
    """Refuse to lower a roof so far that its lowest moving vertex would reach the highest one that stays."""
    if delta >= 0 or not moves.any() or moves.all():
        return
    count = int(owner.max()) + 1
    stays, falls = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(stays, owner[~moves], flat.vertices[~moves, 2])
    np.minimum.at(falls, owner[moves], flat.vertices[moves, 2])
    room = float((falls - stays).min())
    if room + delta <= 0:
        msg = f"{id!r} cannot be lowered by {-delta:g} m: its eaves are only {room:g} m above its ground; give a smaller change"
        raise UsageError(msg)
