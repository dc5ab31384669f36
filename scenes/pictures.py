"""Image files that faces show: read within a budget, so that neither a picture nor a page nor a graphics card drowns in them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.plugins import load_extra
from cim.scenes.layer import IMAGE_MARKS, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["BYTES", "PIXELS", "SIDE", "image_files"]

PIXELS = 48_000_000
"""Pixels of all images of a layer: 190 MB on a graphics card, with the smaller copies a quarter more."""
BYTES = 24_000_000
"""Bytes of all image files of a layer: what a page still carries."""
SIDE = 8192
"""Most pixels on a side."""
_QUALITY = 85  # of JPEG


def image_files(city: City, keys: Ints) -> tuple[tuple[bytes, ...], Ints, tuple[Text, ...]]:
    """Return the image files of textures, within the budget of a layer.

    Parameters
    ----------
    keys : shape (n,)
        Of `textures`, ascending.

    Returns
    -------
    files
        PNG or JPEG.
    place : shape (n, 2)
        Key and its row of `files`, -1 where there is no image.
    notes
        What is not drawn, or smaller.
    """
    place = np.column_stack([keys, np.full(len(keys), -1)]).astype(np.int64)
    if not len(keys):
        return (), place, ()
    table = city.tables["textures"]
    row = np.searchsorted(np.asarray(table["key"].to_numpy(), np.int64), keys)
    paths, names = (table[column].to_pylist() for column in ("path", "image"))
    sizes = [_size(paths[at]) for at in row.tolist()]
    usable = [size for size in sizes if size]
    factor = max(1.0, (sum(w * h for w, h, _ in usable) / PIXELS) ** 0.5, (sum(size for *_, size in usable) / BYTES) ** 0.5)
    files: list[bytes] = []
    lost: list[str] = []
    for number, (at, size) in enumerate(zip(row.tolist(), sizes, strict=True)):  # image files, not cells
        data = _read(paths[at], factor) if size else None
        if data is None:
            lost.append(str(names[at]))
            continue
        place[number, 1] = len(files)
        files.append(data)
    return tuple(files), place, _notes(lost, len(files), factor)


def _notes(lost: list[str], count: int, factor: float) -> tuple[Text, ...]:
    notes = []
    if lost:
        shown = ", ".join(lost[:3]) + ("…" if len(lost) > 3 else "")
        said = f"{len(lost):,} images are not there or cannot be read ({shown})"
        notes.append(Text(said, f"{len(lost):,} 个纹理图像缺失或无法读取（{shown}）"))
    if factor > 1:
        said = f"{count:,} images drawn at 1/{factor:.2g} of their size"
        notes.append(Text(f"{said}: together they are too large", f"{count:,} 个纹理图像过大，按 1/{factor:.2g} 尺寸显示"))
    return tuple(notes)


def _size(path: str | None) -> tuple[int, int, int] | None:
    """Return width, height and bytes of an image file, None where it cannot be read."""
    if path is None:
        return None
    images = load_extra("PIL.Image", "scenes")
    try:
        with images.open(path, formats=("PNG", "JPEG")) as picture:
            return int(picture.size[0]), int(picture.size[1]), Path(path).stat().st_size
    except (OSError, ValueError, images.DecompressionBombError, images.DecompressionBombWarning):
        return None


def _read(path: str, factor: float) -> bytes | None:
    """Return an image file as it is, or smaller, None where it is damaged."""
    images = load_extra("PIL.Image", "scenes")
    try:
        data = Path(path).read_bytes()
        picture: Any = images.open(BytesIO(data), formats=("PNG", "JPEG"))
        wide = max(factor, max(picture.size) / SIDE)
        picture.load()
        if wide <= 1 and data.startswith(IMAGE_MARKS):
            return data
        size = tuple(max(1, int(side / wide)) for side in picture.size)
        out = BytesIO()
        picture.convert("RGB").resize(size, images.Resampling.BOX).save(out, "JPEG", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, images.DecompressionBombError, images.DecompressionBombWarning):
        return None
    return out.getvalue()
