"""A commented scenario file to start from, made from what the plug-ins say about their parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cim import plugins
from cim.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ["kinds", "template"]

_HEAD = """\
# Scenario 方案. Run it:   cim run FILE -o FOLDER      Find every fault:   cim check FILE
# Lines that begin with # are comments; take the # away to use what stands behind it. Lengths are metres, times are UTC.

# the city to start from: a .cim folder, relative to this file
city = "district.cim"
# name of the scenario; stands in the claims that its changes make
name = "option A"
# further files beside Parquet and JSON: "excel", "geopackage", "geotiff", "parquet"
outputs = ["geopackage", "excel"]

# What differs from the city, in order. Each step begins with [[change]].
# [[change]]
# do = "raise_building"
# id = "b12"
# by = 6.0          # or: to = 24.0
# storeys = 8

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
"""


def kinds() -> tuple[str, ...]:
    """Return what `template` can be asked for: each simulator, each check, ``planning`` (all checks) and ``all``."""
    return (*plugins.available("cim.simulators"), *plugins.available("cim.checks"), "planning", "all")


def template(kind: str = "all") -> str:
    """Return the text of a scenario file with comments on every parameter.

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
    return _HEAD + "".join(_section(group, name) for group, name in chosen)


def _section(group: str, name: str) -> str:
    """Return one section: its title, then each parameter with what it means."""
    plugin = plugins.load(group, name)
    parameters: type[BaseModel] = plugin.parameters
    title = f"checks.{name}" if group == "cim.checks" else name
    lines = [f"\n# {plugin.title_en} {plugin.title_zh}", f"[{title}]"]
    for field_name, field in parameters.model_fields.items():
        lines.append(f"# {field.description or field_name}")
        lines.append(_assignment(field_name, field))
    return "\n".join(lines) + "\n"


def _assignment(name: str, field: FieldInfo) -> str:
    """Return a line with the default, or with an example that is commented out unless the parameter must be given."""
    if field.is_required():
        return f"{name} = {_toml(_example(field))}"
    if field.default is None:
        return f"# {name} = {_toml(_example(field))}"
    return f"{name} = {_toml(field.default)}"


def _example(field: FieldInfo) -> Any:
    """Return a value of the right kind; a plug-in may give its own as ``examples``."""
    if field.examples:
        return field.examples[0]
    words = str(field.annotation)
    for mark, value in (
        ("list[float]", [1.0]),
        ("tuple[float", [0.0, 0.0, 1.0, 1.0]),
        ("str", "…"),
        ("float", 1.0),
        ("int", 1),
        ("bool", True),
    ):
        if mark in words:
            return value
    return "…"


def _toml(value: Any) -> str:
    """Return a value as TOML; lists and text are written as in JSON, which TOML shares."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)
