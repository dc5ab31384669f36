from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import CorruptFileError, FormatError, InputError, UnsafeInputError
from cim.loaders.limits import Limits
from cim.loaders.mesh.gltf import accessor, open_document
from cim.loaders.mesh.gltf_metadata import property_tables
from cim.loaders.mesh.gltf_scene import read_gltf
from cim.loaders.mesh.topology import topology
from tests.loaders.mesh.made import BOX, FACES, PNG, Buffers, box_gltf, glb, write_glb

LIMITS = Limits()


def test_the_second_axis_of_gltf_becomes_the_third(tmp_path: Path) -> None:
    mesh = read_gltf(write_glb(tmp_path / "a.glb", *box_gltf()), LIMITS)
    assert np.array_equal(mesh.points, BOX)
    assert np.array_equal(mesh.corner.reshape(-1, 3), FACES)
    assert mesh.names == ("box",)


def test_node_transforms_are_multiplied_down(tmp_path: Path) -> None:
    document, binary = box_gltf(scale=[2, 2, 2], name="inner")
    half = 0.5**0.5
    document["nodes"].append({"children": [0], "translation": [100, 5, 0], "rotation": [0, half, 0, half]})  # 90° about the upward axis
    document["scenes"] = [{"nodes": [1]}]
    mesh = read_gltf(write_glb(tmp_path / "a.glb", document, binary), LIMITS)
    turned = np.column_stack([-BOX[:, 1], BOX[:, 0], BOX[:, 2]]) * 2 + [100, 0, 5]
    assert np.allclose(mesh.points, turned, atol=1e-12)  # rounding of the rotation


def test_a_mirrored_node_keeps_its_faces_outward(tmp_path: Path) -> None:
    mesh = read_gltf(write_glb(tmp_path / "a.glb", *box_gltf(scale=[-1, 1, 1])), LIMITS)
    assert topology(mesh.points, mesh.size, mesh.corner, mesh.part, 1).volume[0] == pytest.approx(1000.0)


def test_strips_and_fans_become_triangles(tmp_path: Path) -> None:
    for mode, expected in ((5, [[0, 1, 2], [2, 1, 3]]), (6, [[0, 1, 2], [0, 2, 3]])):
        buffers = Buffers()
        square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], "<f4")
        primitive = {"attributes": {"POSITION": buffers.add(square, "VEC3", 5126)}, "mode": mode}
        document = buffers.document(meshes=[{"primitives": [primitive]}], nodes=[{"mesh": 0}])
        mesh = read_gltf(write_glb(tmp_path / "a.glb", document, buffers.data), LIMITS)
        assert mesh.corner.reshape(-1, 3).tolist() == expected


def test_v_runs_up_and_an_embedded_image_is_written_out(tmp_path: Path) -> None:
    document, binary = _textured()
    mesh = read_gltf(write_glb(tmp_path / "a.glb", document, binary), LIMITS)
    assert mesh.uv is not None
    assert mesh.uv[:, 1].tolist() == [1.0, 1.0, 0.75]
    image = mesh.materials[0].image
    assert image is not None
    assert image.path is not None
    assert image.path.read_bytes() == PNG
    assert mesh.materials[0].sampler.wrap == "clamp"
    assert mesh.materials[0].diffuse == pytest.approx((0.735357, 1.0, 0.0), abs=1e-6)  # linear 0.5 is shown as 0.735 (IEC 61966-2-1)


def _textured() -> tuple[dict[str, Any], bytes]:
    buffers = Buffers()
    position = buffers.add(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4"), "VEC3", 5126)
    uv = buffers.add(np.array([[0, 0], [1, 0], [0, 0.25]], "<f4"), "VEC2", 5126)
    image = buffers.view(PNG)
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.5, 1, 0, 1]}}
    primitive = {"attributes": {"POSITION": position, "TEXCOORD_0": uv}, "material": 0}
    return buffers.document(
        meshes=[{"primitives": [primitive]}], nodes=[{"mesh": 0}], materials=[material], textures=[{"source": 0, "sampler": 0}],
        samplers=[{"wrapS": 33071}], images=[{"bufferView": image, "mimeType": "image/png"}],
    ), buffers.data  # fmt: skip


def test_strided_normalised_and_sparse_accessors_are_read(tmp_path: Path) -> None:
    buffers = Buffers()
    mixed = np.zeros(3, np.dtype([("a", "<u2", (3,)), ("pad", "<u2")]))
    mixed["a"] = [[0, 65535, 0], [1, 2, 3], [65535, 0, 0]]
    strided = buffers.add(mixed, "VEC3", 5123, normalized=True)
    buffers.views[-1]["byteStride"] = 8
    rows, values = buffers.view(np.array([1], "<u2").tobytes()), buffers.view(np.array([7.5], "<f4").tobytes())
    buffers.accessors.append({"componentType": 5126, "count": 3, "type": "SCALAR", "sparse": {
        "count": 1, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values}}})  # fmt: skip
    document = open_document(write_glb(tmp_path / "a.glb", buffers.document(), buffers.data), LIMITS)
    assert accessor(document, strided)[[0, 2]].tolist() == [[0, 1, 0], [1, 0, 0]]
    assert accessor(document, 1).tolist() == [0, 7.5, 0]


def test_properties_of_every_type_are_decoded(tmp_path: Path) -> None:
    buffers = Buffers()
    text = "一期Ab".encode()
    where = {
        "name": {"values": buffers.view(text), "stringOffsets": buffers.view(np.array([0, 6, 8], "<u4").tobytes())},
        "height": {"values": buffers.view(np.array([1, 3], "<i2").tobytes())},
        "flag": {"values": buffers.view(bytes([0b10]))},
        "use": {"values": buffers.view(np.array([1, 0], "<u2").tobytes())},
        "list": {
            "values": buffers.view(np.array([1, 2, 3], "u1").tobytes()),
            "arrayOffsets": buffers.view(np.array([0, 0, 3], "<u4").tobytes()),
        },
        "gone": {"values": buffers.view(np.array([-9, 4], "<f4").tobytes())},
    }
    told = {
        "name": {"type": "STRING"}, "height": {"type": "SCALAR", "componentType": "INT16", "scale": 0.5, "offset": 10},
        "flag": {"type": "BOOLEAN"}, "use": {"type": "ENUM", "enumType": "use"},
        "list": {"type": "SCALAR", "componentType": "UINT8", "array": True},
        "gone": {"type": "SCALAR", "componentType": "FLOAT32", "noData": -9},
    }  # fmt: skip
    schema = {
        "classes": {"c": {"properties": told}},
        "enums": {"use": {"values": [{"name": "office", "value": 0}, {"name": "shop", "value": 1}]}},
    }
    tables = [{"class": "c", "count": 2, "properties": where}]
    document = buffers.document(extensions={"EXT_structural_metadata": {"schema": schema, "propertyTables": tables}})
    (table,) = property_tables(open_document(write_glb(tmp_path / "a.glb", document, buffers.data), LIMITS))
    assert table.columns == {
        "name": ["一期", "Ab"], "height": [10.5, 11.5], "flag": [False, True], "use": ["shop", "office"], "list": ["[]", "[1, 2, 3]"],
        "gone": [None, 4.0],
    }  # fmt: skip


def _broken(**change: Any) -> bytes:
    document, binary = box_gltf()
    document = copy.deepcopy(document)
    for path, value in change.items():
        place: Any = document
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        for step in steps:
            place = place[step]
        place[last] = value
    return glb(document, binary)


@pytest.mark.parametrize(
    ("data", "kind", "what"),
    [
        (_broken(accessors__0__count=10**12), CorruptFileError, "claims a count"),
        (_broken(accessors__0__bufferView=7), CorruptFileError, "out of range"),
        (_broken(accessors__0__count=-1), CorruptFileError, "count or length from 0"),
        (_broken(bufferViews__0__byteOffset=10**6), CorruptFileError, "outside its buffer"),
        (_broken(buffers__0__byteLength=10**9), CorruptFileError, "declares a length"),
        (_broken(nodes__0__children=[0]), CorruptFileError, "cycle"),
        (_broken(nodes__0__matrix=[1, 2]), CorruptFileError, "16 finite numbers"),
        (_broken(nodes__0__mesh=5), CorruptFileError, "out of range"),
        (_broken(extensionsRequired=["KHR_draco_mesh_compression"]), FormatError, "KHR_draco_mesh_compression"),
        (_broken(asset={"version": "1.0"}), FormatError, "version"),
        (_broken()[:200], CorruptFileError, "truncated"),
        (b"glTF" + bytes(30), FormatError, "version 0"),
    ],
)
def test_a_document_that_lies_is_refused(tmp_path: Path, data: bytes, kind: type[InputError], what: str) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(data)
    with pytest.raises(kind, match=what):
        read_gltf(path, LIMITS)


@pytest.mark.parametrize("uri", ["../a.bin", "%2e%2e/a.bin", "http://127.0.0.1:1/a.bin", "/etc/passwd", "file:///etc/passwd"])
def test_a_buffer_outside_the_folder_is_not_opened(tmp_path: Path, uri: str) -> None:
    document, binary = box_gltf()
    document["buffers"][0]["uri"] = uri
    (tmp_path / "a.bin").write_bytes(binary)
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.gltf"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UnsafeInputError, match="not opened"):
        read_gltf(path, LIMITS)


def test_buffers_beside_the_file_and_inside_it_are_the_same(tmp_path: Path) -> None:
    document, binary = box_gltf()
    (tmp_path / "a b.bin").write_bytes(binary)
    for uri in ("a%20b.bin", "data:application/octet-stream;base64," + base64.b64encode(binary).decode()):
        document["buffers"][0]["uri"] = uri
        path = tmp_path / "a.gltf"
        path.write_text(json.dumps(document), encoding="utf-8")
        assert np.array_equal(read_gltf(path, LIMITS).points, BOX)


def test_positions_that_only_a_compressed_copy_holds_are_not_read_as_zeros(tmp_path: Path) -> None:
    document, binary = box_gltf()
    whole = copy.deepcopy(document["meshes"][0]["primitives"][0])
    hollow = {**document["accessors"][whole["attributes"]["POSITION"]]}
    hollow.pop("bufferView")
    document["accessors"].append(hollow)
    whole["attributes"]["POSITION"] = len(document["accessors"]) - 1
    document["meshes"][0]["primitives"].append(whole)
    mesh = read_gltf(write_glb(tmp_path / "a.glb", document, binary), LIMITS)
    assert len(mesh.size) == len(FACES)
    assert any("1 primitives have no positions" in one.message for one in mesh.said)
