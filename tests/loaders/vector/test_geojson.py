"""GeoJSON: strict where silence would change values, forgiving where one record is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import CorruptFileError, CRSError, FormatError, UnsafeInputError
from cim.loaders.protocol import ReadOptions
from cim.loaders.vector.frame import Layer
from cim.loaders.vector.geojson import read_geojson, recognises

RING = [[5.0, 52.0], [5.001, 52.0], [5.001, 52.001], [5.0, 52.0]]
OPTIONS = ReadOptions()


def feature(coordinates: Any, kind: str = "Polygon", **more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": {"type": kind, "coordinates": coordinates}, **more}


def layer_of(tmp_path: Path, *features: Any, options: ReadOptions = OPTIONS, **members: Any) -> Layer:
    file = tmp_path / "a.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **members}, ensure_ascii=False), encoding="utf-8")
    return read_geojson(file, options)


@given(st.lists(st.lists(st.tuples(st.floats(-170, 170), st.floats(-80, 80)), min_size=2, max_size=6), min_size=1, max_size=4))
def test_coordinates_come_back_bit_for_bit(tmp_path_factory: pytest.TempPathFactory, lines: list[list[tuple[float, float]]]) -> None:
    layer = layer_of(tmp_path_factory.mktemp("g"), *(feature(line, "LineString") for line in lines))
    for line, geometry in zip(lines, layer.geometry, strict=True):
        assert np.array_equal(shapely.get_coordinates(geometry), np.array(line))


@pytest.mark.parametrize(
    ("coordinates", "kind", "why"),
    [
        ([[["5", 52.0], *RING[1:]]], "Polygon", "JSON string where a number is expected"),
        ([5], "Polygon", "JSON number where an array is expected"),
        ([[RING]], "Polygon", "JSON array where a number is expected"),
        ([5.0], "Point", "has 1 numbers, expected 2 or 3"),
        ([None, 2.0], "Point", "JSON null where a number is expected"),
        ([True, 2.0], "Point", "JSON boolean where a number is expected"),
        ([float("nan"), 2.0], "Point", "not finite"),
        ([[[5.0, 52.0], [5.1, 52.0]]], "Polygon", "2 positions, expected 4 or more"),
        ([5.0, 52.0], "Circle", "geometry type is 'Circle'"),
        ("here", "Point", "JSON string where an array is expected"),
    ],
)
def test_a_wrong_geometry_is_rejected_with_its_reason_and_the_rest_stays(coordinates: Any, kind: str, why: str, tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([RING]), feature(coordinates, kind), feature([RING]))
    assert (len(layer), layer.rejected, layer.records_in) == (2, 1, 3)
    assert layer.number.tolist() == [0, 2]
    (note,) = layer.notes
    assert note.code == "rejected"
    assert why in note.message
    assert "feature 1" in note.message


@pytest.mark.parametrize(
    "odd", [5, None, "x", {}, {"type": "Feature"}, {"type": "Feature", "geometry": 3}, {"type": "Point", "coordinates": [1, 2]}]
)
def test_what_is_no_feature_is_rejected(odd: Any, tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([RING]), odd)
    assert (len(layer), layer.rejected) == (1, 1)


def test_a_file_without_one_usable_feature_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"a\.geojson: no feature has a usable geometry; the first one: feature 0"):
        layer_of(tmp_path, feature([5]))


def test_an_open_ring_is_closed_and_said(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([RING[:-1]]))
    assert layer.geometry[0].equals(shapely.Polygon(RING))
    assert "closed" in layer.notes[0].message


def test_a_polygon_that_lacks_a_level_is_taken_as_its_ring(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature(RING), feature([RING], "MultiPolygon"))
    assert [one.area for one in layer.geometry] == [shapely.Polygon(RING).area] * 2
    assert all("lack one level" in note.message for note in layer.notes)


def test_a_fourth_number_of_a_position_is_dropped_silently(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([[[x, y, 3.0, 1000.0] for x, y in RING]]))
    assert layer.notes == ()
    assert shapely.get_coordinates(layer.geometry, include_z=True)[:, 2].tolist() == [3.0] * 4


def test_positions_with_and_without_height_lose_it_and_that_is_said(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([[1.0, 2.0], [3.0, 4.0, 5.0]], "LineString"))
    assert not layer.geometry[0].has_z
    assert "mixed" in layer.notes[0].message


def test_a_null_geometry_is_a_record_without_place(tmp_path: Path) -> None:
    layer = layer_of(tmp_path, feature([RING]), {"type": "Feature", "properties": {"a": 1}, "geometry": None})
    assert layer.geometry[1] is None
    assert layer.notes == ()


def test_without_crs_member_it_is_longitude_and_latitude(tmp_path: Path) -> None:
    assert layer_of(tmp_path, feature([RING])).crs == "EPSG:4326"


@pytest.mark.parametrize(
    ("member", "found"),
    [
        ({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4547"}}, "urn:ogc:def:crs:EPSG::4547"),
        ({"type": "EPSG", "properties": {"code": 4547}}, "4547"),
    ],
)
def test_the_old_crs_member_is_honoured(member: Any, found: str, tmp_path: Path) -> None:
    assert layer_of(tmp_path, feature([RING]), crs=member).crs == found


def test_an_unknown_or_linked_crs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="null"):
        layer_of(tmp_path, crs=None)
    with pytest.raises(CRSError, match="names no coordinate system"):
        layer_of(tmp_path, crs={"type": "name", "properties": {}})
    with pytest.raises(UnsafeInputError, match="link"):
        layer_of(tmp_path, crs={"type": "link", "properties": {"href": "http://127.0.0.1/"}})
    assert layer_of(tmp_path, feature([RING]), crs=None, options=ReadOptions(crs="EPSG:4326")).crs is None


def test_another_json_file_is_not_geojson(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="its type is None"):
        layer_of(tmp_path, type=None)
    assert not recognises(b'{"type": "CityJSON", "version": "2.0"}', Path("a.json"))
    assert not recognises(b'{"asset": {"version": "2.0"}, "geometry": []}', Path("a.gltf"))
    assert recognises(b'\xef\xbb\xbf {"type": "FeatureCollection", "features": []}', Path("a.dat"))


def test_columns_are_typed_and_values_that_do_not_fit_are_kept_aside(tmp_path: Path) -> None:
    rows = [{"n": 1, "x": 1, "t": "a", "b": True, "m": 3.0, "d": {"k": [1]}}, {"n": 2, "x": 1.5, "t": 5, "b": False, "m": "tall"},
            {"n": None, "x": None, "t": "c", "b": None, "m": "4.5"}, {"n": 4, "x": 2, "t": "d", "b": True, "m": 2}]  # fmt: skip
    layer = layer_of(tmp_path, *(feature([RING]) | {"properties": row} for row in rows))
    values = {name: column.to_pylist() for name, column in layer.columns.items()}
    assert values["n"] == [1, 2, None, 4]
    assert values["x"] == [1.0, 1.5, None, 2.0]
    assert values["t"] == ["a", "5", "c", "d"]
    assert values["b"] == [True, False, None, True]
    assert values["m"] == [3.0, None, 4.5, 2.0]
    assert values["d"] == ['{"k":[1]}', None, None, None]
    assert layer.leftovers == {"m": {1: "tall"}}
