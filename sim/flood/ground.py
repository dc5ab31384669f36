"""The terrain on the cells of a flood model: square cells of the size asked for, common to all parts of one terrain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import LimitError, UsageError
from cim.model.coverages import Raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

__all__ = ["resample"]

_MAX_CELLS = 100_000_000
_COVERED = 0.5
"""Share of a coarse cell that must be known for the cell to be known."""
_ROWS = 256
"""Rows that are interpolated together: bounds the memory."""


# ---------------------------------------------------------------- cell size


def resample(terrain: Raster, resolution: float | None = None, box: Box | None = None) -> Raster:
    """Return a terrain on square cells.

    Parameters
    ----------
    terrain
        Elevations [m], NaN where unknown.
    resolution
        Size of a cell [m]; that of the terrain when left out.
    box
        (xmin, ymin, xmax, ymax) to cover; all of the terrain when left out. What lies beyond the terrain is NaN.

    Returns
    -------
    Raster
        Cells at whole multiples of the resolution from the north-western corner of the terrain, so that parts of one terrain have common
        cells. The values are the same ones where the size is that of the terrain, the mean over the area where it is coarser (known when
        at least half of the area is), bilinear where it is finer.

    Raises
    ------
    UsageError
        If the resolution is no positive number, is left out where cells are not square, or the box lies beside the terrain.
    LimitError
        If there would be more than 100 million cells.
    """
    size = _resolution(terrain, resolution)
    target = _target(terrain, size, box or terrain.bounds)
    finer = size < max(terrain.dx, terrain.dy) * (1 - 1e-9)
    return replace(target, values=_bilinear(terrain, target) if finer else _area_mean(terrain, target))


def _resolution(terrain: Raster, resolution: float | None) -> float:
    if resolution is None:
        if abs(terrain.dx - terrain.dy) > 1e-6 * terrain.dx:
            msg = f"cells of the terrain are {terrain.dx:g} × {terrain.dy:g} m, not square; give resolution= [m]"
            raise UsageError(msg)
        return terrain.dx
    size = float(resolution)
    if not (np.isfinite(size) and size > 0):
        msg = f"resolution={resolution!r}; expected the size of a cell [m], above 0"
        raise UsageError(msg)
    for own in (terrain.dx, terrain.dy):
        if abs(size - own) < 1e-6 * own and abs(terrain.dx - terrain.dy) <= 1e-6 * own:
            return own  # 2.0000001 m is the 2 m of the file
    return size


def _target(terrain: Raster, size: float, box: Box) -> Raster:
    """Return the grid that covers the box, without values."""
    west, south, east, north = (float(one) for one in box)
    if not (west < east and south < north):
        msg = f"the box {box} is not xmin, ymin, xmax, ymax"
        raise UsageError(msg)
    left, bottom, right, top = terrain.bounds
    if west >= right or east <= left or south >= top or north <= bottom:
        msg = f"the area {tuple(round(one, 2) for one in box)} lies beside the terrain {terrain.name!r} with bounds {terrain.bounds}"
        raise UsageError(msg)
    slack = 1e-6
    first_column, first_row = np.floor((west - left) / size + slack), np.floor((top - north) / size + slack)
    last_column, last_row = np.ceil((east - left) / size - slack), np.ceil((top - south) / size - slack)
    ny, nx = int(last_row - first_row), int(last_column - first_column)
    if ny * nx > _MAX_CELLS:
        where, found = terrain.name or "terrain", f"{ny:,} × {nx:,} cells of {size:g} m are more than {_MAX_CELLS:,}"
        raise LimitError(where, found, "give a larger resolution or a smaller area")
    return Raster(
        np.broadcast_to(np.nan, (ny, nx)), left + first_column * size, top - first_row * size, size, size, terrain.crs, terrain.unit,
        terrain.name,
    )  # fmt: skip


def _area_mean(terrain: Raster, target: Raster) -> Floats:
    """Return the mean of the known area of each cell, NaN where less than half of it is known."""
    ny, nx = target.shape
    across = _overlaps((terrain.x_min, terrain.dx, terrain.shape[1]), (target.x_min, target.dx, nx))
    down = _overlaps((-terrain.y_max, terrain.dy, terrain.shape[0]), (-target.y_max, target.dy, ny))
    if _is_selection(across) and _is_selection(down):
        return _selected(terrain.values, across, down, (ny, nx))
    known = np.isfinite(terrain.values)
    base = float(np.nanmin(terrain.values)) if known.any() else 0.0  # small numbers keep their digits
    total = down @ (across @ np.where(known, terrain.values - base, 0.0).T).T
    weight = down @ (across @ known.astype(np.float64).T).T
    enough = weight >= _COVERED * target.dx * target.dy - 1e-9 * target.dx**2
    return np.asarray(np.where(enough, total / np.where(enough, weight, 1.0) + base, np.nan), np.float64)


def _overlaps(source: tuple[float, float, int], target: tuple[float, float, int]) -> Any:
    """Return the length that each cell of one axis (start, step, count) shares with each of another: sparse, shape (target, source)."""
    from scipy import sparse

    (start, step, count), (first, size, wanted) = source, target
    edges = np.union1d(start + step * np.arange(count + 1), first + size * np.arange(wanted + 1))
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    column, row = np.floor((middle - start) / step).astype(np.int64), np.floor((middle - first) / size).astype(np.int64)
    kept = (column >= 0) & (column < count) & (row >= 0) & (row < wanted) & (length > 1e-6 * min(step, size))
    return sparse.csr_array((length[kept], (row[kept], column[kept])), shape=(wanted, count))


def _is_selection(overlaps: Any) -> bool:
    """Say whether every target cell is one whole source cell or none."""
    length = overlaps.data
    alone = len(np.unique(overlaps.indices)) == len(length) and np.diff(overlaps.indptr).max(initial=0) <= 1
    return bool(alone and (not len(length) or np.ptp(length) <= 1e-6 * length.max()))


def _selected(values: Floats, across: Any, down: Any, shape: tuple[int, int]) -> Floats:
    out = np.full(shape, np.nan)
    rows, columns = np.flatnonzero(np.diff(down.indptr)), np.flatnonzero(np.diff(across.indptr))
    out[np.ix_(rows, columns)] = values[np.ix_(down.indices, across.indices)]
    return out


def _bilinear(terrain: Raster, target: Raster) -> Floats:
    out = np.empty(target.shape)
    for first in range(0, target.shape[0], _ROWS):
        y = target.y[first : first + _ROWS]
        out[first : first + _ROWS] = terrain.sample(target.x[None, :], y[:, None])
    return out
