"""Faces are turned outward, whatever a kernel gave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.ifc.orient import orient
from cim.loaders.ifc.shapes import Shape

_CORNERS = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])
_QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
_CUBE = np.array([triangle for a, b, c, d in _QUADS for triangle in ((a, b, c), (a, c, d))], np.int32)


def _shape(points: np.ndarray, triangles: np.ndarray) -> Shape:
    return Shape(points, triangles, np.full(len(triangles), -1, np.int32))


def _boxes(*boxes: tuple[float, float], turned: tuple[int, ...] = ()) -> Shape:
    points, triangles = [], []
    for k, (low, size) in enumerate(boxes):
        triangles.append((_CUBE[:, ::-1] if k in turned else _CUBE) + 8 * k)
        points.append(_CORNERS * size + low)
    return _shape(np.concatenate(points), np.concatenate(triangles))


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_cube_with_any_faces_turned_has_its_volume(flips: list[bool]) -> None:
    triangles = np.where(np.array(flips)[:, None], _CUBE[:, ::-1], _CUBE)
    made = orient([_shape(_CORNERS * [2.0, 3.0, 4.0] + 1e5, triangles)])
    assert made.closed.tolist() == [True]
    assert made.volume[0] == pytest.approx(24.0, rel=1e-9)  # coordinates of 1e5 m keep 1e-11 m


def test_corners_that_are_not_shared_are_welded() -> None:
    loose = _shape(_CORNERS[_CUBE].reshape(-1, 3), np.arange(36, dtype=np.int32).reshape(-1, 3))
    made = orient([loose])
    assert made.closed[0]
    assert len(made.shapes[0].points) == 8
    assert made.volume[0] == pytest.approx(1.0)


def test_an_inner_shell_of_the_other_sense_is_a_void_and_one_of_the_same_sense_is_not() -> None:
    made = orient(
        [_boxes((0.0, 3.0), (1.0, 1.0), turned=(1,)), _boxes((0.0, 3.0), (1.0, 1.0)), _boxes((0.0, 3.0), (1.0, 1.0), turned=(0,))]
    )
    assert made.volume == pytest.approx([26.0, 28.0, 26.0])


def test_bodies_beside_each_other_all_count_whichever_way_round_they_came() -> None:
    made = orient([_boxes((0.0, 1.0), (5.0, 1.0), turned=(1,))])
    assert made.volume[0] == pytest.approx(2.0)


def test_an_open_box_is_not_closed_and_keeps_its_faces() -> None:
    made = orient([_shape(_CORNERS, _CUBE[:-2]), _shape(np.zeros((0, 3)), np.zeros((0, 3), np.int32))])
    assert made.closed.tolist() == [False, False]
    assert len(made.shapes[0].triangles) == 10
