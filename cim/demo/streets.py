"""The middle lines of the streets as a network: what a map draws, and where drains and lamps stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import UNDERPASS
from cim.demo.plan import AVENUES, CANAL, HEIGHT, STREETS, WIDTH, Street, river_axis, river_half_width, to_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["Way", "ways"]

_STEP = 20.0
"""Between points of a line [m], along the street."""
_TUNNEL = 40.0
"""Half the length of the covered part of the underpass [m]."""
_LANE_ASIDE = 17.0
"""Of the lanes of Canal Street, from the middle of the canal [m]."""


@dataclass(frozen=True)
class Way:
    """A stretch of road with one set of properties."""

    street: Street
    points: Reals
    """Shape (n, 2), local coordinates [m]."""
    shared: NDArray[np.bool_]
    """Shape (n,): whether the point is a crossing with other ways."""
    kind: str = ""
    """``bridge``, ``tunnel``, or nothing."""
    one_way: bool = False


def ways() -> list[Way]:
    """Return all roads; ways that meet share the point where they do."""
    return [*(_along(street) for street in STREETS), *(way for avenue in AVENUES for way in _inland(avenue))]


def _crossings() -> Reals:
    """Return where avenues cross: their `along`, the canal's with one lane on either side."""
    return np.array([at for one in AVENUES for at in ((one.at - _LANE_ASIDE, one.at + _LANE_ASIDE) if one is CANAL else (one.at,))])


def _along(street: Street) -> Way:
    """Return a street that follows the river."""
    lean = -float(to_place(0.0, street.at)[0])
    crossing = _crossings()
    if street.at == UNDERPASS[1]:
        crossing = crossing[crossing != UNDERPASS[0]]  # it runs over the underpass, without a way down
    u, shared = _stations(1.0 + lean, WIDTH - 1.0 + lean, crossing)
    return Way(street, to_place(u, street.at), shared)


def _inland(avenue: Street) -> Iterator[Way]:
    """Give the ways of an avenue, from the river inland."""
    rows = np.array([street.at for street in STREETS])
    if avenue is CANAL:
        for side, turn in ((-_LANE_ASIDE, -1), (_LANE_ASIDE, 1)):  # traffic keeps right: north on the east side
            d, shared = _stations(rows[0], HEIGHT - 160.0, rows)
            points = to_place(avenue.at + side, d)
            yield Way(avenue, points[::turn], shared[::turn], one_way=True)
        return
    if avenue.at == UNDERPASS[0]:
        middle = UNDERPASS[1]
        for low, high, kind in (
            (rows[0], middle - _TUNNEL, ""),
            (middle - _TUNNEL, middle + _TUNNEL, "tunnel"),
            (middle + _TUNNEL, 740.0, ""),
        ):
            d, shared = _stations(low, high, rows[rows != middle])
            shared[[0, -1]] = True
            yield Way(avenue, to_place(avenue.at, d), shared, kind)
        return
    if avenue.en == "Bridge Road":
        yield _bridge(avenue)
        rows = np.array([14.0, *rows])
    d, shared = _stations(rows[0], 740.0, rows)
    yield Way(avenue, to_place(avenue.at, d), shared)


def _bridge(avenue: Street) -> Way:
    """Return the way over the river."""
    start = to_place(avenue.at, 14.0)
    south = float(river_axis(start[0]) - river_half_width(start[0]) - 14.0)
    y = np.linspace(south, float(start[1]), 5)
    return Way(avenue, np.column_stack([np.full(5, start[0]), y]), np.array([False] * 4 + [True]), "bridge")


def _stations(start: float, end: float, crossing: Reals) -> tuple[Reals, NDArray[np.bool_]]:
    """Return places along a way, crossings among them, and which they are."""
    inside = crossing[(crossing >= start) & (crossing <= end)]
    plain = np.arange(start, end, _STEP)
    plain = plain[np.abs(plain[:, None] - inside).min(axis=1, initial=np.inf) > 0.3 * _STEP]
    every = np.concatenate(
        [plain, inside, [start] if not np.isin(start, inside) and start not in plain else [], [end] if end not in inside else []]
    )
    order = np.argsort(every, kind="stable")
    return every[order], np.isin(every[order], inside)
