"""Pictures show what the scene holds, with everything a reader needs around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cim.errors import DisplayError, UsageError
from cim.results import Verdicts
from cim.scenes import Camera, Scene, fonts
from cim.scenes.furniture import legends, source_line
from cim.scenes.still import render

SIZE = (640, 400)


@pytest.fixture
def picture(scene: Scene, tmp_path: Path, can_draw: None) -> np.ndarray:  # noqa: ARG001
    return np.asarray(Image.open(scene.screenshot(tmp_path / "scene.png", size=SIZE)))


def test_a_picture_has_its_size_and_is_not_empty(picture: np.ndarray) -> None:
    assert picture.shape == (400, 640, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2000


@pytest.mark.usefixtures("can_draw")
def test_a_picture_drawn_twice_is_the_same(scene: Scene) -> None:
    camera = scene.camera(SIZE)
    assert (render(scene, camera, SIZE, smooth=False) == render(scene, camera, SIZE, smooth=False)).all()


@pytest.mark.usefixtures("can_draw")
def test_what_is_hidden_is_not_drawn(scene: Scene) -> None:
    camera = scene.camera(SIZE)
    full, bare = (render(one, camera, SIZE, smooth=False).astype(int) for one in (scene, scene.show_only("terrain")))
    assert (np.abs(full - bare).max(axis=2) > 20).mean() > 0.05


@pytest.mark.usefixtures("can_draw")
def test_verdicts_change_the_pixels_of_judged_buildings_only(scene: Scene, verdicts: Verdicts) -> None:
    camera = Camera.looking(scene.bounds.mean(axis=0), distance=900, elevation=90, orthographic=160.0)
    before, after = (render(one, camera, SIZE, smooth=False).astype(int) for one in (scene, scene.add(verdicts)))
    changed = np.abs(before - after).max(axis=2) > 20
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    start, _ = camera.rays(x.ravel(), y.ravel(), SIZE)
    east, north = (start + scene.origin - [500_000, 3_460_000, 0]).T[:2]
    # footprints of 20 by 16 m every 40 m, and 1 m for outlines a pixel wide
    inside = ((east - 29) % 40 < 22) & ((north - 29) % 40 < 18) & (east > 29) & (north > 29) & (east < 215) & (north < 215)
    assert changed.sum() > 1500
    assert not (changed.ravel() & ~inside).any()


@pytest.mark.usefixtures("can_draw")
def test_a_flat_view_from_above_is_true_to_scale(scene: Scene) -> None:
    only = scene.show_only("landuse")
    camera = Camera.looking((*only.bounds.mean(axis=0)[:2], 50.0), distance=300, elevation=90, orthographic=100.0)
    drawn = (render(only, camera, SIZE, smooth=False).astype(int) - render(scene.show_only("trees"), camera, SIZE, smooth=False)).any(
        axis=2
    )
    assert camera.metres_per_pixel(SIZE) == 0.5
    assert drawn.sum() * 0.25 == pytest.approx(104 * 106, rel=0.03)  # the outline is a pixel wide; trees are elsewhere


def test_legends_put_results_first_and_the_ground_last(scene: Scene, verdicts: Verdicts) -> None:
    titles = [legend.title.en for legend in legends(scene.add(verdicts))]
    assert (titles[0], titles[1], titles[-1]) == ("Height control", "Buildings", "Ground height")


def test_the_source_line_names_source_licence_and_system(scene: Scene) -> None:
    line = source_line(scene)
    assert "register (nobody, CC0)" in line
    assert "EPSG:4549+5737" in line
    assert scene.date.isoformat() in line
    assert source_line(scene, "zh").startswith("数据来源: ")


@pytest.mark.usefixtures("can_draw")
def test_chinese_without_a_font_is_refused_with_the_package(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "chinese_font", lambda: None)
    with pytest.raises(DisplayError, match="apt-get install fonts-wqy-microhei"):
        scene.screenshot(tmp_path / "scene.png", size=SIZE)
    assert not (tmp_path / "scene.png").exists()


@pytest.mark.skipif(fonts.chinese_font() is None, reason=f"no Chinese font here; install {fonts.PACKAGE}")
def test_chinese_letters_are_drawn_not_boxes() -> None:
    shapes = {bytes(fonts.font(20).getmask(letter)) for letter in "建筑高度图例"}
    assert len(shapes) == 6
    assert all(any(shape) for shape in shapes)


def test_a_size_beyond_the_renderer_is_refused(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="between 16 and 8192"):
        scene.screenshot(tmp_path / "scene.png", size=(9000, 100), camera=Camera.looking((0, 0, 0), distance=9))


def test_a_machine_that_cannot_draw_gets_an_error_not_a_crash() -> None:
    code = """
import ctypes, sys
real = ctypes.CDLL
def none(name, *a, **k):
    if name and ("EGL" in name or "OSMesa" in name): raise OSError(name)
    return real(name, *a, **k)
ctypes.CDLL = none
from cim.scenes.offscreen import probe
from cim.errors import DisplayError
try:
    probe()
except DisplayError as error:
    assert "apt-get install libegl1" in str(error), error
    assert "vtkmodules" not in sys.modules
    sys.exit(7)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (7 if sys.platform == "linux" else 0), done.stderr


def test_importing_scenes_loads_no_renderer() -> None:
    code = "import cim.scenes, sys; print(sorted({'pyvista', 'vtkmodules', 'PIL', 'geopandas', 'pandas', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
