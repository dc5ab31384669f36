"""No path makes a banned turn: every search agrees with Dijkstra on the graph of links, which knows turns by construction."""

from __future__ import annotations

from dataclasses import replace

import networkx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.road_network import BANNED, RoadNetwork
from cim.sim.traffic import assign
from cim.sim.traffic.equilibrium_kernels import nearest, next_links, reached_in, room_for, shortest
from tests.sim.traffic.networks import trips


def with_bans(network: RoadNetwork, *turns: tuple[int, int]) -> RoadNetwork:
    one, other = zip(*turns, strict=True) if turns else ((), ())
    table = pa.table([pa.array(one, pa.int64()), pa.array(other, pa.int64())], schema=BANNED)
    return replace(network, banned=table)


@st.composite
def banned_networks(draw: st.DrawFn) -> RoadNetwork:
    """Draw a small network with parallel links, loops, centroids, and a share of its turns banned (all turns of a link at times)."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = draw(st.integers(2, 9))
    links = draw(st.integers(1, 30))
    tail, head = random.integers(0, nodes, (2, links))
    road = RoadNetwork.of(
        [str(k) for k in range(nodes)], tail, head, ids=[str(k) for k in range(links)], free_flow_time=random.uniform(1, 10, links),
        capacity=1.0, b=0.0, through=random.random(nodes) < 0.8,
    )  # fmt: skip
    share = draw(st.sampled_from([0.1, 0.5, 0.9]))
    return with_bans(road, *[(a, z) for a in range(links) for z in range(links) if head[a] == tail[z] and random.random() < share])


def links_as_nodes(network: RoadNetwork) -> networkx.DiGraph:
    """Return the graph whose nodes are links, and ("from", node) and ("to", node) around them."""
    tail, head = network.column("from_node").tolist(), network.column("to_node").tolist()
    time, through = network.column("free_flow_time").tolist(), network.nodes["through"].to_pylist()
    banned = set(zip(*network.banned.to_pydict().values(), strict=True))
    made = networkx.DiGraph()
    for a in range(len(tail)):
        made.add_edge(("from", tail[a]), a, weight=time[a])
        made.add_edge(a, ("to", head[a]), weight=0.0)
        for z in range(len(tail)):
            if head[a] == tail[z] and through[head[a]] and (a, z) not in banned:
                made.add_edge(a, z, weight=time[z])
    return made


def oracle(network: RoadNetwork, origin: int) -> np.ndarray:
    """Return the least cost from a node to every node, slowly."""
    graph = links_as_nodes(network)
    found = networkx.single_source_dijkstra_path_length(graph, ("from", origin)) if ("from", origin) in graph else {}
    least = np.array([found.get(("to", node), np.inf) for node in range(network.nodes.num_rows)])
    least[origin] = 0.0
    return least


@settings(max_examples=150, deadline=None)
@given(banned_networks())
def test_least_costs_are_those_of_the_graph_of_links(network: RoadNetwork) -> None:
    graph, time, nodes = network.turn_graph, network.column("free_flow_time"), network.nodes.num_rows
    room = room_for(len(graph.through))
    truth = np.array([oracle(network, origin) for origin in range(nodes)])
    for origin in range(nodes):
        shortest(origin, graph, time, room)
        found = [room[0][reached_in(v, graph.extra, room[0])] for v in range(nodes)]
        assert np.allclose(found, truth[origin], rtol=1e-12)
    sources = np.arange(0, nodes, 2)
    distance, state, by = nearest(sources, graph, time, np.inf)
    assert np.allclose(distance, truth[sources].min(axis=0), rtol=1e-12)
    for node in np.flatnonzero((distance > 0) & np.isfinite(distance)).tolist():  # the way back obeys the bans, and costs as much
        at, spent, links = state[node], 0.0, []
        while by[at] >= 0:
            links.append(int(graph.arc_link[by[at]]))
            spent += time[links[-1]]
            at = graph.arc_tail[by[at]]
        assert spent == pytest.approx(distance[node], rel=1e-12)
        assert not set(zip(links[1:], links[:-1], strict=True)) & set(zip(*network.banned.to_pydict().values(), strict=True))


@settings(max_examples=150, deadline=None)
@given(banned_networks())
def test_whoever_follows_the_table_arrives_at_least_cost(network: RoadNetwork) -> None:
    graph, time, nodes = network.turn_graph, network.column("free_flow_time"), network.nodes.num_rows
    table = next_links(np.arange(nodes), graph, time)
    head = network.column("to_node")
    for origin in range(nodes):
        truth = oracle(network, origin)
        for zone in range(nodes):
            state, spent, node = origin, 0.0, origin
            while table[zone, state] >= 0 and node != zone:
                link = table[zone, state]
                spent, state, node = spent + time[link], graph.state_of_link[link], head[link]
            assert (node == zone) == np.isfinite(truth[zone])
            assert node != zone or spent == pytest.approx(truth[zone], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(banned_networks())
def test_the_trips_of_an_assignment_make_no_banned_turn(network: RoadNetwork) -> None:
    last = network.nodes.num_rows - 1
    truth = oracle(network, 0)[last]
    found = assign(network, trips((0, last, 10.0)), unserved="tell")
    assert found.unserved == (0.0 if np.isfinite(truth) else 10.0)
    assert found.least == pytest.approx([truth], rel=1e-12)
    assert found.total_time == pytest.approx(10.0 * truth if np.isfinite(truth) else 0.0, rel=1e-12)


def test_a_ban_of_the_u_turn_sends_a_trip_round_the_block() -> None:
    """One comes out of the side road 0-1, may not turn left into 1-3 (link 3), and must not turn about at 2 either."""
    ends = np.array([(0, 1), (1, 2), (2, 1), (1, 3), (2, 4), (4, 2)]).T
    road = RoadNetwork.of(list("abcde"), *ends, free_flow_time=[1.0, 2.0, 2.0, 1.0, 5.0, 5.0], capacity=100.0, b=0.0)
    demand = trips((0, 3, 10.0))
    assert assign(road, demand).flow.tolist() == [10, 0, 0, 10, 0, 0]
    assert assign(with_bans(road, (0, 3)), demand).flow.tolist() == [10, 10, 10, 10, 0, 0]
    assert assign(with_bans(road, (0, 3), (1, 2)), demand).flow.tolist() == [10, 10, 10, 10, 10, 10]
    assert assign(with_bans(road, (0, 3), (1, 2), (4, 5)), demand, unserved="tell").unserved == 10.0


def test_trips_divide_between_the_turn_that_is_left_and_the_way_round() -> None:
    """With its ban the direct link serves only those from the other arm; both used ways of a pair cost the same."""
    ends = np.array([(0, 2), (1, 2), (2, 3), (2, 3)]).T
    road = RoadNetwork.of(list("abcd"), *ends, ids=list("wxyz"), free_flow_time=10.0, capacity=100.0, b=[0, 0, 1, 1], power=1.0)
    demand = trips((0, 3, 60.0), (1, 3, 30.0))
    assert assign(road, demand, gap=1e-12).flow == pytest.approx([60.0, 30.0, 45.0, 45.0])
    assert assign(with_bans(road, (0, 2)), demand, gap=1e-12).flow == pytest.approx([60.0, 30.0, 30.0, 60.0])
