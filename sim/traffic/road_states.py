"""States of roads over time as traffic reads them: slower, narrower or closed, by class of vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.results.columns import column
from cim.sim.traffic.demand_zones import are_roads
from cim.sim.traffic.dynamic import LinkChange
from cim.sim.traffic.dynamic_arrays import QUICK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.results import Fields

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["ROAD_STATES", "Beyond", "at_time", "changes_of", "state_faults"]

_AS_BEFORE = -1.0
"""Stands for a speed, capacity or closure that an event leaves as it is."""
Beyond = Literal["refuse", "hold"]
"""Times before or after those of the states: refused, or the nearest known state holds; never dry for lack of knowledge."""

ROAD_STATES = pa.schema([
    column("object", pa.string(), en="object id", zh="对象编号"), column("link", pa.string(), en="link", zh="路段"),
    column("class", pa.string(), en="vehicle class", zh="车辆类别"),
    column("from_time", pa.float64(), unit="s", en="from, after the start", zh="开始时刻"),
    column("until_time", pa.float64(), unit="s", en="until, after the start", zh="结束时刻"),
    column("depth", pa.float64(), unit="m", en="greatest depth along the link", zh="路段最大水深"),
    column("mean_depth", pa.float64(), unit="m", en="mean depth along the link", zh="路段平均水深"),
    column("velocity", pa.float64(), unit="m/s", en="greatest velocity along the link", zh="路段最大流速"),
    column("speed", pa.float64(), unit="m/s", en="greatest speed", zh="允许车速"),
    column("capacity", pa.float64(), en="factor on the capacity", zh="通行能力折减系数"),
    column("closed", pa.bool_(), en="closed", zh="封闭"), column("cause", pa.string(), en="cause", zh="原因"),
])  # fmt: skip
"""Rows only where a link is not as it is when dry; `from_time` until before `until_time`, seconds since ``start`` of the run. `speed` null:
free speed."""


@dataclass(frozen=True)
class _States:
    """The states of some classes of vehicle on a network."""

    link: Ints
    """Rows of the links."""
    kind: Ints
    """Place of the class among those asked for."""
    begin: Floats
    end: Floats
    speed: Floats
    """[m/s]; the free speed where nothing holds a vehicle down; not a number where a link takes no time."""
    capacity: Floats
    """Factor."""
    closed: Bools


def at_time(
    states: Fields, network: RoadNetwork, vehicle_class: str, seconds: float, *, beyond: Beyond = "refuse"
) -> tuple[Floats, Floats, Bools]:  # fmt: skip
    """Return speed [m/s], factor on the capacity and closure of every link for a class of vehicle at an instant.

    Parameters
    ----------
    states
        Fields with the table ``states`` (`ROAD_STATES`), such as those of `coupling.road_state`.
    seconds
        Since the start of the states.

    Returns
    -------
    three arrays of shape (links,)
        Speed is the free speed where nothing holds a vehicle down, infinite on a link that takes no time.

    Raises
    ------
    UsageError
        If the class is not assessed, links of the network are not, or the instant lies beyond the states; all faults in one message.
    """
    first, last = _span(states)
    _refuse([*_class_faults(states, [vehicle_class]), *_link_faults(states, network), *_time_faults(states, seconds, seconds, beyond)])
    moment = min(max(seconds, first), np.nextafter(last, -np.inf))  # the last interval ends with the run
    free = _free(network)
    speed, capacity, closed = np.where(np.isnan(free), np.inf, free), np.ones(len(free)), np.zeros(len(free), bool)
    held = _read(states, network, [vehicle_class])
    now = (held.begin <= moment) & (moment < held.end)
    link = held.link[now]
    speed[link] = np.where(np.isnan(held.speed[now]), speed[link], np.minimum(held.speed[now], speed[link]))
    capacity[link], closed[link] = held.capacity[now], held.closed[now]
    return speed, capacity, closed


def changes_of(
    states: Fields, network: RoadNetwork, vehicle_class: str | None = None, start: datetime | str | None = None, *,
    until: float | None = None, beyond: Beyond = "refuse",
) -> list[LinkChange]:  # fmt: skip
    """Return states as changes of links for a dynamic run, in the order of time; what was before its start is carried in.

    Parameters
    ----------
    vehicle_class
        Of all vehicles of the run; None: every class that the states assess, each change for those it concerns.
    start
        Of the traffic run, UTC; that of the states when left out.
    until
        End of the traffic run [s since its start]; changes after it are left out. None: as far as the states go.

    Raises
    ------
    UsageError
        If a class is not assessed, links of the network are not, or the run goes beyond the states; all faults in one message.

    Notes
    -----
    A change gives the whole state: speed, capacity and closure. Where a link is free again it gives back the free speed and the whole
    capacity. After the last interval of the states nothing changes any more. Of several classes each has its own speed and closure; they
    share the capacity, the least that the state of any of them leaves, as changes of its own.
    """
    classes = _assessed(states) if vehicle_class is None else [vehicle_class]
    _refuse(state_faults(states, network, start, (0.0, until or 0.0), beyond=beyond, classes=classes))
    offset, (first, last) = _offset(states, start), _span(states)
    held = _read(states, network, classes)
    free, capacity = np.nan_to_num(_free(network), nan=QUICK), network.column("capacity")
    begin = np.where(held.begin <= first, -np.inf, held.begin) - offset  # what holds from the beginning held before, too
    end = np.where(held.end >= last, np.inf, held.end) - offset
    due = end > 0
    order = np.lexsort((begin[due], held.kind[due], held.link[due]))
    at = np.flatnonzero(due)[order]
    link, kind = held.link[at], held.kind[at]
    followed = np.zeros(len(at), bool)
    followed[:-1] = (link[1:] == link[:-1]) & (kind[1:] == kind[:-1]) & (begin[at[1:]] <= end[at[:-1]])
    back = np.flatnonzero(~followed & np.isfinite(end[at]))
    events = (
        np.concatenate([np.maximum(begin[at], 0.0), end[at[back]]]), np.concatenate([link, link[back]]), np.concatenate([kind, kind[back]]),
        np.concatenate([np.where(np.isnan(held.speed[at]), free[link], held.speed[at]), free[link[back]]]),
        np.concatenate([held.capacity[at] * capacity[link], capacity[link[back]]]),
        np.concatenate([held.closed[at], np.zeros(len(back), bool)]),
    )  # fmt: skip
    keep = events[0] < (np.inf if until is None else until)
    time, link, kind, speed, most, shut = (one[keep] for one in events)
    if vehicle_class is not None:
        return _grouped(time, link, kind, (speed, most, shut), network, None)
    own = _grouped(time, link, kind, (speed, np.full(len(time), _AS_BEFORE), shut), network, classes)
    when, where, least = _shared(time, link, kind, most, capacity)
    before = np.full(len(when), _AS_BEFORE)
    both = [*own, *_grouped(when, where, np.zeros(len(when), np.int64), (before, least, before), network, None)]
    return sorted(both, key=lambda one: one.time)


def _shared(time: Floats, link: Ints, kind: Ints, capacity: Floats, free: Floats) -> tuple[Floats, Ints, Floats]:
    """Return when the least capacity that the classes leave a link changes, on which link, and to what."""
    order = np.lexsort((time, link))
    time, link = time[order], link[order]
    new = np.ones(len(time), bool)
    new[1:] = (link[1:] != link[:-1]) | (time[1:] != time[:-1])
    state = np.full((int(new.sum()), int(kind.max(initial=0)) + 1), np.nan)
    state[np.cumsum(new) - 1, kind[order]] = capacity[order]
    time, link = time[new], link[new]
    head = np.ones(len(link), bool)
    head[1:] = link[1:] != link[:-1]
    state[head] = np.where(np.isnan(state[head]), free[link[head], None], state[head])
    last = np.maximum.accumulate(np.where(np.isnan(state), 0, np.arange(len(state))[:, None]), axis=0)
    least = np.take_along_axis(state, last, axis=0).min(axis=1)
    before = np.where(head, free[link], np.roll(least, 1))
    other = least != before
    return time[other], link[other], least[other]


def state_faults(
    states: Fields, network: RoadNetwork, start: datetime | str | None, span: tuple[float, float], *, beyond: Beyond, classes: Sequence[str]
) -> list[str]:  # fmt: skip
    """Return why states cannot drive a traffic run, each fault as a sentence.

    Parameters
    ----------
    network
        Its roads must be in the states; connectors are under no water.
    start, span
        Of the traffic run: instant (None: that of the states), and from when till when it looks at the roads [s since the start].
    classes
        Of vehicles.
    """
    faults = [*_class_faults(states, classes), *_link_faults(states, network)]
    try:
        offset = _offset(states, start)
    except UsageError as error:
        return [*faults, str(error)]
    return [*faults, *_time_faults(states, offset + span[0], offset + span[1], beyond)]


def _refuse(faults: list[str]) -> None:
    if faults:
        msg = f"roads: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults)
        raise UsageError(msg)


def _assessed(states: Fields) -> list[str]:
    """Return the classes that the states speak of."""
    said = states.run.parameters.get("classes")
    return sorted(said) if said is not None else sorted(set(states.table("states")["class"].to_pylist()))


def _class_faults(states: Fields, classes: Sequence[str]) -> list[str]:
    known = _assessed(states)
    return [f"vehicle class {one!r} is not assessed in {states.name}; there are {', '.join(known)}; give its limits in classes of [roads]"
            for one in classes if one not in known]  # fmt: skip


def _link_faults(states: Fields, network: RoadNetwork) -> list[str]:
    if "links" not in states.tables:
        return []
    ids = network.links["id"].filter(pa.array(are_roads(network)))
    known = pc.is_in(ids, value_set=pc.unique(states.tables["links"]["link"]))
    lost = ids.filter(pc.invert(known))
    if not len(lost):
        return []
    return [f"{len(lost):,} links of the network are not in {states.name} (first: {lost[0].as_py()}); make the states for this network"]


def _span(states: Fields) -> tuple[float, float]:
    """Return first and last instant of the states [s]; without end where they know no time."""
    said = states.run.parameters
    if said.get("until") is None:
        return -np.inf, np.inf
    return float(said.get("from", 0.0)), float(said["until"])


def _time_faults(states: Fields, first: float, last: float, beyond: Beyond) -> list[str]:
    if beyond == "hold":
        return []
    begin, end = _span(states)
    if first < begin or last > end:
        remedy = 'make the flood longer or the other run shorter; in traffic beyond = "hold" keeps the nearest known state'
        where = f"from {first:g} to {last:g} s after the start of {states.name}"
        return [f"the roads are looked at {where}, which goes from {begin:g} to {end:g} s; {remedy}"]
    return []


def _offset(states: Fields, start: datetime | str | None) -> float:
    """Return the start of the traffic run [s since that of the states]."""
    if start is None:
        return 0.0
    said = states.run.parameters.get("start")
    if said is None:
        if states.run.parameters.get("until") is None:
            return 0.0  # states without time hold at any
        msg = f"{states.name} states no start, the traffic run begins at {start}; leave start out, or give one to the flood"
        raise UsageError(msg)
    return (_instant(start) - _instant(said)).total_seconds()


def _instant(value: datetime | str) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _free(network: RoadNetwork) -> Floats:
    """Return free speeds [m/s], not a number where a link takes no time or states no length."""
    length, time = network.column("length"), network.column("free_flow_time")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((time > 0) & (length > 0), length / time, np.nan)


def _read(states: Fields, network: RoadNetwork, classes: Sequence[str]) -> _States:
    """Return the rows of some classes on links of the network."""
    table = states.table("states")
    table = table.filter(pc.is_in(table["class"], value_set=pa.array(list(classes), pa.string())))
    link = pc.index_in(table["link"], value_set=network.links["id"].combine_chunks())
    table, link = table.filter(pc.is_valid(link)), link.drop_null()
    row = np.asarray(link.to_numpy(), np.int64)
    kind = np.asarray(pc.index_in(table["class"], value_set=pa.array(list(classes), pa.string())).to_numpy(), np.int64)
    begin, end, speed, capacity = (np.asarray(table[name].to_numpy(), float) for name in ("from_time", "until_time", "speed", "capacity"))
    closed = np.asarray(table["closed"].to_numpy(), bool)
    return _States(row, kind, begin, end, np.where(np.isnan(speed), _free(network)[row], speed), capacity, closed)


def _grouped(
    time: Floats, link: Ints, kind: Ints, state: tuple[Any, Any, Any], network: RoadNetwork, classes: Sequence[str] | None
) -> list[LinkChange]:  # fmt: skip
    """Return events of links and classes as changes, those alike in one.

    Parameters
    ----------
    state
        Speed [m/s], capacity [veh/h] and closure; `_AS_BEFORE` where one stays.
    """
    if not len(time):
        return []
    order = np.lexsort((*state[::-1], link, time))
    rows = np.stack([time, link, *state])[:, order]
    new = np.concatenate([[True], (rows[:, 1:] != rows[:, :-1]).any(axis=0)])
    mask = np.bitwise_or.reduceat(np.left_shift(1, kind[order]), np.flatnonzero(new))
    rows = np.vstack([rows[:, new], mask])
    order = np.lexsort((rows[1], rows[5], rows[4], rows[3], rows[2], rows[0]))
    rows = rows[:, order]
    alike = (rows[[0, 2, 3, 4, 5], 1:] == rows[[0, 2, 3, 4, 5], :-1]).all(axis=0)
    head = np.flatnonzero(np.concatenate([[True], ~alike]))
    ids = np.asarray(network.links["id"].to_pylist(), object)[rows[1].astype(np.int64)]
    made = []
    for first, last in zip(head.tolist(), [*head[1:].tolist(), len(ids)], strict=True):
        at, _, *held, who = rows[:, first].tolist()
        fast, most, shut = (None if one == _AS_BEFORE else one for one in held)
        names = None if classes is None else tuple(one for place, one in enumerate(classes) if int(who) >> place & 1)
        closed = None if shut is None else bool(shut)
        made.append(LinkChange(at, ids[first:last].tolist(), closed=closed, speed=fast, capacity=most, classes=names))
    return made
