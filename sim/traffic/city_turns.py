"""Turns that a city forbids: turn restrictions of OpenStreetMap, as pairs of the links of a network.

The reader keeps each restriction among the properties of its first way: kind, the ways it leads from and to, and what lies between.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.road_network import BANNED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]

__all__ = ["banned_turns"]

_SET = "turn_restriction"
_CARS = frozenset({"motorcar", "motor_vehicle", "vehicle"})
"""Names of cars among the exceptions of a restriction."""
_TIMES = ("time", "day_on", "day_off", "hour_on", "hour_off", "restriction:conditional")
"""Tags that say that a restriction holds at times only."""


def banned_turns(city: City, network: RoadNetwork) -> tuple[pa.Table, list[str]]:
    """Return the turns that cars may never make, as rows of `BANNED`, and what is to be told of the rest.

    ``no_…`` bans the turns from its first to its last way at its node, ``only_…`` all others there. What holds at times only, for other
    vehicles, or over a way between is not banned and told.

    Parameters
    ----------
    network
        Links and nodes of the city, with the nodes' names and the roads' ids.
    """
    said = city.tables.scan("properties", ["object", "name", "value"], pc.field("set") == _SET)
    if not said.num_rows:
        return BANNED.empty_table(), []
    names = dict(zip(said["name"].to_pylist(), said["value"].to_pylist(), strict=True))
    rules = [json.loads(text) for _, text in sorted(names.items())]
    turns = _Turns(city, network)
    left: Counter[str] = Counter()
    pairs: list[tuple[int, int]] = []
    for rule in rules:
        why = _why_not(rule)
        found = [] if why else turns.of(rule)
        if why or not found:
            left[why or "of roads or nodes that are not in the network"] += 1
        pairs += found
    made = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    notes = [f"{len(made)} turns are banned by {len(rules) - left.total()} turn restrictions"] if len(made) else []
    notes += [f"{count} turn restrictions {what} ban nothing" for what, count in sorted(left.items())]
    return pa.table([made[:, 0], made[:, 1]], schema=BANNED), notes


def _why_not(rule: dict[str, Any]) -> str:
    """Return why a restriction does not hold for cars at all times at a node, "" where it does."""
    tags = rule.get("tags") or {}
    kinds = [key for key in tags if key.startswith("restriction:") and key not in _TIMES]
    if any(tags.get(key) for key in _TIMES):
        return "that hold at times only"
    if {one.strip() for one in str(tags.get("except", "")).split(";")} & _CARS:
        return "that cars are excepted from"
    if kinds and "restriction" not in tags and not {key.partition(":")[2] for key in kinds} & _CARS:
        return "for other vehicles"
    if len(rule.get("via") or ()) != 1 or not str(rule["via"][0]).startswith("node/"):
        return "over a way between"
    return "" if str(rule.get("restriction", "")).startswith(("no_", "only_")) else "of a kind that is not known"


class _Turns:
    """Turns of a network by the ids that a source has for its ways and nodes."""

    def __init__(self, city: City, network: RoadNetwork) -> None:
        self.tail, self.head = network.column("from_node"), network.column("to_node")
        owners = network.links["object"].to_pylist()
        self.rows: dict[str, list[int]] = {}
        for row, owner in enumerate(owners):
            self.rows.setdefault(owner, []).append(row)
        self.node = {name: row for row, name in enumerate(network.nodes["id"].to_pylist())}
        self.alias = _aliases(city)
        self.out_first, self.out = network.forward_star

    def of(self, rule: dict[str, Any]) -> list[tuple[int, int]]:
        """Return the pairs of links that a restriction bans."""
        node = self.node.get(rule["via"][0], -1)
        begin = [row for way in rule["from"] for row in self._links(way) if self.head[row] == node]
        end = {row for way in rule["to"] for row in self._links(way) if self.tail[row] == node}
        if not begin or not end:
            return []
        if rule["restriction"].startswith("only_"):
            leaving = self.out[self.out_first[node] : self.out_first[node + 1]].tolist()
            return [(a, z) for a in begin for z in leaving if z not in end]
        back = rule["restriction"] == "no_u_turn" and rule["from"] == rule["to"]
        return [(a, z) for a in begin for z in sorted(end) if not back or self.head[z] == self.tail[a]]

    def _links(self, way: str) -> list[int]:
        return self.rows.get(way) or [row for owner in self.alias.get(way, ()) for row in self.rows.get(owner, ())]


def _aliases(city: City) -> dict[str, list[str]]:
    """Return the ids of objects by their ids in OpenStreetMap, for cities that were put together from several sources."""
    table = city.tables.scan("identifiers", ["object", "value"], pc.field("scheme") == "osm")
    found: dict[str, list[str]] = {}
    for value, id in zip(table["value"].to_pylist(), city.ids(table["object"].to_numpy()), strict=True):
        found.setdefault(value, []).append(id)
    return found
