"""Where several checks judge the same place, no pass of one hides a failure of another."""

from __future__ import annotations

import base64
import gzip
import json
import re

import numpy as np
import pytest
import shapely

from cim.results import RunRecord, Verdicts, verdicts_from
from cim.scenes import Camera, Scene
from cim.scenes.layer import drawing_order
from cim.scenes.page import page
from cim.scenes.picking import id_buffer
from cim.scenes.still import hatch, render
from cim.scenes.style import VERDICTS

SIZE = (640, 400)
CELLS = [f"cell {place}" for place in range(9)]


def judged(name: str, verdicts: list[str]) -> Verdicts:
    """Return verdicts on nine cells of 60 m."""
    west, south = 500_040 + 70 * (np.arange(9) % 3), 3_460_030 + 70 * (np.arange(9) // 3)
    columns = {
        "object": CELLS,
        "value": [1.0] * 9,
        "limit": [1.0] * 9,
        "excess": [0.0] * 9,
        "verdict": verdicts,
        "reason": ["no area" if verdict == "not_assessed" else None for verdict in verdicts],
        "footprint": shapely.to_wkb(shapely.box(west, south, west + 60, south + 60)).tolist(),
    }
    return verdicts_from(name, RunRecord(name, "1"), columns, crs="EPSG:4549")


DENSITY = judged("density", ["fail", "fail", "fail", "pass", "pass", "pass", "not_assessed", "not_assessed", "not_assessed"])
FAR = judged("far", ["fail", "pass", "not_assessed"] * 3)
WORST = ["fail", "fail", "fail", "fail", "pass", "not_assessed", "fail", "not_assessed", "not_assessed"]


def worst_shown(scene: Scene, camera: Camera) -> list[str]:
    """Return the verdict that is seen in the middle of each cell, by the number of what was drawn there."""
    drawn = [layer for layer, _ in drawing_order(scene.layers)]
    seen = id_buffer(scene, camera, SIZE, layers=drawn)
    place = np.column_stack([70 + 70 * (np.arange(9) % 3), 60 + 70 * (np.arange(9) // 3)]) + np.array([500_000, 3_460_000])
    x, y = place[:, 0] - scene.origin[0], place[:, 1] - scene.origin[1]
    pixel = camera.project(np.column_stack([x, y, scene.context.ground.at(x, y)]), SIZE)[:, :2].round().astype(int)
    starts = np.cumsum([1, *(len(layer) for layer in drawn)])
    found = []
    for column, row in pixel.tolist():
        number = seen.numbers[row, column]
        layer = int(np.searchsorted(starts, number, side="right")) - 1
        colour = tuple(drawn[layer].colours[number - starts[layer]].tolist())
        found.append(next((name for name, known in VERDICTS.colours.items() if known == colour), "none"))
    return found


@pytest.mark.usefixtures("can_draw")
@pytest.mark.parametrize("order", [(DENSITY, FAR), (FAR, DENSITY)])
@pytest.mark.parametrize("elevation", [90.0, 35.0])
def test_the_worst_verdict_of_each_place_is_seen_in_either_order(scene: Scene, order: tuple[Verdicts, Verdicts], elevation: float) -> None:
    shown = scene.show_only("terrain").add(order[0]).add(order[1])
    camera = Camera.looking(shown.bounds.mean(axis=0), distance=900, elevation=elevation, orthographic=160.0)
    assert worst_shown(shown, camera) == WORST


@pytest.mark.usefixtures("can_draw")
def test_the_picture_shows_the_same_failures_whatever_check_came_last(scene: Scene) -> None:
    ground = scene.show_only("terrain")
    camera = Camera.looking(ground.bounds.mean(axis=0), distance=900, elevation=90, orthographic=160.0)
    drawn = [
        hatch(render(one, camera, SIZE), one, camera).astype(int) for one in (ground.add(DENSITY).add(FAR), ground.add(FAR).add(DENSITY))
    ]
    orange = [(picture[..., 0] - picture[..., 2] > 60).sum() for picture in drawn]
    alone = (hatch(render(ground.add(DENSITY), camera, SIZE), ground.add(DENSITY), camera).astype(int) @ [1, 0, -1] > 60).sum()
    assert orange[0] == pytest.approx(orange[1], rel=0.01)  # the two orders differ in outlines at most
    assert orange[0] == pytest.approx(alone * 5 / 3, rel=0.05)  # five cells fail one of the two, three fail density


def test_faces_judged_twice_are_drawn_from_pass_to_fail(scene: Scene, verdicts: Verdicts) -> None:
    columns = {"object": ["b0", "b24"], "value": [1.0, 1.0], "limit": [2.0, 2.0], "verdict": ["fail", "pass"]}
    both = scene.add(verdicts).add(verdicts_from("far", RunRecord("far", "1"), columns))
    ranks = [rank for layer, rank in drawing_order(both.layers) if layer.overlay]
    assert ranks == sorted(ranks)
    assert [layer.name for layer, rank in drawing_order(both.layers) if rank == 2] == ["height_control, severity 2", "far, severity 2"]
    counted = sum(len(layer.triangles) for layer, _ in drawing_order(both.layers))
    assert counted == sum(len(layer.triangles) for layer in both.layers)


def test_the_page_says_how_many_faces_each_severity_has(scene: Scene) -> None:
    document = page(scene.add(DENSITY))
    text = re.search(r'<script id="scene" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    blob = re.search(r'<script id="block" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert text
    assert blob
    said = next(layer for layer in json.loads(text[1])["layers"] if layer["name"] == "density")
    data = gzip.decompress(base64.b64decode(blob[1]))
    array = {name: np.frombuffer(data, f"<{a['type']}", a["length"], a["at"]) for name, a in said["arrays"].items()}
    verdict = np.array(DENSITY.table["verdict"].to_pylist())[array["objects"][array["triangles"].reshape(-1, 3)[:, 0]]]
    assert verdict.tolist() == [name for name, n in zip(("pass", "not_assessed", "fail"), said["parts"], strict=True) for _ in range(n)]
    assert min(said["parts"]) >= 6  # three cells each, two triangles at least
