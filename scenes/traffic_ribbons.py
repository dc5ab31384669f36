"""Where the ribbons of links lie: beside the middle of the road on the side that is driven on, on the ground or on the deck of a bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.scenes.ground import Ground
    from cim.scenes.layer import Layer

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

Ribbons = tuple["Reals", "NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]"]

__all__ = ["Band", "Decks", "Stations", "decks_of", "ribbons", "stations_along"]

_GAP = 0.3  # m between the middle of the road and a direction
_SHARPEST = 1.8  # times its width that a ribbon reaches out in a bend
_TRIM = 0.3  # of the length of a link that is left free at a junction at most
_MOST = 400_000  # stations of all links; beyond it the ground is followed less closely
_LEVEL = 0.95  # least vertical part of the normal of a face that one drives on
_SHORTEST = 0.05  # m between two stations


@dataclass(frozen=True)
class Stations:
    """Points along links, one link after the other."""

    xy: Reals
    """Shape (s, 2)."""
    link: Ints
    """Shape (s,), rising: row of the link."""
    way: Reals
    """Shape (s,): from the start of the link [m]."""
    normal: Reals
    """Shape (s, 2): to the left; longer than 1 in a bend, so that the width stays."""
    deck: Reals
    """Shape (s,): height of the deck of a bridge, NaN on the ground [m]."""

    def of(self, links: Bools) -> Stations:
        """Return the stations of some links."""
        mine = links[self.link]
        return Stations(self.xy[mine], self.link[mine], self.way[mine], self.normal[mine], self.deck[mine])


@dataclass(frozen=True)
class Band:
    """How far the sides of a ribbon lie from the middle of the road, to the left [m], and how high."""

    left: Reals
    """Shape (n,)."""
    right: Reals
    lift: float
    """Above the ground or the deck [m]."""
    level: Reals | None = None
    """Shape (n,): the ribbon lies nowhere lower, but on a deck [m]; None for no such level."""

    @classmethod
    def beside(
        cls, width: Reals, shared: Bools, lift: float, *, wider: float = 0.0, drives: str = "right", level: Reals | None = None
    ) -> Band:
        """Return the bands of directions: beside the middle where the road has two directions, else across it.

        Parameters
        ----------
        shared
            Whether the opposite direction has the same line.
        wider
            Added to both sides [m].
        """
        side = 1.0 if drives == "left" else -1.0
        near, far = side * (_GAP - wider), side * (_GAP + width + wider)
        left = np.where(shared, np.maximum(near, far), width / 2 + wider)
        right = np.where(shared, np.minimum(near, far), -width / 2 - wider)
        return cls(left, right, lift, level)


def stations_along(lines: NDArray[Any], junction: Reals, spacing: float, decks: Decks | None = None) -> Stations:
    """Return the stations of links: their own corners and points between, short of the junctions at their ends.

    Parameters
    ----------
    lines : shape (n,)
        shapely lines in the direction of travel, relative to the origin of the scene [m].
    junction : shape (n, 2)
        What is left free at the start and the end [m]; no more than a third of the link.
    spacing
        Between two stations at most [m].
    """
    import shapely

    length = shapely.length(lines)
    spacing = max(spacing, float(length.sum()) / _MOST)
    xy, link = shapely.get_coordinates(shapely.segmentize(lines, spacing), return_index=True)
    step = np.linalg.norm(np.diff(xy, axis=0, prepend=xy[:1]), axis=1)
    axis = np.cumsum(np.where(np.diff(link, prepend=-1) == 0, step, 1.0))  # along all links, 1 m apart: none ends where another begins
    start = axis[np.searchsorted(link, np.arange(len(lines)))][link]
    way = axis - start
    free = np.minimum(junction, _TRIM * length[:, None])
    kept = np.clip(way, free[link, 0], (length - free[:, 1])[link])
    moved = np.column_stack([np.interp(kept + start, axis, xy[:, side]) for side in (0, 1)])
    apart = np.where(np.diff(link, prepend=-1) == 0, np.diff(kept, prepend=0.0), np.inf) > _SHORTEST
    moved, link, kept = moved[apart], link[apart], kept[apart]
    deck = np.full(len(link), np.nan) if decks is None else decks.along(moved, link, kept)
    return Stations(moved, link, kept, _normals(moved, link), deck)


def _normals(xy: Reals, link: Ints) -> Reals:
    """Return at each station the way to the left, lengthened in bends so that both sides stay parallel."""
    ahead = np.diff(xy, axis=0, append=xy[-1:])
    within = np.append(link[1:] == link[:-1], [False])
    length = np.linalg.norm(ahead, axis=1, keepdims=True)
    left = np.column_stack([-ahead[:, 1], ahead[:, 0]]) / np.where(length > 0, length, 1.0)
    left[~within] = 0.0
    before = np.roll(left, 1, axis=0)
    both = left + before
    size = np.linalg.norm(both, axis=1)
    ends = (np.linalg.norm(left, axis=1) < 0.5) | (np.linalg.norm(before, axis=1) < 0.5)
    # of two unit vectors with the sum b the mitre is 2 b / |b|²
    scale = np.where(ends, 1.0, np.minimum(2.0 / np.maximum(size, 1e-9) ** 2, _SHARPEST / np.maximum(size, 1e-9)))
    return np.asarray(both * scale[:, None], float)


def ribbons(stations: Stations, band: Band, ground: Ground, rows: Ints) -> Ribbons:
    """Return points, triangles, the object of each triangle, and edges along the outer side.

    Parameters
    ----------
    band
        Of all links that the stations number.
    rows : shape (n,)
        Object that each link is drawn as.
    """
    if not len(stations.link):
        return np.empty((0, 3)), np.empty((0, 3), np.int32), np.empty(0, np.int32), np.empty((0, 2), np.int32)
    link = stations.link
    sides = [stations.xy + stations.normal * side[link][:, None] for side in (band.left, band.right)]
    height = _height((sides[0] + sides[1]) / 2, stations, band, ground)
    points = np.stack([np.column_stack([side, height]) for side in sides], axis=1).reshape(-1, 3)
    at = 2 * np.flatnonzero(link[1:] == link[:-1])
    triangles = np.stack([at, at + 1, at + 3, at, at + 3, at + 2], axis=1).reshape(-1, 3)
    owner = np.repeat(rows[link[at // 2]], 2)
    # the side away from the middle of the road: seen from afar the two directions stay two lines
    outer = at + (np.abs(band.right) >= np.abs(band.left))[link[at // 2]]
    edges = np.stack([outer, outer + 2], axis=1)
    return points, triangles.astype(np.int32), owner.astype(np.int32), edges.astype(np.int32)


def _height(middle: Reals, stations: Stations, band: Band, ground: Ground) -> Reals:
    """Return how high both sides lie: a road is level across, whatever the banks beside it do."""
    low = ground.at(middle[:, 0], middle[:, 1]) + band.lift
    if band.level is not None:
        low = np.fmax(low, band.level[stations.link])
    return np.where(np.isnan(stations.deck), low, stations.deck + band.lift)


# --------------------------------------------------------------------------------------------- decks


@dataclass(frozen=True)
class Decks:
    """Level faces of bridges, and which links run over them."""

    tree: Any
    """shapely STRtree of the faces in plan."""
    planes: Reals
    """Shape (m, 3): height is a x + b y + c."""
    over: Bools
    """Shape (n,): links that are said to run over a bridge."""
    ground: Ground

    def along(self, xy: Reals, link: Ints, way: Reals) -> Reals:
        """Return the height of the deck at stations, NaN for links that run over no bridge [m].

        The highest level face over a place is the deck; what a face does not cover lies on a straight line between the decks and the
        ground at the ends of the link.
        """
        import shapely

        found = np.full(len(link), np.nan)
        mine = np.flatnonzero(self.over[link])
        if not len(mine):
            return found
        if len(self.planes):
            place, face = self.tree.query(shapely.points(xy[mine]), predicate="intersects")
            x, y = xy[mine][place].T
            height = self.planes[face, 0] * x + self.planes[face, 1] * y + self.planes[face, 2]
            best = np.full(len(mine), -np.inf)
            np.maximum.at(best, place, height)
            found[mine] = np.where(np.isfinite(best), best, np.nan)
        ends = np.flatnonzero(np.diff(link, prepend=-1) != 0), np.flatnonzero(np.diff(link, append=link[-1] + 1) != 0)
        for end in ends:
            bare = end[self.over[link[end]] & np.isnan(found[end])]
            found[bare] = self.ground.at(xy[bare, 0], xy[bare, 1])
        gaps = mine[np.isnan(found[mine])]
        known = mine[~np.isnan(found[mine])]
        axis = np.cumsum(np.where(np.diff(link, prepend=-1) == 0, np.diff(way, prepend=0.0), 1.0))  # rising over all links
        found[gaps] = np.interp(axis[gaps], axis[known], found[known])
        return found


def decks_of(layers: Sequence[Layer], over: Bools, ground: Ground) -> Decks:
    """Return the level faces of bridges and constructions of a scene.

    Parameters
    ----------
    over : shape (n,)
        Links that run over a bridge.
    """
    import shapely

    faces = [layer.points[layer.triangles] for layer in layers if layer.name == "constructions"] if over.any() else []
    corners = np.concatenate(faces) if faces else np.empty((0, 3, 3))
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(normal, axis=1)
    level = (size > 0) & (normal[:, 2] >= _LEVEL * size)
    corners, normal = corners[level], normal[level]
    slope = -normal[:, :2] / normal[:, 2:] if len(normal) else np.empty((0, 2))
    start = corners[:, 0, 2] - (slope * corners[:, 0, :2]).sum(axis=1) if len(corners) else np.empty(0)
    shapes = shapely.polygons(corners[:, :, :2]) if len(corners) else np.empty(0, object)
    return Decks(shapely.STRtree(shapes), np.column_stack([slope, start]), over, ground)
