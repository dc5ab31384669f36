"""The scenario file: base city, changes, options, checks, simulations, axes and outputs in one TOML text; all faults are found at once.

A section belongs to the plug-in of its name: ``[inundation]`` to the simulator, ``[checks.far]`` to the check. They say which
parameters they know; this module knows none of them.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cim import plugins
from cim.errors import FormatError, InputError
from cim.scenario.axes import NONE, flat_axes, section_faults
from cim.scenario.change import Change
from cim.scenario.faults import Fault, Key, draft_model, line_of, lines_of, near, read_model
from cim.scenario.steps import AnyStep

__all__ = ["Fault", "Option", "Scenario", "ScenarioFile", "draft", "read_scenario", "validate"]

_MAX_BYTES = 16 * 1024 * 1024
Output = Literal["excel", "geopackage", "geotiff", "parquet", "zarr"]
_MAPPINGS = ("simulations", "checks", "axes", "options", "settings", "sections")


class Option(BaseModel):
    """One option 方案: steps under a name, which come after those of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="name; stands in the claims that its changes make")
    change: tuple[AnyStep, ...] = Field(default=(), description="what differs from the city after the changes of the file, in order")


class ScenarioFile(BaseModel):
    """What every scenario file holds, besides the sections of the plug-ins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    city: str = Field(min_length=1, description="the city to start from: a .cim folder, relative to this file")
    name: str = Field(default="", description="name of the scenario; stands in the claims that its changes make")
    outputs: tuple[Output, ...] = Field(default=(), description='further files: "excel", "geopackage", "geotiff", "parquet", "zarr"')
    seed: int | None = Field(default=None, ge=0, description="what random numbers start from, in sections that know a seed and state none")
    change: tuple[AnyStep, ...] = Field(default=(), description="what differs from the city, in order")
    option: tuple[Option, ...] = Field(default=(), description="named options, which the axis change chooses from")


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
    seed: int | None = None
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Values by dotted key, in the order of the file; see `cim.scenario.members`."""
    options: Mapping[str, Change] = field(default_factory=dict)
    """Changes by name of the option, those of the file first in each."""
    member: str = ""
    """Name of the member of an ensemble; empty for what a file states."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Value that a member has on each axis, by dotted key."""
    sections: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What the file states, by section: ``"flood"``, ``"checks.far"``."""

    def __post_init__(self) -> None:
        """Make the mappings unchangeable."""
        for name in _MAPPINGS:
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> Any:
        """Let a member travel to another process: a mapping that cannot be changed cannot be pickled either."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return _revived, ({name: dict(value) if name in _MAPPINGS else value for name, value in values.items()},)


def _revived(values: dict[str, Any]) -> Scenario:
    return Scenario(**values)


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


def draft(path: str | Path) -> tuple[Scenario | None, list[Fault]]:
    """Return a scenario as far as it can be read, without what is wrong with it, and every fault.

    It is there to be held against its city, so that all faults are told at once; what has faults is not run. None where too little is left.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    return _drafted(_text(Path(path))[0], Path(path))


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
    scenario, faults = _drafted(text, path)
    return None if faults else scenario, faults


def _drafted(text: str, path: Path) -> tuple[Scenario | None, list[Fault]]:
    """Return what can be read of the scenario, and the faults."""
    try:
        content = tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        return None, [Fault(int(found[1]) if found else max(len(text.splitlines()), 1), "", f"not TOML: {error}")]
    lines = lines_of(text)
    faults: list[Fault] = []
    simulators = plugins.available("cim.simulators")
    stated_axes = content.pop("axes", {})
    sections = _stated(content, simulators, lines, faults)
    own = {name: value for name, value in content.items() if name not in simulators and name != "checks"}
    base = read_model(ScenarioFile, own, (), lines, faults, known=(*simulators, "axes", "checks")) or draft_model(ScenarioFile, own)
    kinds = _kinds(sections, lines, faults)
    names = _options(content.get("option"), lines, faults)
    axes = flat_axes(stated_axes, sections, kinds, names, lines, faults)
    _unused(names, axes, lines, faults)
    seed = content.get("seed", axes.get("seed", (None,))[0])
    parameters = {name: _section(kinds[name], sections[name], name, seed, axes, lines, faults, path.parent) for name in kinds}
    lost = _lost_city(content.get("city"), path, lines)
    faults = sorted([*faults, *lost], key=lambda fault: (fault.line or 0, fault.key))
    if lost or not isinstance(base, ScenarioFile):
        return None, faults
    return _scenario(base, path, axes, sections, {name: model for name, model in parameters.items() if model is not None}), faults


def _scenario(
    base: ScenarioFile, path: Path, axes: Mapping[str, tuple[Any, ...]], sections: Mapping[str, Any], parameters: Mapping[str, BaseModel]
) -> Scenario:
    name = base.name or path.stem
    return Scenario(
        name,
        (path.parent / base.city).resolve(),
        Change(name, base.change),
        {key: model for key, model in parameters.items() if not key.startswith("checks.")},
        {key.removeprefix("checks."): model for key, model in parameters.items() if key.startswith("checks.")},
        base.outputs,
        path.resolve(),
        seed=base.seed,
        axes=axes,
        options={one.name: Change(one.name, (*base.change, *one.change)) for one in base.option},
        sections=sections,
    )


def _stated(content: Mapping[str, Any], simulators: Iterable[str], lines: Mapping[Key, int], faults: list[Fault]) -> dict[str, Any]:
    """Return what the file states by section: simulators, then checks, in its order."""
    checks = content.get("checks", {})
    if not isinstance(checks, dict):
        faults.append(Fault(lines.get(("checks",)), "checks", "expected sections such as [checks.far]"))
        checks = {}
    own = {name: value for name, value in content.items() if name in simulators}
    return {**own, **{f"checks.{name}": value for name, value in checks.items()}}


def _kinds(sections: Iterable[str], lines: Mapping[Key, int], faults: list[Fault]) -> dict[str, type[BaseModel]]:
    """Return the parameters of each section, as its plug-in states them."""
    checks = plugins.available("cim.checks")
    kinds: dict[str, type[BaseModel]] = {}
    for section in sections:
        name = section.removeprefix("checks.")
        if name == section:
            kinds[section] = plugins.load("cim.simulators", name).parameters
        elif name in checks:
            kinds[section] = plugins.load("cim.checks", name).parameters
        else:
            faults.append(Fault(line_of(("checks", name), lines), section, f"there is no check {name!r}{near(name, checks)}"))
    return kinds


def _section(
    kind: type[BaseModel], values: Any, section: str, seed: Any, axes: Mapping[str, tuple[Any, ...]], lines: Mapping[Key, int],
    faults: list[Fault], folder: Path,
) -> BaseModel | None:  # fmt: skip
    """Read one section; it gets the seed of the file where it knows one and states none."""
    if seed is not None and "seed" in kind.model_fields and isinstance(values, dict) and "seed" not in values:
        values = {**values, "seed": seed}
    return section_faults(kind, values, section, axes, lines, faults, folder)


def _options(stated: Any, lines: Mapping[Key, int], faults: list[Fault]) -> list[str]:
    """Return the names of the options; one that stands twice or is a word of its own is a fault."""
    rows = stated if isinstance(stated, list) else []
    names: list[str] = []
    for number, row in enumerate(rows):
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str):
            continue  # told with the rest of the file
        if name in names or name == NONE:
            why = "stands twice" if name in names else "means no option at all"
            faults.append(
                Fault(line_of(("option", number, "name"), lines), f"option.{number}.name", f"{name!r} {why}; choose another name")
            )
        names.append(name)
    return names


def _unused(names: Iterable[str], axes: Mapping[str, tuple[Any, ...]], lines: Mapping[Key, int], faults: list[Fault]) -> None:
    """Name the options that no member would have."""
    if "change" in axes or ("axes", "change") not in lines:
        for number, name in enumerate(names):
            if name not in axes.get("change", ()):
                words = f"no member has the option {name!r}; name it in change = [...] under [axes], or take it out"
                faults.append(Fault(line_of(("option", number), lines), f"option.{number}", words))


def _lost_city(city: Any, path: Path, lines: Mapping[Key, int]) -> list[Fault]:
    if isinstance(city, str) and city and not (path.parent / city).exists():
        return [Fault(lines.get(("city",)), "city", f"{path.parent / city} is not there; paths are relative to the scenario file")]
    return []
