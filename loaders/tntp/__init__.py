"""TNTP files of the Transportation Networks collection: networks, trips between zones, and flows."""

from __future__ import annotations

from cim.loaders.tntp.read import read_flow, read_network, read_trips

__all__ = ["read_flow", "read_network", "read_trips"]
