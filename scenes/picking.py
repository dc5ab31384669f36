"""Which object is at a pixel: by a ray against every triangle, and by drawing all objects in colours that are their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.plugins import load_extra
from cim.scenes.offscreen import load_pyvista
from cim.scenes.stage import apply_camera, check_size, plotter, poly_data, print_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.camera import Camera
    from cim.scenes.layer import Layer
    from cim.scenes.scene import Scene

__all__ = ["IdBuffer", "Pick", "Picker", "id_buffer", "pickable"]

_CLEAR = 64  # clear faces of a sheet that a ray goes through at most
_STEP = 0.01  # m behind a clear face where the ray goes on
_MOST = 2**24 - 1  # objects that three bytes of colour can number


@dataclass(frozen=True)
class Pick:
    """What lies behind a pixel."""

    layer: str
    id: str | None
    """Object id; None where the layer shows cells of a field."""
    xyz: tuple[float, float, float]
    """Absolute position in the CRS of the city [m]."""
    ground: float
    """Height of the ground below it [m]."""
    value: float | None = None
    """What the colour shows, where it shows a number."""


@dataclass(frozen=True)
class IdBuffer:
    """A picture of numbers."""

    numbers: NDArray[np.int64]
    """Shape (height, width): 0 where nothing is, else 1 + the number of the object among all layers drawn."""
    layers: tuple[Layer, ...]

    def object_at(self, x: int, y: int) -> tuple[str, int] | None:
        """Return the layer and the row of the object at a pixel, None where nothing is."""
        number = int(self.numbers[y, x]) - 1
        for layer in self.layers:
            if number < 0:
                return None
            if number < len(layer):
                return layer.name, number
            number -= len(layer)
        return None


def pickable(scene: Scene) -> tuple[Layer, ...]:
    """Return the layers that can be picked: visible, not lying on the faces of another."""
    return tuple(layer for layer in scene.layers if layer.visible and not layer.overlay and len(layer.triangles))


def id_buffer(scene: Scene, camera: Camera, size: tuple[int, int], *, layers: Sequence[Layer] | None = None) -> IdBuffer:
    """Return which object is seen at every pixel, by drawing each in a colour of its own, unlit and unsmoothed.

    Parameters
    ----------
    size
        Width and height [pixel].
    layers
        What is drawn; all that can be picked when left out.

    Raises
    ------
    UsageError
        If there are more objects than colours (16.7 million).
    """
    check_size(size)
    drawn = pickable(scene) if layers is None else tuple(layers)
    if sum(len(layer) for layer in drawn) > _MOST:
        msg = f"{sum(len(layer) for layer in drawn):,} objects, expected at most {_MOST:,}; hide layers with show_only"
        raise UsageError(msg)
    first = dict(zip(map(id, drawn), np.cumsum([1, *(len(layer) for layer in drawn)]).tolist(), strict=False))
    groups = [[layer for layer in drawn if layer.through == through] for through in (False, True)]
    numbers = np.zeros((size[1], size[0]), np.int64)
    for group in groups:
        if group:  # what is seen through counts only where nothing else is
            below = _numbers(scene, camera, size, [(layer, first[id(layer)]) for layer in group])
            numbers = np.where(numbers > 0, numbers, below)
    return IdBuffer(numbers, drawn)


def _numbers(scene: Scene, camera: Camera, size: tuple[int, int], layers: list[tuple[Layer, int]]) -> NDArray[np.int64]:
    """Return the number of the object at every pixel, 0 where there is none."""
    stage = plotter(size)
    try:
        stage.set_background("black")
        for layer, first in layers:
            _add_numbered(stage, layer, first)
        apply_camera(stage, camera, scene)
        picture = np.asarray(stage.screenshot(return_img=True)).astype(np.int64)
    finally:
        stage.close()
    return np.asarray(picture[..., 0] << 16 | picture[..., 1] << 8 | picture[..., 2], np.int64)


def _add_numbered(stage: Any, layer: Layer, first: int) -> None:
    number = layer.point_object.astype(np.int64) + first
    colours = np.stack([number >> 16, number >> 8 & 255, number & 255], axis=1).astype(np.uint8)
    # every corner of a triangle has the same colour, so nothing is mixed between them
    mesh = poly_data(layer.points.astype(np.float32), layer.triangles, colours)
    actor = stage.add_mesh(mesh, scalars="colour", rgb=True, lighting=False, show_scalar_bar=False, copy_mesh=False, reset_camera=False)
    actor.mapper.SetResolveCoincidentTopologyToOff()
    if layer.sheet is not None and layer.uv is not None and layer.images:
        print_image(actor, layer.images[0], layer.uv, stencil=True)


class Picker:
    """Finds objects by rays through pixel centres; exact, and quick after the first pick.

    Parameters
    ----------
    scene, camera, size
        The picture that is asked about; `size` is its width and height [pixel].
    """

    def __init__(self, scene: Scene, camera: Camera, size: tuple[int, int]) -> None:
        check_size(size)
        self.scene, self.camera, self.size = scene, camera, size
        self.layers = pickable(scene)
        self._kept: list[Any] = []  # what a locator looks at, which it does not own

    @cached_property
    def _solid(self) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
        return self._mesh(through=False)

    @cached_property
    def _ground(self) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
        return self._mesh(through=True)

    def _mesh(self, *, through: bool) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
        """Triangles that are seen through, or the others, in one locator, and the layer and object of each."""
        load_pyvista()
        numbers = np.array([place for place, layer in enumerate(self.layers) if layer.through == through], np.int64)
        layers = [self.layers[place] for place in numbers.tolist()]
        if not layers:
            return None, numbers, numbers
        locator = load_extra("vtkmodules.vtkCommonDataModel", "scenes").vtkStaticCellLocator()
        start = np.concatenate([[0], np.cumsum([len(layer.points) for layer in layers])]).astype(np.int64)
        points = np.concatenate([layer.points for layer in layers]).astype(np.float32)
        triangles = [layer.triangles + first for layer, first in zip(layers, start[:-1], strict=True)]
        mesh = poly_data(points, np.concatenate(triangles), np.zeros((len(points), 3), np.uint8))
        locator.SetDataSet(mesh)
        locator.BuildLocator()
        place = np.repeat(numbers, [len(layer.triangles) for layer in layers])
        owner = np.concatenate([layer.cell_object for layer in layers]).astype(np.int64)
        self._kept.append(mesh)
        return locator, place, owner

    def pick(self, x: float, y: float) -> Pick | None:
        """Return what is at a pixel (column from the left, row from the top), None where the sky is."""
        hit = self.hit(x, y)
        if hit is None:
            return None
        place, row, point = hit
        layer = self.layers[place]
        absolute = point + self.scene.origin
        ground = self.scene.context.ground.at(point[:1], point[1:2])[0] + self.scene.origin[2]
        value = None if layer.values is None else float(layer.values[row])
        if layer.sheet is not None:
            value = float(layer.sheet.at(point[0], point[1]))
        id = str(layer.ids[row]) if len(layer.ids) else None
        return Pick(layer.name, id, (float(absolute[0]), float(absolute[1]), float(absolute[2])), float(ground), value)

    def hit(self, x: float, y: float) -> tuple[int, int, NDArray[np.float64]] | None:
        """Return the number of the layer, the row of the object and the point (relative to the origin) at a pixel."""
        found = self._hit(x, y, self._solid)
        return self._hit(x, y, self._ground) if found is None else found

    def _hit(
        self, x: float, y: float, mesh: tuple[Any, NDArray[np.int64], NDArray[np.int64]]
    ) -> tuple[int, int, NDArray[np.float64]] | None:
        reference = load_extra("vtkmodules.vtkCommonCore", "scenes").reference
        locator, places, owners = mesh
        if not len(owners):
            return None
        start, direction = self.camera.rays(x, y, self.size)
        low, high = self.scene.bounds
        reach = float(np.linalg.norm((low + high) / 2 - start[0]) + np.linalg.norm(high - low))
        end, begin = start[0] + direction[0] * reach, start[0]
        for _ in range(_CLEAR):
            t, cell, sub = reference(0.0), reference(-1), reference(0)
            point, local = [0.0] * 3, [0.0] * 3
            if not locator.IntersectWithLine(begin, end, 0.0, t, point, local, sub, cell):
                return None
            number, hit = int(cell), np.array(point)
            sheet = self.layers[int(places[number])].sheet
            if sheet is None or np.isfinite(sheet.at(hit[0], hit[1])):
                return int(places[number]), int(owners[number]), hit
            begin = hit + direction[0] * _STEP  # through the clear part of a sheet
        return None
