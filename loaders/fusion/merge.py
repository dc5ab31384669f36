"""Merging two matched cities into one: one object per real thing, every value with its claim, every record accounted for.

The first city leads: its objects keep their ids and their values. The records of the second bring geometry, identifiers and
attributes; where both say something both are kept as claims, and where they differ beyond tolerance that is a conflict.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.claims import CORE, claims_of, conflicts
from cim.loaders.fusion.pairs import side_of, together
from cim.model import City, concat
from cim.model.columns import common_type
from cim.model.derive import boxes_of
from cim.model.schema import SCHEMAS, make_table, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.fusion.claims import Filled
    from cim.loaders.fusion.pairs import Ints, Pairs

__all__ = ["merge", "new_matches"]

NAMED = 5
"""Records that a summary names."""


def merge(left: City, right: City, pairs: Pairs) -> City:
    """Return one city from two and the matches between them.

    Parameters
    ----------
    left, right
        Cities in the same CRS; `left` leads.
    pairs
        From `match_cities`, in keys of the two cities.
    """
    offset = _next(left)
    both = concat([left, right], name=left.name)
    moved_open = tuple((key + offset, text) for key, text in pairs.open)
    pairs = replace(pairs, right=pairs.right + offset, open=moved_open, ambiguous=pairs.ambiguous + offset)
    target = _targets(pairs, offset + _next(right))
    claims, filled = claims_of(both, pairs)
    tables = _moved(both, pairs, target)
    tables["claims"] = pa.concat_tables([_moved_claims(both, tables["claims"], pairs, filled), *claims])
    tables["matches"] = _matches(both, pairs)
    objects = boxes_of(_objects(both, filled, pairs, target), tables["geometries"], both.tables["templates"], both.origin)
    merged = both.replace_tables(**{**tables, "objects": objects}, attributes=_attributes(both, filled))
    merged = _unique_ids(merged, offset)
    return merged.with_issues(_issues(both, merged, pairs))


def _next(city: City) -> int:
    keys = city.tables.scan("objects", ["key"])["key"]
    return int(np.max(keys.to_numpy())) + 1 if len(keys) else 0


def _targets(pairs: Pairs, size: int) -> Ints:
    """Return, for each key, the key its rows go to: a matched record goes to the object it overlaps most."""
    target = np.arange(size, dtype=np.int64)
    order = np.argsort(pairs.score, kind="stable")
    target[pairs.right[order]] = pairs.left[order]
    return target


def _moved(both: City, pairs: Pairs, target: Ints) -> dict[str, pa.Table]:
    """Return the tables with the rows of matched records carried over to their objects."""
    from cim.model.keys import remap

    moved = {name: remap(name, both.tables[name], target) for name in SCHEMAS if name not in {"objects", "sources"}}
    whole = pa.array(np.unique(pairs.right[pairs.kind == "whole"]))
    geometry = both.tables["geometries"]
    lost = pc.is_in(geometry["object"], whole)
    if pc.any(lost).as_py():
        moved["geometries"] = moved["geometries"].filter(pc.invert(lost))
        shapes = pa.concat_arrays([one_array(moved[name]["key"]) for name in ("geometries", "templates")])
        for name in ("surfaces", "appearances"):
            moved[name] = moved[name].filter(pc.is_in(moved[name]["geometry"], shapes))
    moved["geometries"] = _alternatives(moved["geometries"]).sort_by([("object", "ascending"), ("key", "ascending")])
    before, after = both.tables["relations"], moved["relations"]
    closed = pc.and_(pc.equal(after["subject"], after["object"]), pc.not_equal(before["subject"], before["object"]))
    moved["relations"] = after.filter(pc.invert(closed))  # two records of one thing are not related to each other
    moved["properties"] = _without_repeats(moved["properties"])
    return {**moved, "identifiers": _identifiers(both, pairs, moved["identifiers"])}


def _alternatives(geometries: pa.Table) -> pa.Table:
    """Return the geometries with the role ``alternative`` where an object has several of one level and role: the first one leads."""
    if not geometries.num_rows:
        return geometries
    coded = [one_array(geometries[name]).dictionary_encode().indices.to_numpy(zero_copy_only=False) for name in ("lod", "role")]
    rank = np.stack([np.asarray(geometries["object"].to_numpy(), np.int64), *(np.asarray(code, np.int64) for code in coded)], axis=1)
    _, first = np.unique(rank, axis=0, return_index=True)
    sources = np.asarray(geometries["source"].fill_null(-1).to_numpy(), np.int64)
    _, group = np.unique(rank, axis=0, return_inverse=True)
    role = geometries["role"].to_numpy(zero_copy_only=False).copy()
    role[sources != sources[first][group]] = "alternative"  # several of one source belong together
    at = geometries.column_names.index("role")
    return geometries.set_column(at, geometries.schema.field(at), pa.array(role, pa.string()))


def _without_repeats(table: pa.Table) -> pa.Table:
    return table.group_by(table.column_names, use_threads=False).aggregate([]).select(table.column_names).cast(table.schema)


def _moved_claims(both: City, moved: pa.Table, pairs: Pairs, filled: Filled) -> pa.Table:
    """Return the claims where they now belong; what a merged record had chosen is chosen no more, unless it fills a gap."""
    from_right = np.isin(np.asarray(both.tables["claims"]["object"].to_numpy(), np.int64), pairs.right)
    if not from_right.any():
        return moved
    owners = np.asarray(moved["object"].to_numpy(), np.int64)
    names = moved["attribute"].to_numpy(zero_copy_only=False)
    chosen = np.asarray(moved["chosen"].to_numpy()).copy()
    for name in dict.fromkeys(names[from_right].tolist()):
        gaps = [keys for (_, column), pieces in filled.items() if column == name for keys, _, _ in pieces]
        mine = from_right & (names == name)
        chosen[mine] &= np.isin(owners[mine], np.concatenate([*gaps, np.empty(0, np.int64)]))
    at = moved.column_names.index("chosen")
    return moved.set_column(at, moved.schema.field(at), pa.array(chosen))


def _identifiers(both: City, pairs: Pairs, moved: pa.Table) -> pa.Table:
    """Add the id of each merged record as an identifier of its object (of each of them, where it covers several), and drop repeats."""
    rows = both.row_of_key(pairs.right)
    ids = both.tables["objects"]["id"].take(pa.array(rows))
    own = make_table("identifiers", {"object": pairs.left, "scheme": "id", "value": ids, "normalised": ids}, len(pairs))
    return _without_repeats(pa.concat_tables([moved, own]))


def _matches(both: City, pairs: Pairs) -> pa.Table:
    """Return what became of every record: those of matched objects follow them, with the kind and score of the match."""
    table = both.tables["matches"]
    mine = pc.is_in(table["object"], pa.array(np.unique(pairs.right)))
    moving = table.filter(mine)
    owner = np.asarray(moving["object"].to_numpy(), np.int64)
    order = np.argsort(pairs.right, kind="stable")
    first, last = (np.searchsorted(pairs.right[order], owner, side) for side in ("left", "right"))
    row = np.repeat(np.arange(len(owner)), last - first)  # a record in several pairs gets one row for each
    pair = order[np.repeat(first, last - first) + np.arange(len(row)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)]
    followed = {
        "object": pairs.left[pair],
        "source": moving["source"].take(pa.array(row)),
        "record": moving["record"].take(pa.array(row)),
        "kind": pairs.kind[pair].tolist(),
        "score": pairs.score[pair],
        "evidence": pairs.evidence[pair].tolist(),
    }
    return pa.concat_tables([_with_reasons(table.filter(pc.invert(mine)), pairs), make_table("matches", followed, len(row))])


def _with_reasons(table: pa.Table, pairs: Pairs) -> pa.Table:
    """Return the records that stand for themselves with the candidates they might have been."""
    if not pairs.open:
        return table
    keys, texts = zip(*pairs.open, strict=True)
    place = pc.index_in(table["object"], pa.array(keys, pa.int64()))
    at = table.column_names.index("evidence")
    return table.set_column(at, table.schema.field(at), pc.coalesce(pa.array(texts, pa.string()).take(place), table["evidence"]))


def new_matches(city: City, marks: NDArray[Any] | None = None) -> pa.Table:
    """Return one row ``new`` for every object that no row of `matches` names yet: it stands for its own record.

    Parameters
    ----------
    marks : shape (objects,)
        Mark of each record, kept as its evidence; see `cim.loaders.fusion.marks`.
    """
    objects = city.tables["objects"]
    fresh = pc.invert(pc.is_in(objects["key"], city.tables["matches"]["object"].combine_chunks()))
    said = None if marks is None else pa.array(marks, pa.string()).filter(fresh.combine_chunks())
    objects = objects.filter(fresh)
    columns = {"object": objects["key"], "source": objects["source"], "record": objects["id"], "kind": "new", "evidence": said}
    return make_table("matches", columns, objects.num_rows)


def _objects(both: City, filled: Filled, pairs: Pairs, target: Ints) -> pa.Table:
    """Return the objects without the merged records: gaps in the core columns filled, parts under the object their whole became."""
    objects = _without_points(both, pairs)
    for (_, name), pieces in filled.items():
        for keys, values, _ in pieces if name in CORE else []:
            column = _fill(objects["key"], objects[name], keys, values)
            objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column)
    same = pairs.kind == "same"
    right = both.row_of_key(pairs.right[same])
    for name in ("footprint", "bbox", "parent"):
        values = one_array(both.tables["objects"][name].take(pa.array(right)))
        there = values.is_valid()
        column = _fill(
            objects["key"], objects[name], pairs.left[same][np.asarray(there.to_numpy(zero_copy_only=False))], values.filter(there)
        )
        objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column)
    kept = objects.filter(pc.invert(pc.is_in(objects["key"], pa.array(np.unique(pairs.right)))))
    parent = np.asarray(kept["parent"].fill_null(-1).to_numpy(), np.int64)
    led = np.where(parent >= 0, target[np.maximum(parent, 0)], -1)
    led = np.where(led == np.asarray(kept["key"].to_numpy(), np.int64), -1, led)
    return kept.set_column(3, SCHEMAS["objects"].field("parent"), pa.array(led, mask=led < 0))


def _without_points(both: City, pairs: Pairs) -> pa.Table:
    """Return the objects without the point footprints and boxes of those whose polygon the other source knows: the polygon is put there."""
    import shapely

    objects = both.tables["objects"]
    same = np.flatnonzero(pairs.kind == "same")
    kinds = [shapely.get_dimensions(both.footprints(keys[same])) for keys in (pairs.left, pairs.right)]
    better = pairs.left[same][(kinds[0] == 0) & (kinds[1] == 2)]
    if not len(better):
        return objects
    keep = pc.invert(pc.is_in(objects["key"], pa.array(better)))
    rows = pa.array(np.where(np.asarray(keep.to_numpy()), np.arange(len(keep)), -1))
    rows = pc.if_else(pc.less(rows, 0), pa.scalar(None, pa.int64()), rows)
    for name in ("footprint", "bbox"):
        at = objects.column_names.index(name)
        objects = objects.set_column(at, SCHEMAS["objects"].field(name), one_array(objects[name]).take(rows))
    return objects


def _attributes(both: City, filled: Filled) -> dict[str, pa.Table]:
    """Return the attribute tables with gaps filled and the columns the second city adds."""
    tables = {type: both.attributes[type] for type in both.attributes}
    for (type, name), pieces in filled.items():
        for keys, values, field in pieces if name not in CORE else []:
            table = tables[type]
            if name not in table.column_names:
                table = table.append_column(field, pa.nulls(table.num_rows, values.type))
            at = table.column_names.index(name)
            kind = values.type if values.type == table[name].type else common_type({values.type, table[name].type})
            column = _fill(table["object"], table[name].cast(kind), keys, values.cast(kind))
            tables[type] = table.set_column(at, table.schema.field(at).with_type(kind), column)
    return tables


def _fill(owners: pa.ChunkedArray, column: pa.ChunkedArray, keys: Ints, values: pa.Array) -> pa.ChunkedArray:
    """Return `column` with its nulls filled for some owners."""
    place = pc.index_in(owners.combine_chunks(), pa.array(keys))
    given = values.cast(column.type).take(place)
    return pc.coalesce(column, given)


def _unique_ids(city: City, offset: int) -> City:
    """Rename objects of the second city whose id the first city has given to another thing; the renaming is an issue."""
    objects = city.tables["objects"]
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    own = one_array(objects["id"])
    again = np.asarray(pc.is_in(own, _in_both(own, keys < offset)).to_numpy(zero_copy_only=False))
    clash = _at_one_time(city, own, np.flatnonzero(again & (keys < offset)), np.flatnonzero((keys >= offset) & again))
    if not len(clash):
        return city
    ids = own.to_numpy(zero_copy_only=False).copy()
    taken = set(ids.tolist())
    issues = []
    for row in clash.tolist():  # only the few that collide
        number, name = 2, ids[row]
        while f"{name}#{number}" in taken:
            number += 1
        ids[row] = f"{name}#{number}"
        taken.add(ids[row])
        issues.append(
            {
                "code": "duplicate",
                "object": int(keys[row]),
                "record": name,
                "message": f"two different things have the id {name!r}; this one is kept as {ids[row]!r}",
            }
        )
    renamed = objects.set_column(1, SCHEMAS["objects"].field("id"), pa.array(ids, pa.string()))
    return city.replace_tables(objects=renamed).with_issues(issues)


def _in_both(ids: pa.Array, first: NDArray[np.bool_]) -> pa.Array:
    """Return the ids that stand on either side."""
    left, right = ids.filter(pa.array(first)), ids.filter(pa.array(~first))
    return left.filter(pc.is_in(left, right))


def _at_one_time(city: City, ids: pa.Array, first: Ints, second: Ints) -> Ints:
    """Return the rows of the second city whose id an object of the first holds at the same time; versions may share an id."""
    if not len(second):
        return second
    keys = np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64)
    pair = pa.table({"id": ids.take(pa.array(first)), "first": first}).join(
        pa.table({"id": ids.take(pa.array(second)), "second": second}), ["id"], join_type="inner", use_threads=False
    )
    a, b = (np.asarray(pair[name].to_numpy(), np.int64) for name in ("first", "second"))
    nowhere = np.empty(len(a), object)
    row = np.arange(len(a))
    return np.unique(b[together(side_of(city, keys[a], nowhere), side_of(city, keys[b], nowhere), row, row)])


def _issues(both: City, merged: City, pairs: Pairs) -> list[dict[str, Any]]:
    """Return the conflicts nobody has named yet, and what could not be kept."""
    rows: list[dict[str, Any]] = [{"code": "conflict", "message": text} for text in pairs.rejected]
    if len(pairs.ambiguous):
        named = ", ".join(map(repr, both.ids(pairs.ambiguous[:NAMED]))) + (" ..." if len(pairs.ambiguous) > NAMED else "")
        text = f"{len(pairs.ambiguous)} records have several candidates about as near and were not matched: {named}; see the matches"
        rows.append({"code": "unmatched", "count": len(pairs.ambiguous), "message": text})
    whole = np.unique(pairs.right[pairs.kind == "whole"])
    lost = int(pc.sum(pc.is_in(both.tables["geometries"]["object"], pa.array(whole))).as_py() or 0)
    if lost:
        text = f"{lost} geometries of records that cover several objects have no object to go to"
        rows.append({"code": "lost", "count": lost, "message": text})
    spare = int(pc.sum(pc.equal(merged.tables["geometries"]["role"], "alternative")).as_py() or 0)
    spare -= int(pc.sum(pc.equal(both.tables["geometries"]["role"], "alternative")).as_py() or 0)
    if spare > 0:
        text = f"{spare} geometries show what another source shows at the same level of detail; they are kept with the role alternative"
        rows.append({"code": "conflict", "severity": "info", "count": spare, "message": text})
    touched = pc.is_in(merged.tables["claims"]["object"], pa.array(np.unique(pairs.left)))
    return rows + conflicts(merged.tables["claims"].filter(touched), merged.tables["issues"])
