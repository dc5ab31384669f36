"""Parents, children and groups: links that the two ends state differently are mended, loops cut, both counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.cityjson.document import Note, Record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["Links", "links_of"]

GROUP = "CityObjectGroup"
_LINKS = frozenset({"parents", "children", "members"})


@dataclass(frozen=True)
class Links:
    """How the objects hang together, by row."""

    parent: Ints
    """Shape (n,): row of the whole, -1 for none."""
    members: list[tuple[int, int]]
    """Group and member."""
    more_parents: list[tuple[int, int]]
    """Part and whole, for each whole beyond the first."""
    notes: list[Note]


def links_of(records: Sequence[Record], types: Sequence[str]) -> Links:
    """Return parents and group members; a link stated at one end only counts, one to an object that is not there is named."""
    plain = _plain(records, types)
    if plain is not None:
        return plain
    row_of: dict[str, int] = {}
    for row, record in enumerate(records):
        row_of.setdefault(record.id, row)
    notes: list[Note] = []
    up, down, members = _stated(records, types, row_of, notes)
    parent = np.full(len(records), -1, np.int64)
    more = []
    one_sided = 0
    for part, whole in dict.fromkeys([*up, *down]):
        one_sided += ((part, whole) not in up) + ((part, whole) not in down)
        if parent[part] < 0:
            parent[part] = whole
        else:
            more.append((part, whole))
    if one_sided:
        message = f"{one_sided} links between parent and child are stated at one end only; they are kept"
        notes.append(Note("repaired", message, count=one_sided))
    _cut_loops(parent, records, notes)
    return Links(parent, list(members), more, notes)


def _plain(records: Sequence[Record], types: Sequence[str]) -> Links | None:
    """Return the links where both ends state the same ones, every part has one whole, and there are no groups; None otherwise."""
    row_of = {record.id: row for row, record in enumerate(records)}
    members = [record.members for record in records]
    if GROUP in set(types) or len(row_of) != len(records) or "members" in set(chain.from_iterable(members)):
        return None
    ends = []
    for name in ("parents", "children"):
        listed = [one.get(name) for one in members]
        if set(map(type, listed)) - {list, type(None)}:
            return None
        lists = [one or () for one in listed]
        try:
            others = list(map(row_of.get, chain.from_iterable(lists)))
        except TypeError:  # a list or an object where an id should be
            return None
        if None in others:
            return None
        mine = np.repeat(np.arange(len(records)), np.fromiter(map(len, lists), np.int64, len(lists)))
        ends.append((mine, np.asarray(others, np.int64)))
    (part, whole), (wholes, parts) = ends
    parent = np.full(len(records), -1, np.int64)
    parent[part] = whole
    same = len(np.unique(part)) == len(part) == len(parts) == len(np.unique(parts)) and bool((parent[parts] == wholes).all())
    notes: list[Note] = []
    if not same:
        return None
    _cut_loops(parent, records, notes)
    return Links(parent, [], [], notes)


def _stated(
    records: Sequence[Record], types: Sequence[str], row_of: dict[str, int], notes: list[Note]
) -> tuple[dict[tuple[int, int], None], dict[tuple[int, int], None], dict[tuple[int, int], None]]:
    """Return (part, whole) as the parts say, as the wholes say, and (group, member)."""
    up: dict[tuple[int, int], None] = {}
    down: dict[tuple[int, int], None] = {}
    members: dict[tuple[int, int], None] = {}
    for row, record in enumerate(records):
        if record.members.keys().isdisjoint(_LINKS):
            continue
        for other in _named(record, "parents", row, row_of, notes):
            if types[other] == GROUP:
                members[other, row] = None
            else:
                up[row, other] = None
        for name in ("children", "members"):
            for other in _named(record, name, row, row_of, notes):
                if types[row] == GROUP:
                    members[row, other] = None
                else:
                    down[other, row] = None
    return up, down, members


def _named(record: Record, name: str, row: int, row_of: dict[str, int], notes: list[Note]) -> list[int]:
    """Return the rows of the objects that a member names."""
    listed: Any = record.members.get(name)
    if listed is None:
        return []
    if not isinstance(listed, list):
        notes.append(Note("rejected", f"the {name} of {record.id!r} are a {type(listed).__name__}, expected an array", row=row))
        return []
    found = []
    for other in listed:
        there = row_of.get(other) if type(other) is str else None
        if there is not None:
            found.append(there)
        else:
            word = {"parents": "parent", "children": "child", "members": "member"}[name]
            message = f"{word} {str(other)[:80]!r} of {record.id!r} is missing from the file; the link is left out"
            notes.append(Note("lost", message, row=row))
    return found


def _cut_loops(parent: Ints, records: Sequence[Record], notes: list[Note]) -> None:
    """Take the parent from the first object of each loop."""
    count = len(parent)
    jump = np.append(np.where(parent >= 0, parent, count), count)
    for _ in range(count.bit_length()):
        jump = jump[jump]
    caught = np.unique(jump[:-1][jump[:-1] < count])  # where chains that never end arrive: objects on loops
    seen: set[int] = set()
    for start in caught.tolist():
        if start in seen:
            continue
        loop = [start]
        while (following := int(parent[loop[-1]])) != start and following >= 0:
            loop.append(following)
        seen.update(loop)
        first = min(loop)
        names = " → ".join(records[row].id[:40] for row in loop[:5])
        parent[first] = -1
        message = f"parents form a cycle ({names} …); {records[first].id!r} is taken as the whole"
        notes.append(Note("repaired", message, row=first, count=len(loop)))
