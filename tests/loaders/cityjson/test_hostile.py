"""The hostile files of the format do what the manifest says: load, are repaired, or are refused, each with its reason."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cim.errors import InputError
from cim.loaders.cityjson import READER, write_cityjson
from cim.loaders.protocol import ReadOptions
from cim.model.geometry import volume

DATA = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data") / "hostile"
MANIFEST = DATA / "MANIFEST.csv"


def _rows() -> list[dict[str, str]]:
    if not MANIFEST.exists():
        return []
    with MANIFEST.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["format"] == "CityJSON"]


ROWS = _rows()


@pytest.mark.data
def test_the_hostile_files_are_there(shared_data: Callable[..., Path]) -> None:
    assert shared_data("hostile", "MANIFEST.csv") == MANIFEST
    assert len(ROWS) > 30


@pytest.mark.data
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_a_hostile_file_does_what_the_manifest_says(row: dict[str, str], tmp_path: Path) -> None:
    path = DATA / row["file"]
    try:
        city = READER.read(path, ReadOptions(crs=row["hint_crs"] or None))
    except InputError as error:
        outcome, told = "error", str(error)
        assert path.name in told
    else:
        found = city.issues
        doubts = found[found["severity"] != "info"]
        told = " ".join(doubts["code"] + ": " + doubts["message"])
        outcome = "repair" if told else "load"
        write_cityjson(city, tmp_path / "again.city.json")
        if "1200 m3" in row["detail"]:
            assert volume(city.tables["geometries"])[0] == pytest.approx(1200.0, rel=1e-6)  # millimetre coordinates, exact but for rounding
    assert outcome in row["expect"].split("|"), told
    if outcome != "load" and row["reason_any"]:
        assert re.search(row["reason_any"], told.replace(path.name, ""), re.IGNORECASE), told
