"""What follows from footprints and geometry: boxes, the model origin, CIM code and level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import flatten
from cim.model.instances import instance_boxes
from cim.model.schema import SCHEMAS, one_array
from cim.model.spatial import bbox_column

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["boxes_of", "classify", "finest_lod", "origin_of"]


def boxes_of(objects: pa.Table, geometries: pa.Table, templates: pa.Table, origin: ArrayLike = 0.0) -> pa.Table:
    """Widen the boxes of the objects by the vertices of their geometries (relative to `origin`) and by ground and roof height."""
    count = objects.num_rows
    corner = [
        np.asarray(pc.struct_field(objects["bbox"], name).to_numpy(), float) for name in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")
    ]
    low, high = np.stack(corner[:3], axis=1), np.stack(corner[3:], axis=1)
    for name in ("z_ground", "z_roof"):
        z = np.asarray(objects[name].to_numpy(), float)
        low[:, 2], high[:, 2] = np.fmin(low[:, 2], z), np.fmax(high[:, 2], z)
    if geometries.num_rows:
        flat = flatten(geometries)
        used = np.diff(flat.vertex_start) > 0
        start = flat.vertex_start[:-1][used]
        keys = np.asarray(objects["key"].to_numpy(), np.int64)
        by_key = np.argsort(keys, kind="stable")
        owner = by_key[np.searchsorted(keys, np.asarray(geometries["object"].to_numpy(), np.int64)[used], sorter=by_key)]
        least, most = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
        if len(start):
            np.minimum.at(least, owner, np.minimum.reduceat(flat.vertices, start, axis=0))
            np.maximum.at(most, owner, np.maximum.reduceat(flat.vertices, start, axis=0))
        if templates.num_rows:
            row, lower, upper = instance_boxes(geometries, templates)
            owner = by_key[np.searchsorted(keys, np.asarray(geometries["object"].to_numpy(), np.int64)[row], sorter=by_key)]
            np.minimum.at(least, owner, lower)
            np.maximum.at(most, owner, upper)
        low = np.fmin(low, np.where(np.isfinite(least), least + origin, np.nan))
        high = np.fmax(high, np.where(np.isfinite(most), most + origin, np.nan))
    return objects.set_column(objects.column_names.index("bbox"), SCHEMAS["objects"].field("bbox"), bbox_column(low, high))


def origin_of(objects: pa.Table) -> NDArray[np.float64]:
    """Return a whole-metre point near the lower corner of everything; height stays 0."""
    corner = [pc.min(pc.struct_field(objects["bbox"], name)).as_py() for name in ("xmin", "ymin")]
    return np.array([np.floor(value) if value is not None and np.isfinite(value) else 0.0 for value in corner] + [0.0])


def classify(objects: pa.Table, geometries: pa.Table) -> pa.Table:
    """Fill CIM code and level where the source gives none, from class and finest level of detail."""
    from cim.model.classification import LEVEL_SCHEME, code_for, level_for

    lods = finest_lod(objects, geometries)
    types = one_array(objects["type"])
    code = pc.coalesce(objects["cim_code"], code_for(types, lods))
    scheme = pc.if_else(pc.is_null(objects["cim_level"]), pa.scalar(LEVEL_SCHEME), pa.scalar("source"))
    level = pc.coalesce(objects["cim_level"], level_for(types, lods, has_rooms=_has_rooms(objects, types), codes=one_array(code)))
    for name, column in (
        ("cim_code", code),
        ("cim_level", level),
        ("level_scheme", pc.if_else(pc.is_null(level), pa.scalar(None, pa.string()), scheme)),
    ):
        objects = objects.set_column(objects.column_names.index(name), SCHEMAS["objects"].field(name), column)
    return objects


def _has_rooms(objects: pa.Table, types: pa.Array) -> pa.Array:
    """Say which objects have storeys, units or rooms right below them."""
    inner = pc.is_in(types, pa.array(["BuildingStorey", "BuildingUnit", "BuildingRoom"]))
    return pc.is_in(one_array(objects["key"]), one_array(objects["parent"].filter(inner)))


def finest_lod(objects: pa.Table, geometries: pa.Table) -> pa.Array:
    """Return the finest level of detail of each object as text, null where it has no geometry; keys may have gaps and any order."""
    if not geometries.num_rows:
        return pa.nulls(objects.num_rows, pa.string())
    code = one_array(geometries["lod"]).dictionary_encode()
    names = sorted(code.dictionary.to_pylist())
    rank = pc.index_in(code.dictionary, pa.array(names, pa.string())).take(code.indices)
    row = pc.index_in(one_array(geometries["object"]), one_array(objects["key"]))
    both = pc.and_(rank.is_valid(), row.is_valid())
    finest = np.full(objects.num_rows, -1, np.int64)
    np.maximum.at(finest, np.asarray(row.filter(both).to_numpy(), np.int64), np.asarray(rank.filter(both).to_numpy(), np.int64))
    return pa.array(names, pa.string()).take(pa.array(finest, mask=finest < 0))
