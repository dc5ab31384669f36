"""Water over time is drawn where it is, as deep as it is, with an edge that is no staircase, and picks and page read the same bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter

from cim.errors import CRSMismatchError, UsageError
from cim.model import City
from cim.results import Fields, Grid, RunRecord, grid_dataset
from cim.scenes import Camera, Picker, Scene
from cim.scenes.page import page
from cim.scenes.sheet import BOUNDS, COLOURS, DRAWN, Coding, Sheet, signed_depth
from cim.scenes.still import render
from cim.scenes.water import LIFT, Water
from tests.scenes.conftest import CRS, X0, Y0, height_at

CELL = 5.0
TIMES = np.datetime64("2026-07-21T06:00", "us") + np.arange(4) * np.timedelta64(600_000_000, "us")
LEVELS = (0.0, 5.0, 6.5, 6.0)
"""Level of the still water at each time [m]; the ground rises from 5 m in the west to 11 m in the east."""


def says(name: str, unit: str = "m") -> dict[str, str]:
    return {"units": unit, "standard_name": name, "long_name": name}


def rising(cell: float = CELL, *, lower: float = 0.0) -> Fields:
    """Return still water that rises in the west and falls again; buildings stand dry, 10 m higher."""
    count = round(300 / cell)
    grid = Grid(X0, Y0 + 300, cell, cell, nx=count, ny=count, crs=CRS)
    dataset = grid_dataset(grid).assign_coords(time=("time", TIMES))
    ground = height_at(*np.meshgrid(grid.x - X0, grid.y - Y0)) - lower
    depth = np.stack([np.clip(level - lower - ground, 0, None) for level in LEVELS]).astype(np.float32)
    dataset["water_depth"] = (("time", "y", "x"), depth, says("water_depth"))
    dataset["ground_elevation"] = (("y", "x"), ground, says("ground_elevation"))
    return Fields("flood", dataset, {}, RunRecord("flood", "1"))


@pytest.fixture(scope="module")
def water() -> Fields:
    return rising()


@pytest.fixture(scope="module")
def wet(scene: Scene, water: Fields) -> Scene:
    return scene.add(water)


def motion(scene: Scene) -> Water:
    found = scene.layer("water depth").motion
    assert isinstance(found, Water)
    return found


# ------------------------------------------------------------------ bytes


@given(st.floats(0.05, 30.0), st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_a_byte_gives_a_depth_back_within_half_a_step(span: float, shares: list[float]) -> None:
    coding = Coding(span)
    above = np.array(shares) * span
    back = coding.decode(coding.encode(above))
    errors = np.array([coding.error(value + DRAWN) for value in above])
    assert (np.abs(back - above) <= errors * (1 + 1e-9)).all()
    assert (back >= 0).all()


def test_a_dry_byte_stays_dry_and_an_unknown_one_unknown() -> None:
    coding = Coding(2.5)
    codes = coding.encode(np.array([-1e-9, -0.001, -3.0, np.nan, 0.0]))
    assert (coding.decode(codes[:3]) < 0).all()
    assert codes[3] == 0
    assert coding.decode(codes[4:])[0] == 0.0


def test_the_classes_of_a_depth_are_told_apart_to_a_centimetre_where_people_walk() -> None:
    assert max(Coding(2.5).error(bound) for bound in BOUNDS[:4]) < 0.01
    assert Coding(2.5).error(2.0) < 0.013


@given(st.floats(0.06, 3.0), st.floats(-1.0, 5.0))
def test_the_edge_of_water_lies_in_the_middle_third_between_a_wet_and_a_dry_cell(depth: float, rise: float) -> None:
    signed = signed_depth(np.array([[depth, depth, 0.0, 0.0]]), np.array([[0.0, 0.0, rise, rise]]), known=np.ones((1, 4), bool))
    assert np.isnan(signed[0, 3])
    where = signed[0, 1] / (signed[0, 1] - signed[0, 2])
    # below 2 mm above the least that is drawn the dry cell is held at 1 mm
    assert 1 / 3 - 1e-9 <= where <= 2 / 3 + 1e-9 or depth - DRAWN < 0.002 * (1 + 1e-9) or np.isclose(where, [1 / 3, 2 / 3]).any()


def test_a_straight_shore_is_drawn_as_a_line_not_a_staircase() -> None:
    row, column = np.mgrid[0:40, 0:40]
    ground = (column - 0.4 * row) * 0.05  # contours run across the cells
    depth = np.clip(0.5 - ground, 0, None)
    sheet = Sheet(Coding(2.5).encode(signed_depth(depth, ground, known=np.ones_like(depth, bool))), Coding(2.5), 0.0, 0.0, 1.0, 1.0)
    y = np.linspace(8, 25, 400)
    x = np.linspace(5, 35, 3001)
    dry = np.isnan(sheet.at(x[None, :].repeat(400, 0), y[:, None].repeat(3001, 1)))
    edge = x[dry.argmax(axis=1)]
    truth = (0.5 - DRAWN) / 0.05 + 0.4 * (y - 0.5) + 0.5
    assert np.abs(edge - truth).max() < 0.5  # cell by cell it would be 0.5 + 0.4 off at the corners
    assert np.abs(np.diff(edge)).max() < 0.25  # a staircase jumps a whole cell


# ------------------------------------------------------------------ where and how deep


def test_the_time_of_the_largest_volume_is_shown_first(wet: Scene, water: Fields) -> None:
    volume = water["water_depth"].sum(("y", "x")).values * CELL**2
    assert volume.argmax() == 2
    assert motion(wet).volumes == pytest.approx(volume, rel=1e-6)
    assert wet.moment == TIMES[2]


def test_depths_drawn_are_those_of_the_field(wet: Scene, water: Fields) -> None:
    sheet = wet.layer("water depth").sheet
    assert sheet is not None
    depth = water["water_depth"].values[2][::-1]
    free = ~motion(wet).covered
    x, y = (grid.ravel() for grid in np.meshgrid(*(np.arange(60) * CELL + CELL / 2,) * 2))
    drawn = sheet.at(x + X0 - wet.origin[0], y + Y0 - wet.origin[1]).reshape(60, 60)
    deep = free & (depth >= DRAWN)
    assert deep.sum() > 200
    assert np.isnan(drawn[free & (depth < DRAWN)]).all()
    assert np.abs(drawn - depth)[deep].max() < motion(wet).coding.error(float(depth.max())) * (1 + 1e-6)


def test_no_water_is_drawn_in_mapped_rivers_and_that_is_said(wet: Scene) -> None:
    layer = wet.layer("water depth")
    assert layer.sheet is not None
    assert np.isnan(layer.sheet.at(20 + X0 - wet.origin[0], 250 + Y0 - wet.origin[1]))
    assert [note.en for note in layer.notes] == ["not drawn over mapped rivers and lakes"]


def test_water_reaches_the_walls_of_buildings(wet: Scene, city: City) -> None:
    sheet = wet.layer("water depth").sheet
    assert sheet is not None
    # b5 stands at (30, 70), 20 by 16 m, in 0.1 to 0.7 m of water in the west
    west = city["b20"].footprint.bounds
    x = np.full(9, west[0] - 0.05) - wet.origin[0]
    y = np.linspace(west[1] + 1, west[3] - 1, 9) - wet.origin[1]
    field = height_at(x + wet.origin[0] - X0, y + wet.origin[1] - Y0)
    assert np.isfinite(sheet.at(x, y)).all() == bool((LEVELS[2] - field > 0.2).all())


def test_the_surface_lies_at_ground_plus_depth_and_is_level_where_water_is(wet: Scene) -> None:
    layer = wet.layer("water depth")
    assert layer.sheet is not None
    inside = np.isfinite(layer.sheet.at(layer.points[:, 0], layer.points[:, 1]))
    height = layer.points[inside, 2]
    ground = wet.context.ground.at(layer.points[inside, 0], layer.points[inside, 1])
    free = ground < LEVELS[2] - 0.3  # away from the shore, where the drawn ground is never above the water
    assert free.sum() > 100
    assert np.abs(height[free] - LEVELS[2] - LIFT).max() < 0.03  # the step of a byte at 2 m, and float32
    assert (height >= ground + LIFT - 1e-6).all()


def test_a_shape_of_its_own_height_system_is_laid_on_the_terrain_and_said(scene: Scene) -> None:
    layer = scene.add(rising(lower=40.0)).layer("water depth")
    assert any("-40.0 m from the terrain drawn" in note.en for note in layer.notes)
    assert layer.points[:, 2].min() > 0


def test_unknown_cells_and_films_of_water_are_not_drawn(scene: Scene, water: Fields) -> None:
    dataset = water.dataset.copy(deep=True)
    dataset["water_depth"][:] = 0.04
    dataset["water_depth"][:, :10] = np.nan
    layer = scene.add(replace(water, dataset=dataset)).layer("water depth")
    assert len(layer.triangles) == 0
    assert any(note.en.startswith("the deepest water is 0.04 m") for note in layer.notes)
    assert page(scene.add(replace(water, dataset=dataset)))


def test_the_maximum_takes_the_stated_field_where_it_is_higher(scene: Scene, water: Fields) -> None:
    peak = water["water_depth"].max("time").assign_attrs(says("maximum_depth"))
    stated = replace(water, dataset=water.dataset.assign(maximum_depth=peak + 0.5))
    assert float(np.nanmax(motion(scene.add(stated)).highest)) == pytest.approx(float(peak.max()) + 0.5, abs=1e-5)
    assert float(np.nanmax(motion(scene.add(water)).highest)) == pytest.approx(float(peak.max()), abs=1e-6)


def test_rows_from_the_south_are_drawn_in_the_same_place(scene: Scene, water: Fields) -> None:
    turned = replace(water, dataset=water.dataset.isel(y=slice(None, None, -1)))
    ours, theirs = (motion(scene.add(one)).sheet(2).codes for one in (water, turned))
    assert (ours == theirs).all()


def test_a_fine_field_is_drawn_in_blocks_that_keep_its_depths(scene: Scene) -> None:
    from cim.scenes.water import water_of

    fine = rising(1.0)
    coarse = water_of(scene.context, fine, cells=22_500)
    assert coarse.ground.shape == (150, 150)
    assert coarse.notes[-1].en == "drawn in blocks of 2 by 2 cells"
    mean = fine["water_depth"].values[2][::-1].reshape(150, 2, 150, 2).mean(axis=(1, 3))
    full = fine["water_depth"].values[2][::-1].reshape(150, 2, 150, 2).min(axis=(1, 3)) >= DRAWN
    drawn = coarse.coding.decode(coarse.sheet(2).codes) + DRAWN
    inside = full & ~coarse.covered
    assert np.abs(drawn - mean)[inside].max() <= coarse.coding.error(float(mean.max())) * (1 + 1e-6)


def test_times_that_a_page_cannot_carry_are_thinned_and_said(scene: Scene, water: Fields, monkeypatch: pytest.MonkeyPatch) -> None:
    from cim.scenes import water as module

    monkeypatch.setattr(module, "PAGE_BYTES", 9_000)
    monkeypatch.setattr(module, "_PAGE_CELLS", 3_600)
    thin = motion(scene.add(water)).for_page()
    assert len(thin.times) == 1
    assert thin.notes[-1].en == "every 4th time is shown"
    monkeypatch.setattr(module, "_PAGE_CELLS", 900)
    small = motion(scene.add(water)).for_page()
    assert len(small.times) == 4
    assert small.highest.size * 5 <= 9_000


# ------------------------------------------------------------------ refused


def test_water_in_another_system_is_refused(scene: Scene, water: Fields) -> None:
    with pytest.raises(CRSMismatchError, match="run the simulation on this city"):
        scene.add(replace(water, dataset=water.dataset.assign_attrs(crs="EPSG:28992")))


@pytest.mark.parametrize("times", [TIMES[::-1], np.array([TIMES[0], TIMES[1], TIMES[1], TIMES[3]]), np.array(["NaT"] * 4, "M8[us]")])
def test_times_that_do_not_rise_are_refused(scene: Scene, water: Fields, times: Any) -> None:
    with pytest.raises(UsageError, match="must be known and rise"):
        scene.add(replace(water, dataset=water.dataset.assign_coords(time=("time", times))))


def test_water_without_a_time_is_refused(scene: Scene, water: Fields) -> None:
    with pytest.raises(UsageError, match="nothing to draw"):
        scene.add(replace(water, dataset=water.dataset.isel(time=slice(0, 0))))


# ------------------------------------------------------------------ pictures and picks


@pytest.mark.usefixtures("can_draw")
def test_a_picture_from_above_shows_water_in_the_colours_of_its_classes(wet: Scene) -> None:
    size = (300, 300)
    only = replace_opacity(wet.show_only("water depth"))
    layer = only.layer("water depth")
    assert layer.sheet is not None
    camera = Camera.looking((0, 0, 50), distance=300, elevation=90, orthographic=150.0)
    drawn = render(only, camera, size, smooth=False).astype(int)
    column, row = np.meshgrid(np.arange(300), np.arange(300))
    start, _ = camera.rays(column.ravel(), row.ravel(), size)
    depth = layer.sheet.at(start[:, 0], start[:, 1]).reshape(300, 300)
    known = np.isfinite(depth)
    number = np.digitize(np.where(known, depth, 0.0), BOUNDS) - 1
    right = np.abs(drawn - np.array(COLOURS)[np.maximum(number, 0)]).max(axis=2) < 4
    number = np.where(known, number, -1)
    plain = minimum_filter(number, 3) == maximum_filter(number, 3)  # edges of classes are smoothed over a pixel
    assert (plain & known).sum() > 5_000
    assert set(number[plain & known].tolist()) >= {1, 2, 3, 4}
    assert right[plain & known].mean() > 0.999
    assert right[plain & ~known].mean() < 0.001


def replace_opacity(scene: Scene) -> Scene:
    """Return the scene with opaque water."""
    layers = tuple(replace(one, opacity=1.0) for one in scene.layers)
    return scene._with(layers=layers)  # a test may


def test_a_click_beside_the_water_goes_through_to_the_ground(wet: Scene) -> None:
    layer = wet.layer("water depth")
    assert layer.sheet is not None
    corners = layer.points[layer.triangles].mean(axis=1)
    dry = corners[np.isnan(layer.sheet.at(corners[:, 0], corners[:, 1]))]
    wet_places = corners[np.isfinite(layer.sheet.at(corners[:, 0], corners[:, 1]))]
    seen = []
    for place in (dry[0], wet_places[0]):
        pick = Picker(wet, Camera.looking(place, distance=300, elevation=90, orthographic=20.0), (101, 101)).pick(50, 50)
        assert pick is not None
        seen.append((pick.layer, pick.value is not None and np.isfinite(pick.value)))
    assert seen[0][0] != "water depth"
    assert seen[1] == ("water depth", True)


def test_a_result_is_drawn_as_it_comes_from_disk(scene: Scene, water: Fields, tmp_path: Any) -> None:
    from cim.results import load_result, save_result

    back = load_result(save_result(water, tmp_path / "flood"))
    assert isinstance(back, Fields)
    again = scene.add(back)
    assert (again.times == TIMES).all()
    xr.testing.assert_allclose(back["water_depth"], water["water_depth"], rtol=1e-6)
    assert (motion(again).sheet(2).codes == motion(scene.add(water)).sheet(2).codes).all()
