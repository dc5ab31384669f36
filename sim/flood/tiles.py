"""The grid cut into tiles: where each lies and which lie beside it, and work on them that threads share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.kernels import PAD, WORK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

__all__ = ["Tiles", "lay_tiles"]

_TILE = (32, 1024)
"""Rows and columns of a tile."""


@dataclass(frozen=True)
class Tiles:
    """Tiles of a grid, row by row, and the threads that work on them."""

    all: Ints
    """Shape (n, 5): number, first and last row, first and last column (both last ones exclusive) in padded arrays."""
    size: tuple[int, int]
    """Rows and columns of a tile; those at the end may have fewer."""
    grid: tuple[int, int]
    """Rows and columns of tiles."""
    scratch: list[Array]
    """Room to work in, for each thread."""
    pool: ThreadPoolExecutor | None
    """None where one thread works alone."""

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.all)

    def of(self, rows: Any, columns: Any) -> Array:
        """Return the tile of each cell."""
        return np.asarray(np.asarray(rows) // self.size[0] * self.grid[1] + np.asarray(columns) // self.size[1])

    def holding(self, mask: Bools) -> Bools:
        """Return which tiles hold a marked cell; `mask` has the shape of the grid."""
        ny, nx = mask.shape
        rows = np.logical_or.reduceat(mask, np.arange(0, ny, self.size[0]), axis=0)
        return np.asarray(np.logical_or.reduceat(rows, np.arange(0, nx, self.size[1]), axis=1).ravel())

    def reached(self, active: Bools, touched: Bools, *, corners: bool) -> Ints:
        """Return the tiles that are active or may get water from a neighbour.

        Parameters
        ----------
        active : shape (n,)
            Tiles in which something happens.
        touched : shape (n, 4)
            Whether water stands at the western, eastern, northern and southern side of each.
        corners
            Whether water may come round a corner.
        """
        near = active.reshape(self.grid).copy()
        touched = touched.reshape(*self.grid, 4)
        near[:, :-1] |= touched[:, 1:, 0]
        near[:, 1:] |= touched[:, :-1, 1]
        near[:-1] |= touched[1:, :, 2]
        near[1:] |= touched[:-1, :, 3]
        if corners:
            near[1:, 1:] |= touched[:-1, :-1, 3] & touched[:-1, :-1, 1]
            near[1:, :-1] |= touched[:-1, 1:, 3] & touched[:-1, 1:, 0]
            near[:-1, 1:] |= touched[1:, :-1, 2] & touched[1:, :-1, 1]
            near[:-1, :-1] |= touched[1:, 1:, 2] & touched[1:, 1:, 0]
        return self.all[near.ravel()]

    def work(self, some: Ints, job: Callable[[Ints, Array], None]) -> None:
        """Do a job on some tiles, shared among the threads: it is called with rows of `all` and room to work in."""
        if not len(some):
            return
        if self.pool is None or len(some) == 1:
            job(some, self.scratch[0])
            return
        shares = np.array_split(some, len(self.scratch))
        for done in [self.pool.submit(job, share, room) for share, room in zip(shares, self.scratch, strict=True) if len(share)]:
            done.result()

    def close(self) -> None:
        """Let the threads go."""
        if self.pool is not None:
            self.pool.shutdown()


def lay_tiles(shape: tuple[int, int], number: Any, threads: int) -> Tiles:
    """Return the tiles of a grid of a shape (ny, nx), with room for numbers of a type for each thread."""
    (ny, nx), (high, wide) = shape, _TILE
    rows, columns = np.arange(0, ny, high), np.arange(0, nx, wide)
    first, left = (one.ravel() for one in np.meshgrid(rows, columns, indexing="ij"))
    ends = np.minimum(first + high, ny), np.minimum(left + wide, nx)
    tiles = np.stack([np.arange(len(first)), first + PAD, ends[0] + PAD, left + PAD, ends[1] + PAD], axis=1)
    width = min(wide, nx) + 2 * PAD + 4
    scratch = [np.zeros((WORK, width), number) for _ in range(threads)]
    return Tiles(tiles, (high, wide), (len(rows), len(columns)), scratch, ThreadPoolExecutor(threads) if threads > 1 else None)
