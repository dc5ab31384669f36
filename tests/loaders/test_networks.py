"""The door for networks and matrices tells the format from the content, and a network kept as Parquet comes back bit by bit."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cim.errors import CorruptFileError, FormatError, InputError, UnsafeInputError, UsageError
from cim.loaders import gmns, matrices
from cim.loaders.networks import MATRICES, NETWORKS, read_matrix, read_network, write_network
from cim.model.network_checks import check_network
from cim.model.road_network import BANNED, SIGNALS, YIELDS, ODMatrix, RoadNetwork

NET = """<NUMBER OF ZONES> 2
<NUMBER OF NODES> 3
<FIRST THRU NODE> 3
<NUMBER OF LINKS> 3
<END OF METADATA>
1 3 900 2.5 4 0.15 4 0 10 1 ;
3 2 800 1 3 0.2 2 0 0 2 ;
2 1 800 1 3 0.2 2 0 0 2 ;
"""
TRIPS = "<NUMBER OF ZONES> 2\n<TOTAL OD FLOW> 70.5\n<END OF METADATA>\nOrigin 1\n2 : 50.0;\nOrigin 2\n1 : 20.5;\n"


def network() -> RoadNetwork:
    """A network that uses every table and every column."""
    made = RoadNetwork.of(
        ["1", "2", "路"], [0, 1, 2, 0], [1, 2, 0, 2], free_flow_time=[61.7, 1 / 3, 0.0, 5.0], capacity=1800.1,
        length=[500.0, 1e-9, 7.0, 1e7],
        law=["bpr", "conical", "bpr", "bpr"], b=4.0, fixed=0.1, through=[False, True, True], x=[0.1, 0.2, 0.3], y=[1.0, 2.0, np.nan],
        lanes=[1.5, 2.0, 1.0, 1.0], objects=["r1", None, "r2", "r2"], classes=[None, "primary", "", "x"],
        assumed=[["lanes"], [], ["capacity", "speed"], []], crs="EPSG:4547", notes=["one: 3 links", "二"],
    )  # fmt: skip
    return replace(
        made,
        nodes=made.nodes.append_column(pa.field("zone", pa.string()), pa.array(["A", None, "B"], pa.string())),
        banned=pa.table([pa.array([0]), pa.array([1])], schema=BANNED),
        signals=pa.table([pa.array([0]), pa.array([1]), *(pa.array([one]) for one in (90.5, 10.1, 33.3))], schema=SIGNALS),
        yields=pa.table([pa.array([0]), pa.array([1]), pa.array([3]), pa.array([2])], schema=YIELDS),
    )


def same(one: RoadNetwork, other: RoadNetwork) -> bool:
    tables = ("nodes", "links", "banned", "signals", "yields")
    return (one.crs, one.notes) == (other.crs, other.notes) and all(
        getattr(one, name).schema.equals(getattr(other, name).schema, check_metadata=True)
        and all(a.equals(b) or str(a) == str(b) for a, b in zip(getattr(one, name).columns, getattr(other, name).columns, strict=True))
        for name in tables
    )


def test_a_network_kept_as_parquet_comes_back_bit_by_bit(tmp_path: Path) -> None:
    write_network(network(), tmp_path / "roads")
    for path in (tmp_path / "roads", tmp_path / "roads" / "network.json"):
        assert same(read_network(path), network())
    empty = RoadNetwork.of([], [], [], free_flow_time=[], capacity=[])
    write_network(empty, tmp_path / "empty")
    assert same(read_network(tmp_path / "empty"), empty)


def test_only_a_network_is_replaced_and_only_when_asked(tmp_path: Path) -> None:
    write_network(network(), tmp_path / "roads")
    with pytest.raises(UsageError, match="holds a network; give replace=True"):
        write_network(network(), tmp_path / "roads")
    other = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=1.0, capacity=1.0)
    write_network(other, tmp_path / "roads", replace=True)
    assert same(read_network(tmp_path / "roads"), other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_network(other, tmp_path / "mine", replace=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine", "roads"], "something was left beside it"


def test_the_content_decides_whatever_the_name(tmp_path: Path) -> None:
    (tmp_path / "roads.dat").write_text(NET)
    made = read_network(tmp_path / "roads.dat", length_unit=1.0)
    assert made.column("length").tolist() == [2.5, 1.0, 1.0]
    gmns.write_network(made, tmp_path / "folder")
    for path in (tmp_path / "folder", tmp_path / "folder" / "link.csv"):
        assert read_network(path).links["id"].to_pylist() == ["1-3", "3-2", "2-1"]
    (tmp_path / "roads.dat").write_text(NET.replace("<END OF", "< END  Of"))
    assert same(read_network(tmp_path / "roads.dat", length_unit=1.0), made)
    (tmp_path / "trips.dat").write_text(TRIPS)
    demand = read_matrix(tmp_path / "trips.dat", made)
    assert (demand.origin.tolist(), demand.destination.tolist(), demand.total) == ([0, 1], [1, 0], 70.5)
    matrices.write_csv(demand, made, tmp_path / "a")
    assert read_matrix(tmp_path / "a", made, hours=0.5).total == 141.0


def test_an_omx_file_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="OMX needs h5py: pip install 'cim-toolkit[traffic]'")
    (tmp_path / "net").write_text(NET)
    made = read_network(tmp_path / "net")
    demand = ODMatrix(np.array([0, 1]), np.array([1, 0]), np.array([3.0, 4.0]))
    matrices.write_omx(demand, made, tmp_path / "trips.csv")
    assert read_matrix(tmp_path / "trips.csv", made, lookup="zones").total == 7.0


@pytest.mark.parametrize("packed", [False, True])
def test_a_sumo_network_goes_to_its_reader(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    reader = ModuleType("cim.loaders.sumo")
    reader.read_network = lambda path: RoadNetwork.of([path.name], [], [], free_flow_time=[], capacity=[])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cim.loaders.sumo", reader)
    text = b'<?xml version="1.0"?>\n<!-- made by netconvert -->\n<net version="1.16"></net>'
    (tmp_path / "x").write_bytes(gzip.compress(text) if packed else text)
    assert read_network(tmp_path / "x").nodes["id"].to_pylist() == ["x"]


def test_wrong_options_and_formats_are_told_with_the_right_ones(tmp_path: Path) -> None:
    (tmp_path / "net").write_text(NET)
    with pytest.raises(UsageError, match="is tntp, whose reader has no option units; it has time_unit, length_unit"):
        read_network(tmp_path / "net", units="km")
    with pytest.raises(UsageError, match=f"no format 'visum'; give one of: {', '.join(NETWORKS)}"):
        read_network(tmp_path / "net", "visum")
    with pytest.raises(UsageError, match=f"no format 'mtx'; give one of: {', '.join(MATRICES)}"):
        read_matrix(tmp_path / "net", network(), "mtx")


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", FormatError, "is empty"),
        (b"a,b\n1,2\n", FormatError, "no network of a known format"),
        (b"<osm></osm>", FormatError, "no network of a known format"),
        (b"\x1f\x8b" + b"x" * 40, CorruptFileError, "damaged gzip"),
    ],
)
def test_what_is_no_network_is_refused(content: bytes, error: type[InputError], said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(error, match=said):
        read_network(tmp_path / "x")


def test_addresses_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    for path, error in (("https://example.org/x", UnsafeInputError), ("a\0b", UnsafeInputError), (tmp_path / "no", InputError)):
        with pytest.raises(error):
            read_network(path)
    with pytest.raises(FormatError, match=r"holds no network: neither network\.json nor link\.csv"):
        read_network(tmp_path)
    with pytest.raises(FormatError, match="is a folder"):
        read_matrix(tmp_path, network())
    (tmp_path / "x").write_text("<matrix/>")
    with pytest.raises(FormatError, match="no matrix of a known format"):
        read_matrix(tmp_path / "x", network())


def _links(place: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(place / "links.parquet")), place / "links.parquet")


def _about(place: Path, **more: Any) -> None:
    (place / "network.json").write_text(json.dumps(json.loads((place / "network.json").read_text()) | more))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda place: (place / "links.parquet").unlink(), r"has no links\.parquet"),
        (lambda place: (place / "links.parquet").write_bytes(b"PAR1" + b"x" * 80 + b"PAR1"), r"links\.parquet: is damaged"),
        (lambda place: _links(place, lambda one: one.drop_columns(["capacity"])), "has other columns than id, object"),
        (lambda place: _links(place, lambda one: one.set_column(2, "from_node", pa.array([0, 1, 2, 99]))), "from_node is 99, outside"),
        (lambda place: _links(place, lambda one: one.set_column(3, "to_node", pa.array([0, 1, 2, -5]))), "to_node is -5, outside"),
        (lambda place: _links(place, lambda one: one.set_column(5, "free_flow_time", pa.array([1.0, None] * 2))), "lacks values in free"),
        (lambda place: pq.write_table(pa.table([pa.array([0]), pa.array([7])], schema=BANNED), place / "banned.parquet"), "to_link is 7"),
        (lambda place: (place / "network.json").write_text("[1, 2"), "does not describe a road network"),
        (lambda place: (place / "network.json").write_text("[]"), "does not describe a road network"),
        (lambda place: _about(place, version=9), "version 9, expected"),
        (lambda place: _about(place, notes=[1]), "expected"),
    ],
)
def test_a_damaged_folder_is_refused(harm: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    write_network(network(), tmp_path / "roads")
    harm(tmp_path / "roads")
    with pytest.raises(InputError, match=said):
        read_network(tmp_path / "roads")


def test_every_reader_of_this_distribution_is_there() -> None:
    from importlib import import_module

    for target in [*NETWORKS.values(), *MATRICES.values()]:
        module, _, name = target.partition(":")
        if module == "cim.loaders.sumo":
            pytest.importorskip(module)
        assert callable(getattr(import_module(module), name))


def test_the_network_of_a_city_can_be_checked() -> None:
    from cim.sim.traffic.city_network import road_network
    from tests.sim.traffic.test_city_network import city

    report = check_network(road_network(city()))
    assert report.lines() == [
        "warning: 1 node can be entered and not left (first: d)",
        "info: 2 nodes are dead ends: one neighbour, in and out (first: a, c)",
    ]


@pytest.mark.data
def test_chicago_is_kept_and_checked(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("traffic", "chicago_sketch")
    made = read_network(path / "ChicagoSketch_net.tntp", length_unit=1609.344)
    write_network(made, tmp_path / "chicago")
    assert same(read_network(tmp_path / "chicago"), made)
    assert read_matrix(path / "ChicagoSketch_trips.tntp", made).total == pytest.approx(1_260_907.44, rel=1e-9)
    told = {one["code"]: one["count"] for one in check_network(made).findings.to_pylist()}
    assert told == {"fast": 12, "no_time": 774, "dead_end": 391}  # 774 connectors take no time; 387 zones and 4 more hang on one node


@pytest.mark.data
def test_the_wrong_unit_of_a_real_network_is_noticed(shared_data: Callable[..., Path]) -> None:
    path = shared_data("traffic", "chicago_sketch") / "ChicagoSketch_net.tntp"
    assert "lengths or times are in another unit" in check_network(read_network(path, length_unit=1.0)).lines()[0]


@pytest.mark.data
def test_a_real_sumo_network_comes_through_the_door(shared_data: Callable[..., Path]) -> None:
    made = read_network(shared_data("traffic", "sumo_bologna", "acosta") / "acosta_buslanes.net.xml")
    assert made.links.num_rows > 100
    assert check_network(made).worst != "error"
