"""Textures of rings: which image, and which corner of it at each vertex."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.cityjson.document import Note
from cim.loaders.cityjson.geometry import DEPTH, Geometries, kept_counts, picked
from cim.loaders.cityjson.nested import convert, offsets_of
from cim.loaders.cityjson.semantics import dropped, same_shape
from cim.model.geometry import owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Worn", "no_textures", "worn_textures"]


@dataclass(frozen=True)
class Worn:
    """Texture assignments, one row per geometry and theme."""

    rows: Ints
    """Row of the geometry."""
    themes: list[str]
    textures: pa.Array
    """Per ring a texture of the library, -1 for none."""
    uv: pa.Array
    """Per vertex of the rings a pair, NaN without texture."""

    def turned(self, before: pa.Array, after: pa.Array) -> Worn:
        """Return the same for boundaries of which some rings now run backwards, all geometries before and after."""
        if not len(self.rows) or before is after:
            return self
        old, new = (lists.take(pa.array(self.rows)) for lists in (before, after))
        start, was = _rings(old)
        changed = was != _rings(new)[1]
        size = np.diff(start)
        back = np.zeros(len(size), bool)
        back[owner(start)[changed]] = True
        ends = np.repeat(start[:-1] + start[1:] - 1, size)
        place = np.arange(len(was))
        pairs = self.uv.flatten().take(pa.array(np.where(np.repeat(back, size), ends - place, place)))
        return replace(self, uv=pa.ListArray.from_arrays(self.uv.offsets, pairs))


def no_textures() -> Worn:
    """Return the textures of geometries that have none."""
    return Worn(np.empty(0, np.int64), [], pa.array([], pa.list_(pa.int64())), pa.array([], pa.list_(pa.list_(pa.float64(), 2))))


def _rings(boundaries: pa.Array) -> tuple[Ints, Ints]:
    levels, values = offsets_of(boundaries)
    return levels[-1], np.asarray(values.to_numpy(zero_copy_only=False), np.int64)


def worn_textures(
    geometries: Geometries, entries: Sequence[tuple[int, str, dict[str, Any]]], first_texture: Ints, first_uv: Ints, uv: Reals,
    ids: list[str], notes: list[Note],
) -> Worn:  # fmt: skip
    """Return the textures of geometries, checked ring by ring.

    Parameters
    ----------
    entries
        Row, theme and assignment.
    first_texture, first_uv : shape (looks + 1,)
        Where the textures and the texture vertices of each appearance begin in the library.
    uv : shape (u, 2)
        All texture vertices.
    """
    made = []
    kinds = np.array([DEPTH[geometries.type[row]] for row, _, _ in entries], np.int64)
    for depth in np.unique(kinds).tolist():
        mine = [entries[place] for place in np.flatnonzero(kinds == depth).tolist()]
        made.append(_of_depth(geometries, mine, depth, first_texture, first_uv, uv, ids, notes))
    if not made:
        return no_textures()
    themes = [theme for one in made for theme in one.themes]
    return Worn(np.concatenate([one.rows for one in made]), themes, pa.concat_arrays([one.textures for one in made]),
                pa.concat_arrays([one.uv for one in made]))  # fmt: skip


def _of_depth(
    geometries: Geometries, entries: list[tuple[int, str, dict[str, Any]]], depth: int, first_texture: Ints, first_uv: Ints, uv: Reals,
    ids: list[str], notes: list[Note],
) -> Worn:  # fmt: skip
    """Return the textures of geometries whose boundaries nest alike."""
    rows = np.array([row for row, _, _ in entries], np.int64)
    mine = picked(geometries, rows)
    values = [one.get("values") for _, _, one in entries]
    array, places, bad, fits = _fitted(values, mine, depth)
    odd = sorted({*bad, *places[~fits].tolist()})
    if odd:  # null may stand for a whole surface, shell or solid
        for place in odd:
            values[place] = _padded(values[place], mine.boundaries[place].as_py(), depth)
        array, places, bad, fits = _fitted(values, mine, depth)
    names = [ids[row] for row in mine.owner.tolist()]
    notes += [dropped(mine, names, place, reason, "texture") for place, reason in bad.items()]
    notes += [dropped(mine, names, place, "its values are not one per ring", "texture") for place in places[~fits].tolist()]
    mine = picked(mine, places)
    good = np.flatnonzero(fits)
    taken = array.take(pa.array(good))
    mine = picked(mine, good)
    levels, values = offsets_of(taken)
    index = np.asarray(values.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    chosen, pairs, faults = _resolved(mine, levels[-1], index, first_texture, first_uv, uv)
    if faults.any():
        where = np.unique(faults.nonzero()[0], return_counts=True)
        rings = offsets_of(mine.boundaries)[0]
        ring_owner = owner(_down(rings[:-1]))
        for place, count in zip(*np.unique(ring_owner[where[0]], return_counts=True), strict=True):
            message = f"{count} rings of {ids[int(mine.owner[place])]!r} have texture vertices that do not fit; they have no texture"
            notes.append(Note("invalid", message, row=int(mine.owner[place]), count=int(count)))
    rings = offsets_of(mine.boundaries)[0]
    ring_start, vertex_start = _down(rings[:-1]), _down(rings)
    themes = [entries[place][1] for place in places[good].tolist()]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(pairs.reshape(-1)), 2)
    return Worn(
        rows[places[good]], themes, pa.ListArray.from_arrays(pa.array(ring_start.astype(np.int32)), pa.array(chosen)),
        pa.ListArray.from_arrays(pa.array(vertex_start.astype(np.int32)), flat),
    )  # fmt: skip


def _fitted(values: list[Any], mine: Geometries, depth: int) -> tuple[pa.Array, Ints, dict[int, str], NDArray[np.bool_]]:
    """Return the values as lists, which rows they are of, why others are not, and whether they nest like the boundaries."""
    array, places, bad = convert(values, depth, "texture index", nulls=True)
    levels, _ = offsets_of(array)
    return array, places, bad, same_shape([np.diff(level) for level in levels[:-1]], _counts(picked(mine, places), depth))


def _padded(value: Any, boundaries: Any, depth: int) -> Any:
    """Return the texture values of one geometry with null written out ring by ring."""
    model = boundaries
    for _ in range(5 - depth):
        model = model[0]
    return _filled(json.loads(value) if isinstance(value, bytes) else value, model, depth)


def _filled(value: Any, model: Any, depth: int) -> Any:
    if depth == 2 and value in (None, [None], [[None]]):  # a surface
        return [[None]] * len(model)
    if depth == 1:
        return [None] if value is None else value
    if value is None:
        return [_filled(None, part, depth - 1) for part in model]
    if not isinstance(value, list) or len(value) != len(model):
        return value
    return [_filled(one, part, depth - 1) for one, part in zip(value, model, strict=True)]


def _down(levels: list[Ints]) -> Ints:
    """Return the offsets of the outermost lists into the elements of the last level."""
    ends = levels[0]
    for start in levels[1:]:
        ends = start[ends]
    return ends


def _counts(geometries: Geometries, depth: int) -> list[Ints]:
    """Return the counts of the boundaries from the level where the kind begins down to the rings."""
    levels, _ = offsets_of(geometries.boundaries)
    return kept_counts(levels, np.ones(len(geometries.type), bool))[5 - depth : 4]


def _resolved(
    geometries: Geometries, entry_start: Ints, index: Ints, first_texture: Ints, first_uv: Ints, uv: Reals
) -> tuple[Ints, Reals, NDArray[np.bool_]]:
    """Return the texture of each ring, the pair of each vertex, and which rings state what does not fit."""
    levels, _ = offsets_of(geometries.boundaries)
    start = levels[-1]
    size, given = np.diff(start), np.diff(entry_start)
    ring_owner = owner(_down(levels[:-1]))
    look = np.asarray(geometries.look, np.int64)[ring_owner]
    head = index[np.minimum(entry_start[:-1], max(len(index) - 1, 0))] if len(index) else np.full(len(size), -1)
    head = np.where(given > 0, head, -1)
    stated = (head != -1) | (given > 1)
    fits = stated & (given == size + 1) & (head >= 0) & (head < np.diff(first_texture)[look])
    inner = np.ones(len(index), bool)
    inner[entry_start[:-1][given > 0]] = False
    ring_of = owner(entry_start)
    wrong = inner & ((index < 0) | (index >= np.diff(first_uv)[look][ring_of]))
    fits[ring_of[wrong]] = False
    pairs = np.full((int(start[-1]), 2), np.nan)
    taken = inner & fits[ring_of]
    pairs[np.repeat(fits, size)] = uv[index[taken] + first_uv[look][ring_of[taken]]]
    chosen = np.where(fits, head + first_texture[look], -1)
    return chosen, pairs, stated & ~fits
