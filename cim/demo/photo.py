"""The orthophoto of the demo district: roofs, roads, water, green and crowns painted from the plan, lit by an afternoon sun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import Grid, elevation
from cim.demo.plan import AVENUES, HEIGHT, ORIGIN, STREETS, to_streets
from cim.demo.survey import canopy, owners, roof_level

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.demo.district import Buildings, Plots
    from cim.demo.features import Features, Records

    Colours = NDArray[np.float32]
    Reals = NDArray[np.float64]

__all__ = ["CELL", "ROOFS", "paint", "roof_colours", "write_photo"]

CELL = 0.5
"""Size of a pixel [m]."""
_SUN = (-0.55, -0.48, 0.68)
"""Direction to the sun: east, north, up."""
_SHADE = 0.6
"""Brightness in shadow."""
_REACH = 60.0
"""Longest shadow [m]."""
_BARE, _ASPHALT, _PAVED, _SQUARE = (148, 141, 128), (84, 86, 90), (168, 163, 154), (196, 184, 164)
_WATER = {"河流": (70, 96, 104), "运河": (66, 98, 92), "湖泊": (62, 100, 108)}
_GREEN = {"公园绿地": (92, 122, 66), "防护绿地": (86, 116, 62), "附属绿地": (104, 132, 76), "运动场": (76, 140, 84)}
_CROWN = (58, 92, 44)
ROOFS = {
    "住宅": ((150, 84, 66), (168, 98, 76), (178, 172, 164)), "商业": ((188, 182, 172), (150, 92, 72), (206, 202, 196)),
    "办公": ((196, 198, 200), (172, 178, 184), (210, 206, 198)), "酒店": ((204, 198, 188),), "学校": ((188, 110, 84), (176, 120, 96)),
    "医院": ((214, 214, 212),), "消防站": ((176, 70, 60),), "图书馆": ((206, 196, 178),), "文化": ((120, 124, 130), (190, 176, 150)),
}  # fmt: skip
"""Use -> colours of roofs, 0 to 255."""


def write_photo(buildings: Buildings, plots: Plots, features: Features, path: Path, seed: int) -> NDArray[np.uint8]:
    """Write the orthophoto as a tiled GeoTIFF, JPEG inside, and return it, shape (ny, nx, 3)."""
    import rasterio
    from rasterio.transform import Affine

    image = paint(buildings, plots, features, seed)
    profile = {
        "driver": "GTiff", "height": image.shape[0], "width": image.shape[1], "count": 3, "dtype": "uint8", "crs": "EPSG:4549",
        "transform": Affine(CELL, 0.0, ORIGIN[0], 0.0, -CELL, ORIGIN[1] + HEIGHT), "compress": "jpeg", "jpeg_quality": 82,
        "photometric": "ycbcr", "interleave": "pixel", "tiled": True, "blockxsize": 256, "blockysize": 256, "num_threads": 1,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.moveaxis(image, 2, 0))
    return image


def paint(buildings: Buildings, plots: Plots, features: Features, seed: int) -> NDArray[np.uint8]:
    """Return the orthophoto, north row first, shape (ny, nx, 3)."""
    random = np.random.default_rng([seed, 15])
    grid = Grid(CELL)
    east, north = grid.points()
    image = np.empty((*east.shape, 3), np.float32)
    image[:] = _BARE
    for shapes, colours in _layers(plots, features):
        _fill(image, shapes, colours)
    _lanes(image, features.roads, east, north)
    z = elevation(*Grid(2.0).points())
    ground = np.repeat(np.repeat(z, 4, axis=0), 4, axis=1)  # the relief of 2 m does for light
    crown = canopy(grid, features.trees)
    house = owners(buildings.shapes, CELL)
    built = house >= 0
    leaves = (crown > ground + 0.5) & ~built
    image[leaves] = np.array(_CROWN, np.float32) * (0.75 + 0.5 * random.random((int(leaves.sum()), 1), np.float32))
    image[built] = roof_colours(buildings, seed)[house[built]]
    top = np.where(leaves, crown, ground)
    top[built] = roof_level(buildings, east[built], north[built], house[built])
    image *= _light(top, built)[..., None]
    image *= 1.0 + 0.035 * random.standard_normal(image.shape[:2], np.float32)[..., None]
    return np.clip(image, 0, 255).astype(np.uint8)


def roof_colours(buildings: Buildings, seed: int) -> Colours:
    """Return the colour of each roof, shape (n, 3), 0 to 255: tiles on gables, gravel and sheet on flat roofs."""
    random = np.random.default_rng([seed, 16])
    colours = np.empty((len(buildings), 3), np.float32)
    for row, (use, rise) in enumerate(zip(buildings.use.tolist(), buildings.rise.tolist(), strict=True)):
        known = ROOFS.get(use, ((160, 150, 140),))
        pick = known[0] if rise > 0 and use in {"住宅", "商业"} else known[int(random.integers(0, len(known)))]
        colours[row] = np.array(pick) * random.uniform(0.88, 1.1)
    return colours


def _layers(plots: Plots, features: Features) -> list[tuple[NDArray[np.object_], Colours]]:
    """Return what lies on the ground, in the order it is painted."""
    paved = np.tile(np.array(_PAVED, np.float32), (len(plots), 1)) * np.linspace(0.93, 1.05, len(plots), dtype=np.float32)[:, None]
    green = features.green.columns["绿地类型"].tolist()
    water = features.water.columns["类型"].tolist()
    return [
        (plots.shapes, paved.astype(np.float32)), (features.squares.geometry, _same(_SQUARE, len(features.squares))),
        (features.green.geometry, np.array([_GREEN.get(kind, (90, 120, 66)) for kind in green], np.float32)),
        (features.roads.geometry, _same(_ASPHALT, len(features.roads))),
        (features.water.geometry, np.array([_WATER[kind] for kind in water], np.float32)),
    ]  # fmt: skip


def _same(colour: tuple[int, int, int], count: int) -> Colours:
    return np.tile(np.array(colour, np.float32), (count, 1))


def _fill(image: Colours, shapes: NDArray[np.object_], colours: Colours) -> None:
    owner = owners(shapes, CELL)
    hit = owner >= 0
    image[hit] = colours[owner[hit]]


def _lanes(image: Colours, roads: Records, east: Reals, north: Reals) -> None:
    """Paint the middle lines of the streets, dashed."""
    on_road = np.flatnonzero(owners(roads.geometry, CELL).reshape(-1) >= 0)
    along, inland = to_streets(east.reshape(-1)[on_road], north.reshape(-1)[on_road])
    line = np.zeros(len(on_road), bool)
    crossing = np.zeros(len(on_road), bool)
    for street in STREETS:
        line |= (np.abs(inland - street.at) < 0.3) & (along % 9.0 < 5.0)
        crossing |= np.abs(inland - street.at) < street.width / 2 + 1
    for avenue in AVENUES:
        across = np.abs(along - avenue.at)
        line |= (across < 0.3) & (inland % 9.0 < 5.0) & ~crossing
        line &= ~((across < avenue.width / 2 + 1) & crossing)
    image.reshape(-1, 3)[on_road[line]] = (214, 214, 208)


def _light(top: Reals, built: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how bright each cell is: its slope to the sun, and whether something stands in the way."""
    east, north, up = _SUN
    level = top.astype(np.float32)
    down, right = np.gradient(level, CELL)
    slope = (up - east * right + north * down) / np.sqrt(1.0 + right**2 + down**2)
    light = np.clip(0.55 + 0.8 * slope, 0.72, 1.12)
    edge = np.hypot(right, down) > 2.0  # walls are no slopes
    light[edge] = 1.0
    side = float(np.hypot(east, north))
    reach = min(_REACH, float(top[built].max() - top[~built].min()) if built.any() else 0.0)
    step = 2.0 * CELL
    shadow = np.zeros(level.shape, bool)
    for number in range(1, int(reach / step)):
        away = number * step
        rows, columns = round(north / side * away / CELL), round(east / side * away / CELL)
        shadow |= _shifted(level, rows, columns) - away * up / side > level + 0.4
    return np.asarray(np.where(shadow, light * _SHADE, light), np.float32)


def _shifted(level: NDArray[np.float32], north: int, east: int) -> NDArray[np.float32]:
    """Return the level of the cell that lies so many cells north and east; -inf beyond the edge."""
    out = np.full_like(level, -np.inf)
    rows, columns = level.shape
    to_rows = slice(max(north, 0), rows + min(north, 0))
    from_rows = slice(max(-north, 0), rows + min(-north, 0))
    to_columns = slice(max(-east, 0), columns + min(-east, 0))
    from_columns = slice(max(east, 0), columns + min(east, 0))
    out[to_rows, to_columns] = level[from_rows, from_columns]
    return out
