"""Are the solids sound? Closed, oriented outward, flat, without crossing rings; and the repair of faces that look the wrong way.

The findings carry the codes of val3dity, which the field knows; every check runs over all geometries at once.

====  ==========================================================================
101   a ring has fewer than three different corners
104   the rings of a surface cross themselves or each other in their plane
203   a surface is not flat
302   a shell is not closed: some edge has a surface on one side only
303   more than two surfaces of a shell meet at an edge
307   surfaces of a shell look to different sides
405   a shell looks the wrong way: inward outside, or outward around a cavity
====  ==========================================================================

References
----------
.. [1] Ledoux, H. (2018). val3dity: validation of 3D GIS primitives according to the international standards.
   Open Geospatial Data, Software and Standards 3:1. doi:10.1186/s40965-018-0043-x
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.geometry import Flat, boundaries_from, flatten, kernels, owner, ring_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["MEANING", "SOLID_TYPES", "SolidReport", "check_solids", "repair_orientation"]

SOLID_TYPES = ("Solid", "MultiSolid", "CompositeSolid")
PLANAR_TOLERANCE = 0.01
"""How far a corner may lie from the plane of its surface [m]; the default of val3dity."""
MEANING = {
    101: "a ring has fewer than three different corners",
    104: "the rings of a surface intersect themselves or each other",
    203: "a surface is not planar",
    302: "the solid is not closed; its volume is not valid",
    303: "more than two surfaces meet at an edge",
    307: "surfaces of the solid are oriented to different sides",
    405: "the normals of the solid look the wrong way",
}


@dataclass(frozen=True)
class SolidReport:
    """What the checks found, one row per geometry."""

    table: pa.Table
    """Columns row, closed and oriented (null for what is no solid), planar_error [m], volume [m³] (null unless the solid is closed
    and oriented), codes (list), faulty (number of surfaces that are not flat or cross themselves)."""

    def rows(self, code: int) -> Ints:
        """Return the rows of the geometries that a code was found in."""
        codes = self.table["codes"].combine_chunks()
        codes = codes.chunk(0) if isinstance(codes, pa.ChunkedArray) else codes
        found = owner(np.asarray(codes.offsets.to_numpy(), np.int64))[np.asarray(codes.values.to_numpy(zero_copy_only=False)) == code]
        return np.unique(found)


@dataclass(frozen=True)
class _Edges:
    """Undirected edges of the shells."""

    shell: Ints
    """Shape (e,)."""
    count: Ints
    """How many surfaces use the edge, shape (e,)."""
    balance: Ints
    """Uses in one direction minus uses in the other, shape (e,)."""
    order: Ints
    """Directed edges sorted so that the uses of one edge stand together."""
    start: Ints
    """First use of each edge in `order`, shape (e + 1,)."""
    ring: Ints
    """Ring of each directed edge."""
    forward: Flags
    """Direction of each directed edge."""


def check_solids(geometries: pa.Table, *, tolerance: float = PLANAR_TOLERANCE) -> SolidReport:
    """Return what is wrong with each geometry.

    Parameters
    ----------
    geometries
        Columns `type`, `vertices` and `boundaries` as in `cim.model.schema` [m]. Rings and flatness are checked for every kind made
        of surfaces, the rest for solids only.
    tolerance
        How far a corner may lie from the plane of its surface [m]; infinity skips that check (coordinates in degrees).

    Examples
    --------
    >>> import shapely
    >>> from cim.model.geometry import extrude
    >>> check_solids(extrude([shapely.box(0, 0, 2, 1)], 0.0, 3.0).table()).table.select(["closed", "volume"]).to_pylist()
    [{'closed': True, 'volume': 6.0}]
    """
    flat = flatten(geometries)
    count = geometries.num_rows
    kinds = np.asarray(geometries["type"].to_pylist(), object)
    solid, areal = np.isin(kinds, SOLID_TYPES), ~np.isin(kinds, ("MultiPoint", "MultiLineString"))
    geometry_of_shell = owner(flat.solid_start[flat.geometry_start])
    seen = _inspected(flat, solid, tolerance)
    opened, crowded, twisted, volumes = seen.opened, seen.crowded, seen.twisted, seen.volumes
    bent, error, few, crossing = seen.bent, seen.error, seen.few, seen.crossing
    inverted = ~opened & ~twisted & (volumes * _outward(flat) < 0)

    def geometric(shell: Flags) -> Flags:
        return np.bincount(geometry_of_shell, shell, count).astype(bool) & solid

    surface_owner = flat.geometry_of_surface
    found = {302: geometric(opened), 303: geometric(crowded), 307: geometric(twisted), 405: geometric(inverted)}
    found |= {code: (np.bincount(surface_owner, mask, count) > 0) & areal for code, mask in ((101, few), (104, crossing), (203, bent))}
    valid = solid & ~found[302] & ~found[307]
    total = np.bincount(geometry_of_shell, volumes, count)
    worst = np.zeros(count)
    np.maximum.at(worst, surface_owner, error)
    return SolidReport(
        pa.table({
            "row": np.arange(count),
            "closed": pa.array(~found[302], mask=~solid),
            "oriented": pa.array(~found[307] & ~found[405], mask=~solid),
            "planar_error": pa.array(worst, mask=~areal),
            "volume": pa.array(total, mask=~valid),
            "codes": _code_column(found, count),
            "faulty": np.bincount(surface_owner, bent | crossing | few, count).astype(np.int64),
        })
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What was found shell by shell and surface by surface."""

    opened: Flags
    """Shape (h,), like the next three."""
    crowded: Flags
    twisted: Flags
    volumes: Reals
    """Signed [m³]."""
    bent: Flags
    """Shape (s,), like the next three."""
    error: Reals
    few: Flags
    crossing: Flags


def _inspected(flat: Flat, solid: Flags, tolerance: float) -> _Seen:
    """Look at every shell and surface: compiled where there are many, and where no coordinate is missing."""
    compiled = kernels(len(flat.index))
    if compiled is None or not np.isfinite(flat.vertices).all():
        return _plainly(flat, tolerance)
    shells, surfaces = len(flat.shell_start) - 1, len(flat.surface_start) - 1
    shell_of = flat.solid_start[flat.geometry_start]
    corners = np.diff(flat.ring_start[flat.surface_start[flat.shell_start]]).max(initial=0)
    room = 1 << int(4 * max(int(corners), int(np.diff(flat.vertex_start).max(initial=0)), 8)).bit_length()
    points = np.ascontiguousarray(flat.vertices + 0.0)  # no negative zero
    wrong, volumes = np.zeros(shells, np.uint8), np.zeros(shells)
    faulty, error = np.zeros(surfaces, np.uint8), np.zeros(surfaces)
    compiled.inspect(
        points, points.view(np.int64), flat.index, flat.ring_start, flat.surface_start, flat.shell_start, shell_of, flat.vertex_start,
        solid, bool(np.isfinite(tolerance)), room, int(np.diff(flat.ring_start).max(initial=0)), wrong, volumes, faulty, error,
    )  # fmt: skip
    few, doubtful = faulty == compiled.FEW, faulty == compiled.DOUBTFUL
    crossing = np.zeros(surfaces, bool)
    if doubtful.any():
        crossing[doubtful] = _crossing(flat, doubtful)
    opened, crowded, twisted = ((wrong & bit) > 0 for bit in (compiled.OPENED, compiled.CROWDED, compiled.TWISTED))
    return _Seen(opened, crowded, twisted, volumes, error > tolerance, error, few, crossing)


def _plainly(flat: Flat, tolerance: float) -> _Seen:
    """Look at every shell and surface with array operations."""
    same = _weld(flat)
    edges = _edges(flat, same)
    shells = len(flat.shell_start) - 1
    even = edges.count % 2 == 0
    opened, crowded, twisted = (_per_shell(edges, mask, shells) for mask in (~even, even & (edges.count > 2), even & (edges.balance != 0)))
    return _Seen(opened, crowded, twisted, _shell_volumes(flat), *_planar_error(flat, tolerance), *_ring_faults(flat, same))


def _code_column(found: dict[int, Flags], count: int) -> pa.Array:
    codes = sorted(found)
    marks = np.stack([found[code] for code in codes], axis=1) if count else np.zeros((0, len(codes)), bool)
    start = np.concatenate([[0], np.cumsum(marks.sum(axis=1))])
    values = np.asarray(codes, np.int32)[np.nonzero(marks)[1]]
    return pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), pa.array(values))


def _weld(flat: Flat) -> Ints:
    """Return for each vertex the first one of the same geometry that lies at the same place, shape (v,)."""
    owners = owner(flat.vertex_start)
    points = flat.vertices + 0.0  # no negative zero
    order = np.lexsort((points[:, 2], points[:, 1], points[:, 0], owners))
    if not len(order):
        return order
    moved = (np.diff(points[order], axis=0) != 0).any(axis=1) | (np.diff(owners[order]) != 0)
    first = np.concatenate([[0], np.flatnonzero(moved) + 1])
    same = np.empty(len(order), np.int64)
    same[order] = order[np.repeat(first, np.diff(np.concatenate([first, [len(order)]])))]
    return same


def _after(flat: Flat) -> Ints:
    """Return, for each place in the rings, the place of the next corner of the same ring."""
    following = np.arange(1, len(flat.index) + 1)
    used = np.diff(flat.ring_start) > 0
    following[flat.ring_start[1:][used] - 1] = flat.ring_start[:-1][used]
    return following


def _edges(flat: Flat, same: Ints) -> _Edges:
    begin = same[flat.index]
    end = begin[_after(flat)]
    ring = owner(flat.ring_start)
    keep = begin != end
    begin, end, ring = begin[keep], end[keep], ring[keep]
    shell = owner(flat.shell_start)[owner(flat.surface_start)[ring]]
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    order = np.lexsort((high, low, shell))
    key = np.stack([shell[order], low[order], high[order]], axis=1)
    new = np.concatenate([[True], (np.diff(key, axis=0) != 0).any(axis=1)]) if len(key) else np.zeros(0, bool)
    start = np.append(np.flatnonzero(new), len(key))
    forward = begin < end
    sign = np.where(forward[order], 1, -1)
    balance = np.add.reduceat(sign, start[:-1]) if len(key) else np.zeros(0, np.int64)
    return _Edges(key[start[:-1], 0], np.diff(start), balance, order, start, ring, forward)


def _per_shell(edges: _Edges, mask: Flags, shells: int) -> Flags:
    return np.bincount(edges.shell[mask], minlength=shells).astype(bool)


def _outward(flat: Flat) -> Ints:
    """Return the sign the volume of each shell must have: positive for the first of a solid, negative for cavities."""
    sign = np.full(len(flat.shell_start) - 1, -1)
    filled = np.diff(flat.solid_start) > 0
    sign[flat.solid_start[:-1][filled]] = 1
    return sign


def _ring_volumes(flat: Flat) -> Reals:
    """Return what each ring adds to the signed volume [m³], measured from a vertex of its geometry so that nothing cancels."""
    size = np.diff(flat.ring_start)
    out = np.zeros(len(size))
    used = np.flatnonzero(size)
    if not len(used):
        return out
    origin = flat.vertices[np.minimum(flat.vertex_start[:-1], len(flat.vertices) - 1)][flat.geometry_of_ring[used]]
    first = flat.vertices[flat.index[flat.ring_start[used]]] - origin
    out[used] = np.einsum("ij,ij->i", first, ring_normals(flat)[used]) / 3
    return out


def _shell_volumes(flat: Flat) -> Reals:
    shell = owner(flat.shell_start)[owner(flat.surface_start)]
    return np.asarray(np.bincount(shell, _ring_volumes(flat), len(flat.shell_start) - 1), np.float64)


def _planar_error(flat: Flat, tolerance: float) -> tuple[Flags, Reals]:
    """Return which surfaces are bent, and how far their corners lie from their plane [m], shape (s,)."""
    surfaces = len(flat.surface_start) - 1
    error = np.zeros(surfaces)
    rings = np.diff(flat.surface_start)
    size = np.diff(flat.ring_start)
    outer = flat.surface_start[:-1][rings > 0]
    if not len(flat.index) or not np.isfinite(tolerance):
        return np.zeros(surfaces, bool), error
    normal, centre = np.zeros((surfaces, 3)), np.zeros((surfaces, 3))
    area = ring_normals(flat)[outer]
    length = np.linalg.norm(area, axis=1, keepdims=True)
    normal[rings > 0] = np.divide(area, length, out=np.zeros_like(area), where=length > 0)
    first = flat.index[np.minimum(flat.ring_start[outer], len(flat.index) - 1)]
    centre[rings > 0] = flat.vertices[first]
    surface = np.repeat(owner(flat.surface_start), size)
    away = np.einsum("ij,ij->i", flat.vertices[flat.index] - centre[surface], normal[surface])
    low, high = np.zeros(surfaces), np.zeros(surfaces)
    np.minimum.at(low, surface, away)
    np.maximum.at(high, surface, away)
    error = (high - low) / 2  # the plane may shift along its normal to halve the span
    return error > tolerance, error


def _ring_faults(flat: Flat, same: Ints) -> tuple[Flags, Flags]:
    """Return which surfaces have a ring of too few corners, and whose rings cross in their plane, shape (s,) each."""
    surfaces = len(flat.surface_start) - 1
    surface_of_ring = owner(flat.surface_start)
    begin = same[flat.index]
    moves = (begin != begin[_after(flat)]).astype(np.int64)
    corners = np.bincount(owner(flat.ring_start), moves, len(flat.ring_start) - 1)
    few = np.bincount(surface_of_ring, corners < 3, surfaces) > 0
    rings = np.diff(flat.surface_start)
    many = np.bincount(surface_of_ring, corners > 3, surfaces) > 0
    asked = ~few & (rings > 0) & (many | (rings > 1))
    crossing = np.zeros(surfaces, bool)
    if asked.any():
        crossing[asked] = _crossing(flat, asked)
    return few, crossing


def _crossing(flat: Flat, asked: Flags) -> Flags:
    """Return of the asked surfaces which have rings that cross in their plane."""
    import shapely

    return np.asarray(~shapely.is_valid(_flattened(flat, asked)))


def _flattened(flat: Flat, asked: Flags) -> NDArray[Any]:
    """Return the asked surfaces as polygons in the coordinate plane they face most."""
    import shapely

    surface_of_ring = owner(flat.surface_start)
    taken = asked[surface_of_ring]
    size = np.diff(flat.ring_start)
    corner = np.repeat(taken, size)
    drop = np.argmax(np.abs(ring_normals(flat)[flat.surface_start[:-1][asked]]), axis=1)
    new = np.cumsum(asked) - 1
    surface = new[np.repeat(surface_of_ring, size)[corner]]
    axes = np.array([[1, 2], [2, 0], [0, 1]])[drop[surface]]
    points = np.take_along_axis(flat.vertices[flat.index[corner]], axes, axis=1)
    ring = np.repeat(np.arange(int(taken.sum())), size[taken])
    rings = shapely.linearrings(points, indices=ring)
    return np.asarray(shapely.polygons(rings, indices=new[surface_of_ring[taken]]))


# --------------------------------------------------------------------------------------------- repair


def repair_orientation(geometries: pa.Table) -> tuple[pa.Table, Ints]:
    """Return the geometries with closed shells turned outward, and how many surfaces were turned in each row, shape (g,).

    Parameters
    ----------
    geometries
        As for `check_solids`; every other column stays. A shell that is not closed, or cannot be oriented at all, stays as it is.

    Examples
    --------
    >>> import shapely
    >>> from cim.model.geometry import extrude
    >>> repair_orientation(extrude([shapely.box(0, 0, 2, 1)], 0.0, 3.0).table())[1]
    array([0])
    """
    flat = flatten(geometries)
    turned = np.zeros(geometries.num_rows, np.int64)
    solid = np.isin(np.asarray(geometries["type"].to_pylist(), object), SOLID_TYPES)
    shells = len(flat.shell_start) - 1
    geometry_of_shell = owner(flat.solid_start[flat.geometry_start])
    edges = _edges(flat, _weld(flat))
    closed = ~_per_shell(edges, edges.count % 2 == 1, shells) & solid[geometry_of_shell]
    twisted = _per_shell(edges, (edges.count % 2 == 0) & (edges.balance != 0), shells)
    wrong = closed & (twisted | (_shell_volumes(flat) * _outward(flat) < 0))
    if not wrong.any():
        return geometries, turned
    flip = _faces_to_flip(flat, edges, wrong)
    turned += np.bincount(flat.geometry_of_surface, flip, len(turned)).astype(np.int64)
    column = geometries.column_names.index("boundaries")
    return geometries.set_column(column, "boundaries", _reversed_boundaries(flat, flip)), turned


def _faces_to_flip(flat: Flat, edges: _Edges, wrong: Flags) -> Flags:
    """Return which surfaces to turn: made consistent across edges that two surfaces share, then outward as a whole.

    Each surface stands twice in a graph, as it is and turned; an edge run twice in the same direction ties the one to the turned other.
    The two sides of a component are then the two ways to orient it.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    faces = len(flat.surface_start) - 1
    pair = np.flatnonzero((edges.count == 2) & wrong[edges.shell])
    uses = edges.order[edges.start[pair][:, None] + np.arange(2)]
    face = owner(flat.surface_start)[edges.ring[uses]]
    alike = np.where(edges.forward[uses[:, 0]] != edges.forward[uses[:, 1]], 0, faces)  # 0: already consistent
    left = np.concatenate([face[:, 0], face[:, 0] + faces])
    right = np.concatenate([face[:, 1] + alike, face[:, 1] + (faces - alike)])
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(2 * faces, 2 * faces))
    side = connected_components(graph, directed=False)[1]
    as_is, over = side[:faces], side[faces:]
    part = np.minimum(as_is, over)
    flip = as_is != part
    shell = owner(flat.shell_start)
    volume = np.bincount(owner(flat.surface_start), _ring_volumes(flat), faces)
    total = np.bincount(part, np.where(flip, -volume, volume) * _outward(flat)[shell], 2 * faces)
    flip ^= total[part] < 0
    return np.asarray(flip & wrong[shell] & (as_is != over))


def _reversed_boundaries(flat: Flat, flip: Flags) -> pa.Array:
    """Return the boundaries with the rings of some surfaces run backwards."""
    size = np.diff(flat.ring_start)
    local = flat.index - np.repeat(flat.vertex_start[flat.geometry_of_ring], size)
    back = np.repeat(flip[owner(flat.surface_start)], size)
    ends = np.repeat(flat.ring_start[:-1] + flat.ring_start[1:] - 1, size)
    place = np.arange(len(local))
    counts = [np.diff(start) for start in (flat.ring_start, flat.surface_start, flat.shell_start, flat.solid_start, flat.geometry_start)]
    return boundaries_from(local[np.where(back, ends - place, place)], *counts)
