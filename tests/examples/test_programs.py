"""The example programs run as a user would start them, and what they say is true."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

from cim.errors import CorruptFileError, CRSError, LimitError
from cim.loaders import Limits, ReadOptions
from cim.model import City, CityBuilder
from cim.results import Check

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HEAD = "#PARCELS 1\n#CRS EPSG:4549\n"
SQUARE = "500000 3460000,500100 3460000,500100 3460100,500000 3460100"


def load(name: str) -> ModuleType:
    """Import an example by its file; its folder is no package."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic and dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parcels() -> Any:
    return load("parcel_reader").READER


@pytest.fixture(scope="module")
def access() -> Any:
    return load("street_access").CHECK


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "plots.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_plots_are_read_with_their_limits(parcels: Any, tmp_path: Path) -> None:
    city = parcels.read(written(tmp_path, f"{HEAD}P1;居住用地;1.2;24;{SQUARE}\nP2;;;;{SQUARE}\n"), ReadOptions())
    assert city.column("LandUse", "far_limit").to_pylist() == [1.2, None]
    assert city.unit("LandUse", "height_limit") == "m"
    assert city["P1"].footprint.area == pytest.approx(10_000)


@pytest.mark.parametrize(
    "bad",
    [
        "P2;x;1",
        f"P2;x;one;24;{SQUARE}",
        "P2;x;1;2;0 0,1 1",
        "P2;x;1;2;0 0,1 1 1,1 0",
        "P2;x;1;2;0 0,1 1,0 1,1 0",
        "P2;x;1;2;0 0,1 nan,1 1,0 1",
    ],
)
def test_one_bad_plot_of_two_keeps_the_other_and_is_named(parcels: Any, tmp_path: Path, bad: str) -> None:
    city = parcels.read(written(tmp_path, f"{HEAD}P1;a;1.2;24;{SQUARE}\n{bad}\n"), ReadOptions())
    assert city.ids(city.keys("LandUse")) == ["P1"]
    rejected = city.issues.query("code == 'rejected'")
    assert rejected["record"].tolist() == ["line 4"]
    assert city.sources[["records_in", "objects_out", "rejected"]].to_numpy().tolist() == [[2, 1, 1]]


def test_plots_without_a_system_or_of_other_bytes_are_refused(parcels: Any, tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="give crs="):
        parcels.read(written(tmp_path, f"#PARCELS 1\nP1;a;1;2;{SQUARE}\n"), ReadOptions())
    with pytest.raises(CorruptFileError, match="not UTF-8"):
        parcels.read(written(tmp_path, HEAD.encode() + "地".encode("gbk")), ReadOptions())
    with pytest.raises(LimitError, match="records"):
        parcels.read(written(tmp_path, HEAD + "x\n" * 20), ReadOptions(limits=Limits(records=10)))


def streets(*buildings: Any) -> City:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Building", [f"b{place}" for place in range(len(buildings))], footprints=np.array([*buildings], object))
    builder.add_objects("Road", ["r"], footprints=[shapely.box(0, 0, 100, 10)])
    return builder.build()


def test_the_distance_to_a_street_is_exact_and_equal_passes(access: Any) -> None:
    verdicts = access.run(streets(shapely.box(0, 35, 10, 40), shapely.box(0, 35.5, 10, 40), shapely.box(5, 5, 8, 8)), limit=25.0)
    assert dict(zip(verdicts.table["object"].to_pylist(), verdicts.table["value"].to_pylist(), strict=True)) == {
        "b0": 25.0,
        "b1": 25.5,
        "b2": 0.0,
    }
    assert verdicts.counts() == {"pass": 2, "fail": 1, "not_assessed": 0}


def test_no_missing_input_lets_a_building_pass(access: Any) -> None:
    city = streets(shapely.box(0, 35, 10, 40), None)
    assert access.run(city, limit=30.0).counts() == {"pass": 1, "fail": 0, "not_assessed": 1}
    assert access.run(city).counts() == {"pass": 0, "fail": 0, "not_assessed": 2}
    assert access.run(city, limit=30.0, streets=["Railway"]).counts()["not_assessed"] == 2


def test_the_check_of_the_example_keeps_the_protocol(access: Any) -> None:
    assert isinstance(access, Check)
    with pytest.raises(ValueError, match="colour"):
        access.run(streets(), colour="red")


@pytest.mark.heavy
def test_the_study_of_the_analyst_runs_on_the_demo_district(tmp_path: Path) -> None:
    said: list[str] = []
    compared = load("analyst").main(["-o", str(tmp_path / "results")], said.append)
    assert {"far", "density", "height", "water"} == set(compared)
    heights = compared["height"].changed()
    assert set(heights["change"].to_pylist()) == {"changed", "only in base"}
    raised = heights.filter(pc.field("change") == "changed")
    assert raised["value_difference"].to_pylist() == pytest.approx([6.4], abs=1e-9)  # metres added by the change itself
    assert {"far.gpkg", "water.tif", "height_difference.xlsx"} <= {path.name for path in (tmp_path / "results").iterdir()}
    assert any("wet_area" in text for text in said)
