"""What an ensemble is made of: its members with the hash of what goes into each, their weights, and the base they are compared with."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cim
from cim import plugins
from cim.errors import UsageError
from cim.scenario import Scenario, members
from cim.scenario.axes import NONE

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Member", "Plan", "make_plan"]

_LONGEST_FOLDER = 200
"""Bytes of a folder's name; file systems allow 255, and a part in the making needs some more."""


@dataclass(frozen=True)
class Member:
    """One member of an ensemble."""

    name: str
    folder: str
    """Name of its folder below ``members``."""
    scenario: Scenario
    inputs: str
    """Hash of all that decides its results: city, changes, parameters, files they name, versions."""
    weight: float
    """Share of the whole ensemble; all together are 1."""


@dataclass(frozen=True)
class Plan:
    """An ensemble before it runs."""

    scenario: Scenario
    members: tuple[Member, ...]
    base: Member
    """The one that others are compared with."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Keys that vary, in the order of the file."""
        return tuple(self.base.scenario.settings)

    def partner(self, member: Member) -> Member | None:
        """Return what a member is compared with: the same storm and seed with the option of the base; the base where no option varies."""
        if "change" not in self.base.scenario.settings:
            return self.base
        return self._by_settings.get(_key({**member.scenario.settings, "change": self.base.scenario.settings["change"]}))

    @cached_property
    def by_name(self) -> dict[str, Member]:
        """Members by name."""
        return {one.name: one for one in self.members}

    @cached_property
    def _by_settings(self) -> dict[str, Member]:
        return {_key(one.scenario.settings): one for one in self.members}


def _key(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), sort_keys=True, default=str)


def make_plan(scenario: Scenario, city: str, *, base: str | None = None, weights: Mapping[str, float] | None = None) -> Plan:
    """Return the members of a scenario.

    Parameters
    ----------
    city
        Fingerprint of the base city.
    base
        Name of the base member; the first one, with the option ``"none"`` where options vary, when left out.
    weights
        Weight by name of the member; equal when left out. They need not sum to 1.

    Raises
    ------
    UsageError
        If a name is unknown, or weights are missing, negative or all zero.
    """
    full = scenario
    if scenario.options and "change" not in scenario.axes:
        full = replace(scenario, axes={"change": (NONE, *scenario.options), **scenario.axes})
    concrete = [replace(one, outputs=()) for one in members(full)]
    names = [one.member for one in concrete]
    shares = _shares(names, weights)
    found = tuple(
        Member(one.member, _folder(one.member), one, _inputs(one, city), share) for one, share in zip(concrete, shares, strict=True)
    )
    return Plan(scenario, found, _base(found, base))


def _shares(names: list[str], weights: Mapping[str, float] | None) -> list[float]:
    if weights is None:
        return [1.0 / len(names)] * len(names)
    unknown, missing = sorted(set(weights) - set(names)), [name for name in names if name not in weights]
    bad = [name for name, value in weights.items() if not (math.isfinite(value) and value >= 0)]
    faults = [f"there is no member {name!r}" for name in unknown[:5]] + [f"member {name!r} has none" for name in missing[:5]]
    faults += [f"that of {name!r} is {weights[name]!r}, expected a number of 0 or more" for name in bad[:5]]
    if not faults and not math.fsum(weights.values()) > 0:
        faults.append("all are 0")
    if faults:
        msg = f"weights: {'; '.join(faults)} (members: {', '.join(names[:5])}{', …' if len(names) > 5 else ''})"
        raise UsageError(msg)
    total = math.fsum(weights[name] for name in names)
    return [weights[name] / total for name in names]


def _base(found: tuple[Member, ...], name: str | None) -> Member:
    if name is None:
        return next((one for one in found if one.scenario.settings.get("change", NONE) == NONE), found[0])
    for one in found:
        if one.name == name:
            return one
    listed = ", ".join(one.name for one in found[:10])
    msg = f"base={name!r} is no member; there are {listed}{', …' if len(found) > 10 else ''}"
    raise UsageError(msg)


def _folder(name: str) -> str:
    """Return the folder of a member; Chinese names may be too long in bytes."""
    data = name.encode()
    if len(data) <= _LONGEST_FOLDER:
        return name
    return f"{data[: _LONGEST_FOLDER - 20].decode(errors='ignore')}~{hashlib.sha256(data).hexdigest()[:12]}"


# ---------------------------------------------------------------- what decides the results of a member


def _inputs(member: Scenario, city: str) -> str:
    """Return the hash of all that decides the results of a member."""
    said = {
        "toolkit": cim.__version__,
        "city": city,
        "change": member.change.to_dict(),
        "seed": member.seed,
        "sections": {
            f"{group}/{name}": {"version": plugins.load(group, name).version, "parameters": _plain(values)}
            for group, part in (("cim.simulators", member.simulations), ("cim.checks", member.checks))
            for name, values in part.items()
        },
        "files": _files(member),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str, ensure_ascii=False).encode()).hexdigest()


def _plain(values: BaseModel) -> Any:
    return values.model_dump(mode="json")


def _files(member: Scenario) -> dict[str, str]:
    """Return the hashes of the files that the parameters name, such as a series of rain."""
    base = Path() if member.path is None else member.path.parent
    found: dict[str, str] = {}
    for values in (*member.simulations.values(), *member.checks.values()):
        for text in _texts(values.model_dump()):
            if str(text) not in found and str(text) and len(str(text)) < 1000 and (base / text).exists():
                found[str(text)] = _content(base / text)
    return found


def _content(path: Path) -> str:
    """Return the hash of a file; of a folder (the state another run was left in), names and sizes of its files."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    listed = sorted((one.relative_to(path).as_posix(), one.stat().st_size) for one in path.rglob("*") if one.is_file())
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _texts(values: Any) -> Iterator[str | Path]:
    if isinstance(values, str | Path):
        if "\0" not in str(values) and "\n" not in str(values):
            yield values
    elif isinstance(values, Mapping):
        for one in values.values():
            yield from _texts(one)
    elif isinstance(values, list | tuple | set):
        for one in values:
            yield from _texts(one)
