"""Distribution elements as links of a network: ports are nodes, joined where the file connects them."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from cim.loaders.ifc.tree import related

if TYPE_CHECKING:
    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.tree import Tree
    from cim.model import CityBuilder

__all__ = ["write_links"]


def write_links(builder: CityBuilder, model: Any, tree: Tree, keys: Any, notes: Notes) -> None:
    """Write one link per way through an element that has ports, and what connects to what as relations."""
    owner = _owners(model, tree)
    ports: dict[int, list[int]] = defaultdict(list)
    for port, element in owner.items():
        ports[element].append(port)
    node, joined = _nodes(model, owner)
    systems = _systems(model, tree)
    rows: list[tuple[int, str, str | None, str | None, str, str]] = []
    loose = 0
    for element, mine in ports.items():
        rows += _ways(model, element, mine, node, systems.get(element, "distribution"))
        loose += sum(port not in joined for port in mine)
    if rows:
        where, network, start, end, direction, told = (list(column) for column in zip(*rows, strict=True))
        for name in dict.fromkeys(network):
            mine = [k for k, one in enumerate(network) if one == name]
            builder.add_links(keys[[tree.row[where[k]] for k in mine]], name, [start[k] for k in mine], [end[k] for k in mine],
                              direction=[direction[k] for k in mine], attributes=[told[k] for k in mine])  # fmt: skip
    if loose:
        message = f"{loose} ports of installations are connected to nothing; their links end there"
        notes.add("unmatched", message, severity="info", count=loose)
    pairs = dict.fromkeys((owner[a], owner[b]) for a, b in _connections(model) if a in owner and b in owner and owner[a] != owner[b])
    if pairs:
        builder.add_relations(keys[[tree.row[a] for a, _ in pairs]], "connectsTo", keys[[tree.row[b] for _, b in pairs]])


def _owners(model: Any, tree: Tree) -> dict[int, int]:
    """Return the element of each port."""
    found = {port: element for element, port in related(model, "IfcRelConnectsPortToElement", "RelatedElement", "RelatingPort")}
    ports = {one.id() for one in model.by_type("IfcPort")}
    for element, port in related(model, "IfcRelNests", "RelatingObject", "RelatedObjects"):
        if port in ports:
            found.setdefault(port, element)
    return {port: element for port, element in found.items() if element in tree.row}


def _connections(model: Any) -> list[tuple[int, int]]:
    return list(related(model, "IfcRelConnectsPorts", "RelatingPort", "RelatedPort"))


def _nodes(model: Any, owner: dict[int, int]) -> tuple[dict[int, str], set[int]]:
    """Return the name of the node of each port, one for all that are connected, and the ports that are connected."""
    leader = {port: port for port in owner}

    def top(port: int) -> int:
        while leader[port] != port:
            leader[port] = leader[leader[port]]
            port = leader[port]
        return port

    joined = set()
    for a, b in _connections(model):
        if a in leader and b in leader:
            leader[max(top(a), top(b))] = min(top(a), top(b))
            joined |= {a, b}
    return {port: str(getattr(model.by_id(top(port)), "GlobalId", None) or f"#{top(port)}") for port in owner}, joined


def _systems(model: Any, tree: Tree) -> dict[int, str]:
    """Return the system of each element: the first that is one."""
    found: dict[int, str] = {}
    for group, member in related(model, "IfcRelAssignsToGroup", "RelatingGroup", "RelatedObjects"):
        one = model.by_id(group)
        if member in tree.row and one.is_a("IfcSystem"):
            found.setdefault(member, str(one.Name or one.GlobalId))
    return found


def _ways(
    model: Any, element: int, ports: list[int], node: dict[int, str], network: str
) -> list[tuple[int, str, str | None, str | None, str, str]]:
    """Return the links through an element: from where it is fed to every other port."""
    flow = {port: str(getattr(model.by_id(port), "FlowDirection", None) or "NOTDEFINED") for port in ports}
    ordered = sorted(ports, key=lambda port: (flow[port] != "SINK", port))
    first, others = ordered[0], ordered[1:]
    told = json.dumps({"ifc_class": model.by_id(element).is_a()})
    if not others:
        return [(element, network, node[first], None, "both", told)]
    sure = flow[first] == "SINK" and all(flow[port] == "SOURCE" for port in others)
    return [(element, network, node[first], node[port], "forward" if sure else "both", told) for port in others]
