"""Poles along the streets of the demo district: lamps, traffic lights at the crossings of main roads, and cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.features import Features, Records
from cim.demo.plan import HEIGHT, WIDTH
from cim.demo.streets import ways

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import District

    Reals = NDArray[np.float64]

__all__ = ["make_poles"]

_LAMPS = 34.0
"""Between lamps on one side of a street [m]."""
_CLEAR = 12.0
"""Of a lamp from a crossing [m]."""
_HEIGHTS = {"路灯": 8.0, "信号灯": 6.5, "监控": 5.0}
"""Kind of pole -> its height [m]; lamps of main roads are higher."""
_OWNERS = {"路灯": "市政路灯所", "信号灯": "交警支队", "监控": "公安局"}


def make_poles(district: District, features: Features, seed: int) -> Records:
    """Return the poles; none in a house, in water or on a lane."""
    import shapely

    random = np.random.default_rng([seed, 14])
    places, kinds, heights = [], [], []
    for way in (one for one in ways() if not one.kind):
        lamps = _lamps(way.points, way.points[way.shared], way.street.width if not way.one_way else 8.0)
        places.append(lamps)
        kinds += ["路灯"] * len(lamps)
        heights += [10.0 if way.street.rank == "主干路" else 8.0] * len(lamps)
        if way.street.rank == "主干路":
            corners = way.points[way.shared] + (way.street.width / 2 + 1.2)
            places.append(corners)
            kinds += ["信号灯" if random.uniform() < 0.7 else "监控" for _ in corners]
            heights += [_HEIGHTS[kind] for kind in kinds[len(heights) :]]
    xy = np.round(np.concatenate(places), 2)
    solid = shapely.union_all([*shapely.buffer(district.buildings.shapes, 0.5), *features.water.geometry, *features.roads.geometry])
    shapely.prepare(solid)
    free = ~shapely.intersects(solid, shapely.points(xy)) & (xy > 3).all(axis=1) & (xy < (WIDTH - 3, HEIGHT - 3)).all(axis=1)
    kept = np.flatnonzero(free)
    kind = np.array(kinds, object)[kept]
    columns: dict[str, NDArray[Any]] = {
        "杆件编号": np.array([f"GJ-{number + 1:04d}" for number in range(len(kept))], object), "类型": kind,
        "高度": np.array(heights)[kept], "权属单位": np.array([_OWNERS[one] for one in kind.tolist()], object),
    }  # fmt: skip
    return Records(np.asarray(shapely.points(xy[kept]), object), columns)


def _lamps(points: Reals, crossings: Reals, width: float) -> Reals:
    """Return lamps on alternating sides of a line, clear of its crossings."""
    import shapely

    line = shapely.linestrings(points)
    at = np.arange(_LAMPS / 2, shapely.length(line), _LAMPS / 2)
    place = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, at + 0.5)) - place
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    side = np.where(np.arange(len(at)) % 2, 1.0, -1.0)[:, None]
    lamps = place + side * np.column_stack([-ahead[:, 1], ahead[:, 0]]) * (width / 2 + 0.8)
    away = np.linalg.norm(lamps[:, None] - crossings, axis=2).min(axis=1, initial=np.inf) if len(crossings) else np.full(len(at), np.inf)
    kept: Reals = lamps[away > _CLEAR + width / 2]
    return kept
