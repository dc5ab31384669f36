"""Verbs for roads: close, add and remove one, in the model and in the network that traffic runs on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from cim.errors import UsageError
from cim.scenario.edit import Fact, add_claims, set_values
from cim.scenario.network import CLOSED, VehicleClass, network_of, split_link
from cim.scenario.step import (
    Instant,
    Path,
    Step,
    instant_utc,
    object_of_type,
    planned,
    refuse_taken,
    require_metres,
    with_added,
    with_parts,
    without,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City, CityObject
    from cim.scenario.network import Network

    Floats = NDArray[np.float64]
    Keys = NDArray[np.int64]

__all__ = ["AddRoad", "CloseRoad", "RemoveRoad"]

WAYS = ("Road", "Railway", "Square", "Track", "Waterway", "Section", "Intersection", "TrafficSpace", "TrafficArea")
"""Classes that can be closed and removed as roads."""
_UNSTATED = "unclassified"
"""Class of a new road that states none: the least one that carries through traffic (OpenStreetMap's name)."""
_ON_A_NODE = 1e-6
"""Ends nearer to a node than this [m] lie on it."""


def _way(city: City, id: str) -> CityObject:
    return object_of_type(city, id, WAYS, f"one of {', '.join(WAYS)}")


class CloseRoad(Step):
    """Close a road: for good or from one instant to another, one way or both, for all vehicles or some classes."""

    do: Literal["close_road"] = "close_road"
    between: tuple[str, str] | None = Field(
        default=None, description="from_node and to_node of a link, which alone is closed; left out: the whole road"
    )
    direction: Literal["both", "forward", "backward"] = Field(
        default="both", description='"forward": as its line is drawn; "backward": against it'
    )
    start: Instant | None = Field(default=None, description="from when on; without zone: in that of the city; left out: from the beginning")
    until: Instant | None = Field(default=None, description="until when; left out: for good")
    classes: tuple[VehicleClass, ...] | None = Field(default=None, description="vehicle classes; left out: all")

    @field_validator("between", mode="before")
    @classmethod
    def _two_nodes(cls, value: Any) -> Any:
        if value is not None and not (isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, str) for one in value)):
            msg = 'expected the ids of two nodes, ["n1", "n2"], as from_node and to_node of the links name them'
            raise ValueError(msg)
        return value

    @field_validator("classes")
    @classmethod
    def _some(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not value:  # min_length would add a fault of its own where a class is wrong
            msg = "is empty; name one class or more, or leave it out for all"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _in_order(self) -> CloseRoad:
        if self.start is not None and self.until is not None and (self.start[-1] == "Z") == (self.until[-1] == "Z"):
            from datetime import datetime

            if datetime.fromisoformat(self.start) >= datetime.fromisoformat(self.until):
                msg = f"start {self.start} is not before until {self.until}"
                raise ValueError(msg)
        return self

    def apply(self, city: City, method: str) -> City:
        """Return the city with the closure in the attributes of the road and in the JSON of its links.

        Raises
        ------
        UsageError
            If it is no road, it has no link between the two nodes, or it ends before it begins.
        """
        view = _way(city, self.id)
        entry = self._entry(city, method)
        keys = with_parts(city, self.id)
        rows = self._rows(city, keys)
        held = json.loads(view.attributes.get(CLOSED) or "[]")
        said = {**entry, **({"between": list(self.between)} if self.between is not None else {})}
        text = json.dumps([*held, said], ensure_ascii=False)
        fact = Fact(view.type, CLOSED, keys[:1], np.array([text], object))
        changed = add_claims(set_values(city, fact), city, fact, method)
        if not len(rows):
            message = f"{method}: {self.id!r} was closed, but no network has a link on it: traffic does not see it"
            return changed.with_issues([{"code": "unmatched", "object": view.key, "message": message}])
        return _closed(changed, rows, entry)

    def _entry(self, city: City, method: str) -> dict[str, Any]:
        """Return what is written: from and to in UTC (null: open), direction, classes (null: all), and the change that says so."""
        times = [None if one is None else instant_utc(one, city) for one in (self.start, self.until)]
        if times[0] is not None and times[1] is not None and times[0] >= times[1]:
            msg = f"{self.id!r} would be closed from {times[0]} to {times[1]}; the first must be earlier"
            raise UsageError(msg)
        classes = None if self.classes is None else sorted(set(self.classes))
        return {"from": times[0], "to": times[1], "direction": self.direction, "classes": classes, "by": method}

    def _rows(self, city: City, keys: Keys) -> Keys:
        table = city.tables["links"]
        rows = np.flatnonzero(np.isin(np.asarray(table["object"].to_numpy(), np.int64), keys))
        if self.between is None:
            return rows
        links = table.take(pa.array(rows))
        pairs = list(zip(links["from_node"].to_pylist(), links["to_node"].to_pylist(), strict=True))
        fits = [set(pair) == set(self.between) for pair in pairs]
        if not any(fits):
            known = ", ".join(f"{a} to {b}" for a, b in pairs[:5]) or "none"
            msg = f"{self.id!r} has no link between {self.between[0]!r} and {self.between[1]!r}; its links: {known}"
            raise UsageError(msg)
        chosen: Keys = rows[np.array(fits, bool)]
        return chosen


def _closed(city: City, rows: Keys, entry: dict[str, Any]) -> City:
    """Return the city with a closure added to the JSON of some links."""
    table = city.tables["links"]
    at = table.column_names.index("attributes")
    texts = table["attributes"].to_pylist()
    for row in rows.tolist():
        said = json.loads(texts[row] or "{}")
        texts[row] = json.dumps({**said, CLOSED: [*said.get(CLOSED, ()), entry]}, ensure_ascii=False)
    return city.replace_tables(links=table.set_column(at, table.schema.field("attributes"), pa.array(texts, pa.string())))


class RemoveRoad(Step):
    """Take a road away, with its sections and its links."""

    do: Literal["remove_road"] = "remove_road"

    def apply(self, city: City, method: str) -> City:
        """Return the city without the road, all that is part of it, and their links."""
        _way(city, self.id)
        return without(city, self.id, method, with_parts(city, self.id))


class AddRoad(Step):
    """Build a new road and join it to the network."""

    do: Literal["add_road"] = "add_road"
    line: Path = Field(description="line as WKT or as points [[x, y], …], in the coordinate system of the city")
    lanes: PositiveInt = Field(description="number of lanes, both directions together")
    speed_limit: PositiveFloat = Field(le=70, description="highest speed allowed [m/s]; 50 km/h are 13.9")
    width: PositiveFloat | None = Field(default=None, description="width across all lanes [m]; left out: unknown")
    oneway: bool = Field(default=False, description="whether traffic goes only as the line is drawn")
    network: str = Field(default="road", min_length=1, description="network that it belongs to")
    snap: float = Field(
        default=1.0, ge=0, allow_inf_nan=False, description="vertices this near to a node, and ends this near to a road, join it [m]"
    )
    road_class: str | None = Field(
        default=None, min_length=1, description="rank in the network, such as secondary; left out: unclassified, which is told"
    )
    name: str | None = Field(default=None, description="name")

    def apply(self, city: City, method: str) -> City:
        """Return the city with the road: its line as footprint, its links, and nodes that are new where it ends free.

        Vertices near a node move there and are joined; an end near the middle of a road cuts the link of that road in two. Where lines
        merely cross they are not joined, which is counted.

        Raises
        ------
        UsageError
            If the id is taken, or both ends fall on one node without a vertex between.
        CRSError
            If the city does not count in metres.
        """
        import shapely

        require_metres(city, "adding a road")
        refuse_taken(city, self.id)
        points = shapely.get_coordinates(shapely.from_wkt(self.line))
        changed, joined = _join(city, points, self)
        whole = with_added(changed, self._alone(changed, joined, method))
        return whole.with_issues(self._told(whole, joined, method))

    def _alone(self, city: City, joined: _Joined, method: str) -> City:
        """Return a city of this road only."""
        import shapely

        from cim.model import Column

        builder, source = planned(city, method)
        line = shapely.LineString(joined.points)
        keys = builder.add_objects("Road", [self.id], footprints=[line], names=[self.name], grades=["planned"], source=source)
        values: dict[str, tuple[Any, str]] = {
            "lanes": (self.lanes, ""), "speed_limit": (self.speed_limit, "m/s"), "width": (self.width, "m"), "one_way": (self.oneway, ""),
            "road_class": (self.road_class, ""), "length": (float(line.length), "m"),
        }  # fmt: skip
        values = {name: one for name, one in values.items() if one[0] is not None}
        builder.add_attributes(keys, "Road", {name: Column([value], unit=unit) for name, (value, unit) in values.items()})
        for name, (value, unit) in values.items():
            builder.add_claims(keys, name, [json.dumps(value, ensure_ascii=False)], unit=unit or None, source=source, method=method)
        run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(joined.points, axis=0).T))])
        said = {"lanes": self.lanes, "speed_limit": self.speed_limit, **({"width": self.width} if self.width is not None else {}),
                **self._class_said()}  # fmt: skip
        first, last = joined.breaks[:-1], joined.breaks[1:]
        builder.add_links(
            np.repeat(keys, len(first)), self.network, joined.nodes[:-1], joined.nodes[1:],
            direction="forward" if self.oneway else "both", length=run[last] - run[first],
            attributes=[json.dumps({"vertices": [a, b], **said}, ensure_ascii=False) for a, b in zip(first, last, strict=True)],
        )  # fmt: skip
        return builder.build()

    def _class_said(self) -> dict[str, Any]:
        """Return what the links say of their class; a road of the road network without one would be no road to traffic."""
        if self.road_class is not None:
            return {"class": self.road_class}
        return {"class": _UNSTATED, "assumed": ["class"]} if self.network == "road" else {}

    def _told(self, city: City, joined: _Joined, method: str) -> list[dict[str, Any]]:
        """Return issues: what was moved and cut to join, where it ends free, what it crosses."""
        key = int(city.key_of([self.id])[0])
        told = []
        if "assumed" in self._class_said():
            text = f"the class of {self.id!r} is not stated: taken as {_UNSTATED}, which decides its capacity; give road_class"
            told.append(("assumed", "warning", text))
        if joined.moved > _ON_A_NODE:
            text = f"vertices of {self.id!r} were moved by up to {joined.moved:.2g} m onto nodes of the network {self.network!r}"
            told.append(("assumed", "info", text))
        if joined.cut:
            text = f"{self.id!r} joins {', '.join(joined.cut)} between their nodes: a link of each was cut in two"
            told.append(("assumed", "info", text))
        if joined.free:
            text = f"{self.id!r} ends free at {' and at '.join(joined.free)}: no node or road of {self.network!r} within {self.snap:g} m"
            told.append(("unmatched", "warning" if len(joined.free) == 2 else "info", text))
        if joined.crossed:
            text = f"{self.id!r} crosses {joined.crossed} links of {self.network!r} without a node: taken as a bridge or tunnel, not joined"
            told.append(("assumed", "warning", text))
        if joined.unplaced:
            text = f"{joined.unplaced} links of {self.network!r} do not say where they lie: {self.id!r} could not be joined to them"
            told.append(("unsupported", "warning", text))
        return [{"code": code, "severity": how, "object": key, "message": f"{method}: {text}"} for code, how, text in told]


@dataclass(frozen=True)
class _Joined:
    """A new road on the network."""

    points: Floats
    """Shape (n, 2): its line, joined vertices on their nodes."""
    breaks: list[int]
    """Vertices at nodes, the ends included."""
    nodes: list[str]
    """Node at each break."""
    moved: float
    """Largest distance that a vertex was moved [m]."""
    cut: tuple[str, ...]
    """Ids of the roads that were cut."""
    free: tuple[str, ...]
    crossed: int
    unplaced: int


def _join(city: City, points: Floats, road: AddRoad) -> tuple[City, _Joined]:
    """Return the city with links cut where the road begins or ends, and the road on its nodes."""
    points = points.copy()
    network = network_of(city, road.network)
    unplaced = network.unplaced
    moved, cut = 0.0, []
    for end in (0, len(points) - 1):
        node, _ = _nearest(network, points[end], road.snap)
        at, foot = _middle(network, points[end], road.snap) if node is None else (None, points[end])
        if at is None:
            continue
        moved = max(moved, float(np.hypot(*(foot - points[end]))))
        points[end] = foot
        cut.append(city.ids([int(network.object[at])])[0])
        city = split_link(city, network, at, (float(foot[0]), float(foot[1])), f"{road.id}/{'start' if end == 0 else 'end'}")
        network = network_of(city, road.network)
    breaks: list[int] = []
    nodes: list[str] = []
    free: list[str] = []
    for vertex in range(len(points)):
        node, place = _nearest(network, points[vertex], road.snap)
        inner = 0 < vertex < len(points) - 1
        if node is None and inner:
            continue
        if node is not None and nodes and nodes[-1] == node and (inner or vertex - breaks[-1] == 1):
            if not inner:
                msg = f"{road.id!r} ends at the node {node!r} where it began, within snap={road.snap:g} m; give a smaller snap"
                raise UsageError(msg)
            continue
        if node is None:
            free.append("its start" if vertex == 0 else "its end")
        else:
            moved = max(moved, float(np.hypot(*(place - points[vertex]))))
            points[vertex] = place
        breaks.append(vertex)
        nodes.append(node if node is not None else f"{road.id}/{'start' if vertex == 0 else 'end'}")
    crossed = _crossed(network, points, nodes)
    return city, _Joined(points, breaks, nodes, moved, tuple(dict.fromkeys(cut)), tuple(free), crossed, unplaced)


def _nearest(network: Network, point: Floats, snap: float) -> tuple[str | None, Floats]:
    """Return the node nearest to a point within `snap`, and its place."""
    if not len(network.names):
        return None, point
    off = np.hypot(*(network.places - point).T)
    at = int(off.argmin())
    return (str(network.names[at]), network.places[at]) if off[at] <= max(snap, _ON_A_NODE) else (None, point)


def _middle(network: Network, point: Floats, snap: float) -> tuple[int | None, Floats]:
    """Return the link that passes nearest to a point within `snap`, and the point of it that is nearest."""
    import shapely

    if not len(network.lines):
        return None, point
    here = shapely.Point(point)
    off = shapely.distance(network.lines, here)
    at = int(off.argmin())
    if off[at] > max(snap, _ON_A_NODE):
        return None, point
    foot = shapely.line_interpolate_point(network.lines[at], shapely.line_locate_point(network.lines[at], here))
    return at, shapely.get_coordinates(foot)[0]


def _crossed(network: Network, points: Floats, nodes: list[str]) -> int:
    """Return how many links the line meets anywhere but at the nodes that it is joined to."""
    import shapely

    if not len(network.lines):
        return 0
    line = shapely.LineString(points)
    met = np.flatnonzero(shapely.intersects(network.lines, line))
    joined = network.places[np.isin(network.names.astype(str), nodes)]
    spots = shapely.union_all(shapely.buffer(shapely.points(joined), 1e-3)) if len(joined) else shapely.Point()
    rest = shapely.difference(shapely.intersection(network.lines[met], line), spots)
    return int((~shapely.is_empty(rest)).sum())
