"""A city for other programs: GeoPackage, GeoParquet, Excel and CityJSON, each with a report of what the format cannot hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.loss import Losses

if TYPE_CHECKING:
    import geopandas

    from cim.model import City
    from cim.model.loss import LossReport

__all__ = ["FORMATS", "export_city", "to_geopackage", "to_geoparquet", "to_xlsx"]

FORMATS = ("cityjson", "geopackage", "geoparquet", "xlsx")


def export_city(city: City, format: str, path: str | Path) -> LossReport:
    """Write a city in one of `FORMATS` and return what the format cannot hold.

    Parameters
    ----------
    format
        ``cityjson``, ``geopackage`` (one layer per class), ``geoparquet`` (a folder, one file per class) or ``xlsx`` (one sheet per class).
    path
        File, or folder for GeoParquet; it appears whole or not at all.

    Raises
    ------
    UsageError
        If the format is not one of these.
    """
    if format == "cityjson":
        from cim.loaders.cityjson import write_cityjson

        return write_cityjson(city, path)
    writers = {"geopackage": to_geopackage, "geoparquet": to_geoparquet, "xlsx": to_xlsx}
    if format not in writers:
        msg = f"format {format!r} is not known; give one of {', '.join(FORMATS)}"
        raise UsageError(msg)
    return writers[format](city, Path(path))


def to_geopackage(city: City, path: Path) -> LossReport:
    """Write one layer per class, attributes and footprints, and return what is not in it."""
    import pyogrio

    part = path.with_name(f".{path.stem}.{os.getpid()}.part.gpkg")
    part.unlink(missing_ok=True)
    try:
        for name in city.types():
            frame = _plain(city, name)
            pyogrio.write_dataframe(frame, part, layer=name, driver="GPKG", geometry_type="Unknown", promote_to_multi=False)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return _lost(city)


def to_geoparquet(city: City, path: Path) -> LossReport:
    """Write one GeoParquet file per class into a folder and return what is not in it."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        msg = f"{path} exists and is not an empty folder; name a new one"
        raise UsageError(msg)
    path.mkdir(parents=True, exist_ok=True)
    for name in city.types():
        _plain(city, name).to_parquet(path / f"{name.lstrip('+')}.parquet", index=False, write_covering_bbox=True)
    return _lost(city)


def to_xlsx(city: City, path: Path) -> LossReport:
    """Write one sheet per class, titles in Chinese with units, and return what is not in it."""
    from cim.results.export import write_workbook

    sheets = {}
    for name in city.types():
        frame = city.table(name, labels="zh").drop(columns=["geometry"]).reset_index()
        sheets[name] = pa.Table.from_pandas(frame, preserve_index=False)
    write_workbook(sheets, path)
    return _lost(city, footprints=True)


def _plain(city: City, name: str) -> geopandas.GeoDataFrame:
    """Return the table of a class with the id as a column, and no column that is empty throughout."""
    frame = city.table(name).reset_index()
    full: geopandas.GeoDataFrame = frame[[column for column in frame if column in {"id", "geometry"} or frame[column].notna().any()]]
    return full


def _lost(city: City, *, footprints: bool = False) -> LossReport:
    """Return what flat tables cannot hold, counted."""
    tables = city.tables
    solid = tables.scan("geometries", ["lod"], pc.field("lod") != "0").num_rows
    losses = Losses()
    losses.add("geometries beyond the footprint", solid, "levels of detail 1 and up, surfaces and their semantics")
    losses.add("footprints", len(city) if footprints else 0, "a sheet holds no geometry")
    for name in ("relations", "properties", "identifiers", "claims", "coverages", "links"):
        losses.add(name, tables.rows(name))
    return losses.report()
