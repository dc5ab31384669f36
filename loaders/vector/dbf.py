"""The dBASE table of a shapefile: its header checked by hand, its field names and texts decoded by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.vector.encoding import NO_ENCODING, Found
from cim.loaders.vector.frame import MOST_NOTES, Layer, Note

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["DbfField", "Header", "Table", "read_header", "text_columns"]

SAMPLE_BYTES = 1 << 20


@dataclass(frozen=True)
class DbfField:
    """One column of the table."""

    raw_name: bytes
    kind: str
    start: int
    """Place within a record, after the deletion flag [byte]."""
    width: int
    """[byte]"""


@dataclass(frozen=True)
class Header:
    """What the head of a .dbf says, and where its records lie."""

    path: Path
    records: int
    """Records that the file really holds."""
    first: int
    """Place of the first record [byte]."""
    width: int
    """Length of a record [byte]."""
    language: int
    """Language driver id."""
    fields: tuple[DbfField, ...]

    def rows(self) -> NDArray[np.uint8]:
        """Return all records as bytes, shape (records, width), mapped and not read."""
        if not self.records:
            return np.zeros((0, self.width), np.uint8)
        return np.memmap(self.path, np.uint8, "r", self.first, (self.records, self.width))

    def deleted(self) -> NDArray[np.int64]:
        """Return the numbers of the records that are marked as deleted."""
        return np.flatnonzero(self.rows()[:, 0] == ord("*"))

    def write_with(self, count: int, target: Path) -> None:
        """Write the table with `count` records: the ones it holds, and empty ones where it is too short."""
        kept = min(count, self.records)
        with self.path.open("rb") as file:
            head = bytearray(file.read(self.first))
            head[4:8] = count.to_bytes(4, "little")
            body = file.read(kept * self.width)
        target.unlink(missing_ok=True)
        target.write_bytes(bytes(head) + body + b" " * ((count - kept) * self.width))

    def sample(self) -> bytes:
        """Return text of the table that is not ASCII, field names included, one value a line."""
        found = [one.raw_name for one in self.fields if max(one.raw_name, default=0) > 127]
        rows, size = self.rows(), 0
        for one in self.fields:
            if one.kind != "C" or size > SAMPLE_BYTES:
                continue
            column = np.ascontiguousarray(rows[:200_000, one.start : one.start + one.width])
            texts = column[(column > 127).any(axis=1)]
            found += [bytes(text).rstrip(b" \x00") for text in texts[: SAMPLE_BYTES // max(one.width, 1)]]
            size += texts.size
        return b"\n".join(found)


@dataclass(frozen=True)
class Table:
    """The table of a shapefile, as far as it is there."""

    header: Header | None
    encoding: Found = NO_ENCODING
    notes: tuple[Note, ...] = ()


def read_header(path: Path) -> tuple[Header | None, list[Note]]:
    """Return the header of a .dbf, and notes; no header where the table is not usable."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(65536)
    lost = f"the table {path.name} is damaged ({{}}): geometry without attributes"
    if len(head) < 33:
        return None, [Note("lost", lost.format("too short"))]
    stated = int.from_bytes(head[4:8], "little")
    first, width = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
    fields = _fields(head[:first])
    if not fields or width < 1 + sum(one.width for one in fields) or first > size:
        return None, [Note("lost", lost.format("its fields do not fit its records"))]
    held = max(0, (size - first) // width)
    notes = []
    if held < stated:
        notes.append(
            Note("lost", f"the table {path.name} is truncated: it states {stated:,} records and holds {held:,}", count=stated - held)
        )
    return Header(path, min(stated, held), first, width, head[29], fields), notes


def _fields(head: bytes) -> tuple[DbfField, ...]:
    out, start = [], 1
    for at in range(32, len(head) - 31, 32):
        if head[at] in (0x0D, 0x00):
            break
        width = head[at + 16] + (head[at + 17] * 256 if head[at + 11 : at + 12] == b"C" else 0)
        out.append(DbfField(head[at : at + 11].split(b"\x00")[0].rstrip(), chr(head[at + 11]), start, width))
        start += width
    return tuple(out)


# ---------------------------------------------------------------- after reading


def text_columns(layer: Layer, header: Header, encoding: Found) -> Layer:
    """Return the layer with field names and texts decoded from the table's own bytes."""
    if len(layer.columns) != len(header.fields):
        return layer  # GDAL dropped a field of an unknown type: its own names stay
    names, notes = _names(header, encoding)
    rows = header.rows()
    place = np.flatnonzero(layer.number < header.records)
    columns = {}
    for column, one, name in zip(layer.columns.values(), header.fields, names, strict=True):
        if one.kind != "C":
            columns[name] = column
            continue
        raw = np.ascontiguousarray(rows[layer.number[place], one.start : one.start + one.width])
        columns[name], more = _texts(column, raw, place, encoding.name, name)
        notes += [more] if more is not None else []
    return replace(layer, columns=columns).noted(*notes)


def _names(header: Header, encoding: Found) -> tuple[list[str], list[Note]]:
    names: list[str] = []
    notes = []
    for one in header.fields:
        text = one.raw_name.decode(encoding.name or "utf-8", "ignore").strip()
        try:
            one.raw_name.decode(encoding.name or "utf-8")
        except UnicodeDecodeError:
            notes.append(
                Note("repaired", f"field name {text!r} was cut within a character by the 10-byte limit; the rest of it is lost", "info")
            )
        text = text or f"field_{len(names) + 1}"
        number = 2
        while text in names:
            text, number = f"{text.removesuffix(f'_{number - 1}')}_{number}", number + 1
        names.append(text)
    return names, notes


def _texts(column: pa.Array, raw: NDArray[np.uint8], place: NDArray[np.int64], encoding: str, name: str) -> tuple[pa.Array, Note | None]:
    """Decode one text field where it holds more than ASCII; elsewhere GDAL's column stays.

    `raw` has a row of bytes for each record that the table holds; `place` is where those stand in the column.
    """
    import pyarrow as pa

    wide = (raw > 127).any(axis=1)
    if not wide.any():
        return column, None
    values = column.to_pylist()
    cut = []
    for at, text in zip(place[wide].tolist(), raw[wide], strict=True):
        stripped = bytes(text).rstrip(b" \x00")
        try:
            values[at] = stripped.decode(encoding)
        except UnicodeDecodeError:
            values[at] = stripped.decode(encoding, "ignore")
            cut.append(at)
    if not cut:
        return pa.array(values, pa.string()), None
    shown = ", ".join(map(str, cut[:MOST_NOTES]))
    message = (
        f"field {name}: {len(cut)} texts are cut within a character, or not all {encoding} (records {shown}); kept without those bytes"
    )
    return pa.array(values, pa.string()), Note("encoding", message, count=len(cut))
