"""CityGML 1.0, 2.0 and 3.0, read by streaming; plain GML is refused by name."""

from __future__ import annotations

from cim.loaders.citygml.read import CityGMLReader
from cim.loaders.protocol import Reader

__all__ = ["READER", "CityGMLReader"]

READER: Reader = CityGMLReader()
