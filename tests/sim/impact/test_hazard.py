"""Hazard against the published tables, read one by one, and against the laws every rating must obey."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.sim.impact import ImpactParameters, arr_class, defra_class, defra_rating, passable
from cim.sim.impact.hazard import DEFRA_CLASSES
from cim.sim.impact.parameters import VehicleLimits

depths = st.floats(0.0, 6.0)
speeds = st.floats(0.0, 6.0)


@pytest.mark.parametrize(
    ("depth", "velocity", "rating"),
    [
        (0.25, 0.0, 0.125),  # still water of a quarter metre carries no debris
        (0.5, 0.0, 0.25 + 1.0),
        (1.0, 1.0, 1.5 + 1.0),
        (0.1, 2.0, 0.25),
        (0.1, 2.5, 0.3 + 1.0),  # fast water carries debris however shallow
    ],
)
def test_the_rating_of_defra_is_depth_times_velocity_and_a_half_plus_debris(depth: float, velocity: float, rating: float) -> None:
    assert defra_rating(depth, velocity) == pytest.approx(rating, abs=1e-12)


def test_the_classes_of_defra_begin_at_their_limits() -> None:
    found = [DEFRA_CLASSES[one] for one in defra_class([0.0, 0.7499, 0.75, 1.2499, 1.25, 1.9999, 2.0, 9.0])]
    assert found == ["low", "low", "moderate", "moderate", "significant", "significant", "extreme", "extreme"]
    assert defra_class(np.nan) == -1


def slow_arr(depth: float, velocity: float, product: float) -> int:
    """Class by product first, then raised by depth and by velocity: the way the guideline FB03 is programmed elsewhere."""
    number = 1 if product <= 0.3 else 2 if product <= 0.6 else 4 if product <= 1.0 else 5 if product <= 4.0 else 6
    for limit, least in ((0.3, 2), (0.5, 3), (1.2, 4), (2.0, 5), (4.0, 6)):
        if depth > limit:
            number = max(number, least)
    for limit, least in ((2.0, 5), (4.0, 6)):
        if velocity > limit:
            number = max(number, least)
    return number


@given(depths, speeds, st.floats(0.0, 1.0))
def test_the_classes_of_arr_agree_with_a_slow_reading_of_the_table(depth: float, velocity: float, share: float) -> None:
    product = depth * velocity * share
    assert int(arr_class(depth, velocity, product)) == slow_arr(depth, velocity, product)


def test_on_a_limit_the_lower_class_of_arr_holds() -> None:
    limits = [(0.3, 0.3, 2.0), (0.5, 0.6, 2.0), (1.2, 0.6, 2.0), (2.0, 1.0, 2.0), (4.0, 4.0, 4.0)]
    assert [int(arr_class(d, v, dv)) for d, dv, v in limits] == [1, 2, 3, 4, 5]


def test_what_is_not_known_has_no_class() -> None:
    assert arr_class([np.nan, 1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0, np.nan]).tolist() == [0, 0, 0]


@given(depths, speeds, depths, speeds)
def test_more_water_is_never_less_dangerous(depth: float, velocity: float, deeper: float, faster: float) -> None:
    d, v = depth + deeper, velocity + faster
    assert defra_rating(d, v) >= defra_rating(depth, velocity)
    assert arr_class(d, v, d * v) >= arr_class(depth, velocity, depth * velocity)
    for vehicle in ImpactParameters().vehicles.values():
        assert passable(depth, velocity, depth * velocity, vehicle) >= passable(d, v, d * v, vehicle)


def test_a_larger_vehicle_passes_where_a_smaller_one_does() -> None:
    grid = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 4, 41))
    small, large, four = (
        passable(*grid, grid[0] * grid[1], one) for one in ImpactParameters().vehicles.values()
    )  # fmt: skip
    assert (large >= small).all()
    assert (four >= large).all()
    assert four.sum() > large.sum() > small.sum() > 0


def test_a_vehicle_with_unknown_velocity_is_not_said_to_pass() -> None:
    assert not passable(0.1, np.nan, np.nan, VehicleLimits(depth=0.3, depth_velocity=0.3))


def test_a_continent_without_curves_is_refused_with_the_parameters() -> None:
    with pytest.raises(ValueError, match=r"continent='Europa'; expected one of africa, asia, europe"):
        ImpactParameters(continent="Europa")
    assert ImpactParameters(continent="Europe").continent == "Europe"
