"""Connected static inundation on plain arrays: which cells a still water surface reaches from its source, and which nobody can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["DRY", "UNCERTAIN", "UNKNOWN_GROUND", "WET", "Missing", "Reached", "flood"]

DRY, WET, UNKNOWN_GROUND, UNCERTAIN = 0, 1, 2, 3
Missing = Literal["unknown", "wall"]


@dataclass(frozen=True)
class Reached:
    """What a still water surface at one level reaches."""

    state: NDArray[np.uint8]
    """Shape (ny, nx): `DRY`, `WET`, `UNKNOWN_GROUND`, or `UNCERTAIN` (low enough, but connected only through unknown ground)."""
    depth: Floats
    """Shape (ny, nx) [m]: 0 where dry, NaN where nobody can tell."""
    unconnected: int
    """Cells not above the level that stay dry because nothing leads to them."""


def flood(ground: Floats, level: float, source: Bools, *, connectivity: int = 4, missing: Missing = "unknown") -> Reached:
    """Return the cells that water at a level reaches from its source.

    Parameters
    ----------
    ground : shape (ny, nx)
        Elevation [m]; NaN where unknown, which is never wet.
    level
        Elevation of the water surface [m], in the height system of `ground`.
    source : shape (ny, nx)
        Cells from which water comes; one above the level gives none.
    connectivity
        4: water passes between cells that share an edge; 8: also across corners.
    missing
        ``"unknown"``: a cell that only unknown ground connects is uncertain. ``"wall"``: unknown ground lets no water through.

    Notes
    -----
    A cell is wet when its ground is not above the level and a chain of such cells leads to the source; ground exactly at the level is
    wet with depth 0, and lets water through.

    Examples
    --------
    >>> ground = np.array([[1.0, 5.0, 1.0]])
    >>> flood(ground, 4.0, np.array([[True, False, False]])).depth
    array([[3., 0., 0.]])
    >>> flood(ground, 5.0, np.array([[True, False, False]])).depth
    array([[4., 0., 4.]])
    """
    known = np.isfinite(ground)
    low = known & (ground <= level)
    wet = _connected(low, source, connectivity)
    maybe = np.zeros_like(low) if missing == "wall" else _connected(low | ~known, source, connectivity) & low & ~wet
    state = np.full(ground.shape, DRY, np.uint8)
    state[wet], state[~known], state[maybe] = WET, UNKNOWN_GROUND, UNCERTAIN
    depth = np.where(wet, level - ground, 0.0)
    depth[~known | maybe] = np.nan
    return Reached(state, depth, int((low & ~wet & ~maybe).sum()))


def _connected(passable: Bools, source: Bools, connectivity: int) -> Bools:
    """Return the passable cells that a chain of passable cells connects to the source."""
    from scipy.ndimage import label

    labels, count = label(passable, structure=np.ones((3, 3), bool) if connectivity == 8 else None)
    reached = np.zeros(count + 1, bool)
    reached[labels[source & passable]] = True
    reached[0] = False
    return np.asarray(reached[labels], bool)
