"""The page stands alone, asks for nothing, executes nothing but its viewer, and answers clicks as Python does."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.results import Fields, Verdicts
from cim.scenes import Picker, Scene
from cim.scenes.page import page

HOSTILE = "<script>alert(1)</script>"
BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def full(scene: Scene, verdicts: Verdicts, flood: Fields) -> Scene:
    return scene.color_by("height").add(verdicts).add(flood)


@pytest.fixture(scope="module")
def document(full: Scene) -> str:
    return page(full)


def block(document: str, name: str) -> str:
    found = re.search(rf'<script id="{name}" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def described(document: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(block(document, "scene"))
    return value


@pytest.fixture(scope="module")
def told(document: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(block(document, "facts"))))
    return value


def test_nothing_is_fetched(document: str) -> None:
    shell = re.sub(r'<script id="(block|facts)".*?</script>', "", document, flags=re.DOTALL)
    assert not re.search(
        r"https?://|\bsrc=|\bhref=|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(|\beval\(|innerHTML|insertAdjacentHTML|document\.write",
        shell,
    )


def test_the_policy_allows_the_viewer_by_its_hash_and_nothing_else(document: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', document)
    assert policy
    rules = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert rules["default-src"] == "'none'"
    script, style = document.rpartition("<script>")[2].partition("</script>")[0], document.partition("<style>")[2].partition("</style>")[0]
    for rule, text in (("script-src", script), ("style-src", style)):
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_name_with_markup_stays_text(city: Any, document: str, told: dict[str, Any]) -> None:
    assert HOSTILE not in document
    assert HOSTILE in told["layers"]["buildings"]["names"]
    hostile = page(Scene(city, title=f"{HOSTILE}{{script}}</title>"))
    assert HOSTILE not in hostile
    assert html.escape(HOSTILE) in hostile
    assert json.loads(block(hostile, "scene"))["title"].startswith(HOSTILE)


def test_the_mesh_comes_back_from_the_page(full: Scene, document: str, described: dict[str, Any]) -> None:
    data = gzip.decompress(base64.b64decode(block(document, "block")))
    for said in described["layers"]:
        layer = full.layer(said["name"])
        layer = layer if layer.motion is None else layer.motion.whole(layer)
        arrays = {name: np.frombuffer(data, f"<{a['type']}", a["length"], a["at"]) for name, a in said["arrays"].items()}
        scale = 65535 if arrays["points"].dtype.kind == "u" else 1
        points = np.array(said["low"]) + arrays["points"].reshape(-1, 3) / scale * np.array(said["span"])
        assert np.abs(points - layer.points).max() < 0.006  # half of the step of 16 bits over 655 m
        assert (arrays["triangles"].reshape(-1, 3) == layer.triangles).all()
        assert (arrays["colours"].reshape(-1, 4)[:, :3] == layer.colours).all()
        if "objects" in arrays:
            assert (arrays["objects"][layer.triangles] == layer.cell_object[:, None]).all()


def test_attributes_come_with_units_titles_and_claims(told: dict[str, Any]) -> None:
    facts = told["layers"]["buildings"]
    (group,) = [group for group in facts["groups"] if len(group["rows"]) > 1]
    (height,) = [column for column in group["columns"] if column["name"] == "height"]
    assert (height["unit"], height["zh"], height["field"]) == ("m", "高度", "H")
    row = group["rows"].index(facts["ids"].index("b0"))
    assert height["values"][row] == 6.0
    assert [(claim["value"], claim["chosen"]) for claim in told["claims"]["b0"]["height"]] == [(6.0, True), (9.5, False)]
    assert facts["core"][0]["values"][facts["ids"].index("part")] == "whole"


def test_verdicts_come_with_value_limit_and_reason(told: dict[str, Any]) -> None:
    (check,) = told["verdicts"]
    assert check["label"]["zh"] == "建筑限高"
    assert check["rows"]["b24"] == [{"value": 54.0, "unit": "m", "limit": 30.0, "excess": 24.0, "verdict": "fail"}]
    assert check["rows"]["b7"][0]["reason"] == "missing_value"


def test_the_light_description_holds_no_geometry(full: Scene) -> None:
    value = json.loads(full.to_json())
    assert value["crs"] == "EPSG:4549+5737"
    assert value["bounds"][0] == pytest.approx(500_000, abs=2)
    assert {layer["name"]: layer["count"] for layer in value["layers"]}["trees"] == 30
    assert len(full.to_json()) < 20_000


def test_the_page_is_written_whole(full: Scene, tmp_path: Path) -> None:
    path = full.html(tmp_path / "deep" / "scene.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [one.name for one in path.parent.iterdir()] == ["scene.html"]


@pytest.mark.heavy
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here; install chromium to run the page")
def test_clicks_in_a_browser_name_the_objects_that_python_names(full: Scene, tmp_path: Path) -> None:
    path = full.html(tmp_path / "scene.html")
    shares = np.random.default_rng(3).uniform(0.05, 0.95, (60, 2)).round(4)
    asked = ";".join(f"{x},{y}" for x, y in shares.tolist())
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--window-size=1200,800",
    ]
    command = [
        str(BROWSER),
        *flags,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000",
        "--dump-dom",
        f"{path.as_uri()}?pick={asked}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert title, done.stderr[-2000:]
    answer = json.loads(html.unescape(title[1]))
    size = tuple(answer["size"])
    picker = Picker(full, full.camera(size), size)
    expected = []
    for x, y in shares.tolist():
        pick = picker.hit(int(x * size[0]), int(y * size[1]))
        layer = None if pick is None else picker.layers[pick[0]]
        expected.append(None if pick is None or layer is None else f"{layer.name}/{layer.ids[pick[1]] if len(layer.ids) else pick[1]}")
    same = sum(a == b for a, b in zip(answer["picks"], expected, strict=True))
    assert same >= len(expected) - 1  # positions of the page have steps of up to 5 mm: one pixel on an edge may differ
    assert len(set(expected)) >= 10
    panel = re.search(r'<section id="details".*?</section>', done.stdout, re.DOTALL)
    assert panel
    assert "<table>" in panel[0]
    assert HOSTILE not in done.stdout
