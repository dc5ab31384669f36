"""Gaps of a terrain: small ones and those under buildings are filled, waters take their level, large ones stay walls; all are counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Filled", "dilated", "fill_gaps", "neighbours", "smooth_fill"]


@dataclass(frozen=True)
class Filled:
    """A terrain whose gaps are filled or known to stay."""

    elevation: Floats
    notes: tuple[str, ...]


def fill_gaps(
    elevation: Floats, inside: Bools, *, buildings: Bools, water: Bools, water_level: Floats, cell: float, largest: float
) -> Filled:  # fmt: skip
    """Return the terrain with its gaps filled.

    Parameters
    ----------
    elevation : shape (ny, nx)
        [m], NaN where unknown.
    inside : shape (ny, nx)
        Cells of the domain.
    buildings, water : shape (ny, nx)
        Cells of buildings and of waters.
    water_level : shape (ny, nx)
        Surface of the water there [m], NaN where the model does not say.
    cell
        Size of a cell [m].
    largest
        Largest gap that is interpolated [m²].

    Notes
    -----
    Under buildings, and in gaps up to `largest`, the ground is the smooth surface between the cells around (Laplace's equation, exact on
    planes). A larger gap in a water gets the level of its water, else the lowest ground at its rim. What remains is a wall.
    """
    z = elevation.copy()
    unknown = np.isnan(z) & inside
    if not unknown.any():
        return Filled(z, ())
    label, size = _labelled(unknown & ~buildings)
    large = (size * cell**2 > largest)[label] & (label > 0)
    notes = []
    wet = large & water
    if wet.any():
        stated = wet & np.isfinite(water_level)
        z[stated] = water_level[stated]
        assumed = wet & ~stated
        z[assumed] = _lowest_rim(z, assumed)[assumed]
        notes += _water_notes(stated, assumed & np.isfinite(z), wet & np.isnan(z))
    walls = large & ~water
    small = unknown & ~large
    z, lost = smooth_fill(z, small, within=inside & ~walls)
    notes += _gap_notes(small & ~lost, buildings, size, label, small, cell)
    shut = (walls | lost) & np.isnan(z)
    if shut.any():
        ids, count = np.unique(label[shut & (label > 0)], return_counts=True)
        biggest = f", the largest {count.max() * cell**2:,.0f} m²" if len(count) else ""
        notes.append(f"{int(shut.sum())} cells in {len(ids)} gaps above {largest:g} m² without elevation are walls{biggest}")
    return Filled(z, tuple(notes))


def _labelled(mask: Bools) -> tuple[NDArray[np.int32], Ints]:
    """Return the number of the gap of each cell, 0 for none, and the cells of each gap, entry 0 being 0."""
    from scipy import ndimage

    label, count = ndimage.label(mask)
    size = np.bincount(label.ravel(), minlength=count + 1).astype(np.int64)
    size[0] = 0
    return label, size


def _water_notes(stated: Bools, assumed: Bools, lost: Bools) -> list[str]:
    said = []
    if stated.any():
        said.append(f"{int(stated.sum())} cells of waters without elevation take the water level of the model as their bed")
    if assumed.any():
        said.append(f"{int(assumed.sum())} cells of waters without elevation take the lowest ground at their rim as their bed, assumed")
    if lost.any():
        said.append(f"{int(lost.sum())} cells of waters have neither elevation nor rim: walls")
    return said


def _gap_notes(done: Bools, buildings: Bools, size: Ints, label: NDArray[np.int32], small: Bools, cell: float) -> list[str]:
    said = []
    under = int((done & buildings).sum())
    if under:
        said.append(f"{under} cells without elevation under buildings filled from the ground around")
    open_gaps = done & ~buildings
    if open_gaps.any():
        kept = np.unique(label[small & ~buildings])
        kept = kept[kept > 0]
        said.append(
            f"{int(open_gaps.sum())} cells without elevation in {len(kept)} gaps filled, the largest {int(size[kept].max())} cells "
            f"({size[kept].max() * cell**2:,.0f} m²)"
        )
    return said


def _lowest_rim(z: Floats, gap: Bools) -> Floats:
    """Return for each cell of a gap the lowest known cell that shares an edge with that gap, NaN where there is none."""
    label, size = _labelled(gap)
    lowest = np.full(len(size), np.inf)
    for here, there in neighbours():
        known = (label[here] > 0) & np.isfinite(z[there])
        np.minimum.at(lowest, label[here][known], z[there][known])
    lowest[~np.isfinite(lowest)] = np.nan
    return np.asarray(lowest[label], np.float64)


def neighbours() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Return pairs of views of a grid: a cell, and the one beside it to the west, east, north, south."""
    every, front, back = slice(None), slice(1, None), slice(None, -1)
    return (
        ((every, front), (every, back)),
        ((every, back), (every, front)),
        ((front, every), (back, every)),
        ((back, every), (front, every)),
    )


def dilated(mask: Bools, *, corners: bool = False) -> Bools:
    """Return the mask with the cells that share an edge (or a corner) with it."""
    grown = mask.copy()
    for here, there in neighbours():
        grown[here] |= mask[there]
    if corners:
        for rows in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            for columns in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
                grown[rows[0], columns[0]] |= mask[rows[1], columns[1]]
    return grown


def smooth_fill(z: Floats, gap: Bools, within: Bools) -> tuple[Floats, Bools]:
    """Return a grid whose gaps hold the solution of Laplace's equation, and the cells of gaps that no known cell borders.

    Parameters
    ----------
    z : shape (ny, nx)
        Known values.
    gap : shape (ny, nx)
        Cells to fill.
    within : shape (ny, nx)
        Cells that count as neighbours; across its edge the surface is level.

    Notes
    -----
    Rounded to a micrometre.
    """
    from scipy import sparse
    from scipy.sparse.linalg import cg

    known = np.isfinite(z) & within & ~gap
    label, size = _labelled(gap)
    touched = np.zeros(len(size), bool)
    for here, there in neighbours():
        touched[label[here][known[there]]] = True
    touched[0] = False
    cells = gap & touched[label]
    out, count = z.copy(), int(cells.sum())
    lost = gap & ~cells
    if not count:
        return out, lost
    place = np.full(z.shape, -1, np.int64)
    place[cells] = np.arange(count)
    base = float(np.mean(z[dilated(cells) & known]))
    diagonal, right = np.zeros(count), np.zeros(count)
    rows, columns = [], []
    for here, there in neighbours():
        mine = cells[here]
        beside, solid = mine & cells[there], mine & known[there]
        diagonal += np.bincount(place[here][beside | solid], minlength=count)
        right += np.bincount(place[here][solid], z[there][solid] - base, count)
        rows.append(place[here][beside])
        columns.append(place[there][beside])
    row, column = np.concatenate([*rows, np.arange(count)]), np.concatenate([*columns, np.arange(count)])
    data = np.concatenate([np.full(len(row) - count, -1.0), diagonal])
    matrix = sparse.csr_array((data, (row, column)), shape=(count, count))
    scaled = sparse.dia_array((1.0 / diagonal[None, :], [0]), shape=(count, count))
    found, _ = cg(matrix, right, rtol=1e-11, atol=1e-9, maxiter=20 * max(z.shape), M=scaled)
    out[cells] = np.round(found + base, 6)  # the last digits depend on the number of threads that sum
    return out, lost
