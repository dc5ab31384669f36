"""The section [impact], and the whole on the demo district."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

import cim
from cim.errors import UsageError
from cim.model import City, Column
from cim.model.coverages import raster_ids, read_raster
from cim.results import Simulator, city_fingerprint
from cim.sim.impact.plugin import SIMULATOR
from tests.sim.impact.helpers import make_city, make_water

HOUSE = shapely.box(8, 8, 14, 14)
DEEP = np.full((11, 11), 1.15)


def make_house() -> City:
    attributes = {"usage": Column(["住宅"]), "population": Column([6]), "storeys_above_ground": Column([2])}
    return make_city({"a": HOUSE}, attributes=attributes)


def test_it_is_a_simulator_whose_section_explains_itself() -> None:
    assert isinstance(SIMULATOR, Simulator)
    assert SIMULATOR.needs == {"water": "flood"}
    assert [name for name, one in SIMULATOR.parameters.model_fields.items() if not one.description] == []
    json.dumps(SIMULATOR.parameters.model_json_schema())
    with pytest.raises(ValidationError, match="no_such_parameter"):
        SIMULATOR.parameters.model_validate({"no_such_parameter": 1})


def test_exposure_people_and_damage_are_the_tables_of_one_result() -> None:
    section = {"continent": "asia", "value_per_m2": {"residential": 600.0}, "currency": "EUR", "price_year": 2010}
    values = SIMULATOR.parameters.model_validate(section).model_dump()  # as a run of a scenario file hands them over
    result = SIMULATOR.run(make_house(), water=make_water(DEEP), **values)
    assert {"buildings", "doors", "roads", "road_links", "pipes", "manholes", "people", "floors", "damage"} == set(result.tables)
    assert (result.name, result.run.name, result.run.version) == ("impact", "impact", SIMULATOR.version)
    assert result.run.inputs["city"] == city_fingerprint(make_house())
    assert result.run.balance["people_affected"] == pytest.approx(3.0)
    assert result.run.balance["damage_EUR_2010"] == pytest.approx(0.4941 * 36 * 600)
    json.dumps(result.run.to_dict())


def test_without_a_continent_there_is_no_damage() -> None:
    assert "damage" not in SIMULATOR.run(make_house(), water=make_water(DEEP)).tables


def test_without_water_it_says_what_to_add() -> None:
    with pytest.raises(UsageError, match=r"add a section \[flood\]"):
        SIMULATOR.run(make_house())


def test_the_same_inputs_give_the_same_tables() -> None:
    one, other = (SIMULATOR.run(make_house(), water=make_water(DEEP), continent="asia") for _ in range(2))
    made = cim.compare(one, other)
    assert sum(made.changed(name).num_rows for name in made.tables) == 0
    assert one.run.to_dict(measured=False) == other.run.to_dict(measured=False)


def test_the_package_is_light_until_something_is_asked_of_it() -> None:
    code = (
        "import cim.sim.impact, sys; print([one for one in ('shapely', 'xarray', 'pandas', 'cim.sim.impact.assess') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_none_is_a_module() -> None:
    from cim.sim import impact

    for name in impact.__all__:
        assert callable(getattr(impact, name))
    assert not {path.stem for path in Path(impact.__path__[0]).glob("*.py")} & set(impact.__all__)
    with pytest.raises(AttributeError, match="no attribute 'exposures'"):
        impact.exposures  # noqa: B018


@pytest.mark.heavy
def test_still_water_on_the_demo_district_reaches_what_lies_below_it(tmp_path: Path) -> None:
    from cim.demo import write_sources
    from cim.loaders.build import build

    city = build(write_sources(tmp_path / "sources").build_file)
    ground = read_raster(city, raster_ids(city, "terrain")[0])
    x_min, south, _, _ = ground.bounds
    depth = np.where(np.isnan(ground.values), np.nan, np.maximum(6.0 - ground.values, 0.0))
    water = make_water(depth, velocity=0.2, ground=ground.values, dx=ground.dx, crs=city.crs.to_string())
    dataset = water.dataset.assign_coords(x=ground.x, y=ground.y)
    dataset.attrs |= {"x_min": x_min, "y_max": ground.y_max}
    assert south < ground.y_max
    water = type(water)(water.name, dataset, {}, water.run)
    result = SIMULATOR.run(city, water=water, continent="asia")
    buildings = result.to_pandas("buildings")
    assert len(buildings) == city.types()["Building"]
    assert (buildings["status"] == "wet").sum() > 100
    office = buildings[buildings["floor_source"] == "door"]
    assert len(office) == 1, "one building of the district has a building model with an outer door"
    assert float(office["depth_inside"].iloc[0]) == pytest.approx(6.0 - float(office["floor_level"].iloc[0]), abs=1e-4)  # still water
    doors = result.to_pandas("doors")
    assert (doors["reason"] == "inside_the_building").sum() == len(doors) - 1
    manholes = result.to_pandas("manholes")
    wet = manholes[manholes["depth_over_rim"] > 0]
    still = np.minimum(6.0 - wet["rim_level"], wet["depth_max"])
    assert np.allclose(wet["depth_over_rim"], still, atol=1e-4)
    links = result.to_pandas("road_links")
    assert "in_a_tunnel" in set(links["reason"])
    bridge = links[links["deck_source"] == "model"]
    assert len(bridge) == 1, "the bridge over the canal has a model, whose deck tells its level"
    over = (6.0 - bridge["deck_level"]).to_numpy()
    assert (bridge["depth_max"].to_numpy() <= np.maximum(over, 0.0) + 1e-4).all()  # still water at 6 m
    assert bridge["depth_max"].gt(0).all()
    assert (links.loc[links["depth_max"] > 0.5, "passable_four_wheel_drive"] == "no").all()
