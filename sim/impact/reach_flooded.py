"""Stations that water comes into: nobody leaves them while it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.sim.impact.reach_stations import Stations
    from cim.sim.impact.reach_times import Steps

    Floats = NDArray[np.float64]

__all__ = ["Flooded", "flooded"]


@dataclass(frozen=True)
class Flooded:
    """From when till when nobody leaves a station [s], not a number for those that stay dry."""

    begin: Floats
    end: Floats
    notes: tuple[str, ...] = ()

    def at(self, moment: float) -> NDArray[np.bool_]:
        """Return which stations nobody leaves at an instant [s]."""
        return (self.begin <= moment) & (moment < self.end)


def flooded(exposed: Fields | None, stations: Stations, steps: Steps) -> Flooded:
    """Return when water stands around the stations into which it comes.

    Parameters
    ----------
    exposed
        Result of ``impact.exposure``; without it nobody knows of any.

    Notes
    -----
    Water inside is known as a greatest depth only. The time is that in which the ground around the building is under water: longer than
    that in which there is water inside, never shorter.
    """
    begin, end = np.full((2, len(stations)), np.nan)
    if exposed is None:
        return Flooded(begin, end)
    table = exposed.table("buildings")
    place = {one: row for row, one in enumerate(table["object"].to_pylist())}
    row = np.array([place.get(one, -1) for one in stations.ids.tolist()], np.int64)
    answer = np.array([*table["water_inside"].to_pylist(), None], object)[row]
    wet, unsure = answer == "yes", answer == "not_assessed"
    later = 0.0
    if steps.start is not None and exposed.run.start is not None:
        later = (exposed.run.start - steps.start).total_seconds()
    first, long = (np.append(table[name].to_numpy(zero_copy_only=False).astype(float), np.nan)[row] for name in ("first_wet", "duration"))
    begin[wet] = np.where(np.isfinite(first[wet]), first[wet] + later, -np.inf)
    end[wet] = np.where(np.isfinite(first + long)[wet], (first + long)[wet] + later, np.inf)
    notes = []
    if wet.any() and not len(steps.begin):
        notes.append(
            "without roads or traffic there are no steps: stations with water inside are told, and help comes from them all the same"
        )
    for rows, words in ((wet, "have water inside: nobody leaves them while water stands around them"),
                        (unsure, "may have water inside, which is not assessed: they are taken to stay dry")):  # fmt: skip
        if rows.any():
            notes.append(f"{int(rows.sum())} stations {words} ({', '.join(stations.ids[rows][:5])})")
    return Flooded(begin, end, tuple(notes))
