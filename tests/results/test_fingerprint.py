"""The same content has the same hash, however it lies in memory; any other content has another."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.model import City, CityBuilder, Column, SourceRecord
from cim.results import array_fingerprint, city_fingerprint, table_fingerprint


def make_city(height: float = 12.0, *, unit: str = "m", path: str = "a.shp", crs: str = "EPSG:4549") -> City:
    builder = CityBuilder(crs)
    source = builder.add_source(SourceRecord("a", path=path, sha256="ab"))
    keys = builder.add_objects("Building", ["a", "b"], footprints=shapely.box([0, 30], 0, [10, 40], 20), source=source)
    builder.add_attributes(keys, "Building", {"height": Column([height, None], unit=unit)})
    return builder.build()


def test_two_readings_of_one_file_have_one_hash() -> None:
    assert city_fingerprint(make_city()) == city_fingerprint(make_city(path="/elsewhere/a.shp"))


@pytest.mark.parametrize("other", [make_city(12.000001), make_city(unit="ft"), make_city(crs="EPSG:4548")], ids=["value", "unit", "crs"])
def test_another_content_has_another_hash(other: City) -> None:
    assert city_fingerprint(make_city()) != city_fingerprint(other)


values = st.lists(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3)), min_size=2, max_size=8)


@given(values, st.data())
def test_chunks_slices_and_what_lies_under_nulls_do_not_matter(rows: list[list[str | None] | None], data: st.DataObject) -> None:
    column = pa.array(rows, pa.list_(pa.string()))
    cut = data.draw(st.integers(0, len(rows)))
    padded = pa.array([["x"], *rows, None], pa.list_(pa.string())).slice(1, len(rows))
    chunked = pa.chunked_array([column.slice(0, cut), column.slice(cut)])
    prints = {table_fingerprint(pa.table({"a": one})) for one in (column, padded, chunked, column.cast(pa.list_(pa.large_string())))}
    assert len(prints) == 1
    if rows != rows[::-1]:
        assert table_fingerprint(pa.table({"a": pa.array(rows[::-1], column.type)})) not in prints


def test_moving_a_boundary_between_texts_is_noticed() -> None:
    assert table_fingerprint(pa.table({"a": ["ab", "c"]})) != table_fingerprint(pa.table({"a": ["a", "bc"]}))
    assert table_fingerprint(pa.table({"a": ["", None]})) != table_fingerprint(pa.table({"a": [None, ""]}))


def test_every_kind_of_column_is_hashed() -> None:
    point = pa.array([[1.0, 2.0, 3.0], None], pa.list_(pa.float64(), 3))
    box = pa.array([{"x": 1.0}, None], pa.struct([("x", pa.float64())]))
    when = pa.array([5, None], pa.timestamp("us", tz="UTC"))
    words = pa.array(["a", None]).dictionary_encode()
    table = pa.table({"p": point, "b": box, "t": when, "w": words, "f": [True, None], "n": pa.nulls(2), "d": pa.array([b"a", b""])})
    first = table_fingerprint(table)
    assert first == table_fingerprint(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    for name in table.column_names[:-2]:
        flipped = table.set_column(table.column_names.index(name), table.schema.field(name), table[name].take(pa.array([1, 0])))
        assert table_fingerprint(flipped) != first, name


def test_nan_and_zero_have_one_form_each() -> None:
    assert array_fingerprint(np.array([np.nan, 0.0])) == array_fingerprint(np.array([-np.nan, -0.0]))
    assert array_fingerprint(np.zeros(3)) != array_fingerprint(np.zeros(3, np.float32))
