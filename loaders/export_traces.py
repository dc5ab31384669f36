"""What still tells of objects that may not leave the house once they are gone: texts, looks, sources, columns, notes of files."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cim.model.schema import one_array

if TYPE_CHECKING:
    from cim.model import City
    from cim.model.loss import Losses

__all__ = ["without_traces"]

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SOURCED = ("objects", "geometries", "relations", "claims", "matches", "coverages", "textures")


def without_traces(whole: City, shown: City, losses: Losses) -> City:
    """Return the shown part of a city without what tells of the rest; what goes is counted.

    Texts go that are the id or an identifier of a hidden object, and looks, sources and columns that only hidden objects had; the
    issues, and the members a format kept of its file (its extent, its metadata), go all, for they may speak of anything.
    """
    if shown is whole:
        return shown
    secret = _names_of_the_hidden(whole, shown)
    attributes = {type: _plain_columns(whole, shown, type, secret, losses) for type in shown.attributes}
    tables = {name: _without_words(shown.tables[name], column, secret, losses) for name, column in _JSON}
    tables |= _looks(shown)
    tables["sources"] = _sources(shown)
    losses.add("issues: what was guessed, repaired or lost in reading", shown.tables.rows("issues"))
    tables["issues"] = shown.tables["issues"].slice(0, 0)
    kept = shown.extra.get("cityjson", {})
    members = kept.get("members") if isinstance(kept, dict) else None
    extensions = {"extensions": members["extensions"]} if isinstance(members, dict) and "extensions" in members else {}
    losses.add("metadata of the source file, which may tell of what is left out", int(bool(members) and members != extensions))
    extra = {"cityjson": {"members": extensions}} if extensions else {}
    return replace(shown.replace_tables(attributes=attributes, **tables), extra=extra)


_JSON = (("properties", "value"), ("surfaces", "attributes"))


def _names_of_the_hidden(whole: City, shown: City) -> pa.Array:
    """Return ids and identifiers that no shown object has."""
    kept = one_array(shown.tables["objects"]["key"])
    found = []
    for table, key, column in (("objects", "key", "id"), ("identifiers", "object", "value")):
        rows = whole.tables[table]
        hidden = rows.filter(pc.invert(pc.is_in(rows[key], kept)))
        found.append(one_array(hidden[column]))
    names = pa.concat_arrays([*found]).unique()
    mine = pa.concat_arrays([one_array(shown.tables["objects"]["id"]), one_array(shown.tables["identifiers"]["value"])])
    return names.filter(pc.invert(pc.is_in(names, mine)))


def _plain_columns(whole: City, shown: City, type: str, secret: pa.Array, losses: Losses) -> pa.Table:
    """Return the attributes of a class without texts that name a hidden object, and without columns that only hidden ones had."""
    table = shown.attributes[type]
    for field in table.schema:
        column = one_array(table[field.name])
        if pa.types.is_dictionary(column.type):  # its dictionary still holds the values of the hidden
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type):
            named = pc.is_in(column, secret)
            losses.add("texts that name a hidden object", pc.sum(named).as_py() or 0, f"{type}: {field.name}")
            column = pc.if_else(named, pa.scalar(None, pa.string()), column)
        at = table.column_names.index(field.name)
        empty_now = column.null_count == len(column) and field.name != "object"
        if empty_now and whole.attributes[type][field.name].null_count < whole.attributes.rows(type):
            table = table.remove_column(at)
        else:
            table = table.set_column(at, pa.field(field.name, column.type, field.nullable, field.metadata), column)
    return table


def _without_words(table: pa.Table, column: str, secret: pa.Array, losses: Losses) -> pa.Table:
    """Return the rows whose text neither is the name of a hidden object nor quotes one."""
    names = set(secret.to_pylist())
    bad = [
        text is not None and (text in names or any(word in names for word in _QUOTED.findall(text))) for text in table[column].to_pylist()
    ]
    losses.add("texts that name a hidden object", sum(bad), column)
    return table.filter(pc.invert(pa.array(bad, pa.bool_()))) if any(bad) else table


def _looks(shown: City) -> dict[str, pa.Table]:
    """Return the materials and textures that are still in use."""
    out = {}
    for name in ("materials", "textures"):
        used = pc.unique(one_array(one_array(shown.tables["appearances"][name]).flatten()))
        table = shown.tables[name]
        out[name] = table.filter(pc.is_in(table["key"], used))
    return out


def _sources(shown: City) -> pa.Table:
    used = pa.concat_arrays([one_array(shown.tables[name]["source"]) for name in _SOURCED]).unique()
    table = shown.tables["sources"]
    return table.filter(pc.is_in(table["key"], used))
