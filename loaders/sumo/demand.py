"""Vehicles of a fleet as SUMO's routes and trips, one vehicle type per class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from cim.loaders.sumo.edges import CLASSES, names_for
from cim.loaders.sumo.network import SPACING
from cim.loaders.sumo.plain import Node, write_xml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cim.loaders.sumo.edges import Connection, Edges

    Ints = NDArray[np.int64]

__all__ = ["Vehicles", "fleet_faults", "passed", "write_routes"]

_AS = {"car": "passenger"}
"""SUMO's name of our vehicle classes, where it is another one."""
_CARS = ("passenger", "taxi", "ignoring")
GAP = SPACING - 5.0
"""Gap of cars at rest [m], so that they take the way in a jam that they take here; SUMO's are 5 m long and keep 2.5 m."""


class Vehicles(Protocol):
    """What a fleet has; that of `cim.sim.traffic.dynamic.Fleet` and the columns of `read_routes` are meant."""

    @property
    def departure(self) -> NDArray[np.float64]:
        """Time since the start of the run [s], shape (n,)."""

    @property
    def origin(self) -> Ints:
        """Rows of nodes, likewise `destination`."""

    @property
    def destination(self) -> Ints:
        """Rows of nodes."""

    @property
    def path_start(self) -> Ints:
        """Where the path of each vehicle begins in `path_links`, shape (n + 1,), or empty."""

    @property
    def path_links(self) -> Ints:
        """Rows of links."""

    @property
    def vehicle_class(self) -> NDArray[np.int8]:
        """Rows of `class_names`, shape (n,), or empty."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Vehicle classes."""

    @property
    def stop_time(self) -> NDArray[np.float64]:
        """How long the vehicle stands on each link of its path [s], or empty."""


def fleet_faults(fleet: Vehicles, nodes: int, links: int) -> list[str]:
    """Return what makes a fleet unusable."""
    n = len(fleet.departure)
    sizes = (len(fleet.origin), len(fleet.destination))
    if sizes != (n, n) or len(fleet.path_start) not in (0, n + 1) or len(fleet.vehicle_class) not in (0, n):
        return [f"the fleet has {n} departures, {sizes[0]} origins, {sizes[1]} destinations, {len(fleet.path_start)} begins of paths"]
    if not n:
        return []
    ends = np.concatenate([fleet.origin, fleet.destination])
    kinds = np.asarray(fleet.vehicle_class, np.int64)
    found = {
        f"{int(((ends < 0) | (ends >= nodes)).sum())} ends of trips are no nodes of the network": ((ends < 0) | (ends >= nodes)).any(),
        "vehicles depart before the start of the run": not (np.asarray(fleet.departure) >= 0).all(),
        "paths name links that the network lacks": len(fleet.path_links)
        and (np.min(fleet.path_links) < 0 or np.max(fleet.path_links) >= links),
        "vehicles are of classes that the fleet does not name": len(kinds) and not 0 <= kinds.min() <= kinds.max() < len(fleet.class_names),
    }
    return [said for said, bad in found.items() if bad]


def passed(fleet: Vehicles, edges: Edges) -> set[tuple[int, int]]:
    """Return the pairs of edges that vehicles with an own path pass one after the other."""
    if not len(fleet.path_start):
        return set()
    edge = edges.of_link[np.asarray(fleet.path_links, np.int64)]
    inner = np.ones(len(edge), bool)
    size = np.diff(fleet.path_start)
    inner[np.asarray(fleet.path_start, np.int64)[1:][size > 0] - 1] = False
    at = np.flatnonzero(inner)
    pairs = np.unique(np.stack([edge[at], edge[at + 1]], axis=1), axis=0) if len(at) else np.zeros((0, 2), np.int64)
    return set(map(tuple, pairs.tolist()))


def write_routes(
    path: Path, fleet: Vehicles, edges: Edges, nodes: list[str], made: Sequence[Connection], types: Mapping[str, Mapping[str, Any]],
    lengths: NDArray[np.float64],
) -> tuple[Ints, list[str]]:  # fmt: skip
    """Write the vehicles by departure; return those that were written, and what is to be told of the others.

    A vehicle is named ``v`` and its place in the fleet. One without an own path is a trip from junction to junction, for which SUMO finds
    the way.
    """
    n = len(fleet.departure)
    size = np.diff(fleet.path_start) if len(fleet.path_start) else np.zeros(n, np.int64)
    origin, destination = np.asarray(fleet.origin, np.int64), np.asarray(fleet.destination, np.int64)
    still = (size == 0) & (origin == destination)
    lost = np.zeros(n, bool)
    ask = np.flatnonzero((size == 0) & ~still)
    lost[ask] = ~_reached(origin[ask], destination[ask], edges, made)
    kept = np.flatnonzero(~still & ~lost)
    kept = kept[np.argsort(np.asarray(fleet.departure)[kept], kind="stable")]
    kinds = names_for(fleet.class_names, "c")
    notes = []
    unknown = [one for one in fleet.class_names if _AS.get(one, one) not in (*CLASSES, "ignoring")]
    if unknown:
        notes.append(f"{len(unknown)} vehicle classes are none of SUMO's ({', '.join(unknown[:5])}); their vehicles are passenger cars")
    found = {
        "vehicles begin and end at the same node; they are left out": still,
        "vehicles have no way to their destination; they are left out": lost,
    }
    notes += [f"{int(hit.sum())} {said}" for said, hit in found.items() if hit.any()]
    if len(fleet.stop_time) and np.any(fleet.stop_time):
        notes.append(f"{int(np.count_nonzero(fleet.stop_time))} stops are in the middle of their edge; the network does not say where")

    known = [_AS.get(name, name) if _AS.get(name, name) in (*CLASSES, "ignoring") else "passenger" for name in fleet.class_names]
    gaps = [{"minGap": f"{GAP:g}"} if kind in _CARS and "minGap" not in types.get(name, {}) else {}
            for name, kind in zip(fleet.class_names, known, strict=True)]  # fmt: skip
    if any(gaps):
        notes.append(f"cars keep {GAP:g} m between them at rest, as in the dynamic model (SUMO's default is 2.5 m)")

    def parts() -> Iterator[Node]:
        for name, kind, shape, gap in zip(fleet.class_names, kinds, known, gaps, strict=True):
            own = {key: str(value) for key, value in types.get(name, {}).items()}
            yield Node("vType", {"id": kind, "vClass": shape, **gap, **own})
        for row in kept.tolist():
            yield _vehicle(row, fleet, edges, nodes, kinds, lengths)

    write_xml(path, "routes", parts())
    return kept, notes


def _vehicle(row: int, fleet: Vehicles, edges: Edges, nodes: list[str], kinds: list[str], lengths: NDArray[np.float64]) -> Node:
    kind = kinds[int(fleet.vehicle_class[row])] if len(fleet.vehicle_class) else kinds[0]
    plain = {"id": f"v{row}", "type": kind, "depart": f"{float(fleet.departure[row]):.2f}", "departLane": "best", "departSpeed": "max"}
    begin, end = (int(fleet.path_start[row]), int(fleet.path_start[row + 1])) if len(fleet.path_start) else (0, 0)
    if begin == end:
        return Node("trip", {**plain, "fromJunction": nodes[int(fleet.origin[row])], "toJunction": nodes[int(fleet.destination[row])]})
    own = edges.of_link[np.asarray(fleet.path_links[begin:end], np.int64)].tolist()
    names = [edges.names[k] for k in own]
    stands = np.asarray(fleet.stop_time[begin:end]) if len(fleet.stop_time) else np.zeros(0)
    stops = tuple(Node("stop", {"edge": names[k], "endPos": f"{0.5 * lengths[own[k]]:.2f}", "duration": f"{stands[k]:.2f}"})
                  for k in np.flatnonzero(stands > 0).tolist())  # fmt: skip
    return Node("vehicle", plain, (Node("route", {"edges": " ".join(names)}), *stops))


def _reached(origin: Ints, destination: Ints, edges: Edges, made: Sequence[Connection]) -> NDArray[np.bool_]:
    """Return whether connections lead from any edge that leaves each origin to any that enters the destination."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components

    count, found = len(edges.names), np.zeros(len(origin), bool)
    if not len(origin):
        return found
    last = int(max(origin.max(), destination.max(), edges.tail.max(), edges.head.max())) + 1
    # edges, then a source and a sink for each node
    one = [np.array([a.source for a in made], np.int64), count + edges.tail, np.arange(count)]
    other = [np.array([a.target for a in made], np.int64), np.arange(count), count + last + edges.head]
    ends = np.concatenate(one), np.concatenate(other)
    graph = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(count + 2 * last,) * 2).tocsr()
    _, part = connected_components(graph[:count][:, :count], directed=True, connection="strong")
    core = part == np.bincount(part).argmax()
    leaves, enters = np.zeros(last, bool), np.zeros(last, bool)
    leaves[edges.tail[core]], enters[edges.head[core]] = True, True
    found = leaves[origin] & enters[destination]
    rest = np.flatnonzero(~found)
    for node in np.unique(origin[rest]).tolist():
        reached = np.zeros(count + 2 * last, bool)
        reached[breadth_first_order(graph, count + node, return_predecessors=False)] = True
        mine = rest[origin[rest] == node]
        found[mine] = reached[count + last + destination[mine]]
    return found
