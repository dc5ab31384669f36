"""The city in time: as it was valid at an instant, and what differs between two cities, object by object."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSMismatchError, UsageError
from cim.model.schema import one_array

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from cim.model.city import City

__all__ = ["Diff", "asof", "diff", "instant"]


def instant(time: datetime | str, zone: str = "UTC") -> datetime:
    """Return a time as a UTC instant; one without zone is taken in `zone`.

    Raises
    ------
    UsageError
        If a text is no ISO 8601 time.

    Examples
    --------
    >>> instant("2026-07-01T07:00", "Asia/Shanghai").isoformat()
    '2026-06-30T23:00:00+00:00'
    """
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError as error:
            msg = f"time {time!r} cannot be read; write it as 2026-07-01T07:00 or 2026-07-01"
            raise UsageError(msg) from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(zone))
    return time.astimezone(UTC)


def asof(city: City, time: datetime | str) -> City:
    """Return the city as it was valid at an instant: ``valid_from <= time < valid_to``, a missing bound being open."""
    at = pa.scalar(instant(time, city.time_zone), pa.timestamp("us", tz="UTC"))
    objects = city.tables.scan("objects", ["key", "valid_from", "valid_to"])
    begun = pc.fill_null(pc.less_equal(objects["valid_from"], at), fill_value=True)
    lasting = pc.fill_null(pc.greater(objects["valid_to"], at), fill_value=True)
    return city.subset(objects.filter(pc.and_(begun, lasting))["key"].to_numpy())


@dataclass(frozen=True)
class Diff:
    """What differs between two cities, by object id."""

    added: tuple[str, ...]
    """Ids only the second city holds."""
    removed: tuple[str, ...]
    """Ids only the first city holds."""
    changed: pa.Table
    """Columns id, attribute, old, new (text; ``geometry`` and ``footprint`` say only that they differ)."""

    def to_pandas(self) -> pandas.DataFrame:
        """Return every difference as one table: id, what, attribute, old, new."""
        import pandas as pd

        whole = [(id, "added", None, None, None) for id in self.added] + [(id, "removed", None, None, None) for id in self.removed]
        parts = self.changed.to_pandas().assign(what="changed")
        frame = pd.DataFrame(whole, columns=["id", "what", "attribute", "old", "new"])
        whole_and_parts: pandas.DataFrame = (
            pd.concat([frame, parts[frame.columns]], ignore_index=True) if len(frame) else parts[frame.columns]
        )
        return whole_and_parts

    def __repr__(self) -> str:
        """Return the three counts."""
        objects = len(set(self.changed["id"].to_pylist()))
        return f"<Diff: {len(self.added)} added, {len(self.removed)} removed, {objects} changed>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self)[1:-1])}</p>{self.to_pandas().head(50).to_html(index=False, na_rep='')}"


def diff(first: City, second: City) -> Diff:
    """Return what differs between two cities, by object id.

    Compared are class, name, parent, footprint, heights, CIM code and level, validity, grade, attributes and geometry (every level
    of detail, to the micrometre); not compared is where values come from.

    Raises
    ------
    CRSMismatchError
        If the cities are in different coordinate systems.
    UsageError
        If a city holds the same id several times; ask with `asof` first.
    """
    if first.crs != second.crs:
        reason = f"the first city is in {first.crs.to_string()}, the second in {second.crs.to_string()}"
        raise CRSMismatchError(first.name or "city", reason, "bring both to one CRS first")
    old, new = _texts(first), _texts(second)
    old_ids, new_ids = old.pop("id"), new.pop("id")
    place = pc.index_in(old_ids, new_ids)
    stayed = pc.is_valid(place)
    there = place.filter(stayed)
    ids = old_ids.filter(stayed)
    nothing = pa.nulls(len(ids), pa.string())
    parts = [
        _differing(name, ids, old[name].filter(stayed) if name in old else nothing, new[name].take(there) if name in new else nothing)
        for name in sorted(old.keys() | new.keys())
    ]
    changed = pa.concat_tables(parts).sort_by([("id", "ascending"), ("attribute", "ascending")]) if parts else _CHANGED.empty_table()
    added = new_ids.filter(pc.invert(pc.is_in(new_ids, old_ids)))
    removed = old_ids.filter(pc.invert(stayed))
    return Diff(tuple(sorted(added.to_pylist())), tuple(sorted(removed.to_pylist())), changed)


_COMPARED = ("type", "name", "z_ground", "z_roof", "cim_code", "cim_level", "valid_from", "valid_to", "grade")
_CHANGED = pa.schema([(name, pa.string()) for name in ("id", "attribute", "old", "new")])


def _differing(name: str, ids: pa.Array, old: pa.Array, new: pa.Array) -> pa.Table:
    """Return the rows where a column differs, a missing value being unlike any other."""
    unlike = pc.or_(pc.fill_null(pc.not_equal(old, new), False), pc.xor(pc.is_null(old), pc.is_null(new)))
    found = ids.filter(unlike)
    return pa.table([found, pa.repeat(name, len(found)), old.filter(unlike), new.filter(unlike)], schema=_CHANGED)


def _texts(city: City) -> dict[str, pa.Array]:
    """Return every compared column as text over all objects, in the order of the objects."""
    objects = city.tables["objects"].combine_chunks()
    ids, keys = one_array(objects["id"]), one_array(objects["key"])
    counts = pc.value_counts(ids)
    if len(counts) < len(ids):
        twice = next(row["values"] for row in counts.to_pylist() if row["counts"] > 1)
        msg = f"id {twice!r} stands for several periods of validity; compare city.asof(time) instead"
        raise UsageError(msg)
    columns = {"id": ids, "parent": ids.take(pc.index_in(one_array(objects["parent"]), keys))}
    columns.update({name: one_array(objects[name]).cast(pa.string()) for name in _COMPARED})
    columns["footprint"] = _footprint_marks(one_array(objects["footprint"]))
    columns["geometry"] = _geometry_marks(city, keys)
    for type in city.attributes:
        table = city.attributes[type]
        place = pc.index_in(keys, one_array(table["object"]))
        for name in table.column_names:
            if name != "object":
                mine = one_array(table[name]).cast(pa.string()).take(place)
                columns[name] = pc.coalesce(columns[name], mine) if name in columns else mine
    return columns


def _footprint_marks(wkb: pa.Array) -> pa.Array:
    """Return a short mark per distinct footprint."""
    coded = wkb.dictionary_encode()
    marks = pa.array(
        [None if value is None else blake2b(value, digest_size=8).hexdigest() for value in coded.dictionary.to_pylist()], pa.string()
    )
    return marks.take(coded.indices)


def _geometry_marks(city: City, keys: pa.Array) -> pa.Array:
    """Return one mark per object that changes when any of its geometries does; vertices are compared to the micrometre."""
    table = city.geometry_table()
    if not table.num_rows:
        return pa.nulls(len(keys), pa.string())
    from cim.model.geometry import flatten

    flat = flatten(table)
    exact = np.round((flat.vertices + city.origin) * 1e6).astype(np.int64)
    total = _hash(exact.reshape(-1), flat.vertex_start * 3)
    rings = flat.surface_start[flat.shell_start[flat.solid_start[flat.geometry_start]]]
    local = flat.index - np.repeat(flat.vertex_start[flat.geometry_of_ring], np.diff(flat.ring_start))
    total += _hash(local, flat.ring_start[rings])
    levels = ((flat.ring_start, rings), (flat.surface_start, flat.shell_start[flat.solid_start[flat.geometry_start]]),
              (flat.shell_start, flat.solid_start[flat.geometry_start]), (flat.solid_start, flat.geometry_start))  # fmt: skip
    for number, (start, owners) in enumerate(levels):
        total += _mix(_hash(np.diff(start), owners) + np.uint64(number))
    for name in ("lod", "role", "type"):
        total += _text_hash(one_array(table[name]))
    semantics = one_array(table["semantics"])
    total += _hash(semantics.flatten().to_numpy(zero_copy_only=False).astype(np.int64), _starts(semantics))
    owner, row = np.unique(np.asarray(table["object"].to_numpy(), np.int64), return_inverse=True)
    whole = np.zeros(len(owner), np.uint64)
    np.add.at(whole, row, _mix(total))
    marks = pa.array([f"{value:016x}" for value in whole.tolist()])
    return marks.take(pc.index_in(keys, pa.array(owner)))


def _starts(lists: pa.Array) -> NDArray[np.int64]:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)
    return np.concatenate([[0], np.cumsum(lengths)])


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit values (the finaliser of splitmix64; Steele, Lea and Flood 2014), so that sums of them serve as a hash."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _hash(values: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of each stretch of `values`, order included, shape (len(start) - 1,)."""
    place = np.arange(len(values)) - np.repeat(start[:-1], np.diff(start))
    each = _mix(values.astype(np.uint64) + _mix(place.astype(np.uint64) + np.uint64(1)))
    total = np.concatenate([[np.uint64(0)], np.cumsum(each, dtype=np.uint64)])
    return _mix(total[start[1:]] - total[start[:-1]])


def _text_hash(texts: pa.Array) -> NDArray[np.uint64]:
    coded = texts.dictionary_encode()
    marks = np.asarray(
        [int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") for text in coded.dictionary.to_pylist()], np.uint64
    )
    spread: NDArray[np.uint64] = marks[coded.indices.to_numpy(zero_copy_only=False)]
    return spread
