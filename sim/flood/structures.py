"""Structures that act while a flood runs: pumps and breaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.boundary import cells_of, series_of
from cim.sim.flood.kernels import PAD
from cim.sim.flood.series import seconds

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.series import PreparedSeries
    from cim.sim.flood.solver import Solver

    Ints = NDArray[np.int64]
    Control = Callable[[Solver, float], None]

__all__ = ["Breach", "Pump", "lay_structures"]


@dataclass(frozen=True)
class Pump:
    """A pump that runs while its intake is deep enough, and never takes more than is there.

    Examples
    --------
    >>> underpass = Pump((500120.0, 3460080.0), capacity=0.5, on_depth=0.3, off_depth=0.1)
    """

    intake: Any
    """A point, or a shapely geometry: the cells it touches."""
    capacity: Any = None
    """[m³/s]: a number, pairs (time, m³/s) such as ``[("0h", 0.5), ("7h", 0.5), ("7h", 0.0)]`` for one that fails, or a `Series`."""
    outlet: Any = None
    """Where its water goes; None: out of the domain."""
    on_depth: float = 0.1
    """Mean depth at the intake at which it starts [m]."""
    off_depth: float = 0.02
    """Mean depth at which it stops [m]."""
    name: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name or "pump"


@dataclass(frozen=True)
class Breach:
    """Ground that is washed away: a dyke or a wall that falls to a level within a time.

    Examples
    --------
    >>> dyke = Breach([[500100.0, 3460000.0], [500140.0, 3460000.0]], level=3.2, begin="2h", duration="30min")
    """

    where: Any
    """Points of a line, or a shapely line or polygon: the cells it touches."""
    level: float
    """Elevation to which they fall [m]; lower ground stays."""
    begin: Any = 0.0
    """When it begins, after the start."""
    duration: Any = 0.0
    """How long it takes; the crest falls evenly."""
    name: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.name or "breach"


def lay_structures(
    structures: Sequence[Pump | Breach], grid: Grid, known: NDArray[np.bool_], start: datetime | None, until: float
) -> tuple[list[Control], list[str]]:  # fmt: skip
    """Return what the solver calls before each step, and every fault, one sentence each."""
    controls: list[Control] = []
    faults: list[str] = []
    for number, one in enumerate(structures):
        if isinstance(one, Pump):
            control, wrong = _lay_pump(one, f"pump{number}", grid, known, start, until)
        else:
            control, wrong = _lay_breach(one, grid, known)
        faults += wrong
        if control is not None:
            controls.append(control)
    return controls, faults


def _lay_pump(
    one: Pump, key: str, grid: Grid, known: NDArray[np.bool_], start: datetime | None, until: float
) -> tuple[Control | None, list[str]]:  # fmt: skip
    intake, faults = cells_of(one.intake, grid, known, f"{one.label}, intake")
    outlet = None
    if one.outlet is not None:
        outlet, wrong = cells_of(one.outlet, grid, known, f"{one.label}, outlet")
        faults += wrong
    series, wrong = series_of(one.capacity, "m³/s", one.label, start, until)
    faults += wrong
    if intake is not None and outlet is not None and set(zip(*intake, strict=True)) & set(zip(*outlet, strict=True)):
        faults.append(f"{one.label}: its outlet lies in cells of its intake; it would pump in a circle")
    if not (_is_number(one.on_depth) and _is_number(one.off_depth) and one.on_depth >= one.off_depth >= 0):
        faults.append(f"{one.label}: on_depth={one.on_depth!r}, off_depth={one.off_depth!r}; expected on_depth not below off_depth, nor 0")
    if faults or intake is None or series is None:
        return None, faults
    return _RunningPump(one, key, _shifted(intake), None if outlet is None else _shifted(outlet), series), []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _shifted(cells: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    return cells[0] + PAD, cells[1] + PAD


@dataclass(frozen=True)
class _RunningPump:
    pump: Pump
    key: str
    intake: tuple[Ints, Ints]
    outlet: tuple[Ints, Ints] | None
    capacity: PreparedSeries

    def __call__(self, solver: Solver, dt: float) -> None:
        """Move the water of one step."""
        depth = solver.h[self.intake].astype(np.float64)
        mean = float(depth.mean())
        running = mean >= self.pump.on_depth or (solver.memory.get(self.key, 0.0) > 0 and mean > self.pump.off_depth)
        solver.memory[self.key] = float(running)
        if not running or not mean > 0.0:
            return
        there = float(depth.sum()) * solver.case.dx**2
        share = min(self.capacity.mean(solver.time, solver.time + dt) * dt / there, 1.0)
        moved = solver.lower(self.intake, share)
        if self.outlet is None:
            solver.ledger.book("pumped_out", moved)
        else:
            solver.add(self.outlet, moved)
        total = f"{self.key}.volume"
        solver.memory[total] = solver.memory.get(total, 0.0) + moved


def _lay_breach(one: Breach, grid: Grid, known: NDArray[np.bool_]) -> tuple[Control | None, list[str]]:
    import shapely

    try:
        where = one.where if isinstance(one.where, shapely.Geometry) else shapely.linestrings(np.asarray(one.where, float))
        begin, lasts = seconds(one.begin), seconds(one.duration)
    except (TypeError, ValueError, shapely.GEOSException) as error:
        return None, [f"{one.label}: {error}"]
    cells, faults = cells_of(where, grid, known, one.label)
    if not _is_number(one.level):
        faults.append(f"{one.label}: level={one.level!r}; expected an elevation [m]")
    return (None, faults) if faults or cells is None else (_RunningBreach(_shifted(cells), one.level, begin, lasts), [])


@dataclass
class _RunningBreach:
    cells: tuple[Ints, Ints]
    level: float
    begin: float
    lasts: float

    def __call__(self, solver: Solver, dt: float) -> None:
        """Lower the crest to where it is at the end of the step."""
        done = solver.time + dt - self.begin
        if done <= 0:
            return
        rows, columns = self.cells
        crest = solver.case.elevation[rows - PAD, columns - PAD]
        share = min(done / self.lasts, 1.0) if self.lasts > 0 else 1.0
        lowered = crest - share * np.maximum(crest - self.level, 0.0)
        solver.z[self.cells] = np.minimum(solver.z[self.cells], lowered - solver.base)  # another breach of these cells may be ahead
