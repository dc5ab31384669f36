"""Writing parts: Parquet with the same bytes for the same content, classes as GeoParquet 1.1 layers that open by themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.storage.layout import OBJECTS, TABLES, Sink, place, stem, temporary
from cim.storage.manifest import Part

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.crs import CityCRS

__all__ = ["class_table", "geo_metadata", "write_part"]

GROUP_ROWS = 16_384
"""Rows of a row group: along the Hilbert curve a group of buildings spans a few hundred metres."""
_GROUP_BYTES = 64 << 20  # of a row group before compression, for tables of large meshes
_SHAPES = {1: "Point", 2: "LineString", 3: "Polygon", 4: "MultiPoint", 5: "MultiLineString", 6: "MultiPolygon", 7: "GeometryCollection"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def class_table(objects: pa.Table, attributes: pa.Table | None, name: str) -> pa.Table:
    """Return one class as one table: the core columns, then ``object`` (the key again, as in every other table), then the attributes.

    Raises
    ------
    UsageError
        If the rows do not belong together, or an attribute has the name of a core column.
    """
    mine = _rows_of(objects, name)
    if attributes is None:
        attributes = pa.table({"object": mine["key"]})
    if not attributes["object"].equals(mine["key"]):
        msg = f"attributes of {name} do not follow its objects row by row; pass them through City.replace_tables(attributes=...)"
        raise UsageError(msg)
    names = [*mine.column_names, *attributes.column_names]
    twice = sorted({column for column in attributes.column_names if names.count(column) > 1})
    if twice:
        msg = f"attribute {name}.{twice[0]} has the name of a core column or occurs twice; call it {twice[0]}_attribute"
        raise UsageError(msg)
    schema = pa.schema([*mine.schema, *attributes.schema])
    return pa.Table.from_arrays([*mine.columns, *attributes.columns], schema=schema)


def _rows_of(objects: pa.Table, name: str) -> pa.Table:
    """Return the objects of a class, without a copy where they lie together."""
    chosen = pc.equal(objects["type"], name)
    count = pc.sum(chosen).as_py() or 0
    first = pc.index(chosen, True).as_py()
    together = objects.slice(first, count) if count else objects.slice(0, 0)
    return together if pc.all(pc.equal(together["type"], name)).as_py() in {True, None} else objects.filter(chosen)


def geo_metadata(table: pa.Table, crs: CityCRS) -> dict[str, Any]:
    """Return the ``geo`` metadata of GeoParquet 1.1 for the footprints of a class.

    References
    ----------
    .. [1] OGC (2024). GeoParquet specification 1.1.0. https://geoparquet.org/releases/v1.1.0/
    """
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(_shape_names(table["footprint"])),
        "crs": crs.horizontal.to_json_dict(),
        "edges": "planar",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}},
    }
    extremes = [(pc.min if corner.endswith("min") else pc.max)(pc.struct_field(table["bbox"], corner)).as_py() for corner in _CORNERS]
    if all(value is not None and np.isfinite(value) for value in extremes):
        column["bbox"] = extremes
    return {"version": "1.1.0", "primary_column": "footprint", "columns": {"footprint": column}}


def _shape_names(column: pa.ChunkedArray) -> set[str]:
    """Return the kinds of geometry in a WKB column, read from the head of each value; empty (anything) where a head is unknown."""
    codes: set[int] = set()
    for chunk in column.chunks:
        codes |= set(np.unique(_shape_codes(chunk)).tolist())
    return {_SHAPES[code] for code in codes} if codes <= set(_SHAPES) else set()


def _shape_codes(chunk: pa.Array) -> NDArray[np.uint32]:
    """Return the type code of each WKB value that is not null; 0 where a value is too short to have one."""
    values = chunk.drop_null()
    if not len(values):
        return np.empty(0, np.uint32)
    head = pc.binary_slice(values, 0, 5)
    if pc.min(pc.binary_length(head)).as_py() < 5:
        return np.zeros(1, np.uint32)
    first = int(np.frombuffer(head.buffers()[1], np.int32)[head.offset])
    packed = np.frombuffer(head.buffers()[2], np.dtype([("order", "u1"), ("code", "<u4")]), count=len(head), offset=first)
    return np.where(packed["order"] == 1, packed["code"], packed["code"].byteswap())


def write_part(root: Path, table: pa.Table, name: str, *, crs: CityCRS, facts: str, is_class: bool) -> Part:
    """Write a table as one part named after its content, and return its entry for the manifest.

    The part is on the disk when this returns; its folder is not.
    """
    import pyarrow.parquet as pq

    metadata = {"cim": json.dumps({"class" if is_class else "table": name, "facts": json.loads(facts)}, ensure_ascii=False)}
    if is_class:
        metadata["geo"] = json.dumps(geo_metadata(table, crs))
    schema = table.schema.with_metadata(metadata)
    rows = _group_rows(table)
    file, path = temporary(root)
    with file:
        sink = Sink(file)
        try:
            with pq.ParquetWriter(sink, schema, **_options(schema)) as writer:
                for first in range(0, table.num_rows, rows):
                    piece = table.slice(first, rows).combine_chunks()
                    writer.write_table(piece.replace_schema_metadata(metadata), row_group_size=rows)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            msg = f"{'class' if is_class else 'table'} {name} cannot be kept as Parquet: {error}"
            raise UsageError(msg) from error
        relative = f"{OBJECTS if is_class else TABLES}/{stem(name)}-{sink.sha256[:16]}.parquet"
        place(file, path, root / relative)
    return Part(name, relative, table.num_rows, sink.bytes, sink.sha256)


def _group_rows(table: pa.Table) -> int:
    per_row = table.nbytes / max(table.num_rows, 1)
    return int(np.clip(_GROUP_BYTES / max(per_row, 1), 1, GROUP_ROWS))


def _options(schema: pa.Schema) -> dict[str, Any]:
    """Return the options of the writer; they are part of the format, since they decide the bytes.

    Dictionaries help repeated text only; footprints and coordinates hardly repeat, and splitting the bytes of floats packs them better.
    """
    return {
        "version": "2.6",
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [column.name for column in schema if pa.types.is_string(column.type) and column.name != "id"],
        "write_statistics": True,
        "write_page_checksum": True,
        "write_batch_size": 1024,
    }
