"""GMNS folders come in with their units, go out and come back the same, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UsageError
from cim.loaders import tntp
from cim.loaders.gmns import read_counts, read_network, write_network
from cim.loaders.limits import Limits
from cim.model.road_network import BANNED, SIGNALS, YIELDS, ODMatrix, RoadNetwork

CONFIG = "dataset_name,short_length,long_length,speed,crs\ntown,foot,mile,mph,32616\n"
NODES = "node_id,x_coord,y_coord,node_type,zone_id\n1,0,0,centroid,1\n2,100,0,,\n3,100,200,,\n"
LINKS = """link_id,from_node_id,to_node_id,directed,length,facility_type,capacity,free_speed,lanes,allowed_uses
10,1,2,1,0.5,arterial,900,30,2,"AUTO, BIKE"
11,2,3,0,1,local,600,15,1,ALL
12,2,3,1,1,SIDEWALK,,,,
13,3,1,1,2,arterial,800,40,1,"WALK, BIKE"
14,3,1,1,2,arterial,800,40,,
"""


def folder(place: Path, **files: str) -> Path:
    for name, text in ({"config": CONFIG, "node": NODES, "link": LINKS} | files).items():
        if text:
            (place / f"{name}.csv").write_text(text, encoding="utf-8")
    return place


def test_miles_and_miles_per_hour_become_metres_and_seconds(tmp_path: Path) -> None:
    network = read_network(folder(tmp_path))
    assert network.links["id"].to_pylist() == ["10", "11", "11:reverse", "14"]
    assert network.column("length") == pytest.approx([804.672, 1609.344, 1609.344, 3218.688], rel=1e-12)
    assert network.column("free_flow_time") == pytest.approx([60.0, 240.0, 240.0, 180.0], rel=1e-12)  # 0.5 mile at 30 mph is a minute
    assert network.column("capacity").tolist() == [1800.0, 600.0, 600.0, 800.0]  # per lane in the file
    assert (network.column("from_node").tolist(), network.column("to_node").tolist()) == ([0, 1, 2, 2], [1, 2, 1, 0])
    assert network.links["class"].to_pylist() == ["arterial", "local", "local", "arterial"]
    assert network.nodes["through"].to_pylist() == [False, True, True]
    assert network.crs == "EPSG:32616"
    assert (network.column("b").tolist(), network.column("power").tolist()) == ([0.15] * 4, [4.0] * 4)


def test_what_is_left_out_or_assumed_is_counted(tmp_path: Path) -> None:
    network = read_network(folder(tmp_path))
    assert network.links["assumed"].to_pylist() == [[], [], [], ["lanes"]]
    assert network.notes == (
        "2 links that are not open to every car are left out (facility_type, allowed_uses: bike, walk)",
        "1 undirected links became two, the second one named id:reverse",
        "one lane is assumed of 1 links that state none",
        "cost of 4 links by the Bureau of Public Roads (1964), b 0.15 and power 4: not stated",
    )


def test_links_for_buses_carpools_or_trucks_alone_are_left_out_and_unknown_uses_told(tmp_path: Path) -> None:
    for uses in ("bus", "hov2,hov3", "TRUCK; bus", "hov2, sov", "general", "d;h;bus"):
        kept = uses in {"hov2, sov", "general", "d;h;bus"}
        notes = read_network(folder(tmp_path, link=LINKS.replace("AUTO, BIKE", uses))).notes
        told = "2 links that" if kept else "3 links that"
        assert notes[0].startswith(f"{told} are not open to every car are left out"), uses
        assert [one for one in notes if "known" in one] == (
            ["allowed_uses of 1 links has no word that is known but d, h: they are taken as open to cars"] if "d;h" in uses else []
        )


def test_a_blank_direction_is_told(tmp_path: Path) -> None:
    network = read_network(folder(tmp_path, link=LINKS.replace("10,1,2,1,", "10,1,2,,")))
    assert "directed is not stated of 1 links: they are taken as one-way" in network.notes


def test_tolls_that_do_not_count_and_tables_that_are_not_read_are_told(tmp_path: Path) -> None:
    lines = LINKS.strip().splitlines()
    tolled = "\n".join([f"{lines[0]},toll", *(f"{line},{toll}" for line, toll in zip(lines[1:], (2.5, 0, 9, 9, ""), strict=True))])
    place = folder(tmp_path, link=tolled, link_tod="link_id\n10\n", lane="lane_id\n1\n")
    notes = read_network(place).notes
    assert "tolls of 1 links (up to 2.5) do not count: give toll_factor=, the seconds that a unit of them is worth" in notes
    assert notes[-1] == "tables that are not read: link_tod.csv, lane.csv"
    network = read_network(place, toll_factor=60.0)
    assert network.column("fixed").tolist() == [150.0, 0.0, 0.0, 0.0]
    assert not any("toll" in one for one in network.notes)


def test_columns_that_are_not_used_are_told_once(tmp_path: Path) -> None:
    lines = LINKS.strip().splitlines()
    wider = "\n".join([f"{lines[0]},Speed_Limit,empty,gates", *(f"{line},50,,2" for line in lines[1:])])
    told = [one for one in read_network(folder(tmp_path, link=wider)).notes if "not used" in one]
    assert told == ["link.csv: 2 columns are not used: speed_limit, gates"]


def test_units_may_be_given_by_hand_and_a_contradiction_is_told(tmp_path: Path) -> None:
    place = folder(tmp_path, config="")
    with pytest.raises(FormatError, match="does not say the unit long_length"):
        read_network(place)
    with pytest.raises(FormatError, match="does not say the unit speed"):
        read_network(place, length_unit="km")
    assert read_network(place, length_unit="km", speed_unit="km/h").column("length")[0] == 500.0
    told = read_network(folder(place), length_unit="km").notes[0]
    assert told == "config.csv says 'mile' for long_length; 'km' was given and is used"
    with pytest.raises(UsageError, match="the unit of speed is 'knots'"):
        read_network(place, speed_unit="knots")
    with pytest.raises(UsageError, match="the unit of long_length is 1000"):
        read_network(place, length_unit=1000)  # type: ignore[arg-type]


def test_capacity_and_speed_that_are_missing_are_refused_or_assumed_by_hand(tmp_path: Path) -> None:
    place = folder(tmp_path, link=LINKS.replace("arterial,900,30,2", "arterial,,,2"))
    with pytest.raises(CorruptFileError, match=r"1 links have no free_speed \(lines 2\)"):
        read_network(place)
    with pytest.raises(CorruptFileError, match=r"1 links have no capacity \(lines 2\)"):
        read_network(place, default_speed=10.0)
    network = read_network(place, default_speed=10.0, default_capacity=1500.0)
    assert (network.column("capacity")[0], network.column("free_flow_time")[0]) == (3000.0, pytest.approx(80.4672))
    assert network.links["assumed"][0].as_py() == ["speed", "capacity"]


def test_times_of_other_tools_win_over_length_and_speed_and_are_told(tmp_path: Path) -> None:
    text = "link_id,from_node_id,to_node_id,length,capacity,free_speed,lanes,VDF_fftt1,VDF_alpha1,VDF_beta1\n1,1,2,1,900,60,1,3,0.5,2\n"
    network = read_network(folder(tmp_path, link=text))
    assert [network.column(name)[0] for name in ("free_flow_time", "b", "power")] == [180.0, 0.5, 2.0]
    assert network.notes[0] == "directed is not stated of 1 links: they are taken as one-way"
    assert network.notes[1].startswith("free-flow time of 1 links is vdf_fftt, which differs")


def test_zones_that_are_not_named_like_their_node_find_it(tmp_path: Path) -> None:
    nodes = NODES.replace("centroid,1", "centroid,Z7")
    network = read_network(folder(tmp_path, node=nodes, zone="zone_id,name\nZ7,west\nZ8,east\n"))
    assert network.nodes["zone"].to_pylist() == ["Z7", None, None]
    assert ODMatrix.of(network, ["Z7"], ["Z7"], [1.0]).origin.tolist() == [0]
    assert "1 zones of zone.csv have no node (Z8)" in network.notes
    assert "zone" not in read_network(folder(tmp_path, zone="zone_id\n1\n")).nodes.column_names


def test_paths_through_zones_are_told(tmp_path: Path) -> None:
    assert "paths may pass 1 nodes of zones: their node_type is not centroid" in read_network(
        folder(tmp_path, node=NODES.replace("centroid", ""))).notes  # fmt: skip


MOVEMENTS = """mvmt_id,node_id,ib_link_id,ob_link_id,type,penalty,allowed_uses
1,2,10,11,thru,5,
2,3,11,14,left,,
3,3,11,13,left,,WALK
"""


def test_turns_that_are_not_listed_at_a_node_are_banned_there(tmp_path: Path) -> None:
    network = read_network(folder(tmp_path, movement=MOVEMENTS))
    ids = network.links["id"].to_pylist()
    banned = {(ids[one["from_link"]], ids[one["to_link"]]) for one in network.banned.to_pylist()}
    assert banned == {("11:reverse", "11"), ("11", "11:reverse")}  # U-turns: at node 2 only 10 -> 11, at node 3 only 11 -> 14 is listed
    assert "penalty of 1 movements is not in the network" in network.notes
    assert "1 movements over links that are not open to every car are left out" in network.notes


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("1,2,10,11", "1,2,10,99"), r"1 movements name links that are not there \(99; lines 2\)"),
        (("1,2,10,11", "1,2,10,14"), r"1 movements join links that do not follow each other \(lines 2\)"),
        (("2,3,11", "1,3,11"), "1 values of mvmt_id stand more than once"),
    ],
)
def test_movements_that_cannot_be_are_refused(changed: tuple[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=said):
        read_network(folder(tmp_path, movement=MOVEMENTS.replace(*changed)))


SIGNALS_OF = {
    "movement": "mvmt_id,node_id,ib_link_id,ob_link_id,type\n1,2,10,11,thru\n2,2,11,11,uturn\n3,3,11,14,left\n",
    "signal_timing_plan": "timing_plan_id,controller_id,cycle_length\np,c,90\n",
    "signal_timing_phase": "timing_phase_id,timing_plan_id,signal_phase_num,min_green,clearance,ring,barrier,position\n"
    "1,p,2,40,5,1,1,1\n2,p,4,20,5,1,2,1\n3,p,8,15,5,2,2,1\n4,p,6,30,5,2,1,1\n5,p,5,15,5,1,2,2\n",
    "signal_phase_mvmt": "controller_id,signal_phase_num,mvmt_id,protection\nc,2,1,protected\nc,4,3,permitted\nc,5,1,\nc,8,,\n",
}


def test_greens_follow_rings_barriers_and_offsets(tmp_path: Path) -> None:
    """Ring 1: phase 2 (40+5), barrier, phase 4 (20+5), phase 5 (15+5); ring 2 is shorter: a cycle of 90 s."""
    files = SIGNALS_OF | {"signal_coordination": "coordination_id,timing_plan_id,controller_id,offset\n1,p,c,30\n"}
    network = read_network(folder(tmp_path, **files))
    ids = network.links["id"].to_pylist()
    greens = {(ids[one["from_link"]], ids[one["to_link"]], one["cycle"], one["green_from"], one["green_until"])
              for one in network.signals.to_pylist()}  # fmt: skip
    assert greens == {("10", "11", 90.0, 30.0, 70.0), ("11", "14", 90.0, 75.0, 95.0), ("10", "11", 90.0, 10.0, 25.0)}
    assert "1 turns are permitted in their phase: to whom they give way the format does not say" in network.notes


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("signal_timing_plan", ("p,c,90", "p,c,80")),
        ("signal_timing_plan", ("p,c,90", "p,c,90\nq,c,90")),
        ("signal_timing_phase", ("4,20,5,1,2,1", "4,20,5,1,,1")),
    ],
)
def test_signals_that_are_not_sure_are_left_out_and_told(name: str, changed: tuple[str, str], tmp_path: Path) -> None:
    files = SIGNALS_OF | {name: SIGNALS_OF[name].replace(*changed)}
    network = read_network(folder(tmp_path, **files))
    assert network.signals.num_rows == 0
    assert any(one.startswith("1 signals are not read (c)") for one in network.notes)


def test_a_plan_that_two_signals_share_leaves_its_phases_unclear(tmp_path: Path) -> None:
    files = SIGNALS_OF | {"signal_timing_plan": SIGNALS_OF["signal_timing_plan"] + "p,d,90\n"}
    network = read_network(folder(tmp_path, **files))
    assert network.signals.num_rows == 0
    assert any(one.startswith("2 signals are not read (c, d)") for one in network.notes)


def test_times_that_change_with_the_traffic_are_no_greens(tmp_path: Path) -> None:
    text = SIGNALS_OF["signal_timing_phase"].replace("position\n", "position,max_green\n").replace("40,5,1,1,1", "40,5,1,1,1,60")
    text = "\n".join(line if line.count(",") == 8 or not line else line + "," for line in text.split("\n"))
    assert read_network(folder(tmp_path, **SIGNALS_OF | {"signal_timing_phase": text})).signals.num_rows == 0


def test_signals_without_an_offset_begin_at_midnight_and_say_so(tmp_path: Path) -> None:
    network = read_network(folder(tmp_path, **SIGNALS_OF))
    assert sorted(network.signals["green_from"].to_pylist()) == [0.0, 45.0, 70.0]
    assert "1 signals state no offset: their cycle begins at midnight" in network.notes


# ---------------------------------------------------------------- hostile


@pytest.mark.parametrize(
    ("name", "text", "error", "said"),
    [
        ("link", LINKS.replace("10,1,2", "10,1,9"), CorruptFileError, r"1 links end at nodes that node.csv does not have \(10; lines 2\)"),
        ("link", LINKS.replace("11,2,3", "10,2,3"), CorruptFileError, r"1 values of link_id stand more than once \(10\)"),
        ("node", NODES.replace("2,100", "1,100"), CorruptFileError, r"1 values of node_id stand more than once \(1\)"),
        ("link", LINKS.replace("1,0.5,art", "1,-0.5,art"), CorruptFileError, r"1 values of length are below 0 .*first: -0.5; lines 2"),
        ("link", LINKS.replace("900,30,2", "900,30,two"), CorruptFileError, r"1 values of lanes are no number \(first: 'two'; lines 2\)"),
        ("link", LINKS.replace("900,30,2", "inf,30,2"), CorruptFileError, "1 values of capacity are no number"),
        ("link", LINKS.replace("900,30,2", "1e999,30,2"), CorruptFileError, "1 values of capacity are below 0 or infinite"),
        ("link", LINKS.replace("900,30,2", "900,0,2"), CorruptFileError, r"1 links have no free_speed above zero \(lines 2\)"),
        ("link", LINKS.replace("2,1,0.5", "2,maybe,0.5"), CorruptFileError, "1 values of directed are neither true nor false"),
        ("link", LINKS.replace("from_node_id", "tail"), FormatError, "has no column from_node_id"),
        ("link", LINKS.replace(",length,", ",capacity,"), FormatError, r"names columns twice \(capacity\)"),
        ("link", LINKS.replace("10,1,2", ",1,2"), CorruptFileError, r"1 rows have no link_id \(lines 2\)"),
        ("link", "link_id,from_node_id,to_node_id\n1,2\n", CorruptFileError, "no table of 3 columns"),
        ("link", LINKS + "15,1,2,1,1\0,a,1,1,1,\n", CorruptFileError, "NUL"),
        ("link", "a," * 5000 + "\n", LimitError, "declares 5,001 columns"),
        ("link", "\n", FormatError, "has no header"),
        ("config", CONFIG.replace("mile,", "parsec,"), CorruptFileError, "says the unit 'parsec' for long_length"),
        ("config", CONFIG + "town,foot,mile,mph,1\n", CorruptFileError, "has 2 rows, expected one"),
    ],
)
def test_what_contradicts_itself_is_refused(name: str, text: str, error: type[InputError], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said) as caught:
        read_network(folder(tmp_path, **{name: text}))
    assert f"{name}.csv" in str(caught.value)


def test_text_in_gbk_is_read_and_the_guess_is_told(tmp_path: Path) -> None:
    place = folder(tmp_path)
    (place / "link.csv").write_bytes(LINKS.replace("arterial", "主干道").encode("gbk"))
    network = read_network(place)
    assert network.links["class"][0].as_py() == "主干道"
    assert "link.csv: no UTF-8; read as gb18030, a guess from its bytes" in network.notes


@pytest.mark.parametrize("path", ["https://example.org/gmns", "nowhere"])
def test_what_is_no_folder_is_refused(path: str) -> None:
    with pytest.raises(InputError):
        read_network(path)


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="6 records, above the limit of 5"):
        read_network(folder(tmp_path), limits=Limits(records=5))
    with pytest.raises(LimitError, match="file bytes"):
        read_network(folder(tmp_path), limits=Limits(file_bytes=50))


# ---------------------------------------------------------------- out and in


def same(one: RoadNetwork, other: RoadNetwork) -> bool:
    order = [("from_link", "ascending"), ("to_link", "ascending")]
    tables = ("nodes", "links", "signals", "yields")
    return (
        all(getattr(one, name).equals(getattr(other, name)) for name in tables)
        and one.banned.sort_by(order).equals(other.banned.sort_by(order)) and one.crs == other.crs
    )  # fmt: skip


def crossing(**changes: Any) -> RoadNetwork:
    """Four arms around a node, both ways: links 0-3 lead in, 4-7 lead out."""
    given: dict[str, Any] = {"free_flow_time": 61.7, "capacity": 1833.3, "length": 1234.56, "x": [1.5, 2.5, 3.5, 4.5, 1 / 3], "y": 0.1}
    return RoadNetwork.of([*"nesw", "m"], [0, 1, 2, 3, 4, 4, 4, 4], [4, 4, 4, 4, 0, 1, 2, 3], **(given | changes))


@pytest.mark.parametrize("units", [{}, {"length_unit": "mile", "speed_unit": "mph"}])
def test_turns_signals_and_whatever_gmns_has_no_place_for_come_back(units: dict[str, str], tmp_path: Path) -> None:
    network = replace(
        crossing(law=["conical"] * 4 + ["bpr"] * 4, b=4.0, fixed=[1.7] + [0.0] * 7, lanes=[1.5] * 8, objects=["r,1", None] * 4,
                 classes=["主干道"] * 8, assumed=[["lanes", "speed"], []] * 4, through=[False, True, True, True, True], crs="EPSG:32616"),
        banned=pa.table([pa.array([0, 3]), pa.array([4, 5])], schema=BANNED),
        signals=pa.table([pa.array([0]), pa.array([6]), *(pa.array([one]) for one in (90.5, 10.1, 33.3))], schema=SIGNALS),
        yields=pa.table([pa.array([1]), pa.array([6]), pa.array([2]), pa.array([4])], schema=YIELDS),
    )  # fmt: skip
    losses = write_network(network, tmp_path / "out", **units)
    assert [one.split()[0] for one in losses] == ["1", "4", "1", "1", "movement.csv"]
    back = read_network(tmp_path / "out")
    assert same(back, network)
    assert back.notes == ("2 turns are banned: movement.csv lists others at their 1 nodes, and not these",)


def test_a_node_where_every_turn_is_banned_comes_back(tmp_path: Path) -> None:
    every = [(a, z) for a in range(4) for z in range(4, 8)]
    network = replace(crossing(), banned=pa.table([pa.array([a for a, _ in every]), pa.array([z for _, z in every])], schema=BANNED))
    write_network(network, tmp_path / "out")
    assert same(read_network(tmp_path / "out"), network)


def test_a_column_that_somebody_edits_wins_over_its_exact_copy_and_is_told(tmp_path: Path) -> None:
    write_network(crossing(lanes=2.0), tmp_path)
    text = (tmp_path / "link.csv").read_text(encoding="utf-8")
    (tmp_path / "link.csv").write_text(text.replace(",916.65,", ",500,", 1), encoding="utf-8")
    network = read_network(tmp_path)
    assert network.column("capacity").tolist() == [1000.0] + [1833.3] * 7
    assert network.notes == ("capacity of 1 links differs from its exact copy (cim_ column): the column of the specification is used",)


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    write_network(crossing(), tmp_path)
    with pytest.raises(UsageError, match=r"holds a link\.csv already"):
        write_network(crossing(), tmp_path)
    with pytest.raises(UsageError, match=r"the unit is 'verst'"):
        write_network(crossing(), tmp_path / "other", length_unit="verst")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_numbers_come_back_to_the_last_bit(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    def numbers(high: float) -> Any:
        one = st.floats(1e-9, high) | st.just(0.0)  # below lies no road, and halves of the last bit
        return np.array(data.draw(st.lists(one, min_size=8, max_size=8)))

    columns = {"free_flow_time": 1e5, "capacity": 1e6, "length": 1e6, "b": 9, "fixed": 1e4}
    network = crossing(**{name: numbers(high) for name, high in columns.items()})
    place = tmp_path_factory.mktemp("gmns")
    write_network(network, place, length_unit="mile", speed_unit="mph")
    assert same(read_network(place), network)


@pytest.mark.data
def test_chicago_as_gmns_has_the_same_equilibrium(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    from cim.sim.traffic.equilibrium import assign

    path = shared_data("traffic", "chicago_sketch")
    network = tntp.read_network(path / "ChicagoSketch_net.tntp", length_unit=1609.344, toll_factor=0.02, distance_factor=0.04)
    demand = tntp.read_trips(path / "ChicagoSketch_trips.tntp")
    write_network(network, tmp_path / "chicago", length_unit="mile", speed_unit="mph")
    back = read_network(tmp_path / "chicago")
    assert same(back, network)
    assert assign(back, demand, gap=1e-4).objective == assign(network, demand, gap=1e-4).objective  # the same bits in, the same out


# ---------------------------------------------------------------- counts

COUNTS = "measurement_id,measurement_type,link_id,from_node_id,to_node_id,count\n1,link,7,n,m,300\n2,,,m,e,40.5\n3,production,,n,,9\n"


def test_counts_find_their_links_by_nodes_and_become_hourly(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(COUNTS)
    made = read_counts(tmp_path / "c.csv", crossing(), hours=0.5)
    assert made.to_pydict() == {"link": [0, 5], "count": [600.0, 81.0]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("n,m,300", "n,e,300"), r"1 rows count links that the network does not have \(n-e; lines 2\)"),
        (("n,m,300", "q,m,300"), r"does not have \(q-m"),
        (("n,m,300", "m,e,300"), r"1 links are counted more than once \(m-e\)"),
        (("n,m,300", "n,m,"), r"1 rows have no count \(lines 2\)"),
        (("n,m,300", "n,m,-3"), r"1 values of count are below 0 .*lines 2"),
    ],
)
def test_counts_that_fit_no_link_are_refused(changed: tuple[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(COUNTS.replace(*changed))
    with pytest.raises(CorruptFileError, match=said):
        read_counts(tmp_path / "c.csv", crossing())


def test_of_links_beside_each_other_the_named_one_is_counted(tmp_path: Path) -> None:
    double = RoadNetwork.of(["n", "m"], [0, 0], [1, 1], free_flow_time=1.0, capacity=1.0, ids=["6", "7"])
    (tmp_path / "c.csv").write_text(COUNTS.splitlines()[0] + "\n1,link,7,n,m,300\n")
    assert read_counts(tmp_path / "c.csv", double)["link"].to_pylist() == [1]
    (tmp_path / "c.csv").write_text(COUNTS.splitlines()[0] + "\n1,link,8,n,m,300\n")
    with pytest.raises(CorruptFileError, match="one of several links between the same nodes"):
        read_counts(tmp_path / "c.csv", double)


@pytest.mark.data
def test_the_counts_of_chicago_all_find_their_link(shared_data: Callable[..., Path]) -> None:
    network = tntp.read_network(shared_data("traffic", "chicago_sketch") / "ChicagoSketch_net.tntp")
    made = read_counts(shared_data("traffic", "gmns_chicago_sketch_odme") / "measurement.csv", network)
    assert made.num_rows == 374  # as SOURCE.txt says
    assert network.links["id"].take(made["link"])[0].as_py() == "483-481"
