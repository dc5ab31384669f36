"""Files of the traffic simulation SUMO: networks with lanes and signals, vehicles with routes; read, written for SUMO, run there."""

from __future__ import annotations

from cim.loaders.sumo.network import closed_to, read_network
from cim.loaders.sumo.routes import SumoRoutes, VehicleType, read_routes
from cim.loaders.sumo.run import SumoRun, referee
from cim.loaders.sumo.write import SumoFiles, write_sumo

__all__ = ["SumoFiles", "SumoRoutes", "SumoRun", "VehicleType", "closed_to", "read_network", "read_routes", "referee", "write_sumo"]
