"""Where the ground floor of a building lies, and how deep water stands over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.numeric import floats, numbers
from cim.sim.impact.doors import Doors, ancestor_rows, over_level

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.buildings import Buildings
    from cim.sim.impact.grounds import Standing
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.places import Places
    from cim.sim.impact.water import Water

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Storeys", "floor_columns", "read_storeys"]


@dataclass(frozen=True)
class Storeys:
    """Storeys of building models as columns, those with a building and a level."""

    building: Ints
    """Row of the building."""
    level: Floats
    """Elevation of the floor [m]."""
    area: Floats
    """Floor area [m²], NaN where the model does not say."""
    names: NDArray[np.object_]


def read_storeys(city: City, buildings: Buildings) -> Storeys:
    """Return the storeys of a city, building by building, from the lowest up."""
    keys = city.keys("BuildingStorey") if "BuildingStorey" in city.types() else np.empty(0, np.int64)
    if not len(keys):
        return Storeys(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, object))
    core = city.core_rows(["id", "name", "z_ground"], keys)
    building, level = ancestor_rows(city, keys, buildings.keys), floats(core["z_ground"])
    rows = np.flatnonzero((building >= 0) & np.isfinite(level))
    rows = rows[np.lexsort((level[rows], building[rows]))]
    names = np.array([name or id for name, id in zip(core["name"].to_pylist(), core["id"].to_pylist(), strict=True)], object)
    return Storeys(building[rows], level[rows], numbers(city, "floor_area", keys)[rows], names[rows])


def floor_columns(
    city: City, buildings: Buildings, rings: Places, found: dict[str, Any], doors: Doors, door_found: dict[str, Any],
    storeys: Storeys, standing: Standing, water: Water, limits: ImpactParameters,
) -> dict[str, Any]:  # fmt: skip
    """Return where the ground floor lies, who says so, and how deep water stands over it.

    The lowest door that leads outside comes first, then the storey nearest to the ground, then the attributes, then the assumed step above
    the ground of the building: one level per building, never one per cell.
    """
    count, source = len(buildings), np.full(len(buildings), "assumed", object)
    level, height = np.full(count, np.nan), np.full(count, limits.threshold_height)
    stated = numbers(city, limits.floor_height, buildings.keys)
    source[np.isfinite(stated)], height = "attribute", np.where(np.isfinite(stated), stated, height)
    if water.comparable:
        for name, stated in (
            ("attribute", numbers(city, limits.floor_level, buildings.keys)),
            ("storey", _nearest_storey(storeys, standing.level)),
            ("door", _lowest_sill(doors, door_found, count)),
        ):
            known = np.isfinite(stated)
            source[known], level = name, np.where(known, stated, level)
    by_step, by_door = np.isnan(level), source == "door"
    level = np.where(by_step, standing.level + height, level)
    deep = np.where(water.depth >= water.wet_depth, water.depth, np.where(np.isnan(water.depth), np.nan, 0.0))
    inside = np.where(by_door, _door_depth(doors, door_found, count), over_level(rings, water, level, deep))
    unsure = rings.beyond | (found["unknown"] > limits.unknown_share)
    assessed = (found["status"] != "not_assessed") & np.isfinite(inside)
    answer = np.where(inside > 0, "yes", np.where(unsure, "not_assessed", "no")).astype(object)
    return {
        "floor_source": source, "floor_level": level if water.comparable else np.full(count, np.nan),
        "threshold_height": np.where(by_step, height, np.nan), "ground_source": _only(standing.source, by_step),
        "depth_inside": np.where(assessed & (answer != "not_assessed"), inside, np.nan),
        "water_inside": np.where(assessed, answer, "not_assessed").astype(object),
    }  # fmt: skip


def _only(words: NDArray[np.object_], rows: NDArray[np.bool_]) -> NDArray[np.object_]:
    found = np.full(len(words), None, object)
    found[rows] = words[rows]
    return found


def _nearest_storey(storeys: Storeys, ground: Floats) -> Floats:
    """Return the level of the storey nearest to the ground of each building; of two as near, the lower."""
    found = np.full(len(ground), np.nan)
    away = np.abs(storeys.level - ground[storeys.building])
    order = np.lexsort((storeys.level, away, storeys.building))
    order = order[np.isfinite(away[order])]
    first = order[np.unique(storeys.building[order], return_index=True)[1]]
    found[storeys.building[first]] = storeys.level[first]
    return found


def _usable(doors: Doors, found: dict[str, Any]) -> Ints:
    return np.flatnonzero((doors.building >= 0) & (found["status"] != "not_assessed"))


def _lowest_sill(doors: Doors, found: dict[str, Any], count: int) -> Floats:
    level = np.full(count, np.nan)
    mine = _usable(doors, found)
    np.fmin.at(level, doors.building[mine], doors.sill[mine])
    return level


def _door_depth(doors: Doors, found: dict[str, Any], count: int) -> Floats:
    depth = np.full(count, np.nan)
    mine = _usable(doors, found)
    np.fmax.at(depth, doors.building[mine], found["depth_over_sill"][mine])
    return depth
