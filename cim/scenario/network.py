"""Links of a network as changes need them: where nodes lie, which links a closure concerns, and a link cut in two.

A link states its piece of the footprint of its object as ``"vertices": [first, last]`` (counted over all coordinates, lines joined);
a link without, the only one of an object with a single line, is that line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.schema import SCHEMAS, one_array
from cim.scenario.edit import set_footprints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Keys = NDArray[np.int64]

__all__ = ["CLOSED", "VEHICLE_CLASSES", "Closure", "Network", "VehicleClass", "closures", "network_of", "split_link"]

CLOSED = "closed"
"""Entry of the links' JSON, and attribute of their objects, that lists closures."""
VehicleClass = Literal["bicycle", "bus", "car", "emergency", "motorcycle", "pedestrian", "taxi", "truck"]
VEHICLE_CLASSES: tuple[str, ...] = get_args(VehicleClass)
"""Who a closure may be for."""


@dataclass(frozen=True)
class Closure:
    """One closure of one link."""

    link: int
    """Key in the table `links`."""
    object: int
    """Key of the object that owns the link."""
    direction: str
    """``"both"``, ``"forward"`` or ``"backward"``, against the link from `from_node` to `to_node`."""
    start: datetime | None
    """From when on, UTC; None: always was."""
    until: datetime | None
    """Till when, UTC; None: for good."""
    classes: tuple[str, ...]
    """Vehicle classes of `VEHICLE_CLASSES`; empty: all."""


def closures(city: City) -> list[Closure]:
    """Return every closure of every link of a city, in the order of the links."""
    table = city.tables["links"]
    if not table.num_rows:
        return []
    mine = table.filter(pc.fill_null(pc.match_substring(table["attributes"], f'"{CLOSED}"'), fill_value=False))
    found = []
    for key, owner, text in zip(mine["key"].to_pylist(), mine["object"].to_pylist(), mine["attributes"].to_pylist(), strict=True):
        for one in json.loads(text).get(CLOSED, ()):
            times = [None if one.get(name) is None else datetime.fromisoformat(one[name]) for name in ("from", "to")]
            found.append(Closure(key, owner, one.get("direction", "both"), times[0], times[1], tuple(one.get("classes") or ())))
    return found


@dataclass(frozen=True)
class Network:
    """The links of one network whose place is known, one row each."""

    row: Keys
    """Row in the table `links`."""
    object: Keys
    """Key of the object."""
    first: Keys
    """Index of the first vertex among the coordinates of the object's footprint."""
    last: Keys
    lines: NDArray[Any]
    """The piece of the footprint that each link is, shapely."""
    names: NDArray[np.object_]
    """Shape (m,): nodes, sorted."""
    places: Floats
    """Shape (m, 2): where they lie [m]."""
    unplaced: int
    """Links whose place nobody states."""


def network_of(city: City, name: str) -> Network:
    """Return the links of a network with the places of their nodes, from the ends of the links."""
    import shapely

    table = city.tables["links"]
    rows = np.flatnonzero(np.asarray(table["network"].to_pylist(), object) == name)
    links = table.take(pa.array(rows))
    owner = np.asarray(links["object"].to_numpy(), np.int64)
    objects, place = np.unique(owner, return_inverse=True)
    xy, of = shapely.get_coordinates(city.footprints(objects), return_index=True)
    size = np.bincount(of, minlength=len(objects)).astype(np.int64)
    start = np.cumsum(size) - size
    first, last = _pieces(links, size, place, np.bincount(place, minlength=len(objects)))
    known = np.flatnonzero((first >= 0) & (last > first) & (last < size[place]))
    begin, end = (start[place] + first)[known], (start[place] + last)[known]
    count = end - begin + 1
    owner_of_point = np.repeat(np.arange(len(known)), count)
    points = xy[np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)]
    lines = shapely.linestrings(points, indices=owner_of_point) if len(known) else np.empty(0, object)
    ends = np.concatenate([np.asarray(links[side].to_pylist(), object)[known] for side in ("from_node", "to_node")])
    named = np.flatnonzero(np.array([one is not None for one in ends], bool))
    names, at = np.unique(ends[named].astype(str), return_index=True)
    places = np.concatenate([xy[begin], xy[end]])[named][at]
    return Network(rows[known], owner[known], first[known], last[known], lines, names.astype(object), places, len(rows) - len(known))


def _pieces(links: pa.Table, size: Keys, place: Keys, links_of_object: Keys) -> tuple[Keys, Keys]:
    """Return the first and last vertex of each link, -1 where it does not say and its object has several links."""
    text = links["attributes"].fill_null("")
    found = one_array(pc.extract_regex(text, r'"vertices":\s*\[\s*(?P<first>\d+)\s*,\s*(?P<last>\d+)\s*\]'))
    sides = [np.asarray(pc.fill_null(pc.struct_field(found, name).cast(pa.int64()), -1).to_numpy(zero_copy_only=False), np.int64)
             for name in ("first", "last")]  # fmt: skip
    alone = (sides[0] < 0) & (links_of_object[place] == 1)
    return np.where(alone, 0, sides[0]), np.where(alone, size[place] - 1, sides[1])


def split_link(city: City, network: Network, at: int, point: tuple[float, float], node: str) -> City:
    """Return the city with one link cut in two at a point on it; the footprint of its object gets the vertex where it lacks one.

    Parameters
    ----------
    at
        Row of `network`.
    node
        Name of the new node.
    """
    import shapely

    key = int(network.object[at])
    shape = city.footprints([key])[0]
    xy, part = shapely.get_coordinates(shape, return_index=False), _part_of_vertex(shape)
    first, last = int(network.first[at]), int(network.last[at])
    vertex, new = _vertex_at(xy[first : last + 1], np.array(point))
    vertex += first
    changed = city
    if new:
        xy, part = np.insert(xy, vertex, point, axis=0), np.insert(part, vertex, part[vertex - 1])
        lines = shapely.linestrings(xy, indices=part)
        merged = lines[0] if shape.geom_type == "LineString" else shapely.multilinestrings(lines)
        changed = set_footprints(city, np.array([key], np.int64), np.array([merged], object), boxes=False)
    return _with_halves(changed, network, at, vertex, node, xy, new=new)


def _part_of_vertex(shape: Any) -> Keys:
    import shapely

    parts = shapely.get_parts(shape)
    return np.repeat(np.arange(len(parts)), shapely.get_num_coordinates(parts))


def _vertex_at(xy: Floats, point: Floats) -> tuple[int, bool]:
    """Return the vertex that lies at a point of a line, or where one must go in, and whether it must."""
    same = np.flatnonzero(np.hypot(*(xy - point).T) < 1e-6)
    inner = same[(same > 0) & (same < len(xy) - 1)]
    if len(inner):
        return int(inner[0]), False
    step = np.diff(xy, axis=0)
    share = np.clip(((point - xy[:-1]) * step).sum(axis=1) / np.maximum((step**2).sum(axis=1), 1e-12), 0.0, 1.0)
    off = np.hypot(*(xy[:-1] + share[:, None] * step - point).T)
    return int(off.argmin()) + 1, True


def _with_halves(city: City, network: Network, at: int, vertex: int, node: str, xy: Floats, *, new: bool) -> City:
    """Return the city with the row of a link replaced by two; links of the same object count the new vertex."""
    table, schema = city.tables["links"], SCHEMAS["links"]
    rows = table.to_pylist() if table.num_rows < 2 else None
    row = int(network.row[at])
    mine = np.flatnonzero(network.object == network.object[at])
    changed: dict[int, dict[str, Any]] = {}
    for other in mine.tolist():
        place = int(network.row[other])
        values = rows[place] if rows is not None else table.slice(place, 1).to_pylist()[0]
        said = json.loads(values["attributes"] or "{}")
        ends = int(network.first[other]), int(network.last[other])
        grown = [end + int(new and end >= vertex) for end in ends]
        changed[place] = {**values, "attributes": json.dumps({**said, "vertices": grown}, ensure_ascii=False)}
    whole = changed[row]
    said = json.loads(whole["attributes"])
    begin, end = said["vertices"]
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy[begin : end + 1], axis=0).T))])
    share = float(run[vertex - begin] / run[-1])
    key = int(np.max(table["key"].to_numpy())) + 1
    halves = []
    for piece, part, sides in (([begin, vertex], share, {"to_node": node}), ([vertex, end], 1 - share, {"from_node": node, "key": key})):
        length = None if whole["length"] is None else whole["length"] * part
        halves.append({**whole, **sides, "length": length, "attributes": json.dumps({**said, "vertices": piece}, ensure_ascii=False)})
    changed[row] = halves[0]
    keep = np.setdiff1d(np.arange(table.num_rows), list(changed))
    more = pa.Table.from_pylist([*changed.values(), halves[1]], schema=schema)
    joined = pa.concat_tables([table.take(pa.array(keep)), more])
    return city.replace_tables(links=joined.sort_by("key"))
