"""Gridded rain in files: NetCDF through xarray, GeoTIFF through rasterio; nothing is read by its name alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSMismatchError, FormatError, InputError, LimitError, MissingExtraError, UsageError

if TYPE_CHECKING:
    import xarray

__all__ = ["open_grid"]

_MOST_CELLS = 2_000_000_000
"""Pixels times frames that are read at most (16 GB as float64)."""
_HDF5, _CLASSIC, _TIFF = b"\x89HDF", b"CDF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_grid(paths: Sequence[Path], *, variable: str | None = None, times: Any = None) -> xarray.DataArray:
    """Return rain of files as an array with the dimensions time, y and x.

    Parameters
    ----------
    paths
        One NetCDF file; one GeoTIFF with a band per time; or GeoTIFFs of one place, one per time.
    variable
        Of a NetCDF file; needed where several have time, north and east.
    times
        Of the bands or files: instants or durations; needed for GeoTIFF.

    Raises
    ------
    InputError
        If a file is missing, damaged, or of no such format.
    MissingExtraError
        If NetCDF 4 needs a library that is not installed.
    UsageError
        If the variable or the times are missing.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(path, "there is no such file", "check the path; it is taken from the current folder")
    head = paths[0].read_bytes()[:4] if paths[0].stat().st_size < 16 else _head(paths[0])
    if head in _TIFF:
        return _tiffs(paths, times)
    if head == _HDF5 or head[:3] == _CLASSIC:
        return _netcdf(paths, variable, _engine(paths[0], head))
    raise FormatError(paths[0], f"begins with {head!r}: neither NetCDF nor GeoTIFF", "convert it to one of them")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def _engine(path: Path, head: bytes) -> str:
    """Return the engine of xarray that reads it: scipy for NetCDF 3, a library of HDF5 for NetCDF 4."""
    if head != _HDF5:
        return "scipy"
    for module in ("h5netcdf", "netCDF4"):
        if importlib.util.find_spec(module) is not None:
            return module.lower()
    msg = f"{path}: NetCDF 4 needs h5netcdf, which is not installed; pip install h5netcdf, or write it as NetCDF 3 (format='NETCDF3_64BIT')"
    raise MissingExtraError(msg)


def _netcdf(paths: Sequence[Path], variable: str | None, engine: str) -> xarray.DataArray:
    import xarray as xr

    if len(paths) > 1:
        msg = f"{len(paths)} NetCDF files; expected one: join them with xarray.open_mfdataset and give the array to Rain.gridded"
        raise UsageError(msg)
    try:
        with xr.open_dataset(paths[0], engine=engine) as dataset:  # type: ignore[arg-type,unused-ignore]
            data = _chosen(paths[0], dataset, variable)
            _check_size(paths[0], data.size)
            return data.load()
    except (OSError, ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        if isinstance(error, InputError | UsageError):
            raise
        raise CorruptFileError(paths[0], f"NetCDF cannot be read ({error})", "open it in another program and write it again") from error


def _chosen(path: Path, dataset: xarray.Dataset, variable: str | None) -> xarray.DataArray:
    found = [str(name) for name, one in dataset.data_vars.items() if one.ndim == 3]
    if variable is None and len(found) == 1:
        variable = found[0]
    if variable is None or variable not in dataset.data_vars:
        msg = f"{path}: variable {variable!r}; the file has {', '.join(found) or 'none with three dimensions'}: say which with variable="
        raise UsageError(msg)
    return dataset[variable]


def _check_size(path: Path, size: int) -> None:
    if size > _MOST_CELLS:
        raise LimitError(path, f"{size:,} values, at most {_MOST_CELLS:,} are read", "cut it to the place and time of the run")


def _tiffs(paths: Sequence[Path], times: Any) -> xarray.DataArray:
    """Read bands or files as frames; all on one grid."""
    import rasterio
    import xarray as xr

    frames, first = [], None
    for path in paths:
        try:
            with rasterio.open(path, driver="GTiff") as source:
                _check_size(path, source.width * source.height * source.count * len(paths))
                place = (tuple(source.transform)[:6], source.width, source.height, None if source.crs is None else source.crs.to_wkt())
                said = source.units[0] if source.units else None
                frames += [source.read(band, masked=True).astype(np.float64).filled(np.nan) for band in source.indexes]
        except rasterio.errors.RasterioError as error:
            raise CorruptFileError(path, f"GeoTIFF cannot be read ({error})", "write it again") from error
        first = first or (place, said)
        if place != first[0]:
            raise CRSMismatchError(path, f"lies otherwise than {paths[0]}", "bring all frames to one grid and system")
    if first is None or times is None or len(times) != len(frames):
        msg = f"{paths[0]}: {len(frames)} frames and {'no' if times is None else len(times)} times; give times=, one for each"
        raise UsageError(msg)
    (a, b, c, d, e, f), width, height, crs = first[0]
    if b or d:
        raise FormatError(paths[0], "is turned against its coordinate system", "bring it to rows and columns along the axes (gdalwarp)")
    x, y = c + a * (np.arange(width) + 0.5), f + e * (np.arange(height) + 0.5)
    attributes = {key: value for key, value in (("crs", crs), ("units", first[1])) if value}
    return xr.DataArray(np.stack(frames), {"time": _axis(times), "y": y, "x": x}, ("time", "y", "x"), attrs=attributes)


def _axis(times: Any) -> Any:
    """Keep instants and durations as they are; xarray would lose their zone."""
    axis = np.empty(len(times), object)
    axis[:] = list(times)
    return axis
