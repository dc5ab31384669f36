"""Matrices in comma-separated files: a row per pair of zones (long form), or a row per origin, a column per destination (square form)."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.gmns.tables import MOST_LINE, checked_file, encoding_of, header_of, read_table, shown
from cim.loaders.limits import Limits
from cim.loaders.matrices.zones import hourly, matrix_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.model.road_network import ODMatrix, RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["COLUMNS", "MOST_ZONES", "read_csv"]

COLUMNS = (
    ("origin", "o", "orig", "from", "from_zone", "origin_zone", "o_zone_id", "origin_id", "orig_zone", "起点", "起点小区", "出发小区"),
    ("destination", "d", "dest", "to", "to_zone", "destination_zone", "d_zone_id", "destination_id", "dest_zone", "终点", "终点小区",
     "到达小区"),
    ("trips", "volume", "flow", "demand", "count", "value", "veh", "vehicles", "出行量", "交通量"),
)  # fmt: skip
"""Names of the columns of a long table: where trips begin, where they end, how many."""
MOST_ZONES = 20_000
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?\s*")


def read_csv(
    path: str | Path, network: RoadNetwork | None = None, *, columns: Sequence[str] | None = None, hours: float = 1.0,
    encoding: str | None = None, limits: Limits | None = None,
) -> ODMatrix:  # fmt: skip
    """Return the trips of a comma-separated file between zones of a network, or its own ones; rows for the same pair are added together.

    Parameters
    ----------
    columns
        Names of origin, destination and trips in a long table, where they are none of `COLUMNS`.
    hours
        How many hours the trips are of; they become vehicles per hour.
    encoding
        Such as ``"gb18030"``, where the bytes do not tell.

    Raises
    ------
    FormatError
        If it is neither a long nor a square table.
    CorruptFileError
        If trips are negative or no number, or rows are cut; lines are named.
    ObjectNotFoundError
        If the network does not have zones; all of them are named.
    """
    limits = limits or Limits()
    hourly(hours)
    place = checked_file(path, limits)
    name, notes = encoding_of(place, encoding)
    header, separator = header_of(place, name, MOST_ZONES + 1)
    names = _long(header, columns, place)
    if names is not None:
        zones, origin, destination, trips, told = _read_long(place, names, encoding, limits)
        return matrix_of(network, zones, origin, destination, trips, hours, told, place)
    limits.check("cells", float(len(header) - 1) ** 2, place)
    zones, origin, destination, trips, blank = _read_square(place, name, header[1:], separator)
    told = (f"{blank} blank cells are no trips",) if blank else ()
    return matrix_of(network, zones, origin, destination, trips, hours, (*notes, *told), place)


def _long(header: list[str], given: Sequence[str] | None, path: Path) -> tuple[str, str, str] | None:
    """Return the names of the three columns of a long table, None for a table that is not known as one."""
    have = [cell.lower() for cell in header]
    if given is not None:
        wanted = [one.lower() for one in given]
        lacking = [one for one in wanted if one not in have]
        if lacking or len(wanted) != 3:
            reason = f"has no columns {shown(lacking)}" if lacking else f"was given {len(wanted)} names of columns, expected three"
            raise FormatError(path, f"{reason} (it has {shown(have, 20)})", "give columns=(origin, destination, trips)")
        return wanted[0], wanted[1], wanted[2]
    found = [[one for one in have if one in known] for known in COLUMNS]
    if found[0] and found[1] and (len(have) == 3 or len(found[2]) > 0) and len(have) <= 50:
        rest = found[2] or [one for one in have if one not in {found[0][0], found[1][0]}]
        if any(len(one) > 1 for one in (found[0], found[1], rest)):
            reason = f"has several columns that may be origin, destination or trips ({shown(have, 20)})"
            raise FormatError(path, reason, "give columns=(origin, destination, trips)")
        return found[0][0], found[1][0], rest[0]
    return None


def _read_long(
    path: Path, names: tuple[str, str, str], encoding: str | None, limits: Limits
) -> tuple[list[str], Ints, Ints, Reals, tuple[str, ...]]:  # fmt: skip
    table = read_table(path, encoding=encoding, limits=limits)
    ends = [pa.array(table.ids(one), pa.string()) for one in names[:2]]
    trips = table.numbers(names[2], 0.0)
    missing = np.flatnonzero(np.isnan(trips))
    if len(missing):
        raise CorruptFileError(path, f"{len(missing)} rows have no {names[2]} ({table.lines(missing)})", "fill it in, 0 for no trips")
    zones = pc.unique(pa.concat_arrays(ends))
    origin, destination = (pc.index_in(one, value_set=zones).to_numpy(zero_copy_only=False).astype(np.int64) for one in ends)
    pairs, inverse = np.unique(origin * max(len(zones), 1) + destination, return_inverse=True)
    notes = (*table.notes, *table.ignored())
    if len(pairs) < len(trips):
        notes = (*notes, f"{len(trips) - len(pairs)} rows are for a pair of zones that another row is for: their trips are added together")
    count = max(len(zones), 1)
    total: Reals = np.bincount(inverse, weights=trips, minlength=len(pairs)).astype(float)
    return zones.to_pylist(), pairs // count, pairs % count, total, notes


def _read_square(path: Path, encoding: str, destinations: list[str], separator: str) -> tuple[list[str], Ints, Ints, Reals, int]:
    """Return zones, and the cells above zero row by row, and how many are blank."""
    origins: list[str] = []
    found: list[tuple[Ints, Reals]] = []
    blank = 0
    for line, cells in enumerate(_rows(path, encoding, separator), 2):
        if len(cells) != len(destinations) + 1:
            reason = f"has {len(cells)} cells in line {line}, its header {len(destinations) + 1}"
            raise CorruptFileError(path, reason, "give a square matrix, or columns named origin, destination and trips")
        if len(origins) == len(destinations):
            reason = f"has more rows than its {len(destinations)} columns: no square matrix"
            raise FormatError(path, reason, "give columns=(origin, destination, trips) for a table with a row per pair of zones")
        origins.append(cells[0].strip())
        row, empty = _numbers(cells[1:], line, destinations, path)
        blank += empty
        where = np.flatnonzero(row)
        found.append((where, row[where]))
    if sorted(origins) != sorted(destinations):
        apart = sorted(set(origins) ^ set(destinations))
        reason = f"is no square matrix: {len(origins)} rows, {len(destinations)} columns, zones of only one side: {shown(apart)}"
        raise FormatError(path, reason, "name the columns of a long table origin, destination and trips, or give columns=")
    place = {name: k for k, name in enumerate(destinations)}
    origin = np.repeat([place[one] for one in origins], [len(one) for one, _ in found]).astype(np.int64)
    destination, trips = (np.concatenate([one[k] for one in found] or [np.zeros(0)]) for k in (0, 1))
    return destinations, origin, destination.astype(np.int64), trips, blank


def _rows(path: Path, encoding: str, separator: str) -> Iterator[list[str]]:
    """Yield the cells of each line behind the header."""

    def lines() -> Iterator[str]:
        with path.open(encoding=encoding, newline="") as file:
            while line := file.readline(MOST_LINE):
                if len(line) == MOST_LINE:
                    raise LimitError(path, f"has a line of more than {MOST_LINE:,} characters", "check that it is a table with line ends")
                yield line

    try:
        rows = csv.reader(lines(), delimiter=separator)
        next(rows, None)
        yield from (row for row in rows if any(map(str.strip, row)))
    except (csv.Error, UnicodeError) as error:
        raise CorruptFileError(path, f"cannot be read as {encoding} table ({str(error)[:120]})", "give encoding=, or mend it") from error


def _numbers(cells: list[str], line: int, names: list[str], path: Path) -> tuple[Reals, int]:
    """Return a row of trips, and how many of them are blank."""
    try:
        text = pc.utf8_trim_whitespace(pa.array(cells, pa.string()))
        empty = pc.equal(text, "")
        row = pc.cast(pc.if_else(empty, "0", text), pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        bad = next((k for k, cell in enumerate(cells) if cell.strip() and not _NUMBER.fullmatch(cell)), 0)
        reason = f"has {cells[bad][:40]!r} in line {line}, column {names[bad]}, expected a number"
        raise CorruptFileError(path, reason, "write numbers with a decimal point") from None
    wrong = ~(row >= 0) | np.isinf(row)
    if wrong.any():
        first = int(np.argmax(wrong))
        where = f"line {line} (first: {row[first]:g}, column {names[first]})"
        reason = f"has {int(wrong.sum())} trips that are negative or no number in {where}"
        raise CorruptFileError(path, reason, "correct them, 0 for no trips")
    return row, int(pc.sum(empty).as_py() or 0)
