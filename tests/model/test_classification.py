"""The code list agrees with the project's table, and codes and levels follow the rules, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import classification
from cim.model.classes import CLASSES
from cim.model.classification import CODES, LEVEL_SCHEME, LEVELS, children, code_for, dataset_code, label, level_for, path

SEVEN = [f"CIM{number}" for number in range(1, 8)]


def codes(types: list[str | None], lods: list[object] | None = None) -> list[str | None]:
    found: list[str | None] = code_for(pa.array(types, pa.string()), None if lods is None else pa.array(lods)).to_pylist()
    return found


def levels(types: list[str | None], lods: list[object] | None = None, **more: list[object]) -> list[str | None]:
    arrays = {name: pa.array(values) for name, values in more.items()}
    found: list[str | None] = level_for(pa.array(types, pa.string()), None if lods is None else pa.array(lods), **arrays).to_pylist()
    return found


@pytest.mark.data
def test_all_codes_of_the_shared_table_agree_in_code_and_both_names(shared_data: Callable[..., Path]) -> None:
    shared = json.loads(shared_data("china", "cim_classification.json").read_text(encoding="utf-8"))
    theirs = {(row["code"], row["zh"], row["en"], row["cim_level"]) for row in shared["classes"]}
    assert len(theirs) == 70
    assert {(item.code, item.zh, item.en, item.level) for item in CODES.values()} == theirs
    assert [(item.level, item.zh, item.en) for item in LEVELS.values()] == [(row["id"], row["zh"], row["en"]) for row in shared["levels"]]


def test_every_code_has_its_parent_before_it_and_belongs_to_one_of_six_branches() -> None:
    seen: set[str] = set()
    for code in CODES:
        assert len(code) % 2 == 0
        assert len(code) == 2 or code[:-2] in seen
        seen.add(code)
    assert children() == ("01", "02", "03", "04", "05", "06")


def test_walking_down_the_tree_meets_every_code_once() -> None:
    met: list[str] = []
    waiting = list(children())
    while waiting:
        code = waiting.pop(0)
        met.append(code)
        waiting = list(children(code)) + waiting
    assert met == sorted(CODES)
    assert all(path(code)[-1] == code and path(code)[0] in children() for code in met)


def test_names_are_bilingual_and_say_where_they_come_from() -> None:
    origins = json.loads(Path(classification.__file__).with_suffix(".json").read_text(encoding="utf-8"))["origins"]
    for item in CODES.values():
        assert item.en
        assert not item.zh.isascii()
        assert item.origin in origins
        assert item.level is None or item.level in LEVELS
        assert set(item.classes) <= set(CLASSES)
        assert all(name.startswith("Ifc") for name in item.ifc)


def test_rules_name_classes_and_codes_that_exist_and_each_class_once() -> None:
    content = json.loads(Path(classification.__file__).with_suffix(".json").read_text(encoding="utf-8"))
    ruled = [name for rule in content["rules"] for name in rule["classes"]]
    fixed = [name for names in content["fixed_levels"].values() for name in names]
    for names in (ruled, fixed, content["hosts_of_rooms"]):
        assert len(set(names)) == len(names)
        assert set(names) <= set(CLASSES)
    assert {code for rule in content["rules"] for code in rule["from_lod"].values()} <= set(CODES)
    assert set(content["datasets"].values()) <= set(CODES)


def test_a_building_is_a_block_model_up_to_lod_1_and_a_building_model_from_lod_2() -> None:
    lods: list[object] = [None, "0", "0.3", "1", "1.3", "2", "2.2", "3.3", "4"]
    assert codes(["Building"] * 9, lods) == ["010403"] * 5 + ["010404"] * 4


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("BuildingStorey", "01040401"),
        ("Storey", "01040401"),
        ("BuildingRoom", "01040402"),
        ("BuildingUnit", "01040402"),
        ("BuildingConstructiveElement", "01040403"),
        ("Door", "01040403"),
        ("Road", "010405"),
        ("TransportSquare", "010405"),
        ("WaterBody", "0204"),
        ("Tunnel", "010408"),
        ("Bridge", "010412"),
        ("PlantCover", "010411"),
        ("SolitaryVegetationObject", "010411"),
        ("LandUse", "0201"),
        ("ReliefFeature", "010401"),
        ("TINRelief", "010401"),
        ("PointCloud", "010303"),
        ("CityFurniture", "0205"),
        ("Address", "0506"),
    ],
)
def test_a_class_without_geometry_has_its_code(name: str, code: str) -> None:
    assert codes([name]) == [code]


def test_water_and_furniture_with_a_body_are_3d_models() -> None:
    assert codes(["WaterBody", "CityFurniture", "GenericCityObject"], ["1", "3", "2"]) == ["010406", "010412", "010412"]


def test_what_the_class_alone_does_not_decide_has_no_code() -> None:
    assert codes(["CityObjectGroup", "GenericThematicSurface", "+NoiseBuilding", "Version", None]) == [None] * 5


def test_level_follows_the_level_of_detail() -> None:
    lods: list[object] = [None, "0", "1", "1.3", "2.2", "3", "4"]
    assert levels(["Building"] * 7, lods) == ["CIM1", "CIM1", "CIM2", "CIM2", "CIM3", "CIM4", "CIM5"]
    assert levels(["LandUse", "Road", "+NoiseBuilding"]) == ["CIM1"] * 3


def test_storeys_and_rooms_are_cim5_and_elements_cim6_at_any_level_of_detail() -> None:
    for lod in (None, "1", "2.2", "3"):
        assert levels(["BuildingStorey", "BuildingRoom", "BuildingConstructiveElement", "Window"], [lod] * 4) == [
            "CIM5",
            "CIM5",
            "CIM6",
            "CIM6",
        ]


def test_a_building_with_rooms_is_cim5_but_a_road_is_not() -> None:
    assert levels(["Building", "Building", "Building", "Road"], ["2"] * 4, has_rooms=[True, False, None, True]) == [
        "CIM5",
        "CIM3",
        "CIM3",
        "CIM3",
    ]


def test_the_code_of_a_part_makes_it_cim7_and_no_code_lowers_a_level() -> None:
    types: list[str | None] = ["BuildingConstructiveElement", "BuildingConstructiveElement", "Building", "+Valve", "Building"]
    given_codes: list[object] = ["01040404", "01040401", "010403", "01040404", "none of ours"]
    assert levels(types, ["3"] * 5, codes=given_codes) == ["CIM7", "CIM6", "CIM4", "CIM7", "CIM4"]


def test_series_and_versions_have_no_level() -> None:
    assert levels(["Dynamizer", "GenericTimeseries", "Version", None]) == [None] * 4


@pytest.mark.parametrize("lod", ["LoD2", "lod 2.1", " 2 ", "2."])
def test_a_level_of_detail_may_be_written_in_several_ways(lod: str) -> None:
    assert levels(["Building"], [lod]) == ["CIM3"]


@pytest.mark.parametrize("lod", ["fine", "", "-1", "22", "2,2", float("nan"), -1.0])
def test_an_unreadable_level_of_detail_gives_no_level_rather_than_a_wrong_one(lod: object) -> None:
    assert levels(["Building"], [lod]) == [None]
    assert codes(["Building"], [lod]) == ["010403"]


def test_levels_of_detail_may_be_numbers() -> None:
    assert levels(["Building"] * 3, [2.2, 1.0, None]) == ["CIM3", "CIM2", "CIM1"]
    assert levels(["Building"] * 2, [3, None]) == ["CIM4", "CIM1"]


NAMES = st.sampled_from([*CLASSES, "+Extension", "Storey"])
LODS = st.sampled_from([None, "0", "1.2", "2.2", "3", "4", "?"])


@given(st.lists(st.tuples(NAMES, LODS, st.booleans(), st.sampled_from([None, *CODES])), max_size=30), st.integers(0, 30))
def test_a_column_gives_what_its_rows_give_one_by_one(rows: list[tuple[str, str | None, bool, str | None]], cut: int) -> None:
    columns = [
        pa.array([row[place] for row in rows], kind) for place, kind in enumerate((pa.string(), pa.string(), pa.bool_(), pa.string()))
    ]
    types, lods, rooms, given_codes = (pa.chunked_array([column[:cut], column[cut:]]) for column in columns)
    assert code_for(types, lods).to_pylist() == [codes([name], [lod])[0] for name, lod, _, _ in rows]
    one_by_one = [levels([name], [lod], has_rooms=[room], codes=[code])[0] for name, lod, room, code in rows]
    assert level_for(types, lods, has_rooms=rooms, codes=given_codes).to_pylist() == one_by_one
    assert level_for(types.combine_chunks().dictionary_encode(), lods.combine_chunks().dictionary_encode()).to_pylist() == [
        levels([name], [lod])[0] for name, lod, _, _ in rows
    ]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_finer_level_of_detail_never_lowers_the_level(name: str) -> None:
    found = levels([name] * 5, ["0", "1", "2", "3", "4"])
    assert found == sorted(found, key=lambda level: SEVEN.index(level) if level else 0)
    assert set(found) <= {*SEVEN, None}
    assert {code for code in codes([name] * 5, ["0", "1", "2", "3", "4"]) if code} <= set(CODES)


def test_no_rows_give_no_rows() -> None:
    assert codes([], []) == []
    nothing = level_for(
        pa.array([], pa.string()), pa.array([], pa.string()), has_rooms=pa.array([], pa.bool_()), codes=pa.array([], pa.string())
    )
    assert (len(nothing), nothing.type) == (0, pa.string())


@pytest.mark.parametrize("column", ["lods", "has_rooms", "codes"])
def test_a_column_of_another_length_is_refused(column: str) -> None:
    more = {} if column == "lods" else {column: pa.array([None])}
    with pytest.raises(UsageError, match=f"{column} has 1 rows but types has 2; give one value per object"):
        level_for(pa.array(["Road", "Road"]), pa.array(["1"]) if column == "lods" else None, **more)


def test_a_code_is_named_in_two_languages_and_lies_on_its_path() -> None:
    assert (label("010404"), label("010404", "zh")) == ("building model", "建筑三维模型")
    assert [label(code, "zh") for code in path("01040401")] == ["时空基础数据", "三维模型", "建筑三维模型", "分层"]


@pytest.mark.parametrize("ask", [label, children, path])
def test_an_unknown_code_is_refused_and_the_nearest_known_one_named(ask: Callable[[str], object]) -> None:
    with pytest.raises(ObjectNotFoundError, match="no CIM class has the code '010499'; nearest known code 0104"):
        ask("010499")
    with pytest.raises(ObjectNotFoundError, match="the code list begins with 01, 02, 03, 04, 05, 06"):
        ask("99")


def test_a_data_set_has_the_code_of_its_kind() -> None:
    assert (dataset_code("dtm"), dataset_code("dsm"), dataset_code("orthophoto")) == ("010401", "010402", "010301")
    with pytest.raises(UsageError, match="data set kind 'poem' has no CIM code, expected one of dem, dtm"):
        dataset_code("poem")


def test_the_scheme_says_that_it_is_ours_and_not_verified() -> None:
    assert "project" in LEVEL_SCHEME
    assert "unverified" in LEVEL_SCHEME
    assert list(LEVELS) == SEVEN
