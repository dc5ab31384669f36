"""What a renderer draws: a layer is a mesh, the object each triangle belongs to, colours, and a legend; nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cim.scenes.clock import Motion
    from cim.scenes.sheet import Sheet

__all__ = ["IMAGE_MARKS", "SEVERITIES", "Label", "Layer", "Legend", "LegendEntry", "Text", "Told", "drawing_order", "join"]

OUTLINE_LIMIT = 600_000
"""More edges than this are not drawn: they would hide the faces."""
IMAGE_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
"""How the image files start that a layer may carry: PNG, JPEG."""
SEVERITIES = 3
"""How many ranks `Layer.severity` knows: pass, not assessed, fail."""


@dataclass(frozen=True)
class Text:
    """A text in both languages."""

    en: str
    zh: str

    def __call__(self, language: str) -> str:
        """Return the text in ``"en"``, ``"zh"`` or ``"both"``."""
        if language == "both":
            return self.en if self.zh in {"", self.en} else f"{self.zh} {self.en}"
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend."""

    colour: tuple[int, int, int]
    label: Text
    count: int | None = None
    """How many objects carry the colour."""
    hatch: bool = False
    """Drawn hatched as well, so that colour alone carries no warning."""


@dataclass(frozen=True)
class Legend:
    """What the colours of a layer mean: entries, or a ramp between two values."""

    title: Text
    entries: tuple[LegendEntry, ...] = ()
    unit: str = ""
    ramp: tuple[tuple[int, int, int], ...] = ()
    """Colours from the lowest to the highest value."""
    low: float = 0.0
    high: float = 1.0
    beyond: tuple[bool, bool] = (False, False)
    """Whether values lie below the first and above the last colour of the ramp."""
    note: Text = field(default_factory=lambda: Text("", ""))
    """Which moment or case is shown."""

    def marks(self) -> tuple[str, str, str]:
        """Return what stands at the start, the middle and the end of the ramp.

        Examples
        --------
        >>> Legend(Text("storeys", "层数"), low=1, high=6, beyond=(False, True)).marks()
        ('1', '3.5', '≥ 6')
        """
        low, middle, high = (f"{value:.3g}" for value in (self.low, (self.low + self.high) / 2, self.high))
        return f"≤ {low}" if self.beyond[0] else low, middle, f"≥ {high}" if self.beyond[1] else high


@dataclass(frozen=True)
class Label:
    """A text at a place."""

    text: Text
    xyz: tuple[float, float, float]
    """Metres east, north, up of the origin of the scene."""
    row: int
    """Object it names."""


@dataclass(frozen=True)
class Told:
    """What a result says about every object of a layer, for who clicks one."""

    title: Text
    values: Sequence[Any]
    """Number, text or None of each object."""
    unit: str = ""


@dataclass(frozen=True)
class Layer:
    """One merged mesh with the object behind every triangle.

    A vertex belongs to one object only, so that colour and id may sit on vertices as well as on triangles.
    """

    name: str
    label: Text
    points: NDArray[np.float64]
    """Shape (v, 3), metres east, north, up of the origin of the scene."""
    triangles: NDArray[np.int32]
    """Shape (m, 3), rows of `points`, counter-clockwise seen from outside."""
    cell_object: NDArray[np.int32]
    """Shape (m,): object of each triangle, a row of `ids` and `colours`."""
    ids: NDArray[np.object_]
    """Shape (n,): object ids; empty where the triangles are cells of a field."""
    colours: NDArray[np.uint8]
    """Shape (n, 3): red, green, blue of each object."""
    legend: Legend
    point_colours: NDArray[np.uint8] | None = None
    """Shape (v, 3): colours that vary over an object (terrain, materials); they replace `colours`."""
    point_shade: NDArray[np.float32] | None = None
    """Shape (v,): factor on brightness, baked once."""
    lit: bool = True
    """Whether faces are shaded by their direction to the light."""
    edges: NDArray[np.int32] | None = None
    """Shape (e, 2), rows of `points`: outlines."""
    edge_colour: tuple[int, int, int] = (70, 74, 82)
    edge_opacity: float = 0.4
    edge_width: float = 1.0
    """Of outlines on the screen [pixel]."""
    edge_own: bool = False
    """Whether edges have the colour of their object: they are lines that stand for it, not outlines."""
    opacity: float = 1.0
    visible: bool = True
    hatched: NDArray[np.bool_] | None = None
    """Shape (n,): objects drawn hatched."""
    overlay: bool = False
    """Lies exactly on the faces of another layer; drawn over it, never picked."""
    severity: NDArray[np.int8] | None = None
    """Shape (n,): rank of each object of an overlay, 0 to `SEVERITIES` - 1; where overlays cover each other the higher is seen."""
    flat: NDArray[np.bool_] | None = None
    """Shape (n,): objects that stand up but whose height is unknown, so that they are drawn flat."""
    values: NDArray[np.float32] | None = None
    """Shape (n,): what the colour shows, where it shows a number."""
    unit: str = ""
    """Unit of `values`."""
    notes: tuple[Text, ...] = field(default=())
    """What could not be drawn, counted."""
    texture: bytes | tuple[bytes, ...] | None = None
    """An image file (PNG or JPEG) printed on the faces, or several; it replaces `colours`, light and shade stay."""
    cell_image: NDArray[np.int32] | None = None
    """Shape (m,): which image of `texture` each triangle shows, -1 for none; the first when left out. Such images are photographs of
    the thing, with their own light: where one is shown, light and shade are left out. A vertex belongs to one image only."""
    uv: NDArray[np.float32] | None = None
    """Shape (v, 2): place of each vertex in the texture, from its left edge and upwards from its foot, 0 to 1; beyond, it repeats."""
    labels: tuple[Label, ...] = ()
    """Texts drawn over the scene; where several would cover each other, the first is."""
    through: bool = False
    """Drawn translucent so that what lies below is seen: a click meets it only where nothing else is."""
    motion: Motion | None = None
    """How the layer changes with time; the other fields say how it looks at one moment. None for what stands still."""
    sheet: Sheet | None = None
    """Depth of water that the texture shows: where it is dry nothing is drawn, and a click goes through."""
    told: tuple[Told, ...] = ()
    """What a result says about the objects, beside what the city does."""
    keys: NDArray[np.object_] | None = None
    """Shape (n,): what is told of an object under this name in other layers is told of it too, such as of one direction of a road;
    the ids when left out."""
    behind: int = 0
    """Steps that the faces are pushed back in depth: what another layer covers in the very same place stays under it."""

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other.

        Raises
        ------
        UsageError
            If a shape, an index or a number is wrong.
        """
        faults = [text for wrong, text in self._faults() if wrong]
        if faults:
            msg = f"layer {self.name!r}: {'; '.join(faults)}"
            raise UsageError(msg)

    def _faults(self) -> list[tuple[bool, str]]:
        count, vertices = len(self.colours), len(self.points)
        index, edges = self.triangles, self.edges
        return [
            (self.points.shape != (vertices, 3), f"points have shape {self.points.shape}, expected (v, 3)"),
            (not bool(np.isfinite(self.points).all()), "a coordinate is not finite; leave its object out"),
            (index.shape != (len(index), 3), f"triangles have shape {index.shape}, expected (m, 3)"),
            (index.size > 0 and not (int(index.min()) >= 0 and int(index.max()) < vertices), f"a triangle points beyond {vertices} points"),
            (self.cell_object.shape != (len(index),), f"{self.cell_object.shape} objects for {len(index)} triangles"),
            (self.cell_object.size > 0 and int(self.cell_object.max()) >= count, f"a triangle points beyond {count} objects"),
            (len(self.ids) not in {0, count}, f"{len(self.ids)} ids for {count} colours"),
            (any(len(one.values) != count for one in self.told), f"what is told does not fit {count} objects"),
            (self.keys is not None and len(self.keys) != count, f"keys do not fit {count} objects"),
            (self.severity is not None and len(self.severity) != count, f"severities do not fit {count} objects"),
            (self.flat is not None and len(self.flat) != count, f"marks of what is flat do not fit {count} objects"),
            ((self.texture is None) != (self.uv is None), "a texture needs uv, and uv a texture"),
            (not all(image.startswith(IMAGE_MARKS) for image in self.images), "the texture is neither a PNG nor a JPEG file"),
            (not self._images_fit(), f"the images shown do not fit {len(index)} triangles and {len(self.images)} images"),
            (self.uv is not None and self.uv.shape != (vertices, 2), f"uv do not fit {vertices} points, expected (v, 2)"),
            (self.uv is not None and not bool(np.isfinite(self.uv).all()), "a place in the texture is not finite"),
            (edges is not None and edges.size > 0 and int(edges.max()) >= vertices, f"an edge points beyond {vertices} points"),
        ]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.colours)

    @property
    def times(self) -> NDArray[np.datetime64] | None:
        """Instants at which the layer changes, shape (t,), UTC; None where it stands still."""
        return None if self.motion is None else self.motion.times

    @property
    def images(self) -> tuple[bytes, ...]:
        """Image files of the texture."""
        return (self.texture,) if isinstance(self.texture, bytes) else self.texture or ()

    def _images_fit(self) -> bool:
        shown = self.cell_image
        if shown is None:
            return True
        return shown.shape == (len(self.triangles),) and bool(((shown >= -1) & (shown < len(self.images))).all())

    @cached_property
    def point_printed(self) -> NDArray[np.bool_]:
        """Which vertices carry an image that stands for itself, without light, shape (v,)."""
        found = np.zeros(len(self.points), bool)
        if self.cell_image is not None:
            found[self.triangles[self.cell_image >= 0].reshape(-1)] = True
        return found

    @cached_property
    def point_object(self) -> NDArray[np.int32]:
        """Object of each vertex, shape (v,); -1 for a vertex no triangle uses."""
        found = np.full(len(self.points), -1, np.int32)
        found[self.triangles.reshape(-1)] = np.repeat(self.cell_object, 3)
        return found

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest corner, shape (2, 3) [m]; NaN when nothing is drawn."""
        if not len(self.points):
            return np.full((2, 3), np.nan)
        return np.stack([self.points.min(axis=0), self.points.max(axis=0)])

    def recoloured(self, colours: NDArray[np.uint8], legend: Legend, values: NDArray[np.float32] | None = None, unit: str = "") -> Layer:
        """Return the same mesh in other colours, without texture and materials."""
        bare = replace(self, texture=None, uv=None, cell_image=None, point_colours=None, motion=None, sheet=None)
        return replace(bare, colours=colours, legend=legend, values=values, unit=unit)


def drawing_order(layers: Iterable[Layer]) -> list[tuple[Layer, int]]:
    """Return the visible layers in the order they are drawn, each with its rank: overlays last, the most severe on top of all.

    Several checks may judge the same faces. An overlay with severities is split by them, so that at equal depth no pass of one
    check hides a failure of another. Outlines stay with the most severe part.

    Returns
    -------
    list
        Layer, and its rank among overlays (0 for a layer that is none).
    """
    shown = [layer for layer in layers if layer.visible and len(layer.triangles)]
    ordered = [(layer, 0) for layer in shown if not layer.overlay]
    overlays = [layer for layer in shown if layer.overlay]
    for rank in range(SEVERITIES):
        ordered += [(part, rank) for layer in overlays if (part := _of_severity(layer, rank)) is not None]
    return ordered


def _of_severity(layer: Layer, rank: int) -> Layer | None:
    """Return the triangles of one severity as a layer, None where there are none."""
    if layer.severity is None:
        return layer if rank == 0 else None
    mine = layer.severity[layer.cell_object] == rank
    if not mine.any():
        return None
    edges = layer.edges if rank == SEVERITIES - 1 else None
    image = None if layer.cell_image is None else layer.cell_image[mine]
    part = replace(layer, triangles=layer.triangles[mine], cell_object=layer.cell_object[mine], edges=edges, cell_image=image)
    return replace(part, name=f"{layer.name}, severity {rank}")


def join(
    parts: list[tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]],
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Return several meshes (points, triangles, objects) as one."""
    if not parts:
        return np.empty((0, 3)), np.empty((0, 3), np.int32), np.empty(0, np.int32)
    start = np.concatenate([[0], np.cumsum([len(points) for points, _, _ in parts])]).astype(np.int32)
    return (
        np.concatenate([points for points, _, _ in parts]),
        np.concatenate([triangles + first for (_, triangles, _), first in zip(parts, start[:-1], strict=True)]).astype(np.int32),
        np.concatenate([objects for _, _, objects in parts]).astype(np.int32),
    )
