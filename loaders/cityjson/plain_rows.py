"""What the columns of a plain file mean: the geometries, semantic surfaces and materials that the careful way makes of parsed JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.loaders.cityjson.appearance import Looks
from cim.loaders.cityjson.checks import within
from cim.loaders.cityjson.columns import NotPlainError, kernel
from cim.loaders.cityjson.geometry import Geometries
from cim.loaders.cityjson.semantics import SurfaceRows, Surfaces, parents_of
from cim.loaders.cityjson.texture import no_textures
from cim.model.classes import from_cityjson
from cim.model.geometry import boundaries_from, vertices_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cityjson.appearance import Library
    from cim.loaders.cityjson.columns import Columns
    from cim.loaders.cityjson.document import Note

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["geometries_from", "looks_from", "semantics_from"]

_WITH_FACES = frozenset({"MultiSurface", "CompositeSurface", "Solid", "MultiSolid", "CompositeSolid"})


def geometries_from(columns: Columns, owners: Ints, points: Reals, notes: list[Note]) -> Geometries:
    """Return the geometries of a plain file.

    Parameters
    ----------
    owners
        Row of the object of each geometry array.
    points : shape (v, 3)
        All vertices, transformed.
    """
    compiled = kernel()
    if compiled is None or not within(points) or len(owners) != int(columns.array[-1]) + 1:
        raise NotPlainError
    rings, surfaces, shells, solids, parts = columns.counts
    start = _starts(parts)
    for counts in (solids, shells, surfaces, rings):
        start = _starts(counts)[start]
    own, used = np.empty(len(columns.index), np.int32), np.empty(len(columns.index), np.int32)
    sizes = np.empty(len(columns.kind), np.int64)
    total = compiled.local(columns.index, start, len(points), own, used, sizes)
    if total < 0:
        raise NotPlainError
    met = np.zeros(len(points), bool)
    met[used[:total]] = True
    return Geometries(
        owners[columns.array], columns.kind, columns.lod, [], [], [], [0] * len(columns.kind), vertices_from(points[used[:total]], sizes),
        boundaries_from(own, *columns.counts), np.arange(len(columns.kind)), notes, np.flatnonzero(met),
    )  # fmt: skip


def semantics_from(columns: Columns) -> Surfaces:
    """Return the semantic surfaces of a plain file."""
    faces = columns.faces
    given = columns.surfaces >= 0
    size = np.maximum(columns.surfaces, 0).astype(np.int64)
    first = np.cumsum(size) - size
    count = _faces_of(columns)
    face = np.full(int(count.sum()), -1, np.int32)
    face[np.repeat(given, count)] = columns.face
    start = _starts(count)
    lists = pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), pa.array(face), mask=pa.array(~given))
    names = [from_cityjson(one["type"]) for one in faces.described]
    code = pa.array(faces.code.astype(np.int32))
    kinds, told = (pa.DictionaryArray.from_arrays(code, pa.array(one, pa.string())) for one in (names, faces.attributes))
    place = np.arange(len(faces.code)) - first[faces.geometry]
    rows = SurfaceRows(faces.geometry, place, kinds, _above(columns, first), told)
    is_ground = np.append(np.array([name == "GroundSurface" for name in names], bool)[faces.code], False)
    ground = is_ground[np.where(face >= 0, np.repeat(first, count) + face, len(is_ground) - 1)]
    return Surfaces(rows, lists, np.asarray(ground), [])


def _above(columns: Columns, first: Ints) -> pa.Array:
    """Return the parent of each semantic surface."""
    faces = columns.faces
    above = np.full(len(faces.code), -1, np.int32)
    linked = np.array(["parent" in one or "children" in one for one in faces.described], bool)
    if linked.any():
        for row in np.unique(faces.geometry[linked[faces.code]]).tolist():
            begin = int(first[row])
            listed = [faces.described[k] for k in faces.code[begin : begin + int(columns.surfaces[row])].tolist()]
            for index, parent in parents_of(listed).items():
                above[begin + index] = parent
    return pa.array(above, mask=above < 0)


def looks_from(columns: Columns, library: Library) -> Looks:
    """Return what the geometries of a plain file wear: materials; one with textures is not read this way."""
    rows, theme, whole = (np.asarray(one, np.int64) for one in columns.worn.T)
    size = int(library.first_material[1]) if len(library.first_material) > 1 else 0
    kinds = {columns.kind[row] for row in rows.tolist()}
    if kinds - _WITH_FACES or max(columns.look.max(initial=-1), whole.max(initial=-1)) >= size:
        raise NotPlainError
    count = _faces_of(columns)[rows]
    face = np.repeat(whole, count)
    face[np.repeat(whole < 0, count)] = columns.look
    lists = pa.ListArray.from_arrays(pa.array(_starts(count).astype(np.int32)), pa.array(face))
    return Looks(rows, [columns.themes[k] for k in theme.tolist()], lists, no_textures(), [])


def _faces_of(columns: Columns) -> Ints:
    _, _, shells, solids, parts = columns.counts
    start = _starts(shells)[_starts(solids)[_starts(parts)]]
    return np.diff(start)


def _starts(counts: NDArray[np.int32] | Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
