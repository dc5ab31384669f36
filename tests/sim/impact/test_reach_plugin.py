"""The section [reach], and stations that are under water themselves."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
import xarray as xr
from pydantic import ValidationError

from cim.errors import UsageError
from cim.results import Fields, Preparing, RunRecord, Simulator, Using, city_fingerprint
from cim.sim.flood.parameters import FloodParameters
from cim.sim.impact.reach_plugin import SIMULATOR
from cim.sim.impact.reachability import reach
from tests.sim.impact.reach_city import START, both, by_object, road_states, street

ROADS = road_states(*both("main:b>c", 600.0, 1200.0))


def section(**given: Any) -> dict[str, Any]:
    """Return the values of a section as a run of a scenario file hands them over."""
    return SIMULATOR.parameters.model_validate({"stations": "fire", **given}).model_dump()


def exposed(answer: str, first: float | None = 600.0, duration: float | None = 300.0) -> Fields:
    row = {"object": "post", "water_inside": answer, "first_wet": first, "duration": duration}
    schema = pa.schema([("object", pa.string()), ("water_inside", pa.string()), ("first_wet", pa.float64()), ("duration", pa.float64())])
    return Fields("impact", xr.Dataset(), {"buildings": pa.Table.from_pylist([row], schema=schema)}, RunRecord("impact", "1", start=START))


def test_it_is_a_simulator_whose_section_explains_itself() -> None:
    plugin: Any = SIMULATOR
    assert isinstance(plugin, Simulator)
    assert isinstance(plugin, Using)
    assert isinstance(plugin, Preparing)
    assert SIMULATOR.uses == {"roads": "roads", "traffic": "traffic", "exposed": "impact"}
    assert [name for name, one in SIMULATOR.parameters.model_fields.items() if not one.description] == []
    json.dumps(SIMULATOR.parameters.model_json_schema())
    with pytest.raises(ValidationError, match="no_such_parameter"):
        SIMULATOR.parameters.model_validate({"stations": "fire", "no_such_parameter": 1})


def test_a_section_gives_what_the_function_gives() -> None:
    found = SIMULATOR.run(street(), roads=ROADS, **section(within=["3min"], vehicle_class="emergency"))
    expected = reach(street(), stations="fire", roads=ROADS, within=["3min"], vehicle_class="emergency")
    assert found.tables == expected.tables
    assert found.run.inputs["city"] == city_fingerprint(street())
    assert found.run.start == START
    json.dumps(found.run.to_dict())


def test_without_roads_and_traffic_there_is_only_the_dry_base() -> None:
    found = SIMULATOR.run(street(), **section())
    assert found.table("steps")["time"].to_pylist() == [None]
    assert found.table("cut_off").num_rows == 0


def test_everything_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(UsageError) as caught:
        SIMULATOR.prepare(street(), **section(stations=["hospital", "nobody"], objects=["Bridge"]))
    assert "3 faults" in str(caught.value)
    for said in ("'hospital'", "'nobody'", "'Bridge'"):
        assert said in str(caught.value)


def test_nobody_leaves_a_station_while_water_that_comes_in_stands_around_it() -> None:
    found = reach(street(), stations="fire", roads=ROADS, exposed=exposed("yes"), times=["5min", "10min", "20min"])
    rows = by_object(found)
    assert (rows["north"]["status"], rows["north"]["reason"], rows["north"]["cut_off_from"]) == ("cut_off", "no_station_open", 600.0)
    post = by_object(found, "stations")["post"]
    assert (post["status"], post["closed_from"], post["closed_minutes"]) == ("closed", 600.0, 10.0)
    dry = reach(street(), stations="fire", roads=ROADS, exposed=exposed("not_assessed"))
    assert by_object(dry)["north"]["status"] == "in_time"
    assert any("may have water inside, which is not assessed" in text for text in dry.run.assumptions)


def test_times_that_cannot_be_looked_at_are_refused_before_anything_is_computed() -> None:
    with pytest.raises(ValidationError, match="-1h"):
        SIMULATOR.parameters.model_validate({"stations": "fire", "times": ["30min", "-1h"]})
    own = SIMULATOR.parameters.model_validate({"stations": "fire", "times": ["30min", "5h", "2026-07-01T07:00"]})
    flood = FloodParameters.model_validate({"until": "2h", "rain": {"kind": "none"}})
    (said,) = SIMULATOR.beside(own, {"flood": flood, "roads": own})
    assert said.startswith("looks at 5h, after the end of the water")
    assert SIMULATOR.beside(own, {"roads": own}) == []
