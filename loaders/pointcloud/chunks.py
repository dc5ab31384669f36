"""Raw points of a LAS or LAZ file in pieces of bounded size, each piece complete or named as corrupt."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.georeference import Said

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.pointcloud.header import LasHeader

__all__ = ["PIECE", "Piece", "Plan", "pieces", "plan_of"]

PIECE = 1_000_000
"""Points per piece of an uncompressed file; a LAZ file is taken chunk by chunk, as it was compressed."""
_LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}  # compressed layers of each item of the point formats 6 to 10 (14: one per extra byte)
_MOST_BYTES = 512 << 20
_REMEDY = "get or export the file again"
_LASZIP = ("laszip encoded", 22204)


class Piece(NamedTuple):
    """Points that follow each other."""

    first: int
    """Number of the first point."""
    raw: NDArray[np.uint8]
    """Shape (n, bytes of a point)."""
    fault: str
    """Why they cannot be decoded (`raw` is then empty); empty when they can."""
    size: int
    """Points it holds, or should hold."""


@dataclass(frozen=True)
class Plan:
    """Where the pieces lie."""

    starts: NDArray[np.int64]
    """Shape (k,): first byte of each piece."""
    lengths: NDArray[np.int64]
    """Shape (k,): bytes of each piece."""
    counts: NDArray[np.int64]
    """Shape (k,): points of each piece."""
    laszip: bytes | None
    """What the decoder needs to know; None for an uncompressed file."""
    layers: int
    """Compressed layers per chunk; 0 where points are compressed one after another."""
    said: tuple[Said, ...] = ()

    @property
    def total(self) -> int:
        """Points of all pieces."""
        return int(self.counts.sum())


def plan_of(header: LasHeader) -> Plan:
    """Return where the points lie.

    Raises
    ------
    CorruptFileError
        If the chunk table of a LAZ file is gone or contradicts the header.
    FormatError
        If it is compressed in a way that is not known.
    LimitError
        If a chunk claims more points than it can hold.
    """
    if not header.compressed:
        first = np.arange(0, header.count, PIECE, dtype=np.int64)
        counts = np.minimum(PIECE, header.count - first)
        return Plan(header.start + first * header.record_bytes, counts * header.record_bytes, counts, None, 0)
    laszip = header.record(*_LASZIP)
    if laszip is None:
        raise CorruptFileError(header.path, "is compressed (LAZ), but the record that says how (laszip VLR) is not there", _REMEDY)
    if not header.declared and header.end - header.start <= 8:
        nothing = np.empty(0, np.int64)
        return Plan(nothing, nothing, nothing, laszip, 0)
    layers = _check_laszip(laszip, header)
    lengths, counts, chunk = _chunk_table(laszip, header)
    starts = header.start + 8 + np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    counts, said = _chunk_counts(header, starts, lengths, counts, chunk, layers=layers)
    _check_chunks(header, lengths, counts)
    return Plan(starts, lengths, counts, laszip, layers, said)


def _check_laszip(laszip: bytes, header: LasHeader) -> int:
    """Return the number of compressed layers per chunk, 0 for pointwise compression."""
    if len(laszip) < 34:
        raise CorruptFileError(header.path, f"its laszip VLR has {len(laszip)} bytes, expected 34 at least", _REMEDY)
    (compressor,) = struct.unpack_from("<H", laszip, 0)
    (number,) = struct.unpack_from("<H", laszip, 32)
    if compressor not in {2, 3}:
        raise FormatError(
            header.path, f"is compressed by LAZ method {compressor}; 2 and 3 (in chunks) are known", "write it again with laszip"
        )
    if len(laszip) < 34 + 6 * number or not 0 < number <= 16:
        raise CorruptFileError(header.path, f"its laszip VLR claims {number} items, but has {len(laszip)} bytes", _REMEDY)
    items = [struct.unpack_from("<HHH", laszip, 34 + 6 * one) for one in range(number)]
    size = sum(item[1] for item in items)
    if size != header.record_bytes:
        reason = f"its points have {header.record_bytes} bytes by the header, {size} by the laszip VLR"
        raise CorruptFileError(header.path, reason, _REMEDY)
    return sum(size if kind == 14 else _LAYERS.get(kind, 0) for kind, size, _ in items) if compressor == 3 else 0


def _chunk_table(laszip: bytes, header: LasHeader) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return bytes and points of each chunk as the table states them, and the fixed size of chunks (0 when it varies)."""
    import lazrs

    place = _table_place(header)
    with header.path.open("rb") as file:
        file.seek(place)
        _, number = struct.unpack("<II", file.read(8))
        if number > (place - header.start) or number > header.size:
            raise CorruptFileError(header.path, f"its LAZ chunk table claims {number:,} chunks, more than it has bytes", _REMEDY)
        file.seek(header.start)
        try:
            vlr = lazrs.LazVlr(laszip)
            table = lazrs.read_chunk_table(file, vlr)
        except (lazrs.LazrsError, ValueError, OSError) as error:
            raise CorruptFileError(header.path, f"its LAZ chunk table cannot be read ({error}): truncated or damaged", _REMEDY) from error
        rows = np.array(table, np.float64).reshape(-1, 2)
        if not len(rows) or rows.max() > 2**62 or rows[:, 1].sum() > place - header.start - 8:
            raise CorruptFileError(header.path, "its LAZ chunk table points beyond the chunks: truncated or damaged", _REMEDY)
        counts, lengths = np.array(table, np.int64).reshape(-1, 2).T
        return lengths, counts, 0 if vlr.uses_variable_size_chunks() else int(vlr.chunk_size())


def _table_place(header: LasHeader) -> int:
    """Return where the chunk table lies: told before the first chunk, or in the last bytes by writers that cannot go back."""
    with header.path.open("rb") as file:
        file.seek(header.start)
        told = file.read(8)
        if len(told) < 8:
            raise CorruptFileError(header.path, "ends before its first LAZ chunk: truncated", _REMEDY)
        place = int(struct.unpack("<q", told)[0])
        if place == -1:
            file.seek(header.size - 8)
            place = int(struct.unpack("<q", file.read(8))[0])
    if not header.start + 8 <= place <= header.size - 8:
        reason = f"its LAZ chunk table should stand at byte {place:,}, but the file ends at {header.size:,}: it is truncated"
        raise CorruptFileError(header.path, reason, _REMEDY)
    return place


def _chunk_counts(
    header: LasHeader, starts: NDArray[np.int64], lengths: NDArray[np.int64], counts: NDArray[np.int64], chunk: int, *, layers: int
) -> tuple[NDArray[np.int64], tuple[Said, ...]]:
    """Return the points of each chunk; layered chunks count their own points, for others header and table must agree."""
    declared = header.declared
    if layers:
        own = _own_counts(header, starts, lengths)
        if int(own.sum()) != declared:
            text = f"its header claims {declared} points, its LAZ chunks hold {int(own.sum())}; those are read"
            return own, (("lost" if own.sum() < declared else "repaired", "error" if own.sum() < declared else "warning", text),)
        return own, ()
    if not chunk:
        if int(counts.sum()) != declared:
            text = f"its header claims {declared} points, its LAZ chunk table {int(counts.sum())}; those are read"
            return counts, (("repaired", "warning", text),)
        return counts, ()
    last = declared - chunk * (len(lengths) - 1)
    if not 0 < last <= chunk:
        held = f"{len(lengths)} LAZ chunks of {chunk:,} hold another number"
        reason = f"its header claims {declared:,} points, but {held}: the count or the chunk table is wrong"
        raise CorruptFileError(header.path, reason, _REMEDY)
    return np.append(np.full(len(lengths) - 1, chunk, np.int64), last), ()


def _own_counts(header: LasHeader, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.empty(len(starts), np.int64)
    with header.path.open("rb") as file:
        for number, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):  # one per 50 000 points
            file.seek(start + header.record_bytes)
            raw = file.read(4)
            if length < header.record_bytes + 4 or len(raw) < 4:
                raise CorruptFileError(header.path, f"its LAZ chunk {number} has {length} bytes, too few for a point", _REMEDY)
            found[number] = struct.unpack("<I", raw)[0]
    return found


def _check_chunks(header: LasHeader, lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
    most = int((counts * header.record_bytes).max(initial=0))
    wild = counts * header.record_bytes > np.maximum(1 << 26, 2000 * lengths)
    if most > _MOST_BYTES or wild.any():
        reason = f"a LAZ chunk claims {int(counts.max()):,} points in {int(lengths[np.argmax(counts)]):,} bytes, above the size limit"
        raise LimitError(header.path, reason, "write it again with laszip, in chunks of 50 000 points")


def pieces(header: LasHeader, plan: Plan, first: int = 0, stop: int | None = None) -> Iterator[Piece]:
    """Yield the pieces that hold the points from `first` to before `stop`, cut to them."""
    last = plan.total if stop is None else min(stop, plan.total)
    begins = np.concatenate([[0], np.cumsum(plan.counts)]).astype(np.int64)
    with header.path.open("rb") as file:
        for number in range(int(np.searchsorted(begins, first, side="right")) - 1, len(plan.counts)):
            begin, count = int(begins[number]), int(plan.counts[number])
            if begin >= last:
                return
            piece = _piece(file, header, plan, number)
            low, high = max(first - begin, 0), min(last - begin, count)
            yield Piece(begin + low, piece[0][low:high] if len(piece[0]) else piece[0], piece[1], high - low)


def _piece(file: Any, header: LasHeader, plan: Plan, number: int) -> tuple[NDArray[np.uint8], str]:
    file.seek(int(plan.starts[number]))
    data = file.read(int(plan.lengths[number]))
    count, none = int(plan.counts[number]), np.empty((0, header.record_bytes), np.uint8)
    if len(data) < plan.lengths[number]:
        return none, "the file ends within it"
    if plan.laszip is None:
        return np.frombuffer(data, np.uint8).reshape(count, header.record_bytes), ""
    if plan.layers and (fault := _layer_fault(data, header, plan.layers, count)):
        return none, fault
    return _decoded(data, header, plan.laszip, count)


def _layer_fault(data: bytes, header: LasHeader, layers: int, count: int) -> str:
    """Return what is wrong with the directory of a layered chunk; the decoder would allocate whatever it says."""
    head = header.record_bytes + 4 + 4 * layers
    if len(data) < head:
        return "it is shorter than its own directory"
    sizes = np.frombuffer(data, "<u4", layers, header.record_bytes + 4).astype(np.int64)
    if int(struct.unpack_from("<I", data, header.record_bytes)[0]) != count:
        return "it counts its points differently"
    return "" if head + int(sizes.sum()) == len(data) else "its layers do not add up to its length"


def _decoded(data: bytes, header: LasHeader, laszip: bytes, count: int) -> tuple[NDArray[np.uint8], str]:
    """Decode a chunk from its own bytes alone: a damaged one runs out of them."""
    import lazrs

    out = np.empty(count * header.record_bytes, np.uint8)
    try:
        lazrs.decompress_points_with_chunk_table(data, laszip, out, [(count, len(data))])
    except (lazrs.LazrsError, ValueError, OSError) as error:
        return np.empty((0, header.record_bytes), np.uint8), f"it cannot be decompressed ({error})"
    return out.reshape(count, header.record_bytes), ""
