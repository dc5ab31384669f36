"""Measure how traffic compares with truth and write docs/validation-traffic.md and its figures.

    python docs/validate_traffic.py DATA [--keep FOLDER] [--only PART ...]

The cases and their bars are those of tests/sim/traffic; here each figure is written down, met or not. DATA is the folder of real files.
A few minutes of processor time; parts kept in FOLDER are not made again by the same code. `--only` makes the parts named and takes all
others from FOLDER, whatever the code was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the cases live beside the tests

from cim.sim.traffic import assign  # noqa: E402
from tests.sim.traffic import networks  # noqa: E402
from tests.sim.traffic.networks import MINUTE  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.traffic import Assignment
    from cim.sim.traffic.dynamic import DynamicRun

    Reals = NDArray[np.float64]

IMAGES = ROOT / "docs" / "images"
SOURCES = (
    "sim/traffic",
    "sim/coupling",
    "sim/impact",
    "loaders/sumo",
    "tests/sim/traffic",
    "docs/validate_traffic.py",
    "docs/traffic_cases.py",
)
COLOURS = ("#2563eb", "#d97706", "#16a34a", "#dc2626", "#7c3aed", "#0891b2", "#4b5563", "#db2777", "#65a30d")
MILE = 1609.344


@dataclass
class Part:
    """A part of the page, and which of its bars are missed."""

    text: str = ""
    bars: int = 0
    missed: list[str] = field(default_factory=list)

    def judged(self, what: str, shown: str, *, met: bool) -> str:
        """Count a bar; return the figure, in bold where it misses."""
        self.bars += 1
        if not met:
            self.missed.append(f"{what}: {shown}")
        return shown if met else f"**{shown}**"

    def add(self, *texts: str) -> None:
        """Append paragraphs."""
        self.text += "".join(text.strip("\n") + "\n\n" for text in texts)


def table(heads: Iterable[str], lines: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    titles = list(heads)
    head = "| " + " | ".join(titles) + " |\n|" + "---|" * len(titles)
    return "\n".join([head, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def save(figure: Any, name: str) -> None:
    """Write a figure, small."""
    from PIL import Image

    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=90)
    with Image.open(IMAGES / f"{name}.png") as picture:
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


def canvas(width: float, height: float) -> Any:
    """Return an empty figure."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def percent(share: float, digits: int = 0) -> str:
    """Return a share as per cent."""
    return f"{100 * share:.{digits}f} %"


def short(value: float) -> str:
    """Return a number with two digits, as people write it."""
    if value == 0 or value < 1e-3:
        return "0" if value == 0 else f"{value:.0e}"
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


# --- equilibrium --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Problem:
    """A network with trips, perhaps some links closed, and what is known of its equilibrium."""

    name: str
    known: networks.Known
    flows: str
    closure: str = ""

    def read(self, data: Path) -> tuple[Any, Any, list[str], float]:
        """Return network, trips, closed links and the best-known objective [veh min/h]."""
        network, trips = self.known.read(data)
        closed, objective = networks.closure(data, self.closure) if self.closure else ([], self.known.objective)
        return network, trips, closed, objective


PROBLEMS = (
    Problem("Sioux Falls", networks.SIOUX_FALLS, "sioux_falls/SiouxFalls_flow.tntp"),
    Problem("Anaheim", networks.ANAHEIM, "anaheim/Anaheim_flow.tntp"),
    Problem("Eastern Massachusetts", networks.EASTERN_MASSACHUSETTS, "eastern_massachusetts/EMA_flow_computed.tntp"),
    Problem("Winnipeg", networks.WINNIPEG, "winnipeg/Winnipeg_flow.tntp"),
    Problem("Chicago Sketch", networks.CHICAGO, "chicago_sketch/ChicagoSketch_flow.tntp"),
    Problem("Berlin-Center", networks.BERLIN, "berlin_center/berlin-center_flow_computed.tntp"),
    Problem("Sioux Falls, 2 links closed", networks.SIOUX_FALLS, "whatif_closure/sf_closed_flow_computed.tntp", "sf"),
    Problem("Anaheim, 3 links closed", networks.ANAHEIM, "whatif_closure/anaheim_closed_flow_computed.tntp", "anaheim"),
    Problem("Chicago Sketch, 10 links closed", networks.CHICAGO, "whatif_closure/chicago_closed_flow_computed.tntp", "chicago"),
)
NOISY = (1e-4, 1e-6)
GAPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12)


def published(data: Path, problem: Problem, network: Any) -> Reals:
    """Return the published flow of each link [veh/h], not a number where the file has none."""
    from cim.loaders.tntp import read_flow

    found = read_flow(data / problem.flows)
    ends = zip(network.column("from_node").tolist(), network.column("to_node").tolist(), strict=True)
    return np.array([found.get((a + 1, z + 1), (np.nan, 0.0))[0] for a, z in ends])


def equilibrium(data: Path) -> Part:
    """Return objectives, flows and noise of the static equilibrium."""
    part, rows, noise = Part(), [], []
    curves = {}
    for problem in PROBLEMS:
        network, trips, closed, best = problem.read(data)
        found = assign(network, trips, gap=1e-9, closed=closed)
        off = abs(found.objective / MINUTE / best - 1.0)
        apart = np.abs(found.flow - published(data, problem, network))[found.unique & ~found.closed]
        told = part.judged(f"{problem.name}: objective", f"{off:.1e}", met=off <= 1e-9)
        rows.append((problem.name, f"{network.links.num_rows:,}", f"{len(found.trips):,}", f"{best:.10g}", told, f"{found.gap:.1e}",
                     str(found.iterations), short(float(np.nanmax(apart)))))  # fmt: skip
        large = problem.known is networks.BERLIN
        exact = found if large else assign(network, trips, gap=1e-12, closed=closed)
        runs = [assign(network, trips, gap=gap, closed=closed) for gap in NOISY]
        noise += [noise_row(part, f"{problem.name} | {gap:.0e}", run, exact) for gap, run in zip(NOISY, runs, strict=True)]
        if not problem.closure:
            curves[problem.name] = convergence(network, trips, (1e-2, 1e-4, 1e-6, 1e-9) if large else GAPS)
    six = networks.trips((0, 3, 6.0))
    cost = [assign(networks.braess(bridge=bridge), six, gap=1e-12).least[0] / MINUTE for bridge in (True, False)]
    right = max(abs(cost[0] - 92.0), abs(cost[1] - 83.0)) < 1e-6
    told = part.judged("Braess", f"{cost[0]:.6f} min with the bridge and {cost[1]:.6f} min without", met=right)
    heads = ["network", "links", "pairs of zones", "best known [veh min/h]", "objective off", "gap", "searches", "flow off"]
    part.add(EQUILIBRIUM, table(heads, rows), BEST_KNOWN, f"Braess's network (1968): {told}; exactly 92 and 83.")
    part.add("![Relative gap over processor time on six networks](images/traffic_gap.png)", GAPS_DRAWN, NOISE)
    part.add(table(["network", "gap", "mean error", "largest error", "mean noise", "largest noise", "within"], noise))
    draw_gaps(curves)
    return part


def noise_row(part: Part, name: str, found: Assignment, exact: Assignment) -> tuple[str, ...]:
    """Return how far flows are off, and what the run says of it [veh/h]."""
    of = found.unique & ~found.closed
    error, noise = np.abs(found.flow - exact.flow)[of], found.flow_noise[of]
    within = float((error <= noise + 1e-9).mean())
    numbers = (error.mean(), error.max(), noise.mean(), noise.max())
    return (name, *map(short, map(float, numbers)), part.judged(f"noise of {name}", percent(within, 1), met=within >= 0.99))


def convergence(network: Any, trips: Any, gaps: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Return processor times [s], and the gaps reached."""
    spent, reached = [], []
    for gap in gaps:
        times: list[float] = []
        looks: tuple[float, ...] = ()
        while sum(times) < 0.1 and len(times) < 10:  # the least of several where the clock is too coarse
            begun = time.process_time()
            looks = assign(network, trips, gap=gap).gaps
            times.append(time.process_time() - begun)
        reached.append(looks)
        spent.append(min(times))
    return spent, [next(one for one in some if one <= gap) for some, gap in zip(reached, gaps, strict=True)]


def draw_gaps(curves: dict[str, tuple[list[float], list[float]]]) -> None:
    """Draw gaps over processor time."""
    figure = canvas(9.5, 4.2)
    axes = figure.subplots()
    for colour, (name, (spent, gaps)) in zip(COLOURS, curves.items(), strict=False):
        axes.loglog(spent, gaps, "o-", ms=4, lw=1.2, color=colour, label=name)
    axes.axhline(1e-6, color="black", lw=0.8, ls=":")
    axes.text(axes.get_xlim()[1] / 1.1, 1.4e-6, "default", fontsize=8, ha="right")
    axes.set(xlabel="processor time [s]", ylabel="relative gap", title="User equilibrium: gap over processor time")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    save(figure, "traffic_gap")


# --- dynamic: exact cases ----------------------------------------------------------------------------------------------------
def exact(data: Path) -> Part:
    """Return queues, shocks, closures, merges and diverges beside their exact values."""
    from traffic_cases import cases

    part = Part()
    said = {one["id"]: one for one in json.loads((data / "analytic" / "cases.json").read_text(encoding="utf-8"))}
    rows = [(one.case, f"{one.figure} [{one.unit}]", f"{one.exact:.6g}", f"{one.value:.6g}",
             part.judged(f"{one.case}, {one.figure}", one.error, met=one.met), one.bar) for one in cases(said, draw_closure)]  # fmt: skip
    part.add(EXACT, table(["case", "figure", "exact", "here", "error", "bar"], rows))
    part.add("![A road closed from 08:15 to 10:00: density over time and way, with the exact shock](images/traffic_closure.png)", DRAWN)
    return part


def draw_closure(found: DynamicRun, length: float, case: dict[str, Any]) -> None:
    """Draw density over time and way, and the exact waves."""
    density = (found.entered - found.left).T / (length / 1000.0)
    links = len(density)
    figure = canvas(9, 4.6)
    axes = figure.subplots()
    extent = (found.times[0] / 3600, found.times[-1] / 3600, 0.0, links * length / 1000)
    picture = axes.imshow(density, origin="lower", aspect="auto", extent=extent, cmap="YlOrRd", vmin=0, vmax=150)
    figure.colorbar(picture, ax=axes, label="vehicles per km")
    end, meet, far = links * length / 1000, case["queue_tail_meets_release_at_h"], case["max_queue_length_km"]
    axes.plot([case["t1_h"], meet], [end, end - far], "k-", lw=1.0)
    axes.plot([case["t2_h"], meet], [end, end - far], "k--", lw=1.0)
    axes.plot([meet, case["last_delayed_passes_h"]], [end - far, end], "k:", lw=1.0)
    axes.set(xlim=(7.5, 14.0), xlabel="time of day [h]", ylabel="way [km]", title="Closed at its end from 08:15 to 10:00")
    save(figure, "traffic_closure")


# --- Bologna -----------------------------------------------------------------------------------------------------------------
def bologna(data: Path) -> Part:
    """Return three networks with signals beside SUMO's own runs."""
    from cim.loaders.sumo.network import REACTION, SPACING
    from cim.sim.traffic.dynamic import LOST
    from tests.sim.traffic import test_bologna as own

    part, rows = Part(), []
    for case, (duration, tolerance, share) in own.CASES.items():
        network, found = own.loaded(data / "sumo_bologna" / case)
        bare, free = own.loaded(data / "sumo_bologna" / case, signals=False)
        mean, without = (float(np.nanmean(one.arrival - one.started)) for one in (found, free))
        good, off = own.good_share(network, found, case), mean / duration - 1.0
        missed = part.judged(f"{case}: mean duration", f"{100 * off:+.1f} %", met=abs(off) <= tolerance)
        rows.append((
            case, f"{len(found.departure):,}", f"{found.causes()['arrived']:,}", f"{duration:.0f}", f"{mean:.0f} ({missed})",
            f"± {percent(tolerance)}", part.judged(f"{case}: GEH", f"{good:.1f} %", met=good >= share), f"≥ {share:.0f} %",
            f"{own.good_share(network, found, case, hour=True):.1f} %", f"{without:.0f} s, {own.good_share(bare, free, case):.0f} %",
        ))  # fmt: skip
    heads = ["network", "vehicles", "arrived", "SUMO [s]", "here [s]", "bar", "GEH < 5", "bar", "GEH < 5, hour", "without signals"]
    part.add(BOLOGNA, table(heads, rows), CALIBRATED.format(reaction=REACTION, spacing=SPACING, lost=LOST))
    return part


# --- trips from counts -------------------------------------------------------------------------------------------------------
def counts(data: Path) -> Part:
    """Return what counts bring back of a disturbed matrix."""
    from cim.sim.traffic.estimation import estimate
    from tests.sim.traffic.counted import draw, off

    part, rows, figures = Part(), [], []
    network, true = networks.CHICAGO.read(data)
    flow = assign(network, true).flow
    first = None
    for seed in range(10):
        given = draw(network, true, flow, seed)
        found = estimate(network, given.prior, given.counts, held_back=given.held)
        first = first or (given, found)
        total = [one.total / true.total - 1 for one in (given.prior, found.matrix)]
        origins = [off(one, true) for one in (given.prior, found.matrix)]
        cells = [cell_error(one, true) for one in (given.prior, found.matrix)]
        figures.append((found.held_back_before.good, found.held_back.good, *total, *origins, *cells))
        rows.append((str(seed), f"{percent(found.held_back_before.good)} → {percent(found.held_back.good)}",
                     f"{percent(total[0], 1)} → {part.judged(f'draw {seed}: all trips', percent(total[1], 1), met=abs(total[1]) <= 0.03)}",
                     f"{percent(origins[0])} → {percent(origins[1])}", f"{percent(cells[0])} → {percent(cells[1])}",
                     percent(found.used.good)))  # fmt: skip
    mean = np.array(figures).mean(axis=0)
    five = np.array(figures)[:5]
    good, nearer = float(five[:, 1].mean()), float((1 - five[:, 5] / five[:, 4]).mean())
    assert first is not None
    draw_counts(*first, flow, network)
    share = part.judged("GEH on counts held back", percent(good, 1), met=good >= 0.75)
    origins_nearer = part.judged("trips of origins", percent(nearer), met=nearer >= 0.20)
    part.add(COUNTS, table(["draw", "GEH < 5 on counts held back", "all trips", "trips of an origin", "single pairs", "used"], rows))
    part.add(
        f"Mean of the first five draws: GEH < 5 on {share} of the counts held back (bar: 75 %; {percent(five[:, 0].mean(), 1)} before), "
        f"the trips of origins {origins_nearer} nearer (bar: 20 %), all trips within 3 % in each draw (bar). "
        f"All ten: {percent(mean[1], 1)} ({percent(mean[0], 1)} before).",
        f"**Single pairs are not recovered**: their error goes from {percent(mean[6])} to {percent(mean[7])}. Read totals, and the trips "
        "of zones.",
        "![Modelled against counted flows on roads held back, before and after](images/traffic_counts.png)",
        "Draw 0. Blue: GEH below 5.",
        "Wildau has 18 real counts and no matrix; as many trips at every end of the town are the guess. The run says: " + wildau(data),
    )
    return part


def wildau(data: Path) -> str:
    """Return what an estimate from 18 counts says of itself."""
    from xml.etree import ElementTree as Tree

    import pyarrow as pa

    from cim.loaders.sumo import closed_to, read_network
    from cim.sim.traffic.estimation import Spread, estimate
    from tests.sim.traffic.counted import fringe_trips

    folder = data / "sumo_wildau_counts"
    lanes = read_network(folder / "net.net.xml.gz")
    network = lanes.without(lanes.rows_of([one for ids, _ in closed_to(lanes, ["car"]) for one in ids]))
    edges = list(Tree.parse(folder / "edgedata-file_Wildau.xml").iter("edge"))  # noqa: S314  # a file of the data folder
    counted = pa.table({"link": [one.attrib["id"] for one in edges], "flow": [float(one.attrib["entered"]) for one in edges]})
    found = estimate(network, fringe_trips(network, 100.0, 0.8), counted, spread=Spread(1.0, 0.7, 0.7, 1.0))
    return "\n\n" + "\n".join(f"- {one}" for one in found.notes)


def cell_error(matrix: Any, true: Any) -> float:
    """Return the root mean square error of single pairs of different zones, as a share of their mean."""
    from scipy.sparse import coo_array

    zones = int(max(true.origin.max(), true.destination.max())) + 1
    apart, mean = [], 0.0
    for one in (matrix, true):
        other = one.origin != one.destination
        apart.append(coo_array((one.trips[other], (one.origin[other], one.destination[other])), shape=(zones, zones)).tocsr())
        mean = float(one.trips[other].mean())
    off = (apart[0] - apart[1]).data
    return float(np.sqrt((off**2).sum() / apart[1].nnz) / mean)


def draw_counts(given: Any, found: Any, flow: Reals, network: Any) -> None:
    """Draw flows at counts held back, before and after."""
    rows = network.rows_of(given.counts["link"].filter(given.held).to_pylist())
    figure = canvas(9, 4.4)
    before = assign(network, given.prior, gap=1e-5).flow
    for axes, (title, model, share) in zip(
        figure.subplots(1, 2),
        (("before", before, found.held_back_before.good), ("after", found.assignment.flow, found.held_back.good)),
        strict=True,
    ):
        most = float(flow[rows].max())
        line = np.linspace(1.0, most, 200)
        upper = line + 6.25 + np.sqrt(6.25**2 + 25 * line)  # GEH of 5: 2 (m - c)^2 = 25 (m + c)
        lower = np.maximum(line + 6.25 - np.sqrt(6.25**2 + 25 * line), 0.0)
        axes.fill_between(line, lower, upper, color="#dbeafe", lw=0)
        axes.plot([0, most], [0, most], color="black", lw=0.8)
        axes.plot(flow[rows], model[rows], ".", ms=4, color="#d97706")
        axes.set(title=f"{title}: GEH < 5 on {percent(share)}", xlabel="counted [veh/h]", ylabel="modelled [veh/h]")
    save(figure, "traffic_counts")


# --- reach -------------------------------------------------------------------------------------------------------------------
def reach(data: Path) -> Part:
    """Return times of reach beside networkx."""
    import pyarrow as pa
    import shapely

    from cim.loaders.tntp import read_network
    from cim.sim.impact.reach_search import Search
    from cim.sim.impact.reach_ways import attach, ways_of
    from tests.sim.impact.test_reach_search import by_networkx

    part, folder = Part(), data / "chicago_regional_net_only"
    network = read_network(folder / "ChicagoRegional_net.tntp")
    lines = (folder / "ChicagoRegional_node.tntp").read_text(encoding="utf-8").splitlines()[1:]
    places = np.array([line.split()[1:3] for line in lines if line.strip()], float)
    nodes = network.nodes
    for at, name in ((1, "x"), (2, "y")):
        nodes = nodes.set_column(at, nodes.schema.field(name), pa.array(places[:, at - 1]))
    network = replace(network, nodes=nodes)
    rng = np.random.default_rng(6)
    times = network.column("free_flow_time").astype(float)
    times[rng.choice(len(times), len(times) // 33, replace=False)] = np.inf
    ways = ways_of(network)
    stations = attach(shapely.points(places[rng.choice(len(places), 40, replace=False)] + 20.0), ways, reach=np.inf)
    search = Search(network, ways, stations)
    found = search.run(times, np.zeros(40)).entry(np.arange(len(times)))
    theirs = by_networkx(network, search, times, range(40))
    finite = np.isfinite(theirs)
    same = bool((np.isfinite(found) == finite).all())
    apart = float(np.max(np.abs(found[finite] - theirs[finite]) / np.maximum(theirs[finite], 1e-9)))
    told = part.judged("reach against networkx", f"largest relative difference {short(apart)}", met=same and apart <= 1e-12)
    part.add(
        f"## Reach\n\nChicago Regional, {len(times):,} links, 3 % of them closed, 40 stations within links. Times to the beginning "
        f"of every link against networkx: {told} on {int(finite.sum()):,} links (bar: 1e-12, rounding); the same "
        f"{int((~finite).sum()):,} links cannot be reached. Cost beside scipy's multi-source Dijkstra: `python benchmarks/bench_reach.py`.",
    )
    return part


# --- a million vehicles ------------------------------------------------------------------------------------------------------
def million(data: Path) -> Part:
    """Return what became of a million vehicles."""
    from benchmarks import bench_traffic
    from cim.sim.traffic import Fleet, load_fleet

    part, rows = Part(), []
    network, departure, origin, destination = bench_traffic.draw(data, 1_000_000)
    fleet = Fleet(departure, origin, destination)
    for title, until in (("at 10,000 s, when the last ones depart", 10_000.0), ("at 20,000 s", 20_000.0)):
        run = load_fleet(network, fleet, until=until, table_every=600.0, sample_every=600.0, jam_spacing=5.0, wave_speed=5.0)
        said = {name: many for name, many in run.causes().items() if many}
        lost = len(departure) - sum(said.values())
        told = part.judged(f"a million vehicles {title}", f"{lost:,}", met=lost == 0)
        rows.append((title, ", ".join(f"{many:,} {name}" for name, many in said.items()), told, f"{run.moves:,}",
                     f"{np.nanmean(run.arrival - run.departure):.0f}"))  # fmt: skip
    part.add(
        "## A million vehicles\n\n1,000,000 single vehicles on Chicago Sketch, departures over 10,000 s, spillback and backward wave on.",
        table(["", "what became of them", "lost (bar: 0)", "links passed", "mean trip of those that arrived [s]"], rows),
        "Cost beside UXsim, and memory: `python benchmarks/bench_traffic.py --only dynamic`.",
    )
    return part


# --- coupling ----------------------------------------------------------------------------------------------------------------
def coupling(data: Path) -> Part:
    """Return speeds and closures by depth."""
    del data
    from cim.sim.coupling.parameters import RoadParameters
    from cim.sim.coupling.speed import ponding_capacity, water_speed
    from cim.sim.impact.parameters import ImpactParameters

    part, free = Part(), 50.0 / 3.6
    asked, limits = RoadParameters(), ImpactParameters().vehicles
    depth = np.array([0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.60])
    speed = water_speed(depth, asked.film_depth)
    capacity = ponding_capacity(np.minimum(speed, free), free, asked.ponding_capacity)
    rows = []
    for d, v, c in zip(depth.tolist(), (speed * 3.6).tolist(), capacity.tolist(), strict=True):
        shut = [name for name, which in asked.classes.items() if d > limits[which].depth]
        rows.append((f"{1000 * d:.0f}", f"{v:.1f}", f"{min(v, 50.0):.1f}", f"{c:.2f}", ", ".join(shut) or "none"))
    draw_speed(asked)
    part.add(WATER, table(["depth [mm]", "cap [km/h]", "on a road of 50 km/h", "capacity", "closed in still water to"], rows))
    part.add("![Greatest speed by depth, and the depths at which classes of vehicles are stopped](images/traffic_water.png)")
    return part


def draw_speed(asked: Any) -> None:
    """Draw the law of speed and the limits."""
    from cim.sim.coupling.speed import water_speed
    from cim.sim.impact.parameters import ImpactParameters

    depth = np.linspace(0.0, 0.6, 601)
    figure = canvas(8, 4)
    axes = figure.subplots()
    law = 3.6 * water_speed(depth, asked.film_depth)
    for colour, free in zip(COLOURS, (80.0, 50.0, 30.0), strict=False):
        axes.plot(1000 * depth, np.minimum(law, free), color=colour, lw=1.4, label=f"free speed {free:.0f} km/h")
    limits = ImpactParameters().vehicles
    for name in dict.fromkeys(asked.classes.values()):
        at = 1000 * limits[name].depth
        axes.axvline(at, color="black", lw=0.8, ls=":")
        who = ", ".join(one for one, which in asked.classes.items() if which == name)
        axes.text(at + 4, 78, f"closed to\n{who}", fontsize=8, va="top")
    axes.set(xlabel="depth [mm]", ylabel="greatest speed [km/h]", xlim=(0, 600), ylim=(0, 84), title="Water on a road")
    axes.legend(fontsize=8, loc="center right")
    save(figure, "traffic_water")


# --- the page ----------------------------------------------------------------------------------------------------------------
INTRO = """# Validation of traffic

Equilibrium, queues, estimation, reach and roads under water beside exact solutions, published equilibria and other programs. The page is
written by `python docs/validate_traffic.py DATA`, where DATA is the folder of real files that CONTRIBUTING.md describes;
`tests/sim/traffic` and `tests/sim/impact` hold the same cases to the bars given here. Bars without another source are those that the
project set itself before it began. A figure that misses its bar stands in bold.
"""
EQUILIBRIUM = """## Static equilibrium

To a relative gap of 1e-9. *Objective off*: Beckmann's objective against the best known one, relative; the bar is 1e-9. *Flow off*: the
link furthest from the published flow [veh/h], of those whose flow the equilibrium settles.
"""
BEST_KNOWN = """
Best known: the Transportation Networks collection; of Eastern Massachusetts, Berlin-Center and the closures as solved by another program
to gaps of 1e-11 and less (`SOURCE.txt` in the folders). On Anaheim no path passes a centroid, as the collection says.
"""
GAPS_DRAWN = """
Each point is a run of its own, with the two searches beyond its gap that tell the noise; compiled beforehand. Costs beside AequilibraE,
and warm against cold: `python benchmarks/bench_traffic.py`.
"""
NOISE = """### The noise, and the true error

*Error*: the flow at the gap against that at 1e-12 (Berlin-Center: 1e-9) [veh/h]. *Noise*: what the run says that its gap leaves open.
*Within*: share of the links whose error is at most their noise; the bar is 99 %. The flow returned is two searches better than the one
whose error the noise is of, so most noises are far larger than the errors.
"""
EXACT = """## Dynamic model: exact cases

Newell's model has exact answers for simple roads; `analytic/cases.json` in the data folder holds them with their formulas: a triangular
diagram of 60 and 20 km/h and 150 veh/km, 2,250 veh/h; Daganzo's merge and diverge (1995); Vickrey's bottleneck (1969), under the
departures that it prescribes. Bars: 1 %, or one step: a headway, a vehicle, a link of 500 m at each end of a queue.
"""
DRAWN = """
Vehicles on a road of 56 km whose end is closed from 08:15 to 10:00, at 1,500 veh/h. Black lines are exact: the end of the queue, the wave
with which it dissolves, the last vehicle that was delayed.
"""
BOLOGNA = """## Dynamic model: Bologna with its signals

Three networks of SUMO's Bologna scenario with fixed-time signals, buses and who gives way, one set of parameters for all. Mean time from
the first road to arrival beside SUMO micro 1.28.0; shares of edges and intervals of five minutes, counts × 12, with a GEH below 5 against
SUMO's counts, which are kept in `tests/sim/traffic`; the same of the sums over the hour. Last column: the same model without signals.
"""
CALIBRATED = """
**This is a calibration, no forecast.** What decides is the headway at stop lines: here {reaction:g} s and the time for {spacing:g} m at
the speed of the turn, with {lost:g} s of green lost at the start; set with these three networks in view. SUMO with another seed agrees
with itself on 97 % of the five-minute counts of joined (`ORIGIN.toml` beside the counts), and a model without signals reaches the share
in the last column: the share of counts says less than it seems to.
"""
COUNTS = """## Trips from counts

Chicago Sketch, its matrix × 0.85 with lognormal noise of 0.2 by zone and 0.3 by cell; counts, without error, on 20 % of the roads, a
fifth of them held back. Errors of trips are root mean squares as shares of the mean. *Used*: GEH < 5 on the counts that were used, a fit
and no proof.
"""
WATER = """## Water on a road

The greatest speed by depth of Pregnolato et al. (2017), whose law ends at 300 mm and is held there; what it leaves of a road of 50 km/h;
the capacity that follows by the triangular diagram, which is an assumption; and who may not pass, by the limits of the
[impact](impact.md). That a road is closed here exactly where the impact says so is a test with random water (`tests/sim/coupling`).
"""
LIMITS = """
## What these figures do not say

The published equilibria are the same mathematics solved by other programs: they say that the solution is right, not that drivers behave
so. The exact cases are of single roads. Bologna is beside a simulation, not beside counts on a street, and was calibrated on it. The
counts of Chicago are flows of an equilibrium, so that drivers who choose otherwise, and counting errors, are not in them. No observed
traffic in a flood is among the data, and no study was found that has any.
"""
PARTS: dict[str, Callable[[Path], Part]] = {
    "equilibrium": equilibrium, "exact": exact, "bologna": bologna, "million": million, "counts": counts, "reach": reach,
    "coupling": coupling,
}  # fmt: skip


def state_of_the_code() -> str:
    """Return a fingerprint of everything that decides the figures."""
    sums = hashlib.sha256()
    for name in SOURCES:
        place = ROOT / name
        for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if file.suffix in {".py", ".json"}:
                sums.update(file.read_bytes())
    return sums.hexdigest()[:12]


def made(name: str, data: Path, keep: Path | None, state: str, *, anew: bool | None) -> Part:
    """Return a part: from the folder of kept ones where it is there and of this code, unless it is asked for anew."""
    file = None if keep is None else keep / f"{name}.json"
    if file is not None and file.exists() and not anew:
        said = json.loads(file.read_text(encoding="utf-8"))
        if said.pop("state") == state or anew is False:
            return Part(**said)
    begun = time.process_time()
    part = PARTS[name](data)
    print(f"{name}: {time.process_time() - begun:.1f} s", file=sys.stderr, flush=True)
    if file is not None:
        file.write_text(json.dumps({**vars(part), "state": state}), encoding="utf-8")
    return part


def main() -> None:
    """Measure, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", nargs="*", choices=PARTS)
    wanted = parser.parse_args()
    if wanted.keep is not None:
        wanted.keep.mkdir(parents=True, exist_ok=True)
    state = state_of_the_code()
    parts = {name: made(name, wanted.data / "traffic", wanted.keep, state, anew=None if wanted.only is None else name in wanted.only)
             for name in PARTS}  # fmt: skip
    missed = [one for part in parts.values() for one in part.missed]
    many = sum(part.bars for part in parts.values())
    told = f"**{many - len(missed)} of {many} bars are met.**" + (
        " Missed:\n\n" + "\n".join(f"- {one}" for one in missed) if missed else ""
    )
    page = "\n\n".join(one.strip("\n") for one in [INTRO, told, *(part.text for part in parts.values()), LIMITS])
    (ROOT / "docs" / "validation-traffic.md").write_text(page + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
