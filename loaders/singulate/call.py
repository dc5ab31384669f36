"""`singulate`: 单体化, a mesh of everything cut into one model per building, as a city that keeps the buildings' ids and attributes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSMismatchError, UsageError
from cim.loaders.singulate.arrays import MeshArrays, mesh_arrays
from cim.loaders.singulate.assemble import Parts, appearance_rows, geometry_rows, parts_of, surface_rows
from cim.loaders.singulate.close import MIRROR_LID, PLAIN_LID, Closing, close_pieces, lid_heights, open_edges, signed_volume
from cim.loaders.singulate.cut import Cut, area_of, cut
from cim.loaders.singulate.footprints import Footprints, footprints_of
from cim.loaders.singulate.ground import ground_under
from cim.loaders.singulate.report import property_rows
from cim.model.schema import SCHEMAS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Lid = Literal["terrain", "lowest"]

__all__ = ["singulate"]

COVERED = 0.999
"""A mesh that covers less than this part of a footprint is named."""


def singulate(
    mesh: City, footprints: City, terrain: City | None = None, *, type: str = "Building", wall_tolerance: float = 0.1,
    tile: int = 500_000, close: bool = True, lid: Lid = "terrain",
) -> City:  # fmt: skip
    """Cut the meshes of a city at the wall planes of footprints into one model per building.

    Parameters
    ----------
    mesh
        City whose geometries with the role ``"mesh"`` are cut.
    footprints
        City whose objects of class `type` have footprints; its objects stay as they are and gain their piece.
    terrain
        City with a raster of the bare ground in the same system, on which the lids lie.
    type
        Class of the objects to cut out.
    wall_tolerance
        Steep triangles (more than 60 degrees) that lie outside a footprint, but all within this distance [m], belong to it.
    tile
        Triangles worked on together; bounds the memory, does not change the result.
    close
        Close the pieces by walls at their open edges and a lid. Otherwise the open edges are counted.
    lid
        ``"terrain"``: the lid follows the ground. ``"lowest"``: flat at the lowest ground along the open edges of the piece. Where no
        terrain is known both are flat at the lowest open corner of the piece. Which it was stands in the properties of each building.

    Returns
    -------
    City
        The objects of `footprints`, then those of `mesh` with the triangles that are left over. Pieces are ``Solid`` when closed,
        else ``MultiSurface``; semantics, materials and textures are those of the mesh, added faces are ``ClosureSurface`` (walls) and
        ``GroundSurface`` (lid). Figures stand in the property set ``singulate``: see `singulation_report`.

    Raises
    ------
    UsageError
        If there is no mesh, no object of the class, or an option makes no sense.
    CRSMismatchError
        If the coordinate systems do not agree.

    Notes
    -----
    Every triangle is in exactly one part of the result or is named as rejected. A building without triangles is named ``unmatched``.
    Along an edge that runs in the same direction twice the faces of the source contradict each other: such a piece stays open.
    """
    from cim.progress import track

    if lid not in {"terrain", "lowest"}:
        msg = f"lid is {lid!r}, expected 'terrain' or 'lowest'"
        raise UsageError(msg)
    footprints.require_type(type)
    crs, issues = _common_crs(mesh, footprints)
    source = mesh_arrays(mesh)
    plots = footprints_of(footprints, type, mesh.origin)
    with track(total=2 * len(source.triangles), label="singulate", unit="triangles") as work:
        made = cut(
            source.points, source.triangles, plots.shapes, wall_tolerance=wall_tolerance, tile=tile, advance=work.advance
        )
    pieces = _pieces(made, source, plots, mesh, terrain, close=close, lid=lid)
    city = _joined(replace(mesh, crs=crs), replace(footprints, crs=crs), source, issues)
    return _filled(city, mesh, footprints, source, plots, made, pieces, issues)


def _common_crs(mesh: City, footprints: City) -> tuple[CityCRS, list[dict[str, Any]]]:
    """Return the coordinate system of the result."""
    a, b = mesh.crs, footprints.crs
    if not (a.is_projected or a.is_local):
        msg = f"the mesh is in {a.to_string()}, degrees; bring it to a projected system in metres first"
        raise UsageError(msg)
    if not a.same_horizontal(b) or (a.vertical is not None and b.vertical is not None and not a.same_vertical(b)):
        raise CRSMismatchError(
            mesh.name or "mesh", f"it is in {a.to_string()}, the footprints in {b.to_string()}", "bring both to one CRS first"
        )
    if a.vertical is None and b.vertical is not None:
        return b, [{"code": "assumed", "message": f"heights of the mesh {mesh.name!r} have no system; taken as {b.to_string()}"}]
    return a, []


# ---------------------------------------------------------------- the pieces


@dataclass(frozen=True)
class _Pieces:
    """The pieces of the buildings, and what is known about them."""

    closing: Closing | None
    closed: NDArray[np.bool_]
    """Shape (p,)."""
    figures: dict[str, Any]
    """Columns of properties, one value per building."""
    issues: list[dict[str, Any]]


def _pieces(
    made: Cut, source: MeshArrays, plots: Footprints, mesh: City, terrain: City | None, *, close: bool, lid: Lid
) -> _Pieces:
    """Close the pieces and measure them."""
    count = len(plots.keys)
    mine = made.polygon >= 0
    triangles, piece = made.triangles[mine], made.polygon[mine]
    edges = open_edges(triangles, piece, len(made.points))
    ground = _ground(terrain, mesh, made.points, triangles) if terrain is not None else None
    sound = _one_sided(edges, count)
    closing = None
    closed = sound & (np.bincount(edges[0], minlength=count) == 0) & (np.bincount(piece, minlength=count) > 0)
    every, every_piece, points = triangles, piece, made.points
    flat = lid_heights(made.points, edges, count, ground)
    if close:
        able = sound[piece]
        closing = close_pieces(made.points, triangles[able], piece[able], count, flat, ground if lid == "terrain" else None)
        every, every_piece = np.concatenate([triangles, closing.triangles]), np.concatenate([piece, closing.piece])
        points = np.concatenate([made.points, closing.points])
        left = np.bincount(open_edges(every, every_piece, len(points))[0], minlength=count)
        closed = sound & (left == 0) & (np.bincount(piece, minlength=count) > 0)
    figures = _figures(made, mine, plots, edges, _lid_names(closing, ground, flat, lid, count))
    volume = signed_volume(points, every, every_piece, count)
    figures |= {"closed": [bool(c) if t else None for c, t in zip(closed.tolist(), figures["triangles"], strict=True)]}
    figures |= {"volume": np.where(closed, volume, np.nan).tolist()}
    issues = [*plots.issues, *_piece_issues(plots, figures, sound, close=close), *_ground_issues(made.points, edges, ground)]
    return _Pieces(closing, closed, figures, issues + _mesh_issues(made, source))


def _ground(terrain: City, mesh: City, points: Floats, triangles: Ints) -> Floats:
    """Return the ground under the corners of the pieces, NaN elsewhere."""
    used = np.unique(triangles)
    ground = np.full(len(points), np.nan)
    if len(used):
        ground[used] = ground_under(terrain, mesh, points[used, :2] + mesh.origin[:2]) - mesh.origin[2]
    return ground


def _one_sided(edges: tuple[Ints, Ints, Ints], count: int) -> NDArray[np.bool_]:
    """Say which pieces have no edge that two triangles run along in the same way."""
    owner, start, end = edges
    order = np.lexsort((end, start, owner))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in (owner, start, end):
        same &= column[order][1:] == column[order][:-1]
    sound = np.ones(count, bool)
    sound[owner[order][1:][same]] = False
    return sound


def _figures(made: Cut, mine: NDArray[np.bool_], plots: Footprints, edges: tuple[Ints, Ints, Ints], lids: list[str | None]) -> dict[str, Any]:
    """Return triangles, areas and openings of each building."""
    import shapely

    count = len(plots.keys)
    piece = made.polygon[mine]
    area = area_of(made.points, made.triangles[mine])
    corner = made.points[made.triangles[mine]]
    u, v = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    plan_area = np.where(made.by_tolerance[mine], 0.0, (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2)
    plan = np.bincount(piece, plan_area, count)
    wanted = shapely.area(np.where(shapely.is_missing(plots.shapes), shapely.Polygon(), plots.shapes))
    border = open_edges(made.triangles, np.zeros(len(made.triangles), np.int64), len(made.points))
    key = np.unique(border[1] * len(made.points) + border[2])
    of_mesh = np.isin(edges[1] * len(made.points) + edges[2], key)
    with np.errstate(invalid="ignore", divide="ignore"):
        covered = plan / wanted
    return {
        "triangles": np.bincount(piece, minlength=count).tolist(),
        "area": np.bincount(piece, area, count).tolist(),
        "area_by_wall_tolerance": np.bincount(piece, np.where(made.by_tolerance[mine], area, 0.0), count).tolist(),
        "covered": covered.tolist(),
        "open_edges": np.bincount(edges[0], minlength=count).tolist(),
        "open_edges_of_the_mesh": np.bincount(edges[0][of_mesh], minlength=count).tolist(),
        "lid": lids,
    }


def _lid_names(closing: Closing | None, ground: Floats | None, flat: Floats, lid: Lid, count: int) -> list[str | None]:
    """Say how each piece was closed: the kind of lid, and where it lies."""
    if closing is None:
        return [None] * count
    if ground is None:
        where = "at the lowest open corner"
    else:
        where = "on the terrain" if lid == "terrain" else "at the lowest terrain of the ring"
    kinds = {PLAIN_LID: f"plain, {where}", MIRROR_LID: f"mirror, {where}"}
    return [kinds.get(kind, "none needed") if np.isfinite(z) else None for kind, z in zip(closing.lid.tolist(), flat, strict=True)]


# ---------------------------------------------------------------- issues


def _piece_issues(plots: Footprints, figures: dict[str, Any], sound: NDArray[np.bool_], *, close: bool) -> list[dict[str, Any]]:
    """Name the buildings without triangles, those the mesh covers in part, and pieces that stay open."""
    issues: list[dict[str, Any]] = []

    def tell(code: str, row: int, message: str, count: int = 1) -> None:
        issues.append({"code": code, "object": int(plots.keys[row]), "record": plots.ids[row], "message": message, "count": count})

    for row, name in enumerate(plots.ids):
        if plots.shapes[row] is None:
            continue
        triangles, covered, opened = figures["triangles"][row], figures["covered"][row], figures["open_edges"][row]
        gaps = figures["open_edges_of_the_mesh"][row]
        if not triangles:
            tell("unmatched", row, f"no triangle of the mesh lies over the footprint of {name}")
            continue
        if covered < COVERED:
            tell("invalid", row, f"the mesh covers {covered:.1%} of the footprint of {name}; the piece ends where the mesh does")
        if gaps:
            then = "walls to the ground close them" if close and sound[row] else "they stay open"
            tell("invalid", row, f"{gaps} edges of {name} are open in the mesh itself (its border or a hole); {then}", gaps)
        if not sound[row]:
            tell("invalid", row, f"faces of {name} contradict each other along edges; the piece is not closed, {opened} open edges", opened)
    if not close:
        count = sum(1 for number in figures["open_edges"] if number)
        if count:
            issues.append({"code": "lost", "severity": "info", "message": f"{count} pieces were left open as asked", "count": count})
    return issues


def _ground_issues(points: Floats, edges: tuple[Ints, Ints, Ints], ground: Floats | None) -> list[dict[str, Any]]:
    """Say where lids had to do without terrain, and where the terrain is above the mesh."""
    corners = np.unique(edges[1])
    if ground is None:
        if not len(corners):
            return []
        message = "no terrain was given; lids lie at the lowest open corner of each piece"
        return [{"code": "assumed", "severity": "info", "message": message}]
    issues: list[dict[str, Any]] = []
    unknown, above = int(np.isnan(ground[corners]).sum()), int((ground[corners] > points[corners, 2]).sum())
    if unknown:
        message = f"the terrain is not known under {unknown} open corners; lids lie at the height of the ring's lowest there"
        issues.append({"code": "assumed", "message": message, "count": unknown})
    if above:
        message = f"the terrain lies above the mesh at {above} open corners; walls run upwards there"
        issues.append({"code": "conflict", "severity": "info", "message": message, "count": above})
    return issues


def _mesh_issues(made: Cut, source: MeshArrays) -> list[dict[str, Any]]:
    """Name what of the mesh cannot be used, or looks odd."""
    issues: list[dict[str, Any]] = []
    if len(made.rejected):
        message = f"{len(made.rejected)} triangles have a corner that is not finite; they are in no part of the result"
        issues.append({"code": "rejected", "message": message, "count": len(made.rejected)})
    if source.failed:
        message = f"{source.failed} surfaces of the mesh have fewer than three different corners and no triangle"
        issues.append({"code": "invalid", "severity": "info", "message": message, "count": source.failed})
    flat = int((area_of(source.points, np.delete(source.triangles, made.rejected, axis=0)) == 0.0).sum())
    if flat:
        message = f"{flat} triangles of the mesh have no area; one that a wall plane meets may vanish"
        issues.append({"code": "invalid", "severity": "info", "message": message, "count": flat})
    if source.surfaces.num_rows and source.surfaces["parent"].null_count < source.surfaces.num_rows:
        lost = source.surfaces.num_rows - source.surfaces["parent"].null_count
        issues.append({"code": "lost", "message": "surfaces inside other surfaces no longer name these", "count": lost})
    return issues


# ---------------------------------------------------------------- the city


def _joined(mesh: City, footprints: City, source: MeshArrays, issues: list[dict[str, Any]]) -> City:
    """Return both cities in one, the meshes without the geometry that was cut; ids that occur in both are changed in the mesh."""
    from cim.model.combine import concat

    gone = source.geometries["key"].combine_chunks()
    kept = {
        name: mesh.tables[name].filter(pc.invert(pc.is_in(mesh.tables[name][column], gone)))
        for name, column in (("geometries", "key"), ("surfaces", "geometry"), ("appearances", "geometry"))
    }
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


def _filled(
    city: City, mesh: City, footprints: City, source: MeshArrays, plots: Footprints, made: Cut, pieces: _Pieces,
    issues: list[dict[str, Any]],
) -> City:  # fmt: skip
    """Return the city with the pieces, the rest of the meshes, looks, figures, matches and issues."""
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
    return city.replace_tables(objects=objects, **tables).with_issues([*issues, *pieces.issues])


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
    return make_table(
        "matches", {"object": plots.keys[building], "source": source, "record": names, "kind": "part"}, len(pairs)
    )
