"""Trips of a city that has no matrix: floor area times use gives what begins and ends in each zone, a gravity model who goes where.

Traffic from and to the outside, and that which only passes, is not in the buildings: a planner states it at gates; without them it is
missing, and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.model.road_network import ODMatrix, RoadNetwork, checked
from cim.results.columns import column
from cim.sim.buildings import require_measurable
from cim.sim.traffic.demand_buildings import BuildingTrips, TripRate, trip_rates, trips_of_buildings
from cim.sim.traffic.demand_zones import (
    CONNECTORS_ASSUMED,
    REACH,
    Connectors,
    Zoning,
    access_nodes,
    attach,
    connect,
    costs_between,
    nearest_node,
    node_places,
    usual_zone_size,
    zones_of,
)
from cim.sim.traffic.gravity import Deterrence, Gravity, gravity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["ZONES", "Balance", "Demand", "Gate", "demand_of"]

Balance = Literal["productions", "attractions", "lesser"]
"""Which total counts where trips that begin and that end are not as many: the one named, or the smaller one."""
ZONES = pa.schema([
    pa.field("zone", pa.string()), pa.field("object", pa.string()), pa.field("kind", pa.string()),
    pa.field("node", pa.int64()),
    column("x", pa.float64(), unit="m", en="place", zh="位置"), column("y", pa.float64(), unit="m", en="place", zh="位置"),
    column("generated_production", pa.float64(), unit="veh/h", en="trips that begin, by the rates", zh="产生量（出行率）"),
    column("generated_attraction", pa.float64(), unit="veh/h", en="trips that end, by the rates", zh="吸引量（出行率）"),
    column("production", pa.float64(), unit="veh/h", en="trips that begin, balanced", zh="产生量（平衡后）"),
    column("attraction", pa.float64(), unit="veh/h", en="trips that end, balanced", zh="吸引量（平衡后）"),
    pa.field("buildings", pa.list_(pa.string())),
])  # fmt: skip
"""``kind`` is area or gate; ``node`` the row of the centroid in `Demand.network`."""


@dataclass(frozen=True)
class Gate:
    """What crosses the edge of the area at a node in the hour [veh/h], without what only passes through the area."""

    into: float = 0.0
    """Trips that end in the area."""
    out: float = 0.0
    """Trips that began in it."""


@dataclass(frozen=True)
class Demand:
    """Trips, and the network with the zones they go between."""

    network: RoadNetwork
    """With a centroid for each zone, and connectors."""
    matrix: ODMatrix
    """Between centroids; trips within a zone are in it and load no link."""
    zones: pa.Table
    """`ZONES`."""
    buildings: pa.Table
    """`cim.sim.traffic.demand_buildings.BUILDINGS`."""
    distribution: Gravity
    """Trips between zones in the order of the table, without what passes through."""
    connectors: Connectors
    notes: tuple[str, ...]

    def on(self, network: RoadNetwork) -> Demand:
        """Return the same trips on another network of the same places, such as that of an option.

        Zones keep their ids, so that vehicles keep their numbers (`departures.fleet_of`).

        Parameters
        ----------
        network
            Without the centroids.
        """
        whole, centroid, lost = attach(network, self.connectors)
        move = np.full(self.network.nodes.num_rows, -1, np.int64)
        move[self.zones["node"].to_numpy()] = centroid
        matrix = replace(self.matrix, origin=move[self.matrix.origin], destination=move[self.matrix.destination])
        zones = self.zones.set_column(self.zones.column_names.index("node"), ZONES.field("node"), pa.array(centroid))
        said = (f"{lost} connectors of zones have no junction in this network and are left out",) if lost else ()
        return replace(self, network=whole, matrix=matrix, zones=zones, notes=(*self.notes, *said))


def demand_of(  # noqa: PLR0913  # the choices of a planner, each with a default
    city: City, network: RoadNetwork, *, hour: str = "am", mean_trip_length: float | None = None, mean_trip_time: float | None = None,
    zones: str | Mapping[str, Any] | None = None, zone_size: float | None = None, rates: str | Mapping[str, TripRate] = "dense",
    uses: Mapping[str, str] | None = None, unknown_use: str | None = None, storey_height: float | None = 3.0,
    gates: Mapping[str, Gate] | None = None, through: Mapping[tuple[str, str], float] | None = None,
    deterrence: Deterrence = "exponential", balance: Balance = "productions", connectors: int = 3,
) -> Demand:  # fmt: skip
    """Return the trips of a city in an hour, made from its buildings.

    Parameters
    ----------
    network
        Of the city (`road_network`), nodes in its coordinate system.
    hour
        ``"am"`` or ``"pm"``, the peaks that there are rates for; another one when `rates` gives those of every use.
    mean_trip_length, mean_trip_time
        What the gravity model is calibrated to [m] or [s], on the empty network; at most one of them. Without, and in an area so small that
        people travel farther than it reaches, every zone is as near as the other: cost does not matter.
    zones
        A class of objects, such as ``"LandUse"``, or ``"LandUse.TAZ"``, whose ids are those of that attribute; or polygons by name; squares
        without.
    zone_size
        Width of the squares [m]; without, the one of 50, 100, … 1000 m that divides the extent of the buildings into about 200.
    rates
        A set of ``trip_rates.json``, or rates by use; uses that are not given there keep those of the set ``dense``.
    uses
        Further words of this city for uses, and the use each stands for.
    unknown_use
        Assumed where the city does not say the use of a building; None: such buildings make no trips.
    storey_height
        Assumed where only the height of a building is known [m]; None: such buildings make no trips.
    gates
        What crosses the edge of the area, by id of a node of `network`.
    through
        Trips that only pass, by gates of entry and exit [veh/h].
    balance
        Which total counts where more trips begin than end, or fewer; the other one is scaled. Gates keep what is stated.
    connectors
        Junctions that a zone is joined to, at most.

    Raises
    ------
    UsageError
        If a choice, the network or the gates hold faults; all of them in one message. If no deterrence gives the mean that is asked for.
    CRSError
        If lengths cannot be measured in the city's coordinate system.

    Notes
    -----
    A trip within a zone costs half of that to the zone nearest to it.
    """
    require_measurable(city)
    gates, through = gates or {}, through or {}
    means = {"mean_trip_length": mean_trip_length, "mean_trip_time": mean_trip_time}
    _check(city, network, means, gates, through, balance, connectors)
    made = trips_of_buildings(city, _rates(hour, rates), storey_height=storey_height, uses=uses, unknown_use=unknown_use)
    access, told = access_nodes(network)
    node, distance = nearest_node(network, access, made.places)
    size = usual_zone_size(made.places) if zone_size is None else zone_size
    zoning, buildings, said = _placed(made, zones_of(city, made.places, zones, size), distance)
    if zones is None and zone_size is None:
        told.append(f"zones are squares of {size:g} m, chosen by the extent of the buildings; give zone_size= for others")
    trips = np.nan_to_num(np.stack([buildings[one].to_numpy(zero_copy_only=False) for one in ("production", "attraction")]))
    joined = _with_gates(connect(network, zoning, made.places, trips.sum(0), node, distance, connectors), network, gates)
    whole, centroid, _ = attach(network, joined)
    inner = len(zoning.names)
    generated = np.zeros((2, len(centroid)))
    generated[:, :inner] = [np.bincount(zoning.zone[zoning.zone >= 0], one[zoning.zone >= 0], inner) for one in trips]
    generated[:, inner:] = np.array([[one.into, one.out] for one in gates.values()]).reshape(-1, 2).T
    sums, balanced = _balanced(generated, inner, balance)
    unit, mean = ("m", mean_trip_length) if mean_trip_length is not None else ("s", mean_trip_time)
    cost = _within(costs_between(whole, centroid, whole.column("length" if unit == "m" else "free_flow_time")), inner)
    found = gravity(sums[0], sums[1], cost, mean_cost=mean, parameter=0.0 if mean is None else None, deterrence=deterrence)
    matrix = _matrix(found.trips, centroid, inner, list(gates), through)
    table = _zone_table(zoning, joined, centroid, (*generated, *sums), buildings["object"].to_pylist())
    notes = (*_rate_notes(hour, rates), *made.notes, *said, *told, *balanced,
             *_notes(found, cost, inner, unit, deterrence, gates, through, network))  # fmt: skip
    return Demand(whole, matrix, table, buildings, found, joined, notes)


def _check(
    city: City, network: RoadNetwork, means: Mapping[str, float | None], gates: Mapping[str, Gate],
    through: Mapping[tuple[str, str], float], balance: str, connectors: int,
) -> None:  # fmt: skip
    """Refuse choices that do not fit, all faults in one message."""
    nodes, place = set(network.nodes["id"].to_pylist()), city.crs.to_string()
    chosen = {name: value for name, value in means.items() if value is not None}
    stated = [value for one in gates.values() for value in (one.into, one.out)] + list(through.values())
    unknown = [one for one in gates if one not in nodes]
    ends = [one for pair in through for one in pair if one not in gates]
    found = {
        f"{' and '.join(means)} are {' and '.join(map(str, means.values()))}; give at most one of them, above 0":
            len(chosen) > 1 or not all(value > 0 for value in chosen.values()),
        f"the network is in {network.crs}, the city in {place}; make it of this city": network.crs not in (None, place),
        "links have no length; give mean_trip_time": "mean_trip_length" in chosen and network.links["length"].null_count > 0,
        f"balance={balance!r}; expected {', '.join(get_args(Balance))}": balance not in get_args(Balance),
        f"connectors={connectors}; expected 1 or more": connectors < 1,
        f"{len(unknown)} gates are no nodes of the network (first: {unknown[:1]})": bool(unknown),
        f"{len(ends)} ends of through traffic are no gates (first: {ends[:1]}); name them in gates=": bool(ends),
        "traffic at gates is negative or no number": not all(np.isfinite(one) and one >= 0 for one in stated),
    }  # fmt: skip
    checked(network, [said for said, bad in found.items() if bad])


def _rates(hour: str, rates: str | Mapping[str, TripRate]) -> Mapping[str, TripRate]:
    if isinstance(rates, str):
        return trip_rates(hour, rates)
    return {**(trip_rates(hour) if hour in ("am", "pm") else {}), **rates}


def _placed(made: BuildingTrips, zoning: Zoning, distance: Reals) -> tuple[Zoning, pa.Table, list[str]]:
    """Return the zones in which trips begin or end, the buildings with theirs, and how many have none.

    Raises
    ------
    UsageError
        If no building makes trips.
    """
    table = made.table
    status, reason = (np.array(table[one].to_pylist(), object) for one in ("status", "reason"))
    trips = [table[one].to_numpy(zero_copy_only=False).copy() for one in ("production", "attraction")]
    said = []
    for why, bad in (("outside_zones", zoning.zone < 0), ("no_road_near", distance > REACH)):
        mine = bad & (status == "assessed")
        status[mine], reason[mine] = "not_assessed", why
        if mine.any():
            lost = f"{trips[0][mine].sum():,.0f} trips an hour begin there and {trips[1][mine].sum():,.0f} end"
            said.append(f"{int(mine.sum()):,} of {len(status):,} buildings make no trips, {why}: {lost}")
            trips[0][mine] = trips[1][mine] = np.nan
    busy = np.isin(np.arange(len(zoning.names)), zoning.zone[(np.nan_to_num(trips[0] + trips[1]) > 0)])
    if not busy.any():
        msg = f"no building of {len(status):,} makes trips: " + ("; ".join([*made.notes, *said]) or "there are none")
        raise UsageError(msg)
    new = np.append(np.where(busy, np.cumsum(busy) - 1, -1), -1)
    zone = np.where(status == "assessed", new[zoning.zone], -1)
    names = tuple(np.array(zoning.names, object)[busy].tolist())
    objects = tuple(np.array(zoning.objects, object)[busy].tolist())
    said = [f"{len(names):,} zones of {int((zone >= 0).sum()):,} buildings", *said]
    columns = {"status": status, "reason": reason, "production": trips[0], "attraction": trips[1],
               "zone": np.array([*names, None], object)[zone]}  # fmt: skip
    for name, values in columns.items():
        k = table.column_names.index(name)
        table = table.set_column(k, table.schema.field(k), pa.array(values, table.schema.field(k).type, from_pandas=True))
    return Zoning(names, objects, zone), table, said


def _gate(node: str) -> str:
    return f"gate {node}"


def _with_gates(inner: Connectors, network: RoadNetwork, gates: Mapping[str, Gate]) -> Connectors:
    """Return connectors with those of gates, a metre long, behind them."""
    if not gates:
        return inner
    ids = network.nodes["id"].to_pylist()
    rows = [ids.index(one) for one in gates]
    places = node_places(network)[rows]
    count, many = len(inner.zones), len(gates)
    return Connectors(
        (*inner.zones, *map(_gate, gates)), np.concatenate([inner.places, places]),
        np.concatenate([inner.zone, np.tile(count + np.arange(many), 2)]), (*inner.node, *gates, *gates),
        np.concatenate([inner.length, np.ones(2 * many)]), np.concatenate([inner.into, np.repeat([True, False], many)]),
    )  # fmt: skip


def _balanced(generated: Reals, inner: int, balance: Balance) -> tuple[Reals, list[str]]:
    """Return as many trips that begin as end, those of gates as stated, and what was scaled by how much.

    Raises
    ------
    UsageError
        If the gates leave nothing to scale.
    """
    inside, outside = generated[:, :inner].sum(1), generated[:, inner:].sum(1)
    total = inside + outside
    keep = {"productions": 0, "attractions": 1, "lesser": int(np.argmin(total))}[balance]
    other = 1 - keep
    wanted = total[keep] - outside[other]
    sums = generated.copy()
    factor = wanted / inside[other] if inside[other] > 0 else np.nan
    sums[other, :inner] *= factor
    spare = sums[:, :inner].sum(1) - outside[::-1]  # what enters by gates must end within, what leaves must begin there
    if not (factor > 0 and (spare >= -1e-9 * total.max()).all()):
        msg = (f"trips do not balance: {inside[0]:,.0f} begin and {inside[1]:,.0f} end at buildings, {outside[0]:,.0f} enter and "
               f"{outside[1]:,.0f} leave at gates; look at rates and gates, or give another balance=")  # fmt: skip
        raise UsageError(msg)
    names = ("that begin", "that end")
    said = f"by the rates {total[0]:,.0f} trips an hour begin and {total[1]:,.0f} end"
    return sums, [f"{said}; those {names[other]} at buildings are multiplied by {factor:.3f} to balance"]


def _within(cost: Reals, inner: int) -> Reals:
    """Return costs with those within a zone half of the least to another one, and none between gates."""
    cost = cost.copy()
    np.fill_diagonal(cost, np.inf)
    cost[inner:, inner:] = np.inf
    nearest = cost[:inner, :inner].min(1) if inner > 1 else cost[0, :].min(keepdims=True)
    if not np.isfinite(nearest).all():
        msg = f"{int((~np.isfinite(nearest)).sum())} of {inner} zones have no way to another one; give smaller zones or gates"
        raise UsageError(msg)
    cost[np.arange(inner), np.arange(inner)] = 0.5 * nearest
    return cost


def _matrix(trips: Reals, centroid: Ints, inner: int, gates: list[str], through: Mapping[tuple[str, str], float]) -> ODMatrix:
    """Return trips between centroids, those that pass through among them."""
    trips = trips.copy()
    for (one, other), number in through.items():
        trips[inner + gates.index(one), inner + gates.index(other)] += number
    origin, destination = np.nonzero(trips > 0)
    notes = ("made from buildings by a gravity model",)
    return ODMatrix(centroid[origin], centroid[destination], trips[origin, destination], notes)


def _zone_table(zoning: Zoning, joined: Connectors, centroid: Ints, trips: tuple[Reals, ...], ids: list[str]) -> pa.Table:
    inner, count = len(zoning.names), len(joined.zones)
    order = np.argsort(zoning.zone, kind="stable")
    ends = np.searchsorted(zoning.zone[order], np.arange(count + 1)).tolist()
    mine = np.array(ids, object)[order]
    lists = [mine[a:z].tolist() for a, z in pairwise(ends)]
    kinds = ["area"] * inner + ["gate"] * (count - inner)
    columns = [joined.zones, (*zoning.objects, *[None] * (count - inner)), kinds, centroid, *joined.places.T, *trips, lists]
    return pa.Table.from_arrays([pa.array(one, kind.type) for one, kind in zip(columns, ZONES, strict=True)], schema=ZONES)


def _rate_notes(hour: str, rates: str | Mapping[str, TripRate]) -> list[str]:
    if isinstance(rates, str):
        return [f"trip rates of the set {rates!r} for the {hour} peak are assumed; their sources stand in trip_rates.json"]
    return [f"trip rates of {', '.join(rates)} are given"] + (
        [f"those of other uses are those of the set 'dense' for the {hour} peak, assumed"] if hour in ("am", "pm") else []
    )


def _notes(
    found: Gravity, cost: Reals, inner: int, unit: str, deterrence: str, gates: Mapping[str, Gate],
    through: Mapping[tuple[str, str], float], network: RoadNetwork,
) -> list[str]:  # fmt: skip
    """Return what is to be told of trips and their ways."""
    within = float(np.trace(found.trips)) / float(found.trips.sum())
    own = f"half of the way to the nearest zone, {float(np.median(np.diagonal(cost)[:inner])):,.0f} {unit} (median)"
    law = (
        f"{deterrence} deterrence {found.parameter:.6g}" if found.parameter else "how far people travel is not given: cost does not matter"
    )
    said = [
        f"gravity model: {law}; mean of a trip {found.mean_cost:,.0f} {unit} on the empty network",
        f"{100 * within:.1f} % of the trips stay within their zone and load no link; one of them costs {own}",
        CONNECTORS_ASSUMED,
    ]
    if not gates:
        said.append("traffic to, from and through the surroundings is missing: no gates are given")
    elif not through:
        said.append("traffic that passes through the area is missing: none is given")
    if network.banned.num_rows:
        said.append(f"the gravity model's ways do not heed {network.banned.num_rows:,} banned turns")
    return said
