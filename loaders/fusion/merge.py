"""Merging two matched cities into one: one object per real thing, every value with its claim, every record accounted for.

The first city leads: its objects keep their ids and their values. The records of the second bring geometry, identifiers and
attributes; where both say something both are kept as claims, and where they differ beyond tolerance that is a conflict.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model import City, concat
from cim.model.columns import common_type
from cim.model.combine import converted
from cim.model.derive import boxes_of
from cim.model.schema import SCHEMAS, make_table, one_array
from cim.standard_names import STANDARD_NAMES

if TYPE_CHECKING:
    from cim.loaders.fusion.match import Ints, Pairs

    Filled = dict[tuple[str, str], list[tuple[Ints, pa.Array, pa.Field]]]

__all__ = ["merge"]

TOLERANCE = {"m": 0.5, "m²": 1.0}
"""Numbers of this unit that differ by no more agree: half a metre is what roof edges and percentiles leave open."""
_CORE = ("name", "z_ground", "z_roof", "valid_from", "valid_to", "grade")


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
    pairs = replace(pairs, right=pairs.right + offset)
    target = _targets(pairs, offset + _next(right))
    claims, filled = _compare(both, pairs)
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
    return pa.concat_tables([table.filter(pc.invert(mine)), make_table("matches", followed, len(row))])


def new_matches(city: City) -> pa.Table:
    """Return one row ``new`` for every object that no row of `matches` names yet: it stands for its own record."""
    objects = city.tables["objects"]
    fresh = objects.filter(pc.invert(pc.is_in(objects["key"], city.tables["matches"]["object"].combine_chunks())))
    return make_table("matches", {"object": fresh["key"], "source": fresh["source"], "record": fresh["id"], "kind": "new"}, fresh.num_rows)


# --------------------------------------------------------------------------------------------- attributes and claims


def _compare(both: City, pairs: Pairs) -> tuple[list[pa.Table], Filled]:
    """Return the claims of both sides, and the values that fill gaps of the leading side, by class and column."""
    claims: list[pa.Table] = []
    filled: Filled = {}
    sources = both.tables["objects"]["source"]
    claimed, spoken = _claimed(both.tables["claims"].filter(pc.field("chosen"))), _claimed(both.tables["claims"])
    nobody = np.empty(0, np.int64)
    for type, other, where in _by_classes(both, pairs):
        left, right = pairs.left[where], pairs.right[where]
        kind, score = pairs.kind[where], pairs.score[where]
        said_by = sources.take(pa.array(both.row_of_key(right)))
        led_by = sources.take(pa.array(both.row_of_key(left)))
        for name, field in _columns(both, other):
            theirs = _values(both, other, name, right)
            known = np.asarray(pc.is_valid(theirs).to_numpy(zero_copy_only=False))
            if not known.any():
                continue
            theirs, ours, unit = _same_terms(both, type, name, field, theirs, left)
            have = np.asarray(pc.is_valid(ours).to_numpy(zero_copy_only=False))
            take = known & ~have & (kind == "same")
            if take.any():
                filled.setdefault((type, name), []).append((left[take], theirs.filter(pa.array(take)), field))
            speak = np.flatnonzero(known & ~np.isin(right, spoken.get(name, nobody)))  # a record with claims has spoken already
            method = np.where(
                kind[speak] == "same",
                "read",
                np.where(kind[speak] == "part", "read from a record of a part", "read from a record of a larger whole"),
            )
            claims.append(
                _claim_rows(
                    left[speak], name, theirs.take(pa.array(speak)), unit, said_by.take(pa.array(speak)), method, score[speak], take[speak]
                )
            )
            disputed = np.flatnonzero(known & have & ~np.isin(left, claimed.get(name, nobody)))
            _, first = np.unique(left[disputed], return_index=True)
            disputed = disputed[first]
            claims.append(
                _claim_rows(
                    left[disputed], name, ours.take(pa.array(disputed)), unit, led_by.take(pa.array(disputed)), "read", None, chosen=True
                )
            )
    return claims, filled


def _claimed(claims: pa.Table) -> dict[str, Ints]:
    """Return the objects that claims are about, by attribute."""
    names = claims["attribute"].to_numpy(zero_copy_only=False) if claims.num_rows else np.empty(0, object)
    owners = np.asarray(claims["object"].to_numpy(), np.int64)
    return {name: owners[names == name] for name in dict.fromkeys(names.tolist())}


def _by_classes(both: City, pairs: Pairs) -> list[tuple[str, str, Ints]]:
    """Return (class of the left, class of the right, rows of `pairs`)."""
    types = both.tables["objects"]["type"]
    left = types.take(pa.array(both.row_of_key(pairs.left))).to_numpy(zero_copy_only=False)
    right = types.take(pa.array(both.row_of_key(pairs.right))).to_numpy(zero_copy_only=False)
    combos = dict.fromkeys(zip(left.tolist(), right.tolist(), strict=True))
    return [(a, b, np.flatnonzero((left == a) & (right == b))) for a, b in combos]


def _columns(both: City, type: str) -> list[tuple[str, pa.Field]]:
    schema = both.attributes.schema(type)
    core = [(name, SCHEMAS["objects"].field(name)) for name in _CORE]
    return core + [(field.name, field) for field in schema if field.name != "object"]


def _values(both: City, type: str, name: str, keys: Ints) -> pa.Array:
    """Return a core or attribute column for keys, null where the class has no such column."""
    if name in _CORE:
        column = both.tables["objects"][name].take(pa.array(both.row_of_key(keys)))
    elif name in both.attributes.schema(type).names:
        table = both.attributes[type]
        column = table[name].take(pa.array(np.searchsorted(np.asarray(table["object"].to_numpy()), keys)))
    else:
        return pa.nulls(len(keys))
    return one_array(column)


def _same_terms(both: City, type: str, name: str, field: pa.Field, theirs: pa.Array, left: Ints) -> tuple[pa.Array, pa.Array, str]:
    """Return both sides in one type and unit, and the unit; a column the leading class lacks is null there."""
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    ours = _values(both, type, name, left)
    if pa.types.is_null(ours.type):
        return theirs, ours.cast(theirs.type), unit
    mine = both.unit(type, name)
    if unit and mine and unit != mine:  # columns of one class were brought to one unit already
        theirs = pa.array(converted(theirs, name, unit, mine), pa.float64(), from_pandas=True)
        unit = mine
    theirs, ours = (
        side.cast(pa.int8()) if pa.types.is_boolean(side.type) and side.type != other.type else side
        for side, other in ((theirs, ours), (ours, theirs))
    )
    if theirs.type != ours.type:
        number = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (theirs.type, ours.type))
        common = pa.float64() if number else pa.string()
        theirs, ours = theirs.cast(common), ours.cast(common)
    return theirs, ours, mine or unit


def _claim_rows(owners: Ints, name: str, values: pa.Array, unit: str, source: Any, method: Any, confidence: Any, chosen: Any) -> pa.Table:
    return make_table(
        "claims",
        {"object": owners, "attribute": name, "value": json_column(values), "unit": unit, "source": source, "method": method,
         "confidence": confidence, "chosen": chosen},
        len(owners),
    )  # fmt: skip


def json_column(values: pa.Array) -> pa.Array:
    """Return values as JSON text; each distinct value is written once."""
    if pa.types.is_nested(values.type):
        return pa.array(
            [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in values.to_pylist()], pa.string()
        )
    coded = values.dictionary_encode()
    texts = [None if value is None else json.dumps(value, ensure_ascii=False, default=str) for value in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)


def values_of(texts: pa.ChunkedArray) -> pa.Array:
    """Return what JSON texts say; each distinct text is read once."""
    coded = one_array(texts).dictionary_encode()
    values = [None if text is None else json.loads(text) for text in coded.dictionary.to_pylist()]
    if len({type(value) for value in values if value is not None} - {int, float}) > 1 or any(
        isinstance(value, list | dict) for value in values
    ):
        values = [None if value is None else str(value) for value in values]  # sources that say it in different ways
    return pa.array(values).take(coded.indices)


def disagree(first: pa.Array, second: pa.Array, unit: str) -> np.ndarray:
    """Say where two columns differ beyond tolerance; a missing value disagrees with nothing, shape (n,)."""
    both = np.asarray(pc.and_(pc.is_valid(first), pc.is_valid(second)).to_numpy(zero_copy_only=False))
    if pa.types.is_integer(first.type) or pa.types.is_floating(first.type):
        a, b = (np.asarray(side.to_numpy(zero_copy_only=False), float) for side in (first, second))
        allowed = TOLERANCE.get(unit, 0.0) + 1e-9 * np.fmax(np.abs(a), np.abs(b))
        return np.asarray(both & (np.abs(a - b) > allowed))
    if pa.types.is_string(first.type):
        first, second = (_plain_text(side) for side in (first, second))
    return np.asarray(both & np.asarray(pc.fill_null(pc.not_equal(first, second), False).to_numpy(zero_copy_only=False)))


def _plain_text(texts: pa.Array) -> pa.Array:
    """Return texts without case and outer blanks, the words for yes and no as the digits other sources write."""
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    flags = pc.index_in(lower, pa.array(["false", "true"]))
    return pc.coalesce(pa.array(["0", "1"]).take(flags), lower)


def _objects(both: City, filled: Filled, pairs: Pairs, target: Ints) -> pa.Table:
    """Return the objects without the merged records: gaps in the core columns filled, parts under the object their whole became."""
    objects = both.tables["objects"]
    for (_, name), pieces in filled.items():
        for keys, values, _ in pieces if name in _CORE else []:
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


def _attributes(both: City, filled: Filled) -> dict[str, pa.Table]:
    """Return the attribute tables with gaps filled and the columns the second city adds."""
    tables = {type: both.attributes[type] for type in both.attributes}
    for (type, name), pieces in filled.items():
        for keys, values, field in pieces if name not in _CORE else []:
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
    again = np.asarray(pc.is_in(own, own.filter(pa.array(keys < offset))).to_numpy(zero_copy_only=False))
    clash = np.flatnonzero((keys >= offset) & again)
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


def _issues(both: City, merged: City, pairs: Pairs) -> list[dict[str, Any]]:
    """Return the conflicts nobody has named yet, and what could not be kept."""
    rows: list[dict[str, Any]] = [{"code": "conflict", "message": text} for text in pairs.rejected]
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


def conflicts(claims: pa.Table, known: pa.Table) -> list[dict[str, Any]]:
    """Return one issue per object and attribute whose claims differ beyond tolerance, and one summary per attribute.

    Parameters
    ----------
    claims
        Rows of the table of that name.
    known
        Issues so far: what they name as a conflict is not named again.
    """
    chosen = claims.filter(pc.field("chosen"))
    others = claims.filter(~pc.field("chosen"))
    if not others.num_rows or not chosen.num_rows:
        return []
    told = known.filter((pc.field("code") == "conflict") & pc.field("object").is_valid() & pc.field("record").is_valid())
    told = told.select(["object", "record"]).rename_columns(["object", "attribute"]).group_by(["object", "attribute"]).aggregate([])
    joined = others.join(chosen, ["object", "attribute"], join_type="inner", right_suffix="_chosen", use_threads=False)
    joined = joined.join(told, ["object", "attribute"], join_type="left anti", use_threads=False)
    joined = joined.sort_by([("attribute", "ascending"), ("object", "ascending")])
    rows: list[dict[str, Any]] = []
    for name in sorted(set(joined["attribute"].to_pylist())):
        rows += _conflicts_of(name, joined.filter(pc.field("attribute") == name))
    return rows


def _conflicts_of(name: str, joined: pa.Table) -> list[dict[str, Any]]:
    unit = joined["unit"][0].as_py() or ""
    first, second = values_of(joined["value_chosen"]), values_of(joined["value"])
    if first.type != second.type:
        first, second = (
            side.cast(pa.float64() if not pa.types.is_string(first.type) and not pa.types.is_string(second.type) else pa.string())
            for side in (first, second)
        )
    differ = np.flatnonzero(disagree(first, second, unit))
    if not len(differ):
        return []
    label = STANDARD_NAMES[name].label_zh if name in STANDARD_NAMES else name
    a, b = first.take(pa.array(differ)).to_pylist(), second.take(pa.array(differ)).to_pylist()
    owners = joined["object"].take(pa.array(differ)).to_pylist()
    rows: list[dict[str, Any]] = [
        {
            "code": "conflict",
            "object": owner,
            "record": name,
            "message": f"{name} {label}: {_show(x)} {unit} is chosen, another source says {_show(y)} {unit}".replace("  ", " "),
        }
        for owner, x, y in zip(owners, a, b, strict=True)
    ]
    if pa.types.is_floating(first.type) and len(differ) > 2:
        gap = np.asarray(b, float) - np.asarray(a, float)
        middle = (
            f"{name}: {len(differ)} of {joined.num_rows} objects disagree; the other source is {np.median(gap):+.2f} {unit} off (median)"
        )
        rows.append({"code": "conflict", "record": name, "message": middle})
    return rows


def _show(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
