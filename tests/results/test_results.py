"""Run records, comparison, files and exports of results."""

from __future__ import annotations

import hashlib
import json
import pickle
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import geopandas
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
import rasterio
import shapely
import xarray as xr

from cim.errors import CorruptFileError, CRSMismatchError, FormatError, LimitError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.results import (
    Fields,
    Grid,
    RunRecord,
    Verdicts,
    compare,
    grid_dataset,
    load_result,
    save_result,
    to_excel,
    to_geopackage,
    to_geotiff,
    to_parquet,
    verdicts_from,
)
from cim.results.columns import column

CRS = "EPSG:4549+5737"


def record(**changes: Any) -> RunRecord:
    return RunRecord(
        "far", "1", inputs={"city": "blake2b:ab"}, parameters={"limit": 1.0, "plots": ["p"]}, start=datetime(2026, 7, 1, 7, tzinfo=UTC),
        versions={"numpy": "2"}, wall_seconds=0.25, balance={"in_m3": 1.0}, assumptions=("a",), **changes,
    )  # fmt: skip


def verdicts(values: dict[str, float | None], limit: float = 1.0, run: RunRecord | None = None) -> Verdicts:
    judged = ["not_assessed" if value is None else "pass" if value <= limit else "fail" for value in values.values()]
    columns = {"object": list(values), "value": list(values.values()), "unit": "1", "limit": [limit] * len(values), "verdict": judged}
    reasons = ["missing_storeys" if value is None else None for value in values.values()]
    return verdicts_from("far", run or record(), {**columns, "reason": reasons})


def fields(depth: float = 1.5, *, run: RunRecord | None = None, crs: str = CRS, x_min: float = 40_000_000.0) -> Fields:
    grid = Grid(x_min, 3_460_020.0, 10.0, 5.0, nx=3, ny=4, crs=crs)
    dataset = grid_dataset(grid).assign_coords(water_level=("water_level", [1.0, 2.5], {"units": "m", "standard_name": "water_level"}))
    values = np.arange(24, dtype=float).reshape(2, 4, 3) * depth
    values[0, 0, 0] = np.nan
    says = {"units": "m", "standard_name": "water_depth", "long_name": "water depth"}
    dataset["water_depth"] = (("water_level", "y", "x"), values, says)
    dataset["state"] = (("y", "x"), np.eye(4, 3, dtype=np.uint8), {**says, "units": "1", "flag_values": [0, 1], "flag_meanings": "dry wet"})
    times = pd.date_range("2026-07-01T07:00", periods=2, freq="h").values
    dataset = dataset.assign_coords(time=("time", times))
    dataset["inflow"] = (("time",), np.array([1.0, 2.0]), {"units": "m³/s", "standard_name": "discharge", "long_name": "inflow"})
    depth_field = column("depth_max", pa.float64(), unit="m", en="greatest depth", zh="最大水深")
    schema = pa.schema([pa.field("object", pa.string()), pa.field("level", pa.float64()), pa.field("status", pa.string()), depth_field])
    rows = [{"object": one, "level": 1.0, "status": "wet" if depth > 1 else "dry", "depth_max": depth} for one in ("a", "b")]
    return Fields("inundation", dataset, {"buildings": pa.Table.from_pylist(rows, schema=schema)}, run or record())


@pytest.fixture
def city() -> City:
    builder = CityBuilder(CRS)
    builder.add_objects("Building", ["a", "b"], footprints=shapely.box([500000, 500030], 3460000, [500010, 500040], 3460020))
    return builder.build()


# ---------------------------------------------------------------- run records


def test_a_run_record_survives_json_and_pickle() -> None:
    made = record(seed=7)
    assert RunRecord.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_run_record_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="mappingproxy"):
        record().parameters["limit"] = 2.0  # type: ignore[index]  # that is the point


# ---------------------------------------------------------------- comparison


def test_verdicts_are_compared_by_object() -> None:
    made = compare(verdicts({"a": 0.5, "b": 0.9, "c": None, "d": 2.0}), verdicts({"d": 2.0, "b": 1.5, "c": 0.1, "e": 1.0}))
    rows = {one["object"]: one for one in made.table().to_pylist()}
    assert {name: one["change"] for name, one in rows.items()} == {
        "a": "only in base",
        "b": "pass -> fail",
        "c": "not_assessed -> pass",
        "d": "same",
        "e": "only in option",
    }
    assert rows["b"]["value_difference"] == pytest.approx(0.6)
    assert rows["c"]["value_difference"] is None
    assert made.noise.value == 0.0
    assert [one["object"] for one in made.changed().to_pylist()] == ["a", "b", "c", "e"]


def test_a_comparison_says_what_else_differs() -> None:
    other = RunRecord("far", "2", parameters={"limit": 2.0, "plots": ["p"]}, versions={"numpy": "3"})
    said = compare(verdicts({"a": 0.5}), verdicts({"a": 0.5}, run=other)).warnings
    assert said == ("method version 1 against 2", "parameter limit: 1.0 against 2.0", "version of numpy: '2' against '3'")
    assert compare(verdicts({"a": 0.5}), verdicts({"a": 0.5})).warnings == ("the inputs of both runs are the same",)


def test_the_noise_of_runs_with_chance_is_not_known() -> None:
    noise = compare(verdicts({"a": 0.5}, run=record(seed=1)), verdicts({"a": 0.5}, run=record(seed=2))).noise
    assert noise.value is None
    assert "several seeds" in noise.reason


def test_fields_are_compared_cell_by_cell() -> None:
    made = compare(fields(1.0), fields(1.5))
    assert made.fields is not None
    assert np.nansum(made.fields["water_depth"].values) == np.arange(1, 24).sum() * 0.5
    assert made.fields["state"].values.sum() == 0
    assert made.table("buildings")["change"].to_pylist() == ["dry -> wet"] * 2
    assert made.table("buildings")["depth_max_difference"].to_pylist() == [0.5, 0.5]


def test_an_object_that_has_a_row_per_level_is_compared_level_by_level() -> None:
    def levels(depth: float) -> Fields:
        table = fields(depth).tables["buildings"]
        other = table.set_column(1, table.schema.field("level"), pa.array([2.5] * table.num_rows))
        return Fields("inundation", fields(1.0).dataset, {"buildings": pa.concat_tables([table, other])}, record())

    rows = compare(levels(1.5), levels(2.0)).table("buildings").to_pylist()
    assert [(row["object"], row["level"], row["depth_max_difference"]) for row in rows] == [
        (name, level, 0.5) for level in (1.0, 2.5) for name in ("a", "b")
    ]


def test_a_comparison_shows_what_changed_and_how_sure_it_is(tmp_path: Path) -> None:
    made = compare(verdicts({"a": 0.5, "<b>": 0.9}), verdicts({"a": 0.5, "<b>": 1.5}))
    page = made._repr_html_()
    assert "1 of 2 rows changed" in page
    assert "&lt;b&gt;" in page
    assert "the inputs of both runs are the same" in page
    assert made.to_pandas().loc["a", "change"] == "same"
    with pytest.raises(ObjectNotFoundError, match="'roads'"):
        made.table("roads")
    sheet = openpyxl.load_workbook(to_excel(made, tmp_path / "change.xlsx"))["run 运行记录"]
    assert str(sheet.cell(2, 3).value).startswith("0: both runs are exact")


def test_what_only_one_result_holds_is_named() -> None:
    one = fields()
    less = Fields("inundation", one.dataset.drop_vars("state"), {}, record())
    said = compare(one, less).warnings
    assert "table buildings is only in the base" in said
    assert "field state is only in the base" in said


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot compare Verdicts 'far' with Fields 'inundation'"):
        compare(verdicts({"a": 0.5}), fields())
    with pytest.raises(UsageError, match="differ in x"):
        compare(fields(), fields(x_min=0.0))
    with pytest.raises(CRSMismatchError, match="28992"):
        compare(fields(), fields(crs="EPSG:28992"))
    once = verdicts({"a": 0.5})
    twice = Verdicts("far", pa.concat_tables([once.table, once.table]), record())
    with pytest.raises(UsageError, match="several rows for the same object"):
        compare(twice, once)


# ---------------------------------------------------------------- fields


def test_fields_must_say_what_they_are() -> None:
    bare = xr.Dataset({"depth": (("y", "x"), np.zeros((2, 2)))})
    with pytest.raises(UsageError, match=r"depth has no units.*no attribute crs"):
        Fields("inundation", bare, {}, record())
    with pytest.raises(ObjectNotFoundError, match="'speed'"):
        fields()["speed"]
    with pytest.raises(ObjectNotFoundError, match="'roads'"):
        fields().table("roads")


def test_the_notebook_view_of_fields_names_units_and_ranges() -> None:
    page = fields()._repr_html_()
    assert "water depth" in page
    assert "1.5 – 34.5" in page
    assert fields().to_pandas().attrs["units"]["depth_max"] == "m"


# ---------------------------------------------------------------- files


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.mark.parametrize("result", [verdicts({"a": 0.5, "b": None}), fields()], ids=["verdicts", "fields"])
def test_a_result_comes_back_from_its_folder_as_it_was(result: Verdicts | Fields, tmp_path: Path) -> None:
    loaded = load_result(save_result(result, tmp_path / "run"))
    assert loaded.run == result.run
    if isinstance(result, Verdicts) and isinstance(loaded, Verdicts):
        assert loaded.table.equals(result.table)
    if isinstance(result, Fields) and isinstance(loaded, Fields):
        xr.testing.assert_identical(loaded.dataset, result.dataset)
        assert all(loaded.tables[name].equals(result.tables[name]) for name in result.tables)


@pytest.mark.parametrize("kind", ["verdicts", "fields"])
def test_the_same_result_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    for name, seconds in (("one", 0.1), ("two", 0.2)):
        run = RunRecord("far", "1", wall_seconds=seconds)
        save_result(verdicts({"a": 0.5}, run=run) if kind == "verdicts" else fields(run=run), tmp_path / name)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one.pop("timing.json") != two.pop("timing.json")
    assert one == two


def test_a_folder_that_holds_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    with pytest.raises(UsageError, match="holds no result"):
        save_result(verdicts({"a": 0.5}), tmp_path / "mine")
    save_result(verdicts({"a": 0.5}), tmp_path / "run")
    save_result(verdicts({"a": 0.7}), tmp_path / "run")
    loaded = load_result(tmp_path / "run")
    assert isinstance(loaded, Verdicts)
    assert loaded.table["value"].to_pylist() == [0.7]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "run"]


def test_damaged_and_foreign_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="holds no result"):
        load_result(tmp_path)
    folder = save_result(fields(), tmp_path / "run")
    (folder / "fields" / "water_depth.tif").write_bytes(b"II*\0 not a tiff")
    with pytest.raises(CorruptFileError, match="cannot be read"):
        load_result(folder)
    content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    content["tables"]["buildings"] = "../../secret.parquet"
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CorruptFileError, match="leads out"):
        load_result(folder)
    (folder / "result.json").write_text(json.dumps({**content, "format": 99}), encoding="utf-8")
    with pytest.raises(FormatError, match="format 99, expected 1"):
        load_result(folder)


# ---------------------------------------------------------------- exports


def test_geotiff_has_place_unit_and_one_named_band_per_level(tmp_path: Path) -> None:
    with rasterio.open(to_geotiff(fields(), tmp_path / "depth.tif")) as file:
        assert (file.count, file.units, file.descriptions) == (2, ("m", "m"), ("water_level=1.0", "water_level=2.5"))
        assert tuple(file.bounds) == (40_000_000.0, 3_460_000.0, 40_000_030.0, 3_460_020.0)
        assert file.crs.to_epsg() == 4549
        assert np.array_equal(file.read(), fields()["water_depth"].values, equal_nan=True)
        assert np.isnan(file.nodata)
    with pytest.raises(UsageError, match="expected"):
        to_geotiff(fields(), tmp_path / "inflow.tif", "inflow")


@pytest.mark.parametrize(("kind", "stored"), [("bool", "uint8"), ("int64", "int32"), ("float16", "float64")])
def test_geotiff_keeps_values_of_any_kind_or_refuses(kind: str, stored: str, tmp_path: Path) -> None:
    made = fields()
    odd = made.dataset["state"].astype(kind).assign_attrs(made.dataset["state"].attrs)
    with rasterio.open(to_geotiff(Fields("a", made.dataset.assign(odd=odd), {}, record()), tmp_path / "odd.tif", "odd")) as file:
        assert file.dtypes == (stored,)
        assert np.array_equal(file.read(1), odd.values)
    huge = (made.dataset["state"].astype("int64") + 2**40).assign_attrs(made.dataset["state"].attrs)
    with pytest.raises(UsageError, match="int64 cannot be written"):
        to_geotiff(Fields("a", made.dataset.assign(odd=huge), {}, record()), tmp_path / "huge.tif", "odd")
    assert not (tmp_path / "huge.tif").exists()


def test_geopackage_has_footprints_crs_and_a_style(city: City, tmp_path: Path) -> None:
    path = to_geopackage(verdicts({"a": 0.5, "b": 1.5, "gone": None}), city, tmp_path / "far.gpkg")
    frame = geopandas.read_file(path, layer="far").set_index("object")
    assert frame.crs.to_epsg() == 4549
    assert frame.loc["a"].geometry.equals(shapely.box(500000, 3460000, 500010, 3460020))
    assert frame.loc["gone"].geometry is None
    with sqlite3.connect(path) as database:
        (style,) = database.execute("select styleQML from layer_styles where f_table_name = 'far' and useAsDefault").fetchone()
    database.close()
    categories = ElementTree.fromstring(style).findall(".//category")
    assert [one.get("value") for one in categories] == ["pass", "fail", "not_assessed"]
    assert [one.name for one in tmp_path.iterdir()] == ["far.gpkg"]


def test_tables_of_fields_and_comparisons_go_to_geopackage_and_parquet(city: City, tmp_path: Path) -> None:
    path = to_geopackage(compare(fields(1.0), fields(1.5)), city, tmp_path / "difference.gpkg")
    assert geopandas.read_file(path, layer="buildings")["change"].tolist() == ["dry -> wet"] * 2
    assert geopandas.read_parquet(to_parquet(fields(), tmp_path / "a.parquet", city=city)).crs.to_epsg() == 4549
    assert pd.read_parquet(to_parquet(verdicts({"a": 0.5}), tmp_path / "b.parquet"))["object"].tolist() == ["a"]


def test_excel_has_titles_in_two_languages_with_units_and_keeps_formulas_as_text(tmp_path: Path) -> None:
    evil = ['=HYPERLINK("x")', "+1", "-2+3", "@SUM(A1)", "\tx", "bell\x07"]
    book = openpyxl.load_workbook(to_excel(verdicts(dict.fromkeys(evil, 0.5)), tmp_path / "far.xlsx"))
    sheet = book["far"]
    assert [cell.value for cell in sheet[1]][:3] == ["object id 对象编号", "plot or cell 地块或网格", "value 计算值"]
    cells = [sheet.cell(row, 1) for row in range(2, 2 + len(evil))]
    assert [cell.data_type for cell in cells] == ["s"] * len(evil)
    assert [cell.value for cell in cells][:4] == evil[:4]
    assert all(cell.quotePrefix for cell in cells[:5])
    assert cells[5].value == "bell\ufffd"
    assert any(row[1].value == "parameters limit" and row[2].value == 1 for row in book["run 运行记录"].iter_rows())
    depths = openpyxl.load_workbook(to_excel(fields(), tmp_path / "fields.xlsx"))["buildings"]
    assert depths.cell(1, 4).value == "greatest depth 最大水深 [m]"


def test_a_table_too_long_for_a_sheet_is_refused(tmp_path: Path) -> None:
    rows = 1_048_576
    table = pa.table({"object": pa.repeat("a", rows)})
    long = Fields("inundation", fields().dataset, {"buildings": table}, record())
    with pytest.raises(LimitError, match="1,048,576 rows"):
        to_excel(long, tmp_path / "long.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_tables_only_says_so_in_one_line() -> None:
    tables = Fields("reach", xr.Dataset(), {"objects": pa.table({"object": ["a", "b"]})}, record())
    assert repr(tables) == "<Fields reach: tables objects (2 rows)>"
    assert repr(Fields("reach", xr.Dataset(), {}, record())) == "<Fields reach: empty>"
    assert "inflow on" in repr(fields())
