"""What of a city is drawn in glTF: the finest geometry of each object, footprints where there is none, and both as triangles.

Each surface becomes triangles with corners of their own, so that edges stay sharp; lines and points stay lines and points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import flatten, ring_normals, shift, triangulate
from cim.model.instances import explicit, matrices
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.gltf_looks import Looks
    from cim.model import City
    from cim.model.geometry import Flat
    from cim.model.loss import Losses

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["LINES", "POINTS", "TRIANGLES", "Drawing", "Piece", "draw", "drawing"]

POINTS, LINES, TRIANGLES = 0, 1, 4
_DIMENSIONS = {"MultiPoint": 0, "MultiLineString": 1}
_CONSTITUENT = r"(Part|Storey|ConstructiveElement)$"
"""Classes that make up their whole, so that a finer one stands for it; a chimney (BuildingInstallation) does not."""
_COLUMNS = ["shape", "object", "type", "vertices", "boundaries", "semantics"]


@dataclass(frozen=True)
class Drawing:
    """The geometries to draw: vertices relative to the origin of the city."""

    explicit: pa.Table
    """Columns shape (key its surfaces and appearances go by, -1 for a footprint), object, type, vertices, boundaries, semantics."""
    instances: pa.Table
    """Rows of `geometries` that use a template and a matrix that a glTF node can hold."""


@dataclass(frozen=True)
class Piece:
    """Triangles, lines or points of one look."""

    mode: int
    """`TRIANGLES`, `LINES` or `POINTS`."""
    look: int
    points: Reals
    """Shape (v, 3), east, north, up, relative to the origin of the city [m]."""
    normals: Reals | None
    """Shape (v, 3); None for lines and points."""
    row: Ints
    """Row of the table drawn that each vertex belongs to, shape (v,)."""
    uv: Reals | None
    """Shape (v, 2), v running up; None without a texture."""
    index: Ints
    """Vertices of the triangles or lines one after the other; of points in order."""


# ---------------------------------------------------------------- what is drawn


def drawing(city: City, lod: str | None, losses: Losses) -> Drawing:
    """Choose what is drawn; what is left out is counted.

    Parameters
    ----------
    lod
        Level of detail wanted, such as ``"2.2"``, or ``"2"`` for the finest of 2.x; the finest that each object has without it.
    """
    stored = city.tables["geometries"]
    spare = np.asarray(pc.equal(stored["role"], "alternative").to_numpy(), bool)
    losses.add("geometries of the role alternative", int(spare.sum()))
    stored = stored.filter(pa.array(~spare))
    if lod is not None:
        fits = pc.or_(pc.equal(stored["lod"], lod), pc.starts_with(stored["lod"], f"{lod}."))
        losses.add("geometries of other levels of detail, left out as asked", stored.num_rows - (pc.sum(fits).as_py() or 0))
        stored = stored.filter(fits)
    keys = city.tables["objects"]["key"].to_numpy()
    place = np.searchsorted(keys, np.asarray(stored["object"].to_numpy(), np.int64))
    score = _scores(stored)
    best = np.full(len(keys), -np.inf)
    np.maximum.at(best, place, score)
    finest = score == best[place]
    losses.add("geometries of coarser levels of detail than the finest of their object", int((~finest).sum()))
    replaced = _replaced(city, best)
    shown = finest & ~replaced[place]
    losses.add("geometries of wholes and storeys that finer ones of their parts or of their whole stand for", int((finest & ~shown).sum()))
    stored = stored.filter(pa.array(shown))
    flat = _footprints(city, np.isinf(best) & ~replaced, losses)
    return _sorted_out(city, stored, flat)


def _scores(geometries: pa.Table) -> Reals:
    """Return how much a geometry shows: surfaces before lines before points, then the level of detail."""
    levels = geometries["lod"].combine_chunks().dictionary_encode()
    numbers = np.array([_number(text) for text in levels.dictionary.to_pylist()] or [0.0])
    level = numbers[levels.indices.to_numpy()] if len(levels) else np.zeros(0)
    dimension = np.array([_DIMENSIONS.get(name, 2) for name in geometries["type"].to_pylist()], float)
    return np.asarray(1000.0 * dimension + level, np.float64)


def _number(lod: str) -> float:
    try:
        return min(max(float(lod), 0.0), 99.0)
    except ValueError:
        return 0.0


def _replaced(city: City, best: Reals) -> Mask:
    """Return which objects others stand for: wholes with finer parts, and storeys inside a whole that is finer."""
    objects = city.tables["objects"]
    parent = np.asarray(pc.index_in(one_array(objects["parent"]), one_array(objects["key"])).fill_null(-1).to_numpy(), np.int64)
    constituent = np.asarray(pc.match_substring_regex(objects["type"], _CONSTITUENT).to_numpy(), bool) & (parent >= 0)
    below = np.full(len(best), -np.inf)  # finest of the parts, at any depth
    child = np.flatnonzero(constituent)
    for _ in range(len(best)):  # as many rounds as the hierarchy is deep
        raised = below.copy()
        np.maximum.at(raised, parent[child], np.maximum(best, below)[child])
        if (raised == below).all():
            break
        below = raised
    above = np.full(len(best), -np.inf)  # finest of the wholes
    inner = np.flatnonzero(parent >= 0)
    for _ in range(len(best)):
        raised = above.copy()
        raised[inner] = np.maximum(best, above)[parent[inner]]
        if (raised == above).all():
            break
        above = raised
    storey = np.asarray(pc.ends_with(objects["type"], "Storey").to_numpy(), bool)
    return np.asarray((below > best) | (storey & (above > best) & np.isfinite(above)), bool)


def _footprints(city: City, wanted: Mask, losses: Losses) -> pa.Table:
    """Return the footprints of objects that have nothing else, flat on their ground, relative to the origin."""
    from cim.loaders.cityjson.footprint import flat_geometries

    objects = city.tables["objects"]
    has = np.asarray(objects["footprint"].is_valid().to_numpy(), bool)
    rows = np.flatnonzero(wanted & has)
    ground = np.array(objects["z_ground"].to_numpy(), float)
    known = ground[np.isfinite(ground)]
    unknown = ~np.isfinite(ground[rows])
    usual = float(np.median(known)) if len(known) else 0.0
    losses.add(f"footprints of unknown ground height, drawn at {usual:.2f} m", int(unknown.sum()))
    losses.add("footprints of objects that geometry stands for", int((has & ~wanted).sum()))
    ground = np.where(np.isfinite(ground), ground, usual)
    filled = objects.set_column(objects.column_names.index("z_ground"), "z_ground", pa.array(ground))
    table = flat_geometries(city.replace_tables(objects=filled), rows)
    return table.set_column(table.column_names.index("vertices"), "vertices", shift(table["vertices"], -city.origin))


def _sorted_out(city: City, stored: pa.Table, flat: pa.Table) -> Drawing:
    """Split the geometries into those with vertices and the uses of templates that a node can hold."""
    used = np.asarray(stored["template"].is_valid().to_numpy(), bool)
    held = np.zeros(stored.num_rows, bool)
    rows = np.flatnonzero(used & (np.array([_DIMENSIONS.get(name, 2) for name in stored["type"].to_pylist()]) == 2))
    if len(rows):
        template = np.asarray(stored["template"].take(pa.array(rows)).to_numpy(), np.int64)
        often = np.bincount(np.unique(template, return_inverse=True)[1])[np.unique(template, return_inverse=True)[1]] > 1
        held[rows] = often & _is_rigid(matrices(stored["matrix"].take(pa.array(rows))))
    own = stored.filter(pa.array(~held))
    shape = pc.coalesce(own["template"], own["key"])
    own = explicit(own, city.tables["templates"]).append_column("shape", shape)
    bare = flat.append_column("shape", pa.array(np.full(flat.num_rows, -1)))
    both = pa.concat_tables([own.select(_COLUMNS), bare.select(_COLUMNS)], promote_options="permissive").combine_chunks()
    return Drawing(both, stored.filter(pa.array(held)))


def _is_rigid(matrix: Reals) -> Mask:
    """Return which matrices turn, scale and move only: what a glTF node may do."""
    columns = matrix[:, :3, :3]
    product = np.einsum("nij,nik->njk", columns, columns)
    scale = np.sqrt(np.maximum(np.einsum("njj->nj", product), 0.0))
    least = scale.min(axis=1, initial=np.inf)
    skew = np.abs(product - product * np.eye(3)).max(axis=(1, 2), initial=0.0)
    last = np.abs(matrix[:, 3] - [0.0, 0.0, 0.0, 1.0]).max(axis=1, initial=0.0)
    return np.asarray((least > 0) & (skew <= 1e-6 * least**2) & (last == 0) & np.isfinite(matrix).all(axis=(1, 2)))


# ---------------------------------------------------------------- triangles


def draw(geometries: pa.Table, looks: Looks, type: str, losses: Losses) -> list[Piece]:
    """Return the pieces of geometries of one class, one per look and kind.

    Parameters
    ----------
    geometries
        Rows of `Drawing.explicit`, or of `templates` with a column ``shape``.
    """
    geometries = geometries.combine_chunks()
    dimension = np.array([_DIMENSIONS.get(name, 2) for name in geometries["type"].to_pylist()], np.int64)
    pieces: list[Piece] = []
    for number in np.unique(dimension).tolist():
        rows = np.flatnonzero(dimension == number)
        part = geometries if len(rows) == geometries.num_rows else geometries.take(pa.array(rows)).combine_chunks()
        flat = flatten(part)
        if number == 2:
            pieces += _surfaces(part, flat, rows, looks, type, losses)
        else:
            pieces += _lines(flat, rows, looks.number(_plain(type)), LINES if number else POINTS)
    return pieces


def _plain(type: str) -> Any:
    from cim.loaders.gltf_looks import Look

    return Look(-1, -1, type)


def _surfaces(part: pa.Table, flat: Flat, rows: Ints, looks: Looks, type: str, losses: Losses) -> list[Piece]:
    mesh = triangulate(part)
    losses.add("surfaces without area, which have no triangle", mesh.failed)
    if not len(mesh.triangles):
        return []
    painted = looks.paint(part, flat, type)
    vertices = len(flat.vertices)
    corner = mesh.surface.astype(np.int64)[:, None] * vertices + mesh.triangles
    pairs, index = np.unique(corner, return_inverse=True)
    index = index.reshape(-1, 3)
    surface, vertex = pairs // vertices, pairs % vertices
    normals = _unit(ring_normals(flat)[flat.surface_start[surface]])
    uv = _uv(flat, painted.uv, pairs, vertices) if looks.has_own else None
    look = painted.look[mesh.surface]
    pieces = []
    for number in np.unique(look).tolist():
        found, local = np.unique(index[look == number], return_inverse=True)
        row = rows[flat.geometry_of_surface[surface[found]]]
        mapped = uv[found] if uv is not None and looks.textured(number) else None
        pieces.append(Piece(TRIANGLES, number, flat.vertices[vertex[found]], normals[found], row, mapped, local.reshape(-1)))
    return pieces


def _unit(vectors: Reals) -> Reals:
    """Return directions of length one; up where there is none."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.where(length > 0, vectors / np.where(length > 0, length, 1.0), [0.0, 0.0, 1.0])


def _uv(flat: Flat, uv: Reals, pairs: Ints, vertices: int) -> Reals:
    """Return the texture coordinates of (surface, vertex) pairs: those of the first ring vertex that is both."""
    owner = np.repeat(np.arange(len(flat.surface_start) - 1), np.diff(flat.ring_start[flat.surface_start]))
    known, first = np.unique(owner * vertices + flat.index, return_index=True)
    found: Reals = uv[first[np.searchsorted(known, pairs)]]
    return found


def _lines(flat: Flat, rows: Ints, look: int, mode: int) -> list[Piece]:
    if not len(flat.index):
        return []
    ring = np.repeat(np.arange(len(flat.ring_start) - 1), np.diff(flat.ring_start))
    first = np.flatnonzero(ring[1:] == ring[:-1])
    index = np.stack([first, first + 1], axis=1).reshape(-1) if mode == LINES else np.arange(len(ring))
    if not len(index):
        return []
    return [Piece(mode, look, flat.vertices[flat.index], None, rows[flat.geometry_of_ring[ring]], None, index)]
