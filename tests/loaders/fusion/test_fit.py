"""Outlines without a place among known footprints: found, ambiguous or unknown, and never wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders.fusion.fit import Fit, fit_outline, place_by_footprints
from cim.model import City, CityBuilder
from cim.model.geometry import boundaries_from, vertices_from
from cim.model.place import placed

NOISE = 0.05  # m, of every vertex in east and north
EAVES = 0.3  # m
ROUNDED = 1e-6  # m: coordinates of 5e5 m hold 1e-10, a turn and a sum of them a little less

L_SHAPE = shapely.Polygon([(0, 0), (20, 0), (20, 8), (9, 8), (9, 15), (0, 15)])


def turned(shape: Any, degrees: float, east: float, north: float) -> Any:
    """Return a shape turned about the origin and shifted."""
    angle = math.radians(degrees)
    motion = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return shapely.transform(shape, lambda points: points @ motion.T + [east, north])


def street() -> list[Any]:
    """Return buildings of different shapes and sizes, the L-shape as number 2."""
    return [
        shapely.box(100, 0, 112, 9),
        shapely.box(130, 0, 140, 18.5),
        turned(L_SHAPE, 37.0, 500.0, 300.0),
        shapely.box(200, 0, 216, 15.4),
        shapely.Polygon([(300, 0), (318, 0), (318, 14), (312, 14), (312, 20), (300, 20)]),
    ]


def as_modelled(footprint: Any, rng: np.random.Generator) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return an outline as a model would have it, with eaves and noise, in its own frame; a point there and its place."""
    shape = shapely.buffer(shapely.force_2d(footprint), EAVES, join_style="mitre", mitre_limit=3.0)
    points = shapely.get_coordinates(shapely.get_exterior_ring(shapely.get_parts(shape)[0]))[:-1]
    place = points.mean(axis=0)
    points = points + rng.normal(0.0, NOISE, points.shape) - place
    angle = rng.uniform(0.0, math.tau)
    motion = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = rng.uniform(-500.0, 500.0, 2)
    return shapely.Polygon(points @ motion.T + shift), shift, place


def test_a_distinct_building_is_found_with_its_motion() -> None:
    fit = fit_outline(turned(L_SHAPE, -50.0, 7.0, -3.0), street())
    assert (fit.verdict, fit.candidate) == ("found", 2)
    assert fit.matrix is not None
    corner = fit.matrix @ np.array([7.0, -3.0, 1.0])
    # 0.05 m: the search ends at steps of 1 cm at the rim
    assert np.hypot(corner[0] - 500.0, corner[1] - 300.0) < 0.05
    assert math.degrees(math.atan2(fit.matrix[1, 0], fit.matrix[0, 0])) == pytest.approx(87.0, abs=0.2)  # 5 cm at 15 m


def test_eaves_are_found_as_an_offset() -> None:
    fit = fit_outline(shapely.buffer(L_SHAPE, EAVES, join_style="mitre"), street())
    assert fit.verdict == "found"
    assert fit.offset == pytest.approx(-EAVES, abs=0.02)  # areas between the steps of 0.1 m are interpolated


def test_two_equal_buildings_are_ambiguous() -> None:
    fit = fit_outline(L_SHAPE, [*street(), turned(L_SHAPE, 5.0, 800.0, 0.0)])
    assert fit.verdict == "ambiguous"
    assert {fit.candidate, fit.alternatives[0][0]} == {2, 5}


def test_a_rectangle_needs_a_known_north() -> None:
    outline = shapely.box(-8, -7.7, 8, 7.7)
    assert fit_outline(outline, street()).verdict == "ambiguous"
    assert "no north is known" in fit_outline(outline, street()).reason
    fit = fit_outline(outline, street(), rotation=0.0)
    assert (fit.verdict, fit.candidate) == ("found", 3)


def test_a_building_of_another_size_is_unknown() -> None:
    fit = fit_outline(shapely.box(0, 0, 80, 60), street())
    assert (fit.verdict, fit.candidate, fit.matrix) == ("unknown", None, None)
    assert "no footprint of like size" in fit.reason


def test_a_rough_position_leaves_out_what_lies_elsewhere() -> None:
    candidates = [*street(), turned(L_SHAPE, 5.0, 800.0, 0.0)]
    middle = shapely.centroid(candidates[5])
    fit = fit_outline(L_SHAPE, candidates, near=(middle.x + 5.0, middle.y, 10.0))
    assert (fit.verdict, fit.candidate) == ("found", 5)


def test_heights_break_a_tie_and_never_veto() -> None:
    candidates = [*street(), turned(L_SHAPE, 5.0, 800.0, 0.0)]
    heights = [None, 5.0, 9.0, 5.0, None, 30.0]
    assert fit_outline(L_SHAPE, candidates, height=9.0, candidate_heights=heights, may_be_absent=False).candidate == 2
    alone = fit_outline(L_SHAPE, street(), height=50.0, candidate_heights=[3.0] * 5)
    assert (alone.verdict, alone.candidate) == ("found", 2)


def test_an_outline_without_area_is_refused() -> None:
    with pytest.raises(UsageError, match="no area"):
        fit_outline(shapely.LineString([(0, 0), (5, 0)]), street())
    with pytest.raises(UsageError, match="1 heights for 5 candidates"):
        fit_outline(L_SHAPE, street(), height=3.0, candidate_heights=[3.0])


def test_missing_and_broken_candidates_are_passed_over() -> None:
    bow = shapely.Polygon([(0, 0), (20, 15), (20, 0), (0, 15)])
    fit = fit_outline(L_SHAPE, [None, bow, shapely.Polygon(), *street()])
    assert (fit.verdict, fit.candidate) == ("found", 5)


def _trial(shapes: np.ndarray, rng: np.random.Generator, *, absent: bool) -> tuple[Fit, bool, bool]:
    """Return the fit of one random footprint, whether it is right, and whether it is at least 100 m2."""
    chosen = int(rng.integers(len(shapes)))
    outline, there, place = as_modelled(shapes[chosen], rng)
    candidates = shapes.copy()
    if absent:
        candidates[chosen] = None
    fit = fit_outline(outline, candidates)
    at = fit.matrix @ np.array([*there, 1.0]) if fit.matrix is not None else np.full(3, np.inf)
    right = fit.candidate == chosen and bool(np.hypot(*(at[:2] - place)) < 0.5)  # m: half a metre is a tenth of the smallest house
    return fit, right, bool(shapely.area(shapes[chosen]) >= 100.0)


@pytest.mark.data
@pytest.mark.parametrize("seed", [101])  # each takes about 4 s of processor time; ten seeds were tried
def test_of_40_random_footprints_a_quarter_is_found_and_none_wrong(seed: int, shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    known = read(shared_data("city", "delft", "bgt_pand.sqlite"))
    shapes = np.array(known.footprints(), object)
    rng = np.random.default_rng(seed)
    trials = [_trial(shapes, rng, absent=False) for _ in range(40)]
    found = [(fit, right) for fit, right, _ in trials if fit.verdict == "found"]
    assert len(found) >= 10
    assert all(right for _, right in found)
    # A large building is found, or its footprint is: one of the seven is a rectangle, which fits turned by 180 degrees too.
    assert all(fit.verdict == "found" or "fits turned too" in fit.reason for fit, _, large in trials if large)
    assert all(fit.alternatives or fit.candidate is not None for fit, _, _ in trials if fit.verdict != "found")


@pytest.mark.data
@pytest.mark.parametrize("seed", [101])  # each takes about 4 s of processor time; ten seeds were tried
def test_of_40_footprints_that_are_absent_none_is_found(seed: int, shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    known = read(shared_data("city", "delft", "bgt_pand.sqlite"))
    shapes = np.array(known.footprints(), object)
    rng = np.random.default_rng(seed)
    assert all(_trial(shapes, rng, absent=True)[0].verdict != "found" for _ in range(40))


# --- whole cities -------------------------------------------------------------------------------------------------------


def model(shape: Any, crs: str = "local") -> City:
    """Return a model with one building, a wall as geometry and a tree as instance."""
    builder = CityBuilder(crs, name="office")
    keys = builder.add_objects("Building", ["b"], footprints=[shape], z_ground=[0.0], z_roof=[9.0])
    corner = np.array(shape.exterior.coords[0])
    wall = np.array([[*corner, 0.0], [*corner, 9.0], [corner[0] + 1.0, corner[1], 9.0]])
    builder.add_geometries(
        keys, lod="2", role="multi_surface", type="MultiSurface", vertices=vertices_from(wall, [3]),
        boundaries=boundaries_from([0, 1, 2], [3], [1], [1], [1], [1]),
    )  # fmt: skip
    triangle = boundaries_from([0, 1, 2], [3], [1], [1], [1], [1])
    template = builder.add_templates(lod="3", role="mesh", type="MultiSurface", vertices=vertices_from(np.eye(3), [3]), boundaries=triangle)
    matrix = np.eye(4)
    matrix[:2, 3] = corner
    builder.add_instances(keys, templates=template, matrices=matrix[None], lod="3", role="mesh", type="MultiSurface")
    builder.add_properties(keys, "georeference", ["verdict"], ["unknown"])
    return builder.build()


def register(shapes: list[Any], crs: str = "EPSG:7415") -> City:
    """Return a city of footprints 85 km east and 447 km north, ground at 1.5 m."""
    builder = CityBuilder(crs, name="register")
    there = [turned(shape, 0.0, 85000.0, 447000.0) for shape in shapes]
    builder.add_objects("Building", [f"r{i}" for i in range(len(there))], footprints=there, z_ground=[1.5] * len(there))
    return builder.build()


def verdict_of(city: City) -> dict[str, str]:
    """Return the properties of the set georeference."""
    rows = city.tables["properties"]
    return dict(zip(rows["name"].to_pylist(), rows["value"].to_pylist(), strict=True))


def test_a_model_is_put_on_its_footprint_with_everything_it_has() -> None:
    moved = place_by_footprints(model(L_SHAPE), register(street()))
    assert moved.crs.to_string() == "EPSG:7415"
    target = turned(street()[2], 0.0, 85000.0, 447000.0)
    own = moved["b"].footprint
    assert own.intersection(target).area / own.union(target).area > 0.99  # the search ends at 1 cm on 20 m
    explicit = moved.geometry_table()
    for row in range(2):
        points = np.array(explicit["vertices"][row].as_py()) + moved.origin
        assert shapely.distance(shapely.Point(points[0][:2]), target) < 1.5  # m: wall and instance start at a corner
    said = verdict_of(moved)
    assert (said["verdict"], said["matched_object"], said["stated_verdict"]) == ("matched", "r2", "unknown")
    assert moved.tables["objects"]["z_ground"][0].as_py() == pytest.approx(1.5)
    assert "placed by footprints" in " ".join(moved.issues["message"])


def test_a_model_that_fits_twice_stays_and_names_its_candidates() -> None:
    city = model(L_SHAPE)
    same = place_by_footprints(city, register([*street(), turned(L_SHAPE, 5.0, 800.0, 0.0)]))
    assert same.crs.is_local
    assert same["b"].footprint.equals(city["b"].footprint)
    text = " ".join(same.issues["message"])
    assert "not placed by footprints (ambiguous)" in text
    assert "r2" in text
    assert "r5" in text


def test_a_model_without_a_building_stays() -> None:
    builder = CityBuilder("local")
    builder.add_objects("Road", ["r"], footprints=[L_SHAPE])
    assert "no Building with a footprint" in " ".join(place_by_footprints(builder.build(), register(street())).issues["message"])


def test_footprints_in_local_coordinates_are_refused() -> None:
    with pytest.raises(UsageError, match="local coordinates themselves"):
        place_by_footprints(model(L_SHAPE), model(L_SHAPE))


def test_a_motion_there_and_back_changes_nothing() -> None:
    city = model(L_SHAPE)
    angle = math.radians(33.0)
    motion = np.eye(4)
    motion[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    motion[:3, 3] = 85000.0, 447000.0, 2.5
    there = placed(city, motion, "EPSG:28992")
    back = placed(there, np.linalg.inv(motion), "local")
    for name in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax"):
        value = [one.tables["objects"]["bbox"][0].as_py()[name] for one in (city, back)]
        assert value[1] == pytest.approx(value[0], abs=ROUNDED)
    points = [np.concatenate([np.array(row.as_py()) for row in one.geometry_table()["vertices"]]) + one.origin for one in (city, back)]
    assert np.abs(points[0] - points[1]).max() < ROUNDED
    box = there.tables["objects"]["bbox"][0].as_py()
    assert box["zmin"] == pytest.approx(2.5)


def test_a_motion_that_tips_the_city_is_refused() -> None:
    tipped = np.eye(4)
    tipped[2, 0] = 0.1
    with pytest.raises(UsageError, match="tips or mirrors"):
        placed(model(L_SHAPE), tipped, "EPSG:28992")
