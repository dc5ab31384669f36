"""The list of classes: complete against the names of the standards, consistent in itself, and translated there and back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model.classes import CLASSES, EXTENSION, from_cityjson, get, label, to_cityjson

# Concrete feature types of CityGML 3.0 (OGC 20-010), by module, without the appearance of surfaces and the model itself.
CITYGML = {
    "Core": "Address ClosureSurface",
    "Construction": "CeilingSurface Door DoorSurface FloorSurface GroundSurface InteriorWallSurface OtherConstruction OuterCeilingSurface "
    "OuterFloorSurface RoofSurface WallSurface Window WindowSurface",
    "Building": "Building BuildingConstructiveElement BuildingFurniture BuildingInstallation BuildingPart BuildingRoom BuildingUnit Storey",
    "Bridge": "Bridge BridgeConstructiveElement BridgeFurniture BridgeInstallation BridgePart BridgeRoom",
    "Tunnel": "HollowSpace Tunnel TunnelConstructiveElement TunnelFurniture TunnelInstallation TunnelPart",
    "Transportation": "AuxiliaryTrafficArea AuxiliaryTrafficSpace ClearanceSpace Hole HoleSurface Intersection Marking Railway Road "
    "Section Square Track TrafficArea TrafficSpace Waterway",
    "Vegetation": "PlantCover SolitaryVegetationObject",
    "WaterBody": "WaterBody WaterGroundSurface WaterSurface",
    "Relief": "BreaklineRelief MassPointRelief RasterRelief ReliefFeature TINRelief",
    "LandUse": "LandUse",
    "CityFurniture": "CityFurniture",
    "CityObjectGroup": "CityObjectGroup",
    "Generics": "GenericLogicalSpace GenericOccupiedSpace GenericThematicSurface GenericUnoccupiedSpace",
    "PointCloud": "PointCloud",
    "Dynamizer": "CompositeTimeseries Dynamizer GenericTimeseries SensorConnection StandardFileTimeseries TabulatedFileTimeseries",
    "Versioning": "Version VersionTransition",
}
# City object types of the CityJSON 2.0 schema.
_CITYJSON_OBJECTS = (
    "Bridge BridgeConstructiveElement BridgeFurniture BridgeInstallation BridgePart BridgeRoom Building BuildingConstructiveElement "
    "BuildingFurniture BuildingInstallation BuildingPart BuildingRoom BuildingStorey BuildingUnit CityFurniture CityObjectGroup "
    "GenericCityObject LandUse OtherConstruction PlantCover Railway Road SolitaryVegetationObject TINRelief TransportSquare Tunnel "
    "TunnelConstructiveElement TunnelFurniture TunnelHollowSpace TunnelInstallation TunnelPart WaterBody Waterway"
)
# Semantic surface types of the CityJSON 2.0 schema.
_CITYJSON_SURFACES = (
    "AuxiliaryTrafficArea CeilingSurface ClosureSurface Door FloorSurface GroundSurface InteriorWallSurface OuterCeilingSurface "
    "OuterFloorSurface RoofSurface TrafficArea TransportationHole TransportationMarking WallSurface WaterClosureSurface WaterGroundSurface "
    "WaterSurface Window"
)
CITYJSON_OBJECTS = set(_CITYJSON_OBJECTS.split())
CITYJSON_SURFACES = set(_CITYJSON_SURFACES.split())
EVERY = sorted(CLASSES)


@pytest.mark.parametrize("module", sorted(CITYGML))
def test_every_class_of_the_standard_is_found_by_its_own_name_in_its_module(module: str) -> None:
    for name in CITYGML[module].split():
        found = get(name)
        assert (found.citygml, found.module) == (name, module)


def test_no_class_is_listed_that_the_standard_lacks() -> None:
    known = {name for names in CITYGML.values() for name in names.split()}
    assert {item.citygml for item in CLASSES.values()} == known


def test_a_class_is_a_space_a_surface_or_a_feature_and_has_two_labels() -> None:
    for name, item in CLASSES.items():
        assert item.name == name
        assert item.kind in {"feature", "thematic surface", "space"}
        assert item.label_en.isascii()
        assert item.label_zh
        assert not item.label_zh.isascii()


@pytest.mark.parametrize("language", ["label_en", "label_zh"])
def test_no_two_classes_share_a_label(language: str) -> None:
    labels = [getattr(item, language) for item in CLASSES.values()]
    assert len(set(labels)) == len(labels)


def test_parents_are_known_classes_and_every_class_is_reached_from_the_top() -> None:
    assert {parent for item in CLASSES.values() for parent in item.parents} <= set(CLASSES)
    reached = {name for name, item in CLASSES.items() if not item.parents} | {"CityObjectGroup"}
    for _ in CLASSES:
        reached |= {name for name, item in CLASSES.items() if reached & set(item.parents)}
    assert reached == set(CLASSES)


def test_aliases_lead_to_one_class_and_never_hide_a_name_of_ours() -> None:
    claimed = [alias for item in CLASSES.values() for alias in item.aliases if alias not in CLASSES]
    assert len(set(claimed)) == len(claimed)
    assert all(get(name).name == name for name in CLASSES)


@pytest.mark.parametrize("name", sorted(CITYJSON_OBJECTS))
def test_a_city_object_of_cityjson_comes_back_under_the_name_it_had(name: str) -> None:
    assert from_cityjson(name) in CLASSES
    assert to_cityjson(from_cityjson(name), as_object=True) == (name, False)


@pytest.mark.parametrize("name", sorted(CITYJSON_SURFACES))
def test_a_semantic_surface_of_cityjson_comes_back_under_the_name_it_had(name: str) -> None:
    assert get(from_cityjson(name)).semantic
    assert to_cityjson(from_cityjson(name)) == (name, False)


def test_only_what_cityjson_lists_types_a_surface_there() -> None:
    assert {to_cityjson(name)[0] for name, item in CLASSES.items() if item.semantic} == CITYJSON_SURFACES


@pytest.mark.parametrize("name", EVERY)
def test_what_is_written_is_a_cityjson_name_and_loss_is_said_exactly_when_it_happens(name: str) -> None:
    for as_object, allowed in ((False, CITYJSON_OBJECTS | CITYJSON_SURFACES), (True, CITYJSON_OBJECTS)):
        written, lossy = to_cityjson(name, as_object=as_object)
        assert written in allowed
        assert lossy == (from_cityjson(written) != name)


@pytest.mark.parametrize(
    ("read", "ours"),
    [
        ("GenericCityObject", "GenericOccupiedSpace"),
        ("+GenericCityObject", "GenericOccupiedSpace"),  # CityJSON 1.1 had it as an extension
        ("TransportSquare", "Square"),
        ("BridgeConstructionElement", "BridgeConstructiveElement"),  # CityJSON 1.0
        ("BuildingStorey", "BuildingStorey"),
    ],
)
def test_names_of_every_cityjson_version_are_read(read: str, ours: str) -> None:
    assert from_cityjson(read) == ours


@pytest.mark.parametrize(
    ("name", "ours"),
    [("Storey", "BuildingStorey"), ("HollowSpace", "TunnelHollowSpace"), ("Room", "BuildingRoom"), ("Marking", "TransportationMarking")],
)
def test_names_of_citygml_are_read(name: str, ours: str) -> None:
    assert get(name).name == ours
    assert to_cityjson(name) == (ours, False)


@given(st.text(min_size=1).filter(lambda text: text.removeprefix("+").strip() != "" and get(text).module == EXTENSION))
def test_an_unknown_name_is_kept_and_told_apart(name: str) -> None:
    assert get(name).name == from_cityjson(name) == name
    written, lossy = to_cityjson(name)
    assert written.startswith("+")
    assert lossy == (written != name)
    assert label(name, "zh") == name.removeprefix("+")


@pytest.mark.parametrize("name", ["", "+", " "])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected text such as Building"):
        get(name)


def test_a_language_without_labels_is_refused() -> None:
    with pytest.raises(UsageError, match="language is 'nl', expected 'en' or 'zh'"):
        label("Building", "nl")  # type: ignore[arg-type]


def test_the_list_can_be_read_but_not_written() -> None:
    assert "Building" in CLASSES
    assert "Storey" not in CLASSES
    with pytest.raises(TypeError, match="does not support item assignment"):
        CLASSES["Hut"] = CLASSES["Building"]  # type: ignore[index]


def test_the_list_is_not_read_at_import() -> None:
    code = "import cim.model.classes as c, sys; print(c._classes.cache_info().currsize, len(c.CLASSES), c._classes.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.split() == ["0", str(len(CLASSES)), "1"]


@pytest.mark.data
def test_no_class_of_the_real_city_files_is_taken_for_an_extension(shared_data: Callable[..., Path]) -> None:
    types: set[str] = set()
    for file in (*shared_data("city", "cityjson_conformance").glob("*_[ac]*.city.json"), *shared_data("city", "delft").glob("*.city.json")):
        for item in json.loads(file.read_text(encoding="utf-8"))["CityObjects"].values():
            types.add(item["type"])
            for geometry in item.get("geometry", []):
                types |= {surface["type"] for surface in (geometry.get("semantics") or {}).get("surfaces", [])}
    assert {"Building", "GenericCityObject", "TransportationHole"} <= types
    assert {name for name in types if get(name).module == EXTENSION and not name.startswith("+")} == set()
