"""Statistics of the cells inside each polygon: one pass over the raster, in strips, by a compiled kernel.

A cell counts when its centre lies inside (even-odd rule; a centre on a shared border counts for exactly one polygon). A polygon
that holds no cell centre takes the cell under a point inside it, and is marked as sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.zonal_cells import Cells, cells_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cim.model.coverages import Raster

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Shapes = NDArray[np.object_]

__all__ = ["STATISTICS", "ClassCounts", "ZonalStatistics", "zonal_classes", "zonal_statistics"]

STATISTICS = ("mean", "min", "max", "sum", "std", "count")
"""What `zonal_statistics` knows; std is that of the cells themselves (divided by n)."""


@dataclass(frozen=True)
class ZonalStatistics:
    """Statistics per polygon, and what they rest on."""

    values: dict[str, Floats]
    """Shape (m,) each, NaN where the raster says nothing; by name."""
    cells: Ints
    """Shape (m,): known cells whose centre lies inside."""
    unknown: Ints
    """Shape (m,): cells without a value whose centre lies inside."""
    covered: Floats
    """Shape (m,): share of the polygon's area inside the raster, 0 to 1; NaN for what has no area."""
    sampled: Mask
    """Shape (m,): polygons that hold no cell centre, whose mean, min and max are the cell under a point inside."""

    def __getitem__(self, name: str) -> Floats:
        """Return one statistic."""
        return self.values[name]

    def __len__(self) -> int:
        """Return the number of polygons."""
        return len(self.cells)


@dataclass(frozen=True)
class ClassCounts:
    """Cells of each class per polygon."""

    classes: Floats
    """Shape (k,): the classes, as stated."""
    counts: Ints
    """Shape (m, k): cells of each class; a sampled polygon has one."""
    other: Ints
    """Shape (m,): cells inside of no stated class, or without a value."""
    covered: Floats
    """As in `ZonalStatistics`."""
    sampled: Mask
    """As in `ZonalStatistics`."""

    @property
    def shares(self) -> Floats:
        """Shape (m, k): share of each class among the cells of known class; NaN where there is none."""
        total = self.counts.sum(axis=1, keepdims=True)
        return np.where(total > 0, self.counts / np.maximum(total, 1), np.nan)


def zonal_statistics(
    raster: Raster | Cells | str | Path, polygons: ArrayLike | Sequence[Any], statistics: Sequence[str] = ("mean", "max")
) -> ZonalStatistics:
    """Return statistics of the known cells whose centre lies in each polygon.

    Parameters
    ----------
    raster
        In memory, or the path of a GeoTIFF, which is read in strips. Not finite means unknown.
    polygons : shape (m,)
        shapely polygons or multipolygons in the CRS of the raster; None, empty ones and such with coordinates that are not finite
        give NaN.
    statistics
        Names out of `STATISTICS`.

    Raises
    ------
    UsageError
        If a statistic is not known.
    InputError
        If a file cannot be read.

    Examples
    --------
    >>> import shapely
    >>> from cim.crs import parse
    >>> from cim.model.coverages import Raster
    >>> ground = Raster(np.arange(16.0).reshape(4, 4), x_min=0, y_max=4, dx=1, dy=1, crs=parse("EPSG:28992"))
    >>> found = zonal_statistics(ground, [shapely.box(0, 0, 2, 2), shapely.box(3.1, 3.1, 3.2, 3.2)])
    >>> found["mean"], found["max"], found.cells, found.sampled
    (array([10.5,  3. ]), array([13.,  3.]), array([4, 0]), array([False,  True]))
    """
    strange = [name for name in statistics if name not in STATISTICS]
    if strange or not statistics:
        msg = f"statistics={tuple(statistics)!r}; give one or more of {', '.join(STATISTICS)}"
        raise UsageError(msg)
    shapes = _polygonal(polygons)
    with cells_of(raster) as cells:
        return _statistics(cells, shapes, statistics)


def _statistics(cells: Cells, shapes: Shapes, statistics: Sequence[str]) -> ZonalStatistics:
    from cim.loaders.zonal_kernel import add_statistics

    outline, count = _outline(shapes, cells), len(shapes)
    known, unknown = np.zeros(count, np.int64), np.zeros(count, np.int64)
    first, total, squares = np.zeros(count), np.zeros(count), np.zeros(count)
    low, high, spot = np.full(count, np.inf), np.full(count, -np.inf), np.full(count, np.nan)

    def fold(values: NDArray[Any], row: int, column: int, chosen: Ints) -> Mask:
        add_statistics(values, (row, column), chosen, outline.rings, (known, unknown, first, total, squares, low, high))
        return np.asarray(known[chosen] + unknown[chosen] == 0)

    def sample(chosen: Ints, values: NDArray[Any]) -> None:
        spot[chosen] = np.where(np.isfinite(values), values, np.nan)

    sampled = _walk(cells, shapes, outline, fold, sample) & np.isfinite(spot)
    some, n = known > 0, np.maximum(known, 1)
    mean = first + total / n
    variance = np.maximum(squares / n - (total / n) ** 2, 0.0)
    every = {
        "mean": np.where(some, mean, spot),
        "min": np.where(some, low, spot),
        "max": np.where(some, high, spot),
        "sum": np.where(some, first * known + total, np.nan),
        "std": np.where(some, np.sqrt(variance), np.nan),
        "count": known.astype(float),
    }
    return ZonalStatistics({name: every[name] for name in statistics}, known, unknown, _covered(cells, shapes), sampled)


def zonal_classes(raster: Raster | Cells | str | Path, polygons: ArrayLike | Sequence[Any], classes: Sequence[float]) -> ClassCounts:
    """Return how many cells of each class have their centre in each polygon.

    Parameters
    ----------
    raster, polygons
        As in `zonal_statistics`.
    classes : shape (k,)
        Values that are classes; every other value counts as `ClassCounts.other`.

    Raises
    ------
    UsageError
        If no class is stated, or one twice.
    InputError
        If a file cannot be read.
    """
    from cim.loaders.zonal_kernel import add_classes

    stated = np.asarray(classes, float).ravel()
    if not len(stated) or len(np.unique(stated)) != len(stated) or not np.isfinite(stated).all():
        msg = f"classes={stated.tolist()[:10]}; give one or more different finite values"
        raise UsageError(msg)
    shapes = _polygonal(polygons)
    order = np.argsort(stated)

    def numbers(values: NDArray[Any]) -> NDArray[np.int32]:
        at = np.minimum(np.searchsorted(stated[order], values), len(stated) - 1)
        return np.where(stated[order][at] == values, order[at], -1).astype(np.int32)

    with cells_of(raster) as cells:
        outline = _outline(shapes, cells)
        counts = np.zeros((len(shapes), len(stated) + 1), np.int64)

        def fold(values: NDArray[Any], row: int, column: int, chosen: Ints) -> Mask:
            add_classes(numbers(values), (row, column), chosen, outline.rings, counts)
            return np.asarray(counts[chosen].sum(axis=1) == 0)

        def sample(chosen: Ints, values: NDArray[Any]) -> None:
            counts[chosen, numbers(values)] += 1  # -1 is the last column

        sampled = _walk(cells, shapes, outline, fold, sample)
        return ClassCounts(stated, counts[:, :-1], counts[:, -1], _covered(cells, shapes), sampled)


# ---------------------------------------------------------------- outlines


@dataclass(frozen=True)
class _Outline:
    """All rings as flat arrays, in cells from the north-western corner of the grid."""

    rings: tuple[Floats, Floats, Ints, Ints]
    """As `cim.loaders.zonal_kernel` takes them."""
    top: Floats
    """Shape (m,): northern end of each polygon; infinite, as the other ends, for what has no area."""
    bottom: Floats
    left: Floats
    right: Floats


def _polygonal(polygons: ArrayLike | Sequence[Any]) -> Shapes:
    """Return the polygons, None for what has no area or a coordinate that is not finite."""
    import shapely

    shapes: Shapes = np.array(polygons, dtype=object, copy=True).ravel()
    shapes[~np.isin(shapely.get_type_id(shapes), (3, 6)) | shapely.is_empty(shapes)] = None
    place, owner = shapely.get_coordinates(shapes, return_index=True)
    if not np.isfinite(place).all():
        shapes[np.unique(owner[~np.isfinite(place).all(axis=1)])] = None
    return shapes


def _outline(shapes: Shapes, cells: Cells) -> _Outline:
    import shapely

    place, owner = shapely.get_coordinates(shapes, return_index=True)
    bounds = shapely.bounds(shapes)
    x, y = (place[:, 0] - cells.x_min) / cells.dx, (cells.y_max - place[:, 1]) / cells.dy
    return _Outline(
        (x, y, *_rings(shapes, place, owner)),
        np.nan_to_num((cells.y_max - bounds[:, 3]) / cells.dy, nan=np.inf),
        np.nan_to_num((cells.y_max - bounds[:, 1]) / cells.dy, nan=-np.inf),
        np.nan_to_num((bounds[:, 0] - cells.x_min) / cells.dx, nan=np.inf),
        np.nan_to_num((bounds[:, 2] - cells.x_min) / cells.dx, nan=-np.inf),
    )


def _rings(shapes: Shapes, place: Floats, owner: Ints) -> tuple[Ints, Ints]:
    """Return where each ring begins among the coordinates, and which ring is the first of each polygon.

    A polygon whose first corner comes back at its end only is one ring; only the others are taken apart, which is dear.
    """
    import shapely

    count = np.bincount(owner, minlength=len(shapes))
    begin = np.cumsum(count) - count
    same = (place == place[begin[owner]]).all(axis=1)
    single = np.bincount(owner, weights=same, minlength=len(shapes)) == 2
    single[count > 0] &= same[(begin + count - 1)[count > 0]]
    several = np.flatnonzero(~single & (count > 0))
    parts, part_of = shapely.get_parts(shapes[several], return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    polygon = np.concatenate([np.flatnonzero(single), several[part_of[ring_of]]])
    length = np.concatenate([count[single], shapely.get_num_coordinates(rings)])
    starts = np.cumsum(length[np.argsort(polygon, kind="stable")])
    firsts = np.cumsum(np.bincount(polygon, minlength=len(shapes)))
    return np.concatenate([[0], starts]).astype(np.int64), np.concatenate([[0], firsts]).astype(np.int64)


def _walk(
    cells: Cells,
    shapes: Shapes,
    outline: _Outline,
    fold: Callable[[NDArray[Any], int, int, Ints], Mask],
    sample: Callable[[Ints, NDArray[Any]], None],
) -> Mask:
    """Hand every strip to `fold`, which says what has met no cell yet, and the cells of what holds no centre to `sample`.

    Returns
    -------
    shape (m,)
        Polygons that were sampled.
    """
    rows, columns = cells.shape
    inside = (outline.left < columns) & (outline.right > 0) & (outline.top < rows) & (outline.bottom > 0)
    sampled = np.zeros(len(shapes), bool)
    late: list[Ints] = []
    for strip in cells.strips():
        chosen = np.flatnonzero(inside & (outline.top < strip.stop) & (outline.bottom > strip.start))
        if not len(chosen):
            continue
        width = _columns(outline, chosen, columns)
        values = cells.read(strip, width)
        empty = fold(values, strip.start, width.start, chosen)
        ended = chosen[empty & ((outline.bottom[chosen] <= strip.stop) | (strip.stop == rows))]
        found, row, column = _spots(shapes, cells, ended)
        here = row >= strip.start
        sample(found[here], values[row[here] - strip.start, column[here] - width.start])
        sampled[found] = True
        late.append(found[~here])
    _sample_late(cells, shapes, np.concatenate([np.empty(0, np.int64), *late]), sample)
    return sampled


def _columns(outline: _Outline, chosen: Ints, columns: int) -> slice:
    """Return the columns that some polygons reach."""
    first = int(np.clip(np.floor(outline.left[chosen].min()), 0, columns - 1))
    return slice(first, int(np.clip(np.ceil(outline.right[chosen].max()), first + 1, columns)))


def _spots(shapes: Shapes, cells: Cells, chosen: Ints) -> tuple[Ints, Ints, Ints]:
    """Return those polygons that have a point inside on the grid, and the row and column of it."""
    import shapely

    points = shapely.point_on_surface(shapes[chosen])
    row = np.floor((cells.y_max - shapely.get_y(points)) / cells.dy)
    column = np.floor((shapely.get_x(points) - cells.x_min) / cells.dx)
    on = (row >= 0) & (row < cells.shape[0]) & (column >= 0) & (column < cells.shape[1])
    return chosen[on], row[on].astype(np.int64), column[on].astype(np.int64)


def _sample_late(cells: Cells, shapes: Shapes, chosen: Ints, sample: Callable[[Ints, NDArray[Any]], None]) -> None:
    """Sample what ended in a later strip than the one its point lies in; hardly ever anything."""
    found, row, column = _spots(shapes, cells, chosen)
    for strip in cells.strips():
        here = (row >= strip.start) & (row < strip.stop)
        if here.any():
            width = slice(int(column[here].min()), int(column[here].max()) + 1)
            values = cells.read(strip, width)
            sample(found[here], values[row[here] - strip.start, column[here] - width.start])


def _covered(cells: Cells, shapes: Shapes) -> Floats:
    """Return the share of each polygon's area inside the grid; only those across its edge are cut."""
    import shapely

    bounds, (west, south, east, north) = shapely.bounds(shapes), cells.bounds
    there = np.isfinite(bounds).all(axis=1)
    with np.errstate(invalid="ignore"):
        whole = (bounds[:, 0] >= west) & (bounds[:, 1] >= south) & (bounds[:, 2] <= east) & (bounds[:, 3] <= north)
        apart = (bounds[:, 0] >= east) | (bounds[:, 1] >= north) | (bounds[:, 2] <= west) | (bounds[:, 3] <= south)
    covered = np.where(there, whole.astype(float), np.nan)
    cut = np.flatnonzero(there & ~whole & ~apart)
    valid = shapely.make_valid(shapes[cut])
    area = shapely.area(valid)
    kept = shapely.area(shapely.intersection(valid, shapely.box(west, south, east, north)))
    covered[cut] = np.where(area > 0, kept / np.where(area > 0, area, 1.0), 0.0)
    return covered
