"""What all members say together, as one result: tables by object id, fields by cell, the members, expected annual values."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.progress import track
from cim.results import Fields, RunRecord, Stopwatch
from cim.results.columns import column
from cim.sim.ensemble.annual import COLUMNS, annual_table, storm_groups
from cim.sim.ensemble.cells import cell_statistics
from cim.sim.ensemble.plan import Member, Plan
from cim.sim.ensemble.reading import Described, Rows, describe, read_rows
from cim.sim.ensemble.statistics import Group, Limits, table_statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VERSION", "check_limits", "summarise"]

VERSION = "1"


def check_limits(thresholds: Sequence[float], quantiles: Sequence[float]) -> Limits:
    """Return what is asked of the members.

    Raises
    ------
    UsageError
        If a threshold is not above 0, or a quantile not a share.
    """
    depths, shares = sorted({float(one) for one in thresholds}), sorted({float(one) for one in quantiles})
    faults = [f"threshold {one!r}: expected a depth above 0 [m]" for one in depths if not (math.isfinite(one) and one > 0)]
    faults += [f"quantile {one!r}: expected a share from 0 to 1" for one in shares if not 0 <= one <= 1]
    if faults:
        msg = f"ensemble: {'; '.join(faults)}"
        raise UsageError(msg)
    return Limits(tuple(depths), tuple(shares))


@dataclass(frozen=True)
class _Done:
    """The members that are done, in the order of the plan."""

    plan: Plan
    members: tuple[Member, ...]
    results: dict[str, list[Described | None]]
    """By result, one per member."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights of those that are done; together 1, unless none of them has any."""
        found = np.array([one.weight for one in self.members], float)
        return found / math.fsum(found.tolist()) if found.any() else found

    def group(self, rows: Sequence[int]) -> Group:
        """Return some of the members with what each is compared with."""
        place = {one.name: number for number, one in enumerate(self.members)}
        partners = [self.plan.partner(self.members[one]) for one in rows]
        return Group(
            tuple(rows),
            self.weights[list(rows)],
            tuple(-1 if one is None else place.get(one.name, -1) for one in partners),
            self.seeds(),
        )

    def seeds(self) -> tuple[tuple[int, ...], ...]:
        """Return the members that differ in nothing but the seed, and have the option of the base."""
        option = self.plan.base.scenario.settings.get("change")
        same: dict[str, list[int]] = defaultdict(list)
        for one, member in enumerate(self.members):
            settings = dict(member.scenario.settings)
            if "seed" in settings and settings.get("change") == option:
                settings.pop("seed")
                same[json.dumps(settings, sort_keys=True, default=str)].append(one)
        return tuple(tuple(one) for one in same.values() if len(one) > 1)

    def options(self) -> dict[str, list[int]]:
        """Return the members of each option but that of the base."""
        found: dict[str, list[int]] = defaultdict(list)
        base = self.plan.base.scenario.settings.get("change")
        for number, one in enumerate(self.members):
            option = one.scenario.settings.get("change")
            if option != base:
                found[str(option)].append(number)
        return dict(found)


def summarise(plan: Plan, folder: Path, errors: Mapping[str, str], limits: Limits, inputs: Mapping[str, str]) -> Fields:
    """Return what the members that are done say together.

    Parameters
    ----------
    folder
        The folder that holds the members.
    errors
        Why a member is not done, by name.
    inputs
        Hashes for the run record.
    """
    watch = Stopwatch()
    done = _read(plan, folder, errors)
    tables, notes = _tables(done, limits)
    dataset, lost = cell_statistics(done.results, done.weights.tolist(), limits.thresholds)
    members = _member_table(plan, errors)
    parameters: dict[str, Any] = {
        "scenario": plan.scenario.name,
        "members": len(plan.members),
        "done": len(done.members),
        "base": plan.base.name,
        "axes": list(plan.axes),
        "thresholds": list(limits.thresholds),
        "quantiles": list(limits.quantiles),
    }
    seeds = [one.scenario.seed for one in plan.members if one.scenario.seed is not None]
    state = hashlib.sha256("".join(one.inputs for one in done.members).encode()).hexdigest()
    record = RunRecord(
        "ensemble", VERSION, {**inputs, "members": f"sha256:{state}"}, parameters, seed=min(seeds, default=None),
        assumptions=(*_assumptions(done, errors), *notes, *lost),
    )  # fmt: skip
    return Fields("ensemble", dataset, {**tables, "members": members}, watch.stop(record))


def _read(plan: Plan, folder: Path, errors: Mapping[str, str]) -> _Done:
    members = tuple(one for one in plan.members if one.name not in errors)
    names = list(dict.fromkeys(name for one in members for name in (*one.scenario.simulations, *one.scenario.checks)))
    results = {
        name: [
            describe(folder / one.folder / name) if name in {**one.scenario.simulations, **one.scenario.checks} else None for one in members
        ]
        for name in names
    }
    return _Done(plan, members, results)


def _tables(done: _Done, limits: Limits) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the statistics of every table with object ids, and what was left out."""
    made: dict[str, pa.Table] = {}
    notes: list[str] = []
    wanted = [
        (result, name) for result, members in done.results.items() for name in dict.fromkeys(
            name for one in members if one is not None for name in one.tables
        )
    ]  # fmt: skip
    for result, name in track(wanted, label="ensemble", unit="tables"):
        files = [None if one is None or name not in one.tables else one.folder / one.tables[name] for one in done.results[result]]
        rows = read_rows(files)
        title = result if name == "verdicts" else f"{result}_{name}"
        if rows is None:
            notes.append(f"{title}: no statistics, its rows have no object id, or several rows have the same")
            continue
        made[title] = table_statistics(rows, done.group(range(len(done.members))), limits)
        for option, members in done.options().items() if rows.count else ():
            made[f"{title} {option}"] = table_statistics(rows, done.group(members), limits)
        made |= _annual(done, rows, title)
    return made, notes


def _annual(done: _Done, rows: Rows, title: str) -> dict[str, pa.Table]:
    names = [name for name in COLUMNS if name in rows.schema.names]
    if not names:
        return {}
    groups = storm_groups([one.scenario.settings for one in done.members])
    return {f"{title} annual{f' {words}' if words else ''}": annual_table(rows, storms, names) for words, storms in groups.items()}


def _member_table(plan: Plan, errors: Mapping[str, str]) -> pa.Table:
    """Return one row per member: its values on the axes, its weight, and whether it is done."""
    fields = [
        column("member", pa.string(), en="member", zh="成员"),
        column("status", pa.string(), en="status", zh="状态"),
        column("weight", pa.float64(), en="weight", zh="权重"),
        column("compared_with", pa.string(), en="compared with", zh="对比成员"),
        column("error", pa.string(), en="error", zh="错误"),
    ]
    partners = [plan.partner(one) for one in plan.members]
    arrays: list[Any] = [
        [one.name for one in plan.members],
        ["failed" if one.name in errors else "done" for one in plan.members],
        [one.weight for one in plan.members],
        [None if one is None else one.name for one in partners],
        [errors.get(one.name) for one in plan.members],
    ]
    for key in plan.axes:
        values = [one.scenario.settings[key] for one in plan.members]
        real = all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)
        fields.append(pa.field(key, pa.float64() if real else pa.string()))
        arrays.append(
            [float(one) for one in values]
            if real
            else [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False, default=str) for one in values]
        )
    columns = [pa.array(values, one.type) for values, one in zip(arrays, fields, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _assumptions(done: _Done, errors: Mapping[str, str]) -> list[str]:
    """Return what was taken for granted, and what is missing."""
    plan = done.plan
    equal = len({one.weight for one in plan.members}) == 1
    said = [
        f"probabilities are shares of the members by {'equal' if equal else 'the given'} weights: how often in them, not in a year",
        "a member that does not assess an object does not count in its probabilities",
    ]
    if errors:
        said.append(
            f"{len(errors)} of {len(plan.members)} members failed and do not count: {', '.join(list(errors)[:10])}"
            + ("" if len(errors) <= 10 else ", …")
        )
    if plan.base.name in errors:
        said.append(f"the base {plan.base.name} failed: nothing is compared with it")
    groups = done.seeds()
    seeds = max((len(one) for one in groups), default=0)
    said.append(
        f"noise of a difference: from {seeds} seeds of {len(groups)} case{'s' if len(groups) != 1 else ''} of the base"
        if seeds
        else "noise of a difference: not known, no axis varies the seed; runs without random numbers have none"
    )
    if storm_groups([one.scenario.settings for one in done.members]):
        said.append(
            "expected annual values: trapezoid over 1 / return period; storms more frequent than the first count nothing, what storms "
            "rarer than the last add at least stands apart"
        )
    return said
