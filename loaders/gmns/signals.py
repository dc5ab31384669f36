"""Signals of a GMNS folder: greens of turns from timing plans, phases and their movements, where they are simple enough to be sure.

Phases stand in rings and barriers: those of a ring follow each other by position, all rings pass a barrier together. Only a plan that is
the one of its controller, of fixed times that fill its cycle, becomes greens; the others are counted, their turns know no signal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from cim.errors import CorruptFileError
from cim.loaders.gmns.tables import TextTable, read_table, shown
from cim.loaders.gmns.turns import LinkRows, Movements, movements_of, read_own
from cim.model.road_network import SIGNALS, YIELDS

if TYPE_CHECKING:
    from cim.loaders.limits import Limits
    from cim.model.road_network import RoadNetwork

__all__ = ["read_signals", "read_yields"]

_OWN_SIGNALS, _OWN_YIELDS = "cim_signal.csv", "cim_yield.csv"
_NAMES = ("signal_timing_plan", "signal_timing_phase", "signal_phase_mvmt")
_FITS = 0.5  # s between the cycle and the phases that fill it: the format counts in whole seconds


class _Phase(NamedTuple):
    number: str
    green: float
    clearance: float
    longest: float
    ring: str
    barrier: float
    position: float


def read_signals(
    folder: Path, network: RoadNetwork, rows: LinkRows, encoding: str | None, limits: Limits, notes: list[str]
) -> pa.Table:  # fmt: skip
    """Return the greens of turns; the exact ones of ``cim_signal.csv`` where that stands there."""
    if (folder / _OWN_SIGNALS).is_file():
        return read_own(read_table(folder / _OWN_SIGNALS, limits=limits), network, SIGNALS)
    paths = [folder / f"{name}.csv" for name in _NAMES]
    there = [path.is_file() for path in paths]
    if not any(there):
        return SIGNALS.empty_table()
    if not all(there) or not (folder / "movement.csv").is_file():
        lacking = [path.name for path, here in zip(paths, there, strict=True) if not here] or ["movement.csv"]
        notes.append(f"signals are not read: {', '.join(lacking)} is not there")
        return SIGNALS.empty_table()
    plans, phases, served = (read_table(path, encoding=encoding, limits=limits) for path in paths)
    greens = _greens(plans, phases, _offsets(folder, limits), notes)
    table = read_table(folder / "movement.csv", encoding=encoding, limits=limits)
    return _by_turn(served, movements_of(table, network, rows), greens, notes)


def _greens(
    plans: TextTable, phases: TextTable, offsets: dict[str, float], notes: list[str]
) -> dict[tuple[str, str], tuple[float, float, float]]:  # fmt: skip
    """Return cycle, begin and end of the green of each phase, by controller and number."""
    plans.need("timing_plan_id", "controller_id")
    names, cycles = plans.ids("timing_plan_id"), plans.numbers("cycle_length", 0.0)
    of_controller: dict[str, list[int]] = defaultdict(list)
    for row, controller in enumerate(plans.ids("controller_id")):
        of_controller[controller].append(row)
    by_plan, used = _phases(phases), Counter(names)  # some files use the same plan id for several controllers: whose phases are they?
    found, skipped, unset = {}, [], 0
    for controller, own in of_controller.items():
        times = _fixed(by_plan.get(names[own[0]], []), float(cycles[own[0]])) if len(own) == 1 == used[names[own[0]]] else None
        if times is None:
            skipped.append(controller)
            continue
        unset += controller not in offsets
        cycle, begins = times
        for phase, begin in begins:
            start = (begin + offsets.get(controller, 0.0)) % cycle
            found[controller, phase.number] = (cycle, start, start + phase.green)
    if skipped:
        why = "several plans, times that change, or that do not fill their cycle"
        notes.append(f"{len(skipped)} signals are not read ({shown(skipped)}): {why}")
    if unset:
        notes.append(f"{unset} signals state no offset: their cycle begins at midnight")
    return found


def _phases(table: TextTable) -> dict[str, list[_Phase]]:
    table.need("timing_plan_id", "signal_phase_num", "min_green", "ring", "barrier", "position")
    numbers = [table.numbers(name, 0.0).tolist() for name in ("min_green", "clearance", "max_green", "barrier", "position")]
    found: dict[str, list[_Phase]] = defaultdict(list)
    for plan, number, ring, green, clearance, longest, barrier, position in zip(
        table.ids("timing_plan_id"), table.ids("signal_phase_num"), table.ids("ring"), *numbers, strict=True
    ):
        if green > 0:
            found[plan].append(_Phase(number, green, np.nan_to_num(clearance), longest, ring, barrier, position))
    return found


def _fixed(phases: list[_Phase], cycle: float) -> tuple[float, list[tuple[_Phase, float]]] | None:
    """Return the cycle [s] and when each phase begins in it, None where that is not sure."""
    if not phases or any(one.longest > one.green or not np.isfinite(one.barrier + one.position) for one in phases):
        return None
    begins, start = [], 0.0
    for barrier in sorted({one.barrier for one in phases}):
        ends = [start]
        for ring in {one.ring for one in phases if one.barrier == barrier}:
            at = start
            for one in sorted((one for one in phases if (one.barrier, one.ring) == (barrier, ring)), key=lambda one: one.position):
                begins.append((one, at))
                at += one.green + one.clearance
            ends.append(at)
        start = max(ends)
    stated = cycle if cycle > 0 else start
    return (stated, begins) if abs(stated - start) <= _FITS else None


def _offsets(folder: Path, limits: Limits) -> dict[str, float]:
    """Return the offset of each controller that states one [s]."""
    path = folder / "signal_coordination.csv"
    if not path.is_file():
        return {}
    table = read_table(path, limits=limits)
    table.need("controller_id")
    pairs = zip(table.ids("controller_id"), table.numbers("offset").tolist(), strict=True)
    return {name: offset for name, offset in pairs if np.isfinite(offset)}


def _by_turn(served: TextTable, moves: Movements, greens: dict[tuple[str, str], tuple[float, float, float]], notes: list[str]) -> pa.Table:
    served.need("controller_id", "signal_phase_num", "mvmt_id")
    row_of = {name: row for row, name in enumerate(moves.ids)}
    found, lost, permitted = set(), set(), 0
    kinds = served.text("protection")
    for controller, number, name, kind in zip(
        served.ids("controller_id"), served.ids("signal_phase_num"), served.text("mvmt_id"), kinds, strict=True
    ):
        if name is None:
            continue  # a crossing of people on foot
        if name not in row_of:
            lost.add(name)
            continue
        row, green = row_of[name], greens.get((controller, number))
        if green is not None and moves.begin[row] >= 0 and moves.end[row] >= 0:
            permitted += (kind or "").lower() == "permitted"
            found.add((int(moves.begin[row]), int(moves.end[row]), *green))
    if lost:
        raise CorruptFileError(served.path, f"names {len(lost)} movements that are not there ({shown(sorted(lost))})", "add them")
    if permitted:
        notes.append(f"{permitted} turns are permitted in their phase: to whom they give way the format does not say")
    rows = [dict(zip(SIGNALS.names, one, strict=True)) for one in sorted(found)]
    return pa.Table.from_pylist(rows, schema=SIGNALS)


def read_yields(folder: Path, network: RoadNetwork, encoding: str | None, limits: Limits) -> pa.Table:
    """Return the turns that give way, of ``cim_yield.csv``: GMNS has no place for them."""
    path = folder / _OWN_YIELDS
    return read_own(read_table(path, encoding=encoding, limits=limits), network, YIELDS) if path.is_file() else YIELDS.empty_table()
