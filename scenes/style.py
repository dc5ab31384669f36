"""Colours: palettes that colour-blind readers can tell apart, ramps, rules, and the fixed look of verdicts and of what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cim.errors import UsageError
from cim.scenes.layer import Legend, LegendEntry, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CIVIDIS",
    "DEPTH",
    "MISSING",
    "PALETTE",
    "VERDICTS",
    "Categorical",
    "Encoded",
    "Ramp",
    "Rules",
    "Style",
    "hex_colour",
    "style_for",
]

Colour = tuple[int, int, int]


def hex_colour(text: str) -> Colour:
    """Return red, green and blue of ``"#rrggbb"``.

    Raises
    ------
    UsageError
        If the text is no such colour.

    Examples
    --------
    >>> hex_colour("#ff8000")
    (255, 128, 0)
    """
    digits = text.removeprefix("#")
    try:
        value = int(digits, 16) if len(digits) == 6 else -1
    except ValueError:
        value = -1
    if value < 0:
        msg = f"colour {text!r}; write it as '#rrggbb'"
        raise UsageError(msg)
    return value >> 16, value >> 8 & 255, value & 255


def _stops(text: str) -> tuple[Colour, ...]:
    return tuple(hex_colour(part) for part in text.split())


CIVIDIS = _stops("#00224e #123570 #3b496c #575d6d #707173 #8a8678 #a59c74 #c3b369 #e1cc55 #fee838")
"""Nuñez, Anderton and Renslow (2018), doi 10.1371/journal.pone.0199239: even steps of lightness for every kind of colour vision."""
DEPTH = _stops("#d6ecf7 #a9d5ec #74b9de #4297cb #2272b2 #12508c #0a3064")
"""Light to dark blue, one hue: depth of water."""
PALETTE = _stops("#4477aa #ee8866 #228833 #ccbb44 #66ccee #aa3377 #997700 #bbbbbb #44bb99 #994455 #ffaabb #222255")
"""Paul Tol's bright and light sets (SRON/EPS/TN/09-002), reordered: neighbours stay apart for every kind of colour vision."""
MISSING: Colour = (172, 172, 168)
"""Grey: no value."""
OTHER: Colour = (120, 124, 130)
"""Values beyond the colours there are."""
_NO_VALUE = Text("no value", "无数据")


@dataclass(frozen=True)
class Encoded:
    """Colours of objects and what they mean."""

    colours: NDArray[np.uint8]
    """Shape (n, 3)."""
    legend: Legend
    hatched: NDArray[np.bool_]
    """Shape (n,)."""
    values: NDArray[np.float32] | None = None
    """Shape (n,): the numbers behind a ramp."""


class Style(Protocol):
    """Turns values into colours."""

    def encode(self, values: Sequence[Any] | NDArray[Any], title: Text, unit: str = "") -> Encoded:
        """Return a colour per value and the legend."""
        ...


@dataclass(frozen=True)
class Categorical:
    """One colour per value; what has no value is grey and hatched, what is beyond `limit` is one common colour."""

    colours: Mapping[str, Colour] = field(default_factory=dict)
    """Fixed colours by value; others are taken from `palette` in order of frequency."""
    labels: Mapping[str, Text] = field(default_factory=dict)
    palette: tuple[Colour, ...] = PALETTE
    limit: int = 11
    hatch: frozenset[str] = frozenset()
    """Values drawn hatched."""

    def encode(self, values: Sequence[Any] | NDArray[Any], title: Text, unit: str = "") -> Encoded:
        """Return a colour per value and a legend with counts."""
        import pandas as pd

        code, names = pd.factorize(np.asarray(values, object), use_na_sentinel=True)
        count = np.bincount(code[code >= 0], minlength=len(names))
        order = np.argsort(-count, kind="stable")
        texts = [str(name) for name in names]
        free = iter(colour for colour in self.palette if colour not in self.colours.values())
        table = np.full((len(names) + 1, 3), MISSING, np.uint8)
        entries: list[LegendEntry] = []
        beyond = 0
        for place in order.tolist():  # over distinct values
            text = texts[place]
            colour = self.colours.get(text) or (next(free, None) if len(entries) < self.limit else None)
            table[place] = colour or OTHER
            if colour is None:
                beyond += int(count[place])
                continue
            entries.append(LegendEntry(colour, self.labels.get(text, Text(text, text)), int(count[place]), text in self.hatch))
        if beyond:
            entries.append(LegendEntry(OTHER, Text("others", "其他"), beyond))
        missing = int((code < 0).sum())
        if missing:
            entries.append(LegendEntry(MISSING, _NO_VALUE, missing, hatch=True))
        hatch = np.array([*(text in self.hatch for text in texts), True])
        return Encoded(table[code], Legend(title, tuple(entries), unit), hatch[code])


@dataclass(frozen=True)
class Ramp:
    """Colours between two values; beyond them the colour of the end, nothing is grey and hatched."""

    stops: tuple[Colour, ...] = CIVIDIS
    low: float | None = None
    """Value of the first colour; the 2nd percentile when left out, so that one odd value does not flatten the rest."""
    high: float | None = None
    """Value of the last colour; the 98th percentile when left out."""

    def encode(self, values: Sequence[Any] | NDArray[Any], title: Text, unit: str = "") -> Encoded:
        """Return a colour per number and a legend with the range."""
        import pandas as pd

        numbers = np.asarray(pd.to_numeric(pd.Series(np.asarray(values)), errors="coerce"), float)
        known = np.isfinite(numbers)
        low, high = self._range(numbers[known])
        at = np.clip((np.where(known, numbers, low) - low) / (high - low), 0, 1) * (len(self.stops) - 1)
        stops = np.array(self.stops, float)
        below = np.minimum(at.astype(int), len(stops) - 2)
        mixed = stops[below] + (stops[below + 1] - stops[below]) * (at - below)[:, None]
        colours = np.where(known[:, None], np.rint(mixed), MISSING).astype(np.uint8)
        missing = int((~known).sum())
        entries = (LegendEntry(MISSING, _NO_VALUE, missing, hatch=True),) if missing else ()
        beyond = (bool((numbers[known] < low).any()), bool((numbers[known] > high).any()))
        legend = Legend(title, entries, unit, self.stops, low, high, beyond)
        return Encoded(colours, legend, ~known, np.where(known, numbers, np.nan).astype(np.float32))

    def _range(self, numbers: NDArray[np.float64]) -> tuple[float, float]:
        if not len(numbers):
            return self.low or 0.0, self.high if self.high is not None else (self.low or 0.0) + 1.0
        low = float(np.percentile(numbers, 2)) if self.low is None else self.low
        high = float(np.percentile(numbers, 98)) if self.high is None else self.high
        return (low, high) if high > low else (low, low + 1.0)


@dataclass(frozen=True)
class Rules:
    """Colours by class of number: the first rule whose bound is above the value."""

    bounds: tuple[float, ...]
    """Rising upper bounds, exclusive; one colour more than bounds."""
    colours: tuple[Colour, ...]
    labels: tuple[Text, ...] = ()

    def __post_init__(self) -> None:
        """Refuse bounds that do not rise or colours that do not fit.

        Raises
        ------
        UsageError
            If there is not one colour more than bounds, or the bounds do not rise.
        """
        if len(self.colours) != len(self.bounds) + 1 or any(b <= a for a, b in pairwise(self.bounds)):
            msg = f"rules with bounds {self.bounds} and {len(self.colours)} colours; give rising bounds and one colour more than bounds"
            raise UsageError(msg)

    def encode(self, values: Sequence[Any] | NDArray[Any], title: Text, unit: str = "") -> Encoded:
        """Return a colour per number and a legend of the classes."""
        numbers = np.asarray(values, float)
        known = np.isfinite(numbers)
        place = np.digitize(np.where(known, numbers, 0.0), self.bounds)
        colours = np.where(known[:, None], np.array(self.colours, np.uint8)[place], np.array(MISSING, np.uint8)).astype(np.uint8)
        texts = self.labels or tuple(Text(name, name) for name in _class_names(self.bounds))
        count = np.bincount(place[known], minlength=len(self.colours))
        entries = [LegendEntry(colour, text, int(n)) for colour, text, n in zip(self.colours, texts, count, strict=True)]
        if not known.all():
            entries.append(LegendEntry(MISSING, _NO_VALUE, int((~known).sum()), hatch=True))
        return Encoded(colours, Legend(title, tuple(entries), unit), ~known, numbers.astype(np.float32))


def _class_names(bounds: tuple[float, ...]) -> list[str]:
    inner = [f"{low:g} – {high:g}" for low, high in pairwise(bounds)]
    return [f"< {bounds[0]:g}", *inner, f"≥ {bounds[-1]:g}"] if bounds else ["all"]


VERDICTS = Categorical(
    colours={"pass": hex_colour("#4a94b8"), "fail": hex_colour("#d8572a"), "not_assessed": hex_colour("#b9b6ad")},
    labels={"pass": Text("pass", "符合"), "fail": Text("fail", "不符合"), "not_assessed": Text("not assessed", "未评估")},
    hatch=frozenset({"fail", "not_assessed"}),
)
"""Blue against orange, which every kind of colour vision tells apart; what fails or was not assessed is hatched as well."""


def style_for(values: Sequence[Any] | NDArray[Any]) -> Style:
    """Return a ramp for numbers and a palette for anything else."""
    kind = np.asarray(values).dtype.kind
    return Ramp() if kind in "iuf" else Categorical()
