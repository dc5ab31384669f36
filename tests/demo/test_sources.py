from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.demo import DEFECTS, Truth, write_sources
from cim.demo.truth import NEEDS
from cim.loaders import read
from cim.loaders.build import check_build, draft
from cim.model import City


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_the_same_seed_writes_the_same_bytes(truth: Truth, tmp_path: Path) -> None:
    again = write_sources(tmp_path)
    assert hashes(again.folder) == hashes(truth.folder)
    assert again.pairs == truth.pairs
    assert again.defects == truth.defects


def test_the_sources_are_small(truth: Truth) -> None:
    assert sum(path.stat().st_size for path in truth.folder.rglob("*")) < 30e6
    assert (truth.folder / "lidar_2024.laz").stat().st_size < 15e6
    assert not (truth.folder / "water.cpg").exists()


def test_every_kind_of_defect_is_planted(truth: Truth) -> None:
    left_out = {kind for kind, extra in NEEDS.items() if not truth.where(kind) and any(extra in why for why in truth.left_out.values())}
    assert {kind for kind, count in truth.planted().items() if count > 0} == set(DEFECTS) - left_out
    records = truth.records["survey_2024.geojson"]
    assert truth.planted()["missing_id"] == pytest.approx(records / 5, abs=1)
    touched = truth.planted()["split"] + 2 * truth.planted()["merged"]
    assert touched == pytest.approx(len(truth.ids) / 10, abs=2)


def test_truth_counts_add_up(truth: Truth) -> None:
    planted = truth.planted()
    assert truth.records["buildings.gpkg"] + planted["extra"] == len(truth.ids)
    records = truth.records["buildings.gpkg"] - planted["left_out"] + planted["split"] - planted["merged"] + planted["extra"]
    assert truth.records["survey_2024.geojson"] == records + planted["duplicate_record"]
    assert len(truth.pairs) == truth.records["survey_2024.geojson"] - planted["extra"] + planted["merged"]
    assert len(set(truth.ids.tolist())) == len(truth.ids)


def test_true_plots_cover_all_true_buildings(truth: Truth) -> None:
    plots = np.array([truth.plots[plot] for plot in truth.plot.tolist()], object)
    assert shapely.contains(plots, truth.footprints).all()


def test_the_build_file_is_right_and_a_draft_finds_every_source(truth: Truth) -> None:
    assert check_build(truth.build_file) == []
    found = {file.path: file.description for file in draft(truth.folder).files}
    for name in truth.records:
        assert found[name] is not None, name


@pytest.mark.parametrize(
    ("name", "layer"),
    [("roads.geojson", "EPSG:4490"), ("plots.gpkg", "EPSG:4549"), ("green.fgb", "EPSG:4549"), ("trees.parquet", "EPSG:4549")],
)
def test_the_door_reads_each_file_with_its_count_and_system(truth: Truth, name: str, layer: str) -> None:
    city = read(truth.folder / name)
    assert len(city) == truth.records[name]
    assert city.crs.to_string().startswith(layer)


def test_water_names_are_right_though_nothing_names_the_encoding(truth: Truth) -> None:
    city = read(truth.folder / "water.shp")
    names = set(city.tables["objects"]["name"].to_pylist())
    assert {"三河", "映月池", "西塘运河一段"} <= names
    assert "encoding" in set(city.tables["issues"]["code"].to_pylist())


def test_counts_of_the_city_follow_from_the_truth(truth: Truth, city: City) -> None:
    expected = {
        "Building": len(truth.ids),
        "LandUse": truth.records["plots.gpkg"],
        "Road": truth.records["roads.geojson"],
        "Square": truth.records["squares.gpkg"],
        "Bridge": 1,
        "WaterBody": truth.records["water.shp"],
        "PlantCover": truth.records["green.fgb"],
        "SolitaryVegetationObject": truth.records["trees.parquet"],
        "GenericOccupiedSpace": len(truth.drains.pipes) + len(truth.drains.wells),
        "CityObjectGroup": 1,  # the SWMM model as a whole
        "CityFurniture": len(truth.poles),
        "ReliefFeature": 3,  # two height models and the orthophoto
        "PointCloud": 1,
    }
    if truth.extract is not None:
        expected["Road"] += truth.extract.ways
        expected["GenericLogicalSpace"] = truth.extract.records - truth.extract.ways - len(truth.extract.pairs)
    if truth.office is not None:
        walls = [wall for storey in truth.office.storeys for wall in storey.walls]
        holes = [hole.kind for wall in walls for hole in wall.holes]
        count = len(truth.office.storeys)
        expected |= {
            "BuildingStorey": count,
            "BuildingRoom": sum(len(storey.rooms) for storey in truth.office.storeys),
            "Door": holes.count("door"),
            "Window": holes.count("window"),
            "BuildingConstructiveElement": len(walls) + count + (count - 1) + 2,  # floors, stairs, roof and parapet
            "BuildingInstallation": 9 * count,  # four ducts, four diffusers and a riser
        }
        expected["LandUse"] += 1  # its site
        expected["CityObjectGroup"] += 3  # its project and two systems
    assert city.types() == expected
    assert set(city.ids(city.keys("Building"))) == set(truth.ids.tolist())


def test_the_city_is_in_the_stated_systems_and_zone(city: City) -> None:
    assert city.crs.to_string() == "EPSG:4549+5737"
    assert city.time_zone == "Asia/Shanghai"
    assert city.name == "三河 Sanhe"
