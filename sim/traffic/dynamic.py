"""Dynamic traffic: every vehicle from link to link, with queues that spill back, on links that change in time.

Whoever departs either follows a path of its own or, at every node, the next link of a table that is made anew in intervals from the times
that the links then take. The model is event-driven and uses no random numbers: the same trips give the same run, in base and option.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.model.road_network import checked
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Behaviour", "DynamicRun", "Fleet", "LinkChange", "load_fleet"]

Behaviour = Literal["unaware", "learn", "informed"]
"""What drivers know of closures: nothing, and wait before them; what they see when they stand before one; everything, at once."""
JAM_SPACING = 6.5
"""Way that one vehicle takes in a jammed lane [m]; 150 vehicles per km and lane are textbook practice (Treiber and Kesting 2013)."""
WAVE_SPEED = 20.0 / 3.6
"""Speed of the backward wave [m/s] (ibid.: 15 to 20 km/h)."""


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


@dataclass(frozen=True)
class DynamicRun:
    """What became of every vehicle, and what passed on every link."""

    departure: Reals
    arrival: Reals
    """[s]; not a number for a vehicle that is not there at the end."""
    status: NDArray[np.int8]
    """`dynamic_kernels.WAITING`, `ON_THE_WAY`, `ARRIVED` or `NO_ROUTE`."""
    times: Reals
    """Instants of the counts below [s], shape (k,)."""
    entered: NDArray[np.int32]
    left: NDArray[np.int32]
    """Vehicles that entered and left each link until then, shape (k, links)."""
    moves: int
    """Passages of links in all."""
    notes: tuple[str, ...]

    def count(self) -> dict[str, int]:
        """Return how many vehicles arrived, travel, wait at their origin, and have no way on; together they are all."""
        names = ("at the origin", "travelling", "arrived", "no route")
        return dict(zip(names, np.bincount(self.status, minlength=4).tolist(), strict=True))


def load_fleet(
    network: RoadNetwork,
    fleet: Fleet,
    *,
    until: float,
    changes: Sequence[LinkChange] = (),
    behaviour: Behaviour = "learn",
    table_every: float = 600.0,
    sample_every: float = 60.0,
    jam_spacing: float = JAM_SPACING,
    wave_speed: float = WAVE_SPEED,
    priority: Reals | None = None,
) -> DynamicRun:
    """Return the run of a fleet on a network.

    Parameters
    ----------
    until
        End of the run [s].
    table_every, sample_every
        Intervals of the routes and of the counts [s].
    priority : shape (links,)
        Shares in which links that lead into one take turns; their capacities without.

    Raises
    ------
    UsageError
        If network, fleet or changes hold faults; all of them in one message.
    """
    from cim.sim.traffic import dynamic_kernels as kernels

    checked(network, _faults(network, fleet, changes, until))
    order = np.argsort(fleet.departure, kind="stable")
    roads, vary, notes = _roads(kernels, network, jam_spacing, wave_speed, priority)
    trips, zones = _trips(kernels, fleet, order)
    state = _state(kernels, roads, len(order))
    rows = [(one, network.rows_of(one.links)) for one in sorted(changes, key=lambda one: one.time)]
    stops = np.unique(np.concatenate([np.arange(0.0, until, sample_every), np.arange(0.0, until, table_every), [until],
                                      [one.time for one in changes if one.time < until]]))  # fmt: skip
    table = detour = _table(network, zones, _times(network, vary, state))
    know = kernels.LEARN if behaviour != "unaware" else kernels.UNAWARE
    counts: list[tuple[float, Any, Any]] = []
    with track(total=until, label="traffic", unit="s") as progress:
        for stop in stops.tolist():
            kernels.run(stop, roads, vary, trips, state, table, detour, know)
            due = [pair for pair in rows if pair[0].time == stop]
            for one, links in due:
                given = (one.speed, None if one.capacity is None else _headway(one.capacity), one.closed)
                new = [old[links] if value is None else np.full(len(links), value, old.dtype)
                       for old, value in zip((vary.speed, vary.headway, vary.closed), given, strict=True)]  # fmt: skip
                kernels.change(stop, links, *new, roads, vary, state)
            if stop > 0 and (due or stop % table_every == 0.0):
                time = _times(network, vary, state)
                detour = _table(network, zones, np.where(vary.closed, np.inf, time))
                if behaviour == "informed":
                    table = detour
                elif stop % table_every == 0.0:
                    table = _table(network, zones, time)
                kernels.decide_again(stop, roads, state)
            if stop % sample_every == 0.0 or stop == until:
                counts.append((stop, state.entered.astype(np.int32), state.left.astype(np.int32)))
            progress.update(stop)
    arrival, status = np.full(len(order), np.nan), np.zeros(len(order), np.int8)
    arrival[order] = np.where(state.status == kernels.ARRIVED, state.arrival, np.nan)
    status[order] = state.status
    times, entered, left = zip(*counts, strict=True)
    return DynamicRun(np.asarray(fleet.departure, float), arrival, status, np.array(times), np.array(entered), np.array(left),
                      int(state.number[2]), notes)  # fmt: skip


def _headway(capacity: float) -> float:
    return 3600.0 / capacity if capacity > 0 else np.inf


def _faults(network: RoadNetwork, fleet: Fleet, changes: Sequence[LinkChange], until: float) -> list[str]:
    faults = []
    n, nodes = len(fleet.departure), network.nodes.num_rows
    if not until > 0:
        faults.append(f"until is {until} s, expected more than 0")
    if not len(fleet.origin) == len(fleet.destination) == n or len(fleet.path_start) not in (0, n + 1):
        faults.append(f"the fleet has {n} departures, {len(fleet.origin)} origins and {len(fleet.destination)} destinations")
    elif n:
        ends = np.concatenate([fleet.origin, fleet.destination])
        if ends.min() < 0 or ends.max() >= nodes:
            faults.append(f"{int(((ends < 0) | (ends >= nodes)).sum())} ends of trips are no nodes of the network")
        if not (np.asarray(fleet.departure) >= 0).all():
            faults.append("vehicles depart before the start of the run")
    for one in changes:
        if not one.time >= 0:
            faults.append(f"a change of {one.links} at {one.time} s lies before the start of the run")
        if (one.speed is not None and not one.speed >= 0) or (one.capacity is not None and not one.capacity >= 0):
            faults.append(f"a change of {one.links} gives {one.speed} m/s and {one.capacity} veh/h, expected 0 or more")
    length = network.column("length")
    bad = ~(length > 0)
    if bad.any():
        name = network.links["id"][int(np.argmax(bad))].as_py()
        faults.append(f"{int(bad.sum())} links have no length; the dynamic model needs metres (first: {name})")
    return faults


def _roads(kernels: Any, network: RoadNetwork, spacing: float, wave: float, priority: Reals | None) -> tuple[Any, Any, tuple[str, ...]]:
    """Return what is fixed and what varies of the links, and what was assumed."""
    first, out = network.forward_star
    length, time, capacity = (np.ascontiguousarray(network.column(name), float) for name in ("length", "free_flow_time", "capacity"))
    tail, head = network.column("from_node"), network.column("to_node")
    place = np.empty(len(out), np.int64)
    place[out] = np.arange(len(out)) - first[tail[out]]
    degree = np.diff(first)[head]
    notes = []
    quick = time <= 0
    speed = np.where(quick, 1e6, length / np.where(quick, 1.0, time))
    if quick.any():
        notes.append(f"{int(quick.sum())} links take no time when empty; their vehicles pass them at once")
    lanes = _lanes(capacity, speed, spacing, wave)
    storage = np.maximum(length * lanes / spacing, 1.0)
    wave_time = storage * spacing / lanes / wave  # of the same length as the storage, or short links would choke
    size = np.ceil(storage).astype(np.int64) + 2
    share = capacity if priority is None else np.asarray(priority, float)
    roads = kernels.Roads(
        head, np.concatenate([[0], np.cumsum(degree)])[:-1].astype(np.int64), place, length, wave_time, storage,
        np.concatenate([[0], np.cumsum(size)]).astype(np.int64), np.concatenate([share, share]).astype(float),
    )  # fmt: skip
    vary = kernels.Vary(speed, 3600.0 / capacity, np.zeros(len(out), bool), np.zeros(len(out)), np.zeros(len(out)))
    return roads, vary, tuple(notes)


def _lanes(capacity: Reals, speed: Reals, spacing: float, wave: float) -> Reals:
    """Return the lanes that the capacity needs in the triangular diagram u w k / (u + w)."""
    per_lane = 3600.0 * speed * wave / (speed + wave) / spacing
    return np.asarray(np.maximum(capacity / per_lane, 1.0), float)


def _trips(kernels: Any, fleet: Fleet, order: Ints) -> tuple[Any, Ints]:
    """Return the vehicles by departure, and the nodes that tables lead to."""
    destination = np.asarray(fleet.destination, np.int64)[order]
    size = np.diff(fleet.path_start)[order] if len(fleet.path_start) else np.zeros(len(order), np.int64)
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    begin = np.asarray(fleet.path_start, np.int64)[order] if len(fleet.path_start) else np.zeros(len(order), np.int64)
    links = np.asarray(fleet.path_links, np.int64)[np.repeat(begin - start[:-1], size) + np.arange(int(size.sum()))]
    zones, zone = np.unique(destination, return_inverse=True)
    return kernels.Trips(np.asarray(fleet.departure, float)[order], np.asarray(fleet.origin, np.int64)[order], destination,
                         zone.astype(np.int64), start, links), zones  # fmt: skip


def _state(kernels: Any, roads: Any, vehicles: int) -> Any:
    links, slots = len(roads.length), int(roads.ring[-1])
    turns = int(roads.turn.max(initial=0)) + int(roads.place.max(initial=0)) + 1

    def none(many: int) -> Any:
        return np.full(many, -1, np.int64)

    long_ago = np.full(links, -1e18)
    return kernels.State(
        np.zeros(3 * links, np.int64), none(3 * links), np.zeros(3 * links), np.zeros(3, np.int64), np.zeros(links, np.int64),
        np.zeros(links, np.int64), long_ago, long_ago.copy(), np.zeros(slots, np.int32), np.zeros(slots), np.zeros(slots),
        np.zeros(slots), none(links), none(links), none(vehicles), none(links), none(2 * links), none(2 * links), np.zeros(turns),
        np.zeros(links), np.zeros(links), np.zeros(vehicles, np.int8), np.full(vehicles, np.nan), np.zeros(vehicles, np.int32),
        np.zeros(vehicles, bool), np.zeros(links, np.int64), np.zeros(links),
    )  # fmt: skip


def _times(network: RoadNetwork, vary: Any, state: Any) -> Reals:
    """Return what each link took the vehicles that left it since the last look [s], and forget them; an empty one takes its free time."""
    free = network.column("length") / np.maximum(vary.speed, 1e-9)
    mean = np.where(state.passed > 0, state.spent / np.maximum(state.passed, 1), free)
    state.passed[:], state.spent[:] = 0, 0.0
    return np.asarray(np.maximum(mean, free), float)


def _table(network: RoadNetwork, zones: Ints, time: Reals) -> Any:
    """Return the next link from every node on the quickest way to every zone."""
    from cim.sim.traffic.equilibrium_kernels import next_links

    return next_links(zones, network.turn_graph, time)
