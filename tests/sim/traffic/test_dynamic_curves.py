"""Corridors with bottlenecks, closures and any demand pass what the cumulative curves of kinematic wave theory pass (Newell 1993)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.road_network import RoadNetwork
from cim.sim.traffic.dynamic import Fleet, LinkChange, load_fleet

FREE, WAVE, JAM = 60 / 3.6, 20 / 3.6, 0.15
"""Speeds of the free and the backward wave [m/s] and jam density [veh/m]; a lane carries 2,250 veh/h."""
PIECE = 100.0
"""Links are whole numbers of these long [m]: 6 s for the free wave and 18 s for the backward one, whole time steps."""
LANES = 10
"""Broad roads: single vehicles are little beside what passes, and the curves know no single vehicles."""
STEP = 1.0
"""Time step of the curves [s]."""
SAMPLE, END = 10.0, 7200.0
CREDIT = 6.0
"""Vehicles by which counts may be off: one is a step of one, and after each of three stops one headway is made good."""


@dataclass(frozen=True)
class Corridor:
    """Links in a row, what their capacities are when, when one of them is closed, and who comes."""

    pieces: list[int]
    capacity: list[float]
    reduced: tuple[int, float, float, float]
    """Link, its capacity [veh/h], and from when until when [s]."""
    closed: tuple[int, float, float]
    """Link, and from when until when [s]; whoever is on it may leave it."""
    demand: list[float]
    """In each half of a quarter of an hour, from the start on [veh/h]."""


@st.composite
def corridors(draw: Any) -> Corridor:
    """Draw a corridor; closure and lower capacity may overlap in time and place, or last for nothing."""
    many = draw(st.integers(1, 3))
    link, flow = st.integers(0, many - 1), st.floats(300.0 * LANES, 2250.0 * LANES)

    def times() -> tuple[float, float]:
        begin = float(draw(st.integers(1, 1500)))
        return begin, begin + float(draw(st.integers(0, 600)))

    pieces = draw(st.lists(st.integers(1, 6), min_size=many, max_size=many))
    capacity = sorted(draw(st.lists(flow, min_size=many, max_size=many)), reverse=True)  # so that queues reach back over links
    demand = draw(st.lists(st.floats(300.0 * LANES, 1200.0 * LANES), min_size=2, max_size=4))
    return Corridor(pieces, capacity, (draw(link), draw(flow), *times()), (draw(link), *times()), demand)


def wanted(corridor: Corridor, time: Any) -> Any:
    """Return how many want to depart until a time [s]."""
    edges = 450.0 * np.arange(len(corridor.demand) + 1)
    return np.interp(time, edges, np.concatenate([[0.0], np.cumsum(corridor.demand) / 8.0]))


def curves(corridor: Corridor) -> Any:
    """Return how many have passed the begin of each link, and the end of the last one, until each step; shape (links + 1, steps).

    What passes a point is the least of what the free wave brings from the point before, what the backward wave lets in from the point
    behind, and what the capacities on both sides of the point pass in the step.
    """
    links, steps = len(corridor.pieces), int(END / STEP)
    free, back = (np.round(np.array(corridor.pieces) * PIECE / speed / STEP).astype(int).tolist() for speed in (FREE, WAVE))
    holds = [one * PIECE * JAM * LANES for one in corridor.pieces]
    middle = STEP * (np.arange(steps) + 0.5)
    rate = np.tile(np.array(corridor.capacity)[:, None] / 3600.0, steps)
    at, reduced, begin, until = corridor.reduced
    rate[at, (middle > begin) & (middle < until)] = reduced / 3600.0
    takes = rate.copy()
    shut, begin, until = corridor.closed
    takes[shut, (middle > begin) & (middle < until)] = 0.0
    passes = STEP * np.vstack([takes[:1], np.minimum(rate[:-1], takes[1:]), rate[-1:]])
    come, most = wanted(corridor, STEP * np.arange(steps + 1)).tolist(), passes.tolist()
    count = [[0.0] for _ in range(links + 1)]
    for k in range(1, steps + 1):
        for point, mine in enumerate(count):
            brings = come[k] if point == 0 else count[point - 1][max(k - free[point - 1], 0)]
            room = np.inf if point == links else holds[point] + count[point + 1][max(k - back[point], 0)]
            mine.append(min(mine[-1] + most[point][k - 1], brings, room))
    return np.array(count)


@settings(max_examples=30, deadline=None)
@given(corridors())
def test_counts_and_delays_of_a_corridor_are_those_of_the_curves(corridor: Corridor) -> None:
    links, length = len(corridor.pieces), PIECE * np.array(corridor.pieces)
    ids = [f"l{k}" for k in range(links)]
    road = RoadNetwork.of([*ids, "end"], np.arange(links), np.arange(1, links + 1), ids=ids, free_flow_time=length / FREE,
                          capacity=corridor.capacity, length=length, lanes=LANES)  # fmt: skip
    fine = np.arange(0.0, 450.0 * len(corridor.demand) + 1.0, 0.05)
    cars = int(wanted(corridor, END))
    departure = np.interp(np.arange(cars) + 0.5, wanted(corridor, fine), fine)  # halfway up each step of one vehicle
    fleet = Fleet(departure, np.zeros(cars, np.int64), np.full(cars, links), np.arange(cars + 1) * links, np.tile(np.arange(links), cars))
    at, reduced, begin, until = corridor.reduced
    shut, closes, opens = corridor.closed
    changes = [LinkChange(begin, [f"l{at}"], capacity=reduced), LinkChange(until, [f"l{at}"], capacity=corridor.capacity[at]),
               LinkChange(closes, [f"l{shut}"], closed=True), LinkChange(opens, [f"l{shut}"], closed=False)]  # fmt: skip
    found = load_fleet(
        road, fleet, until=END, changes=changes, behaviour="unaware", sample_every=SAMPLE, jam_spacing=1 / JAM, wave_speed=WAVE
    )
    exact, mine = np.minimum(curves(corridor), cars), np.vstack([found.entered.T, found.left.T[-1:]])
    assert found.count()["arrived"] == cars
    assert mine == pytest.approx(exact[:, :: int(SAMPLE / STEP)], rel=0.01, abs=CREDIT)
    there = END - STEP * float((exact[-1, 1:] + exact[-1, :-1]).sum()) / 2.0 / cars  # mean instant of arrival, from the area
    headways = CREDIT * 3600.0 / min(*corridor.capacity, corridor.reduced[1])
    assert found.arrival.mean() == pytest.approx(there, abs=max(0.01 * (there - departure.mean()), headways, STEP))
