"""Every column of the tables of reach, service areas and evacuation says what it is, in both languages, and in which unit."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cim.results import Fields
from cim.results.columns import TITLES, title, unit
from cim.sim.impact import evacuation, reach, service_area
from tests.sim.impact.reach_city import both, road_states, street

RESULTS = {
    "reach": lambda: reach(street(), stations="fire", roads=road_states(*both("main:b>c", 0.0, 600.0)), within=["4min", "8min"]),
    "times": lambda: service_area(street(), "fire"),
    "ways": lambda: service_area(street(), "fire", within="800m"),
    "evacuation": lambda: evacuation(street(), ["post"], capacity=100.0),
}


@pytest.mark.parametrize("name", list(RESULTS))
def test_every_column_has_a_title_in_both_languages_and_every_number_a_unit(name: str) -> None:
    found: Fields = RESULTS[name]()
    bare = []
    for table, held in found.tables.items():
        for field in held.schema:
            said = field.metadata or {}
            named = field.name in TITLES or (said.get(b"label_en") and said.get(b"label_zh"))
            counts = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
            if not named or (counts and table != "figures" and not unit(field)):
                bare.append(f"{table}.{field.name}")
            if pa.types.is_timestamp(field.type):
                assert "UTC" in title(field)
    assert bare == []
    assert all(row["unit"] for row in found.tables["figures"].to_pylist()) if "figures" in found.tables else True


def test_people_within_are_not_known_where_nobody_says_how_many_and_0_where_nobody_is_within() -> None:
    areas = service_area(street(), [(1505.0, 1000.0)], within=["1m", "60m"], objects=["north", "west"]).table("areas").to_pylist()
    assert [(row["objects"], row["people"]) for row in areas] == [(0, 0.0), (1, None)]  # the one is "north", of whom nobody knows


def test_where_nothing_is_assessed_nobody_knows_how_many_are_reached() -> None:
    far = street(far=500.0)
    steps = reach(far, stations="fire", roads=road_states(*both("main:b>c", 0.0, 600.0)), objects=["north"]).table("steps").to_pylist()
    assert {(row["objects"], row["reached_share"], row["people_reached"]) for row in steps} == {(0, None, None)}
    (area,) = service_area(far, "fire", objects=["north"]).table("areas").to_pylist()
    assert (area["objects_share"], area["people"], area["floor_area"]) == (None, None, None)


def test_an_evacuation_of_unknown_people_has_no_sums() -> None:
    found = evacuation(street(), ["post"], capacity=100.0, objects=["north"])
    assert set(found.run.balance) == {"places"}
    assert any("1 of 1 objects are not assessed" in text for text in found.run.assumptions)
