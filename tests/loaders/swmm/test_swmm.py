"""SWMM input files: units, inverts and covers by hand, real networks by their own counts, faults by line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cim
from cim.errors import CorruptFileError, CRSError
from cim.loaders import describe, read
from cim.model.geometry import volume

SMALL = """[TITLE]
一个小管网
[OPTIONS]
FLOW_UNITS {units}
LINK_OFFSETS {offsets}
[JUNCTIONS]
;;name invert depth
J1 10.0 3.0
J2 9.0 2.5 0 0 0
[OUTFALL]
O1 8.0 FREE
[CONDUITS]
C1 J1 J2 100 0.013 {inlet} 0
C2 J2 O1 50 0.013
[XSECTIONS]
C1 CIRCULAR 0.6 0 0 0 1
C2 RECT_CLOSED 1.0 2.0 0 0
[COORDINATES]
J1 500000 3400000
J2 500080 3400060
O1 500130 3400060
[SUBCATCHMENTS]
S1 gage J1 2.0 50 100 0.5 0
[Polygons]
S1 500000 3400000
S1 500100 3400000
S1 500100 3400100
[TIMESERIES]
rain 0:05 "1 2"
"""


def _read(tmp_path: Path, text: str, crs: str | None = "EPSG:4549+5737") -> cim.City:
    path = tmp_path / "net.inp"
    path.write_text(text, encoding="utf-8")
    return read(path, crs)


def test_metres_inverts_cover_and_links_of_a_small_network(tmp_path: Path) -> None:
    city = _read(tmp_path, SMALL.format(units="CMS", offsets="DEPTH", inlet=0.2))
    pipe = city["C1"].attributes
    assert pipe["upstream_invert_level"] == pytest.approx(10.2)
    assert pipe["downstream_invert_level"] == pytest.approx(9.0)
    assert pipe["diameter"] == pytest.approx(0.6)
    assert pipe["cover_depth"] == pytest.approx(min(13.0 - 10.8, 11.5 - 9.6))  # rim less inside top, least of both ends
    assert city["C2"].attributes["cover_depth"] == pytest.approx(11.5 - 10.0)  # the outfall has no rim
    assert city["J1"].attributes["rim_level"] == pytest.approx(13.0)
    assert city["S1"].attributes["stated_area"] == pytest.approx(20_000.0)
    links = city.tables["links"].sort_by("from_node").to_pylist()
    assert [(link["from_node"], link["to_node"], link["length"], link["network"]) for link in links] == [
        ("J1", "J2", 100.0, "drainage"), ("J2", "O1", 50.0, "drainage")]  # fmt: skip
    assert json.loads(links[0]["attributes"])["diameter_m"] == pytest.approx(0.6)


def test_bodies_have_the_volume_of_their_section(tmp_path: Path) -> None:
    city = _read(tmp_path, SMALL.format(units="LPS", offsets="DEPTH", inlet=0))
    bodies = city.geometry_table(lod="2")
    found = dict(zip(city.ids(bodies["object"].to_numpy()), volume(bodies), strict=True))
    assert found["C1"] == pytest.approx(np.pi / 4 * 0.36 * np.hypot(100, 1), rel=1e-9)
    assert found["C2"] == pytest.approx(2.0 * np.hypot(50, 1), rel=1e-9)


def test_feet_become_metres_but_coordinates_stay(tmp_path: Path) -> None:
    city = _read(tmp_path, SMALL.format(units="CFS", offsets="DEPTH", inlet=0))
    assert city["J1"].attributes["invert_level"] == pytest.approx(3.048)
    assert city["C1"].attributes["length"] == pytest.approx(30.48)
    assert city["S1"].attributes["stated_area"] == pytest.approx(2 * 4046.8564224)
    assert city["J1"].footprint.x == 500_000
    assert "feet" in " ".join(city.issues["message"])


def test_offsets_may_be_elevations(tmp_path: Path) -> None:
    city = _read(tmp_path, SMALL.format(units="CMS", offsets="ELEVATION", inlet=10.5))
    assert city["C1"].attributes["upstream_invert_level"] == pytest.approx(10.5)
    assert city["C2"].attributes["upstream_invert_level"] == pytest.approx(9.0)  # none given: the bottom of the node


def test_what_is_not_understood_is_kept_and_the_store_brings_it_back(tmp_path: Path) -> None:
    city = _read(tmp_path, SMALL.format(units="CMS", offsets="DEPTH", inlet=0))
    cim.save(city, tmp_path / "net.cim")
    kept = cim.open(tmp_path / "net.cim").tables["properties"].to_pylist()
    assert {"swmm.TIMESERIES", "swmm.TITLE", "swmm.COORDINATES"} <= {row["set"] for row in kept}
    assert any(row["value"] == "rain 0:05 1 2" for row in kept)
    assert any(row["value"] == "一个小管网" for row in kept)


def test_a_network_without_a_system_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="crs="):
        _read(tmp_path, SMALL.format(units="CMS", offsets="DEPTH", inlet=0), crs=None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("J1 10.0 3.0", "J1 nan 3.0", "line 8.*invert elevation of J1"),
        ("C2 J2 O1 50", "C2 J2 O9 50", "line 14.*'O9'"),
        ("C2 J2 O1 50", "C2 J2 O1 -50", "line 14.*length of C2"),
        ("J2 9.0 2.5", "J1 9.0 2.5", "line 9.*occurs twice"),
        ("FLOW_UNITS CMS", "FLOW_UNITS furlongs", "line 4.*FURLONGS"),
        ("C2 J2 O1 50", "C2 J2 J2 50", "to itself"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = SMALL.format(units="CMS", offsets="DEPTH", inlet=0)
    assert old in text
    with pytest.raises(CorruptFileError, match=said):
        _read(tmp_path, text.replace(old, new))


def test_nodes_without_a_place_are_counted(tmp_path: Path) -> None:
    text = SMALL.format(units="CMS", offsets="DEPTH", inlet=0).replace("O1 500130 3400060\n", "")
    city = _read(tmp_path, text)
    assert city["C2"].footprint is None
    assert any("1 nodes have no [COORDINATES]" in message for message in city.issues["message"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "crs", "nodes", "links"),
    [
        ("baltimore_inner_harbor_v19", "EPSG:26918", 318, 387),  # counts as the notes on the data state them
        ("utrecht_tuindorp_original", "EPSG:28992+5709", 318, 353),
        ("glasgow_ea8b", "EPSG:27700", 8, 7),
    ],
)
def test_real_networks_have_their_nodes_and_links(shared_data: Callable[..., Path], name: str, crs: str, nodes: int, links: int) -> None:
    city = read(shared_data("flood", "swmm", f"{name}.inp"), crs)
    schemes = city.tables["identifiers"]["scheme"].to_pylist()
    assert schemes.count("swmm_node") == nodes
    assert schemes.count("swmm_link") == links == city.tables["links"].num_rows


@pytest.mark.data
def test_a_description_names_units_and_sections(shared_data: Callable[..., Path]) -> None:
    told = describe(shared_data("flood", "swmm", "utrecht_tuindorp_original.inp"))
    assert told.format == "SWMM INP (CMS, metres)"
    assert {layer.name: layer.count for layer in told.layers}["CONDUITS"] == 353
    assert any("crs=" in doubt for doubt in told.suspicions)


def test_what_swmm_takes_otherwise_than_written_is_taken_so_and_told(tmp_path: Path) -> None:
    text = SMALL.format(units="CMS", offsets="ELEVATION", inlet=0).replace("C1 CIRCULAR 0.6", "C1 CIRCULAR 600")
    city = _read(tmp_path, text.replace("C2 RECT_CLOSED 1.0 2.0", "C2 ARCH 12 0").replace("S1 gage J1 2.0 50 100 0.5 0", "S1 gage J1"))
    assert city["C1"].attributes["upstream_invert_level"] == pytest.approx(10.0)  # 0 m lies below the node at 10 m: SWMM ignores it
    assert "diameter" not in {name for name, value in city["C1"].attributes.items() if value is not None}
    assert city["C2"].attributes["section_height"] is None  # code 12 of a standard arch, not 12 m
    assert city.geometry_table(lod="2").num_rows == 0
    said = " | ".join(city.issues["message"])
    for part in ("1 conduits state an end below", "1 closed conduits state a height of more than 20 m", "by a code of a standard size",
                 "1 rows of [SUBCATCHMENTS] have fewer than 4 words"):  # fmt: skip
        assert part in said
    source = city.tables["sources"].to_pylist()[0]
    assert source["records_in"] == source["objects_out"] + source["rejected"]
    assert source["rejected"] == 1


def test_a_drawing_in_feet_is_told_from_one_in_metres(tmp_path: Path) -> None:
    rows = "\n".join(f"K{n} J{n} J{n + 1} 30.48 0.013" for n in range(1, 5))
    nodes = "\n".join(f"J{n} {10 - n} 3" for n in range(1, 6))
    places = "\n".join(f"J{n} {100 * n} 50" for n in range(1, 6))
    text = f"[OPTIONS]\nFLOW_UNITS CMS\n[JUNCTIONS]\n{nodes}\n[CONDUITS]\n{rows}\n[COORDINATES]\n{places}\n"
    assert any("seem to be feet" in one for one in _read(tmp_path, text, "local").issues["message"])
    assert not any("seem to be" in one for one in _read(tmp_path, text.replace("30.48", "100"), "local").issues["message"])
