"""Shapes of products as rows of a city: explicit meshes, or templates with a matrix where one shape stands in many places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.loaders.ifc.orient import Bodies
    from cim.loaders.ifc.shapes import Shape, Shapes
    from cim.model import CityBuilder

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Placed", "footprints_of", "placed", "write_geometry"]

_LOD = "3"
_LEVEL = 1e-6  # share of a unit vector that may lean for a placement to count as upright
_FACING = 0.02  # normals that rise less (1.1 degrees) cast no shadow worth keeping


@dataclass(frozen=True)
class Placed:
    """Every use of a shape by an object, in coordinates of the city."""

    row: Ints
    """Shape (u,): row of the object."""
    shape: Ints
    """Shape (u,): row of the body."""
    matrix: Reals
    """Shape (u, 4, 4): shape -> city [m]."""
    low: Reals
    """Shape (u, 3): lower corner [m]."""
    high: Reals
    """Shape (u, 3): upper corner [m]."""
    bodies: Bodies

    def points(self, use: int) -> Reals:
        """Return the corners of one use in the city [m], shape (n, 3)."""
        motion = self.matrix[use]
        result: Reals = self.bodies.shapes[self.shape[use]].points @ motion[:3, :3].T + motion[:3, 3]
        return result

    def triangles(self, use: int) -> NDArray[np.int32]:
        """Return its triangles, faces outward also where the matrix mirrors."""
        found: NDArray[np.int32] = self.bodies.shapes[self.shape[use]].triangles
        return found[:, ::-1] if np.linalg.det(self.matrix[use][:3, :3]) < 0 else found


def placed(shapes: Shapes, bodies: Bodies, rows: Mapping[int, int], georeference: Reals) -> Placed:
    """Return the uses of all shapes; `rows` leads from STEP ids to objects, `georeference` from the project to the city [m]."""
    count = len(shapes.owner)
    matrix = georeference @ np.asarray(shapes.matrix).reshape(count, 4, 4)
    shape = np.asarray(shapes.used, np.int64)
    low, high = np.full((count, 3), np.nan), np.full((count, 3), np.nan)
    for use in range(count):
        points = bodies.shapes[shape[use]].points @ matrix[use, :3, :3].T
        if len(points):
            low[use], high[use] = points.min(axis=0) + matrix[use, :3, 3], points.max(axis=0) + matrix[use, :3, 3]
    return Placed(np.array([rows[one] for one in shapes.owner], np.int64), shape, matrix, low, high, bodies)


def footprints_of(uses: Placed, wanted: Ints) -> NDArray[Any]:
    """Return what some uses cover seen from above, shapely polygons or None, shape (k,).

    A shape that stands upright is looked at once, in its own coordinates, however often it is used.
    """
    import shapely

    out = np.full(len(wanted), None, object)
    matrix = uses.matrix[wanted]
    scale = np.linalg.norm(matrix[:, :3, 2], axis=1)
    upright = (np.abs(matrix[:, 2, :2]).max(axis=1, initial=0) < _LEVEL * scale) & (
        np.abs(matrix[:, :2, 2]).max(axis=1, initial=0) < _LEVEL * scale
    )
    mine = np.flatnonzero(upright)
    used, where = np.unique(uses.shape[wanted[mine]], return_inverse=True)
    own = _shadows([(uses.bodies.shapes[one].points, uses.bodies.shapes[one].triangles) for one in used.tolist()])
    for place, shape in zip(mine.tolist(), where.tolist(), strict=True):
        if own[shape] is not None:
            motion = matrix[place]
            out[place] = shapely.transform(own[shape], lambda xy, m=motion: xy @ m[:2, :2].T + m[:2, 3])
    rest = np.flatnonzero(~upright)
    for place, made in zip(rest.tolist(), _shadows([_around(uses, int(wanted[one])) for one in rest.tolist()]), strict=True):
        if made is not None:
            out[place] = shapely.transform(made, lambda xy, by=uses.matrix[wanted[place], :2, 3]: xy + by)
    return out


def _around(uses: Placed, use: int) -> tuple[Reals, NDArray[np.int32]]:
    return uses.points(use) - uses.matrix[use, :3, 3], uses.triangles(use)


def _shadows(meshes: list[tuple[Reals, NDArray[np.int32]]]) -> NDArray[Any]:
    """Return the union of the triangles of each mesh seen from above."""
    import shapely

    from cim.model.footprints import union_by_group

    out = np.full(len(meshes), None, object)
    corners = [points[triangles] for points, triangles in meshes]
    if not sum(map(len, corners)):
        return out
    flat = np.concatenate([one for one in corners if len(one)])
    group = np.repeat(np.arange(len(corners)), [len(one) for one in corners])
    normal = np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])
    length = np.linalg.norm(normal, axis=1)
    level = np.abs(normal[:, 2]) > _FACING * length
    level &= length > 0
    polygons = shapely.polygons(flat[level][:, :, :2])
    good = shapely.area(polygons) > 1e-12
    groups, merged = union_by_group(np.asarray(polygons, object)[good], group[level][good])
    out[groups] = merged
    return out


# ---------------------------------------------------------------------------------------------- rows


def write_geometry(builder: CityBuilder, uses: Placed, keys: Ints, source: int) -> None:
    """Write all uses: a shape used more than once becomes a template; a mirrored use is written out, for its faces turn."""
    mirrored = np.linalg.det(uses.matrix[:, :3, :3]) < 0 if len(uses.row) else np.zeros(0, bool)
    often = np.bincount(uses.shape[~mirrored], minlength=len(uses.bodies.shapes)) > 1
    instance = often[uses.shape] & ~mirrored
    materials = _materials(builder, uses.bodies.shapes)
    _write_explicit(builder, uses, np.flatnonzero(~instance), keys, source, materials)
    _write_instances(builder, uses, np.flatnonzero(instance), keys, source, materials)


def _columns(meshes: list[tuple[Reals, NDArray[np.int32]]]) -> tuple[pa.Array, pa.Array]:
    from cim.model.geometry import boundaries_from, vertices_from

    many = np.array([len(triangles) for _, triangles in meshes], np.int64)
    total = int(many.sum())
    index = np.concatenate([triangles.reshape(-1) for _, triangles in meshes])
    one = np.ones(len(meshes), np.int64)
    boundaries = boundaries_from(index, np.full(total, 3), np.ones(total, np.int64), many, one, one)
    return vertices_from(np.concatenate([points for points, _ in meshes]), [len(points) for points, _ in meshes]), boundaries


def _kind(closed: NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Return role and type of meshes."""
    return pa.array(np.where(closed, "solid", "mesh").tolist()), pa.array(np.where(closed, "Solid", "MultiSurface").tolist())


def _write_explicit(builder: CityBuilder, uses: Placed, chosen: Ints, keys: Ints, source: int, materials: dict[int, Ints]) -> None:
    if not len(chosen):
        return
    vertices, boundaries = _columns([(uses.points(use), uses.triangles(use)) for use in chosen.tolist()])
    role, kind = _kind(uses.bodies.closed[uses.shape[chosen]])
    made = builder.add_geometries(keys[uses.row[chosen]], lod=pa.array([_LOD] * len(chosen)), role=role, type=kind, vertices=vertices,
                                  boundaries=boundaries, source=source)  # fmt: skip
    _dress(builder, made, uses.shape[chosen], materials)


def _write_instances(builder: CityBuilder, uses: Placed, chosen: Ints, keys: Ints, source: int, materials: dict[int, Ints]) -> None:
    if not len(chosen):
        return
    shapes, where = np.unique(uses.shape[chosen], return_inverse=True)
    vertices, boundaries = _columns([(uses.bodies.shapes[one].points, uses.bodies.shapes[one].triangles) for one in shapes.tolist()])
    role, kind = _kind(uses.bodies.closed[shapes])
    templates = builder.add_templates(lod=pa.array([_LOD] * len(shapes)), role=role, type=kind, vertices=vertices, boundaries=boundaries)
    role, kind = _kind(uses.bodies.closed[uses.shape[chosen]])
    builder.add_instances(keys[uses.row[chosen]], templates=templates[where], matrices=uses.matrix[chosen],
                          lod=pa.array([_LOD] * len(chosen)), role=role, type=kind, source=source)  # fmt: skip
    _dress(builder, templates, shapes, materials)


def _materials(builder: CityBuilder, shapes: list[Shape]) -> dict[int, Ints]:
    """Add the colours of all shapes and return, by shape, the key of the material of each triangle."""
    known: dict[Any, int] = {}
    local: dict[int, Ints] = {}
    for row, shape in enumerate(shapes):
        if not shape.styles or not (shape.style >= 0).any():
            continue
        mine = np.array([known.setdefault(style, len(known)) for style in shape.styles], np.int64)
        local[row] = np.where(shape.style >= 0, mine[np.minimum(np.maximum(shape.style, 0), len(mine) - 1)], -1)
    if not known:
        return {}
    keys = builder.add_materials([style.name for style in known], diffuse=[list(style.diffuse) for style in known],
                                 transparency=[style.transparency for style in known])  # fmt: skip
    return {row: np.where(one >= 0, keys[one], -1) for row, one in local.items()}


def _dress(builder: CityBuilder, gkeys: Ints, shapes: Ints, materials: dict[int, Ints]) -> None:
    dressed = [place for place, shape in enumerate(shapes.tolist()) if shape in materials]
    if dressed:
        lists = pa.array([materials[int(shapes[place])] for place in dressed], pa.list_(pa.int64()))
        builder.add_appearances(gkeys[dressed], theme="ifc", materials=lists)
