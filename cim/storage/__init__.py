"""How a city is kept: a folder of immutable Parquet parts and numbered manifests, and SQL over it."""

from __future__ import annotations

from cim.storage.checking import Fault, check
from cim.storage.compaction import Compaction, compact
from cim.storage.manifest import FORMAT_VERSION, Part
from cim.storage.query import sql
from cim.storage.reader import Version, open, parts, versions
from cim.storage.writer import save

__all__ = ["FORMAT_VERSION", "Compaction", "Fault", "Part", "Version", "check", "compact", "open", "parts", "save", "sql", "versions"]
