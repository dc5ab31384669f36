"""Rain on cells: uniform, gridded, between stations, from files; what cannot be rain is refused before step 0."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import from_bounds

from cim.errors import CorruptFileError, CRSMismatchError, FormatError, InputError, UsageError
from cim.results import Grid
from cim.sim.flood.rain import Rain
from cim.sim.flood.rain_stations import interpolate

ROUND_OFF = 1e-12
START = datetime(2026, 7, 1, tzinfo=UTC)
MM_H = 1e-3 / 3600.0
GRID = Grid(500_000.0, 2_500_040.0, 10.0, 10.0, nx=6, ny=4, crs="EPSG:4547")


def pixels(values: Any, **options: Any) -> xr.DataArray:
    """Return a rain grid of 20 m pixels that covers GRID, row 0 in the north, a frame every 5 min."""
    array = np.asarray(values, float)
    times = pd.date_range("2026-07-01", periods=array.shape[0], freq="5min").to_numpy()
    coords = {"time": times, "y": [2_500_030.0, 2_500_010.0], "x": [500_010.0, 500_030.0, 500_050.0]}
    return xr.DataArray(array, coords, ("time", "y", "x"), attrs={"units": "mm/h", "crs": GRID.crs, **options})


FRAMES = np.array([[[6.0, 12.0, 0.0], [3.0, 0.0, 60.0]], [[0.0] * 3] * 2, [[1.0] * 3] * 2])


# --- uniform -------------------------------------------------------------------------------------------------------------


def test_a_constant_rain_is_one_number_for_the_whole_run() -> None:
    ready = Rain.uniform(36.0, unit="mm/h").prepare(GRID, None, "2h")
    assert ready.breaks.tolist() == [0.0, 7200.0]
    assert ready.rate(0) == pytest.approx(1e-5, rel=ROUND_OFF)
    assert ready.depth() == pytest.approx(0.072, rel=ROUND_OFF)


def test_a_bare_number_is_mm_per_hour_and_said_so() -> None:
    rain = Rain.uniform(36)
    assert rain.prepare(GRID, START, 60.0).rate(0) == pytest.approx(1e-5, rel=ROUND_OFF)
    assert "36 taken as mm/h" in rain.notes[0]
    assert Rain.uniform(36, unit="mm/h").notes == ()


def test_a_series_keeps_its_volume() -> None:
    frame = pd.Series([2.0, 5.0, 1.0], index=pd.date_range("2026-07-01", periods=3, freq="10min", tz="UTC"))
    rain = Rain.uniform(frame, unit="mm", outside="zero")
    assert rain.prepare(GRID, START, "1h").depth() == pytest.approx(8e-3, rel=ROUND_OFF)
    assert rain.scaled(1.5).prepare(GRID, START, "1h").depth() == pytest.approx(12e-3, rel=ROUND_OFF)


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        (
            [0.0, 60.0],
            "m/s",
            r"2\.16e\+08 mm/h, above the 3,000 mm/h that no rain reaches: .*unit= \(60 in mm/h is 60 mm/h\)",
        ),
        (
            [0.0, 1.6e-5],
            "mm/h",
            r"1\.6e-05 mm/h, below the 0\.01 mm/h that a gauge can see: .*unit= \(1\.6e-05 in m/s is 57\.6 mm/h\)",
        ),
        ([0.0, 3001.0], "mm/h", "above the 3,000 mm/h"),
        ([0.0, -1.0], "mm/h", "the lowest rate is -1 mm/h; expected none below 0"),
    ],
)
def test_what_cannot_be_rain_is_refused_with_the_unit_that_fits(values: list[float], unit: str, message: str) -> None:
    rain = Rain.uniform(values, times=[0, 300], unit=unit)
    with pytest.raises(UsageError, match=message):
        rain.prepare(GRID, None, 600.0)


@pytest.mark.parametrize("rate", [2999.0, 1872.0, 0.02, 0.0])
def test_rain_up_to_the_record_and_no_rain_pass(rate: float) -> None:
    assert Rain.uniform(rate, unit="mm/h").faults(GRID, None, 60.0) == []


def test_a_test_of_the_solver_may_rain_more_than_nature() -> None:
    assert Rain.uniform(0.001, unit="m/s").faults(GRID, None, 60.0) != []
    assert Rain.uniform(0.001, unit="m/s", plausible=False).prepare(GRID, None, 60.0).rate(0) == 0.001


def test_all_faults_come_in_one_message() -> None:
    rain = Rain.uniform([1.0, np.nan, 9e9], times=[0, 300, 600], unit="mm/h")
    with pytest.raises(UsageError, match="rain: 2 faults:") as told:
        rain.prepare(GRID, None, "1h")
    assert "1 of 3 values are missing" in str(told.value)
    assert "above the 3,000 mm/h" in str(told.value)


def test_missing_is_only_for_stations() -> None:
    assert "for stations" in Rain.uniform([1.0, np.nan], times=[0, 300], unit="mm/h", gaps="missing").faults(GRID, None, 600.0)[0]


def test_a_linear_rain_is_refused() -> None:
    with pytest.raises(UsageError, match="constant between its times"):
        Rain.uniform([1.0, 2.0], times=[0, 300], unit="mm/h", how="linear")


# --- gridded -------------------------------------------------------------------------------------------------------------


def test_each_cell_takes_the_pixel_of_its_middle_and_volumes_are_kept() -> None:
    ready = Rain.gridded(pixels(FRAMES)).prepare(GRID, START, 900.0)
    expected = np.kron(FRAMES[0], np.ones((2, 2))) * MM_H
    np.testing.assert_allclose(ready.rate(0), expected, rtol=ROUND_OFF)
    assert ready.rate(1) == 0.0  # a dry frame is one number
    assert float(np.mean(ready.rate(0))) == pytest.approx(FRAMES[0].mean() * MM_H, rel=ROUND_OFF)
    assert float(np.mean(ready.depth())) == pytest.approx(FRAMES.mean(axis=(1, 2)).sum() * MM_H * 300.0, rel=ROUND_OFF)


def test_frames_turned_in_any_way_give_the_same_rain() -> None:
    usual = Rain.gridded(pixels(FRAMES)).prepare(GRID, START, 900.0).rate(0)
    turned = pixels(FRAMES).isel(y=slice(None, None, -1), x=slice(None, None, -1)).transpose("x", "time", "y")
    np.testing.assert_array_equal(Rain.gridded(turned).prepare(GRID, START, 900.0).rate(0), usual)


def test_depths_of_frames_become_rates() -> None:
    ready = Rain.gridded(pixels(FRAMES / 12.0), unit="mm").prepare(GRID, START, 900.0)
    np.testing.assert_allclose(ready.rate(0), np.kron(FRAMES[0], np.ones((2, 2))) * MM_H, rtol=ROUND_OFF)


def test_a_grid_in_degrees_falls_on_the_right_cells() -> None:
    from cim.crs import parse, transform_points

    x, y = np.array([500_000.0, 500_060.0]), np.array([2_500_000.0, 2_500_040.0])
    corners = transform_points(x, y, None, parse(GRID.crs), parse("EPSG:4326"))
    east = np.linspace(corners.x[0] - 1e-4, corners.x[1] + 1e-4, 60)
    north = np.linspace(corners.y[0] - 1e-4, corners.y[1] + 1e-4, 60)
    ramp = np.broadcast_to(np.linspace(10.0, 20.0, 60)[None, None, :], (1, 60, 60))  # rises to the east
    data = xr.DataArray(ramp, {"time": [0.0], "lat": north, "lon": east}, ("time", "lat", "lon"), attrs={"units": "mm/h"})
    ready = Rain.gridded(data, crs="EPSG:4326", step="10min").prepare(GRID, None, 600.0)
    cells_x, cells_y = np.meshgrid(GRID.x, GRID.y)
    back = transform_points(cells_x.reshape(-1), cells_y.reshape(-1), None, parse(GRID.crs), parse("EPSG:4326"))
    exact = np.interp(back.x, east, np.linspace(10.0, 20.0, 60)).reshape(4, 6) * MM_H
    np.testing.assert_allclose(ready.rate(0), exact, atol=0.5 * 10.0 / 59.0 * MM_H * 1.001)  # half a pixel of the ramp


def test_what_a_grid_leaves_open_is_refused_or_dry_as_said() -> None:
    holed = FRAMES.copy()
    holed[0, 0, 0] = np.nan
    assert "1 pixels in 3 frames have no value" in Rain.gridded(pixels(holed)).faults(GRID, START, 900.0)[0]
    dry = Rain.gridded(pixels(holed), missing="zero")
    assert np.asarray(dry.prepare(GRID, START, 900.0).rate(0))[0, 0] == 0.0
    assert any("1 missing pixels taken as dry" in note for note in dry.notes)
    half = pixels(FRAMES).isel(x=slice(0, 2))
    assert "8 of 24 cells lie outside the pixels" in Rain.gridded(half).faults(GRID, START, 900.0)[0]
    assert np.asarray(Rain.gridded(half, beyond="zero").prepare(GRID, START, 900.0).rate(0))[0].tolist()[4:] == [0.0, 0.0]
    away = Grid(0.0, 40.0, 10.0, 10.0, nx=6, ny=4, crs=GRID.crs)
    assert "24 of 24 cells lie outside" in Rain.gridded(pixels(FRAMES), beyond="zero").faults(away, START, 900.0)[0]
    assert "from 0 s to 15 min after the start, the run from 0 to 20 min" in Rain.gridded(pixels(FRAMES)).faults(GRID, START, 1200.0)[0]
    later = Rain.gridded(pixels(FRAMES), outside="zero").prepare(GRID, START, 1200.0)
    assert later.rate(later.breaks.size - 2) == 0.0
    assert "the run has none; give start=" in Rain.gridded(pixels(FRAMES)).faults(GRID, None, 900.0)[0]
    assert "above the 3,000 mm/h" in Rain.gridded(pixels(FRAMES), unit="m/s").faults(GRID, START, 900.0)[0]


def test_a_grid_without_a_system_is_taken_in_that_of_the_run_and_said_so() -> None:
    data = pixels(FRAMES)
    del data.attrs["crs"]
    assert any("coordinate system is not stated" in note for note in Rain.gridded(data).notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.isel(time=0), "dimensions y, x; expected time, y and x"),
        (lambda data: data.drop_vars("x"), "dimension x has no coordinates"),
        (lambda data: data.isel(y=slice(0, 1)), "coordinate y has 1 values"),
        (lambda data: data.assign_coords(x=[1.0, 3.0, 2.0]), "coordinate x has 3 values that neither"),
        (lambda data: data.assign_attrs(units=None), "no unit is stated"),
    ],
)
def test_what_is_no_rain_grid_is_refused(change: Callable[[xr.DataArray], xr.DataArray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Rain.gridded(change(pixels(FRAMES)))


# --- stations ------------------------------------------------------------------------------------------------------------

PLACES = {"A": (500_005.0, 2_500_035.0), "B": (500_055.0, 2_500_005.0)}


def gauges(a: list[float], b: list[float]) -> pd.DataFrame:
    """Return a table of two gauges, a row every 10 min."""
    return pd.DataFrame({"A": a, "B": b}, index=pd.date_range("2026-07-01", periods=len(a), freq="10min", tz="UTC"))


def test_at_a_station_the_rain_is_that_of_the_station() -> None:
    for method in ("idw", "nearest", "thiessen"):
        ready = Rain.stations(gauges([12.0, 0.0], [6.0, 0.0]), PLACES, unit="mm/h", method=method).prepare(GRID, START, "20min")
        rate = np.asarray(ready.rate(0))
        assert rate[0, 0] == pytest.approx(12.0 * MM_H, rel=ROUND_OFF)
        assert rate[3, 5] == pytest.approx(6.0 * MM_H, rel=ROUND_OFF)
        assert ready.rate(1) == 0.0


@pytest.mark.parametrize(("method", "power"), [("idw", 2.0), ("idw", 1.0), ("idw", 3.5), ("nearest", 2.0)])
def test_between_stations_the_rain_is_that_of_the_slow_obvious_sum(method: Any, power: float) -> None:
    rng = np.random.default_rng(3)
    places, values, x, y = (
        rng.uniform(0.0, 100.0, (5, 2)),
        rng.uniform(0.0, 50.0, 5),
        np.linspace(0.0, 100.0, 7),
        np.linspace(100.0, 0.0, 6),
    )
    found = np.asarray(interpolate(places, values, x, y, method=method, power=power))
    for row, north in enumerate(y):
        for column, east in enumerate(x):
            distance = np.hypot(places[:, 0] - east, places[:, 1] - north)
            weights = distance**-power
            expected = values[distance.argmin()] if method == "nearest" else (weights * values).sum() / weights.sum()
            assert found[row, column] == pytest.approx(expected, rel=1e-11)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.0, 100.0)), min_size=1, max_size=6))
def test_no_cell_gets_more_or_less_than_the_stations(stations: list[tuple[float, float, float]]) -> None:
    table = np.array(stations)
    found = interpolate(table[:, :2], table[:, 2], np.linspace(-1e3, 1e3, 5), np.linspace(1e3, -1e3, 4))
    assert np.isfinite(found).all()
    assert np.min(found) >= table[:, 2].min() * (1.0 - 1e-12)
    assert np.max(found) <= table[:, 2].max() * (1.0 + 1e-12)


def test_a_station_without_a_value_is_left_out_and_counted() -> None:
    rain = Rain.stations(gauges([12.0, np.nan, 4.0], [6.0, 2.0, np.nan]), PLACES, unit="mm/h")
    ready = rain.prepare(GRID, START, "30min")
    assert [ready.rate(1), ready.rate(2)] == pytest.approx([2.0 * MM_H, 4.0 * MM_H], rel=ROUND_OFF)
    assert any("the other stations stand in: A 1, B 1" in note for note in rain.notes)


def test_a_time_at_which_no_station_has_a_value_is_refused() -> None:
    told = Rain.stations(gauges([1.0, np.nan, 4.0], [6.0, np.nan, 1.0]), PLACES, unit="mm/h").faults(GRID, START, "30min")
    assert told == ["rain: no station has a value for 600 s of the run, first at 600 s; give values, or cut the run"]


def test_a_station_that_ends_early_is_refused_or_left_out_as_said() -> None:
    table = {"A": gauges([1.0, 1.0, 1.0], [0.0] * 3)["A"], "B": gauges([0.0] * 2, [7.0, 7.0])["B"]}
    assert (
        "rain at station 'B': its values reach from 0 s to 20 min"
        in Rain.stations(table, PLACES, unit="mm/h").faults(GRID, START, 1800.0)[0]
    )
    ready = Rain.stations(table, PLACES, unit="mm/h", outside="missing").prepare(GRID, START, 1800.0)
    assert ready.rate(ready.breaks.size - 2) == pytest.approx(MM_H, rel=ROUND_OFF)


def test_stations_in_degrees_are_brought_to_the_run() -> None:
    from cim.crs import parse, transform_points

    east, north = (np.array([place[axis] for place in PLACES.values()]) for axis in (0, 1))
    there = transform_points(east, north, None, parse(GRID.crs), parse("EPSG:4326"))
    places = dict(zip(PLACES, zip(there.x.tolist(), there.y.tolist(), strict=True), strict=True))
    rain = Rain.stations(gauges([12.0], [6.0]), places, unit="mm/h", crs="EPSG:4326", step="10min")
    plain = Rain.stations(gauges([12.0], [6.0]), PLACES, unit="mm/h", step="10min").prepare(GRID, START, 600.0).rate(0)
    np.testing.assert_allclose(
        rain.prepare(GRID, START, 600.0).rate(0), plain, rtol=1e-4
    )  # the way to degrees and back is good to a micrometre
    forgotten = Rain.stations(gauges([12.0], [6.0]), places, unit="mm/h", step="10min")
    assert "no station lies within 100 km of the cells" in forgotten.faults(GRID, START, 600.0)[0]


def test_stations_that_do_not_fit_their_table_are_refused() -> None:
    with pytest.raises(UsageError, match="station 'B' has no place; place 'C' has no column; method='kriging'"):
        Rain.stations(gauges([1.0], [2.0]), {"A": (0.0, 0.0), "C": (1.0, 1.0)}, unit="mm/h", method="kriging")  # type: ignore[arg-type]
    assert (
        "at station 'B' is 3.6e+09 mm/h" in Rain.stations(gauges([1.0] * 2, [1e3] * 2), PLACES, unit="m/s").faults(GRID, START, 1200.0)[1]
    )


# --- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_the_newcastle_storm_rains_its_total(shared_data: Callable[..., Path]) -> None:
    rain = Rain.from_file(shared_data("flood", "newcastle2012", "rain_source_2523_a.txt"), unit="m/s")
    assert rain.faults(GRID, None, "24h") == []
    assert float(rain.prepare(GRID, None, "24h").depth()) * 1e3 == pytest.approx(52.9, abs=0.05)  # printed to one decimal with the file
    wrong = Rain.from_file(shared_data("flood", "newcastle2012", "rain_source_2523_a.txt"), unit="mm/h")
    assert "6.833e-05 in m/s is 246 mm/h" in wrong.faults(GRID, None, "24h")[0]
    assert "the run from 0 to 1 d 1 h" in rain.faults(GRID, None, "25h")[0]


def test_a_csv_is_uniform_rain(tmp_path: Path) -> None:
    path = tmp_path / "rain.csv"
    path.write_bytes("时间,雨量(mm)\n2026-07-01 08:05,3\n2026-07-01 08:10,1\n".encode("gbk"))
    rain = Rain.from_file(path, time_zone="Asia/Shanghai", label="end", outside="zero")
    assert rain.prepare(GRID, START, "1h").depth() == pytest.approx(4e-3, rel=ROUND_OFF)


def test_netcdf_is_gridded_rain(tmp_path: Path) -> None:
    path = tmp_path / "radar.nc"
    pixels(FRAMES).to_dataset(name="rainfall").to_netcdf(path, engine="scipy")
    ready = Rain.from_file(path).prepare(GRID, START, 900.0)
    np.testing.assert_allclose(ready.rate(0), np.kron(FRAMES[0], np.ones((2, 2))) * MM_H, rtol=ROUND_OFF)
    with pytest.raises(UsageError, match="variable 'snow'; the file has rainfall"):
        Rain.from_file(path, variable="snow")


def geotiff(path: Path, bands: np.ndarray[Any, Any], shift: float = 0.0) -> Path:
    """Write bands on the pixels of the rain grid."""
    place = from_bounds(500_000.0 + shift, 2_500_000.0, 500_060.0 + shift, 2_500_040.0, 3, 2)
    options = {
        "driver": "GTiff",
        "width": 3,
        "height": 2,
        "count": len(bands),
        "dtype": "float32",
        "crs": GRID.crs,
        "transform": place,
        "nodata": -9999.0,
    }
    with rasterio.open(path, "w", **options) as target:
        target.write(bands.astype("float32"))
    return path


def test_geotiffs_are_gridded_rain(tmp_path: Path) -> None:
    times = [START + timedelta(minutes=5 * index) for index in range(3)]
    one = geotiff(tmp_path / "all.tif", FRAMES)
    ready = Rain.from_file(one, unit="mm/h", times=times).prepare(GRID, START, 900.0)
    np.testing.assert_allclose(ready.rate(0), np.kron(FRAMES[0], np.ones((2, 2))) * MM_H, rtol=1e-7)  # float32 in the file
    many = [geotiff(tmp_path / f"{index}.tif", FRAMES[index : index + 1]) for index in range(3)]
    again = Rain.from_file(many, unit="mm/h", times=["0min", "5min", "10min"]).prepare(GRID, None, 900.0)
    np.testing.assert_array_equal(again.rate(0), ready.rate(0))
    with pytest.raises(UsageError, match="3 frames and no times"):
        Rain.from_file(one, unit="mm/h")
    with pytest.raises(CRSMismatchError, match="lies otherwise than"):
        Rain.from_file([many[0], geotiff(tmp_path / "moved.tif", FRAMES[:1], shift=20.0)], unit="mm/h", times=[0, 300])


def test_nodata_of_a_geotiff_is_missing(tmp_path: Path) -> None:
    holed = FRAMES.copy()
    holed[1, 1, 1] = -9999.0
    rain = Rain.from_file(geotiff(tmp_path / "holed.tif", holed), unit="mm/h", times=[0, 300, 600])
    assert "1 pixels in 3 frames have no value" in rain.faults(GRID, None, 900.0)[0]


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.nc", b"CDF\x01rubbish", CorruptFileError, "cannot be read"),
        ("a.tif", b"II*\0rubbish", CorruptFileError, "cannot be read"),
        ("a.tif", b"PK\x03\x04", FormatError, "neither NetCDF nor GeoTIFF"),
        ("a.nc", b"", FormatError, "neither NetCDF nor GeoTIFF"),
    ],
)
def test_a_damaged_grid_is_refused(tmp_path: Path, name: str, data: bytes, error: type[Exception], message: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(error, match=message):
        Rain.from_file(path, unit="mm/h", times=[0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("none.csv", "none.nc"):
        with pytest.raises(InputError, match="there is no such file"):
            Rain.from_file(tmp_path / name, unit="mm/h")
