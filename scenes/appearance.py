"""How the faces of a city look in their source: images by ring corner and materials by surface, brought to triangles and vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import flatten, owner
from cim.model.schema import one_array
from cim.scenes.layer import Text
from cim.scenes.pictures import image_files

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.scenes.faces import Faces

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["SEE_THROUGH", "Looks", "looks"]

SEE_THROUGH = 0.05
"""A material whose transparency is above this is seen through."""
_WHITE = 0.999  # diffuse of a material that says nothing: most formats write it where nobody chose a colour


@dataclass(frozen=True)
class Looks:
    """A mesh whose vertices carry what its faces show."""

    points: Reals
    """Shape (v, 3)."""
    triangles: Ints
    """Shape (m, 3)."""
    uv: NDArray[np.float32]
    """Shape (v, 2), zero where there is no image."""
    image: NDArray[np.int32]
    """Shape (m,): row of `images`, -1 for none."""
    images: tuple[bytes, ...]
    colour: NDArray[np.uint8]
    """Shape (v, 3): of materials."""
    painted: NDArray[np.bool_]
    """Shape (v,): where a material says the colour."""
    opacity: NDArray[np.float32]
    """Shape (m,): 1 less the transparency of the material."""
    old: Ints
    """Shape (v,): vertex of the mesh without looks."""
    notes: tuple[Text, ...] = ()


def looks(city: City, geometries: pa.Table, found: Faces) -> Looks | None:
    """Return the mesh of a geometry table with its images and materials, None where its source gives none.

    Where a geometry has several themes, the one with images is taken, and of these the most frequent.

    Parameters
    ----------
    geometries
        The table that `found` was made of.
    """
    table = city.appearance_table(geometries)
    if not table.num_rows or found.place is None or found.surface is None or not len(found.triangles):
        return None
    chosen = _one_each(table, np.asarray(geometries["key"].to_numpy(), np.int64))
    flat = flatten(geometries)
    rings = np.diff(flat.surface_start[flat.shell_start[flat.solid_start[flat.geometry_start]]])
    surfaces = np.diff(flat.shell_start[flat.solid_start[flat.geometry_start]])
    texture = _spread(chosen["textures"], rings)
    material = _spread(chosen["materials"], surfaces)[found.surface]
    corner_ring = owner(flat.ring_start)
    uv = _spread_uv(chosen["uv"], np.bincount(flat.geometry_of_ring[corner_ring], minlength=len(rings)))[found.place]
    shown = texture[corner_ring[found.place[:, 0]]] if len(corner_ring) else np.empty(0, np.int64)
    shown = np.where(np.isfinite(uv).all(axis=(1, 2)), shown, -1)
    files, place, notes = image_files(city, np.unique(shown[shown >= 0]))
    image = place[np.searchsorted(place[:, 0], shown).clip(max=len(place) - 1), 1] if len(place) else np.full(len(shown), -1)
    image = np.where(shown >= 0, image, -1)
    table_colour, opacity = _materials(city, material)
    colour = np.where(image >= 0, -1, table_colour[0])
    if not (image >= 0).any() and not (colour >= 0).any() and bool((opacity >= 1).all()):
        return None if not notes else _plain(found, notes)
    return _split(found, np.where((image >= 0)[:, None, None], uv, 0.0), image, files, colour, table_colour[1], opacity, notes)


def _plain(found: Faces, notes: tuple[Text, ...]) -> Looks:
    vertices, triangles = len(found.points), len(found.triangles)
    return Looks(
        found.points, found.triangles, np.zeros((vertices, 2), np.float32), np.full(triangles, -1, np.int32), (),
        np.zeros((vertices, 3), np.uint8), np.zeros(vertices, bool), np.ones(triangles, np.float32), np.arange(vertices), notes,
    )  # fmt: skip


def _one_each(table: pa.Table, keys: Ints) -> pa.Table:
    """Return one appearance for each geometry, null where there is none."""
    themes = table["theme"].combine_chunks().dictionary_encode()
    code = np.asarray(themes.indices.to_numpy(zero_copy_only=False), np.int64)
    often = np.bincount(code)[code]
    bare = np.asarray(table["textures"].is_null().to_numpy(zero_copy_only=False)) if table.num_rows else np.empty(0, bool)
    geometry = np.asarray(table["geometry"].to_numpy(), np.int64)
    order = np.lexsort((code, -often, bare, geometry))
    first = np.concatenate([[True], np.diff(geometry[order]) != 0])
    rows, known = order[first], geometry[order][first]
    at = np.searchsorted(known, keys).clip(max=len(known) - 1)
    return table.take(pa.array(rows[at], mask=known[at] != keys))


def _spread(column: pa.ChunkedArray, counts: Ints) -> Ints:
    """Return the numbers of list rows one after the other, -1 for every element of a row without list or of another length."""
    lists = one_array(column)
    said = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)
    fits = said == counts
    out = np.full(int(counts.sum()), -1, np.int64)
    values = pc.fill_null(pc.list_flatten(lists), -1).to_numpy(zero_copy_only=False)
    out[np.repeat(fits, counts)] = np.asarray(values, np.int64)[np.repeat(fits, said)]
    return out


def _spread_uv(column: pa.ChunkedArray, counts: Ints) -> Reals:
    """Return places in images of all ring corners, shape (i, 2), NaN where there is none."""
    lists = one_array(column)
    said = np.asarray(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False), np.int64)
    fits = said == counts
    out = np.full((int(counts.sum()), 2), np.nan)
    pairs = pc.list_flatten(lists)
    values = np.asarray(pairs.values.to_numpy(zero_copy_only=False), float).reshape(-1, 2)[pairs.offset : pairs.offset + len(pairs)]
    out[np.repeat(fits, counts)] = values[np.repeat(fits, said)]
    return out


def _materials(city: City, material: Ints) -> tuple[tuple[Ints, NDArray[np.uint8]], NDArray[np.float32]]:
    """Return for each triangle its colour as a row of a table (-1 for none), the table, and its opacity."""
    table = city.tables["materials"]
    if not table.num_rows or not (material >= 0).any():
        return (np.full(len(material), -1), np.empty((0, 3), np.uint8)), np.ones(len(material), np.float32)
    keys = np.asarray(table["key"].to_numpy(), np.int64)
    diffuse = np.array([value or (np.nan,) * 3 for value in table["diffuse"].to_pylist()], float).reshape(-1, 3)
    clear = np.nan_to_num(np.asarray(table["transparency"].to_numpy(), float))
    row = np.searchsorted(keys, material).clip(max=len(keys) - 1)
    known = (material >= 0) & (keys[row] == material)
    told = np.isfinite(diffuse).all(axis=1) & ~((diffuse >= _WHITE).all(axis=1) & (clear < SEE_THROUGH))
    colours = np.rint(np.clip(np.nan_to_num(diffuse), 0, 1) * 255).astype(np.uint8)
    opacity = np.where(known, 1.0 - np.clip(clear, 0, 1)[row], 1.0).astype(np.float32)
    return (np.where(known & told[row], row, -1), colours), opacity


def _split(  # what a corner carries
    found: Faces, uv: Reals, image: Ints, files: tuple[bytes, ...], colour: Ints, table: NDArray[np.uint8],
    opacity: NDArray[np.float32], notes: tuple[Text, ...],
) -> Looks:  # fmt: skip
    """Return the mesh with a vertex for each thing that meets in a corner: image, place in it, colour, whether it is seen through."""
    vertex = found.triangles.reshape(-1).astype(np.int64)
    corner_image, corner_colour = np.repeat(image, 3), np.repeat(colour, 3)
    place = np.ascontiguousarray(uv.reshape(-1, 2).astype(np.float32))
    kind = (np.repeat(found.row, 3) * (len(files) + 2) + corner_image + 1) * (len(table) + 2) + corner_colour + 1
    first, inverse = _distinct(vertex, kind, place)
    of = corner_colour[first]
    colours = table[np.maximum(of, 0)] if len(table) else np.zeros((len(first), 3), np.uint8)
    return Looks(
        found.points[vertex[first]], inverse.reshape(-1, 3), place[first], image.astype(np.int32), files,
        colours, of >= 0, opacity, vertex[first], notes,
    )  # fmt: skip


def _distinct(vertex: Ints, kind: Ints, place: NDArray[np.float32]) -> tuple[Ints, Ints]:
    """Return the first of each kind of equal corners and the kind of every corner."""
    bits: Any = place.view(np.uint64).reshape(-1)  # both floats of a corner in one word
    mixed = (vertex.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (kind.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F))
    code = (mixed ^ bits) * np.uint64(0x165667B19E3779F9)
    code ^= (bits >> np.uint64(29)) * np.uint64(0x85EBCA77C2B2AE63)
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    same = (vertex[first][inverse] == vertex) & (kind[first][inverse] == kind) & (bits[first][inverse] == bits)
    if not same.all():  # two corners of one code: sorted by their values instead
        rows = np.stack([vertex.astype(np.uint64), kind.astype(np.uint64), bits], axis=1)
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return first, inverse.reshape(-1)
