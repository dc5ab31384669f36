"""A file of the plain kind read as columns gives the tables that the careful way gives; whatever is odd is read with care."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cim.loaders.cityjson import columns, read
from cim.loaders.limits import Limits
from cim.loaders.protocol import ReadOptions
from cim.model import City

CUBE = [[0, 0, 0], [4, 0, 0], [4, 4, 0], [0, 4, 0], [0, 0, 3], [4, 0, 3], [4, 4, 3], [0, 4, 3]]
SHELL = [[[0, 3, 2, 1]], [[4, 5, 6, 7]], [[0, 1, 5, 4]], [[1, 2, 6, 5]], [[2, 3, 7, 6]], [[3, 0, 4, 7]]]
KINDS = [{"type": "GroundSurface"}, {"type": "RoofSurface", "slope": 0.5, "名": "顶"}, {"type": "WallSurface"}]
SOLID = {"type": "Solid", "lod": "2.2", "boundaries": [SHELL], "semantics": {"surfaces": KINDS, "values": [[0, 1, 2, 2, None, 2]]},
         "material": {"": {"values": [[0, 0, 1, 1, None, 1]]}, "red": {"value": 1}}}  # fmt: skip


@pytest.fixture(autouse=True)
def _whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "LEAST", 0)
    monkeypatch.setattr(columns, "LOADED_FROM", 0)


def city(*geometries: Any, **members: Any) -> dict[str, Any]:
    """Return a file with one object per geometry."""
    objects = {f"b{k}": {"type": "Building", "attributes": {"n": k}, "geometry": [one]} for k, one in enumerate(geometries)}
    return {
        "type": "CityJSON", "version": "2.0", "transform": {"scale": [1.0, 1.0, 1.0], "translate": [85000.0, 446000.0, 0.0]},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/7415"}, "vertices": CUBE,
        "appearance": {"materials": [{"name": "a"}, {"name": "b"}]}, "CityObjects": objects, **members,
    }  # fmt: skip


def is_plain(text: str) -> bool:
    """Return whether a text is read as columns, all the way."""
    try:
        return columns.scanned([text.encode()], Limits()) is not None
    except columns.NotPlainError:
        return False


def both_ways(path: Path) -> tuple[City, City]:
    """Return the city read as columns and with care."""
    with read._no_collection():
        return (read._read(path, ReadOptions(), plain=True), read._read(path, ReadOptions(), plain=False))


def assert_same(one: City, other: City) -> None:
    """Compare all tables, the time of reading left out."""
    for name in other.tables:
        left, right = (each.tables[name].drop(["read_at"] if name == "sources" else []) for each in (one, other))
        assert left.equals(right), name
    for name in other.attributes:
        assert one.attributes[name].equals(other.attributes[name]), name
    assert one.extra == other.extra


PLAIN: dict[str, Any] = {
    "a solid": SOLID,
    "members in another order": {name: SOLID[name] for name in ("semantics", "material", "boundaries", "lod", "type")},
    "no semantics": {"type": "Solid", "lod": 2, "boundaries": [SHELL]},
    "a surface with a hole": {"type": "MultiSurface", "boundaries": [[[0, 1, 2, 3], [0, 2, 1]]],
                              "semantics": {"surfaces": KINDS, "values": [0]}},
    "lines": {"type": "MultiLineString", "lod": "1", "boundaries": [[0, 1], [2, 3, 4]]},
    "points": {"type": "MultiPoint", "lod": "1", "boundaries": [0, 5, 6]},
    "several solids": {"type": "MultiSolid", "lod": "1", "boundaries": [[SHELL], [SHELL, SHELL]],
                       "semantics": {"values": [[[0] * 6], [[1] * 6, [2] * 6]], "surfaces": KINDS}},
    "linked surfaces": {"type": "MultiSurface", "boundaries": [[[0, 1, 2]], [[0, 2, 3]]],
                        "semantics": {"surfaces": [{"type": "WallSurface", "children": [1]}, {"type": "Door", "parent": 0}],
                                      "values": [0, 1]}},
    "a turned solid": {"type": "Solid", "lod": "1", "boundaries": [[[ring[::-1] for ring in face] for face in SHELL]]},
}  # fmt: skip
ODD: dict[str, Any] = {
    "an index out of range": {"type": "MultiPoint", "boundaries": [99]},
    "a negative index": {"type": "MultiPoint", "boundaries": [-1]},
    "an index that is no integer": {"type": "MultiPoint", "boundaries": [1.5]},
    "a null index": {"type": "MultiPoint", "boundaries": [None]},
    "an empty ring": {"type": "MultiSurface", "boundaries": [[[]]]},
    "no boundaries": {"type": "MultiSurface", "boundaries": []},
    "uneven lists": {"type": "MultiSurface", "boundaries": [[[0, 1, 2]], [3, 4]]},
    "the lists of another kind": {"type": "Solid", "boundaries": [[[0, 1, 2]]]},
    "an unknown kind": {"type": "Sphere", "boundaries": [[[0, 1, 2]]]},
    "an unknown member": {**SOLID, "colour": "red"},
    "semantics that do not fit": {**SOLID, "semantics": {"surfaces": KINDS, "values": [[0, 1]]}},
    "a semantic index out of range": {**SOLID, "semantics": {"surfaces": KINDS, "values": [[0, 1, 2, 3, 0, 0]]}},
    "null for a shell": {**SOLID, "semantics": {"surfaces": KINDS, "values": [None]}},
    "a material out of range": {**SOLID, "material": {"": {"value": 2}}},
    "a surface without type": {**SOLID, "semantics": {"surfaces": [{}, {}, {}], "values": [[0, 1, 2, 2, 2, 2]]}},
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", PLAIN)
def test_plain_geometry_read_as_columns_equals_the_careful_way(name: str, indent: int | None, tmp_path: Path) -> None:
    path = tmp_path / "a.city.json"
    text = json.dumps(city(PLAIN[name], SOLID, PLAIN[name]), indent=indent, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    assert is_plain(text)
    assert_same(*both_ways(path))


@pytest.mark.parametrize("name", ODD)
def test_odd_geometry_is_read_with_care(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.city.json"
    path.write_text(json.dumps(city(SOLID, ODD[name])))
    careful = read._read(path, ReadOptions(), plain=False)
    assert_same(read.CityJSONReader().read(path, ReadOptions()), careful)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"n": 0', '"n": 0, "n": 1'), ('"n": 0', '"n": 123456789012345678901'), ('"n": 0', '"n": NaN'), ('"b0"', '"b1"'), ('"n"', '"\\u006e"'),
     ("[4, 4, 0]", "[4, 4, 0.5]"), ("[4, 4, 0]", "[4, 4]"), ("[0, 3, 2, 1]", "[0, 3, 2, 01]"), ("[0, 3, 2, 1]", "[0, 3, 2, 1,]"),
     ('"values"', '"volume"'), ('"boundaries"', '"bouncaries"'), ('"material"', '"materiel"')],
)  # fmt: skip
def test_odd_text_is_not_read_as_columns(old: str, new: str) -> None:
    text = json.dumps(city(SOLID, SOLID), ensure_ascii=False)
    assert is_plain(text)
    assert old in text
    assert not is_plain(text.replace(old, new, 1))


def test_a_file_cut_anywhere_is_no_plain_file() -> None:
    text = json.dumps(city(SOLID), ensure_ascii=False)
    assert is_plain(text)
    assert not any(is_plain(text[:end]) for end in range(len(text)))


def test_nesting_beyond_the_limit_is_left_to_the_careful_way() -> None:
    text = json.dumps(city(SOLID, deep=json.loads("[" * 40 + "]" * 40)), ensure_ascii=False).encode()
    assert columns.scanned([text], Limits(depth=64)) is not None
    assert columns.scanned([text], Limits(depth=40)) is None


def test_the_hague_read_as_columns_equals_the_careful_way(shared_data: Callable[..., Path]) -> None:
    path = shared_data("city", "cityjson", "DenHaag_01.city.json")
    assert is_plain(path.read_text(encoding="utf-8"))
    one, other = both_ways(path)
    assert_same(one, other)
    assert pa.compute.sum(one.tables["issues"]["count"]).as_py() > 0
    assert np.isfinite(one.tables["objects"]["z_ground"].to_numpy()).any()
