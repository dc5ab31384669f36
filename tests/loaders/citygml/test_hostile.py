"""Every hostile CityGML and GML file does what the manifest says, through the one door and its worker process."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cim.errors import InputError
from cim.loaders import read

DATA = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data") / "hostile"
FORMATS = ("CityGML", "GML")


def _rows() -> list[dict[str, str]]:
    manifest = DATA / "MANIFEST.csv"
    if not manifest.exists():
        return []
    with manifest.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["format"] in FORMATS]


ROWS = _rows()


@pytest.mark.data
def test_the_hostile_files_are_there(shared_data: Callable[..., Path]) -> None:
    shared_data("hostile", "MANIFEST.csv")
    assert len(ROWS) > 20


@pytest.mark.data
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_a_hostile_file_does_what_the_manifest_says(row: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / Path(row["file"]).name
    shutil.copyfile(DATA / row["file"], file)
    try:
        city = read(file, row["hint_crs"] or None)
    except InputError as error:
        outcome, told = "error", str(error)
        assert "please report" not in told, "an error that the reader did not foresee"
    else:
        told = " ".join(f"{one['code']}: {one['message']}" for one in city.tables["issues"].to_pylist() if one["severity"] != "info")
        outcome = "repair" if told else "load"
        loaded = re.search(r"loaded=(\d+)", row["detail"])
        assert loaded is None or len(city) == int(loaded[1])
        named = re.search(r"name==(\S+)", row["detail"])
        assert named is None or named[1] in city.tables["objects"]["name"].to_pylist()
        assert len(set(city.tables["objects"]["id"].to_pylist())) == len(city)
    assert outcome in row["expect"].split("|"), told
    if outcome != "load" and row["reason_any"]:
        assert re.search(row["reason_any"], told.replace(file.name, ""), re.IGNORECASE), told
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
