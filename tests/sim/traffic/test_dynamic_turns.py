"""Signals, banned turns, who gives way and lanes: queues before them are the exact ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model.road_network import BANNED, SIGNALS, YIELDS, RoadNetwork
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
from cim.sim.traffic.dynamic_kernels import ARRIVED, ON_THE_WAY

SPEED = 12.5
"""[m/s]; links of 250 m take 20 s."""


def table(rows: list[tuple[float, ...]], schema: pa.Schema) -> pa.Table:
    return pa.table([pa.array(list(one), kind.type) for one, kind in zip(zip(*rows, strict=True), schema, strict=True)], schema=schema)


def roads(ends: list[tuple[int, int]], *, capacity: Any = 1800.0, length: Any = 250.0, **more: Any) -> RoadNetwork:
    tail, head = np.array(ends).T
    nodes = [str(k) for k in range(int(max(tail.max(), head.max())) + 1)]
    long = np.broadcast_to(np.asarray(length, float), len(ends))
    rules = {name: more.pop(name) for name in ("banned", "signals", "yields") if name in more}
    made = RoadNetwork.of(nodes, tail, head, free_flow_time=long / SPEED, capacity=capacity, length=long, **more)
    return replace(made, **rules)


def fleet_of(departure: Any, path: list[int], network: RoadNetwork) -> Fleet:
    """Return vehicles on one path."""
    n = len(departure)
    ends = network.column("from_node")[path[0]], network.column("to_node")[path[-1]]
    return Fleet(np.asarray(departure, float), np.full(n, ends[0]), np.full(n, ends[1]), np.arange(n + 1) * len(path), np.tile(path, n))


def both(one: Fleet, other: Fleet) -> Fleet:
    start = np.concatenate([one.path_start, other.path_start[1:] + one.path_start[-1]])
    departure, origin, destination, links = (
        np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("departure", "origin", "destination", "path_links")
    )
    return Fleet(departure, origin, destination, start, links)


def run(network: RoadNetwork, fleet: Fleet, until: float, **more: Any) -> DynamicRun:
    options: dict[str, Any] = {"behaviour": "unaware", "table_every": 1e9} | more
    found = load_fleet(network, fleet, until=until, **options)
    assert sum(found.causes().values()) == sum(found.count().values()) == len(fleet.departure)
    return found


def signal(green_from: float, green_until: float, cycle: float = 90.0) -> RoadNetwork:
    """Return two links with a signal between them."""
    return roads([(0, 1), (1, 2)], signals=table([(0, 1, cycle, green_from, green_until)], SIGNALS))


def test_the_delay_before_a_signal_is_that_of_even_arrivals() -> None:
    # 600 veh/h against 1800 veh/h in 45 of 90 s: red 45 s, delay per vehicle r^2 / (2 C (1 - q/s)) = 16.875 s (Webster's first term)
    road = signal(0.0, 45.0)
    found = run(road, fleet_of(np.arange(3.0, 7200.0, 6.0), [0, 1], road), 9000.0, lost=1.0)
    wait = found.arrival - found.departure - 40.0
    assert found.count()["arrived"] == 1200
    assert wait.mean() == pytest.approx(45.0**2 / (2 * 90.0 * (1 - 600 / 1800)), rel=0.05)  # headways are whole: 15 vehicles in each cycle
    assert wait.max() <= 46.0


@pytest.mark.parametrize(("green_from", "green_until"), [(10.0, 40.0), (70.0, 100.0)])
def test_a_full_queue_passes_green_over_headway_in_each_cycle(green_from: float, green_until: float) -> None:
    road = signal(green_from, green_until)
    found = run(road, fleet_of(np.arange(0.0, 3600.0, 2.0), [0, 1], road), 3600.0, sample_every=10.0, lost=1.0)
    cycles = found.left[::9, 0]
    assert set(np.diff(cycles)[2:-1].tolist()) == {15}  # 30 s of green at 2 s
    red = [k for k, time in enumerate(found.times[1:]) if green_until % 90 < time % 90 <= max(green_from, green_until % 90 + 10)]
    assert np.diff(found.left[:, 0])[red].max(initial=0) <= 1


def test_the_clock_of_the_day_moves_the_greens() -> None:
    road = signal(0.0, 45.0)
    one = fleet_of([0.0], [0, 1], road)
    assert run(road, one, 400.0).arrival[0] == pytest.approx(40.0)  # comes to the signal 20 s after midnight
    late = run(road, one, 400.0, clock=8 * 3600.0 + 30.0)  # 50 s into the cycle: 40 s to the green, one lost
    assert late.arrival[0] == pytest.approx(40.0 + 40.0 + 1.0)


def test_greens_beside_each_other_and_over_midnight_are_one_green() -> None:
    parts = table([(0, 1, 90.0, 0.0, 20.0), (0, 1, 90.0, 20.0, 45.0), (0, 1, 90.0, 80.0, 90.0)], SIGNALS)
    whole = table([(0, 1, 90.0, 80.0, 135.0)], SIGNALS)
    always = table([(0, 1, 90.0, 0.0, 60.0), (0, 1, 90.0, 50.0, 90.0)], SIGNALS)
    ends = [(0, 1), (1, 2)]
    arrivals = []
    for signals in (parts, whole, always, SIGNALS.empty_table()):
        road = roads(ends, signals=signals)
        arrivals.append(run(road, fleet_of(np.arange(0.0, 900.0, 2.0), [0, 1], road), 7200.0).arrival)
    assert np.array_equal(arrivals[0], arrivals[1])
    assert np.array_equal(arrivals[2], arrivals[3])
    assert arrivals[0].max() > arrivals[2].max()


def test_a_turn_that_gives_way_waits_for_the_gap() -> None:
    # link 0 has priority into 2; link 1 waits 3 s after each crossing. Major vehicles every 10 s: two minor ones fit between two of them
    road = roads([(0, 2), (1, 2), (2, 3)], capacity=[1800.0, 1800.0, 3600.0], yields=table([(1, 2, 0, 2)], YIELDS))
    major, minor = fleet_of(np.arange(0.0, 3600.0, 10.0), [0, 2], road), fleet_of(np.arange(0.0, 3600.0, 1.0), [1, 2], road)
    found = run(road, both(major, minor), 3600.0, gap=3.0)
    assert np.nanmax((found.arrival - found.departure)[:355]) <= 42.0 + 1e-3  # who has priority waits for a headway at most
    passed = found.left[-1, 1] - found.left[30, 1]
    assert passed == pytest.approx(4 * 180, abs=4)  # at 3, 5, 7 and 9 s of each ten seconds
    shut = run(road, both(fleet_of(np.arange(0.0, 3600.0, 2.5), [0, 2], road), minor), 3600.0, gap=3.0)
    assert shut.left[-1, 1] <= 1  # nobody fits into 2.5 s, but one comes before the first


def test_a_banned_turn_is_made_by_no_table_and_refused_in_a_path() -> None:
    ends = [(0, 1), (1, 2), (2, 1), (1, 3)]  # from 0 to 3 straight is banned; over 2 and back it is not
    road = roads(ends, banned=table([(0, 3)], BANNED))
    trip = Fleet(np.zeros(1), np.array([0]), np.array([3]))
    found = run(road, trip, 600.0)
    assert found.left[-1].tolist() == [1, 1, 1, 1]
    with pytest.raises(UsageError, match=r"1 turns of paths are banned \(first: from 0-1 to 1-3\)"):
        run(road, fleet_of([0.0], [0, 3], road), 600.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_who_is_alone_takes_the_quickest_way_without_banned_turns(seed: int) -> None:
    random = np.random.default_rng(seed)
    nodes, links = 7, 22
    ends = random.integers(0, nodes, (links, 2))
    length = random.uniform(50, 500, links)
    follow = np.argwhere(ends[:, 1][:, None] == ends[:, 0][None, :])
    banned = follow[random.choice(len(follow), min(15, len(follow)), replace=False)].tolist()
    road = roads([tuple(one) for one in ends.tolist()], ids=[f"l{k}" for k in range(links)], length=length,
                 banned=table([tuple(one) for one in banned], BANNED))  # fmt: skip
    graph = networkx.DiGraph()  # of links: a turn costs the link it leads into
    graph.add_weighted_edges_from((one, other, length[other] / SPEED) for one, other in follow.tolist() if [one, other] not in banned)
    graph.add_weighted_edges_from((f"at {tail}", k, length[k] / SPEED) for k, tail in enumerate(ends[:, 0].tolist()))
    graph.add_weighted_edges_from((k, f"to {head}", 0.0) for k, head in enumerate(ends[:, 1].tolist()))
    pairs = [(one, other) for one in range(nodes) for other in range(nodes) if one != other]
    departure = np.arange(0.0, 1e5 * len(pairs), 1e5)  # each when the one before is long there
    origin, destination = np.array(pairs).T
    found = run(road, Fleet(departure, origin, destination), departure[-1] + 1e5, sample_every=1e9)
    known = [networkx.single_source_dijkstra_path_length(graph, f"at {one}").get(f"to {other}", np.nan) if f"at {one}" in graph else np.nan
             for one, other in pairs]  # fmt: skip
    assert found.arrival - found.departure == pytest.approx(np.array(known), rel=1e-6, nan_ok=True)  # times near 4e6 s in double precision
    assert found.causes()["arrived"] == np.isfinite(known).sum()


def two_lanes(**more: Any) -> RoadNetwork:
    """Return a road of two lanes from node 1, the first to node 2 and both to node 3, behind one link from node 0."""
    ends = [(0, 1), (1, 4), (1, 4), (4, 2), (4, 3)]
    return roads(ends, ids=["in", "lane 0", "lane 1", "right", "on"], objects=["a", "b", "b", "c", "d"],
                 capacity=[3600.0, 1800.0, 1800.0, 1800.0, 3600.0], banned=table([(2, 3)], BANNED), **more)  # fmt: skip


def test_lanes_of_a_road_share_its_vehicles() -> None:
    road = two_lanes()
    found = run(road, fleet_of(np.arange(0.0, 900.0, 1.0), [0, 1, 4], road), 1800.0)
    assert found.count()["arrived"] == 900
    assert abs(int(found.left[-1, 1]) - int(found.left[-1, 2])) <= 2
    assert (found.arrival - found.departure).max() <= 60.0 + 2.0 + 1e-3  # one lane alone would make a queue of 900 s


def test_a_queue_in_the_lane_that_turns_does_not_hold_up_the_other_lane() -> None:
    road = two_lanes(signals=table([(1, 3, 90.0, 0.0, 10.0)], SIGNALS))
    right = fleet_of(
        np.arange(0.0, 900.0, 12.0), [0, 2, 3], road
    )  # names the lane from which the turn is banned: it is the road that counts
    on = fleet_of(np.arange(1.0, 900.0, 3.0), [0, 1, 4], road)
    found = run(road, both(right, on), 3600.0)
    assert found.count()["arrived"] == len(found.departure)
    turns, straight = (found.arrival - found.departure)[:75], (found.arrival - found.departure)[75:]
    assert turns.mean() > 90.0
    assert np.median(straight) == pytest.approx(60.0, abs=3.0)
    assert found.left[-1, 1] >= 75  # only the first lane leads to the right


def test_who_is_caught_in_a_lane_changes_to_the_one_beside_it() -> None:
    ends = [(0, 1), (1, 4), (1, 4), (4, 2), (4, 3), (2, 3)]
    road = roads(ends, ids=["in", "lane 0", "lane 1", "right", "on", "round"], objects=["a", "b", "b", "c", "d", "e"],
                 banned=table([(2, 3)], BANNED))  # fmt: skip
    trips = Fleet(np.arange(0.0, 60.0, 2.0), np.zeros(30, np.int64), np.full(30, 3))
    found = run(road, trips, 600.0, behaviour="informed", changes=[LinkChange(35.0, ["on"], closed=True)])
    assert found.left[-1, 2] > 0  # some stood in the lane that does not lead to the right when the road ahead was closed
    assert found.causes()["arrived"] == found.left[-1, 3] == 30


def test_a_stop_holds_up_who_comes_behind() -> None:
    road = roads([(0, 1), (1, 2)])
    fleet = fleet_of([0.0, 4.0], [0, 1], road)
    found = run(road, replace(fleet, stop_time=np.array([0.0, 30.0, 0.0, 0.0])), 600.0)
    assert found.arrival[0] == pytest.approx(70.0)
    assert found.arrival[1] == pytest.approx(71.0, abs=1.0)  # within one headway, which may be made good


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["unaware", "learn", "informed"]))
def test_no_vehicle_is_lost_under_all_rules_at_once(seed: int, behaviour: Any) -> None:
    random = np.random.default_rng(seed)
    nodes, links, vehicles = 8, 60, 500
    ends = random.integers(0, nodes, (links, 2))
    ends = np.concatenate([ends, ends[: links // 3]])  # lanes
    objects = [f"r{k % links}" for k in range(len(ends))]
    follow = np.argwhere(ends[:, 1][:, None] == ends[:, 0][None, :])
    some = [follow[random.choice(len(follow), 40, replace=False)] for _ in range(4)]
    begin = random.uniform(0, 60, 40)
    signals = [
        (*pair, 60.0, a, a + b) for pair, a, b in zip(some[0].tolist(), begin.tolist(), random.uniform(1, 60, 40).tolist(), strict=True)
    ]
    yields = [(*mine, *other) for mine, other in zip(some[1].tolist(), some[2].tolist(), strict=True)]
    length, capacity = random.uniform([[5], [300]], [[300], [1800]], (2, len(ends)))
    rules = {
        "signals": table(signals, SIGNALS),
        "yields": table(yields, YIELDS),
        "banned": table([tuple(one) for one in some[3].tolist()], BANNED),
    }
    names = [f"l{k}" for k in range(len(ends))]
    road = roads([tuple(one) for one in ends.tolist()], ids=names, objects=objects, length=length, capacity=capacity, **rules)
    origin, destination = random.integers(0, nodes, (2, vehicles))
    kinds = random.integers(0, 3, vehicles).astype(np.int8)
    fleet = Fleet(random.uniform(0, 900, vehicles), origin, destination, vehicle_class=kinds, class_names=("car", "truck", "bus"))
    when, fast = random.uniform(0, 900, 9).tolist(), random.uniform(0, 20, 9).tolist()
    classes = (None, ("car",), ("bus", "truck"))
    changes = [
        LinkChange(when[k], [f"l{random.integers(links)}"], closed=bool(k % 3), speed=fast[k], classes=classes[k % 3]) for k in range(9)
    ]
    one, two = (run(road, fleet, 1800.0, changes=changes, behaviour=behaviour, table_every=300.0) for _ in range(2))
    assert (one.status == ON_THE_WAY).sum() == (one.entered[-1] - one.left[-1]).sum()
    assert one.causes()["arrived"] == (one.status == ARRIVED).sum()
    assert (one.entered >= one.left).all()
    assert np.array_equal(one.arrival, two.arrival, equal_nan=True)
    assert np.array_equal(one.cause, two.cause)


def test_a_loop_beside_a_road_of_the_same_object_is_no_lane_of_it() -> None:
    two = RoadNetwork.of(["a", "b"], [0, 0], [1, 1], ids=["short", "loop"], free_flow_time=[12.0, 360.0], capacity=900.0,
                         length=[100.0, 3000.0], objects=["r", "r"])  # fmt: skip
    run = load_fleet(two, Fleet(np.linspace(0.0, 594.0, 100), np.zeros(100, np.int64), np.ones(100, np.int64)), until=3600.0)
    assert run.entered[-1].tolist() == [100, 0]
    assert np.nanmean(run.arrival - run.departure) == pytest.approx(12.0, abs=0.5)
