"""Roads closed, added and removed: the network says so, in a form that can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.scenario import Change, closures
from cim.scenario.network import network_of
from cim.sim.traffic import road_network

MAIN = shapely.LineString([(0, 0), (50, 0), (100, 0), (150, 0)])
SIDE = shapely.LineString([(100, 0), (100, 80)])


def make_city() -> City:
    """Return a main road of two links, n0 - n1 - n2 (the first with a bend), and a side road n1 - n3."""
    builder = CityBuilder("EPSG:28992", time_zone="Asia/Shanghai")
    keys = builder.add_objects(
        "Road",
        ["main", "side", "bare"],
        footprints=np.array([MAIN, SIDE, shapely.LineString([(0, 300), (9, 300)])]),
        names=["人民路", "人民路", None],
    )
    builder.add_attributes(keys, "Road", {"lanes": Column([4, 2, None]), "speed_limit": Column([13.9, 8.3, None], unit="m/s")})
    builder.add_links(
        keys[[0, 0, 1]], "road", ["n0", "n1", "n1"], ["n1", "n2", "n3"], length=[100.0, 50.0, 80.0], direction=["both", "forward", "both"],
        attributes=['{"vertices":[0,2],"lanes":4}', '{"vertices":[2,3],"lanes":4}', None],
    )  # fmt: skip
    builder.add_objects("Building", ["b"], footprints=[shapely.box(0, 50, 10, 60)])
    return builder.build()


def graph(city: City) -> networkx.MultiGraph:
    made = networkx.MultiGraph()
    for row in city.tables["links"].to_pylist():
        made.add_edge(row["from_node"], row["to_node"], weight=row["length"])
    return made


def links_of(city: City, id: str) -> list[dict[str, Any]]:
    key = int(city.key_of([id])[0])
    return [
        {**row, "attributes": json.loads(row["attributes"] or "{}")} for row in city.tables["links"].to_pylist() if row["object"] == key
    ]


def test_a_closed_road_is_closed_on_all_its_links_and_on_no_other() -> None:
    city = make_city()
    option = Change("A").close_road("main").apply(city)
    assert [(one.direction, one.start, one.until, one.classes) for one in closures(option)] == [("both", None, None, ())] * 2
    assert {one.object for one in closures(option)} == {int(option.key_of(["main"])[0])}
    assert [row["attributes"]["lanes"] for row in links_of(option, "main")] == [4, 4]
    said = json.loads(option["main"].attributes["closed"])
    assert said == [{"from": None, "to": None, "direction": "both", "classes": None, "by": "change: A"}]
    assert option.why("main", "closed")[0].method == "change: A"
    assert option["side"].attributes.get("closed") is None
    assert closures(city) == []


def test_a_closure_of_one_link_for_some_hours_and_vehicles() -> None:
    change = Change("A").close_road(
        "main",
        between=("n2", "n1"),
        start="2026-07-01T08:00:00",
        until="2026-07-01T04:00:00Z",
        classes=["truck", "car"],
        direction="backward",
    )
    option = change.apply(make_city())
    (closed,) = closures(option)
    assert (closed.start, closed.until) == (datetime(2026, 7, 1, 0, tzinfo=UTC), datetime(2026, 7, 1, 4, tzinfo=UTC))  # 08:00 in Shanghai
    assert (closed.classes, closed.direction) == (("car", "truck"), "backward")
    (row,) = [row for row in links_of(option, "main") if "closed" in row["attributes"]]
    assert (row["key"], row["from_node"], row["to_node"]) == (closed.link, "n1", "n2")
    assert Change.from_dict(json.loads(json.dumps(change.to_dict()))) == change


def test_closures_of_one_road_add_up() -> None:
    option = Change("A").close_road("side", until="2026-07-01T00:00Z").close_road("side", start="2026-08-01T00:00Z").apply(make_city())
    assert [one.start is None for one in closures(option)] == [True, False]
    assert len(json.loads(option["side"].attributes["closed"])) == 2


def test_a_road_without_links_is_closed_and_says_that_traffic_does_not_see_it() -> None:
    option = Change("A").close_road("bare").apply(make_city())
    assert closures(option) == []
    assert [one["code"] for one in option["bare"].issues] == ["unmatched"]


def test_a_new_road_joins_nodes_and_has_a_free_end() -> None:
    line = [[100.3, 80.4], [150, 80], [200, 120]]
    option = Change("A").add_road("new", line, lanes=2, speed_limit=8.3, width=7.0, oneway=True, road_class="tertiary").apply(make_city())
    (row,) = links_of(option, "new")
    assert (row["from_node"], row["to_node"], row["direction"], row["network"]) == ("n3", "new/end", "forward", "road")
    assert row["attributes"] == {"vertices": [0, 2], "lanes": 2, "speed_limit": 8.3, "width": 7.0, "class": "tertiary"}
    view = option["new"]
    assert shapely.get_coordinates(view.footprint)[0].tolist() == [100.0, 80.0]
    assert row["length"] == pytest.approx(view.footprint.length)
    assert {name: view.attributes[name] for name in ("lanes", "speed_limit", "width", "one_way", "road_class")} == {
        "lanes": 2, "speed_limit": 8.3, "width": 7.0, "one_way": True, "road_class": "tertiary"}  # fmt: skip
    assert option.why("new", "lanes")[0].method == "change: A"
    assert networkx.shortest_path_length(graph(option), "n0", "new/end", weight="weight") == pytest.approx(180 + row["length"])
    assert {(one["code"], one["severity"]) for one in view.issues} == {("assumed", "info"), ("unmatched", "info")}


def test_a_road_that_passes_nodes_becomes_a_link_between_each() -> None:
    option = (
        Change("A").add_road("new", [[-50, 40], [0, 0.5], [50, 40], [100, 80], [100, 200]], lanes=2, speed_limit=8.3).apply(make_city())
    )
    rows = links_of(option, "new")
    assert [(row["from_node"], row["to_node"]) for row in rows] == [("new/start", "n0"), ("n0", "n3"), ("n3", "new/end")]
    assert [row["attributes"]["vertices"] for row in rows] == [[0, 1], [1, 3], [3, 4]]
    assert sum(row["length"] for row in rows) == pytest.approx(option["new"].footprint.length)


def test_a_new_road_of_no_stated_class_carries_traffic_by_an_assumed_one() -> None:
    option = Change("A").add_road("new", [[0, 0], [100, 80]], lanes=2, speed_limit=8.3).apply(make_city())
    (row,) = links_of(option, "new")
    assert (row["attributes"]["class"], row["attributes"]["assumed"]) == ("unclassified", ["class"])
    assert "class of 'new' is not stated: taken as unclassified" in " ".join(one["message"] for one in option["new"].issues)
    links = road_network(option).links
    new = links.filter(pc.equal(links["object"], "new"))
    assert new.num_rows == 2
    assert all("class" in one for one in new["assumed"].to_pylist())
    rails = Change("A").add_road("new", [[0, 0], [100, 80]], lanes=1, speed_limit=8.3, network="rail").apply(make_city())
    assert "class" not in links_of(rails, "new")[0]["attributes"]


@pytest.mark.parametrize(("x", "new_vertex"), [(30.0, True), (50.0, False)])
def test_an_end_in_the_middle_of_a_road_cuts_its_link(x: float, new_vertex: bool) -> None:  # noqa: FBT001  # a test's parameter
    city = make_city()
    option = Change("A").add_road("new", [[x, 0.6], [x, 60]], lanes=2, speed_limit=8.3).apply(city)
    rows = sorted(links_of(option, "main"), key=lambda row: row["attributes"]["vertices"])
    assert [(row["from_node"], row["to_node"]) for row in rows] == [("n0", "new/start"), ("new/start", "n1"), ("n1", "n2")]
    assert [row["length"] for row in rows] == pytest.approx([x, 100.0 - x, 50.0])
    assert option["main"].footprint.equals(city["main"].footprint)
    assert shapely.get_num_coordinates(option["main"].footprint) == 4 + new_vertex
    network = network_of(option, "road")
    places = dict(zip(network.names.tolist(), network.places.tolist(), strict=True))
    expected = {"n0": [0, 0], "n1": [100, 0], "n2": [150, 0], "n3": [100, 80], "new/start": [x, 0], "new/end": [x, 60]}
    assert places == expected
    assert networkx.shortest_path_length(graph(option), "n3", "new/end", weight="weight") == pytest.approx(80 + 100 - x + 60)
    assert len(set(option.tables["links"]["key"].to_pylist())) == option.tables["links"].num_rows
    assert links_of(city, "main") == links_of(make_city(), "main")


def test_a_crossing_without_a_node_is_counted_and_not_joined() -> None:
    option = Change("A").add_road("bridge", [[20, -40], [20, 40]], lanes=2, speed_limit=8.3).apply(make_city())
    messages = [one["message"] for one in option["bridge"].issues]
    assert any("crosses 1 links" in one for one in messages)
    assert any("ends free at its start and at its end" in one for one in messages)
    assert not networkx.has_path(graph(option), "n0", "bridge/end")


def test_without_a_network_a_road_stands_alone() -> None:
    builder = CityBuilder("EPSG:28992")
    builder.add_objects("Building", ["b"], footprints=[shapely.box(0, 0, 1, 1)])
    option = Change("A").add_road("r", [[0, 0], [3, 4]], lanes=1, speed_limit=5.0).apply(builder.build())
    (row,) = links_of(option, "r")
    assert (row["from_node"], row["to_node"], row["length"]) == ("r/start", "r/end", 5.0)


def test_links_that_do_not_say_where_they_lie_are_counted() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["a"], footprints=[MAIN])
    builder.add_links(keys[[0, 0]], "road", ["n0", "n1"], ["n1", "n2"], length=[100.0, 50.0])
    option = Change("A").add_road("r", [[0, 0], [0, 40]], lanes=1, speed_limit=5.0).apply(builder.build())
    assert any("2 links of 'road' do not say where they lie" in one["message"] for one in option["r"].issues)


def test_a_removed_road_takes_its_links_along() -> None:
    option = Change("A").remove_road("main").apply(make_city())
    assert "main" not in option
    assert [row["from_node"] for row in option.tables["links"].to_pylist()] == ["n1"]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Change("A").close_road("main", start="2026-07-02T00:00Z", until="2026-07-01T00:00Z"), UsageError, "is not before until"),
        (lambda: Change("A").close_road("main", start="soon"), UsageError, "no instant"),
        (lambda: Change("A").close_road("main", classes=["crs"]), UsageError, "classes"),
        (lambda: Change("A").close_road("main", classes=[]), UsageError, "classes"),
        (lambda: Change("A").close_road("man").apply(make_city()), ObjectNotFoundError, "did you mean main"),
        (lambda: Change("A").close_road("人民路").apply(make_city()), ObjectNotFoundError, "; 2 objects have that name: main, side$"),
        (lambda: Change("A").close_road("main", between=[[0, 0], [9, 0]]), UsageError, "expected the ids of two nodes"),  # type: ignore[arg-type]
        (lambda: Change("A").close_road("b").apply(make_city()), UsageError, "is a Building, expected one of Road"),
        (lambda: Change("A").close_road("main", between=("n0", "n2")).apply(make_city()), UsageError, "its links: n0 to n1, n1 to n2"),
        (
            lambda: Change("A").close_road("main", start="2026-07-01T06:00Z", until="2026-07-01T12:00").apply(make_city()),
            UsageError,
            "the first must be earlier",
        ),
        (lambda: Change("A").add_road("r", [[0, 0]], lanes=1, speed_limit=5.0), UsageError, "line"),
        (lambda: Change("A").add_road("r", [[0, 0], [0, 0]], lanes=1, speed_limit=5.0), UsageError, "line with a length"),
        (lambda: Change("A").add_road("r", [[0, 0], [9, 0]], lanes=0, speed_limit=5.0), UsageError, "lanes"),
        (lambda: Change("A").add_road("r", [[0, 0], [9, 0]], lanes=1, speed_limit=90.0), UsageError, "speed_limit"),
        (
            lambda: Change("A").add_road("main", [[0, 0], [9, 0]], lanes=1, speed_limit=9.0).apply(make_city()),
            UsageError,
            "taken by a Road",
        ),
        (lambda: Change("A").add_road("r", [[0, 0.2], [0, 0.5]], lanes=1, speed_limit=9.0).apply(make_city()), UsageError, "smaller snap"),
        (lambda: Change("A").remove_road("b").apply(make_city()), UsageError, "is a Building"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.data
def test_a_road_between_two_blocks_of_a_real_city_is_joined_at_both_ends(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read
    from cim.model.reproject import to_crs

    pytest.importorskip("osmium")
    city = to_crs(read(shared_data("city", "osm", "Helsinki.osm.pbf")), "EPSG:3067")
    network = network_of(city, "road")
    assert network.unplaced == 0
    long = np.argsort(shapely.length(network.lines))[-2:]
    first, last = (shapely.line_interpolate_point(network.lines[at], 0.4, normalized=True) for at in long)
    option = Change("A").add_road("new", shapely.LineString([first, last]), lanes=2, speed_limit=8.3).apply(city)
    (row,) = links_of(option, "new")
    degree = graph(option).degree
    assert degree["new/start"] == degree["new/end"] == 3  # two halves of the street and the new road
    assert option.tables["links"].num_rows == city.tables["links"].num_rows + 3
    assert float(np.nansum(option.tables["links"]["length"].to_numpy())) - row["length"] == pytest.approx(
        float(np.nansum(city.tables["links"]["length"].to_numpy()))
    )


def test_a_road_that_joins_a_link_with_a_line_of_its_own_cuts_that_line() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["area"], footprints=[shapely.box(0, 0, 100, 8)])
    said = {"line": [[0, 4], [40, 4], [100, 4]], "derived": "centreline of area", "width": 8.0}
    builder.add_links(keys, "road", ["a"], ["b"], length=[100.0], attributes=[json.dumps(said)])
    option = Change("A").add_road("new", [[70, 4], [70, 90]], lanes=1, speed_limit=8.0).apply(builder.build())
    halves = links_of(option, "area")
    assert [(row["from_node"], row["to_node"]) for row in halves] == [("a", "new/start"), ("new/start", "b")]
    assert [row["length"] for row in halves] == pytest.approx([70.0, 30.0])  # shares of 100 m, rounded in the last place
    assert [row["attributes"]["line"] for row in halves] == [[[0, 4], [40, 4], [70, 4]], [[70, 4], [100, 4]]]
    assert all(row["attributes"]["derived"] == "centreline of area" for row in halves)
    assert option["area"].footprint.equals(shapely.box(0, 0, 100, 8))


def test_a_class_that_is_not_known_is_one_fault() -> None:
    with pytest.raises(UsageError, match=r"^step 'close_road' for 'main': classes\.0: Input should be [^;]*$"):
        Change("A").close_road("main", classes=["cars"])
    with pytest.raises(UsageError, match="classes: is empty; name one class or more, or leave it out for all"):
        Change("A").close_road("main", classes=[])
