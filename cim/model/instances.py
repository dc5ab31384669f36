"""Shapes used many times: a template and, for each use, a matrix; putting them out as ordinary geometry.

Templates and geometries share one number space of keys, so that `surfaces` and `appearances` may describe either. A geometry with a
template has no vertices of its own: ``matrix`` takes the template's coordinates to metres relative to the origin of the city.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import flatten, shift, vertices_from
from cim.model.schema import BOUNDARIES, MATRIX, SCHEMAS, one_array

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.model.city import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = [
    "explicit",
    "for_instances",
    "instance_boxes",
    "matrices",
    "matrix_column",
    "moved_by",
    "moved_matrices",
    "put_out",
    "without_own",
]

_BATCH = 2_000_000  # vertices put out at a time: about 100 MB


def matrices(column: pa.Array | pa.ChunkedArray) -> Reals:
    """Return a matrix column without nulls as an array, shape (n, 4, 4)."""
    array = one_array(column)
    return np.asarray(array.flatten().to_numpy(zero_copy_only=False), float).reshape(-1, 4, 4)


def matrix_column(values: ArrayLike) -> pa.Array:
    """Return matrices, shape (n, 4, 4), as a column."""
    flat = np.ascontiguousarray(values, float).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=MATRIX)


def without_own(rows: int) -> tuple[pa.Array, pa.Array]:
    """Return the vertices and boundaries of geometries that have none of their own: empty lists."""
    start = pa.array(np.zeros(rows + 1, np.int32))
    vertices = pa.ListArray.from_arrays(start, pa.array([], SCHEMAS["geometries"].field("vertices").type.value_type))
    return vertices, pa.ListArray.from_arrays(start, pa.array([], BOUNDARIES.value_type))


def _used(geometries: pa.Table, templates: pa.Table) -> tuple[Ints, Ints]:
    """Return the rows that have a template, and the row of that template."""
    mine = np.flatnonzero(np.asarray(geometries["template"].is_valid().to_numpy()))
    place = pc.index_in(one_array(geometries["template"].take(pa.array(mine))), one_array(templates["key"]))
    return mine, np.asarray(place.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _gathered(start: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the elements that lists `rows` own, one after the other, and how many each owns."""
    size = (start[1:] - start[:-1])[rows]
    first = np.cumsum(size) - size
    return np.repeat(start[:-1][rows] - first, size) + np.arange(int(size.sum())), size


def _placed(points: Reals, owner: Ints, matrix: Reals) -> Reals:
    """Return points moved by the matrix each belongs to."""
    turned: Reals = np.einsum("nij,nj->ni", matrix[owner, :3, :3], points) + matrix[owner, :3, 3]
    return turned


def explicit(geometries: pa.Table, templates: pa.Table) -> pa.Table:
    """Return the geometries with every instance put out: vertices of the template, moved by the matrix. Keys and order stay."""
    if geometries["template"].null_count == geometries.num_rows:
        return geometries
    mine, place = _used(geometries, templates)
    mine, place = mine[place >= 0], place[place >= 0]
    own = np.setdiff1d(np.arange(geometries.num_rows), mine, assume_unique=True)
    flat = flatten(templates)
    element, size = _gathered(flat.vertex_start, place)
    matrix = matrices(geometries["matrix"].take(pa.array(mine)))
    vertices = vertices_from(_placed(flat.vertices[element], np.repeat(np.arange(len(mine)), size), matrix), size)
    done = geometries.take(pa.array(mine))
    shape = templates.take(pa.array(place))
    for name, column in (("vertices", vertices), ("boundaries", shape["boundaries"]), ("semantics", shape["semantics"])):
        done = done.set_column(done.column_names.index(name), SCHEMAS["geometries"].field(name), column)
    for name in ("template", "matrix"):
        field = SCHEMAS["geometries"].field(name)
        done = done.set_column(done.column_names.index(name), field, pa.nulls(done.num_rows, field.type))
    both = pa.concat_tables([geometries.take(pa.array(own)), done])
    back = np.empty(geometries.num_rows, np.int64)
    back[np.concatenate([own, mine])] = np.arange(geometries.num_rows)
    return both.take(pa.array(back))


def for_instances(table: pa.Table, geometries: pa.Table) -> pa.Table:
    """Return rows of `surfaces` or `appearances` by geometry: those of a template stand once for each of its instances.

    Parameters
    ----------
    table
        Has a column ``geometry``.
    geometries
        Geometries wanted, stored form; rows of other geometries are left out.
    """
    keys = np.asarray(geometries["key"].to_numpy(), np.int64)
    template = np.asarray(geometries["template"].fill_null(-1).to_numpy(), np.int64)
    shape = np.where(template >= 0, template, keys)
    owner = np.asarray(table["geometry"].to_numpy(), np.int64)
    order = np.argsort(owner, kind="stable")
    first, last = (np.searchsorted(owner[order], shape, side=side) for side in ("left", "right"))
    count = last - first
    row = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))
    found = table.take(pa.array(order[row]))
    at = found.column_names.index("geometry")
    return found.set_column(at, table.schema.field("geometry"), pa.array(np.repeat(keys, count)))


def instance_boxes(geometries: pa.Table, templates: pa.Table) -> tuple[Ints, Reals, Reals]:
    """Return the rows whose template has vertices, and their least and greatest coordinates, shape (n,), (n, 3), (n, 3)."""
    mine, place = _used(geometries, templates)
    flat = flatten(templates)
    size = np.diff(flat.vertex_start)
    full = (place >= 0) & (size[place] > 0) if len(size) else np.zeros(len(mine), bool)
    mine, place = mine[full], place[full]
    matrix = matrices(geometries["matrix"].take(pa.array(mine)))
    low, high = np.empty((len(mine), 3)), np.empty((len(mine), 3))
    batch = np.cumsum(size[place]) // _BATCH if len(mine) else np.empty(0, np.int64)
    for part in np.split(np.arange(len(mine)), np.flatnonzero(np.diff(batch)) + 1):
        if not len(part):
            continue
        element, count = _gathered(flat.vertex_start, place[part])
        points = _placed(flat.vertices[element], np.repeat(part, count), matrix)
        first = np.cumsum(count) - count
        low[part], high[part] = np.minimum.reduceat(points, first, axis=0), np.maximum.reduceat(points, first, axis=0)
    return mine, low, high


def moved_matrices(geometries: pa.Table, transform: ArrayLike) -> pa.Table:
    """Return the geometries with the matrices of instances followed by another one, shape (4, 4)."""
    has = geometries["matrix"].is_valid()
    if not pc.any(has).as_py():
        return geometries
    mine = np.flatnonzero(np.asarray(has.to_numpy()))
    moved = np.asarray(transform, float) @ matrices(geometries["matrix"].take(pa.array(mine)))
    place = np.full(geometries.num_rows, -1, np.int64)
    place[mine] = np.arange(len(mine))
    column = matrix_column(moved).take(pa.array(place, mask=place < 0))
    return geometries.set_column(geometries.column_names.index("matrix"), SCHEMAS["geometries"].field("matrix"), column)


def moved_by(geometries: pa.Table, by: ArrayLike) -> pa.Table:
    """Return the geometries moved by a constant vector [m], shape (3,); instances move by their matrices."""
    at = geometries.column_names.index("vertices")
    moved = geometries.set_column(at, SCHEMAS["geometries"].field("vertices"), shift(geometries["vertices"], by))
    step = np.eye(4)
    step[:3, 3] = by
    return moved_matrices(moved, step)


def put_out(city: City, keys: ArrayLike | None = None) -> City:
    """Return the city with the instances of some objects (all by default) as ordinary geometry, their surfaces and appearance with them."""
    stored = city.tables["geometries"]
    wanted = stored["template"].is_valid()
    if keys is not None:
        wanted = pc.and_(wanted, pc.is_in(stored["object"], pa.array(np.asarray(keys, np.int64))))
    if not pc.any(wanted).as_py():
        return city
    changed = stored.filter(wanted)
    rows = np.flatnonzero(np.asarray(wanted.to_numpy()))
    place = np.arange(stored.num_rows)
    place[rows] = stored.num_rows + np.arange(len(rows))
    geometries = pa.concat_tables([stored, explicit(changed, city.tables["templates"])]).take(pa.array(place))
    more = {name: pa.concat_tables([city.tables[name], for_instances(city.tables[name], changed)]) for name in ("surfaces", "appearances")}
    return city.replace_tables(geometries=geometries, **more)
