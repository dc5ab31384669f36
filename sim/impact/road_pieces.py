"""Roads and their links as pieces: where each lies, and why its water may not be that on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.link_lines import link_lines
from cim.sim.impact.road_crossings import ON_A_BRIDGE, crossing_reasons, opened_ways

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.link_lines import LinkLines
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["MISSING_LINE", "Pieces", "link_pieces", "read_links", "read_roads"]

MISSING_LINE = "missing_line"
_TYPES = ("Road", "Railway")
_LINES = (1, 5)
_AREAS = (3, 6)


@dataclass(frozen=True)
class Pieces:
    """Roads, or the links of roads, as columns."""

    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    reason: NDArray[np.object_]
    """Why a piece cannot be assessed by the water on the ground, None where it can."""
    place: NDArray[np.object_]
    """Which link of its road a piece is: number, first and last node."""
    length: Floats
    """Length of the link [m]: as its network states it, else of its line."""
    opened: Bools
    """Whether the run has its ground, although something stands on it."""

    @property
    def on_bridge(self) -> Bools:
        """Which pieces are on a bridge."""
        return np.asarray(self.reason == ON_A_BRIDGE, bool)

    @property
    def area(self) -> Bools:
        """Which pieces are areas, not lines."""
        return self._is(_AREAS)

    @property
    def line(self) -> Bools:
        """Which pieces are lines."""
        return self._is(_LINES)

    def _is(self, kinds: tuple[int, ...]) -> Bools:
        import shapely

        return np.isin(shapely.get_type_id(self.shapes), kinds) if len(self.ids) else np.zeros(0, bool)

    def take(self, rows: Bools | Ints) -> Pieces:
        """Return some of them."""
        return Pieces(self.ids[rows], self.shapes[rows], self.reason[rows], self.place[rows], self.length[rows], self.opened[rows])


def read_roads(city: City, water: Water, limits: ImpactParameters) -> tuple[Ints, Pieces]:
    """Return the keys of all roads, and the roads as pieces."""
    keys = np.sort(np.concatenate([np.empty(0, np.int64), *(city.keys(type) for type in _TYPES if type in city.types())]))
    shapes = city.footprints(keys) if len(keys) else np.empty(0, object)
    ids = np.asarray(city.ids(keys), object) if len(keys) else np.empty(0, object)
    reason = crossing_reasons(city, keys, water, limits)
    roads = Pieces(ids, shapes, reason, np.full(len(keys), "", object), np.full(len(keys), np.nan), opened_ways(ids, water))
    reason[~roads.line & ~roads.area] = "missing_footprint"
    return keys, roads


def link_pieces(city: City, found: LinkLines, rows: Ints, water: Water, limits: ImpactParameters) -> Pieces:
    """Return some links of a city as pieces: on a bridge or in a tunnel where their road or they themselves say so.

    Parameters
    ----------
    rows : shape (n,)
        Of `found`.
    """
    owner = found.object[rows]
    keys, at = np.unique(owner, return_inverse=True)
    ids = np.asarray(city.ids(keys), object)[at] if len(keys) else np.empty(0, object)
    reason = crossing_reasons(city, owner, water, limits, found.row[rows])
    reason[found.missing[rows]] = MISSING_LINE
    ends = [["?" if one is None else one for one in side[rows].tolist()] for side in (found.from_node, found.to_node)]
    place = np.array([f"{start} - {end}" for start, end in zip(*ends, strict=True)], object)
    return Pieces(ids, found.lines[rows], reason, place, found.length[rows], opened_ways(ids, water))


def read_links(city: City, keys: Ints, roads: Pieces, water: Water, limits: ImpactParameters) -> tuple[Pieces, Ints]:
    """Return the links of roads, in the order of the roads, and whose they are; a road that is a line and has no links is one piece.

    Parameters
    ----------
    keys, roads
        As `read_roads` returns them.
    """
    line, found = roads.line, link_lines(city, None)
    row = np.minimum(np.searchsorted(keys, found.object), max(len(keys) - 1, 0))
    mine = np.flatnonzero((keys[row] == found.object) & (line[row] | ~found.missing)) if len(keys) else np.empty(0, np.int64)
    mine = mine[np.argsort(row[mine], kind="stable")]
    owner = row[mine]
    links = link_pieces(city, found, mine, water, limits)
    number = np.arange(len(owner)) - np.searchsorted(owner, owner) + 1
    place = [f"{at}: {ends}" for at, ends in zip(number.tolist(), links.place.tolist(), strict=True)]
    bare = np.flatnonzero(line & (np.bincount(owner, minlength=len(keys)) == 0))
    alone, every = roads.take(bare), np.concatenate([owner, bare])
    order = np.argsort(every, kind="stable")
    whole: list[Any] = [np.concatenate(pair)[order] for pair in (
        (links.ids, alone.ids), (links.shapes, alone.shapes), (links.reason, alone.reason),
        (np.array([*place, *["1"] * len(bare)], object), np.empty(0, object)), (links.length, alone.length), (links.opened, alone.opened),
    )]  # fmt: skip
    return Pieces(*whole), every[order]
