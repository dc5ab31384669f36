from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
import xarray as xr

import cim
from cim.demo import Truth
from cim.demo.ground import UNDERPASS, elevation
from cim.demo.plan import to_place
from cim.demo.storm import choose_park, storm_table, write_storm
from cim.demo.trips import write_trips
from cim.model import City
from cim.results import Fields, RunRecord
from cim.scenario import read_scenario, validate


def test_the_storm_files_are_right_and_fall_on_both(city: City, truth: Truth, tmp_path: Path) -> None:
    cim.save(city, tmp_path / "demo.cim")
    write_trips(city, tmp_path)
    base, option = (read_scenario(file) for file in write_storm(truth, tmp_path, "demo.cim"))
    assert [validate(tmp_path / name) for name in ("storm_base.toml", "storm_option.toml")] == [[], []]
    first, second = (one.simulations["flood"].model_dump() for one in (base, option))
    assert {name for name in first if first[name] != second[name]} == {"pump"}
    assert (len(first["pump"]), len(second["pump"])) == (0, 2)
    assert (len(base.change), len(option.change)) == (2, 6)
    for name in ("impact", "roads", "traffic", "reach"):
        assert base.simulations[name] == option.simulations[name]  # the same trips, the same seed, the same stations


def test_the_park_that_is_dug_is_clear_of_houses_and_lies_on_its_plot(truth: Truth) -> None:
    plot, area = choose_park(truth)
    assert area.is_valid
    assert area.area > 4000  # m²
    assert shapely.contains(truth.plots[plot], area)
    assert shapely.distance(truth.footprints, area).min() > 12  # m: the slopes of the pit and two cells


def test_the_pump_stands_in_the_deepest_place_of_the_underpass() -> None:
    middle = to_place(*UNDERPASS)
    around = to_place(UNDERPASS[0], UNDERPASS[1] + np.array([-60.0, -30.0, 0.0, 30.0, 60.0]))
    assert elevation(*middle) <= elevation(*around.T).min()


def flooded(depth: float, pumped: float, *, inside: str, arrivals: list[float]) -> dict[str, Fields]:
    """Return the results of a storm on one house, one street and two cars, as far as the table reads them."""
    houses = pa.table({"object": ["SH-0001"], "water_inside": [inside], "hazard_class": ["significant"], "depth_max": [depth]})
    streets = pa.table({"object": ["R-11"], "depth_max": [depth]})
    gauges = pa.table({"gauge": ["underpass", "old_town", "old_town"], "depth": [5 * depth, depth, 0.0]})
    shut = inside == "yes"
    states = pa.table({"class": ["car", "car", "emergency"], "link": ["R-11:a>b", "R-11:b>a", "R-11:a>b"],
                       "closed_minutes": [5.0 * shut, 5.0 * shut, 0.0]})  # fmt: skip
    links = pa.table({"object": ["R-11"] * 2, "link": ["R-11:a>b", "R-11:b>a"], "from_node": ["a", "b"], "to_node": ["b", "a"],
                      "length": [250.0, 250.0]})  # fmt: skip
    reach = pa.table({"object": ["SH-0001"], "status": ["cut_off" if shut else "in_time"], "within_8min": ["no" if shut else "yes"],
                      "people": [12.0]})  # fmt: skip
    found = {
        "flood": ({"gauges": gauges}, {"pumped_out_m3": pumped}),
        "impact": ({"buildings": houses, "roads": streets}, {"people_affected": 7.0}),
        "roads": ({"links": states}, {}),
        "traffic": ({"vehicles": cars(arrivals), "links": links}, {}),
        "reach": ({"objects": reach}, {}),
    }
    return {name: Fields(name, xr.Dataset(), tables, RunRecord(name, "1", balance=balance)) for name, (tables, balance) in found.items()}


def cars(arrivals: list[float]) -> pa.Table:
    """Return cars that depart at once; nan for those that find no way."""
    causes = ["no route" if np.isnan(one) else "arrived" for one in arrivals]
    return pa.table({"departure": [0.0] * len(arrivals), "arrival": arrivals, "cause": causes})


def test_the_table_tells_counts_differences_and_what_changes_most(city: City) -> None:
    base, option = flooded(0.42, 0.0, inside="yes", arrivals=[60.0, np.nan]), flooded(0.126, 1234.0, inside="no", arrivals=[60.0, 300.0])
    dry = Fields("traffic", xr.Dataset(), {"vehicles": cars([60.0, 100.0])}, RunRecord("traffic", "1"))
    text = storm_table(city, base, option, dry)
    rows = {line.strip().split("  ")[0]: line.split()[-3:] for line in text.splitlines()}
    assert rows["underpass, deepest 下穿通道最大水深 [m]"] == ["2.10", "0.63", "-1.47"]
    assert rows["pumped out 泵排水量 [m³]"] == ["0", "1,234", "+1,234"]
    assert rows["buildings wet inside 室内进水建筑 [number]"] == ["1", "0", "-1"]
    assert rows["streets closed to cars 小汽车不能通行路段 [number]"] == ["1", "0", "-1"]  # one stretch, both directions
    assert rows["… their length 长度 [km]"] == ["0.25", "0.00", "-0.25"]
    assert rows["… stranded, no way is left 滞留"] == ["1", "0", "-1"]
    assert rows["… there, over 2 min later than when dry 延误"] == ["0", "1", "+1"]
    assert rows["mean trip of those that arrive 平均行程时间 [s]"] == ["60", "180", "+120"]
    assert rows["… cut off from the fire brigade 消防中断"] == ["1", "0", "-1"]
    assert rows["… people in those cut off, where known 涉及人数"] == ["12", "0", "-12"]
    assert rows[f"SH-0001 {city['SH-0001'].name}"] == ["0.42", "0.13", "-0.29"]  # of what is shown, not of what is hidden
    assert "1 cars arrive in the option that do not in the base" in text
    assert "on dry roads one takes 80 s" in text
    assert "0 of 1 are over 1 cm deeper" in text


def test_without_the_map_extract_the_network_is_derived_and_said_to_be(truth: Truth, tmp_path: Path) -> None:
    for file in write_storm(replace(truth, extract=None), tmp_path, "demo.cim"):
        assert 'do = "derive_road_links"' in file.read_text(encoding="utf-8")
    for file in write_storm(truth, tmp_path, "demo.cim"):
        assert "derive_road_links" not in file.read_text(encoding="utf-8")
