"""Files that a reader made in a worker outlive it, and none that it does not own is taken."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import laspy
import numpy as np
import pyarrow as pa
import pytest
import rasterio
from pyproj import CRS
from rasterio.transform import Affine

from cim.errors import InputError
from cim.loaders import read
from cim.loaders.parcel import unpack_files
from cim.loaders.pointcloud import read_points
from cim.model.coverages import raster_ids, read_raster, workspace

UTM = "EPSG:32648"


def raster(path: Path) -> Path:
    told = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "float32", "crs": UTM}
    with rasterio.open(path, "w", transform=Affine(2, 0, 410500, 0, -2, 3391800), **told) as file:
        file.write(np.full((1, 4, 4), 450.0, np.float32))
    return path


def cloud(path: Path) -> Path:
    header = laspy.LasHeader(point_format=6, version="1.4")
    header.scales, header.offsets = np.full(3, 0.001), np.array([410000.0, 3391000.0, 0.0])
    header.add_crs(CRS(UTM))
    data = laspy.LasData(header)
    data.x, data.y, data.z = np.array([[410500.0, 410501.0], [3391800.0, 3391801.0], [450.0, 451.0]])
    data.write(path)
    return path


def zipped(path: Path) -> Path:
    target = path.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(path, path.name)
    return target


def test_a_clean_raster_lies_in_the_workspace_of_the_caller(tmp_path: Path) -> None:
    city = read(raster(tmp_path / "a.tif"))
    assert Path(city.tables["coverages"]["path"][0].as_py()).parent == workspace()


def test_members_of_an_archive_outlive_it(tmp_path: Path) -> None:
    city = read(zipped(raster(tmp_path / "a.tif")))
    assert (read_raster(city, raster_ids(city)[0]).values == 450.0).all()
    for suffix in ("las", "laz"):
        points = read_points(read(zipped(cloud(tmp_path / f"b.{suffix}"))))
        np.testing.assert_allclose(points.z, [450.0, 451.0], atol=1e-9)


def test_a_coverage_that_names_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif")
    city = read(path)
    rows = city.tables["coverages"].to_pylist()
    rows[0]["path"] = "/etc/hostname"
    forged = replace(city, tables=city.tables.replace(coverages=pa.Table.from_pylist(rows, schema=city.tables["coverages"].schema)))
    with pytest.raises(InputError, match="a file that it does not own"):
        unpack_files(forged, {}, path)
