"""Footprints as LoD0 geometry, for objects that have nothing else to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.geometry import boundaries_from, vertices_from
from cim.model.schema import BOUNDARIES, VERTICES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["flat_geometries"]

_KINDS = ("MultiPoint", "MultiLineString", "MultiSurface")
_EMPTY = pa.schema([("key", pa.int64()), ("object", pa.int64()), ("lod", pa.string()), ("type", pa.string()), ("vertices", VERTICES),
                    ("boundaries", BOUNDARIES), ("semantics", pa.list_(pa.int32()))])  # fmt: skip


def flat_geometries(city: City, rows: Ints) -> pa.Table:
    """Return LoD0 geometries for some rows of the objects, in absolute coordinates, at ground height (0 where that is not known)."""
    import shapely

    if not len(rows):
        return _EMPTY.empty_table()
    objects = city.tables["objects"]
    keys = np.asarray(objects["key"].to_numpy(), np.int64)[rows]
    shapes = city.footprints(keys)
    ground = np.nan_to_num(np.asarray(objects["z_ground"].to_numpy(), float)[rows])
    dimension = shapely.get_dimensions(shapes)
    each = [(number, dimension == number) for number in range(3)]
    made = [_of_dimension(shapes[mine], keys[mine], ground[mine], number) for number, mine in each if mine.any()]
    return pa.concat_tables(made) if made else _EMPTY.empty_table()


def _of_dimension(shapes: NDArray[Any], keys: Ints, ground: NDArray[np.float64], dimension: int) -> pa.Table:
    import shapely

    oriented = shapely.orient_polygons(shapes) if dimension == 2 else shapes
    parts, row = shapely.get_parts(oriented, return_index=True)
    areal = shapely.get_dimensions(parts) == dimension
    parts, row = parts[areal], row[areal]
    rings, part = shapely.get_rings(parts, return_index=True) if dimension == 2 else (parts, np.arange(len(parts)))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    if dimension == 2:
        inner = np.append(ring[1:] == ring[:-1], False)  # the last point of each ring repeats the first
        xy, ring = xy[inner], ring[inner]
    owner = row[part][ring]
    points = np.column_stack([xy, ground[owner]])
    count = np.bincount(owner, minlength=len(keys))
    first = np.concatenate([[0], np.cumsum(count)])[:-1]
    ones = np.ones(len(keys), np.int64)
    boundaries = boundaries_from(
        np.arange(len(points)) - first[owner], np.bincount(ring, minlength=len(rings)), np.bincount(part, minlength=len(parts)),
        np.bincount(row, minlength=len(keys)), ones, ones,
    )  # fmt: skip
    columns = [pa.nulls(len(keys), pa.int64()), pa.array(keys), pa.repeat("0", len(keys)), pa.repeat(_KINDS[dimension], len(keys)),
               vertices_from(points, count), boundaries, pa.nulls(len(keys), pa.list_(pa.int32()))]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=_EMPTY)
