"""The layer of what water makes of the roads: how deep it stands on them, how fast it lets one drive, and what it closes, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.numeric import floats
from cim.scenes.clock import Clock
from cim.scenes.layer import Layer, Legend, Text, Told
from cim.scenes.sheet import BOUNDS, COLOURS
from cim.scenes.style import hex_colour
from cim.scenes.traffic_closures import Closures
from cim.scenes.traffic_links import LANE, plain_column, ways_of
from cim.scenes.traffic_motion import Shade, States, painted
from cim.scenes.traffic_scale import CLOSED, HIDDEN, Scale
from cim.scenes.traffic_times import end_of, micros_of, numbers_of, texts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.scene import Scene

    Bools = NDArray[np.bool_]
    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["VEHICLES", "is_road_state", "road_state_layer"]

VEHICLES = {
    "car": "小汽车", "emergency": "应急车辆", "truck": "货车", "bus": "公交", "taxi": "出租车", "pedestrian": "步行", "bicycle": "自行车",
    "motorcycle": "摩托车",
}  # fmt: skip
"""Chinese names of `cim.scenario.network.VEHICLE_CLASSES`."""
_TITLE = Text("Water on roads", "道路积水")
_NOTHING = Text("no road is hindered by water", "无道路受积水影响")
_FREE = Text("free speed", "不限速")
_RAIN = Text("no water stands, rain only", "无积水，仅受降雨影响")
_FREE_COLOUR = hex_colour("#dbe9ef")
_SLOW = tuple(hex_colour(text) for text in ("#5a2a6b", "#8c4f9a", "#b986bd", "#d9bcd9"))
_LIGHT = hex_colour("#dff1f8")


def is_road_state(result: Fields) -> bool:
    """Say whether a result holds states of links over time."""
    table = result.tables.get("states")
    return table is not None and {"link", "from_time", "until_time", "closed"} <= set(table.column_names)


def road_state_layer(
    scene: Scene, result: Fields, *, vehicle: str = "car", by: str = "depth", drives: str = "right", lane: float = LANE
) -> Layer:
    """Return the links that water hinders, over time: blue borders by depth, dark red and hatched where they are closed.

    Parameters
    ----------
    vehicle
        Whose roads: a vehicle class of the result.
    by
        ``"depth"`` or ``"speed"``: what the colour shows.
    drives, lane
        As in `cim.scenes.traffic.traffic_layer`.

    Raises
    ------
    UsageError
        If the result has no such vehicle or quantity, the city none of the links, or a time is missing.
    """
    table = _of_vehicle(result.tables["states"], vehicle, result.name)
    if not table.num_rows:
        return _dry()
    links = texts_of(pc.unique(table["link"]))
    row = numbers_of(table["link"], links)
    ways = ways_of(scene, links, _lanes(result, links), drives=drives, lane=lane)
    place = np.full(len(links), -1, np.int64)
    place[ways.rows] = np.arange(len(ways))
    drawn = place[row] >= 0
    table, row = table.filter(pa.array(drawn)), place[row[drawn]]
    first, last, micros, dated = _times(result, table)
    spans = _Spans(np.searchsorted(micros, first), np.searchsorted(micros, last), row, len(micros), len(ways))
    shut = np.asarray(pc.fill_null(table["closed"], fill_value=False).to_numpy(), bool)
    depth, speed = plain_column(table, "depth"), plain_column(table, "speed") * 3.6
    ever = np.bincount(row[shut], minlength=len(ways)) > 0
    shades = {name: spans.shade(scale, values, shut, ever) for name, scale, values in
              (("depth", _depths(depth), np.where(depth > 0, depth, np.nan)), ("speed", _speeds(speed), speed))}  # fmt: skip
    if by not in shades:
        msg = f"by={by!r}; give one of {', '.join(shades)}"
        raise UsageError(msg)
    ordered = (shades[by], *(shade for name, shade in shades.items() if name != by))
    deepest = np.zeros(len(ways))
    np.maximum.at(deepest, row, np.nan_to_num(depth))
    layer, of = ways.mesh("road state", _TITLE, ever, wet=True, over=deepest)
    closed = ["closed 封闭" if one else None for one in ever.tolist()]
    if len(micros) > 1:
        clock = Clock(np.empty(0, "M8[us]"), scene.city.time_zone, dated)
        closed = Closures(row[shut], first[shut], last[shut], end_of(result)).texts(len(ways), clock)
    told = _told(result, vehicle, ways.keys, closed, (row, depth, speed))
    made = replace(layer, told=tuple(replace(one, values=[one.values[k] for k in of.tolist()]) for one in told))
    if len(micros) == 1:
        return painted(made, ordered[0].scale, ordered[0].codes[0], ordered[0].legend)
    peak = _peak(shades["depth"].codes)
    motion = States(micros.astype("M8[us]"), dated, peak, layer, ordered, layer.notes)
    return motion.frame(replace(made, motion=motion), peak)


def _times(result: Fields, table: pa.Table) -> tuple[Ints, Ints, Ints, bool]:
    """Return from when until when rows hold, all instants [µs], and whether they are dates; one instant where the water has no times."""
    if pa.types.is_floating(table["until_time"].type) and np.isinf(table["until_time"].to_numpy()).any():
        return np.zeros(table.num_rows, np.int64), np.ones(table.num_rows, np.int64), np.zeros(1, np.int64), False
    (first, dated), (last, _) = (micros_of(result, table[name]) for name in ("from_time", "until_time"))
    return first, last, np.unique(np.concatenate([first, last])), dated


def _of_vehicle(table: pa.Table, vehicle: str, name: str) -> pa.Table:
    column = next((one for one in ("vehicle", "class") if one in table.column_names), None)
    if column is None or not table.num_rows:
        return table
    mine = table.filter(pc.equal(table[column], vehicle))
    known = sorted({str(one) for one in pc.unique(table[column]).to_pylist()})
    if not mine.num_rows and vehicle not in known:
        # a vehicle that nothing hinders has no rows: only one that is no class at all is refused
        from cim.scenario.network import VEHICLE_CLASSES

        if vehicle not in VEHICLE_CLASSES:
            msg = f"vehicle={vehicle!r}; {name!r} has {', '.join(known)}"
            raise UsageError(msg)
    return mine


def _dry() -> Layer:
    return Layer(
        name="road state", label=_TITLE, points=np.empty((0, 3)), triangles=np.empty((0, 3), np.int32), cell_object=np.empty(0, np.int32),
        ids=np.empty(0, object), colours=np.empty((0, 3), np.uint8), legend=Legend(_TITLE, note=_NOTHING), notes=(_NOTHING,),
    )  # fmt: skip


def _lanes(result: Fields, links: NDArray[Any]) -> Reals:
    """Return the lanes of links where the result says them."""
    table = result.tables.get("links")
    if table is None or "lanes" not in table.column_names:
        return np.full(len(links), np.nan)
    place = numbers_of(pa.chunked_array([pa.array(links.tolist(), pa.string())]), texts_of(table["link"]))
    return np.where(place >= 0, floats(table["lanes"])[np.maximum(place, 0)], np.nan)


class _Spans:
    """Rows that hold from one instant until before another, laid out over the instants."""

    def __init__(self, first: Ints, last: Ints, row: Ints, times: int, links: int) -> None:
        many = np.maximum(last - first, 0)
        self.which = np.repeat(np.arange(len(row)), many)
        self.place = np.arange(int(many.sum())) - np.repeat(np.cumsum(many) - many, many) + first[self.which]
        self.link = row[self.which]
        self.shape = (times, links)

    def shade(self, scale: Scale, values: Reals, shut: Bools, ever: Bools) -> Shade:
        """Return codes of ribbons, and of the broad ribbons over them: what is closed still has a number below, which a click tells."""
        ribbon, mark = np.full(self.shape, HIDDEN, np.uint8), np.full(self.shape, HIDDEN, np.uint8)
        ribbon[self.place, self.link] = scale.encode(values)[self.which]
        mark[self.place, self.link] = np.where(shut, CLOSED, HIDDEN)[self.which]
        return Shade(scale, np.concatenate([ribbon, mark[:, ever]], axis=1))


def _peak(codes: Bytes) -> int:
    """Return the time with the most closed links, of those the one with the most hindered."""
    closed, drawn = (codes == CLOSED).sum(axis=1), (codes != HIDDEN).sum(axis=1)
    return int(np.lexsort((drawn, closed))[-1])


def _depths(values: Reals) -> Scale:
    top = max(float(np.nan_to_num(values).max(initial=0.0)), BOUNDS[-1] + 0.5)
    closed = Text("closed by water", "因积水封闭")
    title = Text("Water on roads: depth", "道路积水深度")
    return Scale(
        title, "m", (0.0, *BOUNDS, top), (_LIGHT, *COLOURS), none=_RAIN, none_colour=_FREE_COLOUR, open_ends=(True, True), closed=closed
    )


def _speeds(values: Reals) -> Scale:
    top = max(float(np.nan_to_num(values).max(initial=0.0)), 40.0) + 1.0
    return Scale(
        Text("Water on roads: greatest speed", "道路积水：最大车速"), "km/h", (0.0, 10.0, 20.0, 30.0, top), _SLOW, none=_FREE,
        none_colour=_FREE_COLOUR, least_first=True, closed=Text("closed by water", "因积水封闭"),
    )  # fmt: skip


def _told(
    result: Fields, vehicle: str, keys: NDArray[np.object_], closed: list[str | None], rows: tuple[Ints, Reals, Reals]
) -> tuple[Told, ...]:
    """Return what a click tells of each link: since when and till when it is closed, and how deep the water gets."""
    row, depth, speed = rows
    deepest, slowest = np.full(len(keys), -np.inf), np.full(len(keys), np.inf)
    np.maximum.at(deepest, row, np.nan_to_num(depth, nan=-np.inf))
    np.minimum.at(slowest, row, np.nan_to_num(speed, nan=np.inf))
    told = [
        Told(Text("link", "路段"), keys.tolist()),
        Told(Text(f"closed to a {vehicle}", f"封闭时段（{VEHICLES.get(vehicle, vehicle)}）"), closed),
        Told(Text("deepest water", "最大水深"), [one if np.isfinite(one) else None for one in deepest.tolist()], "m"),
        Told(Text("lowest greatest speed", "最低限制车速"), [one if np.isfinite(one) else None for one in slowest.tolist()], "km/h"),
    ]
    table = result.tables.get("links")
    if table is not None and {"link", "cause"} <= set(table.column_names):
        mine = _of_vehicle(table, vehicle, result.name)
        place = pc.index_in(pa.array(keys.tolist(), pa.string()), mine["link"].combine_chunks())
        told.append(Told(Text("cause", "原因"), mine["cause"].combine_chunks().take(place).to_pylist()))
    return tuple(told)
