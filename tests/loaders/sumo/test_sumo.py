"""SUMO files: every lane a link, turns, signals and who gives way as they are in SUMO; hostile files are refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders.limits import Limits
from cim.loaders.sumo import closed_to, read_network, read_routes
from cim.model.road_network import RoadNetwork, faults_of
from cim.sim.traffic.dynamic import Fleet, LinkChange, load_fleet
from tests.loaders.sumo.files import NET, ROUTES, SIGNALS


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def made(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return made


@pytest.fixture
def network(write: Callable[[str, str], Path]) -> RoadNetwork:
    return read_network(write("a.net.xml", NET), reaction=1.5, spacing=6.5)


def turns(network: RoadNetwork, name: str) -> set[tuple[object, ...]]:
    ids = network.links["id"].to_pylist()
    ends = ("from_link", "to_link", "before_from", "before_to")
    return {tuple(ids[value] if key in ends else value for key, value in row.items()) for row in getattr(network, name).to_pylist()}


def test_every_lane_for_vehicles_is_a_link_of_its_edge(network: RoadNetwork) -> None:
    assert faults_of(network) == []
    links = {row["id"]: row for row in network.links.to_pylist()}
    assert sorted(links) == ["main_1", "main_2", "on_0", "on_1", "side_0", "up_0"]
    assert {name: row["object"] for name, row in links.items()}["main_2"] == "main"
    assert links["main_1"]["length"] == pytest.approx(100 + 12)
    assert links["main_1"]["free_flow_time"] == pytest.approx(10 + 1.2)
    assert links["main_2"]["length"] == pytest.approx(100 + (12 + 8 + 4) / 2)  # the turn to the left passes two lanes inside
    assert links["main_1"]["capacity"] == pytest.approx(3600 / (1.5 + 6.5 / 10))
    assert links["side_0"]["capacity"] == pytest.approx(3600 / (1.5 + 6.5 / 6.5))
    assert links["main_2"]["capacity"] == pytest.approx(3600 / (1.5 + (6.5 / 10 + 6.5 / 5) / 2))
    assert links["on_0"]["capacity"] == pytest.approx(3600 / (1.5 + 6.5 / 10))
    assert "capacity" in links["on_0"]["assumed"]
    assert any("1 lanes for pedestrians" in note for note in network.notes)


def test_nodes_lie_in_the_projection_of_the_file(network: RoadNetwork) -> None:
    row = {one["id"]: one for one in network.nodes.to_pylist()}["e"]
    assert (row["x"], row["y"]) == (600300.0, 5000000.0)
    assert network.crs is not None
    assert "+zone=32" in network.crs
    assert network.nodes.num_rows == 5


def test_what_lanes_do_not_connect_is_banned(network: RoadNetwork) -> None:
    assert turns(network, "banned") == {("main_1", "up_0"), ("side_0", "up_0")}


def test_greens_begin_after_the_offset_and_join_over_the_end(network: RoadNetwork) -> None:
    found = turns(network, "signals")
    through = {row for row in found if row[0] == "main_1"}
    assert through == {("main_1", "on_0", 60.0, 10.0, 40.0), ("main_1", "on_0", 60.0, 5.0, 10.0)}
    assert {row for row in found if row[0] == "side_0"} == {("side_0", "on_0", 60.0, 45.0, 65.0)}
    assert {row[3:] for row in found if row[1] == "up_0"} == {(10.0, 40.0)}


def test_programs_of_additional_files_win(write: Callable[[str, str], Path]) -> None:
    found = read_network(write("a.net.xml", NET), [write("tls.add.xml", SIGNALS)])
    assert {row[2:] for row in turns(found, "signals")} == {(60.0, 0.0, 40.0), (60.0, 0.0, 60.0)}
    assert any("1 signals that act on traffic" in note for note in found.notes)


def test_a_turn_gives_way_as_the_request_matrix_says(network: RoadNetwork) -> None:
    assert turns(network, "yields") == {
        ("side_0", "on_0", "main_1", "on_0"), ("side_0", "on_0", "main_2", "on_1"), ("side_0", "on_0", "main_2", "up_0"),
    }  # fmt: skip


def test_lanes_for_some_classes_are_closed_to_the_others(network: RoadNetwork) -> None:
    assert sorted(closed_to(network, ("bus", "car", "truck", "ignoring"))) == [(("main_2",), ("car", "truck")), (("on_0",), ("truck",))]


def test_vehicles_come_in_with_routes_stops_and_types(network: RoadNetwork, write: Callable[[str, str], Path]) -> None:
    routes = read_routes([write("r.rou.xml", ROUTES), write("s.add.xml", SIGNALS)], network)
    assert routes.ids == ("a", "b", "f.0", "f.1", "f.2", "g.0", "g.1", "e")
    assert routes.departure.tolist() == [0.0, 5.5, 10.0, 20.0, 30.0, 0.0, 30.0, 9.0]
    assert [routes.class_names[k] for k in routes.vehicle_class] == ["car", "bus", "truck", "truck", "truck", "car", "car", "car"]
    objects = np.array(network.links["object"].to_pylist())
    assert objects[routes.path_links[:4]].tolist() == ["main", "on", "main", "on"]
    assert routes.stop_time[:4].tolist() == [0.0, 0.0, 0.0, 20.0]
    assert routes.path_start[-1] == routes.path_start[-2]  # the trip follows the tables
    assert routes.vehicle_types["lorry"].length == 12.0
    assert routes.vehicle_types["mix"].length == 4.0
    told = " ".join(routes.notes)
    for said in ("1 vehicles are left out", "first: c", "1 vehicle that departs 'triggered'", "1 person"):
        assert said in told


def test_what_was_read_runs(network: RoadNetwork, write: Callable[[str, str], Path]) -> None:
    routes = read_routes([write("r.rou.xml", ROUTES), write("s.add.xml", SIGNALS)], network)
    changes = [LinkChange(0.0, ids, closed=True, classes=classes) for ids, classes in closed_to(network, routes.class_names)]
    found = load_fleet(network, Fleet(**routes.columns()), until=600.0, changes=changes)
    assert found.causes()["arrived"] == len(routes.ids) == sum(found.causes().values())
    lane = dict(zip(network.links["id"].to_pylist(), found.entered[-1].tolist(), strict=True))
    assert lane["main_1"] == 3  # cars; the bus may take the emptier lane
    assert lane["main_2"] == 1
    assert lane["on_0"] + lane["on_1"] == 8


def test_a_packed_file_is_the_same(network: RoadNetwork, tmp_path: Path) -> None:
    path = tmp_path / "a.net.xml.gz"
    path.write_bytes(gzip.compress(NET.encode()))
    found = read_network(path, reaction=1.5, spacing=6.5)
    assert found.links.equals(network.links)
    assert found.yields.equals(network.yields)


BOMB = '<!DOCTYPE net [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><net><location projParameter="&b;"/></net>'
HOSTILE = {
    "entities": (BOMB, UnsafeInputError, "DOCTYPE"),
    "another root": ("<osm/>", FormatError, "has the root <osm>, expected <net>"),
    "cut": (NET[: len(NET) // 2], CorruptFileError, "not well-formed"),
    "no XML": ("hello", CorruptFileError, "not well-formed"),
    "deep": ("<net>" + "<a>" * 150 + "</a>" * 150 + "</net>", LimitError, "deeper"),
    "no number": (NET.replace('length="100.00"', 'length="long"', 1), CorruptFileError, "length='long' in <lane>"),
    "not finite": (NET.replace('speed="10.00" length="50.00"', 'speed="nan" length="50.00"'), CorruptFileError, "speed='nan'"),
    "no length": (NET.replace('speed="10.00" length="50.00"', 'speed="10.00" length="0"'), CorruptFileError, "of 0.0 m at 10.0 m/s"),
    "no junction": (NET.replace('<junction id="n"', '<junction id="x"'), CorruptFileError, "1 junctions it lacks (first: n)"),
    "lane twice": (NET.replace('id="on_1"', 'id="on_0"'), CorruptFileError, "names 1 lanes twice"),
    "lanes apart": (NET.replace('from="side" to="on" fromLane', 'from="on" to="side" fromLane'), CorruptFileError, "do not meet"),
    "no phases": (NET.replace("<phase", "<stage"), CorruptFileError, "without phases"),
    "endless phase": (NET.replace('duration="30"', 'duration="0"'), CorruptFileError, "phase of 0 s"),
    "no id": (NET.replace('<edge id="side"', "<edge"), CorruptFileError, "<edge> '' without 'id'"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_or_broken_network_is_refused(name: str, write: Callable[[str, str], Path]) -> None:
    text, error, said = HOSTILE[name]
    with pytest.raises(error) as told:
        read_network(write("a.net.xml", text))
    assert said in str(told.value)
    assert str(told.value).startswith(str(told.value.path))


def test_what_packs_too_densely_or_counts_too_many_is_refused(tmp_path: Path, write: Callable[[str, str], Path]) -> None:
    path = tmp_path / "a.net.xml.gz"
    path.write_bytes(gzip.compress(b"<net>" + b" " * 40_000_000 + b"</net>"))
    with pytest.raises(LimitError, match="unpacks to more than"):
        read_network(path)
    path.write_bytes(gzip.compress(NET.encode())[:-20])
    with pytest.raises(CorruptFileError, match="cannot be unpacked"):
        read_network(path)
    with pytest.raises(LimitError, match="records"):
        read_network(write("b.net.xml", NET), limits=Limits(records=10))


FLOODS = {
    "endless flow": '<flow id="f" begin="0" end="1e9" period="1e-6"><route edges="main on"/></flow>',
    "flow of nothing": '<flow id="f" begin="0" end="10"><route edges="main on"/></flow>',
    "no departure": '<vehicle id="v"><route edges="main on"/></vehicle>',
}


@pytest.mark.parametrize("name", FLOODS)
def test_broken_vehicles_are_refused(name: str, network: RoadNetwork, write: Callable[[str, str], Path]) -> None:
    with pytest.raises(InputError):
        read_routes([write("a.rou.xml", f"<routes>{FLOODS[name]}</routes>")], network)
