"""SUMO export: what is written is the network, SUMO runs it without an error, and as a referee it agrees where it must."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import MissingExtraError, RunError, UsageError
from cim.loaders.networks import read_matrix
from cim.loaders.networks import read_network as read_any
from cim.loaders.sumo import programs, read_network, read_routes
from cim.loaders.sumo.edges import connections, edges_of, names_for, permission
from cim.loaders.sumo.layout import layout
from cim.loaders.sumo.plans import YELLOW, Junction, Link, plan_of
from cim.loaders.sumo.run import referee
from cim.loaders.sumo.write import write_sumo
from cim.model.road_network import BANNED, SIGNALS, YIELDS, RoadNetwork
from cim.sim.traffic.city_network import road_network
from cim.sim.traffic.departures import fleet_of
from cim.sim.traffic.dynamic import Fleet, load_fleet

PERFECT = {"car": {"sigma": 0, "speedDev": 0}}
"""Drivers who neither dawdle nor differ; those of SUMO's defaults are some 10 % slower than the speed that is allowed."""


needs_sumo = pytest.mark.usefixtures("sumo")


@pytest.fixture
def sumo() -> None:
    """Skip what needs SUMO without it, or fail when everything must be there."""
    try:
        programs.program("netconvert")
    except MissingExtraError as error:
        if os.environ.get("CIM_REQUIRE_DATA") == "1":
            pytest.fail(f"{error} (CIM_REQUIRE_DATA=1 makes it a failure)", pytrace=False)
        pytest.skip(str(error))


def turns(schema: pa.Schema, *rows: tuple[float, ...]) -> pa.Table:
    return pa.Table.from_arrays([pa.array([row[k] for row in rows], kind.type) for k, kind in enumerate(schema)], schema=schema)


def street(**options: Any) -> RoadNetwork:
    """Return 1000 m and then 500 m of one lane at 50 km/h."""
    given = {
        "free_flow_time": [72.0, 36.0],
        "length": [1000.0, 500.0],
        "capacity": 1800.0,
        "lanes": 1,
        "x": [0, 1000, 1500],
        "y": [0, 0, 0],
    }
    return RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], **{**given, **options})


def crossing() -> RoadNetwork:
    """Return four arms of 300 m, both directions, and a way round from north to east."""
    tail, head = [1, 2, 3, 4, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 2, 3, 4, 2]
    names = ["n in", "e in", "s in", "w in", "n out", "e out", "s out", "w out", "round"]
    length = np.array([300.0] * 8 + [600.0])
    return RoadNetwork.of(list("mnesw"), tail, head, free_flow_time=length / 12.5, length=length, capacity=1800.0, lanes=1, ids=names,
                          objects=[*"nesw", *"nesw", None], x=[0, 0, 300, 0, -300], y=[0, 300, 0, -300, 0])  # fmt: skip


def cars(count: int, gap: float, origin: int, destination: int) -> Fleet:
    return Fleet(gap * np.arange(count, dtype=np.float64), np.full(count, origin), np.full(count, destination))


# ---------------------------------------------------------------- without SUMO


@given(st.lists(st.text(max_size=100), max_size=20))
def test_names_are_different_and_of_plain_letters(wanted: list[str]) -> None:
    made = names_for(wanted, "e")
    assert len(set(made)) == len(wanted)
    assert all(name.isascii() and name[0].isalnum() and not set(name) & set(" :;,<>&|\\'\"\t\n*?/!") for name in made)


def test_names_that_sumo_takes_stay() -> None:
    assert names_for(["b12", "a203.1", "7_2"], "e") == ["b12", "a203.1", "7_2"]


def test_links_of_one_object_between_the_same_nodes_are_lanes_of_one_edge() -> None:
    network = RoadNetwork.of(["a", "b"], [0, 0, 1], [1, 1, 0], free_flow_time=10.0, length=100.0, capacity=1800.0, lanes=[1, 2, 1],
                             ids=["x", "y", "z"], objects=["road", "road", "road"])  # fmt: skip
    edges = edges_of(network)
    assert edges.names == ["x", "z"]  # both directions are of one object, so links give the names
    assert edges.lanes.tolist() == [3, 1]
    assert edges.first_lane.tolist() == [0, 1, 0]


def test_lanes_that_are_assumed_rounded_or_cut_are_told() -> None:
    network = RoadNetwork.of(["a", "b"], [0] * 4, [1] * 4, free_flow_time=10.0, length=100.0, capacity=[1800, 5000, 1800, 99999],
                             lanes=[1.4, np.nan, 1, np.nan], ids=list("wxyz"))  # fmt: skip
    edges = edges_of(network)
    assert edges.lanes.tolist() == [1, 3, 1, 16]
    told = " ".join(edges.notes)
    for said in ("2 links without lanes", "1 links have no whole number of lanes", "1 links would have more than 16 lanes"):
        assert said in told


def test_what_has_no_time_or_no_length_keeps_the_time_and_is_told() -> None:
    network = RoadNetwork.of(["a", "b"], [0] * 4, [1] * 4, free_flow_time=[0.0, 10.0, 1.0, 0.05], length=[800.0, np.nan, 100.0, 0.5],
                             capacity=1800.0, ids=list("wxyz"))  # fmt: skip
    edges = edges_of(network)
    assert (edges.length / edges.speed)[1:].tolist() == pytest.approx([10.0, 1.0, 0.05])
    assert edges.length[0] / edges.speed[0] <= 1.0
    told = " ".join(edges.notes)
    for said in ("1 links without a length", "1 links take no time", "1 links are faster", "1 links are shorter"):
        assert said in told


def test_permissions_of_lanes_are_those_that_were_read() -> None:
    assert permission("allow bus taxi") == {"bus", "taxi"}
    assert "truck" not in permission("disallow truck")
    assert "passenger" in permission("disallow truck")
    assert "passenger" in permission("residential")


def test_where_another_way_leads_round_there_is_no_turning_back() -> None:
    edges = edges_of(crossing())
    made, notes = connections(crossing(), edges, set())
    back = {(edges.names[one.source], edges.names[one.target]) for one in made if edges.tail[one.source] == edges.head[one.target]}
    assert {("s_out", "s_in"), ("e_out", "e_in"), ("w_out", "w_in")} <= back  # dead ends
    assert ("n_out", "n_in") in back  # one may go round to the east, but that never leads back to the north
    assert not back & {("s_in", "s_out"), ("e_in", "e_out"), ("w_in", "w_out")}
    assert notes == ["3 turns back into the same road are left out, for other ways lead there"]


def fork() -> RoadNetwork:
    """Return a road of two lanes that leads into one of three; lanes are links."""
    length = np.array([300.0] * 5)
    return RoadNetwork.of(list("abc"), [0, 0, 1, 1, 1], [1, 1, 2, 2, 2], ids=["a0", "a1", "b0", "b1", "b2"], objects=list("aabbb"), lanes=1,
                          length=length, free_flow_time=length / 12.5, capacity=1800.0, x=[0, 300, 600], y=[0, 0, 0])  # fmt: skip


def test_lanes_lead_into_those_that_greens_and_rules_of_giving_way_name() -> None:
    def lanes(network: RoadNetwork) -> list[tuple[int, int]]:
        return sorted((one.from_lane, one.to_lane) for one in connections(network, edges_of(network), set())[0])

    assert lanes(fork()) == [(0, 0), (1, 1), (1, 2)]  # nothing is known: from the right
    lit = turns(SIGNALS, *((*pair, 60.0, 0.0, 30.0) for pair in ((0, 2), (0, 3), (1, 4))))
    assert lanes(replace(fork(), signals=lit)) == [(0, 0), (0, 1), (1, 2)]
    first = replace(fork(), signals=lit.slice(0, 2))
    assert lanes(first)[:2] == [(0, 0), (0, 1)]  # of the other lane nothing is known
    assert lanes(replace(fork(), yields=turns(YIELDS, (1, 2, 0, 4)))) == [(0, 2), (1, 0)]


def test_lanes_that_only_one_road_can_fill_are_filled() -> None:
    ids = ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "d0"]
    ends = [0, 0, 0, 1, 1, 1, 1, 3], [1, 1, 1, 2, 2, 2, 4, 1]  # the left lane of a goes to c; d comes from the side
    network = RoadNetwork.of(list("pqrst"), *ends, free_flow_time=20.0, length=300.0, capacity=1800.0, lanes=1, ids=ids,
                             objects=[one[0] for one in ids])  # fmt: skip
    aside = [(0, 6), (1, 6), *((2, lane) for lane in (3, 4, 5))]
    alone = replace(network, banned=turns(BANNED, *aside, *((7, lane) for lane in (3, 4, 5))))
    for one, wanted in ((alone, [(0, 0), (1, 1), (1, 2)]), (replace(network, banned=turns(BANNED, *aside)), [(0, 0), (1, 1)])):
        edges = edges_of(one)
        made = connections(one, edges, set())[0]
        assert sorted(pair[2:] for pair in made if (edges.names[pair[0]], edges.names[pair[1]]) == ("a", "b")) == wanted


def test_places_in_degrees_become_metres_and_missing_ones_are_told() -> None:
    network = street(x=[24.0, 24.018, np.nan], y=[60.0, 60.0, np.nan], crs="EPSG:4326")
    found = layout(network)
    assert np.hypot(*(found.place[1] - found.place[0])) == pytest.approx(1000, rel=0.01)  # 0.018° at 60° north: 1002 m on the sphere
    assert np.isfinite(found.place).all()
    assert any("1 nodes have no place" in note for note in found.notes)
    assert any("degrees" in note for note in found.notes)


def test_places_of_a_projected_network_stay_where_they_are() -> None:
    found = layout(street(x=[500100.5, 501100.5, 501600.5], y=[3460000.0, 3460000.0, 3460000.0], crs="EPSG:4549"))
    assert (found.place[0] + found.origin).tolist() == [500100.5, 3460000.0]
    assert "+proj=tmerc" in found.projection


def test_a_network_without_places_is_laid_out_with_nodes_apart() -> None:
    found = layout(street(x=None, y=None))
    gaps = [np.hypot(*(found.place[a] - found.place[b])) for a, b in ((0, 1), (1, 2), (0, 2))]
    assert min(gaps) > 100
    assert "3 nodes have no place" in found.notes[0]


def test_a_program_holds_the_greens_yellow_after_them_and_who_gives_way() -> None:
    junction = Junction((Link("a", 0, "x", 0, 0), Link("b", 0, "x", 0, 1), Link("c", 0, "x", 0, 2)), {0: "000", 1: "001", 2: "000"})
    link_at, edge_at = {("a", 0): 0, ("b", 0): 1, ("c", 0): 2}, {"x": 9}
    greens = {(0, 9): [(60.0, 10.0, 40.0)], (1, 9): [(60.0, 30.0, 65.0)]}
    plan, free = plan_of(junction, 60.0, greens, link_at, edge_at, clock=70.0)
    assert free == 1  # the third turn has no rows
    assert plan.offset == pytest.approx(50.0)  # second 0 of SUMO is second 10 of the cycle
    assert sum(duration for duration, _ in plan.phases) == pytest.approx(60.0)
    at = np.repeat([state for _, state in plan.phases], [round(duration) for duration, _ in plan.phases])
    assert at[0] == "rGG"  # over the end of the cycle
    assert at[6] == "ryG"
    assert at[20] == "GrG"
    assert at[35] == "GgG"  # both green: who gives way is g
    assert at[40] == "ygG"  # whoever still crosses at yellow goes first
    assert {letter[0] for letter in at[40 : 40 + int(YELLOW)]} == {"y"}
    assert at[55] == "rGG"


def test_without_sumo_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    monkeypatch.setattr(programs, "which", lambda _: None)
    monkeypatch.delenv("SUMO_HOME", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'cim-toolkit\[sumo\]'"):
        write_sumo(street(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_faults_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    bad = replace(street(), banned=turns(BANNED, (1, 0)))
    with pytest.raises(UsageError, match=r"2 faults:(.|\n)*do not follow(.|\n)*3 ends of trips"):
        write_sumo(bad, tmp_path / "out", fleet=cars(3, 1.0, 0, 7))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="until is 0"):
        referee(street(), cars(1, 1.0, 0, 2), until=0)


# ---------------------------------------------------------------- with SUMO


@needs_sumo
def test_free_flow_times_agree() -> None:
    fleet = cars(20, 20.0, 0, 2)
    theirs, ours = referee(street(), fleet, until=1200.0, vehicle_types=PERFECT), load_fleet(street(), fleet, until=1200.0)
    assert np.isfinite(theirs.arrival).all()
    assert np.isfinite(ours.arrival).all()
    assert theirs.mean_duration == pytest.approx(np.mean(ours.arrival - ours.started), rel=0.05)  # asked for; found: 0.1 %
    row = {one["link"]: one for one in theirs.roads.to_pylist()}
    assert row["a-b"]["travel_time"] == pytest.approx(72.0, rel=0.05)  # the way over the junction belongs to the link before it
    assert row["b-c"]["travel_time"] == pytest.approx(36.0, rel=0.05)
    assert row["a-b"]["entered"] == row["b-c"]["left"] == 20


@needs_sumo
def test_a_fixed_time_signal_discharges_alike() -> None:
    network = replace(street(), signals=turns(SIGNALS, (0, 1, 60.0, 10.0, 40.0)))
    fleet = cars(300, 3.0, 0, 2)
    theirs, ours = referee(network, fleet, until=3600.0, clock=20.0), load_fleet(network, fleet, until=3600.0, clock=20.0)
    assert np.isfinite(theirs.arrival).all()
    assert np.isfinite(ours.arrival).all()
    late = [np.sort(run.arrival)[[50, -1]] for run in (theirs, ours)]
    assert np.diff(late[0]) == pytest.approx(np.diff(late[1]), rel=0.10)  # asked for: time to let 250 vehicles go; found: 2 %
    assert theirs.moved == 0


@needs_sumo
def test_the_mesoscopic_model_runs_too() -> None:
    found = referee(street(), cars(20, 20.0, 0, 2), until=1200.0, vehicle_types=PERFECT, mesoscopic=True)
    assert found.mean_duration == pytest.approx(108.0, rel=0.05)  # no junctions there: lengths are those from node to node


@needs_sumo
def test_a_banned_turn_sends_trips_round_and_centroids_let_nobody_pass() -> None:
    network = crossing()
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    network = replace(network, banned=turns(BANNED, (rows["s in"], rows["e out"])))
    fleet = cars(10, 10.0, 3, 2)
    found = {row["link"]: row["entered"] for row in referee(network, fleet, until=900.0).roads.to_pylist()}
    assert (found["s in"], found["e out"], found["round"]) == (10, 0, 10)
    nodes = network.nodes.set_column(3, "through", pa.array([True, False, True, True, False]))
    told = referee(replace(network, nodes=nodes), fleet, until=900.0)
    assert any("10 vehicles have no way" in note for note in told.notes)


@needs_sumo
def test_what_was_written_reads_as_it_was(tmp_path: Path) -> None:
    network = crossing()
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    pair = rows["s in"], rows["n out"]
    cross = rows["w in"], rows["e out"]
    network = replace(
        network, banned=turns(BANNED, (rows["w in"], rows["n out"])),
        signals=turns(SIGNALS, (*pair, 90.0, 5.0, 35.0), (*cross, 90.0, 50.0, 80.0)),
    )  # fmt: skip
    found = write_sumo(network, tmp_path / "out")
    again = read_network(found.net, reaction=1.5, spacing=6.5)
    edge = {row["link"]: row["edge"] for row in found.links.to_pylist()}
    lane = {row["object"]: k for k, row in enumerate(again.links.to_pylist())}
    assert sorted(lane) == sorted(edge.values())
    for name, row in rows.items():
        mine, theirs = network.links.slice(row, 1).to_pylist()[0], again.links.slice(lane[edge[name]], 1).to_pylist()[0]
        assert theirs["length"] == pytest.approx(mine["length"], abs=0.1)  # SUMO rounds lengths of lanes to centimetres
        assert theirs["free_flow_time"] == pytest.approx(mine["free_flow_time"], rel=0.01)
    banned = set(zip(*(again.banned[end].to_pylist() for end in ("from_link", "to_link")), strict=True))
    assert (lane[edge["w in"]], lane[edge["n out"]]) in banned
    greens = {(row["from_link"], row["to_link"]): row for row in again.signals.to_pylist()}
    for turn, since, until in ((pair, 5.0, 35.0), (cross, 50.0, 80.0)):
        ends = lane[edge[network.links["id"][turn[0]].as_py()]], lane[edge[network.links["id"][turn[1]].as_py()]]
        assert (greens[ends]["cycle"], greens[ends]["green_from"], greens[ends]["green_until"]) == (90.0, since, until)


@needs_sumo
def test_a_turn_that_gives_way_gives_way_in_sumo(tmp_path: Path) -> None:
    network = crossing()
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    minor, major = (rows["w in"], rows["e out"]), (rows["s in"], rows["n out"])
    for one, other in ((minor, major), (major, minor)):
        found = write_sumo(replace(network, yields=turns(YIELDS, (*one, *other))), tmp_path / f"{one[0]}")
        again = read_network(found.net)
        objects = again.links["object"].to_pylist()
        names = [[objects[k] for k in row.values()] for row in again.yields.to_pylist()]
        edge = [row["edge"] for row in found.links.to_pylist()]
        assert [edge[k] for k in (*one, *other)] in names
        assert [edge[k] for k in (*other, *one)] not in names


@needs_sumo
def test_netconvert_opens_no_turn_that_is_banned(tmp_path: Path) -> None:
    network = crossing()
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    kinds = [("allow bus" if name == "e out" else None) for name in rows]
    links = network.links.set_column(network.links.column_names.index("class"), network.links.schema.field("class"), pa.array(kinds))
    only = [(rows["s in"], rows[name]) for name in ("e out", "w out", "s out")]
    found = write_sumo(replace(network, links=links, banned=turns(BANNED, *only)), tmp_path / "out")
    assert {target for source, target in found.built.pairs if source == "s_in"} == {"n_out"}
    assert not any("added by netconvert" in note for note in found.notes)


@needs_sumo
def test_ids_of_any_text_come_back(tmp_path: Path) -> None:
    ids = ['路 "7" <a&b>:1>2', "路 '7' <a&b>:2>1"]
    network = RoadNetwork.of([":x y", ":x_y", "ü"], [0, 1], [1, 2], free_flow_time=10.0, length=100.0, capacity=1800.0, ids=ids,
                             classes=["主干路", None])  # fmt: skip
    found = write_sumo(network, tmp_path / "out", fleet=cars(2, 5.0, 0, 2))
    with (tmp_path / "out" / "links.csv").open(encoding="utf-8", newline="") as file:
        assert [row["link"] for row in csv.DictReader(file)] == ids
    assert found.vehicles.tolist() == [0, 1]
    assert referee(network, cars(2, 5.0, 0, 2), until=300.0).roads["link"].to_pylist() == ids
    with pytest.raises(UsageError, match=r"holds a network\.net\.xml already"):
        write_sumo(network, tmp_path / "out")


@needs_sumo
def test_paths_stops_and_classes_are_those_of_the_fleet() -> None:
    network = crossing()
    rows = {name: k for k, name in enumerate(network.links["id"].to_pylist())}
    path = [rows["s in"], rows["n out"], rows["round"]]  # a detour that no search would take
    fleet = Fleet(np.array([0.0, 5.0]), np.array([3, 3]), np.array([2, 2]), np.array([0, 3, 3]), np.array(path), np.array([1, 0], np.int8),
                  ("car", "bus"), np.array([0.0, 100.0, 0.0]))  # fmt: skip
    found = referee(network, fleet, until=900.0, vehicle_types={"bus": {"length": 14}})
    passed = {row["link"]: row["entered"] for row in found.roads.to_pylist()}
    assert (passed["s in"], passed["n out"], passed["e out"]) == (2, 1, 1)
    took = found.arrival - found.started
    assert took[0] > 1200 / 12.5 + 100  # the bus stands
    assert took[1] < 100


@needs_sumo
def test_cars_take_the_way_in_a_jam_that_they_take_here(tmp_path: Path) -> None:
    fleet = replace(cars(2, 5.0, 0, 2), vehicle_class=np.array([0, 1], np.int8), class_names=("car", "bus", "taxi"))
    found = write_sumo(street(), tmp_path / "out", fleet=fleet, vehicle_types={"taxi": {"minGap": 2}})
    assert found.routes is not None
    text = found.routes.read_text(encoding="utf-8")
    assert '<vType id="car" vClass="passenger" minGap="1.5"/>' in text
    assert '<vType id="bus" vClass="bus"/>' in text
    assert '<vType id="taxi" vClass="taxi" minGap="2"/>' in text
    assert any("cars keep 1.5 m" in note for note in found.notes)


@needs_sumo
def test_a_program_that_takes_too_long_or_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"takes longer than 0 s; give more by seconds="):
        write_sumo(street(), tmp_path / "slow", seconds=0.0001)
    assert not (tmp_path / "slow").exists()
    with pytest.raises(RunError, match=r"netconvert ended with 1: .*gone\.xml"):
        programs.run("netconvert", ["-n", "gone.xml", "-e", "gone.xml"], tmp_path, seconds=60)


# ---------------------------------------------------------------- real networks


def some(fleet: Fleet, count: int, within: float) -> Fleet:
    """Return vehicles evenly picked out of a fleet, departing within some time [s]."""
    rows = np.linspace(0, len(fleet.departure) - 1, count).astype(int)
    return Fleet(np.linspace(0.0, within, count), fleet.origin[rows], fleet.destination[rows])


def pairs(network: RoadNetwork, count: int) -> Fleet:
    draw = np.random.default_rng(0)
    ends = draw.integers(0, network.nodes.num_rows, (2, count))
    return Fleet(np.sort(draw.uniform(0, 600, count)), ends[0], ends[1])


@needs_sumo
@pytest.mark.data
def test_bologna_runs_with_its_fleet(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("traffic", "sumo_bologna", "joined")
    network = read_network(folder / "joined_buslanes.net.xml", [folder / "joined_tls.add.xml"])
    routes = read_routes(
        [folder / f"joined{end}" for end in (".rou.xml", "_busses.rou.xml", "_vtypes.add.xml", "_bus_stops.add.xml")], network
    )
    fleet = Fleet(**routes.columns())
    found = referee(network, fleet, until=300.0)  # the whole hour runs too, and takes a minute
    assert len(found.files.vehicles) == len(fleet.departure) == 11176
    assert not any("could not be built" in note or "added by netconvert" in note for note in found.notes)
    due = np.asarray(fleet.departure) < 250
    assert np.isfinite(found.started[due]).mean() > 0.95  # the rest waits for a gap, as it does in SUMO's own network
    assert found.moved == 0
    assert found.roads.num_rows == len(set(network.links["object"].to_pylist()))


@needs_sumo
@pytest.mark.data
def test_sioux_falls_runs(shared_data: Callable[..., Path]) -> None:
    network = read_any(shared_data("traffic", "sioux_falls", "SiouxFalls_net.tntp"))
    trips = read_matrix(shared_data("traffic", "sioux_falls", "SiouxFalls_trips.tntp"), network)
    found = referee(network, some(fleet_of(network, trips).fleet, 200, 600.0), until=5000.0)
    assert np.isfinite(found.arrival).all()
    assert any("24 nodes have no place" in note for note in found.notes)


@needs_sumo
@pytest.mark.data
@pytest.mark.long
def test_chicago_sketch_runs(shared_data: Callable[..., Path]) -> None:
    network = read_any(shared_data("traffic", "chicago_sketch", "ChicagoSketch_net.tntp"))
    trips = read_matrix(shared_data("traffic", "chicago_sketch", "ChicagoSketch_trips.tntp"), network)
    found = referee(network, some(fleet_of(network, trips).fleet, 1000, 3600.0), until=14400.0)
    assert np.isfinite(found.arrival).all()


@needs_sumo
@pytest.mark.data
def test_a_city_of_openstreetmap_runs(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    network = road_network(read(shared_data("city", "osm", "Helsinki.osm.pbf")))
    fleet = pairs(network, 300)
    found = referee(network, fleet, until=5000.0)
    assert not any("could not be built" in note for note in found.notes)
    assert np.isfinite(found.arrival[found.files.vehicles]).all()
    assert len(found.files.vehicles) > 200  # the others have no way: the extract cuts streets
