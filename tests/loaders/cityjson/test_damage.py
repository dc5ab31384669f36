"""A file damaged anywhere is read, mended or refused with an error of ours; it never fails in a way that nobody foresaw."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cim.errors import InputError
from cim.loaders.cityjson import READER, write_cityjson
from cim.loaders.protocol import ReadOptions

SQUARE = [(0, 0), (10000, 0), (10000, 10000), (0, 10000)]
BOX = [[[0, 3, 2, 1]], [[4, 5, 6, 7]], [[0, 1, 5, 4]], [[1, 2, 6, 5]], [[2, 3, 7, 6]], [[3, 0, 4, 7]]]
ROOF = {"surfaces": [{"type": "RoofSurface"}, {"type": "Window", "parent": 0}], "values": [0, 1]}
IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
PLACE = {"type": "MultiPoint", "lod": "1", "boundaries": [0]}
FILE: dict[str, Any] = {
    "type": "CityJSON",
    "version": "2.0",
    "transform": {"scale": [0.001, 0.001, 0.001], "translate": [85000.0, 447000.0, 1.0]},
    "metadata": {"referenceSystem": "EPSG:7415"},
    "CityObjects": {
        "b": {"type": "Building", "children": ["p"], "attributes": {"measuredHeight": 12.0, "name": "a", "deep": {"x": [1]}},
              "geometry": [{"type": "Solid", "lod": "2", "boundaries": [BOX]}]},
        "p": {"type": "BuildingPart", "parents": ["b"], "address": [{"location": PLACE}],
              "geometry": [{"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2]], [[3, 4, 5], [6, 7, 0]]], "semantics": ROOF}]},
        "t": {"type": "PlantCover",
              "geometry": [{"type": "GeometryInstance", "template": 0, "boundaries": [1], "transformationMatrix": IDENTITY}]},
        "g": {"type": "CityObjectGroup", "children": ["b"]},
    },
    "geometry-templates": {"templates": [{"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2]]]}],
                           "vertices-templates": [[0, 0, 0], [1, 0, 0], [0, 1, 0]]},
    "appearance": {"textures": [{"image": "a.png"}], "materials": [{}]},
    "extensions": {"N": {"url": "x"}},
    "vertices": [[x, y, z] for z in (0, 12000) for x, y in SQUARE],
}  # fmt: skip
ODD: list[Any] = [None, True, -1, 0, 1.5, 1 << 70, "", "x", [], {}, [[]], float("nan"), 1e308, "\ud800", [[None]], {"type": "Solid"}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value below."""
    if path:
        yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(one, (*path, key))


def damaged(place: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    file = copy.deepcopy(FILE)
    parent: Any = file
    for key in place[:-1]:
        parent = parent[key]
    if odd == "gone":
        del parent[place[-1]]
    else:
        parent[place[-1]] = odd
    return file


def test_the_whole_file_is_sound(tmp_path: Path) -> None:
    (tmp_path / "a.city.json").write_text(json.dumps(FILE), encoding="utf-8")
    assert len(READER.read(tmp_path / "a.city.json", ReadOptions())) == 4


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(places(FILE))), st.sampled_from([*ODD, "gone"]))
@example(("CityObjects", "t", "geometry", 0, "type"), [])
@example(("geometry-templates", "vertices-templates"), 1.5)
@example(("CityObjects", "b", "attributes", "deep", "x", 0), 1 << 70)
@example(("metadata", "referenceSystem"), "\ud800")
def test_damage_anywhere_is_met_by_an_error_of_ours_or_a_city_that_can_be_written(tmp_path: Path, place: tuple[Any, ...], odd: Any) -> None:
    path, again = tmp_path / "a.city.json", tmp_path / "again.city.json"
    path.write_text(json.dumps(damaged(place, odd)), encoding="utf-8")
    city, refused = None, ""
    try:
        city = READER.read(path, ReadOptions())
    except InputError as error:
        refused = str(error)
    if city is None:
        assert path.name in refused
    else:
        write_cityjson(city, again)
        assert len(READER.read(again, ReadOptions())) == len(city)


@pytest.mark.parametrize("length", [1, 40, 400, 1200])
def test_a_cut_file_is_corrupt(length: int, tmp_path: Path) -> None:
    path = tmp_path / "a.city.json"
    path.write_text(json.dumps(FILE)[:length], encoding="utf-8")
    with pytest.raises(InputError, match=r"not valid JSON"):
        READER.read(path, ReadOptions())
