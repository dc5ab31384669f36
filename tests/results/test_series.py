"""Series of two runs with steps of their own: brought to common times, summed up, and compared within a tolerance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.results import Fields, RunRecord, Tolerance, compare
from cim.results.columns import column

START = datetime(2026, 7, 1, 5, tzinfo=UTC)
EXACT = 1e-12
"""Straight lines are interpolated to the rounding of a few operations on doubles."""


def gauges(series: dict[str, tuple[list[float], list[float | None]]]) -> Fields:
    """Return a flood with gauges: seconds and depths by gauge."""
    schema = pa.schema(
        [
            column("gauge", pa.string()),
            column("time", pa.timestamp("us", "UTC")),
            column("depth", pa.float64(), unit="m"),
            column("kind", pa.string()),
        ]
    )
    rows = [
        {"gauge": name, "time": START + timedelta(seconds=second), "depth": depth, "kind": f"after {second:g}"}
        for name, (seconds, depths) in series.items()
        for second, depth in zip(seconds, depths, strict=True)
    ]
    return Fields("flood", xr.Dataset(), {"gauges": pa.Table.from_pylist(rows, schema=schema)}, RunRecord("flood", "1"))


def test_gauges_of_runs_with_other_steps_are_compared_at_common_times() -> None:
    base = gauges({"a": ([0, 10, 20, 30], [0.0, 1.0, 2.0, 3.0]), "b": ([0, 10], [5.0, 5.0])})
    option = gauges({"a": ([0, 7, 19, 25], [0.5, 1.2, 2.4, 3.0]), "b": ([0, 10], [5.0, 5.0])})  # 0.1 per second, half a metre higher
    made = compare(base, option)
    rows = made.table("gauges").to_pylist()
    assert [(row["gauge"], row["change"]) for row in rows] == [("a", "changed")] * 3 + [("b", "same")] * 2
    assert [row["depth_difference"] for row in rows[:3]] == pytest.approx([0.5, 0.5, 0.5], abs=EXACT)
    assert [row["kind_option"] for row in rows[:3]] == ["after 0", "after 7", "after 19"]  # words are the last known
    (told,) = [text for text in made.warnings if text.startswith("gauges")]
    assert "interpolated linearly" in told
    assert "1 rows of the base lie outside" in told


def test_each_gauge_is_summed_up_by_its_maxima_and_its_largest_difference() -> None:
    base = gauges({"a": ([0, 10, 20], [0.0, 2.0, 1.0]), "gone": ([0], [1.0]), "late": ([0, 1], [1.0, 1.0])})
    option = gauges({"a": ([0, 5, 10, 15, 20], [0.0, 9.0, 1.5, 1.2, 1.1]), "new": ([0], [2.0]), "late": ([5, 6], [1.0, 1.0])})
    rows = {row["gauge"]: row for row in compare(base, option).series["gauges"].to_pylist()}
    assert (rows["a"]["maximum_base"], rows["a"]["maximum_option"]) == (2.0, 9.0)  # each at its own times
    assert rows["a"]["largest_difference"] == pytest.approx(-0.5, abs=EXACT)
    assert rows["a"]["time"] == START + timedelta(seconds=10)
    assert rows["a"]["unit"] == "m"
    assert {name: row["change"] for name, row in rows.items()} == {
        "a": "changed", "gone": "only in base", "new": "only in option", "late": "no common time",
    }  # fmt: skip


def test_an_unknown_depth_stays_unknown_and_does_not_reach_its_neighbours() -> None:
    base = gauges({"a": ([0, 5, 10, 15, 20], [0.0, 0.5, 1.0, 1.5, 2.0])})
    rows = compare(base, gauges({"a": ([0, 10, 20], [0.0, None, 2.0])})).table("gauges").to_pylist()
    assert [row["depth_option"] for row in rows] == [0.0, None, None, None, 2.0]


def test_an_instant_given_twice_is_refused() -> None:
    once, twice = gauges({"a": ([0, 10], [0.0, 1.0])}), gauges({"a": ([0, 0], [0.0, 1.0])})
    for pair in ((once, twice), (twice, once)):
        with pytest.raises(UsageError, match="several rows for the same gauge, time"):
            compare(*pair)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 500), min_size=2, max_size=12, unique=True), st.lists(st.integers(0, 500), min_size=2, max_size=12, unique=True)
)
def test_common_times_agree_with_numpys_interpolation(one: list[int], two: list[int]) -> None:
    level = np.random.default_rng(len(one)).normal(size=501)
    base, option = (gauges({"x": ([-1], [0.0]), "a": (list(map(float, at)), level[at].tolist())}) for at in (sorted(one), sorted(two)))
    rows = [row for row in compare(base, option).table("gauges").to_pylist() if row["gauge"] == "a"]
    inside = [at for at in sorted(one) if min(two) <= at <= max(two)]
    assert [(row["time"] - START).total_seconds() for row in rows] == inside
    truth = np.interp(inside, sorted(two), level[sorted(two)])
    assert np.array([row["depth_option"] for row in rows], float) == pytest.approx(truth, abs=1e-9)  # rounding of 500 steps of unit size


# ---------------------------------------------------------------- tolerance


def buildings(depths: list[float | None], status: str = "wet") -> Fields:
    schema = pa.schema(
        [
            pa.field("object", pa.string()),
            pa.field("status", pa.string()),
            column("depth_max", pa.float64(), unit="m"),
            column("count", pa.int64()),
        ]
    )
    rows = [{"object": f"b{index}", "status": status, "depth_max": depth, "count": 3_000_000} for index, depth in enumerate(depths)]
    return Fields("impact", xr.Dataset(), {"buildings": pa.Table.from_pylist(rows, schema=schema)}, RunRecord("impact", "1"))


def test_what_differs_by_less_than_the_tolerance_is_the_same_and_its_difference_is_kept() -> None:
    base, option = buildings([1.0, 1.0, 5000.0, None]), buildings([1.0009, 1.0011, 5000.004, 0.0])
    made = compare(base, option)
    assert made.table("buildings")["change"].to_pylist() == ["same", "changed", "same", "changed"]
    assert made.table("buildings")["depth_max_difference"].to_pylist()[0] == pytest.approx(0.0009, abs=EXACT)
    assert compare(base, option, tolerance=Tolerance(0.0, 0.0)).changed("buildings").num_rows == 4
    assert "1e-06 of the value, or 0.001 in m" in str(made.tolerance)


def test_the_absolute_tolerance_holds_for_measured_units_only_and_whole_numbers_are_exact() -> None:
    one, other = np.array([1e-4]), np.array([5e-4])
    assert [bool(Tolerance().same(one, other, unit)[0]) for unit in ("m", "m³/s", "EUR (2020)", "", "1")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    base, option = buildings([1.0]), buildings([1.0])
    table = option.tables["buildings"]
    more = table.set_column(3, table.schema.field("count"), pa.array([3_000_001]))
    assert compare(base, Fields("impact", xr.Dataset(), {"buildings": more}, option.run)).changed("buildings").num_rows == 1
    with pytest.raises(UsageError, match="expected two numbers of at least 0"):
        Tolerance(-1.0)
    assert Tolerance().same(np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, np.inf]), "m").tolist() == [True, True, False]


def test_the_largest_changes_come_first() -> None:
    made = compare(buildings([1.0, 1.0, 1.0, 2.0]), buildings([1.1, 0.2, 1.0, 2.3, 7.0]))
    assert made.largest("buildings")["object"].to_pylist() == ["b4", "b1", "b3", "b0"]
    turned = compare(buildings([1.0]), buildings([1.0], "dry"))
    assert turned.largest("buildings")["change"].to_pylist() == ["wet -> dry"]


def test_rows_of_no_object_come_after_those_of_objects() -> None:
    def result(*flows: float) -> Fields:
        table = pa.table({"object": pa.array(["r1", None, "r2"]), "link": ["a", "zone:1>a", "b"], "flow": list(flows)})
        return Fields("traffic", xr.Dataset(), {"links": table}, RunRecord("traffic", "1"))

    made = compare(result(10.0, 500.0, 20.0), result(11.0, 0.0, 27.0))
    assert made.largest("links")["link"].to_pylist() == ["b", "a", "zone:1>a"]
