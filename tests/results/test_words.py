"""Results and comparisons in words: what stands there, and that long lists are cut with a count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import xarray as xr
from pyarrow import csv

from cim.results import Fields, Grid, RunRecord, compare, comparison_text, grid_dataset, result_text, to_csv
from cim.results.columns import column

BALANCE = {"rain_m3": 2160.0, "stored_m3": 2000.0, "infiltration_m3": 160.0, "volume_error_m3": 0.0, "volume_error_relative": 1e-9}
MANY = 45
"""Objects of a table: more than are shown."""


def flood(depth: float = 1.0, *, step: int = 10, notes: int = 0) -> Fields:
    """Return a flood with a gauge that is looked at every `step` seconds, and buildings whose depths all follow `depth`."""
    dataset = grid_dataset(Grid(0.0, 2.0, 2.0, 2.0, nx=1, ny=1, crs="EPSG:4549"))
    dataset["maximum_depth"] = (("y", "x"), np.array([[depth]]), {"units": "m", "standard_name": "maximum_depth", "long_name": "depth"})
    gauge = pa.schema([column("gauge", pa.string()), column("time", pa.timestamp("us", "UTC")), column("depth", pa.float64(), unit="m")])
    start = datetime(2026, 7, 1, tzinfo=UTC)
    looks = [{"gauge": "street", "time": start + timedelta(seconds=at), "depth": depth * at / 120} for at in range(0, 121, step)]
    building = pa.schema([column("object", pa.string()), column("status", pa.string()), column("depth_max", pa.float64(), unit="m")])
    rows = [{"object": f"b{at}", "status": "wet", "depth_max": depth * (at + 1)} for at in range(MANY)]
    tables = {"gauges": pa.Table.from_pylist(looks, schema=gauge), "buildings": pa.Table.from_pylist(rows, schema=building)}
    record = RunRecord("flood", "1", balance=BALANCE, assumptions=tuple(f"note {at} " for at in range(notes)))
    return Fields("flood", dataset, tables, record)


def test_a_flood_in_words_has_its_main_figures_its_ledger_and_twelve_of_its_assumptions() -> None:
    lines = result_text(flood(notes=15), "runs/a/flood/result.json").splitlines()
    assert [line.split() for line in lines if "greatest depth" in line] == [["greatest", "depth", "1", "m"]]
    assert any(line.split() == ["wet", "area,", "deeper", "than", "0.05", "m", "at", "some", "time", "4", "m²"] for line in lines)
    assert [line.split()[-2:] for line in lines if line.startswith("  in by rain")] == [["2,160", "m³"]]
    assert sum(line.startswith("  - note") for line in lines) == 12
    assert lines[-1] == "  and 3 more: see runs/a/flood/result.json"
    assert "more" not in result_text(flood(notes=12))
    plain = result_text(replace(flood(), run=RunRecord("flood", "1")))
    assert "ledger" not in plain
    assert "assumed" not in plain


def test_a_comparison_in_words_is_short_and_begins_with_the_main_figures() -> None:
    text = comparison_text(compare(flood(1.0, step=10), flood(1.5, step=7)))
    lines = text.splitlines()
    assert lines[1].split() == ["main", "figure", "unit", "base", "option", "difference"]
    assert lines[2].split() == ["greatest", "depth", "m", "1", "1.5", "+0.5"]
    assert "differs by more than 1e-06 of the value, or 0.001 in m" in text
    assert "interpolated linearly" in text
    assert [line.split()[:6] for line in lines if line.startswith("  street")] == [["street", "depth", "m", "1", "1.488", "+0.4583"]]
    shown = [line for line in lines if "depth_max" in line]
    assert len(shown) == 20
    assert shown[0].split() == ["b44", "changed", "depth_max", "45", "->", "67.5", "(+22.5", "m)"]  # the largest first
    assert f"  and {MANY - 20} more; --json or --csv for all" in lines
    assert f"buildings: 0 of {MANY} rows unchanged" in lines
    assert len(lines) < 50


def test_equal_results_show_no_row() -> None:
    text = comparison_text(compare(flood(), flood(1.0 + 1e-9, step=10)))
    assert "->" not in text
    assert "street" not in text
    assert "buildings: 45 of 45 rows unchanged" in text


def test_numbers_that_differ_behind_the_fourth_digit_are_shown_with_all() -> None:
    assert "depth_max 45.0 -> 45.0022" in comparison_text(compare(flood(1.0), flood(1.00005)))


def test_all_rows_go_to_csv(tmp_path: Path) -> None:
    paths = to_csv(compare(flood(1.0), flood(1.5)), tmp_path / "new")
    assert sorted(path.name for path in paths) == [
        "flood-buildings.csv",
        "flood-figures.csv",
        "flood-gauges-series.csv",
        "flood-gauges.csv",
    ]
    assert csv.read_csv(tmp_path / "new" / "flood-buildings.csv").num_rows == MANY
    assert csv.read_csv(tmp_path / "new" / "flood-figures.csv")["figure"][0].as_py() == "greatest depth"


def test_instants_and_seconds_after_the_start_are_told_in_the_zone_of_the_scenario() -> None:
    start = datetime(2026, 7, 1, tzinfo=UTC)

    def reach(minutes: int) -> Fields:
        schema = pa.schema([column("object", pa.string()), column("time", pa.float64(), unit="s"), column("at", pa.timestamp("us", "UTC")),
                            column("share", pa.float64(), unit="1")])  # fmt: skip
        rows = [{"object": "b1", "time": 900.0, "at": start + timedelta(minutes=minutes), "share": minutes / 60}]
        return Fields("reach", xr.Dataset(), {"objects": pa.Table.from_pylist(rows, schema=schema)}, RunRecord("reach", "1", start=start))

    east = timezone(timedelta(hours=8))
    (line,) = [line for line in comparison_text(compare(reach(15), reach(30)), east).splitlines() if "b1" in line]
    assert line.split()[:3] == ["b1", "08:15+08:00", "changed"]
    assert "at 2026-07-01 08:15:00+08:00 -> 2026-07-01 08:30:00+08:00 (+15 min); share 0.25 -> 0.5 (+0.25)" in line
    assert "2026-07-01 00:15:00+00:00" in comparison_text(compare(reach(15), reach(30)))
    assert "b1  0:15 h after the start" in comparison_text(compare(reach(15), reach(30)))


def test_a_value_that_only_one_run_has_gets_its_unit_and_no_difference() -> None:
    schema = pa.schema([column("object", pa.string()), column("depth", pa.float64(), unit="m")])
    one, other = (
        Fields(
            "roads", xr.Dataset(), {"links": pa.Table.from_pylist([{"object": "r", "depth": depth}], schema=schema)}, RunRecord("r", "1")
        )
        for depth in (0.5, None)
    )
    assert "depth 0.5 m -> none" in comparison_text(compare(one, other))


def test_the_main_figures_stand_in_the_notebook_view_with_signed_differences() -> None:
    page = compare(flood(1.0), flood(1.5))._repr_html_()
    assert "<td>greatest depth</td>" in page
    assert "<td>+0.5</td>" in page
    assert "<td>+22.5 m</td>" in page
