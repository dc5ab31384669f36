"""Values rolled up through levels, against a recursive oracle; places to parents by the largest share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model import City, CityBuilder, Column, group_by_place, roll_up


def _tree(parents: list[int], values: list[float | None], unit: str = "m2") -> City:
    builder = CityBuilder("EPSG:4549")
    names = [f"n{number}" for number in range(len(parents))]
    keys = builder.add_objects("CityObjectGroup", names, parents=[None if up < 0 else names[up] for up in parents])
    builder.add_attributes(keys, "CityObjectGroup", {"floor_area": Column(values, unit=unit)})
    return builder.build()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(-1, 50), st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=12),
    st.sampled_from(["sum", "min", "max", "mean"]),
)
def test_every_object_has_what_its_lowest_parts_have(nodes: list[tuple[int, int | None]], how: str) -> None:
    parents = [min(up, number - 1) for number, (up, _) in enumerate(nodes)]
    values = [None if value is None else float(value) for _, value in nodes]
    if all(value is None for value in values):
        values[0] = 1.0
    found = roll_up(_tree(parents, values), "floor_area", how=how)

    def lowest(node: int) -> list[float]:
        below = [value for child, up in enumerate(parents) if up == node for value in lowest(child)]
        own = values[node]
        return below or ([] if own is None else [own])

    reduce: Callable[[list[float]], float] = {"sum": np.sum, "min": np.min, "max": np.max, "mean": np.mean}[how]  # type: ignore[assignment]
    for node in range(len(parents)):
        expected = lowest(node)
        if expected:
            assert found.loc[f"n{node}", "value"] == pytest.approx(reduce(expected))
            assert found.loc[f"n{node}", "counted"] == len(expected)


def test_what_is_missing_is_counted_and_what_an_object_states_is_compared() -> None:
    found = roll_up(_tree([-1, 0, 0, 1], [10.0, None, None, 4.0]), "floor_area")
    assert found.loc["n0"].drop(["level", "depth", "parent"]).to_dict() == {
        "value": 4.0,
        "counted": 1,
        "missing": 1,
        "own": 10.0,
        "difference": 6.0,
    }
    assert found.attrs["unit"] == "m²"


def test_levels_have_the_names_people_give_them() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("CityObjectGroup", ["park", "quarter"], parents=[None, "park"])
    builder.add_attributes(keys, "CityObjectGroup", {"level_name": Column(["园区", "分区"]), "people": Column([np.nan, np.nan])})
    house = builder.add_objects("Building", ["b"], parents=["quarter"])
    builder.add_attributes(house, "Building", {"people": Column([12.0])})
    found = roll_up(builder.build(), "people", levels={"Building": "楼栋"})
    assert found["level"].to_dict() == {"park": "园区", "quarter": "分区", "b": "楼栋"}
    assert found.loc["park", "value"] == 12.0


def test_units_that_differ_are_not_added_up() -> None:
    builder = CityBuilder("EPSG:4549")
    for kind, unit in (("Building", "m"), ("Road", "kg")):
        keys = builder.add_objects(kind, [kind])
        builder.add_attributes(keys, kind, {"size": Column([1.0], unit=unit)})
    with pytest.raises(UsageError, match="different units"):
        roll_up(builder.build(), "size")
    with pytest.raises(UsageError, match="no class"):
        roll_up(builder.build(), "nothing")


def test_a_building_belongs_to_the_plot_that_holds_most_of_it() -> None:
    builder = CityBuilder("EPSG:4549")
    x, y = 500_000.0, 3_400_000.0
    builder.add_objects(
        "LandUse", ["left", "right"], footprints=[shapely.box(x, y, x + 50, y + 50), shapely.box(x + 50, y, x + 100, y + 50)]
    )
    shapes = [
        shapely.box(x + 30, y + 5, x + 55, y + 15),
        shapely.box(x + 48, y + 20, x + 60, y + 30),
        shapely.box(x + 95, y, x + 130, y + 9),
    ]
    builder.add_objects("Building", ["a", "b", "c"], footprints=shapes)
    city = group_by_place(builder.build(), "LandUse")
    assert [[whole.id for whole in city[id_].parents()] for id_ in "abc"] == [["left"], ["right"], []]
    assert any("1 of 3 Building lie in no LandUse" in text for text in city.issues["message"])
    assert np.array_equal(np.sort(city.keys("Building")), np.sort(group_by_place(city, "LandUse").keys("Building")))


def test_of_two_areas_that_hold_a_building_the_smaller_is_its_place_and_none_is_lost_in_silence() -> None:
    builder = CityBuilder("EPSG:4549")
    x, y = 500_000.0, 3_400_000.0
    areas = [shapely.box(x, y, x + 100, y + 100), shapely.box(x, y, x + 20, y + 20)]
    builder.add_objects("LandUse", ["park", "plot"], footprints=areas)
    builder.add_objects("Building", ["a", "nowhere"], footprints=[shapely.box(x + 2, y + 2, x + 8, y + 8), None])
    city = group_by_place(builder.build(), "LandUse")
    assert [whole.id for whole in city["a"].parents()] == ["plot"]
    assert any("1 of 2 Building have no footprint" in text for text in city.issues["message"])
    with pytest.raises(UsageError, match="both LandUse"):
        group_by_place(city, "LandUse", "LandUse")


def _house() -> City:
    """A house of two storeys with two walls each, a house beside it of which nothing is known, and a tree."""
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Building", ["house", "other"])
    storeys = builder.add_objects("BuildingStorey", ["s1", "s2"], parents=["house", "house"])
    walls = [f"w{number}" for number in range(4)]
    builder.add_objects("BuildingConstructiveElement", walls, parents=["s1", "s1", "s2", "s2"])
    builder.add_objects("SolitaryVegetationObject", ["tree"])
    builder.add_attributes(storeys[:1], "BuildingStorey", {"floor_area": Column([80.0], unit="m2")})
    return builder.build()


def test_a_wall_without_a_floor_area_lacks_nothing_but_a_storey_does() -> None:
    found = roll_up(_house(), "floor_area")
    assert list(found.loc["house", ["value", "counted", "missing"]]) == [80.0, 1, 1]
    assert list(found.loc["s2", ["counted", "missing"]]) == [0, 1]
    assert not {"w0", "tree"} & set(found.index)


def test_the_total_holds_everything_at_the_top_and_what_is_missing_there() -> None:
    assert roll_up(_house(), "floor_area").attrs["total"] == {"value": 80.0, "counted": 1, "missing": 2}  # s2 and the other house
    city = _tree([-1, 0, 0, -1, -1], [None, 2.0, 4.0, 9.0, None])
    expected = {"sum": 15.0, "mean": 5.0, "min": 2.0, "max": 9.0}
    for how, value in expected.items():
        assert roll_up(city, "floor_area", how=how).attrs["total"] == {"value": value, "counted": 3, "missing": 1}


def test_a_missing_attribute_says_what_makes_it_or_what_there_is() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["b"])
    builder.add_attributes(keys, "Building", {"people": Column([12.0])})
    with pytest.raises(UsageError, match=r"cim\.loaders\.storeys\(city, storey_height=3\.0\)"):
        roll_up(builder.build(), "floor_area")
    with pytest.raises(UsageError, match="numbers that it has: people"):
        roll_up(builder.build(), "poeple")
