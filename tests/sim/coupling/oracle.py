"""The state of one link, reckoned slowly: every cell as a square, every piece of the line by intersection, every interval by itself."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import shapely

__all__ = ["slow_state"]


def pieces_of(line: Any, shape: tuple[int, int], dx: float) -> list[tuple[int, int, float]]:
    """Return row, column and length of the way in each cell of a grid whose lower left corner is the origin."""
    ny, nx = shape
    found = []
    for row in range(ny):
        for column in range(nx):
            square = shapely.box(column * dx, (ny - 1 - row) * dx, (column + 1) * dx, (ny - row) * dx)
            length = line.intersection(square).length
            if length > 1e-9:
                found.append((row, column, length))
    return found


def speed_at(depth: float, free: float, film: float) -> float:
    if depth <= 0 or depth < film:
        return free
    w = min(depth, 0.3) * 1000
    return min(free, (0.0009 * w**2 - 0.5529 * w + 86.9448) / 3.6)


def slow_state(
    line: Any, series: np.ndarray, dx: float, free: float, limit: float, film: float = 0.01
) -> list[tuple[float, float, float | None, bool]]:  # fmt: skip
    """Return depth, mean depth, speed (None: free) and closure by depth in each interval."""
    pieces = pieces_of(line, series.shape[1:], dx)
    total = sum(length for _, _, length in pieces)
    states = []
    for before, after in pairwise(series):
        water = [(float(max(before[row, column], after[row, column])), length) for row, column, length in pieces]
        time = sum(length / speed_at(depth, free, film) for depth, length in water)
        slowed = any(speed_at(depth, free, film) < free for depth, _ in water)
        deepest = max(depth for depth, _ in water)
        states.append((deepest, sum(d * length for d, length in water) / total, total / time if slowed else None, deepest > limit))
    return states
