"""What leaves the house: nothing of an object above the grade, in any format, in any byte, and no small count of persons."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

import cim
from cim.cli import run
from cim.errors import UsageError
from cim.loaders.export import FORMATS, export_city
from cim.loaders.export_traces import without_traces
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.loss import Losses
from tests.loaders.export_cities import EAST, FILES, NORTH, add_blocks, box_at, lists, png, query
from tests.loaders.glb_checks import Glb

SECRET = "XBUNKERX"
"""Stands in everything that belongs to the hidden object, and in what other tables say about it."""
PLACE = EAST + 7_777.0


def guarded(folder: Path) -> City:
    """Return two houses and a hidden one that leaves traces in every table."""
    builder = CityBuilder("EPSG:4549+5737", name="district")
    source = builder.add_source(SourceRecord(name="register", path="register.gpkg", grade="公开"))
    hidden_source = builder.add_source(SourceRecord(name=f"{SECRET}-list", path=f"{SECRET}.gpkg", grade="绝密"))
    shapes = [box_at(0), box_at(1), shapely.box(PLACE, NORTH, PLACE + 10, NORTH + 10)]
    ids = ["h0", "h1", f"{SECRET}-id"]
    keys = builder.add_objects("Building", ids, names=["a", "b", f"{SECRET}-name"], footprints=shapes, grades=["公开", "public", "secret"],
                               source=source)  # fmt: skip
    inner = builder.add_objects("BuildingRoom", [f"{SECRET}-room"], parents=[ids[2]], grades=["公开"], source=hidden_source)
    bare = builder.add_objects("Road", [f"{SECRET}-road"], footprints=[shapely.LineString([(PLACE, NORTH), (PLACE, NORTH + 9)])])
    builder.add_attributes(keys, "Building", {
        "population": Column([4, 90, 55]), "neighbour": Column(["h1", f"{SECRET}-id", "h0"]),
        "height": Column([10.0, 11.0, 12.0], unit="m"),
        f"{SECRET}_cells": Column([None, None, 7]), "kind": Column(pa.array(["house", "shop", f"{SECRET}-kind"]).dictionary_encode()),
    })  # fmt: skip
    gkeys = add_blocks(builder, keys, shapes)
    builder.add_surfaces(gkeys[:1], 3, "Door", attributes=json.dumps({"leads_to": f"{SECRET}-room"}))
    picture = str(png(folder / f"{SECRET}.png", [[(9, 9, 9)]]))
    textures = builder.add_textures(["wall.png", f"{SECRET}.png"], path=[picture, picture])
    materials = builder.add_materials(["brick", f"{SECRET}-concrete"], diffuse=[(0.5, 0.4, 0.3), (0.1, 0.1, 0.1)])
    uv = pa.array([[[0.0, 0.0]] * 24], pa.list_(pa.list_(pa.float64(), 2)))
    builder.add_appearances(gkeys[:1], theme="t", materials=lists([[int(materials[0])] * 6]))
    builder.add_appearances(
        gkeys[2:], theme="t", materials=lists([[int(materials[1])] * 6]), textures=lists([[int(textures[1])] * 6]), uv=uv
    )
    builder.add_properties([keys[0], keys[1], keys[2]], "cityjson.attribute", ["see", "use", "use"],
                           [f'["{SECRET}-id"]', '"shop"', f'"{SECRET}"'])  # fmt: skip
    builder.add_properties(keys[:1], "Pset", ["guarded by"], [f"{SECRET}-id"])
    builder.add_identifiers(keys[2:], "register", [f"{SECRET}-77"])
    builder.add_relations(keys[:1], "connectsTo", keys[2:])
    builder.add_claims(keys[2:], "height", [f'"{SECRET}"'], source=hidden_source)
    builder.add_matches(keys[2:], hidden_source, [f"{SECRET}-record"])
    builder.add_coverage(int(inner[0]), kind="raster", path=picture, format="PNG")
    builder.add_links(bare, "roads", [f"{SECRET}-n0"], [f"{SECRET}-n1"])
    builder.add_issue("assumed", f"{SECRET}-id stands alone", object=int(keys[2]))
    builder.add_issue("lost", f"3 records of {SECRET}-list are lost", source=hidden_source)
    builder.add_issue("conflict", f"it touches {SECRET}-id", object=int(keys[0]))
    city = builder.build()
    members = {"metadata": {"title": f"{SECRET} survey", "geographicalExtent": [EAST, NORTH, 0, PLACE + 10, NORTH + 10, 12]}}
    return City(city.crs, city.origin, city.tables, city.attributes, city.name, extra={"cityjson": {"members": members}})


def contents(path: Path) -> bytes:
    """Return all bytes of a file or folder, names of files and unpacked sheets among them."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    data = b"".join(file.name.encode() + file.read_bytes() for file in files if file.is_file())
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            data += b"".join(name.encode() + archive.read(name) for name in archive.namelist())
    if path.is_dir():  # columns lie compressed in Parquet
        data += b"".join(pq.read_table(file).to_pandas().to_csv().encode() for file in files)
        data += b"".join(str(query(f"select * from parquet_metadata('{file}')")).encode() for file in files)
    return data


def ids_in(format: str, path: Path) -> set[str]:
    """Return the ids that an independent reader finds in a file."""
    if format == "geopackage":
        with sqlite3.connect(path) as base:
            layers = [row[0] for row in base.execute("select table_name from gpkg_contents")]
            return {row[0] for layer in layers for row in base.execute(f'select id from "{layer}"')}
    if format == "geoparquet":
        return {id for file in path.glob("*.parquet") for (id,) in query(f"select id from '{file}'")}
    if format == "xlsx":
        book = openpyxl.load_workbook(path)
        return {str(row[0]) for sheet in book for row in sheet.iter_rows(min_row=2, values_only=True)}
    if format == "gltf":
        return {id for table in Glb(path).tables.values() for id in table["id"]}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {id for line in lines for id in line["CityObjects"]}


@pytest.mark.parametrize("format", FORMATS)
def test_no_byte_tells_of_a_hidden_object(tmp_path: Path, format: str) -> None:
    city = guarded(tmp_path)
    path = tmp_path / "all" / FILES[format]
    export_city(city, format, path, k=0)
    assert SECRET.encode() in contents(path)  # the search would find it
    path = tmp_path / "shown" / FILES[format]
    report = export_city(city, format, path, grade="public", k=0)
    data = contents(path) + b"".join(file.name.encode() + file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    for word in (SECRET.encode(), SECRET.lower().encode(), SECRET.encode("utf-16-le"), str(int(PLACE)).encode()):
        assert word not in data, word
    assert ids_in(format, path) == {"h0", "h1"}
    assert SECRET not in report.text()
    counts = {row["what"]: row["count"] for row in report.rows()}
    assert counts["objects above the grade public"] == 2  # the bunker, and the room in it
    assert counts["objects without a known grade, which count as the highest"] == 1
    assert counts["texts that name a hidden object"] >= 1


@pytest.mark.parametrize("format", FORMATS)
def test_the_extent_of_a_file_is_that_of_what_is_shown(tmp_path: Path, format: str) -> None:
    path = tmp_path / FILES[format]
    export_city(guarded(tmp_path), format, path, grade="public")
    east: dict[str, Callable[[], float]] = {
        "geopackage": lambda: pyogrio.read_info(path, layer="Building", force_total_bounds=True)["total_bounds"][2],
        "geoparquet": lambda: geopandas.read_parquet(path / "Building.parquet").total_bounds[2],
        "gltf": lambda: max(points[:, 0].max() for _, _, points in Glb(path).all_placed()),
        "xlsx": lambda: EAST + 40,
    }
    if format.startswith("cityjson"):
        first = json.loads(path.read_text("utf-8").splitlines()[0])
        found = first.get("metadata", {}).get("geographicalExtent", [0, 0, 0, EAST + 40])[3]
    else:
        found = east[format]()
    assert found == pytest.approx(EAST + 40, abs=0.001)


def populations(format: str, path: Path) -> dict[str, Any]:
    """Return the population by id that an independent reader finds."""
    if format == "geopackage":
        with sqlite3.connect(path) as base:
            return dict(base.execute("select id, population from Building"))
    if format == "geoparquet":
        rows = query(f"select id, population from '{path}/Building.parquet'")
        return {id: None if value is None or np.isnan(value) else value for id, value in rows}
    if format == "xlsx":
        head, *rows = openpyxl.load_workbook(path)["Building"].iter_rows(values_only=True)
        at = next(place for place, title in enumerate(head) if "population" in str(title) or "人口" in str(title))
        return {str(row[0]): row[at] for row in rows}
    if format == "gltf":
        table = Glb(path).tables["Building"]
        return dict(zip(table["id"], table["population"], strict=True))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    objects = {id: one for line in lines for id, one in line["CityObjects"].items()}
    return {id: one["attributes"].get("population") for id, one in objects.items() if one["type"] == "Building"}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("k", "shown"), [(0, 4), (4, 4), (5, None)])
def test_small_counts_are_empty_in_every_format(tmp_path: Path, format: str, k: int, shown: int | None) -> None:
    report = export_city(guarded(tmp_path), format, tmp_path / FILES[format], grade="公开", k=k)
    found = populations(format, tmp_path / FILES[format])
    assert (found["h0"], found["h1"]) == (shown, 90)
    counts = {row["what"]: row["count"] for row in report.rows()}
    assert counts.get(f"counts of persons below {k}", 0) == (1 if shown is None else 0)


@pytest.mark.parametrize("format", FORMATS)
def test_the_command_line_hides_the_same(tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    cim.save(guarded(tmp_path), tmp_path / "city.cim")
    path = tmp_path / "out" / FILES[format]
    arguments = ["export", str(tmp_path / "city.cim"), "--to", format, "-o", str(path), "--grade", "public", "--k", "10", "--json"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    told = {row["what"]: row["count"] for row in json.loads(said)["lost"]}
    assert told["objects above the grade public"] == 2
    assert told["counts of persons below 10"] == 1
    assert SECRET not in said
    assert SECRET.encode() not in contents(path)
    assert populations(format, path) == {"h0": None, "h1": 90}


def test_a_grade_nobody_knows_is_wrong_usage_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'blue' is not known"):
        export_city(guarded(tmp_path), "gltf", tmp_path / "out.glb", grade="blue")
    assert not (tmp_path / "out.glb").exists()


def test_a_city_of_which_nothing_is_hidden_stays_as_it_is(tmp_path: Path) -> None:
    city, losses = guarded(tmp_path), Losses()
    assert without_traces(city, city, losses) is city
    assert not losses.rows


def test_texts_of_shown_objects_stay_where_they_name_shown_ones(tmp_path: Path) -> None:
    export_city(guarded(tmp_path), "geoparquet", tmp_path / "out", grade="public")
    frame = geopandas.read_parquet(tmp_path / "out" / "Building.parquet").set_index("id")
    assert frame["neighbour"].dropna().to_dict() == {"h0": "h1"}
    assert frame["kind"].to_dict() == {"h0": "house", "h1": "shop"}
