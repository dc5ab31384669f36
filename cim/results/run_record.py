"""How a result came about: what ran, on which inputs, with which parameters and versions, and what it took."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

__all__ = ["RunRecord", "Stopwatch", "library_versions"]

_MEASURED = ("wall_seconds", "cpu_seconds")
_LIBRARIES = ("numpy", "pyarrow", "pyproj", "scipy", "shapely", "xarray")


@dataclass(frozen=True)
class RunRecord:
    """What ran, and how.

    Examples
    --------
    >>> RunRecord("far", "1").to_dict()["name"]
    'far'
    """

    name: str
    """Name of the simulator or check, as its entry point says."""
    version: str
    """Version of its method: it rises when the same inputs give other numbers."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Hash of each input by name, such as ``{"city": "blake2b:…"}``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Every parameter that decides the result, plain values."""
    seed: int | None = None
    """Seed of the random numbers; None where there is no chance in it."""
    start: datetime | None = None
    """First instant of the simulated time, UTC; None where time plays no part."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the toolkit, of Python and of the libraries that compute."""
    wall_seconds: float = 0.0
    """Time by the clock on the wall [s]."""
    cpu_seconds: float = 0.0
    """Time the processors worked [s]."""
    balance: Mapping[str, float] = field(default_factory=dict)
    """What came in, went out and stays, and the remainder; units in the names."""
    assumptions: tuple[str, ...] = ()
    """Everything taken for granted that the inputs do not say."""

    def __post_init__(self) -> None:
        """Make the mappings as unchangeable as the record."""
        for name in ("inputs", "parameters", "versions", "balance"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def to_dict(self, *, measured: bool = True) -> dict[str, Any]:
        """Return plain values for JSON; without `measured`, only what a second run would repeat exactly."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if measured or one.name not in _MEASURED:
                values[one.name] = dict(value) if isinstance(value, Mapping) else value
        values["start"] = None if self.start is None else self.start.isoformat()
        values["assumptions"] = list(self.assumptions)
        plain: dict[str, Any] = json.loads(json.dumps(values, default=_plain, ensure_ascii=False))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Return the record that `to_dict` wrote; names it does not know are left out."""
        known = {one.name for one in fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        start = given.get("start")
        given["start"] = None if start is None else datetime.fromisoformat(start)
        given["assumptions"] = tuple(given.get("assumptions", ()))
        return cls(**given)

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        """Pickle as plain values: the unchangeable mappings cannot be."""
        return RunRecord.from_dict, (self.to_dict(),)


def _plain(value: Any) -> Any:
    """Return what JSON can hold for a value of a parameter."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


class Stopwatch:
    """Measures a run from its making to `stop`."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def stop(self, run: RunRecord) -> RunRecord:
        """Return the record with what the run has taken so far, and with the versions of the libraries."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return replace(run, wall_seconds=wall, cpu_seconds=cpu, versions=run.versions or library_versions())


def library_versions() -> dict[str, str]:
    """Return the versions of the toolkit, of Python and of the libraries that compute; one not installed is left out."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import cim

    found = {"cim-toolkit": cim.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
