"""What became of every vehicle of a dynamic run: why those who did not arrive did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["CAUSES", "STRANDED", "causes_of"]

CAUSES = (
    "arrived", "still travelling", "origin closed", "no route", "behind a closed link", "waiting at the origin for space", "not departed",
    "sent in circles", "in a ring of full roads",
)  # fmt: skip
"""What became of a vehicle: arrived; on its way; its first link is closed; nothing that is open leads to its destination; it stands on or
behind a link that is closed to whoever is first, or carries nothing; the road it would set out on is full; it departs after the end; it
passed more links than anybody needs; it stands on or behind links that are full and wait for each other, all round."""
STRANDED = ("origin closed", "no route", "behind a closed link", "sent in circles", "in a ring of full roads")
"""Causes that time alone does not heal: as it is at the end for those at their origin; who has no route under way is taken off."""


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
    shut, full = np.zeros(2 * links, bool), np.zeros(2 * links, bool)
    kernels.held_up(roads, vary, trips, state, shut, full)
    blocked, locked = _spread(shut, full, state.waits_for)
    there = place >= 0
    queued = there & (place >= links)
    cause[(state.status == kernels.WAITING) & ~there] = row["not departed"]
    cause[there & ~queued & locked[place]] = row["in a ring of full roads"]
    cause[there & ~queued & blocked[place]] = row["behind a closed link"]
    cause[queued] = np.where(shut[place[queued]], row["origin closed"], row["waiting at the origin for space"])
    return cause


def _spread(shut: Flags, full: Flags, waits_for: NDArray[np.int64]) -> tuple[Flags, Flags]:
    """Return what is shut out or waits, link by link, for what is; and what waits in a ring of full links, or for one."""
    here = np.arange(len(shut))
    waiting = waits_for >= 0
    blocked, after = shut.copy(), np.where(waiting, waits_for, here)
    stuck = np.where(waiting & full, waits_for, here)  # who waits for a link that only its own head can free
    ring = stuck.copy()
    for _ in range(int(np.ceil(np.log2(len(shut) + 1))) + 1):  # whoever is blocked blocks those that wait for it, and so on
        blocked |= blocked[after]
        after, ring = after[after], ring[ring]
    return blocked, stuck[ring] != ring
