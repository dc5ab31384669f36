"""Environment variables that keep GDAL, PROJ and their kin from other files and hosts; set before they are imported."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["SKIPPED_DRIVERS", "guarded_environment"]

# Everything in the wheels of pyogrio 0.13 and rasterio 1.4/1.5 that reads other files, other hosts or code, or that no
# reader of ours asks for. A driver that is not listed still meets the sniffing by content at the door.
SKIPPED_DRIVERS = (
    # vector
    "ADBC", "AIVector", "AVCBin", "AVCE00", "AmigoCloud", "CSV", "CSW", "Carto", "DGN", "EDIGEO", "EEDA", "ESRIJSON",
    "Elasticsearch", "GDALG", "GML", "GPSBabel", "GPX", "GTFS", "GeoJSON", "GeoJSONSeq", "GeoRSS", "GMLAS", "HTTP",
    "Idrisi", "JML", "JSONFG", "KML", "LIBKML", "LVBAG", "MBTiles", "MVT", "MapML", "MiraMonVector", "NGW", "OAPIF",
    "ODS", "OGCAPI", "OGR_GMT", "OGR_PDS", "OGR_VRT", "OSM", "PCIDSK", "PDF", "PDS4", "PGDUMP", "PGeo", "PLSCENES",
    "PMTiles", "PostgreSQL", "MySQL", "ODBC", "MSSQLSpatial", "S57", "SXF", "Selafin", "TopoJSON", "VDV", "VFK",
    "VICAR", "WAsP", "WFS", "XLS", "XLSX", "Parquet", "Arrow",
    # raster
    "VRT", "WMS", "WCS", "WMTS", "STACIT", "STACTA", "GTI", "DERIVED", "DAAS", "EEDAI", "PLMOSAIC", "RasterLite",
    "Rasterlite", "PostGISRaster", "Zarr", "HDF4", "HDF5", "netCDF", "GRIB", "BAG", "NGSGEOID", "SAFE", "SENTINEL2",
    "TIL", "OZI", "MRF", "KMLSUPEROVERLAY", "S102", "S104", "S111", "TileDB", "HEIF", "AVIF", "LIBERTIFF", "SNAP_TIFF",
)
_FIXED = {
    "GDAL_SKIP": ",".join(SKIPPED_DRIVERS),
    "OGR_SKIP": "",
    "GDAL_DRIVER_PATH": "disable",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_NUM_THREADS": "1",
    "OGR_ENABLE_PARTIAL_REPROJECTION": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
    "OGR_SQLITE_LIST_VIRTUAL_OGR": "NO",
    "CPL_ALLOW_VSISTDIN": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "CPL_VSIL_CURL_USE_HEAD": "NO",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_HTTP_TIMEOUT": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "CPL_AWS_AUTODETECT_EC2": "NO",
    "CPL_GCE_CHECK_LOCAL_FILES": "NO",
    "CPL_DEBUG": "OFF",
    "PROJ_NETWORK": "OFF",
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_REMOVED = ("GDAL_DATA", "PROJ_LIB", "PROJ_DATA", "GDAL_CONFIG_FILE", "PYTHONSTARTUP", "PYTHONINSPECT",
            "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def guarded_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environment` in which native readers reach for nothing beyond the file they are given."""
    kept = {name: value for name, value in environment.items() if name not in _REMOVED}
    return {**kept, **_FIXED, "PYTHONNOUSERSITE": environment.get("PYTHONNOUSERSITE", "")}
