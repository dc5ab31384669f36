"""Traffic on the road network of a city.

========================  ==========================================================
``equilibrium``           `assign`: the static user equilibrium
``equilibrium_kernels``   its loops: shortest paths and gradient projection
``dynamic``               `simulate`: every vehicle, with queues that spill back
``dynamic_kernels``       its loop, from event to event
========================  ==========================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, simulate
    from cim.sim.traffic.equilibrium import Assignment, assign

__all__ = ["Assignment", "DynamicRun", "Fleet", "LinkChange", "assign", "simulate"]

_HOME = {
    "Assignment": "equilibrium",
    "DynamicRun": "dynamic",
    "Fleet": "dynamic",
    "LinkChange": "dynamic",
    "assign": "equilibrium",
    "simulate": "dynamic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
