"""Blocks, triangles and volumes against shapely and against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.geometry import boundaries_from, extrude, flatten, nest, ring_normals, shift, triangulate, vertices_from, volume

COURTYARD = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 2, 4, 4))
TWO_PARTS = shapely.union_all([shapely.box(20, 0, 30, 10), shapely.box(40, 0, 41, 1)])
L_SHAPE = shapely.Polygon([(0, 0), (10, 0), (10, 5), (5, 5), (5, 10), (0, 10)])
EXACT = 1e-9  # coordinates of tens of metres in float64: rounding is some 1e-13


def test_blocks_hold_the_volume_of_their_footprints() -> None:
    blocks = extrude([COURTYARD, None, TWO_PARTS, shapely.Point(0, 0), L_SHAPE], 1.0, 4.0)
    assert blocks.row.tolist() == [0, 2, 4]
    assert blocks.type == ["Solid", "MultiSolid", "Solid"]
    expected = [3 * shape.area for shape in (COURTYARD, TWO_PARTS, L_SHAPE)]
    np.testing.assert_allclose(volume(blocks.table()), expected, atol=EXACT)


def test_a_block_without_a_positive_height_is_left_out() -> None:
    assert extrude([L_SHAPE] * 4, [0, 0, np.nan, 0], [0, -1, 5, 5]).row.tolist() == [3]


def test_every_edge_of_a_block_is_walked_once_in_each_direction() -> None:
    flat = flatten(extrude([COURTYARD, L_SHAPE], 0.0, 3.0).table())
    edges: list[tuple[int, int]] = []
    for first, last in zip(flat.ring_start[:-1], flat.ring_start[1:], strict=True):
        ring = flat.index[first:last].tolist()
        edges += list(zip(ring, ring[1:] + ring[:1], strict=True))
    assert len(set(edges)) == len(edges)
    assert {(b, a) for a, b in edges} == set(edges)


def test_semantics_name_ground_roof_and_walls_by_the_direction_they_face() -> None:
    blocks = extrude([COURTYARD], 0.0, 3.0)
    flat = flatten(blocks.table())
    upward = np.sign(np.round(np.add.reduceat(ring_normals(flat)[:, 2], flat.surface_start[:-1]), 9))
    assert [{-1.0: 0, 1.0: 1, 0.0: 2}[sign] for sign in upward.tolist()] == blocks.semantics.to_pylist()[0]


def test_triangles_cover_the_surface_of_a_block() -> None:
    shapes = [COURTYARD, TWO_PARTS, L_SHAPE]
    mesh = triangulate(extrude(shapes, 1.0, 4.0).table())
    corner = mesh.points[mesh.triangles]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    np.testing.assert_allclose(np.bincount(mesh.row, area), [2 * s.area + 3 * s.length for s in shapes], atol=EXACT)
    assert mesh.failed == 0


def test_triangles_face_the_way_their_surface_faces() -> None:
    table = extrude([COURTYARD, L_SHAPE], 0.0, 3.0).table()
    flat, mesh = flatten(table), triangulate(table)
    normal = np.add.reduceat(ring_normals(flat), flat.surface_start[:-1], axis=0)
    corner = mesh.points[mesh.triangles]
    facing = np.einsum("ij,ij->i", np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), normal[mesh.surface])
    assert (facing > 0).all()


def test_a_surface_without_area_is_counted_as_failed() -> None:
    table = {"vertices": vertices_from([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]], [5])}
    import pyarrow as pa

    flatline = pa.table({**table, "boundaries": boundaries_from([0, 1, 2, 3, 4], [5], [1], [1], [1], [1])})
    assert triangulate(flatline).failed == 1


def test_shift_moves_all_or_each() -> None:
    vertices = vertices_from([[0, 0, 0], [1, 1, 1], [2, 2, 2]], [1, 2])
    assert shift(vertices, [1, 2, 3]).to_pylist()[0] == [[1, 2, 3]]
    assert shift(vertices, [[1, 0, 0], [0, 0, 1]]).to_pylist()[1] == [[1, 1, 2], [2, 2, 3]]


def test_nest_makes_a_multisurface_five_levels_deep() -> None:
    import pyarrow as pa

    assert nest(pa.array([[[[0, 1, 2]], [[2, 1, 3]]]], pa.list_(pa.list_(pa.list_(pa.int32())))), 2).to_pylist() == [
        [[[[[0, 1, 2]], [[2, 1, 3]]]]]
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 6.28), st.floats(5, 20)), min_size=3, max_size=12, unique_by=lambda pair: round(pair[0], 2)),
    st.floats(0.5, 200),
)
def test_any_star_shaped_block_holds_area_times_height(rays: list[tuple[float, float]], height: float) -> None:
    angles = sorted(rays)
    shape = shapely.Polygon([(500000 + r * np.cos(a), 3460000 + r * np.sin(a)) for a, r in angles])
    if not shape.is_valid or shape.area < 1:
        return
    assert volume(extrude([shape], 0.0, height).table())[0] == pytest.approx(
        shape.area * height, rel=1e-6
    )  # areas at 3.4e6 m north carry 1e-9 m
