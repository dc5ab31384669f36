"""What a matrix needs beside its cells: the nodes of its zones, and how many hours its trips are of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, UsageError
from cim.loaders.gmns.tables import shown
from cim.model.road_network import ODMatrix

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["hourly", "matrix_of"]


def hourly(hours: float) -> str:
    """Return the note on the time that the trips of a file are of; every number of trips is divided by it.

    Raises
    ------
    UsageError
        If it is not above zero.
    """
    if not 0 < hours < np.inf:
        msg = f"hours is {hours!r}; give how many hours the trips of the file are of, 24 for those of a day"
        raise UsageError(msg)
    remedy = "if they are not, give hours= in read_matrix, or demand_factor = 1 / hours in a run"
    return f"trips are read as those of {hours:g} h" + ("" if hours != 1 else f": the file does not say; {remedy}")


def matrix_of(
    network: RoadNetwork | None, zones: Sequence[str], origin: Ints, destination: Ints, trips: Reals, hours: float, notes: Sequence[str],
    path: Path,
) -> ODMatrix:  # fmt: skip
    """Return trips between zones that are rows of `zones`, as rows of the nodes of a network; only zones with trips must be there.

    Without a network they are rows of the zones with trips, whose ids are in `ODMatrix.places`.

    Raises
    ------
    ObjectNotFoundError
        If the network does not have some zones with trips.
    CorruptFileError
        If a zone stands twice.
    """
    told = hourly(hours)
    twice = sorted({one for one, many in zip(*np.unique(np.array(zones, str), return_counts=True), strict=True) if many > 1})
    if twice:
        raise CorruptFileError(path, f"names {len(twice)} zones more than once ({shown(twice)})", "keep one of each")
    some = trips > 0
    used = np.unique(np.concatenate([origin[some], destination[some]]))
    names = [zones[k] for k in used.tolist()]
    row = np.full(len(zones), -1, np.int64)
    row[used] = np.arange(len(names))
    made = ODMatrix(row[origin[some]], row[destination[some]], trips[some] / hours, (*notes, told), (np.arange(len(names)), tuple(names)))
    if network is None:
        return made
    known = ODMatrix.of(network, names, names, np.zeros(len(names)))
    return replace(made, origin=known.origin[made.origin], destination=known.origin[made.destination], places=known.places)
