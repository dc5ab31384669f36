"""Roof and ground heights from made terrain, surface model and point cloud whose heights are known."""

from __future__ import annotations

from pathlib import Path

import laspy
import numpy as np
import pyarrow as pa
import pytest
import shapely
from numpy.typing import NDArray

from cim.errors import UsageError
from cim.loaders import fuse, read
from cim.model import City, CityBuilder, SourceRecord
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import volume

CRS = "EPSG:4549+5737"
WEST, SOUTH = 500000.0, 3460000.0
HOUSES = shapely.box(
    [WEST + 20, WEST + 30, WEST + 60], SOUTH + 20, [WEST + 30, WEST + 40, WEST + 70], SOUTH + 32
)  # the first two share a wall
ROOFS = np.array([12.0, 20.0, 9.0])
EXACT = 1e-3  # m: points are stored to the millimetre


def register(*, roofs: list[float | None] | None = None) -> City:
    builder = CityBuilder(CRS, name="register")
    source = builder.add_source(SourceRecord("register"))
    builder.add_objects(
        "Building", ["a", "b", "c"], footprints=HOUSES, z_roof=None if roofs is None else np.asarray(roofs, float), source=source
    )
    return builder.build()


def grid(height: float) -> NDArray[np.float64]:
    """Return terrain that falls 1 m per 100 m to the east, plus `height` inside the houses, 0.5 m cells."""
    x = WEST + 0.25 + 0.5 * np.arange(200)
    y = SOUTH + 59.75 - 0.5 * np.arange(120)
    east, north = np.meshgrid(x, y)
    z = 5.0 - (east - WEST) / 100
    for house, roof in zip(HOUSES, ROOFS, strict=True):
        if height:
            z = np.where(shapely.contains_xy(house, east, north), roof, z)
    return np.asarray(z, float)


def raster(folder: Path, name: str, height: float) -> City:
    from cim.crs import parse

    path = folder / f"{name}.tif"
    write_raster(Raster(grid(height), x_min=WEST, y_max=SOUTH + 60, dx=0.5, dy=0.5, crs=parse(CRS), unit="m", name=name), path)
    return read(path, crs=CRS)


def cloud(folder: Path, *, classes: bool = True, only: slice = slice(None), seed: int = 3) -> City:
    """Return points spread over the houses, exactly at roof height, and some trees outside."""
    chance = np.random.default_rng(seed)
    parts = []
    for house, roof in list(zip(HOUSES, ROOFS, strict=True))[only]:
        west, south, east, north = house.bounds
        parts.append(np.column_stack([chance.uniform(west, east, 400), chance.uniform(south, north, 400), np.full(400, roof)]))
    trees = np.column_stack([chance.uniform(WEST + 42, WEST + 58, 300), chance.uniform(SOUTH, SOUTH + 60, 300), np.full(300, 30.0)])
    points = np.vstack([*parts, trees])
    file = laspy.LasData(laspy.LasHeader(point_format=1, version="1.2"))
    file.header.scales, file.header.offsets = np.full(3, 0.001), np.array([WEST, SOUTH, 0.0])
    file.x, file.y, file.z = points.T
    file.classification = np.where(np.arange(len(points)) < len(points) - 300, 6 if classes else 1, 5 if classes else 1).astype(np.uint8)
    path = folder / f"cloud{only.start or 0}.las"
    file.write(path)
    return read(path, crs=CRS)


def test_every_roof_gets_its_own_points_and_never_those_of_a_neighbour(tmp_path: Path) -> None:
    city = fuse([register(), cloud(tmp_path)])
    roofs = city.table("Building", ["z_roof"])["z_roof"]
    assert roofs.loc[["a", "b", "c"]].tolist() == pytest.approx(ROOFS.tolist(), abs=EXACT)
    claim = city.why("b", "z_roof")[0]
    assert claim.method.startswith("90th percentile (linear) of 4")
    assert claim.source == "cloud0"


def test_two_tiles_of_one_cloud_count_together(tmp_path: Path) -> None:
    city = fuse([register(), cloud(tmp_path, only=slice(0, 1)), cloud(tmp_path, only=slice(1, 3))])
    assert [city.why(id, "z_roof")[0].source for id in "abc"] == ["cloud0", "cloud1", "cloud1"]


def test_a_cloud_without_building_class_is_used_and_named(tmp_path: Path) -> None:
    city = fuse([register(), cloud(tmp_path, classes=False)])
    assert city.table("Building", ["z_roof"])["z_roof"]["c"] == pytest.approx(9.0, abs=EXACT)
    assert any("no building class" in text for text in city.issues["message"])


def test_ground_is_the_lowest_terrain_along_the_footprint_and_blocks_stand_on_it(tmp_path: Path) -> None:
    city = fuse([register(), raster(tmp_path, "dtm", 0.0), raster(tmp_path, "dsm", 1.0)])
    table = city.table("Building", ["z_ground", "z_roof"])
    lowest = [5.0 - east / 100 for east in (30, 40, 70)]  # the eastern wall stands lowest
    assert table["z_ground"].loc[["a", "b", "c"]].tolist() == pytest.approx(lowest, abs=0.01)  # half a cell of a 1 % slope
    assert table["z_roof"].loc[["a", "b", "c"]].tolist() == pytest.approx(ROOFS.tolist(), abs=EXACT)
    blocks = city.geometry_table(lod="1", keys=city.key_of(["c"]))
    assert volume(blocks)[0] == pytest.approx(10 * 12 * (9.0 - table["z_ground"]["c"]), rel=1e-6)
    assert city.geometry_table(lod="0").num_rows == 3
    assert city["c"].core["cim_level"] == "CIM2"


def test_the_stated_order_decides_and_the_others_stay_as_claims(tmp_path: Path) -> None:
    sources = [register(roofs=[15.0, 20.2, None]), raster(tmp_path, "dsm", 1.0), cloud(tmp_path)]
    by_points = fuse(sources)
    by_reading = fuse(sources, heights=["read", "points"])
    assert by_points.table("Building", ["z_roof"])["z_roof"]["a"] == pytest.approx(12.0, abs=EXACT)
    assert by_reading.table("Building", ["z_roof"])["z_roof"]["a"] == 15.0
    assert by_reading.table("Building", ["z_roof"])["z_roof"]["c"] == pytest.approx(9.0, abs=EXACT)
    for city in (by_points, by_reading):
        claims = city.why("a", "z_roof")
        assert len(claims) == 3
        assert [claim.chosen for claim in claims] == [True, False, False]
        disputed = city.issues[(city.issues["code"] == "conflict") & (city.issues["record"] == "z_roof")]
        assert set(disputed["object"].dropna()) == {"a"}  # 20.2 m against 20 m agree within half a metre
    with pytest.raises(UsageError, match="'lidar' is not known"):
        fuse(sources, heights=["lidar"])


def test_height_is_roof_minus_ground_where_nobody_states_it_and_a_claim_where_somebody_does(tmp_path: Path) -> None:
    stated = register()
    keys = stated.key_of(["a"])
    column = pa.table(
        {"object": keys, "height": pa.array([30.0])},
        schema=pa.schema([("object", pa.int64()), pa.field("height", pa.float64(), metadata={"unit": "m"})]),
    )
    city = fuse([stated.replace_tables(attributes={"Building": column}), raster(tmp_path, "dtm", 0.0), cloud(tmp_path)])
    table = city.table("Building", ["height", "z_roof", "z_ground"])
    assert table["height"]["a"] == 30.0
    assert table["height"]["c"] == pytest.approx(table["z_roof"]["c"] - table["z_ground"]["c"])
    assert [claim.method for claim in city.why("a", "height")] == ["read", "roof height minus ground height"]
    disputed = city.issues[(city.issues["code"] == "conflict") & (city.issues["record"] == "height")]
    assert set(disputed["object"].dropna()) == {"a"}


def test_a_stated_height_stands_on_the_terrain_when_nothing_tells_the_roof(tmp_path: Path) -> None:
    stated = register()
    heights = pa.field("height", pa.float64(), metadata={"unit": "m"})
    column = pa.table({"object": stated.key_of(["a", "b"]), "height": [7.0, 8.0]}, schema=pa.schema([("object", pa.int64()), heights]))
    city = fuse([stated.replace_tables(attributes={"Building": column}), raster(tmp_path, "dtm", 0.0)])
    table = city.table("Building", ["z_roof", "z_ground"])
    assert (table["z_roof"] - table["z_ground"])["a"] == pytest.approx(7.0)
    assert np.isnan(table["z_roof"]["c"])
    assert city.why("a", "z_roof")[0].method == "ground height plus the stated height"
    assert city.geometry_table(lod="1").num_rows == 2


def test_a_roof_below_the_ground_gets_no_block_and_is_named(tmp_path: Path) -> None:
    city = fuse([register(roofs=[2.0, 20.0, 9.0]), raster(tmp_path, "dtm", 0.0)])
    assert city.geometry_table(lod="1").num_rows == 2
    invalid = city.issues[city.issues["code"] == "invalid"]
    assert invalid["object"].tolist() == ["a"]


def test_without_any_height_nothing_is_invented() -> None:
    city = fuse([register()])
    assert city.table("Building", ["z_roof"])["z_roof"].isna().all()
    assert city.geometry_table().num_rows == 0
