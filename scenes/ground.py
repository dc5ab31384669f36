"""The ground as one surface that everything else stands on: a grid of heights, split into triangles the way it is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import InputError
from cim.scenes.layer import Text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Reals = NDArray[np.float64]

__all__ = ["TERRAIN_CELLS", "Ground", "decimate", "ground_of"]

TERRAIN_CELLS = 62_500
"""Cells drawn at most (250 by 250): what a software renderer still turns smoothly."""


@dataclass(frozen=True)
class Ground:
    """Heights on a grid of points, relative to the origin of the scene; without a grid a level plane."""

    level: float
    """Height where no grid is [m]."""
    heights: Reals | None = None
    """Shape (ny, nx), row 0 is the southern one, NaN where unknown [m]."""
    x: Reals | None = None
    """Shape (nx,): east of the grid points, rising [m]."""
    y: Reals | None = None
    """Shape (ny,): north of the grid points, rising [m]."""
    ids: tuple[str, ...] = ()
    """Objects whose rasters it was made of."""
    notes: tuple[Text, ...] = ()

    @property
    def known(self) -> bool:
        """Whether there is a grid."""
        return self.heights is not None

    @property
    def step(self) -> float:
        """Distance of grid points [m]; infinite without a grid."""
        if self.x is None or self.y is None:
            return np.inf
        return float(max(np.ptp(self.x) / max(len(self.x) - 1, 1), np.ptp(self.y) / max(len(self.y) - 1, 1)))

    def at(self, x: ArrayLike, y: ArrayLike) -> Reals:
        """Return the height of the drawn triangles at points; the nearest known one beyond the grid and in its holes.

        Parameters
        ----------
        x, y : shape (n,)
            East and north of the origin of the scene [m].
        """
        east, north = np.asarray(x, float), np.asarray(y, float)
        if self.heights is None or self.x is None or self.y is None:
            return np.full(east.shape, self.level)
        z = self._filled
        i, u = _place(self.x, east)
        j, v = _place(self.y, north)
        southwest, southeast, northwest, northeast = z[j, i], z[j, i + 1], z[j + 1, i], z[j + 1, i + 1]
        # each cell is two triangles that meet on the diagonal from southwest to northeast
        lower = southwest + u * (southeast - southwest) + v * (northeast - southeast)
        upper = southwest + v * (northwest - southwest) + u * (northeast - northwest)
        return np.where(u >= v, lower, upper)

    @property
    def _filled(self) -> Reals:
        from scipy.ndimage import distance_transform_edt

        cached: Reals | None = self.__dict__.get("_filled_cache")
        if cached is None:
            z = np.asarray(self.heights, float)
            unknown = ~np.isfinite(z)
            if unknown.any():
                nearest = distance_transform_edt(unknown, return_distances=False, return_indices=True)
                z = z[tuple(nearest)]
            cached = z
            object.__setattr__(self, "_filled_cache", z)  # a cache does not change the value
        return cached


def _place(grid: Reals, at: Reals) -> tuple[NDArray[np.int64], Reals]:
    """Return the cell of each position and the share of the way through it, both clipped to the grid."""
    step = (grid[-1] - grid[0]) / (len(grid) - 1)
    place = np.clip((at - grid[0]) / step, 0, len(grid) - 1)
    cell = np.minimum(place.astype(np.int64), len(grid) - 2)
    return cell, place - cell


def decimate(values: Reals, max_cells: int) -> tuple[Reals, int]:
    """Return block means of a grid with at most `max_cells` cells, and the size of a block.

    Unknown cells are left out of a mean; a block without any known cell is unknown.

    Examples
    --------
    >>> decimate(np.array([[1.0, 3.0], [np.nan, 2.0]]), 1)
    (array([[2.]]), 2)
    """
    ny, nx = values.shape
    factor = max(1, int(np.ceil(np.sqrt(ny * nx / max_cells))))
    if factor == 1:
        return values, 1
    rows, columns = -(-ny // factor), -(-nx // factor)
    padded = np.full((rows * factor, columns * factor), np.nan)
    padded[:ny, :nx] = values
    tiles = padded.reshape(rows, factor, columns, factor)
    known = np.isfinite(tiles).sum(axis=(1, 3))
    total = np.nansum(tiles, axis=(1, 3))
    return np.where(known > 0, total / np.maximum(known, 1), np.nan), factor


def ground_of(city: City, origin: Reals, *, max_cells: int = TERRAIN_CELLS, level: float = 0.0) -> Ground:
    """Return the ground of a city: its terrain rasters on one grid, else its triangulated terrain, else a level plane.

    Parameters
    ----------
    origin : shape (3,)
        Origin of the scene, absolute [m].
    level
        Height of the plane where there is no raster, relative to the origin [m].
    """
    from cim.model.coverages import raster_ids, read_raster

    notes: list[Text] = []
    rasters: list[Raster] = []
    for id in raster_ids(city, "terrain"):
        try:
            rasters.append(read_raster(city, id))
        except InputError as error:
            notes.append(Text(f"terrain {id} is not drawn: {error}", f"地形 {id} 未绘制：{error}"))
    rasters = [raster for raster in rasters if np.isfinite(raster.values).sum() >= 4 and min(raster.shape) >= 2]
    if not rasters:
        return _from_triangles(city, origin, max_cells, level, tuple(notes))
    if len(rasters) == 1 and rasters[0].crs.same_horizontal(city.crs):
        return _grid(rasters[0], origin, max_cells, level, tuple(notes))
    return _mosaic(city, rasters, origin, max_cells, tuple(notes))


def _mosaic(city: City, rasters: list[Raster], origin: Reals, max_cells: int, notes: tuple[Text, ...]) -> Ground:
    """Return one grid over several rasters, or over one in another coordinate system; the finest wins where they overlap."""
    from cim.crs import transform_points

    boxes = np.array([_outline_box(raster, city) for raster in rasters])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    nx, ny = _shape(high - low, max_cells)
    x, y = np.linspace(low[0], high[0], nx), np.linspace(low[1], high[1], ny)
    east, north = (grid.ravel() for grid in np.meshgrid(x, y))
    heights = np.full(len(east), np.nan)
    for raster in sorted(rasters, key=lambda one: one.dx * one.dy, reverse=True):
        there = transform_points(east, north, None, city.crs.without_vertical(), raster.crs.without_vertical(), path=raster.name)
        coarse, factor = decimate(raster.values, 4 * max_cells)
        thin = replace(raster, values=coarse, dx=raster.dx * factor, dy=raster.dy * factor)
        found = thin.sample(there.x, there.y)
        heights = np.where(np.isfinite(found), found, heights)
    known = heights[np.isfinite(heights)]
    middle = float(np.median(known)) - origin[2] if len(known) else 0.0
    if len(known) < 4:
        return Ground(middle, notes=notes)
    ids = tuple(raster.name for raster in sorted(rasters, key=lambda one: one.dx * one.dy))
    if len(rasters) > 1:
        notes = (*notes, Text(f"{len(rasters)} terrain rasters drawn as one", f"{len(rasters)} 个地形栅格合并绘制"))
    return Ground(middle, heights.reshape(ny, nx) - origin[2], x - origin[0], y - origin[1], ids, notes)


def _outline_box(raster: Raster, city: City) -> Reals:
    """Return the box of a raster in the coordinate system of the city: west, south, east, north."""
    from cim.crs import transform_points

    west, south, east, north = raster.bounds
    share = np.linspace(0.0, 1.0, 21)
    across, upward = west + (east - west) * share, south + (north - south) * share
    x = np.concatenate([across, across, np.full(21, west), np.full(21, east)])
    y = np.concatenate([np.full(21, south), np.full(21, north), upward, upward])
    done = transform_points(x, y, None, raster.crs.without_vertical(), city.crs.without_vertical(), path=raster.name)
    return np.array([done.x.min(), done.y.min(), done.x.max(), done.y.max()])


def _grid(raster: Raster, origin: Reals, max_cells: int, level: float, notes: tuple[Text, ...]) -> Ground:
    coarse, factor = decimate(raster.values, max_cells)
    ny, nx = coarse.shape
    x = raster.x_min + (np.arange(nx) + 0.5) * raster.dx * factor - origin[0]
    y = raster.y_max - (np.arange(ny) + 0.5) * raster.dy * factor - origin[1]
    known = coarse[np.isfinite(coarse)]
    middle = float(np.median(known)) - origin[2] if len(known) else level
    if min(ny, nx) < 2:
        return Ground(middle, notes=notes)
    return Ground(middle, coarse[::-1] - origin[2], x, y[::-1], (raster.name,), notes)


_TIN_POINTS = 1_000_000  # vertices of a triangulated terrain that are asked; of more, every n-th


def _from_triangles(city: City, origin: Reals, max_cells: int, level: float, notes: tuple[Text, ...]) -> Ground:
    """Return a grid over the vertices of triangulated terrain (`TINRelief`), a level plane where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    from cim.model.geometry import flatten

    objects = city.tables.scan("objects", ["key", "id"], pc.field("type").isin(pa.array(["TINRelief", "ReliefFeature"], pa.string())))
    table = city.geometry_table(keys=objects["key"].to_numpy()) if objects.num_rows else None
    if table is None or not table.num_rows:
        return Ground(level, notes=notes)
    table = table.filter(pc.fill_null(pc.not_equal(table["role"], "alternative"), fill_value=True))
    flat = flatten(table)
    points = flat.vertices[np.unique(flat.index)] + (city.origin - origin)
    points = points[np.isfinite(points).all(axis=1)]
    points = points[:: max(1, -(-len(points) // _TIN_POINTS))]
    try:
        surface = LinearNDInterpolator(points[:, :2] - points[:, :2].mean(axis=0), points[:, 2])
    except (QhullError, ValueError):  # fewer than three points, or all on one line
        return Ground(level, notes=(*notes, Text("the triangulated terrain has no area and is not drawn", "三角网地形没有面积，未绘制")))
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    nx, ny = _shape(high - low, max_cells)
    x, y = np.linspace(low[0], high[0], nx), np.linspace(low[1], high[1], ny)
    middle = points[:, :2].mean(axis=0)
    heights = surface(*np.meshgrid(x - middle[0], y - middle[1]))
    step = f"{(high[0] - low[0]) / (nx - 1):.2g} m"
    said = Text(f"triangulated terrain drawn as a grid of {step}", f"三角网地形按 {step} 格网绘制")
    return Ground(float(np.median(points[:, 2])), np.asarray(heights, float), x, y, tuple(objects["id"].to_pylist()), (*notes, said))


def _shape(span: Reals, max_cells: int) -> tuple[int, int]:
    """Return columns and rows of a grid of nearly square cells."""
    width, height = float(span[0]), float(span[1])
    step = max(np.sqrt(width * height / max_cells), max(width, height) / 4000, 1e-6)
    return max(2, int(width / step)), max(2, int(height / step))
