"""The kernel of polygon matching: the area that two polygons share, without cutting either.

A polygon is the signed sum of the strips between its edges and a level below it. The product of two such sums, integrated, is the sum
over all pairs of edges of the area under the lower of the two: closed formula, no intersection points, and coincident edges - the rule
where two layers show the same buildings - are no special case. Cost is the product of the numbers of edges.
"""

# mypy: allow-untyped-decorators

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["add_shared_areas"]


@njit(cache=True, inline="always")
def _under_lower(left: float, right: float, a0: float, a1: float, b0: float, b1: float) -> float:
    """Area under the lower of two segments that run from x = left to x = right with these heights at the ends."""
    d0, d1 = a0 - b0, a1 - b1
    width = right - left
    if d0 * d1 >= 0.0:
        return 0.5 * width * (a0 + a1) if d0 + d1 <= 0.0 else 0.5 * width * (b0 + b1)
    t = d0 / (d0 - d1)
    c = a0 + t * (a1 - a0)
    return 0.5 * width * (t * (min(a0, b0) + c) + (1.0 - t) * (c + min(a1, b1)))


@njit(cache=True)
def add_shared_areas(a: Ints, b: Ints, edges_a: Floats, start_a: Ints, edges_b: Floats, start_b: Ints, out: Floats) -> Floats:
    """Write the area that each pair of polygons shares.

    ``edges``: rows (x of the left end, y there, x of the right end, y there, sign), where the sign is +1 for edges with the inside
    below and -1 for those with the inside above; ``start``: first edge of each polygon and the end of the last.
    """
    for pair in range(len(a)):
        first, last = start_a[a[pair]], start_a[a[pair] + 1]
        begin, end = start_b[b[pair]], start_b[b[pair] + 1]
        if first == last or begin == end:
            out[pair] = 0.0
            continue
        x0, y0 = edges_a[first, 0], edges_a[first, 1]
        for i in range(first, last):
            y0 = min(y0, edges_a[i, 1], edges_a[i, 3])
        for j in range(begin, end):
            y0 = min(y0, edges_b[j, 1], edges_b[j, 3])
        total = 0.0
        for i in range(first, last):
            xa0, ya0, xa1, ya1 = edges_a[i, 0] - x0, edges_a[i, 1] - y0, edges_a[i, 2] - x0, edges_a[i, 3] - y0
            slope_a = (ya1 - ya0) / (xa1 - xa0)
            for j in range(begin, end):
                xb0, xb1 = edges_b[j, 0] - x0, edges_b[j, 2] - x0
                left, right = max(xa0, xb0), min(xa1, xb1)
                if left >= right:
                    continue
                yb0 = edges_b[j, 1] - y0
                slope_b = (edges_b[j, 3] - y0 - yb0) / (xb1 - xb0)
                area = _under_lower(
                    left, right, ya0 + slope_a * (left - xa0), ya0 + slope_a * (right - xa0),
                    yb0 + slope_b * (left - xb0), yb0 + slope_b * (right - xb0),
                )  # fmt: skip
                total += edges_a[i, 4] * edges_b[j, 4] * area
        out[pair] = max(total, 0.0)
    return out
