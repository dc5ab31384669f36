"""A scenario runs into a folder, and two folders are compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.errors import FormatError, UsageError
from cim.model import City, CityBuilder, Column
from cim.results import Verdicts, compare_runs, load_run, save_run
from cim.sim.run import run
from cim.storage import save

SCENARIO = """\
city = "base.cim"
name = "option A"
outputs = ["excel", "geopackage", "parquet", "geotiff"]
{change}
[checks.far]
limit = 0.3
[checks.height_control]
limit = 20
limit_datum = "ground"
"""
CHANGE = '[[change]]\ndo = "raise_building"\nid = "a"\nby = 6.0\nstoreys = 8\n'


@pytest.fixture
def city() -> City:
    builder = CityBuilder("EPSG:4549+5737")
    shapes = np.array([shapely.box(10, 10, 30, 30), shapely.box(50, 10, 60, 20)], object)
    keys = builder.add_objects("Building", ["a", "b"], footprints=shapes, z_ground=[0.0, 0.0], z_roof=[18.0, 9.0])
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([6, 3]), "height": Column([18.0, 9.0], unit="m")})
    builder.add_objects("LandUse", ["p"], footprints=shapely.box([0], [0], [100], [100]))
    return builder.build()


def write(folder: Path, name: str, change: str) -> Path:
    (folder / "base.cim").mkdir(exist_ok=True)
    path = folder / name
    path.write_text(SCENARIO.format(change=change), encoding="utf-8")
    return path


def test_base_and_option_run_into_folders_that_can_be_compared(city: City, tmp_path: Path) -> None:
    for name, change in (("base", ""), ("option", CHANGE)):
        results = run(write(tmp_path, f"{name}.toml", change), tmp_path / name, city=city)
        assert [result.name for result in results] == ["far", "height_control"]
    made = compare_runs(tmp_path / "base", tmp_path / "option")
    far = made["far"].table().to_pylist()[0]
    assert (far["value_base"], far["value_option"], far["change"]) == (pytest.approx(0.27), pytest.approx(0.35), "pass -> fail")
    assert {row["object"]: row["change"] for row in made["height_control"].table().to_pylist()} == {"a": "pass -> fail", "b": "same"}
    said = json.loads((tmp_path / "option" / "run.json").read_text(encoding="utf-8"))
    assert said["change"] == [{"do": "raise_building", "id": "a", "by": 6.0, "storeys": 8.0}]
    assert said["base"] != said["city"]
    assert said["results"]["far"]["counts"] == {"pass": 0, "fail": 1, "not_assessed": 0}
    files = {path.name for path in (tmp_path / "option" / "far").iterdir()}
    assert {"far.xlsx", "far.gpkg", "verdicts.geo.parquet", "result.json", "timing.json", "tables"} == files


def test_a_scenario_opens_the_stored_city_it_names(city: City, tmp_path: Path) -> None:
    save(city, tmp_path / "base.cim")
    stored = run(write(tmp_path, "a.toml", CHANGE), tmp_path / "stored")
    given = run(write(tmp_path, "a.toml", CHANGE), tmp_path / "given", city=city)
    assert [one.run.inputs for one in stored] == [one.run.inputs for one in given]


def test_a_run_again_replaces_the_results(city: City, tmp_path: Path) -> None:
    first = run(write(tmp_path, "a.toml", ""), tmp_path / "run", city=city)[0]
    second = run(write(tmp_path, "a.toml", CHANGE), tmp_path / "run", city=city)[0]
    loaded = load_run(tmp_path / "run")["far"]
    assert isinstance(first, Verdicts)
    assert isinstance(second, Verdicts)
    assert isinstance(loaded, Verdicts)
    assert loaded.table.equals(second.table)
    assert not loaded.table.equals(first.table)


def test_a_folder_without_a_finished_run_says_so(city: City, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no finished run"):
        load_run(tmp_path)
    run(write(tmp_path, "a.toml", ""), tmp_path / "run", city=city)
    summary = tmp_path / "run" / "run.json"
    content = json.loads(summary.read_text(encoding="utf-8"))
    summary.write_text(json.dumps({**content, "results": {"../far": {}}}), encoding="utf-8")
    with pytest.raises(FormatError, match="expected 1"):
        load_run(tmp_path / "run")
    save_run({}, tmp_path / "empty", {})
    with pytest.raises(UsageError, match="no result to compare"):
        compare_runs(tmp_path / "empty", tmp_path / "empty")
