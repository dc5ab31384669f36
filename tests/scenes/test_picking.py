"""What is picked is what is seen."""

from __future__ import annotations

import numpy as np
import pytest

from cim.errors import UsageError
from cim.results import Fields, Verdicts
from cim.scenes import Camera, Picker, Scene, id_buffer

SIZE = (640, 400)
pytestmark = pytest.mark.usefixtures("can_draw")


@pytest.mark.parametrize("azimuth", [20.0, 200.0])
def test_500_random_pixels_name_the_object_that_is_drawn_there(scene: Scene, verdicts: Verdicts, flood: Fields, azimuth: float) -> None:
    full = scene.add(verdicts).add(flood)
    camera = full.camera(SIZE, azimuth=azimuth)
    drawn = id_buffer(full, camera, SIZE)
    picker = Picker(full, camera, SIZE)
    rng = np.random.default_rng(1)
    different, objects = [], set()
    for x, y in zip(rng.integers(0, SIZE[0], 500).tolist(), rng.integers(0, SIZE[1], 500).tolist(), strict=True):
        hit = picker.hit(x, y)
        picked = None if hit is None else (picker.layers[hit[0]].name, hit[1])
        objects.add(picked)
        if picked != drawn.object_at(x, y):
            different.append((x, y, picked, drawn.object_at(x, y)))
    # the picture of a sheet knows its wet edge to an eighth of a cell: a pixel on it may differ
    edge = [one for one in different if "water depth" in {one[2] and one[2][0], one[3] and one[3][0]}]
    assert [one for one in different if one not in edge] == []
    assert len(edge) <= 2
    assert len(objects) > 25  # not all sky and terrain


def test_without_the_half_pixel_the_test_would_fail(scene: Scene) -> None:
    camera = scene.camera(SIZE)
    drawn, picker = id_buffer(scene, camera, SIZE), Picker(scene, camera, SIZE)
    rng = np.random.default_rng(2)
    wrong = 0
    for x, y in zip(rng.integers(0, SIZE[0] - 1, 500).tolist(), rng.integers(0, SIZE[1] - 1, 500).tolist(), strict=True):
        hit = picker.hit(x + 0.5, y + 0.5)
        wrong += (None if hit is None else (picker.layers[hit[0]].name, hit[1])) != drawn.object_at(x, y)
    assert wrong > 5


def test_a_pick_gives_id_place_and_ground(scene: Scene) -> None:
    layer = scene.layer("buildings")
    (row,) = np.flatnonzero(layer.ids == "b24")
    top = layer.points[np.unique(layer.triangles[layer.cell_object == row])]
    middle = np.array([*top[:, :2].mean(axis=0), top[:, 2].max()])
    camera = Camera.looking(middle, distance=200, elevation=90, orthographic=40.0)
    pick = Picker(scene, camera, (101, 101)).pick(50, 50)
    assert pick is not None
    assert (pick.layer, pick.id) == ("buildings", "b24")
    assert pick.xyz == pytest.approx(tuple(middle + scene.origin), abs=1e-3)  # float32 over 300 m
    assert pick.ground == pytest.approx(scene.context.ground.at(middle[:1], middle[1:2])[0])


def test_water_gives_its_depth_and_the_sky_nothing(scene: Scene, flood: Fields) -> None:
    full = scene.add(flood)
    camera = Camera.looking((-120, 140, 0), distance=500, elevation=90, orthographic=5.0)
    pick = Picker(full, camera, (51, 51)).pick(25, 25)
    assert pick is not None
    assert (pick.layer, pick.id) == ("water depth", None)
    assert pick.value == pytest.approx(2.0, abs=0.013)  # half of the step of its byte at 2 m
    assert Picker(full, Camera.looking((0, 0, 400), distance=10, elevation=0), (51, 51)).pick(25, 2) is None


def test_hidden_layers_are_not_picked(scene: Scene) -> None:
    shown = scene.show_only("terrain")
    assert {layer.name for layer in Picker(shown, shown.camera(SIZE), SIZE).layers} == {"terrain"}


def test_a_picture_too_small_to_pick_in_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="3 x 3"):
        Picker(scene, scene.camera(), (3, 3))
