"""Shapefiles: what the parts say is compared with what they hold, and Chinese text arrives whole."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely

from cim.errors import CorruptFileError, CRSError, InputError
from cim.loaders import read
from cim.loaders.vector.encoding import guess, settle
from cim.model import City

BOXES = shapely.box([500000, 500020, 500040], 2500000, [500010, 500030, 500050], 2500010)


def written(folder: Path, *, encoding: str = "utf-8", **columns: Any) -> Path:
    """Write three squares as shapefile in EPSG:4547."""
    frame = geopandas.GeoDataFrame(columns or {"H": [3.0, 6.0, 9.0]}, geometry=BOXES, crs="EPSG:4547")
    path = folder / "parcels.shp"
    frame.to_file(path, encoding=encoding)
    return path


def told(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code]


@pytest.mark.parametrize("upper", [False, True])
def test_companions_are_found_in_any_case(upper: bool, tmp_path: Path) -> None:  # noqa: FBT001  # pytest fills by name
    path = written(tmp_path)
    if upper:
        for part in list(tmp_path.iterdir()):
            part.rename(part.with_suffix(part.suffix.upper()))
        path = path.with_suffix(".SHP")
    city = read(path)
    assert len(city) == 3
    assert city.crs.to_string() == "EPSG:4547"
    assert not told(city, "repaired")


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "big5"])
def test_chinese_text_without_any_statement_is_guessed_and_said(encoding: str, tmp_path: Path) -> None:
    names = ["圖書館大樓", "市政府大樓", "火車站"] if encoding == "big5" else ["图书馆大楼", "市政府大楼", "火车站"]
    path = written(tmp_path, encoding=encoding, **{"名稱" if encoding == "big5" else "名称": names})
    path.with_suffix(".cpg").unlink()
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0
    path.with_suffix(".dbf").write_bytes(table)
    city = read(path)
    city = read(path, mapping={"name": "名稱"}) if encoding == "big5" else city
    assert sorted(city.tables["objects"]["name"].to_pylist()) == sorted(names)
    assert len(told(city, "encoding")) == 1


def test_a_language_byte_is_enough(tmp_path: Path) -> None:
    path = written(tmp_path, encoding="gbk", 名称=["图书馆", "市政府", "火车站"])
    path.with_suffix(".cpg").unlink()
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    table[29] = 0x4D
    path.with_suffix(".dbf").write_bytes(table)
    city = read(path)
    assert "图书馆" in city.tables["objects"]["name"].to_pylist()
    assert not told(city, "encoding")


def test_a_statement_that_the_bytes_refute_is_overruled_and_said(tmp_path: Path) -> None:
    path = written(tmp_path, encoding="gbk", 名称=["图书馆", "市政府", "火车站"])
    path.with_suffix(".cpg").write_text("UTF-8")
    city = read(path)
    assert "图书馆" in city.tables["objects"]["name"].to_pylist()
    assert "the text is gb18030" in told(city, "encoding")[0]


def test_the_caller_knows_better(tmp_path: Path) -> None:
    path = written(tmp_path, encoding="cp1252", naam=["Größe", "Ärger", "Übung"])
    path.with_suffix(".cpg").unlink()
    assert "Größe" in read(path, encoding="cp1252").tables["objects"]["name"].to_pylist()


def test_a_text_cut_within_a_character_keeps_the_rest(tmp_path: Path) -> None:
    path = written(tmp_path, encoding="gbk", 名称=["图书馆", "市政府", "火车站"])
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    place = table.index("市政府".encode("gbk"))
    table[place + 5] = 0x20  # the second half of the last character
    path.with_suffix(".dbf").write_bytes(table)
    city = read(path)
    assert "市政" in city.tables["objects"]["name"].to_pylist()
    assert "cut within a character" in told(city, "encoding")[0]


def test_field_names_cut_within_a_character_are_kept_without_it(tmp_path: Path) -> None:
    path = written(tmp_path, encoding="utf-8", 建筑高=[3.0, 6.0, 9.0])
    table = bytearray(path.with_suffix(".dbf").read_bytes())
    place = table.index("建筑高".encode())
    table[place : place + 11] = "建筑高度".encode()[:10] + b"\x00"
    path.with_suffix(".dbf").write_bytes(table)
    city = read(path)
    assert any("'建筑高' was cut within a character" in text for text in told(city, "repaired"))


def test_without_prj_the_crs_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.with_suffix(".prj").unlink()
    with pytest.raises(CRSError, match=r"parcels\.shp: has no \.prj beside it.*give crs="):
        read(path)
    assert read(path, "EPSG:4547").crs.to_string() == "EPSG:4547"


def test_another_crs_than_the_declared_one_is_used_and_said(tmp_path: Path) -> None:
    city = read(written(tmp_path), "EPSG:4548")
    assert city.crs.to_string() == "EPSG:4548"
    assert "as asked for" in told(city, "crs")[0]


def test_a_missing_index_is_rebuilt_from_the_records(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.with_suffix(".shx").unlink()
    city = read(path)
    assert len(city) == 3
    assert "index .shx is missing" in told(city, "repaired")[0]
    assert not path.with_suffix(".shx").exists()


def test_a_missing_table_leaves_geometry_and_a_word(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.with_suffix(".dbf").unlink()
    city = read(path)
    assert len(city) == 3
    assert "geometry without attributes" in told(city, "lost")[0]


def test_a_truncated_table_is_counted(tmp_path: Path) -> None:
    path = written(tmp_path)
    table = path.with_suffix(".dbf").read_bytes()
    width = struct.unpack("<H", table[10:12])[0]
    path.with_suffix(".dbf").write_bytes(table[: len(table) - width - 1])
    city = read(path)
    assert len(city) == 3
    assert "states 3 records and holds 2" in told(city, "lost")[0]


@pytest.mark.parametrize("cut", [1, 40, 150])
def test_a_cut_file_never_loads_silently_fewer(cut: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    try:
        city = read(path)
    except InputError as error:
        assert "truncated" in str(error)  # noqa: PT017  # either way is right
        return
    assert len(city) < 3
    assert len(told(city, "rejected")) == 3 - len(city)


def test_a_record_that_claims_too_many_points_is_rejected_alone(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[100 + 8 + 40 : 100 + 8 + 44] = struct.pack("<i", 1_000_000_000)
    path.write_bytes(data)
    city = read(path)
    assert len(city) == 2
    assert "more points or parts than its length can hold" in told(city, "rejected")[0]


def test_a_head_alone_is_truncated(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(CorruptFileError, match="truncated"):
        read(path)


def test_encodings_are_told_from_bytes() -> None:
    assert guess("图书馆\n市政府".encode("gbk")) == "gb18030"
    assert guess("図書館のはなし\nカタカナ".encode("cp932")) == "cp932"
    assert guess("Größe\nÄrger".encode("cp1252")) is None
    assert settle("Größe".encode("cp1252"), 0x57, b"ISO 88591", None)[0].name == "iso8859-1"
    assert settle("图书馆".encode("gbk"), 0, b"936", None)[0].name == "gb18030"
    assert settle("Größe".encode(), 0x03, None, None)[0].name == "utf-8"  # the bytes refute the language byte
    assert settle(b"", 0, None, None) == (settle(b"", 0, b"UTF-8", None)[0], [])


@pytest.mark.data
def test_districts_of_shenzhen_come_with_chinese_fields_and_values(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "gbk_shenzhen", "sz_districts.shp"))
    names = city.tables["objects"]["name"].to_pylist()
    assert len(city) == 10
    assert {"南山", "福田", "罗湖"} <= set(names)
    assert {"中心经度", "中心纬度"} <= set(next(iter(city.attributes.values())).column_names)
    assert city.crs.to_string() == "EPSG:4547"
    assert len(told(city, "encoding")) == 1


@pytest.mark.data
def test_districts_of_shanghai_come_from_a_chinese_file_name(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("china", "gbk_shapefile_shanghai", "区县界_area.shp"))
    assert {"宝山区", "杨浦区"} <= set(city.tables["objects"]["name"].to_pylist())
    assert not told(city, "encoding")


def test_the_input_folder_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = {one.name: one.stat().st_mtime_ns for one in tmp_path.iterdir()}
    read(path)
    assert {one.name: one.stat().st_mtime_ns for one in tmp_path.iterdir()} == before
