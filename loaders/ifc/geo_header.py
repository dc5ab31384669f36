"""The lines of an IFC file that bear on its place, cut out of its text: for a schema that the library refuses."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

__all__ = ["reduced_text"]

_ROOTS = (b"IFCPROJECT", b"IFCSITE", b"IFCMAPCONVERSION")
# Entities whose attributes are the same in every schema since IFC4, as far as they bear on a place.
_KEPT = frozenset(
    {
        "IFCPROJECT", "IFCSITE", "IFCMAPCONVERSION", "IFCPROJECTEDCRS", "IFCGEOMETRICREPRESENTATIONCONTEXT", "IFCUNITASSIGNMENT",
        "IFCSIUNIT", "IFCCONVERSIONBASEDUNIT", "IFCMEASUREWITHUNIT", "IFCDIMENSIONALEXPONENTS", "IFCDIRECTION", "IFCCARTESIANPOINT",
        "IFCAXIS2PLACEMENT3D", "IFCAXIS2PLACEMENT2D", "IFCLOCALPLACEMENT", "IFCPOSTALADDRESS",
    }
)  # fmt: skip
_MOST_LINES = 2000
_LONGEST = 4096
_SCHEMA = re.compile(rb"FILE_SCHEMA\s*\(\s*\(\s*'([^']{1,40})'", re.IGNORECASE)
_INSTANCE = re.compile(rb"#(\d{1,12})\s*=\s*([A-Z0-9_]+)\s*(\((?:[^;']|'(?:[^']|'')*')*\))\s*;", re.IGNORECASE)
_REFERENCE = re.compile(r"'(?:[^']|'')*'|#(\d+)")
_HEAD = (
    "ISO-10303-21;\nHEADER;\nFILE_DESCRIPTION((''),'2;1');\nFILE_NAME('','',(''),(''),'','','');\nFILE_SCHEMA(('IFC4'));\nENDSEC;\nDATA;\n"
)
_TAIL = "ENDSEC;\nEND-ISO-10303-21;\n"


def reduced_text(path: Path) -> tuple[str, str] | None:
    """Return the schema that the file names, and a small IFC4 text with only what bears on its place.

    None when the file names no schema or has neither project nor site.
    """
    if path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        schema = _SCHEMA.search(data, 0, min(len(data), 65_536))
        if schema is None:
            return None
        name = data[schema.start(1) : schema.end(1)].decode("latin-1").upper()
        lines = _closure(data)
    if not any(kind == "IFCPROJECT" for kind, _ in lines.values()):
        return None
    kept = {number for number, (kind, _) in lines.items() if kind in _KEPT}
    body = "".join(f"#{number}={lines[number][0]}{_pruned(lines[number][1], kept)};\n" for number in sorted(kept))
    return name, _HEAD + body + _TAIL


def _closure(data: mmap.mmap) -> dict[int, tuple[str, str]]:
    """Return the roots and what they refer to, by instance number."""
    lines: dict[int, tuple[str, str]] = {}
    wanted: list[int] = []
    for root in _ROOTS:
        for start in _starts(data, rb"=\s*" + root + rb"\s*\("):
            wanted += _take(data, start, lines)
    while wanted and len(lines) < _MOST_LINES:
        number = wanted.pop()
        if number not in lines:
            starts = _starts(data, rb"#" + str(number).encode() + rb"\s*=")
            wanted += _take(data, starts[0], lines) if starts else []
    return lines


def _starts(data: mmap.mmap, pattern: bytes) -> list[int]:
    """Return where the lines of the matches begin; the number stands before the equals sign."""
    found = [match.start() for _, match in zip(range(_MOST_LINES), re.finditer(pattern, data, re.IGNORECASE), strict=False)]
    return [data.rfind(b"#", 0, at + 1) for at in found]


def _take(data: mmap.mmap, start: int, lines: dict[int, tuple[str, str]]) -> list[int]:
    match = _INSTANCE.match(data[start : start + _LONGEST]) if start >= 0 else None
    if match is None:
        return []
    kind, arguments = match[2].decode("ascii", "replace").upper(), match[3].decode("latin-1")
    lines[int(match[1])] = (kind, arguments)
    return [int(one[1]) for one in _REFERENCE.finditer(arguments) if one[1]] if kind in _KEPT else []


def _pruned(arguments: str, kept: set[int]) -> str:
    """Replace references to what was left out: nothing in a list, ``$`` elsewhere."""

    def replace(match: re.Match[str]) -> str:
        return match[0] if match[1] is None or int(match[1]) in kept else "$"

    text = _REFERENCE.sub(replace, arguments)
    head, inner = text[0], text[1:]
    while (shorter := re.sub(r"\(\$,", "(", re.sub(r"(\([^()']*),\$(?=[,)])", r"\1", inner))) != inner and "(" in inner:
        inner = shorter
    return head + inner
