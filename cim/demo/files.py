"""Writing the sources of the demo district as ordinary files; the same bytes for the same seed, as far as a format allows."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.demo.plan import HEIGHT, ORIGIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.demo.features import Records
    from cim.demo.survey import Cloud

__all__ = ["CRS", "VERTICAL", "absolute", "write_geojson", "write_points", "write_raster", "write_table", "write_web_map"]

CRS, VERTICAL = "EPSG:4549", "EPSG:5737"
"""CGCS2000 / 3-degree Gauss-Kruger CM 120E, and the Yellow Sea 1985 height."""
_NODATA = -9999.0
_WHEN = "2026-01-01T00:00:00.000Z"
"""Date that goes into the files instead of today's."""


def absolute(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return geometries in EPSG:4549, to the millimetre."""
    import shapely

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        out = xy.copy()
        out[:, :2] = np.round(xy[:, :2] + ORIGIN, 3)
        return out

    return np.asarray(shapely.transform(shapes, moved, include_z=bool(shapely.has_z(shapes).any())), object)


def write_table(records: Records, path: Path, layer: str | None = None, **options: Any) -> Path:
    """Write records with the driver that the suffix names: GeoPackage, FlatGeobuf, Shapefile or GeoParquet."""
    import geopandas

    frame = geopandas.GeoDataFrame(records.columns, geometry=absolute(records.geometry), crs=CRS)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False, compression="zstd")
        return path
    with _fixed_date():
        frame.to_file(path, engine="pyogrio", **({"layer": layer} if layer else {}), **options)
    return path


class _fixed_date:  # noqa: N801 - reads as a word of a with statement
    """While it holds, GDAL writes a fixed date into the files that carry one."""

    def __enter__(self) -> None:
        import pyogrio

        self.before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _WHEN})

    def __exit__(self, *error: object) -> None:
        import pyogrio

        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": self.before})


def write_geojson(records: Records, path: Path, crs: str = CRS, *, open_ring: int | None = None) -> Path:
    """Write records as GeoJSON with the old ``crs`` member, as many offices still do.

    Parameters
    ----------
    crs
        ``EPSG:4549``, or a geographic system that the coordinates are transformed to.
    open_ring
        Row of a polygon whose ring is written without its last point.
    """
    import shapely

    shapes = absolute(records.geometry)
    if crs != CRS:
        from pyproj import Transformer

        move = Transformer.from_crs(CRS, crs, always_xy=True)
        shapes = shapely.transform(shapes, lambda xy: np.round(np.column_stack(move.transform(xy[:, 0], xy[:, 1])), 9))
    return _write_geojson(shapes, records.columns, path, crs, open_ring=open_ring)


def _write_geojson(
    shapes: NDArray[np.object_], columns: Mapping[str, NDArray[Any]], path: Path, crs: str, *, open_ring: int | None = None
) -> Path:
    import shapely

    geometries = [json.loads(text) for text in shapely.to_geojson(shapes).tolist()]
    if open_ring is not None:
        geometries[open_ring]["coordinates"][0].pop()
    features = [
        {"type": "Feature", "properties": properties, "geometry": geometry}
        for properties, geometry in zip(_rows(columns), geometries, strict=True)
    ]
    head = {"type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}}
    body = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    start = json.dumps(head, ensure_ascii=False)[:-1]
    path.write_text(f'{start}, "features": [\n{body}\n]}}\n', encoding="utf-8")
    return path


def write_web_map(records: Records, path: Path) -> Path:
    """Write points as a web map sells them: the coordinates are GCJ-02, the file says EPSG:4490."""
    import shapely
    from pyproj import Transformer

    from cim.crs.gcj02 import wgs84_to_gcj02

    move = Transformer.from_crs(CRS, "EPSG:4490", always_xy=True)

    def shifted(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        there = np.column_stack(move.transform(xy[:, 0], xy[:, 1]))
        return np.asarray(np.round(np.column_stack(wgs84_to_gcj02(there[:, 0], there[:, 1])), 6), np.float64)

    return _write_geojson(shapely.transform(absolute(records.geometry), shifted), records.columns, path, "EPSG:4490")


def _rows(columns: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, Any]]:
    lists = [column.tolist() for column in columns.values()]
    for values in zip(*lists, strict=True):
        yield dict(zip(columns, values, strict=True))


def write_raster(values: NDArray[np.float64], cell: float, path: Path) -> Path:
    """Write heights as GeoTIFF in the compound system, to the centimetre, NaN as nodata."""
    import rasterio
    from rasterio.transform import Affine

    data = np.where(np.isfinite(values), np.round(values, 2), _NODATA).astype(np.float32)
    place = Affine(cell, 0.0, ORIGIN[0], 0.0, -cell, ORIGIN[1] + HEIGHT)
    profile = {
        "driver": "GTiff",
        "height": data.shape[0],
        "width": data.shape[1],
        "count": 1,
        "dtype": "float32",
        "crs": f"{CRS}+{VERTICAL[5:]}",
        "transform": place,
        "nodata": _NODATA,
        "compress": "deflate",
        "predictor": 3,
        "tiled": True,
        "num_threads": 1,
    }
    with rasterio.open(path, "w", **profile) as out:
        out.write(data, 1)
        out.units = ("m",)
    return path


def write_points(cloud: Cloud, path: Path) -> Path:
    """Write a point cloud as LAZ 1.4, point format 6, with the compound system as WKT."""
    import laspy
    import pyproj

    header = laspy.LasHeader(version="1.4", point_format=6)
    header.offsets, header.scales = np.array([*ORIGIN, 0.0]), np.full(3, 0.01)
    header.creation_date = datetime.date(2026, 1, 1)
    header.generating_software, header.system_identifier = "CIM toolkit demo", "made by code"
    header.add_crs(pyproj.CRS.from_user_input(f"{CRS}+{VERTICAL[5:]}"))
    points = laspy.LasData(header)
    points.x, points.y, points.z = cloud.x + ORIGIN[0], cloud.y + ORIGIN[1], cloud.z
    points.classification = cloud.classification
    points.return_number = np.ones(len(cloud), np.uint8)
    points.number_of_returns = np.ones(len(cloud), np.uint8)
    points.write(str(path), do_compress=True, laz_backend=laspy.LazBackend.Lazrs)
    return path
