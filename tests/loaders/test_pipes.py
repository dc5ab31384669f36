"""Bodies along lines against the volumes of cylinders and boxes; ends that meet against a slow search."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.loaders.pipes import Bodies, along, sweep, touching
from cim.model.geometry import flatten, volume
from cim.model.solids import check_solids


def _table(bodies: Bodies) -> pa.Table:
    return pa.table({"vertices": bodies.vertices, "boundaries": bodies.boundaries, "type": ["Solid"] * len(bodies.row)})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(5, 20), st.floats(-1.2, 1.2)), min_size=1, max_size=5), st.floats(0.1, 1.0))
def test_a_level_pipe_holds_its_section_times_its_length_whatever_its_bends(steps: list[tuple[float, float]], diameter: float) -> None:
    heading = np.cumsum([turn for _, turn in steps])
    length = np.array([run for run, _ in steps])
    points = np.concatenate([[[0, 0]], np.cumsum(length[:, None] * np.column_stack([np.cos(heading), np.sin(heading)]), axis=0)])
    axis = np.column_stack([points, np.full(len(points), -2.0)])
    bodies = sweep(axis, [0, len(axis)], [diameter], [diameter])
    # a mitre takes from one side of the axis what it gives to the other: exact up to rounding
    assert volume(_table(bodies))[0] == pytest.approx(np.pi / 4 * diameter**2 * length.sum(), rel=1e-9)
    assert check_solids(_table(bodies)).table["closed"].to_pylist() == [True]


def test_a_sloping_box_and_a_shaft_hold_what_they_should() -> None:
    points = np.array([[0, 0, 0], [30, 0, -0.3], [5, 5, 0], [5, 5, 3]])
    bodies = sweep(points, [0, 2, 4], [2.0, 1.0], [1.5, 1.0], box=[True, False])
    assert volume(_table(bodies)) == pytest.approx([3.0 * np.hypot(30, 0.3), np.pi / 4 * 3], rel=1e-12)
    report = check_solids(_table(bodies)).table
    assert report["closed"].to_pylist() == [True, True]
    assert report["oriented"].to_pylist() == [True, True]


def test_the_top_of_a_pipe_lies_half_its_height_above_the_axis() -> None:
    flat = flatten(_table(sweep([[0, 0, 1], [10, 0, 1]], [0, 2], [2.0], [1.0], box=True)))
    assert flat.vertices[:, 2].min() == pytest.approx(0.5)
    assert flat.vertices[:, 2].max() == pytest.approx(1.5)
    assert np.ptp(flat.vertices[:, 1]) == pytest.approx(2.0)


def test_lines_without_a_size_or_a_length_get_no_body() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, np.nan], [0, 0, 0], [1, 0, 0]])
    bodies = sweep(points, [0, 2, 4, 6, 8], [np.nan, 1.0, 1.0, 0.5], [1.0, 1.0, 1.0, 0.5])
    assert bodies.row.tolist() == [3]
    assert sweep(np.empty((0, 3)), [0], [], []).row.tolist() == []


def test_an_axis_without_heights_is_refused() -> None:
    with pytest.raises(UsageError, match="height"):
        sweep([[0, 0], [1, 0]], [0, 2], [1.0], [1.0])


def test_heights_run_evenly_along_each_line() -> None:
    found = along([[0, 0], [1, 0], [4, 0], [9, 9], [9, 9]], [0, 3, 5], [10.0, 1.0], [6.0, 2.0])
    assert found == pytest.approx([10.0, 9.0, 6.0, 1.0, 1.0])  # a line without length stays at its first height


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30))
def test_touching_points_are_those_a_slow_search_joins(places: list[tuple[int, int]]) -> None:
    points = np.array(places, float).reshape(-1, 2)
    slow = np.arange(len(points))
    for _ in range(len(points)):
        for i, a in enumerate(points):
            for j, b in enumerate(points):
                if np.hypot(*(a - b)) <= 1.5:
                    slow[i] = slow[j] = min(slow[i], slow[j])
    found = touching(points, 1.5)
    assert all((found[i] == found[j]) == (slow[i] == slow[j]) for i in range(len(points)) for j in range(len(points)))
