"""Loops of the user equilibrium: shortest paths from one origin, and gradient projection on stored paths.

Gradient projection after Jayakrishnan et al. (1994): every pair of zones keeps the paths it uses; flow moves from each dearer path to the
cheapest one by a Newton step on the links in which the two differ, and the next path already sees the changed costs. A link holds
`(kind, time, b, power, capacity, fixed)`: what it costs is `cost`, and nowhere else.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = [
    "BPR",
    "CONICAL",
    "apart",
    "cost",
    "costs",
    "load",
    "nearest",
    "next_links",
    "objective",
    "polish",
    "reached_in",
    "room_for",
    "shortest",
    "sweep",
]

BPR, CONICAL = 0, 1
"""Kinds of cost: Bureau of Public Roads (constant where b or power is 0), and Spiess's conical function (b holds his alpha)."""
_SAME = 1e-14
"""Relative difference of cost below which a stored path is the shortest one."""

_ALL, _LITTLE = 5, 0.03
"""Every so many rounds all pairs have their turn, in between those whose excess is no less than this share of the mean."""

_jit: Any = numba.njit(cache=True, nogil=True, error_model="numpy")
_inlined: Any = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False, forceinline=True)  # allocates nothing, counts nothing


@_inlined
def cost(kind, time, b, power, capacity, fixed, flow):
    """Return what a link costs at a flow, and how fast that rises with the flow."""
    if kind == CONICAL:
        beta = (2.0 * b - 1.0) / (2.0 * b - 2.0)
        free = 1.0 - flow / capacity
        root = np.sqrt(b * b * free * free + beta * beta)
        return fixed + time * (2.0 + root - b * free - beta), time * b * (1.0 - b * free / root) / capacity
    if b == 0.0 or power == 0.0 or time == 0.0:
        return fixed + time * (1.0 + (b if power == 0.0 else 0.0)), 0.0
    ratio = flow / capacity
    if power == 4.0:
        cube = ratio * ratio * ratio
        return fixed + time * (1.0 + b * cube * ratio), time * b * 4.0 * cube / capacity
    if power == 1.0:
        return fixed + time * (1.0 + b * ratio), time * b / capacity
    raised = ratio ** (power - 1.0)
    return fixed + time * (1.0 + b * raised * ratio), time * b * power * raised / capacity


@_jit
def costs(links, flow, found, slope):
    """Write cost and slope of every link at its flow."""
    kind, time, b, power, capacity, fixed = links
    for a in range(flow.shape[0]):
        found[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], flow[a])


@_jit
def objective(links, flow):
    """Return Beckmann's objective: the sum over links of the integral of the cost from no flow to the flow."""
    kind, time, b, power, capacity, fixed = links
    total = 0.0
    for a in range(flow.shape[0]):
        v = flow[a]
        if kind[a] == CONICAL:
            alpha, beta = b[a], (2.0 * b[a] - 1.0) / (2.0 * b[a] - 2.0)
            constant = 2.0 - alpha - beta
            ends = np.empty(2)
            for k, free in enumerate((1.0 - v / capacity[a], 1.0)):
                root = np.sqrt(alpha * alpha * free * free + beta * beta)
                ends[k] = 0.5 * (free * root + beta * beta / alpha * np.arcsinh(alpha * free / beta))
            rising = alpha * v * v / (2.0 * capacity[a])
            total += fixed[a] * v + time[a] * (constant * v + rising + capacity[a] * (ends[1] - ends[0]))
        elif b[a] == 0.0 or power[a] == 0.0:
            total += (fixed[a] + time[a] * (1.0 + (b[a] if power[a] == 0.0 else 0.0))) * v
        else:
            total += fixed[a] * v + time[a] * v * (1.0 + b[a] / (power[a] + 1.0) * (v / capacity[a]) ** power[a])
    return total


@_inlined
def _settle(size, first, arc_link, arc_head, through, weight, limit, distance, by, heap, place, keys):
    """Reach all states from those that the heap holds, nearest first; a 4-ary heap with places, its keys beside one another."""
    while size > 0:
        u, here = heap[0], keys[0]
        if here > limit:
            return
        size -= 1
        place[u] = -2
        if size > 0:  # the last one sinks from the top
            moved, key = heap[size], keys[size]
            at = 0
            while True:
                child = 4 * at + 1
                if child >= size:
                    break
                least, best = child, keys[child]
                for other in range(child + 1, min(child + 4, size)):
                    if keys[other] < best:
                        least, best = other, keys[other]
                if best >= key:
                    break
                heap[at], keys[at] = heap[least], best
                place[heap[at]] = at
                at = least
            heap[at], keys[at] = moved, key
            place[moved] = at
        for k in range(first[u], first[u + 1]):
            v = arc_head[k]
            reached = here + weight[arc_link[k]]
            if reached < distance[v]:
                distance[v] = reached
                by[v] = k
                if not through[v]:  # only an end: nothing is searched from there
                    continue
                at = place[v]
                if at < 0:
                    at = size
                    size += 1
                while at > 0:
                    parent = (at - 1) // 4
                    if keys[parent] <= reached:
                        break
                    heap[at], keys[at] = heap[parent], keys[parent]
                    place[heap[at]] = at
                    at = parent
                heap[at], keys[at] = v, reached
                place[v] = at


@_inlined
def shortest(origin, graph, weight, room):
    """Write the least cost from a node to every state, and the arc by which it comes.

    Parameters
    ----------
    graph : TurnGraph
        `RoadNetwork.turn_graph`. What is not `through` is only an end of paths.
    weight : shape (links,)
        Cost; infinite for a closed link.
    room : distance, by, heap, place, keys
        As `room_for` makes it, for so many states; the first two receive costs and arcs.
    """
    distance, by, heap, place, keys = room
    for v in range(graph.first.shape[0] - 1):
        distance[v] = np.inf
        by[v] = -1
        place[v] = -1
    distance[origin] = 0.0
    heap[0], place[origin], keys[0] = origin, 0, 0.0
    _settle(1, graph.first, graph.arc_link, graph.arc_head, graph.through, weight, np.inf, distance, by, heap, place, keys)


@_inlined
def reached_in(node, extra, distance):
    """Return the state in which a node is reached at least cost."""
    best = node
    for state in range(extra[node], extra[node + 1]):
        if distance[state] < distance[best]:
            best = state
    return best


@_jit
def room_for(n):
    """Return what a search among n states works in: costs, arcs, and a heap of states with their places and keys."""
    return np.empty(n), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n)


@_inlined
def _from_all(sources, first, arc_link, arc_head, through, extra, weight, limit, room):
    """Write the least cost from the nearest of several nodes to every state, and the arc by which it comes.

    At the nodes all states are sources: a search against the arcs ends in any of them, and in one along the arcs the further ones
    offer nothing that the node does not.
    """
    distance, by, heap, place, keys = room
    distance[:], by[:], place[:] = np.inf, -1, -1
    size = 0
    for source in sources:
        for k in range(extra[source] - 1, extra[source + 1]):
            state = k if k >= extra[source] else source
            if distance[state] > 0.0:
                distance[state] = 0.0
                heap[size], place[state], keys[size] = state, size, 0.0
                size += 1
    _settle(size, first, arc_link, arc_head, through, weight, limit, distance, by, heap, place, keys)


@_jit
def nearest(sources, graph, weight, limit):
    """Return the least cost from the nearest of several nodes to every node, and how to follow its way back.

    Parameters
    ----------
    sources : shape (k,)
        Nodes.
    graph : TurnGraph
        `RoadNetwork.turn_graph`.
    weight : shape (links,)
        Cost; infinite for a closed link.
    limit
        Cost beyond which nothing is reached.

    Returns
    -------
    distance : shape (nodes,)
        Infinite where nothing is reached.
    state : shape (nodes,)
        State in which each node is reached; the node itself where no turn is banned.
    by : shape (states,)
        Arc by which each state is reached, -1 at the sources and where nothing is reached. The link is `arc_link[by[state]]`, the state
        before it `arc_tail[by[state]]`.
    """
    states, nodes = graph.first.shape[0] - 1, graph.extra.shape[0] - 1
    room = room_for(states)
    cost_of, by = room[0], room[1]
    _from_all(sources, graph.first, graph.arc_link, graph.arc_head, graph.through, graph.extra, weight, limit, room)
    for v in range(states):
        if cost_of[v] > limit:
            cost_of[v], by[v] = np.inf, -1
    distance, state = np.empty(nodes), np.empty(nodes, np.int32)
    for v in range(nodes):
        state[v] = reached_in(v, graph.extra, cost_of)
        distance[v] = cost_of[state[v]]
    return distance, state, by


@_jit
def next_links(zones, graph, weight):
    """Return the first link of the least-cost way from every state to every zone, shape (zones, states).

    Whoever departs from node v looks up state v; whoever stands at the head of link a looks up `graph.state_of_link[a]`, which is the
    node it leads to unless one of its turns is banned. -1 where no way is, and at the zone itself.

    Parameters
    ----------
    zones : shape (k,)
        Nodes.
    graph : TurnGraph
        `RoadNetwork.turn_graph`.
    weight : shape (links,)
        Cost; infinite for a closed link.
    """
    states = graph.first.shape[0] - 1
    made = np.empty((zones.shape[0], states), np.int32)
    link, tail = graph.arc_link[graph.into], graph.arc_tail[graph.into]
    room = room_for(states)
    by = room[1]
    for z in range(zones.shape[0]):
        _from_all(zones[z : z + 1], graph.first_into, link, tail, graph.through, graph.extra, weight, np.inf, room)
        for v in range(states):
            made[z, v] = link[by[v]] if by[v] >= 0 else -1
    return made


@_jit
def apart(origins, pair_start, destination, graph):
    """Return the pairs of zones that no path joins, whatever it costs."""
    first, arc_head, through, extra = graph.first, graph.arc_head, graph.through, graph.extra
    states = first.shape[0] - 1
    cut = np.zeros(destination.shape[0], np.bool_)
    reached, queue = np.full(states, -1, np.int32), np.empty(states, np.int32)
    for o in range(origins.shape[0]):
        reached[origins[o]], queue[0] = o, origins[o]
        done, known = 0, 1
        while done < known:
            u = queue[done]
            done += 1
            for k in range(first[u], first[u + 1]):
                v = arc_head[k]
                if reached[v] != o:
                    reached[v] = o
                    if through[v]:
                        queue[known] = v
                        known += 1
        for k in range(pair_start[o], pair_start[o + 1]):
            end = destination[k]
            found = reached[end] == o
            for state in range(extra[end], extra[end + 1]):
                found = found or reached[state] == o
            cut[k] = not found
    return cut


@_jit
def _wider(values, needed):
    """Return an array with room for as many values, with those it holds."""
    if needed <= values.shape[0]:
        return values
    made = np.empty(max(needed, 2 * values.shape[0]), values.dtype)
    made[: values.shape[0]] = values
    return made


@_inlined
def _even(first, last, path_start, links, flow, cost_law, load_on, weight, slope, mark, stamp):
    """Move flow between the paths of one pair from the dearer ones to the cheapest; return what it could have saved, and the next stamp."""
    kind, time, b, power, capacity, fixed = cost_law
    best, least = first, np.inf
    for p in range(first, last):
        total = 0.0
        for k in range(path_start[p], path_start[p + 1]):
            total += weight[links[k]]
        if total < least:
            best, least = p, total
    excess = 0.0
    for p in range(first, last):
        if p == best or flow[p] <= 0.0:
            continue
        stamp += 1
        here, there, steep = 0.0, 0.0, 0.0  # costs and slopes of the links in which the two paths differ
        for k in range(path_start[best], path_start[best + 1]):
            mark[links[k]] = stamp
        for k in range(path_start[p], path_start[p + 1]):
            a = links[k]
            if mark[a] == stamp:
                mark[a] = -stamp  # common
            else:
                here += weight[a]
                steep += slope[a]
        for k in range(path_start[best], path_start[best + 1]):
            a = links[k]
            if mark[a] == stamp:
                there += weight[a]
                steep += slope[a]
        gain = here - there
        excess += max(gain, 0.0) * flow[p]
        if gain <= 0.0:
            continue
        moved = flow[p] if steep <= 0.0 else min(flow[p], gain / steep)
        flow[p] -= moved
        flow[best] += moved
        for k in range(path_start[p], path_start[p + 1]):
            a = links[k]
            if mark[a] != -stamp:
                load_on[a] -= moved
                load_on[a] = max(load_on[a], 0.0)
                weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
        for k in range(path_start[best], path_start[best + 1]):
            a = links[k]
            if mark[a] == stamp:
                load_on[a] += moved
                weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
    return excess, stamp


@_jit
def sweep(origins, chosen, still, pair_start, destination, trips, graph, cost_law, closed, load_on, weight, slope, store, least, excess):
    """Give every pair of some origins its shortest path and even out its paths, origin after origin; return the new store of paths.

    Parameters
    ----------
    origins, chosen, pair_start, destination, trips
        Pairs of zones by origin: nodes of the origins, which ones have their turn, where the pairs of each begin, node and trips of each
        pair.
    still
        Move no flow: then all costs are those of the same flows, and what could be saved is exact. No path may be closed.
    graph : TurnGraph
        As in `shortest`.
    load_on, weight, slope : shape (links,)
        Flow, cost and slope of each link, changed in place. A closed link has an infinite cost and no flow.
    store : (path_of_pair, path_start, links, flow)
        Where the paths of each pair begin, where the links of each path begin, links of all paths, flow of each path.
    least : shape (pairs,)
        Receives the least cost of each pair, infinite where no path is.
    excess : shape (origins,)
        Receives what the trips of each chosen origin could have saved on the shortest paths when their turn came; for trips that had
        no path yet, all that they spend.
    """
    of_pair, start, links, flow = store
    arc_link, arc_tail, pairs = graph.arc_link, graph.arc_tail, trips.shape[0]
    longest = graph.first.shape[0] - 1
    room = room_for(longest)
    distance, by = room[0], room[1]
    mark = np.zeros(weight.shape[0], np.int64)
    stamp = 0
    new_of_pair = np.zeros(pairs + 1, np.int64)
    new_start = np.zeros(2 * max(start.shape[0], pairs) + 3, np.int64)
    new_links, new_flow = np.empty(max(2 * links.shape[0], 1024), np.int32), np.empty(new_start.shape[0] - 1)
    kind, time, b, power, capacity, fixed = cost_law
    paths = filled = 0
    for o in range(origins.shape[0]):
        if not chosen[o]:  # as it is
            first, last = of_pair[pair_start[o]], of_pair[pair_start[o + 1]]
            begin, size = start[first], start[last] - start[first]
            new_start, new_flow = _wider(new_start, paths + last - first + 1), _wider(new_flow, paths + last - first)
            new_links = _wider(new_links, filled + size)
            new_links[filled : filled + size] = links[begin : begin + size]
            new_flow[paths : paths + last - first] = flow[first:last]
            for p in range(first, last):
                new_start[paths + p - first + 1] = start[p + 1] - begin + filled
            for k in range(pair_start[o], pair_start[o + 1]):
                new_of_pair[k + 1] = of_pair[k + 1] - first + paths
            paths += last - first
            filled += size
            continue
        saved = 0.0
        shortest(origins[o], graph, weight, room)
        for k in range(pair_start[o], pair_start[o + 1]):
            begin, lost = paths, 0.0
            end = reached_in(destination[k], graph.extra, distance)
            shortest_is, known = distance[end], False
            least[k] = shortest_is
            had, held = of_pair[k + 1] - of_pair[k], start[of_pair[k + 1]] - start[of_pair[k]]
            if paths + had + 2 > new_flow.shape[0]:
                new_start, new_flow = _wider(new_start, paths + had + 3), _wider(new_flow, paths + had + 2)
            if filled + held + longest > new_links.shape[0]:
                new_links = _wider(new_links, filled + held + longest)
            for p in range(of_pair[k], of_pair[k + 1]):
                if flow[p] <= 0.0:
                    continue
                total = 0.0
                for e in range(start[p], start[p + 1]):
                    total += weight[links[e]]
                    new_links[filled + e - start[p]] = links[e]
                if total == np.inf:  # the trips of a path with a closed link go on the shortest one
                    lost += flow[p]
                    for e in range(start[p], start[p + 1]):
                        a = links[e]
                        if not closed[a]:
                            load_on[a] = max(load_on[a] - flow[p], 0.0)
                            weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
                    continue
                saved += (total - shortest_is) * flow[p]
                filled += start[p + 1] - start[p]
                new_flow[paths] = flow[p]
                paths += 1
                new_start[paths] = filled
                known = known or total <= shortest_is + _SAME * shortest_is
            if had == 0:
                lost = trips[k]
            if np.isfinite(shortest_is) and (lost > 0.0 or not known):
                size, v = 0, end
                while by[v] >= 0:
                    size += 1
                    v = arc_tail[by[v]]
                v, e = end, filled + size
                while by[v] >= 0:
                    e -= 1
                    new_links[e] = arc_link[by[v]]
                    v = arc_tail[by[v]]
                filled += size
                new_flow[paths] = lost
                paths += 1
                new_start[paths] = filled
                if lost > 0.0:
                    for e in range(filled - size, filled):
                        a = new_links[e]
                        load_on[a] += lost
                        weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
            if lost > 0.0 and np.isfinite(shortest_is):
                saved += lost * shortest_is  # what they save is not known before they are somewhere
            new_of_pair[k + 1] = paths
            if paths - begin > 1 and not still:
                _, stamp = _even(begin, paths, new_start, new_links, new_flow, cost_law, load_on, weight, slope, mark, stamp)
        excess[o] = max(saved, 0.0)
    return new_of_pair, new_start[: paths + 1].copy(), new_links[:filled].copy(), new_flow[:paths].copy()


@_jit
def _where_they_differ(pairs, store, links_in_all):
    """Return where the links of each path begin and these links, without those that all paths of a pair have in common."""
    of_pair, start, links, _ = store
    seen = np.zeros(links_in_all, np.int64)
    made_start, made = np.zeros(start.shape[0], np.int64), np.empty(links.shape[0], np.int32)
    base = filled = 0
    last = 0
    for k in pairs:
        first, end = of_pair[k], of_pair[k + 1]
        made_start[last : first + 1] = filled
        for e in range(start[first], start[end]):
            seen[links[e]] = max(seen[links[e]], base) + 1
        common = base + end - first
        for p in range(first, end):
            for e in range(start[p], start[p + 1]):
                if seen[links[e]] < common:
                    made[filled] = links[e]
                    filled += 1
            made_start[p + 1] = filled
        base, last = common, end
    made_start[last:] = filled
    return made_start, made[:filled].copy()


@_inlined
def _one_round(pairs, least_worth, of_pair, start, links, flow, cost_law, load_on, weight, slope, mark, stamp, worth):
    """Even out the paths of those pairs that were worth it last time; return the excess cost of all, and the next stamp."""
    total = 0.0
    for i in range(pairs.shape[0]):
        if worth[i] >= least_worth:
            k = pairs[i]
            worth[i], stamp = _even(of_pair[k], of_pair[k + 1], start, links, flow, cost_law, load_on, weight, slope, mark, stamp)
        total += worth[i]
    return total, stamp


@_inlined
def _best_step(weight, slope, moved, previous):
    """Return how far to go on along two directions of link flow, where the sum of the integrals is least to second order."""
    down_1 = down_2 = bend_11 = bend_12 = bend_22 = 0.0
    for a in range(moved.shape[0]):
        if moved[a] != 0.0 or previous[a] != 0.0:
            down_1 -= weight[a] * moved[a]
            down_2 -= weight[a] * previous[a]
            bend_11 += slope[a] * moved[a] * moved[a]
            bend_12 += slope[a] * moved[a] * previous[a]
            bend_22 += slope[a] * previous[a] * previous[a]
    determinant = bend_11 * bend_22 - bend_12 * bend_12
    if determinant > 1e-10 * bend_11 * bend_22:
        return (down_1 * bend_22 - down_2 * bend_12) / determinant, (down_2 * bend_11 - down_1 * bend_12) / determinant
    return (down_1 / bend_11 if bend_11 > 0.0 else 0.0), 0.0


@_inlined
def _go_on(pairs, of_pair, start, links, flow, before, step, along, back, load_on):
    """Move path flows along the last round and the step before it, each pair no further than to no flow; keep the step in `step`."""
    for k in pairs:
        share = 1.0
        for p in range(of_pair[k], of_pair[k + 1]):
            wanted = along * (flow[p] - before[p]) + back * step[p]
            if wanted < 0.0:
                share = min(share, flow[p] / -wanted)
        taken, most = 0.0, of_pair[k]
        for p in range(of_pair[k], of_pair[k + 1]):
            if flow[p] > flow[most]:
                most = p
        for turn in range(2):  # the path of most flow last: it takes what the others gave
            for p in range(of_pair[k], of_pair[k + 1]):
                if (p == most) == (turn == 0):
                    continue
                moved = -taken if p == most else max(share * (along * (flow[p] - before[p]) + back * step[p]), -flow[p])
                taken += moved
                if moved != 0.0:
                    flow[p] += moved
                    for e in range(start[p], start[p + 1]):
                        load_on[links[e]] += moved
                step[p] = flow[p] - before[p]
        flow[most] = max(flow[most], 0.0)


@_jit
def polish(cost_law, load_on, weight, slope, store, most, enough):
    """Even out the stored paths of every pair again and again, without a look for new ones; return what the last round could have saved.

    One round after another converges slowly where many pairs depend on one another. So each goes on along itself and along the step
    before, as far as is best for both together: conjugate gradients with a round as preconditioner.

    Parameters
    ----------
    most, enough
        Rounds at most, and the excess cost [veh s/h] at which to stop.
    """
    kind, time, b, power, capacity, fixed = cost_law
    of_pair, _, _, flow = store
    pairs = np.flatnonzero(np.diff(of_pair) > 1)
    start, links = _where_they_differ(pairs, store, weight.shape[0])
    worth = np.full(pairs.shape[0], np.inf)
    mark = np.zeros(weight.shape[0], np.int64)
    before, step, kept = np.empty(flow.shape[0]), np.zeros(flow.shape[0]), np.empty(flow.shape[0])
    load_before, load_kept, previous = np.empty(load_on.shape[0]), np.empty(load_on.shape[0]), np.zeros(load_on.shape[0])
    stamp, excess = 0, 0.0
    for turn in range(most):
        before[:], load_before[:] = flow, load_on
        least_worth = 0.0 if turn % _ALL == 0 else _LITTLE * excess / pairs.shape[0]
        excess, stamp = _one_round(pairs, least_worth, of_pair, start, links, flow, cost_law, load_on, weight, slope, mark, stamp, worth)
        if excess <= enough:
            break
        along, back = _best_step(weight, slope, load_on - load_before, previous)
        kept[:], load_kept[:] = flow, load_on
        _go_on(pairs, of_pair, start, links, flow, before, step, along, back, load_on)
        falls = rises = 0.0
        for a in range(load_on.shape[0]):
            moved = load_on[a] - load_kept[a]
            if moved != 0.0:
                load_on[a] = max(load_on[a], 0.0)
                falls -= weight[a] * moved
                weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
                rises += weight[a] * moved
        if rises > 0.5 * falls:  # too far: what is best to second order is not
            for a in range(load_on.shape[0]):
                if load_on[a] != load_kept[a]:
                    load_on[a] = load_kept[a]
                    weight[a], slope[a] = cost(kind[a], time[a], b[a], power[a], capacity[a], fixed[a], load_on[a])
            flow[:] = kept
            step[:], previous[:] = 0.0, 0.0
        else:
            previous[:] = load_on - load_before
    return excess


@_jit
def load(store, load_on):
    """Write the flow of every link as the sum over the stored paths."""
    _, start, links, flow = store
    load_on[:] = 0.0
    for p in range(flow.shape[0]):
        for k in range(start[p], start[p + 1]):
            load_on[links[k]] += flow[p]
