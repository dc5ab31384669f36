"""Every module and level of detail of CityGML 2.0 and 3.0 becomes objects, surfaces and geometry of the model."""

# ruff: noqa: E501  # a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cim.model.geometry import flatten, ring_normals, volume

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import FACES, X, Y, cube, face, load, model, multi, polygon, ring, solid, square, told

LINE = f"<gml:MultiCurve><gml:curveMember><gml:LineString><gml:posList>{X} {Y} 1 {X + 5} {Y} 1</gml:posList></gml:LineString></gml:curveMember></gml:MultiCurve>"


def walls(*, lod: int = 2) -> str:
    """Return the six faces of a cube as boundary surfaces with ids f0 to f5."""
    return "".join(
        f'<bldg:boundedBy><bldg:{kind} gml:id="s{number}"><bldg:lod{lod}MultiSurface>{multi(polygon(face(number), id=f"f{number}"))}'
        f"</bldg:lod{lod}MultiSurface></bldg:{kind}></bldg:boundedBy>"
        for number, (kind, _) in enumerate(FACES)
    )


def test_a_solid_linked_to_its_surfaces_has_their_meaning_and_its_volume(tmp_path: Path) -> None:
    links = solid(*(f"#f{number}" for number in range(6)))
    city = load(tmp_path, model(f'<bldg:Building gml:id="b"><bldg:lod2Solid>{links}</bldg:lod2Solid>{walls()}</bldg:Building>'))
    table = city.geometry_table()
    assert table["type"].to_pylist() == ["Solid"]
    assert volume(table).tolist() == pytest.approx([1000.0], rel=1e-9)  # a cube of 10 m
    assert len(table["vertices"][0]) == 8
    types = dict(zip(*(city.tables["surfaces"][name].to_pylist() for name in ("index", "type")), strict=True))
    assert [types[one] for one in table["semantics"][0].as_py()] == [kind for kind, _ in FACES]
    b = city["b"]
    assert b.footprint.area == pytest.approx(100.0)
    assert (b.core["z_ground"], b.core["z_roof"]) == (480.0, 490.0)


def test_a_surface_run_backwards_is_turned_by_its_sign(tmp_path: Path) -> None:
    wrong = [polygon(face(number)[::-1] if number == 1 else face(number), id=f"f{number}") for number in range(6)]
    base = f'<gml:OrientableSurface orientation="-"><gml:baseSurface>{wrong[1]}</gml:baseSurface></gml:OrientableSurface>'
    city = load(
        tmp_path, model(f'<bldg:Building gml:id="b"><bldg:lod2Solid>{solid(wrong[0], base, *wrong[2:])}</bldg:lod2Solid></bldg:Building>')
    )
    assert volume(city.geometry_table()).tolist() == pytest.approx([1000.0])
    assert not told(city, "repaired")


def test_openings_are_children_of_their_wall(tmp_path: Path) -> None:
    window = multi(polygon([(X, Y, 481.0), (X + 1, Y, 481.0), (X + 1, Y, 482.0), (X, Y, 482.0)]))
    wall = (
        f'<bldg:boundedBy><bldg:WallSurface gml:id="w"><bldg:lod3MultiSurface>{multi(polygon(face(2)))}</bldg:lod3MultiSurface>'
        f'<bldg:opening><bldg:Window gml:id="win"><gml:name>东窗</gml:name><bldg:lod3MultiSurface>{window}</bldg:lod3MultiSurface></bldg:Window>'
        f"</bldg:opening></bldg:WallSurface></bldg:boundedBy>"
    )
    city = load(tmp_path, model(f'<bldg:Building gml:id="b">{wall}</bldg:Building>'))
    rows = {row["type"]: row for row in city.tables["surfaces"].to_pylist()}
    assert rows["Window"]["parent"] == rows["WallSurface"]["index"]
    assert "东窗" in rows["Window"]["attributes"]
    assert rows["WallSurface"]["parent"] is None


FEATURES = {
    "Road": f"<tran:Road gml:id='a'><tran:trafficArea><tran:TrafficArea><tran:lod2MultiSurface>{square()}</tran:lod2MultiSurface></tran:TrafficArea></tran:trafficArea></tran:Road>",
    "Railway": f"<tran:Railway gml:id='a'><tran:lod0Network><gml:GeometricComplex><gml:element><gml:LineString><gml:posList>{X} {Y} 1 {X} {Y + 9} 1</gml:posList></gml:LineString></gml:element></gml:GeometricComplex></tran:lod0Network></tran:Railway>",
    "WaterBody": f"<wtr:WaterBody gml:id='a'><wtr:boundedBy><wtr:WaterSurface><wtr:lod2Surface>{polygon(face(1))}</wtr:lod2Surface></wtr:WaterSurface></wtr:boundedBy></wtr:WaterBody>",
    "LandUse": f"<luse:LandUse gml:id='a'><luse:lod0MultiSurface>{square()}</luse:lod0MultiSurface></luse:LandUse>",
    "PlantCover": f"<veg:PlantCover gml:id='a'><veg:averageHeight uom='m'>3</veg:averageHeight><veg:lod1MultiSolid><gml:MultiSolid><gml:solidMember>{cube()}</gml:solidMember><gml:solidMember>{cube(x=X + 50)}</gml:solidMember></gml:MultiSolid></veg:lod1MultiSolid></veg:PlantCover>",
    "SolitaryVegetationObject": f"<veg:SolitaryVegetationObject gml:id='a'><veg:height uom='cm'>550</veg:height><veg:lod1Geometry>{cube()}</veg:lod1Geometry></veg:SolitaryVegetationObject>",
    "CityFurniture": f"<frn:CityFurniture gml:id='a'><frn:lod1Geometry><gml:Point><gml:pos>{X} {Y} 3</gml:pos></gml:Point></frn:lod1Geometry></frn:CityFurniture>",
    "GenericOccupiedSpace": f"<gen:GenericCityObject gml:id='a'><gen:lod4Geometry>{cube()}</gen:lod4Geometry></gen:GenericCityObject>",
    "Bridge": f"<brid:Bridge gml:id='a'><brid:lod1Solid>{cube()}</brid:lod1Solid></brid:Bridge>",
    "Tunnel": f"<tun:Tunnel gml:id='a'><tun:lod1MultiSurface>{square()}</tun:lod1MultiSurface></tun:Tunnel>",
    "Building": f"<bldg:Building gml:id='a'><bldg:lod0FootPrint>{square()}</bldg:lod0FootPrint><bldg:lod0RoofEdge>{square(490.0)}</bldg:lod0RoofEdge><bldg:lod1TerrainIntersection>{LINE}</bldg:lod1TerrainIntersection></bldg:Building>",
}  # fmt: skip
SHAPES = {
    "Road": ["MultiSurface"], "Railway": ["MultiLineString"], "WaterBody": ["MultiSurface"], "LandUse": ["MultiSurface"],
    "PlantCover": ["MultiSolid"], "SolitaryVegetationObject": ["Solid"], "CityFurniture": ["MultiPoint"], "GenericOccupiedSpace": ["Solid"],
    "Bridge": ["Solid"], "Tunnel": ["MultiSurface"], "Building": ["MultiLineString", "MultiSurface", "MultiSurface"],
}  # fmt: skip


@pytest.mark.parametrize("kind", FEATURES)
def test_each_module_has_its_class_and_its_geometry(kind: str, tmp_path: Path) -> None:
    city = load(tmp_path, model(FEATURES[kind]))
    assert city.types() == {kind: 1}
    assert sorted(city.geometry_table()["type"].to_pylist()) == SHAPES[kind]
    assert city["a"].footprint is not None
    assert not [row for row in city.tables["issues"].to_pylist() if row["severity"] != "info"]


def test_heights_come_in_metres_whatever_their_unit(tmp_path: Path) -> None:
    assert load(tmp_path, model(FEATURES["SolitaryVegetationObject"]))["a"].attributes["height"] == pytest.approx(5.5)


def test_footprint_and_roof_edge_keep_their_roles(tmp_path: Path) -> None:
    table = load(tmp_path, model(FEATURES["Building"])).geometry_table()
    assert set(zip(table["lod"].to_pylist(), table["role"].to_pylist(), strict=True)) == {
        ("0", "footprint"), ("0", "roofprint"), ("1", "terrain_intersection")
    }  # fmt: skip


def test_a_building_holds_parts_rooms_installations_and_furniture(tmp_path: Path) -> None:
    inside = (
        f"<bldg:interiorRoom><bldg:Room gml:id='r'><bldg:lod4Solid>{cube(size=2.0)}</bldg:lod4Solid>"
        f"<bldg:boundedBy><bldg:FloorSurface><bldg:lod4MultiSurface>{multi(polygon(face(1)))}</bldg:lod4MultiSurface></bldg:FloorSurface></bldg:boundedBy>"
        f"<bldg:interiorFurniture><bldg:BuildingFurniture gml:id='f'><bldg:lod4Geometry>{cube(size=1.0)}</bldg:lod4Geometry></bldg:BuildingFurniture></bldg:interiorFurniture>"
        f"<bldg:roomInstallation><bldg:IntBuildingInstallation gml:id='i'><bldg:lod4Geometry>{cube(size=1.0)}</bldg:lod4Geometry></bldg:IntBuildingInstallation></bldg:roomInstallation>"
        f"</bldg:Room></bldg:interiorRoom>"
    )
    part = f"<bldg:consistsOfBuildingPart><bldg:BuildingPart gml:id='p'><bldg:lod1Solid>{cube()}</bldg:lod1Solid>{inside}</bldg:BuildingPart></bldg:consistsOfBuildingPart>"
    city = load(tmp_path, model(f"<bldg:Building gml:id='b'>{part}</bldg:Building>"))
    parents = {one: next((whole.id for whole in city[one].parents()), None) for one in ("b", "p", "r", "f", "i")}
    assert parents == {"b": None, "p": "b", "r": "p", "f": "r", "i": "r"}
    assert [city[one].type for one in "bprfi"] == ["Building", "BuildingPart", "BuildingRoom", "BuildingFurniture", "BuildingInstallation"]
    assert "FloorSurface" in city.tables["surfaces"]["type"].to_pylist()


def test_terrain_is_made_of_triangles(tmp_path: Path) -> None:
    corners = [(X, Y, 480.0), (X + 10, Y, 481.0), (X + 10, Y + 10, 482.0), (X, Y + 10, 481.0)]
    patches = "".join(
        f"<gml:Triangle><gml:exterior>{ring([corners[0], corners[k], corners[k + 1]])}</gml:exterior></gml:Triangle>" for k in (1, 2)
    )
    relief = (
        "<dem:ReliefFeature gml:id='t'><dem:lod>2</dem:lod><dem:reliefComponent><dem:TINRelief gml:id='tin'><dem:lod>2</dem:lod><dem:tin>"
        f"<gml:TriangulatedSurface><gml:trianglePatches>{patches}</gml:trianglePatches></gml:TriangulatedSurface></dem:tin></dem:TINRelief>"
        f"</dem:reliefComponent><dem:reliefComponent><dem:MassPointRelief gml:id='m'><dem:lod>2</dem:lod><dem:reliefPoints><gml:MultiPoint>"
        f"<gml:pointMember><gml:Point><gml:pos>{X} {Y} 3</gml:pos></gml:Point></gml:pointMember></gml:MultiPoint></dem:reliefPoints></dem:MassPointRelief>"
        f"</dem:reliefComponent><dem:reliefComponent><dem:BreaklineRelief gml:id='k'><dem:lod>2</dem:lod><dem:breaklines>{LINE}</dem:breaklines>"
        "</dem:BreaklineRelief></dem:reliefComponent></dem:ReliefFeature>"
    )
    city = load(tmp_path, model(relief))
    table = city["tin"].geometry("2")
    assert (table["role"][0].as_py(), table["type"][0].as_py()) == ("mesh", "MultiSurface")
    assert np.diff(flatten(table).ring_start).tolist() == [3, 3]
    assert city["tin"].parent is not None
    assert city["tin"].parent.id == "t"
    assert city["m"].geometry("2")["type"].to_pylist() == ["MultiPoint"]
    assert city["k"].geometry("2")["type"].to_pylist() == ["MultiLineString"]


def test_a_tin_with_control_points_only_is_told(tmp_path: Path) -> None:
    tin = f"<gml:Tin><gml:maxLength uom='m'>5</gml:maxLength><gml:controlPoint><gml:posList>{X} {Y} 1 {X} {Y} 2 {X} {Y} 3</gml:posList></gml:controlPoint></gml:Tin>"
    city = load(
        tmp_path, model(f"<dem:TINRelief gml:id='t'><dem:lod>1</dem:lod><dem:tin>{tin}</dem:tin></dem:TINRelief>", FEATURES["LandUse"])
    )
    assert any("control points only" in one for one in told(city, "unsupported"))


MATRIX = "0 -2 0 1 2 0 0 0 0 0 2 0 0 0 0 1"  # turned by 90 degrees, twice as large, moved 1 m in x


def tree(id: str, shape: str, x: float) -> str:
    return (
        f"<veg:SolitaryVegetationObject gml:id='{id}'><veg:lod2ImplicitRepresentation><core:ImplicitGeometry><core:transformationMatrix>{MATRIX}"
        f"</core:transformationMatrix>{shape}<core:referencePoint><gml:Point><gml:pos>{x} {Y} 480</gml:pos></gml:Point></core:referencePoint>"
        "</core:ImplicitGeometry></veg:lod2ImplicitRepresentation></veg:SolitaryVegetationObject>"
    )


def test_implicit_geometry_is_a_template_used_twice(tmp_path: Path) -> None:
    local = multi(polygon([(0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 1.0, 5.0)])).replace(
        "<gml:MultiSurface>", '<gml:MultiSurface gml:id="shape">'
    )
    first = tree("t1", f"<core:relativeGMLGeometry>{local}</core:relativeGMLGeometry>", X)
    city = load(tmp_path, model(tree("t0", '<core:relativeGMLGeometry xlink:href="#shape"/>', X - 20), first))
    assert city.tables["templates"].num_rows == 1
    assert city.tables["geometries"].num_rows == 2
    points = np.array(city["t1"].geometry("2")["vertices"][0].as_py()) + city.origin
    assert points.tolist() == [[X + 1, Y, 480.0], [X + 1, Y + 6, 480.0], [X - 1, Y + 6, 490.0]]  # matrix by hand, then the anchor
    other = np.array(city["t0"].geometry("2")["vertices"][0].as_py()) + city.origin
    assert (points - other).tolist() == [[20.0, 0.0, 0.0]] * 3


def test_a_library_object_is_never_opened_but_told(tmp_path: Path) -> None:
    shape = "<core:libraryObject>http://127.0.0.1:9/tree.wrl</core:libraryObject>"
    city = load(tmp_path, model(tree("t", shape, X), FEATURES["LandUse"]))
    assert any("never opened" in one for one in told(city, "unsupported"))
    assert city["t"].footprint is None


def test_a_group_contains_its_members(tmp_path: Path) -> None:
    group = (
        "<grp:CityObjectGroup gml:id='g'><grp:groupMember xlink:href='#a'/><grp:groupMember xlink:href='#nobody'/></grp:CityObjectGroup>"
    )
    city = load(tmp_path, model(FEATURES["LandUse"], group))
    rows = city.tables["relations"].to_pylist()
    assert [(city.ids([row["subject"]])[0], row["predicate"], city.ids([row["object"]])[0]) for row in rows] == [("g", "contains", "a")]
    assert any("no object of the file" in one for one in told(city, "unmatched"))


THREE = f"""<bldg:Building gml:id="b"><gml:name>三</gml:name><core:validFrom>2020-01-01T00:00:00Z</core:validFrom>
<core:genericAttribute><gen:MeasureAttribute><gen:name>load</gen:name><gen:value uom="kN">5</gen:value></gen:MeasureAttribute></core:genericAttribute>
<core:genericAttribute><gen:GenericAttributeSet><gen:name>energy</gen:name><gen:genericAttribute><gen:IntAttribute><gen:name>class</gen:name><gen:value>3</gen:value></gen:IntAttribute></gen:genericAttribute></gen:GenericAttributeSet></core:genericAttribute>
<core:boundary><con:WallSurface gml:id="w"><core:lod3MultiSurface>{multi(polygon(face(2), id="p"))}</core:lod3MultiSurface>
<con:fillingSurface><con:WindowSurface gml:id="v"><core:lod3MultiSurface>{multi(polygon(face(3)))}</core:lod3MultiSurface></con:WindowSurface></con:fillingSurface></con:WallSurface></core:boundary>
<core:lod1Solid>{cube()}</core:lod1Solid>
<con:height><con:Height><con:highReference>highestRoofEdge</con:highReference><con:lowReference>lowestGroundPoint</con:lowReference><con:status>measured</con:status><con:value uom="m">10.0</con:value></con:Height></con:height>
<bldg:buildingSubdivision><bldg:Storey gml:id="s"><core:lod2Solid>{cube(size=3.0)}</core:lod2Solid></bldg:Storey></bldg:buildingSubdivision>
<bldg:buildingRoom><bldg:BuildingRoom gml:id="r"><core:lod3Solid>{cube(size=2.0)}</core:lod3Solid></bldg:BuildingRoom></bldg:buildingRoom>
<bldg:storeysAboveGround>4</bldg:storeysAboveGround></bldg:Building>"""  # fmt: skip
SPACE = f"""<tran:Road gml:id="road"><tran:section><tran:Section gml:id="sec"><tran:trafficSpace><tran:TrafficSpace gml:id="ts">
<core:boundary><tran:TrafficArea gml:id="ta"><core:lod2MultiSurface>{square()}</core:lod2MultiSurface></tran:TrafficArea></core:boundary>
</tran:TrafficSpace></tran:trafficSpace></tran:Section></tran:section></tran:Road>"""


def test_citygml_3_has_spaces_boundaries_and_storeys(tmp_path: Path) -> None:
    city = load(tmp_path, model(THREE, SPACE, version="3.0"))
    assert {one: city[one].type for one in ("b", "s", "r", "road", "sec", "ts")} == {
        "b": "Building", "s": "BuildingStorey", "r": "BuildingRoom", "road": "Road", "sec": "Section", "ts": "TrafficSpace"
    }  # fmt: skip
    assert set(city.tables["surfaces"]["type"].to_pylist()) == {"WallSurface", "WindowSurface", "TrafficArea"}
    b = city["b"]
    assert b.attributes["height"] == 10.0
    assert b.attributes["storeys_above_ground"] == 4
    assert b.properties["generic"] == {"load": "5", "energy/class": "3"}
    assert b.properties["citygml"]["height/Height/highReference"] == "highestRoofEdge"
    assert b.core["valid_from"].year == 2020
    assert city["ts"].parents()[-1].id == "road"


def test_three_reads_like_two_when_written_for_one_namespace(tmp_path: Path) -> None:
    one = f"<bldg:Building gml:id='b'><bldg:lod1Solid>{cube()}</bldg:lod1Solid></bldg:Building>"
    volumes = [volume(load(tmp_path, model(one, version=version)).geometry_table())[0] for version in ("1.0", "2.0")]
    assert volumes == pytest.approx([1000.0, 1000.0])


def test_holes_stay_holes(tmp_path: Path) -> None:
    hole = [(X + 2, Y + 2, 490.0), (X + 2, Y + 4, 490.0), (X + 4, Y + 4, 490.0), (X + 4, Y + 2, 490.0)]
    city = load(
        tmp_path,
        model(f"<luse:LandUse gml:id='a'><luse:lod1MultiSurface>{multi(polygon(face(1), hole))}</luse:lod1MultiSurface></luse:LandUse>"),
    )
    assert city["a"].footprint.area == pytest.approx(96.0)
    assert np.abs(ring_normals(flatten(city.geometry_table()))[:, 2]).tolist() == pytest.approx([100.0, 4.0])


SHAPE = multi(polygon([(0.0, 0.0, 0.0), (3.0, 0.0, 0.0), (3.0, 1.0, 5.0)]))


def test_a_shape_with_coordinates_of_its_own_ignores_a_system_stated_there(tmp_path: Path) -> None:
    shape = SHAPE.replace("<gml:MultiSurface", '<gml:MultiSurface srsName="EPSG:31468"')
    city = load(tmp_path, model(tree("t", f"<core:relativeGMLGeometry>{shape}</core:relativeGMLGeometry>", X), FEATURES["LandUse"]))
    points = np.array(city["t"].geometry("2")["vertices"][0].as_py()) + city.origin
    assert points.tolist() == [[X + 1, Y, 480.0], [X + 1, Y + 6, 480.0], [X - 1, Y + 6, 490.0]]
    assert any("not used" in one for one in told(city, "assumed"))


def test_a_shape_of_metres_keeps_its_size_in_a_system_of_degrees(tmp_path: Path) -> None:
    from pyproj import Geod

    place = tree("t", f"<core:relativeGMLGeometry>{SHAPE}</core:relativeGMLGeometry>", 48.1).replace(f"48.1 {Y} 480", "48.1 11.5 480")
    land = multi(polygon([(48.1, 11.5, 5.0), (48.1, 11.51, 5.0), (48.11, 11.51, 5.0)]))
    member = f"<luse:LandUse gml:id='a'><luse:lod1MultiSurface>{land}</luse:lod1MultiSurface></luse:LandUse>"
    city = load(tmp_path, model(place, member, srs="urn:ogc:def:crs:EPSG::4326"))
    a, b, c = np.array(city["t"].geometry("2")["vertices"][0].as_py()) + city.origin
    lengths = [Geod(ellps="WGS84").inv(*first[:2], *second[:2])[2] for first, second in ((a, b), (b, c))]
    assert lengths == pytest.approx([6.0, 2.0], abs=1e-4)  # the template in metres, twice as large; a degree is straight over 10 m
    assert c[2] - b[2] == pytest.approx(10.0)
    assert any("system of degrees" in one for one in told(city, "assumed"))
