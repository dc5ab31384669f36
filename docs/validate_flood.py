"""Measure the flood section of docs/validation.md and draw its figures: python docs/validate_flood.py [DATA] [--heavy] [--figures].

The cases and their bars are those of tests/sim/flood; here they run in both schemes and every figure is printed, met or not. DATA is the
folder of real files; without it only what has a closed form is measured. `--heavy` adds the cases that take minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the cases live beside the tests

from tests.sim.flood import cases, exact, published, references  # noqa: E402
from tests.sim.flood.cases import Case, Run  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

IMAGES = ROOT / "docs" / "images"
SCHEMES = ("standard", "accurate")
COLOURS = {"standard": "#d97706", "accurate": "#2563eb"}
Row = tuple[str, str, str, str]
_runs: dict[tuple[str, str, str], Run] = {}


def run(case: Case, scheme: str, precision: str = "float64") -> Run:
    """Return a run, made once."""
    key = (case.name, scheme, precision)
    if key not in _runs:
        _runs[key] = cases.run(case, scheme, precision)
    return _runs[key]


# --- tables ---------------------------------------------------------------------------------------------------------------
def shown(name: str, value: float, unit: str) -> str:
    """Return a figure as it is printed: shares in per cent, the rest with three digits."""
    return f"{value:.3g}" if unit != "share" or "[" in name or name.startswith("CSI") else f"{100 * value:.3f} %"


def rows(made: list[Case], precision: str = "float64") -> Iterator[Row]:
    """Yield every figure of the cases in both schemes beside its bar; a figure over its bar is set in bold."""
    for case in made:
        figures = {scheme: case.judge(run(case, scheme, precision)) for scheme in SCHEMES}
        for name in figures["standard"]:
            bars = {case.bars.get(scheme, {}).get(name) for scheme in SCHEMES} - {None}
            told = ", ".join(shown(name, bar, case.unit) for bar in sorted(bars, reverse=True) if bar is not None)
            cells = [_cell(case, scheme, name, figures[scheme][name]) for scheme in SCHEMES]
            yield f"{case.about or case.name}: {name}", f"≤ {told}" if told else "–", cells[0], cells[1]


def _cell(case: Case, scheme: str, name: str, value: float) -> str:
    text = shown(name, value, case.unit)
    bar = case.bars.get(scheme, {}).get(name)
    return f"**{text}**" if bar is not None and not value <= bar else text


def table(title: str, lines: Iterator[Row]) -> None:
    """Print one table."""
    print(f"### {title}\n\n| case: figure | bar | first order | second order |\n|---|---|---|---|")
    for line in lines:
        print("| " + " | ".join(line) + " |", flush=True)
    print()


def closed_forms() -> list[tuple[str, list[Case]]]:
    """Return the cases that need no file."""
    dams = [
        cases.dam(2.0, 0.5, bars={"standard": {"depth": 0.0030}, "accurate": {"depth": 0.0010}}),
        cases.dam(2.0, 0.0, bars={"standard": {"depth": 0.0045}, "accurate": {"depth": 0.0012}}),
    ]
    planes = [cases.towards(cases.plane(slope), way) for slope in (0.01, 0.05, 0.20) for way in ("east", "south")]
    slow, fast = exact.long_channel_slow, exact.long_channel_fast
    return [
        ("Dam breaks, 1,000 cells of 1 m after 30 s", dams),
        ("Waves from an edge that is held", [cases.bore_by_stage(0.6), cases.bore_by_stage(2.0), cases.bore_by_discharge(2.0)]),
        ("Rain of 60 mm/h on planes of 100 m, cells of 2 m", [*planes, *(cases.tilted_plane(slope) for slope in (0.01, 0.05, 0.20))]),
        ("Still water over a rough bed [m/s]", [cases.lake(seed) for seed in range(3)]),
        (
            "Steady channels made for their depth, cells of 5 m",
            [
                cases.channel(slow, length=1000.0, q=2.0, n=0.033, cells=200, name="channel-slow"),
                cases.channel(fast, length=1000.0, q=2.5, n=0.04, cells=200, name="channel-fast"),
            ],
        ),
    ]


def files(data: Path) -> list[tuple[str, list[Case]]]:
    """Return the cases of the data folder that take seconds."""
    return [
        ("SWASHES", [references.swashes(data, name) for name in references.SWASHES]),
        ("MacDonald channels of Itzi: a third of its tolerance [m]", [references.macdonald_itzi(data, kind) for kind in references.ITZI]),
        ("Round dam breaks, cells of 1 m", [references.radial(data, kind) for kind in ("dry", "wet")]),
        ("EA test 3", [published.ea3(data)]),
    ]


def heavy(data: Path) -> list[tuple[str, list[Case], str]]:
    """Return the cases that take minutes, and the precision they run in."""
    return [
        ("EA test 4, against LISFLOOD-FP DG2", [published.ea4(data)], "float64"),
        ("Malpasset, highest levels [m]", [published.malpasset(data)], "float32"),
        ("Newcastle 2012, the worst hour", [published.newcastle(data)], "float32"),
        ("A building in a flume, root mean square of depth [m]", [published.isolated_building(data)], "float64"),
    ]


def orders() -> Iterator[Row]:
    """Yield measured orders of convergence."""
    from tests.sim.flood.measures import order
    from tests.sim.flood.test_exact import hump_differences, steady_errors

    kinds: tuple[tuple[str, Callable[[str], list[float]], str], ...] = (
        ("smooth hump before it breaks, 100 to 800 cells", hump_differences, "about 1, 2"),
        ("steady channel, 50 to 200 cells", steady_errors, "about 1, 2"),
    )
    for name, errors, expected in kinds:
        found = {scheme: ", ".join(f"{one:.2f}" for one in order(errors(scheme))) for scheme in SCHEMES}
        yield name, expected, found["standard"], found["accurate"]


# --- figures ----------------------------------------------------------------------------------------------------------------
def save(figure: Any, name: str) -> None:
    """Write a figure beside the others."""
    figure.tight_layout()
    figure.savefig(IMAGES / f"{name}.png", dpi=110)
    print(f"![{name}](images/{name}.png)\n", flush=True)


def profile(axes: Any, case: Case, truth: Reals, *, title: str, level: bool = False) -> None:
    """Draw depth (or level) along x: the truth, and both schemes."""
    bed = case.elevation[1] if level else 0.0
    if level:
        axes.fill_between(case.x, bed, bed.min() - 0.02 * np.ptp(bed), color="#d6d3d1")
    axes.plot(case.x, bed + truth, color="black", lw=1.0, label="exact")
    for scheme in SCHEMES:
        axes.plot(case.x, bed + run(case, scheme).depth[-1, 1], color=COLOURS[scheme], lw=1.2, ls="--", label=scheme)
    axes.set(title=title, xlabel="x [m]", ylabel="level [m]" if level else "depth [m]")


def draw_exact() -> None:
    """Draw dam breaks, rain on a plane, the bump with its jump and the bowl."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7))
    axes = figure.subplots(2, 2)
    for place, (up, down, name) in enumerate([(2.0, 0.5, "Dam break on water, 30 s"), (2.0, 0.0, "Dam break on a dry bed, 30 s")]):
        case = cases.dam(up, down)
        profile(axes[0, place], case, exact.dam_break(case.x - 500.0, 30.0, up, down)[0], title=name)
    bump = cases.bump_case("shock", cells=250)
    profile(axes[1, 0], bump, exact.bump_steady(bump.x, 0.18, 0.33, transcritical=True), title="Jump behind a bump, steady", level=True)
    limb(axes[1, 1], cases.plane(0.05), 0.05)
    axes[0, 0].legend()
    save(figure, "flood_exact")


def limb(axes: Any, case: Case, slope: float, n: float = 0.03, length: float = 100.0) -> None:
    """Draw the outflow of a plane under rain."""
    for scheme in SCHEMES:
        one = run(case, scheme)
        left = cases.RAIN * length * one.times - one.depth[:, 1].sum(axis=1) * case.dx
        axes.plot((one.times[1:] + one.times[:-1]) / 120, np.diff(left) / np.diff(one.times) * 1e3, color=COLOURS[scheme], ls="--")
    axes.plot(one.times / 60, exact.kinematic_outflow(one.times, length, cases.RAIN, slope, n) * 1e3, color="black", lw=1.0)
    axes.set(title="Rain of 60 mm/h on a plane of 5 %: outflow", xlabel="time [min]", ylabel="unit discharge [l/s/m]")


def draw_ea4(data: Path) -> None:
    """Draw the depth at the six points of test 4."""
    from matplotlib.figure import Figure

    case = published.ea4(data)
    reference = np.loadtxt(data / "ea4_floodplain" / "lisflood80_dg2_5m_depth.csv", delimiter=",", skiprows=1)
    figure = Figure(figsize=(11, 6))
    for place, (name, axes) in enumerate(zip(case.gauges, figure.subplots(2, 3).ravel(), strict=True)):
        axes.plot(reference[:, 0] / 3600, reference[:, place + 1], "k.", ms=3, label="LISFLOOD-FP DG2")
        for scheme in SCHEMES:
            times, depth = run(case, scheme).gauges[name]
            axes.plot(times / 3600, depth, color=COLOURS[scheme], lw=1.0, label=scheme)
        axes.set(title=f"Point {name}", xlabel="time [h]", ylabel="depth [m]")
        if place == 0:
            axes.legend()
    save(figure, "flood_ea4")


def draw_malpasset(data: Path) -> None:
    """Draw the highest levels at the marks of Malpasset, observed and modelled."""
    from matplotlib.figure import Figure

    case, marks = published.malpasset(data), published.malpasset_marks(data)
    x, y = np.meshgrid(case.x, case.y)
    figure = Figure(figsize=(11, 4.5))
    axes = figure.subplots()
    places = np.arange(len(marks.names))
    axes.plot(places, marks.level, "ko", label="observed, measured in the 1:400 model")
    for (name, levels), symbol in zip(marks.models.items(), ("^", "v"), strict=True):
        axes.plot(places, levels, symbol, color="#9ca3af", label=name)
    for scheme in SCHEMES:
        found = published.level_at(run(case, scheme, "float32").maximum_level, x, y, marks)
        axes.plot(places, found, "_", ms=14, mew=2, color=COLOURS[scheme], label=scheme)
    axes.set_xticks(places, marks.names)
    axes.set(ylabel="highest level [m]", title="Malpasset, 2 December 1959")
    axes.legend()
    save(figure, "flood_malpasset")


def draw_flume(data: Path) -> None:
    """Draw the depth at the gauges of the flume."""
    from matplotlib.figure import Figure

    case = published.isolated_building(data)
    times, *measured = np.loadtxt(data / "isolated_building_ea6a" / "measured" / "building_gauges_h.txt", skiprows=2).T
    figure = Figure(figsize=(11, 6))
    for name, series, axes in zip(case.gauges, measured, figure.subplots(2, 3).ravel(), strict=True):
        axes.plot(times, series, color="black", lw=0.8, label="measured")
        for scheme in SCHEMES:
            axes.plot(*run(case, scheme).gauges[name], color=COLOURS[scheme], lw=1.0, label=scheme)
        axes.set(title=name, xlabel="time [s]", ylabel="depth [m]")
    axes.legend()
    save(figure, "flood_flume")


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--heavy", action="store_true")
    parser.add_argument("--figures", action="store_true")
    wanted = parser.parse_args()
    data = None if wanted.data is None else wanted.data / "flood"
    for title, made in [*closed_forms(), *(files(data) if data else [])]:
        table(title, rows(made))
    table("Order of convergence", orders())
    for title, made, precision in heavy(data) if data and wanted.heavy else []:
        table(title, rows(made, precision))
    if wanted.figures:
        draw_exact()
        for draw in (draw_ea4, draw_malpasset, draw_flume) if data and wanted.heavy else ():
            draw(data)


if __name__ == "__main__":
    main()
