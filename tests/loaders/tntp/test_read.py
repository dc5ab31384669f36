"""TNTP files come in with their units, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError, FormatError, UsageError
from cim.loaders.tntp import read_flow, read_network, read_trips

NET = """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 3
<END OF METADATA>
~ from to capacity length time b power speed toll type ;
1 3 900 2.5 4 0.15 4 0 10 1 ;
3 2 800 1 3 0.2 2 0 0 2 ;
1 3 700 9 9 0.1 1 0 0 1 ;
"""
TRIPS = """<NUMBER OF ZONES> 2
<TOTAL OD FLOW> 70.5
<END OF METADATA>

Origin 1
1 : 0.0; 2 : 50.0;
Origin  2
 1 :  20.5;
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "some.tntp"
    path.write_text(text, encoding="utf-8")
    return path


def test_times_and_lengths_are_seconds_and_metres_and_the_first_of_two_links_stays(tmp_path: Path) -> None:
    network = read_network(written(tmp_path, NET), toll_factor=0.5, distance_factor=2.0)
    assert network.column("free_flow_time").tolist() == [240.0, 180.0]
    assert network.column("length").tolist() == [2500.0, 1000.0]
    assert network.column("fixed").tolist() == [60.0 * (5.0 + 5.0), 60.0 * 2.0]
    assert network.column("capacity").tolist() == [900.0, 800.0]
    assert network.links["id"].to_pylist() == ["1-3", "3-2"]
    assert network.nodes["through"].to_pylist() == [False, False, True]
    assert network.notes == (
        "1 links beside another one between the same nodes are left out",
        (
            "times are taken as minutes and lengths are taken as kilometres: the file does not say; "
            "give time_unit=, length_unit= where that is wrong"
        ),
    )


def test_units_go_in_by_their_names_or_as_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, NET)
    network = read_network(path, time_unit="h", length_unit="mile", toll_factor=1)
    assert network.column("free_flow_time").tolist() == [4 * 3600.0, 3 * 3600.0]
    assert network.column("length").tolist() == [2.5 * 1609.344, 1609.344]
    assert not any("taken as" in one for one in network.notes)
    assert read_network(path, length_unit=1609.344).column("length").tolist() == network.column("length").tolist()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("time_unit", 0, "time_unit is 0, expected a unit by its name or how many s it has, above zero"),
        ("length_unit", -1.0, "length_unit is -1.0"),
        ("length_unit", float("nan"), "length_unit is nan"),
        ("length_unit", "metrs", "'metrs' is no unit; did you mean"),
        ("time_unit", "mile", "does not measure the same"),
    ],
)
def test_units_that_are_none_are_refused(name: str, given: str | float, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        read_network(written(tmp_path, NET), **{name: given})  # type: ignore[arg-type]


def test_units_that_the_original_header_states_are_shown(tmp_path: Path) -> None:
    header = "<ORIGINAL HEADER>~ Tail Head Capacity (veh/h)\tLength (ft) Free Flow Time (min) ;\n<END"
    told = read_network(written(tmp_path, NET.replace("<END", header)), time_unit="min").notes[1]
    assert told == ("lengths are taken as kilometres: its header says '~ Tail Head Capacity (veh/h) Length (ft) Free Flow Time (min) ;'; "
                    "give length_unit= where that is wrong")  # fmt: skip


def test_tolls_and_factors_of_the_header_that_do_not_count_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, NET.replace("<END", "<TOLL FACTOR> 0.0\n<DISTANCE FACTOR> 0.04 ;\n<END"))
    told = [one for one in read_network(path).notes if "count" in one]
    assert told == [
        "tolls of 1 links (up to 10) do not count: give toll_factor=, the time that a unit of them costs in the time unit of the file",
        "the header says <DISTANCE FACTOR> 0.04 ;, which does not count: give distance_factor=",
    ]
    assert not any("count" in one for one in read_network(path, toll_factor=1.0, distance_factor=0.04).notes)


@pytest.mark.parametrize("changed", ["", "<FIRST THROUGH NODE> 3\n"])
def test_a_header_without_the_first_node_to_pass_is_told(changed: str, tmp_path: Path) -> None:
    network = read_network(written(tmp_path, NET.replace("<FIRST THRU NODE> 3\n", changed)))
    assert network.nodes["through"].to_pylist() == [True] * 3
    told = network.notes[2]
    assert told.startswith("paths may pass all nodes, zones too, which is another problem: the header has no <FIRST THRU NODE>")
    assert ("<FIRST THROUGH NODE>" in told) == bool(changed)


@pytest.mark.parametrize("count", ["3 ~ all", "3.0", "3 ;", "+3", "0,003"])
def test_numbers_of_the_header_may_be_written_in_any_way(count: str, tmp_path: Path) -> None:
    text = NET.replace("NODES> 3", f"NODES> {count}").replace("<END OF", "< END  of")
    assert read_network(written(tmp_path, text)).nodes.num_rows == 3


@pytest.mark.parametrize("total", ["+7.05e1", "70.5 ;", "70.5 ~ of the day", "7.05E+01"])
def test_the_total_is_checked_however_it_is_written(total: str, tmp_path: Path) -> None:
    text = TRIPS.replace("70.5", total)
    assert read_trips(written(tmp_path, text)).notes == ()
    with pytest.raises(CorruptFileError, match=r"holds 50\.0 trips, its header says 70\.5"):
        read_trips(written(tmp_path, text.replace("20.5;", "0;")))


def test_a_total_that_is_no_number_and_pairs_that_stand_twice_are_told(tmp_path: Path) -> None:
    made = read_trips(written(tmp_path, TRIPS.replace("70.5", "70,5") + "Origin 1\n2 : 3;"))
    assert made.total == 73.5
    assert made.notes == (
        "the trips are not checked against the header: its <TOTAL OD FLOW> '70,5' is no number",
        "1 entries are for a pair of zones that another entry is for: their trips are added together",
    )


def test_trips_are_rows_of_origin_and_destination(tmp_path: Path) -> None:
    made = read_trips(written(tmp_path, TRIPS))
    assert made.origin.tolist() == [0, 0, 1]
    assert made.destination.tolist() == [0, 1, 0]
    assert made.total == 70.5


@pytest.mark.parametrize(
    ("text", "read", "said"),
    [
        (NET.replace("LINKS> 3", "LINKS> 4"), read_network, "holds 3 links, its header says 4"),
        (NET.replace("3 2 800", "3 9 800"), read_network, "names node 9"),
        (NET.replace("3 2 800", "3 x 800"), read_network, "lines 8"),
        (NET.replace("1 3 900 2.5 4 0.15 4 0 10 1", "1 3 900"), read_network, "lines 7"),
        (TRIPS.replace("70.5", "99"), read_trips, "holds 70.5 trips, its header says 99.0"),
        (TRIPS.replace("2 : 50", "3 : 50"), read_trips, "zone beyond"),
        (NET.replace("1 3 900 2.5 4 0.15 4 0 10 1", "1 3 900 2.5 4 0.15 4"), read_network, "fewer than 10 numbers"),  # the toll is missing
        (NET.replace("3 2 800", "3 2.5 800"), read_network, "no whole numbers"),
        *(
            (NET.replace("3 2 800", f"3 2 {word}"), read_network, r"hold no 7 numbers \(lines 8\)")
            for word in ("nan", "inf", "1_000", "1,0", "٣")
        ),
        *(
            (TRIPS.replace("2 : 50", f"2 : {word}"), read_trips, "expected 'Origin 1'")
            for word in ("1,500", "nan", "-3", "5.0.1", "x", "1_000")
        ),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, read: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=said):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", *(NET.replace("NODES> 3", f"NODES> {one}") for one in ("three", "3.5", "-3", "1_0", ""))]
)
def test_what_is_no_tntp_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_network(written(tmp_path, text))


@pytest.mark.parametrize(
    ("folder", "stem", "nodes", "links", "total"),
    [
        ("sioux_falls", "SiouxFalls", 24, 76, 360_600.0), ("anaheim", "Anaheim", 416, 914, 104_694.4),
        ("winnipeg", "Winnipeg", 1052, 2836, 64_784.0), ("chicago_sketch", "ChicagoSketch", 933, 2950, 1_260_907.44),
        ("eastern_massachusetts", "EMA", 74, 258, 65_576.375), ("berlin_center", "berlin-center", 12_981, 28_370, 168_222.302),
    ],
)  # fmt: skip
def test_the_files_of_the_collection_come_in_whole(
    folder: str, stem: str, nodes: int, links: int, total: float, shared_data: Callable[..., Path]
) -> None:
    path = shared_data("traffic", folder)
    network, demand = read_network(path / f"{stem}_net.tntp"), read_trips(path / f"{stem}_trips.tntp")
    assert (network.nodes.num_rows, network.links.num_rows) == (nodes, links)  # Berlin: 28,376 less 6 that stand twice
    assert demand.total == pytest.approx(total, rel=1e-6)  # as SOURCE.txt rounds it


def test_flows_are_read_by_their_nodes(shared_data: Callable[..., Path]) -> None:
    flows = read_flow(shared_data("traffic", "sioux_falls") / "SiouxFalls_flow.tntp")
    assert len(flows) == 76
    volume, cost = np.array(list(flows.values())).T
    assert volume @ cost == pytest.approx(7480225.3449, rel=1e-9)  # total travel time of SOURCE.txt


def test_nothing_of_a_trip_table_is_passed_over(tmp_path: Path) -> None:
    """Words in small letters count, comments do not; a number with a comma in it would be read as 1."""
    head = "<NUMBER OF ZONES> 2\n<END OF METADATA>\n"
    found = read_trips(written(tmp_path, head + "~ Origin 2 : 9;\norigin 1\n 1 : 3; 2 : 1500.0 ;\nORIGIN 2\n1:2;"))
    assert found.trips.tolist() == [3.0, 1500.0, 2.0]
    assert found.origin.tolist() == [0, 0, 1]
    with pytest.raises(CorruptFileError, match="says '2 : 1,500"):
        read_trips(written(tmp_path, head + "Origin 1\n2 : 1,500.0;"))
