"""A road network in SUMO's terms: links that are lanes of one road as one edge, names that SUMO takes, and what connects which lanes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cim.loaders.sumo.network import vehicle_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["CLASSES", "Connection", "Edges", "connections", "edges_of", "names_for", "permission"]

CLASSES = ("passenger", "private", "taxi", "bus", "coach", "delivery", "truck", "trailer", "motorcycle", "moped", "bicycle", "emergency",
           "authority", "army", "vip", "hov", "evehicle", "pedestrian", "custom1", "custom2")  # fmt: skip
"""Vehicle classes of SUMO that drive on roads."""
LANE_CAPACITY = 1900.0
"""Vehicles that a lane carries, where lanes are not known [veh/h]: base saturation flow (Highway Capacity Manual 2010, ch. 18)."""
MOST_LANES = 16
FASTEST = 50.0
"""Greatest speed that is written [m/s]; SUMO's cars reach 55.56 m/s."""
SHORTEST = 2.0
"""Shortest edge that is written [m]."""
AT_ONCE = 50.0
"""Length of an edge for a link that takes no time [m]: 1 s at `FASTEST`."""


class Edges(NamedTuple):
    """Edges, in the order of their first links."""

    names: list[str]
    of_link: Ints
    """Edge of each link, shape (links,)."""
    first_lane: Ints
    """Of each link in its edge, from the right."""
    many_lanes: Ints
    """Of each link."""
    lanes: Ints
    """Shape (edges,), likewise below."""
    tail: Ints
    head: Ints
    length: Reals
    """From node to node [m]."""
    speed: Reals
    """Of each link [m/s]."""
    links: list[list[int]]
    """Links of each edge, from the right."""
    notes: list[str]


class Connection(NamedTuple):
    """A way from an edge to the next one; lanes are -1 where SUMO chooses them."""

    source: int
    target: int
    from_lane: int
    to_lane: int


def names_for(wanted: Iterable[str], letter: str) -> list[str]:
    """Return names with letters, digits, ``_``, ``.`` and ``-`` alone, which SUMO takes anywhere, no two alike.

    Examples
    --------
    >>> names_for(["way/7:a>b", "way/7:a<b", "路", "-1"], "e")
    ['way_7_a_b', 'way_7_a_b.2', 'e3', 'e-1']
    """
    made: list[str] = []
    used: set[str] = set()
    for k, one in enumerate(wanted, 1):
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", one).strip("_")[:80] or f"{letter}{k}"
        name = name if name[0].isalnum() else f"{letter}{name}"
        again = 2
        own = name
        while own in used:
            own, again = f"{name}.{again}", again + 1
        used.add(own)
        made.append(own)
    return made


def permission(kind: str | None) -> frozenset[str]:
    """Return which of `CLASSES` may use a link, by its class: ``"allow bus"`` and the like as `read_network` makes them, all otherwise."""
    word, *named = (kind or "").split() or [""]
    if word not in ("allow", "disallow") or not named:
        return frozenset(CLASSES)
    ours = {one for one in named if one not in CLASSES}
    found = frozenset(one for one in CLASSES if one in named or "all" in ours or vehicle_class(one) in ours)
    return found if word == "allow" else frozenset(CLASSES) - found


def edges_of(network: RoadNetwork) -> Edges:
    """Return the edges of a network: links of one object between the same two nodes are its lanes, as for the dynamic model."""
    tail, head = network.column("from_node"), network.column("to_node")
    owners, ids = network.links["object"].to_pylist(), network.links["id"].to_pylist()
    groups: dict[tuple[int, int, str | int], list[int]] = defaultdict(list)
    for row, (a, z, owner) in enumerate(zip(tail.tolist(), head.tolist(), owners, strict=True)):
        groups[a, z, row if owner is None else owner].append(row)
    links = list(groups.values())
    alone: dict[str | int, int] = defaultdict(int)
    for key in groups:
        alone[key[2]] += 1
    wanted = [str(key[2]) if isinstance(key[2], str) and alone[key[2]] == 1 else ids[rows[0]] for key, rows in groups.items()]
    lanes, notes = _lanes(network)
    length, speed, said = _speeds(network)
    of_link, first = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    for k, rows in enumerate(links):
        of_link[rows] = k
        first[rows] = np.cumsum(lanes[rows]) - lanes[rows]
    many = np.bincount(of_link, weights=lanes).astype(np.int64)
    own = np.bincount(of_link, weights=length * lanes) / many if len(ids) else np.zeros(0)
    begin = np.array([rows[0] for rows in links], np.int64)
    return Edges(names_for(wanted, "e"), of_link, first, lanes, many, tail[begin], head[begin], own, speed, links, [*notes, *said])


def _lanes(network: RoadNetwork) -> tuple[Ints, list[str]]:
    """Return whole lanes of each link, and what was rounded or assumed."""
    given, capacity = network.column("lanes").astype(float), network.column("capacity").astype(float)
    known = given > 0
    assumed = np.ceil(np.where(np.isfinite(capacity), capacity, 0.0) / LANE_CAPACITY - 0.05)
    assumed = np.where(network.column("free_flow_time") > 0, assumed, np.minimum(assumed, 2.0))
    wanted = np.where(known, given, assumed)
    lanes = np.clip(np.round(wanted), 1, MOST_LANES).astype(np.int64)
    found = {
        f"links without lanes have one for every {LANE_CAPACITY:g} veh/h of their capacity": ~known,
        "links have no whole number of lanes; it is rounded": known & (np.abs(given - np.round(given)) > 1e-6),
        f"links would have more than {MOST_LANES} lanes; they have {MOST_LANES} and carry less": wanted > MOST_LANES,
    }
    return lanes, [f"{int(hit.sum())} {said}" for said, hit in found.items() if hit.any()]


def _speeds(network: RoadNetwork) -> tuple[Reals, Reals, list[str]]:
    """Return length [m] and speed [m/s] of each link, so that the free-flow time is kept, and where that was not possible."""
    length, time = network.column("length").astype(float), network.column("free_flow_time").astype(float)
    unknown, at_once = ~(length > 0), ~(time > 0)
    length = np.where(unknown, np.where(at_once, AT_ONCE, time * 13.9), length)
    with np.errstate(divide="ignore"):
        quick = ~at_once & (length / np.where(at_once, 1.0, time) > FASTEST)
    length = np.where(at_once, np.minimum(length, AT_ONCE), np.where(quick, FASTEST * time, length))
    short = length < SHORTEST
    length = np.maximum(length, SHORTEST)
    speed = np.clip(length / np.where(at_once, 1e-9, time), 0.1, FASTEST)
    found = {
        "links without a length have that of their free-flow time at 13.9 m/s": unknown & ~at_once,
        f"links take no time; they are edges of {AT_ONCE:g} m or less at {FASTEST:g} m/s": at_once,
        f"links are faster than {FASTEST:g} m/s; they are made shorter, their time is kept": quick,
        f"links are shorter than {SHORTEST:g} m; they are made as long, their time is kept": short & ~at_once,
    }
    return length, speed, [f"{int(hit.sum())} {said}" for said, hit in found.items() if hit.any()]


# ---------------------------------------------------------------- what connects lanes


def connections(network: RoadNetwork, edges: Edges, used: set[tuple[int, int]]) -> tuple[list[Connection], list[str]]:
    """Return the connections of all edges: what is not banned, and no turning back where another way leads round.

    Parameters
    ----------
    used
        Pairs of edges that some vehicle passes one after the other: they stay, turning back or not.
    """
    pairs, back = _turns(network, edges, used)
    classes = [permission(kind) for kind in network.links["class"].to_pylist()]
    lane_class = [[classes[row] for row in rows for _ in range(edges.many_lanes[row])] for rows in edges.links]
    by_source: dict[int, dict[int, dict[int, set[int]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    lanes_named = _named(network, edges)
    for one, other in pairs.tolist():
        target = int(edges.of_link[other])
        if other in lanes_named.get((one, target), (other,)):
            by_source[int(edges.of_link[one])][target][one].add(other)
    leading = Counter(target for targets in by_source.values() for target in targets)
    made, unserved = [], 0
    for source, targets in by_source.items():
        size = len(edges.links[source])
        whole = size == 1 and all(
            len(edges.links[t]) == 1 or (len(found) == len(edges.links[t]) and (row, t) not in lanes_named)
            for t, links in targets.items() for row, found in links.items()
        )  # fmt: skip
        if whole:
            for t in targets:  # by lane where there is no choice: otherwise netconvert drops ways back, and adds ways into lanes for buses
                last = int(edges.lanes[source]) - 1, int(edges.lanes[t]) - 1
                sure = len(targets) == 1 and (edges.tail[source] == edges.head[t] or last == (0, 0))
                made.append(Connection(source, t, *(last if sure else (-1, -1))))
            continue
        for target, by_link in targets.items():
            free = [row for row in by_link if (row, target) not in lanes_named]
            groups = [([row], {other}) for row, others in by_link.items() if (row, target) in lanes_named for other in others]
            groups += [(free, {other for row in free for other in by_link[row]})] if free else []
            found_pairs: set[tuple[int, int]] = set()
            for rows, others in groups:
                lanes, onto = (sorted(k for row in some for k in _own(edges, row)) for some in (rows, others))
                fill = leading[target] == 1 or len(lanes) == edges.lanes[source]
                found_pairs |= set(_lane_pairs(lanes, onto, lane_class[source], lane_class[target], fill=fill))
            unserved += not found_pairs
            made += [Connection(source, target, *pair) for pair in sorted(found_pairs)]
    notes = [f"{back} turns back into the same road are left out, for other ways lead there"] if back else []
    notes += [f"{unserved} turns join lanes that no vehicle class may both use; they are left out"] if unserved else []
    return made, notes


def _turns(network: RoadNetwork, edges: Edges, used: set[tuple[int, int]]) -> tuple[Ints, int]:
    """Return pairs of links of which one may follow the other, shape (n, 2), and how many turns back were left out."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from_node, to_node, count = network.column("from_node"), network.column("to_node"), network.links.num_rows
    first, out = network.forward_star
    degree = np.diff(first)[to_node]
    one = np.repeat(np.arange(count), degree)
    other = out[np.repeat(first[to_node] - np.cumsum(degree) + degree, degree) + np.arange(len(one))]
    banned = network.banned["from_link"].to_numpy() * count + network.banned["to_link"].to_numpy()
    ok = ~np.isin(one * count + other, banned) & network.nodes["through"].to_numpy()[to_node[one]]
    one, other = one[ok], other[ok]
    owner = network.links["object"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    turns_back = (from_node[one] == to_node[other]) & ((owner[one] == owner[other]) | (owner[one] < 0) | (owner[other] < 0))
    only = np.bincount(one[~turns_back], minlength=count)[one] == 0
    known = set(used)
    for table in (network.signals, network.yields):
        pair = edges.of_link[table["from_link"].to_numpy()], edges.of_link[table["to_link"].to_numpy()]
        known |= set(zip(pair[0].tolist(), pair[1].tolist(), strict=True))
    wanted = np.array([pair in known for pair in zip(edges.of_link[one].tolist(), edges.of_link[other].tolist(), strict=True)], bool)
    keep = ~turns_back | only | wanted
    joined = coo_array((np.ones(int(keep.sum()), bool), (one[keep], other[keep])), shape=(count, count))
    part = connected_components(joined, directed=True, connection="strong")[1]
    keep |= part[one] != part[other]  # nothing else leads round to the other direction
    dropped = np.unique(edges.of_link[one[~keep]] * len(edges.names) + edges.of_link[other[~keep]])
    return np.stack([one[keep], other[keep]], axis=1), len(dropped)


def _named(network: RoadNetwork, edges: Edges) -> dict[tuple[int, int], set[int]]:
    """Return, of a link and the edge that follows, the lanes that greens and rules of giving way name: whoever turns takes one of them."""
    found: dict[tuple[int, int], set[int]] = defaultdict(set)
    for table, one, other in (
        (network.signals, "from_link", "to_link"), (network.yields, "from_link", "to_link"), (network.yields, "before_from", "before_to"),
    ):  # fmt: skip
        for source, target in zip(table[one].to_pylist(), table[other].to_pylist(), strict=True):
            found[source, int(edges.of_link[target])].add(target)
    return found


def _own(edges: Edges, row: int) -> range:
    return range(int(edges.first_lane[row]), int(edges.first_lane[row] + edges.many_lanes[row]))


def _lane_pairs(
    lanes: Sequence[int], onto: Sequence[int], mine: Sequence[frozenset[str]], theirs: Sequence[frozenset[str]], *, fill: bool
) -> list[tuple[int, int]]:
    """Return which lane leads into which: side by side, from the right where the rightmost one leads there, from the left otherwise."""
    made: set[tuple[int, int]] = set()
    right = 0 in lanes
    by_target: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for lane in lanes:
        best = [k for k in onto if "passenger" in theirs[k]] if "passenger" in mine[lane] else []
        best = best or [k for k in onto if mine[lane] & theirs[k]]
        by_target[tuple(best)].append(lane)
    for best_lanes, sources in by_target.items():
        m, n = len(best_lanes), len(sources)
        if not m:
            continue
        for k, lane in enumerate(sources):
            made.add((lane, best_lanes[min(k, m - 1) if right else max(m - n + k, 0)]))
        spare = range(0) if not fill or n < len(lanes) else range(n, m) if right else range(m - n)  # lanes that nobody else would fill
        made |= {(sources[-1] if right else sources[0], best_lanes[k]) for k in spare}
    return sorted(made)
