"""Lines become a network where they meet, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.model.noding import Noded, node_lines


def noded(*lines: Any, snap: float = 1.0, cross: Any = "split", storey: Any = None) -> Noded:
    shapes = np.array([shapely.LineString(line) for line in lines], object)
    return node_lines(shapes, snap=snap, cross=cross, storey=np.zeros(len(lines)) if storey is None else np.asarray(storey, float))


def edges(found: Noded) -> list[tuple[int, set[tuple[float, float]]]]:
    """Return which line each piece is of, and the places of its nodes."""
    place = [tuple(np.round(one, 3).tolist()) for one in found.places]
    return [(line, {place[a], place[z]}) for line, a, z in zip(found.line.tolist(), found.start.tolist(), found.end.tolist(), strict=True)]


def test_ends_within_the_snap_are_one_node_and_further_ones_are_not() -> None:
    assert len(noded([(0, 0), (10, 0)], [(10.9, 0), (20, 0)]).places) == 3
    assert noded([(0, 0), (10, 0)], [(10.9, 0), (20, 0)]).snapped == 1
    assert len(noded([(0, 0), (10, 0)], [(11.1, 0), (20, 0)]).places) == 4
    assert len(noded([(0, 0), (10, 0)], [(10, 0), (20, 0)], snap=0.0).places) == 3


def test_an_end_on_the_middle_of_a_line_cuts_it() -> None:
    found = noded([(0, 0), (100, 0)], [(40, 0.8), (40, 50)])
    assert [(line, len(nodes)) for line, nodes in edges(found)] == [(0, 2), (0, 2), (1, 2)]
    assert len(found.places) == 4
    assert found.touched == 1
    assert [(a, z) for a, z in zip(found.first.tolist(), found.last.tolist(), strict=True)] == [(0, -1), (-1, 1), (0, 1)]


def test_a_common_vertex_joins_lines_without_a_new_point() -> None:
    found = noded([(0, 0), (50, 0), (100, 0)], [(50, -50), (50, 0), (50, 50)], cross="pass")
    assert len(found.pieces) == 4
    assert sorted(zip(found.first.tolist(), found.last.tolist(), strict=True)) == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert found.passed == 0


@pytest.mark.parametrize(("cross", "storey", "pieces", "told"), [
    ("split", [0, 0], 4, {"crossed": 1, "passed": 0, "over": 0}), ("pass", [0, 0], 2, {"crossed": 0, "passed": 1, "over": 0}),
    ("split", [0, 1], 2, {"crossed": 0, "passed": 0, "over": 1}), ("split", [1, 1], 4, {"crossed": 1, "passed": 0, "over": 0}),
])  # fmt: skip
def test_a_crossing_is_a_node_where_it_is_asked_for_and_on_one_level(cross: str, storey: list[int], pieces: int, told: Any) -> None:
    found = noded([(0, 0), (100, 0)], [(50, -50), (50, 50)], cross=cross, storey=storey)
    assert len(found.pieces) == pieces
    assert {name: getattr(found, name) for name in told} == told


def test_a_bridge_meets_the_street_at_its_end_and_not_below() -> None:
    found = noded([(0, 0), (50, 0)], [(50, 0), (150, 0)], [(100, -50), (100, 50)], [(100, 0), (100, 20)], storey=[0, 1, 0, 0])
    assert [line for line, _ in edges(found)].count(1) == 1
    assert (0, {(0.0, 0.0), (50.0, 0.0)}) in edges(found)
    assert (1, {(50.0, 0.0), (150.0, 0.0)}) in edges(found)
    assert found.over == 2  # the street below crosses it, and an end lies below it


def test_a_piece_within_the_snap_is_dropped_and_counted() -> None:
    found = noded([(0, 0), (100, 0)], [(50, 0), (50.5, 0.5)])
    assert found.dropped == 2  # the short line, and the piece of the long one between its ends
    assert found.line.tolist() == [0, 0]


def test_lines_on_each_other_are_counted() -> None:
    assert noded([(0, 0), (100, 0)], [(20, 0), (80, 0)]).overlapping == 1


def test_a_ring_stays_one_and_is_cut_where_others_meet_it() -> None:
    ring = [(0, 0), (20, 0), (20, 20), (0, 20), (0, 0)]
    assert noded(ring).start.tolist() == noded(ring).end.tolist()
    found = noded(ring, [(20, 10), (60, 10)], [(0, 10), (-60, 10)])
    assert found.line.tolist().count(0) == 3


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=7))
def test_pieces_are_those_of_the_arrangement_of_lines(corners: list[tuple[int, int, int, int]]) -> None:
    lines = sorted({((10 * a, 10 * b), (10 * c, 10 * d)) for a, b, c, d in corners if (a, b) < (c, d)})
    shapes = [shapely.LineString(line) for line in lines]
    if not lines or any(shapely.intersection(one, other).length > 0 for one in shapes for other in shapes if one is not other):
        return
    found = noded(*lines, snap=1e-6)
    whole = shapely.get_parts(shapely.node(shapely.MultiLineString(lines)))
    assert len(found.pieces) == len(whole)
    np.testing.assert_allclose(np.sort(shapely.length(found.pieces)), np.sort(shapely.length(whole)), atol=1e-6)
    ends = shapely.get_coordinates([shapely.get_point(whole, at) for at in (0, -1)])
    assert len(found.places) == len(np.unique(np.round(ends, 4), axis=0))


def test_order_of_lines_does_not_change_the_network() -> None:
    lines = [[(0, 0), (100, 0)], [(50, -50), (50, 50)], [(80, 0.5), (80, 60)], [(0, 40), (120, 40)]]
    one, other = noded(*lines), noded(*lines[::-1])
    assert len(one.pieces) == len(other.pieces) == 11
    assert sorted(shapely.length(one.pieces).round(6).tolist()) == sorted(shapely.length(other.pieces).round(6).tolist())
