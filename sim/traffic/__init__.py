"""Traffic on the road network of a city.

=======================  =====================================================================
``equilibrium``          `assign`: the static user equilibrium
``equilibrium_kernels``  its loops: shortest paths and gradient projection
``city_network``         `road_network`: the roads of a city as links, what is assumed marked
``dynamic``              `load_fleet`: every vehicle, with queues that spill back
``dynamic_kernels``      its loop, from event to event
=======================  =====================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.traffic.city_network import RoadClass, road_network
    from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
    from cim.sim.traffic.equilibrium import Assignment, assign

__all__ = ["Assignment", "DynamicRun", "Fleet", "LinkChange", "RoadClass", "assign", "load_fleet", "road_network"]

_HOME = {
    "Assignment": "equilibrium",
    "DynamicRun": "dynamic",
    "Fleet": "dynamic",
    "LinkChange": "dynamic",
    "RoadClass": "city_network",
    "assign": "equilibrium",
    "road_network": "city_network",
    "load_fleet": "dynamic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
