"""Durations and instants at the border of the simulators: seconds inside, UTC outside."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np

from cim.errors import UsageError

__all__ = ["TIME_TOLERANCE", "has_zone", "instant", "marked_instant", "say_seconds", "seconds", "zone_is_assumed", "zone_told"]

_PARTS = {
    "d": (86400.0, "d day days 天 日"),
    "h": (3600.0, "h hr hrs hour hours 小时 时 钟头"),
    "min": (60.0, "min mins minute minutes 分钟 分"),
    "s": (1.0, "s sec secs second seconds 秒 秒钟"),
    "ms": (1e-3, "ms millisecond milliseconds 毫秒"),
}
_SECONDS = {word: factor for factor, words in _PARTS.values() for word in words.split()}
_PART = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\W\d_]+)\s*")
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)")
_CHINESE_DATE = re.compile(r"(\d{4})年(\d{1,2})月(\d{1,2})日\s*(?:(\d{1,2})[时点:]\s*(?:(\d{1,2})(?:分|:(?=\d)|$)\s*(?:(\d{1,2})秒?)?)?)?")
_SLASHED = re.compile(r"(\d{4})[/.\-](\d{1,2})[/.\-](\d{1,2})(?:[T\s]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.0*)?)?)?")
_ASSUMED = timezone(timedelta(0), "not stated")
"""Stands for the zone of instants that do not say theirs, until `instant` takes them in that of a place."""
TIME_TOLERANCE = 1e-3
"""Two times nearer than this [s] are the same: files write minutes and hours with few digits."""


def seconds(duration: float | str | timedelta | np.timedelta64) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    duration
        Seconds as a number, ``"6h"``, ``"90min"``, ``"1h30min"``, ``"01:30:00"``, ``"2小时"``, a `timedelta` of Python, numpy or pandas.

    Raises
    ------
    UsageError
        If it is no finite duration, or negative.

    Examples
    --------
    >>> seconds("1h30min"), seconds("5 分钟"), seconds(90), seconds("00:10:00")
    (5400.0, 300.0, 90.0, 600.0)
    """
    found = _duration(duration)
    if not math.isfinite(found) or found < 0.0:
        msg = f'duration {duration!r}; expected a finite one that is not negative, such as "6h", "90min" or 3600.0 (seconds)'
        raise UsageError(msg)
    return found


def _duration(given: Any) -> float:
    if isinstance(given, timedelta):
        return given.total_seconds()
    if isinstance(given, np.timedelta64):
        return math.nan if np.isnat(given) else float(given / np.timedelta64(1, "us")) * 1e-6
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        return float(given)
    return _duration_of_text(given) if isinstance(given, str) else math.nan


def _duration_of_text(given: str) -> float:
    text = given.strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        return int(clock[1]) * 3600.0 + int(clock[2]) * 60.0 + float(clock[3])
    parts = list(_PART.finditer(text))
    known = all(part[2].lower() in _SECONDS for part in parts)
    if not parts or not known or sum(len(part[0]) for part in parts) != len(text):
        return math.nan
    return math.fsum(float(part[1]) * _SECONDS[part[2].lower()] for part in parts)


def say_seconds(value: float) -> str:
    """Return seconds as a person reads them.

    Examples
    --------
    >>> say_seconds(5400.0), say_seconds(90061.5), say_seconds(-300.0)
    ('1 h 30 min', '1 d 1 h 1 min 1.5 s', '-5 min')
    """
    if not math.isfinite(value):
        return str(value)
    rest, words = abs(value), []
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        count, rest = divmod(rest, size)
        words += [f"{count:.0f} {unit}"] if count else []
    words += [f"{rest:.6g} s"] if rest > 1e-9 or not words else []
    return ("-" if value < 0 else "") + " ".join(words)


def instant(value: Any, time_zone: str | tzinfo = "UTC") -> datetime:
    """Return a time as a UTC instant; one without zone is taken in `time_zone`.

    Parameters
    ----------
    value
        ISO 8601 text, ``"2026/7/1 8:00"``, ``"2026年7月1日8时"``, a `datetime`, `date`, numpy `datetime64` or pandas `Timestamp`.
    time_zone
        That of the place, such as ``"Asia/Shanghai"``.

    Raises
    ------
    UsageError
        If it cannot be read as a time, or the zone is unknown.

    Examples
    --------
    >>> instant("2026/7/1 8:00", "Asia/Shanghai").isoformat()
    '2026-07-01T00:00:00+00:00'
    """
    found = _moment(value)
    if found is None:
        msg = f"time {value!r} cannot be read; write it as 2026-07-01T07:00"
        raise UsageError(msg)
    if zone_is_assumed(found):
        found = found.replace(tzinfo=_zone(time_zone) if isinstance(time_zone, str) else time_zone)
    return found.astimezone(UTC)


def has_zone(value: Any) -> bool:
    """Return whether a time says its zone by itself."""
    found = _moment(value)
    return found is not None and found.tzinfo is not None


def marked_instant(value: Any) -> datetime:
    """Return a time as an instant that still shows whether its zone was stated: else `instant` takes it in the zone it is given.

    Raises
    ------
    UsageError
        If it cannot be read as a time.
    """
    found = instant(value)
    return found.replace(tzinfo=_ASSUMED) if zone_is_assumed(value) else found


def zone_is_assumed(value: Any) -> bool:
    """Return whether a value is a time that does not say its zone, or was made of one by `marked_instant`."""
    found = _moment(value)
    return found is not None and (found.tzinfo is None or found.tzname() == _ASSUMED.tzname(None))


def zone_told(name: str, value: Any, time_zone: str) -> list[str]:
    """Return a sentence on an instant that does not say its zone, with what it was taken for."""
    if not isinstance(value, str | datetime) or not zone_is_assumed(value):
        return []
    taken = f"read in that of the city, {time_zone} ({instant(value, time_zone):%Y-%m-%dT%H:%M} UTC)"
    return [f"{name} {instant(value):%Y-%m-%dT%H:%M} has no zone: {taken}"]


def _zone(name: str) -> Any:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        msg = f'time zone {name!r} is not known; write it as "Asia/Shanghai" or "UTC"'
        raise UsageError(msg) from error


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the caller says the zone
    if isinstance(value, np.datetime64):
        found = value.astype("datetime64[us]").item()
        return found if isinstance(found, datetime) else None
    return _moment_of_text(value.strip()) if isinstance(value, str) else None


def _moment_of_text(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    match = _CHINESE_DATE.fullmatch(text) or _SLASHED.fullmatch(text)
    if match is None:
        return None
    numbers = [int(part) for part in match.groups("0")]
    midnight = numbers[3:] == [24, 0, 0]  # 24:00 of a day is 0:00 of the next, as gauges write it
    try:
        year, month, day, hour, minute, second = numbers[:3] + ([0, 0, 0] if midnight else numbers[3:])
        found = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller says the zone
    except ValueError:
        return None
    return found + timedelta(days=1) if midnight else found
