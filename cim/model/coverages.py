"""Rasters of a city: elevation (or any one quantity) on a regular grid, read from and written to GeoTIFF.

A coverage stays a file; the table `coverages` says where it lies. What readers have cleaned lies in the workspace of the
process until the city is saved.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, CRSMismatchError, InputError, LimitError, ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from cim.crs import CityCRS
    from cim.model.city import City

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

__all__ = ["MAX_CELLS", "Raster", "coverage_path", "coverage_rows", "raster_ids", "read_raster", "workspace", "write_raster"]

MAX_CELLS = 100_000_000
"""Cells that `read_raster` returns at most unless told otherwise: 0.8 GB of float64."""
# No sidecar (.aux.xml, .ovr, .msk) is looked for or written: each of them may name other files.
_GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GTIFF_IGNORE_READ_ERRORS": "NO"}
_NODATA = -9999.0
_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Raster:
    """One quantity on a regular north-up grid, held in memory.

    Positions are in the units of `crs`: metres, unless the system is geographic or counts in feet.

    Examples
    --------
    >>> from cim.crs import parse
    >>> ground = Raster(np.array([[4.0, 5.0], [2.0, 3.0]]), x_min=0.0, y_max=2.0, dx=1.0, dy=1.0, crs=parse("EPSG:28992"))
    >>> ground.bounds
    (0.0, 0.0, 2.0, 2.0)
    >>> ground.sample([1.0, 0.5, 9.0], [1.0, 0.5, 9.0])
    array([3.5, 2. , nan])
    """

    values: Floats
    """Shape (ny, nx), NaN where unknown; row 0 is the northern one."""
    x_min: float
    """Western edge of the western cells."""
    y_max: float
    """Northern edge of the northern cells."""
    dx: float
    """Cell size eastwards, positive."""
    dy: float
    """Cell size northwards, positive."""
    crs: CityCRS = field(repr=False)
    """Horizontal and vertical coordinate system."""
    unit: str = "m"
    """Unit of the values."""
    name: str = ""
    """Id of the object it belongs to."""

    def __post_init__(self) -> None:
        """Refuse what is no grid."""
        if self.values.ndim != 2 or 0 in self.values.shape:
            msg = f"values have shape {self.values.shape}, expected (ny, nx) with at least one cell"
            raise UsageError(msg)
        place = (self.x_min, self.y_max, self.dx, self.dy)
        if not (np.isfinite(place).all() and self.dx > 0 and self.dy > 0):
            msg = f"x_min, y_max, dx, dy are {place}; expected finite numbers, dx and dy positive"
            raise UsageError(msg)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ny, nx = self.values.shape
        return int(ny), int(nx)

    @property
    def bounds(self) -> Box:
        """Outer edges of the cells: xmin, ymin, xmax, ymax."""
        ny, nx = self.shape
        return self.x_min, self.y_max - ny * self.dy, self.x_min + nx * self.dx, self.y_max

    @property
    def x(self) -> Floats:
        """East of the cell centres, shape (nx,), rising."""
        return np.asarray(self.x_min + (np.arange(self.shape[1]) + 0.5) * self.dx, float)

    @property
    def y(self) -> Floats:
        """North of the cell centres, shape (ny,), falling: row 0 is the northern one."""
        return np.asarray(self.y_max - (np.arange(self.shape[0]) + 0.5) * self.dy, float)

    def sample(self, x: ArrayLike, y: ArrayLike, *, method: str = "linear") -> Floats:
        """Return the value at points, NaN outside the grid and in unknown cells.

        Parameters
        ----------
        x, y
            East and north, of one shape.
        method
            ``"nearest"``: the cell that holds the point. ``"linear"``: between the four nearest cell centres; a point in a
            known cell leaves unknown neighbours out, so that holes do not grow; beyond the outer centres the value stays.

        Returns
        -------
        shape of `x`
        """
        if method not in {"linear", "nearest"}:
            msg = f"method is {method!r}, expected 'linear' or 'nearest'"
            raise UsageError(msg)
        east, north = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        column, row = (east - self.x_min) / self.dx, (self.y_max - north) / self.dy
        ny, nx = self.shape
        inside = (column >= 0) & (column <= nx) & (row >= 0) & (row <= ny)
        column, row = np.where(inside, column, 0.0), np.where(inside, row, 0.0)
        nearest = self.values[np.minimum(row.astype(np.int64), ny - 1), np.minimum(column.astype(np.int64), nx - 1)]
        found = nearest if method == "nearest" else self._between(column, row, nearest)
        return np.where(inside, found, np.nan)

    def _between(self, column: Floats, row: Floats, nearest: Floats) -> Floats:
        """Return the bilinear value at fractional column and row, counted from the outer edges."""
        ny, nx = self.shape
        across, down = np.clip(column - 0.5, 0, nx - 1), np.clip(row - 0.5, 0, ny - 1)
        left, top = np.floor(across).astype(np.int64), np.floor(down).astype(np.int64)
        right, bottom = np.minimum(left + 1, nx - 1), np.minimum(top + 1, ny - 1)
        u, v = across - left, down - top
        total, weight = np.zeros_like(column), np.zeros_like(column)
        for i, j, share in ((top, left, (1 - u) * (1 - v)), (top, right, u * (1 - v)), (bottom, left, (1 - u) * v), (bottom, right, u * v)):
            corner = self.values[i, j]
            known = np.isfinite(corner)
            total += np.where(known, share * np.where(known, corner, 0.0), 0.0)
            weight += np.where(known, share, 0.0)
        usable = np.isfinite(nearest) & (weight > 0)
        return np.where(usable, total / np.where(usable, weight, 1.0), np.nan)

    def window(self, bbox: Box) -> Raster:
        """Return the cells that the box touches; the values are a view.

        Raises
        ------
        UsageError
            If the box lies outside the grid.
        """
        rows, columns = _window(bbox, self.x_min, self.y_max, self.dx, self.dy, self.shape)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            msg = f"the box {bbox} lies outside the raster {self.name!r} with bounds {self.bounds}"
            raise UsageError(msg)
        x_min, y_max = self.x_min + columns.start * self.dx, self.y_max - rows.start * self.dy
        return replace(self, values=self.values[rows, columns], x_min=x_min, y_max=y_max)


def _window(bbox: Box, x_min: float, y_max: float, dx: float, dy: float, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that a box touches, cut to the grid."""
    west, south, east, north = (float(value) for value in bbox)
    if not (west <= east and south <= north):
        msg = f"the box {bbox} is not xmin, ymin, xmax, ymax"
        raise UsageError(msg)
    first = np.clip(np.floor([(y_max - north) / dy, (west - x_min) / dx]), 0, shape).astype(np.int64)
    last = np.clip(np.ceil([(y_max - south) / dy, (east - x_min) / dx]), 0, shape).astype(np.int64)
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))


# ---------------------------------------------------------------- the workspace


@cache
def _workspace(process: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"cim-workspace-{process}-"))
    atexit.register(_remove, process, folder)
    return folder


def _remove(process: int, folder: Path) -> None:
    if os.getpid() == process:  # a forked child must not take the folder of its parent away
        shutil.rmtree(folder, ignore_errors=True)


def workspace() -> Path:
    """Return the folder of this process for files that readers clean or convert; it is removed when the process ends."""
    folder = _workspace(os.getpid())
    folder.mkdir(exist_ok=True)
    return folder


# ---------------------------------------------------------------- the table


def coverage_rows(city: City, kind: str | None = None, id: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of the table `coverages` as dicts, with the object's ``id`` and its ``meta`` parsed.

    Parameters
    ----------
    kind
        ``"raster"`` or ``"points"``; all when left out.
    id
        Only those of this object.
    """
    wanted = None if id is None else set(city.key_of([id]).tolist())
    rows = city.tables["coverages"].to_pylist()
    kept = [row for row in rows if (kind is None or row["kind"] == kind) and (wanted is None or row["object"] in wanted)]
    names = city.ids([row["object"] for row in kept]) if kept else []
    return [{**row, "id": name, "meta": json.loads(row["meta"] or "{}")} for row, name in zip(kept, names, strict=True)]


def raster_ids(city: City, kind: str | None = None) -> list[str]:
    """Return the ids of the objects that own a raster.

    Parameters
    ----------
    kind
        ``"terrain"`` (a DEM or DTM: the bare ground), ``"surface"`` (a DSM: with roofs and trees), or what else
        ``meta["surface"]`` of a coverage says; all when left out.
    """
    rows = coverage_rows(city, "raster")
    return list(dict.fromkeys(row["id"] for row in rows if kind is None or row["meta"].get("surface", "terrain") == kind))


def coverage_path(city: City, row: Mapping[str, Any]) -> Path:
    """Return where the file of a coverage lies.

    Raises
    ------
    InputError
        If it is not there, or a relative path leads out of the city's folder.
    """
    path = Path(row["path"])
    if not path.is_absolute():
        base = Path(city.path or ".").resolve()
        path = (base / path).resolve()
        if base not in path.parents:
            raise InputError(row["path"], "leads out of the folder of the city", "do not use this city")
    if not path.is_file():
        raise InputError(path, "the file of a coverage is not there", "read its source again, or restore the file")
    return path


# ---------------------------------------------------------------- files


def read_raster(city: City, id: str, bbox: Box | None = None, *, max_cells: int = MAX_CELLS) -> Raster:
    """Return the raster of an object, or the part of it that a box touches.

    Parameters
    ----------
    id
        Object that owns the raster, such as one of `raster_ids`.
    bbox
        (xmin, ymin, xmax, ymax) in the CRS of the raster; all of it when left out.
    max_cells
        Most cells to load.

    Raises
    ------
    ObjectNotFoundError
        If the object is not there or has no raster.
    LimitError
        If more than `max_cells` cells are asked for.
    InputError
        If the file cannot be read.
    CRSMismatchError
        If the file lies in another horizontal system than the city says of it (that of the city where it says nothing).
    UsageError
        If the box lies outside the raster.
    """
    from cim.crs import parse

    rows = coverage_rows(city, "raster", id)
    if not rows:
        msg = f"the object {id!r} has no raster; these have one: {', '.join(raster_ids(city)) or 'none'}"
        raise ObjectNotFoundError(msg)
    crs = city.crs if rows[0]["crs"] is None else parse(rows[0]["crs"])
    raster = _read(coverage_path(city, rows[0]), bbox, crs, max_cells)
    return replace(raster, unit=rows[0]["unit"] or "", name=id)


def _read(path: Path, bbox: Box | None, crs: CityCRS, max_cells: int) -> Raster:
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    try:
        with rasterio.Env(**_GDAL_OPTIONS), rasterio.open(path, driver="GTiff") as file:
            a, b, x_min, d, e, y_max = tuple(file.transform)[:6]
            if b or d or a <= 0 or e >= 0:
                raise InputError(path, "is not north-up", "read it through cim.loaders.read, which turns it")
            shape = (file.height, file.width)
            _check_system(path, file.crs, crs, (x_min + 0.5 * a * shape[1], y_max + 0.5 * e * shape[0]), 0.5 * a)
            box = bbox or (x_min, y_max + shape[0] * e, x_min + shape[1] * a, y_max)
            rows, columns = _window(box, x_min, y_max, a, -e, shape)
            count = (rows.stop - rows.start) * (columns.stop - columns.start)
            if count <= 0:
                msg = f"the box {bbox} lies outside the raster {path.name}"
                raise UsageError(msg)
            if count > max_cells:
                raise LimitError(path, f"{count:,} cells are asked for, above max_cells={max_cells:,}", "give a bbox or a larger max_cells")
            values = file.read(1, window=Window.from_slices(rows, columns), out_dtype="float64")
            if file.nodata is not None:
                values[values == file.nodata] = np.nan
    except RasterioError as error:
        raise CorruptFileError(path, f"cannot be read as GeoTIFF ({error})", "read its source again") from error
    values[~np.isfinite(values)] = np.nan
    return Raster(values, x_min + columns.start * a, y_max + rows.start * e, a, -e, crs)


def _check_system(path: Path, told: Any, crs: CityCRS, middle: tuple[float, float], slack: float) -> None:
    """Refuse a file that says it lies elsewhere: its middle is not, to half a cell, the same place in both systems."""
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    from cim.crs import parse

    if told is None or crs.is_local:
        return
    try:
        own = parse(told.to_wkt())
    except CRSError:  # a place that nobody knows
        return
    if own.is_local or own.same_horizontal(crs):
        return
    there = (np.inf, np.inf)
    one, other = own.horizontal.ellipsoid, crs.horizontal.ellipsoid
    shaped_alike = one is None or other is None or abs(one.semi_minor_metre - other.semi_minor_metre) < 1.0
    try:  # a projection may come back from a file under another name; where no shift between two datums is known, none is made
        if shaped_alike:
            there = Transformer.from_crs(own.horizontal, crs.horizontal, always_xy=True).transform(*middle)
    except ProjError:
        pass
    if not max(abs(there[0] - middle[0]), abs(there[1] - middle[1])) <= slack:
        reason = f"it is in {own.horizontal.name}, the city holds it as {crs.horizontal.name}"
        raise CRSMismatchError(path, reason, "read its source again with the right crs=, or correct the coverage")


def write_raster(raster: Raster, path: str | Path) -> Path:
    """Write a raster as GeoTIFF (tiled, deflate, nodata declared) and return its path.

    float32 is used where it holds every value exactly, float64 otherwise. The file appears whole or not at all.
    """
    import rasterio

    target = Path(path)
    values = raster.values
    known = np.isfinite(values)
    narrow = _fits_float32(values, known)
    nodata = _NODATA if not np.any(values == _NODATA) else _LOWEST
    kind = "float32" if narrow else "float64"
    profile = raster_profile(raster.shape, (raster.x_min, raster.y_max, raster.dx, raster.dy), raster.crs, dtype=kind, nodata=nodata)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with rasterio.Env(**_GDAL_OPTIONS), rasterio.open(part, "w", **profile) as file:
            file.write(np.where(known, values, nodata).astype(kind), 1)
            if raster.unit:
                file.units = (raster.unit,)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _fits_float32(values: Floats, known: NDArray[np.bool_]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.array_equal(np.where(known, values, 0.0), np.where(known, values, 0.0).astype(np.float32).astype(np.float64)))


def raster_profile(shape: tuple[int, int], place: Box, crs: CityCRS, *, dtype: str, nodata: float) -> dict[str, Any]:
    """Return what rasterio needs to create a GeoTIFF as the toolkit writes it; `place` is x_min, y_max, dx, dy."""
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    x_min, y_max, dx, dy = place
    profile = {
        "driver": "GTiff",
        "height": shape[0],
        "width": shape[1],
        "count": 1,
        "dtype": dtype,
        "nodata": nodata,
        "compress": "deflate",
        "zlevel": 1,
        "predictor": 3,
        "bigtiff": "if_safer",
        "transform": Affine(dx, 0.0, x_min, 0.0, -dy, y_max),
        "crs": CRS.from_wkt(_wkt(crs)),
    }
    if min(shape) > 256:
        profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    return profile


def _wkt(crs: CityCRS) -> str:
    """Return WKT that GDAL keeps in a GeoTIFF; heights above the ellipsoid have no place there, the table of coverages keeps them."""
    from pyproj.exceptions import CRSError

    kept = (crs.without_vertical() if crs.is_ellipsoidal else crs).joint()
    try:
        return str(kept.to_wkt("WKT1_GDAL"))
    except CRSError:  # a projection that only version 2 can say
        return str(kept.to_wkt())
