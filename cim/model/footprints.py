"""Footprint, ground and roof height of objects, taken from their 3D geometry.

Of each object the finest level of detail counts. The footprint is the union of its ground surfaces where it has any, else of the
surfaces that look down (for a closed solid their union is its shadow), else of everything that is not vertical. The ground height is
that of the lowest vertex, the roof height that of the highest: the top of a LoD1 block, the ridge of a LoD2 roof. What merely
covers the ground (a road, a meadow, terrain) has no roof, however steep it lies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.classes import get
from cim.model.geometry import Flat, flatten, kernels, owner, ring_normals
from cim.model.outlines import merged, rings_of
from cim.model.solids import SOLID_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Shapes = NDArray[Any]

__all__ = ["Places", "derive_places", "polygons_of_surfaces", "union_by_group"]

_VERTICAL = 0.02
"""Surfaces whose normal rises or falls less than this (1.1 degrees) cast no shadow worth keeping."""
_RISING = frozenset({"Building", "Bridge", "Tunnel", "Construction", "CityFurniture", "SolitaryVegetationObject"})
"""Modules and classes of CityGML whose objects have a top."""
_BLOCK = 8192
"""Geometries looked at a time, so that what the look needs stays small."""
_DIMENSION = {"MultiPoint": 0, "MultiLineString": 1}


@dataclass(frozen=True)
class Places:
    """Where objects stand, one entry per object."""

    footprint: Shapes
    """Shape (n,): shapely polygons, lines or points [m]; None without geometry."""
    z_ground: Reals
    """Shape (n,): lowest vertex [m]; NaN without geometry."""
    z_roof: Reals
    """Shape (n,): highest vertex [m]; NaN where there is no thickness or no geometry."""
    from_parts: NDArray[np.bool_]
    """Shape (n,): whether the values were put together from those of the parts."""


def derive_places(
    geometries: pa.Table, count: int, *, ground: ArrayLike | None = None, parent: ArrayLike | None = None,
    types: Sequence[str] | None = None, known: tuple[Ints, Shapes] | None = None,
) -> Places:  # fmt: skip
    """Return footprint, ground and roof height of each object.

    Parameters
    ----------
    geometries
        Columns object (0 to `count` - 1), lod, type, vertices (absolute) [m], boundaries.
    count
        Number of objects.
    ground : shape (surfaces,)
        Which surfaces of the flattened table are ground surfaces; none when left out.
    parent : shape (count,)
        Row of the whole each object is part of, -1 for none: a whole without geometry stands where its parts stand.
    types : shape (count,)
        CityGML classes; with them only constructions, trees and solids of any class have a roof. All objects may have one when left out.
    known
        Rows of `geometries`, and the shape of each seen from above where that is known already.

    Examples
    --------
    >>> import shapely
    >>> from cim.model.geometry import extrude
    >>> block = extrude([shapely.box(0, 0, 2, 1)], 5.0, 8.0).table()
    >>> block = block.append_column("object", [[0]]).append_column("lod", [["1"]])
    >>> place = derive_places(block, 1)
    >>> place.footprint[0].area, float(place.z_ground[0]), float(place.z_roof[0])
    (2.0, 5.0, 8.0)
    """
    footprint: Shapes = np.full(count, None, object)
    roofed = np.ones(count, bool) if types is None else _roofed(types)
    low, high = np.full(count, np.nan), np.full(count, np.nan)
    if geometries.num_rows:
        finest = _finest(geometries)
        chosen, grounded = geometries, np.zeros(0, bool) if ground is None else np.asarray(ground, bool)
        rows, shapes = known if known is not None else (np.empty(0, np.int64), np.empty(0, object))
        if not finest.all():
            chosen = geometries.filter(pa.array(finest))
            grounded = grounded if ground is None else grounded[finest[flatten(geometries).geometry_of_surface]]
            rows, shapes = (np.cumsum(finest) - 1)[rows[finest[rows]]], shapes[finest[rows]]
        _fill(chosen, grounded, (rows, shapes), footprint, low, high)
        roofed[np.asarray(chosen["object"].to_numpy())[np.isin(np.asarray(chosen["type"].to_pylist(), object), SOLID_TYPES)]] = True
    from_parts = np.zeros(count, bool)
    if parent is not None:
        from_parts = _from_parts(np.asarray(parent, np.int64), footprint, low, high)
    return Places(footprint, low, np.where((high > low) & roofed, high, np.nan), from_parts)


def _roofed(types: Sequence[str]) -> NDArray[np.bool_]:
    """Return which objects are of a class that rises from the ground."""
    rises = {name: name in _RISING or get(name).module in _RISING for name in set(types)}
    return np.array([rises[name] for name in types], bool)


def _finest(geometries: pa.Table) -> NDArray[np.bool_]:
    """Return which rows are of the highest dimension and then the finest level of detail of their object."""
    owners = np.asarray(geometries["object"].to_numpy(), np.int64)
    kinds = geometries["type"].to_pylist()
    dimension = np.array([_DIMENSION.get(kind, 2) for kind in kinds])
    digits = pc.struct_field(pc.extract_regex(geometries["lod"], r"(?P<n>\d+(?:\.\d+)?)"), "n")
    lod = np.asarray(pc.fill_null(digits.cast(pa.float64()), -1.0).to_numpy(), float)
    rank = dimension * 1000.0 + lod
    best = np.full(int(owners.max()) + 1, -np.inf)
    np.maximum.at(best, owners, rank)
    return np.asarray(rank == best[owners])


def _fill(chosen: pa.Table, ground: NDArray[np.bool_], known: tuple[Ints, Shapes], footprint: Shapes, low: Reals, high: Reals) -> None:
    """Write footprints and heights of the objects that have geometry, some thousand geometries at a time."""
    owners = np.asarray(chosen["object"].to_numpy(), np.int64)
    found = []
    used = np.zeros(len(known[0]), bool)
    at = 0  # surfaces so far
    for first, last in _blocks(owners):
        mine = (known[0] >= first) & (known[0] < last)
        flat = flatten(chosen.slice(first, last - first))
        kinds = np.asarray(chosen["type"].slice(first, last - first).to_pylist(), object)
        surfaces = len(flat.surface_start) - 1
        marked = ground[at : at + surfaces] if len(ground) else np.zeros(surfaces, bool)
        at += surfaces
        shapes, rows, used[mine] = _seen(flat, kinds, owners[first:last], marked, known[0][mine] - first, len(footprint))
        found.append((shapes, owners[first + rows]))
        _fill_heights(flat, owners[first:last], low, high)
        _fill_thin(flat, owners[first:last], kinds, footprint)
    shapes = np.concatenate([*(shapes for shapes, _ in found), known[1][used]])
    groups, unions = union_by_group(shapes, np.concatenate([*(rows for _, rows in found), owners[known[0][used]]]))
    footprint[groups] = unions


def _blocks(owners: Ints) -> list[tuple[int, int]]:
    """Return first and last row of blocks that hold all geometries of their objects; one block where those of an object lie apart."""
    if (np.diff(owners) < 0).any():
        return [(0, len(owners))]
    ends = np.append(np.flatnonzero(np.diff(owners)) + 1, len(owners))
    count = -(-len(owners) // _BLOCK)
    last = np.unique(ends[np.searchsorted(ends, np.linspace(0, len(owners), count + 1)[1:])]).tolist()
    return list(zip([0, *last[:-1]], last, strict=True))


def _fill_heights(flat: Flat, owners: Ints, low: Reals, high: Reals) -> None:
    vertex_owner = owners[owner(flat.vertex_start)]
    np.fmin.at(low, vertex_owner, flat.vertices[:, 2])
    np.fmax.at(high, vertex_owner, flat.vertices[:, 2])


def _seen(
    flat: Flat, kinds: Shapes, owners: Ints, ground: NDArray[np.bool_], known: Ints, count: int
) -> tuple[Shapes, Ints, NDArray[np.bool_]]:
    """Return the polygons that make footprints, the geometry each is of, and which geometries whose shape is known belong to one."""
    surface_row = flat.geometry_of_surface
    areal = ~np.isin(kinds, list(_DIMENSION))[surface_row]
    picked = areal & _selected(flat, owners[surface_row], np.isin(kinds, SOLID_TYPES)[surface_row], ground, count)
    whole = np.zeros(len(kinds), bool)
    whole[known] = True
    used = np.bincount(surface_row, picked, len(kinds))[known] > 0
    shapes, rows = polygons_of_surfaces(flat, picked & ~whole[surface_row])
    return shapes, surface_row[rows], used


def _selected(flat: Flat, owners: Ints, solid: NDArray[np.bool_], ground: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return the surfaces that make the footprint: ground surfaces, else what looks down, else what is not vertical."""
    rings = np.diff(flat.surface_start)
    normal = ring_normals(flat)[flat.surface_start[:-1][rings > 0]]
    length, tilt = np.zeros(len(rings)), np.zeros(len(rings))
    length[rings > 0] = np.sqrt(np.einsum("ij,ij->i", normal, normal))
    tilt[rings > 0] = normal[:, 2]
    np.divide(tilt, length, out=tilt, where=length > 0)
    level = np.abs(tilt) > _VERTICAL
    left = np.ones(count, bool)
    taken = np.zeros(len(rings), bool)
    for candidate in (ground & level, solid & (tilt < -_VERTICAL), level):
        mine = candidate & left[owners]
        taken |= mine
        left[owners[mine]] = False
    return taken


def polygons_of_surfaces(flat: Flat, picked: NDArray[np.bool_]) -> tuple[Shapes, Ints]:
    """Return surfaces seen from above as valid polygons, and which surface each is; rings of fewer than three corners are left out."""
    import shapely

    size = np.diff(flat.ring_start)
    surface = owner(flat.surface_start)
    first = np.zeros(len(size), bool)
    first[flat.surface_start[:-1][np.diff(flat.surface_start) > 0]] = True
    sound = np.ones(len(picked), bool)
    sound[surface[first & (size < 3)]] = False
    taken = (picked & sound)[surface] & (size >= 3)
    if not taken.any():
        return np.empty(0, object), np.empty(0, np.int64)
    corner = np.repeat(taken, size)
    points = flat.vertices[flat.index[corner], :2]
    rings = shapely.linearrings(points, indices=np.repeat(np.arange(int(taken.sum())), size[taken]))
    rows, index = np.unique(surface[taken], return_inverse=True)
    shapes = np.asarray(shapely.polygons(rings, indices=index), object)
    broken = ~_sure(points, size[taken], index)
    broken[broken] = ~shapely.is_valid(shapes[broken])
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    flat_enough = shapely.area(shapes) > 0
    return shapes[flat_enough], rows[flat_enough]


def _sure(points: Reals, size: Ints, polygon: Ints) -> NDArray[np.bool_]:
    """Return which polygons are valid without a doubt: those of one ring that the compiled check finds simple.

    Parameters
    ----------
    size, polygon : shape (r,)
        Corners of each ring, and the polygon it is of.
    """
    rings = np.bincount(polygon)
    compiled = kernels(len(points))
    if compiled is None:
        return np.zeros(len(rings), bool)
    found = np.zeros(len(size), np.uint8)
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    compiled.sure(x, y, np.concatenate([[0], np.cumsum(size)]), found)
    return np.asarray((rings == 1) & (np.bincount(polygon, found) == 1))


def union_by_group(shapes: Shapes, group: ArrayLike) -> tuple[Ints, Shapes]:
    """Return the groups that occur, ascending, and the union of the shapes of each.

    Groups of similar size are laid into one rectangular array and merged by a single call, so that the work stays in the library.

    Examples
    --------
    >>> import shapely
    >>> groups, merged = union_by_group(shapely.box([0, 1, 5], 0, [1, 2, 6], 1), [7, 7, 2])
    >>> groups, shapely.area(merged)
    (array([2, 7]), array([1., 2.]))
    """
    import shapely

    owners = np.asarray(group, np.int64)
    order = np.argsort(owners, kind="stable")
    shapes = np.asarray(shapes, object)[order]
    groups, start, size = np.unique(owners[order], return_index=True, return_counts=True)
    out = np.full(len(groups), None, object)
    out[size == 1] = shapes[start[size == 1]]
    left = size > 1
    if left.any() and (fitting := rings_of(shapes[np.repeat(left, size)], np.concatenate([[0], np.cumsum(size[left])]))) is not None:
        whole = merged(fitting)
        if whole is not None:
            out[left] = whole
            left[left] = shapely.is_missing(whole)
    bucket = np.ceil(np.log2(np.maximum(size, 1))).astype(np.int64)
    for exponent in np.unique(bucket[left]).tolist():
        mine = np.flatnonzero((bucket == exponent) & left)
        width = int(size[mine].max())
        place = start[mine][:, None] + np.arange(width)
        inside = np.arange(width) < size[mine][:, None]
        out[mine] = shapely.union_all(np.where(inside, shapes[np.minimum(place, len(shapes) - 1)], None), axis=1)
    mixed = np.flatnonzero(shapely.get_type_id(out) == 7)
    if len(mixed):
        parts, row = shapely.get_parts(out[mixed], return_index=True)
        areal = shapely.get_dimensions(parts) == 2
        out[mixed] = shapely.multipolygons(parts[areal], indices=row[areal])
    return groups, out


def _fill_thin(flat: Flat, owners: Ints, kinds: Shapes, footprint: Shapes) -> None:
    """Write the footprints of objects made of lines or points."""
    import shapely

    size = np.diff(flat.ring_start)
    row = flat.geometry_of_ring
    for kind, least in (("MultiLineString", 2), ("MultiPoint", 1)):
        taken = (kinds == kind)[row] & (size >= least)
        if not taken.any():
            continue
        points = flat.vertices[flat.index[np.repeat(taken, size)], :2]
        parts = np.repeat(np.arange(int(taken.sum())), size[taken])
        ends = np.unique(owners[row[taken]], return_inverse=True)
        if kind == "MultiLineString":
            made = shapely.multilinestrings(shapely.linestrings(points, indices=parts), indices=ends[1])
        else:
            made = shapely.multipoints(shapely.points(points), indices=ends[1][parts])
        missing = shapely.is_missing(footprint[ends[0]])
        footprint[ends[0][missing]] = made[missing]


def _from_parts(parent: Ints, footprint: Shapes, low: Reals, high: Reals) -> NDArray[np.bool_]:
    """Give a whole without geometry the union of its parts, from the deepest level up."""
    import shapely

    filled = np.zeros(len(parent), bool)
    depth = _depth(parent)
    bare = np.isnan(low) & shapely.is_missing(footprint)
    for level in range(int(depth.max(initial=0)), 0, -1):
        part = np.flatnonzero((depth == level) & (parent >= 0))
        part = part[bare[parent[part]] & ~np.isnan(low[part])]
        if not len(part):
            continue
        whole = parent[part]
        np.fmin.at(low, whole, low[part])
        np.fmax.at(high, whole, high[part])
        shaped = part[~shapely.is_missing(footprint[part])]
        groups, unions = union_by_group(footprint[shaped], parent[shaped])
        footprint[groups] = unions
        filled[whole] = True
    return filled


def _depth(parent: Ints) -> Ints:
    """Return how many wholes stand above each object, by jumps that double; there must be no loop."""
    count = len(parent)
    jump = np.append(np.where(parent >= 0, parent, count), count)
    depth = np.append((parent >= 0).astype(np.int64), 0)
    for _ in range(max(count, 1).bit_length()):
        depth = depth + depth[jump]
        jump = jump[jump]
    return depth[:-1]
