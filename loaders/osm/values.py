"""Values of OpenStreetMap tags as numbers in SI; what is not written as the wiki asks is missing and counted, never guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Parsed", "Values", "count", "direction_of", "length", "parsed", "speed", "year"]

FOOT, INCH, MILE = 0.3048, 0.0254, 1609.344
_LENGTHS = {"": 1.0, "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "米": 1.0, "cm": 0.01, "mm": 0.001, "km": 1000.0,
            "ft": FOOT, "feet": FOOT, "foot": FOOT, "'": FOOT, "′": FOOT, "in": INCH, '"': INCH, "″": INCH, "mi": MILE}  # fmt: skip
_SPEEDS = {"": 1 / 3.6, "km/h": 1 / 3.6, "kmh": 1 / 3.6, "kph": 1 / 3.6, "mph": MILE / 3600.0, "knots": 1852.0 / 3600.0}
_NUMBER = re.compile(r"([-+]?\d{1,9}(?:\.\d{1,9})?)\s*([^\d\s.,;+-]*)")
_FEET_INCHES = re.compile(r"(\d{1,5})\s*(?:'|′|ft)\s*(\d{1,2}(?:\.\d+)?)\s*(?:\"|″|''|in)?")
_COMMA = re.compile(r"(\d{1,4}),(\d{1,2})(\s*\D*)")
_YEAR = re.compile(r"(\d{4})(?:-\d{2}(?:-\d{2})?)?")
_FORWARD, _BACKWARD, _BOTH = {"yes", "1", "true"}, {"-1", "reverse"}, {"no", "0", "false"}


class Parsed(NamedTuple):
    """One value."""

    value: float | None
    """In SI; None where the text is no such value."""
    mended: bool = False
    """Whether the text was read in spite of its form."""


@dataclass(frozen=True)
class Values:
    """The values of one tag over many objects."""

    values: list[float | None]
    bad: Counter[str]
    """Texts that are no such value, and how often."""
    mended: Counter[str]
    """Texts read in spite of their form, and how often."""


def parsed(texts: Sequence[str | None], parse: Callable[[str], Parsed]) -> Values:
    """Return the texts as values; every different text is looked at once."""
    known = {text: parse(text) for text in set(texts) if text is not None}
    counts = Counter(text for text in texts if text is not None)
    bad = Counter({text: counts[text] for text, one in known.items() if one.value is None})
    mended = Counter({text: counts[text] for text, one in known.items() if one.mended and one.value is not None})
    return Values([None if text is None else known[text].value for text in texts], bad, mended)


def length(text: str) -> Parsed:
    r"""Return a length [m]: metres without a unit, else the unit that stands behind the number.

    Examples
    --------
    >>> round(length("40 ft").value, 3), round(length("6'6\"").value, 4), length("12,5"), length("3 floors").value
    (12.192, 1.9812, Parsed(value=12.5, mended=True), None)
    """
    plain = text.strip()
    both = _FEET_INCHES.fullmatch(plain)
    if both:
        return Parsed(int(both[1]) * FOOT + float(both[2]) * INCH)
    comma = _COMMA.fullmatch(plain)  # three digits behind the comma may be thousands: not read
    if comma:
        return Parsed(length(f"{comma[1]}.{comma[2]}{comma[3]}").value, mended=True)
    return _with_unit(plain, _LENGTHS)


def speed(text: str) -> Parsed:
    """Return a speed [m/s]: km/h without a unit; words such as "none" or "CN:urban" are no number.

    Examples
    --------
    >>> round(speed("30 mph").value, 4), round(speed("36").value, 4), speed("walk").value
    (13.4112, 10.0, None)
    """
    found = _with_unit(text.strip(), _SPEEDS)
    return found if found.value is None or found.value >= 0 else Parsed(None)


def _with_unit(plain: str, units: dict[str, float]) -> Parsed:
    found = _NUMBER.fullmatch(plain)
    factor = units.get(found[2].casefold()) if found else None
    return Parsed(None) if found is None or factor is None else Parsed(float(found[1]) * factor)


def count(text: str) -> Parsed:
    """Return a number of lanes or levels, halves included; lists ("2;3") are none."""
    found = re.fullmatch(r"\s*(-?\d{1,4}(?:\.\d{1,2})?)\s*", text)
    return Parsed(None if found is None else float(found[1]))


def year(text: str) -> Parsed:
    """Return the year of a date that the wiki's form gives exactly.

    Examples
    --------
    >>> year("1931-05").value, year("~1900").value
    (1931.0, None)
    """
    found = _YEAR.fullmatch(text.strip())
    return Parsed(None if found is None else float(found[1]))


def direction_of(oneway: str | None, *, implied: bool) -> tuple[str, bool]:
    """Return "both", "forward" or "backward", and whether the tag could be read.

    Parameters
    ----------
    implied
        Whether the way is one-way by its kind (a roundabout, a motorway) when no tag speaks.

    Examples
    --------
    >>> direction_of("-1", implied=False), direction_of(None, implied=True), direction_of("reversible", implied=False)
    (('backward', True), ('forward', True), ('both', False))
    """
    if oneway is None:
        return ("forward" if implied else "both"), True
    if oneway in _FORWARD:
        return "forward", True
    if oneway in _BACKWARD:
        return "backward", True
    return "both", oneway in _BOTH
