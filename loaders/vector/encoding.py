"""Which encoding the text of a dBASE table is in: what the file says, what its bytes allow, and a reported guess."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from cim.loaders.vector.frame import Note

__all__ = ["Found", "cjk_share", "guess", "settle"]

# Language driver id of the dBASE header -> codec. cp936 is read as gb18030, which contains it.
LANGUAGE = {
    0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x08: "cp865", 0x09: "cp437", 0x0A: "cp850", 0x0B: "cp437", 0x0D: "cp437",
    0x0E: "cp850", 0x0F: "cp437", 0x10: "cp850", 0x11: "cp437", 0x12: "cp850", 0x13: "cp932", 0x14: "cp850", 0x15: "cp437",
    0x16: "cp850", 0x17: "cp865", 0x18: "cp437", 0x19: "cp437", 0x1A: "cp850", 0x1B: "cp437", 0x1C: "cp863", 0x1D: "cp850",
    0x1F: "cp852", 0x22: "cp852", 0x23: "cp852", 0x24: "cp860", 0x25: "cp850", 0x26: "cp866", 0x37: "cp850", 0x40: "cp852",
    0x4D: "gb18030", 0x4E: "cp949", 0x4F: "cp950", 0x50: "cp874", 0x58: "cp1252", 0x59: "cp1252", 0x64: "cp852", 0x65: "cp866",
    0x66: "cp865", 0x67: "cp861", 0x6A: "cp737", 0x6B: "cp857", 0x6C: "cp863", 0x78: "cp950", 0x79: "cp949", 0x7A: "gb18030",
    0x7B: "cp932", 0x7C: "cp874", 0x7D: "cp1255", 0x7E: "cp1256", 0x86: "cp737", 0x87: "cp852", 0x88: "cp857", 0x96: "mac_cyrillic",
    0x97: "mac_latin2", 0x98: "mac_greek", 0xC8: "cp1250", 0xC9: "cp1251", 0xCA: "cp1254", 0xCB: "cp1253", 0xCC: "cp1257",
}  # fmt: skip
_WEAK = {"cp437", "cp850", "cp1252", "iso8859-1", "latin-1", "iso8859-15"}  # any bytes are text in these, so they prove nothing


@dataclass(frozen=True)
class Found:
    """An encoding and how sure it is."""

    name: str
    guessed: bool


NO_ENCODING = Found("", guessed=False)
"""Of a source without text."""


def settle(sample: bytes, language: int, stated: bytes | None, given: str | None) -> tuple[Found, list[Note]]:
    """Return the encoding of a table, and what there is to say about it.

    Parameters
    ----------
    sample
        Its text that is not ASCII, one value a line; values cut within a character may stand among it.
    language
        Language driver id of the header, 0 when it says nothing.
    stated
        Content of the `.cpg` beside it.
    given
        What the caller asked for; it wins.
    """
    if given is not None:
        return Found(codecs.lookup(given).name, guessed=False), []
    if not sample:
        return Found(_stated_codec(stated) or LANGUAGE.get(language) or "utf-8", guessed=False), []
    likely = guess(sample)
    for said, where in ((_stated_codec(stated), ".cpg"), (LANGUAGE.get(language), "language byte of the .dbf")):
        if said is None:
            continue
        proven = likely is not None and likely != said and said in _WEAK
        if _fits(sample, said) and not proven:
            return Found(said, guessed=False), []
        if likely is not None:
            message = f"the encoding named by the {where} is {said}, but the text is {likely}; read as {likely}"
            return Found(likely, guessed=True), [Note("encoding", message)]
    if likely is not None:
        message = f"no .cpg and no language byte name the encoding; the text is read as {likely}, a guess from its bytes"
        return Found(likely, guessed=True), [Note("encoding", message)]
    return Found("cp1252", guessed=True), [Note("encoding", "the encoding is not named and cannot be told; read as cp1252: give encoding=")]


def guess(sample: bytes) -> str | None:
    """Return utf-8 when the bytes are strictly that, gb18030 or big5 when they make plausible Chinese, else None.

    Examples
    --------
    >>> guess("天府广场".encode("gbk")), guess("天府广场".encode()), guess("Größe".encode("cp1252"))
    ('gb18030', 'utf-8', None)
    """
    if _fits(sample, "utf-8"):
        return "utf-8"
    scores = {name: cjk_share(sample, name) for name in ("gb18030", "big5", "cp932", "cp949") if _fits(sample, name)}
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] >= 0.6 else None


def cjk_share(sample: bytes, encoding: str) -> float:
    """Return which share of the characters that are not ASCII is common Chinese, Japanese or Korean, once decoded."""
    text = [c for c in sample.decode(encoding, "ignore") if ord(c) > 127]
    return sum(_common(c, encoding) for c in text) / len(text) if text else 0.0


def _common(character: str, encoding: str) -> bool:
    """Return whether a character belongs to the everyday set of its encoding (GB 2312 level 1, Big5 level 1, kana, hangul)."""
    if "\u3040" <= character <= "\u30ff":
        return encoding == "cp932"
    if "\uac00" <= character <= "\ud7a3":
        return encoding == "cp949"
    plain = {"gb18030": ("gb2312", 0xD7), "big5": ("big5", 0xC6)}.get(encoding)
    if plain is None:
        return encoding == "cp932" and "\u4e00" <= character <= "\u9fff"
    try:
        first = character.encode(plain[0])[0]
    except UnicodeEncodeError:
        return False
    return first <= plain[1] or character in "（）《》、。，：；"


def _fits(sample: bytes, encoding: str) -> bool:
    """Return whether nearly every line is text in the encoding; a line may end within a character."""
    lines = sample.split(b"\n")
    bad = sum(not _decodes(line, encoding) for line in lines)
    return bad <= len(lines) // 50


def _decodes(line: bytes, encoding: str) -> bool:
    """Return whether a line is text in the encoding; its last character may be cut."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(line)
    except UnicodeDecodeError:
        return False
    return True


def _stated_codec(stated: bytes | None) -> str | None:
    """Return the codec that a .cpg names in one of its many ways: UTF-8, 936, CP936, GBK, ISO 88591, ANSI 1252."""
    if stated is None:
        return None
    text = stated.decode("ascii", "ignore").strip().strip("\ufeff\x00").lower()
    number = re.fullmatch(r"(?:cp|ansi|oem|windows|ibm|ms)?[ _-]*(\d+)", text)
    if number is not None:
        text = {"65001": "utf-8", "936": "gb18030", "54936": "gb18030", "950": "big5", "88591": "iso8859-1"}.get(
            number[1], f"cp{number[1]}"
        )
    iso = re.fullmatch(r"iso[ _-]*8859[ _-]*(\d+)", text)
    if iso is not None:
        text = f"iso8859-{iso[1]}"
    try:
        name = codecs.lookup(text).name
    except (LookupError, ValueError):
        return None
    return "gb18030" if name in ("gbk", "gb2312", "cp936") else name
