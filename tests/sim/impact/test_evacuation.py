"""Evacuation: the formula to the second, places that are never overfilled, and the least sum of walking times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.scenario import Change
from cim.sim.impact.evacuating import assigned, evacuation, evacuation_time
from tests.sim.impact.reach_city import both, by_object, road_states, street


def test_time_is_way_over_speed_and_people_over_flow_times_width() -> None:
    found = evacuation(street(), ["east"], capacity=1000.0, objects=["west", "middle"], width=2.0)
    rows = by_object(found)
    assert rows["west"]["length"] == pytest.approx(10.0 + 800.0 + 10.0)  # to the road, along it, to the shelter
    assert rows["west"]["time"] == pytest.approx(820.0 / 1.2 + 10.0 / (1.3 * 2.0))
    assert rows["middle"]["time"] == pytest.approx(evacuation_time(520.0, 20.0, 2.0))
    assert (rows["middle"]["shelter"], rows["middle"]["status"]) == ("east", "placed")
    shelter = by_object(found, "shelters")["east"]
    assert (shelter["people"], shelter["free"], shelter["status"]) == (30.0, 970.0, "open")
    assert shelter["time"] == pytest.approx(rows["west"]["time"])


def test_the_nearest_shelter_is_taken_until_it_is_full_and_what_does_not_fit_is_told() -> None:
    found = evacuation(
        street(), ["post", "east"], capacity={"post": 12.0, "east": 15.0}, objects=["west", "middle", "north"], people={"north": 5.0}
    )
    sent = {(row["object"], row["place"]): row["people"] for row in found.table("assignments").to_pylist()}
    assert sum(sent.values()) == pytest.approx(27.0)
    assert sum(people for (_, place), people in sent.items() if place == "post") == pytest.approx(12.0)
    rows = by_object(found)
    assert sum(row["unplaced"] for row in rows.values()) == pytest.approx(35.0 - 27.0)
    assert all(row["people"] == pytest.approx(row["placed"] + row["unplaced"]) for row in rows.values())
    assert found.run.balance["people_without_a_place"] == pytest.approx(8.0)
    assert any("8 of 35 people have no place" in text for text in found.run.assumptions)


def test_nobody_walks_through_a_closed_road_and_who_has_no_way_is_told() -> None:
    roads = road_states(*both("main:b>c", 0.0, 600.0, kind="pedestrian"), *both("loop:b>c", 0.0, 600.0, kind="pedestrian"))
    found = evacuation(street(), ["post"], capacity=100.0, objects=["west", "middle"], roads=roads)
    assert {row["status"] for row in by_object(found).values()} == {"no_route"}
    later = evacuation(street(), ["post"], capacity=100.0, objects=["west", "middle"], roads=roads, at="15min")
    assert {row["status"] for row in by_object(later).values()} == {"placed"}


def test_nobody_walks_through_a_road_that_is_closed_when_they_leave() -> None:
    works = Change("works").close_road("main", start="2026-07-01T07:10:00Z", until="2026-07-01T07:20:00Z").apply(street())
    said: dict[str, Any] = {"capacity": 100.0, "objects": ["north"], "people": {"north": 10.0}}
    dry = road_states(*both("loop:b>c", 0.0, 60.0, 5.0, closed=False, kind="pedestrian"))
    status = [by_object(evacuation(works, ["post"], roads=dry, at=at, **said))["north"]["status"] for at in ("5min", "15min", "20min")]
    assert status == ["placed", "no_route", "placed"]
    told = evacuation(works, ["post"], **said).run.assumptions
    assert "2 closures that begin or end are left out: no roads= say when people leave" in told  # one of each link of the road


def test_objects_without_people_or_road_are_not_assessed() -> None:
    rows = by_object(evacuation(street(far=200.0), ["post"], capacity=100.0, people={"north": 3.0}))
    assert (rows["north"]["status"], rows["north"]["reason"]) == ("not_assessed", "too_far_from_a_road")
    assert rows["post"]["status"] == "empty"
    unknown = by_object(evacuation(street(), ["post"], capacity=100.0))["north"]
    assert (unknown["status"], unknown["reason"]) == ("not_assessed", "unknown_people")


def test_places_may_be_assumed_from_the_footprint() -> None:
    found = evacuation(street(), ["east"], area_per_person=2.0, objects=["west"])
    assert by_object(found, "shelters")["east"]["capacity"] == 50.0
    assert "places of 1 shelters are assumed: footprint / 2 m²" in found.run.assumptions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "1 shelters state no capacity: east"),
        ({"capacity": {"nobody": 3.0, "east": 1.0}}, "capacity of 1 ids that are not among those asked for: 'nobody'"),
        ({"capacity": -1.0, "speed": 0.0, "flow": float("nan")}, "speed: Input should be greater than 0 (found 0.0)"),
        ({"capacity": 5.0, "width": -1.0}, "greater than 0 (found -1.0)"),
        ({"capacity": 5.0, "people": {"middle": float("inf")}}, "people.middle: Input should be a finite number (found inf)"),
        ({"capacity": 5.0, "pace": 3}, "pace: Extra inputs"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match="evacuation: ") as caught:
        evacuation(street(), ["east"], **options)
    assert said in str(caught.value)


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_the_assignment_is_the_cheapest_flow_of_networkx(seed: int) -> None:
    import networkx as nx

    rng = np.random.default_rng(seed)
    people, places = rng.integers(0, 20, rng.integers(1, 6)), rng.integers(0, 30, rng.integers(1, 5))
    time = rng.integers(1, 50, (len(people), len(places))).astype(float)
    time[rng.random(time.shape) < 0.3] = np.inf
    graph = nx.DiGraph()
    graph.add_nodes_from(["from", "to"])
    graph.add_edges_from([("from", f"o{i}", {"capacity": int(n), "weight": 0}) for i, n in enumerate(people)])
    graph.add_edges_from([(f"s{j}", "to", {"capacity": int(n), "weight": 0}) for j, n in enumerate(places)])
    graph.add_edges_from([(f"o{i}", f"s{j}", {"weight": int(time[i, j])}) for i, j in np.argwhere(np.isfinite(time)).tolist()])
    flow = nx.max_flow_min_cost(graph, "from", "to")
    most = sum(flow["from"].values())
    cost = nx.cost_of_flow(graph, flow)
    found = assigned(people.astype(float), places.astype(float), time)
    assert found.sum() == pytest.approx(most, abs=1e-6)
    assert np.where(found > 0, found * np.where(np.isfinite(time), time, 0.0), 0.0).sum() == pytest.approx(cost, abs=1e-4)
    assert (found.sum(axis=1) <= people + 1e-6).all()
    assert (found.sum(axis=0) <= places + 1e-6).all()
    assert not found[~np.isfinite(time)].any()
