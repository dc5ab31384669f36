"""A matrix by the city's own zones: which object each id of it stands for, and where its trips enter the roads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.identifiers import normalise_identifier
from cim.model.road_network import ODMatrix, RoadNetwork, refuse
from cim.sim.buildings import require_measurable
from cim.sim.traffic.city_network import road_network
from cim.sim.traffic.demand_buildings import trip_rates, trips_of_buildings
from cim.sim.traffic.demand_zones import (
    CONNECTORS_ASSUMED,
    REACH,
    Connectors,
    Zoning,
    access_nodes,
    attach,
    connect,
    nearest_node,
    node_places,
    rows_inside,
    zone_keys,
    zone_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Shapes = NDArray[Any]

__all__ = ["join_zones"]

_UNKNOWN, _SEVERAL = -1, -2


def join_zones(city: City, network: RoadNetwork, matrix: ODMatrix, zones: str, *, connectors: int = 3) -> tuple[RoadNetwork, ODMatrix]:
    """Return a network with the zones of a matrix joined to it, and the trips between these.

    Parameters
    ----------
    network
        Of the city, or of an option of it.
    matrix
        Whose ids are those of zones [veh/h], as `cim.loaders.networks.read_matrix` returns it without a network.
    zones
        Class of the objects that are the zones, such as ``"LandUse"``. Ids of the matrix are their ids, an identifier or their name, all of
        them in one of these; ``"LandUse.TAZ"``: the values of that attribute or identifier.
    connectors
        Junctions that a zone is joined to, at most: those next to the most floor area; without a building near a road, those within or
        next to it.

    Raises
    ------
    UsageError
        If ids are unknown or not clear, or zones have no area or no road near; all of them in one message.
    ObjectNotFoundError
        If the city has no objects of that class.
    CRSError
        If lengths cannot be measured in the city's coordinate system.
    """
    require_measurable(city)
    if matrix.places is None:
        msg = "these trips do not know the ids of their zones; make them by read_matrix(path)"
        raise UsageError(msg)
    some = np.asarray(matrix.trips, float) > 0
    rows, number = np.unique(np.stack([matrix.origin[some], matrix.destination[some]]), return_inverse=True)
    names = [matrix.places[1][k] for k in np.searchsorted(matrix.places[0], rows).tolist()]
    keys = zone_keys(city, zones.partition(".")[0])
    row, said, faults = _objects(city, keys, zones, names)
    known = np.flatnonzero(row >= 0)
    shapes = city.footprints(keys[row[known]])
    joined, told = _joined(city, [names[k] for k in known.tolist()], shapes, connectors, faults)
    whole, centroid, lost = attach(network, joined)
    origin, destination = (centroid[one] for one in number.reshape(2, -1))
    trips = np.asarray(matrix.trips, float)[some]
    notes = [f"matrix: {trips.sum():,.0f} veh/h between {len(names):,} zones, {said}", *told]
    notes += [f"{len(keys) - len(names):,} more zones have no trips in the matrix and are left out"] * (len(keys) > len(names))
    notes += [f"{lost} connectors of zones have no junction in this network and are left out"] * bool(lost)
    ids = whole.nodes["id"].take(pa.array(centroid)).to_pylist()
    return whole, ODMatrix(origin, destination, trips, (*matrix.notes, *notes), (centroid, tuple(ids)))


def _objects(city: City, keys: Ints, zones: str, names: Sequence[str]) -> tuple[Ints, str, list[str]]:
    """Return the row of the object that each id stands for, negative without one, by what it was found, and what is wrong.

    All ids are looked up in one column: 7 as number of a zone and 7 as number of a record are different objects.
    """
    kind, _, attribute = zones.partition(".")
    wanted = normalise_identifier("", list(names))
    schemes = pc.unique(city.tables["identifiers"].filter(pc.field("object").isin(keys))["scheme"]).to_pylist()
    columns = ["id", *schemes, "name"]
    found = {one: _look(wanted, *zone_values(city, kind, keys, one)) for one in ([attribute] if attribute else columns)}
    best = max(found, key=lambda one: int((found[one] >= 0).sum()))
    row = found[best]
    all_known = [one for one in found if (found[one] >= 0).all()]
    other = next((one for one in all_known if not np.array_equal(found[one], row)), None)
    used, many = np.unique(row[row >= 0], return_counts=True)
    several, twice = row == _SEVERAL, np.isin(row, used[many > 1])
    faults = _unknown(city, keys, kind, columns, best, names, row)
    if other is not None:
        faults.append(f'ids of the matrix are {best} and {other} of different objects; give zones = "{kind}.{best}" or "{kind}.{other}"')
    if several.any():
        faults.append(f"several objects of {kind} have the same {best} {_shown(np.asarray(names, object)[several])}; make one of them")
    if twice.any():
        faults.append(f"ids of the matrix mean the same object of {kind}, by {best}: {_shown(np.asarray(names, object)[twice])}")
    return row, f"objects of {kind} by {best}", faults


def _look(wanted: pa.Array, owner: Ints, values: pa.Array) -> Ints:
    """Return the object that each wanted text stands for."""
    pairs = pa.table({"text": normalise_identifier("", values), "row": owner})
    each = pairs.group_by("text").aggregate([("row", "min"), ("row", "max")])
    row = pc.if_else(pc.equal(each["row_min"], each["row_max"]), each["row_min"], _SEVERAL)
    there = pc.index_in(wanted, value_set=each["text"].combine_chunks())
    return np.asarray(row.take(there).fill_null(_UNKNOWN).to_numpy(), np.int64)


def _unknown(city: City, keys: Ints, kind: str, columns: list[str], best: str, names: Sequence[str], row: Ints) -> list[str]:
    """Return the ids that are unknown, with some that are known, and the columns that know all."""
    bad = row == _UNKNOWN
    if not bad.any():
        return []
    wanted = normalise_identifier("", list(names))
    plain = [one.name for one in city.attributes.schema(kind) if one.name != "object" and _is_plain(one.type)]
    better = [one for one in [*columns, *plain] if (_look(wanted, *zone_values(city, kind, keys, one)) >= 0).all()]
    hint = "; all of them stand in " + " and ".join(f'zones = "{kind}.{one}"' for one in better) if better else ""
    values = zone_values(city, kind, keys, best)[1]
    example = f"there are {len(values):,}, such as {_shown(values.slice(0, 3).to_pylist())}" if len(values) else "none has one"
    return [f"no {kind} has the {best} {_shown(np.asarray(names, object)[bad], 50)} of the matrix; {example}{hint}"]


def _is_plain(kind: pa.DataType) -> bool:
    return any(one(kind) for one in (pa.types.is_string, pa.types.is_integer, pa.types.is_floating))


def _shown(names: Sequence[str] | NDArray[np.object_], most: int = 5) -> str:
    told = ", ".join(map(repr, names[:most]))
    return told + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _joined(city: City, names: list[str], shapes: Shapes, most: int, faults: list[str]) -> tuple[Connectors, list[str]]:
    """Return the connectors of zones, and what was assumed; refuse zones that no road is near, with the faults before.

    They are those of the city without its closures, so that an option that closes a road moves no zone.
    """
    import shapely

    network = road_network(city, closed=True)
    access, told = access_nodes(network)
    made = trips_of_buildings(city, trip_rates())
    floor, places = made.table["floor_area"].to_numpy(zero_copy_only=False), made.places
    blank = np.isnan(floor)
    weight = np.where(blank, float(floor[~blank].mean()) if (~blank).any() else 1.0, floor)
    node, distance = nearest_node(network, access, places)
    inside = rows_inside(places, shapes)
    inside[(distance > REACH) | ~(weight > 0)] = -1
    empty = np.setdiff1d(np.arange(len(names)), inside)
    zone, near, away, centre = _nearest(network, access, shapes, empty, most)
    lost = [names[k] for k in np.setdiff1d(empty, zone).tolist()]
    where = f"no place, or no junction of the main network within {REACH:g} m"
    refuse([*faults, *([f"{len(lost)} zones with trips have {where}: {_shown(lost, 50)}"] if lost else [])])
    guessed = int((blank & (inside >= 0)).sum())
    told.append(f"zones are joined to up to {most} junctions, those next to most of their floor area")
    if guessed:
        told.append(f"{guessed:,} buildings of unknown floor area count there as the mean of the others")
    if len(empty):
        told.append(f"{len(empty):,} zones without a building near a road are joined to junctions within them or next to them, "
                    f"at most {away.max(initial=0.0):,.0f} m from their inside")  # fmt: skip
    zoning = Zoning(tuple(names), (None,) * len(names), np.append(inside, zone))
    joined = connect(network, zoning, np.concatenate([places, shapely.get_coordinates(centre)]), np.append(weight, np.ones(len(zone))),
                     np.append(node, near), np.append(distance, away), most)  # fmt: skip
    return joined, [*told, CONNECTORS_ASSUMED]


def _nearest(network: RoadNetwork, access: Ints, shapes: Shapes, rows: Ints, most: int) -> tuple[Ints, Ints, Reals, Shapes]:
    """Return the junctions within some zones or, where there are too few, next to them: zone, node, how far [m] from which point inside."""
    import shapely

    points, mine = shapely.points(node_places(network)[access]), shapes[rows]
    zone, node = shapely.STRtree(points).query(mine, predicate="dwithin", distance=REACH)
    centre = shapely.point_on_surface(mine)[zone]
    away = shapely.distance(centre, points[node])
    order = np.lexsort((away, shapely.distance(mine[zone], points[node]), zone))
    kept = order[np.arange(len(order)) - np.searchsorted(zone[order], zone[order]) < most]
    return rows[zone[kept]], access[node[kept]], away[kept], centre[kept]
