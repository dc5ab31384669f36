"""The check of a road network finds each fault that was put into it, and no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.network_checks import FINDINGS, PARTS, NetworkReport, check_network
from cim.model.road_network import BANNED, RoadNetwork

RING = ([0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3])  # four nodes, both ways


def ring(**changes: Any) -> RoadNetwork:
    given: dict[str, Any] = {"free_flow_time": 50.0, "capacity": 1000.0, "length": 500.0}
    ids, ends = changes.pop("ids", "abcd"), changes.pop("ends", RING)
    return RoadNetwork.of(list(ids), ends[0], ends[1], **(given | changes))


def found(report: NetworkReport) -> dict[str, tuple[int, list[str]]]:
    return {one["code"]: (one["count"], one["ids"]) for one in report.findings.to_pylist()}


def with_links(*more: tuple[int, int], ids: str = "abcd", **changes: Any) -> RoadNetwork:
    ends = tuple(np.array([*RING[k], *(one[k] for one in more)]) for k in (0, 1))
    return ring(ids=ids, ends=ends, **changes)


def test_a_sound_network_has_no_findings_and_one_part() -> None:
    report = check_network(ring())
    assert report.findings.num_rows == 0
    assert report.findings.schema == FINDINGS
    assert report.worst is None
    assert report.lines() == []
    assert report.parts.to_pylist() == [{"kind": kind, "nodes": 4, "links": 8, "first": "a"} for kind in ("weak", "strong")]
    assert report.parts.schema == PARTS


def test_traps_sources_and_dead_ends_are_told_apart() -> None:
    report = check_network(with_links((0, 4), (5, 1), (2, 6), (6, 2), ids="abcdtse"))
    assert found(report) == {"trap": (1, ["t"]), "source": (1, ["s"]), "dead_end": (1, ["e"])}
    assert report.worst == "warning"
    assert report.lines()[0] == "warning: 1 node can be entered and not left (first: t)"


def test_parts_and_nodes_without_links_are_counted() -> None:
    report = check_network(with_links((4, 5), (5, 4), ids="abcdxyz"))
    assert found(report) == {"part": (2, ["x", "y"]), "no_links": (1, ["z"])}
    sizes = [(one["kind"], one["nodes"], one["links"]) for one in report.parts.to_pylist()]
    assert sizes == [("weak", 4, 8), ("weak", 2, 2), ("weak", 1, 0), ("strong", 4, 8), ("strong", 2, 2)]


def test_zones_are_told_by_what_trips_cannot_do() -> None:
    through = [True] * 4 + [False] * 4
    report = check_network(with_links((0, 4), (4, 0), (1, 5), (6, 2), ids="abcdijkl", through=through))
    assert found(report) == {"zone_cut_off": (1, ["l"]), "zone_not_left": (1, ["j"]), "zone_not_entered": (1, ["k"])}
    assert report.worst == "error"


def test_no_path_goes_through_a_zone() -> None:
    """Two rings that only a zone joins are two parts for traffic, and the smaller one lies aside."""
    ends = ([0, 1, 1, 2, 1, 3, 3, 4, 5], [1, 0, 2, 1, 3, 1, 4, 5, 4])
    through = [True, True, True, False, True, True]
    joined = RoadNetwork.of(list("abczde"), *ends, free_flow_time=9.0, capacity=900.0, length=90.0, through=through)
    assert found(check_network(joined)) == {"aside": (2, ["d", "e"]), "dead_end": (2, ["a", "c"])}


def test_ways_from_and_to_zones_are_no_traps() -> None:
    through = [True] * 4 + [False, True, True]
    report = check_network(with_links((4, 5), (5, 0), (1, 6), (6, 4), ids="abcdzio", through=through))
    assert found(report) == {"to_zone": (1, ["o"]), "from_zone": (1, ["i"])}


def test_banned_turns_make_a_trap_of_a_link() -> None:
    network = with_links((0, 4), (4, 0), (4, 2), ids="abcde")
    into = 8
    banned = pa.table([pa.array([into, into]), pa.array([9, 10])], schema=BANNED)
    assert found(check_network(network)) == {}
    report = check_network(replace(network, banned=banned))
    assert found(report) == {"turn_trap": (1, ["a-e"])}  # a path may begin at e


def test_a_network_without_a_way_back_is_told_once() -> None:
    report = check_network(RoadNetwork.of(list("abc"), [0, 1], [1, 2], free_flow_time=9.0, capacity=900.0, length=90.0))
    assert found(report) == {"one_way": (3, ["a", "b", "c"])}
    assert report.worst == "info"


@pytest.mark.parametrize(
    ("changes", "code", "count"),
    [
        ({"length": [0.0] + [500.0] * 7}, "zero_length", 1),
        ({"length": [np.nan] + [500.0] * 7}, "no_length", 1),
        ({"free_flow_time": [0.0, 0.0] + [50.0] * 6}, "no_time", 2),
        ({"free_flow_time": [9.0] + [50.0] * 7}, "fast", 1),
        ({"free_flow_time": [600.0] + [50.0] * 7}, "slow", 1),
        ({"capacity": [9000.0] + [1000.0] * 7, "lanes": 1.0}, "dense", 1),
        ({"capacity": [np.nan] + [1000.0] * 7, "b": [0.0] + [0.15] * 7}, "no_capacity_fixed", 1),
        ({"capacity": [1.0] + [1000.0] * 7}, "thin", 1),
        ({"ids": "abca"}, "duplicate_id", 1),
        ({"capacity": [0.0] + [1000.0] * 7, "b": [0.0] + [0.15] * 7}, "zero_capacity", 1),
        ({"x": [0.0, 0.0, 1.0, 1.0], "y": [0.0, 0.0, 1.0, 0.0]}, "same_place", 2),
        ({"x": [0.0, 500.0, 500.0, 0.0], "y": [0.0, 0.0, 900.0, 520.0], "crs": "EPSG:32631"}, "short", 4),
    ],
)
def test_numbers_that_cannot_be_are_found(changes: dict[str, Any], code: str, count: int) -> None:
    assert {name: many for name, (many, _) in found(check_network(ring(**changes))).items()} == {code: count}


@pytest.mark.parametrize("crs", [None, "EPSG:4326", "no such system"])
def test_places_that_are_no_lengths_are_not_compared_with_lengths(crs: str | None) -> None:
    far = ring(x=[0.0, 900.0, 900.0, 0.0], y=[0.0, 0.0, 900.0, 900.0], crs=crs)
    assert found(check_network(far)) == {}


def test_a_wrong_unit_is_named_when_half_of_the_links_show_it() -> None:
    assert "another unit (median 10000 m/s)" in check_network(ring(length=500_000.0)).lines()[0]
    assert "another unit" not in check_network(ring(length=[500_000.0] + [500.0] * 7)).lines()[0]


def test_lanes_of_one_road_are_no_copies() -> None:
    lanes = with_links((0, 1), (0, 1), objects=["r"] + [None] * 7 + ["r", "r"])
    assert found(check_network(lanes)) == {}
    assert found(check_network(with_links((0, 1), objects=["r"] + [None] * 7 + ["s"]))) == {"duplicate": (1, ["a-b#2"])}


def test_copies_loops_and_links_beside_each_other_are_told_apart() -> None:
    report = check_network(with_links((0, 1), (1, 2), (3, 3), length=[500.0] * 9 + [600.0, 500.0], ids="abcd"))
    assert found(report) == {"duplicate": (1, ["a-b#2"]), "parallel": (1, ["b-c#2"]), "loop": (1, ["d-d"])}


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"capacity": [0.0, -1.0] + [900.0] * 6}, "zero_capacity", "error: 2 links have a capacity of zero"),
        ({"free_flow_time": [-1.0] + [50.0] * 7}, "free_flow_time", "error: 1 links have a free-flow time that is negative"),
        ({"fixed": -1.0}, "fixed_cost", "error: 8 links have a fixed cost"),
        ({"ends": (np.array([0, 9]), np.array([1, 0])), "ids": "ab"}, "unknown_node", "error: 1 links begin or end at a node"),
    ],
)
def test_what_traffic_refuses_is_an_error_with_its_first_link(changes: dict[str, Any], code: str, said: str) -> None:
    names = [f"l{k}" for k in range(len(changes.get("ends", RING)[0]))]
    network = ring(**changes) if "ends" not in changes else RoadNetwork.of(
        list("ab"), *changes["ends"], free_flow_time=9.0, capacity=900.0, ids=names)  # fmt: skip
    report = check_network(network)
    assert report.worst == "error"
    assert report.findings["code"][0].as_py() == code
    assert report.lines()[0].startswith(said)
    assert len(report.findings["ids"][0].as_py()) == 1


def test_empty_networks_are_checked_too() -> None:
    nothing = RoadNetwork.of([], [], [], free_flow_time=[], capacity=[])
    assert check_network(nothing).worst is None
    assert found(check_network(RoadNetwork.of(["a"], [], [], free_flow_time=[], capacity=[]))) == {"no_links": (1, ["a"])}


def reachable(network: RoadNetwork, start: int) -> set[int]:
    """Return the nodes that paths from a node reach, link by link: the slow oracle."""
    tail, head = network.column("from_node").tolist(), network.column("to_node").tolist()
    through, bans = network.nodes["through"].to_pylist(), set(map(tuple, (one.values() for one in network.banned.to_pylist())))
    queue = [k for k, a in enumerate(tail) if a == start]
    seen = set(queue)
    while queue:
        link = queue.pop()
        for other, a in enumerate(tail):
            if a == head[link] and through[a] and (link, other) not in bans and other not in seen:
                seen.add(other)
                queue.append(other)
    return {head[k] for k in seen} | {start}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nodes_are_placed_as_a_search_link_by_link_places_them(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 7))
    node = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(node, node).filter(lambda one: one[0] != one[1]), min_size=1, max_size=16, unique=True))
    through = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    names, ends = [f"n{k}" for k in range(count)], ([a for a, _ in pairs], [z for _, z in pairs])
    network = RoadNetwork.of(names, *ends, free_flow_time=9.0, capacity=900.0, length=90.0, through=through)
    ways = [reachable(network, k) for k in range(count)]
    report = check_network(network)
    codes = found(report)
    if "one_way" in codes:
        assert not any(a in ways[z] and z in ways[a] for a in range(count) for z in range(a) if through[a] and through[z])
        return
    main = next(one["first"] for one in report.parts.to_pylist() if one["kind"] == "strong")
    core = int(main[1:])
    entered, left = [k in ways[core] for k in range(count)], [core in way for way in ways]
    for code, wanted in (
        ("zone_not_left", [k for k in range(count) if not through[k] and entered[k] and not left[k]]),
        ("zone_not_entered", [k for k in range(count) if not through[k] and left[k] and not entered[k]]),
        ("zone_cut_off", [k for k in range(count) if not through[k] and not left[k] and not entered[k]]),
    ):
        assert codes.get(code, (0, []))[0] == len(wanted), (code, wanted, report.lines())
    trapped = {k for k in range(count) if through[k] and entered[k] and not left[k]}
    assert sum(codes.get(one, (0, []))[0] for one in ("trap", "to_zone")) == len(trapped)


def test_ids_that_stand_twice_and_lengths_below_zero_are_errors() -> None:
    """A closure by such an id would close both links."""
    report = check_network(
        RoadNetwork.of(["a", "b"], [0, 0], [1, 1], ids=["x", "x"], free_flow_time=9.0, capacity=900.0, length=[90.0, -1.0])
    )
    assert {one["code"]: (one["severity"], one["ids"]) for one in report.findings.to_pylist() if one["severity"] == "error"} == {
        "duplicate_id": ("error", ["x"]), "length": ("error", ["x"])}  # fmt: skip


def test_a_zone_without_links_is_an_error_where_all_ways_are_of_one_direction() -> None:
    lost = RoadNetwork.of(
        ["a", "b", "c", "z"], [0, 1], [1, 2], free_flow_time=60.0, capacity=900.0, length=500.0, through=[True, True, True, False]
    )
    assert found(check_network(lost)) == {"zone_cut_off": (1, ["z"]), "one_way": (3, ["a", "b", "c"])}
