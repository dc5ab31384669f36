"""The office written as IFC4 with ifcopenshell: millimetres, a map conversion, property sets, rooms, doors, windows, ducts and pipes.

The site's latitude and longitude are those of the building rounded to whole minutes, as many programs write them: half a mile off.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from cim.demo.files import CRS, VERTICAL
from cim.demo.ifc_author import MM, Author, box_of, outline, painted, shape_of, swept
from cim.demo.office import INNER, OUTER, PARAPET, SLAB
from cim.demo.plan import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from cim.demo.office import Hole, Office, Storey, Wall

__all__ = ["write_office"]

_WHEN = "2026-01-01T00:00:00"
_SECONDS = 1767225600  # the same moment, for the owner history
_HEAD = 2.6
"""Height of ducts over the floor [m]."""


def write_office(office: Office, ground: float, path: Path) -> Path:
    """Write the office as an IFC file; the same bytes for the same release of ifcopenshell.

    Parameters
    ----------
    ground
        Elevation of the foot of the building [m above the 1985 datum].
    """
    model = _started(office, ground)
    site, building = _site(model, office, ground)
    storeys = [_storey(model, office, one, building) for one in office.storeys]
    model.make("IfcRelAggregates", "storeys", None, None, building, storeys)
    _roof(model, office, storeys[-1])
    _pipes(model, office, storeys)
    _property_sets(model, office, building)
    del site
    path.write_text(model.file.to_string(), encoding="utf-8")
    return path


# ---------------------------------------------------------------- project, place


def _started(office: Office, ground: float) -> Author:
    """Return an empty project in millimetres with its place on the map."""
    import ifcopenshell

    file = ifcopenshell.file(schema="IFC4")
    name = file.header.file_name
    name.name, name.time_stamp, name.author, name.organization = "office.ifc", _WHEN, ("CIM toolkit demo",), ("made by code",)
    name.preprocessor_version, name.originating_system, name.authorization = "ifcopenshell", "CIM toolkit demo", "none"
    person = file.createIfcPersonAndOrganization(file.createIfcPerson(None, "Demo"), file.createIfcOrganization(None, "CIM toolkit demo"))
    application = file.createIfcApplication(person.TheOrganization, "1", "CIM toolkit demo", "cim-demo")
    history = file.createIfcOwnerHistory(person, application, None, "ADDED", None, None, None, _SECONDS)
    origin = file.createIfcAxis2Placement3D(file.createIfcCartesianPoint((0.0, 0.0, 0.0)))
    context = file.createIfcGeometricRepresentationContext(None, "Model", 3, 1e-5, origin)
    body = file.createIfcGeometricRepresentationSubContext("Body", "Model", None, None, None, None, context, None, "MODEL_VIEW")
    units = file.createIfcUnitAssignment([
        file.createIfcSIUnit(None, "LENGTHUNIT", "MILLI", "METRE"), file.createIfcSIUnit(None, "AREAUNIT", None, "SQUARE_METRE"),
        file.createIfcSIUnit(None, "VOLUMEUNIT", None, "CUBIC_METRE"), file.createIfcSIUnit(None, "PLANEANGLEUNIT", None, "RADIAN"),
    ])  # fmt: skip
    model = Author(file, history, body, origin, {}, {}, {})
    model.make("IfcProject", "project", "三河 027 地块 Sanhe plot 027", None, None, None, None, [context], units)
    metre = file.createIfcSIUnit(None, "LENGTHUNIT", None, "METRE")
    crs = file.createIfcProjectedCRS(CRS, "CGCS2000 / 3-degree Gauss-Kruger CM 120E", "CGCS2000", VERTICAL, "Gauss-Kruger", None, metre)
    east, north = office.corner[0] + ORIGIN[0], office.corner[1] + ORIGIN[1]
    file.createIfcMapConversion(
        context, crs, round(east, 3), round(north, 3), round(ground, 3), math.cos(office.turn), math.sin(office.turn), 0.001
    )
    return model


def _site(model: Author, office: Office, ground: float) -> tuple[Any, Any]:
    """Return the site, whose latitude and longitude are rounded to minutes, and the building."""
    from pyproj import Transformer

    there = Transformer.from_crs(CRS, "EPSG:4490", always_xy=True)
    longitude, latitude = there.transform(office.corner[0] + ORIGIN[0], office.corner[1] + ORIGIN[1])
    minutes = [[*divmod(round(value * 60), 60), 0, 0] for value in (latitude, longitude)]
    site_place, place = model.place(None, 0.0, 0.0), None
    site = model.make(
        "IfcSite", "site", "027 地块 Plot 027", None, None, site_place, None, None, "ELEMENT", *minutes, round(ground * MM, 3)
    )
    place = model.place(site_place, 0.0, 0.0)
    building = model.make("IfcBuilding", "building", office.name[0], office.name[1], None, place, None, None, "ELEMENT")
    model.make("IfcRelAggregates", "site", None, None, model.file.by_type("IfcProject")[0], [site])
    model.make("IfcRelAggregates", "building", None, None, site, [building])
    return site, building


# ---------------------------------------------------------------- storeys


def _mapped(model: Author, kind: str, width: float, height: float) -> Any:
    """Return the shape of a door or window of a size, made once and used many times."""
    file, key = model.file, (kind, width, height)
    if key not in model.maps:
        thick, frame = 0.06, 0.07
        parts = [
            box_of(model, -width / 2, -thick / 2, 0.0, (frame, thick, height)),
            box_of(model, width / 2 - frame, -thick / 2, 0.0, (frame, thick, height)),
            box_of(model, frame - width / 2, -thick / 2, height - frame, (width - 2 * frame, thick, frame)),
            box_of(model, frame - width / 2, -0.02, 0.0, (width - 2 * frame, 0.04, height - frame)),
        ]  # fmt: skip
        made = file.createIfcShapeRepresentation(model.body, "Body", "SweptSolid", parts)
        model.maps[key] = file.createIfcRepresentationMap(model.origin, made)
    move = file.createIfcCartesianTransformationOperator3D(None, None, file.createIfcCartesianPoint((0.0, 0.0, 0.0)), None, None)
    return shape_of(model, [file.createIfcMappedItem(model.maps[key], move)], "MappedRepresentation")


def _storey(model: Author, office: Office, one: Storey, building: Any) -> Any:
    """Return a storey with everything on it."""
    place = model.place(building.ObjectPlacement, 0.0, 0.0, one.elevation)
    title = f"{one.number}层 Storey {one.number}"
    storey = model.make("IfcBuildingStorey", one.name, one.name, None, None, place, None, title, "ELEMENT", round(one.elevation * MM, 3))
    spaces = [_space(model, office, one, number, place) for number in range(len(one.rooms))]
    model.make("IfcRelAggregates", f"spaces {one.name}", None, None, storey, spaces)
    walls = [thing for wall in one.walls for thing in _wall(model, office, one, wall, place)]
    floor = _floor(model, office, one, place)
    stairs = [_stair(model, office, one, place)] if one.number < len(office.storeys) else []
    ducts = _ducts(model, office, one, place)
    model.make("IfcRelContainedInSpatialStructure", one.name, None, None, [*walls, floor, *stairs, *ducts], storey)
    return storey


def _space(model: Author, office: Office, storey: Storey, number: int, above: Any) -> Any:
    room = storey.rooms[number]
    clear = office.each - SLAB
    shape = shape_of(model, [swept(model, room.shape, clear)])
    title = " ".join(room.name)
    place = model.place(above, 0.0, 0.0, SLAB)
    space = model.make("IfcSpace", room.number, room.number, None, None, place, shape, title, "ELEMENT", "INTERNAL", None)
    file = model.file
    quantities = [file.createIfcQuantityArea("NetFloorArea", None, None, round(room.area, 4)),
                  file.createIfcQuantityLength("Height", None, None, round(clear * MM, 3))]  # fmt: skip
    made = model.make("IfcElementQuantity", f"space {room.number}", "Qto_SpaceBaseQuantities", None, None, quantities)
    model.make("IfcRelDefinesByProperties", f"quantities {room.number}", None, None, [space], made)
    model.elements.setdefault(f"space {room.kind}", []).append(space)
    return space


def _wall(model: Author, office: Office, storey: Storey, wall: Wall, above: Any) -> list[Any]:
    """Return a wall and what fills its openings."""
    import shapely

    west, south, east, north = wall.box
    length, thick = (east - west, north - south) if wall.along_x else (north - south, east - west)
    x, y = (west, south) if wall.along_x else (east, south)  # turned to the left, the wall runs north with its body to the west
    place = model.place(above, x, y, SLAB, turned=not wall.along_x)
    name = f"{storey.name} {wall.name} {x:.2f} {y:.2f}"
    height = office.each - SLAB
    solid = painted(model, swept(model, shapely.box(0.0, 0.0, length, thick), height), "outer wall" if wall.outside else "inner wall")
    kind = "SOLIDWALL" if wall.outside else "PARTITIONING"
    made = model.make("IfcWall", name, wall.name, None, None, place, shape_of(model, [solid]), None, kind)
    model.elements.setdefault("wall outside" if wall.outside else "wall inside", []).append(made)
    return [made, *(_filled(model, made, name, hole, thick) for hole in wall.holes)]


def _filled(model: Author, wall: Any, name: str, hole: Hole, thick: float) -> Any:
    """Return the door or window in a new opening of a wall."""
    tag = f"{name}/{hole.at:.3f}"
    place = model.place(wall.ObjectPlacement, hole.at, thick / 2, hole.sill)
    void = box_of(model, -hole.width / 2, -thick, 0.0, (hole.width, 2 * thick, hole.height))
    opening = model.make("IfcOpeningElement", tag, None, None, None, place, shape_of(model, [void]), None, "OPENING")
    model.make("IfcRelVoidsElement", tag, None, None, wall, opening)
    entity = "IfcDoor" if hole.kind == "door" else "IfcWindow"
    shape = _mapped(model, hole.kind, hole.width, hole.height)
    at = model.place(opening.ObjectPlacement, 0.0, 0.0)
    size = (round(hole.height * MM, 3), round(hole.width * MM, 3))
    label = f"{'门 Door' if hole.kind == 'door' else '窗 Window'} {hole.room}"
    made = model.make(entity, tag, label, None, None, at, shape, None, *size, hole.kind.upper())
    model.make("IfcRelFillsElement", tag, None, None, opening, made)
    model.elements.setdefault(hole.kind, []).append(made)
    return made


def _floor(model: Author, office: Office, storey: Storey, above: Any) -> Any:
    """Return the slab under a storey; upper ones leave the stairwell open."""
    import shapely

    shape = office.ring() if storey.number == 1 else shapely.difference(office.ring(), shapely.box(*office.stair))
    solid = painted(model, swept(model, shapely.orient_polygons([shape])[0], SLAB), "floor")
    kind = "BASESLAB" if storey.number == 1 else "FLOOR"
    return model.make(
        "IfcSlab", storey.name, f"楼板 Slab {storey.name}", None, None, model.place(above, 0.0, 0.0), shape_of(model, [solid]), None, kind
    )


def _stair(model: Author, office: Office, storey: Storey, above: Any) -> Any:
    """Return a straight flight up to the next storey: its steps seen from the side, drawn out to its width."""
    file = model.file
    west, south, east, north = office.stair
    rise, count = office.each, 24
    run = (north - south - 1.2) / count
    steps = [(0.0, 0.0)]
    for number in range(count):
        steps += [(number * run, (number + 1) * rise / count), ((number + 1) * run, (number + 1) * rise / count)]
    side = [*steps, (count * run, rise - 0.25), (run, 0.0), (0.0, 0.0)]
    profile = file.createIfcArbitraryClosedProfileDef("AREA", None, outline(model, side))
    along, up = file.createIfcDirection((0.0, 1.0, 0.0)), file.createIfcDirection((1.0, 0.0, 0.0))
    axes = file.createIfcAxis2Placement3D(model.point(0.0, 0.0, 0.0), up, along)  # the profile's y is then the height
    solid = file.createIfcExtrudedAreaSolid(profile, axes, file.createIfcDirection((0.0, 0.0, 1.0)), 1.6 * MM)
    painted(model, solid, "stair")
    place = model.place(above, (west + east) / 2 - 0.8, south + 0.6, SLAB)
    return model.make(
        "IfcStair", storey.name, f"楼梯 Stair {storey.name}", None, None, place, shape_of(model, [solid]), None, "STRAIGHT_RUN_STAIR"
    )


def _roof(model: Author, office: Office, top: Any) -> None:
    """Write the roof slab and the parapets over the uppermost storey."""
    import shapely

    place = model.place(top.ObjectPlacement, 0.0, 0.0, office.each)
    cover = shape_of(model, [painted(model, swept(model, office.ring(), SLAB), "roof")])
    slab = model.make("IfcSlab", "roof", "屋面 Roof", None, None, place, cover, None, "ROOF")
    inner = shapely.box(OUTER, OUTER, office.size[0] - OUTER, office.size[1] - OUTER)
    rim = shapely.difference(shapely.box(0.0, 0.0, *office.size), inner)
    high = round(office.height - len(office.storeys) * office.each - SLAB, 3)
    raised = shape_of(model, [painted(model, swept(model, rim, high, SLAB), "outer wall")])
    wall = model.make("IfcWall", "parapet", "女儿墙 Parapet", None, None, place, raised, None, "PARAPET")
    model.elements.setdefault("wall outside", []).append(wall)
    model.make("IfcRelContainedInSpatialStructure", "roof", None, None, [slab, wall], top)


# ---------------------------------------------------------------- ducts and pipes


def _ducts(model: Author, office: Office, storey: Storey, above: Any) -> list[Any]:
    """Return a supply duct in each wing's corridor, and a terminal at each."""
    middle = office.deep - OUTER - 1.1
    wide, deep = office.size
    ways = {"south": (middle, middle, wide - 2 * middle, False), "north": (middle, deep - middle, wide - 2 * middle, False),
            "west": (middle, middle, deep - 2 * middle, True), "east": (wide - middle, middle, deep - 2 * middle, True)}  # fmt: skip
    made = []
    for name, (x, y, length, turned) in ways.items():
        place = model.place(above, x, y, SLAB + _HEAD, turned=turned)
        start = 0.4 if turned else 0.0
        shape = shape_of(model, [painted(model, box_of(model, start, -0.25, 0.0, (length - 2 * start, 0.5, 0.35)), "duct")])
        tag = f"{storey.name} {name}"
        made.append(model.make("IfcDuctSegment", tag, f"送风管 Duct {tag}", None, None, place, shape, None, "RIGIDSEGMENT"))
        at = model.place(place, length / 2, 0.0)
        grille = shape_of(model, [box_of(model, -0.3, -0.3, -0.05, (0.6, 0.6, 0.05))])
        made.append(model.make("IfcAirTerminal", tag, f"风口 Diffuser {tag}", None, None, at, grille, None, "DIFFUSER"))
    model.elements.setdefault("air", []).extend(made)
    return made


def _pipes(model: Author, office: Office, storeys: Sequence[Any]) -> None:
    """Write the water riser through the toilets, a segment per storey, joined by ports, and its system."""
    file = model.file
    room = next(one for one in office.storeys[0].rooms if one.kind == "toilet")
    x, y = room.shape.bounds[0] + 0.25, room.shape.bounds[1] + 0.25
    circle, up = file.createIfcCircleProfileDef("AREA", None, None, 55.0), file.createIfcDirection((0.0, 0.0, 1.0))
    risers, ends = [], []
    for one, storey in zip(office.storeys, storeys, strict=True):
        place = model.place(storey.ObjectPlacement, x, y)
        solid = file.createIfcExtrudedAreaSolid(circle, model.origin, up, round(office.each * MM, 3))
        riser = model.make(
            "IfcPipeSegment", one.name, f"给水立管 Riser {one.name}", None, None, place, shape_of(model, [solid]), None, "RIGIDSEGMENT"
        )
        model.make("IfcRelContainedInSpatialStructure", f"riser {one.name}", None, None, [riser], storey)
        ports = [
            model.make("IfcDistributionPort", f"{one.name} {end}", end, None, None, None, None, flow, "PIPE", "DOMESTICCOLDWATER")
            for end, flow in (("in", "SINK"), ("out", "SOURCE"))
        ]
        model.make("IfcRelNests", f"ports {one.name}", None, None, riser, ports)
        risers.append(riser)
        ends.append(ports)
    for number, (below, over) in enumerate(itertools.pairwise(ends)):
        model.make("IfcRelConnectsPorts", f"riser {number}", None, None, below[1], over[0])
    for name, kind, members in (
        ("给水 Cold water", "DOMESTICCOLDWATER", risers),
        ("送风 Supply air", "VENTILATION", model.elements["air"]),
    ):
        system = model.make("IfcDistributionSystem", name, name, None, None, None, kind)
        model.make("IfcRelAssignsToGroup", name, None, None, members, None, system)


# ---------------------------------------------------------------- property sets


def _property_sets(model: Author, office: Office, building: Any) -> None:
    """Write the property sets of the kinds of products, one for all of a kind."""
    count = len(office.storeys)
    sets: dict[str, tuple[str, dict[str, tuple[str, Any]]]] = {
        "wall outside": ("Pset_WallCommon", {"IsExternal": ("IfcBoolean", True),
                                             "ThermalTransmittance": ("IfcThermalTransmittanceMeasure", 0.45),
                                             "FireRating": ("IfcLabel", "2 h"), "Thickness": ("IfcLengthMeasure", OUTER * MM)}),
        "wall inside": ("Pset_WallCommon", {"IsExternal": ("IfcBoolean", False), "FireRating": ("IfcLabel", "1 h"),
                                            "Thickness": ("IfcLengthMeasure", INNER * MM)}),
        "door": ("Pset_DoorCommon", {"FireExit": ("IfcBoolean", False), "HandicapAccessible": ("IfcBoolean", True)}),
        "window": ("Pset_WindowCommon", {"ThermalTransmittance": ("IfcThermalTransmittanceMeasure", 1.8),
                                         "IsExternal": ("IfcBoolean", True)}),
    }  # fmt: skip
    for kind in sorted({name for name in model.elements if name.startswith("space ")}):
        public = kind in {"space lobby", "space canteen", "space corridor"}
        sets[kind] = ("Pset_SpaceCommon", {"PubliclyAccessible": ("IfcBoolean", public), "IsExternal": ("IfcBoolean", False)})
    for kind, (name, properties) in sets.items():
        _set(model, kind, name, properties, model.elements.get(kind, []))
    ground = {"NumberOfStoreys": ("IfcInteger", count), "OccupancyType": ("IfcLabel", "办公 Office"),
              "BuildingID": ("IfcIdentifier", office.id),
              "ParapetHeight": ("IfcLengthMeasure", PARAPET * MM)}  # fmt: skip
    _set(model, "building", "Pset_BuildingCommon", ground, [building])


def _set(model: Author, kind: str, name: str, properties: dict[str, tuple[str, Any]], members: list[Any]) -> None:
    file = model.file
    if not members:
        return
    single = [
        file.createIfcPropertySingleValue(label, None, file.create_entity(type_, value), None)
        for label, (type_, value) in properties.items()
    ]
    made = model.make("IfcPropertySet", kind, name, None, single)
    model.make("IfcRelDefinesByProperties", kind, None, None, members, made)
