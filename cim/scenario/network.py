"""Links of a network as changes need them: where nodes lie, which links a closure concerns, and a link cut in two."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.link_lines import link_lines
from cim.model.schema import SCHEMAS
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
    """Index of the first vertex among the coordinates of the object's footprint; -1 where the link has a line of its own."""
    last: Keys
    lines: NDArray[Any]
    """The line of each link, shapely."""
    names: NDArray[np.object_]
    """Shape (m,): nodes, sorted."""
    places: Floats
    """Shape (m, 2): where they lie [m]."""
    unplaced: int
    """Links whose place nobody states."""


def network_of(city: City, name: str) -> Network:
    """Return the links of a network with the places of their nodes, from the ends of the links."""
    found = link_lines(city, name)
    known = np.flatnonzero(~found.missing)
    return Network(
        found.row[known], found.object[known], found.first[known], found.last[known], found.lines[known], found.names, found.places,
        int(found.missing.sum()),
    )  # fmt: skip


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

    if network.first[at] < 0:
        return _with_own_halves(city, network, at, point, node)
    key = int(network.object[at])
    shape = city.footprints([key])[0]
    xy, part = shapely.get_coordinates(shape, return_index=False), _part_of_vertex(shape)
    first, last = sorted((int(network.first[at]), int(network.last[at])))
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
    table = city.tables["links"]
    changed: dict[int, dict[str, Any]] = {}
    for other in np.flatnonzero((network.object == network.object[at]) & (network.first >= 0)).tolist():
        place = int(network.row[other])
        values, said = _row(table, place)
        grown = [int(end) + int(new and end >= vertex) for end in (network.first[other], network.last[other])]
        changed[place] = {**values, "attributes": json.dumps({**said, "vertices": grown}, ensure_ascii=False)}
    whole = changed[int(network.row[at])]
    begin, end = json.loads(whole["attributes"])["vertices"]
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    share = float((run[vertex] - run[begin]) / (run[end] - run[begin]))
    return _replaced(city, changed, int(network.row[at]), node, share, ({"vertices": [begin, vertex]}, {"vertices": [vertex, end]}))


def _with_own_halves(city: City, network: Network, at: int, point: tuple[float, float], node: str) -> City:
    """Return the city with a link that has a line of its own replaced by two; the footprint stays."""
    import shapely

    row = int(network.row[at])
    values, said = _row(city.tables["links"], row)
    xy = shapely.get_coordinates(network.lines[at])
    vertex, new = _vertex_at(xy, np.array(point))
    xy = np.insert(xy, vertex, point, axis=0) if new else xy
    run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    said.pop("vertices", None)
    whole = {**values, "attributes": json.dumps(said, ensure_ascii=False)}
    pieces = {"line": xy[: vertex + 1].tolist()}, {"line": xy[vertex:].tolist()}
    return _replaced(city, {row: whole}, row, node, float(run[vertex] / run[-1]), pieces)


def _row(table: pa.Table, row: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a row of the links, and what its JSON says."""
    values = table.slice(row, 1).to_pylist()[0]
    return values, json.loads(values["attributes"] or "{}")


def _replaced(
    city: City, changed: dict[int, dict[str, Any]], row: int, node: str, share: float, pieces: tuple[dict[str, Any], dict[str, Any]]
) -> City:  # fmt: skip
    """Return the city with changed rows of links, one of them as two that meet at a node."""
    table = city.tables["links"]
    whole = changed[row]
    said = json.loads(whole["attributes"])
    key = int(np.max(table["key"].to_numpy())) + 1
    halves = []
    for piece, part, sides in ((pieces[0], share, {"to_node": node}), (pieces[1], 1 - share, {"from_node": node, "key": key})):
        length = None if whole["length"] is None else whole["length"] * part
        halves.append({**whole, **sides, "length": length, "attributes": json.dumps({**said, **piece}, ensure_ascii=False)})
    rows = {**changed, row: halves[0]}
    keep = np.setdiff1d(np.arange(table.num_rows), list(rows))
    more = pa.Table.from_pylist([*rows.values(), halves[1]], schema=SCHEMAS["links"])
    return city.replace_tables(links=pa.concat_tables([table.take(pa.array(keep)), more]).sort_by("key"))
