"""Values of tags: read as the wiki writes them, missing otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.osm.values import count, direction_of, length, parsed, speed, year


@pytest.mark.parametrize(
    ("text", "metres"),
    [("12", 12.0), ("12 m", 12.0), ("12m", 12.0), ("40 ft", 12.192), ("40'", 12.192), ("6'6\"", 1.9812), ("7 ft 4 in", 2.2352),
     ("12,5", 12.5), ("12米", 12.0), ("1,250", None), ("约12米", None), ("3 floors", None), ("10-12", None), ("~8", None), ("", None),
     ("8;9", None), ("nan", None), ("1e3", None), ("12 mm/s", None)],
)  # fmt: skip
def test_a_length_is_metres_or_missing(text: str, metres: float | None) -> None:
    found = length(text).value
    assert found == pytest.approx(metres, rel=1e-12) if metres is not None else found is None  # one rounding of the factor


def test_a_decimal_comma_is_told() -> None:
    done = parsed(["12,5", "12.5", None, "x"], length)
    assert done.values == [12.5, 12.5, None, None]
    assert (done.mended, done.bad) == ({"12,5": 1}, {"x": 1})


@pytest.mark.parametrize(
    ("text", "value"), [("50", 50 / 3.6), ("30 mph", 13.4112), ("none", None), ("CN:urban", None), ("30;50", None), ("-5", None)]
)
def test_a_speed_is_metres_per_second_or_missing(text: str, value: float | None) -> None:
    assert speed(text).value == (None if value is None else pytest.approx(value))


def test_counts_and_years_are_strict() -> None:
    assert [count(text).value for text in ("2", "2.5", "2;3", "many")] == [2.0, 2.5, None, None]
    assert [year(text).value for text in ("1931", "1931-05-02", "~1900", "C19")] == [1931.0, 1931.0, None, None]


def test_one_way_is_what_the_tag_says_before_what_the_kind_implies() -> None:
    said = [direction_of(tag, implied=True)[0] for tag in ("yes", "-1", "no", None)]
    assert said == ["forward", "backward", "both", "forward"]
    assert direction_of("alternating", implied=False) == ("both", False)


@given(st.text(max_size=12))
def test_no_text_makes_a_length_that_is_not_finite(text: str) -> None:
    found = length(text).value
    assert found is None or abs(found) < 1e13
