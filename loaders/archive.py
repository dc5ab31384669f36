"""Archives: a ZIP that holds one data set is expanded within limits into the worker's own folder and read from there."""

from __future__ import annotations

import stat
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders.limits import MIB, Limits

if TYPE_CHECKING:
    from cim.loaders.protocol import Description, ReadOptions
    from cim.model import City

__all__ = ["READER", "ArchiveReader", "expand", "members"]

_BLOCK = 1 << 20
_SIDE = (
    ".shx",
    ".dbf",
    ".prj",
    ".cpg",
    ".sbn",
    ".sbx",
    ".qix",
    ".xml",
    ".qmd",
    ".qml",
    ".txt",
    ".md",
    ".pdf",
    ".jpg",
    ".png",
    ".mtl",
    ".tfw",
    ".wld",
)


def members(archive: zipfile.ZipFile, path: Path, limits: Limits) -> list[zipfile.ZipInfo]:
    """Return the files of an archive, after its names, kinds and declared sizes are checked.

    Raises
    ------
    UnsafeInputError
        If a member would lie outside the folder, or is a link.
    LimitError
        If there are too many, or they would expand too far.
    CorruptFileError
        If a member is encrypted.
    """
    entries = archive.infolist()
    limits.check("archive_members", len(entries), path)
    limits.check("expanded_bytes", sum(one.file_size for one in entries), path)
    for one in entries:
        _check_member(one, path, limits)
    return [one for one in entries if not one.is_dir()]


def _check_member(one: zipfile.ZipInfo, path: Path, limits: Limits) -> None:
    name = PurePosixPath(one.filename.replace("\\", "/"))
    shown = one.filename[:80]
    if name.is_absolute() or ".." in name.parts or ":" in one.filename.split("/")[0] or "\0" in one.orig_filename.rstrip("\0"):
        raise UnsafeInputError(
            path, f"its member {shown!r} has an unsafe path, outside the folder it is expanded to", "do not use this archive"
        )
    mode = one.external_attr >> 16
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise UnsafeInputError(path, f"its member {shown!r} is a link or device, not a file (unsafe)", "pack the files themselves")
    if one.flag_bits & 0x1:
        raise CorruptFileError(path, f"its member {shown!r} is encrypted", "unpack it with its password first")
    if one.file_size > MIB and one.file_size > limits.expansion_ratio * max(one.compress_size, 1):
        ratio = one.file_size / max(one.compress_size, 1)
        reason = f"its member {shown!r} would expand {ratio:,.0f} times, above the ratio limit of {limits.expansion_ratio:g}"
        raise LimitError(path, reason, "unpack it by hand if it is trusted")


def expand(path: Path, target: Path, limits: Limits) -> list[Path]:
    """Write the members of a ZIP into a folder, never more than it declares and the limits allow, and return their paths.

    Raises
    ------
    CorruptFileError
        If the archive or a member is damaged.
    UnsafeInputError, LimitError
        As `members`.
    """
    try:
        with _opened(path) as archive:
            return [_write(archive, one, target, path) for one in members(archive, path, limits)]
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise CorruptFileError(path, f"is a damaged ZIP archive: {error}", "copy or download it again") from error


def _opened(path: Path) -> zipfile.ZipFile:
    """Open an archive; names that are not UTF-8 come from Chinese systems, mostly."""
    try:
        return zipfile.ZipFile(path, metadata_encoding="utf-8")
    except UnicodeDecodeError:
        return zipfile.ZipFile(path, metadata_encoding="gb18030")


def _write(archive: zipfile.ZipFile, one: zipfile.ZipInfo, target: Path, path: Path) -> Path:
    place = target.joinpath(*PurePosixPath(one.filename.replace("\\", "/")).parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    left = one.file_size
    with archive.open(one) as source, place.open("wb") as sink:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise LimitError(
                    path, f"its member {one.filename[:80]!r} is larger than it declares (size limit)", "do not use this archive"
                )
            sink.write(block)
    return place


class ArchiveReader:
    """Reads the one data set inside a ZIP archive."""

    name = "archive"
    priority = 95  # formats that are themselves ZIP archives are asked first

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether it is a ZIP archive."""
        del path
        return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city of the one data set in the archive.

        Raises
        ------
        InputError
            If the archive is unsafe, too large, or does not hold one data set of a known kind.
        """
        from cim.loaders.door import read_inner

        inside, reader = self._inside(path, options.limits)
        shown = f"{options.extra.get('_shown', path)}/{inside.name}"
        city = read_inner(reader, inside, replace(options, name=options.name or path.stem, extra={**options.extra, "_shown": shown}), shown)
        return _without_local_paths(city, inside, shown)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return the description of the one data set in the archive."""
        from cim.loaders.door import describe_inner

        inside, reader = self._inside(path, options.limits)
        return describe_inner(reader, inside, options)

    def _inside(self, path: Path, limits: Limits) -> tuple[Path, str]:
        """Expand the archive and return the one member that a reader recognises, and the name of that reader."""
        from cim.loaders.door import choose_reader

        target = Path.cwd() / "archive"
        target.mkdir(exist_ok=True)
        found: list[tuple[Path, str]] = []
        for one in expand(path, target, limits):
            if one.suffix.lower() in _SIDE or one.name.startswith(".") or "__MACOSX" in one.parts:
                continue
            try:
                reader = choose_reader(one)
            except FormatError:
                continue
            if reader == self.name:
                raise LimitError(
                    path, f"holds a further archive ({one.name}): archives nested in archives are not read", "unpack it by hand"
                )
            found.append((one, reader))
        if len(found) == 1:
            return found[0]
        names = ", ".join(one.name for one, _ in found[:10])
        if not found:
            raise FormatError(path, "is a ZIP archive that holds no data set of a known format", "unpack it and look inside")
        raise FormatError(path, f"holds {len(found)} data sets ({names}), expected one", "unpack it and read them one by one")


def _without_local_paths(city: City, inside: Path, shown: str) -> City:
    """Return the city with the archive's path in place of the temporary one, wherever a reader recorded that."""
    import pyarrow.compute as pc

    changes: dict[str, Any] = {}
    for name, column in (("sources", "path"), ("issues", "message")):
        table = city.tables[name]
        place = table.column_names.index(column)
        changes[name] = table.set_column(place, table.schema.field(place), pc.replace_substring(table[column], str(inside), shown))
    return replace(city, tables=city.tables.replace(**changes))


READER = ArchiveReader()
