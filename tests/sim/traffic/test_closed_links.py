from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.model import City, CityBuilder
from cim.model.road_network import RoadNetwork
from cim.scenario import Change
from cim.sim.traffic import road_network
from cim.sim.traffic.closed_links import city_closures, closure_table, merged
from cim.sim.traffic.dynamic import LinkChange

START = datetime(2026, 7, 1, 7, 30, tzinfo=UTC)


@pytest.fixture
def city() -> City:
    """Give two roads one after the other, both ways open."""
    builder = CityBuilder("EPSG:4549")
    lines = [shapely.LineString([(500000, 3400000), (500100, 3400000)]), shapely.LineString([(500100, 3400000), (500300, 3400000)])]
    keys = builder.add_objects("Road", ["r1", "r2"], footprints=lines)
    said = ['{"class": "residential", "vertices": [0, 1]}'] * 2
    builder.add_links(keys, "road", ["a", "b"], ["b", "c"], length=[100.0, 200.0], attributes=said)
    return builder.build()


def shut_at(changes: list[LinkChange], link: str, seconds: float) -> bool:
    """Return whether a link is closed, reading the changes one after the other."""
    state = False
    for one in changes:
        if one.time <= seconds and link in one.links and one.closed is not None:
            state = one.closed
    return state


def test_a_closure_holds_from_its_first_to_its_last_instant(city: City) -> None:
    closed = Change("works").close_road("r1", start="2026-07-01T08:15:00Z", until="2026-07-01T10:00:00Z").apply(city)
    network = road_network(closed)
    found = city_closures(closed, network, "car", START)
    assert [(one.time, one.closed, sorted(one.links)) for one in found] == [
        (2700.0, True, ["r1:a>b", "r1:b>a"]),
        (9000.0, False, ["r1:a>b", "r1:b>a"]),
    ]


def test_one_that_has_begun_holds_from_the_first_second_and_one_that_is_over_is_left_out(city: City) -> None:
    closed = Change("works").close_road("r1", start="2026-07-01T06:00:00Z", until="2026-07-01T08:00:00Z").apply(city)
    closed = Change("early").close_road("r2", start="2026-07-01T05:00:00Z", until="2026-07-01T07:30:00Z").apply(closed)
    found = city_closures(closed, road_network(closed), "car", START)
    assert [(one.time, one.closed) for one in found] == [(0.0, True), (1800.0, False)]


def test_a_closure_concerns_its_direction_and_its_vehicles_only(city: City) -> None:
    closed = Change("works").close_road("r2", start="2026-07-01T08:00:00Z", direction="forward", classes=["truck"]).apply(city)
    network = road_network(closed)
    assert city_closures(closed, network, "car", START) == []
    assert [(one.time, list(one.links)) for one in city_closures(closed, network, "truck", START)] == [(1800.0, ["r2:b>c"])]


def test_closures_of_one_road_that_overlap_open_it_when_the_last_one_ends(city: City) -> None:
    closed = Change("one").close_road("r1", start="2026-07-01T08:00:00Z", until="2026-07-01T09:00:00Z").apply(city)
    closed = Change("two").close_road("r1", start="2026-07-01T08:30:00Z", until="2026-07-01T09:30:00Z").apply(closed)
    found = city_closures(closed, road_network(closed), "car", START)
    assert [(one.time, one.closed) for one in found] == [(1800.0, True), (7200.0, False)]


def test_a_road_that_dries_while_its_works_go_on_stays_closed() -> None:
    network = RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], free_flow_time=10.0, capacity=1000.0, length=100.0)
    works = [LinkChange(100.0, ["a-b"], closed=True), LinkChange(900.0, ["a-b"], closed=False)]
    water = [LinkChange(300.0, ["a-b", "b-c"], True, 5.0, 500.0), LinkChange(600.0, ["a-b", "b-c"], False, 10.0, 1000.0)]
    found = merged(network, works, water)
    assert [shut_at(found, "a-b", at) for at in (0.0, 100.0, 300.0, 600.0, 899.0, 900.0)] == [False, True, True, True, True, False]
    assert [shut_at(found, "b-c", at) for at in (0.0, 300.0, 600.0)] == [False, True, False]
    assert [one.speed for one in found if one.time == 600.0] == [10.0, 10.0]  # the speed of the water goes all the same


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30)), max_size=5)


@given(SPANS, st.tuples(st.integers(0, 50), st.integers(1, 30)))
def test_a_link_is_open_only_when_nobody_closes_it(people: list[tuple[int, int]], flood: tuple[int, int]) -> None:
    from cim.sim.traffic.closed_links import _transitions

    network = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=10.0, capacity=1000.0, length=100.0)
    own = [LinkChange(time, ["a-b"], closed=shut) for time, shut in _transitions([(a, a + long) for a, long in people])]
    water = [LinkChange(flood[0], ["a-b"], closed=True), LinkChange(sum(flood), ["a-b"], closed=False)]
    found = merged(network, own, water)
    assert [one.time for one in found] == sorted(one.time for one in found)
    for at in range(90):
        expected = any(a <= at < a + long for a, long in [*people, flood])
        assert shut_at(found, "a-b", at) == expected


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a-b", "b-c"]), st.booleans()), max_size=12))
def test_the_table_of_closures_says_what_is_closed_at_every_instant_before_the_end(told: list[tuple[int, str, bool]]) -> None:
    network = RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], free_flow_time=10.0, capacity=1000.0, length=100.0)
    changes = [LinkChange(time, [link], closed=shut) for time, link, shut in sorted(told, key=lambda one: one[0])]
    rows = closure_table(network, changes, 25.0).to_pylist()
    for at in range(25):
        found = {row["link"] for row in rows if row["from_time"] <= at and (row["until_time"] is None or at < row["until_time"])}
        assert found == {link for link in ("a-b", "b-c") if shut_at(changes, link, at)}
    assert all(row["until_time"] is None or row["from_time"] < row["until_time"] < 25.0 for row in rows)


def test_times_are_those_of_the_run_whatever_the_zone_of_its_start(city: City) -> None:
    from datetime import timezone

    closed = Change("works").close_road("r1", start="2026-07-01T08:15:00Z").apply(city)
    network = road_network(closed)
    east = START.astimezone(timezone(timedelta(hours=8)))
    assert city_closures(closed, network, "car", east) == city_closures(closed, network, "car", START)
    assert np.isclose(city_closures(closed, network, "car", START)[0].time, 2700.0)


def test_a_street_that_is_shut_to_cars_for_good_stays_open_to_the_fire_engine(city: City) -> None:
    closed = Change("pedestrians").close_road("r1", classes=["car"]).apply(city)
    network = road_network(closed)
    assert network.links.num_rows == 4
    assert [(one.time, one.closed, len(one.links)) for one in city_closures(closed, network, "car", START)] == [(0.0, True, 2)]
    assert city_closures(closed, network, "emergency", START) == []
    assert road_network(Change("gone").close_road("r1").apply(city)).links.num_rows == 2


def test_a_link_is_closed_by_its_own_id_whatever_its_nodes_are_called() -> None:
    """Derived nodes may end in a number sign, and two pieces of a road may join the same nodes."""
    builder = CityBuilder("EPSG:4549")
    line = shapely.LineString([(0, 0), (100, 0), (200, 0), (300, 0)])
    keys = builder.add_objects("Road", ["r"], footprints=[line])
    said = [f'{{"class": "residential", "vertices": [{k}, {k + 1}]}}' for k in range(3)]
    builder.add_links(np.repeat(keys, 3), "road", ["a", "a", "b#2"], ["b#2", "b#2", "c"], length=[100.0] * 3, attributes=said)
    plain = builder.build()
    table = plain.tables["links"].to_pylist()
    works = ', "closed": [{"from": "2026-07-01T08:00:00+00:00", "to": "2026-07-01T09:00:00+00:00"}]}'
    texts = [table[0]["attributes"], table[1]["attributes"][:-1] + works, table[2]["attributes"]]
    links = plain.tables["links"].drop_columns("attributes").append_column("attributes", pa.array(texts))
    closed = plain.replace_tables(links=links.select(plain.tables["links"].column_names))
    network = road_network(closed)
    assert network.links["id"].to_pylist() == ["r:a>b#2", "r:b#2>a", "r:a>b#2#2", "r:b#2>a#2", "r:b#2>c", "r:c>b#2"]
    found = city_closures(closed, network, "car", START)
    assert [(one.time, one.closed, sorted(one.links)) for one in found] == [
        (1800.0, True, ["r:a>b#2#2", "r:b#2>a#2"]),
        (5400.0, False, ["r:a>b#2#2", "r:b#2>a#2"]),
    ]


def test_a_road_closed_all_the_time_stays_closed_when_its_works_end(city: City) -> None:
    closed = Change("works").close_road("r1", start="2026-07-01T08:00:00Z", until="2026-07-01T09:00:00Z").apply(city)
    network = road_network(closed)
    people = [LinkChange(0.0, ["r1"], closed=True), *city_closures(closed, network, "car", START)]
    found = merged(network, people, [])
    assert [shut_at(found, "r1:a>b", at) for at in (0.0, 1800.0, 5400.0, 9000.0)] == [True] * 4
