"""Which class of the city an IFC entity becomes: by its own name or its nearest ancestor, and for proxies by rule.

A rule looks at what the makers of a model wrote because the entity itself says nothing: a property, a classification, a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LEFT_OUT", "RULES", "Rule", "class_of", "in_facility", "rule_for"]

CLASSES: Mapping[str, str] = {
    "IfcProject": "CityObjectGroup",
    "IfcSite": "LandUse",
    "IfcBuilding": "Building",
    "IfcBuildingStorey": "BuildingStorey",
    "IfcSpace": "BuildingRoom",
    "IfcSpatialZone": "BuildingUnit",
    "IfcExternalSpatialElement": "GenericUnoccupiedSpace",
    "IfcBridge": "Bridge",
    "IfcBridgePart": "BridgePart",
    "IfcRoad": "Road",
    "IfcRoadPart": "Section",
    "IfcRailway": "Railway",
    "IfcRailwayPart": "Section",
    "IfcMarineFacility": "OtherConstruction",
    "IfcFacility": "OtherConstruction",
    "IfcFacilityPart": "OtherConstruction",
    "IfcDoor": "Door",
    "IfcWindow": "Window",
    "IfcFurnishingElement": "BuildingFurniture",
    "IfcDistributionElement": "BuildingInstallation",
    "IfcElectricalElement": "BuildingInstallation",
    "IfcEquipmentElement": "BuildingInstallation",
    "IfcTransportElement": "BuildingInstallation",
    "IfcTransportationDevice": "BuildingInstallation",
    "IfcPavement": "TrafficArea",
    "IfcCourse": "TrafficArea",
    "IfcKerb": "AuxiliaryTrafficArea",
    "IfcGeographicElement": "GenericOccupiedSpace",
    "IfcGeotechnicalElement": "GenericOccupiedSpace",
    "IfcCivilElement": "OtherConstruction",
    "IfcEarthworksElement": "OtherConstruction",
    "IfcProxy": "GenericOccupiedSpace",
    "IfcBuildingElementProxy": "GenericOccupiedSpace",
    "IfcElement": "BuildingConstructiveElement",
    "IfcSystem": "CityObjectGroup",
    "IfcZone": "CityObjectGroup",
    "IfcGroup": "CityObjectGroup",
}
"""Class by entity; what stands for an ancestor holds for all below it that are not named themselves."""

LEFT_OUT = (
    "IfcFeatureElement", "IfcVirtualElement", "IfcPort", "IfcAnnotation", "IfcGrid", "IfcStructuralActivity", "IfcStructuralItem",
    "IfcPositioningElement", "IfcLinearElement", "IfcLinearPositioningElement", "IfcReferent", "IfcAlignment", "IfcTendonAnchor",
)  # fmt: skip
"""Products that are no objects of a city: voids, ports (they become links), drawing aids, load models, axes."""

_KEEP = frozenset({"IfcTendonAnchor"})

_FACILITY = {"Bridge": "BridgeConstructiveElement", "BridgePart": "BridgeConstructiveElement"}

_VEGETATION = {"VEGETATION": "SolitaryVegetationObject", "TERRAIN": "TINRelief", "SOIL_BORING_POINT": "GenericOccupiedSpace"}


@dataclass(frozen=True)
class Rule:
    """One rule: an object that meets it is of this class."""

    type: str
    """Class it becomes."""
    entities: tuple[str, ...]
    """Entities it is asked for."""
    property: str = ""
    """Name of a property, in capitals or not, as a regular expression for the whole name; not asked when empty."""
    value: str = ""
    """Regular expression found in its value (or in the name, classification or object type without `property`)."""
    set: str = ""
    """Regular expression found in the name of the property set."""
    why: str = ""
    """For the report."""


_PROXY = ("IfcBuildingElementProxy", "IfcProxy")
_LOOSE = (*_PROXY, "IfcSlab", "IfcGeographicElement")
_BGT = "objecttype|bgt-?type|plus-?type"
_POLES = r"^(paal|mast|lichtmast|put|bord|straatmeubilair|bak|kast|sensor|installatie)"
_STREET = r"\b(lamp ?post|street ?light|bollard|bench|traffic (light|sign)|hydrant|lichtmast|paal)\b|路灯|信号灯|座椅|消防栓"
_MARKS = r"geo-?(nulpunt|reference)|zero ?point|survey ?point|control ?point|基准点|控制点"

RULES: tuple[Rule, ...] = (
    Rule("CityFurniture", _PROXY, _BGT, _POLES, r"BGT", "BGT object type"),
    Rule("SolitaryVegetationObject", _PROXY, _BGT, r"^(boom|haag|vegetatieobject)", r"BGT", "BGT object type"),
    Rule("CityFurniture", _PROXY, "", _MARKS, "", "survey mark"),
    Rule("LandUse", _LOOSE, "", "", r"BRK|Kadast|Cadast|Perceel|Parcel|宗地", "cadastral property set"),
    Rule("GenericLogicalSpace", _LOOSE, "", "", r"Ruimtelijke ?plan|Maatvoering|Bestemming|Zoning|规划", "planning property set"),
    Rule("SolitaryVegetationObject", _PROXY, "", r"\b(tree|boom|arbre|baum|shrub)\b|乔木|行道树|灌木", "", "name"),
    Rule("CityFurniture", _PROXY, "", _STREET, "", "name"),
)
"""Asked in order; the first that fits is taken."""


def class_of(chain: tuple[str, ...], predefined: str | None = None) -> str | None:
    """Return the class for an entity from its names, own first, then its ancestors; None for what is no object.

    Examples
    --------
    >>> (
    ...     class_of(("IfcWallStandardCase", "IfcWall", "IfcBuildingElement", "IfcElement")),
    ...     class_of(("IfcOpeningElement", "IfcFeatureElement")),
    ... )
    ('BuildingConstructiveElement', None)
    """
    if "IfcGeographicElement" in chain:
        return _VEGETATION.get((predefined or "").upper(), "GenericOccupiedSpace")
    for name in chain:
        if name in CLASSES:
            return CLASSES[name]
        if name in LEFT_OUT and chain[0] not in _KEEP:
            return None
    return None


def in_facility(kind: str, facility: str) -> str:
    """Return the class of a construction element that stands in a facility of another kind than a building.

    Examples
    --------
    >>> in_facility("BuildingConstructiveElement", "BridgePart"), in_facility("Door", "Building")
    ('BridgeConstructiveElement', 'Door')
    """
    return _FACILITY.get(facility, kind) if kind == "BuildingConstructiveElement" else kind


def rule_for(entity: str, names: tuple[str, ...], properties: list[tuple[str, str, Any]]) -> Rule | None:
    """Return the rule that an object meets.

    Parameters
    ----------
    names
        Name, object type, classification: whatever text the object carries.
    properties
        Property set, name and value.
    """
    return next((rule for rule in RULES if entity in rule.entities and _meets(rule, names, properties)), None)


def _meets(rule: Rule, names: tuple[str, ...], properties: list[tuple[str, str, Any]]) -> bool:
    if not rule.property:
        if rule.set:
            return any(re.search(rule.set, owner, re.IGNORECASE) for owner, _, _ in properties)
        return any(re.search(rule.value, text, re.IGNORECASE) for text in names)
    return any(
        re.fullmatch(rule.property, name, re.IGNORECASE)
        and re.search(rule.set, owner, re.IGNORECASE)
        and re.search(rule.value, str(value), re.IGNORECASE)
        for owner, name, value in properties
    )
