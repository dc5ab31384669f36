"""What a file says, gathered while it streams by: plain lists that become the tables of a city when the end is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cim.loaders.citygml.shapes import Parts

__all__ = ["Appearances", "Draft", "Instance", "Note", "Shape", "Thematic"]


@dataclass(frozen=True)
class Note:
    """One thing to report: an issue of the city that is to be."""

    code: str
    message: str
    severity: str = "warning"
    row: int | None = None
    """Row of the object concerned."""
    count: int = 1


@dataclass(slots=True)
class Thematic:
    """A semantic surface."""

    type: str
    owner: int
    """Row of the object it belongs to."""
    parent: int
    """Place of the surface it is an opening of, -1 for none."""
    attributes: dict[str, Any]


@dataclass(slots=True)
class Shape:
    """A geometry as the file states it."""

    owner: int
    lod: str
    role: str
    """Empty where the kind of the geometry says it."""
    parts: Parts
    thematic: int = -1
    """Semantic surface whose geometry it is, -1 for the object's own."""


@dataclass(slots=True)
class Instance:
    """One use of a template."""

    owner: int
    lod: str
    template: int
    """Place among the templates; -1 where `link` names it."""
    link: str
    matrix: list[float]
    anchor: int
    """Leaf (doubled) of the reference point."""


@dataclass
class Appearances:
    """Materials and textures, and what they are put on, by gml:id."""

    materials: list[dict[str, Any]] = field(default_factory=list)
    textures: list[dict[str, Any]] = field(default_factory=list)
    surfaces: list[tuple[str, str, int]] = field(default_factory=list)
    """Theme, id of a surface, place of a material."""
    rings: list[tuple[str, str, int, str]] = field(default_factory=list)
    """Theme, id of a ring, place of a texture, texture coordinates."""


@dataclass
class Draft:
    """The city that is to be."""

    types: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    valid: list[list[datetime | None]] = field(default_factory=list)
    """First and last moment of each object."""
    attributes: list[dict[str, tuple[str, str]]] = field(default_factory=list)
    """Text and unit of each attribute of each object."""
    properties: list[tuple[int, str, str, str, str | None]] = field(default_factory=list)
    """Row, set, name, value, unit."""
    identifiers: list[tuple[int, str, str]] = field(default_factory=list)
    relations: list[tuple[int, str, str]] = field(default_factory=list)
    """Row, predicate, id of the other."""
    row_of: dict[str, int] = field(default_factory=dict)
    """Row by gml:id as the file writes it; the first one where it is used twice."""
    thematic: list[Thematic] = field(default_factory=list)
    thematic_of: dict[str, int] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    templates: list[tuple[str, Parts]] = field(default_factory=list)
    """Level of detail and geometry."""
    template_of: dict[str, int] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    appearances: Appearances = field(default_factory=Appearances)
    counted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Code, severity and message of what is told once with its number."""
    notes: list[Note] = field(default_factory=list)
    _numbers: Counter[str] = field(default_factory=Counter)
    _taken: set[str] = field(default_factory=set)

    def tell(self, code: str, message: str, severity: str = "warning", count: int = 1) -> None:
        """Count something that will be one issue."""
        self.counted[code, severity, message] += count

    def add(self, kind: str, id: str | None, parent: int) -> int:
        """Add an object and return its row; its id is made unique, so that parts find their own whole."""
        row = len(self.ids)
        self.types.append(kind)
        self.parents.append(parent)
        self.names.append(None)
        self.valid.append([None, None])
        self.attributes.append({})
        if id is None:
            self.tell("guessed", f"{kind} objects without gml:id; their ids are made of their whole, class and number", "info")
            id = self._numbered(f"{self.ids[parent]}-{kind}" if parent >= 0 else kind)
        else:
            self.row_of.setdefault(id, row)
        unique = id if id not in self._taken else self._numbered(id, "#", 2)
        if unique != id:
            self.notes.append(Note("duplicate", f"gml:id {id!r} occurs again; this object is kept as {unique!r}", row=row))
        self._taken.add(unique)
        self.ids.append(unique)
        return row

    def _numbered(self, stem: str, mark: str = "-", first: int = 1) -> str:
        while True:
            number = self._numbers[stem + mark] + first
            self._numbers[stem + mark] += 1
            if f"{stem}{mark}{number}" not in self._taken:
                return f"{stem}{mark}{number}"
