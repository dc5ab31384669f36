"""Design storms: rain of a return period, shaped so that every stretch about its peak is as heavy as the local formula says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.rain import Rain, UniformRain
from cim.sim.flood.series import Series
from cim.sim.flood.storm_formula import FormulaKind, StormFormula, formula_of_place, places
from cim.sim.times import say_seconds, seconds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Duration = float | str | timedelta

__all__ = ["DesignStorm", "FormulaKind", "StormFormula", "formula_of_place", "places"]

_PEAK = 0.4
"""Share of the duration before the peak where none is stated; Chinese cities publish 0.3 to 0.5."""


_LEAST = 1e-3
"""A design storm of less [m] has a depth in another unit."""


@dataclass(frozen=True, eq=False)
class DesignStorm(Rain):
    """A storm of a return period; make it with `chicago` or `block`. Dry before it begins and after it ends."""

    kind: Literal["chicago", "block"] = "block"
    formula: StormFormula | None = None
    duration: float = 0.0
    """[s]"""
    peak: float = 0.5
    """Share of the duration before the peak."""
    begins: float = 0.0
    """Start of the storm [s since the start of the run]."""
    said: tuple[str, ...] = ()
    """What was taken for granted in making it."""

    @classmethod
    def chicago(
        cls,
        *,
        return_period: float | None = None,
        duration: Duration,
        place: str | None = None,
        formula: StormFormula | Mapping[str, float] | None = None,
        peak: float | None = None,
        step: Duration = "5min",
        begins: Duration = 0.0,
        kind: FormulaKind | None = None,
    ) -> DesignStorm:
        """Return a Chicago storm (Keifer & Chu): the formula's depth for every duration about one peak.

        Parameters
        ----------
        return_period
            P [a]; not needed with a `StormFormula`, which has it.
        duration
            Of the storm.
        place
            City with a shipped formula, see `formula_of_place`.
        formula
            Instead of a place: a `StormFormula`, or the numbers as published, {"A": 2001, "C": 0.811, "b": 8, "n": 0.711} (with
            "factor": 167 where the formula is written so).
        peak
            Share of the duration before the peak (雨峰系数 r), 0 to 1; None takes 0.4 and notes it.
        step
            Of the hyetograph; the last may be shorter.
        begins
            Time before the storm.
        kind
            Which formula of the place.

        Raises
        ------
        UsageError
            If neither or both of place and formula are given, or a number makes no sense.

        Notes
        -----
        With H(d) = A d / (d + b)^n the depth of the heaviest d, the rain until t is [1]_

        r H(T) - r H((r T - t) / r) before the peak, r H(T) + (1 - r) H((t - r T) / (1 - r)) after it.

        Each step gets the exact difference of this, so that the total is H(T) to round-off, and so is the depth of every window from r d
        before the peak to (1 - r) d after it whose ends are ends of steps (`depth_between` gives the windows without steps).

        References
        ----------
        .. [1] Keifer, C. J., Chu, H. H. (1957). Synthetic storm pattern for drainage design. J. Hydraulics Division ASCE 83(4), 1332-1-25.

        Examples
        --------
        >>> storm = DesignStorm.chicago(return_period=100, duration="2h", place="Shenzhen", peak=0.4)
        >>> round(storm.total_depth * 1000.0, 2), storm.hyetograph()[1].size
        (157.85, 24)
        """
        rain = _formula(place, formula, return_period, kind)
        share = _PEAK if peak is None else peak
        length, every = _lengths(duration, step)
        if not 0.0 <= share <= 1.0:
            msg = f"peak={share!r}; expected the share of the duration before the peak, from 0 to 1"
            raise UsageError(msg)
        notes = (
            *rain.notes,
            *((f"peak at {_PEAK:g} of the duration, where none is stated",) if peak is None else ()),
            *rain.duration_notes(length / 60.0),
        )
        shape = cls(UniformRain(_dry()), 1.0, "chicago", rain, length, share, seconds(begins), notes)
        return shape._filled(every)

    @classmethod
    def block(
        cls,
        *,
        duration: Duration,
        depth: float | None = None,
        return_period: float | None = None,
        place: str | None = None,
        formula: StormFormula | Mapping[str, float] | None = None,
        begins: Duration = 0.0,
        kind: FormulaKind | None = None,
    ) -> DesignStorm:
        """Return a storm of one rate.

        Parameters
        ----------
        depth
            [mm]; None takes that of the formula for the duration.
        duration, return_period, place, formula, begins, kind
            As `chicago`.

        Raises
        ------
        UsageError
            As `chicago`, or if depth and formula are both given, or neither.

        Examples
        --------
        >>> storm = DesignStorm.block(depth=30.0, duration="30min")
        >>> storm.hyetograph()[1] * 3.6e6
        array([60.])
        """
        length, _ = _lengths(duration, duration)
        if depth is not None and (place is not None or formula is not None):
            msg = f"block storm with depth={depth!r} and a formula; give one of the two"
            raise UsageError(msg)
        rain = None if depth is not None else _formula(place, formula, return_period, kind)
        total = float(rain.depth(length / 60.0)) if rain is not None else float(depth or 0.0)
        if not (math.isfinite(total) and total > 0.0):
            msg = f"block storm with depth={depth!r} mm; expected above 0"
            raise UsageError(msg)
        start = seconds(begins)
        notes = () if rain is None else (*rain.notes, *rain.duration_notes(length / 60.0))
        rate = np.array([total * 1e-3 / length])
        return cls(UniformRain(_series(np.array([start]), rate, length)), 1.0, "block", rain, length, 0.5, start, notes)

    def _filled(self, every: float) -> DesignStorm:
        """Return the storm with its hyetograph: exact differences of what has fallen."""
        edges = np.append(np.arange(0.0, self.duration - 1e-6 * every, every), self.duration)
        depths = np.diff(self._fallen(edges))
        times, rates = edges[:-1] + self.begins, depths / np.diff(edges)
        last = float(edges[-1] - edges[-2])
        if every - last > 1e-9 * every:  # the shorter last step ends by itself
            return replace(self, source=UniformRain(_series(np.append(times, edges[-1] + self.begins), np.append(rates, 0.0), None)))
        return replace(self, source=UniformRain(_series(times, rates, every)))

    def _fallen(self, since: Floats) -> Floats:
        """Return the depth until times since the storm began [m], without steps."""
        if self.formula is None or self.kind == "block":
            _, rates = self.hyetograph()
            return np.asarray(np.clip(since, 0.0, self.duration) * rates[0], np.float64)
        minutes, r, whole = np.clip(since, 0.0, self.duration) / 60.0, self.peak, self.duration / 60.0
        before, after = np.maximum(0.0, r * whole - minutes), np.maximum(0.0, minutes - r * whole)
        rise = r * (self.formula.depth(whole) - self.formula.depth(before / r)) if r > 0.0 else 0.0
        fall = (1.0 - r) * self.formula.depth(after / (1.0 - r)) if r < 1.0 else 0.0
        return np.asarray((rise + fall) * 1e-3 * self.factor, np.float64)

    def depth_between(self, begin: ArrayLike, end: ArrayLike) -> Floats:
        """Return the depth between two times of the run [m], exactly, without the steps of the hyetograph."""
        first, last = (np.asarray(one, np.float64) - self.begins for one in (begin, end))
        return np.asarray(self._fallen(last) - self._fallen(first), np.float64)

    @property
    def total_depth(self) -> float:
        """Depth of the whole storm [m]."""
        edges, rates = self.hyetograph()
        return math.fsum(np.diff(edges) * rates)

    def hyetograph(self) -> tuple[Floats, Floats]:
        """Return the edges of the steps, shape (k + 1) [s since the start of the run], and the rate in each, shape (k) [m/s]."""
        series = self.source.series if isinstance(self.source, UniformRain) else _dry()
        edges = np.append(series.times, self.begins + self.duration)
        inside = series.times < self.begins + self.duration - 1e-9
        return np.unique(edges), series.values[inside]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted, with the formula and its document."""
        f = self.formula
        what = f"design storm ({self.kind}, {say_seconds(self.duration)}, {self.total_depth * 1e3:.4g} mm)"
        little = self.total_depth < _LEAST
        made = () if f is None else (f"{what}: {f.name}, i = {f.A:.6g} / (t + {f.b:.6g})^{f.n:.6g} mm/min; {f.source or 'formula given'}",)
        weak = (f"warning: the storm totals {self.total_depth * 1e3:.4g} mm, less than 1 mm: its depth is given in mm",) if little else ()
        return (*(made or (what,)), *weak, *self.said, *super().notes)


def _formula(
    place: str | None, formula: StormFormula | Mapping[str, float] | None, return_period: float | None, kind: FormulaKind | None
) -> StormFormula:
    if (place is None) is (formula is None):
        msg = f"a design storm with place={place!r} and {'a' if formula is not None else 'no'} formula; give one of the two"
        raise UsageError(msg)
    if isinstance(formula, StormFormula):
        return formula
    if return_period is None:
        msg = "a design storm without return_period; give it in years"
        raise UsageError(msg)
    if place is not None:
        return formula_of_place(place, return_period, kind)
    numbers = dict(formula or {})
    wrong = sorted(set(numbers) ^ {"A", "b", "n"} - {"C", "factor"}) if set(numbers) - {"C", "factor"} != {"A", "b", "n"} else []
    if wrong:
        msg = f"formula={numbers!r}; expected A, b and n, and perhaps C and factor (wrong or missing: {', '.join(wrong)})"
        raise UsageError(msg)
    given = {name: float(number) for name, number in numbers.items()}
    return StormFormula.published(
        A=given["A"], b=given["b"], n=given["n"], C=given.get("C", 0.0), factor=given.get("factor", 1.0), return_period=return_period
    )


def _lengths(duration: Duration, step: Duration) -> tuple[float, float]:
    """Return duration and step [s]."""
    length, every = seconds(duration), seconds(step)
    if length <= 0.0 or every <= 0.0 or every > length or length / every > 1e6:
        msg = f"a design storm of {duration!r} in steps of {step!r}; expected both above 0, and a step not longer than the storm"
        raise UsageError(msg)
    return length, every


def _series(times: Floats, rates: Floats, step: float | None) -> Series:
    return Series(times, rates, "m/s", how="step", step=step, outside="zero", name="rain")


def _dry() -> Series:
    return _series(np.zeros(1), np.zeros(1), None)
