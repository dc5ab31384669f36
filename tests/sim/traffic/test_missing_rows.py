"""Intervals of two dynamic runs, compared link by link with the counts of the runs themselves."""

from __future__ import annotations

import numpy as np
import xarray as xr

from cim.model.road_network import RoadNetwork
from cim.results import Fields, RunRecord, compare
from cim.sim.traffic.dynamic import DynamicRun, Fleet, load_fleet
from cim.sim.traffic.outputs import interval_table

EVERY, UNTIL = 300.0, 1500.0


def fork() -> RoadNetwork:
    """Return a road that forks: each vehicle takes one of two branches."""
    return RoadNetwork.of(["a", "b", "c", "d"], [0, 1, 1], [1, 2, 3], free_flow_time=[30.0, 45.0, 20.0], capacity=900.0, length=500.0)


def loaded(departures: np.ndarray, to: int) -> DynamicRun:
    fleet = Fleet(departures, np.zeros(len(departures), np.int64), np.full(len(departures), to))
    return load_fleet(fork(), fleet, until=UNTIL, changes=[])


def fields(run: DynamicRun) -> Fields:
    return Fields("traffic", xr.Dataset(), {"intervals": interval_table(fork(), run, EVERY)}, RunRecord("traffic", "1"))


def counted(run: DynamicRun) -> dict[tuple[str, float], tuple[float, float, float]]:
    """Return vehicles in and out and the queue for every link and interval, those without vehicles, too."""
    made = {}
    for begin in np.arange(0.0, UNTIL, EVERY).tolist():
        first, last = (int(np.argmin(np.abs(run.times - moment))) for moment in (begin, begin + EVERY))
        for row, link in enumerate(fork().links["id"].to_pylist()):
            made[link, begin] = (
                float(run.entered[last, row] - run.entered[first, row]), float(run.left[last, row] - run.left[first, row]),
                float(run.queue[last, row]),
            )  # fmt: skip
    return made


def test_differences_of_intervals_are_those_of_all_links_and_intervals() -> None:
    base, option = loaded(np.arange(40) * 9.0 + 0.3, 2), loaded(np.arange(60) * 7.0 + 500.3, 3)  # other branch, other time
    table = compare(fields(base), fields(option)).table("intervals")
    rows = {(row["link"], row["time"]): row for row in table.to_pylist()}
    one, two = counted(base), counted(option)
    assert len(rows) > 5
    assert {row["change"] for row in rows.values()} <= {"same", "changed"}
    for key, before in one.items():
        gaps = [b - a for a, b in zip(before, two[key], strict=True)]
        if key not in rows:
            assert gaps == [0.0, 0.0, 0.0]
            continue
        assert [rows[key][f"{name}_difference"] for name in ("entered", "left", "queue")] == gaps
    assert rows["b-c", 0.0]["speed_option"] is None  # nobody drove there: no speed, which is not a speed of zero
