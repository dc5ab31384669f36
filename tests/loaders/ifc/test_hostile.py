"""Every hostile IFC file does what the manifest says: loads, is repaired, or is refused, each with its reason."""

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

pytest.importorskip("ifcopenshell")
DATA = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data") / "hostile"
COARSE = {"ifc/mm_declared.ifc", "ifc/inch_unit.ifc", "ifc/x2_good.ifc", "ifc/gid_sql.ifc"}
"""Placed by whole minutes of latitude and longitude: that this is good to a kilometre only is a warning, though the file is sound."""

_ABOUT_PLACE = ("place coarse", "RefElevation", "the file does not say where north is")


def _rows() -> list[dict[str, str]]:
    manifest = DATA / "MANIFEST.csv"
    if not manifest.exists():
        return []
    with manifest.open(encoding="utf-8", newline="") as lines:
        return [row for row in csv.DictReader(lines) if row["format"] in ("IFC", "IFCZIP")]


ROWS = _rows()


@pytest.mark.data
def test_the_hostile_set_is_there(shared_data: Callable[..., Path]) -> None:
    shared_data("hostile", "MANIFEST.csv")
    assert len(ROWS) > 40


@pytest.mark.data
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_a_hostile_file_does_what_the_manifest_says(row: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / Path(row["file"]).name
    shutil.copyfile(DATA / row["file"], file)
    try:
        city = read(file, row["hint_crs"] or None)
    except InputError as error:
        outcome, told = "error", str(error)
        assert file.name in told
        assert "please report" not in told, "an error that the reader did not foresee"
    else:
        issues = [one for one in city.tables["issues"].to_pylist() if one["severity"] != "info"]
        if row["file"] in COARSE:
            issues = [one for one in issues if not one["message"].startswith(_ABOUT_PLACE)]
        told = " ".join(f"{one['code']}: {one['message']}" for one in issues)
        outcome = "repair" if issues else "load"
    assert outcome in row["expect"].split("|"), told
    if outcome != "load" and row["reason_any"]:
        assert re.search(row["reason_any"], told.replace(file.name, ""), re.IGNORECASE), told


@pytest.mark.data
def test_sizes_are_in_metres_whatever_the_file_is_in(shared_data: Callable[..., Path]) -> None:
    for name, (height, width) in {"mm_declared.ifc": (12.0, 8.0), "inch_unit.ifc": (2.54, None)}.items():
        city = read(shared_data("hostile", "ifc", name), "EPSG:32648")
        table = city.table("BuildingConstructiveElement")
        box = city.tables["objects"].filter([kind == "BuildingConstructiveElement" for kind in city.tables["objects"]["type"].to_pylist()])
        found = box["bbox"][0].as_py()
        assert len(table) == 1
        assert found["zmax"] - found["zmin"] == pytest.approx(height)
        if width is not None:
            assert found["xmax"] - found["xmin"] == pytest.approx(width, rel=0.03)  # the grid of the map turns it by convergence
