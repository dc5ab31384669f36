"""Triangles cover exactly the faces they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from cim.model.geometry import boundaries_from, extrude, triangulate, vertices_from
from cim.scenes.faces import blocks, faces, plates


def areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    if points.shape[1] == 2:
        return np.asarray((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / 2
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2)


COURT = shapely.box(0, 0, 10, 8).difference(shapely.box(2, 2, 5, 5))
ELL = shapely.Polygon([(20, 0), (32, 0), (32, 6), (26, 6), (26, 12), (20, 12)])
SHAPES = np.array([COURT, ELL, shapely.MultiPolygon([shapely.box(40, 0, 42, 2), shapely.box(44, 0, 46, 2)])], object)


def test_plates_have_the_area_of_their_polygons_and_face_up() -> None:
    flat = plates(SHAPES)
    area = areas(flat.points, flat.triangles)
    assert (area > 0).all()
    assert np.allclose(np.bincount(flat.row, area), shapely.area(SHAPES), rtol=1e-12)  # sums of exact products


def test_plates_of_one_polygon_share_corners_and_of_two_do_not() -> None:
    touching = np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], object)
    flat = plates(touching)
    assert len(flat.points) == 8
    assert np.intersect1d(flat.triangles[flat.row == 0], flat.triangles[flat.row == 1]).size == 0


def test_a_polygon_that_crosses_itself_is_mended_and_what_is_none_is_counted() -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    flat = plates(np.array([bow, shapely.Point(0, 0), None], object))
    assert flat.failed == 2
    assert np.isclose(areas(flat.points, flat.triangles).sum(), 2.0)


def test_a_corner_said_many_times_over_leaves_the_shape_as_it_is() -> None:
    ring = shapely.Polygon([(1, 0), *[(0, 0)] * 6, (0, -1)])
    flat = plates(np.array([ring], object))
    assert flat.failed == 0
    assert np.isclose(areas(flat.points, flat.triangles).sum(), 0.5)


def test_a_polygon_that_cannot_be_cut_is_counted_and_spares_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, bad = shapely.constrained_delaunay_triangles, shapely.box(5, 5, 6, 6)

    def stubborn(polygons: Any) -> Any:
        if any(one == bad for one in np.atleast_1d(np.asarray(polygons, object))):
            raise shapely.GEOSException
        return cut(polygons)

    monkeypatch.setattr(shapely, "constrained_delaunay_triangles", stubborn)
    flat = plates(np.array([shapely.box(0, 0, 1, 1), bad, shapely.box(2, 0, 3, 1)], object))
    assert flat.failed == 1
    assert np.isclose(areas(flat.points, flat.triangles).sum(), 2.0)


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=3, max_size=12))
@example([(0.0, 1.0), (0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 8.0e-194)])  # leaves a part whose corners GEOS counts as one
def test_any_ring_of_points_gives_triangles_inside_its_mended_shape(ring: list[tuple[float, float]]) -> None:
    shape = shapely.Polygon(ring)
    flat = plates(np.array([shape], object))
    mended = shapely.make_valid(shape, method="structure", keep_collapsed=False)
    assert np.isclose(areas(flat.points, flat.triangles).sum(), shapely.area(mended), rtol=1e-6, atol=1e-6)  # slivers below 1 mm²


def test_blocks_have_walls_of_perimeter_times_height_and_roofs_of_the_footprint() -> None:
    low, high = np.array([1.0, 2.0, 3.0]), np.array([5.0, 12.0, 4.0])
    up = blocks(SHAPES, low, high)
    area = np.bincount(up.row, areas(up.points, up.triangles))
    assert np.allclose(area, shapely.length(SHAPES) * (high - low) + shapely.area(SHAPES), rtol=1e-12)


def test_walls_of_blocks_face_outward() -> None:
    up = blocks(SHAPES[:1], np.array([0.0]), np.array([3.0]))
    a, b, c = (up.points[up.triangles[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    wall = np.abs(normal[:, 2]) < 1e-9
    outside = shapely.points(((a + b + c) / 3 + normal / np.linalg.norm(normal, axis=1, keepdims=True) * 0.1)[wall][:, :2])
    assert not shapely.intersects(outside, COURT).any()


def test_faces_agree_with_ear_clipping_of_the_model() -> None:
    table = extrude(SHAPES, 0.0, 4.0).table()
    ours, reference = faces(table), triangulate(table)
    expected = np.bincount(reference.row, areas(reference.points, reference.triangles))
    assert np.allclose(np.bincount(ours.row, areas(ours.points, ours.triangles)), expected, rtol=1e-12)
    assert ours.failed == 0


def test_a_leaning_face_with_a_hole_keeps_its_vertices() -> None:
    ring = np.array([(0, 0, 0), (4, 0, 0), (4, 4, 4), (0, 4, 4), (1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 1)], float)
    table = __import__("pyarrow").table(
        {"vertices": vertices_from(ring, [8]), "boundaries": boundaries_from([0, 1, 2, 3, 4, 5, 6, 7], [4, 4], [2], [1], [1], [1])}
    )
    made = faces(table)
    assert np.isclose(areas(made.points, made.triangles).sum(), (16 - 1) * np.sqrt(2))
    assert set(made.triangles.ravel()) <= set(range(8))


def test_edges_of_a_box_are_its_twelve_and_a_split_wall_adds_none() -> None:
    assert len(faces(extrude([shapely.box(0, 0, 2, 1)], 0.0, 3.0).table()).edges) == 12
    split = shapely.Polygon([(0, 0), (1, 0), (2, 0), (2, 1), (0, 1)])  # a corner within a straight wall
    assert len(faces(extrude([split], 0.0, 3.0).table()).edges) == 14  # 5 below, 5 above, 4 upright: none at the flat corner


def test_surfaces_that_are_skipped_are_not_drawn() -> None:
    table = extrude([shapely.box(0, 0, 2, 1)], 0.0, 3.0).table()
    made = faces(table, np.array([True, False, False, False, False, False]))
    assert np.isclose(areas(made.points, made.triangles).sum(), 2 + 6 * 3)
