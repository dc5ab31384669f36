"""Triangles and outlines of 3D geometry and of footprints, for all objects at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.geometry import flatten, owner, ring_normals

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cim.model.geometry import Flat

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Bools = NDArray[np.bool_]

__all__ = ["Faces", "Plates", "blocks", "faces", "plates"]

_SMOOTH = np.cos(np.radians(12.0))  # faces that turn less than this share no visible edge


@dataclass(frozen=True)
class Faces:
    """Triangles with the row they come from."""

    points: Reals
    """Shape (v, 3)."""
    triangles: Ints
    """Shape (m, 3)."""
    row: Ints
    """Shape (m,): geometry row or footprint of each triangle."""
    edges: Ints
    """Shape (e, 2): outlines."""
    failed: int = 0
    """Faces without area."""
    place: Ints | None = None
    """Shape (m, 3): corner of a ring each corner is, a row of `Flat.index`; what belongs to ring corners is found by it."""
    surface: Ints | None = None
    """Shape (m,): surface of the flattened table each triangle is cut from."""


@dataclass(frozen=True)
class Plates:
    """Triangles of polygons in the plane."""

    points: Reals
    """Shape (v, 2), no vertex shared between polygons."""
    triangles: Ints
    """Shape (m, 3), counter-clockwise."""
    row: Ints
    """Shape (m,): polygon of each triangle."""
    failed: int = 0
    """Polygons without triangles."""


def faces(geometries: pa.Table, skip: NDArray[np.bool_] | None = None) -> Faces:
    """Return triangles and sharp edges of every surface of a geometry table.

    Parameters
    ----------
    geometries
        Columns `vertices` and `boundaries` as in `cim.model.schema`.
    skip : shape (s,)
        Surfaces of the flattened table to leave out, such as floors on the ground.
    """
    flat = flatten(geometries)
    normals = ring_normals(flat)
    rings = np.diff(flat.surface_start)
    wanted = rings > 0
    if skip is not None:
        wanted &= ~skip
    outer = np.minimum(flat.surface_start[:-1], max(len(flat.ring_start) - 2, 0))
    size = np.diff(flat.ring_start)[outer] if len(flat.ring_start) > 1 else np.zeros(len(rings), np.int64)
    wanted &= size >= 3
    simple = wanted & (rings == 1)
    three = np.flatnonzero(simple & (size == 3))
    four = np.flatnonzero(simple & (size == 4))
    quads = flat.ring_start[outer[four]][:, None] + np.arange(4)
    convex = _convex(flat.vertices[flat.index[quads]], normals[outer[four]])
    hard = np.setdiff1d(np.flatnonzero(wanted), np.concatenate([three, four[convex]]), assume_unique=True)
    cut, cut_owner, failed = _cut(flat, hard, normals)
    found = [
        flat.ring_start[outer[three]][:, None] + np.arange(3),
        quads[convex][:, [0, 1, 2]],
        quads[convex][:, [0, 2, 3]],
        cut,
    ]
    surface = np.concatenate([three, four[convex], four[convex], cut_owner])
    edges = _sharp_edges(flat, wanted, normals)
    row = flat.geometry_of_surface[surface] if len(surface) else surface
    place = np.concatenate(found)
    return Faces(flat.vertices, flat.index[place], row, edges, failed, place, surface)


def _convex(quads: Reals, normals: Reals) -> Bools:
    edge = np.roll(quads, -1, axis=1) - quads
    turn = np.cross(edge, np.roll(edge, -1, axis=1))
    return np.asarray((np.einsum("nij,nj->ni", turn, normals) >= 0).all(axis=1) & (np.abs(normals).sum(axis=1) > 0))


def _cut(flat: Flat, surfaces: Ints, normals: Reals) -> tuple[Ints, Ints, int]:
    """Return triangles of surfaces with many corners or holes: each is laid into the plane that it faces most and cut there.

    Corners are rows of `Flat.index`.
    """
    import shapely

    if not len(surfaces):
        return np.empty((0, 3), np.int64), np.empty(0, np.int64), 0
    ring_count = flat.surface_start[surfaces + 1] - flat.surface_start[surfaces]
    ring = np.repeat(flat.surface_start[surfaces], ring_count) + _within(ring_count)
    ring_face = np.repeat(np.arange(len(surfaces)), ring_count)
    size = flat.ring_start[ring + 1] - flat.ring_start[ring]
    ring, ring_face, size = ring[size >= 3], ring_face[size >= 3], size[size >= 3]
    corner = np.repeat(flat.ring_start[ring], size) + _within(size)
    face = np.repeat(ring_face, size)
    normal = normals[flat.surface_start[surfaces]]
    drop = np.abs(normal).argmax(axis=1)
    keep = np.array([[1, 2], [0, 2], [0, 1]])[drop]
    plane = np.take_along_axis(flat.vertices[flat.index[corner]], keep[face], axis=1)
    # linearrings closes open rings itself; the corners keep their order
    rings = shapely.linearrings(plane, indices=np.repeat(np.arange(len(ring)), size))
    polygons = shapely.polygons(rings, indices=ring_face)
    good = shapely.is_valid(polygons)
    cut = _triangulated(np.where(good, polygons, np.array(None)))
    good &= ~shapely.is_missing(cut)
    flat_triangles, of = shapely.get_parts(cut, return_index=True)
    xy = shapely.get_coordinates(flat_triangles).reshape(-1, 4, 2)[:, :3]
    index = _corner_of(xy, of, plane, face, corner)
    clipped, clipped_of, failed = _clip(plane, face, ring_face, size, corner, np.flatnonzero(~good))
    index, of = np.concatenate([index, clipped]), np.concatenate([of, clipped_of])
    points = flat.vertices[flat.index[index]]
    facing = np.einsum("ij,ij->i", np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), normal[of])
    index = np.where(facing[:, None] < 0, index[:, ::-1], index)
    return index, surfaces[of], failed


def _within(counts: Ints) -> Ints:
    """Return 0, 1, … for each group of the given sizes, one after the other."""
    start = np.concatenate([[0], np.cumsum(counts)])[:-1]
    return np.asarray(np.arange(int(np.sum(counts))) - np.repeat(start, counts), np.int64)


def _corner_of(xy: Reals, of: Ints, plane: Reals, face: Ints, corner: Ints) -> Ints:
    """Return which of the known corners each corner of a triangle is: the cut keeps coordinates to the bit."""
    if not len(xy):
        return np.empty((0, 3), np.int64)
    asked = np.column_stack([np.repeat(of, 3).astype(float), xy.reshape(-1, 2)]) + 0.0  # + 0.0: minus zero equals zero
    known = np.column_stack([face.astype(float), plane]) + 0.0
    code = _alike(np.concatenate([known, asked]))[1]
    vertex = np.zeros(int(code.max()) + 1, np.int64)
    vertex[code[: len(known)]] = corner
    return vertex[code[len(known) :]].reshape(-1, 3)


def _clip(plane: Reals, face: Ints, ring_face: Ints, size: Ints, corner: Ints, bad: Ints) -> tuple[Ints, Ints, int]:
    """Ear-clip the few faces that cross themselves."""
    import mapbox_earcut

    found, owners, failed = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)], 0
    for one in bad.tolist():  # only what is invalid comes here
        mine = face == one
        ends = np.cumsum(size[ring_face == one]).astype(np.uint32)
        local = (
            mapbox_earcut.triangulate_float64(np.ascontiguousarray(plane[mine]), ends).reshape(-1, 3)
            if len(ends)
            else np.empty((0, 3), np.uint32)
        )
        failed += not len(local)
        found.append(corner[mine][local.astype(np.int64)])
        owners.append(np.full(len(local), one))
    return np.concatenate(found), np.concatenate(owners), failed


def _sharp_edges(flat: Flat, wanted: Bools, normals: Reals) -> Ints:
    """Return ring edges once each, without those between faces that lie in nearly one plane."""
    size = np.diff(flat.ring_start)
    surface = owner(flat.surface_start)
    use = wanted[surface] & (size > 1) if len(surface) else np.zeros(0, bool)
    of_point = np.repeat(np.arange(len(size)), size)
    following = np.arange(1, len(flat.index) + 1)
    following[flat.ring_start[1:][size > 0] - 1] = flat.ring_start[:-1][size > 0]
    pick = use[of_point]
    a, b = flat.index[pick], flat.index[following[pick]]
    low, high = np.minimum(a, b), np.maximum(a, b)
    key = low * (len(flat.vertices) + 1) + high
    order = np.argsort(key, kind="stable")
    key, low, high = key[order], low[order], high[order]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = (normals / np.where(length > 0, length, 1.0))[flat.surface_start[:-1][surface[of_point[pick]]]][order]
    first = np.concatenate([[True], key[1:] != key[:-1]]) if len(key) else np.empty(0, bool)
    pair = np.zeros(len(key), bool)
    if len(key) > 1:
        same = ~first[1:]
        pair[:-1] = same & (np.einsum("ij,ij->i", unit[:-1], unit[1:]) > _SMOOTH)
    return np.stack([low, high], axis=1)[first & ~pair]


def plates(polygons: NDArray[Any], *, shared: bool = True) -> Plates:
    """Return triangles of polygons and multipolygons in the plane; a polygon that crosses itself is mended first.

    Parameters
    ----------
    polygons : shape (n,)
        shapely geometries; lines and points give nothing.
    shared
        Whether triangles of one polygon share their corners, as splitting them needs; quicker without.
    """
    import shapely

    shapes = np.array(polygons, object)
    crossed = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[crossed] = shapely.make_valid(shapes[crossed], method="structure", keep_collapsed=False)
    parts, part_row = shapely.get_parts(shapes, return_index=True)
    if crossed.any():  # a mended polygon may be a collection of multipolygons
        deeper, of = shapely.get_parts(parts, return_index=True)
        parts, part_row = deeper, part_row[of]
    polygonal = shapely.get_type_id(parts) == 3
    parts, part_row = parts[polygonal], part_row[polygonal]
    triangles, of = shapely.get_parts(_triangulated(parts), return_index=True)
    corners = shapely.get_coordinates(triangles).reshape(-1, 4, 2)[:, :3]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    turn = ax * by - ay * bx
    corners = np.where((turn < 0)[:, None, None], corners[:, ::-1], corners)[turn != 0]
    row = part_row[of][turn != 0]
    drawn = np.zeros(len(shapes), bool)
    drawn[row] = True
    points, index = corners.reshape(-1, 2), np.arange(3 * len(corners)).reshape(-1, 3)
    if shared and len(corners):
        asked = np.column_stack([np.repeat(row, 3).astype(float), points]) + 0.0  # + 0.0: minus zero equals zero
        first, code = _alike(asked)
        points, index = points[first], code.reshape(-1, 3)
    return Plates(points, index, row, int((~drawn).sum()))


def _triangulated(polygons: NDArray[Any]) -> NDArray[Any]:
    """Return the triangles of valid polygons as collections, None for one that GEOS cannot cut.

    Corners that repeat go first: too many of them leave GEOS without a corner to begin with, though the polygon is valid.
    """
    import shapely

    try:
        return np.asarray(shapely.constrained_delaunay_triangles(shapely.remove_repeated_points(polygons)), object)
    except shapely.GEOSException:  # of one of them, each on its own
        return np.array([_alone(polygon) for polygon in polygons], object)


def _alone(polygon: Any) -> Any:
    import shapely

    try:
        return shapely.constrained_delaunay_triangles(shapely.remove_repeated_points(polygon))
    except shapely.GEOSException:
        return None


def _alike(rows: Reals) -> tuple[Ints, Ints]:
    """Return the first of each kind of equal rows and the kind of every row."""
    order = np.lexsort(rows.T[::-1])
    ordered = rows[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    code = np.empty(len(rows), np.int64)
    code[order] = np.cumsum(new) - 1
    return order[new], code


def blocks(polygons: NDArray[Any], low: Reals, high: Reals) -> Faces:
    """Return walls and roofs of upright blocks over polygons (no floor: nobody sees it).

    Parameters
    ----------
    polygons : shape (n,)
        Polygons or multipolygons.
    low, high : shape (n,)
        Height of ground and roof [m], finite, `high` above `low`.
    """
    import shapely

    top = plates(polygons, shared=False)
    shapes = shapely.orient_polygons(np.asarray(polygons, object))
    parts, part_row = shapely.get_parts(shapes, return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    size = np.bincount(ring, minlength=len(rings)).astype(np.int64)
    row = np.repeat(part_row[ring_part], size)
    last = np.cumsum(size) - 1
    start = np.ones(len(xy), bool)
    start[last] = False  # the closing point begins no wall
    here = np.flatnonzero(start)
    count = len(xy)
    bottom = np.column_stack([xy, low[row]])
    upper = np.column_stack([xy, high[row]])
    a, b = here, here + 1
    walls = np.concatenate([np.stack([a, b, b + count], axis=1), np.stack([a, b + count, a + count], axis=1)])
    top_row = np.zeros(len(top.points), np.int64)
    top_row[top.triangles.reshape(-1)] = np.repeat(top.row, 3)
    roof = np.column_stack([top.points, high[top_row]])
    edges = np.concatenate([np.stack([a + count, b + count], axis=1), np.stack([a, b], axis=1), np.stack([a, a + count], axis=1)])
    return Faces(
        np.concatenate([bottom, upper, roof]),
        np.concatenate([walls, top.triangles + 2 * count]),
        np.concatenate([row[a], row[a], top.row]),
        edges,
        top.failed,
    )
