"""Lines cut where they meet, and the nodes that their ends share: what makes a drawing of centrelines a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["LooseEnds", "Noded", "loose_ends", "node_lines"]

_SAME = 1e-3
"""Points nearer than this [m] are one vertex."""
_LOOSE = 5.0
"""How far from another line an end may lie to be told [m]."""


@dataclass(frozen=True)
class Noded:
    """Pieces of lines between nodes."""

    line: Ints
    """Which line a piece is of; pieces of a line follow one another."""
    first: Ints
    """Vertex of the line that the piece begins at, -1 where it begins between two."""
    last: Ints
    pieces: NDArray[np.object_]
    start: Ints
    """Rows of `places`."""
    end: Ints
    places: Floats
    """Shape (m, 2): one point of those that make a node, that of the first line."""
    storey: Floats
    """Shape (m,): the storey of that line."""
    touched: int
    """Ends that lie on the middle of another line."""
    snapped: int
    """Nodes whose points lie apart, within the snap."""
    crossed: int
    """Crossings without a common vertex that became nodes."""
    passed: int
    """Crossings without a common vertex that did not."""
    over: int
    """Crossings and ends on lines of another storey."""
    overlapping: int
    """Pairs of lines that run on each other."""
    dropped: int
    """Pieces shorter than the snap, whose ends are one node."""


@dataclass(frozen=True)
class LooseEnds:
    """Ends that meet nothing."""

    gap: Floats
    """Distance of each to the nearest line on its level that does not meet its own [m]; none are in it that lie further than 5 m off."""
    parts: int
    """Pieces that hang together make one part."""


@dataclass(frozen=True)
class _Cuts:
    """Places on lines where they are cut."""

    line: Ints
    run: Floats
    """Distance from the beginning of the line [m]."""


def node_lines(lines: NDArray[Any], *, snap: float, cross: Literal["split", "pass"], storey: Floats) -> Noded:
    """Return the pieces between the nodes of lines.

    Ends within `snap` of each other are one node. An end within `snap` of the middle of another line cuts it there, and so does a vertex
    that two lines have in common. Crossings without a common vertex cut both when `cross` is ``"split"``. Lines of different storeys meet
    only at their ends.

    Parameters
    ----------
    lines : shape (n,)
        Shapely line strings, in metres.
    snap
        [m]
    storey : shape (n,)
        Such as 1 for a bridge, 0 for the ground, -1 for a tunnel.
    """
    import shapely

    xy, of = shapely.get_coordinates(lines, return_index=True)
    run = _along(xy, of)
    shared = _shared(xy, of, storey)
    ends, touched, over = _touching(lines, snap, storey)
    crossings, passed, under, overlapping = _crossing(lines, xy[shared], snap, cross, storey)
    cut = _Cuts(np.concatenate([of[shared], ends.line, crossings.line]), np.concatenate([run[shared], ends.run, crossings.run]))
    return _pieces(lines, xy, of, run, cut, snap, storey, (touched, len(crossings.line) // 2, passed, over + under, overlapping))


def _along(xy: Floats, of: Ints) -> Floats:
    """Return how far along its line every coordinate lies [m]."""
    step = np.hypot(*np.diff(xy, axis=0, prepend=xy[:1]).T)
    total = np.cumsum(step)
    begin = np.flatnonzero(np.diff(of, prepend=-1))
    return np.asarray(total - np.repeat(total[begin], np.diff(np.append(begin, len(of)))), float)


def _is_end(of: Ints) -> Bools:
    first = np.diff(of, prepend=-1) != 0
    return np.asarray(first | np.append(first[1:], True))


def _shared(xy: Floats, of: Ints, storey: Floats) -> Ints:
    """Return inner vertices that another vertex lies on: an end of any line, or a vertex of the same storey."""
    _, place = np.unique(np.round(xy / _SAME).astype(np.int64), axis=0, return_inverse=True)
    place = place.reshape(-1)
    end = _is_end(of)
    ended = np.bincount(place, end)[place] > 0
    _, level = np.unique(storey, return_inverse=True)
    _, both, many = np.unique(np.stack([place, level.reshape(-1)[of]]), axis=1, return_inverse=True, return_counts=True)
    return np.flatnonzero(~end & (ended | (many[both.reshape(-1)] > 1)))


def _touching(lines: NDArray[Any], snap: float, storey: Floats) -> tuple[_Cuts, int, int]:
    """Return where ends lie on the middle of other lines, how many do, and how many on a line of another storey."""
    import shapely

    tips = np.concatenate([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    owner = np.tile(np.arange(len(lines)), 2)
    tip, line = shapely.STRtree(lines).query(tips, predicate="dwithin", distance=max(snap, _SAME))
    keep = owner[tip] != line
    tip, line = tip[keep], line[keep]
    inner = np.minimum(shapely.distance(tips[tip], tips[line]), shapely.distance(tips[tip], tips[line + len(lines)])) > max(snap, _SAME)
    tip, line = tip[inner], line[inner]
    same = storey[owner[tip]] == storey[line]
    run = shapely.line_locate_point(lines[line[same]], tips[tip[same]])
    return _Cuts(line[same], run), len(np.unique(tip[same])), int((~same).sum())


def _crossing(lines: NDArray[Any], joined: Floats, snap: float, cross: str, storey: Floats) -> tuple[_Cuts, int, int, int]:
    """Return where lines cross but at the joined vertices, how many crossings are no nodes, over each other, and how many pairs overlap."""
    import shapely
    from scipy.spatial import cKDTree

    a, b = shapely.STRtree(lines).query(lines, predicate="intersects")
    a, b = a[a < b], b[a < b]
    common = shapely.intersection(lines[a], lines[b])
    parts, pair = shapely.get_parts(common, return_index=True)
    dots = shapely.get_type_id(parts) == 0
    overlapping = len(np.unique(pair[~dots]))
    points, pair = parts[dots], pair[dots]
    runs = [shapely.line_locate_point(lines[side[pair]], points) for side in (a, b)]
    reach, length = max(snap, _SAME), shapely.length(lines)
    free = cKDTree(joined).query(shapely.get_coordinates(points))[0] > _SAME if len(joined) else np.ones(len(points), bool)
    for side, run in zip((a, b), runs, strict=True):
        free &= (run > reach) & (run < length[side[pair]] - reach)
    same = storey[a[pair]] == storey[b[pair]]
    over = int((free & ~same).sum())
    cut = np.flatnonzero(free & same & (cross == "split"))
    passed = int((free & same).sum()) - len(cut) if cross == "pass" else 0
    return _Cuts(np.concatenate([a[pair[cut]], b[pair[cut]]]), np.concatenate([runs[0][cut], runs[1][cut]])), passed, over, overlapping


def _pieces(
    lines: NDArray[Any], xy: Floats, of: Ints, run: Floats, cut: _Cuts, snap: float, storey: Floats, told: tuple[int, int, int, int, int]
) -> Noded:  # fmt: skip
    """Return lines cut at the cuts, ends joined to nodes."""
    import shapely

    spots = shapely.get_coordinates(shapely.line_interpolate_point(lines[cut.line], cut.run))
    line = np.concatenate([of, cut.line])
    far = np.concatenate([run, cut.run])
    points = np.concatenate([xy, spots])
    vertex = np.concatenate([np.arange(len(of)) - np.searchsorted(of, of), np.full(len(cut.line), -1)])
    end = np.concatenate([_is_end(of), np.zeros(len(cut.line), bool)])
    order = np.lexsort((vertex < 0, far, line))  # a vertex before the cut that falls on it
    line, far, points, vertex, end = line[order], far[order], points[order], vertex[order], end[order]
    marked = end | (vertex < 0)
    near = np.append((np.diff(line) == 0) & (np.diff(far) < _SAME), False)  # the next point lies here too
    before = np.append(False, near[:-1])
    marked[:-1] |= near[:-1] & marked[1:]
    keep = ~(before & (vertex < 0))
    line, far, points, vertex, end, marked = line[keep], far[keep], points[keep], vertex[keep], end[keep], marked[keep]
    at = np.flatnonzero(marked)
    begin, finish = at[:-1], at[1:]
    whole = line[begin] == line[finish]
    begin, finish = begin[whole], finish[whole]
    node, places, level, apart = _nodes(points[at], line[at], end[at], snap, storey)
    place = np.full(len(line), -1)
    place[at] = node
    real = (place[begin] != place[finish]) | (far[finish] - far[begin] > 2 * snap)
    dropped = int((~real).sum())
    begin, finish = begin[real], finish[real]
    count = finish - begin + 1
    which = np.repeat(np.arange(len(begin)), count)
    inside = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    made = np.asarray(shapely.linestrings(points[inside], indices=which)) if len(begin) else np.empty(0, object)
    touched, crossed, passed, over, overlapping = told
    used, ends = np.unique(place[np.concatenate([begin, finish])], return_inverse=True)
    return Noded(
        line[begin], vertex[begin], vertex[finish], made, ends[: len(begin)], ends[len(begin) :], places[used], level[used],
        touched, apart, crossed, passed, over, overlapping, dropped,
    )  # fmt: skip


def _nodes(points: Floats, line: Ints, end: Bools, snap: float, storey: Floats) -> tuple[Ints, Floats, Floats, int]:
    """Return the node of each point, the places and storeys of nodes, and how many have points that lie apart."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(points).query_pairs(max(snap, _SAME), output_type="ndarray") if len(points) else np.empty((0, 2), np.int64)
    level = storey[line]
    a, b = pairs.T
    joined = (level[a] == level[b]) | (end[a] & end[b])
    a, b = a[joined], b[joined]
    _, node = connected_components(coo_array((np.ones(len(a), bool), (a, b)), shape=(len(points), len(points))), directed=False)
    _, first = np.unique(node, return_index=True)
    apart = np.hypot(*(points - points[first][node]).T) > _SAME
    return node.astype(np.int64), points[first], level[first], len(np.unique(node[apart]))


def loose_ends(noded: Noded, storey: Floats) -> LooseEnds:
    """Return the dead ends that lie near a line they do not meet: what a greater snap would join.

    Parameters
    ----------
    storey : shape (n,)
        Of each line, as for `node_lines`.
    """
    import shapely
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, nodes = len(noded.start), len(noded.places)
    joined = coo_array((np.ones(count, bool), (noded.start, noded.end)), shape=(nodes, nodes))
    parts, _ = connected_components(joined, directed=False)
    ends = np.concatenate([noded.start, noded.end])
    dead = np.flatnonzero(np.bincount(ends, minlength=nodes)[ends] == 1)
    own = dead % max(count, 1)
    other = np.concatenate([noded.end, noded.start])[dead]
    points = np.asarray(shapely.get_point(noded.pieces[own], np.where(dead < count, 0, -1)))
    tip, line = shapely.STRtree(noded.pieces).query(points, predicate="dwithin", distance=_LOOSE)
    level = storey[noded.line]
    free = (noded.start[line] != other[tip]) & (noded.end[line] != other[tip]) & (own[tip] != line) & (level[own[tip]] == level[line])
    gap = np.full(len(dead), np.inf)
    np.minimum.at(gap, tip[free], shapely.distance(points[tip[free]], noded.pieces[line[free]]))
    return LooseEnds(gap[np.isfinite(gap)], int(parts))
