"""What a planner should know of a road network before running traffic on it: parts, traps, zones cut off, and numbers that cannot be.

Connection is looked at as paths go: through no node that paths may not pass, over no banned turn. The largest part is where one can get
from everywhere to everywhere; everything else is told by how it hangs on that part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from cim.model.road_network import faults_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    _Rule = tuple[str, str, Flags, str]

__all__ = ["FINDINGS", "PARTS", "NetworkReport", "check_network"]

FINDINGS = pa.schema([
    pa.field("code", pa.string(), nullable=False), pa.field("severity", pa.string(), nullable=False),
    pa.field("count", pa.int64(), nullable=False), pa.field("of", pa.string(), nullable=False),
    pa.field("ids", pa.list_(pa.string()), nullable=False), pa.field("message", pa.string(), nullable=False),
])  # fmt: skip
"""One row per kind of finding: how many nodes or links (`of`), and the ids of the first ones."""
PARTS = pa.schema([
    pa.field("kind", pa.string(), nullable=False), pa.field("nodes", pa.int64(), nullable=False),
    pa.field("links", pa.int64(), nullable=False), pa.field("first", pa.string(), nullable=False),
])  # fmt: skip
"""Parts from the largest: ``weak`` (joined at all) and ``strong`` (from everywhere to everywhere, more than one node); one node of each."""
FAST, SLOW = 50.0, 1.0
"""Free speeds [m/s] beyond which a unit is wrong rather than a road special: 180 km/h, 3.6 km/h."""
DENSE = 3000.0
"""Capacity [veh/h] per lane that no road has: HCM 2010 gives 2,400 passenger cars at most."""
THIN = 50.0
"""Capacity [veh/h] that no road falls below: one vehicle in 72 s. Some files hold it in b of the cost law, with 1 in its place."""
BENT = 0.9
"""Length of a link over the straight line between its ends, below which they do not fit together."""
JUNCTION = 30.0
"""What a link may be shorter than that line [m], since some files measure links without the junctions at their ends."""
_FIRST = 5
_MOST_PARTS = 1000
_NAMES = {
    "an id that": "duplicate_id", "a length below": "length",
    "node that is not there": "unknown_node", "free-flow time that": "free_flow_time", "capacity of zero": "zero_capacity",
    "fixed cost": "fixed_cost", "power below": "cost_law", "cone with": "cost_law", "cost law": "cost_law", "banned turns": "turns",
    "greens": "signals", "give way": "turns",
}  # fmt: skip


@dataclass(frozen=True)
class NetworkReport:
    """What was found, worst first."""

    findings: pa.Table
    """Schema `FINDINGS`."""
    parts: pa.Table
    """Schema `PARTS`."""

    @property
    def worst(self) -> str | None:
        """The worst severity: ``error``, ``warning``, ``info``, or None when nothing was found."""
        found = self.findings["severity"].to_pylist()
        return next((one for one in ("error", "warning", "info") if one in found), None)

    def lines(self) -> list[str]:
        """Return the findings as lines of text."""
        rows = self.findings.to_pylist()
        return [f"{one['severity']}: {one['message']}" + (f" (first: {', '.join(one['ids'])})" if one["ids"] else "") for one in rows]


class _Finding(NamedTuple):
    code: str
    severity: str
    which: Any
    """Rows of nodes or links."""
    of: str
    said: str
    """Message, behind the number."""


def check_network(network: RoadNetwork) -> NetworkReport:
    """Return what is wrong, doubtful or worth knowing about a network; nothing is changed.

    Examples
    --------
    >>> from cim.model.road_network import RoadNetwork
    >>> road = RoadNetwork.of(["a", "b", "c"], [0, 1, 1], [1, 0, 2], free_flow_time=60.0, capacity=900.0, length=500.0)
    >>> check_network(road).lines()
    ['warning: 1 node can be entered and not left (first: c)', 'info: 1 node is a dead end: one neighbour, in and out (first: a)']
    """
    rows = [_fault_row(one) for one in faults_of(network)]
    found: list[_Finding] = []
    parts = PARTS.empty_table()
    if not any(one["code"] == "unknown_node" for one in rows):
        found += [*_values(network), *_places(network)]
        connected, parts = _connection(network)
        found += connected
    ids = {"nodes": network.nodes["id"], "links": network.links["id"]}
    for code, severity, which, of, said in found:
        first = ids[of].take(pa.array(which[:_FIRST])).to_pylist()
        message = _counted(len(which), of, said)
        rows.append({"code": code, "severity": severity, "count": len(which), "of": of, "ids": first, "message": message})
    rank = {"error": 0, "warning": 1, "info": 2}
    rows.sort(key=lambda one: rank[one["severity"]])
    return NetworkReport(pa.Table.from_pylist(rows, schema=FINDINGS), parts)


def _counted(count: int, of: str, said: str) -> str:
    """Return a message with its number; ``[a|b]`` in it is a for one and b for more."""
    words = re.sub(r"\[([^|\]]*)\|([^\]]*)\]", lambda match: match[1] if count == 1 else match[2], said)
    return f"{count} {of if count != 1 else of[:-1]} {words}"


def _fault_row(sentence: str) -> dict[str, Any]:
    """Return the row of a fault that makes the network unusable."""
    code = next((code for words, code in _NAMES.items() if words in sentence), "fault")
    count, first = re.match(r"(\d+) (\w+)", sentence), re.search(r" \(first: (.*)\)$", sentence)
    of = count[2] if count and count[2] in ("links", "nodes") else "turns"
    ids = [first[1]] if first and of != "turns" else []
    said = sentence[: first.start()] if first and ids else sentence
    return {"code": code, "severity": "error", "count": int(count[1]) if count else 1, "of": of, "ids": ids, "message": said}


# ---------------------------------------------------------------- numbers


def _values(network: RoadNetwork) -> Iterator[_Finding]:
    """Give what is told by the columns of the links alone."""
    length, time, capacity, lanes = (network.column(name).astype(float) for name in ("length", "free_flow_time", "capacity", "lanes"))
    tail, head = network.column("from_node"), network.column("to_node")
    through = network.nodes["through"].to_numpy()
    joins_zone = ~through[tail] | ~through[head]
    moving = (length > 0) & (time > 0)
    speed = np.divide(length, time, out=np.full(len(length), np.nan), where=moving)
    share = np.median(speed[moving]) if moving.any() else np.nan
    wrong = share > FAST or share < SLOW
    unit = f"; half of all links do: lengths or times are in another unit (median {_digits(share)} m/s)" if wrong else ""
    per_lane = np.divide(capacity, lanes, out=np.full(len(lanes), np.nan), where=lanes > 0)
    for code, severity, bad, said in (
        ("zero_length", "warning", (length == 0) & (tail != head) & ~joins_zone, "[has|have] a length of zero"),
        ("zero_length_connector", "info", (length == 0) & (tail != head) & joins_zone, "to or from a zone [has|have] a length of zero"),
        ("no_length", "info", np.isnan(length), "[has|have] no length"),
        ("no_time", "info", (time == 0) & (length > 0), "[takes|take] no time at free flow"),
        ("fast", "warning", speed > FAST, f"[has|have] a free speed above {FAST * 3.6:g} km/h{unit}"),
        ("slow", "warning", speed < SLOW, f"[has|have] a free speed below {SLOW * 3.6:g} km/h{unit}"),
        ("dense", "warning", per_lane > DENSE, f"[has|have] a capacity above {DENSE:g} veh/h per lane: not of an hour, or lanes missing?"),
        ("no_capacity_fixed", "info", np.isnan(capacity) & (network.column("b") == 0), "of constant time [has|have] no capacity"),
        ("thin", "warning", (capacity > 0) & (capacity < THIN), f"[has|have] a capacity below {THIN:g} veh/h: another unit, or in b?"),
        ("loop", "warning", tail == head, "[begins and ends|begin and end] at the same node"),
    ):  # fmt: skip
        if bad.any():
            yield _Finding(code, severity, np.flatnonzero(bad), "links", said)
    yield from _doubles(network, tail, head)


def _doubles(network: RoadNetwork, tail: Ints, head: Ints) -> Iterator[_Finding]:
    """Give links between the same two nodes in the same direction: copies of one, and others beside it; lanes of one road are neither."""
    facts = (network.column(name).astype(float) for name in ("length", "free_flow_time", "capacity"))
    columns = [tail, head, *(np.nan_to_num(one, nan=-1.0) for one in facts)]
    owner = network.links["object"].combine_chunks().dictionary_encode().indices
    own = owner.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    own = np.where(own < 0, -1 - np.arange(len(tail)), own)
    lane = _repeated([tail, head, own])
    same = _repeated(columns) & ~lane
    beside = _repeated(columns[:2]) & ~same & ~lane
    if same.any():
        said = "[is a copy|are copies] of another one: same ends, length, time and capacity"
        yield _Finding("duplicate", "warning", np.flatnonzero(same), "links", said)
    if beside.any():
        yield _Finding("parallel", "info", np.flatnonzero(beside), "links", "[runs|run] beside another one between the same nodes")


def _digits(value: float) -> str:
    return np.format_float_positional(value, 3, fractional=False, trim="-")


def _repeated(columns: list[NDArray[Any]]) -> Flags:
    """Return which rows occurred before."""
    order = np.lexsort([np.arange(len(columns[0])), *columns[::-1]])
    equal = np.all([one[order][1:] == one[order][:-1] for one in columns], axis=0) if len(order) else np.zeros(0, bool)
    found = np.zeros(len(order), bool)
    found[order[1:]] = equal
    return found


def _places(network: RoadNetwork) -> Iterator[_Finding]:
    """Give links whose ends lie at one place, or further apart than the link is long."""
    x, y = (network.nodes[name].to_numpy().astype(float) for name in ("x", "y"))
    tail, head = network.column("from_node"), network.column("to_node")
    length = network.column("length").astype(float)
    with np.errstate(invalid="ignore"):
        apart = np.hypot(x[head] - x[tail], y[head] - y[tail])
    same = (apart == 0) & (tail != head)
    if same.any():
        yield _Finding("same_place", "warning", np.flatnonzero(same), "links", "[joins|join] two nodes at the same place")
    metres = _metres(network.crs)
    if metres is None:
        return
    short = length < BENT * apart * metres - JUNCTION
    if short.any():
        ratio = float(np.median(length[apart > 0] / (apart[apart > 0] * metres)))
        unit = f"; half of all links do (median {_digits(ratio)} of it): lengths are in another unit" if ratio < BENT else ""
        said = f"[is|are] shorter than the straight line between [its|their] ends{unit}"
        yield _Finding("short", "warning", np.flatnonzero(short), "links", said)


def _metres(crs: str | None) -> float | None:
    """Return metres in a unit of a projected system, None where places are no lengths or nothing is known."""
    from cim.crs import parse
    from cim.errors import CRSError

    try:
        found = parse(crs) if crs else None
    except CRSError:
        return None
    return found.linear_unit_factor if found is not None and found.is_projected else None


# ---------------------------------------------------------------- connection


def _connection(network: RoadNetwork) -> tuple[list[_Finding], pa.Table]:
    """Return what does not hang together, and the parts."""
    tail, head, nodes = network.column("from_node"), network.column("to_node"), network.nodes.num_rows
    if not nodes or not len(tail):
        lonely = _Finding("no_links", "warning", np.arange(nodes), "nodes", "[has|have] no links")
        return ([lonely] if nodes else []), PARTS.empty_table()
    out, into = np.bincount(tail, minlength=nodes), np.bincount(head, minlength=nodes)
    weak = _labels(tail, head, nodes, "weak")
    search = _Search.of(network)
    strong = search.parts()
    sizes = np.bincount(strong)
    main = int(np.argmax(sizes))
    through, used = network.nodes["through"].to_numpy(), (out + into) > 0
    if sizes[main] == 1:
        one_way: tuple[_Rule, ...] = (
            ("zone_cut_off", "error", ~through & ~used, "of zones [has|have] no links: no trip can begin or end there"),
            ("no_links", "warning", through & ~used, "[has|have] no links"),
            (
                "part",
                "warning",
                used & (weak != np.bincount(weak).argmax()),
                "[lies|lie] in parts that are not joined to the largest one at all",
            ),
            ("one_way", "info", used, "[lies|lie] on ways of one direction: no path leads back to any of them"),
        )
        return _found(one_way), _parts(network, weak, strong[:nodes], tail, head)
    entered, left = search.reach(np.flatnonzero(strong == main)[:1], np.flatnonzero(strong == main)[:1])
    there = entered & left
    closed = np.flatnonzero(~through)
    from_zone, to_zone = search.reach(search.begin[closed], closed)
    main_weak = weak == weak[np.flatnonzero(there)[0]] if there.any() else np.zeros(nodes, bool)
    rules: tuple[_Rule, ...] = (
        ("no_links", "warning", ~used & through, "[has|have] no links"),
        ("part", "warning", ~main_weak & used & through, "[lies|lie] in parts that are not joined to the largest one at all"),
        ("zone_cut_off", "error", ~through & ~entered & ~left, "of zones [is|are] cut off: no trip can begin or end there"),
        ("zone_not_left", "warning", main_weak & ~through & entered & ~left, "of zones: trips can end there and not begin"),
        ("zone_not_entered", "warning", main_weak & ~through & ~entered & left, "of zones: trips can begin there and not end"),
        ("trap", "warning", main_weak & through & entered & ~left & ~to_zone, "can be entered and not left"),
        ("source", "warning", main_weak & through & ~entered & left & ~from_zone, "can be left and not entered"),
        ("to_zone", "info", main_weak & through & entered & ~left & to_zone, "[leads|lead] to zones only"),
        ("from_zone", "info", main_weak & through & ~entered & left & from_zone, "[comes|come] from zones only"),
        ("aside", "warning", main_weak & through & ~entered & ~left & used, "can neither be reached from the largest part nor reach it"),
        ("dead_end", "info", _dead_ends(tail, head, nodes) & through & there, "[is a dead end|are dead ends]: one neighbour, in and out"),
    )
    found = _found(rules)
    stuck = search.stuck() & through[head]
    if stuck.any():
        said = "[leads|lead] to a node where all ways on are banned"
        found.append(_Finding("turn_trap", "warning", np.flatnonzero(stuck), "links", said))
    return found, _parts(network, weak, search.of_nodes(strong), tail, head)


def _found(rules: Iterable[_Rule]) -> list[_Finding]:
    return [_Finding(code, severity, np.flatnonzero(which), "nodes", said) for code, severity, which, said in rules if which.any()]


class _Search(NamedTuple):
    """States and arcs of paths, a node that may not be passed being two states: where paths begin and where they end."""

    tail: Ints
    head: Ints
    states: int
    begin: Ints
    """State where paths from each node begin."""
    turns: Any

    @classmethod
    def of(cls, network: RoadNetwork) -> _Search:
        turns = network.turn_graph
        states, nodes = len(turns.through), network.nodes.num_rows
        closed = np.flatnonzero(~turns.through[:nodes])
        begin = np.arange(nodes)
        begin[closed] = states + np.arange(len(closed))
        tail = turns.arc_tail.copy()
        own = tail < nodes
        tail[own] = begin[tail[own]]
        keep = own | turns.through[turns.arc_tail]
        return cls(tail[keep], turns.arc_head[keep], states + len(closed), begin, turns)

    def parts(self) -> Ints:
        """Return the strong part of each state."""
        return _labels(self.tail, self.head, self.states, "strong")

    def reach(self, starts: Ints, ends: Ints) -> tuple[Flags, Flags]:
        """Return which nodes paths from some states reach, and at which nodes paths to other states begin."""
        forward = _reached(self.tail, self.head, self.states, starts)
        backward = _reached(self.head, self.tail, self.states, ends)
        passable: Flags = self.begin < len(self.begin)
        left: Flags = backward[self.begin] | (self._any_state(backward) & passable)
        return self._any_state(forward), left

    def stuck(self) -> Flags:
        """Return which links have banned turns only."""
        state = self.turns.state_of_link
        found: Flags = (np.bincount(self.tail, minlength=self.states)[state] == 0) & (state >= len(self.begin))
        return found

    def of_nodes(self, labels: Ints) -> Ints:
        """Return the strong part of each node: that of where paths begin, or of the first way in that has company."""
        size = np.bincount(labels)
        best = labels[self.begin].copy()
        node, state = self._node_of_states(), np.arange(len(self.turns.through))
        order = np.argsort(size[labels[state]], kind="stable")
        better = size[labels[state[order]]] > size[best[node[order]]]
        best[node[order][better]] = labels[state[order]][better]
        return best

    def _node_of_states(self) -> Ints:
        extra = self.turns.extra
        return np.concatenate([np.arange(len(self.begin)), np.repeat(np.arange(len(self.begin)), np.diff(extra))])

    def _any_state(self, which: Flags) -> Flags:
        found = np.zeros(len(self.begin), bool)
        np.logical_or.at(found, self._node_of_states(), which[: len(self.turns.through)])
        return found


def _graph(tail: Ints, head: Ints, count: int) -> Any:
    from scipy.sparse import coo_array

    return coo_array((np.ones(len(tail), np.int8), (tail, head)), shape=(count, count)).tocsr()


def _labels(tail: Ints, head: Ints, count: int, kind: str) -> Ints:
    from scipy.sparse.csgraph import connected_components

    found: Ints = connected_components(_graph(tail, head, count), directed=True, connection=kind)[1].astype(np.int64)
    return found


def _reached(tail: Ints, head: Ints, count: int, starts: Ints) -> Flags:
    """Return what can be reached from some states, these among them; a further state leads to all of them."""
    from scipy.sparse.csgraph import breadth_first_order

    search: Callable[..., Any] = breadth_first_order
    tail, head = np.append(tail, np.full(len(starts), count)), np.append(head, starts)
    found = np.zeros(count + 1, bool)
    found[search(_graph(tail, head, count + 1), count, directed=True, return_predecessors=False)] = True
    return found[:count]


def _dead_ends(tail: Ints, head: Ints, nodes: int) -> Flags:
    """Return which nodes have one neighbour, to which a link leads and from which one comes."""
    pairs = np.unique(np.concatenate([tail * nodes + head, head * nodes + tail])[np.tile(tail != head, 2)])
    neighbours = np.bincount(pairs // nodes, minlength=nodes)
    found: Flags = (neighbours == 1) & (np.bincount(tail, minlength=nodes) > 0) & (np.bincount(head, minlength=nodes) > 0)
    return found


def _parts(network: RoadNetwork, weak: Ints, strong: Ints, tail: Ints, head: Ints) -> pa.Table:
    names, rows = network.nodes["id"], []
    for kind, label in (("weak", weak), ("strong", strong)):
        _, first, place, nodes = np.unique(label, return_index=True, return_inverse=True, return_counts=True)
        inside = place[tail] == place[head]
        links = np.bincount(place[tail[inside]], minlength=len(nodes))
        order = np.lexsort((first, -nodes))[:_MOST_PARTS]
        order = order[(nodes[order] > 1) | (kind == "weak")]
        ids = names.take(pa.array(first[order])).to_pylist()
        sizes = zip(nodes[order].tolist(), links[order].tolist(), ids, strict=True)
        rows += [{"kind": kind, "nodes": many, "links": joined, "first": one} for many, joined, one in sizes]
    return pa.Table.from_pylist(rows, schema=PARTS)
