"""A city with roads but no network gets one, and every guess is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pyarrow as pa
import pytest
import shapely

from cim.errors import CRSError, ObjectNotFoundError, UsageError
from cim.loaders import read
from cim.model import City, CityBuilder, Column, to_crs
from cim.model.link_lines import link_lines
from cim.model.road_facts import NOT_FOR_CARS, class_of, read_facts
from cim.model.road_links import derive_road_links
from cim.model.schema import BOUNDARIES, VERTICES
from cim.scenario import Change

WEST, EAST = shapely.LineString([(0, 0), (100, 0)]), shapely.LineString([(100.4, 0), (200, 0)])
CROSS = shapely.LineString([(50, -60), (50, 60)])


def roads(*shapes: Any, crs: str = "EPSG:28992", **columns: Any) -> City:
    builder = CityBuilder(crs)
    keys = builder.add_objects("Road", [f"r{k}" for k in range(len(shapes))], footprints=np.array(shapes, object))
    if columns:
        builder.add_attributes(
            keys, "Road", {name: value if isinstance(value, Column) else Column(value) for name, value in columns.items()}
        )
    return builder.build()


def rows(city: City) -> list[dict[str, Any]]:
    names = city.ids(city.tables["links"]["object"].to_numpy())
    return [
        {**row, "object": name, "said": json.loads(row["attributes"])}
        for name, row in zip(names, city.tables["links"].to_pylist(), strict=True)
    ]


def graph(city: City) -> networkx.MultiGraph:
    made = networkx.MultiGraph()
    for row in rows(city):
        made.add_edge(row["from_node"], row["to_node"], length=row["length"])
    return made


def told(city: City) -> str:
    return "\n".join(city.issues["message"])


def test_lines_become_links_that_say_where_they_lie() -> None:
    city = derive_road_links(roads(WEST, EAST, CROSS))
    found = link_lines(city)
    assert not found.missing.any()
    assert {row["from_node"] for row in rows(city)} | {row["to_node"] for row in rows(city)} == set(found.names.tolist())
    assert networkx.number_connected_components(graph(city)) == 1
    np.testing.assert_allclose(found.length, shapely.length(found.lines), atol=0.02)  # lines are written in centimetres
    said = {row["object"]: row["said"] for row in rows(city)}
    assert said["r1"]["vertices"] == [0, 1]
    assert "line" in said["r0"]
    assert said["r0"]["assumed"] == ["class", "direction"]


def test_what_is_assumed_is_counted() -> None:
    text = told(derive_road_links(roads(WEST, EAST, CROSS, road_class=["主干路", "weird", None])))
    for part in (
        "5 links are made from the lines of 3 roads",
        "1 nodes join ends that lie apart",
        "1 crossings of roads without a common",
        "the class of 3 links is assumed to be 'unclassified' (no class is known for 'weird')",
        "5 links are assumed to be open in both",
    ):
        assert part in text


def test_attributes_in_any_language_reach_the_links() -> None:
    city = derive_road_links(roads(WEST, EAST, CROSS, road_class=["主干路", "次干路", "支路"], lanes=[4, 2, None], one_way=["F", "T", "B"],
                                   speed_limit=Column([60.0, 40.0, 30.0], unit="m/s"), 桥梁=["否", "是", None]))  # fmt: skip
    said = {row["object"]: (row["direction"], row["said"]) for row in rows(city)}
    assert [said[name][0] for name in ("r0", "r1", "r2")] == ["forward", "backward", "both"]
    assert [said[name][1]["class"] for name in ("r0", "r1", "r2")] == ["primary", "secondary", "tertiary"]
    assert said["r0"][1]["lanes"] == 4
    assert said["r0"][1]["speed_limit"] == pytest.approx(60 / 3.6, abs=1e-4)
    assert (said["r1"][1]["bridge"], said["r1"][1]["layer"]) == ("yes", 1)
    assert "bridge" not in said["r0"][1]
    assert "3 speed limits are taken for km/h" in told(city)
    slow = derive_road_links(roads(WEST, speed_limit=Column([8.33], unit="m/s")))
    assert rows(slow)[0]["said"]["speed_limit"] == 8.33


@pytest.mark.parametrize(
    ("word", "expected"),
    [("快速路", "trunk"), ("非机动车道", "cycleway"), ("Rijbaan autosnelweg", "motorway"), ("rijbaan autoweg", "trunk"),
     ("voetpad op trap", "steps"), ("secondary_link", "secondary_link"), ("parkeervlak", "parking"),
     ("waardeOnbekend", ""), ("", ""), ("motorcycle", "")],
)  # fmt: skip
def test_words_for_classes(word: str, expected: str) -> None:
    assert class_of(word) == expected


@pytest.mark.parametrize("field", ["道路等级", "道路等", "等级", "技术等级", "类型"])
def test_the_class_is_read_from_chinese_fields_that_a_reader_leaves_alone(field: str) -> None:
    said: dict[str, Any] = {field: ["快速路", "城市支路"]}
    city = derive_road_links(roads(WEST, EAST, **said))
    assert [row["said"]["class"] for row in rows(city)] == ["trunk", "tertiary"]


def test_areas_get_a_centreline_with_lanes_by_width() -> None:
    city = derive_road_links(roads(shapely.box(0, 0, 100, 7), shapely.box(100, 0, 180, 7), shapely.box(0, 7, 180, 10),
                                   function=["rijbaan lokale weg", "rijbaan lokale weg", "voetpad"]))  # fmt: skip
    assert [row["object"] for row in rows(city)] == ["r0", "r1"]
    for row in rows(city):
        assert row["said"]["derived"] == "centreline of area"
        assert row["said"]["lanes"] == 2
        assert row["said"]["width"] == pytest.approx(7.0, abs=0.05)
        assert row["said"]["assumed"] == ["centreline", "direction", "lanes"]
        assert np.abs(np.array(row["said"]["line"])[:, 1] - 3.5).max() < 0.05
    text = told(city)
    assert "1 roads are no carriageways by their function (1 footway)" in text
    assert "lanes of 2 links are assumed from the width" in text


def test_plots_of_road_land_stand_in_where_there_are_no_roads() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("LandUse", ["S", "park"], footprints=[shapely.box(0, 0, 150, 14), shapely.box(0, 14, 150, 90)])
    builder.add_attributes(keys, "LandUse", {"land_use": Column(["城市道路用地", "公园绿地"])})
    city = derive_road_links(builder.build())
    assert [(row["object"], row["said"]["lanes"]) for row in rows(city)] == [("S", 4)]
    assert "1 plots whose land use is road stand for roads" in told(city)


def test_only_surfaces_for_traffic_are_driven_on() -> None:
    """A street of 11 m as CityJSON has it: a carriageway of 7 m, and a pavement and a verge of 2 m each."""
    builder = CityBuilder("EPSG:7415", origin=(80000.0, 440000.0, 0.0))
    (key,) = builder.add_objects("Road", ["street"])
    corners = [
        (80000.0 + x, 440000.0 + y, 1.0) for low, high in ((0, 7), (7, 9), (9, 11)) for x, y in ((0, low), (90, low), (90, high), (0, high))
    ]
    nested = [[[[list(range(4 * k, 4 * k + 4))] for k in range(3)]]]
    geometry = builder.add_geometries(
        [key],
        lod="2",
        role="multi_surface",
        type="MultiSurface",
        vertices=pa.array([corners], VERTICES),
        boundaries=pa.array([nested], BOUNDARIES),
        semantics=pa.array([[0, 1, 2]], pa.list_(pa.int32())),
    )
    builder.add_surfaces(np.repeat(geometry, 3), [0, 1, 2], ["TrafficArea", "TrafficArea", "AuxiliaryTrafficArea"],
                         attributes=['{"function": "driving_lane"}', '{"function": ["footpath"]}', None])  # fmt: skip
    city = derive_road_links(builder.build())
    (row,) = rows(city)
    assert row["said"]["width"] == pytest.approx(7.0, abs=0.05)
    assert np.abs(np.array(row["said"]["line"])[:, 1] - 440003.5).max() < 0.05
    assert "of 1 roads only the surfaces of the class TrafficArea count" in told(city)


def test_the_same_city_gives_the_same_links_and_a_change_elsewhere_leaves_their_ids() -> None:
    one = shapely.box(0, 0, 100, 7)
    small, large = roads(one), roads(one, shapely.box(500, 40, 507, 190))
    first, again, more = derive_road_links(small), derive_road_links(small), derive_road_links(large)
    assert first.tables["links"].equals(again.tables["links"])
    ends = {(row["object"], row["from_node"], row["to_node"]) for row in rows(first)}
    assert ends <= {(row["object"], row["from_node"], row["to_node"]) for row in rows(more)}


def test_links_of_other_networks_stay_and_keys_go_on() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["rail", "street"], footprints=[WEST, CROSS])
    builder.add_links(keys[:1], "rail", ["a"], ["b"])
    city = derive_road_links(builder.build())
    assert city.tables["links"]["network"].to_pylist()[0] == "rail"
    assert len(set(city.tables["links"]["key"].to_pylist())) == city.tables["links"].num_rows


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match="no road that is a line or an area"):
        derive_road_links(roads(None))
    with pytest.raises(UsageError, match="has 1 road links already"):
        derive_road_links(derive_road_links(roads(WEST)))
    with pytest.raises(UsageError, match=r"snap is -1 m.*cross is 'no'.*lane_width is 9"):
        derive_road_links(roads(WEST), snap=-1, cross="no", lane_width=9)  # type: ignore[arg-type]
    with pytest.raises(CRSError, match="needs metres"):
        derive_road_links(roads(shapely.LineString([(4, 52), (4.01, 52)]), crs="EPSG:4326"))
    with pytest.raises(CRSError, match=r"stretches lengths by a factor 1\.5"):
        derive_road_links(roads(shapely.LineString([(1603000, 6463000), (1603900, 6463000)]), crs="EPSG:3857"))
    with pytest.raises(ObjectNotFoundError):
        derive_road_links(roads(WEST), also=["nowhere"])
    with pytest.raises(UsageError, match=r"make no link: 1 roads are no carriageways"):
        derive_road_links(roads(shapely.box(0, 0, 1, 1), shapely.box(9, 0, 99, 3), function=["rijbaan", "voetpad"]))


# ---------------------------------------------------------------- real data


def carriageways(city: City) -> Any:
    keys = city.keys("Road")
    driven = ~np.isin(read_facts(city, "Road", keys).road_class.astype(str), sorted(NOT_FOR_CARS))
    return shapely.union_all(shapely.buffer(city.footprints(keys)[driven], 0.05, join_style="mitre"))


@pytest.mark.parametrize("file", ["bgt_wegdeel.sqlite", "delft_v2.0.city.json"])
def test_the_road_areas_of_delft_get_their_centrelines(shared_data: Callable[..., Path], file: str) -> None:
    source = read(shared_data("city", "delft", file))
    city = derive_road_links(source)
    found, area = link_lines(city), carriageways(source)
    assert shapely.length(shapely.difference(found.lines, area.buffer(1.0))).sum() == 0  # no link leaves its area by more than 1 m
    width = np.array([row["said"]["width"] for row in rows(city)])
    near = shapely.union_all(shapely.buffer(found.lines, width / 2))
    assert shapely.intersection(near, area).area > 0.85 * area.area  # measured 0.89; the rest are widenings and corners
    pieces = [part for part in shapely.get_parts(area) if part.area > 100]
    assert networkx.number_connected_components(graph(city)) == len(pieces)
    assert found.length.min() > 10
    assert 3.0 < np.median(width) < 5.0


def test_a_deck_that_is_kept_as_a_footway_joins_both_banks_of_delft_when_it_is_named(shared_data: Callable[..., Path]) -> None:
    city = derive_road_links(read(shared_data("city", "delft", "bgt_wegdeel.sqlite")), also=["bfceabefc-2d38-11e6-9a38-393caa90be70"])
    assert networkx.number_connected_components(graph(city)) == 1
    (deck,) = [row for row in rows(city) if row["object"].startswith("bfceabefc")]
    assert deck["said"]["layer"] == 1


def test_centrelines_of_gothenburg_are_one_network_and_tunnels_pass_below(shared_data: Callable[..., Path]) -> None:
    city = derive_road_links(read(shared_data("city", "dtcc_minimal", "test_road.shp")))
    parts = sorted((sum(length for *_, length in graph(city).subgraph(nodes).edges(data="length"))
                    for nodes in networkx.connected_components(graph(city))), reverse=True)  # fmt: skip
    assert parts[0] > 0.95 * sum(parts)
    assert "7 crossings and touching ends are on different levels and not joined" in told(city)


def test_streets_of_bubenec_make_links_once_they_count_in_true_metres(shared_data: Callable[..., Path]) -> None:
    source = read(shared_data("city", "bubenec", "bubenec.gpkg"))
    with pytest.raises(CRSError, match="stretches"):
        derive_road_links(source)
    city = derive_road_links(to_crs(source, "EPSG:5514"))
    assert len(rows(city)) == 35
    assert networkx.number_connected_components(graph(city)) == 1


def test_lines_that_links_state_themselves_go_along_into_another_system() -> None:
    x, y = 500000.0, 3400000.0
    area = shapely.box(x, y, x + 200.0, y + 8.0)
    city = derive_road_links(roads(area, crs="EPSG:4549"))
    moved = to_crs(city, "EPSG:4547")
    before, after = link_lines(city), link_lines(moved)
    assert shapely.distance(after.lines[0], shapely.Point(x, y)) > 1000.0
    assert shapely.covers(shapely.buffer(moved.footprints(moved.keys("Road"))[0], 1.0), after.lines).all()
    assert np.allclose(shapely.length(after.lines), shapely.length(before.lines), rtol=5e-3)  # 575 km beside its meridian: x²/2R² = 0.41 %


def test_directions_that_may_mean_against_or_no_are_told() -> None:
    """F and T are along and against the line where roads have B, too; without it they are false and true, and that is a guess."""
    flags = derive_road_links(roads(WEST, EAST, one_way=["F", "T"]))
    assert flags.tables["links"]["direction"].to_pylist() == ["both", "forward"]
    assert "T and F of 2 roads are taken for one way and both" in told(flags)
    letters = derive_road_links(roads(WEST, EAST, CROSS, one_way=["F", "T", "B"]))
    assert "T and F" not in told(letters)


def directions(**columns: Any) -> tuple[list[str], str]:
    """Return the directions of four roads that do not meet, and what is told of them."""
    lines = [shapely.LineString([(0, y), (100, y)]) for y in (0, 100, 200, 300)]
    city = derive_road_links(roads(*lines, **columns))
    return city.tables["links"]["direction"].to_pylist(), told(city)


def test_chinese_words_of_direction_are_understood_and_one_way_alone_is_told() -> None:
    way, text = directions(one_way=["单行", "双行", "反向", "单向"])
    assert way == ["forward", "both", "backward", "forward"]
    assert "2 one-way roads do not say which way" in text
    way, text = directions(单双向=["单向", "双向", "单向", None], 通行方向=["反向", None, "正向", None])  # the second field says which way
    assert way == ["backward", "both", "forward", "both"]
    assert "which way" not in text
    assert "1 links are assumed to be open in both directions" in text


def test_words_of_direction_that_are_not_understood_are_named_with_those_that_are() -> None:
    way, text = directions(direction=["东西", "东西", "南北", "FT"])
    assert way == ["both", "both", "both", "forward"]
    assert "the direction of 3 roads is not understood ('东西' 2, '南北' 1); known are yes/no" in text


def test_codes_of_direction_that_need_a_list_are_not_taken_for_yes_and_no() -> None:
    """In data for navigation 1 is both, 2 along and 3 against the line: a 1 that were taken for yes would be wrong."""
    way, text = directions(direction=[1, 1, 2, 3])
    assert way == ["both"] * 4
    assert "the direction of 4 roads is not understood ('1' 2, '2' 1, '3' 1)" in text
    assert directions(oneway=[1, 0, -1, None])[0] == ["forward", "both", "backward", "both"]
    assert "'N' 1" in directions(dir_travel=["F", "T", "B", "N"])[1]


def test_ends_that_stop_short_are_counted_with_the_snap_that_joins_most() -> None:
    wide = shapely.LineString([(50, 1.6), (50, 60)])
    stub = shapely.LineString([(20, 0), (20, 2.0)])  # its free end lies near the road that it hangs on: no gap
    city = derive_road_links(roads(WEST, wide, stub))
    (text,) = [one for one in city.issues["message"] if "stop short" in one]
    assert "fall into 2 parts" in text
    assert "1 within 2 m, 1 within 5 m; " in text
    assert "cim roads CITY --again --snap 2, or derive_road_links(snap=2, again=True)" in text
    assert "stop short" not in told(derive_road_links(city, snap=2, again=True))
    assert "stop short" not in told(derive_road_links(roads(WEST, CROSS)))


def test_links_are_derived_anew_only_where_they_were_derived() -> None:
    once = derive_road_links(roads(WEST, EAST, CROSS))
    again = derive_road_links(once, again=True)
    assert again.tables["links"].drop_columns("key").equals(once.tables["links"].drop_columns("key"))
    old, new = (one.issues["message"].tolist() for one in (once, again))
    assert new == ["derive_road_links: 5 links that an earlier run derived are made anew", *old]
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["osm", "street"], footprints=[WEST, CROSS])
    builder.add_links(keys[:1], "road", ["a"], ["b"])
    with pytest.raises(UsageError, match=r"1 road links already, 1 of them not derived but stated by .* \(such as those of 'osm'\)"):
        derive_road_links(builder.build(), again=True)


def test_closures_that_go_with_links_are_told() -> None:
    shut = Change("x").derive_road_links().close_road("r0").apply(roads(WEST, CROSS))
    again = derive_road_links(shut, again=True)
    assert "2 of the links made anew were closed" in told(again)
    assert not any("closed" in row["said"] for row in rows(again))
