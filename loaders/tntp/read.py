"""Reading of TNTP text: metadata in angle brackets, then rows of numbers that end in a semicolon.

Source of the format: Transportation Networks for Research Core Team, README of the collection (github.com/bstabler/TransportationNetworks).
A file seldom states its units; they are given by the caller or assumed and told, and everything becomes seconds and metres.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, FormatError, UsageError
from cim.loaders.limits import Limits
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.units import to_si

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["ENDS", "read_flow", "read_network", "read_trips"]

ENDS = re.compile(r"<\s*END\s+OF\s+METADATA\s*>", re.IGNORECASE)
"""What ends the header."""

_LIMITS = Limits()
_TAG = re.compile(r"^\s*<([^>]+)>[ \t]*(.*)$", re.MULTILINE)
_COLUMNS = ("from", "to", "capacity", "length", "time", "b", "power", "speed", "toll", "class")
_COMMENT = re.compile(r"~[^\n]*")
_PLUS = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e(?:-[0-9]{1,3}|\+?[0-9]{1,2}))?"  # finite, and no 1_000 as Python reads it
_NUMBER = re.compile(rf"[-+]?{_PLUS}", re.IGNORECASE)
_TRIPS = re.compile(rf"\s*(?:origin\s+([0-9]+)|([0-9]+)\s*:\s*(\+?{_PLUS})(?=[\s;]|\Z))[\s;]*", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_UNITS = {"time_unit": (60.0, "s", "times", "minutes"), "length_unit": (1000.0, "m", "lengths", "kilometres")}


def read_network(
    path: str | Path, *, time_unit: str | float | None = None, length_unit: str | float | None = None, toll_factor: float = 0.0,
    distance_factor: float = 0.0,
) -> RoadNetwork:  # fmt: skip
    """Return the network of a ``*_net.tntp`` file.

    Of two links between the same nodes the first is kept, as the collection asks; the others are counted in `notes`.

    Parameters
    ----------
    time_unit, length_unit
        Units of the file, such as ``"min"`` and ``"mile"``, or the seconds and metres in one; minutes and kilometres, which is told, if
        not given.
    toll_factor, distance_factor
        Time that a unit of toll and of length costs, in the time unit of the file.

    Raises
    ------
    FormatError
        If it is not a TNTP network.
    CorruptFileError
        If rows cannot be read or the counts of the header do not hold; the lines are named.
    UsageError
        If a unit is none, or not above zero.
    """
    path = Path(path)
    second, metre = (_unit(name, given) for name, given in (("time_unit", time_unit), ("length_unit", length_unit)))
    tags, body, offset = _document(path)
    nodes = _count(tags, "NUMBER OF NODES", path)
    first_through = _count(tags, "FIRST THRU NODE", path) if "FIRST THRU NODE" in tags else 1
    rows = _rows(body, offset, 7, path)
    if len(rows) != (said := _count(tags, "NUMBER OF LINKS", path)):
        raise CorruptFileError(path, f"holds {len(rows):,} links, its header says {said:,}", "download it again")
    found = {name: rows[:, k] if k < rows.shape[1] else np.zeros(len(rows)) for k, name in enumerate(_COLUMNS)}
    whole = np.isfinite(found["from"] + found["to"]) & (found["from"] % 1 == 0) & (found["to"] % 1 == 0)
    if not whole.all():
        raise CorruptFileError(path, f"{int((~whole).sum())} rows name nodes that are no whole numbers (first: row {np.argmin(whole) + 1})")
    ends = np.stack([found["from"], found["to"]]).astype(np.int64) - 1
    if ends.size and (ends.min() < 0 or ends.max() >= nodes):
        raise CorruptFileError(path, f"names node {ends.max() + 1 if ends.max() >= nodes else ends.min() + 1}; it has nodes 1 to {nodes}")
    _, kept = np.unique(ends[0] * nodes + ends[1], return_index=True)
    kept.sort()
    notes = [f"{len(rows) - len(kept)} links beside another one between the same nodes are left out"] if len(kept) < len(rows) else []
    notes += _assumed(tags, {"time_unit": time_unit, "length_unit": length_unit})
    notes += _uncounted(tags, found["toll"][kept], toll_factor, distance_factor)
    fixed = second * (toll_factor * found["toll"] + distance_factor * found["length"])
    return RoadNetwork.of(
        [str(k + 1) for k in range(nodes)], ends[0, kept], ends[1, kept], free_flow_time=second * found["time"][kept],
        capacity=found["capacity"][kept], length=metre * found["length"][kept], b=found["b"][kept], power=found["power"][kept],
        fixed=fixed[kept], through=np.arange(1, nodes + 1) >= first_through, classes=[f"{one:g}" for one in found["class"][kept].tolist()],
        notes=notes,
    )  # fmt: skip


def _unit(name: str, given: str | float | None) -> float:
    """Return the seconds or metres in a unit."""
    usual, kind, *_ = _UNITS[name]
    if given is None:
        return usual
    factor = float(to_si([1.0], given, kind)[0][0]) if isinstance(given, str) else float(given)
    if not 0 < factor < np.inf:
        msg = f"{name} is {given!r}, expected a unit by its name or how many {kind} it has, above zero"
        raise UsageError(msg)
    return factor


def _assumed(tags: dict[str, str], units: dict[str, object]) -> list[str]:
    """Tell units that nobody gave, and that paths may pass zones because the header does not say which nodes they may."""
    notes = []
    if lacking := [name for name, given in units.items() if given is None]:
        taken = " and ".join(f"{_UNITS[name][2]} are taken as {_UNITS[name][3]}" for name in lacking)
        header = " ".join(tags.get("ORIGINAL HEADER", "").split())
        why = f"its header says {header[:200]!r}" if "(" in header else "the file does not say"
        notes.append(f"{taken}: {why}; give {', '.join(f'{name}=' for name in lacking)} where that is wrong")
    if "FIRST THRU NODE" not in tags:
        have = " ".join(f"<{name[:40]}>" for name in tags)
        notes.append(f"paths may pass all nodes, zones too, which is another problem: the header has no <FIRST THRU NODE> (it has {have})")
    return notes


def _uncounted(tags: dict[str, str], toll: Reals, toll_factor: float, distance_factor: float) -> list[str]:
    """Tell tolls, and factors of the header, that do not count."""
    notes = []
    if toll.any() and not toll_factor:
        many = f"tolls of {np.count_nonzero(toll)} links (up to {np.abs(toll).max():g})"
        notes.append(f"{many} do not count: give toll_factor=, the time that a unit of them costs in the time unit of the file")
    for name, factor in (("toll_factor", toll_factor), ("distance_factor", distance_factor)):
        tag = name.replace("_", " ").upper()
        if tags.get(tag) and not factor and _stated(tags, tag) != 0:
            notes.append(f"the header says <{tag}> {tags[tag][:20]}, which does not count: give {name}=")
    return notes


def read_trips(path: str | Path) -> ODMatrix:
    """Return the trips of a ``*_trips.tntp`` file; zone k is node row k - 1. Entries for one pair of zones add up, which is told.

    Raises
    ------
    FormatError
        If it is not a TNTP trip table.
    CorruptFileError
        If text is no trips, the trips do not add up to what the header says (by more than 0.1 %), or a zone is not there.
    """
    path = Path(path)
    tags, body, _ = _document(path)
    zones = _count(tags, "NUMBER OF ZONES", path)
    origin, destination, trips = _trips(_COMMENT.sub("", body), path)
    made = ODMatrix(np.array(origin, np.int64) - 1, np.array(destination, np.int64) - 1, np.array(trips, float))
    ends = np.concatenate([made.origin, made.destination])
    if ends.size and (ends.min() < 0 or ends.max() >= zones):
        raise CorruptFileError(path, f"names a zone beyond the {zones} it has", "download it again")
    said = _stated(tags, "TOTAL OD FLOW")
    if abs(made.total - said) > 1e-3 * max(said, 1.0):
        raise CorruptFileError(path, f"holds {made.total:,.1f} trips, its header says {said:,.1f}", "download it again")
    notes = []
    if (total := tags.get("TOTAL OD FLOW")) and np.isnan(said):
        notes.append(f"the trips are not checked against the header: its <TOTAL OD FLOW> {total[:20]!r} is no number")
    if more := len(trips) - len(np.unique(made.origin * zones + made.destination)):
        notes.append(f"{more} entries are for a pair of zones that another entry is for: their trips are added together")
    return replace(made, notes=tuple(notes))


def _trips(text: str, path: Path) -> tuple[list[int], list[int], list[float]]:
    """Return origin, destination and number of each entry; nothing in between is passed over."""
    origin: list[int] = []
    destination: list[int] = []
    trips: list[float] = []
    at, number = 0, ""
    for found in _TRIPS.finditer(text):
        if found.start() != at:
            break
        begin, to, count = found.groups()
        if begin is None and not number:
            break
        at, number = found.end(), begin or number
        if begin is None:
            origin.append(int(number))
            destination.append(int(to))
            trips.append(float(count))
    if text[at:].strip():
        rest = " ".join(text[at : at + 60].split())
        raise CorruptFileError(path, f"says {rest[:40]!r} after {len(trips):,} entries, expected 'Origin 1' or '2 : 10.5;'", "mend it")
    return origin, destination, trips


def read_flow(path: str | Path) -> dict[tuple[int, int], tuple[float, float]]:
    """Return volume and cost of each link of a ``*_flow.tntp`` file by its nodes, in the units of the file."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8-sig").splitlines():
        words = line.replace(";", " ").replace(":", " ").split()
        if len(words) >= 4 and words[0].isdigit():
            rows.append((int(words[0]), int(words[1]), float(words[2]), float(words[3])))
    return {(a, z): (volume, cost) for a, z, volume, cost in rows}


def _document(path: Path) -> tuple[dict[str, str], str, int]:
    """Return the tags of the header, the text behind it, and the line that this begins on."""
    _LIMITS.check("file_bytes", path.stat().st_size, path)
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    end = ENDS.search(text)
    if end is None:
        raise FormatError(path, "has no <END OF METADATA>: no TNTP file", "give the *_net.tntp or *_trips.tntp file")
    tags = {" ".join(name.split()).upper(): value.strip() for name, value in _TAG.findall(text[: end.start()])}
    return tags, text[end.end() :], text[: end.end()].count("\n") + 1


def _count(tags: dict[str, str], name: str, path: Path) -> int:
    value = _stated(tags, name)
    if not value >= 0 or value % 1:
        raise FormatError(path, f"its header says <{name}> {tags.get(name, '')[:20]!r}, expected a whole number")
    _LIMITS.check("records", int(value), path)
    return int(value)


def _stated(tags: dict[str, str], name: str) -> float:
    """Return a number of the header, NaN where there is none; 1,000 may have its comma."""
    text = _THOUSANDS.sub("", tags.get(name, "").split("~")[0].strip(" \t;"))
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def _rows(body: str, offset: int, least: int, path: Path) -> Reals:
    """Return the rows of numbers; comments begin with ~."""
    rows, bad = [], []
    for number, line in enumerate(body.splitlines(), offset):
        words = line.split("~")[0].replace(";", " ").split()
        if not words:
            continue
        words = words[: len(_COLUMNS)]
        if len(words) >= least and all(map(_NUMBER.fullmatch, words)):
            rows.append([float(word) for word in words])
        else:
            bad.append(number)
    if bad:
        raise CorruptFileError(path, f"{len(bad)} rows hold no {least} numbers (lines {', '.join(map(str, bad[:5]))})", "mend these lines")
    wide = max(map(len, rows), default=least)
    short = [row for row in rows if len(row) < wide]
    if short:
        reason = f"{len(short)} of {len(rows)} rows hold fewer than {wide} numbers (first: {' '.join(f'{one:g}' for one in short[0])})"
        raise CorruptFileError(path, reason, "write every column in every row, 0 for no toll")
    return np.array(rows, float).reshape(len(rows), wide)
