"""Files of the traffic simulation SUMO: networks with lanes and signals, vehicles with routes; read, and written for SUMO."""

from __future__ import annotations

from cim.loaders.sumo.network import closed_to, read_network
from cim.loaders.sumo.routes import SumoRoutes, VehicleType, read_routes
from cim.loaders.sumo.write import SumoFiles, write_sumo

__all__ = ["SumoFiles", "SumoRoutes", "VehicleType", "closed_to", "read_network", "read_routes", "write_sumo"]
