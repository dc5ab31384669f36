"""Floods in scenario files: run with their impact, checked with their city, stopped and gone on with, written for other programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import xarray

from cim.cli import run as cli
from cim.crs import parse
from cim.errors import FormatError, MissingExtraError, UsageError
from cim.model import City, CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.results import Fields, load_run, to_zarr
from cim.scenario import draft, members, read_scenario, template
from cim.sim.run import check_scenario, run
from cim.storage import save

CRS = "EPSG:4549+5737"
FLOOD = """\
city = "town.cim"
seed = 3
outputs = {outputs}

[flood]
start = 2026-07-01T00:00:00Z
until = "{until}"
output_every = "1min"
velocity = true
{more}

[flood.rain]
kind = "file"
file = "rain/storm.csv"
outside = "zero"
"""
STORM = "time,rain(mm/h)\n2026-07-01T00:00Z,120\n2026-07-01T00:02Z,120\n"


def make_city(folder: Path) -> City:
    ground = np.add.outer(np.abs(np.arange(24) - 11.5) * 0.1, np.linspace(4.0, 2.0, 40))
    path = write_raster(Raster(ground, 0.0, 60.0, 2.5, 2.5, parse(CRS)), folder / "dem.tif")
    builder = CityBuilder(CRS)
    builder.add_objects("Building", ["b"], footprints=np.array([shapely.box(80, 22, 95, 38)], object), z_ground=[2.2], z_roof=[9.0])
    builder.add_objects("Road", ["r"], footprints=np.array([shapely.linestrings([(5, 30), (75, 30)])], object))
    relief = builder.add_objects("ReliefFeature", ["dtm"])
    builder.add_coverage(int(relief[0]), kind="raster", path=str(path), format="GeoTIFF", unit="m", meta=json.dumps({"surface": "terrain"}))
    return builder.build()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a stored city and a storm beside the scenario, which is not the current folder."""
    save(make_city(tmp_path), tmp_path / "town.cim")
    (tmp_path / "rain").mkdir()
    (tmp_path / "rain" / "storm.csv").write_text(STORM, encoding="utf-8")
    return tmp_path


def write(folder: Path, more: str = "", tail: str = "", outputs: str = "[]", until: str = "4min") -> Path:
    path = folder / "storm.toml"
    path.write_text(FLOOD.format(more=more, outputs=outputs, until=until) + tail, encoding="utf-8")
    return path


# ---------------------------------------------------------------- runs


def test_a_flood_and_its_impact_run_from_one_file(folder: Path) -> None:
    flood, impact = run(write(folder, tail="[impact]\ntunnels = 'terrain'\n"), folder / "out")
    assert flood.run.balance["rain_m3"] == pytest.approx(0.12 / 60 * 4 * 100 * 60, rel=1e-6)  # float32; 4 min of 120 mm/h on 6,000 m²
    assert flood.run.start is not None
    assert flood.run.start.isoformat() == "2026-07-01T00:00:00+00:00"
    assert isinstance(impact, Fields)
    assert impact.to_pandas("buildings").index.tolist() == ["b"]
    assert set(load_run(folder / "out")) == {"flood", "impact"}
    said = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert (said["seed"], said["member"], said["settings"]) == (3, "", {})
    assert not (folder / "out" / "checkpoints").exists()


def test_a_member_of_an_ensemble_says_which_it_is(folder: Path) -> None:
    tail = "[axes]\nflood.rain.factor = [1.0, 2.0]\nseed = [5]\n"
    first, second = members(read_scenario(write(folder, tail=tail, until="2min").with_name("storm.toml")))
    one, two = (run(member, folder / member.member)[0] for member in (first, second))
    assert two.run.balance["rain_m3"] == pytest.approx(2 * one.run.balance["rain_m3"], rel=1e-6)  # float32
    said = json.loads((folder / second.member / "run.json").read_text(encoding="utf-8"))
    assert (said["seed"], said["member"]) == (5, "flood.rain.factor=2.0,seed=5")
    assert said["settings"] == {"flood.rain.factor": 2.0, "seed": 5}


def test_the_template_passes_and_runs(folder: Path) -> None:
    text = template("flood").replace("district.cim", "town.cim").replace('until = "90min"', 'until = "2min"')
    path = folder / "template.toml"
    path.write_text(text, encoding="utf-8")
    plan = read_scenario(path)
    assert check_scenario(plan, make_city(folder)) == []
    assert run(plan, folder / "out")[0].run.balance["rain_m3"] > 0


def test_the_template_of_the_impact_holds_the_flood_it_reads(folder: Path) -> None:
    path = folder / "template.toml"
    path.write_text(template("impact").replace("district.cim", "town.cim"), encoding="utf-8")
    plan = read_scenario(path)
    assert list(plan.simulations) == ["flood", "impact"]
    assert check_scenario(plan, make_city(folder)) == []


def test_every_table_of_the_template_that_is_a_comment_is_right_without_its_marks(folder: Path) -> None:
    for name in ("rain.csv", "S1.csv"):
        (folder / name).write_text(STORM, encoding="utf-8")
    text = template("flood").replace("district.cim", "town.cim")
    own, tables = text.split("\n\n# rain; each kind", 1)
    rain, *blocks = tables.split("\n\n")
    tried = 0
    for block in blocks:
        bare = "\n".join(line.removeprefix("# ") for line in block.splitlines()[1:])
        path = folder / "tried.toml"
        path.write_text(f"{own}\n# {bare if '[flood.rain]' in bare else rain}\n{bare}".replace(f"# {bare}\n", ""), encoding="utf-8")
        assert [str(fault) for fault in draft(path)[1]] == [], bare
        tried += 1
    assert tried == 10  # six other kinds of rain, boundary, inflow, pump, breach


# ---------------------------------------------------------------- refused before step 0


def test_a_missing_file_is_a_fault_at_its_line(folder: Path) -> None:
    path = write(folder)
    (folder / "rain" / "storm.csv").unlink()
    with pytest.raises(FormatError, match=r"line 14: flood.rain.file: there is no file .*rain/storm.csv") as caught:
        read_scenario(path)
    assert "1 fault " in str(caught.value)


def test_impact_without_a_flood_or_before_it_is_refused(folder: Path) -> None:
    (folder / "dry.toml").write_text('city = "town.cim"\n[impact]\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"\[impact\] needs the result of \[flood\], which the scenario does not have"):
        run(folder / "dry.toml", folder / "out")
    path = write(folder)
    path.write_text(path.read_text(encoding="utf-8").replace("[flood]\n", "[impact]\n[flood]\n", 1), encoding="utf-8")
    assert check_scenario(read_scenario(path), make_city(folder)) == [
        "[impact] needs the result of [flood], which comes later; put [flood] before it"
    ]
    assert not (folder / "out").exists()


WRONG = """\
scheem = "standard"
gauges = { far = [9000.0, 0.0] }
[[flood.boundary]]
where = [[500.0, 0.0], [500.0, 60.0]]
[[flood.inflow]]
where = [50.0, 30.0]
discharge = [[0, 1.0], [60, nan], [240, 1.0]]
[[flood.pump]]
intake = "nobody"
capacity = { file = "rain/storm.csv" }
"""
SAID = {
    "unknown key": "flood.scheem: is not known; did you mean scheme?",
    "gauge": "gauge 'far': POINT (9000 0) lies outside the domain",
    "boundary": "boundary 1: no cell of the domain's edge lies there",
    "gap": "inflow 1: 1 of 3 values",
    "id": "'nobody'",
    "unit of a series": "pump 1: unit 'mm/h' measures m/s; expected flows",
    "unit of the rain": "rain: the heaviest rate",
    "section": "[impact] needs",
}


def test_every_fault_of_text_and_city_stands_in_one_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "rain" / "storm.csv").write_text(STORM.replace("mm/h", "m/s"), encoding="utf-8")
    text = WRONG.replace("storm.csv", "other.csv")
    (folder / "rain" / "other.csv").write_text(STORM, encoding="utf-8")
    path = write(folder, text)
    path.write_text(path.read_text(encoding="utf-8").replace("[flood]\n", "[impact]\n[flood]\n", 1), encoding="utf-8")
    assert cli(["check", str(path)]) == 1
    checked = capsys.readouterr()
    assert cli(["run", str(path), "-o", str(folder / "out")]) != 0
    ran = capsys.readouterr()
    for printed in (checked.out + checked.err, ran.out + ran.err):
        one_line = " ".join(printed.split())
        for what, words in SAID.items():
            assert words in one_line, (what, printed)
    assert not (folder / "out").exists()


MISPLACED = """\
gauges = { far = [9000.0, 0.0] }
area = [104.3, 22.0, 104.31, 22.01]
[[flood.boundary]]
where = "east"
kind = "stage"
name = "sea"
[[flood.pump]]
intake = [9000.0, 5.0]
capacity = 0.5
name = "P"
[[flood.breach]]
where = [[50.0, 0.0], [50.0, 60.0]]
level = 1.0
begin = "2min"
"""


@pytest.mark.parametrize(("old", "new", "said"), [
    ('until = "4min"\n', "", "flood.until: Field required"),
    ('kind = "file"', 'kind = "shower"', "flood.rain: there is no 'shower'"),
    ('kind = "file"\nfile = "rain/storm.csv"\noutside = "zero"', 'kind = "chicago"\nplace = "Nowhere"\nreturn_period = 5\nduration = "1h"',
     "place 'Nowhere' has no shipped storm formula"),
])  # fmt: skip
def test_what_lies_outside_is_found_in_the_same_round_as_a_section_that_cannot_be_read(
    old: str, new: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder, MISPLACED, tail="[impact]\n")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert cli(["check", str(path)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    for words in (
        said,
        "sea: a stage needs level=",
        "gauge 'far': POINT (9000 0) lies outside",
        "P, intake: POINT (9000 5) lies outside",
        "the area, 104.3 22 104.31 22.01, lies beside the terrain, which covers 0 0 to 100 60; these look like degrees",
    ):
        assert words in printed
    assert ": 5 faults" in printed, printed  # none on [impact], whose [flood] is there, nor on the breach


def test_a_key_of_another_kind_of_rain_is_told_as_that(folder: Path) -> None:
    path = write(folder)
    kind = 'kind = "block"\nduration = "30min"\ndepth = 30.0\nunit = "mm"\nfactr = 2.0\n'
    text = path.read_text(encoding="utf-8").replace('kind = "file"\nfile = "rain/storm.csv"\noutside = "zero"\n', kind)
    path.write_text(text, encoding="utf-8")
    said = [str(fault) for fault in draft(path)[1]]
    assert len(said) == 2
    assert 'flood.rain.unit: is not a key of a table with kind = "block"; known are begins, depth, duration' in said[0]
    assert said[1].endswith("flood.rain.factr: is not known; did you mean factor?")


def test_a_terrain_in_another_system_is_found_by_the_check(folder: Path) -> None:
    builder = CityBuilder(CRS)
    relief = builder.add_objects("ReliefFeature", ["dtm"])
    other = write_raster(Raster(np.zeros((4, 4)), 0.0, 4.0, 1.0, 1.0, parse("EPSG:28992")), folder / "other.tif")
    said: Any = {"kind": "raster", "format": "GeoTIFF", "unit": "m", "meta": json.dumps({"surface": "terrain"}), "crs": "EPSG:28992"}
    builder.add_coverage(int(relief[0]), path=str(other), **said)
    (folder / "rain" / "storm.csv").write_text(STORM.replace("00:02Z,120", "00:02Z,").replace("00:00Z", "00:01Z"), encoding="utf-8")
    faults = check_scenario(read_scenario(write(folder)), builder.build())
    assert len(faults) == 2, "the storm has a gap"
    assert any("Amersfoort" in one and "bring both to one coordinate system" in one for one in faults)


def test_what_fits_is_not_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(["check", str(write(folder, 'gauges = { mid = [50.0, 30.0] }\n[[flood.boundary]]\nwhere = "east"'))]) == 0
    assert "no fault found" in capsys.readouterr().out


# ---------------------------------------------------------------- stopped and gone on with


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_fields(folder: Path) -> None:
    path = write(folder, 'checkpoint_every = "1min"\nresolution = 0.5', until="30min")
    command = [sys.executable, "-c", f"from cim.sim.run import run; run({str(path)!r}, {str(folder / 'out')!r})"]
    states = folder / "out" / "checkpoints" / "flood"
    killed = subprocess.Popen(command)
    deadline = time.monotonic() + 120.0
    while killed.poll() is None and len(list(states.glob("state-*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert list(states.glob("state-*.npz"))
    assert not (folder / "out" / "run.json").exists()
    resumed, whole = run(path, folder / "out")[0], run(path, folder / "whole")[0]
    assert isinstance(resumed, Fields)
    assert isinstance(whole, Fields)
    for name in whole.dataset.data_vars:
        np.testing.assert_array_equal(resumed.dataset[name].values, whole.dataset[name].values, err_msg=str(name))
    assert resumed.run.balance == whole.run.balance
    assert not states.exists()


def test_a_branch_leaves_a_run_that_kept_its_states(folder: Path) -> None:
    pump = "[[flood.pump]]\nintake = [97.0, 30.0]\ncapacity = {}\non_depth = 0.001\noff_depth = 0.0"
    base = run(write(folder, "keep_checkpoints = true\n" + pump.format("0.05")), folder / "base")[0]
    assert (folder / "base" / "checkpoints" / "flood" / "run.json").is_file()
    leave = f'branch_from = "base/checkpoints/flood"\nbranch_at = "2min"\n{pump.format([["0min", 0.0], ["4min", 0.0]])}'
    branch = run(write(folder, leave), folder / "branch")[0]
    assert isinstance(base, Fields)
    assert isinstance(branch, Fields)
    same = branch["water_depth"].values[:3], base["water_depth"].values[:3]
    other = branch["water_depth"].values[4], base["water_depth"].values[4]
    np.testing.assert_array_equal(*same)
    assert np.nansum(other[0]) > np.nansum(other[1])
    assert branch.run.balance["pumped_out_m3"] < base.run.balance["pumped_out_m3"]


# ---------------------------------------------------------------- other programs


def test_fields_open_as_zarr_and_geotiff_with_their_units(folder: Path) -> None:
    made = run(write(folder, outputs='["zarr", "geotiff"]'), folder / "out")[0]
    assert isinstance(made, Fields)
    with xarray.open_zarr(folder / "out" / "flood" / "flood.zarr") as found:
        assert set(found.data_vars) == set(made.dataset.data_vars)
        for name, field in made.dataset.data_vars.items():
            np.testing.assert_array_equal(found[name].values, field.values, err_msg=str(name))
            assert found[name].attrs["units"] == field.attrs["units"]
        assert found["time"].values.astype("datetime64[s]").tolist() == made.dataset["time"].values.astype("datetime64[s]").tolist()
        assert found.attrs["crs"] == made.dataset.attrs["crs"]
        assert json.loads(found.attrs["run"])["name"] == "flood"
    with rasterio.open(folder / "out" / "flood" / "water_depth.tif") as file:
        assert set(file.units) == {"m"}
        assert file.tags()["standard_name"] == "water_depth"
        assert file.descriptions[0] == "time=2026-07-01 00:00:00"
        assert file.crs.to_epsg() == 4549
    with rasterio.open(folder / "out" / "flood" / "maximum_velocity.tif") as file:
        assert file.units == ("m/s",)


def test_zarr_is_written_whole_over_its_own_kind_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = run(write(folder, until="1min"), folder / "out")[0]
    to_zarr(made, folder / "a.zarr")
    (folder / "a.zarr" / "left-over").write_text("x", encoding="utf-8")
    to_zarr(made, folder / "a.zarr")
    assert not (folder / "a.zarr" / "left-over").exists()
    with pytest.raises(UsageError, match="is no Zarr store"):
        to_zarr(made, folder / "town.cim")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r"cim-toolkit\[flood\]"):
        to_zarr(made, folder / "b.zarr")
