"""The tables of a city: one Arrow schema each, and the few helpers that every room uses to fill and check them.

One row per thing, columns typed, geometry as Arrow nested lists. A geometry's five list levels *are* the offsets of a pool of
vertices and rings: flattening them gives plain arrays without a copy, and slicing, joining and Parquet come for free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["BBOX", "BOUNDARIES", "MATRIX", "SCHEMAS", "TIME", "UV", "VERTICES", "conform", "empty", "make_table", "one_array"]

TIME = pa.timestamp("us", tz="UTC")
BBOX = pa.struct([(name, pa.float64()) for name in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")])
VERTICES = pa.list_(pa.list_(pa.float64(), 3))
RINGS = pa.list_(pa.int32())
BOUNDARIES = pa.list_(pa.list_(pa.list_(pa.list_(RINGS))))  # solid > shell > surface > ring > vertex
MATRIX = pa.list_(pa.float64(), 16)  # 4 x 4, row after row
UV = pa.list_(pa.list_(pa.float64(), 2))
COLOUR = pa.list_(pa.float64(), 3)


def _schema(*columns: tuple[str, pa.DataType, str]) -> pa.Schema:
    """Return a schema; each column is (name, type, unit or ``""``); names that end in ``!`` may not be null."""
    return pa.schema(
        [
            pa.field(name.rstrip("!"), kind, nullable=not name.endswith("!"), metadata={"unit": unit} if unit else None)
            for name, kind, unit in columns
        ]
    )


_INT, _TEXT, _REAL = pa.int64(), pa.string(), pa.float64()

SCHEMAS: Mapping[str, pa.Schema] = {
    "objects": _schema(
        ("key!", _INT, ""),
        ("id!", _TEXT, ""),
        ("type!", _TEXT, ""),
        ("parent", _INT, ""),
        ("name", _TEXT, ""),
        ("bbox", BBOX, ""),
        ("footprint", pa.binary(), ""),
        ("z_ground", _REAL, "m"),
        ("z_roof", _REAL, "m"),
        ("cim_code", _TEXT, ""),
        ("cim_level", _TEXT, ""),
        ("level_scheme", _TEXT, ""),
        ("valid_from", TIME, ""),
        ("valid_to", TIME, ""),
        ("grade", _TEXT, ""),
        ("source", _INT, ""),
    ),
    "properties": _schema(("object!", _INT, ""), ("set!", _TEXT, ""), ("name!", _TEXT, ""), ("value", _TEXT, ""), ("unit", _TEXT, "")),
    "geometries": _schema(
        ("key!", _INT, ""),
        ("object!", _INT, ""),
        ("lod!", _TEXT, ""),
        ("role!", _TEXT, ""),
        ("type!", _TEXT, ""),
        ("source", _INT, ""),
        ("vertices!", VERTICES, "m"),
        ("boundaries!", BOUNDARIES, ""),
        ("semantics", pa.list_(pa.int32()), ""),
        ("template", _INT, ""),
        ("matrix", MATRIX, ""),
    ),
    "templates": _schema(
        ("key!", _INT, ""),
        ("lod!", _TEXT, ""),
        ("role!", _TEXT, ""),
        ("type!", _TEXT, ""),
        ("vertices!", VERTICES, "m"),
        ("boundaries!", BOUNDARIES, ""),
        ("semantics", pa.list_(pa.int32()), ""),
    ),
    "surfaces": _schema(
        ("geometry!", _INT, ""), ("index!", pa.int32(), ""), ("type!", _TEXT, ""), ("parent", pa.int32(), ""), ("attributes", _TEXT, "")
    ),
    "appearances": _schema(
        ("geometry!", _INT, ""),
        ("theme!", _TEXT, ""),
        ("materials", pa.list_(_INT), ""),
        ("textures", pa.list_(_INT), ""),
        ("uv", UV, ""),
    ),
    "materials": _schema(
        ("key!", _INT, ""),
        ("name", _TEXT, ""),
        ("ambient", _REAL, ""),
        ("diffuse", COLOUR, ""),
        ("emissive", COLOUR, ""),
        ("specular", COLOUR, ""),
        ("shininess", _REAL, ""),
        ("transparency", _REAL, ""),
        ("smooth", pa.bool_(), ""),
    ),
    "textures": _schema(
        ("key!", _INT, ""),
        ("image", _TEXT, ""),
        ("path", _TEXT, ""),
        ("format", _TEXT, ""),
        ("type", _TEXT, ""),
        ("wrap", _TEXT, ""),
        ("border", pa.list_(_REAL), ""),
        ("source", _INT, ""),
    ),
    "coverages": _schema(
        ("object!", _INT, ""),
        ("kind!", _TEXT, ""),
        ("path!", _TEXT, ""),
        ("format!", _TEXT, ""),
        ("crs", _TEXT, ""),
        ("nodata", _REAL, ""),
        ("unit", _TEXT, ""),
        ("vertical", _TEXT, ""),
        ("bbox", BBOX, ""),
        ("count", _INT, ""),
        ("meta", _TEXT, ""),
        ("source", _INT, ""),
    ),
    "links": _schema(
        ("key!", _INT, ""),
        ("network!", _TEXT, ""),
        ("object!", _INT, ""),
        ("from_node", _TEXT, ""),
        ("to_node", _TEXT, ""),
        ("direction", _TEXT, ""),
        ("length", _REAL, "m"),
        ("attributes", _TEXT, ""),
    ),
    "identifiers": _schema(("object!", _INT, ""), ("scheme!", _TEXT, ""), ("value!", _TEXT, ""), ("normalised!", _TEXT, "")),
    "relations": _schema(
        ("subject!", _INT, ""), ("predicate!", _TEXT, ""), ("object!", _INT, ""), ("score", _REAL, ""), ("source", _INT, "")
    ),
    "matches": _schema(
        ("object!", _INT, ""),
        ("source", _INT, ""),
        ("record!", _TEXT, ""),
        ("kind!", _TEXT, ""),
        ("score", _REAL, ""),
        ("evidence", _TEXT, ""),
    ),
    "claims": _schema(
        ("object!", _INT, ""),
        ("attribute!", _TEXT, ""),
        ("value", _TEXT, ""),
        ("unit", _TEXT, ""),
        ("source", _INT, ""),
        ("method!", _TEXT, ""),
        ("confidence", _REAL, ""),
        ("time", TIME, ""),
        ("chosen!", pa.bool_(), ""),
    ),
    "sources": _schema(
        ("key!", _INT, ""),
        ("name!", _TEXT, ""),
        ("path", _TEXT, ""),
        ("sha256", _TEXT, ""),
        ("bytes", _INT, "byte"),
        ("reader", _TEXT, ""),
        ("format", _TEXT, ""),
        ("layer", _TEXT, ""),
        ("declared_crs", _TEXT, ""),
        ("used_crs", _TEXT, ""),
        ("declared_vertical", _TEXT, ""),
        ("used_vertical", _TEXT, ""),
        ("pipeline", _TEXT, ""),
        ("accuracy", _REAL, "m"),
        ("encoding", _TEXT, ""),
        ("mapping", _TEXT, ""),
        ("licence", _TEXT, ""),
        ("owner", _TEXT, ""),
        ("grade", _TEXT, ""),
        ("read_at", TIME, ""),
        ("records_in", _INT, ""),
        ("objects_out", _INT, ""),
        ("rejected", _INT, ""),
        ("repaired", _INT, ""),
    ),
    "issues": _schema(
        ("code!", _TEXT, ""),
        ("severity!", _TEXT, ""),
        ("object", _INT, ""),
        ("source", _INT, ""),
        ("record", _TEXT, ""),
        ("count!", _INT, ""),
        ("message!", _TEXT, ""),
    ),
}


def empty(name: str) -> pa.Table:
    """Return the table `name` with no rows.

    Examples
    --------
    >>> empty("relations").num_rows
    0
    """
    return SCHEMAS[name].empty_table()


def make_table(name: str, columns: Mapping[str, Any], rows: int | None = None) -> pa.Table:
    """Return the table `name` from columns; a scalar is repeated, a column not given is null.

    Parameters
    ----------
    name
        A key of `SCHEMAS`.
    columns
        Arrays, sequences or scalars by column name.
    rows
        Number of rows; taken from the first column that is no scalar when left out.

    Raises
    ------
    UsageError
        If a column is unknown, or has another length.

    Examples
    --------
    >>> make_table("relations", {"subject": [1, 2], "predicate": "partOf", "object": [0, 0]}).num_rows
    2
    """
    schema = SCHEMAS[name]
    unknown = set(columns) - set(schema.names)
    if unknown:
        msg = f"table {name} has no column {', '.join(sorted(unknown))}; it has {', '.join(schema.names)}"
        raise UsageError(msg)
    if rows is None:
        rows = next((len(value) for value in columns.values() if not _is_scalar(value)), 1 if columns else 0)
    arrays = [_column(field, columns.get(field.name), rows, name) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | bytes | int | float | bool | np.generic | dict) or not hasattr(value, "__len__")


def _column(field: pa.Field, value: Any, rows: int, table: str) -> pa.Array | pa.ChunkedArray:
    if value is None:
        return pa.nulls(rows, field.type)
    if _is_scalar(value):
        return pa.repeat(pa.scalar(value, field.type), rows)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        array = value if value.type == field.type else value.cast(field.type)
    else:
        array = pa.array(_plain(value), field.type, from_pandas=True)
    if len(array) != rows:
        msg = f"column {table}.{field.name} has {len(array)} rows, expected {rows}"
        raise UsageError(msg)
    return array


def _plain(value: Sequence[Any] | np.ndarray) -> Any:
    """Return strings as a list (Arrow reads numpy unicode arrays only from 3-D objects), everything else as it is."""
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind in "US" else value


def conform(name: str, table: pa.Table) -> pa.Table:
    """Return `table` with exactly the columns of the schema, cast, in order; missing columns become null.

    Raises
    ------
    UsageError
        If a column cannot be cast without loss.
    """
    schema = SCHEMAS[name]
    if table.schema.equals(schema, check_metadata=True):
        return table
    have = set(table.column_names)
    try:
        arrays = [table[field.name].cast(field.type) if field.name in have else pa.nulls(table.num_rows, field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"table {name} does not follow its schema: {error}"
        raise UsageError(msg) from error


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one contiguous array, without a copy where it is one already.

    Examples
    --------
    >>> one_array(pa.chunked_array([[1], [2]])).to_pylist()
    [1, 2]
    """
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
