"""A link of the traffic model is a piece of a road of the city, in each direction, with what was assumed marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders import read
from cim.model import City, CityBuilder
from cim.scenario import Change
from cim.sim.traffic import assign
from cim.sim.traffic.city_network import RoadClass, road_network
from tests.sim.traffic.networks import trips


def city() -> City:
    """Return three roads: a main one of two links, a lane in one direction, and a private yard."""
    builder = CityBuilder("EPSG:28992")
    lines = [
        shapely.LineString([(0, 0), (300, 0), (900, 0)]),
        shapely.LineString([(300, 0), (300, 400)]),
        shapely.LineString([(0, 0), (0, 50)]),
    ]
    keys = builder.add_objects("Road", ["main", "lane", "yard"], footprints=lines)
    told = [
        {"class": "primary", "lanes": 4, "speed_limit": 15.0, "vertices": [0, 1]},
        {"class": "primary", "lanes_forward": 3, "lanes_backward": 1, "speed_limit_backward": 10.0, "vertices": [1, 2]},
        {"class": "residential", "vertices": [0, 1]},
        {"class": "service", "access": {"motor_vehicle": "private"}, "vertices": [0, 1]},
        {"class": "footway", "vertices": [0, 1]},
    ]
    builder.add_links(
        keys[[0, 0, 1, 2, 2]], "road", ["a", "b", "b", "a", "a"], ["b", "c", "d", "e", "e"],
        direction=["both", "both", "forward", "both", "both"], length=[300.0, 600.0, 400.0, 50.0, 50.0],
        attributes=[json.dumps(one) for one in told],
    )  # fmt: skip
    return builder.build()


def test_every_direction_is_a_link_of_its_road() -> None:
    network = road_network(city())
    rows = {one["id"]: one for one in network.links.to_pylist()}
    assert set(rows) == {"main:a>b", "main:b>a", "main:b>c", "main:c>b", "lane:b>d"}
    assert {one["object"] for one in rows.values()} == {"main", "lane"}
    assert rows["main:a>b"]["capacity"] == 2 * 1500  # four lanes for both directions
    assert rows["main:b>c"]["capacity"] == 3 * 1500
    assert rows["main:c>b"]["capacity"] == 1 * 1500
    assert rows["main:a>b"]["free_flow_time"] == pytest.approx(300 / 15)
    assert rows["main:c>b"]["free_flow_time"] == pytest.approx(600 / 10)
    assert rows["lane:b>d"]["free_flow_time"] == pytest.approx(400 / (30 / 3.6))  # speed of its class


def test_what_is_assumed_stands_with_the_link_and_is_counted() -> None:
    network = road_network(city())
    assumed = dict(zip(network.links["id"].to_pylist(), network.links["assumed"].to_pylist(), strict=True))
    assert assumed["main:a>b"] == ["capacity"]
    assert assumed["lane:b>d"] == ["capacity", "lanes", "speed"]
    said = "\n".join(network.notes)
    for part in ("1 links of classes that no car drives on", "1 footway", "1 links that are closed to the public", "capacity of 5 links",
                 "lanes of 1 links", "free speed of 2 links"):  # fmt: skip
        assert part in said
    other = road_network(city(), classes={"residential": RoadClass(2.0, 5.0, 100.0)})
    assert other.column("capacity").max() == 4500
    assert 200.0 in other.column("capacity")


def test_nodes_lie_where_the_lines_of_the_roads_have_them() -> None:
    nodes = road_network(city()).nodes.to_pylist()
    assert {one["id"]: (one["x"], one["y"]) for one in nodes} == {"a": (0, 0), "b": (300, 0), "c": (900, 0), "d": (300, 400)}


def test_a_road_is_closed_by_the_id_of_its_object() -> None:
    network = road_network(city())
    names = network.nodes["id"].to_pylist()
    demand = trips((names.index("a"), names.index("d"), 10.0), (names.index("a"), names.index("c"), 20.0))
    found = assign(network, demand, closed=["lane"])
    assert found.unserved == 10.0
    assert assign(network, demand, closed=["main"]).unserved == 30.0


def test_what_an_option_closes_for_good_is_no_link_and_what_it_closes_for_a_time_is_told() -> None:
    option = road_network(Change("works").close_road("lane").apply(city()))
    assert option.links["id"].to_pylist() == ["main:a>b", "main:b>a", "main:b>c", "main:c>b"]
    assert "1 directions of links that the city closes for good are left out" in option.notes
    trucks = Change("lorries").close_road("lane", classes=["truck"]).apply(city())
    assert road_network(trucks).links.num_rows == 5
    morning = Change("flood").close_road("lane", start="2026-07-01T08:15:00Z", until="2026-07-01T10:00:00Z").apply(city())
    assert road_network(morning).links.num_rows == 5
    assert "1 closures for a time or for some vehicles leave their links in the network" in road_network(morning).notes


def test_a_city_without_a_network_is_refused() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("Building", ["b"], footprints=[shapely.box(0, 0, 1, 1)])
    with pytest.raises(UsageError, match="no road links"):
        road_network(builder.build())


def test_a_city_with_roads_but_no_links_is_told_what_makes_them() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("Road", ["a", "b"], footprints=[shapely.box(0, 0, 90, 7), shapely.LineString([(90, 3.5), (200, 3.5)])])
    with pytest.raises(UsageError, match=r"2 roads but no road links; make them by cim roads CITY, with the change derive_road_links"):
        road_network(builder.build())
    made = road_network(Change("net").derive_road_links().apply(builder.build()))
    assert made.links.num_rows == 4
    assert all({"capacity", "class", "direction"} <= set(one) for one in made.links["assumed"].to_pylist())


def star(*rules: dict[str, Any], roads: tuple[str, ...] = ("west", "south", "east", "north"), **more: dict[str, Any]) -> City:
    """Return four roads that meet at node/0, with turn restrictions; `more` is what links say."""
    builder = CityBuilder("EPSG:28992")
    ends = dict(zip(("west", "south", "east", "north"), [(-100, 0), (0, -100), (100, 0), (0, 100)], strict=True))
    keys = builder.add_objects("Road", roads, footprints=[shapely.LineString([ends[one], (0, 0)]) for one in roads])
    told = [json.dumps({"vertices": [0, 1], "class": "primary", "lanes": 2, **more.get(one, {})}) for one in roads]
    builder.add_links(keys, "road", [f"node/{one}" for one in roads], ["node/0"] * len(roads), length=[100.0] * len(roads), attributes=told)
    names = [f"relation/{number}" for number in range(len(rules))]
    texts = [json.dumps({"tags": {}, "via": ["node/0"], **rule}) for rule in rules]
    builder.add_properties(np.repeat(keys[:1], len(rules)), "turn_restriction", names, texts)
    return builder.build()


def banned(*rules: dict[str, Any]) -> set[tuple[str, str]]:
    network = road_network(star(*rules))
    ids = [one.partition(":")[0] for one in network.links["id"].to_pylist()]
    return {(ids[one["from_link"]], ids[one["to_link"]]) for one in network.banned.to_pylist()}


def turn(kind: str, start: str, end: str, **tags: str) -> dict[str, Any]:
    return {"restriction": kind, "from": [start], "to": [end], "tags": {"restriction": kind, **tags}}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (turn("no_left_turn", "west", "north"), {("west", "north")}),
        (turn("only_straight_on", "west", "east"), {("west", "north"), ("west", "south"), ("west", "west")}),
        (turn("no_u_turn", "south", "south"), {("south", "south")}),
        (turn("no_left_turn", "west", "north", **{"except": "taxi; bicycle"}), {("west", "north")}),
        (turn("no_left_turn", "west", "north", **{"except": "bus;motorcar"}), set()),
        (turn("no_left_turn", "west", "north", hour_on="7:00", hour_off="9:00"), set()),
        ({**turn("no_left_turn", "west", "north"), "tags": {"restriction:hgv": "no_left_turn"}}, set()),
        ({**turn("no_left_turn", "west", "north"), "via": ["way/9"]}, set()),
        ({**turn("no_left_turn", "west", "north"), "via": ["node/west"]}, set()),
        (turn("no_left_turn", "elsewhere", "north"), set()),
        (turn("give_way", "west", "north"), set()),
    ],
)
def test_a_turn_restriction_bans_what_it_says_and_no_more(rule: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert banned(rule) == expected


def test_restrictions_that_ban_nothing_are_counted_with_the_reason() -> None:
    notes = road_network(star(turn("no_left_turn", "west", "north"), turn("no_left_turn", "gone", "north"),
                              turn("no_left_turn", "west", "north", time="7:00-9:00"))).notes  # fmt: skip
    assert "1 turns are banned by 1 turn restrictions" in notes
    assert "1 turn restrictions of roads or nodes that are not in the network ban nothing" in notes
    assert "1 turn restrictions that hold at times only ban nothing" in notes


def test_no_path_makes_a_banned_turn() -> None:
    network = road_network(star(turn("no_left_turn", "west", "north")))
    names = network.nodes["id"].to_pylist()
    found = assign(network, trips((names.index("node/west"), names.index("node/north"), 10.0)))
    path = [network.links["id"][row].as_py() for row in np.flatnonzero(found.flow > 0)]
    assert len(path) > 2  # it turns round in another street


def test_a_link_that_ends_at_traffic_lights_carries_no_more_than_the_green_lets_through() -> None:
    lights = {"controls": {"node/0": "highway=traffic_signals", "node/west": "highway=crossing"}}
    network = road_network(star(west=lights, south={"class": "residential", **lights}))
    capacity = dict(zip(network.links["id"].to_pylist(), network.column("capacity").tolist(), strict=True))
    assert capacity["west:node/west>node/0"] == 1900 * 0.45
    assert capacity["west:node/0>node/west"] == 1500
    assert capacity["south:node/south>node/0"] == 600  # the street carries less than its lights
    assumed = dict(zip(network.links["id"].to_pylist(), network.links["assumed"].to_pylist(), strict=True))
    assert [one for one, names in assumed.items() if "signals" in names] == ["west:node/west>node/0"]
    assert any("2 links end at traffic lights without a programme" in one for one in network.notes)
    off = road_network(star(west=lights), signal_green=None)
    assert set(off.column("capacity").tolist()) == {1500}
    with pytest.raises(UsageError, match="signal_green is"):
        road_network(star(), signal_green=1.5)


@pytest.mark.parametrize(
    ("said", "forward", "backward"),
    [
        ({"lanes": 4}, 2, 2),
        ({"lanes": 3, "lanes_backward": 1}, 2, 1),
        ({"lanes": 5, "lanes_both_ways": 1}, 2, 2),
        ({"lanes": 1}, 1, 1),
        ({"lanes": "2"}, 1, 1),
        ({"lanes": "2;3"}, 1, 1),
        ({"lanes_forward": 3, "lanes_backward": 2}, 3, 2),
    ],
)
def test_lanes_are_shared_by_the_directions_as_stated(said: dict[str, Any], forward: int, backward: int) -> None:
    network = road_network(star(west={"lanes": None, **said}))
    lanes = dict(zip(network.links["id"].to_pylist(), network.column("lanes").tolist(), strict=True))
    assert (lanes["west:node/west>node/0"], lanes["west:node/0>node/west"]) == (forward, backward)


def test_one_lane_for_both_directions_is_marked() -> None:
    network = road_network(star(west={"lanes": 1}))
    assert "2 links have one lane for both directions, which is counted in each" in network.notes


@pytest.mark.parametrize(
    ("access", "usable"),
    [
        ("private", False), ("yes", True), ({"access": "no", "motorcar": "yes"}, True), ({"bicycle": "no"}, True),
        ({"motor_vehicle": "no"}, False), (None, True),
    ],
)  # fmt: skip
def test_access_of_cars_decides(access: Any, usable: Any) -> None:
    network = road_network(star(west={"access": access}, south={"access": {"foot": "yes"}}))
    assert ("west" in network.links["object"].to_pylist()) == usable


def test_links_outside_the_largest_part_are_counted() -> None:
    builder = CityBuilder("EPSG:28992")
    lines = [shapely.LineString([(0, 0), (9, 0)]), shapely.LineString([(9, 0), (20, 0)]), shapely.LineString([(0, 90), (9, 90)])]
    keys = builder.add_objects("Road", ["a", "b", "far"], footprints=lines)
    builder.add_links(keys, "road", ["1", "2", "7"], ["2", "3", "8"], attributes=['{"class": "residential"}'] * 3)
    network = road_network(builder.build())
    assert network.column("length").tolist() == [9, 9, 11, 11, 9, 9]  # no length stated: that of the line
    assert any(one.startswith("2 links of 6 lie outside the largest part") for one in network.notes)


def test_links_without_nodes_or_place_are_left_out_and_counted() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["a", "b", "c"], footprints=[shapely.LineString([(0, 0), (9, 0)]), shapely.box(0, 0, 1, 1), None])
    builder.add_links(keys, "road", ["1", "2", "2"], [None, "3", "4"], length=[9.0, None, 5.0], attributes=['{"class": "residential"}'] * 3)
    network = road_network(builder.build())
    assert network.links["object"].to_pylist() == ["c", "c"]
    assert "1 links without a node at each end are left out" in network.notes
    assert "1 links without a length are left out" in network.notes


def test_banned_turns_of_a_real_city_are_those_of_a_slow_reading(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "osm", "Helsinki.osm.pbf"))
    network = road_network(city)
    nodes, links = network.nodes["id"].to_pylist(), network.links.to_pylist()
    expected = set()
    for row in city.tables["properties"].to_pylist():
        rule = json.loads(row["value"]) if row["set"] == "turn_restriction" else {}
        if not rule or {"time", "hour_on"} & set(rule["tags"]) or len(rule["via"]) != 1:
            continue
        begin = [a for a, one in enumerate(links) if one["object"] in rule["from"] and nodes[one["to_node"]] == rule["via"][0]]
        leave = [z for z, one in enumerate(links) if nodes[one["from_node"]] == rule["via"][0]]
        named = [z for z in leave if links[z]["object"] in rule["to"]]
        wrong = named if rule["restriction"].startswith("no_") else [z for z in leave if named and z not in named]
        expected |= {(a, z) for a in begin for z in wrong}
    assert {(one["from_link"], one["to_link"]) for one in network.banned.to_pylist()} == expected
    assert len(expected) > 20


def test_the_roads_of_a_real_city_come_out_whole(shared_data: Callable[..., Path]) -> None:
    network = road_network(read(shared_data("city", "osm", "Helsinki.osm.pbf")))
    ids = network.links["id"].to_pylist()
    assert len(set(ids)) == len(ids) > 2000
    assert not np.isnan(network.nodes["x"].to_numpy()).any()
    x, y, tail, head = (*(network.nodes[name].to_numpy() for name in "xy"), network.column("from_node"), network.column("to_node"))
    metres = np.hypot((x[head] - x[tail]) * 111_320 * np.cos(np.radians(60.17)), (y[head] - y[tail]) * 111_320)
    assert (metres <= network.column("length") * 1.01 + 0.1).all()  # a degree is 111.3 to 111.7 km; no piece is shorter than its chord


def test_what_an_option_closes_moves_no_node_and_renames_no_link() -> None:
    """Trips are rows of nodes: a zone must not become another one because a street is closed."""
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Road", ["first", "second"], footprints=[
        shapely.LineString([(0, 0), (10, 0)]), shapely.LineString([(10, 0), (20, 0), (30, 0)])])  # fmt: skip
    said = ['{"class": "residential", "vertices": [0, 1]}', *(f'{{"class": "residential", "vertices": [{k}, {k + 1}]}}' for k in (0, 1))]
    builder.add_links(keys[[0, 1, 1]], "road", ["a", "b", "b"], ["b", "c", "c"], length=[10.0] * 3, attributes=said)
    base, option = road_network(builder.build()), road_network(Change("no").close_road("first").apply(builder.build()))
    assert option.nodes.equals(base.nodes)
    assert option.links["id"].to_pylist() == base.links["id"].to_pylist()[2:]
    assert option.links["id"].to_pylist() == ["second:b>c", "second:c>b", "second:b>c#2", "second:c>b#2"]
