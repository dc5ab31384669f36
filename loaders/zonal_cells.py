"""Where zonal statistics get their cells from: a raster in memory, or a GeoTIFF of which only some rows are in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, InputError, UsageError
from cim.model.coverages import Raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[Any]

__all__ = ["Cells", "cells_of", "open_cells"]

STRIP_CELLS = 4_000_000
"""Cells of a file in memory at a time: 16 MB of float32, besides the blocks that the library keeps."""
# No companion of a file is looked for: it may name other files. Each block is read once, so a small cache is the quickest.
_GDAL_OPTIONS: dict[str, str | int] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_CACHEMAX": 64 << 20,
}


@dataclass(frozen=True)
class Cells:
    """A north-up grid whose values are read in strips of rows."""

    shape: tuple[int, int]
    """Rows and columns."""
    x_min: float
    """Western edge."""
    y_max: float
    """Northern edge."""
    dx: float
    dy: float
    """Cell size, both positive."""
    read: Callable[[slice, slice], Values]
    """Values of some rows and columns, float32 or float64, not finite where unknown."""
    block: int = 1
    """Rows that are stored together; 0 for values in memory, which are taken at once."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges: xmin, ymin, xmax, ymax."""
        return self.x_min, self.y_max - self.shape[0] * self.dy, self.x_min + self.shape[1] * self.dx, self.y_max

    def strips(self) -> Iterator[slice]:
        """Yield the rows that are read together, from north to south."""
        rows = max(1, STRIP_CELLS // self.shape[1]) if self.block else self.shape[0]
        rows = rows // max(self.block, 1) * max(self.block, 1) or rows
        for top in range(0, self.shape[0], rows):
            yield slice(top, min(top + rows, self.shape[0]))


@contextmanager
def cells_of(source: Raster | Cells | str | Path) -> Iterator[Cells]:
    """Give the cells of a raster in memory or of a GeoTIFF.

    Raises
    ------
    InputError
        If a file cannot be read, or is not north-up.
    """
    if isinstance(source, Cells):
        yield source
    elif isinstance(source, Raster):
        values = np.asarray(source.values)
        kept = values if values.dtype in {np.dtype(np.float32), np.dtype(np.float64)} else values.astype(np.float64)
        yield Cells(source.shape, source.x_min, source.y_max, source.dx, source.dy, lambda rows, columns: kept[rows, columns], 0)
    else:
        with open_cells(source) as cells:
            yield cells


@contextmanager
def open_cells(
    path: str | Path, *, bands: tuple[int, ...] = (1,), derive: Callable[[list[Values], NDArray[np.bool_]], Values] | None = None
) -> Iterator[Cells]:
    """Open a GeoTIFF for reading in strips.

    Parameters
    ----------
    path
        A file as readers leave it in a city (see `cim.model.coverages.coverage_path`), or one of your own; a foreign file goes
        through `cim.loaders.read` first.
    bands
        Bands to read, from 1.
    derive
        Makes values of the raw bands and of where they are known; the first band as it is when left out.

    Raises
    ------
    InputError
        If it cannot be read, has no such band, or is not north-up.
    """
    import rasterio
    from rasterio.errors import RasterioError

    place = Path(path)
    try:
        with rasterio.Env(**_GDAL_OPTIONS), rasterio.open(place, driver="GTiff") as file:
            a, b, x_min, d, e, y_max = tuple(file.transform)[:6]
            if b or d or a <= 0 or e >= 0:
                raise InputError(place, "is not north-up", "read it through cim.loaders.read, which turns it")
            if not bands or max(bands) > file.count or min(bands) < 1:
                msg = f"{place.name} has bands 1 to {file.count}, not {', '.join(map(str, bands)) or 'none'}"
                raise UsageError(msg)
            rows = int(file.block_shapes[0][0])
            yield Cells((file.height, file.width), x_min, y_max, a, -e, _reading(file, bands, derive), rows)
    except RasterioError as error:
        raise CorruptFileError(place, f"cannot be read as GeoTIFF ({error})", "read its source again") from error


def _reading(file: Any, bands: tuple[int, ...], derive: Callable[[list[Values], NDArray[np.bool_]], Values] | None) -> Any:
    """Return the function that reads some rows and columns."""
    from rasterio.enums import MaskFlags
    from rasterio.windows import Window

    masked = MaskFlags.per_dataset in file.mask_flag_enums[bands[0] - 1]

    def read(rows: slice, columns: slice) -> Values:
        window = Window.from_slices(rows, columns)
        raw = [file.read(band, window=window) for band in bands]
        hidden = file.dataset_mask(window=window) == 0 if masked else None
        if derive is None:
            return _numbers(raw[0], file, bands[0], hidden)
        known = np.ones(raw[0].shape, bool) if hidden is None else ~hidden
        for band, values in zip(bands, raw, strict=True):
            known &= ~_is_nodata(values, file.nodatavals[band - 1])
        return derive(raw, known)

    return read


def _is_nodata(raw: Values, nodata: float | None) -> NDArray[np.bool_]:
    if nodata is None:
        return np.zeros(raw.shape, bool)
    if np.isnan(nodata):
        return np.asarray(np.isnan(raw), bool) if raw.dtype.kind == "f" else np.zeros(raw.shape, bool)
    return np.asarray(raw == (np.float32(nodata) if raw.dtype == np.float32 else nodata), bool)


def _numbers(raw: Values, file: Any, band: int, hidden: NDArray[np.bool_] | None) -> Values:
    """Return raw values as numbers, NaN where unknown; float32 where it holds every one."""
    unknown = _is_nodata(raw, file.nodatavals[band - 1])
    if hidden is not None:
        unknown |= hidden
    scale, offset = float(file.scales[band - 1]), float(file.offsets[band - 1])
    narrow = (raw.dtype == np.float32 or raw.dtype.itemsize <= 2) and (scale, offset) == (1.0, 0.0)
    values: Values = raw.astype(np.float32 if narrow else np.float64, copy=False)
    if (scale, offset) != (1.0, 0.0):
        values = np.asarray(values * np.float64(scale) + offset)
    if unknown.any():
        values[unknown] = np.nan
    return values
