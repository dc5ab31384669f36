"""Which class an entity becomes."""

from __future__ import annotations

import pytest

from cim.loaders.ifc.classes import CLASSES, RULES, class_of, rule_for
from cim.model import classes


def test_every_class_named_is_one_of_the_model() -> None:
    for name in {*CLASSES.values(), *(rule.type for rule in RULES)}:
        assert classes.get(name).name == name


@pytest.mark.parametrize(
    ("chain", "predefined", "wanted"),
    [
        (("IfcStairFlight", "IfcBuildingElement", "IfcElement"), None, "BuildingConstructiveElement"),
        (
            ("IfcPump", "IfcFlowMovingDevice", "IfcDistributionFlowElement", "IfcDistributionElement", "IfcElement"),
            None,
            "BuildingInstallation",
        ),
        (("IfcGeographicElement", "IfcElement"), "VEGETATION", "SolitaryVegetationObject"),
        (("IfcOpeningStandardCase", "IfcOpeningElement", "IfcFeatureElement", "IfcElement"), None, None),
        (("IfcDistributionPort", "IfcPort", "IfcProduct"), None, None),
        (("IfcBridgePart", "IfcFacilityPart"), None, "BridgePart"),
    ],
)
def test_an_entity_takes_the_class_of_its_nearest_known_ancestor(
    chain: tuple[str, ...], predefined: str | None, wanted: str | None
) -> None:
    assert class_of(chain, predefined) == wanted


@pytest.mark.parametrize(
    ("entity", "names", "properties", "wanted"),
    [
        ("IfcBuildingElementProxy", ("x",), [("CPset_BGT", "objecttype", "paal")], "CityFurniture"),
        ("IfcBuildingElementProxy", ("x",), [("Other", "objecttype", "paal")], None),
        ("IfcBuildingElementProxy", ("GEO-Nulpunt",), [], "CityFurniture"),
        ("IfcBuildingElementProxy", ("路灯 12",), [], "CityFurniture"),
        ("IfcSlab", ("s",), [("CPset_BRK-Perceel", "a", "1")], "LandUse"),
        ("IfcSlab", ("lamp post",), [], None),
        ("IfcBuildingElementProxy", ("street tree 3",), [], "SolitaryVegetationObject"),
        ("IfcBuildingElementProxy", ("streetwise",), [], None),
    ],
)
def test_rules_look_at_properties_and_names(
    entity: str, names: tuple[str, ...], properties: list[tuple[str, str, str]], wanted: str | None
) -> None:
    rule = rule_for(entity, names, properties)
    assert (rule.type if rule else None) == wanted
