"""Compiled loops over the bytes of a CityJSON file: geometry becomes columns while the text is walked over, once.

`scan` copies the text without the geometry arrays and the vertices, and writes those into plain arrays. It knows a strict grammar;
whatever is not quite as expected (an empty list, a negative index, an unknown member, an instance, a texture) makes it stop, and the
file is read the careful way. All arrays that it fills are as long as they can ever need to be; only what is written takes memory.
"""

# mypy: allow-untyped-decorators
# ruff: noqa: C901, PLR0911, PLR0912, PLR0913, PLR0915, PLR0917, PLR1714, FBT001, SIM110
# Compiled loops take many arrays, have all their cases in one place, and compile best from plain comparisons.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int32]

__all__ = ["KINDS", "counted", "gather", "local", "repeated", "scan"]

KINDS = ("MultiPoint", "MultiLineString", "MultiSurface", "CompositeSurface", "Solid", "MultiSolid", "CompositeSolid")
_NAMES = np.zeros((7, 16), np.uint8)
for _row, _word in enumerate(KINDS):
    _NAMES[_row, : len(_word)] = np.frombuffer(_word.encode(), np.uint8)
_LENGTHS = np.array([len(one) for one in KINDS])
_WORDS = ("boundaries", "type", "lod", "semantics", "material", "values", "surfaces", "value", "CityObjects", "vertices", "geometry")
_BOUNDARIES, _TYPE, _LOD, _SEMANTICS, _MATERIAL, _VALUES, _SURFACES, _VALUE, _OBJECTS, _VERTICES, _GEOMETRY = range(11)
_SPELT = np.zeros((len(_WORDS), 16), np.uint8)
for _row, _word in enumerate(_WORDS):
    _SPELT[_row, : len(_word)] = np.frombuffer(_word.encode(), np.uint8)
_SIZES = np.array([len(one) for one in _WORDS])
_DEPTHS = np.array([1, 2, 3, 3, 4, 5, 5])
NUMBER, RING, SURFACE, SHELL, SOLID, GEOMETRY, PART, SEMANTIC, FACE, LOOK, WORN, ARRAY, OUT, VERTEX, DEEPEST = range(15)
"""What the counters of `scan` count."""
_RAW = types.Array(types.uint8, 1, "C", readonly=True)
_U8, _I32, _I64, _F64, _L32 = types.uint8[::1], types.int32[::1], types.int64[::1], types.float64[::1], types.int32[:, ::1]


@njit(types.int64(_RAW, types.int64), cache=True)
def _space(raw: Bytes, i: int) -> int:
    """Return the place of the next character that is no white space."""
    while i < raw.shape[0] and (raw[i] == 32 or raw[i] == 10 or raw[i] == 13 or raw[i] == 9):
        i += 1
    return i


@njit(types.int64(_RAW, types.int64), cache=True)
def _string(raw: Bytes, i: int) -> int:
    """Return the place behind the string that begins at a quote, -1 where it does not end."""
    i += 1
    while i < raw.shape[0]:
        c = raw[i]
        if c == 34:
            return i + 1
        i += 2 if c == 92 else 1
    return -1


@njit(types.int64(_RAW, types.int64), cache=True)
def _skip(raw: Bytes, i: int) -> int:
    """Return the place behind an array or object, brackets counted only; -1 where it does not end."""
    level = 0
    while i < raw.shape[0]:
        c = raw[i]
        if c == 34:
            i = _string(raw, i)
            if i < 0:
                return -1
            continue
        if c == 91 or c == 123:
            level += 1
        elif c == 93 or c == 125:
            level -= 1
            if level == 0:
                return i + 1
        i += 1
    return -1


@njit(types.int64(_RAW, types.int64), cache=True)
def _key(raw: Bytes, i: int) -> int:
    """Return the place of the value behind the key that begins at i; -1 where there is no key, or one with an escape."""
    if i >= raw.shape[0] or raw[i] != 34:
        return -1
    i += 1
    while i < raw.shape[0] and raw[i] != 34:
        if raw[i] == 92:
            return -1
        i += 1
    i = _space(raw, i + 1)
    if i >= raw.shape[0] or raw[i] != 58:
        return -1
    return int(_space(raw, i + 1))


@njit(types.boolean(_RAW, types.int64, types.int64), cache=True)
def _is(raw: Bytes, i: int, word: int) -> bool:
    """Return whether the string that begins at a quote is one of the words."""
    length = _SIZES[word]
    if i + length + 1 >= raw.shape[0] or raw[i + length + 1] != 34:
        return False
    for k in range(length):
        if raw[i + 1 + k] != _SPELT[word, k]:
            return False
    return True


@njit(types.int64(_RAW, types.int64, _I32, types.int64, _L32, _I64, _I64, types.boolean), cache=True)
def _nested(raw: Bytes, i: int, leaves: Ints, used: int, lists: Any, tops: Any, state: Any, nulls: bool) -> int:
    """Read nested lists of whole numbers; return the place behind them, -1 where they are not what they should be.

    `leaves` from `used` on get the numbers (-1 for null), ``lists[d]`` the lengths of the lists on level d, `tops` how many there are;
    ``state[0]`` becomes the depth, ``state[1]`` the end of the numbers. No list may be empty, all numbers stand on one level.
    """
    n = raw.shape[0]
    for d in range(7):
        tops[d] = 0
        state[2 + d] = 0
    depth = 0
    deepest = 0
    value = True
    while i < n:
        c = raw[i]
        if c == 32 or c == 10 or c == 13 or c == 9:
            i += 1
        elif value:
            if 48 <= c <= 57:
                first = i
                number = 0
                while i < n and 48 <= raw[i] <= 57:
                    number = number * 10 + (raw[i] - 48)
                    i += 1
                    if i - first > 9:
                        return -1
                if c == 48 and i - first > 1:
                    return -1
            elif c == 91:
                if depth > 0:
                    state[2 + depth] += 1
                depth += 1
                if depth > 5:
                    return -1
                state[2 + depth] = 0
                i += 1
                continue
            elif nulls and c == 110 and i + 4 <= n and raw[i + 1] == 117 and raw[i + 2] == 108 and raw[i + 3] == 108:
                number = -1
                i += 4
            else:
                return -1
            if depth == 0 or (deepest != 0 and deepest != depth):
                return -1
            deepest = depth
            leaves[used] = number
            used += 1
            state[2 + depth] += 1
            value = False
        elif c == 44:
            value = True
            i += 1
        elif c == 93:
            lists[depth, tops[depth]] = state[2 + depth]
            tops[depth] += 1
            depth -= 1
            i += 1
            if depth == 0:
                state[0], state[1] = deepest, used
                return i
        else:
            return -1
    return -1


@njit(types.int64(_RAW, types.int64, _I32, _I32, _I64), cache=True)
def _surfaces(raw: Bytes, i: int, first: Ints, last: Ints, top: Any) -> int:
    """Note where each object of an array begins and ends; return the place behind the array, -1 where it holds anything else."""
    if raw[i] != 91:
        return -1
    i = _space(raw, i + 1)
    if i < raw.shape[0] and raw[i] == 93:
        return i + 1
    while i < raw.shape[0] and raw[i] == 123:
        end = _skip(raw, i)
        if end < 0:
            return -1
        first[top[SEMANTIC]], last[top[SEMANTIC]] = i, end
        top[SEMANTIC] += 1
        i = _space(raw, end)
        if i >= raw.shape[0]:
            return -1
        if raw[i] == 93:
            return i + 1
        if raw[i] != 44:
            return -1
        i = _space(raw, i + 1)
    return -1


@njit(types.boolean(types.int64, _I64, _I64, _L32, _I64, _I32, _I32, _I64), cache=True)
def _alike(depth: int, state: Any, tops: Any, lists: Any, begin: Any, shells: Ints, solids: Ints, top: Any) -> bool:
    """Return whether nested values have the shape of the boundaries of the geometry being read, whose counts begin at `begin`."""
    levels = max(depth - 2, 1)
    if state[0] != levels:
        return False
    if levels == 1:
        return bool(state[1] - begin[5] == top[SURFACE] - begin[SURFACE])
    if tops[levels] != top[SHELL] - begin[SHELL]:
        return False
    for k in range(tops[levels]):
        if lists[levels, k] != shells[begin[SHELL] + k]:
            return False
    if levels == 3:
        if tops[2] != top[SOLID] - begin[SOLID]:
            return False
        for k in range(tops[2]):
            if lists[2, k] != solids[begin[SOLID] + k]:
                return False
    return True


@njit(types.int64(_RAW, types.int64, types.int64, _I32, _I32, _I32, _L32, _I64, _I64, _I64, _I32, _I32, _I64, _I32), cache=True)
def _semantics(
    raw: Bytes, i: int, depth: int, face: Ints, first: Ints, last: Ints, lists: Any, tops: Any, state: Any, begin: Any, shells: Ints,
    solids: Ints, top: Any, sizes: Ints,
) -> int:  # fmt: skip
    """Read the semantics of the geometry whose boundaries are known; return the place behind them, -1 where they do not fit."""
    n = raw.shape[0]
    if raw[i] != 123:
        return -1
    i = _space(raw, i + 1)
    seen = 0
    before = top[SEMANTIC]
    begin[5] = top[FACE]
    while i < n:
        value = _key(raw, i)
        if value < 0 or value >= n:
            return -1
        if _is(raw, i, _VALUES):
            if seen & 1:
                return -1
            seen |= 1
            i = _nested(raw, value, face, top[FACE], lists, tops, state, True)
            if i < 0 or not _alike(depth, state, tops, lists, begin, shells, solids, top):
                return -1
        elif _is(raw, i, _SURFACES):
            if seen & 2:
                return -1
            seen |= 2
            i = _surfaces(raw, value, first, last, top)
            if i < 0:
                return -1
        else:
            return -1
        i = _space(raw, i)
        if i >= n:
            return -1
        if raw[i] == 125:
            if seen != 3:
                return -1
            size = top[SEMANTIC] - before
            for k in range(top[FACE], state[1]):
                if face[k] >= size:
                    return -1
            top[FACE] = state[1]
            sizes[top[GEOMETRY]] = size
            return i + 1
        if raw[i] != 44:
            return -1
        i = _space(raw, i + 1)
    return -1


@njit(types.int64(_RAW, types.int64, types.int64, _I32, _L32, _L32, _I64, _I64, _I64, _I32, _I32, _I64), cache=True)
def _material(
    raw: Bytes, i: int, depth: int, look: Ints, worn: Any, lists: Any, tops: Any, state: Any, begin: Any, shells: Ints, solids: Ints,
    top: Any,
) -> int:  # fmt: skip
    """Read the materials of the geometry whose boundaries are known; return the place behind them, -1 where they do not fit."""
    n = raw.shape[0]
    if raw[i] != 123:
        return -1
    i = _space(raw, i + 1)
    if i < n and raw[i] == 125:
        return i + 1
    while i < n:
        theme = i
        value = _key(raw, i)
        if value < 0 or value >= n or raw[value] != 123:
            return -1
        row = top[WORN]
        worn[row, 0] = top[GEOMETRY]
        worn[row, 1] = theme
        worn[row, 2] = _string(raw, theme)
        i = _space(raw, value + 1)
        value = _key(raw, i)
        if value < 0 or value >= n:
            return -1
        if _is(raw, i, _VALUES):
            begin[5] = top[LOOK]
            i = _nested(raw, value, look, top[LOOK], lists, tops, state, True)
            if i < 0 or not _alike(depth, state, tops, lists, begin, shells, solids, top):
                return -1
            worn[row, 3] = -1
            top[LOOK] = state[1]
        elif _is(raw, i, _VALUE):
            number = 0
            i = value
            while i < n and 48 <= raw[i] <= 57 and i - value < 9:
                number = number * 10 + (raw[i] - 48)
                i += 1
            if i == value or (raw[value] == 48 and i - value > 1):
                return -1
            worn[row, 3] = number
        else:
            return -1
        i = _space(raw, i)
        if i >= n or raw[i] != 125:
            return -1
        top[WORN] += 1
        i = _space(raw, i + 1)
        if i >= n:
            return -1
        if raw[i] == 125:
            return i + 1
        if raw[i] != 44:
            return -1
        i = _space(raw, i + 1)
    return -1


@njit(types.int64(_RAW, types.int64), cache=True)
def _kind(raw: Bytes, i: int) -> int:
    """Return the number of the kind of geometry whose name begins at a quote, -1 for none of them."""
    for kind in range(7):
        length = _LENGTHS[kind]
        if i + length + 1 < raw.shape[0] and raw[i + 1 + length] == 34:
            same = True
            for k in range(length):
                if raw[i + 1 + k] != _NAMES[kind, k]:
                    same = False
                    break
            if same:
                return kind
    return -1


@njit(types.void(types.int64, _L32, _I64, _I32, _I32, _I32, _I32, _I32, _I64, types.int64), cache=True)
def _levels(
    depth: int, lists: Any, tops: Any, rings: Ints, surfaces: Ints, shells: Ints, solids: Ints, geometries: Ints, top: Any, numbers: int
) -> None:
    """Append the lengths of all lists of a geometry, wrapped up to five levels: points and lines are surfaces of one ring."""
    if depth == 1:
        for _ in range(numbers):
            rings[top[RING]] = 1
            top[RING] += 1
    else:
        for k in range(tops[depth]):
            rings[top[RING]] = lists[depth, k]
            top[RING] += 1
    if depth < 3:
        count = numbers if depth == 1 else tops[2]
        for _ in range(count):
            surfaces[top[SURFACE]] = 1
            top[SURFACE] += 1
        shells[top[SHELL]] = count
        top[SHELL] += 1
    else:
        for k in range(tops[depth - 1]):
            surfaces[top[SURFACE]] = lists[depth - 1, k]
            top[SURFACE] += 1
        for k in range(tops[depth - 2]):
            shells[top[SHELL]] = lists[depth - 2, k]
            top[SHELL] += 1
    if depth < 4:
        solids[top[SOLID]] = 1
        top[SOLID] += 1
    else:
        for k in range(tops[depth - 3]):
            solids[top[SOLID]] = lists[depth - 3, k]
            top[SOLID] += 1
    geometries[top[GEOMETRY]] = lists[1, 0] if depth == 5 else 1


@njit(
    types.int64(
        _RAW, types.int64, _I32, _I32, _I32, _I32, _I32, _I32, _L32, _I64, _I32, _I32, _I32, _I32, _L32, _L32, _I64, _I64, _I64, _I64
    ),
    cache=True,
)
def _geometry(
    raw: Bytes, i: int, numbers: Ints, rings: Ints, surfaces: Ints, shells: Ints, solids: Ints, geometries: Ints, about: Any, lods: Any,
    face: Ints, first: Ints, last: Ints, look: Ints, worn: Any, lists: Any, tops: Any, state: Any, begin: Any, top: Any,
) -> int:  # fmt: skip
    """Read the geometry that begins at i; return the place behind it, -1 where it is not one of the plain kind."""
    n = raw.shape[0]
    if raw[i] != 123:
        return -1
    i = _space(raw, i + 1)
    g = top[GEOMETRY]
    kind = depth = -1
    semantics = material = 0
    seen = 0
    lods[g] = 0
    sizes = about[1]
    sizes[g] = -1
    for k in range(5):
        begin[k] = top[k]
    while i < n:
        value = _key(raw, i)
        if value < 0 or value >= n:
            return -1
        if _is(raw, i, _BOUNDARIES):
            bit = 1
            i = _nested(raw, value, numbers, top[NUMBER], lists, tops, state, False)
            if i < 0:
                return -1
            depth = state[0]
            _levels(depth, lists, tops, rings, surfaces, shells, solids, geometries, top, state[1] - top[NUMBER])
            top[NUMBER] = state[1]
        elif _is(raw, i, _TYPE):
            bit = 2
            kind = _kind(raw, value)
            if kind < 0:
                return -1
            i = value + _LENGTHS[kind] + 2
        elif _is(raw, i, _LOD):
            bit = 4
            i = value
            packed = np.int64(0)
            while i < n and raw[i] != 44 and raw[i] != 125 and raw[i] > 32 and raw[i] < 127 and raw[i] != 92 and i - value < 8:
                packed = packed << 8 | np.int64(raw[i])
                i += 1
            lods[g] = packed
        elif _is(raw, i, _SEMANTICS):
            bit = 8
            semantics = value
            if seen & 1:
                i = _semantics(raw, value, depth, face, first, last, lists, tops, state, begin, shells, solids, top, sizes)
                semantics = 0
            else:
                i = _skip(raw, value)
            if i < 0:
                return -1
        elif _is(raw, i, _MATERIAL):
            bit = 16
            material = value
            if seen & 1:
                i = _material(raw, value, depth, look, worn, lists, tops, state, begin, shells, solids, top)
                material = 0
            else:
                i = _skip(raw, value)
            if i < 0:
                return -1
        else:
            return -1
        if seen & bit:
            return -1
        seen |= bit
        i = _space(raw, i)
        if i >= n:
            return -1
        if raw[i] == 125:
            break
        if raw[i] != 44:
            return -1
        i = _space(raw, i + 1)
    if i >= n or seen & 3 != 3 or _DEPTHS[kind] != depth:
        return -1
    if semantics and _semantics(raw, semantics, depth, face, first, last, lists, tops, state, begin, shells, solids, top, sizes) < 0:
        return -1
    if material and _material(raw, material, depth, look, worn, lists, tops, state, begin, shells, solids, top) < 0:
        return -1
    about[0, g] = kind
    about[2, g] = top[ARRAY]
    top[GEOMETRY] += 1
    return i + 1


@njit(types.int64(_RAW, types.int64, _F64, _I64), cache=True)
def _points(raw: Bytes, i: int, points: Any, top: Any) -> int:
    """Read an array of triples of whole numbers; return the place behind it, -1 where it is anything else."""
    n = raw.shape[0]
    place = 0
    i = _space(raw, i + 1)
    while i < n and raw[i] == 91:
        for axis in range(3):
            i = _space(raw, i + 1)
            minus = i < n and raw[i] == 45
            if minus:
                i += 1
            first = i
            number = 0
            while i < n and 48 <= raw[i] <= 57:
                number = number * 10 + (raw[i] - 48)
                i += 1
            if i == first or i - first > 15 or (raw[first] == 48 and i - first > 1):
                return -1
            points[place] = -number if minus else number
            place += 1
            i = _space(raw, i)
            if i >= n or raw[i] != (93 if axis == 2 else 44):
                return -1
        i = _space(raw, i + 1)
        if i >= n:
            return -1
        if raw[i] == 93:
            top[VERTEX] = place // 3
            return i + 1
        if raw[i] != 44:
            return -1
        i = _space(raw, i + 1)
    return -1


@njit(types.boolean(_RAW, _U8, _F64, _I32, _I32, _I32, _I32, _I32, _I32, _L32, _I64, _I32, _I32, _I32, _I32, _L32, _L32, _I64), cache=True)
def scan(
    raw: Bytes, out: Bytes, points: Any, numbers: Ints, rings: Ints, surfaces: Ints, shells: Ints, solids: Ints, geometries: Ints,
    about: Any, lods: Any, face: Ints, first: Ints, last: Ints, look: Ints, worn: Any, lists: Any, top: Any,
) -> bool:  # fmt: skip
    """Walk over the text of a file and take out its geometry; return False where something is not as expected.

    Parameters
    ----------
    raw
        The text.
    out
        Gets the text with the number 0 in place of each geometry array that is not empty, and of the vertices.
    points
        Gets the vertices.
    numbers, rings, surfaces, shells, solids, geometries
        Get the vertex indices, and the lengths of the lists of every level.
    about : shape (3, ...)
        Gets kind, number of semantic surfaces (-1 without semantics) and number of the geometry array of each geometry.
    lods
        Gets the level of detail as written, a byte each eight bits.
    face
        Gets the semantic surface of each face of the geometries that have semantics.
    first, last
        Get where each semantic surface begins and ends in the text.
    look, worn
        Get material indices; geometry, begin and end of the theme, and the one material of each assignment (-1 for one per face).
    lists
        Room for the lengths of the lists of one geometry.
    top
        Gets how many there are of everything.
    """
    n = raw.shape[0]
    tops = np.zeros(7, np.int64)
    state = np.zeros(10, np.int64)
    begin = np.zeros(6, np.int64)
    objects = False  # inside the member CityObjects
    array_at = 0  # depth of the outermost array around the place
    depth = 0
    deepest = 0
    o = 0
    i = 0
    while i < n:
        c = raw[i]
        if c != 34:
            if c == 123 or c == 91:
                depth += 1
                deepest = max(deepest, depth)
                if c == 91 and array_at == 0:
                    array_at = depth
            elif c == 125 or c == 93:
                if array_at == depth:
                    array_at = 0
                depth -= 1
            out[o] = c
            o += 1
            i += 1
            continue
        end = _string(raw, i)
        if end < 0:
            return False
        for k in range(i, end):
            out[o] = raw[k]
            o += 1
        start, i = i, end
        if array_at != 0 or (depth != 1 and depth != 3):
            continue
        value = _space(raw, end)
        if value >= n or raw[value] != 58:
            continue
        value = _space(raw, value + 1)
        if value >= n:
            return False
        hole = False
        if depth == 1:
            objects = _is(raw, start, _OBJECTS)
            if _is(raw, start, _VERTICES):
                if top[VERTEX] != 0 or raw[value] != 91:
                    return False
                i = _points(raw, value, points, top)
                if i < 0:
                    return False
                hole = True
                deepest = max(deepest, 3)
        elif objects and raw[value] == 91 and _is(raw, start, _GEOMETRY):
            i = _space(raw, value + 1)
            if i < n and raw[i] == 93:  # empty: stays as it is
                i = end
                continue
            while True:
                if i >= n:
                    return False
                i = _geometry(raw, i, numbers, rings, surfaces, shells, solids, geometries, about, lods, face, first, last, look, worn,
                              lists, tops, state, begin, top)  # fmt: skip
                if i < 0:
                    return False
                i = _space(raw, i)
                if i >= n:
                    return False
                if raw[i] == 93:
                    i += 1
                    break
                if raw[i] != 44:
                    return False
                i = _space(raw, i + 1)
            top[ARRAY] += 1
            hole = True
        if hole:
            out[o] = 58
            out[o + 1] = 48
            o += 2
    top[OUT] = o
    top[DEEPEST] = deepest
    return bool(depth == 0)


@njit(types.void(_RAW, _I32, _I32, _U8), cache=True)
def gather(raw: Bytes, first: Ints, last: Ints, out: Bytes) -> None:
    """Copy stretches of the text one behind the other."""
    o = 0
    for k in range(first.shape[0]):
        for i in range(first[k], last[k]):
            out[o] = raw[i]
            o += 1


@njit(types.int64(_I32, _I64, types.int64, _I32, _I32, _I64), cache=True)
def local(numbers: Ints, starts: Any, vertices: int, own: Ints, used: Ints, counts: Any) -> int:
    """Give each geometry vertex numbers of its own, ascending; return how many there are in all, -1 where one is out of range.

    Parameters
    ----------
    numbers
        Vertex indices of all geometries.
    starts : shape (g + 1,)
        Where those of each geometry begin.
    vertices
        How many vertices the file has.
    own
        Gets the index among the vertices of the geometry, as long as `numbers`.
    used
        Gets the vertices that each geometry uses, ascending.
    counts : shape (g,)
        Gets how many these are.
    """
    mark = np.full(vertices, -1, np.int32)
    place = np.empty(vertices, np.int32)
    total = 0
    for g in range(starts.shape[0] - 1):
        begin = total
        for k in range(starts[g], starts[g + 1]):
            v = numbers[k]
            if v < 0 or v >= vertices:
                return -1
            if mark[v] != g:
                mark[v] = g
                used[total] = v
                total += 1
        mine = used[begin:total]
        if mine.shape[0] <= 32:
            for a in range(1, mine.shape[0]):
                v = mine[a]
                b = a
                while b > 0 and mine[b - 1] > v:
                    mine[b] = mine[b - 1]
                    b -= 1
                mine[b] = v
        else:
            mine.sort()
        for k in range(mine.shape[0]):
            place[mine[k]] = k
        for k in range(starts[g], starts[g + 1]):
            own[k] = place[numbers[k]]
        counts[g] = total - begin
    return total


@njit(types.void(_RAW, _I64), cache=True)
def counted(raw: Bytes, found: Any) -> None:
    """Count the commas, the opening brackets and the opening braces of a text."""
    commas = brackets = braces = 0
    for i in range(raw.shape[0]):
        c = raw[i]
        commas += c == 44
        brackets += c == 91
        braces += c == 123
    found[0], found[1], found[2] = commas, brackets, braces


@njit(types.void(_RAW, _I64), cache=True)
def looked(raw: Bytes, found: Any) -> None:
    """Find the length of the longest run of digits in a text, and count its colons."""
    longest = run = colons = 0
    for i in range(raw.shape[0]):
        c = raw[i]
        run = run + 1 if 48 <= c < 58 else 0
        longest = max(longest, run)
        colons += c == 58
    found[0], found[1] = longest, colons


@njit(types.int64(types.int64[:, ::1]), cache=True)
def repeated(points: Any) -> int:
    """Return how many points, given as the bits of their coordinates, shape (v, 3), stand where an earlier one stands."""
    n = points.shape[0]
    size = 1
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1, np.int32)
    found = 0
    for v in range(n):
        x, y, z = points[v, 0], points[v, 1], points[v, 2]
        mixed = x * np.int64(-7046029254386353131) ^ (y * np.int64(-4417276706812531889)) ^ (z * np.int64(1609587929392839161))
        mixed ^= mixed >> 29
        mixed *= np.int64(-7046029254386353131)
        place = (mixed >> 32) & (size - 1)
        while True:
            other = table[place]
            if other < 0:
                table[place] = v
                break
            if points[other, 0] == x and points[other, 1] == y and points[other, 2] == z:
                found += 1
                break
            place = (place + 1) & (size - 1)
    return found
