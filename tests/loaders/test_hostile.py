"""Every hostile file of the vector formats does what the manifest says: loads, is repaired, or is refused, each with its reason."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cim.errors import InputError
from cim.loaders import read
from cim.model import City

FORMATS = ("GeoJSON", "GeoPackage", "Shapefile", "GeoParquet", "Shapefile zip", "zip")
WHOLE_FOLDER = ("Shapefile", "GeoPackage")
DATA = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "hostile"


def _rows() -> list[dict[str, str]]:
    manifest = DATA / "MANIFEST.csv"
    if not manifest.exists():
        return []
    with manifest.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["format"] in FORMATS]


ROWS = _rows()


def _staged(row: dict[str, str], folder: Path) -> Path:
    source = DATA / row["file"]
    if row["format"] in WHOLE_FOLDER:
        shutil.copytree(source.parent, folder / "in")
    else:
        (folder / "in").mkdir()
        shutil.copyfile(source, folder / "in" / source.name)
    return folder / "in" / source.name


def _prints(folder: Path) -> dict[str, str]:
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in sorted(folder.rglob("*")) if one.is_file()}


def _told(city: City) -> str:
    return " ".join(f"{row['code']}: {row['message']}" for row in city.tables["issues"].to_pylist() if row["severity"] != "info")


@pytest.mark.data
def test_the_hostile_set_is_there(shared_data: Callable[..., Path]) -> None:
    shared_data("hostile", "MANIFEST.csv")
    assert len(ROWS) > 50


@pytest.mark.data
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_a_hostile_file_does_what_the_manifest_says(row: dict[str, str], tmp_path: Path) -> None:
    file = _staged(row, tmp_path)
    before = _prints(tmp_path / "in")
    try:
        city = read(file, row["hint_crs"] or None)
    except InputError as error:
        outcome, told = "error", str(error)
        assert file.name in told
        assert "please report" not in told, "an error that the reader did not foresee"
    else:
        told = _told(city)
        outcome = "repair" if told else "load"
        _check_detail(row["detail"], city)
    assert outcome in row["expect"].split("|"), told
    if outcome != "load" and row["reason_any"]:
        assert re.search(row["reason_any"], told.replace(file.name, ""), re.IGNORECASE), told
    assert _prints(tmp_path / "in") == before, "the input folder has changed"


def _check_detail(detail: str, city: City) -> None:
    """Check the figures that the manifest states for a file that loads."""
    loaded = re.search(r"loaded=(\d+)", detail)
    if loaded:
        assert len(city) == int(loaded[1])
    rejected = re.search(r"rejected=(\d+)", detail)
    if rejected:
        assert sum(row["rejected"] for row in city.tables["sources"].to_pylist()) == int(rejected[1])
    named = re.search(r"name(?:\[0\])?==(\S+)", detail)
    if named:
        assert named[1] in city.tables["objects"]["name"].to_pylist()
    if "crs=EPSG:32648" in detail:
        assert city.crs.to_string() == "EPSG:32648"
    assert len(set(city.tables["objects"]["id"].to_pylist())) == len(city)


@pytest.mark.data
def test_a_layer_beside_an_endless_view_still_loads(shared_data: Callable[..., Path]) -> None:
    file = shared_data("hostile", "gpkg", "recursive_view.gpkg")
    assert len(read(file, layer="buildings")) == 5
    with pytest.raises(InputError, match="view"):
        read(file, layer="v")


@pytest.mark.data
def test_a_text_among_heights_is_missing_and_kept_aside(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("hostile", "geojson", "mixed_types.geojson"))
    heights = dict(zip(city.tables["objects"]["name"].to_pylist(), city.column("Building", "height").to_pylist(), strict=True))
    assert heights["b1"] is None
    assert heights["b0"] == 10.0
    kept = city.tables["properties"].to_pylist()
    assert [(one["name"], one["value"]) for one in kept] == [("height", "十二米")]


@pytest.mark.data
def test_an_integer_beyond_64_bit_keeps_every_digit(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("hostile", "geojson", "bigint_property.geojson"))
    assert "1180591620717411303424" in city.column("Building", "n").to_pylist()


@pytest.mark.data
def test_sentinel_heights_are_missing_and_no_others(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("hostile", "geojson", "sentinel_heights.geojson"))
    heights = city.column("Building", "height").to_pylist()
    assert heights.count(None) == 2
    assert all(5 < value < 50 for value in heights if value is not None)


@pytest.mark.data
@pytest.mark.heavy
def test_the_judge_finds_no_breach_of_safety(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    tool = shared_data().parent / "tools" / "accept.py"
    if not tool.exists():
        pytest.skip("the judge accept.py is not there")
    adapter = Path(__file__).with_name("hostile_adapter.py")
    command = [sys.executable, str(adapter), "{file}", "{crs}", "{store}", "{out}"]
    judged = subprocess.run(
        [sys.executable, str(tool), str(DATA), str(tmp_path / "out.csv"), "--rows", "g*/ogr_*", "--", *command],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "safety breaches 0" in judged.stdout
