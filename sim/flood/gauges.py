"""What is looked at while a flood runs: water at points, and flow across lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.boundary import cells_of
from cim.sim.flood.kernels import PAD

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa
    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.solver import Solver

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Watch", "watch"]


@dataclass(frozen=True)
class _Section:
    rows: Ints
    columns: Ints
    east: Floats
    """East part of the right-hand normal times the length it stands for [m]."""
    north: Floats
    beyond: float
    """Share of the line off the ground of the domain: nothing is counted there."""


@dataclass
class Watch:
    """Gauges and sections of a run, and what they showed."""

    gauges: Mapping[str, tuple[Ints, Ints]]
    sections: Mapping[str, _Section]
    rows: list[list[float]] = field(default_factory=list)
    """One list per look: time [s], then depth, velocity and level of each gauge, then the flow of each section."""
    notes: tuple[str, ...] = ()
    """Which sections reach beyond the ground."""

    def look(self, solver: Solver) -> None:
        """Write down what the water does now."""
        found = [solver.time]
        for rows, columns in self.gauges.values():
            depth = float(solver.h[rows[0] + PAD, columns[0] + PAD])
            flow = float(np.hypot(solver.qx[rows[0] + PAD, columns[0] + PAD], solver.qy[rows[0] + PAD, columns[0] + PAD]))
            ground = float(solver.z[rows[0] + PAD, columns[0] + PAD]) + solver.base
            found += [depth, flow / depth if depth > float(solver.dry) else 0.0, ground + depth]
        for one in self.sections.values():
            place = (one.rows + PAD, one.columns + PAD)
            found.append(float(solver.qx[place].astype(float) @ one.east - solver.qy[place].astype(float) @ one.north))
        self.rows.append(found)

    def tables(self, start: datetime) -> dict[str, pa.Table]:
        """Return the tables ``gauges`` and ``sections``."""
        import pyarrow as pa

        from cim.results.columns import column

        found = np.array(self.rows, float).reshape(len(self.rows), 1 + 3 * len(self.gauges) + len(self.sections))
        instants = instants_of(start, found[:, 0])
        made: dict[str, Any] = {}
        if self.gauges:
            names = np.repeat(list(self.gauges), len(found))
            depth, speed, level = (np.concatenate([found[:, 1 + k + 3 * i] for i in range(len(self.gauges))]) for k in range(3))
            fields = [
                column("gauge", pa.string(), en="gauge", zh="测点"),
                column("time", pa.timestamp("us", "UTC"), en="time", zh="时间"),
                column("depth", pa.float64(), unit="m", en="water depth", zh="水深"),
                column("level", pa.float64(), unit="m", en="water level", zh="水位"),
                column("velocity", pa.float64(), unit="m/s", en="flow velocity", zh="流速"),
            ]
            values = [names, np.tile(instants, len(self.gauges)), depth, level, speed]
            made["gauges"] = _table(fields, values)
        if self.sections:
            flow = found[:, 1 + 3 * len(self.gauges) :]
            fields = [
                column("section", pa.string(), en="section", zh="断面"),
                column("time", pa.timestamp("us", "UTC"), en="time", zh="时间"),
                column("flow", pa.float64(), unit="m³/s", en="flow to the right of the line", zh="流量"),
            ]
            names = np.repeat(list(self.sections), len(found))
            made["sections"] = _table(fields, [names, np.tile(instants, len(self.sections)), flow.T.ravel()])
        return made


def instants_of(start: datetime, seconds: Floats) -> NDArray[Any]:
    """Return instants as datetime64[us] in UTC."""
    from datetime import UTC

    first = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "us")
    return np.asarray(first + np.round(np.asarray(seconds) * 1e6).astype("timedelta64[us]"))


def _table(fields: list[pa.Field], values: list[Any]) -> pa.Table:
    import pyarrow as pa

    exact = [one.astype("datetime64[us]") if one.dtype.kind == "M" else one for one in values]
    columns = [pa.array(one, field.type) for one, field in zip(exact, fields, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def watch(gauges: Mapping[str, Any], sections: Mapping[str, Any], grid: Grid, known: NDArray[np.bool_]) -> tuple[Watch, list[str]]:
    """Return what to look at, and every fault, one sentence each."""
    faults: list[str] = []
    points: dict[str, tuple[Ints, Ints]] = {}
    lines: dict[str, _Section] = {}
    for name, where in gauges.items():
        cells, wrong = cells_of(where, grid, known, f"gauge {name!r}")
        if cells is not None and len(cells[0]) > 1:
            wrong = [f"gauge {name!r}: it covers {len(cells[0])} cells; expected a point (x, y)"]
        faults += wrong
        if cells is not None:
            points[name] = cells
    for name, where in sections.items():
        line, wrong = _section(where, grid, known, f"section {name!r}")
        faults += wrong
        if line is not None:
            lines[name] = line
    notes = [
        f"section {name!r}: {one.beyond:.0%} of its length lies beyond the ground" for name, one in lines.items() if one.beyond >= 0.005
    ]
    return Watch(points, lines, notes=tuple(notes)), faults


def _section(where: Any, grid: Grid, known: NDArray[np.bool_], label: str) -> tuple[_Section | None, list[str]]:
    """Return points along a line, a quarter of a cell apart, each with the piece of line it stands for."""
    import shapely

    try:
        line = where if isinstance(where, shapely.Geometry) else shapely.linestrings(np.asarray(where, float))
    except (TypeError, ValueError, shapely.GEOSException):
        return None, [f"{label}: {where!r} is no line; expected points [[x, y], …] or a shapely line"]
    corners = shapely.get_coordinates(line)
    if line.geom_type != "LineString" or len(corners) < 2 or not line.length > 0:
        return None, [f"{label}: expected a line of two or more points, found {line.geom_type}"]
    parts = []
    for (x0, y0), (x1, y1) in pairwise(corners.tolist()):
        length = float(np.hypot(x1 - x0, y1 - y0))
        count = max(int(np.ceil(4.0 * length / grid.dx)), 1)
        at = (np.arange(count) + 0.5) / count
        east, north = np.full(count, (y1 - y0) / count), np.full(count, (x0 - x1) / count)
        parts.append(np.stack([x0 + at * (x1 - x0), y0 + at * (y1 - y0), east, north]))
    x, y, east, north = np.concatenate(parts, axis=1)
    row, column = np.floor((grid.y_max - y) / grid.dy).astype(np.int64), np.floor((x - grid.x_min) / grid.dx).astype(np.int64)
    here = (row >= 0) & (row < grid.ny) & (column >= 0) & (column < grid.nx)
    here[here] &= known[row[here], column[here]]
    if not here.any():
        return None, [f"{label}: it does not cross the domain"]
    length = np.hypot(east, north)
    return _Section(row[here], column[here], east[here], north[here], float(length[~here].sum() / length.sum())), []
