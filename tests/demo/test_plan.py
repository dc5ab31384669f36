from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.demo import plan


@given(st.floats(-50, 1250), st.floats(0, 760))
def test_street_coordinates_and_back_give_the_same_place(along: float, inland: float) -> None:
    place = plan.to_place(along, inland)
    back = plan.to_streets(place[0], place[1])
    assert abs(back[0] - along) < 1e-3  # m: what 12 steps of the inverse leave
    assert abs(back[1] - inland) < 1e-3


def test_the_bank_of_the_river_is_where_inland_begins() -> None:
    x = np.linspace(0, plan.WIDTH, 50)
    _, inland = plan.to_streets(x, plan.bank(x))
    assert np.abs(inland).max() < 1e-9
    assert np.allclose(plan.river_across(x, plan.bank(x)), 1.0)


def test_streets_straighten_away_from_the_river() -> None:
    def bend(inland: float) -> float:
        return float(np.ptp(plan.to_place(np.linspace(0, plan.WIDTH, 100), inland)[:, 1]))

    bends = [bend(street.at) for street in plan.STREETS]
    assert bends == sorted(bends, reverse=True)
    assert bends[-1] < 0.1 * bends[0]


def test_blocks_lie_between_the_streets_and_do_not_overlap() -> None:
    grid = plan.blocks()
    shapes = np.array(
        [plan.quad(*box) for box in zip(*(one.reshape(-1) for one in (grid.west, grid.south, grid.east, grid.north)), strict=True)]
    )
    streets = shapely.union_all(
        [plan.strip(one, avenue=False) for one in plan.STREETS] + [plan.strip(one, avenue=True) for one in plan.AVENUES]
    )
    assert shapely.area(shapely.intersection(shapes, streets)).max() < 0.5  # m²: edges are drawn as chords of 12 m
    left, right = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    assert (left == right).all()
    assert shapely.contains(shapely.box(0, 0, plan.WIDTH, plan.HEIGHT), shapes).all()
