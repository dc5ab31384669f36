"""The office of the demo district as it is inside: storeys, rooms, walls, doors and windows around a courtyard, before anything is written.

Everything is in the frame of the building: x along its south side, y into the block, z above the lowest ground at its foot [m].
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import District

    Reals = NDArray[np.float64]
    Rect = tuple[float, float, float, float]

__all__ = ["Hole", "Office", "Room", "Storey", "Wall", "choose_office"]

OUTER, INNER, SLAB = 0.3, 0.15, 0.3
"""Thickness of outer walls, of walls inside, and of floors [m]."""
PARAPET = 0.9
"""Of the roof, slab included [m]."""
_CORRIDOR = 2.2
"""Clear width [m]."""
_CORNER = 10.6
"""Length of a corner room along the street [m]: far enough to reach the corridor."""
_ROOMS = {
    "lobby": ("大堂", "Lobby"), "office": ("办公室", "Office"), "meeting": ("会议室", "Meeting Room"), "stair": ("楼梯间", "Stair"),
    "toilet": ("卫生间", "Toilets"), "plant": ("设备间", "Plant Room"), "archive": ("档案室", "Archive"), "canteen": ("食堂", "Canteen"),
    "corridor": ("走廊", "Corridor"),
}  # fmt: skip
"""Kind of room -> its name in Chinese and English."""


@dataclass(frozen=True)
class Hole:
    """A door or window in a wall."""

    kind: str
    """``door`` or ``window``."""
    at: float
    """Distance of its middle from the start of the wall [m]."""
    width: float
    height: float
    sill: float
    """Above the foot of the wall [m]."""
    room: str
    """Number of the room it belongs to."""


@dataclass(frozen=True)
class Wall:
    """A wall along one of the axes."""

    name: str
    box: Rect
    """x and y where it starts, x and y where it ends [m]."""
    outside: bool
    holes: tuple[Hole, ...] = ()

    @property
    def along_x(self) -> bool:
        """True when it runs along x."""
        west, south, east, north = self.box
        return east - west > north - south


@dataclass(frozen=True)
class Room:
    """A room of a storey."""

    number: str
    kind: str
    shape: Any
    """Clear area between the walls, a polygon in the frame of the building."""

    @property
    def name(self) -> tuple[str, str]:
        """Name in Chinese and English."""
        return _ROOMS[self.kind]

    @property
    def area(self) -> float:
        """Clear area [m²]."""
        return float(self.shape.area)


@dataclass(frozen=True)
class Storey:
    """One storey."""

    number: int
    """1 is the ground floor."""
    elevation: float
    """Of its floor slab's underside over the foot of the building [m]."""
    rooms: tuple[Room, ...]
    walls: tuple[Wall, ...]

    @property
    def name(self) -> str:
        """Name such as F2."""
        return f"F{self.number}"


@dataclass(frozen=True)
class Office:
    """The office: which building it is, and what is in it."""

    row: int
    """Row of the building in the district."""
    id: str
    name: tuple[str, str]
    corner: tuple[float, float]
    """Where its frame begins, in local coordinates of the district [m]."""
    turn: float
    """Direction of its x axis, counter-clockwise from east [rad]."""
    size: tuple[float, float]
    """Along x and y [m]."""
    deep: float
    """Depth of its wings [m]."""
    height: float
    each: float
    """From floor to floor [m]."""
    storeys: tuple[Storey, ...]

    @property
    def yard(self) -> Rect:
        """Courtyard."""
        return (self.deep, self.deep, self.size[0] - self.deep, self.size[1] - self.deep)

    @property
    def stair(self) -> Rect:
        """Clear area of the stairwell, the same on every storey."""
        room = next(one for one in self.storeys[0].rooms if one.kind == "stair")
        west, south, east, north = room.shape.bounds
        return (west, south, east, north)

    @property
    def objects(self) -> int:
        """Objects that a reader makes of its model: what is in it, and project, site, building and two systems."""
        walls = [wall for one in self.storeys for wall in one.walls]
        inside = sum(1 + len(one.rooms) for one in self.storeys) + len(walls) + sum(len(wall.holes) for wall in walls)
        count = len(self.storeys)
        shell = count + (count - 1) + 2  # floors, stairs, roof and parapet
        return inside + shell + 9 * count + 5  # ducts, diffusers and a riser on every storey

    def ring(self) -> Any:
        """Return the outline with its courtyard, in the frame of the building."""
        import shapely

        return shapely.difference(shapely.box(0.0, 0.0, *self.size), shapely.box(*self.yard))


def choose_office(district: District, taken: frozenset[str] = frozenset()) -> Office | None:
    """Return the office: a building around a courtyard, one with offices first; None where the district has none.

    Parameters
    ----------
    taken
        Buildings that must not be it, because their records are faulty.
    """
    import shapely

    buildings = district.buildings
    court = (shapely.get_num_interior_rings(buildings.shapes) == 1) & (shapely.get_num_coordinates(buildings.shapes) == 10)
    large = court & (shapely.area(buildings.shapes) > 1000) & (buildings.storeys >= 4) & (buildings.storeys <= 7)
    free = np.flatnonzero(large & ~np.isin(buildings.ids, list(taken)))
    if not len(free):
        return None
    row = int(free[np.lexsort((free, buildings.use[free] != "办公"))[0]])
    return _furnished(district, row)


def _furnished(district: District, row: int) -> Office:
    """Return the office with its storeys."""
    import shapely

    buildings = district.buildings
    shape = shapely.orient_polygons(buildings.shapes[row : row + 1])[0]
    outer, inner = (np.asarray(ring.coords)[:-1] for ring in (shape.exterior, shape.interiors[0]))
    sides = np.linalg.norm(np.roll(outer, -1, axis=0) - outer, axis=1)
    start = int(np.lexsort((outer[:, 1], -np.round(sides, 1)))[0])
    ahead = outer[(start + 1) % 4] - outer[start]
    turn = float(np.arctan2(ahead[1], ahead[0]))
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    yard = (inner - outer[start]) @ back.T
    size = (round(float(sides[start]), 3), round(float(sides[(start + 1) % 4]), 3))
    deep = round(float(yard.min(axis=0).mean()), 3)
    count, height = int(buildings.storeys[row]), float(buildings.height[row])
    each = round((height - PARAPET) / count, 3)
    storeys = tuple(_storey(number, (number - 1) * each, size, deep) for number in range(1, count + 1))
    names = (str(buildings.names[row]), str(buildings.names_en[row]))
    corner = (float(outer[start][0]), float(outer[start][1]))
    return Office(row, str(buildings.ids[row]), names, corner, turn, size, deep, height, each, storeys)


def _storey(number: int, elevation: float, size: tuple[float, float], deep: float) -> Storey:
    plan = _Plan(size, deep)
    rooms = tuple(_rooms(number, plan))
    return Storey(number, elevation, rooms, tuple(_walls(plan, rooms, number)))


@dataclass(frozen=True)
class _Plan:
    """Where the walls run: the same on every storey."""

    size: tuple[float, float]
    deep: float

    @property
    def back(self) -> float:
        """Distance of the rooms' inner face from the outside [m]."""
        return self.deep - OUTER - _CORRIDOR - INNER

    def cuts(self) -> Reals:
        """Return start and end of the rooms along the street wings, shape (6, 2)."""
        wide = self.size[0]
        first, last = OUTER + _CORNER, wide - OUTER - _CORNER
        middle = _split(first + INNER, last - INNER, 4)
        return np.array([[OUTER, first], *middle, [last, wide - OUTER]])

    def side_cuts(self) -> Reals:
        """Return start and end of the rooms along the side wings, shape (3, 2)."""
        return _split(self.back + INNER, self.size[1] - self.back - INNER, 3)


def _split(start: float, end: float, count: int) -> Reals:
    """Return `count` stretches with walls between them."""
    each = (end - start - (count - 1) * INNER) / count
    begin = start + np.arange(count) * (each + INNER)
    return np.asarray(np.round(np.column_stack([begin, begin + each]), 3), np.float64)


def _rooms(number: int, plan: _Plan) -> Iterator[Room]:
    """Give the rooms of a storey: six on either street, three on either side, and the corridor around the courtyard."""
    import shapely

    (wide, depth), back = plan.size, plan.back
    kinds = iter(_kinds(number))
    places = [(x0, OUTER, x1, back) for x0, x1 in plan.cuts()]
    places += [(wide - back, y0, wide - OUTER, y1) for y0, y1 in plan.side_cuts()]
    places += [(x0, depth - back, x1, depth - OUTER) for x0, x1 in plan.cuts()[::-1]]
    places += [(OUTER, y0, back, y1) for y0, y1 in plan.side_cuts()[::-1]]
    for order, box in enumerate(places, 1):
        yield Room(f"{number}{order:02d}", next(kinds), shapely.box(*(round(float(value), 3) for value in box)))
    out, inside = plan.back + INNER, plan.deep - OUTER
    ring = shapely.difference(shapely.box(out, out, wide - out, depth - out), shapely.box(inside, inside, wide - inside, depth - inside))
    yield Room(f"{number}{len(places) + 1:02d}", "corridor", shapely.set_precision(ring, 0.001))


def _kinds(number: int) -> list[str]:
    """Return the kinds of the eighteen rooms of a storey, south wing first, then counter-clockwise."""
    kinds = ["office"] * 18
    kinds[6], kinds[7], kinds[8] = "toilet", "stair", "plant"
    kinds[16] = "archive" if number % 2 else "meeting"
    if number == 1:
        kinds[2], kinds[3], kinds[11] = "lobby", "lobby", "canteen"
    else:
        kinds[0], kinds[14] = "meeting", "meeting"
    return kinds


def _walls(plan: _Plan, rooms: tuple[Room, ...], number: int) -> Iterator[Wall]:
    """Give the walls of a storey with their doors and windows."""
    (wide, depth), back, deep = plan.size, plan.back, plan.deep
    south, east, north, west = rooms[:6], rooms[6:9], rooms[9:15], rooms[15:18]
    yield Wall("outer south", (0.0, 0.0, wide, OUTER), True, _facade(south, 0.0, 0, entrance=number == 1))
    yield Wall("outer north", (0.0, depth - OUTER, wide, depth), True, _facade(north, 0.0, 0))
    yield Wall("outer west", (0.0, OUTER, OUTER, depth - OUTER), True, _facade(west, OUTER, 1))
    yield Wall("outer east", (wide - OUTER, OUTER, wide, depth - OUTER), True, _facade(east, OUTER, 1))
    corridor = rooms[-1].number
    inside = deep - OUTER
    for name, box in (
        ("yard south", (inside, inside, wide - inside, deep)), ("yard north", (inside, depth - deep, wide - inside, depth - inside)),
        ("yard west", (inside, deep, deep, depth - deep)), ("yard east", (wide - deep, deep, wide - inside, depth - deep)),
    ):  # fmt: skip
        length = max(box[2] - box[0], box[3] - box[1])
        yield Wall(name, box, True, tuple(Hole("window", length * share, 4.2, 1.6, 0.9, corridor) for share in (0.27, 0.73)))
    yield Wall("corridor south", (OUTER, back, wide - OUTER, back + INNER), False, _doors(south, OUTER, 0, plan))
    yield Wall("corridor north", (OUTER, depth - back - INNER, wide - OUTER, depth - back), False, _doors(north, OUTER, 0, plan))
    low, high = back + INNER, depth - back - INNER
    yield Wall("corridor west", (back, low, back + INNER, high), False, _doors(west, low, 1, plan))
    yield Wall("corridor east", (wide - back - INNER, low, wide - back, high), False, _doors(east, low, 1, plan))
    for left, right in itertools.pairwise(plan.cuts()):
        yield Wall("partition south", (left[1], OUTER, right[0], back), False)
        yield Wall("partition north", (left[1], depth - back, right[0], depth - OUTER), False)
    for below, above in itertools.pairwise(plan.side_cuts()):
        yield Wall("partition west", (OUTER, below[1], back, above[0]), False)
        yield Wall("partition east", (wide - back, below[1], wide - OUTER, above[0]), False)


def _facade(rooms: tuple[Room, ...], start: float, axis: int, *, entrance: bool = False) -> tuple[Hole, ...]:
    """Return a window per room, and the entrance."""
    holes = []
    for order, room in enumerate(rooms):
        low, high = room.shape.bounds[axis], room.shape.bounds[axis + 2]
        if entrance and order == 2:
            holes.append(Hole("door", (low + high) / 2 - start, 2.4, 2.5, 0.0, room.number))
            continue
        small = room.kind in {"toilet", "plant", "stair"}
        holes.append(Hole("window", (low + high) / 2 - start, 1.2 if small else round(0.62 * (high - low), 1), 1.9, 0.9, room.number))
    return tuple(holes)


def _doors(rooms: tuple[Room, ...], start: float, axis: int, plan: _Plan) -> tuple[Hole, ...]:
    """Return a door from each room to the corridor."""
    reach = (plan.back + INNER + 0.9, plan.size[axis] - plan.back - INNER - 0.9)
    holes = []
    for room in rooms:
        low, high = room.shape.bounds[axis], room.shape.bounds[axis + 2]
        at = float(np.clip((low + high) / 2, *reach))
        holes.append(Hole("door", round(at - start, 3), 1.0 if room.kind != "lobby" else 1.8, 2.1, 0.0, room.number))
    return tuple(holes)
