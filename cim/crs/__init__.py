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

from cim.crs.cgcs2000 import GaussKruegerGuess, ZoneCRS, cgcs2000_zone, detect_cgcs2000
from cim.crs.city_crs import CityCRS, parse
from cim.crs.gcj02 import bd09_to_gcj02, bd09_to_wgs84, gcj02_to_bd09, gcj02_to_wgs84, wgs84_to_bd09, wgs84_to_gcj02
from cim.crs.plausible import check_plausible
from cim.crs.suitability import Distortion, check_model_crs, distortion, is_web_mercator, suggest_model_crs
from cim.crs.transform import Transformed, transform_geometries, transform_points

__all__ = [
    "CityCRS",
    "Distortion",
    "GaussKruegerGuess",
    "Transformed",
    "ZoneCRS",
    "bd09_to_gcj02",
    "bd09_to_wgs84",
    "cgcs2000_zone",
    "check_model_crs",
    "check_plausible",
    "detect_cgcs2000",
    "distortion",
    "gcj02_to_bd09",
    "gcj02_to_wgs84",
    "is_web_mercator",
    "parse",
    "suggest_model_crs",
    "transform_geometries",
    "transform_points",
    "wgs84_to_bd09",
    "wgs84_to_gcj02",
]
