"""Attributes of objects in glTF: one property table per class, as EXT_structural_metadata has them, column by column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.schema import one_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cim.loaders.gltf_file import Glb
    from cim.model import City
    from cim.model.loss import Losses

__all__ = ["CORE", "SCHEMA", "PropertyTables", "identifier"]

SCHEMA = "cim"
CORE = ("id", "name", "parent", "cim_code", "cim_level", "level_scheme", "z_ground", "z_roof", "valid_from", "valid_to", "grade")
"""Core columns that the tables hold; `parent` as the id of the whole."""
_NOTHING = ("", "null", "-", "—", "∅")  # texts that may stand for a missing one
_LOWEST = float(np.finfo(np.float64).min)
_UNKNOWN = "unknown"


def identifier(name: str, taken: Iterable[str] = ()) -> str:
    """Return a name as an identifier of a metadata schema: letters, digits and ``_``, not taken yet.

    Examples
    --------
    >>> identifier("height"), identifier("2 floors"), identifier("高度"), identifier("a b", {"a_b"})
    ('height', '_2_floors', 'u9ad8_u5ea6', 'a_b_2')
    """
    text = re.sub(r"[^\x00-\x7f]", lambda match: f"_u{ord(match[0]):x}", name).removeprefix("_" if not name[:1].isascii() else "")
    text = re.sub(r"[^A-Za-z0-9_]", "_", text) or "_"
    text = text if not text[0].isdigit() else f"_{text}"
    number, found, known = 1, text, set(taken)
    while found in known:
        number += 1
        found = f"{text}_{number}"
    return found


class PropertyTables:
    """The metadata of a document while it is filled: a class of the schema and a property table per class of the city."""

    def __init__(self, city: City, glb: Glb, losses: Losses) -> None:
        self._city, self._glb, self._losses = city, glb, losses
        self._classes: dict[str, Any] = {}
        self._tables: list[dict[str, Any]] = []
        self._booleans = False
        objects = city.tables.scan("objects", ["key", "id"])
        self._keys, self._ids = one_array(objects["key"]), one_array(objects["id"])

    def add(self, type: str) -> int:
        """Add the table of a class, one row per object in the order of the keys, and return its index."""
        name = identifier(type, self._classes)
        told: dict[str, Any] = {}
        held: dict[str, Any] = {}
        table = self._columns(type)
        for field in table.schema:
            column = one_array(table[field.name])
            if column.null_count == len(column):
                continue  # no object of the class has a value
            key = identifier(field.name, told)
            kind, held[key] = self._property(column, f"{type}: {field.name}")
            told[key] = {"name": field.name, **_described(field), **kind}
        self._classes[name] = {"name": type, "properties": told}
        self._tables.append({"name": type, "class": name, "count": table.num_rows, "properties": held})
        return len(self._tables) - 1

    def _columns(self, type: str) -> pa.Table:
        core = self._city.tables.scan("objects", ["key", *CORE], pc.field("type") == type)
        parent = self._ids.take(pc.index_in(one_array(core["parent"]), self._keys))
        core = core.set_column(core.column_names.index("parent"), "parent", parent).drop_columns(["key"])
        attributes = self._city.attributes[type]
        for field in attributes.schema:
            if field.name != "object":
                core = core.append_column(field, attributes[field.name])
        return core

    def _property(self, column: pa.Array, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the schema says about a column, and the buffer views that hold it."""
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
            kind = column.type
        if pa.types.is_boolean(kind):
            return self._truths(column)
        if pa.types.is_integer(kind) and not (column.null_count and pc.min_max(column).as_py()["min"] == np.iinfo(np.int64).min):
            return self._integers(column)
        if pa.types.is_floating(kind):
            return self._reals(column)
        return self._texts(_as_text(column, where, self._losses))

    def _truths(self, column: pa.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        if not column.null_count:
            bits = np.packbits(column.to_numpy(zero_copy_only=False).astype(bool), bitorder="little")
            return {"type": "BOOLEAN", "required": True}, {"values": self._glb.view(bits)}
        self._booleans = True
        values = column.cast(pa.uint8()).fill_null(255).to_numpy(zero_copy_only=False)
        return {"type": "ENUM", "enumType": "Truth", "noData": _UNKNOWN}, {"values": self._glb.view(values)}

    def _integers(self, column: pa.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        extremes = pc.min_max(column).as_py()
        wide = extremes["min"] <= np.iinfo(np.int32).min or extremes["max"] > np.iinfo(np.int32).max
        kind = np.dtype(np.uint64 if extremes["max"] > np.iinfo(np.int64).max else np.int64 if wide else np.int32)
        told: dict[str, Any] = {"type": "SCALAR", "componentType": kind.name.upper()}
        if column.null_count:
            nothing = (1 << 64) - 1 if kind.kind == "u" else -(1 << 8 * kind.itemsize - 1)
            column, told["noData"] = column.cast(pa.from_numpy_dtype(kind)).fill_null(nothing), nothing
        else:
            told["required"] = True
        return told, {"values": self._glb.view(column.to_numpy(zero_copy_only=False).astype(kind))}

    def _reals(self, column: pa.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        missing = np.isnan(values)
        told: dict[str, Any] = {"type": "SCALAR", "componentType": "FLOAT64"}
        nothing = _LOWEST
        while (values == nothing).any():
            nothing = float(np.nextafter(nothing, 0.0))
        told |= {"noData": nothing} if missing.any() else {"required": True}
        return told, {"values": self._glb.view(np.where(missing, nothing, values))}

    def _texts(self, column: pa.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        told: dict[str, Any] = {"type": "STRING"}
        if column.null_count:
            used = {text for text in pc.unique(column).to_pylist() if text is not None}
            nothing = next((text for text in _NOTHING if text not in used), None)
            nothing = _longer(used) if nothing is None else nothing
            column, told["noData"] = column.fill_null(nothing), nothing
        else:
            told["required"] = True
        lengths = pc.binary_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        wide = offsets[-1] > np.iinfo(np.uint32).max
        data = b"".join(one.encode() for one in column.to_pylist())
        views = {"values": self._glb.view(data), "stringOffsets": self._glb.view(offsets.astype(np.uint64 if wide else np.uint32))}
        return told, {**views, "stringOffsetType": "UINT64" if wide else "UINT32"}

    def finish(self) -> None:
        """Put schema and tables into the document."""
        if not self._tables:
            return
        schema: dict[str, Any] = {"id": SCHEMA, "classes": self._classes}
        if self._booleans:
            truth = [("false", 0), ("true", 1), (_UNKNOWN, 255)]
            schema["enums"] = {"Truth": {"valueType": "UINT8", "values": [{"name": name, "value": value} for name, value in truth]}}
        extension = {"schema": schema, "propertyTables": self._tables}
        self._glb.json.setdefault("extensions", {})["EXT_structural_metadata"] = extension
        self._glb.json.setdefault("extensionsUsed", []).append("EXT_structural_metadata")


def _longer(used: set[Any]) -> str:
    """Return a text that is none of those used."""
    return "-" * (1 + max(map(len, used)))


def _described(field: pa.Field) -> dict[str, Any]:
    """Return unit and titles of a column."""
    said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    titles = " ".join(said[key] for key in ("label_en", "label_zh") if said.get(key))
    unit = said.get("unit", "")
    text = f"{titles} [{unit}]".strip() if unit else titles
    return {"description": text, **({"extras": {"unit": unit}} if unit else {})} if text else {}


def _as_text(column: pa.Array, where: str, losses: Losses) -> pa.Array:
    """Return values of other kinds as text: instants and dates in ISO 8601, lists and structures as JSON."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    nested = pa.types.is_nested(column.type)
    losses.add("lists, dates and other values written as text", len(column) - column.null_count, where)
    made = [
        None if value is None else orjson.dumps(value, default=str).decode() if nested else _plain(value) for value in column.to_pylist()
    ]
    return pa.array(made, pa.string())


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else value.hex() if isinstance(value, bytes) else str(value)
