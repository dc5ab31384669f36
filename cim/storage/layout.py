"""The files of a store: names that cannot lead out of it, bytes that have reached the disk, checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cim.errors import StoreCorruptError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "FILES",
    "FILE_NAME",
    "FOLDERS",
    "LOCK",
    "MANIFESTS",
    "OBJECTS",
    "PART_NAME",
    "TABLES",
    "TEMPORARY",
    "Sink",
    "fsync_folder",
    "inside",
    "manifest_numbers",
    "manifest_path",
    "own_folders",
    "place",
    "regular_size",
    "sha256_of",
    "stem",
    "stored_names",
    "temporary",
]

OBJECTS, TABLES, FILES, MANIFESTS, TEMPORARY, LOCK = "objects", "tables", "files", "manifests", "tmp", "lock"
FOLDERS = (OBJECTS, TABLES, FILES, MANIFESTS, TEMPORARY)

PART_NAME = re.compile(r"(?:objects|tables)/[A-Za-z0-9_]{1,64}-(?P<digest>[0-9a-f]{16})\.parquet")
FILE_NAME = re.compile(r"files/(?P<digest>[0-9a-f]{64})(?:\.[a-z0-9]{1,16})?")
_MANIFEST_NAME = re.compile(r"[0-9]{6,9}\.json")
_BLOCK = 1 << 20


class Sink:
    """A file being written whose checksum and length are known at its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write a block and count it in."""
        view = memoryview(data)
        self._file.write(view)
        self._hash.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        self._file.flush()

    def close(self) -> None:
        """Leave the file open: whoever opened it still has to bring it to the disk."""

    @property
    def sha256(self) -> str:
        """Checksum of all that was written."""
        return self._hash.hexdigest()


def stem(name: str) -> str:
    """Return the part of a file name that tells people what is inside; the digest beside it makes it unique.

    Examples
    --------
    >>> stem("Building"), stem("+../x")
    ('Building', '____x')
    """
    return re.sub(r"[^A-Za-z0-9_]", "_", name)[:64] or "_"


def inside(root: Path, relative: str) -> Path:
    """Return the path of a part or file of the store; what could lead out of it is refused.

    Raises
    ------
    StoreCorruptError
        If the name is not one that a store writes, or a link stands in its way.
    """
    if not (PART_NAME.fullmatch(relative) or FILE_NAME.fullmatch(relative)):
        msg = f"{root}: the manifest names {relative[:120]!r}, which is no name of a part; the manifest was not written by this toolkit"
        raise StoreCorruptError(msg)
    path = root / relative
    for step in (path.parent, path):
        if step.is_symlink():
            msg = f"{root}: {step.relative_to(root)} is a link; a store holds its own files, put the file itself there"
            raise StoreCorruptError(msg)
    return path


def own_folders(root: Path) -> None:
    """Create the folders of a store that are not there yet.

    Raises
    ------
    StoreError
        If one of them is a link or a file.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in FOLDERS:
        folder = root / name
        if folder.is_symlink():
            msg = f"{root}: {name} is a link; a store writes only inside itself"
            raise StoreError(msg)
        folder.mkdir(exist_ok=True)


def temporary(root: Path) -> tuple[BinaryIO, Path]:
    """Return a new file, open for writing, in the folder that the next save sweeps."""
    path = root / TEMPORARY / uuid.uuid4().hex
    return path.open("xb", buffering=_BLOCK), path


def place(file: BinaryIO, source: Path, target: Path, *, new: bool = False) -> None:
    """Bring a finished temporary file to the disk, then give it its name in one step.

    Parameters
    ----------
    new
        The name may not be taken yet; else a file of this name has the same content, and is replaced.

    Raises
    ------
    FileExistsError
        If the name is taken.
    """
    file.flush()
    os.fsync(file.fileno())
    file.close()
    if not new:
        source.replace(target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the lock keeps other writers away
        if target.exists():
            raise FileExistsError(errno.EEXIST, "the name is taken", str(target)) from None
        source.rename(target)
    else:
        source.unlink()


def fsync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the checksum of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def regular_size(path: Path) -> int | None:
    """Return the size of a plain file [byte], None where there is none (or a link, folder or device)."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def manifest_path(root: Path, version: int) -> Path:
    """Return where the manifest of a version lies."""
    return root / MANIFESTS / f"{version:06d}.json"


def manifest_numbers(root: Path) -> list[int]:
    """Return the numbers of all manifests, ascending; empty where there is no store."""
    folder = root / MANIFESTS
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(int(entry.name[:-5]) for entry in folder.iterdir() if _MANIFEST_NAME.fullmatch(entry.name))


def stored_names(root: Path) -> Iterator[str]:
    """Yield the names of all parts and files that lie in the store, whether a version uses them or not."""
    for folder in (OBJECTS, TABLES, FILES):
        if (root / folder).is_dir() and not (root / folder).is_symlink():
            for entry in sorted((root / folder).iterdir()):
                name = f"{folder}/{entry.name}"
                if PART_NAME.fullmatch(name) or FILE_NAME.fullmatch(name):
                    yield name
