"""Channels cut into a terrain where water passes under what stands on it: culverts and underpasses; passages that are kept open.

All of a kind are cut at once; cells are lowered only, and it is said what was done to which object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cim.sim.cells import CellsAlongLines, cells_inside, path_cells
from cim.sim.flood.crossings import named
from cim.sim.flood.decks import RAISED, REACH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.coverages import Raster
    from cim.sim.flood.crossings import Crossings

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["LONGEST", "breach_culverts", "burn_underpasses", "open_passages"]

LONGEST = 200.0
"""Longest culvert or underpass that is cut into the terrain [m]; a longer one is a tunnel, whose water the terrain cannot carry."""
_OPEN = 2.0
"""An underpass lies open where the ground beside it is this much higher than its floor [m]."""
_CLEAR = 3.0
"""Height under what crosses that is taken for a way [m]; less, and the floor at the ends is not believed."""
_AND = " + "
"""Between the ids of ways that follow each other."""


def breach_culverts(grid: Raster, culverts: Crossings) -> tuple[Floats, Bools, list[str]]:
    """Return the terrain with a channel, one cell wide or more, where each culvert is, and the cells of the channels.

    Notes
    -----
    Its floor runs straight from the inlet to the outlet: at the level the model states, else at the lowest cell at each end, assumed.
    """
    return _cut(grid, culverts, kind="culverts", clearance=None)


def burn_underpasses(
    grid: Raster, ways: Crossings, *, clearance: float, opened: set[str] | None = None
) -> tuple[Floats, Bools, list[str]]:  # fmt: skip
    """Return the terrain with the floor of each underpass, and the cells of the floors.

    Parameters
    ----------
    clearance
        Height of the way under what crosses it [m], where neither model nor terrain says.
    opened
        Gets the ids of the ways whose own floor the terrain has now, or had already.

    Notes
    -----
    The floor runs straight between its ends at the level the model states; else, under what stands on the way in the terrain, from the
    ground on its one side to that on the other. That is not believed where the terrain rises less than 3 m above it: then the floor lies
    `clearance` below the highest ground over the way. An underpass that lies open already is left as it is.
    """
    return _cut(grid, ways, kind="underpasses", clearance=clearance, opened=opened)


def open_passages(grid: Raster, passages: Crossings) -> tuple[Bools, list[str]]:
    """Return the cells of ways that lead through a building at the level of the ground."""
    open_cells = np.zeros(grid.shape, bool)
    if not len(passages):
        return open_cells, []
    open_cells.reshape(-1)[_floor_cells(passages.shapes, passages.width, grid).cell] = True
    return open_cells, [f"{len(passages)} passages through buildings are kept open ({named(passages.ids)})"]


def _cut(
    grid: Raster, given: Crossings, *, kind: str, clearance: float | None, opened: set[str] | None = None
) -> tuple[Floats, Bools, list[str]]:  # fmt: skip
    """Lower the terrain along middle lines to a floor that runs straight between the ends."""
    import shapely

    cut = np.zeros(grid.shape, bool)
    if not len(given):
        return grid.values, cut, []
    single = set(given.ids.tolist())
    given = _merged(given)
    lines, width = given.shapes, given.width
    length = shapely.length(lines)
    long = np.asarray(length > LONGEST, bool)
    notes = [f"{int(long.sum())} {kind} longer than {LONGEST:g} m are left alone ({named(given.ids[long])})"] if long.any() else []
    chained: Bools = ~long & _ends_in_another(lines) if clearance is not None else np.zeros(len(lines), bool)
    if chained.any():
        notes.append(f"{int(chained.sum())} {kind} are part of a branching tunnel and are left alone ({named(given.ids[chained])})")
    kept = given.take(~long & ~chained)
    lines, width = lines[~long & ~chained], width[~long & ~chained]
    if not len(kept):
        return grid.values, cut, notes
    floor = _floors(grid, lines, width, kept, clearance)
    lowered, cut = _lower(grid, floor, lines, width)
    if opened is not None:
        done = kept.ids[floor.status != "unknown"].tolist()
        opened.update(one for text in done for one in ([text] if text in single else text.split(_AND)))
    return lowered, cut, notes + _cut_notes(kept, floor, kind, clearance, int((lowered < grid.values).sum()))


def _merged(given: Crossings) -> Crossings:
    """Return the same with a middle line for each polygon, lines that follow each other as one."""
    import shapely

    lines, width = _middle_lines(given)
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))
    middle = shapely.line_interpolate_point(lines, 0.5, normalized=True)
    row, owner = shapely.STRtree(merged).query_nearest(middle, all_matches=False)
    order = np.lexsort((row, owner))
    row, owner = row[order], owner[order]
    first = np.searchsorted(owner, np.arange(len(merged)))
    first = first[np.diff([*first, len(owner)]) > 0]
    if len(first) == len(lines):
        return replace(given, shapes=lines, width=width)
    ids = np.array([_AND.join(given.ids[one].tolist()) for one in np.split(row, first[1:])], object)
    alone = np.diff([*first, len(owner)]) == 1  # the levels of one of several stretches are not those of the whole
    start, end = (np.where(alone, values[row[first]], np.nan) for values in (given.start_level, given.end_level))
    shapes = np.where(alone, lines[row[first]], merged[owner[first]])
    return replace(
        given.take(row[first]), ids=ids, shapes=shapes, width=np.maximum.reduceat(width[row], first),
        assumed=np.logical_or.reduceat(given.assumed[row], first), start_level=start, end_level=end,
    )  # fmt: skip


def _middle_lines(given: Crossings) -> tuple[Shapes, Floats]:
    """Return lines, the middle one of each polygon, and widths [m]."""
    import shapely

    lines, width = given.shapes.copy(), given.width.copy()
    several = shapely.get_type_id(lines) == 5
    lines[several] = shapely.line_merge(lines[several])
    several = shapely.get_type_id(lines) == 5
    lines[several] = [max(shapely.get_parts(one), key=shapely.length) for one in lines[several]]
    area = np.isin(shapely.get_type_id(lines), (3, 6))
    if area.any():
        ring = shapely.get_coordinates(shapely.get_exterior_ring(shapely.oriented_envelope(lines[area]))).reshape(-1, 5, 2)
        one, other = (np.linalg.norm(ring[:, at + 1] - ring[:, at], axis=1) for at in (0, 1))
        turned = (one < other)[:, None]
        start = np.where(turned, (ring[:, 0] + ring[:, 1]) / 2, (ring[:, 1] + ring[:, 2]) / 2)
        end = np.where(turned, (ring[:, 2] + ring[:, 3]) / 2, (ring[:, 3] + ring[:, 0]) / 2)
        lines[area] = shapely.linestrings(np.stack([start, end], axis=1))
        width[area] = np.minimum(one, other)
    return shapely.force_2d(lines), np.maximum(width, 0.0)


def _ends_in_another(lines: Shapes) -> Bools:
    """Say which lines end where another of them does."""
    import shapely

    ends = np.stack([shapely.get_coordinates(shapely.get_point(lines, at)) for at in (0, -1)], axis=1).round(2)
    _, node, count = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True, return_counts=True)
    return np.asarray((count[node] > 1).reshape(-1, 2).any(axis=1), bool)


@dataclass(frozen=True)
class _Floors:
    """Floors of channels, one row each."""

    level: Floats
    """Where the cut begins and ends [m], shape (n, 2); straight in between."""
    share: Floats
    """Places along the line where it begins and ends, 0 to 1, shape (n, 2)."""
    status: NDArray[np.str_]
    """"model", "terrain", "assumed", "open" (nothing to do) or "unknown" (no terrain)."""
    entry: Floats
    """Shape (n, 2, 2): the middle of the lowest cell at either end."""


def _floors(grid: Raster, lines: Shapes, width: Floats, given: Crossings, clearance: float | None) -> _Floors:
    entry, level = _entries(grid, lines)
    stated = np.stack([given.start_level, given.end_level], axis=1)
    known = np.asarray(np.isfinite(stated).all(axis=1), bool)
    level = np.where(known[:, None], stated, level)
    status = np.where(known, "model", np.where(np.isfinite(level).all(axis=1), "terrain", "unknown")).astype("<U7")
    share = np.tile([0.0, 1.0], (len(lines), 1))
    if clearance is None:
        return _Floors(level, share, status, entry)
    over, inner_level, inner_share = _blocked(grid, lines, level)
    by_terrain = status == "terrain"
    enough = by_terrain & (over >= _CLEAR)
    is_open = np.asarray(by_terrain & (over <= RAISED) & (_beside(grid, lines, width, level) >= _OPEN), bool)
    assumed = by_terrain & ~enough & ~is_open
    status[assumed], status[is_open] = "assumed", "open"
    level = np.where(enough[:, None], inner_level, level)
    level = level - np.where(assumed, np.maximum(clearance - np.maximum(over, 0.0), 0.0), 0.0)[:, None]
    return _Floors(level, np.where(enough[:, None], inner_share, share), status, entry)


def _blocked(grid: Raster, lines: Shapes, level: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what stands on the straight floor between the ends of each line.

    Returns
    -------
    height : shape (n,)
        Of the terrain over the floor from the one side of what stands there to the other [m]; over the straight floor where nothing does.
    level, share : shape (n, 2)
        Ground on either side of it [m], and where that is along the line.
    """
    import shapely

    path, count = path_cells(lines, grid), len(lines)
    z = grid.values.reshape(-1)[path.cell]
    chord = level[path.line, 0] * (1 - path.share) + level[path.line, 1] * path.share
    over = np.full(count, -np.inf)
    np.fmax.at(over, path.line, z - chord)
    high = z > chord + RAISED
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, path.line[high], path.share[high])
    np.maximum.at(last, path.line[high], path.share[high])
    near = (REACH * grid.dx / np.maximum(shapely.length(lines), grid.dx))[path.line]
    sides, share = level.copy(), np.tile([0.0, 1.0], (count, 1))
    for side, edge in ((0, first), (1, last)):
        away = (edge[path.line] - path.share) * (1 if side == 0 else -1)
        beside = (away > 0) & (away <= near) & np.isfinite(z)
        lowest = np.full(count, np.inf)
        np.minimum.at(lowest, path.line[beside], z[beside])
        found = np.isfinite(lowest)
        sides[found, side], share[found, side] = lowest[found], edge[found]
    at = np.clip((path.share - share[path.line, 0]) / np.maximum(np.diff(share)[path.line, 0], 1e-9), 0, 1)
    floor = sides[path.line, 0] * (1 - at) + sides[path.line, 1] * at
    height = over.copy()
    np.fmax.at(height, path.line[high], (z - floor)[high])
    return height, sides, share


def _entries(grid: Raster, lines: Shapes) -> tuple[Floats, Floats]:
    """Return place and elevation of the lowest of the 3 × 3 cells one cell beyond each end of the lines, shapes (n, 2, 2) and (n, 2)."""
    import shapely

    ny, nx = grid.shape
    ends = np.stack([shapely.get_coordinates(shapely.get_point(lines, at)) for at in (0, -1)], axis=1)
    inner = np.stack([shapely.get_coordinates(shapely.get_point(lines, at)) for at in (1, -2)], axis=1)
    away = ends - inner
    away /= np.maximum(np.linalg.norm(away, axis=2, keepdims=True), 1e-9)
    beyond = (ends + grid.dx * away).reshape(-1, 2)
    column = np.floor((beyond[:, 0] - grid.x_min) / grid.dx).astype(np.int64)
    row = np.floor((grid.y_max - beyond[:, 1]) / grid.dy).astype(np.int64)
    rows, columns = (row[:, None] + np.repeat([-1, 0, 1], 3)), (column[:, None] + np.tile([-1, 0, 1], 3))
    here = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    z = np.where(here, grid.values[np.clip(rows, 0, ny - 1), np.clip(columns, 0, nx - 1)], np.nan)
    z = np.where(np.isfinite(z), z, np.inf)
    best = np.argmin(z, axis=1)
    at = np.arange(len(best))
    place = np.stack([grid.x_min + (columns[at, best] + 0.5) * grid.dx, grid.y_max - (rows[at, best] + 0.5) * grid.dy], axis=1)
    level = np.where(np.isfinite(z[at, best]), z[at, best], np.nan)
    place = np.where(np.isfinite(level)[:, None], place, ends.reshape(-1, 2))
    return place.reshape(-1, 2, 2), level.reshape(-1, 2)


def _beside(grid: Raster, lines: Shapes, width: Floats, level: Floats) -> Floats:
    """Return the median height over the straight floor of the ground on both sides of each line [m], NaN where there is none."""
    import shapely

    lines_of, heights = [], []
    for sign in (-1.0, 1.0):
        offset = shapely.offset_curve(lines, sign * (width / 2 + 2 * grid.dx), join_style="mitre")
        usable = np.flatnonzero(~shapely.is_empty(offset) & (shapely.get_type_id(offset) == 1))
        side = path_cells(offset[usable], grid)
        line = usable[side.line]
        lines_of.append(line)
        heights.append(grid.values.reshape(-1)[side.cell] - level[line, 0] * (1 - side.share) - level[line, 1] * side.share)
    line, height = np.concatenate(lines_of), np.concatenate(heights)
    line, height = line[np.isfinite(height)], height[np.isfinite(height)]
    order = np.lexsort((height, line))
    first = np.searchsorted(line[order], np.arange(len(lines)))
    count = np.bincount(line, minlength=len(lines))
    found = np.full(len(lines), np.nan)
    found[count > 0] = height[order][(first + count // 2)[count > 0]]
    return found


def _floor_cells(lines: Shapes, width: Floats, grid: Raster) -> CellsAlongLines:
    """Return the cells of strips around lines, each with its place along the line."""
    import shapely

    path = path_cells(lines, grid)
    strips = shapely.buffer(lines, np.maximum(width, 0.01) / 2, cap_style="flat", join_style="mitre")
    strips[shapely.is_empty(strips)] = None
    inside = cells_inside(strips, grid)
    centre = shapely.points(grid.x[inside.cell % grid.shape[1]], grid.y[inside.cell // grid.shape[1]])
    share = shapely.line_locate_point(lines[inside.shape], centre, normalized=True)
    return CellsAlongLines(
        np.concatenate([path.line, inside.shape]), np.concatenate([path.cell, inside.cell]), np.concatenate([path.share, share])
    )


def _lower(grid: Raster, floor: _Floors, lines: Shapes, width: Floats) -> tuple[Floats, Bools]:
    """Return the terrain lowered to the floors, and their cells."""
    import shapely

    out, cut = grid.values.copy(), np.zeros(grid.shape, bool)
    rows = np.flatnonzero(np.isin(floor.status, ("model", "terrain", "assumed")))
    ways = np.flatnonzero(floor.status != "unknown")
    cut.reshape(-1)[_floor_cells(lines[ways], width[ways], grid).cell] = True
    if not len(rows):
        return out, cut
    level, share = floor.level[rows], floor.share[rows]
    cells = _floor_cells(lines[rows], width[rows], grid)
    begin, length = share[cells.line, 0], np.maximum(np.diff(share)[cells.line, 0], 1e-9)
    at = (cells.share - begin) / length
    slack = grid.dx / np.maximum(shapely.length(lines[rows])[cells.line] * length, grid.dx)
    mine = (at >= -slack) & (at <= 1 + slack)
    at = np.clip(at, 0, 1)
    flat = out.reshape(-1)
    _lower_to(flat, cells.cell[mine], (level[cells.line, 0] * (1 - at) + level[cells.line, 1] * at)[mine])
    for side in (0, 1):
        usable = np.flatnonzero(share[:, side] == side)  # the cut begins at the end of the line
        link = _links(floor.entry[rows[usable], side], lines[rows[usable]], -side)
        usable, link = usable[shapely.length(link) > 0], link[shapely.length(link) > 0]
        path = path_cells(link, grid)
        _lower_to(flat, path.cell, level[usable[path.line], side])
        cut.reshape(-1)[path.cell] = True
    return out, cut


def _links(entry: Floats, lines: Shapes, end: int) -> Shapes:
    """Return the lines from the entries to the ends of the lines (0: first, -1: last)."""
    import shapely

    ends = shapely.get_coordinates(shapely.get_point(lines, end))
    return np.asarray(shapely.linestrings(np.stack([entry, ends], axis=1)), object)


def _lower_to(flat: Floats, cell: Ints, level: Floats) -> None:
    """Lower cells to a level; cells without elevation take it."""
    lowest = np.full(len(flat), np.inf)
    np.fmin.at(lowest, cell, level)
    touched = np.isfinite(lowest)
    flat[touched] = np.fmin(flat[touched], lowest[touched])


def _cut_notes(given: Crossings, floor: _Floors, kind: str, clearance: float | None, cells: int) -> list[str]:
    of = {status: given.ids[floor.status == status] for status in ("model", "terrain", "assumed", "open", "unknown")}
    verb = "burned in" if clearance is not None else "breached"
    where = {
        "model": f"{kind} {verb} at the levels of the model",
        "terrain": f"{kind} {verb} between the levels of the terrain at their ends",
        "assumed": f"{kind} {verb} with an assumed clearance of {clearance or 0:g} m, without ramps",
        "open": f"{kind} lie open in the terrain already",
        "unknown": f"{kind} have no terrain at an end: left alone",
    }
    said = [f"{len(of[status])} {text} ({named(of[status])})" for status, text in where.items() if len(of[status])]
    done = np.isin(floor.status, ("model", "terrain", "assumed"))
    if done.any():
        said.append(f"{cells} cells lowered for {kind}")
    guessed = given.ids[done & given.assumed]
    if len(guessed) and clearance is not None:
        said.append(f"{len(guessed)} {kind} have an assumed width, by lanes or class ({named(guessed)})")
    return said
