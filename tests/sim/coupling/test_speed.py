"""Speed by depth, capacity under water, and classes of rain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.sim.coupling.parameters import RoadParameters
from cim.sim.coupling.speed import ponding_capacity, rain_class, water_speed

DEPTHS = st.floats(0.0, 5.0, allow_nan=False)


@pytest.mark.parametrize(
    ("depth", "speed"),
    [(0.05, 61.5), (0.1, 40.7), (0.15, 24.3), (0.2, 12.4), (0.25, 5.0), (0.3, 2.1)],  # read from five public codes, to a decimal
)
def test_the_published_values_come_out(depth: float, speed: float) -> None:
    assert float(water_speed(depth)) * 3.6 == pytest.approx(speed, abs=0.05)  # as many digits as they were noted with


def test_beyond_300_mm_the_last_value_stays_where_the_parabola_would_rise() -> None:
    assert float(water_speed(0.3)) * 3.6 == pytest.approx(2.0748, abs=1e-12)  # 81 - 165.87 + 86.9448
    assert water_speed([0.307, 0.4, 1.0, 50.0]).tolist() == [float(water_speed(0.3))] * 4


def test_a_dry_road_and_a_film_have_no_cap() -> None:
    assert np.isinf(water_speed([0.0, np.nan, 0.009], film=0.01)).all()
    assert np.isfinite(water_speed(0.01, film=0.01))


@given(DEPTHS, DEPTHS, st.floats(0.0, 0.29))
def test_deeper_water_is_never_faster(one: float, other: float, film: float) -> None:
    shallow, deep = sorted((one, other))
    assert water_speed(deep, film) <= water_speed(shallow, film)


def test_the_capacity_is_that_of_the_triangular_diagram_with_wave_and_jam_unchanged() -> None:
    u, v = 50 / 3.6, 10 / 3.6  # with waves of 20 km/h capacity u w k / (u + w): (10 / 30) / (50 / 70) of it is left
    assert ponding_capacity(v, u, "diagram") == pytest.approx((10 / 30) / (50 / 70), rel=1e-12)
    assert ponding_capacity(v, np.inf, "diagram") == pytest.approx(10 / 30, rel=1e-12)
    assert ponding_capacity(v, u, "speed") == pytest.approx(0.2, rel=1e-12)
    assert ponding_capacity(v, u, "stays") == 1.0


@pytest.mark.parametrize("how", ["diagram", "speed", "stays"])
@given(st.floats(0.5, 40.0), st.floats(0.5, 40.0), st.floats(0.5, 60.0))
def test_the_capacity_never_rises_under_water_and_never_with_lower_speed(how: str, one: float, other: float, free: float) -> None:
    slow, quick = sorted((one, other))
    factors = ponding_capacity([slow, quick], free, how)
    assert 0 < factors[0] <= factors[1] <= 1


def test_a_class_of_rain_ends_with_its_limit() -> None:
    assert rain_class([0.0, 0.001, 2.54, 2.55, 6.35, 6.36], RoadParameters()).tolist() == [0, 1, 1, 2, 2, 3]
