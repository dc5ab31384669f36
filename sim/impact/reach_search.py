"""The nearest of several stations along a network, for every place on it: paths begin and end part of the way along a link."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from cim.model.road_network import RoadNetwork, TurnGraph
from cim.sim.impact.reach_ways import Sites, Ways
from cim.sim.traffic.equilibrium_kernels import room_for, shortest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Found", "Search"]

_jit: Callable[..., Any] = numba.njit(cache=True, nogil=True)


@_jit
def _owners(by: Ints, tail: Ints, mine: Ints, arcs: int, owner: Ints) -> None:
    """Write from which station each state is reached: that of the first arc on the way; -1 where it is not reached.

    The arcs from number `arcs` on lead from the origin to the stations `mine`.
    """
    for v in range(owner.shape[0]):
        owner[v] = -1
    for v in range(owner.shape[0]):
        u = v
        while owner[u] < 0 and by[u] >= 0:
            if by[u] >= arcs:
                owner[u] = mine[by[u] - arcs]
            else:
                u = tail[by[u]]
        found = owner[u]
        u = v
        while owner[u] < 0 and by[u] >= 0 and found >= 0:
            owner[u] = found
            u = tail[by[u]]


@dataclass(frozen=True)
class Found:
    """What a search found out."""

    search: Search
    distance: Floats
    """Time to every state [s]; infinite where no route leads."""
    by: Ints
    """Arc by which each state is reached, -1 without."""
    begins: Floats
    """Time at which each station begins [s], shape (stations,); infinite for one that is out."""
    time: Floats
    """Time on each link [s]; infinite where it is closed."""

    def entry(self, links: Ints) -> Floats:
        """Return the time at which the beginning of links is reached [s], infinite where it is not."""
        return np.asarray(self._ready[self._state[links]])

    def station(self, links: Ints) -> Ints:
        """Return the station from which the beginning of links is reached, -1 where it is not."""
        owner = np.empty(len(self.by), np.int32)
        graph = self.search.graph
        _owners(self.by, graph.arc_tail, self.search.stations_of_arcs, len(graph.arc_tail) - len(self.search.stations_of_arcs), owner)
        state = self._state[links]
        return np.where(np.isfinite(self._ready[state]), owner[state], -1).astype(np.int64)

    @cached_property
    def _ready(self) -> Floats:
        """Time at which each state can be left; a path may end at a centroid, but not go on."""
        return np.asarray(np.where(self.search.graph.through, self.distance, np.inf))

    @cached_property
    def _state(self) -> Ints:
        """The best of the states from which each link is entered."""
        tail: Ints = self.search.tail
        link, state = self.search.further
        if not len(link):
            return tail
        best = tail.copy()
        order = np.argsort(-self._ready[state], kind="stable")
        link, state = link[order], state[order]  # the best comes last and stays
        chosen = tail.copy()
        chosen[link] = state
        better = self._ready[chosen] < self._ready[tail]
        best[better] = chosen[better]
        return best


class Search:
    """Shortest paths from stations that lie on links, without banned turns.

    Parameters
    ----------
    network, ways
        The network, and where its links lie.
    stations
        Where the stations are.
    """

    def __init__(self, network: RoadNetwork, ways: Ways, stations: Sites) -> None:
        self.ways, self.stations = ways, stations
        forward, backward = stations.links(ways)
        link, share = np.concatenate([forward, backward]), np.concatenate([1.0 - stations.share, stations.share])
        known = np.flatnonzero(link >= 0)
        self._link, self._share = link[known], share[known]
        self.stations_of_arcs = known % max(len(stations), 1)
        turns = network.turn_graph
        self.graph, self._arc_link = _with_origin(turns, self._link, network.links.num_rows)
        self.tail: Ints = network.column("from_node")
        """Node at the beginning of each link."""
        arcs = slice(network.links.num_rows, len(turns.arc_link))
        self.further = turns.arc_link[arcs], turns.arc_tail[arcs]
        """Links that are entered from a further state than their node, after a turn that is banned for some, and these states."""
        self._room = room_for(len(self.graph.through))

    def run(self, time: Floats, begins: Floats) -> Found:
        """Return how long it takes to get about.

        Parameters
        ----------
        time : shape (links,)
            [s] or any other cost that adds up; infinite for a closed link.
        begins : shape (stations,)
            What is spent before the road is reached [s]; infinite for a station that is out.
        """
        weight = np.concatenate([time, _part(self._share, time[self._link]) + begins[self.stations_of_arcs]])
        shortest(len(self.graph.through) - 1, self.graph, weight[self._arc_link], self._room)
        distance, by = self._room[0].copy(), self._room[1].copy()
        return Found(self, distance, by, np.where(self.stations.way >= 0, begins, np.inf), time)

    def at(self, sites: Sites, found: Found) -> tuple[Floats, Ints]:
        """Return the time at which each site is reached [s], infinite where no route leads to it, and from which station (-1)."""
        time, came = self._reached(sites, found)
        station = np.where(came < -1, -2 - came, -1)
        station[came >= 0] = found.station(came[came >= 0])
        return time, station

    def times(self, sites: Sites, found: Found) -> Floats:
        """Return the time at which each site is reached [s], infinite where no route leads to it."""
        return self._reached(sites, found)[0]

    def _reached(self, sites: Sites, found: Found) -> tuple[Floats, Ints]:
        """Return times, and the link by which each site is reached; -2 less the station where one on its own link is nearest."""
        time, came = np.full(len(sites), np.inf), np.full(len(sites), -1, np.int64)
        links = sites.links(self.ways)
        for link, share in zip(links, (sites.share, 1.0 - sites.share), strict=True):
            known = np.flatnonzero(link >= 0)
            own = link[known]
            reached = found.entry(own) + _part(share[known], found.time[own])
            _better(time, came, known, reached, own)
        site, mine = self._beside(sites)
        ahead = sites.share[site] - self.stations.share[mine]
        for link, way in zip(links, (ahead, -ahead), strict=True):
            known = np.flatnonzero((link[site] >= 0) & (way >= 0.0))
            reached = found.begins[mine[known]] + _part(way[known], found.time[link[site[known]]])
            _better(time, came, site[known], reached, -2 - mine[known])
        return time, came

    def _beside(self, sites: Sites) -> tuple[Ints, Ints]:
        """Return the pairs of site and station on the same way."""
        order = np.argsort(self.stations.way, kind="stable")
        ranked = self.stations.way[order]
        low, high = (np.searchsorted(ranked, sites.way, side) for side in ("left", "right"))
        count = np.where(sites.way >= 0, high - low, 0)
        site = np.repeat(np.arange(len(sites)), count)
        step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        return site, order[np.repeat(low, count) + step]


def _with_origin(turns: TurnGraph, links: Ints, size: int) -> tuple[TurnGraph, NDArray[np.int32]]:
    """Return a graph with one more state, from which an arc of its own leads to the head of each of some links, and the link of each arc.

    The search gets its costs by arc, and its graph in 32 bits: it waits for memory most of the time.
    """
    states = len(turns.through)
    arc_link = np.concatenate([turns.arc_link, size + np.arange(len(links))]).astype(np.int32)
    head = np.concatenate([turns.arc_head, turns.state_of_link[links]]).astype(np.int32)
    tail = np.concatenate([turns.arc_tail, np.full(len(links), states)]).astype(np.int32)
    first = np.append(turns.first, len(arc_link)).astype(np.int32)
    none: Any = np.empty(0, np.int32)
    arcs: Any = np.arange(len(arc_link), dtype=np.int32)
    small: Any = (first, arcs, head, tail, none, none, np.append(turns.through, True), none, none)
    return TurnGraph(*small), arc_link


def _part(share: Floats, time: Floats) -> Floats:
    """Return the time on a part of a link, infinite where it is closed."""
    open_ = np.isfinite(time)
    return np.where(open_, share * np.where(open_, time, 0.0), np.inf)


def _better(time: Floats, came: Ints, rows: Ints, reached: Floats, who: Ints) -> None:
    """Write times, and how they come about, where they are less than those known; a row may occur several times."""
    order = np.lexsort((reached, rows))
    rows, first = np.unique(rows[order], return_index=True)
    reached, who = reached[order][first], who[order][first]
    less = reached < time[rows]
    time[rows[less]], came[rows[less]] = reached[less], who[less]
