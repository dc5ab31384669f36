"""Roads over an underpass: the run has the ground of the cut, the road lies on the straight line between its two sides.

A model marks one of the two ways that cross: where the lower one is in a tunnel, the upper one says nothing. Without this the water in the
cut would close the road over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.cells import cells_inside
from cim.sim.flood.crossings import Crossings, read_underpasses
from cim.sim.flood.decks import RAISED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.places import Places
    from cim.sim.impact.road_pieces import Pieces
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Over", "cut_cells", "read_over"]

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
    rows = np.flatnonzero(~np.asarray(shapely.is_missing(pieces.shapes), bool) & ~pieces.opened)
    if not water.open_ways or not len(rows):
        return Over(level, found, lost)
    under = _opened_underpasses(city, pieces.shapes[rows], water)
    which, piece = shapely.STRtree(pieces.shapes[rows]).query(under.shapes, predicate="crosses")
    for below, row in zip(which.tolist(), rows[piece].tolist(), strict=True):  # underpasses are few
        area = _area(under, below, 0.0)
        at = np.flatnonzero((places.row == row) & (places.cell >= 0) & ~covered)
        done = _bridged(level, at, pieces.shapes[row], area, places, water)
        found[row], lost[row] = found[row] or done, lost[row] or not done
    return Over(level, found & ~lost, lost)


def cut_cells(city: City, shapes: NDArray[np.object_], water: Water) -> Bools:
    """Return the cells that lie in underpasses whose ground the run has, shape (ny * nx,), where areas of roads lie over them.

    An area that lies over a cut, or in it, says nothing of which: its cells there tell nothing of the water on it.
    """
    inside = np.zeros(water.place.values.size, bool)
    if water.open_ways and len(shapes):
        under = _opened_underpasses(city, shapes, water)
        areas = np.array([_area(under, at, water.reach) for at in range(len(under))], object)
        inside[cells_inside(areas, water.place).cell] = True
    return inside


def _opened_underpasses(city: City, shapes: NDArray[np.object_], water: Water) -> Crossings:
    """Return the underpasses around shapes whose ground the run has."""
    import shapely

    under, _ = read_underpasses(city, tuple(shapely.total_bounds(shapes).tolist()), levels=False)
    return under.take(np.array([one in water.open_ways for one in under.ids.tolist()], bool))


def _area(under: Crossings, row: int, beside: float) -> Any:
    """Return the area of an underpass, so much wider on either side."""
    import shapely

    half = (under.width[row] / 2 if np.isfinite(under.width[row]) else 0.0) + beside
    return shapely.buffer(under.shapes[row], half, cap_style="flat") if half else under.shapes[row]


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
