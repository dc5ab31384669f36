"""The ground floor of a building: one level, from the ground of the building, whatever is dug or filled beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster
from cim.results import Fields
from cim.scenario import Change
from cim.sim.impact import exposure
from tests.sim.impact.helpers import CRS, add_buildings, make_city, make_water, rows

HOUSE = shapely.box(8, 8, 14, 14)  # cells 4 to 6 of 2 m, both ways
EAST = (5, 7)  # row from the north, column: a cell of the ring


def field(base: float, **cells: float) -> np.ndarray:
    values = np.full((11, 11), base)
    if "east" in cells:
        values[EAST] = cells["east"]
    return values


def building(city: City, water: Fields, **options: Any) -> dict[str, Any]:
    return rows(exposure(city, water, **options), "buildings")["a"]


def test_the_assumed_floor_is_the_ground_of_the_building_and_the_step() -> None:
    row = building(make_city({"a": HOUSE}, z_ground=[-0.025]), make_water(field(0.0, east=0.201), ground=field(0.3, east=0.081)))
    assert (row["floor_source"], row["ground_source"], row["threshold_height"]) == ("assumed", "z_ground", 0.15)
    assert row["floor_level"] == -0.025 + 0.15
    assert row["depth_inside"] == pytest.approx(0.282 - 0.125, abs=2e-6)  # the level less the floor, not 0.201 m less the step


def test_a_pond_that_lowers_the_level_beside_a_house_takes_the_water_out_of_it() -> None:
    city = make_city({"a": HOUSE}, z_ground=[-0.025])
    base = building(city, make_water(field(0.0, east=0.282 - 0.081), ground=field(0.3, east=0.081)))
    pond = building(city, make_water(field(0.0, east=0.026 + 0.565), ground=field(0.3, east=-0.565)))
    assert pond["depth_max"] == pytest.approx(0.591, abs=2e-6)  # the water in the pond is deep …
    assert (pond["depth_inside"], pond["water_inside"]) == (0.0, "no")  # … and lies below the floor
    assert base["depth_inside"] == pytest.approx(0.157, abs=2e-6)
    assert pond["floor_level"] == base["floor_level"]
    assert pond["hazard_class"] == "significant"  # of the pond beside it: 0.591 * 0.5 + 1


@settings(max_examples=60, deadline=None)
@given(st.floats(-2, 0.149), st.floats(0, 3), st.floats(0, 2), st.floats(0, 2))
def test_where_the_level_falls_and_ground_is_dug_water_inside_never_rises(ground: float, depth: float, dug: float, fall: float) -> None:
    level = ground + depth
    after = max(level - fall, ground - dug)
    city = make_city({"a": HOUSE}, z_ground=[0.0])
    one = building(city, make_water(field(0.0, east=depth), ground=field(-3.0, east=ground)))
    two = building(city, make_water(field(0.0, east=after - (ground - dug)), ground=field(-3.0, east=ground - dug)))
    filmed = depth < 0.05  # a film does not count as water, deeper water at its level does
    assert two["depth_inside"] <= (max(level - 0.15, 0.0) if filmed else one["depth_inside"]) + 3e-6  # twice the rounding of the fields


def slope(z_ground: float, depth: np.ndarray) -> dict[str, Any]:
    """Return a house on ground that rises by 5 % to the east, 0 in its middle (x = 11 m)."""
    ground = np.broadcast_to(0.05 * (np.arange(11) * 2.0 + 1.0 - 11.0), (11, 11))
    return building(make_city({"a": HOUSE}, z_ground=[z_ground]), make_water(depth, ground=ground))


def test_on_a_slope_water_on_the_uphill_side_comes_in_at_its_level() -> None:
    wet = field(0.0)
    wet[5, 7], wet[5, 3] = 0.10, 0.30  # ground 0.2 and -0.2: levels 0.3 and 0.1
    row = slope(0.1, wet)
    assert row["floor_level"] == 0.25
    assert row["depth_inside"] == pytest.approx(0.05, abs=2e-6)  # 0.3 - 0.25; over the step of each cell it were 0.15, from below
    only_below = wet.copy()
    only_below[5, 7] = 0.0
    assert slope(0.1, only_below)["depth_inside"] == 0.0


def test_where_the_ground_uphill_lies_above_the_floor_no_more_comes_in_than_stands_there() -> None:
    wet = field(0.0, east=0.08)  # ground 0.2, floor 0.0: the level is 0.28 above it
    assert slope(-0.15, wet)["depth_inside"] == pytest.approx(0.08, abs=2e-6)
    row = slope(-0.15, field(0.0, east=0.049))
    assert (row["status"], row["depth_inside"], row["water_inside"]) == ("dry", 0.0, "no")  # a film below wet_depth


def test_a_stated_step_counts_from_the_ground_of_the_building_too() -> None:
    city = make_city({"a": HOUSE}, attributes={"threshold_height": Column([0.3], unit="m")}, z_ground=[1.0])
    row = building(city, make_water(field(0.0, east=1.6), ground=field(0.2, east=0.0)))
    assert (row["floor_source"], row["floor_level"], row["depth_inside"]) == ("attribute", 1.3, pytest.approx(0.3, abs=2e-6))


# --------------------------------------------------------------------------------------------- without z_ground


def test_without_z_ground_the_median_of_the_ground_beside_the_house_is_taken_and_counted() -> None:
    ground = np.random.default_rng(3).uniform(0, 0.4, (11, 11)).round(3)
    result = exposure(make_city({"a": HOUSE}), make_water(field(0.0), ground=ground))
    row = rows(result, "buildings")["a"]
    near = HOUSE.buffer(3.0, quad_segs=8)
    ring = [
        ground[r, c]
        for r in range(11)
        for c in range(11)
        if near.intersects(point := shapely.Point(2 * c + 1, 21 - 2 * r)) and not HOUSE.intersects(point)
    ]
    assert row["cells"] == len(ring)
    assert row["floor_level"] == pytest.approx(np.median(ring) + 0.15, abs=2e-6)
    assert row["ground_source"] == "run"
    assert any("1 buildings state no z_ground in the height system of the water" in note for note in result.run.assumptions)


def with_terrain(folder: Path, ground: np.ndarray) -> City:
    builder = CityBuilder(CRS)
    add_buildings(builder, {"a": HOUSE})
    raster = Raster(ground, 0.0, 22.0, 2.0, 2.0, builder.crs)
    terrain = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(*raster.bounds)])
    path = write_raster(raster, folder / "dtm.tif").resolve()
    builder.add_coverage(int(terrain[0]), kind="raster", path=str(path), format="GeoTIFF", crs=builder.crs.to_string(), unit="m")
    return builder.build()


def test_without_z_ground_digging_beside_the_house_does_not_move_its_floor(tmp_path: Path) -> None:
    base = with_terrain(tmp_path, field(1.0))
    area = "POLYGON ((2 2, 20 2, 20 20, 2 20, 2 2))"
    option = Change("pond").change_terrain("pond", area=area, by=-0.5).apply(base)
    before, result = building(base, make_water(field(0.3), ground=1.0)), exposure(option, make_water(field(0.4), ground=0.5))
    after = rows(result, "buildings")["a"]
    assert before["floor_level"] == after["floor_level"] == 1.15
    assert (before["depth_inside"], after["depth_inside"]) == (pytest.approx(0.15, abs=2e-6), 0.0)
    assert after["ground_source"] == "terrain"
    assert any("median of the terrain beside them, without its edits" in note for note in result.run.assumptions)
    (tmp_path / "dtm.tif").unlink()
    lost = exposure(option, make_water(field(0.4), ground=0.5))
    assert rows(lost, "buildings")["a"]["ground_source"] == "run"
    assert any("with edits of the terrain" in note for note in lost.run.assumptions)


def test_heights_from_another_zero_are_seen() -> None:
    result = exposure(make_city({"a": HOUSE}, z_ground=[55.0]), make_water(field(0.5), ground=10.0))
    assert any("1 buildings state a ground more than 1 m off" in note for note in result.run.assumptions)
    fine = exposure(make_city({"a": HOUSE}, z_ground=[10.9]), make_water(field(0.5), ground=10.0))
    assert not any("more than 1 m off" in note for note in fine.run.assumptions)


def test_in_another_height_system_the_floor_follows_the_ground_of_the_run_and_no_level_is_stated() -> None:
    city = make_city({"a": HOUSE}, z_ground=[55.0])
    row = building(city, make_water(field(0.4), ground=10.0, vertical="EVRF2007 height"))
    assert (row["ground_source"], row["floor_level"], row["depth_inside"]) == ("run", None, pytest.approx(0.25, abs=2e-6))


def test_a_run_without_ground_says_nothing_of_water_inside() -> None:
    result = exposure(make_city({"a": HOUSE}, z_ground=[0.0]), make_water(field(0.4), drop=("ground_elevation",)))
    row = rows(result, "buildings")["a"]
    assert (row["status"], row["depth_max"], row["water_inside"], row["depth_inside"]) == ("wet", 0.4, "not_assessed", None)
    assert any("water inside is not assessed" in note for note in result.run.assumptions)
