"""Closures that people decide: those of the city as changes of links, and how they and the water close a link together.

A link is closed as long as anyone closes it: a road that dries while its works go on stays closed.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.results.columns import column
from cim.scenario.network import closures
from cim.sim.traffic.city_network import directed_ids
from cim.sim.traffic.dynamic import LinkChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cim.model import City
    from cim.model.road_network import RoadNetwork

__all__ = ["CLOSURES", "city_closures", "closure_table", "merged"]

CLOSURES = pa.schema([
    pa.field("object", pa.string()), column("link", pa.string(), en="link", zh="路段"),
    column("from_time", pa.float64(), unit="s", en="closed from, after the start", zh="封闭开始历时"),
    column("until_time", pa.float64(), unit="s", en="closed until; none: the end of the run or longer", zh="封闭结束历时（空：超出模拟）"),
])  # fmt: skip
"""When links are closed in a dynamic run, a row each time."""


def city_closures(city: City, network: RoadNetwork, vehicle: str, start: datetime) -> list[LinkChange]:
    """Return the closures of a city that concern a class of vehicle, as changes of links in the order of time.

    Parameters
    ----------
    network
        Of the city; links that it does not have are passed over.
    start
        Of the run, UTC; a closure that has begun by then holds from the first second, one that is over is left out.
    """
    held = [one for one in closures(city) if not one.classes or vehicle in one.classes]
    if not held:
        return []
    names, known = directed_ids(city), set(network.links["id"].to_pylist())
    spans: dict[str, list[tuple[float, float]]] = {}
    for one in held:
        begin = 0.0 if one.start is None else max((one.start - start).total_seconds(), 0.0)
        end = np.inf if one.until is None else (one.until - start).total_seconds()
        if end <= begin:
            continue
        for back, side in enumerate(("forward", "backward")):
            link = names.get((one.link, bool(back)))
            if link is not None and link in known and one.direction in ("both", side):
                spans.setdefault(link, []).append((begin, end))
    found = [(time, link, shut) for link, own in spans.items() for time, shut in _transitions(own)]
    found.sort(key=lambda one: (one[0], one[2], one[1]))
    return [LinkChange(time, [link for _, link, _ in rows], closed=shut)
            for (time, shut), rows in groupby(found, key=lambda one: (one[0], one[2]))]  # fmt: skip


def _transitions(spans: Iterable[tuple[float, float]]) -> list[tuple[float, bool]]:
    """Return when a link closes and opens, being closed in any of some spans."""
    made: list[tuple[float, bool]] = []
    last = -np.inf
    for begin, end in sorted(spans):
        if begin > last:
            made += [(last, False)] * bool(np.isfinite(last)) + [(begin, True)]
        last = max(last, end)
    return [*made, *[(last, False)] * bool(np.isfinite(last))]


def closure_table(network: RoadNetwork, changes: Iterable[LinkChange], until: float) -> pa.Table:
    """Return when each link is closed in a run that ends at `until` [s] (schema `CLOSURES`).

    Parameters
    ----------
    changes
        In the order of time, for every vehicle of the run; of those at one instant the last counts.
    """
    due = [(one, network.rows_of(one.links)) for one in changes if one.closed is not None and one.time < until]
    many = [len(rows) for _, rows in due]
    row = np.concatenate([np.empty(0, np.int64), *(rows for _, rows in due)])
    if not len(row):
        return CLOSURES.empty_table()
    time = np.repeat([one.time for one, _ in due], many).astype(float)
    shut = np.repeat([bool(one.closed) for one, _ in due], many).astype(bool)
    order = np.lexsort((time, row))  # stable: of one instant the last one stays last
    row, time, shut = row[order], time[order], shut[order]
    last = np.append((row[1:] != row[:-1]) | (time[1:] != time[:-1]), True)
    row, time, shut = row[last], time[last], shut[last]
    new = np.append(True, row[1:] != row[:-1])
    turn = np.where(new, shut, shut != np.roll(shut, 1))
    row, time, shut = row[turn], time[turn], shut[turn]  # closed, open, closed ... by link
    begin = np.flatnonzero(shut)
    reopens = np.append((row[1:] == row[:-1]) & shut[:-1], False)[begin]
    end = np.where(reopens, np.append(time[1:], np.nan)[begin], np.nan)
    links = network.links.select(["object", "id"]).take(pa.array(row[begin]))
    spans = (pa.chunked_array([pa.array(one, from_pandas=True)]) for one in (time[begin], end))
    return pa.Table.from_arrays([*links.columns, *spans], schema=CLOSURES)


def merged(network: RoadNetwork, people: Sequence[LinkChange], water: Sequence[LinkChange]) -> list[LinkChange]:
    """Return changes of both kinds in the order of time; a link is open only when nobody keeps it closed.

    Parameters
    ----------
    people
        Closures, each ended by one opening of the same link or never.
    water
        States of links: the last one holds.
    """
    ids = network.links["id"].to_pylist()
    rows = [(one, network.rows_of(one.links)) for one in people]
    both = {int(row) for _, found in rows for row in found}
    if not both:
        return sorted(water, key=lambda one: one.time)
    events: dict[int, list[tuple[float, int, LinkChange]]] = {row: [] for row in both}
    made: list[LinkChange] = []
    for source, one, found in [*((0, *pair) for pair in rows), *((1, one, network.rows_of(one.links)) for one in water)]:
        for row in found.tolist():
            if row in events:
                events[row].append((one.time, source, one))
        rest = [ids[row] for row in found.tolist() if row not in events]
        if rest:
            made.append(LinkChange(one.time, rest, one.closed, one.speed, one.capacity, one.classes))
    for row, own in events.items():
        shut = [0, 0]
        for time, source, one in sorted(own, key=lambda event: event[0]):
            if one.closed is not None:
                shut[source] = (shut[source] + (1 if one.closed else -1)) if source == 0 else int(one.closed)
            made.append(LinkChange(time, [ids[row]], any(shut), one.speed, one.capacity, one.classes))
    return sorted(made, key=lambda one: one.time)
