"""Where water enters and leaves besides rain: open sides of the domain, and places into which it is poured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.case import Edge, Source
from cim.sim.flood.elevation import is_number
from cim.sim.flood.kernels import FREE, INFLOW, STAGE
from cim.sim.flood.split import critical_level, lay_split
from cim.sim.flood.told import jet_told, outline

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.series import PreparedSeries

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

__all__ = ["Boundary", "Inflow", "cells_of", "drains", "lay_boundaries", "lay_inflows", "said", "series_of"]

SIDES = ("west", "east", "north", "south")
Kind = Literal["closed", "free", "stage", "inflow"]
_KINDS = {"free": FREE, "stage": STAGE, "inflow": INFLOW}
_HIGHEST = 100.0
"""A stage that stands higher above all ground of its boundary [m] is in another unit or height system; lower below all of it, likewise."""
_DEEPEST = 1000.0
"""Likewise above the lowest ground of its boundary [m]."""
_UNEVEN = 1.0
"""Ground along an inflow that differs by more [m] is told."""


@dataclass(frozen=True)
class Boundary:
    """What happens at a side of the domain, or at a part of one. Sides without a boundary are walls.

    Examples
    --------
    >>> tide = Boundary("east", kind="stage", level=[("0h", 1.2), ("6h", 2.1)])
    >>> river = Boundary(((0.0, 990.0), (0.0, 1010.0)), kind="inflow", discharge=20.0)
    """

    where: Any
    """``"west"``, ``"east"``, ``"north"``, ``"south"``, or a line along the edge in the domain's system: points or a shapely line."""
    kind: Kind = "free"
    """``"free"``: water leaves as it comes, nothing enters; ``"stage"``: a level; ``"inflow"``: a discharge; ``"closed"``: a wall."""
    discharge: Any = None
    """Of an inflow, over its whole length: [m³/s] as a number, pairs (time, m³/s), or a `Series` that says its unit. It is divided by
    conveyance at the water level, so that dry banks get nothing; evenly where a `depth` is given."""
    unit_discharge: Any = None
    """The same per metre of its length [m²/s], the same along all of it."""
    level: Any = None
    """Of a stage: elevation of the water [m] in the height system of the terrain; a number, pairs, or a `Series`."""
    depth: float | None = None
    """Of a stage: a fixed depth in place of a level; of an inflow faster than its waves: its depth [m]."""
    name: str = ""

    @property
    def label(self) -> str:
        """What messages and the ledger call it."""
        return said(self.name) or f"boundary {self.where if isinstance(self.where, str) else self.kind}"


@dataclass(frozen=True)
class Inflow:
    """Water poured into cells: a burst main, a stream that enters, an overflowing manhole.

    Examples
    --------
    >>> burst = Inflow((500120.0, 3460080.0), discharge=[("0min", 0.4), ("30min", 0.0)])
    """

    where: Any
    """A point (x, y), a shapely point, line or polygon in the domain's system: all cells it touches share the water."""
    discharge: Any = None
    """[m³/s] as a number, pairs (time, m³/s), or a `Series` that says its unit."""
    name: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return said(self.name) or "inflow"


def lay_boundaries(
    boundaries: Sequence[Boundary], grid: Grid, ground: NDArray[np.float64], roughness: float | NDArray[np.float64],
    start: datetime | None, until: float,
) -> tuple[list[Edge], list[str], list[str]]:  # fmt: skip
    """Return the edges of the solver, every fault, and what a reader of the result should know; one sentence each."""
    edges: list[Edge] = []
    faults: list[str] = []
    notes: list[str] = []
    taken: dict[int, Bools] = {side: np.zeros(max(grid.nx, grid.ny), bool) for side in range(4)}
    for one in boundaries:
        wrong = _wrong(one)
        places = {} if wrong else _places(one, grid, np.isfinite(ground))
        if not wrong and not places:
            where = f"no cell of the domain's edge lies there (its box is {_box(grid)})"
            wrong = [f"{one.label}: {where}; give a side, or a line along the edge"]
        if any(taken[side][cells].any() for side, cells in places.items()):
            wrong.append(f"{one.label}: a part of it has another boundary already; each cell of the edge takes one")
        for side, cells in places.items():
            taken[side][cells] = True
        if not wrong and one.kind != "closed":
            made, wrong, told = _edges(one, places, grid, ground, roughness, start, until)
            edges += made
            notes += told
        faults += wrong
    return edges, faults, notes


def _wrong(one: Boundary) -> list[str]:
    """Return what a boundary lacks or has too much."""
    if str(one.kind) not in get_args(Kind):
        return [f"{one.label}: kind={one.kind!r}; expected {', '.join(get_args(Kind))}"]
    if isinstance(one.where, str) and one.where not in SIDES:
        return [f"{one.label}: there is no side {one.where!r}; expected {', '.join(SIDES)}, or a line"]
    if not isinstance(one.where, str) and not _is_line(one.where):
        return [f"{one.label}: where={one.where!r}; expected {', '.join(SIDES)}, or a line: points [[x, y], …] or a shapely geometry"]
    given = {name for name in ("discharge", "unit_discharge", "level", "depth") if getattr(one, name) is not None}
    allowed = {"inflow": {"discharge", "unit_discharge", "depth"}, "stage": {"level", "depth"}}.get(one.kind, set())
    faults = [f"{one.label}: a boundary of the kind {one.kind!r} takes no {name}" for name in sorted(given - allowed)]
    if one.kind == "inflow" and len(given & {"discharge", "unit_discharge"}) != 1:
        faults.append(f"{one.label}: an inflow needs discharge= [m³/s] or unit_discharge= [m²/s], one of them")
    if one.kind == "stage" and len(given) != 1:
        faults.append(f"{one.label}: a stage needs level= [m] or depth= [m], one of them")
    if one.depth is not None and not (is_number(one.depth) and 0 <= one.depth <= _HIGHEST):
        faults.append(f"{one.label}: depth={one.depth!r}; expected metres, from 0 to {_HIGHEST:g}")
    return faults


def _is_line(where: Any) -> bool:
    import shapely

    try:
        return isinstance(where, shapely.Geometry) or np.shape(np.asarray(where, float))[1:] in {(2,), (3,)}
    except (TypeError, ValueError):
        return False


def _places(one: Boundary, grid: Grid, known: Bools) -> dict[int, Ints]:
    """Return the cells by side where the boundary lies; cells without ground are left out."""
    found = {}
    for side, has_ground in enumerate((known[:, 0], known[:, -1], known[0], known[-1])):
        if isinstance(one.where, str):
            cells = np.arange(len(has_ground)) if SIDES[side] == one.where else np.empty(0, np.int64)
        else:
            cells = _along(one.where, side, grid)
        cells = cells[has_ground[cells]]
        if len(cells):
            found[side] = cells
    return found


def _along(line: Any, side: int, grid: Grid) -> Ints:
    """Return the cells of a side whose outer face has its middle on the line, to half a cell."""
    import shapely

    west, east = grid.x_min, grid.x_min + grid.nx * grid.dx
    north, south = grid.y_max, grid.y_max - grid.ny * grid.dy
    if side < 2:
        middles = shapely.points(np.full(grid.ny, west if side == 0 else east), grid.y)
    else:
        middles = shapely.points(grid.x, np.full(grid.nx, north if side == 2 else south))
    shape = line if isinstance(line, shapely.Geometry) else shapely.linestrings(np.asarray(line, float))
    return np.flatnonzero(shapely.distance(middles, shape) < 0.4999 * grid.dx)


def _edges(
    one: Boundary, places: dict[int, Ints], grid: Grid, ground: NDArray[np.float64], roughness: float | NDArray[np.float64],
    start: datetime | None, until: float,
) -> tuple[list[Edge], list[str], list[str]]:  # fmt: skip
    """Return the edges of a boundary, its faults and its notes."""
    if one.kind == "free":
        return [Edge(side, cells, FREE, name=one.label) for side, cells in places.items()], [], []
    if one.kind == "stage" and one.level is None:
        return [_of_depth(one, side, cells, ground) for side, cells in places.items()], [], []
    value, unit = (one.level, "m") if one.kind == "stage" else (one.discharge, "m³/s")
    if value is None:
        value, unit = one.unit_discharge, "m²/s"
    series, faults = series_of(value, "m" if one.kind == "stage" else "m³/s", one.label, start, until)
    if series is None:
        return [], faults, []
    own = np.concatenate([_side(ground, side)[cells] for side, cells in places.items()])
    if unit == "m":
        faults, notes = _stage_told(one, series, own)
        made = [Edge(side, cells, STAGE, series, name=one.label) for side, cells in places.items()]
        return ([], faults, []) if faults else (made, [], notes)
    most, count = float(np.max(series.values, initial=0.0)), len(own)
    faults, jet = jet_told(one.label, most * (1.0 if unit == "m³/s" else count * grid.dx), count * grid.dx)
    if unit == "m³/s" and one.depth is None:
        made, notes = _divided(one, series, places, grid, ground, roughness)
        return made, faults, [*jet, *notes]
    edges = []
    for side, cells in places.items():
        share = len(cells) / count if unit == "m³/s" else len(cells) * grid.dx
        edges.append(Edge(side, cells, INFLOW, _scaled(series, share), depth=one.depth or 0.0, name=one.label))
    why = "unit_discharge" if unit == "m²/s" else "an inflow with a depth"
    uneven = float(np.ptp(own))
    jet += [f"{one.label}: {why} enters evenly, though its ground differs by {uneven:.1f} m"] if uneven > _UNEVEN else []
    return edges, faults, jet


def _scaled(series: PreparedSeries, share: float) -> PreparedSeries:
    return replace(series, values=series.values * share)


def _side(values: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the cells along a side."""
    return (values[:, 0], values[:, -1], values[0], values[-1])[side]


def _divided(
    one: Boundary, series: PreparedSeries, places: dict[int, Ints], grid: Grid, ground: NDArray[np.float64],
    roughness: float | NDArray[np.float64],
) -> tuple[list[Edge], list[str]]:  # fmt: skip
    """Return the edges of an inflow, its discharge divided by conveyance where its cells differ, and what is to be told of that."""
    most = float(np.max(series.values, initial=0.0))
    count = sum(map(len, places.values()))
    cells = [
        [(at, np.zeros_like(at)), (at, np.full_like(at, grid.nx - 1)), (np.zeros_like(at), at), (np.full_like(at, grid.ny - 1), at)][side]
        for side, at in places.items()
    ]
    splits = lay_split(cells, ground, roughness, grid.dx, most)
    if splits is None:
        return [Edge(side, at, INFLOW, _scaled(series, len(at) / count), name=one.label) for side, at in places.items()], []
    edges = [Edge(side, at, INFLOW, series, name=one.label, split=split) for (side, at), split in zip(places.items(), splits, strict=True)]
    own = splits[0].ground
    wet, uneven = int((own < critical_level(own, most, grid.dx)).sum()), float(own.max())
    if wet == count and uneven <= _UNEVEN:
        return edges, []
    how = f"{one.label}: its ground differs by {uneven:.1f} m; the discharge enters by conveyance below the water level"
    return edges, [f"{how}, {most:g} m³/s through at least {wet} of {count} cells"]


def _stage_told(one: Boundary, series: PreparedSeries, ground: NDArray[np.float64]) -> tuple[list[str], list[str]]:
    """Return why a level cannot be meant, and whether it lies below its ground."""
    low, high = float(np.min(series.values)), float(np.max(series.values))
    least, most = float(ground.min()), float(ground.max())
    where = f"the ground of its {len(ground)} cells, {least:g} to {most:g} m"
    ask = "is it in metres, and in the height system of the terrain?"
    faults = []
    if high > min(most + _HIGHEST, least + _DEEPEST):
        faults.append(
            f"{one.label}: its level rises to {high:g} m, {high - most:g} m above {where}; expected at most {_HIGHEST:g} m: {ask}"
        )
    if low < least - _HIGHEST:
        faults.append(
            f"{one.label}: its level falls to {low:g} m, {least - low:g} m below {where}; {ask} an edge without level is kind='free'"
        )
    if high <= least:
        return faults, [f"{one.label}: its level, at most {high:g} m, is never above {where}: water only leaves there, as over a free edge"]
    if low <= least:
        return faults, [f"{one.label}: its level falls to {low:g} m, below {where}: at such times water only leaves there"]
    return faults, []


def _of_depth(one: Boundary, side: int, cells: Ints, ground: NDArray[np.float64]) -> Edge:
    """Return a stage that is a depth: a level for each cell."""
    own = _side(ground, side)[cells]
    return Edge(side, cells, STAGE, Fixed(own + (one.depth or 0.0)), name=one.label)


@dataclass(frozen=True)
class Fixed:
    """Values that never change, one per cell."""

    values: NDArray[np.float64]

    def mean(self, first: float, last: float) -> Any:  # noqa: ARG002 - the same at all times
        """Return the values."""
        return self.values


def series_of(
    value: Any, unit: str, name: str, start: datetime | None, until: float
) -> tuple[PreparedSeries | None, list[str]]:  # fmt: skip
    """Return a series on the clock of the run, or why there is none; a bare number or pairs are in the SI unit."""
    from cim.sim.flood.series import Series

    try:
        if isinstance(value, Series):
            series = value.expect(unit, name)
        elif isinstance(value, int | float):
            series = Series.constant(float(value), unit, kind=unit, name=name)
        else:
            series = Series.of(value, unit=unit, kind=unit, name=name)
    except UsageError as error:
        return None, [f"{name}: {error}"]
    faults = series.faults(start, until)
    if not faults and unit == "m³/s" and np.min(series.values, initial=0.0) < 0:
        faults = [f"{name}: a discharge of {np.min(series.values):g} m³/s; expected none below 0; use a Pump to take water out"]
    return (None, faults) if faults else (series.prepare(start, until), [])


def lay_inflows(
    inflows: Sequence[Inflow], grid: Grid, known: Bools, start: datetime | None, until: float
) -> tuple[list[Source], list[str], list[str]]:  # fmt: skip
    """Return the sources of the solver, every fault, and what a reader of the result should know; one sentence each."""
    sources: list[Source] = []
    faults: list[str] = []
    notes: list[str] = []
    for one in inflows:
        cells, wrong = cells_of(one.where, grid, known, one.label)
        series, more = series_of(one.discharge, "m³/s", one.label, start, until)
        faults += [*wrong, *more]
        if cells is not None and series is not None:
            wrong, told = jet_told(one.label, float(np.max(series.values, initial=0.0)), outline(cells, grid))
            faults += wrong
            notes += told
            sources.append(Source(cells, series, name=one.label))
    return sources, faults, notes


def cells_of(where: Any, grid: Grid, known: Bools, label: str) -> tuple[tuple[Ints, Ints] | None, list[str]]:
    """Return rows and columns of the cells that a point or shape touches, or why there are none."""
    import shapely
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    try:
        shape = where if isinstance(where, shapely.Geometry) else shapely.Point(np.asarray(where, float).ravel())
    except (TypeError, ValueError):
        return None, [f"{label}: {where!r} is no place; expected a point (x, y) or a shapely geometry"]
    if shape.geom_type == "Point":  # a cell has its western and northern edge
        row, column = int(np.floor((grid.y_max - shape.y) / grid.dy)), int(np.floor((shape.x - grid.x_min) / grid.dx))
        mask = np.zeros((grid.ny, grid.nx), bool)
        if 0 <= row < grid.ny and 0 <= column < grid.nx:
            mask[row, column] = True
    else:
        transform = Affine(grid.dx, 0.0, grid.x_min, 0.0, -grid.dy, grid.y_max)
        mask = rasterize([shape], out_shape=(grid.ny, grid.nx), transform=transform, all_touched=True, dtype="uint8").astype(bool)
    if not mask.any():
        return None, [f"{label}: {shape.wkt[:80]} lies outside the domain, whose box is {_box(grid)}"]
    if not (mask & known).any():
        return None, [f"{label}: {shape.wkt[:80]} lies where the domain has no ground"]
    rows, columns = np.nonzero(mask & known)
    return (rows, columns), []


def drains(open_edge: Bools | None) -> list[Source]:
    """Return the cells outside the domain over whose edge water leaves."""
    if open_edge is None or not open_edge.any():
        return []
    rows, columns = np.nonzero(open_edge)
    return [Source((rows, columns), drain=True, name="open edge")]


def said(name: Any) -> str:
    """Return a name as text, nothing for none."""
    return "" if name is None else str(name)


def _box(grid: Grid) -> str:
    return f"{grid.x_min:g} {grid.y_max - grid.ny * grid.dy:g} to {grid.x_min + grid.nx * grid.dx:g} {grid.y_max:g}"
