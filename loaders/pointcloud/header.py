"""What a LAS or LAZ file declares about itself, read and checked by us before any library sees it.

The libraries trust these numbers: a count of 4e9 records never ends, a scale of zero silently collapses the cloud, a length
that lies aborts the process.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cim.errors import CorruptFileError, FormatError
from cim.loaders.georeference import Said

__all__ = ["LasHeader", "Record", "read_header"]

FORMAT_BYTES = {0: 20, 1: 28, 2: 26, 3: 34, 4: 57, 5: 63, 6: 30, 7: 36, 8: 38, 9: 59, 10: 67}
"""Bytes of a point of each format, extra bytes apart."""
_HEADER_BYTES = {(1, 0): 227, (1, 1): 227, (1, 2): 227, (1, 3): 235, (1, 4): 375}
_REMEDY = "get or export the file again"
_COUNTED = 65_535  # variable length records that are walked at most


@dataclass(frozen=True)
class Record:
    """A variable length record."""

    user: str
    number: int
    data: bytes


@dataclass(frozen=True)
class LasHeader:
    """Header of a LAS or LAZ file, contradictions resolved and named in `said`."""

    path: Path
    size: int
    """Bytes of the file."""
    version: tuple[int, int]
    point_format: int
    record_bytes: int
    """Bytes of one point, uncompressed."""
    count: int
    """Points to read."""
    declared: int
    """Points that the header declares."""
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    start: int
    """Where the points begin."""
    end: int
    """Where the points end at the latest."""
    compressed: bool
    wkt: bool
    """Whether the coordinate system is said to be WKT."""
    by_return: tuple[int, ...]
    """Declared points of each return number, from 1."""
    records: tuple[Record, ...]
    said: tuple[Said, ...]
    """What has to be reported."""

    def record(self, user: str, number: int) -> bytes | None:
        """Return the data of a variable length record."""
        return next((one.data for one in self.records if one.user == user and one.number == number), None)

    @property
    def point(self) -> np.dtype[np.void]:
        """Type of one point: raw coordinates, return and flag bytes, class byte."""
        wide = self.point_format >= 6
        return np.dtype(
            {
                "names": ["x", "y", "z", "returns", "flags", "class"],
                "formats": ["<i4", "<i4", "<i4", "u1", "u1", "u1"],
                "offsets": [0, 4, 8, 14, 15, 16 if wide else 15],
                "itemsize": self.record_bytes,
            }
        )


def read_header(path: Path) -> LasHeader:
    """Return the checked header.

    Raises
    ------
    FormatError
        If it is no LAS or LAZ file, or of a version or point format that is not known.
    CorruptFileError
        If what it declares cannot be.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(375)
        if head[:4] != b"LASF":
            raise FormatError(path, "is not a LAS or LAZ file", "give a file that begins with LASF")
        fields = _fields(head, path)
        said: list[Said] = []
        records = _records(file, fields, size, path, said)
        end = _end(fields, size)
        count, declared = _count(fields, end, path, said)
        _check_box(fields, said)
    return LasHeader(
        path,
        size,
        fields["version"],
        fields["format"],
        fields["record"],
        count,
        declared,
        fields["scale"],
        fields["offset"],
        fields["low"],
        fields["high"],
        fields["start"],
        end,
        fields["compressed"],
        fields["wkt"],
        fields["by_return"],
        tuple(records),
        tuple(said),
    )


def _fields(head: bytes, path: Path) -> dict[str, Any]:
    """Return the plain fields, checked one by one."""
    if len(head) < 227:
        raise CorruptFileError(path, f"is truncated: {len(head)} bytes, a header has 227 at least", _REMEDY)
    version = head[24], head[25]
    if version not in _HEADER_BYTES:
        raise FormatError(path, f"is LAS {version[0]}.{version[1]}; versions 1.0 to 1.4 are known", _REMEDY)
    (encoding,) = struct.unpack_from("<H", head, 6)
    header, start, number, kind, record, legacy = struct.unpack_from("<HIIBHI", head, 94)
    if header < _HEADER_BYTES[version] or len(head) < _HEADER_BYTES[version]:
        least = f"LAS {version[0]}.{version[1]} has {_HEADER_BYTES[version]} at least"
        reason = f"its header claims {header} bytes, but {least}: truncated or damaged"
        raise CorruptFileError(path, reason, _REMEDY)
    fields: dict[str, Any] = {
        "version": version,
        "header": header,
        "start": start,
        "records": number,
        "legacy": legacy,
        "record": record,
        "wkt": bool(encoding & 16),
        "compressed": bool(kind & 0xC0),
        "format": kind & 0x3F,
    }
    if fields["format"] not in FORMAT_BYTES:
        raise FormatError(path, f"holds points of the unknown format {fields['format']}; formats 0 to 10 are known", _REMEDY)
    if record < FORMAT_BYTES[fields["format"]]:
        reason = f"declares points of {record} bytes, but point format {fields['format']} has {FORMAT_BYTES[fields['format']]} at least"
        raise CorruptFileError(path, reason, _REMEDY)
    fields |= _places(head, path)
    return fields | _wide_fields(head, version, legacy)


def _places(head: bytes, path: Path) -> dict[str, Any]:
    """Return scale, offset and box."""
    scale, offset = struct.unpack_from("<3d", head, 131), struct.unpack_from("<3d", head, 155)
    if not (np.isfinite(scale).all() and np.all(np.array(scale) != 0.0)):
        raise CorruptFileError(path, f"declares scale factors {scale}, which give no coordinates: zero, NaN or infinite", _REMEDY)
    if not np.isfinite(offset).all():
        raise CorruptFileError(path, f"declares coordinate offsets {offset}, which are not finite", _REMEDY)
    x_high, x_low, y_high, y_low, z_high, z_low = struct.unpack_from("<6d", head, 179)
    return {"scale": scale, "offset": offset, "low": (x_low, y_low, z_low), "high": (x_high, y_high, z_high)}


def _wide_fields(head: bytes, version: tuple[int, int], legacy: int) -> dict[str, Any]:
    """Return the fields that versions after 1.2 brought."""
    found = {"count": legacy, "by_return": struct.unpack_from("<5I", head, 111), "late": 0, "late_records": 0, "waves": 0}
    if version >= (1, 3):
        (found["waves"],) = struct.unpack_from("<Q", head, 227)
    if version >= (1, 4):
        found["late"], found["late_records"], found["count"] = struct.unpack_from("<QIQ", head, 235)
        by_return = struct.unpack_from("<15Q", head, 255)
        found["by_return"] = by_return if any(by_return) else found["by_return"]
    return found


def _records(file: BinaryIO, fields: dict[str, Any], size: int, path: Path, said: list[Said]) -> list[Record]:
    """Return the variable length records, those after the points included; one that does not fit ends the walk."""
    header, start, number = fields["header"], fields["start"], fields["records"]
    if start > size or start < header:
        ends = f"the header ends at {header:,} and the file at {size:,}"
        reason = f"its points are said to begin at byte {start:,}, but {ends}: truncated or damaged"
        raise CorruptFileError(path, reason, _REMEDY)
    if number * 54 > start - header or number > _COUNTED:
        reason = (
            f"its header claims {number:,} variable length records (VLR), but {(start - header) // 54:,} fit before the points at the end"
        )
        raise CorruptFileError(path, reason, _REMEDY)
    early, lost = _walk(file, header, start, number, wide=False)
    late: list[Record] = []
    if fields["late_records"] and start <= fields["late"] < size:
        late, lost_late = _walk(file, fields["late"], size, min(fields["late_records"], _COUNTED), wide=True)
        lost += lost_late + max(0, fields["late_records"] - _COUNTED)
    elif fields["late_records"]:
        lost += fields["late_records"]
    if lost:
        text = f"{lost} variable length records (VLR) claim lengths that do not fit; they and what they say are left out"
        said.append(("lost", "warning", text))
    return early + late


def _walk(file: BinaryIO, place: int, end: int, number: int, *, wide: bool) -> tuple[list[Record], int]:
    head = 60 if wide else 54
    found: list[Record] = []
    for done in range(number):
        if place + head > end:
            return found, number - done
        file.seek(place)
        raw = file.read(head)
        user, code = raw[2:18], int(struct.unpack_from("<H", raw, 18)[0])
        length = int(struct.unpack_from("<Q" if wide else "<H", raw, 20)[0])
        if place + head + length > end:
            return found, number - done
        kept = length if length <= 1 << 20 else 0  # waveforms and hierarchies are not needed
        found.append(Record(user.split(b"\0")[0].decode("ascii", errors="replace"), code, file.read(kept)))
        place += head + length
    return found, 0


def _end(fields: dict[str, Any], size: int) -> int:
    """Return where the points end at the latest: before late records or waveforms, or with the file."""
    ends = [place for place, there in ((fields["late"], fields["late_records"]), (fields["waves"], fields["waves"])) if there]
    return min([place for place in ends if fields["start"] < place <= size], default=size)


def _count(fields: dict[str, Any], end: int, path: Path, said: list[Said]) -> tuple[int, int]:
    """Return how many points to read and how many are declared; the length of an uncompressed file knows better."""
    declared, legacy = int(fields["count"]), int(fields["legacy"])
    if fields["compressed"]:
        return declared, declared
    fits = (end - fields["start"]) // fields["record"]
    if legacy not in (0, declared):
        said.append(("conflict", "warning", f"its header states {declared:,} points and, in the older field, {legacy:,}"))
        declared = legacy if legacy == fits else declared
    if declared > fits:
        if not fits:
            reason = f"its header claims {declared:,} points, but the file ends before the first: truncated"
            raise CorruptFileError(path, reason, _REMEDY)
        missing = f"{declared - fits} of the {declared} points that its header claims are not there"
        text = f"{missing}: the file is truncated or the count is wrong (size)"
        said.append(("lost", "error", text))
        return fits, declared
    if not declared and fits:
        said.append(
            ("guessed", "warning", f"its header states no points, but the file holds {fits}: it was not closed properly; they are read")
        )
        return fits, declared
    if fits > declared and not fields["late_records"]:
        said.append(
            ("lost", "warning", f"{fits - declared} more points would fit after the {declared} that its header states; they are not read")
        )
    return declared, declared


def _check_box(fields: dict[str, Any], said: list[Said]) -> None:
    low, high = np.array(fields["low"]), np.array(fields["high"])
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()) and fields["count"]:
        said.append(("repaired", "warning", "its header has no usable bounding box; the bounds were recomputed"))
        fields["low"], fields["high"] = (np.nan,) * 3, (np.nan,) * 3
