"""A building is opened: storeys pulled apart, or one cut open with its rooms coloured and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.model.geometry import extrude
from cim.scenes import Picker, Scene, id_buffer
from cim.scenes.page import page
from cim.scenes.still import render

CRS = "EPSG:4549"
X0, Y0 = 500_000.0, 3_460_000.0
SIZE = (400, 400)


def add_blocks(builder: CityBuilder, keys: np.ndarray, boxes: list[tuple[float, ...]]) -> None:
    """Add upright blocks: west, south, east, north, bottom, top."""
    shapes = [shapely.box(X0 + w, Y0 + s, X0 + e, Y0 + n) for w, s, e, n, _, _ in boxes]
    made = extrude(shapes, [box[4] for box in boxes], [box[5] for box in boxes])
    builder.add_geometries(keys, lod="3", role="solid", type=made.type, vertices=made.vertices, boundaries=made.boundaries)


@pytest.fixture(scope="module")
def city() -> City:
    """A house of two storeys of 3 m with a wall and two rooms each; another house beside it."""
    builder = CityBuilder(CRS, name="house")
    footprints = [shapely.box(X0, Y0, X0 + 10, Y0 + 10), shapely.box(X0 + 20, Y0, X0 + 30, Y0 + 10)]
    builder.add_objects("Building", ["house", "other"], footprints=footprints, z_ground=[0.0, 0.0], z_roof=[6.0, 6.0])
    builder.add_objects("BuildingStorey", ["s0", "s1"], parents=["house"] * 2, names=["一层 Ground", "二层 First"], z_ground=[0.0, 3.0])
    walls = builder.add_objects("BuildingConstructiveElement", ["wall0", "wall1"], parents=["s0", "s1"])
    add_blocks(builder, walls, [(0, 9.8, 10, 10, 0, 3), (0, 9.8, 10, 10, 3, 6)])
    rooms = builder.add_objects("BuildingRoom", ["r0", "r1", "r2", "r3"], parents=["s0", "s0", "s1", "s1"], names=["厨房", "B", "C", "D"])
    add_blocks(builder, rooms, [(0, 0, 5, 9, z, z + 2.8) if west else (5, 0, 10, 9, z, z + 2.8) for z in (0, 3) for west in (True, False)])
    builder.add_attributes(rooms, "BuildingRoom", {"function": Column(["kitchen", "office", "office", None])})
    return builder.build()


def test_the_house_is_drawn_by_its_elements_from_outside(city: City) -> None:
    layer = Scene(city).layer("buildings")
    assert sorted(layer.ids[np.unique(layer.cell_object)].tolist()) == ["other", "wall0", "wall1"]


def test_storeys_are_pulled_apart_by_the_gap_and_named(city: City) -> None:
    scene = Scene(city).explode("house", gap=5.0)
    layer = scene.layer("storeys")
    tops = {id: float(layer.points[layer.point_object == row, 2].max()) for row, id in enumerate(layer.ids.tolist())}
    assert tops == {"wall0": 3.0, "wall1": 11.0}
    assert [label.text.zh for label in layer.labels] == ["一层 Ground", "二层 First"]
    assert layer.labels[1].xyz[2] > 8.0
    kept = scene.layer("buildings")
    assert kept.ids[np.unique(kept.cell_object)].tolist() == ["other"]
    rooms = scene.layer("rooms")
    assert sorted({round(z, 2) for z in rooms.points[:, 2].tolist()}) == [0.05, 8.05]


def test_one_storey_is_cut_open_above_its_floor(city: City) -> None:
    scene = Scene(city).storey("house", "二层 First")
    layer = scene.layer("storeys")
    assert set(layer.ids[np.unique(layer.cell_object)].tolist()) == {"wall1"}
    assert (layer.points[:, 2].min(), layer.points[:, 2].max()) == (3.0, pytest.approx(4.2))
    corner = layer.points[layer.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    # the four sides of a wall of 10 by 0.2 m, 1.2 m high; facing outwards as before the cut
    assert np.linalg.norm(normal[np.abs(normal[:, 2]) < 1e-9], axis=1).sum() / 2 == pytest.approx(2 * (10 + 0.2) * 1.2)
    north = np.isclose(corner[:, :, 1].min(axis=1), corner[:, :, 1].max(axis=1)) & (
        corner[:, :, 1].max(axis=1) > layer.points[:, 1].max() - 0.01
    )
    assert (normal[north, 1] > 0).all()


def test_rooms_are_coloured_by_function_and_named(city: City) -> None:
    rooms = Scene(city, language="zh").storey("house", "s0").layer("rooms")
    assert rooms.ids.tolist() == ["r0", "r1"]
    assert [(entry.label.en, entry.count) for entry in rooms.legend.entries] == [("kitchen", 1), ("office", 1)]
    assert [label.text.zh for label in rooms.labels] == ["厨房 kitchen", "B office"]
    west = rooms.labels[0].xyz
    assert west[0] - rooms.points[:, 0].min() == pytest.approx(2.5)
    corner = rooms.points[rooms.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert normal[:, 2].sum() / 2 == pytest.approx(90.0)  # all face upwards


@pytest.mark.usefixtures("can_draw")
def test_the_colour_of_a_room_is_seen_from_above_and_a_click_names_it(city: City) -> None:
    scene = Scene(city).storey("house", "s0")
    rooms = scene.layer("rooms")
    camera = scene.camera(SIZE, around=["r0", "r1"], azimuth=0, elevation=80)
    picture, picker, drawn = render(scene, camera, SIZE, smooth=False), Picker(scene, camera, SIZE), id_buffer(scene, camera, SIZE)
    for row, label in enumerate(rooms.labels):
        column, line, _ = camera.project([label.xyz], SIZE)[0].round().astype(int)
        assert picture[line, column].tolist() == rooms.colours[row].tolist()
        pick = picker.pick(column, line)
        assert pick is not None
        assert (pick.layer, pick.id) == ("rooms", rooms.ids[row])
        assert drawn.object_at(column, line) == ("rooms", row)


def test_names_of_rooms_reach_the_page_as_text(city: City) -> None:
    document = page(Scene(city).storey("house", "s0"))
    assert '"labels": [{"text": {"en": "厨房 kitchen", "zh": "厨房 kitchen"}' in document


def test_what_cannot_be_opened_is_named(city: City) -> None:
    scene = Scene(city)
    with pytest.raises(UsageError, match="'other' has no storeys"):
        scene.explode("other")
    with pytest.raises(UsageError, match="gap=-1"):
        scene.explode("house", gap=-1)
    with pytest.raises(ObjectNotFoundError, match="no storey 'attic'; there are 一层 Ground, 二层 First"):
        scene.storey("house", "attic")
    with pytest.raises(ObjectNotFoundError):
        scene.explode("nowhere")


@pytest.mark.data
def test_the_duplex_has_four_storeys_and_its_rooms(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    city = read(shared_data("city", "ifc_buildings", "Duplex_A.ifc"), crs="local")
    (building,) = city.ids(city.keys("Building"))
    scene = Scene(city).explode(building)
    assert sorted(label.text.en for label in scene.layer("storeys").labels) == ["Level 1", "Level 2", "Roof", "T/FDN"]
    assert len(scene.layer("rooms")) == 21
    assert len(Scene(city).storey(building, "Level 1").layer("rooms")) == 10
