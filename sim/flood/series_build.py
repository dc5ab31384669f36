"""From what was handed in to a series in SI: times understood, steps and gaps found, and the series put on the clock of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.series_data import Given, SeriesData
from cim.sim.times import TIME_TOLERANCE, has_zone, instant, marked_instant, say_seconds, seconds
from cim.units import parse_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.flood.series_units import Scale

    Floats = NDArray[np.float64]

S = TypeVar("S", bound=SeriesData)

__all__ = ["build", "even_step", "on_linear_clock", "on_step_clock", "read_times"]

_EVEN_SHARE = {"step": 0.5, "linear": 0.7}
"""Share of equal steps above which a series counts as evenly spaced, so that a longer step is a gap in it."""
_NOTHING = {"zero": 0.0, "missing": np.nan}
"""What stands where a step series says nothing."""
_LONGEST = 36525.0 * 86400.0
"""A hundred years [s]: longer times are a mistake of unit."""


def build(given: Given, scale: Scale, empty: S) -> S:
    """Return the series of what was given; what is wrong with the data is kept as its problems."""
    number = _single(given)
    if number is not None:
        return _constant(number, scale, empty)
    raw_times, raw_values = given.pairs()
    times, origin, notes = read_times(raw_times, given.time_unit, given.time_zone)
    values = _numbers(raw_values)
    if times.size != values.size or times.size == 0:
        msg = f"{empty.name}: {times.size} times for {values.size} values; expected as many, and at least one"
        raise UsageError(msg)
    problems = _disorder(times)
    if problems:
        return replace(empty, times=times, values=values * scale.factor, origin=origin, notes=tuple(notes), problems=tuple(problems))
    series = replace(empty, times=times, values=values, origin=origin, step=given.step, notes=tuple(notes))
    return _in_steps(series, given, scale) if series.how == "step" else _in_lines(series, scale)


def _single(given: Given) -> float | None:
    plain = isinstance(given.data, int | float | np.integer | np.floating) and not isinstance(given.data, bool)
    return float(given.data) if plain and given.times is None else None


def _constant(number: float, scale: Scale, empty: S) -> S:
    if scale.per_step:
        msg = f"{empty.name}: {number:g} {scale.said} is a depth without a time; give a rate such as mm/h, or times"
        raise UsageError(msg)
    problems = () if np.isfinite(number) else (f"its value is {number}; expected a finite number",)
    values = np.array([number * scale.factor])
    return replace(empty, times=np.zeros(1), values=values, how="step", outside="hold", problems=problems)


def read_times(raw: Any, time_unit: str, time_zone: str | None) -> tuple[Floats, datetime | None, list[str]]:
    """Return times [s], the instant of their zero (None for durations), and what was taken for granted."""
    listed = raw.tolist() if isinstance(raw, np.ndarray) and raw.dtype.kind in "iuf" else list(raw)
    if all(isinstance(one, int | float | np.integer | np.floating) for one in listed):
        return np.asarray(listed, np.float64) * _time_factor(time_unit), None, []
    text = next((one for one in listed if isinstance(one, str)), None)
    durations = isinstance(listed[0], timedelta | np.timedelta64) or (text is not None and _is_duration(text))
    if durations:
        return np.array([seconds(one) for one in listed]), None, []
    moments = [instant(one, time_zone or "UTC") for one in listed]
    bare = 0 if time_zone else sum(not has_zone(one) for one in listed)
    first = marked_instant(listed[0]) if bare == len(listed) else moments[0]  # all of them without: the zone of the city counts
    taken = "in that of the city" if bare == len(listed) else "as UTC"
    notes = [f'{bare} times without time zone taken {taken}; say time_zone="Asia/Shanghai", or the like'] if bare else []
    return np.array([(one - moments[0]).total_seconds() for one in moments]), first, notes


def _is_duration(text: str) -> bool:
    try:
        seconds(text)
    except UsageError:
        return False
    return True


def _time_factor(unit: str) -> float:
    found = parse_unit(unit)
    if found.si != "s":
        msg = f"time_unit={unit!r} measures {found.si or 'a pure number'}; expected s, min, h or d"
        raise UsageError(msg)
    return found.factor


def _numbers(raw: Any) -> Floats:
    try:
        return np.asarray(raw, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        msg = f"the values of the series are no numbers ({error}); expected floats, NaN where missing"
        raise UsageError(msg) from error


def _disorder(times: Floats) -> list[str]:
    """Return what is wrong with the order of times."""
    if not np.isfinite(times).all():
        return [f"{np.count_nonzero(~np.isfinite(times))} of {times.size} times are missing or infinite; expected a time for every value"]
    if np.abs(times).max() > _LONGEST:
        return [f"times reach {np.abs(times).max():g} s, more than a hundred years; check the time unit"]
    back = np.diff(times)
    same, falls = int(np.count_nonzero(back == 0.0)), int(np.count_nonzero(back < 0.0))
    found = [f"{same} times stand twice, first {_said(times, back == 0.0)}; keep one value for each"] if same else []
    return found + ([f"times fall {falls} times, first {_said(times, back < 0.0)}; sort the rows, or correct the times"] if falls else [])


def _said(times: Floats, at: NDArray[np.bool_]) -> str:
    row = int(np.flatnonzero(at)[0]) + 1
    return f"in row {row + 1} ({say_seconds(float(times[row] - times[0]))} after the first)"


def even_step(times: Floats, how: str = "step") -> float | None:
    """Return the step of evenly spaced times; None where there is no such step, or too few times to tell."""
    steps = np.diff(times)
    if steps.size < 1 or (steps.size < 3 and how == "linear"):
        return None
    usual = float(np.median(steps)) if steps.size > 2 else float(steps.min())
    share = float(np.mean(np.abs(steps - usual) <= max(TIME_TOLERANCE, 1e-6 * usual)))
    return usual if share >= (1.0 if steps.size < 3 else _EVEN_SHARE[how]) else None


def _in_steps(series: S, given: Given, scale: Scale) -> S:
    """Return a step series: labels at the beginning, rates instead of depths, its step known where it can be."""
    found = even_step(series.times)
    usual = series.step or found
    notes, times, values = list(series.notes), series.times, series.values
    if given.cumulative:
        return _from_total(series, scale)
    needed = given.label == "end" or (scale.per_step and times.size < 2) or (series.gaps == "zero" and times.size > 1)
    if usual is None and needed:
        return replace(series, problems=("its step cannot be told from its times, and none is stated; give step=",))
    if given.label == "end" and usual is not None:
        times = times - usual
    if scale.per_step:
        if given.label is None:
            notes.append('each depth taken as fallen after its time; say label="end" if the time ends the step')
        values = values / (usual or np.append(np.diff(times), np.nan))
    if usual is not None and series.step is None and times.size > 1:
        notes.append(f"its step is taken as {say_seconds(usual)} from the spacing of {times.size} times")
    made = replace(series, times=times, values=values * scale.factor, step=usual, notes=tuple(notes))
    return _without_gaps(made)


def _from_total(series: S, scale: Scale) -> S:
    """Return rates from depths that add up; the value at a time is what has fallen until then."""
    if not scale.per_step or series.times.size < 2:
        return replace(series, problems=(f"cumulative values in {scale.said!r}; expected depths such as mm, at two times or more",))
    missing = np.isnan(series.values)
    times, total = series.times[~missing], series.values[~missing]
    falls = int(np.count_nonzero(np.diff(total) < 0.0))
    if falls or missing.any():
        what = f"the total falls {falls} times and is missing {np.count_nonzero(missing)} times"
        return replace(series, problems=(f"{what}; a total can only rise: remove the resets, or give depths of steps",))
    steps = np.diff(times)
    rates = np.append(np.diff(total) / steps, 0.0) * scale.factor
    note = f"rates from {times.size} totals, even between them"
    return replace(series, times=times, values=rates, step=None, notes=(*series.notes, note))


def _in_lines(series: S, scale: Scale) -> S:
    if scale.per_step:
        msg = f"{series.name}: {scale.said!r} is a depth of a step, the series is linear; give rates or levels"
        raise UsageError(msg)
    usual = series.step or even_step(series.times, "linear")
    return _without_gaps(replace(series, values=series.values * scale.factor, step=usual))


def _without_gaps(series: S) -> S:
    """Return the series with missing values and missing times refused, set to zero, or bridged; all counted."""
    bad = ~np.isfinite(series.values)
    steps = np.diff(series.times)
    long = np.zeros(0, bool) if series.step is None else steps > 1.5 * series.step
    short = (
        np.zeros(0, bool)
        if series.step is None or series.how == "linear"
        else steps < series.step - max(TIME_TOLERANCE, 1e-6 * series.step)
    )
    problems = _say_gaps(series, bad, long) if series.gaps == "refuse" else []
    if short.any():
        where = _said(series.times, short)
        problems.append(
            f"{np.count_nonzero(short)} times lie closer than the step of {say_seconds(series.step or 0.0)}, first {where}; correct step="
        )
    filled = {"zero": "taken as zero", "bridge": "bridged", "missing": "left out"}[series.gaps] if series.gaps != "refuse" else ""
    count = int(bad.sum()) + int(long.sum())
    notes = (
        (*series.notes, f"{int(bad.sum())} missing values and {int(long.sum())} missing stretches {filled}")
        if count and not problems
        else series.notes
    )
    made = replace(series, notes=notes, problems=(*series.problems, *problems))
    return made if problems or not bad.any() else _filled(made, bad)


def _say_gaps(series: SeriesData, bad: NDArray[np.bool_], long: NDArray[np.bool_]) -> list[str]:
    found, remedy = [], 'give them, or say gaps="zero" or gaps="bridge"'
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        where = f"in row {row + 1} ({say_seconds(float(series.times[row] - series.times[0]))} after the first)"
        found.append(f"{np.count_nonzero(bad)} of {bad.size} values are missing, first {where}; {remedy}")
    if long.any():
        length = float(np.diff(series.times)[long][0])
        what = f"{np.count_nonzero(long)} gaps, the first of {say_seconds(length)} {_said(series.times, long)}"
        found.append(f"{what}, while values stand every {say_seconds(series.step or 0.0)}; {remedy}")
    return found


def _filled(series: S, bad: NDArray[np.bool_]) -> S:
    if series.gaps == "zero":
        return replace(series, values=np.where(bad, 0.0, series.values))
    if series.gaps == "missing":
        return series
    if bad.all() or (series.how == "step" and bad[0]):
        return replace(series, problems=(*series.problems, "its first value is missing, so there is nothing to bridge from; give it"))
    if series.how == "linear":
        return replace(series, times=series.times[~bad], values=series.values[~bad], step=None)
    last = np.maximum.accumulate(np.where(bad, 0, np.arange(bad.size)))
    return replace(series, values=series.values[last])


def on_step_clock(series: SeriesData, offset: float, until: float) -> tuple[Floats, Floats]:
    """Return breaks from 0 to `until` and the value between each two."""
    times, values = series.times + offset, series.values
    last = series.covers[1] + offset
    edges, after = [times], [values]
    if series.step is not None and series.gaps in _NOTHING and times.size > 1:
        gap = np.flatnonzero(np.diff(times) > 1.5 * series.step)
        edges.append(times[gap] + series.step)
        after.append(np.full(gap.size, _NOTHING[series.gaps]))
    if series.outside in _NOTHING and last > times[-1]:
        edges.append(np.array([last]))
        after.append(np.array([_NOTHING[series.outside]]))
    edge, value = np.concatenate(edges), np.concatenate(after)
    order = np.argsort(edge, kind="stable")
    edge, value = edge[order], value[order]
    inside = edge[(edge > TIME_TOLERANCE) & (edge < until - TIME_TOLERANCE)]
    breaks = np.unique(np.concatenate([[0.0], inside, [until]]))
    index = np.searchsorted(edge, 0.5 * (breaks[1:] + breaks[:-1]), side="right") - 1
    before = values[0] if series.outside == "hold" else _NOTHING.get(series.outside, 0.0)
    return breaks, np.where(index < 0, before, value[np.maximum(index, 0)])


def on_linear_clock(series: SeriesData, offset: float, until: float) -> tuple[Floats, Floats]:
    """Return knots from 0 to `until` and the value at each; zero outside is a jump, two knots at one time."""
    times, values = series.times + offset, series.values
    if series.step is not None and series.gaps == "zero":
        times, values = _dropped(times, values, series.step)
    if series.outside == "zero":
        times, values = np.concatenate([times[:1], times, times[-1:]]), np.concatenate([[0.0], values, [0.0]])
    inside = (times > 0.0) & (times < until)
    ends = np.interp([0.0, until], times, values)
    if series.outside == "zero":
        ends = np.where((np.array([0.0, until]) < times[0]) | (np.array([0.0, until]) > times[-1]), 0.0, ends)
    return np.concatenate([[0.0], times[inside], [until]]), np.concatenate([ends[:1], values[inside], ends[1:]])


def _dropped(times: Floats, values: Floats, step: float) -> tuple[Floats, Floats]:
    """Return knots with zero between the two ends of each gap."""
    gap = np.flatnonzero(np.diff(times) > 1.5 * step) + 1
    times = np.insert(times, np.repeat(gap, 2), np.column_stack([times[gap - 1], times[gap]]).reshape(-1))
    return times, np.insert(values, np.repeat(gap, 2), 0.0)
