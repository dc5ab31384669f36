"""Rings made fit for the model: the closing point dropped, what cannot be a ring named and left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.citygml.draft import Note
from cim.loaders.citygml.pool import LINE, SURFACE, Rings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["cleaned"]

_FEWEST = {0: 1, LINE: 2, SURFACE: 3}


def cleaned(rings: Rings) -> tuple[Rings, Flags, Flags, list[Note]]:
    """Return the rings without their closing points, which rings and which leaves are good, and what was done."""
    notes: list[Note] = []
    kind = rings.kind[rings.leaf]
    size = rings.size()
    loop = (kind == SURFACE) & (size > 1) & (rings.fault == 0)
    last = np.maximum(rings.start[1:] - 1, 0)
    first = np.minimum(rings.start[:-1], max(len(rings.points) - 1, 0))
    closed = loop & (rings.points[first] == rings.points[last]).all(axis=1) if len(rings.points) else loop
    open_ = int(np.sum(loop & ~closed & (size >= 3)))
    if open_:
        notes.append(Note("repaired", f"{open_} rings are not closed; the last corner is joined to the first", count=open_))
    drop = rings.start[1:][closed] - 1
    keep = np.ones(len(rings.points), bool)
    keep[drop] = False
    size = size - closed
    rings = replace(rings, points=rings.points[keep], start=np.concatenate([[0], np.cumsum(size)]))
    least = np.where(kind == SURFACE, 3, np.where(kind == LINE, 2, 1))
    few = (rings.fault == 0) & (_corners(rings) < least)
    rings.fault[few] = 4
    good = rings.fault == 0
    outer = np.ones(len(rings.leaf), bool)
    outer[1:] = rings.leaf[1:] != rings.leaf[:-1]
    good_leaf = np.ones(len(rings.kind), bool)
    good_leaf[rings.leaf[outer & ~good]] = False
    notes += _faults(rings, outer, kind == SURFACE)
    return rings, good & good_leaf[rings.leaf], good_leaf, notes


def _corners(rings: Rings) -> NDArray[np.int64]:
    """Return how many corners of each ring differ from the one before."""
    size = rings.size()
    full = np.flatnonzero(size)
    before = np.arange(-1, len(rings.points) - 1)
    before[rings.start[:-1][full]] = rings.start[1:][full] - 1
    differs = (rings.points != rings.points[before]).any(axis=1).astype(np.int64)
    out = np.zeros(len(size), np.int64)
    if len(full):
        out[full] = np.add.reduceat(differs, rings.start[:-1][full])
    out[size == 1] = 1
    return out


def _faults(rings: Rings, outer: Flags, surface: Flags) -> list[Note]:
    notes = []
    for code in range(1, len(Rings.FAULTS)):
        bad = rings.fault == code
        for mask, what, end in ((bad & outer, "geometries", "left out"), (bad & ~outer, "inner rings", "left out, the hole is closed")):
            count = int(mask.sum())
            if count:
                told = "polygons" if what == "geometries" and surface[mask].all() else what
                notes.append(Note("rejected", f"{count} {told} {'are' if count > 1 else 'is'} {end}: the coordinate list (posList) "
                                  f"of a ring {Rings.FAULTS[code]}", "error", count=count))  # fmt: skip
    return notes
