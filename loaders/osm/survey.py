"""First look at a whole file: how many objects, in which order, which twice, and what its relations say."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from cim.errors import FormatError
from cim.loaders.osm.guard import Checked

if TYPE_CHECKING:
    from osmium.osm import Relation

    from cim.loaders.limits import Limits

__all__ = ["Restriction", "Survey", "survey"]

_BETWEEN = 100_000
"""Objects between two looks at the limit."""


class Restriction(NamedTuple):
    """A turn restriction, its members as object ids such as "way/5"."""

    id: str
    kind: str
    """Such as "no_left_turn"."""
    from_ways: tuple[str, ...]
    via: tuple[str, ...]
    to_ways: tuple[str, ...]
    tags: dict[str, str]


@dataclass
class Survey:
    """What is in a file."""

    counts: dict[str, int] = field(default_factory=dict)
    """Objects by type letter (n, w, r), every object once."""
    repeated: int = 0
    """Objects that stand there again."""
    ordered: bool = True
    """Whether nodes stand before ways, and ways before relations."""
    cyclic: list[int] = field(default_factory=list)
    """Relations that contain themselves, at any remove."""
    outlines: dict[str, str] = field(default_factory=dict)
    """Building part -> outline of its building, both as object ids, by relations of type=building."""
    restrictions: list[Restriction] = field(default_factory=list)
    relation_types: Counter[str] = field(default_factory=Counter)
    """Relations by their type tag."""


def survey(file: Checked, limits: Limits, shown: Path) -> Survey:
    """Return what is in the file.

    Raises
    ------
    FormatError
        If it is a history file.
    LimitError
        If it holds more objects than allowed.
    """
    import osmium

    source = osmium.io.File(str(file.path), file.suffix)
    with osmium.io.Reader(source, osmium.osm.NOTHING) as reader:
        if reader.header().has_multiple_object_versions:
            reason = "holds all versions of its objects (a history file)"
            raise FormatError(shown, reason, "take an extract of one moment (osmium time-filter)")
    out, ids = Survey(), {"n": array("q"), "w": array("q"), "r": array("q")}
    inside: dict[int, list[int]] = {}
    last = "n"
    for seen, entity in enumerate(osmium.FileProcessor(source)):
        letter = entity.type_str()
        if letter != last:
            out.ordered &= "nwr".index(letter) > "nwr".index(last)
            last = letter
        ids[letter].append(entity.id)
        if seen % _BETWEEN == 0:
            limits.check("records", seen, shown)
        if letter == "r":
            _look_at(cast("Relation", entity), out, inside)
    for letter, numbers in ids.items():
        out.counts[letter] = len(np.unique(np.frombuffer(numbers, np.int64))) if numbers else 0
        out.repeated += len(numbers) - out.counts[letter]
    out.cyclic = _cycles(inside)
    return out


def _look_at(relation: Relation, out: Survey, inside: dict[int, list[int]]) -> None:
    tags = dict(relation.tags)
    kind = tags.get("type", "")
    out.relation_types[kind] += 1
    members = [(member.type, member.ref, member.role) for member in relation.members]
    below = [ref for letter, ref, _ in members if letter == "r"]
    if below:
        inside.setdefault(relation.id, []).extend(below)
    if kind == "building":
        _outline(members, out)
    elif kind == "restriction" or kind.startswith("restriction:"):
        found = _restriction(relation.id, tags, members)
        out.restrictions.append(found)


def _outline(members: list[tuple[str, int, str]], out: Survey) -> None:
    outlines = [_name(letter, ref) for letter, ref, role in members if role == "outline"]
    if outlines:
        out.outlines.update({_name(letter, ref): outlines[0] for letter, ref, role in members if role == "part"})


def _restriction(number: int, tags: dict[str, str], members: list[tuple[str, int, str]]) -> Restriction:
    value = tags.get("restriction") or next((tags[key] for key in sorted(tags) if key.startswith("restriction:")), "")

    def of(role: str) -> tuple[str, ...]:
        return tuple(_name(letter, ref) for letter, ref, said in members if said == role)

    return Restriction(f"relation/{number}", value, of("from"), of("via"), of("to"), tags)


def _name(letter: str, ref: int) -> str:
    return f"{ {'n': 'node', 'w': 'way', 'r': 'relation'}[letter] }/{ref}"


def _cycles(inside: dict[int, list[int]]) -> list[int]:
    """Return the relations that lie on a cycle of memberships."""
    if not inside:
        return []
    import networkx as nx

    graph = nx.DiGraph([(above, below) for above, members in inside.items() for below in members])
    circles = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    return sorted({*(one for group in circles for one in group), *(one for one in graph if graph.has_edge(one, one))})
