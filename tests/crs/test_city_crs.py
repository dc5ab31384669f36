"""Every notation of a coordinate system means what it says, and comes back from its own text."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyproj
import pytest

from cim.crs import CityCRS, parse
from cim.errors import CRSError

RD_NAP = "EPSG:28992+5709"
ESRI_WKT = (
    'PROJCS["CGCS2000_3_Degree_GK_CM_120E",GEOGCS["GCS_China_Geodetic_Coordinate_System_2000",DATUM["D_China_2000",'
    'SPHEROID["CGCS2000",6378137.0,298.257222101]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],'
    'PROJECTION["Gauss_Kruger"],PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],'
    'PARAMETER["Central_Meridian",120.0],PARAMETER["Scale_Factor",1.0],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
)
LOCAL_GRID = "+proj=tmerc +lat_0=31 +lon_0=121.4667 +x_0=-3457147 +y_0=0 +ellps=GRS80 +units=m +no_defs"


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:7415",
        7415,
        "7415",
        " epsg:7415\n",
        "EPSG 7415",
        RD_NAP,
        "EPSG:28992+EPSG:5709",
        "urn:ogc:def:crs:EPSG::7415",
        "urn:ogc:def:crs:EPSG:10.1:7415",
        "urn:ogc:def:crs,crs:EPSG::28992,crs:EPSG::5709",
        "https://www.opengis.net/def/crs/EPSG/0/7415",
        "http://www.opengis.net/def/crs/EPSG/9.9.1/7415",
        (
            "http://www.opengis.net/def/crs-compound?1=http://www.opengis.net/def/crs/EPSG/0/28992"
            "&2=http://www.opengis.net/def/crs/EPSG/0/5709"
        ),
        pyproj.CRS("EPSG:7415"),
        pyproj.CRS("EPSG:7415").to_wkt(),
        pyproj.CRS("EPSG:7415").to_wkt("WKT1_GDAL"),
        pyproj.CRS("EPSG:7415").to_json(),
        parse("EPSG:7415"),
    ],
)
def test_every_notation_of_one_system_is_equal(text: str | int | pyproj.CRS | CityCRS) -> None:
    crs = parse(text)
    assert crs == parse(RD_NAP)
    assert hash(crs) == hash(parse(RD_NAP))
    assert (crs.horizontal.to_epsg(), crs.vertical and crs.vertical.to_epsg()) == (28992, 5709)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("EPSG:7415", "EPSG:7415"),
        (RD_NAP, RD_NAP),
        ("EPSG:28992", "EPSG:28992"),
        ("EPSG:4979", "EPSG:4979"),
        ("EPSG:32631+ellipsoidal", "EPSG:32631+ellipsoidal"),
        ("EPSG:900913", "EPSG:3857"),
        ("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "OGC:CRS84"),
        ("+init=epsg:4549", "EPSG:4549"),
        ("+proj=utm +zone=31 +datum=WGS84", "EPSG:32631"),
        (ESRI_WKT, "EPSG:4549"),
        ("\ufeff" + ESRI_WKT + "\x00", "EPSG:4549"),
    ],
)
def test_text_comes_back_from_its_own_text(text: str, written: str) -> None:
    assert parse(text).to_string() == written
    assert parse(written) == parse(text)


def test_a_system_without_a_code_round_trips_as_wkt() -> None:
    crs = parse(LOCAL_GRID)
    assert crs.to_string().startswith("PROJCRS")
    assert parse(crs.to_string()) == crs
    with_height = CityCRS(crs.horizontal, parse("EPSG:4549+5737").vertical)
    assert parse(with_height.to_string()) == with_height


def test_three_dimensional_systems_become_horizontal_and_ellipsoidal_height() -> None:
    crs = parse("EPSG:4979")
    assert len(crs.horizontal.axis_info) == 2
    assert crs.is_ellipsoidal
    assert crs.name == "WGS 84 + Ellipsoidal height of WGS 84"
    assert crs != parse("EPSG:4326")
    projected = parse(pyproj.CRS("EPSG:32631").to_3d())
    assert projected.is_ellipsoidal
    assert projected == parse("EPSG:32631+ellipsoidal")


def test_unknown_vertical_is_a_value() -> None:
    crs = parse("EPSG:28992")
    assert crs.vertical is None
    assert crs.vertical_unit_factor == 1.0
    assert crs != parse("EPSG:7415")
    assert parse("EPSG:7415").without_vertical() == crs
    assert "height unknown" in crs.name


def test_units_are_told_in_metres() -> None:
    feet = parse("EPSG:2263+6360")  # New York Long Island and NAVD88, both in US survey feet
    assert feet.linear_unit_factor == pytest.approx(1200 / 3937, rel=1e-12)
    assert feet.vertical_unit_factor == pytest.approx(1200 / 3937, rel=1e-12)
    assert parse("EPSG:4549").linear_unit_factor == 1.0
    with pytest.raises(CRSError, match="degrees, which have no length"):
        _ = parse("EPSG:4326").linear_unit_factor


def test_crs84_equals_wgs84_because_the_axis_order_is_ours() -> None:
    assert parse("OGC:CRS84") == parse("EPSG:4326")
    assert parse("EPSG:4490") != parse("EPSG:4326")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("EPSG:99999999", "'EPSG:99999999' is no coordinate reference system"),
        ("没有坐标系", "'没有坐标系' is no coordinate reference system"),
        ("", "no coordinate reference system is given"),
        ("   ", "no coordinate reference system is given"),
        (None, "no coordinate reference system is given"),
        (True, "True is no coordinate reference system"),
        (-1, "'EPSG:-1' is no coordinate reference system"),
        ("EPSG:4978", "is a Geocentric CRS"),
        ("EPSG:5709", "is a Vertical CRS"),
        ('LOCAL_CS["site grid",UNIT["metre",1]]', "is a Engineering CRS"),
        ("PROJCS[" * 2000, "…' is no coordinate reference system"),
        ("{" * 5000, "…' is no coordinate reference system"),
    ],
)
def test_bad_text_is_refused_by_name(text: str | int | None, told: str) -> None:
    with pytest.raises(CRSError) as caught:
        parse(text, path="district/buildings.shp")
    assert str(caught.value).startswith("district/buildings.shp: ")
    assert told in str(caught.value)
    assert caught.value.remedy
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text", ["+proj=utm +zone=31 +nadgrids=/etc/passwd", "+init=/etc/passwd:1", "+proj=utm +geoidgrids=..\\x.gtx +zone=3"]
)
def test_text_that_reaches_for_a_file_is_refused(text: str) -> None:
    with pytest.raises(CRSError, match="reaches for a file"):
        parse(text)


def test_a_datum_known_only_by_its_own_shift_keeps_the_shift() -> None:
    crs = parse("+proj=tmerc +lon_0=117 +x_0=500000 +ellps=krass +towgs84=15.8,-154.4,-82.3 +units=m")
    assert crs.horizontal.is_bound
    assert crs.is_projected
    assert parse(crs.to_string()) == crs


def test_city_crs_is_a_value() -> None:
    crs = parse("EPSG:7415")
    assert pickle.loads(pickle.dumps(crs)) == crs
    assert crs != "EPSG:7415"
    assert str(crs) == "EPSG:7415 (Amersfoort / RD New + NAP height)"
    assert repr(crs) == "<CityCRS EPSG:7415 (Amersfoort / RD New + NAP height)>"
    assert parse(LOCAL_GRID).label == "unknown + height unknown"


def test_importing_the_module_does_not_load_pyproj() -> None:
    code = "import sys, cim.crs; sys.exit('pyproj' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.data
def test_prj_files_of_the_field_are_recognised(shared_data: Callable[..., Path]) -> None:
    shenzhen = shared_data("city", "gbk_shenzhen", "sz_districts.prj").read_text("utf-8")
    assert parse(shenzhen).to_string() == "EPSG:4547"
    sweden = shared_data("city", "dtcc_minimal", "test_road.prj").read_text("utf-8")
    assert parse(sweden).to_string() == "EPSG:3008"
    garbage = shared_data("hostile", "shapefile", "prj_garbage", "prj_garbage.prj")
    with pytest.raises(CRSError, match=r"prj_garbage\.prj: .* is no coordinate reference system"):
        parse(garbage.read_bytes().decode("utf-8", "replace"), path=str(garbage))
