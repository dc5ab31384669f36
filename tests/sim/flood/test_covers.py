"""Roughness and infiltration from the classes of the city, and the table behind them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import cim.sim.flood.covers as room
from cim.errors import UsageError
from cim.sim.flood.city_domain import domain_from_city
from cim.sim.flood.covers import cover_cells, cover_table, green_ampt
from tests.sim.flood.places import make_city, raster

GROUND = raster(np.zeros((20, 30)))
TABLE = json.loads(Path(room.__file__).with_name("covers.json").read_text(encoding="utf-8"))


def names_at(city: Any, points: dict[str, tuple[float, float]], table: Any = None) -> dict[str, str]:
    found = cover_cells(city, GROUND, cover_table(table))
    return {name: found.names[found.code[int(20 - y), int(x)]] for name, (x, y) in points.items()}


# ---------------------------------------------------------------- the table


def test_every_number_of_the_table_lies_in_the_range_of_a_named_source() -> None:
    for name, cover in TABLE["covers"].items():
        low, high = cover["range"]
        assert low <= cover["n"] <= high, name
        assert cover["source"] in TABLE["sources"], name
        assert cover["pervious_source"] in TABLE["sources"], name
        assert cover["en"], name
        assert any("\u4e00" <= letter <= "\u9fff" for letter in cover["zh"]), name


def test_the_soils_are_those_of_rawls() -> None:
    # Rawls, Brakensiek and Miller (1983), averages by texture: conductivity cm/h, suction cm, effective porosity
    published = {
        "sand": (11.78, 4.95, 0.417), "loam": (0.34, 8.89, 0.434), "silt loam": (0.65, 16.68, 0.486), "clay": (0.03, 31.63, 0.385),
    }  # fmt: skip
    for name, (conductivity, suction, porosity) in published.items():
        soil = cover_table().soils[name]
        assert (soil.conductivity, soil.suction, soil.porosity) == pytest.approx((10 * conductivity, 10 * suction, porosity))


def test_every_rule_names_a_cover_and_a_class_that_is_drawn() -> None:
    table = cover_table()
    assert {rule.cover for rule in table.rules} <= set(table.covers)
    assert {rule.type for rule in table.rules} == set(table.order)


def test_faults_of_a_table_come_in_one_message(tmp_path: Path) -> None:
    bad = {
        "covers": {"a": {"n": 3.0, "pervious": 2.0}, "b": {"n": "rough"}},
        "rules": [{"class": "Moon", "cover": "a"}, {"class": "Road", "cover": "c"}],
        "order": ["Road"], "default": "d",
    }  # fmt: skip
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(bad), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        cover_table(path)
    said = str(caught.value)
    assert said.startswith("table of covers: 6 faults")
    for part in ("'a' has n 3.0", "'b' has n 'rough'", "pervious share 2.0", "'c', which", "default names the cover 'd'", "'Moon'"):
        assert part in said


@pytest.mark.parametrize("given", ["nowhere.json", [1, 2], {"covers": {}}])
def test_what_is_no_table_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="table of covers"):
        cover_table(given)


# ---------------------------------------------------------------- the cells


def test_later_classes_lie_over_earlier_ones() -> None:
    whole = shapely.box(0, 0, 30, 20)
    city = make_city(
        ("WaterBody", {"W": shapely.box(0, 8, 30, 12)}, {"class": ["canal"]}),
        ("LandUse", {"L": whole}, {"land_use_code": ["R2"]}),
        ("Road", {"R": shapely.box(10, 0, 14, 20)}, {"road_class": ["主干路"]}),
        ("PlantCover", {"P": shapely.box(2, 2, 8, 6)}, {"class": ["公园绿地"]}),
        ("Building", {"B": shapely.box(20, 2, 26, 6)}, {"height": [5.0]}),
    )
    found = names_at(city, {"plot": (1, 1), "park": (4, 4), "road": (12, 4), "canal": (12, 10), "roof": (22, 4)})
    assert found == {"plot": "residential", "park": "park", "road": "paved", "canal": "water", "roof": "roof"}


@pytest.mark.parametrize(("type", "attributes", "cover"), [
    ("LandUse", {"land_use_code": "G1"}, "park"), ("LandUse", {"land_use_code": "G3"}, "paved"),
    ("LandUse", {"land_use_code": "B1"}, "commercial"), ("LandUse", {"land_use_code": "A33"}, "public"),
    ("LandUse", {"land_use_code": "M1"}, "industrial"), ("LandUse", {"land_use_code": "E1"}, "water"),
    ("LandUse", {"land_use": "二类居住用地"}, "residential"), ("LandUse", {"class": "amenity=parking"}, "paved"),
    ("LandUse", {"class": "leisure=pitch"}, "grass"), ("LandUse", {"bgt_fysiekvoorkomen": "erf"}, "residential"),
    ("LandUse", {"surface": "erf"}, "residential"), ("LandUse", {"surface": "Open verharding"}, "blocks"),
    ("LandUse", {"surface": "gesloten verharding"}, "paved"), ("LandUse", {"surface": "onverhard"}, "bare"),
    ("LandUse", {"land_cover": "grass"}, "grass"), ("LandUse", {"surface": "groenvoorziening"}, "park"),
    ("LandUse", {"land_use": "other", "surface": "erf"}, "residential"), ("PlantCover", {"surface": "grasland overig"}, "grass"),
    ("Road", {"verharding": "onverhard"}, "gravel"),
    ("PlantCover", {"class": "landuse=forest"}, "forest"), ("PlantCover", {"class": "barrier=hedge"}, "brush"),
    ("PlantCover", {"class": "运动场"}, "grass"), ("PlantCover", {"class": "groenvoorziening"}, "park"),
    ("Road", {"surface": "gravel"}, "gravel"), ("Road", {"function": "voetpad"}, "blocks"), ("Road", {"road_class": "primary"}, "paved"),
    ("LandUse", {"class": "landuse=lane;parking"}, "unknown"),
])  # fmt: skip
def test_a_class_has_its_cover(type: str, attributes: dict[str, str], cover: str) -> None:
    city = make_city((type, {"X": shapely.box(0, 0, 30, 20)}, {name: [value] for name, value in attributes.items()}))
    assert names_at(city, {"here": (5, 5)}) == {"here": cover}


def test_unknown_covers_are_counted_and_named() -> None:
    shapes = {f"L{n}": shapely.box(4 * n, 0, 4 * n + 4, 20) for n in range(3)}
    city = make_city(("LandUse", shapes, {"class": ["landuse=lunar", "landuse=lunar", "landuse=residential"]}),
                     ("Road", {"R": shapely.linestrings([(0, 1), (20, 1)])}, {}))  # fmt: skip
    notes = cover_cells(city, GROUND, cover_table()).notes
    assert notes == (
        "360 cells (60.0%) lie in no object with a cover: taken as unknown ground in a city (n = 0.035), assumed",
        (
            "2 objects of unknown cover (2 × LandUse (class=landuse=lunar, which no rule knows)): "
            "taken as unknown ground in a city (n = 0.035), assumed"
        ),
        "1 objects are lines without an area: they change no roughness",
    )


def test_an_object_of_which_no_rule_reads_an_attribute_is_told_with_the_attributes_it_has() -> None:
    city = make_city(("LandUse", {"a": shapely.box(0, 0, 30, 20)}, {"ground_kind": ["erf"], "surface": [None]}))
    said = " | ".join(cover_cells(city, GROUND, cover_table()).notes)
    assert "says nothing" not in said
    assert "1 × LandUse (nothing in land_use_code, land_use, class, surface" in said
    assert "its class has ground_kind, which no rule asks for" in said
    city = make_city(("LandUse", {"a": shapely.box(0, 0, 30, 20)}, {"surface": ["moon dust"]}))
    assert "LandUse (surface=moon dust, which no rule knows)" in " | ".join(cover_cells(city, GROUND, cover_table()).notes)


def test_names_that_a_mapping_gives_to_the_surface_are_read_on_plots() -> None:
    """`cim new build` drafts ``surface`` for the ground of a Dutch base map."""
    from cim.standard_names import STANDARD_NAMES

    assert "surface" in STANDARD_NAMES
    asked = {name for rule in cover_table().rules if rule.type == "LandUse" for name in rule.attributes}
    assert {"surface", "bgt_fysiekvoorkomen"} <= asked


def test_a_table_of_ones_own_replaces_that_of_the_toolkit() -> None:
    own = {"covers": {"moss": {"n": 0.4, "pervious": 1.0}, "ice": {"n": 0.01}}, "rules": [{"class": "Road", "cover": "ice"}],
           "order": ["Road"], "default": "moss"}  # fmt: skip
    city = make_city(("Road", {"R": shapely.box(0, 0, 10, 20)}, {}))
    domain = domain_from_city(city, terrain=GROUND, covers=own)
    assert np.unique(np.asarray(domain.roughness)).tolist() == [0.01, 0.4]
    assert np.unique(domain.infiltration.conductivity).tolist() == [0.0, 3.4]


# ---------------------------------------------------------------- infiltration


def test_a_half_paved_cell_takes_what_its_open_half_takes() -> None:
    """The scaled law and the law of the open part alone (half the area, all of the depth it took) give the same capacity."""
    city = make_city(("LandUse", {"L": shapely.box(0, 0, 30, 20)}, {"class": ["landuse=railway"]}))
    ground = cover_cells(city, GROUND, cover_table())
    share, soil = 0.5, cover_table().soils["sandy loam"]
    assert float(ground.pervious[5, 5]) == share
    law, note = green_ampt(ground, "sandy loam")
    deficit = soil.porosity * 0.5
    for taken in (1.0, 7.0, 40.0):  # of the whole cell [mm]
        open_part = soil.conductivity * (1 + soil.suction * deficit / (taken / share))
        conductivity, lack = np.asarray(law.conductivity)[5, 5], np.asarray(law.deficit)[5, 5]
        scaled = conductivity * (1 + soil.suction * lack / taken)
        assert scaled == pytest.approx(share * open_part, rel=1e-14)
    assert "soil sandy loam (stated)" in note
    assert law.faults(GROUND.shape) == []


def test_roofs_roads_and_waters_let_nothing_in() -> None:
    shapes = {"Road": (0, 10), "WaterBody": (10, 20), "Building": (20, 30)}
    city = make_city(*((type, {type: shapely.box(a, 0, b, 20)}, {}) for type, (a, b) in shapes.items()))
    law, _ = green_ampt(cover_cells(city, GROUND, cover_table()))
    assert not np.asarray(law.conductivity).any()


def test_an_unknown_soil_is_refused() -> None:
    with pytest.raises(UsageError, match="soil='mud'; expected one of sand, loamy sand"):
        domain_from_city(make_city(("Road", {"R": shapely.box(0, 0, 1, 1)}, {})), terrain=GROUND, soil="mud")
