"""What stands on a plot of the demo district: one function per kind of plot, from its size to the houses on it.

A plot is a rectangle around the origin, `width` along the street and `depth` inland [m]; the houses come back in the same frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo import shapes

if TYPE_CHECKING:
    from typing import Any

    Random = np.random.Generator

__all__ = ["KINDS", "House", "houses_on"]


@dataclass(frozen=True)
class House:
    """One house in the frame of its plot."""

    shape: Any
    """Footprint."""
    storeys: int
    """Above ground."""
    height: float
    """From the lowest ground at its foot to its highest point [m]."""
    use: str
    """用途: what it is used for."""
    rise: float = 0.0
    """Of a gable roof above its eaves [m]; 0 for a flat roof."""
    ridge: float = 0.0
    """Direction of the ridge: 0 along the street, pi / 2 inland [rad]."""
    name: tuple[str, str] = ("", "")
    """名称 and English name; made from the plot when empty."""


def houses_on(kind: str, width: float, depth: float, random: Random) -> list[House]:
    """Return the houses of a kind of plot; none for a kind that is not built on."""
    return list(KINDS[kind](width, depth, random)) if kind in KINDS else []


def _storeys(use: str, count: int, random: Random) -> tuple[int, float]:
    """Return storeys and the height that goes with them [m], to the centimetre."""
    each, extra = {"住宅": (2.9, 1.2), "办公": (3.9, 1.6), "商业": (4.6, 1.2), "酒店": (3.5, 1.8), "学校": (3.8, 0.9)}.get(use, (4.0, 1.0))
    return count, round(float(count * each + extra + random.uniform(-0.2, 0.2)), 2)


def _house(shape: Any, use: str, storeys: int, random: Random, **more: Any) -> House:
    count, height = _storeys(use, storeys, random)
    return House(shape, count, round(height + more.get("rise", 0.0), 2), use, **more)


def _places(length: float, size: float, gap: float) -> np.ndarray:
    """Return the middles of as many things of a size as fit into a length, spread evenly around 0."""
    count = max(0, int((length + gap) // (size + gap)))
    pitch = (length - size) / (count - 1) if count > 1 else 0.0
    return (np.arange(count) - (count - 1) / 2) * min(pitch, size + 2.0 * gap)


def old_town(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build terraces of two or three storeys along lanes, gable roofs, here and there a courtyard house."""
    for y in _places(depth, 11.5, 6.5):
        x = -width / 2
        while x < width / 2 - 8:
            if random.uniform() < 0.16 and x + 19 < width / 2:
                yield _house(shapes.courtyard(18.0, 13.5, 4.2, x + 9, y), "住宅", 2, random)
                x += 20.5
                continue
            for _ in range(int(random.integers(2, 4))):
                front = float(np.round(random.uniform(8.0, 12.5), 1))
                if x + front > width / 2:
                    x = width
                    break
                use = "商业" if random.uniform() < 0.3 else "住宅"
                deep = float(np.round(random.uniform(9.0, 11.0), 1))
                yield _house(shapes.rectangle(front, deep, x + front / 2, y), use, int(random.integers(2, 4)), random, rise=1.5)
                x += front
            x += 3.4


def slabs(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build rows of five to eleven storeys that face south, as far apart as the winter sun asks."""
    floors = int(random.choice([5, 6, 6, 6, 7, 9, 11]))
    for row, y in enumerate(_places(depth, 12.6, 8.0 + 2.0 * floors)):
        for x in _places(width, 32.0, 7.0):
            yield _house(shapes.rectangle(32.0, 12.6, x, y), "住宅", floors + (row and int(random.integers(0, 2))), random)


def towers(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build residential towers of eighteen to thirty-three storeys in two staggered rows, and shops along the street."""
    base = int(random.integers(17, 27))
    for row, y in enumerate(_places(depth - 16.0, 20.0, 22.0)):
        for x in _places(width - 12, 22.0, 15.0):
            yield _house(
                shapes.cross(22.0, 18.0, 4.0, x + (6 if row % 2 else -6), y + 8.0), "住宅", base + int(random.integers(0, 8)), random
            )
    for x in _places(width, 34.0, 4.0):
        yield _house(shapes.rectangle(34.0, 9.0, x, 5.0 - depth / 2), "商业", 2, random)


def mixed_offices(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build offices of eight to sixteen storeys, L-shaped, U-shaped or plain."""
    for y in _places(depth, 34.0, 14.0):
        for number, x in enumerate(_places(width, 40.0, 14.0)):
            form = int(random.integers(0, 3))
            shape = (
                shapes.angle_shape(38.0, 32.0, 13.5, x, y, flip=bool(number % 2)) if form == 0
                else shapes.u_shape(40.0, 32.0, 12.0, x, y) if form == 1 else shapes.rectangle(36.0, 20.0, x, y)
            )  # fmt: skip
            yield _house(shape, "办公", int(random.integers(7, 17)), random)


def centre(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build a shopping podium with one or two high towers that rise from its courts."""
    wide, deep = min(width, 112.0), min(depth, 78.0)
    spots = np.array([-wide / 4, wide / 4]) if wide > 80 else np.array([0.0])
    side = 30.0
    import shapely

    cores = [shapes.octagon(side, x, 0.0) if random.uniform() < 0.35 else shapes.rectangle(side, side, x, 0.0) for x in spots]
    yield _house(shapely.difference(shapes.rectangle(wide, deep), shapely.union_all(cores)), "商业", 4, random)
    for core in cores:
        use = "酒店" if random.uniform() < 0.25 else "办公"
        yield _house(core, use, int(random.integers(24, 43)), random)


def courts(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build perimeter blocks of five or six storeys with shops and flats."""
    for x in _places(width, 46.0, 12.0):
        for y in _places(depth, 38.0, 12.0):
            yield _house(
                shapes.courtyard(46.0, 38.0, 11.0, x, y), str(random.choice(["商业", "办公", "住宅"])), int(random.integers(4, 7)), random
            )


def library(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the library on its square."""
    yield _house(shapes.octagon(44.0, -width / 6, 4.0), "图书馆", 4, random, name=("三河图书馆", "Sanhe Library"))
    yield _house(shapes.rectangle(22.0, 14.0, width / 4, depth / 4), "文化", 2, random, name=("临江书局", "Riverside Bookshop"))


def museum(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the museum of the river, and its boat hall."""
    del depth
    yield _house(shapes.h_shape(58.0, 44.0, 15.0, -width / 8, 0.0), "文化", 3, random, name=("三河博物馆", "Sanhe Museum"))
    yield _house(shapes.rectangle(18.0, 30.0, width / 3, 0.0), "文化", 2, random, rise=1.8, ridge=np.pi / 2, name=("船坞展厅", "Boat Hall"))


def warehouses(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build old warehouses by the quay, now workshops and restaurants."""
    for number, x in enumerate(_places(width, 20.0, 9.0)):
        deep = float(np.round(random.uniform(0.62, 0.9) * min(depth, 58.0), 1))
        yield _house(
            shapes.rectangle(19.0, deep, x, 0.0),
            "商业",
            2,
            random,
            rise=1.6,
            ridge=np.pi / 2,
            name=(f"老仓库{number + 1}号", f"Old Warehouse {number + 1}"),
        )


def market(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the market hall and the shops beside it."""
    yield _house(shapes.rectangle(56.0, 34.0, -width / 6, 0.0), "商业", 2, random, name=("渔市菜场", "Fishmarket Hall"))
    for y in _places(depth, 14.0, 6.0):
        yield _house(shapes.rectangle(20.0, 13.0, width / 2 - 11.0, y), "商业", 3, random)


def fire_station(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the fire station and its drill tower, and houses beside it."""
    yield _house(shapes.angle_shape(38.0, 30.0, 13.0, -width / 4, -4.0), "消防站", 3, random, name=("三河消防救援站", "Sanhe Fire Station"))
    yield _house(shapes.rectangle(7.0, 7.0, -width / 4 + 12.0, 14.0), "消防站", 6, random, name=("消防训练塔", "Drill Tower"))
    for y in _places(depth, 13.0, 17.0):
        yield _house(shapes.rectangle(34.0, 12.6, width / 4, y), "住宅", 6, random)


def school(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build a school: teaching building, laboratories, gymnasium; the sports ground keeps the east free."""
    yield _house(shapes.u_shape(52.0, 40.0, 11.0, -width / 2 + 30.0, 4.0), "学校", 4, random, name=("教学楼", "Teaching Building"))
    yield _house(shapes.rectangle(44.0, 13.0, -width / 2 + 26.0, -depth / 2 + 9.0), "学校", 5, random, name=("实验楼", "Laboratories"))
    yield _house(shapes.rectangle(26.0, 20.0, width / 2 - 16.0, depth / 2 - 13.0), "学校", 2, random, name=("体育馆", "Gymnasium"))


def hospital(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the hospital: out-patients, wards, a tower of beds."""
    yield _house(
        shapes.h_shape(62.0, 44.0, 15.0, -width / 6, -depth / 8), "医院", 5, random, name=("三河医院门诊楼", "Sanhe Hospital, Out-patients")
    )
    yield _house(shapes.rectangle(26.0, 40.0, width / 3, 2.0), "医院", 15, random, name=("三河医院住院楼", "Sanhe Hospital, Wards"))
    yield _house(
        shapes.rectangle(40.0, 12.0, -width / 6, depth / 2 - 8.0), "医院", 3, random, name=("三河医院急诊楼", "Sanhe Hospital, Emergency")
    )


def pavilions(width: float, depth: float, random: Random) -> Iterator[House]:
    """Build the tea house of a park."""
    yield _house(shapes.octagon(13.0, width / 2.7, -depth / 3.2), "文化", 1, random, name=("望江茶亭", "River View Tea House"))


KINDS: dict[str, Callable[[float, float, Random], Iterator[House]]] = {
    "old_town": old_town,
    "slabs": slabs,
    "towers": towers,
    "offices": mixed_offices,
    "centre": centre,
    "courts": courts,
    "library": library,
    "museum": museum,
    "warehouses": warehouses,
    "market": market,
    "fire_station": fire_station,
    "school": school,
    "hospital": hospital,
    "park": pavilions,
}
"""Kind of plot -> the houses on it."""
