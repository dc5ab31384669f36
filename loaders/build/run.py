"""Running a build file: every source through the door, all of them through fusion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cim.errors import InputError
from cim.loaders.build.file import read_build
from cim.loaders.door import read
from cim.loaders.fusion import fuse
from cim.loaders.steps import run_steps
from cim.model.schema import SCHEMAS
from cim.progress import track

if TYPE_CHECKING:
    from cim.loaders.build.file import BuildFile, SourceEntry
    from cim.model import City

__all__ = ["build"]


def build(path: str | Path, *, skip_bad: bool = False) -> City:
    """Return the city that a build file describes.

    Parameters
    ----------
    path
        TOML file; paths of sources are relative to its folder.
    skip_bad
        Leave out a source that cannot be used, with an issue, instead of stopping.

    Raises
    ------
    InputError
        If the build file or a source cannot be used.
    """
    file = read_build(path)
    cities, left_out = [], []
    for entry in track(file.source, label="reading", unit="source"):
        try:
            cities.append(_read(Path(path).parent / entry.path, entry))
        except InputError as error:
            if not skip_bad:
                raise
            left_out.append({"code": "rejected", "severity": "error", "record": entry.path, "message": f"source left out: {error}"})
    if not cities:
        raise InputError(path, "no source of the build file can be used", "see the messages above")
    return _fused(file, cities).with_issues(left_out)


def _read(path: Path, entry: SourceEntry) -> City:
    """Return one source as a city, its catalogue entry completed by what the build file says."""
    options: dict[str, Any] = dict(entry.options)
    city = read(path, entry.crs, layer=entry.layer, mapping=entry.mapping(), reader=entry.reader, encoding=entry.encoding, **options)
    said = entry.catalogue()
    if not said:
        return city
    rows = [{**row, **said} for row in city.tables["sources"].to_pylist()]
    return city.replace_tables(sources=pa.Table.from_pylist(rows, schema=SCHEMAS["sources"]))


def _fused(file: BuildFile, cities: list[City]) -> City:
    city = fuse(cities, file.city.crs, name=file.city.name, **file.fusion.arguments())
    return run_steps(replace(city, time_zone=file.city.time_zone), [(entry.do, entry.options()) for entry in file.step])
