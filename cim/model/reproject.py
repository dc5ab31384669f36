"""A city in another coordinate system: footprints, geometry and heights together, with the operation noted on every source."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.crs import CityCRS, check_model_crs, parse, transform_geometries, transform_points
from cim.model.geometry import flatten, vertices_from
from cim.model.instances import put_out
from cim.model.link_lines import moved_lines
from cim.model.schema import SCHEMAS, empty
from cim.model.spatial import bbox_column

if TYPE_CHECKING:
    from cim.model.city import City

__all__ = ["to_crs"]


def to_crs(city: City, crs: str | CityCRS, *, allow_ballpark: bool = False) -> City:
    """Return the city in another coordinate system.

    Footprints and vertices are transformed point by point in float64; rasters and point clouds keep their own system, which their
    row in `coverages` states. The pipeline and its accuracy go to the sources, what PROJ could not do well to the issues.

    Parameters
    ----------
    crs
        Target; a projected system.
    allow_ballpark
        Accept operations that PROJ itself calls a guess; each is noted as an issue.

    Raises
    ------
    CRSError
        If the target cannot carry a model, or no operation good enough is known.
    """
    target = parse(crs)
    check_model_crs(target, path=city.name or "city")
    if target == city.crs:
        return city
    where = city.name or "city"
    city = put_out(city)  # a matrix cannot hold what a projection does to a shape
    objects, geometries = city.tables["objects"], city.tables["geometries"]
    shapes, plane = transform_geometries(city.footprints(), city.crs, target, allow_ballpark=allow_ballpark, path=where)
    notes = list(plane.notes)
    heights: dict[str, Any] = {}
    for name in ("z_ground", "z_roof"):
        heights[name], more = _heights(city, name, target, allow_ballpark=allow_ballpark)
        notes += more
    moved = geometries
    origin = city.origin
    if geometries.num_rows:
        flat = flatten(geometries)
        points = flat.vertices + city.origin
        done = transform_points(points[:, 0], points[:, 1], points[:, 2], city.crs, target, allow_ballpark=allow_ballpark, path=where)
        notes += done.notes
        absolute = np.stack([done.x, done.y, done.z if done.z is not None else points[:, 2]], axis=1)
        origin = np.append(np.floor(absolute[:, :2].min(axis=0)), 0.0) if len(absolute) else np.zeros(3)
        vertices = vertices_from(absolute - origin, np.diff(flat.vertex_start))
        moved = geometries.set_column(geometries.column_names.index("vertices"), SCHEMAS["geometries"].field("vertices"), vertices)

    def plan(xy: Any) -> Any:
        done = transform_points(xy[:, 0], xy[:, 1], None, city.crs, target, allow_ballpark=allow_ballpark, path=where)
        return np.stack([done.x, done.y], axis=1)

    links = moved_lines(city.tables["links"], plan)
    changed = _rows(objects, shapes, heights, moved, origin)
    sources = _noted(city.tables["sources"], city.crs, target, plane.pipeline, plane.accuracy)
    result = replace(city.replace_tables(objects=changed, geometries=moved, links=links, sources=sources), crs=target, origin=origin)
    told = dict.fromkeys(notes)
    return result.with_issues([{"code": "crs", "message": f"{where}: {note}", "severity": _weight(note)} for note in told])


def _weight(note: str) -> str:
    """Return how serious a note is: heights whose system nobody knows can make every check of a height wrong."""
    return "warning" if "vertical unknown" in note else "info"


def _heights(city: City, name: str, target: CityCRS, *, allow_ballpark: bool) -> tuple[pa.Array, list[str]]:
    """Return a height column in the vertical system of the target."""
    column = city.tables["objects"][name]
    z = np.array(column.to_numpy(), float)  # a copy that may be written to
    boxes = city.tables["objects"]["bbox"]
    low_x, high_x, low_y, high_y = (np.asarray(pc.struct_field(boxes, side).to_numpy(), float) for side in ("xmin", "xmax", "ymin", "ymax"))
    middle_x, middle_y = (low_x + high_x) / 2, (low_y + high_y) / 2
    known = np.flatnonzero(np.isfinite(z))
    if not len(known) or city.crs.same_vertical(target):
        return column, []
    if not np.isfinite(middle_x[known]).all():
        lost = int((~np.isfinite(middle_x[known])).sum())
        return column, [
            f"{lost} objects with a height have no place; heights cannot be transformed there and stay as they are: vertical unknown"
        ]
    x, y = middle_x[known], middle_y[known]
    done = transform_points(x, y, z[known], city.crs, target, allow_ballpark=allow_ballpark, path=city.name or "city")
    if done.z is not None:
        z[known] = done.z
    return pa.array(z, from_pandas=True), list(done.notes)


def _rows(objects: pa.Table, shapes: Any, heights: dict[str, Any], geometries: pa.Table, origin: Any) -> pa.Table:
    """Return the objects with new footprints, heights and boxes."""
    import shapely

    from cim.model.derive import boxes_of
    from cim.model.geometry import shift

    bounds = shapely.bounds(shapes)
    nothing = np.full((len(bounds), 1), np.nan)
    new = {
        "bbox": bbox_column(np.hstack([bounds[:, :2], nothing]), np.hstack([bounds[:, 2:], nothing])),
        "footprint": pa.array(shapely.to_wkb(shapes, byte_order=1).tolist(), pa.binary()),
        **heights,
    }
    for name, column in new.items():
        objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column)
    if geometries.num_rows:
        at = geometries.column_names.index("vertices")
        geometries = geometries.set_column(at, SCHEMAS["geometries"].field("vertices"), shift(geometries["vertices"], origin))
    return boxes_of(objects, geometries, empty("templates"))


def _together(own: pa.ChunkedArray, operation: float | None) -> pa.Array:
    """Return the accuracy of sources after an operation [m]: both errors together, or the one that is known."""
    before = np.array(own.to_numpy(), float)
    if operation is None:
        return pa.array(before, pa.float64(), from_pandas=True)
    return pa.array(np.hypot(np.nan_to_num(before), operation), pa.float64())


def _noted(sources: pa.Table, own: CityCRS, target: CityCRS, pipeline: str, accuracy: float | None) -> pa.Table:
    """Return the catalogue with the system used and the operation that led there; heights of an unknown system stay unknown."""
    rows = sources.num_rows
    reached = target.vertical.name if own.vertical is not None and target.vertical is not None else "unknown"
    values = {
        "used_crs": pa.array([target.without_vertical().to_string()] * rows, pa.string()),
        "used_vertical": pa.array([reached] * rows, pa.string()),
        "pipeline": pa.array([pipeline] * rows, pa.string()),
        "accuracy": _together(sources["accuracy"], accuracy),
    }
    for name, column in values.items():
        sources = sources.set_column(sources.column_names.index(name), SCHEMAS["sources"].field(name), column)
    return sources
