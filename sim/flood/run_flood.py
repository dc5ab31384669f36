"""A flood from its description to its result: run, looked at, kept and put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.progress import track
from cim.results import Fields, Grid, RunRecord, Stopwatch
from cim.sim.flood.boundary import Boundary, Inflow
from cim.sim.flood.checkpoint import Checkpoint
from cim.sim.flood.fields import Frames, dataset_of, ledger_table
from cim.sim.flood.gauges import Watch
from cim.sim.flood.identity import fingerprint_of
from cim.sim.flood.plan import VERSION, Options, Plan, plan_of
from cim.sim.flood.series import say_seconds, seconds
from cim.sim.flood.solver import HARD_STOP, Solver
from cim.sim.flood.structures import Breach, Pump, ground_now, structure_rows, structures_table
from cim.sim.flood.told import deep_told, rain_told

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.flood.domain import FlowDomain

    Floats = NDArray[np.float64]

__all__ = ["run_plan", "simulate"]


def simulate(  # noqa: PLR0913 - all that decides a flood, by name
    place: City | xarray.DataArray | Floats | FlowDomain, *, rain: Any = None, start: Any = None, until: Any, scheme: str = "standard",
    precision: str = "float32", boundaries: Sequence[Boundary] = (), inflows: Sequence[Inflow] = (),
    structures: Sequence[Pump | Breach] = (), initial_level: Any = None, initial_depth: Any = None,
    gauges: Mapping[str, Any] | None = None, sections: Mapping[str, Any] | None = None, output_every: Any = "10min",
    velocity: bool = False, wet_depth: float = 0.05, threads: int | None = None, checkpoint: str | Path | None = None,
    checkpoint_every: Any = None, keep_checkpoints: bool = False, branch_from: str | Path | None = None, branch_at: Any = None,
    **ground: Any,
) -> Fields:  # fmt: skip
    """Return what water does on a city or on a terrain: depth, velocity, maxima, hazard, arrival, duration, and a ledger of its volume.

    Parameters
    ----------
    place
        A city (see `domain_from_city` for what becomes of it), an elevation model over y and x [m] (an array with dx=), or a `FlowDomain`.
    rain
        A `Rain` or a `DesignStorm`; a number is a constant rate [mm/h].
    start, until
        First instant (in the zone of the city unless it says its own) and length: a duration such as ``"6h"``, or the last instant.
    scheme
        ``"standard"``: full shallow water, first order. ``"accurate"``: the same, second order, about five times dearer.
        ``"screening"``: local inertia without advection, for slow floods; it is 5 to 10 % off and late on a dam break at any cell size.
    precision
        ``"float32"`` (with carried digits; mass to 1e-6) or ``"float64"`` (1e-12).
    boundaries, inflows, structures
        Open sides of the domain (all others are walls), water poured in, pumps and breaches.
    initial_level, initial_depth
        Water at the start: its elevation (all lower ground is under it), or its depth; number or field [m]. The level of a city may be
        ``{id or class: level}``, and each level ``"water_level"``: that which the object states; the word alone means all water bodies.
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
        scheme,
        precision,
        output_every,
        velocity,
        wet_depth,
        threads,
        checkpoint,
        checkpoint_every,
        keep_checkpoints,
        branch_from,
        branch_at,
    )
    plan = plan_of(place, ground, rain, (start, until), (boundaries, inflows, structures), (initial_level, initial_depth),
                   ({} if gauges is None else gauges, {} if sections is None else sections), asked)  # fmt: skip
    return run_plan(plan, asked, watch_clock)


def run_plan(plan: Plan, asked: Options, clock: Stopwatch) -> Fields:
    """Run what has been checked and return the result; `clock` began before the checks."""
    return _result(plan, asked, _run(plan, asked), clock)


@dataclass(frozen=True)
class _Ran:
    """What a run leaves."""

    solver: Solver
    frames: Frames
    rows: list[dict[str, float]]
    watching: Watch
    ground: Floats
    """At the end [m]; the array of the domain itself where nothing has changed it."""


def _run(plan: Plan, asked: Options) -> _Ran:
    """Run the plan, from where a checkpoint or a base run stands."""
    solver = Solver(plan.case) if asked.threads is None else Solver(plan.case, asked.threads)
    frames = Frames.empty(len(plan.times), plan.domain.elevation.shape, velocity=asked.velocity)
    rows: list[dict[str, float]] = []
    keeper = None if asked.checkpoint is None else Checkpoint(Path(asked.checkpoint), asked.keep_checkpoints)
    at = _begin(plan, asked, keeper, solver, frames, rows)
    every = 0.0 if asked.checkpoint_every is None else seconds(asked.checkpoint_every)
    kept_at = plan.times[at]
    try:
        with track(total=plan.until, label="flood", unit="s") as work:

            def looked() -> None:
                plan.watch.look(solver)
                work.update(solver.time)

            if at == 0:
                _look(solver, frames, rows, plan.watch, 0)
                if keeper is not None:
                    keeper.save_frame(0, frames.of(0))
            for number in range(at + 1, len(plan.times)):
                solver.advance(plan.times[number], on_record=looked)
                if number == len(plan.times) - 1:
                    solver.finish()
                _look(solver, frames, rows, plan.watch, number)
                if keeper is not None:
                    keeper.save_frame(number, frames.of(number))
                    if solver.time - kept_at >= every or number == len(plan.times) - 1:
                        _keep(keeper, solver, rows, plan.watch, number)
                        kept_at = solver.time
        ground = ground_now(solver)
    finally:
        solver.close()
    return _Ran(solver, frames, rows, plan.watch, ground)


def _begin(
    plan: Plan, asked: Options, keeper: Checkpoint | None, solver: Solver, frames: Frames, rows: list[dict[str, float]]
) -> int:  # fmt: skip
    """Take up a checkpoint of this run, else the state of the base it branches from; return the number of its output time, 0 without."""
    at = 0
    if keeper is not None:
        keeper.begin(_fingerprint(plan, asked), _shared(plan, asked))
        at = _take_up(keeper, solver, frames, rows, plan.watch, plan.times, None)
    if at or asked.branch_from is None:
        return at
    base = Checkpoint(Path(asked.branch_from))
    ours = _shared(plan, asked)
    theirs = base.said("shared")
    differs = [name for name in ours if theirs.get(name) != ours[name]]
    if differs:
        rule = "rain, boundaries, inflows and structures may differ; these may not"
        msg = f"{asked.branch_from}: {', '.join(differs)} are not those of this run; in a branch {rule}"
        raise UsageError(msg)
    leave = float(plan.said["branch_at"])
    at = _take_up(base, solver, frames, rows, plan.watch, plan.times, leave)
    if at == 0:
        where = f"at or before {say_seconds(leave)} on an output time of this run"
        msg = f"{asked.branch_from}: no state {where}; run it with keep_checkpoints=True"
        raise UsageError(msg)
    if keeper is not None:  # so that the branch, when killed, goes on by itself
        for number in range(at + 1):
            keeper.save_frame(number, frames.of(number))
    return at


def _look(solver: Solver, frames: Frames, rows: list[dict[str, float]], watching: Watch, number: int) -> None:
    """Take down fields, ledger and gauges at an output time."""
    frames.take(number, solver)
    terms = solver.check().terms()
    said = {"time": solver.time, **terms, "error": solver.ledger.error, "relative": solver.ledger.relative_error}
    rows.append({**said, **structure_rows(solver)})
    if number == 0:
        solver.record()
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
        rows[:] = numbers.pop("rows")
        watching.rows[:] = arrays.pop("looks").tolist()
        solver.restore({**arrays, "numbers": numbers})
        frame_of = {round(row["time"], 6): index for index, row in enumerate(rows)}  # its frames by time
        rows[:] = [row for row in rows if np.abs(times - row["time"]).min() < 1e-6]
        for index in range(here + 1):
            saved = frame_of.get(round(float(times[index]), 6))
            if saved is None:
                msg = f"{keeper.folder}: holds no fields at {say_seconds(times[index])}; a branch needs output times of its base"
                raise UsageError(msg)
            frames.put(index, keeper.load_frame(saved))
        return here
    return 0


def _shared(plan: Plan, asked: Options) -> dict[str, str]:
    """Return what a branch has in common with its base: all that its state and its first hours were made with."""
    grid = plan.domain.grid
    return {
        "the ground": plan.inputs["elevation"],
        "the grid": repr((grid.x_min, grid.y_max, grid.dx, grid.nx, grid.ny)),
        "precision": asked.precision,
        "start": plan.start.isoformat(),
        "wet_depth": repr(float(asked.wet_depth)),
        "gauges and sections": plan.inputs.get("looks", "none"),
        "infiltration": "none" if plan.case.infiltration is None else fingerprint_of(plan.case.infiltration),
        "velocity": repr(bool(asked.velocity)),
    }


def _fingerprint(plan: Plan, asked: Options) -> str:
    """Return a hash of everything that decides the numbers and which of them are kept."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(plan.inputs):
        digest.update(f"{name}={plan.inputs[name]};".encode())
    said = {**plan.said, "velocity": asked.velocity, "start": plan.start.isoformat(), "version": VERSION}
    digest.update(repr(sorted(said.items(), key=lambda item: item[0])).encode())
    digest.update(plan.times.tobytes())
    return digest.hexdigest()


def _result(plan: Plan, asked: Options, ran: _Ran, clock: Stopwatch) -> Fields:
    """Put the result together."""
    solver, rows, first = ran.solver, ran.rows, plan.domain.elevation
    dataset = dataset_of(plan.domain.grid, (first, ran.ground), plan.start, plan.times, ran.frames, solver.maxima, plan.domain.vertical)
    tables = {"ledger": ledger_table(rows, plan.start), **ran.watching.tables(plan.start)}
    structures = structures_table(rows, plan.start)
    tables |= {} if structures is None else {"structures": structures}
    ledger = solver.ledger
    balance = {f"{name}_m3": float(value) for name, value in ledger.terms().items()}
    worst = max(abs(row["relative"]) for row in rows)
    balance |= {"volume_error_m3": ledger.error, "volume_error_relative": worst, "steps": float(solver.steps)}
    grid: Grid = plan.domain.grid
    parameters = {**plan.said, "open_ways": list(plan.domain.open_ways), "crs": grid.crs,
                  "grid": [grid.x_min, grid.y_max, grid.dx, grid.nx, grid.ny]}  # fmt: skip
    told = [] if plan.case.rain is None else rain_told(ledger.terms()["rain"], plan.domain, plan.until)
    told += deep_told(solver.maxima["depth"], plan.case.depth, plan.domain)
    record = RunRecord(
        "flood", VERSION, inputs=plan.inputs, parameters=parameters, start=plan.start, balance=balance,
        assumptions=(*plan.notes, *_assumptions(plan, asked), *_ground_told(first, ran.ground), *told),
    )  # fmt: skip
    return Fields("flood", dataset, tables, clock.stop(record))


def _ground_told(first: Floats, last: Floats) -> list[str]:
    """Return what a reader must know of ground that has changed while the run went."""
    if last is first:
        return []
    fallen = np.nan_to_num(first - last)
    said = f"{int((fallen > 0).sum())} cells were washed away, by up to {fallen.max():.2f} m: ground_elevation is the ground at the end"
    return [f"{said}, initial_ground_elevation that before; maximum_depth there may stand on either"]


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
