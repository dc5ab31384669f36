"""What water stands on a road: the one owner of that question, whoever asks for closures, exposure or speeds.

The water of a piece of road is that of the cells its line crosses, but for cells under a roof, which tell nothing. On a bridge, and over an
underpass whose ground the run has, the road lies on a deck: only water above it counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.impact.decks import Decks, read_decks
from cim.sim.impact.over_underpasses import read_over
from cim.sim.impact.places import PairWater, Places, line_places, measured
from cim.sim.impact.water import DIGITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.parameters import ImpactParameters, VehicleLimits
    from cim.sim.impact.road_pieces import Pieces
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["RoadWater", "over_deck"]


def over_deck(depth: Floats, velocity: Floats, product: Floats, lifted: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the water on decks from that on the ground: depth [m], to the micrometre, velocity [m/s] and their product [m²/s].

    Parameters
    ----------
    lifted
        How high the decks lie over the ground [m].
    """
    above = np.maximum((depth - lifted).round(DIGITS), 0.0)
    fast = np.where(above == 0, 0.0, velocity)
    return above, fast, np.fmin(product, fast * above)


@dataclass(frozen=True)
class RoadWater:
    """The greatest water on pieces of road; pairs are of pieces and the cells along them."""

    pieces: Pieces
    places: Places
    on_road: PairWater
    """Of each pair; not a number where it is not known. When a deck got wet, and how long it was, is not known."""
    lifted: Floats
    """Shape (pairs,): height of a deck over the ground [m], 0 where the road is on it."""
    decks: Decks
    columns: dict[str, Any]
    """What `cim.sim.impact.places.measured` says of each piece."""

    @classmethod
    def of(cls, city: City, pieces: Pieces, water: Water, limits: ImpactParameters, roofs: Bools) -> RoadWater:
        """Return the greatest water of a run on pieces of road that are lines.

        Parameters
        ----------
        roofs : shape (ny * nx,)
            Cells under roofs.
        """
        places = line_places(pieces.shapes, water.place)
        covered = places.under(roofs) & ~pieces.opened[places.row]
        decks = read_decks(city, pieces, places, water, limits.deck_level)
        preset = np.where([one is None for one in pieces.reason], places.reason, pieces.reason)
        preset[[one is not None for one in decks.source]] = None
        over = read_over(city, pieces, places, water, covered)
        source = np.where(over.found & ~pieces.on_bridge, "beside", decks.source)
        decks = Decks(np.where(np.isnan(decks.level), over.level, decks.level), source)
        preset[over.lost & ~pieces.on_bridge] = "over_an_underpass"
        lifted = np.maximum(np.nan_to_num(decks.level - places.at(water.ground)), 0.0)
        return cls.at(pieces, replace(places, reason=preset), water, limits, covered, lifted, decks)

    @classmethod
    def at(
        cls, pieces: Pieces, places: Places, water: Water, limits: ImpactParameters, covered: Bools, lifted: Floats | None = None,
        decks: Decks | None = None,
    ) -> RoadWater:  # fmt: skip
        """Return the greatest water on pieces of which cells and decks are known already."""
        up = np.zeros(len(places.row)) if lifted is None else lifted
        none = Decks(np.full(len(places.row), np.nan), np.full(places.count, None, object))
        found = _on_decks(PairWater.of(places, water, covered), up)
        columns = measured(places, found, water, limits)
        return cls(pieces, places, found, up, none if decks is None else decks, columns)

    @property
    def reason(self) -> Texts:
        """Shape (pieces,): why a piece is not assessed."""
        found: Texts = self.columns["reason"]
        return found

    @cached_property
    def assessed(self) -> Bools:
        """Shape (pieces,)."""
        return np.array([one is None for one in self.reason], bool)

    @property
    def known(self) -> Bools:
        """Shape (pairs,): whether the run tells of the water there."""
        return ~np.isnan(self.on_road.depth)

    @property
    def deck(self) -> Floats:
        """Lowest level of the deck of each piece [m], NaN where it has none or it is not known."""
        return self.places.least(self.decks.level)

    def answer(self, limits: VehicleLimits, share: float) -> Texts:
        """Return for each piece whether a vehicle can always pass: "yes", "no" or "not_assessed".

        One known cell above one limit is enough for no; every cell must be known for yes.

        Parameters
        ----------
        share
            Of a piece that may be unknown while it counts as passable.
        """
        depth, velocity, product = self.on_road.depth, self.on_road.velocity, self.on_road.depth_velocity
        with np.errstate(invalid="ignore"):
            over = (depth > limits.depth) | (product > limits.depth_velocity) | (velocity > limits.velocity)
            doubtful = ~over & (depth > 0) & (np.isnan(velocity) | np.isnan(product))
        count = self.places.count
        stopped = np.bincount(self.places.row, over, count) > 0
        unsure = (np.bincount(self.places.row, doubtful, count) > 0) | (self.columns["unknown"] > share) | self.places.beyond
        found = np.where(stopped, "no", np.where(unsure, "not_assessed", "yes"))
        return np.where(self.assessed, found, "not_assessed").astype(object)


def _on_decks(found: PairWater, lifted: Floats) -> PairWater:
    """Return the water that stands on a road whose deck is lifted over the ground; elsewhere what it was."""
    up = np.flatnonzero(lifted > 0)
    if not len(up):
        return found
    here = found.take(up)
    depth, velocity, product = over_deck(here.depth, here.velocity, here.depth_velocity, lifted[up])
    hazard = np.fmin(here.hazard, depth * (velocity + 0.5))
    lost = np.full(len(up), np.nan)
    parts = depth, velocity, product, hazard, lost, np.where(depth == 0, 0.0, np.nan)
    whole = found.take(np.arange(len(lifted)))
    for name, values in zip(PairWater.__dataclass_fields__, parts, strict=True):
        getattr(whole, name)[up] = values
    return whole
