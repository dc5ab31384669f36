"""A change makes a new city, leaves the old one alone, and says what it did."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column, diff
from cim.model.geometry import boundaries_from, extrude, vertices_from, volume
from cim.model.schema import make_table
from cim.results import city_fingerprint
from cim.scenario import Change

BOXES = {"b1": shapely.box(0, 0, 10, 20), "b12": shapely.box(30, 0, 40, 20), "b7": shapely.box(60, 0, 70, 20)}
HOUSE = np.array(  # floor at 2, eaves at 8, ridge at 11: 10 x 20 m
    [[30, 0, 2], [40, 0, 2], [40, 20, 2], [30, 20, 2], [30, 0, 8], [40, 0, 8], [40, 20, 8], [30, 20, 8], [35, 0, 11], [35, 20, 11]], float
)
RINGS = [[3, 2, 1, 0], [0, 1, 5, 8, 4], [2, 3, 7, 9, 6], [1, 2, 6, 5], [3, 0, 4, 7], [4, 8, 9, 7], [5, 6, 9, 8]]


def add_house(builder: CityBuilder, key: Any, *, semantics: bool = True) -> None:
    """Add a gabled house as LoD 2.2; without semantics its floor is known by being the lowest."""
    counts = [len(ring) for ring in RINGS]
    boundaries = boundaries_from(np.concatenate([np.array(ring) for ring in RINGS]), counts, [1] * 7, [7], [1], [1])
    gkeys = builder.add_geometries(
        key, lod="2.2", role="solid", type="Solid", vertices=vertices_from(HOUSE, [10]), boundaries=boundaries,
        semantics=[[0, 1, 1, 1, 1, 2, 2]] if semantics else None,
    )  # fmt: skip
    if semantics:
        builder.add_surfaces(np.repeat(gkeys, 3), np.arange(3), ["GroundSurface", "WallSurface", "RoofSurface"])


def make_city(*, semantics: bool = True, z: bool = True) -> City:
    builder = CityBuilder("EPSG:4549+5737", name="三河", time_zone="Asia/Shanghai")
    heights: dict[str, Any] = {"z_ground": [2.0] * 3, "z_roof": [11.0] * 3} if z else {}
    keys = builder.add_objects("Building", list(BOXES), footprints=np.array(list(BOXES.values()), object), **heights)
    columns = {"height": Column([9.0, 9.0, None], unit="m"), "storeys_above_ground": Column([3, 3, 3])}
    builder.add_attributes(keys, "Building", columns)
    block = extrude(list(BOXES.values()), 2.0, 11.0)
    gkeys = builder.add_geometries(
        keys, lod="1", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries, semantics=block.semantics
    )
    builder.add_surfaces(np.repeat(gkeys, 3), np.tile(np.arange(3), 3), list(block.SURFACES) * 3)
    add_house(builder, keys[1:2], semantics=semantics)
    builder.add_objects("BuildingStorey", ["b7-1"], parents=["b7"])
    builder.add_objects("LandUse", ["p"], footprints=shapely.box([0], [0], [100], [100]))
    return builder.build()


def heights_of(city: City, id: str, lod: str) -> NDArray[np.float64]:
    rows = city[id].geometry(lod)
    return np.asarray(rows["vertices"][0].as_py(), float)[:, 2] + float(city.origin[2])


def test_the_city_that_is_changed_stays_as_it_was() -> None:
    city = make_city()
    before = city_fingerprint(city)
    option = Change("A").raise_building("b12", by=6.0).remove_building("b7").add_building("n", shapely.box(80, 0, 90, 20), 12.0).apply(city)
    assert city_fingerprint(city) == before
    assert set(city.ids(city.keys("Building"))) == set(BOXES)
    assert set(option.ids(option.keys("Building"))) == {"b1", "b12", "n"}
    assert (option.name, option.time_zone, option.crs) == (city.name, city.time_zone, city.crs)


def test_only_the_raised_building_differs() -> None:
    city = make_city()
    found = diff(city, Change("A").raise_building("b12", by=6.0).apply(city))
    assert (found.added, found.removed) == ((), ())
    rows = found.changed.to_pylist()
    assert {row["id"] for row in rows} == {"b12"}
    numbers = {row["attribute"]: (float(row["old"]), float(row["new"])) for row in rows if row["attribute"] != "geometry"}
    assert numbers == {"height": (9.0, 15.0), "z_roof": (11.0, 17.0)}


@pytest.mark.parametrize("semantics", [True, False])
def test_walls_grow_and_the_roof_keeps_its_shape(semantics: bool) -> None:  # noqa: FBT001  # a test's parameter
    city = make_city(semantics=semantics)
    option = Change("A").raise_building("b12", by=6.0).apply(city)
    assert heights_of(option, "b12", "2.2").tolist() == [2.0] * 4 + [14.0] * 4 + [17.0] * 2
    assert sorted(set(heights_of(option, "b12", "1").tolist())) == [2.0, 17.0]
    before, after = (volume(one["b12"].geometry("2.2"))[0] for one in (city, option))
    assert after - before == pytest.approx(6.0 * 200.0)  # 6 m of wall over 200 m²
    assert heights_of(option, "b1", "1").max() == 11.0
    assert option["b12"].core["bbox"]["zmax"] == 17.0


def test_the_claim_says_who_changed_it_and_what_it_was() -> None:
    option = Change("option A").raise_building("b12", to=15.0).apply(make_city())
    claims = option.why("b12", "height")
    assert [(one.value, one.method, one.chosen) for one in claims] == [(15.0, "change: option A", True), (9.0, "read", False)]
    twice = Change("option B").raise_building("b12", by=1.0).apply(option)
    assert [(one.value, one.chosen) for one in twice.why("b12", "height")] == [(16.0, True), (15.0, False), (9.0, False)]


def test_storeys_stay_and_are_marked_unless_they_are_given() -> None:
    kept = Change("A").raise_building("b12", by=6.0).apply(make_city())
    assert kept["b12"].attributes["storeys_above_ground"] == 3
    assert [one["code"] for one in kept["b12"].issues] == ["assumed"]
    assert "give storeys=" in kept["b12"].issues[0]["message"]
    given_ = Change("A").raise_building("b12", by=6.0, storeys=5).apply(make_city())
    assert given_["b12"].attributes["storeys_above_ground"] == 5
    assert given_["b12"].issues == []
    assert given_.why("b12", "storeys_above_ground")[0].method == "change: A"


@settings(max_examples=40, deadline=None)
@given(st.floats(-5.0, 40.0, allow_nan=False).filter(lambda by: abs(by) > 1e-3))
def test_up_and_down_again_is_where_it_began(by: float) -> None:
    city = make_city()
    back = (
        Change("up").raise_building("b12", by=by).apply(Change("down").raise_building("b12", by=-by).apply(city))
        if by < 0
        else (Change("down").raise_building("b12", by=-by).apply(Change("up").raise_building("b12", by=by).apply(city)))
    )
    assert heights_of(back, "b12", "2.2") == pytest.approx(heights_of(city, "b12", "2.2"), abs=1e-9)  # rounding of two additions
    assert back["b12"].core["z_roof"] == pytest.approx(11.0, abs=1e-9)


def test_a_height_without_elevations_can_be_raised() -> None:
    city = make_city(z=False)
    option = Change("A").raise_building("b12", by=6.0).apply(city)
    assert option["b12"].attributes["height"] == 15.0
    assert option["b12"].core["z_roof"] is None
    with pytest.raises(UsageError, match="'b7' has neither z_ground and z_roof nor height"):
        Change("A").raise_building("b7", by=6.0).apply(city)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (Change("A").raise_building("b13", by=1.0), ObjectNotFoundError, "did you mean b1"),
        (Change("A").remove_building("x"), ObjectNotFoundError, "'x'"),
        (Change("A").raise_building("p", by=1.0), UsageError, "'p' is a LandUse, expected a Building"),
        (Change("A").raise_building("b12", by=-9.0), UsageError, "nothing of it is left"),
        (Change("A").raise_building("b12", by=-7.0), UsageError, "eaves are only 6 m above its ground"),
        (Change("A").add_building("b1", shapely.box(0, 0, 1, 1), 3.0), UsageError, "taken by a Building"),
    ],
)
def test_what_makes_no_sense_for_the_city_is_refused(change: Change, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        change.apply(make_city())


def test_what_makes_no_sense_at_all_is_refused_at_once() -> None:
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    tries: list[tuple[Any, str]] = [
        (lambda: Change("A").raise_building("b"), "give either by"),
        (lambda: Change("A").raise_building("b", by=1.0, to=2.0), "give either by"),
        (lambda: Change("A").raise_building("b", by=float("nan")), "not a finite number"),
        (lambda: Change("A").raise_building("b", to=-3.0), "greater than 0"),
        (lambda: Change("A").add_building("n", bow, 3.0), "self-crossing Polygon"),
        (lambda: Change("A").add_building("n", "POLYGON ((", 3.0), "no WKT"),
        (lambda: Change("A").add_building("n", shapely.Point(0, 0), 3.0), "Point of 0 m²"),
        (lambda: Change.from_dict({"name": "A", "change": [{"do": "fly", "id": "b"}]}), "'fly'"),
    ]
    for make, words in tries:
        with pytest.raises(UsageError, match=words):
            make()


def test_rasters_of_a_stored_city_are_still_found_after_a_change(tmp_path: Path) -> None:
    city = make_city()
    row = {"object": 0, "kind": "raster", "path": "files/dtm.tif", "format": "GeoTIFF"}
    stored = replace(
        city.replace_tables(coverages=make_table("coverages", {name: [value] for name, value in row.items()})), path=str(tmp_path)
    )
    option = Change("A").raise_building("b12", by=1.0).apply(stored)
    assert option.tables["coverages"]["path"].to_pylist() == [str(tmp_path.resolve() / "files" / "dtm.tif")]


@pytest.mark.data
def test_a_real_building_of_parts_is_raised_with_all_of_them(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import read

    city = read(shared_data("city", "cityjson", "DenHaag_01.city.json"))
    id = next(one for one in city.ids(city.keys("Building")) if len(city.children(one, "BuildingPart")) > 1)
    option = Change("A").raise_building(id, by=6.0).apply(city)
    parts = [part.id for part in city.children(id, "BuildingPart")]
    assert {row["id"] for row in diff(city, option).changed.to_pylist()} == {id, *parts}
    for part in parts:
        before, after = (np.asarray(one[part].geometry()["vertices"][0].as_py(), float)[:, 2] for one in (city, option))
        assert after.max() - before.max() == pytest.approx(6.0)
        assert after.min() == before.min()


def test_a_removed_building_takes_its_parts_along() -> None:
    option = Change("A").remove_building("b7").apply(make_city())
    assert "b7-1" not in option
    assert "BuildingStorey" not in option.types()
    assert option.issues["record"].tolist() == ["b7"]
    assert not pc.is_in(option.tables["geometries"]["object"], option.tables["objects"]["key"].combine_chunks()).to_pylist().count(False)


def test_a_new_building_is_a_block_with_a_claim() -> None:
    option = (
        Change("A").add_building("n", [[80, 0], [90, 0], [90, 20], [80, 20]], 12.0, storeys=4, z_ground=2.0, name="新楼").apply(make_city())
    )
    view = option["n"]
    assert (view.name, view.core["z_roof"], view.attributes["storeys_above_ground"]) == ("新楼", 14.0, 4)
    assert volume(view.geometry("1"))[0] == pytest.approx(2400.0)
    assert option.why("n", "height")[0].method == "change: A"
    flat = Change("A").add_building("n", shapely.box(80, 0, 90, 20), 12.0).apply(make_city())
    assert flat["n"].geometry().num_rows == 0
    assert [one["code"] for one in flat["n"].issues] == ["empty"]


def test_a_change_is_a_value_that_grows() -> None:
    one = Change("A").raise_building("b12", by=6.0)
    two = one.remove_building("b7")
    assert (len(one), len(two)) == (1, 2)
    assert one == Change("A").raise_building("b12", by=6.0)
    assert {one, two, Change("A").raise_building("b12", by=6.0)} == {one, two}


def test_a_change_survives_being_written_down() -> None:
    change = Change("方案").raise_building("b12", to=15.5, storeys=5).remove_building("b7")
    change = change.add_building("n", shapely.box(80.1, 1 / 3, 90, 20), 12.0, z_ground=2.0, name="新楼")
    assert Change.from_dict(change.to_dict()) == change
    lines = [f'name = "{change.name}"']
    for step in change.to_dict()["change"]:
        lines += [
            "[[change]]",
            *(f"{key} = {value!r}" if not isinstance(value, str) else f'{key} = "{value}"' for key, value in step.items()),
        ]
    assert Change.from_dict(tomllib.loads("\n".join(lines))) == change
