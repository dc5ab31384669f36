"""Reach: times along links to the second, what water closes, who is cut off and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
import xarray as xr

import cim
from cim.errors import UsageError
from cim.model import CityBuilder
from cim.results import Fields, RunRecord
from cim.scenario import Change
from cim.sim.impact.reach_times import link_times
from cim.sim.impact.reachability import reach
from cim.sim.impact.walking import walking_network
from cim.sim.traffic.city_network import road_network
from tests.sim.impact.helpers import CRS
from tests.sim.impact.reach_city import START, both, by_object, road_states, street

HOUSES = ("west", "middle", "east", "north")


def times(fields: Fields, name: str = "time_dry") -> dict[str, Any]:
    return {one: row[name] for one, row in by_object(fields).items() if one != "post"}


def steps(fields: Fields, within: float) -> list[tuple[Any, ...]]:
    rows = [row for row in fields.table("steps").to_pylist() if row["within"] == within]
    return [(row["time"], row["reached"], row["people_reached"], row["cut_off"], row["newly_cut_off"]) for row in rows]


def test_a_path_begins_and_ends_part_of_the_way_along_a_link() -> None:
    found = reach(street(), stations="fire")
    assert times(found) == pytest.approx({"west": 90.0, "middle": 120.0, "east": 170.0, "north": 80.0 + 150.0})
    assert {row["station"] for row in by_object(found).values()} == {"post"}
    assert by_object(found)["west"]["access_distance"] == pytest.approx(10.0)


def test_on_the_link_of_the_station_itself_both_directions_count() -> None:
    beside = reach(street(), stations=[(600.0, 5.0)], objects=["post", "west"])
    assert times(beside) == pytest.approx({"west": 50.0})
    assert by_object(beside)["post"]["time_dry"] == pytest.approx(40.0)  # back along the link, from 600 m to 200 m


def test_on_a_one_way_street_what_lies_behind_the_station_is_never_reached() -> None:
    found = by_object(reach(street(one_way=True), stations=[(600.0, 5.0)], objects=["post", "west"]))
    assert (found["post"]["status"], found["post"]["reason"], found["post"]["time_dry"]) == ("never", "no_route_when_dry", None)
    assert found["west"]["time_dry"] == pytest.approx(50.0)


def test_the_nearest_of_several_stations_comes() -> None:
    found = by_object(reach(street(), stations=["fire", (1900.0, 5.0)], objects="Building"))
    assert {row["place"] for row in found.values()} == {"stations, emergency"}  # the later service of the same object wins in this view
    rows = reach(street(), stations={"help": ["post", (1900.0, 5.0)]}).table("objects").to_pylist()
    assert {row["object"]: row["station"] for row in rows} == {
        "post": "post", "west": "point 1", "middle": "point 1", "east": "point 1", "north": "point 1",
    }  # fmt: skip


def test_a_closed_link_is_gone_round_and_a_building_on_it_is_cut_off() -> None:
    roads = road_states(*both("main:b>c", 600.0, 1200.0), *both("loop:b>c", 900.0, 1500.0, 5.0, closed=False))
    found = reach(street(), stations="fire", roads=roads, within="4min")
    rows = by_object(found)
    assert {one: rows[one]["status"] for one in HOUSES} == {"west": "cut_off", "middle": "cut_off", "east": "cut_off", "north": "late"}
    assert {rows[one]["reason"] for one in HOUSES} == {"on_a_closed_road", None}
    assert (rows["west"]["cut_off_from"], rows["west"]["cut_off_minutes"], rows["west"]["time_worst"]) == (600.0, 10.0, None)
    assert rows["west"]["cut_off_at"].isoformat() == "2026-07-01T07:10:00+00:00"
    assert rows["north"]["time_worst"] == pytest.approx(80.0 + 300.0)  # half of 3000 m at 5 m/s
    assert (rows["north"]["late_minutes"], rows["north"]["cut_off_minutes"]) == (10.0, 0.0)
    assert steps(found, 240.0) == [
        (None, 5, 60.0, 0, 0), (0.0, 5, 60.0, 0, 0), (600.0, 2, 0.0, 3, 3), (900.0, 1, 0.0, 3, 0), (1200.0, 4, 60.0, 0, 0),
    ]  # fmt: skip
    events = [(row["time"], row["object"], row["before"], row["after"]) for row in found.table("cut_off").to_pylist()]
    assert sorted(events) == [
        (600.0, "east", "in_time", "cut_off"), (600.0, "middle", "in_time", "cut_off"), (600.0, "west", "in_time", "cut_off"),
        (900.0, "north", "in_time", "late"),
        (1200.0, "east", "cut_off", "in_time"), (1200.0, "middle", "cut_off", "in_time"), (1200.0, "west", "cut_off", "in_time"),
    ]  # fmt: skip


def test_a_link_that_is_closed_one_way_is_entered_from_the_other_end() -> None:
    roads = road_states(("main:b>c", "emergency", 0.0, 60.0, None, True))
    rows = by_object(reach(street(), stations="fire", roads=roads, within="10min"))
    assert rows["east"]["time_worst"] == pytest.approx(80.0 + 300.0 + 10.0)  # round the loop, then 100 m back
    assert rows["west"]["time_worst"] == pytest.approx(80.0 + 300.0 + 90.0)


def test_a_station_that_is_closed_in_helps_nobody_and_is_told() -> None:
    found = reach(street(), stations="fire", roads=road_states(*both("main:a>b", 0.0, 300.0)))
    post = by_object(found, "stations")["post"]
    assert (post["status"], post["closed_from"], post["closed_minutes"], post["nearest_for"]) == ("closed", 0.0, 5.0, 5)
    rows = by_object(found)
    assert {rows[one]["reason"] for one in HOUSES} == {"no_station_open"}
    assert rows["post"]["status"] == "in_time"  # help is there already
    assert any("1 stations (post) are closed in" in text for text in found.run.assumptions)


def test_each_class_of_vehicle_has_its_own_closures() -> None:
    roads = road_states(*both("main:b>c", 0.0, 60.0, kind="car"), *both("loop:b>c", 0.0, 60.0, kind="emergency"))
    found = reach(street(), stations="fire", roads=roads, vehicle_class=["car", "emergency"])
    status = {(row["object"], row["class"]): row["status"] for row in found.table("objects").to_pylist()}
    assert (status["west", "car"], status["west", "emergency"]) == ("cut_off", "in_time")
    assert (status["north", "car"], status["north", "emergency"]) == ("in_time", "cut_off")


def test_an_object_far_from_every_road_is_not_assessed_and_counted() -> None:
    found = reach(street(far=100.0), stations="fire")
    row = by_object(found)["north"]
    assert (row["status"], row["reason"], row["time_dry"], row["within_8min"]) == (
        "not_assessed",
        "too_far_from_a_road",
        None,
        "not_assessed",
    )
    assert row["access_distance"] == pytest.approx(100.0)
    assert "emergency: 1 of 5 objects not assessed, too_far_from_a_road" in found.run.assumptions
    assert reach(street(far=100.0), stations="fire", access_reach=150.0).table("steps")["objects"].to_pylist() == [5]


def test_the_way_from_the_road_and_the_turnout_count_when_they_are_asked_for() -> None:
    found = reach(street(), stations="fire", access_speed=2.0, turnout="1min")
    assert times(found)["west"] == pytest.approx(60.0 + 5.0 + 90.0 + 5.0)


def traffic(**tables: pa.Table) -> Fields:
    return Fields("traffic", xr.Dataset(), tables, RunRecord("traffic", "1", start=START))


def test_times_of_a_static_traffic_result_are_taken_and_its_closed_links_are_closed() -> None:
    table = pa.table({"link": ["main:a>b", "main:b>c"], "travel_time": pa.array([200.0, None], pa.float64())})
    found = reach(street(), traffic(links=table), stations="fire", within="15min")
    assert times(found) == pytest.approx({"west": 90.0, "middle": 120.0, "east": 170.0, "north": 230.0})  # the dry, empty network
    worst = times(found, "time_worst")
    assert worst["north"] == pytest.approx(0.8 * 200.0 + 150.0)
    assert worst["east"] == pytest.approx(160.0 + 300.0 + 10.0)
    assert "4 links are not in the traffic result: they take their free-flow time" in found.run.assumptions
    assert any("give base= to tell them apart" in text for text in found.run.assumptions)


def test_intervals_of_a_dynamic_traffic_result_hold_until_the_next_one() -> None:
    table = pa.table({"link": ["main:a>b", "main:b>c"], "time": [0.0, 300.0], "speed": [5.0, 0.0]})
    found = reach(street(), traffic(intervals=table), stations="fire", times=[0, "4min", "6min"], within="60min")
    rows = found.table("steps").to_pylist()
    assert [row["time"] for row in rows] == [None, 0.0, 240.0, 360.0]
    crawl = 100.0 / (1.0 / 3.6)
    assert times(found, "time_worst")["west"] == pytest.approx(min(80.0 + crawl, 80.0 + 300.0 + 90.0))
    assert times(found, "time_worst")["north"] == pytest.approx(160.0 + 150.0)


def test_traffic_that_begins_after_the_water_is_told_and_steps_end_with_the_water() -> None:
    table = pa.table({"link": ["main:a>b", "main:a>b"], "time": [0.0, 600.0], "speed": [5.0, 4.0]})
    later = RunRecord("traffic", "1", start=START + timedelta(minutes=5))
    roads = road_states(*both("loop:b>c", 0.0, 800.0, 9.0, closed=False))
    found = reach(street(), Fields("traffic", xr.Dataset(), {"intervals": table}, later), stations="fire", roads=roads)
    assert found.table("steps")["time"].to_pylist() == [None, 0.0, 300.0]
    assert "1 steps lie before the traffic run: its links take their free-flow time" in found.run.assumptions
    assert times(found, "time_worst")["west"] == pytest.approx(160.0 + 10.0)


def traffic_of(kind: str, rows: list[tuple[Any, ...]], names: list[str], **said: Any) -> Fields:
    """Return a traffic run of one table."""
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    return Fields("traffic", xr.Dataset(), {kind: table}, RunRecord("traffic", "1", {}, {"start": START.isoformat(), **said}, start=START))


def test_a_road_that_the_city_closes_for_a_time_is_closed_at_the_steps_between() -> None:
    works = Change("works").close_road("main", start="2026-07-01T07:10:00Z", until="2026-07-01T07:20:00Z").apply(street())
    alone = by_object(reach(works, stations="fire", within="4min"))
    assert (alone["north"]["status"], alone["north"]["cut_off_at"].isoformat()) == ("cut_off", "2026-07-01T07:10:00+00:00")
    assert alone["north"]["cut_off_minutes"] == pytest.approx(10.0)
    run = traffic_of("intervals", [("main:a>b", 0.0, 10.0)], ["link", "time", "speed"], until="30min", output_every="5min")
    found = reach(works, run, stations="fire", within="4min")
    assert [(row[0], row[3]) for row in steps(found, 240.0)] == [(None, 0), (0.0, 0), (600.0, 4), (1200.0, 0)]
    good = Change("works").close_road("main", start="2026-07-01T07:10:00Z").apply(street())
    assert by_object(reach(good, run, stations="fire", within="4min"))["west"]["cut_off_minutes"] == 20.0  # to the end of the run
    late = Change("works").close_road("main", start="2026-07-01T07:30:00Z").apply(street())
    assert [(row[0], row[3]) for row in steps(reach(late, run, stations="fire", within="4min"), 240.0)] == [(None, 0), (0.0, 0)]
    assert not set(reach(works, stations="fire", vehicle_class="truck", within="4min").table("cut_off")["object"].to_pylist()) ^ {*HOUSES}
    cars = Change("works").close_road("main", start="2026-07-01T07:10:00Z", classes=["car"]).apply(street())
    assert not reach(cars, stations="fire", within="4min").table("cut_off").num_rows


@pytest.mark.parametrize("classes", [None, ["emergency"]])
def test_roads_closed_for_good_cut_off_who_lives_beyond_whether_for_all_or_for_the_class(classes: list[str] | None) -> None:
    shut = Change("works").close_road("main", classes=classes).close_road("loop", classes=classes).apply(street())
    found = {name: row["status"] for name, row in by_object(reach(shut, stations="fire", within="4min")).items()}
    assert found == {"post": "in_time", **dict.fromkeys(["north", "west", "middle", "east"], "cut_off")}
    others = {row["status"] for row in by_object(reach(shut, stations="fire", within="10min", vehicle_class="car")).values()}
    assert others == ({"in_time"} if classes else {"in_time", "cut_off"})


@pytest.mark.parametrize("one_way", [False, True])
def test_a_street_closed_for_a_time_is_closed_to_who_walks_against_its_traffic(*, one_way: bool) -> None:
    city = street(one_way=one_way)
    works = Change("works").close_road("main", start="2026-07-01T07:10:00Z", until="2026-07-01T07:20:00Z").apply(city)
    found = by_object(reach(works, stations=[(1800.0, 5.0)], within="60min", vehicle_class="pedestrian", objects=["post", "middle"]))
    assert {row["status"] for row in found.values()} == {"cut_off"}


def test_closures_of_one_road_that_overlap_keep_it_closed_till_the_last_one_ends() -> None:
    works = Change("one").close_road("main", start="2026-07-01T07:00:00Z", until="2026-07-01T07:20:00Z").apply(street())
    works = Change("two").close_road("main", start="2026-07-01T07:10:00Z", until="2026-07-01T07:30:00Z").apply(works)
    found = reach(works, stations="fire", within="4min")
    assert [(row[0], row[3]) for row in steps(found, 240.0)] == [(None, 0), (0.0, 4), (600.0, 4), (1200.0, 4), (1800.0, 0)]


def test_a_road_that_the_traffic_run_was_asked_to_close_is_closed_to_help_too() -> None:
    run = traffic_of("intervals", [("main:a>b", 0.0, 10.0)], ["link", "time", "speed"], closed=["loop"], output_every="5min", until="5min")
    rows = by_object(reach(street(), run, stations="fire", within="4min"))
    assert {one: rows[one]["status"] for one in HOUSES} == {"west": "in_time", "middle": "in_time", "east": "in_time", "north": "cut_off"}


@pytest.mark.parametrize("kind", ["links", "intervals"])
def test_traffic_makes_nobody_faster_and_holds_up_nobody_on_foot(kind: str) -> None:
    fast = [("main:a>b", 0.0, 50.0, 20.0), ("main:b>c", 0.0, 400.0, 2.5)]
    run = traffic_of(kind, fast, ["link", "time", "travel_time", "speed"])
    driven = link_times(road_network(street()), "emergency", run, None)[0].at(0.0)
    assert driven.tolist() == pytest.approx([100.0, 100.0, 400.0, 100.0, 300.0, 300.0])
    walk = walking_network(street(), speed=1.25)
    walked, told = link_times(walk, "pedestrian", run, None)
    assert walked.at(0.0).tolist() == pytest.approx([800.0, 800.0, 800.0, 800.0, 2400.0, 2400.0])
    assert told == ["pedestrians are not held up by the traffic of vehicles"]


def test_in_an_interval_without_vehicles_roads_are_free_and_after_the_run_the_last_interval_holds_and_is_told() -> None:
    rows = [("main:a>b", 0.0, 2.0), ("main:a>b", 900.0, 5.0)]
    run = traffic_of("intervals", rows, ["link", "time", "speed"], until="2026-07-01T07:20:00+00:00", output_every="5min")
    times = link_times(road_network(street()), "emergency", run, None)[0]
    found = {moment: float(times.at(moment)[0]) for moment in (0.0, 299.0, 300.0, 899.0, 900.0, 1199.0, 5000.0)}
    assert found == {0.0: 500.0, 299.0: 500.0, 300.0: 100.0, 899.0: 100.0, 900.0: 200.0, 1199.0: 200.0, 5000.0: 200.0}
    told = reach(street(), run, stations="fire", times=[0, "1h"]).run.assumptions
    assert "1 steps lie after the end of the traffic run: its last interval is taken to hold on" in told


def test_links_whose_water_nobody_knows_are_told() -> None:
    roads = road_states(*both("main:b>c", 0.0, 60.0))
    ids = road_network(street()).links["id"].to_pylist()
    told = {"link": ids, "class": ["emergency"] * len(ids), "status": ["assessed"] * (len(ids) - 2) + ["not_assessed"] * 2}
    found = reach(street(), stations="fire", roads=Fields("roads", xr.Dataset(), {**roads.tables, "links": pa.table(told)}, roads.run))
    assert "emergency: the water on 2 links is not assessed: they count as dry" in found.run.assumptions


def test_water_only_caps_what_traffic_lets_one_drive() -> None:
    table = pa.table({"link": ["main:a>b"], "travel_time": [200.0]})
    slow = road_states(("main:a>b", "emergency", 0.0, 60.0, 8.0, False))
    found = reach(street(), traffic(links=table), stations="fire", roads=slow)
    assert times(found, "time_worst")["north"] == pytest.approx(160.0 + 150.0)


def test_stations_are_found_by_what_they_are_used_for_in_either_language() -> None:
    for word in ("fire", "消防站", "fire_station"):
        found = reach(street(), stations=word)
        assert found.table("stations")["object"].to_pylist() == ["post"]
        assert any(text.startswith(f"{word}: 1 stations by their function, usage or class (post)") for text in found.run.assumptions)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"stations": "hospital"}, "station 'hospital': no object has this id, and none says it in function, usage, class"),
        ({"stations": {"a": ["nobody", "nowhere"]}}, "2 faults"),
        (
            {"stations": "fire", "objects": ["Bridge", "house 7"]},
            "2 of the objects are neither a class of the city nor an id: 'Bridge', 'house 7'",
        ),
        ({"stations": "fire", "vehicle_class": "tank", "within": "soon"}, "2 faults"),
        ({"stations": "fire", "speed": 3}, "speed: Extra inputs"),
        ({"stations": []}, "no stations"),
        ({"stations": "fire", "times": ["2026-07-01T06:00"], "roads": road_states(*both("main:a>b", 0, 1))}, "lies before the beginning"),
    ],
)
def test_what_makes_no_sense_is_refused_with_all_its_faults(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match="reach: ") as caught:
        reach(street(), **given)
    assert said in str(caught.value)


def test_compare_names_the_buildings_that_an_option_cuts_off() -> None:
    base = reach(street(), stations="fire", roads=road_states(*both("loop:b>c", 0.0, 600.0)))
    option = reach(street(), stations="fire", roads=road_states(*both("main:b>c", 0.0, 600.0)))
    changed = {row["object"]: row["change"] for row in cim.compare(base, option).changed("objects").to_pylist()}
    assert changed == dict.fromkeys(("west", "middle", "east"), "in_time -> cut_off") | {"north": "cut_off -> in_time"}
    numbers = cim.compare(base, option).table("steps").to_pylist()
    assert [row["cut_off_difference"] for row in numbers] == [0.0, 2.0]


def test_several_roads_between_the_same_nodes_keep_their_own_lines() -> None:
    builder = CityBuilder(CRS)
    lines = [shapely.LineString([(0, 0), (100, 0)]), shapely.LineString([(0, 0), (50, 80), (100, 0)])]
    keys = builder.add_objects("Road", ["r"], footprints=[shapely.MultiLineString(lines)])
    told = ['{"class": "residential", "vertices": [0, 1]}', '{"class": "residential", "vertices": [2, 4]}']
    builder.add_links(keys[[0, 0]], "road", ["a", "a"], ["z", "z"], direction="both", length=[100.0, 190.0], attributes=told)
    builder.add_objects("Building", ["up"], footprints=[shapely.box(48, 90, 52, 94)])
    city = builder.build()
    row = by_object(reach(city, stations=[(0.0, 0.0)]))["up"]
    assert road_network(city).links["id"].to_pylist() == ["r:a>z", "r:z>a", "r:a>z#2", "r:z>a#2"]
    assert row["access_link"] == "r:a>z#2"
    assert row["access_distance"] == pytest.approx(10.0)


def test_the_sums_of_the_steps_are_those_of_the_objects() -> None:
    found = reach(street(), stations="fire", within=["100s", "3min"])
    rows = found.table("objects").to_pylist()
    for limit, name in ((100.0, "within_1min40s"), (180.0, "within_3min")):
        inside = [row for row in rows if row[name] == "yes"]
        (step,) = [row for row in found.table("steps").to_pylist() if row["within"] == limit]
        assert step["reached"] == len(inside)
        assert step["floor_area_reached"] == pytest.approx(sum(row["floor_area"] for row in inside))
        assert step["people_share"] == pytest.approx(np.nansum([row["people"] or 0.0 for row in inside]) / 60.0)
