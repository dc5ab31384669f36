"""Throwing away what is not needed: leftovers of a save that was stopped, and versions nobody wants any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cim.errors import CimError, StoreCorruptError, StoreError, UsageError
from cim.storage.layout import (
    FILES,
    MANIFESTS,
    OBJECTS,
    TABLES,
    TEMPORARY,
    fsync_folder,
    manifest_numbers,
    manifest_path,
    own_folders,
    stored_names,
)
from cim.storage.lock import writing
from cim.storage.manifest import read_manifest

__all__ = ["Compaction", "compact", "sweep"]


@dataclass(frozen=True)
class Compaction:
    """What a compaction removed."""

    versions: tuple[int, ...]
    """Numbers of the versions that are gone."""
    files: int
    """Number of parts and files removed."""
    bytes: int
    """Their size [byte]."""


def compact(path: str | Path, *, keep: int = 1) -> Compaction:
    """Remove all versions but the newest `keep`, and every part that none of these needs.

    Manifests go before parts, so that a compaction stopped at any moment leaves whole versions and some parts too many.

    Raises
    ------
    StoreError
        If `path` is no store.
    StoreCorruptError
        If the manifest of a version to be kept is damaged.
    StoreLockedError
        If another process is writing.

    Examples
    --------
    >>> import tempfile, cim
    >>> from cim.model import CityBuilder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(3):
    ...         _ = cim.save(CityBuilder("EPSG:7415").build(), f"{folder}/x.cim")
    ...     cim.compact(f"{folder}/x.cim").versions
    (1, 2)
    """
    if keep < 1:
        msg = f"keep={keep}: a store keeps at least its newest version; delete the folder to remove all"
        raise UsageError(msg)
    root = Path(path)
    if not manifest_numbers(root):
        msg = f"{root} is no city store, or holds no version yet"
        raise StoreError(msg)
    try:
        own_folders(root)
        with writing(root):
            return _compact(root, keep)
    except CimError:
        raise
    except OSError as error:
        msg = f"{root}: the compaction stopped, {error.strerror or error}; every version that is still listed is whole"
        raise StoreError(msg) from error


def _compact(root: Path, keep: int) -> Compaction:
    numbers = manifest_numbers(root)
    for number in numbers[-keep:]:
        read_manifest(root, number)
    for number in numbers[:-keep]:
        manifest_path(root, number).unlink()
    fsync_folder(root / MANIFESTS)
    files, size = sweep(root)
    return Compaction(tuple(numbers[:-keep]), files, size)


def sweep(root: Path) -> tuple[int, int]:
    """Remove temporary files and parts that no version names; return their number and size [byte].

    Only the holder of the lock may sweep. While a manifest cannot be read nobody knows which parts it needs: all stay.
    """
    count = size = 0
    for entry in (root / TEMPORARY).iterdir():
        if entry.is_file() or entry.is_symlink():
            entry.unlink()
    try:
        needed = {part.path for number in manifest_numbers(root) for part in read_manifest(root, number).parts}
    except StoreCorruptError:
        return 0, 0
    for name in set(stored_names(root)) - needed:
        count += 1
        size += (root / name).lstat().st_size
        (root / name).unlink()
    if count:
        for folder in (OBJECTS, TABLES, FILES):
            fsync_folder(root / folder)
    return count, size
