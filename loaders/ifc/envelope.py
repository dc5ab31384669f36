"""What a building is seen from outside, derived from its elements: footprint, heights, LoD 0 to 2; and the same for storeys.

Nothing is invented: where the elements do not carry a level of detail it is left out, and that is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.ifc.geometry import footprints_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.loaders.ifc.geometry import Placed
    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.tree import Tree
    from cim.model import CityBuilder

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Outside", "look_from_outside", "write_outside"]

_BUILDINGS = frozenset({"Building", "BuildingPart"})
_ELEMENTS = frozenset({"BuildingConstructiveElement"})
_OPENINGS = frozenset({"Door", "Window"})
_INDOORS = frozenset({"BuildingConstructiveElement", "BuildingInstallation", "BuildingFurniture", "Door", "Window"})
_FLOORS = frozenset({"IfcSlab", "IfcSlabStandardCase", "IfcSlabElementedCase"})
_WALLS = frozenset({"IfcWall", "IfcWallStandardCase", "IfcWallElementedCase", "IfcCurtainWall", "IfcPlate"})
_TOPS = _FLOORS | _WALLS | {"IfcRoof", "IfcBeam", "IfcMember", "IfcCovering", "IfcColumn"}
_COVERS = frozenset({"IfcRoof", "IfcCovering", "IfcPlate"})
_HEADROOM, _COVERED = 1.5, 0.2  # m and share of a slab: what has less above it than this is no floor of a room
_GRID = 1e-5  # m: corners of slabs that lie closer are one
_SMALL = 0.5  # share of the extent of all elements that the slabs must reach to stand for the building
_SHARE = 0.5  # share of the elements that must have a shape where no slabs show the outline
_REACH = 0.75  # m: how far a facade may stand off the outline of the slabs
_STEP = 1.0  # m: how far inside and outside of a wall one looks


@dataclass
class Outside:
    """Footprint and heights of every object, and the surfaces of the buildings."""

    footprint: NDArray[Any]
    """Shape (n,): shapely, None without any."""
    ground: Reals
    """Shape (n,): z_ground [m], NaN without any."""
    roof: Reals
    """Shape (n,): z_roof [m], NaN without any."""
    shells: list[tuple[int, Reals, list[str]]] = field(default_factory=list)
    """Row of a building, triangles of its LoD2 surfaces (m, 3, 3) [m], and the class of each."""


def look_from_outside(tree: Tree, uses: Placed, levels: Reals, notes: Notes) -> Outside:
    """Return footprints and heights.

    Parameters
    ----------
    levels : shape (n,)
        Height of the placement of each storey in the city [m], NaN for everything else.
    """
    count = len(tree.steps)
    out = Outside(np.full(count, None, object), np.full(count, np.nan), np.full(count, np.nan))
    types = np.array(tree.types, object)
    _own(out, uses, np.flatnonzero(~np.isin(types[uses.row], list(_INDOORS))))
    members = _members(tree)
    buildings = np.flatnonzero(np.isin(types, list(_BUILDINGS))).tolist()
    outdoors = np.zeros(len(uses.row), bool)
    for row in buildings:
        outdoors |= _terraces(tree, uses, row)
    for row in np.flatnonzero(types == "BuildingStorey").tolist():
        _storey(out, tree, uses, row, members.get(row, []), levels, outdoors)
    _storey_tops(out, tree, levels)
    for row in buildings:
        _building(out, tree, uses, row, levels, outdoors, notes)
    return out


def _members(tree: Tree) -> dict[int, list[int]]:
    """Return the rows that stand under each storey, parts of parts included."""
    found: dict[int, list[int]] = {}
    for row in range(len(tree.steps)):
        storey = tree.ancestor(row, frozenset({"BuildingStorey"}))
        if storey >= 0:
            found.setdefault(storey, []).append(row)
    return found


def _own(out: Outside, uses: Placed, chosen: Ints) -> None:
    """Give objects the footprint and heights of their own shapes."""
    made = footprints_of(uses, chosen)
    for use, polygon in zip(chosen.tolist(), made, strict=True):
        row = int(uses.row[use])
        out.footprint[row] = polygon
        out.ground[row], out.roof[row] = uses.low[use, 2], uses.high[use, 2]


def _united(uses: Placed, chosen: Ints) -> Any:
    """Return the union of what some uses cover, None without any."""
    import shapely

    if not len(chosen):
        return None
    found = [one for one in footprints_of(uses, chosen) if one is not None]
    if not found:
        return None
    middle = np.asarray(found[0].bounds[:2])
    near = shapely.transform(np.asarray(found, object), lambda xy: xy - middle)
    merged = shapely.union_all(shapely.make_valid(near), grid_size=_GRID)
    parts = [part for part in shapely.get_parts(merged) if part.geom_type == "Polygon" and part.area > _GRID]
    if not parts:
        return None
    return shapely.transform(parts[0] if len(parts) == 1 else shapely.multipolygons(parts), lambda xy: xy + middle)


def _uses_of(uses: Placed, rows: Sequence[int]) -> Ints:
    return np.flatnonzero(np.isin(uses.row, np.asarray(rows, np.int64)))


def _storey(out: Outside, tree: Tree, uses: Placed, row: int, members: list[int], levels: Reals, outdoors: NDArray[np.bool_]) -> None:
    floors = [one for one in members if tree.kinds[one] in _FLOORS and (tree.predefined[one] or "") != "ROOF"]
    rooms = [one for one in members if tree.types[one] == "BuildingRoom"]
    chosen = _uses_of(uses, floors)
    made = _united(uses, chosen[~outdoors[chosen]])
    out.footprint[row] = made if made is not None else _united(uses, _uses_of(uses, rooms))
    out.ground[row] = levels[row]


def _storey_tops(out: Outside, tree: Tree, levels: Reals) -> None:
    """Let every storey end where the next one of its building begins."""
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(np.isfinite(levels)).tolist():
        groups.setdefault(tree.parent[row], []).append(row)
    for rows in groups.values():
        heights = np.unique(levels[rows])
        for row in rows:
            above = heights[heights > levels[row] + 1e-6]
            out.roof[row] = above[0] if len(above) else np.nan


def _building(out: Outside, tree: Tree, uses: Placed, row: int, levels: Reals, outdoors: NDArray[np.bool_], notes: Notes) -> None:
    own = [one for one in range(len(tree.steps)) if one != row and tree.ancestor(one, _BUILDINGS) == row]
    elements = [one for one in own if tree.types[one] in _ELEMENTS]
    step = tree.steps[row]
    chosen = _uses_of(uses, elements)
    if not len(chosen):
        why = (
            "only doors and windows"
            if len(_uses_of(uses, [one for one in own if tree.types[one] in _OPENINGS]))
            else "no shapes of elements"
        )
        notes.add("empty", f"the building has {why}; its footprint and LoD 0-2 are not derived", severity="info", entity=step)
        return
    able = [one for one in elements if getattr(tree.entities[one], "Representation", None) is not None]
    polygon, basis = _outline(tree, uses, elements, chosen, outdoors)
    if polygon is None or (basis.startswith("all") and len(chosen) < _SHARE * len(able)):
        shown = len(np.unique(uses.row[chosen]))
        message = f"{shown} of the {len(able)} elements of the building have a shape, too few to derive its footprint and LoD 0-2"
        notes.add("empty", message, severity="info", entity=step)
        return
    tops = _uses_of(uses, [one for one in elements if tree.kinds[one] in _TOPS])
    lowest = float(np.nanmin(uses.low[chosen, 2]))
    highest = float(np.nanmax(uses.high[tops if len(tops) else chosen, 2]))
    ground, told = _ground(tree, own, row, levels, lowest)
    out.footprint[row], out.ground[row], out.roof[row] = polygon, ground, highest
    message = f"footprint from {basis}; {told}; roof is the highest point of roofs, walls and slabs, {highest:.2f} m"
    notes.add("assumed", message, severity="info", entity=step)
    _shell(out, tree, uses, row, elements, notes)


def _outline(tree: Tree, uses: Placed, elements: list[int], chosen: Ints, outdoors: NDArray[np.bool_]) -> tuple[Any, str]:
    floors = _uses_of(uses, [one for one in elements if tree.kinds[one] in _FLOORS])
    terraces = outdoors[floors]
    apart = f" without {int(terraces.sum())} with nothing above them (terraces, paths)" if terraces.any() else ""
    floors = floors[~terraces]
    polygon = _united(uses, floors)
    if polygon is not None:
        box = polygon.bounds
        size = (box[2] - box[0]) * (box[3] - box[1])
        extent = np.nanmax(uses.high[chosen, :2], axis=0) - np.nanmin(uses.low[chosen, :2], axis=0)
        if size >= _SMALL * float(extent[0] * extent[1]):
            return polygon, f"{len(floors)} slabs seen from above{apart}"
    return _united(uses, chosen), f"all {len(chosen)} elements seen from above (the slabs do not cover the building)"


def _terraces(tree: Tree, uses: Placed, row: int) -> NDArray[np.bool_]:
    """Return which uses are slabs of a building at the ground with no floor or roof above them, where others have one."""
    import shapely

    own = [one for one in range(len(tree.steps)) if one != row and tree.ancestor(one, _BUILDINGS) == row]
    floors = _uses_of(uses, [one for one in own if tree.kinds[one] in _FLOORS])
    covers = _uses_of(uses, [one for one in own if tree.kinds[one] in _FLOORS | _COVERS])
    outdoors = np.zeros(len(uses.row), bool)
    shapes = footprints_of(uses, floors)
    roofs = shapely.make_valid(footprints_of(uses, covers))
    share = np.zeros(len(floors))
    for at, (use, shape) in enumerate(zip(floors.tolist(), shapes, strict=True)):  # a building has some dozens
        if shape is None or not shape.area > 0:
            continue
        above = roofs[uses.low[covers, 2] > uses.high[use, 2] + _HEADROOM]
        share[at] = shapely.union_all(shapely.intersection(shapely.make_valid(shape), above[~shapely.is_missing(above)])).area / shape.area
    covered = share > _COVERED
    if covered.any():
        low = uses.high[floors, 2] <= uses.high[floors[covered], 2].min() + _HEADROOM
        outdoors[floors[~covered & low]] = True
    return outdoors


def _ground(tree: Tree, own: list[int], row: int, levels: Reals, lowest: float) -> tuple[float, str]:
    """Return the ground: the level of the lowest storey that its own elevation does not put below zero, or the lowest point."""
    found = [one for one in own if np.isfinite(levels[one]) and float(getattr(tree.entities[one], "Elevation", None) or 0.0) > -1e-3]
    if found:
        first = min(found, key=lambda one: levels[one])
        if levels[first] > lowest:
            name = tree.names[first] or tree.ids[first]
            return float(levels[first]), f"ground is the level of storey {name!r}, {levels[first]:.2f} m (lowest point {lowest:.2f} m)"
    del row
    return lowest, f"ground is the lowest point, {lowest:.2f} m"


# ---------------------------------------------------------------------------------------------- LoD2


def _shell(out: Outside, tree: Tree, uses: Placed, row: int, elements: list[int], notes: Notes) -> None:
    """Collect roof, wall and ground surfaces from the outer faces of the elements."""
    roofs, walls = _roof_elements(tree, uses, elements), [one for one in elements if tree.kinds[one] in _WALLS]
    parts = [
        ("RoofSurface", _faces(uses, roofs, lambda n, _: n[:, 2] > 0.1)),
        ("WallSurface", _faces(uses, walls, lambda n, c: (np.abs(n[:, 2]) < 0.1) & _outer(n, c, out.footprint[row]))),
        ("GroundSurface", _faces(uses, _lowest_floors(tree, uses, elements), lambda n, _: n[:, 2] < -0.1)),
    ]
    missing = [name for name, faces in parts if not len(faces)]
    if missing:
        message = f"LoD2 is not derived: no outer faces found for {', '.join(missing)}"
        notes.add("empty", message, severity="info", entity=tree.steps[row])
        return
    triangles = np.concatenate([faces for _, faces in parts])
    out.shells.append((row, triangles, [name for name, faces in parts for _ in range(len(faces))]))
    message = "LoD2 is the outer faces of roofs, walls and lowest slabs as they stand: a MultiSurface, not a closed solid"
    notes.add("assumed", message, severity="info", entity=tree.steps[row])


def _roof_elements(tree: Tree, uses: Placed, elements: list[int]) -> list[int]:
    roofs = [one for one in elements if tree.kinds[one] == "IfcRoof" or (tree.predefined[one] or "") == "ROOF"]
    roofs += [one for one in elements if tree.parent[one] in set(roofs) and one not in roofs]
    if len(_uses_of(uses, roofs)):
        return roofs
    floors = [one for one in elements if tree.kinds[one] in _FLOORS]
    mine = _uses_of(uses, floors)
    if not len(mine):
        return []
    top = np.nanmax(uses.high[mine, 2])
    return [int(uses.row[use]) for use in mine.tolist() if uses.high[use, 2] > top - 0.3]


def _lowest_floors(tree: Tree, uses: Placed, elements: list[int]) -> list[int]:
    mine = _uses_of(uses, [one for one in elements if tree.kinds[one] in _FLOORS])
    if not len(mine):
        return []
    bottom = np.nanmin(uses.low[mine, 2])
    return [int(uses.row[use]) for use in mine.tolist() if uses.low[use, 2] < bottom + 0.3]


def _faces(uses: Placed, rows: list[int], wanted: Any) -> Reals:
    """Return the triangles of some objects whose normals and centres are wanted, shape (m, 3, 3) [m]."""
    corners = [uses.points(use)[uses.triangles(use)] for use in _uses_of(uses, rows).tolist()]
    if not corners:
        return np.zeros((0, 3, 3))
    faces = np.concatenate(corners)
    normal = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    length = np.linalg.norm(normal, axis=1)
    faces, normal = faces[length > 1e-9], normal[length > 1e-9] / length[length > 1e-9, None]
    result: Reals = faces[wanted(normal, faces.mean(axis=1))]
    return result


def _outer(normal: Reals, centre: Reals, footprint: Any) -> NDArray[np.bool_]:
    """Return which faces look out of the footprint and stand at its edge."""
    import shapely

    shapely.prepare(footprint)
    flat = normal[:, :2] / np.maximum(np.linalg.norm(normal[:, :2], axis=1), 1e-9)[:, None]
    inside = shapely.contains_xy(footprint, *(centre[:, :2] - _STEP * flat).T)
    outside = ~shapely.contains_xy(footprint, *(centre[:, :2] + _STEP * flat).T)
    near = shapely.distance(footprint.boundary, shapely.points(centre[:, :2])) < _REACH
    result: NDArray[np.bool_] = inside & outside & near
    return result


# --------------------------------------------------------------------------------------------- write


def write_outside(builder: CityBuilder, tree: Tree, out: Outside, keys: Ints, source: int) -> None:
    """Write LoD 0, 1 and 2 of the buildings, and LoD 0 of the storeys."""
    types = np.array(tree.types, object)
    polygon = np.array([one is not None for one in out.footprint], bool)
    flat = np.flatnonzero(polygon & np.isin(types, [*_BUILDINGS, "BuildingStorey"]) & np.isfinite(out.ground))
    _write_flat(builder, out, flat, keys, source)
    blocks = flat[np.isin(types[flat], list(_BUILDINGS))]
    _write_blocks(builder, out, blocks, keys, source)
    _write_shells(builder, out, keys, source)


def _write_flat(builder: CityBuilder, out: Outside, rows: Ints, keys: Ints, source: int) -> None:
    import shapely

    from cim.model.geometry import boundaries_from, vertices_from

    if not len(rows):
        return
    parts, part_row = shapely.get_parts(shapely.orient_polygons(out.footprint[rows]), return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    keep = np.concatenate([ring[1:] == ring[:-1], [False]])
    xy, ring = xy[keep], ring[keep]
    geometry = part_row[ring_part[ring]]
    points = np.column_stack([xy, out.ground[rows][geometry]])
    size = np.bincount(geometry, minlength=len(rows))
    local = np.arange(len(xy)) - np.concatenate([[0], np.cumsum(size)[:-1]])[geometry]
    one = np.ones(len(rows), np.int64)
    boundaries = boundaries_from(local, np.bincount(ring, minlength=len(rings)), np.bincount(ring_part, minlength=len(parts)),
                                 np.bincount(part_row, minlength=len(rows)), one, one)  # fmt: skip
    text = [pa.array([value] * len(rows)) for value in ("0", "footprint", "MultiSurface")]
    builder.add_geometries(keys[rows], lod=text[0], role=text[1], type=text[2], vertices=vertices_from(points, size), boundaries=boundaries,
                           source=source)  # fmt: skip


def _write_blocks(builder: CityBuilder, out: Outside, rows: Ints, keys: Ints, source: int) -> None:
    from cim.model.geometry import extrude

    made = extrude(out.footprint[rows], out.ground[rows], out.roof[rows])
    count = len(made.row)
    if not count:
        return
    gkeys = builder.add_geometries(
        keys[rows[made.row]], lod=pa.array(["1"] * count), role=pa.array(["solid"] * count), type=pa.array(made.type),
        vertices=made.vertices, boundaries=made.boundaries, semantics=made.semantics, source=source,
    )  # fmt: skip
    builder.add_surfaces(np.repeat(gkeys, 3), np.tile(np.arange(3, dtype=np.int32), count), pa.array(list(made.SURFACES) * count))


def _write_shells(builder: CityBuilder, out: Outside, keys: Ints, source: int) -> None:
    from cim.model.geometry import mesh_columns

    for row, triangles, classes in out.shells:
        points, corner = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
        vertices, boundaries = mesh_columns(points, corner.reshape(-1, 3))
        names = list(dict.fromkeys(classes))
        semantics = pa.array([[names.index(one) for one in classes]], pa.list_(pa.int32()))
        gkey = builder.add_geometries(keys[[row]], lod=pa.array(["2"]), role=pa.array(["multi_surface"]), type=pa.array(["MultiSurface"]),
                                      vertices=vertices, boundaries=boundaries, semantics=semantics, source=source)  # fmt: skip
        builder.add_surfaces(np.repeat(gkey, len(names)), np.arange(len(names), dtype=np.int32), pa.array(names))
