"""The layers of traffic: roads coloured by flow, speed, delay or saturation, by the water on them, or by what an option changes.

A result over time gives a layer with all of its quantities, on the clock of the scene; one of a single state a layer that stands still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import UsageError
from cim.scenes.layer import Layer, Text, Told
from cim.scenes.traffic_links import LANE, Ways, plain_column, ways_of
from cim.scenes.traffic_motion import Shade, States, painted
from cim.scenes.traffic_quantities import QUANTITIES, Links, Quantity
from cim.scenes.traffic_scale import CLOSED, HIDDEN, NONE, difference_scale
from cim.scenes.traffic_times import instants_from, lengths_of, numbers_of, texts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
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
    table = result.tables["links"]
    ways = ways_of(scene, texts_of(table["link"]), plain_column(table, "lanes"), drives=drives, lane=lane)
    links = Links.of(table, ways.rows)
    intervals = result.tables.get("intervals")
    if intervals is None or not intervals.num_rows:
        return _still(ways, links, by, scene)
    return _moving(ways, links, result, intervals, by, scene)


def _chosen(by: str, usable: dict[str, Quantity]) -> str:
    if by in usable:
        return by
    known = "" if by not in QUANTITIES else ", which this result does not hold"
    msg = f"by={by!r}{known}; give one of {', '.join(usable) or 'none'}"
    raise UsageError(msg)


def _still(ways: Ways, links: Links, by: str, scene: Scene) -> Layer:
    values = {name: quantity.still(links) for name, quantity in QUANTITIES.items()}
    usable = {name: QUANTITIES[name] for name, one in values.items() if one is not None and np.isfinite(one).any()}
    chosen = usable[_chosen(by, usable)]
    numbers = values[by]
    if numbers is None:  # a quantity that is usable has numbers
        numbers = np.full(len(ways), np.nan)
    scale = chosen.scale(numbers)
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
    place, times, dated, step = instants_from(result, intervals["time"])
    row = numbers_of(intervals["link"], ways.keys)
    mine = row >= 0
    length = lengths_of(result, times, step)
    sparse = _Sparse(len(times), place[mine], row[mine], length[place[mine]], {
        name: plain_column(intervals, name)[mine] for name in ("entered", "left", "speed", "queue", "delay")})  # fmt: skip
    shut = links.closed & (np.bincount(sparse.row, sparse.values["entered"], len(ways)) == 0)
    shades = {}
    for name, quantity in QUANTITIES.items():
        numbers = quantity.moving(links, sparse)
        if numbers is None or not np.isfinite(numbers).any():
            continue
        scale = quantity.scale(numbers)
        codes = np.full((len(times), len(ways)), NONE, np.uint8)
        codes[sparse.place, sparse.row] = scale.encode(numbers)
        codes[:, shut] = CLOSED
        shades[name] = Shade(scale, _with_marks(codes, shut))
    first = _chosen(by, {name: QUANTITIES[name] for name in shades})
    ordered = (shades[first], *(shade for name, shade in shades.items() if name != first))
    peak = int(np.bincount(sparse.place, np.nan_to_num(sparse.values["entered"]), len(times)).argmax())
    part = int((links.closed & ~shut).sum())
    told = (Text(f"{part:,} links are closed for a part of the time and are marked by the state of the roads only",
                 f"{part:,} 条路段仅部分时段封闭，由道路状态图层标示"),) if part else ()  # fmt: skip
    layer, of = ways.mesh("traffic", _TITLE, shut, over=_water_over(scene, ways))
    until = times[-1] + np.timedelta64(round(length[-1] * 1e6), "us")
    layer = replace(layer, notes=(*layer.notes, *told))
    motion = States(times, dated, peak, layer, ordered, layer.notes, until)
    layer = _finished(replace(layer, motion=motion), links.told(means=True), of)
    return motion.frame(layer, peak)


@dataclass(frozen=True)
class _Sparse:
    """Rows of the intervals that are drawn: see `cim.scenes.traffic_quantities.Moments`."""

    times: int
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
    ways = ways_of(scene, texts_of(table["link"]), np.fmax(*(plain_column(table, f"lanes_{side}") for side in ("base", "option"))),
                   drives=drives, lane=lane)  # fmt: skip
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
    scale = replace(scale, closed=Text("closed in the option", "方案中封闭"))
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
