"""OpenStreetMap extracts: .osm (XML) and .osm.pbf, plain or compressed, read with osmium."""

from __future__ import annotations

from cim.loaders.osm.reader import READER, OsmReader

__all__ = ["READER", "OsmReader"]
