"""How long a vehicle takes on every link at an instant: as the traffic goes, as the water lets it drive, never on a closed one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.scenario.network import closures
from cim.sim.impact.walking import walked_ids
from cim.sim.times import instant, seconds
from cim.sim.traffic.city_network import directed_ids
from cim.sim.traffic.road_states import at_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.results import Fields
    from cim.scenario.network import Closure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CRAWL", "ON_FOOT", "LinkTimes", "Steps", "beginning", "closed_by_people", "link_times", "steps_of", "times_after"]

ON_FOOT = "pedestrian"
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
    span: tuple[float, float]
    """How long an interval lasts, and when the dynamic run ends [s]; infinite where it does not say."""
    roads: Fields | None
    """State of the roads under water."""
    vehicle_class: str
    shut: tuple[tuple[float, float, Ints], ...] = ()
    """From when till when [s] which links are closed by people."""

    def at(self, moment: float) -> Floats:
        """Return the time on each link at an instant [s], infinite where it is closed, shape (links,)."""
        time = np.where(self._closed_by_people(moment), np.inf, self._in_traffic(moment))
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
            every, until = self.span
            when = min(moment, np.nextafter(until, -np.inf))  # after its end the last interval holds on
            last = np.searchsorted(begin, when, "right")
            if last and when < begin[last - 1] + every:  # in an interval without rows nobody is on the road
                mine = slice(int(np.searchsorted(begin, begin[last - 1], "left")), int(last))
                time[row[mine]] = np.maximum(spent[mine], time[row[mine]])
        return time

    def _closed_by_people(self, moment: float) -> NDArray[np.bool_]:
        closed = np.zeros(len(self.free), bool)
        for begin, end, rows in self.shut:
            closed[rows] |= begin <= moment < end
        return closed


def steps_of(
    roads: Fields | None, traffic: Fields | None, times: Iterable[Any] | None, time_zone: str = "UTC", closed: Sequence[Closure] = ()
) -> tuple[Steps, list[str]]:  # fmt: skip
    """Return the instants to look at, and what was taken for granted.

    Parameters
    ----------
    times
        Instants, or durations since the beginning; left out: every instant at which a road or the traffic changes.
    closed
        Closures of roads that concern somebody.

    Raises
    ------
    UsageError
        If a time lies before the beginning, or is an instant and nobody says when the run begins.
    """
    start, shift, notes = beginning(roads, traffic, closed)
    changes, until = _changes(roads, traffic, shift, _instants(closed, start))
    if times is None:
        begin = changes if len(changes) else (np.array([0.0]) if closed or not (traffic is None and roads is None) else np.empty(0))
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
    late = int((begin >= shift + _span(traffic)[1]).sum()) if len(slices) else 0
    if late:
        notes.append(f"{late} steps lie after the end of the traffic run: its last interval is taken to hold on")
    return Steps(begin, end, start), notes


def times_after(times: Iterable[Any] | None, until: Any) -> list[str]:
    """Return the times since the beginning that lie after the end, as far as durations alone say so."""
    durations = []
    for one in [until, *(times or ())]:
        try:
            durations.append(seconds(one))
        except UsageError:
            durations.append(np.nan)
    return [str(one) for one, passed in zip(times or (), durations[1:], strict=True) if passed > durations[0]]


def beginning(
    roads: Fields | None, traffic: Fields | None, closed: Sequence[Closure] = ()
) -> tuple[datetime | None, float, list[str]]:  # fmt: skip
    """Return second 0, how many seconds later the traffic begins, and what is assumed of it.

    Without roads and traffic second 0 is the first instant at which a road is closed or opened.
    """
    one, other = (None if run is None else _said(run) for run in (roads, traffic))
    if one is not None and other is not None:
        return one, (other - one).total_seconds(), []
    if roads is None and traffic is None:
        return min((when for each in closed for when in (each.start, each.until) if when is not None), default=None), 0.0, []
    both = roads is not None and traffic is not None
    told = ["roads and traffic are taken to begin together: one of them does not say when"] if both else []
    dated = sum(not (each.start is None and each.until is None) for each in closed)
    if one is None and other is None and dated:
        told.append(f"{dated} closures that begin or end are left out: neither roads nor traffic say when they begin")
    return one or other, 0.0, told


def _instants(closed: Sequence[Closure], start: datetime | None) -> Floats:
    """Return when closures begin and end [s], those that have begun at 0."""
    if start is None or not closed:
        return np.empty(0)
    found = [(when - start).total_seconds() for one in closed for when in (one.start, one.until) if when is not None]
    return np.maximum([0.0, *found], 0.0)


def _said(run: Fields) -> datetime | None:
    stated = run.run.parameters.get("start")
    return run.run.start if stated is None else instant(stated)


def _changes(roads: Fields | None, traffic: Fields | None, shift: float, closed: Floats) -> tuple[Floats, float]:
    """Return the instants at which something changes [s], and till when it is known."""
    found, begin, until = [closed], 0.0, np.nan
    if roads is not None:
        states, said = roads.table("states"), roads.run.parameters
        begin = float(said.get("from") or 0.0)
        until = float(states["until_time"].to_numpy().max(initial=-np.inf) if said.get("until") is None else said["until"])
        found += [np.array([begin]), states["from_time"].to_numpy(), states["until_time"].to_numpy()]
    slices = _interval_starts(traffic) + shift
    every = np.unique(np.concatenate([*found, slices]))
    if len(slices) and not np.isfinite(until):
        until = shift + _span(traffic)[1]
    every = every[(every >= begin) & (every < (until if np.isfinite(until) else np.inf)) & np.isfinite(every)]
    return every, until


def _interval_starts(traffic: Fields | None) -> Floats:
    """Return the beginnings of the intervals of a dynamic traffic run [s since its start], rising; none of another one."""
    if traffic is None or "intervals" not in traffic.tables:
        return np.empty(0)
    return np.unique(traffic.table("intervals")["time"].to_numpy()).astype(float)


def _span(traffic: Fields | None) -> tuple[float, float]:
    """Return how long an interval of a dynamic traffic run lasts, and when it ends [s since its start]; infinite where it does not say."""
    said = {} if traffic is None else traffic.run.parameters
    every = seconds(said["output_every"]) if said.get("output_every") is not None else np.inf
    try:
        until = seconds(said["until"]) if said.get("until") is not None else np.inf
    except UsageError:  # an instant
        until = (instant(said["until"]) - instant(said["start"])).total_seconds() if said.get("start") is not None else np.inf
    return every, until


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


def closed_by_people(
    city: City, network: RoadNetwork, vehicle_class: str, traffic: Fields | None, start: datetime | None
) -> tuple[tuple[float, float, Ints], ...]:  # fmt: skip
    """Return from when till when [s since `start`] people close which links.

    These are closures of the city, and the roads that a traffic run was asked to close all the time. Where nobody says when second 0 is,
    only those count that neither begin nor end.
    """
    on_foot = vehicle_class == ON_FOOT
    asked = [] if traffic is None or on_foot else traffic.run.parameters.get("closed") or []
    spans = [(-np.inf, np.inf, _known(network, asked))]
    mine = [one for one in closures(city) if not one.classes or vehicle_class in one.classes]
    if start is None:
        mine = [one for one in mine if one.start is None and one.until is None]
    if not mine:
        return tuple(spans)
    names = walked_ids(city) if on_foot else _driven_ids(city)
    for one in mine:
        both = names.get(one.link, ["", ""])
        ids = both if on_foot else [both[back] for back, side in enumerate(("forward", "backward")) if one.direction in ("both", side)]
        begin = -np.inf if one.start is None or start is None else (one.start - start).total_seconds()
        end = np.inf if one.until is None or start is None else (one.until - start).total_seconds()
        spans.append((begin, end, _known(network, ids)))
    return tuple(spans)


def _known(network: RoadNetwork, ids: Iterable[str]) -> Ints:
    """Return the rows of those links that the network has."""
    return network.rows_of([one for one in ids if one in network.places_by_id])


def _driven_ids(city: City) -> dict[int, list[str]]:
    """Return the ids of the links of the road network by the key of the link of the city: along it and against it, empty for none."""
    made: dict[int, list[str]] = {}
    for (key, back), name in directed_ids(city).items():
        made.setdefault(key, ["", ""])[back] = name
    return made


def link_times(
    network: RoadNetwork, vehicle_class: str, traffic: Fields | None, roads: Fields | None, shift: float = 0.0,
    shut: tuple[tuple[float, float, Ints], ...] = (),
) -> tuple[LinkTimes, list[str]]:  # fmt: skip
    """Return the times on links of a vehicle class, and what is to be told of them.

    Parameters
    ----------
    shift
        Seconds from second 0 to the beginning of the traffic run.
    shut
        From `closed_by_people`.

    Notes
    -----
    Traffic makes nobody faster than the free speed, and holds up nobody on foot.
    """
    notes: list[str] = []
    if traffic is not None and vehicle_class == ON_FOOT:
        traffic = None
        notes.append("pedestrians are not held up by the traffic of vehicles")
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
    every, until = _span(traffic)
    return LinkTimes(network, free, static, slices, (every, until + shift), roads, vehicle_class, shut), notes


def _rows(table: pa.Table, place: pa.Array, what: str, notes: list[str]) -> tuple[pa.Table, Ints]:
    """Return the rows of a table whose link the network has, and the rows of these links; connectors of zones are passed over."""
    links = table["link"].combine_chunks()
    at = pc.index_in(links, value_set=place)
    lost = pc.sum(pc.and_(pc.is_null(at), pc.invert(pc.starts_with(links, "zone:")))).as_py()
    if lost:
        notes.append(f"{lost} rows of {what} name links that the network does not have; they are left out")
    kept = table.filter(pc.is_valid(at))
    return kept, np.asarray(pc.drop_null(at).to_numpy(zero_copy_only=False), np.int64)


def _static(table: pa.Table, place: pa.Array, free: Floats, notes: list[str]) -> Floats:
    kept, row = _rows(table, place, "the traffic", notes)
    time = free.copy()
    given = np.nan_to_num(kept["travel_time"].to_numpy(zero_copy_only=False).astype(float), nan=np.inf, posinf=np.inf)
    time[row] = np.maximum(given, free[row])
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
