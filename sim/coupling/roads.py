"""The pieces of road that a network uses, and the water on each as the impact knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.results import city_fingerprint
from cim.sim.buildings import read_buildings
from cim.sim.coupling.passage import Lines, Links
from cim.sim.coupling.pieces import RoadPieces, read_pieces
from cim.sim.impact.places import roof_cells
from cim.sim.impact.road_water import RoadWater

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.results import Fields
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Roads"]


@dataclass(frozen=True)
class Roads:
    """The roads of a network and the water that may reach them."""

    network: RoadNetwork
    pieces: RoadPieces
    water: RoadWater
    """Of the pieces."""

    @classmethod
    def of(cls, city: City, network: RoadNetwork, read: Water, limits: ImpactParameters) -> Roads:
        """Return the roads of a city that a network has links of, under the water of a run."""
        pieces = read_pieces(city, network, read, limits)
        roofs = roof_cells(read_buildings(city).footprints, read.place)
        return cls(network, pieces, RoadWater.of(city, pieces.pieces, read, limits, roofs))

    @property
    def deepest(self) -> Floats:
        """Greatest depth on each piece [m], NaN where not assessed."""
        found: Floats = self.water.columns["depth_max"]
        return found

    @property
    def fastest(self) -> Floats:
        """Greatest velocity on each piece [m/s]."""
        found: Floats = self.water.columns["velocity_max"]
        return found

    def lines(self) -> tuple[Lines, Ints]:
        """Return the pieces whose water counts, and the cells to read."""
        places = self.water.places
        use = self.water.known & self.water.assessed[places.row]
        cells, cell = np.unique(places.cell[use], return_inverse=True)
        piece, head = np.unique(places.row[use], return_index=True)
        return Lines(piece, head, cell, places.weight[use], self.water.lifted[use]), cells

    def links(self, lines: Lines) -> Links:
        """Return what of the network counts."""
        line_of = np.full(self.water.places.count + 1, -1, np.int64)
        line_of[lines.piece] = np.arange(len(lines.piece))
        length, time = self.network.column("length"), self.network.column("free_flow_time")
        with np.errstate(divide="ignore", invalid="ignore"):
            free = np.where((time > 0) & (length > 0), length / time, np.inf)
        inside = np.append([one == "in_a_tunnel" for one in self.water.reason], False).astype(bool)
        return Links(line_of[self.pieces.of_link], free, ~inside[self.pieces.of_link])

    def notes(self, city: City, water: Fields) -> list[str]:
        """Return what was taken for granted."""
        made_on = water.run.inputs.get("city")
        other = ["the water was simulated on another city than this one: roads and water may not fit together"]
        return [*(other if made_on is not None and made_on != city_fingerprint(city) else []), *self.water.decks.notes()]
