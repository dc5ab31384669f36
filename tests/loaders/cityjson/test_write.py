"""Writing CityJSON: what goes into the file, what the loss report names, and that a file is replaced whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.loaders.cityjson import READER, write_cityjson
from cim.loaders.cityjson.encode import unique_vertices
from cim.loaders.protocol import ReadOptions
from cim.model import City, CityBuilder, Column
from cim.model.geometry import extrude
from cim.model.loss import LossReport

FOOT = shapely.box(500000, 3460000, 500010, 3460020)


def small_city(**extra: Any) -> City:
    """Return a city that no file holds: one block, one plot known by its footprint, one road line, one tree point."""
    builder = CityBuilder("EPSG:4549+5737", name="三河")
    block = builder.add_objects("Building", ["b"], footprints=[FOOT], names=["甲"], z_ground=[3.0], z_roof=[15.0], **extra)
    road = shapely.LineString([(500000, 3460000), (500050, 3460000)])
    shapes = [FOOT.buffer(5, join_style="mitre"), road, shapely.Point(500030, 3460005)]
    flat = builder.add_objects(["LandUse", "Road", "SolitaryVegetationObject"], ["p", "r", "t"], footprints=shapes, z_ground=[3.0] * 3)
    made = extrude([FOOT], 3.0, 15.0)
    columns = {"vertices": made.vertices, "boundaries": made.boundaries, "semantics": made.semantics}
    rows = builder.add_geometries(block, lod="1", role="solid", type=made.type, **columns)
    builder.add_surfaces(np.repeat(rows, 3), [0, 1, 2], list(made.SURFACES))
    builder.add_attributes(block, "Building", {"height": Column([12.0], unit="m"), "noise": Column([55.0], unit="dB")})
    builder.add_relations(block, "connectsTo", flat[1:2])
    return builder.build()


def lost(report: LossReport) -> dict[str, int]:
    return {row["what"]: row["count"] for row in report.lost.to_pylist()}


def test_objects_known_by_their_footprint_come_back_and_the_report_says_how(tmp_path: Path) -> None:
    city = small_city()
    report = write_cityjson(city, tmp_path / "a.city.json")
    again = READER.read(tmp_path / "a.city.json", ReadOptions())
    assert again.crs == city.crs
    assert again.types() == city.types()
    assert again["b"].name == "甲"
    assert again["b"].attributes["height"] == 12.0
    assert again.unit("Building", "height") == "m"
    for id in ("b", "p", "r", "t"):
        assert shapely.hausdorff_distance(again[id].footprint, city[id].footprint) < 1e-3  # coordinates are whole millimetres
    assert lost(report) == {"footprints written as LoD0 geometry": 3, "unit of attribute noise (dB)": 1, "relations connectsTo": 1}


def test_standard_names_become_those_of_citygml(tmp_path: Path) -> None:
    write_cityjson(small_city(), tmp_path / "a.city.json")
    file = json.loads((tmp_path / "a.city.json").read_bytes())
    assert file["CityObjects"]["b"]["attributes"] == {"measuredHeight": 12.0, "noise": 55.0, "name": "甲"}
    assert file["metadata"]["referenceSystem"].startswith("https://www.opengis.net/def/crs-compound?1=")
    assert file["CityObjects"]["b"]["geometry"][0]["semantics"]["values"] == [[0, 1, 2, 2, 2, 2]]


def test_validity_grades_and_foreign_heights_are_named_as_lost(tmp_path: Path) -> None:
    report = lost(write_cityjson(small_city(valid_from=[datetime(2020, 1, 1, tzinfo=UTC)], grades=["B"]), tmp_path / "a.city.json"))
    assert report["begin of validity"] == 1
    assert report["data grade"] == 1
    city = small_city()
    objects = city.tables["objects"]
    column = objects.column_names.index("z_roof")
    changed = city.replace_tables(objects=objects.set_column(column, objects.schema.field("z_roof"), [[15.5, None, None, None]]))
    assert lost(write_cityjson(changed, tmp_path / "a.city.json"))["z_roof that does not follow from the geometry"] == 1


def test_a_footprint_from_elsewhere_is_named_as_lost(tmp_path: Path) -> None:
    city = small_city()
    objects = city.tables["objects"]
    shapes = np.where(np.asarray(objects["type"].to_pylist()) == "Building", FOOT.buffer(0.5, join_style="mitre"), city.footprints())
    column = objects.column_names.index("footprint")
    moved = objects.set_column(column, objects.schema.field("footprint"), [shapely.to_wkb(shapes).tolist()])
    report = lost(write_cityjson(city.replace_tables(objects=moved), tmp_path / "a.city.json"))
    assert report["2D footprint that does not follow from the geometry"] == 1


def test_levels_left_out_as_asked_are_counted(tmp_path: Path) -> None:
    report = write_cityjson(small_city(), tmp_path / "a.city.json", lods=["2"])
    assert lost(report)["geometries of other levels of detail, left out as asked"] == 1
    assert "geometry" not in json.loads((tmp_path / "a.city.json").read_bytes())["CityObjects"]["b"]


def test_a_scale_that_would_move_points_is_not_used(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:7415")
    shape = shapely.box(85000.00005, 447000, 85010, 447010)
    made = extrude([shape], 0.0, 3.0)
    keys = builder.add_objects("Building", ["b"], footprints=[shape])
    builder.add_geometries(keys, lod="1", role="solid", type=made.type, vertices=made.vertices, boundaries=made.boundaries)
    report = write_cityjson(builder.build(), tmp_path / "a.city.json")
    assert json.loads((tmp_path / "a.city.json").read_bytes())["transform"]["scale"] == [1e-5] * 3
    assert len(report) == 0
    assert report.text() == "nothing is lost"


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_cityjson(small_city(), tmp_path / "taken")
    with pytest.raises(UsageError, match=r"version is '3\.0'"):
        write_cityjson(small_city(), tmp_path / "a.json", version="3.0")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_empty_city_is_a_valid_file(tmp_path: Path) -> None:
    assert len(write_cityjson(CityBuilder("EPSG:7415").build(), tmp_path / "a.city.json")) == 0
    file = json.loads((tmp_path / "a.city.json").read_bytes())
    assert (file["CityObjects"], file["vertices"]) == ({}, [])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-3, 3))))
def test_unique_vertices_are_each_there_once_and_every_point_finds_its_own(points: list[tuple[int, int, int]]) -> None:
    array = np.array(points, np.int64).reshape(-1, 3)
    unique, row = unique_vertices(array)
    assert len({tuple(one) for one in unique.tolist()}) == len(unique)
    assert (unique[row] == array).all()
