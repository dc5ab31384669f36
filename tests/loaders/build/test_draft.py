"""Drafts of build files: where their paths lead, and what they say about coordinate systems."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import geopandas
import pytest
import shapely

from cim.loaders.build import draft


def write(folder: Path, crs: int, box: shapely.Geometry) -> Path:
    """Write a file with one building into a folder."""
    folder.mkdir(parents=True)
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[box], crs=crs).to_file(folder / "buildings.gpkg", layer="buildings", engine="pyogrio")
    return folder


def near(crs: int, longitude: float, latitude: float) -> shapely.Geometry:
    """Return a small square around a place, in a coordinate system."""
    return geopandas.GeoSeries([shapely.Point(longitude, latitude).buffer(1e-4)], crs=4326).to_crs(crs).iloc[0]


@pytest.mark.parametrize(
    ("longitude", "latitude", "fitting"), [(14.4, 50.1, "EPSG:32633"), (120.6, 31.3, "EPSG:4549"), (-70.7, -33.4, "EPSG:32719")]
)
def test_files_in_web_mercator_are_drafted_with_a_system_that_fits_the_place(
    tmp_path: Path, longitude: float, latitude: float, fitting: str
) -> None:
    text = draft(write(tmp_path / "a", 3857, near(3857, longitude, latitude))).toml()
    line = next(line for line in text.splitlines() if line.startswith("# crs") and "give a projected system" in line)
    assert "EPSG:3857 (Web Mercator: not for measuring)" in line
    assert fitting in line
    assert "degrees" not in line


def test_files_in_degrees_are_still_said_to_be(tmp_path: Path) -> None:
    text = draft(write(tmp_path / "a", 4326, near(4326, 14.4, 50.1))).toml()
    assert "EPSG:4326 (degrees)" in text
    assert "EPSG:32633" in text


def test_web_mercator_coordinates_that_lie_nowhere_get_no_advice(tmp_path: Path) -> None:
    text = draft(write(tmp_path / "a", 3857, shapely.box(9e12, 9e12, 9.1e12, 9.1e12))).toml()
    assert "such as EPSG" not in text


@pytest.mark.parametrize(("home", "path"), [("a", "buildings.gpkg"), (".", "a/buildings.gpkg"), ("b/c", "../../a/buildings.gpkg")])
def test_paths_of_a_draft_lead_from_the_folder_of_the_build_file_to_the_source(tmp_path: Path, home: str, path: str) -> None:
    found = draft(write(tmp_path / "a", 4549, near(4549, 120.0, 31.0)))
    assert tomllib.loads(found.toml(relative_to=tmp_path / home))["source"][0]["path"] == path
    assert tomllib.loads(found.toml())["source"][0]["path"] == "buildings.gpkg"


def test_a_real_city_in_web_mercator_is_drafted(shared_data: Callable[..., Path]) -> None:
    found = draft(shared_data("city", "bubenec"))
    assert "EPSG:32633" in found.toml()
    assert "crs" not in tomllib.loads(found.toml())["city"]


def test_what_belongs_to_another_source_is_no_source_of_its_own(tmp_path: Path) -> None:
    names = (
        "tiles/tileset.json", "tiles/a/tileset.json", "tiles/a/b.b3dm", "photo/metadata.xml", "photo/Data/t/t.osgb", "photo/Data/t/x.obj",
        "m.obj", "m.mtl", "m.png", "m.metadata.json", "ortho.png", "ortho.pgw", "city.cim/a.parquet", "b.aux.xml", "c.xml",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [file.path for file in draft(tmp_path).files]
    assert found == ["c.xml", "m.obj", "ortho.png", "photo", "tiles/tileset.json"]
