"""What a camera frames: the city, not the longest river of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.layer import Layer

    Reals = NDArray[np.float64]

__all__ = ["hull_of", "points_of"]

_MIDDLE = ("buildings", "constructions", "mesh")  # layers that decide what the city is
_SHARE = 0.35  # of the ground plan that they must cover for everything to be framed
_MARGIN = 0.14  # of their extent, kept around them otherwise
_EDGE = 0.02  # of the extent, kept around everything where there is no terrain
_SAMPLE = 5000  # points of a layer that are asked


def hull_of(layers: Sequence[Layer]) -> Reals:
    """Return the corners of the convex hull of what is visible, shape (n, 3) [m].

    On a terrain, where buildings fill only a small part of the extent, what lies far from them is left out: it runs off the
    picture. Without one everything is framed, with a small margin: nothing behind it would show that it goes on.
    """
    shown = [layer for layer in layers if layer.visible and len(layer.points)]
    if not shown:
        return np.empty((0, 3))
    cloud = np.concatenate([_sample(layer) for layer in shown])
    if not any(layer.name in {"terrain", "imagery"} for layer in shown):
        return _with_margin(_hull(cloud))
    middle = [_sample(layer) for layer in shown if layer.name in _MIDDLE]
    if middle:
        low, high = _extent(np.concatenate(middle))
        whole_low, whole_high = _extent(cloud)
        if np.prod(high - low) < _SHARE * np.prod(whole_high - whole_low):
            low, high = low - _MARGIN * (high - low).max(), high + _MARGIN * (high - low).max()
            cloud = cloud[((cloud[:, :2] >= low) & (cloud[:, :2] <= high)).all(axis=1)]
    return _hull(cloud)


def _with_margin(corners: Reals) -> Reals:
    """Return corners pushed outwards in the plane."""
    low, high = _extent(corners)
    wider = corners.copy()
    wider[:, :2] += (corners[:, :2] - (low + high) / 2) * 2 * _EDGE
    return wider


def _sample(layer: Layer) -> Reals:
    """Return some points of a layer and always the extreme ones, in 32 directions and in height."""
    points = layer.points
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    reach = points[:, :2] @ np.array([np.cos(turn), np.sin(turn)])
    extreme = np.unique(np.concatenate([reach.argmax(axis=0), [points[:, 2].argmin(), points[:, 2].argmax()]]))
    return np.concatenate([points[:: max(1, len(points) // _SAMPLE)], points[extreme]])


def _extent(points: Reals) -> tuple[Reals, Reals]:
    return points[:, :2].min(axis=0), points[:, :2].max(axis=0)


def _hull(cloud: Reals) -> Reals:
    from scipy.spatial import ConvexHull, QhullError

    try:
        return np.asarray(cloud[ConvexHull(cloud).vertices], float)
    except (QhullError, ValueError):  # all in one plane, or fewer than four points
        low, high = cloud.min(axis=0), cloud.max(axis=0)
        return np.array(np.meshgrid(*np.stack([low, high], axis=1))).reshape(3, -1).T


def points_of(layers: Sequence[Layer], ids: Sequence[str]) -> Reals:
    """Return the vertices of some objects, shape (n, 3) [m].

    Raises
    ------
    ObjectNotFoundError
        If none of them is drawn.
    """
    wanted = np.array(list(ids), object)
    found = []
    for layer in layers:
        rows = np.flatnonzero(np.isin(layer.ids, wanted)) if len(layer.ids) else np.empty(0, np.int64)
        found.append(layer.points[np.isin(layer.point_object, rows)])
    points = np.concatenate(found) if found else np.empty((0, 3))
    if not len(points):
        msg = f"none of the objects {', '.join(map(str, wanted[:5]))} is drawn in this scene"
        raise ObjectNotFoundError(msg)
    margin = np.array([[-10.0, -10.0, 0.0], [10.0, 10.0, 0.0]])
    return np.concatenate([points, points.min(axis=0)[None] + margin, points.max(axis=0)[None] + margin])
