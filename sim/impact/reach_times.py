"""How long a vehicle takes on every link at an instant: as the traffic goes, as the water lets it drive, never on a closed one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.sim.flood.times import instant, seconds
from cim.sim.traffic.road_states import at_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.results import Fields

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CRAWL", "LinkTimes", "Steps", "beginning", "link_times", "steps_of"]

CRAWL = 1.0 / 3.6
"""Least speed of an interval in which no vehicle of a link came on [m/s]: 1 km/h, an assumption."""


@dataclass(frozen=True)
class Steps:
    """Instants that are looked at, and how long each stands for."""

    begin: Floats
    """[s] since `start`, shape (k,), rising."""
    end: Floats
    """Till when each stands [s]; its own beginning where nobody knows, for the last one."""
    start: datetime | None
    """Second 0, UTC; None where nobody says."""

    def at(self, moments: Floats) -> pa.Array:
        """Return moments as UTC instants, null where they are not a number or nobody knows when second 0 was."""
        if self.start is None:
            return pa.nulls(len(moments), pa.timestamp("us", "UTC"))
        zero = np.datetime64(self.start.astimezone(UTC).replace(tzinfo=None), "us")
        known = np.isfinite(moments)
        when = zero + (np.where(known, moments, 0.0) * 1e6).round().astype("timedelta64[us]")
        return pa.array(when, pa.timestamp("us"), mask=~known).cast(pa.timestamp("us", "UTC"))


@dataclass(frozen=True)
class LinkTimes:
    """Times on links of one vehicle class."""

    network: RoadNetwork
    free: Floats
    """Time on the empty, dry network [s]."""
    traffic: Floats | None
    """Time of a static traffic result [s]; infinite where it has the link closed."""
    slices: tuple[Floats, Ints, Floats] | None
    """Beginning of the interval [s], row of the link and time [s] of a dynamic one, by beginning."""
    roads: Fields | None
    """State of the roads under water."""
    vehicle_class: str

    def at(self, moment: float) -> Floats:
        """Return the time on each link at an instant [s], infinite where it is closed, shape (links,)."""
        time = self._in_traffic(moment)
        if self.roads is None:
            return time
        speed, _, closed = at_time(self.roads, self.network, self.vehicle_class, moment)
        length = self.network.column("length").astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            held = speed * self.free < length * (1.0 - 1e-9)  # slower than on the empty, dry road
            time = np.where(held, np.maximum(time, length / speed), time)
        return np.where(closed, np.inf, time)

    def _in_traffic(self, moment: float) -> Floats:
        time = (self.free if self.traffic is None else self.traffic).copy()
        if self.slices is not None:
            begin, row, spent = self.slices
            last = np.searchsorted(begin, moment, "right")
            if last:
                mine = slice(int(np.searchsorted(begin, begin[last - 1], "left")), int(last))
                time[row[mine]] = np.maximum(spent[mine], time[row[mine]])
        return time


def steps_of(roads: Fields | None, traffic: Fields | None, times: Iterable[Any] | None, time_zone: str = "UTC") -> tuple[Steps, list[str]]:
    """Return the instants to look at, and what was taken for granted.

    Parameters
    ----------
    times
        Instants, or durations since the beginning; left out: every instant at which a road or the traffic changes.

    Raises
    ------
    UsageError
        If a time lies before the beginning, or is an instant and nobody says when the run begins.
    """
    start, shift, notes = beginning(roads, traffic)
    changes, until = _changes(roads, traffic, shift)
    if times is None:
        begin = changes if len(changes) else (np.array([0.0]) if traffic is not None or roads is not None else np.empty(0))
    else:
        begin = np.unique([_moment(one, start, time_zone) for one in times])
        skipped = int((~np.isin(changes, begin)).sum())
        if skipped:
            notes.append(f"{skipped} of {len(changes)} instants at which roads or traffic change are not looked at: times= names others")
    last = max(until, begin[-1]) if len(begin) and np.isfinite(until) else begin[-1:]
    end = np.append(begin[1:], last)
    if len(begin) and end[-1] <= begin[-1]:
        notes.append("nobody says how long the last step lasts: it counts no minutes")
    slices = _interval_starts(traffic) + shift
    early = int((begin < slices[0]).sum()) if len(slices) else 0
    if early:
        notes.append(f"{early} steps lie before the traffic run: its links take their free-flow time")
    return Steps(begin, end, start), notes


def beginning(roads: Fields | None, traffic: Fields | None) -> tuple[datetime | None, float, list[str]]:
    """Return second 0, how many seconds later the traffic begins, and what is assumed of it."""
    one, other = (None if run is None else _said(run) for run in (roads, traffic))
    if one is not None and other is not None:
        return one, (other - one).total_seconds(), []
    both = roads is not None and traffic is not None
    return one or other, 0.0, ["roads and traffic are taken to begin together: one of them does not say when"] if both else []


def _said(run: Fields) -> datetime | None:
    stated = run.run.parameters.get("start")
    return run.run.start if stated is None else instant(stated)


def _changes(roads: Fields | None, traffic: Fields | None, shift: float) -> tuple[Floats, float]:
    """Return the instants at which something changes [s], and till when it is known."""
    found, begin, until = [np.empty(0)], 0.0, np.nan
    if roads is not None:
        states, said = roads.table("states"), roads.run.parameters
        begin = float(said.get("from") or 0.0)
        until = float(states["until_time"].to_numpy().max(initial=-np.inf) if said.get("until") is None else said["until"])
        found += [np.array([begin]), states["from_time"].to_numpy(), states["until_time"].to_numpy()]
    slices = _interval_starts(traffic) + shift
    every = np.unique(np.concatenate([*found, slices]))
    every = every[(every >= begin) & (every < (until if np.isfinite(until) else np.inf)) & np.isfinite(every)]
    if traffic is not None and len(slices) and not np.isfinite(until) and "output_every" in traffic.run.parameters:
        until = float(slices[-1]) + seconds(traffic.run.parameters["output_every"])
    return every, until


def _interval_starts(traffic: Fields | None) -> Floats:
    """Return the beginnings of the intervals of a dynamic traffic run [s since its start], rising; none of another one."""
    if traffic is None or "intervals" not in traffic.tables:
        return np.empty(0)
    return np.unique(traffic.table("intervals")["time"].to_numpy()).astype(float)


def _moment(given: Any, start: datetime | None, time_zone: str) -> float:
    try:
        return seconds(given)
    except UsageError:
        when = instant(given, time_zone)
    if start is None:
        msg = f"reach: the time {given!r} is an instant, but nobody says when second 0 is; give durations such as '90min'"
        raise UsageError(msg)
    passed = (when - start).total_seconds()
    if passed < 0:
        msg = f"reach: the time {given!r} lies before the beginning, {start.isoformat()}"
        raise UsageError(msg)
    return passed


def link_times(
    network: RoadNetwork, vehicle_class: str, traffic: Fields | None, roads: Fields | None, shift: float = 0.0
) -> tuple[LinkTimes, list[str]]:
    """Return the times on links of a vehicle class, and what is to be told of them.

    Parameters
    ----------
    shift
        Seconds from second 0 to the beginning of the traffic run.
    """
    notes: list[str] = []
    free = network.column("free_flow_time").astype(float)
    static, slices = None, None
    place = pa.array(network.links["id"].to_pylist(), pa.string())
    if traffic is not None and "intervals" in traffic.tables:
        slices = _slices(network, traffic.table("intervals"), place, shift, notes)
    elif traffic is not None:
        static = _static(traffic.table("links"), place, free, notes)
    if roads is not None and "links" in roads.tables:
        mine = roads.table("links").filter((pc.field("class") == vehicle_class) & (pc.field("status") == "not_assessed"))
        if mine.num_rows:
            notes.append(f"{vehicle_class}: the water on {mine.num_rows:,} links is not assessed: they count as dry")
    return LinkTimes(network, free, static, slices, roads, vehicle_class), notes


def _rows(table: pa.Table, place: pa.Array, what: str, notes: list[str]) -> tuple[pa.Table, Ints]:
    """Return the rows of a table whose link the network has, and the rows of these links."""
    at = pc.index_in(table["link"].combine_chunks(), value_set=place)
    lost = at.null_count
    if lost:
        notes.append(f"{lost} rows of {what} name links that the network does not have; they are left out")
    kept = table.filter(pc.is_valid(at))
    return kept, np.asarray(pc.drop_null(at).to_numpy(zero_copy_only=False), np.int64)


def _static(table: pa.Table, place: pa.Array, free: Floats, notes: list[str]) -> Floats:
    kept, row = _rows(table, place, "the traffic", notes)
    time = free.copy()
    time[row] = np.nan_to_num(kept["travel_time"].to_numpy(zero_copy_only=False).astype(float), nan=np.inf, posinf=np.inf)
    missing = len(free) - len(np.unique(row))
    if missing:
        notes.append(f"{missing} links are not in the traffic result: they take their free-flow time")
    return time


def _slices(network: RoadNetwork, table: pa.Table, place: pa.Array, shift: float, notes: list[str]) -> tuple[Floats, Ints, Floats]:
    kept, row = _rows(table, place, "the traffic", notes)
    begin = kept["time"].to_numpy() + shift
    speed = kept["speed"].to_numpy(zero_copy_only=False).astype(float)
    slow = ~(speed >= CRAWL)
    if slow.any():
        notes.append(f"{int(slow.sum())} intervals of links on which nobody came on count as {CRAWL * 3.6:g} km/h")
    spent = network.column("length")[row] / np.where(slow, CRAWL, speed)
    order = np.argsort(begin, kind="stable")
    return begin[order], row[order], spent[order]
