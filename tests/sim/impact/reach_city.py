"""A street of two blocks with a loop, for reach: a station at its west end, houses along it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
import xarray as xr

from cim.model import City, CityBuilder, Column
from cim.results import Fields, RunRecord
from tests.sim.impact.helpers import CRS

START = datetime(2026, 7, 1, 7, 0, tzinfo=UTC)
STATES = pa.schema(
    [
        ("object", pa.string()), ("link", pa.string()), ("class", pa.string()), ("from_time", pa.float64()), ("until_time", pa.float64()),
        ("depth", pa.float64()), ("mean_depth", pa.float64()), ("velocity", pa.float64()), ("speed", pa.float64()),
        ("capacity", pa.float64()), ("closed", pa.bool_()), ("cause", pa.string()),
    ]
)  # fmt: skip
PEOPLE = [10.0, 20.0, 30.0, None]


def street(*, one_way: bool = False, far: float = 10.0, speed: float = 36.0) -> City:
    """Return nodes a - b - c in a row 1000 m apart, and a detour b - d - c of 3000 m; 10 m/s everywhere.

    The fire station, ``post``, lies 200 m behind a; the houses 100 m (west), 400 m (middle) and 900 m (east) behind b, and half way
    along the detour (north), `far` beside it.
    """
    builder = CityBuilder(CRS)
    main = [(0, 0), (1000, 0), (2000, 0)]
    loop = [(1000, 0), (1000, 1000), (2000, 1000), (2000, 0)]
    keys = builder.add_objects("Road", ["main", "loop"], footprints=[shapely.LineString(main), shapely.LineString(loop)])
    way = "forward" if one_way else "both"
    said = [json.dumps({"class": "residential", "speed_limit": speed / 3.6, "vertices": pair}) for pair in ([0, 1], [1, 2], [0, 3])]
    builder.add_links(
        [keys[0], keys[0], keys[1]],
        "road",
        ["a", "b", "b"],
        ["b", "c", "c"],
        direction=way,
        length=[1000.0, 1000.0, 3000.0],
        attributes=said,
    )
    boxes = [shapely.box(x - 5, 10, x + 5, 20) for x in (200, 1100, 1400, 1900)] + [shapely.box(1500 - 5, 1000 + far, 1505, 1010 + far)]
    houses = builder.add_objects("Building", ["post", "west", "middle", "east", "north"], footprints=boxes)
    told = {
        "function": Column(["fire_station", None, None, None, None]), "population": Column([0.0, *PEOPLE]),
        "storeys_above_ground": Column([1, 2, 2, 2, 2]),
    }  # fmt: skip
    builder.add_attributes(houses, "Building", told)
    return builder.build()


def road_states(*rows: tuple[str, str, float, float, float | None, bool], start: datetime = START) -> Fields:
    """Return states of roads: link, class, from, until, speed, closed."""
    listed = [
        {"object": link.partition(":")[0], "link": link, "class": kind, "from_time": begin, "until_time": end, "depth": 0.4,
         "mean_depth": 0.2, "velocity": 0.0, "speed": speed, "capacity": 1.0, "closed": closed, "cause": "depth"}
        for link, kind, begin, end, speed, closed in rows
    ]  # fmt: skip
    run = RunRecord("roads", "1", {}, {"start": start.isoformat()}, start=start)
    return Fields("roads", xr.Dataset(), {"states": pa.Table.from_pylist(listed, schema=STATES)}, run)


def both(link: str, begin: float, end: float, speed: float | None = None, *, closed: bool = True, kind: str = "emergency") -> list[Any]:
    """Return the rows of both directions of a link."""
    owner, _, ends = link.partition(":")
    a, _, b = ends.partition(">")
    return [(f"{owner}:{one}", kind, begin, end, speed, closed) for one in (f"{a}>{b}", f"{b}>{a}")]


def by_object(fields: Fields, table: str = "objects") -> dict[str, dict[str, Any]]:
    """Return the rows of a table by object id."""
    return {row["object"]: row for row in fields.table(table).to_pylist()}


def almost(values: Any) -> Any:
    return np.round(np.asarray(values, float), 6).tolist()
