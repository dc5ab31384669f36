"""Which triangles of a reality mesh are ground, vegetation or building: by height above a terrain, slope and colour, then by neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cim.model.coverages import Raster

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["LABELS", "FaceLabels", "bare_earth", "label_faces"]

LABELS = ("ground", "vegetation", "building")

# Chosen on the southern half of one labelled tile (Helsinki 3D, 1,973 faces), judged on the northern one; docs/validation has the figures.
_GROUND_HEIGHT, _HEIGHT_SPREAD = 1.0, 0.5  # m above the terrain where ground and building are as likely, and how fast that changes
_FLAT, _SLOPE_WEIGHT = 0.3, 4.0  # vertical part of the normal of ground, and its weight
_GREEN, _GREEN_SPREAD = 0.08, 0.01  # excess green, (2G - R - B) / (R + G + B), of vegetation, and how fast that changes
_LOW_PLANTS, _NEIGHBOURS, _ROUNDS = 1.5, 3.0, 8  # m; weight of neighbours; rounds of listening to them
_CERTAIN = 6.0  # most that one sign counts
_BLIND = 0.6  # most confidence in a building without colour: what stands up could be a tree as well
_TEMPERATURE = 3.0  # neighbours repeat each other: beliefs are this much less sure than their sum says
_CELL, _WINDOW, _RISE, _SLOPE = 0.5, 18.0, 0.3, 0.15  # m, m, m, 1: the opening that finds the ground
_MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class FaceLabels:
    """A label for every triangle."""

    label: Ints
    """Shape (m,): place in `LABELS`."""
    confidence: Reals
    """Shape (m,): share of belief in it, 1/3 to 1; on the tile it was judged on, about the share of faces that are right. No more than
    0.6 for a building without colour, which a tree could be as well."""
    height: Reals
    """Shape (m,): centre above the terrain [m]."""
    blind: NDArray[np.bool_]
    """Shape (m,): no colour is known, so that vegetation cannot be told."""


def label_faces(
    points: ArrayLike,
    triangles: ArrayLike,
    colours: ArrayLike | None = None,
    *,
    terrain: Raster | None = None,
    origin: ArrayLike = (0.0, 0.0, 0.0),
) -> FaceLabels:
    """Return what each triangle most likely is.

    Parameters
    ----------
    points : shape (n, 3)
        Vertices, east, north, up [m].
    triangles : shape (m, 3)
        Rows of `points`; the outside is where the corners run anticlockwise.
    colours : shape (m, 3)
        Red, green and blue of each triangle, any scale; NaN where unknown. Without colour nothing is called vegetation.
    terrain
        Bare ground; made from the mesh itself by a morphological opening (Zhang et al. 2003) when left out, which takes wide flat roofs
        (beyond 36 m) for ground.
    origin
        What to add to `points` to meet the coordinates of `terrain`.

    Examples
    --------
    >>> square = [[0, 0, 0], [30, 0, 0], [30, 30, 0], [0, 30, 0], [10, 10, 8], [12, 10, 8], [12, 12, 8]]
    >>> found = label_faces(square, [[0, 1, 2], [0, 2, 3], [4, 5, 6]])
    >>> [LABELS[number] for number in found.label]
    ['ground', 'ground', 'building']
    """
    vertices, corners = np.asarray(points, float), np.asarray(triangles, np.int64).reshape(-1, 3)
    if not len(corners):
        return FaceLabels(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0, bool))
    place = vertices[corners]
    cross = np.cross(place[:, 1] - place[:, 0], place[:, 2] - place[:, 0])
    size = np.linalg.norm(cross, axis=1)
    normal = np.divide(cross, size[:, None], out=np.zeros_like(cross), where=size[:, None] > 0)
    centre = place.mean(axis=1)
    ground = (
        terrain.sample(*(centre + np.asarray(origin))[:, :2].T) - np.asarray(origin)[2]
        if terrain is not None
        else np.full(len(centre), np.nan)
    )
    if np.isnan(ground).any():
        own = bare_earth(vertices, corners)
        ground = np.where(np.isnan(ground), own(centre), ground)
    height = centre[:, 2] - ground
    green = _excess_green(colours, len(corners))
    score = np.stack([
        np.clip(-(np.maximum(height, 0) - _GROUND_HEIGHT) / _HEIGHT_SPREAD + (normal[:, 2] - _FLAT) * _SLOPE_WEIGHT, -_CERTAIN, _CERTAIN),
        np.where(np.isnan(green), -_CERTAIN, np.clip((np.nan_to_num(green) - _GREEN) / _GREEN_SPREAD + np.clip(height - _LOW_PLANTS, -2, 1),
                                                     -_CERTAIN, _CERTAIN)),
        np.zeros(len(corners)),
    ], axis=1)  # fmt: skip
    final = _smoothed(score, vertices, corners, normal, green)
    label, sure, blind = final.argmax(axis=1), _shares(final / _TEMPERATURE).max(axis=1), np.isnan(green)
    doubtful = blind & (label == LABELS.index("building"))
    return FaceLabels(label, np.where(doubtful, np.minimum(sure, _BLIND), sure), height, blind)


def _excess_green(colours: ArrayLike | None, count: int) -> Reals:
    """Return (2G - R - B) / (R + G + B), NaN without colour (Woebbecke et al. 1995)."""
    if colours is None:
        return np.full(count, np.nan)
    rgb = np.asarray(colours, float)
    total = rgb.sum(axis=1)
    index: Reals = np.divide(2 * rgb[:, 1] - rgb[:, 0] - rgb[:, 2], total, out=np.where(np.isnan(total), np.nan, 0.0), where=total > 0)
    return index


def _smoothed(score: Reals, points: Reals, corners: Ints, normal: Reals, green: Reals) -> Reals:
    """Return scores after faces have listened to their neighbours: more over long edges, between faces alike in direction and colour."""
    first, second, length = _neighbours(points, corners)
    bend = np.einsum("ij,ij->i", normal[first], normal[second])
    tint = np.abs(np.nan_to_num(green)[first] - np.nan_to_num(green)[second])
    weight = length * np.exp(3 * (bend - 1) - 10 * tint)
    total = np.bincount(first, weight, len(score)) + np.bincount(second, weight, len(score))
    final = score
    for _ in range(_ROUNDS):
        belief = _shares(final)
        heard = np.zeros_like(score)
        for label in range(len(LABELS)):
            heard[:, label] = np.bincount(first, weight * belief[second, label], len(score))
            heard[:, label] += np.bincount(second, weight * belief[first, label], len(score))
        final = score + _NEIGHBOURS * heard / np.maximum(total, 1e-12)[:, None]
    return final


def _shares(score: Reals) -> Reals:
    raised = np.exp(score - score.max(axis=1, keepdims=True))
    shares: Reals = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _neighbours(points: Reals, corners: Ints) -> tuple[Ints, Ints, Reals]:
    """Return pairs of faces that share an edge, and its length [m]."""
    edge = np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1)
    face = np.tile(np.arange(len(corners)), 3)
    order = np.lexsort((edge[:, 1], edge[:, 0]))
    same = np.flatnonzero((np.diff(edge[order], axis=0) == 0).all(axis=1))
    left, right = order[same], order[same + 1]
    return face[left], face[right], np.linalg.norm(points[edge[left, 0]] - points[edge[left, 1]], axis=1)


# ---------------------------------------------------------------- the ground under a mesh


@dataclass(frozen=True)
class _Grid:
    low: Reals
    cell: float
    height: Reals

    def __call__(self, place: Reals) -> Reals:
        """Return the ground under points [m]."""
        at = np.clip(((place[:, :2] - self.low) / self.cell).astype(np.int64), 0, np.array(self.height.shape) - 1)
        found: Reals = self.height[at[:, 0], at[:, 1]]
        return found


def bare_earth(points: Reals, corners: Ints) -> _Grid:
    """Return the ground of a mesh: its lowest surface, without what stands up from it by more than openings of growing width allow."""
    from scipy import ndimage

    extent = np.ptp(points[corners.reshape(-1), :2], axis=0)
    cell = max(_CELL, float(np.sqrt(np.prod(np.maximum(extent, _CELL)) / _MOST_CELLS)))
    low = points[corners.reshape(-1), :2].min(axis=0)
    shape = ((extent / cell).astype(np.int64) + 1).tolist()
    height = np.full(shape, np.inf)
    for sample in _samples(points, corners, cell):
        at = np.minimum(((sample[:, :2] - low) / cell).astype(np.int64), np.array(shape) - 1)
        np.minimum.at(height, (at[:, 0], at[:, 1]), sample[:, 2])
    height = _filled(height, np.isfinite(height))
    bare, surface = np.ones(height.shape, bool), height
    for reach in np.unique(np.geomspace(1, max(_WINDOW / cell, 1), 16).astype(np.int64)).tolist():
        opened = ndimage.grey_opening(surface, size=(2 * reach + 1, 2 * reach + 1))
        bare &= surface - opened <= _RISE + _SLOPE * cell * reach
        surface = opened
    ground = _filled(height, bare) if bare.any() else np.full(height.shape, height.min())
    return _Grid(low, cell, ndimage.gaussian_filter(ground, 1.0 / cell))


def _filled(values: Reals, known: NDArray[np.bool_]) -> Reals:
    """Return a grid whose unknown cells have the value of the nearest known one."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    found: Reals = values[tuple(nearest)]
    return found


def _samples(points: Reals, corners: Ints, step: float) -> list[Reals]:
    """Return points on the triangles no further apart than about `step`, so that every cell they cover is met."""
    place = points[corners]
    longest = np.max([np.linalg.norm(place[:, side] - place[:, side - 1], axis=1) for side in range(3)], axis=0)
    parts = np.clip(np.ceil(longest / step), 1, 200).astype(np.int64)
    found = []
    for count in np.unique(parts).tolist():
        share = np.array([[i, j, count - i - j] for i in range(count + 1) for j in range(count + 1 - i)], float) / count
        found.append(np.einsum("kb,nbd->nkd", share, place[parts == count]).reshape(-1, 3))
    return found
