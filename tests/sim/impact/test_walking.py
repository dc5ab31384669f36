"""The network of pedestrians: both ways, roads and paths, without motorways and what is closed to them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.sim.impact.reachability import reach
from cim.sim.impact.walking import walking_network
from tests.sim.impact.helpers import CRS
from tests.sim.impact.reach_city import by_object, street


def mixed(*, known: bool = True) -> City:
    builder = CityBuilder(CRS)
    lines = [shapely.LineString([(100 * k, 0), (100 * k + 100, 0)]) for k in range(5)]
    keys = builder.add_objects("Road", ["street", "path", "motorway", "yard", "bridleway"], footprints=np.array(lines, object))
    said = [{"class": "residential"}, {"class": "footway"}, {"class": "motorway"}, {"class": "service", "access": {"access": "private"}},
            {"class": "bridleway", "access": {"access": "no", "foot": "yes"}}]  # fmt: skip
    networks = ["road", "path", "road", "road", "path"]
    ends = list("abcde"), list("bcdef")
    lengths = [100.0 if known else None] * 5
    for at, name in enumerate(networks):
        builder.add_links(keys[[at]], name, [ends[0][at]], [ends[1][at]], direction="forward", length=[lengths[at]] if known else None,
                          attributes=[json.dumps(said[at])])  # fmt: skip
    return builder.build()


def test_roads_and_paths_join_both_ways_and_the_rest_is_left_out() -> None:
    network = walking_network(mixed(), speed=1.25)
    assert network.links["id"].to_pylist() == ["street:a>b", "street:b>a", "path:b>c", "path:c>b", "bridleway:e>f", "bridleway:f>e"]
    assert network.column("free_flow_time").tolist() == [80.0] * 6
    assert network.nodes["id"].to_pylist() == ["a", "b", "c", "e", "f"]
    assert network.nodes["x"].to_pylist() == [0.0, 100.0, 200.0, 400.0, 500.0]
    assert "2 links that are motorways, or closed to pedestrians for good, are left out" in network.notes


def test_a_length_that_no_source_states_is_that_of_the_line() -> None:
    assert walking_network(mixed(known=False)).column("length").tolist() == [100.0] * 6


def test_a_city_without_ways_to_walk_is_refused() -> None:
    with pytest.raises(UsageError, match="no roads or paths"):
        walking_network(CityBuilder(CRS).build())


def test_pedestrians_bring_help_at_walking_speed() -> None:
    found = by_object(reach(street(one_way=True), stations="fire", vehicle_class="pedestrian", walking_speed=1.0, within="30min"))
    assert found["west"]["time_dry"] == pytest.approx(900.0)
    assert (found["west"]["status"], found["west"]["class"]) == ("in_time", "pedestrian")
