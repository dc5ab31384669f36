"""The one door: known by content, never by name; refused with the reason where it is not known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError, UsageError
from cim.loaders import Limits, describe, read
from cim.loaders.door import choose_reader, readers

SQUARE = [[[5.0, 52.0], [5.001, 52.0], [5.001, 52.001], [5.0, 52.001], [5.0, 52.0]]]


def collection(**properties: object) -> bytes:
    feature = {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": SQUARE}}
    return json.dumps({"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False).encode()


def test_the_format_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    file = tmp_path / "buildings.tif"
    file.write_bytes(collection(height=3))
    assert choose_reader(file) == "vector"
    assert read(file).types() == {"Building": 1}


def test_the_vector_reader_is_registered() -> None:
    assert {"vector", "archive"} <= set(readers())


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", FormatError, "empty"),
        (b"<!DOCTYPE html><html>404</html>", FormatError, "HTML page"),
        (b"<OGRVRTDataSource><SrcDataSource>CSV:/etc/passwd</SrcDataSource></OGRVRTDataSource>", FormatError, "VRT"),
        (b"<OGRWFSDataSource><URL>http://127.0.0.1/</URL></OGRWFSDataSource>", FormatError, "WFS"),
        (b"\x00\x01\x02\x03 nothing", FormatError, "match no format"),
    ],
)
def test_what_is_no_data_is_refused_with_what_it_is(content: bytes, kind: type[InputError], said: str, tmp_path: Path) -> None:
    file = tmp_path / "x.geojson"
    file.write_bytes(content)
    with pytest.raises(kind, match=said) as caught:
        read(file)
    assert "x.geojson" in str(caught.value)
    assert "passwd" not in str(caught.value)


def test_an_address_is_refused() -> None:
    with pytest.raises(UnsafeInputError, match="not a local file"):
        read("https://example.org/a.gpkg")
    with pytest.raises(UnsafeInputError, match="not a local file"):
        read("/vsicurl/http://127.0.0.1/a.gpkg")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.shp: cannot be opened"):
        read(tmp_path / "nowhere.shp")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnsafeInputError, match="neither a file nor a folder"):
        read(tmp_path / "pipe")


def test_a_file_above_the_size_limit_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "a.geojson"
    file.write_bytes(collection())
    with pytest.raises(LimitError, match="above the limit of 10"):
        read(file, limits=Limits(file_bytes=10))


def test_more_records_than_allowed_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.geojson"
    file.write_bytes(json.dumps({"type": "FeatureCollection", "features": [None] * 50}).encode())
    with pytest.raises(LimitError, match="50 records"):
        read(file, limits=Limits(records=49))


def test_an_unknown_reader_is_a_wrong_call(tmp_path: Path) -> None:
    file = tmp_path / "a.geojson"
    file.write_bytes(collection())
    with pytest.raises(UsageError, match=r"no reader 'nosuch'; give one of: .*vector"):
        read(file, reader="nosuch")


def test_a_broken_file_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a.geojson"
    file.write_bytes(collection()[:-9])
    with pytest.raises(CorruptFileError, match=r"not valid JSON.*export or download it again"):
        read(file)


def test_describe_tells_crs_counts_fields_and_a_draft_mapping(tmp_path: Path) -> None:
    file = tmp_path / "楼.geojson"
    file.write_bytes(collection(层数=3, 编号="A1"))
    told = describe(file)
    assert told.format == "GeoJSON"
    layer = told.layers[0]
    assert (layer.count, layer.kind, layer.crs, layer.guess) == (1, "Polygon", "EPSG:4326", "Building")
    assert dict(layer.fields) == {"层数": "int64", "编号": "string"}
    assert told.mapping["attributes"]["storeys_above_ground"] == {"field": "层数"}
    assert told.mapping["id"] == "编号"


def test_describe_takes_an_unknown_system_for_a_suspicion(tmp_path: Path) -> None:
    file = tmp_path / "楼.geojson"
    file.write_bytes(collection(层数=3)[:-1] + b', "crs": null}')
    told = describe(file)
    assert told.layers[0].count == 1
    assert told.layers[0].crs is None
    assert len(told.suspicions) == 1
    assert "the coordinate system is unknown" in told.suspicions[0]


def test_a_drafted_mapping_gives_the_same_city(tmp_path: Path) -> None:
    file = tmp_path / "楼.geojson"
    file.write_bytes(collection(层数=3, 编号="A1", 楼名="图书馆"))
    guessed, mapped = read(file), read(file, mapping=describe(file).mapping)
    for name in ("objects", "identifiers", "properties"):
        assert guessed.tables[name].equals(mapped.tables[name])
    assert guessed.attributes["Building"].equals(mapped.attributes["Building"])
