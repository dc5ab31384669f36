from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.results import compare
from cim.scenario import Change
from cim.sim.traffic import simulate

X, Y = 500000.0, 3400000.0


@pytest.fixture(scope="module")
def city() -> City:
    """Give a block with a street on each side, homes in the west and offices in the east."""
    builder = CityBuilder("EPSG:4549", time_zone="Asia/Shanghai")
    ends = {"a": (0, 0), "b": (400, 0), "c": (400, 300), "d": (0, 300)}
    pairs = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
    lines = [shapely.LineString([(X + ends[p][0], Y + ends[p][1]), (X + ends[q][0], Y + ends[q][1])]) for p, q in pairs]
    roads = builder.add_objects("Road", ["south", "east", "north", "west"], footprints=lines)
    said = ['{"class": "residential", "vertices": [0, 1]}'] * 4
    builder.add_links(roads, "road", [p for p, _ in pairs], [q for _, q in pairs], length=[400.0, 300.0, 400.0, 300.0], attributes=said)
    places = [(X + 20.0 + 330.0 * (k % 2), Y + 40.0 + 55.0 * (k // 2)) for k in range(8)]
    boxes = [shapely.box(x, y, x + 30.0, y + 30.0) for x, y in places]
    homes = builder.add_objects("Building", [f"h{k}" for k in range(8)], footprints=boxes)
    use = ["residential" if k % 2 == 0 else "office" for k in range(8)]
    builder.add_attributes(homes, "Building", {"function": Column(use), "storeys_above_ground": Column([20] * 8)})
    return builder.build()


def test_trips_from_floor_area_run_on_the_roads_of_the_city(city: City) -> None:
    for method in ("equilibrium", "dynamic"):
        result = simulate(city, method=method, zone_size=200.0)
        table = result.tables["links"]
        assert {one for one in table["object"].to_pylist() if one} == {"south", "east", "north", "west"}
        assert sum(table["flow"].to_pylist()) > 0
        assert any("trip rates" in one for one in result.run.assumptions)


def test_a_street_that_an_option_closes_keeps_the_trips_and_shows_on_the_others(city: City) -> None:
    option = Change("works").close_road("south").apply(city)
    base, closed = (simulate(one, method="equilibrium", zone_size=200.0) for one in (city, option))
    assert base.run.inputs["trips"] == closed.run.inputs["trips"]
    assert closed.run.balance["trips_veh_h"] == base.run.balance["trips_veh_h"]
    moved = {one["link"]: one for one in compare(base, closed).table("links").to_pylist()}
    assert moved["south:a>b"]["change"] == "changed"
    south = closed.table("links").to_pandas().set_index("link").loc["south:a>b"]
    assert (south["flow"], south["closed"]) == (0.0, True)
    same = simulate(city, method="equilibrium", zone_size=200.0, closed=["south"])
    assert same.table("links")["flow"].to_pylist() == closed.table("links")["flow"].to_pylist()
    assert moved["north:d>c" if "north:d>c" in moved else "north:c>d"]["change"] == "changed"


def test_a_street_closed_for_a_time_holds_up_those_who_do_not_know(city: City) -> None:
    closed = Change("works").close_road("south", start="2026-07-01T08:05:00+08:00", until="2026-07-01T08:35:00+08:00").apply(city)
    options: dict[str, Any] = {"start": "2026-07-01T08:00:00+08:00", "until": "2h", "zone_size": 200.0}
    free, stuck, clever = (
        simulate(one, behaviour=who, **options) for one, who in ((city, "learn"), (closed, "unaware"), (closed, "learn"))
    )
    waited = [run.tables["trips"].to_pylist()[0] for run in (free, stuck, clever)]
    assert [one["cause"] for one in waited] == ["arrived"] * 3
    assert len({one["vehicles"] for one in waited}) == 1
    assert waited[1]["mean_time"] > waited[2]["mean_time"] > waited[0]["mean_time"]
    south = [one for one in stuck.tables["intervals"].to_pylist() if one["object"] == "south"]
    assert sum(one["entered"] for one in south) > 0
    assert all(one["entered"] == 0 for one in south if 300.0 <= one["time"] < 2100.0)
    shut = {(one["object"], one["from_time"], one["until_time"]) for one in stuck.tables["closures"].to_pylist()}
    assert shut == {("south", 300.0, 2100.0)}
    assert free.tables["closures"].num_rows == 0
    behind = [one["queue"] for one in stuck.tables["intervals"].to_pylist() if one["time"] == 1800.0]
    assert max(behind) > 1.0  # before the closure: on the connectors of the zones that would set out on it


def test_the_same_run_gives_the_same_bytes(city: City) -> None:
    first, second = (simulate(city, zone_size=200.0) for _ in range(2))
    assert all(first.tables[name].equals(second.tables[name]) for name in first.tables)
    assert np.isclose(first.run.balance["unaccounted"], 0.0)


def test_an_equilibrium_before_a_closure_says_that_the_closure_is_not_in_force(city: City) -> None:
    works = Change("works").close_road("south", start="2026-07-01T08:15+08:00", until="2026-07-01T10:00+08:00").apply(city)
    asked: dict[str, Any] = {"method": "equilibrium", "zone_size": 200.0, "start": "2026-07-01T08:00"}
    told = simulate(works, **asked).run.assumptions
    assert any("2 links that the city closes later (first after 15 min) are open at that instant" in one for one in told)
    assert any("start 2026-07-01T08:00 has no zone: read in that of the city, Asia/Shanghai" in one for one in told)
    assert not any("closes later" in one for one in simulate(works, at="20min", **asked).run.assumptions)


def test_trips_between_zones_at_one_junction_are_told_for_they_load_no_road() -> None:
    roads = RoadNetwork.of(
        ["p", "q", "A", "B", "C"], [0, 1, 2, 0, 3, 0, 4, 1], [1, 0, 0, 2, 0, 3, 1, 4], free_flow_time=30.0, capacity=900.0, length=300.0,
        through=[True, True, False, False, False], classes=["primary"] * 2 + ["connector"] * 6,
    )  # fmt: skip
    trips = ODMatrix.of(roads, ["A", "A", "B"], ["B", "C", "A"], [10.0, 70.0, 20.0])
    told = simulate(roads, demand=trips, method="equilibrium").run.assumptions
    assert any(one.startswith("30 of 100 veh/h go between zones that share a junction, and may load no road") for one in told)
