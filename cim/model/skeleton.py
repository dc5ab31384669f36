"""The middle lines of areas: Voronoi edges of their outlines, without the twigs into corners, junctions drawn together.

The Voronoi diagram of points along an outline comes near to its medial axis (Brandt and Algazi 1992). Edges between points that are near
each other along the outline are noise or lead into a corner (the chord residual of Ogniewicz and Kübler 1995); a twig that is left and is
shorter than the area is wide at its root leads into a corner too. Junctions nearer to each other than the area is wide there are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.spatial import cKDTree

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["Skeleton", "outline_tree", "skeleton"]

_STEP = 0.75
"""Distance of points on an outline [m]: a third of the narrowest lane."""
_RESIDUAL = 1.0
"""How much longer [m] the way along the outline must be than the straight one between two points with a Voronoi edge."""
_POINTS = 250_000
"""Outline points that are taken at once, so that memory does not grow with the city."""
_MARGIN = 60.0
"""How far [m] points beyond a tile count in it: half the width of the widest area that comes out the same however it is tiled."""
_FINE = 0.01
"""Corners of outlines that stand out less [m] are left out: points that all but coincide have no middle."""
_SHAKE = 1e-3
"""[m]"""
_ROUNDS = 20
_STRIDE = 0.25
"""Step in which ends are brought to the outline [m]."""


@dataclass(frozen=True)
class Skeleton:
    """Middle lines between nodes."""

    lines: Shapes
    start: Ints
    """Rows of `places`."""
    end: Ints
    places: Floats
    radius: Floats
    """Shape (m,): distance of nodes from the outline [m]."""


def outline_tree(areas: Shapes) -> cKDTree:
    """Return the points along the outlines of areas, for distances to them (too great by at most 1/16 of a small radius)."""
    import shapely
    from scipy.spatial import cKDTree

    return cKDTree(shapely.get_coordinates(shapely.segmentize(areas, _STEP)))


def skeleton(areas: Shapes) -> Skeleton:
    """Return the middle lines of polygons that do not overlap.

    Parameters
    ----------
    areas : shape (n,)
        Valid shapely polygons, in metres.
    """
    import shapely

    parts = shapely.get_parts(areas)
    tree = outline_tree(parts)
    lines = _pruned(_inner_edges(parts), tree)
    lines = _to_outline(lines, tree)
    return _contracted(lines, tree)


def _inner_edges(parts: Shapes) -> Floats:
    """Return the Voronoi edges within areas that lead along them, shape (m, 2, 2)."""
    import shapely

    rings = shapely.get_rings(shapely.segmentize(shapely.simplify(parts, _FINE), _STEP))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(np.diff(ring) != 0, True)
    run = np.cumsum(np.hypot(*np.diff(xy, axis=0, prepend=xy[:1]).T))
    xy, ring, run = xy[~last], ring[~last], run[~last]
    around = shapely.length(rings)[ring]
    middle = xy.mean(axis=0)
    xy = _shaken(xy) - middle
    found = []
    for low, high in _tiles(xy):
        edges, a, b = _voronoi(xy, low, high)
        way = np.abs(run[a] - run[b])
        way = np.minimum(way, around[a] - way)
        along = (ring[a] != ring[b]) | (way - np.hypot(*(xy[a] - xy[b]).T) > _RESIDUAL)
        found.append(edges[along] + middle)
    edges = np.concatenate(found)
    whole = shapely.multipolygons(parts)
    shapely.prepare(whole)
    inside = shapely.contains_xy(whole, *edges.reshape(-1, 2).T).reshape(-1, 2).all(axis=1)
    return np.asarray(edges[inside & (edges[:, 0] != edges[:, 1]).any(axis=1)], float)


def _shaken(xy: Floats) -> Floats:
    """Return points moved by up to a millimetre, always the same for the same point: of four on a circle any pair could be neighbours."""
    angle = np.sin(xy @ np.array([12.9898, 78.233])) * 43758.5453
    return np.asarray(xy + _SHAKE * np.stack([np.cos(angle), np.sin(angle)], axis=1))


def _tiles(xy: Floats) -> list[tuple[Floats, Floats]]:
    """Return boxes that cover the plane and hold at most `_POINTS` points each: corners with the least and the greatest coordinates."""
    todo = [(np.full(2, -np.inf), np.full(2, np.inf), np.arange(len(xy)))]
    done = []
    while todo:
        low, high, mine = todo.pop()
        if len(mine) <= _POINTS:
            done.append((low, high))
            continue
        axis = int(np.ptp(xy[mine], axis=0).argmax())
        half = float(np.median(xy[mine, axis]))
        below, above = high.copy(), low.copy()
        below[axis] = above[axis] = half
        left = xy[mine, axis] < half
        todo += [(low, below, mine[left]), (above, high, mine[~left])]
    return done


def _voronoi(xy: Floats, low: Floats, high: Floats) -> tuple[Floats, Ints, Ints]:
    """Return the Voronoi edges whose middle lies in a box, shape (m, 2, 2), and the two points that each is between."""
    from scipy.spatial import Delaunay

    near = np.flatnonzero(((xy >= low - _MARGIN) & (xy <= high + _MARGIN)).all(axis=1))
    if len(near) < 4:
        return np.empty((0, 2, 2)), near[:0], near[:0]
    mesh = Delaunay(xy[near])
    corners = near[np.sort(mesh.simplices, axis=1)]  # in one order, so that a centre is the same in every tile
    centre = _centres(xy, corners)
    one, side = np.nonzero(mesh.neighbors > np.arange(len(corners))[:, None])
    other = mesh.neighbors[one, side]
    a, b = (near[mesh.simplices[one, (side + by) % 3]] for by in (1, 2))
    edges = centre[np.stack([one, other], axis=1)]
    middle = edges.mean(axis=1)
    here = np.isfinite(edges).all(axis=(1, 2)) & ((middle >= low) & (middle < high)).all(axis=1)
    return edges[here], a[here], b[here]


def _centres(xy: Floats, corners: Ints) -> Floats:
    """Return the centres of the circles through three points each, rounded to a hundredth of a millimetre; infinite on a line."""
    origin, p, q = (xy[corners[:, k]] for k in range(3))
    p, q = p - origin, q - origin
    twice = 2.0 * (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])
    pp, qq = (p**2).sum(axis=1), (q**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (q[:, 1] * pp - p[:, 1] * qq) / twice
        y = (p[:, 0] * qq - q[:, 0] * pp) / twice
    return np.asarray(np.round(origin + np.stack([x, y], axis=1), 5))


def _merged(lines: Shapes) -> Shapes:
    """Return lines joined at nodes of two, in an order that does not depend on theirs."""
    import shapely

    if not len(lines):
        return lines
    parts = shapely.normalize(shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines))))
    box = shapely.bounds(parts)
    return np.asarray(parts[np.lexsort((shapely.length(parts), box[:, 3], box[:, 2], box[:, 1], box[:, 0]))])


def _ends(lines: Shapes) -> tuple[Ints, Ints, Floats]:
    """Return the nodes at the ends of lines, and their places."""
    import shapely

    tips = shapely.get_coordinates(np.concatenate([shapely.get_point(lines, 0), shapely.get_point(lines, -1)]))
    places, node = np.unique(tips, axis=0, return_inverse=True)
    node = node.reshape(-1)
    return node[: len(lines)], node[len(lines) :], places


def _pruned(segments: Floats, tree: cKDTree) -> Shapes:
    """Return the lines that segments make, without twigs shorter than the width at their root."""
    import shapely

    lines = _merged(np.asarray(shapely.linestrings(segments)) if len(segments) else np.empty(0, object))
    for _ in range(_ROUNDS):
        if not len(lines):
            break
        start, end, places = _ends(lines)
        degree = np.bincount(np.concatenate([start, end]), minlength=len(places))
        twig = ((degree[start] == 1) & (degree[end] > 2)) | ((degree[end] == 1) & (degree[start] > 2))
        root = np.where(degree[start] > 2, start, end)
        length = shapely.length(lines)
        short = twig & (length < 2.0 * tree.query(places)[0][root])
        order = np.lexsort((-length, root))
        rank = np.empty(len(lines), np.int64)
        only = short[order]
        rank[order] = np.cumsum(only) - np.searchsorted(np.sort(root[short]), root[order])  # place of a twig among the short of its root
        bare = np.bincount(root[short], minlength=len(places)) == degree
        short &= ~bare[root] | (rank > 2)
        if not short.any():
            break
        lines = _merged(lines[~short])
    return lines


def _to_outline(lines: Shapes, tree: cKDTree) -> Shapes:
    """Return lines whose free ends go on to the outline, straight on, where it is no further than 2.5 times half the width."""
    import shapely

    if not len(lines):
        return lines
    start, end, places = _ends(lines)
    degree = np.bincount(np.concatenate([start, end]), minlength=len(places))
    made = lines.copy()
    for side, node in ((0, start), (1, end)):
        rows = np.flatnonzero(degree[node] == 1)
        tip = places[node[rows]]
        radius = tree.query(tip)[0]
        length = shapely.length(lines[rows])
        back = np.minimum(2.0 * radius, length)
        inner = shapely.get_coordinates(shapely.line_interpolate_point(lines[rows], np.where(side == 0, back, length - back)))
        ahead = (tip - inner) / np.maximum(np.hypot(*(tip - inner).T), 1e-9)[:, None]
        count = np.arange(1, int(2.5 * radius.max(initial=0.0) / _STRIDE) + 2)
        trial = tip[:, None] + ahead[:, None] * (count * _STRIDE)[None, :, None]
        far = tree.query(trial.reshape(-1, 2))[0].reshape(trial.shape[:2])
        hit = (far < 0.55 * _STEP) & (count * _STRIDE <= 2.5 * radius[:, None])
        there = hit.any(axis=1)
        window = np.minimum(hit.argmax(axis=1)[:, None] + np.arange(3), len(count) - 1)  # the crossing is the nearest of what follows
        reached = trial[
            np.arange(len(rows)), np.take_along_axis(window, np.take_along_axis(far, window, 1).argmin(axis=1)[:, None], 1)[:, 0]
        ]
        xy, of = shapely.get_coordinates(made[rows[there]], return_index=True)
        at = np.searchsorted(of, np.arange(int(there.sum())), side="left" if side == 0 else "right")
        made[rows[there]] = shapely.linestrings(np.insert(xy, at, reached[there], axis=0), indices=np.insert(of, at, np.arange(len(at))))
    return made


def _contracted(lines: Shapes, tree: cKDTree) -> Skeleton:
    """Return lines with nodes, those of one junction as one: the node that is furthest from the outline."""
    import shapely
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(lines):
        return Skeleton(lines, np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2)), np.empty(0))
    start, end, places = _ends(lines)
    radius = tree.query(places)[0]
    degree = np.bincount(np.concatenate([start, end]), minlength=len(places))
    length = shapely.length(lines)
    reach = np.maximum(radius[start], radius[end])
    short = (degree[start] > 2) & (degree[end] > 2) & (start != end) & (length < 1.25 * reach)
    edges = coo_array((np.ones(int(short.sum()), bool), (start[short], end[short])), shape=(len(places), len(places)))
    _, cluster = connected_components(edges, directed=False)
    order = np.lexsort((-radius, cluster))
    centre = order[np.searchsorted(cluster[order], np.arange(cluster.max() + 1))]
    start, end = cluster[start], cluster[end]
    keep = (start != end) | (length > 2.0 * np.pi * reach)
    drawn = _straightened(lines[keep], start[keep], end[keep], places[centre], radius[centre], degree[centre] > 2)
    return _without_loops(drawn, start[keep], end[keep], places[centre], radius[centre])


def _straightened(lines: Shapes, start: Ints, end: Ints, places: Floats, radius: Floats, junction: Bools) -> Shapes:
    """Return lines that lead straight to the middle of their junctions, from where they enter the circle within the outline."""
    import shapely

    xy, of = shapely.get_coordinates(lines, return_index=True)
    keep = np.ones(len(xy), bool)
    for node in (start, end):
        keep &= ~junction[node][of] | (np.hypot(*(xy - places[node][of]).T) > radius[node][of])
    first = np.diff(of, prepend=-1) != 0
    last = np.append(first[1:], True)
    keep &= ~((first & junction[start][of]) | (last & junction[end][of]))
    for side, node in ((first, start), (last, end)):
        keep |= side & ~junction[node][of]
    every = np.arange(len(lines))
    heads, tails = every[junction[start]], every[junction[end]]
    rank = np.concatenate([np.zeros(len(heads)), np.ones(int(keep.sum())), np.full(len(tails), 2)])
    whose = np.concatenate([heads, of[keep], tails])
    points = np.concatenate([places[start[heads]], xy[keep], places[end[tails]]])
    order = np.lexsort((np.arange(len(whose)), rank, whose))
    return np.asarray(shapely.linestrings(points[order], indices=whose[order]))


def _without_loops(lines: Shapes, start: Ints, end: Ints, places: Floats, radius: Floats) -> Skeleton:
    """Return the skeleton with lines that end where they begin cut in the middle."""
    import shapely

    loop = np.flatnonzero(start == end)
    if len(loop):
        whole = lines[loop]
        size = shapely.get_num_coordinates(whole)
        at = np.maximum(size // 2, 1)
        xy, of = shapely.get_coordinates(whole, return_index=True)
        place = np.arange(len(xy)) - np.searchsorted(of, of)
        halves = [shapely.linestrings(xy[mine], indices=of[mine]) for mine in (place <= at[of], place >= at[of])]
        node = len(places) + np.arange(len(loop))
        rest = np.setdiff1d(np.arange(len(lines)), loop)
        lines = np.concatenate([lines[rest], *halves])
        start, end = np.concatenate([start[rest], start[loop], node]), np.concatenate([end[rest], node, end[loop]])
        middle = shapely.get_coordinates(shapely.get_point(whole, at))
        places, radius = np.concatenate([places, middle]), np.concatenate([radius, radius[start[len(rest) : len(rest) + len(loop)]]])
    used, ends = np.unique(np.concatenate([start, end]), return_inverse=True)
    return Skeleton(lines, ends[: len(lines)], ends[len(lines) :], places[used], radius[used])
