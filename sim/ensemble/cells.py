"""How deep the water may stand on each cell: the members' fields are read one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.results import Grid, grid_dataset
from cim.sim.ensemble.reading import Described, depth_field

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["cell_statistics"]


class _Sum:
    """What has been seen of one result so far."""

    def __init__(self, grid: Grid, thresholds: Sequence[float]) -> None:
        shape = (grid.ny, grid.nx)
        self.grid = grid
        self.thresholds = np.asarray(thresholds, float)
        self.over = np.zeros((len(thresholds), *shape))
        self.total, self.weight = np.zeros(shape), np.zeros(shape)
        self.greatest = np.full(shape, np.nan)
        self.members = np.zeros(shape, np.int32)

    def take(self, depth: Floats, weight: float) -> None:
        """Add one member."""
        known = ~np.isnan(depth)
        self.total[known] += weight * depth[known]
        self.weight[known] += weight
        self.members += known
        self.greatest = np.fmax(self.greatest, depth)
        for place, limit in enumerate(self.thresholds):
            self.over[place][known & (np.nan_to_num(depth) >= limit)] += weight

    def variables(self, prefix: str) -> dict[str, Any]:
        """Return the fields: dimensions, values, attributes."""
        with np.errstate(invalid="ignore", divide="ignore"):
            share, mean = self.over / self.weight, self.total / self.weight
        none = self.weight == 0
        share[:, none], mean[none] = np.nan, np.nan
        return {
            f"{prefix}exceedance_probability": (
                ("depth_threshold", "y", "x"), share.astype(np.float32),
                {"units": "1", "standard_name": "exceedance_probability", "long_name": "probability of a depth 水深超过概率"},
            ),
            f"{prefix}maximum_depth_mean": (
                ("y", "x"), mean.astype(np.float32),
                {"units": "m", "standard_name": "maximum_depth_mean", "long_name": "largest depth, mean 平均最大水深"},
            ),
            f"{prefix}maximum_depth_max": (
                ("y", "x"), self.greatest.astype(np.float32),
                {"units": "m", "standard_name": "maximum_depth", "long_name": "largest depth of any member 各成员最大水深"},
            ),
            f"{prefix}members": (
                ("y", "x"), self.members,
                {"units": "1", "standard_name": "members", "long_name": "members that know the cell 已知成员数"},
            ),
        }  # fmt: skip


def cell_statistics(
    results: Mapping[str, Sequence[Described | None]], weights: Sequence[float], thresholds: Sequence[float]
) -> tuple[xarray.Dataset, list[str]]:
    """Return probability of depth, mean and greatest depth by cell, and what had to be left out.

    Parameters
    ----------
    results
        What each member holds, by result; None where it has no such result.
    weights
        One per member.
    thresholds
        Depths [m].

    Notes
    -----
    A cell counts in the members that know its depth. Of a result without ``maximum_depth`` the greatest of its depths is taken; a cell of
    which one depth is unknown is then unknown.
    """
    import xarray as xr

    notes: list[str] = []
    sums: dict[str, _Sum] = {}
    for name, members in results.items():
        for one, weight in zip(members, weights, strict=True):
            found = None if one is None else depth_field(one)
            if found is None:
                continue
            grid, depth = found
            known = sums.setdefault(name, _Sum(grid, thresholds))
            if known.grid != grid:
                notes.append(f"{name}: no statistics by cell, its members lie on different grids")
                break
            known.take(depth, weight)
    lost = {note.split(":")[0] for note in notes}
    kept = {name: one for name, one in sums.items() if name not in lost}
    if not kept:
        return xr.Dataset(), notes
    grid = next(iter(kept.values())).grid
    dataset = grid_dataset(grid).assign_coords(
        depth_threshold=("depth_threshold", np.asarray(thresholds, float), {"units": "m", "long_name": "depth 水深"})
    )
    for name, seen in kept.items():
        if seen.grid != grid:
            notes.append(f"{name}: no statistics by cell, its grid is another than that of {next(iter(kept))}")
            continue
        for key, value in seen.variables("" if len(kept) == 1 else f"{name}_").items():
            dataset[key] = value
    return dataset, notes
