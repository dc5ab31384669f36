"""Where the links of a road network lie, and which place on them an object is entered from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.link_lines import link_lines
from cim.sim.impact.places import reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.road_network import RoadNetwork

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Sites", "Ways", "attach", "ways_of"]


@dataclass(frozen=True)
class Ways:
    """Pieces of road, each with the links that run along it: one per direction."""

    lines: NDArray[np.object_]
    """Shapely lines in the system of the network, shape (w,); None where nobody says where the road lies."""
    forward: Ints
    """Row of the link that runs along the line, -1 without."""
    backward: Ints
    """Row of the link that runs against it, -1 without."""
    main: Bools
    """Whether a way belongs to the part of the network within which one gets from everywhere to everywhere, if most of it is one part; else
    all do."""
    straight: int
    """Links that are drawn straight from node to node, because no line is known."""


@dataclass(frozen=True)
class Sites:
    """Objects at their places on the network, one row each."""

    way: Ints
    """Row in `Ways`; -1 for an object that is not attached."""
    share: Floats
    """How far along the line of the way, 0 at its beginning, 1 at its end."""
    access: Floats
    """Distance from the object to the road [m]; not a number where there is no road or no object."""
    reason: NDArray[np.object_]
    """Why an object is not attached; None where it is."""
    aside: int = 0
    """Objects for which a nearer road was passed over, because it does not belong to the main part of the network."""

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.way)

    def links(self, ways: Ways) -> tuple[Ints, Ints]:
        """Return the link along and the link against the way of every site, -1 where there is none."""
        there = self.way >= 0
        row = np.where(there, self.way, 0)
        none = np.full(len(self), -1, np.int64)
        if not len(ways.lines):
            return none, none
        return np.where(there, ways.forward[row], -1), np.where(there, ways.backward[row], -1)

    def link_ids(self, ways: Ways, network: RoadNetwork) -> NDArray[np.object_]:
        """Return the id of the link along the way of every site, of the one against it where there is only that; None where it has none."""
        forward, backward = self.links(ways)
        row = np.where(forward >= 0, forward, backward)
        found = np.full(len(self), None, object)
        found[row >= 0] = network.links["id"].take(pa.array(row[row >= 0])).to_pylist()
        return found


def ways_of(network: RoadNetwork, city: City | None = None, *, families: tuple[str, ...] = ("road",)) -> Ways:
    """Return where the links of a network lie: on the lines of the city they came from, else straight between their nodes.

    Parameters
    ----------
    city
        The city whose road objects the links name; their ids are ``object:from>to``.
    families
        Networks of the city's table `links` in which the lines are looked for.
    """
    size = network.links.num_rows
    row, back, lines = _stated_lines(network, city, families)
    rest = np.flatnonzero(row < 0)
    own, own_back = _paired(network, rest)
    row[rest], back[rest] = np.where(own >= 0, own + len(lines), -1), own_back
    drawn = np.concatenate([lines, _straight_lines(network, rest, own, own_back)])
    sides = np.full((2, len(drawn)), -1, np.int64)
    known = np.flatnonzero(row >= 0)
    sides[back[known].astype(int), row[known]] = known
    used = (sides >= 0).any(axis=0)
    straight = int((own >= 0).sum()) if size else 0
    drawn[~used] = None
    return Ways(drawn, sides[0], sides[1], _main(network, sides), straight)


def _main(network: RoadNetwork, sides: Ints) -> Bools:
    """Return which ways have a link in the largest part of the network that is strongly connected, if that holds most of the links."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tail, head, nodes = network.column("from_node"), network.column("to_node"), network.nodes.num_rows
    every = np.ones(sides.shape[1], bool)
    if not len(tail):
        return every
    part = connected_components(coo_array((np.ones(len(tail)), (tail, head)), shape=(nodes, nodes)), connection="strong")[1]
    within = np.where(part[tail] == part[head], part[tail], -1)
    inside = within == np.bincount(within[within >= 0], minlength=1).argmax()
    if 2 * inside.sum() <= len(tail):
        return every
    return np.asarray((inside[sides] & (sides >= 0)).any(axis=0), bool)


def _stated_lines(network: RoadNetwork, city: City | None, families: tuple[str, ...]) -> tuple[Ints, Bools, NDArray[np.object_]]:
    """Return the line of each link, whether it runs against it, and the lines of the city's links; -1 where there is none."""
    import shapely

    size = network.links.num_rows
    row, back = np.full(size, -1, np.int64), np.zeros(size, bool)
    if city is None:
        return row, back, np.empty(0, object)
    found = [link_lines(city, name) for name in families]
    lines = np.concatenate([one.lines for one in found])
    owner = city.ids(np.concatenate([one.object for one in found]))
    begin, end = (np.concatenate([getattr(one, side) for one in found]).tolist() for side in ("from_node", "to_node"))
    names = [[f"{who}:{a}>{b}", f"{who}:{b}>{a}"] for who, a, b in zip(owner, begin, end, strict=True)]
    place: dict[str, tuple[int, bool]] = {}
    seen: Counter[str] = Counter()
    for at, pair in enumerate(names):
        for against, name in enumerate(pair):
            seen[name] += 1
            place.setdefault(name if seen[name] == 1 else f"{name}#{seen[name]}", (at, bool(against)))
    there = [place.get(name, (-1, False)) for name in network.links["id"].to_pylist()]
    row[:], back[:] = [one for one, _ in there], [one for _, one in there]
    if len(lines):
        row[shapely.is_missing(lines)[row] & (row >= 0)] = -1
    return row, back, lines


def _paired(network: RoadNetwork, links: Ints) -> tuple[Ints, Bools]:
    """Return one number per pair of opposite links of the same object, and which of the two runs from the higher to the lower node.

    A link whose nodes have no place has the number -1.
    """
    tail, head = network.column("from_node")[links], network.column("to_node")[links]
    x, y = (network.nodes[name].to_numpy(zero_copy_only=False).astype(float) for name in ("x", "y"))
    placed = np.isfinite(x + y)[tail] & np.isfinite(x + y)[head] if len(links) else np.zeros(0, bool)
    owner = network.links["object"].combine_chunks().dictionary_encode(null_encoding="encode")
    who = np.asarray((owner.combine_chunks() if isinstance(owner, pa.ChunkedArray) else owner).indices.to_numpy(), np.int64)[links]
    low, high, back = np.minimum(tail, head), np.maximum(tail, head), tail > head
    order = np.lexsort((back, who, high, low))
    number = np.full(len(links), -1, np.int64)
    if len(links):
        key = np.stack([low, high, who, back])[:, order]
        first = np.concatenate([[True], (key[:, 1:] != key[:, :-1]).any(axis=0)])
        start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        twin = np.zeros(len(links), np.int64)
        twin[order] = np.arange(len(order)) - start
        number = np.unique(np.stack([low, high, who, twin]), axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64)
    number[~placed] = -1
    return number, back


def _straight_lines(network: RoadNetwork, links: Ints, number: Ints, back: Bools) -> NDArray[np.object_]:
    """Return one straight line per number, from the lower to the higher node."""
    import shapely

    count = int(number.max(initial=-1)) + 1
    made = np.full(count, None, object)
    known = np.flatnonzero(number >= 0)
    if not len(known):
        return made
    x, y = (network.nodes[name].to_numpy(zero_copy_only=False).astype(float) for name in ("x", "y"))
    ends = np.stack([network.column("from_node"), network.column("to_node")])[:, links[known]]
    ends = np.where(back[known], ends[::-1], ends)
    points = np.stack([x[ends], y[ends]], axis=-1).transpose(1, 0, 2)
    made[number[known]] = shapely.linestrings(points)
    return made


def attach(shapes: NDArray[Any], ways: Ways, *, reach: float, factor: float = 1.0) -> Sites:
    """Return the place on the nearest way of each shape, whatever is closed there.

    Parameters
    ----------
    shapes : shape (n,)
        Shapely shapes of objects in the system of the ways; None has no place.
    reach
        An object further from every road is not attached [m].
    factor
        Metres per unit of the map.

    Notes
    -----
    The road is the one nearest to the shape; of several that run through it the one nearest to its centroid. The place on it is that
    nearest to the centroid. A road from which one does not get to most of the network and back is passed over where another one is within
    reach: maps are full of yards that lack their last metre.
    """
    import shapely

    count = len(shapes)
    way, share, access = np.full(count, -1, np.int64), np.full(count, np.nan), np.full(count, np.nan)
    absent = np.asarray(shapely.is_missing(shapes) | shapely.is_empty(shapes), bool)
    usable = np.flatnonzero(~shapely.is_missing(ways.lines))
    reason = reasons(absent, "missing_footprint")
    there = np.flatnonzero(~absent)
    if not len(usable):
        reason[there] = "no_road"
        return Sites(way, share, access, reason)
    middle = shapely.centroid(shapes[there])
    at, gap = _entrance(shapes[there], middle, ways, usable)
    main, further = _entrance(shapes[there], middle, ways, usable[ways.main[usable]])
    better = (further * factor <= reach) & (further > gap)
    at, gap = np.where(better, main, at), np.where(better, further, gap)
    access[there] = gap * factor
    near = gap * factor <= reach
    mine = there[near]
    way[mine] = at[near]
    share[mine] = shapely.line_locate_point(ways.lines[at[near]], middle[near], normalized=True)
    reason[there[~near]] = "too_far_from_a_road"
    return Sites(way, np.clip(share, 0.0, 1.0), access, reason, int(better.sum()))


def _entrance(shapes: NDArray[Any], middle: NDArray[Any], ways: Ways, among: Ints) -> tuple[Ints, Floats]:
    """Return the nearest of some ways to every shape, to its middle of those that run through it, and how far it is."""
    import shapely

    if not len(among):
        return np.full(len(shapes), -1, np.int64), np.full(len(shapes), np.inf)
    tree = shapely.STRtree(ways.lines[among])
    at, gap = _nearest(tree, shapes)
    inside = gap == 0.0
    at[inside] = _nearest(tree, middle[inside])[0]
    return among[at], gap


def _nearest(tree: Any, shapes: NDArray[Any]) -> tuple[Ints, Floats]:
    """Return the nearest line of every shape, the first of several as near, and how far it is."""
    if not len(shapes):
        return np.empty(0, np.int64), np.empty(0)
    (of, at), gap = tree.query_nearest(shapes, return_distance=True, all_matches=True)
    order = np.lexsort((at, of))
    first = np.unique(of[order], return_index=True)[1]
    return at[order][first].astype(np.int64), gap[order][first]
