"""Layers read through pyogrio, from a file that was sniffed and checked before: columns, geometry, record numbers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.vector.frame import Layer, Note, numbered, reject
from cim.loaders.vector.repair import decode_wkb

if TYPE_CHECKING:
    import pyarrow as pa

    from cim.loaders.protocol import ReadOptions

__all__ = ["plain_columns", "read_ogr"]


def read_ogr(
    path: Path,
    options: ReadOptions,
    *,
    format: str,
    name: str,
    shown: Path,
    layer: str | None = None,
    encoding: str | None = None,
    **open_options: str,
) -> Layer:
    """Return one layer of a file whose format is certain.

    Parameters
    ----------
    path
        The file that GDAL opens.
    shown
        The file that messages name.
    name, layer
        Name of the layer made, and of the layer in the file.

    Raises
    ------
    CorruptFileError
        If GDAL cannot read it.
    """
    del options
    from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
    from pyogrio.raw import read_arrow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            meta, table = read_arrow(path, layer=layer, encoding=encoding, return_fids=True, **open_options)
    except (DataSourceError, DataLayerError, FeatureError, GeometryError, ValueError, RuntimeError, OSError, IndexError) as error:
        text = str(error).replace(str(path), shown.name)[:200]
        raise CorruptFileError(shown, f"cannot be read as {format}, it is corrupt or cut: {text}", "copy or export it again") from error
    return _layer(meta, table, name, format, first_number=0 if format in ("Shapefile", "FlatGeobuf") else None)


def _layer(meta: dict[str, Any], table: pa.Table, name: str, format: str, *, first_number: int | None) -> Layer:
    fid = meta.get("fid_column") or "fid"
    column = meta["geometry_name"] or "wkb_geometry"
    names = [n for n in table.column_names if n not in (column, fid if fid in table.column_names else table.column_names[0])]
    if column in table.column_names:
        geometry, bad, closed = decode_wkb(table[column].combine_chunks())
    else:
        geometry, bad, closed = np.full(table.num_rows, None, object), np.zeros(table.num_rows, bool), np.zeros(table.num_rows, bool)
    fid_name = fid if fid in table.column_names else table.column_names[0]
    number = np.asarray(table[fid_name].to_numpy(), np.int64) if first_number is not None else np.arange(table.num_rows)
    columns, notes = plain_columns({n: table[n] for n in names})
    layer = Layer(name, format, meta["crs"], geometry, columns, number, notes=tuple(notes), encoding=meta.get("encoding") or "",
                  records_in=table.num_rows)  # fmt: skip
    layer = layer.noted(*numbered(layer, closed, "repaired", "a ring of its geometry was not closed; closed"))
    return reject(layer, bad, "its geometry (WKB) is corrupt; the record is rejected")


def plain_columns(columns: dict[str, Any]) -> tuple[dict[str, pa.Array], list[Note]]:
    """Return columns of the types that attributes have: bool, integer, real, text, time; others as text or left out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    out, notes = {}, []
    for name, column in columns.items():
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
        kind = array.type
        if pa.types.is_dictionary(kind):
            array, kind = array.dictionary_decode(), kind.value_type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            notes.append(Note("unsupported", f"field {name} holds binary data, which is left out", "info"))
            continue
        if pa.types.is_integer(kind):
            array = array.cast(pa.string() if kind == pa.uint64() and (pc.max(array).as_py() or 0) >= 1 << 63 else pa.int64())
        elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            array = _finite(array.cast(pa.float64()), name, notes)
        elif pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            array = array.cast(pa.string())
        elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            array = _instants(array)
        elif pa.types.is_nested(kind):
            array = _as_json(array)
        elif not (pa.types.is_boolean(kind) or pa.types.is_string(kind)):
            array = array.cast(pa.string()) if not pa.types.is_null(kind) else pa.nulls(len(array), pa.string())
        out[name] = _readable(array, name, notes) if pa.types.is_string(array.type) else array
    return out, notes


def _readable(array: pa.Array, name: str, notes: list[Note]) -> pa.Array:
    """Return a text column whose every value is text: bytes that are not UTF-8 are replaced, and that is said."""
    import pyarrow as pa

    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raw = array.cast(pa.binary(), safe=False).to_pylist()
        texts = [None if value is None else value.decode("utf-8", "replace") for value in raw]
        count = sum(text is not None and "\ufffd" in text for text in texts)
        notes.append(
            Note("encoding", f"field {name}: {count} texts hold bytes that are not UTF-8; those bytes are replaced by \ufffd", count=count)
        )
        return pa.array(texts, pa.string())
    return array


def _instants(array: pa.Array) -> pa.Array:
    """Return times as UTC instants; a time without zone is kept as text, since it is no instant."""
    import pyarrow as pa

    if pa.types.is_timestamp(array.type) and array.type.tz is not None:
        return array.cast(pa.timestamp("us", tz="UTC"), safe=False)
    return array.cast(pa.string())


def _finite(array: pa.Array, name: str, notes: list[Note]) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    infinite = pc.fill_null(pc.is_inf(array), False)
    count = pc.sum(infinite).as_py() or 0
    if count:
        notes.append(Note("rejected", f"field {name}: {count} values are infinite; set to missing", count=count))
    return pc.if_else(pc.or_(infinite, pc.fill_null(pc.is_nan(array), True)), pa.scalar(None, pa.float64()), array)


def _as_json(array: pa.Array) -> pa.Array:
    import orjson
    import pyarrow as pa

    return pa.array([None if value is None else orjson.dumps(value, default=str).decode() for value in array.to_pylist()], pa.string())
