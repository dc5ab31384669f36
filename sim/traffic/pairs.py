"""Pairs of zones with trips, by origin, and what is wrong with them; the static and the dynamic run ask the same of their trips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.model.road_network import faults_of, refuse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import ODMatrix, RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Pairs", "not_joined", "pairs_of"]


@dataclass(frozen=True)
class Pairs:
    """Pairs of zones with trips, by origin."""

    origins: Ints
    start: Ints
    """Where the pairs of each origin begin, shape (origins + 1,)."""
    origin: Ints
    destination: Ints
    trips: Reals
    """Both ends and trips of each pair."""
    inside: float
    """Trips within zones."""


def pairs_of(network: RoadNetwork, demand: ODMatrix, faults: list[str]) -> Pairs:
    """Return the pairs of zones by origin.

    Raises
    ------
    UsageError
        If the network or the trips hold faults; the message has the others too.
    """
    nodes = network.nodes.num_rows
    origin, destination = np.asarray(demand.origin, np.int64), np.asarray(demand.destination, np.int64)
    trips = np.asarray(demand.trips, float)
    own = [*faults_of(network), *demand.faults_on(network)]
    if not len(origin) == len(destination) == len(trips):
        own.append(f"the trips have {len(origin)} origins, {len(destination)} destinations and {len(trips)} numbers")
    else:
        outside = (origin < 0) | (origin >= nodes) | (destination < 0) | (destination >= nodes)
        bad = ~(trips >= 0) | ~np.isfinite(trips)
        told = {"pairs of zones name a node that is not there": outside, "numbers of trips are negative or no numbers": bad}
        own += [f"{int(one.sum())} {said} (first: row {np.argmax(one)})" for said, one in told.items() if one.any()]
    refuse([*own, *faults] if own else [])
    keep = (origin != destination) & (trips > 0)
    key, total = origin[keep] * nodes + destination[keep], trips[keep]
    if not (np.diff(key) > 0).all():
        key, inverse = np.unique(key, return_inverse=True)
        total = np.asarray(np.bincount(inverse, total, len(key)), float)
    begins, ends = key // max(nodes, 1), key % max(nodes, 1)
    origins, first = np.unique(begins, return_index=True)
    inside = float(trips[origin == destination].sum())
    return Pairs(origins, np.append(first, len(key)).astype(np.int64), begins, ends, total, inside)


def not_joined(network: RoadNetwork, pairs: Pairs, remedy: str) -> list[str]:
    """Return the fault that trips lie between zones that no path joins, whatever is closed, with the first pairs by id."""
    from cim.sim.traffic.equilibrium_kernels import apart

    cut = np.flatnonzero(apart(pairs.origins, pairs.start, pairs.destination, network.turn_graph))
    if not len(cut):
        return []
    names = network.nodes["id"].take(pairs.origin[cut[:5]]), network.nodes["id"].take(pairs.destination[cut[:5]])
    first = ", ".join(f"{a} to {z}" for a, z in zip(*(one.to_pylist() for one in names), strict=True))
    more = " ..." if len(cut) > 5 else ""
    said = f"{len(cut)} pairs of zones with {pairs.trips[cut].sum():g} trips per hour are joined by no path ({first}{more})"
    return [f"{said}; mend the network, or {remedy}"]
