"""The gate: what no reader may let in, whatever its format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import CRSError
from cim.loaders.gate import _in_cycle, check, doubts
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import boundaries_from, vertices_from

FILE = Path("given.xyz")


def make(n: int = 3, *, crs: str = "EPSG:28992", east: float = 85000.0, north: float = 447000.0, **columns: Column) -> City:
    builder = CityBuilder(crs)
    shapes = shapely.box(east + 20.0 * np.arange(n), north, east + 10 + 20.0 * np.arange(n), north + 10)
    keys = builder.add_objects("Building", [f"b{i}" for i in range(n)], footprints=shapes, source=builder.add_source(SourceRecord("s")))
    if columns:
        builder.add_attributes(keys, "Building", columns)
    return builder.build()


def issues(city: City) -> list[tuple[str, str]]:
    return [(row["code"], row["message"]) for row in city.tables["issues"].to_pylist()]


def test_a_clean_city_passes_as_it_is() -> None:
    city = make(height=Column([3.0, 5.0, 8.0], unit="m"))
    assert check(city, FILE) is city


@pytest.mark.parametrize("wrong", [-9999.0, 99999.0, 1e30, -3.0, float("inf")])
def test_a_height_that_cannot_be_is_missing_and_named(wrong: float) -> None:
    city = check(make(height=Column([3.0, wrong, 8.0], unit="m")), FILE)
    assert city.column("Building", "height").to_pylist() == [3.0, None, 8.0]
    ((code, message),) = issues(city)
    assert code == "rejected"
    assert "height of Building 'b1'" in message
    assert "0 to 1000 m" in message


def test_units_and_labels_of_a_column_survive_the_gate() -> None:
    city = check(make(height=Column([3.0, -9999.0, 8.0], unit="m", source_field="H")), FILE)
    metadata = city.attributes["Building"].schema.field("height").metadata
    assert (metadata[b"unit"], metadata[b"source_field"]) == (b"m", b"H")


def test_an_attribute_without_bounds_may_hold_any_number() -> None:
    city = make(编号=Column([-9999, 5, 99999]))
    assert check(city, FILE) is city


def test_many_absurd_values_are_counted_not_listed() -> None:
    city = check(make(50, height=Column([-9999.0] * 50, unit="m")), FILE)
    rows = city.tables["issues"].to_pylist()
    assert sum(row["count"] for row in rows) == 50
    assert len(rows) < 25


def test_metres_said_to_be_degrees_are_refused() -> None:
    with pytest.raises(CRSError, match=r"given\.xyz: coordinates up to 447010 cannot be degrees"):
        check(make(crs="EPSG:4326"), FILE)


def test_local_coordinates_are_a_doubt_and_not_an_error() -> None:
    city = check(make(crs="EPSG:3857", east=-12.0, north=-5.0), FILE)
    assert [code for code, _ in issues(city)] == ["crs"]
    assert "look local" in issues(city)[0][1]


def test_degrees_in_a_metric_system_are_no_local_coordinates() -> None:
    from cim.crs import parse

    with pytest.raises(CRSError, match="degrees"):
        doubts((113.9, 22.5, 114.1, 22.6), parse("EPSG:3857"), "x")


def with_geometry(vertices: list[list[float]], index: list[int]) -> City:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Building", ["good", "bad"])
    fine = [[85000.0, 447000.0, 0.0], [85010.0, 447000.0, 0.0], [85010.0, 447010.0, 0.0]]
    points = np.array(fine + vertices)
    boundaries = boundaries_from([0, 1, 2, *index], [3, len(index)], [1, 1], [1, 1], [1, 1], [1, 1])
    gkeys = builder.add_geometries(keys, lod="1", role="multi_surface", type="MultiSurface",
                                   vertices=vertices_from(points, [3, len(vertices)]), boundaries=boundaries)  # fmt: skip
    builder.add_surfaces(gkeys, [0, 0], ["GroundSurface", "RoofSurface"])
    return builder.build()


@pytest.mark.parametrize(
    ("vertices", "index", "why"),
    [
        ([[85000.0, 447000.0, np.nan], [85001.0, 447000.0, 0.0], [85001.0, 447001.0, 0.0]], [0, 1, 2], "not finite"),
        ([[85000.0, 447000.0, 0.0], [85001.0, 447000.0, 0.0], [85001.0, 447001.0, 0.0]], [0, 1, 3], "out of range"),
        ([[85000.0, 447000.0, 0.0], [85001.0, 447000.0, 0.0], [85001.0, 447001.0, 0.0]], [0, 1, -1], "out of range"),
    ],
)
def test_a_broken_geometry_is_left_out_and_its_object_stays(vertices: list[list[float]], index: list[int], why: str) -> None:
    city = check(with_geometry(vertices, index), FILE)
    assert len(city) == 2
    assert city.tables["geometries"].num_rows == 1
    assert city.tables["surfaces"]["type"].to_pylist() == ["GroundSurface"]
    assert [(code, why in message and "'bad'" in message) for code, message in issues(city)] == [("rejected", True)]


def test_a_cycle_of_parents_is_cut_and_what_hangs_below_stays() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("BuildingPart", ["a", "b", "c", "d"], parents=["b", "a", "a", None])
    city = check(builder.build(), FILE)
    parents = {row["id"]: row["parent"] for row in city.tables["objects"].to_pylist()}
    assert parents["a"] is None
    assert parents["b"] is None
    assert parents["c"] == city.key_of(["a"])[0]
    assert [code for code, _ in issues(city)] == ["repaired", "repaired"]


@given(st.lists(st.integers(-1, 11), min_size=1, max_size=12))
def test_rows_on_a_cycle_are_found_like_by_walking(pointers: list[int]) -> None:
    above = np.array([one if one < len(pointers) else -1 for one in pointers], np.int64)

    def returns(start: int) -> bool:
        at = int(above[start])
        for _ in range(len(above)):
            if at in (-1, start):
                return at == start
            at = int(above[at])
        return False

    assert _in_cycle(above).tolist() == [returns(row) for row in range(len(above))]


def test_records_that_vanished_are_an_error_in_the_report() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_source(SourceRecord("roads", records_in=10, objects_out=7, rejected=2))
    rows = check(builder.build(), FILE).tables["issues"].to_pylist()
    assert [(row["code"], row["severity"], row["count"]) for row in rows] == [("lost", "error", 1)]


def test_a_roof_below_its_ground_is_a_conflict() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("Building", ["a", "b"], z_ground=[3.0, 3.0], z_roof=[9.0, 1.0])
    city = check(builder.build(), FILE)
    assert [code for code, _ in issues(city)] == ["conflict"]
    assert pa.compute.sum(city.tables["objects"]["z_roof"]).as_py() == 10.0
