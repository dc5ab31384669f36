from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError
from cim.loaders.limits import Limits
from cim.loaders.mesh.mesh import Mesh
from cim.loaders.mesh.ply import read_ply
from tests.loaders.mesh.made import BOX, FACES, PNG


def _header(order: str, vertices: int, faces: int, more: str = "", count: str = "uchar") -> bytes:
    lines = ("ply", f"format {order} 1.0", "comment TextureFile t.png", "comment label 3 building", f"element vertex {vertices}",
             "property double x", "property double y", "property double z", f"element face {faces}",
             f"property list {count} int vertex_indices")  # fmt: skip
    return ("\n".join(lines) + f"\n{more}end_header\n").encode()


def _read(folder: Path, data: bytes) -> Mesh:
    path = folder / "a.ply"
    path.write_bytes(data)
    return read_ply(path, Limits())


def _binary(order: str, faces: list[list[int]]) -> bytes:
    body = BOX.astype(f"{order}f8").tobytes()
    return body + b"".join(bytes([len(face)]) + np.array(face, f"{order}i4").tobytes() for face in faces)


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_triangles_are_read_in_both_byte_orders(tmp_path: Path, order: str) -> None:
    name = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    mesh = _read(tmp_path, _header(name, 8, 12) + _binary(order, FACES.tolist()))
    assert np.array_equal(mesh.points, BOX)
    assert np.array_equal(mesh.corner.reshape(-1, 3), FACES)


@pytest.mark.parametrize("order", ["<", ">"])
def test_binary_polygons_of_several_sizes_are_walked(tmp_path: Path, order: str) -> None:
    name = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    mesh = _read(tmp_path, _header(name, 8, 3) + _binary(order, [[0, 1, 2], [0, 1, 3, 2], [4, 5, 6, 7, 0]]))
    assert mesh.size.tolist() == [3, 4, 5]
    assert mesh.corner.tolist() == [0, 1, 2, 0, 1, 3, 2, 4, 5, 6, 7, 0]


def test_labels_and_texture_coordinates_of_faces_are_kept(tmp_path: Path) -> None:
    (tmp_path / "t.png").write_bytes(PNG)
    rows = "\n".join(" ".join(map(str, point)) for point in BOX.tolist())
    more = "property int label\nproperty list uchar float texcoord\n"
    mesh = _read(tmp_path, _header("ascii", 8, 2, more) + f"{rows}\n3 0 1 2 3 6 0 0 0.5 0 0.25 1\n4 0 1 3 2 -1 0\n".encode())
    assert mesh.label is not None
    assert mesh.label.tolist() == [3, -1]
    assert mesh.label_names == {3: "building"}
    assert mesh.uv is not None
    assert mesh.uv[:3].tolist() == [[0, 0], [0.5, 0], [0.25, 1]]
    assert np.isnan(mesh.uv[3:]).all()
    assert mesh.materials[0].image is not None
    assert mesh.materials[0].image.path == tmp_path / "t.png"


def test_bad_faces_are_named_and_the_others_stay(tmp_path: Path) -> None:
    rows = "\n".join(" ".join(map(str, point)) for point in BOX.tolist()).replace("10.0 10.0 10.0", "nan 10.0 10.0")
    mesh = _read(tmp_path, _header("ascii", 8, 4) + f"{rows}\n3 0 1 2\n3 0 1 99\n2 0 1\n3 0 1 7\n".encode())
    assert mesh.corner.tolist() == [0, 1, 2]
    told = " ".join(one.message for one in mesh.said)
    assert "out of range" in told
    assert "fewer than three" in told
    assert "not finite" in told


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (_header("binary_little_endian", 4_000_000_000, 1) + bytes(100), "more than its"),
        (_header("ascii", 8, 5) + b"0 0 0\n" * 12, "lines are left"),
        (_header("ascii", 1, 1) + b"0 0 0\n-3 0 0 0\n", "negative or impossible"),
        (_header("ascii", 1, 1) + b"0 0 0\n3 0 0\n", "impossible length"),
        (_header("ascii", 1, 1) + b"0 0 0\n3 0 0 0 0\n", "more values"),
        (_header("binary_little_endian", 1, 1, count="char") + bytes(24) + b"\xfd" + bytes(40), "negative or impossible"),
        (_header("binary_little_endian", 1, 2) + bytes(24) + b"\x03" + bytes(12) + b"\x05" + bytes(4), "impossible length"),
        (b"ply\nformat ascii 1.0\nelement vertex x\nend_header\n", "without a count"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quaternion x\nend_header\n1\n", "property line"),
        (b"ply\nformat ascii 1.0\n", "no end_header"),
    ],
)
def test_a_file_that_lies_about_its_size_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(CorruptFileError, match=what):
        _read(tmp_path, data)


def test_large_coordinates_in_32_bit_are_told_to_be_coarse(tmp_path: Path) -> None:
    head = _header("binary_little_endian", 8, 12).replace(b"double", b"float")
    far = (BOX + np.array([500000.0, 3400000.0, 0.0])).astype("<f4").tobytes()
    body = _binary("<", FACES.tolist())[8 * 24 :]
    mesh = _read(tmp_path, head + far + body)
    assert any("32 bit" in one.message and "0.25 m" in one.message for one in mesh.said)  # spacing of float32 at 3.4e6 is 0.25
