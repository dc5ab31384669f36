"""Wavefront OBJ: vertices, texture coordinates, polygons, groups and materials, a block of lines at a time.

Every line is told by its first bytes; the numbers of one kind are parsed together, and only the few lines that name a group or a
material are looked at one by one. Coordinates are text and read as 64 bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.mesh.files import Companions
from cim.loaders.mesh.mesh import Material, Mesh, Remark, starts
from cim.loaders.mesh.mtl import materials_of
from cim.loaders.mesh.text import Lines, columns, integers, lines_of, normalised, picked, token_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Bytes = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["GROUPINGS", "is_obj", "read_obj"]

GROUPINGS = ("auto", "o", "g", "none")
"""What becomes a part: ``o`` names, ``g`` names, the whole file; "auto" takes ``o`` where there is one, else ``g``."""
_BLOCK = 1 << 24
"""Bytes of text that are taken apart at once."""
_LIBRARY = 16 << 20
"""Largest material library [bytes]."""
_MANY = 1_000_000
"""Most lines that name groups and materials."""
_LONGEST = 18
"""Digits of an index that fit 64 bit."""
_WORDS = (b"v", b"vt", b"vn", b"vp", b"f", b"l", b"p", b"o", b"g", b"s", b"mtllib", b"usemtl")
_V, _VT, _F, _NAME, _SKIP, _SHAPE, _ODD = range(7)
_SLASH, _MINUS = ord("/"), ord("-")


def is_obj(head: bytes) -> bool:
    r"""Return whether text begins like an OBJ file: the first lines that are no comments have its words and numbers.

    Examples
    --------
    >>> is_obj(b"# made\nmtllib a.mtl\nv 0 0 0\n"), is_obj(b"very nice\n")
    (True, False)
    """
    lines = [line.strip() for line in head[:65536].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ").split(b"\n")]
    told = [line.split(None, 1) for line in lines if line and not line.startswith(b"#")][:20]
    if not told or any(words[0] not in _WORDS for words in told[:-1]) or b"\0" in head:
        return False
    return any(words[0] in {b"v", b"mtllib", b"usemtl", b"o", b"g"} and len(words) == 2 for words in told)


@dataclass
class _State:
    """What one block tells the next."""

    vertices: int = 0
    textures: int = 0
    faces: int = 0
    object_: str | None = None
    group: str | None = None
    colours: int = 0
    short: int = 0
    malformed: int = 0
    shapes: int = 0
    odd: int = 0
    libraries: dict[str, None] = field(default_factory=dict)
    switches: list[tuple[int, str, str]] = field(default_factory=list)
    """(first face, "o" | "g" | "usemtl", name)."""


@dataclass(frozen=True)
class _Faces:
    """The faces of one block, indices counted from zero over the whole file."""

    size: Ints
    vertex: Ints
    texture: Ints
    """-1 where a corner has none."""


def read_obj(path: Path, limits: Limits, *, grouping: str = "auto", folder: Path | None = None) -> Mesh:
    """Return the mesh in an OBJ file.

    Parameters
    ----------
    grouping
        One of `GROUPINGS`.
    folder
        Folder that materials and images must lie in; that of the file without it.

    Notes
    -----
    Faces with an index out of range, with fewer than three corners or with a corner that is not finite are rejected and counted.
    """
    data = normalised(path.read_bytes())
    state = _State()
    points, textures, faces = [], [], []
    for block in _blocks(data):
        told = _taken(block, state, path, limits)
        points.append(told[0])
        textures.append(told[1])
        faces.append(told[2])
    companions = Companions(path, folder or path.parent)
    library = _library(state, companions)
    mesh = _mesh(np.concatenate(points), np.concatenate(textures), faces, state, library, grouping)
    return mesh.noting(*companions.said, *_remarks(state))


def _blocks(data: bytes) -> list[Lines]:
    found, place = [], 0
    while place < len(data):
        end = data.find(b"\n", min(place + _BLOCK, len(data) - 1)) + 1 or len(data)
        found.append(lines_of(data[place:end]))
        place = end
    return found


def _taken(block: Lines, state: _State, path: Path, limits: Limits) -> tuple[Reals, Reals, _Faces]:
    """Return the vertices, texture coordinates and faces of a block, and note its names."""
    block = _unindented(block)
    kind = _kinds(block)
    vertices, count = columns(picked(block, kind == _V), 3, keyword=1)
    textures, _ = columns(picked(block, kind == _VT), 2, keyword=2)
    state.colours += int((count >= 6).sum())
    state.short += int((count < 3).sum())
    textures[:, 1] = np.where(np.isnan(textures[:, 1]) & ~np.isnan(textures[:, 0]), 0.0, textures[:, 1])
    limits.check("records", state.vertices + len(vertices), path)
    faces, line_faces = _faces(block, kind, state)
    _names(block, kind, line_faces, state)
    state.vertices += len(vertices)
    state.textures += len(textures)
    state.faces += len(faces.size)
    state.shapes += int((kind == _SHAPE).sum())
    state.odd += int((kind == _ODD).sum())
    return vertices, textures, faces


def _unindented(block: Lines) -> Lines:
    first = block.text[block.start[:-1]]
    if not ((first == 32) | (first == 9)).any():
        return block
    return lines_of(b"\n".join(line.lstrip() for line in block.text.tobytes().split(b"\n")[:-1]) + b"\n")


def _kinds(block: Lines) -> Ints:
    """Return what each line is, by its first three bytes."""
    last = len(block.text) - 1
    at = block.start[:-1]
    a, b, c = (block.text[np.minimum(at + place, last)] for place in range(3))
    b_blank, c_blank = b <= 32, c <= 32
    kind = np.full(len(at), _ODD, np.int64)
    kind[(a == ord("v")) & b_blank] = _V
    kind[(a == ord("v")) & (b == ord("t")) & c_blank] = _VT
    kind[(a == ord("f")) & b_blank] = _F
    kind[((a == ord("o")) | (a == ord("g"))) & b_blank] = _NAME
    kind[((a == ord("u")) & (b == ord("s"))) | ((a == ord("m")) & (b == ord("t")))] = _NAME
    kind[((a == ord("l")) | (a == ord("p"))) & b_blank] = _SHAPE
    kind[(a == ord("#")) | (a <= 32) | ((a == ord("s")) & b_blank) | ((a == ord("v")) & ((b == ord("n")) | (b == ord("p"))) & c_blank)] = (
        _SKIP
    )
    return kind


# ---------------------------------------------------------------- faces


def _faces(block: Lines, kind: Ints, state: _State) -> tuple[_Faces, Ints]:
    """Return the faces of a block and, for each of its lines, how many good faces stand before it."""
    chosen = kind == _F
    lines = picked(block, chosen)
    good, count = _well_formed(lines)
    state.malformed += int((~good).sum())
    before = np.flatnonzero(chosen)[good]
    line_faces = np.zeros(len(kind) + 1, np.int64)
    line_faces[before + 1] = 1
    seen = [state.vertices + np.cumsum(kind == _V)[before], state.textures + np.cumsum(kind == _VT)[before]]
    vertex, texture = _corners(picked(lines, good))
    size = count[good]
    told = [_counted(values, np.repeat(many, size)) for values, many in zip((vertex, texture), seen, strict=True)]
    return _Faces(size, *told), np.cumsum(line_faces)


def _well_formed(lines: Lines) -> tuple[Flags, Ints]:
    """Return which face lines hold three or more corners made of digits, slashes and signs alone, and their number of corners."""
    if len(lines.start) < 2:
        return np.zeros(0, bool), np.zeros(0, np.int64)
    text = lines.text
    if (text == ord("#")).any():
        _blank_comments(lines)
    allowed = ((text >= ord("0")) & (text <= ord("9"))) | (text <= 32) | (text == _SLASH) | (text == _MINUS)
    allowed[lines.start[:-1]] = True  # the keyword
    bad = np.logical_or.reduceat(~allowed, lines.start[:-1])
    count = token_counts(Lines(text, lines.start)) - 1
    digits = (text >= ord("0")) & (text <= ord("9"))
    return ~bad & (count >= 3) & ~_empty_vertex(text, lines) & ~_too_long(digits, lines), count


def _blank_comments(lines: Lines) -> None:
    """Overwrite what follows a # on its line with blanks."""
    mark = np.cumsum(lines.text == ord("#"))
    before = np.concatenate([[0], mark])[lines.start[:-1]]
    inside = mark > np.repeat(before, np.diff(lines.start))
    lines.text[inside & (lines.text != 10)] = 32


def _empty_vertex(text: Bytes, lines: Lines) -> Flags:
    """Return which lines have a corner without a vertex, such as /2 or a lone sign."""
    before = np.concatenate([[32], text[:-1]]).astype(np.uint8)
    after = np.concatenate([text[1:], [32]]).astype(np.uint8)
    digit = (after >= ord("0")) & (after <= ord("9"))
    wrong = ((text == _SLASH) & (before <= 32)) | ((text == _MINUS) & (~digit | ((before > 32) & (before != _SLASH))))
    return np.logical_or.reduceat(wrong, lines.start[:-1])


def _too_long(digits: Flags, lines: Lines) -> Flags:
    """Return which lines hold an integer of more digits than 64 bit."""
    edge = np.diff(np.concatenate([[0], digits.astype(np.int8), [0]]))
    begin, end = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    out = np.zeros(len(lines.start) - 1, bool)
    out[np.searchsorted(lines.start, begin[end - begin > _LONGEST], side="right") - 1] = True
    return out


def _corners(lines: Lines) -> tuple[Ints, Ints]:
    """Return the vertex and the texture index of each corner as written, 0 for no texture."""
    text = lines.text.copy()
    text[lines.start[:-1]] = 32
    blank, slash = text <= 32, text == _SLASH
    begins = ~blank
    begins[1:] &= blank[:-1]
    number = ~blank & ~slash
    number[1:] &= (blank | slash)[:-1]
    slashes = np.cumsum(slash, dtype=np.int32)
    token = np.cumsum(begins, dtype=np.int32) - 1
    at = np.flatnonzero(number)
    slot = slashes[at] - slashes[np.flatnonzero(begins)][token[at]]
    text[slash] = 32
    values = integers(text.tobytes())
    vertex = values[slot == 0]
    texture = np.zeros(len(vertex), np.int64)
    second = slot == 1
    texture[token[at][second]] = values[second]
    return vertex, texture


def _counted(index: Ints, seen: Ints) -> Ints:
    """Return indices counted from zero; those that count back from the end are turned; 0, and too far back, become -1."""
    return np.where(index > 0, index - 1, np.where((index < 0) & (-index <= seen), seen + index, -1))


# ---------------------------------------------------------------- names


def _names(block: Lines, kind: Ints, line_faces: Ints, state: _State) -> None:
    """Note groups, materials and libraries of a block, each with the number of faces before it."""
    for line in np.flatnonzero(kind == _NAME).tolist():
        text = block.text[block.start[line] : block.start[line + 1]].tobytes().decode("utf-8", "replace").strip()
        word, _, name = text.partition(" ")
        name = name.strip()
        if word == "mtllib":
            state.libraries[name] = None
        elif word in {"o", "g", "usemtl"} and len(state.switches) < _MANY:
            state.switches.append((state.faces + int(line_faces[line]), word, name))
        elif word not in {"o", "g", "usemtl"}:
            state.odd += 1


def _library(state: _State, companions: Companions) -> dict[str, Material]:
    found: dict[str, Material] = {}
    for name in state.libraries:
        data = companions.text(name, "material library (mtllib)", _LIBRARY)
        if data is not None:
            found |= materials_of(data.decode("utf-8", "replace"), companions)
    return found


# ---------------------------------------------------------------- together


def _mesh(points: Reals, textures: Reals, blocks: list[_Faces], state: _State, library: dict[str, Material], grouping: str) -> Mesh:
    size = np.concatenate([one.size for one in blocks])
    vertex = np.concatenate([one.vertex for one in blocks])
    texture = np.concatenate([one.texture for one in blocks])
    part, names = _parts(state, len(size), grouping)
    material, materials = _materials(state, len(size), library)
    out = (vertex < 0) | (vertex >= len(points))
    infinite = np.asarray(~np.isfinite(points).all(axis=1))
    broken = ~out & infinite[np.where(out, 0, vertex)] if len(points) else np.zeros(len(vertex), bool)
    first = starts(size)[:-1]
    bad_index, bad_point = (np.logical_or.reduceat(one, first) if len(first) else np.zeros(0, bool) for one in (out, broken))
    keep = ~(bad_index | bad_point)
    corner_kept = np.repeat(keep, size)
    uv = _uv(textures, texture[corner_kept])
    said = _rejections(int(bad_index.sum()), int((bad_point & ~bad_index).sum()), int(infinite.sum()))
    unknown = (texture >= len(textures)) & corner_kept
    if unknown.any():
        text = f"{int(unknown.sum())} corners name texture coordinates that are out of range; they have none now"
        said += (Remark("rejected", "warning", text, int(unknown.sum())),)
    return Mesh(
        np.where(infinite[:, None], 0.0, points), size[keep], vertex[corner_kept], part[keep], names, uv,
        None if material is None else material[keep], materials, said=said,
    )  # fmt: skip


def _uv(textures: Reals, texture: Ints) -> Reals | None:
    if not len(textures):
        return None
    there = (texture >= 0) & (texture < len(textures))
    uv = np.where(there[:, None], textures[np.where(there, texture, 0)], np.nan)
    return uv if np.isfinite(uv).any() else None


def _parts(state: _State, faces: int, grouping: str) -> tuple[Ints, tuple[str | None, ...]]:
    words = {word for _, word, _ in state.switches}
    word = next((one for one in ("o", "g") if one in words), "") if grouping == "auto" else grouping
    marks = [(first, name) for first, said, name in state.switches if said == word]
    place, found = _runs(marks, faces)
    return place, tuple(found) or (None,)


def _runs(marks: list[tuple[int, str]], faces: int) -> tuple[Ints, list[str | None]]:
    """Return which name holds for each face, the same name again being the same; faces before the first have none."""
    number: dict[str | None, int] = {}
    begin, which = [0], [None if not marks or marks[0][0] > 0 else marks[0][1]]
    for first, name in marks:
        begin.append(first)
        which.append(name or None)
    length = np.diff([*begin, faces])
    ids = [number.setdefault(name, len(number)) if many else -1 for name, many in zip(which, length.tolist(), strict=True)]
    return np.repeat(np.array(ids, np.int64), length), list(number)


def _materials(state: _State, faces: int, library: dict[str, Material]) -> tuple[Ints | None, tuple[Material, ...]]:
    marks = [(first, name) for first, said, name in state.switches if said == "usemtl"]
    if not marks or not faces:
        return None, ()
    which, names = _runs(marks, faces)
    known = [name for name in names if name is not None and name in library]
    if not known:
        return None, ()
    place = np.array([known.index(name) if name in library else -1 for name in names], np.int64)
    return place[which], tuple(library[name] for name in known)


# ---------------------------------------------------------------- what was met


def _rejections(index: int, point: int, infinite: int) -> tuple[Remark, ...]:
    said: list[Remark] = []
    if index:
        said.append(Remark("rejected", "warning", f"{index} faces name a vertex whose index is out of range; they are left out", index))
    if infinite:
        text = f"{infinite} vertices are not finite (NaN or infinity); {point} faces with them are left out"
        said.append(Remark("rejected", "warning", text, max(point, 1)))
    return tuple(said)


def _remarks(state: _State) -> list[Remark]:
    told = (
        (
            state.malformed,
            "rejected",
            "warning",
            "faces have fewer than three corners or an index that cannot be read (malformed); they are left out",
        ),
        (state.short, "rejected", "warning", "vertices have fewer than three coordinates"),
        (state.odd, "unsupported", "warning", "lines begin with a word that is not known; they are passed over"),
        (state.shapes, "unsupported", "warning", "lines and points (elements l and p) are not held by a mesh; they are left out"),
        (state.colours, "lost", "info", "vertex colours are not held"),
    )
    return [Remark(code, severity, f"{count:,} {text}", count) for count, code, severity, text in told if count]
