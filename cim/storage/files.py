"""Files that come into a store as they are: rasters and point clouds of a city, and parts of another store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cim.errors import StoreCorruptError, StoreError
from cim.model.schema import SCHEMAS
from cim.storage.layout import FILE_NAME, FILES, Sink, inside, place, sha256_of, temporary
from cim.storage.manifest import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["WITH_FILES", "again", "keep_files", "resolve_files"]

WITH_FILES = ("coverages", "textures")
"""Tables with a column ``path`` that names a file which stays one."""

_BLOCK = 1 << 20  # byte
_SUFFIX = re.compile(r"\.[a-z0-9]{1,16}")


def again(root: Path, home: Path, part: Part) -> Part:
    """Use a part of an earlier version, or of another store, again; its bytes are compared with its checksum first.

    Raises
    ------
    StoreCorruptError
        If the part is damaged.
    """
    source, target = inside(home, part.path), inside(root, part.path)
    if target.exists() and sha256_of(target) == part.sha256:
        return part
    found = _copy(root, source, lambda _: part.path, expected=part.sha256)
    return Part(part.name, part.path, part.rows, found[1], part.sha256)


def keep_files(root: Path, name: str, table: pa.Table, base: str | None) -> tuple[pa.Table, tuple[Part, ...]]:
    """Copy the files that a table names into the store; return the table with their names there, and their entries for the manifest.

    Parameters
    ----------
    name
        ``coverages`` or ``textures``: a table with a column ``path``, null where there is no file.
    base
        Store that relative paths count from, when the city was opened from one.

    Raises
    ------
    StoreError
        If a file is not there.
    """
    kept: dict[str, Part] = {}
    for path in dict.fromkeys(table["path"].drop_null().to_pylist()):  # some files, never one per object
        source = Path(base or ".", path)
        if not source.is_file():
            msg = f"{path} belongs to the city but is not there; put it back, or leave its row out of city.tables[{name!r}]"
            raise StoreError(msg)
        kept[path] = _keep(root, source)
    names = pa.array([None if path is None else kept[path].path for path in table["path"].to_pylist()], pa.string())
    table = table.set_column(table.column_names.index("path"), SCHEMAS[name].field("path"), names)
    return table, tuple({part.path: part for part in kept.values()}.values())


def _keep(root: Path, source: Path) -> Part:
    suffix = source.suffix.lower() if _SUFFIX.fullmatch(source.suffix.lower()) else ""
    if FILE_NAME.fullmatch(f"{FILES}/{source.name}") and source.parent.resolve() == (root / FILES).resolve():
        if (found := sha256_of(source)) == source.name[:64]:
            return Part("", f"{FILES}/{source.name}", 0, source.stat().st_size, found)
        msg = f"{source} is damaged: its checksum does not fit its name; restore it from a copy"
        raise StoreCorruptError(msg)
    relative, size, sha256 = _copy(root, source, lambda digest: f"{FILES}/{digest}{suffix}")
    return Part("", relative, 0, size, sha256)


def _copy(root: Path, source: Path, name: Callable[[str], str], expected: str | None = None) -> tuple[str, int, str]:
    """Copy a file into the store under the name its checksum gives; return name, size and checksum."""
    file, path = temporary(root)
    with file:
        sink = Sink(file)
        with source.open("rb") as stream:
            while block := stream.read(_BLOCK):
                sink.write(block)
        if expected is not None and sink.sha256 != expected:
            msg = f"{source} is damaged: its checksum does not fit; restore it from a copy, or open an earlier version"
            raise StoreCorruptError(msg)
        relative = name(sink.sha256)
        place(file, path, root / relative)
    return relative, sink.bytes, sink.sha256


def resolve_files(root: Path, name: str, table: pa.Table, files: Mapping[str, Part]) -> pa.Table:
    """Return the table of coverages or textures with absolute paths into the store.

    Raises
    ------
    StoreCorruptError
        If a row names anything but a file of this version.
    """
    strange = [path for path in table["path"].drop_null().to_pylist() if path not in files]
    if strange:
        msg = f"{root}: {name} name {str(strange[0])[:120]!r}, which is no file of this version; no save writes that"
        raise StoreCorruptError(msg)
    paths = pa.array([None if path is None else str(inside(root, path).absolute()) for path in table["path"].to_pylist()], pa.string())
    return table.set_column(table.column_names.index("path"), SCHEMAS[name].field("path"), paths)
