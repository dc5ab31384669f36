"""Systems in which lengths are wrong are refused as a model's, with one that fits; how wrong they are is a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cim.crs import check_model_crs, distortion, is_web_mercator, parse, suggest_model_crs
from cim.errors import CRSError, UsageError

OLD_GOOGLE = "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +wktext +no_defs"


@pytest.mark.parametrize("code", ["EPSG:3857", "EPSG:900913", "ESRI:102100", "EPSG:3785", OLD_GOOGLE])
def test_web_mercator_is_known_under_every_name(code: str) -> None:
    crs = parse(code)
    assert is_web_mercator(crs)
    with pytest.raises(CRSError, match="Mercator map of the world"):
        check_model_crs(crs, allow_geographic=True)


@pytest.mark.parametrize("code", ["EPSG:3395", "ESRI:54004"])
def test_other_mercator_maps_of_the_world_are_refused_too(code: str) -> None:
    assert not is_web_mercator(parse(code))
    with pytest.raises(CRSError, match="Mercator map of the world"):
        check_model_crs(parse(code))


@pytest.mark.parametrize("code", ["EPSG:7415", "EPSG:4549", "EPSG:32651", "EPSG:2263", "EPSG:3008"])
def test_local_systems_are_accepted(code: str) -> None:
    check_model_crs(parse(code))
    assert not is_web_mercator(parse(code))


def test_degrees_are_refused_unless_a_source_is_held() -> None:
    with pytest.raises(CRSError, match=r"out\.cim: WGS 84 is geographic.*EPSG:4549 in China, EPSG:32651 elsewhere"):
        check_model_crs(parse("EPSG:4326"), path="out.cim", place=(120.6, 31.3))
    check_model_crs(parse("EPSG:4326"), allow_geographic=True)


@pytest.mark.parametrize(
    ("place", "first"),
    [
        ((120.6, 31.3), "EPSG:4549"),
        ((121.93, 30.9), "EPSG:4550"),
        ((4.35, 52.0), "EPSG:7415"),
        ((-70.7, -33.4), "EPSG:32719"),
        ((180.0, 0.0), "EPSG:32660"),
    ],
)
def test_a_system_is_suggested_for_the_place(place: tuple[float, float], first: str) -> None:
    assert suggest_model_crs(*place)[0] == first
    for code in suggest_model_crs(*place):
        check_model_crs(parse(code))


def test_a_place_off_the_earth_has_no_system() -> None:
    with pytest.raises(UsageError, match=r"\(31\.3, 120\.6\) is not a longitude"):
        suggest_model_crs(31.3, 120.6)


def test_transverse_mercator_has_scale_one_on_its_meridian() -> None:
    there = distortion(parse("EPSG:4549"), 120.0, 31.3)
    # 1e-9: differences of northings of 3e6 m over 2 m lose that much to rounding
    assert there.east_west == pytest.approx(1.0, abs=1e-9)
    assert there.north_south == pytest.approx(1.0, abs=1e-9)
    assert there.convergence_degrees == pytest.approx(0.0, abs=1e-6)


def test_a_conformal_map_grows_alike_in_both_directions() -> None:
    there = distortion(parse("EPSG:4549"), 121.93, 30.9)
    assert there.east_west == pytest.approx(there.north_south, abs=2e-9)
    assert there.area == pytest.approx(there.east_west**2, abs=4e-9)


def test_degrees_have_no_distortion_to_speak_of() -> None:
    with pytest.raises(CRSError, match="no map projection"):
        distortion(parse("EPSG:4326"), 0, 0)


@pytest.mark.data
def test_published_distortions_are_met(shared_data: Callable[..., Path]) -> None:
    cases = {one["id"]: one for one in json.loads(shared_data("china", "cim_cases.json").read_text("utf-8"))["cases"]}
    case = cases["crs-trap-mercator-ellipsoid"]["expected"]
    web = distortion(parse("EPSG:3857"), 120.6, 31.3)
    assert web.east_west == pytest.approx(case["length_factor_east_west"]["value"], abs=1e-6)
    assert web.north_south == pytest.approx(case["length_factor_north_south"]["value"], abs=1e-6)
    assert web.area == pytest.approx(case["area_factor"]["value"], abs=1e-6)
    case = cases["crs-trap-wrong-zone"]["expected"]
    for code in ("EPSG:4549", "EPSG:4550"):
        expected = case[f"scale_error_{code}"]
        found = distortion(parse(code), 121.93, 30.9).parts_per_million
        assert found == pytest.approx(expected["value"], abs=expected["tolerance"])
    convergence = case["convergence_EPSG:4549"]
    assert distortion(parse("EPSG:4549"), 121.93, 30.9).convergence_degrees == pytest.approx(
        convergence["value"], abs=convergence["tolerance"]
    )
