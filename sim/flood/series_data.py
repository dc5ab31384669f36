"""What a time series is, and the forms in which a caller may hand one in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["Gaps", "Given", "How", "Label", "Outside", "SeriesData"]

How = Literal["step", "linear"]
Label = Literal["start", "end"]
Outside = Literal["refuse", "zero", "hold", "missing"]
Gaps = Literal["refuse", "zero", "bridge", "missing"]


@dataclass(frozen=True, eq=False)
class SeriesData:
    """Values over time in SI, as plain data, with all that was found wrong with them."""

    times: Floats
    """Shape (n,) [s since `origin`, or since the start of the run when there is no origin]."""
    values: Floats
    """Shape (n,), in `unit`."""
    unit: str
    """SI: "m/s" (rain), "m³/s" (inflow), "m" (stage)."""
    how: How = "linear"
    """``"step"``: a value holds from its time on; ``"linear"``: straight between times."""
    origin: datetime | None = None
    """UTC instant of time 0; None: time 0 is the start of the run."""
    step: float | None = None
    """How long a value of a step series holds at most [s]; None: until the next."""
    outside: Outside = "refuse"
    """Before the first and after the last value: refuse the run, take zero, hold the nearest value, or leave missing (stations only)."""
    gaps: Gaps = "refuse"
    """Where values are missing: refuse, take zero, bridge (hold the last value; straight line of a linear series), or leave missing
    (stations only: the others stand in)."""
    factor: float | None = None
    """SI in one of the unit that was stated; None for depths of steps."""
    name: str = "series"
    notes: tuple[str, ...] = ()
    """What was taken for granted, with counts."""
    problems: tuple[str, ...] = ()
    """What is wrong with the data itself; every one is a fault."""

    @property
    def is_constant(self) -> bool:
        """Whether one value holds for all times."""
        return self.times.size == 1 and self.outside == "hold"

    @property
    def covers(self) -> tuple[float, float]:
        """First and last time of which something is known [s since origin]."""
        if not self.times.size:
            return (0.0, 0.0)
        holds = self.step or 0.0 if self.how == "step" else 0.0
        return float(self.times[0]), float(self.times[-1]) + holds


@dataclass(frozen=True, eq=False)
class Given:
    """What the caller handed in, before it is understood."""

    data: Any
    times: Any
    time_unit: str
    time_zone: str | None
    step: float | None
    label: Label | None
    cumulative: bool

    def pairs(self) -> tuple[Any, ArrayLike]:
        """Return times and values as given.

        Raises
        ------
        UsageError
            If the data has no times.
        """
        if self.times is not None:
            return self.times, self.data
        if hasattr(self.data, "index") and hasattr(self.data, "to_numpy"):
            if getattr(self.data, "ndim", 1) != 1:
                msg = f"the data frame has {self.data.shape[1]} columns; choose one: frame[name]"
                raise UsageError(msg)
            return list(self.data.index), self.data.to_numpy(dtype=np.float64, na_value=np.nan)
        if isinstance(self.data, Mapping):
            return list(self.data), list(self.data.values())
        return _columns(self.data)


def _columns(data: Any) -> tuple[Any, ArrayLike]:
    rows = list(data) if hasattr(data, "__iter__") and not isinstance(data, str) else []
    if not rows or not all(hasattr(row, "__len__") and not isinstance(row, str) and len(row) == 2 for row in rows):
        msg = (
            f"a series of {type(data).__name__}; expected a number, pairs (time, value), a mapping, a pandas Series, or values with times="
        )
        raise UsageError(msg)
    return [row[0] for row in rows], [row[1] for row in rows]
