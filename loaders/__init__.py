"""Sources to City: the one door (`read`), the readers behind it, and fusion (`fuse`)."""

from __future__ import annotations

if __name__ != "cim.loaders":
    msg = "this folder is imported as cim.loaders"
    raise ImportError(msg)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.loaders.cutting import singulate
    from cim.loaders.door import describe, read
    from cim.loaders.floors import storeys
    from cim.loaders.fusion import fuse, resolve
    from cim.loaders.imagery import green_ratio, land_cover
    from cim.loaders.limits import Limits
    from cim.loaders.pipe_tables import pipe_network
    from cim.loaders.protocol import Description, LayerInfo, Reader, ReadOptions
    from cim.loaders.semantics import classify
    from cim.loaders.zonal_city import add_zonal

__all__ = [
    "Description",
    "LayerInfo",
    "Limits",
    "ReadOptions",
    "Reader",
    "add_zonal",
    "classify",
    "describe",
    "fuse",
    "green_ratio",
    "land_cover",
    "pipe_network",
    "read",
    "resolve",
    "singulate",
    "storeys",
]

_HOMES = {
    "read": "door",
    "describe": "door",
    "Limits": "limits",
    "ReadOptions": "protocol",
    "Reader": "protocol",
    "Description": "protocol",
    "LayerInfo": "protocol",
    "fuse": "fusion",
    "pipe_network": "pipe_tables",
    "storeys": "floors",
    "singulate": "cutting",
    "classify": "semantics",
    "resolve": "fusion",
    "add_zonal": "zonal_city",
    "green_ratio": "imagery",
    "land_cover": "imagery",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
