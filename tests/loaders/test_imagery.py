"""Images on the ground: read with their place and bands, and what they say about the green of parcels whose answer is exact."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from cim.errors import CorruptFileError, CRSError, FormatError, LimitError, UsageError
from cim.loaders import Limits, describe, read
from cim.loaders.imagery import excess_green, green_ratio, land_cover, ndvi
from cim.loaders.zonal_cells import open_cells
from cim.model import City, CityBuilder, Column
from cim.model.coverages import coverage_path, coverage_rows

CRS = "EPSG:4549"
X0, Y0 = 500_000.0, 3_460_000.0
GRASS, ROOF, WATER = (60, 140, 50), (150, 145, 140), (40, 60, 110)


def photo(cells: int = 100, colour: tuple[int, int, int] = ROOF) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """An image of one colour, bands first; row 0 is the northern one."""
    return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, cells, cells)).copy()


def paint(image: Any, box: tuple[int, int, int, int], colour: tuple[int, ...]) -> None:
    """Colour the cells between metres from the south-western corner, at one metre a cell."""
    west, south, east, north = box
    rows = image.shape[1]
    image[:, rows - north : rows - south, west:east] = np.array(colour, image.dtype)[:, None, None]


def write(path: Path, bands: Any, transform: Affine | None = None, crs: str | None = CRS, **more: Any) -> Path:
    names, mask = more.pop("names", None), more.pop("mask", None)
    place = transform or Affine(1.0, 0.0, X0, 0.0, -1.0, Y0 + bands.shape[1])
    told = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype, **more}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"), rasterio.open(path, "w", crs=crs, transform=place, **told) as file:
        if names is not None:
            file.colorinterp = names
        file.write(bands)
        if mask is not None:
            file.write_mask(mask)
    return path


def picture(path: Path, driver: str, bands: Any) -> None:
    """Write a PNG or JPEG without any place."""
    from PIL import Image

    Image.fromarray(np.moveaxis(bands, 0, -1)).save(path, driver)


def parcels(shapes: list[Any], **columns: Any) -> City:
    builder = CityBuilder(CRS, name="plots")
    keys = builder.add_objects("LandUse", [f"p{i}" for i in range(len(shapes))], footprints=shapes)
    if columns:
        builder.add_attributes(keys, "LandUse", columns)
    return builder.build()


def plot(west: float, south: float, east: float, north: float) -> Any:
    return shapely.box(X0 + west, Y0 + south, X0 + east, Y0 + north)


def values(city: City, name: str) -> list[Any]:
    """An attribute of the parcels in the order they were given."""
    count = city.types()["LandUse"]
    return [city[f"p{i}"].attributes.get(name) for i in range(count)]


def told(city: City, code: str | None = None) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if code in {None, row["code"]}]


def cells_read(city: City, band: int = 1) -> Any:
    row = coverage_rows(city, "image")[0]
    with open_cells(coverage_path(city, row), bands=(band,)) as cells:
        return cells.read(slice(0, cells.shape[0]), slice(0, cells.shape[1]))


RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

# ---------------------------------------------------------------- green ratio


def test_the_plot_with_3400_square_metres_of_green_has_34_percent(tmp_path: Path) -> None:
    image = photo()  # 100 m x 100 m, as the case of the planning notes: 1500 + 425 + 425 + 1050 m2 of green
    for box in ((0, 0, 50, 30), (60, 0, 85, 17), (60, 50, 77, 75), (0, 65, 35, 95)):
        paint(image, box, GRASS)
    city = parcels([plot(0, 0, 100, 100), plot(0, 0, 50, 30), plot(50, 30, 60, 50)])
    done = green_ratio(city, read(write(tmp_path / "dom.tif", image, names=RGB, photometric="RGB")))
    assert values(done, "green_ratio") == [0.34, 1.0, 0.0]  # every edge lies between cells: exact
    claim = done.why("p0", "green_ratio")[0]
    assert claim.method == "estimated: share of cells with excess green of at least 0.1 in image dom"
    assert (claim.confidence, claim.source, claim.chosen) == (0.5, "dom", True)
    assert any("no survey of green land" in text for text in told(done, "assumed"))
    assert done.sources["name"].to_list() == ["dom"]


def test_near_infrared_decides_where_there_is_one(tmp_path: Path) -> None:
    image = np.concatenate([photo(), np.full((1, 100, 100), 60, np.uint8)])
    image[1] = 200  # a green roof by its colour, but no plants
    paint(image, (0, 0, 40, 100), (60, 60, 60, 200))  # plants without green colour
    done = green_ratio(parcels([plot(0, 0, 100, 100)]), read(write(tmp_path / "cir.tif", image), bands="rgbn"))
    assert values(done, "green_ratio") == [0.4]
    assert done.why("p0", "green_ratio")[0].method == "estimated: share of cells with NDVI of at least 0.3 in image cir"
    assert done.why("p0", "green_ratio")[0].confidence == 0.8


def test_a_stated_ratio_stays_and_the_estimate_stands_beside_it_as_a_conflict(tmp_path: Path) -> None:
    image = photo(colour=GRASS)
    city = parcels([plot(0, 0, 50, 50), plot(50, 50, 100, 100)], green_ratio=Column([0.3, None]))
    done = green_ratio(city, read(write(tmp_path / "dom.tif", image, names=RGB)))
    assert values(done, "green_ratio") == [0.3, 1.0]
    assert [(claim.value, claim.chosen) for claim in done.why("p0", "green_ratio")] == [(0.3, True), (1.0, False)]
    assert told(done, "conflict")


def test_shade_clouds_and_what_lies_outside_are_counted_and_never_zero(tmp_path: Path) -> None:
    image = photo(colour=GRASS)
    paint(image, (0, 0, 50, 50), (3, 3, 3))
    city = parcels([plot(0, 0, 50, 50), plot(90, 90, 110, 100), plot(200, 200, 210, 210), plot(40, 60, 60, 80)])
    done = green_ratio(city, read(write(tmp_path / "dom.tif", image, names=RGB)))
    assert values(done, "green_ratio") == [None, 1.0, None, 1.0]
    said = " ".join(told(done))
    assert "1 footprints meet unknown cells only" in said
    assert "1 footprints reach beyond the raster" in said
    assert "1 footprints lie outside the raster" in said


def test_footprints_in_another_system_meet_the_image_where_it_is(tmp_path: Path) -> None:
    from cim.model.reproject import to_crs

    image = photo(colour=ROOF)
    paint(image, (0, 0, 50, 100), GRASS)
    city = to_crs(parcels([plot(10, 10, 40, 90), plot(60, 10, 90, 90)]), "EPSG:32650")
    done = green_ratio(city, read(write(tmp_path / "dom.tif", image, names=RGB)))
    assert values(done, "green_ratio") == [1.0, 0.0]
    assert any("were transformed to EPSG:4549" in text for text in told(done, "crs"))


def test_an_image_without_colours_cannot_say_what_is_green(tmp_path: Path) -> None:
    image = read(write(tmp_path / "nrx.tif", photo()), bands="nxg")
    with pytest.raises(UsageError, match="has the bands nir, green; green needs red and nir"):
        green_ratio(parcels([plot(0, 0, 9, 9)]), image)
    colours = read(write(tmp_path / "rgb.tif", photo(), names=RGB))
    with pytest.raises(UsageError, match="the city has no Building; it has LandUse"):
        green_ratio(parcels([plot(0, 0, 9, 9)]), colours, type="Building")


def test_the_indices_are_their_formulas() -> None:
    assert ndvi(np.array([0, 200, 50]), np.array([0, 50, 200])).tolist() == pytest.approx([np.nan, 0.6, -0.6], nan_ok=True, abs=1e-6)
    r, g, b = (np.array([value], np.uint8) for value in GRASS)
    share = np.array(GRASS) / sum(GRASS)
    assert excess_green(r, g, b)[0] == pytest.approx(2 * share[1] - share[0] - share[2], abs=1e-6)  # float32
    assert excess_green(*(np.array([value], np.uint8) for value in WATER))[0] < 0


# ---------------------------------------------------------------- land cover


def test_land_cover_gives_the_class_of_most_cells_and_all_shares(tmp_path: Path) -> None:
    classes = np.full((1, 100, 100), 50, np.uint8)
    paint(classes, (0, 0, 60, 100), (10,))
    paint(classes, (0, 0, 10, 10), (0,))
    path = write(tmp_path / "cover.tif", classes, nodata=0)
    raster = read(path, surface="land_cover", legend={10: "trees 树木", 50: "built-up 建设"})
    city = parcels([plot(0, 0, 100, 100), plot(60, 0, 100, 100), plot(0, 0, 10, 10)])
    done = land_cover(city, raster)
    assert values(done, "land_cover") == ["trees 树木", "built-up 建设", None]
    shares = values(done, "land_cover_share")
    assert shares[0] == pytest.approx(5900 / 9900, abs=1e-12)
    assert shares[1:] == [1.0, None]
    assert '{"trees 树木": 0.596, "built-up 建设": 0.404} of 9900' in done.why("p0", "land_cover")[0].method
    assert any("1 footprints meet unknown cells only" in text for text in told(done))


def test_classes_without_a_name_go_by_their_value_and_ties_are_told(tmp_path: Path) -> None:
    classes = np.full((1, 10, 10), 3, np.int16)
    classes[:, :, :5] = 7
    raster = read(write(tmp_path / "cover.tif", classes), surface="land_cover")
    done = land_cover(parcels([plot(0, 0, 10, 10)]), raster, legend={3: "roads"})
    assert values(done, "land_cover") == ["roads"]
    assert any("1 classes of cover have no name" in text for text in told(done))
    assert any("1 objects have two classes of equal share" in text for text in told(done))


def test_numbers_with_fractions_are_no_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", np.full((1, 4, 4), 0.5, np.float32))
    with pytest.raises(FormatError, match="whole numbers"):
        read(path, surface="land_cover")


# ---------------------------------------------------------------- reading images


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("compress", [None, "deflate", "lzw"])
def test_a_geotiff_of_colours_is_read_cell_by_cell(tmp_path: Path, kind: Any, compress: str | None) -> None:
    values = np.random.default_rng(1).integers(0, np.iinfo(kind).max, (3, 70, 50)).astype(kind)
    extra = {} if compress is None else {"compress": compress}
    city = read(write(tmp_path / "dom.tif", values, names=RGB, **extra))
    assert [cells_read(city, band).tolist() for band in (1, 2, 3)] == values.tolist()
    row = coverage_rows(city, "image")[0]
    assert (row["meta"]["bands"], row["meta"]["bits"], row["count"]) == (["red", "green", "blue"], 8 * np.dtype(kind).itemsize, 3500)
    assert city.bounds == (X0, Y0, X0 + 50, Y0 + 70)
    assert city.types() == {"ReliefFeature": 1}
    assert city.tables["objects"]["cim_code"].to_pylist() == ["010301"]


def test_alpha_and_masks_hide_cells(tmp_path: Path) -> None:
    image = np.concatenate([photo(20, GRASS), np.full((1, 20, 20), 255, np.uint8)])
    image[3, :, :5] = 0
    seen = read(write(tmp_path / "alpha.tif", image, names=(*RGB, ColorInterp.alpha), photometric="RGB"))
    hidden = np.ones((20, 20), bool)
    hidden[:, 5:] = False
    assert np.array_equal(np.isnan(cells_read(seen)), hidden)
    masked = read(write(tmp_path / "mask.tif", photo(20), names=RGB, mask=~hidden))
    assert np.array_equal(np.isnan(cells_read(masked)), hidden)
    assert any("100 cells are transparent" in text for text in told(seen))


def test_south_up_and_turned_images_are_turned(tmp_path: Path) -> None:
    values = np.random.default_rng(2).integers(0, 255, (3, 20, 30)).astype(np.uint8)
    flipped = read(write(tmp_path / "south.tif", values, Affine(1, 0, X0, 0, 1, Y0), names=RGB))
    assert cells_read(flipped, 2).tolist() == values[1, ::-1].tolist()
    assert any("south to north" in text for text in told(flipped, "repaired"))
    quarter = read(write(tmp_path / "turned.tif", values, Affine(0, 1, X0, 1, 0, Y0), names=RGB))  # columns run northwards
    assert cells_read(quarter, 3).tolist() == np.rot90(values[2]).tolist()


@pytest.mark.parametrize(("driver", "world", "name"), [("PNG", "pgw", "a.png"), ("PNG", "wld", "a.png"), ("JPEG", "jgw", "a.jpg")])
def test_png_and_jpeg_stand_where_their_world_file_says(tmp_path: Path, driver: str, world: str, name: str) -> None:
    image = photo(40, GRASS)
    paint(image, (0, 0, 16, 16), WATER)
    path = tmp_path / name
    picture(path, driver, image)
    path.with_suffix(f".{world}").write_text(f"0.5\n0\n0\n-0.5\n{X0 + 0.25}\n{Y0 + 19.75}\n", "ascii")  # the centre of the first cell
    city = read(path, CRS)
    assert city.bounds == (X0, Y0, X0 + 20, Y0 + 20)
    blue = cells_read(city, 3)
    assert blue[-4, 4] == pytest.approx(WATER[2], abs=6)  # JPEG loses a little; PNG nothing
    assert blue[4, -4] == pytest.approx(GRASS[2], abs=6)
    with pytest.raises(CRSError, match="crs="):
        read(path)
    path.with_suffix(f".{world}").unlink()
    with pytest.raises(CRSError, match=r"without a world file.*put its world file"):
        read(path, CRS)


@pytest.mark.data
def test_the_real_png_with_a_world_file_lands_where_it_says(shared_data: Callable[..., Path]) -> None:
    path = shared_data("city", "dtcc_minimal", "14040.png")
    city = read(path, "EPSG:3008")
    assert city.bounds == pytest.approx((95392.08, 6224181.12, 95410.32, 6224199.52), abs=1e-6)
    assert coverage_rows(city, "image")[0]["count"] == 228 * 230
    assert describe(path, "EPSG:3008").layers[0].kind == "image"


def test_what_the_bands_are_is_said_or_assumed_aloud(tmp_path: Path) -> None:
    path = write(tmp_path / "four.tif", np.zeros((4, 8, 8), np.uint16), photometric="MINISBLACK")
    silent = read(path)
    assert any("the first are taken as red, green, blue" in text for text in told(silent, "assumed"))
    assert coverage_rows(silent, "image")[0]["meta"]["bands"] == ["red", "green", "blue"]
    stated = read(path, bands="nrgx")
    assert coverage_rows(stated, "image")[0]["meta"]["bands"] == ["nir", "red", "green"]
    with pytest.raises(UsageError, match="with 4 bands; give one letter each"):
        read(path, bands="rgb")


# ---------------------------------------------------------------- hostile images


def png(path: Path, width: int, height: int, *, cut: float = 1.0) -> Path:
    """A PNG of zeros that declares its size; made by hand, so that nothing has to hold it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, rows = zlib.compressobj(9), []
    line = bytes(1 + 3 * width)
    rows = [packer.compress(line) for _ in range(height)]
    data = b"".join(rows) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    whole = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    path.write_bytes(whole[: int(len(whole) * cut)])
    path.with_suffix(".pgw").write_text(f"1\n0\n0\n-1\n{X0}\n{Y0}\n", "ascii")
    return path


def test_a_png_that_expands_to_gigabytes_is_refused_before_it_does(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"expands from [\d,]+ to 12,000,000 bytes.*expansion_ratio"):
        read(png(tmp_path / "bomb.png", 2000, 2000), CRS, limits=Limits(expanded_bytes=1_000_000))
    with pytest.raises(LimitError, match="cells, above the limit"):
        read(png(tmp_path / "many.png", 300, 300), CRS, limits=Limits(cells=1000))


@pytest.mark.data
def test_the_hostile_pictures_are_refused_or_told(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("texture/bomb.png", "real/gdal/byte_corrupted.jpg"):
        copy = tmp_path / Path(name).name
        copy.write_bytes(shared_data("hostile", name).read_bytes())
        copy.with_suffix(".wld").write_text(f"1\n0\n0\n-1\n{X0}\n{Y0}\n", "ascii")
    with pytest.raises(LimitError, match="expands from 109,445 to 900,000,000 bytes"):
        read(tmp_path / "bomb.png", CRS)
    overwritten = read(tmp_path / "byte_corrupted.jpg", CRS)  # zeros are valid JPEG codes: only the outcome is strange
    assert any("every cell has the same colour" in text for text in told(overwritten, "empty"))


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_cut_pictures_are_refused_never_filled(tmp_path: Path, share: float) -> None:
    with pytest.raises(CorruptFileError):
        read(png(tmp_path / "cut.png", 600, 600, cut=share), CRS)
    path = tmp_path / "cut.jpg"
    values = np.random.default_rng(3).integers(0, 255, (3, 300, 300)).astype(np.uint8)
    picture(path, "JPEG", values)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    path.with_suffix(".jgw").write_text(f"1\n0\n0\n-1\n{X0}\n{Y0}\n", "ascii")
    with pytest.raises(CorruptFileError):
        read(path, CRS)


def test_degrees_taken_for_metres_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="degrees"):
        read(write(tmp_path / "deg.tif", photo(20), Affine(1e-5, 0, 120.6, 0, -1e-5, 31.3), names=RGB))


def test_an_image_is_kept_in_the_store(tmp_path: Path) -> None:
    import cim

    image = read(write(tmp_path / "dom.tif", photo(20, GRASS), names=RGB))
    cim.save(image, tmp_path / "x.cim")
    again = cim.open(tmp_path / "x.cim")
    assert cells_read(again, 1).tolist() == cells_read(image, 1).tolist()


def test_a_sensor_that_fills_a_part_of_its_16_bits_is_not_all_shade(tmp_path: Path) -> None:
    image = photo()
    paint(image, (0, 0, 50, 100), GRASS)
    deep = image.astype(np.uint16) * 8  # 11 bits
    city = green_ratio(parcels([plot(0, 0, 100, 100)]), read(write(tmp_path / "deep.tif", deep, names=RGB, photometric="RGB")))
    assert values(city, "green_ratio") == [0.5]
