"""Geometry as arrays: flattening the nested lists, extruding footprints, triangles, areas and volumes.

Every function takes whole tables and works on plain arrays; nothing here knows a city.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.schema import BOUNDARIES, VERTICES, one_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = [
    "Extrusion",
    "Flat",
    "TriangleMesh",
    "boundaries_from",
    "extrude",
    "flatten",
    "kernels",
    "mesh_columns",
    "nest",
    "ring_normals",
    "shift",
    "triangulate",
    "vertices_from",
    "volume",
]


COMPILED_FROM, LOADED_FROM = 20_000, 500_000
"""Corners from which compiled loops are used, and from which the compiler is loaded for them."""


@dataclass(frozen=True)
class Flat:
    """A geometry table as flat arrays: the pool and its offsets."""

    vertices: Reals
    """Shape (v, 3), metres relative to the origin of the city."""
    vertex_start: Ints
    """Shape (g + 1,): geometry g owns vertices vertex_start[g] to vertex_start[g + 1]."""
    index: Ints
    """Shape (i,): every ring's vertices one after the other, as rows of `vertices`."""
    ring_start: Ints
    """Shape (r + 1,), into `index`."""
    surface_start: Ints
    """Shape (s + 1,), into rings."""
    shell_start: Ints
    """Shape (h + 1,), into surfaces."""
    solid_start: Ints
    """Shape (o + 1,), into shells."""
    geometry_start: Ints
    """Shape (g + 1,), into solids."""

    @property
    def geometry_of_surface(self) -> Ints:
        """Row of the geometry table that each surface belongs to, shape (s,)."""
        return owner(self.shell_start[self.solid_start[self.geometry_start]])

    @property
    def geometry_of_ring(self) -> Ints:
        """Row of the geometry table that each ring belongs to, shape (r,)."""
        return owner(self.surface_start[self.shell_start[self.solid_start[self.geometry_start]]])


def kernels(corners: int) -> ModuleType | None:
    """Return the compiled loops where there is so much that they are worth loading; None where not, or where they cannot be had."""
    return _compiled() if corners >= (COMPILED_FROM if "numba" in sys.modules else LOADED_FROM) else None


@cache
def _compiled() -> ModuleType | None:
    try:
        from cim.model import _kernels
    except (ImportError, RuntimeError, OSError):  # no numba, or no place where it may keep what it compiled
        return None
    return _kernels


def owner(start: Ints) -> Ints:
    """Return the owner of each element from the offsets of the owners.

    Examples
    --------
    >>> owner(np.array([0, 2, 2, 3]))
    array([0, 0, 2])
    """
    return np.repeat(np.arange(len(start) - 1), np.diff(start))


def _peel(lists: pa.Array) -> tuple[Ints, pa.Array]:
    """Return the offsets, from zero, and the values of one list level."""
    offsets = lists.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    first, last = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    return offsets - first if len(offsets) else np.zeros(1, np.int64), lists.values.slice(first, last - first)


def flatten(geometries: pa.Table) -> Flat:
    """Return the vertices and the offsets of every level of a geometry table.

    Parameters
    ----------
    geometries
        Columns `vertices` and `boundaries` as in `cim.model.schema`.

    Examples
    --------
    >>> solid = extrude([__import__("shapely").box(0, 0, 2, 1)], 0.0, 3.0).table()
    >>> flat = flatten(solid)
    >>> len(flat.vertices), len(flat.surface_start) - 1
    (8, 6)
    """
    vertex_start, points = _peel(one_array(geometries["vertices"]))
    first = points.offset * 3
    vertices = points.values.to_numpy(zero_copy_only=False)[first : first + 3 * len(points)].reshape(-1, 3)
    levels, values = [], one_array(geometries["boundaries"])
    for _ in range(5):
        start, values = _peel(values)
        levels.append(start)
    geometry_start, solid_start, shell_start, surface_start, ring_start = levels
    local = values.to_numpy(zero_copy_only=False).astype(np.int64)
    ring_geometry = owner(surface_start[shell_start[solid_start[geometry_start]]])
    index = local + np.repeat(vertex_start[ring_geometry], np.diff(ring_start))
    return Flat(vertices, vertex_start, index, ring_start, surface_start, shell_start, solid_start, geometry_start)


def vertices_from(points: ArrayLike, counts: ArrayLike) -> pa.Array:
    """Return the list column of vertices from all points and the number each geometry owns.

    Parameters
    ----------
    points : shape (v, 3)
        Coordinates [m].
    counts : shape (g,)
        Vertices per geometry.
    """
    flat = np.ascontiguousarray(points, np.float64).reshape(-1)
    return pa.ListArray.from_arrays(
        _offsets(counts), pa.FixedSizeListArray.from_arrays(pa.array(flat), type=VERTICES.value_type), type=VERTICES
    )


def boundaries_from(index: ArrayLike, *counts: ArrayLike) -> pa.Array:
    """Return the boundary column from local vertex indices and the five counts, innermost first.

    Parameters
    ----------
    index : shape (i,)
        Vertex of the geometry, ring after ring.
    *counts
        Vertices per ring, rings per surface, surfaces per shell, shells per solid, solids per geometry.

    Examples
    --------
    >>> boundaries_from([0, 1, 2], [3], [1], [1], [1], [1]).to_pylist()
    [[[[[[0, 1, 2]]]]]]
    """
    array = pa.array(np.asarray(index, np.int32))
    kind = pa.list_(pa.int32())
    for count in counts:
        array = pa.ListArray.from_arrays(_offsets(count), array, type=kind)
        kind = pa.list_(kind)
    return array


def _offsets(counts: ArrayLike) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(np.asarray(counts, np.int64))]).astype(np.int32))


def mesh_columns(points: ArrayLike, triangles: ArrayLike) -> tuple[pa.Array, pa.Array]:
    """Return vertices and boundaries of one geometry that is a triangle mesh, one surface per triangle.

    Parameters
    ----------
    points : shape (n, 3)
        Coordinates [m].
    triangles : shape (m, 3)
        Rows of `points`.

    Examples
    --------
    >>> vertices, boundaries = mesh_columns([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]])
    >>> boundaries.to_pylist()
    [[[[[[0, 1, 2]]]]]]
    """
    corners = np.asarray(triangles, np.int32).reshape(-1, 3)
    count, one = len(corners), [1]
    boundaries = boundaries_from(corners.reshape(-1), np.full(count, 3), np.ones(count, np.int64), [count], one, one)
    return vertices_from(points, [len(np.asarray(points))]), boundaries


def nest(array: pa.Array, levels: int) -> pa.Array:
    """Return `array` wrapped in `levels` list levels of one element each, so that every kind has the five levels of a MultiSolid.

    The innermost wrapping goes around what is there: a MultiSurface (surface > ring > index) needs two.
    """
    for _ in range(levels):
        ones = pa.array(np.arange(len(array) + 1, dtype=np.int32))
        array = pa.ListArray.from_arrays(ones, array)
    return array.cast(BOUNDARIES) if levels and array.type != BOUNDARIES else array


def shift(vertices: pa.Array | pa.ChunkedArray, by: ArrayLike) -> pa.Array:
    """Return the list column of vertices moved by a constant (3,) or by one vector per geometry (g, 3) [m]."""
    start, points = _peel(one_array(vertices))
    first = points.offset * 3
    flat = points.values.to_numpy(zero_copy_only=False)[first : first + 3 * len(points)].reshape(-1, 3)
    move = np.asarray(by, np.float64)
    moved = flat + (move if move.ndim == 1 else np.repeat(move, np.diff(start), axis=0))
    return vertices_from(moved, np.diff(start))


# --------------------------------------------------------------------------------------------- extrusion


@dataclass(frozen=True)
class Extrusion:
    """Blocks made from footprints (LoD1): columns for a geometry table, one row per footprint that could be extruded."""

    row: Ints
    """Shape (g,): which footprint each block stands on."""
    type: list[str]
    """``"Solid"``, or ``"MultiSolid"`` where a footprint has several parts."""
    vertices: pa.Array
    """Absolute coordinates as given [m]."""
    boundaries: pa.Array
    """Surfaces in the order ground, roof, walls."""
    semantics: pa.Array
    """Per surface: 0 ground, 1 roof, 2 wall; the three rows of `surfaces` that each geometry needs."""

    SURFACES = ("GroundSurface", "RoofSurface", "WallSurface")

    def table(self) -> pa.Table:
        """Return the geometry columns as a table."""
        return pa.table({"type": self.type, "vertices": self.vertices, "boundaries": self.boundaries, "semantics": self.semantics})


def extrude(footprints: Sequence[Any] | NDArray[Any], z_ground: ArrayLike, z_roof: ArrayLike) -> Extrusion:
    """Return vertical blocks over polygons, all normals outward.

    Parameters
    ----------
    footprints : shape (n,)
        Polygons or multipolygons [m]; other kinds, empty ones and rows with a height that is not finite or not positive are left out.
    z_ground, z_roof : shape (n,) or scalar
        Height of floor and roof [m], same vertical datum.

    Notes
    -----
    Outer rings run counter-clockwise seen from above and holes clockwise, so that edge × up points outward on every wall.
    """
    import shapely

    shapes = np.asarray(footprints, object)
    low = np.broadcast_to(np.asarray(z_ground, float), shapes.shape)
    high = np.broadcast_to(np.asarray(z_roof, float), shapes.shape)
    polygonal = np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)
    row = np.flatnonzero(polygonal & np.isfinite(low) & np.isfinite(high) & (high > low))
    parts, part_row = shapely.get_parts(shapely.orient_polygons(shapes[row]), return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, point_ring = shapely.get_coordinates(rings, return_index=True)
    keep = np.ones(len(xy), bool)
    keep[np.flatnonzero(np.diff(point_ring, append=-1))] = False  # the closing point of each ring
    xy, point_ring = xy[keep], point_ring[keep]
    size = np.bincount(point_ring, minlength=len(rings))
    return _blocks(row, xy, size, ring_part, part_row, low[row], high[row])


def _blocks(row: Ints, xy: Reals, size: Ints, ring_part: Ints, part_row: Ints, low: Reals, high: Reals) -> Extrusion:
    """Assemble the nested lists of blocks from their rings."""
    ring_geometry = part_row[ring_part]
    start = np.concatenate([[0], np.cumsum(size)])
    within = np.arange(len(xy)) - np.repeat(start[:-1], size)  # place of a point in its ring
    per_geometry = np.bincount(ring_geometry, size, len(row)).astype(np.int64)
    geometry_start = np.concatenate([[0], np.cumsum(per_geometry)])
    base = 2 * (start[:-1] - geometry_start[ring_geometry])  # first local vertex of each ring: bottoms, then tops
    k = np.repeat(size, size)
    bottom = np.repeat(base, size) + within
    after = np.repeat(base, size) + (within + 1) % k

    points = np.empty((2 * len(xy), 3))
    slot = np.repeat(2 * start[:-1], size) + within
    points[slot, :2] = points[slot + k, :2] = xy
    geometry_of_point = np.repeat(ring_geometry, size)
    points[slot, 2], points[slot + k, 2] = low[geometry_of_point], high[geometry_of_point]

    rings = len(size)
    part_of_point = np.repeat(ring_part, size)
    # one record per ring of the result: which part, ground 0 / roof 1 / wall 2, its order, its length
    part = np.concatenate([ring_part, ring_part, part_of_point])
    kind = np.repeat([0, 1, 2], [rings, rings, len(xy)])
    length = np.concatenate([size, size, np.full(len(xy), 4)])
    ground = np.repeat(base + size - 1, size) - within
    wall = np.stack([bottom, after, after + k, bottom + k], axis=1).reshape(-1)
    index = np.concatenate([ground, bottom + k, wall])
    order = np.lexsort((np.arange(len(part)), kind, part))
    first = np.concatenate([[0], np.cumsum(length)])[:-1]
    taken = length[order]
    place = np.repeat(first[order] - np.concatenate([[0], np.cumsum(taken)])[:-1], taken) + np.arange(len(index))

    parts = len(part_row)
    rings_in_part = np.bincount(ring_part, minlength=parts)
    walls_in_part = np.bincount(part_of_point, minlength=parts)
    walls_of = np.repeat(np.arange(parts), 2 + walls_in_part)
    rank = np.arange(len(walls_of)) - np.repeat(np.concatenate([[0], np.cumsum(2 + walls_in_part)])[:-1], 2 + walls_in_part)
    rings_in_surface = np.where(rank < 2, rings_in_part[walls_of], 1)
    parts_in_geometry = np.bincount(part_row, minlength=len(row))
    boundaries = boundaries_from(index[place], taken, rings_in_surface, 2 + walls_in_part, np.ones(parts), parts_in_geometry)
    surfaces_in_geometry = np.bincount(part_row, 2 + walls_in_part, len(row)).astype(np.int64)
    semantics = pa.ListArray.from_arrays(_offsets(surfaces_in_geometry), pa.array(np.minimum(rank, 2).astype(np.int32)))
    names = np.where(parts_in_geometry > 1, "MultiSolid", "Solid").tolist()
    return Extrusion(row, names, vertices_from(points, 2 * per_geometry), boundaries, semantics)


# --------------------------------------------------------------------------------------------- measures and triangles


def ring_normals(flat: Flat) -> Reals:
    """Return the area vector of each ring [m²], shape (r, 3): its direction is the normal, its length the area (Newell's method)."""
    compiled = kernels(len(flat.index))
    if compiled is not None:
        made = np.empty((len(flat.ring_start) - 1, 3))
        compiled.normals(np.ascontiguousarray(flat.vertices), flat.index, np.ascontiguousarray(flat.ring_start), made)
        return made
    size = np.diff(flat.ring_start)
    nonempty = np.flatnonzero(size)
    anchor = np.zeros((len(size), 3))
    anchor[nonempty] = flat.vertices[flat.index[flat.ring_start[nonempty]]]
    points = flat.vertices[flat.index] - np.repeat(anchor, size, axis=0)
    cross = np.cross(points, points[_next_in_ring(flat)])
    out = np.zeros((len(size), 3))
    if len(nonempty):
        out[nonempty] = np.add.reduceat(cross, flat.ring_start[nonempty], axis=0) / 2
    return out


def _next_in_ring(flat: Flat) -> Ints:
    """Return, for each place in `flat.index`, the place of the next vertex of the same ring."""
    following = np.arange(1, len(flat.index) + 1)
    size = np.diff(flat.ring_start)
    last = flat.ring_start[1:][size > 0] - 1
    following[last] = flat.ring_start[:-1][size > 0]
    return following


def volume(geometries: pa.Table) -> Reals:
    """Return the signed volume of each geometry [m³], shape (g,): positive when normals point outward.

    Only meaningful for closed solids; see `cim.model.solids` for the checks.

    Examples
    --------
    >>> import shapely
    >>> volume(extrude([shapely.box(0, 0, 2, 1)], 0.0, 3.0).table())
    array([6.])
    """
    flat = flatten(geometries)
    total = np.zeros(geometries.num_rows)
    size = np.diff(flat.ring_start)
    if not len(flat.index):
        return total
    ring_geometry = flat.geometry_of_ring
    reference = flat.vertices[np.minimum(flat.vertex_start[:-1], len(flat.vertices) - 1)]  # near the solid: no cancellation
    first = flat.vertices[flat.index[np.minimum(flat.ring_start[:-1], len(flat.index) - 1)]] - reference[ring_geometry]
    height = np.einsum("ij,ij->i", first, ring_normals(flat)) / 3
    np.add.at(total, ring_geometry[size > 0], height[size > 0])
    return total


@dataclass(frozen=True)
class TriangleMesh:
    """Triangles of many geometries at once."""

    points: Reals
    """Shape (n, 3), metres relative to the origin of the city."""
    triangles: NDArray[np.int32]
    """Shape (m, 3), rows of `points`."""
    row: NDArray[np.int32]
    """Shape (m,): row of the geometry table each triangle comes from."""
    surface: NDArray[np.int32]
    """Shape (m,): surface of the flattened table each triangle comes from."""
    failed: int
    """Surfaces with fewer than three different points, which have no triangle."""


def triangulate(geometries: pa.Table) -> TriangleMesh:
    """Return triangles of every surface of a geometry table.

    Triangles and convex quadrilaterals are split directly, for all at once; only what is left (roofs with many corners, holes)
    goes through ear clipping, one surface after the other.

    Raises
    ------
    MissingExtraError
        If the ear clipper is not installed.
    """
    flat = flatten(geometries)
    size = np.diff(flat.ring_start)
    rings = np.diff(flat.surface_start)
    normals = ring_normals(flat)
    surfaces = len(rings)
    outer = flat.surface_start[:-1]
    single = rings == 1
    corners = np.where(single, size[np.minimum(outer, max(len(size) - 1, 0))] if len(size) else 0, 0)
    corner = flat.index
    three = np.flatnonzero(single & (corners == 3))
    tri = [corner[flat.ring_start[outer[three]][:, None] + np.arange(3)]]
    own = [three]
    four = np.flatnonzero(single & (corners == 4))
    quad = corner[flat.ring_start[outer[four]][:, None] + np.arange(4)]
    convex = _is_convex(flat.vertices[quad], normals[outer[four]])
    tri += [quad[convex][:, [0, 1, 2]], quad[convex][:, [0, 2, 3]]]
    own += [four[convex], four[convex]]
    hard = np.setdiff1d(np.flatnonzero(rings > 0), np.concatenate([three, four[convex]]), assume_unique=True)
    clipped, clipped_owner, failed = _clip(flat, hard, normals)
    tri.append(clipped)
    own.append(clipped_owner)
    triangles, surface = np.concatenate(tri).astype(np.int32), np.concatenate(own)
    order = np.argsort(surface, kind="stable")
    surface = surface[order]
    row = flat.geometry_of_surface[surface] if surfaces else surface
    return TriangleMesh(flat.vertices, triangles[order], row.astype(np.int32), surface.astype(np.int32), failed)


def _is_convex(quads: Reals, normals: Reals) -> NDArray[np.bool_]:
    """Say which quadrilaterals, shape (n, 4, 3), turn the same way at all four corners."""
    edge = np.roll(quads, -1, axis=1) - quads
    turn = np.cross(edge, np.roll(edge, -1, axis=1))
    return np.asarray((np.einsum("nij,nj->ni", turn, normals) >= 0).all(axis=1) & (np.abs(normals).sum(axis=1) > 0))


def _clip(flat: Flat, surfaces: Ints, normals: Reals) -> tuple[Ints, Ints, int]:
    """Return triangles, their surfaces and the number that failed, by ear clipping in the plane each surface faces most."""
    import mapbox_earcut

    found: list[Ints] = []
    owners: list[Ints] = []
    failed = 0
    for surface in surfaces.tolist():
        first, last = flat.surface_start[surface], flat.surface_start[surface + 1]
        ends = flat.ring_start[first : last + 1]
        index = flat.index[ends[0] : ends[-1]]
        normal = normals[first]
        drop = int(np.argmax(np.abs(normal)))
        plane = np.ascontiguousarray(np.delete(flat.vertices[index], drop, axis=1))
        local = mapbox_earcut.triangulate_float64(plane, (ends[1:] - ends[0]).astype(np.uint32)).reshape(-1, 3)
        if not len(local):
            failed += 1
            continue
        corner = flat.vertices[index[local]]
        facing = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) @ normal
        local = np.where(facing[:, None] < 0, local[:, ::-1], local)
        found.append(index[local])
        owners.append(np.full(len(local), surface))
    if not found:
        return np.empty((0, 3), np.int64), np.empty(0, np.int64), failed
    return np.concatenate(found), np.concatenate(owners), failed
