"""Values of the section ``[flood]`` that TOML has no word for: durations, instants, files, places, and series in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from cim.errors import CimError
from cim.sim.flood.times import marked_instant, seconds

if TYPE_CHECKING:
    from cim.sim.flood.series import Series

__all__ = [
    "At",
    "Duration",
    "File",
    "Files",
    "Folder",
    "Instant",
    "Pairs",
    "Place",
    "SeriesTable",
    "SeriesValue",
    "Until",
    "series_of_value",
]


def _duration(value: Any) -> Any:
    seconds(value)
    return value


def _until(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return marked_instant(value)
    try:
        return _duration(value)
    except ValueError:
        try:
            return marked_instant(value)
        except ValueError:
            msg = 'expected a duration such as "6h", or an instant such as 2026-07-01T13:00:00Z'
            raise ValueError(msg) from None


def _path(value: str, info: ValidationInfo) -> Path:
    """Return a path; one that is relative begins at the folder that the context names, that of the scenario file."""
    folder = (info.context or {}).get("folder")
    return (Path(value) if folder is None else Path(folder, value)).absolute()


def _file(value: str, info: ValidationInfo) -> str:
    path = _path(value, info)
    if not path.is_file():
        msg = f"there is no file {path}; paths are relative to the scenario file"
        raise ValueError(msg)
    return str(path)


def _files(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return _file(value, info)
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        return [_file(one, info) for one in value]
    msg = "expected the path of a file, or a list of paths"
    raise ValueError(msg)


def _folder(value: str, info: ValidationInfo) -> str:
    path = _path(value, info)
    if not path.is_dir():
        msg = f"there is no folder {path}; paths are relative to the scenario file"
        raise ValueError(msg)
    return str(path)


def _pairs(value: Any) -> Any:
    """Refuse what are no pairs [time, value]; times are numbers, durations or instants."""
    rows = value if isinstance(value, list | tuple) else []
    bad = next((row for row in rows if not (isinstance(row, list | tuple) and len(row) == 2 and _is_number(row[1]))), None)
    if not rows or bad is not None:
        msg = f'expected pairs [[time, value], …], such as [["0h", 0.2], ["2h", 1.5]]{"" if bad is None else f", found {bad!r}"}'
        raise ValueError(msg)
    for time, _ in rows:
        if not _is_number(time):
            _until(time)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _series(value: Any, info: ValidationInfo) -> Any:
    """Refuse what is no series, with one sentence."""
    if value is None or _is_number(value):
        return value
    if isinstance(value, str):
        return _file(value, info)
    if isinstance(value, Mapping):
        return _table(value, info)
    try:
        return _pairs(value)
    except ValueError as error:
        msg = f'{error}; or give a number, the path of a file, or {{ file = "…", unit = "…" }}'
        raise ValueError(msg) from None


def _table(value: Mapping[str, Any], info: ValidationInfo) -> dict[str, Any]:
    try:
        return SeriesTable.model_validate(value, context=info.context).model_dump(exclude_unset=True)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc'])) or 'series'}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
        raise ValueError("; ".join(told)) from None


def _place(value: Any) -> Any:
    """Refuse what is no place: a point, points, or the id of an object."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value:
        points = [value] if all(map(_is_number, value)) else value
        if all(isinstance(one, list | tuple) and len(one) == 2 and all(map(_is_number, one)) for one in points):
            return value
    msg = "expected a point [x, y], points [[x, y], …] of a line or ring, or the id of an object"
    raise ValueError(msg)


Duration = Annotated[float | str, BeforeValidator(_duration)]
"""Seconds, or a text such as "90min"."""
Instant = Annotated[datetime, BeforeValidator(marked_instant)]
"""UTC unless it says its zone, which is told."""
Until = Annotated[float | str | datetime, BeforeValidator(_until)]
"""A duration or an instant."""
At = float | str | datetime
File = Annotated[str, AfterValidator(_file)]
"""A file, relative to the scenario."""
Files = Annotated[str | list[str], BeforeValidator(_files)]
"""A file or several."""
Folder = Annotated[str, AfterValidator(_folder)]
Pairs = Annotated[list[tuple[At, float]], BeforeValidator(_pairs)]
"""Times and values."""
SeriesValue = Annotated[float | str | list[tuple[At, float]] | dict[str, Any], BeforeValidator(_series)]
"""A number, pairs, a file, or a table as `SeriesTable`."""
Place = Annotated[str | list[float] | list[tuple[float, float]], BeforeValidator(_place)]
"""A point, points, or the id of an object."""


class SeriesTable(BaseModel):
    """A series that says more of itself: ``{ file = "river.csv", unit = "L/s", column = "Q" }``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: File | None = Field(default=None, description="text file with times and values, relative to the scenario file")
    values: Pairs | None = Field(default=None, description="pairs [time, value] in place of a file")
    unit: str | None = Field(default=None, description="unit of the values; left out: as the header of the file says")
    column: str | None = Field(default=None, description="header of the values, where a file has several")
    time_unit: str | None = Field(default=None, description="unit of times that are numbers; left out: s")
    time_zone: str | None = Field(default=None, description="zone of times that do not say theirs, such as Asia/Shanghai; left out: UTC")
    how: Literal["linear", "step"] | None = Field(default=None, description="straight between the times, or each value until the next")
    outside: Literal["refuse", "zero", "hold"] | None = Field(default=None, description="before the first and after the last time")
    gaps: Literal["refuse", "zero", "bridge"] | None = Field(default=None, description="where values are missing")

    @model_validator(mode="after")
    def _one_source(self) -> SeriesTable:
        if (self.file is None) == (self.values is None):
            msg = "give file or values, one of them"
            raise ValueError(msg)
        if self.values is not None and self.unit is None:
            msg = "values need a unit"
            raise ValueError(msg)
        return self


def series_of_value(value: Any, unit: str, name: str, faults: list[str]) -> float | Series | None:
    """Return a number as it is and everything else as a `Series`; why it cannot be one is added to the faults.

    Parameters
    ----------
    value
        As `SeriesValue` lets it pass.
    unit
        SI unit of numbers and pairs, and of what is expected: "m³/s" or "m".
    """
    from cim.sim.flood.series import Series

    if value is None or _is_number(value):
        return None if value is None else float(value)
    try:
        if isinstance(value, str):
            return Series.read(value, kind=unit, name=name)
        if isinstance(value, Sequence):
            return Series.of([tuple(row) for row in value], unit=unit, kind=unit, name=name)
        options = {key: one for key, one in value.items() if one is not None and key not in {"file", "values"}}
        if value.get("file") is not None:
            return Series.read(value["file"], kind=unit, name=name, **options)
        return Series.of([tuple(row) for row in value["values"]], kind=unit, name=name, **options)
    except CimError as error:
        faults.append(str(error) if str(error).startswith(name) else f"{name}: {error}")
        return None
