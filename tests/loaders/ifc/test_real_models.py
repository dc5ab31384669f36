"""Real IFC models: counts as their sources state them, in the right place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.errors import FormatError
from cim.loaders import describe, read
from cim.model import City

pytest.importorskip("ifcopenshell")
pytestmark = pytest.mark.data
Finder = Callable[..., Path]


def _messages(city: City, code: str) -> list[dict[str, object]]:
    return [row for row in city.tables["issues"].to_pylist() if row["code"] == code]


def _shaped(city: City) -> int:
    return len(set(city.geometry_table(lod="3", explicit=False)["object"].to_pylist()))


def test_duplex_has_its_storeys_spaces_shapes_and_property_sets(shared_data: Finder) -> None:
    city = read(shared_data("city", "ifc_buildings", "Duplex_A.ifc"))
    assert city.types()["BuildingStorey"] == 4
    assert city.types()["BuildingRoom"] == 21
    assert _shaped(city) == 236  # of 286 shapes 50 are those of openings, which cut their walls
    assert any(row["count"] == 50 and "IfcOpeningElement" in str(row["message"]) for row in _messages(city, "unsupported"))
    storeys = city.table("BuildingStorey").set_index("name")
    assert storeys["storey_elevation"].to_dict() == pytest.approx({"T/FDN": -1.25, "Level 1": 0.0, "Level 2": 3.1, "Roof": 6.0})
    rooms = city.table("BuildingRoom").set_index("name")
    assert rooms.loc["A102", "floor_area"] == pytest.approx(30.1416452, abs=1e-6)  # "GSA BIM Area" in the file
    assert rooms.geometry.area["A102"] == pytest.approx(27.660089, abs=1e-5)  # its profile; GSA measures to the middle of walls
    house = city.table("Building").iloc[0]
    assert (house["z_ground"], house["z_roof"]) == pytest.approx((0.0, 6.609), abs=1e-3)


def test_duplex_property_sets_are_all_read(shared_data: Finder) -> None:
    import ifcopenshell

    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.psets import gather_sets

    model = ifcopenshell.open(str(shared_data("city", "ifc_buildings", "Duplex_A.ifc")))
    sets = gather_sets(model, Notes())
    plain = {one.id() for one in model.by_type("IfcPropertySet")}
    found = [one for one in sets.rows if one in plain]
    assert len(found) == 1459
    assert sum(len(sets.rows[one]) for one in found) == sum(len(one.HasProperties) for one in model.by_type("IfcPropertySet"))


def test_schependomlaan_names_the_walls_that_their_openings_emptied(shared_data: Finder) -> None:
    city = read(shared_data("city", "ifc_buildings", "schependomlaan_houten_kozijnen.ifc"))
    emptied = [row for row in _messages(city, "empty") if "emptied by its openings" in str(row["message"])]
    assert sum(int(str(row["count"])) for row in emptied) == 64
    assert len({row["object"] for row in emptied}) == 64
    assert _shaped(city) + 64 + 69 == 233  # with the 69 openings
    assert city.types()["BuildingStorey"] == 4
    assert city.table("Building").geometry.iloc[0] is None  # one wall of 51 is left: no outline follows from it


def test_sample_house_has_its_rooms(shared_data: Finder) -> None:
    city = read(shared_data("city", "ifc_buildings", "Ifc4_SampleHouse.ifc"))
    rooms = city.table("BuildingRoom").set_index("long_name")
    assert rooms["net_floor_area"].round(3).to_dict() == pytest.approx(
        {"Living room": 51.995, "Bedroom": 15.417, "Entrance hall": 8.694, "Roof": 76.466}
    )
    assert rooms.loc["Bedroom", "height"] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("name", "type_name", "count"),
    [
        ("OMG_KS_BGT-Paal.ifc", "CityFurniture", 1051),
        ("OMG_KS_BRK-Perceel.ifc", "LandUse", 432),  # 431 parcels and the site
        ("OMG_KS_Ruimtelijkeplannen-Maatvoering.ifc", "GenericLogicalSpace", 206),
    ],
)
def test_strijp_s_registers_land_in_eindhoven_as_what_they_are(shared_data: Finder, name: str, type_name: str, count: int) -> None:
    city = read(shared_data("city", "strijps", name))
    assert city.types()[type_name] == count
    table = city.table(type_name)
    middle = table.geometry.dropna().centroid
    zero = shapely.Point(159860.987, 384230.208)  # stated zero point, EPSG:28992
    assert middle.distance(zero).max() < 2000.0  # the area is a few hundred metres wide; any error of place is kilometres
    assert "28992" in city.crs.to_string()
    if name == "OMG_KS_BGT-Paal.ifc":
        assert city.tables["templates"].num_rows == 8


@pytest.mark.parametrize("name", ["derived_A_ifc4_mapconv.ifc", "derived_B_ifc4_mm_mapconv.ifc"])
def test_derived_models_cover_the_footprint_they_were_made_from(shared_data: Finder, name: str) -> None:
    folder = shared_data("city", "delft")
    truth = next(row for row in json.loads((folder / "derived_truth.json").read_text()) if row["file"] == name)
    buildings = read(folder / "bgt_pand.sqlite").table("Building")
    wanted = shapely.force_2d(buildings.geometry[buildings.index.str.contains(truth["true_bgt_gml_id"])].iloc[0])
    city = read(folder / name)
    house = city.table("Building").iloc[0]
    overlap = house.geometry.intersection(wanted).area / house.geometry.union(wanted).area
    assert overlap > 0.999  # the bar is 0.95; the slabs are the polygon itself, to the millimetre of the file
    assert house["z_ground"] == pytest.approx(truth["origin"][2], abs=1e-6)
    assert house["z_roof"] - house["z_ground"] == pytest.approx(truth["height"], abs=1e-6)
    assert city.types()["BuildingStorey"] == truth["storeys"]
    assert city.types()["BuildingConstructiveElement"] == truth["elements"]


def test_a_schema_that_is_not_read_is_refused_by_name_and_its_place_told(shared_data: Finder) -> None:
    path = shared_data("city", "ifc_georef", "ifcbridge-model03_georeferenced.ifc")
    with pytest.raises(FormatError, match="schema IFC4X2 is not read"):
        read(path)
    assert any("27700" in text for text in describe(path).suspicions)


def test_describe_counts_and_tells_the_place(shared_data: Finder) -> None:
    told = describe(shared_data("city", "delft", "derived_A_ifc4_mapconv.ifc"))
    counts = {layer.name: layer.count for layer in told.layers}
    assert (told.format, counts["IFCWALL"], counts["IFCBUILDINGSTOREY"]) == ("IFC (IFC4)", 88, 2)
    assert {layer.crs for layer in told.layers} == {"EPSG:28992+5709"}


def test_instances_and_explicit_rows_are_the_same_shapes(shared_data: Finder) -> None:
    city = read(shared_data("city", "strijps", "OMG_KS_BGT-Paal.ifc"))
    explicit = city.geometry_table(lod="3")
    assert explicit.num_rows == 1051
    boxes = city.tables["objects"].filter(np.array(city.tables["objects"]["type"].to_pylist()) == "CityFurniture")["bbox"].to_pylist()
    heights = np.array([box["zmax"] - box["zmin"] for box in boxes])
    assert (heights > 0).all()
    assert heights.max() < 40.0  # poles, metres


@pytest.mark.data
def test_terraces_are_no_part_of_the_house(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "ifc_buildings", "Duplex_A.ifc"))
    house = city.footprints(city.keys("Building"))[0]
    assert house.area == pytest.approx(135.15, abs=0.01)  # slabs under the roof, measured; with both terraces of 25.4 m2 it would be 186.0
    assert any("without 2 with nothing above them" in text for text in city.issues["message"])
    first = next(city[id_] for id_ in city.tables["objects"]["id"].to_pylist() if city[id_].name == "Level 1")
    assert first.footprint.area <= house.area + 0.01
