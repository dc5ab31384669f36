"""A whole CityJSON file of the plain kind read at once: its geometry as columns, the rest as small JSON.

The kernel takes geometry arrays and vertices out of the text; here they become what `cim.loaders.cityjson.geometry`, `semantics` and
`appearance` make of parsed JSON. Only files without any oddness come this way: `scanned` returns None and the rest raises
`NotPlainError` for all others, which are then read with care, and named faults.
"""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from cim.loaders import json_guard
from cim.loaders.cityjson.plain import json_text, lod_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Ints = NDArray[np.int32]

__all__ = ["Columns", "Faces", "NotPlainError", "kernel", "scanned"]

LEAST, LOADED_FROM = 1 << 16, 1 << 24
"""Bytes from which the compiled way is taken, and from which the compiler is loaded for it."""
_INSIDE = 12
"""Levels at which the geometry of an object may nest, from the root."""
_LONG = 19
"""Digits of an integer that may be too long for 64 bit."""
_OWN = frozenset({"type", "parent", "children"})


class NotPlainError(Exception):
    """The file holds something that must be read with care."""


@dataclass(frozen=True)
class Faces:
    """Semantic surfaces, one row each, those that read alike held once."""

    geometry: NDArray[np.int64]
    """Shape (f,)."""
    code: NDArray[np.int64]
    """Which of the descriptions each is, shape (f,)."""
    described: list[dict[str, Any]]
    """As parsed, each once."""
    attributes: list[str | None]
    """Of each description: what it holds beyond type and links, as JSON."""


@dataclass(frozen=True)
class Columns:
    """Geometry of a file."""

    points: NDArray[np.float64]
    """Vertices as written, shape (v, 3)."""
    kind: list[str]
    lod: list[str]
    """Level of detail of each geometry, empty where it states none."""
    array: Ints
    """Number of the geometry array each geometry stands in, shape (g,): that of the objects that have any, in the order of the file."""
    index: Ints
    """Vertex indices."""
    counts: tuple[Ints, ...]
    """Lengths of the lists, innermost first: vertices of rings, rings of surfaces and so on to solids of geometries."""
    surfaces: Ints
    """How many semantic surfaces each geometry has, -1 for one without semantics, shape (g,)."""
    face: Ints
    """Semantic surface of each face of the geometries that have semantics, -1 for none."""
    faces: Faces
    worn: Ints
    """Geometry, theme, and the material of all faces (-1 where each has its own) of each material assignment, shape (m, 3)."""
    themes: list[str]
    look: Ints
    """Material of each face of the assignments that give each its own, -1 for none."""


@cache
def kernel() -> ModuleType | None:
    """Return the compiled loops; None where they cannot be had (no place to keep them, say)."""
    try:
        from cim.loaders.cityjson import kernel as compiled
    except (ImportError, RuntimeError, OSError):
        return None
    return compiled


def scanned(held: list[bytes], limits: Limits) -> tuple[dict[str, Any], Columns] | None:
    """Return the JSON of a file without its geometry (0 stands for each array, and for the vertices) and its geometry as columns.

    None where the file is small, or where anything in it needs a careful look.

    Parameters
    ----------
    held
        The text, in a list that is emptied as soon as the text is no longer needed.

    Raises
    ------
    NotPlainError
        If the text is gone already when something odd is met.
    """
    text = held[0]
    least = LEAST if "numba" in sys.modules else LOADED_FROM
    if not least <= len(text) < 1 << 31 or limits.depth < _INSIDE or (b"\\" in text and b"\\u" in text):
        return None
    compiled = kernel()
    if compiled is None:
        return None
    room = _Room(compiled, np.frombuffer(text, np.uint8))
    if not room.fill() or room.top[compiled.DEEPEST] > limits.depth:
        return None
    small = room.rest()
    try:
        columns = room.columns(limits)
    except (NotPlainError, ValueError):
        return None
    del room, text
    held.clear()
    try:
        return _plain_json(small, compiled), columns
    except ValueError as error:
        raise NotPlainError from error


def _plain_json(text: memoryview | bytes, compiled: ModuleType) -> Any:
    """Return the value of JSON text without long integers and repeated keys."""
    found = np.zeros(2, np.int64)
    compiled.looked(np.frombuffer(text, np.uint8), found)
    digits, colons = found.tolist()
    if digits >= _LONG:
        raise NotPlainError
    value = orjson.loads(text)
    if orjson.dumps(value).count(b":") != colons:
        raise NotPlainError
    return value


class _Room:
    """The arrays that the kernel fills: as long as the commas and brackets of the text allow, untouched until written."""

    def __init__(self, compiled: ModuleType, raw: NDArray[np.uint8]) -> None:
        self.kernel, self.raw = compiled, raw
        found = np.zeros(3, np.int64)
        compiled.counted(raw, found)
        commas, brackets, braces = (int(one) + 16 for one in found)
        numbers = commas + brackets
        self.top = np.zeros(16, np.int64)
        self.out = _untouched(len(raw) + 16, np.uint8)
        self.points = _untouched(numbers, np.float64)
        self.index, self.rings, self.faces, self.face, self.look = (_untouched(numbers, np.int32) for _ in range(5))
        self.shells, self.solids, self.geometries = (_untouched(brackets, np.int32) for _ in range(3))
        self.about, self.lods = _untouched(3 * braces, np.int32).reshape(3, -1), _untouched(braces, np.int64)
        self.first, self.last = _untouched(braces, np.int32), _untouched(braces, np.int32)
        self.worn, self.lists = _untouched(4 * braces, np.int32).reshape(-1, 4), _untouched(7 * brackets, np.int32).reshape(7, -1)

    def fill(self) -> bool:
        """Walk over the text; return whether it is of the plain kind, with objects and vertices."""
        fine = self.kernel.scan(
            self.raw, self.out, self.points, self.index, self.rings, self.faces, self.shells, self.solids, self.geometries, self.about,
            self.lods, self.face, self.first, self.last, self.look, self.worn, self.lists, self.top,
        )  # fmt: skip
        return bool(fine) and self.top[self.kernel.VERTEX] > 0 and self.top[self.kernel.GEOMETRY] > 0

    def rest(self) -> memoryview:
        """Return the text without the geometry, looked at where it was written."""
        return self.out[: self.top[self.kernel.OUT]].data

    def columns(self, limits: Limits) -> Columns:
        """Return what was found; the arrays are looked at where they were filled, not copied."""
        names = self.kernel
        numbers, rings, faces, shells, solids, geometries = (
            int(self.top[k]) for k in (names.NUMBER, names.RING, names.SURFACE, names.SHELL, names.SOLID, names.GEOMETRY)
        )
        counts = tuple(
            one[:many]
            for one, many in zip((self.rings, self.faces, self.shells, self.solids, self.geometries),
                                 (rings, faces, shells, solids, geometries), strict=True)
        )  # fmt: skip
        kinds = np.asarray(names.KINDS, object)[self.about[0, :geometries]].tolist()
        worn = self.worn[: self.top[names.WORN]]
        themes = self._texts(worn[:, 1].copy(), worn[:, 2].copy()).dictionary_encode()
        code = np.asarray(themes.indices.to_numpy(zero_copy_only=False), np.int32)
        return Columns(
            self.points[: 3 * int(self.top[names.VERTEX])].reshape(-1, 3), kinds, _levels(self.lods[:geometries]),
            self.about[2, :geometries].copy(), self.index[:numbers], counts, self.about[1, :geometries].copy(),
            self.face[: int(self.top[names.FACE])], self._described(limits), np.stack([worn[:, 0], code, worn[:, 3]], axis=1),
            [_text(one) for one in themes.dictionary.to_pylist()], self.look[: int(self.top[names.LOOK])],
        )  # fmt: skip

    def _texts(self, first: Ints, last: Ints) -> pa.Array:
        """Return stretches of the text as strings."""
        ends = np.concatenate([[0], np.cumsum(last - first, dtype=np.int64)]).astype(np.int32)
        joined = np.empty(int(ends[-1]), np.uint8)
        self.kernel.gather(self.raw, first, last, joined)
        return pa.StringArray.from_buffers(len(first), pa.py_buffer(ends), pa.py_buffer(joined))

    def _described(self, limits: Limits) -> Faces:
        """Return the semantic surfaces; each description is parsed once, however often it occurs."""
        count = int(self.top[self.kernel.SEMANTIC])
        texts = self._texts(self.first[:count], self.last[:count]).dictionary_encode()
        joined = ("[" + ",".join(texts.dictionary.to_pylist()) + "]").encode()
        if json_guard.nesting_depth(joined) + _INSIDE > limits.depth:
            raise NotPlainError
        described = _plain_json(joined, self.kernel)
        if len(described) != len(texts.dictionary) or any(not str(one.get("type") or "").strip("+ ") for one in described):
            raise NotPlainError
        extra = [{key: value for key, value in one.items() if key not in _OWN} for one in described]
        sizes = np.maximum(self.about[1, : self.top[self.kernel.GEOMETRY]], 0)
        return Faces(
            np.repeat(np.arange(len(sizes)), sizes), np.asarray(texts.indices.to_numpy(zero_copy_only=False), np.int64), described,
            [json_text(one) if one else None for one in extra],
        )  # fmt: skip


def _untouched(many: int, kind: type[np.generic]) -> NDArray[Any]:
    """Return an array that takes memory page by page as it is written, never in the large pages that numpy asks the system for."""
    return np.frombuffer(mmap.mmap(-1, max(many, 1) * np.dtype(kind).itemsize, access=mmap.ACCESS_COPY), kind, many)


def _text(json: str) -> str:
    value = orjson.loads(json)
    if not isinstance(value, str):
        raise NotPlainError
    return value


def _levels(packed: NDArray[np.int64]) -> list[str]:
    """Return levels of detail from the bytes they are written in."""
    codes, place = np.unique(packed, return_inverse=True)
    texts = [int(one).to_bytes(8, "big").lstrip(b"\0") for one in codes.tolist()]
    known: Sequence[str] = [lod_text(orjson.loads(one)) if one else "" for one in texts]
    return np.asarray(known, object)[place].tolist()  # type: ignore[no-any-return]
