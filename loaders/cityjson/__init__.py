"""CityJSON 1.0 to 2.0 and CityJSONSeq, read and written."""

from __future__ import annotations

from cim.loaders.cityjson.read import CityJSONReader
from cim.loaders.cityjson.write import write_cityjson, write_cityjsonseq
from cim.loaders.protocol import Reader

__all__ = ["READER", "CityJSONReader", "write_cityjson", "write_cityjsonseq"]

READER: Reader = CityJSONReader()
