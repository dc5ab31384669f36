"""Pipes and manholes: the water over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column
from cim.sim.impact import exposure
from tests.sim.impact.helpers import CRS, make_water, rows

TYPE = "GenericOccupiedSpace"


def make_drains(rim: Any = 10.1, *, crs: str = CRS) -> City:
    builder = CityBuilder(crs)
    shapes = [shapely.Point(3, 3), shapely.Point(17, 3), shapely.Point(99, 3), shapely.LineString([(3, 3), (17, 3)]), None]
    keys = builder.add_objects(TYPE, ["m1", "m2", "far", "pipe", "lost"], footprints=np.array(shapes, object))
    builder.add_attributes(keys, TYPE, {"rim_level": Column([rim, 10.0, 10.0, None, None], unit="m")})
    return builder.build()


def field(depth: float) -> np.ndarray:
    values = np.zeros((5, 10))
    values[3, 1] = depth  # the cell of m1
    return values


def test_water_stands_over_the_rim_by_what_its_level_is_higher() -> None:
    result = exposure(make_drains(), make_water(field(0.4), ground=10.0))
    manholes = rows(result, "manholes")
    assert set(manholes) == {"m1", "m2", "far"}
    assert (manholes["m1"]["status"], manholes["m1"]["depth_max"]) == ("wet", 0.4)
    assert manholes["m1"]["depth_over_rim"] == pytest.approx(0.3)
    assert manholes["m1"]["rim_above_ground"] == pytest.approx(0.1)
    assert (manholes["m2"]["status"], manholes["m2"]["depth_over_rim"]) == ("dry", 0.0)
    assert (manholes["far"]["status"], manholes["far"]["reason"], manholes["far"]["depth_over_rim"]) == (
        "not_assessed",
        "outside_domain",
        None,
    )
    pipes = rows(result, "pipes")
    assert set(pipes) == {"pipe"}
    assert (pipes["pipe"]["status"], pipes["pipe"]["depth_max"]) == ("wet", 0.4)
    assert pipes["pipe"]["depth_mean"] == pytest.approx(0.4 * 1 / 14)


@pytest.mark.parametrize(("rim", "over"), [(10.5, 0.0), (9.0, 0.4), (None, None)])
def test_a_rim_gets_no_more_water_than_stands_on_its_ground(rim: float | None, over: float | None) -> None:
    row = rows(exposure(make_drains(rim), make_water(field(0.4), ground=10.0)), "manholes")["m1"]
    assert row["depth_over_rim"] == (None if over is None else pytest.approx(over))
    assert row["status"] == "wet"


def test_rims_in_another_height_system_are_not_compared() -> None:
    row = rows(exposure(make_drains(), make_water(field(0.4), ground=10.0, vertical="another")), "manholes")["m1"]
    assert (row["status"], row["depth_over_rim"], row["rim_above_ground"]) == ("wet", None, None)


def test_another_class_may_hold_the_pipes() -> None:
    assert exposure(make_drains(), make_water(field(0.4)), pipe_types=("CityFurniture",)).table("pipes").num_rows == 0
