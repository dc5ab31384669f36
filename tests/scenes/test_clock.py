"""One clock moves everything in a scene that changes with time."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import UsageError
from cim.results import Fields
from cim.scenes import Layer, Scene
from cim.scenes.clock import Clock, instants_of
from cim.scenes.page import page
from tests.scenes.conftest import X0, Y0
from tests.scenes.test_water import LEVELS, TIMES, rising

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome", "chrome") if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def wet(scene: Scene) -> Scene:
    return scene.add(rising())


def codes(scene: Scene) -> Any:
    sheet = scene.layer("water depth").sheet
    assert sheet is not None
    return sheet.codes


# ------------------------------------------------------------------ the clock


def test_labels_are_local_time_and_seconds_only_where_there_are_some() -> None:
    assert Clock(TIMES[:2], "Asia/Shanghai").labels == ("2026-07-21 14:00", "2026-07-21 14:10")
    assert Clock(TIMES[:1] + np.timedelta64(5, "s")).labels == ("2026-07-21 06:00:05",)
    instants, dated = instants_of(np.array([0.0, 600.0, 3660.0]))
    assert Clock(instants, dated=dated).labels == ("0:00", "0:10", "1:01")


@pytest.mark.parametrize(
    "moment",
    [1, -3, "2026-07-21T06:12", "2026-07-21T14:12+08:00", datetime(2026, 7, 21, 6, 10, tzinfo=UTC), np.datetime64("2026-07-21T06:10"),
     datetime(2026, 7, 21, 14, 10, tzinfo=timezone(timedelta(hours=8))), np.int64(1)],
)  # fmt: skip
def test_a_moment_is_a_number_or_an_instant_in_any_zone(moment: Any) -> None:
    assert Clock(TIMES).place(moment) == 1


@pytest.mark.parametrize(
    ("moment", "said"),
    [(4, "0 to 3"), (-5, "0 to 3"), ("2026-07-22", "lies outside"), ("noon", "is no time"), (600.0, "give an instant"),
     (np.datetime64("NaT"), "is no time"), (None, "is no time")],
)  # fmt: skip
def test_what_is_no_moment_is_refused(moment: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Clock(TIMES).place(moment)


def test_seconds_count_where_there_are_no_dates() -> None:
    instants, dated = instants_of(np.array([0.0, 600.0]))
    clock = Clock(instants, dated=dated)
    assert clock.place(500.0) == 1
    with pytest.raises(UsageError, match="seconds since the start"):
        clock.place("2026-07-21")


# ------------------------------------------------------------------ the scene


def test_a_scene_has_the_times_of_what_was_added(scene: Scene, wet: Scene) -> None:
    assert scene.clock is None
    assert len(scene.times) == 0
    assert (wet.times == TIMES).all()
    assert wet.layer("water depth").times is not None


def test_a_scene_at_another_time_is_another_scene(wet: Scene) -> None:
    before = codes(wet).copy()
    early = wet.at(1)
    assert early.moment == TIMES[1]
    assert (codes(early) >= 64).sum() < (before >= 64).sum()
    assert (codes(wet) == before).all()
    assert (codes(early.at("2026-07-21T14:20")) == before).all()


def test_the_maximum_holds_every_moment(wet: Scene) -> None:
    highest = wet.at("maximum")
    assert highest.moment is None
    for place in range(len(LEVELS)):
        assert (codes(wet.at(place))[codes(wet.at(place)) >= 64] <= codes(highest)[codes(wet.at(place)) >= 64]).all()


def test_name_look_and_visibility_stay(wet: Scene) -> None:
    hidden = wet.show_only("terrain").at(1)
    assert not hidden.layer("water depth").visible
    assert hidden.layer("water depth").opacity == wet.layer("water depth").opacity


def test_a_scene_that_stands_still_has_no_other_time(scene: Scene) -> None:
    with pytest.raises(UsageError, match="nothing in this scene changes with time"):
        scene.at(0)


def test_two_results_share_one_clock_and_each_shows_its_last_state(scene: Scene) -> None:
    later = rising()
    later = replace(later, dataset=later.dataset.assign_coords(time=("time", TIMES + np.timedelta64(15, "m"))))
    both = scene.add(rising()).add(later)
    assert len(both.times) == 8
    start = both.at(0)
    assert len(start.layer("water depth 2").triangles) == 0  # it has not begun
    middle = both.at("2026-07-21T14:25")
    first, second = (middle.layer(name).sheet for name in ("water depth", "water depth 2"))
    assert first is not None
    assert second is not None
    assert (first.codes == codes(scene.add(rising()).at(2))).all()
    assert (second.codes == codes(scene.add(rising()).at(1))).all()


def test_a_moment_that_was_chosen_holds_for_what_is_added_later(wet: Scene) -> None:
    both = wet.at(1).add(rising())
    assert both.moment == TIMES[1]
    assert wet.at("maximum").add(rising()).moment is None


def test_dates_and_seconds_do_not_share_a_clock(wet: Scene, flood: Fields) -> None:
    with pytest.raises(UsageError, match="give the run a start"):
        wet.add(flood)


@dataclass(frozen=True)
class Blink:
    """The least that joins the clock: a layer that is another colour at each time."""

    times: Any
    dated: bool = True
    peak: int = 0
    notes: tuple[Any, ...] = ()

    def frame(self, layer: Layer, place: int | None) -> Layer:
        shown = len(self.times) if place is None else place
        return replace(layer, colours=np.full_like(layer.colours, 10 * (shown + 1)))


def test_any_layer_with_times_joins_the_clock(wet: Scene) -> None:
    moving = replace(wet.layer("roads"), name="traffic", motion=Blink(TIMES + np.timedelta64(5, "m")))  # type: ignore[arg-type]  # not on a page
    both = wet.add(moving)
    assert len(both.times) == 8
    assert both.at(0).layer("traffic").colours[0, 0] == 0  # not begun
    assert both.at("2026-07-21T14:17").layer("traffic").colours[0, 0] == 20
    assert both.layer("roads").colours.tolist() == wet.layer("roads").colours.tolist()


# ------------------------------------------------------------------ the page


def described(document: str) -> Any:
    found = re.search(r'<script id="scene" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_page_carries_every_time_and_the_maximum(wet: Scene) -> None:
    document = page(wet.at(1))
    said = described(document)
    assert said["clock"]["labels"] == ["2026-07-21 14:00", "2026-07-21 14:10", "2026-07-21 14:20", "2026-07-21 14:30"]
    assert said["clock"]["place"] == 1
    moving = next(layer["motion"] for layer in said["layers"] if layer["motion"])
    assert (moving["at"], moving["count"], moving["size"]) == ([0, 1, 2, 3], 4, [60, 60])
    packed = re.search(r'<script id="block" type="[^"]+">(.*?)</script>', document, re.DOTALL)
    assert packed
    data = gzip.decompress(base64.b64decode(packed[1]))
    array = np.frombuffer(data, "u1", moving["sheets"]["length"], moving["sheets"]["at"]).reshape(5, 60, 60)
    sheets = np.cumsum(array, axis=0, dtype=np.uint8)
    for place in range(4):
        assert (sheets[place] == codes(wet.at(place))).all()
    assert (sheets[4] == codes(wet.at("maximum"))).all()


def test_the_times_of_a_page_cost_little(scene: Scene) -> None:
    fine = rising(1.0)
    all_, one = (scene.add(replace(fine, dataset=fine.dataset.isel(time=part))) for part in (slice(2, 4), slice(2, 3)))
    assert len(page(all_)) - len(page(one)) < 0.3 * 90_000  # bytes, of a byte a cell and time, in letters for bytes


def test_a_scene_that_stands_still_has_no_clock_on_its_page(scene: Scene) -> None:
    assert described(page(scene))["clock"] is None


def test_the_light_description_lists_the_times(wet: Scene) -> None:
    said = json.loads(wet.to_json())
    assert said["times"][0] == "2026-07-21 14:00"
    assert said["moment"].startswith("2026-07-21T06:20")


def browse(path: Path, question: str, profile: Path) -> Any:
    """Return the title a page gives itself and what its details say."""
    flags = ["--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command = [str(BROWSER), *flags, "--window-size=1200,800", f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([*command, f"{path.as_uri()}?{question}"], capture_output=True, text=True, check=False, timeout=240)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    details = re.search(r'<section id="details".*?</section>', done.stdout, re.DOTALL)
    assert title, done.stderr[-2000:]
    assert details
    return json.loads(html.unescape(title[1])), details[0], done.stdout


@pytest.mark.heavy
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here; install chromium to run the page")
def test_a_browser_reads_the_depth_that_python_reads(wet: Scene, tmp_path: Path) -> None:
    path = wet.html(tmp_path / "scene.html")
    asked = (0.05, 0.5)  # west, between the houses
    for moment, label in ((2, "2026-07-21 14:20"), (0, "2026-07-21 14:00")):
        size = (898, 768)
        answer, _, _ = browse(path, f"time={moment}&pick=0.5,0.5", tmp_path / "profile")
        size = tuple(answer["size"])
        now = wet.at(moment)
        sheet = now.layer("water depth").sheet
        assert sheet is not None
        camera = wet.camera(size)
        place = np.array([[asked[0] * 300 + X0 - wet.origin[0], asked[1] * 300 + Y0 - wet.origin[1], LEVELS[2]]])
        pixel = camera.project(place, size)[0]
        answer, details, document = browse(
            path, f"time={moment}&pick={pixel[0] / size[0]:.4f},{pixel[1] / size[1]:.4f}", tmp_path / "profile"
        )
        hit = answer["picks"][0].split("/")[0]
        assert f'aria-valuetext="{label} ' in document
        assert (hit == "water depth") == (moment == 2)
        if moment == 2:
            said = re.search(r"([0-9.]+) ± ([0-9.]+) m", details)
            position = re.search(r"position</th><td>([0-9.]+), ([0-9.]+)", details)
            assert said
            assert position
            here = sheet.at(float(position[1]) - wet.origin[0], float(position[2]) - wet.origin[1])
            assert float(said[1]) == pytest.approx(float(here), abs=0.01)  # the page prints centimetres
