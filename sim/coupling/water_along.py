"""The water along pieces of road from output to output: what it is at the cells that their lines cross.

What a run holds at its output times is read for the cells of roads only, some times at a time. In the interval between two outputs the
water is the deeper, or the faster, of both; where the run says that it was more than at any output, that greatest value holds in every
interval that touches an output at which the cell had its most: the instant is not known, and the peak must not be missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.impact.water import DIGITS

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CellWater", "Clock", "clock_of", "water_at"]

_AT_ONCE = 3_000_000
"""Numbers that one field of a chunk may hold."""


@dataclass(frozen=True)
class Clock:
    """The intervals of a run."""

    begin: Floats
    """[s since the start of the run], shape (intervals,)."""
    end: Floats
    start: datetime | None
    """First instant, UTC; None where the run states none."""
    outputs: bool
    """Whether the run holds the water at the ends of the intervals; else one interval has the greatest water of the run."""

    def __len__(self) -> int:
        """Return the number of intervals."""
        return len(self.begin)


@dataclass(frozen=True)
class CellWater:
    """The water of some cells in some intervals; shapes (intervals, cells), NaN where not known."""

    first: int
    """Number of the first interval."""
    depth: Floats
    velocity: Floats
    """[m/s]."""
    product: Floats
    """Depth times velocity [m²/s]."""


def clock_of(water: Fields) -> tuple[Clock, list[str]]:
    """Return the intervals between the outputs of a run, and what is to be told of them."""
    start = _utc(water.run.start)
    field = water.dataset["water_depth"] if "water_depth" in water.dataset.data_vars else None
    if field is not None and field.sizes.get("time", 1) > 1:
        stamps = field["time"].values.astype("datetime64[us]")
        zero = stamps[0] if start is None else np.datetime64(start.replace(tzinfo=None), "us")
        times = (stamps - zero) / np.timedelta64(1, "s")
        return Clock(times[:-1], times[1:], start, outputs=True), []
    until = water.run.parameters.get("until")
    end = float(until) if isinstance(until, int | float) else np.inf
    told = "the run holds no depths over time: its greatest water stands on the roads from beginning to end"
    return Clock(np.zeros(1), np.array([end]), start, outputs=False), [told]


def _utc(start: datetime | None) -> datetime | None:
    return start.astimezone(UTC) if start is not None and start.tzinfo is not None else None if start is None else start.replace(tzinfo=UTC)


@dataclass(frozen=True)
class _Peaks:
    """Of every cell: the greatest value at an output, and the intervals that touch an output at which it was so."""

    most: Floats
    first: Ints
    last: Ints

    def raised(self, values: Floats, number: Ints, greatest: Floats) -> Floats:
        """Return the values of intervals with what the run says was there between outputs."""
        return np.where(self.near(number) & (greatest > self.most), np.fmax(values, greatest), values)

    def near(self, number: Ints) -> Bools:
        """Return which intervals touch the cell's greatest output, shape (intervals, cells)."""
        return (number[:, None] >= self.first) & (number[:, None] <= self.last)


def water_at(water: Fields, read: Water, clock: Clock, cells: Ints, width: int = 0) -> tuple[Iterator[CellWater], list[str]]:
    """Return the water of some cells from interval to interval, and what was taken for granted.

    Parameters
    ----------
    read
        The same run as the impact reads it: its greatest values hold here too.
    cells
        Places in the flattened grid.
    width
        Numbers per time that the caller makes of them: decides how many times are read at once.
    """
    depth, velocity, product = (one[cells] for one in (read.depth, read.velocity, read.depth_velocity))
    if not clock.outputs:
        return iter([CellWater(0, depth[None], velocity[None], product[None])]), []
    source = _Outputs(water.dataset, cells, velocity, product, width)
    return source.intervals(depth, read.wet_depth), source.told(depth)


class _Outputs:
    """The fields of a run at some cells, read some times at a time."""

    def __init__(self, dataset: xarray.Dataset, cells: Ints, velocity: Floats, product: Floats, width: int) -> None:
        self.depth = dataset["water_depth"].transpose("time", "y", "x")
        names = ("flow_velocity_x", "flow_velocity_y")
        self.flow = [dataset[name].transpose("time", "y", "x") for name in names if name in dataset.data_vars]
        self.cells, self.velocity, self.product = cells, velocity, product
        self.times = int(self.depth.sizes["time"])
        self.step = max(1, min(self.times, _AT_ONCE // max(len(cells), width, 1)))
        self.peaks = self._peaks()

    @property
    def moves(self) -> bool:
        """Whether the run holds velocities over time."""
        return len(self.flow) == 2

    def told(self, greatest: Floats) -> list[str]:
        """Return what was taken for granted."""
        said = ["between two outputs the water of the interval is the deeper of both"]
        with np.errstate(invalid="ignore"):
            between = int((greatest > self.peaks["depth"].most).sum())
            over = int((greatest < self.peaks["depth"].most).sum())
        if over:
            said.append(f"{over:,} cells of roads are deeper at an output than the run's own greatest: its fields do not fit together")
        if between:
            said.append(
                f"{between:,} of {len(self.cells):,} cells of roads were deeper between outputs than at any: their greatest depth is taken "
                "in the intervals beside their deepest output"
            )
        if not self.moves and not np.isnan(self.velocity).all():
            said.append(
                "the run holds no velocities over time: its greatest velocity is taken wherever and whenever a road is wet, so roads may "
                "close too early and open too late, never the other way round"
            )
        return said

    def _values(self, first: int, last: int) -> dict[str, Floats]:
        """Return depth, velocity and product at outputs `first` to `last`, shape (outputs, cells)."""
        found = {"depth": self._of(self.depth, first, last).round(DIGITS)}
        if self.moves:
            speed = np.hypot(*(self._of(one, first, last) for one in self.flow)).round(DIGITS)
            found["velocity"] = np.fmin(speed, self.velocity)  # the run's own greatest is the bound, as for the impact
            found["product"] = np.fmin((speed * found["depth"]).round(DIGITS), self.product)
        return found

    def _of(self, field: xarray.DataArray, first: int, last: int) -> Floats:
        values: Any = field.isel(time=slice(first, last + 1)).values
        return np.asarray(values.reshape(len(values), -1)[:, self.cells], np.float64)

    def _peaks(self) -> dict[str, _Peaks]:
        """Look through all outputs for the greatest values."""
        count = len(self.cells)
        most: dict[str, Floats] = {}
        first: dict[str, Ints] = {}
        last: dict[str, Ints] = {}
        for begin in range(0, self.times, self.step):
            end = min(begin + self.step, self.times) - 1
            for name, values in self._values(begin, end).items():
                here = np.where(np.isnan(values), -np.inf, values)
                old = most.setdefault(name, np.full(count, -np.inf))
                early, late = first.setdefault(name, np.zeros(count, np.int64)), last.setdefault(name, np.zeros(count, np.int64))
                top = here.max(axis=0)
                new, same = top > old, top == old
                late_here = begin + len(here) - 1 - np.argmax(here[::-1] == top, axis=0)
                early[new] = (begin + np.argmax(here == top, axis=0))[new]
                late[new | same] = late_here[new | same]
                most[name] = np.maximum(old, top)
        return {name: _Peaks(most[name], first[name] - 1, last[name]) for name in most}

    def intervals(self, greatest: Floats, wet: float) -> Iterator[CellWater]:
        """Give the water of the intervals, chunk by chunk."""
        for begin in range(0, self.times - 1, self.step):
            end = min(begin + self.step, self.times - 1)
            number = np.arange(begin, end)
            held = {name: np.fmax(values[:-1], values[1:]) for name, values in self._values(begin, end).items()}
            depth = self.peaks["depth"].raised(held["depth"], number, greatest)
            if self.moves:
                velocity = self.peaks["velocity"].raised(held["velocity"], number, self.velocity)
                product = self.peaks["product"].raised(held["product"], number, self.product)
            else:
                near = self.peaks["depth"].near(number)
                velocity = np.where(near | (depth >= wet), self.velocity, np.where(np.isnan(self.velocity), np.nan, 0.0))
                product = np.where(near, self.product, np.fmin(velocity * depth, self.product))
            yield CellWater(begin, depth, velocity, product)
