"""What an IFC file says about its place, as plain values, and how the verdict on it is written into a city.

`gather` reads an opened model, `gather_header` the text of a file whose schema the library refuses. Judging what was found is
the work of `cim.loaders.ifc.georeference`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.loaders.ifc.georeference import Placement
    from cim.model import CityBuilder

__all__ = ["GeoFacts", "gather", "gather_header", "record"]


@dataclass(frozen=True)
class GeoFacts:
    """Everything in a file that bears on its place."""

    schema: str = ""
    """Schema as the file names it, such as "IFC4"."""
    unit: float = 1.0
    """Metres per length unit of the file."""


def gather(model: Any) -> GeoFacts:
    """Return what an opened `ifcopenshell.file` says about its place."""
    raise NotImplementedError


def gather_header(path: Path) -> GeoFacts | None:
    """Return what the text of a file says about its place, without its schema; None when it says nothing."""
    raise NotImplementedError


def record(builder: CityBuilder, key: int, source: int | None, placement: Placement) -> None:
    """Write the verdict as `properties` rows (set "georeference") of the object `key`, and what is to be told as issues."""
    raise NotImplementedError
