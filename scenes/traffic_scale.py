"""How a number of a link becomes a byte and a colour: classes of fixed bounds, finely divided, so that a page knows the number again.

A byte is 0 where nothing is drawn, 1 where there is no number, 2 where the link is closed; from 3 on it counts parts of the classes. A
class has a whole number of parts, so that the colour of a link is always that of its class; within one, a byte knows the number to half
a part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cim.scenes.layer import Legend, LegendEntry, Text
from cim.scenes.style import hex_colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Reals = NDArray[np.float64]
    Colour = tuple[int, int, int]

__all__ = ["CLOSED", "CLOSED_COLOUR", "HIDDEN", "NONE", "NONE_COLOUR", "SIGNED", "Scale", "difference_scale", "rounded_bounds"]

HIDDEN, NONE, CLOSED, _FIRST = 0, 1, 2, 3
CLOSED_COLOUR = hex_colour("#8f0d1c")
"""Dark red; closed links are hatched and broader besides, as colour alone carries no warning."""
NONE_COLOUR = hex_colour("#c9cbcd")
"""No vehicle, no difference: neutral."""
SIGNED = tuple(hex_colour(text) for text in ("#0b5f57", "#4fa79e", "#a9d8d1", "#f3cf9a", "#d08a32", "#87500c"))
"""Less to more, Brewer's brown-blue-green: told apart by every kind of colour vision, and none of them looks closed."""
_NO_VEHICLES, _SHUT, _NOTHING = Text("no vehicles", "无车辆"), Text("closed", "封闭"), Text("", "")
_TINY = 1e-9  # below it a number is that of a rounding
_NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Classes of a number.

    Examples
    --------
    >>> scale = Scale(Text("flow", "流量"), "veh/h", (0, 100, 500, 900), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    >>> codes = scale.encode(np.array([0.0, 99.9, 100.0, 5000.0, np.nan]))
    >>> scale.colours_of(codes)[:, 0].tolist()
    [1, 1, 2, 3, 201]
    >>> scale.decode(codes).round(0).tolist()
    [1.0, 99.0, 102.0, 900.0, nan]
    """

    title: Text
    unit: str
    bounds: tuple[float, ...]
    """Rising; the first and the last are the ends of the scale, what lies beyond belongs to the class there."""
    colours: tuple[Colour, ...]
    """One less than bounds."""
    none: Text = _NO_VEHICLES
    """What a link without a number is called."""
    none_colour: Colour = NONE_COLOUR
    least_first: bool = False
    """Whether the lowest number is the worst, as of speeds."""
    open_ends: tuple[bool, bool] = (False, True)
    """Whether the first class is named "less than", the last "at least"."""
    note: Text = _NOTHING
    closed: Text = _SHUT
    names: tuple[Text, ...] = ()
    """Of the classes, where they are no ranges of numbers: class k then is the number k."""

    @property
    def ever(self) -> Scale:
        """The same of all times together: what is closed was so at some time."""
        return replace(self, closed=Text(f"{self.closed.en} at some time", f"曾{self.closed.zh}"))

    @property
    def _parts(self) -> int:
        return (256 - _FIRST) // len(self.colours)

    @cached_property
    def _edges(self) -> Reals:
        """Rising bounds of all parts, those of the classes among them."""
        parts = self._parts
        pieces = [np.linspace(low, high, parts, endpoint=False) for low, high in pairwise(self.bounds)]
        return np.concatenate([*pieces, [self.bounds[-1]]])

    def encode(self, values: Reals) -> Bytes:
        """Return the bytes of numbers, `NONE` for NaN."""
        known = np.isfinite(values)
        place = np.searchsorted(self._edges, np.where(known, values, self.bounds[0]), side="right") - 1
        codes = _FIRST + np.clip(place, 0, self._parts * len(self.colours) - 1)
        return np.asarray(np.where(known, codes, NONE), np.uint8)

    def decode(self, codes: Bytes) -> Reals:
        """Return the middle of the part that each byte stands for, NaN where it stands for no number."""
        return self.numbers[codes]

    @cached_property
    def numbers(self) -> Reals:
        """What each byte stands for, shape (256,): the middle of its part; the very end beyond the ends."""
        found = np.full(256, np.nan)
        middle = (self._edges[:-1] + self._edges[1:]) / 2
        if self.open_ends[1]:
            middle[-1] = self.bounds[-1]
        found[_FIRST : _FIRST + len(middle)] = middle
        return found

    @cached_property
    def halves(self) -> Reals:
        """How far a number may be from what its byte stands for, shape (256,)."""
        found = np.full(256, np.nan)
        found[_FIRST : _FIRST + len(self._edges) - 1] = np.diff(self._edges) / 2
        return found

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """Red, green, blue and mark of each byte, shape (256, 4): 255 plain, 128 hatched, 0 not drawn."""
        table = np.zeros((256, 4), np.uint8)
        table[NONE] = (*self.none_colour, 255)
        table[CLOSED] = (*CLOSED_COLOUR, 128)
        painted = np.repeat(np.array(self.colours, np.uint8), self._parts, axis=0)
        table[_FIRST : _FIRST + len(painted), :3], table[_FIRST : _FIRST + len(painted), 3] = painted, 255
        return table

    def colours_of(self, codes: Bytes) -> NDArray[np.uint8]:
        """Return red, green and blue of bytes, shape (n, 3)."""
        return self.palette[codes][..., :3]

    def worst(self, codes: Bytes) -> Bytes:
        """Return the worst byte of each column over all rows: closed before any number, any number before none."""
        number = codes >= _FIRST
        if self.least_first:
            least = np.where(number, codes, 255).min(axis=0)
            found = np.where(number.any(axis=0), least, np.where(codes == NONE, NONE, HIDDEN).max(axis=0))
        else:
            found = np.where(codes == CLOSED, 0, codes).max(axis=0)
        return np.asarray(np.where((codes == CLOSED).any(axis=0), CLOSED, found), np.uint8)

    def legend(self, codes: Bytes, rows: NDArray[np.bool_] | None = None) -> Legend:
        """Return the classes as a legend; counts where the codes are of one moment, and the marks that occur.

        Parameters
        ----------
        codes : shape (n,) or (t, n)
        rows : shape (n,)
            Which rows count; all when left out.
        """
        counted = codes.ndim == 1
        mine = codes if rows is None else codes[..., rows]
        count = np.bincount(mine.ravel(), minlength=256)
        own = [int(part.sum()) for part in np.split(count[_FIRST : _FIRST + self._parts * len(self.colours)], len(self.colours))]
        entries = [
            LegendEntry(colour, name, number if counted else None)
            for colour, name, number in zip(self.colours, self._names(), own, strict=True)
            if number or not self.names
        ]
        if count[NONE]:
            entries.append(LegendEntry(self.none_colour, self.none, int(count[NONE]) if counted else None))
        if (codes == CLOSED).any():
            shut = int((mine == CLOSED).sum()) if counted else None
            entries.append(LegendEntry(CLOSED_COLOUR, self.closed, shut, hatch=True))
        return Legend(self.title, tuple(entries), self.unit, note=self.note)

    def _names(self) -> list[Text]:
        if self.names:
            return list(self.names)
        to = "…" if self.bounds[0] < 0 else "–"  # beside a minus sign a dash is hard to read
        names = [f"{_said(low)} {to} {_said(high)}" for low, high in pairwise(self.bounds)]
        if self.open_ends[0]:
            names[0] = f"< {_said(self.bounds[1])}"
        if self.open_ends[1]:
            names[-1] = f"≥ {_said(self.bounds[-2])}"
        return [Text(name, name) for name in names]


def _said(value: float) -> str:
    """Return a bound with a true minus sign.

    Examples
    --------
    >>> _said(-0.25), _said(12000.0)
    ('−0.25', '12,000')
    """
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}").replace("-", "−")


def rounded_bounds(values: Reals, classes: int) -> tuple[float, ...]:
    """Return rising round bounds from 0: equal steps up to the 98th percentile of what is not 0, the last class takes the rest.

    Examples
    --------
    >>> rounded_bounds(np.linspace(1, 1000, 1000), 5)
    (0.0, 250.0, 500.0, 750.0, 1000.0, 1250.0)
    """
    known = values[np.isfinite(values) & (values > 0)]
    high = float(np.percentile(known, 98)) if len(known) else 1.0
    high = high if high > _TINY else 1.0
    raw = high / max(classes - 1, 1)
    ten = 10.0 ** np.floor(np.log10(raw))
    step = next(nice * ten for nice in _NICE if nice * ten >= raw * (1 - 1e-9))
    most = max(float(known.max()) if len(known) else 0.0, step * classes)
    return (*(float(f"{step * place:.9g}") for place in range(classes)), float(most))


def difference_scale(values: Reals, title: Text, unit: str, none: Text, note: Text) -> Scale:
    """Return signed classes, as far below as above 0."""
    one, two, top = rounded_bounds(np.abs(values), 3)[1:]
    bounds = (-top, -two, -one, 0.0, one, two, top)
    return Scale(title, unit, bounds, SIGNED, none=none, open_ends=(True, True), note=note)
