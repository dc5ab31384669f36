"""Which piece of which road of the city each link of a traffic network is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.link_lines import LinkLines, link_lines
from cim.sim.impact.road_pieces import Pieces, link_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Ints = NDArray[np.int64]

__all__ = ["RoadPieces", "read_pieces"]


@dataclass(frozen=True)
class RoadPieces:
    """The pieces of roads that a network uses, and which of them each of its links is."""

    pieces: Pieces
    """One row per link of the city, whichever directions the network has of it."""
    of_link: Ints
    """Shape (links of the network,): its piece, -1 where it is none of the city's."""
    reason: NDArray[np.object_]
    """Shape (links of the network,): why a link is no piece, None where it is one."""


def read_pieces(city: City, network: RoadNetwork, water: Water, limits: ImpactParameters) -> RoadPieces:
    """Return the pieces of the roads of a city that a network has links of.

    A link of the network is a link of the city when object and nodes agree; where a road has several between the same nodes, in their
    order, and when the network has not all of those, none can be told from the others: `ambiguous_link`.
    """
    found = link_lines(city, "road")
    row, reason = _matched(city, network, found)
    used, place = np.unique(row[row >= 0], return_inverse=True)
    of_link = np.full(len(row), -1, np.int64)
    of_link[row >= 0] = place
    return RoadPieces(link_pieces(city, found, used, water, limits), of_link, reason)


def _matched(city: City, network: RoadNetwork, found: LinkLines) -> tuple[Ints, NDArray[np.object_]]:
    """Return for each link of the network its row in `found`, -1 with a reason where it has none."""
    owner, place = np.unique(found.object, return_inverse=True)
    ids = np.asarray(city.ids(owner), object)[place] if len(owner) else np.empty(0, object)
    way = np.array(city.tables["links"]["direction"].take(pa.array(found.row)).to_pylist(), object)
    rows = np.concatenate([np.flatnonzero(way != "backward"), np.flatnonzero(way != "forward")])
    back = np.arange(len(rows)) >= (way != "backward").sum()
    order = np.lexsort((back, rows))
    rows, back = rows[order], back[order]
    tail, head = np.where(back, found.to_node[rows], found.from_node[rows]), np.where(back, found.from_node[rows], found.to_node[rows])
    theirs = _keys(ids[rows], tail, head)
    nodes = network.nodes["id"]
    ours = _keys(network.links["object"], *(nodes.take(network.links[end]) for end in ("from_node", "to_node")))
    code = pc.dictionary_encode(pa.chunked_array([theirs, ours])).combine_chunks().indices.to_numpy(zero_copy_only=False)
    known, asked = code[: len(theirs)], code[len(theirs) :]
    size = int(code.max(initial=-1)) + 1
    supply, demand = np.bincount(known, minlength=size), np.bincount(asked, minlength=size)
    by_code = np.argsort(known, kind="stable")
    first = np.concatenate([[0], np.cumsum(supply)])[:-1] if size else np.zeros(0, np.int64)
    at = _occurrence(asked)
    missing, unclear = supply[asked] == 0, (supply[asked] > 1) & (supply[asked] != demand[asked])
    good = ~missing & ~unclear & (at < supply[asked])
    row = np.full(len(asked), -1, np.int64)
    row[good] = rows[by_code[first[asked[good]] + at[good]]]
    reason = np.full(len(asked), None, object)
    reason[~good] = "ambiguous_link"
    reason[missing] = "not_in_city"
    return row, reason


def _keys(*parts: Any) -> pa.Array:
    """Return one text of object and nodes."""
    columns = [pc.fill_null(one if isinstance(one, pa.Array | pa.ChunkedArray) else pa.array(list(one), pa.string()), "?") for one in parts]
    plain = [one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in columns]
    return pc.binary_join_element_wise(*plain, "\x1f")


def _occurrence(code: Ints) -> Ints:
    """Return how often each code occurred before."""
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    count = np.empty(len(code), np.int64)
    count[order] = np.arange(len(code)) - np.searchsorted(ordered, ordered)
    return count
