"""A small made-up quarter with a hill, a river, roads, plots, a park, trees and buildings of every kind of geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.crs import parse
from cim.errors import DisplayError
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import extrude
from cim.results import Fields, Grid, RunRecord, Verdicts, grid_dataset, judge, verdicts_from
from cim.scenes import Scene
from cim.scenes.offscreen import probe

CRS = "EPSG:4549+5737"
X0, Y0 = 500_000.0, 3_460_000.0
HOSTILE = "<script>alert(1)</script>"


def height_at(x: Any, y: Any) -> Any:
    """Return the made-up ground: a slope, a hill, a river bed 4 m deep."""
    return 5 + 0.02 * x + 6 * np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / 60**2) - 4 * np.exp(-(((y - 250) / 12) ** 2))


def add_terrain(builder: CityBuilder, folder: Path, source: int) -> None:
    east, north = np.meshgrid(np.arange(150) * 2 + 1.0, np.arange(150) * 2 + 1.0)
    values = height_at(east, north)
    values[:6, :6] = np.nan  # a hole in the southwest
    path = write_raster(Raster(values[::-1].copy(), X0, Y0 + 300, 2.0, 2.0, parse(CRS)), folder / "dtm.tif")
    (key,) = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(X0, Y0, X0 + 300, Y0 + 300)], source=source)
    builder.add_coverage(int(key), kind="raster", path=str(path), format="GTiff", unit="m", crs=CRS)


def add_buildings(builder: CityBuilder, source: int) -> None:
    """Add 25 buildings with heights, one of them with a courtyard, one without height, one with LoD1 geometry only in its part."""
    corner = np.array([[30 + 40 * (i % 5), 30 + 40 * (i // 5)] for i in range(25)], float) + np.array([X0, Y0])
    shapes = shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + 20, corner[:, 1] + 16)
    shapes[3] = shapes[3].difference(shapely.box(*(corner[3] + 5), *(corner[3] + 10)))
    height = np.linspace(6, 54, 25)
    height[7] = np.nan
    ground = height_at(corner[:, 0] - X0 + 10, corner[:, 1] - Y0 + 8)
    names = [f"楼 {i}" for i in range(25)]
    names[0] = HOSTILE
    keys = builder.add_objects(
        "Building", [f"b{i}" for i in range(25)], footprints=shapes, names=names, z_ground=ground, z_roof=ground + height, source=source
    )
    use = ["residential"] * 15 + ["office"] * 8 + [None, "school"]
    builder.add_attributes(
        keys,
        "Building",
        {
            "height": Column(height, unit="m", label_en="height", label_zh="高度", source_field="H"),
            "use": Column(use, label_zh="用途", label_en="use"),
        },
    )
    builder.add_claims(keys[:1], "height", ["6.0"], unit="m", source=source, method="read", chosen=True)
    builder.add_claims(keys[:1], "height", ["9.5"], unit="m", source=source, method="percentile of points", confidence=0.8, chosen=False)
    part = shapely.box(X0 + 240, Y0 + 30, X0 + 260, Y0 + 50)
    builder.add_objects("Building", ["whole"], footprints=[part], source=source)
    (key,) = builder.add_objects("BuildingPart", ["part"], parents=["whole"], source=source)
    block = extrude([part], 9.0, 30.0)
    geometry = builder.add_geometries(
        [key], lod="1", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries, semantics=block.semantics
    )
    builder.add_surfaces(np.repeat(geometry, 3), [0, 1, 2], list(block.SURFACES))


def add_surfaces(builder: CityBuilder, source: int) -> None:
    roads = [shapely.box(X0 + 5, Y0 + 20 + 40 * i, X0 + 235, Y0 + 26 + 40 * i) for i in range(5)]
    builder.add_objects("Road", [f"r{i}" for i in range(5)], footprints=roads, names=[f"Road {i} 路" for i in range(5)], source=source)
    builder.add_objects("Railway", ["rail"], footprints=[shapely.LineString([(X0, Y0 + 285), (X0 + 300, Y0 + 280)])], source=source)
    builder.add_objects("WaterBody", ["river"], footprints=[shapely.box(X0, Y0 + 240, X0 + 300, Y0 + 260)], source=source)
    builder.add_objects("PlantCover", ["park"], footprints=[shapely.Point(X0 + 265, Y0 + 120).buffer(25)], source=source)
    builder.add_objects("LandUse", ["plot"], footprints=[shapely.box(X0 + 28, Y0 + 28, X0 + 132, Y0 + 134)], source=source)
    builder.add_objects("CityFurniture", ["bench"], footprints=[shapely.Point(X0 + 240, Y0 + 200)], source=source)
    place = np.column_stack([np.linspace(X0 + 10, X0 + 290, 30), np.full(30, Y0 + 225)])
    names = [f"t{i}" for i in range(30)]
    trees = builder.add_objects("SolitaryVegetationObject", names, footprints=shapely.points(place), source=source)
    builder.add_attributes(trees[:20], "SolitaryVegetationObject", {"height": Column(np.linspace(4, 12, 20), unit="m")})


@pytest.fixture(scope="session")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    builder = CityBuilder(CRS, name="三河 Sanhe", time_zone="Asia/Shanghai")
    source = builder.add_source(SourceRecord(name="register", owner="nobody", licence="CC0"))
    add_terrain(builder, tmp_path_factory.mktemp("terrain"), source)
    add_buildings(builder, source)
    add_surfaces(builder, source)
    return builder.build()


@pytest.fixture(scope="session")
def scene(city: City) -> Scene:
    return Scene(city, title="Quarter 片区")


@pytest.fixture(scope="session")
def verdicts(city: City) -> Verdicts:
    """Height control at 30 m: some pass, some fail, one is not assessed."""
    ids = [f"b{i}" for i in range(25)]
    value = np.array([city[id].attributes["height"] or np.nan for id in ids], float)
    judged = judge(value, 30.0)
    columns = {
        "object": ids,
        "value": value,
        "unit": "m",
        "limit": 30.0,
        "excess": judged.excess,
        "verdict": judged.verdict,
        "reason": judged.reason,
    }
    return verdicts_from("height_control", RunRecord("height_control", "1"), columns)


@pytest.fixture(scope="session")
def flood() -> Fields:
    """Water 2 m deep in the western 100 m, 0.5 m in the next 50 m, at two times."""
    grid = Grid(X0, Y0 + 300, 10.0, 10.0, nx=30, ny=30, crs=CRS)
    dataset = grid_dataset(grid)
    depth = np.zeros((2, 30, 30))
    depth[1, :, :10], depth[1, :, 10:15], depth[0, :, :10] = 2.0, 0.5, 1.0
    dataset["water_depth"] = (("time", "y", "x"), depth, {"units": "m", "standard_name": "water_depth", "long_name": "Water depth"})
    return Fields("inundation", dataset.assign_coords(time=[0.0, 600.0]), {}, RunRecord("inundation", "1"))


@pytest.fixture(scope="session")
def can_draw() -> None:
    """Skip where nothing can be drawn."""
    try:
        probe()
    except DisplayError as error:
        pytest.skip(str(error))
