"""The same depth on a road is the same closure in every table: links and states here, roads and their links in the impact."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cim.model import City, CityBuilder, Column
from cim.results import Fields
from cim.sim.impact import exposure
from tests.sim.coupling.helpers import CRS, make_water, of_class, state_of
from tests.sim.impact.helpers import add_buildings, rows

NY, NX = 6, 8  # cells of 2 m
LIMITS = (("car", "small_car"), ("bus", "large_car"), ("emergency", "four_wheel_drive"))
DEPTHS = (st.sampled_from([0.0, 0.01, 0.2, 0.3]), st.sampled_from([0.0, 0.01, 0.2, 0.3, 0.31, 0.45, 0.55, 1.3, np.nan]))
WORDS = st.sampled_from([None, None, None, None, "no", "yes"])
ENDS = (st.tuples(st.floats(0.5, 15.5), st.floats(0.5, 11.5)), st.tuples(st.floats(-1, 17), st.floats(-1, 13)))
SAID: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {}, {}, {}, {}, {"bridge": "yes"}, {"bridge": "no"}, {"tunnel": "yes"}, {"layer": 1}, {"layer": -1}]
)
OVER, UNDER = shapely.LineString([(0.5, 5.0), (15.5, 5.5)]), shapely.LineString([(8.0, 2.5), (8.0, 9.5)])


def city_of(ways: dict[str, Any], said: dict[str, list[dict[str, Any]]], own: dict[str, list[Any]], roof: Any | None) -> City:
    """Return roads whose links are the segments of their lines; what links and roads say is given."""
    builder = CityBuilder(CRS)
    keys = builder.add_objects("Road", list(ways), footprints=np.array(list(ways.values()), object))
    builder.add_attributes(keys, "Road", {name: Column(values) for name, values in own.items() if any(one is not None for one in values)})
    for key, (name, line) in zip(keys.tolist(), ways.items(), strict=True):
        count = len(line.coords) - 1
        facts = [{"class": "primary", "speed_limit": 20.0, "vertices": [at, at + 1]} | said[name][at] for at in range(count)]
        begin, end = ([f"{name}{at + step}" for at in range(count)] for step in (0, 1))
        texts = [json.dumps(one) for one in facts]
        builder.add_links(np.full(count, key), "road", begin, end, direction="forward", length=np.full(count, 5.0), attributes=texts)
    if roof is not None:
        add_buildings(builder, {"roof": roof})
    return builder.build()


@st.composite
def cities(draw: st.DrawFn) -> City:
    """Return three roads of one to three links, one that crosses an underpass, the underpass, and perhaps a roof."""
    ends = draw(st.sampled_from(ENDS))
    ways = {name: shapely.LineString(draw(st.lists(ends, min_size=2, max_size=4, unique=True))) for name in "abc"}
    ways = {name: line for name, line in ways.items() if line.length > 0.01} | {"over": OVER, "under": UNDER}
    said = {name: [draw(SAID) for _ in line.coords[1:]] for name, line in ways.items()}
    count = len(ways) - 1
    own: dict[str, list[Any]] = {
        "bridge": [*(draw(WORDS) for _ in range(count)), None],
        "tunnel": [*(draw(WORDS) for _ in range(count)), "yes"],
        "deck_level": [*(draw(st.sampled_from([None, 0.1, 0.5])) for _ in range(count)), None],
        "width": [4.0] * len(ways),
    }
    return city_of(ways, said, own, draw(st.sampled_from([None, shapely.box(2, 2, 6, 8)])))


@st.composite
def floods(draw: st.DrawFn) -> Fields:
    """Return a run on a plain, or one with a cut, that may hold only its maxima."""
    ground = draw(arrays(np.float64, (NY, NX), elements=st.sampled_from([0.0, 0.05, 0.1])))
    ground[1:5, 3:5] -= draw(st.sampled_from([0.0, 1.0, 3.0]))
    depth = draw(arrays(np.float64, (NY, NX), elements=draw(st.sampled_from(DEPTHS))))
    depth[1:5, 3:5] += draw(st.sampled_from([0.0, 1.0, 2.9, 3.2]))
    if draw(st.booleans()):  # still water
        depth = np.maximum(draw(st.sampled_from([-0.5, 0.15, 0.35, 0.5])) - ground, 0.0)
    velocity = draw(arrays(np.float64, (NY, NX), elements=st.sampled_from([0.0, 0.5, 1.1, 3.1])))
    outputs = draw(arrays(np.float64, (3, 1, 1), elements=st.floats(0.0, 1.0)))
    series = outputs * np.nan_to_num(depth) + np.where(np.isnan(depth), np.nan, 0.0) if draw(st.booleans()) else None
    drop = draw(st.sampled_from([(), (), ("maximum_velocity", "maximum_unit_discharge", "maximum_hazard")]))
    opened = draw(st.sampled_from([[], ["under"]]))
    return make_water(depth, velocity=velocity, ground=ground, series=series, drop=drop, open_ways=opened)


@settings(max_examples=150, deadline=None)
@given(cities(), floods(), st.sampled_from([{}, {"tunnels": "terrain"}, {"unknown_share": 0.3}]))
def test_a_link_is_closed_or_not_assessed_here_exactly_where_the_impact_says_so(city: City, water: Fields, more: dict[str, Any]) -> None:
    impact, states = exposure(city, water, **more), state_of(city, water, **more)
    told = {row["place"].split(": ")[1]: row for row in impact.table("road_links").to_pylist()}
    whole = rows(impact, "roads")
    for name, limits in LIMITS:
        links = of_class(states, "links", name)
        shut: dict[str, bool] = {}
        for row in links:
            here = told[row["link"].removeprefix(f"{row['object']}:").replace(">", " - ")]
            closed = row["closed_minutes"] is None or row["closed_minutes"] > 0
            answer = here[f"passable_{limits}"]
            assert (answer == "no") == closed
            assert (answer == "not_assessed") == (row["status"] == "not_assessed")
            assert (row["deck_level"], row["deck_source"]) == (here["deck_level"], here["deck_source"])
            assert row["maximum_depth"] == here["depth_max"]
            shut[row["object"]] = shut.get(row["object"], False) or closed
        assert len(links) == len(told)
        assert shut == {road: row[f"passable_{limits}"] == "no" for road, row in whole.items()}
        closing = {row["object"] for row in of_class(states, "states", name) if row["closed"]}
        assert closing == {road for road, closed in shut.items() if closed}


@settings(max_examples=60, deadline=None)
@given(cities(), floods())
def test_a_road_is_as_deep_under_water_as_the_deepest_of_its_links(city: City, water: Fields) -> None:
    impact = exposure(city, water)
    links = impact.to_pandas("road_links").groupby("object")
    for road, row in rows(impact, "roads").items():
        own = links.get_group(road)
        if row["status"] == "not_assessed":
            assert not (own["status"] == "wet").any()
            continue
        known = own["depth_max"].dropna()
        assert row["depth_max"] >= known.max()
        if (own["status"] != "not_assessed").all():
            assert row["depth_max"] == known.max()
            assert row["status"] == ("wet" if (own["status"] == "wet").any() else "dry")
