"""An image on the ground before anything is cleaned: GeoTIFF with several bands, PNG and JPEG with a world file; sizes checked first."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, FormatError, LimitError, UsageError
from cim.loaders.limits import Limits
from cim.loaders.terrain.grid import (
    GDAL_OPTIONS,
    Affine,
    Said,
    declared_crs,
    gdal_words,
    georeference,
    prj_beside,
    without_path,
    world_file,
)
from cim.loaders.terrain.tiff import check_streams, is_tiff, read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Block = tuple[NDArray[Any], NDArray[np.bool_] | None]

__all__ = ["Picture", "is_picture", "open_picture"]

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_LETTERS = {"r": "red", "g": "green", "b": "blue", "n": "nir", "a": "alpha", "x": "unused"}
_NIR = re.compile(r"\bnir\b|near.?infra|近红外", re.IGNORECASE)
_REMEDY = "get or export the file again"


@dataclass(frozen=True)
class Picture:
    """Where the cells are, which band is which colour, and how to read some of them."""

    format: str
    shape: tuple[int, int]
    """Rows and columns, in file order."""
    transform: Affine
    """As in `cim.loaders.terrain.grid.Grid`."""
    bands: tuple[str, ...]
    """What each band is: red, green, blue, nir, alpha, grey, unused."""
    kind: np.dtype[Any]
    """Type of the values."""
    file: Any
    path: Path
    palette: NDArray[np.uint8] | None = None
    """Shape (256, 4): colours that the values of the only band stand for."""
    crs: str | None = None
    bad_crs: str | None = None
    doubts: tuple[tuple[str, str, str], ...] = ()
    """What has to be reported: code, severity, message."""
    masked: bool = False
    block: int = 256
    """Rows that are stored together."""

    def read(self, rows: slice, columns: slice) -> Block:
        """Return some cells, shape (bands, rows, columns), without alpha and unused bands, and which of them are hidden."""
        from rasterio.windows import Window

        window = Window.from_slices(rows, columns)
        raw, mask = self._raw(window)
        hidden = None if mask is None else mask == 0
        if self.palette is not None:
            colours = self.palette[raw[0]]
            clear = colours[..., 3] == 0
            return np.moveaxis(colours[..., :3], -1, 0), clear if clear.any() else hidden
        if "alpha" in self.bands:
            clear = raw[self.bands.index("alpha")] == 0
            hidden = clear if hidden is None else hidden | clear
        nodata = self.file.nodata
        kept = [at for at, name in enumerate(self.bands) if name not in {"alpha", "unused"}]
        if nodata is not None:
            void = (raw[kept] == nodata).all(axis=0)
            hidden = void if hidden is None else hidden | void
        return raw[kept], hidden

    def _raw(self, window: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
        said = Said()
        logger = logging.getLogger("rasterio")
        logger.addHandler(said)
        try:
            raw = self.file.read(window=window)
            mask = self.file.read_masks(1, window=window) if self.masked else None
        except (ValueError, OSError) as error:
            detail = without_path("; ".join([gdal_words(error), *said.messages]), self.path)
            raise CorruptFileError(self.path, f"cells cannot be read: {detail}; it is truncated or corrupt", _REMEDY) from error
        finally:
            logger.removeHandler(said)
        if said.messages:
            detail = without_path("; ".join(said.messages[:3]), self.path)
            raise CorruptFileError(self.path, f"cells cannot be read for sure: {detail}; it is truncated or corrupt", _REMEDY)
        return raw, mask


def is_picture(head: bytes) -> bool:
    """Return whether these first bytes are of a PNG or JPEG image."""
    return head.startswith((_PNG, _JPEG))


@contextmanager
def open_picture(path: Path, limits: Limits, bands: str | Sequence[str] | None = None) -> Iterator[Picture]:
    """Open an image, its sizes checked.

    Parameters
    ----------
    bands
        What each band is, as letters ("rgb", "rgbn", "nrg", with "a" for alpha and "x" for unused) or as names.

    Raises
    ------
    InputError
        If the file cannot be used.
    UsageError
        If `bands` does not fit it.
    """
    import rasterio
    from rasterio.errors import RasterioError

    with path.open("rb") as file:
        head = file.read(1 << 16)
    driver = "PNG" if head.startswith(_PNG) else "JPEG" if head.startswith(_JPEG) else "GTiff"
    size = (0, 0) if driver == "GTiff" else _declared_size(head, path, limits)
    further = 0
    if is_tiff(head):
        header = read_header(path, limits)
        check_streams(path, header)
        size, further = (header.height, header.width), header.further_pages
    try:
        options = {**GDAL_OPTIONS, "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES"}  # damage is a warning for that library
        with rasterio.Env(**options), rasterio.open(path, driver=driver, sharing=False) as opened:
            if (opened.height, opened.width) != size:
                reason = f"is {opened.height} x {opened.width} cells for GDAL, but declares {size[0]} x {size[1]}"
                raise CorruptFileError(path, reason, _REMEDY)
            yield _picture(opened, path, driver, bands, further)
    except RasterioError as error:
        raise CorruptFileError(path, f"cannot be read as {driver} ({gdal_words(error)})", _REMEDY) from error


def _declared_size(head: bytes, path: Path, limits: Limits) -> tuple[int, int]:
    """Return rows and columns that a PNG or JPEG declares, checked against the limits before anything is allocated."""
    if head.startswith(_PNG):
        if len(head) < 26 or head[12:16] != b"IHDR":
            raise CorruptFileError(path, "is a PNG without header, truncated or damaged", _REMEDY)
        width, height = struct.unpack(">II", head[16:24])
        samples = _PNG_SAMPLES.get(head[25], 4) * max(1, head[24] // 8)
    else:
        height, width, samples = _jpeg_size(path)
    if not (width and height):
        raise FormatError(path, f"declares {height} x {width} cells, which is no image", _REMEDY)
    limits.check("cells", width * height * samples, path)
    plain, size = width * height * samples, path.stat().st_size
    most = min(limits.expanded_bytes, limits.memory_for(size) // 2)
    if plain > most and plain > limits.expansion_ratio * size:
        reason = (
            f"expands from {size:,} to {plain:,} bytes, above the limits of {most:,} bytes (size limit expanded_bytes, and half of "
            f"memory_bytes) and {limits.expansion_ratio:g} times (expansion_ratio)"
        )
        raise LimitError(path, reason, "give limits=Limits(expansion_ratio=...) if the file is trusted")
    return int(height), int(width)


def _jpeg_size(path: Path) -> tuple[int, int, int]:
    """Return rows, columns and samples from the frame header of a JPEG; its segments are walked, not searched."""
    with path.open("rb") as file:
        file.seek(2)
        for _ in range(2000):
            mark = file.read(4)
            if len(mark) < 4 or mark[0] != 0xFF:
                break
            kind, length = mark[1], struct.unpack(">H", mark[2:])[0]
            if 0xC0 <= kind <= 0xCF and kind not in {0xC4, 0xC8, 0xCC}:
                frame = file.read(6)
                if len(frame) == 6:
                    height, width, samples = struct.unpack(">HHB", frame[1:])
                    return height, width, samples
                break
            file.seek(max(length - 2, 0), 1)
    raise CorruptFileError(path, "is a JPEG without frame header, truncated or corrupt", _REMEDY)


def _picture(file: Any, path: Path, driver: str, bands: str | Sequence[str] | None, further: int) -> Picture:
    from rasterio.enums import MaskFlags

    kind = np.dtype(file.dtypes[0])
    if kind not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise FormatError(path, f"its bands are {kind}, expected whole numbers of 8 or 16 bits", "write it again as an image")
    transform, doubts = georeference(file, path) if driver == "GTiff" else _beside(path)
    crs, bad = declared_crs(file) if driver == "GTiff" else (prj_beside(path), None)
    palette = _palette(file) if file.count == 1 else None
    names, said = (("red", "green", "blue"), ()) if palette is not None else _names(file, bands, path)
    if further:
        said += (("lost", "warning", f"holds {further} further pages, which are not read"),)
    masked = MaskFlags.per_dataset in file.mask_flag_enums[0] and "alpha" not in names
    masked = masked and MaskFlags.alpha not in file.mask_flag_enums[0]
    rows = int(file.block_shapes[0][0])
    form = {"GTiff": "GeoTIFF"}.get(driver, driver)
    return Picture(form, (file.height, file.width), transform, names, kind, file, path, palette, crs, bad, (*doubts, *said), masked, rows)


def _beside(path: Path) -> tuple[Affine, tuple[tuple[str, str, str], ...]]:
    """Return the transform that the world file of a PNG or JPEG states."""
    found = world_file(path)
    if found is None:
        remedy = f"put its world file ({path.stem}.wld, or {'.pgw' if path.suffix.lower() == '.png' else '.jgw'}) beside it"
        raise CRSError(path, "is not georeferenced: an image without a world file", remedy)
    return found[0], (("assumed", "info", f"its place is taken from {found[1]}"),)


def _palette(file: Any) -> NDArray[np.uint8] | None:
    """Return the colours that the values of an only band stand for."""
    try:
        table = file.colormap(1)
    except ValueError:
        return None
    colours = np.zeros((256, 4), np.uint8)
    for value, colour in table.items():
        if 0 <= value < 256:
            colours[value] = colour
    return colours


def _names(file: Any, bands: str | Sequence[str] | None, path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, str, str], ...]]:
    """Return what each band is, and what was assumed about that."""
    if bands is not None:
        given = tuple(_LETTERS.get(one.lower(), one.lower()) for one in bands)
        known = {*_LETTERS.values(), "grey"}
        if len(given) != file.count or not set(given) <= known or len(set(given) - {"unused"}) != len(given) - given.count("unused"):
            letters = ", ".join(map("=".join, _LETTERS.items()))
            msg = f"bands={bands!r} for {path.name} with {file.count} bands; give one letter each: {letters}"
            raise UsageError(msg)
        return given, ()
    said: list[tuple[str, str, str]] = []
    found = [one.name for one in file.colorinterp]
    told = [("nir" if text and _NIR.search(text) else None) for text in file.descriptions]
    names = [word or (colour if colour in {"red", "green", "blue", "alpha"} else "") for word, colour in zip(told, found, strict=True)]
    if file.count <= 2:
        names = ["grey", "alpha"][: file.count]
    elif not {"red", "green", "blue"} <= set(names):
        free = [name for name in ("red", "green", "blue") if name not in names]
        for at in (at for at, name in enumerate(names) if not name):
            names[at] = free.pop(0) if free else ""
        said.append(("assumed", "warning", 'it does not say which band is which; the first are taken as red, green, blue (bands="rgb...")'))
    extra = [at + 1 for at, name in enumerate(names) if not name]
    if extra:
        text = f'band {", ".join(map(str, extra))} is not named and not used; say bands="rgbn" if the fourth is near infrared'
        said.append(("assumed", "info", text))
    return tuple(name or "unused" for name in names), tuple(said)
