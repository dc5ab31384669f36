"""A block of 16 × 16 cells with three houses and a road, stored as a city: a flood of it takes a blink."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.model import CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.sim import ensemble
from cim.storage import save

X, Y = 500000.0, 3460000.0
FLOOD = """\
city = "block.cim"
name = "storms"
seed = 3

[[option]]
name = "dyke"
[[option.change]]
do = "change_terrain"
id = "dyke-1"
area = [[500000, 3460008], [500032, 3460008], [500032, 3460010], [500000, 3460010]]
by = 0.5

[flood]
until = "5min"
output_every = "5min"
infiltration = "none"
[flood.rain]
kind = "constant"
intensity = 600.0
plausible = false

[impact]

[axes]
change = ["none", "dyke"]
flood.rain.intensity = [300.0, 600.0, 900.0, 1200.0, 1500.0]
flood.roughness = [0.02, 0.03, 0.04, 0.05]
"""
STILL = """\
city = "block.cim"
name = "still"

[inundation]
levels = [2.0]

[axes]
inundation.levels = [[0.9], [1.4], [1.9], [2.4]]
"""


@pytest.fixture
def block(tmp_path: Path) -> Path:
    """Give a folder with the city and two scenarios: ``flood.toml`` (40 members), ``still.toml`` (4)."""
    return make_block(tmp_path)


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give such a folder with the 40 members run here, one after the other, into ``serial``; to be read only."""
    folder = make_block(tmp_path_factory.mktemp("flooded"))
    made = ensemble.run(folder / "flood.toml", folder / "serial")
    assert (made.ran, len(made.members), made.failed) == (40, 40, {})
    return folder


def make_block(tmp_path: Path) -> Path:
    """Write the city and the scenarios."""
    builder = CityBuilder("EPSG:4549+5737", name="block")
    shapes = [shapely.box(X + x, Y + y, X + x + 6, Y + y + 6) for x, y in ((4, 4), (14, 12), (22, 22))]
    builder.add_objects(
        "Building", ["low", "middle", "high"], footprints=np.array(shapes, object), z_ground=[1.0, 1.5, 2.0], z_roof=[9.0, 9.0, 9.0]
    )
    slope = np.add.outer(np.linspace(2.3, 0.8, 16), np.linspace(0.0, 0.2, 16))
    ground = Raster(slope, X, Y + 32, 2.0, 2.0, builder.crs)
    terrain = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(*ground.bounds)])
    tif = write_raster(ground, tmp_path / "dtm.tif").resolve()
    builder.add_coverage(int(terrain[0]), kind="raster", path=str(tif), format="GeoTIFF", crs=builder.crs.to_string(), unit="m")
    save(builder.build(), tmp_path / "block.cim")
    (tmp_path / "flood.toml").write_text(FLOOD, encoding="utf-8")
    (tmp_path / "still.toml").write_text(STILL, encoding="utf-8")
    return tmp_path
