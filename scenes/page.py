"""One HTML file that shows a scene without network: own viewer, data inside, nothing fetched, nothing executed but the viewer."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.scenes.camera import INSET
from cim.scenes.clock import HIGHEST, latest
from cim.scenes.facts import scene_facts
from cim.scenes.furniture import source_line
from cim.scenes.layer import SEVERITIES, Text
from cim.scenes.shading import FILL, KEY, SKY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.clock import Motion
    from cim.scenes.layer import Layer, Legend
    from cim.scenes.scene import Scene

__all__ = ["described_layer", "described_legend", "page", "write_page"]

_FINE = 0.01  # m: sixteen bits are used for positions where their step is below this
_SHADE = 200.0  # a shade of 1 as a byte; the viewer multiplies by 255 / 200 = 1.275
_SIZE = (1600, 1000)
MOST_TRIANGLES = 3_000_000
"""Triangles a page carries: with 1 million it is 17 MB and opens within 13 s where software draws; far more would freeze a browser."""


class _Block:
    """Collects arrays into one block of bytes, each on a boundary of four."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, values: NDArray[Any]) -> dict[str, Any]:
        """Append an array and return where it lies."""
        data = np.ascontiguousarray(values).tobytes()
        said = {"type": values.dtype.str[1:], "at": self.size, "length": int(values.size)}
        padded = data + b"\0" * (-len(data) % 4)
        self.parts.append(padded)
        self.size += len(padded)
        return said

    def packed(self) -> str:
        """Return the block, compressed, as base64."""
        return _packed(b"".join(self.parts))


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def write_page(scene: Scene, path: str | Path) -> Path:
    """Write the page and return its path; the file appears whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(page(scene), encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def page(scene: Scene) -> str:
    """Return the scene as one HTML document.

    Its content policy forbids every request and every script but the viewer, whose hash it names. Texts of the city are kept as
    JSON in blocks that are never executed and reach the page as text only.
    """
    static = files("cim.scenes").joinpath("static")
    script, style, frame = (static.joinpath(name).read_text(encoding="utf-8") for name in ("viewer.js", "viewer.css", "page.html"))
    block = _Block()
    described = {
        "title": scene.title or "CIM",
        "language": scene.language,
        "origin": scene.origin.tolist(),
        "bounds": scene.bounds.tolist(),
        "camera": _camera(scene),
        "light": {"key": KEY, "fill": FILL, "sky": SKY},
        "source": {"en": source_line(scene, "en"), "zh": source_line(scene, "zh")},
        "clock": _clock(scene),
        "layers": [_layer(layer, block, scene) for layer in within_budget(scene.layers) if layer.motion or len(layer.triangles)],
    }
    fillings = {
        "title": html.escape(scene.title or "CIM"),
        "script_hash": _hash(script),
        "style_hash": _hash(style),
        "style": style,
        "scene": _inline(described),
        "block": block.packed(),
        "facts": _packed(json.dumps(scene_facts(scene), ensure_ascii=False, allow_nan=False).encode()),
        "script": script,
    }
    return _filled(frame, fillings)


def within_budget(layers: Sequence[Layer], most: int = MOST_TRIANGLES) -> list[Layer]:
    """Return layers with no more triangles than a page carries: the largest keep one point, and their notes say so."""
    order = sorted(range(len(layers)), key=lambda place: (not layers[place].visible, len(layers[place].triangles)))
    room, kept = most, {}
    for place in order:
        layer = layers[place]
        if len(layer.triangles) <= room:
            room -= len(layer.triangles)
            kept[place] = layer
            continue
        count = f"{len(layer.triangles):,}"
        said = f"not in this page: {count} triangles, and a page carries {most:,}; draw a part with city.subset(...), or a picture"
        note = Text(said, f"未写入页面：{count} 个三角形，页面上限 {most:,}；请用 city.subset(...) 绘制局部，或输出图片")
        bare = replace(
            layer, points=layer.points[layer.triangles[0]], triangles=np.zeros((1, 3), np.int32), cell_object=layer.cell_object[:1],
            edges=None, texture=None, uv=None, cell_image=None, point_shade=None, point_colours=None,
        )  # fmt: skip
        kept[place] = replace(bare, notes=(note, *layer.notes), labels=())
    return [kept[place] for place in range(len(layers))]


def _filled(frame: str, fillings: dict[str, str]) -> str:
    """Return the frame with its marks replaced in one pass, so that a mark inside a filling stays as it is."""
    import re

    return re.sub(r"\{(\w+)\}", lambda mark: fillings[mark[1]], frame)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _inline(value: Any) -> str:
    """Return JSON that cannot end the element it stands in."""
    return (
        json.dumps(value, ensure_ascii=False, allow_nan=False)
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _camera(scene: Scene) -> dict[str, Any]:
    """Return what the viewer frames, and from where: it fits the distance to its own window as `Camera.fitting` does."""
    camera = scene.camera(_SIZE)
    return {
        "hull": np.round(scene.hull, 3).tolist(),
        "position": camera.position,
        "focus": camera.focus,
        "view_angle": camera.view_angle,
        "inset": INSET,
    }


def _text(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def described_legend(legend: Legend) -> dict[str, Any]:
    """Describe a legend as plain values."""
    entries = [
        {"colour": entry.colour, "label": _text(entry.label), "count": entry.count, "hatch": entry.hatch} for entry in legend.entries
    ]
    return {
        "title": _text(legend.title),
        "note": _text(legend.note),
        "unit": legend.unit,
        "ramp": legend.ramp,
        "marks": legend.marks(),
        "entries": entries,
    }


def described_layer(layer: Layer) -> dict[str, Any]:
    """Describe a layer without its arrays."""
    return {
        "name": layer.name,
        "label": _text(layer.label),
        "count": len(layer),
        "triangles": len(layer.triangles),
        "named": bool(len(layer.ids)),
        "results": bool(layer.told),  # its rows are pieces of what is counted
        "lit": layer.lit,
        "opacity": layer.opacity,
        "visible": layer.visible,
        "overlay": layer.overlay,
        "unit": layer.unit,
        "legend": described_legend(layer.legend),
        "notes": [_text(note) for note in layer.notes],
    }


def _clock(scene: Scene) -> dict[str, Any] | None:
    """Return the instants of the scene as people write them, and which is shown; None where all stands still."""
    clock = scene.clock
    if clock is None:
        return None
    shown = None if scene.moment is None else clock.place(scene.moment)
    return {"labels": list(clock.labels), "suffix": _text(clock.suffix), "highest": _text(HIGHEST), "place": shown}


def _layer(layer: Layer, block: _Block, scene: Scene) -> dict[str, Any]:
    """Describe a layer and add its arrays to the block."""
    moving = None
    if layer.motion is not None:
        layer, moving = _moving(layer, layer.motion, block, scene)
    points, low, span = _positions(layer)
    layer, parts = _by_severity(layer)
    layer, prints = _by_image(layer)
    arrays = {"points": block.add(points), "triangles": block.add(layer.triangles.astype("<u4")), "colours": block.add(_texels(layer))}
    if len(layer) > 1:
        arrays["objects"] = block.add(np.maximum(layer.point_object, 0).astype("<u4"))
    if layer.point_shade is not None:
        shade = np.where(layer.point_printed, 1.0, layer.point_shade)
        arrays["shade"] = block.add(np.clip(np.rint(shade * _SHADE), 0, 255).astype(np.uint8))
    if layer.point_colours is not None:
        arrays["point_colours"] = block.add(layer.point_colours)
    if layer.uv is not None:
        arrays["uv"] = block.add(_shares(layer.uv))
    images = [block.add(np.frombuffer(image, np.uint8)) for image in layer.images]
    if layer.edges is not None:
        arrays["edges"] = block.add(layer.edges.astype("<u4"))
    if layer.values is not None:
        arrays["values"] = block.add(layer.values.astype("<f4"))
    place = {
        "low": low,
        "span": span,
        "parts": parts,
        "prints": prints,
        "images": images,
        "through": layer.through,
        "labels": [{"text": _text(one.text), "at": np.round(one.xyz, 3).tolist()} for one in layer.labels],
        "photographs": layer.cell_image is not None,
        "arrays": arrays,
        "behind": layer.behind,
        "edge_width": layer.edge_width,
        "edge_own": layer.edge_own,
        "edge_colour": layer.edge_colour,
        "edge_opacity": layer.edge_opacity,
    }
    return {**described_layer(layer), **place, "motion": moving}


def _moving(layer: Layer, motion: Motion, block: _Block, scene: Scene) -> tuple[Layer, dict[str, Any]]:
    """Return the mesh that all times of a layer share, and its times; each says which it shows at each instant of the clock."""
    motion = motion.for_page()
    shown = latest(motion, scene.times)
    said = {**motion.described(block.add), "at": shown.tolist(), "count": len(motion.times)}
    notes = tuple(dict.fromkeys((*layer.notes, *motion.notes)))
    return replace(motion.whole(layer), notes=notes, sheet=None), said


def _by_severity(layer: Layer) -> tuple[Layer, list[int] | None]:
    """Return an overlay with its triangles from the mildest to the most severe, and how many there are of each."""
    if layer.severity is None:
        return layer, None
    rank = layer.severity[layer.cell_object]
    order = np.argsort(rank, kind="stable")
    sorted_ = replace(layer, triangles=layer.triangles[order], cell_object=layer.cell_object[order])
    return sorted_, np.bincount(rank, minlength=SEVERITIES).tolist()


def _by_image(layer: Layer) -> tuple[Layer, list[tuple[int, int]]]:
    """Return a layer with its triangles image by image, and each image (-1 for none) with how many there are."""
    if layer.cell_image is None:
        return layer, [(0 if layer.images else -1, len(layer.triangles))]
    order = np.argsort(layer.cell_image, kind="stable")
    sorted_ = replace(layer, triangles=layer.triangles[order], cell_object=layer.cell_object[order], cell_image=layer.cell_image[order])
    numbers, counts = np.unique(layer.cell_image, return_counts=True)
    return sorted_, list(zip(numbers.tolist(), counts.tolist(), strict=True))


def _shares(uv: NDArray[np.float32]) -> NDArray[Any]:
    """Return places in a texture as 16-bit shares, as float32 where an image repeats."""
    inside = not len(uv) or bool(((uv >= 0) & (uv <= 1)).all())
    return np.rint(uv * 65535).astype("<u2") if inside else uv.astype("<f4")


def _positions(layer: Layer) -> tuple[NDArray[Any], list[float], list[float]]:
    """Return positions as 16-bit shares of the box where that is finer than a centimetre, else as float32."""
    if not len(layer.points):
        return np.empty((0, 3), "<u2"), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    low, high = layer.bounds
    span = np.where(high > low, high - low, 1.0)
    if span.max() / 65535 > _FINE:
        return layer.points.astype("<f4"), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
    return np.rint((layer.points - low) / span * 65535).astype("<u2"), low.tolist(), span.tolist()


def _texels(layer: Layer) -> NDArray[np.uint8]:
    """Return red, green, blue and a mark per object: 255 plain, 128 hatched."""
    mark = np.full(len(layer), 255, np.uint8)
    if layer.hatched is not None:
        mark[layer.hatched] = 128
    return np.column_stack([layer.colours, mark])
