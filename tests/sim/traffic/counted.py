"""A town whose trips are known, a matrix that is off, and counts on some of its roads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cim.model.road_network import ODMatrix, RoadNetwork
from cim.sim.traffic.demand_zones import costs_between
from cim.sim.traffic.gravity import gravity


@dataclass(frozen=True)
class Draw:
    """What an estimate gets: a disturbed matrix, counts, and which of them are held back."""

    prior: ODMatrix
    counts: pa.Table
    held: list[bool]


def draw(
    network: RoadNetwork, true: ODMatrix, flow: np.ndarray, seed: int, *, zone: float = 0.2, cell: float = 0.3, share: float = 0.2
) -> Draw:
    """Return the matrix times 0.85 with lognormal noise by zone and by cell, and counts of a share of the roads, a fifth held back.

    `flow` is that of the true trips. A road is both directions between two nodes; connectors of zones (class 3) are no roads.
    """
    rng = np.random.default_rng(seed)
    zones = network.nodes.num_rows
    by_zone = [rng.lognormal(-0.5 * zone**2, zone, zones)[ends] for ends in (true.origin, true.destination)]  # 1 in the mean
    by_cell = rng.lognormal(-0.5 * cell**2, cell, len(true.trips))
    prior = ODMatrix(true.origin, true.destination, 0.85 * true.trips * by_zone[0] * by_zone[1] * by_cell)
    ends = np.sort(np.stack([network.column("from_node"), network.column("to_node")]), axis=0)
    road = np.unique(ends[0] * zones + ends[1], return_inverse=True)[1]
    roads = np.unique(road[np.asarray(network.links["class"].to_pylist(), object) != "3"])
    chosen = rng.permutation(roads)[: round(share * len(roads))]
    rows = np.flatnonzero(np.isin(road, chosen))
    held = np.isin(road[rows], chosen[: round(0.2 * len(chosen))])
    counts = pa.table({"link": network.links["id"].take(rows), "flow": flow[rows]})
    return Draw(prior, counts, held.tolist())


def off(matrix: ODMatrix, true: ODMatrix) -> float:
    """Return the root of the mean square by which the trips of origins are off, as a share of their mean."""
    zones = int(max(matrix.origin.max(), true.origin.max())) + 1
    sums = [np.bincount(one.origin, one.trips, zones) for one in (matrix, true)]
    return float(np.sqrt(np.mean((sums[0] - sums[1]) ** 2)) / sums[1].mean())


def fringe_trips(network: RoadNetwork, each: float, mean: float) -> ODMatrix:
    """Return a guess where no matrix is: as many trips from and to every end of the network, by a gravity model of a mean share.

    `mean` is that of a trip's free-flow time, relative to trips that do not care for time.
    """
    tail, head = network.column("from_node"), network.column("to_node")
    pairs = np.unique(np.concatenate([np.stack([tail, head]), np.stack([head, tail])], axis=1), axis=1)
    ends = np.flatnonzero(np.bincount(pairs[0], minlength=network.nodes.num_rows) == 1)
    cost = costs_between(network, ends, network.column("free_flow_time"))
    np.fill_diagonal(cost, np.inf)
    begins, stops = np.isfinite(cost).any(axis=1), np.isfinite(cost).any(axis=0)
    origins, destinations = np.where(begins, each, 0.0), np.where(stops, each * begins.sum() / stops.sum(), 0.0)
    flat = gravity(origins, destinations, cost, parameter=0.0).mean_cost
    trips = gravity(origins, destinations, cost, mean_cost=mean * flat).trips
    origin, destination = np.nonzero(trips > 0)
    return ODMatrix(ends[origin], ends[destination], trips[origin, destination])
