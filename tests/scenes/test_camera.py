"""Cameras project, cast rays and frame alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.scenes import Camera
from cim.scenes.furniture import scale_length

SIZE = (320, 200)


@pytest.mark.parametrize("orthographic", [None, 60.0])
def test_a_point_on_a_ray_projects_to_the_pixel_it_came_from(orthographic: float | None) -> None:
    camera = Camera.looking((3, 4, 5), distance=200, azimuth=130, elevation=40, orthographic=orthographic)
    x, y = np.array([0, 17, 319]), np.array([0, 99, 199])
    start, direction = camera.rays(x, y, SIZE)
    seen = camera.project(start + 150 * direction, SIZE)
    assert np.allclose(seen[:, :2], np.stack([x, y], axis=1), atol=1e-9)


@given(
    st.floats(0, 360),
    st.floats(5, 85),
    st.booleans(),
    st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(-20, 80)), min_size=2, max_size=30),
)
def test_everything_is_framed(azimuth: float, elevation: float, parallel: bool, points: list[tuple[float, float, float]]) -> None:  # noqa: FBT001
    cloud = np.array(points)
    camera = Camera.fitting(cloud, SIZE, azimuth=azimuth, elevation=elevation, orthographic=parallel)
    seen = camera.project(cloud, SIZE)
    assert (seen[:, :2] >= -0.51).all()  # half a pixel: pixel centres are counted from 0
    assert (seen[:, 0] <= SIZE[0] - 0.49).all()
    assert (seen[:, 1] <= SIZE[1] - 0.49).all()
    assert (seen[:, 2] > 0).all()


def test_north_is_up_when_looking_north_and_right_when_looking_west() -> None:
    assert Camera.looking((0, 0, 0), distance=9, azimuth=0, elevation=90).north_on_screen() == pytest.approx((0, 1), abs=1e-9)
    assert Camera.looking((0, 0, 0), distance=9, azimuth=270, elevation=90).north_on_screen() == pytest.approx((1, 0), abs=1e-9)


def test_metres_per_pixel_is_the_distance_between_neighbouring_rays_at_the_focus() -> None:
    camera = Camera.looking((0, 0, 0), distance=100, azimuth=0, elevation=90)
    start, direction = camera.rays([100, 101], [100, 100], SIZE)
    ground = start - direction * (start[:, 2:] / direction[:, 2:])
    assert np.linalg.norm(ground[1] - ground[0]) == pytest.approx(camera.metres_per_pixel(SIZE), rel=1e-12)


def test_a_camera_without_direction_is_refused() -> None:
    with pytest.raises(UsageError, match="has no direction"):
        Camera((0, 0, 0), (0, 0, 0)).axes()


@given(st.floats(1e-3, 1e3), st.integers(200, 4000))
def test_the_scale_bar_is_round_and_fits(per_pixel: float, width: int) -> None:
    length = scale_length(per_pixel, width)
    assert length <= per_pixel * width / 8 * (1 + 1e-9)
    assert length >= per_pixel * width / 8 / 2.5 * (1 - 1e-9)  # 1, 2, 5: the next one down is at most 2.5 times smaller
