"""Centrelines of road areas, each piece the part of one area, with its width: what stands in for a network where only areas are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.skeleton import Skeleton, outline_tree, skeleton

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["Centrelines", "centrelines"]

_SLIVER = 0.05
"""Half of the gaps between areas that are closed [m]."""
_OVERLAP = 1.0
"""Areas that have more [m²] in common lie over each other."""
_CONTACT = 2.0
"""Least length [m] along which areas of different levels touch where a road leads from one to the other."""
_END = 8.0
"""An area more than three times as long as wide that touches one of another level along more [m], and along more than 1.5 times its
width, lies beside it."""
_SAMPLE = 1.0
"""Step in which a line is asked what area it is in [m]."""
_SHORTEST = 10.0
"""A piece of another area that is shorter [m] belongs to its neighbour: speed humps and the like make no links."""
_LEAST_AREA = 4.0
"""[m²]; what is left alone and smaller has no centreline."""


@dataclass(frozen=True)
class Centrelines:
    """Links along the middle of areas."""

    area: Ints
    """Row of the area that holds most of the link."""
    lines: Shapes
    start: Ints
    """Rows of `places`."""
    end: Ints
    places: Floats
    storey: Floats
    """Of the places."""
    width: Floats
    """Twice the median distance from the outline, away from junctions [m]."""
    islands: int
    """Holes that were filled."""
    portals: int
    """Joints of sheets that lie over each other."""
    failed: int
    """Areas that have no part of a centreline in them or in what they touch."""


@dataclass(frozen=True)
class _Net:
    """Lines with nodes; `storey` of each line."""

    lines: Shapes
    start: Ints
    end: Ints
    places: Floats
    storey: Floats
    width: Floats


def centrelines(areas: Shapes, storey: Floats, *, island: float) -> Centrelines:
    """Return centrelines of areas, those that touch put together.

    Areas of another storey are put together with what they touch at their ends, unless they lie over or under an area: then their
    centrelines meet where the areas touch.

    Parameters
    ----------
    areas : shape (n,)
        Shapely polygons and multipolygons, in metres.
    storey : shape (n,)
        Such as 1 for a bridge, 0 for the ground.
    island
        Smaller holes are filled [m²].
    """
    import shapely

    areas = np.where(shapely.is_valid(areas), areas, shapely.make_valid(areas))
    sheet = _sheets(areas, storey)
    nets, islands, sheets = [], 0, []
    for level in np.unique(sheet).tolist():
        whole, filled = _whole(areas[sheet == level], island)
        islands += filled
        if len(whole):
            nets.append(_net(skeleton(whole), whole, level))
            sheets.append(whole)
    net, portals = _joined_sheets(nets, sheets)
    return _by_area(net, areas, sheet, islands, portals)


def _sheets(areas: Shapes, storey: Floats) -> Floats:
    """Return the sheet of each area: the ground's also for what is raised or sunk, lies over nothing, and touches the ground at its end."""
    import shapely

    sheet = storey.copy()
    for level in sorted(set(storey.tolist()) - {0.0}, key=abs):
        mine = np.flatnonzero(storey == level)
        decks = shapely.get_parts(shapely.union_all(shapely.buffer(areas[mine], _SLIVER, join_style="mitre")))
        rest = np.flatnonzero(storey != level)
        deck, other = shapely.STRtree(areas[rest]).query(decks, predicate="intersects")
        common = shapely.area(shapely.intersection(decks[deck], areas[rest[other]]))
        narrow = _narrow(decks)
        slender = shapely.area(decks) > 3.0 * narrow**2
        long = np.where(slender, np.maximum(1.5 * narrow, _END), np.inf)[deck]
        contact = common / _SLIVER
        ground = sheet[rest[other]] == 0
        touches = np.bincount(deck, ground & (contact >= _CONTACT) & (contact <= long), len(decks)) > 0
        along = np.bincount(deck, contact > long, len(decks)) > 0
        flat = touches & ~along & (np.bincount(deck, common > _OVERLAP, len(decks)) == 0)
        which = shapely.STRtree(decks).nearest(shapely.point_on_surface(areas[mine]))
        sheet[mine[flat[which]]] = 0.0
    return sheet


def _narrow(shapes: Shapes) -> Floats:
    """Return the width of a rectangle of the same area and length around [m]."""
    import shapely

    half, area = shapely.length(shapes) / 4.0, shapely.area(shapes)
    return np.asarray(half - np.sqrt(np.maximum(half**2 - area, 0.0)), float)


def _whole(areas: Shapes, island: float) -> tuple[Shapes, int]:
    """Return areas put together, small holes filled, and how many were."""
    import shapely

    grown = shapely.union_all(shapely.buffer(areas, _SLIVER, join_style="mitre"))
    parts = shapely.get_parts(shapely.buffer(grown, -_SLIVER, join_style="mitre"))
    parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) >= _LEAST_AREA)]
    rings, of = shapely.get_rings(parts, return_index=True)
    outer = np.diff(of, prepend=-1) != 0
    small = ~outer & (shapely.area(shapely.polygons(rings)) < island) if len(rings) else np.zeros(0, bool)
    kept = shapely.polygons(rings[~small], indices=of[~small]) if len(rings) else parts
    order = np.lexsort(shapely.bounds(kept).T)
    return np.asarray(kept[order]), int(small.sum())


def _net(found: Skeleton, whole: Shapes, level: float) -> _Net:
    """Return a skeleton with widths, its lines without needless corners."""
    tree = outline_tree(whole)
    width = _widths(found, tree)
    slack = np.minimum(0.12 * width, 0.75)
    return _Net(_simplified(found.lines, slack), found.start, found.end, found.places, np.full(len(width), level), width)


def _simplified(lines: Shapes, slack: Floats) -> Shapes:
    """Return lines that leave out corners, by no more than the slack of each."""
    import shapely

    made = lines.copy()
    for size in np.unique(np.round(slack, 2)).tolist():
        mine = np.round(slack, 2) == size
        made[mine] = shapely.simplify(lines[mine], size)
    return made


def _samples(lines: Shapes, step: float) -> tuple[Floats, Ints, Floats]:
    """Return points along lines at the middle of equal steps, whose they are, and how far along [m]."""
    import shapely

    length = shapely.length(lines)
    count = np.maximum(np.ceil(length / step).astype(np.int64), 1)
    of = np.repeat(np.arange(len(lines)), count)
    place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    run = (place + 0.5) * (length / count)[of]
    return shapely.get_coordinates(shapely.line_interpolate_point(lines[of], run)), of, run


def _widths(found: Skeleton, tree: Any) -> Floats:
    """Return twice the median distance of lines from the outline, away from the circles of their junctions where there is anything else."""
    import shapely

    if not len(found.lines):
        return np.empty(0)
    xy, of, run = _samples(found.lines, _SAMPLE)
    length = shapely.length(found.lines)[of]
    away = (run > found.radius[found.start][of]) & (length - run > found.radius[found.end][of])
    away |= ~(np.bincount(of, away, len(found.lines)) > 0)[of]
    far = tree.query(xy)[0]
    return 2.0 * _medians(far[away], of[away], len(found.lines))


def _medians(values: Floats, of: Ints, count: int) -> Floats:
    order = np.lexsort((values, of))
    size = np.bincount(of, minlength=count)
    begin = np.cumsum(size) - size
    ranked = values[order]
    return np.asarray((ranked[begin + (size - 1) // 2] + ranked[begin + size // 2]) / 2.0, float)


# ---------------------------------------------------------------- sheets that lie over each other


def _joined_sheets(nets: list[_Net], sheets: list[Shapes]) -> tuple[_Net, int]:
    """Return the nets of all sheets as one, joined where the end of a line of one sheet lies at the edge of another."""
    shift = np.cumsum([0, *(len(net.places) for net in nets)])
    net = _Net(
        np.concatenate([np.empty(0, object), *(one.lines for one in nets)]),
        np.concatenate([np.empty(0, np.int64), *(one.start + by for one, by in zip(nets, shift, strict=False))]),
        np.concatenate([np.empty(0, np.int64), *(one.end + by for one, by in zip(nets, shift, strict=False))]),
        np.concatenate([np.empty((0, 2)), *(one.places for one in nets)]),
        np.concatenate([np.empty(0), *(one.storey for one in nets)]), np.concatenate([np.empty(0), *(one.width for one in nets)]),
    )  # fmt: skip
    portals = 0
    for a, one in enumerate(sheets):
        for other in sheets[a + 1 :]:
            for spot in _contacts(one, other):
                net, joined = _through(net, spot)
                portals += joined
    return net, portals


def _contacts(one: Shapes, other: Shapes) -> list[Floats]:
    """Return the middle of each stretch along which areas of two sheets touch without lying over each other."""
    import shapely

    a, b = shapely.STRtree(other).query(one, predicate="dwithin", distance=2 * _SLIVER)
    strip = shapely.intersection(shapely.buffer(one[a], _SLIVER), shapely.buffer(other[b], _SLIVER))
    parts = shapely.get_parts(strip)
    thin = (shapely.get_type_id(parts) == 3) & (shapely.area(shapely.buffer(parts, -2 * _SLIVER)) == 0)
    parts = parts[thin & (shapely.area(parts) / (2 * _SLIVER) >= _CONTACT)]
    return list(shapely.get_coordinates(shapely.centroid(parts)))


def _through(net: _Net, spot: Floats) -> tuple[_Net, bool]:
    """Return the net with a free end of one sheet joined to another sheet at a spot on the edge of both."""
    import shapely

    degree = np.bincount(np.concatenate([net.start, net.end]), minlength=len(net.places))
    here = shapely.Point(spot)
    near = np.flatnonzero(shapely.dwithin(net.lines, here, np.maximum(net.width, 3.0)))
    ends = [(float(np.hypot(*(net.places[node] - spot))), int(net.storey[row]), int(row), int(node))
            for row in near.tolist() for node in (net.start[row], net.end[row]) if degree[node] == 1]  # fmt: skip
    ends = [one for one in sorted(ends) if one[0] <= max(net.width[one[2]], 3.0)]
    if not ends:
        return net, False
    _, level, row, node = ends[0]
    others = [one for one in ends if one[1] != level]
    if others:
        return _one_node(net, row, node, others[0][3]), True
    over = near[net.storey[near] != level]
    if not len(over):
        return net, False
    target = int(over[shapely.distance(net.lines[over], here).argmin()])
    return _onto(net, row, node, target, spot), True


def _one_node(net: _Net, row: int, node: int, other: int) -> _Net:
    """Return the net with the end of a line led on to another node."""
    lines, start, end = net.lines.copy(), net.start.copy(), net.end.copy()
    lines[row] = _led_to(lines[row], net.places[[other]], at_start=start[row] == node)
    start[row], end[row] = (other, end[row]) if start[row] == node else (start[row], other)
    return _Net(lines, start, end, net.places, net.storey, net.width)


def _onto(net: _Net, row: int, node: int, target: int, spot: Floats) -> _Net:
    """Return the net with the end of a line led over a spot onto another line, which is cut there."""
    import shapely
    from shapely.ops import substring

    line = net.lines[target]
    run = float(shapely.line_locate_point(line, shapely.Point(spot)))
    run = min(max(run, 0.0), float(line.length))
    tail, head = int(net.start[target]), int(net.end[target])
    if run < 1.0 or run > line.length - 1.0:
        reached = tail if run < 1.0 else head
        moved = _one_node(net, row, node, reached)
        lines = moved.lines.copy()
        lines[row] = _led_to(net.lines[row], np.stack([spot, net.places[reached]]), at_start=net.start[row] == node)
        return _Net(lines, moved.start, moved.end, moved.places, moved.storey, moved.width)
    new = len(net.places)
    foot = shapely.get_coordinates(shapely.line_interpolate_point(line, run))[0]
    lines = np.append(net.lines, np.array([substring(line, run, line.length)], object))
    lines[target] = substring(line, 0.0, run)
    lines[row] = _led_to(net.lines[row], np.stack([spot, foot]), at_start=net.start[row] == node)
    start, end = np.append(net.start, new), np.append(net.end, head)
    end[target] = new
    start[row], end[row] = (new, end[row]) if net.start[row] == node else (start[row], new)
    return _Net(lines, start, end, np.vstack([net.places, foot]), np.append(net.storey, net.storey[target]),
                np.append(net.width, net.width[target]))  # fmt: skip


def _led_to(line: Any, points: Floats, *, at_start: bool) -> Any:
    import shapely

    xy = shapely.get_coordinates(line)
    return shapely.LineString(np.vstack([points[::-1], xy]) if at_start else np.vstack([xy, points]))


# ---------------------------------------------------------------- a link belongs to one area


def _by_area(net: _Net, areas: Shapes, sheet: Floats, islands: int, portals: int) -> Centrelines:
    """Return lines cut where the area changes, each with the area that it is in."""
    import shapely

    if not len(net.lines):
        return Centrelines(
            np.empty(0, np.int64), net.lines, net.start, net.end, net.places, np.empty(0), net.width, islands, portals, len(areas)
        )
    xy, of, _ = _samples(net.lines, _SAMPLE)
    inside = _area_at(xy, net.storey[of], areas, sheet)
    line, area, begin = _runs(of, inside, shapely.length(net.lines))
    last = np.append(np.diff(line) != 0, True)
    first = np.append(True, last[:-1])
    finish = np.where(last, shapely.length(net.lines)[line], np.append(begin[1:], 0.0))
    pieces = _cut(net.lines, line, begin, finish)
    inner = np.flatnonzero(~last)
    fresh = np.full(len(line), -1)
    fresh[inner] = len(net.places) + np.arange(len(inner))
    start = np.where(first, net.start[line], np.append(-1, fresh[:-1]))
    end = np.where(last, net.end[line], fresh)
    places = np.concatenate([net.places, shapely.get_coordinates(shapely.get_point(pieces[inner], -1))])
    used, ends = np.unique(np.concatenate([start, end]), return_inverse=True)
    storey = np.zeros(len(places))
    storey[end], storey[start] = net.storey[line], net.storey[line]
    failed = int((~_reached(areas, net.lines)).sum())
    order = np.lexsort((begin, line, area))
    return Centrelines(area[order], pieces[order], ends[: len(line)][order], ends[len(line) :][order], places[used], storey[used],
                       net.width[line][order], islands, portals, failed)  # fmt: skip


def _area_at(xy: Floats, storey: Floats, areas: Shapes, sheet: Floats) -> Ints:
    """Return the area of the same sheet that each point lies in, the nearest where it lies in none."""
    import shapely

    found = np.full(len(xy), -1)
    points = shapely.points(xy)
    for level in np.unique(storey).tolist():
        mine, theirs = np.flatnonzero(storey == level), np.flatnonzero(sheet == level)
        tree = shapely.STRtree(areas[theirs])
        point, area = tree.query(points[mine], predicate="intersects")
        order = np.lexsort((area, point))[::-1]  # the first area stays when written last
        found[mine[point[order]]] = theirs[area[order]]
        out = mine[found[mine] < 0]
        if len(out):
            found[out] = theirs[tree.nearest(points[out])]
    return found


def _runs(of: Ints, inside: Ints, length: Floats) -> tuple[Ints, Ints, Floats]:
    """Return line, area and beginning [m] of stretches in one area; those shorter than `_SHORTEST` go to the longer neighbour."""
    step = length[of] / np.bincount(of)[of]
    new = (np.diff(of, prepend=-1) != 0) | (np.diff(inside, prepend=-1) != 0)
    stretch = np.cumsum(new) - 1
    line, area, size = of[new], inside[new], np.bincount(stretch, step)
    while True:
        joined_before, joined_after = np.append(False, line[1:] == line[:-1]), np.append(line[1:] == line[:-1], False)
        before, after = np.append(0.0, size[:-1]) * joined_before, np.append(size[1:], 0.0) * joined_after
        least = np.minimum(np.where(joined_before, before, np.inf), np.where(joined_after, after, np.inf))
        short = (size < _SHORTEST) & (joined_before | joined_after) & (size <= least)
        short &= ~(np.append(False, short[:-1]) & joined_before)  # of two neighbours one at a time
        if not short.any():
            break
        to = np.arange(len(line)) + np.where(short, np.where(before >= after, -1, 1), 0)
        area = area[to]
        new = np.append(True, (np.diff(line) != 0) | (np.diff(area) != 0))
        line, area, size = line[new], area[new], np.bincount(np.cumsum(new) - 1, size)
    begin = np.cumsum(size) - size
    head = np.append(True, line[1:] != line[:-1])
    return line, area, np.asarray(begin - begin[head][np.cumsum(head) - 1], float)


def _cut(lines: Shapes, line: Ints, begin: Floats, finish: Floats) -> Shapes:
    """Return the pieces of lines from one distance to another."""
    import shapely

    xy, of = shapely.get_coordinates(lines, return_index=True)
    step = np.hypot(*np.diff(xy, axis=0, prepend=xy[:1]).T)
    total = np.cumsum(step)
    head = np.flatnonzero(np.diff(of, prepend=-1))
    run = total - total[head][of]
    low, high = np.searchsorted(of, line), np.searchsorted(of, line, side="right")
    count = high - low
    piece = np.repeat(np.arange(len(line)), count)
    point = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    within = (run[point] > begin[piece] + 1e-6) & (run[point] < finish[piece] - 1e-6)
    ends = [shapely.get_coordinates(shapely.line_interpolate_point(lines[line], at)) for at in (begin, finish)]
    every = np.arange(len(line))
    whose = np.concatenate([every, piece[within], every])
    order = np.lexsort((np.concatenate([begin, run[point][within], finish]), whose))
    return np.asarray(shapely.linestrings(np.concatenate([ends[0], xy[point[within]], ends[1]])[order], indices=whose[order]))


def _reached(areas: Shapes, lines: Shapes) -> Bools:
    """Return which areas a centreline comes near, by the size of the area."""
    import shapely

    found = np.zeros(len(areas), bool)
    near = shapely.STRtree(lines).query(areas, predicate="dwithin", distance=np.maximum(np.sqrt(shapely.area(areas)), 2.0))
    found[near[0]] = True
    return found
