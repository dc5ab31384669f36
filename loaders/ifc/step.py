"""The text of an IFC file (STEP, ISO 10303-21), looked at before the native library sees it.

The library kills the process on some damaged files, drops records without a word, and takes a cut file for a smaller model. This
pass is plain array work on the bytes: strings, parentheses, record numbers, references, numbers and escapes. What can be mended is
mended in a copy and named; a record that cannot be used is blanked, and whatever refers to it is found by `cim.loaders.ifc.graph`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, FormatError, LimitError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.ifc.notes import Notes
    from cim.loaders.limits import Limits

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["MAGIC", "Step", "header_schema", "scan"]

MAGIC = b"ISO-10303-21"
_END = b"END-ISO-10303-21"
_QUOTE, _HASH, _OPEN, _CLOSE, _SEMICOLON, _EQUALS = 39, 35, 40, 41, 59, 61
_LARGEST_ID = 2**31 - 1
_SCHEMA = re.compile(rb"FILE_SCHEMA\s*\(\s*\(\s*'([^']*)'", re.IGNORECASE)
_COMMENT = re.compile(rb"'(?:[^']|'')*'|/\*.*?\*/", re.DOTALL)
_KEYWORD = re.compile(rb"#\d+\s*=\s*([A-Za-z_][A-Za-z0-9_]*)")
_INSIDE = re.compile(rb";\s*#\d+\s*=\s*IFC")
_NOT_FINITE = re.compile(rb"[,(]\s*[-+]?(?:nan|inf|infinity|\d\.#[a-z]+)\s*(?=[,)])", re.IGNORECASE)
_LARGE = re.compile(rb"E\+?\d{3,}")
_MANTISSA = re.compile(rb"[-+]?\d+\.?\d*$")
_WIDE = re.compile(rb"\\X2\\((?:[0-9A-Fa-f]{4})*)[0-9A-Fa-f]{0,3}(\\X0\\|\\X0|\\X|\\)?")
_WHOLE = re.compile(rb"\\X2\\(?:[0-9A-Fa-f]{4})+\\X0\\")


@dataclass(frozen=True)
class Step:
    """The records of a file and how they refer to each other."""

    text: bytes
    """The bytes to hand on; a mended copy where `mended`."""
    mended: bool
    schema: str
    """As the file names it, in capitals."""
    keywords: Counter[str]
    """Records by entity name, in capitals."""
    ids: Ints
    """Shape (n,): record numbers, rising."""
    source: Ints
    """Shape (e,): row of the record that refers..."""
    target: Ints
    """Shape (e,): ...to the record in this row."""
    missing: Ints
    """Shape (k, 2): number of a record, and the number it refers to that is not there."""
    boolean: Flags
    """Shape (n,): records that are boolean operations."""
    mapped: Flags
    """Shape (n,): records that are mapped items."""
    dropped: dict[int, str]
    """Records that were blanked: number and reason."""


def header_schema(head: bytes) -> str:
    """Return the schema a header names, in capitals, ``""`` when it names none.

    Examples
    --------
    >>> header_schema(b"HEADER;FILE_SCHEMA (('Ifc4'));ENDSEC;")
    'IFC4'
    """
    found = _SCHEMA.search(head)
    return found[1].decode("ascii", "replace").strip().upper() if found else ""


def scan(path: Path, limits: Limits, notes: Notes, encoding: str | None = None) -> Step:
    """Return the records of a file.

    Raises
    ------
    FormatError
        If it is no STEP file, or names no schema.
    CorruptFileError
        If it is cut, or its strings, parentheses or record numbers do not add up.
    LimitError
        If its parentheses are nested deeper than the limit.
    """
    given = path.read_bytes()
    _check_frame(given, path)
    text = _COMMENT.sub(lambda m: m[0] if m[0][:1] == b"'" else b" " * len(m[0]), given) if b"/*" in given else given
    text = _mend_strings(text, path, notes, encoding)
    text, dropped = _drop_numbers(text, notes)
    quotes = _quotes(text, path)
    _check_parentheses(text, quotes, path, limits)
    return _records(text, quotes, path, notes, dropped, mended=text is not given)


def _check_frame(text: bytes, path: Path) -> None:
    if not text[:256].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(MAGIC):
        raise FormatError(path, "is no STEP file: it does not begin with ISO-10303-21", "export the model as IFC (STEP)")
    if not header_schema(text[: 1 << 16]):
        raise FormatError(path, "its header names no schema (FILE_SCHEMA)", "export the model as IFC2X3, IFC4 or IFC4X3")
    tail = text[-4096:].rstrip(b" \t\r\n\0")
    if _END not in tail:
        reason = f"is truncated: it ends without the end mark {_END.decode()}; its last bytes are {tail[-40:].decode('ascii', 'replace')!r}"
        raise CorruptFileError(path, reason, "export or copy the file again; a part would pass as a smaller model")
    if text.count(b"ENDSEC") < 2:
        raise CorruptFileError(path, "has no end of its data section (ENDSEC)", "export or copy the file again")


def _quotes(text: bytes, path: Path) -> Ints:
    """Return the places of all quotes; between an even and the next odd one lies a string."""
    quotes = np.flatnonzero(np.frombuffer(text, np.uint8) == _QUOTE)
    fault = len(quotes) % 2 == 1
    if not fault:
        starts = np.array([m.start() for m in _INSIDE.finditer(text)], np.int64)
        fault = bool((np.searchsorted(quotes, starts) % 2).any())
    if fault:
        raise CorruptFileError(path, "a string is not closed: records stand inside quotes (parse error)", "export the file again")
    return quotes


def _outside(places: Ints, quotes: Ints) -> Ints:
    outside: Ints = places[np.searchsorted(quotes, places) % 2 == 0]
    return outside


def _check_parentheses(text: bytes, quotes: Ints, path: Path, limits: Limits) -> None:
    raw = np.frombuffer(text, np.uint8)
    marks = _outside(np.flatnonzero((raw == _OPEN) | (raw == _CLOSE) | (raw == _SEMICOLON)), quotes)
    kind = raw[marks]
    depth = np.cumsum(np.where(kind == _OPEN, 1, np.where(kind == _CLOSE, -1, 0)))
    deepest = int(depth.max(initial=0))
    if deepest > limits.depth:
        raise LimitError(path, f"parentheses are nested {deepest:,} deep, above the limit of {limits.depth}", "do not use this file")
    wrong = marks[(kind == _SEMICOLON) & (depth != 0)]
    if len(wrong):
        line = text.count(b"\n", 0, int(wrong[0])) + 1
        reason = f"parentheses do not close at line {line} (syntax error)"
        raise CorruptFileError(path, reason, "export the file again")


# ------------------------------------------------------------------------------------------- records


def _numbers(raw: NDArray[np.uint8], hashes: Ints, path: Path) -> tuple[Ints, Ints]:
    """Return the number after each hash sign and the place after it."""
    value, length = np.zeros(len(hashes), np.int64), np.zeros(len(hashes), np.int64)
    active = np.ones(len(hashes), bool)
    padded = np.concatenate([raw, np.zeros(24, np.uint8)])
    for step in range(1, 21):
        digit = padded[hashes + step]
        active &= (digit >= 48) & (digit <= 57)
        if not active.any():
            break
        if step > 10:
            place = int(hashes[np.flatnonzero(active)[0]])
            shown = bytes(raw[place : place + 24]).split(b"=")[0].decode("ascii", "replace")
            reason = f"record number {shown} overflows the range of STEP ids (1 to {_LARGEST_ID:,})"
            raise CorruptFileError(path, reason, "export the file again")
        value[active] = value[active] * 10 + (digit[active] - 48)
        length += active
    if len(value) and value.max() > _LARGEST_ID:
        reason = f"record number #{value.max()} overflows the range of STEP ids (1 to {_LARGEST_ID:,})"
        raise CorruptFileError(path, reason, "export the file again")
    return np.where(length > 0, value, -1), hashes + 1 + length


def _after_space(raw: NDArray[np.uint8], places: Ints) -> Ints:
    """Return the first place at or after each that is no white space."""
    padded = np.concatenate([raw, np.zeros(1, np.uint8)])
    places = places.copy()
    for _ in range(64):
        blank = np.isin(padded[np.minimum(places, len(raw))], (9, 10, 13, 32))
        if not blank.any():
            break
        places += blank
    return np.minimum(places, len(raw))


def _records(text: bytes, quotes: Ints, path: Path, notes: Notes, dropped: dict[int, str], *, mended: bool) -> Step:
    raw = np.frombuffer(text, np.uint8)
    hashes = _outside(np.flatnonzero(raw == _HASH), quotes)
    value, after = _numbers(raw, hashes, path)
    after = _after_space(raw, after)
    padded = np.concatenate([raw, np.zeros(16, np.uint8)])
    defined = (padded[after] == _EQUALS) & (value >= 0)
    place = hashes[defined]
    order = np.argsort(value[defined], kind="stable")
    ids = value[defined][order]
    _check_repeats(text, ids, place[order], path, notes)
    row_of = np.empty(len(ids), np.int64)
    row_of[order] = np.arange(len(ids))
    named = _after_space(raw, after[defined] + 1)[order]
    refers = ~defined & (value >= 0)
    holder = np.searchsorted(place, hashes[refers]) - 1
    wanted = value[refers][holder >= 0]
    source = row_of[holder[holder >= 0]]
    target = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    there = ids[target] == wanted if len(ids) else np.zeros(0, bool)
    missing = np.stack([ids[source[~there]], wanted[~there]], axis=1)
    keywords = Counter(name.decode().upper() for name in _KEYWORD.findall(text))
    return Step(
        text, mended, header_schema(text[: 1 << 16]), keywords, ids, source[there], target[there], missing,
        _starts(padded, named, b"IFCBOOLEAN"), _starts(padded, named, b"IFCMAPPEDITEM"), dropped,
    )  # fmt: skip


def _starts(padded: NDArray[np.uint8], places: Ints, word: bytes) -> Flags:
    letters = np.frombuffer(word, np.uint8)
    same = np.ones(len(places), bool)
    for k, letter in enumerate(letters):
        here = padded[np.minimum(places + k, len(padded) - 1)]
        same &= (here == letter) | (here == letter + 32)
    return same


def _check_repeats(text: bytes, ids: Ints, place: Ints, path: Path, notes: Notes) -> None:
    again = np.flatnonzero(ids[1:] == ids[:-1])
    if not len(again):
        return
    different = [row for row in again.tolist() if _record(text, int(place[row])) != _record(text, int(place[row + 1]))]
    if different:
        reason = f"{len(different)} record numbers are duplicated with different content, such as #{ids[different[0]]}"
        raise CorruptFileError(path, f"{reason}: what refers to them is not certain", "export the file again")
    notes.add("duplicate", f"{len(again)} records are written twice, word for word; one of each is used", count=len(again))


def _record(text: bytes, place: int) -> bytes:
    return text[place : text.find(b";", place)]


# ------------------------------------------------------------------------------------------- numbers


def _drop_numbers(text: bytes, notes: Notes) -> tuple[bytes, dict[int, str]]:
    """Blank the records that hold a number which is not finite."""
    large = text.upper()
    places = [m.start() for m in _LARGE.finditer(large) if _overflows(large, m)]
    if any(word in large for word in (b"NAN", b"INF", b".#")):
        places += [m.start() for m in _NOT_FINITE.finditer(text)]
    if not places:
        return text, {}
    quotes = np.flatnonzero(np.frombuffer(text, np.uint8) == _QUOTE)
    dropped: dict[int, str] = {}
    changed = bytearray(text)
    for place in _outside(np.array(sorted(places), np.int64), quotes).tolist():
        start = text.rfind(b";", 0, place) + 1
        end = text.find(b";", place) + 1
        number = re.match(rb"\s*#(\d{1,10})\s*=", text[start:end])
        if number is None or end <= start:
            continue
        dropped[int(number[1])] = "it holds a number that is not finite (NaN, infinite or out of range)"
        changed[start:end] = b" " * (end - start)
    for one, why in dropped.items():
        notes.add("rejected", f"record #{one} is left out: {why}", entity=one)
    return (bytes(changed), dropped) if dropped else (text, {})


def _overflows(text: bytes, exponent: re.Match[bytes]) -> bool:
    start = max(exponent.start() - 40, 0)
    mantissa = _MANTISSA.search(text[start : exponent.start()])
    return mantissa is not None and not np.isfinite(float(mantissa[0] + exponent[0]))


# ------------------------------------------------------------------------------------------- strings


def _mend_strings(text: bytes, path: Path, notes: Notes, encoding: str | None) -> bytes:
    if text.count(b"\\X2\\") != len(_WHOLE.findall(text)):
        text = _mend_wide(text, notes)
    if not text.isascii():
        text = _escape_raw(text, path, notes, encoding)
    return text


def _mend_wide(text: bytes, notes: Notes) -> bytes:
    broken = 0

    def mend(found: re.Match[bytes]) -> bytes:
        nonlocal broken
        if _WHOLE.fullmatch(found[0]):
            return found[0]
        broken += 1
        return b"\\X2\\" + found[1] + b"\\X0\\" if found[1] else b"?"

    text = _WIDE.sub(mend, text)
    if broken:
        message = f"{broken} escapes for wide characters (\\X2\\...\\X0\\) in strings are broken; what could be decoded is kept"
        notes.add("encoding", message, count=broken)
    return text


def _escape_raw(text: bytes, path: Path, notes: Notes, encoding: str | None) -> bytes:
    """Write bytes beyond ASCII as the escapes the standard asks for, after finding out what encoding they are in."""
    found = re.compile(rb"'[^']*[\x80-\xff][^']*'")
    strings = found.findall(text)
    chosen = _encoding_of(strings, encoding, path)

    def escape(match: re.Match[bytes]) -> bytes:
        return "".join(c if ord(c) < 128 else _escaped(c) for c in match[0].decode(chosen, "replace")).encode("ascii")

    mended = found.sub(escape, text)
    severity = "info" if chosen.lower().startswith("utf") else "warning"
    message = f"{len(strings)} strings hold raw bytes where the format asks for escapes; decoded as {chosen} (encoding)"
    notes.add("encoding", message, severity=severity, count=max(len(strings), 1))
    return mended if mended.isascii() else bytes(byte if byte < 128 else 63 for byte in mended)


def _encoding_of(strings: list[bytes], encoding: str | None, path: Path) -> str:
    joined = b"\n".join(strings)
    for one in [encoding] if encoding else ["utf-8", "gb18030", "latin-1"]:
        try:
            joined.decode(one)
        except LookupError as error:
            raise FormatError(path, f"the encoding {one!r} is not known", "give encoding= one that Python knows") from error
        except UnicodeDecodeError:
            continue
        return one
    return encoding or "latin-1"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\X2\\{code:04X}\\X0\\" if code < 0x10000 else f"\\X4\\{code:08X}\\X0\\"
