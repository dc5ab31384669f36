"""Terrain and surface models: GeoTIFF and ESRI ASCII grids."""

from __future__ import annotations

from cim.loaders.terrain.reader import READER, TerrainReader

__all__ = ["READER", "TerrainReader"]
