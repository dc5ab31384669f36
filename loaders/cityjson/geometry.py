"""Geometry of CityJSON as columns: all geometries of a kind at once, templates and their uses apart, bad ones named and left out."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.cityjson.document import Document, Note
from cim.loaders.cityjson.nested import convert, list_type, offsets_of, peel
from cim.loaders.cityjson.plain import lod_text
from cim.model.geometry import boundaries_from, vertices_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["DEPTH", "FARTHEST", "Found", "Geometries", "gather", "geometries_of", "kept_counts", "picked"]

DEPTH = {"MultiPoint": 1, "MultiLineString": 2, "MultiSurface": 3, "CompositeSurface": 3, "Solid": 4, "MultiSolid": 5, "CompositeSolid": 5}
_MEMBERS = frozenset({"type", "lod", "boundaries", "semantics", "material", "texture"})
FARTHEST = 1e10
"""No coordinate of a city lies farther out [m]: the Earth is 4e7 m around."""


@dataclass
class Found:
    """Geometries as they stand in the file, one entry each."""

    owner: array[int] = field(default_factory=lambda: array("q"))
    """Row of the object; of a template its number."""
    type: list[str] = field(default_factory=list)
    lod: list[str] = field(default_factory=list)
    boundaries: list[Any] = field(default_factory=list)
    semantics: list[Any] = field(default_factory=list)
    material: list[Any] = field(default_factory=list)
    texture: list[Any] = field(default_factory=list)
    look: list[int] = field(default_factory=list)
    """Which appearance its materials and textures are of."""
    base: list[int] = field(default_factory=list)
    """First vertex that its indices may mean."""
    vertices: list[int] = field(default_factory=list)
    """How many vertices its indices may mean."""
    place: list[int] = field(default_factory=list)
    """Position in the file, so that the order survives."""
    instances: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)
    """Object, position and members of each instance of a template."""
    notes: list[Note] = field(default_factory=list)
    beyond: dict[str, int] = field(default_factory=dict)
    """How many geometries carry members that are not known, by name."""


@dataclass(frozen=True)
class Geometries:
    """Geometry columns, one row per usable geometry."""

    owner: Ints
    type: list[str]
    lod: list[str]
    semantics: list[Any]
    """As written in the file, like materials and textures."""
    material: list[Any]
    texture: list[Any]
    look: list[int]
    vertices: pa.Array
    """Coordinates, each geometry its own."""
    boundaries: pa.Array
    """Five list levels of indices into them."""
    place: Ints
    notes: list[Note]
    used: Ints
    """Which vertices of the file are used."""
    rejected: int = 0

    def table(self) -> pa.Table:
        """Return owner, type, level of detail, vertices and boundaries as a table."""
        columns = {"object": self.owner, "lod": pa.array(self.lod, pa.string()), "type": pa.array(self.type, pa.string())}
        return pa.table({**columns, "vertices": self.vertices, "boundaries": self.boundaries})


def gather(document: Document, template_vertices: int) -> tuple[Found, Found]:
    """Return the geometries of the objects and those of the templates, as they stand in the file.

    Parameters
    ----------
    template_vertices
        How many vertices the templates share.
    """
    found, templates = Found(), Found()
    for row, record in enumerate(document.records):
        listed = record.members.pop("geometry", None)  # freed as soon as it is held as columns
        if listed is None:
            continue
        if listed == 0 and document.columns is not None:
            found.owner.append(row)
            continue
        if not isinstance(listed, list):
            found.notes.append(Note("rejected", f"the geometry of {record.id!r} is a {type(listed).__name__}, expected an array", row=row))
        elif not listed:
            found.notes.append(Note("empty", f"object {record.id!r} has an empty geometry array; it is kept without geometry", row=row))
        else:
            for one in listed:
                _take(found, one, row, record.id, record.base, record.vertices, record.look)
    library = document.header.get("geometry-templates")
    listed = library.get("templates") if isinstance(library, dict) else None
    for number, one in enumerate(listed if isinstance(listed, list) else []):
        _take(templates, one, number, f"template {number}", 0, template_vertices)
    return found, templates


def _take(found: Found, one: Any, row: int, id: str, base: int, vertices: int, look: int = 0) -> None:
    kind = one.get("type") if isinstance(one, dict) else None
    place = len(found.place) + len(found.instances)
    if kind == "GeometryInstance":
        found.instances.append((row, place, {**one, "_base": base, "_vertices": vertices}))
        return
    if not isinstance(kind, str) or kind not in DEPTH:
        message = f"a geometry of {id!r} is of type {str(kind)[:40]!r}, expected {', '.join(DEPTH)}; left out"
        found.notes.append(Note("rejected", message, row=row))
        return
    for name in one.keys() - _MEMBERS:
        found.beyond[name] = found.beyond.get(name, 0) + bool(one[name])
    found.owner.append(row)
    found.type.append(kind)
    found.lod.append(lod_text(one.get("lod")))
    found.boundaries.append(one.get("boundaries"))
    found.semantics.append(one.get("semantics"))
    found.material.append(one.get("material"))
    found.texture.append(one.get("texture"))
    found.look.append(look)
    found.base.append(base)
    found.vertices.append(vertices)
    found.place.append(place)


def geometries_of(found: Found, points: Reals, ids: list[str]) -> Geometries:
    """Return the usable geometries as columns; those that are empty or point beyond the vertices are named in notes.

    Parameters
    ----------
    points : shape (v, 3)
        All vertices, transformed.
    ids
        Names of the owners, for the notes.
    """
    nested, entry, bad = _convert(found)
    base, limit = np.asarray(found.base, np.int64)[entry], np.asarray(found.vertices, np.int64)[entry]
    levels, values = offsets_of(nested)
    index = np.asarray(values.to_numpy(zero_copy_only=False), np.int64)
    ends = levels[0]
    for start in levels[1:]:
        ends = start[ends]
    size = np.diff(ends)
    row = np.repeat(np.arange(len(entry)), size)
    outside = (index < 0) | (index >= limit[row])
    wrong, first = np.unique(row[outside], return_index=True)
    for one, value in zip(wrong.tolist(), index[outside][first].tolist(), strict=True):
        bad[int(entry[one])] = f"vertex index {value} is out of range (0 to {limit[one] - 1})"
    for one in np.flatnonzero(size == 0).tolist():
        bad[int(entry[one])] = "empty"
    position = np.where(outside, 0, index) + base[row]
    wild = np.asarray(~np.isfinite(points).all(axis=1) | (np.abs(points) > FARTHEST).any(axis=1))
    if wild.any():
        for one in np.unique(row[~outside & wild[position % len(points)]]).tolist():
            bad.setdefault(int(entry[one]), "a vertex lies out of range (its coordinates overflow what any city can have)")
    good = np.array([place not in bad for place in entry.tolist()], bool) if bad else np.ones(len(entry), bool)
    counts = kept_counts(levels, good)
    keep = good[row]
    local, own, used = _localise(position[keep], np.cumsum(good)[row[keep]] - 1, int(good.sum()), points)
    chosen = entry[good].tolist()
    return Geometries(
        np.asarray(found.owner, np.int64)[entry[good]], [found.type[k] for k in chosen], [found.lod[k] for k in chosen],
        [found.semantics[k] for k in chosen], [found.material[k] for k in chosen], [found.texture[k] for k in chosen],
        [found.look[k] for k in chosen], own, boundaries_from(local, *counts[::-1]), np.asarray(found.place, np.int64)[entry[good]],
        [*found.notes, *_bad_notes(found, bad, ids)], used, sum(reason != "empty" for reason in bad.values()),
    )  # fmt: skip


def _bad_notes(found: Found, bad: dict[int, str], ids: list[str]) -> list[Note]:
    notes = []
    for entry, reason in sorted(bad.items()):
        row = found.owner[entry]
        what = f"a {found.type[entry]} of {ids[row]!r} (lod {found.lod[entry] or 'not stated'})"
        if reason == "empty":
            notes.append(Note("empty", f"{what} is an empty geometry; left out", row=row))
        else:
            notes.append(Note("rejected", f"{what} is left out: {reason}", "error", row=row))
    return notes


def _convert(found: Found) -> tuple[pa.Array, Ints, dict[int, str]]:
    """Return all boundaries with five list levels, in file order, the entry each comes from, and what does not fit."""
    arrays, entries = [], []
    bad: dict[int, str] = {}
    kinds = np.asarray(found.type, object)
    for depth in sorted(set(DEPTH.values())):
        mine = np.flatnonzero(np.isin(kinds, [kind for kind, levels in DEPTH.items() if levels == depth]))
        if not len(mine):
            continue
        array, places, wrong = convert([found.boundaries[k] for k in mine.tolist()], depth, "vertex index")
        bad.update({int(mine[place]): reason for place, reason in wrong.items()})
        arrays.append(_five_levels(array, depth))
        entries.append(mine[places])
    if not arrays:
        return pa.array([], list_type(5)), np.empty(0, np.int64), bad
    entry = np.concatenate(entries)
    if (np.diff(entry) > 0).all():  # one kind follows the other
        return pa.concat_arrays(arrays), entry, bad
    order = np.argsort(entry, kind="stable")
    return pa.concat_arrays(arrays).take(pa.array(order)), entry[order], bad


def _five_levels(array: pa.Array, depth: int) -> pa.Array:
    """Wrap what a kind lacks: points and lines become surfaces of one ring, surfaces a shell, a shell a solid."""
    if depth < 3:
        start, parts = peel(array)
        for _ in range(3 - depth):
            parts = pa.ListArray.from_arrays(pa.array(np.arange(len(parts) + 1, dtype=np.int32)), parts)
        array = pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), parts)
    for _ in range(5 - max(depth, 3)):
        array = pa.ListArray.from_arrays(pa.array(np.arange(len(array) + 1, dtype=np.int32)), array)
    return array.cast(list_type(5))


def kept_counts(levels: list[Ints], good: NDArray[np.bool_]) -> list[Ints]:
    """Return the counts of every level, outermost first, of the kept rows only."""
    counts = []
    keep = good
    for start in levels:
        count = np.diff(start)
        counts.append(count[keep])
        keep = np.repeat(keep, count)
    return counts


def _localise(position: Ints, row: Ints, rows: int, points: Reals) -> tuple[Ints, pa.Array, Ints]:
    """Give each geometry vertices of its own: return the local indices, the vertices and which vertices are used at all."""
    span = max(len(points), 1)
    pair, local = np.unique(row * span + position, return_inverse=True)
    count = np.bincount(pair // span, minlength=rows)
    first = np.concatenate([[0], np.cumsum(count)])[:-1]
    used = pair % span
    met = np.zeros(len(points), bool)
    met[used] = True
    return local.reshape(-1) - first[row], vertices_from(points[used] if len(points) else np.empty((0, 3)), count), np.flatnonzero(met)


def picked(geometries: Geometries, rows: Ints) -> Geometries:
    """Return some geometries, in the given order; a row may come several times."""
    chosen, place = rows.tolist(), pa.array(rows)
    lists = ("type", "lod", "semantics", "material", "texture", "look")
    changed: dict[str, Any] = {name: [getattr(geometries, name)[k] for k in chosen] for name in lists}
    return replace(
        geometries, owner=geometries.owner[rows], vertices=geometries.vertices.take(place), boundaries=geometries.boundaries.take(place),
        place=geometries.place[rows], notes=[], **changed,
    )  # fmt: skip
