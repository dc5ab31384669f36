"""What is written for SUMO: lanes, allowed turns, programs with amber and routes; netconvert and sumo take it where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cim.errors import UsageError
from cim.loaders.sumo import PlainFiles, SumoRoutes, closed_to, read_network, read_routes, write_plain, write_routes
from cim.model.road_network import RoadNetwork
from tests.loaders.sumo.files import NET, ROUTES, SIGNALS


@pytest.fixture
def read(tmp_path: Path) -> tuple[RoadNetwork, SumoRoutes]:
    names = ("a.net.xml", "r.rou.xml", "s.add.xml")
    for name, text in zip(names, (NET, ROUTES, SIGNALS), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    network = read_network(tmp_path / "a.net.xml")
    return network, read_routes([tmp_path / "r.rou.xml", tmp_path / "s.add.xml"], network)


def roots(files: PlainFiles) -> list[ET.Element]:
    return [ET.parse(one).getroot() for one in (files.nodes, files.edges, files.connections, files.signals)]  # written by us


def test_lanes_of_a_road_become_one_edge(read: tuple[RoadNetwork, SumoRoutes], tmp_path: Path) -> None:
    network, _ = read
    nodes, edges, connections, _ = roots(write_plain(network, tmp_path / "out"))
    assert [one.get("type") for one in nodes] == ["traffic_light", None, None, None, None]
    own = {param.get("value"): edge for edge in edges for param in edge.findall("param")}
    assert sorted(str(name) for name in own) == ["main", "on", "side_0", "up_0"]
    assert own["main"].get("numLanes") == "2"
    assert [(lane.get("index"), lane.get("allow")) for lane in own["main"].findall("lane")] == [("1", "bus taxi")]
    name = {edge.get("id"): one for one, edge in own.items()}
    turns = {(name[one.get("from")], one.get("fromLane"), name[one.get("to")], one.get("toLane")) for one in connections}
    assert turns == {("main", "0", "on", "0"), ("main", "1", "on", "1"), ("main", "1", "up_0", "0"), ("side_0", "0", "on", "0")}


def test_a_program_shows_each_green_and_amber_after_it(read: tuple[RoadNetwork, SumoRoutes], tmp_path: Path) -> None:
    network, _ = read
    _, _, connections, signals = roots(write_plain(network, tmp_path / "out"))
    program = signals.findall("tlLogic")[0]
    second = [one.get("state") for one in program for _ in range(round(float(one.get("duration", "0"))))]
    assert len(second) == 60
    place = {(one.get("from"), one.get("to"), one.get("fromLane")): int(one.get("linkIndex", "")) for one in signals.findall("connection")}
    assert sorted(place.values()) == [0, 1, 2, 3]
    assert len(place) == len(connections)
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    side = place[(f"e{rows['side_0']}", f"e{rows['on_0']}", "0")]
    shown = "".join(str(one)[side] for one in second)
    assert shown == "g" * 5 + "y" * 3 + "r" * 37 + "g" * 15  # green 45 to 65 s after a multiple of 60


def test_vehicles_keep_their_routes_and_trips_their_ends(read: tuple[RoadNetwork, SumoRoutes], tmp_path: Path) -> None:
    network, routes = read
    root = ET.parse(write_routes(routes, network, tmp_path / "r.xml")).getroot()  # written by us
    assert [one.get("id") for one in root.findall("vType")] == ["bus", "car", "truck"]
    vehicles = root.findall("vehicle")
    assert len(vehicles) == 7
    assert [float(one.get("depart", "")) for one in vehicles] == sorted(routes.departure[:7].tolist())
    first = network.links["object"].to_pylist().index
    assert {
        edges
        for one in vehicles
        for edges in [one.find("route")]
        if edges is not None and edges.get("edges") == f"e{first('main')} e{first('on')}"
    }
    trip = root.findall("trip")[0]
    assert (trip.get("fromJunction"), trip.get("toJunction")) == (f"n{routes.origin[7]}", f"n{routes.destination[7]}")


def test_a_network_without_places_is_refused(tmp_path: Path) -> None:
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=10.0, capacity=1800.0)
    with pytest.raises(UsageError, match="SUMO export: 2 faults") as told:
        write_plain(road, tmp_path / "out")
    assert "4 coordinates of nodes are not known" in str(told.value)
    assert not (tmp_path / "out").exists()


def test_lanes_that_nobody_told_are_counted(tmp_path: Path) -> None:
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=10.0, capacity=3700.0, length=100.0, x=[0.0, 100.0], y=[0.0, 0.0])
    files = write_plain(road, tmp_path)
    assert files.notes == ("1 links without lanes have one for each 1800 veh/h of their capacity",)
    assert roots(files)[1][0].get("numLanes") == "3"


@pytest.mark.data
@pytest.mark.parametrize("case", ["joined", "acosta", "pasubio"])
def test_sumo_runs_what_was_written(case: str, shared_data: Callable[..., Path], tmp_path: Path) -> None:
    folder = shared_data("traffic", "sumo_bologna", case)
    if shutil.which("netconvert") is None or shutil.which("sumo") is None:
        pytest.skip("netconvert and sumo are not installed (they come with eclipse-sumo)")
    network = read_network(folder / f"{case}_buslanes.net.xml", [folder / f"{case}_tls.add.xml"])
    routes = read_routes([folder / f"{case}{end}" for end in (".rou.xml", "_busses.rou.xml", "_vtypes.add.xml")], network)
    files = write_plain(network, tmp_path)
    subprocess.run(files.command(tmp_path / "made.net.xml"), check=True, capture_output=True)
    again = read_network(tmp_path / "made.net.xml")
    assert again.links.num_rows == network.links.num_rows
    assert len(closed_to(again, ("car",))) == len(closed_to(network, ("car",)))
    assert again.signals["cycle"].to_pylist() != []
    assert np.isin(again.signals["cycle"].to_numpy().round(2), network.signals["cycle"].to_numpy()).all()
    write_routes(routes, network, tmp_path / "made.rou.xml")
    command = ["sumo", "--net-file", str(tmp_path / "made.net.xml"), "--route-files", str(tmp_path / "made.rou.xml"), "--end", "300"]
    done = subprocess.run([*command, "--no-step-log", "--junction-taz"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
