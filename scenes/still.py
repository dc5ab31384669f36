"""Pictures: the layers drawn off screen, the furniture laid over them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.scenes.camera import Camera
from cim.scenes.offscreen import load_pyvista
from cim.scenes.shading import shell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.layer import Layer
    from cim.scenes.scene import Scene

__all__ = ["SKY_COLOURS", "add_layer", "apply_camera", "plotter", "render", "screenshot"]

SKY_COLOURS = ("#f4f1ea", "#c9dcea")
"""Background at the bottom and at the top."""
_WIDE = 1.6  # the view is taken this much wider when asking what is near: a triangle reaches beyond its corners
_LARGEST = 8192  # pixels a side; software renderers take no larger target


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
    factor = 2 if smooth and max(size) * 2 <= _LARGEST else 1
    window = (size[0] * factor, size[1] * factor)
    stage = plotter(window)
    try:
        stage.set_background(SKY_COLOURS[0], top=SKY_COLOURS[1])
        for layer in scene.layers:
            if layer.visible and len(layer.triangles):
                add_layer(stage, layer, width=factor)
        apply_camera(stage, camera, scene)
        picture = np.asarray(stage.screenshot(return_img=True))
    finally:
        stage.close()
    if factor == 1:
        return picture
    small = picture.reshape(size[1], factor, size[0], factor, -1).mean(axis=(1, 3))[..., :3]
    return np.asarray(small.round(), np.uint8)


def hatch(picture: NDArray[np.uint8], scene: Scene, camera: Camera) -> NDArray[np.uint8]:
    """Return the picture with stripes over every object that is marked: colour alone shall carry no warning."""
    from cim.scenes.picking import id_buffer

    if not any(layer.visible and layer.hatched is not None and layer.hatched.any() for layer in scene.layers):
        return picture
    height, width = picture.shape[:2]
    # overlays come last: at equal depth the last drawn stays
    drawn = sorted((layer for layer in scene.layers if layer.visible and len(layer.triangles)), key=lambda layer: layer.overlay)
    seen = id_buffer(scene, camera, (width, height), layers=drawn).numbers
    marked = np.concatenate([[False], *(np.zeros(len(layer), bool) if layer.hatched is None else layer.hatched for layer in drawn)])[seen]
    row, column = np.mgrid[0:height, 0:width]
    period = max(6, round(height / 110))
    stripe = marked & ((row + column) % period < max(2, period // 4))
    darker = picture.copy()
    darker[stripe] = (picture[stripe] * 0.62).astype(np.uint8)
    return darker


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size no renderer takes.

    Raises
    ------
    UsageError
        If a side is below 16 or above 8192 pixels.
    """
    if not (min(size) >= 16 and max(size) <= _LARGEST):
        msg = f"picture size {size[0]} x {size[1]}; each side must lie between 16 and {_LARGEST} pixels"
        raise UsageError(msg)


def plotter(size: tuple[int, int], *, off_screen: bool = True) -> Any:
    """Return an empty pyvista plotter without lights and multisampling: light is in the colours, smoothing is done by size."""
    pyvista = load_pyvista(window=not off_screen)
    stage = pyvista.Plotter(off_screen=off_screen, window_size=list(size), lighting="none")
    stage.disable_anti_aliasing()
    stage.render_window.SetMultiSamples(0)
    return stage


def add_layer(stage: Any, layer: Layer, *, width: int = 1) -> Any:
    """Add one layer as one actor, and one for its outlines; return the actor of its faces."""
    points, triangles, colours = shell(layer)
    actor = stage.add_mesh(
        poly_data(points, triangles, colours),
        scalars="colour",
        rgb=True,
        lighting=False,
        opacity=layer.opacity,
        show_scalar_bar=False,
        copy_mesh=False,
        name=layer.name,
        reset_camera=False,
    )
    _lift(actor, -2.0 if layer.overlay else 1.0)
    if layer.edges is not None and len(layer.edges):
        pyvista = load_pyvista()
        lines = pyvista.PolyData(layer.points.astype(np.float32), lines=np.insert(layer.edges.astype(np.int64), 0, 2, axis=1).ravel())
        edge = stage.add_mesh(
            lines,
            color=[channel / 255 for channel in layer.edge_colour],
            line_width=width,
            opacity=layer.edge_opacity * layer.opacity,
            lighting=False,
            copy_mesh=False,
            name=f"{layer.name} edges",
            reset_camera=False,
        )
        _lift(edge, -3.0 if layer.overlay else 0.0)
    return actor


def poly_data(points: NDArray[np.float32], triangles: NDArray[np.int32], colours: NDArray[np.uint8]) -> Any:
    """Return a pyvista mesh with a colour per point."""
    pyvista = load_pyvista()
    mesh = pyvista.PolyData(points, faces=np.insert(triangles.astype(np.int64), 0, 3, axis=1).ravel())
    mesh.point_data["colour"] = colours
    return mesh


def _lift(actor: Any, amount: float) -> None:
    """Move faces away from the camera in depth only, so that outlines and overlays on them are not eaten."""
    mapper = actor.mapper
    mapper.SetResolveCoincidentTopologyToPolygonOffset()
    mapper.SetRelativeCoincidentTopologyPolygonOffsetParameters(amount, amount)
    mapper.SetRelativeCoincidentTopologyLineOffsetParameters(amount, amount)


def apply_camera(stage: Any, camera: Camera, scene: Scene) -> None:
    """Give the plotter the camera, with near and far planes around the scene."""
    stage.camera_position = [camera.position, camera.focus, camera.up]
    stage.camera.view_angle = camera.view_angle
    stage.camera.parallel_projection = camera.orthographic is not None
    if camera.orthographic is not None:
        stage.camera.parallel_scale = camera.orthographic
    stage.camera.clipping_range = clipping(scene, camera)


def clipping(scene: Scene, camera: Camera) -> tuple[float, float]:
    """Return near and far planes [m] close around what the camera sees.

    The nearer plane decides how finely depth is told apart, so it is put just before the first point inside the view.
    """
    far = 0.0
    right, up, ahead = camera.axes()
    half = np.tan(np.radians(camera.view_angle) / 2) * _WIDE
    closest = np.inf
    for layer in scene.layers:
        if not layer.visible or not len(layer.points):
            continue
        offset = layer.points - camera.position
        depth = offset @ ahead
        far = max(far, float(depth.max()))
        seen = (
            (np.abs(offset @ up) < half * depth) & (np.abs(offset @ right) < 2.5 * half * depth)
            if camera.orthographic is None
            else np.ones(len(depth), bool)
        )
        if seen.any():
            closest = min(closest, float(depth[seen].min()))
    far = max(far * 1.02, 2.0)
    near = max(min(closest, far) * 0.8, far / 4000.0) if camera.orthographic is None else closest - 1.0
    return (min(near, far / 2), far) if np.isfinite(near) else (far / 1000, far)
