"""The storm drains of the demo district: laterals under the streets, trunks under five avenues, outfalls in the river.

The same network is written twice: as the tables of an office (Chinese field names, millimetres) and as a SWMM input file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.features import Records
from cim.demo.ground import elevation
from cim.demo.plan import AVENUES, ORIGIN, STREETS, to_place
from cim.demo.truth import Defect

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["MODEL", "PIPES", "WELLS", "WRONG", "Drains", "make_drains", "pipe_records", "well_records", "write_swmm"]

PIPES, WELLS, MODEL = "drain_pipes.gpkg", "drain_wells.gpkg", "drainage.inp"
_TRUNKS = (0, 2, 4, 6, 8)
"""Avenues with a trunk; the laterals of their neighbours come from the avenues between."""
_REACH = {3: 25.0, 5: 25.0}
"""How far from an avenue the laterals begin, where it is an underpass or a canal [m]; else 8 m."""
_HEAD, _OUTFALL = 720.0, -4.0
"""Where trunks begin and end [m inland]."""
_SPACING = 42.0
"""Between wells, at most [m]."""
_COVER, _SLOPE = 1.2, 0.0025
"""Least soil over a pipe [m], and least slope."""
_SIZES = ((3, 0.4), (6, 0.5), (10, 0.6), (20, 0.8), (35, 1.0), (50, 1.2), (10_000, 1.5))
"""Pipes upstream, at most -> diameter [m]."""
_MANNING = {"HDPE": 0.011, "钢筋混凝土": 0.013}
_MISSING, _DISAGREES = 5, 3
"""Pipes without a diameter in the table; pipes whose diameter the model gives otherwise."""
WRONG = 1.0
"""Diameter that the model gives for the latter, which are DN 400 [m]."""


@dataclass(frozen=True)
class Drains:
    """The network as it is."""

    wells: tuple[str, ...]
    xy: Reals
    """Shape (w, 2): local coordinates of the wells and outfalls [m]."""
    rim: Reals
    """Ground at each [m above the 1985 datum]."""
    bottom: Reals
    """Lowest invert at each [m]."""
    outfall: NDArray[np.bool_]
    pipes: tuple[str, ...]
    start: NDArray[np.int64]
    """Row of the well where each pipe begins."""
    end: NDArray[np.int64]
    diameter: Reals
    """Inside [m]."""
    invert: Reals
    """Shape (p, 2): inside bottom at both ends [m]."""
    material: NDArray[np.object_]
    without: NDArray[np.int64]
    """Pipes whose diameter the table lacks."""
    otherwise: NDArray[np.int64]
    """Small pipes that the model takes for `WRONG` wide."""

    @property
    def length(self) -> Reals:
        """Length of the pipes in plan [m]."""
        return np.asarray(np.linalg.norm(self.xy[self.end] - self.xy[self.start], axis=1))

    def defects(self) -> tuple[Defect, ...]:
        """Return what is wrong with the table and the model."""
        names = np.array(self.pipes, object)
        return (
            Defect("missing_diameter", PIPES, tuple(names[self.without].tolist())),
            Defect("diameter_disagrees", MODEL, tuple(names[self.otherwise].tolist())),
        )


@dataclass
class _Net:
    """The network as it grows, from upstream to downstream."""

    xy: list[tuple[float, float]] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    """Lowest invert that arrives at each well so far [m]."""
    pipes: list[tuple[int, int, float, float, float]] = field(default_factory=list)
    """Start, end, diameter, invert at both ends."""
    upstream: list[int] = field(default_factory=list)
    """Pipes upstream of each well."""

    def well(self, along: float, inland: float) -> int:
        x, y = np.round(to_place(along, inland), 2).tolist()
        self.xy.append((x, y))
        self.low.append(np.inf)
        self.upstream.append(0)
        return len(self.xy) - 1

    def ground(self, well: int) -> float:
        return float(elevation(*self.xy[well]))

    def pipe(self, start: int, end: int, *, free: bool = False) -> None:
        """Lay a pipe; it falls by the least slope, and more where the ground does."""
        count = self.upstream[start] + 1
        size = next(diameter for most, diameter in _SIZES if count <= most)
        length = float(np.hypot(*np.subtract(self.xy[end], self.xy[start])))
        first = round(min(self.low[start], self.ground(start) - _COVER - size), 3)
        last = first - _SLOPE * length
        last = round(last if free else min(last, self.ground(end) - _COVER - size), 3)
        self.pipes.append((start, end, size, first, last))
        self.low[start] = first
        self.low[end] = min(self.low[end], last)
        self.upstream[end] += count


def make_drains(seed: int) -> Drains:
    """Return the network; its plan is the same for every seed, its faults are not."""
    net = _Net()
    outfalls = [_trunk(net, number) for number in _TRUNKS]
    random = np.random.default_rng([seed, 13])
    start, end, diameter, first, last = (np.array(column) for column in zip(*net.pipes, strict=True))
    odd = random.permutation(np.flatnonzero(diameter == _SIZES[0][1]))
    material = np.where(diameter < 0.7, "HDPE", "钢筋混凝土").astype(object)
    xy = np.array(net.xy)
    rim = np.round(elevation(xy[:, 0], xy[:, 1]), 2)
    flags = np.zeros(len(xy), bool)
    flags[outfalls] = True
    return Drains(
        tuple(f"YSJ-{number + 1:03d}" for number in range(len(xy))), xy, rim, np.array(net.low), flags,
        tuple(f"YSG-{number + 1:03d}" for number in range(len(start))), start, end, diameter, np.column_stack([first, last]), material,
        np.sort(odd[:_MISSING]), np.sort(odd[_MISSING : _MISSING + _DISAGREES]),
    )  # fmt: skip


def _trunk(net: _Net, number: int) -> int:
    """Lay a trunk with its laterals, from the north to the river, and return its outfall."""
    at = AVENUES[number].at + 1.5
    joints = [one.at for one in STREETS[::-1]]
    before = net.well(at, _HEAD)
    place = _HEAD
    for joint in joints:
        for inland in _stations(place, joint)[1:]:
            here = net.well(at, inland)
            if inland == joint:
                for neighbour in (number - 1, number + 1):
                    if 0 <= neighbour < len(AVENUES):
                        _lateral(net, neighbour, at, joint, here)
            net.pipe(before, here)
            before, place = here, joint
    outfall = net.well(at, _OUTFALL)
    net.pipe(before, outfall, free=True)
    return outfall


def _lateral(net: _Net, neighbour: int, trunk: float, inland: float, joint: int) -> None:
    """Lay a lateral from the next avenue to a well of the trunk."""
    avenue = AVENUES[neighbour].at
    start = avenue + np.sign(trunk - avenue) * _REACH.get(neighbour, 8.0)
    before = -1
    for along in _stations(start, trunk):
        here = joint if along == trunk else net.well(along, inland)
        if before >= 0:
            net.pipe(before, here)
        before = here


def _stations(start: float, end: float) -> list[float]:
    """Return evenly spaced places from start to end, both among them."""
    count = max(1, int(np.ceil(abs(end - start) / _SPACING)))
    return [*np.linspace(start, end, count + 1)[:-1].tolist(), end]


# ---------------------------------------------------------------- the files


def pipe_records(drains: Drains) -> Records:
    """Return the pipes as the office keeps them: diameters in millimetres, some missing."""
    import shapely

    lines = shapely.linestrings(np.stack([drains.xy[drains.start], drains.xy[drains.end]], axis=1))
    wells = np.array(drains.wells, object)
    size = drains.diameter * 1000
    size[drains.without] = np.nan
    columns: dict[str, NDArray[Any]] = {
        "管线编号": np.array(drains.pipes, object), "管线类型": np.full(len(size), "雨水", object), "起点井号": wells[drains.start],
        "终点井号": wells[drains.end], "管径": size, "材质": drains.material, "起点管底高程": drains.invert[:, 0],
        "终点管底高程": drains.invert[:, 1], "管长": np.round(drains.length, 2),
    }  # fmt: skip
    return Records(np.asarray(lines, object), columns)


def well_records(drains: Drains) -> Records:
    """Return wells and outfalls as the office keeps them."""
    import shapely

    columns: dict[str, NDArray[Any]] = {
        "井编号": np.array(drains.wells, object), "井类型": np.where(drains.outfall, "排放口", "检查井").astype(object),
        "井底高程": drains.bottom, "地面高程": drains.rim,
    }  # fmt: skip
    return Records(np.asarray(shapely.points(drains.xy), object), columns)


def write_swmm(drains: Drains, path: Path) -> Path:
    """Write the network as a SWMM 5 input file in SI units."""
    wells, pipes = drains.wells, drains.pipes
    depth = np.maximum(drains.rim - drains.bottom, 0.5)
    size = drains.diameter.copy()
    size[drains.otherwise] = WRONG
    offset = drains.invert - np.column_stack([drains.bottom[drains.start], drains.bottom[drains.end]])
    inside, out = np.flatnonzero(~drains.outfall).tolist(), np.flatnonzero(drains.outfall).tolist()
    place = drains.xy + ORIGIN
    rows = range(len(pipes))
    sections = {
        "TITLE": ["Storm drains of the demo district Sanhe, made up"],
        "OPTIONS": ["FLOW_UNITS CMS", "INFILTRATION HORTON", "FLOW_ROUTING DYNWAVE", "LINK_OFFSETS DEPTH", "START_DATE 07/01/2026",
                    "START_TIME 00:00:00", "END_DATE 07/01/2026", "END_TIME 06:00:00", "REPORT_STEP 00:05:00", "ROUTING_STEP 5"],
        "JUNCTIONS": [f"{wells[n]} {drains.bottom[n]:.3f} {depth[n]:.3f} 0 0 0" for n in inside],
        "OUTFALLS": [f"{wells[n]} {drains.bottom[n]:.3f} FREE NO" for n in out],
        "CONDUITS": [f"{pipes[n]} {wells[drains.start[n]]} {wells[drains.end[n]]} {drains.length[n]:.2f} "
                     f"{_MANNING[str(drains.material[n])]:.3f} {offset[n, 0]:.3f} {offset[n, 1]:.3f} 0 0" for n in rows],
        "XSECTIONS": [f"{pipes[n]} CIRCULAR {size[n]:.3f} 0 0 0 1" for n in rows],
        "COORDINATES": [f"{wells[n]} {place[n, 0]:.3f} {place[n, 1]:.3f}" for n in range(len(wells))],
    }  # fmt: skip
    path.write_text("\n".join(line for name, lines in sections.items() for line in (f"[{name}]", *lines, "")), encoding="utf-8")
    return path
