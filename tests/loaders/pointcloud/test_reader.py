"""The point cloud reader through the door: what is read, and every way a header or a stream may lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from cim.errors import CimError, CorruptFileError, CRSError, FormatError, InputError, LimitError, UsageError
from cim.loaders import Limits, describe, read
from cim.loaders.pointcloud import iter_points, read_points
from cim.loaders.pointcloud.chunks import pieces, plan_of
from cim.loaders.pointcloud.header import read_header
from cim.model import City

UTM = "EPSG:32648"
COUNT = 2000
Cloud = dict[str, np.ndarray[Any, Any]]


def cloud(count: int = COUNT) -> Cloud:
    random = np.random.default_rng(5)
    x, y, z = np.round(random.uniform((410500, 3391800, 480), (410550, 3391850, 500), (count, 3)), 3).T
    return {"x": x, "y": y, "z": z, "classification": random.choice([2, 6, 9], count).astype(np.uint8)}


def write(path: Path, points: Cloud | None = None, *, point_format: int = 6, crs: str | None = UTM, **changed: Any) -> Path:
    points = cloud() if points is None else points
    version = "1.4" if point_format >= 6 else "1.2"
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.scales, header.offsets = np.full(3, 0.001), np.array([410000.0, 3391000.0, 0.0])
    if crs is not None:
        header.add_crs(CRS(crs), keep_compatibility=False)
    data = laspy.LasData(header)
    for name, values in {**points, **changed}.items():
        data[name] = values
    data.write(path)
    return path


def patch(path: Path, place: int, form: str, *values: Any) -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + form, data, place, *values)
    path.write_bytes(data)
    return path


def told(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code and row["severity"] != "info"]


def quiet(city: City) -> bool:
    return all(row["severity"] == "info" for row in city.tables["issues"].to_pylist())


def same(city: City, expected: Cloud) -> None:
    found = read_points(city)
    for name in ("x", "y", "z"):
        np.testing.assert_allclose(getattr(found, name), expected[name], atol=1e-9)  # multiples of 1 mm, rounded once
    np.testing.assert_array_equal(found.classification, expected["classification"])


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("suffix", ["las", "laz"])
@pytest.mark.parametrize("point_format", [0, 1, 2, 3, 6, 7, 8])
def test_points_are_read_as_they_were_written(tmp_path: Path, suffix: str, point_format: int) -> None:
    path = write(tmp_path / f"a.{suffix}", point_format=point_format)
    city = read(path)
    assert quiet(city)
    same(city, cloud())
    assert city.types() == {"PointCloud": 1}
    assert city.tables["objects"]["cim_code"].to_pylist() == ["010303"]
    coverage = city.tables["coverages"].to_pylist()[0]
    assert coverage["path"] == str(path), "a clean file stays where it is"
    assert (coverage["kind"], coverage["count"], coverage["crs"]) == ("points", COUNT, UTM)
    assert json.loads(coverage["meta"])["classes"] == {str(c): int((cloud()["classification"] == c).sum()) for c in (2, 6, 9)}
    assert coverage["bbox"]["zmax"] == pytest.approx(cloud()["z"].max(), abs=1e-9)


def test_a_selection_by_box_and_class_is_that_of_a_mask(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.laz"))
    box, all_points = (410510.0, 3391805.0, 410530.5, 3391825.0), cloud()
    found = read_points(city, box, [6, 9])
    inside = (all_points["x"] >= box[0]) & (all_points["x"] <= box[2]) & (all_points["y"] >= box[1]) & (all_points["y"] <= box[3])
    inside &= np.isin(all_points["classification"], [6, 9])
    np.testing.assert_allclose(found.z, all_points["z"][inside], atol=1e-9)
    assert len(read_points(city, (0.0, 0.0, 1.0, 1.0))) == 0
    assert len(read_points(city, classes=[31])) == 0


def test_pieces_joined_are_the_whole_in_order(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.las"))
    row = city.tables["coverages"].to_pylist()[0]
    for source in (city, row):
        parts = list(iter_points(source, chunk=300))
        assert [len(part) for part in parts] == [COUNT] or all(len(part) <= 300 for part in parts)
        np.testing.assert_allclose(np.concatenate([part.z for part in parts]), cloud()["z"], atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(first=st.integers(0, 130), stop=st.integers(0, 140))
def test_any_span_is_cut_from_the_chunks_that_hold_it(tmp_path_factory: pytest.TempPathFactory, first: int, stop: int) -> None:
    from cim.loaders.pointcloud import chunks

    path = tmp_path_factory.getbasetemp() / "span.las"
    if not path.exists():
        write(path, cloud(123))
    header = read_header(path)
    with pytest.MonkeyPatch.context() as patcher:
        patcher.setattr(chunks, "PIECE", 10)
        plan = plan_of(header)
        found = [number for piece in pieces(header, plan, first, stop) for number in range(piece.first, piece.first + len(piece.raw))]
    assert found == list(range(first, min(stop, 123)))


def test_withheld_points_are_left_out_and_said(tmp_path: Path) -> None:
    deleted = np.arange(COUNT) % 10 == 0
    city = read(write(tmp_path / "a.laz", withheld=deleted))
    assert len(read_points(city)) == COUNT - deleted.sum()
    assert any("200 points are marked as withheld" in text for text in city.tables["issues"]["message"].to_pylist())


def test_a_row_that_is_no_cloud_is_refused() -> None:
    with pytest.raises(UsageError, match="'raster', expected 'points'"):
        read_points({"kind": "raster", "path": "a.tif"})


def test_a_file_that_changed_since_it_was_read_is_refused(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.las"))
    write(tmp_path / "a.las", cloud(1000))
    with pytest.raises(CorruptFileError, match="it has changed"):
        read_points(city)


# ---------------------------------------------------------------- the coordinate system


def test_no_crs_is_an_error_that_asks_for_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.las", crs=None)
    with pytest.raises(CRSError, match=r"no coordinate reference system \(CRS\).*crs="):
        read(path)
    assert read(path, crs="EPSG:32648+5773").crs.vertical is not None


def geokeys(*keys: tuple[int, int]) -> laspy.VLR:
    table = [(1, 1, 0, len(keys)), *((key, 0, 1, value) for key, value in keys)]
    return laspy.VLR("LASF_Projection", 34735, "", b"".join(struct.pack("<4H", *row) for row in table))


def with_keys(path: Path, *keys: tuple[int, int]) -> Path:
    write(path, point_format=1, crs=None)
    data = laspy.read(path)
    data.header.vlrs.append(geokeys(*keys))
    data.write(path)
    return path


def test_geotiff_keys_name_the_system_and_its_heights(tmp_path: Path) -> None:
    city = read(with_keys(tmp_path / "a.las", (1024, 1), (3072, 32648), (4096, 5773)))
    assert city.crs.to_string() == "EPSG:32648+5773"


def test_heights_in_feet_become_metres_and_are_reported(tmp_path: Path) -> None:
    city = read(with_keys(tmp_path / "a.las", (1024, 1), (3072, 32648), (4099, 9003)))
    np.testing.assert_allclose(read_points(city).z, cloud()["z"] * 1200 / 3937, atol=1e-9)
    assert "feet" in told(city, "repaired")[0]
    assert city.tables["coverages"]["bbox"][0].as_py()["zmax"] == pytest.approx(cloud()["z"].max() * 1200 / 3937)


def test_a_vertical_key_that_is_no_height_system_is_reported(tmp_path: Path) -> None:
    city = read(with_keys(tmp_path / "a.las", (1024, 1), (3072, 32648), (4096, 5103)))
    assert "5103" in " ".join(told(city, "crs"))
    assert city.crs.to_string() == UTM


def test_keys_of_their_own_need_a_crs(tmp_path: Path) -> None:
    path = with_keys(tmp_path / "a.las", (1024, 1), (3072, 32767))
    with pytest.raises(CRSError, match="a system of their own"):
        read(path)
    assert "a system of their own" in told(read(path, crs=UTM), "crs")[0]


def test_coordinates_that_cannot_be_in_the_system_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="outside the area of use"):
        read(write(tmp_path / "a.las"), crs="EPSG:28992")


# ---------------------------------------------------------------- headers that lie

_COUNT_14, _LEGACY, _FORMAT, _LENGTH, _START, _VLRS, _SCALE, _OFFSET, _BOX = 247, 107, 104, 105, 96, 100, 131, 155, 179


@pytest.mark.parametrize(
    ("place", "form", "value", "error", "text"),
    [
        (_SCALE, "d", 0.0, CorruptFileError, "scale"),
        (_SCALE + 8, "d", float("nan"), CorruptFileError, "scale"),
        (_SCALE + 16, "d", float("inf"), CorruptFileError, "scale"),
        (_OFFSET, "d", float("nan"), CorruptFileError, "offsets"),
        (_START, "I", 0xFFFFFF00, CorruptFileError, "points are said to begin"),
        (_START, "I", 10, CorruptFileError, "points are said to begin"),
        (_VLRS, "I", 0xFFFFFFFF, CorruptFileError, "variable length records"),
        (_FORMAT, "B", 35, FormatError, "unknown format 35"),
        (_LENGTH, "H", 12, CorruptFileError, "12 bytes"),
        (24, "B", 9, FormatError, "LAS 9.4"),
        (0, "4s", b"LASX", FormatError, "not recognised"),
    ],
)
def test_a_header_that_gives_no_points_is_refused(
    tmp_path: Path, place: int, form: str, value: Any, error: type[CimError], text: str
) -> None:
    with pytest.raises(error, match=text):
        read(patch(write(tmp_path / "a.las"), place, form, value))


def test_more_points_than_the_file_holds_are_said_to_be_lost(tmp_path: Path) -> None:
    city = read(patch(write(tmp_path / "a.las"), _COUNT_14, "Q", 10**15))
    same(city, cloud())
    assert "not there" in told(city, "lost")[0]


def test_a_cut_file_keeps_what_is_there_and_counts_what_is_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.las")
    path.write_bytes(path.read_bytes()[: -30 * 700 - 7])
    city = read(path)
    same(city, {name: values[:1299] for name, values in cloud().items()})
    assert told(city, "lost")[0].startswith("a.las: 701 of the 2000 points")
    assert city.tables["coverages"]["path"][0].as_py() != str(path), "what was mended is a file of its own"


def test_a_count_of_zero_over_points_is_reported(tmp_path: Path) -> None:
    city = read(patch(write(tmp_path / "a.las", point_format=1), _LEGACY, "I", 0))
    same(city, cloud())
    assert "not closed properly" in told(city, "guessed")[0]


def test_a_file_without_points_is_said_to_be_empty(tmp_path: Path) -> None:
    city = read(write(tmp_path / "a.las", cloud(0)))
    assert told(city, "empty") == ["a.las: it holds no points"]
    assert len(read_points(city)) == 0


def test_a_record_length_that_lies_is_reported_and_the_points_kept(tmp_path: Path) -> None:
    city = read(patch(write(tmp_path / "a.las"), 375 + 20, "H", 65535), crs=UTM)
    same(city, cloud())
    assert "variable length records" in told(city, "lost")[0]


@pytest.mark.parametrize("suffix", ["las", "laz"])
def test_a_wrong_bounding_box_is_recomputed_and_reported(tmp_path: Path, suffix: str) -> None:
    city = read(patch(write(tmp_path / f"a.{suffix}"), _BOX, "6d", 410400.0, 410300.0, 3391700.0, 3391600.0, 1.0, 0.0))
    same(city, cloud())
    assert "bounding box" in told(city, "repaired")[0]
    assert city["a"].footprint.bounds[0] == pytest.approx(cloud()["x"].min(), abs=1e-9)


def test_a_box_that_is_no_box_is_recomputed_and_reported(tmp_path: Path) -> None:
    city = read(patch(write(tmp_path / "a.las"), _BOX, "6d", *[float("nan")] * 6))
    same(city, cloud())
    assert "no usable bounding box" in told(city, "repaired")[0]


def test_a_stray_point_far_outside_the_box_is_rejected_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.las")
    start = struct.unpack_from("<I", path.read_bytes(), _START)[0]
    city = read(patch(path, start + 30 * 77, "i", 2**31 - 1))
    kept = np.arange(COUNT) != 77
    same(city, {name: values[kept] for name, values in cloud().items()})
    assert told(city, "rejected")[0].startswith("a.las: 1 points far outside")


def test_more_points_than_the_limit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="2,000 cells, above the limit of 100"):
        read(write(tmp_path / "a.laz"), limits=Limits(cells=100))


# ---------------------------------------------------------------- LAZ streams that lie


def test_a_laz_count_is_that_of_its_chunks(tmp_path: Path) -> None:
    city = read(patch(write(tmp_path / "a.laz"), _COUNT_14, "Q", 10**14))
    same(city, cloud())
    assert "its LAZ chunks hold 2000" in told(city, "lost")[0]
    with pytest.raises(CorruptFileError, match="the count or the chunk table is wrong"):
        read(patch(write(tmp_path / "b.laz", point_format=1), _LEGACY, "I", 10**9))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_a_cut_laz_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path / "a.laz")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CorruptFileError, match=r"truncated|end"):
        read(path)


@pytest.mark.parametrize("point_format", [1, 6])
def test_a_damaged_chunk_is_lost_alone_and_counted(tmp_path: Path, point_format: int) -> None:
    many = cloud(120_000)
    path = write(tmp_path / "a.laz", many, point_format=point_format)
    header = read_header(path)
    plan = plan_of(header)
    assert plan.counts.tolist() == [50_000, 50_000, 20_000]
    data = bytearray(path.read_bytes())
    middle = int(plan.starts[1] + plan.lengths[1] // 2)
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)
    city = read(path)
    kept = np.concatenate([np.arange(50_000), np.arange(100_000, 120_000)])
    same(city, {name: values[kept] for name, values in many.items()})
    assert "50000 points in corrupt LAZ chunks are lost" in told(city, "rejected")[0]


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(1, 255), point_format=st.sampled_from([1, 6]))
def test_no_changed_byte_gives_other_points_silently(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, point_format: int
) -> None:
    """Compressed points hold no checksum; a chunk decoded from its own bytes alone runs out of them or leaves its box."""
    whole = tmp_path_factory.getbasetemp() / f"whole{point_format}.laz"
    if not whole.exists():
        write(whole, point_format=point_format)
    data = bytearray(whole.read_bytes())
    header = read_header(whole)
    place = header.start + 8 + place % (len(data) - header.start - 8)
    data[place] ^= byte
    path = whole.with_name("changed.laz")
    path.write_bytes(data)
    try:
        city = read(path)
    except InputError:
        return
    found = read_points(city)
    unchanged = len(found) == COUNT and all(np.allclose(getattr(found, name), cloud()[name], atol=1e-9) for name in ("x", "y"))
    # the last bytes of a layer may change the last few points within the box: nothing in the format could tell
    few = len(found) == COUNT and np.mean(np.abs(found.x - cloud()["x"]) > 1e-9) < 0.5
    assert unchanged or not quiet(city) or few


def test_a_layer_that_claims_gigabytes_is_never_allocated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.laz")
    header = read_header(path)
    with pytest.raises(CorruptFileError, match="layers do not add up"):
        read(patch(path, int(plan_of(header).starts[0]) + 30 + 4, "I", 0xFFFFFFF0))


@pytest.mark.parametrize("place", [0, 32, 34, 36])
def test_a_laszip_record_that_lies_is_refused(tmp_path: Path, place: int) -> None:
    path = write(tmp_path / "a.laz", crs=None)
    data = path.read_bytes()
    at = data.index(b"laszip encoded") - 2 + 54
    with pytest.raises(InputError):
        read(patch(path, at + place, "H", 0x7777), crs=UTM)


def test_describe_tells_what_the_header_says(tmp_path: Path) -> None:
    said = describe(write(tmp_path / "a.laz"))
    layer = said.layers[0]
    assert (said.format, layer.count, layer.crs, layer.kind, layer.guess) == ("LAZ 1.4", COUNT, UTM, "points", "PointCloud")
    assert layer.bounds is not None
    assert layer.bounds[0] == pytest.approx(cloud()["x"].min(), abs=1e-9)


def test_the_input_is_left_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "a.laz")
    before = path.read_bytes()
    read_points(read(path))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.laz"]


# ---------------------------------------------------------------- real files


@pytest.mark.data
def test_the_clouds_of_delft_are_read_whole(shared_data: Callable[..., Path]) -> None:
    cities = [read(shared_data("city", "delft", f"ahn3_cropped_{number}.laz"), crs="EPSG:7415") for number in (1, 2)]
    histogram = {1: 0, 2: 283_118, 6: 280_065}  # as the source of the data states
    clouds = [read_points(city) for city in cities]
    assert sum(map(len, clouds)) == 848_942
    for kind in (2, 6):
        assert sum(int((one.classification == kind).sum()) for one in clouds) == histogram[kind]
    reference = laspy.read(shared_data("city", "delft", "ahn3_cropped_2.laz"))
    for name in ("x", "y", "z"):
        np.testing.assert_allclose(getattr(clouds[1], name), np.asarray(reference[name]), atol=1e-9)
    assert all(quiet(city) for city in cities)


@pytest.mark.data
def test_delft_without_a_crs_asks_for_one(shared_data: Callable[..., Path]) -> None:
    with pytest.raises(CRSError, match='crs="EPSG:7415"'):
        read(shared_data("city", "delft", "ahn3_cropped_1.laz"))
