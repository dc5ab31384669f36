"""Queues, shocks, closures, merges and diverges are those of kinematic wave theory; no vehicle is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model.road_network import RoadNetwork
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
from cim.sim.traffic.dynamic_kernels import ON_THE_WAY

HOUR = 3600.0
FREE, WAVE, JAM = 60 / 3.6, 20 / 3.6, 0.15
"""Speeds of the free and the backward wave [m/s] and jam density [veh/m] of the cases; capacity 2,250 veh/h."""
ONE_PERCENT = 0.01
"""Asked for by the issue; what is missing is the credit of one headway, and queues end on whole links."""


@pytest.fixture(scope="module")
def known(shared_data: Callable[..., Path]) -> dict[str, dict[str, Any]]:
    cases = json.loads((shared_data("traffic", "analytic") / "cases.json").read_text(encoding="utf-8"))
    return {case["id"]: case for case in cases}


def chain(length: float, links: int, capacity: float = 2250.0) -> RoadNetwork:
    """Return links in a row."""
    nodes = [str(k) for k in range(links + 1)]
    return RoadNetwork.of(nodes, np.arange(links), np.arange(1, links + 1), free_flow_time=length / FREE, capacity=capacity, length=length)


def stream(rate: float, begin: float, end: float, origin: int, destination: int, path: list[int] | None = None) -> Fleet:
    """Return vehicles at even headways; rate in veh/h, times in h."""
    departure = np.arange(begin * HOUR, end * HOUR, HOUR / rate)
    n = len(departure)
    start = np.arange(n + 1) * len(path or [])
    links = np.tile(np.array(path or [], np.int64), n)
    return Fleet(departure, np.full(n, origin), np.full(n, destination), start if path else np.zeros(0, np.int64), links)


def together(*fleets: Fleet) -> Fleet:
    """Return several fleets as one."""
    sizes = [np.diff(one.path_start) for one in fleets]
    start = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]) if any(len(one) for one in sizes) else np.zeros(0, np.int64)
    columns = [
        np.concatenate(part) for part in zip(*[(one.departure, one.origin, one.destination, one.path_links) for one in fleets], strict=True)
    ]
    return Fleet(columns[0], columns[1], columns[2], start, columns[3])


def run(network: RoadNetwork, fleet: Fleet, hours: float, **more: Any) -> DynamicRun:
    options: dict[str, Any] = {"behaviour": "unaware", "table_every": 1e9, "jam_spacing": 1 / JAM, "wave_speed": WAVE} | more
    found = load_fleet(network, fleet, until=hours * HOUR, **options)
    assert sum(found.count().values()) == sum(found.causes().values()) == len(fleet.departure)
    return found


def rate(found: DynamicRun, link: int, begin: float, end: float) -> float:
    """Return what left a link between two times [veh/h]."""
    rows = np.searchsorted(found.times, [begin * HOUR, end * HOUR])
    return float(np.diff(found.left[rows, link])[0]) / (end - begin)


def test_a_point_queue_grows_and_dissolves(known: dict[str, Any]) -> None:
    case = known["point_queue"]
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=6.0, capacity=case["s_veh_h"], length=100.0)
    found = run(road, stream(case["q_veh_h"], 0, case["T_h"], 0, 1), 2.0)
    wait = found.arrival - found.departure - 6.0
    assert wait.sum() / HOUR == pytest.approx(case["total_delay_veh_h"], rel=ONE_PERCENT)
    assert wait.max() / HOUR == pytest.approx(case["max_delay_h"], rel=ONE_PERCENT)
    assert (found.arrival.max() - 6.0) / HOUR == pytest.approx(case["clear_time_h"], rel=ONE_PERCENT)


@pytest.mark.parametrize(("name", "capacity"), [("closure_0815_1000_no_alternative", 0.0), ("partial_closure_capacity_900", 900.0)])
def test_a_closure_from_0815_to_1000_is_the_exact_one(name: str, capacity: float, known: dict[str, Any]) -> None:
    case, length, links = known[name], 500.0, 112
    closed, opened = known["closure_0815_1000_no_alternative"]["t1_h"], known["closure_0815_1000_no_alternative"]["t2_h"]
    road = chain(length, links)
    last = [f"{links - 1}-{links}"]
    changes = [LinkChange(closed * HOUR, last, capacity=capacity), LinkChange(opened * HOUR, last, capacity=2250.0)]
    found = run(road, stream(1500, 0, 15, 0, links), 18, changes=changes)
    assert found.count()["arrived"] == len(found.departure)
    late = found.arrival - found.departure - links * length / FREE
    assert late.sum() / HOUR == pytest.approx(case["total_delay_veh_h"], rel=ONE_PERCENT)
    assert late.max() / HOUR == pytest.approx(case["max_delay_h"], rel=ONE_PERCENT)
    assert found.arrival[late > 5.0].max() / HOUR == pytest.approx(case["last_delayed_passes_h"], abs=length / FREE / HOUR + 0.01)
    crowded = (found.entered - found.left) > 1500 / 3600 * length / FREE * 1.2  # more than the free stream holds
    assert crowded.sum(axis=1).max() * length / 1000 == pytest.approx(case["max_queue_length_km"], abs=2 * length / 1000)


def test_a_queue_fills_a_link_and_spills_back(known: dict[str, Any]) -> None:
    case = known["spillback_time"]
    road = RoadNetwork.of(["a", "b", "c", "d"], [0, 1, 2], [1, 2, 3], free_flow_time=np.array([5000, 2000, 100]) / FREE, capacity=2250.0,
                          length=[5000.0, 2000.0, 100.0])  # fmt: skip
    shut = 1.0
    found = run(road, stream(1500, 0, 2, 0, 3), 2, changes=[LinkChange(shut * HOUR, ["c-d"], closed=True)], sample_every=1.0)
    held = found.entered[:, 1] - found.left[:, 1]
    assert held.max() == pytest.approx(case["storage_veh"], abs=1)
    full = found.times[np.argmax(held >= case["storage_veh"] - 1)]
    assert (full / HOUR - shut) == pytest.approx(case["time_to_spill_h"], abs=5 / HOUR)  # two headways


@pytest.mark.parametrize("name", ["merge_1200_900_0.50", "merge_1200_500_0.50", "merge_400_1700_0.50", "merge_1500_1500_0.67"])
def test_a_merge_shares_as_daganzo_says(name: str, known: dict[str, Any]) -> None:
    case = known[name]
    road = RoadNetwork.of(["a", "b", "m", "z"], [0, 1, 2], [2, 2, 3], free_flow_time=1000 / FREE, capacity=[2250.0, 2250.0, case["S"]],
                          length=1000.0)  # fmt: skip
    fleet = together(stream(case["D1"], 0, 3, 0, 3, [0, 2]), stream(case["D2"], 0, 3, 1, 3, [1, 2]))
    share = np.array([case["priority1"], 1 - case["priority1"], 1.0])
    found = run(road, fleet, 3, priority=share)
    assert rate(found, 0, 1.5, 2.5) == pytest.approx(case["q1"], rel=ONE_PERCENT)
    assert rate(found, 1, 1.5, 2.5) == pytest.approx(case["q2"], rel=ONE_PERCENT)


@pytest.mark.parametrize("name", ["diverge_1800_900", "diverge_1800_300", "diverge_1800_0"])
def test_a_diverge_keeps_the_order_of_its_queue(name: str, known: dict[str, Any]) -> None:
    case = known[name]
    road = RoadNetwork.of(["a", "m", "y", "z"], [0, 1, 1], [1, 2, 3], free_flow_time=1000 / FREE,
                          capacity=[2250.0, max(case["S1"], 1.0), case["S2"]], length=1000.0)  # fmt: skip
    departure = np.arange(0, 3 * HOUR, HOUR / case["D"])
    first = np.floor(np.arange(1, len(departure) + 1) * case["b1"]) > np.floor(np.arange(len(departure)) * case["b1"])
    path = np.column_stack([np.zeros(len(departure), np.int64), np.where(first, 1, 2)]).ravel()
    fleet = Fleet(departure, np.zeros(len(departure), np.int64), np.where(first, 2, 3), np.arange(len(departure) + 1) * 2, path)
    shut = [LinkChange(0.0, ["m-y"], closed=True)] if case["S1"] == 0 else []
    found = run(road, fleet, 3, changes=shut)
    assert rate(found, 1, 1.5, 2.5) == pytest.approx(case["q1"], rel=ONE_PERCENT, abs=1)
    assert rate(found, 2, 1.5, 2.5) == pytest.approx(case["q2"], rel=ONE_PERCENT, abs=1)


def test_travellers_to_work_meet_the_queue_that_their_departures_prescribe(known: dict[str, Any]) -> None:
    case = known["vickrey_bottleneck"]
    early = np.arange(case["first_dep_h"], case["on_time_dep_h"], 1 / case["rate_early"])
    late = np.arange(case["on_time_dep_h"], case["last_dep_h"], 1 / case["rate_late"])
    departure = np.concatenate([early, late]) * HOUR
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=1.0, capacity=case["s_veh_h"], length=10.0)
    found = run(road, Fleet(departure, np.zeros(len(departure), np.int64), np.ones(len(departure), np.int64)), 12)
    there = found.arrival / HOUR - 1 / HOUR
    wait, off = there - departure / HOUR, there - case["t_star_h"]
    cost = case["alpha"] * wait + case["beta"] * np.maximum(-off, 0) + case["gamma"] * np.maximum(off, 0)
    assert wait.max() == pytest.approx(case["max_queue_delay_h"], rel=ONE_PERCENT)
    assert cost.sum() == pytest.approx(case["total_cost"], rel=ONE_PERCENT)
    assert np.ptp(cost) < 0.02 * case["cost_per_user"]  # nobody gains by leaving at another time


def two_ways() -> RoadNetwork:
    """Return a short way over b and a long way over c, from a to d; a leads in from o."""
    ends = [(0, 1), (1, 2), (2, 4), (1, 3), (3, 4)]
    tail, head = np.array(ends).T
    length = np.array([500.0, 500.0, 500.0, 2000.0, 2000.0])
    return RoadNetwork.of(["o", "a", "b", "c", "d"], tail, head, free_flow_time=length / FREE, capacity=1800.0, length=length)


def test_behaviour_decides_who_waits_and_who_goes_round() -> None:
    road, fleet = two_ways(), stream(600, 0, 0.5, 0, 4)
    changes = [LinkChange(600.0, ["a-b"], closed=True), LinkChange(5400.0, ["a-b"], closed=False)]
    mean = {}
    for behaviour in ("unaware", "learn", "informed"):
        found = load_fleet(road, fleet, until=3 * HOUR, changes=changes, behaviour=behaviour)
        assert found.count()["arrived"] == len(fleet.departure)
        mean[behaviour] = float(np.mean(found.arrival - found.departure))
        round_about = int(found.left[-1, 3])
        assert (round_about == 0) == (behaviour == "unaware")
    assert mean["informed"] <= mean["learn"] < mean["unaware"]


def test_who_has_no_way_is_told_and_taken_off() -> None:
    road, fleet = two_ways(), stream(600, 0, 0.5, 0, 4)
    shut = [LinkChange(600.0, ["a-b", "a-c"], closed=True)]
    found = load_fleet(road, fleet, until=2 * HOUR, changes=shut, behaviour="learn")
    told = found.count()
    assert told["stranded"] > 0
    assert told["travelling"] == 0
    assert told["arrived"] + told["stranded"] == len(fleet.departure)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["unaware", "learn", "informed"]))
def test_no_vehicle_is_lost_and_two_runs_are_the_same(seed: int, behaviour: Any) -> None:
    random = np.random.default_rng(seed)
    nodes, links, vehicles = 12, 40, 400
    tail, head = random.integers(0, nodes, (2, links))
    length = random.uniform(20, 400, links)
    road = RoadNetwork.of([str(k) for k in range(nodes)], tail, head, ids=[f"l{k}" for k in range(links)], free_flow_time=length / 15,
                          capacity=random.uniform(200, 1500, links), length=length)  # fmt: skip
    fleet = Fleet(random.uniform(0, 900, vehicles), random.integers(0, nodes, vehicles), random.integers(0, nodes, vehicles))
    times, capacities, speeds = random.uniform([[0], [0], [1]], [[900], [900], [20]], (3, 8)).tolist()
    changes = [
        LinkChange(times[k], [f"l{random.integers(links)}"], closed=bool(k % 3), capacity=capacities[k], speed=speeds[k]) for k in range(8)
    ]
    one, two = (load_fleet(road, fleet, until=1800.0, changes=changes, behaviour=behaviour, table_every=300.0) for _ in range(2))
    assert sum(one.count().values()) == vehicles
    assert (one.status == ON_THE_WAY).sum() == (one.entered[-1] - one.left[-1]).sum()
    assert (np.diff(one.entered, axis=0) >= 0).all()
    assert (one.entered >= one.left).all()
    assert np.array_equal(one.arrival, two.arrival, equal_nan=True)
    assert (one.arrival[one.status == 2] >= one.departure[one.status == 2]).all()


def test_all_faults_are_told_in_one_message() -> None:
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=1.0, capacity=1.0)
    fleet = Fleet(np.array([-5.0]), np.array([0]), np.array([9]))
    with pytest.raises(UsageError, match="7 faults") as told:
        load_fleet(road, fleet, until=0.0, changes=[LinkChange(-1.0, ["a-b"])], table_every=0.0, wave_speed=-1.0)
    numbers = ("until [s] is 0.0, expected", "table_every [s] is 0.0", "wave_speed [m/s] is -1.0")
    for said in (*numbers, "no nodes", "depart before", "before the start", "no length"):
        assert said in str(told.value)


def test_nobody_leaves_a_link_that_carries_nothing_when_the_next_one_opens() -> None:
    said = ((0.0, "1-2", 0.0), (100.0, "0-1", 0.0), (300.0, "1-2", 1800.0))
    changes = [LinkChange(time, [link], capacity=capacity) for time, link, capacity in said]
    found = run(chain(500.0, 2), stream(1800.0, 0.0, 0.05, 0, 2), 0.2, changes=changes)
    assert found.left[-1].tolist() == [0, 0]
    assert set(np.flatnonzero(list(found.causes().values()))) <= {2, 4}  # origin closed, behind a closed link
    freed = run(chain(500.0, 2), stream(1800.0, 0.0, 0.05, 0, 2), 2.0, changes=[*changes, LinkChange(600.0, ["0-1"], capacity=1800.0)])
    assert freed.count()["arrived"] == len(freed.status)


@pytest.mark.parametrize("behaviour", ["learn", "informed"])
def test_a_link_that_carries_nothing_is_gone_round_like_a_closed_one(behaviour: Any) -> None:
    road = RoadNetwork.of(list("abc"), [0, 0, 1], [2, 1, 2], free_flow_time=50.0, capacity=1800.0, length=500.0)
    fleet = Fleet(np.arange(0.0, 100.0, 5.0), np.zeros(20, int), np.full(20, 2))
    found = load_fleet(road, fleet, until=1000.0, changes=[LinkChange(0.0, ["a-c"], capacity=0.0)], behaviour=behaviour)
    assert found.left[-1].tolist() == [0, 20, 20]


def test_times_late_in_a_long_run_are_as_exact_as_early_ones() -> None:
    departure = np.array([0.123, 86_000.123, 604_800.123])
    found = load_fleet(chain(1000.0, 1), Fleet(departure, np.zeros(3, int), np.ones(3, int)), until=605_000.0, sample_every=3600.0)
    assert np.array_equal(found.started, departure)
    assert found.arrival - found.started == pytest.approx(60.0, abs=1e-6)


def test_counts_that_do_not_divide_the_run_end_with_it() -> None:
    fleet = Fleet(np.array([1.0]), np.array([0]), np.array([1]))
    for every, until in ((0.1, 0.3), (130.0 / 3.0, 1300.0), (7.0, 100.0), (1e5, 100.0)):
        times = load_fleet(chain(1000.0, 1), fleet, until=until, sample_every=every).times
        assert times[-1] == until
        assert (np.diff(times) > 1e-3).all()


@pytest.mark.parametrize(("toll", "taken"), [(600.0, [0, 50]), (20.0, [50, 0])])
def test_a_toll_counts_like_the_time_it_is_worth(toll: float, taken: list[int]) -> None:
    roads = RoadNetwork.of(
        ["a", "b"], [0, 0], [1, 1], ids=["toll", "free"], free_flow_time=[60.0, 90.0], capacity=1800.0, length=[800.0, 1200.0],
        fixed=[toll, 0.0],
    )  # fmt: skip
    fleet = Fleet(np.arange(0.0, 500.0, 10.0), np.zeros(50, np.int64), np.ones(50, np.int64))
    assert load_fleet(roads, fleet, until=2000.0).left[-1].tolist() == taken
