"""Hashes of what goes into a run: the same content gives the same text on every machine, however the tables lie in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["array_fingerprint", "city_fingerprint", "table_fingerprint"]

_SKIPPED_TABLES = frozenset({"issues"})
"""What was said while reading is not content; its messages name files of one machine."""
_SKIPPED_COLUMNS = frozenset({("sources", "read_at"), ("sources", "path"), ("coverages", "path")})


def city_fingerprint(city: City) -> str:
    """Return a hash of the content of a city: every table, the attributes with their units, CRS, origin and time zone.

    Not hashed are its name, where it was opened from, when and from which paths its sources were read, and its issues.

    Examples
    --------
    >>> from cim.model import CityBuilder
    >>> city_fingerprint(CityBuilder("EPSG:28992").build()) == city_fingerprint(CityBuilder("EPSG:28992", name="other").build())
    True
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{city.crs.to_string()}|{city.time_zone}|".encode())
    digest.update(np.ascontiguousarray(city.origin, "<f8").tobytes())
    for name in sorted(city.tables):
        if name not in _SKIPPED_TABLES:
            _table(digest, name, city.tables[name])
    for name in sorted(city.attributes):
        _table(digest, f"attributes/{name}", city.attributes[name])
    return f"blake2b:{digest.hexdigest()}"


def table_fingerprint(table: pa.Table) -> str:
    """Return a hash of one table: names, units and values of its columns, whatever their chunks and buffers."""
    digest = hashlib.blake2b(digest_size=16)
    _table(digest, "", table)
    return f"blake2b:{digest.hexdigest()}"


def array_fingerprint(values: NDArray[Any]) -> str:
    """Return a hash of an array: its shape, its kind and its values.

    Examples
    --------
    >>> array_fingerprint(np.zeros(3)) == array_fingerprint(np.zeros((3, 1)))
    False
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{values.dtype.kind}{values.dtype.itemsize}{values.shape}".encode())
    digest.update(np.ascontiguousarray(_plain(values)).tobytes())
    return f"blake2b:{digest.hexdigest()}"


def _table(digest: hashlib.blake2b, name: str, table: pa.Table) -> None:
    digest.update(f"<{name}:{table.num_rows}>".encode())
    for field in table.schema:
        if (name, field.name) in _SKIPPED_COLUMNS:
            continue
        unit = (field.metadata or {}).get(b"unit", b"").decode()
        digest.update(f"[{field.name}|{unit}]".encode())
        column = table[field.name]
        _array(
            digest,
            column.chunk(0)
            if column.num_chunks == 1
            else pa.concat_arrays(column.chunks)
            if column.num_chunks
            else pa.array([], field.type),
        )


def _array(digest: hashlib.blake2b, array: pa.Array) -> None:
    """Feed one array: kind, length, which values are there, then the values, nested ones level by level."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False), bool)
    digest.update(f"{_name(kind)}:{len(array)};".encode())
    digest.update(np.packbits(valid).tobytes())
    if pa.types.is_struct(kind):
        for place in range(kind.num_fields):
            digest.update(f".{kind.field(place).name}".encode())
            _array(digest, pc.struct_field(array, [place]))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        digest.update(_lengths(pc.list_value_length(array)))
        _array(digest, array.flatten())
    elif pa.types.is_fixed_size_list(kind):
        _array(digest, array.flatten())
    elif _is_text(kind):
        digest.update(_lengths(pc.binary_length(array)))
        digest.update(_text(array))
    elif not pa.types.is_null(kind):
        digest.update(_values(array))


def _name(kind: pa.DataType) -> str:
    """Return the kind without what does not change the content: the width of offsets, the names of list items."""
    if _is_text(kind):
        return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else "binary"
    if pa.types.is_nested(kind):
        return "struct" if pa.types.is_struct(kind) else "list"
    return str(kind)


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))


def _lengths(lengths: pa.Array) -> bytes:
    return np.ascontiguousarray(lengths.fill_null(0).to_numpy(zero_copy_only=False), "<i8").tobytes()


def _text(array: pa.Array) -> bytes:
    """Return all characters one after the other; what lies under a null is left out."""
    full = array.drop_null().cast(pa.large_binary())
    offsets = np.frombuffer(full.buffers()[1] or b"\0" * 8, "<i8")[full.offset : full.offset + len(full) + 1]
    data = full.buffers()[2]
    return b"" if data is None or not len(full) else memoryview(data)[int(offsets[0]) : int(offsets[-1])].tobytes()


def _values(array: pa.Array) -> bytes:
    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.cast(pa.int64() if kind.bit_width == 64 else pa.int32())
    elif not (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return repr(array.to_pylist()).encode()
    full = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.ascontiguousarray(_plain(np.asarray(full.to_numpy(zero_copy_only=False)))).tobytes()


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return floats with one kind of NaN and one zero, everything little-endian."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.array(0, values.dtype))
    return values.astype(values.dtype.newbyteorder("<"), copy=False)
