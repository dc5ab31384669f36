"""The compiled checks of solids and the chained outlines say what the array operations and GEOS say."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model import geometry, solids
from cim.model.footprints import polygons_of_surfaces, union_by_group
from cim.model.geometry import extrude, flatten, ring_normals, vertices_from
from cim.model.outlines import merged, rings_of

ROUND_OFF = 1e-9
"""Volumes of 1e3 m3 and distances of 10 m, some dozen operations of 1e-16 each."""


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "COMPILED_FROM", 0)
    monkeypatch.setattr(geometry, "LOADED_FROM", 0)


def blocks(rng: np.random.Generator, count: int) -> pa.Table:
    """Return star-shaped blocks, some with a yard."""
    shapes = []
    for _ in range(count):
        angle = np.sort(rng.choice(40, rng.integers(3, 12), replace=False)) * 2 * np.pi / 40
        reach = rng.uniform(2, 8, len(angle))
        ring = np.column_stack([reach * np.cos(angle), reach * np.sin(angle)]) + rng.uniform(-100, 100, 2)
        shape = shapely.make_valid(shapely.polygons(ring))
        hole = shapely.centroid(shape).buffer(0.2, quad_segs=1)
        shapes.append(shape.difference(hole) if rng.random() < 0.3 else shape)
    return extrude(np.asarray(shapes, object), 0.0, rng.uniform(2, 9, count)).table()


def damaged(table: pa.Table, rng: np.random.Generator, kind: str) -> pa.Table:
    """Return geometries with corners moved, or laid on a coarse grid where they fall together."""
    flat = flatten(table)
    points = flat.vertices.copy()
    if kind == "moved":
        hit = rng.random(len(points)) < 0.05
        points[hit] += rng.normal(0, 2, (int(hit.sum()), 3))
    if kind == "coarse":
        points = np.round(points / 2) * 2
    place = table.column_names.index("vertices")
    return table.set_column(place, "vertices", vertices_from(points, np.diff(flat.vertex_start)))


@pytest.mark.parametrize("kind", ["sound", "moved", "coarse", "open"])
def test_the_compiled_checks_find_what_the_array_operations_find(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    table = damaged(blocks(rng, 300), rng, kind)
    if kind == "open":
        surfaces = [[[shell[:-1] for shell in solid] for solid in one] for one in table["boundaries"].to_pylist()]
        table = table.set_column(table.column_names.index("boundaries"), "boundaries", pa.array(surfaces, table["boundaries"].type))
    fast, fast_normals = solids.check_solids(table).table, ring_normals(flatten(table))
    monkeypatch.setattr(geometry, "COMPILED_FROM", 1 << 60)
    slow, slow_normals = solids.check_solids(table).table, ring_normals(flatten(table))
    for name in ("row", "closed", "oriented", "codes", "faulty"):
        assert fast[name].equals(slow[name]), name
    for name in ("planar_error", "volume"):
        assert fast[name].is_null().equals(slow[name].is_null())
        assert np.allclose(fast[name].to_numpy(), slow[name].to_numpy(), rtol=0, atol=ROUND_OFF, equal_nan=True), name
    assert np.allclose(fast_normals, slow_normals, rtol=0, atol=ROUND_OFF)
    assert kind == "sound" or len(pa.compute.list_flatten(slow["codes"])) > 20  # there was something to find


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=9), st.sampled_from([1.0, 0.1, 1 / 3]))
def test_a_ring_called_simple_is_one(corners: list[tuple[int, int]], scale: float) -> None:
    from cim.model._kernels import simple

    ring = np.asarray(corners, float) * scale
    x, y = np.ascontiguousarray(ring[:, 0]), np.ascontiguousarray(ring[:, 1])
    if simple(x, y, len(ring)):
        assert shapely.is_valid(shapely.polygons(ring))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=7), min_size=1, max_size=4))
def test_polygons_of_surfaces_are_the_same_without_compiled_loops(rings: list[list[tuple[int, int]]]) -> None:
    index: list[list[int]] = []
    points: list[tuple[float, float, float]] = []
    for ring in rings:
        index.append(list(range(len(points), len(points) + len(ring))))
        points += [(float(x), float(y), 0.0) for x, y in ring]
    table = pa.table({"vertices": vertices_from(np.array(points), [len(points)]), "boundaries": [[[[[ring] for ring in index]]]]})
    flat, picked = flatten(table), np.ones(len(rings), bool)
    shapes, rows = polygons_of_surfaces(flat, picked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "COMPILED_FROM", 1 << 60)
        plain, plain_rows = polygons_of_surfaces(flat, picked)
    assert rows.tolist() == plain_rows.tolist()
    assert shapely.equals_exact(shapes, plain, 0.0).all()


@settings(max_examples=60, deadline=None)
@given(cells=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=18), overlap=st.booleans())
def test_a_chained_outline_is_the_union(cells: set[tuple[int, int]], *, overlap: bool) -> None:
    x, y = np.asarray(sorted(cells), float).T
    shapes = np.asarray(shapely.box(x, y, x + 1, y + 1), object)
    if overlap:
        shapes[0] = shapely.box(x[0], y[0], x[0] + 1.5, y[0] + 1)
    rings = rings_of(shapes, np.array([0, len(shapes)]))
    assert rings is not None
    made = merged(rings)
    assert made is not None
    union = shapely.union_all(shapes)
    if made[0] is not None:
        assert shapely.equals(made[0], union)
        assert np.isclose(shapely.area(made[0]), shapely.area(shapes).sum())
    assert shapely.equals(union_by_group(shapes, np.zeros(len(shapes)))[1][0], union)


def test_a_sheet_of_triangles_with_a_hole_becomes_one_polygon() -> None:
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.uniform(0, 10, (300, 2)), [[0, 0], [10, 0], [10, 10], [0, 10]]])
    triangles = np.asarray(shapely.get_parts(shapely.delaunay_triangles(shapely.multipoints(points))), object)
    kept = triangles[~shapely.intersects(triangles, shapely.Point(5, 5).buffer(1))]
    rings = rings_of(kept, np.array([0, len(kept)]))
    made = merged(rings) if rings is not None else None
    assert made is not None
    assert made[0] is not None
    assert len(made[0].interiors) == 1
    assert shapely.equals(made[0], shapely.union_all(kept))
