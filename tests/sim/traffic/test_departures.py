"""Vehicles are as many as the trips, depart as the profile says, and keep their numbers whatever happens to the roads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.sim.traffic.departures import Profile, fleet_of


def town(names: list[str]) -> RoadNetwork:
    """Return a ring through nodes."""
    count = len(names)
    return RoadNetwork.of(names, np.arange(count), np.roll(np.arange(count), -1), free_flow_time=60.0, capacity=1800.0, length=800.0)


def some_trips(seed: int, zones: int = 12, mean: float = 0.7) -> ODMatrix:
    draw = np.random.default_rng(seed)
    origin, destination = np.divmod(np.arange(zones * zones), zones)
    return ODMatrix(origin, destination, draw.exponential(mean, zones * zones))


@given(st.integers(0, 200), st.integers(0, 20), st.sampled_from([0.05, 0.7, 9.0]))
def test_vehicles_are_as_many_as_the_trips(seed: int, draw: int, mean: float) -> None:
    matrix = some_trips(seed, mean=mean)
    made = fleet_of(town([f"{k:02d}" for k in range(12)]), matrix, seed=draw)
    apart = np.where(matrix.origin == matrix.destination, 0.0, matrix.trips)
    assert len(made.pair) == round(apart.sum())
    number = np.bincount(made.pair, minlength=len(apart))
    wanted = apart * len(made.pair) / apart.sum()
    assert np.abs(number - wanted).max() < 1 + 1e-9
    by_origin = [np.bincount(matrix.origin, one) for one in (number, wanted)]
    assert np.abs(by_origin[0] - by_origin[1]).max() < 1 + 1e-9
    assert (matrix.origin[made.pair] == made.fleet.origin).all()
    assert (matrix.destination[made.pair] == made.fleet.destination).all()


def test_departures_follow_the_profile() -> None:
    matrix = some_trips(1, mean=20.0)
    profile = Profile([0.2, 0.0, 1.0, 0.6], step=900.0, start=300.0)
    made = fleet_of(town([f"{k:02d}" for k in range(12)]), matrix, profile, seed=4)
    apart = float(matrix.trips[matrix.origin != matrix.destination].sum())
    assert len(made.pair) == round(apart * 1.8 / 4)
    number = np.histogram(made.fleet.departure, 300.0 + 900.0 * np.arange(5))[0]
    assert number.sum() == len(made.pair)
    assert np.abs(number - len(made.pair) * np.array([0.2, 0.0, 1.0, 0.6]) / 1.8).max() <= 1
    first = made.fleet.origin == 0  # those of one zone are spread over the whole time too
    share = np.histogram(made.fleet.departure[first], 300.0 + 900.0 * np.arange(5))[0]
    assert np.abs(share - first.sum() * np.array([0.2, 0.0, 1.0, 0.6]) / 1.8).max() <= 5  # about log of their number


def test_a_vehicle_keeps_its_number_when_the_network_changes() -> None:
    matrix, names = some_trips(3), [f"{k:02d}" for k in range(12)]
    base = fleet_of(town(names), matrix, seed=7)
    shuffled = np.random.default_rng(0).permutation(12)  # old row of each new row
    new_row = np.argsort(shuffled)
    rows = np.random.default_rng(1).permutation(len(matrix.trips))
    other = ODMatrix(new_row[matrix.origin[rows]], new_row[matrix.destination[rows]], matrix.trips[rows])
    option = fleet_of(town([*np.array(names)[shuffled].tolist(), "a new one"]), other, seed=7)
    assert np.array_equal(option.fleet.departure, base.fleet.departure)
    assert np.array_equal(shuffled[option.fleet.origin], base.fleet.origin)
    assert np.array_equal(shuffled[option.fleet.destination], base.fleet.destination)


def test_another_seed_gives_other_vehicles_and_the_same_one_the_same() -> None:
    network, matrix = town([f"{k:02d}" for k in range(12)]), some_trips(5)
    one, again, other = (fleet_of(network, matrix, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.fleet.departure, again.fleet.departure)
    assert np.array_equal(one.pair, again.pair)
    assert not np.array_equal(one.pair, other.pair)


def test_trips_within_a_zone_and_pairs_without_a_vehicle_are_told() -> None:
    matrix = ODMatrix(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 3.0, 0.2]))
    made = fleet_of(town(["a", "b"]), matrix)
    assert made.notes[0] == "3 vehicles for 3.2 trips"
    assert made.notes[1].startswith("5.0 trips stay within their zone")
    assert len(made.fleet.departure) == 3


def test_without_trips_nobody_departs() -> None:
    made = fleet_of(town(["a", "b"]), ODMatrix(np.array([0]), np.array([0]), np.array([5.0])))
    assert len(made.fleet.departure) == 0


def test_faults_are_told_together() -> None:
    matrix = ODMatrix(np.array([0, 9]), np.array([1, 0]), np.array([1.0, -1.0]))
    with pytest.raises(UsageError, match=r"(?s)5 faults.*1 ends of trips.*1 numbers of trips.*profile is.*lasts 0.0 s.*begins at -1.0 s"):
        fleet_of(town(["a", "b"]), matrix, Profile([0.0], step=0.0, start=-1.0))


@pytest.mark.parametrize("profile", [Profile(step=np.inf), Profile(start=np.inf), Profile(start=np.nan)])
def test_nobody_departs_at_no_time(profile: Profile) -> None:
    with pytest.raises(UsageError, match="expected"):
        fleet_of(town(["a", "b"]), ODMatrix(np.array([0]), np.array([1]), np.array([5.0])), profile)
