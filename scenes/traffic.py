"""The layers of traffic: roads coloured by flow, speed, delay or saturation, by the water on them, or by what an option changes.

A result over time gives a layer with all of its quantities, on the clock of the scene; one of a single state a layer that stands still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.scenes.clock import Clock
from cim.scenes.layer import Layer, Text, Told
from cim.scenes.traffic_closures import closures_of
from cim.scenes.traffic_links import LANE, Ways, plain_column, ways_of
from cim.scenes.traffic_motion import Shade, States, painted
from cim.scenes.traffic_quantities import QUANTITIES, Links, Quantity
from cim.scenes.traffic_scale import CLOSED, HIDDEN, NONE, difference_scale
from cim.scenes.traffic_times import intervals_from, numbers_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.results import Comparison, Fields
    from cim.scenes.scene import Scene

    Bools = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["difference_layer", "is_traffic", "traffic_layer"]

_TITLE = Text("Traffic", "交通")
_CHANGE = Text("Change of traffic", "交通变化")
_SOME_TIME = "at some time, it is not said when 曾封闭，时段不详"


def is_traffic(result: Fields) -> bool:
    """Say whether a result holds links with flows."""
    table = result.tables.get("links")
    return table is not None and {"link", "flow"} <= set(table.column_names)


def traffic_layer(scene: Scene, result: Fields, *, by: str = "flow", drives: str = "right", lane: float = LANE) -> Layer:
    """Return the roads of a traffic result as ribbons, one per direction.

    Parameters
    ----------
    by
        ``"flow"``, ``"speed"``, ``"speed_ratio"``, ``"delay"``, ``"volume_capacity"``, or ``"queue"`` of a result over time: what the
        colour shows; a page lets its reader change it where the result is over time.
    drives
        ``"right"`` (China) or ``"left"``.
    lane
        Width of a lane [m].

    Raises
    ------
    UsageError
        If there is no such quantity, the city has none of the links, or the times make no sense.
    """
    table, told = _roads(result.tables["links"], "road_class")
    ways = ways_of(scene, texts_of(table["link"]), plain_column(table, "lanes"), drives=drives, lane=lane)
    ways = replace(ways, notes=(*told, *ways.notes))
    links = Links.of(table, ways.rows)
    intervals = result.tables.get("intervals")
    if intervals is None or not intervals.num_rows:
        return _still(ways, links, by, scene, ever=intervals is not None)
    return _moving(ways, links, result, intervals, by, scene)


def _roads(table: pa.Table, name: str) -> tuple[pa.Table, tuple[Text, ...]]:
    """Return the links that are roads, and how many join zones to them."""
    from cim.sim.traffic.demand_zones import CONNECTOR

    if name not in table.column_names:
        return table, ()
    roads = table.filter(pc.fill_null(pc.not_equal(table[name], CONNECTOR), fill_value=True))
    many = table.num_rows - roads.num_rows
    said = Text(f"{many:,} links only join zones to roads and are not drawn", f"{many:,} 条小区连接线未绘制")
    return roads, (said,) if many else ()


def _chosen(by: str, usable: dict[str, Quantity]) -> str:
    if by in usable:
        return by
    known = "" if by not in QUANTITIES else ", which this result does not hold"
    msg = f"by={by!r}{known}; give one of {', '.join(usable) or 'none'}"
    raise UsageError(msg)


def _still(ways: Ways, links: Links, by: str, scene: Scene, *, ever: bool) -> Layer:
    values = {name: quantity.still(links) for name, quantity in QUANTITIES.items()}
    usable = {name: QUANTITIES[name] for name, one in values.items() if one is not None and np.isfinite(one).any()}
    chosen = usable[_chosen(by, usable)]
    numbers = values[by]
    if numbers is None:  # a quantity that is usable has numbers
        numbers = np.full(len(ways), np.nan)
    scale = chosen.scale(numbers).ever if ever else chosen.scale(numbers)
    layer, of = ways.mesh("traffic", _TITLE, links.closed, over=_water_over(scene, ways))
    codes = _with_marks(np.where(links.closed, CLOSED, scale.encode(numbers)).astype(np.uint8)[None], links.closed)[0]
    return _finished(painted(layer, scale, codes, scale.legend(codes)), links.told(), of)


def _finished(layer: Layer, told: tuple[Told, ...], of: Ints) -> Layer:
    """Return a layer with what is told of each of its objects."""
    return replace(layer, told=(*(replace(one, values=[one.values[row] for row in of.tolist()]) for one in told),))


def _with_marks(codes: Bytes, marked: Bools) -> Bytes:
    """Return codes of ribbons and of the broad ribbons of closures behind them, shape (t, n + k): one of the two is drawn at a time."""
    shut = codes == CLOSED
    ribbon = np.where(shut & marked, HIDDEN, codes)
    mark = np.where(shut[:, marked], CLOSED, HIDDEN)
    return np.concatenate([ribbon, mark], axis=1).astype(np.uint8)


def _water_over(scene: Scene, ways: Ways) -> Reals:
    """Return how deep the water of the scene stands over each link at most [m]: closures are drawn on it."""
    from cim.scenes.water import Water

    deepest = np.zeros(len(ways))
    for layer in scene.layers:
        if isinstance(layer.motion, Water):
            depth = layer.motion.sheet(None).at(ways.stations.xy[:, 0], ways.stations.xy[:, 1])
            on_ground = np.where(np.isnan(ways.stations.deck), np.nan_to_num(depth), 0.0)
            np.maximum.at(deepest, ways.stations.link, on_ground)
    return deepest


# --------------------------------------------------------------------------------------------- over time


def _moving(ways: Ways, links: Links, result: Fields, intervals: pa.Table, by: str, scene: Scene) -> Layer:
    place, begins, dated, length = intervals_from(result, intervals)
    row = numbers_of(intervals["link"], ways.keys)
    mine = row >= 0
    sparse = _Sparse(place[mine], row[mine], length[place[mine]], {
        name: plain_column(intervals, name)[mine] for name in ("entered", "left", "speed", "queue", "delay")})  # fmt: skip
    closures = closures_of(result, ways.keys)
    until = begins[-1] + np.timedelta64(round(length[-1] * 1e6), "us")
    changes = np.concatenate([closures.first, closures.last]).astype("M8[us]")
    times = np.unique(np.concatenate([begins, changes[changes < until]]))
    of_time = np.searchsorted(begins, times, side="right") - 1  # an interval may hold several states of closures
    shut = closures.at(times, len(ways))
    ever = np.asarray(shut.any(axis=0), bool)
    shades = {}
    for name, quantity in QUANTITIES.items():
        numbers = quantity.moving(links, sparse)
        if numbers is None or not np.isfinite(numbers).any():
            continue
        scale = quantity.scale(numbers)
        codes = np.full((len(begins) + 1, len(ways)), NONE, np.uint8)  # the last row: before the first interval
        codes[sparse.place, sparse.row] = scale.encode(numbers)
        shades[name] = Shade(scale, _with_marks(np.where(shut, CLOSED, codes[of_time]).astype(np.uint8), ever))
    first = _chosen(by, {name: QUANTITIES[name] for name in shades})
    ordered = (shades[first], *(shade for name, shade in shades.items() if name != first))
    busiest = np.bincount(sparse.place, np.nan_to_num(sparse.values["entered"]), len(begins)).argmax()
    peak = int(np.searchsorted(times, begins[busiest]))
    layer, of = ways.mesh("traffic", _TITLE, ever, over=_water_over(scene, ways))
    layer = replace(layer, notes=(*layer.notes, *_unlisted(result), *_undated(links.closed & ~ever)))
    motion = States(times, dated, peak, layer, ordered, layer.notes, until)
    spans = closures.texts(len(ways), Clock(np.empty(0, "M8[us]"), scene.city.time_zone, dated))
    closed = [_SOME_TIME if one and span is None else span for one, span in zip(links.closed.tolist(), spans, strict=True)]
    told = links.told(means=True) + ((Told(Text("closed", "封闭时段"), closed),) if any(closed) else ())
    layer = _finished(replace(layer, motion=motion), told, of)
    return motion.frame(layer, peak)


def _unlisted(result: Fields) -> tuple[Text, ...]:
    """Count the links that were under way or closed but are not in the table of links."""
    said = [result.tables[name]["link"].cast(pa.string()) for name in ("intervals", "closures") if name in result.tables]
    links = pa.chunked_array([chunk for one in said for chunk in one.chunks], pa.string()).unique()
    lost = len(links) - int(pc.sum(pc.is_in(links, result.tables["links"]["link"].cast(pa.string()).combine_chunks())).as_py() or 0)
    return (Text(f"{lost:,} links with vehicles or closures are not among the links of the result and are not drawn",
                 f"{lost:,} 条有车辆或封闭的路段不在结果路段表中，未绘制"),) if lost else ()  # fmt: skip


def _undated(links: Bools) -> tuple[Text, ...]:
    """Count the links of which a result says that they were closed, and not when."""
    many = int(links.sum())
    return (Text(f"{many:,} links are closed at some time, the result does not say when, and they are not marked: run it again",
                 f"{many:,} 条路段曾封闭，结果未记录时段，未标示：请重新计算"),) if many else ()  # fmt: skip


@dataclass(frozen=True)
class _Sparse:
    """Rows of the intervals that are drawn: see `cim.scenes.traffic_quantities.Moments`."""

    place: Ints
    row: Ints
    step: Reals
    values: dict[str, Reals]


# --------------------------------------------------------------------------------------------- base against option

_SAME = Text("no change, or within the noise", "无变化或在误差内")


def difference_layer(scene: Scene, comparison: Comparison, *, by: str = "flow", drives: str = "right", lane: float = LANE) -> Layer:
    """Return what an option changes on the roads: option less base, signed; what is no larger than the noise of both runs is neutral.

    Raises
    ------
    UsageError
        If the comparison holds no such difference by link.
    """
    table = comparison.tables.get("links")
    names = {} if table is None else {name: one for name in QUANTITIES for one in QUANTITIES[name].columns
                                      if f"{one}_difference" in table.column_names}  # fmt: skip
    if table is None or "link" not in table.column_names or by not in names:
        have = ", ".join(names) or f"no differences of links (it compares {comparison.name!r})"
        msg = f"by={by!r}: the comparison has {have}; compare two traffic results of the same links"
        raise UsageError(msg)
    column, quantity = names[by], QUANTITIES[by]
    table, told = _roads(table, "road_class_base")
    ways = ways_of(scene, texts_of(table["link"]), np.fmax(*(plain_column(table, f"lanes_{side}") for side in ("base", "option"))),
                   drives=drives, lane=lane)  # fmt: skip
    ways = replace(ways, notes=(*told, *ways.notes))
    taken = table.take(ways.rows)
    gap = plain_column(taken, f"{column}_difference") * quantity.factor
    noise = np.nan_to_num(plain_column(taken, f"{column}_noise")) * quantity.factor
    ghost = np.abs(gap) <= noise
    shut = [np.array([one is True for one in taken[f"closed_{side}"].to_pylist()], bool) if f"closed_{side}" in taken.column_names
            else np.zeros(len(ways), bool) for side in ("base", "option")]  # fmt: skip
    note = Text("option less base", "方案减基准")
    fresh = shut[1] & ~shut[0]
    title = Text(f"{quantity.title.en}, change", f"{quantity.title.zh}变化")
    scale = difference_scale(np.where(ghost | fresh, np.nan, gap), title, quantity.unit, _SAME, note)
    over_time = Text("closed in the option at some time", "方案中曾封闭")
    scale = replace(scale, closed=over_time if "intervals" in comparison.tables else Text("closed in the option", "方案中封闭"))
    layer, of = ways.mesh("traffic change", _CHANGE, fresh)
    codes = np.where(ghost, NONE, scale.encode(gap)).astype(np.uint8)
    codes = _with_marks(np.where(fresh, CLOSED, codes).astype(np.uint8)[None], fresh)[0]
    bare = int((~np.isfinite(gap) & ~fresh & ~(shut[0] & shut[1])).sum())
    if bare:
        said = Text(f"{bare:,} links have no number in one of the runs and are drawn neutral", f"{bare:,} 条路段某次计算无数值，为中性色")
        layer = replace(layer, notes=(*layer.notes, said))
    return _finished(painted(layer, scale, codes, scale.legend(codes)), _differences(taken, names), of)


def _differences(table: pa.Table, names: dict[str, str]) -> tuple[Told, ...]:
    """Return base, option, difference and noise of every quantity of links."""
    told = [Told(Text("link", "路段"), table["link"].to_pylist())]
    for name, column in names.items():
        quantity = QUANTITIES[name]
        for suffix, en, zh in (("base", "base", "基准"), ("option", "option", "方案"), ("difference", "change", "变化"),
                               ("noise", "noise of the change", "变化误差")):  # fmt: skip
            if f"{column}_{suffix}" in table.column_names:
                title = Text(f"{quantity.title.en}, {en}", f"{quantity.title.zh}·{zh}")
                told.append(Told(title, _plain(plain_column(table, f"{column}_{suffix}") * quantity.factor), quantity.unit))
    return tuple(told)


def _plain(values: Reals) -> Sequence[float | None]:
    return [value if np.isfinite(value) else None for value in values.tolist()]
