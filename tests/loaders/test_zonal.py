"""Statistics per footprint against obvious slow loops, and on the real roofs of Delft."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.crs import parse
from cim.errors import UsageError
from cim.loaders.zonal import (
    pairs_in_polygons,
    percentile_per_group,
    points_in_polygons,
    raster_percentile_in_polygons,
    sample_terrain_along_rings,
)
from cim.model.coverages import Raster

RD = parse("EPSG:7415")
whole = st.integers(0, 8)


def boxes() -> st.SearchStrategy[list[Any]]:
    """Boxes with whole corners, so that borders are shared and touched often; some are missing."""
    corner = st.tuples(whole, whole, st.integers(1, 4), st.integers(1, 4))
    return st.lists(st.one_of(st.none(), corner.map(lambda c: shapely.box(c[0], c[1], c[0] + c[2], c[1] + c[3]))), min_size=1, max_size=6)


def slow_owner(x: float, y: float, polygons: list[Any]) -> int:
    """The definition: the first polygon that the point is inside of, else the first whose border it is on."""
    point = shapely.Point(x, y)
    there = [i for i, one in enumerate(polygons) if one is not None]
    inside = [i for i in there if polygons[i].contains(point)]
    touched = [i for i in there if polygons[i].intersects(point)]
    return (inside or touched or [-1])[0]


@settings(max_examples=150, deadline=None)
@given(polygons=boxes(), points=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=1, max_size=30))
def test_every_point_has_the_owner_that_a_slow_loop_finds(polygons: list[Any], points: list[tuple[int, int]]) -> None:
    x, y = np.array(points).T / 2.0  # half of them on borders and corners
    assert points_in_polygons(x, y, polygons).tolist() == [slow_owner(a, b, polygons) for a, b in zip(x, y, strict=True)]


@settings(max_examples=100, deadline=None)
@given(polygons=boxes(), points=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=1, max_size=30))
def test_pairs_hold_every_polygon_a_point_is_inside_of(polygons: list[Any], points: list[tuple[int, int]]) -> None:
    x, y = np.array(points).T / 2.0
    expected = []
    for number, (a, b) in enumerate(zip(x, y, strict=True)):
        inside = [i for i, one in enumerate(polygons) if one is not None and one.contains(shapely.Point(a, b))]
        owner = slow_owner(a, b, polygons)
        expected += [(number, i) for i in inside] or ([(number, owner)] if owner >= 0 else [])
    found = pairs_in_polygons(x, y, polygons)
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == expected


def test_a_point_on_a_shared_wall_belongs_to_one_house_only() -> None:
    houses = [shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]
    assert points_in_polygons([1.0], [0.5], houses).tolist() == [0]
    assert points_in_polygons([1.0], [0.5], houses[::-1]).tolist() == [0], "the first in the given order, deterministically"


def test_holes_and_parts_of_multipolygons_count() -> None:
    ring = shapely.box(0, 0, 4, 4) - shapely.box(1, 1, 3, 3)
    two = shapely.MultiPolygon([shapely.box(1.5, 1.5, 2, 2), shapely.box(8, 8, 9, 9)])
    assert points_in_polygons([0.5, 1.7, 2.5, 8.5], [0.5, 1.7, 2.5, 8.5], [ring, two]).tolist() == [0, 1, -1, 1]


def test_nothing_lies_in_nothing() -> None:
    assert points_in_polygons([1.0, np.nan], [1.0, 1.0], [None, shapely.Polygon(), shapely.Point(1, 1)]).tolist() == [-1, -1]
    assert points_in_polygons([1.0], [1.0], []).tolist() == [-1]
    assert points_in_polygons([np.nan], [1.0], [shapely.box(0, 0, 2, 2)]).tolist() == [-1]


def test_more_points_than_a_batch_are_all_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cim.loaders.zonal._BATCH", 7)
    x = np.linspace(-1, 5, 50)
    houses = [shapely.box(i, 0, i + 1, 1) for i in range(4)]
    assert points_in_polygons(x, np.full(50, 0.5), houses).tolist() == [slow_owner(a, 0.5, houses) for a in x]


# ---------------------------------------------------------------- percentiles


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-1, 4), st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))), max_size=40),
    q=st.one_of(st.floats(0, 100), st.sampled_from([0.0, 10.0, 50.0, 90.0, 100.0])),
    method=st.sampled_from(["linear", "lower", "higher"]),
)
def test_percentiles_are_those_of_numpy_for_each_group_alone(rows: list[tuple[int, float]], q: float, method: str) -> None:
    group, value = np.array([r[0] for r in rows], int), np.array([r[1] for r in rows], float)
    found = percentile_per_group(value, group, q, 5, method=method)
    for number in range(5):
        mine = value[(group == number) & ~np.isnan(value)]
        expected = np.percentile(mine, q, method=method) if len(mine) else np.nan  # type: ignore[call-overload]
        np.testing.assert_allclose(found[number], expected, rtol=1e-13, atol=1e-9)  # rounding of 1e6 by one or two ulps


@pytest.mark.parametrize(("q", "method"), [(101.0, "linear"), (-1.0, "linear"), (50.0, "median")])
def test_percentiles_that_make_no_sense_are_refused(q: float, method: str) -> None:
    with pytest.raises(UsageError, match="expected 0 <= q <= 100"):
        percentile_per_group([1.0], [0], q, 1, method=method)


def test_a_group_beyond_the_last_is_refused() -> None:
    with pytest.raises(UsageError, match="groups below 2"):
        percentile_per_group([1.0], [2], 50.0, 2)


# ---------------------------------------------------------------- rasters


def raster_of(values: Any) -> Raster:
    return Raster(np.asarray(values, float), x_min=0.0, y_max=10.0, dx=0.5, dy=0.5, crs=RD)


@settings(max_examples=80, deadline=None)
@given(polygons=boxes(), seed=st.integers(0, 1000), turn=st.floats(0, 90))
def test_cells_with_their_centre_inside_give_the_percentile(polygons: list[Any], seed: int, turn: float) -> None:
    random = np.random.default_rng(seed)
    raster = raster_of(np.where(random.random((20, 20)) < 0.2, np.nan, random.normal(size=(20, 20))))
    turned = [None if one is None else shapely.affinity.rotate(one, turn) for one in polygons] if turn else polygons
    found = raster_percentile_in_polygons(raster, turned, 90.0)
    x, y = (axis.ravel() for axis in np.meshgrid(raster.x, raster.y))
    for number, one in enumerate(turned):
        if one is None:
            assert np.isnan(found.values[number])
            continue
        inside = shapely.contains_xy(one, x, y)
        touched = shapely.intersects_xy(one, x, y)
        mine = raster.values.ravel()[inside & np.isfinite(raster.values.ravel())]
        if not (touched ^ inside).any():  # centres on a border are shared out, see points_in_polygons
            assert found.cells[number] == len(mine)
            if len(mine):
                np.testing.assert_allclose(found.values[number], np.percentile(mine, 90.0), atol=1e-12)


def test_a_polygon_without_a_cell_centre_is_sampled_and_counted() -> None:
    plane = raster_of(np.arange(20.0)[None, :] * np.ones((20, 1)))
    tiny = shapely.box(2.0, 2.0, 2.1, 2.1)
    found = raster_percentile_in_polygons(plane, [tiny, shapely.box(0, 0, 5, 5), shapely.box(50, 50, 51, 51)], 50.0)
    assert found.sampled.tolist() == [True, False, False]
    assert found.cells.tolist() == [0, 100, 0]
    np.testing.assert_allclose(found.values[0], (2.05 - 0.25) / 0.5, atol=1e-12)  # linear between the centres
    assert np.isnan(found.values[2]), "outside the raster"


def test_overlapping_polygons_each_have_all_their_cells() -> None:
    found = raster_percentile_in_polygons(raster_of(np.ones((20, 20))), [shapely.box(0, 0, 4, 4), shapely.box(1, 1, 2, 2)], 50.0)
    assert found.cells.tolist() == [64, 4]


def test_terrain_along_a_ring_is_its_lowest_even_between_corners() -> None:
    values = np.full((20, 20), 5.0)
    values[10, 8] = 1.0  # a pit at (4.25, 4.75), between the corners
    ground = raster_of(values)
    house = shapely.box(4.25, 2.25, 8.25, 8.25)
    assert sample_terrain_along_rings(ground, [house]).item() == pytest.approx(1.0, abs=1.0), "within half a cell of the pit"
    assert sample_terrain_along_rings(ground, [house]).item() < 4.0
    assert sample_terrain_along_rings(ground, [house], how="p50").item() == 5.0


def test_the_ground_of_a_house_on_a_slope_is_its_lowest_corner() -> None:
    slope = raster_of(0.1 * (np.arange(20.0) * 0.5 + 0.25)[None, :] * np.ones((20, 1)))
    yard = shapely.box(2, 2, 8, 8) - shapely.box(3, 3, 4, 4)
    two = shapely.MultiPolygon([shapely.box(6, 1, 7, 2), shapely.box(3, 6, 4, 7)])
    found = sample_terrain_along_rings(slope, [yard, None, two])
    np.testing.assert_allclose(found[[0, 2]], [0.2, 0.3], atol=1e-12)
    assert np.isnan(found[1])


def test_unknown_ways_along_a_ring_are_refused() -> None:
    with pytest.raises(UsageError, match="'mean', expected 'min' or a percentile"):
        sample_terrain_along_rings(raster_of(np.ones((2, 2))), [shapely.box(0, 9, 1, 10)], how="mean")


# ---------------------------------------------------------------- real roofs


def roof_of(record: dict[str, Any], vertices: np.ndarray[Any, Any]) -> float:
    numbers: list[int] = []
    stack: list[Any] = [geometry["boundaries"] for geometry in record["geometry"]]
    while stack:
        one = stack.pop()
        numbers.append(one) if isinstance(one, int) else stack.extend(one)
    return float(vertices[numbers, 2].max())


@pytest.mark.data
def test_the_90th_percentile_meets_the_published_roofs_of_delft(shared_data: Callable[..., Path]) -> None:
    """136 of 160 is the ceiling of every honest method here: the other references lie above or beside all points of their own."""
    import pyogrio

    from cim.loaders import read
    from cim.loaders.pointcloud import read_points

    delft = shared_data("city", "delft")
    _, _, wkb, columns = pyogrio.raw.read(delft / "bgt_pand.sqlite", columns=["gml_id"])
    houses = shapely.force_2d(shapely.from_wkb(wkb))
    model = json.loads((delft / "delft_3dfier_v1.0.city.json").read_text())
    vertices = np.array(model["vertices"], float)
    if "transform" in model:
        vertices = vertices * model["transform"]["scale"] + model["transform"]["translate"]
    published = np.array([roof_of(model["CityObjects"][name], vertices) for name in columns[0]])
    clouds = [read_points(read(delft / f"ahn3_cropped_{n}.laz", crs="EPSG:7415"), classes=[6]) for n in (1, 2)]
    assert sum(map(len, clouds)) == 280_065
    owner = np.concatenate([points_in_polygons(cloud.x, cloud.y, houses) for cloud in clouds])
    roof = percentile_per_group(np.concatenate([cloud.z for cloud in clouds]), owner, 90.0, len(houses))
    met = np.abs(roof - published) <= 0.5  # m, the bar of the reference
    large = shapely.area(houses) >= 25.0
    assert (met.sum(), len(met)) == (136, 160)
    assert (met[large].sum(), large.sum()) == (109, 114)
