"""What has to be said about a file while it is read, collected and written into the issues of the city at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cim.model import CityBuilder

__all__ = ["Note", "Notes"]

_SHOWN = 200


@dataclass(frozen=True)
class Note:
    """One thing that was guessed, repaired, rejected or lost."""

    code: str
    message: str
    severity: str = "warning"
    entity: int | None = None
    """STEP id of the entity it is about."""
    record: str | None = None
    count: int = 1


@dataclass
class Notes:
    """All notes of one file."""

    rows: list[Note] = field(default_factory=list)

    def add(self, code: str, message: str, *, severity: str = "warning", entity: int | None = None, count: int = 1) -> None:
        """Keep one note."""
        self.rows.append(Note(code, message, severity, entity, None if entity is None else f"#{entity}", count))

    def add_each(self, code: str, message: str, entities: Sequence[int], *, severity: str = "warning") -> None:
        """Name entities one by one, up to a number, and count the rest."""
        for one in entities[:_SHOWN]:
            self.add(code, message, severity=severity, entity=one)
        rest = len(entities) - _SHOWN
        if rest > 0:
            self.add(code, f"{rest} more: {message}", severity=severity, count=rest)

    def write(self, builder: CityBuilder, keys: Mapping[int, int], source: int) -> None:
        """Write all of them; `keys` leads from STEP ids to objects."""
        for note in self.rows:
            place = None if note.entity is None else keys.get(note.entity)
            builder.add_issue(note.code, note.message, severity=note.severity, object=place, source=source, record=note.record,
                              count=note.count)  # fmt: skip
