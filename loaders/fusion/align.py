"""Is one layer shifted against another? Every pair of like objects votes for the difference of its places, and a peak is a shift.

A systematic shift is what the wrong datum, a lost constant or the coordinates of a web map leave behind: half a metre makes row houses
each other's neighbours, four hundred metres match nothing at all. Objects are like each other when they are of one class and of about
the same area. The peak must stand out: unrelated layers have none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from cim.crs import gcj02
from cim.crs.city_crs import parse
from cim.crs.transform import transform_points

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Places = NDArray[np.float64]

__all__ = ["Marks", "Shift", "find_shift", "marks_of", "moved_shapes", "undone", "vote"]

NEAR, FAR = 30.0, 800.0
"""How far apart like objects may be [m]: a shift of a survey or of a rounded datum parameter; one datum taken for another."""
LIKE = 0.12
"""Areas of one thing in two sources differ by no more than this share."""
RATIO, VOTES = 2.0, 6
"""A peak counts when it has twice the votes of the next one, and at least six."""
SHARE_FAR = 0.1
"""A shift beyond `NEAR` must also be that of this share of the sampled objects: a wide search meets more chance."""
SAMPLE, PAIRS = 20_000, 4_000_000
"""Objects that vote, and pairs that are looked at, at most: more change the shift by less than a millimetre."""
SAME_SHIFT = 2.0
"""What is left after undoing the shift of a web map must be smaller than this [m], or it is not that shift."""
STILL = 0.05
"""Shifts below this [m] are none: it is how well a shift can be measured."""


@dataclass(frozen=True)
class Marks:
    """What votes: one entry per object."""

    xy: Places
    """Shape (n, 2): centre, east and north [m]."""
    size: Reals
    """Shape (n,): natural logarithm of the area in square metres; 0 for points."""
    kind: NDArray[Any]
    """Shape (n,): class, with the dimension of the geometry."""


@dataclass(frozen=True)
class Shift:
    """What must be added to the places of the second layer to bring them onto the first."""

    found: bool
    dx: float = 0.0
    """East [m]."""
    dy: float = 0.0
    """North [m]."""
    votes: int = 0
    """Pairs of like objects that lie within half a metre of it."""
    ratio: float = 0.0
    """Votes of the peak over those of the next one elsewhere."""
    uncertainty: float = float("nan")
    """Twice the standard error of the median over the votes [m]."""
    left_datum: str = ""
    """``gcj02`` or ``bd09`` where the first layer is suspected to be in those coordinates."""
    right_datum: str = ""
    """The same of the second layer."""

    @property
    def length(self) -> float:
        """Length of the shift [m]."""
        return float(np.hypot(self.dx, self.dy))

    @property
    def matters(self) -> bool:
        """True where it is a shift and not the noise of measuring one."""
        return self.found and self.length > max(STILL, self.uncertainty)

    def text(self) -> str:
        """Return the shift in words."""
        if not self.found:
            return f"no shift found (best peak {self.votes} votes, {self.ratio:.1f} times the next)"
        evidence = f"± {self.uncertainty:.3f} m; {self.votes} votes, {self.ratio:.1f} times the next peak"
        return f"dx {self.dx:+.3f} m, dy {self.dy:+.3f} m ({evidence})"


def marks_of(city: City) -> Marks:
    """Return the centres of all objects with a polygon or a point, but for coverages and what lies inside another."""
    import shapely

    objects = city.tables.scan("objects", ["key", "type"])
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    idle = np.asarray(pc.is_in(objects["key"], city.tables["coverages"]["object"].combine_chunks()).to_numpy())
    shapes = city.footprints(keys)
    dimension = shapely.get_dimensions(shapes)
    used = np.flatnonzero(~idle & ((dimension == 2) | (dimension == 0)) & ~shapely.is_empty(shapes))
    shapes = shapes[used]
    codes = objects["type"].combine_chunks().dictionary_encode()
    words = np.asarray(codes.dictionary.to_pylist(), object)[codes.indices.to_numpy()[used]]
    kind = words + np.where(dimension[used] == 0, " point", "").astype(object)
    centre = shapely.get_coordinates(shapely.centroid(shapes))
    area = shapely.area(shapes)
    return Marks(centre, np.log(np.where(area > 0, area, 1.0)), kind)


def find_shift(left: City, right: City) -> Shift:
    """Return the systematic shift between two cities in one coordinate system.

    Parameters
    ----------
    left, right
        In the same projected system.

    Returns
    -------
    Shift
        ``found`` is false when nothing stands out; ``right_datum`` names a web map's coordinates when undoing them explains the shift.

    Notes
    -----
    First within `NEAR`; then, in China, GCJ-02 and BD-09 are undone on either side and the rest must be below `SAME_SHIFT`; then within
    `FAR`, where the objects of the second layer are of many sizes: an estate of one type of house looks like the next one down the road.
    A layer whose objects are evenly spaced may fit in several places: then the peaks are alike, and none is taken.
    """
    first, second = marks_of(left), marks_of(right)
    near = vote(first, second, NEAR)
    if near.found:
        return near
    web = _web_map(first, second, left.crs)
    if web is not None:
        return web
    far = vote(first, second, FAR, cell=2.0) if _varied(second) else Shift(found=False)
    enough = far.votes >= SHARE_FAR * min(len(second.xy), SAMPLE)
    return far if far.found and enough else near


def _varied(marks: Marks) -> bool:
    """Say whether the objects can be told apart by their size, or are points, which stand where they stand."""
    size = marks.size[~np.char.endswith(marks.kind.astype(str), " point")]
    if not len(size):
        return bool(len(marks.size))
    low, high = np.quantile(size, [0.1, 0.9])
    return bool(high - low > 2 * LIKE)


# --------------------------------------------------------------------------------------------- the vote


def vote(left: Marks, right: Marks, radius: float, *, cell: float = 1.0) -> Shift:
    """Return the shift that most pairs of like objects agree on.

    Parameters
    ----------
    left, right
        Objects of the two layers.
    radius
        Greatest shift along each axis [m].
    cell
        Side of the cells in which votes are counted [m].
    """
    gaps = _gaps(left, right, radius)
    if not len(gaps):
        return Shift(found=False)
    side = int(np.ceil(radius / cell)) * 2 + 3
    index = np.floor(gaps / cell).astype(np.int64) + side // 2
    votes = np.bincount(index[:, 0] * side + index[:, 1], minlength=side * side).reshape(side, side)
    around = _summed(votes)
    row, column = np.unravel_index(int(np.argmax(around)), around.shape)
    others = around.copy()
    others[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = 0  # windows that share no vote with the peak
    ratio = float(around[row, column] / max(int(others.max()), 1))
    centre = (np.array([row, column]) - side // 2 + 0.5) * cell
    place, kept = _refined(gaps, centre, 1.5 * cell)
    count = len(kept)
    spread = np.median(np.abs(kept - place), axis=0) * 1.4826 if count else np.array([np.nan, np.nan])
    error = float(2.0 * np.hypot(*(1.2533 * spread / np.sqrt(max(count, 1)))))
    found = ratio >= RATIO and int(around[row, column]) >= VOTES
    return Shift(found, float(place[0]), float(place[1]), count, ratio, error)


def _gaps(left: Marks, right: Marks, radius: float) -> Places:
    """Return the differences of place, left minus right, of all like objects within `radius`, shape (p, 2)."""
    from scipy.spatial import KDTree

    names, codes = np.unique(np.concatenate([left.kind, right.kind]).astype(str), return_inverse=True)
    first, second = (
        np.column_stack([one.xy / radius, one.size / np.log1p(LIKE), code * 10.0])
        for one, code in ((left, codes[: len(left.kind)]), (right, codes[len(left.kind) :]))
    )
    if not len(first) or not len(second) or not len(names):
        return np.empty((0, 2))
    chance = np.random.default_rng(0)  # a fixed sample: the same two layers give the same shift
    picked = chance.permutation(len(second))[:SAMPLE]
    tree = KDTree(first)
    count = tree.query_ball_point(second[picked], 1.0, p=np.inf, return_length=True)
    picked = picked[np.cumsum(count) <= PAIRS]
    found = tree.query_ball_point(second[picked], 1.0, p=np.inf, return_sorted=False)
    lengths = np.fromiter((len(one) for one in found), np.int64, len(found))
    a = np.concatenate([np.asarray(one, np.int64) for one in found]) if lengths.sum() else np.empty(0, np.int64)
    return np.asarray(left.xy[a] - right.xy[np.repeat(picked, lengths)])


def _summed(votes: Ints) -> Ints:
    """Return the votes in the 3 by 3 cells around each cell."""
    wide = np.pad(votes, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _refined(gaps: Places, centre: Reals, window: float) -> tuple[Reals, Places]:
    """Return the median of the gaps around a peak, in ever smaller windows, and the gaps in the last one."""
    kept = gaps
    for half in (window, window, 1.0, 0.5, 0.5, 0.5):
        inside = gaps[(np.abs(gaps - centre) <= half).all(axis=1)]
        if not len(inside):
            break
        kept, centre = inside, np.median(inside, axis=0)
    return centre, kept


# --------------------------------------------------------------------------------------------- web maps

_UNDO: dict[str, Callable[..., Any]] = {"gcj02": gcj02.gcj02_to_wgs84, "bd09": gcj02.bd09_to_wgs84}
"""From the coordinates of a web map to those of a survey."""
_DEGREES = "EPSG:4326"


def _web_map(left: Marks, right: Marks, crs: CityCRS) -> Shift | None:
    """Return the shift when undoing GCJ-02 or BD-09 on one side, or one on each, brings the layers together."""
    if not len(left.xy) or not len(right.xy) or not _in_china(left, crs):
        return None
    best: Shift | None = None
    for ours, theirs in (("", "gcj02"), ("", "bd09"), ("gcj02", ""), ("bd09", ""), ("gcj02", "bd09"), ("bd09", "gcj02")):
        first, second = (replace(one, xy=undone(one.xy, name, crs)) for one, name in ((left, ours), (right, theirs)))
        rest = vote(first, second, NEAR)
        if rest.found and rest.length <= SAME_SHIFT and (best is None or rest.votes > best.votes):
            offset = np.median(second.xy - right.xy, axis=0) - np.median(first.xy - left.xy, axis=0)
            best = replace(rest, dx=rest.dx + float(offset[0]), dy=rest.dy + float(offset[1]), left_datum=ours, right_datum=theirs)
    return best


def _in_china(marks: Marks, crs: CityCRS) -> bool:
    if crs.is_local:
        return False
    middle = np.median(marks.xy, axis=0)
    done = transform_points(middle[:1], middle[1:], None, crs.without_vertical(), parse(_DEGREES), allow_ballpark=True)
    west, south, east, north = gcj02.GCJ02_BOX
    return bool(west <= done.x[0] <= east and south <= done.y[0] <= north)


def undone(xy: Places, name: str, crs: CityCRS) -> Places:
    """Return places of a web map's coordinates, that were projected as if they were a survey's, where they really are."""
    if not name:
        return xy
    plane, degrees = crs.without_vertical(), parse(_DEGREES)
    there = transform_points(xy[:, 0], xy[:, 1], None, plane, degrees, allow_ballpark=True)
    longitude, latitude = _UNDO[name](there.x, there.y)
    back = transform_points(longitude, latitude, None, degrees, plane, allow_ballpark=True)
    return np.column_stack([back.x, back.y])


def moved_shapes(shapes: NDArray[Any], shift: Shift, crs: CityCRS, *, side: str = "right") -> NDArray[Any]:
    """Return footprints where the shift says they lie, vertex by vertex; None stays.

    Parameters
    ----------
    shapes : shape (n,)
        Footprints of one layer.
    side
        ``"left"`` or ``"right"``: which layer they are of. A rigid shift moves the right one only.
    """
    import shapely

    name = shift.right_datum if side == "right" else shift.left_datum
    if name:
        return np.asarray(shapely.transform(shapes, lambda xy: undone(xy, name, crs)))
    if side == "left" or shift.left_datum or shift.right_datum or not shift.matters:
        return shapes
    return np.asarray(shapely.transform(shapes, lambda xy: xy + np.array([shift.dx, shift.dy])))
