"""A city for other programs: what their files hold, and what the report says they do not."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import geopandas
import openpyxl
import pyogrio
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders.export import FORMATS, export_city
from cim.model import City, CityBuilder, Column

BOXES = [shapely.box(500000 + 30 * n, 3460000, 500010 + 30 * n, 3460010) for n in range(3)]


def city_of(**columns: list[object]) -> City:
    """Return three buildings with attributes of any name."""
    builder = CityBuilder("EPSG:4549", name="three")
    keys = builder.add_objects("Building", ["b1", "b2", "b3"], footprints=BOXES)
    builder.add_attributes(keys, "Building", {name: Column(values) for name, values in columns.items()})
    return builder.build()


def test_columns_that_differ_by_case_only_are_renamed_in_a_geopackage_and_reported(tmp_path: Path) -> None:
    city = city_of(Id=[7, 8, 9], usage=["a", "b", "c"], Usage=["d", "e", "f"])
    report = export_city(city, "geopackage", tmp_path / "a.gpkg")
    frame = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="Building")
    assert frame["id"].tolist() == ["b1", "b2", "b3"]
    assert frame["Id_2"].tolist() == [7, 8, 9]
    assert sorted([frame["usage"].tolist(), frame["Usage_2"].tolist()]) == [["a", "b", "c"], ["d", "e", "f"]]
    renamed = next(row for row in report.rows() if "renamed" in row["what"])
    assert (renamed["count"], renamed["example"]) == (2, "Building: Id -> Id_2")


@pytest.mark.parametrize("name", ["fid", "FID", "ID", "geom", "Geom", "Geometry", "ogc_fid"])
def test_names_that_a_geopackage_gives_itself_stay_free_for_the_data(tmp_path: Path, name: str) -> None:
    values: dict[str, Any] = {name: ["x", "y", "y"]}
    export_city(city_of(**values), "geopackage", tmp_path / "a.gpkg")
    frame = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="Building")
    assert frame["ID_2" if name == "ID" else name].tolist() == ["x", "y", "y"]
    assert frame.geometry.area.tolist() == [100.0] * 3


def test_geoparquet_keeps_the_names(tmp_path: Path) -> None:
    export_city(city_of(Id=[7, 8, 9], FID=[1, 1, 1]), "geoparquet", tmp_path / "parts")
    frame = geopandas.read_parquet(tmp_path / "parts" / "Building.parquet")
    assert {"id", "Id", "FID"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([["a", "b"], None, []], ['["a", "b"]', None, "[]"]),
        ([True, None, False], [True, None, False]),
        ([date(2020, 2, 29), None, date(1999, 1, 1)], ["2020-02-29", None, "1999-01-01"]),
    ],
    ids=["lists", "truth values", "dates"],
)
def test_values_that_are_no_numbers_or_texts_do_not_stop_a_geopackage(tmp_path: Path, values: list[object], expected: list[object]) -> None:
    report = export_city(city_of(extra=values), "geopackage", tmp_path / "a.gpkg")
    got = pyogrio.read_dataframe(tmp_path / "a.gpkg", layer="Building")["extra"]
    assert got.astype(object).where(got.notna(), None).tolist() == expected
    as_text = [row["count"] for row in report.rows() if "as text" in row["what"]]
    assert as_text == ([] if True in values else [sum(value is not None for value in values)])


@pytest.mark.parametrize("format", FORMATS)
def test_folders_that_are_missing_are_made_for_every_format(tmp_path: Path, format: str) -> None:
    target = tmp_path / "not" / "there" / "out.gpkg"
    export_city(city_of(a=[1, 2, 3]), format, target)
    assert target.exists()


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_in_place_of_the_folder_is_wrong_usage_for_every_format(tmp_path: Path, format: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        export_city(city_of(a=[1, 2, 3]), format, tmp_path / "file" / "out")


def test_titles_of_a_workbook_are_in_the_language_asked_for(tmp_path: Path) -> None:
    titles = {}
    for language in ("zh", "en"):
        export_city(city_of(storeys_above_ground=[1, 2, 3]), "xlsx", tmp_path / f"{language}.xlsx", language=language)
        sheet = openpyxl.load_workbook(tmp_path / f"{language}.xlsx")["Building"]
        titles[language] = " ".join(str(cell.value) for cell in sheet[1])
    assert not titles["zh"].isascii()
    assert titles["en"].isascii()


def test_an_unknown_language_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'fr'"):
        export_city(city_of(a=[1, 2, 3]), "xlsx", tmp_path / "a.xlsx", language="fr")  # type: ignore[arg-type]
