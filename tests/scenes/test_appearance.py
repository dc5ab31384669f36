"""Faces show the images and materials of their source: each pixel the right colour, upright, not mirrored; clicks name the same object."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from PIL import Image

from cim.model import City, CityBuilder
from cim.model.geometry import boundaries_from, extrude, mesh_columns, vertices_from
from cim.scenes import Camera, Picker, Scene, id_buffer, pictures
from cim.scenes.page import page, within_budget
from cim.scenes.still import render

CRS = "EPSG:4549"
X0, Y0 = 500_000.0, 3_460_000.0
RED, GREEN, BLUE, YELLOW, WHITE = (200, 40, 40), (60, 150, 60), (40, 40, 200), (220, 200, 40), (240, 240, 240)
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)
SIZE = (400, 400)
ROUNDING = 3  # of a byte: light, image and filter


def quarters(path: Path, *, inverted: bool = False) -> Path:
    """Red upper left, blue upper right, yellow lower left, green lower right; no quarter alike, so turning or mirroring shows."""
    image = np.empty((64, 64, 3), np.uint8)
    image[:32, :32], image[:32, 32:], image[32:, :32], image[32:, 32:] = RED, BLUE, YELLOW, GREEN
    Image.fromarray(255 - image if inverted else image).save(path)
    return path


def uv_column(values: list[list[tuple[float, float]]]) -> pa.Array:
    flat = np.array([pair for one in values for pair in one], float)
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), 2)
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum([len(one) for one in values])]).astype(np.int32), pairs)


def walls(builder: CityBuilder, keys: Any, offset: list[float], role: str = "mesh") -> Any:
    """Upright walls of 10 by 10 m seen from the south, each with a second face of 10 by 10 m beside it to the east."""
    one = np.array([[0.0, 0, 0], [10, 0, 0], [10, 0, 10], [0, 0, 10], [20, 0, 0], [20, 0, 10]])
    points = np.concatenate([one + np.array([X0 + at, Y0, 0]) for at in offset])
    index = [0, 1, 2, 3, 1, 4, 5, 2] * len(offset)
    count = len(offset)
    one_each = np.ones(count, int)
    return builder.add_geometries(
        keys, lod="3", role=role, type="MultiSurface", vertices=vertices_from(points, 6 * one_each),
        boundaries=boundaries_from(index, np.full(2 * count, 4), np.ones(2 * count, int), 2 * one_each, one_each, one_each),
    )  # fmt: skip


SQUARE = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
NONE = [(float("nan"), float("nan"))] * 4


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Two meshes with an image each and a material beside it; the second image is lost in a third."""
    folder = tmp_path_factory.mktemp("images")
    builder = CityBuilder(CRS, name="walls")
    keys = builder.add_objects("GenericOccupiedSpace", ["a", "b", "c"])
    geometries = walls(builder, keys, [0.0, 30.0, 60.0])
    paths = [str(quarters(folder / "a.png")), str(quarters(folder / "b.png", inverted=True)), None]
    images = builder.add_textures(images=["a.png", "b.png", "gone.png"], path=paths, format=["PNG", "PNG", "PNG"])
    paint = builder.add_materials(names=["green"], diffuse=[(0.0, 0.6, 0.0)])
    builder.add_appearances(
        geometries, theme="photo", materials=pa.array([[-1, int(paint[0])]] * 3, pa.list_(pa.int64())),
        textures=pa.array([[int(one), -1] for one in images], pa.list_(pa.int64())), uv=uv_column([SQUARE + NONE] * 3),
    )  # fmt: skip
    return builder.build()


@pytest.fixture(scope="module")
def scene(city: City) -> Scene:
    return Scene(city)


def seen_at(scene: Scene, xyz: tuple[float, float, float], picture: Any = None, camera: Camera | None = None) -> Any:
    """The colour from the south at metres from the corner of the first wall."""
    camera = camera or scene.camera(SIZE, azimuth=0, elevation=1, orthographic=True)
    picture = render(scene, camera, SIZE, smooth=False) if picture is None else picture
    column, row, _ = camera.project([np.array([X0, Y0, 0.0]) + xyz - scene.origin], SIZE)[0]
    return picture[round(row), round(column)].astype(int).tolist()


@pytest.mark.usefixtures("can_draw")
@pytest.mark.parametrize(
    ("x", "z", "colour"),
    [(2, 8, RED), (8, 8, BLUE), (2, 2, YELLOW), (8, 2, GREEN), (32, 8, [255 - c for c in RED]), (38, 2, [255 - c for c in GREEN])],
)
def test_each_quarter_of_an_image_is_where_its_source_puts_it(scene: Scene, x: float, z: float, colour: Any) -> None:
    assert np.abs(np.subtract(seen_at(scene, (x, 0, z)), colour)).max() <= ROUNDING


@pytest.mark.usefixtures("can_draw")
def test_a_face_without_image_has_its_material_and_one_without_either_its_class(scene: Scene) -> None:
    painted, lost = (np.array(seen_at(scene, (x, 0, 5))) for x in (15, 65))
    assert painted[1] > 60
    assert painted[[0, 2]].max() < 6
    base = scene.layer("mesh").colours[2].astype(float)
    assert np.abs(lost / lost.max() - base / base.max()).max() < 0.03  # the same hue under light
    assert any("1 images are not there or cannot be read (gone.png)" in note.en for note in scene.layer("mesh").notes)


@pytest.mark.usefixtures("can_draw")
def test_colouring_by_an_attribute_takes_images_and_materials_away(scene: Scene) -> None:
    coloured = scene.color_by("id", layer="mesh")
    layer = coloured.layer("mesh")
    assert layer.images == ()
    assert layer.point_colours is None
    assert len({tuple(colour) for colour in layer.colours.tolist()}) == 3
    assert np.ptp(seen_at(coloured, (2, 0, 8))) == pytest.approx(np.ptp(seen_at(coloured, (8, 0, 2))), abs=1)


@pytest.mark.usefixtures("can_draw")
def test_clicks_name_the_object_under_its_image(scene: Scene) -> None:
    camera = scene.camera(SIZE, azimuth=15, elevation=20)
    drawn, picker = id_buffer(scene, camera, SIZE), Picker(scene, camera, SIZE)
    names = set()
    for x, y in np.random.default_rng(1).integers(0, 400, (200, 2)).tolist():
        hit = picker.hit(x, y)
        assert (None if hit is None else (picker.layers[hit[0]].name, hit[1])) == drawn.object_at(x, y)
        names.add(None if hit is None else str(scene.layer("mesh").ids[hit[1]]))
    assert names >= {"a", "b", "c"}


def test_a_vertex_is_shared_only_where_everything_agrees(scene: Scene) -> None:
    layer = scene.layer("mesh")
    assert layer.uv is not None
    assert layer.cell_image is not None
    # wall a, b: 4 vertices of the image and 4 of the paint; wall c: 4 without anything and 4 painted
    assert [int((layer.point_object == row).sum()) for row in range(3)] == [8, 8, 8]
    assert np.bincount(layer.cell_image + 1).tolist() == [8, 2, 2]


def test_see_through_materials_are_a_layer_of_their_own() -> None:
    builder = CityBuilder(CRS)
    keys = builder.add_objects("Building", ["house"])
    geometries = walls(builder, keys, [0.0], role="solid")
    paint = builder.add_materials(names=["brick", "glass"], diffuse=[(0.6, 0.2, 0.1), (0.2, 0.5, 0.8)], transparency=[0.0, 0.7])
    builder.add_appearances(geometries, theme="x", materials=pa.array([paint.tolist()], pa.list_(pa.int64())))
    wall, glass = Scene(builder.build()).layers
    assert (wall.name, wall.opacity, len(wall.triangles)) == ("buildings", 1.0, 2)
    assert (glass.name, len(glass.triangles)) == ("buildings, see-through", 2)
    assert glass.opacity == pytest.approx(0.3, abs=1e-6)  # stored in single precision
    assert glass.ids.tolist() == ["house"]
    assert wall.point_colours is not None
    assert wall.point_colours[wall.triangles[0, 0]].tolist() == [153, 51, 26]


def test_elements_of_a_building_are_drawn_instead_of_its_shell() -> None:
    builder = CityBuilder(CRS)
    block = shapely.box(X0, Y0, X0 + 10, Y0 + 10)
    builder.add_objects("Building", ["house"], footprints=[block], z_ground=[0.0], z_roof=[9.0])
    builder.add_objects("BuildingStorey", ["ground floor"], parents=["house"])
    keys = builder.add_objects("BuildingConstructiveElement", ["wall"], parents=["ground floor"])
    walls(builder, keys, [0.0], role="solid")
    layer = Scene(builder.build()).layer("buildings")
    assert layer.ids[np.unique(layer.cell_object)].tolist() == ["wall"]
    assert layer.notes == ()


def test_images_beyond_the_budget_are_made_smaller_and_named(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PIXELS", 2 * 64 * 64 // 4)
    layer = Scene(city).layer("mesh")
    assert [Image.open(BytesIO(image)).size for image in layer.images] == [(32, 32), (32, 32)]
    assert any("2 images drawn at 1/2 of their size" in note.en for note in layer.notes)


def test_a_damaged_image_is_named_and_the_faces_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(quarters(tmp_path / "whole.png").read_bytes()[:60])
    builder = CityBuilder(CRS)
    geometries = walls(builder, builder.add_objects("GenericOccupiedSpace", ["a"]), [0.0])
    images = builder.add_textures(images=["broken.png"], path=[str(path)], format=["PNG"])
    builder.add_appearances(
        geometries, theme="x", textures=pa.array([[int(images[0]), -1]], pa.list_(pa.int64())), uv=uv_column([SQUARE + NONE])
    )
    layer = Scene(builder.build()).layer("mesh")
    assert layer.images == ()
    assert len(layer.triangles) == 4
    assert "broken.png" in layer.notes[0].en


def test_the_page_carries_every_image_once_and_its_triangles_sorted_by_it(scene: Scene) -> None:
    document = page(scene)
    found = re.search(r'<script id="scene" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert found
    (said,) = json.loads(found[1])["layers"]
    layer = scene.layer("mesh")
    packed = re.search(r'<script id="block" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert packed
    data = gzip.decompress(base64.b64decode(packed[1]))
    assert [data[one["at"] : one["at"] + one["length"]] for one in said["images"]] == list(layer.images)
    assert said["prints"] == [[-1, 8], [0, 2], [1, 2]]
    assert said["arrays"]["uv"]["type"] == "u2"


def test_a_layer_beyond_the_budget_of_a_page_is_named_not_drawn(scene: Scene) -> None:
    (layer,) = within_budget(scene.layers, most=5)
    assert len(layer.triangles) == 1
    assert "12 triangles" in layer.notes[0].en
    assert within_budget(scene.layers) == list(scene.layers)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here; install chromium to run the page")
def test_the_page_shows_both_images_upright(scene: Scene, tmp_path: Path) -> None:
    path = scene.html(tmp_path / "scene.html")
    flags = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    shot = tmp_path / "page.png"
    more = ["--window-size=1400,900", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", f"--screenshot={shot}"]
    subprocess.run([str(BROWSER), *flags, *more, path.as_uri()], capture_output=True, check=False, timeout=240)
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    for turned in (False, True):
        middle = {}
        for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE), ("yellow", YELLOW)):
            wanted = [255 - channel for channel in colour] if turned else colour
            rows, columns = np.nonzero(np.abs(picture - wanted).max(axis=2) <= ROUNDING)
            assert len(rows) > 100, (name, turned)
            middle[name] = np.array([columns.mean(), rows.mean()])
        assert middle["red"][1] < middle["yellow"][1]
        assert middle["blue"][1] < middle["green"][1]
        assert middle["red"][0] < middle["blue"][0]


def test_a_closed_mesh_without_looks_is_drawn_plain() -> None:
    builder = CityBuilder(CRS)
    keys = builder.add_objects("CityFurniture", ["pole"])
    solid = extrude([shapely.box(X0, Y0, X0 + 1, Y0 + 1)], 0.0, 5.0)
    builder.add_geometries(keys, lod="3", role="solid", type=solid.type, vertices=solid.vertices, boundaries=solid.boundaries)
    vertices, boundaries = mesh_columns(np.array([[X0, Y0, 0], [X0 + 1, Y0, 0], [X0, Y0 + 1, 0.0]]), np.array([[0, 1, 2]]))
    builder.add_geometries(
        builder.add_objects("GenericOccupiedSpace", ["scan"]),
        lod="3",
        role="mesh",
        type="MultiSurface",
        vertices=vertices,
        boundaries=boundaries,
    )
    made = Scene(builder.build())
    assert [(layer.name, layer.texture, layer.edges is None) for layer in made.layers] == [("models", None, False), ("mesh", None, True)]


# ---------------------------------------------------------------- real files


@pytest.mark.data
def test_the_photographed_mesh_of_helsinki_has_a_dark_green_tree_and_pale_ground(shared_data: Callable[..., Path], can_draw: None) -> None:  # noqa: ARG001
    from cim.loaders import read

    folder = shared_data("city", "sum_helsinki", "tiny_test_c.ply")
    scene = Scene(read(folder, crs="local"))
    layer = scene.layer("mesh")
    assert (len(layer.images), len(layer.triangles)) == (1, 1973)
    # the image itself is the oracle: the texture sampled at the middle of each triangle, and the picture where that triangle is seen
    image = np.asarray(Image.open(folder.parent / "Tile_+1990_+2690_0.jpg").convert("RGB")).astype(int)
    camera = scene.camera((900, 700))
    picture = render(scene, camera, (900, 700), smooth=False).astype(int)
    points, triangles = layer.points, layer.triangles
    assert layer.uv is not None
    corners = camera.project(points[triangles].reshape(-1, 3), (900, 700)).reshape(-1, 3, 3)[:, :, :2]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    big = np.flatnonzero(np.abs(ax * by - ay * bx) / 2 > 150)
    middle = points[triangles].mean(axis=1)
    place = camera.project(middle, (900, 700))
    picker = Picker(scene, camera, (900, 700))
    off = []
    for row in big.tolist():
        column, line = round(place[row, 0]), round(place[row, 1])
        hit = picker.hit(column, line)
        if hit is None or np.linalg.norm(hit[2] - middle[row]) > 0.3:
            continue  # hidden behind another
        u, v = layer.uv[triangles[row]].mean(axis=0)
        around = image[
            int((1 - v) * len(image)) - 6 : int((1 - v) * len(image)) + 7, int(u * image.shape[1]) - 6 : int(u * image.shape[1]) + 7
        ]
        off.append(np.abs(picture[line, column] - around.reshape(-1, 3).mean(axis=0)).max())
    assert len(off) > 50
    assert np.median(off) < 25  # the picture is smoothed over several pixels of the image


@pytest.mark.data
def test_the_image_of_rotterdam_lies_on_one_roof(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    from cim.loaders import read

    source = shared_data("city", "cityjson", "rotterdam_subset.json")
    (tmp_path / "appearances").mkdir()
    shutil.copy(source, tmp_path / "city.json")
    shutil.copy(source.parent / "0320_4_15.jpg", tmp_path / "appearances" / "0320_4_15.jpg")
    layer = Scene(read(tmp_path / "city.json", crs="EPSG:28992")).layer("buildings")
    assert len(layer.images) == 1
    assert layer.cell_image is not None
    assert layer.ids[np.unique(layer.cell_object[layer.cell_image == 0])].tolist() == ["{CD98680D-A8DD-4106-A18E-15EE2A908D75}"]
    assert any(note.en.startswith("72 images are not there") for note in layer.notes)


@pytest.mark.data
def test_roofs_of_the_hague_are_as_red_as_their_material(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    layer = Scene(read(shared_data("city", "cityjson", "DH_01_subs.city.json"), crs="EPSG:28992")).layer("buildings")
    assert layer.point_colours is not None
    seen = {tuple(colour) for colour in layer.point_colours[np.unique(layer.triangles)].tolist()}
    assert {(128, 0, 0), (235, 235, 235)} <= seen
