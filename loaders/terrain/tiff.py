"""What a TIFF file declares about itself, read and checked by us before a library allocates anything for it.

A reader that trusts these numbers fills memory with a header of a hundred bytes, or zeros in for the rows that a cut file
has lost. So the places and lengths of all blocks are compared with the length of the file first.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.limits import MIB, Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TiffHeader", "check_streams", "is_tiff", "read_header"]

_TYPES = {
    1: "u1",
    2: "S1",
    3: "u2",
    4: "u4",
    5: "u8",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    10: "u8",
    11: "f4",
    12: "f8",
    13: "u4",
    16: "u8",
    17: "i8",
    18: "u8",
}
_PAGES, _ENTRIES = 1000, 4096  # more than any file of cells has
_BLOCK_BYTES = 1024 * MIB
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_COUNTS, _PLANAR = 273, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS = 322, 323, 324, 325
_SAMPLE_FORMAT = 339
_REDUCED, _MASK = 1, 4
_DEFLATE = (8, 32946)
_REMEDY = "get or export the file again"


@dataclass(frozen=True)
class TiffHeader:
    """Sizes that the first page declares, checked against the length of the file."""

    width: int
    height: int
    samples: int
    """Values per cell: bands."""
    bits: int
    """Bits per value."""
    compression: int
    """Code of the method; 1 is none."""
    block_shape: tuple[int, int]
    """Rows and columns of a tile or strip."""
    missing: NDArray[np.bool_]
    """Shape (blocks down, blocks across): blocks of the first band that the file leaves out (a sparse file)."""
    places: NDArray[np.int64]
    """Shape (blocks of all planes, 2): first byte and length of each block."""
    further_pages: int
    """Full pages after the first."""
    has_mask: bool
    """Whether a mask is kept inside the file."""
    integers: bool = False
    """Whether its values are unsigned whole numbers, as those of images are."""

    @property
    def compressed(self) -> bool:
        """Whether its blocks are compressed."""
        return self.compression != 1


def is_tiff(head: bytes) -> bool:
    """Return whether these first bytes are of a TIFF or BigTIFF file."""
    return head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def read_header(path: Path, limits: Limits) -> TiffHeader:
    """Return what the first page declares.

    Raises
    ------
    FormatError
        If it is no TIFF, or has no cells.
    CorruptFileError
        If a place or length leads out of the file: it was cut, or never whole.
    LimitError
        If it declares more cells, or blocks larger, than allowed.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        start = file.read(16)
        if not is_tiff(start):
            raise FormatError(path, "is not a TIFF file", "give a GeoTIFF")
        reader = _Reader(file, size, path, "<" if start[:2] == b"II" else ">", big=start[2:4] in {b"+\0", b"\0+"})
        first = reader.first(start)
        page, following = reader.page(first)
        kinds = reader.kinds_of(following, {first})
        return _checked(page, reader, kinds, limits)


class _Reader:
    """Takes tags out of an open TIFF file, never beyond its end."""

    def __init__(self, file: BinaryIO, size: int, path: Path, order: str, *, big: bool) -> None:
        self.file, self.size, self.path, self.order, self.big = file, size, path, order, big

    def first(self, start: bytes) -> int:
        """Return the place of the first directory."""
        place = int(struct.unpack_from(self.order + ("Q" if self.big else "I"), start.ljust(16, b"\0"), 8 if self.big else 4)[0])
        if place < 8:
            raise CorruptFileError(self.path, f"has no directory ({self.size:,} bytes): it is truncated", _REMEDY)
        return place

    def take(self, offset: int, count: int, what: str) -> bytes:
        if offset + count > self.size:
            place = f"{what} stands at byte {offset:,} to {offset + count:,}"
            reason = f"{place}, but the file ends at {self.size:,}: it is truncated or damaged"
            raise CorruptFileError(self.path, reason, _REMEDY)
        self.file.seek(offset)
        return self.file.read(count)

    def page(self, offset: int) -> tuple[dict[int, tuple[int, int, bytes]], int]:
        """Return the tags of a page (type, count, value field) and the place of the next."""
        form, width, entry = ("Q", 8, 20) if self.big else ("H", 2, 12)
        number = int(struct.unpack(self.order + form, self.take(offset, width, "the directory"))[0])
        if number > _ENTRIES:
            raise CorruptFileError(self.path, f"the directory claims {number:,} entries, expected at most {_ENTRIES}", _REMEDY)
        raw = self.take(offset + width, number * entry, "the directory")
        head = self.order + ("HHQ" if self.big else "HHI")
        tags: dict[int, tuple[int, int, bytes]] = {}
        for place in range(0, len(raw), entry):  # a few dozen
            tag, kind, count = struct.unpack_from(head, raw, place)
            tags.setdefault(tag, (kind, count, raw[place + struct.calcsize(head) : place + entry]))
        after = offset + width + number * entry
        pointer = self.order + ("Q" if self.big else "I")
        length = struct.calcsize(pointer)
        following = struct.unpack(pointer, self.take(after, length, "the directory"))[0] if after + length <= self.size else 0
        return tags, int(following)

    def values(self, page: dict[int, tuple[int, int, bytes]], tag: int) -> NDArray[np.int64]:
        """Return the numbers of a tag, empty where there is none."""
        if tag not in page:
            return np.empty(0, np.int64)
        kind, count, field = page[tag]
        if kind not in _TYPES:
            raise CorruptFileError(self.path, f"tag {tag} is of an unknown type {kind}", _REMEDY)
        dtype = np.dtype(self.order + _TYPES[kind])
        length = count * dtype.itemsize
        if length > len(field):
            offset = int(struct.unpack(self.order + ("Q" if self.big else "I"), field)[0])
            field = self.take(offset, length, f"tag {tag} with {count:,} values")
        return np.frombuffer(field[:length], dtype).astype(np.int64)

    def one(self, page: dict[int, tuple[int, int, bytes]], tag: int, default: int) -> int:
        found = self.values(page, tag) if page.get(tag, (0, 0, b""))[1] <= self.size else np.empty(0, np.int64)
        return int(found[0]) if len(found) else default

    def kinds_of(self, offset: int, seen: set[int]) -> list[int]:
        """Return the subfile type of every following page."""
        kinds = []
        while offset:
            if offset in seen or len(seen) > _PAGES:
                raise CorruptFileError(self.path, "its pages form a circle, or are too many", _REMEDY)
            seen.add(offset)
            page, offset = self.page(offset)
            kinds.append(self.one(page, _SUBFILE, 0))
        return kinds


def _checked(page: dict[int, tuple[int, int, bytes]], reader: _Reader, kinds: list[int], limits: Limits) -> TiffHeader:
    width, height, samples = (reader.one(page, tag, default) for tag, default in ((_WIDTH, 0), (_HEIGHT, 0), (_SAMPLES, 1)))
    bits = reader.one(page, _BITS, 1)
    if min(width, height, samples, bits) <= 0 or bits > 128 or samples > 65535:
        reason = f"declares {width} x {height} cells of {samples} values of {bits} bits, which is no raster"
        raise FormatError(reader.path, reason, _REMEDY)
    limits.check("cells", width * height * samples, reader.path)
    shape = _block_shape(page, reader, width, height)
    planes = samples if reader.one(page, _PLANAR, 1) == 2 else 1
    _check_block_size(shape, bits * (samples // planes), reader.path)
    method = reader.one(page, _COMPRESSION, 1)
    down, across = -(-height // shape[0]), -(-width // shape[1])
    offsets, counts = _blocks(page, reader, down * across * planes)
    needed = 0 if method != 1 else _plain_bytes(shape, height, width, bits * (samples // planes), down, across)
    _check_blocks(offsets[: down * across], counts[: down * across], needed, reader)
    if method != 1:
        _check_expansion(width * height * samples * bits // 8, reader, limits)
    absent = ((offsets == 0) | (counts == 0))[: down * across].reshape(down, across)
    unsigned = _SAMPLE_FORMAT not in page or bool((reader.values(page, _SAMPLE_FORMAT) == 1).all())
    full = sum(1 for kind in kinds if not kind & (_REDUCED | _MASK))
    masked = any(kind & _MASK and not kind & _REDUCED for kind in kinds)
    return TiffHeader(width, height, samples, bits, method, shape, absent, np.stack([offsets, counts], axis=1), full, masked, unsigned)


def _block_shape(page: dict[int, tuple[int, int, bytes]], reader: _Reader, width: int, height: int) -> tuple[int, int]:
    if _TILE_WIDTH in page or _TILE_HEIGHT in page:
        shape = reader.one(page, _TILE_HEIGHT, 0), reader.one(page, _TILE_WIDTH, 0)
    else:
        shape = min(reader.one(page, _ROWS_PER_STRIP, height) or height, height), width
    if min(shape) <= 0:
        raise CorruptFileError(reader.path, f"declares blocks of {shape[0]} x {shape[1]} cells", _REMEDY)
    return shape


def _check_block_size(shape: tuple[int, int], bits: int, path: Path) -> None:
    block = shape[0] * shape[1] * bits // 8
    if block > _BLOCK_BYTES:
        reason = f"declares blocks of {block:,} bytes, above the size limit of {_BLOCK_BYTES:,}"
        raise LimitError(path, reason, "write it again in tiles of 256 x 256 cells")


def _blocks(page: dict[int, tuple[int, int, bytes]], reader: _Reader, expected: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return places and lengths of the blocks, as many as the size of the raster asks for."""
    tags = (_TILE_OFFSETS, _TILE_COUNTS) if _TILE_OFFSETS in page else (_STRIP_OFFSETS, _STRIP_COUNTS)
    found = []
    for tag in tags:
        if tag not in page or page[tag][1] < expected:
            count = page[tag][1] if tag in page else 0
            reason = f"lists {count:,} blocks, but a raster of its size has {expected:,}: it is truncated or damaged"
            raise CorruptFileError(reader.path, reason, _REMEDY)
        found.append(reader.values(page, tag))
    return found[0], found[1]


def _plain_bytes(shape: tuple[int, int], height: int, width: int, bits: int, down: int, across: int) -> NDArray[np.int64]:
    """Return the bytes each uncompressed block must have; the last strip may be short, a tile never is."""
    rows = np.full(down, shape[0], np.int64)
    if shape[1] == width and across == 1:
        rows[-1] = height - (down - 1) * shape[0]
    return np.asarray(np.repeat(rows * ((shape[1] * bits + 7) // 8), across), np.int64)


def _check_blocks(offsets: NDArray[np.int64], counts: NDArray[np.int64], needed: NDArray[np.int64] | int, reader: _Reader) -> None:
    there = (offsets != 0) & (counts != 0)
    beyond = there & ((offsets < 0) | (counts < 0) | (offsets > reader.size) | (counts > reader.size - np.clip(offsets, 0, reader.size)))
    if beyond.any():
        first = int(np.flatnonzero(beyond)[0])
        reason = (
            f"{int(beyond.sum()):,} of {len(offsets):,} blocks lie beyond the end of the file ({reader.size:,} bytes), "
            f"the first is block {first}: it cannot be read, truncated or corrupt"
        )
        raise CorruptFileError(reader.path, reason, _REMEDY)
    short = there & (counts < needed)
    if short.any():
        reason = f"{int(short.sum()):,} of {len(offsets):,} blocks are shorter than their cells: it cannot be read, truncated or corrupt"
        raise CorruptFileError(reader.path, reason, _REMEDY)


def _check_expansion(plain: int, reader: _Reader, limits: Limits) -> None:
    if plain > limits.expanded_bytes and plain > limits.expansion_ratio * reader.size:
        reason = (
            f"expands from {reader.size:,} to {plain:,} bytes, above the limits of {limits.expanded_bytes:,} bytes (size limit "
            f"expanded_bytes) and {limits.expansion_ratio:g} times (expansion_ratio)"
        )
        raise LimitError(reader.path, reason, "give limits=Limits(expanded_bytes=...) if the file is trusted")


def check_streams(path: Path, header: TiffHeader) -> None:
    """Check the checksum of every deflate block; the TIFF library stops reading before it.

    Raises
    ------
    CorruptFileError
        If a block was damaged.
    """
    if header.compression not in _DEFLATE:
        return
    most = header.block_shape[0] * header.block_shape[1] * header.samples * header.bits // 8 + 4096
    with path.open("rb") as file:
        for number, (offset, length) in enumerate(header.places.tolist()):  # one per some thousand cells
            if not offset or not length:
                continue
            file.seek(offset)
            stream = zlib.decompressobj()
            try:
                stream.decompress(file.read(length), most)
                whole = stream.eof
            except zlib.error:
                whole = False
            if not whole:
                reason = (
                    f"block {number} of {len(header.places):,} cannot be decompressed, or its checksum is wrong: it is truncated or corrupt"
                )
                raise CorruptFileError(path, reason, _REMEDY)
