"""Scenes of real files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cim.loaders import read
from cim.scenes import Picker, Scene, id_buffer

pytestmark = pytest.mark.data


def test_every_building_of_delft_is_drawn_and_can_be_picked(shared_data: Callable[..., Path], can_draw: None) -> None:  # noqa: ARG001
    scene = Scene(read(shared_data("city", "delft", "delft_3dfier_v1.0.city.json")))
    layer = scene.layer("buildings")
    assert len(layer) == len(np.unique(layer.cell_object)) == 160
    assert sum(len(one) for one in scene.layers) == 570
    size = (640, 400)
    camera = scene.camera(size)
    drawn, picker = id_buffer(scene, camera, size), Picker(scene, camera, size)
    rng = np.random.default_rng(0)
    different = []
    for x, y in zip(rng.integers(0, 640, 500).tolist(), rng.integers(0, 400, 500).tolist(), strict=True):
        hit = picker.hit(x, y)
        if (None if hit is None else (picker.layers[hit[0]].name, hit[1])) != drawn.object_at(x, y):
            different.append((x, y))
    assert different == []


def test_parts_and_terrain_of_the_hague_are_drawn(shared_data: Callable[..., Path]) -> None:
    scene = Scene(read(shared_data("city", "cityjson", "DenHaag_01.city.json")))
    assert [layer.name for layer in scene.layers] == ["terrain", "buildings"]
    layer = scene.layer("buildings")
    drawn = set(layer.ids[np.unique(layer.cell_object)])
    parts = {one for one in layer.ids if scene.city[one].type == "BuildingPart"}
    assert parts <= drawn
