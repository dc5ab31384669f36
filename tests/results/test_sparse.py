"""Tables in which a row that is not there is zeros: every difference against a dictionary over all keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cim.results import Comparison, Fields, RunRecord, compare, comparison_text, load_result, save_result
from cim.results.columns import column

LINKS, BEGINS = ("a", "b", "c"), (0.0, 300.0, 600.0)
Counts = Mapping[tuple[str, float], int]
counts = st.dictionaries(st.tuples(st.sampled_from(LINKS), st.sampled_from(BEGINS)), st.integers(1, 9))


def run(rows: Counts, *, edges: tuple[float, ...] = (*BEGINS, 900.0), absent: str = "zero") -> Fields:
    """Return a run that counted vehicles by link and interval, rows only where there were any."""
    schema = pa.schema([
        pa.field("object", pa.string()), pa.field("link", pa.string()), column("time", pa.float64(), unit="s"),
        column("entered", pa.int64(), unit="veh", absent=absent), column("delay", pa.float64(), unit="veh s", absent=absent),
        column("speed", pa.float64(), unit="m/s"),
    ], metadata={"intervals": json.dumps(edges)})  # fmt: skip
    told = [{"link": link, "time": time, "entered": many, "delay": many / 3, "speed": 9.0} for (link, time), many in rows.items()]
    table = pa.Table.from_pylist(told, schema=schema)
    return Fields("traffic", xr.Dataset(), {"intervals": table}, RunRecord("traffic", "1"))


def differences(made: Comparison) -> dict[tuple[str, float], tuple[float | None, float | None, float | None, str]]:
    names = [f"{name}_difference" for name in ("entered", "delay", "speed")]
    rows = made.table("intervals").to_pylist()
    return {(row["link"], row["time"]): (*(row[name] for name in names), row["change"]) for row in rows}


@given(counts, counts)
def test_a_row_that_is_not_there_is_zeros_in_every_difference(base: Counts, option: Counts) -> None:
    expected = {}
    for key in {*base, *option}:  # the slow way: every key, zero where a run says nothing
        gap = option.get(key, 0) - base.get(key, 0)
        both = key in base and key in option
        expected[key] = (gap, option.get(key, 0) / 3 - base.get(key, 0) / 3, 0.0 if both else None, "same" if gap == 0 else "changed")
    assert differences(compare(run(base), run(option))) == expected


def test_where_a_run_did_not_look_a_missing_row_is_not_zeros() -> None:
    base, longer = run({("a", 0.0): 3, ("b", 300.0): 2}), run({("a", 0.0): 3, ("b", 900.0): 5}, edges=(*BEGINS, 900.0, 1200.0))
    made = compare(base, longer)
    assert differences(made) == {
        ("a", 0.0): (0.0, 0.0, 0.0, "same"),
        ("b", 300.0): (-2.0, -2 / 3, None, "changed"),
        ("b", 900.0): (None, None, None, "only in option"),
    }
    assert any("1 rows that only one has get no difference" in text for text in made.warnings)
    coarse = compare(base, run({("c", 0.0): 7}, edges=(0.0, 600.0)))  # 0 to 300 s against 0 to 600 s
    assert {row[-1] for row in differences(coarse).values()} == {"only in base", "only in option"}


def test_a_table_that_does_not_say_so_has_no_zeros() -> None:
    rows = differences(compare(run({("a", 0.0): 3}, absent=""), run({("b", 0.0): 3}, absent="")))
    assert {row[0] for row in rows.values()} == {None}
    one_sided = differences(compare(run({("a", 0.0): 3}, absent=""), run({("b", 0.0): 3})))
    assert {row[0] for row in one_sided.values()} == {None}


def test_what_a_table_says_of_missing_rows_survives_its_file(tmp_path: Path) -> None:
    one, other = (load_result(save_result(run({(link, 0.0): 4}), tmp_path / link)) for link in ("a", "b"))
    assert isinstance(one, Fields)
    assert isinstance(other, Fields)
    made = compare(one, other)
    assert {key: row[0] for key, row in differences(made).items()} == {("a", 0.0): -4.0, ("b", 0.0): 4.0}
    assert "entered 4 -> 0 (-4 veh)" in comparison_text(made)
