"""A grid as a file holds it, before anything is cleaned: GeoTIFF through GDAL's GTiff driver only, ESRI ASCII by our own parser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, FormatError, InputError, LimitError
from cim.loaders.limits import Limits
from cim.loaders.terrain.tiff import TiffHeader, check_streams, is_tiff, read_header
from cim.loaders.terrain.values import Rules, unit_factor

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Block = tuple[NDArray[Any], NDArray[np.bool_] | None]

__all__ = [
    "GDAL_OPTIONS",
    "Affine",
    "Grid",
    "Said",
    "declared_crs",
    "gdal_words",
    "georeference",
    "is_ascii_grid",
    "open_grid",
    "prj_beside",
    "without_path",
    "world_file",
]

Affine = tuple[float, float, float, float, float, float]
# No companion is looked for: an .aux.xml, .ovr or .msk may name other files, and is opened with any driver.
GDAL_OPTIONS: dict[str, str | int] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_CACHEMAX": 128 << 20,
    "GTIFF_REPORT_COMPD_CS": "YES",
    "GDAL_NUM_THREADS": "1",
}
_IDENTITY = ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
_WORLD_SUFFIXES = (".tfw", ".tifw", ".tiffw", ".pgw", ".pngw", ".jgw", ".jpgw", ".jpegw", ".wld", ".TFW", ".PGW", ".JGW", ".WLD")
_ASCII_KEYS = {"ncols", "nrows", "xllcorner", "yllcorner", "xllcenter", "yllcenter", "cellsize", "dx", "dy", "nodata_value"}
_TEXT_BYTES = 16 << 20
_REMEDY = "get or export the file again"


@dataclass(frozen=True)
class Grid:
    """Where the cells are, what their raw values mean, and how to read some of them."""

    format: str
    shape: tuple[int, int]
    """Rows and columns, in file order."""
    transform: Affine
    """a, b, c, d, e, f: x = a column + b row + c, y = d column + e row + f, counted from the outer corner of the first cell."""
    rules: Rules
    read: Callable[[slice, slice], Block]
    """Raw values of some rows and columns, and which of them the file leaves out or hides."""
    crs: str | None = None
    """Declared coordinate system."""
    bad_crs: str | None = None
    """Why the declared one cannot be used."""
    unit: str | None = None
    """Declared unit of the values."""
    block: tuple[int, int] = (256, 256)
    """Rows and columns that are stored together."""
    doubts: tuple[tuple[str, str, str], ...] = ()
    """What has to be reported: code, severity, message."""
    band: int = 1
    compressed: bool = False

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield windows of at most about 8 million cells that cover everything."""
        height, width = (max(256, -(-size // 256) * 256) for size in self.block)
        rows = max(256, min(height, 4096) if height < 4096 else 4096)
        columns = max(min(width, 4096), (8_000_000 // rows) // 256 * 256)
        for top in range(0, self.shape[0], rows):
            for left in range(0, self.shape[1], columns):
                yield slice(top, min(top + rows, self.shape[0])), slice(left, min(left + columns, self.shape[1]))


def is_ascii_grid(head: bytes) -> bool:
    """Return whether these first bytes are of an ESRI ASCII grid."""
    words = head[:512].removeprefix(b"\xef\xbb\xbf").split()
    return len(words) >= 4 and words[0].lower() in {b"ncols", b"nrows"} and words[2].lower() in {b"ncols", b"nrows"}


@contextmanager
def open_grid(path: Path, limits: Limits, band: int | None = None) -> Iterator[Grid]:
    """Open a GeoTIFF or an ESRI ASCII grid, its sizes checked.

    Parameters
    ----------
    band
        Band to read, from 1; needed when there are several.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if is_tiff(head):
        with _open_geotiff(path, limits, band) as grid:
            yield grid
    elif is_ascii_grid(head):
        yield _open_ascii(path, limits)
    else:
        raise FormatError(path, "is neither a GeoTIFF nor an ESRI ASCII grid", "give a file of one of these formats")


# ---------------------------------------------------------------- GeoTIFF


class Said(logging.Handler):
    """Keeps what GDAL says while cells are read."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())


@contextmanager
def _open_geotiff(path: Path, limits: Limits, band: int | None) -> Iterator[Grid]:
    import rasterio
    from rasterio.errors import RasterioError

    header = read_header(path, limits)
    _check_bands(header, band, path)
    check_streams(path, header)
    try:
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(path, driver="GTiff", sharing=False) as file:
            yield _geotiff(file, header, path, band or 1)
    except RasterioError as error:
        raise CorruptFileError(path, f"cannot be read as GeoTIFF ({gdal_words(error)})", _REMEDY) from error


def _check_bands(header: TiffHeader, band: int | None, path: Path) -> None:
    if band is None and header.samples > 1:
        what = "an image" if header.samples in {3, 4} and header.bits == 8 else "several rasters"
        reason = f"holds {header.samples} bands of {header.bits} bits, which is {what}, not one band of elevations"
        raise FormatError(path, reason, "give a terrain file, or say which band holds the elevations: read(..., band=1)")
    if band is not None and not 1 <= band <= header.samples:
        raise FormatError(path, f"has no band {band}; it has {header.samples}", "correct band=")


def _geotiff(file: Any, header: TiffHeader, path: Path, band: int) -> Grid:
    if (file.height, file.width) != (header.height, header.width):
        reason = f"is {file.height} x {file.width} cells for GDAL, but declares {header.height} x {header.width}"
        raise CorruptFileError(path, reason, _REMEDY)
    kind = np.dtype(file.dtypes[band - 1]) if file.dtypes[band - 1] != "complex_int16" else np.dtype(complex)
    if kind.kind not in "iuf":
        raise FormatError(path, f"its values are {kind}, expected real numbers", "give a terrain file")
    transform, doubts = georeference(file, path)
    scale, offset = float(file.scales[band - 1]), float(file.offsets[band - 1])
    if not (np.isfinite([scale, offset]).all() and scale != 0.0):
        raise CorruptFileError(path, f"declares scale {scale} and offset {offset}, which give no values", _REMEDY)
    crs, bad_crs = declared_crs(file)
    if header.further_pages:
        doubts += (("lost", "warning", f"holds {header.further_pages} further pages, which are not read"),)
    absent = header.missing if header.missing.any() else None
    rules = Rules(None if file.nodata is None else float(file.nodata), scale, offset)
    grid = Grid(
        "GeoTIFF",
        (file.height, file.width),
        transform,
        rules,
        lambda *_: (np.empty(0), None),
        crs,
        bad_crs,
        file.units[band - 1] or None,
        header.block_shape,
        doubts,
        band,
        header.compressed,
    )
    return replace(grid, read=lambda rows, columns: _read_block(file, path, grid, absent, (rows, columns), masked=header.has_mask))


def _read_block(file: Any, path: Path, grid: Grid, absent: NDArray[np.bool_] | None, place: tuple[slice, slice], *, masked: bool) -> Block:
    from rasterio.windows import Window

    window, said = Window.from_slices(*place), Said()
    logger = logging.getLogger("rasterio")
    logger.addHandler(said)
    try:
        raw = file.read(grid.band, window=window)
        hidden = (file.read_masks(grid.band, window=window) == 0) if masked else None
    except (MemoryError, ValueError, OSError) as error:
        if isinstance(error, MemoryError):
            raise
        detail = "; ".join([gdal_words(error), *said.messages])
        raise CorruptFileError(path, f"cells cannot be read: {without_path(detail, path)}; it is truncated or corrupt", _REMEDY) from error
    finally:
        logger.removeHandler(said)
    if said.messages:
        reason = f"cells cannot be read for sure: {without_path('; '.join(said.messages[:3]), path)}; it is corrupt"
        raise CorruptFileError(path, reason, _REMEDY)
    if absent is not None:
        lost = _spread(absent, grid.block, place)
        hidden = lost if hidden is None else hidden | lost
    return raw, hidden


def _spread(absent: NDArray[np.bool_], block: tuple[int, int], place: tuple[slice, slice]) -> NDArray[np.bool_]:
    rows, columns = (np.arange(part.start, part.stop) // size for part, size in zip(place, block, strict=True))
    return np.asarray(absent[np.ix_(rows, columns)], bool)


def gdal_words(error: BaseException) -> str:
    """Return the message of an error and of what caused it."""
    said, seen = [], 0
    step: BaseException | None = error
    while step is not None and seen < 4:
        said.append("".join(c if c.isprintable() else " " for c in str(step)).strip())
        step, seen = step.__cause__, seen + 1
    return "; ".join(dict.fromkeys(text for text in said if text))


def without_path(text: str, path: Path) -> str:
    """Return the text without the path, which heads the message already, and not too long."""
    return text.replace(str(path), path.name)[:300]


def georeference(file: Any, path: Path) -> tuple[Affine, tuple[tuple[str, str, str], ...]]:
    """Return the transform of a GeoTIFF, from the world file beside it where it has none itself, and what has to be said."""
    a, b, c, d, e, f = (float(value) for value in tuple(file.transform)[:6])
    if (a, b, c, d, e, f) in _IDENTITY:
        if (world := world_file(path)) is not None:
            return world[0], (("guessed", "warning", f"has no georeference of its own; it is taken from {world[1]}"),)
        points = len(file.gcps[0])
        what = f"only {points} ground control points" if points else "an identity transform: pixels, not metres"
        remedy = "write it again with its georeference, for example with gdal_translate -a_ullr"
        raise CRSError(path, f"is not georeferenced ({what})", remedy)
    return _checked_transform((a, b, c, d, e, f), path), ()


def _checked_transform(transform: Affine, path: Path) -> Affine:
    a, b, _, d, e, _ = transform
    if not np.isfinite(transform).all() or a * e - b * d == 0.0:
        raise CorruptFileError(path, f"its transform {transform} gives no cells", _REMEDY)
    return transform


def world_file(path: Path) -> tuple[Affine, str] | None:
    """Return the transform of a world file beside the raster; its numbers mean the centre of the first cell."""
    for suffix in _WORLD_SUFFIXES:
        beside = path.with_suffix(suffix)
        if beside.is_file() and not beside.is_symlink() and beside.stat().st_size < 1024:
            words = beside.read_text("ascii", errors="replace").split()
            try:
                a, d, b, e, x, y = (float(word) for word in words)
            except ValueError:
                continue
            return _checked_transform((a, b, x - (a + b) / 2, d, e, y - (d + e) / 2), path), beside.name
    return None


def declared_crs(file: Any) -> tuple[str | None, str | None]:
    """Return the declared system as WKT, or why there is none."""
    from rasterio.errors import RasterioError

    try:
        if file.crs is None:
            return None, None
        return str(file.crs.to_wkt()), None
    except RasterioError as error:
        return None, gdal_words(error)


# ---------------------------------------------------------------- ESRI ASCII grid


def _open_ascii(path: Path, limits: Limits) -> Grid:
    fields, start = _ascii_header(path)
    nx, ny = int(fields["ncols"]), int(fields["nrows"])
    if nx <= 0 or ny <= 0:
        raise FormatError(path, f"declares {ny} rows and {nx} columns", _REMEDY)
    limits.check("cells", nx * ny, path)
    size = path.stat().st_size - start
    if 2 * nx * ny - 1 > size:
        reason = f"declares {nx * ny:,} values, but {size:,} bytes can hold {(size + 1) // 2:,} at most: it is truncated"
        raise CorruptFileError(path, reason, _REMEDY)
    if 8 * nx * ny > limits.memory_for(size) // 2:
        raise LimitError(path, f"declares {nx * ny:,} values, more than the memory limit allows", "convert it to GeoTIFF first")
    values = _ascii_values(path, start, nx * ny).reshape(ny, nx)
    dx, dy = fields.get("dx", fields.get("cellsize", 0.0)), fields.get("dy", fields.get("cellsize", 0.0))
    if not (np.isfinite([dx, dy]).all() and dx > 0 and dy > 0):
        raise FormatError(path, f"declares a cell size of {dx} by {dy}", _REMEDY)
    west = fields["xllcorner"] if "xllcorner" in fields else fields["xllcenter"] - dx / 2
    south = fields["yllcorner"] if "yllcorner" in fields else fields["yllcenter"] - dy / 2
    transform = _checked_transform((dx, 0.0, west, 0.0, -dy, south + ny * dy), path)
    rules = Rules(fields.get("nodata_value", -9999.0))

    def read(rows: slice, columns: slice) -> Block:
        return values[rows, columns], None

    return Grid("ESRI ASCII grid", (ny, nx), transform, rules, read, prj_beside(path))


def _ascii_header(path: Path) -> tuple[dict[str, float], int]:
    """Return the header fields and where the values begin."""
    with path.open("rb") as file:
        head = file.read(4096)
    fields: dict[str, float] = {}
    start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while True:
        end = head.find(b"\n", start)
        words = head[start : end if end >= 0 else len(head)].decode("ascii", errors="replace").split()
        if end < 0 or not words or words[0].lower() not in _ASCII_KEYS:
            if words or end < 0:
                break
            start = end + 1
            continue
        try:
            fields[words[0].lower()] = float(words[1].replace(",", "."))
        except (IndexError, ValueError) as error:
            raise FormatError(path, f"header line {' '.join(words)[:60]!r} holds no number", _REMEDY) from error
        start = end + 1
    absent = [
        name
        for name, given in (
            ("ncols", "ncols" in fields),
            ("nrows", "nrows" in fields),
            ("xllcorner", bool({"xllcorner", "xllcenter"} & set(fields))),
            ("yllcorner", bool({"yllcorner", "yllcenter"} & set(fields))),
            ("cellsize", "cellsize" in fields or {"dx", "dy"} <= set(fields)),
        )
        if not given
    ]
    if absent or not np.isfinite([value for name, value in fields.items() if name != "nodata_value"]).all():
        raise FormatError(path, f"its header lacks {', '.join(absent) or 'finite numbers'}", _REMEDY)
    return fields, start


def _ascii_values(path: Path, start: int, expected: int) -> NDArray[np.float64]:
    """Return the values after the header, read in pieces."""
    parts, total = [], 0
    with path.open("rb") as file:
        file.seek(start)
        rest = b""
        while (piece := file.read(_TEXT_BYTES)) or rest:
            text = rest + piece
            cut = max(text.rfind(b"\n"), text.rfind(b" ")) + 1 if piece else len(text)
            text, rest = text[:cut], text[cut:]
            part = _numbers(text, path)
            total += len(part)
            parts.append(part)
            if total > expected or (not cut and len(rest) > _TEXT_BYTES):
                break
    if total != expected:
        more = "more" if total > expected else "fewer"
        reason = f"declares {expected:,} values but holds {more} ({total:,} read): it is {'damaged' if total > expected else 'truncated'}"
        raise CorruptFileError(path, reason, _REMEDY)
    return np.concatenate(parts) if parts else np.empty(0)


def _numbers(text: bytes, path: Path) -> NDArray[np.float64]:
    import pyarrow as pa

    words = text.split()
    try:
        column: pa.Array = pa.array(words, pa.binary()).cast(pa.string()).cast(pa.float64())
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        detail = "".join(c if c.isprintable() else " " for c in str(error))[:120]
        reason = f"holds a value that is no number ({detail}); it is damaged, or writes decimal commas"
        raise CorruptFileError(path, reason, _REMEDY) from error
    return np.asarray(column.to_numpy(zero_copy_only=False), float)


def prj_beside(path: Path) -> str | None:
    """Return the text of the .prj file beside a raster, None where there is none."""
    beside = next((path.with_suffix(s) for s in (".prj", ".PRJ") if path.with_suffix(s).is_file()), None)
    if beside is None or beside.is_symlink() or beside.stat().st_size > 1 << 16:
        return None
    return beside.read_bytes().decode("utf-8", errors="replace").strip() or None


def known_unit(name: str | None, path: Path) -> float | None:
    """Return metres per declared unit, None when none is declared.

    Raises
    ------
    InputError
        If a unit is declared that is no length.
    """
    if not name:
        return None
    factor = unit_factor(name)
    if factor is None:
        raise InputError(path, f"its values are in {name[:40]!r}, which is no length known here", 'state the unit, for example unit="m"')
    return factor
