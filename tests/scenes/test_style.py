"""Colours say what they mean, and what is missing looks missing."""

from __future__ import annotations

import numpy as np
import pytest

from cim.errors import UsageError
from cim.scenes import Categorical, Ramp, Rules, Text
from cim.scenes.style import CIVIDIS, MISSING, PALETTE, VERDICTS, hex_colour, style_for

TITLE = Text("title", "标题")


def luminance(colour: tuple[int, int, int]) -> float:
    """Return relative luminance (WCAG 2.1)."""
    c = np.array(colour) / 255
    return float(np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def test_a_ramp_gives_its_ends_and_grey_hatch_for_what_is_missing() -> None:
    made = Ramp(low=0.0, high=10.0).encode([0.0, 10.0, 99.0, np.nan], TITLE, "m")
    assert made.colours.tolist() == [list(CIVIDIS[0]), list(CIVIDIS[-1]), list(CIVIDIS[-1]), list(MISSING)]
    assert made.hatched.tolist() == [False, False, False, True]
    assert made.legend.entries[0].count == 1
    assert (made.legend.unit, made.legend.low, made.legend.high) == ("m", 0.0, 10.0)


def test_one_odd_value_does_not_flatten_the_ramp() -> None:
    made = Ramp().encode([*np.linspace(0, 10, 200), 1e6], TITLE)
    assert made.legend.high < 11
    assert made.legend.marks()[2].startswith("≥ ")  # and the legend says that there is more


def test_a_ramp_of_nothing_is_grey() -> None:
    assert Ramp().encode([np.nan, np.nan], TITLE).colours.tolist() == [list(MISSING)] * 2


def test_categories_are_counted_and_the_rest_shares_one_colour() -> None:
    values = ["a"] * 3 + ["b"] * 2 + [f"c{i}" for i in range(20)] + [None]
    made = Categorical().encode(values, TITLE)
    assert [(entry.label.en, entry.count) for entry in made.legend.entries[:2]] == [("a", 3), ("b", 2)]
    assert made.legend.entries[-2].label.en == "others"
    assert made.legend.entries[-1].count == 1
    assert sum(entry.count or 0 for entry in made.legend.entries) == len(values)
    assert made.colours[-1].tolist() == list(MISSING)


def test_rules_put_values_into_classes() -> None:
    rules = Rules((10.0, 20.0), (PALETTE[0], PALETTE[1], PALETTE[2]))
    made = rules.encode([5, 10, 19.9, 20, np.nan], TITLE, "m")
    assert [entry.count for entry in made.legend.entries] == [1, 2, 1, 1]
    assert [entry.label.en for entry in made.legend.entries[:3]] == ["< 10", "10 – 20", "≥ 20"]


def test_rules_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="one colour more than bounds"):
        Rules((2.0, 1.0), (PALETTE[0], PALETTE[1], PALETTE[2]))


def test_lightness_of_cividis_rises_all_the_way() -> None:
    assert (np.diff([luminance(colour) for colour in CIVIDIS]) > 0).all()


def test_verdicts_differ_by_more_than_colour() -> None:
    made = VERDICTS.encode(["pass", "fail", "not_assessed"], TITLE)
    assert made.hatched.tolist() == [False, True, True]
    assert abs(luminance(VERDICTS.colours["pass"]) - luminance(VERDICTS.colours["fail"])) > 0.03


def test_numbers_get_a_ramp_and_words_a_palette() -> None:
    assert isinstance(style_for([1.0]), Ramp)
    assert isinstance(style_for(["a"]), Categorical)


def test_a_colour_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="#rrggbb"):
        hex_colour("red")
