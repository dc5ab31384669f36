"""Traffic zones: which buildings belong together, where their trips enter the roads, and how far it is between them.

Every zone has a node of its own, the centroid, on which paths only begin and end. Connectors join it to junctions near its buildings; they
stand for yards and lanes that the network does not hold, have no queue and no road object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import ObjectNotFoundError, UsageError
from cim.model.road_network import NODES, RoadNetwork
from cim.model.schema import SCHEMAS
from cim.sim.traffic.city_network import road_classes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = [
    "CONNECTOR",
    "CONNECTORS_ASSUMED",
    "REACH",
    "ZONE_SIZES",
    "Connectors",
    "Zoning",
    "access_nodes",
    "attach",
    "connect",
    "costs_between",
    "nearest_node",
    "node_places",
    "rows_inside",
    "trips_on_no_road",
    "usual_zone_size",
    "zone_values",
    "zones_of",
]  # fmt: skip

CONNECTOR = "connector"
"""Class of the links between centroids and junctions."""
REACH = 500.0
"""Way from a building, or from a zone, to a junction above which its trips find no road [m]: the road is missing."""
CONNECTORS_ASSUMED = (
    f"connectors of zones are assumed: as long as the straight way from their buildings to the junction, "
    f"{road_classes()['service'].speed * 3.6:g} km/h"
)
ZONE_SIZES = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 750.0, 1000.0)
"""Widths of square zones that are chosen by themselves [m]."""
_MANY = 200
"""Square zones that the extent of the buildings should hold: some hundred pairs of streets, and a matrix that is quick to assign."""
_WIDE = 1e5
"""Capacity of a connector [veh/h]: none that matters."""
_THROUGH_ROADS = ("motorway", "motorway_link", "trunk", "trunk_link")
"""Classes that give no access to buildings beside them."""


@dataclass(frozen=True)
class Zoning:
    """Zones, and the one of each building."""

    names: tuple[str, ...]
    objects: tuple[str | None, ...]
    """The object of the city that each zone is."""
    zone: Ints
    """Of each building, shape (n,); -1 outside all."""


@dataclass(frozen=True)
class Connectors:
    """Links from centroids to junctions, by the ids of both: they can be put on another network of the same places."""

    zones: tuple[str, ...]
    places: Reals
    """Of the centroids, shape (zones, 2)."""
    zone: Ints
    """Of each connector, shape (m,)."""
    node: tuple[str, ...]
    length: Reals
    """[m]."""
    into: Flags
    """Whether the connector leads from the zone into the network, else out of it."""


def zones_of(city: City, places: Reals, zones: str | Mapping[str, Any] | None, size: float) -> Zoning:
    """Return zones: squares of a size, objects of a class such as LandUse, or polygons by name; only those with buildings.

    Objects are named by their ids, those of ``"LandUse.TAZ"`` by that attribute or identifier.

    Raises
    ------
    UsageError
        If the size is not above 0, or an attribute does not name every object.
    ObjectNotFoundError
        If the city has no objects of that class.
    """
    if zones is None:
        if not (np.isfinite(size) and size > 0):
            msg = f"zone_size={size}; expected metres, above 0"
            raise UsageError(msg)
        placed = np.isfinite(places).all(axis=1)
        cell = np.floor(places[placed] / size).astype(np.int64)
        found, index = np.unique(cell, axis=0, return_inverse=True)
        zone = np.full(len(places), -1, np.int64)
        zone[placed] = index.ravel()
        return Zoning(tuple(f"{a},{b}" for a, b in found.tolist()), (None,) * len(found), zone)
    if isinstance(zones, str):
        kind, _, attribute = zones.partition(".")
        keys = zone_keys(city, kind)
        row, values = zone_values(city, kind, keys, attribute or "id")
        ids: Sequence[str] = values.to_pylist()
        if len(row) != len(keys) or len(set(ids)) != len(keys):
            msg = f"zones={zones!r}: {len(set(ids)):,} different values for {len(keys):,} objects; expected one for each"
            raise UsageError(msg)
        objects: Sequence[str | None] = city.ids(keys)
        shapes = city.footprints(keys)
    else:
        ids, shapes, objects = list(zones), np.array(list(zones.values()), object), [None] * len(zones)
    found = rows_inside(places, shapes)
    used, index = np.unique(found[found >= 0], return_inverse=True)
    found[found >= 0] = index
    return Zoning(tuple(ids[k] for k in used.tolist()), tuple(objects[k] for k in used.tolist()), found)


def usual_zone_size(places: Reals) -> float:
    """Return the one of `ZONE_SIZES` [m] that divides the extent of the buildings into about 200 squares.

    It looks at the extent, not at how many squares hold buildings: an option that adds or removes some keeps its zones.
    """
    placed = places[np.isfinite(places).all(axis=1)]
    area = float(np.prod(np.ptp(placed, axis=0))) if len(placed) else 0.0
    return min(ZONE_SIZES, key=lambda one: abs(np.log(one**2 * _MANY / max(area, 1.0))))


def zone_keys(city: City, kind: str) -> Ints:
    """Return the keys of the objects of a class.

    Raises
    ------
    ObjectNotFoundError
        If the city has none; where the word is an attribute of another class, the message says how to name it.
    """
    if kind not in city.attributes:
        held = [f'"{one}.{kind}"' for one in sorted(city.attributes) if kind in city.attributes.schema(one).names]
        if held:
            msg = f"the city holds no class {kind!r}, it is an attribute: use zones = {' or '.join(held)}"
            raise ObjectNotFoundError(msg)
    return city.keys(type=kind)


def zone_values(city: City, kind: str, keys: Ints, name: str) -> tuple[Ints, pa.Array]:
    """Return what objects have in a column of their class, or as identifier of a register: the row in `keys`, and the text.

    Raises
    ------
    UsageError
        If there is neither.
    """
    import pyarrow.compute as pc

    if name not in city.attributes.schema(kind).names and name not in SCHEMAS["objects"].names:
        mine = (pc.field("scheme") == name) & pc.field("object").isin(pa.array(keys))
        found = city.tables.scan("identifiers", ["object", "value"], mine)
        if found.num_rows:
            return np.searchsorted(keys, found["object"].to_numpy()), found["value"].combine_chunks()
    values = pa.array(city.column(kind, name, keys).to_pylist())
    if pa.types.is_floating(values.type) and pc.all(pc.equal(values, pc.floor(values))).as_py():
        values = values.cast(pa.int64())  # 101.0 is zone 101
    there = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    return there, values.take(pa.array(there)).cast(pa.string())


def rows_inside(places: Reals, shapes: NDArray[np.object_]) -> Ints:
    """Return the polygon that each place lies in, of several the first one, -1 outside all, shape (n,)."""
    import shapely

    rows = np.flatnonzero(np.isfinite(places).all(axis=1))
    point, shape = shapely.STRtree(shapes).query(shapely.points(places[rows]), predicate="intersects")
    order = np.lexsort((shape, point))
    first, at = np.unique(point[order], return_index=True)
    found = np.full(len(places), -1, np.int64)
    found[rows[first]] = shape[order][at]
    return found


def node_places(network: RoadNetwork) -> Reals:
    """Return the places of nodes, shape (n, 2); not a number where not known."""
    return np.stack([network.nodes[one].to_numpy().astype(float) for one in ("x", "y")], axis=1)


def nearest_node(network: RoadNetwork, access: Ints, places: Reals) -> tuple[Ints, Reals]:
    """Return the junction nearest to each place, and how far it is [m]; infinitely far without a place."""
    from scipy.spatial import KDTree

    node, distance = np.zeros(len(places), np.int64), np.full(len(places), np.inf)
    placed = np.isfinite(places).all(axis=1)
    if len(access) and placed.any():
        distance[placed], nearest = KDTree(node_places(network)[access]).query(places[placed])
        node[placed] = access[nearest]
    return node, distance


def are_roads(network: RoadNetwork) -> Flags:
    """Return which links are roads, not connectors of zones."""
    return np.asarray([one != CONNECTOR for one in network.links["class"].to_pylist()], bool)


def trips_on_no_road(network: RoadNetwork, origin: Ints, destination: Ints, trips: Reals) -> float:
    """Return the trips [veh/h] between zones that have a junction in common: they may go from connector to connector."""
    from scipy.sparse import csr_array

    rows, count = np.flatnonzero(~are_roads(network)), network.nodes.num_rows
    tail, head = network.column("from_node")[rows], network.column("to_node")[rows]
    leaves = ~network.nodes["through"].to_numpy()[tail]
    out, into = (csr_array((np.ones(int(one.sum())), (tail[one], head[one])), shape=(count, count)) for one in (leaves, ~leaves))
    return float(trips[np.asarray((out @ into)[origin, destination]).ravel() > 0].sum())


def access_nodes(network: RoadNetwork) -> tuple[Ints, list[str]]:
    """Return nodes from which every other one of them can be reached and that no motorway alone leads to, and what was left out."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = network.nodes.num_rows
    tail, head = network.column("from_node"), network.column("to_node")
    placed: Flags = np.asarray(np.isfinite(node_places(network)).all(axis=1))
    part = connected_components(coo_array((np.ones(len(tail)), (tail, head)), shape=(count, count)), connection="strong")[1]
    largest: Flags = np.equal(part, np.bincount(part, minlength=1).argmax())
    kind = np.asarray(network.links["class"].to_pylist(), object)
    local = ~np.isin(kind, (*_THROUGH_ROADS, CONNECTOR))
    touched = np.zeros(count, bool)
    touched[np.concatenate([tail[local], head[local]])] = True
    notes = []
    if not largest.all():
        notes.append(f"{int((~largest).sum()):,} of {count:,} nodes cannot be reached from, or cannot reach, the main part of the network; "
                     "no zone is joined to them")  # fmt: skip
    if not placed.all():
        notes.append(f"{int((~placed).sum()):,} nodes have no place; no zone is joined to them")
    return np.flatnonzero(largest & placed & touched & network.nodes["through"].to_numpy()), notes


def connect(network: RoadNetwork, zoning: Zoning, places: Reals, weight: Reals, node: Ints, distance: Reals, most: int) -> Connectors:
    """Return connectors from each zone to the junctions where most of its trips enter.

    Parameters
    ----------
    places, weight : shape (n, 2), shape (n,)
        Of the buildings; a weight of 0 keeps a building out.
    node, distance : shape (n,)
        The junction nearest to each building, and how far it is [m].
    most
        Connectors of a zone.
    """
    counts = (zoning.zone >= 0) & (weight > 0)
    zone, mine, far, share = zoning.zone[counts], node[counts], distance[counts], weight[counts]
    size = len(zoning.names)
    total = np.bincount(zone, share, size)
    centre = np.stack([np.bincount(zone, share * one, size) / total for one in places[counts].T], axis=1)
    both, index = np.unique(np.stack([zone, mine]), axis=1, return_inverse=True)
    trips = np.bincount(index.ravel(), share)
    length = np.bincount(index.ravel(), share * far) / trips
    order = np.lexsort((-trips, both[0]))
    rank = np.arange(len(order)) - np.searchsorted(both[0][order], both[0][order])
    kept = order[rank < most]
    names = network.nodes["id"].to_pylist()
    twice = np.tile(kept, 2)
    return Connectors(zoning.names, centre, both[0][twice], tuple(names[k] for k in both[1][twice].tolist()),
                      np.maximum(length[twice], 1.0), np.repeat([True, False], len(kept)))  # fmt: skip


def attach(network: RoadNetwork, connectors: Connectors) -> tuple[RoadNetwork, Ints, int]:
    """Return a network with centroids and connectors, the rows of the centroids, and how many connectors found no junction."""
    names = network.nodes["id"].to_pylist()
    row = {name: k for k, name in enumerate(names)}
    there = np.array([row.get(one, -1) for one in connectors.node], np.int64)
    kept = np.flatnonzero(there >= 0)
    centroid = len(names) + np.arange(len(connectors.zones))
    ids = [f"zone:{one}" for one in connectors.zones]
    zone, node, into = centroid[connectors.zone[kept]], there[kept], connectors.into[kept]
    link_ids = [f"{ids[connectors.zone[k]]}{'>' if connectors.into[k] else '<'}{connectors.node[k]}" for k in kept.tolist()]
    speed = road_classes()["service"].speed
    length = connectors.length[kept]
    made = RoadNetwork.of(
        [*names, *ids], np.where(into, zone, node), np.where(into, node, zone), free_flow_time=length / speed, capacity=_WIDE, b=0.0,
        length=length, ids=link_ids, classes=[CONNECTOR] * len(kept), assumed=[["capacity", "lanes", "speed", "length"]] * len(kept),
    )  # fmt: skip
    nodes = pa.Table.from_arrays([pa.array(ids), *(pa.array(one) for one in connectors.places.T), pa.array(np.zeros(len(ids), bool))],
                                 schema=NODES)  # fmt: skip
    whole = replace(
        network, nodes=pa.concat_tables([network.nodes, nodes]).combine_chunks(),
        links=pa.concat_tables([network.links, made.links]).combine_chunks(),
    )  # fmt: skip
    return whole, centroid, len(connectors.node) - len(kept)


def costs_between(network: RoadNetwork, nodes: Ints, weight: Reals) -> Reals:
    """Return the least sum of a weight of links between nodes, shape (n, n); infinite where no way is. Turns are not looked at."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    count = network.nodes.num_rows
    tail, head = network.column("from_node"), network.column("to_node")
    passed = network.nodes["through"].to_numpy()
    tail = np.where(passed[tail], tail, tail + count)  # who leaves a centroid leaves its twin: nobody passes through
    order = np.lexsort((weight, head, tail))
    key = tail[order] * (2 * count) + head[order]
    best = order[np.unique(key, return_index=True)[1]]  # the shortest of links side by side
    graph = csr_array((np.maximum(weight[best], 1e-9), (tail[best], head[best])), shape=(2 * count, 2 * count))
    start = np.where(passed[nodes], nodes, nodes + count)
    return np.asarray(dijkstra(graph, indices=start)[:, nodes], float)
