"""Trips between zones have the sums and the mean cost that were asked for, and are those of a slow loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import RunError, UsageError
from cim.sim.traffic.gravity import furness, gravity

MARGINAL = 1e-9
"""Of all trips; asked for by the issue."""
CALIBRATED = 1e-6
"""Relative error of the mean cost; the issue asks for 1e-3."""


def zones(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return trips of origins and destinations, and distances, of zones in a square of 10 km."""
    draw = np.random.default_rng(seed)
    place = draw.uniform(0, 10_000, (count, 2))
    cost = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    np.fill_diagonal(cost, 0.5 * np.where(cost > 0, cost, np.inf).min(1))
    origins, destinations = draw.lognormal(5, 1, count), draw.lognormal(5, 1, count)
    return origins, destinations * origins.sum() / destinations.sum(), cost


def slow(origins: list[float], destinations: list[float], cost: list[list[float]], parameter: float) -> list[list[float]]:
    """Return the gravity model by loops over single cells."""
    size = range(len(origins))
    a, b = [1.0] * len(origins), [1.0] * len(origins)
    for _ in range(3000):
        for i in size:
            a[i] = 1.0 / sum(b[j] * destinations[j] * np.exp(-parameter * cost[i][j]) for j in size)
        for j in size:
            b[j] = 1.0 / sum(a[i] * origins[i] * np.exp(-parameter * cost[i][j]) for i in size)
    return [[a[i] * origins[i] * b[j] * destinations[j] * np.exp(-parameter * cost[i][j]) for j in size] for i in size]


@given(st.integers(2, 25), st.integers(0, 1000), st.sampled_from(["exponential", "power"]))
@settings(max_examples=25)
def test_sums_are_met_and_the_mean_is_the_one_asked_for(count: int, seed: int, deterrence: str) -> None:
    origins, destinations, cost = zones(count, seed)
    free = gravity(origins, destinations, cost, parameter=0.0)
    wanted = gravity(origins, destinations, cost, parameter=2e-4).mean_cost
    found = gravity(origins, destinations, cost, mean_cost=0.5 * (wanted + free.mean_cost), deterrence=deterrence)  # type: ignore[arg-type]
    assert np.abs(found.trips.sum(1) - origins).max() <= MARGINAL * origins.sum()
    assert np.abs(found.trips.sum(0) - destinations).max() <= MARGINAL * origins.sum()
    assert found.error <= MARGINAL
    assert found.mean_cost == pytest.approx(0.5 * (wanted + free.mean_cost), rel=CALIBRATED)
    assert found.mean_cost == pytest.approx(float((found.trips * cost).sum() / found.trips.sum()), rel=1e-12)
    assert found.parameter > 0


def test_calibration_finds_the_parameter_that_made_the_mean() -> None:
    origins, destinations, cost = zones(30, 3)
    made = gravity(origins, destinations, cost, parameter=4e-4)
    found = gravity(origins, destinations, cost, mean_cost=made.mean_cost)
    assert found.parameter == pytest.approx(4e-4, rel=1e-4)  # the mean is met to 1e-6 and falls less than in proportion
    assert np.allclose(found.trips, made.trips, rtol=1e-3)


def test_trips_are_those_of_a_slow_loop_over_cells() -> None:
    origins, destinations, cost = zones(5, 11)
    found = gravity(origins, destinations, cost, parameter=3e-4)
    expected = np.array(slow(origins.tolist(), destinations.tolist(), cost.tolist(), 3e-4))
    assert np.allclose(found.trips, expected, rtol=1e-7)  # both stop when sums are met to about 1e-11


def test_without_deterrence_trips_are_in_proportion_to_both_ends() -> None:
    origins, destinations, cost = zones(6, 2)
    found = gravity(origins, destinations, cost, parameter=0.0)
    assert np.allclose(found.trips, origins[:, None] * destinations / origins.sum(), rtol=1e-10)


def test_a_symmetric_town_has_symmetric_trips() -> None:
    origins, _, cost = zones(12, 5)
    found = gravity(origins, origins, cost, mean_cost=2500.0)
    assert np.allclose(found.trips, found.trips.T, rtol=1e-6)


def test_two_zones_by_hand() -> None:
    found = gravity([100, 100], [100, 100], [[1.0, 3.0], [3.0, 1.0]], parameter=np.log(3) / 2)
    assert np.allclose(found.trips, [[75, 25], [25, 75]])  # exp(-b) to exp(-3b) as 3 to 1
    power = gravity([100, 100], [100, 100], [[1.0, 3.0], [3.0, 1.0]], parameter=2.0, deterrence="power")
    assert np.allclose(power.trips, [[90, 10], [10, 90]])  # 1 to 1/9


def test_nobody_travels_where_no_way_is() -> None:
    found = gravity([10, 20], [15, 15], [[1.0, np.inf], [1.0, 1.0]], parameter=1.0)
    assert np.allclose(found.trips, [[10, 0], [5, 15]])


def test_furness_keeps_a_seed_that_already_has_the_sums() -> None:
    seed = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert np.allclose(furness(seed, [3, 7], [4, 6]), seed)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(1e6, "if cost did not matter it would be"), (-1.0, "if cost did not matter"), (1.0, "these zones allow no less than")],
)
def test_a_mean_that_cannot_be_is_refused_with_the_one_that_can(wanted: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        gravity(*zones(8, 1), mean_cost=wanted)


def test_faults_of_the_zones_are_told_together() -> None:
    with pytest.raises(UsageError, match=r"1 origins with trips have no way.*1 destinations have trips that are negative"):
        gravity([5.0, 5.0], [11.0, -1.0], [[np.inf, np.inf], [1.0, 1.0]], parameter=1.0)
    with pytest.raises(UsageError, match="10 trips begin and 12 end; balance the totals first"):
        gravity([5.0, 5.0], [6.0, 6.0], np.ones((2, 2)), parameter=1.0)
    with pytest.raises(UsageError, match="give one of them"):
        gravity([5.0], [5.0], [[1.0]])
    with pytest.raises(UsageError, match="a power needs costs above 0"):
        gravity([5.0], [5.0], [[0.0]], parameter=1.0, deterrence="power")


def test_sums_that_zeros_forbid_are_no_silent_answer() -> None:
    with pytest.raises(RunError, match="do not balance"):
        furness([[1.0, 0.0], [1.0, 1.0]], [20.0, 10.0], [10.0, 20.0], most=200)
