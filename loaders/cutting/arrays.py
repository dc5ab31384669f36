"""Meshes of a city as plain arrays: triangles, what they mean, and how they look in each theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.model.geometry import Flat, flatten, triangulate
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Look", "MeshArrays", "mesh_arrays"]


@dataclass(frozen=True)
class Look:
    """How the triangles look in one theme."""

    theme: str
    material: Ints
    """Shape (m,): key of the material, -1 none."""
    texture: Ints
    """Shape (m,): key of the texture, -1 none."""
    uv: Floats | None
    """Shape (m, 3, 2): place of the corners in the image, NaN where there is no texture; None when nothing has one."""
    known: NDArray[np.bool_]
    """Shape (geometries,): geometries that have this theme."""


@dataclass(frozen=True)
class MeshArrays:
    """All meshes of a city end to end."""

    geometries: pa.Table
    """The rows they come from."""
    points: Floats
    """Shape (n, 3), relative to the origin of the city [m]."""
    triangles: Ints
    """Shape (m, 3)."""
    row: Ints
    """Shape (m,): row of `geometries`."""
    surface: Ints
    """Shape (m,): row of `surfaces`, -1 none."""
    surfaces: pa.Table
    """Semantic surfaces of the meshes."""
    looks: list[Look]
    failed: int
    """Surfaces of the source that have no triangle."""


def mesh_arrays(city: City) -> MeshArrays:
    """Return every geometry with the role ``"mesh"``.

    Raises
    ------
    UsageError
        If the city has none.
    """
    geometries = city.geometry_table(role="mesh").combine_chunks()
    if not geometries.num_rows:
        roles = sorted(set(city.tables.scan("geometries", ["role"])["role"].to_pylist()))
        msg = f"the city {city.name!r} has no geometry with the role 'mesh' (it has {', '.join(roles) or 'none'}); read a mesh first"
        raise UsageError(msg)
    flat = flatten(geometries)
    triangles, face, place, failed = _triangles(geometries, flat)
    surfaces = city.surface_table(geometries)
    row = flat.geometry_of_surface[face]
    meaning = _meaning(geometries, flat, surfaces)
    return MeshArrays(
        geometries, flat.vertices, triangles, row, meaning[face], surfaces, _looks(city, geometries, flat, face, place), failed
    )


def _triangles(geometries: pa.Table, flat: Flat) -> tuple[Ints, Ints, Ints, int]:
    """Return triangles (m, 3), the surface of each (m,), the place of each corner in the rings (m, 3), and surfaces without any."""
    size = np.diff(flat.ring_start)
    if (size == 3).all() and (np.diff(flat.surface_start) == 1).all():
        return flat.index.reshape(-1, 3), np.arange(len(size)), np.arange(len(flat.index)).reshape(-1, 3), 0
    mesh = triangulate(geometries)
    ring_surface = np.repeat(np.arange(len(flat.surface_start) - 1), np.diff(flat.surface_start))
    key = np.repeat(ring_surface, size) * len(flat.vertices) + flat.index
    order = np.argsort(key, kind="stable")
    wanted = mesh.surface.astype(np.int64)[:, None] * len(flat.vertices) + mesh.triangles
    place = order[np.searchsorted(key[order], wanted)] if len(order) else np.empty((0, 3), np.int64)
    return mesh.triangles.astype(np.int64), mesh.surface.astype(np.int64), place, mesh.failed


def _meaning(geometries: pa.Table, flat: Flat, surfaces: pa.Table) -> Ints:
    """Return the row of the semantic surface of each surface of the meshes, -1 for none."""
    meaning = np.full(len(flat.surface_start) - 1, -1, np.int64)
    if not surfaces.num_rows:
        return meaning
    keys = np.asarray(geometries["key"].to_numpy(), np.int64)
    width = int(np.max(surfaces["index"].to_numpy())) + 1
    have = np.asarray(surfaces["geometry"].to_numpy(), np.int64) * width + np.asarray(surfaces["index"].to_numpy(), np.int64)
    order = np.argsort(have, kind="stable")
    first = flat.shell_start[flat.solid_start[flat.geometry_start]]
    column = one_array(geometries["semantics"])
    for row in np.flatnonzero(np.asarray(column.is_valid().to_numpy(zero_copy_only=False))).tolist():  # one mesh after the other
        index = np.asarray(column[row].values.to_numpy(zero_copy_only=False), np.int64)
        at = np.minimum(np.searchsorted(have[order], keys[row] * width + index), len(order) - 1)
        found = (index >= 0) & (have[order][at] == keys[row] * width + index)
        meaning[first[row] : first[row] + len(index)] = np.where(found, order[at], -1)
    return meaning


def _looks(city: City, geometries: pa.Table, flat: Flat, face: Ints, place: Ints) -> list[Look]:
    """Return the appearance of the triangles, one for each theme."""
    table = city.appearance_table(geometries)
    row_of = {key: row for row, key in enumerate(geometries["key"].to_pylist())}
    surface = flat.shell_start[flat.solid_start[flat.geometry_start]]
    ring = flat.surface_start[surface]
    corner = flat.ring_start[ring]
    looks = []
    for theme in dict.fromkeys(table["theme"].to_pylist()):
        material, texture = np.full(surface[-1], -1, np.int64), np.full(ring[-1], -1, np.int64)
        uv, known = np.full((corner[-1], 2), np.nan), np.zeros(geometries.num_rows, bool)
        chosen = table.filter(pa.compute.equal(table["theme"], theme)).combine_chunks()
        for place_in, key in enumerate(chosen["geometry"].to_pylist()):  # one mesh after the other
            row = row_of[key]
            known[row] = True
            for name, target, start in (("materials", material, surface), ("textures", texture, ring)):
                if chosen[name][place_in].is_valid:
                    target[start[row] : start[row + 1]] = chosen[name][place_in].values.fill_null(-1).to_numpy(zero_copy_only=False)
            if chosen["uv"][place_in].is_valid:
                uv[corner[row] : corner[row + 1]] = _pairs(chosen["uv"][place_in].values)
        first_ring = flat.surface_start[face]
        textured = texture[first_ring]
        looks.append(Look(theme, material[face], textured, uv[place] if (textured >= 0).any() else None, known))
    return looks


def _pairs(values: pa.Array) -> Floats:
    first = values.offset * 2
    flat = values.values.to_numpy(zero_copy_only=False)[first : first + 2 * len(values)]
    return np.asarray(flat, np.float64).reshape(-1, 2)
