"""Buildings on the grid of a flood model: raised or walls, and where the rain on their roofs arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cim.sim.cells import CellsOfShapes, cells_inside
from cim.sim.flood.crossings import named
from cim.sim.flood.gaps import neighbours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["ASSUMED_HEIGHT", "STEEP", "STOREY", "Drained", "Roofs", "drain_roofs", "raise_buildings", "read_roofs", "wall_buildings"]

ASSUMED_HEIGHT = 6.0
"""Height of a building of which nothing is known [m]; water at its wall does not depend on it."""
STOREY = 3.0
"""Height of a storey, where only their number is known [m]."""
STEEP = 1.0
"""Least slope of a wall: the solver takes such a face for a step, not for ground that water runs down."""
_MARGIN = 0.01
"""Added to a wall that would just be steep enough [m], for single precision."""
_LOW_SIDE = 0.25
"""Share of the cells around a building, the lowest ones, that its roof drains to."""


@dataclass(frozen=True)
class Roofs:
    """Buildings and their cells."""

    ids: NDArray[np.object_]
    height: Floats
    """Above ground [m], where need be assumed."""
    pairs: CellsOfShapes
    """Cells of each building that counts."""
    owner: NDArray[np.int32]
    """Shape (ny, nx): row of the building of a cell, the highest where several lie over it; -1 where there is none."""
    notes: tuple[str, ...]

    @property
    def cells(self) -> Bools:
        """Cells of buildings, shape (ny, nx)."""
        return np.asarray(self.owner >= 0, bool)


@dataclass(frozen=True)
class Drained:
    """Where the rain on roofs arrives."""

    from_cell: Ints
    """Places in the flattened grid, each once, rising."""
    to_cell: Ints
    notes: tuple[str, ...]


def read_roofs(city: City, grid: Raster, inside: Bools, kept_open: Bools) -> Roofs:
    """Return the buildings of a city on a grid.

    Parameters
    ----------
    inside : shape (ny, nx)
        Cells of the domain.
    kept_open : shape (ny, nx)
        Cells that no building may take: ways through and under it.
    """
    import shapely

    from cim.sim.buildings import read_buildings

    buildings = read_buildings(city)
    shapes, notes = buildings.footprints.copy(), []
    west, south, east, north = grid.bounds
    near = ~shapely.is_missing(shapes) & shapely.intersects(shapes, shapely.box(west, south, east, north))
    blank = shapely.is_missing(shapes)
    if blank.any():
        notes.append(f"{int(blank.sum())} buildings without a footprint are left out ({named(buildings.ids[blank])})")
    below = near & _underground(city, buildings.keys)
    if below.any():
        notes.append(f"{int(below.sum())} buildings below ground are left out ({named(buildings.ids[below])})")
    tiny = near & ~below & (shapely.area(shapes) < 0.5 * grid.dx**2)
    if tiny.any():
        notes.append(f"{int(tiny.sum())} buildings smaller than half a cell are left out ({named(buildings.ids[tiny])})")
    shapes[~near | below | tiny] = None
    pairs = cells_inside(shapes, grid)
    allowed = (inside & ~kept_open).reshape(-1)[pairs.cell]
    pairs = CellsOfShapes(pairs.shape[allowed], pairs.cell[allowed], pairs.outside)
    height, said = _heights(buildings.height, buildings.storeys, buildings.ids, np.unique(pairs.shape))
    owner = np.full(grid.shape, -1, np.int32)
    order = np.lexsort((-pairs.shape, height[pairs.shape]))  # the highest is written last, the first of equal ones
    owner.reshape(-1)[pairs.cell[order]] = pairs.shape[order]
    return Roofs(buildings.ids, height, pairs, owner, (*notes, *said))


def _underground(city: City, keys: Ints) -> Bools:
    from cim.model.numeric import numbers

    with np.errstate(invalid="ignore"):
        return np.asarray(numbers(city, "layer", keys) < 0, bool)


def _heights(known: Floats, storeys: Floats, ids: NDArray[np.object_], used: Ints) -> tuple[Floats, list[str]]:
    """Return heights without a gap, and which are assumed."""
    by_storeys = ~np.isfinite(known) & np.isfinite(storeys)
    blind = ~np.isfinite(known) & ~np.isfinite(storeys)
    height = np.where(by_storeys, storeys * STOREY, np.where(blind, ASSUMED_HEIGHT, known))
    mine = np.zeros(len(known), bool)
    mine[used] = True
    said = []
    if (by_storeys & mine).any():
        which = ids[by_storeys & mine]
        said.append(f"{len(which)} buildings without a height: {STOREY:g} m per storey assumed ({named(which)})")
    if (blind & mine).any():
        which = ids[blind & mine]
        said.append(f"{len(which)} buildings without height and storeys: {ASSUMED_HEIGHT:g} m assumed ({named(which)})")
    return height, said


# ---------------------------------------------------------------- elevation


def raise_buildings(elevation: Floats, roofs: Roofs, cell: float) -> tuple[Floats, list[str]]:
    """Return the terrain with the buildings on it.

    Each cell is raised by the height of its building, at least so far that it stands a cell size above all ground beside the building:
    a face steeper than 1:1 is a wall to the solver, whatever the cell size.
    """
    out = elevation.copy()
    mine = roofs.cells & np.isfinite(elevation)
    if not mine.any():
        return out, []
    row = roofs.owner[mine]
    out[mine] = elevation[mine] + roofs.height[row]
    least = _highest_ring(elevation, roofs)
    least = np.where(np.isfinite(least), least, -np.inf) + STEEP * cell + _MARGIN
    low = out[mine] < least[row]
    out[mine] = np.maximum(out[mine], least[row])
    lifted = np.flatnonzero(np.bincount(row[low], minlength=len(roofs.ids)))
    said = [f"{int((np.bincount(row) > 0).sum())} buildings raised, {int(mine.sum())} cells"]
    if len(lifted):
        said.append(
            f"{len(lifted)} buildings are made at least one cell size ({cell:g} m) higher than the ground beside them, so that the solver "
            f"sees walls ({named(roofs.ids[lifted])})"
        )
    return out, said


def wall_buildings(elevation: Floats, roofs: Roofs) -> tuple[Floats, list[str]]:
    """Return the terrain with NaN, a wall, where buildings stand."""
    mine = roofs.cells & np.isfinite(elevation)
    count = len(np.unique(roofs.owner[mine]))
    return np.where(mine, np.nan, elevation), [f"{count} buildings are walls, {int(mine.sum())} cells"] if count else []


def _ring(open_cells: Bools, roofs: Roofs) -> tuple[Ints, Ints]:
    """Return pairs of a building and an open cell that shares an edge with it, each once, by building, then by cell."""
    ny, nx = open_cells.shape
    place = np.arange(ny * nx, dtype=np.int64).reshape(ny, nx)
    found = [
        np.stack([roofs.owner[here][beside].astype(np.int64), place[there][beside]])
        for here, there in neighbours()
        if (beside := (roofs.owner[here] >= 0) & open_cells[there]).any()
    ]
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    building, cell = np.concatenate(found, axis=1)
    key = np.sort(building * (ny * nx) + cell)
    key = key[np.diff(key, prepend=-1) > 0]
    return key // (ny * nx), key % (ny * nx)


def _highest_ring(elevation: Floats, roofs: Roofs) -> Floats:
    """Return the highest open ground beside each building [m], -inf where there is none."""
    building, cell = _ring(np.isfinite(elevation) & ~roofs.cells, roofs)
    highest = np.full(len(roofs.ids), -np.inf)
    np.maximum.at(highest, building, elevation.reshape(-1)[cell])
    return highest


# ---------------------------------------------------------------- rain


def drain_roofs(elevation: Floats, roofs: Roofs, way: Literal["gutter", "ground", "keep"], cell: float) -> Drained | None:
    """Return the cell in which the rain on each roof cell arrives.

    Parameters
    ----------
    elevation : shape (ny, nx)
        The ground without buildings [m], NaN where nothing flows.
    way
        ``"gutter"``: the nearest cell on the low side of the building, which are the lowest quarter of the open cells around it.
        ``"ground"``: all open cells around it alike; their shares differ by the rain of one roof cell at most. ``"keep"``: where it falls.

    Returns
    -------
    Drained or None
        Each roof cell once, so that volumes add up exactly; None where nothing moves.

    Notes
    -----
    A building without an open cell around it (in the middle of a block) drains to the nearest open cell at the edge of another one.
    """
    if way == "keep":
        return None
    from_cell = np.flatnonzero((roofs.cells & np.isfinite(elevation)).reshape(-1)).astype(np.int64)
    building, cell_beside = _ring(np.isfinite(elevation) & ~roofs.cells, roofs)
    if not len(from_cell) or not len(building):
        note = () if not len(from_cell) else (f"{len(from_cell)} roof cells have no open ground to drain to: their rain stays",)
        return Drained(np.empty(0, np.int64), np.empty(0, np.int64), note) if note else None
    mine = roofs.owner.reshape(-1)[from_cell].astype(np.int64)
    has = (np.bincount(building, minlength=len(roofs.ids)) > 0)[mine]
    to_cell = np.empty(len(from_cell), np.int64)
    if way == "gutter":
        low = _lowest_quarter(elevation.reshape(-1)[cell_beside], building)
        to_cell[has] = _nearest(from_cell[has], mine[has], cell_beside[low], building[low], elevation.shape[1])
    else:
        to_cell[has] = _evenly(from_cell[has], mine[has], cell_beside, building, elevation.shape[1])
    blocked = ~has
    zero = np.zeros(0, np.int64)
    if blocked.any():
        free = np.unique(cell_beside)
        to_cell[blocked] = _nearest(from_cell[blocked], zero, free, zero, elevation.shape[1])
    area, targets = len(from_cell) * cell**2, int((np.bincount(to_cell) > 0).sum())
    notes = [f"rain of {len(from_cell)} roof cells ({area:,.0f} m²) arrives in {targets} cells beside them"]
    if blocked.any():
        which = roofs.ids[np.unique(mine[blocked])]
        notes.append(f"{len(which)} buildings have no open ground beside them: they drain to the nearest there is ({named(which)})")
    return Drained(from_cell, to_cell, tuple(notes))


def _lowest_quarter(level: Floats, building: Ints) -> Bools:
    """Say which cells around a building are the lowest quarter of them, at least one; the first of equal ones."""
    order = np.lexsort((level, building))
    first = np.searchsorted(building, building[order])
    count = np.searchsorted(building, building[order], side="right") - first
    rank = np.arange(len(building)) - first
    low = np.zeros(len(building), bool)
    low[order] = rank < np.maximum(np.floor(_LOW_SIDE * count), 1)
    return low


def _nearest(cells: Ints, group: Ints, targets: Ints, target_group: Ints, nx: int) -> Ints:
    """Return for each cell the nearest target of its group; groups may be left out (empty)."""
    from scipy.spatial import cKDTree

    apart = 4.0 * (max(int(cells.max()), int(targets.max())) // nx + nx + 1)  # farther than any two cells of one group

    def points(place: Ints, which: Ints) -> Floats:
        far = which * apart if len(which) else np.zeros(len(place))
        return np.stack([place // nx, place % nx, far], axis=1).astype(np.float64)

    _, found = cKDTree(points(targets, target_group)).query(points(cells, group))
    return np.asarray(targets[found], np.int64)


def _evenly(cells: Ints, mine: Ints, targets: Ints, building: Ints, nx: int) -> Ints:
    """Return a target for each cell so that those of a building get alike many, both in order of the angle around its middle."""
    rows, columns = cells // nx, cells % nx
    many = int(building.max(initial=-1)) + 1  # a building may have ground beside it and no cell of its own
    count = np.bincount(mine, minlength=many)
    middle = [np.bincount(mine, one, many) / np.maximum(count, 1) for one in (rows, columns)]
    order = np.lexsort((cells, np.arctan2(rows - middle[0][mine], columns - middle[1][mine]), mine))
    around = np.lexsort((targets, np.arctan2(targets // nx - middle[0][building], targets % nx - middle[1][building]), building))
    sorted_mine = mine[order]
    rank = np.arange(len(cells)) - np.searchsorted(sorted_mine, sorted_mine)
    first = np.searchsorted(building, sorted_mine)
    number = np.searchsorted(building, sorted_mine, side="right") - first
    out = np.empty(len(cells), np.int64)
    out[order] = targets[around][first + rank * number // count[sorted_mine]]
    return out
