"""Large JSON made small before it is parsed: the arrays of numbers and of surfaces are taken out as text, and looked at as columns later.

Nine tenths of a CityJSON file are vertices, boundaries, semantic values and surfaces. A parser makes a Python object of each number of
them; here they stay text until `nested` turns all of them into arrays at once. Whatever is not quite as expected (an escaped key, an
array in another place, a number that does not fit) makes `hollow` or `filled` say no, and the file is parsed as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import simdjson

__all__ = ["blocks", "filled", "hollow", "well_formed"]

_TAKEN = re.compile(
    rb'"(?:boundaries|values)"\s*:\s*(\[[0-9,\[\]\s\-nul]*\])(?=\s*[,}])'
    rb'|"vertices(?:-texture|-templates)?"\s*:\s*(\[[0-9,\[\]\s\-+.eE]*\])(?=\s*[,}])'
    rb'|"surfaces"\s*:\s*(\[[^\[\]]*\])(?=\s*[,}])'
)
_ESCAPED_KEY = re.compile(rb'\\u[0-9a-fA-F]{4}[^"\\]*"\s*:')
_BLOCK = 1 << 22
"""Bytes of array text that are parsed at a time."""


def hollow(text: bytes) -> tuple[bytes, list[bytes]] | None:
    """Return the text with a number in place of each large array, and the arrays as text; None when that is not safe.

    Examples
    --------
    >>> hollow(b'{"boundaries":[[0,1]],"a":[7]}')
    (b'{"boundaries":[0],"a":[7]}', [b'[[0,1]]'])
    """
    if b"\\u" in text and _ESCAPED_KEY.search(text):
        return None
    pieces: list[bytes] = []
    arrays: list[bytes] = []
    place = 0
    for match in _TAKEN.finditer(text):
        first, last = match.span(match.lastindex or 0)
        pieces += (text[place:first], b"[%d]" % len(arrays))
        arrays.append(text[first:last])
        place = last
    if not arrays or not well_formed(arrays):
        return None
    pieces.append(text[place:])
    return b"".join(pieces), arrays


def blocks(arrays: list[bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield array texts joined to one JSON array of some megabytes, and how many are in it."""
    first = size = 0
    for place, one in enumerate(arrays):
        size += len(one)
        if size > _BLOCK:
            yield b"[" + b",".join(arrays[first : place + 1]) + b"]", place + 1 - first
            first, size = place + 1, 0
    if first < len(arrays):
        yield b"[" + b",".join(arrays[first:]) + b"]", len(arrays) - first


def well_formed(arrays: list[bytes]) -> bool:
    """Return whether every text is a JSON array."""
    try:
        return all(len(cast("simdjson.Array", simdjson.Parser().parse(joined))) == count for joined, count in blocks(arrays))
    except (ValueError, RuntimeError):
        return False


def filled(value: Any, arrays: list[bytes]) -> bool:
    """Put the array texts back where CityJSON has them; return False when one of them has another place, or a place is used twice.

    Parameters
    ----------
    value
        The parsed hollow text, changed in place.
    """
    holes = _Holes(arrays)
    if not isinstance(value, dict):
        return False
    holes.fill(value, "vertices")
    holes.fill(value.get("appearance"), "vertices-texture")
    library = value.get("geometry-templates")
    holes.fill(library, "vertices-templates")
    holes.geometries(library.get("templates") if isinstance(library, dict) else None)
    objects = value.get("CityObjects")
    for one in objects.values() if isinstance(objects, dict) else ():
        if isinstance(one, dict) and "geometry" in one:
            holes.geometries(one["geometry"])
    return holes.done()


class _Holes:
    """The numbers that stand for arrays, each to be met once."""

    def __init__(self, arrays: list[bytes]) -> None:
        self.arrays = arrays
        self.met: list[int] = []

    def done(self) -> bool:
        """Return whether every array is back, once."""
        return len(self.met) == len(self.arrays) == len(set(self.met))

    def fill(self, members: Any, name: str) -> None:
        """Put an array back under its name."""
        if not isinstance(members, dict):
            return
        hole = members.get(name)
        if type(hole) is list and len(hole) == 1 and type(hole[0]) is int and 0 <= hole[0] < len(self.arrays):
            self.met.append(hole[0])
            members[name] = self.arrays[hole[0]]

    def geometries(self, listed: Any) -> None:
        """Put back the arrays of geometries."""
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict):
                continue
            self.fill(one, "boundaries")
            semantics = one.get("semantics")
            if semantics is not None:
                self.fill(semantics, "values")
                self.fill(semantics, "surfaces")
            for name in ("material", "texture"):
                themes = one.get(name)
                for theme in themes.values() if isinstance(themes, dict) else ():
                    self.fill(theme, "values")
