"""What is looked at before osmium sees a file: no DOCTYPE, no lie about sizes, no other edition of the format."""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from cim.errors import CorruptFileError, FormatError, LimitError, UnsafeInputError
from cim.loaders.limits import MIB, Limits
from cim.loaders.parcel import work_file

__all__ = ["Checked", "checked", "kind_of"]

HEADER_BYTES = 64 * 1024
"""Most bytes of a blob header (PBF specification, OpenStreetMap wiki)."""
BLOB_BYTES = 32 * MIB
"""Most bytes of a blob, raw and as it stands (same)."""
_BLOCK = 1 << 20
_OVERLAP = 4096
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_UTF8 = {b"utf-8", b"utf8", b"us-ascii", b"ascii"}
_DELETED = re.compile(rb"<(node|way|relation)\b(?=[^<>]*?\baction\s*=\s*['\"]delete['\"])[^<>]*?\bid\s*=\s*['\"](-?\d{1,19})['\"]")
_FEATURES = {
    b"HistoricalInformation": "holds all versions of its objects (a history file)",
    b"LocationsOnWays": "keeps node positions on its ways (LocationsOnWays)",
}


@dataclass(frozen=True)
class Checked:
    """A file that osmium may open."""

    path: Path
    format: str
    """"OSM XML" or "OSM PBF"."""
    suffix: str
    """What osmium calls the format."""
    deleted: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    """Type letter and id of objects that an editor marked as deleted but still lists."""


def kind_of(head: bytes, path: Path) -> str | None:
    """Return "pbf", "xml", "gz" or "bz2", None where it is no OpenStreetMap file.

    Examples
    --------
    >>> kind_of(b"<osm version='0.6'>", Path("a.xml"))
    'xml'
    """
    if head.startswith((_GZIP, _BZIP2)):
        packed = "gz" if head.startswith(_GZIP) else "bz2"
        return packed if kind_of(_unpacked(head, packed), Path(path.stem)) in ("pbf", "xml") else None
    name = path.name.lower()
    if b"\x0a\x09OSMHeader" in head[:64] or (name.endswith(".pbf") and not head.lstrip().startswith(b"<")):
        return "pbf"
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if not text.startswith(b"<"):
        return None
    told = re.search(rb"<(?:osm|osmChange)[\s>/]|<!DOCTYPE\s+osm\b", text)
    return "xml" if told or (name.endswith(".osm") and b"<!DOCTYPE" in text) else None


def _unpacked(head: bytes, packed: str) -> bytes:
    try:
        if packed == "gz":
            return zlib.decompressobj(31).decompress(head, HEADER_BYTES)
        return bz2.BZ2Decompressor().decompress(head, HEADER_BYTES)
    except (zlib.error, OSError, ValueError, EOFError):
        return b""


def checked(path: Path, limits: Limits, shown: Path) -> Checked:
    """Return the file as osmium may open it, after every check that needs no library.

    Raises
    ------
    UnsafeInputError
        If it is XML with a document type declaration or entities.
    LimitError
        If a blob or a compressed file is larger than allowed.
    CorruptFileError, FormatError
        If lengths contradict each other, or it is another edition of the format.
    """
    with path.open("rb") as file:
        kind = kind_of(file.read(HEADER_BYTES), path)
    if kind in ("gz", "bz2"):
        path = _expand(path, kind, limits, shown)
        with path.open("rb") as file:
            kind = kind_of(file.read(HEADER_BYTES), path)
    if kind == "pbf":
        _check_pbf(path, limits, shown)
        return Checked(path, "OSM PBF", "osm.pbf")
    if kind == "xml":
        return Checked(path, "OSM XML", "osm", _check_xml(path, shown))
    raise FormatError(shown, "is no OpenStreetMap XML or PBF file", "give a .osm or .osm.pbf file")


# ---------------------------------------------------------------- compressed files


def _expand(path: Path, packed: str, limits: Limits, shown: Path) -> Path:
    """Write the content of a .gz or .bz2 file to a new file of our own, never more than the limits allow."""
    target = work_file(path, ".osm")
    most = min(limits.expanded_bytes, max(MIB, int(limits.expansion_ratio * path.stat().st_size)))
    written = 0
    try:
        with path.open("rb") as source, target.open("wb") as sink:
            for block in _blocks_out(source, packed):
                written += len(block)
                if written > most:
                    reason = f"expands to more than {most:,} bytes, above the size limit for compressed files"
                    raise LimitError(shown, reason, "unpack it by hand if it is trusted")
                sink.write(block)
    except (zlib.error, OSError, ValueError, EOFError) as error:
        raise CorruptFileError(shown, f"is a damaged {packed} file: {error}", "copy or download it again") from error
    return target


def _blocks_out(source: BinaryIO, packed: str) -> Iterator[bytes]:
    make: Callable[[], zlib._Decompress | bz2.BZ2Decompressor] = (lambda: zlib.decompressobj(31)) if packed == "gz" else bz2.BZ2Decompressor
    engine, rest, begun = make(), b"", False
    while data := rest or source.read(_BLOCK):
        if engine.eof:  # the next of several members
            engine = make()
        begun = True
        if isinstance(engine, bz2.BZ2Decompressor):
            yield engine.decompress(data, _BLOCK)
            while not engine.needs_input and not engine.eof:
                yield engine.decompress(b"", _BLOCK)
            rest = engine.unused_data if engine.eof else b""
        else:
            yield engine.decompress(data, _BLOCK)
            rest = engine.unused_data if engine.eof else engine.unconsumed_tail
    if not begun or not engine.eof:
        msg = "it ends in the middle"
        raise EOFError(msg)


# ---------------------------------------------------------------- XML


def _check_xml(path: Path, shown: Path) -> frozenset[tuple[str, int]]:
    """Refuse XML that is no plain UTF-8 OSM file; return the objects that are marked as deleted."""
    with path.open("rb") as file:
        _check_prolog(file.read(_BLOCK), shown)
        file.seek(0)
        deleted: set[tuple[str, int]] = set()
        tail = b""
        while block := file.read(_BLOCK):
            window = tail + block
            if b"<!DOCTYPE" in window or b"<!ENTITY" in window:
                reason = "holds a DOCTYPE or entity declaration; OSM XML has none, and entities can reach other files or swell"
                raise UnsafeInputError(shown, reason, "export it again without a document type declaration")
            if b"delete" in window:
                deleted.update((found[1][:1].decode(), int(found[2])) for found in _DELETED.finditer(window))
            tail = window[-_OVERLAP:]
    return frozenset(deleted)


def _check_prolog(start: bytes, shown: Path) -> None:
    if start.startswith((b"\xff\xfe", b"\xfe\xff", b"\0")) or b"\0" in start[:4]:
        raise FormatError(shown, "is XML in UTF-16 or UTF-32; OSM XML is UTF-8", "convert it to UTF-8")
    declared = re.match(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*['\"]([A-Za-z0-9._-]+)['\"]", start)
    if declared and declared[1].lower() not in _UTF8:
        name = declared[1].decode("ascii")
        raise FormatError(shown, f"is XML declared as {name}; OSM XML is UTF-8", "convert it to UTF-8")
    if re.search(rb"<osmChange[\s>/]", start) and not re.search(rb"<osm[\s>/]", start):
        raise FormatError(shown, "is an OSM change file (osmChange), not a map", "apply it to the file it changes")


# ---------------------------------------------------------------- PBF


def _check_pbf(path: Path, limits: Limits, shown: Path) -> None:
    """Walk all blobs: header length, sizes, what they inflate to, the features the file asks for."""
    size, total = path.stat().st_size, 0
    with path.open("rb") as file:
        first = True
        while prefix := file.read(4):
            length = int.from_bytes(prefix, "big")
            if len(prefix) < 4 or length > HEADER_BYTES or file.tell() + length > size:
                _corrupt(shown, f"PBF blob header at byte {file.tell() - len(prefix)} claims {length:,} bytes; it is cut or corrupt")
            kind, data_size = _blob_header(file.read(length), shown)
            if data_size > BLOB_BYTES or file.tell() + data_size > size:
                left = size - file.tell()
                _corrupt(shown, f"PBF blob at byte {file.tell()} claims {data_size:,} bytes of {left:,}; it is cut or corrupt")
            if first and kind != b"OSMHeader":
                _corrupt(shown, "PBF file does not begin with an OSMHeader blob")
            raw = _inflated(file.read(data_size), shown, keep=first)
            first = False
            total += raw[0]
            limits.check("memory_ceiling", total, shown)
            for mark, told in _FEATURES.items():
                if mark in raw[1]:
                    raise FormatError(shown, f"PBF file {told}, which is not read", "convert it with osmium-tool to a plain extract")
    if first:
        _corrupt(shown, "PBF file holds no blob")


def _corrupt(shown: Path, reason: str) -> NoReturn:
    raise CorruptFileError(shown, reason, "copy or download it again")


def _blob_header(data: bytes, shown: Path) -> tuple[bytes, int]:
    kind, size = b"", -1
    for number, value in _fields(data, shown):
        if number == 1 and isinstance(value, bytes):
            kind = value
        elif number == 3 and isinstance(value, int):
            size = value
    if size < 0:
        _corrupt(shown, "PBF blob header states no data size")
    return kind, size


def _inflated(data: bytes, shown: Path, *, keep: bool) -> tuple[int, bytes]:
    """Return the true raw size of a blob, and its bytes where they are asked for."""
    raw_size: int | None = None
    for number, value in _fields(data, shown):
        if number == 1 and isinstance(value, bytes):
            if len(value) > BLOB_BYTES:
                _too_large(shown, len(value))
            return len(value), value if keep else b""
        if number == 2 and isinstance(value, int):
            raw_size = value
            if raw_size > BLOB_BYTES:
                _too_large(shown, raw_size)
        if number == 3 and isinstance(value, bytes):
            return _zlib(value, raw_size, shown, keep=keep)
        if number in (4, 5, 6, 7):
            raise FormatError(shown, "PBF blob is compressed with something else than zlib", "convert it with osmium-tool (zlib)")
    _corrupt(shown, "PBF blob holds no data")


def _zlib(value: bytes, raw_size: int | None, shown: Path, *, keep: bool) -> tuple[int, bytes]:
    if raw_size is None:
        _corrupt(shown, "PBF blob states no raw size")
    engine = zlib.decompressobj()
    try:
        raw = engine.decompress(value, raw_size + 1)
    except zlib.error as error:
        _corrupt(shown, f"PBF blob cannot be decompressed ({error})")
    if len(raw) > raw_size or (not engine.eof and engine.unconsumed_tail):
        reason = f"PBF blob inflates to more than the {raw_size:,} bytes it claims; the limit of the format is {BLOB_BYTES:,}"
        raise LimitError(shown, reason, "do not use this file")
    if len(raw) < raw_size or not engine.eof:
        _corrupt(shown, f"PBF blob inflates to {len(raw):,} bytes, but claims a raw size of {raw_size:,}")
    return len(raw), raw if keep else b""


def _too_large(shown: Path, size: int) -> NoReturn:
    reason = f"PBF blob claims a raw size of {size:,} bytes, above the {BLOB_BYTES:,} bytes that the format allows (size limit)"
    raise LimitError(shown, reason, "do not use this file")


def _fields(data: bytes, shown: Path) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, shown)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at, shown)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at, shown)
            if size > len(data) - at:
                _corrupt(shown, f"PBF message has a field of {size:,} bytes, but only {len(data) - at:,} are left")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            _corrupt(shown, f"PBF message has a field of unknown wire type {wire}")


def _varint(data: bytes, at: int, shown: Path) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            _corrupt(shown, "PBF message ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    _corrupt(shown, "PBF message holds a number of more than 64 bits")
