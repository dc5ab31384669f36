"""A commented scenario file to start from, made from what the plug-ins say about their parameters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from cim import plugins
from cim.errors import UsageError
from cim.scenario.faults import models_in

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["kinds", "template"]

_HEAD = """\
# Scenario 方案. Run it:   cim run FILE -o FOLDER      Find every fault:   cim check FILE
# Lines that begin with # are comments; take the # away to use what stands behind it.
# Lengths are metres; times without a zone (such as +08:00) are in that of the city.
# In the sections below, a line without # holds the default, or what must be given.
# Behind a # stands the default where "left out" names it, else an example.

# the city to start from: a .cim folder, relative to this file
city = "district.cim"
# name of the scenario; stands in the claims that its changes make
name = "option A"
# further files beside Parquet and JSON: "excel", "geopackage", "geotiff", "parquet", "zarr"
outputs = ["geopackage", "excel"]
# what random numbers start from, in sections that know a seed and state none
# seed = 1

# What differs from the city, in order. Each step begins with [[change]].
# [[change]]
# do = "raise_building"
# id = "b12"
# by = 6.0          # or: to = 24.0
# storeys = 8

# [[change]]
# do = "move_building"
# id = "b12"
# dx = 4.0          # east; or: to = [500010.0, 3460010.0]
# dy = -2.5         # north

# [[change]]
# do = "remove_building"
# id = "b7"

# [[change]]
# do = "add_building"
# id = "new-1"
# footprint = [[500000.0, 3460000.0], [500030.0, 3460000.0], [500030.0, 3460020.0]]
# height = 18.0
# storeys = 6
# z_ground = 3.2

# [[change]]
# do = "close_road"
# id = "r7"
# start = 2026-07-01T07:00:00Z
# until = 2026-07-01T19:00:00Z
# direction = "both"          # or "forward", "backward"
# classes = ["car", "truck"]  # left out: all
# between = ["n1", "n2"]      # two nodes, from_node and to_node of one of its links; left out: the whole road

# [[change]]
# do = "add_road"
# id = "new-road"
# line = [[500000.0, 3460000.0], [500100.0, 3460000.0]]
# lanes = 2
# speed_limit = 13.9          # m/s
# width = 7.0
# oneway = false

# [[change]]
# do = "remove_road"
# id = "r8"

# [[change]]
# do = "change_terrain"
# id = "embankment"
# area = [[500000.0, 3460000.0], [500030.0, 3460000.0], [500030.0, 3460020.0]]
# to = 6.5                    # elevation; or: by = -1.2
# slope = 0.5                 # sides rise 1 over 2
# only = "fill"               # or "cut"

# [[change]]
# do = "change_land_use"
# id = "P3"
# to = "park"

# [[change]]
# do = "change_pipe"
# id = "pipe-4"
# diameter = 0.8
# slope = 0.003

# [[change]]
# do = "remove_pipe"
# id = "pipe-5"

# Options 比选方案: further steps under a name, for the axis change.
# [[option]]
# name = "wall"
# [[option.change]]
# do = "raise_building"
# id = "b7"
# by = 3.0

# An ensemble: every combination of these values is a member. Keys: seed, change, and those of the sections below.
# [axes]
# seed = [1, 2, 3]
# change = ["none", "wall"]
"""


def kinds() -> tuple[str, ...]:
    """Return what `template` can be asked for: each simulator, each check, ``planning`` (all checks) and ``all``."""
    return (*plugins.available("cim.simulators"), *plugins.available("cim.checks"), "planning", "all")


def template(kind: str = "all") -> str:
    """Return the text of a scenario file with comments on every parameter; sections whose results another reads stand before it.

    Parameters
    ----------
    kind
        One of `kinds`.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    simulators, checks = plugins.available("cim.simulators"), plugins.available("cim.checks")
    if kind not in kinds():
        msg = f"there is no scenario of the kind {kind!r}; there are {', '.join(kinds())}"
        raise UsageError(msg)
    chosen = [("cim.simulators", name) for name in simulators if kind in {name, "all"}]
    chosen += [("cim.checks", name) for name in checks if kind in {name, "all", "planning"}]
    return _HEAD + "".join(_section(group, name) for group, name in _with_needs(chosen))


def _with_needs(chosen: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return sections with those before them that they need; the optional member `needs` of a plug-in names them."""
    ordered: dict[tuple[str, str], None] = {}
    for group, name in chosen:
        needed = [("cim.simulators", other) for other in getattr(plugins.load(group, name), "needs", {}).values()]
        ordered |= dict.fromkeys([*(_with_needs(needed) if needed else ()), (group, name)])
    return list(ordered)


def _section(group: str, name: str) -> str:
    """Return one section: its title, then each parameter with what it means."""
    plugin = plugins.load(group, name)
    title = f"checks.{name}" if group == "cim.checks" else name
    lines = [f"\n# {plugin.title_en} {plugin.title_zh}", f"[{title}]", *_table(plugin.parameters, title)]
    return "\n".join(lines) + "\n"


def _table(kind: type[BaseModel], title: str, held: Mapping[str, Any] | None = None) -> list[str]:
    """Return the lines of a table below its header: first its own keys, as TOML wants them, then the tables within.

    Parameters
    ----------
    held
        Values to print in place of the defaults.
    """
    own: list[str] = []
    inner: list[str] = []
    for name, field in kind.model_fields.items():
        key, given = field.alias or name, (held or {}).get(name)
        models = models_in(field.annotation)
        if models and not _plain_default(field):
            inner += _inner(key, field, models, title)
            continue
        own += [f"# {line}" for line in (field.description or key).splitlines()]
        own.append(_assignment(key, field) if given is None else f"{key} = {_toml(given)}")
    return own + inner


def _plain_default(field: FieldInfo) -> bool:
    """Say whether a field that may hold tables has a default without any, such as a number or text."""
    return not field.is_required() and isinstance(field.get_default(call_default_factory=True), str | int | float | bool)


def _inner(key: str, field: FieldInfo, models: Sequence[type[BaseModel]], title: str) -> list[str]:
    """Return the tables of a field that holds models: the first as it is when it must be given or is the default, others as comments.

    The lines of a table that is a comment all begin with ``# ``; without that they are as they should stand.
    """
    from pydantic import BaseModel

    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if isinstance(default, Mapping) and default and all(isinstance(one, BaseModel) for one in default.values()):
        return _named_tables(key, field, default, title)
    several = _is_list(field.annotation)
    header = f"[[{title}.{key}]]" if several else f"[{title}.{key}]"
    stands = isinstance(default, BaseModel) or field.is_required()
    order = [type(default), *(one for one in models if one is not type(default))] if isinstance(default, BaseModel) else list(models)
    lines = []
    for number, model in enumerate(order):
        held = default.model_dump(exclude_none=True) if isinstance(default, model) else _model_example(model)
        block = [header, *_table(model, f"{title}.{key}", held)]
        lines += ["", f"# {field.description or key}" if number == 0 else f"# or: {_first_line(model) or model.__name__}"]
        lines += block if stands and number == 0 else [f"# {line}".rstrip() for line in block]
    return lines


def _named_tables(key: str, field: FieldInfo, default: Mapping[str, BaseModel], title: str) -> list[str]:
    """Return a table for each of the models that a field holds by name, with their values."""
    lines = ["", f"# {field.description or key}"]
    for name, held in default.items():
        inner = f"{title}.{key}.{_toml_key(name)}"
        lines += [f"[{inner}]", *_table(type(held), inner, held.model_dump(exclude_none=True)), ""]
    return lines[:-1]


def _model_example(model: type[BaseModel]) -> Mapping[str, Any] | None:
    """Return values that make sense together, as a plug-in may give them: ``json_schema_extra={"example": {…}}`` of the model."""
    extra = model.model_config.get("json_schema_extra")
    found = extra.get("example") if isinstance(extra, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n", 1)[0]


def _is_list(annotation: Any) -> bool:
    """Say whether a type is a list of something, or a union that holds one."""
    origin = get_origin(annotation)
    if origin in {list, tuple, Sequence}:
        return True
    return origin is not None and any(_is_list(one) for one in get_args(annotation))


def _assignment(name: str, field: FieldInfo) -> str:
    """Return a line with the default, or with an example that is commented out unless the parameter must be given."""
    if field.is_required():
        return f"{name} = {_toml(_example(field))}"
    default = field.get_default(call_default_factory=True)
    if default is not None:
        return f"{name} = {_toml(default)}"
    example = _left_out(field)
    made_up = example is None and not field.examples and _is_number(field.annotation)
    shown = _toml(_example(field) if example is None else example)
    return f"# {name} = {shown}" + ("  # an example, no default" if made_up else "")


def _is_number(annotation: Any) -> bool:
    """Say whether a type is a number, or a union or an annotated type that holds one."""
    return annotation in {int, float} or any(_is_number(one) for one in get_args(annotation) if isinstance(one, type) or get_args(one))


def _left_out(field: FieldInfo) -> float | None:
    """Return the number that holds where a parameter is left out, as its description says: ``left out: 0.4, assumed``; None without one."""
    if field.examples or not _is_number(field.annotation):
        return None
    found = re.search(r"left out: (-?\d+(?:\.\d+)?)(?=[,;\s]|$)", field.description or "")
    return None if found is None else float(found[1])


def _example(field: FieldInfo) -> Any:
    """Return a value of the right kind; a plug-in may give its own as ``examples``."""
    if field.examples:
        return field.examples[0]
    words_known = _choices(field.annotation)
    if words_known:
        return words_known[0]
    words = str(field.annotation)
    for mark, value in (
        ("datetime", datetime(2026, 7, 1, 7, tzinfo=UTC)),
        ("list[float]", [1.0]),
        ("tuple[float", [0.0, 0.0, 1.0, 1.0]),
        ("str", "…"),
        ("float", 1.0),
        ("int", 1),
        ("bool", True),
    ):
        if mark in words:
            return value if not isinstance(value, int | float) or isinstance(value, bool) else _allowed(field, value)
    return "…"


def _choices(annotation: Any) -> tuple[Any, ...]:
    """Return the words that a type takes, those of the first list of words in a union."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return next((found for one in get_args(annotation) if (found := _choices(one))), ())


def _allowed(field: FieldInfo, value: float) -> float:
    """Return a number within the limits of a field: the given one, else the first of a few that fits."""
    from pydantic import TypeAdapter, ValidationError

    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for one in (value, *(type(value)(other) for other in (2, 10, 100, 1000, 0.5, 0.1, 0.01, -1))):
        try:
            adapter.validate_python(one)
        except ValidationError:
            continue
        return one
    return value


def _toml(value: Any) -> str:
    """Return a value as TOML: texts as in JSON, which TOML shares, models and mappings as inline tables."""
    from pydantic import BaseModel

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return json.dumps(value if isinstance(value, int | float) else str(value), ensure_ascii=False)


def _toml_key(key: Any) -> str:
    return str(key) if re.fullmatch(r"[\w-]+", str(key), re.ASCII) else json.dumps(str(key), ensure_ascii=False)
