"""Floor areas, footprint areas and covered areas of a city, in the square metres of its own projected system."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.model.numeric import numbers
from cim.sim.bodies import Bodies, areas
from cim.sim.buildings import Buildings, area_factor, read_buildings, require_measurable
from cim.sim.plots import covered_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["FloorArea", "covered_footprint_area", "floor_areas", "footprint_area", "gross_floor_area"]


@dataclass(frozen=True)
class FloorArea:
    """Floor area of buildings and of what their parts add, and how it is known."""

    area: NDArray[np.float64]
    """Shape (n,) [m²], NaN where unknown."""
    reason: NDArray[np.object_]
    """Shape (n,): missing_height where neither storeys nor height are known, missing_storeys where only the height is."""
    assumed: NDArray[np.bool_]
    """Shape (n,): storeys were taken from the height."""
    pieces: Buildings
    """What stands where: the buildings themselves, then pieces of their parts."""


def floor_areas(city: City, buildings: Buildings, stated_name: str, storey_height: float | None, *, tolerance: float = 0.1) -> FloorArea:
    """Return the floor area of each building: what it states, else footprint × storeys above ground, and what its parts add.

    A building that states its floor area states it with its parts. Else a part counts with the storeys of its building on the footprint
    of the building, with its own storeys beside it, and its storeys above those of the building count on top.

    Parameters
    ----------
    stated_name
        Attribute that holds the stated area [m²], such as far_floor_area.
    storey_height
        Where storeys are missing but the height is known, storeys = height / this, rounded, at least 1 [m]; no guess when None.
    tolerance
        Area up to which a part only grazes the outside of its building [m²].
    """
    if storey_height is not None and not (np.isfinite(storey_height) and storey_height > 0):
        msg = f"storey_height={storey_height!r}; expected metres, above 0"
        raise UsageError(msg)
    stated = _stated(city, stated_name, buildings.own)
    storeys, assumed = _storeys(buildings.own, stated, storey_height)
    if not len(buildings.parts):
        area = np.where(np.isfinite(stated), stated, buildings.area * storeys)
        return FloorArea(area, _reason(area, buildings.own), assumed, buildings)
    shapes = np.where(np.isfinite(stated) | _missing(buildings.own.footprints), buildings.footprints, buildings.own.footprints)
    own = _piece(buildings, np.arange(len(buildings)), buildings.own, shapes, areas(shapes) * area_factor(city))
    area = np.where(np.isfinite(stated), stated, own.area * storeys)
    main = FloorArea(area, _reason(area, buildings.own), assumed, own)
    silent = ~np.isfinite(stated)[buildings.owner] & ~_missing(buildings.parts.footprints)
    return _with_parts(city, buildings, main, storeys, np.flatnonzero(silent), stated_name, storey_height, tolerance)


def _with_parts(
    city: City, buildings: Buildings, main: FloorArea, storeys: Floats, rows: Ints, name: str, storey_height: float | None, tolerance: float
) -> FloorArea:  # fmt: skip
    """Add what parts have beside their building, and above its storeys."""
    import shapely

    parts, factor = buildings.parts, area_factor(city)
    stated = _stated(city, name, parts)
    floors, assumed = _storeys(parts, stated, storey_height)
    shape, base = parts.footprints[rows], main.pieces.footprints[buildings.owner[rows]]
    beside, within = shapely.difference(shape, base), shapely.intersection(shape, base)
    whole, out = areas(shape) * factor, areas(beside) * factor
    counts = (out > tolerance) | (out >= 0.5 * whole)
    total = np.where(np.isfinite(stated), stated, areas(parts.footprints) * factor * floors)[rows]
    extra = floors[rows] - storeys[buildings.owner[rows]]
    higher = (whole - out > tolerance) & (extra > 0)
    one, two = np.flatnonzero(counts), np.flatnonzero(higher)
    area = np.concatenate([(total * out / whole)[one], (extra * (whole - out))[two]])
    chosen = np.concatenate([rows[one], rows[two]])
    shapes = np.concatenate([beside[one], within[two]])
    added = _piece(buildings, chosen, parts, shapes, areas(shapes) * factor)
    columns: dict[str, Any] = {name: np.concatenate([getattr(main.pieces, name), getattr(added, name)]) for name in _COLUMNS}
    pieces = replace(main.pieces, **columns)
    reason = _reason(area, parts, chosen)
    return FloorArea(
        np.concatenate([main.area, area]), np.concatenate([main.reason, reason]), np.concatenate([main.assumed, assumed[chosen]]), pieces
    )


_COLUMNS = ("keys", "ids", "footprints", "area", "storeys", "height", "top", "z_ground", "box")


def _piece(buildings: Buildings, rows: Ints, bodies: Bodies, shapes: NDArray[np.object_], area: Floats) -> Buildings:
    """Return rows of bodies as buildings with other footprints."""
    return replace(
        buildings, keys=bodies.keys[rows], ids=bodies.ids[rows], footprints=shapes, area=area, storeys=bodies.storeys[rows],
        height=bodies.height[rows], top=bodies.top[rows], z_ground=bodies.z_ground[rows], box=bodies.box[rows],
    )  # fmt: skip


def _stated(city: City, name: str, bodies: Bodies) -> Floats:
    stated = numbers(city, name, bodies.keys)
    return np.where(stated >= 0, stated, np.nan)


def _storeys(bodies: Bodies, stated: Floats, storey_height: float | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return storeys, taken from the height where they are missing, and which were."""
    if storey_height is None:
        return bodies.storeys, np.zeros(len(bodies), bool)
    assumed = ~np.isfinite(bodies.storeys) & np.isfinite(bodies.height) & ~np.isfinite(stated)
    return np.where(assumed, np.maximum(np.round(bodies.height / storey_height), 1.0), bodies.storeys), assumed


def _reason(area: Floats, bodies: Bodies, rows: Ints | None = None) -> NDArray[np.object_]:
    height = bodies.height if rows is None else bodies.height[rows]
    reason = np.where(np.isfinite(height), "missing_storeys", "missing_height").astype(object)
    reason[np.isfinite(area)] = None
    return reason


def _missing(shapes: NDArray[np.object_]) -> NDArray[np.bool_]:
    import shapely

    return np.asarray(shapely.is_missing(shapes), bool)


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
    floors = floor_areas(city, buildings, "gross_floor_area", storey_height)
    missing = np.flatnonzero(~np.isfinite(floors.area))
    if len(missing):
        count, first = f"{len(missing)} of {len(floors.area)}", floors.pieces.ids[missing[0]]
        found = f"{count} buildings state neither floor area nor storeys, the first is {first!r}"
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
