"""The road network of a city: its links as directed ones, each naming the road object it is a piece of, what is assumed marked.

Links come from the table `links` of the model, whatever file they were read from. Lanes, speed and capacity that no source states are those
of the link's class in ``road_classes.json``; which of them were assumed stands with every link, and how often in the notes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.link_json import said_by_links
from cim.model.link_lines import LinkLines, link_lines
from cim.model.road_network import RoadNetwork, told_apart
from cim.scenario.network import closures
from cim.sim.traffic.city_supply import GREEN, SAID, Direction, RoadClass, road_classes, signalled, supply
from cim.sim.traffic.city_turns import banned_turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["RoadClass", "directed_ids", "road_classes", "road_network"]

_SHUT = ("no", "private", "agricultural", "forestry", "emergency", "military")
_MODES = ("motorcar", "motor_vehicle", "vehicle", "access")
"""Whose access counts for a car, the first that is stated (OpenStreetMap's hierarchy of modes)."""
_ACCESS = {"access": pa.struct([pa.field(mode, pa.string()) for mode in _MODES])}
_ROADS = ("Road", "Square", "Section", "Intersection", "TrafficSpace", "TrafficArea")


def road_network(
    city: City, *, classes: Mapping[str, RoadClass] | None = None, signal_green: float | None = GREEN, closed: bool = False
) -> RoadNetwork:
    """Return the links of a city that a car may use, and the turns that it may not make.

    A link of both directions becomes two. Their ids are ``object:from>to``: the same road keeps them in every option. What is closed for
    good is no link, but its nodes stay: zones keep their rows.

    Parameters
    ----------
    classes
        Values to assume instead of `road_classes`, by class.
    signal_green
        Share of green of traffic lights of which no programme is known; None: they hold nobody up.
    closed
        Whether links that the city closes for good are in it all the same.

    Raises
    ------
    UsageError
        If the city has no links of roads, or the share of green is none.
    """
    if signal_green is not None and not 0 < signal_green <= 1:
        msg = f"traffic: signal_green is {signal_green:g}, expected a share above 0 and up to 1, or None"
        raise UsageError(msg)
    known = {**road_classes(), **(classes or {})}
    found = _driven(city, known)
    lines, way = found.lines, found.way
    free, told = (np.ones(len(way.row), bool), []) if closed else _open(city, lines.key, way)
    way = Direction(way.row[free], way.back[free], way.shared[free])
    lights = signalled(found.table["attributes"], (lines.from_node, lines.to_node), way)
    carried = supply(found.said, found.kind[way.row], way, lights, known, signal_green)
    network = _network(city, found, free, way, carried)
    banned, turns = banned_turns(city, network)
    return replace(network, banned=banned, notes=(*found.notes, *told, *carried.notes, *turns, *_parts(network)))


def directed_ids(city: City) -> dict[tuple[int, bool], str]:
    """Return the id of each directed link in `road_network`, by the key of the link of the city and whether it goes against it."""
    found = _driven(city, road_classes())
    keys = found.lines.key[found.way.row].tolist()
    return dict(zip(zip(keys, found.way.back.tolist(), strict=True), _ids(city, found), strict=True))


class _Driven(NamedTuple):
    """The links of a city that cars may use, closed ones among them."""

    lines: LinkLines
    table: pa.Table
    said: pa.Table
    kind: Texts
    """Class of each link."""
    way: Direction
    notes: list[str]


def _driven(city: City, known: Mapping[str, RoadClass]) -> _Driven:
    lines = link_lines(city, "road")
    if not len(lines):
        raise UsageError(_no_links(city))
    table = city.tables["links"].take(pa.array(lines.row))
    said = said_by_links(table["attributes"], SAID)
    kind = np.array(said["class"].fill_null("").to_pylist(), object)
    usable, notes = _drivable(kind, table["attributes"], known)
    complete, more = _complete(lines)
    way = _directions(np.flatnonzero(usable & complete), np.array(table["direction"].to_pylist(), object))
    return _Driven(lines, table, said, kind, way, [*notes, *more])


def _no_links(city: City) -> str:
    """Return what is missing, and what helps."""
    roads = sum(count for type, count in city.types().items() if type in _ROADS)
    if roads:
        return (f"traffic: the city has {roads} roads but no road links; make them by cim roads CITY, with the change derive_road_links "
                "(cim.scenario.Change(…).derive_road_links()), or fuse the city with a network (OpenStreetMap)")  # fmt: skip
    return "traffic: the city has no road links; read a network (OpenStreetMap, centrelines) into it, or fuse one with it"


def _directions(rows: Ints, way: Texts) -> Direction:
    """Return the directed links of links, both of one beside each other."""
    forward, backward = rows[way[rows] != "backward"], rows[way[rows] != "forward"]
    row = np.concatenate([forward, backward])
    back = np.concatenate([np.zeros(len(forward), bool), np.ones(len(backward), bool)])
    order = np.lexsort((back, row))
    row, back = row[order], back[order]
    return Direction(row, back, ~np.isin(way[row].astype(str), ("forward", "backward")))


def _ends(found: _Driven) -> tuple[Texts, Texts]:
    """Return the names of the nodes where directed links begin and end."""
    lines, way = found.lines, found.way
    ends = lines.from_node[way.row], lines.to_node[way.row]
    return np.where(way.back, ends[1], ends[0]), np.where(way.back, ends[0], ends[1])


def _ids(city: City, found: _Driven) -> list[str]:
    """Return ids; two pieces of one road may join the same nodes, and keep their number whatever is closed."""
    tail, head = _ends(found)
    objects = city.ids(found.lines.object[found.way.row])
    return told_apart(f"{owner}:{a}>{z}" for owner, a, z in zip(objects, tail.tolist(), head.tolist(), strict=True))


def _network(city: City, found: _Driven, free: Bools, way: Direction, carried: Any) -> RoadNetwork:
    lines, length = found.lines, found.lines.length[way.row]
    nodes, place = np.unique(np.concatenate(_ends(found)).astype(str), return_inverse=True)
    tail, head = place.reshape(2, -1)[:, free]
    x, y = lines.places_of(nodes.astype(object)).T
    return RoadNetwork.of(
        nodes.tolist(), tail, head, free_flow_time=length / carried.speed, capacity=carried.capacity, length=length, lanes=carried.lanes,
        ids=[one for one, open_ in zip(_ids(city, found), free.tolist(), strict=True) if open_],
        objects=city.ids(lines.object[way.row]), classes=found.kind[way.row].tolist(), assumed=carried.assumed, x=x, y=y,
        crs=city.crs.to_string(),
    )  # fmt: skip


def _drivable(kind: Texts, attributes: pa.ChunkedArray, known: Mapping[str, RoadClass]) -> tuple[Bools, list[str]]:
    """Return which links a car may use, and how many not and why."""
    unknown = ~np.isin(kind.astype(str), list(known))
    shut = np.isin(_access(attributes).astype(str), _SHUT)
    notes = []
    if unknown.any():
        names = ", ".join(f"{count} {name or 'without a class'}" for name, count in Counter(kind[unknown].tolist()).most_common(5))
        notes.append(f"{int(unknown.sum())} links of classes that no car drives on, or that are not known, are left out ({names})")
    if (shut & ~unknown).any():
        notes.append(f"{int((shut & ~unknown).sum())} links that are closed to the public are left out")
    return ~unknown & ~shut, notes


def _access(attributes: pa.ChunkedArray) -> Texts:
    """Return what is said of the access of a car, the most special word first; ``""`` where nothing is."""
    rows = np.flatnonzero(np.asarray(pc.fill_null(pc.match_substring(attributes, '"access"'), False).to_numpy(), bool))
    found = np.full(len(attributes), "", object)
    texts = attributes.take(pa.array(rows))
    by_mode = said_by_links(texts, _ACCESS)["access"]
    words = pc.coalesce(*(pc.struct_field(by_mode, mode) for mode in _MODES))
    found[rows] = np.array(pc.fill_null(words, "").to_pylist(), object)
    plain = np.flatnonzero(np.asarray(pc.is_null(by_mode).to_numpy(), bool))  # one word for all modes
    told = said_by_links(texts.take(pa.array(plain)), {"access": pa.string()})["access"]
    found[rows[plain]] = np.array(pc.fill_null(told, "").to_pylist(), object)
    return found


def _complete(lines: LinkLines) -> tuple[Bools, list[str]]:
    """Return which links have two nodes and a length, and how many have not."""
    named = np.array([a is not None and z is not None for a, z in zip(lines.from_node, lines.to_node, strict=True)], bool)
    long = np.isfinite(lines.length) & (lines.length >= 0)
    lacking = (~named, "a node at each end"), (~long & named, "a length")
    notes = [f"{int(bad.sum())} links without {what} are left out" for bad, what in lacking if bad.any()]
    return named & long, notes


def _open(city: City, keys: Ints, way: Direction) -> tuple[Bools, list[str]]:
    """Return which directed links are not closed to everybody for good, and what is to be told of closures.

    Closures for a time or for some vehicles are for those who drive to heed: `cim.sim.traffic.closed_links`.
    """
    shut: list[tuple[int, bool]] = []
    partly = 0
    for one in closures(city):
        if one.classes or one.start is not None or one.until is not None:
            partly += 1
            continue
        shut += [(one.link, side) for side in (False, True) if one.direction in ("both", "backward" if side else "forward")]
    closed = np.array([2 * key + side for key, side in shut], np.int64)
    free = ~np.isin(2 * keys[way.row] + way.back, closed)
    notes = [f"{int((~free).sum())} directions of links that the city closes for good are left out"] if not free.all() else []
    return free, notes + ([f"{partly} closures for a time or for some vehicles leave their links in the network"] if partly else [])


def _parts(network: RoadNetwork) -> list[str]:
    """Return what is to be told of links from which one does not get everywhere in the largest part, or not back."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tail, head, nodes = network.column("from_node"), network.column("to_node"), network.nodes.num_rows
    if not len(tail):
        return []
    joined = coo_array((np.ones(len(tail), bool), (tail, head)), shape=(nodes, nodes))
    _, part = connected_components(joined, directed=True, connection="strong")
    largest = int(np.bincount(part).argmax())
    outside = int(((part[tail] != largest) | (part[head] != largest)).sum())
    if not outside:
        return []
    told = (
        f"{outside} links of {len(tail)} lie outside the largest part of the network, within which one gets from everywhere to everywhere"
    )
    return [f"{told} (cim.model.network_checks.check_network tells which)"]
