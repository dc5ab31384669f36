"""Times of tables by link: seconds since the start of a run, or instants, as instants of the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.sim.times import instant, seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.clock import Instants

    Ints = NDArray[np.int64]

__all__ = ["end_of", "intervals_from", "micros_of", "numbers_of", "start_of", "texts_of"]

_NEVER = 2 * 10**17
"""Later than any end of a run [µs]."""


def texts_of(column: pa.ChunkedArray | pa.Array) -> NDArray[np.object_]:
    """Return a column of texts as an array, shape (n,)."""
    found = np.empty(len(column), object)
    found[:] = column.cast(pa.string()).to_pylist()
    return found


def numbers_of(column: pa.ChunkedArray, names: NDArray[np.object_]) -> Ints:
    """Return the place of each text among some names, -1 where it is none of them, shape (n,)."""
    values = pa.array(names.tolist(), pa.string())
    place = pc.index_in(column.cast(pa.string()), values) if len(values) else pa.nulls(len(column), pa.int32())
    return np.asarray(pc.fill_null(place, -1).to_numpy(), np.int64)


def start_of(result: Fields) -> np.datetime64 | None:
    """Return the first instant of a run, UTC: of its record, else the parameter ``start``; None where nobody says it.

    Raises
    ------
    UsageError
        If the parameter is no instant.
    """
    said: Any = result.run.start or result.run.parameters.get("start")
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else said
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, AttributeError) as error:
        msg = f"the start of {result.name!r} is {said!r}; expected an instant such as '2026-07-21T06:00:00+00:00'"
        raise UsageError(msg) from error
    return np.datetime64(moment, "us")


def micros_of(result: Fields, column: pa.ChunkedArray) -> tuple[Ints, bool]:
    """Return times as microseconds since 1970, and whether they are dates; else they count from the start of the run.

    Raises
    ------
    UsageError
        If a time is missing.
    """
    if column.null_count:
        msg = f"{column.null_count:,} of {len(column):,} times of {result.name!r} are missing"
        raise UsageError(msg)
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64()).to_numpy(), np.int64), True
    start = start_of(result)
    seconds = np.asarray(column.cast(pa.float64()).to_numpy(), float)
    base = 0 if start is None else int(start.astype("M8[us]").astype(np.int64))
    return base + np.rint(seconds * 1e6).astype(np.int64), start is not None


def intervals_from(result: Fields, table: pa.Table) -> tuple[Ints, Instants, bool, NDArray[np.float64]]:
    """Return which interval each row is of, when each begins, whether these are dates, and how long each lasts [s].

    A sparse table leaves out times at which nothing happened. It says itself which intervals there are; else they are filled in where
    all others lie on one step, and the end of the run cuts the last one off.
    """
    micros, dated = micros_of(result, table["time"])
    edges = json.loads((table.schema.metadata or {}).get(b"intervals", b"[]"))
    if len(edges) > 1:
        ends = micros_of(result, pa.chunked_array([pa.array(edges, pa.float64())]))[0]
        if np.isin(micros, ends[:-1]).all():
            return np.searchsorted(ends, micros), ends[:-1].astype("M8[us]"), dated, np.diff(ends) / 1e6
    known = np.unique(micros)
    step = int(np.diff(known).min()) if len(known) > 1 else _step(result)
    grid = np.arange(known[0], known[-1] + 1, step)
    times = grid if len(grid) <= 4 * len(known) and np.isin(known, grid).all() else known
    rest = end_of(result) - times
    return np.searchsorted(times, micros), times.astype("M8[us]"), dated, np.where((rest > 0) & (rest < step), rest, step) / 1e6


def end_of(result: Fields) -> int:
    """Return the end of a run as its parameter ``until`` says it, a duration or an instant [µs]; without it, later than anything."""
    said = result.run.parameters.get("until")
    if said is None:
        return _NEVER
    begun = start_of(result)
    try:
        return (0 if begun is None else int(begun.astype("M8[us]").astype(np.int64))) + round(seconds(said) * 1e6)
    except UsageError:  # an instant
        return int(np.datetime64(instant(said).astimezone(UTC).replace(tzinfo=None), "us").astype(np.int64))


def _step(result: Fields) -> int:
    """Return the step of a result of one interval [µs]: as its parameters say, else an hour."""
    said = next((one for name in ("output_every", "every", "interval") if (one := result.run.parameters.get(name))), 3600.0)
    return round(seconds(said) * 1e6)
