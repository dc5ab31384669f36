"""Roads over an underpass: the run has the ground of the cut, the road lies on the straight line between its two sides.

A model marks one of the two ways that cross: where the lower one is in a tunnel, the upper one says nothing. Without this the water in the
cut would close the road over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.crossings import read_underpasses
from cim.sim.flood.decks import RAISED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.places import Places
    from cim.sim.impact.roads import Pieces
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Over", "read_over"]

_REACH = 3
"""Cells beyond the cut, and beyond as far again as it is wide, in which the ground on its two sides is looked for: the highest is taken."""


@dataclass(frozen=True)
class Over:
    """The pieces of road that lead over an underpass."""

    level: Floats
    """Of each pair of piece and cell: elevation of the road over the cut [m], NaN elsewhere."""
    found: Bools
    """Shape (pieces,): over an underpass, with ground known on both sides."""
    lost: Bools
    """Shape (pieces,): over an underpass, without."""


def read_over(city: City, pieces: Pieces, places: Places, water: Water, covered: Bools) -> Over:
    """Return where pieces of road lead over an underpass whose ground the run has (its `open_ways`).

    Parameters
    ----------
    covered : shape (pairs,)
        Pairs whose cell tells nothing, such as one under a roof.
    """
    import shapely

    level, count = np.full(len(places.row), np.nan), len(pieces.ids)
    found, lost = np.zeros(count, bool), np.zeros(count, bool)
    upper = np.array([shape is not None and one not in water.open_ways for one, shape in zip(pieces.ids, pieces.shapes, strict=True)], bool)
    if not water.open_ways or not upper.any():
        return Over(level, found, lost)
    box = tuple(shapely.total_bounds(pieces.shapes[upper]).tolist())
    under, _ = read_underpasses(city, box, levels=False)
    under = under.take(np.array([one in water.open_ways for one in under.ids.tolist()], bool))
    rows = np.flatnonzero(upper)
    which, piece = shapely.STRtree(pieces.shapes[rows]).query(under.shapes, predicate="crosses")
    for below, row in zip(which.tolist(), rows[piece].tolist(), strict=True):  # underpasses are few
        width = under.width[below] if np.isfinite(under.width[below]) else 0.0
        area = shapely.buffer(under.shapes[below], width / 2, cap_style="flat") if width else under.shapes[below]
        at = np.flatnonzero((places.row == row) & (places.cell >= 0) & ~covered)
        done = _bridged(level, at, pieces.shapes[row], area, places, water)
        found[row], lost[row] = found[row] or done, lost[row] or not done
    return Over(level, found & ~lost, lost)


def _bridged(level: Floats, at: Ints, line: Any, area: Any, places: Places, water: Water) -> bool:
    """Fill in the level of a road over a cut from the highest ground on both sides; return whether there is any."""
    import shapely

    ends = shapely.line_locate_point(line, shapely.points(shapely.get_coordinates(shapely.intersection(line, area))))
    if not len(ends) or not len(at):
        return False
    length = np.cumsum(places.weight[at])
    distance, ground = length - places.weight[at] / 2, water.ground[places.cell[at]]
    low, high = float(ends.min()), float(ends.max())
    reach = high - low + _REACH * water.reach
    sides = [(distance >= low - reach) & (distance <= low), (distance >= high) & (distance <= high + reach)]
    best = [np.flatnonzero(side & ~np.isnan(ground)) for side in sides]
    if not all(map(len, best)):
        return False
    left, right = (int(one[np.argmax(ground[one])]) for one in best)
    inside = np.arange(left, right + 1)
    straight = np.interp(distance[inside], distance[[left, right]], ground[[left, right]])
    deep = straight - ground[inside] > RAISED  # nearer to the line the ground is the road, hollow or not
    level[at[inside[deep]]] = np.fmax(level[at[inside[deep]]], straight[deep])
    return True
