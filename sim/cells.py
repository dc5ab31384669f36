"""Which cells of a grid belong to which shape, for all shapes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CellsAlongLines", "CellsOfShapes", "cells_inside", "edge_cells", "path_cells", "touched_cells"]

_CHUNK = 4_000_000  # candidate cells looked at together: 100 MB


@dataclass(frozen=True)
class CellsOfShapes:
    """Pairs of a shape and a cell, in the order of the shapes, then of the cells."""

    shape: Ints
    cell: Ints
    """Place in the flattened grid."""
    outside: Bools
    """Shape (n,): part of the shape lies beyond the grid."""


def cells_inside(shapes: NDArray[Any], raster: Raster) -> CellsOfShapes:
    """Return the cells whose centre lies in a shape; a shape without one gets the cell of its representative point.

    Parameters
    ----------
    shapes : shape (n,)
        Polygons in the CRS of the raster; None has no cell.
    """
    import shapely

    present = ~shapely.is_missing(shapes)
    shapely.prepare(shapes)
    bounds = np.nan_to_num(shapely.bounds(shapes), nan=np.inf)
    first, last = _window(bounds, raster)
    count = np.where(present, np.maximum(last - first, 0).prod(axis=1), 0)
    found = [_inside(shapes, rows, first, last, count, raster) for rows in _chunks(count)]
    shape = np.concatenate([np.empty(0, np.int64), *(one[0] for one in found)])
    cell = np.concatenate([np.empty(0, np.int64), *(one[1] for one in found)])
    small = np.flatnonzero(present & (np.bincount(shape, minlength=len(shapes)) == 0))
    points = shapely.get_coordinates(shapely.point_on_surface(shapes[small])) if len(small) else np.empty((0, 2))
    at, here = _cell_of(points, raster)
    shape, cell = np.concatenate([shape, small[here]]), np.concatenate([cell, at[here]])
    order = np.lexsort((cell, shape))
    west, south, east, north = raster.bounds
    outside = present & ((bounds[:, 0] < west) | (bounds[:, 1] < south) | (bounds[:, 2] > east) | (bounds[:, 3] > north))
    return CellsOfShapes(shape[order], cell[order], outside)


def _window(bounds: Floats, raster: Raster) -> tuple[Ints, Ints]:
    """Return first and last row and column (exclusive) of each box, cut to the grid, shape (n, 2)."""
    ny, nx = raster.shape
    limits = np.array([ny, nx])
    low = np.stack([(raster.y_max - bounds[:, 3]) / raster.dy, (bounds[:, 0] - raster.x_min) / raster.dx], axis=1)
    high = np.stack([(raster.y_max - bounds[:, 1]) / raster.dy, (bounds[:, 2] - raster.x_min) / raster.dx], axis=1)
    first = np.clip(np.floor(np.nan_to_num(low, nan=0.0)), 0, limits).astype(np.int64)
    return first, np.clip(np.ceil(np.nan_to_num(high, nan=0.0)), 0, limits).astype(np.int64)


def _chunks(count: Ints) -> list[Ints]:
    """Return groups of neighbouring shapes with no more than about `_CHUNK` candidate cells each."""
    if not len(count):
        return []
    group = np.cumsum(count) // _CHUNK
    return [one for one in np.split(np.arange(len(count)), np.flatnonzero(np.diff(group)) + 1) if count[one].sum()]


def _inside(shapes: NDArray[Any], rows: Ints, first: Ints, last: Ints, count: Ints, raster: Raster) -> tuple[Ints, Ints]:
    import shapely

    shape = np.repeat(rows, count[rows])
    within = np.arange(len(shape)) - np.repeat(np.cumsum(count[rows]) - count[rows], count[rows])
    width = np.maximum(last[shape, 1] - first[shape, 1], 1)
    row, column = first[shape, 0] + within // width, first[shape, 1] + within % width
    inside = shapely.intersects_xy(shapes[shape], raster.x[column], raster.y[row])
    return shape[inside], (row * raster.shape[1] + column)[inside]


def _cell_of(points: Floats, raster: Raster) -> tuple[Ints, Bools]:
    """Return the cell of each point, and which points lie on the grid."""
    ny, nx = raster.shape
    column, row = np.floor((points[:, 0] - raster.x_min) / raster.dx), np.floor((raster.y_max - points[:, 1]) / raster.dy)
    here = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    cell = np.where(here, row * nx + column, 0).astype(np.int64)
    return cell, here


@dataclass(frozen=True)
class CellsAlongLines:
    """Cells along lines, in their order; neighbours share an edge."""

    line: Ints
    cell: Ints
    share: Floats
    """Place along the line, 0 to 1."""


def path_cells(lines: NDArray[Any], grid: Raster) -> CellsAlongLines:
    """Return the cells that lines pass through; where a line cuts a corner, one cell beside it belongs to the path."""
    import shapely

    steps = np.maximum(np.ceil(shapely.length(lines) / (grid.dx / 4)), 1).astype(np.int64) + 1
    line = np.repeat(np.arange(len(lines)), steps)
    share = (np.arange(len(line)) - np.repeat(np.cumsum(steps) - steps, steps)) / np.repeat(steps - 1, steps)
    points = shapely.get_coordinates(shapely.line_interpolate_point(lines[line], share, normalized=True))
    column = np.floor((points[:, 0] - grid.x_min) / grid.dx).astype(np.int64)
    row = np.floor((grid.y_max - points[:, 1]) / grid.dy).astype(np.int64)
    corner = np.flatnonzero((line[1:] == line[:-1]) & (row[1:] != row[:-1]) & (column[1:] != column[:-1]))
    line, share = np.insert(line, corner + 1, line[corner]), np.insert(share, corner + 1, share[corner])
    row, column = np.insert(row, corner + 1, row[corner]), np.insert(column, corner + 1, column[corner + 1])
    ny, nx = grid.shape
    here = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
    return CellsAlongLines(line[here], (row * nx + column)[here], share[here])


def touched_cells(shapes: Sequence[Any] | NDArray[Any], raster: Raster) -> Bools:
    """Return the cells that points, lines or polygons touch, shape (ny, nx).

    Raises
    ------
    UsageError
        If they touch none.
    """
    import shapely
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    geometries = [one for one in shapes if one is not None and not shapely.is_empty(one)]
    transform = Affine(raster.dx, 0.0, raster.x_min, 0.0, -raster.dy, raster.y_max)
    mask = np.zeros(raster.shape, bool)
    if geometries:
        mask |= rasterize(geometries, out_shape=raster.shape, transform=transform, all_touched=True, dtype="uint8").astype(bool)
    if not mask.any():
        msg = f"none of the {len(geometries)} source shapes touches the terrain with the bounds {raster.bounds}"
        raise UsageError(msg)
    return mask


def edge_cells(shape: tuple[int, int]) -> Bools:
    """Return the outermost cells of a grid.

    Examples
    --------
    >>> edge_cells((3, 4)).astype(int).tolist()
    [[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    """
    mask = np.ones(shape, bool)
    mask[1:-1, 1:-1] = False
    return mask
