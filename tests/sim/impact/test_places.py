"""The cells of objects against slow loops over cells."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from cim.crs import parse
from cim.model.coverages import Raster
from cim.sim.impact.places import line_places, ring_places
from tests.sim.impact.helpers import CRS

NX, NY, DX = 12, 9, 2.0
GRID = Raster(np.zeros((NY, NX)), 0.0, NY * DX, DX, DX, parse(CRS))
places_x, places_y = st.floats(-4.0, 28.0), st.floats(-4.0, 22.0)
points = st.tuples(places_x, places_y)


def centres() -> list[tuple[int, Any]]:
    return [(row * NX + column, shapely.Point(GRID.x[column], GRID.y[row])) for row in range(NY) for column in range(NX)]


@given(points, st.floats(0.5, 8.0), st.floats(0.5, 8.0), st.floats(1.0, 4.0))
def test_a_ring_holds_the_cells_near_a_footprint_that_are_under_no_roof(
    corner: tuple[float, float], width: float, height: float, cells: float
) -> None:
    shape = shapely.box(corner[0], corner[1], corner[0] + width, corner[1] + height)
    roofs = np.array([bool(shape.intersects(centre)) for _, centre in centres()])
    reach = cells * DX
    found = set(ring_places(np.array([shape], object), roofs, GRID, reach).cell.tolist())
    surely = {cell for cell, centre in centres() if 0 < shape.distance(centre) < reach * 0.995}  # a buffer of 32 sides is 0.5 % narrower
    maybe = {cell for cell, centre in centres() if 0 < shape.distance(centre) <= reach * (1 + 1e-9)}
    assert surely <= found <= maybe


@given(st.lists(points, min_size=2, max_size=5, unique=True))
@example([(0.0, 6.1910341641610834e-263), (3.0, -2.237399176672593e-199), (0.0, 0.0)])
@example([(0.0, 0.0), (1.0, -1.1204271231928165e-14)])
def test_a_line_counts_every_cell_by_the_length_it_has_in_it(coordinates: list[tuple[float, float]]) -> None:
    line = shapely.LineString(coordinates)
    places = line_places(np.array([line], object), GRID)
    assert places.weight.sum() == pytest.approx(line.length, rel=1e-9)
    inside = np.bincount(places.cell[places.cell >= 0], places.weight[places.cell >= 0], NX * NY)
    for row in range(NY):
        for column in range(NX):
            x, y = column * DX, (NY - row) * DX
            cell = shapely.box(x, y - DX, x + DX, y)
            least, expected, most = (
                sum(shapely.LineString(pair).intersection(one).length for pair in itertools.pairwise(coordinates))
                for one in (shapely.buffer(cell, -2e-6, join_style="mitre"), cell, shapely.buffer(cell, 1e-5, join_style="mitre"))
            )
            if math.isclose(least, most, abs_tol=1e-4):  # not along an edge of cells
                assert inside[row * NX + column] == pytest.approx(expected, abs=1e-4)


def test_a_line_beyond_the_grid_says_so() -> None:
    lines = np.array([shapely.LineString([(-10, 1), (-5, 1)]), shapely.LineString([(-2, 1), (2, 1)]), None], object)
    places = line_places(lines, GRID)
    assert places.beyond.tolist() == [True, True, False]
    assert set(places.cell[places.row == 0].tolist()) == {-1}
    assert places.weight[(places.row == 1) & (places.cell >= 0)].sum() == 2.0
    assert places.reason.tolist() == [None, None, "missing_line"]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("at", "cells"), [(4.0, 2), (4.001, 1), (0.0, 1)])
def test_a_line_along_the_edge_of_cells_counts_half_in_each_of_both(at: float, cells: int, *, turned: bool) -> None:
    line = shapely.LineString([(at, 2.0), (at, 8.0)] if turned else [(2.0, at), (8.0, at)])
    places = line_places(np.array([line], object), GRID)
    assert (places.cell >= 0).all()
    assert not places.beyond.any()
    lengths = np.bincount(places.cell, places.weight, NX * NY).reshape(NY, NX)
    across = lengths.sum(axis=0 if turned else 1)
    np.testing.assert_allclose(across[across > 0], np.full(cells, 6.0 / cells))
    np.testing.assert_allclose(places.weight.sum(), 6.0)


def test_a_line_from_another_part_of_the_world_costs_no_memory() -> None:
    places = line_places(np.array([shapely.LineString([(-1e9, -1e9), (1e9, 1e9)])], object), GRID)
    assert len(places.row) < 3 * (NX + NY)
    assert places.weight.sum() == pytest.approx(2e9 * math.sqrt(2))
    assert places.weight[places.cell >= 0].sum() == pytest.approx(NY * DX * math.sqrt(2), abs=1e-3)  # 1e9 m carry 1e-7 m of rounding


def test_parts_of_a_line_are_not_joined() -> None:
    line = shapely.MultiLineString([[(1, 1), (3, 1)], [(21, 17), (23, 17)]])
    places = line_places(np.array([line], object), GRID)
    assert places.weight.sum() == pytest.approx(4.0)
    assert (places.cell >= 0).all()


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-5, 5) | st.just(math.nan)), max_size=40))
def test_greatest_least_and_total_agree_with_a_loop(pairs: list[tuple[int, float]]) -> None:
    ordered = sorted(pairs, key=lambda one: one[0])
    row = np.array([one[0] for one in ordered], np.int64)
    values = np.array([one[1] for one in ordered], float)
    places = line_places(np.array([None] * 5, object), GRID)
    places = type(places)(5, row, row * 0, np.ones(len(row)), places.beyond, places.reason)
    for at in range(5):
        mine = [value for which, value in ordered if which == at and not math.isnan(value)]
        for found, expected in (
            (places.greatest(values)[at], max(mine, default=math.nan)),
            (places.least(values)[at], min(mine, default=math.nan)),
        ):
            assert (math.isnan(found) and math.isnan(expected)) or found == expected
