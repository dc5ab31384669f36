"""The fields of a flood run as the impact reads them: checked, on one grid, and without the noise of single precision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cim.crs import parse
from cim.errors import CRSMismatchError, UsageError
from cim.model.coverages import Raster
from cim.results import Fields, grid_of

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["DIGITS", "Water", "read_water"]

_WET_DEPTH = 0.05  # m, of a run that does not say
DIGITS = 6
"""Depths are kept to a micrometre: single precision keeps 0.3 m as 0.30000001 m, which is above a limit of 0.3 m."""


@dataclass(frozen=True)
class Water:
    """What a run says of every cell; arrays are flat, NaN where the run has no cell or does not say."""

    place: Raster
    """Greatest depth [m] as a raster: where the cells lie."""
    depth: Floats
    velocity: Floats
    """Greatest velocity [m/s]."""
    depth_velocity: Floats
    """Greatest product of depth and velocity [m²/s]."""
    hazard: Floats
    """Greatest d (v + 0.5) [m²/s]."""
    arrival: Floats
    """First wetting [s since the start]; NaN: never."""
    duration: Floats
    """Time under water [s]."""
    ground: Floats
    """Elevation of the ground [m]."""
    wet_depth: float
    """Depth from which a cell counts as wet [m]."""
    comparable: bool
    """Whether heights of the city can be compared with those of the water."""
    vertical: str
    """Height system of the ground, "unknown" where the run does not say."""
    open_ways: frozenset[str]
    """Ids of ways in tunnels and through buildings whose own ground the run has: its parameter ``open_ways``."""
    start: datetime | None
    notes: tuple[str, ...]
    """What had to be taken for granted."""

    @cached_property
    def level(self) -> Floats:
        """Greatest elevation of the water surface [m]."""
        return np.asarray(self.ground + self.depth, float)

    @property
    def reach(self) -> float:
        """Width of a cell, in units of the map."""
        return max(self.place.dx, self.place.dy)


def read_water(city: City, water: Fields, wet_depth: float | None = None) -> Water:
    """Return what a run says, in the form the impact needs.

    Parameters
    ----------
    water
        Result of `flood.simulate`.
    wet_depth
        Depth from which a cell counts as wet [m]; that of the run when left out. With another one, arrival and duration are found again
        from the depths at the times of output, straight lines between them.

    Raises
    ------
    UsageError
        If the fields hold no depth on a grid.
    CRSMismatchError
        If city and water are in different systems.
    """
    dataset = water.dataset
    if not {"y", "x"} <= set(dataset.dims) or not {"maximum_depth", "water_depth"} & set(map(str, dataset.data_vars)):
        held = ", ".join(map(str, dataset.data_vars)) or "none"
        msg = f"{water.name} has the fields {held}; expected maximum_depth or water_depth over y and x, as flood.simulate returns"
        raise UsageError(msg)
    grid = grid_of(dataset)
    notes: list[str] = []
    crs = parse(grid.crs)
    if not crs.same_horizontal(city.crs):
        where, reason = water.name, f"its fields are in {crs.name}, the city in {city.crs.name}"
        raise CRSMismatchError(where, reason, "run the flood on this city, or bring the city to the system of the run")
    depth = _greatest_depth(water, notes)
    run_depth = _run_wet_depth(water, notes)
    asked = run_depth if wet_depth is None else float(wet_depth)
    arrival, duration = _field(water, "arrival_time"), _field(water, "flood_duration")
    if asked != run_depth:
        arrival, duration = _times(dataset, asked, notes)
    velocity, product, hazard = _field(water, "maximum_velocity"), _field(water, "maximum_unit_discharge"), _field(water, "maximum_hazard")
    if np.isnan(product).all():
        product = _instead(velocity * depth, "maximum_unit_discharge", "greatest depth times greatest velocity", notes)
    if np.isnan(hazard).all():
        hazard = _instead(product + 0.5 * depth, "maximum_hazard", "the greatest d·v and the greatest depth", notes)
    if np.isnan(velocity).all():
        notes.append("the run holds no maximum_velocity: velocity and hazard are not assessed")
    ground, vertical = _field(water, "ground_elevation"), str(dataset.attrs.get("vertical", "unknown"))
    place = Raster(depth.reshape(grid.ny, grid.nx), grid.x_min, grid.y_max, grid.dx, grid.dy, crs)
    comparable = _comparable(city, ground, vertical, notes)
    start = _start(water, notes)
    ways = frozenset(map(str, water.run.parameters.get("open_ways") or ()))
    return Water(
        place, depth, velocity, product, hazard, arrival, duration, ground, asked, comparable, vertical, ways, start, tuple(notes)
    )  # fmt: skip


def _comparable(city: City, ground: Floats, vertical: str, notes: list[str]) -> bool:
    """Return whether heights of city and water count from one datum, and say what follows."""
    own = "unknown" if city.crs.vertical is None else city.crs.vertical.name
    if np.isnan(ground).all():
        notes.append("the run holds no ground_elevation: levels of doors, storeys and rims are not used")
        return False
    if own != vertical:
        notes.append(f"heights of the city are {own}, of the water {vertical}: levels of doors, storeys and rims are not used")
        return False
    if own == "unknown":
        notes.append("neither city nor water states a height system: both are taken for the same")
    return True


def _field(water: Fields, name: str) -> Floats:
    """Return a field over y and x, flat; all NaN when the run has none."""
    size = int(water.dataset.sizes["y"] * water.dataset.sizes["x"])
    if name not in water.dataset.data_vars:
        return np.full(size, np.nan)
    field = water.dataset[name]
    if set(field.dims) != {"y", "x"}:
        msg = f"field {name} of {water.name} has the dimensions {field.dims}, expected y and x"
        raise UsageError(msg)
    values = _flat(field)
    values[~np.isfinite(values)] = np.nan
    return values


def _flat(plane: xarray.DataArray) -> Floats:
    values: Floats = np.asarray(plane.transpose("y", "x").values, np.float64).reshape(-1)
    return np.asarray(np.round(values, DIGITS), np.float64)


def _greatest_depth(water: Fields, notes: list[str]) -> Floats:
    if "maximum_depth" in water.dataset.data_vars:
        return _field(water, "maximum_depth")
    field = water.dataset["water_depth"]
    others = [one for one in field.dims if one not in {"y", "x"}]
    if others not in ([], ["time"]):
        msg = f"field water_depth of {water.name} has the dimensions {field.dims}, expected time, y and x"
        raise UsageError(msg)
    times = int(field.sizes.get("time", 1))
    notes.append(f"the run holds no maximum_depth: the greatest of {times} outputs is taken, peaks between them are missed")
    plane = field.max("time", skipna=True) if others else field
    return _flat(plane)


def _run_wet_depth(water: Fields, notes: list[str]) -> float:
    said = water.run.parameters.get("wet_depth")
    if said is None:
        notes.append(f"the run states no wet_depth: {_WET_DEPTH:g} m is taken")
        return _WET_DEPTH
    return float(said)


def _instead(values: Floats, name: str, words: str, notes: list[str]) -> Floats:
    if not np.isnan(values).all():
        notes.append(f"the run holds no {name}: it is taken from {words}, which may not coincide, so it may be too high")
    return values


def _start(water: Fields, notes: list[str]) -> datetime | None:
    if water.run.start is None:
        notes.append("the run states no start: times are seconds since it, no instants")
        return None
    start = water.run.start
    return start if start.tzinfo is not None else start.replace(tzinfo=UTC)


def _times(dataset: xarray.Dataset, depth: float, notes: list[str]) -> tuple[Floats, Floats]:
    """Return first time at a depth and time at or above it [s], from the outputs; NaN where never reached or nothing is known."""
    size = int(dataset.sizes["y"] * dataset.sizes["x"])
    if "water_depth" not in dataset.data_vars or "time" not in dataset["water_depth"].dims:
        notes.append(f"wet_depth {depth:g} m is not that of the run, which holds no depth over time: arrival and duration are not known")
        return np.full(size, np.nan), np.full(size, np.nan)
    field = dataset["water_depth"].transpose("time", "y", "x")
    seconds = (field["time"].values - field["time"].values[0]) / np.timedelta64(1, "s")
    notes.append(f"wet_depth {depth:g} m is not that of the run: arrival and duration are found between {len(seconds)} outputs")
    before = field[0].values.reshape(-1).astype(np.float64).round(DIGITS)
    arrival, duration = np.where(before >= depth, 0.0, np.nan), np.where(np.isnan(before), np.nan, 0.0)
    for step in range(1, len(seconds)):
        after = field[step].values.reshape(-1).astype(np.float64).round(DIGITS)
        length = float(seconds[step] - seconds[step - 1])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.clip((depth - before) / (after - before), 0.0, 1.0)
        rises, falls = (before < depth) & (after >= depth), (before >= depth) & (after < depth)
        first = rises & np.isnan(arrival)
        arrival[first] = seconds[step - 1] + length * share[first]
        duration += length * np.select([rises, falls, (before >= depth) & (after >= depth)], [1 - share, share, 1.0], 0.0)
        before = after
    return arrival, duration
