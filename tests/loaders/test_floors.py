"""Storeys as objects: numbers, elevations and areas by hand, the published floor area of Suzhou, and nothing guessed in silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely

import cim
from cim.errors import UsageError
from cim.loaders import fuse, read, storeys
from cim.model import City, CityBuilder, Column, roll_up
from cim.model.geometry import volume

X, Y = 500_000.0, 3_400_000.0


def _city(**columns: list[float | None]) -> City:
    builder = CityBuilder("EPSG:4549+5737", name="houses")
    shapes = [shapely.box(X, Y, X + 10, Y + 20), shapely.box(X + 50, Y, X + 60, Y + 10)]
    keys = builder.add_objects("Building", ["a", "b"], footprints=shapes, z_ground=[5.0, 6.0], z_roof=[17.0, 15.4])
    builder.add_attributes(keys, "Building", {name: Column(values) for name, values in columns.items()})
    return builder.build()


def test_a_stated_number_divides_the_height_evenly(tmp_path: Path) -> None:
    city = storeys(_city(storeys_above_ground=[4, None], storeys_below_ground=[1, None]), storey_height=3.1)
    found = {child.id: child for child in city["a"].children("BuildingStorey")}
    assert sorted(found) == ["a/B1", "a/F1", "a/F2", "a/F3", "a/F4"]
    assert found["a/F3"].attributes["elevation"] == pytest.approx(5.0 + 2 * 3.0)
    assert found["a/B1"].attributes["elevation"] == pytest.approx(5.0 - 3.1)
    assert found["a/F1"].attributes["storey_basis"] == "number stated"
    assert found["a/B1"].attributes["storey_basis"] == "estimated"
    assert found["a/F2"].attributes["floor_area"] == pytest.approx(200.0)
    assert len(city["b"].children("BuildingStorey")) == 3  # 9.4 m / 3.1 m
    assert any("1 of 2 buildings state no number of storeys: it is their height / 3.1 m" in text for text in city.issues["message"])
    assert city["a"].core["cim_level"] == "CIM5"
    cim.save(city, tmp_path / "a.cim")
    assert cim.open(tmp_path / "a.cim")["a/F4"].parent.id == "a"  # type: ignore[union-attr]


def test_blocks_of_storeys_fill_the_block_of_the_building() -> None:
    city = storeys(_city(storeys_above_ground=[4, 3]))
    table = city.geometry_table(type="BuildingStorey", lod="1")
    assert volume(table).sum() == pytest.approx(200 * 12 + 100 * 9.4, rel=1e-9)
    assert city.surface_table(table).num_rows == 3 * 7


def test_nothing_is_estimated_unless_it_is_asked_for() -> None:
    city = storeys(_city(storeys_above_ground=[4, None]))
    assert city["b"].children() == []
    assert any("give storey_height= to estimate" in text for text in city.issues["message"])


@pytest.mark.parametrize("number", [0, -1, 2.5, 400])
def test_a_number_that_cannot_be_is_told_and_not_used(number: float) -> None:
    city = storeys(_city(storeys_above_ground=[number, 2]), storey_height=3.0)
    assert city["a"].children() == []
    assert any("cannot be" in text for text in city.issues["message"])


def test_storeys_that_are_there_are_kept() -> None:
    once = storeys(_city(storeys_above_ground=[4, 3]))
    again = storeys(once, storey_height=2.0)
    assert again.types() == once.types()
    assert any("2 buildings have storeys of their own" in text for text in again.issues["message"])


def test_a_height_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(UsageError, match="storey_height"):
        storeys(_city(), storey_height=0.0)


@pytest.mark.data
def test_the_storeys_of_suzhou_add_up_to_its_published_floor_area(shared_data: Callable[..., Path]) -> None:
    city = fuse([read(shared_data("china", "suzhou_buildings_floor", "suzhou_buildings.geojson"))], crs="EPSG:4549")
    rolled = roll_up(storeys(city), "floor_area")
    top = rolled[rolled["depth"] == 0]
    assert top["value"].sum() == pytest.approx(4_146_603.593, abs=0.01)  # the figure of the notes, to the centimetre they print
    assert top["missing"].sum() == 0
    assert np.isfinite(top["value"]).all()


def test_storeys_last_as_long_as_their_building_and_are_of_its_grade() -> None:
    builder = CityBuilder("EPSG:4549+5737")
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2020))
    keys = builder.add_objects("Building", ["a"], footprints=[shapely.box(X, Y, X + 10, Y + 20)], z_ground=[5.0], z_roof=[17.0],
                               valid_from=[first], valid_to=[last], grades=["2"])  # fmt: skip
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([4])})
    city = storeys(builder.build())
    assert city.asof(datetime(2010, 1, 1, tzinfo=UTC)).types() == {"Building": 1, "BuildingStorey": 4}
    assert city.asof(datetime(2024, 1, 1, tzinfo=UTC)).types() == {}  # pulled down, every storey of it
    assert set(city.tables["objects"]["grade"].to_pylist()) == {"2"}


def test_without_a_height_the_reason_is_the_height_and_not_the_option_that_was_given() -> None:
    builder = CityBuilder("EPSG:4549+5737")
    shapes = [shapely.box(X, Y, X + 10, Y + 20), shapely.box(X + 50, Y, X + 60, Y + 10), shapely.box(X + 70, Y, X + 80, Y + 10)]
    builder.add_objects("Building", ["a", "b", "c"], footprints=shapes, z_ground=[5.0, 6.0, 6.0], z_roof=[17.0, np.nan, 6.0])
    texts = storeys(builder.build(), storey_height=3.0).issues["message"].tolist()
    assert any(text.startswith("2 of 3 buildings state no number") and "no height above 0 is known" in text for text in texts)
    assert not any("give storey_height=" in text for text in texts)
    texts = storeys(builder.build()).issues["message"].tolist()
    assert any(text.startswith("1 of 3") and "give storey_height=" in text for text in texts)
    assert any(text.startswith("2 of 3") and "no height above 0 is known" in text for text in texts)


def test_a_second_run_replaces_what_the_first_told_about_those_it_left() -> None:
    city = _city(storeys_above_ground=[4, None])
    first = storeys(city)
    assert any("give storey_height=" in text for text in first.issues["message"])
    twice = storeys(first)
    assert sum("give storey_height=" in text for text in twice.issues["message"]) == 1
    third = storeys(storeys(twice, storey_height=3.0), storey_height=3.0)
    texts = third.issues["message"].tolist()
    assert not any("give storey_height=" in text for text in texts)
    assert sum("have storeys of their own" in text for text in texts) == 1
    assert sum("it is their height / 3.0 m" in text for text in texts) == 1  # what was guessed once stays told


def test_storeys_that_were_there_without_an_area_are_told() -> None:
    builder = CityBuilder("EPSG:4549+5737")
    builder.add_objects("Building", ["a"], footprints=[shapely.box(X, Y, X + 10, Y + 20)])
    keys = builder.add_objects("BuildingStorey", ["a/1", "a/2", "a/3"], parents=["a", "a", "a"])
    builder.add_attributes(keys[:1], "BuildingStorey", {"floor_area": Column([100.0], unit="m2")})
    texts = storeys(builder.build()).issues["message"].tolist()
    assert any(text.startswith("2 of 3 storeys that were there have no floor_area") for text in texts)
