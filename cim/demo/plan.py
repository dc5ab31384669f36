"""The street plan of the demo district: a river, streets that follow it and straighten inland, blocks, and the plots they are cut into.

Everything is drawn in street coordinates: `along` runs with the river from west to east, `inland` away from its north bank [m]. `to_place`
bends them into local coordinates, whose origin is the south-west corner of the district.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    Reals = NDArray[np.float64]
    Shapes = NDArray[np.object_]

__all__ = [
    "AVENUES",
    "CANAL",
    "HEIGHT",
    "ORIGIN",
    "STREETS",
    "WIDTH",
    "Blocks",
    "Street",
    "bank",
    "blocks",
    "quad",
    "river_across",
    "strip",
    "to_place",
    "to_streets",
]

WIDTH, HEIGHT = 1200.0, 900.0
"""Size of the district from west to east and from south to north [m]."""
ORIGIN = (557_000.0, 3_464_000.0)
"""South-west corner, east and north in EPSG:4549 [m]; the place Sanhe 三河 is made up."""
_MIDDLE = 157.0  # mean of the bank, north of the origin [m]
_STRAIGHT = 230.0  # distance over which streets forget the bend of the river [m]
_LEAN = 0.05  # avenues lean to the east by this much per metre inland
_LEVEL = 350.0  # distance inland at which an avenue is where its name says [m]


@dataclass(frozen=True)
class Street:
    """One street: a line of constant `along` (avenue) or of constant `inland`."""

    zh: str
    en: str
    at: float
    """Where its middle runs: `along` of an avenue, `inland` of a street [m]."""
    width: float
    """Between the kerbs [m]."""
    rank: str
    """道路等级: 主干路, 次干路 or 支路."""
    lanes: int


STREETS = (
    Street("滨江路", "Riverside Road", 38.0, 16.0, "次干路", 4), Street("渔市街", "Fishmarket Street", 132.0, 11.0, "支路", 2),
    Street("文庙街", "Temple Street", 238.0, 13.0, "支路", 2), Street("建设大道", "Jianshe Boulevard", 350.0, 26.0, "主干路", 6),
    Street("云湖路", "Yunhu Road", 468.0, 14.0, "次干路", 4), Street("学府路", "Academy Road", 586.0, 12.0, "支路", 2),
    Street("北环路", "North Ring Road", 698.0, 18.0, "主干路", 4),
)  # fmt: skip
"""From the river inland."""
AVENUES = (
    Street("西门路", "West Gate Road", 24.0, 12.0, "支路", 2), Street("竹巷", "Bamboo Lane", 165.0, 10.0, "支路", 2),
    Street("桂花路", "Osmanthus Road", 310.0, 12.0, "支路", 2), Street("人民路", "Renmin Avenue", 455.0, 22.0, "主干路", 6),
    Street("书院路", "College Road", 600.0, 12.0, "支路", 2), Street("运河街", "Canal Street", 745.0, 44.0, "次干路", 2),
    Street("大桥路", "Bridge Road", 890.0, 18.0, "次干路", 4), Street("梅园路", "Plum Garden Road", 1035.0, 12.0, "支路", 2),
    Street("东门路", "East Gate Road", 1176.0, 12.0, "支路", 2),
)  # fmt: skip
"""From west to east; Canal Street has a lane on either side of the canal."""
CANAL = AVENUES[5]
_OVER_THE_DYKE = 15.0
"""Where Bridge Road reaches the bridge [m inland]; the other avenues end at Riverside Road."""
SIDEWALK = 3.0
"""Between kerb and plot [m]."""


def river_axis(x: ArrayLike) -> Reals:
    """Return how far north the middle of the river runs [m]."""
    east = np.asarray(x, float)
    return 95.0 + 30.0 * np.sin(2 * np.pi * (east - 150.0) / 1400.0) + 8.0 * np.sin(2 * np.pi * east / 520.0)


def river_half_width(x: ArrayLike) -> Reals:
    """Return half the width of the river [m]."""
    return 58.0 + 6.0 * np.sin(2 * np.pi * np.asarray(x, float) / 900.0 + 1.0)


def river_across(x: ArrayLike, y: ArrayLike) -> Reals:
    """Return the position across the river: 0 in its middle, 1 at the north bank, -1 at the south bank."""
    return (np.asarray(y, float) - river_axis(x)) / river_half_width(x)


def bank(x: ArrayLike) -> Reals:
    """Return how far north the north bank lies [m]."""
    return river_axis(x) + river_half_width(x)


def to_place(along: ArrayLike, inland: ArrayLike) -> Reals:
    """Return local coordinates of street coordinates, shape (n, 2) [m]."""
    u, d = np.asarray(along, float), np.asarray(inland, float)
    x = u + _LEAN * (d - _LEVEL)
    bend = np.exp(-np.maximum(d, 0.0) / _STRAIGHT)
    return np.stack(np.broadcast_arrays(x, bend * bank(x) + (1 - bend) * _MIDDLE + d), axis=-1)


def to_streets(x: ArrayLike, y: ArrayLike) -> tuple[Reals, Reals]:
    """Return street coordinates of local coordinates; the inverse of `to_place`."""
    east, north = np.asarray(x, float), np.asarray(y, float)
    shore = bank(east)
    inland = north - shore
    for _ in range(12):  # the bend changes by less than half a metre per metre: 12 steps leave less than a millimetre
        bend = np.exp(-np.maximum(inland, 0.0) / _STRAIGHT)
        inland = north - bend * shore - (1 - bend) * _MIDDLE
    return east - _LEAN * (inland - _LEVEL), inland


def quad(west: float, south: float, east: float, north: float, step: float = 12.0) -> Any:
    """Return the polygon of a rectangle in street coordinates, its edges bent with the streets."""
    import shapely

    across = np.linspace(west, east, max(2, int(np.ceil((east - west) / step)) + 1))
    up = np.linspace(south, north, max(2, int(np.ceil((north - south) / step)) + 1))
    u = np.concatenate([across, np.full(len(up), east), across[::-1], np.full(len(up), west)])
    d = np.concatenate([np.full(len(across), south), up, np.full(len(across), north), up[::-1]])
    ring = to_place(u, d)
    keep = np.append(True, np.linalg.norm(np.diff(ring, axis=0), axis=1) > 1e-9)
    return shapely.polygons(ring[keep])


def strip(street: Street, width: float | None = None, *, avenue: bool) -> Any:
    """Return the area of a street within the district."""
    import shapely

    half = (width or street.width) / 2
    whole = (
        quad(street.at - half, _OVER_THE_DYKE if street.en == "Bridge Road" else STREETS[0].at, street.at + half, HEIGHT)
        if avenue
        else quad(-100.0, street.at - half, WIDTH + 100.0, street.at + half)
    )
    return shapely.intersection(whole, shapely.box(0, 0, WIDTH, HEIGHT))


@dataclass(frozen=True)
class Blocks:
    """Building blocks between the streets, in street coordinates, shape (rows, columns)."""

    west: Reals
    south: Reals
    east: Reals
    north: Reals


def blocks() -> Blocks:
    """Return the blocks: what the streets and their sidewalks leave."""
    across = np.array([[one.at, one.width / 2 + SIDEWALK] for one in AVENUES])
    up = np.array([[one.at, one.width / 2 + SIDEWALK] for one in STREETS])
    west, east = across[:-1, 0] + across[:-1, 1], across[1:, 0] - across[1:, 1]
    south, north = up[:-1, 0] + up[:-1, 1], up[1:, 0] - up[1:, 1]
    shape = (len(south), len(west))
    return Blocks(
        np.broadcast_to(west, shape),
        np.broadcast_to(south[:, None], shape),
        np.broadcast_to(east, shape),
        np.broadcast_to(north[:, None], shape),
    )
