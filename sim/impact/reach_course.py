"""What becomes of every object over the steps of a flood: in time, too late, cut off; counted while the steps go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.impact.reach_ways import Sites

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["CUT_OFF", "IN_TIME", "LATE", "NEVER", "NOT_ASSESSED", "STATUS", "Course", "Events"]

NOT_ASSESSED, IN_TIME, LATE, CUT_OFF, NEVER = range(5)
STATUS = np.array(["not_assessed", "in_time", "late", "cut_off", "never"], object)
"""In the order of their codes: the worse, the higher. ``never``: no route leads there when all is dry."""


@dataclass(frozen=True)
class Events:
    """Objects whose status changes at a step."""

    step: int
    object: Ints
    before: Ints
    after: Ints


@dataclass
class Course:
    """Objects, as one service reaches them with one class of vehicle."""

    service: str
    vehicle: str
    sites: Sites
    link: NDArray[np.object_]
    """Id of the link from which each object is entered, None without."""
    limit: float
    """Time within which help must come [s]."""
    dry: Floats
    """Time on the dry network [s], infinite without a route."""
    station: Ints
    """Station it comes from then, -1 without."""
    status_dry: Ints
    status: Ints
    """The worst so far."""
    now: Ints
    """Status at the last step."""
    worst: Floats
    """Longest time so far [s]; infinite where it was cut off."""
    reason: NDArray[np.object_]
    first: Floats
    """Step at which it was cut off first [s], not a number where it never was."""
    last: Floats
    """End of the last step at which it was cut off [s], not a number where it never was."""
    cut: Floats
    """How long it was cut off [s]."""
    late: Floats
    """How long it was cut off or too late [s]."""
    times: list[tuple[float | None, Floats, int, int]] = field(default_factory=list)
    """Moment [s] (None for the dry base), times [s], objects newly cut off, objects cut off."""
    events: list[Events] = field(default_factory=list)

    @classmethod
    def of(cls, service: str, vehicle: str, sites: Sites, link: NDArray[np.object_], time: Floats, station: Ints, limit: float) -> Course:
        """Return the course of objects that are reached in these times when all is dry."""
        assessed = sites.way >= 0
        status = np.where(time <= limit, IN_TIME, np.where(np.isfinite(time), LATE, NEVER))
        status = np.where(assessed, status, NOT_ASSESSED).astype(np.int64)
        reason = sites.reason.copy()
        reason[status == NEVER] = "no_route_when_dry"
        blank, none = np.full(len(sites), np.nan), np.zeros(len(sites))
        whole = status.copy(), status.copy(), time.copy()
        made = cls(service, vehicle, sites, link, limit, time, station, status, *whole, reason, blank, blank.copy(), none, none.copy())
        made.times.append((None, time, 0, 0))
        return made

    @property
    def place(self) -> str:
        """Service and class, as tables name them."""
        return f"{self.service}, {self.vehicle}"

    def add(self, number: int, begin: float, end: float, time: Floats, shut: Bools, *, none_open: bool) -> None:
        """Count a step.

        Parameters
        ----------
        time : shape (n,)
            [s]; infinite without a route.
        shut : shape (n,)
            Objects whose own road is closed.
        none_open
            Whether no station can be left.
        """
        counted = (self.status_dry != NOT_ASSESSED) & (self.status_dry != NEVER)
        status = np.where(time <= self.limit, IN_TIME, np.where(np.isfinite(time), LATE, CUT_OFF))
        status = np.where(counted, status, self.status_dry)
        gone = status == CUT_OFF
        fresh = gone & np.isnan(self.first)
        self.reason[fresh] = "no_station_open" if none_open else np.where(shut[fresh], "on_a_closed_road", "no_route")
        self.first[fresh] = begin
        self.last[gone] = end
        self.cut[gone] += end - begin
        self.late[gone | (status == LATE)] += end - begin
        changed = np.flatnonzero(status != self.now)
        if len(changed):
            self.events.append(Events(number, changed, self.now[changed], status[changed]))
        self.times.append((begin, time, int((gone & (self.now != CUT_OFF)).sum()), int(gone.sum())))
        self.now, self.status = status, np.maximum(self.status, status)
        self.worst = np.maximum(self.worst, time)
