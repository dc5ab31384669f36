"""Large surfaces brought to their outline before footprints are derived: a terrain of thousands of triangles is one polygon from above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.model.footprints import polygons_of_surfaces
from cim.model.geometry import boundaries_from, flatten, ring_normals, vertices_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["outlined"]

_MANY = 200
"""Surfaces from which the outline is worth its making."""
_VERTICAL = 0.02
"""Surfaces steeper than this cast no shadow, as in `cim.model.footprints`."""
_ALIKE = 1e-9
"""Relative difference between the area of the outline and that of the parts below which no part overlaps another."""


def outlined(table: pa.Table, ground: Flags) -> tuple[pa.Table, Flags]:
    """Return geometries for `derive_places`, those of many surfaces that fit edge to edge with their outline instead.

    Parameters
    ----------
    table
        Geometries; those changed keep all their vertices, so that heights stay.
    ground
        Which faces are ground surfaces, in the order of the flattened boundaries.
    """
    flat = flatten(table)
    count = np.bincount(flat.geometry_of_surface, minlength=table.num_rows)
    areal = np.isin(table["type"].to_pylist(), ("MultiSurface", "CompositeSurface"))
    start = np.concatenate([[0], np.cumsum(count)])
    rows = np.flatnonzero(areal & (count > _MANY))
    made = {row: one for row in rows.tolist() if (one := _outline(table.slice(row, 1), ground[start[row] : start[row + 1]])) is not None}
    if not made:
        return table, ground
    parts, flags, first = [], [], 0
    for row in sorted(made):
        parts += [table.slice(first, row - first), made[row]]
        faces = int(flatten(made[row]).surface_start.size - 1)
        flags += [ground[start[first] : start[row]], np.zeros(faces, bool)]
        first = row + 1
    parts.append(table.slice(first))
    flags.append(ground[start[first] :])
    return pa.concat_tables(parts).combine_chunks(), np.concatenate(flags)


def _outline(row: pa.Table, ground: Flags) -> pa.Table | None:
    """Return one geometry as its outline, level at its lowest point; None where its surfaces overlap or some of them are ground."""
    import shapely

    flat = flatten(row)
    outer = flat.surface_start[:-1]
    if ground.any() or (np.diff(flat.surface_start) == 0).any():
        return None
    normal = ring_normals(flat)[outer]
    level = np.abs(normal[:, 2]) > _VERTICAL * np.linalg.norm(normal, axis=1)
    shapes, faces = polygons_of_surfaces(flat, level)
    if len(faces) != level.sum() or not len(faces):
        return None
    try:
        whole = shapely.coverage_union_all(shapes)
    except shapely.GEOSException:
        return None
    area = float(shapely.area(shapes).sum())
    if not shapely.is_valid(whole) or abs(float(shapely.area(whole)) - area) > _ALIKE * area:
        return None
    parts = shapely.get_parts(shapely.orient_polygons(whole))
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    inner = np.append(ring[1:] == ring[:-1], False)  # the last point of each ring repeats the first
    xy, ring = xy[inner], ring[inner]
    points = np.column_stack([xy, np.full(len(xy), flat.vertices[:, 2].min())])
    vertices = vertices_from(np.concatenate([flat.vertices, points]), [len(flat.vertices) + len(points)])
    boundaries = boundaries_from(
        np.arange(len(points)) + len(flat.vertices), np.bincount(ring, minlength=len(rings)), np.bincount(part, minlength=len(parts)),
        [len(parts)], [1], [1],
    )  # fmt: skip
    for name, column in (("vertices", vertices), ("boundaries", boundaries)):
        at = row.column_names.index(name)
        row = row.set_column(at, row.schema.field(name), column.cast(row.schema.field(name).type))
    return row
