"""The ground that the floor of a building is counted from: one elevation per building, which no change of the terrain beside it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CimError
from cim.model.coverages import raster_ids, read_raster
from cim.scenario.terrain_edits import terrain_edits
from cim.sim.impact.places import Places, reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster
    from cim.sim.buildings import Buildings
    from cim.sim.impact.water import Water

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Standing", "building_ground"]

_FAR = 1.0  # m; a model and a terrain of one place differ by less, by more where one of them is wrong or counts from another zero


@dataclass(frozen=True)
class Standing:
    """The ground of each building as columns."""

    level: Floats
    """Elevation [m] in the height system of the water; NaN where nothing tells."""
    source: NDArray[np.object_]
    """"z_ground": the building; "terrain": the terrain of the city without its edits; "run": the ground of the run; None: nothing."""
    far: NDArray[np.bool_]
    """Whether it lies more than 1 m above or below the ground of every cell beside the building."""
    edited: bool
    """Whether the ground of the run, where it had to be taken, holds edits of the terrain."""


def building_ground(city: City, buildings: Buildings, rings: Places, water: Water) -> Standing:
    """Return the elevation that the floor of each building is counted from.

    It is that of the building (`z_ground`); where it states none, or in another height system than the water, the median of the ground of
    the cells beside it, on the terrain as it is without edits. So base and option have one floor, however the option digs.

    Parameters
    ----------
    rings
        The cells beside each building.
    """
    level = np.where(np.isfinite(buildings.z_ground) & water.comparable, buildings.z_ground, np.nan)
    source = reasons(np.isfinite(level), "z_ground")
    beside = rings.at(water.ground)
    blank = np.isnan(level)[rings.row]
    by_run = False
    if blank.any():
        bare = _bare(city, water, rings.cell[blank])
        ground, from_file = beside.copy(), np.zeros(len(beside), bool)
        ground[blank], from_file[blank] = np.where(np.isfinite(bare), bare, beside[blank]), np.isfinite(bare)
        known = blank & np.isfinite(ground)
        middle = _medians(rings.row[known], ground[known], rings.count)
        from_run = np.bincount(rings.row[known & ~from_file], minlength=rings.count) > 0
        found = np.isnan(level) & np.isfinite(middle)
        source[found] = np.where(from_run[found], "run", "terrain")
        level[found] = middle[found]
        by_run = bool((source == "run").any())
    with np.errstate(invalid="ignore"):
        far = (level < rings.least(beside) - _FAR) | (level > rings.greatest(beside) + _FAR)
    return Standing(level, source, far, by_run and bool(terrain_edits(city)))


def _bare(city: City, water: Water, cells: Ints) -> Floats:
    """Return the terrain without edits at the middle of cells; NaN where there is no terrain that can stand for that of the run."""
    place, nowhere = water.place, np.full(len(cells), np.nan)
    ids, on_grid = raster_ids(city, "terrain"), cells >= 0
    if len(ids) != 1 or not on_grid.any():  # of several, the run does not say which it took
        return nowhere
    x, y = place.x[cells % place.shape[1]], place.y[np.maximum(cells, 0) // place.shape[1]]
    reach = max(place.dx, place.dy)
    box = (x[on_grid].min() - reach, y[on_grid].min() - reach, x[on_grid].max() + reach, y[on_grid].max() + reach)
    try:
        raster = read_raster(city, ids[0], box)
    except CimError:  # the file is gone or lies elsewhere: the run's own ground is taken, and counted
        return nowhere
    return np.where(on_grid, raster.sample(x, y), np.nan) if _fits(raster, water) else nowhere


def _fits(raster: Raster, water: Water) -> bool:
    """Say whether elevations of a raster are in the systems and the unit of the water."""
    vertical = "unknown" if raster.crs.vertical is None else raster.crs.vertical.name
    return raster.unit in {"", "m"} and raster.crs.same_horizontal(water.place.crs) and vertical == water.vertical


def _medians(row: Ints, values: Floats, count: int) -> Floats:
    """Return the median of the values of each row, NaN for rows without any; of an even number the mean of the middle two."""
    found = np.full(count, np.nan)
    ordered = values[np.lexsort((values, row))]
    number = np.bincount(row, minlength=count)
    first = np.cumsum(number) - number
    has = number > 0
    lower, upper = (first + (number - 1) // 2)[has], (first + number // 2)[has]
    found[has] = (ordered[lower] + ordered[upper]) / 2
    return found
