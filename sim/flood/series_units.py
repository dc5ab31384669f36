"""Units of what drives a flood: a rate, or the depth that fell in each step; stated by the user, never guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cim.errors import UsageError
from cim.units import parse_unit

__all__ = ["Scale", "scale_of"]

_PER_STEP = re.compile(r"(.+?)\s*(?:/\s*step|per\s+step|每步|/\s*时段)", re.IGNORECASE)
_PER_COUNT = re.compile(r"([^\d/]+?)\s*(?:/|per\s+)\s*(\d+(?:\.\d+)?)\s*([^\W\d]+)", re.IGNORECASE)
_INCH_RATE = re.compile(r"(?:in|inch|inches|英寸)\s*/\s*(h|hr|hour|小时|时|min|minute|分钟|d|day|天|日)", re.IGNORECASE)
_SAY = {"m/s": "rates (mm/h, m/s, in/h) or depths of steps (mm)", "m³/s": "flows (m3/s, L/s)", "m": "levels (m)"}


@dataclass(frozen=True)
class Scale:
    """How numbers become SI."""

    si: str
    """SI unit of the values."""
    factor: float
    """SI in one."""
    per_step: bool = False
    """The number is a depth that fell in a step, to be divided by its length [s]."""
    said: str = ""
    """The unit as given."""


def scale_of(unit: str | None, kind: str | None, name: str = "series") -> Scale:
    """Return how a unit becomes SI of the kind that is expected.

    Parameters
    ----------
    unit
        Such as "mm/h", "mm" or "mm per step" (depth of each step), "mm/5min", "in/h", "L/s".
    kind
        SI unit that is expected: "m/s", "m³/s", "m"; None accepts any.
    name
        Of the series, for the message.

    Raises
    ------
    UsageError
        If the unit is missing, unknown, or of another kind.

    Examples
    --------
    >>> scale_of("mm/5min", "m/s").factor == 1e-3 / 300
    True
    >>> scale_of("mm", "m/s").per_step
    True
    """
    if unit is None or not unit.strip():
        said = _SAY.get(kind or "", "rates or levels")
        msg = f"{name}: no unit is stated, and none is guessed; give unit=, expected {said}"
        raise UsageError(msg)
    found = _parse(unit.strip())
    if kind == "m/s" and found.si == "m":
        return Scale("m/s", found.factor, per_step=True, said=unit)
    if kind is not None and found.si != kind:
        msg = f"{name}: unit {unit!r} measures {found.si or 'a pure number'}; expected {_SAY.get(kind, kind)}"
        raise UsageError(msg)
    return found


def _parse(text: str) -> Scale:
    step = _PER_STEP.fullmatch(text)
    if step:
        length = parse_unit(step[1])
        return Scale(length.si, length.factor, per_step=True, said=text)
    counted = _PER_COUNT.fullmatch(text)
    if counted:
        above, below = parse_unit(counted[1]), parse_unit(counted[3])
        if below.si == "s" and float(counted[2]) > 0.0:
            return Scale(f"{above.si}/s", above.factor / (float(counted[2]) * below.factor), said=text)
    inches = _INCH_RATE.fullmatch(text)
    if inches:
        return Scale("m/s", 0.0254 / parse_unit(inches[1]).factor, said=text)
    unit = parse_unit(text)
    return Scale(unit.si, unit.factor, said=text)
