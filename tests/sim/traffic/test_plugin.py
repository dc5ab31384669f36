"""The section [traffic] beside the others of its scenario, and what a planner writes by mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.sim.flood.parameters import FloodParameters
from cim.sim.impact.reach_plugin import SIMULATOR as REACH
from cim.sim.traffic import TrafficParameters, assign, simulate
from cim.sim.traffic.plugin import SIMULATOR

TRIPS = ODMatrix(np.array([0]), np.array([1]), np.array([100.0]))


@pytest.fixture(scope="module")
def city() -> City:
    """Give one street in Shanghai's time."""
    builder = CityBuilder("EPSG:4549", time_zone="Asia/Shanghai")
    x, y = 500000.0, 3400000.0
    keys = builder.add_objects("Road", ["r1"], footprints=[shapely.LineString([(x, y), (x + 500, y)])])
    builder.add_links(keys, "road", ["a"], ["b"], length=[500.0], attributes=['{"class": "residential", "vertices": [0, 1]}'])
    return builder.build()


def flood(**more: Any) -> FloodParameters:
    given = {"until": "1h", "start": datetime(2026, 7, 1, 8, tzinfo=UTC), "rain": {"kind": "none"}, **more}
    return FloodParameters.model_validate(given)


def test_an_instant_without_a_zone_is_in_that_of_the_city(city: City) -> None:
    asked: dict[str, Any] = {"demand": TRIPS, "departures": "5min"}
    bare = simulate(city, start="2026-07-01T08:00:00", until="2026-07-01T08:10", **asked)
    told = simulate(city, start="2026-07-01T08:00:00+08:00", until="10min", **asked)
    assert bare.run.start == told.run.start == datetime(2026, 7, 1, tzinfo=UTC)
    assert bare.table("trips").equals(told.table("trips"))


def test_a_traffic_beyond_its_flood_is_found_beforehand_where_the_zones_can_be_compared() -> None:
    late = datetime(2026, 7, 1, 12)  # noqa: DTZ001 - the case itself
    bare, own = flood(start=datetime(2026, 7, 1, 8)), TrafficParameters(start=late)  # noqa: DTZ001
    assert len(SIMULATOR.beside(own, {"flood": bare, "roads": own})) == 1
    assert SIMULATOR.beside(own, {"flood": flood(), "roads": own}) == []  # one states its zone, the other does not
    spring, day = datetime(2026, 3, 28, 20), datetime(2026, 3, 29, 8)  # noqa: DTZ001 - 11 h where summer time begins, 12 h elsewhere
    assert SIMULATOR.beside(TrafficParameters(until="12h"), {"flood": flood(start=spring, until=day), "roads": own}) == []
    assert SIMULATOR.beside(TrafficParameters(start=spring, until=day), {"flood": flood(start=spring, until="11h"), "roads": own}) == []


def test_gates_beside_a_matrix_are_refused(city: City, tmp_path: Path) -> None:
    file = tmp_path / "trips.csv"
    file.write_text("origin,destination,trips\na,b,100\n", encoding="utf-8")
    assert simulate(city, method="equilibrium", **{"demand": None, **read(file)}).run.balance["trips_veh_h"] == 100.0
    with pytest.raises(UsageError, match="gate and through belong to trips from floor area"):
        simulate(city, method="equilibrium", gate=[{"at": "a", "inbound": 10.0}], **read(file))


def read(file: Path) -> dict[str, Any]:
    """Return the file as the section of a scenario hands it over."""
    return {"parameters": TrafficParameters(demand=str(file))}


def test_a_gate_far_from_every_road_is_refused_with_its_distance(city: City) -> None:
    with pytest.raises(UsageError, match=r"the gate at \[510750, 3400000\] lies 10,250 m from the nearest node"):
        simulate(city, gate=[{"at": (510750.0, 3400000.0), "inbound": 10.0}])


def test_water_that_nobody_would_heed_is_told_before_anything_computes() -> None:
    others = {"flood": flood()}
    assert "add a section [roads]" in SIMULATOR.beside(TrafficParameters(), others)[0]
    assert "add a section [roads]" in REACH.beside(TrafficParameters(), others)[0]
    assert SIMULATOR.beside(TrafficParameters(), {}) == []


@pytest.mark.parametrize(
    ("own", "faults"),
    [
        ({"until": "1h"}, 0),
        ({"until": "2h"}, 1),
        ({"until": "2h", "beyond": "hold"}, 0),
        ({"start": "2026-07-01T07:59:00Z", "until": "10min"}, 1),
        ({"start": "2026-07-01T16:00:00+08:00", "until": "2026-07-01T17:00:00+08:00"}, 0),
        ({"method": "equilibrium", "at": "45min"}, 0),
        ({"method": "equilibrium", "at": "61min"}, 1),
        ({"method": "equilibrium"}, 0),
    ],
)
def test_traffic_that_goes_beyond_its_flood_is_told_before_anything_computes(own: dict[str, Any], faults: int) -> None:
    roads = TrafficParameters()
    told = SIMULATOR.beside(TrafficParameters.model_validate(own), {"flood": flood(), "roads": roads})
    assert len(told) == faults
    assert all("2026-07-01 08:00 to 2026-07-01 09:00 UTC" in one for one in told)


def test_select_link_takes_rows_that_are_there() -> None:
    road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=60.0, capacity=1000.0, length=500.0)
    found = assign(road, TRIPS)
    assert found.through(0)[1].tolist() == [100.0]
    for wrong in (1, -1):
        with pytest.raises(UsageError, match="expected the row of a link, 0 to 0"):
            found.through(wrong)


@pytest.mark.parametrize(("row", "word"), [("a,z,1", "'z'"), ("a,b,-1", "below 0")])
def test_faults_of_parameters_network_trips_and_roads_come_in_one_message(city: City, tmp_path: Path, row: str, word: str) -> None:
    file = tmp_path / "trips.csv"
    file.write_text(f"origin,destination,trips\n{row}\n", encoding="utf-8")
    asked: dict[str, Any] = {
        "start": "2026-07-01T08:00",
        "until": "2026-07-01T07:00",
        "output_every": "0s",
        "closed": ["no road"],
        "gap": 3.0,
    }
    with pytest.raises((UsageError, ObjectNotFoundError)) as told:
        simulate(city, demand=str(file), **asked)
    said = str(told.value)
    assert said.startswith("traffic: 5 faults:"), said
    assert all(one in said for one in ("gap", "no road", "until is", "output_every", word)), said


def test_zones_that_no_road_joins_are_refused_in_both_methods() -> None:
    apart = RoadNetwork.of(list("abcd"), [0, 2], [1, 3], free_flow_time=60.0, capacity=900.0, length=500.0)
    for method in ("equilibrium", "dynamic"):
        with pytest.raises(UsageError, match=r"1 pairs of zones with 5 trips per hour are joined by no path \(a to d\)"):
            simulate(apart, demand=ODMatrix.of(apart, ["a", "a"], ["b", "d"], [9.0, 5.0]), method=method)
    with pytest.raises(UsageError, match="1 pairs of zones name a node that is not there"):
        simulate(apart, demand=ODMatrix(np.array([0]), np.array([9]), np.array([1.0])))


def test_a_fault_is_named_when_others_depend_on_what_was_wrong(city: City) -> None:
    with pytest.raises(UsageError, match="equilibrum"):
        simulate(city, demand=TRIPS, method="equilibrum", at="10min")
