"""Signal programs of SUMO as greens of turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from cim.errors import CorruptFileError
from cim.loaders.sumo.stream import Element, number, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Program", "greens", "program_of"]

_GREEN = frozenset("GgOo")
"""States in which a turn may be made: green with and without priority, signal off."""
_STATES = frozenset("rRyYgGuUsSoO")


@dataclass(frozen=True)
class Program:
    """Phases of one signal."""

    kind: str
    offset: float
    phases: tuple[tuple[float, str], ...]
    """Duration [s] and state of each connection."""

    @property
    def cycle(self) -> float:
        """Sum of the durations [s]."""
        return sum(duration for duration, _ in self.phases)


def program_of(element: Element, path: Path) -> Program:
    """Return the program of a ``tlLogic``.

    Raises
    ------
    CorruptFileError
        If it has no phases, a duration is not above 0, or a state is not known.
    """
    phases = []
    for one in element:
        if etree.QName(one).localname != "phase":
            continue
        duration, state = number(one, "duration", path), text_of(one, "state", path)
        if not duration > 0 or not set(state) <= _STATES:
            reason = f"has a phase of {duration:g} s with the state {state[:40]!r} in the signal {element.get('id')!r}"
            raise CorruptFileError(path, reason, "durations are above 0 and states made of GgyruosO")
        phases.append((duration, state))
    if not phases:
        raise CorruptFileError(path, f"has the signal {element.get('id')!r} without phases", "write it again")
    return Program(element.get("type", "static"), number(element, "offset", path, 0.0), tuple(phases))


def greens(
    turns: Sequence[tuple[int, int, str, int]], programs: dict[str, Program]
) -> tuple[list[tuple[int, int, float, float, float]], list[str]]:
    """Return the greens of turns, and what is to be told.

    Parameters
    ----------
    turns
        Rows of the two links, id of the signal ("" for none) and place of the turn in its states.

    Returns
    -------
    rows
        Rows of the two links, cycle, begin and end of a green [s].
    notes
        What was taken in another way than SUMO does.
    """
    rows, absent, never = [], 0, 0
    for source, target, signal, place in turns:
        program = programs.get(signal)
        if not signal:
            continue
        if program is None or place >= len(program.phases[0][1]) or place < 0:
            absent += 1
            continue
        mine = _of(program, place)
        never += not mine
        rows += [(source, target, program.cycle, begin, until) for begin, until in mine]
    acting = sum(one.kind != "static" for one in programs.values())
    notes = []
    if absent:
        notes.append(f"{absent} turns name a signal that has no state for them; they know no signal")
    if never:
        notes.append(f"{never} turns are never green; they know no signal")
    if acting:
        notes.append(f"{acting} signals that act on traffic run by the durations of their program")
    return rows, notes


def _of(program: Program, place: int) -> list[tuple[float, float]]:
    """Return begins and ends of the greens of one turn after a multiple of the cycle, `offset` after which the program begins."""
    found: list[tuple[float, float]] = []
    cycle, at = program.cycle, 0.0
    for duration, state in program.phases:
        if place < len(state) and state[place] in _GREEN:
            if found and found[-1][1] == at:
                found[-1] = (found[-1][0], at + duration)
            else:
                found.append((at, at + duration))
        at += duration
    if len(found) == 1 and found[0][1] - found[0][0] >= cycle:
        return [(0.0, cycle)]
    return [((begin + program.offset) % cycle, (begin + program.offset) % cycle + until - begin) for begin, until in found]
