"""States and arcs of the searches: nodes and links without bans, one state more for every link with a banned turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cim.errors import ObjectNotFoundError
from cim.model.road_network import BANNED, ODMatrix, RoadNetwork

ENDS = np.array([(0, 1), (1, 2), (1, 0), (2, 1), (1, 2)])


def star() -> RoadNetwork:
    return RoadNetwork.of(list("abc"), *ENDS.T, ids=list("vwxyz"), free_flow_time=1.0, capacity=1.0, through=[True, True, False])


def banned(*turns: tuple[int, int]) -> RoadNetwork:
    return replace(star(), banned=pa.table(list(np.array(turns, np.int64).T), schema=BANNED))


def test_without_bans_states_are_nodes_and_arcs_are_links_by_tail() -> None:
    road = star()
    graph = road.turn_graph
    assert np.array_equal(graph.first, road.forward_star[0])
    assert np.array_equal(graph.arc_link, road.forward_star[1])
    assert np.array_equal(graph.arc_tail, ENDS[graph.arc_link, 0])
    assert np.array_equal(graph.arc_head, ENDS[graph.arc_link, 1])
    assert np.array_equal(graph.state_of_link, ENDS[:, 1])
    assert np.array_equal(graph.extra, [3, 3, 3, 3])
    assert graph.through.tolist() == [True, True, False]


def test_a_link_with_banned_turns_has_a_state_that_leaves_them_out() -> None:
    graph = banned((0, 2), (0, 4), (0, 4), (1, 3)).turn_graph  # told twice, banned once
    assert graph.state_of_link.tolist() == [3, 4, 0, 1, 2]
    assert graph.extra.tolist() == [3, 3, 4, 5]
    assert graph.through.tolist() == [True, True, False, True, False]
    arcs = [graph.arc_link[a:z].tolist() for a, z in zip(graph.first[:-1], graph.first[1:], strict=True)]
    assert arcs == [[0], [1, 2, 4], [3], [1], []]
    assert np.array_equal(graph.arc_head, graph.state_of_link[graph.arc_link])
    assert (np.diff(graph.arc_tail) >= 0).all()
    for state in range(5):
        entering = graph.into[graph.first_into[state] : graph.first_into[state + 1]]
        assert np.array_equal(np.sort(entering), np.flatnonzero(graph.arc_head == state))


def test_a_network_without_links_has_a_graph() -> None:
    graph = RoadNetwork.of(["a"], [], [], free_flow_time=[], capacity=[]).turn_graph
    assert (graph.first.tolist(), len(graph.arc_link)) == ([0, 0], 0)


class Counted:
    """A table that counts how often a column is asked of it."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.asked = table, 0

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        self.asked += 1
        return self.table[name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)


def test_ids_are_looked_up_in_a_table_that_is_made_once() -> None:
    links = Counted(star().links)
    road = replace(star(), links=links)
    assert [road.rows_of([name]).tolist() for name in ("v", "z", "x")] == [[0], [4], [2]]
    for _ in range(20_000):
        road.rows_of(["y"])
    assert links.asked == 2, "ids and objects, once"
    assert road.without(np.array([0])).rows_of(["z"]).tolist() == [3]


def test_links_side_by_side_have_ids_of_their_own() -> None:
    double = RoadNetwork.of(["a", "b"], [0, 0], [1, 1], free_flow_time=60.0, capacity=900.0)
    assert double.links["id"].to_pylist() == ["a-b", "a-b#2"]
    assert double.rows_of(["a-b"]).tolist() == [0]
    assert double.graph().number_of_edges() == 2


def test_trips_know_the_zones_of_their_rows() -> None:
    """Rows of one network are other zones in another one: trips to b would become trips to c."""
    whole = RoadNetwork.of(["aa", "a", "b", "c"], [0, 1, 2], [1, 2, 3], free_flow_time=60.0, capacity=900.0)
    less = RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], free_flow_time=60.0, capacity=900.0)
    trips = ODMatrix.of(whole, ["b", "a"], ["c", "b"], [5.0, 6.0])
    assert trips.faults_on(whole) == []
    assert trips.faults_on(less) == [
        "the trips are those of another network: 3 of 3 zones are other nodes here (first: 'a', now 'b'); give trips.on(network)"
    ]
    moved = trips.on(less)
    assert (moved.origin.tolist(), moved.destination.tolist(), moved.faults_on(less)) == ([1, 0], [2, 1], [])
    assert moved.on(whole).origin.tolist() == trips.origin.tolist()
    with pytest.raises(ObjectNotFoundError, match="no nodes 'c'"):
        trips.on(RoadNetwork.of(["b", "a"], [0], [1], free_flow_time=60.0, capacity=900.0))


def test_networks_and_trips_say_in_one_line_how_much_there_is() -> None:
    assert repr(star()) == "RoadNetwork(3 nodes, 5 links)"
    assert repr(replace(banned((0, 2), (1, 3)), crs="EPSG:28992")) == "RoadNetwork(3 nodes, 5 links, 2 banned turns; EPSG:28992)"
    many = ODMatrix(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([1000.0, 200.0, 0.5]))
    assert repr(many) == "ODMatrix(1,200.5 veh/h between 3 pairs of 3 zones)"
