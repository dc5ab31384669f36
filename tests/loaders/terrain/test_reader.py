"""The terrain reader through the door: every way a raster may lie, and that what is read is what the file means."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from cim.errors import CorruptFileError, CRSError, FormatError, InputError, LimitError
from cim.loaders import Limits, describe, read
from cim.loaders.terrain.tiff import check_streams, read_header
from cim.model import City
from cim.model.coverages import Raster, raster_ids, read_raster

NORTH_UP = Affine(2.0, 0.0, 410500.0, 0.0, -2.0, 3391800.0)
UTM = "EPSG:32648"
FLOAT32 = 3e-5  # m: half a step of float32 near 450


def hill(rows: int = 64, columns: int = 64) -> np.ndarray[Any, np.dtype[np.float32]]:
    y, x = np.mgrid[:rows, :columns]
    return np.asarray(453.0 + 6.0 * np.sin(x / 9.0) * np.cos(y / 7.0), np.float32)


def write(path: Path, values: Any = None, transform: Affine = NORTH_UP, crs: str | None = UTM, **profile: Any) -> Path:
    values = hill() if values is None else np.asarray(values)
    bands = values if values.ndim == 3 else values[None]
    extra = {name: profile.pop(name) for name in ("units", "scales", "offsets") if name in profile}
    told = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype, **profile}
    with rasterio.open(path, "w", crs=crs, transform=transform, **told) as file:
        file.write(bands)
        for name, value in extra.items():
            setattr(file, name, (value,))
    return path


def raster_of(city: City) -> Raster:
    return read_raster(city, raster_ids(city)[0])


def told(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code and row["severity"] != "info"]


def quiet(city: City) -> bool:
    return all(row["severity"] == "info" for row in city.tables["issues"].to_pylist())


# ---------------------------------------------------------------- what is read


def test_a_plain_raster_becomes_one_relief_with_its_values_unchanged(tmp_path: Path) -> None:
    city = read(write(tmp_path / "hill.tif", compress="deflate"))
    assert city.types() == {"ReliefFeature": 1}
    assert quiet(city)
    raster = raster_of(city)
    np.testing.assert_array_equal(raster.values, hill().astype(float))
    assert raster.bounds == (410500.0, 3391672.0, 410628.0, 3391800.0)
    coverage = city.tables["coverages"].to_pylist()[0]
    assert (coverage["kind"], coverage["unit"], coverage["vertical"], coverage["count"]) == ("raster", "m", "unknown", 64 * 64)
    assert coverage["bbox"]["zmin"] == hill().min()
    assert json.loads(coverage["meta"])["share"] == 1.0
    source = city.tables["sources"].to_pylist()[0]
    assert (source["reader"], source["format"], source["declared_crs"], source["used_crs"]) == ("terrain", "GeoTIFF", UTM, UTM)


@pytest.mark.parametrize(
    ("name", "code", "surface"),
    [("dsm_05m", "010402", "surface"), ("DGM1_north", "010401", "terrain"), ("x", "010401", "terrain"), ("城区地表", "010402", "surface")],
)
def test_the_name_tells_terrain_from_surface_and_the_guess_is_reported(tmp_path: Path, name: str, code: str, surface: str) -> None:
    city = read(write(tmp_path / f"{name}.tif"))
    assert city.tables["objects"]["cim_code"].to_pylist() == [code]
    assert raster_ids(city, surface) == [name]
    assert {"guessed", "assumed"} & {row["code"] for row in city.tables["issues"].to_pylist()}


def test_the_caller_may_say_what_it_is(tmp_path: Path) -> None:
    city = read(write(tmp_path / "dtm.tif"), surface="dsm")
    assert city.tables["objects"]["cim_code"].to_pylist() == ["010402"]


def test_scale_and_offset_are_applied(tmp_path: Path) -> None:
    stored = np.round((hill() - 400.0) * 100.0).astype(np.int16)
    city = read(write(tmp_path / "a.tif", stored, scales=0.01, offsets=400.0))
    assert quiet(city)
    np.testing.assert_allclose(raster_of(city).values, stored * 0.01 + 400.0, atol=FLOAT32)


@pytest.mark.parametrize(("unit", "factor"), [("ft", 0.3048), ("US survey foot", 1200 / 3937), ("cm", 0.01)])
def test_other_units_become_metres_and_are_reported(tmp_path: Path, unit: str, factor: float) -> None:
    city = read(write(tmp_path / "a.tif", (hill() / factor).astype(np.float32), units=unit))
    np.testing.assert_allclose(raster_of(city).values, hill(), rtol=1e-6)  # two roundings to float32
    assert unit in told(city, "repaired")[0]


def test_feet_of_the_height_system_become_metres_and_so_does_the_system(tmp_path: Path) -> None:
    place = Affine(10.0, 0.0, 980000.0, 0.0, -10.0, 200000.0)
    city = read(write(tmp_path / "a.tif", hill() / np.float32(0.3048), place, "EPSG:2263+6360"))
    np.testing.assert_allclose(raster_of(city).values, hill(), rtol=1e-5)  # survey feet differ by 2e-6
    assert city.crs.vertical_unit_factor == 1.0
    assert city.crs.vertical is not None


def test_an_unknown_unit_is_refused_unless_the_caller_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", units="furlong")
    with pytest.raises(InputError, match="'furlong', which is no length"):
        read(path)
    np.testing.assert_array_equal(raster_of(read(path, unit="m")).values, hill().astype(float))


def test_declared_nodata_is_quiet_and_only_the_known_part_is_the_footprint(tmp_path: Path) -> None:
    values = hill()
    values[:32] = -9999.0
    city = read(write(tmp_path / "a.tif", values, nodata=-9999.0))
    assert quiet(city)
    assert city["a"].footprint.bounds == (410500.0, 3391672.0, 410628.0, 3391736.0)
    assert np.isnan(raster_of(city).values[:32]).all()


@pytest.mark.parametrize("mark", [-9999.0, -32767.0, -32768.0, float(np.finfo(np.float32).max), -float(np.finfo(np.float32).max), 1e20])
def test_undeclared_nodata_is_taken_out_and_counted(tmp_path: Path, mark: float) -> None:
    values = hill()
    values[3:5, 7:9] = mark
    city = read(write(tmp_path / "a.tif", values))
    raster = raster_of(city)
    assert np.isnan(raster.values).sum() == 4
    assert np.nanmin(raster.values) > 400.0
    assert any(text.startswith("a.tif: 4 cells hold") for text in told(city, "guessed") + told(city, "rejected"))


def test_nodata_that_is_declared_slightly_wrong_is_found(tmp_path: Path) -> None:
    values = hill()
    values[0, 0] = np.finfo(np.float32).max
    city = read(write(tmp_path / "a.tif", values, nodata=3.4e38))
    assert np.isnan(raster_of(city).values).sum() == 1
    assert "undeclared nodata" in told(city, "guessed")[0]


def test_nan_and_infinity_are_masked_and_counted(tmp_path: Path) -> None:
    values = hill()
    values[0, :3] = [np.nan, np.inf, -np.inf]
    city = read(write(tmp_path / "a.tif", values))
    assert np.isnan(raster_of(city).values).sum() == 3
    assert told(city, "repaired") == ["a.tif: 3 cells are not finite (NaN or Inf): taken as nodata"]


def test_a_raster_without_any_value_is_said_to_be_empty(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.tif", np.full((4, 4), -9999.0), nodata=-9999.0))
    assert told(city, "empty") == ["a.tif: no cell has a value"]


def test_values_that_are_no_elevations_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", hill() * 100)
    with pytest.raises(FormatError, match=r'are no elevations.*unit="cm"'):
        read(path)
    np.testing.assert_allclose(raster_of(read(path, unit="cm")).values, hill(), rtol=1e-6)


# ---------------------------------------------------------------- where it lies


def test_a_south_up_raster_is_flipped_and_reported(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.tif", transform=Affine(2.0, 0.0, 410500.0, 0.0, 2.0, 3391800.0)))
    assert "south-up" in told(city, "repaired")[0]
    raster = raster_of(city)
    np.testing.assert_array_equal(raster.values, hill()[::-1].astype(float))
    assert raster.sample(410501.0, 3391801.0) == hill()[0, 0], "the first row lies in the south"


def test_a_mirrored_raster_is_flipped_and_reported(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.tif", transform=Affine(-2.0, 0.0, 410628.0, 0.0, -2.0, 3391800.0)))
    assert "mirrored" in told(city, "repaired")[0]
    np.testing.assert_array_equal(raster_of(city).values, hill()[:, ::-1].astype(float))


@pytest.mark.parametrize("angle", [30.0, -75.0, 90.0, 180.0])
def test_a_turned_plane_is_resampled_to_the_same_plane(tmp_path: Path, angle: float) -> None:
    transform = NORTH_UP * Affine.rotation(angle)
    row, column = np.mgrid[:64, :64] + 0.5
    east, north = transform * (column, row)

    def plane(x: Any, y: Any) -> Any:
        return 450.0 + 0.02 * (x - 410500.0) - 0.03 * (y - 3391800.0)

    city = read(write(tmp_path / "a.tif", plane(east, north), transform))
    raster = raster_of(city)
    x, y = np.meshgrid(raster.x, raster.y)
    back = ~transform * (x, y)
    inner = (np.array(back) > 0.5).all(axis=0) & (np.array(back) < 63.5).all(axis=0)
    np.testing.assert_allclose(raster.values[inner], plane(x, y)[inner], atol=1e-6)  # positions right to 1e-6 m / slope 0.04
    assert inner.sum() > 3500
    assert any("rotated" in text or "flipped" in text for text in told(city, "repaired"))


def test_an_identity_transform_is_refused(tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(tmp_path / "a.tif", transform=Affine.identity())
    with pytest.raises(CRSError, match="not georeferenced"):
        read(tmp_path / "a.tif")


def test_a_world_file_gives_the_place_and_is_reported(tmp_path: Path) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        write(tmp_path / "a.tif", transform=Affine.identity(), crs=None)
    (tmp_path / "a.tfw").write_text("2.0\n0.0\n0.0\n-2.0\n410501.0\n3391799.0\n")
    city = read(tmp_path / "a.tif", crs=UTM)
    assert raster_of(city).bounds == (410500.0, 3391672.0, 410628.0, 3391800.0)
    assert "taken from a.tfw" in told(city, "guessed")[0]


def test_no_crs_is_an_error_that_asks_for_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", crs=None)
    with pytest.raises(CRSError, match=r"no coordinate reference system \(CRS\).*crs="):
        read(path)
    assert read(path, crs="EPSG:32648+5773").crs.vertical is not None


def test_a_given_crs_wins_over_the_declared_one_and_is_reported(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.tif"), crs="EPSG:32647")
    assert city.crs.to_string() == "EPSG:32647"
    assert "EPSG:32648" in told(city, "crs")[0]


def test_degrees_in_a_metric_system_and_metres_in_a_geographic_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="degrees"):
        read(write(tmp_path / "a.tif", transform=Affine(2e-5, 0, 104.0657, 0, -2e-5, 30.6574)))
    with pytest.raises(CRSError, match="metres"):
        read(write(tmp_path / "b.tif", crs="EPSG:4326"))


def test_the_height_system_of_a_compound_crs_is_kept(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.tif", transform=Affine(2, 0, 84808, 0, -2, 447642), crs="EPSG:7415"), crs="EPSG:28992")
    assert city.crs.to_string() == "EPSG:7415", "the same system given without height takes none away"
    assert city.tables["coverages"]["vertical"].to_pylist() == ["NAP height"]


# ---------------------------------------------------------------- what is refused


def test_several_bands_of_numbers_are_refused_and_a_band_may_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "three.tif", np.zeros((3, 8, 8), np.float32))
    with pytest.raises(FormatError, match="3 bands of 32 bits, which is several rasters"):
        read(path)
    photo = write(tmp_path / "photo.tif", np.zeros((3, 8, 8), np.uint8))
    assert raster_ids(read(photo)) == []  # an image is no elevation
    with pytest.raises(FormatError, match="3 bands of 8 bits, which is an image"):
        read(photo, surface="terrain")
    stacked = write(tmp_path / "two.tif", np.stack([hill() * 0, hill()]))
    np.testing.assert_array_equal(raster_of(read(stacked, band=2)).values, hill().astype(float))


@pytest.mark.parametrize("compress", [None, "deflate", "lzw", "zstd"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_refused_never_filled_with_zeros(tmp_path: Path, compress: str | None, share: float) -> None:
    whole = write(tmp_path / "whole.tif", compress=compress).read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"truncat|corrupt|damaged|TIFF"):
        read(cut)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_damaged_stream_is_refused(tmp_path: Path, compress: str) -> None:
    path = write(tmp_path / "a.tif", compress=compress)
    data = bytearray(path.read_bytes())
    middle = len(data) * 2 // 3
    data[middle : middle + 200] = bytes((byte * 7 + 13) % 256 for byte in range(200))
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="corrupt"):
        read(path)


def test_one_flipped_bit_in_a_deflate_stream_is_always_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", hill(8, 8), compress="deflate")
    (place, length), whole = read_header(path, Limits()).places[0].tolist(), path.read_bytes()
    assert len(zlib.decompress(whole[place : place + length])) == 256
    found = 0
    for bit in range(16, 8 * length):  # the first two bytes hold flags that may differ
        data = bytearray(whole)
        data[place + bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(data)
        try:
            check_streams(path, read_header(path, Limits()))
        except CorruptFileError:
            found += 1
        else:  # padding between the last symbol and the checksum says nothing
            assert zlib.decompress(data[place : place + length]) == zlib.decompress(whole[place : place + length])
    assert found >= 8 * length - 16 - 7


def test_pages_in_a_circle_and_missing_directories_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    data = bytearray(path.read_bytes())
    place = struct.unpack_from("<I", data, 4)[0]
    number = struct.unpack_from("<H", data, place)[0]
    struct.pack_into("<I", data, place + 2 + 12 * number, place)
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="circle"):
        read(path)
    path.write_bytes(b"II*\0" + bytes(50))
    with pytest.raises(CorruptFileError, match="no directory"):
        read(path)


def test_more_cells_than_the_limit_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="4,096 cells, above the limit of 100"):
        read(write(tmp_path / "a.tif"), limits=Limits(cells=100))


def test_what_expands_too_far_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((4000, 4000), np.uint8), compress="zstd", tiled=True)
    with pytest.raises(LimitError, match=r"expands from .* to 16,000,000 bytes"):
        read(path, limits=Limits(expanded_bytes=1_000_000))


def test_blocks_that_a_file_leaves_out_are_unknown_not_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 512, "width": 512, "dtype": "float32", "crs": UTM, "transform": NORTH_UP,
               "tiled": True, "blockxsize": 256, "blockysize": 256, "sparse_ok": True}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.full((256, 256), 450.0, np.float32), 1, window=((0, 256), (256, 512)))
    city = read(path)
    raster = raster_of(city)
    assert np.isnan(raster.values[:, :256]).all()
    assert np.isnan(raster.values[256:]).all()
    assert (raster.values[:256, 256:] == 450.0).all()
    assert told(city, "lost")[0].startswith(f"a.tif: {3 * 256 * 256} cells are left out")


def test_a_mask_inside_the_file_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", count=1, height=64, width=64, dtype="float32", crs=UTM, transform=NORTH_UP) as file,
    ):
        file.write(hill(), 1)
        file.write_mask(np.arange(64 * 64).reshape(64, 64) >= 64)
    assert np.isnan(raster_of(read(path)).values[0]).all()
    assert np.isfinite(raster_of(read(path)).values[1:]).all()


# ---------------------------------------------------------------- companions and the input itself


@pytest.fixture
def redirected(tmp_path: Path) -> Path:
    """A sound raster whose companions all point to a secret."""
    path = write(tmp_path / "a.tif")
    other = write(tmp_path / "secret.bin", np.full((64, 64), 7.0, np.float32))
    band = f"<SimpleSource><SourceFilename>{other}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
    vrt = f'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Float32" band="1">{band}</VRTRasterBand></VRTDataset>'
    overview = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{other}</MDI></Metadata>'
    values = '<PAMRasterBand band="1"><NoDataValue>453</NoDataValue><Scale>2</Scale></PAMRasterBand>'
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset><SRS>EPSG:28992</SRS>{overview}{values}</PAMDataset>")
    for suffix in (".ovr", ".msk"):
        (tmp_path / f"a.tif{suffix}").write_text(vrt)
    return path


def test_companions_change_nothing(redirected: Path) -> None:
    city = read(redirected)
    np.testing.assert_array_equal(raster_of(city).values, hill().astype(float))
    assert city.crs.to_string() == UTM


def test_the_input_folder_is_left_as_it_was(redirected: Path) -> None:
    def state() -> dict[str, str]:
        return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in redirected.parent.iterdir()}

    before = state()
    raster_of(read(redirected))
    describe(redirected)
    assert state() == before


def test_other_formats_named_tif_are_not_opened(tmp_path: Path) -> None:
    vrt = tmp_path / "a.tif"
    vrt.write_text('<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>')
    with pytest.raises(FormatError, match="not recognised"):
        read(vrt)


def test_describe_tells_size_place_and_suspicions_without_reading(tmp_path: Path) -> None:
    told_of = describe(write(tmp_path / "dsm.tif", transform=Affine(2.0, 0.0, 410500.0, 0.0, 2.0, 3391800.0)))
    layer = told_of.layers[0]
    assert (told_of.format, layer.count, layer.crs, layer.guess) == ("GeoTIFF", 4096, UTM, "ReliefFeature")
    assert layer.bounds == (410500.0, 3391800.0, 410628.0, 3391928.0)
    assert "south-up" in told_of.suspicions[0]


# ---------------------------------------------------------------- ESRI ASCII


def ascii_grid(path: Path, head: str = "", body: str | None = None) -> Path:
    rows = "\n".join(" ".join(f"{value:.2f}" for value in row) for row in hill(6, 5))
    path.write_text(
        (head or "ncols 5\nnrows 6\nxllcorner 410500\nyllcorner 3391700\ncellsize 2\nNODATA_value -9999\n")
        + (rows if body is None else body)
    )
    return path


def test_an_ascii_grid_is_read_from_north_to_south(tmp_path: Path) -> None:
    raster = raster_of(read(ascii_grid(tmp_path / "a.asc"), crs=UTM))
    np.testing.assert_allclose(raster.values, hill(6, 5), atol=0.0051)  # written with two decimals
    assert raster.bounds == (410500.0, 3391700.0, 410510.0, 3391712.0)


def test_an_ascii_grid_may_count_from_centres_and_have_oblong_cells(tmp_path: Path) -> None:
    head = "NCOLS 5\r\nNROWS 6\r\nXLLCENTER 410501\r\nYLLCENTER 3391700.5\r\nDX 2\r\nDY 1\r\n"
    assert raster_of(read(ascii_grid(tmp_path / "a.asc", head), crs=UTM)).bounds == (410500.0, 3391700.0, 410510.0, 3391706.0)


def test_the_crs_of_an_ascii_grid_stands_beside_it(tmp_path: Path) -> None:
    from pyproj import CRS

    path = ascii_grid(tmp_path / "a.asc")
    with pytest.raises(CRSError, match="crs="):
        read(path)
    (tmp_path / "a.prj").write_text(CRS(UTM).to_wkt("WKT1_ESRI"))
    assert read(path).crs.to_string() == UTM


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("1 2 3", "truncated"),
        ("450 " * 29, "fewer"),
        ("450 " * 31, "more"),
        ("450 " * 29 + "4e", "no number"),
        ("4,5 " * 30, "decimal commas"),
    ],
)
def test_an_ascii_grid_with_another_number_of_values_is_refused(tmp_path: Path, body: str, text: str) -> None:
    with pytest.raises(CorruptFileError, match=text):
        read(ascii_grid(tmp_path / "a.asc", body=body), crs=UTM)


def test_an_ascii_header_that_claims_too_much_is_refused_at_once(tmp_path: Path) -> None:
    head = "ncols 40000\nnrows 40000\nxllcorner 0\nyllcorner 0\ncellsize 1\n"
    with pytest.raises(CorruptFileError, match=r"1,600,000,000 values, but .* bytes can hold"):
        read(ascii_grid(tmp_path / "a.asc", head), crs=UTM)


# ---------------------------------------------------------------- real files


@pytest.mark.data
def test_the_terrain_of_munich_is_read_whole(shared_data: Callable[..., Path]) -> None:
    path = shared_data("city", "munich_dgm", "690_5336.tif")
    city = read(path)
    with rasterio.open(path) as file:
        expected = file.read(1).astype(float)
    np.testing.assert_array_equal(raster_of(city).values, np.where(expected == -9999, np.nan, expected))
    box = city.tables["coverages"]["bbox"][0].as_py()
    assert math.isclose(box["zmin"], 505.2, abs_tol=0.05)  # as its source states, to a decimal
    assert math.isclose(box["zmax"], 523.3, abs_tol=0.05)


@pytest.mark.data
@pytest.mark.parametrize(("name", "share"), [("dtm_05m_gaps", 0.4879), ("dtm_05m_filled", 1.0), ("dsm_05m", 0.877)])
def test_the_rasters_of_delft_keep_their_gaps(shared_data: Callable[..., Path], name: str, share: float) -> None:
    city = read(shared_data("city", "delft", f"{name}.tif"))
    assert quiet(city)
    assert city.crs.to_string() == "EPSG:7415"
    assert np.isfinite(raster_of(city).values).mean() == pytest.approx(share, abs=1e-3)
