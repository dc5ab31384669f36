"""Colouring objects by what a simulation says about them: a column of a table by object id."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import ObjectNotFoundError, UsageError
from cim.scenes.layer import Text
from cim.scenes.sheet import BOUNDS
from cim.scenes.style import Rules, hex_colour, style_for

if TYPE_CHECKING:
    from cim.results import Fields
    from cim.scenes.context import Context
    from cim.scenes.layer import Layer
    from cim.scenes.style import Style

__all__ = ["DEPTHS", "colour_by_table", "rows_of"]

_CLASSES = (*(f"{low:g} – {high:g}" for low, high in pairwise(BOUNDS)), f"≥ {BOUNDS[-1]:g}")
_DRY = Text(f"dry (< {BOUNDS[0]:g})", f"未淹（< {BOUNDS[0]:g}）")
_WARM = tuple(hex_colour(text) for text in ("#fde9a9", "#fcc36a", "#f58f45", "#dd4f2b", "#ab1c20", "#5f0a1c"))
DEPTHS = Rules(BOUNDS, (hex_colour("#ece7da"), *_WARM), (_DRY, *(Text(name, name) for name in _CLASSES)))
"""Depths at objects: the classes of the water, in yellow to red, so that what is hit stands out of the blue around it."""
_LEVELS = 4  # how far up a part looks for the object a table names


def colour_by_table(context: Context, layer: Layer, result: Fields, table: str | None, column: str | None, style: Style | None) -> Layer:
    """Return a layer coloured by a column of a table of a result; a part of a building takes the value of the building.

    An object that several rows name takes the highest number, or the first text. One that no row names has no value.

    Raises
    ------
    ObjectNotFoundError
        If the result has no such table or column.
    UsageError
        If no column is named, or no row names an object of the layer.
    """
    from dataclasses import replace

    from cim.results.columns import unit

    rows = _table(result, table, column)
    name = str(column)
    ids, values = _by_object(rows, name)
    place = rows_of(context, layer, ids)
    if not (place >= 0).any():
        first = ids[0].as_py() if len(ids) else "none"
        msg = f"no row of the table names an object of the layer {layer.name!r}: it names {first!r}, the layer has {layer.ids[:1].tolist()}"
        raise UsageError(msg)
    # one value per object of the table: a house of forty parts is one house in the legend
    own, part_of = np.unique(np.where(place >= 0, place, -1 - np.arange(len(place))), return_inverse=True)
    array = _array(values.take(pa.array(np.maximum(own, 0), mask=own < 0)))
    said = unit(rows.schema.field(name))
    chosen = style or (DEPTHS if said == "m" and "depth" in name.split("_") else style_for(array))
    title = _title(rows.schema.field(name))
    encoded = chosen.encode(array, Text(f"{layer.label.en}: {title.en}", f"{layer.label.zh}：{title.zh}"), said)
    numbers = None if encoded.values is None else encoded.values[part_of]
    coloured = layer.recoloured(encoded.colours[part_of], encoded.legend, numbers, said)
    return replace(coloured, hatched=encoded.hatched[part_of] if encoded.hatched.any() else None)


def _table(result: Fields, table: str | None, column: str | None) -> pa.Table:
    """Return the table that is meant."""
    usable = {name: one for name, one in result.tables.items() if "object" in one.column_names}
    listed = "; ".join(f"{name}: {', '.join(one.column_names)}" for name, one in usable.items()) or "no table by object"
    if column is None:
        msg = f"color_by(result) needs column=...; {result.name} has {listed}"
        raise UsageError(msg)
    found = [one for name, one in usable.items() if table in {None, name} and column in one.column_names]
    if not found:
        msg = f"{result.name} has no column {column!r}{f' in a table {table!r}' if table else ''} by object; it has {listed}"
        raise ObjectNotFoundError(msg)
    return found[0]


def _by_object(rows: pa.Table, column: str) -> tuple[pa.Array, pa.ChunkedArray]:
    """Return each object once, with its highest number or its first text."""
    kind = rows.schema.field(column).type
    bare = rows.select(["object", column]).filter(pc.is_valid(rows["object"]))
    number = (pa.types.is_floating(kind) or pa.types.is_integer(kind)) and len(bare)
    if number and pa.types.is_floating(kind):
        bare = bare.set_column(1, column, pc.if_else(pc.is_nan(bare[column]), pa.scalar(None, kind), bare[column]))
    grouped = bare.group_by("object", use_threads=False).aggregate([(column, "max" if number else "first")])
    return grouped["object"].cast(pa.string()).combine_chunks(), grouped[f"{column}_{'max' if number else 'first'}"]


def rows_of(context: Context, layer: Layer, ids: pa.Array) -> Any:
    """Return the row of the table of each object of a layer, or of what it is a part of; -1 where there is none."""
    objects = context.city.tables.scan("objects", ["key", "id", "parent"])
    names = pa.array(layer.ids.tolist(), pa.string())
    place = np.full(len(layer.ids), -1, np.int64)
    for _ in range(_LEVELS):
        found = pc.fill_null(pc.index_in(names, ids, skip_nulls=True), -1).to_numpy(zero_copy_only=False)
        place = np.where(place >= 0, place, found)
        row = pc.index_in(names, objects["id"].combine_chunks(), skip_nulls=True)
        parent = objects["parent"].combine_chunks().take(row)
        names = objects["id"].combine_chunks().take(pc.index_in(parent, objects["key"].combine_chunks(), skip_nulls=True))
    return place


def _array(values: pa.ChunkedArray) -> Any:
    kind = values.type
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return np.asarray(values.cast(pa.float64(), safe=False).to_numpy(), float)
    return np.array(values.to_pylist(), object)


def _title(field: pa.Field) -> Text:
    """Return what people call a column."""
    from cim.standard_names import STANDARD_NAMES

    said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    standard = STANDARD_NAMES.get(field.name)
    plain = field.name.replace("_", " ")
    en, zh = (standard.label_en, standard.label_zh) if standard else (plain, plain)
    return Text(said.get("label_en") or en, said.get("label_zh") or zh)
