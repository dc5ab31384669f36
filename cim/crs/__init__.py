"""Coordinate systems of a city: what they are, whether coordinates can be in them, and how to get from one to another.

A `CityCRS` holds the horizontal and the vertical system apart, "vertical unknown" being a value. From the door on
the axis order is east, north, up, whatever the authority lists. Nothing here moves a point silently: every
transformation says which operation it used, how accurate it is, and refuses when PROJ has only a ballpark guess.

======================  =========================================================================
``city_crs``            `CityCRS`, `parse`: from text to a coordinate system and back
``suitability``         which systems a city may be modelled in, and which fits a place
``plausible``           can these coordinates be in that system?
``transform``           points and geometries from one system to another
``cgcs2000``            the Gauss-Krüger zones of China: codes, zone prefixes, wrong zones
``gcj02``               the shifted coordinates of Chinese web maps, which PROJ does not know
======================  =========================================================================
"""

from __future__ import annotations

from cim.crs.city_crs import CityCRS, parse
from cim.crs.transform import Transformed, transform_geometries, transform_points

__all__ = [
    "CityCRS",
    "Transformed",
    "parse",
    "transform_geometries",
    "transform_points",
]
