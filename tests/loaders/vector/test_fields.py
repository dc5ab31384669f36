"""Which field becomes which attribute: guesses are sound and reported, a mapping is followed to the letter."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders import read
from cim.loaders.vector.classify import guess_class
from cim.loaders.vector.values import instants
from cim.model import City
from cim.sim.impact.parameters import ImpactParameters
from cim.sim.impact.road_crossings import crossing_reasons

AREA, LINE, POINT = np.array([2]), np.array([1]), np.array([0])


def city_of(tmp_path: Path, rows: list[dict[str, Any]], stem: str = "a", **options: Any) -> City:
    rings = [[[5 + i, 52], [5.01 + i, 52], [5.01 + i, 52.01], [5 + i, 52]] for i in range(len(rows))]
    features = [
        {"type": "Feature", "properties": row, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        for row, ring in zip(rows, rings, strict=True)
    ]
    (tmp_path / f"{stem}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return read(tmp_path / f"{stem}.geojson", **options)


def messages(city: City) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist()]


def test_known_names_in_three_languages_become_standard_attributes(tmp_path: Path) -> None:
    city = city_of(tmp_path, [{"建筑高度(m)": 12.5, "bouwjaar": 1970, "LEVELS_": 4, "颜色": "红"}])
    row = city.attributes["Building"].to_pylist()[0]
    assert row["height"] == 12.5
    assert row["year_of_construction"] == 1970
    assert row["颜色"] == "红"
    field = city.attributes["Building"].schema.field("height")
    assert field.metadata[b"source_field"] == "建筑高度(m)".encode()
    assert any("建筑高度(m) is taken for height in m" in text for text in messages(city))


def test_a_unit_in_the_field_name_is_converted_and_said(tmp_path: Path) -> None:
    city = city_of(tmp_path, [{"height_ft": 100.0}, {"height_ft": None}])
    assert city.column("Building", "height").to_pylist() == [pytest.approx(30.48, abs=1e-9), None]  # 0.3048 m in a foot, exactly
    assert any("field height_ft: unit ft → m" in text for text in messages(city))


def test_a_doubtful_name_needs_values_that_fit(tmp_path: Path) -> None:
    storeys = city_of(tmp_path, [{"Floor": 3, "height": 9.0}, {"Floor": 12, "height": 36.0}])
    assert storeys.column("Building", "storeys_above_ground").to_pylist() == [3, 12]
    areas = city_of(tmp_path, [{"Floor": 1503.2, "height": 9.0}, {"Floor": 99.5, "height": 3.0}])
    assert "Floor" in areas.attributes["Building"].column_names


def test_an_attribute_name_goes_to_one_field_only(tmp_path: Path) -> None:
    city = city_of(tmp_path, [{"height": 3.0, "楼高": 4.0}])
    row = city.attributes["Building"].to_pylist()[0]
    assert (row["height"], row["楼高"]) == (3.0, 4.0)


def test_the_level_of_the_dutch_base_map_is_the_layer_unless_another_field_has_that_name(tmp_path: Path) -> None:
    city = city_of(tmp_path, [{"relatieveHoogteligging": 1}, {"relatieveHoogteligging": 0}], "bgt_wegdeel")
    assert city.column("Road", "layer").to_pylist() == [1, 0]
    assert "layer bgt_wegdeel: field relatieveHoogteligging is taken for layer: over the ground, on it or below" in messages(city)
    both = city_of(tmp_path, [{"relatieveHoogteligging": 1, "Layer": "A-ROAD"}], "wegdeel")
    assert (both.column("Road", "relatieveHoogteligging").to_pylist(), both.column("Road", "Layer").to_pylist()) == ([1], ["A-ROAD"])


def test_the_road_decks_of_delft_are_bridges_for_what_reads_roads(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "delft", "bgt_wegdeel.sqlite"))
    keys = city.keys("Road")
    water = SimpleNamespace(open_ways=())
    reason = crossing_reasons(city, keys, water, ImpactParameters())  # type: ignore[arg-type]
    assert np.count_nonzero(reason == "on_a_bridge") == 8  # of 151: relatievehoogteligging 1 in the file
    assert set(reason.tolist()) == {"on_a_bridge", None}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([{"道路编号": "甲"}, {"道路编号": "乙"}], ["乙", "甲"]),
        ([{"ROAD_ID": "a"}, {"ROAD_ID": "b"}], ["a", "b"]),
        ([{"道路编": "甲"}, {"道路编": "乙"}], ["乙", "甲"]),  # 道路编号 in a shapefile in UTF-8
        ([{"邮编": "210000"}, {"邮编": "210001"}], None),
        ([{"道路编号": "甲"}, {"道路编号": "甲"}, {"道路编号": "乙"}], None),  # pieces of roads: the number is that of the road
        ([{"道路编号": "甲"}, {"道路编号": None}, {"道路编号": "乙"}], None),
        ([{"用地代码": "R2"}, {"用地代码": "G1"}], None),  # names a class
        ([{"所属道路编号": "甲"}, {"所属道路编号": "乙"}], None),  # names something else
        ([{"from_id": "a"}, {"from_id": "b"}], None),
        ([{"编号": "甲", "道路编号": "x"}, {"编号": "乙", "道路编号": "y"}], ["乙", "甲"]),  # a name that is known comes first
    ],
)
def test_a_name_that_ends_like_an_id_is_one_where_every_record_has_another(
    tmp_path: Path, records: list[dict[str, Any]], expected: list[str] | None
) -> None:
    city = city_of(tmp_path, records, "道路")
    assert sorted(city.tables["objects"]["id"].to_pylist()) == (expected or sorted(f"道路.{n}" for n in range(len(records))))


def test_ids_come_from_a_field_that_tells_records_apart(tmp_path: Path) -> None:
    same = city_of(tmp_path, [{"Id": 0, "编号": "甲-1"}, {"Id": 0, "编号": "甲-2"}])
    assert sorted(same.tables["objects"]["id"].to_pylist()) == ["甲-1", "甲-2"]
    none = city_of(tmp_path, [{"Id": 0}, {"Id": 0}, {"Id": 0}], "trees")
    assert sorted(none.tables["objects"]["id"].to_pylist()) == ["trees.0", "trees.1", "trees.2"]
    assert "Id" in none.attributes["SolitaryVegetationObject"].column_names


def test_validity_dates_become_instants(tmp_path: Path) -> None:
    city = city_of(tmp_path, [{"begingeldigheid": "2011-01-25", "eindgeldigheid": None}])
    row = city.tables["objects"].to_pylist()[0]
    assert row["valid_from"] == datetime(2011, 1, 25, tzinfo=UTC)
    assert row["valid_to"] is None


def test_a_mapping_is_followed_to_the_letter(tmp_path: Path) -> None:
    mapping = {"class": "Bridge", "id": "nr", "name": "naam", "identifiers": {"asset": "tag"}, "ignore": ["junk"],
               "attributes": {"height": {"field": "H", "unit": "cm"}, "usage": {"field": "g", "codes": {"1": "pedestrian"}}}}  # fmt: skip
    rows = [{"nr": "x1", "naam": "Brug", "tag": "0012", "junk": 1, "H": 250, "g": 1, "rest": "r"}, {"nr": "x2", "g": 7}]
    city = city_of(tmp_path, rows, mapping=mapping)
    assert city.types() == {"Bridge": 2}
    assert city["x1"].name == "Brug"
    assert city["x1"].attributes == {"height": 2.5, "usage": "pedestrian", "rest": "r"}
    assert city["x2"].attributes.get("usage") == "7"
    assert {(row["scheme"], row["value"], row["normalised"]) for row in city.tables["identifiers"].to_pylist()} >= {("asset", "0012", "12")}
    assert any("1 values are not in the code list (7)" in text for text in messages(city))


def test_all_faults_of_a_mapping_come_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        city_of(tmp_path, [{"a": 1}], mapping={"klass": "Building", "id": "b", "attributes": {"height": "H"}})
    text = str(caught.value)
    assert "key 'klass' is not known" in text
    assert "id: there is no field 'b'" in text
    assert "attribute height: there is no field 'H'" in text
    assert "its fields are a" in text


def test_a_unit_of_another_kind_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not measure the same"):
        city_of(tmp_path, [{"H": 3}], mapping={"attributes": {"height": {"field": "H", "unit": "kg"}}})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bgt_pand", "Building"), ("建筑物轮廓", "Building"), ("TestRoads", "Road"), ("wegdeel", "Road"), ("onbegroeidterreindeel", "LandUse"),
     ("begroeidterreindeel", "PlantCover"), ("行道树", "SolitaryVegetationObject"), ("护城河", "WaterBody"), ("河北建筑", "Building"),
     ("overbruggingsdeel", "Bridge"), ("隧道", "Tunnel"), ("宗地", "LandUse"), ("区县界", "GenericLogicalSpace"),
     ("bgt_scheiding", "OtherConstruction")],
)  # fmt: skip
def test_a_class_follows_from_the_name(name: str, expected: str) -> None:
    assert guess_class((name,), set(), set(), AREA).name == expected


def test_without_a_telling_name_the_class_follows_from_fields_or_is_only_assumed() -> None:
    assert guess_class(("x",), {"height"}, set(), AREA)[:1] == ("Building",)
    assert guess_class(("x",), set(), {"bag"}, AREA).name == "Building"
    assert not guess_class(("x",), {"height"}, set(), LINE).sure
    assert guess_class(("x",), set(), set(), POINT) == ("GenericOccupiedSpace", "neither names nor fields tell", False)


def test_dates_in_many_spellings_are_instants_and_others_are_counted() -> None:
    values = ["2011-01-25", "2011/1/25", "20110125", "2011-01-25T17:12:28", "2011-01-25 17:12:28+08:00", "soon", None, "2021-02-30"]
    times, lost = instants(pa.array(values))
    got = times.to_pylist()
    assert got[0] == got[2] == datetime(2011, 1, 25, tzinfo=UTC)
    assert got[3] == datetime(2011, 1, 25, 17, 12, 28, tzinfo=UTC)
    assert got[4] == datetime(2011, 1, 25, 9, 12, 28, tzinfo=UTC)
    assert got[5:] == [None, None, None]
    assert lost >= 1


@pytest.mark.data
def test_footprints_of_suzhou_come_with_floor_and_height(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("china", "suzhou_buildings_floor", "suzhou_buildings.geojson"))
    table = city.attributes["Building"]
    assert city.types() == {"Building": 3076}
    ratio = np.array(table["height"].to_pylist(), float) / np.array(table["storeys_above_ground"].to_pylist(), float)
    assert np.median(ratio) == pytest.approx(3.0)  # the source takes 3 m a storey


@pytest.mark.data
def test_the_campus_keeps_four_records_under_one_id(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "tudcampus", "tudcampus.geojson"))
    shared = "NL.IMBAG.Pand.0503100000030264"
    assert city.types() == {"Building": 1529}
    assert [shared, f"{shared}#2", f"{shared}#3", f"{shared}#4"] == sorted(
        one for one in city.tables["objects"]["id"].to_pylist() if shared in one
    )
    assert sum(row["code"] == "duplicate" for row in city.tables["issues"].to_pylist()) == 3
    assert len({one.wkb for one in city.footprints(city.key_of([shared, f"{shared}#2", f"{shared}#3", f"{shared}#4"]))}) == 4


@pytest.mark.data
def test_the_swedish_set_comes_with_its_trap_named(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("city", "dtcc_minimal")
    plots, roads, ground = (read(folder / name) for name in ("PropertyMap.shp", "test_road.shp", "landuse_testdata.shp"))
    assert (len(plots), len(roads), len(ground)) == (3, 244, 67)
    assert any("look local" in text for text in messages(plots))
    assert "Allmän väg < 5 m, ej riksväg" in roads.column("Road", "class").to_pylist()
    assert (roads.types(), ground.types()) == ({"Road": 244}, {"LandUse": 67})


@pytest.mark.parametrize(
    ("limits", "metres_per_second"), [([30, 50], [30 / 3.6, 50 / 3.6]), (["60", "40"], [60 / 3.6, 40 / 3.6]), ([13.9, 8.3], [13.9, 8.3])]
)
def test_whole_speed_limits_without_a_unit_are_kilometres_per_hour(
    tmp_path: Path, limits: list[Any], metres_per_second: list[float]
) -> None:
    import geopandas as gpd

    lines = [shapely.LineString([(500000, 3400000 + k), (500010, 3400000)]) for k in (0, 5)]
    gpd.GeoDataFrame({"road_id": ["a", "b"], "maxspeed": limits}, geometry=lines, crs="EPSG:4549").to_file(tmp_path / "roads.gpkg")
    city = read(tmp_path / "roads.gpkg")
    assert sorted(city.column("Road", "speed_limit").to_pylist()) == pytest.approx(sorted(metres_per_second))
    told = " ".join(city.issues["message"])
    assert ("km/h" in told) == (limits[0] != 13.9)
