"""The layer of orthophotos: images of the city, put together and laid on the ground as a texture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import InputError
from cim.scenes.layer import Layer, Legend, LegendEntry, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.scenes.context import Context
    from cim.scenes.ground import Ground

    Reals = NDArray[np.float64]
    Bytes = NDArray[np.uint8]

__all__ = ["COVERED", "TEXTURE_SIDE", "encoded", "imagery_layer", "over_imagery"]

TEXTURE_SIDE = 2048
"""Most pixels on a side of the texture: what every graphics card takes, and a page still carries."""
COVERED = frozenset({"landuse", "vegetation", "roads"})
"""Painted surfaces that a photo shows itself: hidden at first where there is one."""
_PLAIN = (214, 212, 205)  # where a photo shows nothing
_PLANE_STEPS = 16  # cells a side where there is no grid of heights
_QUALITY = 88  # of JPEG


@dataclass(frozen=True)
class _Photo:
    """One image, read coarse."""

    id: str
    pixels: Bytes
    """Shape (rows, columns, 3), row 0 the northern one."""
    shown: NDArray[np.bool_]
    """Shape (rows, columns)."""
    box: tuple[float, float, float, float]
    """xmin, ymin, xmax, ymax in `crs`."""
    crs: CityCRS
    notes: tuple[Text, ...] = ()


def imagery_layer(context: Context) -> Layer | None:
    """Return the images of a city as one layer on its ground, None where there is none.

    Images in one coordinate system are put together; those in another than the first are named in the notes and not drawn.
    """
    from cim.model.coverages import coverage_rows

    notes: list[Text] = []
    photos: list[_Photo] = []
    for row in coverage_rows(context.city, "image"):
        try:
            photo = _read(context, row)
        except InputError as error:
            notes.append(Text(f"image {row['id']} is not drawn: {error}", f"影像 {row['id']} 未绘制：{error}"))
            continue
        if photos and not photo.crs.same_horizontal(photos[0].crs):
            said = f"image {photo.id} is in {photo.crs.to_string()}, the first in {photos[0].crs.to_string()}: not drawn"
            notes.append(Text(said, f"影像 {photo.id} 坐标系不同，未绘制"))
            continue
        photos.append(photo)
        notes += photo.notes
    if not photos:
        return None
    pixels, box = _together(photos)
    points, triangles = _sheet(context, box, photos[0].crs)
    if not len(triangles):
        return None
    return Layer(
        name="imagery", label=Text("Orthophoto", "正射影像"), points=points, triangles=triangles,
        cell_object=np.zeros(len(triangles), np.int32), ids=np.array([photos[0].id], object),
        colours=np.array([np.median(pixels.reshape(-1, 3), axis=0)], np.uint8), lit=False,
        legend=Legend(Text("", ""), (LegendEntry(_PLAIN, Text("Orthophoto", "正射影像")),)),
        texture=encoded(pixels), uv=_uv(points + context.origin, box, context.city.crs, photos[0].crs), notes=tuple(notes),
    )  # fmt: skip


def over_imagery(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return layers with the terrain behind the images that lie on it, and painted surfaces hidden where there are images."""
    if not any(layer.name == "imagery" for layer in layers):
        return tuple(layers)
    placed = [replace(layer, behind=1) if layer.name == "terrain" else layer for layer in layers]
    return tuple(replace(layer, visible=False) if layer.name in COVERED else layer for layer in placed)


# ---------------------------------------------------------------- pixels


def _read(context: Context, row: dict[str, Any]) -> _Photo:
    """Return an image at no more than `TEXTURE_SIDE` pixels a side, cells averaged."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError

    from cim.crs import parse
    from cim.model.coverages import coverage_path

    path = coverage_path(context.city, row)
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
    bands, said = _bands(list(row["meta"].get("bands", [])), row["id"])
    try:
        with rasterio.Env(**options), rasterio.open(path, driver="GTiff") as file:
            factor = max(1.0, max(file.shape) / TEXTURE_SIDE)
            shape = (max(1, round(file.height / factor)), max(1, round(file.width / factor)))
            indexes = [min(band, file.count) for band in bands]
            raw = file.read(indexes, out_shape=(len(bands), *shape), resampling=Resampling.average)
            shown = file.dataset_mask(out_shape=shape) > 0
            box = (file.bounds.left, file.bounds.bottom, file.bounds.right, file.bounds.top)
    except RasterioError as error:
        raise InputError(path, f"cannot be read as GeoTIFF ({error})", "read its source again") from error
    crs = context.city.crs if row["crs"] is None else parse(row["crs"])
    if raw.dtype != np.uint8:
        raw, stretched = _stretched(raw, shown, row["id"])
        said = (*said, stretched)
    return _Photo(row["id"], np.ascontiguousarray(np.moveaxis(raw, 0, -1)), shown, box, crs, said)


def _bands(names: list[str], id: str) -> tuple[tuple[int, int, int], tuple[Text, ...]]:
    """Return which bands are drawn as red, green and blue."""
    if {"red", "green", "blue"} <= set(names):
        return (names.index("red") + 1, names.index("green") + 1, names.index("blue") + 1), ()
    if {"nir", "red", "green"} <= set(names):
        said = Text(f"image {id} in false colours: near infrared as red", f"影像 {id} 为假彩色：近红外显示为红色")
        return (names.index("nir") + 1, names.index("red") + 1, names.index("green") + 1), (said,)
    return (1, 1, 1), ()


def _stretched(raw: NDArray[Any], shown: NDArray[np.bool_], id: str) -> tuple[Bytes, Text]:
    """Return wide values as bytes between their 2nd and 98th percentile."""
    seen = raw[:, shown] if shown.any() else raw.reshape(len(raw), -1)
    low, high = (float(value) for value in np.percentile(seen, (2, 98)))
    scaled = np.clip((raw.astype(float) - low) / max(high - low, 1.0) * 255, 0, 255)
    said = Text(f"image {id}: values {low:g} to {high:g} drawn as dark to bright", f"影像 {id}：{low:g}–{high:g} 拉伸显示")
    return np.rint(scaled).astype(np.uint8), said


def _together(photos: list[_Photo]) -> tuple[Bytes, tuple[float, float, float, float]]:
    """Return several images as one, the last one on top."""
    boxes = np.array([photo.box for photo in photos])
    west, south = boxes[:, :2].min(axis=0)
    east, north = boxes[:, 2:].max(axis=0)
    box = (float(west), float(south), float(east), float(north))
    if len(photos) == 1:
        plain = np.where(photos[0].shown[..., None], photos[0].pixels, np.array(_PLAIN, np.uint8))
        return plain, box
    finest = min((one.box[2] - one.box[0]) / one.pixels.shape[1] for one in photos)
    step = max(finest, (east - west) / TEXTURE_SIDE, (north - south) / TEXTURE_SIDE)
    shape = max(1, round((north - south) / step)), max(1, round((east - west) / step))
    whole = np.full((*shape, 3), _PLAIN, np.uint8)
    x = west + (np.arange(shape[1]) + 0.5) * (east - west) / shape[1]
    y = north - (np.arange(shape[0]) + 0.5) * (north - south) / shape[0]
    for one in photos:
        rows, columns = one.pixels.shape[:2]
        i = np.floor((x - one.box[0]) / (one.box[2] - one.box[0]) * columns).astype(np.int64)
        j = np.floor((one.box[3] - y) / (one.box[3] - one.box[1]) * rows).astype(np.int64)
        across, down = np.flatnonzero((i >= 0) & (i < columns)), np.flatnonzero((j >= 0) & (j < rows))
        part = np.ix_(j[down], i[across])
        target = np.ix_(down, across)
        whole[target] = np.where(one.shown[part][..., None], one.pixels[part], whole[target])
    return whole, box


def encoded(pixels: Bytes) -> bytes:
    """Return an image, shape (rows, columns, 3), as a file: PNG where it is small, JPEG where it is large."""
    from cim.plugins import load_extra

    image = load_extra("PIL.Image", "scenes").fromarray(pixels)
    out = BytesIO()
    if pixels.size <= 256 * 256 * 3:
        image.save(out, "PNG")
    else:
        image.save(out, "JPEG", quality=_QUALITY, subsampling=0)
    return out.getvalue()


# ---------------------------------------------------------------- the sheet it is printed on


def _sheet(context: Context, box: tuple[float, float, float, float], crs: CityCRS) -> tuple[Reals, NDArray[np.int32]]:
    """Return points and triangles on the ground: the grid of the ground, cut at the edges of the image."""
    from cim.scenes.terrain import grid_triangles

    west, south, east, north = _outline(box, crs, context) - np.tile(context.origin[:2], 2)
    x = _lines(context.ground, 0, west, east)
    y = _lines(context.ground, 1, south, north)
    grid_x, grid_y = np.meshgrid(x, y)
    z = context.ground.at(grid_x.ravel(), grid_y.ravel())
    points = np.column_stack([grid_x.ravel(), grid_y.ravel(), z])
    triangles = grid_triangles(np.ones(grid_x.shape, bool))
    inside = _inside(points, box, crs, context)
    triangles = triangles[inside[triangles].all(axis=1)]
    used, renumbered = np.unique(triangles, return_inverse=True)
    return points[used], renumbered.reshape(-1, 3).astype(np.int32)


def _lines(ground: Ground, axis: int, low: float, high: float) -> Reals:
    """Return the grid lines of the ground between two edges, and the edges."""
    grid = ground.x if axis == 0 else ground.y
    if grid is None:
        return np.linspace(low, high, _PLANE_STEPS + 1)
    between = grid[(grid > low) & (grid < high)]
    least = (high - low) * 1e-6
    return np.concatenate([[low], between[(between - low > least) & (high - between > least)], [high]])


def _outline(box: tuple[float, float, float, float], crs: CityCRS, context: Context) -> Reals:
    """Return the box of the image in the system of the city: west, south, east, north."""
    from cim.crs import transform_points

    if crs.same_horizontal(context.city.crs):
        return np.array(box)
    share = np.linspace(0.0, 1.0, 21)
    across, upward = box[0] + (box[2] - box[0]) * share, box[1] + (box[3] - box[1]) * share
    x = np.concatenate([across, across, np.full(21, box[0]), np.full(21, box[2])])
    y = np.concatenate([np.full(21, box[1]), np.full(21, box[3]), upward, upward])
    done = transform_points(x, y, None, crs.without_vertical(), context.city.crs.without_vertical(), path="imagery")
    return np.array([done.x.min(), done.y.min(), done.x.max(), done.y.max()])


def _inside(points: Reals, box: tuple[float, float, float, float], crs: CityCRS, context: Context) -> NDArray[np.bool_]:
    """Say which points the image reaches, shape (n,)."""
    uv = _uv(points + context.origin, box, context.city.crs, crs)
    return np.asarray(((uv >= -1e-6) & (uv <= 1 + 1e-6)).all(axis=1))


def _uv(points: Reals, box: tuple[float, float, float, float], own: CityCRS, crs: CityCRS) -> NDArray[np.float32]:
    """Return where each point lies in the image, shape (n, 2): from its left, and from its foot."""
    from cim.crs import transform_points

    x, y = points[:, 0], points[:, 1]
    if not crs.same_horizontal(own):
        done = transform_points(x, y, None, own.without_vertical(), crs.without_vertical(), path="imagery")
        x, y = done.x, done.y
    u, v = (x - box[0]) / (box[2] - box[0]), (y - box[1]) / (box[3] - box[1])
    return np.column_stack([u, v]).astype(np.float32)
