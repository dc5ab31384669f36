"""SUMO's plain files: nodes, edges, connections, signals and types as XML, and what netconvert made of them, read back."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from lxml import etree

from cim.loaders.limits import Limits
from cim.loaders.sumo.edges import CLASSES, permission
from cim.loaders.sumo.plans import Junction, Link
from cim.loaders.sumo.stream import elements, number, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.loaders.sumo.edges import Connection, Edges
    from cim.loaders.sumo.layout import Layout
    from cim.loaders.sumo.plans import Plan
    from cim.model.road_network import RoadNetwork

__all__ = [
    "Built",
    "Node",
    "built",
    "lane_links",
    "lengths_of",
    "write_connections",
    "write_edges",
    "write_nodes",
    "write_plans",
    "write_types",
    "write_xml",
]

RANKS = ("service", "living_street", "track", "unclassified", "residential", "tertiary_link", "tertiary", "secondary_link", "secondary",
         "primary_link", "primary", "trunk_link", "trunk", "motorway_link", "motorway")  # fmt: skip
"""Classes of OpenStreetMap, which our city networks use, from low to high priority."""


class Node(NamedTuple):
    """An element to be written: its name, attributes and children."""

    tag: str
    attributes: dict[str, str]
    children: tuple[Node, ...] = ()


def write_xml(path: Path, root: str, parts: Iterable[Node], attributes: dict[str, str] | None = None) -> None:
    """Write elements one by one; nothing is kept in memory, texts are escaped."""
    with etree.xmlfile(str(path), encoding="utf-8") as file:
        file.write_declaration()
        with file.element(root, attributes or {}):
            file.write("\n")
            for part in parts:
                file.write(_element(part), "\n")


def _element(part: Node) -> Any:
    made = etree.Element(part.tag, cast("dict[Any, Any]", part.attributes))
    made.extend(_element(one) for one in part.children)
    return made


def write_nodes(path: Path, network: RoadNetwork, names: list[str], layout: Layout, signals: Iterable[int]) -> None:
    """Write the nodes; those that no path may pass are at the fringe."""
    lit = set(signals)
    through = network.nodes["through"].to_pylist()

    def parts() -> Iterable[Node]:
        low, high = layout.place.min(axis=0), layout.place.max(axis=0)
        box = ",".join(f"{one:.2f}" for one in (*low, *high))
        x, y = layout.origin
        yield Node(
            "location", {"netOffset": f"{-x:.2f},{-y:.2f}", "convBoundary": box, "origBoundary": box, "projParameter": layout.projection}
        )
        for k, (name, (east, north)) in enumerate(zip(names, layout.place.tolist(), strict=True)):
            kind = {"type": "traffic_light", "tl": name} if k in lit else {"type": "priority"}
            yield Node("node", {"id": name, "x": f"{east:.3f}", "y": f"{north:.3f}", **kind, **({} if through[k] else {"fringe": "outer"})})

    write_xml(path, "nodes", parts())


def write_types(path: Path, network: RoadNetwork) -> dict[str, str]:
    """Write a type for each class of links; return the name of each class."""
    from cim.loaders.sumo.edges import names_for

    kinds = sorted({kind for kind in network.links["class"].to_pylist() if kind and not kind.startswith(("allow ", "disallow "))})
    names = dict(zip(kinds, names_for(kinds, "t"), strict=True))
    write_xml(path, "types", (Node("type", {"id": names[kind], "priority": str(_rank(kind))}) for kind in kinds))
    return names


def _rank(kind: str | None) -> int:
    return RANKS.index(kind) + 1 if kind in RANKS else 4


def write_edges(path: Path, network: RoadNetwork, edges: Edges, nodes: list[str], types: dict[str, str],
                inside: dict[str, float]) -> int:  # fmt: skip
    """Write the edges; return of how many the length was kept at its least.

    Parameters
    ----------
    inside
        Mean way over the junction at the end of each edge [m], which is taken off its length: lengths of the network go from node to node.
    """
    kinds = network.links["class"].to_pylist()
    lengths, short = lengths_of(edges, inside)

    def parts() -> Iterable[Node]:
        for k, (name, rows) in enumerate(zip(edges.names, edges.links, strict=True)):
            kind = kinds[rows[0]]
            lanes = tuple(_lane(edges, row, kinds[row], index) for row in rows
                          for index in range(int(edges.first_lane[row]), int(edges.first_lane[row] + edges.many_lanes[row])))  # fmt: skip
            plain = len({tuple(sorted((key, value) for key, value in lane.attributes.items() if key != "index")) for lane in lanes}) == 1
            only = lanes[0].attributes if plain else {}
            yield Node("edge", {
                "id": name, "from": nodes[edges.tail[k]], "to": nodes[edges.head[k]], "numLanes": str(int(edges.lanes[k])),
                "speed": only.get("speed", lanes[0].attributes["speed"]), "length": f"{lengths[k]:.3f}", "priority": str(_rank(kind)),
                **({"type": types[kind]} if kind in types else {}), **({"allow": only["allow"]} if "allow" in only else {}),
            }, () if plain else lanes)  # fmt: skip

    write_xml(path, "edges", parts())
    return short


def lengths_of(edges: Edges, inside: dict[str, float]) -> tuple[NDArray[np.float64], int]:
    """Return the length of each edge up to the junction [m], and how many are kept at a fifth of the length from node to node."""
    left = edges.length - np.array([inside.get(name, 0.0) for name in edges.names])
    least = np.maximum(0.2 * edges.length, 0.2)
    return np.maximum(left, least), int((left < least).sum())


def _lane(edges: Edges, row: int, kind: str | None, index: int) -> Node:
    allowed = permission(kind)
    said = {} if len(allowed) == len(CLASSES) else {"allow": " ".join(sorted(allowed))} if allowed else {"disallow": "all"}
    return Node("lane", {"index": str(index), "speed": f"{edges.speed[row]:.6g}", **said})


def write_connections(path: Path, edges: Edges, made: list[Connection], yields: Iterable[tuple[int, int, int, int]]) -> None:
    """Write what connects edges or lanes, edges from which nothing leads on, and who gives way to whom."""
    name = edges.names
    leading = {one.source for one in made}

    def parts() -> Iterable[Node]:
        for one in made:
            lanes = {} if one.from_lane < 0 else {"fromLane": str(one.from_lane), "toLane": str(one.to_lane)}
            yield Node("connection", {"from": name[one.source], "to": name[one.target], **lanes})
        yield from (Node("connection", {"from": own}) for k, own in enumerate(name) if k not in leading)
        for a, b, c, d in yields:
            yield Node("prohibition", {"prohibitor": f"{name[c]}->{name[d]}", "prohibited": f"{name[a]}->{name[b]}"})

    write_xml(path, "connections", parts())


def write_plans(path: Path, plans: dict[str, Plan], junctions: dict[str, Junction]) -> None:
    """Write the programs, and which connection has which place in them."""

    def parts() -> Iterable[Node]:
        for name, plan in plans.items():
            phases = tuple(Node("phase", {"duration": f"{duration:.3f}", "state": state}) for duration, state in plan.phases)
            yield Node("tlLogic", {"id": name, "type": "static", "programID": "0", "offset": f"{plan.offset:.3f}"}, phases)
        for name in plans:
            for link in junctions[name].links:
                yield Node("connection", {
                    "from": link.source, "to": link.target, "fromLane": str(link.from_lane), "toLane": str(link.to_lane), "tl": name,
                    "linkIndex": str(link.place),
                })  # fmt: skip

    write_xml(path, "tlLogics", parts())


# ---------------------------------------------------------------- what netconvert made


class Built(NamedTuple):
    """A network as netconvert built it."""

    pairs: set[tuple[str, str]]
    """Edges that are connected."""
    junctions: dict[str, Junction]
    """Those with signals, by the name of the signal."""
    inside: dict[str, float]
    """Mean length of the lanes over the junction, by the edge that leads into them [m]."""
    inner_edges: dict[str, str]
    """The edge that leads into each edge inside a junction."""


def built(path: Path) -> Built:
    """Return what netconvert built."""
    length: dict[str, float] = {}
    turns: list[tuple[str, str, str]] = []
    onward: dict[str, str] = {}
    links: dict[str, list[Link]] = defaultdict(list)
    response: dict[str, dict[int, str]] = {}
    for element in elements(path, ("net",), _limits(path)):
        tag = etree.QName(element).localname
        if tag == "edge" and element.get("function") == "internal":
            length.update({text_of(lane, "id", path): number(lane, "length", path) for lane in element})
        elif tag == "junction":
            response[text_of(element, "id", path)] = {int(number(one, "index", path)): one.get("response", "") for one in element}
        elif tag == "connection":
            source, target = text_of(element, "from", path), text_of(element, "to", path)
            if source.startswith(":"):
                onward[f"{source}_{element.get('fromLane')}"] = element.get("via") or ""
                continue
            turns.append((source, target, element.get("via") or ""))
            if element.get("tl"):
                lanes = int(number(element, "fromLane", path)), int(number(element, "toLane", path))
                links[text_of(element, "tl", path)].append(
                    Link(source, lanes[0], target, lanes[1], int(number(element, "linkIndex", path)))
                )
    ways: dict[str, list[float]] = defaultdict(list)
    inner: dict[str, str] = {}
    for source, _, via in turns:
        total, at = 0.0, via
        while at in length and len(inner) <= len(length):
            inner[at.rpartition("_")[0]] = source
            total, at = total + length[at], onward.get(at, "")
        ways[source].append(total)
    junctions = {name: Junction(tuple(some), response.get(name, {})) for name, some in links.items()}
    inside = {source: float(np.mean(some)) for source, some in ways.items()}
    return Built({(source, target) for source, target, _ in turns}, junctions, inside, inner)


def _limits(path: Path) -> Limits:
    """Return limits for a file that our own child wrote."""
    return Limits(file_bytes=max(Limits().file_bytes, path.stat().st_size))


def lane_links(edges: Edges) -> dict[tuple[str, int], int]:
    """Return the link of each edge and lane."""
    made: dict[tuple[str, int], int] = {}
    first: NDArray[np.int64] = edges.first_lane
    for name, rows in zip(edges.names, edges.links, strict=True):
        made.update({(name, int(first[row]) + k): row for row in rows for k in range(int(edges.many_lanes[row]))})
    return made
