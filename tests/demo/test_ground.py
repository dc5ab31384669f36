from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cim.demo import ground, plan


def height(along: float, inland: float) -> float:
    place = plan.to_place(along, inland)
    return float(ground.elevation(place[0], place[1]))


def test_the_dyke_is_closed_but_for_the_gap_at_the_quay() -> None:
    along = np.arange(20.0, plan.WIDTH - 20.0, 2.0)
    place = plan.to_place(along, 11.0)
    crest = ground.elevation(place[:, 0], place[:, 1])
    inside = (along > ground.GAP[0]) & (along < ground.GAP[1])
    away = (along < ground.GAP[0] - 7) | (along > ground.GAP[1] + 7)
    assert crest[inside] == pytest.approx(ground.GAP[2], abs=0.05)
    assert crest[away] == pytest.approx(ground.DYKE, abs=1e-6)


def test_the_underpass_lies_five_metres_under_the_street_it_crosses() -> None:
    along, inland = ground.UNDERPASS
    assert height(along + 30, inland) - height(along, inland) == pytest.approx(5.3, abs=0.3)  # m: the plain varies by that over 30 m
    assert height(along, inland + 90) == pytest.approx(height(along + 9, inland + 90), abs=0.1)


def test_the_river_bed_is_under_its_water_and_the_banks_are_over_it() -> None:
    x = np.linspace(5, plan.WIDTH - 5, 60)
    assert (ground.elevation(x, plan.river_axis(x)) < ground.WATER_LEVEL - 4).all()
    assert (ground.elevation(x, plan.bank(x) + 8) > ground.WATER_LEVEL).all()


def test_at_a_level_under_the_sill_the_town_stays_dry_though_much_of_it_lies_lower() -> None:
    grid = ground.Grid(2.0)
    east, north = grid.points()
    low = ground.elevation(east, north) <= 4.4
    patches, _ = ndimage.label(low)
    river = patches[np.argmin(np.abs(grid.y - plan.river_axis(600.0))), np.argmin(np.abs(grid.x - 600.0))]
    _, inland = plan.to_streets(east, north)
    town = (inland > 30) & low
    assert town.sum() > 5000
    assert not (town & (patches == river)).any()


def test_the_survey_has_a_hole_for_each_one_that_is_stated() -> None:
    values = ground.terrain(ground.Grid(2.0), np.random.default_rng(1))
    assert ndimage.label(~np.isfinite(values))[1] == len(ground.HOLES)
