"""Buildings are drawn once, with the best they have."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely

from cim.errors import ObjectNotFoundError
from cim.model import City, CityBuilder
from cim.model.geometry import extrude
from cim.scenes import Categorical, Scene
from cim.scenes.solids import finest
from cim.scenes.style import MISSING


def rows_of(scene: Scene, id: str, layer: str = "buildings") -> np.ndarray:
    found = scene.layer(layer)
    (row,) = np.flatnonzero(found.ids == id)
    return np.asarray(found.triangles[found.cell_object == row])


def test_a_block_stands_between_ground_and_roof(scene: Scene, city: City) -> None:
    layer = scene.layer("buildings")
    z = layer.points[rows_of(scene, "b5").ravel(), 2]
    core = city["b5"].core
    assert (z.min(), z.max()) == pytest.approx((core["z_ground"], core["z_roof"]))


def test_a_building_with_a_drawn_part_is_not_drawn_again(scene: Scene) -> None:
    assert len(rows_of(scene, "whole")) == 0
    assert len(rows_of(scene, "part")) == 10  # roof and four walls; the floor is left out


def test_a_building_without_height_lies_flat_and_is_counted(scene: Scene) -> None:
    layer = scene.layer("buildings")
    points = layer.points[rows_of(scene, "b7").ravel()]
    assert points[:, 2] == pytest.approx(scene.context.ground.at(points[:, 0], points[:, 1]) + 0.5)
    assert "1 have no height and are drawn flat" in [note.en for note in layer.notes]


def test_every_vertex_belongs_to_one_object(scene: Scene) -> None:
    for layer in scene.layers:
        assert (layer.point_object[layer.triangles] == layer.cell_object[:, None]).all(), layer.name


def test_the_finest_solid_is_chosen_and_footprints_never() -> None:
    kinds = ["Solid", "MultiSurface", "Solid", "MultiSurface", "MultiSurface"]
    table = pa.table(
        {
            "object": [1, 1, 1, 2, 3],
            "lod": ["1.2", "2.2", "2.2", "0", "2"],
            "role": ["solid", "multi_surface", "solid", "footprint", "mesh"],
            "type": kinds,
        }
    )
    assert finest(table).tolist() == [2, 4]


def test_geometry_far_from_the_origin_of_the_model_lands_where_the_footprint_is() -> None:
    builder = CityBuilder("EPSG:4549", origin=[0.0, 0.0, 0.0])
    shape = shapely.box(40_513_000, 3_545_000, 40_513_010, 3_545_010)
    (key,) = builder.add_objects("Building", ["far"], footprints=[shape])
    block = extrude([shape], 2.0, 9.0)
    builder.add_geometries([key], lod="1", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    layer = Scene(builder.build()).layer("buildings")
    assert np.abs(layer.points[:, :2]).max() <= 10  # metres: small enough for float32 to hold a tenth of a millimetre
    assert sorted(set(layer.points[:, 2])) == [2.0, 9.0]


def test_colours_follow_an_attribute_with_its_unit(scene: Scene, city: City) -> None:
    layer = scene.color_by("height").layer("buildings")
    assert layer.legend.unit == "m"
    assert layer.legend.title.zh == "建筑：高度"
    assert layer.values is not None
    assert layer.values[layer.ids == "b3"][0] == pytest.approx(city["b3"].attributes["height"])
    assert layer.colours[layer.ids == "b7"].tolist() == [list(MISSING)]
    assert scene.layer("buildings").values is None  # the scene before is unchanged


def test_colours_of_words_are_counted(scene: Scene) -> None:
    legend = scene.color_by("use", style=Categorical()).layer("buildings").legend
    assert {entry.label.en: entry.count for entry in legend.entries} == {"residential": 15, "office": 8, "school": 1, "no value": 3}


def test_colouring_by_class_comes_back(scene: Scene) -> None:
    assert (scene.color_by("height").color_by(None).layer("buildings").colours == scene.layer("buildings").colours).all()


def test_an_attribute_nobody_has_is_refused_by_name(scene: Scene) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"'storeys'; there are .*height"):
        scene.color_by("storeys")


def test_walls_are_darker_at_their_foot(scene: Scene) -> None:
    layer = scene.layer("buildings")
    assert layer.point_shade is not None
    corners = rows_of(scene, "b24").ravel()
    z = layer.points[corners, 2]
    assert layer.point_shade[corners][z == z.min()].max() < layer.point_shade[corners][z == z.max()].min()
