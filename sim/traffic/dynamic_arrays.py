"""What the loop of the dynamic model works on, made from a network, a fleet and changes: arrays by link, by turn and by vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.dynamic import Fleet, LinkChange

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["QUICK", "ClassRows", "class_rows", "headway", "lanes_of", "roads_of", "rules_of", "state_of", "tables", "trips_of"]

QUICK = 1e6
"""Speed on a link that takes no time [m/s]."""
_BROAD, _MANY = 50.0, 1000.0
"""Lanes, and vehicles at least, beyond which no link stores any: files give connectors any capacity, and with it any lanes."""
_UNLIMITED = 1e12
"""Capacity from which on a link is held up by nothing but space [veh/h]: finite, so that shares and headways are numbers."""


def headway(capacity: float) -> float:
    """Return the least time between two vehicles [s] at a capacity [veh/h]; infinite for none."""
    return 3600.0 / min(capacity, _UNLIMITED) if capacity > 0 else np.inf


class ClassRows(NamedTuple):
    """Vehicle classes in rows: classes that all changes treat alike share one."""

    names: tuple[str, ...]
    row: Ints
    """Row of each class, shape (names,)."""
    many: int

    def of(self, classes: Sequence[str] | None) -> Flags:
        """Return which rows some classes are, all for None, shape (many,)."""
        hit = np.zeros(self.many, bool)
        hit[self.row if classes is None else self.row[np.isin(np.array(self.names), list(classes))]] = True
        return hit


def class_rows(names: tuple[str, ...], changes: Sequence[LinkChange]) -> ClassRows:
    """Return the rows of vehicle classes; one row where no change is for some classes only."""
    special = [one.classes for one in changes if one.classes is not None]
    treated = [tuple(name in one for one in special) for name in names]
    found = sorted(set(treated))
    return ClassRows(names, np.array([found.index(one) for one in treated], np.int64), len(found))


_LANES_APART = 2.0
"""How many times as long as the next shorter one a lane of the same road may be: its way over a junction may be longer."""


def lanes_of(network: RoadNetwork) -> Ints:
    """Return the road of each link: links of one object between the same nodes are its lanes; shape (links,), roads from 0.

    Lanes are about as long as each other; a longer piece of the same object is a loop beside it, not a lane.
    """
    count, owner = network.links.num_rows, network.links["object"].combine_chunks()
    if owner.null_count == count:
        return np.arange(count)
    code = owner.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    code = np.where(code < 0, count + np.arange(count), code)
    keys, length = np.stack([network.column("from_node"), network.column("to_node"), code]), np.nan_to_num(network.column("length"))
    order = np.lexsort([length, *keys])
    longer = length[order][1:] > _LANES_APART * length[order][:-1]
    new = np.append(True, (np.diff(keys[:, order], axis=1) != 0).any(axis=0) | longer) if count else np.zeros(0, bool)
    group = np.empty(count, np.int64)
    group[order] = np.cumsum(new) - 1
    return group


def roads_of(
    kernels: Any, network: RoadNetwork, rows: int, vehicles: int, *, spacing: float, wave: float, priority: Reals | None,
    origin_priority: float,
) -> tuple[Any, Any, tuple[str, ...]]:  # fmt: skip
    """Return what is fixed and what varies of the links, and what was assumed."""
    from cim.model.network_checks import THIN

    first, out = network.forward_star
    length, time, capacity = (np.ascontiguousarray(network.column(name), float) for name in ("length", "free_flow_time", "capacity"))
    thin, endless = (capacity > 0) & (capacity < THIN), ~(capacity < _UNLIMITED)
    capacity = np.fmin(capacity, _UNLIMITED)  # a link of constant time may have none
    tail, head = network.column("from_node"), network.column("to_node")
    place = np.empty(len(out), np.int64)
    place[out] = np.arange(len(out)) - first[tail[out]]
    degree = np.diff(first)[head]
    quick = time <= 0
    speed = np.where(quick, QUICK, length / np.where(quick, 1.0, time))
    notes = [f"{int(quick.sum())} links take no time when empty; their vehicles pass them at once"] if quick.any() else []
    if thin.any():
        name = network.links["id"][int(np.argmax(thin))].as_py()
        few = f"{int(thin.sum())} links have a capacity below {THIN:g} veh/h (first: {name})"
        notes.append(f"{few}: another unit, or held by b of the cost law?")
    if endless.any():
        notes.append(f"{int(endless.sum())} links have no limit of capacity; only what lies ahead holds their vehicles up")
    lanes, said = _lanes(network.column("lanes"), capacity, speed, spacing, wave)
    storage = np.maximum(length * lanes / spacing, 1.0)
    wave_time = storage * spacing / lanes / wave  # of the same length as the storage, or short links would choke
    most = np.maximum(length * _BROAD / spacing, _MANY)
    broad = (storage > most) & (vehicles > most)
    if broad.any():
        notes.append(f"{int(broad.sum())} links store as many vehicles as {_BROAD:g} lanes, {_MANY:g} at least, whatever their capacity")
    storage = np.minimum(storage, most)
    size = np.minimum(np.ceil(storage), vehicles).astype(np.int64) + 2
    share = capacity if priority is None else np.asarray(priority, float)
    roads = kernels.Roads(
        network.turn_graph.state_of_link, np.concatenate([[0], np.cumsum(degree)])[:-1].astype(np.int64), place, length, wave_time, storage,
        length / speed, np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        np.concatenate([share, origin_priority * share]).astype(float), first, out,
    )  # fmt: skip
    with np.errstate(divide="ignore"):
        gaps = np.where(capacity > 0, 3600.0 / capacity, np.inf)
    vary = kernels.Vary(
        np.tile(speed, rows), gaps, np.zeros(len(out), np.int64), np.zeros(rows * len(out)), np.zeros(len(out))
    )  # fmt: skip
    return roads, vary, (*notes, *said)


def _lanes(given: Reals, capacity: Reals, speed: Reals, spacing: float, wave: float) -> tuple[Reals, list[str]]:
    """Return the lanes of each link: as given, but no fewer than its capacity needs in the triangular diagram u w k / (u + w)."""
    per_lane = 3600.0 * speed * wave / (speed + wave) / spacing
    needed = np.maximum(capacity / per_lane, 1.0)
    known = given > 0  # not a number where not given
    short = known & (given < needed * (1.0 - 1e-9))
    notes = []
    if known.any() and not known.all():
        notes.append(f"{int((~known).sum())} links without lanes have as many as their capacity needs")
    if short.any():
        notes.append(f"{int(short.sum())} links have a capacity that needs more lanes than they have; they store vehicles as if on those")
    return np.where(known, np.fmax(given, needed), needed), notes


def rules_of(kernels: Any, network: RoadNetwork, roads: Any, *, clock: float, gap: float, lost: float, most: int) -> Any:
    """Return lanes, banned turns, greens and who gives way, as arrays that are empty where the network has none of it."""
    group, count = lanes_of(network), network.links.num_rows
    size = np.bincount(group)
    laned = bool((size > 1).any())
    signalled, yielding, banned = network.signals.num_rows > 0, network.yields.num_rows > 0, network.banned.num_rows > 0
    head = network.column("to_node")
    turns = int(np.diff(roads.first)[head].sum())
    by_group = np.argsort(group, kind="stable")
    begin = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    place = roads.place[by_group[begin[group]]]
    lanes = _lists(np.arange(count), begin, by_group, group) if laned else _nothing(2)
    may = _may(network, roads, place, turns) if laned and banned else _nothing(2, bool)
    greens = _greens(network, roads, place, turns, lost) if signalled else (*_nothing(1), *_nothing(3, float))
    foes = _foes(network, roads, place, turns) if yielding else _nothing(2)
    crossed = np.full(turns if yielding else 0, -1e18)
    needed = laned or signalled or yielding
    return kernels.Rules(place if needed else _nothing(1)[0], *lanes, *may, *greens, *foes, crossed, float(clock), float(gap), int(most))


def _nothing(many: int, kind: Any = np.int64) -> tuple[Any, ...]:
    return tuple(np.zeros(0, kind) for _ in range(many))


def _lists(rows: Ints, begin: Ints, members: Ints, group: Ints) -> tuple[Ints, Ints]:
    """Return where the list of each row begins, and the lists: the members of its group."""
    size = np.diff(begin)[group[rows]]
    first = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    return first, members[np.repeat(begin[group[rows]] - first[:-1], size) + np.arange(int(first[-1]))]


def _may(network: RoadNetwork, roads: Any, place: Ints, turns: int) -> tuple[Flags, Flags]:
    """Return whether each turn into a lane is allowed, and into any lane of a road, at the place of the road's first lane."""
    degree = np.diff(roads.first)[network.column("to_node")]
    source = np.repeat(np.arange(network.links.num_rows), degree)
    target = roads.out[np.repeat(roads.first[network.column("to_node")] - roads.turn, degree) + np.arange(turns)]
    single = np.ones(turns, bool)
    single[roads.turn[network.banned["from_link"].to_numpy()] + roads.place[network.banned["to_link"].to_numpy()]] = False
    road = roads.turn[source] + place[target]
    return single, np.bincount(road, weights=single, minlength=turns) > 0


def _turn(roads: Any, place: Ints, table: Any, ends: tuple[str, str]) -> Ints:
    return np.asarray(roads.turn[table[ends[0]].to_numpy()] + place[table[ends[1]].to_numpy()], np.int64)


def _greens(network: RoadNetwork, roads: Any, place: Ints, turns: int, lost: float) -> tuple[Any, ...]:
    """Return where the greens of each turn begin, and their cycles, begins and ends; what is lost at the begin is taken off."""
    table = network.signals
    turn = _turn(roads, place, table, ("from_link", "to_link"))
    cycle, since, until = (table[name].to_numpy() for name in ("cycle", "green_from", "green_until"))
    rows: list[tuple[int, float, float, float]] = []
    order = np.lexsort([since, cycle, turn])
    for key in zip(turn[order].tolist(), cycle[order].tolist(), since[order].tolist(), until[order].tolist(), strict=True):
        if rows and rows[-1][:2] == key[:2] and key[2] <= rows[-1][3]:
            rows[-1] = (*rows[-1][:3], max(rows[-1][3], key[3]))
        else:
            rows.append(key)
    made = np.array(_round(rows), float).reshape(-1, 4)
    first = np.searchsorted(made[:, 0], np.arange(turns + 1)).astype(np.int64)
    begin = made[:, 2] + np.minimum(lost, 0.5 * (made[:, 3] - made[:, 2]))
    return first, made[:, 1].copy(), begin, made[:, 3].copy()


def _round(rows: list[tuple[int, float, float, float]]) -> list[tuple[int, float, float, float]]:
    """Join greens over the end of the cycle, and leave out what is always green: it knows no signal."""
    groups: dict[tuple[int, float], list[tuple[int, float, float, float]]] = {}
    for one in rows:
        groups.setdefault(one[:2], []).append(one)
    made = []
    for (turn, cycle), mine in groups.items():
        if len(mine) > 1 and mine[-1][3] >= mine[0][2] + cycle:
            mine[-1] = (turn, cycle, mine[-1][2], max(mine[-1][3], mine[0][3] + cycle))
            del mine[0]
        made += [] if mine[0][3] - mine[0][2] >= cycle else mine
    return made


def _foes(network: RoadNetwork, roads: Any, place: Ints, turns: int) -> tuple[Ints, Ints]:
    """Return where the list of those begins that each turn gives way to, and the lists; nobody gives way to the own lane."""
    table = network.yields
    mine, other = (_turn(roads, place, table, ends) for ends in (("from_link", "to_link"), ("before_from", "before_to")))
    apart = table["from_link"].to_numpy() != table["before_from"].to_numpy()
    pairs = np.unique(np.stack([mine[apart], other[apart]], axis=1), axis=0)
    return np.searchsorted(pairs[:, 0], np.arange(turns + 1)).astype(np.int64), pairs[:, 1].astype(np.int64)


def trips_of(kernels: Any, fleet: Fleet, order: Any, rows: ClassRows) -> tuple[Any, Ints, Ints]:
    """Return the vehicles by departure, and the nodes and rows of classes that tables are for."""
    destination = np.asarray(fleet.destination)[order].astype(np.int64)
    row = np.zeros(0, np.int8)
    key = destination
    if rows.many > 1 and len(fleet.vehicle_class):
        row = rows.row[np.asarray(fleet.vehicle_class, np.int64)][order].astype(np.int8)
        key = destination * rows.many + row
    keys, zone = np.unique(key, return_inverse=True)
    zones, zone_row = (keys // rows.many, keys % rows.many) if len(row) else (keys, np.zeros(len(keys), np.int64))
    if len(fleet.path_start):
        size = np.diff(fleet.path_start)[order]
        start = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
        rank = np.repeat(np.asarray(fleet.path_start, np.int64)[:-1][order] - start[:-1], size) + np.arange(int(start[-1]))
        links = np.asarray(fleet.path_links, np.int64)[rank]
        stop = np.asarray(fleet.stop_time, float)[rank] if len(fleet.stop_time) else np.zeros(0)
    else:
        start, links, stop = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    made = kernels.Trips(np.asarray(fleet.departure, float)[order], np.asarray(fleet.origin)[order].astype(np.int32), zone.astype(np.int32),
                         start, links, stop, row)  # fmt: skip
    return made, zones, zone_row


def state_of(kernels: Any, roads: Any, vehicles: int) -> Any:
    """Return the state at the start: no vehicle anywhere."""
    links, slots = len(roads.length), int(roads.ring[-1])
    turns = int(roads.turn.max(initial=0)) + int(roads.place.max(initial=0)) + 1

    def none(many: int) -> Any:
        return np.full(many, -1, np.int64)

    long_ago = np.full(links, -1e18)
    return kernels.State(
        np.zeros(3 * links, np.int64), none(3 * links), np.zeros(3 * links), np.zeros(3, np.int64), np.zeros(links, np.int64),
        np.zeros(links, np.int64), long_ago, long_ago.copy(), np.zeros(slots, np.int32), np.zeros(slots), np.zeros(slots, np.float32),
        none(links), none(links), np.full(vehicles, -1, np.int32), none(links), none(2 * links), none(2 * links), np.zeros(turns),
        np.zeros(links), np.zeros(links), np.zeros(vehicles, np.int8), np.full(vehicles, np.nan), np.full(vehicles, np.nan),
        np.zeros(vehicles, np.int32), np.zeros(vehicles, bool), np.zeros(links, np.int64), np.zeros(links), np.zeros(links),
        np.zeros(links),
    )  # fmt: skip


def tables(network: RoadNetwork, zones: Ints, zone_row: Ints, time: Reals) -> Any:
    """Return the next link from every state on the cheapest way to every destination: -1 for none, -2 at the destination itself.

    What a way costs is its time, and the fixed costs of its links: tolls [s].

    Parameters
    ----------
    zones, zone_row : shape (z,)
        Nodes of destinations, and the row of classes that each is for.
    time : shape (rows, links)
        [s]; infinite for a closed link.

    Returns
    -------
    shape (z, states)
    """
    from cim.sim.traffic.equilibrium_kernels import next_links

    graph, fixed = network.turn_graph, network.column("fixed")
    made = np.empty((len(zones), len(graph.first) - 1), np.int32)
    for row in range(len(time)):
        mine = zone_row == row
        made[mine] = next_links(zones[mine], graph, time[row] + fixed)
    made[np.arange(len(zones)), zones] = -2
    size = np.diff(graph.extra)[zones]
    more = np.repeat(graph.extra[zones] - np.cumsum(size) + size, size) + np.arange(int(size.sum()))
    made[np.repeat(np.arange(len(zones)), size), more] = -2
    return made
