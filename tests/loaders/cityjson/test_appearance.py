"""Materials, textures, images and templates: what is read, what is refused, what is written beside the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cim
from cim import loaders
from cim.loaders.cityjson import write_cityjson

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
SQUARE = [[0, 0, 0], [1000, 0, 0], [1000, 1000, 0], [0, 1000, 0]]


def file(**geometry: Any) -> dict[str, Any]:
    drawn = {"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2, 3]]], **geometry}
    return {
        "type": "CityJSON", "version": "2.0", "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/7415"},
        "transform": {"scale": [0.001] * 3, "translate": [85000.0, 447000.0, 0.0]}, "vertices": SQUARE,
        "CityObjects": {"a": {"type": "Building", "geometry": [drawn]}},
        "appearance": {"materials": [{"name": "m", "diffuseColor": [1, 0, 0.5]}], "vertices-texture": [[0, 0], [1, 0], [1, 1], [0, 1]],
                       "textures": [{"type": "PNG", "image": "images/a.png"}]},
    }  # fmt: skip


def read(folder: Path, content: dict[str, Any]) -> cim.model.City:
    path = folder / "a.city.json"
    path.write_text(json.dumps(content))
    return loaders.read(path)


def messages(city: cim.model.City, code: str) -> list[str]:
    rows = city.issues
    return list(rows[rows["code"] == code]["message"])


def test_an_image_below_the_folder_is_kept_with_the_store_and_written_beside_the_export(tmp_path: Path) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "images" / "a.png").write_bytes(PNG)
    city = read(tmp_path / "in", file(texture={"t": {"values": [[[0, 0, 1, 2, 3]]]}}))
    assert city.tables["appearances"]["uv"].to_pylist() == [[[0, 0], [1, 0], [1, 1], [0, 1]]]
    cim.save(city, tmp_path / "a.cim")
    (tmp_path / "out").mkdir()
    report = write_cityjson(cim.open(tmp_path / "a.cim"), tmp_path / "out" / "b.city.json")
    assert (tmp_path / "out" / "images" / "a.png").read_bytes() == PNG
    assert json.loads((tmp_path / "out" / "b.city.json").read_bytes())["appearance"]["textures"] == [
        {"type": "PNG", "image": "images/a.png"}
    ]
    assert not report.rows()


def test_an_export_never_replaces_another_file_by_an_image(tmp_path: Path) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "images" / "a.png").write_bytes(PNG)
    city = read(tmp_path / "in", file(texture={"t": {"values": [[[0, 0, 1, 2, 3]]]}}))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"mine")
    write_cityjson(city, tmp_path / "b.city.json")
    assert (tmp_path / "images" / "a.png").read_bytes() == b"mine"
    image = json.loads((tmp_path / "b.city.json").read_bytes())["appearance"]["textures"][0]["image"]
    assert image == "appearance/a.png"
    assert (tmp_path / image).read_bytes() == PNG


@pytest.mark.parametrize("image", ["../b.png", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/a.png", "a\\..\\..\\b.png"])
def test_an_image_outside_the_folder_is_named_and_never_opened(tmp_path: Path, image: str) -> None:
    (tmp_path / "b.png").write_bytes(PNG)
    (tmp_path / "in").mkdir()
    content = file(texture={"t": {"values": [[[0, 0, 1, 2, 3]]]}})
    content["appearance"]["textures"][0]["image"] = image
    city = read(tmp_path / "in", content)
    assert city.tables["textures"]["path"].to_pylist() == [None]
    assert "refused, not opened" in messages(city, "repaired")[0]


def test_a_link_to_a_file_outside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(PNG)
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "images" / "a.png").symlink_to(tmp_path / "b.png")
    city = read(tmp_path / "in", file())
    assert city.tables["textures"]["path"].to_pylist() == [None]
    assert messages(city, "unmatched")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"material": {"t": {"value": 1}}}, []),
        ({"material": {"t": {"values": [0, 0]}}}, []),
        ({"material": {"t": {"values": [5]}}}, [{"materials": [-1]}]),
        ({"material": {"t": {"value": 0}}}, [{"materials": [0]}]),
        ({"texture": {"t": {"values": [[[0, 0, 1, 2]]]}}}, [{"textures": [-1]}]),
        ({"texture": {"t": {"values": [[[0, 0, 1, 2, 9]]]}}}, [{"textures": [-1]}]),
        ({"texture": {"t": {"values": [[[3, 0, 1, 2, 3]]]}}}, [{"textures": [-1]}]),
        ({"texture": {"t": {"values": [[[0, 0, 1, 2, 3]], [[None]]]}}}, []),
        ({"texture": {"t": {"values": [[[0, 0, 1, 2, 3]]]}}}, [{"textures": [0]}]),
    ],
)
def test_what_does_not_fit_is_dropped_by_name_and_never_shifted(tmp_path: Path, given: dict[str, Any], kept: list[dict[str, Any]]) -> None:
    city = read(tmp_path, file(**given))
    rows = city.tables["appearances"].to_pylist()
    assert [{name: row[name] for name in one} for row, one in zip(rows, kept, strict=True)] == kept
    fits = kept and -1 not in next(iter(kept[0].values()))
    assert bool(messages(city, "invalid")) != bool(fits)


def test_texture_corners_follow_a_surface_that_is_turned(tmp_path: Path) -> None:
    corners = [[x, y, z] for z in (0, 1000) for x, y in ((0, 0), (1000, 0), (1000, 1000), (0, 1000))]
    faces = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
    faces[1] = faces[1][::-1]  # the roof looks down
    content = file(type="Solid", boundaries=[[[face] for face in faces]], texture={"t": {"values": [[[[0, 0, 1, 2, 3]]] + [[[None]]] * 5]}})
    content["vertices"] = corners
    content["CityObjects"]["a"]["geometry"][0]["texture"]["t"]["values"][0][1] = [[0, 3, 2, 1, 0]]
    city = read(tmp_path, content)
    assert any("turned" in message for message in messages(city, "repaired"))
    row = city.tables["geometries"].to_pylist()[0]
    pairs = city.tables["appearances"]["uv"].to_pylist()[0]
    roof = row["boundaries"][0][0][1][0]
    found = {
        tuple(np.round(np.add(row["vertices"][v], city.origin), 3)[:2] - (85000, 447000)): tuple(pairs[4 + k]) for k, v in enumerate(roof)
    }
    assert found == {(0, 1): (0, 1), (1, 1): (1, 1), (1, 0): (1, 0), (0, 0): (0, 0)}


def test_a_template_keeps_its_identity_and_its_place_to_the_last_digit(tmp_path: Path) -> None:
    content = file()
    matrix = [0.5, 0, 0, 0.123456789, 0, 0.5, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1]
    use = {"type": "GeometryInstance", "template": 0, "boundaries": [2], "transformationMatrix": matrix}
    content["CityObjects"] |= {name: {"type": "SolitaryVegetationObject", "geometry": [use]} for name in ("t1", "t2")}
    content["geometry-templates"] = {
        "templates": [{"type": "MultiSurface", "lod": "3", "boundaries": [[[0, 1, 2]]], "material": {"": {"values": [0]}},
                       "semantics": {"surfaces": [{"type": "RoofSurface"}], "values": [0]}}],
        "vertices-templates": [[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0.3]],
    }  # fmt: skip
    city = read(tmp_path, content)
    write_cityjson(city, tmp_path / "b.city.json")
    again = loaders.read(tmp_path / "b.city.json")
    for one in (city, again):
        assert sorted(one.tables["templates"]["vertices"].to_pylist()[0]) == [[0, 0, 0], [0, 0.1, 0.3], [0.1, 0, 0]]
        drawn = one.geometry_table(keys=one.key_of(["t1"])).to_pylist()[0]
        assert np.add(drawn["vertices"][0], one.origin) == pytest.approx([85001.123456789, 447001, 0], abs=1e-9)
        assert one.appearance_table()["materials"].to_pylist() == [[0], [0]]  # once per use
        assert one.tables["geometries"]["template"].is_valid().to_pylist().count(True) == 2


def test_a_feature_of_a_sequence_brings_materials_of_its_own(tmp_path: Path) -> None:
    whole = file(material={"t": {"value": 0}})
    feature: dict[str, Any] = {"type": "CityJSONFeature", "id": "b", "CityObjects": {"b": whole["CityObjects"]["a"]}, "vertices": SQUARE}
    lines = [{**whole, "CityObjects": {}, "vertices": []}]
    lines += [
        {**feature, "appearance": {"materials": [{"name": f"m{k}"}]}, "CityObjects": {f"b{k}": feature["CityObjects"]["b"]}}
        for k in range(2)
    ]
    path = tmp_path / "a.city.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    city = loaders.read(path)
    names = dict(zip(city.tables["materials"]["key"].to_pylist(), city.tables["materials"]["name"].to_pylist(), strict=True))
    worn = {row["geometry"]: names[row["materials"][0]] for row in city.tables["appearances"].to_pylist()}
    ids = {row["key"]: city.ids(np.array([row["object"]]))[0] for row in city.tables["geometries"].to_pylist()}
    assert {ids[key]: name for key, name in worn.items()} == {"b0": "m0", "b1": "m1"}
