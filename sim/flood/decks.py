"""Taking out of a terrain the decks of bridges that it holds: water flows under them.

All decks are taken off at once; cells are lowered only, or filled where they were unknown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cim.sim.cells import cells_inside
from cim.sim.flood.crossings import named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.coverages import Raster
    from cim.sim.flood.crossings import Crossings

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["RAISED", "REACH", "deck_areas", "remove_decks"]

RAISED = 0.5
"""What lies this high above the straight line between the ground on both sides stands on it [m]: a deck, an embankment."""
REACH = 3
"""Cells beyond what stands there in which that ground is looked for."""


def remove_decks(grid: Raster, bridges: Crossings) -> tuple[Floats, list[str]]:
    """Return the terrain without the decks it holds.

    Parameters
    ----------
    grid
        Terrain [m], NaN where unknown.
    bridges
        Decks as polygons, or the middle lines of ways on them.

    Notes
    -----
    Decks that touch are one. Across each, in the direction in which the ground beside it is lower (a deck's own ends are as high as the
    deck), the ground under it is the straight line between both sides; a cell is a deck where it is unknown or half a metre above that.
    """
    import shapely

    if not len(bridges):
        return grid.values, []
    areas = deck_areas(bridges, grid.dx)
    parts = shapely.get_parts(shapely.union_all(areas))
    pairs = cells_inside(parts, grid)
    flat = grid.values.reshape(-1)
    bare = grid.values.copy()
    bare.reshape(-1)[pairs.cell] = np.nan
    ground = _under(replace(grid, values=bare), parts, pairs.shape, pairs.cell)
    with np.errstate(invalid="ignore"):
        high = np.isfinite(ground) & ~(flat[pairs.cell] <= ground + RAISED)
    out = grid.values.copy()
    out.reshape(-1)[pairs.cell[high]] = ground[high]
    return out, _deck_notes(bridges, areas, parts, pairs.shape, pairs.cell, high, ground, flat)


def deck_areas(bridges: Crossings, cell: float) -> Shapes:
    """Return the areas of decks, over half a cell wider than they are: cells at the rim are mixed, and none lies on the line."""
    import shapely

    area = bridges.shapes.copy()
    line = np.isin(shapely.get_type_id(area), (1, 5))
    area[line] = shapely.buffer(area[line], bridges.width[line] / 2, cap_style="flat", join_style="mitre")
    return np.asarray(shapely.buffer(area, 0.501 * cell, join_style="mitre"), object)


def _under(bare: Raster, parts: Shapes, part: Ints, cell: Ints) -> Floats:
    """Return the ground under each cell of the decks, from the two sides of the direction in which it is lower."""
    import shapely

    if not len(cell):
        return np.empty(0)
    ring = shapely.get_coordinates(shapely.oriented_envelope(parts), return_index=True)
    first = np.searchsorted(ring[1], np.arange(len(parts)))
    along = ring[0][first + 1] - ring[0][first]
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    found = [_between(bare, parts, part, cell, direction) for direction in (along, across)]
    mean = [_group_mean(one, part, len(parts)) for one in found]
    use_first = (mean[0] < mean[1]) | ~np.isfinite(mean[1])
    return np.asarray(np.where(use_first[part], found[0], found[1]), np.float64)


def _group_mean(values: Floats, group: Ints, count: int) -> Floats:
    known = np.isfinite(values)
    number = np.bincount(group[known], minlength=count)
    total = np.bincount(group[known], values[known], count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _between(bare: Raster, parts: Shapes, part: Ints, cell: Ints, direction: Floats) -> Floats:
    """Return the straight line between the ground at both sides, NaN where one side has none."""
    import shapely

    nx = bare.shape[1]
    centre = np.stack([bare.x[cell % nx], bare.y[cell // nx]], axis=1)
    size = shapely.bounds(parts)
    reach = np.hypot(size[:, 2] - size[:, 0], size[:, 3] - size[:, 1])[part][:, None]
    step = direction[part]
    rays = shapely.linestrings(np.stack([centre - reach * step, centre + reach * step], axis=1))
    points, ray = shapely.get_coordinates(shapely.intersection(rays, shapely.boundary(parts)[part]), return_index=True)
    place = np.einsum("ij,ij->i", points - centre[ray], step[ray])
    ahead, behind = np.full(len(cell), np.inf), np.full(len(cell), -np.inf)
    np.minimum.at(ahead, ray[place >= 0], place[place >= 0])
    np.maximum.at(behind, ray[place < 0], place[place < 0])
    z_ahead, d_ahead = _beyond(bare, centre, step, ahead, 1.0)
    z_behind, d_behind = _beyond(bare, centre, step, -behind, -1.0)
    return np.asarray((z_ahead * d_behind + z_behind * d_ahead) / (d_ahead + d_behind), np.float64)


def _beyond(bare: Raster, centre: Floats, step: Floats, edge: Floats, sign: float) -> tuple[Floats, Floats]:
    """Return the first known ground behind the edge of a deck, and how far away it is."""
    start = np.where(np.isfinite(edge), edge, 0.0)
    z, far = np.full(len(edge), np.nan), np.ones(len(edge))
    for cells in range(1, REACH + 1):
        away = start + cells * bare.dx
        at = centre + sign * away[:, None] * step
        found = bare.sample(at[:, 0], at[:, 1])
        new = np.isnan(z) & np.isfinite(found) & np.isfinite(edge)
        z[new], far[new] = found[new], away[new]
    return z, far


def _deck_notes(
    bridges: Crossings, areas: Shapes, parts: Shapes, part: Ints, cell: Ints, high: Bools, ground: Floats, flat: Floats
) -> list[str]:  # fmt: skip
    import shapely

    removed = np.bincount(part[high], minlength=len(parts))
    unsure = np.bincount(part[np.isnan(ground)], minlength=len(parts))
    inside = np.bincount(part, minlength=len(parts)) > 0
    held, owner = shapely.STRtree(parts).query(shapely.point_on_surface(areas), predicate="intersects")
    of = {name: bridges.ids[np.unique(held[flags[owner]])] for name, flags in {
        "off": removed > 0, "none": inside & (removed + unsure == 0), "unsure": (unsure > 0) & (removed == 0)}.items()}  # fmt: skip
    said = []
    if len(of["off"]):
        with np.errstate(invalid="ignore"):
            drop = np.nanmax((flat[cell] - ground)[high], initial=0.0)
        said.append(
            f"{len(of['off'])} bridge decks taken off the terrain, {int(high.sum())} cells, the deck up to {drop:.2f} m above the ground "
            f"interpolated from both sides ({named(of['off'])})"
        )
    if len(of["none"]):
        said.append(f"{len(of['none'])} bridges stand over terrain that holds no deck ({named(of['none'])})")
    if len(of["unsure"]):
        said.append(f"{len(of['unsure'])} bridges have no ground known at both sides: left as they are ({named(of['unsure'])})")
    return said
