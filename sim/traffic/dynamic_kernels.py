"""The loop of the dynamic model: single vehicles by Newell's simplified kinematic wave (2002), from event to event.

A link knows what enters and what leaves it. Its vehicle number m leaves no sooner than the free wave brings it, and one headway after the
one before; it enters no sooner than one headway after the one before, and not before the backward wave of vehicle m - kappa has come up
the link, kappa being what the link holds when jammed. So queues grow, spill back over nodes and dissolve as kinematic waves do.

Events: the head of a link is ready (R), the head of a queue at an origin is (Q), a link that others wait for can take one more (S). Where
several wait for one link, they take turns by their priorities (start-time fair queueing).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

__all__ = [
    "ARRIVED", "LEARN", "NO_ROUTE", "ON_THE_WAY", "UNAWARE", "WAITING", "Roads", "State", "Trips", "Vary", "change", "decide_again", "run",
]  # fmt: skip

WAITING, ON_THE_WAY, ARRIVED, NO_ROUTE = 0, 1, 2, 3
"""What a vehicle does: not departed or in the queue at its origin; on a link; there; taken off, for no way leads on."""
UNAWARE, LEARN = 0, 1
"""What a driver before a closed link does: waits; takes the detour from there."""
_AFTER = 1e-7  # of all heads that are ready at an instant, the link they wait for hears before it chooses [s]

# Nothing is allocated here, and counting references to forty arrays at every call would take most of the time.
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
_inlined: Any = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)


class Roads(NamedTuple):
    """What does not change: shape (links,) unless said."""

    head: Any
    """Node that a link enters."""
    turn: Any
    """Where the turns out of a link begin; a turn is this plus the place of the next link among those that leave the node."""
    place: Any
    """Place of a link among those that leave its first node."""
    length: Any
    """[m]."""
    wave: Any
    """Time of the backward wave from end to end [s]."""
    storage: Any
    """Vehicles on the jammed link, kappa, at least 1."""
    ring: Any
    """Where the ring of a link begins, shape (links + 1,)."""
    priority: Any
    """Share of a link, and after them of each origin's queue, where several wait for one link, shape (2 links,)."""


class Vary(NamedTuple):
    """What events change, shape (links,)."""

    speed: Any
    """Of free flow [m/s]."""
    headway: Any
    """Least time between two vehicles, 1 / capacity [s]; infinite for none."""
    closed: Any
    odometer: Any
    """Way that the free wave made until `since` [m]."""
    since: Any


class Trips(NamedTuple):
    """Vehicles by departure, shape (n,) unless said."""

    departure: Any
    origin: Any
    destination: Any
    """Nodes."""
    zone: Any
    """Row of the destination in the tables of next links."""
    path: Any
    """Where the own path of a vehicle begins in `links`, shape (n + 1,); one without follows the tables."""
    links: Any


class State(NamedTuple):
    """Where everything is."""

    heap: Any
    slot: Any
    key: Any
    """Events by time: R of a link, Q after all of them, S after those, shape (3 links,)."""
    number: Any
    """Events in the heap, vehicles departed, passages of links, shape (3,)."""
    entered: Any
    left: Any
    last_in: Any
    last_out: Any
    vehicle: Any
    entry: Any
    entry_time: Any
    exit_time: Any
    """Rings: vehicle, odometer and time at entry, time of exit."""
    queue_first: Any
    queue_last: Any
    queue_next: Any
    """Queues at origins: first and last vehicle for each first link, and who stands behind a vehicle."""
    wait_first: Any
    wait_next: Any
    waits_for: Any
    """Who waits for a link, as a list; what each link's and queue's head waits for, -1 for nothing, shape (2 links,)."""
    turn_time: Any
    queue_time: Any
    served: Any
    """Virtual times: of turns, of queues at origins, and of the links they wait for."""
    status: Any
    arrival: Any
    step: Any
    informed: Any
    """Vehicles: what they do, when they were there, links of the own path behind them, whether they know of a closure."""
    passed: Any
    spent: Any
    """Vehicles that left a link since this was last emptied, and their time on it [s]."""


# ---------------------------------------------------------------- events by time: a 4-ary heap with places


@_inlined
def _rise(s, at):
    item = s.heap[at]
    key = s.key[item]
    while at > 0:
        parent = (at - 1) // 4
        if s.key[s.heap[parent]] <= key:
            break
        s.heap[at] = s.heap[parent]
        s.slot[s.heap[at]] = at
        at = parent
    s.heap[at] = item
    s.slot[item] = at


@_inlined
def _sink(s, at):
    item = s.heap[at]
    key, size = s.key[item], s.number[0]
    while True:
        child = 4 * at + 1
        if child >= size:
            break
        least = child
        for other in range(child + 1, min(child + 4, size)):
            if s.key[s.heap[other]] < s.key[s.heap[least]]:
                least = other
        if s.key[s.heap[least]] >= key:
            break
        s.heap[at] = s.heap[least]
        s.slot[s.heap[at]] = at
        at = least
    s.heap[at] = item
    s.slot[item] = at


@_inlined
def _drop(s, item):
    at = s.slot[item]
    if at < 0:
        return
    s.slot[item] = -1
    s.number[0] -= 1
    size = s.number[0]
    if at < size:
        moved = s.heap[size]
        s.heap[at] = moved
        s.slot[moved] = at
        if s.key[moved] < s.key[item]:
            _rise(s, at)
        else:
            _sink(s, at)


@_inlined
def _plan(s, item, time):
    """Set the time of an event; one that never comes is taken out."""
    if not time < np.inf:
        _drop(s, item)
        return
    before = s.key[item]
    s.key[item] = time
    if s.slot[item] < 0:
        s.heap[s.number[0]] = item
        s.slot[item] = s.number[0]
        s.number[0] += 1
        _rise(s, s.slot[item])
    elif time < before:
        _rise(s, s.slot[item])
    elif time > before:
        _sink(s, s.slot[item])


# ---------------------------------------------------------------- when a link gives and takes


@_inlined
def _ready(r, c, s, a):
    """Return when the head of a link may leave it."""
    if s.entered[a] == s.left[a] or not c.headway[a] < np.inf:
        return np.inf
    at = r.ring[a] + s.left[a] % (r.ring[a + 1] - r.ring[a])
    way = s.entry[at] + r.length[a] - c.odometer[a]
    if way <= 0.0:
        arrives = c.since[a]
    elif c.speed[a] > 0.0:
        arrives = c.since[a] + way / c.speed[a]
    else:
        return np.inf
    return max(arrives, s.last_out[a] + c.headway[a])


@_inlined
def _room(r, c, s, a):
    """Return when a link may take one more vehicle, infinite where that is not known yet or it is closed."""
    if c.closed[a] or not c.headway[a] < np.inf:
        return np.inf
    soonest = s.last_in[a] + c.headway[a]
    beyond = s.entered[a] + 1 - r.storage[a]
    if beyond > 0.0:
        whole = np.int64(np.floor(beyond))
        part = beyond - whole
        size = r.ring[a + 1] - r.ring[a]
        if s.left[a] < whole + (1 if part > 0.0 else 0):
            return np.inf
        if whole >= 1:
            out = s.exit_time[r.ring[a] + (whole - 1) % size]
            if part > 0.0:  # a link holds no whole number of vehicles
                out += part * (s.exit_time[r.ring[a] + whole % size] - out)
            soonest = max(soonest, out + r.wave[a])
    return soonest


@_inlined
def _spent_headway(last, headway, time):
    """Return the instant from which the next headway counts: one headway of delay is made good, not more."""
    return max(last + headway, time - headway)


# ---------------------------------------------------------------- one vehicle goes on


@_inlined
def _choice(c, t, s, v, node, table, detour, behaviour):
    """Return the next link of a vehicle at a node, -1 for none, -2 where it is there."""
    if t.path[v + 1] > t.path[v] and not s.informed[v]:
        if s.step[v] >= t.path[v + 1] - t.path[v]:
            return -2
        a = t.links[t.path[v] + s.step[v]]
    else:
        if node == t.destination[v]:
            return -2
        a = detour[t.zone[v], node] if s.informed[v] else table[t.zone[v], node]
    if a >= 0 and c.closed[a] and behaviour == LEARN and not s.informed[v]:
        s.informed[v] = True
        a = detour[t.zone[v], node]
    return a


@_inlined
def _head(r, t, s, e):
    """Return the vehicle at the head of a link or a queue, and the node it stands at."""
    links = r.length.shape[0]
    if e < links:
        return s.vehicle[r.ring[e] + s.left[e] % (r.ring[e + 1] - r.ring[e])], r.head[e]
    v = s.queue_first[e - links]
    return v, t.origin[v]


@_inlined
def _leave(r, c, s, e, now):
    """Take the head off a link or a queue, and plan what follows from that."""
    links = r.length.shape[0]
    if e < links:
        at = r.ring[e] + s.left[e] % (r.ring[e + 1] - r.ring[e])
        s.exit_time[at] = now
        s.passed[e] += 1
        s.spent[e] += now - s.entry_time[at]
        s.left[e] += 1
        s.number[2] += 1
        s.last_out[e] = _spent_headway(s.last_out[e], c.headway[e], now)
        _plan(s, e, _ready(r, c, s, e))
        if s.wait_first[e] >= 0 and s.slot[2 * links + e] < 0:
            room = _room(r, c, s, e)
            if room < np.inf:
                _plan(s, 2 * links + e, max(room, now) + _AFTER)
    else:
        a = e - links
        s.queue_first[a] = s.queue_next[s.queue_first[a]]
        if s.queue_first[a] < 0:
            s.queue_last[a] = -1
        else:
            _plan(s, e, now)


@_inlined
def _enter(r, c, s, v, a, now):
    """Put a vehicle on a link."""
    at = r.ring[a] + s.entered[a] % (r.ring[a + 1] - r.ring[a])
    s.vehicle[at] = v
    s.entry[at] = c.odometer[a] + (now - c.since[a]) * c.speed[a]
    s.entry_time[at] = now
    s.entered[a] += 1
    s.last_in[a] = _spent_headway(s.last_in[a], c.headway[a], now)
    s.status[v] = ON_THE_WAY
    s.step[v] += 1
    if s.entered[a] - s.left[a] == 1:
        _plan(s, a, _ready(r, c, s, a))


@_inlined
def _wait(r, c, s, e, a, now):
    """Let a head wait for a link."""
    links = r.length.shape[0]
    s.wait_next[e] = s.wait_first[a]
    s.wait_first[a] = e
    s.waits_for[e] = a
    if e < links:
        turn = r.turn[e] + r.place[a]
        s.turn_time[turn] = max(s.turn_time[turn], s.served[a])
    else:
        s.queue_time[e - links] = max(s.queue_time[e - links], s.served[a])
    if s.slot[2 * links + a] < 0:
        room = _room(r, c, s, a)
        if room < np.inf:
            _plan(s, 2 * links + a, max(room, now) + _AFTER)


@_inlined
def _try(r, c, t, s, e, now, table, detour, behaviour):
    """Let the head of a link or a queue go on if it may, or wait."""
    v, node = _head(r, t, s, e)
    a = _choice(c, t, s, v, node, table, detour, behaviour)
    if a < 0:
        _leave(r, c, s, e, now)
        s.status[v] = ARRIVED if a == -2 else NO_ROUTE
        s.arrival[v] = now
    elif s.wait_first[a] < 0 and _room(r, c, s, a) <= now:
        _enter(r, c, s, v, a, now)
        _leave(r, c, s, e, now)
    else:
        _wait(r, c, s, e, a, now)


@_inlined
def _serve(r, c, t, s, a, now):
    """Let the one whose turn it is enter a link that others wait for."""
    links = r.length.shape[0]
    room = _room(r, c, s, a)
    if room > now:
        _plan(s, 2 * links + a, room + _AFTER)
        return
    best, before, least = -1, -1, np.inf
    e, last = s.wait_first[a], -1
    while e >= 0:
        mine = s.turn_time[r.turn[e] + r.place[a]] if e < links else s.queue_time[e - links]
        if mine < least or (mine == least and e < best):
            best, before, least = e, last, mine
        last = e
        e = s.wait_next[e]
    if before < 0:
        s.wait_first[a] = s.wait_next[best]
    else:
        s.wait_next[before] = s.wait_next[best]
    s.waits_for[best] = -1
    s.served[a] = least
    if best < links:
        s.turn_time[r.turn[best] + r.place[a]] = least + 1.0 / r.priority[best]
    else:
        s.queue_time[best - links] = least + 1.0 / r.priority[best]
    v, _ = _head(r, t, s, best)
    _enter(r, c, s, v, a, now)
    _leave(r, c, s, best, now)
    if s.wait_first[a] >= 0 and s.slot[2 * links + a] < 0:
        room = _room(r, c, s, a)
        if room < np.inf:
            _plan(s, 2 * links + a, max(room, now) + _AFTER)


@_jit
def run(until, r, c, t, s, table, detour, behaviour):
    """Move all vehicles on to a time [s].

    Parameters
    ----------
    table, detour : shape (zones, nodes)
        Next link on the way to a zone, -1 for none: as drivers believe, and as those who know of the closures do.
    behaviour
        `UNAWARE` or `LEARN`.
    """
    links, trips = r.length.shape[0], t.departure.shape[0]
    while True:
        event = s.key[s.heap[0]] if s.number[0] > 0 else np.inf
        departs = t.departure[s.number[1]] if s.number[1] < trips else np.inf
        if min(event, departs) > until:
            return
        if departs <= event:
            v = s.number[1]
            s.number[1] += 1
            a = _choice(c, t, s, v, t.origin[v], table, detour, behaviour)
            if a < 0:
                s.status[v] = ARRIVED if a == -2 else NO_ROUTE
                s.arrival[v] = departs
                continue
            s.queue_next[v] = -1
            if s.queue_last[a] >= 0:
                s.queue_next[s.queue_last[a]] = v
            else:
                s.queue_first[a] = v
                _plan(s, links + a, departs)
            s.queue_last[a] = v
            continue
        item = s.heap[0]
        _drop(s, item)
        if item < 2 * links:
            _try(r, c, t, s, item, event, table, detour, behaviour)
        else:
            _serve(r, c, t, s, item - 2 * links, event)


@_jit
def change(now, some, speed, headway, closed, r, c, s):
    """Give links another speed [m/s], headway [s] and state at an instant, shape (n,); vehicles on them go on from where they are."""
    for k in range(some.shape[0]):
        _change(now, some[k], speed[k], headway[k], closed[k], r, c, s)


@_inlined
def _change(now, a, speed, headway, closed, r, c, s):
    links = r.length.shape[0]
    c.odometer[a] += (now - c.since[a]) * c.speed[a]
    c.since[a] = now
    old = c.headway[a]
    if old != headway:  # what was waited of the old headway counts for the new one
        for last in (s.last_in, s.last_out):
            share = min(max((now - last[a]) / old, 0.0), 1.0) if old < np.inf else 0.0
            last[a] = now - (share * headway if headway < np.inf else 0.0)
    c.speed[a], c.headway[a], c.closed[a] = speed, headway, closed
    if s.waits_for[a] < 0:
        ready = _ready(r, c, s, a)
        _plan(s, a, max(ready, now))
    _drop(s, 2 * links + a)
    if s.wait_first[a] >= 0:
        room = _room(r, c, s, a)
        if room < np.inf:
            _plan(s, 2 * links + a, max(room, now) + _AFTER)


@_jit
def decide_again(now, r, s):
    """Let every head that waits choose its next link anew: the tables have changed."""
    links = r.length.shape[0]
    for a in range(links):
        s.wait_first[a] = -1
        _drop(s, 2 * links + a)
    for e in range(2 * links):
        if s.waits_for[e] >= 0:
            s.waits_for[e] = -1
            _plan(s, e, now)
