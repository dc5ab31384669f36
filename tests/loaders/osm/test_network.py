"""The routable network against a slow reading of the XML, and against lengths of its own drawn pieces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import networkx as nx
import numpy as np
import pytest
import shapely
from pyproj import Geod

from cim.loaders import read
from cim.model import City

pytest.importorskip("osmium")

GEOD = Geod(ellps="WGS84")
STREETS = """<osm version="0.6">
 <node id="1" lat="30.000" lon="104.000"/><node id="2" lat="30.000" lon="104.001"><tag k="highway" v="traffic_signals"/></node>
 <node id="3" lat="30.000" lon="104.002"/><node id="4" lat="30.001" lon="104.001"/><node id="5" lat="29.999" lon="104.001"/>
 <node id="6" lat="30.001" lon="104.002"><tag k="barrier" v="bollard"/></node><node id="7" lat="30.002" lon="104.002"/>
 <node id="8" lat="30.002" lon="104.003"/><node id="9" lat="30.001" lon="104.003"/><node id="10" lat="30.003" lon="104.003"/>
 <way id="20"><nd ref="1"/><nd ref="2"/><nd ref="3"/><tag k="highway" v="residential"/><tag k="lanes" v="2"/>
  <tag k="maxspeed" v="30 mph"/></way>
 <way id="21"><nd ref="4"/><nd ref="2"/><nd ref="5"/><tag k="highway" v="tertiary"/><tag k="oneway" v="-1"/></way>
 <way id="22"><nd ref="3"/><nd ref="6"/><nd ref="7"/><tag k="highway" v="service"/><tag k="oneway" v="yes"/></way>
 <way id="23"><nd ref="7"/><nd ref="8"/><nd ref="9"/><nd ref="7"/><tag k="highway" v="residential"/><tag k="junction" v="roundabout"/></way>
 <way id="24"><nd ref="8"/><nd ref="8"/><nd ref="10"/><nd ref="99"/><nd ref="1"/><nd ref="4"/><tag k="highway" v="footway"/></way>
 <way id="25"><nd ref="1"/><nd ref="5"/><tag k="power" v="line"/></way>
 <way id="26"><nd ref="5"/><nd ref="9"/><tag k="highway" v="motorway"/></way>
 <relation id="30"><member type="way" ref="20" role="from"/><member type="node" ref="2" role="via"/>
  <member type="way" ref="21" role="to"/><tag k="type" v="restriction"/><tag k="restriction" v="no_left_turn"/></relation>
</osm>"""


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> City:
    file = tmp_path_factory.mktemp("osm") / "streets.osm"
    file.write_text(STREETS, encoding="utf-8")
    return read(file)


def _slow(text: str) -> list[tuple[str, str, str, float]]:
    """Return from, to, direction and length of every link: node by node, way by way."""
    root = ET.fromstring(text)
    place = {one.get("id", ""): (float(one.get("lon", "")), float(one.get("lat", ""))) for one in root.iter("node")}
    runs: list[tuple[str, list[str]]] = []
    for way in root.iter("way"):
        tags = {one.get("k", ""): one.get("v", "") for one in way.iter("tag")}
        if "highway" in tags:
            runs += [(_direction(tags), run) for run in _known([one.get("ref", "") for one in way.iter("nd")], place)]
    uses = Counter(ref for _, run in runs for ref in run)
    links = []
    for said, run in runs:
        start, total = run[0], 0.0
        for place_in_run, (a, b) in enumerate(pairwise(run), start=1):
            total += GEOD.inv(*place[a], *place[b])[2]
            if uses[b] > 1 or place_in_run == len(run) - 1:
                links.append((f"node/{start}", f"node/{b}", said, total))
                start, total = b, 0.0
    return links


def _direction(tags: dict[str, str]) -> str:
    if "oneway" in tags:
        return {"yes": "forward", "-1": "backward"}[tags["oneway"]]
    return "forward" if tags.get("junction") == "roundabout" or tags["highway"] == "motorway" else "both"


def _known(refs: list[str], place: dict[str, tuple[float, float]]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for ref in refs:
        if ref not in place:
            runs.append([])
        elif not runs[-1] or runs[-1][-1] != ref:
            runs[-1].append(ref)
    return [run for run in runs if len(run) > 1]


def _rows(city: City) -> list[dict[str, Any]]:
    return [{**row, "attributes": json.loads(row["attributes"])} for row in city.tables["links"].to_pylist()]


def test_links_are_those_of_the_slow_reading(streets: City) -> None:
    found = sorted((row["from_node"], row["to_node"], row["direction"], row["length"]) for row in _rows(streets))
    expected = sorted(_slow(STREETS))
    assert [one[:3] for one in found] == [one[:3] for one in expected]
    assert np.allclose([one[3] for one in found], [one[3] for one in expected], rtol=0, atol=1e-6)  # running sums of less than 1 km


def test_a_route_follows_the_one_way_streets(streets: City) -> None:
    graph = nx.MultiDiGraph()
    for row in _rows(streets):
        if row["network"] == "road":
            if row["direction"] in ("both", "forward"):
                graph.add_edge(row["from_node"], row["to_node"], length=row["length"])
            if row["direction"] in ("both", "backward"):
                graph.add_edge(row["to_node"], row["from_node"], length=row["length"])
    assert nx.shortest_path(graph, "node/1", "node/8") == ["node/1", "node/2", "node/3", "node/7", "node/8"]
    assert nx.has_path(graph, "node/5", "node/4")
    assert not nx.has_path(graph, "node/4", "node/1")


def test_what_a_tag_leaves_open_stays_open(streets: City) -> None:
    rows = {row["from_node"] + row["to_node"]: row["attributes"] for row in _rows(streets)}
    first = rows["node/1node/2"]
    assert first["lanes"] == 2
    assert first["speed_limit"] == pytest.approx(13.4112)  # 30 mph [m/s]
    assert "lanes" not in rows["node/3node/7"]
    assert "speed_limit" not in rows["node/3node/7"]
    road = streets["way/22"].attributes
    assert road["lanes"] is None
    assert road["one_way"] is True


def test_signals_and_barriers_stand_on_the_links_they_concern(streets: City) -> None:
    rows = {row["from_node"] + row["to_node"]: row["attributes"].get("controls", {}) for row in _rows(streets)}
    assert rows["node/1node/2"] == rows["node/2node/3"] == {"node/2": "highway=traffic_signals"}
    assert rows["node/3node/7"] == {"node/6": "barrier=bollard"}
    assert rows["node/7node/8"] == {}
    assert streets["node/2"].type == "CityFurniture"


def test_a_turn_restriction_is_a_relation_between_ways_that_names_its_node(streets: City) -> None:
    (row,) = streets.tables["relations"].to_pylist()
    assert (streets.ids([row["subject"]]), row["predicate"], streets.ids([row["object"]])) == (["way/20"], "no_left_turn", ["way/21"])
    (kept,) = [one for one in streets.tables["properties"].to_pylist() if one["set"] == "turn_restriction"]
    assert json.loads(kept["value"])["via"] == ["node/2"]


def _drawn(city: City) -> tuple[list[Any], list[float]]:
    shapes = city.footprints()
    rows = _rows(city)
    keys = {key: place for place, key in enumerate(city.tables["objects"]["key"].to_pylist())}
    pieces = []
    for row in rows:
        first, last = row["attributes"]["vertices"]
        pieces.append(shapely.get_coordinates(shapes[keys[row["object"]]])[first : last + 1])
    return pieces, [row["length"] for row in rows]


@pytest.mark.data
def test_real_links_are_as_long_as_their_drawn_pieces_and_meet_at_their_nodes(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "osm", "Helsinki.osm.pbf"))
    pieces, lengths = _drawn(city)
    measured = [GEOD.line_length(piece[:, 0], piece[:, 1]) for piece in pieces]
    assert np.allclose(measured, lengths, rtol=0, atol=1e-6)
    ends: dict[str, set[tuple[float, float]]] = {}
    for row, piece in zip(_rows(city), pieces, strict=True):
        ends.setdefault(row["from_node"], set()).add(tuple(piece[0].tolist()))
        ends.setdefault(row["to_node"], set()).add(tuple(piece[-1].tolist()))
    assert all(len(places) == 1 for places in ends.values())
    assert len(lengths) == 4723
    road = [row for row in _rows(city) if row["network"] == "road"]
    assert len(road) == 1526


@pytest.mark.data
def test_pieces_keep_their_vertices_in_another_system(shared_data: Callable[..., Path]) -> None:
    from cim.model.reproject import to_crs

    city = to_crs(read(shared_data("city", "osm", "Helsinki.osm.pbf")), "EPSG:3067")
    pieces, lengths = _drawn(city)
    flat = np.array([np.hypot(*np.diff(piece, axis=0).T).sum() for piece in pieces])
    scale = flat[np.array(lengths) > 5.0] / np.array(lengths)[np.array(lengths) > 5.0]
    assert np.all(np.abs(scale - 1.0) < 6e-4)  # TM35FIN: 0.9996 at its meridian, 2 degrees away
