"""Doors of building models, and the water at their sills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.numeric import floats
from cim.results.columns import column
from cim.sim.impact.places import MEASURED, Places, measure, ring_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.buildings import Buildings
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["DOORS", "Doors", "ancestor_rows", "door_columns", "over_level", "read_doors"]

DOORS = pa.schema(
    [
        pa.field("object", pa.string()),
        column("building", pa.string(), en="building", zh="所属建筑"),
        *MEASURED,
        column("sill_level", pa.float64(), unit="m", en="level of the sill", zh="门槛高程"),
        column("depth_over_sill", pa.float64(), unit="m", en="water over the sill", zh="门槛以上水深"),
        column("cells", pa.int64(), en="cells", zh="单元数"),
        column("unknown", pa.float64(), en="share not known", zh="未知比例"),
    ]
)
"""`status` of a door is wet when water stands over its sill."""

_LEVELS_UP = 16  # door, room, storey, part, building: models nest less


@dataclass(frozen=True)
class Doors:
    """Doors as columns."""

    ids: NDArray[np.object_]
    building: Ints
    """Row of the building, -1 for a door of none."""
    points: NDArray[np.object_]
    """Middle of each door; None where it has no place."""
    sill: Floats
    """Elevation of the lowest point of the door [m]."""
    outside: Bools
    """Doors that lead outside."""
    guessed: int
    """Doors whose model does not say whether they lead outside: the distance to the outline decides."""


def read_doors(city: City, buildings: Buildings, limits: ImpactParameters) -> Doors:
    """Return the doors of a city; one without any gives empty columns."""
    import shapely

    keys = city.keys("Door") if "Door" in city.types() else np.empty(0, np.int64)
    core = city.core_rows(["id", "bbox"], keys) if len(keys) else city.tables["objects"].slice(0, 0).select(["id", "bbox"])
    west, south, low, east, north = (floats(pc.struct_field(core["bbox"], name)) for name in ("xmin", "ymin", "zmin", "xmax", "ymax"))
    placed = np.isfinite(west) & np.isfinite(south)
    points = np.full(len(keys), None, object)
    points[placed] = shapely.points((west[placed] + east[placed]) / 2, (south[placed] + north[placed]) / 2)
    building = ancestor_rows(city, keys, buildings.keys)
    said = _said(city, keys)
    near = np.zeros(len(keys), bool)
    rows = np.flatnonzero(placed & (building >= 0))
    outline = shapely.boundary(buildings.footprints[building[rows]])
    near[rows] = shapely.distance(points[rows], outline) <= limits.door_reach / city.crs.linear_unit_factor
    outside = np.where(said < 0, near, said > 0)
    return Doors(np.asarray(core["id"].to_pylist(), object), building, points, low, np.asarray(outside, bool), int((said < 0).sum()))


def _said(city: City, keys: Ints) -> Ints:
    """Return 1 for doors whose model says that they lead outside, 0 for those within, -1 where it does not say."""
    said = np.full(len(keys), -1, np.int64)
    if not len(keys):
        return said
    wanted = (pc.field("set") == "Pset_DoorCommon") & (pc.field("name") == "IsExternal")
    table = city.tables.scan("properties", ["object", "value"], wanted)
    owner = np.asarray(table["object"].to_numpy(), np.int64)
    row = np.minimum(np.searchsorted(keys, owner), len(keys) - 1)
    mine = keys[row] == owner
    true = np.asarray(pc.equal(pc.utf8_lower(table["value"]), "true").fill_null(False).to_numpy(), bool)
    said[row[mine]] = true[mine]
    return said


def ancestor_rows(city: City, keys: Ints, ancestors: Ints) -> Ints:
    """Return for each object the row of its nearest ancestor among `ancestors` (ascending keys), -1 where it has none."""
    found = np.full(len(keys), -1, np.int64)
    if not len(keys) or not len(ancestors):
        return found
    table = city.tables.scan("objects", ["key", "parent"])
    all_keys = np.asarray(table["key"].to_numpy(), np.int64)
    parent = np.asarray(table["parent"].fill_null(-1).to_numpy(), np.int64)
    here = np.asarray(keys, np.int64).copy()
    for _ in range(_LEVELS_UP):
        up = np.where(here >= 0, parent[np.minimum(np.searchsorted(all_keys, here), len(all_keys) - 1)], -1)
        row = np.minimum(np.searchsorted(ancestors, up), len(ancestors) - 1)
        hit = (found < 0) & (up >= 0) & (ancestors[row] == up)
        found[hit] = row[hit]
        here = np.where(found >= 0, -1, up)
    return found


def over_level(places: Places, water: Water, level: Floats, depths: Floats | None = None) -> Floats:
    """Return how deep water stands over a level at each object [m]: 0 where it stays below, NaN where nothing is known.

    No cell gives more than its own depth: where the ground outside lies above the level, a film on it is no deep water inside.

    Parameters
    ----------
    level : shape (places.count,)
        One elevation per object [m].
    depths : shape (ny * nx,)
        Depths that count [m] in place of those of the water, such as 0 for films.
    """
    depth = places.at(water.depth if depths is None else depths)
    over = np.minimum(depth, places.at(water.level) - level[places.row])
    return np.asarray(np.maximum(places.greatest(over), 0.0), float)


def door_columns(doors: Doors, buildings: Buildings, water: Water, limits: ImpactParameters, roofs: Bools) -> dict[str, Any]:
    """Return the columns of `DOORS`."""
    reach = limits.ring * water.reach
    places = ring_places(doors.points, roofs, water.place, reach, "missing_geometry")
    reason = places.reason.copy()
    reason[~np.isfinite(doors.sill)] = "missing_height"
    if not water.comparable:
        reason[:] = "vertical_datum"
    reason[~doors.outside] = "inside_the_building"
    places = Places(places.count, places.row, places.cell, places.weight, places.beyond, reason)
    found = measure(places, water, limits)
    assessed = found["status"] != "not_assessed"
    over = np.where(assessed, over_level(places, water, doors.sill), np.nan)
    lost = assessed & np.isnan(over)
    found["reason"][lost] = "missing_ground_elevation"
    found["status"] = np.where(assessed & ~lost, np.where(over > 0, "wet", "dry"), "not_assessed").astype(object)
    owner = np.full(len(doors.ids), None, object)
    owner[doors.building >= 0] = buildings.ids[doors.building[doors.building >= 0]]
    return {"object": doors.ids, "building": owner, **found, "sill_level": doors.sill, "depth_over_sill": over}
