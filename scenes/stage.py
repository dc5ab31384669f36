"""The stage that VTK draws on: layers become actors, light is already in their colours, nothing is smoothed by the graphics card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.scenes.offscreen import load_pyvista
from cim.scenes.shading import shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.camera import Camera
    from cim.scenes.layer import Layer
    from cim.scenes.scene import Scene

__all__ = [
    "LARGEST",
    "SKY_COLOURS",
    "add_layer",
    "apply_camera",
    "blend",
    "check_size",
    "clipping",
    "pixels_of",
    "plotter",
    "poly_data",
    "print_image",
    "remove_layer",
]

SKY_COLOURS = ("#f4f1ea", "#c9dcea")
"""Background at the bottom and at the top."""
_WIDE = 1.6  # the view is taken this much wider when asking what is near: a triangle reaches beyond its corners
LARGEST = 8192  # pixels a side; software renderers take no larger target


def check_size(size: tuple[int, int]) -> None:
    """Refuse a size no renderer takes.

    Raises
    ------
    UsageError
        If a side is below 16 or above 8192 pixels.
    """
    if not (min(size) >= 16 and max(size) <= LARGEST):
        msg = f"picture size {size[0]} x {size[1]}; each side must lie between 16 and {LARGEST} pixels"
        raise UsageError(msg)


def plotter(size: tuple[int, int], *, off_screen: bool = True) -> Any:
    """Return an empty pyvista plotter without lights and multisampling: light is in the colours, smoothing is done by size."""
    pyvista = load_pyvista(window=not off_screen)
    stage = pyvista.Plotter(off_screen=off_screen, window_size=list(size), lighting="none")
    stage.disable_anti_aliasing()
    stage.render_window.SetMultiSamples(0)
    return stage


def blend(stage: Any, layers: Sequence[Layer]) -> None:
    """Choose how what is seen through is mixed.

    Averaged, so that panes of glass need no order; but laid on in the order of the layers, as the page does, where water stands on
    ground that is seen through: the water keeps its colours.
    """
    shown = [layer for layer in layers if layer.visible]
    stage.renderer.SetUseOIT(not (any(layer.sheet is not None for layer in shown) and any(layer.through for layer in shown)))


def add_layer(stage: Any, layer: Layer, *, width: int = 1) -> None:
    """Add one layer: an actor for its faces, one more for each further image, and one for its outlines."""
    points, triangles, colours = shell(layer)
    uv = None if layer.uv is None else layer.uv[layer.triangles.reshape(-1)] if layer.lit else layer.uv
    parts = _by_image(layer)
    for image, mine in parts:
        # each actor holds its own vertices only
        used, index = np.unique(triangles[mine], return_inverse=True) if len(parts) > 1 else (np.arange(len(points)), triangles)
        actor = stage.add_mesh(
            poly_data(points[used], index.reshape(-1, 3).astype(np.int32), colours[used]),
            scalars="colour",
            rgb=True,
            lighting=False,
            opacity=layer.opacity,
            show_scalar_bar=False,
            copy_mesh=False,
            name=f"{layer.name} {image}",
            reset_camera=False,
            render=False,  # drawn before it has its image, a face would never show it
        )
        if image >= 0 and uv is not None:
            print_image(actor, layer.images[image], uv[used], clear=layer.sheet is not None)
        _lift(actor, -2.0 if layer.overlay else 1.0 + layer.behind)
    if layer.edges is not None and len(layer.edges):
        _add_edges(stage, layer, width)


def remove_layer(stage: Any, layer: Layer) -> None:
    """Take the actors of a layer off the stage, whatever it showed, and give back what they hold of the graphics card."""
    for name, actor in list(stage.actors.items()):
        kind = name.removeprefix(f"{layer.name} ")
        if name == kind or not (kind == "edges" or kind.lstrip("-").isdigit()):
            continue
        stage.remove_actor(name, render=False)
        actor.ReleaseGraphicsResources(stage.render_window)


def _by_image(layer: Layer) -> list[tuple[int, NDArray[np.int64] | slice]]:
    """Return each image of the texture (-1 for none) and the triangles that show it."""
    if layer.cell_image is None:
        return [(0 if layer.images else -1, slice(None))]
    order = np.argsort(layer.cell_image, kind="stable")
    numbers, first = np.unique(layer.cell_image[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(order, first[1:]), strict=True))


def _add_edges(stage: Any, layer: Layer, width: int) -> None:
    pyvista = load_pyvista()
    edges = np.asarray(layer.edges, np.int64)
    lines = pyvista.PolyData(layer.points.astype(np.float32), lines=np.insert(edges, 0, 2, axis=1).ravel())
    look: dict[str, Any] = {"color": [channel / 255 for channel in layer.edge_colour]}
    if layer.edge_own:
        lines.point_data["colour"] = layer.colours[np.maximum(layer.point_object, 0)]
        look = {"scalars": "colour", "rgb": True, "show_scalar_bar": False}
    edge = stage.add_mesh(
        lines,
        **look,
        line_width=width * layer.edge_width,
        opacity=layer.edge_opacity * layer.opacity,
        lighting=False,
        copy_mesh=False,
        name=f"{layer.name} edges",
        reset_camera=False,
        render=False,
    )
    _lift(edge, -3.0 if layer.overlay else 0.0)


def poly_data(points: NDArray[np.float32], triangles: NDArray[np.int32], colours: NDArray[np.uint8]) -> Any:
    """Return a pyvista mesh with a colour per point."""
    pyvista = load_pyvista()
    mesh = pyvista.PolyData(points, faces=np.insert(triangles.astype(np.int64), 0, 3, axis=1).ravel())
    mesh.point_data["colour"] = colours
    return mesh


def print_image(actor: Any, image: bytes, uv: NDArray[np.float32], *, clear: bool = False, stencil: bool = False) -> None:
    """Print an image on the faces of an actor; the colours of its points, which hold the light, are multiplied with it.

    With `clear`, what the image leaves clear is not drawn; with `stencil`, the colours of the points stay besides.
    """
    pyvista = load_pyvista()
    actor.mapper.dataset.active_texture_coordinates = uv
    pixels = pixels_of(image, mode="RGBA" if clear or stencil else "RGB")
    if stencil:
        pixels = np.dstack([np.full((*pixels.shape[:2], 3), 255, np.uint8), pixels[..., 3:]])
    texture = pyvista.Texture(pixels)
    texture.SetInterpolate(not stencil)
    texture.SetMipmap(not stencil)
    texture.SetRepeat(bool((uv < -1e-3).any() or (uv > 1 + 1e-3).any()))
    actor.SetTexture(texture)


def pixels_of(image: bytes, *, mode: str = "RGB") -> NDArray[np.uint8]:
    """Return an image file as an array, shape (rows, columns, 3), or 4 as ``"RGBA"``; no larger than a renderer takes.

    Raises
    ------
    UsageError
        If it cannot be read as an image.
    """
    from io import BytesIO

    from cim.plugins import load_extra

    images = load_extra("PIL.Image", "scenes")
    try:
        picture = images.open(BytesIO(image), formats=("PNG", "JPEG"))
        if max(picture.size) > LARGEST:
            picture.thumbnail((LARGEST, LARGEST))
        return np.asarray(picture.convert(mode), np.uint8)
    except (OSError, ValueError, images.DecompressionBombError, images.DecompressionBombWarning) as error:
        msg = f"a texture cannot be read as an image: {error}"
        raise UsageError(msg) from error


def _lift(actor: Any, amount: float) -> None:
    """Move faces away from the camera in depth only, so that outlines and overlays on them are not eaten.

    It moves level ground seen from afar by metres, so it is the same for every severity: among those the order of drawing decides.
    """
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
