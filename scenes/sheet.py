"""A sheet of water over the plane at one moment: a byte per cell that holds the depth, read the same way in pictures, picks and pages.

The byte grows with the root of the depth, so that shallow water, where people walk, is told apart best. Dry cells that touch water hold
a negative depth: between the two lies the wet edge, so that it is a line and no staircase.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.plugins import load_extra
from cim.scenes.layer import Legend, LegendEntry, Text
from cim.scenes.style import hex_colour

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]
    Bytes = NDArray[np.uint8]

__all__ = ["BOUNDS", "COLOURS", "DRAWN", "SHORE", "Coding", "Sheet", "around", "depth_legend", "signed_depth"]

BOUNDS = (0.05, 0.15, 0.3, 0.5, 1.0, 2.0)
"""Lower bounds of the classes of depth [m]: a wet shoe, a kerb, the axle of a car, the knee, the waist, over the head of a child."""
COLOURS = tuple(hex_colour(text) for text in ("#bfe6f5", "#86c8ea", "#4a9fd8", "#2270b8", "#123f86", "#3d1a5c"))
"""Of each class: light to dark blue, the last one violet, so that deadly depth is no shade of blue."""
DRAWN = BOUNDS[0]
"""Less water than this is not drawn [m]."""
SHORE = 64
"""The byte of exactly `DRAWN`; below it dry, 0 where nothing is known or the edge is far."""
_TOP = 255 - SHORE
_FOOT = SHORE - 1
_NEGATIVE = 4.0  # m that the lowest byte stands for
_TEXTURE = 3072  # texels a side of the picture of a sheet
_FINEST = 8  # texels a cell and side


@dataclass(frozen=True)
class Coding:
    """How a depth becomes a byte.

    Examples
    --------
    >>> coding = Coding(2.5)
    >>> coding.decode(coding.encode(np.array([0.05, 0.3, 2.0]) - 0.05)).round(2).tolist()
    [0.0, 0.25, 1.96]
    """

    span: float
    """Depth above `DRAWN` that the highest byte stands for [m]."""

    def encode(self, above: Reals) -> Bytes:
        """Return the bytes of depths less `DRAWN` [m]; 0 for NaN."""
        known = np.isfinite(above)
        u = np.where(known, above, 0.0)
        wet = SHORE + np.rint(_TOP * np.sqrt(np.clip(u, 0, self.span) / self.span))
        dry = np.clip(SHORE - np.rint(_FOOT * np.sqrt(np.clip(-u, 0, _NEGATIVE) / _NEGATIVE)), 1, _FOOT)
        return np.asarray(np.where(known, np.where(u >= 0, wet, dry), 0), np.uint8)

    def decode(self, codes: Bytes) -> Reals:
        """Return depths less `DRAWN` [m]; NaN for 0."""
        return self.table[codes]

    @property
    def table(self) -> Reals:
        """Depth less `DRAWN` of each byte, shape (256,) [m]."""
        byte = np.arange(256, dtype=float)
        above = np.where(byte >= SHORE, self.span * ((byte - SHORE) / _TOP) ** 2, -_NEGATIVE * ((SHORE - byte) / _FOOT) ** 2)
        above[0] = np.nan
        return above

    def error(self, depth: float) -> float:
        """Return how far a depth may be from what its byte stands for [m]: half of the step there."""
        share = np.sqrt(np.clip(depth - DRAWN, 0, self.span) / self.span)
        return float(self.span / _TOP * (share + 0.5 / _TOP))


@dataclass(frozen=True)
class Sheet:
    """Depth over the plane; row 0 is the southern one."""

    codes: Bytes
    """Shape (ny, nx)."""
    coding: Coding
    west: float
    """Western edge, relative to the origin of the scene [m]."""
    south: float
    dx: float
    """Width of a cell [m]."""
    dy: float

    @property
    def wet(self) -> NDArray[np.bool_]:
        """Cells that are drawn wet, shape (ny, nx)."""
        return np.asarray(self.codes >= SHORE)

    def at(self, x: ArrayLike, y: ArrayLike) -> Reals:
        """Return the depth drawn at places relative to the origin of the scene, NaN where it is dry [m]."""
        column = (np.asarray(x, float) - self.west) / self.dx
        row = (np.asarray(y, float) - self.south) / self.dy
        ny, nx = self.codes.shape
        inside = (column >= 0) & (row >= 0) & (column < nx) & (row < ny)
        column, row = np.where(inside, column, 0.0), np.where(inside, row, 0.0)
        total, weight = np.zeros(column.shape), np.zeros(column.shape)
        for j, down in _pair(row, ny):
            for i, right in _pair(column, nx):
                above = self.coding.decode(self.codes[j, i])
                share = down * right * np.isfinite(above)
                total += share * np.nan_to_num(above)
                weight += share
        own = self.codes[np.minimum(row.astype(int), ny - 1), np.minimum(column.astype(int), nx - 1)] > 0
        found = total / np.where(weight > 0, weight, 1.0)
        return np.asarray(np.where(inside & own & (weight > 0) & (found >= 0), found + DRAWN, np.nan))

    def picture(self) -> bytes:
        """Return the classes of depth as a PNG with clear dry land, its first row the northern one."""
        images = load_extra("PIL.Image", "scenes")
        ny, nx = self.codes.shape
        fine = int(np.clip(_TEXTURE // max(nx, ny), 1, _FINEST))
        classes = self._classes(fine)
        picture: Any = images.frombytes("P", (nx * fine, ny * fine), classes[::-1].tobytes())
        # clear texels have the colour of the shallowest class: at the edge a renderer mixes the two
        picture.putpalette([channel for colour in (COLOURS[0], *COLOURS) for channel in colour])
        out = BytesIO()
        picture.save(out, "PNG", transparency=0, compress_level=1)
        return out.getvalue()

    def _classes(self, fine: int) -> Bytes:
        """Return the class of depth of each texel, `fine` a cell and side: 0 dry, 1 the shallowest."""
        ny, nx = self.codes.shape
        row, column = (np.arange(ny * fine) + 0.5) / fine, (np.arange(nx * fine) + 0.5) / fine
        above = self.coding.decode(self.codes)
        known = np.isfinite(above)
        filled = np.where(known, above, 0.0).astype(np.float32)
        total, weight = _enlarged(filled, row, column), _enlarged(known.astype(np.float32), row, column)
        depth = total / np.maximum(weight, 1e-6)
        own = np.repeat(np.repeat(known, fine, axis=0), fine, axis=1)
        bounds = np.array(BOUNDS, np.float32) - np.float32(DRAWN)
        return np.where(own, np.digitize(depth, bounds), 0).astype(np.uint8)


def _pair(at: Reals, count: int) -> list[tuple[NDArray[np.int64], Reals]]:
    """Return the two cells whose middles lie around each place, and the share of each."""
    low = np.floor(at - 0.5)
    share = at - 0.5 - low
    return [
        (np.clip(low, 0, count - 1).astype(np.int64), 1 - share),
        (np.clip(low + 1, 0, count - 1).astype(np.int64), share),
    ]


def _enlarged(values: NDArray[np.float32], row: Reals, column: Reals) -> NDArray[np.float32]:
    """Return values at rows and columns in between, one direction after the other."""
    ny, nx = values.shape
    (j0, v0), (j1, v1) = _pair(row, ny)
    tall = values[j0] * v0[:, None].astype(np.float32) + values[j1] * v1[:, None].astype(np.float32)
    (i0, u0), (i1, u1) = _pair(column, nx)
    return np.asarray(tall[:, i0] * u0.astype(np.float32) + tall[:, i1] * u1.astype(np.float32))


def around(values: Reals) -> Reals:
    """Return the sum over each cell and its eight neighbours, shape of `values`."""
    wide = np.pad(values, 1)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def signed_depth(depth: Reals, ground: Reals, *, known: NDArray[np.bool_]) -> Reals:
    """Return the depth above `DRAWN`; below zero on dry cells that touch water, so that the wet edge lies between; NaN elsewhere.

    How far below depends on how steeply the dry cell rises out of the water, within such bounds that the edge stays in the middle
    third between the two cells: the area drawn wet is the area that is.

    Parameters
    ----------
    depth, ground : shape (ny, nx)
        Depth of water and height of the ground [m].
    known
        Cells where both count.
    """
    wet = known & (depth >= DRAWN)
    count = around(wet.astype(float))
    share = np.maximum(count, 1)
    mean = around(np.where(wet, depth - DRAWN, 0.0)) / share
    level = around(np.where(wet, depth + ground, 0.0)) / share
    shore = known & ~wet & (count > 0)
    least = np.maximum(mean, 0.002)
    rise = np.clip(np.where(shore, ground - level, 0.0), 0.5 * least, 2.0 * least)
    return np.where(wet, depth - DRAWN, np.where(shore, -rise, np.nan))


def depth_legend(title: Text) -> Legend:
    """Return the classes of depth as a legend."""
    names = [f"{low:g} – {high:g}" for low, high in pairwise(BOUNDS)] + [f"≥ {BOUNDS[-1]:g}"]
    entries = tuple(LegendEntry(colour, Text(name, name)) for colour, name in zip(COLOURS, names, strict=True))
    note = Text(f"less than {DRAWN:g} m is not drawn", f"不足 {DRAWN:g} m 不绘制")
    return Legend(title, entries, "m", note=note)
