"""Buildings show whether help comes in time at each step, whichever of their parts is looked at; stations stand over their buildings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from cim.errors import UsageError
from cim.results import Fields, RunRecord
from cim.results.columns import column
from cim.scenes import Scene
from cim.scenes.page import page
from cim.scenes.traffic_motion import States
from cim.scenes.traffic_scale import CLOSED_COLOUR
from tests.scenes.test_water import rising

START = datetime(2026, 7, 21, 6, 0, tzinfo=UTC)
PLACE = "fire, emergency"
IDS = ("b0", "b1", "b2", "b3", "whole", "nowhere")
DRY = ("in_time", "in_time", "late", "never", "in_time", "in_time")
WORST = ("in_time", "cut_off", "cut_off", "never", "cut_off", "in_time")
MINUTES = (2.0, 3.5, 12.0, None, 5.0, 1.0)


def reach(*, steps: bool = True) -> Fields:
    """Return six objects, of which one is not in the city; b1 is cut off from 06:10 to 06:20, b2 and the whole from 06:20 on."""
    seconds = [None if one is None else one * 60 for one in MINUTES]
    objects = pa.table({
        "object": list(IDS), "place": [PLACE] * 6, "status": list(WORST), "status_dry": list(DRY), "within_5min": ["yes"] * 6,
        "within_8min": ["yes"] * 6, "time_dry": pa.array(seconds, pa.float64()),
        "time_worst": pa.array([one if end != "cut_off" else None for one, end in zip(seconds, WORST, strict=True)], pa.float64()),
        "people": [3.0] * 6,
    })  # fmt: skip
    objects = objects.cast(pa.schema([column(field.name, field.type, unit="s") if field.name.startswith("time_") else field
                                      for field in objects.schema]))  # fmt: skip
    times = [None, 0.0, 600.0, 1200.0] if steps else [None]
    tables = {
        "objects": objects,
        "steps": pa.table({"place": [f"{PLACE}, 8min"] * len(times), "time": pa.array(times, pa.float64())}),
        "cut_off": pa.table({
            "object": ["b1", "b1", "b2", "whole"], "place": [PLACE] * 4, "time": [600.0, 1200.0, 1200.0, 1200.0],
            "before": ["in_time", "cut_off", "late", "in_time"], "after": ["cut_off", "in_time", "cut_off", "cut_off"],
        }),
        "stations": pa.table({"object": ["b24", "b23", "point 1"], "place": [PLACE] * 3, "status": ["open", "closed", "open"]}),
    }  # fmt: skip
    return Fields("reach", xr.Dataset(), tables, RunRecord("reach", "1", start=START))


def status(scene: Scene) -> dict[str, str]:
    """Return what the colour of each object says, by the legend."""
    layer = scene.layer("reach")
    known = {entry.colour: entry.label.en for entry in layer.legend.entries}
    return {id: known[tuple(colour)] for id, colour in zip(layer.ids.tolist(), layer.colours.tolist(), strict=True)}


def test_the_status_of_a_step_holds_until_the_next_change(scene: Scene) -> None:
    shown = scene.add(reach())
    dry = {
        "b0": "reached within 8min",
        "b1": "reached within 8min",
        "b2": "later",
        "b3": "no route even when dry",
        "part": "reached within 8min",
    }
    assert status(shown.at(0)) == dry
    assert status(shown.at(1)) == {**dry, "b1": "cut off"}
    assert status(shown.at(2)) == {**dry, "b2": "cut off", "part": "cut off"}


def test_the_step_with_most_objects_cut_off_is_shown_first(scene: Scene) -> None:
    assert scene.add(reach()).moment == np.datetime64("2026-07-21T06:20")


def test_the_maximum_shows_every_object_that_was_ever_cut_off(scene: Scene) -> None:
    assert [id for id, said in status(scene.add(reach()).at("maximum")).items() if said == "cut off at some time"] == ["b1", "b2", "part"]


def test_a_part_takes_the_value_of_its_building_and_what_is_not_drawn_is_counted(scene: Scene) -> None:
    layer = scene.add(reach()).layer("reach")
    assert "part" in layer.ids.tolist()
    assert "whole" not in layer.ids.tolist()
    assert [note.en for note in layer.notes] == ["1 objects of the reach are not drawn"]
    told = {one.title.en: (one.values[layer.ids.tolist().index("part")], one.unit) for one in layer.told}
    assert told["time dry"] == (5.0, "min")


def test_cut_off_buildings_are_hatched_as_well(scene: Scene) -> None:
    layer = scene.add(reach()).layer("reach")
    assert layer.hatched is not None
    assert layer.ids[layer.hatched].tolist() == ["b2", "part"]
    assert (layer.colours[layer.hatched] == CLOSED_COLOUR).all()


def test_minutes_have_the_colour_of_their_class_and_houses_are_counted_once(scene: Scene) -> None:
    layer = scene.add(reach(), by="time_dry").layer("reach")
    assert (layer.unit, layer.legend.unit) == ("min", "min")
    counts = {entry.label.en: entry.count for entry in layer.legend.entries}
    assert counts == {"0 – 2": 0, "2 – 4": 2, "4 – 6": 1, "6 – 8": 0, "8 – 10": 0, "10 – 15": 1, "≥ 15": 0, "no route, or not assessed": 1}
    worst = scene.add(reach(), by="time_worst").layer("reach")
    assert worst.hatched is not None
    assert worst.ids[worst.hatched].tolist() == ["b1", "b2", "part"]


def test_without_steps_the_reach_stands_still(scene: Scene) -> None:
    layer = scene.add(reach(steps=False)).layer("reach")
    assert layer.motion is None
    assert {entry.label.en: entry.count for entry in layer.legend.entries}["cut off"] == 3


def test_stations_stand_over_their_buildings_and_are_named(scene: Scene) -> None:
    layer = scene.add(reach()).layer("stations")
    assert layer.ids.tolist() == ["b24", "b23"]
    assert [label.text.zh for label in layer.labels] == ["楼 24", "楼 23"]
    for row, id in enumerate(layer.ids.tolist()):
        points = layer.points[np.unique(layer.triangles[layer.cell_object == row])]
        building = scene.layer("buildings")
        mine = building.points[np.unique(building.triangles[building.cell_object == building.ids.tolist().index(id)])]
        assert points[:, 2].min() > mine[:, 2].max()
        assert (mine[:, :2].min(axis=0) < points[:, :2].mean(axis=0)).all()
        assert (points[:, :2].mean(axis=0) < mine[:, :2].max(axis=0)).all()
    assert layer.hatched is not None
    assert layer.hatched.tolist() == [False, True]
    assert layer.notes[0].en.startswith("1 stations are no objects of the city")


def test_a_click_tells_instants_in_the_zone_of_the_city_and_what_the_end_leaves_open(scene: Scene) -> None:
    result, when = reach(), datetime(2026, 7, 21, 6, 20, tzinfo=UTC)
    shut = [end == "cut_off" for end in WORST]
    table = result.tables["objects"]
    for name, said in (
        ("cut_off_at", [when if one else None for one in shut]),
        ("cut_off_until_at", [when if id == "b1" else None for id in IDS]),
    ):
        kind = pa.timestamp("us", tz="UTC")
        table = table.append_column(column(name, kind, en=f"{name}, UTC", zh="时刻（UTC）"), pa.array(said, kind))
    table = table.append_column("cut_off_at_end", pa.array([one and id != "b1" for one, id in zip(shut, IDS, strict=True)]))
    layer = scene.add(replace(result, tables={**result.tables, "objects": table})).layer("reach")
    told = {one.title.en: dict(zip(layer.ids.tolist(), one.values, strict=True)) for one in layer.told}
    assert (told["cut_off_at"]["b1"], told["cut_off_at"]["b0"]) == ("2026-07-21 14:20", None)
    assert told["cut_off_until_at"]["b1"] == "2026-07-21 14:20"
    assert told["cut_off_until_at"]["b2"] == "the end of the run or longer 至模拟结束或更晚"
    assert "时刻" in [one.title.zh for one in layer.told]


def test_objects_and_stations_that_the_city_lacks_are_counted(scene: Scene) -> None:
    result = reach()
    stations = pa.table({"object": ["point 1"], "place": [PLACE], "status": ["open"]})
    row = {**result.tables["cut_off"].slice(0, 1).to_pylist()[0], "object": "x"}
    events = pa.concat_tables([result.tables["cut_off"], pa.Table.from_pylist([row], result.tables["cut_off"].schema)])
    shown = scene.add(replace(result, tables={**result.tables, "stations": stations, "cut_off": events}))
    assert shown.layer("reach").notes[-1].en == "1 objects that are cut off are not listed and are not drawn"
    assert shown.layer("stations").notes[0].en.startswith("1 stations are no objects of the city")
    page(shown)


def test_reach_runs_on_the_clock_of_the_water(scene: Scene) -> None:
    shown = scene.add(rising()).add(reach())
    motion = shown.layer("reach").motion
    assert isinstance(motion, States)
    assert len(shown.times) == 4  # those of the water hold those of the reach
    assert status(shown.at(3)) == status(shown.at(2))
    assert '"kind": "states"' in page(shown)


def test_unknown_colours_places_and_cities_are_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="give one of status, time_dry, time_worst"):
        scene.add(reach(), by="people")
    with pytest.raises(UsageError, match="place='police'; 'reach' has fire, emergency"):
        scene.add(reach(), place="police")
    table = reach().tables["objects"]
    foreign = {"objects": table.set_column(0, "object", pa.array([f"x{one}" for one in IDS]))}
    with pytest.raises(UsageError, match="none of the 6 objects of the reach"):
        scene.add(Fields("reach", xr.Dataset(), foreign, RunRecord("reach", "1")))
