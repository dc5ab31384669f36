"""Parts found by entry point: readers, simulators, checks, layers and commands, ours and other people's alike."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from cim.errors import MissingExtraError

__all__ = ["GROUPS", "available", "load", "load_extra"]

GROUPS = ("cim.readers", "cim.networks", "cim.simulators", "cim.checks", "cim.layers", "cim.commands")


@cache
def available(group: str) -> tuple[str, ...]:
    """Return the names registered in an entry-point group, sorted.

    Examples
    --------
    >>> "vector" in available("cim.readers")
    True
    """
    return tuple(sorted({point.name for point in entry_points(group=group)}))


@cache
def load(group: str, name: str) -> Any:
    """Return the object that an entry point names.

    Raises
    ------
    KeyError
        If no installed package registers `name` in `group`.
    """
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    msg = f"no plug-in {name!r} in {group}; installed: {', '.join(available(group)) or 'none'}"
    raise KeyError(msg)


def load_extra(module: str, extra: str) -> ModuleType:
    """Import an optional library, or say how to install it.

    Parameters
    ----------
    module
        Name to import, such as ``"pyvista"``.
    extra
        The extra of this distribution that brings it, such as ``"scenes"``.

    Raises
    ------
    MissingExtraError
        If the library is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        msg = f"{module} is not installed; run: pip install 'cim-toolkit[{extra}]'"
        raise MissingExtraError(msg) from error
