"""What a road can carry under the water of a run: the one owner of speed, capacity and closure of every link, by class of vehicle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.results import Fields, RunRecord, Stopwatch, array_fingerprint, city_fingerprint
from cim.sim.buildings import require_measurable
from cim.sim.coupling.parameters import RoadParameters, road_parameters, vehicle_limits
from cim.sim.coupling.passage import Closures, Rows, closed_by, joined, piece_water, rows_of, slowing
from cim.sim.coupling.rain import rain_of
from cim.sim.coupling.roads import Roads
from cim.sim.coupling.tables import Told, link_table, state_table
from cim.sim.coupling.water_along import Clock, clock_of, water_at
from cim.sim.impact.assess import plain_dataset
from cim.sim.impact.water import Water, read_water
from cim.sim.times import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.sim.impact.parameters import ImpactParameters, VehicleLimits

    Ints = NDArray[np.int64]

__all__ = ["VERSION", "road_state"]

VERSION = "2"  # 2: on decks the water on the deck decides what is not assessed, not that on the ground


def road_state(
    city: City, water: Fields, *, network: RoadNetwork | None = None, parameters: RoadParameters | None = None,
    limits: ImpactParameters | None = None, **options: Any,
) -> Fields:  # fmt: skip
    """Return what every road of a network can carry while the water of a run stands on it.

    Parameters
    ----------
    city
        The city the run was made on.
    water
        Result of `flood.simulate`.
    network
        Links to speak of; those of `traffic.road_network` when left out.
    parameters, options
        A `RoadParameters`, and any of its fields by name, such as ``rain="none"``.
    limits
        Those of the impact, where other ones than its defaults close a road.

    Returns
    -------
    Fields
        "roads", tables only. ``states`` (`cim.sim.traffic.road_states.ROAD_STATES`): where and when a link is not dry and free, by class of
        vehicle. ``links``: one row per link and class, with what is not assessed and why. Times are seconds since ``start`` of the run.

    Raises
    ------
    UsageError
        If a parameter makes no sense, or `water` holds no depth on a grid.
    CRSMismatchError
        If city and water are in different systems.

    Notes
    -----
    A link is closed as soon as one cell along its line is above one limit of the vehicle, as in the tables of the impact; it is as slow as
    its cells are one after the other. A link of which the water is not known stays free, is counted, and named not assessed.
    """
    watch, asked = Stopwatch(), road_parameters(parameters, options)
    held = vehicle_limits(asked, limits)
    require_measurable(city)
    if network is None:
        from cim.sim.traffic.city_network import road_network

        network = road_network(city, closed=True)
    read = read_water(city, water, held.wet_depth)
    clock, told = clock_of(water)
    rain, said = rain_of(water, clock, asked)
    roads = Roads.of(city, network, read, held)
    sets = {name: held.vehicles[name] for name in dict.fromkeys(asked.classes.values())}
    rows, closures, more = _passed(roads, (water, read), clock, rain, sets, asked)
    answers = {name: roads.water.answer(one, held.unknown_share) for name, one in sets.items()}
    facts = Told(network, roads.pieces, clock, asked.classes, answers, roads)
    tables = {"states": state_table(facts, rows), "links": link_table(facts, closures), "figures": facts.figures(closures)}
    notes = (*read.notes, *told, *said, *more, *roads.notes(city, water), *facts.notes(), *_assumed(asked))
    inputs = {"city": city_fingerprint(city), "water": array_fingerprint(read.place.values)}
    said_of_run, sums = _parameters(asked, held, water, clock), facts.balance(closures)
    run = RunRecord("roads", VERSION, inputs, said_of_run, start=read.start, balance=sums, assumptions=notes)
    return Fields("roads", plain_dataset(), tables, watch.stop(run))


def _parameters(asked: RoadParameters, held: ImpactParameters, water: Fields, clock: Clock) -> dict[str, Any]:
    """Return what decides the result; `until` is None where the water has no times."""
    until = float(clock.end[-1])
    vehicles = {name: held.vehicles[name].model_dump() for name in asked.classes.values()}
    return {
        **asked.model_dump(mode="json"), "vehicles": vehicles, "tunnels": held.tunnels, "unknown_share": held.unknown_share,
        "deck_level": held.deck_level,
        "water": water.name, "start": None if clock.start is None else clock.start.isoformat(),
        "from": float(clock.begin[0]), "until": until if np.isfinite(until) else None,
    }  # fmt: skip


def _assumed(asked: RoadParameters) -> list[str]:
    """Name what no source says."""
    said = []
    if asked.speed_law != "none":
        said.append("speeds under water are those of cars in still water (Pregnolato et al. 2017), for every class of vehicle")
        words = {"diagram": "follows the triangular diagram", "speed": "falls in the ratio of the speeds", "stays": "stays as it was"}
        said.append(f"no source was found for the capacity of a road under water: it {words[asked.ponding_capacity]}")
    heavy = [name for name in ("bus", "truck") if asked.classes.get(name) == "large_car"]
    if heavy:
        said.append(f"{' and '.join(heavy)}: the limits of a large car are taken; none were found for heavy vehicles in moving water")
    return said


def _passed(
    roads: Roads, water: tuple[Fields, Water], clock: Clock, rain: Ints, sets: Mapping[str, VehicleLimits], asked: RoadParameters
) -> tuple[dict[str, Rows], dict[str, Closures], list[str]]:  # fmt: skip
    """Return rows and closures by name of the limits, chunk by chunk of the time, and what was taken for granted."""
    lines, cells = roads.lines()
    links = roads.links(lines)
    wait = seconds(asked.dry_after)
    chunks, told = water_at(*water, clock, cells, max(len(lines.cell), len(links.line)))
    closures = {name: Closures.none(len(lines.piece)) for name in sets}
    parts: dict[str, list[Rows]] = {name: [] for name in sets}
    for chunk in chunks:
        here = piece_water(lines, chunk)
        slow = slowing(lines, links, here, rain[chunk.first : chunk.first + len(here.depth)], asked)
        for name, limits in sets.items():
            shut = closures[name].take(chunk.first, clock, closed_by(here, limits), wait)
            parts[name].append(rows_of(links, here, slow, shut))
    return {name: joined(found) for name, found in parts.items()}, closures, told
