"""Several cities in one: tables laid end to end, keys numbered anew; nothing is matched or merged here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.errors import CRSMismatchError, UsageError
from cim.model.city import City
from cim.model.columns import is_number, type_for
from cim.model.instances import moved_by
from cim.model.keys import OBJECT_COLUMNS, next_geometry
from cim.model.schema import SCHEMAS, conform, one_array
from cim.model.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["concat", "stacked", "without_repeats"]

_REFERENCES = {"source": "sources", "geometry": "geometries", "template": "geometries"}
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
    next_key = dict.fromkeys(("objects", "sources", "geometries", "links", "materials", "textures"), 0)
    for city in cities:
        for table in SCHEMAS:
            parts[table].append(_moved(table, city, next_key, first))
        for kind in city.attributes:
            table = city.attributes[kind]
            attributes.setdefault(kind, []).append(_add(table, "object", next_key["objects"]))
        for counted in next_key:
            if counted == "geometries":
                next_key[counted] += next_geometry(city.tables)
                continue
            column = city.tables[counted]["key"]
            next_key[counted] += int(np.max(column.to_numpy())) + 1 if len(column) else 0
    tables = {table: pa.concat_tables(pieces).combine_chunks() for table, pieces in parts.items()}
    merged = City(
        crs=first.crs, origin=first.origin, name=name or first.name, time_zone=first.time_zone, tables=Tables(tables), attributes=Tables({})
    )
    notes: list[str] = []
    joined = merged.replace_tables(attributes={kind: stacked(pieces, notes) for kind, pieces in attributes.items()})
    return joined.with_issues([{"code": "assumed", "message": note} for note in dict.fromkeys(notes)])


def _moved(name: str, city: City, offset: dict[str, int], first: City) -> pa.Table:
    """Return one table of a city with its keys moved on and its vertices relative to the common origin."""
    table = city.tables[name]
    if name in offset or name == "templates":
        table = _add(table, "key", offset["geometries" if name == "templates" else name])
    if name == "geometries" and table.num_rows and (city.origin != first.origin).any():
        table = moved_by(table, city.origin - first.origin)
    if name == "appearances" and table.num_rows:
        for column in ("materials", "textures"):
            table = _add_in_lists(table, column, offset[column])
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


def without_repeats(city: City) -> City:
    """Return the city with equal sources, materials, textures and issues once: what two parts of one city that meet again both bring."""
    tables: dict[str, pa.Table] = {}
    for name in ("sources", "materials", "textures"):
        table = city.tables[name]
        rows = [repr({column: value for column, value in row.items() if column != "key"}) for row in table.to_pylist()]
        first: dict[str, int] = {}
        keys = table["key"].to_pylist()
        places = [first.setdefault(row, at) for at, row in enumerate(rows)]
        if len(first) == len(rows):
            continue
        tables[name] = table.take(pa.array(sorted(first.values())))
        new = {key: keys[at] for key, at in zip(keys, places, strict=True)}
        for other in SCHEMAS:
            held = tables.get(other, city.tables[other])
            if name == "sources" and "source" in held.column_names:
                tables[other] = _renamed(held, "source", new)
            elif other == "appearances" and name != "sources" and held.num_rows:
                tables[other] = _renamed(held, name, new)
    issues = tables.get("issues", city.tables["issues"])
    tables["issues"] = issues.group_by(issues.column_names, use_threads=False).aggregate([]).select(issues.column_names).cast(issues.schema)
    return city.replace_tables(**tables)


def _renamed(table: pa.Table, column: str, new: dict[int, int]) -> pa.Table:
    """Return a table with the keys in a column, or in its lists, exchanged."""
    import pyarrow.compute as pc

    old = one_array(table[column])
    keys = old.flatten() if pa.types.is_list(old.type) else old
    before = pa.array(list(new), pa.int64())
    place = pc.index_in(keys, before)
    changed = pc.coalesce(pa.array(list(new.values()), pa.int64()).take(place), keys)
    return table.set_column(table.column_names.index(column), table.schema.field(column), _like(old, changed))


def _like(old: pa.Array, values: pa.Array) -> pa.Array:
    """Return values as a column of the same lists as an old one; as they are where it holds no lists."""
    import pyarrow.compute as pc

    if not pa.types.is_list(old.type):
        return values
    sizes = np.asarray(pc.fill_null(pc.list_value_length(old), 0).to_numpy(zero_copy_only=False), np.int64)
    start = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    return pa.ListArray.from_arrays(start, values, mask=pc.is_null(old))


def _add_in_lists(table: pa.Table, column: str, amount: int) -> pa.Table:
    """Return a table with the keys in a list column moved on; -1 stays."""
    if not amount:
        return table
    import pyarrow.compute as pc

    lists = one_array(table[column])
    keys = lists.flatten()
    moved = pc.if_else(pc.less(keys, 0), keys, pc.add(keys, amount))
    return table.set_column(table.column_names.index(column), table.schema.field(column), _like(lists, moved))


def stacked(pieces: list[pa.Table], notes: list[str]) -> pa.Table:
    """Return attribute tables one below the other; a column of two types becomes the wider one, or text; units follow the first."""
    if len(pieces) == 1:
        return pieces[0]
    names = list(dict.fromkeys(name for piece in pieces for name in piece.column_names))
    converted = [_in_units_of_the_first(piece, pieces, notes) for piece in pieces]
    fields = [_common_field(name, converted, notes) for name in names]
    rows = []
    for piece in converted:
        have = set(piece.column_names)
        columns = [piece[field.name].cast(field.type) if field.name in have else pa.nulls(piece.num_rows, field.type) for field in fields]
        rows.append(pa.Table.from_arrays(columns, schema=pa.schema(fields)))
    return pa.concat_tables(rows).combine_chunks()


def unit_of(field: pa.Field) -> str:
    """Return the unit an Arrow field states, ``""`` where it states none."""
    text: bytes = (field.metadata or {}).get(b"unit", b"")
    return text.decode()


def _in_units_of_the_first(piece: pa.Table, pieces: list[pa.Table], notes: list[str]) -> pa.Table:
    """Return a table with its numbers in the units of the first that has the same column; a unit one side lacks is assumed."""
    for at, field in enumerate(piece.schema):
        leading = next(other.schema.field(field.name) for other in pieces if field.name in other.column_names)
        unit, wanted = unit_of(field), unit_of(leading)
        if unit == wanted:
            continue
        if unit and wanted and is_number(field.type):
            new = pa.array(converted(piece[field.name], field.name, unit, wanted), pa.float64(), from_pandas=True)
            piece = piece.set_column(at, pa.field(field.name, pa.float64(), metadata=leading.metadata), new)
        else:
            notes.append(
                f"attribute {field.name} is in {unit or 'no unit'} here, in {wanted or 'no unit'} there; taken as {unit or wanted}"
            )
    return piece


def converted(column: pa.ChunkedArray, name: str, unit: str, wanted: str) -> NDArray[np.float64]:
    """Return numbers in another unit of the same quantity."""
    from cim.units import parse_unit

    try:
        have, want = parse_unit(unit), parse_unit(wanted)
    except UsageError as error:
        msg = f"attribute {name} is in {unit} in one city and in {wanted} in another: {error}"
        raise UsageError(msg) from error
    if have.si != want.si:
        msg = f"attribute {name} is in {unit} in one city and in {wanted} in another: not the same quantity; rename one in the mapping"
        raise UsageError(msg)
    values = np.asarray(column.to_numpy(), float)
    return np.asarray((values * have.factor + have.offset - want.offset) / want.factor)


def _common_field(name: str, pieces: list[pa.Table], notes: list[str]) -> pa.Field:
    """Return the field that holds a column of all pieces; numbers that no float holds become text, with a note."""
    columns = [piece[name] for piece in pieces if name in piece.column_names]
    kind = type_for(columns)
    if pa.types.is_string(kind) and all(is_number(column.type) or pa.types.is_null(column.type) for column in columns):
        notes.append(f"attribute {name} has whole numbers of more digits than a float holds beside fractions; all are held as text")
    leading = next(piece.schema.field(name) for piece in pieces if name in piece.column_names)
    return pa.field(name, kind, metadata=leading.metadata)
