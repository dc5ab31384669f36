"""Runs a scenario: the base city, its changes, then every simulator and check that the file names, each into its own folder."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cim import plugins
from cim.errors import CimError, InputError, ObjectNotFoundError, UsageError, faults_in
from cim.progress import track
from cim.results import Fields, Looking, Needing, Preparing, Resuming, Using, Verdicts, city_fingerprint
from cim.results.runs import export_result, save_run
from cim.scenario import Change, Scenario, members, read_scenario
from cim.sim.times import has_zone, instant

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cim.model import City

    Job = tuple[str, str, BaseModel]

__all__ = ["added_issues", "check_scenario", "run"]

CHECKPOINTS = "checkpoints"
"""Folder of a run in which each simulator that can go on has a folder of its own."""


def run(scenario: Scenario | str | Path, out: str | Path, *, city: City | None = None) -> list[Verdicts | Fields]:
    """Run a scenario and return its results, in the order of the file: simulators first, then checks.

    A section may read the results of earlier ones (`Needing`, `Using`). Everything that can be checked is checked before the first one
    computes (`Preparing`). A run that was stopped goes on from where it was when it is called again with the same folder, where a
    simulator can do so and its section asks for it (`Resuming`).

    Parameters
    ----------
    scenario
        A scenario, or the path of its file.
    out
        Folder to write to: one folder per result with what `save_result` writes and the outputs the scenario asks for, and
        ``run.json`` once everything is done; its ``issues`` are what the changes had to assume.
    city
        Base city to use in place of the one the scenario names.

    Raises
    ------
    FormatError
        If the scenario file is wrong.
    UsageError
        If a change or a parameter makes no sense for this city (every fault in one message), or the scenario is an ensemble: it has axes
        or options.
    """
    plan = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
    if plan.axes or plan.options:
        what = f"axes ({', '.join(plan.axes)})" if plan.axes else f"options ({', '.join(plan.options)})"
        msg = f"the scenario {plan.name!r} has {what}: it is an ensemble; run it with cim.sim.ensemble.run"
        raise UsageError(msg)
    base = _open(plan.city) if city is None else city
    option = plan.change.apply(base)
    jobs = _jobs(plan)
    ready, faults = _prepared(jobs, option, Path(out) / CHECKPOINTS)
    _refuse(plan.name, [*_need_faults(jobs, plan.sections), *faults])
    results: dict[str, Verdicts | Fields] = {}
    for group, name, values in track(jobs, label=plan.name or "run", unit="results"):
        plugin = plugins.load(group, name)
        read = {**_needs(plugin), **_uses(plugin)}
        given = {argument: results[section] for argument, section in read.items() if section in results}
        start = ready.pop(name, None)
        results[name] = plugin.run(option, **given, **values.model_dump()) if start is None else start(**given)
    facts = {
        "scenario": plan.name,
        "scenario_sha256": plan.sha256,
        "base": city_fingerprint(base),
        "city": city_fingerprint(option),
        "issues": added_issues(base, option),
        "start": _stated_start(plan, option),
        "seed": plan.seed,
        "member": plan.member,
        "settings": dict(plan.settings),
        **plan.change.to_dict(),
    }
    target = save_run(results, out, facts)
    for name, result in results.items():
        for kind in plan.outputs:
            export_result(result, option, kind, target / name)
    _drop_checkpoints(jobs, target / CHECKPOINTS)
    return list(results.values())


def _stated_start(plan: Scenario, city: City) -> str | None:
    """Return the first start that a section states, in the zone it is stated in, else that of the city: people read instants there."""
    stated = {name: values.get("start") for name, values in plan.sections.items() if isinstance(values, Mapping)}
    starts = [start for name, own in stated.items() if (start := plan.settings.get(f"{name}.start", own)) is not None]
    if not starts:
        return None
    if has_zone(starts[0]):
        return datetime.fromisoformat(str(starts[0])).isoformat()
    return instant(starts[0], city.time_zone).astimezone(ZoneInfo(city.time_zone)).isoformat()


def _jobs(plan: Scenario) -> list[Job]:
    """Return group, name and parameters of everything a scenario runs, in its order."""
    jobs = [("cim.simulators", name, values) for name, values in plan.simulations.items()]
    return [*jobs, *(("cim.checks", name, values) for name, values in plan.checks.items())]


def _needs(plugin: Any) -> Mapping[str, str]:
    return plugin.needs if isinstance(plugin, Needing) else {}


def _uses(plugin: Any) -> Mapping[str, str]:
    return plugin.uses if isinstance(plugin, Using) else {}


def _need_faults(jobs: list[Job], stated: Collection[str]) -> list[str]:
    """Return which sections read a result that is not there when they run; `stated` are the sections of the file, faulty ones, too."""
    faults = []
    names = [name for _, name, _ in jobs]
    values = {name: own for _, name, own in jobs}
    for at, (group, name, _) in enumerate(jobs):
        for section in _needs(plugins.load(group, name)).values():
            if section not in names and section in stated:
                continue  # its own faults are told
            if section not in names:
                faults.append(f"[{name}] needs the result of [{section}], which the scenario does not have; add that section before it")
            elif names.index(section) >= at:
                faults.append(f"[{name}] needs the result of [{section}], which comes later; put [{section}] before it")
        plugin = plugins.load(group, name)
        if isinstance(plugin, Looking):
            faults += [f"[{name}] {said}" for said in plugin.beside(values[name], {one: values[one] for one in names if one != name})]
        late = [section for section in _uses(plugins.load(group, name)).values() if section in names and names.index(section) >= at]
        faults += [f"[{name}] reads the result of [{section}], which comes later; put [{section}] before it" for section in late]
    return faults


def _prepared(jobs: list[Job], city: City, folder: Path) -> tuple[dict[str, Callable[..., Fields]], list[str]]:
    """Return what runs each section that can be prepared, and every fault of those that cannot."""
    ready: dict[str, Callable[..., Fields]] = {}
    faults: list[str] = []
    for group, name, values in jobs:
        plugin = plugins.load(group, name)
        if isinstance(plugin, Preparing):
            keeps = {"checkpoint": folder / name} if isinstance(plugin, Resuming) and plugin.resumes else {}
            try:
                ready[name] = plugin.prepare(city, **values.model_dump(), **keeps)
            except CimError as error:
                faults += _listed(name, error)
    return ready, faults


def _listed(name: str, error: CimError) -> list[str]:
    """Return the faults of a message, one by one; each says which section it is of."""
    return [f"{name}: {one}" for one in faults_in(error)]


def _refuse(name: str, faults: list[str]) -> None:
    if faults:
        listed = "\n  ".join(faults)
        msg = f"{name or 'the scenario'} has {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  {listed}"
        raise UsageError(msg)


def _drop_checkpoints(jobs: list[Job], folder: Path) -> None:
    """Remove the states of a run that has ended, but those that were asked for."""
    for _, name, values in jobs:
        if not getattr(values, "keep_checkpoints", False):
            shutil.rmtree(folder / name, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def added_issues(base: City, option: City) -> list[dict[str, Any]]:
    """Return the issues that a changed city has beyond those of its base: code, severity, object (id), record and message."""
    names = ["code", "severity", "record", "message"]
    table = option.tables["issues"]
    if table is base.tables["issues"]:
        return []
    known = Counter(tuple(row.values()) for row in base.tables["issues"].select(names).to_pylist())
    found = []
    for row in table.select([*names, "object"]).to_pylist():
        key = row.pop("object")
        said = tuple(row.values())
        known[said] -= 1
        if known[said] < 0:
            found.append({**row, "object": None if key is None else str(option.ids([key])[0])})
    return found


def check_scenario(scenario: Scenario, city: City) -> list[str]:
    """Return what is wrong with a scenario for its city, one sentence each.

    Changes that cannot be made, checks without plots, sections whose parameters or files do not fit the city, sections that read a result
    which no earlier one makes. Sections are tried on the city as the changes of the file leave it, without its options.

    A step that cannot be made is left out, and the next one is tried, so that all faults are found at once. Each option is tried on the
    city as the changes of the file leave it.
    """
    faults, city = _change_faults(scenario.change, city, "change")
    for name, change in scenario.options.items():
        own = Change(change.name, change.steps[len(scenario.change) :])
        faults += _change_faults(own, city, f"option {name!r} change")[0]
    faults += _member_faults(scenario)
    for name, values in scenario.checks.items():
        faults += [f"checks.{name}: {fault}" for fault in _plot_faults(values, city)]
    jobs = _jobs(scenario)
    return [*faults, *_need_faults(jobs, scenario.sections), *_prepared(jobs, city, Path())[1]]


def _change_faults(change: Change, city: City, where: str) -> tuple[list[str], City]:
    """Return what is wrong with the steps of a change, and the city after those that can be made."""
    faults = []
    for number, step in enumerate(change.steps):
        try:
            city = Change(change.name, (step,)).apply(city)
        except (InputError, ObjectNotFoundError, UsageError) as error:
            faults.append(f"{where}[{number}] {step.do}: {error}")
    return faults, city


def _member_faults(scenario: Scenario) -> list[str]:
    """Return what makes no sense together though each value alone does."""
    try:
        members(scenario)
    except UsageError as error:
        return [f"axes: {error}"]
    return []


def _plot_faults(values: BaseModel, city: City) -> list[str]:
    """Return why a check finds no plots; nothing for one that needs none."""
    if not {"plots", "grid"} <= set(type(values).model_fields):
        return []
    plots, grid = getattr(values, "plots", None), getattr(values, "grid", None)
    if grid is not None or plots == "city":
        return []
    if plots is None:
        held = city.types().get("LandUse", 0)
        return (
            [] if held else ['a planning check needs plots, and the city holds no LandUse 用地; give plots = (ids or "city") or grid = (m)']
        )
    return [f"plots: {fault}" for fault in _unknown(city, [plots] if isinstance(plots, str) else plots)]


def _unknown(city: City, ids: list[str]) -> list[str]:
    """Return one sentence per id that the city does not hold."""
    faults = []
    for one in ids:
        try:
            city.key_of([one])
        except ObjectNotFoundError as error:
            faults.append(str(error))
    return faults


def _open(path: Path) -> City:
    from cim.storage import open as open_city

    return open_city(path)
