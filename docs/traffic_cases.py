"""Roads with exact answers, as `validate_traffic.py` shows them: queues, closures, merges, diverges, travellers to work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.road_network import RoadNetwork
from cim.sim.traffic.dynamic import Fleet, LinkChange
from tests.sim.traffic import test_dynamic as own

if TYPE_CHECKING:
    from collections.abc import Callable

    from cim.sim.traffic.dynamic import DynamicRun

__all__ = ["Told", "cases"]


@dataclass(frozen=True)
class Told:
    """One figure of a case."""

    case: str
    figure: str
    value: float
    exact: float
    unit: str
    within: float = 0.01
    """Relative."""
    absolute: float = 0.0
    bar: str = "1 %"

    @property
    def met(self) -> bool:
        """Whether the error is within the bar."""
        return abs(self.value - self.exact) <= max(self.within * abs(self.exact), self.absolute)

    @property
    def error(self) -> str:
        """The error as it is printed."""
        off = self.value - self.exact
        return f"{round(100 * off / self.exact, 2) + 0.0:.2f} %" if self.exact else f"{off:g}"


def point_queue(said: dict[str, Any]) -> list[Told]:
    """Return the queue before a bottleneck."""
    case = said["point_queue"]
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=6.0, capacity=case["s_veh_h"], length=100.0)
    found = own.run(road, own.stream(case["q_veh_h"], 0, case["T_h"], 0, 1), 2.0)
    wait = (found.arrival - found.departure - 6.0) / 3600.0
    return [
        Told("queue before a bottleneck", "delay of all", wait.sum(), case["total_delay_veh_h"], "veh h"),
        Told("queue before a bottleneck", "longest wait", wait.max(), case["max_delay_h"], "h"),
        Told("queue before a bottleneck", "gone after", found.arrival.max() / 3600 - 6 / 3600, case["clear_time_h"], "h"),
    ]


def closures(said: dict[str, Any], draw: Callable[[DynamicRun, float, dict[str, Any]], None]) -> list[Told]:
    """Return a closure, whole and in part; the whole one is drawn."""

    length, links = 500.0, 112
    whole = said["closure_0815_1000_no_alternative"]
    rows = []
    for name, title, capacity in (
        ("closure_0815_1000_no_alternative", "closed 08:15–10:00", 0.0),
        ("partial_closure_capacity_900", "900 veh/h 08:15–10:00", 900.0),
    ):
        case = said[name]
        road, last = own.chain(length, links), [f"{links - 1}-{links}"]
        changes = [LinkChange(whole["t1_h"] * 3600, last, capacity=capacity), LinkChange(whole["t2_h"] * 3600, last, capacity=2250.0)]
        found = own.run(road, own.stream(1500, 0, 15, 0, links), 18, changes=changes)
        late = found.arrival - found.departure - links * length / own.FREE
        crowded = (found.entered - found.left) > 1500 / 3600 * length / own.FREE * 1.2
        queue = float(crowded.sum(axis=1).max()) * length / 1000
        rows += [
            Told(title, "delay of all", late.sum() / 3600, case["total_delay_veh_h"], "veh h"),
            Told(title, "longest delay", late.max() / 3600, case["max_delay_h"], "h"),
            Told(title, "last one delayed passes at", found.arrival[late > 5.0].max() / 3600, case["last_delayed_passes_h"], "h"),
            Told(title, "longest queue", queue, case["max_queue_length_km"], "km", 0.01, 1.0, "2 links"),
        ]
        if capacity == 0.0:
            draw(found, length, case)
    return rows


def spill(said: dict[str, Any]) -> list[Told]:
    """Return a queue that fills a link."""

    case, length = said["spillback_time"], np.array([5000.0, 2000.0, 100.0])
    road = RoadNetwork.of(["a", "b", "c", "d"], [0, 1, 2], [1, 2, 3], free_flow_time=length / own.FREE, capacity=2250.0, length=length)
    shut = [LinkChange(3600.0, ["c-d"], closed=True)]
    found = own.run(road, own.stream(1500, 0, 2, 0, 3), 2, changes=shut, sample_every=1.0)
    held = found.entered[:, 1] - found.left[:, 1]
    full = found.times[np.argmax(held >= case["storage_veh"] - 1)] / 3600 - 1.0
    return [
        Told("queue on 2 km", "vehicles stored", float(held.max()), case["storage_veh"], "veh", 0.0, 1.0, "1 vehicle"),
        Told("queue on 2 km", "spills back after", full, case["time_to_spill_h"], "h", 0.01, 5 / 3600, "2 headways"),
    ]


def merges(said: dict[str, Any]) -> list[Told]:
    """Return what passes where two roads become one."""

    rows = []
    for name, case in said.items():
        if not name.startswith("merge"):
            continue
        road = RoadNetwork.of(["a", "b", "m", "z"], [0, 1, 2], [2, 2, 3], free_flow_time=1000 / own.FREE,
                              capacity=[2250.0, 2250.0, case["S"]], length=1000.0)  # fmt: skip
        fleet = own.together(own.stream(case["D1"], 0, 3, 0, 3, [0, 2]), own.stream(case["D2"], 0, 3, 1, 3, [1, 2]))
        found = own.run(road, fleet, 3, priority=np.array([case["priority1"], 1 - case["priority1"], 1.0]))
        title = f"merge of {case['D1']} and {case['D2']} into {case['S']}, {case['priority1']:.2f}"
        rows += [Told(title, f"from road {k + 1}", own.rate(found, k, 1.5, 2.5), case[f"q{k + 1}"], "veh/h") for k in range(2)]
    return rows


def diverges(said: dict[str, Any]) -> list[Told]:
    """Return what passes where a road parts, first in, first out."""

    rows = []
    for name, case in said.items():
        if not name.startswith("diverge"):
            continue
        road = RoadNetwork.of(["a", "m", "y", "z"], [0, 1, 1], [1, 2, 3], free_flow_time=1000 / own.FREE,
                              capacity=[2250.0, max(case["S1"], 1.0), case["S2"]], length=1000.0)  # fmt: skip
        departure = np.arange(0, 3 * 3600.0, 3600.0 / case["D"])
        many = len(departure)
        first = np.floor(np.arange(1, many + 1) * case["b1"]) > np.floor(np.arange(many) * case["b1"])
        path = np.column_stack([np.zeros(many, np.int64), np.where(first, 1, 2)]).ravel()
        fleet = Fleet(departure, np.zeros(many, np.int64), np.where(first, 2, 3), np.arange(many + 1) * 2, path)
        found = own.run(road, fleet, 3, changes=[LinkChange(0.0, ["m-y"], closed=True)] if case["S1"] == 0 else [])
        title = f"diverge of {case['D']}, {case['b1']:.0%} into {case['S1']}"
        for k in range(2):
            value = own.rate(found, k + 1, 1.5, 2.5)
            rows.append(Told(title, f"into road {k + 1}", value, case[f"q{k + 1}"], "veh/h", 0.01, 1.0, "1 %, 1 vehicle"))
    return rows


def vickrey(said: dict[str, Any]) -> list[Told]:
    """Return travellers to work under the departures that theory prescribes."""

    case = said["vickrey_bottleneck"]
    early = np.arange(case["first_dep_h"], case["on_time_dep_h"], 1 / case["rate_early"])
    late = np.arange(case["on_time_dep_h"], case["last_dep_h"], 1 / case["rate_late"])
    departure = np.concatenate([early, late]) * 3600
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=1.0, capacity=case["s_veh_h"], length=10.0)
    found = own.run(road, Fleet(departure, np.zeros(len(departure), np.int64), np.ones(len(departure), np.int64)), 12)
    there = (found.arrival - 1.0) / 3600
    wait, off = there - departure / 3600, there - case["t_star_h"]
    cost = case["alpha"] * wait + case["beta"] * np.maximum(-off, 0) + case["gamma"] * np.maximum(off, 0)
    return [
        Told("Vickrey's bottleneck", "longest wait", wait.max(), case["max_queue_delay_h"], "h"),
        Told("Vickrey's bottleneck", "cost of all", cost.sum(), case["total_cost"], "money"),
    ]


def cases(said: dict[str, Any], draw: Callable[[DynamicRun, float, dict[str, Any]], None]) -> list[Told]:
    """Return every figure of the cases.

    Parameters
    ----------
    said
        The cases of ``analytic/cases.json`` by id.
    draw
        Gets the run of the closure, the length of its links [m], and the case.
    """
    return [*point_queue(said), *closures(said, draw), *spill(said), *merges(said), *diverges(said), *vickrey(said)]
