"""One member in its folder: run in any process, put in place whole or not at all, known again by the hash of its inputs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.errors import CimError, StoreError, UsageError
from cim.progress import Report, set_sink
from cim.results import city_fingerprint
from cim.scenario import Scenario
from cim.sim.run import run

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["Outcome", "Task", "do_member", "is_whole", "stated_inputs", "sweep"]

_FORMAT = 1
_HERE = threading.Lock()
"""Kernels, and the silence of the progress bar, belong to a process: it runs one member at a time."""


@dataclass(frozen=True)
class Task:
    """What a worker needs to run a member; small."""

    name: str
    scenario: Scenario
    folder: str
    """Absolute path of the member's folder."""
    inputs: str
    city: str
    """Absolute path of the stored base city."""
    city_fingerprint: str
    threads: int | None


@dataclass(frozen=True)
class Outcome:
    """What a worker says of a member; its results are on disk."""

    name: str
    error: str = ""
    """Empty where it is done."""
    again: bool = False
    """Whether another try may help: a full disk, no memory, a worker that died."""
    trace: str = ""


def do_member(task: Task, city: City | None = None) -> Outcome:
    """Run a member into its folder, in this process, and return how that went; no error of a member gets out.

    Parameters
    ----------
    city
        The base city; opened, and kept for the next member, when left out.
    """
    with _HERE:
        try:
            if not is_whole(Path(task.folder), task.inputs):
                with _silence():
                    _make(task, _city(task.city, task.city_fingerprint) if city is None else city)
        except Exception as error:  # noqa: BLE001 - one member must not take the others with it
            trace = "" if isinstance(error, CimError) else traceback.format_exc()
            return Outcome(task.name, f"{type(error).__name__}: {error}", _may_pass(error), trace)
    return Outcome(task.name)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, OSError | MemoryError) and not (isinstance(error, CimError) and not isinstance(error, StoreError))


@contextmanager
def _silence() -> Iterator[None]:
    """Show no bar for the parts of a member: the ensemble has one."""

    def nothing(report: Report) -> None:
        del report

    before = set_sink(nothing)
    try:
        yield
    finally:
        set_sink(before)


@lru_cache(maxsize=1)
def _city(path: str, fingerprint: str) -> City:
    from cim.storage import open as open_city

    city = open_city(path)
    if city_fingerprint(city) != fingerprint:
        msg = f"{path} is not the city the ensemble was started with; do not change it while the ensemble runs, and start again"
        raise UsageError(msg)
    return city


def _make(task: Task, city: City) -> None:
    """Run a member beside its folder, then put it in place."""
    folder = Path(task.folder)
    part = folder.with_name(f".{folder.name}.{socket.gethostname()[:20]}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        run(_with_threads(task.scenario, task.threads), part, city=city)
        _describe(task, part)
        _put(part, folder, task.inputs)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put(part: Path, folder: Path, inputs: str) -> None:
    """Rename a finished folder into place; another worker that took the member for lost may have been quicker."""
    old = part.with_suffix(".old.part")
    if folder.exists():
        if is_whole(folder, inputs):
            return
        folder.rename(old)
    try:
        part.rename(folder)
    except OSError:
        if not is_whole(folder, inputs):
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _with_threads(scenario: Scenario, threads: int | None) -> Scenario:
    """Return the member with a number of threads where a section knows one and the file states none."""
    if threads is None:
        return scenario
    made = {
        name: values.model_copy(update={"threads": threads})
        if "threads" in type(values).model_fields and getattr(values, "threads", None) is None
        else values
        for name, values in scenario.simulations.items()
    }
    return replace(scenario, simulations=made)


def _describe(task: Task, folder: Path) -> None:
    """Write ``member.json``: what went in, and the size of every file, so that a folder that lost one is known."""
    content = {
        "format": _FORMAT,
        "name": task.name,
        "inputs": task.inputs,
        "settings": dict(task.scenario.settings),
        "files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in _lasting(folder)},
    }
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, default=str)
    (folder / "member.json").write_text(text + "\n", encoding="utf-8")


def _lasting(folder: Path) -> list[Path]:
    """Return the files that the same inputs make byte for byte, and that results are read from."""
    found = [folder / "run.json"]
    found += [path for pattern in ("*/result.json", "*/tables/*", "*/fields/*") for path in folder.glob(pattern) if path.is_file()]
    return sorted(found)


def stated_inputs(folder: Path) -> str | None:
    """Return the hash that a finished member states, None where there is none that can be read."""
    return _stated(folder).get("inputs")


def _stated(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / "member.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and content.get("format") == _FORMAT else {}


def is_whole(folder: Path, inputs: str) -> bool:
    """Say whether a folder holds the finished member with these inputs, every file as long as it was written."""
    said = _stated(folder)
    if said.get("inputs") != inputs or not isinstance(said.get("files"), dict):
        return False
    try:
        return "run.json" in said["files"] and all((folder / name).stat().st_size == size for name, size in said["files"].items())
    except OSError:
        return False


def sweep(folder: Path) -> None:
    """Take away what killed workers left half made."""
    for path in folder.glob(".*.part"):
        shutil.rmtree(path, ignore_errors=True)
