"""Who a result concerns first: objects cut off and roads closed, the worst first, for the answer that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results.fields import Fields

if TYPE_CHECKING:
    from datetime import datetime

    from cim.results.verdicts import Verdicts

__all__ = ["MOST_LISTED", "Listed", "clock_text", "listed"]

MOST_LISTED = 10
"""Rows of a list that are shown."""
_VEHICLES = ("car", "emergency")
"""Whose closures are listed: those that the main figures count."""
_CUT = frozenset({"object", "place", "status", "cut_off_from", "cut_off_until", "cut_off_at_end", "cut_off_minutes", "people"})
_CLOSED = frozenset({"object", "link", "class", "closed_from", "closed_until", "closed_at_end", "closed_minutes", "maximum_depth", "cause"})

_OF_ROAD = {"closed_from": "min", "closed_until": "max", "closed_at_end": "any", "closed_minutes": "max", "maximum_depth": "max",
            "link": "count", "cause": "first"}  # fmt: skip
"""What is told of a road with several links and directions."""


@dataclass(frozen=True)
class Listed:
    """The first rows of a list, as words."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Id of an object first."""
    count: int
    """How many there are in all."""
    table: str
    """Name of the table that holds all of them."""


def clock_text(start: datetime | None, seconds: float, zone: tzinfo | None) -> str:
    """Return a moment as people read it: local time with the date where that is not the one of the start, else hours after the start.

    Parameters
    ----------
    zone
        Zone to tell it in; None where nobody stated a start: then the clock of the run means nothing.

    Examples
    --------
    >>> from datetime import UTC, datetime, timezone
    >>> clock_text(datetime(2026, 7, 20, tzinfo=UTC), 900.0, timezone(timedelta(hours=8))), clock_text(None, 5400.0, None)
    ('08:15+08:00', '1:30 h after the start')
    """
    if start is None or zone is None:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02d}{f':{rest:02d}' if rest else ''} h after the start"
    begin = start.astimezone(zone)
    moment = (start + timedelta(seconds=round(seconds))).astimezone(zone)
    day = "" if moment.date() == begin.date() else f"{moment.date().isoformat()} "
    return f"{day}{moment.timetz().isoformat('seconds' if moment.second else 'minutes')}"


def listed(result: Verdicts | Fields, zone: tzinfo | None = None) -> Iterable[Listed]:
    """Return who is cut off by service and vehicle, the longest first, and which roads are closed by vehicle, the earliest first.

    Parameters
    ----------
    zone
        Zone in which instants are told; see `clock_text`.
    """
    if not isinstance(result, Fields):
        return
    objects, links = result.tables.get("objects"), result.tables.get("links")
    if objects is not None and set(objects.column_names) >= _CUT:
        for place in pc.unique(objects["place"]).to_pylist():
            yield from _cut_off(result, objects.filter(pc.equal(objects["place"], place)), place, zone)
    if links is not None and set(links.column_names) >= _CLOSED:
        for vehicle in _VEHICLES:
            yield from _closed(result, links.filter(pc.equal(links["class"], vehicle)), vehicle, zone)


def _cut_off(result: Fields, table: pa.Table, place: str, zone: tzinfo | None) -> Iterable[Listed]:
    rows = table.filter(pc.equal(table["status"], "cut_off"))
    rows = rows.append_column("longest", pc.fill_null(rows["cut_off_minutes"], np.inf)).sort_by(  # not known: till nobody knows when
        [("longest", "descending"), ("people", "descending"), ("cut_off_from", "ascending"), ("object", "ascending")]
    )
    if rows.num_rows:
        told = tuple(
            (row["object"], *_span(result, row, "cut_off", zone), _digits(row["cut_off_minutes"]), _digits(row["people"]))
            for row in rows.slice(0, MOST_LISTED).to_pylist()
        )
        heads = ("", "since", "until", "for [min]", "people")
        yield Listed(f"{place}: cut off{_day(result, zone)}, the longest first", heads, told, rows.num_rows, "objects")


def _closed(result: Fields, table: pa.Table, vehicle: str, zone: tzinfo | None) -> Iterable[Listed]:
    shut = table.filter(pc.is_valid(table["closed_from"]))
    if not shut.num_rows:
        return
    owner = pc.coalesce(shut["object"], shut["link"])
    shut = shut.set_column(shut.column_names.index("object"), "object", owner).sort_by("closed_from")
    first = shut.group_by("object", use_threads=False).aggregate(list(_OF_ROAD.items()))
    first = first.rename_columns([name.removesuffix(f"_{_OF_ROAD.get(name.rpartition('_')[0])}") for name in first.column_names])
    first = first.sort_by([("closed_from", "ascending"), ("maximum_depth", "descending"), ("object", "ascending")])
    told = tuple(
        (row["object"], *_span(result, row, "closed", zone), _digits(row["maximum_depth"], ".2f"), row["cause"] or "", str(row["link"]))
        for row in first.slice(0, MOST_LISTED).to_pylist()
    )
    heads = ("", "from", "until", "deepest [m]", "cause", "links")
    yield Listed(f"roads closed to {vehicle}{_day(result, zone)}, the first closed first", heads, told, first.num_rows, "links")


def _day(result: Fields, zone: tzinfo | None) -> str:
    start = result.run.start
    return "" if start is None or zone is None else f" on {start.astimezone(zone).date().isoformat()}"


def _span(result: Fields, row: Mapping[str, Any], name: str, zone: tzinfo | None) -> tuple[str, str]:
    """Return since when and until when."""
    since, until = row[f"{name}_from"], row[f"{name}_until"]
    known = row["cut_off_from" if name == "cut_off" else "closed_minutes"]  # a link may be closed nobody knows when
    if known is None or not np.isfinite(known):
        return "not known", "not known"
    end = "still at the end" if row[f"{name}_at_end"] else "not known" if until is None else clock_text(result.run.start, until, zone)
    return clock_text(result.run.start, since, zone), end


def _digits(number: float | None, form: str = ",.0f") -> str:
    return "not known" if number is None or not np.isfinite(number) else format(number, form)
