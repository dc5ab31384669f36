from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError
from cim.loaders.limits import Limits
from cim.loaders.mesh.stl import is_stl, read_stl
from tests.loaders.mesh.made import BOX, FACES


def _binary() -> bytes:
    rows = np.zeros(len(FACES), np.dtype([("n", "<f4", (3,)), ("c", "<f4", (3, 3)), ("a", "<u2")]))
    rows["c"] = BOX[FACES]
    return bytes(80) + len(rows).to_bytes(4, "little") + rows.tobytes()


def _text() -> bytes:
    facets = "".join(
        "facet normal 0 0 0\n outer loop\n" + "".join(f"  vertex {x} {y} {z}\n" for x, y, z in corner) + " endloop\nendfacet\n"
        for corner in BOX[FACES].tolist()
    )
    return f"solid box\n{facets}endsolid box\n".encode()


@pytest.mark.parametrize("data", [_binary(), _text(), _text().replace(b"\n", b"\r\n").replace(b"vertex", b"VERTEX")])
def test_equal_corners_become_one_vertex(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(data)
    assert is_stl(data, len(data))
    mesh = read_stl(path, Limits())
    assert len(mesh.points) == 8
    assert np.array_equal(mesh.points[mesh.corner], BOX[FACES].reshape(-1, 3))


@pytest.mark.parametrize(("data", "what"), [(_binary()[:-1], "declares 12"), (_text().replace(b"vertex 0", b"vertex x 0", 1), "not whole")])
def test_a_cut_file_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "a.stl"
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=what):
        read_stl(path, Limits())
