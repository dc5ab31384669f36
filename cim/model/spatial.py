"""Order and boxes: the Hilbert curve that keeps neighbours together on disk, and bounding boxes as Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.schema import BBOX

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["bbox_column", "hilbert_order", "polygons_only"]

_LEVEL = 16  # bits per axis: 1.5 m steps over 100 km, fine enough to order objects


def hilbert_order(x: ArrayLike, y: ArrayLike) -> NDArray[np.uint32]:
    """Return the place of each point on a Hilbert curve over their common box; points without coordinates come last.

    Parameters
    ----------
    x, y : shape (n,)
        Any unit; NaN where unknown.

    Examples
    --------
    >>> np.argsort(hilbert_order([0, 1, 0, 1], [0, 0, 1, 1])).tolist()
    [0, 2, 3, 1]
    """
    points = np.stack([np.asarray(x, float), np.asarray(y, float)])
    known = np.isfinite(points).all(axis=0)
    code = np.full(points.shape[1], np.iinfo(np.uint32).max, np.uint32)
    if known.any():
        inside = points[:, known]
        low, high = inside.min(axis=1, keepdims=True), inside.max(axis=1, keepdims=True)
        span = np.where(high > low, high - low, 1.0)
        cell = ((inside - low) / span * (2**_LEVEL - 1)).astype(np.uint32)
        code[known] = _distance(cell[0], cell[1])
    return code


def _distance(x: NDArray[np.uint32], y: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the distance along the curve, the rotation done for all points at each of the 16 steps."""
    x, y = x.copy(), y.copy()
    distance = np.zeros_like(x)
    for step in range(_LEVEL - 1, -1, -1):
        side = np.uint32(1 << step)
        right, up = (x & side) > 0, (y & side) > 0
        distance += (side * side * ((3 * right) ^ up)).astype(np.uint32)
        mirror = right & ~up
        x[mirror], y[mirror] = ~x[mirror] & (2 * side - 1), ~y[mirror] & (2 * side - 1)
        swap = ~up
        x[swap], y[swap] = y[swap], x[swap]
    return distance


def bbox_column(low: ArrayLike, high: ArrayLike) -> pa.Array:
    """Return the Arrow column of bounding boxes; NaN becomes null.

    Parameters
    ----------
    low, high : shape (n, 3)
        Corners [m]; the third column is NaN for what has no height.
    """
    corners = np.concatenate([np.asarray(low, float), np.asarray(high, float)], axis=1)
    children = [pa.array(corners[:, column], from_pandas=True) for column in range(6)]
    nothing = pa.array(~np.isfinite(corners[:, 0]))
    return pa.StructArray.from_arrays(children, fields=list(BBOX), mask=nothing)


def polygons_only(shapes: NDArray[Any]) -> NDArray[Any]:
    """Return polygons and multipolygons as they are and None for every other geometry, shape (n,)."""
    import shapely

    kept = shapes.copy()
    kept[~np.isin(shapely.get_type_id(shapes), (3, 6))] = None
    return kept
