"""The section [roads], its package, and the whole on the demo district."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cim.errors import UsageError
from cim.results import Simulator
from cim.results.columns import unit
from cim.results.files import load_result, save_result
from cim.sim.coupling.plugin import SIMULATOR
from cim.sim.impact import exposure
from tests.sim.coupling.helpers import lines_of, make_roads, make_water, of_class

CITY = make_roads(lines_of())
DEEP = np.full((3, 20), 0.35)
WATER = make_water(DEEP, series=np.array([DEEP * 0, DEEP, DEEP * 0.5]))


def test_it_is_a_simulator_whose_section_explains_itself() -> None:
    assert isinstance(SIMULATOR, Simulator)
    assert (SIMULATOR.needs, SIMULATOR.uses) == ({"water": "flood"}, {"impact": "impact"})
    assert [name for name, one in SIMULATOR.parameters.model_fields.items() if not one.description] == []
    json.dumps(SIMULATOR.parameters.model_json_schema())
    with pytest.raises(ValidationError, match="no_such_parameter"):
        SIMULATOR.parameters.model_validate({"no_such_parameter": 1})
    with pytest.raises(ValidationError, match=r"rain is -1\.0 mm/h"):
        SIMULATOR.parameters.model_validate({"rain": -1.0})
    with pytest.raises(ValidationError, match="rain_speed must lie above 0, be at most 1 and not rise"):
        SIMULATOR.parameters.model_validate({"rain_speed": (0.9, 0.95, 1.2)})


def test_a_section_as_a_file_hands_it_over_runs() -> None:
    section = tomllib.loads('rain = [["0min", 3.0], ["5min", 10.0]]\ndry_after = "10min"\nclasses = { car = "small_car" }')
    values = SIMULATOR.parameters.model_validate(section).model_dump()
    result = SIMULATOR.run(CITY, water=WATER, **values)
    assert (result.name, result.run.name, result.run.version) == ("roads", "roads", SIMULATOR.version)
    assert {"states", "links", "figures"} == set(result.tables)
    assert {row["class"] for row in result.table("states").to_pylist()} == {"car"}
    assert result.run.balance["links_closed_car"] == 1
    json.dumps(result.run.to_dict())


def test_the_limits_of_an_impact_of_the_same_scenario_hold() -> None:
    wide = {"depth": 0.4, "depth_velocity": 1.0}
    impact = exposure(CITY, WATER, vehicles={"small_car": wide, "large_car": wide, "four_wheel_drive": wide})
    (link,) = of_class(SIMULATOR.run(CITY, water=WATER, impact=impact, rain="none"), "links")
    assert link["closed_minutes"] == 0.0
    (link,) = of_class(SIMULATOR.run(CITY, water=WATER, rain="none"), "links")
    assert link["closed_minutes"] == 20.0


def test_without_water_it_says_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"add a section \[flood\]"):
        SIMULATOR.run(CITY)


def test_a_run_without_a_ledger_says_that_its_rain_is_not_known() -> None:
    result = SIMULATOR.run(CITY, water=WATER)
    assert any("no ledger of its rain" in text for text in result.run.assumptions)


def test_results_keep_their_columns_units_and_titles_on_disk(tmp_path: Path) -> None:
    result = SIMULATOR.run(CITY, water=WATER)
    back = load_result(save_result(result, tmp_path / "roads"))
    for name, table in result.tables.items():
        assert back.tables[name].equals(table, check_metadata=True)  # type: ignore[union-attr]
        assert all((field.metadata or {}).get(b"label_zh") for field in table.schema)
    assert unit(result.table("states").schema.field("depth")) == "m"


def test_the_same_inputs_give_the_same_tables() -> None:
    one, other = (SIMULATOR.run(CITY, water=WATER) for _ in range(2))
    assert all(one.tables[name].equals(other.tables[name]) for name in one.tables)
    assert one.run.to_dict(measured=False) == other.run.to_dict(measured=False)


def test_the_package_is_light_until_something_is_asked_of_it() -> None:
    code = "import cim.sim.coupling, sys; print([one for one in ('shapely', 'xarray', 'pandas', 'numba') if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_none_is_a_module() -> None:
    from cim.sim import coupling

    for name in coupling.__all__:
        assert getattr(coupling, name) is not None
    assert not {path.stem for path in Path(coupling.__path__[0]).glob("*.py")} & set(coupling.__all__)
    with pytest.raises(AttributeError, match="no attribute 'road_states'"):
        coupling.road_states  # noqa: B018


@pytest.mark.heavy
def test_in_the_storm_of_the_demo_the_underpass_closes_first_and_the_bridge_stays_open(tmp_path: Path) -> None:
    from cim.demo import write_sources
    from cim.demo.storm import write_storm
    from cim.loaders.build import build
    from cim.sim.flood.plugin import SIMULATOR as FLOOD

    truth = write_sources(tmp_path / "sources")
    city = build(truth.build_file)
    section = tomllib.loads(write_storm(truth, tmp_path, "city")[0].read_text(encoding="utf-8"))["flood"]
    water = FLOOD.run(city, **{**section, "until": "30min"})
    result = SIMULATOR.run(city, water=water)
    rows = of_class(result, "links")
    (tunnel,) = water.run.parameters["open_ways"]
    under = [row for row in rows if row["object"] == tunnel]
    bridge = [row for row in rows if row["deck_source"] == "model"]
    over = [row for row in rows if row["deck_source"] == "beside"]
    closed = [row["closed_from"] for row in rows if row["closed_from"] is not None and row["object"] != tunnel]
    assert under[0]["closed_from"] <= min(closed)
    assert bridge
    assert all(row["status"] == "assessed" and row["closed_minutes"] == 0 for row in bridge)
    assert over
    assert all(row["closed_minutes"] == 0 for row in over), "the boulevard over the underpass does not stand in its water"
    impact = exposure(city, water)
    links = impact.table("road_links").to_pylist()
    told = {(row["object"], row["place"].split(": ")[1]): row["passable_small_car"] for row in links}
    shut = set()
    for row in rows:
        ends = row["link"].removeprefix(f"{row['object']}:").split("#")[0].split(">")
        answer = told.get((row["object"], " - ".join(ends))) or told[row["object"], " - ".join(ends[::-1])]
        assert (answer == "no") == (row["closed_minutes"] > 0)
        assert (answer == "not_assessed") == (row["status"] == "not_assessed")
        shut |= {row["object"]} if answer == "no" else set()
    roads = [row for row in impact.table("roads").to_pylist() if row["shape"] == "line"]
    assert {row["object"] for row in roads if row["passable_small_car"] == "no"} == shut
    assert over[0]["object"] not in shut
