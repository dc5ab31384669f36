"""The one door: every foreign file becomes a City through `read`, whatever its format.

The format is told from the content; the reader is chosen among those registered; sizes are checked; the reader runs
in a worker process; the common gate looks at what came out. See `cim.loaders.protocol` for how to write a reader.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cim import plugins
from cim.errors import FormatError, InputError, UnsafeInputError, UsageError
from cim.loaders import worker
from cim.loaders.limits import Limits
from cim.loaders.protocol import Description, Reader, ReadOptions
from cim.loaders.source import remembered

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["HEAD_BYTES", "choose_reader", "describe", "describe_inner", "read", "read_inner", "readers"]

HEAD_BYTES = 1 << 16
"""How many bytes of a file a reader sees before it says whether the file is its own."""

# Readers of this distribution, for a checkout that is not installed and so has no entry points.
_OWN = {"vector": "cim.loaders.vector:READER", "archive": "cim.loaders.archive:READER"}
_DEFAULT = Limits()
_log = logging.getLogger(__name__)


def read(
    path: str | Path,
    crs: str | None = None,
    *,
    layer: str | None = None,
    mapping: Mapping[str, Any] | None = None,
    reader: str | None = None,
    encoding: str | None = None,
    name: str | None = None,
    allow_remote: tuple[str, ...] = (),
    limits: Limits = _DEFAULT,
    **extra: Any,
) -> City:
    """Return the city that a file or folder holds, in the coordinate system of that file.

    Parameters
    ----------
    path
        A file or folder of any format that a reader is registered for; the format is told from its content.
    crs
        Coordinate system to use when the file names none, such as ``"EPSG:4547"``; it also wins over the one the file
        names, which is then reported.
    layer
        Read this layer only.
    mapping
        Which source field is which attribute; see `ReadOptions.mapping`. Without it the known field names are
        guessed, and every guess is reported in ``city.issues``.
    reader
        Name of a registered reader, instead of the one that recognises the content.
    encoding
        Encoding of the text, such as ``"gb18030"``, when the file does not say or says wrong.
    name
        Name of the city; the file stem without it.
    allow_remote
        Hosts that reading may connect to; none by default.
    limits
        How large, deep and slow the file may be.
    **extra
        Options of a single reader, plain values only.

    Raises
    ------
    InputError
        If the file cannot be used: `FormatError`, `CorruptFileError`, `LimitError`, `UnsafeInputError` or `CRSError`;
        the message names the file, the reason and the remedy.

    Examples
    --------
    >>> city = read("districts.shp", crs="EPSG:4547")  # doctest: +SKIP
    >>> city.issues[["code", "message"]]  # doctest: +SKIP
    """
    place = _check_path(path, limits)
    options = ReadOptions(crs, layer, dict(mapping or {}), tuple(allow_remote), limits, encoding, name, extra)
    chosen = reader or choose_reader(place)
    if worker.inside() or not _isolated(chosen):
        return remembered(_read_here(chosen, place, options), place, options, reader)
    arguments = {"reader": chosen, "path": str(place), "options": options.to_json()}
    answer = worker.run(
        "cim.loaders.door:_read_in_worker",
        arguments,
        path=place,
        limits=limits,
        allow_remote=options.allow_remote,
        imports=_imports(chosen),
        helpers=_helpers(chosen, place),
    )
    from cim.loaders import wire
    from cim.loaders.parcel import unpack_files

    return remembered(unpack_files(wire.unpack(answer.value, answer.tables), answer.tables, place), place, options, reader)


def describe(
    path: str | Path, crs: str | None = None, *, reader: str | None = None, encoding: str | None = None, limits: Limits = _DEFAULT
) -> Description:
    """Return what a file is, cheaply: format, layers, CRS, encoding, counts, fields, suspicions.

    Raises
    ------
    InputError
        If the file cannot even be looked at.
    """
    place = _check_path(path, limits)
    options = ReadOptions(crs=crs, encoding=encoding, limits=limits)
    chosen = reader or choose_reader(place)
    if worker.inside() or not _isolated(chosen):
        return _reader(chosen).describe(place, options)
    arguments = {"reader": chosen, "path": str(place), "options": options.to_json()}
    answer = worker.run("cim.loaders.door:_describe_in_worker", arguments, path=place, limits=limits, imports=_imports(chosen))
    return Description.from_json(answer.value)


def readers() -> tuple[str, ...]:
    """Return the names of all registered readers in the order they are asked."""
    names = {*plugins.available("cim.readers"), *_OWN}
    ranked = [(getattr(found, "priority", 50), name) for name in names if (found := _find(name)) is not None]
    return tuple(name for _, name in sorted(ranked))


def choose_reader(path: Path) -> str:
    """Return the name of the reader that recognises the content of `path`.

    Raises
    ------
    FormatError
        If the file is empty or no reader knows it.
    """
    head = _head(path)
    if path.is_file() and not head:
        raise FormatError(path, "is empty (0 bytes)", "export or copy it again")
    for name in readers():
        if _says_yes(name, head, path):
            return name
    reason = f"format not recognised; {_looks_like(head, path)}"
    raise FormatError(path, reason, f"give a file that one of these readers takes: {', '.join(readers())}")


# ---------------------------------------------------------------- the two sides of the worker


def _read_here(reader: str, path: Path, options: ReadOptions) -> City:
    from cim.loaders import gate

    return gate.check(_reader(reader).read(path, options), path)


def read_inner(reader: str, path: Path, options: ReadOptions, shown: str) -> City:
    """Return the city of a member that an archive reader took out; errors name the member as the user knows it."""
    try:
        return _reader(reader).read(path, options)
    except InputError as error:
        raise type(error)(shown, error.reason.replace(str(path), shown), error.remedy) from error


def describe_inner(reader: str, path: Path, options: ReadOptions) -> Description:
    """Return the description of a member that an archive reader took out."""
    return _reader(reader).describe(path, options)


def _read_in_worker(reader: str, path: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    from cim.loaders import wire
    from cim.loaders.parcel import pack_files

    city = _read_here(reader, Path(path), ReadOptions.from_json(options))
    value, tables = wire.pack(city)
    return value, tables | pack_files(city)


def _describe_in_worker(reader: str, path: str, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    return _reader(reader).describe(Path(path), ReadOptions.from_json(options)).to_json(), {}


# ---------------------------------------------------------------- which reader


@cache
def _find(name: str) -> Reader | None:
    """Return a reader, or None where the library behind it is not installed."""
    if name in plugins.available("cim.readers"):
        try:
            return cast("Reader", plugins.load("cim.readers", name))
        except (ImportError, AttributeError) as error:  # one broken plug-in must not close the door for the others
            _log.warning("reader %s cannot be loaded: %s", name, error)
            return None
    module, _, attribute = _OWN.get(name, ":").partition(":")
    return cast("Reader", getattr(import_module(module), attribute)) if module else None


def _reader(name: str) -> Reader:
    found = _find(name)
    if found is None:
        msg = f"there is no reader {name!r}; give one of: {', '.join(readers())}"
        raise UsageError(msg)
    return found


def _helpers(name: str, path: Path) -> tuple[str, ...]:
    """Return the modules that make reading a file of this size cheaper: compiled loops, which cost more than they save on a small one."""
    least, modules = getattr(_reader(name), "large", (0, ()))
    return tuple(modules) if modules and path.is_file() and path.stat().st_size >= least else ()


def _imports(name: str) -> list[str]:
    """Return the modules a reader needs, to be imported before the worker gives up its rights."""
    reader = _reader(name)
    return [type(reader).__module__, *getattr(reader, "imports", ())]


def _isolated(name: str) -> bool:
    return bool(getattr(_reader(name), "isolated", True))


def _says_yes(name: str, head: bytes, path: Path) -> bool:
    try:
        return _reader(name).recognises(head, path)
    except (ValueError, LookupError, OSError, RecursionError, MemoryError):
        return False  # a sniffing error over foreign bytes means: not mine


def _looks_like(head: bytes, path: Path) -> str:
    """Return what the first bytes are, in words that hold none of them."""
    if path.is_dir():
        return "the folder holds no data set of a known kind"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    known = (
        (b"<!doctype html", "it is an HTML page (often an error page saved in place of the data)"),
        (b"<html", "it is an HTML page (often an error page saved in place of the data)"),
        (b"<ogrvrtdatasource", "it is an OGR VRT, a driver description that points to other files, not data"),
        (b"<vrtdataset", "it is a GDAL VRT, a driver description that points to other files, not data"),
        (b"<ogrwfsdatasource", "it is a WFS driver description that points to a host, not data"),
        (b"<gdal_wms", "it is a GDAL WMS driver description that points to a host, not data"),
        (b"<?xml", "it is XML, but not of a known kind"),
        (b"<", "it is XML-like, but not of a known kind"),
        (b"{", "it is JSON, but not of a known kind"),
        (b"[", "it is JSON, but not of a known kind"),
        (b"pk\x03\x04", "it is a ZIP archive, but not of a known kind"),
    )
    return next((text for mark, text in known if start.startswith(mark)), f"its first bytes match no format ({len(head)} bytes seen)")


# ---------------------------------------------------------------- the path


def _check_path(path: str | Path, limits: Limits) -> Path:
    text = str(path)
    if "://" in text or text.startswith("/vsi"):
        raise UnsafeInputError(text, "is an address, not a local file", "download it first, then read the local copy")
    if "\0" in text:
        raise InputError(text.replace("\0", "\\0"), "is not a valid file name (it holds a NUL)", "correct the path")
    place = Path(path).absolute()
    try:
        status = place.stat()
    except OSError as error:
        raise InputError(place, f"cannot be opened ({error.strerror or error})", "check the path and the rights") from error
    if stat.S_ISREG(status.st_mode):
        limits.check("file_bytes", status.st_size, place)
    elif not stat.S_ISDIR(status.st_mode):
        raise UnsafeInputError(place, "is neither a file nor a folder (a device, pipe or socket)", "give a file")
    return place


def _head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error})", "check the rights") from error
