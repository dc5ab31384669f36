from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely

import cim
from cim.cli import run
from cim.loaders.networks import read_network, write_network
from cim.model import CityBuilder
from cim.model.road_network import RoadNetwork


def test_a_city_with_road_lines_gets_links_and_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = CityBuilder("EPSG:4549")
    x, y = 500000.0, 3400000.0
    lines = [shapely.LineString([(x, y), (x + 200, y)]), shapely.LineString([(x + 100, y), (x + 100, y + 80)])]
    builder.add_objects("Road", ["long", "side"], footprints=lines)
    cim.save(builder.build(), tmp_path / "quarter.cim")
    assert run(["network", str(tmp_path / "quarter.cim")]) == 2
    assert "derive_road_links" in capsys.readouterr().err
    assert run(["roads", str(tmp_path / "quarter.cim")]) == 0
    capsys.readouterr()
    assert run(["network", str(tmp_path / "quarter.cim"), "--json", "--to", "gmns", "-o", str(tmp_path / "gmns")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["nodes"], told["links"]) == (4, 6)
    assert told["written"][0] == str(tmp_path / "gmns")
    assert read_network(tmp_path / "gmns").links["length"].to_pylist() == [100.0, 100.0, 100.0, 100.0, 80.0, 80.0]


def test_links_are_derived_anew_by_the_command_and_gaps_are_told_by_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = CityBuilder("EPSG:4549")
    x, y = 500000.0, 3400000.0
    lines = [shapely.LineString([(x, y), (x + 200, y)]), shapely.LineString([(x + 100, y + 1.5), (x + 100, y + 80)])]
    builder.add_objects("Road", ["long", "side"], footprints=lines)
    store = str(tmp_path / "quarter.cim")
    cim.save(builder.build(), store)
    assert run(["roads", store]) == 0
    assert run(["network", store]) == 0
    assert capsys.readouterr().out.count("cim roads CITY --again --snap 2") == 2
    assert run(["roads", store]) == 2
    assert "cim roads CITY --again" in capsys.readouterr().err
    assert run(["roads", store, "--again", "--snap", "2"]) == 0
    said = capsys.readouterr().out
    assert "3 links are made from the lines of 2 roads" in said
    assert "the class of 3 links is assumed" in said
    assert run(["network", store]) == 0
    assert "--again" not in capsys.readouterr().out


def test_a_network_that_a_run_would_refuse_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = RoadNetwork.of(["a", "b"], [0, 1], [1, 0], free_flow_time=10.0, capacity=[1000.0, 0.0], length=100.0)
    write_network(bad, tmp_path / "net")
    assert run(["network", str(tmp_path / "net")]) == 1
    said = capsys.readouterr().out
    assert "error: " in said
    assert "capacity" in said


def test_a_format_nobody_writes_is_named_with_those_that_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_network(RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=10.0, capacity=1000.0), tmp_path / "net")
    assert run(["network", str(tmp_path / "net"), "--to", "visum", "-o", str(tmp_path / "out")]) == 2
    assert "gmns, parquet, sumo" in capsys.readouterr().err
    assert run(["network", str(tmp_path / "net"), "--to", "gmns"]) == 2


def test_units_that_a_file_does_not_state_go_in_by_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "node.csv").write_text("node_id\na\nb\n")
    (tmp_path / "link.csv").write_text("link_id,from_node_id,to_node_id,directed,length,capacity,free_speed,lanes\n1,a,b,0,0.5,,30,1\n")
    assert run(["network", str(tmp_path)]) == 3
    assert "cim network: --length-unit mile" in capsys.readouterr().err
    said = ["--length-unit", "mile", "--speed-unit", "mph", "--default-capacity", "900"]
    assert run(["network", str(tmp_path), *said, "--to", "parquet", "-o", str(tmp_path / "out")]) == 0
    assert read_network(tmp_path / "out").links["length"].to_pylist() == [804.672] * 2
    capsys.readouterr()
    assert run(["network", str(tmp_path), "--time-unit", "s"]) == 2
    assert "has no option time_unit" in capsys.readouterr().err
