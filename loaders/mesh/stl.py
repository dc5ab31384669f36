"""STL, ASCII and binary: triangles without shared vertices; corners that are equal to the last bit become one vertex."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.mesh.mesh import Mesh, Remark
from cim.loaders.mesh.text import columns, lines_of, normalised, picked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Reals = NDArray[np.float64]

__all__ = ["is_stl", "read_stl"]

_HEAD, _RECORD = 84, 50
_FACET = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def is_stl(head: bytes, size: int) -> bool:
    """Return whether a file is STL: text that starts with "solid" and a facet, or a count that meets the size, or nearly.

    Binary STL has no mark: 80 free bytes and the number of triangles.
    """
    if _is_text(head):
        return True
    return len(head) >= _HEAD and size == _HEAD + _RECORD * int.from_bytes(head[80:84], "little")


def _is_text(head: bytes) -> bool:
    start = head.lstrip()[:4096].lower()
    return start.startswith(b"solid") and b"\0" not in start and (b"facet" in start or b"endsolid" in start or b"\n" not in start.strip())


def read_stl(path: Path, limits: Limits) -> Mesh:
    """Return the mesh in an STL file.

    Raises
    ------
    CorruptFileError
        If it declares more triangles than it holds, or a facet of its text is not whole.
    """
    data = path.read_bytes()
    binary = len(data) >= _HEAD and len(data) == _HEAD + _RECORD * int.from_bytes(data[80:84], "little")
    corners = _ascii(data, path) if _is_text(data[:65536]) and not binary else _binary(data, path)
    limits.check("records", len(corners), path)
    finite = np.isfinite(corners).all(axis=(1, 2))
    said = []
    if not finite.all():
        bad = int((~finite).sum())
        said.append(
            Remark("rejected", "warning", f"{bad} triangles have a corner that is not finite (NaN or infinity); they are left out", bad)
        )
    flat = np.ascontiguousarray(corners[finite].reshape(-1, 3)) + 0.0  # -0.0 and 0.0 are one place
    _, first, place = np.unique(flat.view([("", flat.dtype)] * 3).reshape(-1), return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # vertices in the order they are met
    count = int(finite.sum())
    return Mesh(
        flat[np.sort(first)], np.full(count, 3, np.int64), rank[place.reshape(-1)].astype(np.int64), np.zeros(count, np.int64),
        said=tuple(said),
    )  # fmt: skip


def _binary(data: bytes, path: Path) -> Reals:
    count = int.from_bytes(data[80:84], "little")
    if len(data) < _HEAD + _RECORD * count:
        reason = f"declares {count:,} triangles, but its {len(data):,} bytes hold {max(len(data) - _HEAD, 0) // _RECORD:,} (truncated?)"
        raise CorruptFileError(path, reason, "export or copy it again")
    return np.frombuffer(data, _FACET, count, _HEAD)["corners"].astype(np.float64)


def _ascii(data: bytes, path: Path) -> Reals:
    lines = lines_of(b"\n".join(line.strip() for line in normalised(data).split(b"\n")) + b"\n")
    last = len(lines.text) - 1
    first, second = (lines.text[np.minimum(lines.start[:-1] + place, last)] | 32 for place in (0, 1))
    corners, count = columns(picked(lines, (first == ord("v")) & (second == ord("e"))), 3, keyword=6)
    if len(corners) % 3 or (count != 3).any():
        raise CorruptFileError(path, f"has a facet that is not whole ({len(corners):,} vertex lines)", "export or copy it again")
    return corners.reshape(-1, 3, 3)
