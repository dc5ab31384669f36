from __future__ import annotations

import numpy as np
import shapely

from cim.demo.district import make_district
from cim.demo.features import make_features
from cim.demo.limits import floor_area_ratio, plot_records

DISTRICT = make_district(2026)
FEATURES = make_features(DISTRICT, 2026)


def test_the_district_has_about_four_hundred_buildings_of_every_form() -> None:
    buildings = DISTRICT.buildings
    assert 380 <= len(buildings) <= 420
    corners = shapely.get_num_coordinates(buildings.shapes)
    assert (shapely.get_num_interior_rings(buildings.shapes) > 0).sum() >= 10  # courtyards and podiums
    assert {5, 7, 9, 13} <= set(corners.tolist())  # rectangles, L, U or octagon, cross or H
    assert {"学校", "医院", "消防站", "图书馆", "住宅", "办公", "商业"} <= set(buildings.use.tolist())
    assert len(set(buildings.ids.tolist())) == len(buildings)


def test_no_two_buildings_overlap() -> None:
    shapes = DISTRICT.buildings.shapes
    assert shapely.is_valid(shapes).all()
    left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = left < right
    shared = shapely.area(shapely.intersection(shapes[left[pairs]], shapes[right[pairs]]))
    assert shared.max() < 0.02  # m²: shared walls of 20 m, corners rounded to a millimetre


def test_every_building_stands_on_its_plot() -> None:
    buildings, plots = DISTRICT.buildings, DISTRICT.plots
    assert shapely.contains(plots.shapes[buildings.plot], buildings.shapes).all()
    assert shapely.is_valid(plots.shapes).all()


def test_towers_stand_inland_and_low_houses_by_the_water() -> None:
    middle = shapely.get_coordinates(shapely.centroid(DISTRICT.buildings.shapes))[:, 1]
    height = DISTRICT.buildings.height
    assert height[middle < 300].max() < 40
    assert height[middle > 500].max() > 100
    assert np.median(height[middle < 400]) < np.median(height[middle > 600])


def test_heights_follow_from_storeys() -> None:
    buildings = DISTRICT.buildings
    each = (buildings.height - buildings.rise) / buildings.storeys
    assert each.min() > 2.5
    assert each.max() < 6.5


def test_trees_stand_neither_in_houses_nor_in_water_nor_on_roads() -> None:
    trees = FEATURES.trees.geometry
    solid = shapely.union_all([*DISTRICT.buildings.shapes, *FEATURES.water.geometry, *FEATURES.roads.geometry])
    shapely.prepare(solid)
    assert len(trees) > 2000
    assert not shapely.intersects(solid, trees).any()


def test_roads_water_and_green_areas_do_not_overlap() -> None:
    roads, water, green = (shapely.union_all(one.geometry) for one in (FEATURES.roads, FEATURES.water, FEATURES.green))
    for a, b in ((roads, water), (roads, green), (water, green)):
        assert shapely.area(shapely.intersection(a, b)) < 1.0  # m² of 78 hectares
    for records in (FEATURES.roads, FEATURES.water, FEATURES.green, FEATURES.squares):
        assert shapely.is_valid(records.geometry).all()
        assert not shapely.is_empty(records.geometry).any()


def test_some_plots_break_each_limit_some_have_none_and_most_keep_it() -> None:
    limits = plot_records(DISTRICT, 2026).columns
    far = floor_area_ratio(DISTRICT)
    density = np.bincount(DISTRICT.buildings.plot, shapely.area(DISTRICT.buildings.shapes), len(far)) / shapely.area(DISTRICT.plots.shapes)
    highest = np.zeros(len(far))
    np.maximum.at(highest, DISTRICT.buildings.plot, DISTRICT.buildings.height)
    for value, name, broken, unset in (
        (far, "容积率限值", 5, 5),
        (100 * density, "建筑密度限值", 3, 4),
        (highest, "限高", 4, 5),
    ):
        assert (value > limits[name]).sum() == broken, name
        assert np.isnan(limits[name]).sum() == unset, name


def test_another_seed_gives_another_district() -> None:
    other = make_district(7)
    assert len(other.buildings) > 350
    assert not np.array_equal(other.buildings.height[:50], DISTRICT.buildings.height[:50])
