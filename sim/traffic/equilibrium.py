"""Static user equilibrium: flows at which no driver can save time by another path (Wardrop 1952), to any gap asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import ObjectNotFoundError, RunError, UsageError
from cim.model.road_network import refuse
from cim.progress import track
from cim.sim.traffic.equilibrium_noise import noise_of, settled
from cim.sim.traffic.pairs import Pairs, not_joined, pairs_of

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
_NEAR, _LATE = 5.0, 1e-3
"""What trips could still save, in gaps wanted and over all they spend, below which a search from all origins moves no flow itself: it
costs half as much, and what it finds is the gap."""
_AHEAD, _DEEPER = 2, 0.01
"""Searches from all origins beyond the gap asked for, and the share of it that they aim at; what they still move is the noise."""
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
    flow_noise: Reals
    """How far the flow of each link may be from the equilibrium [veh/h]; see `equilibrium_noise`."""
    time_noise: Reals
    """The same of its time [s]; 0 where closed."""
    unique: Flags
    """Links whose flow the equilibrium settles; others, of constant cost, may exchange theirs at no cost."""

    def __repr__(self) -> str:
        """Return what was assigned, and how near to the equilibrium."""
        told = [f"{len(self.flow):,} links", f"{self.trips.sum():,.6g} veh/h between {len(self.trips):,} pairs of zones"]
        told += [f"{self.unserved:,.6g} veh/h without a path"] if self.unserved else []
        told += [f"{int(self.closed.sum()):,} links closed"] if self.closed.any() else []
        spent = f"{self.total_time / 3600.0:,.6g} veh h/h"
        return f"Assignment({', '.join(told)}, {spent}; relative gap {self.gap:.1e} after {self.iterations} searches)"

    def through(self, link: int) -> tuple[Ints, Reals]:
        """Return the pairs whose trips use a link, and how many of them do [veh/h] (select-link analysis).

        Parameters
        ----------
        link
            Row of the link, as `RoadNetwork.rows_of` gives it.

        Returns
        -------
        pairs, trips : shape (n,)
            Rows of `origin`, `destination` and `trips`; trips over the link [veh/h].

        Raises
        ------
        UsageError
            If there is no such row.
        """
        if not 0 <= link < len(self.flow):
            msg = f"link {link!r}; expected the row of a link, 0 to {len(self.flow) - 1}: network.rows_of([id])"
            raise UsageError(msg)
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
    unserved: Literal["refuse", "tell"] = "refuse",
    most_iterations: int = 500,
) -> Assignment:
    """Return the user equilibrium of trips on a network.

    Parameters
    ----------
    gap
        Relative gap at which to stop. At 1e-4 single links may still be off by a hundred vehicles per hour; differences of two runs
        need 1e-6 and less. The run goes two searches further, and tells by them how far each link may still be off.
    closed
        Ids of links, or of roads, that nobody may use.
    start
        An equilibrium of the same trips to begin with: after a closure only the trips concerned look for another way.
    unserved
        What to do with trips between zones that no path joins even where nothing is closed: refuse the network, or tell how many they
        are and leave them out. Trips that a closure cuts off are a result, and told.
    most_iterations
        Searches for new paths, at most.

    Raises
    ------
    UsageError
        If network, trips, ids of closures or start hold faults, or zones with trips are not joined; all of them in one message.
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
    shut, faults = _closed(network, closed)
    faults += [f"gap is {gap}, expected 0 or more and less than 1"] * (not 0 <= gap < 1)
    faults += [f"unserved = {unserved!r}, expected 'refuse' or 'tell'"] * (unserved not in ("refuse", "tell"))
    faults += ["the matrix holds no trips"] * (not len(demand.trips))
    pairs = pairs_of(network, demand, faults)
    faults += _other(start, network, pairs)
    if unserved == "refuse":
        faults += not_joined(network, pairs, "leave them out with unserved='tell'")
    refuse(faults)
    run = _Run(network, pairs, shut, start)
    gaps: list[float] = []
    turns, left = _Turns(len(pairs.origins)), np.inf
    reached: Reals | None = None  # the flow when the gap was
    ahead = _AHEAD
    with track(total=None, label="user equilibrium", unit="searches") as progress:
        for iteration in range(1, most_iterations + 1):
            if left <= _NEAR * gap or (left < _LATE and turns.chosen.all()):
                gaps.append(left := run.look())
                if gap < left:
                    reached, ahead = None, _AHEAD
                elif reached is None:
                    reached = run.flow.copy()
                else:
                    ahead -= 1
                if reached is not None and ahead == 0:
                    return run.result(iteration, gaps, reached)
                turns.chosen[:] = True
            else:
                left = run.search(turns.chosen)
            run.even(gap if reached is None else _DEEPER * gap)
            progress.update(iteration)
            turns.choose(run.excess)
    found = f"{gaps[-1]:.1e}" if gaps else f"about {left:.1e}"
    msg = f"traffic: the gap is {found} after {most_iterations} searches, wanted {gap:.1e}; give more searches or a larger gap"
    raise RunError(msg)


class _Run:
    """Paths, flows and costs on the way to equilibrium."""

    def __init__(self, network: RoadNetwork, pairs: Pairs, shut: Flags, start: Assignment | None) -> None:
        self.network, self.pairs, self.shut = network, pairs, shut
        self.law, self.graph = _law(network), network.turn_graph
        self.store, self.flow = _begin(start, pairs, shut)
        self.weight, self.slope, self.least = np.empty(len(shut)), np.empty(len(shut)), np.empty(len(pairs.trips))
        self.excess = np.zeros(len(pairs.origins))
        self.total = self.unserved = 0.0
        self._price()

    def search(self, chosen: Flags) -> float:
        """Look for new paths from some origins; return about what the trips could save, over all they spend."""
        self._sweep(chosen, still=False)
        return float(self.excess.sum()) / max(self._spent(), 1e-300)

    def look(self) -> float:
        """Look for new paths from all origins at the costs of the flows as they are; return the relative gap, exactly."""
        self._sweep(np.ones(len(self.excess), bool), still=True)
        self.total, self.unserved = self._spent(), float(self.pairs.trips[~np.isfinite(self.least)].sum())
        return float(self.excess.sum()) / max(self.total, 1e-300)

    def even(self, gap: float) -> None:
        """Even out the stored paths, as far as the last search and the gap wanted make worth while."""
        from cim.sim.traffic import equilibrium_kernels as kernels

        enough = max(_LEFT * float(self.excess.sum()), _LEAST * gap * self._spent())
        kernels.polish(self.law, self.flow, self.weight, self.slope, self.store, _ROUNDS, enough)
        kernels.load(self.store, self.flow)  # without the rounding of many small moves
        self._price()

    def _sweep(self, chosen: Flags, *, still: bool) -> None:
        from cim.sim.traffic import equilibrium_kernels as kernels

        of = self.pairs
        self.store = kernels.sweep(
            of.origins, chosen, still, of.start, of.destination, of.trips, self.graph, self.law, self.shut, self.flow, self.weight,
            self.slope, self.store, self.least, self.excess,
        )  # fmt: skip

    def result(self, iterations: int, gaps: list[float], earlier: Reals) -> Assignment:
        """Return the equilibrium; `earlier`: the flow when the gap was reached."""
        from cim.sim.traffic import equilibrium_kernels as kernels

        of, unique = self.pairs, settled(self.network, self.shut)
        noise = np.where(self.shut, 0.0, noise_of(self.flow, earlier, unique & ~self.shut))
        later = np.empty(len(noise))
        kernels.costs(self.law, self.flow + noise, later, self.slope)  # costs are convex: the rise is no less than the fall
        return Assignment(
            self.flow, self.weight, gaps[-1], float(kernels.objective(self.law, self.flow)), self.total, iterations, tuple(gaps),
            self.unserved, of.inside, of.origin, of.destination, of.trips, self.least, Paths(*self.store), self.shut, noise,
            np.where(self.shut, 0.0, later - np.where(self.shut, 0.0, self.weight)), unique,
        )  # fmt: skip

    def _price(self) -> None:
        from cim.sim.traffic import equilibrium_kernels as kernels

        kernels.costs(self.law, self.flow, self.weight, self.slope)
        self.weight[self.shut] = np.inf

    def _spent(self) -> float:
        return float(self.flow[~self.shut] @ self.weight[~self.shut])


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


def _closed(network: RoadNetwork, ids: Sequence[str]) -> tuple[Flags, list[str]]:
    """Return which links are closed, and the fault that some ids are not known."""
    shut = np.zeros(network.links.num_rows, bool)
    if isinstance(ids, str):
        return shut, [f"closed = {ids!r}; expected a list of ids, such as [{ids!r}]"]
    try:
        shut[network.rows_of(ids) if len(ids) else []] = True
    except ObjectNotFoundError as error:
        return shut, [f"of the closures: {error}"]
    return shut, []


def _other(start: Assignment | None, network: RoadNetwork, pairs: Pairs) -> list[str]:
    """Return the fault that an equilibrium to begin with is one of other links or other trips."""
    if start is None:
        return []
    if len(start.flow) != network.links.num_rows:
        return [f"start= has {len(start.flow)} links and the network {network.links.num_rows}; give an equilibrium on the same links"]
    both = (start.origin, pairs.origin), (start.destination, pairs.destination), (start.trips, pairs.trips)
    if not all(np.array_equal(*pair) for pair in both):
        return ["start= is an equilibrium of other trips; leave it out, or give that of the same trips"]
    lost = _no_ways(start, network)
    return [f"{lost} paths of start= are none in this network; give an equilibrium on the same links, nodes and turns"] if lost else []


def _no_ways(start: Assignment, network: RoadNetwork) -> int:
    """Return how many paths do not lead from their origin to their destination, pass where none may, or make a banned turn."""
    used = start.paths
    tail, head, through = network.column("from_node"), network.column("to_node"), network.nodes["through"].to_numpy()
    pair = np.repeat(np.arange(len(start.trips)), np.diff(used.of_pair))
    first, last = used.start[:-1], used.start[1:] - 1
    bad = (first > last) | (tail[used.links[first]] != start.origin[pair]) | (head[used.links[last]] != start.destination[pair])
    link, after = used.links[:-1].astype(np.int64), used.links[1:].astype(np.int64)
    banned = network.banned["from_link"].to_numpy() * len(tail) + network.banned["to_link"].to_numpy()
    broken = (head[link] != tail[after]) | ~through[head[link]]
    if len(banned):
        broken |= np.isin(link * len(tail) + after, banned)
    broken[last[:-1]] = False  # where the next path begins
    bad[np.searchsorted(used.start, np.flatnonzero(broken), side="right") - 1] = True
    return int(bad.sum())


def _begin(start: Assignment | None, pairs: Pairs, shut: Flags) -> tuple[tuple[Any, ...], Reals]:
    """Return paths and flows to begin with: none, or those of another equilibrium of the same trips."""
    if start is None:
        nothing = (np.zeros(len(pairs.trips) + 1, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))
        return nothing, np.zeros(len(shut))
    used = start.paths
    return (used.of_pair, used.start, used.links, used.flow.copy()), np.where(shut, 0.0, start.flow)
