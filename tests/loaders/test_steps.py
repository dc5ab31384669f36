"""Steps by name: faults are told before anything runs; a build file and the command take the same steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely

import cim
from cim.cli import run
from cim.errors import UsageError
from cim.loaders.build import check_build
from cim.loaders.steps import STEPS, check_step, run_steps
from cim.model import City, CityBuilder, Column

X, Y = 500_000.0, 3_400_000.0


def _city() -> City:
    builder = CityBuilder("EPSG:4549+5737", name="houses")
    keys = builder.add_objects("Building", ["a"], footprints=[shapely.box(X, Y, X + 10, Y + 10)], z_ground=[0.0], z_roof=[9.0])
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([3])})
    builder.add_objects("LandUse", ["plot"], footprints=[shapely.box(X - 5, Y - 5, X + 30, Y + 30)])
    return builder.build()


def test_every_fault_of_a_step_is_told() -> None:
    assert check_step("storeys", {"storey_height": 3.0}) == []
    assert "no step 'fly'" in check_step("fly", {})[0]
    assert check_step("zonal", {"colour": 1}) == ["step zonal has no option 'colour'; it has raster, name, type, statistics",
                                                  "step zonal needs raster", "step zonal needs name"]  # fmt: skip
    with pytest.raises(UsageError, match="needs areas"):
        run_steps(_city(), [("group", {})])


def test_steps_follow_each_other() -> None:
    city = run_steps(_city(), [("group", {"areas": "LandUse"}), ("storeys", {})])
    assert city["a"].parents()[0].id == "plot"
    assert len(city["a"].children("BuildingStorey")) == 3


@pytest.mark.parametrize("name", ["singulate", "green_ratio"])
def test_a_step_without_its_material_says_what_is_missing(name: str) -> None:
    with pytest.raises(UsageError, match=r"no mesh|0 coverages of kind image"):
        run_steps(_city(), [(name, {})])


def test_every_step_has_a_sentence_for_the_help() -> None:
    assert all((step.__doc__ or "").endswith(".") for step in STEPS.values())


def test_the_command_saves_a_new_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.cim"
    cim.save(_city(), path)
    assert run(["storeys", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["objects"]["BuildingStorey"] == 3
    assert cim.open(path).types()["BuildingStorey"] == 3
    assert "BuildingStorey" not in cim.open(path, 1).types()
    assert run(["storeys", str(tmp_path / "nothing")]) == 3
    assert run(["singulate", str(path)]) == 2


def test_a_build_file_names_the_faults_of_its_steps(tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("{}", encoding="utf-8")
    file = tmp_path / "b.toml"
    file.write_text('[[source]]\npath = "a.geojson"\n[[step]]\ndo = "storeys"\nheight = 3\n[[step]]\ndo = "fly"\n', encoding="utf-8")
    faults = check_build(file)
    assert any("step[0]" in fault and "height" in fault for fault in faults)
    assert any("step[1]" in fault and "fly" in fault for fault in faults)
