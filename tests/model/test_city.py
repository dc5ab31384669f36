"""Look-ups, views, conditions and the small operations of a city."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.errors import CRSMismatchError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column, SourceRecord, concat, diff
from cim.model.geometry import extrude


@pytest.fixture
def city() -> City:
    builder = CityBuilder("EPSG:4549+5737", name="三河片区", time_zone="Asia/Shanghai")
    source = builder.add_source(SourceRecord("register", records_in=4))
    shapes = shapely.box(500000 + 20.0 * np.arange(4), 3460000, 500010 + 20.0 * np.arange(4), 3460010)
    keys = builder.add_objects("Building", list("abcd"), footprints=shapes, names=["图书馆", "B", None, "D"],
                               z_ground=2.0, z_roof=[5, 8, 11, 14], parents=[None, "a", "b", None], source=source)  # fmt: skip
    heights = Column([3.0, 6.0, None, 12.0], unit="m", source_field="H", label_zh="高度", label_en="height")
    builder.add_attributes(keys, "Building", {"height": heights, "用途": Column(["住宅", "办公", "住宅", None])})
    builder.add_attributes(keys[:2], "Building", {"storeys_above_ground": Column([1, 2])})
    blocks = extrude(shapes, 2.0, [5, 8, 11, 14])
    gkeys = builder.add_geometries(
        keys, lod="1", role="solid", type=blocks.type, vertices=blocks.vertices, boundaries=blocks.boundaries, semantics=blocks.semantics
    )
    builder.add_surfaces(np.repeat(gkeys, 3), np.tile([0, 1, 2], 4), list(blocks.SURFACES) * 4)
    builder.add_objects("Road", ["r"], footprints=[shapely.LineString([(500000, 3460020), (500100, 3460020)])])
    builder.add_identifiers(keys[:1], "bag", ["0503"], ["503"])
    builder.add_properties(keys[:1], "Pset", ["fire"], ["yes"])
    return builder.build()


def test_ids_and_keys_lead_to_each_other(city: City) -> None:
    assert city.ids(city.key_of(["c", "a"])) == ["c", "a"]
    assert "a" in city
    assert "zz" not in city
    with pytest.raises(ObjectNotFoundError, match="no object has the id 'aa'"):
        city["aa"]
    with pytest.raises(ObjectNotFoundError, match="no object has the key 99"):
        city.ids([99])


def test_a_view_shows_its_row(city: City) -> None:
    view = city["a"]
    assert (view.name, view.type, view.attributes["height"], view.attributes["storeys_above_ground"]) == ("图书馆", "Building", 3.0, 1)
    assert view.footprint.area == pytest.approx(100.0)
    assert view.identifiers == {"bag": ["0503"]}
    assert view.properties == {"Pset": {"fire": "yes"}}
    assert city["d"].attributes["storeys_above_ground"] is None


def test_an_identifier_of_another_register_finds_the_one_object_that_has_it(city: City) -> None:
    assert city["NL.IMBAG.Pand.0503"].id == "a"
    assert city["503"].id == "a"
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["x", "y"])
    builder.add_identifiers(keys, "bag", ["7", "7"])
    with pytest.raises(ObjectNotFoundError, match="identifier '7' belongs to 2 objects: x, y"):
        builder.build()["7"]


def test_parts_of_any_depth_are_found_both_ways(city: City) -> None:
    assert [child.id for child in city.children("a")] == ["b", "c"]
    assert [child.id for child in city.children("a", depth=1)] == ["b"]
    assert [parent.id for parent in city.parents("c")] == ["b", "a"]
    graph = city.relations_graph()
    assert graph.has_edge("c", "b")


def test_conditions_select_on_attributes_core_columns_and_both(city: City) -> None:
    def found(where: str) -> list[str]:
        return sorted(city.ids(city.keys("Building", where=where)))

    assert found("height > 5") == ["b", "d"]
    assert found("z_roof > 10") == ["c", "d"]
    assert found("height > 5 and z_roof > 10") == ["d"]
    assert found("用途 == '住宅' or height >= 12") == ["a", "c", "d"]
    assert found("height is None") == ["c"]
    assert found("not (height > 5)") == ["a"]  # a missing value meets no comparison
    assert found("用途 in ['办公', '商业']") == ["b"]


@pytest.mark.parametrize("text", ["height >", "__import__('os')", "height.x > 1", "height > z + 1", "(lambda: 1)()", "f'{1}' == 'a'"])
def test_a_condition_that_is_none_is_refused(city: City, text: str) -> None:
    with pytest.raises(UsageError, match="condition"):
        city.keys("Building", where=text)


def test_a_column_nobody_knows_is_named_with_those_there_are(city: City) -> None:
    with pytest.raises(UsageError, match=r"no column heigth in class Building; there are .*height"):
        city.keys("Building", where="heigth > 3")
    with pytest.raises(ObjectNotFoundError, match="holds no 'Bridge'; it holds Building, Road"):
        city.keys("Bridge")


def test_places_are_found_by_point_and_box(city: City) -> None:
    assert city.find(500005, 3460005) == ["a"]
    assert city.find(500015, 3460005) == []
    assert sorted(city.find(bbox=(500005, 3460000, 500025, 3460005))) == ["a", "b"]
    with pytest.raises(UsageError, match="either x and y or bbox"):
        city.find()


def test_a_table_is_a_geodataframe_in_the_asked_language(city: City) -> None:
    frame = city.table("Building")
    assert frame.crs.to_epsg() == 4549
    assert frame.attrs["units"]["height"] == "m"
    assert list(frame.loc[["a", "d"], "height"]) == [3.0, 12.0]
    chinese = city.table("Building", ["height", "type", "z_roof"], labels="zh")
    assert "高度 [m]" in chinese.columns
    assert set(chinese.iloc[:, 1]) == {"建筑物"}
    assert len(city.table("Building", where="height > 5", bbox=(500015, 3460000, 500035, 3460010))) == 1


def test_statistics_count_what_is_missing(city: City) -> None:
    found = city.statistics("Building", "height")
    assert (found["count"], found["missing"], found["min"], found["max"], found["mean"], found["unit"]) == (3, 1, 3.0, 12.0, 7.0, "m")
    assert city.statistics("Building", "用途")["distinct"] == 3  # two uses and missing


def test_an_undisputed_value_names_its_source_and_field(city: City) -> None:
    claim = city.why("a", "height")[0]
    assert (claim.value, claim.unit, claim.source, claim.method, claim.chosen) == (3.0, "m", "register", "read from field H", True)
    with pytest.raises(ObjectNotFoundError, match="no attribute 'depth'"):
        city.why("a", "depth")


def test_a_subset_takes_along_what_belongs_to_it_and_nothing_else(city: City) -> None:
    part = city.subset(city.key_of(["b", "d"]))
    assert sorted(view.id for view in part) == ["b", "d"]
    assert part["b"].parent is None
    assert part.geometry_table().num_rows == 2
    assert part.tables["surfaces"].num_rows == 6
    assert part.tables["identifiers"].num_rows == 0
    assert part["d"].attributes["height"] == 12.0
    assert len(city) == 5


def test_joining_keeps_every_object_and_moves_keys_on(city: City) -> None:
    both = concat([city, city])
    assert len(both) == 10
    assert both.geometry_table().num_rows == 8
    np.testing.assert_allclose(both.bounds, city.bounds)
    assert both.tables["surfaces"]["geometry"].to_numpy().max() == 7
    other = CityBuilder("EPSG:4547").build()
    with pytest.raises(CRSMismatchError, match="EPSG:4547"):
        concat([city, other])


def test_an_id_that_occurs_twice_is_kept_under_a_new_one_and_named() -> None:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Building", ["a", "a", "a#2", "a"])
    city = builder.build()
    assert sorted(view.id for view in city) == ["a", "a#2", "a#3", "a#4"]
    assert city.tables["issues"].num_rows == 2
    assert set(city.tables["issues"]["code"].to_pylist()) == {"duplicate"}


def test_a_parent_that_is_not_there_is_an_issue() -> None:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("BuildingPart", ["p"], parents=["gone"])
    assert "gone" in builder.build().tables["issues"]["message"][0].as_py()


def test_two_units_for_one_attribute_are_refused() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a", "b"])
    builder.add_attributes(keys[:1], "Building", {"height": Column([3.0], unit="m")})
    builder.add_attributes(keys[1:], "Building", {"height": Column([3.0], unit="mm")})
    with pytest.raises(UsageError, match=r"Building\.height comes in several units \(m, mm\)"):
        builder.build()


def test_levels_follow_from_class_and_geometry(city: City) -> None:
    assert city["a"].core["cim_level"] == "CIM2"
    assert city["a"].core["cim_code"] == "010403"
    assert city["a"].core["level_scheme"]


def test_nothing_differs_between_a_city_and_itself(city: City) -> None:
    found = diff(city, city)
    assert not found.added
    assert not found.removed
    assert found.changed.num_rows == 0


def test_the_notebook_view_shows_text_as_text() -> None:
    builder = CityBuilder("EPSG:4549", name="<script>alert(1)</script>")
    builder.add_objects("Building", ["<b>"], names=["<img>"])
    city = builder.build()
    assert "<script>" not in city._repr_html_()
    assert "<img>" not in city["<b>"]._repr_html_()
