"""`save`: a city becomes one more version of a store, all of it or nothing."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CimError, StoreCorruptError, StoreError
from cim.model.schema import SCHEMAS
from cim.storage.compaction import sweep
from cim.storage.files import WITH_FILES, again, keep_files
from cim.storage.layout import (
    FILES,
    FOLDERS,
    LOCK,
    MANIFESTS,
    OBJECTS,
    TABLES,
    fsync_folder,
    manifest_numbers,
    manifest_path,
    own_folders,
    place,
    temporary,
)  # fmt: skip
from cim.storage.lock import writing
from cim.storage.manifest import Manifest, Part, facts_text, read_manifest, to_bytes
from cim.storage.parts import class_table, write_part
from cim.storage.scan import StoredTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from cim.model import City

__all__ = ["save"]


def save(city: City, path: str | Path, *, message: str = "") -> int:
    """Save a city as a new version of the store at `path` and return the number of the version.

    The version appears in one step: whoever opens the store sees all of it or none of it, and a save that is stopped at any moment
    leaves the versions before it as they were. Parts that did not change are used again.

    Parameters
    ----------
    city
        What to save. Rasters and point clouds it refers to are copied into the store.
    path
        Folder, by custom with the suffix ``.cim``; created when it is not there.
    message
        What changed, for `cim.storage.versions`.

    Raises
    ------
    StoreError
        If `path` is no store, cannot be written, or the disk is full.
    StoreLockedError
        If another process is writing.
    UsageError
        If the city holds what cannot be kept.
    """
    root = Path(path)
    _refuse_foreign(root)
    try:
        own_folders(root)
        with writing(root):
            try:
                return _save(city, root, message)
            except BaseException:
                with contextlib.suppress(OSError):
                    sweep(root)  # a full disk gets its room back at once
                raise
    except CimError:
        raise
    except OSError as error:
        msg = f"{root}: the city was not saved, {error.strerror or error}; earlier versions are as they were"
        raise StoreError(msg) from error


def _refuse_foreign(root: Path) -> None:
    """Refuse a folder that holds something else, and a store that a newer toolkit wrote."""
    if not root.exists():
        return
    if not root.is_dir():
        msg = f"{root} is a file; give the path of a city store, a folder such as {root.stem}.cim"
        raise StoreError(msg)
    numbers = manifest_numbers(root)
    if not numbers:
        strange = sorted({entry.name for entry in root.iterdir()} - {*FOLDERS, LOCK})
        if strange:
            msg = f"{root} is no city store, it holds {', '.join(strange[:3])}; give a new path or an empty folder"
            raise StoreError(msg)
        return
    try:
        read_manifest(root, numbers[-1])
    except StoreCorruptError as error:
        if "is not the manifest of a city store" in str(error):
            msg = f"{root} is no city store: {error}"
            raise StoreError(msg) from error


def _save(city: City, root: Path, message: str) -> int:
    from cim import __version__

    sweep(root)
    crs, origin = city.crs.to_string(), tuple(np.asarray(city.origin, float).tolist())
    facts = facts_text(crs, origin)
    classes, in_order = _classes(city, root, facts)
    filed = {name: keep_files(root, name, city.tables[name], city.path) for name in WITH_FILES}
    files = tuple({part.path: part for _, parts in filed.values() for part in parts}.values())
    named = {name: table for name, (table, _) in filed.items()}
    tables = [_table(city, root, name, named, facts) for name in SCHEMAS if name != "objects" and city.tables.rows(name)]
    manifest = Manifest(
        version=max(manifest_numbers(root), default=0) + 1,
        saved_at=datetime.now(UTC),
        toolkit=__version__,
        message=message,
        name=city.name,
        crs=crs,
        origin=origin,
        time_zone=city.time_zone,
        extra=city.extra,
        in_order=in_order,
        classes=tuple(classes),
        tables=tuple(tables),
        files=files,
    )
    _commit(root, manifest)
    return manifest.version


def _classes(city: City, root: Path, facts: str) -> tuple[list[Part], bool]:
    """Write, or use again, one part per class, in the order of their first keys; say whether that is the order of all keys."""
    stored = city.tables.entry("objects")
    own = [city.attributes.entry(name) for name in city.attributes]
    if (
        isinstance(stored, StoredTable)
        and stored.facts == facts
        and all(isinstance(entry, StoredTable) and entry.root == stored.root and entry.parts[0] in stored.parts for entry in own)
    ):
        return [again(root, stored.root, part) for part in stored.parts], stored.in_order
    objects = city.tables["objects"]
    order = objects.group_by("type").aggregate([("key", "min"), ("key", "max")]).sort_by("key_min")
    names, first, last = (order[column].to_pylist() for column in ("type", "key_min", "key_max"))
    in_order = all(low > high for low, high in zip(first[1:], last[:-1], strict=True))
    parts = []
    for name in names:
        table = class_table(objects, city.attributes.get(name), name)
        parts.append(write_part(root, table, name, crs=city.crs, facts=facts, is_class=True))
    return parts, in_order


def _table(city: City, root: Path, name: str, named: Mapping[str, pa.Table], facts: str) -> Part:
    entry = city.tables.entry(name)
    if isinstance(entry, StoredTable) and entry.facts == facts:
        return again(root, entry.root, entry.parts[0])
    table = named[name] if name in named else city.tables[name]
    return write_part(root, table, name, crs=city.crs, facts=facts, is_class=False)


def _commit(root: Path, manifest: Manifest) -> None:
    """Make the version visible: everything it names is on the disk before its manifest gets its name."""
    data = to_bytes(manifest)
    for folder in (OBJECTS, TABLES, FILES):
        fsync_folder(root / folder)
    file, path = temporary(root)
    with file:
        file.write(data)
        place(file, path, manifest_path(root, manifest.version), new=True)
    for named in (root / MANIFESTS, root, root.absolute().parent):
        fsync_folder(named)
