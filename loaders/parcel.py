"""Files that a reader made in a worker process, carried home: the worker may write to its own folder only, and that folder vanishes.

They travel as tables of bytes beside the tables of the city (see `cim.loaders.wire`), mapped into memory, and end up in the
workspace of the process that called `read`. What a reader took out of an archive travels in the same way.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import InputError
from cim.loaders import worker
from cim.model.coverages import workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from cim.model import City

__all__ = ["is_image", "pack_files", "unpack_files", "work_file"]

_PREFIX = "file:"
_NAMED = ("coverages", "textures")
_SUFFIXES = {"GeoTIFF": ".tif", "LAZ": ".laz", "PNG": ".png", "JPEG": ".jpg"}


def work_file(path: Path, suffix: str) -> Path:
    """Return a new empty file named after the input `path`: in the folder of the worker, else in the workspace of this process."""
    return _new_file(path, suffix, Path.cwd() if worker.inside() else workspace())


def _new_file(path: Path, suffix: str, folder: Path) -> Path:
    stem = re.sub(r"[^\w.-]", "_", path.stem)[:40]
    handle, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=suffix, dir=folder)
    os.close(handle)
    return Path(name)


def pack_files(city: City) -> dict[str, pa.Table]:
    """Return the files of coverages and textures that lie in the folder of this worker, as tables of bytes named by their row."""
    import pyarrow as pa

    home, found = Path.cwd().resolve(), {}
    for name in _NAMED:
        for row, text in enumerate(city.tables[name]["path"].to_pylist()):
            if text is None or home not in Path(text).resolve().parents:
                continue
            with pa.memory_map(str(Path(text).resolve())) as source:
                data = source.read_buffer()
            found[f"{_PREFIX}{name}:{row}"] = pa.table({"bytes": pa.Array.from_buffers(pa.uint8(), data.size, [None, data])})
    return found


def unpack_files(city: City, tables: Mapping[str, pa.Table], path: Path) -> City:
    """Return the city with its carried files written to the workspace, and their new paths.

    Parameters
    ----------
    path
        The input. A coverage whose file was not carried has to be this very file; a texture an image in its folder.

    Raises
    ------
    InputError
        If a table names any other file.
    """
    from cim.model.schema import SCHEMAS

    changed = {}
    for name in _NAMED:
        table = city.tables[name]
        rows = table.to_pylist()
        for number, row in enumerate(rows):
            carried = tables.get(f"{_PREFIX}{name}:{number}")
            if carried is not None:
                row["path"] = str(_written(carried, path, _SUFFIXES.get(row["format"], ".las" if name == "coverages" else ".img")))
            elif row["path"] is not None and not _owned(name, Path(row["path"]), path):
                raise InputError(path, "the reader process named a file that it does not own", "do not use this file")
        changed[name] = type(table).from_pylist(rows, schema=SCHEMAS[name])
    return city.replace_tables(**changed)


def _owned(name: str, file: Path, path: Path) -> bool:
    """Whether a file may be named: the input itself, something of the workspace, or an image beside the input or below it."""
    place, own = file.resolve(), path.resolve()
    if place == own or workspace().resolve() in place.parents:
        return True
    folder = own if own.is_dir() else own.parent
    return name == "textures" and folder in place.parents and is_image(place)


def is_image(path: Path) -> bool:
    """Return whether a file starts like an image that textures may be: PNG, JPEG, TIFF, BMP, WebP, DDS."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    marks = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"DDS ")
    return head.startswith(marks) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _written(carried: pa.Table, path: Path, suffix: str) -> Path:
    target = _new_file(path, suffix, workspace())
    with target.open("wb") as file:
        for chunk in carried["bytes"].chunks:
            file.write(chunk.to_numpy())
    return target
