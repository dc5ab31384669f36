"""The terrain on the cells of a flood model, and the repairs to it, against slow loops and ground whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import LimitError, UsageError
from cim.model.coverages import Raster
from cim.sim.cells import path_cells
from cim.sim.flood.channels import burn_underpasses
from cim.sim.flood.city_domain import domain_from_city
from cim.sim.flood.crossings import read_bridges, read_culverts, read_underpasses
from cim.sim.flood.decks import remove_decks
from cim.sim.flood.gaps import dilated, fill_gaps, smooth_fill
from cim.sim.flood.ground import resample
from tests.sim.flood.places import CRS, make_city, raster

NO_COVER: dict[str, Any] = {"roughness": 0.03, "infiltration": None}


# ---------------------------------------------------------------- cell size


def slow_mean(terrain: Raster, target: Raster) -> np.ndarray:
    """Return the mean over the known area of each target cell, one pair of cells at a time."""
    out = np.full(target.shape, np.nan)
    for i, y in enumerate(target.y):
        for j, x in enumerate(target.x):
            total = weight = 0.0
            for k, v in enumerate(terrain.y):
                for m, u in enumerate(terrain.x):
                    wide = min(x + target.dx / 2, u + terrain.dx / 2) - max(x - target.dx / 2, u - terrain.dx / 2)
                    high = min(y + target.dy / 2, v + terrain.dy / 2) - max(y - target.dy / 2, v - terrain.dy / 2)
                    value = terrain.values[k, m]
                    if wide > 1e-9 and high > 1e-9 and np.isfinite(value):
                        total, weight = total + wide * high * value, weight + wide * high
            if weight >= 0.5 * target.dx * target.dy - 1e-9:
                out[i, j] = total / weight
    return out


@settings(max_examples=25)
@given(st.sampled_from([1.5, 2.0, 2.5, 3.0, 7.0]), st.integers(3, 7), st.integers(3, 7), st.integers(0, 2**31))
def test_a_coarser_cell_is_the_mean_over_its_known_area(size: float, ny: int, nx: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(20, 5, (ny, nx))
    values[random.uniform(size=values.shape) < 0.2] = np.nan
    values[0, 0] = 1.0
    terrain = raster(values)
    found = resample(terrain, size)
    np.testing.assert_allclose(found.values, slow_mean(terrain, found), rtol=0, atol=1e-10)  # rounding of sums of tens of metres


def test_cells_of_the_same_size_keep_their_bits_and_stay_common_to_all_parts() -> None:
    values = np.random.default_rng(1).normal(0, 1, (20, 30)).astype(np.float64)
    terrain = raster(values, 2.0, west=1000.3)
    assert resample(terrain).values.tobytes() == values.tobytes()
    part = resample(terrain, 2.0, (1009.0, 7.0, 1031.0, 21.0))
    assert (part.x_min, part.y_max) == (1000.3 + 4 * 2.0, 22.0)
    np.testing.assert_array_equal(part.values, values[9:17, 4:16])


def test_what_lies_beyond_the_terrain_is_unknown() -> None:
    part = resample(raster(np.ones((4, 4))), 1.0, (-2.0, -1.0, 3.0, 2.0))
    assert part.shape == (3, 5)
    np.testing.assert_array_equal(np.isnan(part.values), np.array([[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1] * 5], bool))


@pytest.mark.parametrize("size", [0.5, 0.25, 0.7])
def test_finer_cells_lie_on_the_plane_between_the_middles(size: float) -> None:
    y, x = np.mgrid[0:6, 0:8] + 0.5
    terrain = raster(3 * x + 2 * (6 - y))
    found = resample(terrain, size)
    inner = (found.x > 0.5) & (found.x < 7.5), (found.y > 0.5) & (found.y < 5.5)
    expected = 3 * found.x[inner[0]][None, :] + 2 * found.y[inner[1]][:, None]
    np.testing.assert_allclose(found.values[np.ix_(inner[1], inner[0])], expected, atol=1e-12)


def test_cell_sizes_and_boxes_that_make_no_sense_are_refused() -> None:
    terrain = raster(np.ones((4, 4)))
    with pytest.raises(UsageError, match="resolution=-1"):
        resample(terrain, -1.0)
    with pytest.raises(UsageError, match="lies beside the terrain"):
        resample(terrain, 1.0, (10, 10, 20, 20))
    with pytest.raises(LimitError, match="larger resolution"):
        resample(terrain, 1e-4)
    with pytest.raises(UsageError, match="not square; give resolution="):
        resample(replace(terrain, dy=2.0))


# ---------------------------------------------------------------- gaps


def test_gaps_are_filled_with_the_plane_around_them() -> None:
    y, x = np.mgrid[0:30, 0:40]
    plane = 100 + 0.3 * x - 0.2 * y
    gap = np.zeros(plane.shape, bool)
    gap[5:12, 6:20], gap[15:28, 22:24], gap[14, 35] = True, True, True
    found, lost = smooth_fill(np.where(gap, np.nan, plane), gap, np.ones(plane.shape, bool))
    assert not lost.any()
    np.testing.assert_allclose(found, plane, atol=1e-6)  # a plane solves the discrete equation


def test_a_filled_gap_is_the_mean_of_its_neighbours_everywhere() -> None:
    random = np.random.default_rng(3)
    z = random.normal(5, 2, (25, 25))
    gap = np.zeros(z.shape, bool)
    gap[0:9, 3:9], gap[18:25, 18:25] = True, True  # two at the edge of the grid
    found, _ = smooth_fill(np.where(gap, np.nan, z), gap, np.ones(z.shape, bool))
    for row, column in np.argwhere(gap):
        places = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        beside = [found[i, j] for i, j in places if 0 <= i < 25 and 0 <= j < 25]
        assert found[row, column] == pytest.approx(np.mean(beside), abs=2e-6)  # results are rounded to 1e-6 m


def test_small_gaps_fill_large_ones_stay_walls_and_both_are_counted() -> None:
    z = np.full((30, 30), 4.0)
    z[2:4, 2:5], z[10:20, 10:20], z[25, 25] = np.nan, np.nan, np.nan
    none, level = np.zeros(z.shape, bool), np.full(z.shape, np.nan)
    done = fill_gaps(z, ~none, buildings=none, water=none, water_level=level, cell=2.0, largest=50.0)
    assert done.notes == (
        "7 cells without elevation in 2 gaps filled, the largest 6 cells (24 m²)",
        "100 cells in 1 gaps above 50 m² without elevation are walls, the largest 400 m²",
    )
    assert np.isnan(done.elevation).sum() == 100
    assert np.nanmax(np.abs(done.elevation - 4.0)) < 1e-6


def test_large_gaps_in_waters_take_the_stated_level_or_the_lowest_bank() -> None:
    z = np.full((20, 40), 5.0)
    z[:, 3:9], z[:, 23:29] = np.nan, np.nan
    z[7, 22] = 3.5
    water = np.isnan(z)
    level = np.full(z.shape, np.nan)
    level[:, 3:9] = 2.0
    none = np.zeros(z.shape, bool)
    done = fill_gaps(z, ~none, buildings=none, water=water, water_level=level, cell=1.0, largest=10.0)
    assert (done.elevation[:, 3:9] == 2.0).all()
    assert (done.elevation[:, 23:29] == 3.5).all()
    assert "120 cells of waters without elevation take the water level of the model as their bed" in done.notes
    assert "120 cells of waters without elevation take the lowest ground at their rim as their bed, assumed" in done.notes


def test_ground_under_buildings_is_filled_whatever_the_size_of_the_gap() -> None:
    z = np.full((30, 30), 7.0)
    z[5:25, 5:25] = np.nan
    building = np.isnan(z)
    none = np.zeros(z.shape, bool)
    done = fill_gaps(z, ~none, buildings=building, water=none, water_level=np.full(z.shape, np.nan), cell=1.0, largest=1.0)
    np.testing.assert_allclose(done.elevation, 7.0, atol=1e-9)
    assert done.notes == ("400 cells without elevation under buildings filled from the ground around",)


# ---------------------------------------------------------------- paths


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0.1, 19.9), st.floats(0.1, 14.9)), min_size=2, max_size=5, unique=True))
def test_a_path_is_one_chain_of_cells_with_common_edges(points: list[tuple[float, float]]) -> None:
    line = shapely.linestrings(points)
    ground = raster(np.zeros((15, 20)))
    path = path_cells(np.array([line], object), ground)
    row, column = path.cell // 20, path.cell % 20
    steps = np.abs(np.diff(row)) + np.abs(np.diff(column))
    assert steps.max(initial=0) <= 1
    assert (np.diff(path.share) >= 0).all()
    for at, (x, y) in ((0, points[0]), (-1, points[-1])):
        assert (column[at], row[at]) == (int(x), int(15 - y))


# ---------------------------------------------------------------- decks


def valley(slope: float = 0.0) -> np.ndarray:
    """Return a river bed that runs north to south between banks, 40 × 60 cells of 1 m; it falls southwards."""
    y, x = np.mgrid[0:40, 0:60]
    return np.asarray(np.clip(np.abs(x - 29.5) / 3 - 2, 0, 4) + 10 - slope * y)


@pytest.mark.parametrize(
    ("kind", "says"), [("Bridge", {}), ("Road", {"bridge": ["yes"], "width": [8.0]}), ("Road", {"layer": [1], "width": [8.0]})]
)
@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_a_deck_in_the_terrain_is_taken_off_to_the_ground_below(kind: str, says: dict[str, list[Any]], slope: float) -> None:
    truth = valley(slope)
    with_deck = truth.copy()
    with_deck[16:24, 8:52] = 14.2
    shape = shapely.box(8, 16, 52, 24) if kind == "Bridge" else shapely.linestrings([(8, 20), (52, 20)])
    city = make_city((kind, {"B1": shape}, says))
    ground = raster(with_deck)
    found, notes = remove_decks(ground, read_bridges(city, ground.bounds))
    assert np.abs(found - truth).max() <= 0.5 + 1e-9  # at its ends a deck less than half a metre above the ground counts as ground
    assert np.abs(found - truth)[:, 15:45].max() < 1e-9  # the bed falls evenly: the straight line between both sides is the truth
    assert notes[0].startswith("1 bridge decks taken off the terrain")
    assert "(B1)" in notes[0]


def test_a_bridge_over_terrain_without_its_deck_changes_nothing() -> None:
    truth = valley(0.01)
    city = make_city(("Bridge", {"B1": shapely.box(8, 16, 52, 24)}, {}))
    found, notes = remove_decks(raster(truth), read_bridges(city, (0, 0, 60, 40)))
    np.testing.assert_array_equal(found, truth)
    assert notes == ["1 bridges stand over terrain that holds no deck (B1)"]


def test_a_wide_short_bridge_is_taken_off_across_the_river_it_spans() -> None:
    y, x = np.mgrid[0:60, 0:60]
    truth = np.where(np.abs(x - 30) < 5, 8.0, 12.0) + 0.0 * y
    with_deck = truth.copy()
    with_deck[10:50, 23:38] = 12.0  # 40 m along the river, 15 m across: its long side is not the way over it
    city = make_city(("Bridge", {"B1": shapely.box(23, 10, 38, 50)}, {}))
    found, _ = remove_decks(raster(with_deck), read_bridges(city, (0, 0, 60, 60)))
    np.testing.assert_allclose(found, truth, atol=1e-9)


def test_two_decks_side_by_side_do_not_serve_as_each_others_ground() -> None:
    truth = valley()
    with_decks = truth.copy()
    with_decks[14:26, 10:50] = 14.5
    shapes = {"east": shapely.box(10, 14, 50, 20), "west": shapely.box(10, 20, 50, 26)}
    found, notes = remove_decks(raster(with_decks), read_bridges(make_city(("Bridge", shapes, {})), (0, 0, 60, 40)))
    assert np.abs(found - truth)[:, 15:45].max() < 1e-9
    assert notes[0].startswith("2 bridge decks")


# ---------------------------------------------------------------- culverts


def flows(z: np.ndarray, start: tuple[int, int], end: tuple[int, int], level: float) -> bool:
    """Say whether water at a level gets from one cell to another through cells that share an edge."""
    from scipy import ndimage

    label, _ = ndimage.label(z <= level)
    return bool(label[start] == label[end] != 0)


def embankment() -> np.ndarray:
    y, x = np.mgrid[0:30, 0:50]
    z = 5.0 + 0.5 * np.abs(y - 15) - 0.02 * x
    z[:, 22:28] = 12.0
    return np.asarray(z)


@pytest.mark.parametrize(("type", "attributes"), [
    ("WaterBody", {"tunnel": ["culvert"]}), ("WaterBody", {"tunnel": ["yes"]}), ("GenericOccupiedSpace", {"class": ["排水涵管"]}),
    ("OtherConstruction", {"bgt_type": ["duiker"]}),
])  # fmt: skip
@pytest.mark.parametrize("line", [[(21.6, 14.4), (28.4, 14.9)], [(20.4, 11.3), (29.7, 17.2)]])
def test_water_gets_through_an_embankment_with_a_culvert(type: str, attributes: dict[str, Any], line: list[tuple[float, float]]) -> None:
    city = make_city((type, {"C1": shapely.linestrings(line)}, attributes))
    domain = domain_from_city(city, terrain=raster(embankment()), **NO_COVER)
    before, after = embankment(), domain.elevation
    assert not flows(before, (15, 2), (15, 48), 11.0)
    assert flows(after, (15, 2), (15, 48), 6.5)
    assert (after <= before).all()
    assert any("1 culverts breached between the levels of the terrain at their ends (C1)" in note for note in domain.notes)


def test_a_culvert_with_levels_in_the_model_gets_them() -> None:
    line = shapely.linestrings([(20.5, 14.5), (29.5, 14.5)])
    given_levels: dict[str, list[Any]] = {"class": ["culvert"], "upstream_invert_level": [4.0], "downstream_invert_level": [3.0]}
    city = make_city(("GenericOccupiedSpace", {"C1": line}, given_levels))
    domain = domain_from_city(city, terrain=raster(embankment()), **NO_COVER)
    np.testing.assert_allclose(domain.elevation[15, 20:30], np.linspace(4, 3, 10), atol=0.06)  # half a sample of a quarter cell
    assert any("at the levels of the model (C1)" in note for note in domain.notes)
    unknown = replace(raster(embankment()), crs=raster([[0.0]], crs="EPSG:4549").crs)
    told = domain_from_city(city, terrain=unknown, **NO_COVER).notes
    assert "elevations of objects are not used: the height systems of city and terrain differ or are unknown" in told


def test_plain_drains_are_no_culverts_and_long_ones_are_left_alone() -> None:
    shapes = {"pipe": shapely.linestrings([(1, 5), (40, 5)]), "long": shapely.linestrings([(1, 10), (400, 10)])}
    city = make_city(("GenericOccupiedSpace", shapes, {"class": ["雨水", "culvert"]}))
    domain = domain_from_city(city, terrain=raster(embankment()), **NO_COVER)
    np.testing.assert_array_equal(domain.elevation, embankment())
    assert "1 culverts longer than 200 m are left alone (long)" in domain.notes


# ---------------------------------------------------------------- underpasses


def dip(depth: float, *, covered: bool) -> np.ndarray:
    """Return a street 8 m wide that dips under another, south to north; 60 × 40 cells of 1 m, ground at 10 m."""
    y, x = np.mgrid[0:60, 0:40]
    away = np.abs(y - 29.5)
    road = np.abs(x - 19.5) < 4
    z = np.where(road, 10 - depth * np.clip((28 - away) / 20, 0, 1), 10.0)
    return np.where(covered & (away < 5), 10.0, z)


def underpass(line: list[tuple[float, float]], **attributes: list[Any]) -> Any:
    return make_city(("Road", {"U1": shapely.linestrings(line)}, {"width": [8.0], **attributes}))


def test_an_underpass_closed_in_the_terrain_is_opened_to_the_depth_of_its_ramps() -> None:
    truth, given_ground = dip(5.0, covered=False), dip(5.0, covered=True)
    for said in ({"tunnel": ["yes"]}, {"layer": [-1]}, {"tunnel": ["yes"], "layer": [-1]}):
        city = underpass([(20, 22), (20, 38)], **said)
        domain = domain_from_city(city, terrain=raster(given_ground), **NO_COVER)
        np.testing.assert_allclose(domain.elevation, truth, atol=0.05)  # the ground a cell outside lies on the ramp
        assert "1 underpasses burned in between the levels of the terrain at their ends (U1)" in domain.notes


def test_an_underpass_that_lies_open_stays_as_it_is() -> None:
    domain = domain_from_city(underpass([(20, 12), (20, 48)], tunnel=["yes"]), terrain=raster(dip(5.0, covered=False)), **NO_COVER)
    np.testing.assert_array_equal(domain.elevation, dip(5.0, covered=False))
    assert "1 underpasses lie open in the terrain already (U1)" in domain.notes
    assert domain.open_ways == ("U1",)


def test_an_underpass_of_which_nothing_shows_gets_a_marked_clearance() -> None:
    domain = domain_from_city(underpass([(20, 22), (20, 38)], tunnel=["yes"]), terrain=raster(np.full((60, 40), 10.0)), **NO_COVER)
    floor = domain.elevation[25:35, 18:22]
    np.testing.assert_allclose(floor, 5.5)
    assert (domain.elevation[:, :14] == 10).all()
    assert "1 underpasses burned in with an assumed clearance of 4.5 m, without ramps (U1)" in domain.notes
    lower = domain_from_city(
        underpass([(20, 22), (20, 38)], tunnel=["yes"]), terrain=raster(np.full((60, 40), 10.0)), clearance=3.5, **NO_COVER
    )
    assert lower.elevation.min() == 6.5


def test_an_underpass_in_two_stretches_is_one() -> None:
    shapes = {"a": shapely.linestrings([(20, 22), (20, 30)]), "b": shapely.linestrings([(20, 38), (20, 30)])}
    city = make_city(("Road", shapes, {"tunnel": ["yes", "yes"], "width": [8.0, 8.0]}))
    domain = domain_from_city(city, terrain=raster(dip(5.0, covered=True)), **NO_COVER)
    np.testing.assert_allclose(domain.elevation, dip(5.0, covered=False), atol=0.05)
    assert "1 underpasses burned in between the levels of the terrain at their ends (a + b)" in domain.notes
    assert domain.open_ways == ("a", "b")


def test_deep_long_and_branching_tunnels_are_left_alone() -> None:
    shapes = {
        "deep": shapely.linestrings([(5, 5), (35, 5)]), "long": shapely.linestrings([(5, 10), (300, 10)]),
        "x": shapely.linestrings([(5, 40), (20, 40)]), "y": shapely.linestrings([(20, 40), (35, 40)]),
        "z": shapely.linestrings([(20, 40), (20, 55)]),
    }  # fmt: skip
    city = make_city(("Road", shapes, {"tunnel": ["yes"] * 5, "layer": [-3, -1, -1, -1, -1], "width": [6.0] * 5}))
    ground = raster(np.full((60, 40), 10.0))
    ways, said = read_underpasses(city, ground.bounds, levels=False)
    opened: set[str] = set()
    values, cut, notes = burn_underpasses(ground, ways, clearance=4.5, opened=opened)
    assert opened == set()
    assert (values == 10).all()
    assert not cut.any()
    assert said == ["1 ways more than one layer down are left alone (deep)"]
    assert "1 underpasses longer than 200 m are left alone (long)" in notes
    assert any("part of a branching tunnel" in note for note in notes)


def test_links_say_what_their_object_does_not() -> None:
    from cim.model import CityBuilder

    builder = CityBuilder(CRS)
    line = shapely.linestrings([(20, 2), (20, 22), (20, 38), (20, 58)])
    keys = builder.add_objects("Road", ["R1"], footprints=np.array([line], object))
    builder.add_links(keys, "road", ["n1"], ["n2"], attributes=['{"vertices":[1,2],"tunnel":"yes","lanes":2}'])
    city = builder.build()
    ways, _ = read_underpasses(city, (0, 0, 40, 60), levels=False)
    assert ways.ids.tolist() == ["R1"]
    assert shapely.get_coordinates(ways.shapes).tolist() == [[20, 22], [20, 38]]
    assert ways.width.tolist() == [7.0]


def test_a_passage_keeps_a_building_open_and_digs_nothing() -> None:
    way = shapely.linestrings([(0, 15), (30, 15)])
    city = make_city(
        ("Building", {"H": shapely.box(10, 5, 20, 25)}, {"height": [9.0]}),
        ("Road", {"P": way}, {"tunnel": ["building_passage"], "width": [3.0]}),
    )
    domain = domain_from_city(city, terrain=raster(np.zeros((30, 30))), **NO_COVER)
    assert (domain.elevation[14:16] == 0).all()
    assert domain.elevation[10, 15] == 9.0
    assert "1 passages through buildings are kept open (P)" in domain.notes


def test_culverts_under_buildings_stay_open() -> None:
    city = make_city(
        ("Building", {"H": shapely.box(10, 5, 20, 25)}, {"height": [9.0]}),
        ("WaterBody", {"C": shapely.linestrings([(9, 14.5), (21, 14.5)])}, {"tunnel": ["culvert"]}),
    )
    domain = domain_from_city(city, terrain=raster(np.zeros((30, 30))), **NO_COVER)
    assert flows(domain.elevation, (15, 2), (15, 28), 0.0)
    assert any("cells of buildings stay open for culverts" in note for note in domain.notes)


def test_repairs_that_are_switched_off_change_nothing() -> None:
    shapes = {"C": shapely.linestrings([(20.4, 14.4), (29.4, 14.9)])}
    city = make_city(("WaterBody", shapes, {"tunnel": ["culvert"]}))
    off = domain_from_city(city, terrain=raster(embankment()), culverts="keep", underpasses="keep", decks="keep", **NO_COVER)
    np.testing.assert_array_equal(off.elevation, embankment())
    assert not len(read_culverts(make_city(("WaterBody", shapes, {"tunnel": ["no"]})), (0, 0, 50, 30), levels=True))


def test_dilated_reaches_over_edges_and_corners() -> None:
    one = np.zeros((5, 5), bool)
    one[2, 2] = True
    assert dilated(one).sum() == 5
    assert dilated(one, corners=True).sum() == 9


# ---------------------------------------------------------------- real ground


def test_bridges_of_delft_come_off_its_terrain(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import fuse, read

    folder = shared_data("city", "delft")
    city = fuse([read(folder / "delft_v2.0.city.json"), read(folder / "dtm_05m_gaps.tif")])
    domain = domain_from_city(city, resolution=1.0)
    assert any(note.startswith("3 bridge decks taken off the terrain") for note in domain.notes)
    bridge = city.footprints(city.keys("Bridge"))
    x, y = np.meshgrid(domain.grid.x, domain.grid.y)
    under = np.zeros(domain.shape, bool)
    for shape in bridge:
        under |= shapely.contains_xy(shape, x, y)
    assert under.sum() > 100
    water = city.table("WaterBody")["z_ground"]
    assert np.nanmedian(domain.elevation[under]) < float(water.max()) + 0.5  # most of what the decks span is canal
