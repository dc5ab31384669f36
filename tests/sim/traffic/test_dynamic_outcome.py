"""Vehicle classes, and what is told of those who did not arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cim.errors import UsageError
from cim.model.road_network import RoadNetwork
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
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
