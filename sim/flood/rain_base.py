"""What every kind of rain has in common: rates that stay the same between breaks, and whether they can be rain at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cim.errors import UsageError
from cim.sim.times import say_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Grid

    Floats = NDArray[np.float64]

__all__ = ["HIGHEST_RATE", "LOWEST_PEAK", "MM_PER_HOUR", "PreparedRain", "RainSource", "implausible", "refuse"]

MM_PER_HOUR = 1e-3 / 3600.0
"""m/s in one mm/h."""
HIGHEST_RATE = 3000.0 * MM_PER_HOUR
"""No rain is heavier [m/s]. Highest measured: 31.2 mm in a minute, 1,872 mm/h (Unionville, Maryland, 1956; WMO archive of extremes)."""
LOWEST_PEAK = 0.01 * MM_PER_HOUR
"""No gauge sees a rain whose heaviest moment is weaker [m/s]: one tip of 0.1 mm in ten hours."""
_LIKELY = (0.5 * MM_PER_HOUR, 500.0 * MM_PER_HOUR)
"""Heaviest moment of a usual rain [m/s], to name the unit that was perhaps meant."""
_UNITS = {"mm/h": MM_PER_HOUR, "m/s": 1.0, "mm/min": 1e-3 / 60.0, "mm/s": 1e-3, "mm/d": 1e-3 / 86400.0}


@dataclass(frozen=True, eq=False)
class PreparedRain:
    """Rain on the clock and the cells of a run."""

    breaks: Floats
    """Shape (k + 1) [s since start], from 0 to the end; the rate is constant between two."""
    rate_of: Callable[[int], float | Floats]

    def rate(self, index: int) -> float | Floats:
        """Return the rate from break `index` to the next [m/s]: one number, or shape (ny, nx) with row 0 in the north."""
        return self.rate_of(index)

    def depth(self) -> float | Floats:
        """Return the depth of the whole run [m], one number or shape (ny, nx)."""
        total: float | Floats = 0.0
        for index, length in enumerate(np.diff(self.breaks)):
            total = total + self.rate(index) * float(length)
        return total


class RainSource(Protocol):
    """Where rain comes from: one series, a grid in time, stations."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted."""

    def faults(self, grid: Grid, start: datetime | None, until: float) -> list[str]:
        """Return every reason why it cannot drive a run."""

    def prepare(self, grid: Grid, start: datetime | None, until: float) -> PreparedRain:
        """Return it on the clock and the cells of a run without faults."""

    def scaled(self, factor: float) -> RainSource:
        """Return it with all rates multiplied."""


def implausible(lowest: float, highest: float, where: str = "", *, factor: float | None = None) -> list[str]:
    """Return why rates cannot be rain: below zero, above every record, or so weak that the unit must be wrong.

    Parameters
    ----------
    lowest, highest
        Smallest and largest rate [m/s].
    where
        Said behind the value found: "at station A".
    factor
        m/s in one of the unit that was stated, to name the unit that was perhaps meant.

    Examples
    --------
    >>> implausible(0.0, 60.0, factor=1.0)[0][42:]
    'above the 3,000 mm/h that no rain reaches: the wrong unit? State another with unit= (60 in mm/h is 60 mm/h), or let it pass with ...'
    """
    at = f" {where}" if where else ""
    found = (
        []
        if lowest >= 0.0
        else [f"rain: the lowest rate{at} is {lowest / MM_PER_HOUR:g} mm/h; expected none below 0, set missing ones to NaN"]
    )
    if highest > HIGHEST_RATE:
        limit = f"above the {HIGHEST_RATE / MM_PER_HOUR:,.0f} mm/h that no rain reaches"
    elif 0.0 < highest < LOWEST_PEAK:
        limit = f"below the {LOWEST_PEAK / MM_PER_HOUR:g} mm/h that a gauge can see"
    else:
        return found
    remedy = f"the wrong unit? State another with unit={_perhaps(highest, factor)}, or let it pass with plausible=False"
    return [*found, f"rain: the heaviest rate{at} is {highest / MM_PER_HOUR:.4g} mm/h, {limit}: {remedy}"]


def _perhaps(highest: float, factor: float | None) -> str:
    """Say in which unit the number given would be rain."""
    if factor is None:
        return ""
    number = highest / factor
    for unit, size in _UNITS.items():
        if _LIKELY[0] <= number * size <= _LIKELY[1]:
            return f" ({number:.4g} in {unit} is {number * size / MM_PER_HOUR:.4g} mm/h)"
    return ""


def refuse(faults: Sequence[str]) -> None:
    """Raise all faults in one message, if there are any.

    Raises
    ------
    UsageError
        Naming every fault.
    """
    if faults:
        msg = f"rain: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults)
        raise UsageError(msg)


def not_covered(first: float, last: float, until: float) -> list[str]:
    """Return why times from `first` to `last` [s since start] do not cover a run."""
    if first <= 0.001 and last >= until - 0.001:
        return []
    reach = f"from {say_seconds(first)} to {say_seconds(last)} after the start"
    remedy = 'give the missing part, change start= or until=, or say outside="zero"'
    return [f"rain: it reaches {reach}, the run from 0 to {say_seconds(until)}; {remedy}"]


__all__ += ["not_covered"]
