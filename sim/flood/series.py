"""Time series that drive a flood: rain, inflow, stage; in SI, with every gap and doubt named before step 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.series_build import build, on_linear_clock, on_step_clock
from cim.sim.flood.series_data import Gaps, Given, How, Label, Outside, SeriesData
from cim.sim.flood.series_files import read_table
from cim.sim.flood.series_units import scale_of
from cim.sim.times import TIME_TOLERANCE, instant, say_seconds, seconds, zone_is_assumed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["PreparedSeries", "Series", "instant", "say_seconds", "seconds"]

_WEEK = 604800.0
"""No summer time is shorter [s]."""


@dataclass(frozen=True, eq=False)
class PreparedSeries:
    """A series on the clock of a run, known at every time from 0 to the end."""

    times: Floats
    """Knots [s since start], rising from 0 to the end; linear series may hold a time twice, where they jump."""
    values: Floats
    """SI; ``"step"``: one less than times, value i holds from time i to time i + 1; ``"linear"``: one per time."""
    how: How

    def at(self, time: float) -> float:
        """Return the value at a time [s since start]; a step series jumps at its knot to the new value."""
        if self.how == "linear":
            return float(np.interp(time, self.times, self.values))
        index = int(np.searchsorted(self.times, time, side="right")) - 1
        return float(self.values[min(max(index, 0), self.values.size - 1)])

    def integral(self, begin: float, end: float) -> float:
        """Return the exact integral between two times within the run: m³ of m³/s, m of m/s."""
        inner = self.times[(self.times > begin) & (self.times < end)]
        knots = np.unique(np.concatenate([[begin], inner, [end]]))
        middle = 0.5 * (knots[1:] + knots[:-1])
        if self.how == "linear":  # straight between knots, so the value in the middle is the mean
            return math.fsum(np.interp(middle, self.times, self.values) * np.diff(knots))
        index = np.clip(np.searchsorted(self.times, middle, side="right") - 1, 0, self.values.size - 1)
        return math.fsum(self.values[index] * np.diff(knots))

    def mean(self, begin: float, end: float) -> float:
        """Return the exact mean between two times; the value where they are the same."""
        return self.integral(begin, end) / (end - begin) if end > begin else self.at(begin)


@dataclass(frozen=True, eq=False)
class Series(SeriesData):
    """Values over time in SI, with all that was found wrong with them."""

    @classmethod
    def of(  # noqa: PLR0913 - all that a series may leave open is stated here
        cls,
        data: Any,
        *,
        unit: str | None = None,
        kind: str | None = None,
        how: How = "linear",
        times: Any = None,
        time_unit: str = "s",
        time_zone: str | None = None,
        step: float | str | timedelta | None = None,
        label: Label | None = None,
        cumulative: bool = False,
        outside: Outside = "refuse",
        gaps: Gaps = "refuse",
        name: str = "series",
    ) -> Series:
        """Return a series from a number, arrays, pairs, a mapping, a pandas series, or a series itself.

        Parameters
        ----------
        data
            One number (constant in time); pairs (time, value); a mapping time -> value; a pandas Series whose index is the time; values
            with `times` given beside them; or a `Series`.
        unit
            "mm/h", "mm" (depth of each step), "mm/5min", "m/s", "in/h", "m3/s", "L/s", "m"; never guessed.
        kind
            The SI unit that is expected: "m/s", "m³/s" or "m".
        how
            Step or linear.
        times, time_unit
            Instants or durations; bare numbers are in `time_unit`.
        time_zone
            Of times that do not say theirs; None takes that of the city of the run, and notes it.
        step
            How long each value holds; found from the times where they are even.
        label
            Whether a time is the beginning (default) or the ``"end"`` of the time its value stands for. Step series only.
        cumulative
            The values add up: each is the depth since the beginning.
        outside, gaps, name
            As the fields.

        Raises
        ------
        UsageError
            If the unit is missing, unknown or of another kind, or the data has no such form.

        Examples
        --------
        >>> rain = Series.of({"0min": 6.0, "10min": 12.0}, unit="mm/h", kind="m/s", how="step", step="10min")
        >>> rain.values * 3.6e6, rain.covers
        (array([ 6., 12.]), (0.0, 1200.0))
        """
        _check_choices({"how": how, "label": label, "outside": outside, "gaps": gaps})
        if isinstance(data, Series):
            return data.expect(kind, name)
        scale = scale_of(unit, kind, name)
        given = Given(data, times, time_unit, time_zone, None if step is None else seconds(step), label, cumulative)
        return build(
            given,
            scale,
            cls(
                np.zeros(0),
                np.zeros(0),
                scale.si,
                how=how,
                outside=outside,
                gaps=gaps,
                factor=None if scale.per_step else scale.factor,
                name=name,
            ),
        )

    @classmethod
    def constant(cls, value: float, unit: str, *, kind: str | None = None, name: str = "series") -> Series:
        """Return a series that never changes."""
        return cls.of(value, unit=unit, kind=kind, how="step", outside="hold", name=name)

    @classmethod
    def read(cls, path: str | Path, *, unit: str | None = None, column: str | None = None, **options: Any) -> Series:
        """Return a series from a text file: CSV with headers in Chinese or English (UTF-8, GBK), two plain columns, or a rain file of SWMM.

        Parameters
        ----------
        path
            The file.
        unit
            As `of`; may be left out where the header says it: ``雨量(mm/h)``.
        column
            Header of the values (the station of a SWMM file); needed where several columns have numbers.
        **options
            As `of`.

        Raises
        ------
        InputError
            If the file cannot be read as a table of times and numbers.
        UsageError
            As `of`.
        """
        table = read_table(path, column=column, time_unit=options.pop("time_unit", None), station=options.pop("station", None))
        scale = unit if unit is not None else table.unit
        made = cls.of(table.values, times=table.times, unit=scale, time_unit=table.time_unit, **{**table.options, **options})
        return replace(made, notes=(*table.notes, *made.notes))

    def expect(self, kind: str | None, name: str) -> Series:
        """Return the series under another name, refusing one that measures something else."""
        if kind is not None and self.unit != kind:
            msg = f"{name}: the series is in {self.unit}, expected {kind}; make it with the right unit"
            raise UsageError(msg)
        return replace(self, name=name)

    def times_factor(self, factor: float) -> Series:
        """Return the series with all values multiplied."""
        return replace(self, values=self.values * factor)

    def faults(self, start: datetime | None, until: float) -> list[str]:
        """Return every reason why the series cannot drive a run from 0 to `until` [s]."""
        found = [f"{self.name}: {problem}" for problem in self.problems]
        if self.origin is not None and start is None:
            return [
                *found,
                f"{self.name}: its times are instants (from {self.origin.isoformat()}), the run has none; give start=, or times since it",
            ]
        if start is not None and self._clock_changes(start):
            zone = start.tzinfo
            return [*found, f'{self.name}: its times cross the change to summer or winter time of {zone}: say time_zone="{zone}"']
        if found or self.outside != "refuse" or self.is_constant:
            return found
        first, last = (time + self._offset(start) for time in self.covers)
        return [f"{self.name}: {fault}" for fault in self._uncovered(first, last, until)]

    def _uncovered(self, first: float, last: float, until: float) -> list[str]:
        if first <= TIME_TOLERANCE and last >= until - TIME_TOLERANCE:
            return []
        where = f"from {say_seconds(first)} to {say_seconds(last)} after the start"
        if last <= 0.0 or first >= until:
            shift = (
                f"they lie {say_seconds(first if first >= until else -last)} {'after the end' if first >= until else 'before the start'}"
            )
            return [f"its values reach {where}, not one within the run of {say_seconds(until)}: {shift}; check start= and time_zone="]
        remedy = 'give the missing part, change start= or until=, or say outside="zero" or outside="hold"'
        return [f"its values reach {where}, the run from 0 to {say_seconds(until)}; {remedy}"]

    def _clock_changes(self, start: datetime) -> bool:
        """Return whether times that state no zone are shifted by the offset of the first one, and another one is not the same."""
        if self.origin is None or start.tzinfo is None or not self.times.size or not zone_is_assumed(self.origin):
            return False
        local = self.origin.replace(tzinfo=None)
        first, last = float(self.times.min()), float(self.times.max())
        weeks = [*np.arange(first, last, _WEEK).tolist(), last]
        return len({(local + timedelta(seconds=one)).replace(tzinfo=start.tzinfo).utcoffset() for one in weeks}) > 1

    def _offset(self, start: datetime | None) -> float:
        if self.origin is None or start is None:
            return 0.0
        return (instant(self.origin, start.tzinfo or "UTC") - start).total_seconds()

    def prepare(self, start: datetime | None, until: float) -> PreparedSeries:
        """Return the series on the clock of a run from `start`, 0 to `until` [s].

        Raises
        ------
        UsageError
            With every fault.
        """
        faults = self.faults(start, until)
        if faults:
            msg = f"{len(faults)} faults:\n  " + "\n  ".join(faults)
            raise UsageError(msg)
        put = on_step_clock if self.how == "step" else on_linear_clock
        times, values = put(self, self._offset(start), until)
        return PreparedSeries(times, values, self.how)


_CHOICES = {"how": get_args(How), "label": (*get_args(Label), None), "outside": get_args(Outside), "gaps": get_args(Gaps)}


def _check_choices(given: Mapping[str, Any]) -> None:
    wrong = [
        f"{name}={value!r}; expected {', '.join(map(repr, _CHOICES[name]))}" for name, value in given.items() if value not in _CHOICES[name]
    ]
    if wrong:
        msg = "; ".join(wrong)
        raise UsageError(msg)
