"""Writing a grid anew: north-up, one band, metres, nodata declared, whatever way it came."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import LimitError
from cim.loaders.terrain.grid import GDAL_OPTIONS, Grid
from cim.loaders.terrain.values import Rules, Tally, clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS

    Floats = NDArray[np.float64]

__all__ = ["NODATA", "Layout", "layout", "write_clean"]

NODATA = -9999.0
"""Nodata of every file written here; `clean` leaves no such value among the known ones."""
_RESAMPLED_CELLS = 60_000_000


@dataclass(frozen=True)
class Layout:
    """The north-up grid that a file becomes."""

    shape: tuple[int, int]
    x_min: float
    y_max: float
    dx: float
    dy: float
    flip_rows: bool = False
    flip_columns: bool = False
    resampled: bool = False

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges: xmin, ymin, xmax, ymax."""
        return self.x_min, self.y_max - self.shape[0] * self.dy, self.x_min + self.shape[1] * self.dx, self.y_max


def layout(grid: Grid) -> Layout:
    """Return the north-up grid for a transform; turned ones keep their cell size and cover the whole of the source."""
    ny, nx = grid.shape
    a, b, c, d, e, f = grid.transform
    if max(abs(b) * ny / abs(a) if a else np.inf, abs(d) * nx / abs(e) if e else np.inf) < 1e-3:  # of a cell, over the whole grid
        west, north = min(c, c + a * nx), max(f, f + e * ny)
        return Layout((ny, nx), west, north, abs(a), abs(e), flip_rows=e > 0, flip_columns=a < 0)
    corners = np.array([[0, 0], [nx, 0], [0, ny], [nx, ny]], float)
    easts: Floats = corners @ np.array([a, b]) + c
    norths: Floats = corners @ np.array([d, e]) + f
    dx, dy = float(np.hypot(a, d)), float(np.hypot(b, e))
    if abs(a) < abs(b):  # turned by about 90 degrees: the columns run northwards
        dx, dy = dy, dx
    x_min, y_max = float(easts.min()), float(norths.max())
    shape = int(np.ceil((y_max - norths.min()) / dy - 1e-9)), int(np.ceil((easts.max() - x_min) / dx - 1e-9))
    return Layout(shape, x_min, y_max, dx, dy, resampled=True)


def write_clean(grid: Grid, plan: Layout, rules: Rules, crs: CityCRS, target: Path, source: Path) -> tuple[Tally, tuple[float, ...] | None]:
    """Write the clean file and return what was met and the box of the known cells (None when there are none).

    Raises
    ------
    InputError
        If cells cannot be read, or a turned grid is too large to be resampled.
    """
    import rasterio

    from cim.model.coverages import raster_profile

    tally = Tally()
    extent = np.array([np.inf, np.inf, -np.inf, -np.inf])
    kind = "float32" if _fits_float32(grid) else "float64"
    profile = raster_profile(plan.shape, (plan.x_min, plan.y_max, plan.dx, plan.dy), crs, dtype=kind, nodata=NODATA)
    turned = _Turned(grid, plan, rules, tally, source) if plan.resampled else None
    work = Grid(grid.format, plan.shape, grid.transform, rules, grid.read, block=grid.block)
    with rasterio.Env(**GDAL_OPTIONS), rasterio.open(target, "w", **profile) as out:
        out.units = ("metre",)
        for rows, columns in work.blocks():
            values = turned.block(rows, columns) if turned is not None else _upright(grid, plan, rules, tally, (rows, columns))
            known = np.isfinite(values)
            tally.written += int(known.sum())
            _grow(extent, known, rows.start, columns.start)
            out.write(np.where(known, values, NODATA).astype(kind), 1, window=((rows.start, rows.stop), (columns.start, columns.stop)))
    if not np.isfinite(extent).all():
        return tally, None
    west, north, east, south = extent.tolist()
    return tally, (plan.x_min + west * plan.dx, plan.y_max - south * plan.dy, plan.x_min + east * plan.dx, plan.y_max - north * plan.dy)


def _fits_float32(grid: Grid) -> bool:
    """Return whether float32 holds the values: it does for float32 and for 16-bit integers, to 1 mm in 8 km."""
    sample, _ = grid.read(slice(0, 1), slice(0, 1))
    return sample.dtype == np.float32 or sample.dtype.itemsize <= 2


def _upright(grid: Grid, plan: Layout, rules: Rules, tally: Tally, place: tuple[slice, slice]) -> Floats:
    """Return one block of the clean grid from a source that is at most mirrored."""
    rows, columns = place
    taken_rows = slice(grid.shape[0] - rows.stop, grid.shape[0] - rows.start) if plan.flip_rows else rows
    taken_columns = slice(grid.shape[1] - columns.stop, grid.shape[1] - columns.start) if plan.flip_columns else columns
    raw, hidden = grid.read(taken_rows, taken_columns)
    if hidden is not None:
        tally.absent += int(hidden.sum())
    values = clean(raw, rules, tally, hidden)
    return values[:: -1 if plan.flip_rows else 1, :: -1 if plan.flip_columns else 1]


def _grow(extent: Floats, known: NDArray[np.bool_], top: int, left: int) -> None:
    """Widen the box of known cells (columns and rows, last ones exclusive)."""
    rows, columns = np.flatnonzero(known.any(axis=1)), np.flatnonzero(known.any(axis=0))
    if len(rows):
        extent[:2] = np.minimum(extent[:2], [left + columns[0], top + rows[0]])
        extent[2:] = np.maximum(extent[2:], [left + columns[-1] + 1, top + rows[-1] + 1])


class _Turned:
    """A turned or sheared source, held in memory, resampled between its cell centres."""

    def __init__(self, grid: Grid, plan: Layout, rules: Rules, tally: Tally, path: Path) -> None:
        count = grid.shape[0] * grid.shape[1]
        if max(count, plan.shape[0] * plan.shape[1]) > _RESAMPLED_CELLS:
            reason = f"is turned and has {count:,} cells, above the limit of {_RESAMPLED_CELLS:,} for resampling (size limit)"
            raise LimitError(path, reason, "turn it north-up first, for example with gdalwarp")
        self.values, self.plan, self.transform = np.empty(grid.shape), plan, grid.transform
        for rows, columns in grid.blocks():
            raw, hidden = grid.read(rows, columns)
            tally.absent += 0 if hidden is None else int(hidden.sum())
            self.values[rows, columns] = clean(raw, rules, tally, hidden)

    def block(self, rows: slice, columns: slice) -> Floats:
        """Return one block of the north-up grid: the value of the source at the centre of each new cell."""
        from cim.crs import parse
        from cim.model.coverages import Raster

        plan, (a, b, c, d, e, f) = self.plan, self.transform
        east = plan.x_min + (np.arange(columns.start, columns.stop) + 0.5) * plan.dx - c
        north = plan.y_max - (np.arange(rows.start, rows.stop) + 0.5)[:, None] * plan.dy - f
        inverse = 1.0 / (a * e - b * d)
        column, row = (e * east - b * north) * inverse, (a * north - d * east) * inverse
        ny, _ = self.values.shape
        pixels = Raster(self.values, x_min=0.0, y_max=float(ny), dx=1.0, dy=1.0, crs=parse("EPSG:4326"))
        return pixels.sample(column, ny - row)
