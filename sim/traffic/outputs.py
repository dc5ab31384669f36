"""Tables of a traffic run: links with flow, time, speed and delay; queues by interval; trips by what became of them; main figures."""

from __future__ import annotations

import json
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results.columns import column

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.dynamic import DynamicRun, LinkChange
    from cim.sim.traffic.equilibrium import Assignment

    Reals = NDArray[np.float64]

__all__ = ["INTERVALS", "LINKS", "TRIPS", "VEHICLES", "equilibrium_links", "interval_table", "loaded_links",
           "origin_delay", "total_delay", "trip_table", "vehicle_table"]  # fmt: skip

_TEXT, _REAL = pa.string(), pa.float64()
_LINK = (pa.field("object", _TEXT), column("link", _TEXT, en="link", zh="路段"))
_ROAD = (
    column("from_node", _TEXT, en="from node", zh="起点"),
    column("to_node", _TEXT, en="to node", zh="终点"),
    column("road_class", _TEXT, en="class", zh="道路等级"),
    column("length", _REAL, unit="m", en="length", zh="长度"),
    column("lanes", _REAL, en="lanes", zh="车道数"),
    column("capacity", _REAL, unit="veh/h", en="capacity", zh="通行能力"),
    column("free_flow_time", _REAL, unit="s", en="time when empty", zh="自由流时间"),
    column("assumed", _TEXT, en="assumed", zh="假定"),
)
_LOADED = (
    ("flow", "veh/h", "flow", "流量"),
    ("travel_time", "s", "time", "行程时间"),
    ("speed", "m/s", "speed", "速度"),
    ("delay", "veh h/h", "delay", "延误"),
    ("volume_capacity", "", "volume / capacity", "饱和度"),
)
LINKS = pa.schema([*_LINK, *_ROAD, *(column(name, _REAL, unit=unit, en=en, zh=zh) for name, unit, en, zh in _LOADED),
                   column("closed", pa.bool_(), en="closed", zh="封闭")])  # fmt: skip
_PEAK = (column("peak_flow", _REAL, unit="veh/h", en="greatest flow of an interval", zh="时段最大流量"),
         column("peak_time", _REAL, unit="s", en="begin of the interval of the greatest flow", zh="最大流量时段起点"))  # fmt: skip
INTERVALS = pa.schema(
    [
        *_LINK,
        column("time", _REAL, unit="s", en="begin of the interval", zh="时段起点"),
        column("entered", pa.int64(), unit="veh", en="entered", zh="驶入", absent="zero"),
        column("left", pa.int64(), unit="veh", en="left", zh="驶出", absent="zero"),
        column("speed", _REAL, unit="m/s", en="speed", zh="速度"),
        column("queue", _REAL, unit="veh", en="queue at the end", zh="时段末排队", absent="zero"),
        column("delay", _REAL, unit="veh s", en="delay", zh="延误", absent="zero"),
    ]
)
"""Rows only where vehicles were on the link: one that is not there is zeros (and no speed) in the intervals that the table states."""
TRIPS = pa.schema(
    [
        column("cause", _TEXT, en="what became of them", zh="结果"),
        column("vehicles", pa.int64(), unit="veh", en="vehicles", zh="车辆数"),
        column("mean_time", _REAL, unit="s", en="mean time from departure to arrival", zh="平均出行时间"),
        column("mean_time_on_roads", _REAL, unit="s", en="mean time from the first road to arrival", zh="平均行驶时间"),
    ]
)
VEHICLES = pa.schema(
    [
        column("vehicle", pa.int64(), en="vehicle", zh="车辆"),
        column("origin", _TEXT, en="origin", zh="出发地"),
        column("destination", _TEXT, en="destination", zh="目的地"),
        column("departure", _REAL, unit="s", en="departure", zh="出发时刻"),
        column("entered", _REAL, unit="s", en="on the first road", zh="驶上道路时刻"),
        column("arrival", _REAL, unit="s", en="arrival", zh="到达时刻"),
        column("cause", _TEXT, en="what became of it", zh="结果"),
    ]
)


def _road_columns(network: RoadNetwork) -> dict[str, Any]:
    nodes = network.nodes["id"].to_numpy(zero_copy_only=False)
    links = network.links
    said = [", ".join(one) if one else None for one in links["assumed"].to_pylist()]
    return {
        "object": links["object"], "link": links["id"], "from_node": nodes[links["from_node"].to_numpy()],
        "to_node": nodes[links["to_node"].to_numpy()], "road_class": links["class"], "length": links["length"], "lanes": links["lanes"],
        "capacity": links["capacity"], "free_flow_time": links["free_flow_time"], "assumed": said,
    }  # fmt: skip


def _above(capacity: Reals) -> Reals:
    """Return capacities, not a number where there is none."""
    return np.where(capacity > 0, capacity, np.nan)


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    arrays = [one if isinstance(one, pa.Array | pa.ChunkedArray) else pa.array(one, schema.field(name).type, from_pandas=True)
              for name, one in ((name, columns[name]) for name in schema.names)]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def equilibrium_links(network: RoadNetwork, found: Assignment, free: Reals) -> pa.Table:
    """Return the links of an equilibrium; what the gap leaves open of each number stands beside it as ``…_noise``.

    Parameters
    ----------
    network
        As the trips found it, with what water leaves of speeds and capacities.
    free : shape (links,)
        Time on empty, dry roads, against which delay counts [s].

    Notes
    -----
    The noise of what follows from flow and time is that of both, to first order. Where the equilibrium does not settle the flow of a link
    (``settled`` is false: links of constant cost in a circle of such links), all of it may as well be elsewhere: its noise is the flow.
    """
    capacity, length = network.column("capacity"), network.column("length")
    flow, time = found.flow, np.where(found.closed, np.nan, found.time - network.column("fixed"))
    noise, time_noise = np.where(found.unique, found.flow_noise, np.maximum(found.flow_noise, flow)), found.time_noise
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "flow": (flow, noise),
            "travel_time": (time, time_noise),
            "speed": (np.where(time > 0, length / time, np.nan), length / time**2 * time_noise),
            "delay": (flow * (time - free) / 3600.0, (noise * (time - free) + flow * time_noise) / 3600.0),
            "volume_capacity": (flow / _above(capacity), noise / _above(capacity)),
        }
    columns = {name: (np.where(found.closed & (name == "delay"), 0.0, value), off) for name, (value, off) in columns.items()}
    plain = {**_road_columns(network), **{name: value for name, (value, _) in columns.items()}, "closed": found.closed,
             "free_flow_time": free}  # fmt: skip
    table = _table(plain, LINKS)
    table = table.append_column(column("settled", pa.bool_(), en="flow settled by the equilibrium", zh="流量唯一"), pa.array(found.unique))
    for name, unit, en, zh in _LOADED:
        kind = column(f"{name}_noise", _REAL, unit=unit, en=f"{en}, left open by the gap", zh=f"{zh}误差")
        off = np.where(np.isfinite(columns[name][1]), columns[name][1], 0.0)
        table = table.append_column(kind, pa.array(np.where(found.closed, 0.0, off)))
    return table


def loaded_links(network: RoadNetwork, run: DynamicRun, closed: NDArray[np.bool_], every: float) -> pa.Table:
    """Return the links of a dynamic run: means over the time from its first to its last count, and the greatest flow of an interval.

    The time is that of all who entered; of those who are still there, what it has been so far. A link that nobody entered has its time
    when empty, or none if it was ever closed.

    Parameters
    ----------
    every
        Length of an interval [s], as of `interval_table`; one at the end that is shorter has no peak, unless it is the only one.
    """
    length, free = network.column("length"), network.column("free_flow_time")
    hours = (run.times[-1] - run.times[0]) / 3600.0
    delay = run.lost[-1]
    entered = run.entered[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        time = free + np.maximum(np.where(entered > 0, delay / np.maximum(entered, 1), 0.0), 0.0)
        time[closed & (entered == 0)] = np.nan
        flow = run.left[-1] / hours
        columns = {"flow": flow, "travel_time": time, "speed": np.where(time > 0, length / time, np.nan),
                   "delay": np.maximum(delay, 0.0) / 3600.0 / hours,
                   "volume_capacity": flow / _above(network.column("capacity"))}  # fmt: skip
    ends = run.times[_ends(run, every)]
    lasts = np.diff(ends)
    flows = np.diff(run.left[_ends(run, every)].astype(float), axis=0) * 3600.0 / lasts[:, None]
    flows[lasts < 0.999 * lasts.max()] = 0.0
    peak = flows.max(axis=0)
    begin = np.where(peak > 0, ends[flows.argmax(axis=0)], np.nan)
    table = _table({**_road_columns(network), **columns, "closed": closed}, LINKS)
    for kind, values in zip(_PEAK, (peak, begin), strict=True):
        table = table.append_column(kind, pa.array(values, from_pandas=True))
    return table


def _ends(run: DynamicRun, every: float) -> NDArray[np.int64]:
    """Return the places of the counts at the ends of intervals, and of the first and the last one."""
    whole = np.abs(run.times / every - np.round(run.times / every)) < 1e-6
    return np.unique(np.concatenate([[0], np.flatnonzero(whole), [len(run.times) - 1]]))


def interval_table(network: RoadNetwork, run: DynamicRun, every: float, changes: Sequence[LinkChange] = ()) -> pa.Table:
    """Return what passed on each link in each interval, where there was a vehicle.

    Parameters
    ----------
    every
        Length of an interval [s], a multiple of the time between two counts; the last one may be shorter.
    changes
        Of the run: no vehicle is faster than they let it.

    Notes
    -----
    Speed is way over time of all vehicles on the link (Edie 1963), never above what is possible; a vehicle that is on the link at the begin
    or at the end of the interval counts with half its way. The queue at the end of an interval are the vehicles that would have left the
    link by then on an empty road and have not.
    """
    length = network.column("length")
    ids, objects = network.links["id"], network.links["object"]
    ends = _ends(run, every)
    parts = []
    for fastest, first, last in zip(_fastest(network, changes, run.times[ends]), ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        entered, left = run.entered[last] - run.entered[first], run.left[last] - run.left[first]
        spent, passed = run.spent[last] - run.spent[first], (entered + left) / 2.0
        rows = np.flatnonzero((spent > 1e-6) | (passed > 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            speed = np.minimum(np.where(spent > 0, passed * length / spent, fastest), fastest)
        queue = run.queue[last].astype(float)
        delay = np.maximum(run.lost[last] - run.lost[first], 0.0)
        parts.append(_table({
            "object": objects.take(pa.array(rows)), "link": ids.take(pa.array(rows)), "time": np.full(len(rows), run.times[first]),
            "entered": entered[rows].astype(np.int64), "left": left[rows].astype(np.int64), "speed": speed[rows], "queue": queue[rows],
            "delay": delay[rows],
        }, INTERVALS))  # fmt: skip
    made = pa.concat_tables(parts) if parts else INTERVALS.empty_table()
    return made.replace_schema_metadata({"intervals": json.dumps(run.times[ends].tolist())})


def _fastest(network: RoadNetwork, changes: Sequence[LinkChange], ends: Reals) -> Iterator[Reals]:
    """Give the greatest speed that each link has at any time of each interval [m/s]."""
    length, free = network.column("length"), network.column("free_flow_time")
    with np.errstate(divide="ignore", invalid="ignore"):
        now = np.where(free > 0, length / free, np.inf)
    coming = sorted(((one.time, one.speed, network.rows_of(one.links)) for one in changes if one.speed is not None), key=itemgetter(0))
    at = 0
    for first, last in pairwise(ends.tolist()):
        most = np.zeros(len(now))
        while at < len(coming) and coming[at][0] < last:
            time, speed, rows = coming[at]
            if time > first:
                most[rows] = np.maximum(most[rows], now[rows])
            now[rows] = speed
            at += 1
        yield np.maximum(most, now)


def total_delay(run: DynamicRun) -> float:
    """Return the time lost on all roads until the end [veh s]."""
    return max(float(run.lost[-1].sum()), 0.0)


def origin_delay(run: DynamicRun) -> tuple[float, int]:
    """Return the time that vehicles waited for space before their first road [veh s], and how many still do at the end.

    Those that are stranded there lost more than time, and are not among them.
    """
    from cim.sim.traffic.dynamic_outcome import CAUSES

    waiting = run.cause == CAUSES.index("waiting at the origin for space")
    waited = np.where(waiting, run.times[-1] - run.departure, np.nan_to_num(run.started - run.departure))
    return float(waited.sum()), int(waiting.sum())


def trip_table(run: DynamicRun) -> pa.Table:
    """Return what became of the vehicles: how many for each cause, and what the way took those that arrived."""
    from cim.sim.traffic.dynamic_outcome import CAUSES

    took = run.arrival - run.departure
    on_road = run.arrival - run.started
    many = np.bincount(run.cause, minlength=len(CAUSES))
    arrived = np.isfinite(took)

    def mean(values: Reals) -> list[float | None]:
        known = values[arrived & np.isfinite(values)]
        return [float(known.mean()) if name == "arrived" and len(known) else None for name in CAUSES]

    return pa.Table.from_arrays([pa.array(CAUSES), pa.array(many, pa.int64()), pa.array(mean(took), _REAL), pa.array(mean(on_road), _REAL)],
                                schema=TRIPS)  # fmt: skip


def vehicle_table(network: RoadNetwork, origin: NDArray[np.int64], destination: NDArray[np.int64], run: DynamicRun) -> pa.Table:
    """Return every vehicle: its ends, its times, and what became of it."""
    from cim.sim.traffic.dynamic_outcome import CAUSES

    nodes = network.nodes["id"]
    columns = {
        "vehicle": np.arange(len(run.departure)), "origin": nodes.take(pa.array(origin)), "destination": nodes.take(pa.array(destination)),
        "departure": run.departure, "entered": run.started, "arrival": run.arrival,
        "cause": pa.array(CAUSES).take(pa.array(run.cause.astype(np.int64))),
    }  # fmt: skip
    return _table(columns, VEHICLES)
