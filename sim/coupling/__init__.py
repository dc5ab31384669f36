"""From water to traffic: what a road can carry while a flood stands on it.

==================  ======================================================================
``state_of_roads``  `road_state`: speed, capacity and closure of every link, the one owner
``parameters``      `RoadParameters`: every threshold, with its source
``speed``           speed by depth, capacity under water, classes of rain
``rain``            the rain on the roads in each interval
``pieces``          which piece of which road each link is
``roads``           the greatest water on them, which `cim.sim.impact.road_water` knows
``water_along``     the water of those cells from output to output
``passage``         from the water to the states of links
``tables``          the tables
``plugin``          the section ``[roads]``
==================  ======================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.coupling.parameters import RoadParameters
    from cim.sim.coupling.plugin import SIMULATOR
    from cim.sim.coupling.speed import water_speed
    from cim.sim.coupling.state_of_roads import road_state

__all__ = ["SIMULATOR", "RoadParameters", "road_state", "water_speed"]

_HOME = {
    "RoadParameters": "parameters",
    "SIMULATOR": "plugin",
    "road_state": "state_of_roads",
    "water_speed": "speed",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
