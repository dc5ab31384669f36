"""The build file as TOML, checked whole: every fault is in one message."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cim.errors import CRSError, FormatError, InputError

__all__ = ["AttributeEntry", "BuildFile", "CitySettings", "FusionSettings", "SourceEntry", "StepEntry", "check_build", "read_build"]

MAX_BYTES = 10_000_000
"""A build file larger than this [byte] is none: a thousand sources with a hundred fields each take a tenth of it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class CitySettings(_Strict):
    """The city as a whole."""

    name: str = ""
    crs: str | None = Field(
        default=None, description="projected system of the city, such as EPSG:7415; of the first projected source without it"
    )
    time_zone: str = "UTC"


class AttributeEntry(_Strict):
    """One attribute from one source field."""

    field: str
    unit: str = ""
    codes: dict[str, str] = Field(default_factory=dict, description="code list: value in the source -> value in the city")


class SourceEntry(_Strict):
    """One source file."""

    path: str
    crs: str | None = None
    layer: str | None = None
    encoding: str | None = None
    reader: str | None = None
    class_: str | None = Field(default=None, alias="class")
    id: str | None = Field(default=None, description="field that holds the stable id")
    name: str | None = Field(default=None, description="field that holds the name")
    parent: str | None = Field(default=None, description="field that holds the id of the whole it is part of")
    valid_from: str | None = Field(default=None, description="field that says since when an object is there")
    valid_to: str | None = Field(default=None, description="field that says until when")
    identifiers: dict[str, str | list[str]] = Field(
        default_factory=dict, description="scheme of a register -> field, or fields, that hold its identifiers"
    )
    attributes: dict[str, AttributeEntry] = Field(default_factory=dict)
    licence: str | None = Field(default=None, description="licence of the data, for the catalogue")
    owner: str | None = Field(default=None, description="who keeps the data")
    grade: str | None = Field(default=None, description="data grade 数据分级")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the reader")

    @field_validator("attributes", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """Take ``height = "H"`` for ``height = {field = "H"}``."""
        return (
            {name: {"field": entry} if isinstance(entry, str) else entry for name, entry in value.items()}
            if isinstance(value, dict)
            else value
        )

    def catalogue(self) -> dict[str, str]:
        """Return what the entry says about the source beyond its content."""
        return {name: value for name in ("licence", "owner", "grade") if (value := getattr(self, name))}

    def mapping(self) -> dict[str, Any]:
        """Return the mapping that `cim.loaders.read` takes."""
        said = {
            "class": self.class_, "id": self.id, "name": self.name, "parent": self.parent, "valid_from": self.valid_from,
            "valid_to": self.valid_to, "identifiers": self.identifiers,
        }  # fmt: skip
        columns = {name: {key: value for key, value in entry.model_dump().items() if value} for name, entry in self.attributes.items()}
        return {**{key: value for key, value in said.items() if value}, **({"attributes": columns} if columns else {})}


class FusionSettings(_Strict):
    """How the sources become one city; see `cim.loaders.fuse`."""

    minimum_iou: float = Field(default=0.5, gt=0, le=1)
    use_identifiers: bool = True
    percentile: float = Field(default=90.0, ge=0, le=100)
    heights: list[Literal["points", "dsm", "read"]] = ["points", "dsm", "read"]
    allow_ballpark: bool = False
    align: Literal["correct", "report", "off"] = "correct"
    policy: str | dict[str, list[str]] = Field(
        default="first", description="first, newest, most accurate, or sources in order by attribute"
    )
    dates: dict[str, str] = Field(default_factory=dict, description="date of a source, by its name, for the policy newest")
    within: float | dict[Literal["point", "line", "register"], float] | None = Field(default=None, description="search distance [m]")
    join: dict[str, str] = Field(default_factory=dict, description="class of a register -> class it is joined to")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `cim.loaders.fuse`; what is not stated is left to it."""
        return {name: value for name, value in self.model_dump().items() if value not in ({}, None)}


class StepEntry(BaseModel):
    """A step taken once the sources are one city; see `cim.loaders.steps`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    do: str

    def options(self) -> dict[str, Any]:
        """Return the options of the step."""
        return dict(self.model_extra or {})


class BuildFile(_Strict):
    """A whole build file."""

    city: CitySettings = CitySettings()
    source: list[SourceEntry] = Field(min_length=1)
    fusion: FusionSettings = FusionSettings()
    step: list[StepEntry] = Field(default_factory=list)


def read_build(path: str | Path) -> BuildFile:
    """Return the build file at `path`.

    Raises
    ------
    InputError
        If it cannot be read, with every fault in the message.
    """
    place = Path(path)
    parsed, faults = _parse(place)
    if parsed is None or faults:
        listed = "\n  ".join(faults)
        raise FormatError(
            place,
            f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the build file:\n  {listed}",
            "correct them and run cim check again",
        )
    return parsed


def check_build(path: str | Path) -> list[str]:
    """Return every fault of a build file, one sentence each; empty when it can be run."""
    return _parse(Path(path))[1]


def _parse(path: Path) -> tuple[BuildFile | None, list[str]]:
    if not path.is_file():
        raise InputError(path, "there is no such file", "give a build file, or draft one with: cim new build FOLDER -o district.toml")
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(path, f"{path.stat().st_size:,} bytes are too many for a build file (at most {MAX_BYTES:,})")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        return None, [f"the file is not UTF-8: {error}"]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return None, [f"not TOML: {error}"]
    try:
        parsed = BuildFile.model_validate(values)
    except ValidationError as error:
        return None, [f"{_place(fault['loc'])}: {fault['msg']} (found {_short(fault.get('input'))})" for fault in error.errors()]
    faults = [f"{place}: {error.reason}" for place, error in _crs_faults(parsed)]
    missing = [
        f"source[{number}].path: {entry.path!r} is not there"
        for number, entry in enumerate(parsed.source)
        if not (path.parent / entry.path).exists()
    ]
    from cim.loaders.steps import check_step

    wrong = [f"step[{number}]: {fault}" for number, entry in enumerate(parsed.step) for fault in check_step(entry.do, entry.options())]
    return parsed, faults + missing + wrong


def _crs_faults(file: BuildFile) -> list[tuple[str, CRSError]]:
    """Return the coordinate systems that cannot be read, with their place in the file."""
    from cim.crs import parse

    stated = [("city.crs", file.city.crs), *((f"source[{number}].crs", entry.crs) for number, entry in enumerate(file.source))]
    found = []
    for place, text in stated:
        try:
            _ = parse(text) if text else None
        except CRSError as error:
            found.append((place, error))
    return found


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".") or "file"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
