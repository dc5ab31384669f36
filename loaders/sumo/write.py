"""Writing of a road network and its vehicles for SUMO: plain files, the net that netconvert builds from them, routes and a configuration.

Names are made such that SUMO takes them; ``links.csv`` and ``nodes.csv`` tell which edge is which link and which junction which node.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from cim.loaders.sumo.demand import fleet_faults, passed, write_routes
from cim.loaders.sumo.edges import Connection, Edges, connections, edges_of, names_for
from cim.loaders.sumo.layout import layout
from cim.loaders.sumo.plain import (
    Built,
    Node,
    built,
    lane_links,
    lengths_of,
    write_connections,
    write_edges,
    write_nodes,
    write_plans,
    write_types,
    write_xml,
)
from cim.loaders.sumo.plans import cycles_of, plan_of
from cim.loaders.sumo.programs import program, run
from cim.model.road_network import checked

if TYPE_CHECKING:
    from cim.loaders.sumo.demand import Vehicles
    from cim.loaders.sumo.plans import Plan
    from cim.model.road_network import RoadNetwork

__all__ = ["SECONDS", "SumoFiles", "write_sumo"]

SECONDS = 600.0
"""Time that a program of SUMO may take [s]."""
_NET = "network.net.xml"
_PLAIN = {kind: f"network.{kind}.xml" for kind in ("nod", "edg", "con", "tll", "typ")}

_OPTIONS = (
    "--xml-validation", "never", "--offset.disable-normalization", "true", "--no-turnarounds", "true", "--precision", "3",
    "--junctions.limit-turn-speed", "-1", "--tls.default-type", "static", "--check-lane-foes.all", "true",
)  # fmt: skip
"""Of netconvert: places stay, ways back are those that are asked for, free-flow times hold turns already, and turns into different lanes of
a road do not hinder each other."""


@dataclass(frozen=True)
class SumoFiles:
    """What was written."""

    net: Path
    """Network for ``sumo``, ``.net.xml``."""
    routes: Path | None
    """Vehicles, ``.rou.xml``; None without a fleet."""
    config: Path
    """``sumo -c`` runs it."""
    links: pa.Table
    """Of each link: `link`, `object`, `edge`, its first lane and number of lanes; the same as ``links.csv``."""
    vehicles: np.ndarray[Any, np.dtype[np.int64]]
    """Places in the fleet of the vehicles that were written; vehicle ``v7`` has place 7."""
    built: Built
    notes: tuple[str, ...]
    """What SUMO cannot hold, what was assumed, and what netconvert warns of, each with its count."""


class _Plan(NamedTuple):
    network: RoadNetwork
    edges: Edges
    nodes: list[str]
    made: list[Connection]
    types: dict[str, str]
    options: list[str]
    seconds: float
    inside: dict[str, float]
    """Way over the junction that was taken off each edge [m]."""


def write_sumo(
    network: RoadNetwork,
    folder: str | Path,
    *,
    fleet: Vehicles | None = None,
    vehicle_types: Mapping[str, Mapping[str, Any]] | None = None,
    clock: float = 0.0,
    until: float | None = None,
    internal_links: bool = True,
    seconds: float = SECONDS,
) -> SumoFiles:
    """Write a network, and vehicles on it, for SUMO.

    Parameters
    ----------
    folder
        Made where it is not there; must not hold a network.
    fleet
        A `cim.sim.traffic.dynamic.Fleet`: vehicles with their own paths keep them, for the others SUMO finds ways.
    vehicle_types
        Attributes of SUMO's ``vType`` by vehicle class, such as ``{"car": {"tau": 1.2, "sigma": 0}}``. Cars have ``minGap``
        1.5 m unless told otherwise, so that they take 6.5 m in a jam, as in the dynamic model.
    clock
        Second of the day at the start: signals count from midnight.
    until
        End of the run [s]; without, SUMO runs until all vehicles are there.
    internal_links
        Lanes over the junctions, on which vehicles drive and block each other; their length is taken off that of the edges. The
        mesoscopic model of SUMO knows none: write without for it.
    seconds
        Time that netconvert may take [s], each of its two times.

    Raises
    ------
    UsageError
        If network or fleet hold faults, or the folder a network.
    MissingExtraError
        If SUMO is not installed.
    RunError
        If netconvert finds an error.
    """
    place = Path(folder)
    faults = [f"{place} holds a {_NET} already; give an empty folder"] if (place / _NET).exists() else []
    faults += ["the network has no links"] * (not network.links.num_rows)
    faults += fleet_faults(fleet, network.nodes.num_rows, network.links.num_rows) if fleet is not None else []
    checked(network, faults)
    program("netconvert")
    with tempfile.TemporaryDirectory(prefix="cim-sumo-") as name:
        work = Path(name)
        found, made, notes = _net(network, work, fleet, clock, seconds, internal_links=internal_links)
        kept = np.zeros(0, np.int64)
        said: list[str] = []
        if fleet is not None:
            kept, said = write_routes(work / "vehicles.rou.xml", fleet, made.edges, made.nodes, made.made, vehicle_types or {},
                                     lengths_of(made.edges, made.inside)[0])  # fmt: skip
        _config(work, until, routes=fleet is not None)
        table = _tables(made, work)
        place.mkdir(parents=True, exist_ok=True)
        for one in sorted(work.iterdir(), key=lambda path: path.name == _NET):  # the net comes last: with it the folder is whole
            shutil.move(one, place / one.name)
    notes += [*_losses(network), *said]
    routes = place / "vehicles.rou.xml" if fleet is not None else None
    return SumoFiles(place / _NET, routes, place / "run.sumocfg", table, kept, found, tuple(notes))


def _net(
    network: RoadNetwork, work: Path, fleet: Vehicles | None, clock: float, seconds: float, *, internal_links: bool
) -> tuple[Built, _Plan, list[str]]:  # fmt: skip
    """Write the plain files and build the net: once to know what connects and how long junctions are, once with what follows from it."""
    edges = edges_of(network)
    nodes = names_for(network.nodes["id"].to_pylist(), "n")
    signals, said = cycles_of(network, edges)
    made, more = connections(network, edges, passed(fleet, edges) if fleet is not None else set())
    where = layout(network)
    write_nodes(work / _PLAIN["nod"], network, nodes, where, signals)
    types = write_types(work / _PLAIN["typ"], network)
    write_edges(work / _PLAIN["edg"], network, edges, nodes, types, {})
    asked = {(one.source, one.target) for one in made}
    yields, mutual = _yields(network, edges, asked)
    write_connections(work / _PLAIN["con"], edges, made, yields)
    options = [*_OPTIONS, "--no-internal-links", str(not internal_links).lower()]
    plan = _Plan(network, edges, nodes, made, types, options, seconds, {})
    found = _convert(plan, work, "first.net.xml")[0]
    (work / "first.net.xml").unlink()
    plans, free = _plans(edges, nodes, signals, found, clock)
    write_plans(work / _PLAIN["tll"], plans, found.junctions)
    made = _by_lane(made, edges, found)  # netconvert knows a place in a program for connections by lane alone
    write_connections(work / _PLAIN["con"], edges, made, yields)
    short = write_edges(work / _PLAIN["edg"], network, edges, nodes, types, found.inside)
    plan = plan._replace(inside=found.inside, made=made)
    found, warned = _convert(plan, work, _NET)
    wanted = {(edges.names[a], edges.names[b]) for a, b in asked}
    counted = {
        "turns could not be built by netconvert": len(wanted - found.pairs),
        "turns that the network bans were added by netconvert": len(found.pairs - wanted),
        "turns give way to each other; geometry and priority decide": mutual,
        "edges are hardly longer than the way over their junction; they are a fifth of their length": short,
        "lanes out of junctions with signals know no signal themselves; they are always green": free,
    }
    told = [f"{many} {said}" for said, many in counted.items() if many]
    return found, plan, [*edges.notes, *where.notes, *said, *more, *told, *warned]


def _by_lane(made: list[Connection], edges: Edges, found: Built) -> list[Connection]:
    """Return the connections with the lanes that netconvert chose before signals."""
    edge_at = {name: k for k, name in enumerate(edges.names)}
    lanes = [Connection(edge_at[one.source], edge_at[one.target], one.from_lane, one.to_lane)
             for junction in found.junctions.values() for one in junction.links]  # fmt: skip
    there = {one.source for one in lanes}
    return [*(one for one in made if one.source not in there), *lanes]


def _convert(plan: _Plan, work: Path, name: str) -> tuple[Built, list[str]]:
    files = [("nod", "-n"), ("edg", "-e"), ("con", "-x"), ("typ", "-t"), ("tll", "-i")]
    given = [part for kind, option in files if (work / _PLAIN[kind]).exists() for part in (option, _PLAIN[kind])]
    warned = run("netconvert", [*given, "-o", name, *plan.options], work, seconds=plan.seconds)
    return built(work / name), warned


def _plans(edges: Edges, nodes: list[str], signals: Mapping[int, Any], found: Built, clock: float) -> tuple[dict[str, Plan], int]:
    """Return the programs by the names of their junctions, and how many lanes know no signal."""
    link_at, edge_at = lane_links(edges), {name: k for k, name in enumerate(edges.names)}
    made, free = {}, 0
    for node, (cycle, greens) in signals.items():
        junction = found.junctions.get(nodes[node])
        if junction is not None:
            made[nodes[node]], more = plan_of(junction, cycle, greens, link_at, edge_at, clock=clock)
            free += more
    return made, free


def _yields(network: RoadNetwork, edges: Edges, asked: set[tuple[int, int]]) -> tuple[list[tuple[int, int, int, int]], int]:
    """Return who gives way to whom as pairs of edges, and how many of them do so mutually."""
    names = ("from_link", "to_link", "before_from", "before_to")
    columns = [edges.of_link[network.yields[name].to_numpy()].tolist() for name in names]
    found = {one for one in zip(*columns, strict=True) if one[:2] != one[2:] and one[:2] in asked and one[2:] in asked}
    mutual = {one for one in found if (*one[2:], *one[:2]) in found}
    return sorted(found - mutual), len(mutual) // 2


def _config(work: Path, until: float | None, *, routes: bool) -> None:
    def value(tag: str, said: str) -> Node:
        return Node(tag, {"value": said})

    given = (value("net-file", _NET), *((value("route-files", "vehicles.rou.xml"),) if routes else ()))
    end = (value("end", f"{until:.2f}"),) if until is not None else ()
    write_xml(work / "run.sumocfg", "configuration", [
        Node("input", {}, given), Node("time", {}, (value("begin", "0"), *end)), Node("routing", {}, (value("junction-taz", "true"),)),
        Node("report", {}, (value("xml-validation", "never"), value("no-step-log", "true"))),
    ])  # fmt: skip


def _tables(plan: _Plan, work: Path) -> pa.Table:
    from pyarrow import csv

    edges, links = plan.edges, plan.network.links
    table = pa.table({
        "link": links["id"], "object": links["object"], "edge": [edges.names[k] for k in edges.of_link.tolist()],
        "first_lane": edges.first_lane, "lanes": edges.many_lanes,
    })  # fmt: skip
    csv.write_csv(table, work / "links.csv")
    csv.write_csv(pa.table({"node": plan.network.nodes["id"], "junction": plan.nodes}), work / "nodes.csv")
    return table


def _losses(network: RoadNetwork) -> list[str]:
    counts = {
        "links have a fixed cost (tolls), which SUMO does not know": int((network.column("fixed") != 0).sum()),
        "links have a capacity, which SUMO does not take: its drivers and junctions make it": network.links.num_rows,
    }
    return [f"{many} {said}" for said, many in counts.items() if many]
