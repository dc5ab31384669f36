"""Static inundation against exact cases, a slow search cell by cell, and the laws of still water."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cim.crs import parse
from cim.errors import CRSError, CRSMismatchError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.model.coverages import Raster
from cim.results import compare
from cim.sim.bathtub import UNCERTAIN, UNKNOWN_GROUND, WET, flood
from cim.sim.cells import cells_inside
from cim.sim.inundation import SIMULATOR, STAYS_DRY, simulate, stays_dry

Cases = Callable[[str], list[dict[str, Any]]]
CRS = "EPSG:4549+5737"
PITS = np.array([[6.0] * 9, *[[6.0, 2.0, 1.0, 2.0, 5.0, 2.0, 1.0, 2.0, 6.0]] * 3, [6.0] * 9])


def raster(values: Any, crs: str = CRS, size: float = 10.0) -> Raster:
    ground = np.array(values, float)
    return Raster(ground, x_min=0.0, y_max=size * len(ground), dx=size, dy=size, crs=parse(crs))


def cell_box(place: tuple[int, int], ground: Raster) -> Any:
    row, column = place
    return shapely.box(*[ground.x[column] - 4, ground.y[row] - 4, ground.x[column] + 4, ground.y[row] + 4])


def make_city(shapes: dict[str, Any], water: dict[str, Any] | None = None, crs: str = CRS) -> City:
    builder = CityBuilder(crs)
    builder.add_objects("Building", list(shapes), footprints=np.array(list(shapes.values()), object))
    if water:
        builder.add_objects("WaterBody", list(water), footprints=np.array(list(water.values()), object))
    return builder.build()


def mask(ground: Raster, row: int, column: int) -> np.ndarray:
    cells = np.zeros(ground.shape, bool)
    cells[row, column] = True
    return cells


def test_the_exact_cases_hold(exact_cases: Cases) -> None:
    for case in exact_cases("inundation"):
        inputs, expected = case["inputs"], case["expected"]
        ground = raster([[np.nan if one is None else one for one in row] for row in inputs["dem_m"]])
        source = mask(ground, *inputs["source_cell_row_col"])
        city = make_city({"protected": cell_box(inputs["protected_cell_row_col"], ground)})
        datum, level = inputs["water_level_datum"], inputs["water_level_m"]
        datum = None if datum is None else datum.split()[0]
        verdict = STAYS_DRY.run(
            city, levels=level, datum=datum, terrain=ground, source=source, connectivity=inputs["connectivity"]
        ).table.to_pylist()[0]
        assert verdict["verdict"] == expected["verdict"]["value"], case["id"]
        if "reason" in expected:
            assert (verdict["reason"], verdict["value"]) == (expected["reason"]["value"], None), case["id"]
            continue
        fields = SIMULATOR.run(city, levels=[level], datum=datum, terrain=ground, source=source, connectivity=inputs["connectivity"])
        found = fields.table("levels").to_pylist()[0]
        names = {
            "flooded_cells": "wet_cells",
            "flooded_area": "wet_area",
            "volume": "volume",
            "cells_at_or_below_level_unconnected": "unconnected_cells",
        }
        for name, column in names.items():
            assert found[column] == pytest.approx(expected[name]["value"], abs=expected[name]["tolerance"]), (case["id"], name)
        at_source = fields["water_depth"].values[0][source][0]
        assert at_source == pytest.approx(expected["depth_at_source"]["value"], abs=1e-9)
        building = fields.table("buildings").to_pylist()[0]
        assert (building["status"] == "wet") == expected["protected_cell_flooded"]["value"]


def slow_flood(ground: np.ndarray, level: float, source: np.ndarray, connectivity: int, *, through_unknown: bool = False) -> np.ndarray:
    """Breadth-first search, one cell after the other."""
    steps = [(0, 1), (0, -1), (1, 0), (-1, 0)] + ([(1, 1), (1, -1), (-1, 1), (-1, -1)] if connectivity == 8 else [])
    passable = [[(through_unknown and np.isnan(value)) or value <= level for value in row] for row in ground.tolist()]
    seen = [[False] * ground.shape[1] for _ in range(ground.shape[0])]
    queue = deque((row, column) for row, column in zip(*np.nonzero(source), strict=True) if passable[row][column])
    for row, column in queue:
        seen[row][column] = True
    while queue:
        row, column = queue.popleft()
        for down, right in steps:
            i, j = row + down, column + right
            if 0 <= i < ground.shape[0] and 0 <= j < ground.shape[1] and passable[i][j] and not seen[i][j]:
                seen[i][j] = True
                queue.append((i, j))
    return np.array(seen)


heights = st.sampled_from([0.0, 1.0, 2.0, 3.0, float("nan")])
grids = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.tuples(arrays(float, shape, elements=heights), arrays(bool, shape))
)


@settings(max_examples=200, deadline=None)
@given(grids, st.sampled_from([-0.5, 0.0, 1.5, 2.0, 9.0]), st.sampled_from([4, 8]))
def test_wet_cells_agree_with_a_slow_search(grid: tuple[np.ndarray, np.ndarray], level: float, connectivity: int) -> None:
    ground, source = grid
    reached = flood(ground, level, source, connectivity=connectivity)
    wet = slow_flood(ground, level, source, connectivity)
    assert ((reached.state == WET) == wet).all()
    maybe = slow_flood(ground, level, source, connectivity, through_unknown=True) & ~wet & ~np.isnan(ground)
    assert ((reached.state == UNCERTAIN) == maybe).all()
    assert ((reached.state == UNKNOWN_GROUND) == np.isnan(ground)).all()
    assert (np.isnan(reached.depth) == (np.isnan(ground) | maybe)).all()
    assert np.array_equal(reached.depth[wet], level - ground[wet])


@settings(max_examples=60, deadline=None)
@given(grids, st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.5]), min_size=2, max_size=4, unique=True))
def test_a_higher_level_never_wets_less_nor_holds_less_water(grid: tuple[np.ndarray, np.ndarray], levels: list[float]) -> None:
    ground, source = grid
    if not source.any():
        source = source.copy()
        source[0, 0] = True
    rows = simulate(make_city({}), levels=levels, terrain=raster(ground), source=source).table("levels").to_pandas()
    assert rows["level"].is_monotonic_increasing
    assert rows["wet_area"].is_monotonic_increasing
    assert rows["volume"].is_monotonic_increasing


def test_unknown_ground_as_a_wall_leaves_nothing_uncertain() -> None:
    ground = np.array([[1.0, np.nan, 1.0]])
    source = np.array([[True, False, False]])
    assert flood(ground, 2.0, source).state.tolist() == [[WET, UNKNOWN_GROUND, UNCERTAIN]]
    assert flood(ground, 2.0, source, missing="wall").state.tolist() == [[WET, UNKNOWN_GROUND, 0]]


def test_corners_let_water_through_only_when_asked() -> None:
    ground = raster([[1.0, 9.0], [9.0, 1.0]])
    source = mask(ground, 0, 0)
    wet = [
        simulate(make_city({}), levels=2.0, terrain=ground, source=source, connectivity=one).table("levels")["wet_cells"][0].as_py()
        for one in (4, 8)
    ]
    assert wet == [1, 2]


@pytest.mark.parametrize(
    ("source", "cells"),
    [
        ("edge", 0),
        ([(25.0, 25.0)], 9),
        (shapely.LineString([(15, 25), (75, 25)]), 18),
        ("WaterBody", 9),
        (["lake"], 9),
        ("lake", 9),
        ([shapely.Point(65, 25)], 9),
    ],
)
def test_water_comes_from_whatever_is_named(source: Any, cells: int) -> None:
    city = make_city({}, water={"lake": shapely.box(12, 12, 18, 18)})
    assert simulate(city, levels=4.0, terrain=raster(PITS), source=source).table("levels")["wet_cells"][0].as_py() == cells


def test_a_source_beyond_the_terrain_or_unknown_is_refused() -> None:
    ground = raster(PITS)
    with pytest.raises(UsageError, match="touches the terrain"):
        simulate(make_city({}), levels=4.0, terrain=ground, source=[(1e6, 1e6)])
    with pytest.raises(ObjectNotFoundError, match="'sea'"):
        simulate(make_city({}), levels=4.0, terrain=ground, source="sea")
    senseless: list[Any] = [[1.0, 2.0], [("a", 1.0)], np.zeros((2, 2), bool)]
    for bad in senseless:
        with pytest.raises(UsageError, match="expected"):
            simulate(make_city({}), levels=4.0, terrain=ground, source=bad)


def test_levels_that_are_none_are_refused_and_not_assessed() -> None:
    senseless: list[Any] = [[], float("nan"), None]
    for bad in senseless:
        with pytest.raises(UsageError, match="elevations of the water surface"):
            simulate(make_city({}), levels=bad, terrain=raster(PITS))
    city = make_city({"b": shapely.box(20, 20, 30, 30)})
    assert stays_dry(city, levels=[], terrain=raster(PITS), datum="terrain").table["reason"].to_pylist() == ["missing_water_level"]


def test_buildings_know_depth_and_the_level_that_wets_them() -> None:
    ground = raster(PITS)
    shapes = {
        "left": shapely.box(10, 10, 40, 40),
        "right": cell_box((2, 6), ground),
        "hill": cell_box((0, 0), ground),
        "hut": shapely.box(21, 21, 22, 22),
    }
    table = simulate(make_city(shapes), levels=[5.5, 4.0], terrain=ground, source=mask(ground, 2, 2)).to_pandas().reset_index()
    by = {(row["object"], row["level"]): row for row in table.to_dict("records")}
    assert [by["left", 4.0][name] for name in ("status", "depth_max", "cells", "wet_from", "wet_share")] == ["wet", 3.0, 9, 4.0, 1.0]
    assert by["left", 4.0]["depth_mean"] == pytest.approx(21 / 9)
    assert (by["right", 4.0]["status"], by["right", 5.5]["status"], by["right", 4.0]["wet_from"]) == ("dry", "wet", 5.5)
    assert (by["hill", 5.5]["status"], np.isnan(by["hill", 5.5]["wet_from"])) == ("dry", True)
    assert (by["hut", 4.0]["cells"], by["hut", 4.0]["depth_max"]) == (1, 3.0)  # smaller than a cell: where it stands


def test_buildings_nobody_can_tell_are_not_assessed() -> None:
    values = PITS.copy()
    values[2, 6] = np.nan
    ground = raster(values)
    shapes = {"gap": cell_box((2, 6), ground), "beyond": shapely.box(500, 500, 510, 510), "half": shapely.box(-5, 1, 9, 9), "nothing": None}
    found = (
        simulate(make_city(shapes), levels=4.0, terrain=ground, source=mask(ground, 2, 2), missing="wall").table("buildings").to_pylist()
    )
    assert {one["object"]: (one["status"], one["reason"], one["depth_max"]) for one in found} == {
        "gap": ("not_assessed", "missing_height", None),
        "beyond": ("not_assessed", "outside_terrain", None),
        "half": ("not_assessed", "outside_terrain", None),
        "nothing": ("not_assessed", "missing_footprint", None),
    }


def test_height_systems_must_agree() -> None:
    city = make_city({"b": cell_box((2, 2), raster(PITS))})
    with pytest.raises(CRSMismatchError, match="5736"):
        simulate(city, levels=4.0, terrain=raster(PITS), datum="EPSG:5736")
    assert stays_dry(city, levels=4.0, terrain=raster(PITS), datum="EPSG:5736").table["reason"][0].as_py() == "vertical_datum_mismatch"
    unknown = raster(PITS, crs="EPSG:4549")
    assert stays_dry(city, levels=4.0, terrain=unknown, datum="EPSG:5737").table["reason"][0].as_py() == "unknown_vertical_datum"
    assert stays_dry(city, levels=4.0, terrain=unknown, datum="terrain", source=mask(unknown, 2, 2)).table["verdict"][0].as_py() == "fail"


def test_terrain_must_lie_in_the_system_of_the_city() -> None:
    with pytest.raises(CRSMismatchError, match="RD New"):
        simulate(make_city({}), levels=4.0, terrain=raster(PITS, crs="EPSG:28992"))
    with pytest.raises(CRSError, match="geographic"):
        simulate(make_city({}, crs="EPSG:4326"), levels=4.0, terrain=raster(PITS, crs="EPSG:4326"))
    with pytest.raises(ObjectNotFoundError, match="no terrain"):
        simulate(make_city({}), levels=4.0)


def test_an_xarray_field_with_rising_y_is_turned() -> None:
    ground = raster(PITS[:, :5] + np.arange(5)[:, None] * 0.1)
    field = xr.DataArray(
        ground.values[::-1], dims=("y", "x"), coords={"y": ground.y[::-1], "x": ground.x}, attrs={"crs": CRS, "units": "m"}
    )
    one, other = (simulate(make_city({}), levels=4.0, terrain=terrain, source=[(25.0, 25.0)]) for terrain in (ground, field))
    assert np.array_equal(one["water_depth"].values, other["water_depth"].values)
    assert one.run.inputs == other.run.inputs
    with pytest.raises(UsageError, match="not regular"):
        simulate(make_city({}), levels=4.0, terrain=field.assign_coords(x=[0.0, 1.0, 2.0, 3.0, 9.0]))
    with pytest.raises(UsageError, match="coordinate system"):
        simulate(make_city({}), levels=4.0, terrain=field.drop_attrs())


def test_two_ways_to_count_the_volume_agree() -> None:
    fields = simulate(make_city({}), levels=[4.0, 5.5], terrain=raster(PITS + 1234.567), source=[(25.0, 25.0)])
    assert fields.run.balance["volume_residual_m3"] <= 1e-6  # 21 cells of 100 m², rounding 1e-13 of 1,240 m


def test_cells_of_overlapping_and_tiny_shapes_agree_with_a_slow_loop() -> None:
    ground = raster(np.zeros((12, 15)))
    random = np.random.default_rng(7)
    boxes = [shapely.box(x, y, x + w, y + h) for x, y, w, h in (random.uniform(0, 90, 4) for _ in range(30))]
    shapes = np.array([*boxes, shapely.Point(33, 44).buffer(2.0), None], object)
    pairs = cells_inside(shapes, ground)
    for place, shape in enumerate(shapes):
        slow = [
            row * 15 + column
            for row in range(12)
            for column in range(15)
            if shape is not None and shape.covers(shapely.Point(ground.x[column], ground.y[row]))
        ]
        if not slow and shape is not None:
            point = shapely.point_on_surface(shape)
            slow = [int((120 - point.y) // 10) * 15 + int(point.x // 10)]
        assert pairs.cell[pairs.shape == place].tolist() == slow


def test_base_and_option_are_compared_by_building_and_by_cell() -> None:
    ground = raster(PITS)
    city = make_city({"right": cell_box((2, 6), ground)})
    base, option = (simulate(city, levels=[4.0], terrain=raster(values), source=[(25.0, 25.0)]) for values in (PITS, np.minimum(PITS, 4.0)))
    made = compare(base, option)
    assert made.changed("buildings")["change"].to_pylist() == ["dry -> wet"]
    assert made.table("levels")["wet_area_difference"].to_pylist() == [3600.0]
    assert made.fields is not None
    assert float(made.fields["water_depth"].sum()) * 100.0 == made.table("levels")["volume_difference"][0].as_py()
    assert made.noise.value == 0.0
    assert "exact" in made.noise.reason
