"""How the discharge of an inflow is divided along its boundary: by conveyance below the water level, so that dry banks get nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.kernels import GRAVITY, PAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Split", "critical_level", "lay_split"]

_LEVELS = 512
"""Levels at which the critical discharge is known beforehand."""
_SMOOTH = 1e-3
"""Least Manning's n that is reckoned with [s/m^(1/3)]: ground without friction would take all."""
_FLAT = 1e-9
"""Ground is level when it differs by no more than this [m]."""


@dataclass(frozen=True)
class Split:
    """The division of one inflow; a boundary round a corner has one for each side, with the same cells.

    Notes
    -----
    The level is the lowest at which the discharge can pass, that of critical flow: sum of sqrt(g) h^(3/2) dx over the cells below it;
    where the water of the lowest cell stands higher, that. Each cell takes a share of h^(5/3) / n (Manning). The shares add up to one.
    """

    rows: Ints
    """Of all cells of the boundary, in the padded arrays of the solver."""
    columns: Ints
    ground: Floats
    """Of these cells, above the lowest of them [m]."""
    roughness: Floats
    """Manning's n of these cells [s/m^(1/3)]."""
    width: float
    """Of a cell [m]."""
    first: int
    """Which of the cells are those of this side."""
    last: int
    levels: Floats
    """Above the lowest ground, rising [m]."""
    discharges: Floats
    """Critical discharge at these levels [m³/s]."""

    def unit_discharges(self, depth: NDArray[Any], discharge: float) -> Floats:
        """Return what enters through each cell of this side [m²/s].

        Parameters
        ----------
        depth
            Of the water, the padded array of the solver [m].
        discharge
            Of the whole boundary [m³/s].
        """
        if not discharge > 0:
            return np.zeros(self.last - self.first)
        lowest = self.ground == 0.0
        level = float(np.interp(discharge, self.discharges, self.levels))
        level = max(level, float(depth[self.rows[lowest], self.columns[lowest]].max()))
        conveyance = np.maximum(level - self.ground, 0.0) ** (5.0 / 3.0) / self.roughness
        total = float(conveyance.sum())
        if not total > 0:  # a discharge so small that it has no depth
            conveyance, total = lowest.astype(np.float64), float(lowest.sum())
        return np.asarray(discharge / self.width * (conveyance[self.first : self.last] / total), np.float64)


def critical_level(ground: Floats, discharge: float, width: float) -> float:
    """Return the level of critical flow above the lowest ground [m]: the lowest at which a discharge passes.

    Parameters
    ----------
    ground : shape (n,)
        Of the cells, above the lowest of them [m].
    discharge
        [m³/s]
    width
        Of a cell [m].

    Examples
    --------
    >>> round(critical_level(np.zeros(10), 10.0, 1.0), 4)  # (q² / g)^(1/3)
    0.4671
    """
    low, high = 0.0, (discharge / width / np.sqrt(GRAVITY)) ** (2.0 / 3.0)  # the lowest cell alone passes it at this depth
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _critical(ground, middle, width) < discharge else (low, middle)
    return float(high)


def _critical(ground: Floats, level: float, width: float) -> float:
    return float((np.maximum(level - ground, 0.0) ** 1.5).sum() * np.sqrt(GRAVITY) * width)


def lay_split(
    places: Sequence[tuple[Ints, Ints]], ground: Floats, roughness: float | Floats, width: float, most: float
) -> list[Split] | None:  # fmt: skip
    """Return the division of an inflow by side; None where all cells are alike and take the same.

    Parameters
    ----------
    places
        Rows and columns of the cells, by side.
    ground : shape (ny, nx)
        [m]
    roughness : scalar or shape (ny, nx)
        Manning's n [s/m^(1/3)].
    width
        Of a cell [m].
    most
        Largest discharge of the run [m³/s].
    """
    rows, columns = (np.concatenate([one[axis] for one in places]).astype(np.int64) for axis in (0, 1))
    own = ground[rows, columns] - ground[rows, columns].min()
    rough = np.maximum(np.broadcast_to(roughness, ground.shape)[rows, columns].astype(np.float64), _SMOOTH)
    if not most > 0 or (own.max() <= _FLAT and np.ptp(rough) == 0.0):
        return None
    levels = critical_level(own, most, width) * np.linspace(0.0, 1.0, _LEVELS) ** 2
    discharges = np.array([_critical(own, level, width) for level in levels.tolist()])
    ends = np.cumsum([0, *(len(one[0]) for one in places)])
    return [
        Split(rows + PAD, columns + PAD, own, rough, width, int(first), int(last), levels, discharges) for first, last in pairwise(ends)
    ]
