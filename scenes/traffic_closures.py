"""When links are closed: spans of time by link, as a click tells them and as the pictures of the times show them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from cim.scenes.traffic_times import end_of, micros_of, numbers_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.clock import Clock, Instants

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

__all__ = ["Closures", "closures_of"]


@dataclass(frozen=True)
class Closures:
    """Spans of time in which links are closed, one row each."""

    row: Ints
    """Link of each."""
    first: Ints
    """[µs]"""
    last: Ints
    """[µs]"""
    end: int
    """End of the run [µs]: what is closed until then may stay so."""

    def at(self, times: Instants, links: int) -> Bools:
        """Return what is closed at each of some instants, shape (t, links)."""
        micros = times.astype("M8[us]").astype(np.int64)
        change = np.zeros((len(times) + 1, links), np.int32)
        np.add.at(change, (np.searchsorted(micros, self.first), self.row), 1)
        np.add.at(change, (np.searchsorted(micros, self.last), self.row), -1)
        return np.asarray(np.cumsum(change, axis=0)[:-1] > 0)

    def texts(self, links: int, clock: Clock) -> list[str | None]:
        """Return from when until when each link is closed, as people write it; spans that follow each other are one."""
        order = np.lexsort((self.first, self.row))
        first, last, row = self.first[order], self.last[order], self.row[order]
        starts = np.append([True], (row[1:] != row[:-1]) | (first[1:] > last[:-1])) if len(row) else np.zeros(0, bool)
        begin = np.flatnonzero(starts)
        end = np.append(begin[1:] - 1, len(row) - 1) if len(row) else begin
        stays = last[end] >= self.end
        named = [replace(clock, instants=one.astype("M8[us]")).labels for one in (first[begin], np.where(stays, first[begin], last[end]))]
        found: list[str | None] = [None] * links
        for link, since, until, longer in zip(row[begin].tolist(), *named, stays.tolist(), strict=True):  # over closures
            same = since[:10] == until[:10] and len(since) > 10
            span = f"{since} – {until[11:] if same else until}"
            if longer:
                span = f"from {since}, to the end of the run or longer 起，至模拟结束或更晚"
            found[link] = span if found[link] is None else f"{found[link]}; {span}"
        return found


def closures_of(result: Fields, keys: NDArray[np.object_]) -> Closures:
    """Return the table ``closures`` of a result for some links: ``link``, ``from_time``, ``until_time`` (null: beyond the end of the run).

    Raises
    ------
    UsageError
        If a link is closed from an unknown time on.
    """
    end, table = end_of(result), result.tables.get("closures")
    if table is None:
        none = np.empty(0, np.int64)
        return Closures(none, none, none, end)
    row = numbers_of(table["link"], keys)
    mine = row >= 0
    first = micros_of(result, table["from_time"])[0]
    last = micros_of(result, pc.coalesce(table["until_time"], table["from_time"]))[0]
    last[np.asarray(pc.is_null(table["until_time"]))] = end
    return Closures(row[mine], first[mine], last[mine], end)
