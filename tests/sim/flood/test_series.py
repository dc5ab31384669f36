"""Durations, instants, series: units stated, gaps found, coverage known, integrals exact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import CorruptFileError, FormatError, InputError, UsageError
from cim.sim.flood.series import Series, instant, say_seconds, seconds

ROUND_OFF = 1e-12
START = datetime(2026, 7, 1, tzinfo=UTC)
MM_H = 1e-3 / 3600.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6h", 21600.0),
        ("90min", 5400.0),
        ("1h30min", 5400.0),
        ("1 h 30 min", 5400.0),
        ("2小时", 7200.0),
        ("1天2小时", 93600.0),
        ("00:05:00", 300.0),
        ("0.5 d", 43200.0),
        (60, 60.0),
        (timedelta(minutes=3), 180.0),
        (np.timedelta64(5, "m"), 300.0),
        (pd.Timedelta("2h"), 7200.0),
    ],
)
def test_a_duration_is_read(text: Any, value: float) -> None:
    assert seconds(text) == pytest.approx(value, rel=ROUND_OFF)


@pytest.mark.parametrize(
    "text", ["", "6", "h", "six hours", "1:30", "6h later", "-5min", -1.0, float("nan"), float("inf"), None, True, np.timedelta64("NaT")]
)
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(UsageError, match="expected a finite one"):
        seconds(text)


@given(st.floats(0.0, 1e7))
def test_said_seconds_can_be_read_again(value: float) -> None:
    assert seconds(say_seconds(value)) == pytest.approx(value, rel=1e-5, abs=1e-3)  # six figures of the seconds are said


@pytest.mark.parametrize(
    "value",
    [
        "2026-07-01T08:00",
        "2026/7/1 8:00",
        "2026-7-1 08:00:00",
        "2026年7月1日8时",
        "2026年7月1日 8时00分",
        "2026年07月01日8:00",
        "2026-07-01T00:00Z",
        pd.Timestamp("2026-07-01T08:00"),
        np.datetime64("2026-07-01T08:00"),
        datetime(2026, 7, 1, tzinfo=UTC),
    ],
)
def test_an_instant_is_read_in_its_zone(value: Any) -> None:
    assert instant(value, "Asia/Shanghai") == START


def test_midnight_may_be_written_as_24() -> None:
    assert instant("2026/6/30 24:00") == START


@pytest.mark.parametrize(
    ("value", "zone"), [("yesterday", "UTC"), ("2026-13-01", "UTC"), ("2026/2/30 1:00", "UTC"), (5.0, "UTC"), ("2026-07-01", "Moon/Base")]
)
def test_what_is_no_instant_is_refused(value: Any, zone: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be read|is not known"):
        instant(value, zone)


@pytest.mark.parametrize(
    ("unit", "kind", "value", "si"),
    [
        ("mm/h", "m/s", 36.0, 1e-5),
        ("in/h", "m/s", 1.0, 0.0254 / 3600.0),
        ("英寸/小时", "m/s", 1.0, 0.0254 / 3600.0),
        ("毫米/小时", "m/s", 36.0, 1e-5),
        ("m/s", "m/s", 1e-5, 1e-5),
        ("mm/5min", "m/s", 3.0, 1e-5),
        ("mm/min", "m/s", 0.6, 1e-5),
        ("L/(s·ha)", "m/s", 100.0, 1e-5),
        ("L/s", "m³/s", 250.0, 0.25),
        ("m3/s", "m³/s", 2.0, 2.0),
        ("cm", "m", 50.0, 0.5),
    ],
)
def test_units_become_si(unit: str, kind: str, value: float, si: float) -> None:
    assert Series.constant(value, unit, kind=kind).values[0] == pytest.approx(si, rel=ROUND_OFF)


@pytest.mark.parametrize("unit", ["mm", "mm per step", "mm/step", "毫米"])
def test_the_depth_of_a_step_becomes_a_rate(unit: str) -> None:
    series = Series.of({"0min": 3.0, "5min": 6.0, "10min": 0.0}, unit=unit, kind="m/s", how="step")
    np.testing.assert_allclose(series.values, [1e-5, 2e-5, 0.0], rtol=ROUND_OFF)
    assert any('label="end"' in note for note in series.notes)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (None, "no unit is stated, and none is guessed"),
        ("furlong", "measures m; expected"),
        ("blorp", "'blorp' is no unit"),
        ("m3/s", "measures m³/s; expected rates"),
        ("h", "measures s; expected rates"),
    ],
)
def test_a_missing_or_wrong_unit_is_refused(unit: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Series.of([(0, 1.0), (60, 2.0)], unit=unit, kind="m/s" if unit != "furlong" else "m³/s", how="step")


def test_a_depth_without_a_time_is_refused() -> None:
    with pytest.raises(UsageError, match="a depth without a time"):
        Series.of(5.0, unit="mm", kind="m/s", how="step")


def test_every_form_of_the_same_series_is_the_same() -> None:
    times = pd.date_range("2026-07-01", periods=4, freq="10min", tz="UTC")
    values = [0.0, 6.0, 12.0, 3.0]
    forms = [
        Series.of(pd.Series(values, index=times), unit="mm/h", how="step"),
        Series.of(values, times=times, unit="mm/h", how="step"),
        Series.of(np.array(values), times=times.to_numpy(), unit="mm/h", how="step"),
        Series.of(dict(zip(times, values, strict=True)), unit="mm/h", how="step"),
        Series.of([[time.isoformat(), value] for time, value in zip(times, values, strict=True)], unit="mm/h", how="step"),
    ]
    for one in forms:
        ready = one.prepare(START, 2400.0)
        assert ready.times.tolist() == [0.0, 600.0, 1200.0, 1800.0, 2400.0]
        np.testing.assert_allclose(ready.values, np.array(values) * MM_H, rtol=ROUND_OFF)


def test_a_label_at_the_end_moves_values_one_step_back() -> None:
    series = Series.of({"5min": 1.0, "10min": 2.0}, unit="mm", kind="m/s", how="step", step="5min", label="end")
    assert series.covers == (0.0, 600.0)
    assert series.prepare(None, 600.0).integral(0.0, 300.0) == pytest.approx(1e-3, rel=ROUND_OFF)


def test_totals_become_rates() -> None:
    series = Series.of([(0, 0.0), (300, 1.0), (900, 1.0), (1200, 4.0)], unit="mm", kind="m/s", how="step", cumulative=True, outside="zero")
    ready = series.prepare(None, 1800.0)
    assert [ready.integral(0.0, end) for end in (300.0, 900.0, 1050.0, 1800.0)] == pytest.approx([1e-3, 1e-3, 2.5e-3, 4e-3], rel=ROUND_OFF)
    assert "falls 1 times" in Series.of([(0, 2.0), (300, 1.0)], unit="mm", kind="m/s", how="step", cumulative=True).faults(None, 1.0)[0]


@given(
    values=st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=8),
    ends=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
    how=st.sampled_from(["step", "linear"]),
)
def test_integrals_are_exact_and_add_up(values: list[float], ends: tuple[float, float], how: Any) -> None:
    series = Series.of(values, times=np.arange(len(values)) * 60.0, unit="m3/s", how=how, step=60.0)
    until = series.covers[1]
    ready = series.prepare(None, until)
    begin, end = sorted(one * until for one in ends)
    whole = sum(values) * 60.0 if how == "step" else float(np.trapezoid(values, dx=60.0))
    parts = ready.integral(0.0, begin) + ready.integral(begin, end) + ready.integral(end, until)
    assert parts == pytest.approx(whole, abs=1e-9)
    fine = np.linspace(begin, end, 2001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    summed = sum(ready.at(time) for time in middle) * (end - begin) / 2000
    assert ready.integral(begin, end) == pytest.approx(summed, abs=10.0 * (end - begin) / 2000 * len(values) + 1e-9)  # one cell per jump


def test_a_linear_series_is_straight_between_its_times() -> None:
    ready = Series.of([(0, 0.0), (100, 10.0), (400, 10.0)], unit="m3/s").prepare(None, 400.0)
    assert (ready.at(50.0), ready.integral(0.0, 100.0), ready.mean(0.0, 50.0)) == (5.0, 500.0, 2.5)


def test_outside_of_a_linear_series_is_zero_or_held() -> None:
    points = [(100, 4.0), (200, 6.0)]
    zero, hold = (Series.of(points, unit="m3/s", outside=outside).prepare(None, 300.0) for outside in ("zero", "hold"))
    assert zero.integral(0.0, 300.0) == pytest.approx(500.0, rel=ROUND_OFF)
    assert hold.integral(0.0, 300.0) == pytest.approx(400.0 + 500.0 + 600.0, rel=ROUND_OFF)


def test_a_run_inside_the_series_takes_its_part() -> None:
    series = Series.of(
        [1.0, 2.0, 3.0, 4.0],
        times=["2026-06-30T23:50Z", "2026-07-01T00:00Z", "2026-07-01T00:10Z", "2026-07-01T00:20Z"],
        unit="mm/h",
        how="step",
    )
    ready = series.prepare(START + timedelta(minutes=5), 600.0)
    assert ready.times.tolist() == [0.0, 300.0, 600.0]
    np.testing.assert_allclose(ready.values, np.array([2.0, 3.0]) * MM_H, rtol=ROUND_OFF)


def fault_of(series: Series, start: datetime | None = None, until: float = 1200.0) -> str:
    """Return the one fault of a series."""
    found = series.faults(start, until)
    assert len(found) == 1, found
    with pytest.raises(UsageError):
        series.prepare(start, until)
    return found[0]


def test_times_out_of_order_are_named() -> None:
    assert "times fall 1 times, first in row 3" in fault_of(Series.of([1, 2, 3, 4], times=[0, 600, 300, 900], unit="mm/h", how="step"))
    assert "1 times stand twice, first in row 3" in fault_of(Series.of([1, 2, 3], times=[0, 300, 300], unit="mm/h", how="step"))
    assert "1 of 3 times are missing" in fault_of(Series.of([1, 2, 3], times=[0, np.nan, 300], unit="mm/h", how="step"))
    assert "more than a hundred years; check the time unit" in fault_of(Series.of([1, 2], times=[0.0, 4e9], unit="mm/h", how="step"))


@pytest.mark.parametrize("how", ["step", "linear"])
def test_a_gap_is_refused_or_treated_as_said(how: Any) -> None:
    times = [0, 300, 600, 1500, 1800, 2100]
    points = list(zip(times, [1.0, 1.0, 3.0, 5.0, 1.0, 1.0], strict=True))
    told = fault_of(Series.of(points, unit="m3/s", how=how), until=2000.0)
    assert "1 gaps, the first of 15 min in row 4 (25 min after the first), while values stand every 5 min" in told
    zero = Series.of(points, unit="m3/s", how=how, gaps="zero").prepare(None, 2000.0)
    bridge = Series.of(points, unit="m3/s", how=how, gaps="bridge").prepare(None, 2000.0)
    between = (600.0, 1500.0) if how == "linear" else (900.0, 1500.0)
    assert zero.integral(*between) == 0.0
    assert bridge.integral(*between) == pytest.approx(3600.0 if how == "linear" else 1800.0, rel=ROUND_OFF)


def test_missing_values_are_refused_or_treated_as_said() -> None:
    points = [(0, 1.0), (300, np.nan), (600, 3.0), (900, 4.0)]
    assert "1 of 4 values are missing, first in row 2 (5 min after the first)" in fault_of(Series.of(points, unit="mm/h", how="step"))
    zero = Series.of(points, unit="mm/h", how="step", gaps="zero")
    bridge = Series.of(points, unit="mm/h", how="step", gaps="bridge")
    assert zero.prepare(None, 1200.0).at(400.0) == 0.0
    assert bridge.prepare(None, 1200.0).at(400.0) == pytest.approx(MM_H, rel=ROUND_OFF)
    assert any("1 missing values and 0 missing stretches taken as zero" in note for note in zero.notes)
    assert any("bridged" in note for note in bridge.notes)
    line = Series.of(points, unit="m3/s", gaps="bridge").prepare(None, 900.0)
    assert line.at(300.0) == pytest.approx(2.0, rel=ROUND_OFF)


def test_times_of_no_zone_that_cross_a_change_of_the_clock_are_refused_where_there_is_one() -> None:
    def hours(*times: str, zone: str | None = None) -> Series:
        return Series.of([1.0] * len(times), times=times, unit="mm/h", how="step", step="1h", gaps="zero", outside="zero", time_zone=zone)

    spring, west = ("2026-03-29T00:00", "2026-03-29T06:00"), ZoneInfo("Europe/Amsterdam")
    begin = datetime(2026, 3, 29, tzinfo=west)
    said = 'series: its times cross the change to summer or winter time of Europe/Amsterdam: say time_zone="Europe/Amsterdam"'
    assert fault_of(hours(*spring), begin) == said
    assert fault_of(hours("2026-01-01T00:00", "2026-12-31T00:00"), begin) == said  # there and back
    assert hours("2026-03-29T04:00", "2026-03-29T06:00").faults(begin, 1200.0) == []
    assert hours(*spring).faults(begin.replace(tzinfo=ZoneInfo("Asia/Shanghai")), 1200.0) == []
    told = hours(*spring, zone="Europe/Amsterdam")
    assert told.faults(begin, 1200.0) == []
    assert told.times.tolist() == [0.0, 5 * 3600.0]  # 6:00 of the new time is 5 h after midnight


def test_a_series_that_does_not_cover_the_run_is_refused() -> None:
    short = Series.of([1, 2, 3], times=[0, 300, 600], unit="mm/h", how="step")
    assert "reach from 0 s to 15 min after the start, the run from 0 to 20 min" in fault_of(short)
    assert short.faults(None, 900.0) == []
    late = Series.of(
        [1, 2, 3], times=["2026-07-01T08:00", "2026-07-01T08:05", "2026-07-01T08:10"], unit="mm/h", how="step", time_zone="Asia/Shanghai"
    )
    assert late.faults(START, 900.0) == []
    wrong = Series.of([1, 2, 3], times=["2026-07-01T08:00", "2026-07-01T08:05", "2026-07-01T08:10"], unit="mm/h", how="step")
    assert "not one within the run of 15 min: they lie 8 h after the end; check start= and time_zone=" in fault_of(wrong, START, 900.0)
    assert wrong.faults(START.astimezone(ZoneInfo("Asia/Shanghai")), 900.0) == []  # where the city, whose zone counts, is
    assert any("3 times without time zone taken in that of the city" in note for note in wrong.notes)
    mixed = Series.of([1, 2, 3], times=["2026-07-01T08:00", "2026-07-01T08:05Z", "2026-07-01T08:10Z"], unit="mm/h", how="step")
    assert any("1 times without time zone taken as UTC" in note for note in mixed.notes)
    assert "the run has none; give start=" in fault_of(late)


def test_a_stated_step_that_is_too_long_is_a_fault() -> None:
    assert "lie closer than the step of 10 min" in fault_of(
        Series.of([1, 2, 3, 4], times=[0, 300, 600, 900], unit="mm/h", how="step", step="10min")
    )


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("rain", {}, "a series of str; expected a number, pairs"),
        ([1.0, 2.0], {}, "a series of list; expected"),
        ([1.0, 2.0], {"times": [0.0]}, "1 times for 2 values"),
        ([(0, "much")], {}, "no numbers"),
        ([(0, 1.0)], {"how": "curved"}, "how='curved'; expected 'step', 'linear'"),
        ([(0, 1.0)], {"time_unit": "mm"}, "time_unit='mm' measures m"),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}), {}, "has 2 columns; choose one"),
    ],
)
def test_what_is_no_series_is_refused(data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Series.of(data, unit="m", **options)


# --- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_chinese_table_is_read_in_any_encoding(tmp_path: Path, encoding: str, sign: str) -> None:
    path = tmp_path / "雨量.csv"
    rows = [
        ("时间", "站名", "雨量（mm/h）"),
        ("2026/7/1 8:00", "南山", "12"),
        ("2026/7/1 8:05", "南山", "缺测"),
        ("2026/7/1 8:10", "南山", "6.5"),
    ]
    path.write_bytes("\r\n".join(sign.join(row) for row in rows).encode(encoding))
    series = Series.read(path, kind="m/s", how="step", time_zone="Asia/Shanghai", gaps="zero")
    assert series.origin == START
    np.testing.assert_allclose(series.values, np.array([12.0, 0.0, 6.5]) * MM_H, rtol=ROUND_OFF)
    assert any("雨量" in note for note in series.notes)
    assert any("GB 18030" in note for note in series.notes) is (encoding == "gbk")


def test_a_date_and_a_time_of_day_are_one_time(tmp_path: Path) -> None:
    path = tmp_path / "flow.csv"
    path.write_text("日期,时间,流量(L/s)\n2026-07-01,00:00,100\n2026-07-01,00:10,300\n", "utf-8")
    assert Series.read(path, kind="m³/s").prepare(START, 600.0).integral(0.0, 600.0) == pytest.approx(120.0, rel=ROUND_OFF)


def test_numeric_times_take_the_unit_of_their_header(tmp_path: Path) -> None:
    path = tmp_path / "stage.csv"
    path.write_text("t(h),level[m]\n0,1.0\n1,2.0\n", "utf-8")
    assert Series.read(path, kind="m").covers == (0.0, 3600.0)


def test_two_plain_columns_are_seconds_and_values(tmp_path: Path) -> None:
    path = tmp_path / "rain.txt"
    path.write_text("# seconds m/s\n0 1e-6\n300 2e-6\n600 0\n", "utf-8")
    series = Series.read(path, unit="m/s", kind="m/s", how="step")
    assert (series.covers, series.values.tolist()) == ((0.0, 900.0), [1e-6, 2e-6, 0.0])
    with pytest.raises(UsageError, match="no unit is stated"):
        Series.read(path, kind="m/s", how="step")


def test_a_rain_file_of_swmm_is_read_and_what_it_leaves_out_is_dry(tmp_path: Path) -> None:
    path = tmp_path / "storm.dat"
    path.write_text(";rain\nA 2026 7 1 0 0 12\nA 2026 07 01 00 05 6\nB 2026 7 1 0 0 99\nA 2026 7 1 0 20 3\n", "utf-8")
    series = Series.read(path, unit="mm/h", kind="m/s", how="step", station="A", step="5min", outside="zero")
    ready = series.prepare(START, 1800.0)
    assert ready.integral(0.0, 1800.0) == pytest.approx((12.0 + 6.0 + 3.0) / 12.0 * 1e-3, rel=ROUND_OFF)
    assert ready.at(700.0) == 0.0
    with pytest.raises(UsageError, match=r"2 stations \(A, B\); say which"):
        Series.read(path, unit="mm/h")
    with pytest.raises(UsageError, match="no station 'C'"):
        Series.read(path, unit="mm/h", station="C")


@pytest.mark.data
def test_the_newcastle_storm_is_read(shared_data: Callable[..., Path]) -> None:
    path = shared_data("flood", "newcastle2012", "rain_source_2523_a.txt")
    ready = Series.read(path, unit="m/s", kind="m/s", how="step").prepare(None, 86400.0)
    assert ready.integral(0.0, 86400.0) * 1e3 == pytest.approx(52.9, abs=0.05)  # printed to one decimal with the file
    assert ready.at(54000.0) / MM_H == pytest.approx(246.0, abs=0.5)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "holds no rows"),
        ("时间,a,b\n0,1,2\n", UsageError, r"2 columns hold numbers \(a, b\); say which with column="),
        ("when,a\nx,1\n", FormatError, "no column of times among when, a"),
        ("time,a\n0,1\n5,x\n", UsageError, "0 columns hold numbers"),
        ("time,a\n0,1\n5\n", CorruptFileError, "row 3 has 1 cells, the header 2"),
        ("time,a\n2026-07-01,1\nlater,2\n", CorruptFileError, "time 'later' of row 2 cannot be read"),
        ("time,a\n2026-07-01,1\n5,2\n", CorruptFileError, "time 5 of row 2 is a number, others are not"),
        ("1 2 3 4\n5 6 7 8\n", FormatError, "columns without a header"),
        ("0 1\n5 x\n", CorruptFileError, "row 2: value 'x' is no number"),
        ("a\0b", FormatError, "NUL bytes"),
        (
            "S 2026 1 1 0 0 1\nS 2026 1 1 0 5 1\nS 2026 1 1 0 10 1\nS 2026 1 1 0 15 1\nS 2026 1 1 0 20 1\nbroken\n",
            CorruptFileError,
            "row 6 is not station",
        ),
    ],
)
def test_a_file_that_is_no_series_is_refused(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(error, match=message):
        Series.read(path, unit="mm/h")


def test_a_file_that_leaves_dry_times_out_must_state_its_step(tmp_path: Path) -> None:
    path = tmp_path / "storm.dat"
    path.write_text("A 2026 7 1 0 0 12\nA 2026 7 1 0 5 6\nA 2026 7 1 1 20 3\nA 2026 7 1 3 0 3\n", "utf-8")
    assert "its step cannot be told" in Series.read(path, unit="mm/h", kind="m/s", how="step").faults(START, 60.0)[0]


def test_a_missing_file_and_a_missing_column_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        Series.read(tmp_path / "none.csv", unit="m")
    path = tmp_path / "two.csv"
    path.write_text("time,a,b\n0,1,2\n", "utf-8")
    with pytest.raises(UsageError, match="0 columns are called 'c'; the file has time, a, b"):
        Series.read(path, unit="m", column="c")
    assert Series.read(path, unit="m", column="b").values.tolist() == [2.0]


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_its_own_errors(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.csv"
        path.write_bytes(data)
        try:
            Series.read(path, unit="mm/h", how="step").faults(None, 60.0)
        except (InputError, UsageError) as error:
            assert str(error)  # noqa: PT017 - any of the two is right


# ---------------------------------------------------------------- tables as spreadsheets write them


@pytest.mark.parametrize(("text", "rates"), [
    ("time,rain mm/h\n0,5\n300,7\n", [5.0, 7.0]), ("time,rain_mm/h\n0,5\n300,7\n", [5.0, 7.0]),
    ("Datum;neerslag mm\n2026-07-01 00:00;1\n2026-07-01 00:05;2\n", [12.0, 24.0]),
    ("Datum,Tijd,neerslag mm/5min\n2026-07-01,00:00,1\n2026-07-01,00:05,2\n", [12.0, 24.0]),
])  # fmt: skip
def test_a_unit_without_brackets_and_dutch_words_for_time_are_read(text: str, rates: list[float], tmp_path: Path) -> None:
    path = tmp_path / "rain.csv"
    path.write_text(text, encoding="utf-8")
    series = Series.read(path, kind="m/s", how="step", name="rain")
    assert (series.values * 3.6e6).tolist() == pytest.approx(rates, rel=1e-12)


@pytest.mark.parametrize("header", ["station A/B", "rain 2", "rain m", "rain per hour"])
def test_words_that_are_no_unit_are_not_taken_for_one(header: str, tmp_path: Path) -> None:
    path = tmp_path / "rain.csv"
    path.write_text(f"time,{header}\n0,5\n300,7\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no unit is stated"):
        Series.read(path, kind="m/s", how="step")


@pytest.mark.parametrize(
    "text", ["Datum;rain (mm/h)\n2026-07-01 00:00;5,2\n2026-07-01 00:05;1,0\n", "0;5,2\n300;1,0\n", "0\t5,2\n300\t1,0\n"]
)
def test_decimal_commas_are_named_as_what_they_are(text: str, tmp_path: Path) -> None:
    path = tmp_path / "rain.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CorruptFileError, match=r"'5,2' has a decimal comma \(2 such cells\); write numbers with a point \(5\.2\)"):
        Series.read(path, unit="mm/h", kind="m/s", how="step")
