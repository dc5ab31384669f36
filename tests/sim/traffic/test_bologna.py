"""Three networks of Bologna with their signals: times and counts beside SUMO's own, by one set of parameters, which are the defaults.

The headway at stop lines and the green lost at the start were set with these three in view: a calibration, no forecast.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.loaders.sumo import closed_to, read_network, read_routes
from cim.model.road_network import RoadNetwork
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet

CASES = {"joined": (386.25, 0.15, 88.0), "acosta": (284.92, 0.20, 83.0), "pasubio": (336.6, 0.20, 83.0)}
"""Mean duration in SUMO [s], tolerance, and share of counts with a GEH below 5 [%]: asked for by the issue; see ORIGIN.toml."""
FIVE_MINUTES = 300.0


@lru_cache
def loaded(folder: Path, *, signals: bool = True) -> tuple[RoadNetwork, DynamicRun]:
    case = folder.name
    network = read_network(folder / f"{case}_buslanes.net.xml", [folder / f"{case}_tls.add.xml"])
    if not signals:
        network = RoadNetwork(network.nodes, network.links, banned=network.banned)
    files = [folder / f"{case}{end}" for end in (".rou.xml", "_busses.rou.xml", "_vtypes.add.xml", "_bus_stops.add.xml")]
    routes = read_routes(files, network)
    changes = [LinkChange(0.0, ids, closed=True, classes=classes) for ids, classes in closed_to(network, routes.class_names)]
    found = load_fleet(network, Fleet(**routes.columns()), until=4 * 3600.0, changes=changes, behaviour="unaware", table_every=1e9,
                       sample_every=FIVE_MINUTES)  # fmt: skip
    assert sum(found.causes().values()) == len(routes.ids)
    return network, found


def counts_of(case: str) -> dict[str, list[int]]:
    with gzip.open(Path(__file__).with_name(f"bologna_counts_{case}.csv.gz"), "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return {row[0]: [int(one) for one in row[1:]] for row in rows[1:]}


def good_share(network: RoadNetwork, found: DynamicRun, case: str, *, hour: bool = False) -> float:
    """Return on how many edges and intervals with traffic the GEH of the hourly rate is below 5 [%]."""
    edges, lane = np.unique(np.array(network.links["object"].to_pylist()), return_inverse=True)
    passed = np.diff(found.entered[:13].astype(float), axis=0)
    mine = np.stack([np.bincount(lane, weights=row, minlength=len(edges)) for row in passed])
    known = counts_of(case)
    theirs = np.array([known.get(edge, [0] * 12) for edge in edges.tolist()], float).T
    mine, theirs = (one.sum(axis=0) if hour else 12 * one for one in (mine, theirs))
    busy = (mine > 0) | (theirs > 0)
    geh = np.sqrt(2 * (mine - theirs)[busy] ** 2 / (mine + theirs)[busy])
    return float(100 * np.mean(geh < 5))


@pytest.mark.data
@pytest.mark.parametrize("case", CASES)
def test_travel_times_and_counts_are_near_sumos(case: str, shared_data: Callable[..., Path]) -> None:
    network, found = loaded(shared_data("traffic", "sumo_bologna", case))
    duration, tolerance, share = CASES[case]
    assert found.count()["arrived"] == len(found.departure)
    assert np.mean(found.arrival - found.started) == pytest.approx(duration, rel=tolerance)
    assert good_share(network, found, case) >= share
    assert good_share(network, found, case, hour=True) >= 95.0  # of the sums over the hour: 96 % when departures shift by seconds


@pytest.mark.data
def test_without_signals_the_times_are_far_too_short(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("traffic", "sumo_bologna", "joined")
    _, found = loaded(folder, signals=False)
    assert np.mean(found.arrival - found.started) < 0.6 * CASES["joined"][0]


@pytest.mark.data
def test_cars_keep_off_the_lanes_of_buses(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("traffic", "sumo_bologna", "joined")
    network, found = loaded(folder)
    bus = np.array([one == "allow bus" for one in network.links["class"].to_pylist()])
    assert bus.sum() == 34
    lane: Any = found.entered[-1]
    assert 0 < lane[bus].sum() < 0.05 * lane.sum()  # few are buses, or of the type that may use every lane
