"""Objects whose leading record is of another class now: their row of attributes goes to the table of that class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.combine import stacked
from cim.model.derive import classify
from cim.model.schema import SCHEMAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["retype"]


def retype(city: City, placed: City, keys: Ints, records: Ints) -> City:
    """Return the city with objects in the class of their records.

    Parameters
    ----------
    placed
        The source as it is now.
    keys : shape (n,)
        Objects that the source leads.
    records : shape (n,)
        Their records in `placed`.
    """
    have = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    want = np.asarray(placed.core_rows(["type"], records)["type"].to_pylist(), object)
    other = np.flatnonzero(have != want)
    if not len(other):
        return city
    tables = {name: city.attributes[name] for name in city.attributes}
    notes: list[str] = []
    for old, new in sorted(set(zip(have[other].tolist(), want[other].tolist(), strict=True))):
        mine = keys[other][(have[other] == old) & (want[other] == new)]
        rows = city.attributes[old].filter(pc.is_in(city.attributes[old]["object"], pa.array(mine)))
        tables[new] = stacked([tables[new], rows], notes).sort_by("object") if new in tables else rows
    place = pc.index_in(city.tables["objects"]["key"], pa.array(keys[other]))
    objects = city.tables["objects"]
    types = pa.array(want[other].tolist(), pa.string()).take(place.combine_chunks())
    objects = objects.set_column(2, SCHEMAS["objects"].field("type"), pc.coalesce(types, objects["type"]))
    for name in ("cim_code", "cim_level", "level_scheme"):
        at = objects.column_names.index(name)
        column = pc.if_else(pc.is_valid(place), pa.scalar(None, pa.string()), objects[name])
        objects = objects.set_column(at, SCHEMAS["objects"].field(name), column)
    done = city.replace_tables(objects=classify(objects, city.tables["geometries"]), attributes=tables)
    return done.with_issues([{"code": "assumed", "message": note} for note in dict.fromkeys(notes)])
