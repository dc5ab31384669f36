"""Greens of turns as signal programs of SUMO: phases in which every connection of a junction has one letter."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from cim.loaders.sumo.edges import Edges
    from cim.model.road_network import RoadNetwork

__all__ = ["YELLOW", "Junction", "Link", "Plan", "cycles_of", "plan_of"]

YELLOW = 3.0
"""Yellow after each green [s], where red follows: 3 s at 50 km/h (RiLSA 2015, 2.5). It is no part of a green of the network."""
_LONGEST = 7200.0
"""Signals of one junction with several cycles repeat together after their least common multiple, if that is no longer than this [s]."""

Greens = dict[tuple[int, int], list[tuple[float, float, float]]]


class Link(NamedTuple):
    """A connection under a signal as netconvert built it."""

    source: str
    from_lane: int
    target: str
    to_lane: int
    place: int
    """In the states of the program."""


@dataclass(frozen=True)
class Junction:
    """A junction with a signal as netconvert built it."""

    links: tuple[Link, ...]
    response: dict[int, str]
    """By place: to which others a connection gives way, the last bit is place 0."""


@dataclass(frozen=True)
class Plan:
    """A program: durations [s] and states."""

    offset: float
    phases: tuple[tuple[float, str], ...]


def cycles_of(network: RoadNetwork, edges: Edges) -> tuple[dict[int, tuple[float, Greens]], list[str]]:
    """Return, by the node of a signal, its cycle and the greens of turns from a link into an edge: cycle, begin and end [s]."""
    greens: dict[int, Greens] = defaultdict(lambda: defaultdict(list))
    table, head = network.signals, network.column("to_node")
    names = ("from_link", "to_link", "cycle", "green_from", "green_until")
    for one, other, *times in zip(*(table[name].to_pylist() for name in names), strict=True):
        mine = greens[int(head[one])][one, int(edges.of_link[other])]
        if tuple(times) not in mine:
            mine.append((times[0], times[1], times[2]))
    made: dict[int, tuple[float, Greens]] = {}
    dropped = 0
    for node, turns in greens.items():
        found = Counter(cycle for some in turns.values() for cycle, _, _ in some)
        together = _together(list(found))
        if together is None:
            together = found.most_common(1)[0][0]
            dropped += sum(many for cycle, many in found.items() if cycle != together)
            turns = {key: [one for one in some if one[0] == together] for key, some in turns.items()}  # noqa: PLW2901  # the rest is counted
        made[node] = together, {key: some for key, some in turns.items() if some}
    notes = [f"{dropped} greens have another cycle than the rest of their junction; their turns know no signal"] if dropped else []
    return made, notes


def _together(cycles: list[float]) -> float | None:
    """Return the least common multiple of cycles in milliseconds [s], None where it is too long."""
    whole = [round(Fraction(one) * 1000) for one in cycles]
    found = lcm(*whole) / 1000.0
    return found if found <= _LONGEST or len(set(whole)) == 1 else None


def plan_of(junction: Junction, cycle: float, greens: Greens, link_at: dict[tuple[str, int], int], edge_at: dict[str, int], *,
            clock: float) -> tuple[Plan, int]:  # fmt: skip
    """Return the program of a junction, and how many of its connections know no signal: they are always green.

    Parameters
    ----------
    cycle, greens
        As `cycles_of` returns them.
    link_at, edge_at
        Link by edge and lane, and edge by name.
    clock
        Second of the day at which SUMO's time is 0.

    Notes
    -----
    A connection is green with priority (``G``) in a phase unless it gives way to one that is green or yellow as well (``g``).
    """
    size = max(link.place for link in junction.links) + 1
    lit: dict[int, list[tuple[float, float]]] = {}
    free = 0
    for link in junction.links:
        some = greens.get((link_at.get((link.source, link.from_lane), -1), edge_at.get(link.target, -1)))
        free += some is None
        lit[link.place] = _spread(some, cycle) if some is not None else [(0.0, cycle)]
    ends = [until for some in lit.values() for _, until in some]
    times = [*(begin for some in lit.values() for begin, _ in some), *ends, *(end + YELLOW for end in ends), 0.0]
    stops = np.unique(np.round(np.mod(np.array(times), cycle), 3))
    stops = np.append(stops[stops < cycle - 5e-4], cycle)
    phases: list[tuple[float, str]] = []
    for begin, until in zip(stops[:-1].tolist(), stops[1:].tolist(), strict=True):
        state = _state(junction, lit, size, 0.5 * (begin + until), cycle)
        if phases and phases[-1][1] == state:
            phases[-1] = (phases[-1][0] + until - begin, state)
        else:
            phases.append((until - begin, state))
    return Plan(float(-clock % cycle), tuple(phases)), free


def _spread(greens: list[tuple[float, float, float]], cycle: float) -> list[tuple[float, float]]:
    """Return greens within the common cycle, which may be several of their own; an end may lie beyond it."""
    return [(begin + k * own, until + k * own) for own, begin, until in greens for k in range(max(round(cycle / own), 1))]


def _state(junction: Junction, lit: dict[int, list[tuple[float, float]]], size: int, at: float, cycle: float) -> str:
    letters = ["r"] * size
    for place, greens in lit.items():
        if any((at - begin) % cycle < until - begin for begin, until in greens):
            letters[place] = "G"
        elif any((at - until) % cycle < YELLOW for _, until in greens):
            letters[place] = "y"
    bright = [k for k, letter in enumerate(letters) if letter in "Gy"]
    for place in [k for k in bright if letters[k] == "G"]:
        bits = junction.response.get(place, "")[::-1]
        if any(other < len(bits) and bits[other] == "1" for other in bright):
            letters[place] = "g"
    return "".join(letters)
