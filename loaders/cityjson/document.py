"""CityJSON as JSON: one document, or a sequence with a header line and one feature a line, brought to the same plain form.

Nothing is interpreted here beyond what a document must have: type, version, transform, objects, vertices. Keys that occur twice in one
JSON object, of which a parser keeps the last without a word, are found by counting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import orjson

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders import json_guard
from cim.loaders.cityjson.columns import Columns, scanned
from cim.loaders.cityjson.hollow import filled, hollow
from cim.loaders.cityjson.points import stored_points
from cim.loaders.limits import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["VERSIONS", "Document", "Note", "Record", "load"]

VERSIONS = ("1.0", "1.1", "2.0")
_MOST = 20  # notes of one kind that are named one by one
_MARK = re.compile(rb"\S")
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_DIGITS = bytes(48 if 48 <= code < 58 else 32 for code in range(256))
_LONG = b"0" * 19
"""Digits from which an integer may not fit 64 bit."""
_DEEPEST = 8
"""Levels that an array of numbers may add: five of a MultiSolid, one of a ring, and some to spare."""
_ARRAYS = frozenset({"boundaries", "values", "vertices", "vertices-texture", "vertices-templates"})


@dataclass(frozen=True)
class Note:
    """One thing to report: an issue of the city that is to be."""

    code: str
    message: str
    severity: str = "warning"
    row: int | None = None
    """Row of the object concerned."""
    record: str | None = None
    count: int = 1


class Record(NamedTuple):
    """One city object as it stands in the file."""

    id: str
    members: dict[str, Any]
    base: int = 0
    """Where the vertices that its indices mean begin among all vertices."""
    vertices: int = 0
    """How many vertices its indices may mean."""
    look: int = 0
    """Which of the appearances its materials and textures are of."""


@dataclass(frozen=True)
class Document:
    """A file in plain form."""

    version: str
    header: dict[str, Any]
    """Every member of the file but the objects and the vertices."""
    records: list[Record]
    vertices: Reals
    """As written, before the transform, shape (v, 3)."""
    sequence: bool = False
    encoding: str = "utf-8"
    notes: list[Note] = field(default_factory=list)
    rejected: int = 0
    """Features or objects that could not be used."""
    looks: list[Any] = field(default_factory=list)
    """Member `appearance` of the file, then those of its features."""
    columns: Columns | None = None
    """The geometry, where the file is of the plain kind: its objects then have the number 0 for it."""


class _Repeated(dict[str, Any]):
    """A JSON object in which a key occurs more than once."""

    pairs: list[tuple[str, Any]]


def load(path: Path, limits: Limits, *, encoding: str | None = None, plain: bool = False) -> Document:
    """Return what a CityJSON or CityJSONSeq file holds.

    Parameters
    ----------
    plain
        Whether a file without oddness may be read with its geometry as columns.

    Raises
    ------
    FormatError
        If the file is not CityJSON, or of a version that is not known.
    LimitError
        If it nests deeper or holds more objects than allowed.
    CorruptFileError
        If it is cut or contradicts itself.
    """
    raw = path.read_bytes()
    simple = raw.isascii() and encoding is None
    text, found, guessed, _ = (raw, "utf-8", False, False) if simple else json_guard.decode(raw, path, encoding)
    notes = [Note("encoding", f"the text is not UTF-8, which JSON requires; it is read as {found}")] if guessed else []
    lines = _lines(text)
    if lines is not None:
        return _sequence(lines, path, limits, found, notes)
    held = [text]
    del raw, text  # the columns do without: the text goes as soon as it has been walked over
    value, columns = (scanned(held, limits) if plain else None) or (_parsed(held.pop(), path, limits, notes), None)
    kind = _kind(value, path)
    if kind == "CityJSONFeature":
        reason = "starts with a CityJSONFeature: the first line of a sequence must be its header of type CityJSON (metadata, transform)"
        raise FormatError(path, reason, "write the header line first, or a whole CityJSON file")
    version = _version(value, path)
    vertices = columns.points if columns is not None else _vertices(value, path)
    records = list(_records(value, 0, len(vertices), path, notes))
    limits.check("records", len(records), path)
    header = {key: member for key, member in value.items() if key not in ("CityObjects", "vertices")}
    return Document(version, header, records, vertices, False, found, notes, looks=[value.get("appearance")], columns=columns)


# ---------------------------------------------------------------- a sequence


def _lines(text: bytes) -> list[bytes] | None:
    """Return the lines of a sequence, None for a single document: its first line is a JSON object, and more follow."""
    begin = _MARK.search(text)
    end = text.find(b"\n", begin.start()) if begin else -1
    if begin is None or end < 0 or not _MARK.search(text, end):
        return None
    head = text[begin.start() : end]
    if not head.rstrip().endswith(b"}"):
        return None
    if json_guard.nesting_depth(head) > 100:
        return None  # left to the depth limit of a document
    try:
        first = json.loads(head)
    except (ValueError, RecursionError):
        return None
    return text.splitlines() if isinstance(first, dict) else None


def _sequence(lines: list[bytes], path: Path, limits: Limits, encoding: str, notes: list[Note]) -> Document:
    depth = max(map(json_guard.nesting_depth, lines), default=0)
    if depth > limits.depth:
        raise LimitError(path, f"nests {depth:,} levels deep, above the depth limit of {limits.depth}", "no city needs that")
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    header = _parsed(numbered[0][1], path, limits, notes)
    if _kind(header, path) != "CityJSON":
        reason = f"line 1 is a {header.get('type')}: the first line of a sequence must be its header of type CityJSON (metadata, transform)"
        raise FormatError(path, reason, "write the header line first")
    version = _version(header, path)
    parts = [_vertices(header, path)]
    total = len(parts[0])
    records = list(_records(header, 0, total, path, notes))
    rejected: list[tuple[int, str]] = []
    looks = [header.get("appearance")]
    for number, line in numbered[1:]:
        try:
            feature, own = _feature(line, path, limits, notes)
            if feature.get("appearance") is not None:
                looks.append(feature["appearance"])
            look = len(looks) - 1 if feature.get("appearance") is not None else 0
            records += _records(feature, total, len(own), path, notes, look)
            parts.append(own)
            total += len(own)
        except (FormatError, CorruptFileError) as error:
            rejected.append((number, error.reason))
        limits.check("records", len(records), path)
    for number, reason in rejected[:_MOST]:
        notes.append(Note("rejected", f"line {number} is left out: it {reason}", "error", record=f"line {number}"))
    if len(rejected) > _MOST:
        notes.append(Note("rejected", f"{len(rejected) - _MOST} more lines are left out", "error", count=len(rejected) - _MOST))
    if rejected and not records:
        reason = f"no line holds a usable feature; line {rejected[0][0]} {rejected[0][1]}"
        raise CorruptFileError(path, reason, "download or export it again")
    plain = {key: member for key, member in header.items() if key not in ("CityObjects", "vertices")}
    return Document(version, plain, records, np.concatenate(parts), True, encoding, notes, len(rejected), looks)


def _feature(line: bytes, path: Path, limits: Limits, notes: list[Note]) -> tuple[dict[str, Any], Reals]:
    """Return the feature on a line and its vertices."""
    feature = _parsed(line, path, limits, notes)
    if _kind(feature, path) != "CityJSONFeature":
        raise FormatError(path, f"is a {feature.get('type')}, expected a CityJSONFeature")
    return feature, _vertices(feature, path)


# ---------------------------------------------------------------- what a document must have


def _parsed(text: bytes, path: Path, limits: Limits, notes: list[Note]) -> dict[str, Any]:
    value = _quick(text, limits)
    return value if value is not None else _careful(text, path, limits, notes)


def _quick(text: bytes, limits: Limits) -> dict[str, Any] | None:
    """Return the value of JSON text with nothing odd in it, arrays of numbers left as text; None when a careful look is needed."""
    found = hollow(text)
    if found is None or b"\\u" in text:
        return None
    small, arrays = found
    if json_guard.nesting_depth(small) + _DEEPEST > limits.depth or _LONG in small.translate(_DIGITS):
        return None
    try:
        value = orjson.loads(small)
    except orjson.JSONDecodeError:
        return None
    if orjson.dumps(value).count(b":") != small.count(b":"):
        return None  # a key occurs twice
    return value if filled(value, arrays) else None


def _careful(text: bytes, path: Path, limits: Limits, notes: list[Note]) -> dict[str, Any]:
    value = json_guard.parse(path, limits, data=text, encoding="utf-8").value
    if _HALF.search(text) and _has_half_characters(value):
        raise CorruptFileError(path, "is not valid JSON: it holds half a character (a lone surrogate)", "export it again as UTF-8")
    if not isinstance(value, dict):
        raise FormatError(path, f"holds a JSON {type(value).__name__}, expected an object of type CityJSON", "give a CityJSON file")
    if _STRINGS.sub(b"", text).count(b":") == _members(value):
        return value
    found: list[_Repeated] = []
    again = json.loads(text, object_pairs_hook=lambda pairs: _keep(pairs, found))
    objects = again.get("CityObjects")
    for one in found:
        if one is not objects:
            twice = sorted({key for key, _ in one.pairs if sum(other == key for other, _ in one.pairs) > 1})[:_MOST]
            notes.append(Note("duplicate", f"duplicate key {', '.join(map(repr, twice))} in one JSON object; the last value is kept"))
    return again if isinstance(again, dict) else value


def _has_half_characters(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _keep(pairs: list[tuple[str, Any]], found: list[_Repeated]) -> dict[str, Any]:
    """Return a JSON object; one with a repeated key keeps all its pairs."""
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    repeated = _Repeated(value)
    repeated.pairs = pairs
    found.append(repeated)
    return repeated


def _members(value: Any) -> int:
    """Return how many members all JSON objects below hold together, large arrays of numbers not looked into."""
    total = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            total += len(one)
            waiting += [member for key, member in one.items() if isinstance(member, dict | list) and key not in _ARRAYS]
        else:
            waiting += [member for member in one if isinstance(member, dict | list)]
    return total


def _kind(value: dict[str, Any], path: Path) -> str:
    kind = value.get("type")
    if kind not in ("CityJSON", "CityJSONFeature"):
        found = "has no member type" if kind is None else f"is of type {str(kind)[:40]!r}"
        raise FormatError(path, f"{found}, expected type CityJSON", "give a CityJSON file")
    return str(kind)


def _version(value: dict[str, Any], path: Path) -> str:
    version = value.get("version")
    text = version if isinstance(version, str) else ""
    for known in VERSIONS:
        if re.fullmatch(re.escape(known) + r"(?:\.\d+)?", text):
            return known
    found = f"is of version {str(version)[:20]!r}" if version is not None else "states no version"
    reason = f"{found}, expected CityJSON version {', '.join(VERSIONS)}"
    raise FormatError(path, reason, "convert it with another tool, for example cjio upgrade")


def _vertices(value: dict[str, Any], path: Path) -> Reals:
    vertices = value.get("vertices")
    if not isinstance(vertices, list | bytes):
        found = "has no member vertices" if vertices is None else f"has vertices that are a {type(vertices).__name__}"
        raise CorruptFileError(path, f"{found}, expected an array", "export it again")
    return stored_points(vertices, path, "vertex")


def _records(value: dict[str, Any], base: int, vertices: int, path: Path, notes: list[Note], look: int = 0) -> Iterator[Record]:
    objects = value.get("CityObjects")
    if not isinstance(objects, dict):
        found = "has no member CityObjects" if objects is None else f"has CityObjects that are a {type(objects).__name__}"
        raise CorruptFileError(path, f"{found}, expected an object", "export it again")
    pairs: Iterable[tuple[str, Any]] = objects.pairs if isinstance(objects, _Repeated) else objects.items()
    for id, members in pairs:
        fault = "" if type(members) is dict and type(members.get("type")) is str and members["type"].isalnum() else _fault(members)
        if fault:
            notes.append(Note("rejected", f"object {id[:80]!r} is left out: {fault}", "error", record=id))
            continue
        yield Record(id, members, base, vertices, look)


def _fault(members: Any) -> str:
    if not isinstance(members, dict):
        return f"it is a {type(members).__name__}, expected a JSON object"
    kind = members.get("type")
    if not isinstance(kind, str) or not kind.strip("+ "):
        return f"its type is {str(kind)[:40]!r}, expected text such as Building"
    return ""
