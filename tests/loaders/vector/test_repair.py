"""Geometry repaired or rejected record by record, and heights kept as nested lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.vector.frame import MOST_NOTES, Layer
from cim.loaders.vector.raised import raised_geometries
from cim.loaders.vector.repair import clean, cut_at_date_line
from cim.model.geometry import flatten
from cim.model.schema import make_table

BOWTIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
SQUARE = shapely.box(0, 0, 1, 1)


def layer(*geometry: Any) -> Layer:
    return Layer("l", "made", None, np.array([*geometry, None], object)[:-1], {}, np.arange(len(geometry)), records_in=len(geometry))


def test_a_bow_tie_becomes_its_two_halves() -> None:
    out = clean(layer(SQUARE, BOWTIE))
    assert (len(out), out.repaired, out.rejected) == (2, 1, 0)
    assert shapely.is_valid(out.geometry).all()
    assert out.geometry[1].area == pytest.approx(2.0)
    assert "Self-intersection" in out.notes[0].message


def test_a_polygon_without_area_is_rejected() -> None:
    out = clean(layer(SQUARE, shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])))
    assert (len(out), out.rejected) == (1, 1)
    assert "no area is left" in out.notes[0].message


def test_a_collapsed_part_costs_that_part_and_not_the_file() -> None:
    point = shapely.Polygon([(9, 9), (9, 9), (9, 9), (9, 9)])
    out = clean(layer(SQUARE, shapely.MultiPolygon([point, SQUARE])))
    assert (len(out), out.repaired) == (2, 1)
    assert out.geometry[1].area == pytest.approx(1.0)


def test_a_spike_is_cut_off_and_no_line_is_left() -> None:
    out = clean(layer(shapely.Polygon([(0, 0), (4, 0), (4, 4), (4, 9), (4, 4), (0, 4)])))
    assert out.geometry[0].geom_type in ("Polygon", "MultiPolygon")
    assert out.geometry[0].area == pytest.approx(16.0)


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_one_bad_record_of_n_keeps_all_others(bad: list[bool]) -> None:
    broken = shapely.Point(float("nan"), 1.0)
    out = clean(layer(*(broken if one else SQUARE for one in bad)))
    assert out.number.tolist() == [i for i, one in enumerate(bad) if not one]
    assert out.rejected == sum(bad)
    assert sum(note.count for note in out.notes) == sum(bad)
    assert len(out.notes) <= MOST_NOTES + 1


def test_an_infinite_height_costs_the_heights_only() -> None:
    out = clean(layer(shapely.LineString([(0, 0, 1), (1, 1, float("inf"))])))
    assert not out.geometry[0].has_z
    assert out.geometry[0].equals(shapely.LineString([(0, 0), (1, 1)]))


def test_empty_geometry_is_missing_geometry() -> None:
    out = clean(layer(SQUARE, shapely.Polygon(), None))
    assert out.geometry.tolist()[1:] == [None, None]
    assert [(note.code, note.count) for note in out.notes] == [("empty", 2)]


@pytest.mark.parametrize(
    ("ring", "areas"),
    [
        ([(179, 0), (181, 0), (181, 1), (179, 1)], [(179, 180), (-180, -179)]),  # counted on beyond 180
        ([(179, 0), (-179, 0), (-179, 1), (179, 1)], [(179, 180), (-180, -179)]),  # wrapped the wrong way round the world
        ([(190, 0), (191, 0), (191, 1), (190, 1)], [(-170, -169)]),  # wholly beyond
    ],
)
def test_polygons_at_the_date_line_are_cut_or_moved(ring: list[tuple[float, float]], areas: list[tuple[float, float]]) -> None:
    out = cut_at_date_line(layer(shapely.Polygon(ring)))
    expected = shapely.union_all([shapely.box(west, 0, east, 1) for west, east in areas])
    assert out.geometry[0].symmetric_difference(expected).area == pytest.approx(0.0, abs=1e-9)
    assert "antimeridian" in out.notes[0].message


def test_polygons_of_the_whole_world_and_the_poles_stay() -> None:
    world, pole = shapely.box(-180, -80, 180, 80), shapely.Polygon([(-180, -90), (-180, -60), (0, -65), (180, -60), (180, -90)])
    wide = shapely.Polygon([(-100, 10), (0, 20), (100, 10), (0, 5)])
    out = cut_at_date_line(layer(pole, wide))
    assert out.notes == ()
    assert out.geometry[1] is wide
    assert world.area == pytest.approx(360 * 160)


# ---------------------------------------------------------------- heights


def lists_of(geometry: list[Any]) -> list[Any]:
    return [
        (one.role, one.row.tolist(), one.vertices.to_pylist(), one.boundaries.to_pylist())
        for one in raised_geometries(np.array(geometry, object))
    ]


def test_heights_of_points_lines_and_areas_come_as_nested_lists() -> None:
    line = shapely.MultiLineString([[(0, 0, 5), (1, 0, 6)], [(2, 0, 7), (3, 0, 8), (4, 0, 9)]])
    found = {role: (rows, vertices, boundaries) for role, rows, vertices, boundaries in lists_of([shapely.Point(1, 2, 3), line, SQUARE])}
    assert found["point"] == ([0], [[[1.0, 2.0, 3.0]]], [[[[[[0]]]]]])
    assert found["line"][2] == [[[[[[0, 1]], [[2, 3, 4]]]]]]
    assert "multi_surface" not in found  # the square has no heights


def test_rings_lose_their_closing_vertex_and_keep_their_holes() -> None:
    shell, hole = [(0, 0, 1), (9, 0, 1), (9, 9, 2), (0, 9, 2)], [(1, 1, 1), (1, 2, 1), (2, 2, 1)]
    other = shapely.Polygon([(20, 0, 4), (21, 0, 4), (21, 1, 4)])
    ((role, rows, vertices, boundaries),) = lists_of([shapely.MultiPolygon([shapely.Polygon(shell, [hole]), other]), other])
    assert (role, rows) == ("multi_surface", [0, 1])
    assert boundaries == [[[[[[0, 1, 2, 3], [4, 5, 6]], [[7, 8, 9]]]]], [[[[[0, 1, 2]]]]]]
    assert len(vertices[0]) == 10


@given(st.lists(st.integers(3, 7), min_size=1, max_size=6))
def test_every_index_points_at_its_own_vertex(sizes: list[int]) -> None:
    rings = [[(np.cos(a), np.sin(a), float(i + 1)) for a in np.linspace(0, 6, n)] for i, n in enumerate(sizes)]
    (one,) = raised_geometries(np.array([shapely.Polygon(ring) for ring in rings], object))
    columns = {
        "key": one.row,
        "object": one.row,
        "lod": "0",
        "role": one.role,
        "type": one.type,
        "vertices": one.vertices,
        "boundaries": one.boundaries,
    }
    flat = flatten(make_table("geometries", columns))
    assert np.array_equal(flat.vertices[flat.index], np.concatenate(rings))


def test_heights_that_are_all_zero_are_no_heights() -> None:
    assert lists_of([shapely.Point(1, 2, 0), shapely.LineString([(0, 0, 0), (1, 1, 0)])]) == []
