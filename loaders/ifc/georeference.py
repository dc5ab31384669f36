"""Where an IFC model stands: every piece of evidence weighed, one verdict with its reason, and the rejected evidence named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.loaders.ifc.evidence import GeoFacts
    from cim.loaders.protocol import ReadOptions

__all__ = ["Evidence", "Placement", "locate"]


@dataclass(frozen=True)
class Evidence:
    """One reading of one source, and what became of it."""

    source: str
    """Such as "IfcMapConversion x1", "IfcSite latitude/longitude", "Pset CPset_GEO-Nulpunt", "absolute coordinates"."""
    crs: str
    easting: float
    northing: float
    height: float | None
    rotation: float | None
    scale: float
    uncertainty: float | None
    score: float
    accepted: bool
    reason: str


@dataclass(frozen=True)
class Placement:
    """Where the model stands, and why."""

    crs: CityCRS
    matrix: NDArray[np.float64]
    """Project coordinates in metres -> metres east, north, up in `crs`; shape (4, 4)."""
    verdict: str
    """"given" | "agreed" | "stated once" | "coarse" | "contradicting" | "unknown"."""
    reason: str
    uncertainty: float | None
    evidence: tuple[Evidence, ...]
    unit_factor: float
    """Metres per length unit of the file."""


def locate(facts: GeoFacts, path: Path, options: ReadOptions) -> Placement:
    """Return where the model stands."""
    raise NotImplementedError
