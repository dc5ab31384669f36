"""`simulate`: traffic on a city from trips, the state of its roads and closures, as one result: dynamic with queues, or in equilibrium."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results import Fields, RunRecord, Stopwatch, figure_table, table_fingerprint
from cim.sim.times import seconds
from cim.sim.traffic.case import NO_DATE, Case, case_of, held_beyond, length_of, start_of
from cim.sim.traffic.demand_zones import are_roads
from cim.sim.traffic.outputs import equilibrium_links, interval_table, loaded_links, origin_delay, total_delay, trip_table, vehicle_table
from cim.sim.traffic.parameters import TrafficParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.dynamic import DynamicRun, LinkChange

__all__ = ["VERSION", "run_case", "simulate"]

VERSION = "1"
SAMPLE = 60.0
"""Greatest time between two counts of a dynamic run [s]; an interval holds several."""


@dataclass(frozen=True)
class _Found:
    tables: dict[str, pa.Table]
    balance: dict[str, float]
    notes: tuple[str, ...]


def simulate(
    place: City | RoadNetwork,
    *,
    demand: Any = None,
    roads: Fields | None = None,
    parameters: TrafficParameters | None = None,
    **options: Any,
) -> Fields:
    """Return the traffic on a city.

    Parameters
    ----------
    place
        A city, whose road links become the network, or a network.
    demand
        An `ODMatrix` of the network, a `Demand`, or the path of a matrix; with `zones` its ids are those of objects of the city. Without,
        trips from the floor area and use of the buildings.
    roads
        What water leaves of the roads: result of `cim.sim.coupling.road_state`.
    parameters, options
        `TrafficParameters`, and any of its fields by name, such as ``method="equilibrium"``, ``start="2026-07-01T07:30+08:00"``.

    Returns
    -------
    Fields
        Tables ``links`` (flow [veh/h], travel time [s], speed [m/s], delay [veh h/h]; of an equilibrium with what the gap leaves open as
        ``…_noise``), ``figures``; of a dynamic run also ``intervals``, ``closures`` (when links are closed) and ``trips``
        (what became of the vehicles, with the cause).

    Raises
    ------
    UsageError
        If parameters, network, trips or the state of the roads hold faults; all of them in one message, before anything is computed.
    """
    return run_case(case_of(place, demand, parameters, options, roads), roads)


def run_case(case: Case, roads: Fields | None = None) -> Fields:
    """Return the traffic, on roads in a state that `cim.sim.coupling.road_state` made, or dry ones."""
    watch = Stopwatch()
    start = start_of(case.asked, roads)
    result = (_equilibrium if case.asked.method == "equilibrium" else _dynamic)(case, roads, start)
    inputs = {**case.inputs, **({"roads": table_fingerprint(roads.tables["states"])} if roads is not None else {})}
    said = {**case.asked.model_dump(mode="json"), "start": start.isoformat()}
    seed = None if case.asked.method == "equilibrium" else case.asked.seed
    run = RunRecord("traffic", VERSION, inputs, said, seed=seed, start=start, balance=result.balance,
                    assumptions=tuple(dict.fromkeys((*case.notes, *held_beyond(case, roads), *result.notes))))  # fmt: skip
    import xarray as xr

    return Fields("traffic", xr.Dataset(), result.tables, watch.stop(run))


# ---------------------------------------------------------------- the runs


def _equilibrium(case: Case, roads: Fields | None, start: datetime) -> _Found:
    """Return flows in equilibrium on the roads as they are at one instant."""
    from cim.sim.traffic.closed_links import city_closures
    from cim.sim.traffic.equilibrium import assign

    asked, network = case.asked, case.network
    at = 0.0 if asked.at is None else length_of(asked.at, start)
    closed = np.zeros(network.links.num_rows, bool)
    shut_by_people = city_closures(case.city, network, asked.vehicle, start) if case.city is not None else []
    for change in shut_by_people:
        if change.time <= at:
            closed[network.rows_of(change.links)] = bool(change.closed)
    later = [one for one in shut_by_people if one.closed and one.time > at]
    closed[network.rows_of(asked.closed)] = True
    held = network if roads is None else _held(network, roads, asked, start, at, closed)
    ids = network.links["id"].filter(pa.array(closed)).to_pylist()
    found = assign(held, case.trips, gap=asked.gap, closed=ids, unserved="refuse" if case.city is None else "tell")
    empty = network.column("free_flow_time")
    rows = equilibrium_links(held, found, empty)
    driven = found.trips.sum() - found.unserved
    free = float(found.flow @ empty) / 3600.0
    hours = float(np.sum(found.flow[~closed] * (found.time - held.column("fixed"))[~closed])) / 3600.0
    way = np.where(are_roads(network), np.nan_to_num(held.column("length")), 0.0)
    figures = [
        ("trips that find a way", driven, "veh/h", ""),
        ("trips that find no way", found.unserved, "veh/h", "between zones that no open road joins" if found.unserved else ""),
        ("time of all trips", hours, "veh h/h", "connectors of zones too"),
        ("delay", hours - free, "veh h/h", "against empty, dry roads on the ways taken; what a detour costs is in the time of all trips"),
        ("mean trip", 3600.0 * hours / driven if driven > 0 else None, "s", ""),
        ("way on roads", float(found.flow @ way) / 1000.0, "veh km/h", ""),
        ("closed links", float(closed.sum()), "links", ""),
    ]
    balance = {"trips_veh_h": float(found.trips.sum()), "unserved_veh_h": found.unserved, "within_zones_veh_h": found.within_zones,
               "relative_gap": found.gap, "beckmann_objective_veh_s_h": found.objective}  # fmt: skip
    notes = (f"equilibrium of the hour at {at:g} s after the start, relative gap {found.gap:.1e} by an exact search", *_no_start(roads))
    if later:
        many, first = len({id for one in later for id in one.links}), min(one.time for one in later)
        said = f"{many} links that the city closes later (first after {first / 60.0:g} min)"
        notes = (*notes, f"{said} are open at that instant; at= names another")
    return _Found({"links": rows, "figures": figure_table(figures)}, balance, notes)


def _no_start(roads: Fields | None) -> list[str]:
    """Tell when the states of roads know no instant."""
    if roads is None or roads.run.start is not None:
        return []
    return ["the state of the roads states no start: it is taken to begin with the traffic"]


def _held(
    network: RoadNetwork, roads: Fields, asked: TrafficParameters, start: datetime, at: float, closed: NDArray[np.bool_]
) -> RoadNetwork:
    """Return the network with the speeds and capacities that the state of the roads leaves; what it closes is marked in `closed`."""
    from cim.sim.traffic.road_states import at_time

    begun = roads.run.start
    shift = 0.0 if begun is None else (start - begun).total_seconds()
    speed, capacity, shut = at_time(roads, network, asked.vehicle, shift + at, beyond=asked.beyond)
    links = network.links
    time, most = (links[name].to_numpy().copy() for name in ("free_flow_time", "capacity"))
    length = network.column("length")
    slow = np.isfinite(speed) & (speed > 0) & np.isfinite(length)
    time[slow] = np.maximum(time[slow], length[slow] / speed[slow])
    open_ = ~shut & (capacity > 0) & (speed > 0)
    most[open_] *= capacity[open_]
    closed[~open_] = True
    for name, values in (("free_flow_time", time), ("capacity", most)):
        links = links.set_column(links.column_names.index(name), links.schema.field(name), pa.array(values))
    return replace(network, links=links)


def _dynamic(case: Case, roads: Fields | None, start: datetime) -> _Found:
    """Return every vehicle's way through queues, roads changing in time."""
    from cim.sim.traffic.closed_links import city_closures, closure_table, merged
    from cim.sim.traffic.departures import Profile, fleet_of
    from cim.sim.traffic.dynamic import LinkChange, load_fleet
    from cim.sim.traffic.road_states import changes_of

    asked, network = case.asked, case.network
    until = length_of(asked.until, start)
    made = fleet_of(network, case.trips, Profile(step=seconds(asked.departures)), seed=asked.seed)
    fleet = replace(made.fleet, class_names=(asked.vehicle,))
    shut_by_people = [LinkChange(0.0, asked.closed, closed=True)] if asked.closed else []
    if case.city is not None:
        shut_by_people += city_closures(case.city, network, asked.vehicle, start)
    water: list[LinkChange] = []
    if roads is not None:
        begun = None if roads.run.start is None else start
        water = changes_of(roads, network, asked.vehicle, begun, until=until, beyond=asked.beyond)
    changes = merged(network, shut_by_people, water)
    midnight = start.astimezone(_zone(case.city)).replace(hour=0, minute=0, second=0, microsecond=0)
    run = load_fleet(
        network, fleet, until=until, changes=changes, behaviour=asked.behaviour, clock=(start - midnight).total_seconds(),
        table_every=seconds(asked.table_every), sample_every=_sample(asked), jam_spacing=asked.jam_spacing, wave_speed=asked.wave_speed,
    )  # fmt: skip
    closures = closure_table(network, changes, until)
    shut = np.asarray(pc.is_in(network.links["id"], closures["link"].combine_chunks()).to_numpy(), bool)
    every = seconds(asked.output_every)
    tables = {"links": loaded_links(network, run, shut, every), "intervals": interval_table(network, run, every, changes),
              "closures": closures, "trips": trip_table(run)}  # fmt: skip
    if asked.vehicles:
        tables["vehicles"] = vehicle_table(network, made.fleet.origin, made.fleet.destination, run)
    counts = run.count()
    balance = {"vehicles": float(len(run.departure)), **{name: float(many) for name, many in counts.items()},
               "unaccounted": float(len(run.departure) - sum(counts.values()))}  # fmt: skip
    tables["figures"] = figure_table(_dynamic_figures(network, run, tables["intervals"], shut))
    told = [f"flow and speed by link are means over the whole run of {until / 3600.0:g} h, with the time in which it fills and empties"]
    told += _locked(run, seconds(asked.table_every)) + _idle(shut_by_people, until)
    return _Found(tables, balance, (*made.notes, *run.notes, *_no_start(roads), *_no_date(case, roads, shut_by_people), *told))


def _locked(run: DynamicRun, every: float) -> list[str]:
    """Tell of rings of full roads: the model has no driver who gives way there."""
    many = run.causes()["in a ring of full roads"]
    if not many:
        return []
    said = f"{many:,} vehicles stand in rings of full roads, where nobody gives way in this model"
    return [f"{said}: a shorter table_every than {every:g} s may change that; look at it before the numbers are used"]


def _idle(closures: Sequence[LinkChange], until: float) -> list[str]:
    """Tell when no closure that people decided falls into the run."""
    if not closures or any(one.closed and one.time < until for one in closures):
        return []
    return ["no closure of the city falls into the run: they begin after its end; do the dates and zones agree?"]


def _no_date(case: Case, roads: Fields | None, closures: Sequence[LinkChange]) -> list[str]:
    """Tell when closures have dates and the run has none."""
    dated = case.asked.start is None and (roads is None or roads.run.start is None) and any(one.time > 0 for one in closures)
    return [f"no start is given: the run begins at {NO_DATE:%Y-%m-%d}, and the closures of the city by their dates"] if dated else []


def _sample(asked: TrafficParameters) -> float:
    """Return the time between two counts [s]: a minute at most, and a whole number of them in an interval."""
    every = seconds(asked.output_every)
    return every / float(np.ceil(every / SAMPLE))


def _dynamic_figures(
    network: RoadNetwork, run: DynamicRun, intervals: pa.Table, shut: NDArray[np.bool_]
) -> list[tuple[str, float | None, str, str]]:
    from cim.sim.traffic.dynamic_outcome import STRANDED

    took = (run.arrival - run.departure)[np.isfinite(run.arrival)]
    counts, causes = run.count(), run.causes()
    waited, waiting = origin_delay(run)
    queues = intervals.group_by("time").aggregate([("queue", "sum")])
    longest = pc.max(queues["queue_sum"]).as_py() or 0.0
    way = np.where(are_roads(network), np.nan_to_num(network.column("length")), 0.0)
    return [
        ("vehicles", float(len(run.departure)), "veh", ""),
        ("arrived", float(counts["arrived"]), "veh", ""),
        ("stranded", float(counts["stranded"]), "veh", ", ".join(f"{causes[name]:,} {name}" for name in STRANDED if causes[name])),
        ("not there yet at the end", float(counts["travelling"] + counts["waiting"]), "veh", ""),
        ("mean trip of those that arrived", float(took.mean()) if len(took) else None, "s", "from departure to arrival"),
        ("delay on roads", total_delay(run) / 3600.0, "veh h", "against empty, dry roads"),
        ("time lost before the first road", waited / 3600.0, "veh h", f"{waiting:,} vehicles still wait there at the end"),
        ("most vehicles in queues at once", longest, "veh", "at the ends of the intervals"),
        ("way on roads in all", float(run.left[-1] @ way) / 1000.0, "veh km", ""),
        ("links closed at some time", float(shut.sum()), "links", ""),
    ]


def _zone(city: City | None) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(city.time_zone) if city is not None else UTC
