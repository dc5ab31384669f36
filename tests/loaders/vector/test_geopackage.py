"""GeoPackage and SpatiaLite: opened as copies, checked page by page, only tables read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely

from cim.errors import CorruptFileError, CRSError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders import Limits, read
from cim.model import City

BOXES = shapely.box([85000, 85020, 85040], 447000, [85010, 85030, 85050], 447010)


def written(folder: Path, *layers: str, crs: str = "EPSG:28992") -> Path:
    path = folder / "town.gpkg"
    for number, name in enumerate(layers or ("buildings",)):
        frame = geopandas.GeoDataFrame({"nr": [1, 2, 3], "H": [3.0, 6.0, 9.0]}, geometry=BOXES, crs=crs)
        frame.to_file(path, layer=name, driver="GPKG", mode="a" if number else "w")
    return path


def messages(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code]


def change(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def view(path: Path, name: str, query: str) -> None:
    """Register a stored query as a spatial layer, as QGIS and others do."""
    columns = "table_name, column_name, geometry_type_name, srs_id, z, m"
    change(
        path,
        f"CREATE VIEW {name} AS {query}",
        f"INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('{name}', 'features', '{name}', 28992)",
        f"INSERT INTO gpkg_geometry_columns ({columns}) VALUES ('{name}', 'geom', 'POLYGON', 28992, 0, 0)",
    )


def test_every_layer_is_read_and_classed_by_its_name(tmp_path: Path) -> None:
    city = read(written(tmp_path, "buildings", "roads", "树"))
    assert city.types() == {"Building": 3, "Road": 3, "SolitaryVegetationObject": 3}
    assert sorted(city.ids(city.keys("Road"))) == ["roads.1", "roads.2", "roads.3"]


def test_one_layer_is_read_when_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, "buildings", "roads")
    assert read(path, layer="roads").types() == {"Road": 3}
    with pytest.raises(InputError, match=r"no layer 'rods'; give one of: buildings, roads"):
        read(path, layer="rods")


def test_layers_in_two_systems_come_together_and_that_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, "buildings")
    far = geopandas.GeoDataFrame({"nr": [7]}, geometry=[BOXES[0]], crs="EPSG:28992").to_crs("EPSG:4326")
    far.to_file(path, layer="roads", driver="GPKG", mode="a")
    city = read(path)
    assert city.crs.to_string() == "EPSG:28992"
    moved = city.footprints(city.keys("Road"))[0]
    assert moved.hausdorff_distance(BOXES[0]) < 0.01  # there and back through degrees written as float64: far below a millimetre
    assert "brought to" in messages(city, "crs")[0]


def test_a_finite_view_is_left_out_and_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    view(path, "tall", "SELECT * FROM buildings WHERE H > 5")
    city = read(path)
    assert len(city) == 3
    assert "layer tall is a view (a stored query of 2 rows)" in messages(city, "unsupported")[0]
    with pytest.raises(UnsafeInputError, match="only tables are read"):
        read(path, layer="tall")


def test_an_endless_view_is_refused_in_time_and_the_table_beside_it_loads(tmp_path: Path) -> None:
    path = written(tmp_path)
    view(path, "v", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n FROM c) SELECT 1 AS fid, NULL AS geom FROM c WHERE n = 2")
    with pytest.raises(LimitError, match="view"):
        read(path)
    assert len(read(path, layer="buildings")) == 3


def test_a_cut_database_is_truncated(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CorruptFileError, match=r"town\.gpkg: is a truncated SQLite database"):
        read(path)


def test_a_damaged_page_is_corrupt(tmp_path: Path) -> None:
    path = written(tmp_path)
    database = sqlite3.connect(path)
    (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'buildings'").fetchone()
    (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : (page - 1) * size + 200] = b"\xa5" * 200
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="corrupt"):
        read(path)


def test_one_broken_geometry_of_three_leaves_two(tmp_path: Path) -> None:
    path = written(tmp_path)
    database = sqlite3.connect(path)
    _drop_triggers(database)
    (blob,) = database.execute("SELECT geom FROM buildings WHERE nr = 2").fetchone()
    database.execute("UPDATE buildings SET geom = ? WHERE nr = 2", (blob[:-40],))
    database.commit()
    database.close()
    city = read(path)
    assert len(city) == 2
    assert "record 1: its geometry (WKB) is corrupt" in messages(city, "rejected")[0]


def test_bytes_that_are_no_text_are_replaced_and_said(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    geopandas.GeoDataFrame({"kind": ["a", "bb", "c"]}, geometry=BOXES, crs="EPSG:28992").to_file(path, layer="buildings", driver="GPKG")
    database = sqlite3.connect(path)
    _drop_triggers(database)
    database.execute("UPDATE buildings SET kind = CAST(x'ff41' AS TEXT) WHERE kind = 'bb'")
    database.commit()
    database.close()
    city = read(path)
    assert sorted(city.column("Building", "kind").to_pylist()) == ["a", "c", "\ufffdA"]
    assert "1 texts hold bytes that are not UTF-8" in messages(city, "encoding")[0]


def test_unfinished_transactions_of_a_real_log_are_read_and_nothing_is_changed(tmp_path: Path) -> None:
    path = written(tmp_path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    _drop_triggers(database)
    database.execute("UPDATE buildings SET H = 77 WHERE nr = 1")
    database.commit()
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    city = read(path, mapping={"attributes": {"height": "H"}})
    assert 77.0 in city.column("Building", "height").to_pylist()
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    database.close()


def _drop_triggers(database: sqlite3.Connection) -> None:
    """Drop the triggers of a GeoPackage, which need functions that only GDAL brings."""
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f'DROP TRIGGER "{name}"')


def test_a_log_of_garbage_is_ignored_and_said(tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "town.gpkg-wal").write_bytes(b"garbage" * 100)
    city = read(path)
    assert len(city) == 3
    assert "no write-ahead log" in messages(city, "lost")[0]


@pytest.mark.parametrize("srs", [-1, 0, 4711])
def test_a_layer_without_a_usable_system_asks_for_it(srs: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    change(
        path, "PRAGMA foreign_keys = OFF", f"UPDATE gpkg_geometry_columns SET srs_id = {srs}", f"UPDATE gpkg_contents SET srs_id = {srs}"
    )
    with pytest.raises(CRSError, match="give crs="):
        read(path)
    assert read(path, "EPSG:28992").crs.to_string() == "EPSG:28992"


def test_too_many_records_are_refused_by_their_count(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="3 records, above the limit of 2"):
        read(written(tmp_path), limits=Limits(records=2))


def test_a_database_without_spatial_tables_is_refused(tmp_path: Path) -> None:
    change(tmp_path / "a.db", "CREATE TABLE t (a)")
    with pytest.raises(FormatError, match="SQLite database without spatial tables"):
        read(tmp_path / "a.db")


@pytest.mark.data
def test_all_register_layers_of_delft_arrive_complete(shared_data: Callable[..., Path]) -> None:
    files = sorted(shared_data("city", "delft").glob("bgt_*.sqlite"))
    cities = {file.stem.removeprefix("bgt_"): read(file) for file in files}
    assert sum(map(len, cities.values())) == 582
    assert sum(not len(city) for city in cities.values()) == 4
    assert all(messages(city, "empty") for city in cities.values() if not len(city))
    assert cities["pand"].types() == {"Building": 160}
    assert cities["wegdeel"].types() == {"Road": 151}
    assert cities["begroeidterreindeel"].types() == {"PlantCover": 126}
    assert cities["onbegroeidterreindeel"].types() == {"LandUse": 81}
    assert cities["waterdeel"].types() == {"WaterBody": 3}
    assert cities["overbruggingsdeel"].types() == {"Bridge": 3}


@pytest.mark.data
def test_register_numbers_of_delft_meet_their_other_spellings(shared_data: Callable[..., Path]) -> None:
    rows = read(shared_data("city", "delft", "bgt_pand.sqlite")).tables["identifiers"].to_pylist()
    assert "503100000018603" in {row["normalised"] for row in rows if row["scheme"] == "bag"}


@pytest.mark.data
def test_the_four_layers_of_bubenec_keep_their_counts(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "bubenec", "bubenec.gpkg"))
    assert city.types() == {"Building": 144, "GenericThematicSurface": 144, "LandUse": 407, "Road": 35}
    assert len(set(city.tables["objects"]["id"].to_pylist())) == 730
