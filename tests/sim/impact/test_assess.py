"""Exposure against a loop over every cell, and what must hold whatever the water."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import shapely

import cim
from cim.errors import CRSError, CRSMismatchError, UsageError
from cim.model import City, CityBuilder, Column
from cim.results import Fields, RunRecord, city_fingerprint, load_result, save_result
from cim.sim.impact import exposure
from cim.sim.impact.hazard import DEFRA_CLASSES
from tests.sim.impact.helpers import CRS, START, add_buildings, make_city, make_water, rows
from tests.sim.impact.test_hazard import slow_arr

HOUSE = shapely.box(8, 8, 14, 14)  # cells 4 to 6 of 2 m, both ways
FLAT = np.zeros((11, 11))


def wet_at(*cells: tuple[int, int], depth: float = 0.4, base: float = 0.0) -> np.ndarray:
    """Return depths with water on some cells: (column, row counted from the south)."""
    field = np.full((11, 11), base)
    for column, row in cells:
        field[10 - row, column] = depth
    return field


def test_every_number_of_a_building_agrees_with_a_loop_over_the_cells() -> None:
    random = np.random.default_rng(5)
    depth, velocity = random.uniform(0, 1.5, (30, 40)).round(3), random.uniform(0, 3, (30, 40)).round(3)
    arrival, duration = random.uniform(0, 7000, (30, 40)).round(), random.uniform(0, 900, (30, 40)).round()
    depth[depth < 0.5] = 0.0
    shapes = {
        f"b{number}": shapely.affinity.rotate(shapely.box(x, y, x + w, y + h), angle)
        for number, (x, y, w, h, angle) in enumerate(
            zip(
                *random.uniform(8, 60, (1, 12)),
                *random.uniform(8, 44, (1, 12)),
                *random.uniform(3, 9, (2, 12)),
                random.uniform(0, 90, 12),
                strict=True,
            )
        )
    }
    found = rows(exposure(make_city(shapes), make_water(depth, velocity=velocity, arrival=arrival, duration=duration)), "buildings")
    roof = shapely.union_all(list(shapes.values()))
    for name, shape in shapes.items():
        near = shape.buffer(3.0, quad_segs=8)
        ring = [
            (row, column)
            for row in range(30)
            for column in range(40)
            if near.intersects(point := shapely.Point(column * 2 + 1, 59 - row * 2)) and not roof.intersects(point)
        ]
        row = found[name]
        assert row["cells"] == len(ring)
        wet = [cell for cell in ring if depth[cell] >= 0.05]
        expected = {
            "depth_max": max(depth[cell] for cell in ring), "depth_mean": sum(depth[cell] for cell in ring) / len(ring),
            "velocity_max": max(velocity[cell] for cell in ring), "depth_velocity_max": max(depth[cell] * velocity[cell] for cell in ring),
            "duration": max([duration[cell] for cell in wet], default=0.0),
            "first_wet": min([arrival[cell] for cell in wet], default=None),
            "hazard_rating": max([depth[c] * (velocity[c] + 0.5) + (depth[c] > 0.25 or velocity[c] > 2) for c in wet], default=None),
        }  # fmt: skip
        for column, value in expected.items():
            assert row[column] == (None if value is None else pytest.approx(value, abs=2e-6)), (name, column)  # fields are single precision
        assert row["status"] == ("wet" if wet else "dry")
        highest = max([slow_arr(depth[c], velocity[c], round(depth[c] * velocity[c], 6)) for c in wet], default=None)
        assert row["arr_class"] == (None if highest is None else f"H{highest}")
        if wet:
            assert row["first_wet_at"] == START + timedelta(seconds=row["first_wet"])
            limits = sum(row["hazard_rating"] >= limit for limit in (0.75, 1.25, 2.0))
            assert row["hazard_class"] == DEFRA_CLASSES[limits]


def test_water_on_a_roof_does_not_make_a_house_wet() -> None:
    row = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((5, 5), depth=3.0))), "buildings")["a"]
    assert (row["status"], row["depth_max"], row["water_inside"]) == ("dry", 0.0, "no")


def test_water_on_the_roof_of_a_neighbour_is_not_water_at_the_house() -> None:
    city = make_city({"a": HOUSE, "b": shapely.box(14, 8, 20, 14)})
    row = rows(exposure(city, make_water(wet_at((7, 5), depth=3.0))), "buildings")["a"]
    assert (row["status"], row["depth_max"]) == ("dry", 0.0)


def test_water_beyond_the_ring_is_none_of_the_house() -> None:
    near, far = (rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((column, 5)))), "buildings")["a"] for column in (7, 9))
    assert (near["status"], near["depth_max"]) == ("wet", 0.4)
    assert far["status"] == "dry"
    wide = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((9, 5))), ring=3.0), "buildings")["a"]
    assert wide["status"] == "wet"


def test_a_house_with_an_unknown_cell_around_is_wet_or_not_assessed_but_never_dry() -> None:
    hole = wet_at((7, 5), depth=np.nan)
    row = rows(exposure(make_city({"a": HOUSE}), make_water(hole)), "buildings")["a"]
    assert (row["status"], row["reason"], row["water_inside"], row["depth_max"]) == ("not_assessed", "unknown_cells", "not_assessed", None)
    hole[10 - 5, 3] = 0.3
    row = rows(exposure(make_city({"a": HOUSE}), make_water(hole)), "buildings")["a"]
    assert (row["status"], row["depth_max"], row["water_inside"]) == ("wet", 0.3, "yes")
    assert 0 < row["unknown"] < 0.1


def test_a_wet_house_with_an_unknown_cell_and_little_water_may_still_have_water_inside() -> None:
    hole = wet_at((7, 5), depth=np.nan)
    hole[10 - 5, 3] = 0.1  # below the threshold of 0.15 m
    row = rows(exposure(make_city({"a": HOUSE}), make_water(hole)), "buildings")["a"]
    assert (row["status"], row["water_inside"], row["depth_inside"]) == ("wet", "not_assessed", None)


def test_a_share_of_unknown_cells_may_be_allowed() -> None:
    row = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=np.nan)), unknown_share=0.1), "buildings")["a"]
    assert (row["status"], row["water_inside"]) == ("dry", "no")


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (shapely.box(100, 100, 110, 110), "outside_domain"),
        (shapely.box(0, 8, 4, 14), "partly_outside_domain"),
        (shapely.box(-50, 8, 4, 14), "partly_outside_domain"),
        (None, "missing_footprint"),
        (shapely.box(-1, -1, 23, 23), "partly_outside_domain"),
    ],
)
def test_a_house_the_water_does_not_surround_is_not_assessed(shape: Any, reason: str) -> None:
    result = exposure(make_city({"a": HOUSE, "b": shape}), make_water(FLAT))
    row = rows(result, "buildings")["b"]
    assert row["status"] == "not_assessed"
    assert row["reason"] in {reason, "outside_domain"}
    assert row["depth_max"] is None
    assert any("buildings: 1 not assessed" in note for note in result.run.assumptions)


def test_a_house_among_roofs_sees_no_water_and_says_so() -> None:
    city = make_city({"inner": shapely.box(10, 10, 12, 12), "around": shapely.box(4, 4, 18, 18)})
    row = rows(exposure(city, make_water(FLAT)), "buildings")["inner"]
    assert (row["status"], row["reason"]) == ("not_assessed", "no_open_cell")


def test_a_limit_is_not_passed_by_the_noise_of_single_precision() -> None:
    row = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.3), velocity=1.0)), "buildings")["a"]
    assert (row["depth_max"], row["arr_class"]) == (0.3, "H1")
    row = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.05), velocity=1.0)), "buildings")["a"]
    assert row["status"] == "wet"


def test_the_wet_depth_is_that_of_the_run_unless_another_is_given() -> None:
    city, shallow = make_city({"a": HOUSE}), wet_at((7, 5), depth=0.08)
    assert rows(exposure(city, make_water(shallow, wet_depth=0.05)), "buildings")["a"]["status"] == "wet"
    assert rows(exposure(city, make_water(shallow, wet_depth=0.1)), "buildings")["a"]["status"] == "dry"
    assert rows(exposure(city, make_water(shallow, wet_depth=0.05), wet_depth=0.1), "buildings")["a"]["status"] == "dry"


def test_with_another_wet_depth_times_are_found_between_the_outputs() -> None:
    series = [wet_at((7, 5), depth=depth) for depth in (0.0, 0.2, 0.6, 0.6, 0.0)]  # every 600 s
    water = make_water(wet_at((7, 5), depth=0.6), series=series)
    row = rows(exposure(make_city({"a": HOUSE}), water, wet_depth=0.3), "buildings")["a"]
    assert row["first_wet"] == pytest.approx(600 + 600 * 0.25)
    assert row["duration"] == pytest.approx(600 * 0.75 + 600 + 600 * 0.5)
    without = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.6)), wet_depth=0.3), "buildings")["a"]
    assert (without["status"], without["first_wet"], without["duration"]) == ("wet", None, None)


def test_a_run_without_velocity_gives_depths_and_no_hazard() -> None:
    dropped = ("maximum_velocity", "maximum_unit_discharge", "maximum_hazard")
    result = exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5)), drop=dropped))
    row = rows(result, "buildings")["a"]
    assert (row["status"], row["depth_max"], row["hazard_rating"], row["hazard_class"], row["arr_class"]) == ("wet", 0.4, None, None, None)
    assert any("maximum_velocity" in note for note in result.run.assumptions)


def test_without_maxima_the_greatest_output_is_taken_and_said() -> None:
    series = [wet_at((7, 5), depth=depth) for depth in (0.0, 0.5, 0.2)]
    result = exposure(make_city({"a": HOUSE}), make_water(FLAT, series=series, drop=("maximum_depth",)))
    assert rows(result, "buildings")["a"]["depth_max"] == 0.5
    assert any("greatest of 3 outputs" in note for note in result.run.assumptions)


# --------------------------------------------------------------------------------------------- the ground floor


def inside(city: City, water: Fields, **options: Any) -> tuple[Any, ...]:
    row = rows(exposure(city, water, **options), "buildings")["a"]
    return row["floor_source"], row["floor_level"], row["threshold_height"], row["depth_inside"], row["water_inside"]


def test_without_a_level_a_threshold_is_assumed_and_marked() -> None:
    result = exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.4)))
    row = rows(result, "buildings")["a"]
    assert (row["floor_source"], row["threshold_height"], row["water_inside"]) == ("assumed", 0.15, "yes")
    assert row["depth_inside"] == pytest.approx(0.25)
    assert any("1 of 1 buildings state no ground floor" in note for note in result.run.assumptions)


def test_water_up_to_the_threshold_stays_outside() -> None:
    assert inside(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.15)))[3:] == (0.0, "no")
    assert inside(make_city({"a": HOUSE}), make_water(wet_at((7, 5), depth=0.16)))[4] == "yes"


def test_a_stated_level_or_threshold_comes_before_the_assumed_one() -> None:
    water = make_water(wet_at((7, 5), depth=0.4), ground=10.0)
    found = inside(make_city({"a": HOUSE}, attributes={"threshold_height": Column([0.3], unit="m")}), water)
    assert found == ("attribute", pytest.approx(10.3), 0.3, pytest.approx(0.1), "yes")
    found = inside(make_city({"a": HOUSE}, attributes={"ground_floor_level": Column([10.35], unit="m")}), water)
    assert found == ("attribute", 10.35, None, pytest.approx(0.05), "yes")


def test_heights_in_another_system_are_not_compared() -> None:
    city = make_city({"a": HOUSE}, attributes={"ground_floor_level": Column([10.35], unit="m")})
    result = exposure(city, make_water(wet_at((7, 5), depth=0.4), ground=10.0, vertical="EVRF2007 height"))
    assert rows(result, "buildings")["a"]["floor_source"] == "assumed"
    assert any("EVRF2007" in note for note in result.run.assumptions)


def test_a_film_on_ground_above_the_floor_is_no_deep_water_inside() -> None:
    city = make_city({"a": HOUSE}, attributes={"ground_floor_level": Column([9.0], unit="m")})
    assert inside(city, make_water(wet_at((7, 5), depth=0.06), ground=10.0))[3] == pytest.approx(0.06)


def with_storeys() -> CityBuilder:
    builder = CityBuilder(CRS)
    add_buildings(builder, {"a": HOUSE}, z_ground=[10.0])
    builder.add_objects("BuildingStorey", ["-1", "0", "1"], parents=["a"] * 3, z_ground=[7.1, 10.2, 13.3])
    return builder


def test_the_storey_nearest_to_the_ground_is_the_ground_floor() -> None:
    found = inside(with_storeys().build(), make_water(wet_at((7, 5), depth=0.4), ground=10.0))
    assert found == ("storey", 10.2, None, pytest.approx(0.2), "yes")


def with_doors(wet: np.ndarray) -> Fields:
    builder = with_storeys()
    doors = builder.add_objects("Door", ["front", "back", "inner", "upper", "lost"], parents=["0", "0", "0", "1", "0"])
    middles = [(14.0, 11.0, 10.3), (8.0, 11.0, 10.1), (11.0, 11.0, 10.2), (14.0, 11.0, 13.3)]
    for key, (x, y, z) in zip(doors[:4], middles, strict=True):
        corners = np.array([[x - 0.1, y - 0.5, z], [x + 0.1, y - 0.5, z], [x, y + 0.5, z + 2.1]])
        vertices, boundaries = cim.model.geometry.mesh_columns(corners, np.array([[0, 1, 2]]))
        builder.add_geometries([key], lod="3", role="mesh", type="MultiSurface", vertices=vertices, boundaries=boundaries)
    builder.add_properties(doors[3:4], "Pset_DoorCommon", ["IsExternal"], ["true"])
    return exposure(builder.build(), make_water(wet, ground=10.0))


def test_water_stands_over_the_sill_of_the_door_it_reaches() -> None:
    result = with_doors(wet_at((7, 5), depth=0.4))  # east of the house, at the front
    doors = rows(result, "doors")
    assert (doors["front"]["status"], doors["front"]["sill_level"]) == ("wet", 10.3)
    assert doors["front"]["depth_over_sill"] == pytest.approx(0.1)
    assert (doors["back"]["status"], doors["back"]["depth_over_sill"]) == ("dry", 0.0)
    assert (doors["inner"]["status"], doors["inner"]["reason"]) == ("not_assessed", "inside_the_building")
    assert (doors["upper"]["status"], doors["upper"]["depth_over_sill"], doors["upper"]["building"]) == ("dry", 0.0, "a")
    assert doors["lost"]["status"] == "not_assessed"
    building = rows(result, "buildings")["a"]
    assert (building["floor_source"], building["floor_level"], building["water_inside"]) == ("door", 10.1, "yes")
    assert building["depth_inside"] == pytest.approx(0.1)


def test_water_that_reaches_no_door_stays_outside_even_when_it_is_above_the_floor() -> None:
    building = rows(with_doors(wet_at((5, 7), depth=0.4)), "buildings")["a"]  # at the blind north wall
    assert (building["status"], building["depth_max"], building["water_inside"]) == ("wet", 0.4, "no")


# --------------------------------------------------------------------------------------------- the result


def test_an_option_is_compared_with_its_base_in_words() -> None:
    city = make_city({"a": HOUSE, "b": shapely.box(16, 4, 18, 6)})
    base = exposure(city, make_water(wet_at((7, 5), depth=0.4)))
    option = exposure(city, make_water(wet_at((9, 2), depth=0.2)))
    made = cim.compare(base, option)
    words = {row["object"]: row["change"] for row in made.table("buildings").to_pylist()}
    assert words == {"a": "wet -> dry", "b": "dry -> wet"}
    difference = {row["object"]: row["depth_max_difference"] for row in made.table("buildings").to_pylist()}
    assert difference == {"a": pytest.approx(-0.4), "b": pytest.approx(0.2)}
    assert made.noise.value == 0.0


def test_it_comes_back_from_a_folder_as_it_was(tmp_path: Any) -> None:
    result = exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5))))
    back = load_result(save_result(result, tmp_path / "impact"))
    assert isinstance(back, Fields)
    assert {name: table.to_pylist() for name, table in back.tables.items()} == {
        name: table.to_pylist() for name, table in result.tables.items()
    }
    assert back.run.assumptions == result.run.assumptions
    assert "duration" in result._repr_html_()


def test_water_of_another_city_is_said() -> None:
    city = make_city({"a": HOUSE})
    own = exposure(city, make_water(FLAT, inputs={"city": city_fingerprint(city)}))
    other = exposure(city, make_water(FLAT, inputs={"city": "blake2b:other"}))
    assert not any("another city" in note for note in own.run.assumptions)
    assert any("another city" in note for note in other.run.assumptions)


def test_a_run_without_start_gives_seconds_and_no_instants() -> None:
    row = rows(exposure(make_city({"a": HOUSE}), make_water(wet_at((7, 5)), start=None)), "buildings")["a"]
    assert (row["first_wet"], row["first_wet_at"]) == (600.0, None)


def test_a_city_without_anything_gives_empty_tables() -> None:
    result = exposure(CityBuilder(CRS).build(), make_water(FLAT))
    assert {name: table.num_rows for name, table in result.tables.items()} == dict.fromkeys(result.tables, 0)


def test_what_makes_no_sense_is_refused_with_all_faults() -> None:
    city, water = make_city({"a": HOUSE}), make_water(FLAT)
    with pytest.raises(UsageError, match=r"2 faults:\n  ring: .*0\.5.*\n  threshold: .*not permitted"):
        exposure(city, water, ring=0.5, threshold=1.0)
    with pytest.raises(UsageError, match="currency and price_year"):
        exposure(city, water, value_per_m2={"residential": 1.0})
    with pytest.raises(UsageError, match="hazard_classes must rise"):
        exposure(city, water, hazard_classes=(2.0, 1.0, 3.0))
    with pytest.raises(CRSMismatchError, match=r"EPSG:28992|Amersfoort"):
        exposure(city, make_water(FLAT, crs="EPSG:28992"))
    with pytest.raises(CRSError, match="degrees"):
        exposure(make_city({"a": HOUSE}, crs="EPSG:4326"), water)
    empty = Fields("rain", water.dataset.drop_vars(list(water.dataset.data_vars)), {}, RunRecord("rain", "1"))
    with pytest.raises(UsageError, match="expected maximum_depth or water_depth"):
        exposure(city, empty)


@pytest.mark.heavy
def test_a_hundred_thousand_buildings_are_judged_at_once() -> None:
    x, y = (one.ravel() for one in np.meshgrid(np.arange(320) * 15.0, np.arange(320) * 15.0))
    builder = CityBuilder(CRS)
    builder.add_objects("Building", [f"b{number}" for number in range(len(x))], footprints=shapely.box(x + 4, y + 4, x + 11, y + 12))
    city = builder.build()
    water = make_water(np.random.default_rng(1).uniform(0, 1, (2400, 2400)))
    result = exposure(city, water)
    assert result.table("buildings").num_rows == 102_400
