"""Values of the sections of a scenario file that TOML has no word for: durations, instants, files, places, pairs in time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError, ValidationInfo

from cim.errors import UsageError
from cim.sim.times import marked_instant, seconds

__all__ = ["At", "Duration", "File", "Files", "Folder", "Instant", "Pairs", "Place", "Until", "checked_file", "checked_pairs", "is_number",
           "replaced"]  # fmt: skip


T = TypeVar("T", bound=BaseModel)


def replaced(kind: type[T], name: str, given: T | None, options: Mapping[str, Any], faults: list[str] | None = None) -> T:
    """Return the parameters of a section with some of them replaced.

    Parameters
    ----------
    name
        Of the section, which the message names.
    given
        Parameters to begin with; the defaults without.
    faults
        Receives every fault, and what is wrong is left out of the parameters, for whoever has more to check; None: they are refused.

    Raises
    ------
    UsageError
        If a name is not known or a value makes no sense; the message lists every fault.
    """
    base = {} if given is None else given.model_dump(exclude_unset=True)
    try:
        return kind.model_validate({**base, **options})
    except ValidationError as error:
        told = [f"{'.'.join(map(str, one['loc'])) or 'parameters'}: {one['msg']} (found {one['input']!r})" for one in error.errors()]
        if faults is not None:
            faults += told
            wrong = {one["loc"][0] for one in error.errors() if one["loc"]}
            try:
                return kind.model_validate({key: value for key, value in {**base, **options}.items() if key not in wrong} if wrong else {})
            except ValidationError:  # what is left fits together no more without what was wrong
                return kind.model_validate({})
        msg = f"{name}: {len(told)} fault{'s' if len(told) > 1 else ''}:\n  " + "\n  ".join(told)
        raise UsageError(msg) from error


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


def checked_file(value: str, info: ValidationInfo) -> str:
    """Return the path of a file that is there; one that is relative begins at the folder of the scenario file."""
    path = _path(value, info)
    if not path.is_file():
        msg = f"there is no file {path}; paths are relative to the scenario file"
        raise ValueError(msg)
    return str(path)


def _files(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, str):
        return checked_file(value, info)
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        return [checked_file(one, info) for one in value]
    msg = "expected the path of a file, or a list of paths"
    raise ValueError(msg)


def _folder(value: str, info: ValidationInfo) -> str:
    path = _path(value, info)
    if not path.is_dir():
        msg = f"there is no folder {path}; paths are relative to the scenario file"
        raise ValueError(msg)
    return str(path)


def checked_pairs(value: Any) -> Any:
    """Refuse what are no pairs [time, value]; times are numbers, durations or instants."""
    rows = value if isinstance(value, list | tuple) else []
    bad = next((row for row in rows if not (isinstance(row, list | tuple) and len(row) == 2 and is_number(row[1]))), None)
    if not rows or bad is not None:
        msg = f'expected pairs [[time, value], …], such as [["0h", 0.2], ["2h", 1.5]]{"" if bad is None else f", found {bad!r}"}'
        raise ValueError(msg)
    for time, _ in rows:
        if not is_number(time):
            _until(time)
    return value


def is_number(value: Any) -> bool:
    """Return whether a value of a file is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _place(value: Any) -> Any:
    """Refuse what is no place: a point, points, or the id of an object."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value:
        points = [value] if all(map(is_number, value)) else value
        if all(isinstance(one, list | tuple) and len(one) == 2 and all(map(is_number, one)) for one in points):
            return value
    msg = "expected a point [x, y], points [[x, y], …] of a line or ring, or the id of an object"
    raise ValueError(msg)


Duration = Annotated[float | str, BeforeValidator(_duration)]
"""Seconds, or a text such as "90min"."""
Instant = Annotated[datetime, BeforeValidator(marked_instant)]
"""In the zone of the city unless it says its own."""
Until = Annotated[float | str | datetime, BeforeValidator(_until)]
"""A duration or an instant."""
At = float | str | datetime
File = Annotated[str, AfterValidator(checked_file)]
"""A file, relative to the scenario."""
Files = Annotated[str | list[str], BeforeValidator(_files)]
"""A file or several."""
Folder = Annotated[str, AfterValidator(_folder)]
Pairs = Annotated[list[tuple[At, float]], BeforeValidator(checked_pairs)]
"""Times and values."""
Place = Annotated[str | list[float] | list[tuple[float, float]], BeforeValidator(_place)]
"""A point, points, or the id of an object."""
