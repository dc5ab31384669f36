"""Cases whose truth is computed by others: SWASHES, the MacDonald channels of Itzi, round dam breaks along the radius, a breach.

Each function takes the folder of flood data and returns a case; its truth is read from there, never copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.sim.flood import exact
from tests.sim.flood.cases import Bars, Case, Edge, Figures, Run, at_most, centres, depth_error, speed_error, strip
from tests.sim.flood.measures import Reals, away_from_jump, mae


# --- SWASHES ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Swash:
    """What the header of a SWASHES file says, and how long to run for it."""

    until: float
    """[s]; for a steady case long enough that nothing changes any more."""
    edges: tuple[Edge, ...] = ()
    roughness: float = 0.0
    rain: float = 0.0
    """[m/s]"""
    level: float | None = None
    """Initial level [m]; None: dry, or as the closed form says."""
    bars: Bars | None = None
    jump: bool = False


STEADY = at_most(0.01, 0.01)
MOVING = at_most(0.03, 0.03)
SECOND_ORDER_ONLY = at_most(None, 0.03)  # first order damps the swing: 19 % after three periods of the round bowl is its nature
STILL = at_most(1e-12, 1e-12, "speed")


def _in(discharge: float, depth: float | None = None) -> Edge:
    return Edge("west", "inflow", discharge=discharge, depth=depth)


def _held(depth: float) -> Edge:
    """Return the right side, held while the flow is slow; every bed of SWASHES ends at z = 0."""
    return Edge("east", "stage", depth=depth, level=depth)


SWASHES: dict[str, Swash] = {
    "bump_subcritical": Swash(100.0, (_in(4.42), _held(2.0)), level=2.0, bars=STEADY),
    "bump_transcritical_noshock": Swash(60.0, (_in(1.53), _held(0.66)), level=0.66, bars=STEADY),
    "bump_transcritical_shock": Swash(150.0, (_in(0.18), _held(0.33)), level=0.33, bars=STEADY, jump=True),
    "inclined_plane_transient": Swash(15.0, bars=MOVING),
    "lake_at_rest_emerged": Swash(25.0, (_held(0.1),), level=0.1, bars=STILL),
    "lake_at_rest_immersed": Swash(25.0, (_held(0.5),), level=0.5, bars=STILL),
    "mcd_long_subcritical_manning": Swash(1200.0, (_in(2.0), _held(0.748324)), 0.033, bars=STEADY),
    "mcd_long_super_to_sub_manning": Swash(1300.0, (_in(2.0, 0.543791), _held(1.33475)), 0.0218, bars=STEADY, jump=True),
    "mcd_long_supercritical_manning": Swash(1000.0, (_in(2.5, 0.741514), Edge("east", "free")), 0.04, bars=STEADY),
    "mcd_rain_subcritical_manning": Swash(2000.0, (_in(1.0), _held(0.748324)), 0.033, 0.001, bars=STEADY),
    "mcd_undulating_periodic_manning": Swash(4500.0, (_in(2.0), _held(1.125)), 0.03, level=1.125, bars=STEADY),
    "ritter": Swash(6.0, bars=MOVING),
    "stoker": Swash(6.0, bars=MOVING),
    "thacker_planar_1d": Swash(10.0303, bars=SECOND_ORDER_ONLY),
    "thacker_radial_2d": Swash(6.72855, bars=SECOND_ORDER_ONLY),
}
SWASHES_STARTS: dict[str, Callable[[Reals], Reals]] = {
    "inclined_plane_transient": exact.beach_at_rest,
    "ritter": lambda x: np.where(x < 5.0, 0.005, 0.0),
    "stoker": lambda x: np.where(x < 5.0, 0.005, 0.001),
    "thacker_planar_1d": lambda x: exact.thacker_planar(x - 2.0, 0.0)[0],
}


def swashes(data: Path, name: str) -> Case:
    """Return one SWASHES case on the grid of its file; truth and bed are the file's."""
    plan, table = SWASHES[name], np.loadtxt(data / "swashes" / f"{name}.txt")
    if name == "thacker_radial_2d":
        return _swashes_round(plan, table)
    x, truth, bed = table[:, 0], table[:, 1], table[:, 3]
    dx = float(x[1] - x[0])
    edges = (*plan.edges, *([_beach_edge(data)] if name == "inclined_plane_transient" else []))
    start = SWASHES_STARTS[name](x) if name in SWASHES_STARTS else np.maximum((plan.level or -1.0) - bed, 0.0)
    keep = away_from_jump(table[:, 6] > 1.0) if plan.jump else None
    judge = speed_error if plan.bars is STILL else depth_error(truth, keep)
    assert plan.bars is not None
    return Case(
        name,
        strip(bed),
        dx,
        plan.until,
        judge,
        plan.bars,
        depth=strip(start),
        edges=edges,
        roughness=plan.roughness,
        rain=plan.rain,
        unit="m/s" if plan.bars is STILL else "share",
    )


def _beach_edge(data: Path) -> Edge:
    """Return the left side of the beach: depth by time, that of the first cell's middle (0.313534 m at t = 0 is x = 0.025 m)."""
    until, depth, _ = np.loadtxt(data / "swashes" / "inclined_plane_transient_left_boundary.csv", delimiter=",", skiprows=1).T
    times = until - 0.01  # each row holds up to its time
    return Edge("west", "stage", depth=(times, depth), level=(times, depth + 0.0005))


def _swashes_round(plan: Swash, table: Reals) -> Case:
    cells = round(np.sqrt(len(table)))
    by_column = table.reshape(cells, cells, -1)  # x outer, y inner
    as_grid = np.swapaxes(by_column, 0, 1)[::-1]
    x, y, truth, bed = as_grid[..., 0], as_grid[..., 1], as_grid[..., 2], as_grid[..., 6]
    start = exact.thacker_radial(x - 2.0, y - 2.0, 0.0)[0]
    assert plan.bars is not None
    return Case("thacker_radial_2d", bed, 4.0 / cells, plan.until, depth_error(truth), plan.bars, depth=start)


# --- MacDonald channels as Itzi runs them -----------------------------------------------------------------------------------
ITZI = {"norain": (2.0, 0.0, 1200.0, 0.03), "rain": (1.0, 0.001, 2400.0, 0.035)}  # inflow, rain [m/s], time [s], their tolerance [m]


def macdonald_itzi(data: Path, kind: str) -> Case:
    """Return a 1,000 m channel on cells of 5 m, free outflow; the bar is a third of what its authors state."""
    q, rain, until, tolerance = ITZI[kind]
    _, bed, level = np.loadtxt(data / "macdonald_long_itzi" / f"mcdo_{kind}.csv", delimiter=",", skiprows=1).T

    def judge(one: Run) -> Figures:
        across = float(np.abs(one.velocity[1]).max())
        return {"mean error of the level": mae(one.depth[-1] + one.case.elevation, strip(level)), "speed across": across}

    bars = {scheme: {"mean error of the level": tolerance / 3, "speed across": 0.0} for scheme in ("standard", "accurate")}
    edges = (_in(q), Edge("east", "free"))
    return Case(f"macdonald-{kind}", strip(bed), 5.0, until, judge, bars, edges=edges, roughness=0.033, rain=rain, unit="m")


# --- round dam breaks ---------------------------------------------------------------------------------------------------------
def radial(data: Path, kind: str, dx: float = 1.0) -> Case:
    """Return a cylinder of 10 m depth and 50 m radius let loose on a ``dry`` bed or on 1 m of water (``wet``), after 2 s.

    The reference is a solution along the radius on 1,000 cells of 0.1 m; its columns are radius, level, momentum, bed, depth, velocity. Its
    volume is that of a cylinder of 50.05 m: its first-order uncertainty is 0.2 %.
    """
    table = np.loadtxt(data / "radial_dam_break" / f"radial_dam_break_{kind}_Ver_numerical_2.000000.csv", delimiter=",")
    cells, parts = round(200 / dx), 8
    fine = centres(200.0, cells * parts) - 100.0
    distance = np.hypot(*np.meshgrid(fine, fine))

    def means(values: Reals) -> Reals:
        return np.asarray(values.reshape(cells, parts, cells, parts).mean(axis=(1, 3)))

    outside = 0.0 if kind == "dry" else 1.0
    truth = means(np.interp(distance, table[:, 0], table[:, 4], right=outside))
    start = means(np.where(distance <= 50.0, 10.0, outside))
    keep = means(distance) <= 100.0
    bars = at_most(None, 0.02)  # first order at 1 m: 3 to 4 %, the front is 2 s old and 40 cells wide
    return Case(f"radial-{kind}", np.zeros((cells, cells)), dx, 2.0, depth_error(truth, keep), bars, depth=start, corner=(-100.0, -100.0))


def partial_dam(data: Path, until: float = 30.0) -> Case:
    """Return the breach in a wall of TRITON's 400 × 400 case, frictionless: no truth, but what must hold of any solution."""
    folder = data / "dambreak_400x400_triton"
    bed, depth = np.loadtxt(folder / "case400.dem", skiprows=6), np.loadtxt(folder / "case400.inith")

    def judge(one: Run) -> Figures:
        end = one.depth[-1]
        lost = abs(float(end.sum() / depth.sum()) - 1)
        return {"volume": lost, "above the reservoir [m]": max(0.0, float((bed + end)[end > 0].max()) - 10.0)}

    allowed = {"volume": 1e-6, "above the reservoir [m]": 0.1}  # 1 % of its depth, at the sill
    bars = dict.fromkeys(("standard", "accurate"), allowed)
    return Case("partial-dam", bed, 1.0, until, judge, bars, depth=depth)
