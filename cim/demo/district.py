"""The demo district as it really is: plots and the buildings on them, before any register has described it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.houses import House, houses_on
from cim.demo.plan import blocks, quad, to_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Texts = NDArray[np.object_]

__all__ = ["Buildings", "District", "Plots", "make_district"]

_LETTERS = {
    "O": ("old_town", 2),
    "S": ("slabs", 1),
    "T": ("towers", 1),
    "X": ("offices", 1),
    "Z": ("centre", 1),
    "C": ("courts", 1),
    "L": ("library", 1),
    "M": ("museum", 1),
    "W": ("warehouses", 1),
    "K": ("market", 1),
    "F": ("fire_station", 1),
    "E": ("school", 1),
    "H": ("hospital", 1),
    "P": ("park", 1),
}
"""Letter of the map -> kind of plot and number of plots in the block."""
_MAP = (
    "OOLWOMCP",
    "OOCCKSFO",
    "SEXXCHSS",
    "TSXZZXST",
    "TTXZPXTT",
    "STSXPTES",
)
"""What each block is, the river first, west to east: low by the water, high in the middle of the town."""
_LAND_USE = {
    "old_town": ("R2", "二类居住用地"),
    "slabs": ("R2", "二类居住用地"),
    "towers": ("R2", "二类居住用地"),
    "offices": ("B2", "商务用地"),
    "centre": ("B1", "商业用地"),
    "courts": ("B1", "商业用地"),
    "library": ("A2", "文化设施用地"),
    "museum": ("A2", "文化设施用地"),
    "warehouses": ("B1", "商业用地"),
    "market": ("B1", "商业用地"),
    "fire_station": ("U3", "安全设施用地"),
    "school": ("A3", "教育科研用地"),
    "hospital": ("A5", "医疗卫生用地"),
    "park": ("G1", "公园绿地"),
}
_GARDENS = (
    "临江里",
    "柳荫里",
    "桂花苑",
    "书香苑",
    "云湖花园",
    "翠竹园",
    "梅园新村",
    "东门新村",
    "望江苑",
    "学府花园",
    "北苑",
    "江枫苑",
    "荷塘里",
    "兰亭苑",
    "松鹤里",
    "晴川花园",
    "映月园",
    "沁园",
    "锦绣里",
    "丹桂苑",
    "清波里",
    "和风苑",
    "听涛园",
    "玉兰苑",
)
_HOUSES = {"办公": ("大厦", "Tower"), "商业": ("商铺", "Shop"), "酒店": ("酒店", "Hotel")}
_SETBACK = {"old_town": 2.5, "park": 6.0, "centre": 4.0, "warehouses": 4.0}


@dataclass(frozen=True)
class Plots:
    """Plots of land, one row each."""

    ids: Texts
    shapes: Texts
    """Polygons in local coordinates."""
    kinds: Texts
    """Kind of `cim.demo.houses`."""
    codes: Texts
    """用地代码."""
    uses: Texts
    """用地性质."""

    def __len__(self) -> int:
        """Return the number of plots."""
        return len(self.ids)


@dataclass(frozen=True)
class Buildings:
    """Buildings, one row each."""

    ids: Texts
    """楼栋编号 such as SH-0001."""
    shapes: Texts
    """Footprints in local coordinates."""
    storeys: NDArray[np.int64]
    height: Reals
    """From the lowest ground at the foot to the highest point [m]."""
    rise: Reals
    """Of a gable above its eaves [m]; 0 for a flat roof."""
    ridge: Reals
    """Direction of the ridge, counter-clockwise from east [rad]."""
    use: Texts
    names: Texts
    names_en: Texts
    year: NDArray[np.int64]
    plot: NDArray[np.int64]
    """Row of the plot it stands on."""

    def __len__(self) -> int:
        """Return the number of buildings."""
        return len(self.ids)


@dataclass(frozen=True)
class District:
    """Plots and buildings."""

    plots: Plots
    buildings: Buildings


def make_district(seed: int) -> District:
    """Return the plots and buildings of the demo district; the same for the same seed."""
    frames, plots = _plots()
    return District(plots, _buildings(frames, plots, np.random.default_rng([seed, 1])))


@dataclass(frozen=True)
class _Frames:
    """Where the plots are: middle and turn in local coordinates, and size."""

    middle: Reals
    turn: Reals
    width: Reals
    depth: Reals


def _plots() -> tuple[_Frames, Plots]:
    grid = blocks()
    west, south, east, north, kinds = [], [], [], [], []
    for row, letters in enumerate(_MAP):
        for column, letter in enumerate(letters):
            kind, count = _LETTERS[letter]
            edges = np.linspace(grid.west[row, column], grid.east[row, column], count + 1)
            west += edges[:-1].tolist()
            east += edges[1:].tolist()
            south += [float(grid.south[row, column])] * count
            north += [float(grid.north[row, column])] * count
            kinds += [kind] * count
    u0, d0, u1, d1 = (np.array(one) for one in (west, south, east, north))
    middle = to_place((u0 + u1) / 2, (d0 + d1) / 2)
    ahead = to_place((u0 + u1) / 2 + 1.0, (d0 + d1) / 2) - middle
    shapes = np.array([quad(*box) for box in zip(u0, d0, u1, d1, strict=True)], object)
    names = np.array([f"DK-{number + 1:03d}" for number in range(len(kinds))], object)
    codes, uses = (np.array([_LAND_USE[kind][which] for kind in kinds], object) for which in (0, 1))
    frames = _Frames(middle, np.arctan2(ahead[:, 1], ahead[:, 0]), u1 - u0, d1 - d0)
    return frames, Plots(names, shapes, np.array(kinds, object), codes, uses)


def _buildings(frames: _Frames, plots: Plots, random: np.random.Generator) -> Buildings:
    """Return what stands on the plots, without what would stick out of its plot."""
    import shapely

    houses: list[House] = []
    plot: list[int] = []
    for row, kind in enumerate(plots.kinds.tolist()):
        inset = 2 * _SETBACK.get(kind, 5.0)
        found = houses_on(kind, float(frames.width[row]) - inset, float(frames.depth[row]) - inset, random)
        houses += found
        plot += [row] * len(found)
    at = np.array(plot)
    local = np.array([house.shape for house in houses], object)
    placed = _placed(local, frames.middle[at], frames.turn[at])
    inside = shapely.contains(shapely.buffer(plots.shapes, -0.5)[at], placed)
    kept = np.flatnonzero(inside)
    houses = [houses[row] for row in kept.tolist()]
    at, turn = at[kept], frames.turn[at[kept]]
    names, names_en = _names(houses, at, plots)
    order = np.arange(len(houses)) + 1
    return Buildings(
        np.array([f"SH-{number:04d}" for number in order.tolist()], object),
        placed[kept],
        np.array([house.storeys for house in houses], np.int64),
        np.array([house.height for house in houses]),
        np.array([house.rise for house in houses]),
        np.array([house.ridge for house in houses]) + turn,
        np.array([house.use for house in houses], object),
        names,
        names_en,
        _years(plots.kinds[at], random),
        at,
    )


def _placed(shapes: Texts, middle: Reals, turn: Reals) -> Texts:
    """Return shapes turned and moved to the middles of their plots, to the millimetre."""
    import shapely

    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    cos, sin = np.cos(turn)[owner], np.sin(turn)[owner]
    moved = np.column_stack([xy[:, 0] * cos - xy[:, 1] * sin, xy[:, 0] * sin + xy[:, 1] * cos]) + middle[owner]
    return np.asarray(shapely.set_coordinates(shapes.copy(), np.round(moved, 3)), object)


def _names(houses: list[House], plot: NDArray[np.int64], plots: Plots) -> tuple[Texts, Texts]:
    """Return Chinese and English names: a garden's houses are numbered, the rest is called after its plot."""
    count: dict[tuple[int, str], int] = {}
    gardens: dict[int, int] = {}
    chinese, english = [], []
    for house, row in zip(houses, plot.tolist(), strict=True):
        number = count[row, house.use] = count.get((row, house.use), 0) + 1
        if house.name[0]:
            zh, en = house.name
        elif house.use in _HOUSES:
            zh, en = _numbered(house.use, plots.ids[row][3:], number)
        else:
            garden = _GARDENS[gardens.setdefault(row, len(gardens)) % len(_GARDENS)]
            zh, en = f"{garden}{number}号楼", f"{_ENGLISH[garden]} No. {number}"
        chinese.append(zh)
        english.append(en)
    return np.array(chinese, object), np.array(english, object)


def _numbered(use: str, plot: str, number: int) -> tuple[str, str]:
    zh, en = _HOUSES[use]
    return f"{plot}地块{zh}{number}", f"{en} {plot}-{number}"


_ENGLISH = dict(
    zip(
        _GARDENS,
        (
            "Riverside Court",
            "Willow Court",
            "Osmanthus Garden",
            "Scholars' Garden",
            "Cloud Lake Garden",
            "Bamboo Garden",
            "Plum Village",
            "East Gate Village",
            "River View",
            "Academy Garden",
            "North Garden",
            "Maple Garden",
            "Lotus Court",
            "Orchid Garden",
            "Crane Court",
            "Clear River Garden",
            "Moon Garden",
            "Qin Garden",
            "Brocade Court",
            "Cinnamon Garden",
            "Ripple Court",
            "Breeze Garden",
            "Wave Garden",
            "Magnolia Garden",
        ),
        strict=True,
    )
)


def _years(kinds: Texts, random: np.random.Generator) -> NDArray[np.int64]:
    """Return years of construction that fit the kind of plot: the old town is old."""
    first = {"old_town": 1908, "warehouses": 1932, "market": 1958, "slabs": 1979, "courts": 1988, "towers": 2004, "centre": 2010}
    start = np.array([first.get(kind, 1996) for kind in kinds.tolist()])
    span = np.where(start < 1950, 45, 14)
    return np.asarray(start + np.floor(random.uniform(0, 1, len(kinds)) * span), np.int64)
