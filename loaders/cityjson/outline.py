"""Large surfaces brought to their outline before footprints are derived: a terrain of thousands of triangles is one polygon from above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.footprints import polygons_of_surfaces
from cim.model.geometry import Flat, flatten, ring_normals
from cim.model.outlines import Rings, merged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Shapes = NDArray[Any]

__all__ = ["outlines_of"]

_MANY = 200
"""Surfaces from which the outline is worth its making."""
_VERTICAL = 0.02
"""Surfaces steeper than this cast no shadow, as in `cim.model.footprints`."""
_ALIKE = 1e-9
"""Relative difference between the area of the outline and that of the parts below which no part overlaps another."""


def outlines_of(table: pa.Table, ground: Flags) -> tuple[Ints, Shapes]:
    """Return the geometries of many surfaces that fit edge to edge, as rows of the table, and the outline of each seen from above.

    Parameters
    ----------
    table
        Geometries.
    ground
        Which faces are ground surfaces, in the order of the flattened boundaries; a geometry that has any is left out.
    """
    lists = table["boundaries"].combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    start = np.arange(len(lists) + 1)
    for _ in range(3):
        start = np.asarray(lists.offsets.to_numpy(), np.int64)[start] if len(lists) else np.zeros(1, np.int64)
        lists = lists.values
    start = start - start[0]
    areal = np.isin(table["type"].to_pylist(), ("MultiSurface", "CompositeSurface"))
    rows = np.flatnonzero(areal & (np.diff(start) > _MANY))
    rows = rows[[not ground[start[row] : start[row + 1]].any() for row in rows.tolist()]] if len(rows) else rows
    if not len(rows):
        return rows, np.empty(0, object)
    flat = flatten(table.take(pa.array(rows)))
    shapes = _chained(flat, len(rows))
    for place in np.flatnonzero([one is None for one in shapes]).tolist():
        shapes[place] = _covered(flatten(table.slice(int(rows[place]), 1)))
    found = np.array([one is not None for one in shapes], bool)
    return rows[found], shapes[found]


def _level(flat: Flat) -> Flags:
    """Return which surfaces cast a shadow, none where a surface has no ring."""
    if (np.diff(flat.surface_start) == 0).any():
        return np.zeros(len(flat.surface_start) - 1, bool)
    normal = ring_normals(flat)[flat.surface_start[:-1]]
    return np.asarray(np.abs(normal[:, 2]) > _VERTICAL * np.linalg.norm(normal, axis=1))


def _chained(flat: Flat, count: int) -> Shapes:
    """Return the outline of each geometry whose surfaces share their sides, None for the others."""
    level = _level(flat)
    whole = np.full(count, None, object)
    if not level.any() or (np.diff(flat.surface_start)[level] != 1).any():
        return whole
    ring = flat.surface_start[:-1][level]
    size = np.diff(flat.ring_start)[ring]
    begin = np.cumsum(size) - size
    place = np.repeat(flat.ring_start[ring] - begin, size) + np.arange(int(size.sum()))
    group = np.concatenate([[0], np.cumsum(np.bincount(flat.geometry_of_surface[level], minlength=count))])
    shapes = merged(Rings(flat.vertices[flat.index[place], :2], np.append(begin, len(place)), group))
    return whole if shapes is None else shapes


def _covered(flat: Flat) -> Any:
    """Return the outline of one geometry; None where its surfaces overlap."""
    import shapely

    level = _level(flat)
    shapes, faces = polygons_of_surfaces(flat, level)
    if len(faces) != level.sum() or not len(faces):
        return None
    try:
        whole = shapely.coverage_union_all(shapes)
    except shapely.GEOSException:
        return None
    area = float(shapely.area(shapes).sum())
    return whole if shapely.is_valid(whole) and abs(float(shapely.area(whole)) - area) <= _ALIKE * area else None
