from __future__ import annotations

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
from cim.model import City
from cim.results import Fields, RunRecord
from cim.scenario import read_scenario, validate


def test_the_storm_files_are_right_and_fall_on_both(city: City, truth: Truth, tmp_path: Path) -> None:
    cim.save(city, tmp_path / "demo.cim")
    base, option = (read_scenario(file) for file in write_storm(truth, tmp_path, "demo.cim"))
    assert [validate(tmp_path / name) for name in ("storm_base.toml", "storm_option.toml")] == [[], []]
    first, second = (one.simulations["flood"].model_dump() for one in (base, option))
    assert {name for name in first if first[name] != second[name]} == {"pump"}
    assert (len(first["pump"]), len(second["pump"])) == (0, 2)
    assert (len(base.change), len(option.change)) == (2, 6)


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


def flooded(depth: float, pumped: float, *, inside: str) -> dict[str, Fields]:
    """Return the results of a storm on one house and one street, as far as the table reads them."""
    houses = pa.table({"object": ["SH-0001"], "water_inside": [inside], "hazard_class": ["significant"], "depth_max": [depth]})
    streets = pa.table({"object": ["R-11"], "depth_max": [depth]})
    links = pa.table({"object": ["R-11"], "place": ["1"], "passable_small_car": [inside], "passable_four_wheel_drive": ["yes"]})
    gauges = pa.table({"gauge": ["underpass", "old_town", "old_town"], "depth": [5 * depth, depth, 0.0]})
    flood = Fields("flood", xr.Dataset(), {"gauges": gauges}, RunRecord("flood", "1", balance={"pumped_out_m3": pumped}))
    tables = {"buildings": houses, "roads": streets, "road_links": links}
    return {"flood": flood, "impact": Fields("impact", xr.Dataset(), tables, RunRecord("impact", "1", balance={"people_affected": 7.0}))}


def test_the_table_tells_counts_differences_and_what_changes_most(city: City) -> None:
    text = storm_table(city, flooded(0.42, 0.0, inside="yes"), flooded(0.126, 1234.0, inside="no"))
    rows = {line.strip().split("  ")[0]: line.split()[-3:] for line in text.splitlines()}
    assert rows["underpass, deepest 下穿通道最大水深 [m]"] == ["2.10", "0.63", "-1.47"]
    assert rows["pumped out 泵排水量 [m³]"] == ["0", "1,234", "+1,234"]
    assert rows["buildings wet inside 室内进水建筑 [number]"] == ["1", "0", "-1"]
    assert rows[f"SH-0001 {city['SH-0001'].name}"] == ["0.42", "0.13", "-0.29"]  # of what is shown, not of what is hidden
    assert "0 of 1 are over 1 cm deeper" in text
