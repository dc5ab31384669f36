"""Lines along each other, points beside each other, registers and the footprints they speak of, periods that do not meet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate

from cim.errors import UsageError
from cim.loaders.fusion import Pairs, fuse, match_cities
from cim.model import City, CityBuilder, Column, SourceRecord

STEP_LOSS = 0.03  # share of a line that cutting it into steps and its rounded buffer ends leave open
EAST, NORTH = 500000.0, 3460000.0


def layer(name: str, type: str, shapes: Sequence[Any], *, ids: Sequence[str] | None = None, **core: Any) -> City:
    builder = CityBuilder("EPSG:4549+5737", name=name)
    source = builder.add_source(SourceRecord(name))
    core = {field: [day and datetime.fromisoformat(f"{day}T00:00Z") for day in days] for field, days in core.items()}
    ids = ids or [f"{name}{n}" for n in range(len(shapes))]
    builder.add_objects(type, list(ids), footprints=np.asarray(shapes, object), source=source, **core)
    return builder.build()


def line(*places: tuple[float, float]) -> Any:
    return shapely.LineString([(EAST + x, NORTH + y) for x, y in places])


def point(x: float, y: float) -> Any:
    return shapely.Point(EAST + x, NORTH + y)


def box(x: float, y: float = 0.0, width: float = 10.0) -> Any:
    return shapely.box(EAST + x, NORTH + y, EAST + x + width, NORTH + y + 10)


def found(left: City, right: City, **options: Any) -> set[tuple[str, str, str]]:
    pairs = match_cities(left, right, **options)
    return named(pairs, left, right)


def named(pairs: Pairs, left: City, right: City) -> set[tuple[str, str, str]]:
    return set(zip(left.ids(pairs.left), right.ids(pairs.right), pairs.kind.tolist(), strict=True))


# --------------------------------------------------------------------------------------------- lines


def test_a_road_drawn_twice_is_one_road_whichever_way_it_is_drawn() -> None:
    left = layer("A", "Road", [line((0, 0), (100, 0)), line((0, 50), (100, 50))])
    right = layer("B", "Road", [shapely.reverse(line((0, 52), (50, 51), (100, 52))), line((1, -2), (99, -1))])
    assert found(left, right) == {("A0", "B1", "same"), ("A1", "B0", "same")}


def test_roads_that_cross_or_only_touch_are_two() -> None:
    left = layer("A", "Road", [line((0, 0), (100, 0))])
    right = layer("B", "Road", [line((50, -50), (50, 50)), line((100, 0), (108, 0)), line((100, 0), (200, 0)), line((0, 20), (100, 20))])
    assert found(left, right) == set()


def test_of_two_carriageways_each_meets_its_own() -> None:
    left = layer("A", "Road", [line((0, 0), (200, 0)), line((0, 4), (200, 4))])
    right = layer("B", "Road", [line((0, 5), (200, 5)), line((0, 1), (200, 1))])
    assert found(left, right, within=5.0) == {("A0", "B1", "same"), ("A1", "B0", "same")}


def test_a_road_in_pieces_is_a_whole_with_parts() -> None:
    left = layer("A", "Road", [line((0, 0), (150, 0))])
    right = layer("B", "Road", [line((0, 1), (50, 1)), line((50, 1), (100, 1)), line((100, 1), (150, 1))])
    assert found(left, right) == {("A0", f"B{n}", "part") for n in range(3)}
    assert found(right, left) == {(f"B{n}", "A0", "whole") for n in range(3)}


@given(st.integers(0, 500))
@settings(max_examples=25)
def test_the_share_of_gentle_lines_is_that_of_their_buffers(seed: int) -> None:
    chance = np.random.default_rng(seed)
    x = np.arange(0, 201, 20.0)
    a = line(*zip(x, np.cumsum(chance.uniform(-2, 2, len(x))), strict=True))
    b = translate(a, float(chance.uniform(-60, 60)), float(chance.uniform(-2, 2)))
    left, right = layer("A", "Road", [a]), layer("B", "Road", [b])
    pairs = match_cities(left, right, within=5.0, minimum=0.05)
    forth = shapely.intersection(a, b.buffer(5.0, cap_style="flat")).length
    back = shapely.intersection(b, a.buffer(5.0, cap_style="flat")).length
    shared = (forth + back) / 2
    assert pairs.score[0] == pytest.approx(shared / (a.length + b.length - shared), abs=STEP_LOSS)


def test_evidence_of_a_line_says_what_runs_along_it_and_what_else_does() -> None:
    left = layer("A", "Road", [line((0, 0), (100, 0)), line((60, 3), (160, 3))])
    pairs = match_cities(left, layer("B", "Road", [line((0, 1), (100, 1))]))
    assert pairs.evidence[0].startswith("along each other ")


# --------------------------------------------------------------------------------------------- points


def slow_pairs(left: Sequence[Any], right: Sequence[Any], within: float) -> set[tuple[int, int]]:
    """Pair points one by one: each other's nearest, near enough, and nothing else for either within twice the distance."""
    gaps = np.array([[a.distance(b) for b in right] for a in left])
    pairs = set()
    for i in range(len(left)):
        for j in range(len(right)):
            d = gaps[i, j]
            others = [*np.delete(gaps[i], j), *np.delete(gaps[:, j], i)]
            if d <= within and all(other >= 2 * d and other > 0 for other in others):
                pairs.add((i, j))
    return pairs


@given(st.integers(0, 1000), st.integers(1, 25), st.integers(1, 25))
@settings(max_examples=60)
def test_points_pair_as_a_slow_loop_pairs_them(seed: int, n: int, m: int) -> None:
    chance = np.random.default_rng(seed)
    a = [point(x, y) for x, y in chance.uniform(0, 20, (n, 2))]
    b = [point(x, y) for x, y in chance.uniform(0, 20, (m, 2))]
    left, right = layer("A", "CityFurniture", a), layer("B", "CityFurniture", b)
    expected = {(f"A{i}", f"B{j}", "same") for i, j in slow_pairs(a, b, 2.0)}
    assert found(left, right, use_identifiers=False) == expected


def test_two_trees_as_near_are_named_and_none_is_taken() -> None:
    left = layer("A", "SolitaryVegetationObject", [point(0, 0), point(1.0, 0), point(50, 0)])
    right = layer("B", "SolitaryVegetationObject", [point(0.5, 0), point(50.3, 0)])
    city = fuse([left, right])
    assert set(city.report.matches.query("kind == 'same'")["record"]) == {"B1"}
    matches = city.report.matches.set_index("record")
    assert matches.loc["B0", "kind"] == "new"
    assert matches.loc["B0", "evidence"] == "ambiguous, not matched; candidates: 'A0' 0.50 m, 'A1' 0.50 m"
    (message,) = city.issues[city.issues["code"] == "unmatched"]["message"]
    assert message == "1 records have several candidates about as near and were not matched: 'B0'; see the matches"


def test_points_of_different_classes_or_too_far_apart_stay_two() -> None:
    left = layer("A", "CityFurniture", [point(0, 0)])
    assert found(left, layer("B", "SolitaryVegetationObject", [point(0, 0)])) == set()
    assert found(left, layer("B", "CityFurniture", [point(2.1, 0)])) == set()
    assert found(left, layer("B", "CityFurniture", [point(2.1, 0)]), within={"point": 3.0}) == {("A0", "B0", "same")}


def test_unknown_distances_are_refused() -> None:
    with pytest.raises(UsageError, match="give distances above 0 m for point, line, register"):
        fuse([layer("A", "Road", [])], within={"tree": 1.0})
    with pytest.raises(UsageError, match="above 0 m"):
        fuse([layer("A", "Road", [])], within=-1.0)


# --------------------------------------------------------------------------------------------- registers


def test_a_register_is_joined_by_number_then_by_place_then_by_distance() -> None:
    houses = layer("H", "Building", [box(0), box(30), box(60), box(90)], ids=["n1", "n2", "n3", "n4"])
    spots = [None, point(35, 5), point(57, 5), point(200, 5)]
    register = layer("R", "Building", spots, ids=["n1", "x", "y", "z"])
    pairs = match_cities(houses, register)
    assert named(pairs, houses, register) == {("n1", "n1", "same"), ("n2", "x", "same"), ("n3", "y", "same")}
    say = dict(zip(register.ids(pairs.right), zip(pairs.score.tolist(), pairs.evidence.tolist(), strict=True), strict=True))
    assert say["n1"] == (1.0, "identifier n1")
    assert say["x"] == (1.0, "inside the footprint")
    assert say["y"] == (pytest.approx(1 - 0.5 * 0.3), "3.00 m from the footprint")


def test_an_address_between_two_houses_is_ambiguous() -> None:
    houses = layer("H", "Building", [box(0), box(16)])
    city = fuse([houses, layer("R", "Building", [point(13, 5)])])
    evidence = str(city.report.matches.set_index("record").loc["R0", "evidence"])
    assert evidence.startswith("ambiguous, not matched; candidates: 'H0' 3.00 m")
    assert len(city) == 3


def test_many_addresses_in_one_house_are_parts_of_it() -> None:
    city = fuse([layer("H", "Building", [box(0)]), layer("R", "Building", [point(2, 2), point(5, 5)])])
    assert len(city) == 1
    assert city.report.balance.set_index("source").loc["R", "part"] == 2


def test_a_class_of_register_records_is_joined_where_the_caller_says_so() -> None:
    houses = layer("H", "Building", [box(0), box(30)])
    register = layer("R", "GenericCityObject", [point(5, 5), point(32, 5)])
    assert found(houses, register) == set()
    assert found(houses, register, join={"GenericCityObject": "Building"}) == {("H0", "R0", "same"), ("H1", "R1", "same")}
    by_number = layer("R", "GenericCityObject", [None], ids=["H1"])
    assert found(houses, by_number) == set()
    assert found(houses, by_number, join={"GenericCityObject": "Building"}) == {("H1", "H1", "same")}


def test_street_furniture_is_not_drawn_to_a_polygon_some_metres_away() -> None:
    shelter = layer("A", "CityFurniture", [box(0, width=3)])
    assert found(shelter, layer("B", "CityFurniture", [point(9, 5)])) == set()


def test_a_point_that_leads_gets_the_polygon_of_the_other_source() -> None:
    city = fuse([layer("P", "Building", [point(5, 5)]), layer("S", "Building", [box(0)])])
    assert len(city) == 1
    assert city["P0"].footprint.area == 100.0
    assert city.find(EAST + 9, NORTH + 9) == ["P0"]


def test_rooms_above_each_other_are_never_matched_by_their_outline() -> None:
    rooms = [box(0), box(0)]
    assert found(layer("A", "BuildingRoom", rooms), layer("B", "BuildingRoom", rooms)) == set()


# --------------------------------------------------------------------------------------------- periods


def test_a_house_that_was_pulled_down_is_not_the_one_built_in_its_place() -> None:
    old = layer("A", "Building", [box(0)], valid_from=["1950-01-01"], valid_to=["2010-01-01"])
    new = layer("B", "Building", [box(0)], valid_from=["2012-01-01"])
    assert found(old, new) == set()
    assert found(old, layer("B", "Building", [box(0)], valid_from=["2009-01-01"])) == {("A0", "B0", "same")}
    assert found(old, layer("B", "Building", [box(0)])) == {("A0", "B0", "same")}


def test_an_identifier_used_again_later_names_another_record_and_both_keep_it() -> None:
    old = layer("A", "Building", [box(0)], ids=["k"], valid_from=["1950-01-01"], valid_to=["2010-01-01"])
    new = layer("B", "Building", [box(0)], ids=["k"], valid_from=["2010-01-01"])
    city = fuse([old, new])
    assert city.tables["objects"]["id"].to_pylist() == ["k", "k"]
    assert "duplicate" not in set(city.issues["code"])
    assert len(city.asof("2020-01-01")) == 1


def test_of_two_versions_the_one_that_was_valid_is_matched() -> None:
    versions = layer(
        "A", "Building", [box(0), box(0)], ids=["k", "k"], valid_from=["1950-01-01", "2000-01-01"], valid_to=["2000-01-01", None]
    )
    later = layer("B", "Building", [box(0)], ids=["k"], valid_from=["2005-01-01"])
    pairs = match_cities(versions, later)
    assert len(pairs) == 1
    begun = versions.core_rows(["valid_from"], pairs.left)["valid_from"].to_pylist()
    assert [day.year for day in begun] == [2000]
    assert pairs.evidence[0] == "identifier k"


# --------------------------------------------------------------------------------------------- groups


def test_a_block_drawn_over_houses_that_match_one_to_one_disturbs_nobody() -> None:
    row = [box(10.0 * n) for n in range(6)]
    right = layer("B", "Building", [*row, box(0, width=60)])
    pairs = found(layer("A", "Building", row), right)
    assert {(f"A{n}", f"B{n}", "same") for n in range(6)} <= pairs
    assert {(f"A{n}", "B6", "whole") for n in range(6)} <= pairs


def test_a_shed_drawn_by_itself_in_the_other_source_is_a_part() -> None:
    left = layer("A", "Building", [box(0)])
    right = layer("B", "Building", [box(0, width=9), translate(box(0, width=1), 9, 0)])
    assert found(left, right) == {("A0", "B0", "same"), ("A0", "B1", "part")}


def test_what_else_it_might_have_been_is_said() -> None:
    left = layer("A", "Building", [box(0), box(6)])
    pairs = match_cities(left, layer("B", "Building", [box(0.5)]))
    assert pairs.evidence[0].endswith("alternatives: 'A1' 0.29")
    assert named(pairs, left, layer("B", "Building", [box(0.5)])) == {("A0", "B0", "same")}


def test_heights_of_a_matched_register_point_are_claims_of_the_house() -> None:
    builder = CityBuilder("EPSG:4549+5737", name="R")
    source = builder.add_source(SourceRecord("R"))
    keys = builder.add_objects("Building", ["r"], footprints=[point(5, 5)], source=source)
    builder.add_attributes(keys, "Building", {"height": Column([12.0], unit="m")})
    city = fuse([layer("H", "Building", [box(0)]), builder.build()])
    assert city["H0"].attributes["height"] == 12.0
    assert city.why("H0", "height")[0].source == "R"
