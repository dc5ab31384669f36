"""What a picture needs around the scene: title, legend, north arrow, scale bar and source line, drawn flat over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.scenes.fonts import font, require_font

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from cim.scenes.camera import Camera
    from cim.scenes.layer import Legend
    from cim.scenes.scene import Scene

__all__ = ["Words", "compose", "legends", "scale_length", "source_line", "words"]

INK = (38, 44, 52, 255)
PALE = (92, 99, 108, 255)
PAPER = (255, 255, 255, 222)


@dataclass(frozen=True)
class Words:
    """The fixed texts of one language."""

    north: str
    focus: str
    data: str
    drawn: str
    more: str
    no_source: str
    vertical: str


_WORDS = {
    "en": Words("N", "at the centre", "Data", "drawn", "more layers", "no source stated", "heights"),
    "zh": Words("北", "画面中心处", "数据来源", "绘制", "个图层未列出", "未注明数据来源", "高程基准"),
}


def words(language: str) -> Words:
    """Return the fixed texts; ``"both"`` takes English, which fits beside Chinese labels."""
    return _WORDS["zh" if language == "zh" else "en"]


def legends(scene: Scene) -> list[Legend]:
    """Return the legends of the visible layers: results first, of those that move the one added last; the ground last."""
    shown = [layer for layer in scene.layers if layer.visible and (len(layer.triangles) or layer.motion is not None)]
    results = [layer for layer in shown if layer.overlay or layer.told or layer.motion is not None or not len(layer.ids)]
    results = sorted(results, key=lambda layer: -shown.index(layer) if layer.motion is not None or layer.told else 1)
    rest = [layer for layer in shown if layer not in results and layer.name not in {"terrain", "imagery"}]
    ground = [layer for layer in shown if layer.name == "terrain"]
    return [layer.legend for layer in [*results, *sorted(rest, key=lambda layer: layer.name != "buildings"), *ground]]


def scale_length(metres_per_pixel: float, width: int) -> float:
    """Return a round length whose bar is at most an eighth of the width of the picture [m].

    Examples
    --------
    >>> scale_length(0.5, 1600)
    100.0
    """
    longest = metres_per_pixel * width / 8
    unit = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * unit for step in (1, 2, 5) if step * unit <= longest * (1 + 1e-9)))


def source_line(scene: Scene, language: str | None = None) -> str:
    """Return who the data come from, in which coordinate system, and when the picture was drawn."""
    text = words(language or scene.language)
    table = scene.city.tables["sources"]
    found = []
    for name, owner, licence in zip(*(table[column].to_pylist() for column in ("name", "owner", "licence")), strict=True):
        beside = ", ".join(part for part in (owner, licence) if part)
        found.append(f"{name} ({beside})" if beside else name)
    shown = found[:6] + ([f"+ {len(found) - 6}"] if len(found) > 6 else [])
    crs = scene.city.crs
    vertical = f" · {text.vertical}: {crs.vertical.name}" if crs.vertical is not None and crs.vertical.name not in crs.name else ""
    parts = (
        f"{text.data}: {'; '.join(shown) or text.no_source}",
        f"{crs.to_string()} {crs.name}{vertical}",
        f"{text.drawn} {scene.date.isoformat()}",
    )
    return " · ".join((*parts, "cim-toolkit"))


def compose(picture: Image, scene: Scene, camera: Camera) -> Image:
    """Return the picture with its furniture.

    Raises
    ------
    DisplayError
        If a text is Chinese and no font holds it.
    """
    from PIL import Image as Images
    from PIL import ImageDraw as Draws

    sheet = Images.new("RGBA", picture.size, (0, 0, 0, 0))
    pen = Draws.Draw(sheet)
    unit = max(picture.size[1] / 1000, 0.35)
    shown = legends(scene)
    named = [label.text(scene.language) for layer in scene.layers if layer.visible for label in layer.labels]
    require_font([scene.title, source_line(scene), *(legend.title(scene.language) for legend in shown), *named])
    _labels(pen, scene, camera, picture.size, unit)
    title_bottom = _title(pen, scene, unit)
    _legend(pen, scene, camera, shown, picture.size, unit, title_bottom)
    _north(pen, camera, picture.size, unit, words(scene.language))
    _foot(pen, scene, camera, picture.size, unit)
    _clock(pen, scene, picture.size, unit)
    return Images.alpha_composite(picture, sheet)


def _title(pen: ImageDraw, scene: Scene, unit: float) -> float:
    margin = 28 * unit
    if not scene.title:
        return margin
    face = font(round(34 * unit))
    box = pen.textbbox((0, 0), scene.title, font=face)
    pen.rounded_rectangle(
        (margin - 14 * unit, margin - 12 * unit, margin + box[2] + 16 * unit, margin + 44 * unit), 8 * unit, fill=(255, 255, 255, 190)
    )
    pen.text((margin, margin - 5 * unit), scene.title, font=face, fill=INK)
    return margin + 44 * unit


def _labels(pen: ImageDraw, scene: Scene, camera: Camera, size: tuple[int, int], unit: float) -> None:
    """Draw the texts at places, leaving out those that would cover another or leave the picture."""
    labels = [label for layer in scene.layers if layer.visible for label in layer.labels]
    if not labels:
        return
    seen = camera.project(np.array([label.xyz for label in labels]), size)
    face = font(round(15 * unit))
    taken: list[tuple[float, float, float, float]] = []
    for label, (x, y, depth) in zip(labels, seen.tolist(), strict=True):
        text = label.text(scene.language)
        half, high = pen.textlength(text, font=face) / 2 + 5 * unit, 11 * unit
        box = (x - half, y - high, x + half, y + high)
        inside = depth > 0 and box[0] > 0 and box[1] > 0 and box[2] < size[0] and box[3] < size[1] - 34 * unit
        if not inside or any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            continue
        taken.append(box)
        pen.rounded_rectangle(box, 5 * unit, fill=(255, 255, 255, 205))
        pen.text((x, y), text, font=face, fill=INK, anchor="mm")


# --------------------------------------------------------------------------------------------- legend


@dataclass(frozen=True)
class _Row:
    """One line of the legend box."""

    kind: str
    """title, note, entry, ramp or more"""
    text: str
    colour: tuple[int, int, int] = (0, 0, 0)
    hatch: bool = False
    legend: Legend | None = None


_SHARE = 0.56  # of the height left for the legend of a scene that changes with time
_ROW_HEIGHT = {"title": 30, "entry": 24, "ramp": 46, "more": 24, "note": 22}


def _rows(scene: Scene, shown: list[Legend]) -> list[list[_Row]]:
    """Return the rows of each legend; a legend with one entry is that entry."""
    made = []
    for legend in shown:
        unit = f" [{legend.unit}]" if legend.unit else ""
        title = legend.title(scene.language)
        note = [_Row("note", legend.note(scene.language))] if legend.note.en else []
        entries = [
            _Row("entry", _entry_text(entry.label(scene.language), entry.count), entry.colour, entry.hatch) for entry in legend.entries
        ]
        if legend.ramp:
            made.append([_Row("title", title + unit), *note, _Row("ramp", "", legend=legend), *entries])
        elif len(entries) == 1 and not entries[0].hatch:
            made.append([_Row("entry", _entry_text(title, legend.entries[0].count), entries[0].colour)])
        else:
            made.append([_Row("title", title + unit), *note, *entries])
    # single entries stand together below the legends with titles
    return sorted(made, key=lambda rows: len(rows) == 1)


def _entry_text(label: str, count: int | None) -> str:
    return label if count is None else f"{label}  ({count:,})"


def _fitting(groups: list[list[_Row]], room: float, more: str) -> list[_Row]:
    """Return the rows that fit, and how many legends do not."""
    rows: list[_Row] = []
    used = 0.0
    for place, group in enumerate(groups):
        need = sum(_ROW_HEIGHT[row.kind] for row in group)
        if used + need + 24 > room:
            return [*rows, _Row("more", f"+ {len(groups) - place} {more}")]
        rows += group
        used += need
    return rows


def _legend(pen: ImageDraw, scene: Scene, camera: Camera, shown: list[Legend], size: tuple[int, int], unit: float, top: float) -> None:
    if not shown:
        return
    room = (size[1] - top - 90 * unit) / unit
    if scene.clock is not None:
        room *= _SHARE  # what moves is not hidden behind a list of what stands still
    rows = _fitting(_rows(scene, shown), room, words(scene.language).more)
    wide = max(
        pen.textlength(row.text, font=font(round((18 if row.kind == "title" else 16) * unit)))
        + (0 if row.kind in {"title", "note"} else 38 * unit)
        for row in rows
    )
    width = max(wide, 210 * unit) + 32 * unit
    height = sum(_ROW_HEIGHT[row.kind] for row in rows) * unit + 24 * unit
    x, y = _free_corner(scene, camera, size, (width, height), unit, top)
    pen.rounded_rectangle((x, y, x + width, y + height), 10 * unit, fill=PAPER, outline=(200, 204, 208, 255))
    y += 12 * unit
    for row in rows:
        _draw_row(pen, row, x + 16 * unit, y, width - 32 * unit, unit)
        y += _ROW_HEIGHT[row.kind] * unit


def _free_corner(
    scene: Scene, camera: Camera, size: tuple[int, int], box: tuple[float, float], unit: float, top: float
) -> tuple[float, float]:
    """Return where the legend hides least of the scene: left below the title, left above the foot, or right above the foot."""
    margin = 14 * unit
    bottom = size[1] - box[1] - 48 * unit
    places = [
        (margin, top + 16 * unit),
        (margin, bottom),
        (size[0] - box[0] - margin, bottom - 46 * unit),
        (size[0] - box[0] - margin, 130 * unit),
    ]
    # what moves is left out, so that in a film the legend stands still
    still = [layer for layer in scene.layers if layer.visible and len(layer.points) and layer.motion is None]
    clouds = [layer.points[:: max(1, len(layer.points) // 3000)] for layer in still]
    seen = camera.project(np.concatenate(clouds), size) if clouds else np.empty((0, 3))

    def hidden(place: tuple[float, float]) -> int:
        inside = (seen[:, 0] >= place[0]) & (seen[:, 0] <= place[0] + box[0]) & (seen[:, 1] >= place[1]) & (seen[:, 1] <= place[1] + box[1])
        return int(inside.sum())

    usable = [place for place in places if place[1] >= 10 * unit] or places[:1]
    return min(usable, key=hidden)


def _draw_row(pen: ImageDraw, row: _Row, x: float, y: float, width: float, unit: float) -> None:
    if row.kind == "title":
        pen.text((x, y + 5 * unit), row.text, font=font(round(18 * unit)), fill=INK)
    elif row.kind in {"more", "note"}:
        pen.text((x, y + 2 * unit), row.text, font=font(round(15 * unit)), fill=PALE)
    elif row.legend is not None:
        _draw_ramp(pen, row.legend, x, y, width, unit)
    else:
        box = (x, y + 3 * unit, x + 26 * unit, y + 19 * unit)
        pen.rectangle(box, fill=(*row.colour, 255), outline=(110, 114, 120, 255))
        if row.hatch:
            _hatch_box(pen, box, unit)
        pen.text((x + 36 * unit, y + 1 * unit), row.text, font=font(round(16 * unit)), fill=INK)


def _hatch_box(pen: ImageDraw, box: tuple[float, float, float, float], unit: float) -> None:
    left, top, right, bottom = box
    tall = bottom - top
    for start in np.arange(left - tall, right, 6 * unit):
        low, high = max(start, left), min(start + tall, right)
        pen.line((low, bottom - (low - start), high, bottom - (high - start)), fill=(60, 30, 20, 200), width=max(1, round(1.4 * unit)))


def _draw_ramp(pen: ImageDraw, legend: Legend, x: float, y: float, width: float, unit: float) -> None:
    stops = np.array(legend.ramp, float)
    columns = int(width)
    at = np.linspace(0, len(stops) - 1, columns)
    for column in range(columns):  # pixels of one bar
        colour = [int(np.interp(at[column], np.arange(len(stops)), stops[:, channel])) for channel in range(3)]
        pen.line((x + column, y + 4 * unit, x + column, y + 20 * unit), fill=(*colour, 255))
    face = font(round(14 * unit))
    for share, text in zip((0.0, 0.5, 1.0), legend.marks(), strict=True):
        length = pen.textlength(text, font=face)
        pen.text((x + share * (width - length), y + 23 * unit), text, font=face, fill=PALE)


# --------------------------------------------------------------------------------------------- north, scale, source


def _north(pen: ImageDraw, camera: Camera, size: tuple[int, int], unit: float, text: Words) -> None:
    """Draw the arrow where north lies on the ground: foreshortened as the ground is."""
    right, up = camera.north_on_screen()
    direction = np.array([right, -up])
    length = float(np.linalg.norm(direction))
    if length < 0.05:
        return  # the camera looks along north, level: there is no arrow to draw
    east = np.array([camera.axes()[0][0], -camera.axes()[1][0]])
    middle = np.array([size[0] - 66 * unit, 70 * unit])
    reach = 36 * unit
    tip, tail = middle + direction * reach, middle - direction * reach
    side = east * 15 * unit
    pen.ellipse((*(middle - 52 * unit), *(middle + 52 * unit)), fill=(255, 255, 255, 170))
    pen.polygon([tuple(tip), tuple(tail - side), tuple(middle - direction * reach * 0.55)], fill=(44, 62, 80, 255))
    pen.polygon(
        [tuple(tip), tuple(tail + side), tuple(middle - direction * reach * 0.55)], fill=(250, 250, 250, 255), outline=(44, 62, 80, 255)
    )
    face = font(round(18 * unit))
    place = middle + direction / length * (reach * max(length, 0.5) + 13 * unit)
    pen.text((float(place[0]), float(place[1])), text.north, font=face, fill=INK, anchor="mm")


def _foot(pen: ImageDraw, scene: Scene, camera: Camera, size: tuple[int, int], unit: float) -> None:
    width, height = size
    band = 34 * unit
    pen.rectangle((0, height - band, width, height), fill=(255, 255, 255, 205))
    face = font(round(14 * unit))
    line = source_line(scene)
    while pen.textlength(line, font=face) > width - 28 * unit and len(line) > 20:
        line = line[:-6].rstrip("… ") + "…"
    pen.text((14 * unit, height - band / 2), line, font=face, fill=PALE, anchor="lm")
    per_pixel = camera.metres_per_pixel(size)
    length = scale_length(per_pixel, width)
    bar = length / per_pixel
    right, y = width - 24 * unit, height - band - 22 * unit
    label = f"{length:g} m" if length < 1000 else f"{length / 1000:g} km"
    if camera.orthographic is None:
        label += f" ({words(scene.language).focus})"
    wide = max(bar, pen.textlength(label, font=face))
    pen.rounded_rectangle((right - wide - 12 * unit, y - 26 * unit, right + 10 * unit, y + 12 * unit), 6 * unit, fill=(255, 255, 255, 170))
    pen.line((right - bar, y, right, y), fill=INK, width=max(1, round(3 * unit)))
    for end in (right - bar, right):
        pen.line((end, y - 6 * unit, end, y + 6 * unit), fill=INK, width=max(1, round(2 * unit)))
    pen.text((right, y - 10 * unit), label, font=face, fill=INK, anchor="rb")


def _clock(pen: ImageDraw, scene: Scene, size: tuple[int, int], unit: float) -> None:
    """Draw which moment is shown, and where it lies between the first and the last; nothing where all stands still."""
    from cim.scenes.clock import HIGHEST

    clock = scene.clock
    if clock is None or not any(layer.visible and layer.motion is not None for layer in scene.layers):
        return
    place = None if scene.moment is None else clock.place(scene.moment)
    text = HIGHEST(scene.language) if place is None else f"{clock.labels[place]}  {clock.suffix(scene.language)}"
    large, small = font(round(22 * unit)), font(round(13 * unit))
    wide = max(pen.textlength(text, font=large) + 40 * unit, 380 * unit)
    left, bottom = (size[0] - wide) / 2, size[1] - 46 * unit
    tall = 44 * unit if place is None or len(clock) < 2 else 76 * unit
    pen.rounded_rectangle((left, bottom - tall, left + wide, bottom), 10 * unit, fill=PAPER, outline=(200, 204, 208, 255))
    pen.text((size[0] / 2, bottom - tall + 22 * unit), text, font=large, fill=INK, anchor="mm")
    if place is None or len(clock) < 2:
        return
    seconds = (clock.instants - clock.instants[0]) / np.timedelta64(1, "s")
    low, high, y = left + 20 * unit, left + wide - 20 * unit, bottom - 30 * unit
    knob = low + (high - low) * float(seconds[place] / seconds[-1])
    pen.line((low, y, high, y), fill=(200, 204, 208, 255), width=max(1, round(4 * unit)))
    pen.line((low, y, knob, y), fill=(34, 112, 184, 255), width=max(1, round(4 * unit)))
    pen.ellipse((knob - 6 * unit, y - 6 * unit, knob + 6 * unit, y + 6 * unit), fill=(34, 112, 184, 255), outline=(255, 255, 255, 255))
    pen.text((low, bottom - 12 * unit), clock.labels[0], font=small, fill=PALE, anchor="lm")
    pen.text((high, bottom - 12 * unit), clock.labels[-1], font=small, fill=PALE, anchor="rm")
