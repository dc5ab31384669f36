"""Synthetic water and small cities for the impact."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from cim.crs import parse
from cim.model import City, CityBuilder
from cim.results import Fields, Grid, RunRecord, grid_dataset

CRS = "EPSG:4549+5737"
START = datetime(2026, 7, 1, 7, 0, tzinfo=UTC)
UNITS = {
    "maximum_depth": "m", "maximum_velocity": "m/s", "maximum_unit_discharge": "m2/s", "maximum_hazard": "m2/s", "arrival_time": "s",
    "flood_duration": "s", "ground_elevation": "m",
}  # fmt: skip


def make_water(
    depth: Any, *, velocity: Any = 0.0, ground: Any = 0.0, arrival: float | np.ndarray = 600.0, duration: float | np.ndarray = 1800.0,
    dx: float = 2.0, wet_depth: float | None = 0.05, vertical: str | None = "own", start: datetime | None = START,
    drop: tuple[str, ...] = (), x_min: float = 0.0, series: Any = None, crs: str = CRS, inputs: dict[str, str] | None = None,
    open_ways: list[str] | None = None,
) -> Fields:  # fmt: skip
    """Return a run as `flood.simulate` makes one; the lower left corner lies at (x_min, 0)."""
    d = np.array(depth, float)
    ny, nx = d.shape
    v = np.broadcast_to(np.asarray(velocity, float), d.shape)
    wet = d >= (wet_depth or 0.05)
    fields = {
        "maximum_depth": d, "maximum_velocity": np.where(np.isnan(d), np.nan, v), "maximum_unit_discharge": d * v,
        "maximum_hazard": d * (v + 0.5), "arrival_time": np.where(wet, arrival, np.nan),
        "flood_duration": np.where(np.isnan(d), np.nan, np.where(wet, duration, 0.0)),
        "ground_elevation": np.where(np.isnan(d), np.nan, ground),
    }  # fmt: skip
    said = parse(crs).vertical
    name = (None if said is None else said.name) if vertical == "own" else vertical
    dataset = grid_dataset(Grid(x_min, ny * dx, dx, dx, nx, ny, crs), vertical=name)
    for key, values in fields.items():
        if key not in drop:
            dataset[key] = (("y", "x"), values.astype(np.float32), about(key, UNITS[key]))
    if series is not None:
        times = np.datetime64("2026-07-01T07:00", "us") + np.arange(len(series)) * np.timedelta64(600, "s")
        dataset = dataset.assign_coords(time=("time", times))
        dataset["water_depth"] = (("time", "y", "x"), np.array(series, np.float32), about("water_depth", "m"))
    parameters = {"open_ways": open_ways} | ({} if wet_depth is None else {"wet_depth": wet_depth})
    return Fields("flood", dataset, {}, RunRecord("flood", "1", inputs or {}, parameters, start=start))


def about(name: str, unit: str) -> dict[str, str]:
    return {"units": unit, "standard_name": name, "long_name": name}


def make_city(shapes: dict[str, Any], crs: str = CRS, **columns: Any) -> City:
    """Return a city of buildings."""
    builder = CityBuilder(crs)
    add_buildings(builder, shapes, **columns)
    return builder.build()


def add_buildings(builder: CityBuilder, shapes: dict[str, Any], attributes: dict[str, Any] | None = None, **columns: Any) -> Any:
    footprints = np.empty(len(shapes), object)
    footprints[:] = list(shapes.values())
    keys = builder.add_objects("Building", list(shapes), footprints=footprints, **columns)
    if attributes:
        builder.add_attributes(keys, "Building", attributes)
    return keys


def rows(fields: Fields, table: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by object id."""
    return {row["object"]: row for row in fields.table(table).to_pylist()}
