"""Look-ups, views, conditions and the small operations of a city."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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


def two_pieces(first: Column, second: Column) -> CityBuilder:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a", "b"])
    builder.add_attributes(keys[:1], "Building", {"height": first})
    builder.add_attributes(keys[1:], "Building", {"height": second})
    return builder


def test_two_units_of_one_quantity_convert_and_two_quantities_are_refused() -> None:
    city = two_pieces(Column([3.0], unit="m"), Column([3.0], unit="mm")).build()
    assert (city["a"].attributes["height"], city["b"].attributes["height"]) == (3.0, 0.003)
    assert city.attributes.schema("Building").field("height").metadata == {b"unit": b"m", b"source_unit": b"m, mm"}
    with pytest.raises(UsageError, match=r"Building\.height comes in units of different quantities \(m, m²\)"):
        two_pieces(Column([3.0], unit="m"), Column([3.0], unit="m²")).build()


def test_attributes_are_held_in_si_and_keep_the_unit_of_their_source_in_mind() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a", "b"])
    columns = {
        "height": Column([100, None], unit="ft"), "density": Column(np.array([35.0, np.nan]), unit="%"),
        "storeys": Column([6, 4], unit="层"),
        "width": Column([7, 8], unit="米"), "glow": Column([1.5, 2.5], unit="quux"), "said": Column(["tall", None], unit="ft"),
    }  # fmt: skip
    builder.add_attributes(keys, "Building", columns)
    city = builder.build()
    schema = city.attributes.schema("Building")
    assert city["a"].attributes["height"] == pytest.approx(30.48, rel=1e-12)  # the foot is 0.3048 m by definition
    assert city["b"].attributes["height"] is None
    assert city["a"].attributes["density"] == pytest.approx(0.35, rel=1e-12)
    assert [city.unit("Building", name) for name in columns] == ["m", "", "", "m", "quux", "ft"]
    said = [(schema.field(name).metadata or {}).get(b"source_unit", b"").decode() for name in columns]
    assert said == ["ft", "%", "层", "米", "", ""]
    assert [schema.field(name).type for name in ("storeys", "width")] == [pa.int64(), pa.int64()]
    issues = city.issues[city.issues["code"] == "unsupported"]
    assert [("glow" in text, "said" in text) for text in issues["message"]] == [(True, False), (False, True)]
    assert city["a"].attributes["glow"] == 1.5


def test_a_parent_of_several_periods_is_the_one_of_the_childs_time() -> None:
    builder = CityBuilder("EPSG:4549")
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2010, 2005, 2030)]
    builder.add_objects("Building", ["b", "b"], valid_from=years[:2], valid_to=[years[1], None])
    children = {"p": (years[1], None), "q": (years[0], years[2]), "r": (years[2], None)}
    builder.add_objects("BuildingPart", list(children), parents=["b"] * 3, valid_from=[begin for begin, _ in children.values()],
                        valid_to=[end for _, end in children.values()])  # fmt: skip
    city = builder.build()
    assert [view.id for view in city.asof("2020-01-01").parents("p")] == ["b"]
    assert [view.id for view in city.asof("2002-01-01").parents("q")] == ["b"]
    assert [view.id for view in city.asof("2020-01-01").parents("r")] == ["b"]  # both periods overlap: the latest
    assert "assumed" not in set(city.issues["code"])


def test_a_child_of_no_period_of_its_parent_is_given_to_the_latest_and_named() -> None:
    builder = CityBuilder("EPSG:4549")
    years = [datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2010, 2020)]
    builder.add_objects("Building", ["b", "b"], valid_from=years[:2], valid_to=years[1:])
    builder.add_objects("BuildingPart", ["p"], parents=["b"], valid_from=[years[2]])
    city = builder.build()
    assert city.core_rows(["valid_from"], [city.tables["objects"]["parent"].drop_null()[0].as_py()])["valid_from"][0].as_py() == years[1]
    assert "no period of their parent overlaps" in city.issues["message"].iloc[0]


def test_a_key_of_another_class_has_no_value_in_a_column(city: City) -> None:
    road = city.key_of(["r"])
    for name in ("height", "z_roof"):
        with pytest.raises(ObjectNotFoundError, match=rf"key {road[0]} is Road 'r', not a Building"):
            city.column("Building", name, keys=road)
    with pytest.raises(ObjectNotFoundError, match="no object has the key 99"):
        city.column("Building", "height", keys=[99])
    assert city.column("Building", "height", keys=city.key_of(["d", "a"])).to_pylist() == [12.0, 3.0]


def test_a_missing_value_is_neither_in_a_list_nor_not_in_it(city: City) -> None:
    def found(where: str) -> list[str]:
        return sorted(city.ids(city.keys("Building", where=where)))

    assert found("name not in ['图书馆']") == ["b", "d"]
    assert found("not (name in ['图书馆'])") == ["b", "d"]
    assert found("name not in []") == ["a", "b", "d"]
    assert found("name in []") == []
    assert found("storeys_above_ground in [1, 2.5]") == ["a"]
    assert found("name not in ['图书馆'] and height > 5") == ["b", "d"]


@pytest.mark.parametrize("text", ["name == None", "name != None", "None == name", "name in ['D', None]", "height > None"])
def test_a_comparison_with_nothing_is_refused_with_the_way_to_say_it(city: City, text: str) -> None:
    with pytest.raises(UsageError, match="column is None"):
        city.keys("Building", where=text)


def test_conditions_know_dates_times_and_yes_or_no() -> None:
    builder = CityBuilder("EPSG:4549", time_zone="Asia/Shanghai")
    begins = [datetime(2020, 6, 30, 16, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC), None]
    keys = builder.add_objects("Building", list("abc"), valid_from=begins)
    seen = pa.array([date(2020, 1, 1), None, date(2022, 5, 1)])
    builder.add_attributes(
        keys, "Building", {"listed": Column([True, False, None]), "seen": Column(seen), "height": Column([1.0, 2.0, 3.0])}
    )
    city = builder.build()

    def found(where: str) -> list[str]:
        return sorted(city.ids(city.keys("Building", where=where)))

    assert found("valid_from >= '2020-07-01'") == ["a", "b"]  # midnight in Shanghai is 16:00 UTC the day before
    assert found("valid_from > '2020-07-01' and listed == False") == ["b"]
    assert found("seen < '2021-01-01'") == ["a"]
    assert found("seen in ['2022-05-01']") == ["c"]
    assert (found("listed"), found("not listed"), found("listed == 1"), found("listed != True")) == (["a"], ["b"], ["a"], ["b"])
    with pytest.raises(UsageError, match="'soon' is no date32"):
        found("seen < 'soon'")
    for text in ("height > 'x'", "height", "height in ['x']"):
        with pytest.raises(UsageError, match="of another type"):
            found(text)


def test_an_arrow_expression_may_look_at_attributes_and_core_columns(city: City) -> None:
    expression = (pc.field("height") > 5) & (pc.field("z_roof") > 10)
    assert city.ids(city.keys("Building", where=expression)) == ["d"]
    assert sorted(city.ids(city.keys("Building", where=pc.field("height") > 5))) == ["b", "d"]


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.float16()])
def test_nan_is_missing_in_arrow_columns_too(kind: pa.DataType) -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a", "b", "c"])
    builder.add_attributes(keys, "Building", {"height": Column(pa.array(np.array([1.0, np.nan, 3.0]).astype(kind.to_pandas_dtype())))})
    found = builder.build().statistics("Building", "height")
    assert (found["count"], found["missing"], found["mean"]) == (2, 1, 2.0)


def test_attributes_named_like_core_columns_never_share_a_name() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a"])
    builder.add_attributes(keys, "Building", {"name": Column(["x"]), "name_attribute": Column(["y"])})
    assert builder.build()["a"].attributes == {"name_attribute_2": "x", "name_attribute": "y"}


def test_long_whole_numbers_beside_fractions_become_text_and_are_named() -> None:
    long, short = Column([123456789012345678]), Column([0.5])
    built = two_pieces(long, short).build()
    cities = []
    for column in (long, short):
        builder = CityBuilder("EPSG:4549")
        builder.add_attributes(builder.add_objects("Building", ["a"]), "Building", {"height": column})
        cities.append(builder.build())
    for city in (built, concat(cities)):
        assert city.column("Building", "height").to_pylist() == ["123456789012345678", "0.5"]
        assert "held as text" in city.issues["message"].iloc[0]


def test_whole_numbers_of_two_widths_stay_whole() -> None:
    city = two_pieces(Column(pa.array([3], pa.int32())), Column(pa.array([4], pa.int16()))).build()
    assert city.column("Building", "height").type == pa.int64()


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
