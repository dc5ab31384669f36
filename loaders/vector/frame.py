"""What every vector format is turned into before it becomes objects: a layer of geometries, columns and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Layer", "Note", "numbered", "reject"]

MOST_NOTES = 20
"""Notes of one kind that name their record; the rest are counted in one more."""


@dataclass(frozen=True)
class Note:
    """Something that was guessed, repaired, rejected or lost; becomes an issue of the city."""

    code: str
    message: str
    severity: str = "warning"
    record: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Layer:
    """One layer of a vector source, record by record."""

    name: str
    format: str
    crs: str | None
    """Declared CRS as text or WKT; None when the source names none."""
    geometry: NDArray[np.object_]
    """Shape (n,), shapely geometries; None where the source has none."""
    columns: dict[str, pa.Array]
    """Attributes by source field name, n values each."""
    number: NDArray[np.int64]
    """Shape (n,): place of each record in the source, counted from 0."""
    ids: Sequence[Any] | None = None
    """Shape (n,): the id that the format itself gives each record, where it does."""
    notes: tuple[Note, ...] = ()
    encoding: str = ""
    records_in: int = 0
    """Records that the source holds, rejected ones included."""
    rejected: int = 0
    repaired: int = 0
    leftovers: dict[str, dict[int, str]] = field(default_factory=dict)
    """Values that do not fit the type of their column, as text: field -> record number -> value."""

    def __len__(self) -> int:
        """Return the number of records kept."""
        return len(self.geometry)

    def keep(self, mask: NDArray[np.bool_]) -> Layer:
        """Return only the records where `mask` holds."""
        import pyarrow as pa

        if mask.all():
            return self
        chosen = pa.array(mask)
        columns = {name: column.filter(chosen) for name, column in self.columns.items()}
        ids = None if self.ids is None else [one for one, kept in zip(self.ids, mask.tolist(), strict=True) if kept]
        return replace(self, geometry=self.geometry[mask], columns=columns, number=self.number[mask], ids=ids)

    def noted(self, *notes: Note) -> Layer:
        """Return the layer with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def numbered(layer: Layer, bad: NDArray[np.bool_], code: str, reason: str | Sequence[str], severity: str = "warning") -> list[Note]:
    """Return one note per marked record, and one for all beyond the first few.

    Parameters
    ----------
    bad : shape (n,)
        Marked records.
    reason
        What is wrong with them; one text for all, or one for each marked record.
    """
    places = np.flatnonzero(bad)
    reasons = [reason] * len(places) if isinstance(reason, str) else list(reason)
    notes = [
        Note(code, f"layer {layer.name}, record {layer.number[place]}: {text}", severity, str(layer.number[place]))
        for place, text in zip(places[:MOST_NOTES].tolist(), reasons, strict=False)
    ]
    more = len(places) - len(notes)
    if more > 0:
        notes.append(Note(code, f"layer {layer.name}: {more} more records: {reasons[-1]}", severity, count=more))
    return notes


def reject(layer: Layer, bad: NDArray[np.bool_], reason: str | Sequence[str]) -> Layer:
    """Return the layer without the marked records, each counted and named."""
    if not bad.any():
        return layer
    notes = numbered(layer, bad, "rejected", reason)
    kept = layer.keep(~bad).noted(*notes)
    return replace(kept, rejected=layer.rejected + int(bad.sum()))
