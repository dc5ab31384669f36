"""The search of reach: equal to networkx on a real network, no banned turns, no way through centroids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.loaders.tntp import read_network
from cim.model.road_network import BANNED, RoadNetwork
from cim.sim.impact.reach_search import Search
from cim.sim.impact.reach_ways import attach, ways_of

RTOL = 1e-12  # the same sums of the same numbers, in another order of the last bits


def by_networkx(network: RoadNetwork, search: Search, time: np.ndarray, stations: range) -> np.ndarray:
    """Return the least time to the beginning of every link by another library, stations as nodes of their own."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    graph.add_nodes_from(range(network.nodes.num_rows))
    heads = network.column("to_node").tolist()
    through = network.nodes["through"].to_pylist()
    for a, z, cost in zip(network.column("from_node").tolist(), heads, time.tolist(), strict=True):
        if np.isfinite(cost) and through[a]:
            graph.add_edge(a, z, weight=cost)
    for k in stations:
        way, share = int(search.stations.way[k]), float(search.stations.share[k])
        for link, rest in ((int(search.ways.forward[way]), 1 - share), (int(search.ways.backward[way]), share)):
            if link >= 0 and np.isfinite(time[link]):
                graph.add_edge(f"station {k}", heads[link], weight=rest * time[link])
    found = nx.multi_source_dijkstra_path_length(graph, {f"station {k}" for k in stations if f"station {k}" in graph})
    return np.array([found.get(a, np.inf) if through[a] else np.inf for a in network.column("from_node").tolist()])


def test_times_on_chicago_with_closed_links_are_those_of_networkx(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("traffic", "chicago_regional_net_only")
    network = read_network(folder / "ChicagoRegional_net.tntp")
    lines = (folder / "ChicagoRegional_node.tntp").read_text(encoding="utf-8").splitlines()[1:]
    places = np.array([line.split()[1:3] for line in lines if line.strip()], float)
    nodes = network.nodes.set_column(1, network.nodes.schema.field("x"), pa.array(places[:, 0]))
    network = replace(network, nodes=nodes.set_column(2, nodes.schema.field("y"), pa.array(places[:, 1])))
    rng = np.random.default_rng(6)
    time = network.column("free_flow_time").astype(float)
    time[rng.choice(len(time), len(time) // 33, replace=False)] = np.inf
    ways = ways_of(network)
    stations = attach(shapely.points(places[rng.choice(len(places), 40, replace=False)] + 20.0), ways, reach=np.inf)
    search = Search(network, ways, stations)
    found = search.run(time, np.zeros(40))
    links = np.arange(len(time))
    entry, station = found.entry(links), found.station(links)
    np.testing.assert_allclose(entry, by_networkx(network, search, time, range(40)), rtol=RTOL)
    assert (np.isfinite(entry) == (station >= 0)).all()
    assert np.isfinite(entry).mean() > 0.8  # all but what hangs on closed links and centroids
    for k in np.unique(station[station >= 0])[:3].tolist():
        mine = station == k
        np.testing.assert_allclose(entry[mine], by_networkx(network, search, time, range(k, k + 1))[mine], rtol=RTOL)


def grid(side: int, seed: int, **more: Any) -> RoadNetwork:
    """Return streets 100 m apart, both ways, with times drawn by chance."""
    rng = np.random.default_rng(seed)
    node = np.arange(side * side).reshape(side, side)
    pairs = np.concatenate([np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()], 1), np.stack([node[:-1].ravel(), node[1:].ravel()], 1)])
    tail, head = np.concatenate([pairs, pairs[:, ::-1]]).T
    y, x = np.divmod(np.arange(side * side), side)
    time = rng.integers(1, 20, len(tail)).astype(float)
    ids = [f"r:{a}>{z}" for a, z in zip(tail, head, strict=True)]
    return RoadNetwork.of(
        [str(k) for k in node.ravel()],
        tail,
        head,
        free_flow_time=time,
        capacity=900.0,
        length=100.0,
        x=100.0 * x,
        y=100.0 * y,
        ids=ids,
        **more,
    )


def by_hand(network: RoadNetwork, search: Search, time: np.ndarray, begins: np.ndarray, site: tuple[int, float]) -> float:  # noqa: C901
    """Return the least time to a place on a way: label correcting over links, link by link, banned turns left out."""
    tail, head = network.column("from_node"), network.column("to_node")
    banned = set(zip(network.banned["from_link"].to_pylist(), network.banned["to_link"].to_pylist(), strict=True))
    at_end = np.full(len(time), np.inf)
    way, share = site
    best = np.inf
    for k, begin in enumerate(begins):
        at, along = int(search.stations.way[k]), float(search.stations.share[k])
        for link, rest, ahead in (
            (search.ways.forward[at], 1 - along, share - along), (search.ways.backward[at], along, along - share),
        ):  # fmt: skip
            if link >= 0 and np.isfinite(time[link]):
                at_end[link] = min(at_end[link], begin + rest * time[link])
                if at == way and ahead >= 0:
                    best = min(best, begin + ahead * time[link])
    for _ in range(len(time)):
        before = at_end.copy()
        for a in range(len(time)):
            for b in np.flatnonzero(tail == head[a]).tolist():
                if (a, b) not in banned:
                    at_end[b] = min(at_end[b], at_end[a] + time[b])
        if (at_end == before).all():
            break
    for link, part in ((search.ways.forward[way], share), (search.ways.backward[way], 1 - share)):
        if link >= 0 and np.isfinite(time[link]):
            into = [a for a in np.flatnonzero(head == tail[link]).tolist() if (a, int(link)) not in banned]
            begin = min([at_end[a] for a in into], default=np.inf)
            best = min(best, begin + part * time[link])
    return float(best)


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_no_path_makes_a_banned_turn_or_enters_a_closed_link(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = grid(3, seed)
    tail, head = network.column("from_node"), network.column("to_node")
    turns = np.argwhere(head[:, None] == tail[None, :])
    some = turns[rng.random(len(turns)) < 0.3]
    network = replace(network, banned=pa.table({"from_link": some[:, 0], "to_link": some[:, 1]}, schema=BANNED))
    time = np.where(rng.random(len(tail)) < 0.15, np.inf, network.column("free_flow_time"))
    ways = ways_of(network)
    stations = attach(shapely.points(rng.uniform(0, 200, (2, 2))), ways, reach=1000.0)
    sites = attach(shapely.points(rng.uniform(0, 200, (6, 2))), ways, reach=1000.0)
    search, begins = Search(network, ways, stations), np.array([3.0, 0.0])
    found, station = search.at(sites, search.run(time, begins))
    expected = [by_hand(network, search, time, begins, (int(a), float(s))) for a, s in zip(sites.way, sites.share, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=RTOL)
    assert (np.isfinite(found) == (station >= 0)).all()


def test_a_centroid_is_reached_but_not_passed() -> None:
    chain = RoadNetwork.of(
        ["a", "zone", "b"], [0, 1], [1, 2], free_flow_time=[5.0, 7.0], capacity=900.0, through=[True, False, True], length=100.0,
        x=[0.0, 100.0, 200.0], y=[0.0, 0.0, 0.0],
    )  # fmt: skip
    time = chain.column("free_flow_time")
    ways = ways_of(chain)
    search = Search(chain, ways, attach(shapely.points([(0.0, 1.0)]), ways, reach=10.0))
    sites = attach(shapely.points([(50.0, 1.0), (150.0, 1.0)]), ways, reach=10.0)
    assert search.at(sites, search.run(time, np.zeros(1)))[0].tolist() == [2.5, np.inf]


def test_opposite_links_between_two_nodes_are_one_way_and_a_third_is_another() -> None:
    network = RoadNetwork.of(
        ["a", "b"], [0, 1, 0], [1, 0, 1], free_flow_time=10.0, capacity=900.0, x=[0.0, 100.0], y=[0.0, 0.0], ids=["x", "y", "z"],
        objects=["r", "r", "s"],
    )  # fmt: skip
    ways = ways_of(network)
    pairs = sorted(zip(ways.forward.tolist(), ways.backward.tolist(), strict=True))
    assert pairs == [(0, 1), (2, -1)]
    assert ways.straight == 3


def test_nodes_without_a_place_leave_their_links_without_a_line() -> None:
    network = RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], free_flow_time=10.0, capacity=900.0, x=[0.0, 1.0, np.nan], y=[0.0, 0.0, 0.0])
    ways = ways_of(network)
    sites = attach(np.array([shapely.Point(0.5, 0.0), None, shapely.Point(0.5, 9.0)], object), ways, reach=5.0)
    assert sites.way.tolist() == [int(np.flatnonzero(ways.forward == 0)[0]), -1, -1]
    assert sites.reason.tolist() == [None, "missing_footprint", "too_far_from_a_road"]
    assert [None if np.isnan(one) else one for one in sites.access] == [0.0, None, 9.0]


def test_no_road_at_all_attaches_nothing() -> None:
    network = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=10.0, capacity=900.0)
    sites = attach(np.array([shapely.Point(0, 0)], object), ways_of(network), reach=5.0)
    assert sites.reason.tolist() == ["no_road"]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_station_at_any_place_of_a_link_reaches_its_own_place_at_once(share: float) -> None:
    network = grid(2, 1)
    ways = ways_of(network)
    stations = attach(shapely.line_interpolate_point(ways.lines[:1], share, normalized=True), ways, reach=1.0)
    search = Search(network, ways, stations)
    time, who = search.at(stations, search.run(network.column("free_flow_time"), np.zeros(1)))
    assert (time.tolist(), who.tolist()) == ([0.0], [0])


def test_a_yard_that_lacks_its_last_metre_is_passed_over_and_told() -> None:
    names, ends = ["a", "b", "c", "x", "y"], np.array([(0, 1), (1, 2), (3, 4)])
    tail, head = np.concatenate([ends, ends[:, ::-1]]).T
    network = RoadNetwork.of(
        names, tail, head, free_flow_time=10.0, capacity=900.0, x=[0.0, 100.0, 200.0, 90.0, 110.0], y=[0.0, 0.0, 0.0, 20.0, 20.0]
    )  # fmt: skip
    ways = ways_of(network)
    house = shapely.points([(100.0, 25.0)])
    near, wide = (attach(house, ways, reach=reach) for reach in (10.0, 40.0))
    assert (near.access.tolist(), near.aside) == ([5.0], 0)
    assert (wide.access.tolist(), wide.aside) == ([25.0], 1)
    assert ways.lines[wide.way[0]].distance(house[0]) == 25.0
