"""Traffic on the road network of a city.

========================  ========================================================================
``run_traffic``           `simulate`: a city, its trips and the state of its roads give one result
``case``                  what is checked before a run
``parameters``            `TrafficParameters`, the section ``[traffic]``; ``plugin``: the section
``outputs``               the tables of a result
``city_network``          `road_network`: the roads of a city as links, what is assumed marked;
                          ``city_supply``, ``city_turns``: lanes and speeds, banned turns
``closed_links``          closures of the city in time, together with those of the water
``road_states``           what water leaves of the roads, as traffic reads it
``demand``                `demand_of`: trips from floor area and use; ``demand_buildings``,
                          ``demand_zones``: their rates, zones and connectors
``demand_matrix``         `join_zones`: a matrix by zones that are objects of the city
``gravity``               `gravity`: who goes where
``estimation``            `estimate`: trips from counts; ``estimation_model``: its algebra
``departures``            `fleet_of`: vehicles from trips
``equilibrium``           `assign`: the static user equilibrium; ``equilibrium_kernels``: its loops
``equilibrium_noise``     `difference`: two equilibria, and what their gaps leave open
``dynamic``               `load_fleet`: every vehicle, with queues that spill back;
                          ``dynamic_arrays``, ``dynamic_faults``, ``dynamic_outcome``: its arrays,
                          what is refused, what became of the vehicles
``dynamic_kernels``       its loop, from event to event
``commands``              the command ``cim network``
========================  ========================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.traffic.city_network import RoadClass, road_network
    from cim.sim.traffic.demand import Demand, Gate, demand_of
    from cim.sim.traffic.demand_buildings import TripRate, trip_rates
    from cim.sim.traffic.demand_matrix import join_zones
    from cim.sim.traffic.departures import Departures, Profile, fleet_of
    from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
    from cim.sim.traffic.equilibrium import Assignment, assign
    from cim.sim.traffic.equilibrium_noise import Difference, difference
    from cim.sim.traffic.estimation import Estimate, Spread, estimate, geh
    from cim.sim.traffic.gravity import Gravity, furness
    from cim.sim.traffic.parameters import TrafficParameters
    from cim.sim.traffic.run_traffic import simulate

__all__ = [
    "Assignment",
    "Demand",
    "Departures",
    "Difference",
    "DynamicRun",
    "Estimate",
    "Fleet",
    "Gate",
    "Gravity",
    "LinkChange",
    "Profile",
    "RoadClass",
    "Spread",
    "TrafficParameters",
    "TripRate",
    "assign",
    "demand_of",
    "difference",
    "estimate",
    "fleet_of",
    "furness",
    "geh",
    "join_zones",
    "load_fleet",
    "road_network",
    "simulate",
    "trip_rates",
]

_HOME = {
    "Assignment": "equilibrium",
    "Demand": "demand",
    "Departures": "departures",
    "Difference": "equilibrium_noise",
    "DynamicRun": "dynamic",
    "Estimate": "estimation",
    "Fleet": "dynamic",
    "Gate": "demand",
    "Gravity": "gravity",
    "LinkChange": "dynamic",
    "Profile": "departures",
    "RoadClass": "city_network",
    "Spread": "estimation",
    "TrafficParameters": "parameters",
    "TripRate": "demand_buildings",
    "assign": "equilibrium",
    "demand_of": "demand",
    "difference": "equilibrium_noise",
    "estimate": "estimation",
    "fleet_of": "departures",
    "furness": "gravity",
    "geh": "estimation",
    "join_zones": "demand_matrix",
    "load_fleet": "dynamic",
    "road_network": "city_network",
    "simulate": "run_traffic",
    "trip_rates": "demand_buildings",
}


def __getattr__(name: str) -> Any:
    """Return a public function, loading its module when it is first asked for."""
    if name not in _HOME:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
