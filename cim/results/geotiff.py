"""Fields as GeoTIFF: one band per level or time, named; unit and standard name in the tags; the same field gives the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.results.fields import Fields, Grid, grid_of

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

__all__ = ["read_bands", "to_geotiff", "write_bands"]

# No sidecar is looked for or written: it may name other files, and would not be part of the result.
_GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GTIFF_IGNORE_READ_ERRORS": "NO"}
_DTYPES = {"b": "uint8", "f": "float64", "i": "int32", "u": "uint8"}


def to_geotiff(result: Fields, path: str | Path, field: str | None = None) -> Path:
    """Write one field of a simulation as GeoTIFF and return its path.

    Parameters
    ----------
    field
        Name of the field; the first one when left out.

    Raises
    ------
    UsageError
        If the field does not lie on a grid.
    """
    name = str(next(iter(result.dataset.data_vars), "")) if field is None else field
    chosen = result[name]
    if chosen.dims[-2:] != ("y", "x"):
        msg = f"field {name!r} has the dimensions {chosen.dims}, expected (…, y, x); write it with to_parquet"
        raise UsageError(msg)
    return write_bands(chosen, grid_of(result.dataset), Path(path))


def write_bands(field: xarray.DataArray, grid: Grid, path: Path) -> Path:
    """Write a field with the dimensions (…, y, x), one band for each of the others; the file appears whole or not at all."""
    import rasterio
    from rasterio.crs import CRS
    from rasterio.transform import Affine

    from cim.crs import parse

    values = _storable(np.asarray(field.values)).reshape(-1, grid.ny, grid.nx)
    real = values.dtype.kind == "f"
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": grid.nx, "height": grid.ny, "count": len(values), "dtype": values.dtype,
        "nodata": np.nan if real else None,
        "compress": "deflate", "zlevel": 6, "predictor": 3 if real else 2, "bigtiff": "if_safer",
        "transform": Affine(grid.dx, 0, grid.x_min, 0, -grid.dy, grid.y_max), "crs": CRS.from_wkt(parse(grid.crs).horizontal.to_wkt()),
    }  # fmt: skip
    if min(grid.nx, grid.ny) > 256:
        profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with rasterio.Env(**_GDAL_OPTIONS), rasterio.open(part, "w", **profile) as file:
            file.write(values)
            for band, text in enumerate(_band_names(field), start=1):
                file.set_band_description(band, text)
            file.update_tags(**{key: str(field.attrs[key]) for key in ("standard_name", "long_name", "units") if key in field.attrs})
            file.units = tuple(str(field.attrs.get("units", "")) for _ in values)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def read_bands(path: Path) -> NDArray[Any]:
    """Return all bands, shape (bands, ny, nx)."""
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.Env(**_GDAL_OPTIONS), rasterio.open(path, driver="GTiff") as file:
            return np.asarray(file.read())
    except RasterioError as error:
        msg = f"{path.name} is no GeoTIFF: {error}"
        raise ValueError(msg) from error


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    """Return values of a kind that every program reads."""
    if values.dtype in (np.uint8, np.int16, np.int32, np.float32, np.float64):
        return values
    wanted = _DTYPES.get(values.dtype.kind)
    if wanted is None or not (values.astype(wanted).astype(values.dtype) == values)[~_nan(values)].all():
        msg = f"a field of the kind {values.dtype} cannot be written as GeoTIFF; expected floats or small whole numbers"
        raise UsageError(msg)
    return values.astype(wanted)


def _nan(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)


def _band_names(field: xarray.DataArray) -> list[str]:
    """Return one name per band, such as ``"water_level=4.0"``."""
    others = field.dims[:-2]
    if not others:
        return [str(field.attrs.get("long_name", field.name))]
    texts = [
        [f"{dim}={value}" for value in (field[dim].values.tolist() if dim in field.coords else range(field.sizes[dim]))] for dim in others
    ]
    grids = np.meshgrid(*[np.arange(len(one)) for one in texts], indexing="ij")
    return [
        ", ".join(texts[place][i] for place, i in enumerate(index))
        for index in zip(*(grid.reshape(-1).tolist() for grid in grids), strict=True)
    ]
