"""What became of every vehicle of a dynamic run: why those who did not arrive did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CAUSES", "STRANDED", "causes_of"]

CAUSES = (
    "arrived", "still travelling", "origin closed", "no route", "behind a closed link", "waiting at the origin for space", "not departed",
    "sent in circles",
)  # fmt: skip
"""What became of a vehicle: arrived; on its way; its first link is closed; nothing that is open leads to its destination; it stands on or
behind a link that is closed to whoever is first, or carries nothing; the road it would set out on is full; it departs after the end; it
passed more links than anybody needs."""
STRANDED = ("origin closed", "no route", "behind a closed link", "sent in circles")
"""Causes that time alone does not heal."""


def causes_of(kernels: Any, roads: Any, vary: Any, trips: Any, state: Any) -> NDArray[np.int8]:
    """Return the cause of each vehicle, a row of `CAUSES`, in the order of the departures."""
    row = {name: k for k, name in enumerate(CAUSES)}
    taken = {kernels.ARRIVED: "arrived", kernels.NO_ROUTE: "no route", kernels.ORIGIN_CLOSED: "origin closed",
             kernels.CIRCLES: "sent in circles"}  # fmt: skip
    cause = np.full(len(state.status), row["still travelling"], np.int8)
    for status, name in taken.items():
        cause[state.status == status] = row[name]
    links = len(roads.length)
    place = np.full(len(state.status), -1, np.int32)
    kernels.places(roads, state, place)
    shut, blocked = _blocked(vary, trips, state, links, kernels, roads)
    there = place >= 0
    queued = there & (place >= links)
    cause[(state.status == kernels.WAITING) & ~there] = row["not departed"]
    cause[there & ~queued & blocked[place]] = row["behind a closed link"]
    cause[queued] = np.where(shut[place[queued]], row["origin closed"], row["waiting at the origin for space"])
    return cause


def _blocked(vary: Any, trips: Any, state: Any, links: int, kernels: Any, roads: Any) -> tuple[Any, Any]:
    """Return which links and queues at origins have a head that is shut out or cannot leave, and which wait for such a one, (2 links,)."""
    shut = np.zeros(2 * links, bool)
    kernels.shut_out(roads, vary, trips, state, shut)
    blocked, after = shut.copy(), np.where(state.waits_for >= 0, state.waits_for, np.arange(2 * links))
    for _ in range(int(np.ceil(np.log2(2 * links + 1))) + 1):  # whoever is blocked blocks those that wait for it, and so on
        blocked |= blocked[after]
        after = after[after]
    return shut, blocked
