"""The layer of water that changes with time: a sheet draped at the height of the water, one mesh for all times."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.scenes.clock import instants_of
from cim.scenes.context import BUILDINGS, WATER, members
from cim.scenes.depth import same_crs
from cim.scenes.layer import Layer, Text
from cim.scenes.sheet import BOUNDS, COLOURS, DRAWN, SHORE, Coding, Sheet, around, depth_legend, signed_depth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.clock import Instants
    from cim.scenes.context import Context

    Reals = NDArray[np.float64]
    Mask = NDArray[np.bool_]

__all__ = ["LIFT", "PAGE_BYTES", "SHEET_CELLS", "Water", "changes_with_time", "flood_layer"]

SHEET_CELLS = 1_048_576
"""Cells of a sheet in pictures; finer fields are drawn in blocks."""
PAGE_BYTES = 24_000_000
"""Bytes of all sheets of a page before they are packed, one per cell and time; packed they are a tenth or less of it."""
_PAGE_CELLS = 65_536  # cells of a sheet of a page at least; beyond that times are left out
_MESH_CELLS = 40_000  # squares of the mesh that carries the sheet
LIFT = 0.42
"""How far above its height water is drawn [m]: above the roads, so that shallow water on them shows."""
_UNDER = 3.0  # cells that water reaches under a building, so that no gap opens beside its walls
_APART = 3.0  # m between the ground of the result and the drawn one, in the median, beyond which they count in different systems
_TITLE = Text("Water depth", "水深")


def changes_with_time(result: Fields) -> bool:
    """Say whether a result holds depths of water over time, and over no other dimension but y and x."""
    depth = result.dataset.data_vars.get("water_depth")
    return depth is not None and set(depth.dims) == {"time", "y", "x"}


def flood_layer(context: Context, result: Fields) -> Layer:
    """Return the water of a result as a layer with times, shown at the time of the largest volume.

    Raises
    ------
    CRSMismatchError
        If the field lies in another coordinate system than the city.
    UsageError
        If its times do not rise, or it has no cell.
    """
    same_crs(context, result)
    water = water_of(context, result)
    bare = Layer(
        name="water depth", label=_TITLE, points=np.empty((0, 3)), triangles=np.empty((0, 3), np.int32), cell_object=np.empty(0, np.int32),
        ids=np.empty(0, object), colours=np.array([COLOURS[2]], np.uint8), legend=depth_legend(_TITLE), lit=False, opacity=0.86, unit="m",
        motion=water, notes=water.notes,
    )  # fmt: skip
    return water.frame(bare, water.peak)


@dataclass(frozen=True)
class _Place:
    """Where the cells of a sheet lie, in blocks of `factor` by `factor` cells of the field; row 0 the southern one."""

    west: float
    south: float
    dx: float
    dy: float
    factor: int
    turned: bool
    """Whether row 0 of the field is the northern one."""

    def blocks(self, values: NDArray[Any], *, wet_only: bool = False) -> Reals:
        """Return a field of the result on the cells of the sheet: means of blocks.

        With `wet_only` a block is the mean of its wet cells where at least half of its known cells are wet, else dry: narrow water is
        neither spread nor thinned out.
        """
        grid = np.asarray(values, float)
        grid = grid[::-1] if self.turned else grid
        if self.factor == 1:
            return grid
        tiles = _tiles(grid, self.factor)
        known = np.isfinite(tiles)
        count = known.sum(axis=(1, 3))
        if wet_only:
            counted = known & (tiles >= DRAWN)
            enough = 2 * counted.sum(axis=(1, 3)) >= count
        else:
            counted, enough = known, count > 0
        mean = np.where(counted, tiles, 0.0).sum(axis=(1, 3)) / np.maximum(counted.sum(axis=(1, 3)), 1)
        return np.where(count > 0, np.where(enough, mean, 0.0), np.nan)


def _tiles(grid: Reals, factor: int) -> Reals:
    ny, nx = grid.shape
    rows, columns = -(-ny // factor), -(-nx // factor)
    padded = np.full((rows * factor, columns * factor), np.nan)
    padded[:ny, :nx] = grid
    return padded.reshape(rows, factor, columns, factor)


@dataclass(frozen=True)
class Water:
    """Water over time: a `cim.scenes.clock.Motion`."""

    context: Context
    result: Fields
    place: _Place
    chosen: NDArray[np.int64]
    """Numbers of the times of the result that are shown."""
    times: Instants
    dated: bool
    peak: int
    coding: Coding
    ground: Reals
    """Shape (ny, nx): height of the ground, that of the street under buildings [m]."""
    covered: Mask
    """Cells under buildings, or in a mapped river or lake, which keeps its own colour."""
    beside: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    """Rows and columns of cells under buildings, and of the nearest open cell of each: water reaches under the walls."""
    highest: Reals
    """Shape (ny, nx): largest depth over all times [m]."""
    volumes: Reals
    """Volume of the water at each time shown [m³]."""
    notes: tuple[Text, ...] = field(default=())

    def sheet(self, place: int | None) -> Sheet:
        """Return the water at one of the times, at None the largest depth over all of them."""
        where = self.place
        depth = self.highest if place is None else where.blocks(_depth(self.result)[int(self.chosen[place])].values, wet_only=True)
        signed = signed_depth(np.where(np.isfinite(depth), depth, 0.0), self.ground, known=np.isfinite(depth) & ~self.covered)
        row, column, near_row, near_column = self.beside
        signed[row, column] = signed[near_row, near_column]
        return Sheet(self.coding.encode(signed), self.coding, where.west, where.south, where.dx, where.dy)

    def frame(self, layer: Layer, place: int | None) -> Layer:
        """Return the layer at one of its times, at None with the largest depth over all; before its first time nothing is drawn."""
        nothing = place is not None and place < 0
        sheet = self.sheet(0 if nothing else place)
        used = np.zeros_like(sheet.wet) if nothing else around(sheet.wet.astype(float)) > 0
        points, triangles = self._mesh(used, self._surface(sheet))
        image = sheet.picture() if len(triangles) else None
        span = np.array([sheet.codes.shape[1] * sheet.dx, sheet.codes.shape[0] * sheet.dy])
        uv = (points[:, :2] - [sheet.west, sheet.south]) / span
        return replace(
            layer, points=points, triangles=triangles, cell_object=np.zeros(len(triangles), np.int32),
            texture=image, uv=np.clip(uv, 0, 1).astype(np.float32) if image else None, sheet=sheet,
        )  # fmt: skip

    def whole(self, layer: Layer) -> Layer:
        """Return the mesh that all times share, at the height below which no water is drawn: that of the drawn ground."""
        used = around((self.sheet(None).wet).astype(float)) > 0
        points, triangles = self._mesh(used, self._floor)
        return replace(layer, points=points, triangles=triangles, cell_object=np.zeros(len(triangles), np.int32), texture=None, uv=None)

    def described(self, add: Callable[[NDArray[Any]], dict[str, Any]]) -> dict[str, Any]:
        """Return all times and the highest values as plain values for the page; each sheet as its difference to the one before."""
        sheets = np.stack([self.sheet(place).codes for place in (*range(len(self.times)), None)])
        difference = np.diff(sheets, axis=0, prepend=np.zeros_like(sheets[:1]))
        low, high = float(np.nanmin(self.ground)), float(np.nanmax(self.ground))
        step = max(high - low, 1e-3) / 65535
        ever = (sheets >= SHORE).any(axis=0)
        bed = np.where(ever, np.rint((np.nan_to_num(self.ground, nan=low) - low) / step), 0)
        return {
            "kind": "water", "size": list(sheets.shape[:0:-1]), "corner": [self.place.west, self.place.south],
            "step": [self.place.dx, self.place.dy], "span": self.coding.span, "drawn": DRAWN, "lift": LIFT, "bounds": list(BOUNDS),
            "colours": [list(colour) for colour in COLOURS], "bed": {"low": low, "step": step, **add(bed.astype("<u2"))},
            "sheets": add(difference), "volumes": [float(f"{volume:.6g}") for volume in self.volumes],
        }  # fmt: skip

    def for_page(self) -> Water:
        """Return the water in a size that a page carries; its notes say what was left out."""
        budget = PAGE_BYTES // max(self.highest.size, 1)
        if len(self.times) + 1 <= budget:
            return self
        cells = max(PAGE_BYTES // (len(self.times) + 1), _PAGE_CELLS)
        return water_of(self.context, self.result, cells=min(cells, self.highest.size), most=PAGE_BYTES // cells - 1)

    # ------------------------------------------------------------------ the mesh

    @cached_property
    def _stride(self) -> int:
        """Cells along a side of a square of the mesh."""
        wet = around(np.nan_to_num(self.highest >= DRAWN).astype(float)) > 0
        return max(1, int(np.ceil(np.sqrt(wet.sum() / _MESH_CELLS))))

    @cached_property
    def _corners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of cell corners that are vertices of the mesh: 0 the southern or western edge."""
        ny, nx = self.ground.shape
        return tuple(np.unique(np.append(np.arange(0, count, self._stride), count)) for count in (ny, nx))  # type: ignore[return-value]

    @cached_property
    def _floor(self) -> Reals:
        """Height of the drawn ground at the vertices; of the ground of the result where none is drawn [m]."""
        rows, columns = self._corners
        if not self.context.ground.known:
            return _touching(self.ground, np.isfinite(self.ground), rows, columns)[0]
        x, y = np.meshgrid(self.place.west + columns * self.place.dx, self.place.south + rows * self.place.dy)
        return self.context.ground.at(x, y)

    def _surface(self, sheet: Sheet) -> Reals:
        """Return the height at which the vertices are drawn: the mean level of the wet cells that touch them, never below the ground."""
        above = sheet.coding.decode(sheet.codes)
        level, count = _touching(self.ground + np.nan_to_num(above) + DRAWN, sheet.wet, *self._corners)
        return np.where(count > 0, np.maximum(level, self._floor), self._floor) + LIFT

    def _mesh(self, used: Mask, height: Reals) -> tuple[Reals, NDArray[np.int32]]:
        """Return vertices and triangles of the squares that hold a used cell."""
        rows, columns = self._corners
        tall = np.add.reduceat(np.add.reduceat(used.astype(np.int64), rows[:-1], axis=0), columns[:-1], axis=1)
        j, i = np.nonzero(tall)
        wide = len(columns)
        first = j * wide + i
        lower = np.stack([first, first + 1, first + wide + 1], axis=1)
        upper = np.stack([first, first + wide + 1, first + wide], axis=1)
        kept, index = np.unique(np.concatenate([lower, upper]), return_inverse=True)
        x, y = np.meshgrid(self.place.west + columns * self.place.dx, self.place.south + rows * self.place.dy)
        points = np.column_stack([x.ravel()[kept], y.ravel()[kept], height.ravel()[kept]])
        return points, index.reshape(-1, 3).astype(np.int32)


def _touching(values: Reals, counted: Mask, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[Reals, NDArray[np.int64]]:
    """Return the mean of the counted cells that touch each corner, 0 where there is none, and how many there are."""
    wide = np.pad(np.where(counted, values, 0.0), 1)
    marks = np.pad(counted, 1).astype(np.int64)
    pairs = [(rows + down, columns + right) for down in (0, 1) for right in (0, 1)]
    count = np.sum([marks[np.ix_(*pair)] for pair in pairs], axis=0)
    return np.sum([wide[np.ix_(*pair)] for pair in pairs], axis=0) / np.maximum(count, 1), count


# --------------------------------------------------------------------------------------------- from the result


def water_of(context: Context, result: Fields, *, cells: int = SHEET_CELLS, most: int | None = None) -> Water:
    """Return the water of a result, in no more cells and times than asked.

    Raises
    ------
    UsageError
        If the times do not rise, or there is no time or cell.
    """
    depth = _depth(result)
    instants, dated = instants_of(np.asarray(depth["time"].values))
    if not depth.size:
        msg = f"{result.name!r} has water depths of shape {depth.shape}: there is nothing to draw"
        raise UsageError(msg)
    place = _place(context, depth, cells)
    every = 1 if most is None else -(-len(instants) // max(most, 1))
    chosen = np.arange(0, len(instants), every)
    highest, volumes = _highest(result, place, abs(place.dx * place.dy) / place.factor**2)
    ground, built, beside, notes = _ground(context, result, place, highest.shape)
    rivers = _covered(context, place, highest.shape, WATER)
    deepest = float(np.nanmax(highest)) if np.isfinite(highest).any() else 0.0
    notes = (*notes, *_rivers(rivers & (np.nan_to_num(highest) >= DRAWN)), *_thinned(place.factor, every), *_shallow(deepest))
    return Water(
        context, result, place, chosen, instants[chosen], dated, int(volumes[chosen].argmax()), Coding(max(2.5, deepest - DRAWN)),
        ground, built | rivers, beside, highest, volumes[chosen], notes,
    )  # fmt: skip


def _rivers(wet: Mask) -> Iterator[Text]:
    if wet.any():
        yield Text("not drawn over mapped rivers and lakes", "已有河湖水体范围内不绘制")


def _thinned(factor: int, every: int) -> Iterator[Text]:
    if factor > 1:
        yield Text(f"drawn in blocks of {factor} by {factor} cells", f"按 {factor}×{factor} 单元合并绘制")
    if every > 1:
        yield Text(f"every {every}th time is shown", f"每 {every} 个时刻显示一个")


def _shallow(deepest: float) -> Iterator[Text]:
    if deepest < DRAWN:
        said = f"the deepest water is {deepest:.3g} m: less than {DRAWN:g} m is not drawn"
        yield Text(said, f"最大水深 {deepest:.3g} m，不足 {DRAWN:g} m，不绘制")


def _depth(result: Fields) -> xarray.DataArray:
    return result.dataset["water_depth"].transpose("time", "y", "x")


def _place(context: Context, depth: xarray.DataArray, cells: int) -> _Place:
    x, y = np.asarray(depth["x"].values, float), np.asarray(depth["y"].values, float)
    dx, dy = _step(x), abs(_step(y))
    factor = max(1, int(np.ceil(np.sqrt(len(x) * len(y) / cells))))
    west, south = x.min() - dx / 2 - context.origin[0], y.min() - dy / 2 - context.origin[1]
    return _Place(float(west), float(south), dx * factor, dy * factor, factor, bool(len(y) > 1 and y[0] > y[-1]))


def _step(axis: Reals) -> float:
    return float((axis[-1] - axis[0]) / (len(axis) - 1)) if len(axis) > 1 else 1.0


def _highest(result: Fields, place: _Place, area: float) -> tuple[Reals, Reals]:
    """Return the largest depth over all times on the cells of the sheet, and the volume at each time."""
    depth = _depth(result)
    stated = result.dataset.data_vars.get("maximum_depth")
    most = np.full(depth.shape[1:], np.nan)
    if stated is not None and set(stated.dims) == {"y", "x"}:
        most = np.asarray(stated.transpose("y", "x").values, float)
    volumes = np.empty(len(depth))
    for place_in_time in range(len(depth)):  # over times: one field after the other, as they may not all fit into memory
        values = np.asarray(depth[place_in_time].values, float)
        volumes[place_in_time] = np.nansum(values) * area
        most = np.fmax(most, values)
    return place.blocks(most, wet_only=True), volumes


_Beside = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def _ground(context: Context, result: Fields, place: _Place, shape: tuple[int, ...]) -> tuple[Reals, Mask, _Beside, tuple[Text, ...]]:
    """Return the ground the water stands on, cells under buildings, where these take their water from, and notes."""
    ny, nx = shape
    x, y = np.meshgrid(place.west + (np.arange(nx) + 0.5) * place.dx, place.south + (np.arange(ny) + 0.5) * place.dy)
    drawn = context.ground.at(x, y)
    built = _covered(context, place, (ny, nx), BUILDINGS)
    stated = result.dataset.data_vars.get("ground_elevation")
    notes: tuple[Text, ...] = ()
    heights = drawn
    if stated is not None and set(stated.dims) == {"y", "x"}:
        own = place.blocks(stated.transpose("y", "x").values) - context.origin[2]
        open_ = np.isfinite(own) & ~built
        apart = float(np.median((own - drawn)[open_])) if open_.any() else 0.0
        if context.ground.known and abs(apart) > _APART:
            said = f"the ground of the result lies {apart:+.1f} m from the terrain drawn (median): the water is laid on the terrain"
            notes = (Text(said, f"结果的地面与所绘地形相差 {apart:+.1f} m（中位数），水面按地形绘制"),)
        else:
            heights = np.where(np.isfinite(own), own, drawn)
    beside = _beside(built)
    heights = heights.copy()
    heights[beside[0], beside[1]] = heights[beside[2], beside[3]]
    return heights, built, beside, notes


def _beside(built: Mask) -> _Beside:
    """Return the cells under buildings that lie near open ground, and the nearest open cell of each."""
    from scipy.ndimage import distance_transform_edt

    if not built.any() or built.all():
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing, nothing
    distance, (near_row, near_column) = distance_transform_edt(built, return_indices=True)
    row, column = np.nonzero(built & (distance <= _UNDER))
    return row, column, near_row[row, column], near_column[row, column]


def _covered(context: Context, place: _Place, shape: tuple[int, ...], types: frozenset[str]) -> Mask:
    """Return the cells whose middle lies in the footprint of an object of some classes, shape (ny, nx)."""
    import shapely
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    shapes = members(context, types).shapes
    areas = shapes[np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)] if len(shapes) else shapes
    if not len(areas):
        return np.zeros(shape, bool)
    grid = Affine(place.dx, 0.0, place.west, 0.0, place.dy, place.south)
    return np.asarray(rasterize(areas.tolist(), out_shape=shape, transform=grid, fill=0, default_value=1, dtype="uint8"), bool)
