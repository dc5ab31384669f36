"""TNTP files come in with their units, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError, FormatError
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
    assert network.notes == ("1 links beside another one between the same nodes are left out",)


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
        (NET.replace("3 2 800", "3 nan 800"), read_network, "no whole numbers"),
        *((TRIPS.replace("2 : 50", f"2 : {word}"), read_trips, "expected 'Origin 1'") for word in ("1,500", "nan", "-3", "5.0.1", "x")),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, read: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=said):
        read(written(tmp_path, text))


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", NET.replace("NODES> 3", "NODES> three")])
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
