"""Links for a city that has roads but no network: centrelines are noded, areas get a centreline, every guess is marked and counted.

What a link of the result says in its JSON: `class`, `lanes`, `speed_limit` [m/s], `width` [m], `layer`, `bridge`, `tunnel`, as far as the
road says it; ``"vertices"`` or ``"line"`` (see `cim.model.link_lines`); ``"derived"``, how it was made; ``"assumed"``, what nobody stated.
Nodes are named by their place, ``"84976.5,447575.1"``: a change elsewhere leaves names and ids of links alone.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from cim.errors import CRSError, UsageError
from cim.model.centrelines import Centrelines, centrelines
from cim.model.earlier_links import NOTES, without_earlier
from cim.model.noding import LooseEnds, Noded, loose_ends, node_lines
from cim.model.road_facts import NOT_FOR_CARS, WAY_WORDS, RoadFacts, read_facts
from cim.model.road_surfaces import driven_areas
from cim.model.schema import make_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["derive_road_links"]

_ROAD, _PLOT = "Road", "LandUse"
_LAND_USES = frozenset({"road", "roads", "street", "streets", "s1", "1207", "道路", "道路用地", "城市道路用地", "城镇道路用地"})
"""Land use of streets: S1 of GB 50137-2011, 1207 of the classes of territorial planning (2020), in words and codes."""
_LINES = (1, 5)
_AREAS = (3, 6)
_OF_AREA, _OF_LINE = "centreline of area", "piece of line"
_STRETCH = 0.02
"""Systems of a country keep lengths within 0.1 %, web maps do not."""
_SHOWN = 5
_REACHES = (1.0, 2.0, 5.0)
"""Distances [m] within which dead ends are looked for that stop short of another road."""
Told = tuple[str, str, str, int]
"""Code, severity, message and count of an issue."""


def derive_road_links(
    city: City,
    *,
    snap: float = 1.0,
    cross: Literal["split", "pass"] = "split",
    road_class: str = "unclassified",
    lane_width: float = 3.25,
    island: float = 30.0,
    also: Sequence[str] = (),
    again: bool = False,
    method: str = "derive_road_links",
) -> City:
    """Return the city with links of the network ``road``, made from its roads.

    Roads that are lines are cut where they meet (`cim.model.noding`). Of roads that are areas those that touch are put together, without
    the areas whose function is another than driving, and their centrelines are taken (`cim.model.centrelines`).

    Parameters
    ----------
    snap
        Ends of lines this near to each other, or to a line, meet [m].
    cross
        Whether lines that cross without a common vertex on the same level are joined (``"split"``) or pass over each other.
    road_class
        Of roads whose class nobody states.
    lane_width
        Width of road area that makes one lane [m]: 3.25 m is the lane for cars up to 60 km/h of CJJ 37-2012 (2016), table 5.3.1, and lies
        within the 2.7 m to 3.6 m of the AASHTO Green Book.
    island
        Holes of road areas smaller than this [m²] are driven around as if they were not there.
    also
        Ids of roads that cars use although their function says otherwise, such as the deck of a bridge that is kept as a footway.
    again
        Links that an earlier run derived are taken away first, with what was told of them. Links that a source states never are.
    method
        Stands before the issues that tell what was assumed.

    Raises
    ------
    ObjectNotFoundError
        If a road of `also` is not there.
    UsageError
        If the city has road links already (with `again`: that were not derived), no road with a shape, or a parameter makes no sense.
    CRSError
        If the city does not count in metres.

    Examples
    --------
    >>> from shapely import LineString
    >>> from cim.model import CityBuilder
    >>> builder = CityBuilder("EPSG:28992")
    >>> _ = builder.add_objects("Road", ["long", "side"], footprints=[LineString([(0, 0), (90, 0)]), LineString([(40, 0), (40, 50)])])
    >>> links = derive_road_links(builder.build()).tables["links"]
    >>> sorted(zip(links["from_node"].to_pylist(), links["to_node"].to_pylist()))
    [('0.0,0.0', '40.0,0.0'), ('40.0,0.0', '40.0,50.0'), ('40.0,0.0', '90.0,0.0')]
    """
    _check(city, snap, cross, lane_width, island)
    city = without_earlier(city, again=again, method=method)
    type, keys = _candidates(city)
    roads = _Roads.of(city, type, keys, city.key_of(list(also)) if also else keys[:0])
    if not (len(roads.lines) or len(roads.areas)):
        msg = "the city has no road that is a line or an area, so no links can be derived; read roads (centrelines, road areas) into it"
        raise UsageError(msg)
    made, told = _Made(), roads.told()
    if len(roads.lines):
        _from_lines(made, told, roads, snap, cross)
    if len(roads.areas):
        _from_areas(made, told, roads, lane_width, island)
    if not made.owner:
        msg = "the roads of the city make no link: " + "; ".join(text for _, _, text, _ in told)
        raise UsageError(msg)
    return _with_links(city, made, roads, road_class, told, method)


def _check(city: City, snap: float, cross: str, lane_width: float, island: float) -> None:
    faults = []
    if not 0 <= snap <= 50:
        faults.append(f"snap is {snap:g} m, expected 0 to 50")
    if cross not in ("split", "pass"):
        faults.append(f"cross is {cross!r}, expected 'split' or 'pass'")
    if not 2 <= lane_width <= 6:
        faults.append(f"lane_width is {lane_width:g} m, expected 2 to 6")
    if not 0 <= island < float("inf"):
        faults.append(f"island is {island:g} m², expected 0 or more")
    if faults:
        raise UsageError("derive_road_links: " + "; ".join(faults))
    if not city.crs.is_projected or (not city.crs.is_local and city.crs.linear_unit_factor != 1.0):
        reason = f"deriving road links needs metres, the city is in {city.crs.to_string()}"
        raise CRSError(city.name or "city", reason, "bring it to a projected system first (cim.model.to_crs)")
    stretch = _stretch(city)
    if abs(stretch - 1) > _STRETCH:
        reason = f"deriving road links needs true metres, but {city.crs.to_string()} stretches lengths by a factor {stretch:.3g} here"
        raise CRSError(city.name or "city", reason, "bring it to a system made for the place first (cim.model.to_crs)")


def _stretch(city: City) -> float:
    """Return how many units of the system a metre on the ground is in the middle of the city; 1 where the system does not reach it."""
    if city.crs.is_local:
        return 1.0
    from pyproj import Proj

    xmin, ymin, xmax, ymax = city.bounds
    plane = Proj(city.crs.horizontal)
    place = plane((xmin + xmax) / 2, (ymin + ymax) / 2, inverse=True)
    if not np.isfinite(place).all():
        return 1.0
    scale = float(np.sqrt(plane.get_factors(*place).areal_scale))
    return scale if np.isfinite(scale) else 1.0


def _candidates(city: City) -> tuple[str, Ints]:
    """Return the class of the objects that are roads and their keys; plots of road land where the city has no roads."""
    if _ROAD in city.types():
        return _ROAD, city.keys(_ROAD)
    if _PLOT not in city.types():
        return _ROAD, np.empty(0, np.int64)
    keys = city.keys(_PLOT)
    road = np.zeros(len(keys), bool)
    for name in {"land_use", "land_use_code", "function", "class"} & set(city.attributes.schema(_PLOT).names):
        words = [str(one).strip().lower() for one in city.column(_PLOT, name, keys).to_pylist()]
        road |= np.isin(np.array(words, str), sorted(_LAND_USES))
    return _PLOT, keys[road]


@dataclass(frozen=True)
class _Roads:
    """The roads of a city that cars use, and what they say."""

    type: str
    keys: Ints
    shapes: Shapes
    facts: RoadFacts
    lines: Ints
    """Rows that are lines."""
    areas: Ints
    """Rows that are areas."""
    shapeless: int
    other: Counter[str]
    """Roads that are no carriageway, by class."""
    surfaced: int
    """Roads of which only the surfaces for traffic count."""

    @classmethod
    def of(cls, city: City, type: str, keys: Ints, also: Ints) -> _Roads:
        import shapely

        shapes, surfaced = driven_areas(city, keys, city.footprints(keys) if len(keys) else np.empty(0, object))
        facts = read_facts(city, type, keys)
        kind = np.where(shapely.is_empty(shapes), -1, shapely.get_type_id(shapes)) if len(keys) else np.empty(0, np.int64)
        facts.road_class[np.isin(keys, also) & np.isin(facts.road_class.astype(str), sorted(NOT_FOR_CARS))] = ""
        driven = ~np.isin(facts.road_class.astype(str), sorted(NOT_FOR_CARS))
        shaped = np.isin(kind, _LINES + _AREAS)
        other = Counter(facts.road_class[~driven & shaped].tolist())
        lines, areas = (np.flatnonzero(driven & np.isin(kind, kinds)) for kinds in (_LINES, _AREAS))
        return cls(type, keys, shapes, facts, lines, areas, int((driven & ~shaped).sum()), other, surfaced)

    def told(self) -> list[Told]:
        """Return what was left out."""
        told = []
        if self.type != _ROAD:
            said = f"{len(self.keys)} plots whose land use is road stand for roads, which the city has none of"
            told.append(("assumed", "warning", said, len(self.keys)))
        if self.other:
            names = ", ".join(f"{count} {name}" for name, count in self.other.most_common())
            told.append(
                ("assumed", "info", f"{self.other.total()} roads are no carriageways by their function ({names})", self.other.total())
            )
        if self.surfaced:
            told.append(("assumed", "info", f"of {self.surfaced} roads only the surfaces of the class TrafficArea count", self.surfaced))
        if self.shapeless:
            told.append(("unsupported", "warning", f"{self.shapeless} roads have neither line nor area and make no links", self.shapeless))
        return told


class _Made:
    """Links made so far, as columns."""

    def __init__(self) -> None:
        self.owner: list[int] = []
        """Rows of the roads."""
        self.start: list[str] = []
        self.end: list[str] = []
        self.length: list[float] = []
        self.said: list[dict[str, Any]] = []


def _names(places: Floats, storey: Floats) -> list[str]:
    """Return names of nodes by place [dm]; where two share one, the storey and then a number tell them apart."""
    names = [f"{x:.1f},{y:.1f}".replace("-0.0", "0.0") for x, y in places.tolist()]
    seen = Counter(names)
    names = [f"{name}@{level:g}" if seen[name] > 1 and level else name for name, level in zip(names, storey.tolist(), strict=True)]
    again: Counter[str] = Counter()
    unique = []
    for name in names:
        again[name] += 1
        unique.append(name if again[name] == 1 else f"{name}#{again[name]}")
    return unique


# ---------------------------------------------------------------- lines


def _from_lines(made: _Made, told: list[Told], roads: _Roads, snap: float, cross: Literal["split", "pass"]) -> None:
    import shapely

    parts, of = shapely.get_parts(roads.shapes[roads.lines], return_index=True)
    row = roads.lines[of]
    size = shapely.get_num_coordinates(parts)
    first_of_part = np.cumsum(size) - size
    first_of_road = first_of_part[np.searchsorted(of, of)]
    offset = first_of_part - first_of_road
    noded = node_lines(parts, snap=snap, cross=cross, storey=roads.facts.storey[row])
    names = _names(noded.places, noded.storey)
    owner = row[noded.line]
    made.owner += owner.tolist()
    made.start += [names[node] for node in noded.start.tolist()]
    made.end += [names[node] for node in noded.end.tolist()]
    made.length += shapely.length(noded.pieces).tolist()
    vertices = np.stack([noded.first, noded.last], axis=1) + offset[noded.line][:, None]
    whole = ((noded.first >= 0) & (noded.last >= 0)).tolist()
    for at, (plain, span) in enumerate(zip(whole, vertices.tolist(), strict=True)):
        place = {"vertices": span} if plain else {"line": _rounded(noded.pieces[at])}
        made.said.append({**place, "derived": _OF_LINE})
    told += [*_noding_told(noded, snap, len(roads.lines), roads.facts), *_loose_told(loose_ends(noded, roads.facts.storey[row]), snap)]


def _rounded(line: Any) -> list[list[float]]:
    import shapely

    points: list[list[float]] = np.round(shapely.get_coordinates(line), 2).tolist()
    return points


def _noding_told(noded: Noded, snap: float, roads: int, facts: RoadFacts) -> list[Told]:
    other = facts.other_ways.total()
    words = ", ".join(f"{word!r} {count}" for word, count in facts.other_ways.most_common(_SHOWN))
    said = [
        ("assumed", "info", len(noded.line), f"{len(noded.line)} links are made from the lines of {roads} roads"),
        ("assumed", "info", noded.touched, f"{noded.touched} ends of roads lie on the middle of another, which is cut there"),
        ("assumed", "info", noded.snapped, f"{noded.snapped} nodes join ends that lie apart, by up to snap={snap:g} m each"),
        ("assumed", "warning", noded.crossed, f"{noded.crossed} crossings of roads without a common vertex are made nodes (cross='split')"),
        ("assumed", "warning", noded.passed, f"{noded.passed} crossings of roads without a common vertex are no nodes (cross='pass')"),
        ("assumed", "info", noded.over, f"{noded.over} crossings and touching ends are on different levels and not joined"),
        ("conflict", "warning", noded.overlapping, f"{noded.overlapping} pairs of roads run on each other: their links double"),
        ("repaired", "info", noded.dropped, f"{noded.dropped} pieces shorter than snap={snap:g} m are left out"),
        ("guessed", "warning", facts.in_kmh, f"{facts.in_kmh} speed limits are taken for km/h: they are no limits in m/s"),
        ("guessed", "warning", facts.true_or_false, f"T and F of {facts.true_or_false} roads are taken for one way and both: none has B"),
        ("assumed", "warning", facts.one_way, f"{facts.one_way} one-way roads do not say which way: taken for the way their line is drawn"),
        ("unsupported", "warning", other, f"the direction of {other} roads is not understood ({words}); known are {WAY_WORDS}"),
    ]
    return [(code, how, text, count) for code, how, count, text in said if count]


def _loose_told(loose: LooseEnds, snap: float) -> list[Told]:
    """Return in one line how many ends stop short of another road, and which snap would join most of them."""
    within = {reach: int((loose.gap <= reach).sum()) for reach in _REACHES if reach > snap}
    total = max(within.values(), default=0)
    if not total:
        return []
    value = next(reach for reach, count in within.items() if 2 * count >= total)
    parts = f"the links of lines fall into {loose.parts} parts; " if loose.parts > 1 else ""
    counts = ", ".join(f"{count} within {reach:g} m" for reach, count in within.items())
    text = (f"{parts}dead ends stop short of another road: {counts}; if they should meet, derive anew with a greater snap: "
            f"cim roads CITY --again --snap {value:g}, or derive_road_links(snap={value:g}, again=True)")  # fmt: skip
    return [("unmatched", "warning" if loose.parts > 1 else "info", text, total)]


# ---------------------------------------------------------------- areas


def _from_areas(made: _Made, told: list[Told], roads: _Roads, lane_width: float, island: float) -> None:
    import shapely

    found = centrelines(roads.shapes[roads.areas], roads.facts.storey[roads.areas], island=island)
    owner = roads.areas[found.area]
    names = _names(found.places, found.storey)
    made.owner += owner.tolist()
    made.start += [names[node] for node in found.start.tolist()]
    made.end += [names[node] for node in found.end.tolist()]
    made.length += shapely.length(found.lines).tolist()
    lanes = np.maximum(np.round(found.width / lane_width), 1).astype(int)
    for line, width, count in zip(found.lines.tolist(), found.width.tolist(), lanes.tolist(), strict=True):
        said = {"line": _rounded(line), "derived": _OF_AREA, "width": round(width, 2), "lanes": count}
        made.said.append({**said, "assumed": ["centreline", "direction", "lanes"]})
    told += _areas_told(found, len(roads.areas), lane_width, island)


def _areas_told(found: Centrelines, areas: int, lane_width: float, island: float) -> list[Told]:
    links, bare = len(found.lines), areas - len(np.unique(found.area))
    said = [
        ("assumed", "warning", links, f"{links} links are centrelines of {areas} road areas: their place, direction and nodes are assumed"),
        ("assumed", "warning", links, f"lanes of {links} links are assumed from the width of the area, one for each {lane_width:g} m"),
        ("assumed", "info", bare, f"{bare} road areas hold less of a centreline than their neighbours and own no link"),
        ("assumed", "info", found.islands, f"{found.islands} holes smaller than {island:g} m² in road areas are driven over"),
        (
            "assumed",
            "info",
            found.portals,
            f"{found.portals} places where areas of different levels touch are joined, such as the ends of bridges",
        ),
        ("unmatched", "warning", found.failed, f"{found.failed} road areas are too small or too thin for a centreline"),
    ]
    return [(code, how, text, count) for code, how, count, text in said if count]


# ---------------------------------------------------------------- the city


def _with_links(
    city: City, made: _Made, roads: _Roads, road_class: str, told: list[Told], method: str
) -> City:  # fmt: skip
    facts, rows = roads.facts, np.array(made.owner, np.int64)
    texts, direction = [], []
    for at, said in zip(rows.tolist(), made.said, strict=True):
        stated, assumed = _stated(facts, at, road_class)
        guesses = {*said.get("assumed", ()), *assumed} - ({"lanes"} if "lanes" in stated else set())
        whole = {**said, **stated, "assumed": sorted(guesses)}
        texts.append(json.dumps(whole, ensure_ascii=False))
        direction.append("both" if said["derived"] == _OF_AREA else facts.direction[at] or "both")
    table = city.tables["links"]
    first = int(np.max(table["key"].to_numpy())) + 1 if table.num_rows else 0
    keys = np.arange(first, first + len(rows))
    more = make_table("links", {"key": keys, "network": "road", "object": roads.keys[rows], "from_node": made.start, "to_node": made.end,
                                "direction": direction, "length": np.array(made.length), "attributes": texts})  # fmt: skip
    told = [*told, *_facts_told(facts, rows, road_class)]
    changed = city.replace_tables(links=pa.concat_tables([table, more]))
    return changed.with_issues(
        [{"code": a, "severity": b, "count": n, "record": NOTES, "message": f"{method}: {text}"} for a, b, text, n in told]
    )


def _stated(facts: RoadFacts, at: int, road_class: str) -> tuple[dict[str, Any], list[str]]:
    """Return what a road says of its links, and the names of what it does not."""
    said: dict[str, Any] = {"class": facts.road_class[at] or road_class}
    assumed = [name for name, missing in (("class", not facts.road_class[at]), ("direction", not facts.direction[at])) if missing]
    for name, values in (("lanes", facts.lanes), ("speed_limit", facts.speed), ("width", facts.width)):
        if not np.isnan(values[at]):
            said[name] = round(float(values[at]), 4)
    if "lanes" in said and said["lanes"] == int(said["lanes"]):
        said["lanes"] = int(said["lanes"])
    said.update({name: "yes" for name, told in (("bridge", facts.bridge[at]), ("tunnel", facts.tunnel[at])) if told})
    if facts.storey[at]:
        said["layer"] = int(facts.storey[at])
    return said, assumed


def _facts_told(facts: RoadFacts, rows: Ints, road_class: str) -> list[Told]:
    """Return what is assumed because the roads do not say it."""
    told = []
    bare = facts.road_class[rows] == ""
    if bare.any():
        words = [word for word, _ in Counter(facts.said[rows[bare]].tolist()).most_common(_SHOWN) if word]
        named = f" (no class is known for {', '.join(map(repr, words))})" if words else ""
        told.append(("assumed", "warning", f"the class of {int(bare.sum())} links is assumed to be {road_class!r}{named}", int(bare.sum())))
    way = int((facts.direction[rows] == "").sum())
    if way:
        told.append(("assumed", "warning", f"{way} links are assumed to be open in both directions", way))
    return told
