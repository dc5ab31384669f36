"""Small cities of roads and runs of water for the coupling."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from cim.model import City, CityBuilder, Column
from cim.results import Fields
from cim.sim.coupling import road_state
from tests.sim.impact.helpers import CRS, START, UNITS, about, make_water

__all__ = ["CRS", "START", "UNITS", "about", "lines_of", "make_roads", "make_water", "of_class", "state_of"]

PRIMARY = '{"class": "primary", "speed_limit": 20.0}'


def make_roads(
    lines: dict[str, Any], *, attributes: dict[str, Any] | None = None, links: dict[str, str] | None = None, **more: Any
) -> City:
    """Return a city of roads of one link each, one way, at 20 m/s; `links` adds to the JSON of a link."""
    builder = CityBuilder(CRS)
    footprints = np.empty(len(lines), object)
    footprints[:] = list(lines.values())
    keys = builder.add_objects("Road", list(lines), footprints=footprints)
    if attributes:
        builder.add_attributes(keys, "Road", {name: Column(values) for name, values in attributes.items()})
    said = [PRIMARY[:-1] + (links or {}).get(name, "") + "}" for name in lines]
    ends = [[f"{name}{end}" for name in lines] for end in "az"]
    builder.add_links(keys, "road", *ends, direction="forward", length=shapely.length(footprints), attributes=said)
    for add in more.values():
        add(builder)
    return builder.build()


def lines_of(length: float = 40.0, y: float = 3.0) -> dict[str, Any]:
    """Return one straight road."""
    return {"r": shapely.LineString([(0.0, y), (length, y)])}


def state_of(city: City, water: Fields, **options: Any) -> Fields:
    """Return the state of the roads without rain, which the runs here do not have."""
    return road_state(city, water, **{"rain": "none", **options})


def of_class(result: Fields, table: str, name: str = "car") -> list[dict[str, Any]]:
    """Return the rows of a class of vehicle."""
    return [row for row in result.table(table).to_pylist() if row["class"] == name]
