"""Series in time as values of the section ``[flood]``: a number, pairs, a file, or a table that says more of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from cim.errors import CimError
from cim.sim.parameter_values import At, File, Pairs, checked_file, checked_pairs, is_number

if TYPE_CHECKING:
    from cim.sim.flood.series import Series

__all__ = ["SeriesTable", "SeriesValue", "series_of_value"]


def _series(value: Any, info: ValidationInfo) -> Any:
    """Refuse what is no series, with one sentence."""
    if value is None or is_number(value):
        return value
    if isinstance(value, str):
        return checked_file(value, info)
    if isinstance(value, Mapping):
        return _table(value, info)
    try:
        return checked_pairs(value)
    except ValueError as error:
        msg = f'{error}; or give a number, the path of a file, or {{ file = "…", unit = "…" }}'
        raise ValueError(msg) from None


def _table(value: Mapping[str, Any], info: ValidationInfo) -> dict[str, Any]:
    try:
        return SeriesTable.model_validate(value, context=info.context).model_dump(exclude_unset=True)
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc'])) or 'series'}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
        raise ValueError("; ".join(told)) from None


SeriesValue = Annotated[float | str | list[tuple[At, float]] | dict[str, Any], BeforeValidator(_series)]
"""A number, pairs, a file, or a table as `SeriesTable`."""


class SeriesTable(BaseModel):
    """A series that says more of itself: ``{ file = "river.csv", unit = "L/s", column = "Q" }``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: File | None = Field(default=None, description="text file with times and values, relative to the scenario file")
    values: Pairs | None = Field(default=None, description="pairs [time, value] in place of a file")
    unit: str | None = Field(default=None, description="unit of the values; left out: as the header of the file says")
    column: str | None = Field(default=None, description="header of the values, where a file has several")
    time_unit: str | None = Field(default=None, description="unit of times that are numbers; left out: s")
    time_zone: str | None = Field(default=None, description="zone of times without one, such as Asia/Shanghai; left out: that of the city")
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

    if value is None or is_number(value):
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
