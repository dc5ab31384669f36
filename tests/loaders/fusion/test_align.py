"""Shifts that are known, layers that have none, and the coordinates of web maps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from shapely.affinity import rotate

from cim.crs import parse, transform_geometries, wgs84_to_bd09, wgs84_to_gcj02
from cim.errors import UsageError
from cim.loaders.fusion import find_shift, from_bd09, from_gcj02, fuse, match_cities
from cim.loaders.fusion.align import NEAR, Marks, marks_of, vote
from cim.model import City, CityBuilder, SourceRecord

MEASURED = 0.05  # m: what the issue asks for; half-metre noise on a hundred centres leaves less
EXACT = 1e-3  # m: undoing the shift of a web map, at the ends of long edges too
CRS = "EPSG:4549+5737"


def layer(name: str, shapes: Any, *, crs: str = CRS, type: str = "Building") -> City:
    builder = CityBuilder(crs, name=name)
    source = builder.add_source(SourceRecord(name))
    builder.add_objects(type, [f"{name}{n}" for n in range(len(shapes))], footprints=np.asarray(shapes, object), source=source)
    return builder.build()


def town(count: int, seed: int = 1) -> NDArray[Any]:
    """Return houses of many sizes at random places, none on another."""
    chance = np.random.default_rng(seed)
    cell = np.stack(np.meshgrid(np.arange(40), np.arange(40)), -1).reshape(-1, 2)[chance.permutation(1600)[:count]]
    corner = np.array([500000.0, 3460000.0]) + cell * 30.0 + chance.uniform(0, 10, (count, 2))
    size = chance.uniform(5, 19, (count, 2))
    return np.asarray(shapely.box(corner[:, 0], corner[:, 1], *(corner + size).T))


def again(shapes: NDArray[Any], dx: float, dy: float, *, kept: float = 0.75, noise: float = 0.3, seed: int = 2) -> NDArray[Any]:
    """Return the layer as another survey sees it: moved, thinned, shuffled, every corner off by some decimetres."""
    chance = np.random.default_rng(seed)

    def shaken(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        corner, place = np.unique(xy, axis=0, return_inverse=True)
        return np.asarray((corner + chance.normal(0, noise, corner.shape) + [dx, dy])[place.ravel()])

    return np.asarray(shapely.transform(shapes[chance.permutation(len(shapes))[: int(kept * len(shapes))]], shaken))


def slow_vote(left: NDArray[Any], right: NDArray[Any], radius: float) -> tuple[float, float]:
    """Return the middle of the square metre that holds most differences of like houses."""
    votes: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for a in left:
        for b in right:
            dx, dy = a.centroid.x - b.centroid.x, a.centroid.y - b.centroid.y
            if abs(dx) <= radius and abs(dy) <= radius and abs(np.log(a.area / b.area)) <= np.log(1.12):
                votes.setdefault((round(dx), round(dy)), []).append((dx, dy))
    best = max(votes.values(), key=len)
    return float(np.median([d[0] for d in best])), float(np.median([d[1] for d in best]))


@pytest.mark.parametrize(("dx", "dy"), [(0.6, 0.0), (-0.4, 0.45), (3.0, 2.0), (15.0, -12.0), (0.0, 0.0), (120.0, -60.0)])
def test_a_shift_is_measured_to_centimetres(dx: float, dy: float) -> None:
    shapes = town(900)
    shift = find_shift(layer("A", shapes), layer("B", again(shapes, dx, dy)))
    assert shift.found
    assert np.hypot(shift.dx + dx, shift.dy + dy) < MEASURED
    assert shift.uncertainty < MEASURED
    assert shift.matters == (dx != 0)


def test_the_vote_is_that_of_a_slow_count() -> None:
    shapes = town(120)
    other = again(shapes, 2.3, -1.8)
    shift = find_shift(layer("A", shapes), layer("B", other))
    assert (shift.dx, shift.dy) == pytest.approx(slow_vote(shapes, other, 30.0), abs=0.1)  # other windows around one peak


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_found_between_layers_that_have_nothing_in_common(seed: int) -> None:
    assert not find_shift(layer("A", town(700)), layer("B", town(700, seed=seed + 50))).found
    turned = np.asarray([rotate(shape, 37.0 + seed, origin=(500600, 3460600)) for shape in town(700)], object)
    assert not find_shift(layer("A", town(700)), layer("B", turned)).found


def test_houses_in_even_rows_fit_in_many_places_and_none_is_taken() -> None:
    row = [shapely.box(500000 + 6.0 * n, 3460000 + 20.0 * m, 500006 + 6.0 * n, 3460010 + 20.0 * m) for n in range(30) for m in range(4)]
    moved = again(np.asarray(row, object), 2.0, 0.0, kept=1.0, noise=0.05)
    shift = find_shift(layer("A", row), layer("B", moved))
    assert not shift.found
    assert "no shift found" in shift.text()


def test_other_classes_and_a_handful_of_objects_say_nothing() -> None:
    shapes = town(300)
    assert not find_shift(layer("A", shapes), layer("B", again(shapes, 3, 0), type="LandUse")).found
    assert not find_shift(layer("A", shapes), layer("B", again(shapes[:5], 3, 0, kept=1.0))).found
    assert not find_shift(layer("A", shapes), layer("B", shapes[:0])).found


def test_poles_vote_too_and_their_shift_is_undone_for_the_comparison() -> None:
    poles = np.asarray(shapely.centroid(town(300)))
    left, right = layer("A", poles, type="CityFurniture"), layer("B", again(poles, 4, 3, kept=1.0, noise=0.1), type="CityFurniture")
    shift = find_shift(left, right)
    assert (shift.dx, shift.dy) == pytest.approx((-4, -3), abs=MEASURED)
    assert len(match_cities(left, right)) < 30  # what happens to be near
    assert len(match_cities(left, right, shift=shift)) == 300


def test_the_sample_is_fixed_and_the_layers_may_be_empty() -> None:
    nothing = Marks(np.empty((0, 2)), np.empty(0), np.empty(0, object))
    assert not vote(nothing, nothing, NEAR).found
    marks, other = marks_of(layer("A", town(400))), marks_of(layer("B", again(town(400), 1.0, 0.0)))
    assert vote(marks, other, NEAR) == vote(marks, other, NEAR)


# --------------------------------------------------------------------------------------------- what fuse makes of it


@pytest.mark.parametrize(("align", "matched"), [("correct", 225), ("report", 60), ("off", 60)])
def test_a_shifted_source_is_matched_where_it_belongs_and_stays_where_it_lies(align: Any, matched: int) -> None:
    shapes = town(300)
    other = layer("B", again(shapes, 5.0, 0.0))
    city = fuse([layer("A", shapes), other], align=align)
    same = int((city.report.matches["kind"] == "same").sum())
    assert same == matched if align == "correct" else same < matched
    told = city.issues[city.issues["record"] == "alignment"]
    assert len(told) == (align != "off")
    if align != "off":
        assert told["severity"].tolist() == ["warning"]
        assert "'B' is shifted against the sources before it: moved by dx -4.9" in told["message"].iloc[0]
    assert city["A0"].footprint.equals(shapes[0])
    assert city.report.balance["records"].tolist() == [300, 225]


def test_an_unknown_way_of_aligning_is_refused() -> None:
    with pytest.raises(UsageError, match="align is 'yes', expected 'correct', 'report' or 'off'"):
        fuse([layer("A", town(10))], align="yes")  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------- web maps

SHIFTS = {"gcj02": wgs84_to_gcj02, "bd09": wgs84_to_bd09}
UNDO = {"gcj02": from_gcj02, "bd09": from_bd09}


def on_a_web_map(shapes: NDArray[Any], name: str) -> NDArray[Any]:
    """Return footprints as one gets them who takes a web map's degrees for a survey's."""
    degrees, _ = transform_geometries(shapes, parse("EPSG:4549"), parse("EPSG:4326"), allow_ballpark=True)
    shifted = shapely.transform(degrees, lambda xy: np.column_stack(SHIFTS[name](xy[:, 0], xy[:, 1])))
    there, _ = transform_geometries(shifted, parse("EPSG:4326"), parse("EPSG:4549"), allow_ballpark=True)
    return there


@pytest.mark.parametrize("name", list(SHIFTS))
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_coordinates_of_a_web_map_are_named_on_the_side_that_has_them(name: str, side: str) -> None:
    shapes = town(400)
    web = layer("W", on_a_web_map(again(shapes, 0, 0), name))
    survey = layer("S", shapes)
    first, second = (web, survey) if side == "left" else (survey, web)
    shift = find_shift(first, second)
    assert (shift.left_datum, shift.right_datum) == ((name, "") if side == "left" else ("", name))
    city = fuse([first, second])
    assert (city.report.matches["kind"] == "same").sum() == 300
    (message,) = city.issues[city.issues["record"] == "alignment"]["message"]
    assert {"gcj02": "GCJ-02", "bd09": "BD-09"}[name] in message
    assert f"from_{name}()" in message


@pytest.mark.parametrize("name", list(SHIFTS))
def test_undoing_a_web_map_brings_every_vertex_home(name: str) -> None:
    shapes = town(50)
    home = UNDO[name](layer("W", on_a_web_map(shapes, name)))
    assert shapely.hausdorff_distance(home.footprints(home.key_of([f"W{n}" for n in range(50)])), shapes).max() < EXACT
    assert home["W0"].core["bbox"]["xmin"] == pytest.approx(shapes[0].bounds[0], abs=EXACT)
    assert "undone" in home.sources["pipeline"].iloc[0]
    assert any("undone at every vertex" in text for text in home.issues["message"])


def test_a_shift_as_long_that_is_no_web_map_is_a_shift() -> None:
    shapes = town(400)
    shift = find_shift(layer("A", shapes), layer("B", again(shapes, 380.0, -250.0)))
    assert (shift.left_datum, shift.right_datum) == ("", "")
    assert (shift.dx, shift.dy) == pytest.approx((-380, 250), abs=MEASURED)


@pytest.mark.data
@pytest.mark.parametrize(("name", "kept"), [("gcj02", 1.0), ("gcj02", 0.05), ("bd09", 1.0)])
def test_suzhou_on_a_web_map_is_named_and_found_again(shared_data: Callable[..., Path], name: str, kept: float) -> None:
    features = json.loads(shared_data("china", "suzhou_buildings_floor", "suzhou_buildings.geojson").read_text())["features"]
    degrees = np.asarray([shapely.geometry.shape(feature["geometry"]) for feature in features], object)
    shapes, _ = transform_geometries(degrees, parse("EPSG:4490"), parse("EPSG:4549"))
    left, right = layer("S", shapes), layer("W", again(on_a_web_map(shapes, name), 0, 0, kept=kept))
    shift = find_shift(left, right)
    assert shift.right_datum == name
    if name == "gcj02":  # the offset that the formula gives at the layer's middle
        assert (-shift.dx, -shift.dy) == pytest.approx((398.4, -240.1), abs=0.5)


@pytest.mark.data
def test_the_campus_and_suzhou_have_no_shift_between_them(shared_data: Callable[..., Path]) -> None:
    def placed(*parts: str) -> NDArray[Any]:
        features = json.loads(shared_data(*parts).read_text())["features"]
        shapes = shapely.force_2d(np.asarray([shapely.geometry.shape(feature["geometry"]) for feature in features], object))
        if abs(shapely.get_coordinates(shapes[0])[0, 0]) < 180:
            shapes, _ = transform_geometries(shapes, parse("EPSG:4490"), parse("EPSG:4549"))
        middle = np.median(shapely.get_coordinates(shapes), axis=0)
        return np.asarray(shapely.transform(shapes, lambda xy: xy - middle + [500000.0, 3460000.0]))

    campus = layer("C", placed("city", "tudcampus", "tudcampus.geojson"))
    suzhou = layer("S", placed("china", "suzhou_buildings_floor", "suzhou_buildings.geojson"))
    assert not find_shift(campus, suzhou).found
    assert not find_shift(suzhou, campus).found


def test_the_next_estate_of_the_same_houses_is_no_shift() -> None:
    places = np.array([500000.0, 3460000.0]) + np.random.default_rng(3).uniform(0, 200, (12, 2))

    def estate(xy: NDArray[np.float64]) -> NDArray[Any]:
        return np.asarray(shapely.box(xy[:, 0], xy[:, 1], xy[:, 0] + 12, xy[:, 1] + 40))

    known, new = layer("a", [*estate(places), *town(300)]), layer("b", estate(places + np.array([400.0, -1500.0])))
    near = layer("c", estate(places + np.array([400.0, 150.0])))  # within 800 m: every house finds its twin
    assert not find_shift(known, new).found
    assert not find_shift(known, near).found
