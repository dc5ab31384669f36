"""Orthophotos lie on the ground where they belong, in their own colours, in the picture and on the page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from cim.crs import parse
from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.scenes import Scene
from cim.scenes.imagery import encoded, imagery_layer
from cim.scenes.layer import Layer, Legend, Text
from cim.scenes.page import page
from cim.scenes.picking import Picker
from cim.scenes.still import render

CRS = "EPSG:4549"
X0, Y0 = 500_000.0, 3_460_000.0
RED, GREEN, BLUE, YELLOW = (200, 40, 40), (60, 150, 60), (40, 40, 200), (220, 200, 40)
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)


def quarters(pixels: int = 64) -> Any:
    """Four colours: red in the north-west, blue in the north-east, yellow in the south-west, green in the south-east."""
    image = np.empty((pixels, pixels, 3), np.uint8)
    half = pixels // 2
    image[:half, :half], image[:half, half:], image[half:, :half], image[half:, half:] = RED, BLUE, YELLOW, GREEN
    return image


def photo(path: Path, pixels: Any, box: tuple[float, float, float, float], *, crs: str = CRS, mask: Any = None) -> Path:
    import rasterio
    from rasterio.transform import from_bounds

    rows, columns = pixels.shape[:2]
    profile = {"driver": "GTiff", "count": 3, "height": rows, "width": columns, "dtype": pixels.dtype, "photometric": "RGB"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
        rasterio.open(path, "w", crs=crs, transform=from_bounds(*box, columns, rows), **profile) as f,
    ):
        f.write(np.moveaxis(pixels, -1, 0))
        if mask is not None:
            f.write_mask(mask)
    return path


def made(folder: Path, photos: list[Path], *, terrain: bool = True, crs: list[str] | None = None) -> City:
    """A slope of 200 m with a road and the photos."""
    builder = CityBuilder(CRS, name="slope")
    if terrain:
        values = np.add.outer(np.linspace(20, 0, 100), np.linspace(0, 5, 100))
        path = write_raster(Raster(values, X0, Y0 + 200, 2.0, 2.0, parse(CRS)), folder / "dtm.tif")
        (key,) = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(X0, Y0, X0 + 200, Y0 + 200)])
        builder.add_coverage(int(key), kind="raster", path=str(path), format="GTiff", unit="m", crs=CRS)
    builder.add_objects("Road", ["road"], footprints=[shapely.box(X0 + 90, Y0, X0 + 110, Y0 + 200)])
    for n, path in enumerate(photos):
        (key,) = builder.add_objects("ReliefFeature", [f"dom {n}"], footprints=[shapely.box(X0, Y0, X0 + 200, Y0 + 200)])
        meta = json.dumps({"surface": "image", "bands": ["red", "green", "blue"], "bits": 8})
        builder.add_coverage(int(key), kind="image", path=str(path), format="GeoTIFF", crs=(crs or [CRS] * len(photos))[n], meta=meta)
    return builder.build()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("photo")
    return Scene(made(folder, [photo(folder / "a.tif", quarters(), (X0 + 50, Y0 + 50, X0 + 150, Y0 + 150))]))


def colour_at(scene: Scene, x: float, y: float, size: tuple[int, int] = (400, 400)) -> Any:
    """The colour seen from straight above at metres from the south-western corner of the terrain."""
    camera = scene.camera(size, azimuth=0, elevation=89.9, orthographic=True)
    picture = render(scene, camera, size, smooth=False)
    z = scene.context.ground.at(np.array([X0 + x - scene.origin[0]]), np.array([Y0 + y - scene.origin[1]]))[0]
    offset = np.array([X0 + x, Y0 + y, z]) - scene.origin - np.asarray(camera.position)
    right, up, _ = camera.axes()
    scale = size[1] / 2 / float(camera.orthographic or 1)
    return picture[round(size[1] / 2 - offset @ up * scale), round(size[0] / 2 + offset @ right * scale)].tolist()


@pytest.mark.parametrize(("x", "y", "colour"), [(75, 125, RED), (125, 125, BLUE), (75, 75, YELLOW), (125, 75, GREEN), (52, 148, RED)])
def test_each_quarter_of_the_photo_is_where_it_belongs(scene: Scene, x: float, y: float, colour: tuple[int, int, int]) -> None:
    assert np.abs(np.subtract(colour_at(scene, x, y), colour)).max() <= 2  # rounding of 8-bit colours in the renderer


def test_the_photo_ends_at_its_edges_to_a_pixel(scene: Scene) -> None:
    layer = scene.layer("imagery")
    low, high = layer.bounds + scene.origin
    assert low[:2].tolist() == [X0 + 50, Y0 + 50]
    assert high[:2].tolist() == [X0 + 150, Y0 + 150]
    assert layer.uv is not None
    assert (layer.uv.min(), layer.uv.max()) == (0.0, 1.0)
    heights = scene.context.ground.at(layer.points[:, 0], layer.points[:, 1])
    assert np.abs(layer.points[:, 2] - heights).max() == 0.0  # on the drawn ground, neither sunk nor floating


def test_the_photo_covers_the_terrain_and_painted_surfaces_step_back(scene: Scene) -> None:
    assert (scene.layer("terrain").behind, scene.layer("imagery").behind) == (1, 0)
    assert not scene.layer("roads").visible
    assert scene.show_only().layer("roads").visible
    camera = scene.camera((300, 300), azimuth=30, elevation=35)
    alone, both = (render(one, camera, (300, 300), smooth=False).astype(int) for one in (scene.show_only("imagery"), scene))
    for colour in (RED, GREEN, BLUE, YELLOW):
        seen = [int((np.abs(picture - colour).max(axis=2) <= 2).sum()) for picture in (alone, both)]
        assert seen[1] > 0.98 * seen[0] > 500  # at a slant too the terrain does not show through
    assert Picker(scene, camera, (300, 300)).pick(150, 150) is not None


def test_without_terrain_the_photo_lies_level(tmp_path: Path) -> None:
    city = made(tmp_path, [photo(tmp_path / "a.tif", quarters(), (X0, Y0, X0 + 100, Y0 + 100))], terrain=False)
    layer = Scene(city).layer("imagery")
    assert np.ptp(layer.points[:, 2]) == 0.0
    assert len(layer.triangles) == 512


def test_several_photos_become_one_and_holes_stay_plain(tmp_path: Path) -> None:
    mask = np.full((64, 64), 255, np.uint8)
    mask[:, :32] = 0
    west = photo(tmp_path / "a.tif", quarters(), (X0, Y0, X0 + 100, Y0 + 100))
    east = photo(tmp_path / "b.tif", quarters(), (X0 + 100, Y0, X0 + 200, Y0 + 100), mask=mask)
    scene = Scene(made(tmp_path, [west, east]))
    assert np.abs(np.subtract(colour_at(scene, 25, 75), RED)).max() <= 2
    assert np.abs(np.subtract(colour_at(scene, 175, 75), BLUE)).max() <= 2
    assert np.abs(np.subtract(colour_at(scene, 125, 75), (214, 212, 205))).max() <= 2


def test_a_photo_in_another_system_is_laid_where_it_is(tmp_path: Path) -> None:
    from cim.crs import transform_points

    corner = transform_points([X0 + 50.0, X0 + 150], [Y0 + 50.0, Y0 + 150], None, parse(CRS), parse("EPSG:32650"))
    box = (float(corner.x[0]), float(corner.y[0]), float(corner.x[1]), float(corner.y[1]))
    utm = photo(tmp_path / "a.tif", quarters(), box, crs="EPSG:32650")
    scene = Scene(made(tmp_path, [utm], crs=["EPSG:32650"]))
    for x, y, colour in ((80, 120, RED), (120, 120, BLUE), (80, 80, YELLOW), (120, 80, GREEN)):  # turned by 1.5 degrees
        assert np.abs(np.subtract(colour_at(scene, x, y), colour)).max() <= 2


def test_what_cannot_be_drawn_is_named(tmp_path: Path) -> None:
    here = photo(tmp_path / "a.tif", quarters(), (X0, Y0, X0 + 100, Y0 + 100))
    city = made(tmp_path, [here, tmp_path / "gone.tif", here], crs=[CRS, CRS, "EPSG:32650"])
    layer = imagery_layer(Scene(city).context)
    assert layer is not None
    said = " ".join(note.en for note in layer.notes)
    assert "image dom 1 is not drawn" in said
    assert "image dom 2 is in EPSG:32650" in said


def test_small_pictures_keep_every_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    assert np.asarray(Image.open(BytesIO(encoded(pixels)))).tolist() == pixels.tolist()
    assert encoded(np.zeros((600, 600, 3), np.uint8)).startswith(b"\xff\xd8\xff")


# ---------------------------------------------------------------- texture of any layer


def wall(**changed: Any) -> Layer:
    """A lit upright wall with a texture, 10 m wide and high, seen from the south."""
    points = np.array([[0.0, 0, 0], [10, 0, 0], [10, 0, 10], [0, 0, 10]])
    told: dict[str, Any] = {
        "name": "wall", "label": Text("Wall", "墙"), "points": points, "triangles": np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        "cell_object": np.zeros(2, np.int32), "ids": np.array(["w"], object), "colours": np.array([[9, 9, 9]], np.uint8),
        "legend": Legend(Text("", "")), "texture": encoded(quarters()), "uv": np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
    }  # fmt: skip
    return Layer(**{**told, **changed})


def test_v_runs_upwards_and_light_is_multiplied_with_the_image() -> None:
    from cim.scenes.shading import face_light

    layer = wall()
    empty = CityBuilder(CRS)
    empty.add_objects("Road", ["r"], footprints=[shapely.box(X0, Y0, X0 + 1, Y0 + 1)])
    scene = Scene(empty.build()).add(layer).show_only("wall")
    camera = scene.camera((300, 300), azimuth=0, elevation=1, orthographic=True)
    picture = render(scene, camera, (300, 300), smooth=False)
    light = float(face_light(layer.points, layer.triangles)[0])
    seen = [picture[row, column] for row, column in ((80, 80), (80, 220), (220, 80), (220, 220))]
    expected = [np.minimum(np.array(colour) * light, 255) for colour in (RED, BLUE, YELLOW, GREEN)]
    assert np.abs(np.subtract(seen, expected)).max() <= 3  # light and image are rounded to a byte each


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"uv": None}, "a texture needs uv"),
        ({"texture": None}, "and uv a texture"),
        ({"texture": b"GIF89a"}, "neither a PNG nor a JPEG"),
        ({"uv": np.zeros((3, 2), np.float32)}, "uv do not fit 4 points"),
        ({"uv": np.full((4, 2), np.nan, np.float32)}, "not finite"),
    ],
)
def test_textures_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wall(**changed)


def test_a_damaged_image_is_an_error_not_a_crash() -> None:
    from cim.scenes.stage import pixels_of

    with pytest.raises(UsageError, match="cannot be read as an image"):
        pixels_of(encoded(quarters())[:60])


def test_other_colours_take_the_texture_away() -> None:
    plain = wall().recoloured(np.array([[1, 2, 3]], np.uint8), Legend(Text("", "")))
    assert plain.texture is None
    assert plain.uv is None
    assert replace(wall(), visible=False).texture is not None


def test_the_page_carries_the_image_file_itself(scene: Scene) -> None:
    document = page(scene)
    found = re.search(r'<script id="scene" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert found
    layers = {layer["name"]: layer for layer in json.loads(found[1])["layers"]}
    image = scene.layer("imagery")
    assert image.texture is not None
    assert [said["length"] for said in layers["imagery"]["images"]] == [len(image.texture)]
    assert layers["imagery"]["arrays"]["uv"]["length"] == 2 * len(image.points)
    assert layers["terrain"]["images"] == []
    assert layers["terrain"]["behind"] == 1


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here; install chromium to run the page")
def test_the_page_shows_the_colours_of_the_photo(scene: Scene, tmp_path: Path) -> None:
    path = scene.html(tmp_path / "scene.html")
    flags = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    shot = tmp_path / "page.png"
    more = ["--window-size=900,700", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", f"--screenshot={shot}"]
    subprocess.run([str(BROWSER), *flags, *more, path.as_uri()], capture_output=True, check=False, timeout=240)
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    middle = {}
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE), ("yellow", YELLOW)):
        rows, columns = np.nonzero(np.abs(picture - colour).max(axis=2) <= 3)
        assert len(rows) > 300, name
        middle[name] = np.array([columns.mean(), rows.mean()])
    assert middle["red"][1] < middle["yellow"][1]  # the northern half is farther from a camera in the south
    assert middle["blue"][1] < middle["green"][1]
    assert middle["red"][0] < middle["blue"][0]
