"""OpenStreetMap files through the door: the real extract, small maps written here, and the hostile set."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cim.errors import CRSError, InputError
from cim.loaders import describe, read
from cim.model import City

pytest.importorskip("osmium")

SQUARE = '<nd ref="{0}1"/><nd ref="{0}2"/><nd ref="{0}3"/><nd ref="{0}4"/><nd ref="{0}1"/>'


def _block(first: int, x: float, y: float, size: float) -> str:
    corners = ((x, y), (x + size, y), (x + size, y + size), (x, y + size))
    return "".join(f'<node id="{first}{n}" lon="{a:.7f}" lat="{b:.7f}"/>' for n, (a, b) in enumerate(corners, start=1))


def _way(number: int, refs: str, **tags: str) -> str:
    said = "".join(f'<tag k="{key.replace("__", ":")}" v="{value}"/>' for key, value in tags.items())
    return f'<way id="{number}">{refs}{said}</way>'


def _read(folder: Path, *parts: str) -> City:
    file = folder / "map.osm"
    file.write_text(f'<osm version="0.6">{"".join(parts)}</osm>', encoding="utf-8")
    return read(file)


def _told(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code]


# ---------------------------------------------------------------- the real extract


@pytest.fixture(scope="module")
def helsinki(shared_data: Callable[..., Path]) -> City:
    return read(shared_data("city", "osm", "Helsinki.osm.pbf"))


@pytest.mark.data
def test_helsinki_has_the_446_buildings_of_the_area_assembler(helsinki: City) -> None:
    assert helsinki.types()["Building"] == 446
    assert helsinki.crs.to_string() == "EPSG:4326"
    west, south, east, north = (float(value) for value in helsinki.bounds)
    assert 24.90 < west < 24.94
    assert 60.15 < south < 60.17
    assert east > 24.95
    assert north > 60.17


@pytest.mark.data
def test_every_object_of_helsinki_is_kept_or_counted(helsinki: City) -> None:
    (source,) = helsinki.tables["sources"].to_pylist()
    assert source["records_in"] == source["objects_out"] + source["rejected"]
    assert source["objects_out"] == len(helsinki)
    issues = helsinki.tables["issues"].to_pylist()
    rejected = [row["count"] for row in issues if row["code"] == "rejected" and "left out" in row["message"]]
    assert sum(rejected) == source["rejected"]
    buildings = [int(found[1]) for row in issues if (found := re.search(r"\bBuilding (\d+)[,)]", row["message"]))]
    assert sum(buildings) == 433 + 67 - 446  # closed ways and relations tagged as building, less those whose ring is whole


@pytest.mark.data
def test_a_description_counts_by_class(shared_data: Callable[..., Path]) -> None:
    told = describe(shared_data("city", "osm", "Helsinki.osm.pbf"))
    counts = {layer.name: layer.count for layer in told.layers}
    assert (told.format, told.whole, counts["Building"]) == ("OSM PBF", True, 446)
    assert any("lack nodes" in text for text in told.suspicions)


# ---------------------------------------------------------------- small maps


def test_parts_belong_to_their_building_by_relation_or_by_place(tmp_path: Path) -> None:
    relation = (
        '<relation id="9"><member type="way" ref="10" role="outline"/><member type="way" ref="12" role="part"/>'
        '<tag k="type" v="building"/></relation>'
    )
    city = _read(
        tmp_path, _block(1, 104.0, 30.0, 0.001), _block(2, 104.0002, 30.0002, 0.0002), _block(3, 104.01, 30.0, 0.001),
        _way(10, SQUARE.format(1), building="yes", building__levels="6", height="20"),
        _way(11, SQUARE.format(2), building__part="yes", min_height="4", height="30"),
        _way(12, SQUARE.format(3), building__part="yes"), relation,
    )  # fmt: skip
    parents = {one: city[one].parent for one in ("way/11", "way/12")}
    assert {name: parent.id for name, parent in parents.items() if parent is not None} == {"way/11": "way/10", "way/12": "way/10"}
    assert city["way/11"].attributes["min_height"] == 4.0
    assert city["way/10"].attributes["storeys_above_ground"] == 6
    assert any(text.startswith("1 building parts") for text in _told(city, "assumed"))


def test_a_multipolygon_keeps_its_hole_and_all_tags(tmp_path: Path) -> None:
    relation = (
        '<relation id="9" version="3" changeset="77" timestamp="2020-01-02T03:04:05Z"><member type="way" ref="10" role="outer"/>'
        '<member type="way" ref="11" role="inner"/><tag k="type" v="multipolygon"/><tag k="natural" v="water"/>'
        '<tag k="name:zh" v="东湖"/></relation>'
    )
    city = _read(tmp_path, _block(1, 104.0, 30.0, 0.003), _block(2, 104.001, 30.001, 0.001), _way(10, SQUARE.format(1)),
                 _way(11, SQUARE.format(2)), relation)  # fmt: skip
    lake = city["relation/9"]
    assert lake.type == "WaterBody"
    assert lake.footprint.area == pytest.approx(8e-6, rel=1e-6)  # square degrees; nodes have 7 decimals
    assert lake.attributes["name_zh"] == "东湖"
    kept = {row["name"]: row["value"] for row in city.tables["properties"].to_pylist() if row["set"] == "osm"}
    assert kept["natural"] == "water"
    assert kept["@version"] == "3"
    assert kept["@timestamp"].startswith("2020-01-02T03:04:05")


def test_a_closed_way_is_a_line_or_an_area_as_its_tags_say(tmp_path: Path) -> None:
    city = _read(
        tmp_path, *(_block(n, 104.0 + n / 100, 30.0, 0.001) for n in (1, 2, 3, 4)),
        _way(1, SQUARE.format(1), highway="residential"), _way(2, SQUARE.format(2), highway="pedestrian", area="yes"),
        _way(3, SQUARE.format(3), barrier="fence"), _way(4, SQUARE.format(4), leisure="park"),
    )  # fmt: skip
    kinds = {one: (city[one].type, city[one].footprint.geom_type) for one in ("way/1", "way/2", "way/3", "way/4")}
    assert kinds == {"way/1": ("Road", "LineString"), "way/2": ("Square", "Polygon"), "way/3": ("OtherConstruction", "LineString"),
                     "way/4": ("LandUse", "Polygon")}  # fmt: skip


def test_a_bow_tie_is_mended_and_a_way_that_should_be_closed_is_rejected(tmp_path: Path) -> None:
    bow = '<nd ref="11"/><nd ref="13"/><nd ref="12"/><nd ref="14"/><nd ref="11"/>'
    city = _read(tmp_path, _block(1, 104.0, 30.0, 0.001), _way(1, bow, building="yes"),
                 _way(2, '<nd ref="11"/><nd ref="12"/><nd ref="13"/>', building="yes"))  # fmt: skip
    assert city.types() == {"Building": 1}
    assert city["way/1"].footprint.is_valid
    assert any("mended (way/1)" in text for text in _told(city, "repaired"))
    assert any("not closed" in text for text in _told(city, "rejected"))


def test_ways_before_nodes_are_read_and_told(tmp_path: Path) -> None:
    city = _read(tmp_path, _way(10, SQUARE.format(1), building="yes"), _block(1, 104.0, 30.0, 0.001))
    assert city.types() == {"Building": 1}
    assert any("not in order" in text for text in _told(city, "assumed"))


def test_an_object_that_an_editor_deleted_is_not_there(tmp_path: Path) -> None:
    node = "<node id='1' action='delete' lat='30' lon='104'><tag k='shop' v='tea'/></node>"
    city = _read(tmp_path, node, node.replace("'1' action='delete'", "'-2' action='modify'"))
    assert city.tables["objects"]["id"].to_pylist() == ["node/-2"]


def test_what_is_of_no_class_is_counted_by_key(tmp_path: Path) -> None:
    city = _read(tmp_path, "<node id='1' lat='30' lon='104'><tag k='zzz' v='1'/><tag k='name' v='x'/></node>")
    assert len(city) == 0
    assert any("zzz 1" in text for text in _told(city, "unsupported"))


def test_an_address_is_an_identifier(tmp_path: Path) -> None:
    city = _read(tmp_path, _block(1, 104.0, 30.0, 0.001),
                 _way(1, SQUARE.format(1), building="yes",
                      addr__street="天府大道", addr__housenumber="1号", addr__city="成都市"))  # fmt: skip
    rows = {row["scheme"]: row["value"] for row in city.tables["identifiers"].to_pylist()}
    assert rows == {"osm": "way/1", "address": "成都市天府大道1号"}


def test_another_coordinate_system_is_refused(tmp_path: Path) -> None:
    _read(tmp_path, "<node id='1' lat='30' lon='104'><tag k='shop' v='tea'/></node>")
    with pytest.raises(CRSError, match="by definition"):
        read(tmp_path / "map.osm", crs="EPSG:4549")


# ---------------------------------------------------------------- the hostile set


@pytest.mark.data
def test_hostile_files_do_what_the_manifest_says(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("hostile")
    with (folder / "MANIFEST.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["format"] in ("OSM XML", "OSM PBF")]
    assert len(rows) == 13
    for row in rows:
        outcome, told = _outcome(folder / row["file"])
        assert outcome in row["expect"].split("|"), (row["file"], told)
        if outcome != "load":
            assert re.search(row["reason_any"], told.replace(Path(row["file"]).name, ""), re.IGNORECASE), (row["file"], told)


def _outcome(file: Path) -> tuple[str, str]:
    try:
        city = read(file)
    except InputError as error:
        told = str(error)
        return ("unforeseen" if "please report" in told else "error"), told
    told = " ".join(row["message"] for row in city.tables["issues"].to_pylist() if row["severity"] != "info")
    return ("repair" if told else "load"), told


@pytest.mark.data
def test_heights_have_the_unit_they_are_written_in(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("hostile", "osm", "height_units.osm"))
    heights = {f"way/{n}": city[f"way/{n}"].attributes["height"] for n in range(10, 15)}
    assert heights["way/10"] == pytest.approx(12.192)
    assert heights["way/11"] == 12.0
    assert heights["way/12"] == 12.5
    assert heights["way/13"] is None
    assert heights["way/14"] is None


@pytest.mark.data
def test_bad_latitude_and_duplicates_are_counted(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("hostile", "osm", "bad_lat.osm"))
    assert (len(city), city.tables["sources"]["rejected"].to_pylist()) == (1, [1])
    twice = read(shared_data("hostile", "osm", "duplicate_ids.osm"))
    assert '"nodes": 4' in twice.tables["sources"]["mapping"].to_pylist()[0]


def test_a_building_drawn_as_way_and_as_multipolygon_is_told(tmp_path: Path) -> None:
    relation = (
        '<relation id="1"><member type="way" ref="1" role="outer"/><member type="way" ref="2" role="inner"/>'
        '<tag k="type" v="multipolygon"/><tag k="building" v="yes"/></relation>'
    )
    nodes = _block(1, 5.0, 52.0, 0.001) + _block(2, 5.0003, 52.0003, 0.0002) + _block(3, 5.01, 52.0, 0.001)
    ways = [_way(1, SQUARE.format(1), building="yes"), _way(2, SQUARE.format(2)), _way(3, SQUARE.format(3), building="yes")]
    city = _read(tmp_path, nodes, *ways, relation)
    assert city.types() == {"Building": 3}
    assert len(_told(city, "duplicate")) == 1
    assert "2 Building areas share their outline" in _told(city, "duplicate")[0]
    assert "way/3" not in _told(city, "duplicate")[0]
    once = _read(tmp_path, nodes, _way(1, SQUARE.format(1)), *ways[1:], relation)
    assert once.types() == {"Building": 2}
    assert not _told(once, "duplicate")


def test_a_road_drawn_as_an_area_makes_no_link_and_that_is_told(tmp_path: Path) -> None:
    city = _read(tmp_path, _block(1, 5.0, 52.0, 0.001), _way(1, SQUARE.format(1), highway="service", area="yes"))
    assert city.tables["links"].num_rows == 0
    assert any("1 roads, paths or rivers drawn as areas" in one for one in _told(city, "unsupported"))


def test_water_flows_as_drawn_and_planned_roads_are_told(tmp_path: Path) -> None:
    ways = [
        _way(1, '<nd ref="11"/><nd ref="12"/>', waterway="canal", oneway="-1"),
        _way(2, '<nd ref="12"/><nd ref="13"/>', highway="proposed"),
    ]
    city = _read(tmp_path, _block(1, 5.0, 52.0, 0.001), *ways)
    (link,) = city.tables["links"].to_pylist()
    assert (link["network"], link["direction"], link["from_node"]) == ("waterway", "forward", "node/11")
    assert any("1 objects are planned, under construction or gone" in one for one in _told(city, "assumed"))
