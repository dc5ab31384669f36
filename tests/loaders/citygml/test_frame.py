"""Coordinate systems: every notation, the order of the axes, several systems in one file, none at all."""

# a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cim.crs import parse, transform_points
from cim.errors import CRSError

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import X, Y, load, model, multi, polygon, square, told


def land(shape: str, id: str = "a") -> str:
    return f"<luse:LandUse gml:id='{id}'><luse:lod1MultiSurface>{shape}</luse:lod1MultiSurface></luse:LandUse>"


def at(first: float, second: float, step: float) -> str:
    """Return a square whose first and second coordinates begin at these numbers; three times as long in the first."""
    a, b = 3 * step, step
    return multi(polygon([(first, second, 5.0), (first + a, second, 5.0), (first + a, second + b, 5.0), (first, second + b, 5.0)]))


LATITUDE_FIRST = [
    "urn:ogc:def:crs:EPSG::4326",
    "urn:ogc:def:crs:EPSG:6.9:4326",
    "http://www.opengis.net/def/crs/EPSG/0/4326",
    "urn:x-ogc:def:crs:EPSG:4326",
]


@pytest.mark.parametrize("srs", LATITUDE_FIRST)
def test_a_urn_means_latitude_first(srs: str, tmp_path: Path) -> None:
    city = load(tmp_path, model(land(at(30.65, 104.06, 0.01)), srs=srs))
    assert city.crs.to_string() == "EPSG:4326"
    assert city.bounds == pytest.approx((104.06, 30.65, 104.07, 30.68))
    assert not told(city, "guessed")


@pytest.mark.parametrize("srs", ["EPSG:4326", "http://www.opengis.net/gml/srs/epsg.xml#4326", "urn:ogc:def:crs:OGC:1.3:CRS84"])
def test_the_other_notations_mean_longitude_first(srs: str, tmp_path: Path) -> None:
    city = load(tmp_path, model(land(at(104.06, 30.65, 0.01)), srs=srs))
    assert city.bounds == pytest.approx((104.06, 30.65, 104.09, 30.66))


def test_an_order_outside_the_area_of_use_is_turned_and_told(tmp_path: Path) -> None:
    east_first = at(3570000.0, 5800000.0, 10.0)  # Gauss-Krüger 3: the authority puts north first, most files do not
    city = load(tmp_path, model(land(east_first), srs="urn:ogc:def:crs:EPSG::31467"))
    assert city.bounds == pytest.approx((3570000.0, 5800000.0, 3570030.0, 5800010.0))
    assert "outside its area of use" in told(city, "guessed")[0]
    north_first = load(tmp_path, model(land(at(5800000.0, 3570000.0, 10.0)), srs="urn:ogc:def:crs:EPSG::31467"))
    assert north_first.bounds == pytest.approx((3570000.0, 5800000.0, 3570010.0, 5800030.0))
    assert not told(north_first, "guessed")


@pytest.mark.parametrize(
    ("srs", "code"),
    [("urn:ogc:def:crs,crs:EPSG::25832,crs:EPSG::7837", "EPSG:25832+7837"), ("urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH", "EPSG:25832+7837"),
     ("urn:adv:crs:ETRS89_UTM32", "EPSG:25832"), ("EPSG:25832", "EPSG:25832")],
)  # fmt: skip
def test_compound_systems_and_those_of_german_surveys_are_known(srs: str, code: str, tmp_path: Path) -> None:
    assert load(tmp_path, model(land(at(678000.0, 5403000.0, 10.0)), srs=srs)).crs.to_string() == code


def test_a_file_without_system_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="give crs="):
        load(tmp_path, model(land(square()), srs=""))
    assert load(tmp_path, model(land(square()), srs=""), crs="EPSG:32648").bounds[0] == X
    assert load(tmp_path, model(land(square(x=0.0, y=0.0)), srs=""), crs="local").crs.is_local


def test_a_system_given_wins_and_says_so(tmp_path: Path) -> None:
    city = load(tmp_path, model(land(square())), crs="EPSG:32649")
    assert city.crs.to_string() == "EPSG:32649"
    assert "as asked" in told(city, "crs")[0]
    assert not told(load(tmp_path, model(land(square())), crs="EPSG:32648"), "crs")


def test_a_system_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match="PROJ"):
        load(tmp_path, model(land(square()), srs="urn:nobody:knows"))


def test_geometry_may_state_the_system_itself(tmp_path: Path) -> None:
    shape = square().replace("<gml:MultiSurface>", '<gml:MultiSurface srsName="EPSG:32648">')
    assert load(tmp_path, model(land(shape), srs="")).bounds[:2] == (X, Y)


def test_geometry_in_another_system_is_transformed_and_told(tmp_path: Path) -> None:
    degrees = at(30.65, 104.06, 0.001).replace("<gml:MultiSurface>", '<gml:MultiSurface srsName="urn:ogc:def:crs:EPSG::4326">')
    city = load(tmp_path, model(land(square()), land(square(x=X + 20), "b"), land(degrees, "c")))
    there = transform_points([104.06], [30.65], None, parse("EPSG:4326"), parse("EPSG:32648"))
    assert city.crs.to_string() == "EPSG:32648"
    assert city["c"].footprint.bounds[:2] == pytest.approx(
        (float(there.x[0]), float(there.y[0])), abs=1.0
    )  # the lower corner of a turned box
    assert any("transformed" in one for one in told(city, "crs"))


def test_geometry_in_a_system_nobody_knows_is_left_out_and_told(tmp_path: Path) -> None:
    odd = square().replace("<gml:MultiSurface>", '<gml:MultiSurface srsName="urn:nobody:knows">')
    city = load(tmp_path, model(land(square()), land(square(x=X + 20), "b"), land(odd, "c")))
    assert city["c"].footprint is None
    assert any("left out" in one for one in told(city, "crs"))


def test_a_short_notation_that_fits_both_ways_is_a_warning(tmp_path: Path) -> None:
    fits_both = load(tmp_path, model(land(at(48.1, 11.5, 0.01)), srs="EPSG:4326"))  # Munich, or a place in Ethiopia
    assert fits_both.bounds == pytest.approx((48.1, 11.5, 48.13, 11.51))
    rows = [row for row in fits_both.tables["issues"].to_pylist() if "the short notation does not say" in row["message"]]
    assert [row["severity"] for row in rows] == ["warning"]
    fits_one = load(tmp_path, model(land(at(104.06, 30.65, 0.01)), srs="EPSG:4326"))  # 104 degrees are no latitude
    rows = [row for row in fits_one.tables["issues"].to_pylist() if "the short notation does not say" in row["message"]]
    assert [row["severity"] for row in rows] == ["info"]
