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

__all__ = ["pack_files", "unpack_files", "work_file"]

_PREFIX = "file:"


def work_file(path: Path, suffix: str) -> Path:
    """Return a new empty file named after the input `path`: in the folder of the worker, else in the workspace of this process."""
    return _new_file(path, suffix, Path.cwd() if worker.inside() else workspace())


def _new_file(path: Path, suffix: str, folder: Path) -> Path:
    stem = re.sub(r"[^\w.-]", "_", path.stem)[:40]
    handle, name = tempfile.mkstemp(prefix=f"{stem}-", suffix=suffix, dir=folder)
    os.close(handle)
    return Path(name)


def pack_files(city: City) -> dict[str, pa.Table]:
    """Return the coverage files that lie in the folder of this worker, as tables of bytes named by the row of the coverage."""
    import pyarrow as pa

    home, found = Path.cwd().resolve(), {}
    for row, text in enumerate(city.tables["coverages"]["path"].to_pylist()):
        path = Path(text).resolve()
        if home in path.parents:
            with pa.memory_map(str(path)) as source:
                data = source.read_buffer()
            found[f"{_PREFIX}{row}"] = pa.table({"bytes": pa.Array.from_buffers(pa.uint8(), data.size, [None, data])})
    return found


def unpack_files(city: City, tables: Mapping[str, pa.Table], path: Path) -> City:
    """Return the city with its carried files written to the workspace, and their new paths.

    Parameters
    ----------
    path
        The input; a coverage whose file was not carried has to be this very file.

    Raises
    ------
    InputError
        If a coverage names any other file.
    """
    from cim.model.schema import SCHEMAS

    coverages = city.tables["coverages"]
    rows = coverages.to_pylist()
    for number, row in enumerate(rows):
        carried = tables.get(f"{_PREFIX}{number}")
        if carried is not None:
            row["path"] = str(_written(carried, path, {"GeoTIFF": ".tif", "LAZ": ".laz"}.get(row["format"], ".las")))
        elif Path(row["path"]).resolve() != path.resolve() and workspace().resolve() not in Path(row["path"]).resolve().parents:
            raise InputError(path, "the reader process named a file that it does not own", "do not use this file")
    return city.replace_tables(coverages=type(coverages).from_pylist(rows, schema=SCHEMAS["coverages"]))


def _written(carried: pa.Table, path: Path, suffix: str) -> Path:
    target = _new_file(path, suffix, workspace())
    with target.open("wb") as file:
        for chunk in carried["bytes"].chunks:
            file.write(chunk.to_numpy())
    return target
