"""The case of a traffic run: network, trips and parameters, everything checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import CimError, ObjectNotFoundError, UsageError, faults_in
from cim.model.road_network import faults_of, refuse
from cim.results import city_fingerprint, table_fingerprint
from cim.sim.parameter_values import replaced
from cim.sim.times import instant, seconds, zone_is_assumed, zone_told
from cim.sim.traffic.demand_zones import trips_on_no_road
from cim.sim.traffic.pairs import not_joined, pairs_of
from cim.sim.traffic.parameters import TrafficParameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cim.model import City
    from cim.model.road_network import ODMatrix, RoadNetwork
    from cim.results import Fields
    from cim.sim.traffic.pairs import Pairs

__all__ = ["NO_DATE", "Case", "case_of", "held_beyond", "length_of", "start_of", "time_faults_beside"]

NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
"""Start of a run that states none."""
_GATE_REACH = 500.0
"""How far a gate may lie from the node that it stands for [m]."""


@dataclass(frozen=True)
class Case:
    """Everything a run needs but the state of the roads, checked."""

    network: RoadNetwork
    trips: ODMatrix
    asked: TrafficParameters
    inputs: dict[str, str]
    notes: tuple[str, ...]
    city: City | None


def case_of(
    place: City | RoadNetwork, demand: Any, parameters: TrafficParameters | None, options: dict[str, Any], roads: Fields | None = None
) -> Case:  # fmt: skip
    """Return the checked case of a run.

    Raises
    ------
    UsageError
        With every fault of parameters, network, trips and roads in one message.
    """
    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.city_network import road_network

    city, faults = None if isinstance(place, RoadNetwork) else place, list[str]()
    asked, bare = _in_zone(replaced(TrafficParameters, "traffic", parameters, options, faults), city)
    given = demand if demand is not None else asked.demand
    try:
        network = place if isinstance(place, RoadNetwork) else road_network(place, closed=True)  # closed roads are roads: their flow is 0
    except CimError as error:
        raise _with(error, [*faults, *_time_faults(asked)]) from error
    faults += [*_unknown(network, asked.closed), *_time_faults(asked), *_road_faults(roads, network, asked)]
    if given is not None and (asked.gate or asked.through):
        faults.append("gate and through belong to trips from floor area; a matrix of demand holds its own, so leave them out")
    try:
        network, trips, told = _trips(city, network, given, asked)
    except CimError as error:
        raise _with(error, [*faults, *faults_of(network)]) from error
    trips = replace(trips, trips=np.asarray(trips.trips, float) * asked.demand_factor)
    if not len(trips.trips) or trips.total == 0:
        faults.append("there are no trips; give demand= (a matrix), or a city whose buildings have floor area and use")
    pairs = pairs_of(network, trips, faults)
    refuse([*faults, *(not_joined(network, pairs, "take them out of the matrix") if given is not None else [])])
    inputs = {"network": table_fingerprint(network.links), "trips": table_fingerprint(_trip_rows(network, trips))}
    if city is not None:
        inputs["city"] = city_fingerprint(city)
    return Case(network, trips, asked, inputs, (*network.notes, *told, *bare, *_on_no_road(network, pairs)), city)


def _with(error: CimError, faults: list[str]) -> CimError:
    """Return an error with the faults that were found before it."""
    if not faults:
        return error
    told = [*faults, *(one.removeprefix("traffic: ") for one in faults_in(error))]
    kind = ObjectNotFoundError if isinstance(error, ObjectNotFoundError) else UsageError
    return kind(f"traffic: {len(told)} faults:\n  " + "\n  ".join(told))


def _road_faults(roads: Fields | None, network: RoadNetwork, asked: TrafficParameters) -> list[str]:
    """Return why the state of the roads cannot drive the run."""
    if roads is None:
        return []
    from cim.sim.traffic.road_states import state_faults

    start = start_of(asked, roads)
    begun = None if roads.run.start is None else start
    span = asked.at if asked.method == "equilibrium" else asked.until
    long = 0.0 if span is None else length_of(span, start)
    first = long if asked.method == "equilibrium" else 0.0
    return state_faults(roads, network, begun, (first, long), beyond=asked.beyond, classes=[asked.vehicle])


def held_beyond(case: Case, roads: Fields | None) -> list[str]:
    """Tell that the run looks at the roads at times of which nobody knows their state."""
    beyond = _road_faults(roads, case.network, case.asked.model_copy(update={"beyond": "refuse"})) if case.asked.beyond == "hold" else []
    return [f"the nearest known state of the roads holds on: {one.split(';')[0]}" for one in beyond]


def start_of(asked: TrafficParameters, roads: Fields | None) -> datetime:
    """Return the first instant of a run: as asked, else that of the water, else a day that stands for none."""
    if asked.start is not None:
        return instant(asked.start)
    return roads.run.start if roads is not None and roads.run.start is not None else NO_DATE


def _unknown(network: RoadNetwork, ids: Sequence[str]) -> list[str]:
    try:
        network.rows_of(ids)
    except ObjectNotFoundError as error:
        return [f"closed: {error}"]
    return []


def _time_faults(asked: TrafficParameters) -> list[str]:
    """Return what is wrong with instants, as far as the parameters alone say it."""
    faults = []
    if not seconds(asked.output_every) > 0:
        faults.append(f"output_every is {asked.output_every}, expected a time above 0")
    for name in ("until", "at"):
        value = getattr(asked, name)
        if isinstance(value, datetime) and asked.start is None:
            continue  # the start is that of the water
        length = None if value is None else length_of(value, NO_DATE if asked.start is None else instant(asked.start))
        if length == 0 and name == "until":
            faults.append(f"until is {value}, which leaves no time to run")
        elif length is not None and length < 0:
            faults.append(f"{name} is {value}, which lies {-length:g} s before the start of the run, {asked.start}")
    return faults


def time_faults_beside(own: Any, flood: Any) -> list[str]:
    """Return the fault that the traffic of a scenario goes beyond its flood, from both sections alone."""
    until = own.at if own.method == "equilibrium" else own.until
    bare = {zone_is_assumed(one) for one in (own.start, until, flood.start, flood.until) if isinstance(one, datetime)}
    dated = any(isinstance(one, datetime) for one in (until, flood.until))
    if own.beyond == "hold" or len(bare) > 1 or (True in bare and dated):  # the zone of the city is not known here: the run checks it
        return []
    begun = NO_DATE if flood.start is None else instant(flood.start)
    start = begun if own.start is None else instant(own.start)
    long = 0.0 if until is None else length_of(until, start)
    first, last = start + timedelta(seconds=long if own.method == "equilibrium" else 0.0), start + timedelta(seconds=long)
    dry = begun + timedelta(seconds=length_of(flood.until, begun))
    if begun <= first and last <= dry:
        return []
    zone = "" if True in bare else " UTC"
    spans = f"{first:%Y-%m-%d %H:%M} to {last:%H:%M}{zone}, and [flood] goes from {begun:%Y-%m-%d %H:%M} to {dry:%Y-%m-%d %H:%M}{zone}"
    return [f'is looked at from {spans}: make the flood longer or the traffic shorter, or say beyond = "hold"']


def _in_zone(asked: TrafficParameters, city: City | None) -> tuple[TrafficParameters, list[str]]:
    """Return parameters whose instants all state their zone, that of the city where they did not, and which did not."""
    zone = "UTC" if city is None else city.time_zone
    given = {name: value for name in ("start", "until", "at") if isinstance(value := getattr(asked, name), datetime)}
    told = [one for name, value in given.items() for one in zone_told(name, value, zone)]
    return asked.model_copy(update={name: instant(value, zone) for name, value in given.items()}), told


def _on_no_road(network: RoadNetwork, pairs: Pairs) -> list[str]:
    """Tell how many trips may load no road, because their zones are joined to one junction."""
    many, total = trips_on_no_road(network, pairs.origin, pairs.destination, pairs.trips), float(pairs.trips.sum())
    if many < 0.01 * total:
        return []
    said = f"{many:,.0f} of {total:,.0f} veh/h go between zones that share a junction, and may load no road"
    return [f"{said}; smaller zones put them on streets"]


def _trip_rows(network: RoadNetwork, trips: ODMatrix) -> pa.Table:
    nodes = network.nodes["id"]
    return pa.table({"origin": nodes.take(pa.array(trips.origin)), "destination": nodes.take(pa.array(trips.destination)),
                     "trips": trips.trips})  # fmt: skip


def length_of(until: Any, start: datetime) -> float:
    """Return a duration, or the time from the start to an instant [s]."""
    return (instant(until) - start).total_seconds() if isinstance(until, datetime) else seconds(until)


def _trips(city: City | None, network: RoadNetwork, given: Any, asked: TrafficParameters) -> tuple[RoadNetwork, ODMatrix, tuple[str, ...]]:
    """Return the network with what trips need of it, the trips, and what was assumed."""
    from cim import plugins
    from cim.model.road_network import ODMatrix

    if hasattr(given, "matrix") and hasattr(given, "network"):
        if asked.zones is not None:
            msg = "traffic: zones belong to a matrix, or to trips from floor area; this demand has its own, so leave them out"
            raise UsageError(msg)
        there = given.on(network) if city is not None else given
        return there.network, there.matrix, tuple(there.notes)
    if given is not None and asked.zones is not None:
        if city is None:
            msg = f"traffic: zones = {asked.zones!r} are objects of a city, and this is a network alone; give the city"
            raise UsageError(msg)
        from cim.sim.traffic.demand_matrix import join_zones

        matrix = given if isinstance(given, ODMatrix) else plugins.load("cim.networks", "matrix")(given)
        network, matrix = join_zones(city, network, matrix, asked.zones)
        return network, matrix, matrix.notes
    if given is not None:
        matrix = _by_node(given, network)
        return network, matrix, matrix.notes
    if city is None:
        msg = "traffic: a network without a city has no buildings whose floor area makes trips; give demand="
        raise UsageError(msg)
    from cim.sim.traffic.demand import Gate, demand_of

    through = {(_node(network, one.origin), _node(network, one.destination)): one.trips for one in asked.through}
    gates = {node: Gate() for pair in through for node in pair}
    gates |= {_node(network, one.at): Gate(one.inbound, one.outbound) for one in asked.gate}
    made = demand_of(
        city, network, hour=asked.hour, zones=asked.zones, zone_size=asked.zone_size, rates=asked.rates, unknown_use=asked.unknown_use,
        mean_trip_length=asked.mean_trip_length, mean_trip_time=asked.mean_trip_time, gates=gates, through=through,
    ).on(network)  # fmt: skip
    return made.network, made.matrix, tuple(made.notes)


def _by_node(given: Any, network: RoadNetwork) -> ODMatrix:
    """Return trips between nodes of the network.

    Raises
    ------
    ObjectNotFoundError
        If it has not all of them.
    """
    from cim import plugins
    from cim.errors import ObjectNotFoundError
    from cim.model.road_network import ODMatrix

    try:
        if isinstance(given, ODMatrix):
            return given.on(network) if given.places is not None else given
        found: ODMatrix = plugins.load("cim.networks", "matrix")(given, network)
    except ObjectNotFoundError as error:
        msg = f"traffic: {error}; a matrix names nodes, unless zones= says whose ids these are: a class of the city, such as LandUse"
        raise ObjectNotFoundError(msg) from error
    return found


def _node(network: RoadNetwork, at: str | tuple[float, float]) -> str:
    """Return the id of a node, or of the one nearest to a point."""
    if isinstance(at, str):
        return at
    away = np.hypot(network.nodes["x"].to_numpy() - at[0], network.nodes["y"].to_numpy() - at[1])
    nearest = int(np.nanargmin(away))
    if away[nearest] > _GATE_REACH:
        where = f"lies {away[nearest]:,.0f} m from the nearest node; give a place within {_GATE_REACH:g} m of one"
        msg = f"traffic: the gate at [{at[0]:.12g}, {at[1]:.12g}] {where}"
        raise UsageError(msg)
    return str(network.nodes["id"][nearest].as_py())
