"""Closing pieces: walls and lids, counted as signed edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely

from cim.loaders.cutting.close import MIRROR_LID, NO_LID, PLAIN_LID, Closing, close_pieces, lid_heights, open_edges, signed_volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

EXACT = 1e-9


def closed(points: Floats, triangles: Ints, closing: Closing) -> tuple[Floats, Ints, Ints]:
    piece = np.concatenate([np.zeros(len(triangles), np.int64), closing.piece])
    return np.concatenate([points, closing.points]), np.concatenate([triangles, closing.triangles]), piece


def square(z: float = 5.0) -> tuple[Floats, Ints]:
    return np.array([[0, 0, z], [2, 0, z], [2, 2, z], [0, 2, z]], float), np.array([[0, 1, 2], [0, 2, 3]])


def close_one(points: Floats, triangles: Ints, base: float, ground: Floats | None = None) -> tuple[int, float, int]:
    """Return the kind of lid, the volume and the open edges that are left of one piece."""
    piece = np.zeros(len(triangles), np.int64)
    closing = close_pieces(points, triangles, piece, 1, np.array([base]), ground)
    xyz, faces, owner = closed(points, triangles, closing)
    return int(closing.lid[0]), float(signed_volume(xyz, faces, owner, 1)[0]), len(open_edges(faces, owner, len(xyz))[0])


def test_a_roof_becomes_a_block() -> None:
    kind, volume, left = close_one(*square(), 2.0)
    assert (kind, left) == (PLAIN_LID, 0)
    assert volume == pytest.approx(12.0, abs=EXACT)


def test_a_roof_on_sloping_ground_follows_it() -> None:
    points, triangles = square()
    kind, volume, left = close_one(points, triangles, 0.0, points[:, 0])  # ground rises from 0 to 2
    assert (kind, left) == (PLAIN_LID, 0)
    assert volume == pytest.approx(4 * (5 - 1), abs=EXACT)


def test_unknown_ground_is_the_flat_height() -> None:
    points, triangles = square()
    assert close_one(points, triangles, 1.0, np.full(4, np.nan))[1] == pytest.approx(16.0, abs=EXACT)


def test_a_courtyard_stays_a_hole_of_the_lid() -> None:
    ring = np.array([[0, 0], [6, 0], [6, 6], [0, 6], [2, 2], [4, 2], [4, 4], [2, 4]], float)
    faces = np.array([[a, b, c] for k in range(4) for a, b, c in ((k, (k + 1) % 4, 4 + (k + 1) % 4), (k, 4 + (k + 1) % 4, 4 + k))])
    kind, volume, left = close_one(np.column_stack([ring, np.full(8, 3.0)]), faces, 0.0)
    assert (kind, left) == (PLAIN_LID, 0)
    assert volume == pytest.approx(32 * 3, abs=EXACT)


def test_two_roofs_of_one_building_get_two_lids() -> None:
    points, triangles = square()
    both = np.vstack([points, points + np.array([5, 0, 1])])
    kind, volume, left = close_one(both, np.vstack([triangles, triangles + 4]), 0.0)
    assert (kind, left) == (PLAIN_LID, 0)
    assert volume == pytest.approx(20 + 24, abs=EXACT)


def test_an_overhang_takes_the_mirror_lid() -> None:
    """A roof and a balcony under its edge: seen from above the open loop crosses itself."""
    points, triangles = square()
    balcony = np.array([[1, -1, 2], [3, -1, 2], [3, 1, 2], [1, 1, 2]], float)
    kind, volume, left = close_one(np.vstack([points, balcony]), np.vstack([triangles, triangles + 4]), 0.0)
    assert left == 0
    assert volume == pytest.approx(20 + 8, abs=EXACT)
    bow = np.array([[0, 0, 3], [2, 2, 3], [2, 0, 4], [0, 2, 4]], float)  # edges that cross from above
    kind, _, left = close_one(bow, np.array([[0, 1, 2], [0, 3, 1]]), 0.0)
    assert (kind, left) == (MIRROR_LID, 0)


def test_corners_passed_twice_take_the_mirror_lid() -> None:
    points = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [2, 1, 1], [2, 2, 1]], float)
    kind, volume, left = close_one(points, np.array([[0, 1, 2], [2, 3, 4]]), 0.0)
    assert (kind, left) == (MIRROR_LID, 0)
    assert volume == pytest.approx(1.0, abs=EXACT)


def test_points_on_straight_sides_keep_their_edges_in_the_lid() -> None:
    """Ear clipping leaves straight points out; the lid must still fit edge by edge."""
    rim = shapely.get_coordinates(shapely.segmentize(shapely.box(0, 0, 4, 4).exterior, 0.5))[:-1][::-1]
    if shapely.LinearRing(rim).is_ccw is False:
        rim = rim[::-1]
    points = np.column_stack([np.vstack([rim, [[2, 2]]]), np.full(len(rim) + 1, 2.0)])
    at = np.arange(len(rim))
    faces = np.column_stack([at, np.roll(at, -1), np.full(len(rim), len(rim))])
    _, volume, left = close_one(points, faces, 0.0)
    assert left == 0
    assert volume == pytest.approx(32.0, abs=EXACT)


def test_a_closed_block_needs_no_lid() -> None:
    points, triangles = square()
    closing = close_pieces(points, triangles, np.zeros(2, np.int64), 1, np.array([0.0]))
    xyz, faces, _ = closed(points, triangles, closing)
    again = close_pieces(xyz, faces, np.zeros(len(faces), np.int64), 1, np.array([0.0]))
    assert len(again.triangles) == 0
    assert again.lid.tolist() == [NO_LID]


def test_pieces_that_share_a_wall_are_closed_one_by_one() -> None:
    points = np.array([[0, 0, 3], [1, 0, 3], [1, 1, 3], [0, 1, 3], [2, 0, 3], [2, 1, 3]], float)
    triangles, piece = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]]), np.array([0, 0, 1, 1])
    closing = close_pieces(points, triangles, piece, 3, np.zeros(3))
    xyz = np.concatenate([points, closing.points])
    faces, owner = np.concatenate([triangles, closing.triangles]), np.concatenate([piece, closing.piece])
    assert len(open_edges(faces, owner, len(xyz))[0]) == 0
    np.testing.assert_allclose(signed_volume(xyz, faces, owner, 3), [3, 3, 0], atol=EXACT)


def test_nothing_is_closed_to_nothing() -> None:
    closing = close_pieces(np.empty((0, 3)), np.empty((0, 3), np.int64), np.empty(0, np.int64), 2, np.zeros(2))
    assert len(closing.triangles) == len(closing.points) == 0


def test_open_edges_are_a_signed_sum() -> None:
    triangles = np.array([[0, 1, 2], [0, 2, 1], [0, 1, 3]])  # a face, its back, and one more
    piece, start, end = open_edges(triangles, np.zeros(3, np.int64), 4)
    assert sorted(zip(start.tolist(), end.tolist(), strict=True)) == [(0, 1), (1, 3), (3, 0)]
    assert piece.tolist() == [0, 0, 0]
    _, start, _ = open_edges(np.array([[0, 1, 2], [0, 1, 3]]), np.zeros(2, np.int64), 4)
    assert start.tolist().count(0) == 2  # both run from 0 to 1


def test_a_flat_lid_lies_at_the_lowest_ground_of_the_ring() -> None:
    points, triangles = square()
    edges = open_edges(triangles, np.zeros(2, np.int64), 4)
    assert lid_heights(points, edges, 2, None).tolist()[0] == 5.0
    assert np.isnan(lid_heights(points, edges, 2, None)[1])
    assert lid_heights(points, edges, 1, np.array([1.0, np.nan, 0.5, 2.0])).tolist() == [0.5]
