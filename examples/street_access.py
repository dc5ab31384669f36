"""A check of one's own: no building farther from a street than a limit, found by entry point like the checks of the toolkit.

The package that holds this file names it in its pyproject.toml:

    [project.entry-points."cim.checks"]
    street_access = "street_access:CHECK"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field

from cim.model import City
from cim.results import RunRecord, Stopwatch, Verdicts, city_fingerprint, judge, verdicts_from

RULE = "distance = the shortest way on the map from the footprint to any object of the street classes, in a straight line"


class Parameters(BaseModel):
    """Section ``[checks.street_access]`` of a scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: float | None = Field(default=None, description="greatest distance to a street [m]; without it nothing is assessed")
    streets: list[str] = Field(default=["Road"], description="classes that count as streets")
    clause: str | None = Field(default=None, description="clause that sets the limit")


@dataclass(frozen=True)
class StreetAccess:
    """Every building against the greatest distance to a street."""

    name: str = "street_access"
    version: str = "1"
    title_en: str = "Access to a street"
    title_zh: str = "临街距离"
    parameters: type[BaseModel] = Parameters

    def run(self, city: City, **parameters: Any) -> Verdicts:
        """Return one verdict per building; without footprint, streets or limit it is not assessed."""
        asked, watch = Parameters(**parameters), Stopwatch()
        keys = city.keys("Building") if "Building" in city.types() else np.empty(0, np.int64)
        distance = distances(city, keys, asked.streets)
        reason = np.where(np.isfinite(distance), None, "no footprint, or no street in the city")
        limit = np.nan if asked.limit is None else asked.limit
        judged = judge(distance, np.full(len(keys), limit), reason=reason)
        columns = {
            "object": city.ids(keys), "value": distance, "unit": "m", "limit": np.full(len(keys), limit), "excess": judged.excess,
            "verdict": judged.verdict, "reason": judged.reason, "clause": asked.clause,
        }  # fmt: skip
        run = RunRecord(
            self.name, self.version, inputs={"city": city_fingerprint(city)}, parameters=asked.model_dump(), assumptions=(RULE,)
        )
        return verdicts_from(self.name, watch.stop(run), columns)


def distances(city: City, keys: np.ndarray, classes: list[str]) -> np.ndarray:
    """Return the distance of each building to the nearest street [m], NaN where one of the two has no shape."""
    buildings = city.footprints(keys)
    found = [city.footprints(city.keys(name)) for name in classes if name in city.types()]
    streets = np.concatenate(found) if found else np.empty(0, object)
    streets = streets[~shapely.is_missing(streets)]
    out = np.full(len(keys), np.nan)
    there = np.flatnonzero(~shapely.is_missing(buildings))
    if len(streets) and len(there):
        place = shapely.STRtree(streets).query_nearest(buildings[there], all_matches=False)
        out[there[place[0]]] = shapely.distance(buildings[there[place[0]]], streets[place[1]])
    return out


CHECK = StreetAccess()
