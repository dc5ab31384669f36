"""Foreign JSON, parsed within bounds: depth told before parsing, encoding checked, numbers that do not fit kept and named.

Used by every reader of a JSON format. `parse` returns what the file holds and what was odd about its bytes.
"""

from __future__ import annotations

import gc
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.limits import Limits

__all__ = ["Parsed", "decode", "nesting_depth", "parse"]

_LONG_DIGITS = 19
"""Digits from which an integer may not fit 64 bit."""
_CHUNK = 1 << 24
_BRACKETS_AND_QUOTES = b'[]{}"'
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1


@dataclass(frozen=True)
class Parsed:
    """A JSON document and what was odd about it."""

    value: Any
    encoding: str
    """Encoding of the text, such as "utf-8" or "gb18030"."""
    guessed: bool
    """Whether the encoding had to be guessed."""
    bom: bool
    """Whether a byte order mark stood at the start."""


def nesting_depth(data: bytes) -> int:
    """Return how deep arrays and objects nest in JSON text; text in strings does not count.

    Examples
    --------
    >>> nesting_depth(b'{"a": [[1, "]]["], {}]}')
    3
    """
    if b"\\" not in data:  # then a quote is always the end of a string, and everything else can go first
        data = data.translate(None, bytes(set(range(256)) - set(_BRACKETS_AND_QUOTES)))
    bare = _STRINGS.sub(b"", data).translate(None, bytes(set(range(256)) - set(b"[]{}")))
    deepest = level = 0
    for start in range(0, len(bare), _CHUNK):
        part = np.frombuffer(bare, np.uint8, min(_CHUNK, len(bare) - start), start)
        height = level + np.cumsum(_STEP[part], dtype=np.int64)
        deepest = max(deepest, int(height.max(initial=0)))
        level = int(height[-1])
    return deepest


def decode(data: bytes, path: Path, encoding: str | None = None) -> tuple[bytes, str, bool, bool]:
    """Return the text as UTF-8 bytes without byte order mark, its encoding, whether that was guessed, and whether a mark stood there.

    Raises
    ------
    CorruptFileError
        If the text is in no encoding that can be told.
    """
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if data.startswith(mark):
            body = data[len(mark) :]
            return (body if name == "utf-8" else _recoded(body, name, path)), name, False, True
    if encoding is not None:
        return _recoded(data, encoding, path), encoding, False, False
    try:
        data.decode("utf-8")
        return data, "utf-8", False, False
    except UnicodeDecodeError:
        return _recoded(data, "gb18030", path), "gb18030", True, False


def _recoded(data: bytes, encoding: str, path: Path) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8")
    except (UnicodeError, LookupError) as error:
        reason = f"is not text in {encoding} ({type(error).__name__}), and not in UTF-8, which JSON requires"
        raise CorruptFileError(path, reason, "give encoding=..., or export it again as UTF-8") from error


def parse(path: Path, limits: Limits, *, encoding: str | None = None, data: bytes | None = None) -> Parsed:
    """Return the JSON document in a file.

    Numbers beyond 64 bit stay whole (Python integers); NaN, Infinity and overflowing numbers become the float of that
    name, for the caller to reject record by record.

    Raises
    ------
    FormatError
        If the file is empty.
    LimitError
        If it nests deeper than ``limits.depth``.
    CorruptFileError
        If it is cut, or not JSON.
    """
    raw = path.read_bytes() if data is None else data
    text, found, guessed, bom = decode(raw, path, encoding)
    if not text.strip():
        raise FormatError(path, "is empty", "export it again")
    depth = nesting_depth(text)
    if depth > limits.depth:
        reason = f"nests {depth:,} levels deep, above the depth limit of {limits.depth}"
        raise LimitError(path, reason, "check how the file was written; no data set needs that")
    try:
        value = _loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(path, _why(error, text), "export or download it again; it must end as it was written") from error
    return Parsed(value, found, guessed, bom)


def _loads(text: bytes) -> Any:
    """Parse by the fast parser, and by the slow one what the fast one would change or refuse: long integers, NaN, overflow."""
    import orjson

    if _has_long_integer(text):
        return json.loads(text)
    collecting = gc.isenabled()
    gc.disable()  # millions of small objects, none of them garbage
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "infinity" in str(error) or b"NaN" in text or b"Infinity" in text:
            return json.loads(text)
        raise
    finally:
        if collecting:
            gc.enable()


def _has_long_integer(text: bytes) -> bool:
    """Return whether some integer has so many digits that 64 bit may not hold it; digits after a point do not count."""
    overlap = 64
    for start in range(0, len(text), _CHUNK):
        part = np.frombuffer(text, np.uint8, min(_CHUNK + overlap, len(text) - start), start)
        other = np.flatnonzero((part < 48) | (part > 57))
        ends = np.concatenate([[-1], other, [len(part)]])
        for place in np.flatnonzero(np.diff(ends) > _LONG_DIGITS).tolist():
            before = part[ends[place]] if ends[place] >= 0 else 0
            if before != ord("."):
                return True
    return False


def _why(error: Exception, text: bytes) -> str:
    place = getattr(error, "pos", None)
    where = f" at character {place:,} of {len(text):,}" if isinstance(place, int) else ""
    kind = re.sub(r":? ?line \d+.*", "", getattr(error, "msg", type(error).__name__))[:80]
    cut = (
        " (it looks truncated: the text ends in the middle)"
        if isinstance(place, int) and place >= len(text.decode("utf-8", "replace")) - 2
        else ""
    )
    return f"is not valid JSON: {kind}{where}{cut}"
