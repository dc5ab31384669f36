"""A link of the traffic model is a piece of a road of the city, in each direction, with what was assumed marked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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
    assert "1 directions of links that the city closes to cars for good are left out" in option.notes
    trucks = Change("lorries").close_road("lane", classes=["truck"]).apply(city())
    assert road_network(trucks).links.num_rows == 5
    morning = Change("flood").close_road("lane", start="2026-07-01T08:15:00Z", until="2026-07-01T10:00:00Z").apply(city())
    assert road_network(morning).links.num_rows == 5
    assert "1 closures with a beginning or an end are not in the network" in road_network(morning).notes


def test_a_city_without_a_network_is_refused() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("Building", ["b"], footprints=[shapely.box(0, 0, 1, 1)])
    with pytest.raises(UsageError, match="no road links"):
        road_network(builder.build())


def test_the_roads_of_a_real_city_come_out_whole(shared_data: Callable[..., Path]) -> None:
    network = road_network(read(shared_data("city", "osm", "Helsinki.osm.pbf")))
    ids = network.links["id"].to_pylist()
    assert len(set(ids)) == len(ids) > 2000
    assert not np.isnan(network.nodes["x"].to_numpy()).any()
    x, y, tail, head = (*(network.nodes[name].to_numpy() for name in "xy"), network.column("from_node"), network.column("to_node"))
    metres = np.hypot((x[head] - x[tail]) * 111_320 * np.cos(np.radians(60.17)), (y[head] - y[tail]) * 111_320)
    assert (metres <= network.column("length") * 1.01 + 0.1).all()  # a degree is 111.3 to 111.7 km; no piece is shorter than its chord
