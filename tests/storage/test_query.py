from __future__ import annotations

import dataclasses
from pathlib import Path

import geopandas
import numpy as np
import pyarrow as pa
import pytest

import cim.storage.query
from cim.errors import UsageError
from cim.model import City, CityBuilder, Column
from cim.storage import open, save, sql


@pytest.fixture(params=["in memory", "stored", "by path", "changed"])
def asked(request: pytest.FixtureRequest, city: City, store: Path) -> City | Path:
    """Give the same city in each form that can be asked."""
    if request.param == "by path":
        return store
    if request.param == "in memory":
        return city
    opened = open(store)
    return opened if request.param == "stored" else opened.replace_tables(attributes={"Building": city.attributes["Building"]})


def test_core_columns_and_attributes_stand_side_by_side(asked: City | Path, city: City) -> None:
    found = sql(asked, "SELECT id, height, z_roof FROM Building WHERE height > 30 ORDER BY key")
    assert found["id"].tolist() == city.ids(city.keys("Building", where="height > 30"))
    assert (found["height"] == found["z_roof"]).all()


def test_tables_join_by_the_key_of_the_object(asked: City | Path) -> None:
    query = "SELECT o.type, g.lod, count(*) AS n FROM objects o JOIN geometries g ON g.object = o.key GROUP BY ALL"
    assert sql(asked, query).to_dict("records") == [{"type": "Building", "lod": "1", "n": 200}]


def test_every_table_and_class_can_be_asked(asked: City | Path, city: City) -> None:
    names = sql(asked, "SHOW TABLES")["name"].tolist()
    assert set(names) == {*city.tables, *city.attributes}
    for name in names:
        counted = sql(asked, f'SELECT count(*) AS n FROM "{name}"')["n"].item()
        assert counted == (city.tables.rows(name) if name in city.tables else city.attributes.rows(name))
        assert len(sql(asked, f'SELECT * FROM "{name}"')) == counted


def test_footprints_come_as_geometry(asked: City | Path, city: City) -> None:
    found = sql(asked, "SELECT id, footprint FROM Building WHERE bbox.xmin < 85050 ORDER BY key")
    assert isinstance(found, geopandas.GeoDataFrame)
    assert found.crs == city.crs.horizontal
    assert found.geometry.area.tolist() == city.table("Building").geometry.area.loc[found["id"]].tolist()


def test_no_answer_is_an_empty_table(asked: City | Path) -> None:
    assert len(sql(asked, "SELECT id, footprint FROM Building WHERE height > 1e6")) == 0


SECRET = "root:"


@pytest.mark.parametrize("query", [
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "COPY objects TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '{folder}/out.parquet'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/out.db' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "SET enable_external_access = true",
    "RESET enable_external_access",
    "SET memory_limit = '1TB'",
    "PRAGMA threads=64",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE SECRET s (TYPE S3)",
    "DROP VIEW Building",
    "INSERT INTO objects SELECT * FROM objects",
    "UPDATE Building SET height = 0",
    "DELETE FROM Building",
    "SELECT 1; DROP VIEW Building",
    "SELECT 1; SELECT 2",
    "EXPLAIN ANALYZE COPY objects TO '{folder}/out.csv'",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret_frame",
    "SELECT nonsense FROM Building",
    "SELEC 1",
    "",
    "-- nothing",
])  # fmt: skip
def test_a_query_reaches_nothing_but_the_tables(query: str, store: Path, tmp_path: Path) -> None:
    secret_frame = pa.table({"x": [SECRET]})  # a Python variable of this name must not become a table
    file = tmp_path / "secret.csv"
    file.write_text(f"a,b\n{SECRET},2\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="the query") as caught:
        sql(store, query.format(file=file, folder=tmp_path))
    assert SECRET not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert secret_frame.num_rows == 1


def test_settings_are_locked_before_the_query_runs(store: Path) -> None:
    found = sql(store, "SELECT name, value FROM duckdb_settings()").set_index("name")["value"]
    assert found["enable_external_access"] == "false"
    assert found["lock_configuration"] == "true"
    assert found["python_enable_replacements"] == "false"


def test_class_names_of_any_kind_are_tables(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:7415")
    for name in ("建筑", 'x"; DROP VIEW objects; --', "OBJECTS"):
        keys = builder.add_objects(name, [name])
        builder.add_attributes(keys, name, {"Name": Column(["n"]), "层 数": Column([3])})
    city = builder.build()
    save(city, tmp_path / "x.cim")
    for asked in (city, tmp_path / "x.cim"):
        assert sql(asked, 'SELECT "层 数" FROM 建筑').to_numpy().tolist() == [[3]]
        assert sql(asked, 'SELECT id FROM "x""; DROP VIEW objects; --"').to_numpy().tolist() == [['x"; DROP VIEW objects; --']]
        assert sql(asked, "SELECT id FROM OBJECTS_class")["id"].tolist() == ["OBJECTS"]
        assert len(sql(asked, "SELECT * FROM objects")) == 3


def test_a_query_that_needs_too_much_memory_is_stopped(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cim.storage.query, "_MEMORY", "20MB")
    with pytest.raises(UsageError, match="the query cannot be answered: Out of Memory"):
        sql(city, "SELECT list(i) FROM range(50000000) AS t(i)")


def test_the_answer_is_of_the_city_and_not_of_the_store(store: Path) -> None:
    found = open(store)
    taller = pa.array(np.asarray(found.column("Building", "height")) + 100)
    table = found.attributes["Building"]
    changed = found.replace_tables(attributes={"Building": table.set_column(1, table.schema.field("height"), taller)})
    assert sql(changed, "SELECT min(height) AS h FROM Building")["h"].item() > 100
    assert sql(dataclasses.replace(changed, name="x"), "SELECT max(height) AS h FROM Building")["h"].item() > 100
