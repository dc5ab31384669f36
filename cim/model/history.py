"""The city in time: as it was valid at an instant, and what differs between two cities, object by object."""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSMismatchError, UsageError

if TYPE_CHECKING:
    import pandas

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
        return pd.concat([frame, parts[frame.columns]], ignore_index=True) if len(frame) else parts[frame.columns]

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
        raise CRSMismatchError("diff", f"the first city is in {first.crs.to_string()}, the second in {second.crs.to_string()}", "bring both to one CRS first")
    old, new = _cells(first), _cells(second)
    old_ids, new_ids = set(old), set(new)
    rows = [
        {"id": id, "attribute": name, "old": old[id].get(name), "new": new[id].get(name)}
        for id in sorted(old_ids & new_ids)
        if old[id] != new[id]
        for name in sorted(old[id].keys() | new[id].keys())
        if old[id].get(name) != new[id].get(name)
    ]
    schema = pa.schema([(name, pa.string()) for name in ("id", "attribute", "old", "new")])
    return Diff(tuple(sorted(new_ids - old_ids)), tuple(sorted(old_ids - new_ids)), pa.Table.from_pylist(rows, schema=schema))


_COMPARED = ("type", "name", "z_ground", "z_roof", "cim_code", "cim_level", "valid_from", "valid_to", "grade")


def _cells(city: City) -> dict[str, dict[str, str]]:
    """Return the compared values of every object as text, by id; missing values are left out."""
    objects = city.tables["objects"]
    ids = objects["id"].to_pylist()
    if len(set(ids)) < len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        msg = f"id {twice!r} stands for several periods of validity; compare city.asof(time) instead"
        raise UsageError(msg)
    cells: dict[str, dict[str, str]] = {id: {} for id in ids}
    by_key = dict(zip(objects["key"].to_pylist(), ids, strict=True))
    columns: list[tuple[str, list[str], pa.ChunkedArray]] = [(name, ids, objects[name]) for name in _COMPARED]
    for type in city.attributes:
        table = city.attributes[type]
        owners = [by_key[key] for key in table["object"].to_pylist()]
        columns += [(name, owners, table[name]) for name in table.column_names if name != "object"]
    for name, owners, column in columns:
        for id, value in zip(owners, column.to_pylist(), strict=True):
            if value is not None:
                cells[id][name] = _text(value)
    for id, parent in zip(ids, objects["parent"].to_pylist(), strict=True):
        if parent is not None:
            cells[id]["parent"] = by_key.get(parent, str(parent))
    for id, wkb in zip(ids, objects["footprint"].to_pylist(), strict=True):
        if wkb is not None:
            cells[id]["footprint"] = _digest(wkb)
    for key, mark in _geometry_marks(city).items():
        cells[by_key[key]]["geometry"] = mark
    return cells


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value) if isinstance(value, float) else str(value)


def _digest(data: bytes) -> str:
    import hashlib

    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _geometry_marks(city: City) -> dict[int, str]:
    """Return one mark per object that changes when any of its geometries does; vertices are compared to the micrometre."""
    table = city.tables["geometries"]
    if not table.num_rows:
        return {}
    owners = table["object"].to_pylist()
    marks: dict[int, list[str]] = {}
    for row, owner in enumerate(owners):
        piece = table.slice(row, 1)
        vertices = np.asarray(piece["vertices"][0].as_py() or [], float).reshape(-1, 3) + city.origin
        shape = repr((piece["lod"][0].as_py(), piece["role"][0].as_py(), piece["type"][0].as_py(), piece["boundaries"][0].as_py(), piece["semantics"][0].as_py()))
        exact = np.round(vertices * 1e6).astype(np.int64).tobytes()
        marks.setdefault(owner, []).append(_digest(shape.encode() + exact))
    return {owner: "+".join(sorted(each)) for owner, each in marks.items()}
