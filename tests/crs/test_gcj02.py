"""GCJ-02 and BD-09 agree with what several independent programs print, and come back exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cim.crs import bd09_to_gcj02, bd09_to_wgs84, gcj02_to_bd09, gcj02_to_wgs84, wgs84_to_bd09, wgs84_to_gcj02

# Inside the box by more than the largest shift (0.01 degrees), where the shift is one to one.
IN_CHINA = st.tuples(st.floats(72.1, 137.7), st.floats(0.9, 55.7))
EARTH = pyproj.Geod(ellps="WGS84")


def distance(a: Sequence[Any], b: Sequence[Any]) -> float:
    """Length of the geodesic between two places [m]."""
    return float(EARTH.inv(float(a[0]), float(a[1]), float(b[0]), float(b[1]))[2])


@given(IN_CHINA)
@example((105.0, 1.0))
@example((104.99999999999999, 35.0))
def test_gcj02_comes_back_exactly(place: tuple[float, float]) -> None:
    back = gcj02_to_wgs84(*wgs84_to_gcj02(*place))
    np.testing.assert_allclose(back, place, rtol=0, atol=1e-11)  # the shift is not one to one below, at 105 E


@given(IN_CHINA)
def test_bd09_comes_back_exactly(place: tuple[float, float]) -> None:
    np.testing.assert_allclose(bd09_to_gcj02(*gcj02_to_bd09(*place)), place, rtol=0, atol=1e-12)
    np.testing.assert_allclose(bd09_to_wgs84(*wgs84_to_bd09(*place)), place, rtol=0, atol=2e-11)  # two inverses


@given(IN_CHINA)
def test_the_shift_is_hundreds_of_metres_never_more_than_two_kilometres(place: tuple[float, float]) -> None:
    metres = distance(place, wgs84_to_gcj02(*place))
    assert metres < 2000.0


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_places_outside_the_box_stay(longitude: float, latitude: float) -> None:
    if 72.004 <= longitude <= 137.8347 and 0.8293 <= latitude <= 55.8271:
        return
    np.testing.assert_array_equal(wgs84_to_gcj02(longitude, latitude), (longitude, latitude))
    np.testing.assert_array_equal(gcj02_to_wgs84(longitude, latitude), (longitude, latitude))


def test_arrays_keep_their_shape_and_missing_values() -> None:
    lon, lat = np.array([[116.4, np.nan], [139.76, 121.5]]), np.array([[39.9, 31.0], [35.68, 31.2]])
    for function in (wgs84_to_gcj02, gcj02_to_wgs84, gcj02_to_bd09, bd09_to_gcj02):
        there = function(lon, lat)
        assert there[0].shape == lon.shape
        assert np.isnan(there[0]).tolist() == [[False, True], [False, False]]
    assert isinstance(wgs84_to_gcj02(116.4, 39.9)[0], float)


@pytest.mark.data
def test_published_pairs_are_met(shared_data: Callable[..., Path]) -> None:
    pairs = json.loads(shared_data("china", "gcj02_pairs", "pairs.json").read_text("utf-8"))
    for pair in pairs["wgs84_to_gcj02"]:
        np.testing.assert_allclose(wgs84_to_gcj02(*pair["wgs"]), pair["gcj"], rtol=0, atol=1e-7)
    for pair in pairs["gcj02_to_bd09"]:
        np.testing.assert_allclose(gcj02_to_bd09(*pair["gcj"]), pair["bd"], rtol=0, atol=1e-11)


@pytest.mark.data
def test_every_case_of_the_shift_is_met(shared_data: Callable[..., Path]) -> None:
    met = 0
    for case in json.loads(shared_data("china", "cim_cases.json").read_text("utf-8"))["cases"]:
        inputs, expected = case["inputs"], case["expected"]
        if case["family"] != "gcj":
            continue
        if "wgs84" in inputs and "gcj02" in expected:
            shifted = wgs84_to_gcj02(*inputs["wgs84"])
            np.testing.assert_allclose(shifted, expected["gcj02"]["value"], rtol=0, atol=max(expected["gcj02"]["tolerance"], 1e-12))
            metres = distance(inputs["wgs84"], shifted)
            assert metres == pytest.approx(expected["offset"]["value"], abs=0.02)
            met += 1
        if "bd09" in expected:
            start = inputs["gcj02"] if "gcj02" in inputs else wgs84_to_gcj02(*inputs["wgs84"])
            np.testing.assert_allclose(gcj02_to_bd09(*start), expected["bd09"]["value"], rtol=0, atol=expected["bd09"]["tolerance"])
            met += 1
        if "wgs84_iterated" in expected:
            np.testing.assert_allclose(gcj02_to_wgs84(*inputs["gcj02"]), expected["wgs84_iterated"]["value"], rtol=0, atol=1e-9)
            met += 1
        if "residual_if_corrected" in expected:
            metres = distance(gcj02_to_wgs84(*inputs["coordinate"]), inputs["control_point_wgs84"])
            assert metres == pytest.approx(0.0, abs=0.001)
            metres = distance(inputs["coordinate"], inputs["control_point_wgs84"])
            assert metres == pytest.approx(expected["residual_if_taken_as_wgs84"]["value"], abs=0.02)
            met += 1
    assert met == 18
