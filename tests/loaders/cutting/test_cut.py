"""The cut on plain arrays: exact areas, nothing opened, nothing lost, hostile input."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.loaders.cutting import Cut, cut
from cim.loaders.cutting.close import open_edges
from cim.loaders.cutting.cut import area_of, polygon_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 1e-9  # m2 on areas of some 100 m2: rounding only
WELDED = 1e-4  # m2: points may move by 1e-5 m along borders of some metres
ON_POINT = 2e-5  # m: a point may be welded to another within 1e-5 m


def grid(n: int, heights: Any = 0.0, step: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return an n x n height field of squares cut in two, facing up."""
    x, y = np.meshgrid(np.arange(n + 1) * step, np.arange(n + 1) * step, indexing="ij")
    points = np.column_stack([x.ravel(), y.ravel(), np.broadcast_to(heights, x.shape).ravel()])
    at = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    a, b, c, d = at[:-1, :-1].ravel(), at[1:, :-1].ravel(), at[1:, 1:].ravel(), at[:-1, 1:].ravel()
    return points, np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])


def box(size: float = 4.0, height: float = 3.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return a closed block with walls that stand upright, facing out."""
    points = np.array([[x, y, z] for z in (0.0, height) for x, y in ((0, 0), (size, 0), (size, size), (0, size))], float)
    quads = [(3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
    return points, np.array([[q[0], q[k], q[k + 1]] for q in quads for k in (1, 2)])


def plan_area(result: Cut, polygon: int) -> float:
    """Return the signed area of a piece seen from above."""
    corner = result.points[result.triangles[result.polygon == polygon]]
    u, v = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    return float((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum() / 2)


def borders(triangles: NDArray[np.int64], count: int) -> int:
    """Return the number of open edges of a whole mesh."""
    return len(open_edges(triangles, np.zeros(len(triangles), np.int64), count)[0])


def border_length(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> float:
    _, start, end = open_edges(triangles, np.zeros(len(triangles), np.int64), len(points))
    return float(np.linalg.norm(points[start] - points[end], axis=1).sum())


def assert_sound(points: NDArray[np.float64], triangles: NDArray[np.int64], result: Cut) -> None:
    """Check what holds for every cut: area kept per source triangle, corners where the weights say, no edge opened."""
    before = area_of(points, triangles)
    after = np.bincount(result.source, area_of(result.points, result.triangles), len(triangles))
    np.testing.assert_allclose(after, before, atol=WELDED)
    assert area_of(result.points, result.triangles).sum() == pytest.approx(before.sum(), rel=1e-6)  # the bar of the issue
    np.testing.assert_allclose(result.at_corners(points[triangles]), result.points[result.triangles], atol=ON_POINT)
    np.testing.assert_allclose(result.barycentric.sum(axis=2), 1.0, atol=1e-12)
    assert border_length(result.points, result.triangles) == pytest.approx(border_length(points, triangles), rel=1e-6, abs=1e-4)


def oracle(points: NDArray[np.float64], triangles: NDArray[np.int64], polygon: Any, behind: float) -> NDArray[np.float64]:
    """Return how much area of each triangle lies over a polygon, each cut by shapely alone in its own plane (slow, obvious).

    An upright triangle is laid flat along its foot, some distance behind which the polygon is looked at: it becomes intervals of the
    foot, and the triangle is cut by them.
    """
    found = []
    for corner in points[triangles]:
        normal = np.cross(corner[1] - corner[0], corner[2] - corner[0])
        length = np.linalg.norm(normal)
        if abs(normal[2]) > 1e-9 * length:
            flat = shapely.Polygon(corner[:, :2])
            found.append(flat.intersection(polygon).area * length / abs(normal[2]))
            continue
        foot = np.array([-normal[1], normal[0]]) / length
        start = corner[0, :2] - behind * normal[:2] / length
        s = (corner[:, :2] - corner[0, :2]) @ foot
        ends = np.array([start + s.min() * foot, start + s.max() * foot])
        covered = shapely.get_parts(shapely.LineString(ends).intersection(polygon))
        lying = shapely.Polygon(np.column_stack([s, corner[:, 2]]))
        total = 0.0
        for part in covered[shapely.length(covered) > 0]:
            at = (shapely.get_coordinates(part) - start) @ foot
            total += lying.intersection(shapely.box(at.min(), -1e3, at.max(), 1e3)).area
        found.append(total)
    return np.array(found)


def test_a_square_is_cut_in_two_halves_of_equal_area() -> None:
    points, triangles = grid(1, step=2.0)
    result = cut(points, triangles, [shapely.box(0, 0, 1, 2)])
    assert plan_area(result, 0) == pytest.approx(2.0, abs=EXACT)
    assert plan_area(result, -1) == pytest.approx(2.0, abs=EXACT)
    assert_sound(points, triangles, result)


def test_a_block_cut_through_the_middle_gives_two_halves_with_their_walls() -> None:
    points, triangles = box()
    result = cut(points, triangles, [shapely.box(-1, -1, 2, 5)], wall_tolerance=0.0)
    area = area_of(result.points, result.triangles)
    half = (2 * 16 + 4 * 12) / 2
    assert area[result.polygon == 0].sum() == pytest.approx(half, abs=EXACT)
    assert_sound(points, triangles, result)
    assert borders(result.triangles, len(result.points)) == 0


def test_walls_in_the_plane_of_a_footprint_belong_to_the_building_behind_them() -> None:
    points, triangles = box()
    result = cut(points, triangles, [shapely.box(0, 0, 4, 4), shapely.box(4, 0, 8, 4)], wall_tolerance=0.0)
    assert (result.polygon == 0).all()
    assert result.split == 0


def test_a_courtyard_is_left_over() -> None:
    points, triangles = grid(10)
    court = shapely.Polygon(shapely.box(1.3, 1.3, 8.7, 8.7).exterior, [shapely.box(3.4, 3.4, 6.6, 6.6).exterior])
    result = cut(points, triangles, [court])
    assert plan_area(result, 0) == pytest.approx(court.area, abs=WELDED)
    assert_sound(points, triangles, result)


def test_a_footprint_of_two_parts_is_cut_at_both() -> None:
    points, triangles = grid(10)
    both = shapely.MultiPolygon([shapely.box(1.3, 1.3, 3.6, 3.6), shapely.Polygon([(6, 6), (9, 9), (9, 6)])])
    result = cut(points, triangles, [both])
    assert plan_area(result, 0) == pytest.approx(both.area, abs=WELDED)
    assert_sound(points, triangles, result)


def test_touching_footprints_share_a_wall_that_is_cut_once() -> None:
    points, triangles = grid(10)
    left, right = shapely.box(1.5, 1.5, 5.25, 8.5), shapely.box(5.25, 2.5, 8.5, 7.5)
    assert len(polygon_edges(np.array([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)]))) == 7
    result = cut(points, triangles, [left, right])
    assert [plan_area(result, p) for p in (0, 1)] == pytest.approx([left.area, right.area], abs=WELDED)
    assert_sound(points, triangles, result)


def test_ground_under_two_footprints_goes_to_the_first() -> None:
    points, triangles = grid(10)
    first, second = shapely.box(1.5, 1.5, 5.5, 5.5), shapely.box(4.5, 4.5, 8.5, 8.5)
    result = cut(points, triangles, [first, second])
    assert plan_area(result, 0) == pytest.approx(16.0, abs=WELDED)
    assert plan_area(result, 1) == pytest.approx(15.0, abs=WELDED)


@pytest.mark.parametrize("polygons", [[], [None], [shapely.Polygon()], [shapely.box(100, 100, 110, 110)], [shapely.box(-9, -9, -5, -5)]])
def test_footprints_beside_the_mesh_leave_it_as_it_is(polygons: list[Any]) -> None:
    points, triangles = grid(3)
    result = cut(points, triangles, polygons)
    assert result.split == 0
    assert (result.polygon == -1).all()
    np.testing.assert_array_equal(result.points[result.triangles], points[triangles])


def test_a_footprint_larger_than_the_mesh_takes_all_of_it() -> None:
    points, triangles = grid(3)
    result = cut(points, triangles, [shapely.box(-9, -9, 50, 50)])
    assert result.split == 0
    assert (result.polygon == 0).all()


def test_an_empty_mesh_gives_an_empty_cut() -> None:
    result = cut(np.empty((0, 3)), np.empty((0, 3), int), [shapely.box(0, 0, 1, 1)])
    assert len(result.triangles) == len(result.source) == 0


def test_corners_that_are_not_finite_or_not_there_reject_their_triangles_only() -> None:
    points, triangles = grid(4)
    points = np.vstack([points, [[np.nan, 0, 0], [0, np.inf, 0]]])
    bad = np.array([[0, 1, 25], [1, 2, 26], [0, 1, 99], [-1, 0, 1]])
    result = cut(points, np.vstack([bad, triangles]), [shapely.box(0.5, 0.5, 3.5, 3.5)])
    assert result.rejected.tolist() == [0, 1, 2, 3]
    assert set(result.source.tolist()) == set(range(4, 4 + len(triangles)))
    assert area_of(result.points, result.triangles).sum() == pytest.approx(16.0, abs=EXACT)


def test_triangles_without_area_do_no_harm() -> None:
    points, triangles = grid(4)
    flat = np.array([[0, 0, 1], [0, 5, 10], [7, 7, 7]])  # a corner twice, three in a row, one point
    result = cut(points, np.vstack([triangles, flat]), [shapely.box(0.4, 0.4, 3.3, 2.7)])
    assert plan_area(result, 0) == pytest.approx(2.9 * 2.3, abs=WELDED)
    assert np.isfinite(result.points).all()
    assert area_of(result.points, result.triangles).sum() == pytest.approx(16.0, abs=WELDED)


def test_a_seam_of_doubled_points_is_no_seam_of_the_surface() -> None:
    points, triangles = grid(6)
    soup, faces = points[triangles].reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3)
    one = cut(points, triangles, [shapely.box(1.3, 1.4, 4.7, 3.9)])
    other = cut(soup, faces, [shapely.box(1.3, 1.4, 4.7, 3.9)])
    assert borders(one.triangles, len(one.points)) == borders(other.triangles, len(other.points))
    assert plan_area(other, 0) == pytest.approx(plan_area(one, 0), abs=EXACT)


@pytest.mark.parametrize("tile", [1, 7, 1000])
def test_the_size_of_the_tiles_changes_nothing(tile: int) -> None:
    rng = np.random.default_rng(4)
    points, triangles = grid(12, rng.uniform(0, 3, (13, 13)))
    shapes = [shapely.box(1.3, 1.7, 5.2, 6.1), shapely.Point(8, 7).buffer(2.6)]
    one, other = cut(points, triangles, shapes), cut(points, triangles, shapes, tile=tile)
    for name in ("points", "triangles", "source", "weights", "polygon", "by_tolerance"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_wall_that_bulges_belongs_to_the_building_within_the_tolerance_only() -> None:
    points, triangles = box()
    footprint = [shapely.box(0.05, 0.05, 3.95, 3.95)]
    wide, none = cut(points, triangles, footprint), cut(points, triangles, footprint, wall_tolerance=0.0)
    area = area_of(wide.points, wide.triangles)
    inside = 2 * 3.9**2
    walls = 4 * 4.0 * 3.0  # all of them stand 5 cm outside
    assert area[wide.polygon == 0].sum() == pytest.approx(inside + walls, abs=1e-6)
    assert area[wide.by_tolerance].sum() == pytest.approx(walls, abs=1e-6)
    assert not none.by_tolerance.any()
    assert area_of(none.points, none.triangles)[none.polygon == 0].sum() == pytest.approx(inside, abs=1e-6)
    far = cut(points, triangles, [shapely.box(0.2, 0.2, 3.8, 3.8)])
    assert not far.by_tolerance.any()


def test_values_of_corners_follow_exactly() -> None:
    rng = np.random.default_rng(2)
    points, triangles = grid(8, rng.uniform(0, 2, (9, 9)))
    uv = rng.uniform(0, 1, (len(triangles), 3, 2))  # every triangle its own: nothing to copy from a neighbour
    result = cut(points, triangles, [shapely.Point(4, 4).buffer(2.7)])
    got = result.at_corners(uv)
    corner, source = result.points[result.triangles], points[triangles][result.source]
    for row in range(len(got)):  # the slow way: solve the affine map of each source triangle
        map_ = np.linalg.lstsq(np.column_stack([source[row, :, :2], np.ones(3)]), uv[result.source[row]], rcond=None)[0]
        expected = np.column_stack([corner[row, :, :2], np.ones(3)]) @ map_
        np.testing.assert_allclose(got[row], expected, atol=1e-9 + ON_POINT * np.abs(map_[:2]).sum() * (row >= result.unchanged))


@st.composite
def scenes(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64], list[Any]]:
    """Draw a rough height field or a block, and one to three polygons that need not be convex, some with corners of the grid."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    points, triangles = grid(5, rng.uniform(0, 3, (6, 6))) if draw(st.booleans()) else box(5.0)
    if len(points) == 8:
        points[:, :2] += 0.0137  # no wall in the plane of a border: the tests above hold for that
    shapes = []
    for _ in range(draw(st.integers(1, 3))):
        angle = np.sort(rng.uniform(0, 2 * np.pi, draw(st.integers(3, 7))))
        radius = rng.uniform(0.3, 3.0, len(angle))
        corner = rng.uniform(0, 5, 2) + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        corner = np.round(corner, draw(st.sampled_from([0, 1, 12])))
        shape = shapely.Polygon(corner)
        if shape.is_valid and shape.area > 1e-3:
            shapes.append(shape)
    return points, triangles, shapes


def upright(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.bool_]:
    corner = points[triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return np.asarray(np.abs(normal[:, 2]) < 0.01 * np.linalg.norm(normal, axis=1))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(scenes())
def test_random_polygons_cut_as_shapely_does(scene: tuple[NDArray[np.float64], NDArray[np.int64], list[Any]]) -> None:
    points, triangles, shapes = scene
    result = cut(points, triangles, shapes, wall_tolerance=0.0)
    assert_sound(points, triangles, result)
    taken: Any = shapely.Polygon()
    unsure = np.where(upright(points, triangles), 6e-3, 0.0)  # m2: twice 1 mm of a wall 3 m high, at the tip of a footprint
    area = area_of(result.points, result.triangles)
    for number, shape in enumerate(shapes):
        mine = shape.difference(taken)
        taken = taken.union(shape)
        got = np.bincount(result.source, area * (result.polygon == number), len(triangles))
        at_wall, behind = oracle(points, triangles, mine, 1e-6), oracle(points, triangles, mine, 1e-3)
        # a wall is cut where it stands and belongs to what lies 1 mm behind it: a border between the two that is askew decides either way
        unsure += 2 * np.abs(at_wall - behind)
        assert (np.abs(got - behind) <= WELDED + unsure).all()


def test_options_that_make_no_sense_are_refused() -> None:
    points, triangles = grid(1)
    with pytest.raises(UsageError, match=r"wall_tolerance=-1"):
        cut(points, triangles, [], wall_tolerance=-1)
    with pytest.raises(UsageError, match=r"tile=0"):
        cut(points, triangles, [], tile=0)
    with pytest.raises(UsageError, match=r"shape \(1, 4\)"):
        cut(points, [[0, 1, 2, 3]], [])


def test_the_kernels_stay_inside_their_arrays() -> None:
    """numba does not check bounds unless told to; a child process is told, without the cache."""
    code = (
        "import numpy as np, shapely\n"
        "from cim.loaders.cutting import cut\n"
        "x, y = np.meshgrid(np.arange(7.0), np.arange(7.0), indexing='ij')\n"
        "p = np.column_stack([x.ravel(), y.ravel(), np.sin(x * y).ravel()])\n"
        "a = np.arange(49).reshape(7, 7); b = a[:-1, :-1].ravel()\n"
        "t = np.concatenate([np.column_stack([b, b + 7, b + 8]), np.column_stack([b, b + 8, b + 1])])\n"
        "b = shapely.box\n"
        "for s in ([], [b(99, 99, 100, 100)], [b(0, 0, 6, 6)], [shapely.Point(3, 3).buffer(2)], [b(-5, 2, 50, 3)]):\n"
        "    r = cut(p, t, s); assert len(r.triangles) >= len(t)\n"
        "print('done')\n"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # plain Python: every index is checked by numpy
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "done"
