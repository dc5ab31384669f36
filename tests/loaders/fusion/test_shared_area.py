"""The closed formula against the overlay, on shapes that are bent, holed, split, coincident and far from the origin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.fusion import shared_area
from cim.loaders.fusion.shared_area import shared_areas

ROUNDING = 1e-6  # m²: coordinates of millions of metres keep nine digits behind the point


def star(seed: int, corners: int, x: float, y: float) -> Any:
    """Return a polygon around a point with corners at random distances: bent inwards as often as not."""
    chance = np.random.default_rng(seed)
    angle = np.sort(chance.uniform(0, 2 * np.pi, corners))
    radius = chance.uniform(3, 20, corners)
    return shapely.make_valid(shapely.polygons(np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])))


def pair_area(a: Any, b: Any) -> float:
    shapes = np.asarray([a, b], object)
    return float(shared_areas(shapes, shapes, np.array([0]), np.array([1]))[0])


@given(st.integers(0, 10_000), st.integers(3, 30), st.floats(-15, 15), st.floats(-15, 15))
def test_it_is_the_area_of_the_overlay(seed: int, corners: int, dx: float, dy: float) -> None:
    a, b = star(seed, corners, 500000, 3460000), star(seed + 1, corners, 500000 + dx, 3460000 + dy)
    assert pair_area(a, b) == pytest.approx(shapely.intersection(a, b).area, abs=ROUNDING)


@given(st.integers(0, 10_000), st.integers(3, 30))
def test_a_shape_shares_itself(seed: int, corners: int) -> None:
    a = star(seed, corners, 85000, 447000)
    assert pair_area(a, a) == pytest.approx(a.area, abs=ROUNDING)
    assert pair_area(a, shapely.reverse(a)) == pytest.approx(a.area, abs=ROUNDING)


def test_holes_and_several_parts_count() -> None:
    ring = shapely.box(0, 0, 10, 10) - shapely.box(2, 2, 8, 8)
    two = shapely.MultiPolygon([shapely.box(0, 0, 3, 3), shapely.box(7, 7, 12, 12)])
    assert pair_area(ring, two) == pytest.approx(shapely.intersection(ring, two).area, abs=1e-9)
    assert pair_area(ring, shapely.box(2, 2, 8, 8)) == pytest.approx(0.0, abs=1e-9)


def test_neighbours_share_nothing_and_none_shares_nothing() -> None:
    shapes = np.asarray([shapely.box(0, 0, 5, 5), shapely.box(5, 0, 9, 5), None, shapely.Polygon()], object)
    a, b = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    found = shared_areas(shapes, shapes, a, b).reshape(4, 4)
    np.testing.assert_allclose(found, np.diag([25.0, 20.0, 0.0, 0.0]), atol=1e-12)


def test_many_corners_go_to_the_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_area, "MANY", 10)
    a, b = star(1, 20, 0, 0), star(2, 20, 1, 1)
    assert pair_area(a, b) == pytest.approx(shapely.intersection(a, b).area, abs=1e-9)
