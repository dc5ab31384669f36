from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.limits import Limits
from cim.loaders.mesh.mesh import Mesh
from cim.loaders.mesh.mtl import texture_name
from cim.loaders.mesh.obj import is_obj, read_obj
from tests.loaders.mesh.made import BOX, FACES, PNG, obj_text

FAR = np.array([40557122.865, 3464391.326, 0.0])


def _read(folder: Path, text: str, grouping: str = "auto") -> Mesh:
    path = folder / "a.obj"
    path.write_text(text, encoding="utf-8")
    return read_obj(path, Limits(), grouping=grouping)


def test_coordinates_are_read_in_64_bit(tmp_path: Path) -> None:
    mesh = _read(tmp_path, obj_text(BOX + FAR, FACES))
    assert np.array_equal(mesh.points, BOX + FAR)
    assert np.array_equal(mesh.corner.reshape(-1, 3), FACES)


def test_polygons_stay_polygons_and_negative_indices_count_back(tmp_path: Path) -> None:
    mesh = _read(tmp_path, "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\nv 2 2 2\nf -1 -5 -4\n")
    assert mesh.size.tolist() == [4, 3]
    assert mesh.corner.tolist() == [0, 1, 2, 3, 4, 0, 1]


@pytest.mark.parametrize("face", ["1/1/1 2/2/1 3/3/1", "1/1 2/2 3/3", "1/1/ 2/2/ 3/3/"])
def test_texture_coordinates_are_found_in_every_notation(tmp_path: Path, face: str) -> None:
    mesh = _read(tmp_path, f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.1 0.2\nvt 0.3 0.4\nvt 0.5 0.6\nvn 0 0 1\nf {face}\n")
    assert mesh.uv is not None
    assert mesh.uv.tolist() == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]


def test_a_corner_without_texture_has_no_coordinates_beside_one_that_has(tmp_path: Path) -> None:
    mesh = _read(tmp_path, "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0.5 0.5\nf 1//1 2/1/1 3\n")
    assert mesh.uv is not None
    assert np.isnan(mesh.uv[:, 0]).tolist() == [True, False, True]


def test_windows_lines_comments_indents_and_continued_lines_are_understood(tmp_path: Path) -> None:
    mesh = _read(tmp_path, "# made\r\n  v 0 0 0\r\n\tv 1 0 0\r\nv 0 1 0\r\nf 1 2 \\\r\n 3 # the only one\r\n")
    assert mesh.corner.tolist() == [0, 1, 2]
    assert mesh.said == ()


@pytest.mark.parametrize(
    ("line", "what"),
    [("f 1 2 9", "out of range"), ("f 0 1 2", "out of range"), ("f 1 2 -9", "out of range"), ("f 1 2", "fewer than three"),
     ("f 1 2 1099511627776", "out of range"), ("f 1 2 99999999999999999999999", "cannot be read"), ("f 1 2 x", "cannot be read"),
     ("f 1 2 /3", "cannot be read"), ("f 1 2 3-", "cannot be read"), ("f 1.5 2 3", "cannot be read")],
)  # fmt: skip
def test_a_bad_face_is_named_and_the_others_stay(tmp_path: Path, line: str, what: str) -> None:
    mesh = _read(tmp_path, f"v 0 0 0\nv 1 0 0\nv 0 1 0\n{line}\nf 1 2 3\n")
    assert mesh.corner.tolist() == [0, 1, 2]
    (told,) = mesh.said
    assert told.code == "rejected"
    assert told.count == 1
    assert what in told.message


@pytest.mark.parametrize("word", ["nan", "inf", "1e999", "abc", "1.#IND"])
def test_a_vertex_that_is_not_finite_takes_its_faces_with_it(tmp_path: Path, word: str) -> None:
    mesh = _read(tmp_path, f"v 0 0 0\nv 1 0 0\nv 0 1 0\nv {word} 0 0\nf 1 2 3\nf 1 2 4\n")
    assert mesh.size.tolist() == [3]
    assert np.isfinite(mesh.points).all()
    assert "not finite" in mesh.said[0].message


def test_objects_are_parts_and_groups_only_without_objects(tmp_path: Path) -> None:
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    both = _read(tmp_path, f"{corners}o house\ng roof\nf 1 2 3\ng wall\nf 1 2 3\no tree\nf 1 2 3\no house\nf 3 2 1\n")
    assert both.names == ("house", "tree")
    assert both.part.tolist() == [0, 0, 1, 0]
    groups = _read(tmp_path, f"{corners}f 1 2 3\ng roof\nf 1 2 3\n")
    assert groups.names == (None, "roof")
    assert _read(tmp_path, f"{corners}o a\nf 1 2 3\no b\nf 1 2 3\n", "none").names == (None,)


def test_materials_and_their_image_are_read_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "my facade.png").write_bytes(PNG)
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\nd 0.25\nnewmtl photo\nmap_Kd -clamp on my facade.png\n", encoding="utf-8")
    mesh = _read(tmp_path, "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1 2 3\nusemtl photo\nf 1/1 2/1 3/1\nusemtl red\nf 1 2 3\n")
    assert mesh.material is not None
    assert [None if place < 0 else mesh.materials[place].name for place in mesh.material.tolist()] == [None, "photo", "red"]
    photo = next(one for one in mesh.materials if one.name == "photo")
    assert photo.image is not None
    assert photo.image.path == tmp_path / "my facade.png"
    assert (photo.image.format, photo.sampler.wrap) == ("PNG", "clamp")
    assert next(one for one in mesh.materials if one.name == "red").transparency == 0.75


@pytest.mark.parametrize("name", ["../secret.mtl", "/etc/passwd", "http://host/a.mtl", "..\\secret.mtl", "C:\\a.mtl", "link.mtl"])
def test_a_material_library_outside_the_folder_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.mtl").write_text("newmtl a\nKd 1 0 0\n", encoding="utf-8")
    inner = tmp_path / "in"
    inner.mkdir()
    (inner / "link.mtl").symlink_to(tmp_path / "secret.mtl")
    mesh = _read(inner, f"mtllib {name}\nusemtl a\n" + obj_text(BOX, FACES))
    assert mesh.materials == ()
    assert "not opened" in mesh.said[0].message


def test_options_before_a_texture_name_are_not_part_of_it() -> None:
    assert texture_name("-bm 0.5 -o 0 0 0 -s 2 wall 1.jpg") == ("wall 1.jpg", False)


def test_a_continued_line_at_the_start_is_no_reason_to_refuse_a_file() -> None:
    assert is_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 \\\n3\nv 2 0 0\n")
    assert is_obj(b"v 0 0 0\r\nf 1 2 \\\r\n3\r\nv 2 0 0\r\n")


def test_prose_is_not_taken_for_a_mesh() -> None:
    assert not is_obj(b"version 1\nvalue 2\n")
    assert not is_obj(b"")


@given(st.binary(max_size=200))
def test_any_bytes_after_a_mesh_do_no_harm(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.obj"
    path.write_bytes(obj_text(BOX, FACES).encode() + tail)
    mesh = read_obj(path, Limits())
    assert np.isfinite(mesh.points).all()
    assert mesh.corner.min() >= 0
    assert mesh.corner.max() < len(mesh.points)
    assert mesh.size.sum() == len(mesh.corner)


@pytest.mark.heavy
def test_a_million_triangles_are_read(tmp_path: Path) -> None:
    count = 1_000_000
    path = tmp_path / "big.obj"
    with path.open("w") as file:
        for row in range(0, count // 2, 1000):
            file.write("".join(f"v {row + k}.25 {k}.5 1.125\n" for k in range(1000)))
        file.write("".join(f"f {k % 499_990 + 1} {k % 499_990 + 2} {k % 499_990 + 3}\n" for k in range(count)))
    mesh = read_obj(path, Limits())
    assert (len(mesh.points), len(mesh.size)) == (count // 2, count)
