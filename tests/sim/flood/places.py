"""Small cities and terrains for the tests of the flow domain."""

from __future__ import annotations

from typing import Any

import numpy as np

from cim.crs import parse
from cim.model import City, CityBuilder
from cim.model.columns import Column
from cim.model.coverages import Raster

CRS = "EPSG:4549+5737"


def raster(values: Any, size: float = 1.0, crs: str = CRS, *, west: float = 0.0) -> Raster:
    """Return a terrain whose south-western corner is (west, 0)."""
    ground = np.array(values, float)
    return Raster(ground, x_min=west, y_max=size * len(ground), dx=size, dy=size, crs=parse(crs))


def make_city(*groups: tuple[str, dict[str, Any], dict[str, list[Any]]], crs: str = CRS, **core: Any) -> City:
    """Return a city of groups (class, {id: shape}, {attribute: values}); `core` are columns of all objects, such as z_ground."""
    builder = CityBuilder(crs)
    for type, shapes, attributes in groups:
        keys = builder.add_objects(type, list(shapes), footprints=np.array(list(shapes.values()), object), **core)
        units = {"height": "m", "width": "m", "water_level": "m", "upstream_invert_level": "m", "downstream_invert_level": "m"}
        builder.add_attributes(keys, type, {name: Column(values, units.get(name, "")) for name, values in attributes.items()})
    return builder.build()
