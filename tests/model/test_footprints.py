"""Footprints and heights from geometry, against shapes whose shadow is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.model.footprints import derive_places, union_by_group
from cim.model.geometry import boundaries_from, extrude, vertices_from

YARD = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(3, 3), (3, 6), (6, 6), (6, 3)]])


def blocks(shapes: list[shapely.Geometry], low: float, high: float, *, lod: str = "1") -> pa.Table:
    made = extrude(shapes, low, high)
    return made.table().append_column("object", pa.array(made.row)).append_column("lod", pa.repeat(lod, len(made.row)))


def surfaces(faces: list[list[tuple[float, float, float]]], *, kind: str = "MultiSurface", lod: str = "2") -> pa.Table:
    points = [corner for face in faces for corner in face]
    boundaries = boundaries_from(range(len(points)), [len(face) for face in faces], [1] * len(faces), [len(faces)], [1], [1])
    columns = {
        "type": [kind],
        "vertices": vertices_from(np.array(points), [len(points)]),
        "boundaries": boundaries,
        "object": [0],
        "lod": [lod],
    }
    return pa.table(columns)


def test_a_block_stands_on_its_footprint_holes_included() -> None:
    place = derive_places(blocks([YARD, shapely.box(20, 0, 21, 1)], 5.0, 8.0), 2)
    assert shapely.equals(place.footprint, np.array([YARD, shapely.box(20, 0, 21, 1)])).all()
    assert place.z_ground.tolist() == [5.0, 5.0]
    assert place.z_roof.tolist() == [8.0, 8.0]


def test_the_finest_level_of_detail_decides() -> None:
    both = pa.concat_tables(
        [blocks([shapely.box(0, 0, 9, 9)], 0.0, 3.0, lod="1.2"), blocks([shapely.box(0, 0, 8, 8)], 1.0, 4.0, lod="2.2")]
    )
    place = derive_places(both, 1)
    assert (place.footprint[0].area, place.z_ground[0], place.z_roof[0]) == (64.0, 1.0, 4.0)


@pytest.mark.parametrize("turned", [False, True])
def test_many_geometries_are_looked_at_in_blocks_that_change_nothing(monkeypatch: pytest.MonkeyPatch, *, turned: bool) -> None:
    at = np.repeat(np.arange(40.0), 2)  # two blocks side by side for each object: a block of the work never ends between them
    table = blocks(list(shapely.box(at * 3 + np.tile([0, 1], 40), 0, at * 3 + np.tile([1, 2], 40), at + 1)), 1.0, 4.0)
    table = table.set_column(table.column_names.index("object"), "object", pa.array(np.repeat(np.arange(40), 2)))
    if turned:
        table = table.take(pa.array([*range(0, 80, 2), *range(1, 80, 2)]))  # those of an object lie apart
    ground = np.tile([True, False, False, False, False, False], 80)
    whole = derive_places(table, 40, ground=ground, known=(np.array([5]), shapely.box([6], 0, 7, 9)))
    monkeypatch.setattr("cim.model.footprints._BLOCK", 7)
    parts = derive_places(table, 40, ground=ground, known=(np.array([5]), shapely.box([6], 0, 7, 9)))
    assert shapely.equals(parts.footprint, whole.footprint).all()
    assert parts.z_ground.tolist() == whole.z_ground.tolist() == [1.0] * 40
    assert parts.z_roof.tolist() == whole.z_roof.tolist() == [4.0] * 40
    untouched = np.delete(np.arange(40), [2, 5])
    assert shapely.area(parts.footprint[untouched]).tolist() == (2.0 * (untouched + 1)).tolist()


def test_ground_surfaces_win_over_overhanging_roofs() -> None:
    ground = [(0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (2.0, 2.0, 0.0), (2.0, 0.0, 0.0)]
    roof = [(-1.0, -1.0, 3.0), (3.0, -1.0, 3.0), (3.0, 3.0, 3.0), (-1.0, 3.0, 3.0)]
    table = surfaces([ground, roof])
    assert derive_places(table, 1, ground=[True, False]).footprint[0].area == 4.0
    assert derive_places(table, 1).footprint[0].area == 16.0


def test_vertical_walls_cast_no_shadow_and_flat_surfaces_have_no_roof() -> None:
    wall = [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (2.0, 0.0, 3.0), (0.0, 0.0, 3.0)]
    assert derive_places(surfaces([wall]), 1).footprint[0] is None
    square = [(0.0, 0.0, 1.0), (2.0, 0.0, 1.0), (2.0, 2.0, 1.0), (0.0, 2.0, 1.0)]
    place = derive_places(surfaces([square]), 1)
    assert place.z_ground[0] == 1.0
    assert np.isnan(place.z_roof[0])


def test_a_steep_road_has_no_roof_but_a_solid_of_any_class_has() -> None:
    slope = surfaces([[(0.0, 0.0, 1.0), (2.0, 0.0, 1.0), (2.0, 2.0, 4.0), (0.0, 2.0, 4.0)]])
    assert np.isnan(derive_places(slope, 1, types=["Road"]).z_roof[0])
    assert derive_places(slope, 1, types=["Building"]).z_roof[0] == 4.0
    assert derive_places(blocks([shapely.box(0, 0, 1, 1)], 0.0, 2.0), 1, types=["PlantCover"]).z_roof[0] == 2.0


def test_a_whole_without_geometry_stands_where_its_parts_stand() -> None:
    parts = blocks([shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1)], 2.0, 5.0)
    parts = parts.set_column(parts.column_names.index("object"), "object", pa.array([2, 3]))
    place = derive_places(parts, 4, parent=[-1, 0, 1, 1])
    assert shapely.equals(place.footprint[0], shapely.box(0, 0, 2, 1))
    assert (place.z_ground[0], place.z_roof[0]) == (2.0, 5.0)
    assert place.from_parts.tolist() == [True, True, False, False]


def test_lines_and_points_keep_their_kind() -> None:
    line = surfaces([[(0.0, 0.0, 0.0), (3.0, 4.0, 0.0)]], kind="MultiLineString", lod="0")
    assert derive_places(line, 1).footprint[0].length == 5.0
    points = surfaces([[(1.0, 2.0, 3.0)], [(4.0, 5.0, 6.0)]], kind="MultiPoint", lod="0")
    assert derive_places(points, 1).footprint[0].geom_type == "MultiPoint"


def test_a_bow_tie_and_a_ring_of_two_corners_do_no_harm() -> None:
    tie = [(0.0, 0.0, 0.0), (2.0, 2.0, 0.0), (2.0, 0.0, 0.0), (0.0, 2.0, 0.0)]
    place = derive_places(surfaces([[*tie], [(0.0, 0.0, 0.0), (1.0, 1.0, 0.0)]]), 1)
    assert place.footprint[0] is None or place.footprint[0].is_valid


@settings(max_examples=40, deadline=None)  # the first call loads the geometry library
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_the_union_by_group_is_the_union_of_each_group(squares: list[tuple[int, int, int]]) -> None:
    group = np.array([g for g, _, _ in squares])
    shapes = shapely.box(
        [x for _, x, _ in squares], [y for _, _, y in squares], [x + 2 for _, x, _ in squares], [y + 2 for _, _, y in squares]
    )
    groups, merged = union_by_group(shapes, group)
    assert groups.tolist() == sorted(set(group.tolist()))
    for one, shape in zip(groups.tolist(), merged, strict=True):
        cells = {(x + a, y + b) for g, x, y in squares if g == one for a in (0, 1) for b in (0, 1)}
        assert shape.area == pytest.approx(len(cells), abs=1e-9)  # whole numbers, exact but for summation


@pytest.mark.data
def test_delft_roofs_are_the_tops_of_its_blocks(shared_data: Callable[..., object]) -> None:
    import json
    from pathlib import Path

    from cim.loaders.cityjson import READER
    from cim.loaders.protocol import ReadOptions

    path = Path(str(shared_data("city", "delft", "delft_3dfier_v1.0.city.json")))
    file = json.loads(path.read_bytes())
    city = READER.read(path, ReadOptions())
    buildings = city.table("Building")
    assert len(buildings) == 160
    for id, members in file["CityObjects"].items():
        if members["type"] == "Building":
            heights = [file["vertices"][k][2] for face in members["geometry"][0]["boundaries"][0] for k in face[0]]
            assert buildings.loc[id, "z_roof"] == max(heights)
            assert buildings.loc[id, "z_ground"] == min(heights)
    assert buildings.geometry.is_valid.all()
    assert not buildings.geometry.is_empty.any()
