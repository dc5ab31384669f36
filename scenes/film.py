"""Films: the pictures of all times of a scene, one after the other, from one camera, with clock and legend in each."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import MissingExtraError, RunError, UsageError
from cim.plugins import load_extra
from cim.scenes.clock import latest
from cim.scenes.furniture import compose
from cim.scenes.layer import drawing_order
from cim.scenes.stage import LARGEST, SKY_COLOURS, add_layer, apply_camera, blend, check_size, plotter, remove_layer
from cim.scenes.still import hatch, shot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from cim.scenes.camera import Camera
    from cim.scenes.scene import Scene

    Moment = float | str | datetime | np.datetime64

__all__ = ["FORMATS", "encoder", "film", "frames"]

FORMATS = (".mp4", ".webp", ".gif", ".apng")
"""Endings of films: mp4 needs ffmpeg, the others are always there."""
_FASTEST = 60.0  # pictures a second


def film(
    scene: Scene, path: str | Path, *, fps: float = 5.0, start: Moment | None = None, end: Moment | None = None,
    size: tuple[int, int] = (1280, 720), camera: Camera | None = None,
) -> Path:  # fmt: skip
    """Write a film of a scene that changes with time and return its path; the file appears whole or not at all.

    Parameters
    ----------
    path
        Ending in ``.mp4``, ``.webp``, ``.gif`` or ``.apng``.
    fps
        Times shown in a second.
    start, end
        First and last time, as in `Scene.at`; all of them when left out.
    size
        Width and height [pixel]; mp4 takes even numbers, an odd one loses a pixel.
    camera
        Where all pictures are taken from; one that frames the city when left out.

    Raises
    ------
    UsageError
        If nothing changes with time, the ending is unknown, or the times or the speed make no sense.
    MissingExtraError
        If mp4 is asked for and there is no ffmpeg.
    RunError
        If ffmpeg stops.
    """
    target = Path(path)
    write = encoder(target)
    if not 0 < fps <= _FASTEST:
        msg = f"fps={fps}; give the times shown in a second, above 0 and at most {_FASTEST:g}"
        raise UsageError(msg)
    if target.suffix.lower() == ".mp4":
        size = (size[0] // 2 * 2, size[1] // 2 * 2)
    check_size(size)
    chosen = _chosen(scene, start, end)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        write(frames(scene, chosen, camera or scene.camera(size), size), part, fps, size)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _chosen(scene: Scene, start: Moment | None, end: Moment | None) -> range:
    clock = scene.clock
    if clock is None:
        msg = "nothing in this scene changes with time; add the result of a simulation over time, or write a picture"
        raise UsageError(msg)
    first = 0 if start is None else clock.place(start)
    last = len(clock) - 1 if end is None else clock.place(end)
    if last < first:
        msg = f"the film would start at {clock.labels[first]} and end at {clock.labels[last]}; swap start and end"
        raise UsageError(msg)
    return range(first, last + 1)


def frames(scene: Scene, places: range, camera: Camera, size: tuple[int, int]) -> Iterator[Any]:
    """Yield the picture (PIL, RGB) of each time; what stands still is put on the stage once.

    Parameters
    ----------
    places
        Numbers of the times of the scene.
    """
    from cim.progress import track

    images = load_extra("PIL.Image", "scenes")
    factor = 2 if max(size) * 2 <= LARGEST else 1
    stage = plotter((size[0] * factor, size[1] * factor))
    try:
        stage.set_background(SKY_COLOURS[0], top=SKY_COLOURS[1])
        blend(stage, scene.layers)
        for layer, _ in drawing_order([layer for layer in scene.layers if layer.motion is None]):
            add_layer(stage, layer, width=factor)
        apply_camera(stage, camera, scene)
        shown: dict[str, int] = {}
        for place in track(places, label="film", unit="pictures"):
            now = scene.at(place)
            _change(stage, now, shown, factor)
            picture = hatch(shot(stage, size), now, camera)
            yield compose(images.fromarray(picture).convert("RGBA"), now, camera).convert("RGB")
    finally:
        stage.close()


def _change(stage: Any, scene: Scene, shown: dict[str, int], width: int) -> None:
    """Put the layers that changed since the picture before on the stage."""
    for layer in scene.layers:
        if layer.motion is None or scene.moment is None:
            continue
        number = int(latest(layer.motion, np.array([scene.moment]))[0])
        if shown.get(layer.name) == number:
            continue
        shown[layer.name] = number
        remove_layer(stage, layer)
        for part, _ in drawing_order([layer]):
            add_layer(stage, part, width=width)


# --------------------------------------------------------------------------------------------- writing


def encoder(path: Path) -> Callable[[Iterator[Any], Path, float, tuple[int, int]], None]:
    """Return what writes pictures as a film of this ending.

    Raises
    ------
    UsageError
        If the ending is unknown.
    MissingExtraError
        If it is mp4 and there is no ffmpeg.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        msg = f"{path.name} ends in {ending or 'nothing'}; give a film a name that ends in {', '.join(FORMATS)}"
        raise UsageError(msg)
    if ending == ".mp4":
        program = _ffmpeg()
        return lambda pictures, part, fps, size: _mp4(program, pictures, part, fps, size)
    return _animation


def _ffmpeg() -> str:
    """Return the program that writes mp4: that of imageio-ffmpeg, else the one of the system."""
    from importlib import import_module

    try:
        return str(import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # it raises RuntimeError where it holds no program for this machine
        found = shutil.which("ffmpeg")
    if found is None:
        msg = (
            "an mp4 needs ffmpeg, and there is none here; run: pip install imageio-ffmpeg (or apt-get install ffmpeg), "
            "or give the film a name that ends in .webp, .gif or .apng"
        )
        raise MissingExtraError(msg)
    return found


def _mp4(program: str, pictures: Iterator[Any], part: Path, fps: float, size: tuple[int, int]) -> None:
    """Write H.264 that every browser and office program plays."""
    command = [
        program, "-y", "-loglevel", "error",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", f"{fps:g}", "-i", "-", "-an",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-movflags", "+faststart", str(part),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603  # no shell; the program is ffmpeg
        try:
            _fed(running, pictures)
        except BaseException:
            running.kill()
            running.wait()
            raise
        code = running.wait()
        said.seek(0)
        if code:
            msg = f"ffmpeg stopped with code {code}: {said.read().decode(errors='replace').strip()[-400:]}"
            raise RunError(msg)


def _fed(running: subprocess.Popen[bytes], pictures: Iterator[Any]) -> None:
    """Give a program all pictures; where it stops before, its exit code tells."""
    from contextlib import suppress

    if running.stdin is None:
        return
    with suppress(BrokenPipeError):
        for picture in pictures:
            running.stdin.write(picture.tobytes())
    with suppress(BrokenPipeError):
        running.stdin.close()


def _animation(pictures: Iterator[Any], part: Path, fps: float, size: tuple[int, int]) -> None:  # noqa: ARG001  # the pictures have it
    """Write an animated picture that browsers and office programs play, for ever again."""
    images = load_extra("PIL.Image", "scenes")
    ending = part.suffix.lower()
    options: dict[str, Any] = {"save_all": True, "duration": max(1, round(1000 / fps)), "loop": 0}
    kept = list(pictures)
    if ending == ".gif":
        # one palette for all, from all times: colours do not flicker
        palette = _together(kept).quantize(256, method=images.Quantize.MAXCOVERAGE, dither=images.Dither.NONE)
        kept = [one.quantize(palette=palette, dither=images.Dither.NONE) for one in kept]
        options |= {"optimize": False, "disposal": 1}
    if ending == ".webp":
        options |= {"quality": 82, "method": 4}
    kind = {".gif": "GIF", ".webp": "WEBP", ".apng": "PNG"}[ending]
    kept[0].save(part, kind, append_images=kept[1:], **options)


def _together(pictures: list[Any]) -> Any:
    """Return some of the pictures side by side: first, last and in between."""
    images = load_extra("PIL.Image", "scenes")
    some = [pictures[place] for place in np.unique(np.linspace(0, len(pictures) - 1, 5).astype(int)).tolist()]
    width, height = some[0].size
    sheet = images.new("RGB", (width * len(some), height))
    for number, picture in enumerate(some):
        sheet.paste(picture, (number * width, 0))
    return sheet
