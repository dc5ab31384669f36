"""One name for one thing, in a unit that exists, in two languages; and a field's name is read with its doubt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.standard_names import STANDARD_NAMES, NameGuess, StandardName, lookup
from cim.units import parse_unit

EVERY = list(STANDARD_NAMES.values())


def best(field: str) -> NameGuess:
    return lookup(field)[0]


@pytest.mark.parametrize("standard", EVERY, ids=lambda one: one.name)
def test_every_name_is_complete_and_its_unit_is_si(standard: StandardName) -> None:
    assert standard.name.isidentifier()
    assert standard.name == standard.name.lower()
    for words in (standard.label_en, standard.label_zh, standard.meaning_en, standard.meaning_zh):
        assert words.strip()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in standard.label_zh)
    assert any("\u4e00" <= sign <= "\u9fff" for sign in standard.meaning_zh)
    assert standard.label_en.isascii()
    assert standard.kind in {"number", "count", "year", "text", "code", "flag"}
    assert standard.unit == "" or standard.kind == "number"
    unit = parse_unit(standard.unit)
    assert (unit.factor, unit.offset) == (1.0, 0.0)
    assert standard.aliases
    assert all(alias == alias.lower() and not set(alias) & set(" _-|") for alias in standard.aliases)


def test_labels_are_unambiguous_in_both_languages() -> None:
    for label in ("label_en", "label_zh"):
        labels = [getattr(one, label) for one in EVERY]
        assert len(set(labels)) == len(labels), sorted(one for one in labels if labels.count(one) > 1)


def test_the_names_that_other_rooms_rely_on_exist() -> None:
    needed = (
        "height storeys_above_ground storeys_below_ground year_of_construction function usage class floor_area gross_floor_area "
        "footprint_area roof_type z_ground z_roof eaves_height name address identifier far_limit density_limit height_limit "
        "green_ratio_limit land_use_code lanes speed_limit width road_class surface water_depth water_level point_count z_roof_p90 "
        "floor_area_ratio building_density height_excess wet_area"
    )
    assert set(needed.split()) <= set(STANDARD_NAMES)


@pytest.mark.parametrize("standard", EVERY, ids=lambda one: one.name)
def test_a_standard_name_means_itself(standard: StandardName) -> None:
    guess = best(standard.name)
    assert guess.standard_name is standard
    assert guess.confidence == 1.0


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("层数", "storeys_above_ground"),
        ("楼层数", "storeys_above_ground"),
        ("建筑高度", "height"),
        ("高度", "height"),
        ("名称", "name"),
        ("用途", "usage"),
        ("建成年代", "year_of_construction"),
        ("建筑面积", "gross_floor_area"),
        ("限高", "height_limit"),
        ("jzgd", "height"),
        ("FLOORS", "storeys_above_ground"),
        ("floor_num", "storeys_above_ground"),
        ("building:levels", "storeys_above_ground"),
        ("bouwjaar", "year_of_construction"),
        ("oorspronkelijkbouwjaar", "year_of_construction"),
        ("identificatie", "identifier"),
        ("hoogte", "height"),
        ("measuredHeight", "height"),
        ("bldg:measuredHeight", "height"),
        ("RelativeEavesHeight", "eaves_height"),
        ("AbsoluteRidgeHeight", "z_roof"),
        ("year_built", "year_of_construction"),
    ],
)
def test_usual_names_of_fields_are_read_with_confidence(field: str, name: str) -> None:
    guess = best(field)
    assert guess.standard_name.name == name
    assert guess.confidence >= 0.9
    assert guess.why


@pytest.mark.parametrize(
    ("field", "name"), [("Floor", "storeys_above_ground"), ("楼层", "storeys_above_ground"), ("H", "height"), ("Id", "identifier")]
)
def test_short_and_many_sided_names_stay_doubtful(field: str, name: str) -> None:
    guess = best(field)
    assert guess.standard_name.name == name
    assert guess.confidence <= 0.5
    assert "often means something else" in guess.why


@pytest.mark.parametrize(
    ("field", "name", "unit"),
    [
        ("建筑高度(m)", "height", "m"),
        ("建筑高度（米）", "height", "米"),
        ("height_ft", "height", "ft"),
        ("总建筑面积(㎡)", "gross_floor_area", "m2"),
        ("Building Height [mm]", "height", "mm"),
    ],
)
def test_a_unit_in_the_name_is_found_and_is_a_unit(field: str, name: str, unit: str) -> None:
    guess = best(field)
    assert (guess.standard_name.name, guess.unit) == (name, unit)
    assert parse_unit(guess.unit).si == guess.standard_name.unit
    assert guess.confidence < 1.0


def test_names_cut_by_a_shapefile_are_told_as_cut() -> None:
    guess = best("oorspronke")
    assert guess.standard_name.name == "year_of_construction"
    assert "cut to the 10 bytes" in guess.why
    assert {one.standard_name.name for one in lookup("建筑高")} == {"height", "height_limit"}  # 9 bytes of UTF-8: both begin so


def test_a_name_inside_another_or_misspelt_is_a_weak_guess() -> None:
    assert best("建筑物高度").standard_name.name == "height"
    assert best("建筑物高度").confidence < 0.5
    assert best("bouwjar1").standard_name.name == "year_of_construction"
    assert best("bouwjar1").confidence < 0.5


def test_far_is_a_result_or_a_limit_and_both_are_said() -> None:
    names = {one.standard_name.name: one.confidence for one in lookup("容积率")}
    assert set(names) == {"floor_area_ratio", "far_limit"}
    assert max(names.values()) < 0.9


@pytest.mark.parametrize("field", ["x", "中心经度", "toll", "init_node", "", "   ", "___"])
def test_a_name_that_means_nothing_known_gives_no_guess(field: str) -> None:
    assert lookup(field) == []


@given(st.text(max_size=30))
def test_any_field_name_gives_sorted_guesses(field: str) -> None:
    guesses = lookup(field)
    assert [one.confidence for one in guesses] == sorted((one.confidence for one in guesses), reverse=True)
    assert len({one.standard_name.name for one in guesses}) == len(guesses)
    assert all(0.0 < one.confidence <= 1.0 and one.why for one in guesses)


@pytest.mark.data
def test_fields_of_real_files_are_read(shared_data: Callable[..., Path]) -> None:
    suzhou = json.loads(shared_data("china", "suzhou_buildings_floor", "suzhou_buildings.geojson").read_text("utf-8"))
    fields = suzhou["features"][0]["properties"]
    assert {name: best(name).standard_name.name for name in fields if lookup(name)} == {
        "Id": "identifier",
        "Floor": "storeys_above_ground",
        "height": "height",
    }
    delft = json.loads(shared_data("city", "tudcampus", "tudcampus.geojson").read_text("utf-8"))
    names = {name: best(name).standard_name.name for name in delft["features"][0]["properties"] if lookup(name)}
    assert names["oorspronkelijkbouwjaar"] == "year_of_construction"
    assert names["identificatie"] == "identifier"
    assert names["status"] == "status"
