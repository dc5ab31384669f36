"""Exposure: what the water of a run does to every building, door, road and pipe of a city, by object id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results import Fields, RunRecord, Stopwatch, array_fingerprint, city_fingerprint
from cim.results.columns import column
from cim.sim.buildings import read_buildings, require_measurable
from cim.sim.impact.doors import DOORS, door_columns, read_doors
from cim.sim.impact.floors import floor_columns, read_storeys
from cim.sim.impact.grounds import Standing, building_ground
from cim.sim.impact.parameters import ImpactParameters, impact_parameters
from cim.sim.impact.pipes import MANHOLES, PIPES, manhole_columns, pipe_columns
from cim.sim.impact.places import MEASURED, measure, ring_places, roof_cells
from cim.sim.impact.roads import read_road_water, road_schema
from cim.sim.impact.water import Water, read_water

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.buildings import Buildings

    Bools = NDArray[np.bool_]

__all__ = ["BUILDINGS", "VERSION", "exposure", "plain_dataset", "table_of"]

VERSION = "3"
"""2: the assumed floor counts from the ground of the building, not of each cell. 3: roads lie on the decks of bridges and over underpasses,
links say bridge and tunnel themselves, a road is open where its links are."""

BUILDINGS = pa.schema(
    [
        pa.field("object", pa.string()),
        *MEASURED,
        column("floor_source", pa.string(), en="who states the ground floor", zh="首层标高来源"),
        column("floor_level", pa.float64(), unit="m", en="level of the ground floor", zh="首层标高"),
        column("threshold_height", pa.float64(), unit="m", en="ground floor above the ground", zh="首层高出地面"),
        column("ground_source", pa.string(), en="who states the ground under the floor", zh="地面标高来源"),
        column("depth_inside", pa.float64(), unit="m", en="water over the ground floor", zh="室内水深"),
        column("water_inside", pa.string(), en="water inside", zh="是否进水"),
        column("cells", pa.int64(), en="cells", zh="单元数"),
        column("unknown", pa.float64(), en="share not known", zh="未知比例"),
    ]
)


def exposure(city: City, water: Fields, *, parameters: ImpactParameters | None = None, **options: Any) -> Fields:
    """Return what the water of a run does to every building, door, road and pipe of a city.

    Parameters
    ----------
    city
        The city the run was made on.
    water
        Result of `flood.simulate`.
    parameters, options
        Thresholds: an `ImpactParameters`, and any of its fields by name, such as ``wet_depth=0.1``.

    Returns
    -------
    Fields
        Without fields on a grid; tables by object id, each with the columns of `cim.sim.impact.places.MEASURED`: ``buildings`` (of the
        cells outside the footprint; the water over the ground floor), ``doors``, ``roads``, ``road_links``, ``pipes``, ``manholes``.
        Status is wet, dry or not_assessed with the reason; an object of which a cell is unknown is never dry.

    Raises
    ------
    UsageError
        If a parameter is unknown or makes no sense, or `water` holds no depth on a grid.
    CRSMismatchError
        If city and water are in different systems.
    CRSError
        If lengths cannot be measured in the system of the city.

    Notes
    -----
    Greatest values are taken over the cells around (or along) an object and over time, each for itself: the greatest depth and the
    greatest velocity need not come from one cell or one instant. The classes come from the cell in which they are highest.
    """
    watch, limits = Stopwatch(), impact_parameters(parameters, options)
    require_measurable(city)
    read = read_water(city, water, limits.wet_depth)
    case = _Case.of(city, read, limits)
    tables, said_of_floors = _building_tables(case)
    road_tables, said_of_roads = _road_tables(case)
    tables |= {**road_tables, **_pipe_tables(case)}
    inputs = {"city": city_fingerprint(city), "water": array_fingerprint(read.place.values)}
    notes = (*read.notes, *case.notes(water), *_counts(tables), *said_of_floors, *said_of_roads)
    said = {**limits.model_dump(), "wet_depth": read.wet_depth, "water": water.name}
    run = RunRecord("impact", VERSION, inputs, said, start=water.run.start, assumptions=notes)
    return Fields("impact", plain_dataset(), tables, watch.stop(run))


def plain_dataset() -> xarray.Dataset:
    """Return the dataset of a result that is only tables."""
    import xarray as xr

    return xr.Dataset()


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Return columns as a table: NaN and None are null."""
    arrays = [_array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    return pa.array(values.tolist() if values.dtype == object else values, kind, from_pandas=True)


@dataclass(frozen=True)
class _Case:
    """What the tables have in common."""

    city: City
    water: Water
    limits: ImpactParameters
    buildings: Buildings
    roofs: Bools
    """Shape (ny * nx,): cells under a roof, on which no water outside can stand."""

    @classmethod
    def of(cls, city: City, water: Water, limits: ImpactParameters) -> _Case:
        buildings = read_buildings(city)
        return cls(city, water, limits, buildings, roof_cells(buildings.footprints, water.place))

    def notes(self, water: Fields) -> tuple[str, ...]:
        """Return what was taken for granted."""
        limits, held = self.limits, water.run.inputs.get("city")
        said = [
            f"a building sees the cells within {limits.ring:g} cells of its footprint that lie under no roof",
            "greatest depth and velocity need not come at one instant: hazard ratings may be too high, never too low",
        ]
        if held is not None and held != city_fingerprint(self.city):
            said.append("the water was simulated on another city than this one: objects and water may not fit together")
        return tuple(said)


def _building_tables(case: _Case) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the tables, and what was taken for granted about the floors."""
    city, buildings, water, limits = case.city, case.buildings, case.water, case.limits
    rings = ring_places(buildings.footprints, case.roofs, water.place, limits.ring * water.reach)
    found = measure(rings, water, limits)
    doors, storeys = read_doors(city, buildings, limits), read_storeys(city, buildings)
    at_doors = door_columns(doors, buildings, water, limits, case.roofs)
    standing = building_ground(city, buildings, rings, water)
    floors = floor_columns(city, buildings, rings, found, doors, at_doors, storeys, standing, water, limits)
    tables = {
        "buildings": table_of({"object": buildings.ids, **found, **floors}, BUILDINGS),
        "doors": table_of(at_doors, DOORS),
    }
    return tables, _floor_notes(floors, standing, limits)


def _floor_notes(floors: Mapping[str, Any], standing: Standing, limits: ImpactParameters) -> list[str]:
    """Name and count the floors that were assumed, and the ground they are counted from."""
    total, said = len(floors["floor_source"]), []
    assumed = int((floors["floor_source"] == "assumed").sum())
    if assumed:
        step = f"threshold_height ({limits.threshold_height:g} m) above the ground of the building"
        said.append(f"{assumed:,} of {total:,} buildings state no ground floor: it is assumed to lie {step}")
    by_step = ~np.isnan(floors["threshold_height"])
    words = {
        "terrain": "the median of the terrain beside them, without its edits, is taken",
        "run": "the median of the ground of the run beside them is taken" + (", with edits of the terrain" if standing.edited else ""),
    }
    for name, taken in words.items():
        count = int((by_step & (standing.source == name)).sum())
        if count:
            said.append(f"{count:,} buildings state no z_ground in the height system of the water: {taken}")
    lost, far = int((by_step & np.isnan(standing.level)).sum()), int((by_step & standing.far).sum())
    if lost:
        said.append(f"{lost:,} buildings without a ground elevation of their own or beside them: water inside is not assessed")
    if far:
        said.append(f"{far:,} buildings state a ground more than 1 m off that of every cell beside them: look at their water inside")
    return said


def _road_tables(case: _Case) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the tables, and what was taken for granted about decks."""
    roads, links, said = read_road_water(case.city, case.water, case.limits, case.roofs)
    tables = {
        "roads": table_of(roads, road_schema(case.limits, links=False)),
        "road_links": table_of(links, road_schema(case.limits, links=True)),
    }
    return tables, said


def _pipe_tables(case: _Case) -> dict[str, pa.Table]:
    city, water, limits, roofs = case.city, case.water, case.limits, case.roofs
    return {
        "pipes": table_of(pipe_columns(city, water, limits, roofs), PIPES),
        "manholes": table_of(manhole_columns(city, water, limits, roofs), MANHOLES),
    }


def _counts(tables: Mapping[str, pa.Table]) -> list[str]:
    """Name and count what is not assessed, and what was assumed."""
    said = []
    for name, table in tables.items():
        reasons = [one for one in table["reason"].to_pylist() if one is not None]
        said += [f"{name}: {reasons.count(one):,} not assessed, {one}" for one in sorted(set(reasons))]
    return said
