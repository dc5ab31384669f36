from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.demo.district import make_district
from cim.demo.features import make_features
from cim.demo.oblique import Skin, area, make_skin, true_volumes
from cim.demo.photo import CELL, paint
from cim.demo.plan import HEIGHT, WIDTH

DISTRICT = make_district(2026)
FEATURES = make_features(DISTRICT, 2026)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return paint(DISTRICT.buildings, DISTRICT.plots, FEATURES, 2026)


@pytest.fixture(scope="module")
def skin(photo: np.ndarray) -> Skin:
    return make_skin(DISTRICT.buildings, FEATURES.trees, photo, 2026)


def test_the_photo_is_green_in_parks_and_grey_on_roads(photo: np.ndarray) -> None:
    assert photo.shape == (HEIGHT / CELL, WIDTH / CELL, 3)

    def mean(shapes: np.ndarray) -> np.ndarray:
        xy = shapely.get_coordinates(shapely.point_on_surface(shapes))
        rows, columns = ((HEIGHT - xy[:, 1]) / CELL).astype(int), (xy[:, 0] / CELL).astype(int)
        return np.asarray(photo[rows, columns].astype(float).mean(axis=0))

    red, green, blue = mean(FEATURES.green.geometry)
    assert green > 1.15 * max(red, blue)
    road = mean(FEATURES.roads.geometry)
    assert np.ptp(road) < 0.15 * road.mean()


def test_the_skin_is_small_and_has_no_gap_inside(skin: Skin) -> None:
    assert 20_000 < len(skin.triangles) <= 60_000
    edges = skin.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    assert len(np.unique(edges, axis=0)) == len(edges)  # no edge runs twice in one direction
    both, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert count.max() == 2
    middle = skin.points[both[count == 1]].mean(axis=1)
    assert shapely.distance(area().exterior, shapely.points(middle[:, :2])).max() < 0.5  # m: open at its border only


def test_walls_stand_where_the_plan_has_them(skin: Skin) -> None:
    corners = skin.points[skin.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    tall = np.ptp(corners[..., 2], axis=1) > 2.0
    steep = tall & (np.abs(across[:, 2]) < 1e-6 * np.linalg.norm(across, axis=1))
    borders = shapely.union_all(shapely.boundary(DISTRICT.buildings.shapes[skin.buildings]))
    away = shapely.distance(borders, shapely.points(corners[steep][..., :2].mean(axis=1)))
    assert steep.sum() > 2000
    assert away.max() < 0.2  # m: noise of 1.5 cm, and points along touching walls that were joined within 15 cm


def test_places_in_the_texture_are_inside_it(skin: Skin) -> None:
    assert skin.uv.shape == (len(skin.triangles), 3, 2)
    assert skin.uv.min() >= 0.0
    assert skin.uv.max() <= 1.0


def test_true_volumes_of_flat_roofs_are_area_times_height() -> None:
    buildings = DISTRICT.buildings
    flat = np.flatnonzero((buildings.rise == 0) & (buildings.height > 20))[:5]
    plain = shapely.area(buildings.shapes[flat]) * buildings.height[flat]
    assert true_volumes(buildings, flat) == pytest.approx(plain, rel=0.03)  # the foot is the lowest ground, the lid lies on all of it
