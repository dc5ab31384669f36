"""Semantic surfaces: which surface of which geometry is a wall, a roof or a window of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.citygml.draft import Draft
from cim.loaders.citygml.rows import Resolver, Rows, faces_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["Meaning", "Stated", "meaning_of", "stated"]


@dataclass(frozen=True)
class Stated:
    """Geometry rows, and the semantic surface of each leaf."""

    rows: Rows
    of_leaf: Ints
    """Shape (leaves,): place of the semantic surface of each leaf, -1 for none."""


@dataclass(frozen=True)
class Meaning:
    """The semantic surfaces of geometry rows as columns."""

    semantics: pa.Array
    """Per geometry the index of a semantic surface for each of its surfaces; null without any."""
    geometry: Ints
    """Shape (n,): geometry of each row of the table of surfaces."""
    index: Ints
    parent: Ints
    """Shape (n,): index of the surface it is an opening of, -1 for none."""
    surface: Ints
    """Shape (n,): place among the semantic surfaces of the file."""


def stated(draft: Draft, resolver: Resolver) -> Stated:
    """Return the geometry rows of a file: those of the objects, and for each level of detail the surfaces no other row holds."""
    rows = Rows()
    of_leaf = np.full(len(resolver.kinds), -1, np.int64)
    plain = [(shape, resolver.parts(shape.parts)) for shape in draft.shapes]
    covered: set[tuple[int, str, int]] = set()
    holders = {(shape.owner, shape.lod) for shape, _ in plain if shape.thematic >= 0}
    for shape, parts in plain:
        if shape.thematic < 0:
            rows.add_parts(shape.owner, shape.lod, shape.role, parts)
            if (shape.owner, shape.lod) in holders:
                covered.update((shape.owner, shape.lod, one >> 1) for one in faces_of(parts))
    loose: dict[tuple[int, str], list[int]] = {}
    for shape, parts in plain:
        if shape.thematic < 0:
            continue
        faces = faces_of(parts)
        of_leaf[[one >> 1 for one in faces]] = shape.thematic
        free = [one for one in faces if (shape.owner, shape.lod, one >> 1) not in covered]
        loose.setdefault((shape.owner, shape.lod), []).extend(free)
        parts.surfaces, parts.solids = [], []
        rows.add_parts(shape.owner, shape.lod, "", parts)
    for (owner, lod), faces in loose.items():
        if faces:
            rows.add_surfaces(owner, lod, faces)
    return Stated(rows, of_leaf)


def meaning_of(face: Ints, face_row: Ints, count: int, parents: Ints) -> Meaning:
    """Return the semantic surfaces of `count` geometries.

    Parameters
    ----------
    face : shape (s,)
        Semantic surface of each surface, -1 for none.
    face_row : shape (s,)
        Geometry of each surface, ascending.
    parents : shape (t,)
        For each semantic surface of the file the one it is an opening of, -1 for none.
    """
    many = max(len(parents), 1)
    marked = face >= 0
    pairs = np.unique(face_row[marked] * many + face[marked])
    fresh = pairs
    while len(fresh):
        above = parents[fresh % many]
        fresh = np.setdiff1d((fresh // many * many + above)[above >= 0], pairs)
        pairs = np.union1d(pairs, fresh)
    geometry, surface = pairs // many, pairs % many
    first = np.searchsorted(geometry, np.arange(count))
    index = np.arange(len(pairs)) - first[geometry]
    above = parents[surface] if len(parents) else surface
    parent = np.where(above >= 0, np.searchsorted(pairs, geometry * many + above) - first[geometry], -1)
    value = np.full(len(face), -1, np.int64)
    value[marked] = index[np.searchsorted(pairs, face_row[marked] * many + face[marked])]
    per_row = np.bincount(face_row, minlength=count)
    start = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int32)
    bare = np.bincount(face_row[marked], minlength=count) == 0
    semantics = pa.ListArray.from_arrays(pa.array(start), pa.array(value.astype(np.int32)), mask=pa.array(bare))
    return Meaning(semantics, geometry, index, parent, surface)


def surface_attributes(values: Sequence[dict[str, Any]], chosen: Ints) -> pa.Array:
    """Return the attributes of semantic surfaces as JSON, null where there are none."""
    texts = [json.dumps(value, ensure_ascii=False) if value else None for value in values]
    return pa.array(texts, pa.string()).take(pa.array(chosen))
