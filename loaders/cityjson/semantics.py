"""Semantic surfaces of CityJSON as rows, and the one each face of a geometry means; what does not fit is dropped, never shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.cityjson.document import Note
from cim.loaders.cityjson.geometry import DEPTH, Geometries, kept_counts
from cim.loaders.cityjson.nested import convert, offsets_of
from cim.loaders.cityjson.plain import json_text
from cim.model.classes import from_cityjson
from cim.model.geometry import owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["SurfaceRows", "Surfaces", "dropped", "parents_of", "per_face", "same_shape", "semantics_of", "without_gaps"]

_WORDS = {"semantic": "semantics", "material": "materials", "texture": "textures"}
_OWN = frozenset({"type", "parent", "children"})


@dataclass(frozen=True)
class SurfaceRows:
    """Rows of the table `surfaces`."""

    geometry: Ints
    index: Ints
    type: pa.Array
    parent: pa.Array
    attributes: pa.Array


@dataclass(frozen=True)
class Surfaces:
    """Semantics of all geometries."""

    rows: SurfaceRows
    """The semantic surfaces, those of one geometry after those of another."""
    semantics: pa.Array
    """Per geometry a list with one entry per face: the index of its semantic surface, -1 for none; null without semantics."""
    ground: NDArray[np.bool_]
    """Which faces of all geometries are ground surfaces, in the order of the flattened boundaries."""
    notes: list[Note]


def semantics_of(geometries: Geometries, ids: list[str]) -> Surfaces:
    """Return the semantic surfaces of all geometries, checked against their faces.

    Parameters
    ----------
    ids
        Names of the objects, for the notes.
    """
    notes: list[Note] = []
    names = [ids[row] for row in geometries.owner.tolist()]
    rows, values, size = _read(geometries, names, notes)
    lists, face = per_face(geometries, values, size, names, notes, "semantic")
    faces = np.diff(np.asarray(lists.offsets.to_numpy(), np.int64)).astype(np.int64)
    return Surfaces(rows, lists, _ground(rows, face, np.repeat(np.arange(len(faces)), faces), len(names)), notes)


def per_face(
    geometries: Geometries, values: list[Any], size: Ints, names: list[str], notes: list[Note], what: str
) -> tuple[pa.ListArray, Ints]:
    """Return the index that each face of each geometry is given, -1 for none, as lists (null without) and one after the other.

    Parameters
    ----------
    values : shape (g,)
        As in the file: nested like the boundaries down to the surfaces, parsed or text; None where there are none.
    size : shape (g,)
        How many an index may choose from.
    what
        What an index is, for the notes: "semantic", "material".
    """
    count = len(names)
    levels, _ = offsets_of(geometries.boundaries)
    faces = np.diff(levels[2][levels[1][levels[0]]])
    face = np.full(int(faces.sum()), -1, np.int64)
    given = np.zeros(count, bool)
    kinds = np.asarray(geometries.type, object)
    stated = np.array([value is not None for value in values], bool)
    for depth in (1, 2, 3):
        members = [kind for kind, boundary_depth in DEPTH.items() if max(boundary_depth - 2, 1) == depth]
        mine = np.flatnonzero(np.isin(kinds, members) & stated)
        if len(mine):
            given |= _assign(mine, depth, values, levels, size, face, geometries, names, notes, what)
    start = np.concatenate([[0], np.cumsum(faces)])
    return pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), pa.array(face.astype(np.int32)), mask=pa.array(~given)), face


def _ground(rows: SurfaceRows, face: Ints, geometry: Ints, count: int) -> NDArray[np.bool_]:
    per_geometry = np.bincount(rows.geometry, minlength=count)
    first = np.concatenate([[0], np.cumsum(per_geometry)])[:-1]
    is_ground = np.append(np.asarray(pc.equal(rows.type, "GroundSurface").to_numpy(zero_copy_only=False), bool), False)
    return np.asarray(is_ground[np.where(face >= 0, first[geometry] + face, len(is_ground) - 1)])


def _read(geometries: Geometries, names: list[str], notes: list[Note]) -> tuple[SurfaceRows, list[Any], Ints]:
    """Return the semantic surfaces as rows, the values per geometry (None without) and how many surfaces each geometry lists."""
    values: list[Any] = []
    size = np.zeros(len(names), np.int64)
    kinds: dict[Any, str] = {}
    types: list[str] = []
    attributes: list[str | None] = []
    parents: dict[int, int] = {}
    for row, one in enumerate(geometries.semantics):
        listed = _parsed(one.get("surfaces")) if isinstance(one, dict) else None
        if not isinstance(listed, list) or set(map(type, listed)) - {dict}:
            if one is not None:
                notes.append(dropped(geometries, names, row, "there is no array of surfaces"))
            values.append(None)
            continue
        first = len(types)
        size[row] = len(listed)
        values.append(one.get("values"))
        linked = False
        for surface in listed:
            kind = surface.get("type")
            known = kinds.get(kind) if type(kind) is str else None
            types.append(known if known is not None else _kind(kind, kinds, geometries, names, row, notes))
            if len(surface) == 1:
                attributes.append(None)
                continue
            linked = linked or "parent" in surface or "children" in surface
            extra = {key: value for key, value in surface.items() if key not in _OWN}
            attributes.append(json_text(extra) if extra else None)
        if linked:
            parents.update((first + index, parent) for index, parent in parents_of(listed).items())
    start = np.cumsum(size) - size
    owners = np.repeat(np.arange(len(names)), size)
    above = np.full(len(types), -1, np.int32)
    above[list(parents)] = list(parents.values())
    rows = SurfaceRows(owners, np.arange(len(types)) - start[owners], pa.array(types, pa.string()), pa.array(above, mask=above < 0),
                 pa.array(attributes, pa.string()))  # fmt: skip
    return rows, values, size


def _kind(kind: Any, kinds: dict[Any, str], geometries: Geometries, names: list[str], row: int, notes: list[Note]) -> str:
    """Return the class of a surface met for the first time."""
    if not isinstance(kind, str) or not kind.strip("+ "):
        notes.append(Note("invalid", f"a semantic surface of {names[row]!r} has no type", row=int(geometries.owner[row])))
        return from_cityjson("Unknown")
    return kinds.setdefault(kind, from_cityjson(kind))


def _parsed(surfaces: Any) -> Any:
    return orjson.loads(surfaces) if type(surfaces) is bytes else surfaces


def parents_of(listed: list[dict[str, Any]]) -> dict[int, int]:
    """Return the parent of each surface, from either end of the link."""
    found: dict[int, int] = {}
    for index, surface in enumerate(listed):
        if len(surface) == 1:
            continue
        children = surface.get("children")
        for child in children if isinstance(children, list) else []:
            if isinstance(child, int) and 0 <= child < len(listed) and child != index:
                found.setdefault(child, index)
        parent = surface.get("parent")
        if isinstance(parent, int) and 0 <= parent < len(listed) and parent != index:
            found[index] = parent
    return found


def _assign(
    mine: Ints, depth: int, values: list[Any], levels: list[Ints], size: Ints, face: Ints, geometries: Geometries, names: list[str],
    notes: list[Note], what: str,
) -> NDArray[np.bool_]:  # fmt: skip
    """Write the index of each face of some geometries; return which geometries have values that fit."""
    chosen = np.zeros(len(names), bool)
    chosen[mine] = True
    shape = kept_counts(levels, chosen)[3 - depth : 3]
    filled = [without_gaps(values[row], depth, geometries, row) for row in mine.tolist()]
    array, places, bad = convert(filled, depth, f"{what} index", nulls=True)
    for place, reason in bad.items():
        notes.append(dropped(geometries, names, int(mine[place]), reason, what))
    taken = np.zeros(len(mine), bool)
    taken[places] = True
    starts, flat = offsets_of(array)
    fits = same_shape([np.diff(start) for start in starts], _pick(shape, taken))
    notes += [dropped(geometries, names, int(mine[place]), "its values are not one per surface", what) for place in places[~fits].tolist()]
    ends = starts[0]
    for start in starts[1:]:
        ends = start[ends]
    row = mine[places[owner(ends)]]
    index = np.asarray(pc.fill_null(flat, -1).to_numpy(zero_copy_only=False), np.int64)
    stray = np.asarray(flat.is_valid().to_numpy(zero_copy_only=False)) & ((index < 0) | (index >= size[row]))
    for one in np.unique(row[stray & fits[owner(ends)]]).tolist():
        message = f"a {what} index of {names[one]!r} is out of range (0 to {size[one] - 1}); those surfaces have no {_WORDS[what]}"
        notes.append(Note("invalid", message, row=int(geometries.owner[one]), count=int(np.sum(stray & (row == one)))))
    good = np.zeros(len(names), bool)
    good[mine[places[fits]]] = True
    total = np.diff(levels[2][levels[1][levels[0]]])
    face[np.repeat(good, total)] = np.where(stray, -1, index)[fits[owner(ends)]]
    return good


def without_gaps(value: Any, depth: int, geometries: Geometries, row: int) -> Any:
    """Return semantic values in which a null that stands for a whole shell or solid is written out."""
    if type(value) is bytes and b"null" in value:
        value = orjson.loads(value)
    if depth == 1 or not isinstance(value, list):
        return value
    if depth == 2 and None not in value:
        return value
    if depth == 3 and all(isinstance(solid, list) and None not in solid for solid in value):
        return value
    model = geometries.boundaries[row].as_py()
    model = model[0] if depth == 2 else model
    return _filled(value, model, depth)


def _filled(value: Any, model: Any, depth: int) -> Any:
    if depth == 1:
        return [None] * len(model) if value is None else value
    if value is None:
        return [_filled(None, part, depth - 1) for part in model]
    if not isinstance(value, list) or len(value) != len(model):
        return value
    return [_filled(one, part, depth - 1) for one, part in zip(value, model, strict=True)]


def _pick(shape: list[Ints], taken: NDArray[np.bool_]) -> list[Ints]:
    """Return the counts of every level for some of the rows."""
    out = []
    keep = taken
    for count in shape:
        out.append(count[keep])
        keep = np.repeat(keep, count)
    return out


def same_shape(first: list[Ints], second: list[Ints]) -> NDArray[np.bool_]:
    """Return which rows have the same counts on every level."""
    rows = len(first[0])
    fits = np.ones(rows, bool)
    mine, theirs = np.arange(rows), np.arange(rows)
    for left, right in zip(first, second, strict=True):
        same_left, same_right = fits[mine], fits[theirs]
        differs = left[same_left] != right[same_right]
        fits[mine[same_left][differs]] = False
        mine, theirs = np.repeat(mine, left), np.repeat(theirs, right)
    return fits


def dropped(geometries: Geometries, names: list[str], row: int, reason: str, what: str = "semantic") -> Note:
    """Return the note that the values of a geometry do not fit and are left out."""
    message = f"the {_WORDS[what]} of a {geometries.type[row]} of {names[row]!r} are dropped: {reason}"
    return Note("invalid", message, row=int(geometries.owner[row]))
