"""Which record of a source, as it is now, is which record of before: by id; by place where ids only count rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.marks import Marks, marks_of, read_marks
from cim.loaders.fusion.match import match_cities
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Records", "compare"]

FEW = 0.1
"""When no more than this share of the ids is found again, ids were made anew."""
ROW_IDS = "layer and record number"
"""What readers say about records without an id."""


@dataclass(frozen=True)
class Records:
    """The records of one source before and now, row by row of `matches` before."""

    rows: Ints
    """Shape (n,): rows in `matches`."""
    objects: Ints
    """Shape (n,): object of each."""
    now: Ints
    """Shape (n,): key in the source as it is now, -1 where the record is gone."""
    moved: Flags
    """Shape (n,): same shape at another place."""
    reshaped: Flags
    """Shape (n,): another shape."""
    revalued: Flags
    """Shape (n,): other attributes."""
    unsure: Flags
    """Shape (n,): there is no mark to compare with."""
    added: Ints
    """Keys in the source as it is now of records nobody knows yet."""
    notes: tuple[str, ...] = ()
    """What the user should know, in words."""

    @property
    def touched(self) -> Flags:
        """Shape (n,): whether the record is gone, differs, or may differ."""
        return (self.now < 0) | self.moved | self.reshaped | self.revalued | self.unsure


def compare(city: City, source: int, fresh: City, placed: City) -> Records:
    """Return what became of the records of a source.

    Parameters
    ----------
    source
        Key in `city`.
    fresh
        The source as it was read again, nothing else.
    placed
        The same in the coordinate system of the city.
    """
    matches = city.tables["matches"]
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(matches["source"], source), fill_value=False).to_numpy()))
    mine = matches.take(pa.array(rows))
    objects = np.asarray(mine["object"].to_numpy(), np.int64)
    old, new = read_marks(mine["evidence"]), marks_of(fresh)
    keys = np.asarray(fresh.tables["objects"]["key"].to_numpy(), np.int64)
    notes: list[str] = []
    before, after = _names(city, mine, fresh)
    place = np.asarray(pc.fill_null(pc.index_in(pa.array(before, pa.string()), pa.array(after, pa.string())), -1).to_numpy(), np.int64)
    if len(rows) and len(keys) and (_counted(city, source) or _counted(fresh, None) or np.mean(place >= 0) <= FEW):
        place = _by_place(city, objects, before, after, old, new, placed)
        found = int((place >= 0).sum())
        notes.append(
            f"the records have no ids that last (they count rows, or were made anew): {found} of {len(rows)} were found again by what they "
            "say and where they lie; check those that are listed as removed and added"
        )
    there = np.maximum(place, 0)
    sure = old.known & (place >= 0)
    form, where, values = (
        sure & (one != other[there]) if len(keys) else np.zeros(len(rows), bool)
        for one, other in ((old.form, new.form), (old.place, new.place), (old.values, new.values))
    )
    covers = np.isin(keys, np.asarray(fresh.tables["coverages"]["object"].to_numpy(), np.int64))
    values |= (place >= 0) & covers[there] if len(keys) else False  # a mark does not look into a raster or a point cloud
    row_keys = keys[there] if len(keys) else np.zeros(len(rows), np.int64)
    now = np.where(place >= 0, row_keys, -1)
    return Records(rows, objects, now, where & ~form, form, values, (place >= 0) & ~old.known, np.setdiff1d(keys, now), tuple(notes))


def _names(city: City, mine: pa.Table, fresh: City) -> tuple[list[str], list[str]]:
    """Return the name of each record before and now: its id, with the start of its period where one id stands for several."""
    new_ids = fresh.tables["objects"]["id"].to_pylist()
    new_since = _since(fresh.tables["objects"]["valid_from"])
    old_ids = mine["record"].to_pylist()
    old_since = _since(city.core_rows(["valid_from"], mine["object"].to_numpy())["valid_from"])
    leading = [record for record, kind in zip(old_ids, mine["kind"].to_pylist(), strict=True) if kind == "new"]
    several = {id for ids in (new_ids, leading) for id, number in Counter(ids).items() if number > 1}

    def named(ids: list[str], since: list[str]) -> list[str]:
        return [f"{id}\0{start}" if id in several else id for id, start in zip(ids, since, strict=True)]

    return named(old_ids, old_since), named(new_ids, new_since)


def _since(column: pa.ChunkedArray) -> list[str]:
    if column.null_count == len(column):
        return [""] * len(column)
    texts: list[str] = pc.fill_null(column.cast(pa.int64()).cast(pa.string()), "").to_pylist()
    return texts


def _counted(city: City, source: int | None) -> bool:
    """Say whether the ids of a source are numbers of rows."""
    issues = city.tables["issues"]
    said = pc.and_(pc.equal(issues["code"], "assumed"), pc.match_substring(issues["message"], ROW_IDS))
    if source is not None:
        said = pc.and_(said, pc.fill_null(pc.equal(issues["source"], source), fill_value=False))
    return bool(pc.any(said).as_py())


def _by_place(city: City, objects: Ints, before: list[str], after: list[str], old: Marks, new: Marks, placed: City) -> NDArray[np.int64]:
    """Return the row of the source now for each record before: the same mark, else the same shape and place, else by geometry.

    A record that gave several objects something is looked up once.
    """
    place = np.full(len(before), -1)
    free = np.ones(len(after), bool)
    for parts in (("form", "place", "values"), ("form", "place")):
        ours = ["".join(texts) for texts in zip(*(getattr(old, part).tolist() for part in parts), strict=True)]
        theirs = ["".join(texts) for texts in zip(*(getattr(new, part).tolist() for part in parts), strict=True)]
        have: dict[str, list[int]] = {}
        for row in np.flatnonzero(free).tolist():
            have.setdefault(theirs[row], []).append(row)
        known: dict[tuple[str, str], int] = {}
        for row in np.flatnonzero((place < 0) & old.known).tolist():
            found = known.get((before[row], ours[row]))
            if found is None and have.get(ours[row]):
                found = have[ours[row]].pop(0)
                known[before[row], ours[row]] = found
                free[found] = False
            place[row] = -1 if found is None else found
    return _by_geometry(city, objects, place, free, placed)


def _by_geometry(city: City, objects: Ints, place: Ints, free: Flags, placed: City) -> Ints:
    left = np.flatnonzero(place < 0)
    keys = np.asarray(placed.tables["objects"]["key"].to_numpy(), np.int64)
    if not len(left) or not free.any():
        return place
    ours, theirs = city.subset(objects[left]), placed.subset(keys[free])
    pairs = match_cities(ours, theirs, use_identifiers=False)
    same = np.flatnonzero(pairs.kind == "same")
    same = same[np.argsort(-pairs.score[same], kind="stable")]
    partner: dict[int, int] = {}
    used: set[int] = set()
    for one in same.tolist():
        a, b = int(pairs.left[one]), int(pairs.right[one])
        if a not in partner and b not in used:
            partner[a] = b
            used.add(b)
    row_of = {int(key): row for row, key in enumerate(one_array(placed.tables["objects"]["key"]).to_pylist())}
    for row in left.tolist():
        place[row] = row_of[partner[int(objects[row])]] if int(objects[row]) in partner else -1
    return place
