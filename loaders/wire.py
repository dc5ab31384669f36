"""A city as plain JSON and Arrow tables, to cross the border of a worker process, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from cim.model import City

__all__ = ["pack", "unpack"]

_TABLE, _ATTRIBUTES = "table:", "attributes:"


def pack(city: City) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return what is not a table of a city as JSON values, and all its tables by a prefixed name."""
    value = {
        "crs": city.crs.to_string(),
        "origin": [float(x) for x in city.origin],
        "name": city.name,
        "time_zone": city.time_zone,
        "extra": city.extra,
    }
    tables = {_TABLE + name: city.tables[name] for name in city.tables}
    return value, tables | {_ATTRIBUTES + name: city.attributes[name] for name in city.attributes}


def unpack(value: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> City:
    """Return the city that `pack` took apart."""
    import numpy as np

    from cim.crs import parse
    from cim.model import City
    from cim.model.tables import Tables

    core = {name.removeprefix(_TABLE): table for name, table in tables.items() if name.startswith(_TABLE)}
    attributes = {name.removeprefix(_ATTRIBUTES): t for name, t in tables.items() if name.startswith(_ATTRIBUTES)}
    return City(
        crs=parse(value["crs"]),
        origin=np.array(value["origin"], float),
        name=value["name"],
        time_zone=value["time_zone"],
        tables=Tables(core),
        attributes=Tables(attributes),
        extra=value["extra"],
    )
