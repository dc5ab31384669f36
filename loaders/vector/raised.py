"""Geometry with heights: points, lines and areas as the nested lists that the model keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Raised", "raised_geometries"]

# shapely type id -> family; rings and collections have none
_FAMILY = {0: "point", 4: "point", 1: "line", 5: "line", 3: "multi_surface", 6: "multi_surface"}
_TYPE = {"point": "MultiPoint", "line": "MultiLineString", "multi_surface": "MultiSurface"}


class Raised(NamedTuple):
    """Geometries of one family."""

    row: NDArray[np.int64]
    """Shape (g,): record that each belongs to."""
    role: str
    type: str
    vertices: pa.Array
    boundaries: pa.Array


def raised_geometries(geometry: NDArray[np.object_]) -> list[Raised]:
    """Return the geometries that have heights other than zero, by family.

    Parameters
    ----------
    geometry : shape (n,)
        shapely geometries; those without heights are left out.
    """
    import shapely

    if not len(geometry) or not shapely.has_z(geometry).any():
        return []
    heights = shapely.get_coordinates(geometry[shapely.has_z(geometry)], include_z=True)[:, 2]
    if not np.any(np.isfinite(heights) & (heights != 0.0)):
        return []
    kinds = shapely.get_type_id(geometry)
    out = []
    for family, name in _TYPE.items():
        members = [number for number, one in _FAMILY.items() if one == family]
        rows = np.flatnonzero(np.isin(kinds, members) & shapely.has_z(geometry) & ~shapely.is_empty(geometry))
        if len(rows):
            vertices, boundaries = _lists(geometry[rows], family)
            out.append(Raised(rows, family, name, vertices, boundaries))
    return out


def _lists(geometry: NDArray[np.object_], family: str) -> tuple[pa.Array, pa.Array]:
    """Return vertices and boundaries of geometries of one family."""
    import shapely

    from cim.model.geometry import boundaries_from, vertices_from

    kind, points, offsets = shapely.to_ragged_array(geometry, include_z=True)
    name = kind.name
    starts = [np.asarray(one, np.int64) for one in offsets]
    if family == "point":
        per = np.diff(starts[0]) if starts else np.ones(len(geometry), np.int64)
        surfaces, rings, sizes = np.ones(len(per), np.int64), np.ones(len(per), np.int64), per
        owner_count = per
    elif family == "line":
        sizes = np.diff(starts[0])
        per_geometry = np.diff(starts[1]) if name.startswith("MULTI") else np.ones(len(geometry), np.int64)
        surfaces, rings = per_geometry, np.ones(len(sizes), np.int64)
        owner_count = np.add.reduceat(sizes, np.concatenate([[0], np.cumsum(per_geometry)[:-1]]))
    else:
        keep = np.ones(len(points), bool)
        keep[starts[0][1:] - 1] = False  # the closing position of each ring
        points, sizes = points[keep], np.diff(starts[0]) - 1
        rings = np.diff(starts[1])
        surfaces = np.diff(starts[2]) if name.startswith("MULTI") else np.ones(len(geometry), np.int64)
        per_surface = np.add.reduceat(sizes, starts[1][:-1])
        owner_count = np.add.reduceat(per_surface, np.concatenate([[0], np.cumsum(surfaces)[:-1]]))
    first = np.repeat(np.cumsum(owner_count) - owner_count, owner_count)
    one = np.ones(len(geometry), np.int64)
    return vertices_from(points, owner_count), boundaries_from(np.arange(len(points)) - first, sizes, rings, surfaces, one, one)
