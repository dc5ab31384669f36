"""Keys: which columns hold them, numbering them anew, finding parents, and the order objects and geometries stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.schema import conform, one_array
from cim.model.spatial import hilbert_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Keys = NDArray[np.int64]

__all__ = ["OBJECT_COLUMNS", "in_order", "next_geometry", "order_of", "parent_rows", "remap", "repeats", "sorted_geometries"]

OBJECT_COLUMNS = {"objects": ("key", "parent"), "relations": ("subject", "object"), "links": ("object",), "issues": ("object",)}
"""Columns of each table that hold object keys; ``object`` where a table is not named."""


def remap(name: str, table: pa.Table, new_key: Keys) -> pa.Table:
    """Return a table with its object keys exchanged: key k becomes ``new_key[k]``."""
    for column in OBJECT_COLUMNS.get(name, ("object",) if "object" in table.column_names else ()):
        old = table[column]
        missing = np.asarray(old.is_null().to_numpy())
        values = np.asarray(old.fill_null(0).to_numpy(), np.int64)
        new = pa.array(new_key[values] if len(new_key) else values, pa.int64(), mask=missing)
        table = table.set_column(table.column_names.index(column), table.schema.field(column), new)
    return table


def repeats(objects: pa.Table) -> NDArray[np.int64]:
    """Return how many earlier rows hold the same id at the same time, shape (n,)."""
    code = one_array(objects["id"]).dictionary_encode()
    index = np.asarray(code.indices.to_numpy(zero_copy_only=False), np.int64)
    repeat = np.zeros(len(index), np.int64)
    many = np.flatnonzero(np.bincount(index, minlength=1)[index] > 1) if len(index) else np.empty(0, np.int64)
    if not len(many):
        return repeat
    first, last = (time[many] for time in _periods(objects))
    order = np.lexsort((many, first, index[many]))
    same = index[many][order]
    begins = np.concatenate([[True], same[1:] != same[:-1]])
    until = -np.inf
    number = 0
    for place, begin, start, end in zip(many[order].tolist(), begins.tolist(), first[order].tolist(), last[order].tolist(), strict=True):
        number, until = (0, -np.inf) if begin else (number, until)  # only rows whose id occurs more than once come here
        if not begin and start < until:
            number += 1
            repeat[place] = number
        until = max(until, end)
    return repeat


def _periods(objects: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return begin and end of validity [µs], a missing one being as far away as can be."""
    first = objects["valid_from"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
    last = objects["valid_to"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    return np.asarray(first, np.int64), np.asarray(last, np.int64)


def parent_rows(objects: pa.Table, children: NDArray[np.int64], ids: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the row of each child's parent.

    An id with several periods of validity stands for the row whose period overlaps the child's, the latest where several do.

    Parameters
    ----------
    objects
        The objects, in which `children` are rows.
    children : shape (n,)
        Rows of the children.
    ids : shape (n,)
        Ids of their parents, null for none.

    Returns
    -------
    rows : shape (n,)
        -1 where no object has the id.
    apart : shape (n,)
        True where the id has several periods and none overlaps the child's; the latest row is returned.
    """
    code = one_array(objects["id"]).dictionary_encode()
    of_row = np.asarray(code.indices.to_numpy(zero_copy_only=False), np.int64)
    wanted = np.asarray(pc.fill_null(pc.index_in(ids, code.dictionary), -1).to_numpy(zero_copy_only=False), np.int64)
    first, last = _periods(objects)
    order = np.lexsort((first, of_row))  # rows of one id stand together, the latest last
    count = np.bincount(of_row, minlength=len(code.dictionary))
    end = np.cumsum(count)
    rows, apart = np.full(len(wanted), -1, np.int64), np.zeros(len(wanted), bool)
    found = np.flatnonzero(wanted >= 0)
    rows[found] = order[end[wanted[found]] - 1]
    many = found[count[wanted[found]] > 1]
    if not len(many):
        return rows, apart
    each = count[wanted[many]]
    child = np.repeat(np.arange(len(many)), each)
    step = np.arange(len(child)) - np.repeat(np.cumsum(each) - each, each)
    candidate = order[(end - count)[wanted[many]][child] + step]
    mine = children[many][child]
    overlaps = (first[candidate] < last[mine]) & (first[mine] < last[candidate])
    rows[many[child[overlaps]]] = candidate[overlaps]  # ascending in time: the latest is written last
    apart[many] = np.bincount(child[overlaps], minlength=len(many)) == 0
    return rows, apart


def order_of(objects: pa.Table) -> NDArray[np.int64]:
    """Return the rows sorted by class, then along the Hilbert curve, then as they came."""
    middle = [
        (
            np.asarray(pc.struct_field(objects["bbox"], low).to_numpy(), float)
            + np.asarray(pc.struct_field(objects["bbox"], high).to_numpy(), float)
        )
        / 2
        for low, high in (("xmin", "xmax"), ("ymin", "ymax"))
    ]
    kinds = one_array(objects["type"]).dictionary_encode()
    rank = np.argsort(np.argsort(np.asarray(kinds.dictionary.to_pylist(), object))) if len(kinds.dictionary) else np.empty(0, np.int64)
    code = rank[np.asarray(kinds.indices.to_numpy(zero_copy_only=False), np.int64)] if len(rank) else np.empty(0, np.int64)
    return np.lexsort((np.arange(objects.num_rows), hilbert_order(*middle), code))


def in_order(held: list[pa.Table], order: NDArray[np.int64]) -> pa.Table:
    """Return a table with its rows in another order, moved a column at a time, each old one let go.

    Parameters
    ----------
    held
        The table, in a list that is emptied.
    """
    table, rows = held.pop(), pa.array(order)
    for place, field in enumerate(table.schema):
        table = table.set_column(place, field, table.column(place).take(rows))
    return table


def sorted_geometries(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Put geometries in the order of their objects, number them anew, templates behind them, and carry along what refers to either.

    The given tables are used up, so that each can go as soon as it is in order.
    """
    geometries, templates = tables["geometries"], tables["templates"]
    if not geometries.num_rows and not templates.num_rows:
        return tables
    order = np.argsort(np.asarray(geometries["object"].to_numpy(), np.int64), kind="stable")
    old = np.concatenate([np.asarray(geometries["key"].to_numpy(), np.int64)[order], np.asarray(templates["key"].to_numpy(), np.int64)])
    new = np.empty(len(old), np.int64)
    new[old] = np.arange(len(old))
    done = {name: tables.pop(name) for name in list(tables)}
    done["geometries"] = conform("geometries", _renumbered(geometries.take(order), ("key", "template"), new))
    done["templates"] = _renumbered(templates, ("key",), new)
    for name in ("surfaces", "appearances"):
        held = [_renumbered(done.pop(name), ("geometry",), new)]
        second = [np.asarray(held[0]["index"].to_numpy())] if name == "surfaces" else []
        done[name] = in_order(held, np.lexsort((*second, np.asarray(held[0]["geometry"].to_numpy()))))
    return done


def _renumbered(table: pa.Table, columns: tuple[str, ...], new: Keys) -> pa.Table:
    """Return a table with the keys of geometries or templates in some columns exchanged: key k becomes ``new[k]``."""
    for column in columns:
        old = table[column]
        values = np.asarray(old.fill_null(0).to_numpy(), np.int64)
        keys = pa.array(new[values], pa.int64(), mask=np.asarray(old.is_null().to_numpy()))
        table = table.set_column(table.column_names.index(column), table.schema.field(column), keys)
    return table


def next_geometry(tables: Mapping[str, pa.Table]) -> int:
    """Return the first key that neither a geometry nor a template has."""
    columns = [tables[name]["key"] for name in ("geometries", "templates")]
    return max((int(np.max(column.to_numpy())) + 1 for column in columns if len(column)), default=0)
