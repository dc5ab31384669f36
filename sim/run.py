"""Runs a scenario: the base city, its changes, then every simulator and check that the file names, each into its own folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cim import plugins
from cim.progress import track
from cim.results import Fields, Verdicts, city_fingerprint
from cim.results.runs import export_result, save_run
from cim.scenario import Scenario, read_scenario

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["run"]


def run(scenario: Scenario | str | Path, out: str | Path, *, city: City | None = None) -> list[Verdicts | Fields]:
    """Run a scenario and return its results, in the order of the file: simulators first, then checks.

    Parameters
    ----------
    scenario
        A scenario, or the path of its file.
    out
        Folder to write to: one folder per result with what `save_result` writes and the outputs the scenario asks for, and
        ``run.json`` once everything is done.
    city
        Base city to use in place of the one the scenario names.

    Raises
    ------
    FormatError
        If the scenario file is wrong.
    UsageError
        If a change or a parameter makes no sense for this city.
    """
    plan = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
    base = _open(plan.city) if city is None else city
    option = plan.change.apply(base)
    jobs = [("cim.simulators", name, values) for name, values in plan.simulations.items()]
    jobs += [("cim.checks", name, values) for name, values in plan.checks.items()]
    results: dict[str, Verdicts | Fields] = {}
    for group, name, values in track(jobs, label=plan.name or "run", unit="results"):
        results[name] = plugins.load(group, name).run(option, **values.model_dump())
    facts = {
        "scenario": plan.name,
        "scenario_sha256": plan.sha256,
        "base": city_fingerprint(base),
        "city": city_fingerprint(option),
        **plan.change.to_dict(),
    }
    target = save_run(results, out, facts)
    for name, result in results.items():
        for kind in plan.outputs:
            export_result(result, option, kind, target / name)
    return list(results.values())


def _open(path: Path) -> City:
    from cim.storage import open as open_city

    return open_city(path)
