"""GMNS folders, the General Modeling Network Specification: networks in and out, and counts on links."""

from __future__ import annotations

from cim.loaders.gmns.counts import COUNTS, read_counts
from cim.loaders.gmns.read import read_network
from cim.loaders.gmns.write import write_network

__all__ = ["COUNTS", "read_counts", "read_network", "write_network"]
