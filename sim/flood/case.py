"""What a run of the flood solver is given, as arrays: ground, rain, edges, sources, first water."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.flood.solver import Solver
    from cim.sim.flood.split import Split

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Case", "Edge", "Series", "Source", "highest"]


class Series(Protocol):
    """A quantity over time."""

    def mean(self, first: float, last: float) -> float:
        """Return the mean between two times [s]."""


def highest(series: Series, first: float, last: float) -> Any:
    """Return the largest value between two times."""
    knots = getattr(series, "times", np.empty(0))
    inner = knots[(knots > first) & (knots < last)]
    return np.maximum.reduce([series.mean(time, time) for time in (first, *inner.tolist(), last)])


@dataclass(frozen=True)
class Edge:
    """Cells of one side of the grid through which water passes."""

    side: int
    """0 west, 1 east, 2 north, 3 south."""
    cells: Ints
    """Rows (west, east) or columns (north, south), from 0."""
    kind: int
    """`kernels.FREE`, `STAGE` or `INFLOW`."""
    series: Series | None = None
    """Level [m] or discharge [m³/s] of all cells together; none for `FREE`."""
    depth: float = 0.0
    """Depth of an inflow that is faster than its waves [m]; 0: critical."""
    name: str = ""
    split: Split | None = None
    """How an inflow is divided among the cells; None: evenly. `series` is then the discharge of all its sides."""


@dataclass(frozen=True)
class Source:
    """Cells into which water is poured, or (`drain`) from which all of it leaves."""

    cells: tuple[Ints, Ints]
    """Rows and columns."""
    series: Series | None = None
    """Discharge of all cells together [m³/s]."""
    drain: bool = False
    name: str = ""


@dataclass(frozen=True)
class Case:
    """Everything a run needs, as arrays of shape (ny, nx)."""

    elevation: Floats
    """Ground [m], NaN where there is none: a wall."""
    dx: float
    """Edge of a cell [m]."""
    roughness: float | Floats
    """Manning's n [s/m^(1/3)]."""
    rain: Any = None
    """`breaks` [s] and `rate(i)` [m/s] between two of them."""
    rain_to: tuple[Ints, Ints] | None = None
    """Flat cells whose rain falls elsewhere, and where."""
    infiltration: Any = None
    """A law with `start` and `step`."""
    edges: Sequence[Edge] = ()
    sources: Sequence[Source] = ()
    controls: Sequence[Callable[[Solver, float], None]] = ()
    """Called before each step with the solver and the length of the step [s]: pumps, breaches."""
    depth: Floats | None = None
    """Water at the start [m]."""
    momentum: tuple[Floats, Floats] | None = None
    """Unit discharge at the start, east and south [m²/s]."""
    scheme: str = "standard"
    precision: str = "float32"
    wet_depth: float = 0.05
    """Depth that counts as flooded [m]."""
