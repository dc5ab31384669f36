"""What a road can carry: exact cases, laws, and a slow oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cim.errors import UsageError
from cim.model import CityBuilder
from cim.results import Fields
from cim.sim.coupling.speed import water_speed
from cim.sim.impact.parameters import ImpactParameters, VehicleLimits
from cim.sim.traffic.city_network import road_network
from tests.sim.coupling.helpers import about, lines_of, make_roads, make_water, of_class, state_of
from tests.sim.coupling.oracle import slow_state

STRAIGHT = make_roads(lines_of())  # 40 m at 20 m/s through 20 cells of 2 m
FLAT = np.zeros((3, 20))
EXACT = 1e-12  # relative; sums of a few numbers in double precision


def series_of(*depths: float) -> np.ndarray:
    """Return depths that are the same on all cells, one plane per output of 10 minutes."""
    return np.array([np.full(FLAT.shape, one) for one in depths])


def flooded(series: np.ndarray, **more: Any) -> Fields:
    return make_water(series.max(axis=0), series=series, **more)


def states(city: Any, water: Fields, name: str = "car", **options: Any) -> list[dict[str, Any]]:
    return of_class(state_of(city, water, **options), "states", name)


def test_a_depth_that_does_not_change_gives_the_speed_of_the_law_and_one_row() -> None:
    (row,) = states(STRAIGHT, flooded(series_of(0.2, 0.2, 0.2)))
    assert (row["object"], row["link"], row["from_time"], row["until_time"]) == ("r", "r:ra>rz", 0.0, 1200.0)
    assert row["speed"] == pytest.approx(float(water_speed(0.2)), rel=EXACT)
    assert (row["depth"], row["mean_depth"], row["closed"], row["cause"]) == (pytest.approx(0.2), pytest.approx(0.2), False, "water")


def test_the_cap_of_the_law_does_not_make_a_slow_road_faster() -> None:
    slow = make_roads(lines_of(), links={"r": ', "speed_limit": 5.0'})
    assert states(slow, flooded(series_of(0.1, 0.1))) == []  # 11.3 m/s would be safe
    assert states(slow, flooded(series_of(0.25, 0.25)))[0]["speed"] == pytest.approx(float(water_speed(0.25)), rel=EXACT)


def test_a_car_is_stopped_in_the_interval_that_ends_above_its_limit_until_the_one_that_begins_below() -> None:
    result = state_of(STRAIGHT, flooded(series_of(0, 0.3, 0.31, 0.2, 0.0)))
    closed = [(row["from_time"], row["until_time"]) for row in of_class(result, "states") if row["closed"]]
    assert closed == [(600.0, 1800.0)]  # output 2, at 1200 s, is the only one above 0.3 m
    (link,) = of_class(result, "links")
    assert (link["closed_from"], link["closed_until"], link["closed_minutes"], link["closed_at_end"]) == (600.0, 1800.0, 20.0, False)
    assert link["cause"] == "depth"
    assert not any(row["closed"] for row in of_class(result, "states", "emergency"))


def test_exactly_at_the_limit_a_road_is_open() -> None:
    assert not states(STRAIGHT, flooded(series_of(0.3, 0.3)))[0]["closed"]  # 0.3 m in single precision is 0.30000001 m
    assert states(STRAIGHT, flooded(series_of(0.3001, 0.3001)))[0]["closed"]


def test_the_mean_speed_is_the_length_over_the_time_that_the_cells_take() -> None:
    plane = FLAT.copy()
    plane[:, 5] = 0.25  # 2 m of 40 m
    (row,) = states(STRAIGHT, flooded(np.array([plane, plane])))
    assert row["speed"] == pytest.approx(40 / (38 / 20 + 2 / float(water_speed(0.25))), rel=EXACT)
    assert row["mean_depth"] == pytest.approx(0.25 * 2 / 40, rel=EXACT)


def test_a_road_still_closed_when_the_run_ends_has_no_end_of_its_closure() -> None:
    (link,) = of_class(state_of(STRAIGHT, flooded(series_of(0, 0, 0.5))), "links")
    assert (link["closed_from"], link["closed_until"], link["closed_at_end"]) == (600.0, None, True)


def test_a_peak_between_outputs_closes_the_intervals_beside_the_deepest_output() -> None:
    water = make_water(FLAT + 0.5, series=series_of(0, 0.1, 0.2, 0.1, 0.0))
    result = state_of(STRAIGHT, water)
    assert [(row["from_time"], row["until_time"]) for row in of_class(result, "states") if row["closed"]] == [(600.0, 1800.0)]
    assert any("deeper between outputs than at any" in text and text.startswith("20 of 20") for text in result.run.assumptions)


def test_fast_shallow_water_closes_a_road_by_velocity_and_by_the_product() -> None:
    fast = of_class(state_of(STRAIGHT, make_water(FLAT + 0.08, velocity=3.5, series=series_of(0.08, 0.08))), "links")[0]
    assert (fast["cause"], fast["closed_minutes"]) == ("velocity", 10.0)
    product = of_class(state_of(STRAIGHT, make_water(FLAT + 0.2, velocity=1.6, series=series_of(0.2, 0.2))), "links")[0]
    assert product["cause"] == "depth_velocity"  # 0.32 m²/s over 0.3


def test_velocities_over_time_close_only_while_the_water_is_fast() -> None:
    water = make_water(FLAT + 0.2, velocity=2.0, series=series_of(0.2, 0.2, 0.2, 0.2))
    speeds = np.array([2.0, 0.0, 0.0, 0.0], np.float32)[:, None, None] * np.ones((4, *FLAT.shape), np.float32)
    for name, values in (("flow_velocity_x", speeds), ("flow_velocity_y", speeds * 0)):
        water.dataset[name] = (("time", "y", "x"), values, about(name, "m/s"))
    closed = [(row["from_time"], row["until_time"]) for row in states(STRAIGHT, water) if row["closed"]]
    assert closed == [(0.0, 600.0)]


def test_a_road_that_is_cleared_stays_closed_until_the_next_output_after_that() -> None:
    water = flooded(series_of(0, 0.5, 0.0, 0.0, 0.0, 0.0))
    rows = [(row["from_time"], row["until_time"], row["cause"]) for row in states(STRAIGHT, water, dry_after="15min") if row["closed"]]
    assert rows == [(0.0, 1200.0, "depth"), (1200.0, 2400.0, "clearing")]


def test_water_without_times_stands_from_beginning_to_end_and_says_so() -> None:
    result = state_of(STRAIGHT, make_water(FLAT + 0.4))
    (row,) = of_class(result, "states")
    assert (row["from_time"], row["until_time"], row["closed"]) == (0.0, np.inf, True)
    assert of_class(result, "links")[0]["closed_minutes"] is None
    assert result.run.parameters["until"] is None
    assert any("no depths over time" in text for text in result.run.assumptions)


def test_a_class_without_limits_is_not_assessed_and_named() -> None:
    result = state_of(STRAIGHT, flooded(series_of(2, 2)))
    assert {row["status"] for row in of_class(result, "links", "bicycle")} == {"not_assessed"}
    assert of_class(result, "states", "bicycle") == []
    assert any("no limits for bicycle, motorcycle, pedestrian" in text for text in result.run.assumptions)


def test_limits_of_the_impact_hold_and_own_ones_come_first() -> None:
    water = flooded(series_of(0.2, 0.2))
    low = VehicleLimits(depth=0.1, depth_velocity=0.3)
    assert states(STRAIGHT, water, limits=ImpactParameters(vehicles={"small_car": low}), classes={"car": "small_car"})[0]["closed"]
    assert states(STRAIGHT, water, vehicles={"boat": low}, classes={"car": "boat"})[0]["closed"]
    with pytest.raises(UsageError, match="classes names limits that are not there: car = tank"):
        state_of(STRAIGHT, water, classes={"car": "tank"})


def test_faults_of_parameters_come_in_one_message() -> None:
    with pytest.raises(UsageError, match=r"(?s)roads: 2 faults:.*film_depth.*no_such") as caught:
        state_of(STRAIGHT, flooded(series_of(0, 0)), film_depth=-1.0, no_such=2)
    assert "-1.0" in str(caught.value)
    with pytest.raises(UsageError, match="no vehicle class is called 'tram'"):
        state_of(STRAIGHT, flooded(series_of(0, 0)), classes={"tram": "small_car"})


# ---------------------------------------------------------------- what is not known


def test_a_link_outside_the_water_is_free_counted_and_named() -> None:
    city = make_roads({**lines_of(), "far": shapely.LineString([(100, 3), (140, 3)]), "half": shapely.LineString([(20, 1), (60, 1)])})
    result = state_of(city, flooded(series_of(0, 0.02)))
    links = {row["object"]: (row["status"], row["reason"]) for row in of_class(result, "links")}
    assert links == {
        "r": ("assessed", None),
        "far": ("not_assessed", "outside_domain"),
        "half": ("not_assessed", "partly_outside_domain"),
    }
    assert result.run.balance["links_not_assessed"] == 2
    assert "1 links of 3 are not assessed and stay free: outside_domain" in result.run.assumptions


def test_a_link_of_another_network_is_not_in_the_city() -> None:
    network = road_network(make_roads({"other": lines_of()["r"]}))
    result = state_of(STRAIGHT, flooded(series_of(1, 1)), network=network)
    assert [(row["status"], row["reason"]) for row in of_class(result, "links")] == [("not_assessed", "not_in_city")]
    assert result.table("states").num_rows == 0


def test_both_directions_of_a_link_have_its_water_and_two_links_between_the_same_nodes_their_own() -> None:
    def add(builder: CityBuilder) -> None:
        line = shapely.LineString([(0, 1), (10, 1), (20, 1)])
        keys = builder.add_objects("Road", ["loop"], footprints=[line])
        said = [
            '{"class": "primary", "speed_limit": 20, "vertices": [0, 1]}',
            '{"class": "primary", "speed_limit": 20, "vertices": [1, 2]}',
        ]
        builder.add_links(keys[[0, 0]], "road", ["p", "p"], ["q", "q"], direction="both", length=[10.0, 10.0], attributes=said)

    plane = FLAT.copy()
    plane[2, 7] = 0.5  # x from 14 to 16: on the second piece
    result = state_of(make_roads({}, add=add), flooded(np.array([plane, plane])))
    closed = {row["link"]: row["closed_minutes"] for row in of_class(result, "links")}
    assert closed == {"loop:p>q": 0.0, "loop:q>p": 0.0, "loop:p>q#2": 10.0, "loop:q>p#2": 10.0}
    network = road_network(make_roads({}, add=add))
    fewer = state_of(make_roads({}, add=add), flooded(np.array([plane, plane])), network=network.without(np.array([0])))
    assert {row["link"]: row["reason"] for row in of_class(fewer, "links")}["loop:p>q#2"] == "ambiguous_link"


# ---------------------------------------------------------------- rain


def test_rain_slows_dry_roads_too_and_narrows_them() -> None:
    water = flooded(series_of(0, 0, 0, 0))
    rows = states(STRAIGHT, water, rain=[["0min", 0.0], ["10min", 5.0], ["20min", 50.0]])
    assert [(row["from_time"], row["cause"], row["capacity"]) for row in rows] == [(600.0, "rain", 0.9276), (1200.0, "rain", 0.8587)]
    assert [row["speed"] for row in rows] == pytest.approx([20 * 0.96, 20 * 0.945], rel=EXACT)


def test_under_rain_and_water_the_lower_speed_and_both_factors_hold() -> None:
    (row,) = states(STRAIGHT, flooded(series_of(0.2, 0.2)), rain=50.0, ponding_capacity="speed")
    v = float(water_speed(0.2))
    assert (row["speed"], row["cause"]) == (pytest.approx(v, rel=EXACT), "water_and_rain")
    assert row["capacity"] == pytest.approx(0.8587 * v / (20 * 0.945), rel=EXACT)


# ---------------------------------------------------------------- laws and the oracle

WATER = arrays(np.float64, (4, 5, 6), elements=st.sampled_from([0.0, 0.004, 0.03, 0.12, 0.3, 0.32, 0.45, 0.7]))
WAYS = st.lists(st.tuples(st.floats(0.1, 11.9), st.floats(0.1, 9.9)), min_size=2, max_size=4, unique=True)


@settings(max_examples=40, deadline=None)
@given(WATER, WAYS)
def test_it_equals_a_slow_loop_over_squares(series: np.ndarray, points: list[tuple[float, float]]) -> None:
    line = shapely.LineString(points)
    on_edge = np.abs(np.mod(shapely.get_coordinates(line), 2.0) - 1.0).max() > 0.999
    if on_edge or line.length < 0.5 or not line.is_simple:
        return  # a line along an edge of cells is in both squares of the oracle
    rows = states(make_roads({"r": line}), flooded(series))
    expected = slow_state(line, np.asarray(series, np.float32).astype(float).round(6), 2.0, 20.0, 0.3)
    found: list[Any] = [None] * 3
    for row in rows:
        for interval in range(round(row["from_time"] / 600), round(row["until_time"] / 600)):
            found[interval] = row
    for (depth, mean, speed, closed), row in zip(expected, found, strict=True):
        if row is None:
            assert speed is None
            assert not closed
            continue
        assert (row["depth"] >= depth - 1e-9, row["closed"]) == (True, closed)
        assert row["mean_depth"] >= mean - 1e-9  # a row of several intervals has the greatest of them
        assert row["speed"] == (None if speed is None else pytest.approx(speed, rel=1e-9))  # lengths by GEOS against shares of segments


@settings(max_examples=40, deadline=None)
@given(WATER, arrays(np.float64, (4, 5, 6), elements=st.floats(0.0, 0.5)), st.sampled_from(["diagram", "speed"]))
def test_more_water_is_never_faster_and_never_opens_a_road(series: np.ndarray, more: np.ndarray, how: str) -> None:
    city = make_roads({"r": shapely.LineString([(0.5, 0.7), (11.3, 9.1)])})

    def on_clock(water: np.ndarray) -> np.ndarray:
        values = np.array([[20.0, 1.0, 0.0]] * 3)
        for row in states(city, flooded(water), ponding_capacity=how):
            values[round(row["from_time"] / 600) : round(row["until_time"] / 600)] = (row["speed"] or 20.0, row["capacity"], row["closed"])
        return values

    less, deep = on_clock(series), on_clock(series + more)
    assert (deep[:, 0] <= less[:, 0] * (1 + 1e-12)).all()  # two sums of the same numbers round in the last place
    assert (deep[:, 1] <= less[:, 1] * (1 + 1e-12)).all()
    assert (deep[:, 2] >= less[:, 2]).all()
