"""People on the floors that the water reaches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import CityBuilder, Column
from cim.results import Fields
from cim.sim.impact import exposure, people
from tests.sim.impact.helpers import CRS, add_buildings, make_city, make_water, rows

HOUSE = shapely.box(8, 8, 14, 14)


def run(depth: float, options: dict[str, Any] | None = None, **attributes: Any) -> Fields:
    city = make_city({"a": HOUSE}, attributes={name: Column([value]) for name, value in attributes.items()})
    return people(city, exposure(city, make_water(np.full((11, 11), depth))), **(options or {}))


@pytest.mark.parametrize(("depth", "floors"), [(0.0, 0), (0.15, 0), (0.2, 1), (3.15, 1), (3.2, 2), (6.2, 3), (40.0, 4)])
def test_only_storeys_below_the_water_are_affected(depth: float, floors: int) -> None:
    row = rows(run(depth, population=40, storeys_above_ground=4), "people")["a"]
    assert row["storeys_affected"] == floors
    assert row["people_affected"] == pytest.approx(10.0 * floors)
    assert row["status"] == ("affected" if floors else "unaffected")
    assert (row["people"], row["people_source"]) == (40.0, "attribute")


def test_people_are_assumed_from_floor_area_and_marked() -> None:
    result = run(0.5, usage="住宅", storeys_above_ground=3)
    row = rows(result, "people")["a"]
    assert row["people_source"] == "assumed"
    assert row["people"] == pytest.approx(36 * 3 / 41.76)
    assert row["people_affected"] == pytest.approx(36 / 41.76)
    assert any(
        "people of 1 buildings are assumed from floor area (residential 41.76 m² per person)" in note for note in result.run.assumptions
    )


def test_a_stated_floor_area_comes_before_footprint_times_storeys() -> None:
    assert rows(run(0.5, usage="住宅", storeys_above_ground=3, gross_floor_area=90.0), "people")["a"]["people"] == pytest.approx(90 / 41.76)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"usage": "商业", "storeys_above_ground": 3}, "unknown_people"),  # no density is assumed for shops
        ({"usage": "住宅"}, "unknown_floor_area"),
        ({"storeys_above_ground": 3}, "unknown_use"),
        ({"population": 40}, "unknown_storeys"),
    ],
)
def test_who_is_not_known_is_not_counted_as_nobody(attributes: dict[str, Any], reason: str) -> None:
    row = rows(run(0.5, **attributes), "people")["a"]
    assert (row["status"], row["reason"], row["people_affected"]) == ("not_assessed", reason, None)
    dry = rows(run(0.0, **attributes), "people")["a"]
    assert (dry["status"], dry["people_affected"]) == ("unaffected", 0.0)


def test_a_density_for_other_uses_may_be_given() -> None:
    row = rows(run(0.5, {"floor_area_per_person": {"commercial": 12.0}}, usage="商业", storeys_above_ground=2), "people")["a"]
    assert row["people_affected"] == pytest.approx(3.0)


def test_a_building_that_is_not_assessed_has_no_unaffected_people() -> None:
    city = make_city({"a": HOUSE, "b": shapely.box(100, 100, 110, 110)}, attributes={"population": Column([4, 4])})
    row = rows(people(city, exposure(city, make_water(np.zeros((11, 11))))), "people")["b"]
    assert (row["status"], row["reason"], row["people_affected"]) == ("not_assessed", "outside_domain", None)


def test_the_storeys_of_a_building_model_count_with_their_levels_and_areas() -> None:
    builder = CityBuilder(CRS)
    add_buildings(builder, {"a": HOUSE}, attributes={"population": Column([60])}, z_ground=[10.0])
    keys = builder.add_objects(
        "BuildingStorey", ["k", "g", "u"], parents=["a"] * 3, z_ground=[7.0, 10.2, 14.2], names=["cellar", "ground", "upper"]
    )
    builder.add_attributes(keys, "BuildingStorey", {"floor_area": Column([36.0, 36.0, 12.0], unit="m²")})
    city = builder.build()
    result = people(
        city, exposure(city, make_water(np.full((11, 11), 3.9), ground=10.0))
    )  # 3.7 m over the ground floor: below the upper one
    row = rows(result, "people")["a"]
    assert (row["storeys_affected"], row["people_affected"]) == (1.0, pytest.approx(45.0))
    floors = result.table("floors").to_pylist()
    assert [(one["place"], one["people"]) for one in floors] == [("1: ground", pytest.approx(45.0))]
    assert floors[0]["depth"] == pytest.approx(3.7)
    higher = people(city, exposure(city, make_water(np.full((11, 11), 4.5), ground=10.0)))
    assert rows(higher, "people")["a"]["people_affected"] == pytest.approx(60.0)


def test_the_floors_add_up_to_the_building() -> None:
    result = run(5.0, population=40, storeys_above_ground=4)
    floors = result.table("floors").to_pylist()
    assert [one["place"] for one in floors] == ["1: F1", "2: F2"]
    assert sum(one["people"] for one in floors) == pytest.approx(rows(result, "people")["a"]["people_affected"])
    assert result.run.balance["people_affected"] == pytest.approx(20.0)
