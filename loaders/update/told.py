"""What an update changed, row by row: which record of which source, and what that did to its object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.update.strip import among, equals
from cim.model.history import diff
from cim.model.schema import SCHEMAS, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["CHANGES", "differences", "said_by", "table"]

CHANGES = pa.schema([(name, pa.string()) for name in ("id", "kind", "attribute", "old", "new", "source")])
"""Columns of the list of changes."""


def differences(before: City, after: City, keys: Ints) -> dict[int, list[tuple[str, str | None, str | None]]]:
    """Return what differs of objects that both cities hold: attribute, old and new value by key."""
    keys = np.intersect1d(keys, np.intersect1d(_keys(before), _keys(after)))
    if not len(keys):
        return {}
    old, new = (_by_key(city.subset(keys)) for city in (before, after))
    found: dict[int, list[tuple[str, str | None, str | None]]] = {}
    changed = diff(old, new).changed
    rows = zip(*(changed[name].to_pylist() for name in ("id", "attribute", "old", "new")), strict=True)
    for key, attribute, was, now in rows:
        if attribute != "parent":
            found.setdefault(int(key), []).append((attribute, was, now))
    _add_sets(found, before, after, keys)
    return found


def _keys(city: City) -> Ints:
    return np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64)


def _by_key(city: City) -> City:
    """Return a city whose ids are its keys: one id may stand for several periods."""
    objects = city.tables["objects"]
    return city.replace_tables(objects=objects.set_column(1, SCHEMAS["objects"].field("id"), objects["key"].cast(pa.string())))


def _add_sets(found: dict[int, list[tuple[str, str | None, str | None]]], before: City, after: City, keys: Ints) -> None:
    """Add identifiers, properties and parents that differ."""
    old, new = (_long(city, keys) for city in (before, after))
    for place in sorted(set(old) | set(new)):
        was, now = old.get(place, set()), new.get(place, set())
        if was != now:
            found.setdefault(place[0], []).append((place[1], _text(was - now), _text(now - was)))


def _text(values: set[str]) -> str | None:
    return ", ".join(sorted(values)) or None


def _long(city: City, keys: Ints) -> dict[tuple[int, str], set[str]]:
    found: dict[tuple[int, str], set[str]] = {}
    for name, columns, start in (("identifiers", ("scheme",), "identifier"), ("properties", ("set", "name"), "property")):
        rows = city.tables[name].filter(among(city.tables[name]["object"], keys))
        titles = [" ".join([start, *parts]) for parts in zip(*(rows[column].to_pylist() for column in columns), strict=True)]
        for key, title, value in zip(rows["object"].to_pylist(), titles, rows["value"].to_pylist(), strict=True):
            found.setdefault((key, title), set()).add(str(value))
    parents = city.core_rows(["parent"], keys)["parent"].to_pylist()
    known = [key for key in parents if key is not None]
    ids = dict(zip(known, city.ids(known), strict=True)) if known else {}
    for key, parent in zip(keys.tolist(), parents, strict=True):
        if parent is not None:
            found[key, "parent"] = {ids[parent]}
    return found


def said_by(city: City, source: int, keys: Ints) -> dict[tuple[int, str], set[str]]:
    """Return what a source claims about objects, by key and attribute."""
    claims = city.tables["claims"]
    mine = claims.filter(pc.and_(among(claims["object"], keys), equals(claims["source"], source)))
    found: dict[tuple[int, str], set[str]] = {}
    for key, name, value in zip(mine["object"].to_pylist(), mine["attribute"].to_pylist(), mine["value"].to_pylist(), strict=True):
        found.setdefault((key, name), set()).add(str(value))
    return found


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return the list of changes."""
    return pa.Table.from_pylist(rows, schema=CHANGES)


def ids_of(city: City) -> dict[int, str]:
    """Return the id of every key."""
    objects = city.tables.scan("objects", ["key", "id"])
    return dict(zip(one_array(objects["key"]).to_pylist(), objects["id"].to_pylist(), strict=True))
