"""Static user equilibrium: flows at which no driver can save time by another path (Wardrop 1952), to any gap asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import RunError, UsageError
from cim.model.road_network import checked
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import ODMatrix, RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Assignment", "assign"]

_ROUNDS = 10
"""Rounds over stored paths between two searches for new ones, at most."""
_LEFT, _LEAST = 0.02, 0.05
"""Excess cost at which stored paths are even enough: shares of what the search found, and of the gap wanted."""
_NEAR = 5.0
"""What trips could still have saved in a search, in gaps wanted, below which an exact look is worth its time."""
_MOST, _PARTLY, _FALLEN = 0.95, 4, 0.1
"""Share of the excess cost whose origins are searched from next, how often at most before all are again, and the share that the excess
has fallen to when all are again. A tenth of the origins often holds nearly all of it."""


@dataclass(frozen=True)
class Paths:
    """The paths that are used, pair by pair."""

    of_pair: Ints
    """Where the paths of each pair begin, shape (pairs + 1,)."""
    start: Ints
    """Where the links of each path begin, shape (paths + 1,)."""
    links: NDArray[np.int32]
    """Links of all paths, in the order they are driven."""
    flow: Reals
    """[veh/h], shape (paths,)."""


@dataclass(frozen=True)
class Assignment:
    """Flows in equilibrium on a network."""

    flow: Reals
    """Of each link [veh/h]."""
    time: Reals
    """What each link costs at its flow: time and fixed cost [s]; infinite where closed."""
    gap: float
    """Relative gap, by an exact search: (cost of all trips - the least they could cost at these times) / cost of all trips."""
    objective: float
    """Beckmann's objective [veh s/h]."""
    total_time: float
    """Cost of all trips [veh s/h]."""
    iterations: int
    gaps: tuple[float, ...]
    """Gap at every exact look."""
    unserved: float
    """Trips between zones that no path joins [veh/h]; they are in no flow."""
    within_zones: float
    """Trips that stay in their zone [veh/h]; they load no link."""
    origin: Ints
    destination: Ints
    trips: Reals
    """The pairs of zones, in the order of `paths`."""
    least: Reals
    """Least cost of each pair [s]; infinite where no path is."""
    paths: Paths
    closed: Flags

    def through(self, link: int) -> tuple[Ints, Reals]:
        """Return the pairs whose trips use a link, and how many of them do [veh/h] (select-link analysis)."""
        path = np.repeat(np.arange(len(self.paths.flow)), np.diff(self.paths.start))
        used = np.unique(path[self.paths.links == link])
        pair = np.searchsorted(self.paths.of_pair, used, side="right") - 1
        pairs, inverse = np.unique(pair, return_inverse=True)
        return pairs, np.asarray(np.bincount(inverse, self.paths.flow[used], len(pairs)), float)


def assign(
    network: RoadNetwork,
    demand: ODMatrix,
    *,
    gap: float = 1e-6,
    closed: Sequence[str] = (),
    start: Assignment | None = None,
    most_iterations: int = 500,
) -> Assignment:
    """Return the user equilibrium of trips on a network.

    Parameters
    ----------
    gap
        Relative gap at which to stop. At 1e-4 single links may still be off by a hundred vehicles per hour; differences of two runs
        need 1e-6 and less.
    closed
        Ids of links, or of roads, that nobody may use.
    start
        An equilibrium of the same trips to begin with: after a closure only the trips concerned look for another way.
    most_iterations
        Searches for new paths, at most.

    Raises
    ------
    UsageError
        If the network or the trips hold faults; all of them in one message.
    RunError
        If the gap is not reached.

    Examples
    --------
    >>> import numpy as np
    >>> from cim.model.road_network import ODMatrix, RoadNetwork
    >>> two = RoadNetwork.of(
    ...     ["a", "b"], [0, 0], [1, 1], ids=["long", "short"], free_flow_time=[90.0, 60.0], capacity=1000.0, b=1.0, power=1.0
    ... )
    >>> trips = ODMatrix(np.array([0]), np.array([1]), np.array([1000.0]))
    >>> [round(float(one), 6) for one in assign(two, trips, gap=1e-12).flow]
    [200.0, 800.0]
    """
    from cim.sim.traffic import equilibrium_kernels as kernels

    ordered = _pairs(network, demand)
    origins, pair_start, origin, destination, trips, inside = ordered
    shut = np.zeros(network.links.num_rows, bool)
    if closed:
        shut[network.rows_of(closed)] = True
    law = _law(network)
    graph = network.turn_graph
    store, flow = _begin(start, network, ordered, shut)
    weight, slope, least = np.empty(len(flow)), np.empty(len(flow)), np.empty(len(trips))

    def price() -> None:
        kernels.costs(law, flow, weight, slope)
        weight[shut] = np.inf

    price()
    gaps: list[float] = []
    saved = spent = 0.0
    excess, turns = np.zeros(len(origins)), _Turns(len(origins))
    with track(total=None, label="user equilibrium", unit="searches") as progress:
        for iteration in range(1, most_iterations + 1):
            store = kernels.sweep(
                origins, turns.chosen, pair_start, destination, trips, graph, law, shut, flow, weight, slope, store, excess
            )
            spent, saved = float(flow[~shut] @ weight[~shut]), float(excess.sum())
            kernels.polish(law, flow, weight, slope, store, _ROUNDS, max(_LEFT * saved, _LEAST * gap * spent))
            kernels.load(store, flow)  # without the rounding of many small moves
            price()
            progress.update(iteration)
            if saved <= _NEAR * gap * spent:
                kernels.cheaper(origins, pair_start, destination, graph, weight, store, least, excess)
                total, least_total, unserved = _exact(trips, weight, flow, shut, least)
                gaps.append((total - least_total) / total if total > 0 else 0.0)
                if gaps[-1] <= gap:
                    return Assignment(
                        flow, weight, gaps[-1], float(kernels.objective(law, flow)), total, iteration, tuple(gaps), unserved, inside,
                        origin, destination, trips, least, Paths(*store), shut,
                    )  # fmt: skip
                turns.chosen[:] = True
            turns.choose(excess)
    reached = f"{gaps[-1]:.1e}" if gaps else f"about {saved / max(spent, 1e-300):.1e}"
    msg = f"traffic: the gap is {reached} after {most_iterations} searches, wanted {gap:.1e}; give more searches or a larger gap"
    raise RunError(msg)


class _Turns:
    """From which origins to search next: those with nearly all of the excess cost until it has fallen, then all."""

    def __init__(self, origins: int) -> None:
        self.chosen = np.ones(origins, bool)
        self._in_part, self._of_all = 0, np.inf

    def choose(self, excess: Reals) -> None:
        """Choose by the excess cost that each origin had when it was looked at last."""
        left = float(excess.sum())
        if self.chosen.all():
            self._in_part, self._of_all = 0, left
        if self._in_part >= _PARTLY or left <= _FALLEN * self._of_all:
            self.chosen = np.ones(len(excess), bool)
            return
        order = np.argsort(-excess)
        enough = int(np.searchsorted(np.cumsum(excess[order]), _MOST * left)) + 1
        self.chosen = np.zeros(len(excess), bool)
        self.chosen[order[:enough]] = True
        self._in_part += 1


def _law(network: RoadNetwork) -> tuple[Any, ...]:
    """Return the cost laws of the links as the kernels take them; capacity in vehicles per hour, time in seconds."""
    from cim.sim.traffic.equilibrium_kernels import BPR, CONICAL

    kind = np.where(np.asarray(network.links["law"].to_pylist(), object) == "conical", CONICAL, BPR).astype(np.int8)
    return (kind, *(np.ascontiguousarray(network.column(name), float) for name in ("free_flow_time", "b", "power", "capacity", "fixed")))


def _pairs(network: RoadNetwork, demand: ODMatrix) -> tuple[Ints, Ints, Ints, Ints, Reals, float]:
    """Return origins, where the pairs of each begin, both ends and trips of each pair, by origin, and the trips within zones.

    Raises
    ------
    UsageError
        If the network or the trips hold faults.
    """
    nodes = network.nodes.num_rows
    origin, destination = np.asarray(demand.origin, np.int64), np.asarray(demand.destination, np.int64)
    trips = np.asarray(demand.trips, float)
    faults = []
    if not len(origin) == len(destination) == len(trips):
        faults.append(f"the trips have {len(origin)} origins, {len(destination)} destinations and {len(trips)} numbers")
    else:
        outside = (origin < 0) | (origin >= nodes) | (destination < 0) | (destination >= nodes)
        bad = ~(trips >= 0) | ~np.isfinite(trips)
        faults += [f"{int(outside.sum())} pairs of zones name a node that is not there (first: row {np.argmax(outside)})"] * bool(
            outside.any()
        )
        faults += [f"{int(bad.sum())} numbers of trips are negative or no numbers (first: row {np.argmax(bad)})"] * bool(bad.any())
    checked(network, faults)
    inside = float(trips[origin == destination].sum())
    keep = (origin != destination) & (trips > 0)
    key, total = origin[keep] * nodes + destination[keep], trips[keep]
    if not (np.diff(key) > 0).all():
        key, inverse = np.unique(key, return_inverse=True)
        total = np.asarray(np.bincount(inverse, total, len(key)), float)
    begins, ends = key // max(nodes, 1), key % max(nodes, 1)
    origins, first = np.unique(begins, return_index=True)
    return origins, np.append(first, len(key)).astype(np.int64), begins, ends, total, inside


def _begin(start: Assignment | None, network: RoadNetwork, ordered: tuple[Any, ...], shut: Flags) -> tuple[tuple[Any, ...], Reals]:
    """Return paths and flows to begin with: none, or those of another equilibrium of the same trips."""
    _, _, origin, destination, trips, _ = ordered
    if start is None:
        nothing = (np.zeros(len(trips) + 1, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))
        return nothing, np.zeros(network.links.num_rows)
    same = len(start.flow) == network.links.num_rows and all(
        np.array_equal(*both) for both in ((start.origin, origin), (start.destination, destination), (start.trips, trips))
    )
    if not same:
        msg = "traffic: start= is an equilibrium of other trips or another network; leave it out, or give that of the same trips and links"
        raise UsageError(msg)
    used = start.paths
    flow = np.where(shut, 0.0, start.flow)
    return (used.of_pair, used.start, used.links, used.flow.copy()), flow


def _exact(trips: Reals, weight: Reals, flow: Reals, shut: Flags, least: Reals) -> tuple[float, float, float]:
    """Return what all trips cost, the least they could cost at these times, and the trips that no path serves."""
    reached = np.isfinite(least)
    total = float(flow[~shut] @ weight[~shut])
    return total, float(trips[reached] @ least[reached]), float(trips[~reached].sum())
