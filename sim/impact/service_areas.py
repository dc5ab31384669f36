"""Service radius and circles of daily life: which roads, objects and people lie within a time or a way of stations, along the roads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.results import Fields, RunRecord, Stopwatch, city_fingerprint
from cim.results.columns import column
from cim.scenario.network import closures
from cim.sim.buildings import require_measurable
from cim.sim.impact.assess import plain_dataset, table_of
from cim.sim.impact.parameters import impact_parameters
from cim.sim.impact.reach_parameters import reach_parameters
from cim.sim.impact.reach_search import Found, Search
from cim.sim.impact.reach_stations import Stations, read_stations
from cim.sim.impact.reach_tables import say_limit
from cim.sim.impact.reach_targets import Targets, read_targets
from cim.sim.impact.reach_times import closed_by_people
from cim.sim.impact.reach_ways import Sites, Ways, attach, ways_of
from cim.sim.impact.walking import FAMILIES, walking_network
from cim.sim.times import seconds
from cim.sim.traffic.city_network import road_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["AREAS", "service_area"]

_VERSION = "2"
_LENGTH = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*(m|km|米|公里|千米)\s*", re.IGNORECASE)
_METRES = {"m": 1.0, "米": 1.0, "km": 1000.0, "公里": 1000.0, "千米": 1000.0}
_TEXT, _REAL = pa.string(), pa.float64()
_PLACE = (column("place", _TEXT, en="service and limit", zh="服务与范围"), column("service", _TEXT, en="service", zh="服务"))
AREAS = pa.schema([
    *_PLACE,
    column("length", _REAL, unit="m", en="length of roads within", zh="范围内道路长度"),
    column("area", _REAL, unit="m²", en="area of the outline", zh="轮廓面积"),
    column("objects", pa.int64(), unit="objects", en="objects within", zh="范围内对象数"),
    column("objects_share", _REAL, unit="1", en="share of the objects assessed", zh="占评估对象比例"),
    column("people", _REAL, unit="persons", en="people within", zh="范围内人数"),
    column("people_share", _REAL, unit="1", en="share of people", zh="人口比例"),
    column("floor_area", _REAL, unit="m²", en="floor area within", zh="范围内建筑面积"),
    column("footprint", pa.binary(), en="outline (WKB)", zh="轮廓（WKB）"),
])  # fmt: skip
"""One row per service (or station) and limit. The outline is what lies near the roads within: for drawing, it decides nothing."""
_LINKS = pa.schema([
    pa.field("object", _TEXT), *_PLACE, column("link", _TEXT, en="link", zh="路段"),
    column("length", _REAL, unit="m", en="length", zh="长度"), column("share", _REAL, unit="1", en="share within", zh="范围内比例"),
])  # fmt: skip
_OBJECTS = (
    pa.field("object", _TEXT), *_PLACE, column("status", _TEXT, en="status", zh="状态"), column("reason", _TEXT, en="reason", zh="原因"),
    column("station", _TEXT, en="nearest station", zh="最近站点"),
)  # fmt: skip


@dataclass(frozen=True)
class _Case:
    network: RoadNetwork
    ways: Ways
    posts: Sites
    stations: Stations
    targets: Targets
    sites: Sites
    cost: Floats
    """Of each link: [s], or [m]."""
    unit: str
    begins: Floats
    arrival: Floats
    metres: float
    """Per unit of the map."""


def service_area(
    city: City,
    stations: Any,
    *,
    within: float | str | Sequence[float | str] = "15min",
    vehicle_class: str = "pedestrian",
    objects: str | Sequence[str] = "Building",
    network: RoadNetwork | None = None,
    each: bool = False,
    **options: Any,
) -> Fields:
    """Return what lies within a time or a way of stations, along the roads.

    Parameters
    ----------
    stations
        As for `reach`: a word, ids, points, several, or a mapping from the name of a service to these.
    within
        Times such as ``"15min"`` (一刻钟生活圈), or ways such as ``"800m"``: service radius on the network.
    vehicle_class
        ``"pedestrian"`` walks on roads and paths both ways, at `walking_speed`; others drive at the free speed, one-way roads one way.
    each
        A circle for every station instead of one for all of a service.
    options
        `access_reach`, `access_speed`, `walking_speed`, `turnout` of `ReachParameters`.

    Returns
    -------
    Fields
        Tables ``areas`` (per service and limit: length, objects, people, outline), ``links`` (share of each piece of road within),
        ``objects`` (within, outside or not_assessed, with time or way to the nearest station).

    Raises
    ------
    UsageError
        If times and ways are mixed, or stations, objects or options make no sense.

    Notes
    -----
    GB 50180-2018 calls what one reaches on foot within 15, 10 and 5 minutes the circles of daily life (生活圈).
    """
    watch, (limits, unit) = Stopwatch(), _limits(within)
    require_measurable(city)
    given = {"stations": stations, "vehicle_class": vehicle_class, "objects": objects, **options}
    said = reach_parameters(None, given)
    if len(said.classes) != 1:
        msg = f"service_area: {len(said.classes)} vehicle classes; give one"
        raise UsageError(msg)
    found, targets = read_stations(city, said.stations, what="service_area"), read_targets(city, said.objects, impact_parameters(None, {}))
    walking = said.classes[0] == "pedestrian"
    own = network or (walking_network(city, speed=said.walking_speed) if walking else road_network(city, closed=True))
    ways, factor = ways_of(own, city, families=FAMILIES), city.crs.linear_unit_factor
    posts, sites = (attach(one.shapes, ways, reach=said.access_reach, factor=factor) for one in (found, targets))
    pace = {"s": said.access_speed, "m": 1.0}[unit]
    access = [np.zeros(len(one)) if pace is None else one.access / pace for one in (posts, sites)]
    start = seconds(said.turnout) if unit == "s" else 0.0
    cost = own.column("free_flow_time" if unit == "s" else "length").astype(float)
    for _, _, rows in closed_by_people(city, own, said.classes[0], None, None):
        cost[rows] = np.inf
    case = _Case(own, ways, posts, found, targets, sites, cost, unit, start + access[0], access[1], factor)
    tables = _tables(case, limits, said.access_reach / factor, each=each)
    notes = [*found.notes, *targets.notes, *own.notes, *_told(case, said.access_reach), *_for_a_time(city, said.classes[0])]
    inputs = {"city": city_fingerprint(city)}
    record = {**said.model_dump(exclude={"within", "times"}), "within": [_said(one, unit) for one in limits], "each": each}
    run = RunRecord("service_area", _VERSION, inputs, record, assumptions=tuple(notes))
    return Fields("service_area", plain_dataset(), tables, watch.stop(run))


def _for_a_time(city: City, vehicle_class: str) -> list[str]:
    """Tell of closures that begin or end: this result is of no instant."""
    mine = [one for one in closures(city) if (one.start or one.until) and (not one.classes or vehicle_class in one.classes)]
    return [f"{len(mine)} closures of links that begin or end are not looked at: this is of no instant"] if mine else []


def _limits(within: Any) -> tuple[list[float], str]:
    """Return limits, rising, and their unit: seconds or metres."""
    given = list(within) if isinstance(within, list | tuple) else [within]
    ways = [_LENGTH.fullmatch(one) if isinstance(one, str) else None for one in given]
    if not given or (any(ways) and not all(ways)):
        msg = f'service_area: within={within!r}; give times such as "15min", or ways such as "800m", not both'
        raise UsageError(msg)
    if all(ways):
        return sorted({float(one[1]) * _METRES[one[2].lower()] for one in ways if one}), "m"
    return sorted({seconds(one) for one in given}), "s"


def _said(limit: float, unit: str) -> str:
    return say_limit(limit) if unit == "s" else f"{limit:g}m"


def _tables(case: _Case, limits: Sequence[float], buffer: float, *, each: bool) -> dict[str, pa.Table]:
    """Return areas, links and objects of every service or station."""
    name = "time" if case.unit == "s" else "distance"
    schema = pa.schema([*_OBJECTS, column(name, _REAL, unit=case.unit, en=name, zh="时间" if case.unit == "s" else "距离")])
    search = Search(case.network, case.ways, case.posts)
    areas, links, objects = [AREAS.empty_table()], [_LINKS.empty_table()], [schema.empty_table()]
    for title, mine in _groups(case.stations, each=each):
        found = search.run(case.cost, np.where(mine & (case.posts.way >= 0), case.begins, np.inf))
        cost, station = search.at(case.sites, found)
        cost = cost + case.arrival
        for limit in limits:
            who = {"place": f"{title}, {_said(limit, case.unit)}", "service": title}
            way, low, high = _within(case, found, limit)
            inside = (case.sites.way >= 0) & (cost <= limit)
            areas.append(table_of(_area_columns(case, who, inside, way, low, high, buffer), AREAS))
            links.append(table_of(_link_columns(case, who, way, low, high), _LINKS))
            objects.append(
                table_of({**_object_columns(case, who, inside, station), name: np.where(np.isfinite(cost), cost, np.nan)}, schema)
            )
    return {"areas": pa.concat_tables(areas), "links": pa.concat_tables(links), "objects": pa.concat_tables(objects)}


def _groups(stations: Stations, *, each: bool) -> list[tuple[str, NDArray[np.bool_]]]:
    names = np.array(stations.names, object)[stations.service]
    if each:
        return [(f"{names[k]} {stations.ids[k]}", np.arange(len(stations)) == k) for k in range(len(stations))]
    return [(name, stations.service == number) for number, name in enumerate(stations.names)]


def _within(case: _Case, found: Found, limit: float) -> tuple[Ints, Floats, Floats]:
    """Return the pieces of ways that lie within a limit: way, beginning and end as shares of its line; pieces do not overlap."""
    pieces = []
    ways, posts = case.ways, case.posts
    all_ways = np.arange(len(ways.lines))
    for links, back in ((ways.forward, False), (ways.backward, True)):
        known = np.flatnonzero(links >= 0)
        share = _share(limit - found.entry(links[known]), case.cost[links[known]])
        pieces.append((all_ways[known], 1.0 - share if back else np.zeros(len(known)), np.ones(len(known)) if back else share))
    for links, back in zip(posts.links(ways), (False, True), strict=True):
        known = np.flatnonzero((links >= 0) & np.isfinite(found.begins))
        share, at = _share(limit - found.begins[known], case.cost[links[known]]), posts.share[known]
        pieces.append((posts.way[known], np.maximum(at - share, 0.0) if back else at, at if back else np.minimum(at + share, 1.0)))
    way, low, high = (np.concatenate(one) for one in zip(*pieces, strict=True))
    some = high > low
    return _joined(way[some], low[some], high[some])


def _share(rest: Floats, cost: Floats) -> Floats:
    """Return which share of a link is used up by what is left to spend."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(cost > 0, rest / cost, np.where(rest >= 0, 1.0, 0.0))
    return np.where(np.isfinite(rest) & np.isfinite(cost), np.clip(share, 0.0, 1.0), 0.0)


def _joined(way: Ints, low: Floats, high: Floats) -> tuple[Ints, Floats, Floats]:
    """Return pieces with those that overlap made one."""
    if not len(way):
        return way, low, high
    order = np.lexsort((low, way))
    way, low, high = way[order], low[order], high[order]
    end = np.maximum.accumulate(high + 2.0 * way) - 2.0 * way  # ways lie 2 apart: none reaches into the next
    head = np.concatenate([[True], (way[1:] != way[:-1]) | (low[1:] > end[:-1])])
    first = np.flatnonzero(head)
    last = np.append(first[1:], len(way)) - 1
    return way[first], low[first], end[last]


def _links_of(case: _Case, way: Ints) -> Ints:
    return np.where(case.ways.forward[way] >= 0, case.ways.forward[way], case.ways.backward[way])


def _link_columns(case: _Case, who: dict[str, str], way: Ints, low: Floats, high: Floats) -> dict[str, Any]:
    used, at = np.unique(way, return_inverse=True)
    share = np.minimum(np.bincount(at, high - low, len(used)), 1.0)
    rows = pa.array(_links_of(case, used))
    columns = {name: np.full(len(used), word, object) for name, word in who.items()}
    links = case.network.links
    return {
        **columns,
        "object": links["object"].take(rows),
        "link": links["id"].take(rows),
        "length": links["length"].take(rows),
        "share": share,
    }


def _object_columns(case: _Case, who: dict[str, str], inside: NDArray[np.bool_], station: Ints) -> dict[str, Any]:
    columns = {name: np.full(len(inside), word, object) for name, word in who.items()}
    names = np.array([*case.stations.ids.tolist(), None], object)
    status = np.where(case.sites.way < 0, "not_assessed", np.where(inside, "within", "outside")).astype(object)
    return {**columns, "object": case.targets.ids, "status": status, "reason": case.sites.reason, "station": names[station]}


def _area_columns(
    case: _Case, who: dict[str, str], inside: NDArray[np.bool_], way: Ints, low: Floats, high: Floats, buffer: float
) -> dict[str, Any]:  # fmt: skip
    import shapely

    outline = shapely.union_all(shapely.buffer(_drawn(case.ways, way, low, high), buffer, quad_segs=8))
    assessed = case.sites.way >= 0
    length = np.nan_to_num(case.network.column("length").astype(float))[_links_of(case, way)]
    sums = {}
    for name, values in (("people", case.targets.people), ("floor_area", case.targets.floor_area)):
        blind = np.isnan(values[inside]).all() and (inside.any() or not assessed.any())  # nobody knows
        all_of_them = float(np.nansum(values[assessed]))
        sums[name] = np.nan if blind else float(np.nansum(values[inside]))
        sums[f"{name}_share"] = sums[name] / all_of_them if all_of_them > 0 else np.nan
    count, whole = int(inside.sum()), int(assessed.sum())
    numbers = {
        "length": float((length * (high - low)).sum()),
        "objects": count,
        "objects_share": count / whole if whole else np.nan,
        **sums,
    }
    factor = case.metres**2
    return {
        **{name: np.array([word], object) for name, word in who.items()}, **{name: np.array([one]) for name, one in numbers.items()},
        "area": np.array([shapely.area(outline) * factor]), "footprint": np.array([shapely.to_wkb(outline)], object),
    }  # fmt: skip


def _drawn(ways: Ways, way: Ints, low: Floats, high: Floats) -> NDArray[np.object_]:
    """Return the lines of pieces; those whose way has no line are left out."""
    import shapely
    from shapely.ops import substring

    lines = ways.lines[way]
    part = np.flatnonzero(((low > 0.0) | (high < 1.0)) & ~shapely.is_missing(lines))
    ends = zip(part.tolist(), low[part].tolist(), high[part].tolist(), strict=True)
    lines[part] = [substring(lines[k], a, b, normalized=True) for k, a, b in ends]  # only those at the rim
    return np.asarray(lines[~shapely.is_missing(lines)], object)


def _told(case: _Case, reach: float) -> list[str]:
    said = []
    if case.ways.straight:
        said.append(f"{case.ways.straight} links whose line nobody states are taken to run straight from node to node")
    for what, sites in (("stations", case.posts), ("objects", case.sites)):
        if sites.aside:
            said.append(
                f"{sites.aside} of {len(sites)} {what} are entered from another road, for the nearest is cut off from most of the network"
            )
        lost = int((sites.way < 0).sum())
        if lost:
            said.append(f"{lost} of {len(sites)} {what} lie further than {reach:g} m from every road, or nowhere: they are not assessed")
    return said
