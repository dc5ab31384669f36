"""`update`: a city with its changed sources read again."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.fusion import _moved as placed_in
from cim.loaders.fusion.merge import new_matches
from cim.loaders.update.apply import Applied, Fate, apply, fate_of
from cim.loaders.update.derive import beside, footprints_of_others, measurable, remeasure, resolved, stale
from cim.loaders.update.records import compare
from cim.loaders.update.rows import rows_of
from cim.loaders.update.sources import catalogue, find_sources, now, of_source, reread
from cim.loaders.update.strip import equals
from cim.loaders.update.told import CHANGES, differences, said_by, table
from cim.model.schema import one_array
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import pandas
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits
    from cim.loaders.update.records import Records
    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["Update", "update"]


@dataclass(frozen=True)
class Update:
    """A city after an update, and what the update did."""

    city: City
    """The city as it is now; the very one given when no source changed."""
    changes: pa.Table
    """Columns id, kind (``added``, ``removed``, ``moved``, ``changed``), attribute, old, new, source: what the records of the sources
    that were read did to objects. An object whose removed record another source supports is ``removed`` too, with a word in `new`."""
    read: tuple[str, ...]
    """Sources whose file changed and was read again."""
    unchanged: tuple[str, ...]
    """Sources whose file is as it was: nothing of them was read but the bytes for the checksum."""
    missing: tuple[str, ...]
    """Sources whose file is not there: what they said is kept as it is."""
    issues: pa.Table
    """What the user should look at: issues that the city did not have before."""

    def ids(self, kind: str) -> list[str]:
        """Return the ids of the objects of one kind of change, sorted."""
        return sorted(set(self.changes.filter(pc.equal(self.changes["kind"], kind))["id"].to_pylist()))

    def counts(self) -> dict[str, int]:
        """Return the number of objects by kind of change."""
        return {kind: len(self.ids(kind)) for kind in ("added", "removed", "moved", "changed")}

    def to_pandas(self) -> pandas.DataFrame:
        """Return the list of changes."""
        frame: pandas.DataFrame = self.changes.to_pandas()
        return frame

    def text(self) -> str:
        """Return one line for people."""
        done = ", ".join(f"{number} {kind}" for kind, number in self.counts().items() if number) or "no object changed"
        gone = f"; not there: {', '.join(self.missing)}" if self.missing else ""
        return (f"read again: {', '.join(self.read)}: {done}" if self.read else "no source changed") + gone

    def __repr__(self) -> str:
        """Return what was done in one line."""
        return f"<Update: {self.text()}>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.text())}</p>{self.to_pandas().head(100).to_html(index=False, na_rep='')}"


def update(
    city: City, *, sources: Sequence[str | Path] | Mapping[str, str | Path] | None = None, removed: Literal["drop", "end"] = "drop",
    limits: Limits | None = None,
) -> Update:  # fmt: skip
    """Return the city with its changed sources read again.

    Every source's file is compared with the checksum the city keeps; only those that differ are read, with the mapping, coordinate
    system, encoding and options they were read with. Records are found again by id, those without lasting ids by what they say and where
    they lie. Only the objects of records that differ are touched: what this source said about them is replaced, what the others say
    stays; heights and blocks are measured anew from the rasters and point clouds that the city keeps.

    Parameters
    ----------
    sources
        Names or paths of the sources to look at, all without it; a mapping says where their files lie now.
    removed
        What becomes of an object that no source knows any longer: it leaves the city (``drop``; earlier versions of a store still hold
        it), or stays with the end of its validity noted (``end``). An object that another source supports stays in either case.
    limits
        How large, deep and slow the files may be.

    Raises
    ------
    UsageError
        If a source is not known.
    InputError
        If a changed file cannot be used; the message names it. Nothing is changed then.
    """
    if removed not in {"drop", "end"}:
        msg = f"removed is {removed!r}, expected 'drop' or 'end'"
        raise UsageError(msg)
    files = find_sources(city, sources)
    changed = [file for file in files if file.state == "changed"]
    ended = now() if removed == "end" else None
    rows: list[dict[str, Any]] = []
    done = city
    for file in track(changed, label="updating", unit="source") if changed else []:
        fresh, same = reread(file, limits)
        for key, source in same.items():
            done, more = _one(_with_records(done, source), fresh, key, source, ended)
            rows += more
            done = catalogue(done, fresh, key, source)
    done, told = (_tidied(city, done)) if changed else (city, city.tables["issues"].slice(0, 0))
    names = {state: tuple(name for file in files if file.state == state for name in file.names) for state in ("unchanged", "missing")}
    return Update(
        done, table(rows) if rows else CHANGES.empty_table(), tuple(name for file in changed for name in file.names), names["unchanged"],
        names["missing"], told,
    )  # fmt: skip


def _with_records(city: City, source: int) -> City:
    """Return the city with a row in `matches` for each object of a source that was never fused."""
    if pc.any(equals(city.tables["matches"]["source"], source)).as_py():
        return city
    every = new_matches(city)
    mine = every.filter(equals(every["source"], source))
    return replace(city, tables=city.tables.replace(matches=pa.concat_tables([city.tables["matches"], mine])))


def _tidied(before: City, after: City) -> tuple[City, pa.Table]:
    """Return the city without issues that stand twice, and those that are new."""
    issues = after.tables["issues"]
    once = issues.group_by(issues.column_names, use_threads=False).aggregate([]).select(issues.column_names).cast(issues.schema)
    known = set(before.tables["issues"]["message"].to_pylist())
    fresh = np.array([text not in known for text in once["message"].to_pylist()], bool)
    return replace(after, tables=after.tables.replace(issues=once), path=None, version=None), once.filter(pa.array(fresh))


def _one(city: City, fresh: City, key: int, source: int, ended: datetime | None) -> tuple[City, list[dict[str, Any]]]:
    """Return the city with one source put in anew, and the rows that say what changed."""
    settings = dict(city.extra.get("fusion", {}))
    alone = _alone(fresh, key)
    placed = placed_in(alone, city.crs, city, allow_ballpark=bool(settings.get("allow_ballpark", False)))
    records = compare(city, source, alone, placed)
    spared = np.empty(0, np.int64)
    while True:
        fate = fate_of(city, records, spared)
        measured = measurable(city, _remeasured(records, fate, placed))
        applied = apply(city, source, placed, records, fate, measured, settings, ended=ended)
        done, keys = _followed(city, applied, measured, fate, placed, settings)
        found = differences(city, done, keys)
        said = said_by(city, source, fate.stay), said_by(done, source, fate.stay)
        spurious = _as_before(records, fate, found, said)
        if not len(spurious):
            break
        spared = np.union1d(spared, spurious)
    displaced = np.array([one for one in fate.stay.tolist() if any(row[0] == "footprint" for row in found.get(one, []))], np.int64)
    done = done.with_issues(stale(done, displaced, source) + _orphans(city, fate) + _notes(city, records, source, settings))
    return _renamed(done, city, records, placed, fate, source), rows_of(city, done, source, placed, records, fate, applied, found, said)


def _alone(fresh: City, key: int) -> City:
    """Return one source of those a file holds."""
    alone = of_source(fresh, key)
    sources, issues = alone.tables["sources"], alone.tables["issues"]
    mine = pc.fill_null(pc.equal(issues["source"], key), fill_value=True)
    return replace(alone.replace_tables(sources=sources.filter(pc.equal(sources["key"], key)), issues=issues.filter(mine)), extra={})


def _followed(before: City, applied: Applied, again: Ints, fate: Fate, placed: City, settings: Mapping[str, Any]) -> tuple[City, Ints]:
    """Return the city with what follows from the new records, and the objects it may have touched."""
    import shapely

    city = footprints_of_others(applied.city, fate.stay)
    city = resolved(city, fate.stay, settings)
    met = np.unique(np.array([key for key, _ in applied.joined], np.int64))
    known = met[shapely.is_missing(before.footprints(met))] if len(met) else met  # a footprint where there was none
    if placed.tables.rows("coverages") or _lost_coverage(before, city):
        wanted = np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64)
    else:
        wanted = np.union1d(known, applied.added)
    measured = np.union1d(again, measurable(city, wanted.astype(np.int64))).astype(np.int64)
    done = remeasure(city, measured, settings)
    if not placed.tables.rows("coverages"):
        done = done.with_issues(beside(before, done, measured))
    return done, np.unique(np.concatenate([fate.stay, met, np.setdiff1d(measured, applied.added)]))


def _lost_coverage(before: City, after: City) -> bool:
    return before.tables.rows("coverages") != after.tables.rows("coverages")


def _remeasured(records: Records, fate: Fate, placed: City) -> Ints:
    """Return the objects whose heights may be others now: another shape or place, or heights stated anew."""
    heights = any("height" in placed.attributes.schema(type).names for type in placed.attributes)
    objects = placed.tables["objects"]
    heights |= any(objects[name].null_count < objects.num_rows for name in ("z_ground", "z_roof"))
    moved = (records.now < 0) | records.moved | records.reshaped | records.unsure | (records.revalued & heights)
    return np.intersect1d(np.unique(records.objects[moved]), fate.stay)


def _as_before(records: Records, fate: Fate, found: Mapping[int, Any], said: tuple[Mapping[Any, Any], Mapping[Any, Any]]) -> Ints:
    """Return the objects without marks that turned out to be as they were."""
    sure = np.unique(records.objects[records.touched & ~records.unsure])
    differing = {key for key, _ in set(said[0]) | set(said[1])} & set(fate.stay.tolist())
    claims = {key for key in differing if _of(said[0], key) != _of(said[1], key)}
    return np.array([key for key in np.setdiff1d(fate.stay, sure).tolist() if key not in found and key not in claims], np.int64)


def _of(said: Mapping[Any, Any], key: int) -> dict[str, Any]:
    return {name: values for (owner, name), values in said.items() if owner == key}


def _renamed(city: City, before: City, records: Records, placed: City, fate: Fate, source: int) -> City:
    """Return the city with the records of untouched objects under the ids they have now."""
    rows = np.flatnonzero((records.now >= 0) & ~np.isin(records.objects, fate.stay))
    old = before.tables["matches"]["record"].take(pa.array(records.rows[rows])).to_pylist()
    new = placed.ids(records.now[rows])
    names = {(int(key), a): b for key, a, b in zip(records.objects[rows], old, new, strict=True) if a != b}
    if not names:
        return city
    table = city.tables["matches"]
    mine = equals(table["source"], source).to_pylist()
    listed = zip(table["object"].to_pylist(), table["record"].to_pylist(), mine, strict=True)
    column = pa.array([names.get((key, record), record) if own else record for key, record, own in listed], pa.string())
    at = table.column_names.index("record")
    return replace(city, tables=city.tables.replace(matches=table.set_column(at, table.schema.field(at), column)))


def _orphans(city: City, fate: Fate) -> list[dict[str, Any]]:
    """Return an issue for parts whose whole left the city."""
    objects = city.tables.scan("objects", ["key", "parent"])
    lost = pc.and_(pc.is_in(objects["parent"], pa.array(fate.go)), pc.invert(pc.is_in(objects["key"], pa.array(fate.go))))
    count = int(pc.sum(lost).as_py() or 0)
    text = f"{count} parts stand alone: the record of their whole was removed"
    return [{"code": "lost", "count": count, "message": text}] if count else []


def _notes(city: City, records: Records, source: int, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the user should know about how the comparison was made."""
    names = dict(zip(*(one_array(city.tables["sources"][name]).to_pylist() for name in ("key", "name")), strict=True))
    told = [{"code": "assumed", "source": source, "message": f"{names[source]}: {text}"} for text in records.notes]
    unsure = int(records.unsure.sum())
    if unsure:
        text = f"{names[source]}: {unsure} records had no mark to compare with; they were compared with what the city holds of them"
        told.append({"code": "assumed", "severity": "info", "count": unsure, "source": source, "message": text})
    if not settings and len(names) > 1 and len(records.added):
        text = f"{names[source]}: the city does not say how it was fused; added records were matched with the defaults"
        told.append({"code": "assumed", "source": source, "message": text})
    share = float(np.mean(records.moved | records.reshaped)) if len(records.rows) else 0.0
    if share > MOST and len(records.rows) >= ENOUGH:
        text = f"{names[source]}: {share:.0%} of the records lie elsewhere or have another shape; check the coordinate system of the file"
        told.append({"code": "crs", "source": source, "count": int((records.moved | records.reshaped).sum()), "message": text})
    return told


MOST, ENOUGH = 0.5, 10
"""When more than half of at least ten records moved, something happened to the file as a whole."""
