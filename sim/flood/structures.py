"""Structures that act while a flood runs: pumps and breaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.boundary import cells_of, said, series_of
from cim.sim.flood.elevation import is_number
from cim.sim.flood.gauges import instants_of
from cim.sim.flood.identity import fingerprint_of
from cim.sim.flood.kernels import PAD
from cim.sim.flood.series import instant, say_seconds, seconds
from cim.sim.flood.told import jet_told, outline
from cim.sim.times import TIME_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.series import PreparedSeries
    from cim.sim.flood.solver import Solver

    Ints = NDArray[np.int64]
    Control = Callable[[Solver, float], None]

__all__ = ["Breach", "Pump", "ground_now", "lay_structures", "structure_rows", "structures_table", "washes"]

_DEEPEST = 100.0
"""A breach that digs further below all ground [m] has a level in another unit or height system."""


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
    """[m³/s]: a number, pairs (time, m³/s) such as ``[("0h", 0.5), ("7h", 0.5), ("7h1s", 0.0), ("9h", 0.0)]`` for one that
    fails, or a `Series`."""
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
        return said(self.name) or "pump"


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
    """When it begins: a duration after the start, or an instant (in the zone of the city unless it says its own)."""
    duration: Any = 0.0
    """How long it takes; the crest falls evenly."""
    name: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return said(self.name) or "breach"


def lay_structures(
    structures: Sequence[Pump | Breach], grid: Grid, ground: NDArray[np.float64], start: datetime | None, until: float
) -> tuple[list[Control], list[str], list[str]]:  # fmt: skip
    """Return what the solver calls before each step, every fault, and what a reader of the result should know; one sentence each."""
    controls: list[Control] = []
    faults: list[str] = []
    notes: list[str] = []
    for label, one in zip(_labels(structures), structures, strict=True):
        if isinstance(one, Pump):
            control, wrong, told = _lay_pump(one, label, grid, np.isfinite(ground), start, until)
        else:
            control, wrong, told = _lay_breach(one, label, grid, ground, start, until)
        notes += told
        faults += wrong
        if control is not None:
            controls.append(control)
    return controls, faults, notes


def _labels(structures: Sequence[Pump | Breach]) -> list[str]:
    """Return a name for each; those that share one are counted."""
    names = [one.label for one in structures]
    return [f"{name} {names[: place + 1].count(name)}" if names.count(name) > 1 else name for place, name in enumerate(names)]


def _lay_pump(
    one: Pump, label: str, grid: Grid, known: NDArray[np.bool_], start: datetime | None, until: float
) -> tuple[Control | None, list[str], list[str]]:  # fmt: skip
    notes: list[str] = []
    intake, faults = cells_of(one.intake, grid, known, f"{label}, intake")
    outlet = None
    if one.outlet is not None:
        outlet, wrong = cells_of(one.outlet, grid, known, f"{label}, outlet")
        faults += wrong
    series, wrong = series_of(one.capacity, "m³/s", label, start, until)
    faults += wrong
    if intake is not None and outlet is not None and set(zip(*intake, strict=True)) & set(zip(*outlet, strict=True)):
        faults.append(f"{label}: its outlet lies in cells of its intake; it would pump in a circle")
    if not (is_number(one.on_depth) and is_number(one.off_depth) and one.on_depth >= one.off_depth >= 0):
        faults.append(f"{label}: on_depth={one.on_depth!r}, off_depth={one.off_depth!r}; expected on_depth not below off_depth, nor 0")
    if faults or intake is None or series is None:
        return None, faults, []
    for cells, at in ((intake, "intake"), (outlet, "outlet")):
        if cells is not None:
            wrong, told = jet_told(f"{label}, {at}", float(np.max(series.values, initial=0.0)), outline(cells, grid))
            faults += wrong if at == "outlet" else []
            notes += told if at == "outlet" else [f"warning: {one}" for one in wrong] + told  # it takes no more than is there
    key = f"pump:{'outside' if outlet is None else 'inside'}:{fingerprint_of([intake, outlet])[-8:]}:{label}"
    return _RunningPump(one, key, _shifted(intake), None if outlet is None else _shifted(outlet), series), faults, notes


def _shifted(cells: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    return cells[0] + PAD, cells[1] + PAD


_VOLUME, _FALLEN = ".volume", ".fallen"


@dataclass(frozen=True)
class _RunningPump:
    pump: Pump
    key: str
    """What it is remembered by, in checkpoints and branches, too: where it stands and its name."""
    intake: tuple[Ints, Ints]
    outlet: tuple[Ints, Ints] | None
    capacity: PreparedSeries

    def __call__(self, solver: Solver, dt: float) -> None:
        """Move the water of one step."""
        depth = solver.h[self.intake].astype(np.float64)
        mean = float(depth.mean())
        running = mean >= self.pump.on_depth or (solver.memory.get(self.key, 0.0) > 0 and mean > self.pump.off_depth)
        solver.memory[self.key] = float(running)
        total = f"{self.key}{_VOLUME}"
        solver.memory.setdefault(total, 0.0)
        if not running or not mean > 0.0:
            return
        there = float(depth.sum()) * solver.case.dx**2
        share = min(self.capacity.mean(solver.time, solver.time + dt) * dt / there, 1.0)
        moved = solver.lower(self.intake, share)
        if self.outlet is None:
            solver.ledger.book("pumped_out", moved)
        else:
            solver.add(self.outlet, moved)
        solver.memory[total] += moved


def _lay_breach(
    one: Breach, label: str, grid: Grid, ground: NDArray[np.float64], start: datetime | None, until: float
) -> tuple[Control | None, list[str], list[str]]:  # fmt: skip
    import shapely

    faults: list[str] = []
    cells = None
    try:
        where = one.where if isinstance(one.where, shapely.Geometry) else shapely.linestrings(np.asarray(one.where, float))
        cells, faults = cells_of(where, grid, np.isfinite(ground), label)
    except (TypeError, ValueError, shapely.GEOSException) as error:
        faults.append(f"{label}: {error}")
    begin, lasts = _begin_of(one, label, start, until, faults), 0.0
    try:
        lasts = seconds(one.duration)
    except UsageError as error:
        faults.append(f"{label}: {error}; a breach does not end before it begins")
    if not is_number(one.level):
        faults.append(f"{label}: level={one.level!r}; expected an elevation [m]")
    elif cells is not None:
        faults += _level_faults(one, label, ground, ground[cells])
    if faults or cells is None or begin is None:
        return None, faults, []
    key = f"breach:inside:{fingerprint_of(cells)[-8:]}:{label}"
    return (
        _RunningBreach(_shifted(cells), float(one.level), begin, lasts, key),
        [],
        _breach_told(one, label, ground, cells, begin, lasts, until),
    )


def _begin_of(one: Breach, label: str, start: datetime | None, until: float, faults: list[str]) -> float | None:
    """Return when a breach begins [s after the start]; None, with a fault, where it does not within the run."""
    try:
        begin = seconds(one.begin)
    except UsageError:
        try:
            moment = instant(one.begin, "UTC" if start is None else start.tzinfo or "UTC")
        except UsageError:
            faults.append(f'{label}: begin={one.begin!r}; expected a duration after the start such as "2h", or an instant')
            return None
        if start is None:
            faults.append(f"{label}: begin={one.begin!r} is an instant, but the run has no start; give start=, or a duration")
            return None
        begin = (moment - start).total_seconds()
    if begin < 0:
        faults.append(f"{label}: it begins {say_seconds(-begin)} before the start of the run; lower the ground instead, or begin with it")
    elif begin >= until > TIME_TOLERANCE:  # a run as short as that stands in for one whose end is wrong
        faults.append(
            f"{label}: it begins {say_seconds(begin)} after the start, the run ends after {say_seconds(until)}; nothing would happen"
        )
    return begin


def _level_faults(one: Breach, label: str, ground: NDArray[np.float64], own: NDArray[np.float64]) -> list[str]:
    """Return why nothing would fall, or not to there."""
    where = f"its {len(own)} cells, {own.min():g} to {own.max():g} m"
    if one.level >= own.max():
        return [f"{label}: level={one.level:g} m is not below the ground of {where}: nothing would fall; give the level after the breach"]
    lowest = float(np.nanmin(ground))
    if one.level < lowest - _DEEPEST:
        ask = "is it in metres, and in the height system of the terrain?"
        return [f"{label}: level={one.level:g} m is {lowest - one.level:g} m below the lowest ground of the domain, {lowest:g} m; {ask}"]
    return []


def _breach_told(
    one: Breach, label: str, ground: NDArray[np.float64], cells: tuple[Ints, Ints], begin: float, lasts: float, until: float
) -> list[str]:  # fmt: skip
    """Return what falls, from when to when, and what about it may not be meant."""
    own = ground[cells]
    falls = int((own > one.level).sum())
    when = (
        f"from {say_seconds(begin)} to {say_seconds(begin + lasts)} after the start" if lasts else f"{say_seconds(begin)} after the start"
    )
    notes = [f"{label}: {falls} of {len(own)} cells fall to {one.level:g} m, by up to {own.max() - one.level:.2f} m, {when}"]
    if begin < until < begin + lasts:
        notes.append(f"{label}: the run ends when it has fallen by {(until - begin) / lasts:.0%}")
    if one.level < np.nanmin(ground):
        notes.append(f"{label}: its level is below all other ground, the lowest of which is {np.nanmin(ground):g} m: it digs a pit")
    return notes


@dataclass
class _RunningBreach:
    cells: tuple[Ints, Ints]
    level: float
    begin: float
    lasts: float
    key: str

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
        solver.memory[f"{self.key}{_FALLEN}"] = float(np.max(crest - lowered))


# ---------------------------------------------------------------- what they did


def washes(solver: Solver) -> bool:
    """Say whether a breach may have lowered the ground, here or in the run that this one left."""
    return any(isinstance(one, _RunningBreach) for one in solver.case.controls) or any(key.endswith(_FALLEN) for key in solver.memory)


def ground_now(solver: Solver) -> NDArray[np.float64]:
    """Return the ground as it is now [m], shape (ny, nx): lower than that of the domain where a breach has washed it away."""
    before = solver.case.elevation
    if not washes(solver):
        return before
    now = solver.z[solver.inside]
    washed = solver.ground_known & (now < (before - solver.base).astype(now.dtype))
    return np.where(washed, now.astype(np.float64) + solver.base, before) if washed.any() else before


def structure_rows(solver: Solver) -> dict[str, float]:
    """Return what pumps have moved [m³] and how far breaches have fallen [m] by now; also those of the run that this one left."""
    keys = [f"{one.key}{_VOLUME if isinstance(one, _RunningPump) else _FALLEN}" for one in solver.case.controls
            if isinstance(one, _RunningPump | _RunningBreach)]  # fmt: skip
    found = dict.fromkeys(keys, 0.0) | {key: value for key, value in solver.memory.items() if key.endswith((_VOLUME, _FALLEN))}
    return {key: float(value) for key, value in found.items()}


def structures_table(rows: Sequence[Mapping[str, float]], start: datetime) -> pa.Table | None:
    """Return what each structure had done by each output time; None where there are none."""
    import pyarrow as pa

    from cim.results.columns import column

    keys = list(dict.fromkeys(key for row in rows for key in row if key.endswith((_VOLUME, _FALLEN))))
    if not keys:
        return None
    times = instants_of(start, np.array([row["time"] for row in rows], float)).astype("datetime64[us]")
    kind, to, _, names = (list(one) for one in zip(*(key.rsplit(".", 1)[0].split(":", 3) for key in keys), strict=True))
    values = np.array([[row.get(key, 0.0) for row in rows] for key in keys])
    pumps = np.repeat(np.array(kind) == "pump", len(rows))
    schema = pa.schema([
        column("structure", pa.string(), en="structure", zh="设施"),
        column("kind", pa.string(), en="pump or breach", zh="类型"),
        column("time", pa.timestamp("us", "UTC"), en="time", zh="时间"),
        column("volume", pa.float64(), unit="m³", en="pumped since the start", zh="累计抽水量"),
        column("to", pa.string(), en="where its water goes: inside or outside the domain", zh="去向"),
        column("fallen", pa.float64(), unit="m", en="how far the crest has fallen, where most", zh="下切深度"),
    ])  # fmt: skip
    each = len(rows)
    columns = [
        np.repeat(names, each), np.repeat(kind, each), np.tile(times, len(keys)), np.ma.array(values.ravel(), mask=~pumps),
        np.ma.array(np.repeat(np.array(to, object), each), mask=~pumps), np.ma.array(values.ravel(), mask=pumps),
    ]  # fmt: skip
    arrays = [
        pa.array(one.data, field.type, mask=np.ma.getmaskarray(one)) if isinstance(one, np.ma.MaskedArray) else pa.array(one, field.type)
        for one, field in zip(columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
