"""Pipes, and the manholes between them: the water over a pipe, and over the rim of a manhole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.numeric import numbers
from cim.results.columns import column
from cim.sim.impact.doors import over_level
from cim.sim.impact.places import MEASURED, Places, line_places, measure, reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["MANHOLES", "PIPES", "manhole_columns", "pipe_columns"]

_COUNTS = [
    column("cells", pa.int64(), en="cells", zh="单元数"),
    column("unknown", pa.float64(), en="share not known", zh="未知比例"),
]
PIPES = pa.schema([pa.field("object", pa.string()), *MEASURED, *_COUNTS])
"""The water on the ground along a pipe."""

MANHOLES = pa.schema(
    [
        pa.field("object", pa.string()),
        *MEASURED,
        column("rim_level", pa.float64(), unit="m", en="level of the rim", zh="井口高程"),
        column("rim_above_ground", pa.float64(), unit="m", en="rim above the ground of its cell", zh="井口高出地面"),
        column("depth_over_rim", pa.float64(), unit="m", en="water over the rim", zh="井口以上水深"),
        *_COUNTS,
    ]
)
"""`status` is that of the ground at the manhole; `depth_over_rim` is null where the rim cannot be compared with the water."""


def _read(city: City, limits: ImpactParameters, kinds: tuple[int, ...]) -> tuple[Ints, NDArray[Any]]:
    """Return the objects of the classes of pipes that are of some geometric types."""
    import shapely

    keys = np.sort(np.concatenate([np.empty(0, np.int64), *(city.keys(type) for type in limits.pipe_types if type in city.types())]))
    if not len(keys):
        return keys, np.empty(0, object)
    shapes = city.footprints(keys)
    mine = np.isin(shapely.get_type_id(shapes), kinds)
    return keys[mine], shapes[mine]


def pipe_columns(city: City, water: Water, limits: ImpactParameters, roofs: Bools) -> dict[str, Any]:
    """Return the columns of `PIPES` for every pipe that is a line."""
    keys, shapes = _read(city, limits, (1, 5))
    places = line_places(shapes, water.place)
    return {"object": np.asarray(city.ids(keys) if len(keys) else [], object), **measure(places, water, limits, places.under(roofs))}


def manhole_columns(city: City, water: Water, limits: ImpactParameters, roofs: Bools) -> dict[str, Any]:
    """Return the columns of `MANHOLES` for every node that is a point; the cell that holds it tells."""
    keys, shapes = _read(city, limits, (0,))
    places = _points(shapes, water)
    found = measure(places, water, limits, places.under(roofs))
    rim = numbers(city, "rim_level", keys)
    ground = places.greatest(places.at(water.ground))
    assessed = (found["status"] != "not_assessed") & water.comparable
    over = np.where(assessed, over_level(places, water, rim), np.nan)
    above = np.where(assessed, rim - ground, np.nan)
    names = np.asarray(city.ids(keys) if len(keys) else [], object)
    return {"object": names, **found, "rim_level": rim, "rim_above_ground": above, "depth_over_rim": over}


def _points(shapes: NDArray[Any], water: Water) -> Places:
    """Return the cell of each point."""
    import shapely

    grid, count = water.place, len(shapes)
    xy = np.stack([shapely.get_x(shapes), shapely.get_y(shapes)], axis=1) if count else np.empty((0, 2))
    placed = np.asarray(np.isfinite(xy).all(axis=1), bool)
    across = np.floor((np.nan_to_num(xy[:, 0]) - grid.x_min) / grid.dx)
    down = np.floor((grid.y_max - np.nan_to_num(xy[:, 1])) / grid.dy)
    ny, nx = grid.shape
    here = placed & (across >= 0) & (across < nx) & (down >= 0) & (down < ny)
    cell = np.where(here, down * nx + across, -1).astype(np.int64)
    return Places(count, np.arange(count), cell, np.ones(count), placed & ~here, reasons(~placed, "missing_footprint"))
