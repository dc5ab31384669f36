"""A city whose coordinates are those of a Chinese web map, put where it really is: the shift is undone at every vertex."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.fusion.align import undone
from cim.model.derive import boxes_of
from cim.model.geometry import flatten, vertices_from
from cim.model.instances import put_out
from cim.model.schema import SCHEMAS, empty
from cim.model.spatial import bbox_column

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["from_bd09", "from_gcj02"]


def from_gcj02(city: City) -> City:
    """Return a city whose GCJ-02 coordinates were taken for those of a survey where it really is.

    Footprints and vertices are moved one by one, to a micrometre; heights stay. Rasters and point clouds keep their files' coordinates:
    an issue names them.
    """
    return _from(city, "gcj02", "GCJ-02")


def from_bd09(city: City) -> City:
    """Return a city whose BD-09 coordinates were taken for those of a survey where it really is; see `from_gcj02`."""
    return _from(city, "bd09", "BD-09")


def _from(city: City, code: str, title: str) -> City:
    import shapely

    city = put_out(city)  # a matrix cannot hold what the shift does to a shape
    shapes = shapely.transform(city.footprints(), lambda xy: undone(xy, code, city.crs))
    bounds = shapely.bounds(shapes)
    height = np.full((len(bounds), 1), np.nan)
    geometries, objects = city.tables["geometries"], city.tables["objects"]
    if geometries.num_rows:
        flat = flatten(geometries)
        points = flat.vertices + city.origin
        points[:, :2] = undone(points[:, :2], code, city.crs)
        vertices = vertices_from(points - city.origin, np.diff(flat.vertex_start))
        at = geometries.column_names.index("vertices")
        geometries = geometries.set_column(at, SCHEMAS["geometries"].field("vertices"), vertices)
    columns = {
        "bbox": bbox_column(np.hstack([bounds[:, :2], height]), np.hstack([bounds[:, 2:], height])),
        "footprint": pa.array(shapely.to_wkb(shapes, byte_order=1).tolist(), pa.binary()),
    }
    for name, column in columns.items():
        objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column)
    objects = boxes_of(objects, geometries, empty("templates"), city.origin)
    moved = city.replace_tables(objects=objects, geometries=geometries, sources=_noted(city, title))
    keys = [str(key) for key in city.tables["sources"]["key"].to_pylist()]
    said = city.extra.get("sources", {})
    readings = {key: {**said.get(key, {}), "corrected": code} for key in keys}  # so that an update undoes the shift again
    moved = replace(moved, extra={**city.extra, "sources": readings})
    issues: list[dict[str, Any]] = [
        {"code": "crs", "severity": "info", "message": f"{city.name or 'city'}: {title} undone at every vertex, as the caller asked"}
    ]
    covers = city.tables["coverages"].num_rows
    if covers:
        text = f"{covers} rasters and point clouds keep the coordinates of their files; {title} is not undone there"
        issues.append({"code": "unsupported", "severity": "warning", "message": text, "count": covers})
    return moved.with_issues(issues)


def _noted(city: City, title: str) -> pa.Table:
    sources = city.tables["sources"]
    at = sources.column_names.index("pipeline")
    texts = [f"{title} undone" + (f"; {text}" if text else "") for text in sources["pipeline"].to_pylist()]
    return sources.set_column(at, SCHEMAS["sources"].field("pipeline"), pa.array(texts, pa.string()))
