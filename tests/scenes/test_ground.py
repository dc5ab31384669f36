"""The ground is read where it is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.crs import parse, transform_points
from cim.model import City, CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import boundaries_from, vertices_from
from cim.scenes import Scene
from cim.scenes.ground import Ground, decimate
from cim.scenes.terrain import grid_triangles, terrain_layer


def test_heights_lie_on_the_drawn_triangles() -> None:
    z = np.array([[0.0, 1.0], [2.0, 9.0]])
    ground = Ground(0.0, z, np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert ground.at([0.5, 0.75, 0.25, 1.0], [0.5, 0.25, 0.75, 0.0]).tolist() == [4.5, 2.75, 3.25, 1.0]
    assert ground.at(5.0, 5.0) == 9.0  # beyond the grid the nearest edge


def test_decimation_keeps_means_and_leaves_unknown_cells_out() -> None:
    values = np.array([[1.0, 3.0, np.nan], [5.0, 7.0, np.nan], [2.0, np.nan, 4.0]])
    coarse, factor = decimate(values, 4)
    assert factor == 2
    assert coarse[0, 0] == 4.0
    assert np.isnan(coarse[0, 1])
    assert coarse[1].tolist() == [2.0, 4.0]


def test_unknown_cells_are_left_out_of_the_terrain_and_counted_by_area(scene: Scene) -> None:
    terrain = scene.layer("terrain")
    a, b, c = (terrain.points[terrain.triangles[:, corner], :2] for corner in range(3))
    area = ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sum() / 2
    assert area == pytest.approx(149**2 * 4 - 36 * 4)  # grid points of 2 m, without the 6 by 6 cells that touch the hole


def test_grid_triangles_face_up() -> None:
    triangles = grid_triangles(np.ones((2, 2), bool))
    assert triangles.tolist() == [[0, 1, 3], [0, 3, 2]]


def test_a_city_without_terrain_stands_on_its_street_level() -> None:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Building", ["a"], footprints=[shapely.box(5e5, 3e6, 5e5 + 9, 3e6 + 9)], z_ground=[12.5], z_roof=[20.0])
    scene = Scene(builder.build())
    assert [layer.name for layer in scene.layers] == ["buildings"]
    assert scene.context.ground.at(0.0, 0.0) == 12.5
    assert terrain_layer(scene.context.ground) is None


def test_triangulated_terrain_becomes_ground_and_says_so() -> None:
    builder = CityBuilder("EPSG:4549")
    (key,) = builder.add_objects("TINRelief", ["tin"])
    corner = np.array([(5e5, 3e6, 0.0), (5e5 + 100, 3e6, 10.0), (5e5, 3e6 + 100, 0.0), (5e5 + 100, 3e6 + 100, 10.0)])
    builder.add_geometries(
        [key],
        lod="1",
        role="multi_surface",
        type="CompositeSurface",
        vertices=vertices_from(corner, [4]),
        boundaries=boundaries_from([0, 1, 2, 1, 3, 2], [3, 3], [1, 1], [2], [1], [1]),
    )
    scene = Scene(builder.build())
    assert scene.layer("terrain").ids.tolist() == ["tin"]
    assert scene.context.ground.at(-20.0, 0.0) == pytest.approx(3.0)  # 30 m from the western edge of a slope of 1 in 10
    assert "drawn as a grid" in scene.layer("terrain").notes[0].en


def test_terrain_without_a_file_is_named_and_the_rest_is_drawn(city: City) -> None:
    rows = city.tables["coverages"].to_pylist()
    broken = city.replace_tables(coverages=city.tables["coverages"].from_pylist([{**rows[0], "path": "/nowhere/dtm.tif"}]))
    scene = Scene(broken)
    assert "terrain" not in [layer.name for layer in scene.layers]
    assert "dtm is not drawn" in scene.context.ground.notes[0].en


def terrain_of(folder: Path, crs: str, tiles: dict[str, Raster]) -> City:
    builder = CityBuilder(crs)
    for name, raster in tiles.items():
        west, south, east, north = raster.bounds
        (key,) = builder.add_objects("ReliefFeature", [name], footprints=[shapely.box(west, south, east, north)])
        builder.add_coverage(
            int(key), kind="raster", path=str(write_raster(raster, folder / f"{name}.tif")), format="GTiff", unit="m", crs=crs
        )
    return builder.build()


def test_tiles_of_terrain_are_drawn_as_one(tmp_path: Path) -> None:
    crs = parse("EPSG:4549")
    tiles = {name: Raster(np.full((20, 20), z), x, 3_460_020.0, 1.0, 1.0, crs) for name, x, z in (("a", 5e5, 3.0), ("b", 5e5 + 20, 5.0))}
    scene = Scene(terrain_of(tmp_path, "EPSG:4549", tiles))
    terrain = scene.layer("terrain")
    assert terrain.bounds[:, 0] + scene.origin[0] == pytest.approx([5e5, 5e5 + 40])
    assert scene.context.ground.at([-15.0, 15.0], [0.0, 0.0]).tolist() == [3.0, 5.0]
    assert terrain.notes[0].en == "2 terrain rasters drawn as one"


def test_terrain_in_another_system_lies_where_it_belongs(tmp_path: Path) -> None:
    utm, ours = parse("EPSG:32651"), parse("EPSG:4549")  # both WGS 84 / CGCS2000 planes over 120 degrees east
    at = transform_points([500_000.0], [3_460_000.0], None, ours, utm)
    raster = Raster(np.tile(np.arange(40.0), (40, 1)), float(at.x[0]) - 20, float(at.y[0]) + 20, 1.0, 1.0, utm)
    builder = CityBuilder("EPSG:4549")
    (key,) = builder.add_objects("ReliefFeature", ["far"], footprints=[shapely.box(499_990, 3_459_990, 500_010, 3_460_010)])
    builder.add_coverage(
        int(key), kind="raster", path=str(write_raster(raster, tmp_path / "far.tif")), format="GTiff", unit="m", crs="EPSG:32651"
    )
    scene = Scene(builder.build())
    here = np.array([500_000.0, 3_460_000.0]) - scene.origin[:2]
    assert scene.context.ground.at(here[:1], here[1:])[0] == pytest.approx(19.5, abs=0.05)  # the middle of a ramp of 1 m per cell


def test_a_city_in_degrees_is_drawn_in_metres() -> None:
    builder = CityBuilder("EPSG:4326")
    builder.add_objects("Building", ["a"], footprints=[shapely.box(4.3570, 52.0110, 4.3575, 52.0113)], z_ground=[0.0], z_roof=[9.0])
    layer = Scene(builder.build()).layer("buildings")
    wide, deep = np.ptp(layer.points[:, :2], axis=0)
    assert (wide, deep) == (
        pytest.approx(34.3, abs=0.9),
        pytest.approx(33.4, abs=0.9),
    )  # 0.0005° cos 52° and 0.0003° of 111.3 km, turned 1°
