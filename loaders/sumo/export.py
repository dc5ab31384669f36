"""A road network and vehicles as SUMO's plain XML: nodes, edges, connections, signals and routes, for `netconvert` and `sumo`.

What is written: lanes, lengths, speeds, allowed turns, fixed-time greens with an amber after each, vehicles with their routes. Who gives
way, and headways, are SUMO's own. Ids are SUMO's (``e12``: the road of link row 12), for it forbids many letters; each road and node
carries its own id beside.

Format: SUMO documentation, "PlainXML" and "Definition of Vehicles, Vehicle Types, and Routes".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from xml.sax.saxutils import quoteattr

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]

__all__ = ["PlainFiles", "Vehicles", "write_plain", "write_routes"]

AMBER = 3.0
"""Amber after a green [s], taken from the red that follows: 3 s at 50 km/h (RiLSA 2015)."""
LANE_CAPACITY = 1800.0
"""Capacity of a lane [veh/h] where the network does not say how many lanes a link has; rounded up to whole lanes."""
_CLASSES = {"car": "passenger", "truck": "truck", "bus": "bus", "taxi": "taxi", "emergency": "emergency", "motorcycle": "motorcycle",
            "bicycle": "bicycle", "pedestrian": "pedestrian"}  # fmt: skip


class Vehicles(Protocol):
    """A fleet in columns, as the dynamic model and `read_routes` have it."""

    @property
    def departure(self) -> NDArray[np.float64]:
        """Times [s]."""

    @property
    def origin(self) -> Ints:
        """Rows of nodes."""

    @property
    def destination(self) -> Ints:
        """Rows of nodes."""

    @property
    def path_start(self) -> Ints:
        """Where each path begins in `path_links`; empty where nobody has one."""

    @property
    def path_links(self) -> Ints:
        """Rows of links."""

    @property
    def vehicle_class(self) -> NDArray[np.int8]:
        """Rows of `class_names`; empty: all the first."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Vehicle classes."""


@dataclass(frozen=True)
class PlainFiles:
    """What was written."""

    nodes: Path
    edges: Path
    connections: Path
    signals: Path
    notes: tuple[str, ...]
    """What SUMO gets in another way, with counts."""

    def command(self, network: str | Path) -> list[str]:
        """Return the command that makes a SUMO network of the files."""
        return ["netconvert", "--node-files", str(self.nodes), "--edge-files", str(self.edges), "--connection-files", str(self.connections),
                "--tllogic-files", str(self.signals), "--output-file", str(network),
                "--no-turnarounds"]  # fmt: skip


@dataclass(frozen=True)
class _Roads:
    """Links as edges of lanes."""

    edge: Ints
    """Link row that names the edge of each link, shape (links,)."""
    index: Ints
    """Lane of its edge that each link is."""
    lanes: dict[int, int]
    """Lanes of each edge."""
    single: dict[int, bool]
    """Whether the lanes of an edge are links of their own."""


def write_plain(network: RoadNetwork, folder: str | Path) -> PlainFiles:
    """Write the plain XML of a network into a folder, which is made where it is not there.

    Links of one object between the same nodes become the lanes of one edge.

    Raises
    ------
    UsageError
        If nodes have no place, or links no length or no time.
    """
    folder = Path(folder)
    _check(network)
    folder.mkdir(parents=True, exist_ok=True)
    roads, said = _roads(network)
    turns = _turns(network, roads)
    signals, connections, told = _signals(network, roads, turns)
    nodes, edges, joined, programs = (folder / f"roads.{end}.xml" for end in ("nod", "edg", "con", "tll"))
    files = PlainFiles(nodes, edges, joined, programs, (*said, *told))
    _write(files.nodes, "nodes", _nodes(network, {node for node, _ in signals}))
    _write(files.edges, "edges", _edges(network, roads))
    _write(files.connections, "connections", connections)
    _write(files.signals, "tlLogics", (text for _, text in signals))
    return files


def write_routes(vehicles: Vehicles, network: RoadNetwork, path: str | Path) -> Path:
    """Write vehicles by departure; one without an own path becomes a trip from junction to junction (``sumo --junction-taz``)."""
    roads, _ = _roads(network)
    order = np.argsort(vehicles.departure, kind="stable")
    names = vehicles.class_names
    kind = vehicles.vehicle_class if len(vehicles.vehicle_class) else np.zeros(len(order), np.int8)

    def lines() -> Iterable[str]:
        for name in names:
            yield f'<vType id={quoteattr(name)} vClass="{_CLASSES.get(name, "ignoring" if name == "ignoring" else "passenger")}"/>'
        for k in order.tolist():
            head = f'id="v{k}" type={quoteattr(names[kind[k]])} depart="{vehicles.departure[k]:.2f}"'
            links = vehicles.path_links[vehicles.path_start[k] : vehicles.path_start[k + 1]] if len(vehicles.path_start) else ()
            if len(links):
                edges = " ".join(f"e{row}" for row in roads.edge[links].tolist())
                yield f'<vehicle {head} departLane="best"><route edges="{edges}"/></vehicle>'
            elif vehicles.origin[k] != vehicles.destination[k]:
                yield f'<trip {head} departLane="best" fromJunction="n{vehicles.origin[k]}" toJunction="n{vehicles.destination[k]}"/>'

    return _write(Path(path), "routes", lines())


def _check(network: RoadNetwork) -> None:
    faults = []
    lost = network.nodes["x"].null_count + network.nodes["y"].null_count
    if lost:
        faults.append(f"{lost} coordinates of nodes are not known; SUMO draws and joins roads by them")
    for name in ("length", "free_flow_time"):
        bad = ~(network.column(name) > 0)
        if bad.any():
            faults.append(f"{int(bad.sum())} links have no {name} (first: {network.links['id'][int(np.argmax(bad))].as_py()})")
    if faults:
        msg = f"SUMO export: {len(faults)} faults:\n  " + "\n  ".join(faults)
        raise UsageError(msg)


def _roads(network: RoadNetwork) -> tuple[_Roads, list[str]]:
    tail, head = network.column("from_node"), network.column("to_node")
    given, capacity = network.column("lanes"), network.column("capacity")
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(tail.tolist(), head.tolist(), network.links["object"].to_pylist(), strict=True)):
        groups.setdefault(key if key[2] is not None else (row,), []).append(row)
    edge, index = np.zeros(len(tail), np.int64), np.zeros(len(tail), np.int64)
    lanes, single, guessed = {}, {}, 0
    for rows in groups.values():
        first = rows[0]
        edge[rows], index[rows] = first, np.arange(len(rows))
        single[first] = len(rows) > 1
        known = given[first] > 0
        guessed += not known and len(rows) == 1
        lanes[first] = len(rows) if len(rows) > 1 else max(1, int(np.ceil(given[first] if known else capacity[first] / LANE_CAPACITY)))
    notes = [f"{guessed} links without lanes have one for each {LANE_CAPACITY:g} veh/h of their capacity"] if guessed else []
    return _Roads(edge, index, lanes, single), notes


def _nodes(network: RoadNetwork, signalled: set[int]) -> Iterable[str]:
    for k, row in enumerate(network.nodes.to_pylist()):
        kind = f' type="traffic_light" tl="n{k}"' if k in signalled else ""
        yield f'<node id="n{k}" x="{row["x"]:.2f}" y="{row["y"]:.2f}"{kind}><param key="id" value={quoteattr(row["id"])}/></node>'


def _edges(network: RoadNetwork, roads: _Roads) -> Iterable[str]:
    tail, head, length, time = (network.column(name) for name in ("from_node", "to_node", "length", "free_flow_time"))
    ids, owners, classes = (network.links[name].to_pylist() for name in ("id", "object", "class"))
    members: dict[int, list[int]] = {}
    for row, first in enumerate(roads.edge.tolist()):
        members.setdefault(first, []).append(row)
    for first, rows in members.items():
        name = owners[first] if roads.single[first] else ids[first]
        inner = "".join(_lane(int(roads.index[row]), classes[row]) for row in rows)
        yield (f'<edge id="e{first}" from="n{tail[first]}" to="n{head[first]}" numLanes="{roads.lanes[first]}" '
               f'speed="{length[first] / time[first]:.3f}" length="{length[first]:.2f}">'
               f'{inner}<param key="id" value={quoteattr(name)}/></edge>')  # fmt: skip


def _lane(index: int, permission: str | None) -> str:
    """Return who may use a lane, where the class of its link says so as `read_network` writes it."""
    word, *names = (permission or "").split() or [""]
    return f'<lane index="{index}" {word}={quoteattr(" ".join(names))}/>' if word in ("allow", "disallow") and names else ""


def _turns(network: RoadNetwork, roads: _Roads) -> dict[int, list[tuple[int, int, int, int, int]]]:
    """Return the turns at each node: edge and lane that each leaves, edge and lane that it enters, and the link that it leaves."""
    tail, head = network.column("from_node").tolist(), network.column("to_node").tolist()
    banned = set(zip(network.banned["from_link"].to_pylist(), network.banned["to_link"].to_pylist(), strict=True))
    leaving: dict[int, dict[int, list[int]]] = {}
    for row, node in enumerate(tail):
        leaving.setdefault(node, {}).setdefault(int(roads.edge[row]), []).append(row)
    said = [one if (one or "").startswith("allow") else None for one in network.links["class"].to_pylist()]
    made: dict[int, list[tuple[int, int, int, int, int]]] = {}
    for row, node in enumerate(head):
        source = int(roads.edge[row])
        mine = [int(roads.index[row])] if roads.single[source] else list(range(roads.lanes[source]))
        for target, links in leaving.get(node, {}).items():
            if any((row, one) not in banned for one in links):
                open_ = _open_lanes(said[row], [said[one] for one in links], roads.lanes[target])
                made.setdefault(node, []).extend((source, lane, target, min(open_, key=lambda k: abs(k - lane)), row) for lane in mine)
    return made


def _open_lanes(mine: str | None, theirs: list[str | None], count: int) -> list[int]:
    """Return the lanes that a lane leads into: those for the same vehicles, else those for all, else any."""
    if len(theirs) < count:
        return list(range(count))
    alike = [k for k, one in enumerate(theirs) if one == mine]
    return alike or [k for k, one in enumerate(theirs) if one is None] or list(range(count))


def _signals(
    network: RoadNetwork, roads: _Roads, turns: dict[int, list[tuple[int, int, int, int, int]]]
) -> tuple[list[tuple[int, str]], list[str], list[str]]:
    """Return the programs by node, all connections, and what is told."""
    greens: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    for one in network.signals.to_pylist():
        key = (one["from_link"], int(roads.edge[one["to_link"]]))
        greens.setdefault(key, []).append((one["cycle"], one["green_from"], one["green_until"]))
    programs, connections, apart = [], [], 0
    for node, mine in turns.items():
        cycles = {rows[0][0] for turn in mine for rows in [greens.get((turn[4], turn[2]))] if rows}
        apart += len(cycles) > 1
        signalled = len(cycles) == 1
        for k, (source, lane, target, into, _) in enumerate(mine):
            tl = f' tl="n{node}" linkIndex="{k}"' if signalled else ""
            connections.append(f'<connection from="e{source}" to="e{target}" fromLane="{lane}" toLane="{into}"/>')
            if tl:
                programs.append((node, connections[-1].replace("/>", f"{tl}/>")))
        if signalled:
            programs.append((node, _program(node, cycles.pop(), [greens.get((turn[4], turn[2]), []) for turn in mine])))
    notes = [f"{apart} nodes have signals of several cycles; SUMO gets none there"] if apart else []
    if network.yields.num_rows:
        notes.append(f"{network.yields.num_rows} turns that give way are left to SUMO's own rules")
    programs.sort(key=lambda one: "<connection" in one[1])  # programs come before their connections
    return programs, connections, notes


def _program(node: int, cycle: float, greens: list[list[tuple[float, float, float]]]) -> str:
    """Return a program: a phase between any two instants at which a turn changes, with amber after each green that is followed by red."""
    ends = {until % cycle for mine in greens for _, _, until in mine}
    cuts = {0.0, *(begin % cycle for mine in greens for _, begin, _ in mine), *ends, *((end + AMBER) % cycle for end in ends)}
    times = [*sorted(cuts), cycle]

    def shown(mine: list[tuple[float, float, float]], time: float) -> str:
        if not mine or any((time - begin) % cycle < until - begin for _, begin, until in mine):
            return "g"
        return "y" if any((time - until) % cycle < AMBER for _, _, until in mine) else "r"

    phases = "".join(
        f'<phase duration="{after - time:.2f}" state="{"".join(shown(mine, (time + after) / 2) for mine in greens)}"/>'
        for time, after in pairwise(times)
        if after - time > 0.01
    )
    return f'<tlLogic id="n{node}" type="static" programID="0" offset="0">{phases}</tlLogic>'


def _write(path: Path, root: str, lines: Iterable[str]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.write(f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>\n')
        file.writelines(f"    {line}\n" for line in lines)
        file.write(f"</{root}>\n")
    return path
