"""A verdict needs a value and a limit; whatever is missing is not assessed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.results import RunRecord, Verdicts, judge, verdicts_from

RUN = RunRecord("far", "1", assumptions=("<b>storeys</b> = height / 3",))
number = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.just(1.0))


@given(st.lists(st.tuples(number, number, st.sampled_from([None, "missing_height"])), min_size=1, max_size=20))
def test_only_known_values_and_limits_are_judged(rows: list[tuple[float, float, str | None]]) -> None:
    value, limit, reason = (list(column) for column in zip(*rows, strict=True))
    judged = judge(np.array(value), np.array(limit), reason=reason)
    for place, (one, bound, why) in enumerate(rows):
        known = np.isfinite(one) and np.isfinite(bound) and why is None
        assert (judged.verdict[place] == "not_assessed") == (not known)
        assert (judged.reason[place] is None) == known
        if known:
            assert judged.verdict[place] == ("pass" if one <= bound else "fail")


def test_a_value_equal_to_its_limit_passes_and_rounding_is_forgiven() -> None:
    assert judge([1.0, 1.0 + 1e-9, 1.1], 1.0, tolerance=1e-6).verdict.tolist() == ["pass", "pass", "fail"]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"verdict": "pass", "value": None, "limit": 1.0}, "without a value and a limit"),
        ({"verdict": "fail", "value": 1.0, "limit": float("nan")}, "without a value and a limit"),
        ({"verdict": "not_assessed"}, "without a reason"),
        ({"verdict": "pass", "value": 1.0, "limit": 2.0, "reason": "missing_height"}, "a reason why it cannot"),
        ({"verdict": "ok"}, "'ok' is none of pass, fail"),
        ({"verdict": None}, "no object or no verdict"),
    ],
)
def test_a_table_that_passes_something_unknown_is_refused(row: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Verdicts("far", pa.Table.from_pylist([{"object": "a", **row}]), RUN)


def make_verdicts() -> Verdicts:
    judged = judge([1.2, 1.2, np.nan], [1.2, 1.0, 1.0])
    columns = {"object": ["a", "<b>", "c"], "value": [1.2, 1.2, None], "unit": "1", "limit": [1.2, 1.0, 1.0], "excess": judged.excess}
    return verdicts_from("far", RUN, {**columns, "verdict": judged.verdict, "reason": judged.reason})


def test_counts_and_rows_by_verdict() -> None:
    made = make_verdicts()
    assert made.counts() == {"pass": 1, "fail": 1, "not_assessed": 1}
    assert made.only("fail")["object"].to_pylist() == ["<b>"]
    assert repr(made) == "<Verdicts far: 1 pass, 1 fail, 1 not_assessed>"
    with pytest.raises(UsageError, match="no verdict 'maybe'"):
        made.only("maybe")


def test_the_notebook_view_escapes_what_it_shows_and_puts_failures_first() -> None:
    page = make_verdicts()._repr_html_()
    assert "<b>storeys" not in page
    assert "&lt;b&gt;" in page
    assert page.index("fail</td>") < page.index("not_assessed</td>") < page.index("pass</td>")


def test_the_data_frame_is_indexed_by_object() -> None:
    frame = make_verdicts().to_pandas()
    assert frame.loc["a", "verdict"] == "pass"
    assert frame["value"].isna().tolist() == [False, False, True]
