"""Networks of the Transportation Networks collection with their best-known objective, and small ones with exact answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cim.loaders.tntp import read_network, read_trips
from cim.model.road_network import ODMatrix, RoadNetwork

MINUTE = 60.0


@dataclass(frozen=True)
class Known:
    """A network of the collection; the unit of time is a minute of the file, whatever it means there."""

    folder: str
    stem: str
    objective: float
    """Best known [veh min/h]; sources in SOURCE.txt of the folder."""
    toll_factor: float = 0.0
    distance_factor: float = 0.0

    def read(self, traffic: Path) -> tuple[RoadNetwork, ODMatrix]:
        """Return network and trips."""
        stem = traffic / self.folder / self.stem
        network = read_network(f"{stem}_net.tntp", toll_factor=self.toll_factor, distance_factor=self.distance_factor)
        return network, read_trips(f"{stem}_trips.tntp")


SIOUX_FALLS = Known("sioux_falls", "SiouxFalls", 4231335.287107440)
ANAHEIM = Known("anaheim", "Anaheim", 1286032.171096)
EASTERN_MASSACHUSETTS = Known("eastern_massachusetts", "EMA", 26160.345922910747)
WINNIPEG = Known("winnipeg", "Winnipeg", 827911.494629963)
CHICAGO = Known("chicago_sketch", "ChicagoSketch", 17313018.7387477, 0.02, 0.04)
BERLIN = Known("berlin_center", "berlin-center", 20817218.443236634)
CLOSURES = {"sf": SIOUX_FALLS, "anaheim": ANAHEIM, "chicago": CHICAGO}


def closure(traffic: Path, name: str) -> tuple[list[str], float]:
    """Return the ids of the closed links and the objective without them [veh min/h]."""
    said = json.loads((traffic / "whatif_closure" / f"{name}_closure.json").read_text(encoding="utf-8"))
    return [f"{a}-{z}" for a, z in said["closed_links"]], said["objective_after"]


def trips(*rows: tuple[int, int, float]) -> ODMatrix:
    """Return a matrix of (origin, destination, trips) rows."""
    origin, destination, number = zip(*rows, strict=True)
    return ODMatrix(np.array(origin, np.int64), np.array(destination, np.int64), np.array(number, float))


def braess(*, bridge: bool = True) -> RoadNetwork:
    """Return Braess's network (1968) in minutes: 10 v, 50 + v, and 10 + v on the bridge; 6 trips from node 0 to node 3."""
    ends = [(0, 1), (0, 2), (1, 3), (2, 3), (1, 2)][: 5 if bridge else 4]
    # 10 v as 1e-9 (1 + 1e10 v): a free-flow time of nothing has no slope in this law
    time, b = [1e-9, 50.0, 50.0, 1e-9, 10.0], [1e10, 0.02, 0.02, 1e10, 0.1]
    tail, head = np.array(ends).T
    return RoadNetwork.of(
        ["A", "B", "C", "D"], tail, head, free_flow_time=MINUTE * np.array(time[: len(ends)]), capacity=1.0, b=b[: len(ends)], power=1.0
    )
