"""GeoParquet read with pyarrow: metadata, sizes and checksums first, then WKB or native geometry columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, FormatError, LimitError
from cim.loaders.vector.frame import Layer, Note, numbered, reject
from cim.loaders.vector.ogr import plain_columns
from cim.loaders.vector.repair import decode_wkb

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from numpy.typing import NDArray

    from cim.loaders.protocol import ReadOptions

__all__ = ["read_geoparquet"]

NATIVE = ("point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon")
CRS84 = "OGC:CRS84"


def read_geoparquet(path: Path, options: ReadOptions) -> Layer:
    """Return the one layer of a GeoParquet file.

    Raises
    ------
    CorruptFileError
        If it is cut or a page does not decode.
    FormatError
        If it has no usable `geo` metadata.
    LimitError
        If it would expand beyond the limits.
    CRSError
        If its CRS is null.
    """
    file = _open(path)
    _check_sizes(file, path, options)
    geo = _metadata(file, path)
    name = _primary(geo, file, path)
    column = geo["columns"][name]
    table = _table(file, path)
    geometry, bad, closed = _geometry(table[name], column, path)
    others = {one: table[one] for one in table.column_names if one not in geo["columns"] and one != _covering(column)}
    columns, notes = plain_columns(others)
    more = [one for one in geo["columns"] if one != name]
    if more:
        notes.append(Note("unsupported", f"geometry columns {', '.join(more)} are not read; {name} is the primary one"))
    layer = Layer(path.stem, "GeoParquet", _crs(column, path, options), geometry, columns, np.arange(len(geometry)), notes=tuple(notes),
                  records_in=len(geometry))  # fmt: skip
    layer = layer.noted(*numbered(layer, closed, "repaired", "a ring of its geometry was not closed; closed"))
    return reject(layer, bad, "its geometry (WKB) is corrupt; the record is rejected")


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as raw:
        start = raw.read(4)
        raw.seek(max(-4, -path.stat().st_size), 2)
        end = raw.read(4)
    if start != b"PAR1" or end != b"PAR1":
        reason = "is no whole Parquet file: the magic number PAR1 is missing at its " + (
            "start" if start != b"PAR1" else "end (truncated footer)"
        )
        raise CorruptFileError(path, reason, "copy it again")
    try:
        return pq.ParquetFile(path, page_checksum_verification=True, thrift_string_size_limit=1 << 27, thrift_container_size_limit=1 << 22)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(path, f"the footer of the Parquet file is damaged: {_said(error)}", "copy it again") from error


def _said(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def _check_sizes(file: pq.ParquetFile, path: Path, options: ReadOptions) -> None:
    """Refuse what would expand beyond the limits, before anything is expanded."""
    meta, limits = file.metadata, options.limits
    limits.check("records", meta.num_rows, path)
    size = path.stat().st_size
    expanded = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
    rows = sum(meta.row_group(i).num_rows for i in range(meta.num_row_groups))
    if expanded > limits.memory_for(size):
        reason = f"would expand to {expanded:,} bytes, above the memory limit of {limits.memory_for(size):,}"
        raise LimitError(path, reason, "give limits=Limits(memory_bytes=...) if the file is trusted")
    if rows != meta.num_rows:
        raise CorruptFileError(path, f"the footer states {meta.num_rows:,} rows and its groups {rows:,}", "write it again")


def _metadata(file: pq.ParquetFile, path: Path) -> dict[str, Any]:
    raw = (file.schema_arrow.metadata or {}).get(b"geo")
    if raw is None:
        reason = "has no 'geo' metadata: it is a plain Parquet table, and its geometry column and CRS are unknown"
        raise FormatError(path, reason, "write it as GeoParquet (geopandas.GeoDataFrame.to_parquet), which names both")
    try:
        geo = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(path, "its 'geo' metadata is not JSON", "write it again as GeoParquet") from error
    if (
        not isinstance(geo, dict)
        or not isinstance(geo.get("columns"), dict)
        or not all(isinstance(v, dict) for v in geo["columns"].values())
    ):
        raise CorruptFileError(path, "its 'geo' metadata lists no geometry columns", "write it again as GeoParquet")
    return geo


def _primary(geo: dict[str, Any], file: pq.ParquetFile, path: Path) -> str:
    name = geo.get("primary_column")
    if not isinstance(name, str) or name not in geo["columns"] or name not in file.schema_arrow.names:
        names = ", ".join(file.schema_arrow.names[:20])
        reason = f"its 'geo' metadata names the primary geometry column {str(name)[:60]!r}, which is not among its columns ({names})"
        raise CorruptFileError(path, reason, "write it again as GeoParquet")
    return name


def _table(file: pq.ParquetFile, path: Path) -> pa.Table:
    import pyarrow as pa

    try:
        table = file.read(use_threads=False)
        table.validate(full=True)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise CorruptFileError(path, f"a data page of the Parquet file is corrupt: {_said(error)}", "copy it again") from error
    return table


def _covering(column: dict[str, Any]) -> str | None:
    """Return the column that only holds the boxes of the geometry."""
    box = column.get("covering", {}).get("bbox", {}) if isinstance(column.get("covering"), dict) else {}
    side = box.get("xmin") if isinstance(box, dict) else None
    return str(side[0]) if isinstance(side, list) and side else None


def _crs(column: dict[str, Any], path: Path, options: ReadOptions) -> str | None:
    """Return the CRS as text; absent means longitude and latitude, null means unknown."""
    value = column.get("crs", CRS84)
    if value is None:
        if options.crs is not None:
            return None
        raise CRSError(path, "its crs is null: the coordinate system is unknown", "give crs='EPSG:...'")
    if isinstance(value, dict):
        known = value.get("id")
        if isinstance(known, dict) and isinstance(known.get("authority"), str) and isinstance(known.get("code"), int | str):
            return f"{known['authority']}:{known['code']}"
        return json.dumps(value)
    return str(value)


def _geometry(
    column: pa.ChunkedArray, said: dict[str, Any], path: Path
) -> tuple[NDArray[np.object_], NDArray[np.bool_], NDArray[np.bool_]]:
    import pyarrow as pa

    encoding = str(said.get("encoding", "WKB"))
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    kind = array.type
    if encoding.upper() == "WKB":
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)):
            raise CorruptFileError(path, f"its geometry column is said to hold WKB but holds {kind}", "write it again as GeoParquet")
        return decode_wkb(array)
    if encoding.lower() not in NATIVE:
        raise FormatError(path, f"its geometry encoding {encoding[:40]!r} is not known", "write it with encoding WKB")
    try:
        geometry = _native(array, encoding.lower())
    except (pa.ArrowException, ValueError, TypeError, LookupError) as error:
        raise CorruptFileError(
            path, f"its geometry column does not follow its encoding {encoding}: {_said(error)}", "write it with encoding WKB"
        ) from error
    return geometry, np.zeros(len(geometry), bool), np.zeros(len(geometry), bool)


def _native(array: pa.Array, encoding: str) -> NDArray[np.object_]:
    """Return geometries from nested lists of separate or interleaved coordinates."""
    import pyarrow.compute as pc
    import shapely

    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
    offsets: list[NDArray[np.int64]] = []
    level = array.filter(pc.is_valid(array))
    while hasattr(level, "offsets"):
        start = np.asarray(level.offsets.to_numpy(), np.int64)
        offsets.insert(0, start - start[0])
        level = level.flatten()
    if hasattr(level.type, "list_size"):
        points = level.flatten().to_numpy(zero_copy_only=False).reshape(-1, level.type.list_size)
    else:
        names = [level.type.field(i).name for i in range(level.type.num_fields)]
        points = np.column_stack([level.field(n).to_numpy(zero_copy_only=False) for n in ("x", "y", "z") if n in names])
    kind = shapely.GeometryType[encoding.upper()]
    made = shapely.from_ragged_array(kind, np.asarray(points, float)[:, :3], tuple(offsets) or None)
    out = np.full(len(array), None, object)
    out[~missing] = made
    return out
