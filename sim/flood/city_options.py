"""What a caller may decide about the ground of a city on which water flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.elevation import cell_faults, option_faults

if TYPE_CHECKING:
    from cim.sim.flood.domain import Edge
    from cim.sim.terrain import Terrain

__all__ = ["CityOptions", "is_number"]


@dataclass(frozen=True)
class CityOptions:
    """What the caller asked for."""

    resolution: float | None
    area: Any
    terrain: Terrain
    buildings: str
    roofs: str
    roughness: Any
    infiltration: Any
    gaps: str
    culverts: str
    underpasses: str
    decks: str
    edge: Edge | None
    largest_gap: float
    clearance: float
    covers: Any
    soil: str | None

    @property
    def free(self) -> bool:
        """Whether water leaves at the outer edge."""
        return (self.edge or ("closed" if self.area is None else "free")) == "free"

    def faults(self) -> list[str]:
        """Return which options make no sense."""
        known = {
            "buildings": (self.buildings, ("raise", "wall", "ignore")),
            "roofs": (self.roofs, ("gutter", "ground", "keep")),
            "gaps": (self.gaps, ("fill", "wall")),
            "culverts": (self.culverts, ("breach", "keep")),
            "underpasses": (self.underpasses, ("burn", "keep")),
            "decks": (self.decks, ("remove", "keep")),
        }
        faults = option_faults(known)
        faults += [] if self.edge is None else option_faults({"edge": (self.edge, ("free", "closed"))})
        for name in ("resolution", "largest_gap", "clearance"):
            value = getattr(self, name)
            if value is not None and not (is_number(value) and value >= 0 and (value > 0 or name == "largest_gap")):
                faults.append(f"{name}={value!r}; expected a number above 0")
        faults += cell_faults(self.resolution) if is_number(self.resolution) and (self.resolution or 0) > 0 else []
        if isinstance(self.roughness, str) and self.roughness != "land_use":
            faults.append(f"roughness={self.roughness!r}; expected 'land_use', a number [s/m^(1/3)] or a field")
        if is_number(self.roughness) and not 0 < self.roughness <= 1:
            faults.append(f"roughness={self.roughness!r}; expected Manning's n above 0 and at most 1 s/m^(1/3)")
        if isinstance(self.infiltration, str) and self.infiltration != "land_use":
            faults.append(f"infiltration={self.infiltration!r}; expected 'land_use', None or a law")
        return faults


def is_number(value: Any) -> bool:
    """Say whether a value is one finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))
