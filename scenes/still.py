"""Pictures: the layers drawn off screen, the furniture laid over them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.scenes.layer import drawing_order
from cim.scenes.picking import id_buffer
from cim.scenes.stage import LARGEST, SKY_COLOURS, add_layer, apply_camera, blend, check_size, plotter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.camera import Camera
    from cim.scenes.scene import Scene

__all__ = ["hatch", "render", "screenshot", "shot"]


def screenshot(scene: Scene, path: str | Path, *, size: tuple[int, int] = (1600, 1000), camera: Camera | None = None) -> Path:
    """Write a picture of a scene as PNG and return its path.

    Raises
    ------
    DisplayError
        If this machine cannot draw, or has no font for Chinese text that must be drawn.
    """
    from PIL import Image

    from cim.scenes.furniture import compose

    target = Path(path)
    view = camera or scene.camera(size)
    picture = Image.fromarray(hatch(render(scene, view, size), scene, view)).convert("RGBA")
    finished = compose(picture, scene, view)
    target.parent.mkdir(parents=True, exist_ok=True)
    finished.convert("RGB").save(target, format="PNG", optimize=False)
    return target


def render(scene: Scene, camera: Camera, size: tuple[int, int], *, smooth: bool = True) -> NDArray[np.uint8]:
    """Return the drawn layers without furniture, shape (height, width, 3).

    Parameters
    ----------
    smooth
        Draw at twice the size and average: edges without steps, at twice the time.
    """
    check_size(size)
    factor = 2 if smooth and max(size) * 2 <= LARGEST else 1
    stage = plotter((size[0] * factor, size[1] * factor))
    try:
        stage.set_background(SKY_COLOURS[0], top=SKY_COLOURS[1])
        blend(stage, scene.layers)
        for layer, _ in drawing_order(scene.layers):
            add_layer(stage, layer, width=factor)
        apply_camera(stage, camera, scene)
        return shot(stage, size)
    finally:
        stage.close()


def shot(stage: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return what is on a stage that is a whole number of times as large as the picture, shape (height, width, 3)."""
    stage.render()  # a stage that was drawn before does not draw again by itself
    picture = np.asarray(stage.screenshot(return_img=True))
    factor = picture.shape[0] // size[1]
    if factor == 1:
        return picture
    small = picture.reshape(size[1], factor, size[0], factor, -1).mean(axis=(1, 3))[..., :3]
    return np.asarray(small.round(), np.uint8)


def hatch(picture: NDArray[np.uint8], scene: Scene, camera: Camera) -> NDArray[np.uint8]:
    """Return the picture with stripes over every object that is marked: colour alone shall carry no warning."""
    if not any(layer.visible and layer.hatched is not None and layer.hatched.any() for layer in scene.layers):
        return picture
    height, width = picture.shape[:2]
    drawn = [layer for layer, _ in drawing_order(scene.layers)]  # at equal depth the last drawn stays
    seen = id_buffer(scene, camera, (width, height), layers=drawn).numbers
    marked = np.concatenate([[False], *(np.zeros(len(layer), bool) if layer.hatched is None else layer.hatched for layer in drawn)])[seen]
    row, column = np.mgrid[0:height, 0:width]
    period = max(6, round(height / 110))
    stripe = marked & ((row + column) % period < max(2, period // 4))
    darker = picture.copy()
    darker[stripe] = (picture[stripe] * 0.62).astype(np.uint8)
    return darker
