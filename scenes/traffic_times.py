"""Times of tables by link: seconds since the start of a run, or instants, as instants of the clock."""

from __future__ import annotations

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

__all__ = ["instants_from", "lengths_of", "micros_of", "numbers_of", "start_of", "texts_of"]


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


def instants_from(result: Fields, column: pa.ChunkedArray) -> tuple[Ints, Instants, bool, float]:
    """Return which instant each row is of, all instants, whether they are dates, and their step [s].

    A sparse table leaves out times at which nothing happened; they are filled in where all others lie on one step.
    """
    micros, dated = micros_of(result, column)
    known = np.unique(micros)
    step = int(np.diff(known).min()) if len(known) > 1 else _step(result)
    grid = np.arange(known[0], known[-1] + 1, step)
    times = grid if len(grid) <= 4 * len(known) and np.isin(known, grid).all() else known
    return np.searchsorted(times, micros), times.astype("M8[us]"), dated, step / 1e6


def lengths_of(result: Fields, times: Instants, step: float) -> NDArray[np.float64]:
    """Return how long each interval lasts [s]: one step, and less where the end of the run cuts it off, shape (n,)."""
    said = result.run.parameters.get("until")
    if said is None:
        return np.full(len(times), step)
    begun = start_of(result)
    zero = np.datetime64(0, "us") if begun is None else begun
    try:
        end = zero.astype("M8[us]") + np.timedelta64(round(seconds(said) * 1e6), "us")
    except UsageError:  # an instant
        end = np.datetime64(instant(said).astimezone(UTC).replace(tzinfo=None), "us")
    rest = (end - times) / np.timedelta64(1, "s")
    return np.where((rest > 0) & (rest < step), rest, step)


def _step(result: Fields) -> int:
    """Return the step of a result of one interval [µs]: as its parameters say, else an hour."""
    said = next((one for name in ("output_every", "every", "interval") if (one := result.run.parameters.get(name))), 3600.0)
    return round(seconds(said) * 1e6)
