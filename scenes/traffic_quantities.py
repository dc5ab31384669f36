"""What can be shown of a link under traffic: each quantity of one state and of an interval, its unit, its classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from cim.scenes.layer import Text, Told
from cim.scenes.style import hex_colour
from cim.scenes.traffic_links import plain_column
from cim.scenes.traffic_scale import Scale, rounded_bounds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["QUANTITIES", "Links", "Moments", "Quantity"]

_MUCH = tuple(hex_colour(text) for text in ("#f8e59b", "#f5b862", "#e98053", "#c3517b", "#83388a", "#43206b"))
"""Light yellow to dark violet, lightness falling evenly: little to much, and none of it looks closed, wet or green."""
_FREE = tuple(hex_colour(text) for text in ("#2f9c8c", "#a3d5b9", "#f4d667", "#f0913f", "#d8343a"))
"""Teal, yellow, red: free to jammed, as on every road map; teal instead of green so that colour-blind readers see the ends apart."""
_KMH = 3.6
_RATIOS = (0.0, 0.25, 0.5, 0.7, 0.85, 1.0)
"""Shares of the free speed; HCM 2010 (exhibit 17-2) parts the levels of service of urban streets at 0.85, 0.67, 0.50, 0.40 and 0.30."""
_SATURATION = (0.0, 0.5, 0.7, 0.85, 1.0)
"""Volume over capacity: beyond 0.85 little is left over, from 1 on more want to pass than can."""


class Moments(Protocol):
    """Rows of the intervals of a result: what passed on a link within one."""

    @property
    def row(self) -> Ints:
        """Link of each row."""

    @property
    def step(self) -> Reals:
        """Length of the interval of each row [s]."""

    @property
    def values(self) -> Mapping[str, Reals]:
        """Columns entered, left, speed [m/s], queue, delay [veh s]; NaN where the result has none."""


@dataclass(frozen=True)
class Links:
    """Columns of the links that are drawn."""

    table: pa.Table
    closed: Bools
    free_speed: Reals
    """[m/s]"""
    capacity: Reals
    """[veh/h]"""

    @classmethod
    def of(cls, table: pa.Table, rows: Ints) -> Links:
        """Return the links of some rows of a table."""
        taken = table.take(pa.array(rows))
        capacity = plain_column(taken, "capacity")
        closed = capacity == 0
        if "closed" in taken.column_names:
            closed = closed | np.array([one is True for one in taken["closed"].to_pylist()], bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            free = plain_column(taken, "length") / plain_column(taken, "free_flow_time")
        return cls(taken, closed, np.where(np.isfinite(free) & (free > 0), free, np.nan), capacity)

    def told(self, *, means: bool = False) -> tuple[Told, ...]:
        """Return what a click tells of each link; a number with its noise where the result states one.

        Parameters
        ----------
        means
            Whether what the vehicles make of a link is a mean of the whole run, and said to be; closures then have times of their own.
        """
        table = self.table
        told = [Told(Text("link", "路段"), table["link"].to_pylist())]
        for name, factor, unit, said in _TOLD:
            column = next((one for one in name if one in table.column_names), None)
            if column is None:
                continue
            values = plain_column(table, column) * factor
            noise = plain_column(table, f"{column}_noise") * factor
            title = said
            if means and said in _LOADED:
                title = Text(f"{title.en}, mean of the run", f"{title.zh}（全程平均）")
            told.append(Told(title, [_said(*pair) for pair in zip(values.tolist(), noise.tolist(), strict=True)], unit))
        for column, title in (("road_class", Text("class", "道路等级")), ("class", Text("class", "道路等级")),
                              ("assumed", Text("assumed", "假定"))):  # fmt: skip
            if column in table.column_names:
                told.append(Told(title, table[column].to_pylist()))
        if self.closed.any() and not means:
            told.append(Told(Text("state", "状态"), ["closed 封闭" if one else "open 开放" for one in self.closed.tolist()]))
        return tuple(told)


def _said(value: float, noise: float) -> float | str | None:
    if not np.isfinite(value):
        return None
    return f"{value:.4g} ± {noise:.2g}" if np.isfinite(noise) and noise > 0 else value


@dataclass(frozen=True)
class Quantity:
    """One quantity of a link."""

    title: Text
    unit: str
    columns: tuple[str, ...]
    """Of the table of links, the first that it has."""
    factor: float
    """From the unit of the column to `unit`."""
    still: Callable[[Links], Reals | None]
    moving: Callable[[Links, Moments], Reals | None]
    scale: Callable[[Reals], Scale]


def _column(names: tuple[str, ...], factor: float = 1.0) -> Callable[[Links], Reals | None]:
    return lambda links: plain_column(links.table, *names) * factor


def _graded(title: Text, unit: str) -> Callable[[Reals], Scale]:
    return lambda values: Scale(title, unit, rounded_bounds(values, len(_MUCH)), _MUCH)


def _speeds(values: Reals) -> Scale:
    known = values[np.isfinite(values)]
    top = max(float(known.max(initial=0.0)), 60.0)
    return Scale(_SPEED, "km/h", (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, top + 1.0), _MUCH[::-1], least_first=True)


def _ratios(values: Reals) -> Scale:  # noqa: ARG001  # the classes are fixed
    note = Text("share of the free speed", "与自由流车速之比")
    return Scale(_RATIO, "", _RATIOS, _FREE[::-1], least_first=True, open_ends=(False, False), note=note)


def _saturations(values: Reals) -> Scale:
    known = values[np.isfinite(values)]
    return Scale(_VC, "", (*_SATURATION, max(float(known.max(initial=0.0)), 1.2)), _FREE)


def _per_hour(links: Links, rows: Moments) -> Reals:  # noqa: ARG001
    return rows.values["entered"] / rows.step * 3600.0


_FLOW, _SPEED, _RATIO = Text("Traffic flow", "交通流量"), Text("Speed", "车速"), Text("Speed / free speed", "车速比")
_DELAY, _VC, _QUEUE = Text("Delay", "延误"), Text("Volume / capacity", "饱和度"), Text("Queue", "排队")
_DELAYS = "veh·h/h"

QUANTITIES: dict[str, Quantity] = {
    "flow": Quantity(_FLOW, "veh/h", ("flow",), 1.0, _column(("flow",)), _per_hour, _graded(_FLOW, "veh/h")),
    "speed": Quantity(
        _SPEED, "km/h", ("speed",), _KMH, _column(("speed",), _KMH), lambda _, rows: rows.values["speed"] * _KMH, _speeds
    ),
    "speed_ratio": Quantity(
        _RATIO, "", (), 1.0, lambda links: np.minimum(plain_column(links.table, "speed") / links.free_speed, 1.0),
        lambda links, rows: np.minimum(rows.values["speed"] / links.free_speed[rows.row], 1.0), _ratios,
    ),
    "delay": Quantity(
        _DELAY, _DELAYS, ("delay",), 1.0, _column(("delay",)), lambda _, rows: rows.values["delay"] / rows.step, _graded(_DELAY, _DELAYS)
    ),
    "volume_capacity": Quantity(
        _VC, "", ("volume_capacity", "vc"), 1.0, _column(("volume_capacity", "vc")),
        lambda links, rows: _per_hour(links, rows) / np.where(links.capacity > 0, links.capacity, np.nan)[rows.row], _saturations,
    ),
    "queue": Quantity(
        _QUEUE, "veh", ("queue",), 1.0, lambda _: None, lambda _, rows: rows.values["queue"], _graded(_QUEUE, "veh")
    ),
}  # fmt: skip
"""By name. Delay is vehicle hours lost per hour: the number of vehicles that wait on the link in the mean."""

_LOADED = (
    Text("flow", "流量"), Text("speed", "车速"), Text("travel time", "行程时间"), Text("delay", "延误"), Text("volume / capacity", "饱和度")
)  # fmt: skip
_TOLD: tuple[tuple[tuple[str, ...], float, str, Text], ...] = (
    (("flow",), 1.0, "veh/h", Text("flow", "流量")),
    (("speed",), _KMH, "km/h", Text("speed", "车速")),
    (("travel_time", "time"), 1.0, "s", Text("travel time", "行程时间")),
    (("free_flow_time",), 1.0, "s", Text("time when empty", "自由流时间")),
    (("delay",), 1.0, _DELAYS, Text("delay", "延误")),
    (("volume_capacity", "vc"), 1.0, "", Text("volume / capacity", "饱和度")),
    (("capacity",), 1.0, "veh/h", Text("capacity", "通行能力")),
    (("lanes",), 1.0, "", Text("lanes", "车道数")),
    (("length",), 1.0, "m", Text("length", "长度")),
)
