"""A city put in another place as a whole: one motion for footprints, geometry, instances and heights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.crs import CityCRS, parse
from cim.errors import UsageError
from cim.model.derive import boxes_of
from cim.model.geometry import flatten, vertices_from
from cim.model.instances import moved_matrices
from cim.model.schema import SCHEMAS
from cim.model.spatial import bbox_column

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.model.city import City

__all__ = ["placed"]


def placed(city: City, matrix: ArrayLike, crs: str | CityCRS) -> City:
    """Return the city moved by one motion into a coordinate system.

    Unlike `cim.model.reproject.to_crs` this is no map projection: the city is turned about the vertical, scaled alike in the plane
    and shifted, as a model in local coordinates is when its place becomes known. Templates stay as they are, their instances move.
    Rasters and point clouds beside the city stay where they are.

    Parameters
    ----------
    matrix : shape (4, 4)
        Coordinates of the city -> coordinates in `crs`, both absolute.
    crs
        Coordinate system of the result.

    Raises
    ------
    UsageError
        If the matrix is not finite, or tips the city over.
    """
    motion = _checked(matrix)
    target = parse(crs)
    shapes = _moved_footprints(city, motion)
    ends = motion @ np.array([*city.origin, 1.0])
    origin = np.array([*np.floor(ends[:2]), 0.0])
    local = _shift(-origin) @ motion @ _shift(city.origin)
    geometries = _moved_geometries(city, local)
    objects = city.tables["objects"]
    for name in ("z_ground", "z_roof"):
        z = np.asarray(objects[name].to_numpy(), float) * motion[2, 2] + motion[2, 3]
        field = SCHEMAS["objects"].field(name)
        objects = objects.set_column(objects.column_names.index(name), field, pa.array(z, pa.float64(), from_pandas=True))
    objects = _with_shapes(objects, shapes)
    objects = _with_corners(objects, city, motion)
    objects = boxes_of(objects, geometries, city.tables["templates"], origin)
    sources = _noted(city.tables["sources"], target)
    return replace(city.replace_tables(objects=objects, geometries=geometries, sources=sources), crs=target, origin=origin)


def _checked(matrix: ArrayLike) -> NDArray[np.float64]:
    motion = np.asarray(matrix, float)
    if motion.shape != (4, 4) or not np.isfinite(motion).all():
        msg = f"a motion is a finite matrix of shape (4, 4), found shape {motion.shape}"
        raise UsageError(msg)
    level = [*motion[2, :2], *motion[:2, 2], *motion[3, :3], motion[3, 3] - 1.0]
    if not np.allclose(level, 0.0, atol=1e-9) or motion[2, 2] <= 0.0 or np.linalg.det(motion[:2, :2]) <= 0.0:
        msg = "the motion tips or mirrors the city; expected a turn about the vertical, a scale and a shift"
        raise UsageError(msg)
    return motion


def _shift(by: ArrayLike) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def _moved_footprints(city: City, motion: NDArray[np.float64]) -> NDArray[np.object_]:
    import shapely

    shapes = np.asarray(city.footprints(), object)
    plane, shift = motion[:2, :2], motion[:2, 3]
    return np.asarray(shapely.transform(shapes, lambda points: points @ plane.T + shift), object)


def _moved_geometries(city: City, local: NDArray[np.float64]) -> pa.Table:
    """Return the geometries moved by a matrix between coordinates relative to the two origins."""
    table = city.tables["geometries"]
    if not table.num_rows:
        return table
    flat = flatten(table)
    points = flat.vertices @ local[:3, :3].T + local[:3, 3]
    vertices = vertices_from(points, np.diff(flat.vertex_start))
    table = table.set_column(table.column_names.index("vertices"), SCHEMAS["geometries"].field("vertices"), vertices)
    return moved_matrices(table, local)


def _with_shapes(objects: pa.Table, shapes: NDArray[np.object_]) -> pa.Table:
    import shapely

    wkb = pa.array(shapely.to_wkb(shapes, byte_order=1).tolist(), pa.binary())
    return objects.set_column(objects.column_names.index("footprint"), SCHEMAS["objects"].field("footprint"), wkb)


def _with_corners(objects: pa.Table, city: City, motion: NDArray[np.float64]) -> pa.Table:
    """Give each object the box of its footprint; where there is none, that of the corners of the box it had."""
    import shapely

    old = city.tables["objects"]["bbox"]
    side = {name: np.asarray(pc.struct_field(old, name).to_numpy(), float) for name in ("xmin", "ymin", "xmax", "ymax")}
    x = np.stack([side["xmin"], side["xmax"], side["xmax"], side["xmin"]], axis=1)
    y = np.stack([side["ymin"], side["ymin"], side["ymax"], side["ymax"]], axis=1)
    east, north = (motion[i, 0] * x + motion[i, 1] * y + motion[i, 3] for i in range(2))
    bounds = shapely.bounds(shapely.from_wkb(objects["footprint"].to_pylist()))
    own = np.isfinite(bounds[:, 0])
    has_geometry = np.isin(np.asarray(objects["key"].to_numpy()), np.asarray(city.tables["geometries"]["object"].to_numpy()))
    box = np.stack([east.min(axis=1), north.min(axis=1), east.max(axis=1), north.max(axis=1)], axis=1)
    box = np.where(own[:, None], bounds, np.where(has_geometry[:, None], np.nan, box))
    nothing = np.full((len(box), 1), np.nan)
    column = bbox_column(np.hstack([box[:, :2], nothing]), np.hstack([box[:, 2:], nothing]))
    return objects.set_column(objects.column_names.index("bbox"), SCHEMAS["objects"].field("bbox"), column)


def _noted(sources: pa.Table, target: CityCRS) -> pa.Table:
    rows = sources.num_rows
    vertical = target.vertical.name if target.vertical is not None else "unknown"
    for name, value in (("used_crs", target.without_vertical().to_string()), ("used_vertical", vertical)):
        column = pa.array([value] * rows, pa.string())
        sources = sources.set_column(sources.column_names.index(name), SCHEMAS["sources"].field(name), column)
    return sources
