"""What water does to a city: depth, hazard, damage and people by object id, read from the fields of a flood run.

====================  ======================================================================================
``parameters``        every threshold, with its source, in one model that is also the section ``[impact]``
``hazard``            hazard by DEFRA and by Australian Rainfall and Runoff, vehicles that can still pass
``water``             the fields of a run, checked and brought to one form
``places``            which cells belong to which object, and what the water does on them
``floors``            the level of the ground floor: door, storey, attribute, or an assumed threshold
``doors``             doors of building models and the water at their sills
``road_water``        what water stands on a road, for the tables here and for `cim.sim.coupling`: the one owner
``road_pieces``       roads and their links as pieces
``road_crossings``    which of them are on a bridge or in a tunnel
``decks``             how high the decks of bridges lie
``over_underpasses``  roads that lead over an underpass
``roads``             the tables of roads and of their links
``pipes``             pipes, and manholes with the water over their rims
``assess``            `exposure`
``curves``            depth-damage curves
``damages``           `damage`
``residents``         `people`
``plugin``            the section ``[impact]`` of a scenario file
====================  ======================================================================================

What the water and the traffic leave of the streets for those who help and those who flee:

====================  ================================================================================
``reachability``      `reach`: who is helped in time, step by step; ``reach_…`` are its parts
``service_areas``     `service_area`: circles of a time or a way along the roads
``evacuating``        `evacuation`: on foot to shelters with so many places
``walking``           the network of pedestrians
``reach_plugin``      the section ``[reach]``
====================  ================================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.impact.assess import exposure
    from cim.sim.impact.curves import DamageCurves, jrc_curves, read_curves
    from cim.sim.impact.damages import BuildingValues, damage
    from cim.sim.impact.evacuating import evacuation, evacuation_time
    from cim.sim.impact.hazard import arr_class, defra_class, defra_rating, passable
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.reach_parameters import ReachParameters
    from cim.sim.impact.reachability import reach
    from cim.sim.impact.residents import people
    from cim.sim.impact.service_areas import service_area
    from cim.sim.impact.walking import walking_network

__all__ = [
    "BuildingValues",
    "DamageCurves",
    "ImpactParameters",
    "ReachParameters",
    "arr_class",
    "damage",
    "defra_class",
    "defra_rating",
    "evacuation",
    "evacuation_time",
    "exposure",
    "jrc_curves",
    "passable",
    "people",
    "reach",
    "read_curves",
    "service_area",
    "walking_network",
]

_HOME = {
    "BuildingValues": "damages",
    "DamageCurves": "curves",
    "ImpactParameters": "parameters",
    "arr_class": "hazard",
    "damage": "damages",
    "defra_class": "hazard",
    "defra_rating": "hazard",
    "evacuation": "evacuating",
    "evacuation_time": "evacuating",
    "exposure": "assess",
    "jrc_curves": "curves",
    "passable": "hazard",
    "people": "residents",
    "reach": "reachability",
    "ReachParameters": "reach_parameters",
    "read_curves": "curves",
    "service_area": "service_areas",
    "walking_network": "walking",
}


def __getattr__(name: str) -> Any:
    """Return a public function, loading its module when it is first asked for."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
