"""A flood from its description to its result: everything checked first, then run, looked at, kept and put together."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CimError, UsageError
from cim.progress import track
from cim.results import Fields, Grid, RunRecord, Stopwatch, array_fingerprint, city_fingerprint
from cim.scenario.faults import near
from cim.sim.flood.boundary import Boundary, Inflow, drains, lay_boundaries, lay_inflows, series_of
from cim.sim.flood.checkpoint import Checkpoint
from cim.sim.flood.fields import Frames, dataset_of, ledger_table
from cim.sim.flood.gauges import Watch, watch
from cim.sim.flood.series import instant, say_seconds, seconds
from cim.sim.flood.solver import HARD_STOP, Case, Solver
from cim.sim.flood.structures import Breach, Pump, lay_structures

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.flood.domain import FlowDomain

    Floats = NDArray[np.float64]

__all__ = ["VERSION", "simulate"]

VERSION = "1"
SCHEMES = ("standard", "accurate", "screening")
_FIRST_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_BYTES = 16e9
_MOMENT = 1e-3
"""[s]"""


def simulate(  # noqa: PLR0913 - all that decides a flood, by name
    place: City | xarray.DataArray | FlowDomain, *, rain: Any = None, start: Any = None, until: Any, scheme: str = "standard",
    precision: str = "float32", boundaries: Sequence[Boundary] = (), inflows: Sequence[Inflow] = (),
    structures: Sequence[Pump | Breach] = (), initial_level: Any = None, initial_depth: Any = None,
    gauges: Mapping[str, Any] | None = None, sections: Mapping[str, Any] | None = None, output_every: Any = "10min",
    velocity: bool = False, wet_depth: float = 0.05, threads: int | None = None, checkpoint: str | Path | None = None,
    checkpoint_every: Any = None, keep_checkpoints: bool = False, branch_from: str | Path | None = None, branch_at: Any = None, **ground: Any,
) -> Fields:  # fmt: skip
    """Return what water does on a city or on a terrain: depth, velocity, maxima, hazard, arrival, duration, and a ledger of its volume.

    Parameters
    ----------
    place
        A city (see `domain_from_city` for what becomes of it), an elevation model over y and x [m], or a `FlowDomain`.
    rain
        A `Rain` or a `DesignStorm`; a number is a constant rate [mm/h].
    start, until
        First instant (UTC unless it says its zone) and length: a duration such as ``"6h"``, or the last instant.
    scheme
        ``"standard"``: full shallow water, first order. ``"accurate"``: the same, second order, about five times dearer. ``"screening"``: local
        inertia without advection, for slow floods; it is 5 to 10 % off and late on a dam break at any cell size.
    precision
        ``"float32"`` (with carried digits; mass to 1e-6) or ``"float64"`` (1e-12).
    boundaries, inflows, structures
        Open sides of the domain (all others are walls), water poured in, pumps and breaches.
    initial_level, initial_depth
        Water at the start: its elevation (all lower ground is under it), or its depth; number or field [m].
    gauges, sections
        Points (x, y), and lines across which the flow is summed, positive to the right of their direction; looked at every tenth step.
    output_every
        Time between two fields.
    velocity
        Whether the fields of every output time hold the velocity, too.
    wet_depth
        Depth from which a cell counts as flooded [m]: arrival and duration.
    threads
        As many as there are processors when left out; the result does not depend on it.
    checkpoint, checkpoint_every, keep_checkpoints
        Folder that the run is kept in while it goes: the same call again goes on where it was killed, with the same bits. States are
        written at output times at least `checkpoint_every` apart; only the last two are kept unless `keep_checkpoints`.
    branch_from, branch_at
        Folder with the checkpoints of another run of this place, and the time from which this one differs: it begins with the last
        state of that run not after `branch_at`.
    **ground
        For a city: options of `domain_from_city`; for an elevation model: of `FlowDomain.from_elevation`.

    Raises
    ------
    UsageError
        With every fault of ground, forcing and options in one message, before anything is computed.
    RunError
        If the water holds no numbers any more or more than 1 % of it is lost; with cell, time and cause.

    Examples
    --------
    >>> from cim.sim.flood import Rain
    >>> ground = np.add.outer(np.zeros(3), np.linspace(5.0, 0.0, 51))
    >>> water = simulate(ground, dx=2.0, rain=Rain.uniform(60.0), until="10min", boundaries=[Boundary("east")])
    >>> water["water_depth"].dims, water.run.balance["volume_error_relative"] < 1e-6
    (('time', 'y', 'x'), True)
    """
    watch_clock = Stopwatch()
    asked = Options(
        scheme, precision, output_every, velocity, wet_depth, threads, checkpoint, checkpoint_every, keep_checkpoints, branch_from, branch_at
    )
    plan = plan_of(place, ground, rain, (start, until), (boundaries, inflows, structures), (initial_level, initial_depth),
                   (gauges or {}, sections or {}), asked)  # fmt: skip
    return run_plan(plan, asked, watch_clock)


def run_plan(plan: Plan, asked: Options, clock: Stopwatch) -> Fields:
    """Run what has been checked and return the result; `clock` began before the checks."""
    return _result(plan, asked, _run(plan, asked), clock)


@dataclass(frozen=True)
class Options:
    """How a run is computed and kept."""

    scheme: str
    precision: str
    output_every: Any
    velocity: bool
    wet_depth: float
    threads: int | None
    checkpoint: str | Path | None
    checkpoint_every: Any
    keep_checkpoints: bool
    branch_from: str | Path | None
    branch_at: Any

    def faults(self) -> list[str]:
        """Return which options make no sense."""
        faults = []
        if self.scheme not in SCHEMES:
            faults.append(f"scheme={self.scheme!r}; expected {', '.join(map(repr, SCHEMES))}")
        if self.precision not in {"float32", "float64"}:
            faults.append(f"precision={self.precision!r}; expected 'float32' or 'float64'")
        if not (isinstance(self.wet_depth, int | float) and 0 < self.wet_depth < 100):
            faults.append(f"wet_depth={self.wet_depth!r}; expected metres above 0")
        if self.threads is not None and not (isinstance(self.threads, int) and self.threads >= 1):
            faults.append(f"threads={self.threads!r}; expected a whole number of at least 1")
        if (self.branch_from is None) != (self.branch_at is None):
            faults.append("branch_from and branch_at go together: the folder of the base run, and the time at which this one leaves it")
        if self.checkpoint is not None and self.branch_from is not None and Path(self.checkpoint).resolve() == Path(self.branch_from).resolve():
            faults.append("checkpoint and branch_from are the same folder; a branch needs a folder of its own")
        return faults


@dataclass(frozen=True)
class Plan:
    """A run that has been checked."""

    domain: FlowDomain
    case: Case
    start: datetime
    until: float
    times: Floats
    """Output times [s], from 0 to the end."""
    watch: Watch
    city: str | None
    """Hash of the city."""
    inputs: Mapping[str, str]
    notes: tuple[str, ...]
    said: Mapping[str, Any]
    """What was asked for, plain values."""


def plan_of(
    place: Any, ground: Mapping[str, Any], rain: Any, when: tuple[Any, Any], forcing: tuple[Any, Any, Any], initial: tuple[Any, Any],
    looks: tuple[Mapping[str, Any], Mapping[str, Any]], asked: Options, told: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """Check everything and return the plan; `told` are faults that the caller has found already.

    Where the place itself is wrong, its bare elevation stands in for it while the rest is checked, so that all faults are told at once.

    Raises
    ------
    UsageError
        With every fault in one message.
    """
    faults = [*told, *asked.faults()]
    start, until, times = _clock(*when, asked.output_every, faults)
    domain = _domain(place, ground, faults) or _stand_in(place, ground)
    rain = _rain(rain, faults)
    until = _MOMENT if until is None else until  # a fault is told already; the rest is checked all the same
    if domain is None:
        _refuse(faults + _faults_in_time(rain, forcing, None if when[0] is None else start, until))
        raise AssertionError
    known = np.isfinite(domain.elevation)
    begin = None if when[0] is None else start
    if rain is not None:
        faults += [f"rain: {one}".replace("rain: rain:", "rain:") for one in rain.faults(domain.grid, begin, until)]
    edges, wrong = lay_boundaries(forcing[0], domain.grid, domain.elevation, begin, until)
    faults += wrong
    sources, wrong = lay_inflows(forcing[1], domain.grid, known, begin, until)
    faults += wrong
    controls, wrong = lay_structures(forcing[2], domain.grid, known, begin, until)
    faults += wrong
    looking, wrong = watch(*looks, domain.grid, known)
    faults += wrong
    depth = _initial(*initial, domain, faults)
    size = len(times) * domain.elevation.size * 4.0 * (3 if asked.velocity else 1)
    if size > _MOST_BYTES:
        faults.append(f"output: {len(times)} times of {domain.elevation.size:,} cells are {size / 1e9:.0f} GB; give a longer output_every")
    _refuse(faults)
    case = Case(
        domain.elevation, float(domain.grid.dx), domain.roughness, None if rain is None else rain.prepare(domain.grid, begin, until),
        domain.rain_to, domain.infiltration, edges, [*sources, *drains(domain.open_edge)], controls, depth, None, asked.scheme, asked.precision,
        float(asked.wet_depth),
    )  # fmt: skip
    from cim.model import City

    city = city_fingerprint(place) if isinstance(place, City) else None
    notes = [*domain.notes, *(() if rain is None else rain.notes)]
    if when[0] is None:
        notes.append(f"no start given: the clock begins at {_FIRST_INSTANT.isoformat()}")
    inputs = {"elevation": array_fingerprint(domain.elevation), "forcing": _digest(case, forcing)} | ({} if city is None else {"city": city})
    said = {"scheme": asked.scheme, "precision": asked.precision, "until": until, "output_every": float(np.diff(times)[0]),
            "wet_depth": float(asked.wet_depth), "gauges": sorted(looks[0]), "sections": sorted(looks[1]),
            **{name: _plain(value) for name, value in ground.items()}, "resolution": float(domain.grid.dx)}  # fmt: skip
    return Plan(domain, case, start, until, times, looking, city, inputs, tuple(notes), said)


def _refuse(faults: list[str]) -> None:
    if faults:
        listed = "\n  ".join(faults)
        msg = f"flood: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  {listed}"
        raise UsageError(msg)


def _clock(start: Any, until: Any, every: Any, faults: list[str]) -> tuple[datetime, float | None, Floats]:
    """Return the first instant, the length and the output times [s]."""
    first, length, times = _FIRST_INSTANT, None, np.zeros(1)
    try:
        first = _FIRST_INSTANT if start is None else instant(start)
    except UsageError as error:
        faults.append(f"start: {error}")
    try:
        length = _length(until, first)
        step = seconds(every)
        if not step > 0:
            faults.append(f"output_every={every!r}; expected a duration above 0")
        elif length / step > 1e6:
            faults.append(f"output_every={every!r} makes {length / step:,.0f} outputs; expected at most 1,000,000")
        else:
            times = np.append(np.arange(0.0, length - 1e-6, step), length)
    except UsageError as error:
        faults.append(f"until or output_every: {error}")
    return first, length, times


def _length(until: Any, start: datetime) -> float:
    """Return the length of a run [s] from a duration or its last instant."""
    try:
        length = seconds(until)
    except UsageError:
        try:
            length = (instant(until) - start).total_seconds()
        except UsageError:
            msg = f'until={until!r}; expected a duration such as "6h", or an instant'
            raise UsageError(msg) from None
    if not length > 0:
        msg = f"until={until!r} is not after the start"
        raise UsageError(msg)
    return length


def _domain(place: Any, ground: Mapping[str, Any], faults: list[str]) -> FlowDomain | None:
    from cim.model import City
    from cim.sim.flood.city_domain import domain_from_city
    from cim.sim.flood.domain import FlowDomain

    if isinstance(place, FlowDomain):
        if ground:
            faults.append(f"{', '.join(sorted(ground))}: not for a domain that is made already")
        return place
    make: Any = domain_from_city if isinstance(place, City) else FlowDomain.from_elevation
    known = list(inspect.signature(make).parameters)[1:]
    unknown = [name for name in ground if name not in known]
    faults += [f"{name}= is not known{near(name, known)}" for name in unknown]
    try:
        return make(place, **{name: value for name, value in ground.items() if name not in unknown})  # type: ignore[no-any-return]
    except CimError as error:
        faults += faults_in(error)
    return None


def faults_in(error: Exception) -> list[str]:
    """Return the faults that a message lists, without its headline."""
    lines = [one.strip() for one in str(error).splitlines() if one.strip()]
    return [one for one in lines if not re.fullmatch(r"(flood: )?\d+ faults?:", one)]


def _stand_in(place: Any, ground: Mapping[str, Any]) -> FlowDomain | None:
    """Return the cells of a place that is no domain, where they can be told; unknown ones are walls."""
    from cim.model import City
    from cim.sim.flood.domain import FlowDomain
    from cim.sim.flood.elevation import HIGHEST, LOWEST, MARKS, as_grid
    from cim.sim.terrain import read_terrain

    try:
        if isinstance(place, City):
            bare = read_terrain(place, ground.get("terrain"))
            grid = Grid(bare.x_min, bare.y_max, bare.dx, bare.dx, bare.shape[1], bare.shape[0], bare.crs.to_string())
            return FlowDomain(np.asarray(bare.values, float), grid)
        values, grid, _ = as_grid(place, ground.get("dx"), ground.get("crs"))
        if values is None:
            return None
        heights = np.where((values > LOWEST) & (values < HIGHEST) & ~np.isin(values, MARKS), values, np.nan)
        return FlowDomain(heights, grid)
    except (CimError, TypeError):
        return None


def _faults_in_time(rain: Any, forcing: tuple[Any, Any, Any], start: datetime | None, until: float) -> list[str]:
    """Return the faults of series that show without a place: what is left to check where there is none."""
    from cim.sim.flood.rain import UniformRain

    nowhere = Grid(0.0, 1.0, 1.0, 1.0, 1, 1, "EPSG:3857")
    found = rain.faults(nowhere, start, until) if isinstance(getattr(rain, "source", None), UniformRain) else []
    series = [(one.level, "m", one.label) for one in forcing[0]] + [(one.discharge, "m³/s", one.label) for one in (*forcing[0], *forcing[1])]
    series += [(one.capacity, "m³/s", one.label) for one in forcing[2] if isinstance(one, Pump)]
    return found + [fault for value, unit, label in series if value is not None for fault in series_of(value, unit, label, start, until)[1]]


def _rain(rain: Any, faults: list[str]) -> Any:
    from cim.sim.flood.rain import Rain

    if rain is None or isinstance(rain, Rain):
        return rain
    try:
        return Rain.uniform(rain)
    except UsageError as error:
        faults.append(f"rain: {error}")
        return None


def _initial(level: Any, depth: Any, domain: FlowDomain, faults: list[str]) -> Floats | None:
    """Return the depth at the start, shape (ny, nx) [m]."""
    if level is not None and depth is not None:
        faults.append("initial_level and initial_depth: give one of them")
    if level is None and depth is None:
        return None
    name, given = ("initial_level", level) if level is not None else ("initial_depth", depth)
    values = np.asarray(getattr(given, "values", given), float)
    if values.shape not in {(), domain.elevation.shape}:
        faults.append(f"{name}: shape {values.shape}, expected one number or {domain.elevation.shape}")
        return None
    known = np.isfinite(domain.elevation)
    used = np.broadcast_to(values, domain.elevation.shape)
    if not np.isfinite(used[known]).all():
        faults.append(f"{name}: {int((~np.isfinite(used[known])).sum())} cells hold no number")
        return None
    if level is not None:
        return np.where(known, np.maximum(used - np.nan_to_num(domain.elevation), 0.0), 0.0)
    if (used[known] < 0).any():
        faults.append(f"initial_depth: {int((used[known] < 0).sum())} cells are below 0, the lowest {used[known].min():g} m")
    return np.where(known, used, 0.0)


def _run(plan: Plan, asked: Options) -> tuple[Solver, Frames, list[dict[str, float]], Watch]:
    """Run the plan, from where a checkpoint or a base run stands."""
    solver = Solver(plan.case) if asked.threads is None else Solver(plan.case, asked.threads)
    frames = Frames.empty(len(plan.times), plan.domain.elevation.shape, velocity=asked.velocity)
    rows: list[dict[str, float]] = []
    keeper = None
    at = 0
    if asked.checkpoint is not None:
        keeper = Checkpoint(Path(asked.checkpoint), asked.keep_checkpoints)
        keeper.begin(_fingerprint(plan, asked))
        at = _take_up(keeper, solver, frames, rows, plan.watch, plan.times, None)
    if at == 0 and asked.branch_from is not None:
        base = Checkpoint(Path(asked.branch_from))
        base.fingerprint()
        leave = _length(asked.branch_at, plan.start)
        at = _take_up(base, solver, frames, rows, plan.watch, plan.times, leave)
        if at == 0:
            msg = f"{asked.branch_from}: no state at or before {say_seconds(leave)} on an output time of this run; run it with keep_checkpoints=True"
            raise UsageError(msg)
    every = 0.0 if asked.checkpoint_every is None else seconds(asked.checkpoint_every)
    kept_at = plan.times[at]
    try:
        with track(total=plan.until, label="flood", unit="s") as work:
            if at == 0:
                _look(solver, frames, rows, plan.watch, 0)
                if keeper is not None:
                    keeper.save_frame(0, frames.of(0))
            for number in range(at + 1, len(plan.times)):
                solver.advance(plan.times[number], on_record=lambda: (plan.watch.look(solver), work.update(solver.time)))
                if number == len(plan.times) - 1:
                    solver.finish()
                _look(solver, frames, rows, plan.watch, number)
                if keeper is not None:
                    keeper.save_frame(number, frames.of(number))
                    if solver.time - kept_at >= every or number == len(plan.times) - 1:
                        _keep(keeper, solver, rows, plan.watch, number)
                        kept_at = solver.time
    finally:
        solver.close()
    return solver, frames, rows, plan.watch


def _look(solver: Solver, frames: Frames, rows: list[dict[str, float]], watching: Watch, number: int) -> None:
    """Take down fields, ledger and gauges at an output time."""
    frames.take(number, solver)
    rows.append({"time": solver.time, **solver.check().terms(), "error": solver.ledger.error, "relative": solver.ledger.relative_error})
    if number == 0:
        watching.look(solver)


def _keep(keeper: Checkpoint, solver: Solver, rows: list[dict[str, float]], watching: Watch, number: int) -> None:
    state = solver.state()
    numbers = {**state.pop("numbers"), "rows": rows}
    keeper.save_state(number, {**state, "looks": np.array(watching.rows, float)}, numbers)


def _take_up(
    keeper: Checkpoint, solver: Solver, frames: Frames, rows: list[dict[str, float]], watching: Watch, times: Floats, latest: float | None
) -> int:  # fmt: skip
    """Restore the last state (not after `latest` [s]) and return the number of its output time here, 0 where there is none."""
    for number in reversed(keeper.states()):
        arrays, numbers = keeper.load_state(number)
        if latest is not None and numbers["time"] > latest + 1e-6:
            continue
        here = int(np.argmin(np.abs(times - numbers["time"])))
        if abs(times[here] - numbers["time"]) > 1e-6:
            continue
        if arrays["h"].shape != solver.h.shape or arrays["h"].dtype != solver.h.dtype:
            msg = f"{keeper.folder}: its grid has {arrays['h'].shape} cells of {arrays['h'].dtype}, this run {solver.h.shape} of {solver.h.dtype}"
            raise UsageError(msg)
        rows[:] = numbers.pop("rows")
        looks = arrays.pop("looks")
        if looks.ndim == 2 and looks.shape[1] == 1 + 2 * len(watching.gauges) + len(watching.sections):
            watching.rows[:] = looks.tolist()
        solver.restore({**arrays, "numbers": numbers})
        frame_of = {round(row["time"], 6): index for index, row in enumerate(rows)}  # its frames by time
        rows[:] = [row for row in rows if np.abs(times - row["time"]).min() < 1e-6]
        for index in range(here + 1):
            theirs = frame_of.get(round(float(times[index]), 6))
            if theirs is None:
                msg = f"{keeper.folder}: holds no fields at {say_seconds(times[index])}; a branch needs output times of its base"
                raise UsageError(msg)
            frames.put(index, keeper.load_frame(theirs))
        return here
    return 0


def _fingerprint(plan: Plan, asked: Options) -> str:
    """Return a hash of everything that decides the numbers and which of them are kept."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(plan.inputs):
        digest.update(f"{name}={plan.inputs[name]};".encode())
    said = {**plan.said, "velocity": asked.velocity, "start": plan.start.isoformat(), "version": VERSION}
    digest.update(repr(sorted(said.items(), key=lambda item: item[0])).encode())
    digest.update(plan.times.tobytes())
    return digest.hexdigest()


def _digest(case: Case, forcing: tuple[Any, Any, Any]) -> str:
    """Return a hash of rain, roughness, infiltration, boundaries, sources, structures and first water."""
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, [case.dx, case.roughness, case.rain_to, case.infiltration, case.edges, case.sources, forcing, case.depth])
    if case.rain is not None:
        _feed(digest, case.rain.breaks)
        for number in range(len(case.rain.breaks) - 1):
            _feed(digest, case.rain.rate(number))
    return f"blake2b:{digest.hexdigest()}"


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a hash: arrays by their bytes, dataclasses by their fields, shapes and plain values by their words."""
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif hasattr(value, "values") and hasattr(value, "dims"):
        _feed(digest, np.asarray(value.values))
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__name__.encode())
        for one in fields(value):
            _feed(digest, getattr(value, one.name))
    elif isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{value!r};".encode())


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int | float) else f"<{type(value).__name__}>"


def _result(plan: Plan, asked: Options, run: tuple[Solver, Frames, list[dict[str, float]], Watch], clock: Stopwatch) -> Fields:
    """Put the result together."""
    solver, frames, rows, watching = run
    dataset = dataset_of(plan.domain.grid, plan.domain.elevation, plan.start, plan.times, frames, solver.maxima, plan.domain.vertical)
    tables = {"ledger": ledger_table(rows, plan.start), **watching.tables(plan.domain.elevation, plan.start)}
    ledger = solver.ledger
    balance = {f"{name}_m3": float(value) for name, value in ledger.terms().items()}
    balance |= {"volume_error_m3": ledger.error, "volume_error_relative": max(abs(row["relative"]) for row in rows), "steps": float(solver.steps)}
    grid: Grid = plan.domain.grid
    parameters = {**plan.said, "open_ways": list(plan.domain.open_ways), "crs": grid.crs,
                  "grid": [grid.x_min, grid.y_max, grid.dx, grid.nx, grid.ny]}  # fmt: skip
    record = RunRecord(
        "flood", VERSION, inputs=plan.inputs, parameters=parameters, start=plan.start, balance=balance,
        assumptions=(*plan.notes, *_assumptions(plan, asked)),
    )  # fmt: skip
    return Fields("flood", dataset, tables, replace(clock.stop(record)))


def _assumptions(plan: Plan, asked: Options) -> tuple[str, ...]:
    said = [
        f"scheme {asked.scheme}, {asked.precision}; the run stops when more than {HARD_STOP:.0%} of the water cannot be accounted for",
        "velocities are looked at where the water is 1 mm deep or more; maxima, arrival and duration every tenth step and at output times",
    ]
    if not plan.case.edges and plan.domain.open_edge is None:
        said.append("all sides are walls: no water leaves the domain")
    if plan.case.infiltration is None:
        said.append("no water seeps away")
    return tuple(said)
