"""Every part opens by itself: in geopandas, pandas, Arrow and DuckDB, with nothing of the toolkit."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import shapely

from cim.model import City, CityBuilder
from cim.storage import open, parts, save
from cim.storage.parts import class_table, geo_metadata


def part_of(store: Path, name: str) -> Path:
    return store / next(part.path for part in parts(store) if part.name == name)


def test_a_class_is_a_layer_of_its_own_in_geopandas(city: City, store: Path) -> None:
    found = geopandas.read_parquet(part_of(store, "Building"))
    assert found.crs == city.crs.horizontal
    assert found["id"].tolist() == city.ids(city.keys("Building"))
    assert found["height"].tolist() == city.column("Building", "height").to_pylist()
    assert shapely.equals_exact(found.geometry.to_numpy(), city.footprints(city.keys("Building"))).all()


def test_geopandas_reads_only_what_touches_a_box(city: City, store: Path) -> None:
    box = (85_095.0, 446_000.0, 85_300.0, 448_000.0)
    found = geopandas.read_parquet(part_of(store, "Building"), bbox=box)
    assert found["id"].tolist() == city.ids(city.keys("Building", bbox=box))


def test_every_part_opens_in_pandas_and_duckdb(city: City, store: Path) -> None:
    for part in parts(store):
        assert len(pd.read_parquet(store / part.path)) == part.rows
        answer = duckdb.connect().execute("SELECT count(*) FROM read_parquet(?)", [str(store / part.path)]).fetchone()
        assert answer == (part.rows,)
    assert {part.name for part in parts(store)} == {name for name in city.tables if city.tables.rows(name)} - {"objects"} | {
        "Building",
        "Road",
    }


def test_the_metadata_follow_geoparquet_1_1(store: Path) -> None:
    for name, kinds in (("Building", ["Polygon"]), ("Road", ["LineString"])):
        file = pq.ParquetFile(part_of(store, name))
        geo = json.loads(file.schema_arrow.metadata[b"geo"])
        column = geo["columns"][geo["primary_column"]]
        assert (geo["version"], geo["primary_column"]) == ("1.1.0", "footprint")
        assert (column["encoding"], column["geometry_types"], column["edges"]) == ("WKB", kinds, "planar")
        assert column["crs"]["id"] == {"authority": "EPSG", "code": 28992}
        covering = column["covering"]["bbox"]
        assert covering == {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}
        assert pa.types.is_struct(file.schema_arrow.field("bbox").type)
        stored = geopandas.read_parquet(part_of(store, name))
        assert (np.array(column["bbox"]) == stored.total_bounds).all()


def test_kinds_of_geometry_are_read_from_the_head_of_the_wkb() -> None:
    shapes = [
        shapely.Point(1, 2),
        shapely.MultiPoint([(0, 0), (1, 1)]),
        shapely.box(0, 0, 1, 1),
        None,
        shapely.MultiPolygon([shapely.box(0, 0, 1, 1)]),
    ]
    city = CityBuilder("EPSG:7415")
    city.add_objects("LandUse", ["a", "b", "c", "d", "e"], footprints=np.array(shapes, object))
    built = city.build()
    table = class_table(built.tables["objects"], built.attributes["LandUse"], "LandUse")
    assert geo_metadata(table, built.crs)["columns"]["footprint"]["geometry_types"] == ["MultiPoint", "MultiPolygon", "Point", "Polygon"]
    big_endian = pa.array([shapely.to_wkb(shapely.Point(1, 2), byte_order=0), None], pa.binary())
    other = table.slice(0, 2).set_column(table.column_names.index("footprint"), "footprint", big_endian)
    assert geo_metadata(other, built.crs)["columns"]["footprint"]["geometry_types"] == ["Point"]
    cut = other.set_column(table.column_names.index("footprint"), "footprint", pa.array([b"\x01", None], pa.binary()))
    assert geo_metadata(cut, built.crs)["columns"]["footprint"]["geometry_types"] == []


def test_units_and_labels_are_in_the_part_itself(store: Path) -> None:
    field = pq.read_schema(part_of(store, "Building")).field("height")
    assert field.metadata is not None
    assert field.metadata[b"unit"] == b"m"
    assert field.metadata[b"label_zh"].decode() == "高度"


def test_the_origin_of_the_vertices_is_in_the_part_itself(city: City, store: Path) -> None:
    said = json.loads(pq.read_schema(part_of(store, "geometries")).metadata[b"cim"])
    assert said == {"table": "geometries", "facts": {"crs": "EPSG:7415", "origin": city.origin.tolist()}}


@pytest.mark.parametrize("rows", [40_000])
def test_a_small_box_reads_few_row_groups(rows: int, tmp_path: Path) -> None:
    side = int(rows**0.5)
    x, y = (axis.ravel() * 20.0 for axis in np.meshgrid(np.arange(side), np.arange(side)))
    builder = CityBuilder("EPSG:7415")
    order = np.random.default_rng(1).permutation(len(x))
    builder.add_objects("Building", [f"b{row}" for row in order], footprints=shapely.box(x, y, x + 10, y + 10)[order])
    save(builder.build(), tmp_path / "x.cim")
    (fragment,) = ds.dataset(part_of(tmp_path / "x.cim", "Building")).get_fragments()
    box = (ds.field("bbox", "xmin") <= 100) & (ds.field("bbox", "ymin") <= 100)
    assert len(fragment.split_by_row_group()) == -(-len(x) // 16_384) == 3
    assert len(fragment.split_by_row_group(box)) == 1
    assert len(open(tmp_path / "x.cim").keys("Building", bbox=(0, 0, 100, 100))) == 36
