"""An ensemble from its scenario to its result: what is done already is kept, what is missing is run, all of it is summed up."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cim.errors import FormatError, ObjectNotFoundError, RunError, UsageError
from cim.progress import track
from cim.results import Comparison, Fields, Verdicts, city_fingerprint, compare_runs, load_result, load_run, save_run
from cim.results.runs import export_result
from cim.scenario import Scenario, read_scenario
from cim.sim.ensemble.cluster import connected, on_dask
from cim.sim.ensemble.members import Outcome, Task, do_member, is_whole, stated_inputs, sweep
from cim.sim.ensemble.plan import Plan, make_plan
from cim.sim.ensemble.statistics import Limits
from cim.sim.ensemble.summary import check_limits, summarise

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["EnsembleResult", "load", "run"]

_FORMAT = 1
_BASE = "base-city.cim"


@dataclass(frozen=True)
class EnsembleResult:
    """An ensemble that has run."""

    folder: Path
    fields: Fields
    """What the members say together, named ``"ensemble"``: saved, exported and compared like any other result."""
    members: Mapping[str, Path]
    """Run folder by name, of the members that are done."""
    failed: Mapping[str, str]
    """Error by name, of those that are not."""
    base: str
    """Name of the base member."""
    ran: int = 0
    """Members that were run by this call; the others were there already."""
    partners: Mapping[str, str] = field(default_factory=dict)
    """What each member is compared with: the same storm and seed with the option of the base."""

    def member(self, name: str) -> dict[str, Verdicts | Fields]:
        """Return the results of one member.

        Raises
        ------
        ObjectNotFoundError
            If there is none of this name, or it failed.
        """
        return load_run(self._folder(name))

    def compare(self, name: str, base: str | None = None) -> dict[str, Comparison]:
        """Return what one member changes against another: against its partner when `base` is left out.

        Raises
        ------
        ObjectNotFoundError
            If there is none of this name, or it failed.
        """
        return compare_runs(self._folder(base or self.partners.get(name, self.base)), self._folder(name))

    def _folder(self, name: str) -> Path:
        if name in self.members:
            return self.members[name]
        reason = f"failed: {self.failed[name]}" if name in self.failed else f"is not here; there are {', '.join(list(self.members)[:10])}"
        msg = f"member {name!r} {reason}"
        raise ObjectNotFoundError(msg)

    def __repr__(self) -> str:
        """Return how many members are done."""
        lost = f", {len(self.failed)} failed ({', '.join(list(self.failed)[:3])}{', …' if len(self.failed) > 3 else ''})"
        return f"<EnsembleResult {len(self.members)} members done{lost if self.failed else ''}; base {self.base}; {self.folder}>"

    def _repr_html_(self) -> str:
        return f"<div><b>{repr(self)[1:-1]}</b>{self.fields._repr_html_()}</div>"


def run(  # noqa: PLR0913 - all that decides an ensemble, by name
    scenario: Scenario | str | Path, out: str | Path | None = None, *, cluster: Any = None, workers: int | None = None,
    threads: int | None = 1, city: City | None = None, base: str | None = None, weights: Mapping[str, float] | None = None,
    thresholds: Sequence[float] = (0.15, 0.3, 0.5), quantiles: Sequence[float] = (0.05, 0.5, 0.95), retries: int = 3,
    changed: Literal["rerun", "refuse"] = "rerun",
) -> EnsembleResult:  # fmt: skip
    """Run the members of a scenario that are not done yet, and return what all of them say together.

    Each member is a run folder of its own, put in place when it is whole. Stopped at any moment, also by kill -9, the same call goes on
    with what is missing. A member that fails is reported, the others complete.

    Parameters
    ----------
    scenario
        A scenario, or the path of its file; with ``[axes]``, or options (then all of them, and none).
    out
        Folder to write to; ``runs/NAME`` when left out.
    cluster
        None: one member after the other in this process. ``"local"``: Dask on this machine. Else the address of a Dask scheduler, or a
        `distributed.Client`; its workers need this toolkit and must see city and `out` under the same paths.
    workers
        Number of workers with ``cluster="local"``; as many as there are processors when left out.
    threads
        Threads of one member where the file states none; None leaves it to the simulator. Results do not depend on it.
    city
        Base city to use in place of the one the scenario names; for workers it is stored in `out`.
    base
        Name of the member that others are compared with; the first without an option when left out.
    weights
        Weight by name of the member; equal when left out.
    thresholds
        Depths whose probability of exceedance is told [m].
    quantiles
        Shares from 0 to 1.
    retries
        How often a member is tried again after its worker died, or for want of memory or disk.
    changed
        Whether members that are on disk with other inputs (another city, parameter or version) are run again, or refused.

    Returns
    -------
    EnsembleResult
        Its `fields` are in `out` too, with the outputs that the scenario asks for.

    Raises
    ------
    UsageError
        If the arguments make no sense, or `out` holds something else.
    RunError
        If every member failed.
    MissingExtraError
        If a cluster is asked for and distributed is not installed.
    StoreLockedError
        If another process runs this ensemble.
    """
    from cim.storage import open as open_city
    from cim.storage.lock import writing

    limits = check_limits(thresholds, quantiles)
    _check(retries, threads, workers, cluster)
    wanted = scenario if isinstance(scenario, Scenario) else read_scenario(scenario)
    given = open_city(wanted.city) if city is None else city
    fingerprint = city_fingerprint(given)
    plan = make_plan(wanted, fingerprint, base=base, weights=weights)
    target = (Path("runs") / wanted.name if out is None else Path(out)).resolve()
    _refuse_other(target)
    (target / "members").mkdir(parents=True, exist_ok=True)
    with writing(target):
        for folder in ("members", "failed"):
            sweep(target / folder)
        stored = _stored(given, target, stored=city is None, needed=cluster is not None, path=wanted.city)
        tasks = _missing(plan, target, (stored, fingerprint), threads, changed)
        ended = _run(plan, target, tasks, _How(cluster, workers, retries, given))
        return _conclude(plan, target, ended, limits, given, fingerprint)


def load(folder: str | Path) -> EnsembleResult:
    """Return an ensemble that has run, from its folder.

    Raises
    ------
    FormatError
        If the folder holds no ensemble that was run to its end.
    """
    base = Path(folder).resolve()
    try:
        content = json.loads((base / "run.json").read_text(encoding="utf-8"))
        listed = content["ensemble"]
        fields = load_result(base / "ensemble")
        members = {name: base / "members" / one["folder"] for name, one in listed["members"].items() if not one["error"]}
        failed = {name: one["error"] for name, one in listed["members"].items() if one["error"]}
        partners = {name: one["compared_with"] for name, one in listed["members"].items() if one["compared_with"]}
        chosen = listed["base"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(base, "holds no ensemble that was run to its end", "run the scenario again, what is done is kept") from error
    if not isinstance(fields, Fields):
        raise FormatError(base, "holds a check, not an ensemble", "give the folder that ensemble.run wrote")
    return EnsembleResult(base, fields, members, failed, chosen, 0, partners)


def _check(retries: int, threads: int | None, workers: int | None, cluster: Any) -> None:
    faults = []
    if retries < 0:
        faults.append(f"retries={retries!r}; expected a whole number of 0 or more")
    if threads is not None and threads < 1:
        faults.append(f"threads={threads!r}; expected None or a whole number of at least 1")
    if workers is not None and cluster is None:
        faults.append(f'workers={workers!r} without a cluster; add cluster="local"')
    if faults:
        msg = f"ensemble: {'; '.join(faults)}"
        raise UsageError(msg)


def _refuse_other(target: Path) -> None:
    """Refuse a folder that holds something else."""
    if target.exists() and not (target / "members").is_dir() and (not target.is_dir() or any(target.iterdir())):
        msg = f"{target} exists and holds no ensemble; name a new folder"
        raise UsageError(msg)


def _stored(city: City, target: Path, *, stored: bool, needed: bool, path: Path) -> str:
    """Return where workers find the base city; one that was handed in is stored for them."""
    if stored or not needed:
        return str(path)
    from cim.storage import save

    home = target / _BASE
    shutil.rmtree(home, ignore_errors=True)
    save(city, home)
    return str(home)


def _missing(plan: Plan, target: Path, city: tuple[str, str], threads: int | None, changed: str) -> list[Task]:
    """Return the members that are not done with these inputs.

    Raises
    ------
    UsageError
        If some are there with other inputs, and that is refused.
    """
    tasks = [
        Task(one.name, one.scenario, str(target / "members" / one.folder), one.inputs, *city, threads)
        for one in plan.members
        if not is_whole(target / "members" / one.folder, one.inputs)
    ]
    other = [one.name for one in tasks if stated_inputs(Path(one.folder)) not in {None, one.inputs}]
    if other and changed == "refuse":
        words = f"{', '.join(other[:5])}{', …' if len(other) > 5 else ''}"
        found = f"{target}: {len(other)} members were run with another city, parameters or version ({words})"
        msg = f"{found}; name a new folder, or let them be run again"
        raise UsageError(msg)
    if changed not in {"rerun", "refuse"}:
        msg = f"changed={changed!r}; expected 'rerun' or 'refuse'"
        raise UsageError(msg)
    return tasks


@dataclass(frozen=True)
class _How:
    """Where members are run."""

    cluster: Any
    workers: int | None
    retries: int
    city: City


@dataclass(frozen=True)
class _Ended:
    """How the tasks of one call ended."""

    ran: int
    failed: Mapping[str, Outcome]


def _run(plan: Plan, target: Path, tasks: Sequence[Task], how: _How) -> _Ended:
    """Run tasks; interrupted before the first one ended, the folder is as it was."""
    failed: dict[str, Outcome] = {}
    ended = 0
    summary = target / "run.json"
    kept = summary.read_bytes() if summary.is_file() and tasks else None
    try:
        with ExitStack() as stack:
            outcomes = _outcomes(tasks, how, stack)
            with track(total=len(tasks), label=plan.scenario.name or "ensemble", unit="members") as bar:
                for outcome in outcomes:
                    summary.unlink(missing_ok=True)  # what it says is no longer so
                    ended += 1
                    _note(target / "failed", plan, outcome)
                    if outcome.error:
                        failed[outcome.name] = outcome
                    bar.advance()
    except BaseException:
        if kept is not None and ended == 0:
            _write(summary, kept)
        raise
    finally:
        sweep(target / "members")
    return _Ended(ended, failed)


def _outcomes(tasks: Sequence[Task], how: _How, stack: ExitStack) -> Iterator[Outcome]:
    if how.cluster is None:
        return (_patiently(task, how) for task in tasks)
    if not tasks:
        return iter(())
    client, mine = stack.enter_context(connected(how.cluster, how.workers))
    outcomes = on_dask(tasks, client, mine, how.retries)
    stack.callback(outcomes.close)  # what is under way is given up before the client goes
    return outcomes


def _patiently(task: Task, how: _How) -> Outcome:
    """Run a member in this process, again where that may help."""
    outcome = do_member(task, how.city)
    for _ in range(how.retries):
        if not outcome.again:
            break
        outcome = do_member(task, how.city)
    return outcome


def _note(folder: Path, plan: Plan, outcome: Outcome) -> None:
    """Keep why a member failed; nothing when it is done."""
    path = folder / f"{plan.by_name[outcome.name].folder}.json"
    path.unlink(missing_ok=True)
    if outcome.error:
        folder.mkdir(exist_ok=True)
        said = {"member": outcome.name, "error": outcome.error, "trace": outcome.trace}
        _write(path, (json.dumps(said, ensure_ascii=False, indent=1) + "\n").encode())


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)


def _conclude(plan: Plan, target: Path, ended: _Ended, limits: Limits, city: City, fingerprint: str) -> EnsembleResult:
    """Sum up what is on disk, and write ``run.json`` last."""
    errors = {name: one.error for name, one in ended.failed.items()}
    for one in plan.members:
        if one.name not in errors and not is_whole(target / "members" / one.folder, one.inputs):
            errors[one.name] = "its folder is not whole, though it was run; was it changed meanwhile?"
    errors = {one.name: errors[one.name] for one in plan.members if one.name in errors}
    if len(errors) == len(plan.members):
        first = next(iter(errors))
        msg = f"every member of {plan.scenario.name or 'the ensemble'} failed; {first}: {errors[first]}"
        raise RunError(msg)
    fields = summarise(plan, target / "members", errors, limits, {"city": fingerprint})
    save_run({"ensemble": fields}, target, _facts(plan, errors, fingerprint))
    for kind in plan.scenario.outputs:
        export_result(fields, city, kind, target / "ensemble")
    members = {one.name: target / "members" / one.folder for one in plan.members if one.name not in errors}
    partners = {one.name: two.name for one in plan.members if (two := plan.partner(one)) is not None}
    return EnsembleResult(target, fields, members, errors, plan.base.name, ended.ran, partners)


def _facts(plan: Plan, errors: Mapping[str, str], fingerprint: str) -> dict[str, Any]:
    """Return what ``run.json`` says besides the results."""
    partners = {one.name: plan.partner(one) for one in plan.members}
    listed = {
        one.name: {
            "folder": one.folder,
            "inputs": one.inputs,
            "weight": one.weight,
            "settings": json.loads(json.dumps(dict(one.scenario.settings), default=str)),
            "error": errors.get(one.name, ""),
            "compared_with": None if (two := partners[one.name]) is None else two.name,
        }
        for one in plan.members
    }
    return {
        "scenario": plan.scenario.name,
        "scenario_sha256": plan.scenario.sha256,
        "base": fingerprint,
        "issues": [],
        "ensemble": {"format": _FORMAT, "base": plan.base.name, "members": listed},
    }
