from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cim
from cim.errors import CorruptFileError, CRSError, FormatError, InputError, UnsafeInputError
from cim.loaders import read
from cim.loaders.limits import Limits
from cim.loaders.mesh.earth import enu_matrix, to_geographic
from cim.loaders.tiles3d.b3dm import inner_tiles, read_b3dm
from cim.loaders.tiles3d.tileset import chosen, read_tileset
from cim.loaders.tiles3d.volume import Volume, outside, volume_of
from tests.loaders.mesh.made import BOX, box_gltf, glb

FAR: dict[str, Any] = {"boundingVolume": {"sphere": [0, 0, 0, 1e7]}, "geometricError": 1}


def _tileset(folder: Path, root: dict[str, Any], name: str = "tileset.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"asset": {"version": "1.0"}, "geometricError": 9, "root": {**FAR, **root}}), encoding="utf-8")
    return path


def _tile(uri: str | None = None, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    content = {} if uri is None else {"content": {"uri": uri}}
    return {**FAR, **content, **({"children": list(children)} if children else {}), **more}


def _box(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(glb(*box_gltf()))


def _b3dm(features: dict[str, Any], batch: dict[str, Any], gltf: bytes) -> bytes:
    tables = [json.dumps(one).encode() if one else b"" for one in (features, batch)]
    padded = [one + b" " * (-len(one) % 8) for one in tables]
    length = 28 + sum(map(len, padded)) + len(gltf)
    head = b"b3dm" + b"".join(value.to_bytes(4, "little") for value in (1, length, len(padded[0]), 0, len(padded[1]), 0))
    return head + padded[0] + padded[1] + gltf


def _names(folder: Path, root: dict[str, Any]) -> tuple[list[str], int]:
    contents, coarser = chosen(read_tileset(_tileset(folder, root), Limits()))
    return [one.name for one in contents], coarser


def test_children_replace_their_parent_and_additions_stay_beside_it(tmp_path: Path) -> None:
    _box(tmp_path, "a.glb", "b.glb", "c.glb")
    children = (_tile("b.glb"), _tile("c.glb"))
    assert _names(tmp_path, _tile("a.glb", *children, refine="REPLACE")) == (["b.glb", "c.glb"], 1)
    assert _names(tmp_path, _tile("a.glb", *children, refine="ADD")) == (["a.glb", "b.glb", "c.glb"], 0)


def test_a_parent_stays_where_a_child_is_missing(tmp_path: Path) -> None:
    _box(tmp_path, "a.glb", "b.glb", "d.glb")
    root = _tile("a.glb", _tile("b.glb"), _tile("gone.glb"), refine="REPLACE")
    assert _names(tmp_path, root) == (["a.glb"], 0)
    assert _names(tmp_path, _tile(None, root, _tile("d.glb"), refine="REPLACE")) == (["a.glb", "d.glb"], 0)
    assert _names(tmp_path, _tile("a.glb", _tile(None, _tile("b.glb")), refine="REPLACE")) == (["b.glb"], 1)


def test_transforms_are_multiplied_through_external_tilesets(tmp_path: Path) -> None:
    move = np.eye(4)
    move[:3, 3] = [5, 6, 7]
    place = enu_matrix(120.6, 31.3, 20.0)
    _box(tmp_path, "sub/box.glb")
    _tileset(tmp_path, _tile("box.glb", transform=move.T.reshape(-1).tolist()), "sub/inner.json")
    path = _tileset(tmp_path, _tile("sub/inner.json", transform=place.T.reshape(-1).tolist()))
    city = read(path, "EPSG:4979")
    bounds = city.tables["objects"]["bbox"][0].as_py()
    corners = to_geographic((BOX + np.array([5.0, 6.0, 7.0])) @ place[:3, :3].T + place[:3, 3])
    assert [bounds["xmin"], bounds["ymax"]] == pytest.approx([corners[:, 0].min(), corners[:, 1].max()], abs=1e-12)
    assert bounds["zmax"] == pytest.approx(corners[:, 2].max(), abs=1e-6)  # geocentric doubles are 1e-9 m apart


def test_without_a_crs_the_utm_zone_is_taken_and_told(tmp_path: Path) -> None:
    _box(tmp_path, "a.glb")
    city = read(_tileset(tmp_path, _tile("a.glb", transform=enu_matrix(120.6, 31.3, 0.0).T.reshape(-1).tolist())))
    assert city.crs.to_string() == "EPSG:32651+ellipsoidal"
    told = city.tables["issues"].to_pylist()
    assert any(one["code"] == "assumed" and "UTM" in one["message"] for one in told)
    assert any("residual" in one["message"] for one in told)


def test_a_tileset_without_a_place_asks_for_one(tmp_path: Path) -> None:
    _box(tmp_path, "a.glb")
    path = _tileset(tmp_path, _tile("a.glb"))
    with pytest.raises(CRSError, match="crs="):
        read(path)
    assert len(read(path, "local")) == 1
    assert read(path, position=[120.6, 31.3, 0.0]).crs.to_string() == "EPSG:32651+ellipsoidal"


def test_features_of_a_b3dm_become_objects_with_their_attributes(tmp_path: Path) -> None:
    document, binary = box_gltf()
    ids = np.repeat([0, 1], 4).astype("<f4")
    place = len(binary) + (-len(binary) % 4)
    binary = binary + bytes(place - len(binary)) + ids.tobytes()
    document["bufferViews"].append({"buffer": 0, "byteOffset": place, "byteLength": 32})
    document["buffers"][0]["byteLength"] = len(binary)
    document["accessors"].append({"bufferView": 2, "componentType": 5126, "count": 8, "type": "SCALAR"})
    document["meshes"][0]["primitives"][0]["attributes"]["_BATCHID"] = 2
    batch = {"gml_id": ["x1", "x2", "x3"], "floors": [3, 4, 5], "extra": {"a": 1}, "tags": [["p"], [], None]}
    (tmp_path / "a.b3dm").write_bytes(_b3dm({"BATCH_LENGTH": 3, "RTC_CENTER": [100, 200, 300]}, batch, glb(document, binary)))
    city = read(tmp_path / "a.b3dm", "local")
    assert sorted(city.ids(city.keys())) == ["x1", "x2"]
    assert city["x2"].attributes["floors"] == 4
    assert city["x1"].attributes["tags"] == '["p"]'
    assert city.bounds == (100.0, 200.0, 110.0, 210.0)
    told = " ".join(one["message"] for one in city.tables["issues"].to_pylist())
    assert "no faces and became no object" in told
    assert "not one value per feature" in told


def test_a_composite_holds_its_tiles() -> None:
    tile = _b3dm({"BATCH_LENGTH": 0}, {}, glb(*box_gltf()))
    whole = b"cmpt" + b"".join(v.to_bytes(4, "little") for v in (1, 16 + 2 * len(tile), 2)) + tile * 2
    assert inner_tiles(whole, Path("a.cmpt")) == [tile, tile]
    with pytest.raises(CorruptFileError, match="length"):
        inner_tiles(whole[:-4], Path("a.cmpt"))


@pytest.mark.parametrize("place", [8, 12, 16, 20, 24])
def test_a_b3dm_that_lies_about_a_length_is_refused(place: int) -> None:
    data = bytearray(_b3dm({"BATCH_LENGTH": 0}, {}, glb(*box_gltf())))
    data[place : place + 4] = (2**31).to_bytes(4, "little")
    with pytest.raises(CorruptFileError, match="length"):
        read_b3dm(bytes(data), Path("a.b3dm"), Limits())


@pytest.mark.parametrize(
    ("root", "kind", "what"),
    [
        (_tile("tileset.json"), CorruptFileError, "itself"),
        (_tile("../x.glb"), UnsafeInputError, "outside"),
        (_tile("%2e%2e/x.glb"), UnsafeInputError, "outside"),
        (_tile("http://127.0.0.1:1/x.glb"), UnsafeInputError, "remote"),
        (_tile("a.glb", transform=[1, 2]), CorruptFileError, "16 finite"),
        (_tile("a.glb", implicitTiling={}), FormatError, "implicit"),
        (_tile("gone.glb"), CorruptFileError, "not there"),
        (_tile(None, 3), CorruptFileError, "no list of tiles"),  # type: ignore[arg-type]
    ],
)
def test_a_tileset_that_cannot_be_used_says_why(tmp_path: Path, root: dict[str, Any], kind: type[InputError], what: str) -> None:
    _box(tmp_path, "a.glb")
    with pytest.raises(kind, match=what):
        read(_tileset(tmp_path, root), "local")


def test_one_broken_content_leaves_the_others(tmp_path: Path) -> None:
    _box(tmp_path, "a.glb")
    (tmp_path / "b.glb").write_bytes(glb(*box_gltf())[:100])
    city = read(_tileset(tmp_path, _tile(None, _tile("a.glb"), _tile("b.glb"), refine="ADD")), "local")
    assert len(city) == 1
    assert any("b.glb" in one["message"] and one["code"] == "rejected" for one in city.tables["issues"].to_pylist())


def test_volumes_measure_how_far_vertices_reach_out() -> None:
    points = np.array([[0.0, 0, 0], [3.0, 0, 0]])
    assert outside(Volume("sphere", np.array([0, 0, 0, 1.0])), points, np.eye(4)) == 2.0
    assert outside(Volume("box", np.array([0, 0, 0, 2.0, 0, 0, 0, 1, 0, 0, 0, 1])), points, np.eye(4)) == 1.0
    place = enu_matrix(10.0, 50.0, 0.0)
    region = Volume("region", np.array([*np.radians([9.0, 49.0, 11.0, 50.0]), -1.0, 5.0]))
    north = np.array([[0.0, 100.0, 0.0], [0, -50, 0]]) @ place[:3, :3].T + place[:3, 3]
    assert outside(region, north, np.eye(4)) == pytest.approx(100.0, rel=0.003)  # a sphere stands for the ellipsoid
    assert volume_of({"box": [1, 2]})[0] is None


@pytest.mark.data
def test_the_sample_city_lies_in_its_regions_with_its_heights(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    city = read(shared_data("city", "tiles3d") / "1.0" / "TilesetWithRequestVolume")
    cim.save(city, tmp_path / "a.cim")
    city = cim.open(tmp_path / "a.cim")
    assert len(city) == 40
    boxes = dict(zip(city.ids(city.keys()), city.tables["objects"]["bbox"].to_pylist(), strict=True))
    table = city.table("GenericOccupiedSpace")
    heights = np.array([boxes[id_]["zmax"] - boxes[id_]["zmin"] for id_ in table.index])
    assert np.abs(heights - table["Height"].to_numpy()).max() < 1e-3  # the far side of a level roof in a tile 100 m wide
    told = " ".join(one["message"] for one in city.tables["issues"].to_pylist())
    assert "4 contents lie in their bounding volumes" in told
    assert "2 contents are not there: building.b3dm, points.pnts" in told
    from pyproj import Transformer

    first = boxes["city/ll/0"]
    there = Transformer.from_crs("EPSG:32618", "EPSG:4326", always_xy=True)
    lon, lat = there.transform((first["xmin"] + first["xmax"]) / 2, (first["ymin"] + first["ymax"]) / 2)
    row = table.loc["city/ll/0"]
    assert [np.radians(lon), np.radians(lat)] == pytest.approx([row["Longitude"], row["Latitude"]], abs=1e-11)  # 0.1 mm on the ground


@pytest.mark.data
def test_metadata_of_every_granularity_is_kept(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "tiles3d") / "1.1" / "MetadataGranularities", position=[-75.152325, 39.94704, 0.0])
    assert len(city) == 4
    key = int(city.key_of(["house1-1"])[0])
    values = {(row["set"], row["name"], row["value"]) for row in city.tables["properties"].to_pylist() if row["object"] == key}
    assert {("3D Tiles tileset", "author", "Cesium"), ("3D Tiles tile", "district", "Museum District"),
            ("3D Tiles content", "vertices", "684"), ("3D Tiles group", "priority", "1")} <= values  # fmt: skip
    assert any("16 contents are not there" in one["message"] for one in city.tables["issues"].to_pylist())


@pytest.mark.data
def test_features_of_a_property_table_become_objects(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("city", "tiles3d") / "glTF" / "EXT_structural_metadata" / "FeatureIdAttributeAndPropertyTable"
    for path in (folder, folder / "FeatureIdAttributeAndPropertyTable.gltf"):
        table = read(path, "local").table("GenericOccupiedSpace").sort_values("feature_id")
        assert table["faces"].tolist() == [2, 2, 2, 2]
        assert table["example_VEC3_FLOAT32"].tolist() == ["[0.0, 0.1, 0.2]", "[1.0, 1.1, 1.2]", "[2.0, 2.1, 2.2]", "[3.0, 3.1, 3.2]"]


def test_a_building_in_a_coarse_and_an_added_fine_tile_is_told(tmp_path: Path) -> None:
    document, binary = box_gltf()
    buildings = (("coarse.b3dm", ["A", "B"]), ("fine.b3dm", ["A", "C"]))
    for name, ids in buildings:
        tiles = [_b3dm({"BATCH_LENGTH": 1}, {"gml:id": [one]}, _numbered(document, binary)) for one in ids]
        length = 16 + sum(map(len, tiles))
        (tmp_path / name).write_bytes(b"cmpt" + b"".join(value.to_bytes(4, "little") for value in (1, length, 2)) + b"".join(tiles))
    for refine, told in (("ADD", True), ("REPLACE", False)):
        city = read(_tileset(tmp_path, _tile("coarse.b3dm", _tile("fine.b3dm"), refine=refine)), crs="local")
        messages = " | ".join(city.issues["message"])
        assert ("1 features carry the same 'gml:id'" in messages) is told
        assert ("kept beside those of the tiles below" in messages) is told
        assert sum(city.types().values()) == (4 if told else 2)


def _numbered(document: dict[str, Any], binary: bytes) -> bytes:
    """Return a box whose corners all are of feature 0."""
    import copy

    made = copy.deepcopy(document)
    primitive = made["meshes"][0]["primitives"][0]
    count = made["accessors"][primitive["attributes"]["POSITION"]]["count"]
    padded = binary + b"\0" * (-len(binary) % 4)
    made["bufferViews"].append({"buffer": 0, "byteOffset": len(padded), "byteLength": 4 * count})
    made["accessors"].append({"bufferView": len(made["bufferViews"]) - 1, "componentType": 5126, "count": count, "type": "SCALAR"})
    primitive["attributes"]["_BATCHID"] = len(made["accessors"]) - 1
    whole = padded + b"\0" * (4 * count)
    made["buffers"][0]["byteLength"] = len(whole)
    return glb(made, whole)
