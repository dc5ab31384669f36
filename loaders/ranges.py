"""What values a known attribute can have at all: beyond these bounds stands a sentinel, another unit or a slip."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RANGES", "SENTINELS", "Range", "range_of"]


class Range(NamedTuple):
    """Closed bounds in the SI unit of the standard name."""

    low: float
    high: float
    unit: str


# Wide on purpose: the tallest building stands 828 m, taller ones are planned; the lowest city ground lies 430 m below the sea.
_HEIGHT, _LEVEL = Range(0.0, 1000.0, "m"), Range(-500.0, 9000.0, "m")
_AREA, _SHARE = Range(0.0, 1e10, "m²"), Range(0.0, 1.0, "")
RANGES = {
    "height": _HEIGHT, "eaves_height": _HEIGHT, "ridge_height": _HEIGHT, "height_limit": _HEIGHT,
    "storey_height": Range(0.5, 50.0, "m"), "storeys_above_ground": Range(0, 250, "storeys"),
    "storeys_below_ground": Range(0, 50, "storeys"),
    "z_ground": _LEVEL, "z_roof": _LEVEL, "z_eaves": _LEVEL, "z_roof_p50": _LEVEL, "z_roof_p90": _LEVEL, "z_ground_p10": _LEVEL,
    "elevation": _LEVEL, "invert_level": _LEVEL, "water_level": _LEVEL,
    "year_of_construction": Range(-3000, 2200, ""), "year_of_demolition": Range(-3000, 2200, ""),
    "footprint_area": _AREA, "floor_area": _AREA, "gross_floor_area": _AREA, "far_floor_area": _AREA, "plot_area": _AREA,
    "volume": Range(0.0, 1e12, "m³"), "dwellings": Range(0, 1e6, ""), "population": Range(0, 1e8, ""),
    "lanes": Range(0, 50, ""), "speed_limit": Range(0.0, 150.0, "m/s"), "width": Range(0.0, 1e4, "m"), "length": Range(0.0, 1e8, "m"),
    "diameter": Range(0.0, 50.0, "m"), "cover_depth": Range(-10.0, 500.0, "m"), "crown_diameter": Range(0.0, 100.0, "m"),
    "trunk_diameter": Range(0.0, 50.0, "m"), "far_limit": Range(0.0, 100.0, ""), "floor_area_ratio": Range(0.0, 100.0, ""),
    "density_limit": _SHARE, "building_density": _SHARE, "green_ratio": _SHARE, "green_ratio_limit": _SHARE,
    "setback": Range(0.0, 1e4, "m"),
}  # fmt: skip
SENTINELS = (
    -9999.0,
    -999.0,
    -99.0,
    -99999.0,
    -32768.0,
    -32767.0,
    9999.0,
    99999.0,
    999999.0,
    1e6,
    -1e6,
    3.4028234663852886e38,
    -3.4028234663852886e38,
)
"""Numbers that stand for "no value" in files that state none."""


def range_of(name: str) -> Range | None:
    """Return the bounds of a standard name, None where every number may be meant."""
    return RANGES.get(name)
