"""A small city with something in every table, and a store that holds it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import extrude
from cim.storage import save


def make_city(count: int = 200, *, seed: int = 1) -> City:
    """Return buildings with attributes and LoD1 blocks, two roads, and a few rows of every other table."""
    chance = np.random.default_rng(seed)
    builder = CityBuilder("EPSG:7415", name="三河 one", time_zone="Asia/Shanghai")
    source = builder.add_source(
        SourceRecord(name="register", path="register.gpkg", sha256="0" * 64, accuracy=0.1, read_at=datetime(2026, 7, 1, tzinfo=UTC))
    )
    x = 85_000 + 10.0 * np.arange(count)
    shapes = shapely.box(x, 447_000, x + 5, 447_000 + chance.uniform(4, 8, count))
    height = np.round(chance.uniform(3, 60, count), 2)
    keys = builder.add_objects(
        "Building", [f"b{row}" for row in range(count)], footprints=shapes, z_ground=0.0, z_roof=height, valid_from=None, source=source
    )
    label = [None if row % 7 == 0 else f"第{row}号" for row in range(count)]
    columns = {"height": Column(height, unit="m", source_field="H", label_zh="高度", label_en="height"), "label": Column(label)}
    builder.add_attributes(keys, "Building", columns)
    blocks = extrude(shapes, 0.0, height)
    solids = builder.add_geometries(
        keys[blocks.row],
        lod="1",
        role="solid",
        type=blocks.type,
        vertices=blocks.vertices,
        boundaries=blocks.boundaries,
        semantics=blocks.semantics,
    )
    builder.add_surfaces(np.repeat(solids, 3), np.tile([0, 1, 2], count), list(blocks.SURFACES) * count)
    lines = np.array([shapely.LineString([(84_990, 446_990), (90_000, 446_990)]), None], object)
    roads = builder.add_objects("Road", ["r0", "r1"], footprints=lines, parents=["b1", None], source=source)
    builder.add_links(roads, "road", ["n0", "n1"], ["n1", "n2"], length=[10.0, 20.0])
    builder.add_identifiers(keys[:2], "BAG", ["0503100000018603", "0503100000017303"])
    builder.add_relations(keys[:1], "connectsTo", roads[:1], scores=[0.5])
    builder.add_claims(keys[:1], "height", ["12.5"], unit="m", source=source)
    builder.add_matches(keys[:1], source, ["17"], scores=[0.9])
    builder.add_properties(keys[:1], "Pset_Wall", "FireRating", "F90")
    builder.add_issue("guessed", "the floor height is assumed to be 3 m", object=int(keys[0]), source=source)
    return builder.build()


def with_raster(city_name: str, file: Path) -> City:
    builder = CityBuilder("EPSG:7415", name=city_name)
    keys = builder.add_objects("ReliefFeature", ["ground"], footprints=[shapely.box(0, 0, 1, 1)])
    builder.add_coverage(int(keys[0]), kind="raster", path=str(file), format="GeoTIFF", unit="m")
    return builder.build()


def assert_same_city(found: City, expected: City) -> None:
    """Compare every table with its types, units and labels, and every fact that is no table."""
    assert list(found.tables) == list(expected.tables)
    assert sorted(found.attributes) == sorted(expected.attributes)
    for stored, made in ((found.tables, expected.tables), (found.attributes, expected.attributes)):
        for name in made:
            assert stored[name].schema.equals(made[name].schema, check_metadata=True), name
            assert stored[name].equals(made[name]), name
    assert found.crs == expected.crs
    assert (found.origin == expected.origin).all()
    assert (found.name, found.time_zone, found.extra) == (expected.name, expected.time_zone, expected.extra)


@pytest.fixture(scope="session")
def city() -> City:
    """Give a small city."""
    return make_city()


@pytest.fixture
def store(city: City, tmp_path: Path) -> Path:
    """Give a store that holds the small city as its only version."""
    path = tmp_path / "small.cim"
    save(city, path, message="first")
    return path
