"""Tables of text: comma-separated files as columns, bounded by what they declare, in the encoding that their bytes allow."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError, UsageError
from cim.loaders.limits import MIB, Limits
from cim.loaders.vector.encoding import guess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["MOST_COLUMNS", "MOST_LINE", "TextTable", "checked_file", "encoding_of", "header_of", "read_table", "shown", "write_table"]

MOST_COLUMNS = 2_000
"""Columns of a table beyond which it is none."""
MOST_LINE = 16 * MIB
"""Bytes of a line: a square matrix of 100,000 zones has such lines."""
_SAMPLE = 4 * MIB
_MISSING = ("", "NaN", "NULL", "null", "None")
_NUMBER = r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?$"
_TRUE, _FALSE = ("1", "true", "t", "yes", "y"), ("0", "false", "f", "no", "n")
_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class TextTable:
    """Columns of a file as text; what is missing is null."""

    path: Path
    columns: pa.Table
    """Names in small letters."""
    notes: tuple[str, ...] = field(default=())
    asked: set[str] = field(default_factory=set, compare=False)
    """Columns that were asked for."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.columns.num_rows)

    def has(self, name: str) -> bool:
        """Return whether there is such a column, with any value in it."""
        self.asked.add(name)
        return name in self.columns.column_names and self.columns[name].null_count < len(self)

    def need(self, *names: str) -> None:
        """Refuse a table without some columns; all of them are named."""
        self.asked.update(names)
        lacking = [name for name in names if name not in self.columns.column_names]
        if lacking:
            have = ", ".join(self.columns.column_names[:30])
            raise FormatError(self.path, f"has no column {', '.join(lacking)} (it has {have})", "add it, or give the file that has it")

    def text(self, name: str) -> list[str | None]:
        """Return a column as it stands, all missing where there is none."""
        self.asked.add(name)
        found: list[str | None] = self.columns[name].to_pylist() if name in self.columns.column_names else [None] * len(self)
        return found

    def ids(self, name: str) -> list[str]:
        """Return a column of which every row needs a value."""
        found = self.text(name)
        missing = [row for row, one in enumerate(found) if one is None]
        if missing:
            raise CorruptFileError(self.path, f"{len(missing)} rows have no {name} ({self.lines(missing)})", "fill them in")
        return [one for one in found if one is not None]

    def unique(self, name: str) -> list[str]:
        """Return ids, each of which may stand once."""
        found = self.ids(name)
        counts = pc.value_counts(pa.array(found, pa.string()))
        twice = pc.filter(counts.field("values"), pc.greater(counts.field("counts"), 1)).to_pylist()
        if twice:
            raise CorruptFileError(self.path, f"{len(twice)} values of {name} stand more than once ({shown(twice)})", "make them unique")
        return found

    def numbers(self, name: str, least: float | None = None) -> Reals:
        """Return a column of numbers, shape (rows,), NaN where missing; what is no number or below `least` is refused with its lines."""
        if not self.has(name):
            return np.full(len(self), np.nan)
        column = self.columns[name].combine_chunks()
        bad = np.flatnonzero(pc.fill_null(pc.invert(pc.match_substring_regex(column, _NUMBER)), False).to_numpy(zero_copy_only=False))
        if len(bad):
            value = _short(column[int(bad[0])].as_py())
            reason = f"{len(bad)} values of {name} are no number (first: {value!r}; {self.lines(bad)})"
            raise CorruptFileError(self.path, reason, "write numbers with a decimal point")
        found = np.array(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), float)
        wrong = np.flatnonzero((found < least) | np.isinf(found)) if least is not None else np.flatnonzero(np.isinf(found))
        if len(wrong):
            reason = f"{len(wrong)} values of {name} are below {least or 0:g} or infinite (first: {found[wrong[0]]:g}; {self.lines(wrong)})"
            raise CorruptFileError(self.path, reason, "correct them")
        return found

    def flags(self, name: str, default: bool) -> NDArray[np.bool_]:  # noqa: FBT001  # the value of a cell, not a switch
        """Return a column of yes and no."""
        if not self.has(name):
            return np.full(len(self), default)
        column = pc.utf8_lower(self.columns[name].combine_chunks())
        known = pc.is_in(column, value_set=pa.array([*_TRUE, *_FALSE]))
        bad = np.flatnonzero(~pc.or_(known, pc.is_null(column)).to_numpy(zero_copy_only=False))
        if len(bad):
            value = _short(column[int(bad[0])].as_py())
            reason = f"{len(bad)} values of {name} are neither true nor false (first: {value!r}; {self.lines(bad)})"
            raise CorruptFileError(self.path, reason, "write true or false")
        said = pc.is_in(column, value_set=pa.array(_TRUE)).to_numpy(zero_copy_only=False)
        return np.where(pc.is_null(column).to_numpy(zero_copy_only=False), default, said)

    def ignored(self) -> tuple[str, ...]:
        """Return a note on the columns with values that nobody asked for; call it when all is read."""
        rest = [name for name in self.columns.column_names if name not in self.asked and self.columns[name].null_count < len(self)]
        many = "1 column is" if len(rest) == 1 else f"{len(rest)} columns are"
        return (f"{self.path.name}: {many} not used: {shown(rest, 20)}",) if rest else ()

    def lines(self, rows: Sequence[int] | NDArray[Any]) -> str:
        """Return where rows stand in the file, the first five of them."""
        return f"lines {', '.join(str(int(row) + 2) for row in rows[:5])}"


def shown(names: Sequence[object], most: int = 5) -> str:
    """Return some names for a message, and how many more there are.

    Examples
    --------
    >>> shown(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_short(str(one)) for one in names[:most]) + rest


def checked_file(path: str | Path, limits: Limits) -> Path:
    """Return the path of a plain local file that is not too large.

    Raises
    ------
    InputError
        If it is an address, no plain file, too large, or empty.
    """
    if "://" in str(path) or "\0" in str(path):
        raise UnsafeInputError(str(path).replace("\0", "\\0"), "is no local file", "download it first, then read the local copy")
    place = Path(path).absolute()
    try:
        size = place.stat().st_size
    except OSError as error:
        raise InputError(place, f"cannot be opened ({error.strerror or error})", "check the path and the rights") from error
    if not place.is_file():
        raise UnsafeInputError(place, "is no plain file (a folder, device or pipe)", "give a file")
    limits.check("file_bytes", size, place)
    if not size:
        raise FormatError(place, "is empty (0 bytes)", "export or copy it again")
    return place


def encoding_of(path: Path, given: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the encoding of a text file, and what there is to say about it; a file with NUL bytes is refused."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    if given is not None:
        try:
            return codecs.lookup(given).name, ()
        except LookupError as error:
            msg = f"there is no encoding {given!r}; give one such as 'utf-8' or 'gb18030'"
            raise UsageError(msg) from error
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ()
    if b"\0" in sample:
        raise CorruptFileError(path, "holds NUL bytes: no table of text", "export it again as CSV")
    found = guess(b"\n".join(line for line in sample.splitlines() if not line.isascii()))
    if found is None:
        raise CorruptFileError(path, "is in an encoding that its bytes do not tell", "give encoding=, such as 'gb18030' or 'cp1252'")
    told = (f"{path.name}: no UTF-8; read as {found}, a guess from its bytes",) if found != "utf-8" else ()
    return ("utf-8-sig" if found == "utf-8" else found), told


def header_of(path: Path, encoding: str, most: int) -> tuple[list[str], str]:
    """Return the cells of the first line and what separates them.

    Raises
    ------
    LimitError
        If the line is longer or has more cells than `most`.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            line = file.readline(MOST_LINE)
    except UnicodeError as error:
        raise CorruptFileError(path, f"is no {encoding} text ({error.__class__.__name__})", "give encoding=") from error
    if len(line) == MOST_LINE:
        raise LimitError(path, f"has a first line of more than {MOST_LINE:,} characters", "check that it is a table with line ends")
    separator = max(_SEPARATORS, key=line.count)
    if line.count(separator) >= most:
        raise LimitError(path, f"declares {line.count(separator) + 1:,} columns, more than {most:,}", "give a table, not something else")
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error as error:
        raise CorruptFileError(path, f"has a first line that is no header ({error})", "export it again as CSV") from error
    return [cell.strip() for cell in cells], separator


def read_table(path: str | Path, *, encoding: str | None = None, limits: Limits | None = None) -> TextTable:
    """Return the columns of a file with a header, names in small letters, values as text.

    Raises
    ------
    InputError
        If it is too large, in another encoding, or its rows differ in their number of cells; lines are named.
    """
    from pyarrow import csv as arrow

    limits = limits or Limits()
    place = checked_file(path, limits)
    name, notes = encoding_of(place, encoding)
    header, separator = header_of(place, name, MOST_COLUMNS)
    names = [cell.lower() for cell in header]
    if len(set(names)) < len(names):
        twice = sorted({one for one in names if names.count(one) > 1})
        raise FormatError(place, f"names columns twice ({shown(twice)})", "rename them")
    if not any(names):
        raise FormatError(place, "has no header", "the first line names the columns")
    lines = _lines(place)
    limits.check("records", lines, place)
    if lines <= 1 and _ends_with_header(place):
        return TextTable(place, pa.table({one: pa.array([], pa.string()) for one in names}), notes)
    reading = arrow.ReadOptions(column_names=names, skip_rows=1, encoding=name.removesuffix("-sig"), use_threads=False)
    convert = arrow.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), null_values=list(_MISSING), strings_can_be_null=True)
    try:
        table = arrow.read_csv(str(place), reading, arrow.ParseOptions(delimiter=separator), convert)
    except (pa.ArrowException, UnicodeError) as error:
        told = " ".join(str(error).split())[:160]
        raise CorruptFileError(place, f"is no table of {len(names)} columns ({told})", "mend the row, or give encoding=") from error
    trimmed = [pc.utf8_trim_whitespace(column) for column in table.columns]
    cleaned = [pc.if_else(pc.equal(one, ""), pa.scalar(None, pa.string()), one) for one in trimmed]
    if any(pc.any(pc.match_substring(one, "\0")).as_py() for one in cleaned):
        raise CorruptFileError(place, "holds NUL characters: no table of text", "export it again as CSV")
    return TextTable(place, pa.Table.from_arrays(cleaned, names=names), notes)


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as UTF-8; numbers as short as they can be read back to the same bits."""
    from pyarrow import csv as arrow

    arrow.write_csv(table, str(path), arrow.WriteOptions(quoting_style="needed"))


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(MIB), b""))


def _ends_with_header(path: Path) -> bool:
    """Return whether nothing follows the first line."""
    with path.open("rb") as file:
        file.readline(4 * MOST_LINE)
        return not file.read(MIB).strip()


def _short(text: str) -> str:
    kept = "".join(c if c.isprintable() else " " for c in text)
    return kept if len(kept) <= 40 else kept[:40] + "…"
