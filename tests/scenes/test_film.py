"""Films show what pictures show, one time after the other, and say what they need."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cim.errors import MissingExtraError, RunError, UsageError
from cim.progress import Report, set_sink
from cim.scenes import Scene
from cim.scenes.film import FORMATS, frames
from tests.scenes.test_water import rising

SIZE = (320, 200)


@pytest.fixture(scope="module")
def wet(scene: Scene) -> Scene:
    return scene.add(rising())


@pytest.mark.usefixtures("can_draw")
@pytest.mark.parametrize("ending", [".gif", ".webp", ".apng"])
def test_a_film_has_one_picture_for_each_time(wet: Scene, tmp_path: Path, ending: str) -> None:
    path = wet.film(tmp_path / "deep" / f"film{ending}", fps=4, size=SIZE)
    with Image.open(path) as found:
        assert (found.n_frames, found.size) == (4, SIZE)  # type: ignore[attr-defined]  # an animation has it
        found.seek(1)
        found.load()
        assert found.info["duration"] == 250
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.usefixtures("can_draw")
def test_each_picture_of_a_film_is_the_still_of_its_time(wet: Scene, tmp_path: Path) -> None:
    camera = wet.camera(SIZE)
    for place, picture in enumerate(frames(wet, range(4), camera, SIZE)):
        still = np.asarray(Image.open(wet.at(place).screenshot(tmp_path / "still.png", size=SIZE, camera=camera)), int)
        # water meets the roads at other depths of the buffer, as near and far planes are those of the first picture
        different = (np.abs(np.asarray(picture, int) - still).max(axis=2) > 8).mean()
        assert different < 0.005, place


@pytest.mark.usefixtures("can_draw")
def test_part_of_the_times_can_be_filmed(wet: Scene, tmp_path: Path) -> None:
    with Image.open(wet.film(tmp_path / "f.gif", start=1, end="2026-07-21T14:20", size=SIZE)) as found:
        assert found.n_frames == 2  # type: ignore[attr-defined]  # an animation has it


@pytest.mark.usefixtures("can_draw")
def test_a_film_tells_how_far_it_is(wet: Scene, tmp_path: Path) -> None:
    said: list[Report] = []
    before = set_sink(said.append)
    try:
        wet.film(tmp_path / "f.webp", size=SIZE)
    finally:
        set_sink(before)
    assert (said[-1].label, said[-1].done, said[-1].total, said[-1].finished) == ("film", 4.0, 4, True)


def test_what_makes_no_film_is_refused_before_anything_is_drawn(scene: Scene, wet: Scene, tmp_path: Path) -> None:
    refused: tuple[tuple[Callable[[], Path], str], ...] = (
        (lambda: scene.film(tmp_path / "f.gif"), "nothing in this scene changes with time"),
        (lambda: wet.film(tmp_path / "f.avi"), "ends in .avi"),
        (lambda: wet.film(tmp_path / "f.gif", fps=0), "fps=0"),
        (lambda: wet.film(tmp_path / "f.gif", fps=float("nan")), "fps=nan"),
        (lambda: wet.film(tmp_path / "f.gif", start=3, end=1), "swap start and end"),
        (lambda: wet.film(tmp_path / "f.gif", size=(9000, 9000)), "between 16 and 8192"),
    )
    for call, said in refused:
        with pytest.raises(UsageError, match=said):
            call()
    assert list(tmp_path.iterdir()) == []


def test_mp4_without_ffmpeg_names_what_to_do(wet: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install imageio-ffmpeg .* or give the film a name that ends in \.webp"):
        wet.film(tmp_path / "f.mp4")
    assert list(tmp_path.iterdir()) == []


def program(folder: Path, text: str) -> str:
    """Write a stand-in for ffmpeg that is given the same words and bytes."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("can_draw")
@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for ffmpeg is a shell script")
def test_ffmpeg_is_given_every_picture_whole(wet: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    found = program(tmp_path, 'for last; do :; done; echo "$@" > "$last.words"; cat > "$last"')
    monkeypatch.setattr("shutil.which", lambda _: found)
    path = wet.film(tmp_path / "f.mp4", size=(321, 201), fps=8)
    assert path.stat().st_size == 4 * 320 * 200 * 3
    words = (tmp_path / ".f.part.mp4.words").read_text(encoding="utf-8")
    assert "-s 320x200 -r 8 " in words
    assert "-pix_fmt yuv420p" in words


@pytest.mark.usefixtures("can_draw")
@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for ffmpeg is a shell script")
def test_what_ffmpeg_complains_of_is_told_and_nothing_stays(wet: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    (tmp_path / "bin").mkdir()
    found = program(tmp_path / "bin", "echo 'Unknown encoder libx264' >&2; exit 3")
    monkeypatch.setattr("shutil.which", lambda _: found)
    with pytest.raises(RunError, match="code 3: Unknown encoder libx264"):
        wet.film(tmp_path / "f.mp4", size=SIZE)
    assert [one.name for one in tmp_path.iterdir()] == ["bin"]


def test_every_ending_is_known() -> None:
    assert FORMATS == (".mp4", ".webp", ".gif", ".apng")
