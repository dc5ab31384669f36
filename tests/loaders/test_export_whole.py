"""Exports as others open them: nothing unaccounted for, plain readers content, and a file that is whole or not there."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import openpyxl
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

import cim.loaders.cityjson.write as cityjson_writer
from cim.errors import UsageError
from cim.loaders import read
from cim.loaders.export import FORMATS, export_city
from cim.loaders.gltf_write import HELD
from cim.model import City
from cim.model.schema import SCHEMAS
from cim.progress import Report, set_sink
from tests.loaders.export_cities import EAST, FILES, NORTH, everything, query
from tests.loaders.glb_checks import Glb

FLAT = {"objects"}
"""Tables that formats of flat tables hold; the attributes of the classes are not among the names."""
CITYJSON = {"objects", "geometries", "templates", "surfaces", "appearances", "materials", "textures"}
WORDS = {
    "objects": "objects", "properties": "properties", "geometries": "geometries", "templates": "templates", "surfaces": "surface",
    "appearances": "appearances", "materials": "materials", "textures": "textures", "coverages": "coverages", "links": "links",
    "identifiers": "identifiers", "relations": "relations", "matches": "matches", "claims": "claims", "sources": "source",
    "issues": "issues",
}  # fmt: skip
HOLDS = {"gltf": set(HELD), "cityjson": CITYJSON, "cityjsonseq": CITYJSON, "geopackage": FLAT, "geoparquet": FLAT, "xlsx": FLAT}


def test_the_city_of_these_tests_has_something_in_every_table(tmp_path: Path) -> None:
    city = everything(tmp_path)
    assert set(WORDS) == set(SCHEMAS)
    assert all(city.tables.rows(name) for name in SCHEMAS)


@pytest.mark.parametrize("format", FORMATS)
def test_every_table_is_in_the_file_or_in_the_report(tmp_path: Path, format: str) -> None:
    city = everything(tmp_path)
    report = export_city(city, format, tmp_path / "out", k=0)
    told = [row["what"] for row in report.rows()]
    missing = [name for name in SCHEMAS if name not in HOLDS[format] and not any(WORDS[name] in what for what in told)]
    assert not missing


@pytest.mark.parametrize("format", ["cityjson", "cityjsonseq"])
def test_what_cityjson_is_said_to_hold_comes_back(tmp_path: Path, format: str) -> None:
    city = everything(tmp_path)
    export_city(city, format, tmp_path / f"out.{format}", k=0)
    back = read(tmp_path / f"out.{format}")
    assert all(back.tables.rows(name) >= city.tables.rows(name) for name in CITYJSON)


def test_what_gltf_is_said_to_hold_is_there(tmp_path: Path) -> None:
    export_city(everything(tmp_path), "gltf", tmp_path / "a.glb", k=0)
    glb = Glb(tmp_path / "a.glb")
    assert len(glb.json["images"]) == len(glb.json["textures"]) == 1
    assert "slate" in {material["name"] for material in glb.json["materials"]}
    assert any("template" in mesh["name"] for mesh in glb.json["meshes"])


# ---------------------------------------------------------------- other readers


def test_sqlite_and_pyogrio_open_the_geopackage(tmp_path: Path) -> None:
    city = everything(tmp_path)
    export_city(city, "geopackage", tmp_path / "a.gpkg", k=0)
    with sqlite3.connect(tmp_path / "a.gpkg") as base:
        assert base.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert base.execute("pragma application_id").fetchone()[0] == int.from_bytes(b"GPKG", "big")
        counts = {layer: base.execute(f'select count(*) from "{layer}"').fetchone()[0]
                  for (layer,) in base.execute("select table_name from gpkg_contents").fetchall()}  # fmt: skip
    assert counts == city.types()
    frame = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="Building").set_index("id")
    assert frame.crs == city.crs.horizontal
    assert frame.geometry["h1"].bounds == (EAST + 30, NORTH, EAST + 40, NORTH + 10)
    assert frame["name"]["h0"] == "图书馆"
    assert frame["height"]["h2"] == 7.5


def test_pyarrow_duckdb_and_geopandas_open_the_geoparquet(tmp_path: Path) -> None:
    city = everything(tmp_path)
    export_city(city, "geoparquet", tmp_path / "parts", k=0)
    for name, count in city.types().items():
        file = tmp_path / "parts" / f"{name}.parquet"
        assert pq.read_metadata(file).num_rows == count
        geo = json.loads(pq.read_schema(file).metadata[b"geo"])
        assert geo["columns"][geo["primary_column"]]["encoding"] == "WKB"
        assert query(f"select count(*), count(distinct id) from '{file}'") == [(count, count)]
    frame = geopandas.read_parquet(tmp_path / "parts" / "WaterBody.parquet")
    assert frame.geometry[0].equals(city["pond"].footprint)


def test_openpyxl_opens_the_workbook(tmp_path: Path) -> None:
    city = everything(tmp_path)
    export_city(city, "xlsx", tmp_path / "a.xlsx", language="en", k=0)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert set(book.sheetnames) == set(city.types())
    head, *rows = book["Building"].iter_rows(values_only=True)
    assert [row[0] for row in rows] == ["h0", "h1", "h2"]
    at = next(place for place, title in enumerate(head) if str(title).lower().startswith("height"))
    assert [row[at] for row in rows] == [10.0, None, 7.5]


def check_cityjson(document: dict[str, Any], vertices: list[Any]) -> int:
    """Check types and indices of a CityJSON object by the specification, without our code, and return its number of geometries."""
    levels = {
        "MultiPoint": 1,
        "MultiLineString": 2,
        "MultiSurface": 3,
        "CompositeSurface": 3,
        "Solid": 4,
        "MultiSolid": 5,
        "CompositeSolid": 5,
    }
    assert all(len(vertex) == 3 and all(type(value) is int for value in vertex) for vertex in vertices)
    count = 0

    def walk(value: Any, depth: int) -> None:
        if depth == 0:
            assert type(value) is int
            assert 0 <= value < len(vertices)
        else:
            assert isinstance(value, list)
            for one in value:
                walk(one, depth - 1)

    for id, one in document["CityObjects"].items():
        assert isinstance(one["type"], str)
        assert all(id in document["CityObjects"][part]["parents"] for part in one.get("children", []))
        for geometry in one.get("geometry", []):
            count += 1
            if geometry["type"] == "GeometryInstance":
                assert len(geometry["transformationMatrix"]) == 16
                walk(geometry["boundaries"], 1)
                continue
            walk(geometry["boundaries"], levels[geometry["type"]])
            surfaces = geometry.get("semantics", {}).get("surfaces", [])
            values = np.array([value for value in _leaves(geometry.get("semantics", {}).get("values")) if value is not None], int)
            assert ((values >= 0) & (values < len(surfaces))).all()
    return count


def _leaves(value: Any) -> list[Any]:
    return [leaf for one in value for leaf in _leaves(one)] if isinstance(value, list) else [value]


def test_the_cityjson_is_sound_by_its_specification(tmp_path: Path) -> None:
    city = everything(tmp_path)
    export_city(city, "cityjson", tmp_path / "a.city.json", k=0)
    document = json.loads((tmp_path / "a.city.json").read_text("utf-8"))
    assert (document["type"], document["version"]) == ("CityJSON", "2.0")
    assert set(document["CityObjects"]) == set(city.tables["objects"]["id"].to_pylist())
    assert check_cityjson(document, document["vertices"]) >= city.tables.rows("geometries")


def test_every_line_of_the_sequence_is_sound(tmp_path: Path) -> None:
    city = everything(tmp_path)
    export_city(city, "cityjsonseq", tmp_path / "a.city.jsonl", k=0)
    head, *features = [json.loads(line) for line in (tmp_path / "a.city.jsonl").read_text("utf-8").splitlines()]
    assert (head["type"], head["CityObjects"], head["vertices"]) == ("CityJSON", {}, [])
    assert "transform" in head
    assert all(one["type"] == "CityJSONFeature" and one["id"] in one["CityObjects"] for one in features)
    assert sorted(id for one in features for id in one["CityObjects"]) == sorted(city.tables["objects"]["id"].to_pylist())
    assert sum(check_cityjson(one, one["vertices"]) for one in features) >= city.tables.rows("geometries")


@pytest.mark.parametrize("format", FORMATS)
def test_the_hague_goes_out_whole(shared_data: Callable[..., Path], tmp_path: Path, format: str) -> None:
    city = read(shared_data("city", "cityjson", "DenHaag_01.city.json"))
    city = city.subset(city.keys()[:300])
    path = tmp_path / FILES[format]
    export_city(city, format, path)
    count: dict[str, Callable[[], int]] = {
        "gltf": lambda: sum(len(table["id"]) for table in Glb(path).tables.values()),
        "geoparquet": lambda: sum(pq.read_metadata(file).num_rows for file in path.glob("*.parquet")),
        "geopackage": lambda: sum(pyogrio.read_info(path, layer=name)["features"] for name in city.types()),
        "xlsx": lambda: sum(sheet.max_row - 1 for sheet in openpyxl.load_workbook(path)),
        "cityjson": lambda: len(json.loads(path.read_text("utf-8"))["CityObjects"]),
        "cityjsonseq": lambda: sum(len(json.loads(line)["CityObjects"]) for line in path.read_text("utf-8").splitlines()),
    }
    assert count[format]() == 300


# ---------------------------------------------------------------- whole or not at all

STEPS: dict[str, tuple[Any, str]] = {
    "cityjson": (cityjson_writer, "lost_tables"), "cityjsonseq": (cityjson_writer, "lost_tables"), "gltf": (os, "fsync"),
    "geopackage": (pyogrio, "write_dataframe"), "geoparquet": (geopandas.GeoDataFrame, "to_parquet"), "xlsx": (openpyxl.Workbook, "save"),
}  # fmt: skip
"""What breaks in the middle of each writer."""


@pytest.mark.parametrize("before", [False, True], ids=["new", "over an old one"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_writer_that_breaks_leaves_everything_as_it_was(
    tmp_path: Path, format: str, before: bool, monkeypatch: pytest.MonkeyPatch  # noqa: FBT001  # pytest hands it over
) -> None:  # fmt: skip
    city = everything(tmp_path)
    target = tmp_path / "there" / FILES[format]
    target.parent.mkdir()
    if before and format == "geoparquet":
        target.mkdir()
    elif before:
        target.write_bytes(b"old")
    kept = sorted(target.parent.rglob("*"))
    owner, name = STEPS[format]
    real, calls = getattr(owner, name), []

    def broken(*arguments: Any, **words: Any) -> Any:
        calls.append(name)
        stops = len(calls) == (2 if format in {"geopackage", "geoparquet"} else 1)
        made = real(*arguments, **words) if format == "xlsx" or not stops else None  # openpyxl cannot be stopped before its end
        if stops:
            raise OSError(28, "No space left on device")
        return made

    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(UsageError, match="No space left on device"):
        export_city(city, format, target)
    assert calls
    pictures = [target.parent / "roof.png"] if format.startswith("cityjson") else []  # copied beside it before the file is begun
    assert sorted(set(target.parent.rglob("*")) - set(pictures)) == kept
    assert not before or format == "geoparquet" or target.read_bytes() == b"old"


def test_a_folder_with_something_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "mine.txt").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match="is not an empty folder"):
        export_city(everything(tmp_path), "geoparquet", tmp_path / "parts")
    assert [file.name for file in (tmp_path / "parts").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("format", ["geopackage", "geoparquet", "gltf", "xlsx"])
def test_progress_is_told_to_the_end(tmp_path: Path, format: str) -> None:
    seen: list[Report] = []
    before = set_sink(seen.append)
    try:
        export_city(everything(tmp_path), format, tmp_path / "out")
    finally:
        set_sink(before)
    told = [one for one in seen if one.label.startswith("export")]
    assert told[-1].finished
    assert told[-1].done == told[-1].total


# ---------------------------------------------------------------- levels of detail


@pytest.mark.parametrize("format", ["geopackage", "geoparquet", "xlsx"])
def test_a_level_of_detail_is_wrong_usage_where_a_format_has_none(tmp_path: Path, format: str) -> None:
    with pytest.raises(UsageError, match="holds no levels of detail"):
        export_city(everything(tmp_path), format, tmp_path / "out", lod="1")
    assert not (tmp_path / "out").exists()


def test_a_level_of_detail_goes_to_cityjson_too(tmp_path: Path) -> None:
    city: City = everything(tmp_path)
    export_city(city, "cityjson", tmp_path / "out", lod="1")
    document = json.loads((tmp_path / "out").read_text("utf-8"))
    levels = {geometry["lod"] for one in document["CityObjects"].values() for geometry in one.get("geometry", []) if "lod" in geometry}
    assert levels <= {"0", "1"}
    assert "1" in levels


def test_shapes_of_every_kind_go_into_a_geopackage(tmp_path: Path) -> None:
    export_city(everything(tmp_path), "geopackage", tmp_path / "a.gpkg")
    kinds = {name: pyogrio.read_dataframe(tmp_path / "a.gpkg", layer=name).geometry.iloc[0] for name in ("Road", "WaterBody")}
    assert isinstance(kinds["Road"], shapely.LineString)
    assert isinstance(kinds["WaterBody"], shapely.Polygon)
