"""The nearest of several stations along a network, for every place on it: paths begin and end part of the way along a link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from cim.model.road_network import RoadNetwork, TurnGraph
from cim.sim.impact.reach_ways import Sites, Ways
from cim.sim.traffic.equilibrium_kernels import nearest, room_for, shortest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Found", "Search", "nearest_station"]

_jit: Callable[..., Any] = numba.njit(cache=True, nogil=True)


@_jit
def _owners(by: Ints, arc_tail: Ints, owner: Ints) -> None:
    """Hand on to each state from which station it is reached, along its way back to a state that knows; -1 where it is not reached."""
    for v in range(by.shape[0]):
        u = v
        while owner[u] < 0 and by[u] >= 0:
            u = arc_tail[by[u]]
        found = owner[u]
        u = v
        while owner[u] < 0 and by[u] >= 0 and found >= 0:
            owner[u] = found
            u = arc_tail[by[u]]


def nearest_station(network: RoadNetwork, stations: Ints, time: Floats) -> tuple[Floats, Ints]:
    """Return the least time from any of several nodes to every node, and which of them it is.

    Parameters
    ----------
    stations : shape (s,)
        Rows of nodes.
    time : shape (links,)
        [s]; infinite for a closed link.

    Returns
    -------
    time, station : shape (nodes,)
        [s], infinite where no route leads; place in `stations`, -1 there.

    Examples
    --------
    >>> from cim.model.road_network import RoadNetwork
    >>> road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=60.0, capacity=1800.0)
    >>> time, station = nearest_station(road, np.array([0]), np.array([60.0]))
    >>> time.tolist(), station.tolist()
    ([0.0, 60.0], [0, 0])
    """
    graph, sources = network.turn_graph, np.asarray(stations, np.int64)
    found, state, by = nearest(sources, graph, np.asarray(time, float), np.inf)
    owner = np.full(len(by), -1, np.int64)
    for number in range(len(sources) - 1, -1, -1):
        node = sources[number]
        owner[node] = owner[graph.extra[node] : graph.extra[node + 1]] = number
    _owners(by, graph.arc_tail, owner)
    return found, owner[state]


@dataclass(frozen=True)
class Found:
    """What a search knows of every link."""

    entry: Floats
    """Time at which the beginning of each link is reached [s], shape (links,); infinite where it is not."""
    station: Ints
    """Station from which, -1 without."""
    begins: Floats
    """Time at which each station begins [s], shape (stations,); infinite for one that is out."""
    time: Floats
    """Time on each link [s]; infinite where it is closed."""


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
        self._link, self._share, self._mine = link[known], share[known], known % max(len(stations), 1)
        self._graph = _with_origin(network, self._link)
        self._turns = network.turn_graph
        self._room = room_for(len(self._graph.through))

    def run(self, time: Floats, begins: Floats) -> Found:
        """Return the time at which each link is reached.

        Parameters
        ----------
        time : shape (links,)
            [s] or any other cost that adds up; infinite for a closed link.
        begins : shape (stations,)
            What is spent before the road is reached [s]; infinite for a station that is out.
        """
        graph, states = self._graph, len(self._turns.through)
        weight = np.concatenate([time, _part(self._share, time[self._link]) + begins[self._mine]])
        shortest(states, graph, weight, self._room)
        distance, by = self._room[0], self._room[1]
        owner = np.full(states + 1, -1, np.int64)
        starts = np.flatnonzero(by >= len(self._turns.arc_link))
        owner[starts] = self._mine[by[starts] - len(self._turns.arc_link)]
        _owners(by, graph.arc_tail, owner)
        tail = self._turns.arc_tail
        ready = np.where(self._turns.through[tail], distance[tail], np.inf)  # a path may end at a centroid, but not go on
        entry, station = np.full(len(time), np.inf), np.full(len(time), -1, np.int64)
        nodes = len(time)  # the first arcs are the links by the node they leave, the others follow a turn that is banned for some
        entry[self._turns.arc_link[:nodes]], station[self._turns.arc_link[:nodes]] = ready[:nodes], owner[tail[:nodes]]
        _better(entry, station, self._turns.arc_link[nodes:], ready[nodes:], owner[tail[nodes:]])
        return Found(entry, np.where(np.isfinite(entry), station, -1), np.where(self.stations.way >= 0, begins, np.inf), time)

    def at(self, sites: Sites, found: Found) -> tuple[Floats, Ints]:
        """Return the time at which each site is reached [s], infinite where no route leads to it, and from which station (-1)."""
        time, station = np.full(len(sites), np.inf), np.full(len(sites), -1, np.int64)
        links = sites.links(self.ways)
        for link, share in zip(links, (sites.share, 1.0 - sites.share), strict=True):
            known = np.flatnonzero(link >= 0)
            own = link[known]
            reached = found.entry[own] + _part(share[known], found.time[own])
            _better(time, station, known, reached, found.station[own])
        site, mine = self._beside(sites)
        ahead = sites.share[site] - self.stations.share[mine]
        for link, way in zip(links, (ahead, -ahead), strict=True):
            known = np.flatnonzero((link[site] >= 0) & (way >= 0.0))
            reached = found.begins[mine[known]] + _part(way[known], found.time[link[site[known]]])
            _better(time, station, site[known], reached, mine[known])
        return time, station

    def _beside(self, sites: Sites) -> tuple[Ints, Ints]:
        """Return the pairs of site and station on the same way."""
        order = np.argsort(self.stations.way, kind="stable")
        ranked = self.stations.way[order]
        low, high = (np.searchsorted(ranked, sites.way, side) for side in ("left", "right"))
        count = np.where(sites.way >= 0, high - low, 0)
        site = np.repeat(np.arange(len(sites)), count)
        step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        return site, order[np.repeat(low, count) + step]


def _with_origin(network: RoadNetwork, links: Ints) -> TurnGraph:
    """Return the graph of a network with one more state, from which an arc of its own leads to the head of each of some links."""
    turns = network.turn_graph
    size, states = network.links.num_rows, len(turns.through)
    heads = turns.state_of_link[links]
    arcs = np.concatenate([turns.arc_link, size + np.arange(len(links))])
    none = np.empty(0, np.int64)
    tails = np.concatenate([turns.arc_tail, np.full(len(links), states)])
    into = np.concatenate([turns.arc_head, heads])
    through = np.append(turns.through, True)
    return TurnGraph(np.append(turns.first, len(arcs)), arcs, into, tails, none, none, through, turns.state_of_link, turns.extra)


def _part(share: Floats, time: Floats) -> Floats:
    """Return the time on a part of a link, infinite where it is closed."""
    open_ = np.isfinite(time)
    return np.where(open_, share * np.where(open_, time, 0.0), np.inf)


def _better(time: Floats, station: Ints, rows: Ints, reached: Floats, who: Ints) -> None:
    """Write times and stations where they are less than those known; a row may occur several times."""
    order = np.lexsort((reached, rows))
    rows, first = np.unique(rows[order], return_index=True)
    reached, who = reached[order][first], who[order][first]
    less = reached < time[rows]
    time[rows[less]], station[rows[less]] = reached[less], who[less]
