"""Putting what a source says now in the place of what it said: through the same merge that fused it, then the lead given back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.align import Shift
from cim.loaders.fusion.claims import conflicts
from cim.loaders.fusion.marks import FOOTPRINT, marked, read_marks, without_mark
from cim.loaders.fusion.match import match_cities
from cim.loaders.fusion.merge import merge
from cim.loaders.fusion.pairs import Pairs, joined
from cim.loaders.update.choose import choose, only_disputed
from cim.loaders.update.retype import retype
from cim.loaders.update.strip import among, equals, leads, strip
from cim.model.schema import SCHEMAS, one_array

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from cim.loaders.update.records import Records
    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["Applied", "Fate", "apply", "fate_of"]


@dataclass(frozen=True)
class Fate:
    """What becomes of the objects whose records are gone or differ."""

    stay: Ints
    """Objects that keep standing, ascending."""
    go: Ints
    """Objects no source knows any longer, and what was derived from them."""
    rows: Ints
    """Rows of `Records` that are put in anew: all living records of `stay`."""


@dataclass(frozen=True)
class Applied:
    """A city after one source was put in anew."""

    city: City
    added: Ints
    """Objects that stand for added records."""
    joined: tuple[tuple[int, int], ...]
    """Added records that became part of what was known: (object, key in the source as it is now)."""


def fate_of(city: City, records: Records, spared: Ints) -> Fate:
    """Return what becomes of the objects that touched records stand for.

    Parameters
    ----------
    spared
        Objects that turned out to be as they were.
    """
    touched = np.setdiff1d(np.unique(records.objects[records.touched]), spared)
    matches = city.tables["matches"]
    others = np.ones(matches.num_rows, bool)
    others[records.rows] = False
    known = np.asarray(matches["object"].to_numpy(), np.int64)[others]
    alive = np.union1d(known, records.objects[records.now >= 0])
    stay = np.intersect1d(touched, alive)
    go = _with_derived(city, np.setdiff1d(touched, alive))
    return Fate(stay, go, np.flatnonzero((records.now >= 0) & np.isin(records.objects, stay)))


def _with_derived(city: City, keys: Ints) -> Ints:
    """Return objects with the parts of them that no source names, such as estimated storeys."""
    if not len(keys):
        return keys
    objects = city.tables.scan("objects", ["key", "parent", "source"])
    parent = np.asarray(objects["parent"].fill_null(-1).to_numpy(), np.int64)
    own = np.asarray(objects["key"].to_numpy(), np.int64)
    named = np.asarray(city.tables["matches"]["object"].to_numpy(), np.int64)
    derived = np.asarray(pc.is_null(objects["source"]).to_numpy()) & ~np.isin(own, named)
    while True:
        more = np.union1d(keys, own[derived & np.isin(parent, keys)])
        if len(more) == len(keys):
            return np.asarray(keys, np.int64)
        keys = more


def apply(  # one argument per thing that is known by then
    city: City, source: int, placed: City, records: Records, fate: Fate, measured: Ints, settings: Mapping[str, Any], *,
    ended: datetime | None = None,
) -> Applied:  # fmt: skip
    """Return the city with a source put in anew.

    Parameters
    ----------
    source
        Key of the source in `city`.
    placed
        The source as it is now, alone, in the system of the city, with a row in `matches` for each record.
    records, fate
        From `compare` and `fate_of`.
    measured
        Objects whose heights and blocks are measured anew afterwards: a block at the former place is in nobody's box.
    settings
        What the city was fused with.
    ended
        When objects that no source knows any longer ceased to be; they leave the city without it.
    """
    before = city
    city = _without(city, source, fate.go, ended)
    pairs = _known_pairs(before, records, fate, placed)
    led = leads(city, source, fate.stay)
    city = retype(city, placed, pairs.left[np.isin(pairs.left, led)], pairs.right[np.isin(pairs.left, led)])
    bare = strip(city, source, fate.stay, placed, measured)
    wanted = placed.subset(np.union1d(pairs.right, records.added))
    both = joined([pairs, _new_pairs(bare.city, source, placed, records, settings)])
    left = _without_repeated(bare.city, wanted, both)
    offset = _next_key(left)
    merged = _with_source(merge(left, wanted, both), left, source)
    merged = _same_boxes(left, merged, np.union1d(fate.stay, both.left))
    merged = replace(merged, extra=before.extra, time_zone=before.time_zone)
    merged = _given_back(before, merged, source, pairs, records, fate)
    merged = _parents(merged, source, placed, records, both, offset)
    merged = choose(merged, bare.cells)
    merged = only_disputed(before, merged, source, led)
    told = conflicts(merged.tables["claims"].filter(among(merged.tables["claims"]["object"], fate.stay)), merged.tables["issues"])
    merged = merged.with_issues(told)
    fresh = np.setdiff1d(records.added, both.right) + offset
    met = tuple((int(a), int(b)) for a, b in zip(both.left, both.right, strict=True) if b in records.added)
    return Applied(merged, np.asarray(fresh, np.int64), met)


def _next_key(city: City) -> int:
    keys = city.tables["objects"]["key"]
    return int(pc.max(keys).as_py()) + 1 if len(keys) else 0


def _without(city: City, source: int, keys: Ints, ended: datetime | None) -> City:
    """Return the city without objects, or with their end noted."""
    if not len(keys):
        return city
    if ended is None:
        rest = np.setdiff1d(np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64), keys)
        return replace(city.subset(rest), extra=city.extra)
    objects, matches = city.tables["objects"], city.tables["matches"]
    at = objects.column_names.index("valid_to")
    open_ = pc.and_(among(objects["key"], keys), pc.is_null(objects["valid_to"]))
    column = pc.if_else(open_, pa.scalar(ended, objects["valid_to"].type), objects["valid_to"])
    gone = pc.and_(among(matches["object"], keys), equals(matches["source"], source))
    closed = objects.set_column(at, SCHEMAS["objects"].field("valid_to"), column)
    return city.replace_tables(objects=closed, matches=matches.filter(pc.invert(gone)))


# --------------------------------------------------------------------------------------------- pairs


def _marks(placed: City) -> dict[int, str]:
    table = placed.tables["matches"]
    texts = zip(table["object"].to_pylist(), table["evidence"].to_pylist(), strict=True)
    return {key: text for key, text in texts if text and text.startswith("record ")}


def _known_pairs(city: City, records: Records, fate: Fate, placed: City) -> Pairs:
    """Return the pairs of objects and their records as they are now, with kind and evidence as before; a leading record has no score."""
    table = city.tables["matches"].take(pa.array(records.rows[fate.rows]))
    kinds = np.asarray(table["kind"].to_pylist(), object)
    new = kinds == "new"
    texts = np.empty(len(kinds), object)
    texts[:] = [without_mark(text) for text in table["evidence"].to_pylist()]
    score = np.where(new, np.nan, np.asarray(table["score"].to_numpy(), float))
    pairs = Pairs(records.objects[fate.rows], records.now[fate.rows], np.where(new, "same", kinds).astype(object), score, texts)
    said = pc.fill_null(pc.match_substring(table["evidence"], FOOTPRINT), fill_value=False)
    filling = pairs.right[np.asarray(said.to_numpy())]
    return marked(pairs, _marks(placed), filling)


def _new_pairs(city: City, source: int, placed: City, records: Records, settings: Mapping[str, Any]) -> Pairs:
    """Match the added records against what is known and holds no record of this source, as fusion would."""
    from cim.loaders.fusion import _marked  # the evidence that fusion writes

    table = city.tables["matches"]
    held = table.filter(pc.and_(equals(table["source"], source), pc.is_in(table["kind"], pa.array(["same", "new"]))))
    taken = np.union1d(np.asarray(held["object"].to_numpy(), np.int64), records.objects[records.now >= 0])
    keys = np.setdiff1d(np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64), taken)
    if not len(records.added) or not len(keys):
        return joined([])
    left, right = city.subset(keys), placed.subset(records.added)
    shift = settings.get("shifts", {}).get(str(source)) if settings.get("align", "correct") == "correct" else None
    said: dict[str, Any] = {name: np.nan if value is None else value for name, value in (shift or {}).items()}
    known = Shift(**said) if said else None
    pairs = match_cities(
        left, right, minimum=settings.get("minimum_iou", 0.5), use_identifiers=settings.get("use_identifiers", True),
        within=settings.get("within"), shift=known, join=settings.get("join"),
    )  # fmt: skip
    return _marked(left, right, pairs)


def _without_repeated(city: City, wanted: City, pairs: Pairs) -> City:
    """Return the city without the properties that the records say again."""
    said = wanted.tables["properties"]
    if not said.num_rows:
        return city
    order = np.argsort(pairs.right, kind="stable")
    place = np.searchsorted(pairs.right[order], np.asarray(said["object"].to_numpy(), np.int64))
    there = place < len(order)
    owner = np.where(there, pairs.left[order][np.minimum(place, max(len(order) - 1, 0))] if len(order) else -1, -1)
    again = pa.table({"object": owner, "set": said["set"], "name": said["name"]}).group_by(["object", "set", "name"]).aggregate([])
    table = city.tables["properties"]
    numbered = table.append_column("row", pa.array(np.arange(table.num_rows)))
    hit = numbered.join(again, ["object", "set", "name"], join_type="left semi", use_threads=False)["row"].to_numpy()
    kept = np.setdiff1d(np.arange(table.num_rows), hit)
    return city.replace_tables(properties=table.take(pa.array(kept)))


# --------------------------------------------------------------------------------------------- after the merge


def _with_source(merged: City, left: City, source: int) -> City:
    """Return the merged city with the rows of the source under its own key; the entry that the merge added goes."""
    known = left.tables["sources"]
    changed = {}
    for name in ("objects", "geometries", "textures", "coverages", "relations", "matches", "claims", "issues"):
        table = merged.tables[name]
        at = table.column_names.index("source")
        foreign = pc.and_(pc.is_valid(table["source"]), pc.invert(pc.is_in(table["source"], one_array(known["key"]))))
        changed[name] = table.set_column(at, table.schema.field(at), pc.if_else(foreign, pa.scalar(source, pa.int64()), table["source"]))
    return merged.replace_tables(**changed, sources=known)


def _same_boxes(before: City, merged: City, touched: Ints) -> City:
    """Return the city with the boxes that untouched objects had: merging puts blocks into them that were made after they were."""
    old, new = before.tables["objects"], merged.tables["objects"]
    rows = np.arange(new.num_rows)
    keys = np.asarray(new["key"].to_numpy(), np.int64)
    have = np.asarray(old["key"].to_numpy(), np.int64)
    stays = np.isin(keys, have) & ~np.isin(keys, touched)
    rows[stays] = new.num_rows + np.searchsorted(have, keys[stays])
    both = pa.concat_arrays([one_array(new["bbox"]), one_array(old["bbox"])])
    at = new.column_names.index("bbox")
    return merged.replace_tables(objects=new.set_column(at, SCHEMAS["objects"].field("bbox"), both.take(pa.array(rows))))


def _given_back(before: City, merged: City, source: int, pairs: Pairs, records: Records, fate: Fate) -> City:
    """Return the city with the lead of the source noted where it led, and the next source leading where its record is gone."""
    old = before.tables["matches"].take(pa.array(records.rows[fate.rows]))
    leading = np.asarray(pc.equal(old["kind"], "new").to_numpy())
    firsts = np.unique(pairs.left[leading])
    table = merged.tables["matches"]
    mine = pc.and_(pc.and_(among(table["object"], firsts), equals(table["source"], source)), pc.equal(table["kind"], "same"))
    marks = read_marks(table["evidence"])
    bare = pa.array(marks.texts(), pa.string(), mask=~marks.known)
    for name, column in (("kind", pa.scalar("new")), ("evidence", bare)):
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(at), pc.if_else(mine, column, table[name]))
    return _next_leads(merged.replace_tables(matches=table, identifiers=_own_ids(before, merged, firsts)), before, source, fate, firsts)


def _own_ids(before: City, merged: City, keys: Ints) -> pa.Table:
    """Return the identifiers without the ids of leading records that merging noted: they are the ids of their objects."""
    old = before.tables["identifiers"]
    kept = old.filter(_is_own_id(before, old))["object"]
    table = merged.tables["identifiers"]
    own = pc.and_(pc.and_(among(table["object"], keys), _is_own_id(merged, table)), pc.invert(pc.is_in(table["object"], one_array(kept))))
    return table.filter(pc.invert(own))


def _is_own_id(city: City, identifiers: pa.Table) -> pa.ChunkedArray:
    """Say which identifiers are the id of their object."""
    owners = np.asarray(identifiers["object"].to_numpy(), np.int64)
    ids = city.core_rows(["id"], owners)["id"]
    return pc.and_(pc.equal(identifiers["scheme"], "id"), pc.equal(identifiers["value"], ids))


def _next_leads(city: City, before: City, source: int, fate: Fate, firsts: Ints) -> City:
    """Return the city with another source leading the objects whose leading record is gone."""
    orphans = np.setdiff1d(leads(before, source, fate.stay), firsts)
    if not len(orphans):
        return city
    table = city.tables["matches"]
    rest = table.filter(among(table["object"], orphans)).group_by("object").aggregate([("source", "min")])
    objects = city.tables["objects"]
    place = pc.index_in(objects["key"], one_array(rest["object"]))
    column = pc.if_else(among(objects["key"], orphans), one_array(rest["source_min"]).take(one_array(place)), objects["source"])
    at = objects.column_names.index("source")
    return city.replace_tables(objects=objects.set_column(at, SCHEMAS["objects"].field("source"), column))


def _parents(city: City, source: int, placed: City, records: Records, pairs: Pairs, offset: int) -> City:
    """Return the city with the objects that the source leads under the objects their parents became."""
    table = placed.tables["objects"].filter(pc.is_valid(placed.tables["objects"]["parent"]))
    if not table.num_rows:
        return city
    object_of = {int(now): int(key) for key, now in zip(records.objects, records.now, strict=True) if now >= 0}
    object_of |= {int(key): int(key) + offset for key in records.added}
    object_of |= {int(right): int(left) for left, right in zip(pairs.left, pairs.right, strict=True)}
    put = np.union1d(pairs.right, records.added)
    wanted = {
        object_of[child]: object_of[parent]
        for child, parent in zip(table["key"].to_pylist(), table["parent"].to_pylist(), strict=True)
        if child in put and parent in object_of
    }
    objects = city.tables["objects"]
    led = np.asarray(equals(objects["source"], source).to_numpy())
    keys, parents = objects["key"].to_pylist(), objects["parent"].to_pylist()
    column = [wanted.get(key, old) if mine else old for key, old, mine in zip(keys, parents, led.tolist(), strict=True)]
    at = objects.column_names.index("parent")
    return city.replace_tables(objects=objects.set_column(at, SCHEMAS["objects"].field("parent"), pa.array(column, pa.int64())))
