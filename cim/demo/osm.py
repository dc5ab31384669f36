"""An OpenStreetMap extract of the demo district, and the places of a web map whose coordinates are GCJ-02 without saying so."""

from __future__ import annotations

import html
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.features import Records
from cim.demo.files import CRS
from cim.demo.plan import AVENUES, CANAL, ORIGIN, STREETS, to_place
from cim.demo.streets import ways

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import Buildings
    from cim.demo.streets import Way

    Reals = NDArray[np.float64]
    Tags = dict[str, str]

__all__ = ["CATEGORIES", "Extract", "can_read", "make_extract", "make_places", "web_map", "write_extract"]

_FIRST = 9_000_000_001
"""Id of the first object: far above what is in use."""
_SHARE = 0.7
"""Of the buildings, those that volunteers have drawn."""
_ROADS = {"主干路": ("primary", 60), "次干路": ("secondary", 40), "支路": ("residential", 30)}
_USES = {
    "住宅": "apartments", "商业": "retail", "办公": "office", "酒店": "hotel", "学校": "school", "医院": "hospital",
    "消防站": "fire_station", "图书馆": "public", "文化": "civic",
}  # fmt: skip
_PLACES = (
    ("咖啡馆", "Café", "amenity", "cafe"), ("餐馆", "Restaurant", "amenity", "restaurant"), ("药店", "Pharmacy", "amenity", "pharmacy"),
    ("便利店", "Convenience Store", "shop", "convenience"), ("书店", "Bookshop", "shop", "books"), ("银行", "Bank", "amenity", "bank"),
    ("面包房", "Bakery", "shop", "bakery"), ("诊所", "Clinic", "amenity", "clinic"),
)  # fmt: skip
CATEGORIES = {zh: f"{key}={value}" for zh, _, key, value in _PLACES}
"""Code list of the web map: its category -> class in OpenStreetMap."""
_STRAY = 0.4
"""Spread of the web map's points around those of OpenStreetMap [m]."""


@dataclass(frozen=True)
class Extract:
    """What the extract shows."""

    ways: int
    """Road objects in it."""
    road_length: float
    """Of all roads [m]."""
    pairs: frozenset[tuple[str, str]]
    """(building, object of the extract) that are the same."""
    records: int
    """Objects that a reader makes of it."""


def can_read() -> bool:
    """Return whether osmium is installed, without which the extract cannot be read."""
    from importlib.util import find_spec

    return find_spec("osmium") is not None


def make_places(seed: int) -> Records:
    """Return points of interest along the streets, local coordinates."""
    import shapely

    random = np.random.default_rng([seed, 11])
    spots = list(itertools.product(STREETS[1:-1], itertools.pairwise(AVENUES)))
    rows = [(street, (left.at + right.at) / 2) for street, (left, right) in spots if CANAL not in (left, right)]
    kinds = random.integers(0, len(_PLACES), len(rows))
    along = np.array([at for _, at in rows]) + random.uniform(-45.0, 45.0, len(rows))
    inland = np.array([street.at + street.width / 2 + 4.5 for street, _ in rows])
    zh = [f"{street.zh}{int(at) // 10:d}号{_PLACES[kind][0]}" for (street, _), at, kind in zip(rows, along, kinds, strict=True)]
    en = [f"{street.en} {_PLACES[kind][1]} {int(at) // 10:d}" for (street, _), at, kind in zip(rows, along, kinds, strict=True)]
    numbers = np.array([f"POI-{number + 1:03d}" for number in range(len(rows))], object)
    columns: dict[str, NDArray[Any]] = {"编号": numbers, "名称": np.array(zh, object), "英文名": np.array(en, object), "类别": kinds}
    return Records(np.asarray(shapely.points(np.round(to_place(along, inland), 2)), object), columns)


def web_map(places: Records, seed: int) -> Records:
    """Return the places as a web map would sell them, still in local coordinates: most of them, a little aside, without their ids."""
    import shapely

    random = np.random.default_rng([seed, 12])
    chosen = np.sort(random.permutation(len(places))[: round(0.85 * len(places))])
    xy = shapely.get_coordinates(places.geometry[chosen]) + random.normal(0.0, _STRAY / 2, (len(chosen), 2))
    numbers = np.array([f"WM{number + 1:04d}" for number in range(len(chosen))], object)
    kinds = np.array([_PLACES[kind][0] for kind in places.columns["类别"][chosen].tolist()], object)
    return Records(np.asarray(shapely.points(xy), object), {"uid": numbers, "title": places.columns["名称"][chosen], "category": kinds})


# ---------------------------------------------------------------- the extract


@dataclass
class _File:
    """Objects of the file so far."""

    places: dict[tuple[float, float], int] = field(default_factory=dict)
    """Place to the millimetre -> number of its node."""
    points: list[tuple[float, float]] = field(default_factory=list)
    tags: dict[int, Tags] = field(default_factory=dict)
    ways: list[tuple[list[int], Tags]] = field(default_factory=list)
    relations: list[tuple[list[tuple[int, str]], Tags]] = field(default_factory=list)

    def node(self, x: float, y: float, *, shared: bool) -> int:
        """Return the number of the node at a place; one that is shared is there once."""
        key = (round(x, 3), round(y, 3))
        if shared and key in self.places:
            return self.places[key]
        self.points.append(key)
        if shared:
            self.places[key] = len(self.points) - 1
        return len(self.points) - 1

    def way(self, nodes: list[int], tags: Tags) -> int:
        self.ways.append((nodes, tags))
        return len(self.ways) - 1


def make_extract(
    buildings: Buildings, places: Records, path: Path, seed: int, *,
    names: tuple[str, ...], left_out: frozenset[str], drawn: int | None = None,
) -> Extract:  # fmt: skip
    """Write the extract and return what is in it.

    Parameters
    ----------
    names
        Id that each building has in the city.
    left_out
        Buildings that nobody drew.
    drawn
        Row of a building that somebody drew for sure.
    """
    file = _File()
    lines = ways()
    for line in lines:
        _road(file, line)
    random = np.random.default_rng([seed, 10])
    chosen = random.uniform(0, 1, len(buildings)) < _SHARE
    if drawn is not None:
        chosen[drawn] = True
    rows = np.flatnonzero(chosen & ~np.isin(buildings.ids, list(left_out))).tolist()
    shown = [(names[row], _building(file, buildings, row)) for row in rows]
    for (x, y), row in zip(_places_of(places), range(len(places)), strict=True):
        number = file.node(x, y, shared=False)
        kind = _PLACES[int(places.columns["类别"][row])]
        file.tags[number] = {kind[2]: kind[3], "name": str(places.columns["名称"][row]), "name:en": str(places.columns["英文名"][row])}
    write_extract(file, path)
    length = sum(float(np.linalg.norm(np.diff(line.points, axis=0), axis=1).sum()) for line in lines)
    return Extract(len(lines), length, frozenset(shown), len(lines) + len(rows) + len(places))


def _places_of(places: Records) -> list[tuple[float, float]]:
    import shapely

    return [(float(x), float(y)) for x, y in shapely.get_coordinates(places.geometry)]


def _road(file: _File, line: Way) -> None:
    kind, speed = _ROADS[line.street.rank]
    tags = {"highway": kind, "name": line.street.zh, "name:en": line.street.en, "lanes": str(line.street.lanes), "maxspeed": str(speed)}
    if line.one_way:
        tags |= {"oneway": "yes", "lanes": "1"}
    if line.kind:
        tags |= {line.kind: "yes", "layer": "1" if line.kind == "bridge" else "-1"}
    nodes = [file.node(x, y, shared=bool(one)) for (x, y), one in zip(line.points.tolist(), line.shared, strict=True)]
    file.way(nodes, tags)


def _building(file: _File, buildings: Buildings, row: int) -> str:
    """Draw a building and return the id it has in the file; one with a courtyard is a multipolygon."""
    shape = buildings.shapes[row]
    tags = {"building": _USES[str(buildings.use[row])], "building:levels": str(buildings.storeys[row]), "name": str(buildings.names[row])}
    rings = [_ring(file, ring) for ring in (shape.exterior, *shape.interiors)]
    if len(rings) == 1:
        return f"way/{_FIRST + file.way(rings[0], tags)}"
    members = [(file.way(ring, {}), "inner" if number else "outer") for number, ring in enumerate(rings)]
    file.relations.append((members, {"type": "multipolygon", **tags}))
    return f"relation/{_FIRST + len(file.relations) - 1}"


def _ring(file: _File, ring: Any) -> list[int]:
    nodes = [file.node(x, y, shared=False) for x, y in list(ring.coords)[:-1]]
    return [*nodes, nodes[0]]


def write_extract(file: _File, path: Path) -> None:
    """Write the objects as OSM XML in WGS 84, nodes, ways and relations in order."""
    from pyproj import Transformer

    move = Transformer.from_crs(CRS, "EPSG:4490", always_xy=True)  # taken as WGS 84, as everybody does: less than a decimetre
    lon, lat = move.transform(*(np.array(file.points) + ORIGIN).T)
    same = 'version="1" timestamp="2026-01-01T00:00:00Z" visible="true"'
    out = ['<?xml version="1.0" encoding="UTF-8"?>', '<osm version="0.6" generator="CIM toolkit demo">']
    for number, (x, y) in enumerate(zip(lon.tolist(), lat.tolist(), strict=True)):
        out += _element("node", f'id="{_FIRST + number}" {same} lat="{y:.7f}" lon="{x:.7f}"', _tags(file.tags.get(number, {})))
    for number, (nodes, tags) in enumerate(file.ways):
        out += _element("way", f'id="{_FIRST + number}" {same}', [*(f'  <nd ref="{_FIRST + one}"/>' for one in nodes), *_tags(tags)])
    for number, (members, tags) in enumerate(file.relations):
        inside = [f'  <member type="way" ref="{_FIRST + way}" role="{role}"/>' for way, role in members]
        out += _element("relation", f'id="{_FIRST + number}" {same}', [*inside, *_tags(tags)])
    path.write_text("\n".join([*out, "</osm>", ""]), encoding="utf-8")


def _tags(tags: Tags) -> list[str]:
    return [f'  <tag k="{key}" v="{html.escape(value)}"/>' for key, value in tags.items()]


def _element(name: str, head: str, inside: list[str]) -> list[str]:
    return [f" <{name} {head}>", *inside, f" </{name}>"] if inside else [f" <{name} {head}/>"]
