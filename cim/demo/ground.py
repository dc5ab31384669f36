"""The ground of the demo district: a river between banks, a dyke with one gap, a canal, an underpass, a hill, a pond, and gentle relief."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.plan import AVENUES, CANAL, HEIGHT, STREETS, WIDTH, river_across, river_half_width, to_place, to_streets

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]

__all__ = ["CANAL_END", "CANAL_HALF", "DYKE", "GAP", "HOLES", "POND", "UNDERPASS", "WATER_LEVEL", "Grid", "elevation", "terrain"]

WATER_LEVEL = 2.6
"""Of the river, the canal and the pond on an ordinary day [m above the 1985 datum]."""
DYKE = 6.0
"""Crest of the dyke on the north bank [m]."""
GAP = (528.0, 548.0, 4.5)
"""Where the dyke is open for the quay, from west to east along the river, and its sill there [m]."""
UNDERPASS = (455.0, 350.0)
"""Where Renmin Avenue dips under Jianshe Boulevard, along and inland [m]."""
CANAL_HALF, CANAL_END = 7.0, 452.0
"""Half the width of the canal, and how far inland it reaches [m]."""
POND = (683.0, 636.0, 34.0, 20.0)
"""The pond of the park: middle along and inland, half its length and width [m]."""
_HILL = (652.0, 530.0, 13.0, 24.0)  # middle along and inland, height over the plain, spread [m]
HOLES = ((1152.0, 62.0, 16.0, 8.0), (690.0, 886.0, 13.0, 7.0), (392.0, 884.0, 11.0, 7.0))
"""Where the survey saw nothing: middle east and north, half length and half width [m]; one in the river, two in yards."""


class Grid:
    """Cell centres of a raster over the district, north row first."""

    def __init__(self, cell: float) -> None:
        """Lay cells of `cell` metres."""
        self.cell = cell
        self.x = (np.arange(round(WIDTH / cell)) + 0.5) * cell
        self.y = HEIGHT - (np.arange(round(HEIGHT / cell)) + 0.5) * cell

    def points(self) -> tuple[Reals, Reals]:
        """Return east and north of every cell, shape (ny, nx)."""
        east, north = np.meshgrid(self.x, self.y)
        return east, north


def _ramp(value: Reals, low: float, high: float) -> Reals:
    """Return a smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def elevation(x: ArrayLike, y: ArrayLike) -> Reals:
    """Return the elevation of the bare ground at local coordinates [m above the 1985 datum]; bridges are no ground."""
    east, north = np.asarray(x, float), np.asarray(y, float)
    along, inland = to_streets(east, north)
    z = _plain(along, inland)
    z = _dyke(z, along, inland)
    z = _river(z, east, north)
    z = _canal(z, along, inland)
    return _underpass(z, along, inland)


def _plain(along: Reals, inland: Reals) -> Reals:
    """Return the plain behind the dyke with the hill, the pond and the kerbs of the streets."""
    z = 4.25 + 2.7 * _ramp(inland, 80.0, 700.0) + 0.18 * np.sin(along / 95.0) + 0.12 * np.cos(inland / 60.0 + along / 210.0)
    z = z - 0.45 * np.exp(-(((along - 190.0) / 170.0) ** 2 + ((inland - 95.0) / 70.0) ** 2))
    u, d, rise, spread = _HILL
    z = z + rise * np.exp(-(((along - u) / spread) ** 2 + ((inland - d) / (0.8 * spread)) ** 2))
    u, d, half, wide = POND
    z = z - 3.8 * (1 - _ramp(np.hypot((along - u) / half, (inland - d) / wide), 0.75, 1.12))
    kerb = np.zeros(z.shape, bool)
    for street in STREETS:
        kerb |= np.abs(inland - street.at) < street.width / 2
    for avenue in AVENUES:
        kerb |= (np.abs(along - avenue.at) < avenue.width / 2) & (inland > STREETS[0].at)
    return np.asarray(z - 0.15 * kerb)


def _dyke(z: Reals, along: Reals, inland: Reals) -> Reals:
    """Return the ground with the dyke along the north bank, open at the quay."""
    sill = GAP[2] - DYKE
    opening = _ramp(along, GAP[0] - 6.0, GAP[0]) * (1 - _ramp(along, GAP[1], GAP[1] + 6.0))
    crest = DYKE + sill * opening
    front = 2.2 + (crest - 2.2) * _ramp(inland, 0.0, 9.0)
    back = crest + (z - crest) * _ramp(inland, 16.0, 24.0)
    return np.where(inland < 24.0, np.where(inland < 14.0, front, back), z)


def _river(z: Reals, east: Reals, north: Reals) -> Reals:
    """Return the ground with the bed of the river and the green south bank."""
    across = river_across(east, north)
    bed = 2.2 - 5.6 * np.clip(1 - across**2, 0.0, 1.0) ** 0.8
    south = (-1.0 - across) * river_half_width(east)
    shore = 2.2 + 3.4 * _ramp(south, 0.0, 12.0) - 0.8 * _ramp(south, 14.0, 30.0) + 0.15 * np.sin(east / 40.0)
    return np.where(np.abs(across) < 1.0, bed, np.where(across <= -1.0, shore, z))


def _canal(z: Reals, along: Reals, inland: Reals) -> Reals:
    """Return the ground with the canal; streets cross it on culverts, and a gate in the dyke keeps the river out."""
    across = np.abs(along - CANAL.at)
    wet = (
        (1 - _ramp(across, CANAL_HALF - 2.0, CANAL_HALF + 0.5))
        * _ramp(inland, 24.0, 26.0)
        * (1 - _ramp(inland, CANAL_END - 4.0, CANAL_END))
    )
    for street in STREETS:
        wet = wet * _ramp(np.abs(inland - street.at), street.width / 2 + 0.5, street.width / 2 + 2.5)
    return np.asarray(z + (0.9 - z) * wet)


def _underpass(z: Reals, along: Reals, inland: Reals) -> Reals:
    """Return the ground with the underpass: 5.3 m deep between walls, with ramps of 62 m."""
    across, away = np.abs(along - UNDERPASS[0]), np.abs(inland - UNDERPASS[1])
    depth = 5.3 * (1 - _ramp(away, 17.0, 79.0)) * (across < 8.0)
    return np.asarray(z - depth)


def terrain(grid: Grid, random: np.random.Generator) -> Reals:
    """Return the surveyed terrain on a grid, shape (ny, nx) [m]; NaN in the holes of the survey."""
    east, north = grid.points()
    z = elevation(east, north) + random.normal(0.0, 0.015, east.shape)
    for x, y, half, wide in HOLES:
        z[((east - x) / half) ** 2 + ((north - y) / wide) ** 2 < 1.0] = np.nan
    return z


def at_streets(along: ArrayLike, inland: ArrayLike) -> Reals:
    """Return the elevation at street coordinates [m]."""
    place = to_place(along, inland)
    return elevation(place[..., 0], place[..., 1])
