"""Floor areas, footprint areas and covered areas of a city, in the square metres of its own projected system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import UsageError
from cim.sim.buildings import Buildings, area_factor, number_column, read_buildings, require_measurable
from cim.sim.plots import covered_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["FloorArea", "covered_footprint_area", "floor_areas", "footprint_area", "gross_floor_area"]


@dataclass(frozen=True)
class FloorArea:
    """Floor area of each building, and how it is known."""

    area: NDArray[np.float64]
    """Shape (n,) [m²], NaN where unknown."""
    reason: NDArray[np.object_]
    """Shape (n,): missing_height where neither storeys nor height are known, missing_storeys where only the height is."""
    assumed: NDArray[np.bool_]
    """Shape (n,): storeys were taken from the height."""


def floor_areas(city: City, buildings: Buildings, stated_name: str, storey_height: float | None, type: str) -> FloorArea:
    """Return the floor area of each building: what it states, else footprint × storeys above ground.

    Parameters
    ----------
    stated_name
        Attribute that holds the stated area [m²], such as far_floor_area.
    storey_height
        Where storeys are missing but the height is known, storeys = height / this, rounded, at least 1 [m]; no guess when None.
    """
    stated = number_column(city, type, stated_name, buildings.keys)
    stated = np.where(stated >= 0, stated, np.nan)
    storeys, assumed = buildings.storeys, np.zeros(len(buildings), bool)
    if storey_height is not None:
        if not (np.isfinite(storey_height) and storey_height > 0):
            msg = f"storey_height={storey_height!r}; expected metres, above 0"
            raise UsageError(msg)
        assumed = ~np.isfinite(storeys) & np.isfinite(buildings.height) & ~np.isfinite(stated)
        storeys = np.where(assumed, np.maximum(np.round(buildings.height / storey_height), 1.0), storeys)
    area = np.where(np.isfinite(stated), stated, buildings.area * storeys)
    reason = np.where(np.isfinite(buildings.height), "missing_storeys", "missing_height").astype(object)
    reason[np.isfinite(area)] = None
    return FloorArea(area, reason, assumed)


def footprint_area(city: City, type: str = "Building") -> float:
    """Return the sum of the footprints [m²]; where they overlap, area counts twice.

    Raises
    ------
    CRSError
        If lengths cannot be measured in the city's coordinate system.
    UsageError
        If a building has no footprint.
    """
    return float(_complete(city, type).area.sum())


def covered_footprint_area(city: City, type: str = "Building") -> float:
    """Return the area of the union of the footprints [m²]; raises as `footprint_area`."""
    buildings = _complete(city, type)
    return float(covered_area(buildings.footprints, np.zeros(len(buildings), np.int64), 1)[0]) * area_factor(city)


def gross_floor_area(city: City, type: str = "Building", *, storey_height: float | None = None) -> float:
    """Return the gross floor area [m²]: what each building states, else footprint × storeys above ground.

    Parameters
    ----------
    storey_height
        Assumed where storeys are missing but the height is known [m].

    Raises
    ------
    CRSError
        If lengths cannot be measured in the city's coordinate system.
    UsageError
        If a building has no footprint, or its floor area cannot be known.
    """
    buildings = _complete(city, type)
    floors = floor_areas(city, buildings, "gross_floor_area", storey_height, type)
    missing = np.flatnonzero(~np.isfinite(floors.area))
    if len(missing):
        found = (
            f"{len(missing)} of {len(buildings)} buildings state neither floor area nor storeys, the first is {buildings.ids[missing[0]]!r}"
        )
        msg = f"{found}; add storeys_above_ground, or give storey_height= to assume them from the height"
        raise UsageError(msg)
    return float(floors.area.sum())


def _complete(city: City, type: str) -> Buildings:
    import shapely

    require_measurable(city)
    buildings = read_buildings(city, type)
    missing = np.flatnonzero(shapely.is_missing(buildings.footprints))
    if len(missing):
        msg = f"{len(missing)} of {len(buildings)} buildings have no footprint with an area, the first is {buildings.ids[missing[0]]!r}"
        raise UsageError(msg)
    return buildings
