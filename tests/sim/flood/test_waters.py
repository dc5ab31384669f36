"""Water in the waters of a city at the start: by object, by class, as stated, or none, and then that is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from cim.errors import UsageError
from cim.model import City
from cim.results import Fields
from cim.sim.flood import simulate
from cim.sim.flood.parameters import FloodParameters
from cim.sim.flood.plugin import SIMULATOR
from tests.sim.flood.places import make_city, raster

PONDS = {"a": shapely.box(4, 4, 12, 12), "b": shapely.box(20, 4, 28, 8), "c": shapely.box(20, 20, 24, 24)}
STATED = {"water_level": [5.0, 6.0, None]}
SINGLE = 1e-6  # share: float32 depths of a few metres


def ponds(**more: Any) -> City:
    return make_city(("WaterBody", PONDS, {**STATED, **more}), ("WaterSurface", {"s": shapely.box(40, 40, 90, 90)}, {}))


def run(initial_level: Any = None, city: City | None = None, **more: Any) -> Fields:
    ground: dict[str, Any] = {"terrain": raster(np.full((32, 32), 4.0)), "roughness": 0.03, "infiltration": None}
    return simulate(ponds() if city is None else city, until=0.1, initial_level=initial_level, threads=1, **ground, **more)


def first(water: Fields) -> dict[str, float]:
    """Return the depth at the start in each pond, and the whole volume."""
    depth = water["water_depth"].isel(time=0)
    middles = {name: shape.centroid for name, shape in PONDS.items()}
    found = {name: float(depth.sel(x=at.x, y=at.y, method="nearest")) for name, at in middles.items()}
    return {**found, "all": float(depth.sum())}


@pytest.mark.parametrize(
    ("given", "a", "b", "c"),
    [
        ("water_level", 1.0, 2.0, 0.0),
        ({"WaterBody": "water_level"}, 1.0, 2.0, 0.0),
        ({"WaterBody": 4.5}, 0.5, 0.5, 0.5),
        ({"a": 4.25, "WaterBody": "water_level"}, 0.25, 2.0, 0.0),
        ({"WaterBody": "water_level", "c": 7.0}, 1.0, 2.0, 3.0),
        ({"b": "water_level"}, 0.0, 2.0, 0.0),
    ],
)
def test_waters_stand_at_the_level_told_and_all_else_is_dry(given: Any, a: float, b: float, c: float) -> None:
    found = first(run(given))
    assert [found[name] for name in "abc"] == [a, b, c]
    assert found["all"] == pytest.approx(a * 64 + b * 32 + c * 16, rel=SINGLE)


def test_who_stays_empty_is_told() -> None:
    said = " | ".join(run("water_level").run.assumptions)
    assert "water at the start in 2 of 3 objects named by initial_level" in said
    assert "1 objects state no water_level: they stay empty (c)" in said
    assert "start empty" not in said
    said = " | ".join(run({"a": 5.0, "b": 3.0}).run.assumptions)
    assert "1 objects have a level that is not above their ground: they stay empty (b)" in said
    assert "1 water bodies (16 m²) start empty" in said
    said = " | ".join(run().run.assumptions)
    assert '3 water bodies (112 m²) start empty, 2 of them state a water_level: initial_level="water_level" fills these' in said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"z": 5.0}, "'z'"),
        ({"a": "deep"}, "initial_level of 'a': 'deep'; expected an elevation"),
        ({"a": True}, "initial_level of 'a': True"),
        ({"a": float("nan")}, "initial_level of 'a': nan"),
        ({}, "an empty table"),
        ({5: 5.0}, "initial_level: "),
        ({"c": "water_level"}, "none of the 1 objects gets water: .*state no water_level"),
        ({"s": 9.0}, "none of the 1 objects gets water: .*have no area on the ground"),
        ({"a": 4000.0}, "up to 3996 m deep"),
        ("full", "initial_level='full'"),
    ],
)
def test_levels_that_fill_nothing_or_cannot_be_meant_are_refused(given: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run(given)


def test_a_stated_level_counts_only_in_the_height_system_of_the_terrain() -> None:
    other = make_city(("WaterBody", PONDS, STATED), crs="EPSG:4549")
    with pytest.raises(UsageError, match="height systems of city and terrain differ or are unknown"):
        run("water_level", other)
    assert first(run({"a": 5.0}, other))["a"] == 1.0  # a level told by the planner is in that of the terrain


def test_levels_by_object_need_a_city() -> None:
    with pytest.raises(UsageError, match="need a city"):
        simulate(np.zeros((4, 4)), dx=2.0, until=1.0, initial_level={"a": 1.0})


def test_the_section_takes_what_the_function_takes() -> None:
    for given in ("water_level", {"WaterBody": "water_level", "c": 7}, 4.5):
        asked = FloodParameters.model_validate({"until": 0.1, "rain": {"kind": "none"}, "initial_level": given}).model_dump()
        asked |= {"threads": 1, "roughness": 0.03, "infiltration": "none"}
        with pytest.raises(UsageError, match="holds no terrain"):
            SIMULATOR.prepare(ponds(), **asked)
        assert asked["initial_level"] == given
    for wrong in ("full", True, {"a": "deep"}, [1.0], {"a": True}):
        with pytest.raises(ValidationError, match="expected an elevation"):
            FloodParameters.model_validate({"until": 0.1, "rain": {"kind": "none"}, "initial_level": wrong})
