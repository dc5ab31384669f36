"""What a case is, how it is turned and run, and the cases whose truth is exact. `published.py` holds those of other people's data.

A case is data: ground, water, edges, rain, time, and `judge`, which turns a run into figures; `bars` says how far each may go.
Only `run` calls the toolkit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.sim.flood import exact
from tests.sim.flood.measures import Reals, away_from_jump, l1

Series = tuple[Reals, Reals]  # seconds, values
Figures = dict[str, float]
Bars = Mapping[str, Mapping[str, float]]

BOTH = ("standard", "accurate")
SIDES = ("west", "north", "east", "south")  # transposing swaps neighbours: west with north, east with south
TRANSPOSED = {"west": "north", "north": "west", "east": "south", "south": "east"}
MIRRORED = {"west": "east", "east": "west", "north": "north", "south": "south"}


@dataclass(frozen=True)
class Edge:
    """What happens at one side of the grid."""

    side: str
    kind: str
    """``inflow``, ``stage`` or ``free``; sides not named are closed."""
    discharge: float | Series | None = None
    """Unit discharge into the domain [m²/s]."""
    depth: float | Series | None = None
    """Depth at the edge [m]: with `stage` what is held, with `inflow` what torrential water brings."""
    level: float | Series | None = None
    """Level at the edge [m], where `kind` is ``stage``."""
    between: tuple[float, float] | None = None
    """Part of the side, along it in metres from its western or southern end; None: all of it."""


@dataclass(frozen=True)
class Run:
    """What came out, on the grid of the case as it was described."""

    case: Case
    times: Reals
    """Of the fields [s]."""
    depth: Reals
    """Shape (times, ny, nx) [m]."""
    velocity: tuple[Reals, Reals]
    """East and north, shape (times, ny, nx) [m/s]."""
    maximum_level: Reals
    """Highest level of each cell [m], NaN where never wet."""
    gauges: Mapping[str, Series]
    """Depth by gauge."""
    volume_error: float
    """Relative to max(in, stored), as the run states it."""
    seconds: float
    """Of processor time."""


@dataclass(frozen=True)
class Case:
    """One problem and its truth; row 0 of every array is the northern one."""

    name: str
    elevation: Reals
    dx: float
    until: float
    judge: Callable[[Run], Figures]
    bars: Bars
    """Scheme -> figure -> largest value allowed. A scheme that is not named makes no claim here."""
    depth: Reals | float = 0.0
    edges: tuple[Edge, ...] = ()
    roughness: Reals | float = 0.0
    rain: float | Series = 0.0
    """[m/s]"""
    outputs: float | None = None
    """Time between outputs [s]; None: only the end."""
    gauges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    corner: tuple[float, float] = (0.0, 0.0)
    """West and south [m]."""
    crs: str | None = None
    wet_depth: float = 0.002
    """[m]"""
    unit: str = "share"
    """Of the figures: ``share`` (shown in per cent) or ``m``."""
    flow: str = "east"
    """Where the x of the description runs to on the grid that is simulated."""
    about: str = ""

    @property
    def x(self) -> Reals:
        """Middles of the columns [m]."""
        return np.asarray(self.corner[0] + (np.arange(self.elevation.shape[1]) + 0.5) * self.dx)

    @property
    def y(self) -> Reals:
        """Middles of the rows [m], falling."""
        return np.asarray(self.corner[1] + (self.elevation.shape[0] - np.arange(self.elevation.shape[0]) - 0.5) * self.dx)


# --- turning ------------------------------------------------------------------------------------------------------------
def towards(case: Case, flow: str) -> Case:
    """Return a one-dimensional case with its x running east, west, south or north."""
    assert not case.gauges, "a case with gauges is not turned"
    assert all(edge.between is None for edge in case.edges), "a part of a side is not turned"
    return replace(case, name=f"{case.name}-{flow}", flow=flow)


def turn(array: Reals, flow: str) -> Reals:
    """Return an array (…, ny, nx) on the grid that is simulated; the inverse is `turn_back`."""
    mirrored = array[..., ::-1] if flow in {"west", "north"} else array
    return np.ascontiguousarray(np.swapaxes(mirrored, -1, -2) if flow in {"south", "north"} else mirrored)


def turn_back(array: Reals, flow: str) -> Reals:
    """Return an array of the simulated grid as the case describes it."""
    straight = np.swapaxes(array, -1, -2) if flow in {"south", "north"} else array
    return np.ascontiguousarray(straight[..., ::-1] if flow in {"west", "north"} else straight)


def turn_edge(edge: Edge, flow: str) -> Edge:
    """Return an edge as it lies on the grid that is simulated."""
    side = MIRRORED[edge.side] if flow in {"west", "north"} else edge.side
    return replace(edge, side=TRANSPOSED[side] if flow in {"south", "north"} else side)


def turn_velocity_back(east: Reals, north: Reals, flow: str) -> tuple[Reals, Reals]:
    """Return velocities along the x and y of the description; y runs against the rows."""
    first, second = turn_back(east, flow), turn_back(north, flow)
    if flow in {"south", "north"}:  # columns of the description are rows of the grid: x runs south
        first, second = -second, -first
    return (-first, second) if flow in {"west", "north"} else (first, second)


# --- the one call of the toolkit ----------------------------------------------------------------------------------------
def run(case: Case, scheme: str = "standard", precision: str = "float64", **more: Any) -> Run:
    """Simulate a case through the public interface."""
    from cim.sim.flood import FlowDomain, simulate

    turned = turn(case.elevation, case.flow)
    rough = turn(case.roughness, case.flow) if isinstance(case.roughness, np.ndarray) else case.roughness
    depth = turn(np.broadcast_to(np.asarray(case.depth, float), case.elevation.shape), case.flow)
    elevation = _located(case, turned)
    boundaries = [_boundary(turn_edge(edge, case.flow), case, turned) for edge in case.edges]
    begun = time.process_time()
    result = simulate(
        FlowDomain.from_elevation(elevation, roughness=rough, gaps="wall"),
        rain=_rain(case.rain),
        until=float(case.until),
        scheme=scheme,
        precision=precision,
        boundaries=boundaries,
        initial_depth=np.where(np.isnan(turned), 0.0, depth),
        gauges=dict(case.gauges),
        output_every=float(case.outputs or case.until),
        velocity=True,
        wet_depth=case.wet_depth,
        **more,
    )
    return _collect(case, result, time.process_time() - begun)


def _located(case: Case, elevation: Reals) -> Any:
    """Return the ground with its coordinates, row 0 in the north."""
    import xarray as xr

    ny, nx = elevation.shape
    x = case.corner[0] + (np.arange(nx) + 0.5) * case.dx
    y = case.corner[1] + (ny - np.arange(ny) - 0.5) * case.dx
    named = {} if case.crs is None else {"crs": case.crs}
    return xr.DataArray(elevation, coords={"y": y, "x": x}, dims=("y", "x"), attrs={"units": "m", **named})


def _boundary(edge: Edge, case: Case, turned: Reals) -> Any:
    """Return the toolkit's boundary for an edge."""
    from cim.sim.flood import Boundary

    ny, nx = turned.shape
    west, south = case.corner
    where: Any = edge.side
    length = (ny if edge.side in {"west", "east"} else nx) * case.dx
    made: dict[str, Any] = {"kind": edge.kind}
    if edge.between is not None:
        low, high = edge.between
        across = {"west": west, "east": west + nx * case.dx, "south": south, "north": south + ny * case.dx}[edge.side]
        where, length = ((across, low), (across, high)) if edge.side in {"west", "east"} else ((low, across), (high, across)), high - low
    if edge.kind == "inflow":
        made |= {"discharge": _series(edge.discharge, "m3/s", length)} | ({} if edge.depth is None else {"depth": edge.depth})
    elif edge.kind == "stage":
        made["level"] = _series(edge.level, "m")
    return Boundary(where, **made)


def _series(values: float | Series | None, unit: str, times: float = 1.0) -> Any:
    """Return the toolkit's series; the last value holds."""
    from cim.sim.flood import Series as Given

    assert values is not None
    if not isinstance(values, tuple):
        return float(values) * times
    return Given.of(list(zip(values[0].tolist(), (values[1] * times).tolist(), strict=True)), unit=unit, outside="hold")


def _rain(rate: float | Series) -> Any:
    """Return the toolkit's rain; each rate of a series holds until the next, the last as long as the one before."""
    from cim.sim.flood import Rain

    if isinstance(rate, tuple):
        pairs = list(zip(rate[0].tolist(), rate[1].tolist(), strict=True))
        return Rain.uniform(pairs, unit="m/s", step=float(rate[0][1] - rate[0][0]), outside="zero", plausible=False)
    return Rain.uniform(rate, unit="m/s", plausible=False) if rate else None


def _collect(case: Case, result: Any, seconds: float) -> Run:
    """Return the fields of a result on the grid of the description."""
    data = result.dataset
    times = (data["time"].values - data["time"].values[0]) / np.timedelta64(1, "us") / 1e6
    depth = turn_back(np.asarray(data["water_depth"].values, float), case.flow)
    velocity = turn_velocity_back(
        np.asarray(data["flow_velocity_x"].values, float), np.asarray(data["flow_velocity_y"].values, float), case.flow
    )
    deepest = turn_back(np.asarray(data["maximum_depth"].values, float), case.flow)
    highest = np.where(deepest >= case.wet_depth, case.elevation + deepest, np.nan)
    gauges = _gauges(result, case) if case.gauges else {}
    return Run(case, np.asarray(times, float), depth, velocity, highest, gauges, _volume_error(result), seconds)


def _gauges(result: Any, case: Case) -> dict[str, Series]:
    """Return the series of depth of each gauge [s, m]."""
    table = result.to_pandas("gauges").reset_index()
    start = result.dataset["time"].values[0]
    series = {}
    for name in case.gauges:
        rows = table[table["gauge"] == name].sort_values("time")
        seconds = (rows["time"].dt.tz_convert(None).to_numpy() - start) / np.timedelta64(1, "us") / 1e6
        series[name] = (np.asarray(seconds, float), rows["depth"].to_numpy(float))
    return series


def _volume_error(result: Any) -> float:
    """Return the error of the mass balance that a run states."""
    return abs(float(result.run.balance["volume_error_relative"]))


# --- building blocks ----------------------------------------------------------------------------------------------------
def strip(values: Reals, rows: int = 3) -> Reals:
    """Return a profile along x as a grid of equal rows."""
    return np.repeat(np.asarray(values, float)[None, :], rows, axis=0)


def centres(length: float, cells: int) -> Reals:
    """Return the middles of cells that share a length."""
    return (np.arange(cells) + 0.5) * length / cells


def depth_error(truth: Reals, keep: Any = None) -> Callable[[Run], Figures]:
    """Return a judge of the depth at the end, by its L1 share; and of what runs across, which should be nothing."""

    def judge(one: Run) -> Figures:
        return {"depth": l1(one.depth[-1], np.broadcast_to(truth, one.depth[-1].shape), keep)}

    return judge


def at_most(standard: float | None, accurate: float | None, figure: str = "depth") -> Bars:
    """Return one bar per scheme; None makes no claim."""
    both = {"standard": standard, "accurate": accurate}
    return {scheme: {figure: bar} for scheme, bar in both.items() if bar is not None}


# --- dam breaks and bores -------------------------------------------------------------------------------------------------
def dam(upstream: float, downstream: float, *, cells: int = 1000, dx: float = 1.0, until: float = 30.0, bars: Bars | None = None) -> Case:
    """Return a dam break on a flat frictionless bed, the dam in the middle."""
    x = (np.arange(cells) + 0.5) * dx
    middle = cells * dx / 2
    truth = exact.cell_means(lambda at: exact.dam_break(at - middle, until, upstream, downstream)[0], np.arange(cells + 1) * dx)
    name = f"dam-{upstream:g}-{downstream:g}"
    return Case(
        name,
        np.zeros((3, cells)),
        dx,
        until,
        depth_error(truth),
        bars or at_most(0.03, 0.03),
        depth=strip(np.where(x < middle, upstream, downstream)),
    )


def bore_by_stage(held: float, still: float = 1.0, *, cells: int = 400, bars: Bars | None = None) -> Case:
    """Return still water whose level is suddenly held higher or lower at the west: a bore, or a falling wave."""
    until = 0.7 * cells / (np.sqrt(exact.GRAVITY * max(held, still)) * 1.6)
    truth = exact.cell_means(lambda at: exact.bore(at, until, held, still)[0], np.arange(cells + 1.0))
    edges = (Edge("west", "stage", depth=held, level=held),)
    name, chosen = f"stage-{held:g}", bars or at_most(0.01, 0.005)
    return Case(name, np.zeros((3, cells)), 1.0, until, depth_error(truth), chosen, depth=still, edges=edges)


def bore_by_discharge(q: float, still: float = 1.0, *, cells: int = 400, bars: Bars | None = None) -> Case:
    """Return still water into which a unit discharge suddenly runs at the west: a bore."""
    held, _, speed = exact.bore_from_discharge(q, still)
    until = 0.7 * cells / speed
    truth = exact.cell_means(lambda at: exact.bore(at, until, held, still)[0], np.arange(cells + 1.0))
    edges = (Edge("west", "inflow", discharge=q),)
    name, chosen = f"discharge-{q:g}", bars or at_most(0.01, 0.005)
    return Case(name, np.zeros((3, cells)), 1.0, until, depth_error(truth), chosen, depth=still, edges=edges)


# --- rain -----------------------------------------------------------------------------------------------------------------
RAIN = 60e-3 / 3600.0  # m/s


def plane(slope: float, *, dx: float = 2.0, length: float = 100.0, n: float = 0.03, rain: float = RAIN) -> Case:
    """Return rain on a plane that falls to the east: steady depth, and the rising limb of the outflow."""
    cells = round(length / dx)
    x = centres(length, cells)
    steady = exact.time_of_equilibrium(length, rain, slope, n)
    every = steady / 40
    truth = exact.cell_means(lambda at: exact.kinematic_depth(at, rain, slope, n), np.linspace(0, length, cells + 1))

    def judge(one: Run) -> Figures:
        stored = one.depth.sum(axis=(1, 2)) * dx / one.depth.shape[1]  # per metre of width [m²]
        left = rain * length * one.times - stored
        rising = one.times <= steady * (1 + 1e-9)
        right = exact.kinematic_outflow_volume(one.times, length, rain, slope, n)
        return {
            "depth": l1(one.depth[-1], np.broadcast_to(truth, one.depth[-1].shape)),
            "rising limb": l1(np.diff(left[rising]), np.diff(right[rising])),
        }

    bars = {scheme: {"depth": 0.03, "rising limb": 0.03} for scheme in BOTH}
    edges = (Edge("east", "free"),)
    elevation = strip(slope * (length - x))
    return Case(f"plane-{slope:g}", elevation, dx, 4 * steady, judge, bars, edges=edges, roughness=n, rain=rain, outputs=every)


def tilted_plane(slope: float, *, degrees: float = 30.0, dx: float = 2.0, length: float = 100.0, n: float = 0.03) -> Case:
    """Return rain on a square whose plane falls across the grid: depth and direction in the middle."""
    cells = round(length / dx)
    along = np.array([np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))])  # towards east and south
    x = centres(length, cells)
    east, south = np.meshgrid(x, x)
    distance = np.minimum(east / along[0], south / -along[1])  # to the western or northern side, up the slope
    truth = exact.kinematic_depth(distance, RAIN, slope, n)
    middle = (np.abs(east - length / 2) <= 0.2 * length) & (np.abs(south - length / 2) <= 0.2 * length)

    def judge(one: Run) -> Figures:
        u, v = (part[-1][middle].mean() for part in one.velocity)
        turned = abs(np.degrees(np.arctan2(-v, u)) - degrees)
        return {"depth": l1(one.depth[-1], truth, middle), "direction [degrees]": float(turned)}

    elevation = slope * (2 * length - east * along[0] + south * along[1])
    until = 4 * exact.time_of_equilibrium(1.2 * length, RAIN, slope, n)
    bars = {scheme: {"depth": 0.03, "direction [degrees]": 1.0} for scheme in BOTH}
    edges = (Edge("east", "free"), Edge("south", "free"))
    return Case(f"tilted-plane-{slope:g}", elevation, dx, until, judge, bars, edges=edges, roughness=n, rain=RAIN)


def uniform_flow(slope: float, q: float, n: float, *, cells: int = 200, dx: float = 2.0) -> Case:
    """Return steady flow at normal depth down a plane, started half as deep; slow or fast as the slope says."""
    length = cells * dx
    normal = float(exact.normal_depth(q, slope, n))
    fast = normal < float(exact.critical_depth(q))
    inflow = Edge("west", "inflow", discharge=q, depth=normal if fast else None)
    outflow = Edge("east", "free") if fast else Edge("east", "stage", depth=normal, level=normal)
    until = 4 * length / (q / normal)
    elevation = strip(slope * (length - centres(length, cells)))
    truth = np.full(cells, normal)
    bars = at_most(0.005, 0.005)
    return Case(
        f"uniform-{slope:g}", elevation, dx, until, depth_error(truth), bars, depth=normal / 2, edges=(inflow, outflow), roughness=n
    )


# --- still water ------------------------------------------------------------------------------------------------------------
def lake(seed: int = 0, *, cells: int = 64, level: float = 1.5, until: float = 120.0) -> Case:
    """Return still water over a rough random bed of 2 m on cells of 1 m, with blocks of 4 m that stand out."""
    random = np.random.default_rng(seed)
    bed = random.uniform(0.0, 2.0, (cells, cells))
    blocks = random.random((cells // 4, cells // 4)) < 0.1
    bed += 4.0 * np.kron(blocks, np.ones((4, 4)))
    still, bars = np.maximum(level - bed, 0.0), at_most(1e-12, 1e-12, "speed")
    return Case(f"lake-{seed}", bed, 1.0, until, speed_error, bars, depth=still, unit="m/s")


def speed_error(one: Run) -> Figures:
    """Return the largest speed [m/s] that still water should not have, and what its depth changed by [m]."""
    return {
        "speed": float(np.nanmax(np.hypot(*one.velocity))),
        "change [m]": float(np.nanmax(np.abs(one.depth[-1] - one.case.depth))),
    }


# --- steady flow and swinging water, in closed form -----------------------------------------------------------------------------
def bump_case(kind: str, *, cells: int = 500, until: float = 120.0) -> Case:
    """Return steady flow over the bump: ``subcritical``, ``noshock`` or ``shock``."""
    q, level = {"subcritical": (4.42, 2.0), "noshock": (1.53, 0.66), "shock": (0.18, 0.33)}[kind]
    downstream = None if kind == "noshock" else level
    x = centres(25.0, cells)
    bed = exact.cell_means(exact.bump, np.linspace(0, 25, cells + 1))
    truth = exact.bump_steady(x, q, downstream, transcritical=kind != "subcritical")
    keep = away_from_jump(truth < float(exact.critical_depth(q))) if kind == "shock" else None
    edges = (Edge("west", "inflow", discharge=q), Edge("east", "stage", depth=level, level=level))  # held only while the flow is slow
    return Case(
        f"bump-{kind}-{cells}",
        strip(bed),
        25.0 / cells,
        until,
        depth_error(truth, keep),
        at_most(0.01, 0.01),
        depth=strip(np.maximum(level - bed, 0.0)),
        edges=edges,
    )


def channel(
    depth: Callable[[Reals], Reals], *, length: float, q: float, n: float, cells: int, rain: float = 0.0, until: float = 2500.0, name: str
) -> Case:
    """Return a channel whose bed is made for a stated steady depth, dry at first."""
    edges_of_cells = np.linspace(0, length, cells + 1)
    bed = exact.cell_means(lambda at: exact.channel_bed(depth, at, length=length, q=q, n=n, rain=rain), edges_of_cells)
    truth = exact.cell_means(depth, edges_of_cells)
    first, last = float(depth(np.zeros(1))[0]), float(depth(np.array([length]))[0])
    outgoing = q + rain * length
    inflow = Edge("west", "inflow", discharge=q, depth=first if first < exact.critical_depth(q) else None)
    outflow = Edge("east", "free") if last < exact.critical_depth(outgoing) else Edge("east", "stage", depth=last, level=last)
    return Case(
        name,
        strip(bed),
        length / cells,
        until,
        depth_error(truth),
        at_most(0.01, 0.01),
        edges=(inflow, outflow),
        roughness=n,
        rain=rain,
    )


def planar_bowl(cells: int = 250, periods: float = 3.0, bars: Bars | None = None) -> Case:
    """Return Thacker's plane surface in a parabola on 4 m."""
    until = periods * 2 * np.pi / np.sqrt(exact.GRAVITY)
    edges = np.linspace(-2, 2, cells + 1)
    bed = exact.cell_means(lambda at: exact.thacker_planar(at, 0.0)[2], edges)
    start = exact.cell_means(lambda at: exact.thacker_planar(at, 0.0)[0], edges)
    truth = exact.cell_means(lambda at: exact.thacker_planar(at, until)[0], edges)
    return Case(f"planar-bowl-{cells}", strip(bed), 4.0 / cells, until, depth_error(truth), bars or at_most(None, 0.03), depth=strip(start))


def round_bowl(cells: int = 100, periods: float = 3.0) -> Case:
    """Return Thacker's round surface that rises and falls in a bowl on 4 m × 4 m."""
    x = centres(4.0, cells) - 2.0
    east, north = np.meshgrid(x, -x)
    until = periods * 2 * np.pi / np.sqrt(8 * exact.GRAVITY * 0.1)
    start, _, _, bed = exact.thacker_radial(east, north, 0.0)
    truth = exact.thacker_radial(east, north, until)[0]
    name = f"radial-bowl-{cells}"
    return Case(name, bed, 4.0 / cells, until, depth_error(truth), at_most(None, 0.03), depth=start, corner=(-2.0, -2.0))
