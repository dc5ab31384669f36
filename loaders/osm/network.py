"""The routable network: ways cut where they meet, as rows of the table `links`.

A link is a piece of one way between two nodes where something may change: an end of a way, a node of several ways, a node
that a way passes twice. What a link keeps: its nodes as ``"node/<id>"`` (the ids of node objects, such as traffic lights),
its direction against the drawn line, its length on the ellipsoid, and as JSON in `attributes` what its way says and
``"vertices": [first, last]``, the piece of the coordinates of the footprint of its object (all lines joined). So the shape of a
link, and the place of its nodes, follow the footprint into every coordinate system.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.osm.values import count, direction_of, speed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.osm.collect import Collected

    Ints = NDArray[np.int64]

__all__ = ["Links", "links_of"]

FAMILIES = (("road", "path"), ("rail",), ("waterway",))
"""Networks that share their nodes."""
_MODES = ("access", "vehicle", "motor_vehicle", "motorcar", "motorcycle", "hgv", "goods", "bus", "psv", "taxi", "emergency", "bicycle",
          "foot", "horse", "wheelchair")  # fmt: skip
_ONEWAYS = ("oneway:bicycle", "oneway:bus", "oneway:psv", "oneway:foot", "oneway:conditional", "cycleway", "cycleway:left",
            "cycleway:right", "cycleway:both")  # fmt: skip
_TEXTS = ("bridge", "tunnel", "surface", "junction", "service", "tracktype", "smoothness", "incline", "turn:lanes", "turn:lanes:forward",
          "turn:lanes:backward", "toll", "lit", "electrified", "usage")  # fmt: skip
_COUNTS = {"lanes": "lanes", "lanes:forward": "lanes_forward", "lanes:backward": "lanes_backward", "lanes:both_ways": "lanes_both_ways",
           "layer": "layer"}  # fmt: skip
_SPEEDS = {"maxspeed": "speed_limit", "maxspeed:forward": "speed_limit_forward", "maxspeed:backward": "speed_limit_backward"}
_LIMITS = ("maxheight", "maxwidth", "maxweight", "maxlength", "maxaxleload")


@dataclass
class Links:
    """Columns of the links of one file."""

    rows: list[int] = field(default_factory=list)
    """Row of the object in `Collected`."""
    network: list[str] = field(default_factory=list)
    from_node: list[str] = field(default_factory=list)
    to_node: list[str] = field(default_factory=list)
    direction: list[str] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    """Geodesic [m] on WGS 84."""
    attributes: list[str] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    """Values of oneway that are neither yes nor no, such as reversible: taken as both."""
    implied: int = 0
    """Ways that are one-way by their kind without a tag."""


@dataclass(frozen=True)
class _Cut:
    """Links of one family before they have attributes."""

    rows: Ints
    start: Ints
    end: Ints
    first: Ints
    """Index of the first vertex among all coordinates of the object."""
    last: Ints


def links_of(found: Collected, footprints: NDArray[Any]) -> Links:
    """Return the links of all networks.

    Parameters
    ----------
    footprints : shape (n,)
        Geometry of the rows of `found` in degrees, longitude first.
    """
    out = Links()
    if not found.run_rows:
        return out
    sizes = np.frombuffer(found.run_sizes, np.int64)
    rows, refs = np.frombuffer(found.run_rows, np.int64), np.frombuffer(found.refs, np.int64)
    along = _along(footprints, rows, sizes)
    vertex = _vertex(rows, sizes)
    families = [next(n for n, names in enumerate(FAMILIES) if found.rules[row].network in names) for row in rows.tolist()]
    family = np.repeat(np.array(families, np.int64), sizes)
    owner, run = np.repeat(rows, sizes), np.repeat(np.arange(len(rows)), sizes)
    for number in range(len(FAMILIES)):
        mine = np.flatnonzero(family == number)
        if len(mine):
            _add(out, found, _cut(refs[mine], run[mine], owner[mine], mine), refs, along, vertex)
    return out


def _along(footprints: NDArray[Any], rows: Ints, sizes: Ints) -> NDArray[np.float64]:
    """Return the distance [m] of every node from the first of all, along the lines."""
    import shapely
    from pyproj import Geod

    lines = footprints[np.unique(rows)]  # rows ascend, and so do the runs within them
    points = shapely.get_coordinates(lines)
    _, _, step = Geod(ellps="WGS84").inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])
    step = np.asarray(step)
    step[np.cumsum(sizes)[:-1] - 1] = 0.0  # between two runs
    return np.concatenate([[0.0], np.cumsum(step)])


def _vertex(rows: Ints, sizes: Ints) -> Ints:
    """Return the index of every node among the coordinates of its object."""
    per_row = np.add.reduceat(sizes, np.flatnonzero(np.diff(rows, prepend=-1)))
    start = np.repeat(np.cumsum(per_row) - per_row, per_row)
    vertex: Ints = np.arange(len(start), dtype=np.int64) - start
    return vertex


def _cut(refs: Ints, run: Ints, owner: Ints, place: Ints) -> _Cut:
    """Cut runs of nodes where ways end or meet; the same node twice in a row counts once."""
    new_run = np.diff(run, prepend=-1) != 0
    again = ~new_run & (np.diff(refs, prepend=refs[0] - 1) == 0)
    at = np.flatnonzero(~again)
    refs, run, owner, place, new_run = refs[at], run[at], owner[at], place[at], new_run[at]
    _, inverse, uses = np.unique(refs, return_inverse=True, return_counts=True)
    last_of_run = np.append(new_run[1:], True)
    breaks = np.flatnonzero(new_run | last_of_run | (uses[inverse] > 1))
    begin, end = breaks[:-1], breaks[1:]
    same = run[begin] == run[end]
    begin, end = begin[same], end[same]
    return _Cut(owner[begin], refs[begin], refs[end], place[begin], place[end])


def _add(out: Links, found: Collected, cut: _Cut, refs: Ints, along: NDArray[np.float64], vertex: Ints) -> None:
    import orjson

    ways = {row: _way(found.tags[row], found.rules[row].key, out) for row in np.unique(cut.rows).tolist()}
    heads = {row: orjson.dumps(attributes)[1:].decode() for row, (_, attributes) in ways.items()}
    rows = cut.rows.tolist()
    out.rows += rows
    out.network += [found.rules[row].network or "" for row in rows]
    out.from_node += [f"node/{ref}" for ref in cut.start.tolist()]
    out.to_node += [f"node/{ref}" for ref in cut.end.tolist()]
    out.direction += [ways[row][0] for row in rows]
    out.length += (along[cut.last] - along[cut.first]).tolist()
    controls = _controls(found.controls, cut, refs)
    pieces = zip(vertex[cut.first].tolist(), vertex[cut.last].tolist(), rows, strict=True)
    out.attributes += [
        f'{{"vertices":[{first},{last}],{_said(controls.get(number))}{heads[row]}' for number, (first, last, row) in enumerate(pieces)
    ]


def _said(controls: Mapping[str, str] | None) -> str:
    import orjson

    return f'"controls":{orjson.dumps(controls).decode()},' if controls else ""


def _controls(known: Mapping[int, str], cut: _Cut, refs: Ints) -> dict[int, dict[str, str]]:
    """Return for each link that has any the nodes that matter to those who pass, its ends included."""
    if not known or not len(cut.first):
        return {}
    hits = np.flatnonzero(np.isin(refs, np.fromiter(known, np.int64, len(known))))
    order = np.argsort(cut.first, kind="stable")
    out: dict[int, dict[str, str]] = {}
    for side in ("right", "left"):  # a node at a cut ends one link and begins the next
        slot = np.searchsorted(cut.first[order], hits, side=side) - 1
        fits = (slot >= 0) & (hits >= cut.first[order[slot]]) & (hits <= cut.last[order[slot]])
        for hit, link in zip(hits[fits].tolist(), order[slot[fits]].tolist(), strict=True):
            out.setdefault(link, {})[f"node/{refs[hit]}"] = known[int(refs[hit])]
    return out


def _way(tags: Mapping[str, str], key: str, out: Links) -> tuple[str, dict[str, Any]]:
    """Return direction and attributes of the links of a way: what its tags say, nothing that they leave open."""
    implied = tags.get("junction") in ("roundabout", "circular") or tags.get("highway") == "motorway" or key == "waterway"
    told = None if key == "waterway" else tags.get("oneway")  # on a waterway it speaks of boats: water flows as the line is drawn
    direction, readable = direction_of(told, implied=implied)
    out.implied += implied and "oneway" not in tags and key != "waterway"
    if not readable:
        out.unreadable[tags["oneway"]] += 1
    said: dict[str, Any] = {"class": tags[key]}
    said.update(_numbers(tags, _COUNTS, count, whole=True))
    said.update(_numbers(tags, _SPEEDS, speed, whole=False))
    said.update({name.replace(":", "_"): tags[name] for name in _TEXTS if name in tags})
    if "oneway" in tags:
        said["oneway"] = tags["oneway"]
    for name, keys in (("access", _MODES), ("exceptions", _ONEWAYS), ("limits", _LIMITS)):
        part = {one: tags[one] for one in keys if one in tags}
        if part:
            said[name] = part
    return direction, said


def _numbers(tags: Mapping[str, str], names: Mapping[str, str], parse: Any, *, whole: bool) -> dict[str, float]:
    found = {name: parse(tags[key]).value for key, name in names.items() if key in tags}
    return {name: int(value) if whole and value == int(value) else value for name, value in found.items() if value is not None}
