"""States of roads as traffic reads them: at an instant, and as changes over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.results import Fields, RunRecord
from cim.sim.impact.assess import plain_dataset
from cim.sim.traffic.dynamic import Fleet, LinkChange, load_fleet
from cim.sim.traffic.road_states import ROAD_STATES, at_time, changes_of, state_faults
from cim.sim.traffic.run_traffic import simulate

NETWORK = RoadNetwork.of(
    ["a", "b", "c"], [0, 1, 2], [1, 2, 0], free_flow_time=[10.0, 20.0, 0.0], capacity=[1800.0, 900.0, 600.0], length=[200.0, 200.0, 50.0],
    ids=["p", "q", "r"], objects=["P", "Q", "R"],
)  # fmt: skip
START = "2026-07-01T07:00:00+00:00"
Row = tuple[str, str, float, float, float | None, float, bool]


def made(*rows: Row, until: float | None = 3600.0, start: str | None = START) -> Fields:
    """Return states of rows (link, class, from, until, speed, capacity, closed) of cars and buses."""
    said = [dict(zip(("link", "class", "from_time", "until_time", "speed", "capacity", "closed"), row, strict=True)) for row in rows]
    blank = {"object": None, "depth": 0.1, "mean_depth": 0.1, "velocity": 0.0, "cause": "water"}
    table = pa.Table.from_pylist([{**blank, **one} for one in said], schema=ROAD_STATES)
    links = pa.table({"link": ["p", "q", "r"]})
    parameters = {"classes": {"car": "small_car", "bus": "large_car"}, "start": start, "from": 0.0, "until": until}
    return Fields("roads", plain_dataset(), {"states": table, "links": links}, RunRecord("roads", "1", {}, parameters))


WET = made(("p", "car", 600, 1200, 5.0, 0.5, False), ("p", "car", 1200, 1800, 2.0, 0.2, True), ("p", "bus", 600, 1800, 5.0, 0.5, False))


def test_at_an_instant_a_link_has_the_state_of_its_interval_and_the_others_are_free() -> None:
    speed, capacity, closed = at_time(WET, NETWORK, "car", 1200.0)  # the instant belongs to the interval that begins
    assert speed.tolist() == [2.0, 10.0, np.inf]
    assert capacity.tolist() == [0.2, 1.0, 1.0]
    assert closed.tolist() == [True, False, False]
    assert not at_time(WET, NETWORK, "bus", 1200.0)[2].any()
    assert at_time(WET, NETWORK, "car", 1800.0)[0].tolist() == [20.0, 10.0, np.inf]


def test_a_speed_above_the_free_one_does_not_make_a_link_faster() -> None:
    assert at_time(made(("p", "car", 0, 600, 30.0, 1.0, False)), NETWORK, "car", 0.0)[0][0] == 20.0


def test_the_last_interval_holds_at_the_very_end_and_not_beyond() -> None:
    late = made(("q", "car", 3000, 3600, None, 1.0, True))
    assert at_time(late, NETWORK, "car", 3600.0)[2].tolist() == [False, True, False]
    with pytest.raises(UsageError, match=r'from 3700 to 3700 s .* 0 to 3600 s; make the flood longer .* beyond = "hold" keeps'):
        at_time(late, NETWORK, "car", 3700.0)
    assert at_time(late, NETWORK, "car", 3700.0, beyond="hold")[2][1]
    early = made(("q", "car", 0, 600, None, 1.0, True))
    assert at_time(early, NETWORK, "car", -60.0, beyond="hold")[2][1]


def test_states_without_time_hold_at_any() -> None:
    static = made(("q", "car", 0, np.inf, 1.0, 0.5, True), until=None)
    assert at_time(static, NETWORK, "car", 1e7)[2][1]
    assert changes_of(static, NETWORK, "car", "2030-01-01", until=1e6) == [LinkChange(0.0, ["q"], closed=True, speed=1.0, capacity=450.0)]


def test_changes_give_the_whole_state_and_give_it_back() -> None:
    assert changes_of(WET, NETWORK, "car") == [
        LinkChange(600.0, ["p"], closed=False, speed=5.0, capacity=900.0),
        LinkChange(1200.0, ["p"], closed=True, speed=2.0, capacity=360.0),
        LinkChange(1800.0, ["p"], closed=False, speed=20.0, capacity=1800.0),
    ]


def test_changes_of_all_classes_name_those_they_concern() -> None:
    found = changes_of(WET, NETWORK)
    both = [(one.time, one.closed, one.classes) for one in found if one.classes]
    assert both == [(600.0, False, ("bus", "car")), (1200.0, True, ("car",)), (1800.0, False, ("bus", "car"))]
    shared = [(one.time, one.capacity, one.closed, one.speed) for one in found if not one.classes]
    assert shared == [(600.0, 900.0, None, None), (1200.0, 360.0, None, None), (1800.0, 1800.0, None, None)]


def test_a_run_of_two_classes_takes_the_changes_of_all_classes_as_they_are() -> None:
    kinds = np.array([0, 1], np.int8)
    fleet = Fleet(np.array([1300.0, 1300.0]), np.array([0, 0]), np.array([1, 1]), vehicle_class=kinds, class_names=("car", "bus"))
    run = load_fleet(NETWORK, fleet, until=3600.0, changes=changes_of(WET, NETWORK), behaviour="unaware")
    assert run.started.tolist() == pytest.approx([1800.0, 1802.0])  # the bus stands behind the car that waits for its street
    turned = replace(fleet, vehicle_class=kinds[::-1].copy())
    buses = load_fleet(NETWORK, turned, until=3600.0, changes=changes_of(WET, NETWORK), behaviour="unaware")
    assert buses.arrival[0] == pytest.approx(1300.0 + 200.0 / 5.0)


def test_a_link_that_takes_no_time_takes_none_again_when_it_dries() -> None:
    wet = made(("r", "car", 600, 1200, 1.0, 1.0, False))
    fleet = Fleet(np.array([700.0, 1300.0]), np.array([2, 2]), np.array([0, 0]))
    run = load_fleet(NETWORK, fleet, until=3600.0, changes=changes_of(wet, NETWORK, "car"))
    assert (run.arrival - run.started).tolist() == pytest.approx([50.0, 0.0], abs=1e-3)  # 50 m at 1 m/s


def test_what_was_before_the_start_of_the_traffic_is_carried_in() -> None:
    start = datetime(2026, 7, 1, 7, 25, tzinfo=UTC)  # 1500 s
    assert [(one.time, one.closed) for one in changes_of(WET, NETWORK, "car", start)] == [(0.0, True), (300.0, False)]
    assert [one.time for one in changes_of(WET, NETWORK, "car", start, until=300.0)] == [0.0]
    assert [one.time for one in changes_of(WET, NETWORK, "car", "2026-07-01T15:00:00+08:00")] == [600.0, 1200.0, 1800.0]


def test_nothing_dries_when_the_states_end() -> None:
    late = made(("q", "car", 3000, 3600, None, 1.0, True))
    assert [(one.time, one.closed) for one in changes_of(late, NETWORK, "car")] == [(3000.0, True)]


def test_links_in_the_same_state_at_the_same_time_are_one_change() -> None:
    same = made(("p", "car", 600, 1200, 10.0, 0.5, True), ("q", "car", 600, 1200, 10.0, 1.0, True))
    first = changes_of(same, NETWORK, "car")[0]
    assert (first.links, first.capacity, first.speed) == (["p", "q"], 900.0, 10.0)
    other = made(("p", "car", 600, 1200, 9.0, 0.5, True), ("q", "car", 600, 1200, 10.0, 1.0, True))
    assert [(one.links, one.speed) for one in changes_of(other, NETWORK, "car", until=700.0)] == [(["p"], 9.0), (["q"], 10.0)]


def test_all_faults_come_in_one_message() -> None:
    other = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=[1.0], capacity=[1.0], length=[1.0], ids=["x"])
    with pytest.raises(UsageError, match=r"(?s)3 faults:.*'bicycle' is not assessed in roads; there are bus, car.*first: x.*9000"):
        at_time(WET, other, "bicycle", 9000.0)
    assert len(state_faults(WET, other, "2026-07-01T06:00:00", (0.0, 10.0), beyond="refuse", classes=["bicycle"])) == 3
    assert state_faults(WET, NETWORK, START, (0.0, 3600.0), beyond="refuse", classes=["car"]) == []
    assert "states no start" in state_faults(made(start=None), NETWORK, START, (0.0, 0.0), beyond="refuse", classes=["car"])[0]


@given(st.lists(st.tuples(st.sampled_from("pqr"), st.integers(0, 5), st.integers(1, 6), st.sampled_from([1.0, 2.0, None]), st.booleans())))
def test_changes_played_one_after_the_other_give_the_state_at_any_instant(drawn: list[Any]) -> None:
    taken: set[tuple[str, int]] = set()
    rows: list[Row] = []
    for link, first, last, speed, shut in drawn:
        if first < last and not {(link, k) for k in range(first, last)} & taken:
            taken |= {(link, k) for k in range(first, last)}
            rows.append((link, "car", first * 600.0, last * 600.0, speed, 0.5, shut))
    states = made(*rows)
    changes = changes_of(states, NETWORK, "car")
    speed, capacity, closed = np.array([20.0, 10.0, np.inf]), np.array([1800.0, 900.0, 600.0]), np.zeros(3, bool)
    for instant in (0.0, 600.0, 900.0, 1800.0, 3000.0, 3599.0):
        for one in changes:
            if one.time <= instant:
                at = NETWORK.rows_of(one.links)
                speed[at] = speed[at] if one.speed is None else one.speed
                capacity[at], closed[at] = one.capacity, one.closed
        changes = [one for one in changes if one.time > instant]
        now = at_time(states, NETWORK, "car", instant)
        assert closed.tolist() == now[2].tolist()
        assert capacity.tolist() == (now[1] * NETWORK.column("capacity")).tolist()
        assert speed[:2].tolist() == now[0][:2].tolist()


def test_a_run_that_holds_on_to_the_nearest_known_state_says_so() -> None:
    asked: dict[str, Any] = {"start": START, "until": "2h", "demand": ODMatrix.of(NETWORK, ["a"], ["b"], [10.0]), "roads": WET}
    with pytest.raises(UsageError, match="the roads are looked at from 0 to 7200 s"):
        simulate(NETWORK, **asked)
    held = simulate(NETWORK, beyond="hold", **asked).run.assumptions
    assert any(one.startswith("the nearest known state of the roads holds on: the roads are looked at from 0 to 7200 s") for one in held)
