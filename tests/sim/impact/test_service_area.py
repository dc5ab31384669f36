"""Service areas: how far one comes along the roads, to the metre, and who lives there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.scenario import Change
from cim.sim.impact.service_areas import _joined, service_area
from tests.sim.impact.reach_city import by_object, street


def shares(found: object, place: str) -> dict[str, float]:
    table: pa.Table = found.table("links")  # type: ignore[attr-defined]
    return {row["link"]: row["share"] for row in table.to_pylist() if row["place"] == place}


def test_a_way_of_900_m_ends_inside_the_links_it_reaches() -> None:
    found = service_area(street(), "消防站", within=["900m", "100m"])
    assert shares(found, "fire, 100m") == pytest.approx({"main:a>b": 0.2 - 0.02})  # 10 m to the road, then 90 m both ways
    reached = shares(found, "fire, 900m")
    assert reached == pytest.approx({"main:a>b": 1.0, "main:b>c": 0.09, "loop:b>c": 0.03})
    (row,) = [row for row in found.table("areas").to_pylist() if row["place"] == "fire, 900m"]
    assert row["length"] == pytest.approx(1000.0 + 90.0 + 90.0)
    rows = {row["object"]: row for row in found.table("objects").to_pylist() if row["place"] == "fire, 900m"}
    assert rows["west"]["distance"] == pytest.approx(10.0 + 900.0 + 10.0)
    assert {one: rows[one]["status"] for one in ("post", "west")} == {"post": "within", "west": "outside"}


def test_a_quarter_of_an_hour_on_foot_is_18_minutes_of_a_slow_walker() -> None:
    fast = service_area(street(), "fire", within="15min", walking_speed=1.2)
    slow = service_area(street(), "fire", within="18min", walking_speed=1.0)
    assert list(shares(fast, "fire, 15min").values()) == pytest.approx(list(shares(slow, "fire, 18min").values()))
    assert by_object(fast)["west"]["time"] == pytest.approx(900.0 / 1.2)
    assert fast.table("areas")["people"].to_pylist() == [10.0]
    assert fast.table("areas")["people_share"].to_pylist() == pytest.approx([10.0 / 60.0])


def test_pedestrians_walk_against_a_one_way_street_and_cars_do_not() -> None:
    city = street(one_way=True)
    walked, driven = (service_area(city, [(600.0, 5.0)], within="300m", vehicle_class=one) for one in ("pedestrian", "car"))
    assert shares(walked, "stations, 300m") == pytest.approx({"main:a>b": 2 * (300.0 - 5.0) / 1000.0})
    assert shares(driven, "stations, 300m") == pytest.approx({"main:a>b": (300.0 - 5.0) / 1000.0})


def test_closed_roads_lead_nowhere_and_those_closed_for_a_time_are_told() -> None:
    shut = Change("works").close_road("main", classes=["car"]).apply(street())
    assert shares(service_area(shut, [(600.0, 5.0)], within="300m", vehicle_class="car"), "stations, 300m") == {}
    assert shares(service_area(shut, [(600.0, 5.0)], within="300m"), "stations, 300m") != {}
    later = Change("works").close_road("main", start="2026-07-01T07:00:00Z").apply(street())
    found = service_area(later, [(600.0, 5.0)], within="300m")
    assert "2 closures of links that begin or end are not looked at: this is of no instant" in found.run.assumptions


def test_the_outline_is_what_lies_near_the_roads_within() -> None:
    found = service_area(street(), [(500.0, 0.0)], within="100m", access_reach=30.0)
    (row,) = found.table("areas").to_pylist()
    expected = shapely.buffer(shapely.LineString([(400.0, 0.0), (600.0, 0.0)]), 30.0, quad_segs=8)
    assert shapely.equals_exact(shapely.normalize(shapely.from_wkb(row["footprint"])), shapely.normalize(expected), tolerance=1e-6)
    assert row["area"] == pytest.approx(expected.area)


def test_each_station_has_its_own_circle_when_that_is_asked_for() -> None:
    found = service_area(street(), {"help": ["post", "east"]}, within="100m", each=True)
    assert found.table("areas")["place"].to_pylist() == ["help post, 100m", "help east, 100m"]
    assert shares(found, "help east, 100m") == pytest.approx({"main:b>c": 0.18})


@pytest.mark.parametrize(("within", "said"), [(["5min", "500m"], "not both"), ([], "give times"), ("far", "expected a finite one")])
def test_times_and_ways_are_not_mixed(within: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        service_area(street(), "fire", within=within)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_pieces_that_overlap_become_one_and_cover_the_same(pieces: list[tuple[int, int, int]]) -> None:
    way = np.array([one for one, _, _ in pieces], np.int64)
    low = np.array([a / 10 for _, a, _ in pieces])
    high = np.array([min(a + size, 10) / 10 for _, a, size in pieces])
    where, begin, end = _joined(way, low, high)
    for place in range(4):
        for point in np.arange(0.05, 1.0, 0.1):
            inside = bool(((way == place) & (low < point) & (point < high)).any())
            assert int(((where == place) & (begin < point) & (point < end)).sum()) == int(inside)
    assert (begin < end).all()
