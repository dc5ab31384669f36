"""Images and land cover on the ground: each becomes one object whose coverage is a clean north-up GeoTIFF in the workspace."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import FormatError, LimitError, UsageError
from cim.loaders.georeference import Chosen, Said, choose_crs
from cim.loaders.parcel import work_file
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.terrain.checks import check_cell_size, turned
from cim.loaders.terrain.grid import GDAL_OPTIONS, Affine, Grid, open_grid
from cim.loaders.terrain.normalise import Layout, layout
from cim.loaders.terrain.picture import Picture, is_picture, open_picture
from cim.loaders.terrain.tiff import is_tiff, read_header

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Block = tuple[NDArray[Any], NDArray[np.bool_] | None]

__all__ = ["LAND_COVER", "describe_image", "read_image", "takes"]

LAND_COVER = frozenset({"land_cover", "landcover", "land cover", "classes", "土地覆盖", "地表覆盖"})
"""What ``surface=`` says for a raster of classes."""
_CODES = {"image": "010301", "classes": "0103"}
_MOST_CLASSES = 4096
_TURNED_VALUES = 200_000_000  # of a turned image, which is held in memory


def takes(path: Path, options: ReadOptions) -> bool:
    """Return whether a file is an image or land cover, rather than elevations."""
    if str(options.extra.get("surface", "")).lower() in LAND_COVER:
        return True
    with path.open("rb") as file:
        head = file.read(16)
    if not is_tiff(head):
        return is_picture(head)
    if options.extra.get("band") is not None or options.extra.get("surface") is not None:
        return False
    header = read_header(path, options.limits)
    return header.samples >= 3 and header.bits in {8, 16} and (options.extra.get("bands") is not None or header.integers)


def read_image(path: Path, options: ReadOptions) -> City:
    """Return a city of one object with the image or the land cover as its coverage."""
    with _opened(path, options) as source:
        chosen = _chosen(source, options, path)
        plan = layout(_grid(source))
        _check(plan, source, chosen, options, path)
        target = work_file(path, ".tif")
        try:
            met = _write(source, plan, chosen.crs, target, path)
            return _city(source, plan, chosen, met, target, path, options)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def describe_image(path: Path, options: ReadOptions) -> Description:
    """Return size, bands, CRS and extent without reading cells."""
    from cim.errors import CRSError

    with _opened(path, options) as source:
        plan = layout(_grid(source))
        told = [text for _, severity, text in source.doubts if severity != "info"]
        crs = None
        try:
            crs = choose_crs(source.crs, source.bad_crs, options, path).crs.without_vertical().to_string()
        except CRSError as error:
            told.append(error.reason)
    kind = "raster (land cover)" if isinstance(source, _Classes) else "image"
    fields = tuple((name, str(source.kind)) for name in source.names)
    info = LayerInfo(path.stem, plan.shape[0] * plan.shape[1], kind, crs, plan.bounds, fields, "ReliefFeature")
    return Description(source.format, (info,), suspicions=tuple(told))


# ---------------------------------------------------------------- the two kinds of source


@dataclass(frozen=True)
class _Source:
    """What images and land cover have in common."""

    format: str
    shape: tuple[int, int]
    transform: Affine
    names: tuple[str, ...]
    kind: np.dtype[Any]
    read: Any
    crs: str | None
    bad_crs: str | None
    doubts: tuple[Said, ...]
    block: int


class _Image(_Source):
    """Bands of an image."""


class _Classes(_Source):
    """Classes of land cover in one band."""


def _opened(path: Path, options: ReadOptions) -> AbstractContextManager[_Source]:
    from contextlib import contextmanager

    @contextmanager
    def opened() -> Any:
        if str(options.extra.get("surface", "")).lower() in LAND_COVER:
            band = options.extra.get("band")
            with open_grid(path, options.limits, None if band is None else int(band)) as grid:
                yield _classes(grid, path)
        else:
            with open_picture(path, options.limits, options.extra.get("bands")) as picture:
                yield _image(picture)

    return opened()


def _image(one: Picture) -> _Image:
    names = tuple(name for name in one.bands if name not in {"alpha", "unused"})
    kind = np.dtype(np.uint8) if one.palette is not None else one.kind
    return _Image(one.format, one.shape, one.transform, names, kind, one.read, one.crs, one.bad_crs, one.doubts, one.block)


def _classes(grid: Grid, path: Path) -> _Classes:
    nodata = grid.rules.nodata

    def read(rows: slice, columns: slice) -> Block:
        raw, hidden = grid.read(rows, columns)
        values = raw.astype(np.float64)
        void = ~np.isfinite(values) if nodata is None or np.isnan(nodata) else ~np.isfinite(values) | (values == nodata)
        void = void if hidden is None else void | hidden
        values[void] = 0.0
        if not (values == np.round(values)).all() or np.abs(values).max(initial=0.0) > 1e9:
            raise FormatError(path, "its values are no whole numbers, so they are no classes", "give a raster of land cover classes")
        return values.astype(np.int32)[None], void

    doubts = tuple(grid.doubts)
    kind = np.dtype(np.int32)
    return _Classes(grid.format, grid.shape, grid.transform, ("class",), kind, read, grid.crs, grid.bad_crs, doubts, grid.block[0])


def _grid(source: _Source) -> Grid:
    """Return the source as `layout` takes it."""
    from cim.loaders.terrain.values import Rules

    return Grid(source.format, source.shape, source.transform, Rules(), lambda *_: (np.empty(0), None))


def _chosen(source: _Source, options: ReadOptions, path: Path) -> Chosen:
    """Return the system of an image; heights have no say in it."""
    found = choose_crs(source.crs, source.bad_crs, options, path)
    said = tuple(one for one in found.said if "height" not in one[2])
    return Chosen(found.crs.without_vertical(), found.declared, said)


def _check(plan: Layout, source: _Source, chosen: Chosen, options: ReadOptions, path: Path) -> None:
    options.limits.check("cells", plan.shape[0] * plan.shape[1] * len(source.names), path)
    check_cell_size(plan, chosen, path)
    count = max(source.shape[0] * source.shape[1], plan.shape[0] * plan.shape[1]) * len(source.names)
    if plan.resampled and count > _TURNED_VALUES:
        reason = f"is turned and has {count:,} values, above the limit of {_TURNED_VALUES:,} for turning (size limit)"
        raise LimitError(path, reason, "turn it north-up first, for example with gdalwarp")


# ---------------------------------------------------------------- writing


@dataclass
class _Met:
    """What was met among the cells."""

    hidden: int = 0
    low: NDArray[Any] | None = None
    """Shape (bands,): least value of each band."""
    high: NDArray[Any] | None = None
    classes: Counter[int] = field(default_factory=Counter)


def _write(source: _Source, plan: Layout, crs: CityCRS, target: Path, path: Path) -> _Met:
    import rasterio

    from cim.model.coverages import raster_profile

    met = _Met()
    profile = raster_profile(plan.shape, (plan.x_min, plan.y_max, plan.dx, plan.dy), crs, dtype=str(source.kind), nodata=0)
    profile |= {"count": len(source.names), "nodata": None, "predictor": 2, "interleave": "pixel", "BIGTIFF": "IF_SAFER"}
    if source.names[:3] == ("red", "green", "blue"):
        profile["photometric"] = "RGB"
    options = {**GDAL_OPTIONS, "GDAL_TIFF_INTERNAL_MASK": "YES"}
    blocks = Grid(source.format, plan.shape, source.transform, _grid(source).rules, source.read, block=(source.block, 256))
    whole = _Whole(source, plan) if plan.resampled else None
    with rasterio.Env(**options), rasterio.open(target, "w", **profile) as out:
        out.descriptions = source.names
        for rows, columns in blocks.blocks():
            values, hidden = whole.block(rows, columns) if whole is not None else _upright(source, plan, rows, columns)
            window = ((rows.start, rows.stop), (columns.start, columns.stop))
            out.write(values, window=window)
            shown = np.ones(values.shape[1:], bool) if hidden is None else ~hidden
            met.hidden += int((~shown).sum())
            out.write_mask(shown, window=window)
            _grow(met, values, shown)
            if isinstance(source, _Classes):
                _tally(values[0][shown], met, path)
    return met


def _grow(met: _Met, values: NDArray[Any], shown: NDArray[np.bool_]) -> None:
    """Widen the range of each band."""
    if shown.any():
        seen = values[:, shown]
        low, high = seen.min(axis=1), seen.max(axis=1)
        met.low = low if met.low is None else np.minimum(met.low, low)
        met.high = high if met.high is None else np.maximum(met.high, high)


def _tally(values: NDArray[Any], met: _Met, path: Path) -> None:
    found, counts = np.unique(values, return_counts=True)
    met.classes.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    if len(met.classes) > _MOST_CLASSES:
        reason = f"holds more than {_MOST_CLASSES} different values, which are no classes"
        raise FormatError(path, reason, "give a raster of land cover classes")


def _upright(source: _Source, plan: Layout, rows: slice, columns: slice) -> Block:
    """Return one block of the north-up image from a source that is at most mirrored."""
    ny, nx = source.shape
    taken_rows = slice(ny - rows.stop, ny - rows.start) if plan.flip_rows else rows
    taken_columns = slice(nx - columns.stop, nx - columns.start) if plan.flip_columns else columns
    values, hidden = source.read(taken_rows, taken_columns)
    turn = (slice(None, None, -1 if plan.flip_rows else 1), slice(None, None, -1 if plan.flip_columns else 1))
    return np.ascontiguousarray(values[(slice(None), *turn)]), None if hidden is None else hidden[turn]


class _Whole:
    """A turned source, held in memory; each new cell takes the value of the cell its centre lies in."""

    def __init__(self, source: _Source, plan: Layout) -> None:
        every = (slice(0, source.shape[0]), slice(0, source.shape[1]))
        self.values, self.hidden = source.read(*every)
        self.plan, self.transform = plan, source.transform

    def block(self, rows: slice, columns: slice) -> Block:
        """Return one block of the north-up image."""
        plan, (a, b, c, d, e, f) = self.plan, self.transform
        east = plan.x_min + (np.arange(columns.start, columns.stop) + 0.5) * plan.dx - c
        north = plan.y_max - (np.arange(rows.start, rows.stop) + 0.5)[:, None] * plan.dy - f
        inverse = 1.0 / (a * e - b * d)
        column = np.floor((e * east - b * north) * inverse).astype(np.int64)
        row = np.floor((a * north - d * east) * inverse).astype(np.int64)
        _, ny, nx = self.values.shape
        off = (row < 0) | (row >= ny) | (column < 0) | (column >= nx)
        row, column = np.where(off, 0, row), np.where(off, 0, column)
        hidden = off if self.hidden is None else off | self.hidden[row, column]
        return np.ascontiguousarray(np.where(off, 0, self.values[:, row, column]).astype(self.values.dtype)), hidden


# ---------------------------------------------------------------- the city


def _city(source: _Source, plan: Layout, chosen: Chosen, met: _Met, target: Path, path: Path, options: ReadOptions) -> City:
    import shapely

    from cim.loaders.source import source_record
    from cim.model import CityBuilder, Column

    crs, kind = chosen.crs, "classes" if isinstance(source, _Classes) else "image"
    builder = CityBuilder(crs, name=options.name or path.stem)
    said = _said(source, plan, chosen, met, path)
    declared = None if chosen.declared is None else chosen.declared.to_string()
    record = source_record(
        path, reader="terrain", format=source.format, declared_crs=declared, used_crs=crs.to_string(), records_in=1, rejected=0,
        repaired=int(any(one[0] == "repaired" for one in said)), shown=options.extra.get("_shown"),
    )  # fmt: skip
    key = builder.add_source(record)
    name = options.name or path.stem
    (owner,) = builder.add_objects(
        "ReliefFeature", [path.stem], footprints=[shapely.box(*plan.bounds)], names=[name], cim_codes=[_CODES[kind]], source=key
    )
    size = max(plan.dx, plan.dy) if crs.is_projected else None
    builder.add_attributes([owner], "ReliefFeature", {"cell_size": Column([size], unit="m" if crs.is_projected else "")})
    west, south, east, north = plan.bounds
    box: Any = (west, south, None, east, north, None)  # an image has no heights
    builder.add_coverage(
        int(owner), kind=kind, path=str(target), format="GeoTIFF", box=box, crs=crs.to_string(),
        unit="", count=plan.shape[0] * plan.shape[1] - met.hidden, source=key, meta=json.dumps(_meta(source, plan, met, kind, options)),
    )  # fmt: skip
    for code, severity, message in said:
        first = message.split(" ", 1)[0]
        count = int(first) if first.isdigit() else 1
        builder.add_issue(code, f"{path.name}: {message}", severity=severity, object=int(owner), source=key, count=count)
    return builder.build()


def _meta(source: _Source, plan: Layout, met: _Met, kind: str, options: ReadOptions) -> dict[str, Any]:
    said: dict[str, Any] = {
        "dx": plan.dx, "dy": plan.dy, "nx": plan.shape[1], "ny": plan.shape[0], "x_min": plan.x_min, "y_max": plan.y_max,
        "surface": kind, "bands": list(source.names), "bits": source.kind.itemsize * 8, "hidden": met.hidden,
    }  # fmt: skip
    if kind == "image" and met.high is not None:
        said["highest"] = int(met.high.max())
    if kind == "classes":
        said["classes"] = {str(value): count for value, count in sorted(met.classes.items())}
        said["legend"] = _legend(options.extra.get("legend"))
    return said


def _legend(given: Any) -> dict[str, str]:
    """Return the names of classes by value, as text."""
    if given is None:
        return {}
    try:
        return {str(int(value)): str(name) for value, name in dict(given).items()}
    except (TypeError, ValueError) as error:
        msg = f"legend={given!r}; give the name of each class by its value, such as {{10: 'trees', 50: 'built-up'}}"
        raise UsageError(msg) from error


def _said(source: _Source, plan: Layout, chosen: Chosen, met: _Met, path: Path) -> tuple[Said, ...]:
    """Return everything that has to be reported."""
    from cim.loaders.gate import doubts

    place = tuple(("crs", "warning", text) for text in doubts(plan.bounds, chosen.crs, str(path)))
    said: list[Said] = [*chosen.said, *place, *source.doubts]
    how = f"its transform {source.transform} is rotated or sheared; each north-up cell took the value of the cell its centre lies in"
    said += [("repaired", "warning", how)] if plan.resampled else turned(plan, source.transform)
    if met.hidden:
        said.append(("lost", "info", f"{met.hidden} cells are transparent, hidden or hold no value"))
    if met.low is None or met.high is None:
        said.append(("empty", "warning", "no cell has a value"))
    elif isinstance(source, _Image) and np.array_equal(met.low, met.high):
        said.append(("empty", "warning", "every cell has the same colour: it is empty, or its data are corrupt"))
    return tuple(said)
