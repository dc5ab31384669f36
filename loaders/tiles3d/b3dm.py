"""The binary containers of 3D Tiles 1.0: b3dm (a glTF with a table of features) and cmpt (several tiles in one), lengths checked first."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, FormatError
from cim.loaders import json_guard
from cim.loaders.mesh.gltf import whole
from cim.loaders.mesh.gltf_metadata import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

__all__ = ["MAGICS", "Batched", "inner_tiles", "read_b3dm"]

_REMEDY = "export or copy it again"
_HEADER = 28
MAGICS = (b"b3dm", b"i3dm", b"pnts", b"cmpt", b"subt")
_TYPES = {
    "BYTE": "<i1", "UNSIGNED_BYTE": "<u1", "SHORT": "<i2", "UNSIGNED_SHORT": "<u2", "INT": "<i4", "UNSIGNED_INT": "<u4", "FLOAT": "<f4",
    "DOUBLE": "<f8",
}  # fmt: skip
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Batched:
    """What a b3dm holds."""

    gltf: bytes
    count: int
    """Features."""
    center: NDArray[np.float64]
    """Where the glTF's origin lies, in the coordinates of the tile [m], shape (3,)."""
    columns: Mapping[str, list[Any]] = field(default_factory=dict)
    """One value per feature; vectors and lists as JSON text."""
    ignored: int = 0
    """Properties that cannot be read."""


def read_b3dm(data: bytes, path: Path, limits: Limits) -> Batched:
    """Return the parts of a b3dm.

    Raises
    ------
    CorruptFileError
        If it is cut, or a table is longer than it.
    FormatError
        If it is of another version.
    """
    _, version, length, *tables = _head(data, path, "b3dm")
    if version != 1:
        raise FormatError(path, f"is a b3dm of version {version}; version 1 is read", _REMEDY)
    place, parts = _HEADER, []
    names = ("feature table", "feature table binary", "batch table", "batch table binary")
    for size, name in zip(tables, names, strict=True):
        if place + size > length:
            reason = f"its b3dm {name} declares a length of {size:,} bytes beyond the {length:,} bytes of the tile"
            raise CorruptFileError(path, reason, _REMEDY)
        parts.append(data[place : place + size])
        place += size
    features = _json(parts[0], path, limits, names[0])
    count = whole(features.get("BATCH_LENGTH"), path, "BATCH_LENGTH", usual=0)
    limits.check("records", count, path)
    columns, ignored = _columns(_json(parts[2], path, limits, names[2]), parts[3], count, path)
    gltf = data[place:length]
    if gltf[:4] != b"glTF":
        raise CorruptFileError(path, f"its b3dm holds no binary glTF at byte {place:,} (wrong table length?)", _REMEDY)
    return Batched(gltf, count, _center(features.get("RTC_CENTER"), parts[1], path), columns, ignored)


def _head(data: bytes, path: Path, kind: str) -> tuple[Any, ...]:
    if len(data) < _HEADER:
        raise CorruptFileError(path, f"is a cut {kind} of {len(data)} bytes (length)", _REMEDY)
    head = struct.unpack("<4s6I", data[:_HEADER])
    if head[2] > len(data) or head[2] < _HEADER:
        raise CorruptFileError(path, f"is a {kind} that declares a length of {head[2]:,} bytes, but has {len(data):,} (truncated)", _REMEDY)
    return head


def _json(data: bytes, path: Path, limits: Limits, what: str) -> dict[str, Any]:
    if not data.strip(b" \0\t\r\n"):
        return {}
    value = json_guard.parse(path, limits, data=data.rstrip(b" \0")).value
    if not isinstance(value, dict):
        raise CorruptFileError(path, f"its b3dm {what} is no JSON object", _REMEDY)
    return value


def _center(told: Any, binary: bytes, path: Path) -> NDArray[np.float64]:
    if told is None:
        return np.zeros(3)
    if isinstance(told, dict):
        offset = whole(told.get("byteOffset"), path, "RTC_CENTER offset")
        if offset + 12 > len(binary):
            raise CorruptFileError(path, "its RTC_CENTER lies beyond its feature table (length)", _REMEDY)
        return np.frombuffer(binary, "<f4", 3, offset).astype(np.float64)
    good = isinstance(told, list) and len(told) == 3 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in told)
    center = np.array(told, np.float64) if good else np.full(3, np.nan)
    if not np.isfinite(center).all():
        raise CorruptFileError(path, "its RTC_CENTER is not three finite numbers", _REMEDY)
    return center


def _columns(table: dict[str, Any], binary: bytes, count: int, path: Path) -> tuple[dict[str, list[Any]], int]:
    """Return the properties of the batch table that have one value per feature, and how many have not."""
    columns: dict[str, list[Any]] = {}
    ignored = 0
    for name, told in table.items():
        if name in {"extensions", "extras", "HIERARCHY"}:
            ignored += name != "extras"
        elif isinstance(told, list) and len(told) == count:
            columns[str(name)] = told
        elif isinstance(told, dict) and told.get("componentType") in _TYPES and told.get("type") in _WIDTHS:
            columns[str(name)] = _binary(told, binary, count, path, str(name))
        else:
            ignored += 1
    return columns, ignored


def _binary(told: dict[str, Any], binary: bytes, count: int, path: Path, name: str) -> list[Any]:
    kind, width = _TYPES[told["componentType"]], _WIDTHS[told["type"]]
    offset = whole(told.get("byteOffset"), path, f"batch table property {name!r} offset")
    if offset + np.dtype(kind).itemsize * width * count > len(binary):
        raise CorruptFileError(path, f"its batch table property {name!r} lies beyond its {len(binary):,} bytes (length)", _REMEDY)
    return plain(np.frombuffer(binary, kind, count * width, offset).reshape(count, width))


def inner_tiles(data: bytes, path: Path, *, most: int = 1000) -> list[bytes]:
    """Return the tiles in a cmpt, those in a cmpt inside it too.

    Raises
    ------
    CorruptFileError
        If a length it declares is not there, or there are more than `most`.
    """
    found: list[bytes] = []
    stack = [data]
    while stack:
        tile = stack.pop()
        if tile[:4] != b"cmpt":
            found.append(tile)
            continue
        if len(tile) < 16:
            raise CorruptFileError(path, f"is a cut cmpt of {len(tile)} bytes (length)", _REMEDY)
        _, _, length, count = struct.unpack("<4s3I", tile[:16])
        if length > len(tile) or count + len(found) + len(stack) > most:
            raise CorruptFileError(
                path, f"is a cmpt that declares a length of {length:,} bytes and {count:,} tiles; it has {len(tile):,}", _REMEDY
            )
        place, parts = 16, []
        for _ in range(count):
            size = struct.unpack("<I", tile[place + 8 : place + 12])[0] if place + 12 <= length else 0
            if size < 12 or place + size > length:
                raise CorruptFileError(path, f"its cmpt holds a tile at byte {place:,} with an impossible length of {size:,}", _REMEDY)
            parts.append(tile[place : place + size])
            place += size
        stack += reversed(parts)
    return found
