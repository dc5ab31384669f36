"""After a source was put in anew: the next claim where nothing is chosen, and no claim where nobody disputes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.claims import CORE
from cim.loaders.fusion.policies import _column as put_column
from cim.loaders.update.strip import among, derived_claims, equals
from cim.model.schema import SCHEMAS, TIME, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.update.strip import Cells
    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["choose", "only_disputed"]


def choose(city: City, cells: Cells) -> City:
    """Return the city with the claim of the earliest source chosen wherever a value is still missing and somebody says something."""
    for (type, name), keys in cells.items():
        empty = _missing(city, type, name, keys)
        claims = city.tables["claims"]
        usable = pc.and_(pc.and_(among(claims["object"], empty), pc.equal(claims["attribute"], name)), pc.is_valid(claims["value"]))
        usable = pc.and_(usable, pc.invert(pc.starts_with(claims["method"], "read from a record of")))
        rows = np.flatnonzero(np.asarray(pc.and_(usable, pc.invert(derived_claims(claims))).to_numpy()))
        if not len(rows):
            continue
        owner = np.asarray(claims["object"].to_numpy(), np.int64)[rows]
        source = np.asarray(claims["source"].fill_null(np.iinfo(np.int64).max).to_numpy(), np.int64)[rows]
        order = np.lexsort((rows, source, owner))
        best = rows[order[np.concatenate([[True], np.diff(owner[order]) != 0])]]
        chosen = np.asarray(claims["chosen"].to_numpy()).copy()
        chosen[best] = True
        at = claims.column_names.index("chosen")
        city = city.replace_tables(claims=claims.set_column(at, SCHEMAS["claims"].field("chosen"), pa.array(chosen)))
        said = claims.take(pa.array(best))
        city = _core(city, name, said) if name in CORE else put_column(city, type, name, said)
    return city


def _missing(city: City, type: str, name: str, keys: Ints) -> Ints:
    """Return the objects without a value in a column."""
    if name in CORE:
        return np.asarray(keys[np.asarray(pc.is_null(city.core_rows([name], keys)[name]).to_numpy())], np.int64)
    if name not in city.attributes.schema(type).names:
        return keys
    table = city.attributes[type]
    empty = table["object"].filter(pc.is_null(table[name]))
    return np.intersect1d(keys, np.asarray(empty.to_numpy(), np.int64))


def _core(city: City, name: str, claims: pa.Table) -> City:
    objects = city.tables["objects"]
    field = SCHEMAS["objects"].field(name)
    values: list[Any] = [json.loads(text) for text in claims["value"].to_pylist()]
    if field.type == TIME:
        values = [datetime.fromisoformat(value) for value in values]
    given = pa.array(values, field.type).take(one_array(pc.index_in(objects["key"], one_array(claims["object"]))))
    at = objects.column_names.index(name)
    return city.replace_tables(objects=objects.set_column(at, field, pc.coalesce(given, one_array(objects[name]))))


def only_disputed(before: City, city: City, source: int, led: Ints) -> City:
    """Return the city without claims of a source on the objects it leads where nobody else says anything and nobody did before."""
    claims = city.tables["claims"]
    rows = np.flatnonzero(np.asarray(among(claims["object"], led).to_numpy()))
    mine = claims.take(pa.array(rows))
    old = before.tables["claims"]
    known = _codes(old.filter(among(old["object"], led)))
    code = _codes(mine)
    _, where, count = np.unique(code, return_inverse=True, return_counts=True)
    plain = np.asarray(pc.and_(equals(mine["source"], source), pc.equal(mine["method"], "read")).to_numpy())
    drop = rows[plain & (count[where] == 1) & ~np.isin(code, known)]
    kept = np.setdiff1d(np.arange(claims.num_rows), drop)
    return city.replace_tables(claims=claims.take(pa.array(kept))) if len(drop) else city


def _codes(claims: pa.Table) -> NDArray[Any]:
    """Return object and attribute of each claim as one text."""
    owners = one_array(claims["object"]).cast(pa.string())
    texts = pc.binary_join_element_wise(owners, one_array(claims["attribute"]), "\0")
    return np.asarray(texts.to_pylist(), np.str_)
