"""Reach: which buildings help comes to in time from its stations, on the streets that water and traffic leave, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.road_network import RoadNetwork
from cim.results import Fields, RunRecord, Stopwatch, city_fingerprint, table_fingerprint
from cim.scenario.network import closures
from cim.sim.buildings import require_measurable
from cim.sim.impact.assess import plain_dataset
from cim.sim.impact.parameters import ImpactParameters, impact_parameters
from cim.sim.impact.reach_course import CUT_OFF, IN_TIME, LATE, NEVER, NOT_ASSESSED, Course
from cim.sim.impact.reach_flooded import Flooded, flooded
from cim.sim.impact.reach_parameters import ReachParameters, reach_parameters
from cim.sim.impact.reach_search import Search
from cim.sim.impact.reach_stations import Stations, read_stations
from cim.sim.impact.reach_tables import cut_off_table, object_table, reach_figures, station_table, step_table
from cim.sim.impact.reach_targets import Targets, read_targets
from cim.sim.impact.reach_times import LinkTimes, Steps, beginning, closed_by_people, link_times, steps_of
from cim.sim.impact.reach_ways import Sites, Ways, attach, ways_of
from cim.sim.impact.walking import FAMILIES, walking_network
from cim.sim.times import seconds
from cim.sim.traffic.city_network import road_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City
    from cim.scenario.network import Closure

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["VERSION", "reach"]

VERSION = "2"


def reach(
    city: City,
    traffic: Fields | RoadNetwork | None = None,
    *,
    stations: Any,
    roads: Fields | None = None,
    base: Fields | None = None,
    exposed: Fields | None = None,
    network: RoadNetwork | None = None,
    parameters: ReachParameters | None = None,
    residents: ImpactParameters | None = None,
    **options: Any,
) -> Fields:
    """Return which objects are reached from stations in time, at every step of a flood, by object id.

    Parameters
    ----------
    traffic
        Result of a traffic run, whose times on links are taken (those of its intervals where it has any); or a network. Left out: links
        take their free-flow time.
    stations
        A word (``"fire"``, ``"hospital"``, ``"shelter"``, ``"消防站"`` …), ids, points ``(x, y)``, several of them, or a mapping from the
        name of a service to these; see `cim.sim.impact.reach_stations`.
    roads
        State of the roads under water, the result of ``coupling.road_state``. Left out: all roads are as the city has them.
    base
        Traffic of a dry day, which the dry base is counted on; left out: the free-flow time.
    exposed
        Result of ``impact.exposure``: nobody comes from a station while water stands around it that comes in.
    network
        Links to drive on; left out: those of the city.
    parameters, options
        `ReachParameters`, and any of its fields by name, such as ``within=["5min", "10min"]``, ``vehicle_class="truck"``.
    residents
        How people are counted: `floor_area_per_person` and `uses` of `ImpactParameters`.

    Returns
    -------
    Fields
        Tables ``objects`` (per object, service and class: in_time, late, cut_off, never or not_assessed, times, first time cut off),
        ``steps`` (per step: how many objects, people, m² are reached within each time), ``cut_off`` (who is lost or found again at which
        step), ``stations``. The column ``place`` names service and class.

    Raises
    ------
    UsageError
        If stations, objects or parameters make no sense; each kind of fault with all it concerns in one message.
    CRSError
        If lengths cannot be measured in the system of the city.

    Notes
    -----
    A road that the city closes from one instant to another is closed at the steps between them; without roads and traffic, second 0 is the
    first of these instants. At each step the links keep the times of that instant for the whole trip. A station and an object are joined
    to their nearest road, at the nearest place on it, in both directions; a link that is closed cannot be entered, whichever part of it is
    under water.
    """
    watch = Stopwatch()
    limits, living = reach_parameters(parameters, {**options, "stations": stations}), impact_parameters(residents, {})
    require_measurable(city)
    if isinstance(traffic, RoadNetwork):
        traffic, network = None, traffic
    found, targets = read_stations(city, limits.stations), read_targets(city, limits.objects, living)
    steps, notes = steps_of(roads, traffic, limits.times, city.time_zone, _closures(city, limits.classes))
    wet = flooded(exposed, found, steps)
    notes = [*found.notes, *targets.notes, *notes, *wet.notes]
    courses: list[Course] = []
    posts: list[dict[str, Any]] = []
    for vehicle in limits.classes:
        case = _Case.of(city, vehicle, limits, found, targets, network, wet, notes)
        shut = closed_by_people(city, case.network, vehicle, traffic, steps.start)
        state, told = link_times(case.network, vehicle, traffic, roads, beginning(roads, traffic)[1], shut)
        notes += told
        dry = link_times(case.network, vehicle, base, None)[0].at(0.0)
        courses += [_followed(case, service, dry, state, steps) for service in range(len(found.names))]
        posts += [_posts(case, state, steps)] * len(found.names)
    tables = {
        "objects": object_table(courses, targets, found, steps, limits.limits), "steps": step_table(courses, targets, steps, limits.limits),
        "cut_off": cut_off_table(courses, targets, steps), "stations": station_table(courses, found, posts, steps),
    }  # fmt: skip
    tables["figures"] = reach_figures(tables["objects"], tables["steps"])
    notes += [f"{text} are closed in or under water at some step" for text in _closed_in(courses, posts, found)]
    given = {"roads": roads, "traffic": traffic, "base": base, "exposed": exposed}
    inputs = {"city": city_fingerprint(city)} | {name: table_fingerprint(one.table()) for name, one in given.items() if one is not None}
    assumed = (*_always(base, traffic, limits), *dict.fromkeys(notes))
    seed = None if traffic is None else traffic.run.seed
    run = RunRecord("reach", VERSION, inputs, limits.model_dump(), seed, steps.start, balance=_balance(courses, targets),
                    assumptions=assumed)  # fmt: skip
    return Fields("reach", plain_dataset(), tables, watch.stop(run))


def _closures(city: City, classes: Sequence[str]) -> list[Closure]:
    """Return the closures of the city that concern some classes."""
    return [one for one in closures(city) if not one.classes or set(classes) & set(one.classes)]


def _always(base: Fields | None, traffic: Fields | None, limits: ReachParameters) -> list[str]:
    """Return what is taken for granted in every run."""
    said = ["links keep the times of a step for the whole trip", "a link that is closed anywhere cannot be entered at either end"]
    first = "first interval of the " if base is not None and "intervals" in base.tables else ""
    said.append("the dry base is the empty network" if base is None else f"the dry base is the {first}traffic that was given as base")
    if base is None and traffic is not None:
        said.append("time over the dry base is traffic and water together; give base= to tell them apart")
    if limits.access_speed is None:
        said.append("times end at the road: the way from there to the object is told as access_distance, not counted")
    if "emergency" in limits.classes:
        said.append("emergency vehicles drive as fast as the traffic: no priority is reckoned with")
    return said


def _closed_in(courses: list[Course], posts: list[dict[str, Any]], found: Stations) -> list[str]:
    """Return the stations that cannot be left at some step, by course."""
    said = []
    for course, post in zip(courses, posts, strict=True):
        mine = np.flatnonzero((found.service == found.names.index(course.service)) & np.isfinite(post["first"]))
        if len(mine):
            said.append(f"{course.place}: {len(mine)} stations ({', '.join(found.ids[mine][:5])}{' …' if len(mine) > 5 else ''})")
    return said


def _balance(courses: list[Course], targets: Targets) -> dict[str, float]:
    """Return the main numbers of each course."""
    made: dict[str, float] = {}
    for one in courses:
        gone = one.status == CUT_OFF
        counts = {"not_assessed": NOT_ASSESSED, "in_time": IN_TIME, "late": LATE, "cut_off": CUT_OFF, "never": NEVER}
        made |= {f"{one.place}: objects {name}": float((one.status == code).sum()) for name, code in counts.items()}
        for name, values in (("people cut off", targets.people[gone]), ("floor area cut off [m²]", targets.floor_area[gone])):
            if np.isfinite(values).any() or not gone.any():  # else nobody knows
                made[f"{one.place}: {name}"] = float(np.nansum(values))
    return made


@dataclass(frozen=True)
class _Case:
    """What one class of vehicle drives on, and where stations and objects lie on it."""

    vehicle: str
    network: RoadNetwork
    ways: Ways
    stations: Sites
    objects: Sites
    found: Stations
    keys: Ints
    """Of the objects."""
    limits: ReachParameters
    wet: Flooded

    @classmethod
    def of(
        cls,
        city: City,
        vehicle: str,
        limits: ReachParameters,
        found: Stations,
        targets: Targets,
        network: RoadNetwork | None,
        wet: Flooded,
        notes: list[str],
    ) -> _Case:
        walking = vehicle == "pedestrian"
        own = network or (walking_network(city, speed=limits.walking_speed) if walking else road_network(city, closed=True))
        ways = ways_of(own, city, families=FAMILIES)
        factor = city.crs.linear_unit_factor
        posts, objects = (attach(one.shapes, ways, reach=limits.access_reach, factor=factor) for one in (found, targets))
        notes += own.notes
        if ways.straight:
            notes.append(f"{ways.straight} links whose line nobody states are taken to run straight from node to node")
        far = int((posts.way < 0).sum())
        if far:
            where = f"further than {limits.access_reach:g} m from every road, or nowhere"
            notes.append(f"{vehicle}: {far} of {len(posts)} stations lie {where}: nobody comes from them")
        for words, one in (("stations", posts), ("objects", objects)):
            if one.aside:
                where = "is cut off from most of the network"
                notes.append(f"{vehicle}: {one.aside:,} of {len(one):,} {words} are entered from another road, for the nearest {where}")
        lost = [one for one in objects.reason.tolist() if one is not None]
        notes += [f"{vehicle}: {lost.count(one):,} of {len(objects):,} objects not assessed, {one}" for one in sorted(set(lost))]
        return cls(vehicle, own, ways, posts, objects, found, targets.keys, limits, wet)

    def begins(self, service: int) -> Floats:
        """Return what each station spends before it is on the road [s], infinite for those of other services."""
        way = 0.0 if self.limits.access_speed is None else self.stations.access / self.limits.access_speed
        mine = (self.found.service == service) & (self.stations.way >= 0)
        return np.where(mine, seconds(self.limits.turnout) + way, np.inf)

    def themselves(self, service: int) -> tuple[Ints, Ints]:
        """Return the objects that are stations of a service, and which: help is there already, whatever is closed."""
        rows = np.flatnonzero((self.found.service == service) & (self.found.keys >= 0))
        _, objects, stations = np.intersect1d(self.keys, self.found.keys[rows], return_indices=True)
        return objects, rows[stations]

    def arrival(self) -> Floats:
        """Return what it takes from the road to each object [s]."""
        speed = self.limits.access_speed
        return np.zeros(len(self.objects)) if speed is None else self.objects.access / speed


def _followed(case: _Case, service: int, dry: Floats, state: LinkTimes, steps: Steps) -> Course:
    """Return what becomes of every object over the steps."""
    search, begins, arrival = Search(case.network, case.ways, case.stations), case.begins(service), case.arrival()
    time, station = search.at(case.objects, search.run(dry, begins))
    where = case.objects.link_ids(case.ways, case.network)
    mine, always = case.themselves(service), seconds(case.limits.turnout)
    station[mine[0]] = mine[1]
    time = _but(time + arrival, mine[0], always)
    course = Course.of(case.found.names[service], case.vehicle, case.objects, where, time, station, case.limits.limits[-1])
    for number, moment in enumerate(steps.begin.tolist()):
        now = state.at(moment)
        dry_ones = np.where(case.wet.at(moment), np.inf, begins)
        none_open = not (np.isfinite(dry_ones) & ~_closed(case.stations, case.ways, now)).any()
        time = search.times(case.objects, search.run(now, dry_ones))
        shut = _closed(case.objects, case.ways, now)
        course.add(number, moment, float(steps.end[number]), _but(time + arrival, mine[0], always), shut, none_open=none_open)
    return course


def _but(time: Floats, rows: Ints, value: float) -> Floats:
    """Return times with one value in some rows."""
    time[rows] = value
    return time


def _closed(sites: Sites, ways: Ways, now: Floats) -> Bools:
    """Return which sites have no road that is open: every link they lie on is closed."""
    links = np.stack(sites.links(ways))
    return np.asarray(~np.isfinite(np.where(links >= 0, now[links], np.inf)).any(axis=0))


def _posts(case: _Case, state: LinkTimes, steps: Steps) -> dict[str, Any]:
    """Return where stations lie, when each is closed in first, and for how long [s]."""
    first, closed = np.full(len(case.stations), np.nan), np.zeros(len(case.stations))
    for begin, end in zip(steps.begin.tolist(), steps.end.tolist(), strict=True):
        out = (_closed(case.stations, case.ways, state.at(begin)) | case.wet.at(begin)) & (case.stations.way >= 0)
        first[out & np.isnan(first)] = begin
        closed[out] += end - begin
    where = case.stations.link_ids(case.ways, case.network)
    return {"first": first, "closed": closed, "link": where, "access": case.stations.access, "reason": case.stations.reason}
