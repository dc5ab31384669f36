"""Statistics of rasters per polygon: against a slow loop over cell centres, against laws, and beside exact coverage weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from cim.crs import parse
from cim.errors import InputError, UsageError
from cim.loaders import zonal_cells, zonal_kernel
from cim.loaders.zonal import STATISTICS, zonal_classes, zonal_statistics
from cim.loaders.zonal_cells import Cells
from cim.loaders.zonal_city import add_zonal
from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster

RD = parse("EPSG:28992")


def raster(rows: int = 30, columns: int = 40, seed: int = 0, **place: float) -> Raster:
    values = np.random.default_rng(seed).normal(100.0, 5.0, (rows, columns))
    at = {"x_min": 3.0, "y_max": 70.0, "dx": 1.5, "dy": 0.7, **place}
    return Raster(values, at["x_min"], at["y_max"], at["dx"], at["dy"], RD, name="dem")


def slow(one: Raster, polygon: Any) -> Any:
    """The definition: the values of the cells whose centre the polygon contains."""
    x, y = np.meshgrid(one.x, one.y)
    return one.values[shapely.contains_xy(polygon, x, y)]


def blobs(count: int, seed: int) -> list[Any]:
    """Round polygons of every size, some with holes, some of two parts, some beyond the raster; no centre lies on an edge."""
    random = np.random.default_rng(seed)
    middles = random.uniform((-5, 40), (75, 75), (count, 2))
    found = [shapely.Point(xy).buffer(radius) for xy, radius in zip(middles, random.uniform(0.05, 9, count), strict=True)]
    hole, other = shapely.Point(30.123, 58.321).buffer(3.1), shapely.Point(50.234, 60.432).buffer(2.2)
    return [shapely.union(shapely.difference(one, hole), other) if n % 3 == 0 else one for n, one in enumerate(found)]


@pytest.mark.parametrize("seed", range(5))
def test_every_statistic_is_that_of_the_centres_inside(seed: int) -> None:
    one, polygons = raster(seed=seed), blobs(60, seed)
    found = zonal_statistics(one, polygons, STATISTICS)
    for row, polygon in enumerate(polygons):
        values = slow(one, polygon)
        assert found.cells[row] == found["count"][row] == len(values)
        if len(values):
            told = [found[name][row] for name in ("mean", "min", "max", "sum", "std")]
            expected = [values.mean(), values.min(), values.max(), values.sum(), values.std()]
            assert told == pytest.approx(expected, rel=1e-12, abs=1e-9)  # sums in another order


whole = st.integers(0, 12)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(whole, whole), min_size=3, max_size=9))
def test_a_ring_that_crosses_itself_follows_the_even_odd_rule(corners: list[tuple[int, int]]) -> None:
    one = Raster(np.arange(144.0).reshape(12, 12), x_min=0.0, y_max=12.0, dx=1.0, dy=1.0, crs=RD)
    ring = np.array(corners, float) + np.linspace(0.0, 0.013, len(corners))[:, None] + [0.00123, 0.00371]  # no edge through a centre
    found = zonal_statistics(one, [shapely.Polygon(ring)], ("count",))
    x, y = (axis.ravel() for axis in np.meshgrid(one.x, one.y))
    inside = np.zeros(len(x), bool)
    for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        over = (y1 > y) != (y2 > y)
        at = np.where(over, x1 + (y - y1) * (x2 - x1) / np.where(over, y2 - y1, 1.0), np.inf)
        inside ^= over & (x < at)
    assert found.cells[0] == inside.sum()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=0, max_size=5), st.lists(st.integers(1, 30), min_size=0, max_size=5), st.integers(-2, 2))
def test_polygons_that_share_their_borders_share_no_cell(across: list[int], down: list[int], lean: int) -> None:
    """Borders run through cell centres on purpose: each centre belongs to exactly one of the quarters."""
    one = Raster(np.ones((15, 20)), x_min=0.0, y_max=15.0, dx=1.0, dy=1.0, crs=RD)
    x, y = (sorted({0.0, side, *(cut / 2 for cut in cuts if cut / 2 < side)}) for cuts, side in ((across, 20.0), (down, 15.0)))
    corner = {(i, j): (a + (lean / 4 if 0 < i < len(x) - 1 else 0.0) * (j % 2), b) for i, a in enumerate(x) for j, b in enumerate(y)}
    if any(corner[i, j][0] >= corner[i + 1, j][0] for i in range(len(x) - 1) for j in range(len(y))):
        return
    quarters = [
        shapely.Polygon([corner[i, j], corner[i + 1, j], corner[i + 1, j + 1], corner[i, j + 1]])
        for i in range(len(x) - 1)
        for j in range(len(y) - 1)
    ]
    assert zonal_statistics(one, quarters, ("count",)).cells.sum() == 300


def test_what_holds_no_centre_takes_the_cell_under_a_point_inside_and_says_so() -> None:
    one = raster()
    tiny = shapely.box(10.51, 60.01, 10.52, 60.02)
    found = zonal_statistics(one, [tiny, shapely.box(0, 40, 70, 80)], STATISTICS)
    cell = one.sample([10.515], [60.015], method="nearest")[0]
    assert found.sampled.tolist() == [True, False]
    assert [found[name][0] for name in ("mean", "min", "max")] == [cell] * 3
    assert (found.cells[0], found["count"][0]) == (0, 0)
    assert np.isnan([found["sum"][0], found["std"][0]]).all()  # a whole cell is no sum over a part of it


def test_unknown_cells_are_left_out_and_counted() -> None:
    values = np.ones((6, 6))
    values[:3] = [np.nan, np.inf, -np.inf, 5.0, 5.0, 5.0]
    one = Raster(values, x_min=0.0, y_max=6.0, dx=1.0, dy=1.0, crs=RD)
    found = zonal_statistics(one, [shapely.box(0, 3, 6, 6), shapely.box(0, 3, 3, 6), shapely.box(0.1, 5.1, 0.2, 5.2)], ("mean", "max"))
    assert found["mean"].tolist() == pytest.approx([5.0, np.nan, np.nan], nan_ok=True)
    assert (found.cells.tolist(), found.unknown.tolist()) == ([9, 0, 0], [9, 9, 0])
    assert not found.sampled.any()  # the cell under the third is unknown: nothing was sampled


def test_what_lies_beyond_the_raster_is_told_as_a_share() -> None:
    one = Raster(np.ones((10, 10)), x_min=0.0, y_max=10.0, dx=1.0, dy=1.0, crs=RD)
    shapes = [shapely.box(-5, 0, 5, 10), shapely.box(20, 0, 30, 10), shapely.box(1, 1, 2, 2), None, shapely.Point(1, 1), shapely.Polygon()]
    found = zonal_statistics(one, [*shapes, shapely.box(-1e9, -1e9, 1e9, 1e9)], ("mean", "count"))
    assert found.covered.tolist() == pytest.approx([0.5, 0.0, 1.0, np.nan, np.nan, np.nan, 2.5e-17], nan_ok=True)
    assert found["count"].tolist() == [50, 0, 1, 0, 0, 0, 100]
    assert np.isnan(found["mean"]).tolist() == [False, True, False, True, True, True, False]


def test_coordinates_that_are_not_finite_give_no_value() -> None:
    with np.errstate(all="ignore"):
        broken = shapely.polygons(np.array([[0.0, 0], [np.nan, 5], [5, 5], [0, 0]]))
    one = Raster(np.ones((10, 10)), x_min=0.0, y_max=10.0, dx=1.0, dy=1.0, crs=RD)
    assert np.isnan(zonal_statistics(one, [broken], ("mean",))["mean"]).all()
    assert len(zonal_statistics(one, [], ("mean",))) == 0


def test_a_large_mean_costs_no_digits() -> None:
    values = 1e9 + np.random.default_rng(1).normal(0, 1e-3, (50, 50))
    one = Raster(values, x_min=0.0, y_max=50.0, dx=1.0, dy=1.0, crs=RD)
    found = zonal_statistics(one, [shapely.box(0, 0, 50, 50)], ("std", "mean"))
    assert found["std"][0] == pytest.approx(values.std(), rel=1e-4)  # float64 itself keeps 1e-7 of these values


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int16", "int32"])
def test_a_file_in_strips_gives_what_memory_gives(tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonal_cells, "STRIP_CELLS", 700)
    values = np.random.default_rng(2).integers(0, 200, (300, 130)).astype(dtype)
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 300, "width": 130, "dtype": dtype, "crs": "EPSG:28992", "nodata": 7}
    with rasterio.open(path, "w", transform=Affine(2, 0, 100, 0, -2, 900), blockysize=16, **profile) as file:
        file.write(values, 1)
    known = np.where(values == 7, np.nan, values.astype(float))
    one = Raster(known, x_min=100.0, y_max=900.0, dx=2.0, dy=2.0, crs=RD)
    random = np.random.default_rng(3)
    shapes = [
        shapely.Point(xy).buffer(r) for xy, r in zip(random.uniform((90, 290), (370, 910), (80, 2)), random.gamma(1, 20, 80), strict=True)
    ]
    shapes += [shapely.Point(xy).buffer(0.05) for xy in random.uniform((110, 310), (350, 890), (40, 2))]
    shapes += [shapely.box(150.02, 310, 150.03, 880)]  # a sliver through many strips that holds no centre
    memory, strips = (zonal_statistics(source, shapes, STATISTICS) for source in (one, path))
    for name in STATISTICS:
        np.testing.assert_allclose(strips[name], memory[name], rtol=1e-12, err_msg=name)
    assert (strips.sampled == memory.sampled).all()
    assert strips.sampled[-1]
    assert (strips.unknown == memory.unknown).all()


def test_scale_offset_and_masks_of_a_file_count(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "int16", "crs": "EPSG:28992"}
    mask = np.full((4, 4), 255, np.uint8)
    mask[0] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "w", transform=Affine(1, 0, 0, 0, -1, 4), **profile) as file:
        file.write(np.full((4, 4), 250, np.int16), 1)
        file.write_mask(mask)
        file.scales, file.offsets = (0.01,), (400.0,)
    found = zonal_statistics(path, [shapely.box(0, 0, 4, 4)], ("mean",))
    assert found["mean"][0] == pytest.approx(402.5, rel=1e-12)
    assert (found.cells[0], found.unknown[0]) == (12, 4)


def test_a_raster_that_is_no_north_up_geotiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 4, "width": 4, "dtype": "int16", "crs": "EPSG:28992"}
    with rasterio.open(path, "w", transform=Affine(1, 0, 0, 0, 1, 4), **profile) as file:
        file.write(np.zeros((4, 4), np.int16), 1)
    with pytest.raises(InputError, match=r"not north-up.*cim.loaders.read"):
        zonal_statistics(path, [shapely.box(0, 0, 4, 4)])
    (tmp_path / "b.tif").write_bytes(b"no raster")
    with pytest.raises(InputError, match="cannot be read as GeoTIFF"):
        zonal_statistics(tmp_path / "b.tif", [shapely.box(0, 0, 4, 4)])
    with pytest.raises(UsageError, match=r"statistics=\('median',\); give one or more of mean, min"):
        zonal_statistics(raster(), [], ("median",))


def test_a_billion_cells_go_by_in_strips() -> None:
    """What is asked for at a time stays small, however large the grid; cells that no polygon reaches are never asked for."""
    asked: list[int] = []

    def read(rows: slice, columns: slice) -> Any:
        asked.append((rows.stop - rows.start) * (columns.stop - columns.start))
        return np.full((rows.stop - rows.start, columns.stop - columns.start), float(rows.start // 1000), np.float32)

    cells = Cells((40_000, 30_000), 0.0, 40_000.0, 1.0, 1.0, read, 256)
    found = zonal_statistics(cells, [shapely.box(100, 100, 400, 400), shapely.box(300, 39_000, 900, 39_500)], ("count",))
    assert found["count"].tolist() == [90_000, 300_000]
    assert max(asked) <= zonal_cells.STRIP_CELLS
    assert sum(asked) < 2_000_000


def test_many_corners_are_done_in_bands_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    one = raster(200, 200, dx=1.0, dy=1.0, x_min=0.0, y_max=200.0)
    angle = np.linspace(0, 2 * np.pi, 20_001)[:-1]
    reach = 60 + 30 * np.cos(900 * angle)
    star = shapely.Polygon(np.column_stack([100 + reach * np.cos(angle), 100 + reach * np.sin(angle)]))
    plain = zonal_statistics(one, [star], ("sum",))
    assert plain.cells[0] == len(slow(one, star))
    assert zonal_kernel._extent.py_func.__globals__["MOST_CROSSINGS"] >= 1_000_000
    rings = (np.array([0.0, 1, 1, 0]), np.array([0.0, 0, 50, 0]), np.array([0, 4]), np.array([0, 1]))
    monkeypatch.setattr(zonal_kernel, "MOST_CROSSINGS", 12)
    assert zonal_kernel._extent.py_func(rings, 0, 0, 100) == (0, 50, 3)


def test_the_kernel_stays_inside_its_arrays(tmp_path: Path) -> None:
    """The whole once more with bounds checks: numba leaves them out otherwise, and an index beyond the end reads foreign memory."""
    code = (
        "import numpy as np, shapely\n"
        "from cim.crs import parse\n"
        "from cim.model.coverages import Raster\n"
        "from cim.loaders.zonal import zonal_classes, zonal_statistics\n"
        "one = Raster(np.arange(1200.0).reshape(30, 40), x_min=0, y_max=30, dx=1, dy=1, crs=parse('EPSG:28992'))\n"
        "xy = np.random.default_rng(1).uniform(-10, 50, (200, 2))\n"
        "shapes = [shapely.Point(p).buffer(r) for p, r in zip(xy, np.linspace(0.01, 25, 200))]\n"
        "shapes += [shapely.box(0, 0, 40, 30), shapely.box(-1e12, -1e12, 1e12, 1e12), shapely.box(39.9, 0, 40, 0.1), None]\n"
        "print(int(zonal_statistics(one, shapes).cells.sum()), int(zonal_classes(one, shapes, [3, 5]).other.sum()))\n"
    )
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    cells, others = map(int, done.stdout.split())
    assert cells > others > 0


# ---------------------------------------------------------------- beside exactextract


def test_the_difference_to_coverage_weights_is_as_stated() -> None:
    """A cell counts whole or not at all here; exactextract weighs it by the area inside. Rough noise is the worst case.

    For n cells the border holds about 4 sqrt(n) of them, half of which change sides: the means differ by about sqrt(2 / n ** 1.5)
    of the standard deviation of the raster at most. Inside of one cell both give the same value.
    """
    exactextract = pytest.importorskip("exactextract")
    import geopandas

    one = raster(200, 200, dx=1.0, dy=1.0, x_min=0.0, y_max=200.0)
    random = np.random.default_rng(5)
    sizes = np.repeat([3.0, 10.0, 30.0], 40)
    corner = random.uniform(5, 160, (len(sizes), 2))
    shapes = shapely.box(*corner.T, *(corner + sizes[:, None]).T)
    wkt = RD.horizontal.to_wkt()
    source = exactextract.raster.NumPyRasterSource(one.values, 0.0, 0.0, 200.0, 200.0, srs_wkt=wkt)
    frame = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:28992")
    theirs = exactextract.exact_extract(source, frame, ["mean", "max"], output="pandas")
    ours = zonal_statistics(one, shapes, ("mean", "max"))
    apart = np.abs(ours["mean"] - theirs["mean"].to_numpy()) / one.values.std()
    median = [float(np.median(apart[sizes == size])) for size in (3.0, 10.0, 30.0)]
    assert median[0] < 0.25  # 9 cells
    assert median[1] < 0.05  # 100 cells
    assert median[2] < 0.01  # 900 cells
    assert apart.max() < 0.8
    assert (ours["max"] <= theirs["max"].to_numpy() + 1e-9).all()  # it also sees cells that are only touched
    smooth = Raster(np.add.outer(np.arange(200.0), np.arange(200.0)), x_min=0.0, y_max=200.0, dx=1.0, dy=1.0, crs=RD)
    source = exactextract.raster.NumPyRasterSource(smooth.values, 0.0, 0.0, 200.0, 200.0, srs_wkt=wkt)
    plane = exactextract.exact_extract(source, frame, ["mean"], output="pandas")["mean"].to_numpy()
    assert np.abs(zonal_statistics(smooth, shapes, ("mean",))["mean"] - plane).max() <= 1.0  # half a cell in both directions


# ---------------------------------------------------------------- classes


def test_classes_are_counted_and_the_rest_is_told() -> None:
    one = Raster(np.array([[1.0, 2, 2], [9, np.nan, 2], [1, 1, 1]]), x_min=0.0, y_max=3.0, dx=1.0, dy=1.0, crs=RD)
    found = zonal_classes(one, [shapely.box(0, 0, 3, 3), shapely.box(2.1, 2.1, 2.2, 2.2), shapely.box(9, 9, 10, 10)], [2, 1])
    assert found.counts.tolist() == [[3, 4], [1, 0], [0, 0]]
    assert found.other.tolist() == [2, 0, 0]
    assert found.shares.tolist() == pytest.approx(np.array([[3 / 7, 4 / 7], [1, 0], [np.nan, np.nan]]), nan_ok=True)
    assert found.sampled.tolist() == [False, True, False]
    with pytest.raises(UsageError, match="give one or more different finite values"):
        zonal_classes(one, [], [1, 1])


# ---------------------------------------------------------------- as attributes of a city


def district() -> City:
    builder = CityBuilder("EPSG:28992+5709", name="district")
    shapes = [shapely.box(10, 10, 20, 20), shapely.box(55, 10, 65, 20), shapely.box(80, 80, 90, 90), shapely.box(30.1, 30.1, 30.2, 30.2)]
    keys = builder.add_objects(
        "Building", ["in", "across", "out", "tiny", "line"], footprints=[*shapes, shapely.LineString([(1, 1), (2, 2)])]
    )
    builder.add_attributes(keys[:1], "Building", {"ground_mean": Column([3.0], unit="m")})
    return builder.build()


def test_values_come_with_unit_method_and_source_and_gaps_are_counted(tmp_path: Path) -> None:
    from cim.loaders import read

    values = np.add.outer(np.arange(60.0), np.zeros(60))
    path = write_raster(Raster(values, x_min=0.0, y_max=60.0, dx=1.0, dy=1.0, crs=parse("EPSG:28992")), tmp_path / "dtm.tif")
    city = add_zonal(district(), read(path), name="ground", statistics=("max", "count"))
    assert city.unit("Building", "ground_max") == "m"
    assert city.unit("Building", "ground_count") == ""
    assert city["in"].attributes["ground_max"] == 49.0
    assert city["in"].attributes["ground_count"] == 100
    claim = city.why("in", "ground_max")[0]
    assert claim.method == "max of 100 cells whose centre lies inside of dtm"
    assert (claim.source, claim.unit) == ("dtm", "m")
    assert city.why("across", "ground_max")[0].method.endswith("which holds 50 % of the footprint")
    assert city.why("tiny", "ground_max")[0].method.startswith("max of the cell under a point inside (no cell centre inside)")
    assert city["out"].attributes["ground_max"] is None
    said = {
        row["message"].split(": ")[1]: row["count"] for row in city.tables["issues"].to_pylist() if "Building and dtm" in row["message"]
    }
    assert said == {
        "1 objects have no footprint with an area and get no value": 1,
        "1 footprints lie outside the raster and get no value": 1,
        "1 footprints reach beyond the raster; the value speaks for the part inside": 1,
        "1 footprints hold no cell centre; the cell under a point inside was taken": 1,
    }


def test_what_is_stated_stays_and_both_are_claims() -> None:
    one = Raster(np.full((60, 60), 8.0), x_min=0.0, y_max=60.0, dx=1.0, dy=1.0, crs=RD, name="dtm")
    city = add_zonal(district(), one, name="ground", statistics=("mean",))
    assert [city[id].attributes["ground_mean"] for id in ("in", "across")] == [3.0, 8.0]
    assert [(claim.value, claim.chosen) for claim in city.why("in", "ground_mean")] == [(3.0, True), (8.0, False)]
    assert any(row["code"] == "conflict" for row in city.tables["issues"].to_pylist())
    with pytest.raises(UsageError, match=r"attribute 'ground_mean' of double \[m\], not double \[kg\]; give another name"):
        add_zonal(city, replace(one, unit="kg"), name="ground", statistics=("mean",))
    with pytest.raises(UsageError, match="the city has no Road"):
        add_zonal(city, one, type="Road")


def test_a_raster_in_feet_never_stands_in_a_column_of_metres() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Building", ["a", "b"], footprints=np.array([shapely.box(1, 1, 3, 3), shapely.box(5, 5, 8, 8)], object))
    builder.add_attributes(keys[:1], "Building", {"elevation_mean": Column([5.0], unit="m")})
    feet = Raster(np.full((10, 10), 30.0), x_min=0, y_max=10, dx=1, dy=1, crs=parse("EPSG:28992"), unit="ft")
    done = add_zonal(builder.build(), feet)
    assert done.statistics("Building", "elevation_mean")["unit"] == "m"
    assert [done[one].attributes["elevation_mean"] for one in "ab"] == pytest.approx([5.0, 9.144])
    assert done["a"].attributes["elevation_max"] == pytest.approx(9.144)
    assert [(claim.value, claim.unit) for claim in done.why("a", "elevation_mean")] == [(5.0, "m"), (pytest.approx(9.144), "m")]


@pytest.mark.data
def test_the_munich_terrain_is_where_and_as_high_as_its_source_says(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read
    from cim.model.coverages import coverage_rows
    from cim.scenes import Scene

    city = read(shared_data("city", "munich_dgm", "690_5336.tif"))
    (row,) = coverage_rows(city, "raster")
    assert (row["meta"]["nx"], row["meta"]["ny"], row["count"]) == (1000, 1000, 1_000_000)
    assert city.bounds == (690_000.0, 5_336_000.0, 691_000.0, 5_337_000.0)
    assert city.crs.to_string() == "EPSG:25832"
    told = city["690_5336"].attributes
    assert (told["lowest"], told["highest"]) == pytest.approx((505.2, 523.3), abs=0.06)  # as rounded in SOURCE.txt
    builder = CityBuilder("EPSG:25832")
    builder.add_objects("Building", ["b"], footprints=[shapely.box(690_000, 5_336_000, 691_000, 5_337_000)])
    measured = add_zonal(builder.build(), city, statistics=("min", "max", "count"))["b"].attributes
    assert measured["elevation_count"] == 1_000_000
    assert (measured["elevation_min"], measured["elevation_max"]) == (told["lowest"], told["highest"])
    scene = Scene(city)
    low, high = scene.layer("terrain").bounds + scene.origin
    assert low.tolist() == pytest.approx([690_000, 5_336_000, 505.2], abs=4.0)  # cells of 4 m are drawn
    assert high.tolist() == pytest.approx([691_000, 5_337_000, 523.3], abs=4.0)
