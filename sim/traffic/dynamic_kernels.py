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
    "ARRIVED", "CIRCLES", "LEARN", "NO_ROUTE", "ON_THE_WAY", "ORIGIN_CLOSED", "UNAWARE", "WAITING",
    "Roads", "Rules", "State", "Trips", "Vary", "change", "decide_again", "held_up", "late", "places", "run",
]  # fmt: skip

WAITING, ON_THE_WAY, ARRIVED, NO_ROUTE, ORIGIN_CLOSED, CIRCLES = 0, 1, 2, 3, 4, 5
"""What a vehicle does: not departed or in the queue at its origin; on a link; there; taken off, for no way leads on, or at its origin until
one does; there until a link out of it opens; taken off, for it passed more links than anybody needs."""
UNAWARE, LEARN = 0, 1
"""What a driver before a closed link does: waits; takes the detour from there."""
_LATE = 0.05  # single precision keeps an instant after a week to 0.03 s: who is later than this is late [s]
_AFTER = 1e-7  # of all heads that are ready at an instant, the link they wait for hears before it chooses [s]
_SOON = 1e-6  # a green that begins this soon has begun: rounding must not plan the same instant again [s]

# Nothing is allocated here, and counting references to forty arrays at every call would take most of the time.
_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
_inlined: Any = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)


class Roads(NamedTuple):
    """What does not change: shape (links,) unless said."""

    state: Any
    """Row of the tables of next links for whoever stands at the end of a link: the node it enters, or a row of its own."""
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
    free: Any
    """Time on the empty link [s], as it is at the start."""
    ring: Any
    """Where the ring of a link begins, shape (links + 1,): places for kappa and two more, or for all vehicles if these are fewer."""
    priority: Any
    """Share of a link, and after them of each origin's queue, where several wait for one link, shape (2 links,)."""
    first: Any
    out: Any
    """Where the links that leave each node begin, shape (nodes + 1,), and these links."""


class Rules(NamedTuple):
    """What holds for turns; arrays are empty where no turn knows such a rule.

    A turn goes from a link into a road: into any of its lanes, which are links of their own; it has the place of the first of them.
    """

    place: Any
    """Place of the first lane of the road that a link is a lane of, shape (links,)."""
    lane_first: Any
    lane: Any
    """Where the lanes of the road of each link begin, shape (links + 1,), and these links."""
    lane_may: Any
    may: Any
    """Whether a turn into a lane, and into any lane of a road, is allowed, shape (turns,)."""
    green_first: Any
    cycle: Any
    green_from: Any
    green_until: Any
    """Where the greens of each turn begin, shape (turns + 1,), and these [s]."""
    foe_first: Any
    foe: Any
    """Where those begin that a turn gives way to, shape (turns + 1,), and these turns."""
    crossed: Any
    """When each turn was last made [s], shape (turns,)."""
    clock: Any
    gap: Any
    """Second of the day at the start of the run, and the least time after a foe [s], shape ()."""
    most: Any
    """Links that nobody passes more of."""


class Vary(NamedTuple):
    """What events change, shape (links,) unless said. A class is a row of those whom all changes treat alike."""

    speed: Any
    """Of free flow [m/s], shape (classes * links,)."""
    headway: Any
    """Least time between two vehicles, 1 / capacity [s]; infinite for none."""
    closed: Any
    """Bit k: closed to class k."""
    odometer: Any
    """Way that the free wave made until `since` [m], shape (classes * links,)."""
    since: Any


class Trips(NamedTuple):
    """Vehicles by departure, shape (n,) unless said."""

    departure: Any
    origin: Any
    """Nodes."""
    zone: Any
    """Row in the tables of next links: of the destination, for the class."""
    path: Any
    """Where the own path of a vehicle begins in `links`, shape (n + 1,), or (0,) where nobody has one; whoever has none follows tables."""
    links: Any
    stop: Any
    """How long the vehicle stands on each link of its path [s], or shape (0,)."""
    row: Any
    """Class of each vehicle, or shape (0,) where there is but one."""


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
    mark: Any
    entry_time: Any
    """Rings: vehicle; odometer at entry and, once it has left, time of exit; time of entry."""
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
    begin: Any
    arrival: Any
    step: Any
    informed: Any
    """Vehicles: what they do, when they entered the first link and were there, links passed, whether they know of a closure."""
    passed: Any
    spent: Any
    """Vehicles that left a link since this was last emptied, and their time on it [s]."""
    stay: Any
    """Instants at which vehicles left each link, summed, less those at which they entered it [s]."""
    early: Any
    """Time that vehicles took less than on the empty link at the start, for its speed was raised, summed [s]."""


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
def _row(t, v):
    return np.int64(t.row[v]) if t.row.shape[0] > 0 else 0


@_inlined
def _shut(c, t, v, a):
    """Return whether a link is closed to a vehicle."""
    return c.closed[a] != 0 and (c.closed[a] >> _row(t, v)) & 1 == 1


@_inlined
def _barred(c, t, v, a):
    """Return whether a link is closed to a vehicle, or carries nothing."""
    return not c.headway[a] < np.inf or _shut(c, t, v, a)


@_inlined
def _ready(r, c, t, s, a):
    """Return when the head of a link may leave it."""
    if s.entered[a] == s.left[a] or not c.headway[a] < np.inf:
        return np.inf
    at = r.ring[a] + s.left[a] % (r.ring[a + 1] - r.ring[a])
    own = _row(t, s.vehicle[at]) * r.length.shape[0] + a
    way = s.mark[at] + r.length[a] - c.odometer[own]
    if way <= 0.0:
        arrives = c.since[a]
    elif c.speed[own] > 0.0:
        arrives = c.since[a] + way / c.speed[own]
    else:
        return np.inf
    return max(arrives, s.last_out[a] + c.headway[a])


@_inlined
def _room(r, c, s, a):
    """Return when a link may take one more vehicle, infinite where that is not known yet."""
    if not c.headway[a] < np.inf:
        return np.inf
    soonest = s.last_in[a] + c.headway[a]
    beyond = s.entered[a] + 1 - r.storage[a]
    size = r.ring[a + 1] - r.ring[a]
    if beyond > 0.0 and r.storage[a] <= size - 2:  # a link that could hold all vehicles is never full
        whole = np.int64(np.floor(beyond))
        part = beyond - whole
        if s.left[a] < whole + (1 if part > 0.0 else 0):
            return np.inf
        if whole >= 1:
            out = s.mark[r.ring[a] + (whole - 1) % size]
            if part > 0.0:  # a link holds no whole number of vehicles
                out += part * (s.mark[r.ring[a] + whole % size] - out)
            soonest = max(soonest, out + r.wave[a])
    return soonest


@_inlined
def _opens(r, c, s, x, e, a, now):
    """Return when the head of a link may turn into a road: with the next green, and a gap after whoever it gives way to."""
    turn = r.turn[e] + x.place[a]
    opens = now
    if x.green_first.shape[0] > 0 and x.green_first[turn + 1] > x.green_first[turn]:
        wait = np.inf
        for k in range(x.green_first[turn], x.green_first[turn + 1]):
            cycle, begin = x.cycle[k], x.green_from[k]
            phase = (now + x.clock - begin) % cycle
            wait = 0.0 if phase < x.green_until[k] - begin or cycle - phase < _SOON else min(wait, cycle - phase)
        opens += wait
    if x.foe_first.shape[0] > 0:
        for k in range(x.foe_first[turn], x.foe_first[turn + 1]):
            opens = max(opens, x.crossed[x.foe[k]] + x.gap)
    if opens > now:  # who starts from rest makes no headway good
        s.last_out[e] = max(s.last_out[e], opens - c.headway[e])
    return opens


@_inlined
def _spent_headway(last, headway, time):
    """Return the instant from which the next headway counts: one headway of delay is made good, not more."""
    return max(last + headway, time - headway)


# ---------------------------------------------------------------- one vehicle goes on


@_inlined
def _lane(r, c, t, s, x, v, e, a, onward):
    """Return the emptiest open lane of the road of link `a` that leads on to `onward`; any open one where none does, else `a`."""
    links = r.length.shape[0]
    best, least = a, np.inf
    for k in range(x.lane_first[a], x.lane_first[a + 1]):
        m = x.lane[k]
        if _barred(c, t, v, m) or (0 <= e < links and x.lane_may.shape[0] > 0 and not x.lane_may[r.turn[e] + r.place[m]]):
            continue
        load = (s.entered[m] - s.left[m]) / r.storage[m]
        if onward >= 0 and x.may.shape[0] > 0 and not x.may[r.turn[m] + x.place[onward]]:
            load += 1e9
        if load < least:
            best, least = m, load
    return best


@_inlined
def _from_table(r, c, t, s, x, v, e, table, state):
    """Return the next link of a vehicle by a table, in the lane that leads on."""
    a = np.int64(table[t.zone[v], state])
    if x.lane_first.shape[0] == 0:
        return a
    if a == -1 and 0 <= e < r.length.shape[0]:  # whoever is caught in a lane changes to the one beside it
        for k in range(x.lane_first[e], x.lane_first[e + 1]):
            if a == -1:
                a = np.int64(table[t.zone[v], r.state[x.lane[k]]])
    if a >= 0 and x.lane_first[a + 1] - x.lane_first[a] > 1:
        a = _lane(r, c, t, s, x, v, e, a, np.int64(table[t.zone[v], r.state[a]]))
    return a


@_inlined
def _choice(r, c, t, s, x, v, e, state, table, detour, behaviour):
    """Return the next link of a vehicle at the head of `e`, -1 for none, -2 where it is there."""
    if t.path.shape[0] > 0 and t.path[v + 1] > t.path[v] and not s.informed[v]:
        at, end = t.path[v] + s.step[v], t.path[v + 1]
        if at >= end:
            return -2
        a = t.links[at]
        if x.lane_first.shape[0] > 0:
            a = _lane(r, c, t, s, x, v, e, a, t.links[at + 1] if at + 1 < end else np.int64(-2))
    elif s.informed[v]:
        a = _from_table(r, c, t, s, x, v, e, detour, state)
    else:
        a = _from_table(r, c, t, s, x, v, e, table, state)
    if a >= 0 and behaviour == LEARN and _barred(c, t, v, a) and not s.informed[v]:
        s.informed[v] = True
        a = _from_table(r, c, t, s, x, v, e, detour, state)
    return a


@_inlined
def _head(r, t, s, e):
    """Return the vehicle at the head of a link or a queue, and the state it stands in."""
    links = r.length.shape[0]
    if e < links:
        return np.int64(s.vehicle[r.ring[e] + s.left[e] % (r.ring[e + 1] - r.ring[e])]), np.int64(r.state[e])
    v = np.int64(s.queue_first[e - links])
    return v, np.int64(t.origin[v])


@_inlined
def _supply(r, c, s, a, now):
    """Plan when a link that others wait for takes the next one."""
    links = r.length.shape[0]
    if s.wait_first[a] >= 0 and s.slot[2 * links + a] < 0:
        room = _room(r, c, s, a)
        if room < np.inf:
            _plan(s, 2 * links + a, max(room, now) + _AFTER)


@_inlined
def _leave(r, c, t, s, e, now):
    """Take the head off a link or a queue, and plan what follows from that."""
    links = r.length.shape[0]
    if e < links:
        at = r.ring[e] + s.left[e] % (r.ring[e + 1] - r.ring[e])
        s.mark[at] = now
        s.passed[e] += 1
        took = now - s.entry_time[at]
        s.spent[e] += took
        if r.free[e] - took > _LATE:
            s.early[e] += r.free[e] - took
        s.stay[e] += now
        s.left[e] += 1
        s.number[2] += 1
        s.last_out[e] = _spent_headway(s.last_out[e], c.headway[e], now)
        _plan(s, e, _ready(r, c, t, s, e))
        _supply(r, c, s, e, now)
    else:
        a = e - links
        s.queue_first[a] = s.queue_next[s.queue_first[a]]
        if s.queue_first[a] < 0:
            s.queue_last[a] = -1
        else:
            _plan(s, e, now)


@_inlined
def _enter(r, c, t, s, x, v, e, a, now):
    """Put a vehicle that comes from the head of `e` on a link."""
    links = r.length.shape[0]
    at = r.ring[a] + s.entered[a] % (r.ring[a + 1] - r.ring[a])
    own = _row(t, v) * links + a
    s.vehicle[at] = v
    s.mark[at] = c.odometer[own] + (now - c.since[a]) * c.speed[own]
    if t.stop.shape[0] > 0 and t.path[v + 1] > t.path[v] and not s.informed[v]:
        s.mark[at] += t.stop[t.path[v] + s.step[v]] * c.speed[own]
    s.entry_time[at] = now
    s.stay[a] -= now
    s.entered[a] += 1
    s.last_in[a] = _spent_headway(s.last_in[a], c.headway[a], now)
    if s.status[v] == WAITING:
        s.status[v] = ON_THE_WAY
        s.begin[v] = now
    s.step[v] += 1
    if x.crossed.shape[0] > 0 and e < links:
        x.crossed[r.turn[e] + x.place[a]] = now
    if s.entered[a] - s.left[a] == 1:
        _plan(s, a, _ready(r, c, t, s, a))


@_inlined
def _wait(r, c, t, s, v, e, a, now):
    """Let a head wait for a link; who is shut out of it blocks only its own queue, until something changes."""
    links = r.length.shape[0]
    s.waits_for[e] = a
    if _shut(c, t, v, a):
        return
    s.wait_next[e] = s.wait_first[a]
    s.wait_first[a] = e
    if e < links:
        turn = r.turn[e] + r.place[a]
        s.turn_time[turn] = max(s.turn_time[turn], s.served[a])
    else:
        s.queue_time[e - links] = max(s.queue_time[e - links], s.served[a])
    _supply(r, c, s, a, now)


@_inlined
def _end(r, c, t, s, v, a, now):
    """Take a vehicle off: it is there, or has no way on; at its origin, it may have one later."""
    s.arrival[v] = now
    s.status[v] = ARRIVED if a == -2 else NO_ROUTE
    if a == -1 and s.step[v] == 0:
        open_ = False
        for k in range(r.first[t.origin[v]], r.first[t.origin[v] + 1]):
            open_ = open_ or not _barred(c, t, v, r.out[k])
        if not open_:
            s.status[v] = ORIGIN_CLOSED


@_inlined
def _depart(r, c, t, s, x, v, now, table, detour, behaviour):
    """Put a vehicle into the queue before its first link, if it has a way."""
    links = r.length.shape[0]
    a = _choice(r, c, t, s, x, v, np.int64(-1), np.int64(t.origin[v]), table, detour, behaviour)
    if a < 0:
        _end(r, c, t, s, v, a, now)
        return
    s.status[v] = WAITING
    s.queue_next[v] = -1
    if s.queue_last[a] >= 0:
        s.queue_next[s.queue_last[a]] = v
    else:
        s.queue_first[a] = v
        _plan(s, links + a, now)
    s.queue_last[a] = v


@_inlined
def _try(r, c, t, s, x, e, now, table, detour, behaviour):
    """Let the head of a link or a queue go on if it may, or wait."""
    v, state = _head(r, t, s, e)
    a = _choice(r, c, t, s, x, v, e, state, table, detour, behaviour)
    if a < 0:
        _leave(r, c, t, s, e, now)
        _end(r, c, t, s, v, a, now)
        return
    if s.step[v] >= x.most:
        _leave(r, c, t, s, e, now)
        s.status[v], s.arrival[v] = CIRCLES, now
        return
    if x.place.shape[0] > 0 and e < r.length.shape[0]:
        opens = _opens(r, c, s, x, e, a, now)
        if opens > now:
            _plan(s, e, opens)
            return
    if s.wait_first[a] < 0 and not _shut(c, t, v, a) and _room(r, c, s, a) <= now:
        _enter(r, c, t, s, x, v, e, a, now)
        _leave(r, c, t, s, e, now)
    else:
        _wait(r, c, t, s, v, e, a, now)


@_inlined
def _next_waiter(r, s, a):
    """Take the one whose turn it is off those who wait for a link."""
    links = r.length.shape[0]
    best, before, least = np.int64(-1), np.int64(-1), np.inf
    e, last = s.wait_first[a], np.int64(-1)
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
    return best, least


@_inlined
def _serve(r, c, t, s, x, a, now):
    """Let the one whose turn it is enter a link that others wait for."""
    links = r.length.shape[0]
    room = _room(r, c, s, a)
    if room > now:
        _plan(s, 2 * links + a, room + _AFTER)
        return
    best, least = _next_waiter(r, s, a)
    if x.place.shape[0] > 0:
        while best < links:
            opens = _opens(r, c, s, x, best, a, now)
            if opens <= now:
                break
            _plan(s, best, opens)  # its green is over: it comes again with the next one
            if s.wait_first[a] < 0:
                return
            best, least = _next_waiter(r, s, a)
    s.served[a] = least
    if best < links:
        s.turn_time[r.turn[best] + r.place[a]] = least + 1.0 / r.priority[best]
    else:
        s.queue_time[best - links] = least + 1.0 / r.priority[best]
    v, _ = _head(r, t, s, best)
    _enter(r, c, t, s, x, v, best, a, now)
    _leave(r, c, t, s, best, now)
    _supply(r, c, s, a, now)


@_jit
def run(until, r, c, t, s, x, table, detour, behaviour):
    """Move all vehicles on to a time [s].

    Parameters
    ----------
    table, detour : shape (destinations and classes, states)
        Next link on the way to a destination, -1 for none, -2 where it is: as drivers believe, and as those who know of closures do.
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
            _depart(r, c, t, s, x, v, departs, table, detour, behaviour)
            continue
        item = np.int64(s.heap[0])
        _drop(s, item)
        if item < 2 * links:
            _try(r, c, t, s, x, item, event, table, detour, behaviour)
        else:
            _serve(r, c, t, s, x, item - 2 * links, event)


@_jit
def change(now, some, speed, headway, closed, r, c, t, s):
    """Give links another speed [m/s], shape (classes, n), headway [s] and closure, shape (n,); vehicles go on from where they are."""
    for k in range(some.shape[0]):
        _change(now, some[k], speed[:, k], headway[k], closed[k], r, c, t, s)


@_inlined
def _change(now, a, speed, headway, closed, r, c, t, s):
    links = r.length.shape[0]
    for row in range(speed.shape[0]):
        own = row * links + a
        c.odometer[own] += (now - c.since[a]) * c.speed[own]
        c.speed[own] = speed[row]
    c.since[a] = now
    old = c.headway[a]
    if old != headway:  # what was waited of the old headway counts for the new one
        for last in (s.last_in, s.last_out):
            share = min(max((now - last[a]) / old, 0.0), 1.0) if old < np.inf else 0.0
            last[a] = now - (share * headway if headway < np.inf else 0.0)
    c.headway[a], c.closed[a] = headway, closed
    if s.waits_for[a] < 0:
        _plan(s, a, max(_ready(r, c, t, s, a), now))


@_jit
def decide_again(now, r, c, t, s, x, table, detour, behaviour):
    """Let every head that waits choose its next link anew, and who had no way at its origin: the tables have changed, or what is closed.

    On a link that carries nothing it stays until that changes.
    """
    links = r.length.shape[0]
    for a in range(links):
        s.wait_first[a] = -1
        _drop(s, 2 * links + a)
    for e in range(2 * links):
        if s.waits_for[e] >= 0:
            s.waits_for[e] = -1
            if e >= links or c.headway[e] < np.inf:
                _plan(s, e, now)
    for v in range(s.number[1]):
        if s.step[v] == 0 and (s.status[v] == NO_ROUTE or s.status[v] == ORIGIN_CLOSED):
            _depart(r, c, t, s, x, v, now, table, detour, behaviour)


@_jit
def places(r, s, place):
    """Write where each vehicle is that is on a link or, plus the number of links, in the queue before one."""
    links = r.length.shape[0]
    for a in range(links):
        size = r.ring[a + 1] - r.ring[a]
        for m in range(s.left[a], s.entered[a]):
            place[s.vehicle[r.ring[a] + m % size]] = a
        v = np.int64(s.queue_first[a])
        while v >= 0:
            place[v] = links + a
            v = np.int64(s.queue_next[v])


@_jit
def late(now, r, s, queue, lost):
    """Write how many vehicles on each link would have left it by now had nobody held them up, and the time lost on it so far [veh s].

    Vehicles that have left lost what they took beyond the time on the empty link, those that are late what they are late; nobody wins time.
    """
    for a in range(r.length.shape[0]):
        size = r.ring[a + 1] - r.ring[a]
        here, behind, waiting = 0.0, 0.0, 0
        for m in range(s.left[a], s.entered[a]):
            entry = s.entry_time[r.ring[a] + m % size]
            here += entry
            if now - entry - r.free[a] > _LATE:
                waiting += 1
                behind += now - entry - r.free[a]
        queue[a] = waiting
        lost[a] = max(s.stay[a] + here - r.free[a] * s.left[a] + s.early[a] + behind, 0.0)


@_jit
def held_up(r, c, t, s, shut, full):
    """Write which heads of links and queues are held up, shape (2 links,).

    Shut out of what they wait for, or on a link that nothing leaves; waiting for a link that is full until its own head leaves.
    """
    links = r.length.shape[0]
    for e in range(2 * links):
        if (e < links and s.entered[e] == s.left[e]) or (e >= links and s.queue_first[e - links] < 0):
            continue
        v, _ = _head(r, t, s, e)
        a = s.waits_for[e]
        shut[e] = a >= 0 and _barred(c, t, v, a)
        full[e] = a >= 0 and not shut[e] and not _room(r, c, s, a) < np.inf
        if e < links and not _ready(r, c, t, s, e) < np.inf:
            shut[e] = True
