"""The trips of the demo: those its buildings make in the evening, and what comes in, goes out and passes through, which is made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.plan import AVENUES, HEIGHT, ORIGIN, STREETS, WIDTH, to_place

if TYPE_CHECKING:
    from pathlib import Path

    from cim.model import City
    from cim.model.road_network import ODMatrix, RoadNetwork
    from cim.sim.traffic.demand import Demand

__all__ = ["FILE", "GATES", "SOURCES", "THROUGH", "Gateway", "evening_trips", "write_trips"]

FILE = "trips.csv"
SOURCES = "floor area and use of the buildings as they are; what enters, leaves and passes through is made up, as the place is"
HOUR = "pm"
_ZONE = 130.0
"""Width of the zones [m]: about a block, so that each has a crossing of its own."""


@dataclass(frozen=True)
class Gateway:
    """Where a road leaves the district, and the traffic there that the demo assumes [veh/h]; what only passes through comes on top."""

    along: float
    inland: float
    into: float
    out: float


_BOULEVARD, _RING = STREETS[3].at, STREETS[6].at
_RENMIN, _BRIDGE = AVENUES[3].at, AVENUES[6].at
GATES = {
    "boulevard west": Gateway(0.0, _BOULEVARD, 220.0, 260.0),
    "boulevard east": Gateway(WIDTH, _BOULEVARD, 220.0, 240.0),
    "ring west": Gateway(0.0, _RING, 120.0, 140.0),
    "ring east": Gateway(WIDTH, _RING, 120.0, 140.0),
    "Renmin north": Gateway(_RENMIN, HEIGHT, 180.0, 220.0),
    "bridge south": Gateway(_BRIDGE, -150.0, 260.0, 320.0),
}
"""Evening traffic from and to the surroundings: the demo's own assumption, as the whole place is made up."""
THROUGH = {
    ("boulevard west", "boulevard east"): 600.0, ("boulevard east", "boulevard west"): 660.0,
    ("ring west", "ring east"): 330.0, ("ring east", "ring west"): 360.0,
    ("bridge south", "Renmin north"): 230.0, ("Renmin north", "bridge south"): 210.0,
    ("bridge south", "boulevard west"): 130.0, ("boulevard west", "bridge south"): 120.0,
    ("bridge south", "ring east"): 65.0, ("ring east", "bridge south"): 60.0,
}  # fmt: skip
"""What only passes, from gate to gate [veh/h]: the demo's own assumption."""


def write_trips(city: City, folder: Path) -> Path:
    """Write the trips of an evening hour between junctions as ``trips.csv``, and return its path.

    Base and option read the same file, so that what differs between them is the water and not the trips.
    """
    from cim.loaders.matrices import write_csv
    from cim.scenario import Change
    from cim.sim.traffic.city_network import road_network

    known = "road" in city.tables["links"]["network"].to_pylist()
    network = road_network(city if known else Change("network").derive_road_links().apply(city))
    path = folder / FILE
    write_csv(evening_trips(city, network), network, path)
    return path


def evening_trips(city: City, network: RoadNetwork) -> ODMatrix:
    """Return trips between junctions of the network [veh/h]: floor area times use, a gravity model, gates and what passes through."""
    from cim.sim.traffic.demand import Gate, demand_of

    nodes = {name: _nearest(network, one) for name, one in GATES.items()}
    made = demand_of(
        city, network, hour=HOUR, zone_size=_ZONE, connectors=1,
        gates={nodes[name]: Gate(one.into, one.out) for name, one in GATES.items()},
        through={(nodes[one], nodes[other]): trips for (one, other), trips in THROUGH.items()},
    )  # fmt: skip
    return _between_junctions(made, network)


def _nearest(network: RoadNetwork, gate: Gateway) -> str:
    """Return the node nearest to where a road leaves the district, of those that all others can be reached from."""
    from cim.sim.traffic.demand_zones import access_nodes

    usable = access_nodes(network)[0]
    x, y = to_place(gate.along, gate.inland) + ORIGIN
    away = np.hypot(network.nodes["x"].to_numpy()[usable] - x, network.nodes["y"].to_numpy()[usable] - y)
    return str(network.nodes["id"][int(usable[np.argmin(away)])].as_py())


def _between_junctions(made: Demand, network: RoadNetwork) -> ODMatrix:
    """Return trips between zones as trips between the junctions that the zones are joined to; those that stay within one are left out."""
    ids = network.nodes["id"].to_pylist()
    joined = made.connectors
    at = np.full(made.network.nodes.num_rows, -1, np.int64)
    centroid = made.zones["node"].to_numpy()
    at[centroid[joined.zone]] = [ids.index(one) for one in joined.node]
    origin, destination = at[made.matrix.origin], at[made.matrix.destination]
    apart = origin != destination
    pair, row = np.unique(np.column_stack([origin, destination])[apart], axis=0, return_inverse=True)
    trips = np.zeros(len(pair))
    np.add.at(trips, row.ravel(), made.matrix.trips[apart])
    return replace(made.matrix, origin=pair[:, 0], destination=pair[:, 1], trips=np.round(trips, 3))
