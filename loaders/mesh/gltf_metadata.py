"""Attributes of features in glTF: property tables of EXT_structural_metadata, each property a column of plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders import json_guard
from cim.loaders.limits import Limits
from cim.loaders.mesh.gltf import Document, view_bytes, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["PropertyTable", "plain", "property_tables"]

_REMEDY = "export it again"
_TYPES = {
    "INT8": "<i1", "UINT8": "<u1", "INT16": "<i2", "UINT16": "<u2", "INT32": "<i4", "UINT32": "<u4", "INT64": "<i8", "UINT64": "<u8",
    "FLOAT32": "<f4", "FLOAT64": "<f8",
}  # fmt: skip
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16, "ENUM": 1}


@dataclass(frozen=True)
class PropertyTable:
    """One table: a row per feature."""

    name: str
    class_name: str
    count: int
    columns: Mapping[str, list[Any]]
    """Values of each property; vectors, matrices and arrays as JSON text."""


def property_tables(document: Document) -> list[PropertyTable]:
    """Return the property tables of a document.

    Raises
    ------
    CorruptFileError
        If a table claims more values than its buffers hold.
    """
    extension = (
        document.json.get("extensions", {}).get("EXT_structural_metadata") if isinstance(document.json.get("extensions"), dict) else None
    )
    if not isinstance(extension, dict):
        return []
    schema = _schema(document, extension)
    tables = extension.get("propertyTables", [])
    if not isinstance(tables, list):
        raise CorruptFileError(document.path, "its propertyTables are no list", _REMEDY)
    return [_table(document, one, schema, place) for place, one in enumerate(tables) if isinstance(one, dict)]


def _schema(document: Document, extension: dict[str, Any]) -> dict[str, Any]:
    schema = extension.get("schema")
    if schema is None and isinstance(extension.get("schemaUri"), str):
        data = document.companions.required(extension["schemaUri"], "metadata schema")
        schema = json_guard.parse(document.path, Limits(), data=data).value
    return schema if isinstance(schema, dict) else {}


def _table(document: Document, table: dict[str, Any], schema: dict[str, Any], place: int) -> PropertyTable:
    name = str(table.get("class", ""))
    count = whole(table.get("count"), document.path, f"property table {place} count")
    classes = schema.get("classes")
    class_ = classes.get(name, {}) if isinstance(classes, dict) else {}
    told = class_.get("properties", {}) if isinstance(class_, dict) else {}
    enums = schema.get("enums") if isinstance(schema.get("enums"), dict) else {}
    columns: dict[str, list[Any]] = {}
    given = table.get("properties")
    for key, one in (given if isinstance(given, dict) else {}).items():
        property_ = told.get(key) if isinstance(told, dict) else None
        if isinstance(property_, dict) and isinstance(one, dict):
            columns[str(key)] = _Reader(document, property_, one, count, enums or {}, str(key)).values()
    return PropertyTable(str(table.get("name", "")), name, count, columns)


@dataclass(frozen=True)
class _Reader:
    """Reads one property of a table."""

    document: Document
    told: dict[str, Any]
    where: dict[str, Any]
    count: int
    enums: dict[str, Any]
    name: str

    def values(self) -> list[Any]:
        """Return one plain value per feature."""
        kind = str(self.told.get("type"))
        lists = self._list_offsets()
        total = self.count if lists is None else int(lists[-1])
        if kind == "STRING":
            flat: list[Any] = self._strings(total)
        elif kind == "BOOLEAN":
            flat = self._booleans(total)
        else:
            flat = self._numbers(total, kind)
        if lists is None:
            return self._without(flat)
        ends = lists.tolist()
        return [_text(flat[first:last]) for first, last in pairwise(ends)]

    def _without(self, flat: list[Any]) -> list[Any]:
        """Make values missing that stand for none."""
        nothing = self.told.get("noData")
        flat = [None if nothing is not None and value == nothing else value for value in flat]
        return [_text(value) if isinstance(value, list) else value for value in flat]

    def _bytes(self, member: str) -> memoryview:
        return view_bytes(self.document, self.where.get(member), what=f"property {self.name!r}")

    def _array(self, member: str, kind: str, count: int) -> NDArray[Any]:
        view = self._bytes(member)
        if np.dtype(kind).itemsize * count > len(view):
            reason = f"its property {self.name!r} claims {count:,} values, more than its bufferView of {len(view):,} bytes holds (length)"
            raise CorruptFileError(self.document.path, reason, _REMEDY)
        return np.frombuffer(view, kind, count)

    def _offsets(self, member: str, count: int, kind_member: str) -> NDArray[np.int64]:
        kind = _TYPES.get(str(self.where.get(kind_member, "UINT32")), "<u4")
        offsets = self._array(member, kind, count + 1).astype(np.int64)
        if (np.diff(offsets) < 0).any() or (len(offsets) and offsets[0] < 0):
            raise CorruptFileError(self.document.path, f"its property {self.name!r} has offsets that run backward", _REMEDY)
        return offsets

    def _list_offsets(self) -> NDArray[np.int64] | None:
        """Return where the list of each feature begins; None for a single value each."""
        if self.told.get("array") is not True:
            return None
        fixed = self.told.get("count")
        if fixed is not None:
            return np.arange(self.count + 1, dtype=np.int64) * whole(fixed, self.document.path, f"property {self.name!r} count")
        return self._offsets("arrayOffsets", self.count, "arrayOffsetType")

    def _strings(self, count: int) -> list[Any]:
        ends = self._offsets("stringOffsets", count, "stringOffsetType").tolist()
        data = bytes(self._bytes("values"))
        if ends and ends[-1] > len(data):
            raise CorruptFileError(self.document.path, f"its property {self.name!r} has text beyond its bufferView (length)", _REMEDY)
        return [data[first:last].decode("utf-8", "replace") for first, last in pairwise(ends)]

    def _booleans(self, count: int) -> list[Any]:
        bits = np.unpackbits(self._array("values", "<u1", (count + 7) // 8), bitorder="little")
        values: list[Any] = bits[:count].astype(bool).tolist()
        return values

    def _numbers(self, count: int, kind: str) -> list[Any]:
        width = _WIDTHS.get(kind)
        enum = self.enums.get(str(self.told.get("enumType"))) if kind == "ENUM" else None
        component = str(enum.get("valueType", "UINT16") if isinstance(enum, dict) else self.told.get("componentType"))
        if width is None or component not in _TYPES:
            raise CorruptFileError(self.document.path, f"its property {self.name!r} is of no known type", _REMEDY)
        raw = self._array("values", _TYPES[component], count * width).reshape(count, width)
        if isinstance(enum, dict) and isinstance(enum.get("values"), list):
            names = {one.get("value"): one.get("name") for one in enum["values"] if isinstance(one, dict)}
            return [names.get(value, value) for value in raw[:, 0].tolist()]
        return plain(self._scaled(raw, component))

    def _scaled(self, raw: NDArray[Any], component: str) -> NDArray[Any]:
        values = raw
        if self.told.get("normalized") is True and raw.dtype.kind in "iu":
            values = np.maximum(raw / float(np.iinfo(np.dtype(_TYPES[component])).max), -1.0)
        for member, by in (("scale", np.multiply), ("offset", np.add)):
            factor = self.where.get(member, self.told.get(member))
            if factor is not None:
                numbers = np.asarray(factor, np.float64).reshape(-1)
                if numbers.size not in {1, raw.shape[1]}:
                    raise CorruptFileError(self.document.path, f"its property {self.name!r} has a {member} of another size", _REMEDY)
                values = by(values.astype(np.float64), numbers)
        return values


def plain(values: NDArray[Any]) -> list[Any]:
    """Return rows as plain Python values: a number for one column, a list for several; 32 bit numbers by their shortest decimals.

    Examples
    --------
    >>> plain(np.array([[0.1, 2.0]], np.float32)), plain(np.array([[7], [8]]))
    ([[0.1, 2.0]], [7, 8])
    """
    if values.dtype == np.float32:
        values = values.astype("U").astype(np.float64)
    rows: list[Any] = values.tolist()
    return [row[0] for row in rows] if values.ndim == 2 and values.shape[1] == 1 else rows


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
