"""From the water along pieces of road to the states of links: closed for whom, how fast, how much passes; from interval to interval."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.coupling.speed import ponding_capacity, water_speed
from cim.sim.impact.hazard import passable
from cim.sim.impact.road_water import over_deck

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.coupling.parameters import RoadParameters
    from cim.sim.coupling.water_along import CellWater, Clock
    from cim.sim.impact.parameters import VehicleLimits

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = [
    "CAUSES",
    "Closures",
    "Lines",
    "Links",
    "PieceWater",
    "Rows",
    "Slowing",
    "closed_by",
    "joined",
    "merged",
    "piece_water",
    "rows_of",
    "slowing",
]

CAUSES = np.array([None, "depth", "depth_velocity", "velocity", "clearing", "water", "rain", "water_and_rain"], object)
"""Why a road is closed (the first four), or slower than free."""
_DEPTH, _PRODUCT, _VELOCITY, _CLEARING, _WATER, _RAIN, _BOTH = range(1, 8)


@dataclass(frozen=True)
class Lines:
    """Pieces of road that are assessed, and the cells along them that tell of the water: pairs in the order of the pieces."""

    piece: Ints
    """Shape (m,): rows of the pieces, rising."""
    head: Ints
    """Shape (m,): first pair of each."""
    cell: Ints
    """Shape (pairs,): place among the cells that are read."""
    weight: Floats
    """Length of the way in the cell."""
    lifted: Floats
    """Shape (pairs,): how high a deck lies over the ground [m], 0 where the road is on it."""


@dataclass(frozen=True)
class Links:
    """What of a network counts here."""

    line: Ints
    """Shape (links,): row of `Lines`, -1 where the water of a link is not assessed."""
    free: Floats
    """Free speed [m/s]; infinite where a link takes no time."""
    rained_on: Bools
    """Whether rain falls on it."""


@dataclass(frozen=True)
class PieceWater:
    """The water of pieces in some intervals; shapes (intervals, pieces)."""

    first: int
    depth: Floats
    """Deepest along the piece [m]."""
    mean: Floats
    """Mean along the piece [m]."""
    velocity: Floats
    product: Floats
    at_pairs: Floats
    """Shape (intervals, pairs): depth in the cells."""


def piece_water(lines: Lines, water: CellWater) -> PieceWater:
    """Return the water of pieces from that of the cells; what is not known there counts as none."""
    raised = np.flatnonzero(lines.lifted > 0)
    depth, velocity, product = (one[:, lines.cell] for one in (water.depth, water.velocity, water.product))
    above = over_deck(depth[:, raised], velocity[:, raised], product[:, raised], lines.lifted[raised])
    depth[:, raised], velocity[:, raised], product[:, raised] = above
    depth, velocity, product = (np.nan_to_num(one, copy=False) for one in (depth, velocity, product))
    deepest, fastest, strongest = (_greatest(one, lines.head) for one in (depth, velocity, product))
    total = np.add.reduceat(lines.weight, lines.head) if len(lines.head) else np.empty(0)
    mean = _sum(depth * lines.weight, lines.head) / np.maximum(total, 1e-300)
    return PieceWater(water.first, deepest, np.where(total > 0, mean, deepest), fastest, strongest, depth)


def _greatest(values: Floats, head: Ints) -> Floats:
    return np.asarray(np.maximum.reduceat(values, head, axis=1), float) if len(head) else np.empty((len(values), 0))


def _sum(values: Floats, head: Ints) -> Floats:
    return np.asarray(np.add.reduceat(values, head, axis=1), float) if len(head) else np.empty((len(values), 0))


def closed_by(water: PieceWater, limits: VehicleLimits) -> NDArray[np.int8]:
    """Return why pieces are closed, shape (intervals, pieces), 0 where they are open; as places of `CAUSES`.

    One cell above one limit closes a piece: the greatest values along it decide.
    """
    shut = ~passable(water.depth, water.velocity, water.product, limits)
    cause = np.select(
        [water.depth > limits.depth, water.product > limits.depth_velocity], [_DEPTH, _PRODUCT], default=_VELOCITY
    )  # fmt: skip
    return np.where(shut, cause, 0).astype(np.int8)


@dataclass
class Closures:
    """When the pieces are closed to one kind of vehicle, gathered from chunk to chunk."""

    begin: Floats
    """First instant [s]; not a number where never."""
    end: Floats
    """Last instant [s]."""
    length: Floats
    """Time closed [s]."""
    cause: NDArray[np.int8]
    left: Floats
    """When the water last left [s]."""
    at_end: Bools = field(default_factory=lambda: np.zeros(0, bool))

    @classmethod
    def none(cls, pieces: int) -> Closures:
        """Return no closures."""
        nan = np.full(pieces, np.nan)
        return cls(nan, nan.copy(), np.zeros(pieces), np.zeros(pieces, np.int8), np.full(pieces, -np.inf), np.zeros(pieces, bool))

    def take(self, first: int, clock: Clock, cause: NDArray[np.int8], dry_after: float) -> NDArray[np.int8]:
        """Take the next intervals; return their causes with the time added in which a road is cleared."""
        count = len(cause)
        begin, end = clock.begin[first : first + count], clock.end[first : first + count]
        if dry_after > 0 and count:
            left = np.maximum.accumulate(np.vstack([self.left, np.where(cause > 0, end[:, None], -np.inf)]), axis=0)
            with np.errstate(invalid="ignore"):
                waiting = (cause == 0) & (begin[:, None] - left[:-1] < dry_after - 1e-9)
            cause = np.where(waiting, _CLEARING, cause).astype(np.int8)
            self.left = left[-1]
        shut = cause > 0
        some = shut.any(axis=0)
        early, late = np.argmax(shut, axis=0), count - 1 - np.argmax(shut[::-1], axis=0)
        new = some & np.isnan(self.begin)
        self.begin[new], self.cause[new] = begin[early[new]], cause[early[new], np.flatnonzero(new)]
        self.end[some] = end[late[some]]
        self.length += ((end - begin)[:, None] * shut).sum(axis=0) if np.isfinite(end).all() else np.where(some, np.inf, 0.0)
        self.at_end = shut[-1]
        return cause


@dataclass(frozen=True)
class Rows:
    """States of links that differ from dry and free, one row each."""

    link: Ints
    first: Ints
    """First interval."""
    last: Ints
    depth: Floats
    mean: Floats
    velocity: Floats
    speed: Floats
    """[m/s]; NaN: free speed."""
    capacity: Floats
    cause: NDArray[np.int8]


@dataclass(frozen=True)
class Slowing:
    """What all vehicles have in common in some intervals; shapes (intervals, links)."""

    speed: Floats
    capacity: Floats
    cause: NDArray[np.int8]


def slowing(lines: Lines, links: Links, water: PieceWater, rain: Ints, parameters: RoadParameters) -> Slowing:
    """Return speeds and capacities of links under water and rain.

    The speed of a link is its length over the time that its cells take one after the other, each at its own speed; its capacity that of
    the slowest cell.

    Parameters
    ----------
    rain : shape (intervals,)
        Class of the rain, 0 where there is none.
    """
    count, size = len(rain), len(links.line)
    factor = np.concatenate([[1.0], parameters.rain_speed])[rain][:, None]
    passing = np.concatenate([[1.0], parameters.rain_capacity])[rain][:, None]
    wet = rain[:, None] * links.rained_on > 0
    free = links.free * np.where(wet, factor, 1.0)
    speed = np.where(wet & (factor < 1) & np.isfinite(free), free, np.nan)
    capacity = np.where(wet, passing, 1.0)
    cause = np.where(wet, _RAIN, 0).astype(np.int8)
    if parameters.speed_law == "none" or not len(lines.piece):
        return Slowing(speed, capacity, cause)
    slowest = np.full((count, size), np.inf)
    known = links.line >= 0
    slowest[:, known] = water_speed(water.depth, parameters.film_depth)[:, links.line[known]]
    slow = slowest < free
    mine = np.flatnonzero(slow.any(axis=0))
    travelled = _travelled(lines, links.line[mine], free[:, mine], water.at_pairs, parameters.film_depth)
    here = slow[:, mine]
    speed[:, mine] = np.where(here, np.where(np.isnan(travelled), slowest[:, mine], travelled), speed[:, mine])
    capacity[:, mine] *= ponding_capacity(np.minimum(slowest, free)[:, mine], free[:, mine], parameters.ponding_capacity)
    cause[slow] = np.where(wet, _BOTH, _WATER)[slow]
    return Slowing(speed, capacity, cause)


def _travelled(lines: Lines, line: Ints, free: Floats, depth: Floats, film: float) -> Floats:
    """Return the mean speed over the cells of some links, shape (intervals, links); NaN for one without length."""
    end = np.append(lines.head[1:], len(lines.cell))
    size = end[line] - lines.head[line]
    head = np.cumsum(size) - size
    owner = np.repeat(np.arange(len(line)), size)
    pair = np.arange(int(size.sum())) - head[owner] + lines.head[line][owner]
    used, place = np.unique(pair, return_inverse=True)
    slowness = np.maximum(1.0 / water_speed(depth[:, used], film)[:, place], (1.0 / free)[:, owner])
    weight = lines.weight[pair]
    time = _sum(slowness * weight, head)
    length = np.add.reduceat(weight, head) if len(head) else np.empty(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(length > 0, length / time, np.nan)


def rows_of(links: Links, water: PieceWater, slow: Slowing, shut: NDArray[np.int8]) -> Rows:
    """Return the states of some intervals as rows, those that stay as they are in one; depths are the greatest of their intervals."""
    known = links.line >= 0
    closed = np.zeros(slow.cause.shape, np.int8)
    closed[:, known] = shut[:, links.line[known]]
    cause = np.where(closed > 0, closed, slow.cause).astype(np.int8)
    link, interval = np.nonzero(cause.T)
    line = links.line[link]
    at = (interval, np.maximum(line, 0))

    def of(values: Floats) -> Floats:
        return np.where(line >= 0, values[at], 0.0) if values.size else np.zeros(len(link))

    number = interval + water.first
    return merged(Rows(link, number, number, of(water.depth), of(water.mean), of(water.velocity), slow.speed[interval, link],
                       slow.capacity[interval, link], cause[interval, link]))  # fmt: skip


def merged(rows: Rows) -> Rows:
    """Return rows, in the order of links and intervals, with those that follow each other in the same state as one."""
    if not len(rows.link):
        return rows
    same = (rows.link[1:] == rows.link[:-1]) & (rows.first[1:] == rows.last[:-1] + 1) & (rows.cause[1:] == rows.cause[:-1])
    for one in (rows.speed, rows.capacity):
        same &= (one[1:] == one[:-1]) | (np.isnan(one[1:]) & np.isnan(one[:-1]))
    head = np.flatnonzero(np.concatenate([[True], ~same]))
    tail = np.append(head[1:], len(rows.link)) - 1
    depth, mean, velocity = (np.maximum.reduceat(one, head) for one in (rows.depth, rows.mean, rows.velocity))
    return Rows(
        rows.link[head], rows.first[head], rows.last[tail], depth, mean, velocity, rows.speed[head], rows.capacity[head], rows.cause[head]
    )  # fmt: skip


def joined(parts: list[Rows]) -> Rows:
    """Return rows of several chunks as one, in the order of links and intervals."""

    def whole(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(one, name) for one in parts])[order]

    order = np.lexsort((np.concatenate([one.first for one in parts]), np.concatenate([one.link for one in parts])))
    return merged(Rows(
        whole("link"), whole("first"), whole("last"), whole("depth"), whole("mean"), whole("velocity"), whole("speed"), whole("capacity"),
        whole("cause"),
    ))  # fmt: skip
