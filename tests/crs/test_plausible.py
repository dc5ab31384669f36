"""Coordinates that cannot be in a system are refused with the mistake named; doubts are told, and good ones pass."""

from __future__ import annotations

import math

import pytest

from cim.crs import check_plausible, parse
from cim.errors import CRSError

NAN = math.nan


@pytest.mark.parametrize(
    ("code", "bounds"),
    [
        ("EPSG:4549", (557000, 3464000, 558000, 3465000)),
        ("EPSG:4528", (40557000, 3464000, 40558000, 3465000)),
        ("EPSG:28992", (84000, 445000, 86000, 448000)),
        ("EPSG:7415", (84000, 445000, 86000, 448000)),
        ("EPSG:4326", (120.5, 31.2, 120.7, 31.4)),
        ("EPSG:4490", (120.5, 31.2, 120.7, 31.4)),
        ("EPSG:3857", (1603000, 6464000, 1604000, 6465000)),
        ("EPSG:3008", (100000, 6200000, 110000, 6210000)),
        ("EPSG:2263", (980000, 190000, 990000, 200000)),
        ("EPSG:32719", (340000, 6290000, 350000, 6300000)),
        ("EPSG:4326", (NAN, NAN, NAN, NAN)),
        ("+proj=tmerc +lon_0=121.4667 +lat_0=31.2 +ellps=GRS80", (-5000, -3000, 6000, 20000)),
    ],
)
def test_good_coordinates_pass_without_a_word(code: str, bounds: tuple[float, float, float, float]) -> None:
    assert check_plausible(bounds, parse(code)) == []


@pytest.mark.parametrize(
    ("code", "bounds", "told"),
    [
        ("EPSG:4326", (31.2, 120.5, 31.3, 120.6), "axes are swapped"),
        ("EPSG:4326", (557000, 3464000, 558000, 3465000), "look like metres"),
        ("EPSG:4326", (557000, 80, 558000, 81), "longitude 558000 cannot be degrees"),
        ("EPSG:4258", (52.0, 4.3, 52.1, 4.4), "axes swapped"),
        ("EPSG:4549", (120.5, 31.2, 120.7, 31.4), "are degrees (longitude and latitude), not metres"),
        ("EPSG:4549", (31.2, 120.0, 31.4, 120.7), "are degrees (latitude and longitude), not metres"),
        ("EPSG:3857", (120.5, 31.2, 120.7, 31.4), "are degrees"),
        ("EPSG:28992", (4.3, 52.0, 4.4, 52.1), "are degrees"),
        ("EPSG:4549", (3464000, 557000, 3465000, 558000), "first number is the northing"),
        ("EPSG:4549", (40557000, 3464000, 40558000, 3465000), "carries the zone number 40"),
        ("EPSG:4528", (557000, 3464000, 558000, 3465000), "has no zone number"),
        ("EPSG:4528", (39447941, 4419413, 39447951, 4419423), "declared for 120° E, zone number 39"),
        ("EPSG:28992", (445000, 84000, 448000, 86000), "inside it with the axes swapped"),
        ("EPSG:28992", (5000000, 445000, 5100000, 448000), "outside the area of use"),
        ("EPSG:32631", (557000, -9999999, 558000, -9990000), "outside the area of use"),
        ("EPSG:4326", (math.inf, 0, math.inf, 1), "not finite"),
        ("EPSG:4326", (2, 0, 1, 1), "not west, south, east, north"),
    ],
)
def test_impossible_coordinates_are_refused_by_their_mistake(code: str, bounds: tuple[float, float, float, float], told: str) -> None:
    with pytest.raises(CRSError) as caught:
        check_plausible(bounds, parse(code), path="a.shp")
    assert told in str(caught.value)
    assert str(caught.value).startswith("a.shp: ")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("code", "bounds", "told"),
    [
        ("EPSG:28992", (290000, 445000, 300000, 448000), "outside the area of use"),
        ("EPSG:28992", (0, 0, 120, 80), "look local"),
        ("EPSG:4549", (-50, -50, 50, 50), "look local"),
        ("EPSG:4326", (190, 10, 200, 20), "beyond 180"),
        ("EPSG:4326", (0, 0, 0, 0), "missing position"),
        ("EPSG:4549", (684531, 3421483, 684541, 3421493), "EPSG:4550 fits better"),
        ("EPSG:4490", (135.0, 48.0, 135.5, 48.2), "outside the area of use"),
    ],
)
def test_doubts_are_told(code: str, bounds: tuple[float, float, float, float], told: str) -> None:
    warnings = check_plausible(bounds, parse(code))
    assert any(told in warning for warning in warnings), warnings


def test_the_zone_remedy_names_the_code_to_read_it_as() -> None:
    with pytest.raises(CRSError) as caught:
        check_plausible((40557000, 3464000, 40558000, 3465000), parse("EPSG:4549"))
    assert caught.value.remedy == "read it as EPSG:4528"
