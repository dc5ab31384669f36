"""Rasters of a city: sampling against a slow loop, windows, files, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cim.crs import parse
from cim.errors import InputError, LimitError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.model.coverages import Raster, coverage_rows, raster_ids, read_raster, workspace, write_raster

RD = parse("EPSG:7415")
ULPS = 1e-12  # a bilinear mean of four values near 10 is four products and three sums: some 1e-15 each


def grid(values: object, **changed: object) -> Raster:
    raster = Raster(np.asarray(values, float), x_min=100.0, y_max=240.0, dx=2.0, dy=4.0, crs=RD)
    return replace(raster, **changed)  # type: ignore[arg-type]


def city_with(path: Path, **columns: object) -> City:
    builder = CityBuilder(RD)
    key = builder.add_objects("ReliefFeature", ["ground"], footprints=[shapely.box(100, 200, 120, 240)])
    told = {"format": "GeoTIFF", "crs": "EPSG:7415", "unit": "m", "meta": json.dumps({"surface": "terrain"})}
    builder.add_coverage(int(key[0]), kind="raster", path=str(path), **(told | columns))  # type: ignore[arg-type]
    return builder.build()


def slow_sample(raster: Raster, x: float, y: float) -> float:
    """The definition, one point at a time: weights of the four nearest centres, unknown ones left out."""
    ny, nx = raster.shape
    xmin, ymin, xmax, ymax = raster.bounds
    if not (xmin <= x <= xmax and ymin <= y <= ymax):
        return np.nan
    column, row = (x - raster.x_min) / raster.dx, (raster.y_max - y) / raster.dy
    if np.isnan(raster.values[min(int(row), ny - 1), min(int(column), nx - 1)]):
        return np.nan
    across, down = min(max(column - 0.5, 0), nx - 1), min(max(row - 0.5, 0), ny - 1)
    total = weight = 0.0
    for i in range(ny):
        for j in range(nx):
            share = max(0.0, 1 - abs(across - j)) * max(0.0, 1 - abs(down - i))
            if share > 0 and not np.isnan(raster.values[i, j]):
                total, weight = total + share * raster.values[i, j], weight + share
    return total / weight if weight else np.nan


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.one_of(st.floats(-10, 10), st.just(np.nan))),
    points=st.lists(st.tuples(st.floats(95, 115), st.floats(210, 245)), min_size=1, max_size=10),
)
def test_sampling_between_centres_is_the_weighted_mean_of_known_neighbours(values: object, points: list[tuple[float, float]]) -> None:
    raster = grid(values)
    x, y = np.array(points).T
    expected = [slow_sample(raster, *point) for point in points]
    np.testing.assert_allclose(raster.sample(x, y), expected, atol=10 * ULPS, rtol=0)


def test_a_plane_is_sampled_exactly_between_the_outer_centres() -> None:
    x, y = 101.0 + 2.0 * np.arange(6), 238.0 - 4.0 * np.arange(5)
    plane = grid(3.0 + 0.5 * x[None, :] - 0.25 * y[:, None])
    east, north = np.random.default_rng(1).uniform((101, 222), (111, 238), (200, 2)).T
    np.testing.assert_allclose(plane.sample(east, north), 3.0 + 0.5 * east - 0.25 * north, atol=1e-11)  # values near 60: some ulps


def test_nearest_takes_the_cell_that_holds_the_point_and_nan_outside() -> None:
    raster = grid([[1.0, 2.0], [3.0, np.nan]])
    found = raster.sample([100.1, 103.9, 100.0, 103.0, 99.9], [239.9, 236.1, 232.0, 233.0, 235.0], method="nearest")
    np.testing.assert_array_equal(found, [1.0, 2.0, 3.0, np.nan, np.nan])


def test_sampling_refuses_a_method_it_does_not_know() -> None:
    with pytest.raises(UsageError, match="'cubic', expected 'linear' or 'nearest'"):
        grid([[1.0]]).sample(1.0, 1.0, method="cubic")


def test_centres_and_bounds_follow_the_northern_western_corner() -> None:
    raster = grid(np.zeros((3, 2)))
    assert raster.bounds == (100.0, 228.0, 104.0, 240.0)
    np.testing.assert_array_equal(raster.x, [101.0, 103.0])
    np.testing.assert_array_equal(raster.y, [238.0, 234.0, 230.0])


def test_a_window_keeps_values_at_their_place() -> None:
    raster = grid(np.arange(30.0).reshape(5, 6))
    part = raster.window((103.0, 225.0, 105.0, 233.0))
    assert part.bounds == (102.0, 224.0, 106.0, 236.0)
    x, y = np.meshgrid(part.x, part.y)
    np.testing.assert_array_equal(raster.sample(x, y, method="nearest"), part.values)
    assert np.shares_memory(part.values, raster.values)


def test_a_window_elsewhere_is_an_error_that_names_both_boxes() -> None:
    with pytest.raises(UsageError, match=r"\(0, 0, 1, 1\) lies outside the raster"):
        grid(np.zeros((2, 2))).window((0, 0, 1, 1))


@pytest.mark.parametrize(
    ("changed", "text"), [({"dx": 0.0}, "positive"), ({"x_min": np.nan}, "finite"), ({"values": np.zeros(3)}, "shape")]
)
def test_what_is_no_grid_is_refused(changed: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        replace(grid([[1.0]]), **changed)  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(
    values=arrays(
        float, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.one_of(st.floats(-1e4, 1e4), st.just(np.nan), st.just(-9999.0))
    )
)
def test_what_is_written_is_read_again_bit_for_bit(values: object) -> None:
    raster = grid(values)
    path = write_raster(raster, workspace() / "round.tif")
    again = read_raster(city_with(path), "ground")
    np.testing.assert_array_equal(again.values, raster.values)
    assert (again.bounds, again.crs, again.unit, again.name) == (raster.bounds, RD, "m", "ground")


def test_a_written_raster_is_a_plain_geotiff_with_crs_and_nodata(tmp_path: Path) -> None:
    write_raster(grid([[1.5, np.nan]]), tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.driver, file.nodata, file.units, file.crs.to_epsg()) == ("GTiff", -9999.0, ("m",), 7415)
        assert file.read(1, masked=True).mask.tolist() == [[False, True]]
    assert [one.name for one in tmp_path.iterdir()] == ["a.tif"], "no sidecar, no part left"


def test_part_of_a_raster_is_read_at_its_place(tmp_path: Path) -> None:
    raster = grid(np.arange(30.0).reshape(5, 6))
    city = city_with(write_raster(raster, tmp_path / "a.tif"))
    box = (103.0, 225.0, 105.0, 233.0)
    part = read_raster(city, "ground", box)
    np.testing.assert_array_equal(part.values, raster.window(box).values)
    assert part.bounds == raster.window(box).bounds


def test_more_cells_than_allowed_are_refused_before_they_are_read(tmp_path: Path) -> None:
    city = city_with(write_raster(grid(np.zeros((5, 6))), tmp_path / "a.tif"))
    with pytest.raises(LimitError, match="30 cells are asked for, above max_cells=29"):
        read_raster(city, "ground", max_cells=29)
    assert read_raster(city, "ground", (100, 239, 101, 240), max_cells=1).shape == (1, 1)


def test_only_geotiff_is_opened_whatever_the_path_is_called(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"0123456789")
    vrt = tmp_path / "a.tif"
    vrt.write_text(f'<VRTDataset rasterXSize="2" rasterYSize="5"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
                   f"<SourceFilename>{secret}</SourceFilename></VRTRasterBand></VRTDataset>")  # fmt: skip
    with pytest.raises(InputError, match="cannot be read as GeoTIFF"):
        read_raster(city_with(vrt), "ground")


def test_a_relative_path_may_not_leave_the_folder_of_the_city(tmp_path: Path) -> None:
    inside = tmp_path / "a.cim"
    inside.mkdir()
    write_raster(grid([[1.0]]), tmp_path / "out.tif")
    write_raster(grid([[2.0]]), inside / "in.tif")
    assert read_raster(replace(city_with(Path("in.tif")), path=str(inside)), "ground").values.item() == 2.0
    with pytest.raises(InputError, match="leads out of the folder"):
        read_raster(replace(city_with(Path("../out.tif")), path=str(inside)), "ground")


def test_an_object_without_raster_is_an_error_that_names_those_with_one(tmp_path: Path) -> None:
    city = city_with(tmp_path / "a.tif")
    with pytest.raises(ObjectNotFoundError, match="no object has the id 'roof'"):
        read_raster(city, "roof")
    with pytest.raises(InputError, match="is not there"):
        read_raster(city, "ground")


def test_rasters_are_listed_by_what_they_show(tmp_path: Path) -> None:
    terrain = city_with(tmp_path / "a.tif")
    surface = city_with(tmp_path / "a.tif", meta=json.dumps({"surface": "surface"}))
    assert raster_ids(terrain) == raster_ids(terrain, "terrain") == raster_ids(surface, "surface") == ["ground"]
    assert raster_ids(surface, "terrain") == raster_ids(terrain, "surface") == []
    assert coverage_rows(terrain, "points") == []
    assert coverage_rows(terrain, "raster")[0]["meta"] == {"surface": "terrain"}


def test_the_workspace_lives_as_long_as_its_process() -> None:
    script = "from cim.model.coverages import workspace; f = workspace(); (f / 'a').touch(); assert workspace() == f; print(f)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("cim-workspace-")
    assert not folder.exists()
