"""The pieces of road that a network uses, the cells along them, and the greatest water that may stand on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.results import city_fingerprint
from cim.sim.buildings import read_buildings
from cim.sim.cells import cells_inside
from cim.sim.coupling.decks import Decks, read_decks
from cim.sim.coupling.over_underpasses import read_over
from cim.sim.coupling.passage import Lines, Links, over_deck
from cim.sim.coupling.pieces import RoadPieces, read_pieces
from cim.sim.impact.places import Places, line_places, measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.results import Fields
    from cim.sim.coupling.parameters import RoadParameters
    from cim.sim.impact.parameters import ImpactParameters, VehicleLimits
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Roads"]


@dataclass(frozen=True)
class Roads:
    """The roads of a network and the water that may reach them."""

    network: RoadNetwork
    pieces: RoadPieces
    places: Places
    known: Bools
    """Shape (pairs,): whether the run tells of the water there."""
    lifted: Floats
    """Shape (pairs,): height of a deck over the ground [m]."""
    decks: Decks
    greatest: tuple[Floats, Floats, Floats]
    """Shape (pairs,): greatest depth on the road, velocity and product; NaN where not known."""
    unknown: Floats
    """Shape (pieces,): share of the length that is not known."""
    reason: NDArray[np.object_]
    """Shape (pieces,): why the water of a piece is not assessed."""

    @classmethod
    def of(cls, city: City, network: RoadNetwork, read: Water, limits: ImpactParameters, asked: RoadParameters) -> Roads:
        """Return the roads of a city that a network has links of, under the water of a run."""
        pieces = read_pieces(city, network, read, limits)
        places = line_places(pieces.pieces.shapes, read.place)
        roofs = np.zeros(read.place.values.size, bool)
        roofs[cells_inside(read_buildings(city).footprints, read.place).cell] = True
        opened = np.array([one in read.open_ways for one in pieces.pieces.ids.tolist()], bool)
        covered = places.under(roofs) & ~opened[places.row]
        decks = read_decks(city, pieces.pieces, places, read, pieces.bridge, asked.deck_level)
        preset = np.where([one is None for one in pieces.pieces.reason], places.reason, pieces.pieces.reason)
        preset[[one is not None for one in decks.source]] = None
        over = read_over(city, pieces.pieces, places, read, covered)
        decks = Decks(
            np.where(np.isnan(decks.level), over.level, decks.level), np.where(over.found & ~pieces.bridge, "beside", decks.source)
        )
        preset[over.lost & ~pieces.bridge] = "over_an_underpass"
        places = replace(places, reason=preset)
        found = measure(places, read, limits, covered)
        depth, velocity, product = (places.at(one) for one in (read.depth, read.velocity, read.depth_velocity))
        depth[covered] = np.nan
        lifted = np.maximum(np.nan_to_num(decks.level - places.at(read.ground)), 0.0)
        greatest = _over_decks(depth, velocity, product, lifted)
        return cls(network, pieces, places, ~np.isnan(depth), lifted, decks, greatest, found["unknown"], found["reason"])

    @property
    def deepest(self) -> Floats:
        """Greatest depth on each piece [m], NaN where not assessed."""
        return np.where(self._assessed, self.places.greatest(self.greatest[0]), np.nan)

    @property
    def fastest(self) -> Floats:
        """Greatest velocity on each piece [m/s]."""
        return np.where(self._assessed, self.places.greatest(np.where(self.known, self.greatest[1], np.nan)), np.nan)

    @property
    def deck(self) -> Floats:
        """Lowest level of the deck of each piece [m], NaN where it has none or it is not known."""
        return self.places.least(self.decks.level)

    @property
    def _assessed(self) -> Bools:
        return np.array([one is None for one in self.reason], bool)

    def answer(self, limits: VehicleLimits, share: float) -> NDArray[np.object_]:
        """Return for each piece whether a vehicle can always pass: "yes", "no", or "not_assessed"; the rule of the impact's tables."""
        depth, velocity, product = self.greatest
        with np.errstate(invalid="ignore"):
            over = (depth > limits.depth) | (product > limits.depth_velocity) | (velocity > limits.velocity)
        doubtful = ~over & self.known & (depth > 0) & (np.isnan(velocity) | np.isnan(product))
        count = self.places.count
        stopped = np.bincount(self.places.row, over & self.known, count) > 0
        unsure = (np.bincount(self.places.row, doubtful, count) > 0) | (self.unknown > share) | self.places.beyond
        found = np.where(stopped, "no", np.where(unsure, "not_assessed", "yes"))
        return np.where(self._assessed, found, "not_assessed").astype(object)

    def lines(self) -> tuple[Lines, Ints]:
        """Return the pieces whose water counts, and the cells to read."""
        use = self.known & self._assessed[self.places.row]
        row = self.places.row[use]
        cells, cell = np.unique(self.places.cell[use], return_inverse=True)
        piece, head = np.unique(row, return_index=True)
        return Lines(piece, head, cell, self.places.weight[use], self.lifted[use]), cells

    def links(self, lines: Lines) -> Links:
        """Return what of the network counts."""
        line_of = np.full(self.places.count + 1, -1, np.int64)
        line_of[lines.piece] = np.arange(len(lines.piece))
        length, time = self.network.column("length"), self.network.column("free_flow_time")
        with np.errstate(divide="ignore", invalid="ignore"):
            free = np.where((time > 0) & (length > 0), length / time, np.inf)
        inside = np.append([one == "in_a_tunnel" for one in self.reason], False).astype(bool)
        return Links(line_of[self.pieces.of_link], free, ~inside[self.pieces.of_link])

    def notes(self, city: City, water: Fields) -> list[str]:
        """Return what was taken for granted."""
        said, made_on = [], water.run.inputs.get("city")
        if made_on is not None and made_on != city_fingerprint(city):
            said.append("the water was simulated on another city than this one: roads and water may not fit together")
        for name, words in (("stated", "stated by the model"), ("model", "read from the upper faces of the bridge"),
                            ("terrain", "taken from the terrain, which lies above the ground of the run")):  # fmt: skip
            count = int((self.decks.source == name).sum())
            if count:
                said.append(f"{count:,} pieces of road on bridges: the level of the deck is {words}; water below it does not count")
        count = int((self.decks.source == "beside").sum())
        if count:
            said.append(f"{count:,} pieces of road lead over an underpass: they lie on the straight line between the ground on both sides")
        return said


def _over_decks(depth: Floats, velocity: Floats, product: Floats, lifted: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the water that stands on a road whose deck is lifted over the ground; elsewhere what it was."""
    up = lifted > 0
    above = np.where(up, over_deck(depth, lifted), depth)
    fast = np.where(up & (above == 0), 0.0, velocity)
    return above, fast, np.where(up, np.fmin(product, fast * above), product)
