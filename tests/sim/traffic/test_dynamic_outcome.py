"""Vehicle classes, and what is told of those who did not arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cim.errors import UsageError
from cim.model.road_network import RoadNetwork
from cim.sim.traffic import dynamic_kernels
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
from cim.sim.traffic.dynamic_arrays import roads_of
from cim.sim.traffic.dynamic_outcome import CAUSES, STRANDED

SPEED = 12.5
"""[m/s]; links of 250 m take 20 s."""


def roads(ends: list[tuple[int, int]], **more: Any) -> RoadNetwork:
    tail, head = np.array(ends).T
    nodes = [str(k) for k in range(int(max(tail.max(), head.max())) + 1)]
    given: dict[str, Any] = {"free_flow_time": 250.0 / SPEED, "capacity": 1800.0, "length": 250.0} | more
    return RoadNetwork.of(nodes, tail, head, **given)


def trips(departure: Any, origin: int, destination: int, **more: Any) -> Fleet:
    n = len(departure)
    return Fleet(np.asarray(departure, float), np.full(n, origin), np.full(n, destination), **more)


def run(network: RoadNetwork, fleet: Fleet, until: float, **more: Any) -> DynamicRun:
    found = load_fleet(network, fleet, until=until, **more)
    assert sum(found.causes().values()) == sum(found.count().values()) == len(fleet.departure)
    return found


def causes(found: DynamicRun) -> dict[str, int]:
    return {name: many for name, many in found.causes().items() if many}


MIXED: dict[str, Any] = {"vehicle_class": np.array([0, 1] * 10, np.int8), "class_names": ("car", "truck")}
WAYS = [(0, 1), (1, 3), (1, 2), (2, 3)]
"""From 0 to 3 over link 1, or round over node 2."""


def test_a_road_closed_to_trucks_is_open_to_cars() -> None:
    shut = [LinkChange(0.0, ["1-3"], closed=True, classes=("truck",))]
    found = run(roads(WAYS), trips(np.arange(0.0, 200.0, 10.0), 0, 3, **MIXED), 600.0, changes=shut, behaviour="informed")
    assert causes(found) == {"arrived": 20}
    assert found.left[-1].tolist() == [20, 10, 10, 10]
    assert found.arrival - found.departure == pytest.approx(np.tile([40.0, 60.0], 10))


def test_a_truck_that_waits_before_its_closure_holds_up_the_cars_behind() -> None:
    shut = [LinkChange(0.0, ["1-3"], closed=True, classes=("truck",)), LinkChange(300.0, ["1-3"], closed=False, classes=("truck",))]
    found = run(roads(WAYS), trips(np.arange(0.0, 200.0, 10.0), 0, 3, **MIXED), 600.0, changes=shut, behaviour="unaware")
    assert causes(found) == {"arrived": 20}
    assert found.arrival[0] == pytest.approx(40.0)  # the car before the first truck
    assert found.arrival[1:].min() >= 320.0 - 1e-6


def test_a_speed_for_trucks_slows_the_cars_behind_them_and_nobody_else() -> None:
    slow = [LinkChange(0.0, ["1-3"], speed=2.5, classes=("truck",))]
    fleet = trips([0.0, 60.0, 61.0, 400.0], 0, 3, vehicle_class=np.array([0, 1, 0, 0], np.int8), class_names=("car", "truck"))
    found = run(roads([(0, 1), (1, 3)]), fleet, 900.0, changes=slow, behaviour="unaware")
    time = found.arrival - found.departure
    assert time[[0, 3]] == pytest.approx([40.0, 40.0])
    assert time[1] == pytest.approx(120.0)
    assert time[2] == pytest.approx(120.0, abs=2.0)  # close behind, within a headway


def test_classes_that_nothing_tells_apart_run_as_one() -> None:
    shut = [LinkChange(50.0, ["1-3"], closed=True)]
    departure = np.arange(0.0, 200.0, 10.0)
    one = run(roads(WAYS), trips(departure, 0, 3, **MIXED), 600.0, changes=shut)
    two = run(roads(WAYS), trips(departure, 0, 3), 600.0, changes=shut)
    assert np.array_equal(one.arrival, two.arrival)


def test_every_cause_is_told() -> None:
    fleet = trips([0.0, 100.0, 100.0, 5000.0], 0, 3)
    road = roads(WAYS)
    assert causes(run(road, fleet, 130.0)) == {"arrived": 1, "still travelling": 2, "not departed": 1}
    cut = [LinkChange(50.0, ["1-3", "2-3"], closed=True)]
    assert causes(run(road, fleet, 600.0, changes=cut)) == {"arrived": 1, "no route": 2, "not departed": 1}
    assert causes(run(road, fleet, 600.0, changes=cut, behaviour="unaware")) == {"arrived": 1, "behind a closed link": 2, "not departed": 1}
    home = [LinkChange(50.0, ["0-1"], closed=True)]
    for behaviour in ("unaware", "learn", "informed"):
        found = run(road, fleet, 600.0, changes=home, behaviour=behaviour)
        assert causes(found) == {"arrived": 1, "origin closed": 2, "not departed": 1}


def test_a_queue_behind_a_closed_link_is_told_as_far_as_it_reaches() -> None:
    road = roads([(0, 1), (1, 2), (2, 3)])
    shut = [LinkChange(0.0, ["2-3"], closed=True)]
    found = run(road, trips(np.arange(0.0, 400.0, 2.0), 0, 3), 1800.0, changes=shut, behaviour="unaware")
    held = int((found.entered[-1] - found.left[-1]).sum())
    assert causes(found) == {"behind a closed link": held, "waiting at the origin for space": 200 - held}
    flooded = [LinkChange(30.0, ["1-2"], speed=0.0)]  # the water comes while they are on it
    under = run(road, trips([0.0, 15.0], 0, 3), 1800.0, changes=flooded, behaviour="unaware")
    assert causes(under) == {"behind a closed link": 2}


def test_a_driver_who_is_sent_in_circles_is_taken_off() -> None:
    road = roads([(0, 1), (1, 0), (0, 2), (1, 2)])  # whichever end the driver comes to, the way on has just been closed there
    swaps = [(10.0, "0-2", "1-2"), (30.0, "1-2", "0-2")]
    changes = [LinkChange(0.0, ["0-2"], closed=True)]
    for period in range(50):
        for after, opened, shut in swaps:
            changes += [LinkChange(after + 40.0 * period, [opened], closed=False), LinkChange(after + 40.0 * period, [shut], closed=True)]
    found = run(road, trips([0.0], 0, 2), 2000.0, changes=changes, behaviour="informed", most_links=40)
    assert causes(found) == {"sent in circles": 1}
    assert found.left[-1].tolist() == [20, 20, 0, 0]
    own = trips([0.0], 0, 2, path_start=np.array([0, 1]), path_links=np.array([2]))  # its way is closed: it learns, and goes by the tables
    assert causes(run(road, own, 2000.0, changes=changes, most_links=40)) == {"sent in circles": 1}
    assert causes(run(road, trips([0.0], 0, 2), 3000.0, changes=changes, behaviour="informed", most_links=200)) == {
        "arrived": 1
    }  # the last change


def test_a_ring_of_full_roads_is_told() -> None:
    ends = [(0, 1), (1, 2), (2, 0), (3, 0), (4, 1), (5, 2)]  # a ring of three roads for one vehicle each, fed from outside
    length = np.array([6.0, 6.0, 6.0, 250.0, 250.0, 250.0])
    road = roads(ends, length=length, free_flow_time=length / SPEED)
    paths = np.array([[3, 0, 1], [4, 1, 2], [5, 2, 0]])  # everybody goes two thirds round
    tail, head = road.column("from_node"), road.column("to_node")
    fleet = Fleet(np.zeros(3), tail[paths[:, 0]], head[paths[:, -1]], np.arange(4) * 3, paths.ravel())
    locked = run(road, fleet, 7200.0, behaviour="unaware")
    assert causes(locked) == {"in a ring of full roads": 3}
    assert locked.count() == {"arrived": 0, "travelling": 0, "waiting": 0, "stranded": 3}  # they stand on roads and nobody frees them
    one_late = Fleet(np.array([0.0, 0.0, 60.0]), fleet.origin, fleet.destination, fleet.path_start, fleet.path_links)
    assert causes(run(road, one_late, 7200.0, behaviour="unaware")) == {"arrived": 3}


def test_faults_of_classes_and_paths_are_told_in_one_message() -> None:
    fleet = trips([0.0], 0, 3, path_start=np.array([0, 2]), path_links=np.array([0, 3]), vehicle_class=np.array([4], np.int8))
    changes = [LinkChange(0.0, ["1-3"], closed=True, classes=("lorry",)), LinkChange(0.0, ["1-3"], capacity=1.0, classes=("car",))]
    changes.append(LinkChange(0.0, ["nowhere", "1-3"], closed=True))
    with pytest.raises(UsageError, match="6 faults") as told:
        run(roads(WAYS), fleet, 10.0, changes=changes, priority=np.ones(2))
    for said in (
        "no road has the id 'nowhere'",
        "2 priorities for 4 links",
        "is for lorry",
        "gives a capacity for car",
        "of class 4",
        "1 links of paths do not follow each other",
    ):
        assert said in str(told.value)


def test_changes_after_the_end_are_told() -> None:
    found = run(roads(WAYS), trips([0.0], 0, 3), 100.0, changes=[LinkChange(100.0, ["1-3"], closed=True)])
    assert causes(found) == {"arrived": 1}
    assert found.notes == ("1 changes come after the end of the run and have no effect",)


def test_what_time_does_not_heal_is_a_cause() -> None:
    assert set(STRANDED) < set(CAUSES)
    assert not {"arrived", "still travelling", "not departed"} & set(STRANDED)


@pytest.mark.parametrize("behaviour", ["unaware", "learn", "informed"])
@pytest.mark.parametrize("end", [1500.0, 2000.0, 7200.0])
def test_who_finds_every_way_closed_waits_at_the_origin_and_goes_when_one_opens(behaviour: Any, end: float) -> None:
    road = roads([(0, 1), (0, 2), (1, 3), (2, 3)])
    times = (("0-1", 900.0, 2400.0), ("0-2", 1200.0, 1800.0))
    changes = [LinkChange(at, [link], closed=at == shut) for link, shut, opened in times for at in (shut, opened)]
    fleet = trips(np.arange(0.0, 3600.0, 9.0), 0, 3)
    found = run(road, fleet, end, changes=changes, behaviour=behaviour, table_every=1e9)
    held = (fleet.departure > 1200.0) & (fleet.departure <= min(end, 1800.0))
    if end == 1500.0:
        assert found.count()["stranded"] >= held.sum()
        assert {CAUSES[row] for row in found.cause[held]} == {"origin closed"}
    elif behaviour == "unaware":  # their first choice is the road that opens last
        assert (found.count()["arrived"] == len(held)) == (end == 7200.0)
    else:
        assert found.count()["stranded"] == 0
        assert (found.started[held] >= 1800.0).sum() == (~np.isnan(found.started[held])).sum() > 0
        assert np.nanmin(found.started[held]) == 1800.0  # as soon as it opens, in order, at 1800 veh/h but for one headway of credit
        assert np.diff(found.started[held & (found.started > 0)])[1:] == pytest.approx(2.0, abs=1e-3)
    if end == 7200.0:
        assert causes(found) == {"arrived": len(fleet.departure)}


def test_who_has_no_route_at_the_origin_waits_for_one() -> None:
    changes = [LinkChange(at, ["1-3", "2-3"], closed=at == 50.0) for at in (50.0, 1000.0)]
    fleet = trips([0.0, 100.0, 200.0], 0, 3)
    assert causes(run(roads(WAYS), fleet, 900.0, changes=changes[:1], behaviour="informed")) == {"arrived": 1, "no route": 2}
    found = run(roads(WAYS), fleet, 3000.0, changes=changes, behaviour="informed")
    assert causes(found) == {"arrived": 3}
    assert found.started == pytest.approx([0.0, 1000.0, 1000.0], abs=1e-3)  # credit of one headway


def test_who_is_faster_than_at_the_start_loses_no_time_and_makes_up_for_nobody() -> None:
    faster = [LinkChange(500.0, ["0-1"], speed=2 * SPEED), LinkChange(900.0, ["0-1"], speed=SPEED / 2)]
    found = run(roads([(0, 1), (1, 2)]), trips([0.0, 600.0, 650.0, 1000.0], 0, 2), 1500.0, changes=faster)
    assert found.arrival - found.departure == pytest.approx([40.0, 30.0, 30.0, 60.0])
    assert (np.diff(found.lost, axis=0) >= -1e-9).all()
    assert found.lost[-1] == pytest.approx([20.0, 0.0], abs=1e-3)


def test_a_capacity_without_limit_is_as_good_as_a_large_one_and_costs_no_memory() -> None:
    random = np.random.default_rng(1)
    tail, head = random.integers(0, 30, (2, 200))
    fleet = Fleet(random.uniform(0.0, 600.0, 300), random.integers(0, 30, 300), random.integers(0, 30, 300))
    large = np.arange(200) % 4 == 0
    changes = [LinkChange(200.0, ["l7", "l8"], closed=True), LinkChange(400.0, ["l7", "l8"], closed=False)]

    def of(capacity: float) -> DynamicRun:
        road = roads(list(zip(tail.tolist(), head.tolist(), strict=True)), ids=[f"l{k}" for k in range(200)],
                     capacity=np.where(large, capacity, 900.0), b=0.0)  # fmt: skip
        more = LinkChange(100.0, ["l4"], capacity=1e6 if np.isnan(capacity) else capacity)
        return run(road, fleet, 1800.0, changes=[*changes, more])

    expected = of(1e6)
    for capacity in (1e9, 1e12, 1e30, np.inf, np.nan):
        found = of(capacity)
        assert found.causes() == expected.causes()
        assert np.array_equal(found.left, expected.left)
        # a headway at 1e6 veh/h is 3.6 ms; a few of them add up
        assert found.arrival == pytest.approx(expected.arrival, abs=0.05, nan_ok=True)
        assert any("50 links have no limit of capacity" in note for note in found.notes) == (not capacity < 1e12)


def test_many_links_of_large_capacity_store_no_more_than_the_vehicles_or_50_lanes() -> None:
    many = 2000
    road = roads([(k, k + 1) for k in range(many)], capacity=1e9)
    fleet = trips(np.zeros(50), 0, 3)
    for vehicles, stored, told in ((50, 50, False), (10**9, 1924, True)):  # 50 lanes of 250 m, 6.5 m each
        made, _, notes = roads_of(dynamic_kernels, road, 1, vehicles, spacing=6.5, wave=5.0, priority=None, origin_priority=1.0)
        assert made.ring[-1] == many * (stored + 2)
        assert made.wave == pytest.approx(np.full(many, 50.0))
        assert any("2000 links store as many vehicles as 50 lanes" in note for note in notes) == told
    assert causes(run(road, fleet, 600.0)) == {"arrived": 50}


def test_a_taxi_that_passes_a_large_link_more_often_than_there_are_vehicles_is_not_held_up() -> None:
    ring, laps = roads([(0, 1), (1, 0)], capacity=1e9), 20
    path = np.tile([0, 1], laps)
    found = run(ring, trips([0.0], 0, 0, path_start=np.array([0, len(path)]), path_links=path), 3600.0, most_links=1000)
    assert found.arrival == pytest.approx([laps * 40.0])


def test_a_capacity_that_no_road_has_is_told() -> None:
    said = "2 links have a capacity below 50 veh/h (first: 1-3): another unit, or held by b of the cost law?"
    assert run(roads(WAYS, capacity=[1800.0, 1.0, 49.0, 50.0]), trips([0.0], 0, 3), 100.0).notes == (said,)
