"""Tiles of a grid against slow loops over cells and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.sim.flood.kernels import PAD
from cim.sim.flood.tiles import lay_tiles

SIDES = ((0, -1), (0, 1), (-1, 0), (1, 0))  # where the neighbour lies that a western, eastern, northern or southern side touches


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 100), st.integers(1, 2200), st.integers(0, 2**31))
def test_every_cell_lies_in_the_tile_that_says_so_and_in_no_other(ny: int, nx: int, seed: int) -> None:
    tiles = lay_tiles((ny, nx), np.float32, 1)
    owner = np.full((ny, nx), -1)
    for number, top, bottom, left, right in tiles.all - np.array([0, PAD, PAD, PAD, PAD]):
        assert (owner[top:bottom, left:right] == -1).all()
        owner[top:bottom, left:right] = number
    rows, columns = np.mgrid[:ny, :nx]
    np.testing.assert_array_equal(tiles.of(rows, columns), owner)
    marked = np.random.default_rng(seed).random((ny, nx)) < 1e-3
    np.testing.assert_array_equal(tiles.holding(marked), np.isin(np.arange(len(tiles)), owner[marked]))


@pytest.mark.parametrize("corners", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_tile_is_reached_over_the_side_or_the_corner_at_which_water_stands(seed: int, *, corners: bool) -> None:
    tiles = lay_tiles((120, 4000), np.float32, 1)
    random = np.random.default_rng(seed)
    active, touched = random.random(len(tiles)) < 0.1, random.random((len(tiles), 4)) < 0.2
    high, wide = tiles.grid
    expected = set(np.flatnonzero(active).tolist())
    for tile in range(len(tiles)):
        stands = [way for side, way in enumerate(SIDES) if touched[tile, side]]
        ways = [*stands, *((a[0] + b[0], a[1] + b[1]) for a in stands for b in stands if corners and a[0] and b[1])]
        for down, across in ways:
            row, column = tile // wide + down, tile % wide + across
            if 0 <= row < high and 0 <= column < wide:
                expected.add(row * wide + column)
    assert tiles.reached(active, touched, corners=corners)[:, 0].tolist() == sorted(expected)


def test_work_is_done_once_on_every_tile_however_many_threads_share_it() -> None:
    done = {}
    for threads in (1, 2, 5):
        tiles = lay_tiles((100, 3000), np.float32, threads)
        count = np.zeros(len(tiles), np.int64)
        tiles.work(tiles.all, lambda some, _, count=count: np.add.at(count, some[:, 0], 1))  # type: ignore[misc]
        tiles.close()
        done[threads] = count.tolist()
    assert done == {threads: [1] * 12 for threads in (1, 2, 5)}
