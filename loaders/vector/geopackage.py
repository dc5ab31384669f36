"""GeoPackage and SpatiaLite databases: looked at read-only through sqlite3 under a time limit before GDAL opens them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cim.errors import CorruptFileError, CRSError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders.vector.frame import Layer, Note
from cim.loaders.vector.ogr import read_ogr

if TYPE_CHECKING:
    from cim.loaders.protocol import ReadOptions

__all__ = ["format_of", "read_database"]

GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
SQL_SECONDS = 3.0
"""Time one statement of ours may take; a table that needs more to be counted is a query in disguise."""
CHECKED_BYTES = 256 << 20
"""Databases up to this size are checked page by page before they are read."""
WAL_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


@dataclass(frozen=True)
class _Entry:
    """A spatial layer as the catalogue of the database lists it."""

    name: str
    column: str
    srs: int | None
    view: bool


def format_of(head: bytes, path: Path) -> str:
    """Return "GeoPackage" or "SQLite", from the application id in the head of the database."""
    if head[68:72] in GEOPACKAGE_IDS or path.suffix.lower() == ".gpkg":
        return "GeoPackage"
    return "SQLite"


def read_database(path: Path, options: ReadOptions, kind: str) -> list[Layer]:
    """Return the spatial layers of a database.

    Raises
    ------
    CorruptFileError
        If it is cut or damaged.
    UnsafeInputError, LimitError
        If a layer is a stored query that does not end.
    CRSError
        If a layer refers to a system that is not in the file, or undefined.
    """
    _check_size(path)
    local, notes = _local_copy(path)
    with _opened(local, path) as database:
        if path.stat().st_size <= CHECKED_BYTES:
            _check_pages(database, path)
        entries = _entries(database, path)
        chosen = _chosen(entries, options, path)
        layers = [_read(database, local, one, options, kind, path) for one in chosen if not one.view]
        notes += [note for one in chosen if one.view for note in [_look_at_view(database, one, path, asked=options.layer is not None)]]
    if not layers:
        raise FormatError(path, "holds no spatial layer", "give a database with a geometry column that is registered")
    return [layers[0].noted(*notes), *layers[1:]]


# ---------------------------------------------------------------- opening


def _check_size(path: Path) -> None:
    """Compare the pages that the head states with the file."""
    with path.open("rb") as file:
        head = file.read(100)
    page = int.from_bytes(head[16:18], "big")
    page = 65536 if page == 1 else page
    pages = int.from_bytes(head[28:32], "big")
    size = path.stat().st_size
    if len(head) < 100 or page < 512 or page & (page - 1):
        raise CorruptFileError(path, "is no whole SQLite database: its head is damaged", "copy it again")
    valid = head[24:28] == head[92:96]  # the page count is only kept by writers that set both counters
    if valid and pages * page > size:
        reason = f"is a truncated SQLite database: {size:,} bytes of {pages * page:,}"
        raise CorruptFileError(path, reason, "copy or download it again")


def _local_copy(path: Path) -> tuple[Path, list[Note]]:
    """Return a copy in the current folder, with its write-ahead log where that is a real one: the original stays untouched."""
    target = Path.cwd() / f"database{'.gpkg' if path.suffix.lower() == '.gpkg' else '.sqlite'}"
    shutil.copyfile(path, target)
    log = path.with_name(path.name + "-wal")
    copied = target.with_name(target.name + "-wal")
    copied.unlink(missing_ok=True)
    if not log.is_file() or not log.stat().st_size:
        return target, []
    with log.open("rb") as file:
        real = file.read(4) in WAL_MAGIC
    if real:
        shutil.copyfile(log, copied)
        return target, [Note("repaired", f"changes that lay in {log.name} were taken in; the file had not been closed", "info")]
    return target, [Note("lost", f"{log.name} beside it is no write-ahead log, and is ignored", "info")]


@contextlib.contextmanager
def _opened(local: Path, path: Path) -> Iterator[sqlite3.Connection]:
    try:
        database = sqlite3.connect(f"file:{quote(str(local))}?mode=rw", uri=True)
        database.execute("PRAGMA trusted_schema = OFF")
        database.execute("PRAGMA cell_size_check = ON")
        database.execute("PRAGMA wal_checkpoint")
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA query_only = ON")
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise CorruptFileError(path, f"the SQLite database cannot be opened: {error}", "copy it again") from error
    try:
        yield database
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise CorruptFileError(
            path, f"the SQLite database is corrupt: {error}", "copy it again, or repair it with its own tools"
        ) from error
    finally:
        database.close()


def _rows(database: sqlite3.Connection, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Run one statement under the time limit; TimeoutError when it takes longer."""
    end = time.monotonic() + SQL_SECONDS
    database.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        return database.execute(statement, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise TimeoutError(statement) from error
        raise
    finally:
        database.set_progress_handler(None, 0)


def _check_pages(database: sqlite3.Connection, path: Path) -> None:
    try:
        found = _rows(database, "PRAGMA quick_check(1)")
    except TimeoutError:
        return  # a slow disk; the reading itself still finds damaged pages
    except sqlite3.OperationalError:
        return  # a virtual table whose module is not here
    text = str(found[0][0]) if found else "ok"
    if text != "ok" and "non-unique" not in text and "NULL value" not in text and "CHECK constraint" not in text:
        raise CorruptFileError(path, f"the SQLite database is corrupt: {text[:120]}", "copy it again")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# ---------------------------------------------------------------- the catalogue


def _entries(database: sqlite3.Connection, path: Path) -> list[_Entry]:
    """Return the spatial layers that the catalogue lists and that exist."""
    kinds = {str(name): str(kind) for name, kind in _rows(database, "SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')")}
    folded = {name.casefold(): name for name in kinds}
    if "gpkg_contents" in folded and "gpkg_geometry_columns" in folded:
        listed = _rows(database, "SELECT g.table_name, g.column_name, g.srs_id FROM gpkg_geometry_columns g JOIN gpkg_contents c "
                                 "ON lower(c.table_name) = lower(g.table_name) WHERE c.data_type = 'features'")  # fmt: skip
    elif "geometry_columns" in folded:
        columns = {str(row[1]) for row in _rows(database, "PRAGMA table_info(geometry_columns)")}
        srid = "srid" if "srid" in columns else "NULL"
        listed = _rows(database, f"SELECT f_table_name, f_geometry_column, {srid} FROM geometry_columns")  # noqa: S608  # one of two words
    else:
        raise FormatError(path, "is a SQLite database without spatial tables", "give a GeoPackage or SpatiaLite database")
    out = []
    for table, column, srs in listed:
        name = folded.get(str(table).casefold())
        if name is not None:
            out.append(_Entry(name, str(column), srs if isinstance(srs, int) else None, kinds[name] == "view"))
    return out


def _chosen(entries: list[_Entry], options: ReadOptions, path: Path) -> list[_Entry]:
    if options.layer is None:
        return entries
    found = [one for one in entries if one.name == options.layer]
    if not found:
        names = ", ".join(one.name for one in entries) or "none"
        raise InputError(path, f"has no layer {options.layer!r}", f"give one of: {names}")
    return found


def _look_at_view(database: sqlite3.Connection, one: _Entry, path: Path, *, asked: bool) -> Note:
    """Refuse a stored query that does not end; say that another one is not read."""
    try:
        count = _rows(database, f"SELECT count(*) FROM (SELECT 1 FROM {_quoted(one.name)} LIMIT 1000001)")[0][0]  # noqa: S608
    except TimeoutError as error:
        reason = f"layer {one.name} is a view (a stored query) that does not end within the limit of {SQL_SECONDS:g} s"
        raise LimitError(path, reason, "give layer='...' to read a table only") from error
    if not isinstance(count, int) or count > 1_000_000:
        raise LimitError(
            path, f"layer {one.name} is a view (a stored query) of more than a million rows", "give layer='...' to read a table only"
        )
    if asked:
        raise UnsafeInputError(path, f"layer {one.name} is a view (a stored query), and only tables are read", "save it as a table first")
    return Note("unsupported", f"layer {one.name} is a view (a stored query of {count} rows) and is not read; only tables are", count=count)


# ---------------------------------------------------------------- one layer


def _read(database: sqlite3.Connection, local: Path, one: _Entry, options: ReadOptions, kind: str, path: Path) -> Layer:
    try:
        count = int(str(_rows(database, f"SELECT count(*) FROM {_quoted(one.name)}")[0][0]))  # noqa: S608
        empty = int(str(_rows(database, f"SELECT count(*) FROM {_quoted(one.name)} WHERE {_quoted(one.column)} IS NULL")[0][0]))  # noqa: S608
    except TimeoutError as error:
        raise LimitError(
            path, f"layer {one.name} cannot be counted within {SQL_SECONDS:g} s", "give limits=Limits(...) if it is trusted"
        ) from error
    options.limits.check("records", count, path)
    crs, note = _crs(database, one, options, kind, path)
    layer = read_ogr(local, options, format=kind, name=one.name, shown=path, layer=one.name)
    got = layer.records_in
    if got < count:
        raise CorruptFileError(
            path, f"layer {one.name} holds {count:,} records but only {got:,} could be read", "repair it with its own tools"
        )
    layer = replace(layer, crs=crs if crs is not None else layer.crs)
    return _lost_geometry(layer.noted(*note), empty)


def _lost_geometry(layer: Layer, empty: int) -> Layer:
    """Say how many geometries the driver could not decode."""
    import shapely

    missing = int(shapely.is_missing(layer.geometry).sum())
    lost = missing - empty
    if lost <= 0:
        return layer
    note = Note("rejected", f"layer {layer.name}: the geometry of {lost} records is corrupt; they are kept without one", count=lost)
    return layer.noted(note)


def _crs(database: sqlite3.Connection, one: _Entry, options: ReadOptions, kind: str, path: Path) -> tuple[str | None, list[Note]]:
    """Return the CRS of a layer as code or WKT; None leaves it to GDAL (SpatiaLite)."""
    if kind != "GeoPackage":
        return None, []
    if one.srs in (-1, 0):
        if options.crs is not None:
            return None, []
        raise CRSError(path, f"layer {one.name} has the srs_id {one.srs}: its coordinate system (CRS) is undefined", "give crs='EPSG:...'")
    row = _rows(
        database, "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (one.srs,)
    )
    if not row:
        if options.crs is not None:
            return None, []
        reason = f"layer {one.name} refers to srs_id {one.srs}, which the CRS table of the file (gpkg_spatial_ref_sys) does not hold"
        raise CRSError(path, reason, "give crs='EPSG:...'")
    authority, code, definition = row[0]
    if str(authority).upper() in ("EPSG", "ESRI", "OGC"):
        return f"{str(authority).upper()}:{code}", []
    return str(definition), []
