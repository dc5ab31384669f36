"""The flood solver: a state of water on a grid that is moved on in time, with a ledger of every cubic metre.

It knows arrays only. What they mean, and where they come from, is the business of `domain` and `run_flood`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import RunError
from cim.sim.flood import inertial, kernels
from cim.sim.flood.case import Case, Edge, Source, highest
from cim.sim.flood.kernels import CLOSED, PAD, STAGE
from cim.sim.flood.ledger import Ledger
from cim.sim.flood.tiles import lay_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["MAXIMA", "Solver"]

COURANT = 0.45
"""Share of a cell that a wave may cross in one step."""
SLOWEST = 0.1
"""Wave speed that is at least reckoned with [m/s]: it bounds the first step on dry ground."""
FILM = 1e-3
"""Depth below which no velocity is recorded [m]: surface tension moves such films more than gravity does."""
RECORD_EVERY = 10
"""Steps between two looks at maxima, arrival, duration, gauges and sections."""
SEEP_EVERY = 5.0
"""Time between two looks at what seeps away [s]: the laws hold in any time step, and cost more than the flow."""
HARD_STOP = 0.01
"""Share of the water that may be missing before a run stops."""
_NO_GROUND = 1.0e6
_DRY = {"float32": 1e-6, "float64": 1e-12}
MAXIMA = ("depth", "velocity", "unit_discharge", "hazard", "arrival", "duration")


@dataclass
class Solver:
    """Water on a grid. `advance` moves it on; everything a checkpoint must hold is in `state`."""

    case: Case
    threads: int = field(default_factory=lambda: min(len(os.sched_getaffinity(0)), 16))

    def __post_init__(self) -> None:
        """Lay the arrays out."""
        case, number = self.case, np.dtype(self.case.precision)
        self.number = number.type
        self.ny, self.nx = case.elevation.shape
        self.padded = (self.ny + 2 * PAD, self.nx + 2 * PAD)
        self.inside = (slice(PAD, -PAD), slice(PAD, -PAD))
        self.ground_known = np.isfinite(case.elevation)
        self.all_known = bool(self.ground_known.all())
        self.base = float(np.nanmin(case.elevation)) if self.ground_known.any() else 0.0
        self.z = np.full(self.padded, _NO_GROUND, number)
        self.z[self.inside] = case.elevation - self.base
        if not self.all_known:
            self.z[self.inside][~self.ground_known] = _NO_GROUND
        self.dry = self.number(_DRY[case.precision])
        self.h, self.qx, self.qy = (np.zeros(self.padded, number) for _ in range(3))
        self.next = tuple(np.zeros(self.padded, number) for _ in range(3))
        self.carry = np.zeros(self.padded, number)
        self.carry_next = np.zeros(self.padded if case.scheme == "accurate" else (1, 1), number)
        self.friction = self._field(kernels.GRAVITY * np.square(case.roughness))
        self.maxima = {name: np.zeros(case.elevation.shape, np.float32) for name in MAXIMA}
        self.maxima["arrival"][:] = -1.0
        self._open_ground()
        self.tiles = lay_tiles(case.elevation.shape, number, self.threads)
        self.speed = np.zeros(len(self.tiles), number)
        self.awake, self.always = np.zeros(len(self.tiles), bool), np.zeros(len(self.tiles), bool)
        self.touched = np.zeros((len(self.tiles), 4), bool)
        self._lay_edges()
        self.ledger = Ledger()
        self.time, self.steps, self.recorded, self.seeped = 0.0, 0, 0.0, 0.0
        self.infiltrated = None if case.infiltration is None else case.infiltration.start(case.elevation.shape)
        self.memory: dict[str, float] = {}
        self._rain_interval = -1
        self._set_water()
        self.faces = inertial.faces(self) if case.scheme == "screening" else ()

    def _field(self, values: float | Array) -> Array:
        """Return a padded field, or one row where the value is the same everywhere."""
        if np.ndim(values) == 0:
            return np.full((1, self.padded[1]), values, self.number)
        made = np.zeros(self.padded, self.number)
        made[self.inside] = np.nan_to_num(values)
        return made

    def _open_ground(self) -> None:
        """Give the cells behind an open edge the lowest ground beside them: water falls over it, and is taken away."""
        z = np.pad(np.where(self.ground_known, self.z[self.inside], np.inf), 1, constant_values=np.inf)
        for source in self.case.sources:
            if source.drain:
                rows, columns = source.cells
                near = np.min([z[rows + 1 + j, columns + 1 + i] for j in (-1, 0, 1) for i in (-1, 0, 1)], axis=0)
                self.z[rows + PAD, columns + PAD] = np.where(np.isfinite(near), near, _NO_GROUND)

    def _lay_edges(self) -> None:
        most = max(self.ny, self.nx)
        self.edge_kind = np.full((4, most), CLOSED, np.int8)
        self.edge_value, self.edge_bed, self.edge_depth, self.edge_out = (np.zeros((4, most), self.number) for _ in range(4))
        z = self.z[self.inside]
        self.edge_ground = [z[:, 0], z[:, -1], z[0], z[-1]]
        behind = [z[:, min(1, self.nx - 1)], z[:, max(self.nx - 2, 0)], z[min(1, self.ny - 1)], z[max(self.ny - 2, 0)]]
        for edge in self.case.edges:
            self.edge_kind[edge.side, edge.cells] = edge.kind
            self.edge_depth[edge.side, edge.cells] = edge.depth
            step = self.edge_ground[edge.side][edge.cells].astype(float) - behind[edge.side][edge.cells]
            share = np.clip(2.0 - 2.0 * np.abs(step) / self.case.dx, 0.0, 1.0)
            self.edge_bed[edge.side, edge.cells] = np.where(np.abs(step) < kernels.WALL, share * step, 0.0)
            place = [(edge.cells, 0), (edge.cells, self.nx - 1), (0, edge.cells), (self.ny - 1, edge.cells)][edge.side]
            self.always[self.tiles.of(*place)] = True
        for source in self.case.sources:
            self.always[self.tiles.of(*source.cells)] = True

    def _set_water(self) -> None:
        case = self.case
        if case.depth is None:
            return
        self.h[self.inside] = np.where(self.ground_known, np.maximum(case.depth, 0.0), 0.0)
        if case.momentum is not None:
            wet = self.h[self.inside] > self.dry
            self.qx[self.inside] = np.where(wet, case.momentum[0], 0.0)
            self.qy[self.inside] = np.where(wet, case.momentum[1], 0.0)
        depth = self.h[self.inside]
        wet = depth > 0
        self.awake[:] = self.tiles.holding(wet)
        fastest = np.zeros(depth.shape, self.number)
        np.maximum(np.abs(self.qx[self.inside]), np.abs(self.qy[self.inside]), out=fastest)
        fastest[wet] = fastest[wet] / depth[wet] + np.sqrt(kernels.GRAVITY * depth[wet])
        self.speed[self.awake] = float(fastest.max(initial=0.0))  # tiles that sleep have no say, now or later
        kernels.touch(self.h, self.tiles.all, self.touched)
        self.ledger.initial = self.ledger.stored = self.volume()

    def volume(self) -> float:
        """Return the water there is [m³]."""
        found = np.zeros(len(self.tiles))
        self.tiles.work(self.tiles.all, lambda tiles, _: kernels.volumes(self.h, self.carry, tiles, found))
        return float(found.sum()) * self.case.dx**2

    def _active(self) -> Ints:
        """Return the tiles that have water, may get some from a neighbour, or are poured into."""
        if self._rains_everywhere or self.awake.all():
            self.awake[:] = True
            return self.tiles.all
        active = self.awake | self.always | self._rained_on
        return self.tiles.reached(active, self.touched, corners=self.case.scheme == "accurate")  # its two stages reach round a corner

    def _take_rain(self) -> float:
        """Set the rain of the present interval and return when it ends [s]."""
        rain = self.case.rain
        if rain is None:
            if self._rain_interval < 0:
                self._set_rain(0.0, 0)
            return np.inf
        breaks = np.asarray(rain.breaks, float)
        interval = int(np.searchsorted(breaks, self.time, "right")) - 1
        inside = 0 <= interval < len(breaks) - 1
        key = interval if inside else len(breaks)
        if key != self._rain_interval:
            self._set_rain(rain.rate(interval) if inside else 0.0, key)
        later = breaks[breaks > self.time]
        return float(later[0]) if len(later) else np.inf

    def _set_rain(self, rate: float | Floats, interval: int) -> None:
        """Lay a rate of rain [m/s] on the cells that have ground; that of a roof falls where the roof drains to."""
        self._rain_interval = interval
        self._rained_on = np.zeros(len(self.tiles), bool)
        self._rains_everywhere = False
        if np.ndim(rate) == 0 and self.all_known and self.case.rain_to is None:
            self.rain = self._field(float(rate))
            self.rain_sum = float(self.rain[0, PAD]) * self.ny * self.nx
            self._rains_everywhere = float(rate) > 0
            return
        field = np.array(np.broadcast_to(rate, self.case.elevation.shape), np.float64)
        if self.case.rain_to is not None:  # a roof that is a wall sheds its rain all the same
            fallen, (source, target) = field.reshape(-1), self.case.rain_to
            moved = fallen[source].copy()
            fallen[source] = 0.0
            np.add.at(fallen, target, moved)
        field[~self.ground_known] = 0.0
        self.rain = self._field(field)
        self.rain_sum = float(self.rain[self.inside].sum(dtype=np.float64))
        self._rained_on[:] = self.tiles.holding(field > 0)

    def _longest(self) -> float:
        """Return the length of the next step [s] that the waves allow."""
        fastest = max(float(self.speed.max(initial=0.0)), SLOWEST)
        if not np.isfinite(fastest):
            self._stop("a wave speed is not a number")
        ahead = self._share_of_cell() * self.case.dx / fastest
        entering: list[Edge | Source] = [*self.case.edges, *self.case.sources]
        fastest = max([fastest, *(self._wave_of(one, ahead) for one in entering)])
        return self._share_of_cell() * self.case.dx / fastest

    def _share_of_cell(self) -> float:
        return inertial.COURANT if self.faces else COURANT

    def _wave_of(self, one: Edge | Source, ahead: float) -> float:
        """Return the speed of the wave that a boundary or a source may send in the next `ahead` seconds [m/s]."""
        if one.series is None:
            return 0.0
        most = highest(one.series, self.time, self.time + ahead)
        if isinstance(one, Edge) and one.kind == STAGE:
            ground = self.edge_ground[one.side][one.cells].astype(float) + self.base
            return 2.0 * float(np.sqrt(kernels.GRAVITY * np.max(np.maximum(most - ground, 0.0))))
        if isinstance(one, Edge) and one.split is not None:
            return 2.0 * float(np.cbrt(kernels.GRAVITY * np.max(one.split.unit_discharges(self.h, float(most)))))
        width = (len(one.cells) if isinstance(one, Edge) else len(one.cells[0])) * self.case.dx
        return 2.0 * float(np.cbrt(kernels.GRAVITY * max(float(np.max(most)), 0.0) / width))

    def _set_edges(self, dt: float) -> None:
        """Set levels and discharges of the boundaries for one step."""
        for edge in self.case.edges:
            if edge.series is None:
                continue
            value = edge.series.mean(self.time, self.time + dt)
            if edge.kind == STAGE:
                ground = self.edge_ground[edge.side][edge.cells].astype(float) + self.base
                self.edge_value[edge.side, edge.cells] = np.maximum(value - ground, 0.0)
            elif edge.split is not None:
                self.edge_value[edge.side, edge.cells] = edge.split.unit_discharges(self.h, float(value))
            else:
                self.edge_value[edge.side, edge.cells] = max(value, 0.0) / (len(edge.cells) * self.case.dx)

    def advance(self, until: float, *, on_record: Callable[[], None] | None = None) -> None:
        """Move the water on to a time [s]; `on_record` is called at every look at the maxima."""
        while self.time < until:
            change = min(self._take_rain(), until)
            dt = self.number(self._longest())
            last = self.time + float(dt) >= change - 1e-9
            if last:
                dt = self.number(change - self.time)
            for control in self.case.controls:
                control(self, float(dt))
            self._set_edges(float(dt))
            self._step(dt)
            self.time = change if last else self.time + float(dt)
            self.steps += 1
            if self.case.infiltration is not None and (last or self.time - self.seeped >= SEEP_EVERY):
                self._seep()
            if self.steps % RECORD_EVERY == 0 or self.time >= until:
                self.record()
                if on_record is not None:
                    on_record()

    def _step(self, dt: Any) -> None:
        """Take one step: flow, sources, drains, infiltration; and book it."""
        tiles, dx = self._active(), self.number(self.case.dx)
        edges = (self.edge_kind, self.edge_value, self.edge_bed, self.edge_depth, self.edge_out)
        now, then, walls = (self.h, self.qx, self.qy), self.next, None if self.all_known else True
        if self.case.scheme == "accurate":
            out = np.zeros_like(self.edge_out, dtype=np.float64)
            for stage, source, target in ((0, now, then), (1, then, now)):

                def run(part: Ints, own: Any, stage: int = stage, source: Any = source, target: Any = target) -> None:
                    kernels.stage_second(stage, *now, self.carry, *source, *target, self.carry_next, self.z, self.friction, self.rain, part,
                                         edges, dt, dx, self.dry, own, self.speed)  # fmt: skip

                self.tiles.work(tiles, run)
                out += 0.5 * self.edge_out
        elif self.case.scheme == "standard":
            self.tiles.work(tiles, lambda part, own: kernels.step_first(
                *now, self.carry, *then, self.z, self.friction, self.rain, part, edges, dt, dx, self.dry, own, self.speed,
                walls))  # fmt: skip
            out = self.edge_out.astype(np.float64)
            (self.h, self.qx, self.qy), self.next = then, now
        else:
            inertial.step(self, tiles, edges, dt, dx)
            out = self.edge_out.astype(np.float64)
        self.awake[tiles[:, 0]] |= self.speed[tiles[:, 0]] > 0
        if not self.awake.all():
            self.tiles.work(tiles, lambda part, _: kernels.touch(self.h, part, self.touched))
        area = self.case.dx**2
        self.ledger.book("rain", self.rain_sum * float(dt) * area)
        through = out * float(dt) * self.case.dx
        self.ledger.book("boundary_out", float(np.maximum(through, 0.0).sum()))
        self.ledger.book("boundary_in", -float(np.minimum(through, 0.0).sum()))
        self._pour(float(dt))

    def _seep(self) -> None:
        """Let water seep away since the last look; the rain of that time is known because no look spans a change of rain."""
        lasted, self.seeped = self.time - self.seeped, self.time
        rain = self.rain[self.inside] if self.rain.shape[0] > 1 else float(self.rain[0, PAD])
        before = self.h[self.inside].copy()
        taken = self.case.infiltration.step(
            self.h[self.inside], self.infiltrated, self.time - lasted, lasted, rain * lasted, None if self.all_known else self.ground_known
        )
        self.ledger.book("infiltration", taken * self.case.dx**2)
        if not self.faces:
            self.tiles.work(self.tiles.all[self.awake], lambda part, _: kernels.slow(self.h, before, self.qx, self.qy, part))

    def _pour(self, dt: float) -> None:
        """Add the water of the sources and take that of the drains."""
        for source in self.case.sources:
            place = (source.cells[0] + PAD, source.cells[1] + PAD)
            if source.drain:
                self.ledger.book("boundary_out", self.take(place))
            elif source.series is not None:
                volume = source.series.mean(self.time, self.time + dt) * dt
                self.ledger.book("inflow", self.add(place, volume))

    def add(self, place: tuple[Ints, Ints], volume: float) -> float:
        """Spread a volume [m³] over cells (padded rows and columns), with the digits that the cells cannot hold carried on."""
        depth = self.number(volume / (len(place[0]) * self.case.dx**2))
        change = depth - self.carry[place]
        total = np.maximum(self.h[place] + change, 0)
        self.carry[place] = (total - self.h[place]) - change
        self.h[place] = total
        tiles = np.unique(self.tiles.of(place[0] - PAD, place[1] - PAD))
        self.awake[tiles] = True
        kernels.touch(self.h, self.tiles.all[tiles], self.touched)
        return volume

    def lower(self, place: tuple[Ints, Ints], share: float) -> float:
        """Take a share of the water of cells, with its momentum, and return it [m³]."""
        depth = self.h[place].astype(np.float64)
        self.h[place] = (depth * (1.0 - share)).astype(self.h.dtype)
        if not self.faces:
            self.qx[place] *= self.number(1.0 - share)
            self.qy[place] *= self.number(1.0 - share)
        return float((depth - self.h[place]).sum()) * self.case.dx**2  # what the cells really lost, to the last digit they hold

    def take(self, place: tuple[Ints, Ints]) -> float:
        """Empty cells and return their water [m³]."""
        held = self.h[place].astype(np.float64)
        held -= self.carry[place]
        self.carry[place] = 0
        self.h[place], self.qx[place], self.qy[place] = 0, 0, 0
        return float(held.sum()) * self.case.dx**2

    def record(self) -> None:
        """Look at maxima, arrival and duration, and whether the water is all there."""
        tiles = self.tiles.all[self.awake]
        lasted, self.recorded = np.float32(self.time - self.recorded), self.time
        if self.faces and len(tiles):
            inertial.to_cells(self, tiles)
        now, kept = np.float32(self.time), [self.maxima[name] for name in MAXIMA]
        wet, film = self.number(self.case.wet_depth), self.number(FILM)
        self.tiles.work(tiles, lambda part, _: kernels.record(self.h, self.qx, self.qy, part, now, lasted, wet, film, *kept))
        if self.steps % (10 * RECORD_EVERY) == 0:
            self.check()

    def check(self) -> Ledger:
        """Book what is stored and stop when more is missing than rounding explains.

        Raises
        ------
        RunError
            If the water holds no numbers, or more than 1 % of it came from nowhere or went nowhere.
        """
        self.ledger.stored = self.volume()
        if not np.isfinite(self.ledger.stored):
            self._stop("the water holds values that are no numbers")
        if abs(self.ledger.relative_error) > HARD_STOP:
            self._stop(f"{self.ledger.relative_error:.2%} of the water ({self.ledger.error:,.1f} m³) cannot be accounted for")
        return self.ledger

    def _stop(self, why: str) -> None:
        bad = np.argwhere(~np.isfinite(self.h[self.inside]) | ~np.isfinite(self.qx[self.inside]) | ~np.isfinite(self.qy[self.inside]))
        row, column = bad[0] if len(bad) else np.unravel_index(int(np.argmax(self.h[self.inside])), (self.ny, self.nx))
        msg = f"flood: {why}, at {self.time:,.1f} s, in step {self.steps:,}; look at row {row}, column {column}"
        raise RunError(msg)

    def state(self) -> dict[str, Any]:
        """Return everything a later run needs to go on with the same bits."""
        arrays = {"h": self.h, "qx": self.qx, "qy": self.qy, "carry": self.carry, "z": self.z, "speed": self.speed, "awake": self.awake,
                  "touched": self.touched}  # fmt: skip
        arrays |= {f"face.{number}": values for number, values in enumerate(self.faces)}
        arrays |= {f"maximum.{name}": values for name, values in self.maxima.items()}
        arrays |= {f"infiltrated.{name}": values for name, values in (self.infiltrated or {}).items()}
        numbers = {"time": self.time, "steps": self.steps, "recorded": self.recorded, "seeped": self.seeped, "base": self.base}
        numbers |= self.ledger.terms()
        numbers |= {f"lost.{name}": value for name, value in self.ledger.lost.items()}
        numbers |= {f"memory.{name}": value for name, value in self.memory.items()}
        return {**arrays, "numbers": numbers}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state that `state` gave."""
        for name in ("h", "qx", "qy", "carry", "z", "speed", "awake", "touched"):
            getattr(self, name)[...] = state[name]
        if self.faces:  # a branch of a run by another scheme has none
            self.faces = (state["face.0"].copy(), state["face.1"].copy()) if "face.0" in state else inertial.faces(self)
        for name, values in self.maxima.items():
            values[...] = state[f"maximum.{name}"]
        for name, values in (self.infiltrated or {}).items():
            values[...] = state[f"infiltrated.{name}"]
        numbers = dict(state["numbers"])
        self.memory = {name.removeprefix("memory."): numbers.pop(name) for name in list(numbers) if name.startswith("memory.")}
        self.time, self.steps, self.recorded = float(numbers.pop("time")), int(numbers.pop("steps")), float(numbers.pop("recorded"))
        self.base, self.seeped = float(numbers.pop("base")), float(numbers.pop("seeped"))
        lost = {name.removeprefix("lost."): float(numbers.pop(name)) for name in list(numbers) if name.startswith("lost.")}
        self.ledger = Ledger(**{name: float(value) for name, value in numbers.items()}, lost=lost)
        self._rain_interval = -1

    def finish(self) -> None:
        """Give back what only another step would need."""
        self.next = ()
        if self.case.scheme == "accurate":
            self.carry_next = self.carry[:1]

    def close(self) -> None:
        """Let the threads and the water go; ledger and maxima stay."""
        self.h = self.qx = self.qy = self.carry = self.z = np.zeros((0, 0), self.number)
        self.tiles.close()
