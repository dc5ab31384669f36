"""Buildings on the grid of a flood model, and where the rain on their roofs arrives: to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cim.sim.flood.city_domain import domain_from_city
from cim.sim.flood.roofs import STEEP, Roofs, drain_roofs, read_roofs
from tests.sim.flood.places import make_city, raster

PLAIN: dict[str, Any] = {"roughness": 0.03, "infiltration": None}
HOUSES = {"A": shapely.box(4, 4, 10, 9), "B": shapely.box(10, 4, 15, 12), "C": shapely.box(20.2, 14.2, 25.7, 18.8)}


def slope(ny: int = 24, nx: int = 30) -> np.ndarray:
    """Return ground that falls to the south-east."""
    y, x = np.mgrid[0:ny, 0:nx]
    return np.asarray(20 - 0.11 * x - 0.07 * y)


def standing(shapes: dict[str, Any], ground: np.ndarray, size: float = 1.0) -> Roofs:
    city = make_city(("Building", shapes, {"height": [8.0] * len(shapes)}))
    return read_roofs(city, raster(ground, size), np.ones(ground.shape, bool), np.zeros(ground.shape, bool))


def beside(cell: int, shape: tuple[int, int]) -> list[int]:
    row, column = divmod(cell, shape[1])
    places = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [i * shape[1] + j for i, j in places if 0 <= i < shape[0] and 0 <= j < shape[1]]


def slow_ring(roofs: Roofs, row: int, open_cells: np.ndarray) -> list[int]:
    mine = np.flatnonzero(roofs.owner.ravel() == row)
    ring = {there for one in mine.tolist() for there in beside(one, open_cells.shape) if open_cells.ravel()[there]}
    return sorted(ring)


# ---------------------------------------------------------------- rain


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from(["gutter", "ground"]))
@example(3714, "ground")  # the last building has ground beside it, and no cell
def test_roof_rain_arrives_in_open_cells_to_the_last_bit(seed: int, way: Any) -> None:
    random = np.random.default_rng(seed)
    corners, sizes = random.uniform(1, 20, (6, 2)), random.uniform(1, 9, (6, 2))
    shapes = {f"H{n}": shapely.box(*corner, *(corner + size)) for n, (corner, size) in enumerate(zip(corners, sizes, strict=True))}
    ground = random.normal(5, 1, (24, 30))
    ground[random.uniform(size=ground.shape) < 0.05] = np.nan
    roofs = standing(shapes, ground)
    done = drain_roofs(ground, roofs, way, 1.0)
    assert done is not None
    roof = roofs.cells & np.isfinite(ground)
    np.testing.assert_array_equal(done.from_cell, np.flatnonzero(roof))  # every roof cell once
    open_cells = np.isfinite(ground) & ~roofs.cells
    assert open_cells.ravel()[done.to_cell].all()
    rain = random.integers(0, 2**40, ground.size)  # whole numbers: sums are exact, none may be lost
    fallen = rain.copy()
    fallen[done.from_cell] = 0
    np.add.at(fallen, done.to_cell, rain[done.from_cell])
    assert fallen.sum() == rain.sum()
    assert (fallen[roof.ravel()] == 0).all()


def test_a_gutter_is_the_nearest_of_the_lowest_cells_around_the_building() -> None:
    ground = slope()
    roofs = standing(HOUSES, ground)
    done = drain_roofs(ground, roofs, "gutter", 1.0)
    assert done is not None
    open_cells = np.isfinite(ground) & ~roofs.cells
    for row in range(3):
        ring = slow_ring(roofs, row, open_cells)
        low = sorted(ring, key=lambda cell: (ground.ravel()[cell], cell))[: max(len(ring) // 4, 1)]
        for start, end in zip(done.from_cell.tolist(), done.to_cell.tolist(), strict=True):
            if roofs.owner.ravel()[start] != row:
                continue
            far = [np.hypot(*(np.array(divmod(start, 30)) - divmod(one, 30))) for one in low]
            assert end in low
            assert np.hypot(*(np.array(divmod(start, 30)) - divmod(end, 30))) == pytest.approx(min(far))


def test_the_ground_around_a_building_gets_alike_much() -> None:
    ground = slope()
    roofs = standing(HOUSES, ground)
    done = drain_roofs(ground, roofs, "ground", 1.0)
    assert done is not None
    open_cells = np.isfinite(ground) & ~roofs.cells
    for row in range(3):
        ring = slow_ring(roofs, row, open_cells)
        mine = roofs.owner.ravel()[done.from_cell] == row
        counts = [int((done.to_cell[mine] == cell).sum()) for cell in ring]
        assert sum(counts) == int((roofs.owner == row).sum())
        assert max(counts) - min(counts) <= 1


def test_a_building_in_the_middle_of_others_drains_past_them_and_is_named() -> None:
    outer = [(6, 6, 17, 10), (6, 13, 17, 17), (6, 10, 10, 13), (13, 10, 17, 13)]
    shapes = {"inner": shapely.box(10, 10, 13, 13)} | {f"o{n}": shapely.box(*one) for n, one in enumerate(outer)}
    ground = slope()
    roofs = standing(shapes, ground)
    done = drain_roofs(ground, roofs, "gutter", 1.0)
    assert done is not None
    assert len(done.from_cell) == 121
    assert any("1 buildings have no open ground beside them" in note and "inner" in note for note in done.notes)


def test_rain_that_stays_and_ground_without_an_open_cell_move_nothing() -> None:
    ground = slope()
    assert drain_roofs(ground, standing(HOUSES, ground), "keep", 1.0) is None
    everywhere = standing({"all": shapely.box(-1, -1, 40, 40)}, ground)
    done = drain_roofs(ground, everywhere, "gutter", 1.0)
    assert done is not None
    assert not len(done.from_cell)
    assert done.notes == ("720 roof cells have no open ground to drain to: their rain stays",)


def test_the_same_city_drains_to_the_same_cells() -> None:
    ground = slope()
    one, two = (drain_roofs(ground, standing(HOUSES, ground), "gutter", 1.0) for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.to_cell.tobytes() == two.to_cell.tobytes()


# ---------------------------------------------------------------- raising


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 2.0, 5.0]))
def test_every_wall_is_steeper_than_one_to_one(seed: int, size: float) -> None:
    random = np.random.default_rng(seed)
    ground = random.normal(0, 3, (24, 30))
    shapes = {name: shapely.affinity.scale(shape, size, size, origin=(0, 0)) for name, shape in HOUSES.items()}
    city = make_city(("Building", shapes, {"height": [0.5, 3.0, 9.0]}))
    domain = domain_from_city(city, terrain=raster(ground, size), **PLAIN)
    assert domain.rain_to is not None
    roof = np.zeros(ground.size, bool)
    roof[domain.rain_to[0]] = True
    z = domain.elevation.ravel()
    for cell in np.flatnonzero(roof).tolist():
        for there in beside(cell, ground.shape):
            if not roof[there]:
                assert (z[cell] - z[there]) / size > STEEP
    np.testing.assert_array_equal(z[~roof], ground.ravel()[~roof])
    assert (z[roof] >= ground.ravel()[roof] + 0.5).all()


def test_heights_come_from_the_model_and_what_is_assumed_is_named() -> None:
    city = make_city(("Building", HOUSES, {"height": [10.0, None, None], "storeys_above_ground": [2, 4, None]}))
    domain = domain_from_city(city, terrain=raster(np.zeros((24, 30))), **PLAIN)
    assert (domain.elevation[24 - 6, 6], domain.elevation[24 - 6, 12], domain.elevation[24 - 16, 22]) == (10.0, 12.0, 6.0)
    assert "1 buildings without a height: 3 m per storey assumed (B)" in domain.notes
    assert "1 buildings without height and storeys: 6 m assumed (C)" in domain.notes


def test_a_low_building_is_made_a_wall_and_named() -> None:
    city = make_city(("Building", HOUSES, {"height": [10.0, 10.0, 0.4]}))
    domain = domain_from_city(city, terrain=raster(np.zeros((24, 30))), **PLAIN)
    assert domain.elevation[24 - 16, 22] == pytest.approx(1.01)
    assert any("at least one cell size (1 m) higher" in note and "(C)" in note for note in domain.notes)


def test_the_higher_of_two_buildings_over_one_cell_counts() -> None:
    city = make_city(("Building", {"low": shapely.box(4, 4, 10, 10), "high": shapely.box(8, 4, 14, 10)}, {"height": [5.0, 20.0]}))
    domain = domain_from_city(city, terrain=raster(np.zeros((24, 30))), **PLAIN)
    assert domain.elevation[24 - 6, 8] == 20.0
    assert domain.elevation[24 - 6, 6] == 5.0
    assert domain.building_cells is not None
    assert np.bincount(domain.building_cells.shape).tolist() == [36, 36]  # both keep all of their cells


def test_walls_are_closed_and_their_rain_arrives_beside_them() -> None:
    city = make_city(("Building", HOUSES, {"height": [10.0] * 3}))
    domain = domain_from_city(city, terrain=raster(slope()), buildings="wall", **PLAIN)
    assert domain.rain_to is not None
    assert np.isnan(domain.elevation.ravel()[domain.rain_to[0]]).all()
    assert int(np.isnan(domain.elevation).sum()) == len(domain.rain_to[0])
    assert domain.faults() == []


def test_buildings_that_are_ignored_leave_the_ground_alone() -> None:
    city = make_city(("Building", HOUSES, {"height": [10.0] * 3}))
    domain = domain_from_city(city, terrain=raster(slope()), buildings="ignore", **PLAIN)
    np.testing.assert_array_equal(domain.elevation, slope())
    assert domain.rain_to is None
    assert "buildings are ignored" in domain.notes


def test_sheds_and_cellars_and_buildings_without_a_place_are_counted() -> None:
    shed, cellar = shapely.box(3.1, 3.1, 3.4, 3.4), shapely.box(5, 5, 9, 9)
    shapes = {"shed": shed, "cellar": cellar, "nowhere": None, "house": shapely.box(12, 12, 16, 16)}
    city = make_city(("Building", shapes, {"height": [3.0] * 4, "layer": [None, -1, None, None]}))
    domain = domain_from_city(city, terrain=raster(np.zeros((24, 30))), **PLAIN)
    assert int((domain.elevation > 0).sum()) == 16
    for said in ("1 buildings without a footprint are left out (nowhere)", "1 buildings below ground are left out (cellar)",
                 "1 buildings smaller than half a cell are left out (shed)"):  # fmt: skip
        assert said in domain.notes
