"""Units of a GMNS folder: what ``config.csv`` says, in metres and metres per second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cim.errors import CorruptFileError, FormatError, UsageError
from cim.loaders.gmns.tables import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from cim.loaders.limits import Limits

__all__ = ["LENGTHS", "SPEEDS", "Units", "units_of"]

_MILE, _FOOT = 1609.344, 0.3048  # m, international
LENGTHS = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("km", "kilometer", "kilometers", "kilometre", "kilometres"), 1000.0),
    **dict.fromkeys(("mi", "mile", "miles"), _MILE),
    **dict.fromkeys(("ft", "foot", "feet"), _FOOT),
}
"""Metres in a unit of length, by the names that files use."""
SPEEDS = {
    **dict.fromkeys(("mph", "mi/h", "mile/h", "miles/h", "miles per hour"), _MILE / 3600.0),
    **dict.fromkeys(("kph", "km/h", "kmh", "kmph", "kilometers per hour", "kilometres per hour"), 1000.0 / 3600.0),
    **dict.fromkeys(("m/s", "mps", "meters per second", "metres per second"), 1.0),
}
"""Metres per second in a unit of speed."""


@dataclass(frozen=True)
class Units:
    """How the folder counts."""

    length: float
    """Metres in a unit of link lengths (``long_length``)."""
    speed: float
    """Metres per second in a unit of speed."""
    crs: str | None
    """Coordinate system of the nodes, None where not stated."""


def units_of(folder: Path, length_unit: str | None, speed_unit: str | None, limits: Limits) -> tuple[Units, list[str]]:
    """Return the units of a folder; what the caller gives wins over the file, which is then told.

    Raises
    ------
    FormatError
        If neither says a unit: a mile taken for a kilometre looks right.
    CorruptFileError
        If the file says one that is not known.
    """
    path = folder / "config.csv"
    said: dict[str, str | None] = {}
    if path.is_file():
        table = read_table(path, limits=limits)
        if len(table) != 1:
            raise CorruptFileError(path, f"has {len(table)} rows, expected one", "keep the row of this network")
        said = {name: table.text(name)[0] for name in ("long_length", "speed", "crs")}
    notes: list[str] = []
    found = {}
    for name, given, known in (("long_length", length_unit, LENGTHS), ("speed", speed_unit, SPEEDS)):
        stated = said.get(name)
        if given is not None:
            if str(given).strip().lower() not in known:
                msg = f"the unit of {name} is {given!r}; give one of {', '.join(known)}"
                raise UsageError(msg)
            if stated is not None and known.get(stated.lower()) != known[given.strip().lower()]:
                notes.append(f"config.csv says {stated!r} for {name}; {given!r} was given and is used")
        elif stated is None:
            option, unit = ("length_unit", "mile") if known is LENGTHS else ("speed_unit", "mph")
            remedy = f"add the file with it, or give {option}={unit!r} or another unit (cim network: --{option.replace('_', '-')} {unit})"
            raise FormatError(path, f"does not say the unit {name}", remedy)
        unit = (given or stated or "").strip().lower()
        if unit not in known:
            raise CorruptFileError(path, f"says the unit {unit[:40]!r} for {name}; known are {', '.join(known)}", "give the unit by hand")
        found[name] = known[unit]
    crs = said.get("crs")
    return Units(found["long_length"], found["speed"], f"EPSG:{crs}" if crs and crs.isdigit() else crs), notes
