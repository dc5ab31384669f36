"""Checks of solids against bodies whose faults are made on purpose, and repair against the exact volume."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.geometry import boundaries_from, extrude, vertices_from, volume
from cim.model.solids import MEANING, check_solids, repair_orientation

BOX = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
CORNERS = np.array([[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0], [0, 0, 12], [10, 0, 12], [10, 10, 12], [0, 10, 12]], float)
FAR = np.array([410500.0, 3391800.0, 480.0])  # where cancellation would show
VOLUME = 1200.0
RTOL = 1e-9  # coordinates of 3e6 m carry 5e-10 m


def table(shells: list[list[list[int]]], corners: Any = CORNERS, kind: str = "Solid") -> pa.Table:
    """Return one solid of the given shells; every surface has one ring."""
    faces = [face for shell in shells for face in shell]
    counts = [len(face) for face in faces], [1] * len(faces), [len(shell) for shell in shells], [len(shells)], [1]
    index = [corner for face in faces for corner in face]
    return pa.table({"type": [kind], "vertices": vertices_from(corners, [len(corners)]), "boundaries": boundaries_from(index, *counts)})


def codes(geometries: pa.Table) -> list[list[int]]:
    return check_solids(geometries).table["codes"].to_pylist()  # type: ignore[no-any-return]


def test_a_sound_box_has_no_code_and_its_exact_volume() -> None:
    found = check_solids(table([BOX], CORNERS + FAR)).table.to_pylist()[0]
    assert (found["closed"], found["oriented"], found["codes"], found["faulty"]) == (True, True, [], 0)
    assert found["volume"] == pytest.approx(VOLUME, rel=RTOL)


def test_a_missing_face_opens_the_solid_and_takes_its_volume_away() -> None:
    found = check_solids(table([BOX[1:]])).table.to_pylist()[0]
    assert (found["closed"], found["volume"], found["codes"]) == (False, None, [302])


def test_faces_that_all_look_inward_are_405_and_one_turned_face_is_307() -> None:
    assert codes(table([[face[::-1] for face in BOX]])) == [[405]]
    assert codes(table([[BOX[0][::-1], *BOX[1:]]])) == [[307]]


def test_a_cavity_must_look_the_other_way() -> None:
    inner = 1.0 + 0.5 * CORNERS
    corners = np.concatenate([CORNERS, inner])
    cavity = [[corner + 8 for corner in face[::-1]] for face in BOX]
    right = check_solids(table([BOX, cavity], corners)).table.to_pylist()[0]
    assert right["codes"] == []
    assert right["volume"] == pytest.approx(VOLUME * (1 - 0.125), rel=RTOL)
    assert codes(table([BOX, [face[::-1] for face in cavity]], corners)) == [[405]]


def test_a_roof_that_is_not_flat_is_203_with_its_error() -> None:
    corners = CORNERS.copy()
    corners[6, 2] += 1.0
    found = check_solids(table([BOX], corners)).table.to_pylist()[0]
    assert 203 in found["codes"]
    assert found["planar_error"] > 0.2
    corners[6, 2] = 12.008  # below the tolerance of 0.01 m
    assert codes(table([BOX], corners)) == [[]]


def test_corners_in_the_wrong_order_cross_and_are_104() -> None:
    swapped = CORNERS[[0, 1, 2, 3, 4, 6, 5, 7]]
    assert 104 in codes(table([BOX], swapped))[0]


def test_a_ring_of_two_places_is_101_and_loose_surfaces_are_no_solid() -> None:
    found = check_solids(table([[[0, 1, 0]]], kind="MultiSurface")).table.to_pylist()[0]
    assert (found["codes"], found["closed"], found["volume"]) == ([101], None, None)


def test_corners_that_are_stored_twice_still_close_the_solid() -> None:
    faces = [list(range(4 * k, 4 * k + 4)) for k in range(6)]
    assert codes(table([faces], CORNERS[np.concatenate(BOX)])) == [[]]


def test_two_boxes_that_share_an_edge_are_303_but_closed() -> None:
    other = CORNERS + np.array([10.0, 10.0, 0.0])
    corners = np.concatenate([CORNERS, other])
    both = BOX + [[corner + 8 for corner in face] for face in BOX]
    found = check_solids(table([both], corners)).table.to_pylist()[0]
    assert (found["codes"], found["closed"]) == ([303], True)
    assert found["volume"] == pytest.approx(2 * VOLUME, rel=RTOL)


@settings(deadline=None)  # the first repair imports the graph library
@given(st.sets(st.integers(0, 5)), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_any_turned_faces_are_turned_back(turned: set[int], x: float, y: float) -> None:
    faces = [face[::-1] if k in turned else face for k, face in enumerate(BOX)]
    mended, count = repair_orientation(table([faces], CORNERS + np.array([x, y, 0.0])))
    assert count.tolist() == [len(turned)]
    assert codes(mended) == [[]]
    assert volume(mended)[0] == pytest.approx(VOLUME, rel=1e-6)  # coordinates of 1e6 m carry 1e-10 m


def test_repair_keeps_other_rows_and_open_shells_as_they_are() -> None:
    sound, opened = table([BOX]), table([[BOX[0][::-1], *BOX[1:5]]])
    inward = table([[face[::-1] for face in BOX]])
    mended, count = repair_orientation(pa.concat_tables([sound, opened, inward]).combine_chunks())
    assert count.tolist() == [0, 0, 6]
    assert mended["boundaries"][0] == sound["boundaries"][0]
    assert mended["boundaries"][1] == opened["boundaries"][0]


def test_the_same_rows_come_back_from_the_report_for_every_code() -> None:
    shells = [[BOX], [BOX[1:]], [[face[::-1] for face in BOX]], [BOX]]
    report = check_solids(pa.concat_tables([table(shell) for shell in shells]).combine_chunks())
    assert {code: report.rows(code).tolist() for code in MEANING if len(report.rows(code))} == {302: [1], 405: [2]}


def slow_balance(faces: list[list[int]]) -> tuple[bool, bool]:
    """Return closed and oriented, edge by edge."""
    edges = Counter(pair for face in faces for pair in itertools.pairwise([*face, face[0]]))
    closed = all((edges[a, b] + edges[b, a]) % 2 == 0 for a, b in edges)
    return closed, closed and all(edges[a, b] == edges[b, a] for a, b in edges)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=9))
def test_edge_balance_agrees_with_counting_edge_by_edge(chosen: list[tuple[int, bool]]) -> None:
    faces = [BOX[k][::-1] if back else BOX[k] for k, back in chosen]
    found = check_solids(table([faces])).table.to_pylist()[0]
    closed, consistent = slow_balance(faces)
    assert found["closed"] == closed
    assert (302 not in found["codes"] and 307 not in found["codes"]) == consistent


def test_extruded_footprints_are_always_sound() -> None:
    yard = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])
    blocks = extrude([yard, shapely.MultiPolygon([yard, shapely.box(20, 0, 22, 2)])], 1.0, 4.0).table()
    assert codes(blocks) == [[], []]
    assert check_solids(blocks).table["volume"].to_pylist() == pytest.approx([216.0, 228.0])
