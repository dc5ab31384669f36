"""A building is moved with all that belongs to it, and follows the ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.errors import CRSError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import extrude, volume
from cim.scenario import Change

HOUSE, SHED = shapely.box(0, 0, 10, 20), shapely.box(10, 0, 14, 5)


def make_city(tmp_path: Path | None = None, *, slope: float = 0.1) -> City:
    """Return a house with a shed on ground that rises eastwards from 2 m by `slope`."""
    builder = CityBuilder("EPSG:28992+5709", name="M")
    keys = builder.add_objects(
        ["Building", "BuildingPart", "Building"], ["a", "a-shed", "far"], parents=[None, "a", None],
        footprints=np.array([HOUSE, SHED, shapely.box(100, 0, 110, 10)], object), z_ground=[2.0, 2.0, 2.0], z_roof=[11.0, 5.0, 8.0],
    )  # fmt: skip
    builder.add_attributes(keys[[0, 2]], "Building", {"height": Column([9.0, 6.0], unit="m"), "z_eaves": Column([8.0, None], unit="m")})
    for key, shape, top in ((keys[:1], HOUSE, 11.0), (keys[1:2], SHED, 5.0)):
        block = extrude([shape], 2.0, top)
        builder.add_geometries(key, lod="1", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    builder.add_objects("BuildingStorey", ["a-1"], parents=["a"])
    if tmp_path is not None:
        x = np.arange(-20, 200, 2.0) + 1
        ground = Raster(np.tile(2.0 + slope * x, (60, 1)), -20.0, 80.0, 2.0, 2.0, builder.crs)
        owner = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(*ground.bounds)])
        path = write_raster(ground, tmp_path / "dtm.tif")
        builder.add_coverage(int(owner[0]), kind="raster", path=str(path), format="GeoTIFF", crs=builder.crs.to_string(), unit="m")
    return builder.build()


def points(city: City, id: str) -> Any:
    return np.asarray(city[id].geometry("1")["vertices"][0].as_py(), float) + city.origin


def test_all_that_belongs_to_it_moves_and_keeps_its_shape() -> None:
    city = make_city()
    option = Change("A").move_building("a", dx=30.0, dy=-4.0).apply(city)
    for id in ("a", "a-shed"):
        assert option[id].footprint.equals(shapely.transform(city[id].footprint, lambda xy: xy + [30.0, -4.0]))  # noqa: RUF005  # arrays
        assert np.array_equal(points(option, id), points(city, id) + np.array([30.0, -4.0, 0.0]))
        assert volume(option[id].geometry("1"))[0] == volume(city[id].geometry("1"))[0]
    assert option["a"].core["bbox"]["xmin"] == 30.0
    assert option["a"].core["bbox"]["ymax"] == 16.0
    assert option["a-1"].core["bbox"] == city["a-1"].core["bbox"]
    assert option["far"].footprint.equals(city["far"].footprint)
    assert city["a"].footprint.equals(HOUSE)
    claims = option.why("a", "footprint")
    assert [(one.method, one.chosen) for one in claims] == [("change: A", True), ("read", False)]
    assert shapely.from_wkt(claims[1].value).equals(HOUSE)


def test_without_terrain_its_elevations_stay_and_that_is_marked() -> None:
    option = Change("A").move_building("a", dx=30.0).apply(make_city())
    assert option["a"].core["z_ground"] == 2.0
    assert ["keeps its elevations: the city holds no terrain" in one["message"] for one in option["a"].issues] == [True]


def test_it_follows_the_terrain_and_says_by_how_much(tmp_path: Path) -> None:
    city = make_city(tmp_path)
    option = Change("A").move_building("a", dx=50.0).apply(city)
    rise = 5.0  # 50 m east on a slope of 0.1; bilinear between cells of a plane is exact but for rounding
    core = option["a"].core
    assert core["z_ground"] == pytest.approx(2.0 + rise, abs=1e-6)
    assert core["z_roof"] == pytest.approx(11.0 + rise, abs=1e-6)
    assert core["bbox"]["zmax"] == pytest.approx(11.0 + rise, abs=1e-6)
    assert option["a"].attributes["z_eaves"] == pytest.approx(8.0 + rise, abs=1e-6)
    assert option["a"].attributes["height"] == 9.0
    assert points(option, "a-shed")[:, 2].max() == pytest.approx(5.0 + rise, abs=1e-6)
    assert option.why("a", "z_ground")[0].method == "change: A"
    (issue,) = option["a"].issues
    assert (issue["code"], issue["severity"]) == ("assumed", "info")
    assert "+5 m" in issue["message"]


def test_it_follows_ground_that_the_same_change_has_raised(tmp_path: Path) -> None:
    change = Change("A").change_terrain("fill", shapely.box(44, -4, 70, 24), by=1.5).move_building("a", dx=50.0)
    assert change.apply(make_city(tmp_path))["a"].core["z_ground"] == pytest.approx(2.0 + 5.0 + 1.5, abs=1e-6)


def test_a_given_rise_goes_before_the_terrain(tmp_path: Path) -> None:
    assert Change("A").move_building("a", dx=50.0, dz=0.25).apply(make_city(tmp_path))["a"].core["z_ground"] == 2.25


def test_off_the_terrain_its_elevations_stay(tmp_path: Path) -> None:
    option = Change("A").move_building("a", dy=500.0).apply(make_city(tmp_path))
    assert option["a"].core["z_ground"] == 2.0
    assert "the terrain there is not known" in option["a"].issues[0]["message"]


def test_a_point_takes_the_middle_of_its_footprint() -> None:
    option = Change("A").move_building("a", to=(55.0, 60.0)).apply(make_city())
    assert option["a"].footprint.bounds == (50.0, 50.0, 60.0, 70.0)


def test_what_it_now_lies_on_is_named() -> None:
    option = Change("A").move_building("a", dx=95.0).apply(make_city())
    assert [one["message"] for one in option["a"].issues if one["code"] == "conflict"] == ["change: A: 'a' now lies on far"]
    beside = Change("A").move_building("a", dx=90.0 - 14).apply(make_city())
    assert "conflict" not in [one["code"] for one in beside["a"].issues]


def test_a_part_that_leaves_its_whole_says_so() -> None:
    option = Change("A").move_building("a-shed", dx=5.0, dz=0.0).apply(make_city())
    assert any("part of 'a', which stays" in one["message"] for one in option["a-shed"].issues)
    assert option["a"].footprint.equals(HOUSE)


def test_there_and_back_again_is_where_it_began() -> None:
    city = make_city()
    back = Change("A").move_building("a", dx=8.0, dy=4.0).move_building("a", dx=-8.0, dy=-4.0).apply(city)
    assert np.array_equal(points(back, "a"), points(city, "a"))
    assert back["a"].core["bbox"] == city["a"].core["bbox"]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Change("A").move_building("a"), UsageError, "give either dx and dy"),
        (lambda: Change("A").move_building("a", dx=1.0, to=(0.0, 0.0)), UsageError, "give either dx and dy"),
        (lambda: Change("A").move_building("a", dx=float("inf")), UsageError, "finite number"),
        (lambda: Change("A").move_building("a", to=(0.0, float("nan"))), UsageError, "no point of finite numbers"),
        (lambda: Change("A").move_building("b", dx=1.0).apply(make_city()), ObjectNotFoundError, "'b'"),
        (lambda: Change("A").move_building("a-1", dx=1.0).apply(make_city()), UsageError, "BuildingStorey, expected a Building"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


def test_degrees_are_refused() -> None:
    builder = CityBuilder("EPSG:4326")
    builder.add_objects("Building", ["a"], footprints=[shapely.box(4.0, 52.0, 4.1, 52.1)])
    with pytest.raises(CRSError, match="needs metres"):
        Change("A").move_building("a", dx=1.0).apply(builder.build())
