"""Closures that people decide: those of the city as changes of links, and how they and the water close a link together.

A link is closed as long as anyone closes it: a road that dries while its works go on stays closed.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.scenario.network import closures
from cim.sim.traffic.dynamic import LinkChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cim.model import City
    from cim.model.road_network import RoadNetwork

__all__ = ["merged", "timed_closures"]


def timed_closures(city: City, network: RoadNetwork, vehicle: str, start: datetime) -> list[LinkChange]:
    """Return the closures of a city that begin or end, for a class of vehicle, as changes of links in the order of time.

    Parameters
    ----------
    start
        Of the run, UTC; a closure that has begun by then holds from the first second, one that is over is left out.
    """
    held = [one for one in closures(city) if (one.start or one.until) and (not one.classes or vehicle in one.classes)]
    if not held:
        return []
    names = _directed(city, {one.link for one in held})
    known = _ids_by_stem(network)
    spans: dict[str, list[tuple[float, float]]] = {}
    for one in held:
        begin = 0.0 if one.start is None else max((one.start - start).total_seconds(), 0.0)
        end = np.inf if one.until is None else (one.until - start).total_seconds()
        if end <= begin:
            continue
        for side in ("forward", "backward"):
            if one.direction in ("both", side):
                for link in known.get(names[one.link, side], ()):
                    spans.setdefault(link, []).append((begin, end))
    found = [(time, link, shut) for link, own in spans.items() for time, shut in _transitions(own)]
    found.sort(key=lambda one: (one[0], one[2], one[1]))
    return [LinkChange(time, [link for _, link, _ in rows], closed=shut)
            for (time, shut), rows in groupby(found, key=lambda one: (one[0], one[2]))]  # fmt: skip


def _directed(city: City, keys: set[int]) -> dict[tuple[int, str], str]:
    """Return the id of each direction of links by key, as `city_network` makes it."""
    table = city.tables["links"]
    table = table.filter(pc.is_in(table["key"], value_set=pa.array(sorted(keys))))
    owners = city.ids(table["object"].to_numpy())
    made: dict[tuple[int, str], str] = {}
    ends = (table[name].to_pylist() for name in ("from_node", "to_node"))
    for key, owner, a, z in zip(table["key"].to_pylist(), owners, *ends, strict=True):
        made[key, "forward"], made[key, "backward"] = f"{owner}:{a}>{z}", f"{owner}:{z}>{a}"
    return made


def _ids_by_stem(network: RoadNetwork) -> dict[str, list[str]]:
    """Return links by their id without the number that tells pieces between the same nodes apart."""
    found: dict[str, list[str]] = {}
    for one in network.links["id"].to_pylist():
        stem, _, number = one.rpartition("#")
        found.setdefault(stem if stem and number.isdigit() else one, []).append(one)
    return found


def _transitions(spans: Iterable[tuple[float, float]]) -> list[tuple[float, bool]]:
    """Return when a link closes and opens, being closed in any of some spans."""
    made: list[tuple[float, bool]] = []
    last = -np.inf
    for begin, end in sorted(spans):
        if begin > last:
            made += [(last, False)] * bool(np.isfinite(last)) + [(begin, True)]
        last = max(last, end)
    return [*made, *[(last, False)] * bool(np.isfinite(last))]


def merged(network: RoadNetwork, people: Sequence[LinkChange], water: Sequence[LinkChange]) -> list[LinkChange]:
    """Return changes of both kinds in the order of time; a link is open only when neither keeps it closed."""
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
        shut = [False, False]
        for time, source, one in sorted(own, key=lambda event: event[0]):
            shut[source] = shut[source] if one.closed is None else one.closed
            made.append(LinkChange(time, [ids[row]], any(shut), one.speed, one.capacity, one.classes))
    return sorted(made, key=lambda one: one.time)
