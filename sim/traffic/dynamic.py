"""Dynamic traffic: every vehicle from link to link, with queues that spill back, on links that change in time.

Whoever departs either follows a path of its own or, at every node, the next link of a table that is made anew in intervals from the times
that the links then take. The model is event-driven and uses no random numbers: the same trips give the same run, in base and option.

Links of one object between the same two nodes are lanes of one road: a path or a table names any of them, and whoever enters the road takes
the emptiest lane that leads on. Greens, banned turns and who gives way are those of the network.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from cim.model.road_network import checked
from cim.progress import track
from cim.sim.traffic.dynamic_arrays import class_rows, headway, roads_of, rules_of, state_of, tables, trips_of
from cim.sim.traffic.dynamic_faults import faults_of_run
from cim.sim.traffic.dynamic_outcome import CAUSES, STRANDED, causes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.dynamic_arrays import ClassRows

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Behaviour", "DynamicRun", "Fleet", "LinkChange", "load_fleet"]

Behaviour = Literal["unaware", "learn", "informed"]
"""What drivers know of closures: nothing, and wait before them; what they see when they stand before one; everything, at once."""
JAM_SPACING = 6.5
"""Way that one vehicle takes in a jammed lane [m]; 150 vehicles per km and lane are textbook practice (Treiber and Kesting 2013)."""
WAVE_SPEED = 20.0 / 3.6
"""Speed of the backward wave [m/s] (ibid.: 15 to 20 km/h)."""
GAP = 3.0
"""Least time between a vehicle and the next one that gives way to it [s]: the follow-up headway at stop-controlled approaches is 3.3 s for
a right turn and 3.5 s for a left one (Highway Capacity Manual 2010, exhibit 19-11); less, for the gap itself counts from the crossing."""
LOST = 1.0
"""Green before the first vehicle of a queue crosses [s]: half a headway, so that a green of g seconds lets g / headway vehicles pass in the
mean. That is practice: what is lost at the start is won in the amber (HCM 2010, ch. 18: effective green = green + amber - 4 s)."""

_INSTANT = 1e-6  # a count so close to the end is that of the end: rounding must not make an interval of its own [s]


@dataclass(frozen=True)
class Fleet:
    """Vehicles, in any order."""

    departure: Reals
    """Time since the start of the run [s], shape (n,)."""
    origin: Ints
    destination: Ints
    """Rows of nodes."""
    path_start: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """Where the path of each vehicle begins in `path_links`, shape (n + 1,); empty where nobody has an own path."""
    path_links: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    vehicle_class: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    """Class of each vehicle, a row of `class_names`, shape (n,); empty: all are of the first one."""
    class_names: tuple[str, ...] = ("car",)
    stop_time: Reals = field(default_factory=lambda: np.zeros(0))
    """How long the vehicle stands on each link of its path [s], as `path_links`; empty: nobody does. Who follows is held up."""


@dataclass(frozen=True)
class LinkChange:
    """Another speed, capacity or closure of links from an instant on."""

    time: float
    """Since the start of the run [s]."""
    links: Sequence[str]
    """Ids of links, or of roads."""
    closed: bool | None = None
    """None: as before; likewise below."""
    speed: float | None = None
    """[m/s]."""
    capacity: float | None = None
    """[veh/h]."""
    classes: tuple[str, ...] | None = None
    """Vehicle classes that closure or speed are for; None: all. A slow vehicle holds up those behind it, of whatever class."""


@dataclass(frozen=True)
class DynamicRun:
    """What became of every vehicle, and what passed on every link."""

    departure: Reals
    started: Reals
    """When each vehicle entered its first link [s], not a number for none; it may have waited at its origin."""
    arrival: Reals
    """[s]; not a number for a vehicle that is not there at the end."""
    status: NDArray[np.int8]
    """`dynamic_kernels.WAITING`, `ON_THE_WAY`, `ARRIVED`, or why it has no way or is off: `NO_ROUTE`, `ORIGIN_CLOSED`, `CIRCLES`."""
    cause: NDArray[np.int8]
    """What became of each vehicle, a row of `dynamic_outcome.CAUSES`."""
    times: Reals
    """Instants of the counts below [s], shape (k,)."""
    entered: NDArray[np.int32]
    left: NDArray[np.int32]
    """Vehicles that entered and left each link until then, shape (k, links)."""
    spent: Reals
    """Time that vehicles have been on each link until then, those still there too [veh s], shape (k, links)."""
    queue: NDArray[np.int32]
    """Vehicles on each link that would have left it by then on an empty road, shape (k, links)."""
    lost: Reals
    """Time lost on each link until then, against the time on it when empty [veh s], shape (k, links); who is faster loses none."""
    moves: int
    """Passages of links in all."""
    notes: tuple[str, ...]

    def count(self) -> dict[str, int]:
        """Return how many vehicles arrived, travel, have not set out, and are stranded (`dynamic_outcome.STRANDED`); together all."""
        causes = self.causes()
        return {"arrived": causes["arrived"], "travelling": causes["still travelling"],
                "waiting": causes["waiting at the origin for space"] + causes["not departed"],
                "stranded": sum(causes[name] for name in STRANDED)}  # fmt: skip

    def causes(self) -> dict[str, int]:
        """Return how many vehicles arrived, and of the others how many are where they are for which cause; together they are all."""
        return dict(zip(CAUSES, np.bincount(self.cause, minlength=len(CAUSES)).tolist(), strict=True))


def load_fleet(  # noqa: PLR0913  # one argument per parameter of the model
    network: RoadNetwork,
    fleet: Fleet,
    *,
    until: float,
    changes: Sequence[LinkChange] = (),
    behaviour: Behaviour = "learn",
    clock: float = 0.0,
    table_every: float = 600.0,
    sample_every: float = 60.0,
    jam_spacing: float = JAM_SPACING,
    wave_speed: float = WAVE_SPEED,
    gap: float = GAP,
    lost: float = LOST,
    priority: Reals | None = None,
    origin_priority: float = 1.0,
    most_links: int | None = None,
) -> DynamicRun:
    """Return the run of a fleet on a network.

    Parameters
    ----------
    until
        End of the run [s].
    clock
        Second of the day at the start of the run: signals count from midnight.
    table_every, sample_every
        Intervals of the routes and of the counts [s].
    jam_spacing, wave_speed
        Way of a vehicle in a jammed lane [m], and speed of the backward wave [m/s].
    gap
        Time that a turn which gives way waits after the last vehicle that it gives way to [s]; who is still coming is not looked at.
    lost
        Green that passes before the first vehicle of a queue crosses [s]; those behind it follow by the capacity of the link.
    priority : shape (links,)
        Shares in which links that lead into one take turns; their capacities without.
    origin_priority
        What the share of those who set out is multiplied by, against those who come along the road.
    most_links
        Whoever has passed so many links is taken off, as sent in circles; without, what the longest own path has, three times the nodes,
        and 100.

    Raises
    ------
    UsageError
        If network, fleet or changes hold faults; all of them in one message.
    """
    from cim.sim.traffic import dynamic_kernels as kernels

    places = network.places_by_id if changes else {}
    numbers = {"until [s]": until, "table_every [s]": table_every, "sample_every [s]": sample_every, "jam_spacing [m]": jam_spacing,
               "wave_speed [m/s]": wave_speed, "origin_priority": origin_priority}  # fmt: skip
    checked(network, faults_of_run(network, fleet, changes, numbers, places, priority))
    order = np.argsort(fleet.departure, kind="stable").astype(np.int32)
    rows = class_rows(fleet.class_names, changes)
    roads, vary, notes = roads_of(kernels, network, rows.many, len(order), spacing=jam_spacing, wave=wave_speed, priority=priority,
                                  origin_priority=origin_priority)  # fmt: skip
    most = int(np.diff(fleet.path_start).max(initial=0)) + 3 * network.nodes.num_rows + 100 if most_links is None else most_links
    rules = rules_of(kernels, network, roads, clock=clock, gap=gap, lost=lost, most=most)
    trips, zones, zone_row = trips_of(kernels, fleet, order, rows)
    parts = _Parts(kernels, roads, vary, trips, state_of(kernels, roads, len(order)), rules, rows)
    asked = bool(changes) or not len(fleet.path_start) or bool((np.diff(fleet.path_start) == 0).any())

    def ways(time: Reals) -> Any:
        return tables(network, zones, zone_row, time) if asked else np.zeros((0, 0), np.int32)

    due: dict[float, list[tuple[LinkChange, Ints]]] = defaultdict(list)
    for one in changes:
        due[float(one.time)].append((one, np.unique(np.array([row for name in one.links for row in places[name]], np.int64))))
    late = sum(len(some) for time, some in due.items() if time >= until)
    notes = (*notes, f"{late} changes come after the end of the run and have no effect") if late else notes
    routed, sampled = np.arange(0.0, until, table_every), np.append(np.arange(0.0, until - _INSTANT, sample_every), until)
    counts = _advance(parts, ways, due, (routed if asked else routed[:0], sampled, until), behaviour)
    return _run(parts, fleet, order, counts, notes)


class _Parts(NamedTuple):
    """The loop and what it works on."""

    kernels: Any
    roads: Any
    vary: Any
    trips: Any
    state: Any
    rules: Any
    rows: ClassRows


def _advance(
    parts: _Parts, ways: Callable[[Reals], Any], due: dict[float, list[tuple[LinkChange, Ints]]], times: tuple[Reals, Reals, float],
    behaviour: Behaviour,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Move all vehicles to the end, with changes, new tables and counts at their instants; return the counts."""
    kernels, roads, vary, trips, state, rules, rows = parts
    routed, sampled, until = times
    stops = np.unique(np.concatenate([routed, sampled, [time for time in due if time < until]]))
    reroute, count = np.isin(stops, routed).tolist(), np.isin(stops, sampled).tolist()
    table = detour = ways(_times(roads, vary, state, 0.0))
    know = kernels.LEARN if behaviour != "unaware" else kernels.UNAWARE
    counts: list[tuple[Any, ...]] = []
    with track(total=until, label="traffic", unit="s") as progress:
        for k, stop in enumerate(stops.tolist()):
            if stop > 0:  # changes at the start hold before anybody departs
                kernels.run(stop, roads, vary, trips, state, rules, table, detour, know)
            now = due.get(stop, []) if stop < until else []
            for one, links in now:
                kernels.change(stop, links, *_changed(one, links, vary, rows), roads, vary, trips, state)
            if now or (reroute[k] and 0 < stop < until):
                if reroute[k] or behaviour != "unaware":
                    time = _times(roads, vary, state, stop)
                    if behaviour != "informed" and reroute[k]:
                        table = ways(time)
                    detour = table if behaviour == "unaware" else ways(np.where(_closed(vary, rows), np.inf, time))
                    table = detour if behaviour == "informed" else table
                kernels.decide_again(stop, roads, vary, trips, state, rules, table, detour, know)
            if count[k]:
                spent = state.stay + (state.entered - state.left) * stop
                queue, lost = np.zeros(len(spent), np.int32), np.zeros(len(spent))
                kernels.late(stop, roads, state, queue, lost)
                counts.append((stop, state.entered.astype(np.int32), state.left.astype(np.int32), spent, queue, lost))
            progress.update(stop)
    return counts


def _run(parts: _Parts, fleet: Fleet, order: Any, counts: list[tuple[Any, ...]], notes: tuple[str, ...]) -> DynamicRun:
    n, state = len(order), parts.state
    started, arrival, status, cause = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int8), np.zeros(n, np.int8)
    started[order] = state.begin
    arrival[order] = np.where(state.status == parts.kernels.ARRIVED, state.arrival, np.nan)
    status[order] = state.status
    cause[order] = causes_of(parts.kernels, parts.roads, parts.vary, parts.trips, state)
    times, *series = (np.array(one) for one in zip(*counts, strict=True))
    entered, left, spent, queue, lost = series
    return DynamicRun(np.asarray(fleet.departure, float), started, arrival, status, cause, times, entered, left, spent, queue, lost,
                      int(state.number[2]), notes)  # fmt: skip


def _changed(one: LinkChange, links: Ints, vary: Any, rows: ClassRows) -> tuple[Any, Any, Any]:
    """Return speeds, shape (rows, n), headways and closures of some links after a change."""
    hit = rows.of(one.classes)
    speed = vary.speed.reshape(rows.many, -1)[:, links]
    if one.speed is not None:
        speed[hit] = one.speed
    gaps = vary.headway[links] if one.capacity is None else np.full(len(links), headway(one.capacity))
    mask = int((np.int64(1) << np.flatnonzero(hit)).sum())
    closed = vary.closed[links]
    if one.closed is not None:
        closed = closed | mask if one.closed else closed & ~mask
    return speed, gaps, closed


def _closed(vary: Any, rows: ClassRows) -> Any:
    """Return what is closed to each row of classes, or carries nothing, shape (rows, links)."""
    return ((vary.closed[None, :] >> np.arange(rows.many)[:, None]) & 1 == 1) | np.isinf(vary.headway)


def _times(roads: Any, vary: Any, state: Any, now: float) -> Reals:
    """Return what each link took the vehicles that left it since the last look [s], and forget them.

    Where none left, it takes what the first of those that stand there has waited already; an empty one takes its free time.
    """
    speed = vary.speed.reshape(-1, len(roads.length))
    free = roads.length / np.maximum(speed, 1e-9)
    first = roads.ring[:-1] + state.left % np.diff(roads.ring)
    waited = np.where(state.entered > state.left, now - state.entry_time[first], 0.0)
    mean = np.where(state.passed > 0, state.spent / np.maximum(state.passed, 1), waited)
    state.passed[:], state.spent[:] = 0, 0.0
    return np.asarray(np.maximum(mean, free), float)
