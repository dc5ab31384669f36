"""The scenario file: base city, changes, checks, simulations and outputs in one TOML text, every fault of which is found at once.

A section belongs to the plug-in of its name: ``[inundation]`` to the simulator, ``[checks.far]`` to the check. They say which
parameters they know; this module knows none of them.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cim import plugins
from cim.errors import FormatError, InputError
from cim.scenario.change import Change
from cim.scenario.steps import AnyStep

if TYPE_CHECKING:
    Key = tuple[str | int, ...]

__all__ = ["Fault", "Scenario", "ScenarioFile", "read_scenario", "validate"]

_MAX_BYTES = 16 * 1024 * 1024
Output = Literal["excel", "geopackage", "geotiff", "parquet"]


class ScenarioFile(BaseModel):
    """What every scenario file holds, besides the sections of the plug-ins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    city: str = Field(min_length=1, description="the city to start from: a .cim folder, relative to this file")
    name: str = Field(default="", description="name of the scenario; stands in the claims that its changes make")
    outputs: tuple[Output, ...] = Field(default=(), description='further files: "excel", "geopackage", "geotiff", "parquet"')
    change: tuple[AnyStep, ...] = Field(default=(), description="what differs from the city, in order")


@dataclass(frozen=True)
class Scenario:
    """A scenario file that has been read and found right."""

    name: str
    city: Path
    """The base city, as an absolute path."""
    change: Change
    simulations: Mapping[str, BaseModel] = field(default_factory=dict)
    """Parameters by name of the simulator, in the order of the file."""
    checks: Mapping[str, BaseModel] = field(default_factory=dict)
    """Parameters by name of the check, in the order of the file."""
    outputs: tuple[str, ...] = ()
    path: Path | None = None
    sha256: str = ""
    """Hash of the file's bytes."""

    def __post_init__(self) -> None:
        """Make the mappings unchangeable."""
        for name in ("simulations", "checks"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a scenario file."""

    line: int | None
    """Line of the file, None where it has none."""
    key: str
    """Where, such as ``checks.far.limit``."""
    message: str

    def __str__(self) -> str:
        """Return line, key and message."""
        return (f"line {self.line}: " if self.line else "") + (f"{self.key}: " if self.key else "") + self.message


def read_scenario(path: str | Path) -> Scenario:
    """Return the scenario that a TOML file states.

    Raises
    ------
    InputError
        If the file cannot be read.
    FormatError
        If anything in it is wrong; the message lists every fault with its line and key.
    """
    text, digest = _text(Path(path))
    scenario, faults = _read(text, Path(path))
    if scenario is None:
        listed = "\n  ".join(str(fault) for fault in faults)
        raise FormatError(path, f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in the scenario:\n  {listed}")
    from dataclasses import replace

    return replace(scenario, sha256=digest)


def validate(path: str | Path) -> list[Fault]:
    """Return everything that is wrong with a scenario file, in the order of its lines; an empty list when nothing is.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    faults: list[Fault] = _read(_text(Path(path))[0], Path(path))[1]
    return faults


def _text(path: Path) -> tuple[str, str]:
    try:
        data = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
        if data is None:
            raise InputError(path, f"has more than {_MAX_BYTES:,} bytes", "a scenario is a short text; give the right file")
        return data.decode("utf-8-sig"), hashlib.sha256(data).hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "give the path of a scenario file") from error
    except UnicodeDecodeError as error:
        raise InputError(path, "is not UTF-8 text", "save the scenario as UTF-8") from error


def _read(text: str, path: Path) -> tuple[Scenario | None, list[Fault]]:
    """Return the scenario, None when there are faults, and the faults."""
    try:
        content = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        return None, [Fault(int(found[1]) if found else max(len(text.splitlines()), 1), "", f"not TOML: {error}")]
    lines = _lines(text)
    simulators, checks = plugins.available("cim.simulators"), plugins.available("cim.checks")
    sections = {name: value for name, value in content.items() if name in simulators}
    stated_checks = content.pop("checks", {})
    faults: list[Fault] = []
    if not isinstance(stated_checks, dict):
        faults.append(Fault(lines.get(("checks",)), "checks", "expected sections such as [checks.far]"))
        stated_checks = {}
    base = _model(
        ScenarioFile, {name: value for name, value in content.items() if name not in sections}, (), lines, faults, known=simulators
    )
    simulations = _sections("cim.simulators", sections, (), lines, faults)
    check_parameters = _sections("cim.checks", stated_checks, ("checks",), lines, faults, known=checks)
    city = content.get("city")
    if isinstance(city, str) and city and not (path.parent / city).exists():
        faults.append(Fault(lines.get(("city",)), "city", f"{path.parent / city} is not there; paths are relative to the scenario file"))
    if faults or not isinstance(base, ScenarioFile):
        return None, sorted(faults, key=lambda fault: (fault.line or 0, fault.key))
    name = base.name or path.stem
    return Scenario(
        name, (path.parent / base.city).resolve(), Change(name, base.change), simulations, check_parameters, base.outputs, path.resolve()
    ), []


def _sections(
    group: str, sections: Mapping[str, Any], prefix: Key, lines: Mapping[Key, int], faults: list[Fault], known: Iterable[str] | None = None
) -> dict[str, BaseModel]:  # fmt: skip
    """Read each section with the parameters of its plug-in."""
    made = {}
    for name, values in sections.items():
        key = (*prefix, name)
        if known is not None and name not in known:
            faults.append(Fault(lines.get(key), ".".join(map(str, key)), f"there is no check {name!r}{_near(name, known)}"))
            continue
        model = _model(plugins.load(group, name).parameters, values, key, lines, faults)
        if model is not None:
            made[name] = model
    return made


def _model(
    kind: type[BaseModel], values: Any, prefix: Key, lines: Mapping[Key, int], faults: list[Fault], known: Iterable[str] = ()
) -> BaseModel | None:  # fmt: skip
    """Read values with a pydantic model; what is wrong is added to the faults."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        for one in error.errors():
            key = (*prefix, *_location(one["loc"]))
            words = one["msg"].removeprefix("Value error, ")
            if one["type"] == "extra_forbidden":
                words = f"is not known{_near(str(key[-1]), [*kind.model_fields, *known])}"
            elif one["type"] != "missing" and not isinstance(one["input"], dict | list):
                words += f" (found {one['input']!r})"
            faults.append(Fault(_line(key, lines), ".".join(map(str, key)), words))
        return None


def _location(place: tuple[str | int, ...]) -> Key:
    """Return where in the file a fault lies: without the names of steps and of types that pydantic puts between."""
    steps = {"raise_building", "remove_building", "add_building"}
    kept = [one for at, one in enumerate(place) if not (at == 2 and place[0] == "change" and one in steps)]
    return tuple(one for one in kept if isinstance(one, int) or not re.search(r"[\[(]|^(str|float|int|dict|list|none)$", one))


def _near(name: str, known: Iterable[str]) -> str:
    import difflib

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"


def _line(key: Key, lines: Mapping[Key, int]) -> int | None:
    """Return the line of a key, or of the nearest section it would stand in."""
    for end in range(len(key), 0, -1):
        if key[:end] in lines:
            return lines[key[:end]]
    return None


_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _lines(text: str) -> dict[Key, int]:
    """Return the line of each section and key of a TOML text; keys inside inline tables have none of their own."""
    found: dict[Key, int] = {}
    section: Key = ()
    counts: dict[Key, int] = {}
    quoted, depth = "", 0  # inside a text, or inside a list, of several lines
    for number, line in enumerate(text.splitlines(), start=1):
        if quoted:
            quoted = "" if quoted in line else quoted
            continue
        if depth > 0:
            depth += _brackets(line)
            continue
        header, assignment = _HEADER.match(line), _ASSIGNMENT.match(line)
        if header:
            section = _names(header[2])
            if header[1] == "[[":
                counts[section] = counts.get(section, -1) + 1
                section = (*section, counts[section])
            found.setdefault(section, number)
            found.setdefault(section[:1], number)
        elif assignment:
            found.setdefault((*section, *_names(assignment[1])), number)
            quoted = next((mark for mark in ('"""', "'''") if line.count(mark) == 1), "")
            depth = 0 if quoted else max(_brackets(line[assignment.end() :]), 0)
    return found


def _brackets(line: str) -> int:
    """Return how many lists a line leaves open, texts and comments left out."""
    bare = re.sub(r"""("(?:[^"\\]|\\.)*"|'[^']*')|#.*$""", "", line)
    return bare.count("[") - bare.count("]")


def _names(text: str) -> Key:
    return tuple(one.strip().strip("\"'") for one in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", text))
