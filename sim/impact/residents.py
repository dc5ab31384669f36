"""People: how many live or work on the floors that the water reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.numeric import numbers
from cim.results import Fields, RunRecord, Stopwatch, city_fingerprint, table_fingerprint
from cim.results.columns import column
from cim.sim.buildings import Buildings, read_buildings, require_measurable
from cim.sim.impact.assess import plain_dataset, table_of
from cim.sim.impact.damages import building_rows
from cim.sim.impact.floors import Storeys, read_storeys
from cim.sim.impact.parameters import ImpactParameters, impact_parameters
from cim.sim.impact.places import reasons
from cim.sim.uses import use_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["FLOORS", "PEOPLE", "people"]

_VERSION = "1"

PEOPLE = pa.schema(
    [
        pa.field("object", pa.string()),
        column("status", pa.string(), en="status", zh="状态"),
        column("reason", pa.string(), en="reason", zh="原因"),
        column("use", pa.string(), en="use", zh="用途"),
        column("people", pa.float64(), en="people in the building", zh="人数"),
        column("people_source", pa.string(), en="who states the people", zh="人数来源"),
        column("people_affected", pa.float64(), en="people on floors under water", zh="受影响人数"),
        column("storeys", pa.float64(), en="storeys above ground", zh="地上层数"),
        column("storeys_affected", pa.float64(), en="storeys above ground under water", zh="受淹层数"),
    ]
)
FLOORS = pa.schema(
    [
        pa.field("object", pa.string()),
        column("place", pa.string(), en="storey", zh="楼层"),
        column("floor_height", pa.float64(), unit="m", en="floor above the ground floor", zh="楼面高出首层"),
        column("depth", pa.float64(), unit="m", en="water over the floor", zh="楼面以上水深"),
        column("people", pa.float64(), en="people", zh="人数"),
    ]
)
"""Only floors above ground that the water reaches; cellars have no residents."""


@dataclass(frozen=True)
class _Floors:
    """Floors above ground of all buildings, one row each, building by building from the ground up."""

    building: Ints
    number: Ints
    """0 for the ground floor."""
    height: Floats
    """Of the floor above the ground floor [m]."""
    share: Floats
    """Of the people of the building."""
    names: NDArray[np.object_]


def people(city: City, exposed: Fields, *, parameters: ImpactParameters | None = None, **options: Any) -> Fields:
    """Return how many people are on floors that the water reaches.

    Parameters
    ----------
    exposed
        Result of `exposure`.
    parameters, options
        `storey_height`, `floor_area_per_person` and `uses` of `ImpactParameters`.

    Returns
    -------
    Fields
        Table ``people``: per building, status affected, unaffected or not_assessed, with people by ``population``, else by floor area and
        `floor_area_per_person` (marked assumed). Table ``floors``: each floor under water, with its people.

    Raises
    ------
    UsageError
        If `exposed` is no result of `exposure` of this city.

    Notes
    -----
    A floor is reached when the water over the ground floor is higher than it; where it reaches none, nobody is affected. People are
    spread over the storeys above ground by floor area where a building model states it for all of them, else evenly. Of a building with
    an unknown number of storeys nobody knows how many live on the floor that is reached: it is not assessed.
    """
    watch, limits = Stopwatch(), impact_parameters(parameters, options)
    require_measurable(city)
    rows, keys, _ = building_rows(city, exposed)
    buildings = read_buildings(city)
    use = use_of(city, "Building", keys, limits.uses)
    count, source, why = _people(city, buildings, use, limits)
    depth = rows["depth_inside"].to_numpy(zero_copy_only=False).astype(float)
    unsure = np.array([one == "not_assessed" for one in rows["water_inside"].to_pylist()], bool)
    floors, assumed = _floors(buildings, read_storeys(city, buildings), rows, limits)
    over = depth[floors.building] - floors.height
    reached = over > 0
    size = len(buildings)
    number = np.bincount(floors.building[reached], minlength=size).astype(float)
    share = np.bincount(floors.building, np.where(reached, floors.share, 0.0), size)
    affected = np.where(number == 0, 0.0, share * count)
    reason = why.copy()
    reason[number == 0] = None
    reason[np.isnan(share) & ~np.isnan(count)] = "unknown_storeys"
    reason[unsure] = [one or "unknown_depth" for one in rows.filter(pa.array(unsure))["reason"].to_pylist()]
    assessed = np.array([one is None for one in reason], bool)
    columns = {
        "object": buildings.ids, "status": _status(assessed, number), "reason": reason, "use": use, "people": count,
        "people_source": source, "people_affected": np.where(assessed, affected, np.nan), "storeys": buildings.storeys,
        "storeys_affected": np.where(unsure | np.isnan(share), np.nan, number),
    }  # fmt: skip
    hit = reached & ~unsure[floors.building]
    tables = {"people": table_of(columns, PEOPLE), "floors": _floor_table(buildings, floors, over, hit, count)}
    inputs = {"city": city_fingerprint(city), "exposure": table_fingerprint(exposed.table("buildings"))}
    said = limits.model_dump(include={"storey_height", "floor_area_per_person", "uses"})
    people = columns["people_affected"]
    sums = {
        "people_affected": float(np.nansum(people)) if np.isfinite(people).any() else np.nan,
        "not_assessed_buildings": float((~assessed).sum()),
    }
    notes = _notes(source, reason, assumed, limits)
    run = RunRecord("people", _VERSION, inputs, said, start=exposed.run.start, balance=sums, assumptions=notes)
    return Fields("people", plain_dataset(), tables, watch.stop(run))


def _status(assessed: NDArray[np.bool_], reached: Floats) -> NDArray[np.object_]:
    return np.where(assessed, np.where(reached > 0, "affected", "unaffected"), "not_assessed").astype(object)


def _people(
    city: City, buildings: Buildings, use: NDArray[np.object_], limits: ImpactParameters
) -> tuple[Floats, NDArray[np.object_], NDArray[np.object_]]:
    """Return the people of each building, who states them, and why they are not known."""
    stated = numbers(city, "population", buildings.keys)
    stated = np.where(stated >= 0, stated, np.nan)
    area = numbers(city, "gross_floor_area", buildings.keys)
    area = np.where(area > 0, area, buildings.area * buildings.storeys)
    per_person = np.array([limits.floor_area_per_person.get(one, np.nan) for one in use.tolist()], float)
    known = np.isfinite(stated)
    count = np.where(known, stated, area / per_person)
    source = reasons(np.isfinite(count), "assumed")
    source[known] = "attribute"
    reason = np.full(len(buildings), None, object)
    blank = np.isnan(count)
    reason[blank] = "unknown_people"
    reason[blank & np.isnan(area)] = "unknown_floor_area"
    reason[blank & np.array([one is None for one in use], bool)] = "unknown_use"
    return count, source, reason


def _floors(buildings: Buildings, storeys: Storeys, rows: pa.Table, limits: ImpactParameters) -> tuple[_Floors, int]:
    """Return the floors above ground, and how many buildings have only assumed ones."""
    size, level = len(buildings), rows["floor_level"].to_numpy(zero_copy_only=False).astype(float)
    base = np.where(np.isfinite(level), level, np.nan)[storeys.building]
    above = storeys.level - base > -limits.storey_height / 2
    modelled = np.bincount(storeys.building[above], minlength=size)
    by_model = (modelled > 0) & (~np.isfinite(buildings.storeys) | (modelled >= buildings.storeys))
    keep = above & by_model[storeys.building]
    plain = np.where(by_model, 0, np.nan_to_num(buildings.storeys, nan=1.0)).astype(np.int64)
    owner = np.repeat(np.arange(size), plain)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(plain) - plain, plain)
    building = np.concatenate([owner, storeys.building[keep]])
    height = np.concatenate([number * limits.storey_height, np.maximum((storeys.level - base)[keep], 0.0)])
    area = np.concatenate([np.full(len(owner), np.nan), storeys.area[keep]])
    names = np.concatenate([np.array([f"F{one + 1}" for one in number.tolist()], object), storeys.names[keep]])
    order = np.lexsort((height, building))
    building, height, area, names = building[order], height[order], area[order], names[order]
    rank = np.arange(len(building)) - np.searchsorted(building, building)
    share = np.where((by_model | np.isfinite(buildings.storeys))[building], _shares(building, area, size), np.nan)
    return _Floors(building, rank, height, share, names), int((plain > 0).sum())


def _shares(building: Ints, area: Floats, size: int) -> Floats:
    """Return the share of each floor in its building: by area where all its floors state one, else even."""
    number = np.bincount(building, minlength=size)
    even = 1.0 / number[building]
    blank = np.bincount(building, ~(area > 0), size) > 0
    total = np.bincount(building, np.nan_to_num(area), size)
    by_area = area / np.where(blank, 1.0, np.maximum(total, 1e-300))[building]
    return np.asarray(np.where(blank[building], even, by_area), float)


def _floor_table(buildings: Buildings, floors: _Floors, over: Floats, reached: NDArray[np.bool_], count: Floats) -> pa.Table:
    mine = np.flatnonzero(reached)
    place = [f"{number + 1}: {name}" for number, name in zip(floors.number[mine].tolist(), floors.names[mine].tolist(), strict=True)]
    columns = {
        "object": buildings.ids[floors.building[mine]], "place": np.array(place, object), "floor_height": floors.height[mine],
        "depth": over[mine], "people": (floors.share * count[floors.building])[mine],
    }  # fmt: skip
    return table_of(columns, FLOORS)


def _notes(source: NDArray[np.object_], reason: NDArray[np.object_], assumed: int, limits: ImpactParameters) -> tuple[str, ...]:
    said = ["people are spread over the storeys above ground; a floor is affected when the water over the ground floor is higher than it"]
    guessed = int((source == "assumed").sum())
    if guessed:
        each = ", ".join(f"{use} {value:g} m²" for use, value in limits.floor_area_per_person.items())
        said.append(f"people of {guessed:,} buildings are assumed from floor area ({each} per person)")
    if assumed:
        said.append(f"floors of {assumed:,} buildings are assumed to be {limits.storey_height:g} m apart")
    reasons = [one for one in reason.tolist() if one is not None]
    return (*said, *(f"people: {reasons.count(one):,} not assessed, {one}" for one in sorted(set(reasons))))
