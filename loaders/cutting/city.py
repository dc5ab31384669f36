"""One city from two: buildings with their pieces, meshes with what is left of them, figures, matches and issues."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.cutting.assemble import appearance_rows, geometry_rows, parts_of, surface_rows
from cim.loaders.cutting.attributes import with_piece_attributes, with_rest_attributes
from cim.loaders.cutting.cut import Cut, area_of
from cim.loaders.cutting.report import SET, property_rows
from cim.model.schema import SCHEMAS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cutting.arrays import MeshArrays
    from cim.loaders.cutting.footprints import Footprints
    from cim.loaders.cutting.pieces import Pieces
    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["filled", "joined"]


def joined(mesh: City, footprints: City, source: MeshArrays, issues: list[dict[str, Any]]) -> City:
    """Return both cities in one, the meshes without the geometry that was cut; ids that occur in both are changed in the mesh."""
    from cim.model.combine import concat

    gone = source.geometries["key"].combine_chunks()
    kept = {
        name: mesh.tables[name].filter(pc.invert(pc.is_in(mesh.tables[name][column], gone)))
        for name, column in (("geometries", "key"), ("surfaces", "geometry"), ("appearances", "geometry"))
    }
    figures = mesh.tables["properties"]  # those of an earlier cut, of other classes, would be added to the ones of this cut
    earlier = pc.and_(pc.equal(figures["set"], SET), pc.is_in(figures["object"], source.geometries["object"].combine_chunks()))
    kept["properties"] = figures.filter(pc.invert(earlier))
    taken = set(footprints.tables["objects"]["id"].to_pylist())
    ids = mesh.tables["objects"]["id"].to_pylist()
    if taken & set(ids):
        free = [_free(name, taken | set(ids)) if name in taken else name for name in ids]
        objects = mesh.tables["objects"]
        kept["objects"] = objects.set_column(objects.column_names.index("id"), SCHEMAS["objects"].field("id"), pa.array(free, pa.string()))
        issues.extend(
            {"code": "duplicate", "record": old, "message": f"id {old!r} is in both cities; the mesh is kept as {new!r}"}
            for old, new in zip(ids, free, strict=True)
            if old != new
        )
    return concat([footprints, mesh.replace_tables(**kept)], name=footprints.name)


def _free(name: str, taken: set[str]) -> str:
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def filled(
    city: City, mesh: City, footprints: City, type: str, source: MeshArrays, plots: Footprints, made: Cut, pieces: Pieces,
    issues: list[dict[str, Any]],
) -> City:  # fmt: skip
    """Return the city with the pieces, the rest of the meshes, looks, figures, attributes, matches and issues."""
    from cim.model.derive import boxes_of
    from cim.model.keys import next_geometry

    offset = {name: _next_key(footprints, name) for name in ("objects", "sources", "materials", "textures")}
    buildings = len(plots.keys)
    row = source.row[made.source]
    group = np.where(made.polygon >= 0, made.polygon, buildings + row)
    parts = parts_of(made, pieces.closing, group)
    mesh_owner = np.asarray(source.geometries["object"].to_numpy(), np.int64) + offset["objects"]
    owner = np.concatenate([plots.keys, mesh_owner])
    first = _first_row(made.polygon, row, buildings)
    lods, sources = source.geometries["lod"].to_pylist(), source.geometries["source"].to_pylist()
    rows = [*first.tolist(), *range(source.geometries.num_rows)]
    number = [None if sources[r] is None else sources[r] + offset["sources"] for r in rows]
    solid = np.concatenate([pieces.closed, np.zeros(source.geometries.num_rows, bool)])
    moved = replace(parts, points=parts.points + (mesh.origin - footprints.origin))
    geometries, _ = geometry_rows(moved, owner, [lods[r] for r in rows], number, solid, next_geometry(city.tables))
    geometries, surfaces = surface_rows(parts, made, source, geometries)
    looks = [
        replace(
            look,
            material=np.where(look.material >= 0, look.material + offset["materials"], -1),
            texture=np.where(look.texture >= 0, look.texture + offset["textures"], -1),
        )
        for look in source.looks
    ]
    appearances = appearance_rows(parts, made, replace(source, looks=looks), geometries)
    figures = property_rows(plots.keys, pieces.figures)
    totals = _mesh_figures(made, source, row)
    names, per_object = np.unique(mesh_owner, return_inverse=True)
    summed = {name: np.bincount(per_object, values, len(names)) for name, values in totals.items()}
    whole = {name: values if name.startswith("area") else values.astype(np.int64) for name, values in summed.items()}
    about_meshes = property_rows(names, {name: values.tolist() for name, values in whole.items()})
    added = {
        "geometries": geometries,
        "surfaces": surfaces,
        "appearances": appearances,
        "properties": pa.concat_tables([make_table("properties", one, len(one["object"])) for one in (figures, about_meshes)]),
        "matches": _matches(city, made, row, plots, mesh_owner, number[buildings:]),
    }
    tables = {name: pa.concat_tables([city.tables[name], table]).combine_chunks() for name, table in added.items()}
    objects = boxes_of(city.tables["objects"], geometries, SCHEMAS["templates"].empty_table(), footprints.origin)
    done = city.replace_tables(objects=objects, **tables).with_issues([*issues, *pieces.issues])
    done = with_piece_attributes(done, type, plots.keys, pieces.figures, number[:buildings])
    return with_rest_attributes(done, mesh_owner, number[buildings:], made, source)


def _next_key(city: City, table: str) -> int:
    """Return what `concat` adds to the keys of the city after this one."""
    keys = city.tables[table]["key"]
    return int(np.max(keys.to_numpy())) + 1 if len(keys) else 0


def _first_row(polygon: Ints, row: Ints, buildings: int) -> Ints:
    """Return, for each building, the mesh its first triangle is from; 0 where it has none."""
    first = np.zeros(buildings, np.int64)
    mine = np.flatnonzero(polygon >= 0)[::-1]
    first[polygon[mine]] = row[mine]
    return first


def _mesh_figures(made: Cut, source: MeshArrays, row: Ints) -> dict[str, Floats]:
    """Return the figures of each mesh geometry."""
    count = source.geometries.num_rows
    area = area_of(made.points, made.triangles)
    mine = made.polygon >= 0
    sound = np.delete(np.arange(len(source.triangles)), made.rejected)
    parts = np.unique(made.source[made.unchanged :])
    area_in = area_of(source.points, source.triangles[sound])
    found: dict[str, Any] = {
        "triangles_in": np.bincount(source.row, minlength=count),
        "triangles_changed": np.bincount(source.row[parts], minlength=count),
        "triangles_rejected": np.bincount(source.row[made.rejected], minlength=count),
        "triangles_assigned": np.bincount(row[mine], minlength=count),
        "triangles_left": np.bincount(row[~mine], minlength=count),
        "area_in": np.bincount(source.row[sound], area_in, count),
        "area_assigned": np.bincount(row[mine], area[mine], count),
        "area_left": np.bincount(row[~mine], area[~mine], count),
    }
    return found


def _matches(city: City, made: Cut, row: Ints, plots: Footprints, mesh_owner: Ints, sources: list[int | None]) -> pa.Table:
    """Return which mesh each building is a part of."""
    mine = made.polygon >= 0
    pairs = np.unique(made.polygon[mine] * max(len(mesh_owner), 1) + row[mine])
    building, mesh = pairs // max(len(mesh_owner), 1), pairs % max(len(mesh_owner), 1)
    names = city.ids(mesh_owner[mesh])
    source = pa.array([sources[m] for m in mesh.tolist()], pa.int64())
    return make_table("matches", {"object": plots.keys[building], "source": source, "record": names, "kind": "part"}, len(pairs))
