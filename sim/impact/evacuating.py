"""Evacuation on foot: who walks to which shelter while there is room, and how long it takes: L / v + N / (C W)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.model.numeric import numbers
from cim.results import Fields, RunRecord, Stopwatch, city_fingerprint, table_fingerprint
from cim.results.columns import column
from cim.scenario.network import closures
from cim.sim.bodies import areas
from cim.sim.buildings import area_factor, require_measurable
from cim.sim.impact.assess import plain_dataset, table_of
from cim.sim.impact.evacuation_parameters import WIDTH, EvacuationParameters, evacuation_parameters
from cim.sim.impact.parameters import ImpactParameters, impact_parameters
from cim.sim.impact.reach_search import Search
from cim.sim.impact.reach_stations import Stations, read_stations
from cim.sim.impact.reach_targets import Targets, read_targets
from cim.sim.impact.reach_times import ON_FOOT, beginning, closed_by_people
from cim.sim.impact.reach_ways import Sites, Ways, attach, ways_of
from cim.sim.impact.walking import FAMILIES, walking_network
from cim.sim.times import seconds
from cim.sim.traffic.road_states import at_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["assigned", "evacuation", "evacuation_time"]

_VERSION = "1"
_CROWD = 1e-6
"""Fewer people than this are none: what the solver leaves of rounding."""
_TEXT, _REAL = pa.string(), pa.float64()
_PEOPLE = column("people", _REAL, unit="persons", en="people", zh="人数")
_TIMES = (
    column("walking_time", _REAL, unit="s", en="time to walk", zh="步行时间"),
    column("queue_time", _REAL, unit="s", en="time until the last one is out", zh="疏散排队时间"),
    column("time", _REAL, unit="s", en="until the last one arrives", zh="疏散总时间"),
)  # fmt: skip
_STATUS = (column("status", _TEXT, en="status", zh="状态"), column("reason", _TEXT, en="reason", zh="原因"))
_OBJECTS = pa.schema([
    pa.field("object", _TEXT), *_STATUS, _PEOPLE,
    column("placed", _REAL, unit="persons", en="people with a place", zh="已安置人数"),
    column("unplaced", _REAL, unit="persons", en="people without a place", zh="未安置人数"),
    column("shelter", _TEXT, en="shelter of most of them", zh="主要避难场所"),
    column("length", _REAL, unit="m", en="longest way", zh="最长路程"),
    column("width", _REAL, unit="m", en="width of the exits", zh="出口宽度"),
    *_TIMES,
])  # fmt: skip
_ASSIGNED = pa.schema([
    pa.field("object", _TEXT), column("place", _TEXT, en="shelter", zh="避难场所"), _PEOPLE,
    column("length", _REAL, unit="m", en="way", zh="路程"), *_TIMES,
])  # fmt: skip
_SHELTERS = pa.schema([
    pa.field("object", _TEXT), column("place", _TEXT, en="shelter", zh="避难场所"), *_STATUS,
    column("capacity", _REAL, unit="persons", en="places", zh="容量（人）"), _PEOPLE,
    column("free", _REAL, unit="persons", en="places left", zh="剩余容量"),
    column("time", _REAL, unit="s", en="until the last one arrives", zh="最后到达时间"),
])  # fmt: skip


def evacuation_time(length: Any, people: Any, width: Any, *, speed: float = 1.2, flow: float = 1.3) -> Any:
    """Return how long it takes until the last of some people is at the end of a way [s]: L / v + N / (C W).

    Parameters
    ----------
    length, people, width
        Way [m], number of people, effective width of the narrowest place at which they queue [m]; numbers or arrays.
    speed
        Of walking [m/s].
    flow
        People that pass a metre of width in a second [1/(m s)].

    Examples
    --------
    >>> evacuation_time(600.0, 260.0, 2.0)
    600.0
    """
    return length / speed + people / (flow * width)


def evacuation(
    city: City, shelters: Any, *, roads: Fields | None = None, residents: ImpactParameters | None = None, **options: Any
) -> Fields:  # fmt: skip
    """Return who walks from which object to which shelter, and how long it takes, when all leave at once.

    Parameters
    ----------
    shelters
        As stations of `reach`: a word such as ``"shelter"`` or ``"避难场所"``, ids, points, or several.
    roads
        State of the roads for the class pedestrian: nobody enters a link that is closed when they leave.
    residents
        How people are counted: `floor_area_per_person` and `uses` of `ImpactParameters`.
    options
        Fields of `EvacuationParameters`, such as ``capacity={"school": 300}``, ``width=2.4``, ``objects=["b7"]``, ``at="90min"``.

    Returns
    -------
    Fields
        Tables ``objects`` (placed, no_room, no_route, empty or not_assessed, people with and without a place, times), ``assignments``
        (people by object and shelter), ``shelters`` (places, people, last arrival).

    Raises
    ------
    UsageError
        If shelters, capacities, widths or numbers make no sense; all faults of a kind in one message.

    Notes
    -----
    People are spread over the shelters so that the sum of their walking times is least (a transport problem, solved by HiGHS); as many as
    there are places for are placed, before anybody's way is made shorter. People of one object may be split. Queues on the way and at the
    shelters are not reckoned with. All people of an object pass its exits, wherever they go.
    """
    watch, limits = Stopwatch(), evacuation_parameters(options)
    require_measurable(city)
    found = read_stations(city, shelters, what="evacuation")
    targets = read_targets(city, limits.objects, impact_parameters(residents, {}), what="evacuation")
    number = _by_id(targets.ids, targets.people, limits.people, "people")
    places, notes = _capacities(city, found, limits)
    exits, assumed = _widths(city, targets, limits.width)
    network = walking_network(city, speed=limits.speed)
    case = _Case.of(city, network, found, targets, limits.access_reach)
    shut, told = _shut(city, network, roads, seconds(limits.at))
    way = case.ways_to_shelters(_lengths(network, case.ways, shut))
    number = np.where(case.sites.way >= 0, number, np.nan)
    placed = assigned(np.nan_to_num(number), np.where(case.posts.way >= 0, places, 0.0), way / limits.speed)
    crowd = _Crowd(targets.ids, found.ids, number, exits, places, way, placed, limits.speed, limits.flow)
    tables = {
        "objects": crowd.objects(case.sites),
        "assignments": crowd.assignments(),
        "shelters": crowd.shelters(case.posts, found.objects),
    }
    inputs = {"city": city_fingerprint(city)} | ({} if roads is None else {"roads": table_fingerprint(roads.table("states"))})
    notes = [*found.notes, *targets.notes, *network.notes, *notes, *assumed, *told, *crowd.notes()]
    run = RunRecord("evacuation", _VERSION, inputs, limits.model_dump(), balance=crowd.balance(), assumptions=tuple(notes))
    return Fields("evacuation", plain_dataset(), tables, watch.stop(run))


def assigned(people: Floats, places: Floats, time: Floats) -> Floats:
    """Return how many people of each object go to each shelter: as many as fit, in the least sum of times.

    Parameters
    ----------
    people : shape (n,)
        Of each object.
    places : shape (m,)
        Of each shelter.
    time : shape (n, m)
        [s]; infinite where no way leads.

    Examples
    --------
    >>> assigned(np.array([10.0, 10.0]), np.array([10.0, 5.0]), np.array([[1.0, 2.0], [1.0, 9.0]])).tolist()
    [[5.0, 5.0], [5.0, 0.0]]
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, vstack

    made = np.zeros(time.shape)
    of, to = np.nonzero(np.isfinite(time) & (people > 0)[:, None] & (places > 0)[None, :])
    if not len(of):
        return made
    each, ones = np.arange(len(of)), np.ones(len(of))
    shape = [(len(people), len(of)), (len(places), len(of))]
    rows = vstack([coo_array((ones, (end, each)), shape=size) for end, size in zip((of, to), shape, strict=True)]).tocsr()
    cost = time[of, to]
    reward = 2.0 * float(cost.max()) * (min(len(people), len(places)) + 1) + 1.0  # no detour is so long that leaving somebody out would pay
    solved = linprog(cost - reward, A_ub=rows, b_ub=np.concatenate([people, places]), method="highs")
    if solved.status != 0:
        msg = f"evacuation: the assignment of {len(people)} objects to {len(places)} shelters was not solved: {solved.message}"
        raise UsageError(msg)
    made[of, to] = np.where(solved.x > _CROWD, solved.x, 0.0)
    return made


@dataclass(frozen=True)
class _Case:
    """Objects and shelters on the paths of pedestrians."""

    network: RoadNetwork
    ways: Ways
    sites: Sites
    posts: Sites

    @classmethod
    def of(cls, city: City, network: RoadNetwork, found: Stations, targets: Targets, reach: float) -> _Case:
        ways = ways_of(network, city, families=FAMILIES)
        sites, posts = (attach(one.shapes, ways, reach=reach, factor=city.crs.linear_unit_factor) for one in (targets, found))
        return cls(network, ways, sites, posts)

    def ways_to_shelters(self, length: Floats) -> Floats:
        """Return the way from every object to every shelter [m], infinite where none leads; it is as long there as back."""
        search = Search(self.network, self.ways, self.posts)
        found = np.full((len(self.sites), len(self.posts)), np.inf)
        for k in np.flatnonzero(self.posts.way >= 0).tolist():
            begins = np.where(np.arange(len(self.posts)) == k, self.posts.access, np.inf)
            found[:, k] = search.times(self.sites, search.run(length, begins)) + self.sites.access
        return np.asarray(np.where((self.sites.way >= 0)[:, None], found, np.inf))


def _shut(city: City, network: RoadNetwork, roads: Fields | None, moment: float) -> tuple[Bools, list[str]]:
    """Return which links water or people have closed when all leave, and what is not known of that."""
    timed = [one for one in closures(city) if (one.start or one.until) and (not one.classes or ON_FOOT in one.classes)]
    start = beginning(roads, None)[0]
    told = [f"{len(timed)} closures that begin or end are left out: no roads= say when people leave"] if timed and start is None else []
    closed = np.zeros(network.links.num_rows, bool) if roads is None else at_time(roads, network, ON_FOOT, moment)[2]
    for begin, end, rows in closed_by_people(city, network, ON_FOOT, None, start):
        closed[rows] |= begin <= moment < end
    return closed, told


def _lengths(network: RoadNetwork, ways: Ways, closed: Bools) -> Floats:
    """Return the length of each link [m]; infinite where either direction is closed."""
    length = np.asarray(network.column("length"), float)
    both = np.flatnonzero((ways.forward >= 0) & (ways.backward >= 0))
    shut = closed[ways.forward[both]] | closed[ways.backward[both]]
    closed[ways.forward[both]], closed[ways.backward[both]] = shut, shut
    return np.asarray(np.where(closed, np.inf, length))


def _by_id(ids: Texts, values: Floats, stated: Mapping[str, float], what: str) -> Floats:
    """Return values with those that are given by id."""
    place = {one: k for k, one in enumerate(ids.tolist())}
    unknown = [one for one in stated if one not in place]
    if unknown:
        msg = f"evacuation: {what} of {len(unknown)} ids that are not among those asked for: {', '.join(map(repr, unknown[:5]))}"
        raise UsageError(msg)
    made = values.copy()
    made[[place[one] for one in stated]] = list(stated.values())
    return made


def _stated(city: City, ids: Texts, keys: Ints, given: Any, what: str) -> Floats:
    """Return numbers by id, by attribute, or one for all; not a number where none is given."""
    if isinstance(given, Mapping):
        return _by_id(ids, np.full(len(ids), np.nan), given, what)
    if not isinstance(given, str):
        return np.full(len(ids), float(given))
    found = np.full(len(ids), np.nan)
    found[keys >= 0] = numbers(city, given, keys[keys >= 0])
    return found


def _capacities(city: City, found: Stations, limits: EvacuationParameters) -> tuple[Floats, list[str]]:
    places, notes = _stated(city, found.ids, found.keys, limits.capacity, "capacity"), []
    blank, each = ~(places >= 0), limits.area_per_person
    if each is not None and blank.any():
        size = areas(found.shapes[blank]) * area_factor(city) / each
        places[blank] = np.where(size > 0, np.floor(size), np.nan)
        notes.append(f"places of {int(np.isfinite(places[blank]).sum())} shelters are assumed: footprint / {each:g} m²")
    lost = found.ids[~(places >= 0)].tolist()
    if lost:
        msg = f"evacuation: {len(lost)} shelters state no capacity: {', '.join(lost[:5])}; give capacity= or area_per_person="
        raise UsageError(msg)
    return places, notes


def _widths(city: City, targets: Targets, width: Any) -> tuple[Floats, list[str]]:
    stated = _stated(city, targets.ids, targets.keys, width, "width")
    if not isinstance(width, str | Mapping):
        return stated, [f"the exits of every object are taken to be {width:g} m wide"]
    blank = ~(stated > 0)
    note = f"the exits of {int(blank.sum()):,} of {len(targets):,} objects are assumed to be {WIDTH:g} m wide"
    return np.where(blank, WIDTH, stated), [note] if blank.any() else []


@dataclass(frozen=True)
class _Crowd:
    """Who goes where, as tables."""

    ids: Texts
    names: Texts
    people: Floats
    width: Floats
    places: Floats
    way: Floats
    placed: Floats
    speed: float
    flow: float

    def _times(self, rows: Any, length: Floats) -> dict[str, Floats]:
        walking, queue = length / self.speed, self.people[rows] / (self.flow * self.width[rows])
        return {"walking_time": walking, "queue_time": queue, "time": walking + queue}

    def objects(self, sites: Sites) -> pa.Table:
        inside, known = self.placed.sum(axis=1), np.isfinite(self.people)
        rest = np.where(self.people - inside > _CROWD, self.people - inside, 0.0)
        routed = np.isfinite(self.way).any(axis=1)
        cases = {"not_assessed": ~known, "empty": self.people == 0, "no_route": ~routed, "no_room": rest > 0}
        status = np.select(list(cases.values()), list(cases), "placed").astype(object)
        reason = sites.reason.copy()
        reason[known] = None
        reason[~known & np.array([one is None for one in reason], bool)] = "unknown_people"
        longest = np.max(np.where(self.placed > 0, self.way, -np.inf), axis=1, initial=-np.inf)
        some = np.isfinite(longest)
        length = np.where(some, longest, np.nan)
        most = np.array([*self.names.tolist(), None], object)[np.where(some, self.placed.argmax(axis=1), -1)]
        times = {name: np.where(some, one, np.nan) for name, one in self._times(slice(None), length).items()}
        columns = {"object": self.ids, "status": status, "reason": reason, "people": self.people, "placed": np.where(known, inside, np.nan),
                   "unplaced": np.where(known, rest, np.nan), "shelter": most, "length": length, "width": self.width, **times}  # fmt: skip
        return table_of(columns, _OBJECTS)

    def assignments(self) -> pa.Table:
        of, to = np.nonzero(self.placed)
        length = self.way[of, to]
        columns = {
            "object": self.ids[of],
            "place": self.names[to],
            "people": self.placed[of, to],
            "length": length,
            **self._times(of, length),
        }
        return table_of(columns, _ASSIGNED)

    def shelters(self, posts: Sites, objects: Texts) -> pa.Table:
        inside = self.placed.sum(axis=0)
        last = self.way / self.speed + (self.people / (self.flow * self.width))[:, None]
        time = np.max(np.where(self.placed > 0, last, -np.inf), axis=0, initial=-np.inf)
        out = posts.way < 0
        full = inside >= self.places - _CROWD
        status = np.select([out, inside <= 0, full], ["not_assessed", "empty", "full"], "open").astype(object)
        columns = {"object": objects, "place": self.names, "status": status, "reason": posts.reason, "capacity": self.places,
                   "people": inside,
                   "free": np.maximum(self.places - inside, 0.0), "time": np.where(np.isfinite(time), time, np.nan)}  # fmt: skip
        return table_of(columns, _SHELTERS)

    def balance(self) -> dict[str, float]:
        """Return people in, with and without a place; none of them where nobody says how many there are."""
        total, inside = float(np.nansum(self.people)), float(self.placed.sum())
        routed = np.isfinite(self.way).any(axis=1)
        if np.isnan(self.people).all():
            return {"places": float(self.places.sum())}
        return {"people": total, "people_placed": inside, "people_without_a_place": total - inside,
                "people_without_a_route": float(np.nansum(self.people[~routed])), "places": float(self.places.sum())}  # fmt: skip

    def notes(self) -> list[str]:
        """Return what does not fit, and what is left out."""
        sums, said = self.balance(), []
        if sums.get("people_without_a_place", 0.0) > _CROWD:
            said.append(f"{sums['people_without_a_place']:,.0f} of {sums['people']:,.0f} people have no place: shelters hold "
                        f"{sums['places']:,.0f}, and {sums['people_without_a_route']:,.0f} people have no route to any")  # fmt: skip
        lost = int(np.isnan(self.people).sum())
        if lost:
            said.append(
                f"{lost:,} of {len(self.people):,} objects are not assessed: nobody says how many people are there, or no road is near"
            )
        return [*said, "queues on the way and at the shelters are not reckoned with; all leave at once"]
