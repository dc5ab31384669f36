"""Damage curves against the tables they were typed from, and damage against hand-made figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import FormatError, InputError, UsageError
from cim.model import City, Column
from cim.results import Fields
from cim.sim.impact import BuildingValues, DamageCurves, damage, exposure, jrc_curves, read_curves
from tests.sim.impact.helpers import make_city, make_water, rows

CONTINENTS = ("africa", "asia", "europe", "north america", "oceania", "south america")
FIELD = np.full((12, 30), 1.15)


def make_case(*words: str | None, depth: Any = FIELD) -> tuple[City, Fields]:
    shapes = {f"b{number}": shapely.box(4 + 8 * number, 8, 8 + 8 * number, 14) for number in range(len(words))}
    city = make_city(shapes, attributes={"usage": Column(list(words))})
    return city, exposure(city, make_water(depth))


@pytest.mark.parametrize(
    ("continent", "use", "depth", "fraction"),
    [
        ("europe", "residential", 0.5, 0.25),
        ("europe", "residential", 3.0, 0.75),
        ("europe", "commercial", 2.0, 0.55),
        ("europe", "industrial", 1.0, 0.27),
        ("asia", "residential", 1.0, 0.49),
        ("africa", "residential", 2.0, 0.64),
        ("oceania", "commercial", 1.5, 0.67),
        ("south america", "industrial", 0.5, 0.67),
        ("north america", "residential", 0.5, 0.44),
    ],
)
def test_the_curves_are_those_of_the_report(continent: str, use: str, depth: float, fraction: float) -> None:
    assert float(jrc_curves(continent).fraction(use, depth)) == pytest.approx(fraction, abs=0.0051)  # the report prints two digits


@pytest.mark.data
def test_every_point_agrees_with_the_table_it_was_typed_from(shared_data: Callable[..., Path]) -> None:
    items = json.loads(shared_data("flood", "impact", "physrisk_jrc.json").read_text(encoding="utf-8"))["items"]
    seen = 0
    for item in items:
        if item["impact_mean"]:
            curves = jrc_curves(item["location"])
            fractions = curves.fraction(item["asset_type"].partition("/")[2].lower(), item["intensity"])
            assert np.allclose(fractions, item["impact_mean"], atol=5.1e-5, rtol=0), item["location"]  # typed with four digits
            seen += 1
    assert seen >= 18


@given(st.sampled_from(CONTINENTS), st.sampled_from(["residential", "commercial", "industrial"]), st.floats(0, 12), st.floats(0, 12))
def test_more_water_never_does_less_damage(continent: str, use: str, depth: float, more: float) -> None:
    curves = jrc_curves(continent)
    low, high = curves.fraction(use, [depth, depth + more])
    assert 0 <= low <= high <= 1


def test_a_curve_the_report_lacks_is_the_global_one_and_said() -> None:
    assert jrc_curves("africa").points["commercial"] == jrc_curves("global").points["commercial"]
    assert jrc_curves("africa").notes == ("JRC 2017 has no commercial curve of africa: the global one is taken",)
    with pytest.raises(UsageError, match="'mars'; expected one of africa"):
        jrc_curves("mars")


def test_damage_is_fraction_times_area_times_value() -> None:
    city, exposed = make_case("住宅", "商业", "厂房")
    found = rows(
        damage(city, exposed, curves="europe", values=BuildingValues({"residential": 100.0, "commercial": 200.0}, "EUR", 2010)), "damage"
    )
    assert [found[one]["use"] for one in ("b0", "b1", "b2")] == ["residential", "commercial", "industrial"]
    assert found["b0"]["depth"] == pytest.approx(1.0)  # over an assumed threshold of 0.15 m
    assert found["b0"]["damage_fraction"] == pytest.approx(0.4)
    assert found["b0"]["area"] == pytest.approx(24.0)
    assert found["b0"]["damage"] == pytest.approx(0.4 * 24 * 100)
    assert found["b1"]["damage"] == pytest.approx(0.3 * 24 * 200)
    assert (found["b2"]["status"], found["b2"]["damage"]) == ("damaged", None)  # no value: the share, but no money


def test_money_carries_currency_and_year_and_the_sum_what_it_leaves_out() -> None:
    city, exposed = make_case("住宅", "厂房", "oddity")
    result = damage(city, exposed, curves="europe", values=BuildingValues({"residential": 100.0}, "EUR", 2010))
    assert result.to_pandas().attrs["units"]["damage"] == "EUR (2010)"
    balance = dict(result.run.balance)
    assert balance == {
        "damaged_buildings": 2.0, "not_assessed_buildings": 1.0, "damaged_area_m2": pytest.approx(48.0),
        "damage_EUR_2010": pytest.approx(960.0), "damaged_buildings_without_value": 1.0,
    }  # fmt: skip
    assert "damage: 1 not assessed, unknown_use" in result.run.assumptions


def test_without_a_value_there_is_no_money() -> None:
    city, exposed = make_case("住宅")
    result = damage(city, exposed, curves="asia")
    assert rows(result, "damage")["b0"]["damage"] is None
    assert not any(name.startswith("damage_") for name in result.run.balance)


def test_the_depth_may_count_from_the_ground_outside() -> None:
    city, exposed = make_case("住宅")
    row = rows(damage(city, exposed, curves="europe", depth="ground"), "damage")["b0"]
    assert row["depth"] == pytest.approx(1.15)
    assert row["damage_fraction"] == pytest.approx(0.4 + 0.1 * 0.15 / 0.5)
    with pytest.raises(UsageError, match="'roof'; expected 'floor' or 'ground'"):
        damage(city, exposed, curves="europe", depth="roof")  # type: ignore[arg-type]


def test_a_public_building_takes_the_commercial_curve_and_it_is_said() -> None:
    city, exposed = make_case("学校")
    result = damage(city, exposed, curves="europe")
    assert rows(result, "damage")["b0"]["damage_fraction"] == pytest.approx(0.3)
    assert "1 buildings of use public take the curve of commercial" in result.run.assumptions


def test_words_of_a_city_may_be_added() -> None:
    city, exposed = make_case("oddity", None, "building=house")
    found = rows(damage(city, exposed, curves="europe", uses={"Oddity": "industrial"}), "damage")
    assert [found[one]["use"] for one in ("b0", "b1", "b2")] == ["industrial", None, "residential"]
    assert (found["b1"]["status"], found["b1"]["reason"]) == ("not_assessed", "unknown_use")


def test_a_dry_building_is_undamaged_and_an_unknown_one_is_not() -> None:
    field = np.zeros((12, 30))
    field[6, 16] = np.nan  # beside b3
    city, exposed = make_case("住宅", "住宅", "住宅", "住宅", depth=field)
    result = damage(city, exposed, curves="north america")
    found = rows(result, "damage")
    assert (found["b0"]["status"], found["b0"]["damage_fraction"]) == ("undamaged", 0.0)
    assert (found["b3"]["status"], found["b3"]["reason"], found["b3"]["damage_fraction"]) == ("not_assessed", "unknown_cells", None)


def test_water_that_may_be_inside_is_not_said_to_do_no_damage() -> None:
    field = np.full((12, 30), 0.1)  # wet, below the threshold
    field[6, 4] = np.nan
    city, exposed = make_case("住宅", depth=field)
    row = rows(damage(city, exposed, curves="europe"), "damage")["b0"]
    assert (row["status"], row["reason"]) == ("not_assessed", "unknown_depth")


def test_curves_of_ones_own_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(
        json.dumps({"name": "own", "source": "claims of 2021", "curves": {"residential": [[0, 2], [0, 0.5]]}}), encoding="utf-8"
    )
    city, exposed = make_case("住宅", "商业")
    result = damage(city, exposed, curves=read_curves(path))
    assert rows(result, "damage")["b0"]["damage_fraction"] == pytest.approx(0.25)
    assert (rows(result, "damage")["b1"]["status"], rows(result, "damage")["b1"]["reason"]) == ("not_assessed", "no_curve")
    assert result.run.parameters["source"] == "claims of 2021"
    with pytest.raises(InputError, match="cannot be read"):
        read_curves(tmp_path / "none.json")
    for text, words in (
        ("{", "is not JSON"),
        ('{"name": "x"}', "has no source, curves"),
        ('{"name": "x", "source": "y", "curves": {"a": [[0, 0], [0, 1]]}}', "depths must rise"),
        ('{"name": "x", "source": "y", "curves": {"a": [[0, 1], [0, 2]]}}', "between 0 and 1"),
        ('{"name": "x", "source": "y", "curves": {"a": [[0, 1], [1, 0]]}}', "never fall"),
        ('{"name": "x", "source": "y", "curves": {"a": [[0, "b"], [1, 0]]}}', "must be numbers"),
        ('{"name": "x", "source": "y", "curves": {"a": 3}}', "two or more of each"),
        ('{"name": "x", "source": "y", "curves": {}}', "there are none"),
        ('{"name": "x", "source": "y", "curves": [1]}', "expected"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(FormatError, match=words):
            read_curves(path)
    with pytest.raises(UsageError, match="none for 'farm'; they have residential"):
        DamageCurves("x", "y", {"residential": [[0, 1], [0, 1]]}).fraction("farm", 1.0)


def test_what_is_no_exposure_of_this_city_is_refused() -> None:
    city, exposed = make_case("住宅")
    other, _ = make_case("住宅", "住宅")
    with pytest.raises(UsageError, match="no table of exposed buildings"):
        damage(city, make_water(FIELD), curves="asia")
    with pytest.raises(UsageError, match="has 1 buildings, the city 2"):
        damage(other, exposed, curves="asia")
