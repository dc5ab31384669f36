"""The flood simulator: full shallow water on the city, from rain to depth, velocity and hazard, with every cubic metre accounted for.

==========================  ==========================================================================
``simulate``                a flood on a city, an elevation model or a `FlowDomain`
``Rain``, ``DesignStorm``   rain: constant, series, gridded, stations, storms by intensity formulas
``Boundary``, ``Inflow``    open sides, and water poured in
``Pump``, ``Breach``        structures
``GreenAmpt`` …             laws of infiltration
``domain_from_city``        what the solver sees of a city
==========================  ==========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.flood.boundary import Boundary, Inflow
    from cim.sim.flood.city_domain import domain_from_city
    from cim.sim.flood.domain import FlowDomain
    from cim.sim.flood.infiltration import Constant, CurveNumber, GreenAmpt, Horton
    from cim.sim.flood.plugin import SIMULATOR
    from cim.sim.flood.rain import Rain
    from cim.sim.flood.run_flood import simulate
    from cim.sim.flood.series import Series
    from cim.sim.flood.storms import DesignStorm
    from cim.sim.flood.structures import Breach, Pump

__all__ = [
    "SIMULATOR",
    "Boundary",
    "Breach",
    "Constant",
    "CurveNumber",
    "DesignStorm",
    "FlowDomain",
    "GreenAmpt",
    "Horton",
    "Inflow",
    "Pump",
    "Rain",
    "Series",
    "domain_from_city",
    "simulate",
]

_HOMES = {
    "SIMULATOR": "plugin",
    "Boundary": "boundary",
    "Breach": "structures",
    "Constant": "infiltration",
    "CurveNumber": "infiltration",
    "DesignStorm": "storms",
    "FlowDomain": "domain",
    "GreenAmpt": "infiltration",
    "Horton": "infiltration",
    "Inflow": "boundary",
    "Pump": "structures",
    "Rain": "rain",
    "Series": "series",
    "domain_from_city": "city_domain",
    "simulate": "run_flood",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for: numba and pandas are heavy."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
