"""Time series in text files: CSV with headers in any language, two plain columns, and the rain files of SWMM."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UsageError
from cim.sim.flood.series_units import scale_of
from cim.sim.times import instant, seconds

__all__ = ["TextTable", "decode", "read_table"]

_LARGEST = 512 * 2**20
"""Largest text that is read whole [bytes]."""
_MISSING = {
    "",
    "-",
    "--",
    "nan",
    "na",
    "n/a",
    "null",
    "none",
    "missing",
    "缺测",
    "缺",
    "/",
    "-9999",
    "-999",
    "-9999.0",
    "-999.0",
    "999999",
    "32766",
}
_TIME_WORDS = {
    "time",
    "times",
    "date",
    "datetime",
    "datum",
    "tijd",
    "tijdstip",
    "datum/tijd",
    "zeit",
    "timestamp",
    "t",
    "seconds",
    "second",
    "时间",
    "日期",
    "时刻",
    "历时",
    "观测时间",
    "资料时间",
}
_CLOCK_WORDS = {"time", "tijd", "zeit", "uhrzeit", "时间", "时刻", "hour"}
_BARE_UNITS = {"mm", "cm"}
_DATE_WORDS = {"date", "datum", "日期"}
_BARE_UNIT = re.compile(r"(.*?\S)[\s_,]+(\S+(?: per step)?)\s*")
"""A header that ends in a unit without brackets: "rain mm/h"."""
_DECIMAL_COMMA = re.compile(r"[-+\u2212]?\d+,\d+")
_UNIT = re.compile(r"(.*?)\s*[(（\[【](.*?)[)）\]】]\s*")
_SWMM = re.compile(r"\s*(\S+)\s+(\d{4})\s+(\d{1,2})\s+(\d{1,2})\s+(\d{1,2})\s+(\d{1,2})\s+(\S+)\s*")


@dataclass(frozen=True)
class TextTable:
    """Times and values as a file has them, and what it says of them."""

    times: list[Any]
    values: list[float]
    """NaN where missing."""
    unit: str | None
    """As the header says; None where it says none."""
    time_unit: str = "s"
    options: dict[str, Any] = field(default_factory=dict)
    """What the format itself implies for the series."""
    notes: tuple[str, ...] = ()


def decode(path: Path) -> tuple[str, str]:
    """Return the text of a file and its encoding: UTF-16 by its mark, UTF-8 where it is that, else GB 18030.

    Raises
    ------
    InputError
        If it is missing, too large, or no text.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "check the path; it is taken from the current folder")
    if path.stat().st_size > _LARGEST:
        raise LimitError(path, f"has {path.stat().st_size:,} bytes, at most {_LARGEST:,} are read", "cut it to the time of the run")
    data = path.read_bytes()
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in data and not utf16:
        raise FormatError(path, "holds NUL bytes: it is no text", "export the series as CSV")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    raise CorruptFileError(path, "its bytes are neither UTF-8 nor GBK text", "save it as UTF-8")


def read_table(path: str | Path, *, column: str | None = None, time_unit: str | None = None, station: str | None = None) -> TextTable:
    """Return times and values of a text file.

    Parameters
    ----------
    path
        CSV (commas, semicolons, tabs), columns parted by spaces, or a rain file of SWMM (station, year, month, day, hour, minute, value).
    column
        Header of the values; needed where several columns could be meant.
    time_unit
        Of numeric times; None takes what the header says, else seconds.
    station
        Station of a SWMM rain file; needed where it has several.

    Raises
    ------
    InputError
        If it is no table of times and numbers.
    UsageError
        If the column or station is not there, or several could be meant.
    """
    path = Path(path)
    text, encoding = decode(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith((";", "#", "//"))]
    if not lines:
        raise FormatError(path, "holds no rows", "give a file with a time and a value in each row")
    notes = ("read as GB 18030 text",) if encoding == "gb18030" else ()
    if all(_SWMM.fullmatch(line) for line in lines[:5]):
        return _swmm(path, lines, station or column, notes)
    rows = _rows(lines)
    _refuse_decimal_commas(path, rows)
    if _is_header(rows[0]):
        return _with_header(path, rows, column, time_unit, notes)
    return _plain(path, rows, time_unit, notes)


def _rows(lines: list[str]) -> list[list[str]]:
    """Part the lines by the sign that the first line shows most."""
    counts = {sign: lines[0].count(sign) for sign in (";", "\t", ",", "，")}
    sign = max(counts, key=lambda one: counts[one])
    if not counts[sign]:
        return [line.split() for line in lines]
    if sign == "，":
        return [[cell.strip() for cell in line.split(sign)] for line in lines]
    return [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]


def _refuse_decimal_commas(path: Path, rows: list[list[str]]) -> None:
    """Raise where cells are numbers with a decimal comma.

    Raises
    ------
    CorruptFileError
        Naming the first of them.
    """
    found = [(number, cell) for number, row in enumerate(rows, 1) for cell in row if _DECIMAL_COMMA.fullmatch(cell)]
    if found:
        number, cell = found[0]
        reason = f"row {number}: {cell!r} has a decimal comma ({len(found)} such cells)"
        raise CorruptFileError(path, reason, f"write numbers with a point ({cell.replace(',', '.')})")


def _is_header(row: Sequence[str]) -> bool:
    return not any(_number_or_none(cell) is not None for cell in row[1:]) and _number_or_none(row[0]) is None


def _number_or_none(cell: str) -> float | None:
    try:
        return float(cell.replace("\u2212", "-"))
    except ValueError:
        return None


def _value(path: Path, cell: str, row: int) -> float:
    if cell.strip().lower() in _MISSING:
        return float("nan")
    found = _number_or_none(cell)
    if found is None:
        raise CorruptFileError(path, f"row {row}: value {cell!r} is no number", "correct it, or leave it empty where it is missing")
    return found


def _plain(path: Path, rows: list[list[str]], time_unit: str | None, notes: tuple[str, ...]) -> TextTable:
    """Read rows without a header: a time and a value, or a date, a time of day and a value."""
    widths = {len(row) for row in rows}
    if widths not in ({2}, {3}):
        raise FormatError(
            path, f"rows have {sorted(widths)} columns without a header; expected time and value", "give the columns a header"
        )
    times = [_time_text(" ".join(row[:-1])) for row in rows]
    values = [_value(path, row[-1], number) for number, row in enumerate(rows, 1)]
    return TextTable(_times(path, times), values, None, time_unit or "s", {}, notes)


def _with_header(path: Path, rows: list[list[str]], column: str | None, time_unit: str | None, notes: tuple[str, ...]) -> TextTable:
    header = rows[0]
    names = [_name_and_unit(cell) for cell in header]
    ragged = [number for number, row in enumerate(rows, 1) if len(row) != len(header)]
    if ragged:
        raise CorruptFileError(
            path, f"row {ragged[0]} has {len(rows[ragged[0] - 1])} cells, the header {len(header)} ({len(ragged)} such rows)"
        )
    time_at = _time_columns(path, [name for name, _ in names])
    value_at = _value_column(path, header, names, rows[1:], time_at, column)
    times = [_time_text(" ".join(row[at] for at in time_at)) for row in rows[1:]]
    values = [_value(path, row[value_at], number) for number, row in enumerate(rows[1:], 2)]
    said = names[time_at[0]][1]
    used = (*notes, f"column {header[value_at]!r} read over {' and '.join(repr(header[at]) for at in time_at)}")
    return TextTable(_times(path, times), values, names[value_at][1], time_unit or said or "s", {}, used)


def _name_and_unit(cell: str) -> tuple[str, str | None]:
    match = _UNIT.fullmatch(cell)
    if match:
        return match[1].strip(), match[2].strip() or None
    bare = _BARE_UNIT.fullmatch(cell)
    return (bare[1].strip(), bare[2]) if bare and _is_unit(bare[2]) else (cell.strip(), None)


def _is_unit(text: str) -> bool:
    """Say whether words without brackets are a unit of rain, flow or level; a bare letter may be anything."""
    if "/" not in text and text.split(maxsplit=1)[0] not in _BARE_UNITS:
        return False
    try:
        return scale_of(text, None).si in {"m/s", "m³/s", "m"}
    except UsageError:
        return False


def _time_columns(path: Path, names: list[str]) -> list[int]:
    """Return the column of times; a date and a time of day beside it are one."""
    plain = [name.lower() for name in names]
    known = [at for at, name in enumerate(plain) if name in _TIME_WORDS]
    if not known:
        raise FormatError(path, f"no column of times among {', '.join(names)}", "call it time, 时间 or 日期")
    date = [at for at in known if plain[at] in _DATE_WORDS]
    clock = [at for at in known if plain[at] in _CLOCK_WORDS]
    return [date[0], clock[0]] if date and clock else known[:1]


def _value_column(
    path: Path, header: list[str], names: list[tuple[str, str | None]], rows: list[list[str]], time_at: list[int], column: str | None
) -> int:
    if column is not None:
        found = [at for at, name in enumerate(names) if column in (name[0], header[at])]
        if len(found) != 1:
            msg = f"{path}: {len(found)} columns are called {column!r}; the file has {', '.join(header)}"
            raise UsageError(msg)
        return found[0]
    numeric = [at for at in range(len(header)) if at not in time_at and _is_numeric([row[at] for row in rows[:50]])]
    if len(numeric) != 1:
        listed = ", ".join(header[at] for at in numeric) or "none"
        msg = f"{path}: {len(numeric)} columns hold numbers ({listed}); say which with column="
        raise UsageError(msg)
    return numeric[0]


def _is_numeric(cells: list[str]) -> bool:
    known = [cell for cell in cells if cell.strip().lower() not in _MISSING]
    return bool(known) and all(_number_or_none(cell) is not None for cell in known)


def _time_text(cell: str) -> Any:
    found = _number_or_none(cell)
    return cell if found is None else found


def _times(path: Path, cells: list[Any]) -> list[Any]:
    """Return numbers, seconds or instants; all of one kind."""
    if all(isinstance(cell, float) for cell in cells):
        return cells
    for number, cell in enumerate(cells, 1):
        if isinstance(cell, float):
            raise CorruptFileError(path, f"time {cell:g} of row {number} is a number, others are not", "write all times in one way")
        if not _reads(instant, cell) and not _reads(seconds, cell):
            raise CorruptFileError(path, f"time {cell!r} of row {number} cannot be read", "write it as 2026-07-01T07:00 or in seconds")
    return cells


def _reads(parse: Callable[[str], object], cell: str) -> bool:
    try:
        parse(cell)
    except UsageError:
        return False
    return True


def _swmm(path: Path, lines: list[str], station: str | None, notes: tuple[str, ...]) -> TextTable:
    """Read a rain file of SWMM 5: rows of one station; times not listed are dry (SWMM 5.2 user's manual, section 11.3)."""
    found = [_SWMM.fullmatch(line) for line in lines]
    bad = [number for number, match in enumerate(found, 1) if match is None]
    if bad:
        raise CorruptFileError(path, f"row {bad[0]} is not station, year, month, day, hour, minute, value ({len(bad)} such rows)")
    matches = [match for match in found if match is not None]
    stations = list(dict.fromkeys(match[1] for match in matches))
    if station is None and len(stations) > 1:
        msg = f"{path}: {len(stations)} stations ({', '.join(stations[:10])}); say which with station="
        raise UsageError(msg)
    wanted = stations[0] if station is None else station
    chosen = [(number, match) for number, match in enumerate(matches, 1) if match[1] == wanted]
    if not chosen:
        msg = f"{path}: no station {wanted!r}; the file has {', '.join(stations[:10])}"
        raise UsageError(msg)
    times = [f"{match[2]}-{match[3]}-{match[4]} {match[5]}:{match[6]}" for _, match in chosen]
    values = [_value(path, match[7], number) for number, match in chosen]
    note = f"SWMM rain file, station {wanted!r}: times that are not listed are dry, as SWMM takes them"
    return TextTable(_times(path, times), values, None, "s", {"gaps": "zero"}, (*notes, note))
