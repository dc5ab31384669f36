"""Several cities in one: tables laid end to end, keys numbered anew; nothing is matched or merged here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.errors import CRSMismatchError, UsageError
from cim.model.builder import OBJECT_COLUMNS
from cim.model.city import City
from cim.model.geometry import shift
from cim.model.schema import SCHEMAS, conform
from cim.model.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["concat"]

_REFERENCES = {"source": "sources", "geometry": "geometries"}
"""Columns that point to rows of other tables than `objects`."""


def concat(cities: Sequence[City], *, name: str = "") -> City:
    """Return one city with the objects of all, in their order; keys of objects, sources, geometries and links are numbered on.

    Ids are left as they are: the same id from two cities stands twice until fusion or the caller settles it.

    Parameters
    ----------
    cities
        At least one; all in the same CRS.

    Raises
    ------
    CRSMismatchError
        If two cities are in different coordinate systems.
    """
    if not cities:
        msg = "concat needs at least one city"
        raise UsageError(msg)
    first = cities[0]
    for other in cities[1:]:
        if other.crs != first.crs:
            raise CRSMismatchError(
                other.name or "city",
                f"it is in {other.crs.to_string()}, the first city in {first.crs.to_string()}",
                "bring all to one CRS first",
            )
    parts: dict[str, list[pa.Table]] = {table: [] for table in SCHEMAS}
    attributes: dict[str, list[pa.Table]] = {}
    next_key = dict.fromkeys(("objects", "sources", "geometries", "links"), 0)
    for city in cities:
        for table in SCHEMAS:
            parts[table].append(_moved(table, city, next_key, first))
        for kind in city.attributes:
            table = city.attributes[kind]
            attributes.setdefault(kind, []).append(_add(table, "object", next_key["objects"]))
        for counted in next_key:
            column = city.tables[counted]["key"]
            next_key[counted] += int(np.max(column.to_numpy())) + 1 if len(column) else 0
    tables = {table: pa.concat_tables(pieces).combine_chunks() for table, pieces in parts.items()}
    merged = City(
        crs=first.crs, origin=first.origin, name=name or first.name, time_zone=first.time_zone, tables=Tables(tables), attributes=Tables({})
    )
    return merged.replace_tables(attributes={kind: _stack(pieces) for kind, pieces in attributes.items()})


def _moved(name: str, city: City, offset: dict[str, int], first: City) -> pa.Table:
    """Return one table of a city with its keys moved on and its vertices relative to the common origin."""
    table = city.tables[name]
    if name in offset:
        table = _add(table, "key", offset[name])
    if name == "geometries" and table.num_rows and (city.origin != first.origin).any():
        table = table.set_column(
            table.column_names.index("vertices"), SCHEMAS[name].field("vertices"), shift(table["vertices"], city.origin - first.origin)
        )
    for column in OBJECT_COLUMNS.get(name, ("object",) if "object" in table.column_names else ()):
        if column != "key":
            table = _add(table, column, offset["objects"])
    for column, target in _REFERENCES.items():
        if column in table.column_names:
            table = _add(table, column, offset[target])
    return conform(name, table)


def _add(table: pa.Table, column: str, amount: int) -> pa.Table:
    if not amount:
        return table
    import pyarrow.compute as pc

    return table.set_column(table.column_names.index(column), table.schema.field(column), pc.add(table[column], amount))


def _stack(pieces: list[pa.Table]) -> pa.Table:
    """Return attribute tables one below the other; a column of two types becomes the wider one, or text."""
    if len(pieces) == 1:
        return pieces[0]
    names = list(dict.fromkeys(name for piece in pieces for name in piece.column_names))
    fields = [_common_field(name, pieces) for name in names]
    rows = []
    for piece in pieces:
        columns = [
            piece[field.name].cast(field.type) if field.name in piece.column_names else pa.nulls(piece.num_rows, field.type)
            for field in fields
        ]
        rows.append(pa.Table.from_arrays(columns, schema=pa.schema(fields)))
    return pa.concat_tables(rows).combine_chunks()


def _common_field(name: str, pieces: list[pa.Table]) -> pa.Field:
    from cim.model.builder import _common

    found = [piece.schema.field(name) for piece in pieces if name in piece.column_names]
    units = {(field.metadata or {}).get(b"unit", b"").decode() for field in found}
    if len(units) > 1:
        msg = f"attribute {name} comes in several units ({', '.join(sorted(unit or 'none' for unit in units))}); convert before joining"
        raise UsageError(msg)
    kinds = {field.type for field in found if not pa.types.is_null(field.type)}
    kind = next(iter(kinds)) if len(kinds) == 1 else _common(kinds) if kinds else pa.null()
    return pa.field(name, kind, metadata=found[0].metadata)
