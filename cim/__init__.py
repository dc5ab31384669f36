"""The CIM toolkit 城市信息模型: one semantic city model from many files, what-if runs over it, and layered 3D scenes.

Everything public here is imported when it is first used, so that ``import cim`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.model import City, Diff, diff
    from cim.results import compare
    from cim.scenario import Change
    from cim.storage import compact, open, save, sql  # the natural word; the builtin is not needed here

__all__ = ["Change", "City", "Diff", "__version__", "compact", "compare", "diff", "open", "save", "sql"]

__version__ = "0.1.0"

_HOME = {
    "Change": "cim.scenario",
    "City": "cim.model",
    "Diff": "cim.model",
    "compact": "cim.storage",
    "compare": "cim.results",
    "diff": "cim.model",
    "open": "cim.storage",
    "save": "cim.storage",
    "sql": "cim.storage",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOME:
        msg = f"module 'cim' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
