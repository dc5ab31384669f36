"""Files of the traffic simulation SUMO: networks with lanes and signals, vehicles with their routes."""

from __future__ import annotations

from cim.loaders.sumo.export import PlainFiles, write_plain, write_routes
from cim.loaders.sumo.network import closed_to, read_network
from cim.loaders.sumo.routes import SumoRoutes, VehicleType, read_routes

__all__ = ["PlainFiles", "SumoRoutes", "VehicleType", "closed_to", "read_network", "read_routes", "write_plain", "write_routes"]
