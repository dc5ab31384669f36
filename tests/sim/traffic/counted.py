"""A town whose trips are known, a matrix that is off, and counts on some of its roads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cim.model.road_network import ODMatrix, RoadNetwork
from cim.sim.traffic import assign


@dataclass(frozen=True)
class Draw:
    """What an estimate gets: a disturbed matrix, counts, and which of them are held back."""

    prior: ODMatrix
    counts: pa.Table
    held: list[bool]


def draw(network: RoadNetwork, true: ODMatrix, seed: int, *, zone: float = 0.2, cell: float = 0.3, share: float = 0.2) -> Draw:
    """Return the matrix times 0.85 with lognormal noise by zone and by cell, and counts of a share of the roads, a fifth held back.

    A road is both directions between two nodes; connectors of zones (class 3) are no roads.
    """
    rng = np.random.default_rng(seed)
    zones = network.nodes.num_rows
    by_zone = [rng.lognormal(-0.5 * zone**2, zone, zones)[ends] for ends in (true.origin, true.destination)]  # 1 in the mean
    by_cell = rng.lognormal(-0.5 * cell**2, cell, len(true.trips))
    prior = ODMatrix(true.origin, true.destination, 0.85 * true.trips * by_zone[0] * by_zone[1] * by_cell)
    flow = assign(network, true, gap=1e-6).flow
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
