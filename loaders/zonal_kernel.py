"""The kernels of zonal statistics: polygons are cut into runs of cells row by row, and the cells of each run are added up.

A cell belongs to a polygon when its centre lies inside by the even-odd rule. Coordinates count cells: x eastwards from the western
edge of the grid, y southwards from its northern edge, so that the centre of cell (row, column) is (column + 0.5, row + 0.5).
Edges are crossed in one direction whatever way they are drawn, and runs are closed on the western and open on the eastern side:
a centre on a border that two polygons share belongs to exactly one of them.

``rings`` is always (x, y, start of each ring, first ring of each polygon); ``window`` is (first row, first column).
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Rings = tuple[Floats, Floats, Ints, Ints]
    State = tuple[Ints, Ints, Floats, Floats, Floats, Floats, Floats]

__all__ = ["add_classes", "add_statistics"]

MOST_CROSSINGS = 4_000_000
"""Crossings of one polygon that are held at a time: 32 MB; a polygon with more is done in bands of rows."""


@njit(cache=True, inline="always")
def _centres(low: float, high: float, first: int, last: int) -> tuple[int, int]:
    """Return the cells whose centre lies in [low, high), cut to [first, last)."""
    start = np.ceil(min(max(low, first - 1.0), last + 1.0) - 0.5)
    stop = np.ceil(min(max(high, first - 1.0), last + 1.0) - 0.5)
    return max(int(start), first), min(int(stop), last)


@njit(cache=True)
def _count(rings: Rings, p: int, top: int, bottom: int, start: Ints) -> None:
    """Write where the crossings of each row of [top, bottom) will begin, and the end of the last."""
    _, y, ring_start, polygon_start = rings
    start[: bottom - top + 1] = 0
    for ring in range(polygon_start[p], polygon_start[p + 1]):
        for i in range(ring_start[ring], ring_start[ring + 1] - 1):
            a, b = _centres(min(y[i], y[i + 1]), max(y[i], y[i + 1]), top, bottom)
            for row in range(a, b):
                start[row - top + 1] += 1
    for row in range(bottom - top):
        start[row + 1] += start[row]


@njit(cache=True)
def _fill(rings: Rings, p: int, top: int, bottom: int, start: Ints, crossings: Floats) -> None:
    """Write the columns where each row crosses the rings, sorted per row."""
    x, y, ring_start, polygon_start = rings
    for ring in range(polygon_start[p], polygon_start[p + 1]):
        for i in range(ring_start[ring], ring_start[ring + 1] - 1):
            x1, y1, x2, y2 = x[i], y[i], x[i + 1], y[i + 1]
            if y1 > y2:  # the same numbers for both sides of a shared border
                x1, y1, x2, y2 = x2, y2, x1, y1
            a, b = _centres(y1, y2, top, bottom)
            for row in range(a, b):
                crossings[start[row - top]] = x1 + (row + 0.5 - y1) * ((x2 - x1) / (y2 - y1))
                start[row - top] += 1
    for row in range(bottom - top, 0, -1):
        start[row] = start[row - 1]
    start[0] = 0
    for row in range(bottom - top):
        _sort(crossings, start[row], start[row + 1])


@njit(cache=True)
def _sort(values: Floats, start: int, stop: int) -> None:
    """Sort a part of an array in place; most have two values."""
    if stop - start > 64:
        values[start:stop] = np.sort(values[start:stop])
        return
    for i in range(start + 1, stop):
        value = values[i]
        j = i - 1
        while j >= start and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value


@njit(cache=True)
def _extent(rings: Rings, p: int, first: int, last: int) -> tuple[int, int, int]:
    """Return the rows [top, bottom) of a polygon, cut to [first, last), and how many of them are done at a time."""
    _, y, ring_start, polygon_start = rings
    if polygon_start[p] == polygon_start[p + 1]:
        return first, first, 1
    begin, end = ring_start[polygon_start[p]], ring_start[polygon_start[p + 1]]
    lowest, highest = np.inf, -np.inf
    for i in range(begin, end):
        lowest, highest = min(lowest, y[i]), max(highest, y[i])
    top, bottom = _centres(lowest, highest, first, last)
    return top, bottom, max(1, MOST_CROSSINGS // max(end - begin, 1))


@njit(cache=True, inline="always")
def _add_run(values: Any, row: int, left: int, right: int, state: State, p: int) -> None:
    """Add the cells [left, right) of a row to a polygon."""
    cells, unknown, first, total, squares, low, high = state
    for column in range(left, right):
        value = np.float64(values[row, column])
        if not np.isfinite(value):
            unknown[p] += 1
            continue
        if cells[p] == 0:
            first[p] = value
        cells[p] += 1
        difference = value - first[p]
        total[p] += difference
        squares[p] += difference * difference
        low[p], high[p] = min(low[p], value), max(high[p], value)


@njit(cache=True)
def add_statistics(values: Any, window: tuple[int, int], chosen: Ints, rings: Rings, state: State) -> None:
    """Add the cells of one window, shape (rows, columns), to what is known of the chosen polygons.

    `state` holds per polygon: cells with a value, cells without, the first value met, the sum and the sum of squares of the
    differences from it (so that a large mean costs no digits), the lowest and the highest value.
    """
    height, width = values.shape
    row0, column0 = window
    crossings, start = np.empty(1024, np.float64), np.empty(height + 2, np.int64)
    for p in chosen:
        top, bottom, step = _extent(rings, p, row0, row0 + height)
        for upper in range(top, bottom, step):
            lower = min(upper + step, bottom)
            _count(rings, p, upper, lower, start)
            if start[lower - upper] > crossings.size:
                crossings = np.empty(2 * start[lower - upper], np.float64)
            _fill(rings, p, upper, lower, start, crossings)
            for row in range(upper, lower):
                for k in range(start[row - upper], start[row - upper + 1] - 1, 2):
                    left, right = _centres(crossings[k], crossings[k + 1], column0, column0 + width)
                    _add_run(values, row - row0, left - column0, right - column0, state, p)


@njit(cache=True)
def add_classes(classes: NDArray[np.int32], window: tuple[int, int], chosen: Ints, rings: Rings, counts: Ints) -> None:
    """Add the cells of one window to the counts of the chosen polygons, shape (polygons, classes + 1).

    `classes` holds the number of each cell's class; -1, unknown, is counted in the last column.
    """
    height, width = classes.shape
    row0, column0 = window
    crossings, start = np.empty(1024, np.float64), np.empty(height + 2, np.int64)
    last = counts.shape[1] - 1
    for p in chosen:
        top, bottom, step = _extent(rings, p, row0, row0 + height)
        for upper in range(top, bottom, step):
            lower = min(upper + step, bottom)
            _count(rings, p, upper, lower, start)
            if start[lower - upper] > crossings.size:
                crossings = np.empty(2 * start[lower - upper], np.float64)
            _fill(rings, p, upper, lower, start, crossings)
            for row in range(upper, lower):
                for k in range(start[row - upper], start[row - upper + 1] - 1, 2):
                    left, right = _centres(crossings[k], crossings[k + 1], column0, column0 + width)
                    for column in range(left - column0, right - column0):
                        number = classes[row - row0, column]
                        counts[p, number if 0 <= number < last else last] += 1
