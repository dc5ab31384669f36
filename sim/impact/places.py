"""Which cells belong to which object, and what the water does on them, for all objects at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results.columns import column
from cim.sim.cells import cells_inside
from cim.sim.impact.hazard import DEFRA_CLASSES, arr_class, debris_factor, defra_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.coverages import Raster
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["MEASURED", "PairWater", "Places", "instants", "line_places", "measure", "measured", "reasons", "ring_places", "roof_cells"]

_ON_EDGE = 1e-6
"""Share of a cell within which a line runs along its edge."""
_CLASS_NAMES = np.array([None, *DEFRA_CLASSES], object)
_ARR_NAMES = np.array([None, "H1", "H2", "H3", "H4", "H5", "H6"], object)

MEASURED = [
    column("status", pa.string(), en="status", zh="状态"),
    column("reason", pa.string(), en="reason", zh="原因"),
    column("depth_max", pa.float64(), unit="m", en="greatest depth", zh="最大水深"),
    column("depth_mean", pa.float64(), unit="m", en="mean of the greatest depths", zh="平均最大水深"),
    column("velocity_max", pa.float64(), unit="m/s", en="greatest velocity", zh="最大流速"),
    column("depth_velocity_max", pa.float64(), unit="m²/s", en="greatest depth times velocity", zh="最大水深流速积"),
    column("hazard_rating", pa.float64(), unit="m²/s", en="hazard rating (DEFRA)", zh="危险度（DEFRA）"),
    column("hazard_class", pa.string(), en="hazard class (DEFRA)", zh="危险等级（DEFRA）"),
    column("arr_class", pa.string(), en="hazard class (ARR)", zh="危险等级（ARR）"),
    column("first_wet", pa.float64(), unit="s", en="first wetting after the start", zh="起淹历时"),
    column("first_wet_at", pa.timestamp("us", "UTC"), en="first wetting", zh="起淹时刻"),
    column("duration", pa.float64(), unit="s", en="longest time under water of a cell", zh="淹没历时"),
]
"""Columns that every kind of object has; null where not assessed, or where there is no water to speak of."""


@dataclass(frozen=True)
class Places:
    """Objects and the cells that tell of the water at them: pairs in the order of the objects."""

    count: int
    """Number of objects."""
    row: Ints
    """Object of each pair, never falling."""
    cell: Ints
    """Place in the flattened grid; -1 beyond it."""
    weight: Floats
    """What each pair counts: its length along a line, else 1."""
    beyond: Bools
    """Shape (count,): part of the object's surroundings lies beyond the grid."""
    reason: NDArray[np.object_]
    """Shape (count,): why an object cannot be assessed whatever the water; None where it can."""

    def greatest(self, values: Floats) -> Floats:
        """Return the greatest value of each object, NaN where none is known."""
        return self._reduced(np.fmax, values)

    def least(self, values: Floats) -> Floats:
        """Return the least value of each object, NaN where none is known."""
        return self._reduced(np.fmin, values)

    def total(self, values: Floats) -> Floats:
        """Return the sum over the pairs of each object."""
        return np.bincount(self.row, values, self.count).astype(np.float64)

    def _reduced(self, ufunc: Any, values: Floats) -> Floats:
        found = np.full(self.count, np.nan)
        if len(self.row):
            start = np.flatnonzero(np.concatenate([[True], self.row[1:] != self.row[:-1]]))
            found[self.row[start]] = ufunc.reduceat(values, start)
        return found

    def under(self, mask: Bools) -> Bools:
        """Return which pairs have a cell of a mask, shape (ny * nx,)."""
        return (self.cell >= 0) & mask[np.maximum(self.cell, 0)] if mask.size else np.zeros(len(self.cell), bool)

    def at(self, field: Floats) -> Floats:
        """Return the values of a flat field at the cells, NaN beyond the grid."""
        return np.where(self.cell >= 0, field[np.maximum(self.cell, 0)], np.nan) if len(field) else np.full(len(self.cell), np.nan)


def reasons(rows: Bools, text: str) -> NDArray[np.object_]:
    """Return a reason for some rows and None for the others."""
    found = np.full(len(rows), None, object)
    found[rows] = text
    return found


def roof_cells(footprints: NDArray[Any], grid: Raster) -> Bools:
    """Return the cells under roofs, on which no water outside can stand, shape (ny * nx,)."""
    roofs = np.zeros(grid.values.size, bool)
    roofs[cells_inside(footprints, grid).cell] = True
    return roofs


def ring_places(shapes: NDArray[Any], roofs: Bools, grid: Raster, reach: float, missing: str = "missing_footprint") -> Places:
    """Return the cells whose centre lies within `reach` of a shape and under no roof.

    Parameters
    ----------
    shapes : shape (n,)
        Polygons or points; None has no cells.
    roofs : shape (ny * nx,)
        Cells that no water outside can stand on.
    reach
        In units of the map.
    """
    import shapely

    count = len(shapes)
    absent = np.asarray(shapely.is_missing(shapes) | shapely.is_empty(shapes), bool) if count else np.zeros(0, bool)
    wide = np.full(count, None, object)
    wide[~absent] = shapely.buffer(shapes[~absent], reach, quad_segs=8)
    found = cells_inside(wide, grid)
    free = ~roofs[found.cell]
    return Places(count, found.shape[free], found.cell[free], np.ones(int(free.sum())), found.outside, reasons(absent, missing))


def line_places(lines: NDArray[Any], grid: Raster, missing: str = "missing_line") -> Places:
    """Return the cells that lines cross, each piece with its exact length in units of the map; -1 for pieces beyond the grid.

    A piece that runs along the edge between two cells counts half in each: round coordinates on a round grid put roads there.

    Parameters
    ----------
    lines : shape (n,)
        Lines of one or several parts; None has no cells.
    """
    import shapely

    count = len(lines)
    absent = np.asarray(shapely.is_missing(lines) | shapely.is_empty(lines), bool) if count else np.zeros(0, bool)
    parts, owner = shapely.get_parts(lines, return_index=True) if count else (np.empty(0, object), np.empty(0, np.int64))
    xy, part = shapely.get_coordinates(parts, return_index=True)
    joined = part[1:] == part[:-1] if len(part) else np.zeros(0, bool)
    start, end, row = xy[:-1][joined], xy[1:][joined], owner[part[1:][joined]] if len(part) else np.empty(0, np.int64)
    segment, middle, length = _cut(start, end, grid)
    ny, nx = grid.shape
    across, down = (middle[:, 0] - grid.x_min) / grid.dx, (grid.y_max - middle[:, 1]) / grid.dy
    piece, column_, share = _beside(across, nx)
    segment, length, down = segment[piece], length[piece] * share, down[piece]
    piece, row_, share = _beside(down, ny)
    segment, length, column_ = segment[piece], length[piece] * share, column_[piece]
    here = (column_ >= 0) & (column_ < nx) & (row_ >= 0) & (row_ < ny)
    cell = np.where(here, row_ * nx + column_, -1).astype(np.int64)
    mine = row[segment].astype(np.int64)
    outside = np.bincount(mine[~here], minlength=count) > 0
    return Places(count, mine, cell, length, outside, reasons(absent, missing))


def _beside(place: Floats, count: int) -> tuple[Ints, Floats, Floats]:
    """Return the row or column of each piece, two where it runs along their edge on the grid: piece, number, share of the piece."""
    edge = np.round(place)
    near = np.abs(place - edge) < _ON_EDGE
    both = near & (edge > 0) & (edge < count)
    number = np.where(near, edge - (both | (edge == count)), np.floor(place))
    piece = np.repeat(np.arange(len(place)), np.where(both, 2, 1))
    second = np.append(False, piece[1:] == piece[:-1]) if len(piece) else np.zeros(0, bool)
    return piece, number[piece] + second, np.where(both, 0.5, 1.0)[piece]


def _cut(start: Floats, end: Floats, grid: Raster) -> tuple[Ints, Floats, Floats]:
    """Cut segments at the edges of the cells; return of each piece its segment, its middle and its length, in order along the segments."""
    if not len(start):
        return np.empty(0, np.int64), np.empty((0, 2)), np.empty(0)
    length = np.hypot(*(end - start).T)
    cuts = [(np.arange(len(start)), np.zeros(len(start))), (np.arange(len(start)), np.ones(len(start)))]
    ny, nx = grid.shape
    cuts += [_crossings(start[:, 0], end[:, 0], grid.x_min, grid.dx, nx), _crossings(start[:, 1], end[:, 1], grid.y_max, -grid.dy, ny)]
    segment = np.concatenate([one[0] for one in cuts])
    share = np.concatenate([one[1] for one in cuts])
    order = np.lexsort((share, segment))
    segment, share = segment[order], share[order]
    joined = segment[1:] == segment[:-1]
    first, last, segment = share[:-1][joined], share[1:][joined], segment[1:][joined]
    kept = (last > first) | (length[segment] == 0)
    first, last, segment = first[kept], last[kept], segment[kept]
    middle = start[segment] + (end - start)[segment] * ((first + last) / 2)[:, None]
    return segment, middle, (last - first) * length[segment]


def _crossings(start: Floats, end: Floats, origin: float, step: float, count: int) -> tuple[Ints, Floats]:
    """Return where segments cross the lines origin + k step, k from 0 to `count`, as a share of their length."""
    a, b = (start - origin) / step, (end - origin) / step
    low, high = np.minimum(a, b), np.maximum(a, b)
    first = np.clip(np.floor(low) + 1, 0, count + 1).astype(np.int64)
    number = np.maximum(np.clip(np.ceil(high), 0, count + 1).astype(np.int64) - first, 0)
    segment = np.repeat(np.arange(len(a)), number)
    within = np.arange(len(segment)) - np.repeat(np.cumsum(number) - number, number)
    return segment, (first[segment] + within - a[segment]) / (b - a)[segment]


@dataclass(frozen=True)
class PairWater:
    """The greatest water that a run has at pairs of object and cell; NaN where it is not known."""

    depth: Floats
    velocity: Floats
    depth_velocity: Floats
    hazard: Floats
    arrival: Floats
    """First wetting [s since the start]; NaN: never, too."""
    duration: Floats

    @classmethod
    def of(cls, places: Places, water: Water, covered: Bools | None = None) -> PairWater:
        """Return the water at the cells of objects; where the depth is not known nothing is.

        Parameters
        ----------
        covered
            Pairs whose cell tells nothing of the object, such as a roof above a road.
        """
        depth = places.at(water.depth)
        if covered is not None:
            depth[covered] = np.nan
        known = ~np.isnan(depth)
        others = (water.velocity, water.depth_velocity, water.hazard, water.arrival, water.duration)
        return cls(depth, *(np.where(known, places.at(one), np.nan) for one in others))

    def take(self, pairs: Ints) -> PairWater:
        """Return the water at some pairs."""
        return PairWater(*(getattr(self, one.name)[pairs] for one in fields(self)))


def measure(places: Places, water: Water, limits: ImpactParameters, covered: Bools | None = None) -> dict[str, Any]:
    """Return what `measured` does of the water of a run at the cells themselves; `covered` as in `PairWater.of`."""
    return measured(places, PairWater.of(places, water, covered), water, limits)


def measured(places: Places, found: PairWater, water: Water, limits: ImpactParameters) -> dict[str, Any]:
    """Return the columns of `MEASURED` for every object, and ``cells`` and ``unknown``: how many tell, and the share that does not.

    An object is wet as soon as one known cell is; dry only when (nearly) all its cells are known and dry; else not assessed.
    """
    depth = found.depth
    known = ~np.isnan(depth)
    deepest = places.greatest(depth)
    full = np.maximum(places.total(places.weight), 1e-300)
    unknown = places.total(np.where(known, 0.0, places.weight)) / full
    cells = np.bincount(places.row[known], minlength=places.count)
    with np.errstate(invalid="ignore"):
        wet = deepest >= water.wet_depth
    reason = _reasons(places, wet, unknown, cells, limits)
    assessed = np.array([one is None for one in reason], bool)
    shown = assessed & wet
    mean = places.total(np.where(known, depth * places.weight, 0.0)) / np.maximum(places.total(np.where(known, places.weight, 0.0)), 1e-300)
    first = np.where(shown, places.least(found.arrival), np.nan)
    return {
        "status": np.where(assessed, np.where(wet, "wet", "dry"), "not_assessed").astype(object), "reason": reason,
        "depth_max": np.where(assessed, deepest, np.nan), "depth_mean": np.where(assessed, mean, np.nan),
        "velocity_max": np.where(assessed, places.greatest(found.velocity), np.nan),
        "depth_velocity_max": np.where(assessed, places.greatest(found.depth_velocity), np.nan),
        "duration": np.where(assessed, places.greatest(found.duration), np.nan),
        **_hazard(places, found, water, limits, shown), "first_wet": first, "first_wet_at": instants(first, water),
        "cells": cells, "unknown": unknown,
    }  # fmt: skip


def _reasons(places: Places, wet: Bools, unknown: Floats, cells: Ints, limits: ImpactParameters) -> NDArray[np.object_]:
    """Return why objects are not assessed, None where they are."""
    reason = np.full(places.count, None, object)
    pairs = np.bincount(places.row, minlength=places.count)
    on_grid = np.bincount(places.row[places.cell >= 0], minlength=places.count) > 0
    reason[~wet & (unknown > limits.unknown_share)] = "unknown_cells"
    reason[~wet & places.beyond] = "partly_outside_domain"
    reason[(cells == 0) & on_grid] = "unknown_cells"
    reason[(cells == 0) & ~on_grid & places.beyond] = "outside_domain"
    reason[(pairs == 0) & ~places.beyond] = "no_open_cell"
    preset = np.array([one is not None for one in places.reason], bool)
    reason[preset] = places.reason[preset]
    return reason


def _hazard(places: Places, found: PairWater, water: Water, limits: ImpactParameters, shown: Bools) -> dict[str, Any]:
    """Return the hazard where there is water to speak of; in shallower cells debris and classes mean nothing."""
    with np.errstate(invalid="ignore"):
        deep = found.depth >= water.wet_depth
        rating = found.hazard + debris_factor(found.depth, found.velocity, limits)
    rating = np.where(shown, places.greatest(np.where(deep, rating, np.nan)), np.nan)
    by_cell = np.where(deep, arr_class(found.depth, found.velocity, found.depth_velocity), 0).astype(float)
    arr = np.where(shown, np.nan_to_num(places.greatest(by_cell)), 0).astype(np.int64)
    return {"hazard_rating": rating, "hazard_class": _CLASS_NAMES[defra_class(rating, limits) + 1], "arr_class": _ARR_NAMES[arr]}


def instants(seconds: Floats, water: Water) -> pa.Array:
    """Return instants, null where never or where the run states no start."""
    if water.start is None:
        return pa.nulls(len(seconds), pa.timestamp("us", "UTC"))
    start = np.int64(round(water.start.timestamp() * 1e6))
    micro = start + np.round(np.nan_to_num(seconds) * 1e6).astype(np.int64)
    return pa.array(micro, mask=np.isnan(seconds)).cast(pa.timestamp("us", "UTC"))
