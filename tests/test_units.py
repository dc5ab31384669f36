"""What the field calls a unit is understood, converted exactly, and never guessed."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.units import _TABLE, Unit, parse_unit, quantity, to_si

ALL_UNITS = [symbol for units in _TABLE.values() for symbol in units]
# How pint calls what the table writes in the field's way; the rest of the table pint reads as it is.
FOR_PINT = {
    "": "1",
    "%": "percent",
    "ftUS": "survey_foot",
    "in": "inch",
    "ft²": "foot**2",
    "ft³": "foot**3",
    "ft³/s": "foot**3/second",
    "km/h": "kilometer/hour",
    "mm/h": "millimeter/hour",
    "kn": "knot",
    "h": "hour",
    "d": "day",
    "t": "tonne",
    "L/(s·ha)": "liter/second/hectare",
    "gon": "grade",
    "acre": "international_acre",
    "°": "degree",
    "m³/h": "m**3/hour",
    "m³/d": "m**3/day",
    "mm/d": "mm/day",
    "mm/min": "mm/minute",
    "s/m^(1/3)": "s/m**(1/3)",
}
OURS_ALONE = {"storey", "‰", "亩", "万m²", "万m³", "veh/h", "veh/d", "dB", "°C", "°F", "acre"}


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        *((word, "m") for word in ("m", "M", "metre", "Meter", "METRES", "米", "ｍ", "(m)", "[m]", " m ")),
        *((word, "m²") for word in ("m2", "m²", "㎡", "M2", "m^2", "m**2", "SQUARE_METRE", "square metres", "平方米", "sq m")),
        *((word, "ftUS") for word in ("US survey foot", "us-ft", "ftUS", "Foot_US")),
        *((word, "ft") for word in ("ft", "FT", "feet", "英尺")),
        *((word, "mm") for word in ("mm", "MM", "毫米", "MILLIMETRE")),
        *((word, "storey") for word in ("层", "storeys", "floors")),
        *((word, "°") for word in ("°", "deg", "degrees", "度")),
        *((word, "") for word in ("", None, "1", "-", "个")),
        ("%", "%"),
        ("百分比", "%"),
        ("℃", "°C"),
        ("公顷", "ha"),
        ("亩", "亩"),
        ("万㎡", "万m²"),
        ("KM/H", "km/h"),
        ("公里/小时", "km/h"),
        ("升/(秒·公顷)", "L/(s·ha)"),
        ("L/(s.ha)".replace(".", "·"), "L/(s·ha)"),
        ("μm", "µm"),
        ("MPa", "MPa"),
        ("ug/m3", "µg/m³"),
    ],
)
def test_spellings_of_the_field_are_understood(text: str | None, symbol: str) -> None:
    assert parse_unit(text).symbol == symbol


def test_case_matters_where_it_tells_milli_from_mega() -> None:
    assert parse_unit("MW").factor == 1e6
    assert parse_unit("mW").factor == pytest.approx(1e-3)
    assert parse_unit("mPa").factor == pytest.approx(1e-3)


@pytest.mark.parametrize("symbol", sorted(set(ALL_UNITS) - OURS_ALONE))
def test_every_factor_of_the_table_is_the_one_of_pint(symbol: str) -> None:
    registry: pint.UnitRegistry[Any] = pint.UnitRegistry()
    unit = parse_unit(symbol)
    theirs = registry.Quantity(1.0, FOR_PINT.get(symbol, symbol)).to(unit.si or "dimensionless").magnitude
    assert unit.factor == pytest.approx(theirs, rel=1e-14)  # rounding of a product


def test_factors_that_pint_does_not_know_are_those_of_their_definitions() -> None:
    assert parse_unit("亩").factor * 15 == pytest.approx(parse_unit("公顷").factor, rel=1e-15)
    assert parse_unit("acre").factor == pytest.approx(43560 * 0.3048**2, rel=1e-15)
    assert parse_unit("L/(s·ha)").factor * 3600 * 1000 == pytest.approx(0.36, rel=1e-12)  # 1 L/(s·ha) is 0.36 mm/h
    assert to_si([20.0], "°C")[0][0] == pytest.approx(293.15, rel=1e-15)
    assert to_si([68.0], "°F")[0][0] == pytest.approx(293.15, rel=1e-15)


@given(st.sampled_from([one for one in ALL_UNITS if one not in {"dB", "storey"}]), st.floats(-1e6, 1e6))
def test_conversion_is_linear_and_comes_back(symbol: str, value: float) -> None:
    unit = parse_unit(symbol)
    si, _ = to_si([value], symbol)
    assert (si[0] - unit.offset) / unit.factor == pytest.approx(value, rel=1e-12, abs=1e-6)


def test_values_keep_their_shape_and_their_gaps() -> None:
    given_ = np.array([[1.0, np.nan], [2.0, 3.0]])
    si, words = to_si(given_, "km", "m")
    np.testing.assert_array_equal(si, [[1000.0, np.nan], [2000.0, 3000.0]])
    assert words == "km → m, × 1000"
    assert given_[0, 0] == 1.0
    assert to_si([1.0], "米", "m")[1] == "m"


@pytest.mark.parametrize(
    ("unit", "target", "told"),
    [
        ("m²", "m", "'m²' does not measure the same as m"),
        ("ha", "m", "'ha' (m²) does not measure the same as m"),
        ("层", "m", "counts storeys, expected m"),
        ("m", "", "does not measure the same as a pure number"),
        ("%", "m", "does not measure the same as m"),
        ("°", "", "does not measure the same as a pure number"),
    ],
)
def test_a_unit_of_another_kind_is_refused(unit: str, target: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        to_si([1.0], unit, target)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "metrs",
        "米米",
        "m/",
        "m;s",
        "3 m",
        "__import__('os').system('id')",
        "9**9**9**9",
        "m**99999",
        "x" * 100000,
        "(" * 500,
        "\x00",
        "m\n\nm(",
    ],
)
def test_what_is_no_unit_is_refused_quickly(text: str) -> None:
    begin = time.perf_counter()
    with pytest.raises(UsageError, match="is no unit") as caught:
        parse_unit(text)
    assert len(str(caught.value)) < 200
    assert time.perf_counter() - begin < 10.0  # an evaluated power would take for ever


def test_near_units_are_named() -> None:
    with pytest.raises(UsageError, match="did you mean metres"):
        parse_unit("metrs")


@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_a_clear_refusal(text: str) -> None:
    try:
        assert isinstance(parse_unit(text), Unit)
    except UsageError as error:
        assert "unit" in str(error)  # noqa: PT017


def test_other_units_come_from_pint_and_compare_with_ours() -> None:
    assert parse_unit("furlong").si == "m"
    assert parse_unit("psi").si == "Pa"
    assert parse_unit("millimeter/hour").si == "m/s"
    with pytest.raises(UsageError, match="logarithmic"):
        parse_unit("decade")


def test_quantities_calculate_at_the_border() -> None:
    area = quantity(3.0, "亩")
    assert area.to("hectare").magnitude == pytest.approx(0.2, rel=1e-12)
    assert (quantity([1.0, 2.0], "km") / quantity(1.0, "h")).to("m/s").magnitude == pytest.approx([1 / 3.6, 2 / 3.6])
    assert quantity(20.0, "°C").to("kelvin").magnitude == pytest.approx(293.15)


def test_common_units_do_not_load_pint() -> None:
    code = "import sys; from cim.units import parse_unit as p; p('平方米'), p('FT'), p('层'); sys.exit('pint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
