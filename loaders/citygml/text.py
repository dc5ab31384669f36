"""The bytes of a GML file as UTF-8 blocks: its encoding told from the bytes, checked as a whole, and every DOCTYPE refused before parsing.

The parser never sees the file itself but the text decoded here, so that it cannot decode the bytes in another way than the check did.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cim.errors import CorruptFileError, UnsafeInputError

__all__ = ["Encoding", "check_text", "utf8_blocks"]

BLOCK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"), (b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"),
)  # fmt: skip
_DECLARED = re.compile(rb"^\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_DECLARATION = re.compile(r"^\s*<\?xml\b[^>]*\?>")
_CHINESE = frozenset({"gbk", "gb2312", "gb_2312-80", "x-gbk", "cp936", "ms936", "windows-936", "gb18030", "euc-cn"})
_PLAIN = re.compile(r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-\w+|big5\w*|shift_jis\w*|euc_\w+|gb\w+|mac-?\w+|johab")
"""Codecs in which a less-than sign is the byte 3C and nothing else is."""
_FORBIDDEN = re.compile(r"<!(DOCTYPE|ENTITY)")
_CJK = re.compile("[\u4e00-\u9fff]")
_OVERLAP = 16
_AGAIN = "export it again, with the encoding its XML declaration names"


@dataclass(frozen=True)
class Encoding:
    """How the bytes are text."""

    codec: str
    """Name of the Python codec that reads every byte of the file."""
    declared: str = ""
    """What the XML declaration names; empty when it names nothing."""
    note: str = ""
    """Why another codec is used than the declared one; empty when there is nothing to tell."""


def check_text(path: Path, *, encoding: str | None = None) -> Encoding:
    """Return the encoding that reads the whole file.

    Parameters
    ----------
    encoding
        The caller's word, which wins over the declaration.

    Raises
    ------
    CorruptFileError
        If no encoding fits, or the declared one is not known.
    UnsafeInputError
        If the file holds a DOCTYPE or an entity declaration, which may read files, call hosts or grow without end.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    found = _first_guess(head, path, encoding)
    fault = _scan(path, found.codec)
    if fault is None:
        return found
    if encoding is None and found.codec in ("utf-8", "utf-8-sig", "ascii") and _scan(path, "gb18030", least=True) is None:
        note = f"the bytes are no valid {found.declared or 'UTF-8'} text ({fault}) but GBK; they are read as gb18030"
        return Encoding("gb18030", found.declared, note)
    raise CorruptFileError(path, f"its encoding is wrong: the bytes are no valid {found.codec} text ({fault})", 'give encoding="gb18030"')


def _first_guess(head: bytes, path: Path, asked: str | None) -> Encoding:
    mark = next((codec for bytes_, codec in _MARKS if head.startswith(bytes_)), None)
    match = _DECLARED.match(head.removeprefix(codecs.BOM_UTF8))
    declared = match[1].decode("ascii") if match else ""
    if asked is not None:
        note = f"read as {asked}, as asked; the file declares {declared}" if declared and declared.lower() != asked.lower() else ""
        return Encoding(_codec(asked, path), declared, note)
    if mark is not None:
        return Encoding(mark, declared)
    if declared.lower().startswith(("utf-16", "utf-32", "ucs-", "iso-10646")):
        return Encoding("utf-8", declared, f"the file declares {declared} but holds single bytes; they are read as UTF-8")
    return Encoding(_codec(declared, path) if declared else "utf-8", declared)


def _codec(name: str, path: Path) -> str:
    if name.lower() in _CHINESE:
        return "gb18030"
    try:
        found = codecs.lookup(name).name
    except LookupError:
        found = ""
    if not _PLAIN.fullmatch(found):
        raise CorruptFileError(path, f"declares the encoding {name!r}, which is not known", _AGAIN)
    return "utf-8" if found == "ascii" else found


def _scan(path: Path, codec: str, *, least: bool = False) -> str | None:
    """Return why the file cannot be decoded, None if it can; with `least` it must also hold a Chinese character."""
    decoder = codecs.getincrementaldecoder(codec)("strict")
    tail, chinese, place = "", not least, 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            try:
                text = decoder.decode(block, not block)
            except UnicodeDecodeError as error:
                return f"byte {place + error.start}: {error.reason}"
            window = tail + text
            forbidden = _FORBIDDEN.search(window)
            if forbidden:
                reason = f"holds a {forbidden[1]} declaration (DTD), by which XML reads other files, calls hosts or grows without end"
                raise UnsafeInputError(path, reason, "remove the DOCTYPE; CityGML needs none")
            chinese = chinese or bool(_CJK.search(text))
            tail = window[-_OVERLAP:]
            place += len(block)
            if not block:
                return None if chinese else "no Chinese text"


def utf8_blocks(path: Path, encoding: Encoding) -> Iterator[bytes]:
    """Yield the file as UTF-8, without byte-order mark and XML declaration (which would name the encoding it no longer has)."""
    decoder = codecs.getincrementaldecoder(encoding.codec)("strict")
    first = True
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            if first and text:
                text, first = _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1), False
            yield text.encode("utf-8", "surrogatepass")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
