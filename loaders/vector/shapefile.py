"""Shapefiles: headers, index and record lengths checked by hand before GDAL sees a byte, text decoded by hand after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, CRSError, FormatError
from cim.loaders.vector.dbf import Table, read_header, text_columns
from cim.loaders.vector.encoding import settle
from cim.loaders.vector.frame import Layer, Note, reject
from cim.loaders.vector.ogr import read_ogr

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.protocol import ReadOptions

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]

__all__ = ["companion", "projection_text", "read_shapefile", "recognises"]

MAGIC = b"\x00\x00\x27\x0a"
KINDS = {0: "Null", 1: "Point", 3: "PolyLine", 5: "Polygon", 8: "MultiPoint", 11: "PointZ", 13: "PolyLineZ", 15: "PolygonZ",
         18: "MultiPointZ",          21: "PointM", 23: "PolyLineM", 25: "PolygonM", 28: "MultiPointM", 31: "MultiPatch"}  # fmt: skip


def recognises(head: bytes, path: Path) -> bool:
    """Return whether this is the main file of a shapefile (or its index, which has the same head)."""
    return head[:4] == MAGIC and len(head) >= 36 and head[28:32] == b"\xe8\x03\x00\x00" and path.suffix.lower() != ".shx"


def companion(path: Path, suffix: str) -> Path | None:
    """Return the file of the same stem with this suffix in any case, None where there is none."""
    wanted = (path.stem + suffix).lower()
    exact = path.with_suffix(suffix)
    if exact.is_file():
        return exact
    return next((one for one in sorted(path.parent.iterdir()) if one.name.lower() == wanted and one.is_file()), None)


def read_shapefile(path: Path, options: ReadOptions) -> Layer:
    """Return the one layer of a shapefile.

    Raises
    ------
    CorruptFileError
        If the head contradicts the file, or no record is whole.
    CRSError
        If there is no usable `.prj` and no ``options.crs``.
    """
    data: Bytes = np.memmap(path, np.uint8, "r")
    kind = _check_head(path, data)
    crs = projection_text(path, options)
    places = _index(path, data)
    options.limits.check("records", len(places.offset), path)
    bad, reasons = _bad_records(data, places, kind)
    table = _open_table(path, places, options)
    staged = _stage(path, data, places, table)
    encoding = table.encoding
    layer = read_ogr(
        staged, replace(options, layer=None, encoding=None), format="Shapefile", name=path.stem, shown=path, encoding="ISO-8859-1"
    )
    layer = replace(
        layer, crs=crs, encoding=encoding.name, notes=(*places.notes, *table.notes, *layer.notes), records_in=len(places.offset)
    )
    layer = _accounted(layer, table, len(places.offset))
    layer = _drop_bad(layer, bad, reasons, path)
    layer = _missing_geometry(layer, data, places)
    return text_columns(layer, table.header, encoding) if table.header is not None else layer


# ---------------------------------------------------------------- the .shp


def _check_head(path: Path, data: Bytes) -> int:
    if len(data) < 100:
        raise CorruptFileError(path, f"is truncated: {len(data)} bytes, and its head alone has 100", "copy it again")
    kind = int(data[32:36].view("<i4")[0])
    if kind not in KINDS:
        raise FormatError(path, f"shape type {kind} is not known", "export it again")
    return kind


@dataclass(frozen=True)
class _Places:
    """Where the records lie: byte offset of their content, and its length in bytes."""

    offset: Ints
    length: Ints
    rebuilt: bool
    notes: tuple[Note, ...] = ()


def _index(path: Path, data: Bytes) -> _Places:
    """Return the index of the .shx, or one walked from the .shp where it is missing or not usable."""
    file = companion(path, ".shx")
    if file is not None:
        raw = np.fromfile(file, np.uint8)
        if bytes(raw[:4]) == MAGIC and len(raw) >= 100:
            pairs = raw[100 : 100 + 8 * ((len(raw) - 100) // 8)].view(">i4").astype(np.int64).reshape(-1, 2)
            places = _Places(pairs[:, 0] * 2 + 8, pairs[:, 1] * 2, rebuilt=False)
            stated = int(raw[24:28].view(">i4")[0]) * 2
            if stated == len(raw):
                return places
            if stated > len(raw):
                message = f"the index {file.name} is truncated: {len(raw)} bytes of {stated}; it is rebuilt from the records"
                return _walk(data, Note("repaired", message))
            return replace(places, notes=(Note("repaired", f"the index {file.name} is longer than it says; all of it is read", "info"),))
        return _walk(data, Note("repaired", f"the index {file.name} is damaged; it is rebuilt from the records"))
    return _walk(data, Note("repaired", f"the index .shx is missing beside {path.name}; it is rebuilt from the records"))


def _walk(data: Bytes, note: Note) -> _Places:
    """Follow the record lengths through the .shp; stop where they leave it."""
    offsets: list[int] = []
    lengths: list[int] = []
    place, size = 100, len(data)
    raw = data.tobytes() if size < 1 << 28 else data
    notes = [note]
    while place + 8 <= size:
        length = int.from_bytes(bytes(raw[place + 4 : place + 8]), "big", signed=True) * 2
        if length < 4 or place + 8 + length > size:
            notes.append(Note("rejected", f"record {len(offsets)}: its length {length} runs out of the file; it and what follows are lost"))
            break
        offsets.append(place + 8)
        lengths.append(length)
        place += 8 + length
    return _Places(np.array(offsets, np.int64), np.array(lengths, np.int64), rebuilt=True, notes=tuple(notes))


def _int32(data: Bytes, at: Ints, kind: str) -> Ints:
    """Return the 4-byte integers at byte places; a place outside the file gives -1."""
    fine = (at >= 0) & (at + 4 <= len(data))
    out = np.full(len(at), -1, np.int64)
    gathered = np.asarray(data)[at[fine][:, None] + np.arange(4)]
    out[fine] = np.ascontiguousarray(gathered).view(kind).ravel()
    return out


def _bad_records(data: Bytes, places: _Places, kind: int) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which records contradict themselves or the file, shape (n,), and why, one reason for each of those."""
    start, length = places.offset, places.length
    why = np.full(len(start), "", object)
    stated = _int32(data, start - 4, ">i4") * 2
    why[(start < 108) | (start + length > len(data))] = "record runs out of the file, which is truncated"
    fine = why == ""
    why[fine & ((length < 4) | (stated != length))] = "record length in the file and in its index differ (corrupt)"
    type_ = _int32(data, start, "<i4")
    fine = why == ""
    why[fine & (type_ != 0) & (type_ != kind)] = f"record has another shape type than the file ({KINDS[kind]})"
    fine = (why == "") & (type_ != 0)
    need = _needed_bytes(data, start, kind)
    why[fine & (need > length)] = "record claims more points or parts than its length can hold (corrupt length)"
    why[fine & (need < 0)] = "record has a negative number of points or parts (corrupt)"
    bad = why != ""
    return bad, [str(text) for text in why[bad]]


def _needed_bytes(data: Bytes, start: Ints, kind: int) -> Ints:
    """Return the least content length [bytes] of records of this type, from the counts they state; -1 for a negative count."""
    family, raised = kind % 10, 10 < kind < 20
    if family == 1 and kind != 31:
        return np.full(len(start), 28 if kind in (11, 21) else 20, np.int64)
    if family == 8:
        points = _int32(data, start + 36, "<i4")
        need = 40 + points * (24 if raised else 16) + (16 if raised else 0)
        return np.where(points < 0, -1, need)
    if kind == 0:
        return np.full(len(start), 4, np.int64)
    parts, points = _int32(data, start + 36, "<i4"), _int32(data, start + 40, "<i4")
    need = 44 + parts * (8 if kind == 31 else 4) + points * (24 if raised or kind == 31 else 16) + (16 if raised or kind == 31 else 0)
    return np.where((parts < 0) | (points < 0), -1, need)


def _accounted(layer: Layer, table: Table, count: int) -> Layer:
    """Say which records the driver left out: those that the table marks as deleted, and others, which would be lost."""
    missing = np.setdiff1d(np.arange(count), layer.number)
    if not len(missing):
        return layer
    deleted = int(np.isin(missing, table.header.deleted()).sum()) if table.header is not None else 0
    if deleted:
        layer = layer.noted(
            Note("lost", f"layer {layer.name}: {deleted} records are marked as deleted and are left out", "info", count=deleted)
        )
    lost = len(missing) - deleted
    if lost:
        layer = layer.noted(Note("rejected", f"layer {layer.name}: {lost} records cannot be read (the first is {missing[0]})", count=lost))
    return replace(layer, rejected=layer.rejected + len(missing))


def _drop_bad(layer: Layer, bad: NDArray[np.bool_], reasons: list[str], path: Path) -> Layer:
    if len(bad) and bad.all():
        raise CorruptFileError(path, f"not one of {len(bad)} records is usable; the first: {reasons[0]}", "copy or export it again")
    numbers = np.flatnonzero(bad)
    here = np.isin(layer.number, numbers)
    reason_of = dict(zip(numbers.tolist(), reasons, strict=True))
    return reject(layer, here, [f"{reason_of[n]}; the record is rejected" for n in layer.number[here].tolist()])


def _missing_geometry(layer: Layer, data: Bytes, places: _Places) -> Layer:
    """Reject records that should have a geometry and got none from the driver."""
    import shapely

    if not len(layer):
        return layer
    inside = layer.number < len(places.offset)
    type_ = np.zeros(len(layer), np.int64)
    type_[inside] = _int32(data, places.offset[layer.number[inside]], "<i4")
    lost = shapely.is_missing(layer.geometry) & (type_ > 0)
    return reject(layer, lost, "its geometry is corrupt and cannot be read; the record is rejected")


# ---------------------------------------------------------------- the companions


def projection_text(path: Path, options: ReadOptions) -> str | None:
    """Return the text of the .prj, None when there is none but the caller gave a CRS.

    Raises
    ------
    CRSError
        If there is neither.
    """
    file = companion(path, ".prj")
    text = "" if file is None else _plain_text(file.read_bytes()[:65536])
    if text.strip():
        return text.strip()
    if options.crs is not None:
        return None
    what = "has no .prj beside it" if file is None else f"has an empty {file.name} beside it"
    raise CRSError(path, f"{what}: its coordinate reference system (CRS) is unknown", "give crs='EPSG:...'")


def _plain_text(raw: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030", "latin-1"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return ""


def _open_table(path: Path, places: _Places, options: ReadOptions) -> Table:
    file = companion(path, ".dbf")
    if file is None:
        return Table(None, notes=(Note("lost", f"the table .dbf is missing beside {path.name}: geometry without attributes"),))
    header, notes = read_header(file)
    if header is None:
        return Table(None, notes=tuple(notes))
    count = len(places.offset)
    if header.records != count:
        notes.append(
            Note("conflict", f"{file.name} holds {header.records:,} records and {path.name} {count:,}; attributes follow the record number")
        )
    page = companion(path, ".cpg") or companion(path, ".cst")
    stated = page.read_bytes()[:64] if page is not None else None
    encoding, more = settle(header.sample(), header.language, stated, options.encoding)
    return Table(header, encoding, (*notes, *more))


def _stage(path: Path, data: Bytes, places: _Places, table: Table) -> Path:
    """Put links to the parts that are used into the current folder, which belongs to this process alone."""
    folder = Path.cwd() / f"shapefile-{abs(hash(str(path)))}"
    folder.mkdir(exist_ok=True)
    target = folder / "layer.shp"
    _link(path, target)
    index = companion(path, ".shx")
    if places.rebuilt or index is None:
        _write_index(folder / "layer.shx", data, places)
    else:
        _link(index, folder / "layer.shx")
    if table.header is not None:
        if table.header.records == len(places.offset):
            _link(table.header.path, folder / "layer.dbf")
        else:
            table.header.write_with(len(places.offset), folder / "layer.dbf")
    return target


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source.absolute())
    except OSError:  # a system without links
        import shutil

        shutil.copyfile(source, target)


def _write_index(target: Path, data: Bytes, places: _Places) -> None:
    head = bytearray(bytes(data[:100]))
    head[24:28] = ((100 + 8 * len(places.offset)) // 2).to_bytes(4, "big")
    pairs = np.stack([(places.offset - 8) // 2, places.length // 2], axis=1).astype(">i4")
    target.unlink(missing_ok=True)
    target.write_bytes(bytes(head) + pairs.tobytes())
