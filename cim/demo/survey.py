"""What an aeroplane would have measured over the demo district: a surface model and a classified point cloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import HOLES, WATER_LEVEL, Grid, elevation
from cim.demo.plan import HEIGHT, WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.demo.district import Buildings
    from cim.demo.features import Records

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Owners = NDArray[np.int32]

__all__ = ["Cloud", "canopy", "foot_level", "owners", "roof_level", "scan", "surface"]

_FINE = 0.25
"""Cell of the map that tells which roof or water a point hits [m]."""
_SPACING = 0.72
"""Between points of the scan [m]: two in a square metre."""
_LEAVES = 0.72
"""Share of the points over a crown that come back from its leaves."""
GROUND, VEGETATION, BUILDING, WATER = 2, 5, 6, 9
"""ASPRS classes."""


@dataclass(frozen=True)
class Cloud:
    """Points in the order they were scanned, local coordinates [m]."""

    x: Reals
    y: Reals
    z: Reals
    classification: NDArray[np.uint8]

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.x)


def foot_level(buildings: Buildings) -> Reals:
    """Return the lowest ground along each footprint [m], looked at every metre."""
    import shapely

    xy, owner = shapely.get_coordinates(shapely.segmentize(buildings.shapes, 1.0), return_index=True)
    low = np.full(len(buildings), np.inf)
    np.minimum.at(low, owner, elevation(xy[:, 0], xy[:, 1]))
    return low


def roof_level(buildings: Buildings, x: Reals, y: Reals, owner: Owners) -> Reals:
    """Return the height of the roof of building `owner` over each point [m]: level, or sloping from the ridge to the eaves."""
    import shapely

    middle = shapely.get_coordinates(shapely.centroid(buildings.shapes))
    across = np.column_stack([-np.sin(buildings.ridge), np.cos(buildings.ridge)])
    xy, row = shapely.get_coordinates(buildings.shapes, return_index=True)
    span = np.zeros(len(buildings))
    np.maximum.at(span, row, np.abs(((xy - middle[row]) * across[row]).sum(axis=1)))
    away = np.abs((x - middle[owner, 0]) * across[owner, 0] + (y - middle[owner, 1]) * across[owner, 1])
    top = (foot_level(buildings) + buildings.height)[owner]
    return np.asarray(top - buildings.rise[owner] * np.minimum(away / span[owner], 1.0))


def surface(grid: Grid, buildings: Buildings, trees: Records, water: Records, random: np.random.Generator) -> Reals:
    """Return the surface model with roofs and crowns on a grid, shape (ny, nx) [m]; NaN in the holes of the survey."""
    east, north = grid.points()
    bare = _with_water(elevation(east, north), owners(water.geometry, grid.cell))
    z = np.maximum(bare, canopy(grid, trees))
    owner = owners(buildings.shapes, grid.cell)
    built = owner >= 0
    z[built] = roof_level(buildings, east[built], north[built], owner[built])
    z += random.normal(0.0, 0.02, z.shape)
    for x, y, half, wide in HOLES:
        z[((east - x) / half) ** 2 + ((north - y) / wide) ** 2 < 1.0] = np.nan
    return z


def scan(buildings: Buildings, trees: Records, water: Records, random: np.random.Generator) -> Cloud:
    """Return a classified point cloud of about two points in a square metre; water gives back one in thirty."""
    columns, rows = int(WIDTH / _SPACING), int(HEIGHT / _SPACING)
    jitter = random.uniform(0.02, _SPACING - 0.02, (2, rows, columns))
    x = (np.arange(columns) * _SPACING + jitter[0]).reshape(-1)
    y = (np.arange(rows)[:, None] * _SPACING + jitter[1]).reshape(-1)
    wet = _pick(owners(water.geometry, _FINE), x, y) >= 0
    kept = np.flatnonzero(~wet | (random.uniform(0, 1, x.shape) < 1 / 30))
    x, y, wet = np.round(x[kept], 2), np.round(y[kept], 2), wet[kept]
    owner = _pick(owners(buildings.shapes, _FINE), x, y)
    fine = Grid(0.5)
    crown = canopy(fine, trees)[_cell(fine, x, y)]
    z = elevation(x, y)
    kind = np.full(len(x), GROUND, np.uint8)
    leaves = np.isfinite(crown) & (crown > z + 0.5) & (random.uniform(0, 1, x.shape) < _LEAVES)
    z[leaves] += (crown[leaves] - z[leaves]) * random.beta(6.0, 1.6, int(leaves.sum()))
    kind[leaves] = VEGETATION
    z[wet], kind[wet] = WATER_LEVEL, WATER
    built = owner >= 0
    z[built], kind[built] = roof_level(buildings, x[built], y[built], owner[built]), BUILDING
    return Cloud(x, y, np.round(z + random.normal(0.0, 0.03, z.shape), 2), kind)


def _with_water(bare: Reals, owner: Owners) -> Reals:
    """Return the ground with the water that stands on it."""
    return np.where(owner >= 0, np.maximum(bare, WATER_LEVEL), bare)


def owners(shapes: NDArray[np.object_], cell: float) -> Owners:
    """Return which shape covers the middle of each cell of the district, -1 for none, shape (ny, nx)."""
    from rasterio.features import rasterize
    from rasterio.transform import Affine

    size = (round(HEIGHT / cell), round(WIDTH / cell))
    to_map = Affine(cell, 0.0, 0.0, 0.0, -cell, HEIGHT)
    pairs = zip(shapes.tolist(), range(len(shapes)), strict=True)
    return np.asarray(rasterize(pairs, out_shape=size, transform=to_map, fill=-1, dtype="int32"))


def _cell(grid: Grid, x: Reals, y: Reals) -> tuple[Ints, Ints]:
    row = np.clip(((HEIGHT - y) / grid.cell).astype(np.int64), 0, len(grid.y) - 1)
    return row, np.clip((x / grid.cell).astype(np.int64), 0, len(grid.x) - 1)


def _pick(owners: Owners, x: Reals, y: Reals) -> Owners:
    """Return the owner at each point."""
    return np.asarray(owners[_cell(Grid(_FINE), x, y)])


def canopy(grid: Grid, trees: Records) -> Reals:
    """Return the top of the crowns on a grid, half ellipsoids; -inf where there is none, shape (ny, nx) [m]."""
    import shapely

    xy = shapely.get_coordinates(trees.geometry)
    radius, height = trees.columns["冠幅"] / 2, trees.columns["高度"]
    foot = elevation(xy[:, 0], xy[:, 1])
    reach = int(np.ceil(radius.max() / grid.cell))
    row, column = _cell(grid, xy[:, 0], xy[:, 1])
    offset = np.stack(np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij"), axis=-1).reshape(-1, 2)
    i, j = row[:, None] + offset[:, 0], column[:, None] + offset[:, 1]
    inside = (i >= 0) & (i < len(grid.y)) & (j >= 0) & (j < len(grid.x))
    away = (
        np.hypot(grid.x[np.clip(j, 0, len(grid.x) - 1)] - xy[:, :1], grid.y[np.clip(i, 0, len(grid.y) - 1)] - xy[:, 1:]) / radius[:, None]
    )
    top = foot[:, None] + height[:, None] * (0.45 + 0.55 * np.sqrt(np.clip(1 - away**2, 0.0, 1.0)))
    hit = inside & (away < 1.0)
    canopy = np.full((len(grid.y), len(grid.x)), -np.inf)
    np.maximum.at(canopy, (i[hit], j[hit]), top[hit])
    return canopy
