"""What stands still but changes its colour with time: roads under traffic, buildings that are reached; a byte per object and time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.scenes.layer import Layer, Text
from cim.scenes.traffic_scale import CLOSED, HIDDEN, Scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cim.scenes.clock import Instants
    from cim.scenes.layer import Legend

    Bytes = NDArray[np.uint8]

__all__ = ["PAGE_BYTES", "Shade", "States", "painted"]

PAGE_BYTES = 24_000_000
"""Bytes of all objects, times and quantities of a page before they are packed; most links change little, so that packed they are few."""


@dataclass(frozen=True)
class Shade:
    """One quantity of all objects over time."""

    scale: Scale
    codes: Bytes
    """Shape (t, n)."""

    @cached_property
    def worst(self) -> Bytes:
        """The worst over all times, shape (n,)."""
        return self.scale.worst(self.codes)

    @cached_property
    def legend(self) -> Legend:
        """Classes without counts: the same at every time."""
        return self.scale.legend(self.codes)

    @cached_property
    def legend_ever(self) -> Legend:
        """The classes of the worst over all times."""
        return self.scale.ever.legend(self.codes)

    def at(self, place: int | None) -> Bytes:
        """Return the codes of a time, of None the worst; before the first time nothing is drawn."""
        if place is None:
            return self.worst
        return self.codes[place] if place >= 0 else np.full(self.codes.shape[1], HIDDEN, np.uint8)


@dataclass(frozen=True)
class States:
    """Objects whose colours change: a `cim.scenes.clock.Motion`."""

    times: Instants
    dated: bool
    peak: int
    mesh: Layer
    """All triangles and edges, also of what is not drawn at a time."""
    shades: tuple[Shade, ...]
    """The first is shown; a page lets the reader choose."""
    notes: tuple[Text, ...] = ()
    until: np.datetime64 | None = None
    """From when on nothing is drawn: what was simulated ends there. None: the last time stays."""

    def frame(self, layer: Layer, place: int | None) -> Layer:
        """Return the layer at one of its times, at None the worst over all."""
        shade = self.shades[0]
        legend = shade.legend_ever if place is None else shade.legend
        return painted(replace(self.whole(layer), motion=layer.motion), shade.scale, shade.at(place), legend)

    def whole(self, layer: Layer) -> Layer:
        """Return the mesh that all times share."""
        mesh = self.mesh
        return replace(
            layer, points=mesh.points, triangles=mesh.triangles, cell_object=mesh.cell_object, edges=mesh.edges, hatched=None, values=None,
        )  # fmt: skip

    def described(self, add: Callable[[NDArray[Any]], dict[str, Any]]) -> dict[str, Any]:
        """Return all times and the worst as plain values for the page; each time as its difference to the one before."""
        from cim.scenes.page import described_legend

        quantities = []
        for shade in self.shades:
            codes = np.concatenate([shade.codes, shade.worst[None]])
            numbers, halves = (
                [None if not np.isfinite(one) else float(f"{one:.6g}") for one in table.tolist()]
                for table in (shade.scale.numbers, shade.scale.halves)
            )
            quantities.append({
                "title": {"en": shade.scale.title.en, "zh": shade.scale.title.zh}, "unit": shade.scale.unit,
                "none": {"en": shade.scale.none.en, "zh": shade.scale.none.zh},
                "closed": {"en": shade.scale.closed.en, "zh": shade.scale.closed.zh},
                "closed_ever": {"en": shade.scale.ever.closed.en, "zh": shade.scale.ever.closed.zh},
                "names": [{"en": one.en, "zh": one.zh} for one in shade.scale.names],
                "legend": described_legend(shade.legend), "legend_ever": described_legend(shade.legend_ever),
                "palette": shade.scale.palette.ravel().tolist(), "numbers": numbers,
                "halves": halves, "codes": add(np.diff(codes, axis=0, prepend=np.zeros_like(codes[:1]))),
            })  # fmt: skip
        return {"kind": "states", "quantities": quantities}

    def for_page(self) -> States:
        """Return what a page carries: the first quantity always, then as many as fit; times are left out last."""
        count = self.shades[0].codes.shape[1]
        rows = (len(self.times) + 1) * max(count, 1)
        many = int(np.clip(PAGE_BYTES // rows, 1, len(self.shades)))
        every = -(-rows // PAGE_BYTES)
        if many == len(self.shades) and every == 1:
            return self
        notes = self.notes
        if many < len(self.shades):
            left = ", ".join(shade.scale.title.en for shade in self.shades[many:])
            left_zh = "、".join(shade.scale.title.zh for shade in self.shades[many:])
            notes += (Text(f"not in this page for its size: {left}", f"因文件大小未写入页面：{left_zh}"),)
        if every > 1:
            notes += (Text(f"every {every}th time is shown", f"每 {every} 个时刻显示一个"),)
        shades = tuple(Shade(shade.scale, shade.codes[::every]) for shade in self.shades[:many])
        return replace(self, times=self.times[::every], peak=self.peak // every, shades=shades, notes=notes)


def painted(layer: Layer, scale: Scale, codes: Bytes, legend: Legend) -> Layer:
    """Return a layer in the colours of codes, without what is hidden.

    Parameters
    ----------
    codes : shape (n,)
    """
    shown = codes != HIDDEN
    keep = shown[layer.cell_object] if len(layer.cell_object) else np.zeros(0, bool)
    edges = layer.edges
    if edges is not None and len(edges):
        edges = edges[shown[np.maximum(layer.point_object[edges[:, 0]], 0)]]
    hatched = codes == CLOSED
    return replace(
        layer, triangles=layer.triangles[keep], cell_object=layer.cell_object[keep], edges=edges, colours=scale.colours_of(codes),
        hatched=hatched if hatched.any() else None, values=scale.decode(codes).astype(np.float32), unit=scale.unit, legend=legend,
    )  # fmt: skip
