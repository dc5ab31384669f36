from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.results import Fields, RunRecord, compare, comparison_text
from cim.results.columns import column
from cim.results.tolerance import within_noise


def flows(links: list[str], flow: list[float], noise: list[float]) -> Fields:
    """Return a result with flows that may be off by so much."""
    import xarray as xr

    schema = pa.schema([pa.field("object", pa.string()), pa.field("link", pa.string()), column("flow", pa.float64(), unit="veh/h"),
                        column("flow_noise", pa.float64(), unit="veh/h")])  # fmt: skip
    table = pa.Table.from_arrays([pa.array(["r1"] * len(links)), pa.array(links), pa.array(flow), pa.array(noise)], schema=schema)
    return Fields("traffic", xr.Dataset(), {"links": table}, RunRecord("traffic", "1"))


def test_a_difference_below_the_noise_of_both_runs_is_no_change() -> None:
    base = flows(["a", "b", "c"], [100.0, 100.0, 100.0], [2.0, 2.0, 0.0])
    option = flows(["a", "b", "c"], [103.0, 106.0, 100.5], [1.5, 1.5, 0.0])
    found = compare(base, option)
    table = found.table("links")
    assert table["flow_noise"].to_pylist() == [3.5, 3.5, 0.0]
    assert table["flow_difference"].to_pylist() == [3.0, 6.0, 0.5]
    assert table["change"].to_pylist() == ["same", "changed", "changed"]
    assert "flow_noise_base" not in table.column_names
    assert "row by row in flow_noise" in str(found.noise)


def test_links_of_one_road_are_told_apart() -> None:
    found = compare(flows(["a", "b"], [1.0, 2.0], [0.0, 0.0]), flows(["b", "a"], [2.0, 7.0], [0.0, 0.0])).table("links")
    assert found.select(["link", "flow_difference"]).to_pylist() == [
        {"link": "a", "flow_difference": 6.0},
        {"link": "b", "flow_difference": 0.0},
    ]


def test_the_words_name_no_ghost_and_rank_what_is_beyond_the_noise() -> None:
    base = flows(["a", "b"], [1000.0, 100.0], [40.0, 1.0])
    option = flows(["a", "b"], [1060.0, 130.0], [40.0, 1.0])
    text = comparison_text(compare(base, option))
    assert "flow 100" in text
    assert "flow 1000" not in text
    assert "1060" not in text


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=20))
def test_what_lies_within_the_noise_equals_a_plain_loop(rows: list[tuple[float, float, float, float]]) -> None:
    names = [f"l{number}" for number in range(len(rows))]
    base = flows(names, [one[0] for one in rows], [one[2] for one in rows])
    option = flows(names, [one[1] for one in rows], [one[3] for one in rows])
    found = within_noise(compare(base, option).table("links"), "flow")
    assert found.tolist() == [abs(b - a) <= n + m for a, b, n, m in rows]


def test_a_noise_that_is_unknown_hides_nothing() -> None:
    found = compare(flows(["a"], [1.0], [np.nan]), flows(["a"], [2.0], [1.0])).table("links")
    assert found["change"].to_pylist() == ["changed"]


@pytest.mark.parametrize("side", ["base", "option"])
def test_a_run_without_noise_is_compared_as_before(side: str) -> None:
    import dataclasses

    noisy = flows(["a"], [1.0], [5.0])
    plain = dataclasses.replace(noisy, tables={"links": noisy.tables["links"].drop_columns(["flow_noise"])})
    other = flows(["a"], [2.0], [5.0])
    other = dataclasses.replace(other, tables={"links": other.tables["links"]})
    pair = (plain, other) if side == "base" else (other, plain)
    assert compare(*pair).table("links")["change"].to_pylist() == ["changed"]


def test_a_result_that_states_its_main_figures_is_shown_with_them() -> None:
    import dataclasses

    from cim.results import main_figures

    def told(value: float) -> Fields:
        table = pa.table({"figure": ["arrived"], "value": [value], "unit": ["veh"], "note": ["of 10"]})
        result = flows(["a"], [1.0], [0.0])
        return dataclasses.replace(result, tables={**result.tables, "figures": table})

    found = main_figures(told(9.0))
    assert [(one.name, one.value, one.unit, one.note) for one in found] == [("arrived", 9.0, "veh", "of 10")]
    beside = compare(told(9.0), told(7.0))
    assert beside.figures.select(["figure", "difference"]).to_pylist() == [{"figure": "arrived", "difference": -2.0}]
    assert set(beside.tables) == {"links"}


def test_differences_are_told_with_sign_noise_and_unit_in_words_and_in_the_notebook() -> None:
    found = compare(
        flows(["a", "b", "c"], [100.0, 100.0, 7.0], [0.2, 0.2, 0.0]), flows(["a", "b", "c"], [112.3, 40.0, 8.0], [0.2, 0.2, 0.0])
    )
    text, page = comparison_text(found), found._repr_html_()
    assert "flow 100 -> 112.3 (+12.3 ± 0.4 veh/h)" in text
    assert "flow 100 -> 40 (-60 ± 0.4 veh/h)" in text
    assert "flow 7 -> 8 (+1 veh/h)" in text  # no noise, none told
    assert "<td>+12.3 ± 0.4 veh/h</td>" in page
    assert "<th>flow_base [veh/h]</th>" in page
    assert "flow_noise</th>" not in page
