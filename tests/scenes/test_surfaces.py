"""What lies on the ground is laid there, each layer above the one below it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.model import CityBuilder
from cim.model.geometry import boundaries_from, vertices_from
from cim.scenes import Scene


def above_ground(scene: Scene, name: str) -> np.ndarray:
    points = scene.layer(name).points
    return points[:, 2] - scene.context.ground.at(points[:, 0], points[:, 1])


def test_layers_keep_their_order_above_the_ground(scene: Scene) -> None:
    lifts = [above_ground(scene, name) for name in ("landuse", "vegetation", "roads", "other")]
    for lift in lifts:
        assert np.ptp(lift) < 1e-9
    assert np.all(np.diff([lift[0] for lift in lifts]) > 0.05)


def test_areas_keep_their_size_in_plan(scene: Scene) -> None:
    layer = scene.layer("landuse")
    a, b, c = (layer.points[layer.triangles[:, corner], :2] for corner in range(3))
    area = np.abs((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])).sum() / 2
    assert area == pytest.approx(104 * 106)


def test_a_river_is_level_at_its_banks_and_covers_its_bed(scene: Scene) -> None:
    layer = scene.layer("water")
    bed = scene.context.ground.at(layer.points[:, 0], np.full(len(layer.points), 100.0))  # along the middle of the river
    assert (layer.points[:, 2] - bed).min() > 1.5  # the bed lies 2 m below the banks


def test_a_railway_given_as_a_line_is_drawn_as_a_ribbon(scene: Scene) -> None:
    layer = scene.layer("roads")
    (row,) = np.flatnonzero(layer.ids == "rail")
    points = layer.points[np.unique(layer.triangles[layer.cell_object == row])]
    assert np.ptp(points[:, 0]) == pytest.approx(300, abs=1)
    assert {entry.label.en: entry.count for entry in layer.legend.entries} == {"road": 5, "railway": 1}


def test_what_has_no_layer_of_its_own_is_drawn_as_other(scene: Scene) -> None:
    assert scene.layer("other").ids.tolist() == ["bench"]


def test_plots_have_an_outline_of_their_border_only(scene: Scene) -> None:
    layer = scene.layer("landuse")
    assert layer.edges is not None
    ends = layer.points[layer.edges]
    middle = ends[:, :, :2].mean(axis=1)
    low, high = layer.points[:, :2].min(axis=0), layer.points[:, :2].max(axis=0)
    assert (np.isclose(middle, low) | np.isclose(middle, high)).any(axis=1).all()


def test_without_a_terrain_roads_keep_their_own_heights() -> None:
    builder = CityBuilder("EPSG:4549")
    (key,) = builder.add_objects("Road", ["ramp"], footprints=[shapely.box(5e5, 3e6, 5e5 + 10, 3e6 + 4)])
    corner = np.array([(5e5, 3e6, 1.0), (5e5 + 10, 3e6, 2.0), (5e5 + 10, 3e6 + 4, 2.0), (5e5, 3e6 + 4, 1.0)])
    builder.add_geometries(
        [key],
        lod="1",
        role="multi_surface",
        type="MultiSurface",
        vertices=vertices_from(corner, [4]),
        boundaries=boundaries_from([0, 1, 2, 3], [4], [1], [1], [1], [1]),
    )
    assert sorted(set(Scene(builder.build()).layer("roads").points[:, 2])) == [1.0, 2.0]


def test_an_object_without_a_shape_is_counted_not_lost() -> None:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Road", ["a", "b"], footprints=[shapely.box(5e5, 3e6, 5e5 + 10, 3e6 + 4), None])
    layer = Scene(builder.build()).layer("roads")
    assert len(layer) == 2
    assert [note.en for note in layer.notes] == ["1 have no area or line and are not drawn"]


def test_a_mixed_collection_is_drawn_by_its_areas() -> None:
    area, line = shapely.box(5e5, 3e6, 5e5 + 10, 3e6 + 4), shapely.LineString([(5e5, 3e6), (5e5 + 90, 3e6)])
    shapes = [shapely.GeometryCollection([line, shapely.MultiPolygon([area])]), shapely.GeometryCollection([line, shapely.Point(5e5, 3e6)])]
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Road", ["area", "line"], footprints=shapes)
    layer = Scene(builder.build()).layer("roads")
    flat = shapely.area(shapely.polygons(layer.points[layer.triangles][:, :, :2]))
    size = dict(zip(layer.ids.tolist(), np.bincount(layer.cell_object, flat).tolist(), strict=True))
    assert size == pytest.approx({"area": 40.0, "line": 90 * 6.0})  # a road without a width is drawn 6 m wide


def test_trees_stand_on_the_ground_with_their_height(scene: Scene) -> None:
    layer = scene.layer("trees")
    (row,) = np.flatnonzero(layer.ids == "t19")
    points = layer.points[np.unique(layer.triangles[layer.cell_object == row])]
    middle = points[:, :2].mean(axis=0)
    assert np.ptp(points[:, 2]) == pytest.approx(12.0)
    assert points[:, 2].min() == pytest.approx(scene.context.ground.at(middle[:1], middle[1:])[0], abs=0.05)  # the trunk is 0.5 m wide
    assert [note.en for note in layer.notes] == ["10 have no height and are drawn 8 m high"]
