"""What is laid on the ground follows it, without gaps."""

from __future__ import annotations

import numpy as np
import shapely

from cim.scenes.drape import drape, refine, ribbon
from cim.scenes.faces import plates
from cim.scenes.ground import Ground


def hilly() -> Ground:
    x = y = np.arange(0.0, 101.0, 2.0)
    east, north = np.meshgrid(x, y)
    return Ground(0.0, 10 * np.exp(-((east - 50) ** 2 + (north - 50) ** 2) / 200), x, y)


SQUARE = np.array([shapely.box(5, 5, 95, 95)], object)


def test_triangles_stay_within_ten_centimetres_of_the_ground() -> None:
    ground = hilly()
    points, triangles, _, _ = drape(SQUARE, ground, 0.0)
    rng = np.random.default_rng(0)
    share = rng.dirichlet([1, 1, 1], size=(len(triangles), 8))
    at = np.einsum("mks,msc->mkc", share, points[triangles]).reshape(-1, 3)
    away = np.abs(ground.at(at[:, 0], at[:, 1]) - at[:, 2])
    assert np.percentile(away, 99.5) < 0.10  # edges are held to 0.06 m; inside a triangle a little more
    assert away.max() < 0.25  # less than the lift of any layer above the terrain plus its neighbour


def test_splitting_keeps_the_area_and_opens_no_gap() -> None:
    flat = plates(SQUARE)
    points, triangles, _ = refine(flat.points, flat.triangles, flat.row, hilly())
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    area = ((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])) / 2
    assert (area > 0).all()
    assert np.isclose(area.sum(), 8100.0)
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    border = points[unique[count == 1]]
    on_border = np.isin(border, [5.0, 95.0]).any(axis=2)
    assert on_border.all()  # an edge used once lies on the outline: inside, every edge has two triangles
    assert count.max() == 2


def test_flat_ground_needs_no_more_triangles_than_the_shape_has() -> None:
    x = np.arange(0.0, 101.0, 10.0)
    level = Ground(0.0, np.full((11, 11), 3.0), x, x)
    points, triangles, row, failed = drape(SQUARE, level, 0.2)
    assert (len(triangles), failed) == (2, 0)
    assert (points[:, 2] == 3.2).all()
    assert row.tolist() == [0, 0]


def test_lines_become_ribbons_of_their_width() -> None:
    (made,) = ribbon(np.array([shapely.LineString([(0, 0), (10, 0)])], object), 4.0)
    assert made.area == 40.0
