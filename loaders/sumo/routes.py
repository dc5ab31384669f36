"""Vehicles, routes, flows and vehicle types of SUMO files, as a fleet on a network that `read_network` made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lxml import etree

from cim.errors import CorruptFileError
from cim.loaders.limits import Limits
from cim.loaders.sumo.network import vehicle_class
from cim.loaders.sumo.stream import Element, elements, number, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

__all__ = ["SumoRoutes", "VehicleType", "read_routes"]

_ROOTS = ("routes", "additional", "add", "trips", "vTypes")
_HOUR = 3600.0


@dataclass(frozen=True)
class VehicleType:
    """How a vehicle is; SUMO's defaults for a passenger car where the file says nothing."""

    name: str
    vehicle_class: str
    """Of the toolkit, such as ``"car"``."""
    length: float = 5.0
    """[m], likewise `min_gap`."""
    min_gap: float = 2.5
    tau: float = 1.0
    """Headway that the driver wants [s]."""
    max_speed: float = 55.56
    """[m/s]."""


@dataclass(frozen=True)
class SumoRoutes:
    """Vehicles with their own paths, in columns that a fleet of the dynamic model has too."""

    ids: tuple[str, ...]
    types: tuple[str, ...]
    """Name of the type of each vehicle."""
    departure: NDArray[np.float64]
    """[s]."""
    origin: NDArray[np.int64]
    destination: NDArray[np.int64]
    """Rows of nodes."""
    path_start: NDArray[np.int64]
    path_links: NDArray[np.int64]
    """Paths, as rows of links: of the first lane of each edge."""
    vehicle_class: NDArray[np.int8]
    class_names: tuple[str, ...]
    stop_time: NDArray[np.float64]
    """How long each vehicle stands on each link of its path [s]."""
    vehicle_types: dict[str, VehicleType]
    notes: tuple[str, ...]

    def columns(self) -> dict[str, Any]:
        """Return what a fleet is made of: ``Fleet(**routes.columns())``."""
        names = ("departure", "origin", "destination", "path_start", "path_links", "vehicle_class", "class_names", "stop_time")
        return {name: getattr(self, name) for name in names}


@dataclass
class _Found:
    types: dict[str, VehicleType] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    stops: dict[str, str] = field(default_factory=dict)
    """Edge of each bus stop."""
    vehicles: list[tuple[str, float, str, str, tuple[tuple[str, float], ...]]] = field(default_factory=list)
    """Id, departure, type, edges, stops; edges are ``route:id`` where the route stands elsewhere."""
    trips: list[tuple[str, float, str, str, str]] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def read_routes(paths: Iterable[str | Path], network: RoadNetwork, *, limits: Limits | None = None) -> SumoRoutes:
    """Return the vehicles of route files and additional files.

    A vehicle whose route names an edge that the network lacks is left out and counted, and so are persons and what departs by an event. A
    trip without a route follows the tables of the run. A flow departs at even intervals.

    Parameters
    ----------
    paths
        ``.rou.xml`` and ``.add.xml``, plain or packed by gzip, in any order.
    network
        As `read_network` returns it.

    Raises
    ------
    FormatError, CorruptFileError, LimitError, UnsafeInputError
        If a file is no SUMO file, contradicts itself, is too large, or declares a DTD.
    """
    limits, found = limits or Limits(), _Found()
    known = {"vType": _type, "vTypeDistribution": _distribution, "route": _route, "vehicle": _vehicle, "flow": _flow, "trip": _vehicle,
             "busStop": _stop_place}  # fmt: skip
    for path in map(Path, paths):
        for element in elements(path, _ROOTS, limits):
            tag = etree.QName(element).localname
            act = known.get(tag)
            if act is None:
                found.passed_over[tag] += 1
            else:
                act(element, found, path)
            limits.check("records", len(found.vehicles), path)
    return _columns(found, network)


# ---------------------------------------------------------------- element by element


def _type(element: Element, found: _Found, path: Path) -> None:
    name = text_of(element, "id", path)
    words = {"length": "length", "min_gap": "minGap", "tau": "tau", "max_speed": "maxSpeed"}
    given = {key: number(element, said, path) for key, said in words.items() if element.get(said) is not None}
    found.types[name] = VehicleType(name, vehicle_class(element.get("vClass", "passenger")), **given)


def _distribution(element: Element, found: _Found, path: Path) -> None:
    """Take a distribution as the type that is most probable in it; the classes of all are told apart only where they agree."""
    parts = [(number(one, "probability", path, 1.0), text_of(one, "id", path)) for one in element if etree.QName(one).localname == "vType"]
    for one in element:
        if etree.QName(one).localname == "vType":
            _type(one, found, path)
    parts += [(1.0, name) for name in (element.get("vTypes") or "").split() if name in found.types]
    if not parts:
        return
    likely = found.types[max(parts)[1]]
    if len({found.types[name].vehicle_class for _, name in parts}) > 1:
        found.passed_over["vTypeDistribution with several vehicle classes, taken as the most probable one"] += 1
    found.types[text_of(element, "id", path)] = likely


def _route(element: Element, found: _Found, path: Path) -> None:
    found.routes[text_of(element, "id", path)] = text_of(element, "edges", path)


def _stop_place(element: Element, found: _Found, path: Path) -> None:
    found.stops[text_of(element, "id", path)] = text_of(element, "lane", path).rpartition("_")[0]


def _parts(element: Element, path: Path) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Return the edges of a vehicle, or the name of its route, and its stops."""
    edges = f"route:{element.get('route')}" if element.get("route") is not None else ""
    stops = []
    for one in element:
        tag = etree.QName(one).localname
        if tag == "route":
            edges = text_of(one, "edges", path)
        elif tag == "stop":
            place = f"stop:{one.get('busStop')}" if one.get("busStop") else (one.get("lane", "").rpartition("_")[0] or one.get("edge", ""))
            stops.append((place, number(one, "duration", path, 0.0)))
    return edges, tuple(stops)


def _vehicle(element: Element, found: _Found, path: Path) -> None:
    name, said = text_of(element, "id", path), text_of(element, "depart", path)
    try:
        departure = float(said)
    except ValueError:
        found.passed_over[f"{etree.QName(element).localname} that departs {said[:20]!r}"] += 1
        return
    _add(element, found, path, name, [departure])


def _flow(element: Element, found: _Found, path: Path) -> None:
    begin, end = number(element, "begin", path, 0.0), number(element, "end", path, 86400.0)
    times = list(_even(element, path, begin, end))
    _add(element, found, path, text_of(element, "id", path), times, numbered=True)


def _even(element: Element, path: Path, begin: float, end: float) -> Iterator[float]:
    """Yield the departures of a flow at even intervals [s]; a probability per second gives its mean rate."""
    if element.get("number") is not None:
        many = number(element, "number", path)
        step = (end - begin) / max(many, 1.0)
    elif element.get("vehsPerHour") is not None or element.get("perHour") is not None:
        step = _HOUR / max(number(element, "vehsPerHour" if element.get("vehsPerHour") else "perHour", path), 1e-9)
        many = np.ceil((end - begin) / step)
    elif element.get("probability") is not None:
        step = 1.0 / max(number(element, "probability", path), 1e-9)
        many = np.ceil((end - begin) / step)
    else:
        step = max(number(element, "period", path), 1e-9)
        many = np.ceil((end - begin) / step)
    if not 0 <= many <= Limits().records:
        raise CorruptFileError(path, f"has the flow {element.get('id')!r} of {many:,.0f} vehicles", "give begin, end and a rate that fit")
    return (begin + k * step for k in range(int(many)))


def _add(element: Element, found: _Found, path: Path, name: str, times: list[float], *, numbered: bool = False) -> None:
    edges, stops = _parts(element, path)
    kind = element.get("type", "DEFAULT_VEHTYPE")
    for k, time in enumerate(times):
        own = f"{name}.{k}" if numbered else name
        if edges:
            found.vehicles.append((own, time, kind, edges, stops))
        elif element.get("from") is not None and element.get("to") is not None:
            found.trips.append((own, time, kind, text_of(element, "from", path), text_of(element, "to", path)))
        else:
            found.passed_over["vehicle without a route"] += 1


# ---------------------------------------------------------------- all together


def _columns(found: _Found, network: RoadNetwork) -> SumoRoutes:
    first: dict[str, int] = {}
    for row, edge in enumerate(network.links["object"].to_pylist()):
        first.setdefault(edge, row)
    tail, head = network.column("from_node"), network.column("to_node")
    kept: list[tuple[str, str, float, int, int, int]] = []  # id, type, departure, origin, destination, links of the path
    links: list[int] = []
    stands: list[float] = []
    lacking: list[str] = []
    for name, time, kind, said, stops in found.vehicles:
        text = found.routes.get(said[6:], "") if said.startswith("route:") else said
        rows = [first.get(edge, -1) for edge in text.split()]
        if not rows or min(rows) < 0:
            lacking.append(name)
            continue
        kept.append((name, kind, time, tail[rows[0]], head[rows[-1]], len(rows)))
        links += rows
        stands += _standing(text.split(), stops, found.stops)
    for name, time, kind, source, target in found.trips:
        if source in first and target in first:
            kept.append((name, kind, time, tail[first[source]], head[first[target]], 0))
        else:
            lacking.append(name)
    ids, types, times, origin, destination, sizes = zip(*kept, strict=True) if kept else ((),) * 6
    notes = [f"{many} {tag} are passed over" for tag, many in sorted(found.passed_over.items())]
    if lacking:
        notes.append(f"{len(lacking)} vehicles are left out, for they name edges or routes that are not there (first: {lacking[0]})")
    classes = [found.types[kind].vehicle_class if kind in found.types else "car" for kind in types]
    unknown = sum(kind not in found.types and kind != "DEFAULT_VEHTYPE" for kind in types)
    if unknown:
        notes.append(f"{unknown} vehicles are of a type that is not there; they are cars")
    names, code = np.unique(np.array(classes, str), return_inverse=True) if classes else (np.array(["car"]), np.zeros(0, np.int64))
    return SumoRoutes(
        ids, types, np.array(times, float), np.array(origin, np.int64), np.array(destination, np.int64),
        np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]).astype(np.int64), np.array(links, np.int64), code.astype(np.int8),
        tuple(names.tolist()), np.array(stands, float), dict(found.types), tuple(notes),
    )  # fmt: skip


def _standing(edges: list[str], stops: tuple[tuple[str, float], ...], places: dict[str, str]) -> list[float]:
    """Return how long a vehicle stands on each edge of its route [s]; a stop that is not on the route is passed over."""
    time, at = [0.0] * len(edges), 0
    for place, duration in stops:
        edge = places.get(place[5:], "") if place.startswith("stop:") else place
        if edge in edges[at:]:
            at = edges.index(edge, at)
            time[at] += duration
    return time
