"""Roads under traffic and water are drawn where they lie, on the side they are driven on, in the class of their number, at its time."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import extrude
from cim.results import Fields, RunRecord, compare, load_result, save_result
from cim.scenes import Layer, Scene, Text
from cim.scenes.building import can_draw
from cim.scenes.page import page
from cim.scenes.still import render
from cim.scenes.traffic_motion import States
from cim.scenes.traffic_scale import CLOSED, CLOSED_COLOUR, NONE, NONE_COLOUR, Scale, rounded_bounds
from tests.scenes.conftest import CRS, X0, Y0, add_terrain
from tests.scenes.test_water import TIMES, rising

START = datetime(2026, 7, 21, 6, 0, tzinfo=UTC)
LANE = 3.25
DECK = 12.0
LINES = {
    "main": [(20, 100), (120, 100), (180, 130), (280, 130)],
    "side": [(120, 100), (120, 200)],
    "oneway": [(180, 130), (180, 40)],
    "bridge": [(120, 200), (120, 290)],
}
ENDS = {"main": ["a", "b", "c", "d"], "side": ["b", "e"], "oneway": ["c", "f"], "bridge": ["e", "g"]}


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Two crossing roads, one of them with three links, a one-way road and a bridge over the river, whose deck lies 12 m high."""
    builder = CityBuilder(CRS, name="roads", time_zone="Asia/Shanghai")
    source = builder.add_source(SourceRecord(name="register"))
    add_terrain(builder, tmp_path_factory.mktemp("terrain"), source)
    shapes = [shapely.LineString(np.add(line, (X0, Y0))) for line in LINES.values()]
    keys = builder.add_objects("Road", list(LINES), footprints=shapes, source=source)
    builder.add_attributes(keys, "Road", {"bridge": Column([None, None, None, "yes"])})
    rows, tail, head, way, said = [], [], [], [], []
    for key, (name, nodes) in zip(keys.tolist(), ENDS.items(), strict=True):
        for at, pair in enumerate(pairwise(nodes)):
            rows.append(key)
            tail.append(pair[0])
            head.append(pair[1])
            way.append("forward" if name == "oneway" else "both")
            said.append(json.dumps({"vertices": [at, at + 1], "class": "secondary", "lanes": 1 if name == "oneway" else 4}))
    builder.add_links(np.array(rows), "road", tail, head, direction=way, attributes=said)
    (bridge,) = builder.add_objects("Bridge", ["deck"], source=source)
    block = extrude([shapely.box(X0 + 105, Y0 + 205, X0 + 135, Y0 + 285)], DECK - 1, DECK)
    builder.add_geometries([bridge], lod="2", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    return builder.build()


@pytest.fixture(scope="module")
def empty(roads: City) -> Scene:
    return Scene(roads, underground=False)


LINKS = ["main:a>b", "main:b>a", "main:b>c", "main:c>b", "main:c>d", "main:d>c", "side:b>e", "side:e>b", "oneway:c>f",
         "bridge:e>g", "bridge:g>e"]  # fmt: skip
FLOWS = [1000.0, 400.0, 900.0, 300.0, 0.0, 250.0, 120.0, 80.0, 500.0, 60.0, 40.0]


def traffic(flows: list[float] = FLOWS, *, closed: tuple[str, ...] = (), noise: float = 5.0, more: tuple[str, ...] = ()) -> Fields:
    links = [*LINKS, *more]
    count = len(links)
    flow = np.array([*flows, *[1.0] * len(more)])
    table = pa.table({
        "object": [one.split(":")[0] for one in links], "link": links, "length": np.full(count, 100.0),
        "lanes": [1.0 if "oneway" in one else 2.0 for one in links], "capacity": np.full(count, 1800.0),
        "free_flow_time": np.full(count, 9.0), "flow": flow, "flow_noise": np.full(count, noise),
        "speed": 100.0 / (9.0 * (1 + flow / 1000)), "delay": flow / 500, "closed": [one in closed for one in links],
    })  # fmt: skip
    return Fields("traffic", xr.Dataset(), {"links": table}, RunRecord("traffic", "1", start=START))


def over_time(count: int = 4, every: float = 300.0, start: datetime | None = START) -> Fields:
    """Return vehicles on the first four links, more of them in each interval; the last interval but one is empty."""
    rows: dict[str, list[Any]] = {name: [] for name in ("object", "link", "time", "entered", "left", "speed", "queue", "delay")}
    for step in (one for one in range(count) if one != count - 2):
        for link in LINKS[:4]:
            values = (link.split(":")[0], link, step * every, 10 * (step + 1), 5, 8.0, 2.0, 60.0)
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    still = traffic()
    return Fields("traffic", xr.Dataset(), {**still.tables, "intervals": pa.table(rows)}, RunRecord("traffic", "1", start=start))


def states(start: datetime | None = START) -> Fields:
    """Return 0.2 m of water on two links, which becomes 0.6 m and closes one of them from 06:10 to 06:20."""
    rows = [
        ("side:b>e", 300.0, 600.0, 0.2, 6.0, False), ("side:b>e", 600.0, 900.0, 0.6, 1.0, True),
        ("side:b>e", 900.0, 1200.0, 0.6, 1.0, True), ("side:e>b", 300.0, 1200.0, 0.2, 6.0, False),
    ]  # fmt: skip
    names = ("link", "from_time", "until_time", "depth", "speed", "closed")
    table = pa.table({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    table = table.append_column("class", pa.array(["car"] * len(rows))).append_column("object", pa.array(["side"] * len(rows)))
    return Fields("roads", xr.Dataset(), {"states": table}, RunRecord("roads", "1", start=start))


def ribbon(layer: Layer, link: str, *, mark: bool = False) -> Any:
    """Return the points of the ribbon of a link (of the broad one of its closure), absolute."""
    assert layer.keys is not None
    row = np.flatnonzero(layer.keys == link)[1 if mark else 0]
    return layer.points[np.unique(layer.triangles[layer.cell_object == row])]


def covered(points: Any) -> float:
    """Return the area of a straight ribbon [m²]."""
    return float(shapely.convex_hull(shapely.multipoints(points[:, :2])).area)


def path(scene: Scene, name: str, first: int, last: int) -> Any:
    return shapely.LineString(np.array(LINES[name])[[first, last]] + np.array([X0, Y0]) - scene.origin[:2])


def inside(document: str, name: str) -> str:
    """Return what an element of a page holds."""
    found: str = re.findall(rf'<script id="{name}"[^>]*>(.*?)</script>', document, re.DOTALL)[0]
    return found


# ------------------------------------------------------------------ classes


@given(st.lists(st.floats(0.0, 5000.0), min_size=1, max_size=40), st.integers(2, 7))
def test_a_byte_gives_a_number_back_within_half_a_part_and_never_in_another_class(values: list[float], classes: int) -> None:
    numbers = np.array(values)
    bounds = rounded_bounds(numbers, classes)
    scale = Scale(Text("flow", "流量"), "veh/h", bounds, tuple((at, 0, 0) for at in range(classes)))
    codes = scale.encode(numbers)
    inside = numbers < bounds[-1]
    assert (
        np.abs(scale.decode(codes) - numbers)[inside] <= scale.halves[codes][inside] * (1 + 1e-6) + 1e-9
    ).all()  # rounding of the bounds
    assert (scale.colours_of(codes)[:, 0] == np.digitize(numbers, bounds[1:-1])).all()


def test_the_worst_of_a_speed_is_the_lowest_and_a_closure_is_worse_than_any() -> None:
    scale = Scale(Text("speed", "车速"), "km/h", (0.0, 30.0, 60.0), ((1, 1, 1), (2, 2, 2)), least_first=True)
    codes = np.stack([scale.encode(np.array([50.0, 10.0, np.nan, 20.0])), scale.encode(np.array([20.0, 40.0, np.nan, 5.0]))])
    codes[0, 3] = CLOSED
    worst = scale.worst(codes)
    assert scale.decode(worst[:2]) == pytest.approx([20.0, 10.0], abs=0.2)  # a part is 30 / 126
    assert worst[2:].tolist() == [NONE, CLOSED]


# ------------------------------------------------------------------ where


@pytest.mark.parametrize(("drives", "side"), [("right", -1.0), ("left", 1.0)])
def test_both_directions_lie_on_the_side_that_is_driven_on(empty: Scene, drives: str, side: float) -> None:
    layer = empty.add(traffic(), drives=drives).layer("traffic")
    for link, sense in (("main:a>b", 1.0), ("main:b>a", -1.0)):
        y = ribbon(layer, link)[:, 1] + empty.origin[1] - Y0 - 100.0
        assert (np.sign(y) == side * sense).all()
        assert np.abs(y).max() == pytest.approx(0.3 + 2 * LANE, abs=1e-6)
    x = ribbon(layer, "oneway:c>f")[:, 0] + empty.origin[0] - X0 - 180.0
    assert [x.min(), x.max()] == pytest.approx([-LANE / 2, LANE / 2])


def test_a_ribbon_lies_along_its_own_link_and_leaves_the_junction_free(empty: Scene) -> None:
    layer = empty.add(traffic()).layer("traffic")
    for link, line in (
        ("main:a>b", path(empty, "main", 0, 1)),
        ("main:c>b", path(empty, "main", 1, 2)),
        ("side:b>e", path(empty, "side", 0, 1)),
    ):
        points = shapely.points(ribbon(layer, link)[:, :2])
        assert shapely.distance(points, line).max() <= 0.3 + 2 * LANE + 1e-6
        way = shapely.line_locate_point(line, points)
        assert way.max() - way.min() > 0.6 * line.length  # no more than 0.3 of it is left out at an end
    y = ribbon(layer, "side:b>e")[:, 1] + empty.origin[1] - Y0
    assert y.min() == pytest.approx(100 + 2 * LANE)  # where the roads meet the widest of them has room


def test_a_ribbon_lies_a_metre_over_the_ground_in_the_middle_of_its_direction(empty: Scene) -> None:
    points = ribbon(empty.add(traffic()).layer("traffic"), "side:e>b")
    middle = np.array([empty.origin[0] * 0 + points[:, 0].mean(), 0.0])[0]
    ground = empty.context.ground.at(np.full(len(points), middle), points[:, 1])
    assert points[:, 2] - ground == pytest.approx(np.ones(len(points)), abs=0.02)  # the middle is the mean of all points, not of a pair


def test_a_ribbon_lies_on_the_deck_of_a_bridge_and_comes_down_to_the_ground(empty: Scene) -> None:
    points = ribbon(empty.add(traffic()).layer("traffic"), "bridge:e>g")
    y = points[:, 1] + empty.origin[1] - Y0
    on = (y > 206) & (y < 284)
    assert on.sum() > 6
    assert points[on, 2] == pytest.approx(DECK + 1.0)
    assert points[y.argmin(), 2] < DECK  # 5 m before the deck
    river = empty.context.ground.at(points[on, 0], points[on, 1]).min()
    assert river < DECK - 5


def test_links_that_the_city_lacks_are_counted_and_told(empty: Scene) -> None:
    layer = empty.add(traffic(more=("nowhere:x>y", "main:a>c"))).layer("traffic")
    assert any(note.en.startswith("2 links of the result are not in this city") for note in layer.notes)
    alone = traffic()
    bare = {"links": alone.tables["links"].set_column(1, "link", pa.array([f"x{one}" for one in LINKS]))}
    with pytest.raises(UsageError, match="none of the 11 links"):
        empty.add(Fields("traffic", xr.Dataset(), bare, alone.run))


def test_links_that_join_zones_to_roads_are_no_roads_that_the_city_lacks(empty: Scene) -> None:
    result = traffic(more=("zone 1>a", "zone 1<a"))
    kinds = pa.array([None] * len(LINKS) + ["connector"] * 2, pa.string())
    result = replace(result, tables={"links": result.tables["links"].append_column("road_class", kinds)})
    said = ["2 links only join zones to roads and are not drawn"]
    assert [note.en for note in empty.add(result).layer("traffic").notes] == said
    assert [note.en for note in empty.add(compare(result, result)).layer("traffic change").notes] == said


def test_a_side_or_a_quantity_that_does_not_exist_is_refused(empty: Scene) -> None:
    with pytest.raises(UsageError, match="give 'right' or 'left'"):
        empty.add(traffic(), drives="both")
    with pytest.raises(UsageError, match="'queue', which this result does not hold; give one of flow, speed"):
        empty.add(traffic(), by="queue")


# ------------------------------------------------------------------ one state


def test_a_link_has_the_colour_of_the_class_of_its_flow(empty: Scene) -> None:
    layer = empty.add(traffic()).layer("traffic")
    assert layer.unit == "veh/h"
    classes = layer.legend.entries
    lows = np.array([float(re.findall(r"[\d,]+", entry.label.en)[0].replace(",", "")) for entry in classes])
    for row, flow in enumerate(FLOWS):
        place = np.searchsorted(lows, flow, side="right") - 1
        assert tuple(layer.colours[row]) == classes[place].colour
    assert sum(entry.count or 0 for entry in classes) == len(FLOWS)


def test_a_click_tells_flow_with_its_noise_speed_and_delay(empty: Scene) -> None:
    layer = empty.add(traffic()).layer("traffic")
    told = {one.title.en: (one.values[0], one.unit) for one in layer.told}
    assert told["link"] == ("main:a>b", "")
    assert told["flow"] == ("1000 ± 5", "veh/h")
    assert told["speed"][1] == "km/h"
    assert told["speed"][0] == pytest.approx(20.0)
    assert told["delay"] == (2.0, "veh·h/h")


def test_a_closed_link_is_dark_red_hatched_and_broader(empty: Scene) -> None:
    layer = empty.add(traffic(closed=("main:b>c",))).layer("traffic")
    assert layer.keys is not None
    assert layer.hatched is not None
    mark = int(np.flatnonzero(layer.keys == "main:b>c")[1])
    assert layer.hatched.tolist() == [row == mark for row in range(len(layer))]
    assert tuple(layer.colours[mark]) == CLOSED_COLOUR
    other = empty.add(traffic()).layer("traffic")
    assert covered(ribbon(layer, "main:b>c", mark=True)) > 1.3 * covered(ribbon(other, "main:b>c"))
    assert [(entry.label.en, entry.hatch, entry.count) for entry in layer.legend.entries][-1] == ("closed", True, 1)


@pytest.mark.usefixtures("can_draw")
def test_closed_links_are_seen_in_a_picture(empty: Scene) -> None:
    scene = empty.add(traffic(closed=("main:c>d", "main:d>c")))
    picture = render(scene, scene.camera((640, 480), around=["main"], elevation=70.0), (640, 480))
    red = (np.abs(picture.astype(int) - CLOSED_COLOUR) <= 3).all(axis=-1)
    assert red.sum() > 100


# ------------------------------------------------------------------ over time


def test_flow_of_an_interval_is_what_entered_by_its_length(empty: Scene) -> None:
    scene = empty.add(over_time())
    layer = scene.at(1).layer("traffic")
    motion = layer.motion
    assert isinstance(motion, States)
    assert len(motion.times) == 4  # the empty interval is one of them
    scale = motion.shades[0].scale
    flow = 20 * 3600 / 300
    assert layer.values is not None
    assert layer.values[:4] == pytest.approx([flow] * 4, abs=float(scale.halves[scale.encode(np.array([flow]))[0]]) + 1e-4)
    assert np.isnan(layer.values[4:]).all()
    empty_one = scene.at(2).layer("traffic")
    assert {tuple(colour) for colour in empty_one.colours.tolist()} == {NONE_COLOUR}
    assert [shade.scale.title.en for shade in motion.shades] == [
        "Traffic flow", "Speed", "Speed / free speed", "Delay", "Volume / capacity", "Queue"]  # fmt: skip


@pytest.mark.parametrize("until", ["17min", "2026-07-21T06:17:00+00:00"])
def test_an_interval_that_the_end_of_the_run_cuts_off_is_as_long_as_it_is(empty: Scene, until: str) -> None:
    run = over_time()
    said = replace(run, run=RunRecord("traffic", "1", {}, {"until": until, "output_every": "5min"}, start=START))
    motion = empty.add(said).layer("traffic").motion
    assert isinstance(motion, States)
    scale = motion.shades[0].scale
    assert scale.decode(motion.shades[0].codes[:, 0])[[0, 3]] == pytest.approx([120.0, 40 * 3600 / 120], rel=0.05)  # half a part
    assert motion.until == np.datetime64("2026-07-21T06:17:00")


def test_a_run_of_one_interval_knows_its_length(empty: Scene) -> None:
    run = over_time(1)
    said = replace(run, run=RunRecord("traffic", "1", {}, {"until": "5min", "output_every": "5min"}, start=START))
    motion = empty.add(said).layer("traffic").motion
    assert isinstance(motion, States)
    scale = motion.shades[0].scale
    assert scale.decode(motion.shades[0].codes[0, :1]) == pytest.approx([10 * 3600 / 300], rel=0.05)


def test_the_peak_is_shown_first_and_its_quantity_can_be_chosen(empty: Scene) -> None:
    scene = empty.add(over_time(), by="speed")
    layer = scene.layer("traffic")
    assert scene.moment == np.datetime64("2026-07-21T06:15")
    assert (layer.legend.title.en, layer.unit) == ("Speed", "km/h")
    assert layer.values is not None
    assert layer.values[:4] == pytest.approx([28.8] * 4, abs=0.2)  # a part of its class is 10 / 42


def test_water_and_traffic_run_on_one_clock_and_traffic_ends_where_its_run_does(empty: Scene) -> None:
    scene = empty.add(rising()).add(over_time(every=240.0)).add(states())
    water, roads, wet = (scene.layer(name).times for name in ("water depth", "traffic", "road state"))
    assert water is not None
    assert roads is not None
    assert wet is not None
    assert scene.times.tolist() == sorted({*water.tolist(), *roads.tolist(), *wet.tolist()})
    at = scene.at("2026-07-21T14:10")  # 06:10 UTC; the interval that began at 06:08 is an empty one
    assert {tuple(colour) for colour in at.layer("traffic").colours.tolist()} == {NONE_COLOUR}
    assert len(scene.at("2026-07-21T14:20").layer("traffic").triangles) == 0  # the run ended at 06:16
    assert len(scene.at(TIMES[-1]).layer("water depth").triangles) > 0


def test_runs_without_a_start_count_from_it_and_are_not_mixed_with_dates(empty: Scene) -> None:
    assert empty.add(over_time(start=None)).clock is not None
    with pytest.raises(UsageError, match="count from a start"):
        empty.add(rising()).add(over_time(start=None))


def test_a_page_holds_every_time_and_quantity_and_gives_the_same_bytes_back(empty: Scene) -> None:
    scene = empty.add(over_time())
    document = page(scene)
    described = json.loads(inside(document, "scene"))
    block = gzip.decompress(base64.b64decode(inside(document, "block")))
    layer = next(one for one in described["layers"] if one["name"] == "traffic")
    motion = scene.layer("traffic").motion
    assert isinstance(motion, States)
    assert layer["motion"]["kind"] == "states"
    for said, shade in zip(layer["motion"]["quantities"], motion.shades, strict=True):
        place = said["codes"]
        steps = np.frombuffer(block, np.uint8, place["length"], place["at"]).reshape(len(motion.times) + 1, -1)
        assert (np.cumsum(steps, axis=0, dtype=np.uint8)[:-1] == shade.codes).all()
        assert len(said["palette"]) == 1024
    facts = json.loads(gzip.decompress(base64.b64decode(inside(document, "facts"))))
    assert facts["layers"]["traffic"]["keys"][:2] == LINKS[:2]
    assert "flow, mean of the run" in [one["en"] for one in facts["layers"]["traffic"]["told"]]


def test_a_page_leaves_quantities_out_before_times(empty: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    motion = empty.add(over_time(count=40)).layer("traffic").motion
    assert isinstance(motion, States)
    monkeypatch.setattr("cim.scenes.traffic_motion.PAGE_BYTES", 2 * 41 * len(LINKS) + 1)
    smaller = motion.for_page()
    assert (len(smaller.shades), len(smaller.times)) == (2, 40)
    assert any("not in this page" in note.en for note in smaller.notes)
    monkeypatch.setattr("cim.scenes.traffic_motion.PAGE_BYTES", 20 * len(LINKS))
    least = motion.for_page()
    assert (len(least.shades), len(least.times)) == (1, 14)
    assert any("every 3th time" in note.en for note in least.notes)


# ------------------------------------------------------------------ closures over time


def closing(*rows: tuple[str, float, float | None], until: str | None = "20min", closed: tuple[str, ...] = ()) -> Fields:
    """Return traffic over time on roads of which some are closed from when until when [s]."""
    run = over_time()
    links = [link for link, _, _ in rows]
    table = pa.table({"object": [one.split(":")[0] for one in links], "link": links, "from_time": [one[1] for one in rows],
                      "until_time": pa.array([one[2] for one in rows], pa.float64())})  # fmt: skip
    named = traffic(closed=(*closed, *links)).tables["links"] if set(links) <= set(LINKS) else run.tables["links"]
    said = {} if until is None else {"until": until, "output_every": "5min"}
    return replace(run, tables={**run.tables, "links": named, "closures": table}, run=RunRecord("traffic", "1", {}, said, start=START))


def marked(scene: Scene, minute: int | str) -> list[str]:
    """Return the links that a picture shows closed so many minutes after the start, or at the maximum."""
    moment = minute if isinstance(minute, str) else START + timedelta(minutes=minute)
    layer = scene.at(moment).layer("traffic")
    assert layer.keys is not None
    shown = np.isin(np.arange(len(layer)), layer.cell_object) & (np.zeros(len(layer), bool) if layer.hatched is None else layer.hatched)
    return sorted(layer.keys[shown].tolist())


def test_a_picture_shows_what_is_closed_at_its_moment_and_no_other_link(empty: Scene) -> None:
    scene = empty.add(closing(("side:b>e", 420.0, 900.0), ("side:e>b", 600.0, None), ("main:a>b", 300.0, 600.0)))
    assert scene.times.tolist() == [datetime(2026, 7, 21, 6, minute) for minute in (0, 5, 7, 10, 15)]  # noqa: DTZ001  # UTC, as numpy gives it
    expected = {0: [], 5: ["main:a>b"], 7: ["main:a>b", "side:b>e"], 10: ["side:b>e", "side:e>b"], 15: ["side:e>b"]}
    assert {minute: marked(scene, minute) for minute in expected} == expected
    assert marked(scene, "maximum") == ["main:a>b", "side:b>e", "side:e>b"]
    legends = [scene.at(one).layer("traffic").legend.entries[-1].label for one in (0, "maximum")]
    assert legends == [Text("closed", "封闭"), Text("closed at some time", "曾封闭")]
    flow = scene.at(2).layer("traffic")  # a closure within an interval leaves its numbers
    assert flow.values is not None
    assert flow.values[1] == pytest.approx(20 * 3600 / 300, rel=0.05)


def test_a_click_tells_when_a_link_is_closed_and_what_the_end_of_the_run_leaves_open(empty: Scene) -> None:
    layer = empty.add(closing(("side:b>e", 300.0, 600.0), ("side:b>e", 900.0, None), ("side:e>b", 0.0, 60.0))).layer("traffic")
    assert layer.keys is not None
    told = {one.title.en: one.values for one in layer.told}
    said = {link: told["closed"][layer.keys.tolist().index(link)] for link in LINKS}
    end = "from 2026-07-21 14:15, to the end of the run or longer 起，至模拟结束或更晚"
    assert said == {**dict.fromkeys(LINKS), "side:b>e": f"2026-07-21 14:05 – 14:10; {end}", "side:e>b": "2026-07-21 14:00 – 14:01"}
    assert "state" not in told


def test_closures_without_times_are_told_and_not_marked(empty: Scene) -> None:
    run = over_time()
    scene = empty.add(replace(run, tables={**run.tables, "links": traffic(closed=("side:b>e",)).tables["links"]}))
    assert [marked(scene, one) for one in (0, "maximum")] == [[], []]
    layer = scene.layer("traffic")
    assert any(note.en.startswith("1 links are closed at some time, the result does not say when") for note in layer.notes)
    assert layer.keys is not None
    told = {one.title.en: one.values for one in layer.told}
    assert "not said when" in str(told["closed"][layer.keys.tolist().index("side:b>e")])


def test_links_of_closures_and_intervals_that_the_result_does_not_list_are_counted(empty: Scene) -> None:
    run = closing(("nowhere:x>y", 0.0, 60.0), ("nowhere:y>x", 0.0, 60.0))
    row = {**run.tables["intervals"].slice(0, 1).to_pylist()[0], "link": "nowhere:x>y"}
    intervals = pa.concat_tables([run.tables["intervals"], pa.Table.from_pylist([row], run.tables["intervals"].schema)])
    layer = empty.add(replace(run, tables={**run.tables, "intervals": intervals})).layer("traffic")
    assert any(note.en.startswith("2 links with vehicles or closures are not among the links") for note in layer.notes)


def test_intervals_without_vehicles_at_the_end_of_a_run_are_shown(empty: Scene) -> None:
    run = over_time()
    said = run.tables["intervals"].replace_schema_metadata({"intervals": json.dumps([0.0, 300.0, 600.0, 900.0, 1200.0, 1800.0])})
    scene = empty.add(replace(run, tables={**run.tables, "intervals": said}))
    motion = scene.layer("traffic").motion
    assert isinstance(motion, States)
    assert (len(motion.times), motion.until) == (5, np.datetime64("2026-07-21T06:30"))
    last = scene.at(-1).layer("traffic")
    assert {tuple(colour) for colour in last.colours.tolist()} == {NONE_COLOUR}


# ------------------------------------------------------------------ roads under water


def test_only_links_that_water_hinders_are_drawn_while_it_does(empty: Scene) -> None:
    scene = empty.add(states())
    assert scene.times.tolist() == [datetime(2026, 7, 21, 6, minute) for minute in (5, 10, 15, 20)]  # noqa: DTZ001  # UTC, as numpy gives it
    first, second, last = (scene.at(place).layer("road state") for place in (0, 1, 3))
    assert first.hatched is None
    assert len(np.unique(first.cell_object)) == 2
    assert second.hatched is not None
    assert second.hatched.sum() == 1
    assert second.keys is not None
    assert second.keys[second.hatched] == ["side:b>e"]
    assert len(last.triangles) == 0


def test_a_click_tells_from_when_until_when_a_road_is_closed_and_how_deep_the_water_gets(empty: Scene) -> None:
    layer = empty.add(states()).layer("road state")
    told = {one.title.en: one.values for one in layer.told}
    assert layer.keys is not None
    row = layer.keys.tolist().index("side:b>e")
    assert told["closed to a car"][row] == "2026-07-21 14:10 – 14:20"  # in the time of the city
    assert told["closed to a car"][1 - row] is None
    assert (told["deepest water"][row], told["deepest water"][1 - row]) == (0.6, 0.2)


def test_a_road_closed_when_the_run_ends_may_stay_closed(empty: Scene) -> None:
    result = replace(states(), run=RunRecord("roads", "1", {}, {"until": 1200.0}, start=START))
    layer = empty.add(result).layer("road state")
    told = {one.title.en: one.values for one in layer.told}
    assert layer.keys is not None
    row = layer.keys.tolist().index("side:b>e")
    assert told["closed to a car"][row] == "from 2026-07-21 14:10, to the end of the run or longer 起，至模拟结束或更晚"


def test_water_without_times_gives_roads_that_stand_still(empty: Scene) -> None:
    table = pa.table({"object": ["side"] * 2, "link": ["side:b>e", "side:e>b"], "class": ["car"] * 2, "from_time": [0.0] * 2,
                      "until_time": [np.inf] * 2, "depth": [0.6, 0.2], "speed": [1.0, 6.0], "closed": [True, False]})  # fmt: skip
    scene = empty.add(Fields("roads", xr.Dataset(), {"states": table}, RunRecord("roads", "1", {}, {"until": None})))
    layer = scene.layer("road state")
    assert scene.clock is None
    assert layer.keys is not None
    assert layer.hatched is not None
    assert layer.keys[layer.hatched].tolist() == ["side:b>e"]
    told = {one.title.en: one.values for one in layer.told}
    assert told["closed to a car"] == ["closed 封闭", None, "closed 封闭"]
    assert "closed by water" in [entry.label.en for entry in layer.legend.entries]
    page(scene)


def test_a_closure_lies_over_the_water(empty: Scene) -> None:
    scene = empty.add(rising()).add(states()).at("2026-07-21T14:10")
    marks = ribbon(scene.layer("road state"), "side:b>e", mark=True)
    lowest = scene.context.ground.at(marks[:, 0], marks[:, 1]).min()
    assert marks[:, 2].min() > lowest + 0.6


def test_dry_roads_give_a_layer_that_says_so(empty: Scene) -> None:
    dry = Fields("roads", xr.Dataset(), {"states": states().tables["states"].slice(0, 0)}, RunRecord("roads", "1"))
    layer = empty.add(dry).layer("road state")
    assert len(layer.triangles) == 0
    assert layer.notes[0].en == "no road is hindered by water"
    page(empty.add(dry))
    with pytest.raises(UsageError, match="vehicle='tram'; 'roads' has car"):
        empty.add(states(), vehicle="tram")


# ------------------------------------------------------------------ base against option


def test_differences_within_the_noise_are_neutral_and_others_signed(empty: Scene) -> None:
    changed = [1000.0, 400.0, 908.0, 600.0, 0.0, 50.0, *FLOWS[6:]]
    layer = empty.add(compare(traffic(), traffic(changed, closed=("oneway:c>f",)))).layer("traffic change")
    assert layer.keys is not None
    colour = {link: tuple(layer.colours[layer.keys.tolist().index(link)]) for link in LINKS}
    assert colour["main:b>c"] == NONE_COLOUR  # 8 veh/h, of which both runs leave 10 open
    assert colour["main:a>b"] == NONE_COLOUR
    more, less = colour["main:c>b"], colour["main:d>c"]
    assert more[0] > more[2]  # brown
    assert less[2] > less[0]  # teal
    assert [(one.label.en, one.count) for one in layer.legend.entries][-2:] == [
        ("no change, or within the noise", 8), ("closed in the option", 1)]  # fmt: skip
    moving = empty.add(compare(over_time(), closing(("side:b>e", 0.0, 60.0)))).layer("traffic change")
    assert moving.legend.entries[-1].label == Text("closed in the option at some time", "方案中曾封闭")
    told = {one.title.en: one.values[layer.keys.tolist().index("main:c>b")] for one in layer.told}
    assert (told["Traffic flow, change"], told["Traffic flow, noise of the change"]) == (300.0, 10.0)


def test_a_comparison_of_something_else_is_refused(empty: Scene) -> None:
    dry = Fields("roads", xr.Dataset(), {"rows": pa.table({"object": ["a"], "depth": [1.0]})}, RunRecord("roads", "1"))
    with pytest.raises(UsageError, match="cannot be added to a scene"):
        empty.add(compare(dry, dry))


# ------------------------------------------------------------------ runs on disk


def test_a_stored_result_is_drawn_as_the_one_in_memory(empty: Scene, tmp_path: Path) -> None:
    result = over_time()
    save_result(result, tmp_path / "traffic")
    stored = load_result(tmp_path / "traffic")
    assert can_draw(stored)
    assert (empty.add(stored).layer("traffic").colours == empty.add(result).layer("traffic").colours).all()
