"""Buildings of parts: no part may hide from height control, density or floor area, and no doubtful height may pass."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column, SourceRecord
from cim.results import Verdicts
from cim.scenario import Change
from cim.sim.buildings import read_buildings
from cim.sim.planning import covered_footprint_area, density, far, footprint_area, gross_floor_area, height_control

CRS = "EPSG:4549+5737"
SITE = shapely.box(0, 0, 100, 100)
RATIO = 1e-9  # exact numbers; float64 division
Rows = list[tuple[str, str, str | None, Any, float | None, float | None, float | None]]


def make_city(rows: Rows, heights: dict[str, float] | None = None) -> City:
    """Return a city of (id, class, parent, footprint, z_ground, z_roof, storeys); `heights` are attributes by id."""
    builder = CityBuilder(CRS)
    for id, type, parent, shape, ground, roof, storeys in rows:
        keys = builder.add_objects(
            type, [id], footprints=np.array([shape], object), parents=[parent],
            z_ground=[np.nan if ground is None else ground], z_roof=[np.nan if roof is None else roof],
        )  # fmt: skip
        columns = {"storeys_above_ground": Column([storeys]), "height": Column([(heights or {}).get(id)], unit="m")}
        builder.add_attributes(keys, type, columns)
    return builder.build()


def row(result: Verdicts, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = result.table.slice(place, 1).to_pylist()[0]
    return found


A = ("a", "Building", None, shapely.box(0, 0, 20, 20), 0.0, 20.0, 5.0)


def part(id: str = "p", parent: str | None = "a", shape: Any = None, *, z: Any = (0.0, 20.0), storeys: float | None = 5.0) -> Any:
    return id, "BuildingPart", parent, shapely.box(0, 0, 5, 5) if shape is None else shape, *z, storeys


@pytest.mark.parametrize("datum", ["ground", "EPSG:5737"])
def test_a_building_is_as_high_as_its_highest_part(datum: str) -> None:
    city = make_city([A, part()])
    assert row(height_control(city, limit=60.0, limit_datum=datum))["verdict"] == "pass"
    option = Change("A").raise_building("p", by=60.0).apply(city)
    found = row(height_control(option, limit=60.0, limit_datum=datum))
    assert (found["object"], found["value"], found["top_z"], found["verdict"]) == ("a", 80.0, 80.0, "fail")


def test_a_part_on_a_podium_counts_from_the_ground_of_the_building() -> None:
    found = row(height_control(make_city([A, part(z=(20.0, 70.0))]), limit=60.0, limit_datum="ground"))
    assert (found["value"], found["verdict"]) == (70.0, "fail")


def test_parts_of_parts_and_parts_below_other_things_count() -> None:
    element = ("e", "BuildingConstructiveElement", "p", None, None, None, None)
    city = make_city([A, part(), element, part("q", "e", z=(0.0, 90.0))])
    assert row(height_control(city, limit=60.0, limit_datum="ground"))["value"] == 90.0


@pytest.mark.parametrize("datum", ["ground", "EPSG:5737"])
def test_a_part_of_unknown_height_makes_the_building_not_assessed_and_is_named(datum: str) -> None:
    found = row(height_control(make_city([A, part(z=(None, None))]), limit=60.0, limit_datum=datum))
    assert (found["verdict"], found["reason"]) == ("not_assessed", "missing_height")
    assert "'p'" in found["note"]


def test_a_building_of_parts_only_is_as_high_as_they_are() -> None:
    shell = ("a", "Building", None, None, None, None, None)
    city = make_city([shell, part(z=(2.0, 12.0)), part("q", z=(1.0, 9.0))])
    found = row(height_control(city, limit=10.0, limit_datum="ground"))
    assert (found["value"], found["top_z"], found["verdict"]) == (11.0, 12.0, "fail")
    beside = ("a", "Building", None, shapely.box(0, 0, 20, 20), None, None, None)
    assert row(height_control(make_city([beside, part()]), limit=60.0, limit_datum="ground"))["reason"] == "missing_height"


def test_attribute_heights_of_parts_count_from_the_ground() -> None:
    bare = ("a", "Building", None, SITE, None, None, None)
    city = make_city([bare, part(z=(None, None))], {"a": 20.0, "p": 75.0})
    assert row(height_control(city, limit=60.0, limit_datum="ground"))["value"] == 75.0
    grounded = make_city([A, part(z=(None, None))], {"p": 75.0})
    assert row(height_control(grounded, limit=60.0, limit_datum="EPSG:5737"))["value"] == 75.0


@pytest.mark.parametrize("datum", ["ground", "EPSG:5737"])
@pytest.mark.parametrize("z", [(100.0, 0.0), (5.0, 5.0)])
def test_a_roof_that_is_not_above_its_ground_is_contradictory(datum: str, z: tuple[float, float]) -> None:
    lone = ("a", "Building", None, SITE, *z, 5.0)
    for city, name in ((make_city([lone]), "'a'"), (make_city([A, part(z=z)]), "'p'")):
        found = row(height_control(city, limit=60.0, limit_datum=datum))
        assert (found["value"], found["verdict"], found["reason"]) == (None, "not_assessed", "contradictory_height")
        assert name in found["note"]


def test_a_part_of_no_building_counts_like_a_building() -> None:
    city = make_city([A, part("o", None, shapely.box(50, 50, 60, 60), z=(0.0, 80.0)), part("o2", "o", z=(0.0, 95.0))])
    verdicts = {
        one["object"]: (one["value"], one["verdict"]) for one in height_control(city, limit=60.0, limit_datum="ground").table.to_pylist()
    }
    assert verdicts == {"a": (20.0, "pass"), "o": (95.0, "fail")}
    assert footprint_area(make_city([part("o", None)])) == 25.0


def test_parts_that_run_in_a_circle_are_not_lost() -> None:
    city = make_city([A, part("p", "q"), part("q", "p")])
    assert read_buildings(city).ids.tolist() == ["a", "p", "q"]


def test_density_counts_what_parts_cover_beside_their_building() -> None:
    city = make_city([A, part(shape=shapely.box(10, 0, 40, 20))])
    found = row(density(city, plots=SITE, limit=0.05))
    assert (found["covered_area"], found["verdict"]) == (pytest.approx(800.0), "fail")
    assert covered_footprint_area(city) == pytest.approx(800.0)


def test_a_part_beside_its_building_counts_with_its_own_storeys() -> None:
    beside = shapely.box(10, 0, 40, 20)  # 400 m² of it stand outside
    city = make_city([A, part(shape=beside, storeys=10.0)])
    # 400 m² x 5 + 400 m² x 10 beside + 200 m² x 5 storeys above those of the building
    found = row(far(city, plots=SITE, limit=9.0))
    assert found["floor_area"] == pytest.approx(2000.0 + 4000.0 + 1000.0)
    assert gross_floor_area(city) == pytest.approx(7000.0)
    low = make_city([A, part(shape=beside, storeys=2.0)])
    assert gross_floor_area(low) == pytest.approx(2000.0 + 800.0)
    assert any("beside it" in text for text in far(city, plots=SITE, limit=9.0).run.assumptions)


def test_each_part_counts_on_the_plot_it_stands_on() -> None:
    sites = [
        ("w", "LandUse", None, shapely.box(0, 0, 20, 20), None, None, None),
        ("e", "LandUse", None, shapely.box(20, 0, 40, 20), None, None, None),
    ]
    city = make_city([A, part(shape=shapely.box(20, 0, 40, 20), storeys=20.0), *sites])
    ratios = {one["object"]: one["value"] for one in far(city, limit=9.0).table.to_pylist()}
    assert ratios == {"w": pytest.approx(5.0, abs=RATIO), "e": pytest.approx(20.0, abs=RATIO)}


def test_a_part_beside_its_building_without_storeys_is_not_assessed_and_named() -> None:
    city = make_city([A, part(shape=shapely.box(10, 0, 40, 20), storeys=None)])
    found = row(far(city, plots=SITE, limit=9.0))
    assert (found["verdict"], found["reason"]) == ("not_assessed", "missing_storeys")
    assert found["note"].endswith("the first is p")
    assert row(far(city, plots=SITE, limit=9.0, storey_height=4.0))["floor_area"] == pytest.approx(2000.0 + 400.0 * 5)
    inside = make_city([A, part(storeys=None)])
    assert row(far(inside, plots=SITE, limit=9.0))["floor_area"] == pytest.approx(2000.0)


def sourced(own: str | None, claimed: str | None, *, chosen: bool = True, name: str = "z_roof") -> City:
    """Return a building 0..20 m whose object, and a claim of which, come from sources with these height systems."""
    builder = CityBuilder(CRS)
    one = builder.add_source(SourceRecord("object", reader="r", format="f", used_vertical=own))
    two = builder.add_source(SourceRecord("claim", reader="r", format="f", used_vertical=claimed))
    keys = builder.add_objects("Building", ["a"], footprints=np.array([SITE], object), z_ground=[0.0], z_roof=[20.0], source=one)
    builder.add_claims(keys, name, [json.dumps(20.0)], unit="m", source=two, chosen=chosen)
    return builder.build()


@pytest.mark.parametrize(
    ("own", "claimed", "chosen", "verdict"),
    [
        ("unknown", "unknown", True, "not_assessed"),
        ("EPSG:5737", "unknown", True, "not_assessed"),
        ("unknown", "EPSG:5737", True, "pass"),  # the roof is the other source's
        ("unknown", "EPSG:5737", False, "not_assessed"),
        ("EPSG:5737", None, True, "pass"),
    ],
)
def test_a_height_from_a_source_without_a_height_system_is_not_compared_with_a_datum(
    own: str,
    claimed: str | None,
    chosen: bool,  # noqa: FBT001  # a test's parameter
    verdict: str,
) -> None:
    city = sourced(own, claimed, chosen=chosen)
    found = row(height_control(city, limit=60.0, limit_datum="EPSG:5737"))
    assert (found["verdict"], found["reason"]) == (verdict, None if verdict == "pass" else "unknown_vertical_datum")
    assert row(height_control(city, limit=60.0, limit_datum="ground"))["verdict"] == "pass"
    higher = Change("A").raise_building("a", by=1.0).apply(city)
    if verdict == "not_assessed":  # a change does not heal it
        assert row(height_control(higher, limit=60.0, limit_datum="EPSG:5737"))["verdict"] == "not_assessed"
