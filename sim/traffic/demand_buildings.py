"""Trips that begin and end at buildings in an hour: floor area times the rate of the use.

Rates come from ``trip_rates.json``, each with its source, or from the caller. A building whose use or floor area is not known makes no trip
here and is counted as not assessed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.model.numeric import numbers
from cim.results.columns import column
from cim.sim.buildings import Buildings, read_buildings
from cim.sim.floor_area import FloorArea, floor_areas
from cim.sim.uses import use_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Words = NDArray[np.object_]

__all__ = ["BUILDINGS", "BuildingTrips", "TripRate", "trip_rates", "trips_of_buildings"]

BUILDINGS = pa.schema([
    pa.field("object", pa.string()),
    column("status", pa.string(), en="status", zh="状态"),
    column("reason", pa.string(), en="reason", zh="原因"),
    column("use", pa.string(), en="use", zh="用途"),
    column("floor_area", pa.float64(), unit="m²", en="gross floor area", zh="建筑面积"),
    column("floor_area_source", pa.string(), en="who states the floor area", zh="建筑面积来源"),
    column("production", pa.float64(), unit="veh/h", en="trips that begin here", zh="出行产生量"),
    column("attraction", pa.float64(), unit="veh/h", en="trips that end here", zh="出行吸引量"),
    column("zone", pa.string(), en="traffic zone", zh="交通小区"),
])  # fmt: skip
_PER = 100.0
"""Floor area that a rate counts for [m²]."""
_FINER = dict.fromkeys(("office", "offices", "kantoorfunctie", "办公", "写字楼", "商务"), "office") | dict.fromkeys(
    ("retail", "shop", "supermarket", "mall", "kiosk", "winkelfunctie", "商业", "商铺", "市场"), "retail"
)
"""Words of the class commercial that have a rate of their own."""


@dataclass(frozen=True)
class TripRate:
    """Vehicle trips in the hour looked at [veh/h per 100 m² of gross floor area]."""

    production: float
    """That begin."""
    attraction: float
    """That end."""


@dataclass(frozen=True)
class BuildingTrips:
    """Trips of buildings, and where these stand."""

    table: pa.Table
    """`BUILDINGS`, ``zone`` still null."""
    places: Reals
    """A point within each footprint, shape (n, 2); not a number without one."""
    notes: tuple[str, ...]


@cache
def _sets() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath("trip_rates.json").read_text(encoding="utf-8"))["sets"]
    return found


def trip_rates(hour: str = "am", which: str = "dense") -> dict[str, TripRate]:
    """Return rates by use for a peak hour; every figure has its source in ``trip_rates.json``.

    Parameters
    ----------
    hour
        ``"am"`` or ``"pm"``.
    which
        ``"dense"``: a city with much public transport; ``"suburban"``: a place where nearly everybody drives.

    Raises
    ------
    UsageError
        If there is no such hour or set.

    Examples
    --------
    >>> trip_rates("am")["office"]
    TripRate(production=0.1703, attraction=0.2452)
    """
    known = [f"{name} {one}" for name, hours in _sets().items() for one in ("am", "pm") if one in hours]
    if f"{which} {hour}" not in known:
        msg = f"no trip rates {which} {hour}; known are {', '.join(known)}; for another hour give rates= of every use"
        raise UsageError(msg)
    return {use: TripRate(one["production"], one["attraction"]) for use, one in _sets()[which][hour].items()}


def trips_of_buildings(
    city: City, rates: Mapping[str, TripRate], *, storey_height: float | None = 3.0, uses: Mapping[str, str] | None = None,
    unknown_use: str | None = None,
) -> BuildingTrips:  # fmt: skip
    """Return the trips that begin and end at the buildings of a city in an hour.

    Parameters
    ----------
    rates
        By use; a use without a rate is not assessed.
    storey_height
        Where storeys are missing but the height is known, storeys = height / this [m], marked assumed; None: not assessed.
    uses
        Further words of this city for uses, and the use each stands for.
    unknown_use
        Assumed where no attribute says the use, or says one that is not known; None: such buildings make no trips.
    """
    import shapely

    buildings = read_buildings(city)
    area, source, reason = _floor_area(city, buildings, floor_areas(city, buildings, "gross_floor_area", storey_height))
    use = use_of(city, "Building", buildings.keys, {**_FINER, **(uses or {})})
    guessed = np.array([one is None for one in use], bool) if unknown_use else np.zeros(len(use), bool)
    use[guessed] = unknown_use
    rate = np.array([[rates[one].production, rates[one].attraction] if one in rates else [np.nan] * 2 for one in use.tolist()])
    rate = rate.reshape(-1, 2)
    unknown = np.array([one is None for one in use], bool)
    reason[~unknown & np.isnan(rate[:, 0])] = "no_rate_for_the_use"
    reason[unknown] = "unknown_use"
    reason[shapely.is_missing(buildings.footprints)] = "no_footprint"
    fine = np.array([one is None for one in reason], bool)
    trips = np.where(fine[:, None], area[:, None] / _PER * rate, np.nan)
    points = shapely.point_on_surface(buildings.footprints)
    places = np.stack([shapely.get_x(points), shapely.get_y(points)], axis=1)
    status = np.where(fine, "assessed", "not_assessed").astype(object)
    columns = [buildings.ids, status, reason, use, area, source, *trips.T, np.full(len(fine), None, object)]
    table = pa.Table.from_arrays([pa.array(one, kind.type, from_pandas=True) for one, kind in zip(columns, BUILDINGS, strict=True)],
                                 schema=BUILDINGS)  # fmt: skip
    said = (f"the use of {int((guessed & fine).sum()):,} buildings is assumed: {unknown_use}",) if (guessed & fine).any() else ()
    return BuildingTrips(table, places, (*said, *_notes(area, source, reason, storey_height)))


def _floor_area(city: City, buildings: Buildings, found: FloorArea) -> tuple[Reals, Words, Words]:
    """Return the floor area of each building with its parts, who states it, and why it is not known."""
    import shapely

    count = len(buildings)
    added = found.pieces.keys[count:]
    order = np.argsort(buildings.parts.keys)
    owner = buildings.owner[order[np.searchsorted(buildings.parts.keys, added, sorter=order)]] if len(added) else np.empty(0, np.int64)
    known = np.isfinite(found.area)
    more = np.bincount(owner[known[count:]], found.area[count:][known[count:]], count)
    only_parts = shapely.is_missing(buildings.own.footprints) & (more > 0)
    area = np.where(known[:count], np.nan_to_num(found.area[:count]) + more, np.where(only_parts, more, np.nan))
    guessed = found.assumed[:count] | (np.bincount(owner[found.assumed[count:]], minlength=count) > 0)
    stated = numbers(city, "gross_floor_area", buildings.keys) >= 0
    source = np.where(stated, "attribute", np.where(guessed, "assumed_storeys", "storeys")).astype(object)
    blank = np.isnan(area)
    source[blank] = None
    reason = np.full(count, None, object)
    reason[blank] = "unknown_floor_area"
    return area, source, reason


def _notes(area: Reals, source: Words, reason: Words, storey_height: float | None) -> tuple[str, ...]:
    left = np.array([one is not None for one in reason], bool)
    said = []
    guessed = int((source[~left] == "assumed_storeys").sum())
    if guessed:
        said.append(f"storeys of {guessed:,} buildings are assumed, {storey_height:g} m each")
    for why, count in sorted(Counter(reason[left].tolist()).items()):
        floor = float(np.nansum(area[reason == why]))
        said.append(f"{count:,} of {len(area):,} buildings make no trips, {why}" + (f": {floor:,.0f} m² of floor area" if floor else ""))
    return tuple(said)
