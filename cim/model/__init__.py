"""What a city is: tables of objects, attributes, geometry, relations, claims, sources and issues, and the views on them."""

from __future__ import annotations

from cim.model.builder import CityBuilder, SourceRecord
from cim.model.city import City
from cim.model.columns import Column
from cim.model.combine import concat
from cim.model.hierarchy import group_by_place, roll_up
from cim.model.history import Diff, diff
from cim.model.objects import CityObject, Claim
from cim.model.report import Report
from cim.model.reproject import to_crs

__all__ = [
    "City",
    "CityBuilder",
    "CityObject",
    "Claim",
    "Column",
    "Diff",
    "Report",
    "SourceRecord",
    "concat",
    "diff",
    "group_by_place",
    "roll_up",
    "to_crs",
]
