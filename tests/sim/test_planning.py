"""Floor area ratio, density, floor area and height control against exact cases, a slow oracle, and every input taken away."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import CRSError, CRSMismatchError, LimitError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.results import Verdicts
from cim.sim.planning import (
    DENSITY,
    FAR,
    GROSS_FLOOR_AREA,
    HEIGHT_CONTROL,
    covered_footprint_area,
    density,
    far,
    footprint_area,
    gross_floor_area,
    height_control,
)

Cases = Callable[[str], list[dict[str, Any]]]
CRS = "EPSG:4549+5737"
SITE = shapely.box(0, 0, 100, 100)
RATIO = 1e-9  # exact numbers; float64 division


def make_city(
    shapes: list[Any],
    *,
    storeys: list[float | None] | None = None,
    heights: list[float | None] | None = None,
    z_ground: Any = None,
    z_roof: Any = None,
    crs: str = CRS,
    plots: dict[str, Any] | None = None,
    plot_columns: dict[str, list[float | None]] | None = None,
) -> City:
    """Return a city of buildings b0, b1… and plots."""
    builder = CityBuilder(crs)
    keys = builder.add_objects(
        "Building", [f"b{place}" for place in range(len(shapes))], footprints=np.array(shapes, object), z_ground=z_ground, z_roof=z_roof
    )
    columns = {}
    if storeys is not None:
        columns["storeys_above_ground"] = Column(storeys)
    if heights is not None:
        columns["height"] = Column(heights, unit="m")
    builder.add_attributes(keys, "Building", columns)
    if plots:
        sites = builder.add_objects("LandUse", list(plots), footprints=np.array(list(plots.values()), object))
        builder.add_attributes(sites, "LandUse", {name: Column(values) for name, values in (plot_columns or {}).items()})
    return builder.build()


def without_crs(city: City) -> City:
    return dataclasses.replace(city, crs=None)  # type: ignore[arg-type]  # what a city made by hand may be


def row(result: Verdicts, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = result.table.slice(place, 1).to_pylist()[0]
    return found


def case_city(inputs: dict[str, Any]) -> City:
    buildings = inputs.get("buildings") or [{"footprint_wkt": wkt, "floors": None, "height_m": None} for wkt in inputs["footprints_wkt"]]
    city = make_city(
        [None if one["footprint_wkt"] is None else shapely.from_wkt(one["footprint_wkt"]) for one in buildings],
        storeys=[one["floors"] for one in buildings],
        heights=[one["height_m"] for one in buildings],
    )
    return without_crs(city) if inputs["crs"] is None else city


def compare(case: dict[str, Any], found: dict[str, Any], names: dict[str, str]) -> None:
    """Compare every expected value; what is not listed beside a missing verdict must be missing."""
    expected = case["expected"]
    for name, column in names.items():
        if name in expected:
            want = expected[name]
            assert found[column] == (want["value"] if want["tolerance"] is None else pytest.approx(want["value"], abs=want["tolerance"])), (
                name
            )
        elif "-na-" in case["id"] and name != "site_area":
            assert found[column] is None, f"{name} must not be reported"


def test_far_agrees_with_the_exact_cases(exact_cases: Cases) -> None:
    for case in exact_cases("far"):
        inputs = case["inputs"]
        result = FAR.run(case_city(inputs), plots=shapely.from_wkt(inputs["site_wkt"]), limit=inputs["limit_far_max"])
        assert len(result) == 1
        compare(
            case,
            row(result),
            {"site_area": "site_area", "counted_floor_area": "floor_area", "far": "value", "verdict": "verdict", "reason": "reason"},
        )
        if "excess" in case["expected"]:
            assert row(result)["excess"] == pytest.approx(case["expected"]["excess"]["value"], abs=RATIO)


def test_density_agrees_with_the_exact_cases(exact_cases: Cases) -> None:
    for case in exact_cases("density"):
        inputs = case["inputs"]
        if "dataset" in inputs:
            continue
        result = DENSITY.run(case_city(inputs), plots=shapely.from_wkt(inputs["site_wkt"]), limit=inputs["limit_max"])
        compare(case, row(result), {"covered_area": "covered_area", "density": "value", "verdict": "verdict", "reason": "reason"})


def test_gross_floor_area_agrees_with_the_exact_cases(exact_cases: Cases) -> None:
    for case in exact_cases("gfa"):
        inputs = case["inputs"]
        if "dataset" in inputs:
            continue
        result = GROSS_FLOOR_AREA.run(case_city(inputs), limit=inputs["limit_gfa_max_m2"])
        compare(case, row(result), {"gfa": "value", "verdict": "verdict", "reason": "reason"})


def test_height_control_agrees_with_the_exact_cases(exact_cases: Cases) -> None:
    for case in exact_cases("height_control"):
        inputs = case["inputs"]
        height = inputs["building_height_m"]
        city = make_city([shapely.box(0, 0, 10, 10)], heights=[height], z_ground=[inputs["base_z_m"]])
        datum = inputs["limit_datum"]
        limit = float("nan") if inputs["limit_z_m"] is None else inputs["limit_z_m"]
        result = HEIGHT_CONTROL.run(
            city, limit=limit, limit_datum=None if datum is None else datum.split()[0], datum_shift=inputs.get("h85_minus_h56_m")
        )
        compare(case, row(result), {"top_z": "value", "verdict": "verdict", "reason": "reason"})
        for name, column in (("excess", "excess"), ("limit_in_1985", "limit")):
            if name in case["expected"]:
                assert row(result)[column] == pytest.approx(case["expected"][name]["value"], abs=RATIO)


@pytest.fixture(scope="module")
def suzhou(shared_data: Callable[..., Path]) -> City:
    frame = geopandas.read_file(shared_data("china", "suzhou_buildings_floor", "suzhou_buildings.geojson")).to_crs("EPSG:4549")
    return make_city(list(frame.geometry), storeys=frame["Floor"].tolist(), heights=frame["height"].tolist(), crs="EPSG:4549")


@pytest.mark.data
def test_suzhou_floor_area_footprints_and_union_are_the_published_figures(suzhou: City) -> None:
    assert gross_floor_area(suzhou) == pytest.approx(4_146_603.593, abs=0.001)  # figures are given to the millimetre squared
    assert footprint_area(suzhou) == pytest.approx(1_236_016.963, abs=0.001)
    assert covered_footprint_area(suzhou) == pytest.approx(1_236_014.084, abs=0.001)


@pytest.mark.data
def test_suzhou_cells_share_out_every_square_metre(suzhou: City) -> None:
    result = far(suzhou, grid=100.0, limit=2.0)
    counted = sum(value for value in result.table["floor_area"].to_pylist())
    assert counted == pytest.approx(4_146_603.593, abs=0.01)  # 3,000 intersections, rounding 1e-6 m² each
    assert result.run.balance["beside_plots_m2"] == pytest.approx(0.0, abs=0.01)
    covered = sum(value for value in density(suzhou, grid=100.0, limit=1.0).table["covered_area"].to_pylist())
    assert covered == pytest.approx(1_236_014.084, abs=0.01)


def slow_far(city: City, site: Any, storeys: list[float]) -> float:
    """Sum over the buildings, one after the other."""
    total = 0.0
    for place, floors in enumerate(storeys):
        total += float(city[f"b{place}"].footprint.intersection(site).area) * floors
    return total / float(site.area)


def slow_density(city: City, site: Any, count: int) -> float:
    covered = shapely.Polygon()
    for place in range(count):
        covered = covered.union(city[f"b{place}"].footprint.intersection(site))
    return float(covered.area) / float(site.area)


coordinate = st.integers(-20, 120).map(float)
block = st.tuples(coordinate, coordinate, st.integers(1, 60), st.integers(1, 60)).map(
    lambda b: shapely.box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(block, st.integers(1, 30)), min_size=1, max_size=6))
def test_far_and_density_agree_with_a_slow_loop(blocks: list[tuple[Any, int]]) -> None:
    shapes, storeys = [one[0] for one in blocks], [float(one[1]) for one in blocks]
    sites = {"west": shapely.box(0, 0, 50, 100), "east": shapely.box(50, 0, 100, 100)}
    city = make_city(shapes, storeys=list(storeys), plots=sites)
    ratios = dict(zip(*(far(city, limit=9.0).table[name].to_pylist() for name in ("object", "value")), strict=True))
    shares = dict(zip(*(density(city, limit=1.0).table[name].to_pylist() for name in ("object", "value")), strict=True))
    for name, site in sites.items():
        assert ratios[name] == pytest.approx(slow_far(city, site, storeys), abs=RATIO)
        assert shares[name] == pytest.approx(slow_density(city, site, len(shapes)), abs=RATIO)


def test_a_footprint_on_two_plots_counts_by_area_and_its_height_on_both() -> None:
    plots = {"p": shapely.box(0, 0, 50, 100), "q": shapely.box(50, 0, 100, 100)}
    columns: dict[str, list[float | None]] = {"far_limit": [1.0, 1.0], "height_limit": [20.0, 10.0]}
    city = make_city([shapely.box(40, 0, 80, 10)], storeys=[5], heights=[15.0], plots=plots, plot_columns=columns)
    areas = dict(zip(*(far(city).table[name].to_pylist() for name in ("object", "floor_area")), strict=True))
    assert areas == {"p": pytest.approx(500.0), "q": pytest.approx(1500.0)}
    heights = height_control(city, limit_datum="ground").table.to_pylist()
    assert {one["place"]: one["verdict"] for one in heights} == {"p": "pass", "q": "fail"}


def test_a_footprint_that_only_grazes_a_plot_does_not_bring_its_limit() -> None:
    plots = {"p": shapely.box(0, 0, 50, 100), "q": shapely.box(50, 0, 100, 100)}
    city = make_city([shapely.box(0, 0, 50.001, 10)], heights=[15.0], plots=plots, plot_columns={"height_limit": [20.0, 10.0]})
    places = [one["place"] for one in height_control(city, limit_datum="ground").table.to_pylist()]
    assert places == ["p"]  # 0.01 m² lie on q
    assert len(height_control(city, limit_datum="ground", overlap_tolerance=0.001)) == 2


def test_a_hut_smaller_than_the_tolerance_is_no_sliver() -> None:
    city = make_city([shapely.box(1, 1, 1.2, 1.2)], storeys=[None], heights=[None])
    assert row(far(city, plots=SITE, limit=1.0))["reason"] == "missing_height"


def test_a_building_on_no_plot_is_not_assessed_for_height() -> None:
    city = make_city([shapely.box(200, 0, 210, 10)], heights=[5.0], plots={"p": SITE}, plot_columns={"height_limit": [20.0]})
    assert row(height_control(city, limit_datum="ground"))["reason"] == "no_plot"


def test_storeys_from_height_are_an_assumption_that_is_marked() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], storeys=[None], heights=[18.2])
    assert row(far(city, plots=SITE, limit=1.0))["reason"] == "missing_storeys"
    assumed = row(far(city, plots=SITE, limit=1.0, storey_height=3.0))
    assert assumed["value"] == pytest.approx(0.06, abs=RATIO)
    assert "18" not in assumed["assumption"]
    assert "storeys of 1 buildings = height / 3 m" in assumed["assumption"]


def test_zero_storeys_are_a_gap_not_a_building_without_floors() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], storeys=[0], heights=[9.0])
    assert row(far(city, plots=SITE, limit=1.0))["verdict"] == "not_assessed"


def test_a_floor_area_that_is_stated_goes_before_storeys() -> None:
    builder = CityBuilder(CRS)
    keys = builder.add_objects("Building", ["b"], footprints=np.array([shapely.box(0, 0, 10, 10)], object))
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([5]), "far_floor_area": Column([450.0], unit="m²")})
    assert row(far(builder.build(), plots=SITE, limit=1.0))["floor_area"] == 450.0


def test_a_percentage_is_refused_as_a_density_limit() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)])
    assert row(density(city, plots=SITE, limit=30))["reason"] == "implausible_limit"


def test_a_limit_may_be_given_by_plot() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], storeys=[3], plots={"p": SITE, "q": shapely.box(100, 0, 200, 100)})
    verdicts = {one["object"]: one["verdict"] for one in far(city, limit={"p": 0.01}).table.to_pylist()}
    assert verdicts == {"p": "fail", "q": "not_assessed"}
    with pytest.raises(UsageError, match="'x', which is none of the 2 plots"):
        far(city, limit={"x": 1.0})


@pytest.mark.parametrize("check", [FAR, DENSITY])
def test_geographic_and_web_mercator_cities_are_not_assessed(check: Any) -> None:
    degrees = make_city([shapely.box(120, 31, 120.001, 31.001)], storeys=[3], crs="EPSG:4326")
    mercator = make_city([shapely.box(0, 0, 10, 10)], storeys=[3], crs="EPSG:3857")
    for city, site in ((degrees, shapely.box(120, 31, 121, 32)), (mercator, SITE)):
        found = row(check.run(city, plots=site, limit=1.0))
        assert (found["verdict"], found["reason"], found["value"]) == ("not_assessed", "unknown_crs", None)
        with pytest.raises(CRSError, match=r"geographic|areas too large"):
            gross_floor_area(city)


def test_plots_without_a_crs_are_not_assessed_and_in_another_crs_refused() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], storeys=[3])
    frame = geopandas.GeoDataFrame({"far_limit": [1.0]}, geometry=[SITE], index=["p"])
    assert row(far(city, plots=frame))["reason"] == "unknown_crs"
    assert row(far(city, plots=frame.set_crs("EPSG:4549")))["verdict"] == "pass"
    with pytest.raises(CRSMismatchError, match="RD New"):
        far(city, plots=frame.set_crs("EPSG:28992"))


def test_two_height_systems_are_not_compared_without_a_shift() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], heights=[48.0], z_ground=[12.3])
    assert row(height_control(city, limit=60.32, limit_datum="EPSG:5736"))["reason"] == "vertical_datum_mismatch"
    unknown = make_city([shapely.box(0, 0, 10, 10)], heights=[48.0], z_ground=[12.3], crs="EPSG:4549")
    assert row(height_control(unknown, limit=60.0, limit_datum="EPSG:5737"))["reason"] == "unknown_vertical_datum"
    with pytest.raises(UsageError, match="'sea' names no height system"):
        height_control(city, limit=60.0, limit_datum="sea")


def test_a_city_without_plots_says_so_instead_of_passing() -> None:
    city = make_city([shapely.box(0, 0, 10, 10)], storeys=[3])
    with pytest.raises(UsageError, match="no LandUse"):
        far(city, limit=1.0)
    with pytest.raises(ObjectNotFoundError, match="'p'"):
        far(city, plots=["p"], limit=1.0)


def test_senseless_parameters_are_refused() -> None:
    city = make_city([shapely.box(0, 0, 1000, 1000)], storeys=[3], plots={"p": SITE})
    senseless: list[tuple[dict[str, Any], str]] = [
        ({"grid": -1.0}, "above 0"),
        ({"overlap_tolerance": -1.0}, "not below 0"),
        ({"storey_height": 0.0}, "above 0"),
    ]
    for bad, words in senseless:
        with pytest.raises(UsageError, match=words):
            far(city, limit=1.0, **bad)
    with pytest.raises(UsageError, match="give one of them"):
        far(city, plots=["p"], grid=10.0)
    with pytest.raises(LimitError, match="larger grid"):
        far(city, grid=0.1)


def test_an_empty_plot_passes_but_a_city_without_buildings_is_not_assessed() -> None:
    one = make_city([shapely.box(200, 200, 210, 210)], storeys=[3], plots={"p": SITE}, plot_columns={"far_limit": [1.0]})
    assert (row(far(one))["value"], row(far(one))["verdict"]) == (0.0, "pass")
    none = CityBuilder(CRS)
    none.add_objects("LandUse", ["p"], footprints=np.array([SITE], object))
    for check in (far, density):
        assert row(check(none.build(), limit=1.0))["reason"] == "missing_buildings"


def test_cells_keep_their_ids_when_the_city_grows() -> None:
    small = make_city([shapely.box(10, 10, 20, 20)], storeys=[3])
    large = make_city([shapely.box(10, 10, 20, 20), shapely.box(-250, 310, -240, 320)], storeys=[3, 1])
    assert set(far(small, grid=100.0, limit=1.0).table["object"].to_pylist()) == {"E0N0"}
    values = dict(zip(*(far(large, grid=100.0, limit=1.0).table[name].to_pylist() for name in ("object", "value")), strict=True))
    assert len(values) == 16
    assert (values["E0N0"], values["E-3N3"]) == (pytest.approx(0.03), pytest.approx(0.01))


def test_a_footprint_that_crosses_itself_is_measured_and_named() -> None:
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    result = density(make_city([bow]), plots=SITE, limit=0.5)
    assert row(result)["covered_area"] == pytest.approx(50.0)
    assert any("cross themselves" in text for text in result.run.assumptions)


maybe = st.sampled_from
unknown_number = st.sampled_from([None, float("nan"), float("inf"), -3.0, 0.0])
KNOWN = {
    "shape": shapely.box(10, 10, 30, 30),
    "storeys": 3.0,
    "height": 9.0,
    "ground": 5.0,
    "site": SITE,
    "limit": 5.0,
    "crs": CRS,
    "datum": "EPSG:5737",
}
MISSING: dict[str, Any] = {
    "shape": maybe([None, shapely.Point(15, 15), shapely.LineString([(10, 10), (30, 30)])]),
    "storeys": unknown_number,
    "height": unknown_number,
    "ground": maybe([None, float("nan"), float("inf")]),
    "site": maybe([shapely.Polygon(), shapely.Point(1, 1), shapely.LineString([(0, 0), (9, 9)])]),
    "limit": maybe([None, float("nan"), float("inf"), -1.0]),
    "crs": maybe(["EPSG:4326", "EPSG:3857", "none"]),
    "datum": maybe([None]),
}
NEEDS = {
    "far": ({"shape", "site", "limit", "crs"}, {"storeys"}),
    "density": ({"shape", "site", "limit", "crs"}, set()),
    "height": ({"limit", "datum", "ground"}, {"height"}),
}


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(sorted(NEEDS)))
def test_nothing_passes_or_fails_while_an_input_is_missing(data: st.DataObject, check: str) -> None:
    always, numbers = NEEDS[check]
    gone = data.draw(st.sets(st.sampled_from(sorted(always | numbers)), min_size=1))
    facts = {name: data.draw(MISSING[name]) if name in gone else value for name, value in KNOWN.items()}
    crs = CRS if facts["crs"] == "none" else facts["crs"]
    height = facts["height"] if check == "height" else None
    shapes = [shapely.box(50, 50, 60, 60), facts["shape"]]
    city = make_city(shapes, storeys=[1, facts["storeys"]], heights=[height, height], z_ground=[facts["ground"]] * 2, crs=crs)
    city = without_crs(city) if facts["crs"] == "none" else city
    if check == "height":
        limit = facts["limit"] if facts["limit"] is not None else float("nan")
        result = height_control(city, limit=limit, limit_datum=facts["datum"])
    else:
        result = (far if check == "far" else density)(city, plots=facts["site"], limit=facts["limit"])
    assert len(result) > 0
    assert result.counts()["pass"] == 0
    assert result.counts()["fail"] == 0


def test_one_plot_under_everything_is_the_hull_of_the_footprints_and_says_so() -> None:
    city = make_city([shapely.box(0, 0, 10, 10), shapely.box(40, 0, 50, 10)], storeys=[2, 4])  # hull 50 m × 10 m
    ratio, covered = far(city, plots="city", limit=1.2), density(city, plots="city", limit=0.3)
    for result, value, verdict in ((ratio, 600 / 500, "pass"), (covered, 200 / 500, "fail")):
        row = result.table.to_pylist()[0]
        assert row["value"] == pytest.approx(value, rel=RATIO)
        assert (row["site_area"], row["verdict"]) == (pytest.approx(500.0, rel=RATIO), verdict)
        assert "convex hull of the footprints" in row["assumption"]
        assert any("convex hull" in one for one in result.run.assumptions)
    assert not any("hull" in one for one in density(city, plots=SITE, limit=0.3).run.assumptions)


def test_one_plot_under_everything_is_not_assessed_when_a_building_may_lie_beside_the_hull() -> None:
    row = density(make_city([shapely.box(0, 0, 10, 10), None]), plots="city", limit=0.3).table.to_pylist()[0]
    assert (row["verdict"], row["reason"]) == ("not_assessed", "missing_footprint")
