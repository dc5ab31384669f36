"""Roads and links: the water along the line, and what can still drive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column
from cim.sim.impact import exposure
from tests.sim.impact.helpers import CRS, add_buildings, make_water, rows

DRY = np.zeros((10, 20))  # 40 m by 20 m, cells of 2 m


def puddle(column: int, row: int, depth: float) -> np.ndarray:
    field = DRY.copy()
    field[9 - row, column] = depth
    return field


def make_roads(*, links: bool = True, **attributes: Any) -> City:
    builder = CityBuilder(CRS)
    lines = [shapely.LineString([(1, 3), (11, 3), (21, 3), (39, 3)]), shapely.LineString([(5, 11), (9, 15)])]
    keys = builder.add_objects("Road", ["main", "side"], footprints=np.array(lines, object))
    if attributes:
        builder.add_attributes(keys, "Road", {name: Column(values) for name, values in attributes.items()})
    if links:
        spans = ['{"vertices": [0, 1]}', '{"vertices": [1, 3]}']
        builder.add_links(keys[[0, 0]], "road", ["n1", "n2"], ["n2", "n3"], direction="both", length=[10.0, 28.0], attributes=spans)
    builder.add_objects("Road", ["square"], footprints=[shapely.box(20, 10, 30, 18)])
    return builder.build()


def link_rows(result: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["object"], row["place"]): row for row in result.table("road_links").to_pylist()}


def test_each_link_has_the_water_of_its_own_part_of_the_line() -> None:
    result = exposure(make_roads(), make_water(puddle(7, 1, 0.4), velocity=0.1))  # x from 14 to 16
    links = link_rows(result)
    expected = {("main", "1: n1 - n2"): ("dry", 10.0), ("main", "2: n2 - n3"): ("wet", 28.0), ("side", "1"): ("dry", None)}
    assert {key: (row["status"], row["length"]) for key, row in links.items()} == expected
    assert links["main", "2: n2 - n3"]["depth_max"] == 0.4
    assert links["main", "2: n2 - n3"]["depth_mean"] == pytest.approx(0.4 * 2 / 28)
    whole = rows(result, "roads")["main"]
    assert (whole["status"], whole["shape"], whole["depth_max"]) == ("wet", "line", 0.4)
    assert whole["depth_mean"] == pytest.approx(0.4 * 2 / 38)


def test_the_mean_counts_the_length_in_each_cell_not_the_number_of_cells() -> None:
    field = puddle(2, 5, 1.0)  # the side road starts in the middle of this cell and leaves it at its corner
    row = rows(exposure(make_roads(), make_water(field)), "roads")["side"]
    assert row["depth_mean"] == pytest.approx(np.sqrt(2) / np.sqrt(32))


@pytest.mark.parametrize(
    ("depth", "velocity", "answers"),
    [
        (0.05, 0.0, ("yes", "yes", "yes")),
        (0.3, 1.0, ("yes", "yes", "yes")),
        (0.31, 0.0, ("no", "yes", "yes")),
        (0.45, 0.0, ("no", "no", "yes")),
        (0.51, 0.0, ("no", "no", "no")),
        (0.2, 2.0, ("no", "yes", "yes")),
        (0.1, 3.1, ("no", "no", "no")),
    ],
)
def test_a_road_is_closed_to_a_vehicle_by_its_deepest_or_fastest_cell(depth: float, velocity: float, answers: tuple[str, ...]) -> None:
    row = rows(exposure(make_roads(), make_water(puddle(7, 1, depth), velocity=velocity)), "roads")["main"]
    assert tuple(row[f"passable_{name}"] for name in ("small_car", "large_car", "four_wheel_drive")) == answers


def test_the_classes_of_vehicles_may_be_replaced() -> None:
    limits = {"fire_engine": {"depth": 0.8, "depth_velocity": 1.0}}
    row = rows(exposure(make_roads(), make_water(puddle(7, 1, 0.7)), vehicles=limits), "roads")["main"]
    assert row["passable_fire_engine"] == "yes"
    assert "passable_small_car" not in row


def test_a_road_surface_is_assessed_by_the_cells_inside() -> None:
    row = rows(exposure(make_roads(), make_water(puddle(12, 6, 0.4))), "roads")["square"]
    assert (row["shape"], row["status"], row["depth_max"], row["cells"]) == ("area", "wet", 0.4, 20)
    assert row["depth_mean"] == pytest.approx(0.4 / 20)


def test_a_bridge_and_a_tunnel_are_not_assessed_by_the_ground_below_and_above() -> None:
    city = make_roads(bridge=["yes", None], layer=[1.0, -1.0])
    result = exposure(city, make_water(puddle(7, 1, 3.0)))
    assert (rows(result, "roads")["main"]["reason"], rows(result, "roads")["side"]["reason"]) == ("on_a_bridge", "in_a_tunnel")
    assert {row["passable_small_car"] for row in result.table("road_links").to_pylist()} == {"not_assessed"}
    cut = rows(exposure(city, make_water(puddle(3, 6, 1.0)), tunnels="terrain"), "roads")
    assert (cut["main"]["reason"], cut["side"]["status"]) == ("on_a_bridge", "wet")


def test_a_way_whose_ground_the_run_has_is_assessed_under_roof_and_earth() -> None:
    builder = CityBuilder(CRS)
    add_buildings(builder, {"gate": shapely.box(14, 2, 18, 6)})
    shapes = [shapely.LineString([(1, 3), (39, 3)]), shapely.LineString([(1, 9), (39, 9)])]
    keys = builder.add_objects("Road", ["passage", "under"], footprints=np.array(shapes, object))
    builder.add_attributes(keys, "Road", {"tunnel": Column(["building_passage", "yes"])})
    city, field = builder.build(), puddle(8, 1, 0.4)
    closed, opened = (rows(exposure(city, make_water(field, open_ways=ways)), "roads") for ways in ([], ["passage", "under"]))
    assert {row["reason"] for row in closed.values()} == {"in_a_tunnel"}
    assert (opened["passage"]["status"], opened["passage"]["passable_small_car"]) == ("wet", "no")
    assert (opened["under"]["status"], opened["under"]["passable_small_car"]) == ("dry", "yes")


CUT = np.zeros((10, 20))
CUT[1:9, 9:12] = -5.0  # x from 18 to 24, y from 2 to 18


def crossing(shapes: dict[str, Any], *, links: dict[str, str] | None = None, **attributes: Any) -> City:
    """Return roads of one link each where `links` says something of it, and an underpass through the cut."""
    builder = CityBuilder(CRS)
    shapes = {**shapes, "under": shapely.LineString([(21, 3), (21, 17)])}
    keys = builder.add_objects("Road", list(shapes), footprints=np.array(list(shapes.values()), object))
    none = [None] * (len(shapes) - 1)
    said = {"tunnel": [*none, "yes"], "width": [4.0] * len(shapes)} | {name: [*value, None] for name, value in attributes.items()}
    builder.add_attributes(keys, "Road", {name: Column(values) for name, values in said.items()})
    for name, text in (links or {}).items():
        key = keys[list(shapes).index(name)]
        builder.add_links([key], "road", [f"{name}1"], [f"{name}2"], direction="both", length=[38.0], attributes=[text])
    return builder.build()


def flooded_cut(level: float, **more: Any) -> Any:
    return make_water(np.maximum(level - CUT, 0.0), ground=CUT, open_ways=["under"], **more)


def test_a_road_over_an_underpass_does_not_stand_in_the_water_of_the_cut() -> None:
    city = crossing({"over": shapely.LineString([(1, 9), (39, 9)])})
    result = exposure(city, flooded_cut(-0.2))
    over, under = rows(result, "roads")["over"], rows(result, "roads")["under"]
    assert (over["status"], over["depth_max"], over["deck_source"], over["deck_level"]) == ("dry", 0.0, "beside", 0.0)
    assert (over["passable_small_car"], over["unknown"]) == ("yes", 0.0)
    assert (under["depth_max"], under["passable_small_car"]) == (pytest.approx(4.8), "no")
    assert link_rows(result)["over", "1"]["depth_max"] == 0.0
    assert "1 pieces of road over an underpass: they lie on the straight line between the ground on both sides" in result.run.assumptions


def test_when_water_reached_a_deck_and_how_long_it_stood_there_is_not_known() -> None:
    row = rows(exposure(crossing({"over": shapely.LineString([(1, 9), (39, 9)])}), flooded_cut(0.4)), "roads")["over"]
    assert (row["status"], row["depth_max"], row["passable_small_car"], row["passable_four_wheel_drive"]) == ("wet", 0.4, "no", "yes")
    assert (row["first_wet"], row["first_wet_at"], row["duration"]) == (None, None, None)
    assert row["hazard_rating"] == pytest.approx(0.4 * 0.5 + 1.0)  # debris above 0.25 m


def test_an_area_over_an_underpass_is_told_only_what_stands_beside_the_cut() -> None:
    city = crossing({"square": shapely.box(4, 6, 36, 12), "aside": shapely.box(30, 6, 36, 12)})
    result = exposure(city, flooded_cut(-0.2))
    found = rows(result, "roads")
    assert (found["square"]["status"], found["square"]["reason"], found["square"]["depth_max"]) == (
        "not_assessed",
        "over_an_underpass",
        None,
    )
    assert found["aside"]["status"] == "dry"
    wet = rows(exposure(city, flooded_cut(0.1)), "roads")["square"]
    assert (wet["status"], wet["depth_max"], wet["passable_small_car"]) == ("wet", 0.1, "not_assessed")
    assert rows(exposure(city, flooded_cut(0.4)), "roads")["square"]["passable_small_car"] == "no"
    assert any("areas of roads lie over or in an underpass" in text for text in result.run.assumptions)


def test_a_link_that_says_bridge_or_tunnel_itself_is_one_and_so_its_road_is_not_dry() -> None:
    line = {"r": shapely.LineString([(1, 3), (39, 3)])}
    for said, reason in (('{"bridge": "yes"}', "on_a_bridge"), ('{"tunnel": "yes"}', "in_a_tunnel"), ('{"layer": -1}', "in_a_tunnel")):
        result = exposure(crossing(line, links={"r": said}), make_water(DRY))
        (link,) = (row for row in link_rows(result).values() if row["object"] == "r")
        assert (link["reason"], link["passable_small_car"]) == (reason, "not_assessed")
        assert (rows(result, "roads")["r"]["reason"], rows(result, "roads")["r"]["passable_small_car"]) == (reason, "not_assessed")
    known = exposure(crossing(line, links={"r": '{"bridge": "yes"}'}, deck_level=[1.0]), make_water(puddle(7, 1, 0.9)))
    assert (rows(known, "roads")["r"]["status"], rows(known, "roads")["r"]["deck_source"]) == ("dry", "stated")
    assert rows(known, "roads")["r"]["passable_small_car"] == "yes"


def test_a_road_is_closed_where_one_of_its_links_is() -> None:
    result = exposure(make_roads(), make_water(puddle(7, 1, 0.4)))
    answers = {row["place"]: row["passable_small_car"] for row in link_rows(result).values() if row["object"] == "main"}
    assert answers == {"1: n1 - n2": "yes", "2: n2 - n3": "no"}
    assert rows(result, "roads")["main"]["passable_small_car"] == "no"


def test_a_deck_over_deep_water_is_passable_until_too_much_stands_on_it() -> None:
    city = make_roads(bridge=["yes", None], deck_level=[2.0, None])
    for depth, status, answer in ((1.9, "dry", "yes"), (2.3, "wet", "yes"), (2.31, "wet", "no")):
        row = rows(exposure(city, make_water(puddle(7, 1, depth), velocity=0.1)), "roads")["main"]
        assert (row["status"], row["passable_small_car"], row["deck_level"]) == (status, answer, 2.0)
        assert row["depth_max"] == pytest.approx(max(depth - 2.0, 0.0), abs=1e-6)  # depths are kept to a micrometre


def test_fast_water_under_a_roof_closes_no_road() -> None:
    builder = CityBuilder(CRS)
    add_buildings(builder, {"gate": shapely.box(14, 2, 18, 6)})
    builder.add_objects("Road", ["main"], footprints=[shapely.LineString([(1, 3), (39, 3)])])
    velocity = np.where(np.arange(20) == 8, 9.0, 0.0) * np.ones((10, 1))
    row = rows(exposure(builder.build(), make_water(puddle(8, 1, 2.0), velocity=velocity), unknown_share=0.5), "roads")["main"]
    assert (row["status"], row["velocity_max"], row["passable_small_car"]) == ("dry", 0.0, "yes")


def test_bridge_no_is_no_bridge() -> None:
    assert rows(exposure(make_roads(bridge=["no", "no"]), make_water(DRY)), "roads")["main"]["status"] == "dry"


def test_a_road_with_an_unknown_cell_is_wet_or_not_assessed_and_never_said_to_be_passable() -> None:
    hole = puddle(7, 1, np.nan)
    row = rows(exposure(make_roads(), make_water(hole)), "roads")["main"]
    assert (row["status"], row["reason"], row["passable_four_wheel_drive"]) == ("not_assessed", "unknown_cells", "not_assessed")
    hole[8, 12] = 0.1
    row = rows(exposure(make_roads(), make_water(hole)), "roads")["main"]
    assert (row["status"], row["passable_small_car"]) == ("wet", "not_assessed")
    hole[8, 12] = 0.9
    assert rows(exposure(make_roads(), make_water(hole)), "roads")["main"]["passable_small_car"] == "no"


def test_a_road_that_leaves_the_domain_is_not_dry() -> None:
    water = make_water(DRY, x_min=10.0)
    found = rows(exposure(make_roads(), water), "roads")
    assert (found["main"]["reason"], found["side"]["reason"]) == ("partly_outside_domain", "outside_domain")


def test_the_roof_of_a_building_tells_nothing_of_the_road_below_it() -> None:
    city = make_roads()
    builder = CityBuilder(CRS)
    add_buildings(builder, {"gate": shapely.box(14, 2, 18, 6)})
    builder.add_objects("Road", ["main"], footprints=[shapely.LineString([(1, 3), (39, 3)])])
    assert city.types()["Road"] == 3
    row = rows(exposure(builder.build(), make_water(puddle(8, 1, 2.0))), "roads")["main"]
    assert (row["status"], row["reason"]) == ("not_assessed", "unknown_cells")


def test_without_velocity_only_dry_or_deep_roads_get_an_answer() -> None:
    dropped = ("maximum_velocity", "maximum_unit_discharge", "maximum_hazard")
    answers = [
        rows(exposure(make_roads(), make_water(puddle(7, 1, depth), drop=dropped)), "roads")["main"]["passable_small_car"]
        for depth in (0.0, 0.2, 0.4)
    ]
    assert answers == ["yes", "not_assessed", "no"]


def test_a_link_whose_part_cannot_be_found_is_not_assessed() -> None:
    builder = CityBuilder(CRS)
    keys = builder.add_objects("Road", ["r"], footprints=[shapely.LineString([(1, 3), (11, 3)])])
    spans = ['{"vertices": [0, 7]}', None]
    builder.add_links(keys[[0, 0]], "road", ["a", "b"], ["b", "c"], direction="both", length=[5.0, 5.0], attributes=spans)
    found = exposure(builder.build(), make_water(DRY)).table("road_links").to_pylist()
    assert [row["reason"] for row in found] == ["missing_line", "missing_line"]


def test_a_road_whose_links_lie_nobody_says_where_is_open_only_where_all_of_it_is() -> None:
    builder = CityBuilder(CRS)
    keys = builder.add_objects("Road", ["r"], footprints=[shapely.LineString([(1, 3), (39, 3)])])
    builder.add_links(keys[[0, 0]], "road", ["a", "b"], ["b", "c"], direction="both", length=[5.0, 5.0])
    city = builder.build()
    for depth, status, answer in ((0.0, "dry", "yes"), (0.2, "wet", "yes"), (0.4, "wet", "not_assessed")):
        row = rows(exposure(city, make_water(puddle(7, 1, depth))), "roads")["r"]
        assert (row["status"], row["passable_small_car"]) == (status, answer)
