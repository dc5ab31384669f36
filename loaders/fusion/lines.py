"""Lines that are the same thing: by how much of each runs along the other, near enough and in the same direction.

Both lines are cut into short steps. A step is covered by the nearest line of the other side that lies abeam of it, within a distance,
and runs in the same direction to within an angle: a crossing covers nothing, and of two carriageways the nearer one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.fusion.overlap import Links, group_links
from cim.loaders.fusion.pairs import Pairs, nothing, together

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.fusion.pairs import Ints, Reals, Side

__all__ = ["match_lines"]

ANGLE = np.radians(30.0)
"""Lines that differ more in direction [rad] do not run along each other."""
MOST = 2_000_000
"""Steps of one side at most; longer networks are cut into longer steps."""
FINEST = 0.5
"""Steps are not shorter than this [m]."""


def match_lines(left: Side, right: Side, within: float, minimum: float) -> Pairs:
    """Match lines of one class.

    Parameters
    ----------
    left, right
        Sides; shapes that are no lines match nothing.
    within
        Greatest sideways distance [m].
    minimum
        Least length in common over length together of a pair or a group, 0 to 1.
    """
    import shapely

    size_a, size_b = (np.nan_to_num(shapely.length(side.shapes)) for side in (left, right))
    step = max(FINEST, within / 4, float(max(size_a.sum(), size_b.sum())) / MOST)
    first, second = _steps(left.shapes, step), _steps(right.shapes, step)
    if not len(first[0]) or not len(second[0]):
        return nothing()
    forth, back = _covered(first, second, within, step), _covered(second, first, within, step)
    pair = np.concatenate([forth[:, :2], back[:, 1::-1]]).astype(np.int64)
    length = np.concatenate([forth[:, 2], back[:, 2]])
    code, place = np.unique(pair[:, 0] * len(right) + pair[:, 1], return_inverse=True)
    shared = np.bincount(place, length, len(code)) / 2  # the mean of what either side says
    a, b = code // len(right), code % len(right)
    shared = np.minimum(shared, np.minimum(size_a[a], size_b[b]))
    links = Links(a, b, shared, size_a, size_b)
    links = links.take(np.flatnonzero(together(left, right, a, b) & (links.share >= minimum / 2)))
    return group_links(links, left, right, minimum, "along each other", "m")


def _steps(shapes: NDArray[Any], step: float) -> tuple[NDArray[np.float64], NDArray[np.float64], Ints, Reals]:
    """Return middle (n, 2), unit direction (n, 2), row and length [m] of steps of about equal length along all lines."""
    import shapely

    parts, row = shapely.get_parts(shapes, return_index=True)
    xy, part = shapely.get_coordinates(shapely.segmentize(parts, step), return_index=True)
    same = part[1:] == part[:-1]
    way = np.diff(xy, axis=0)[same]
    length = np.hypot(way[:, 0], way[:, 1])
    real = length > 0
    middle = ((xy[1:] + xy[:-1]) / 2)[same][real]
    owner = np.asarray(row, np.int64)[part[1:][same][real]]
    return middle, way[real] / length[real, None], owner, length[real]


def _covered(steps: Any, others: Any, within: float, step: float) -> NDArray[np.float64]:
    """Return (row, row of the other, length [m]) of what the nearest other line abeam covers, shape (p, 3)."""
    from scipy.spatial import KDTree

    middle, way, row, length = steps
    there, other_way, other_row, other_length = others
    tree = KDTree(there)
    reach = float(np.hypot(within, step))
    near, far = np.full(len(middle), -1, np.int64), np.full(len(middle), np.inf)
    count = tree.query_ball_point(middle, reach, return_length=True)
    batch = np.cumsum(count) // MOST
    for number in range(int(batch[-1]) + 1):  # batches of a few million pairs, not objects
        some = np.flatnonzero((batch == number) & (count > 0))
        found = tree.query_ball_point(middle[some], reach, return_sorted=False)
        i = np.repeat(some, count[some])
        j = np.concatenate([np.asarray(one, np.int64) for one in found]) if len(some) else np.empty(0, np.int64)
        gap = there[j] - middle[i]
        along = np.abs((gap * way[i]).sum(axis=1))
        sideways = np.abs(gap[:, 0] * way[i, 1] - gap[:, 1] * way[i, 0])
        parallel = np.abs((way[i] * other_way[j]).sum(axis=1)) >= np.cos(ANGLE)
        good = np.flatnonzero(parallel & (sideways <= within) & (along <= (length[i] + other_length[j]) / 2 + 1e-9))
        good = good[np.lexsort((sideways[good], i[good]))]
        own, at = np.unique(i[good], return_index=True)
        near[own], far[own] = other_row[j[good[at]]], sideways[good[at]]
    hit = near >= 0
    pair, place = np.unique(np.stack([row[hit], near[hit]], axis=1), axis=0, return_inverse=True)
    return np.column_stack([pair, np.bincount(place.ravel(), length[hit], len(pair))]) if len(pair) else np.empty((0, 3))
