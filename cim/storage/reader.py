"""`open`: a version of a store becomes a city whose tables are read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CRSError, StoreCorruptError, StoreError, UsageError
from cim.model.schema import SCHEMAS, empty
from cim.storage.files import WITH_FILES, resolve_files
from cim.storage.layout import inside, manifest_numbers, regular_size
from cim.storage.manifest import Manifest, Part, facts_text, read_manifest
from cim.storage.scan import StoredTable

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from cim.model import City

__all__ = ["Version", "current", "open", "parts", "versions"]


@dataclass(frozen=True)
class Version:
    """One version of a store."""

    number: int
    saved_at: datetime
    """UTC."""
    message: str
    objects: int
    bytes: int
    """Size of all its parts, those shared with other versions included."""
    toolkit: str
    """Version of the toolkit that saved it."""


def versions(path: str | Path) -> list[Version]:
    """Return the versions of a store, oldest first.

    Raises
    ------
    StoreError
        If `path` is no store.
    """
    root = Path(path)
    found = [read_manifest(root, number) for number in _numbers(root)]
    sizes = [(sum(part.rows for part in one.classes), sum(part.bytes for part in one.parts)) for one in found]
    return [
        Version(one.version, one.saved_at, one.message, objects, size, one.toolkit)
        for one, (objects, size) in zip(found, sizes, strict=True)
    ]


def parts(path: str | Path, version: int | None = None) -> list[Part]:
    """Return the files a version consists of: each opens by itself in geopandas, QGIS or DuckDB."""
    return list(current(Path(path), version).parts)


def open(path: str | Path, version: int | None = None, *, asof: datetime | str | None = None) -> City:
    """Open a city store without reading its tables.

    Parameters
    ----------
    path
        The ``.cim`` folder.
    version
        Number of the version; the newest when left out.
    asof
        Instant: the version that was the newest then (a time without zone is taken in the time zone of the city). For the city as
        it was valid in the world at an instant, call `City.asof`.

    Raises
    ------
    StoreError
        If there is no such store or version, or a newer toolkit wrote it.
    StoreCorruptError
        If the manifest is damaged, or a part is missing or of another size. Checksums of whole parts are compared by `check`; the
        checksum of each page that is read is always compared.
    """
    root = Path(path)
    if version is not None and asof is not None:
        msg = f"version={version} and asof={asof} are given; give one"
        raise UsageError(msg)
    if asof is not None:
        version = _version_at(root, asof)
    manifest = current(root, version)
    while (fault := _missing(root, manifest)) is not None:
        newer = current(root, version)
        if newer.version == manifest.version:
            raise StoreCorruptError(fault)
        manifest = newer  # a compaction came between
    return _city(root, manifest)


def current(root: Path, version: int | None = None) -> Manifest:
    """Return the manifest of a version, the newest when left out."""
    numbers = _numbers(root)
    if version is not None and version not in numbers:
        msg = f"{root} has no version {version}; it has {', '.join(map(str, numbers[-10:]))}"
        raise StoreError(msg)
    return read_manifest(root, numbers[-1] if version is None else version)


def _numbers(root: Path) -> list[int]:
    numbers = manifest_numbers(root)
    if not numbers:
        what = "does not exist" if not root.exists() else "is no city store, or its first save was not finished"
        msg = f"{root} {what}; cim.save(city, path) writes one"
        raise StoreError(msg)
    return numbers


def _version_at(root: Path, asof: datetime | str) -> int:
    from cim.model.history import instant

    found = [read_manifest(root, number) for number in _numbers(root)]
    past = [one.version for one in found if one.saved_at <= instant(asof, one.time_zone)]
    if not past:
        msg = f"{root} has no version of {asof}; its first was saved at {found[0].saved_at.isoformat()}"
        raise StoreError(msg)
    return past[-1]


def _missing(root: Path, manifest: Manifest) -> str | None:
    """Return what is wrong with the first part that is missing or of another size."""
    for part in manifest.parts:
        size = regular_size(inside(root, part.path))
        if size != part.bytes:
            found = "is missing" if size is None else f"has {size} bytes, expected {part.bytes}"
            return f"{root}: {part.path} {found}; restore it from a copy, or open an earlier version"
    return None


def _city(root: Path, manifest: Manifest) -> City:
    from cim.crs import parse
    from cim.model import City
    from cim.model.tables import Tables

    try:
        crs = parse(manifest.crs, path=str(root))
    except CRSError as error:
        raise StoreCorruptError(str(error)) from error
    facts = facts_text(manifest.crs, manifest.origin)
    tables: dict[str, pa.Table | StoredTable] = {name: empty(name) for name in SCHEMAS}
    if manifest.classes:
        tables["objects"] = StoredTable(root, manifest.classes, "objects", facts=facts, in_order=manifest.in_order)
    for part in manifest.tables:
        tables[part.name] = StoredTable(root, [part], part.name, facts=facts)
    for name in WITH_FILES:
        stored = tables[name]
        if isinstance(stored, StoredTable):
            tables[name] = resolve_files(root, name, stored.to_table(), {part.path: part for part in manifest.files})
    attributes = {part.name: StoredTable(root, [part], "attributes", facts=facts) for part in manifest.classes}
    return City(
        crs=crs,
        origin=np.array(manifest.origin),
        tables=Tables(tables),
        attributes=Tables(attributes),
        name=manifest.name,
        time_zone=manifest.time_zone,
        path=str(root),
        version=manifest.version,
        extra=manifest.extra,
    )
