"""Each policy chooses its claim, writes it into the column, keeps the others, and can be changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders.fusion import fuse, resolve
from cim.model import City, CityBuilder, Column, SourceRecord

BOX = shapely.box(500000, 3460000, 500010, 3460010)


def register(
    name: str, values: Mapping[str, Any], *, accuracy: float | None = None, since: int | None = None, unit: str = "m", **core: Any
) -> City:
    builder = CityBuilder("EPSG:4549+5737", name=name)
    source = builder.add_source(SourceRecord(name, accuracy=accuracy))
    begun = None if since is None else [datetime(since, 1, 1, tzinfo=UTC)]
    keys = builder.add_objects("Building", [name], footprints=[BOX], valid_from=begun, source=source, **core)
    columns = {key: Column([value], unit=unit if isinstance(value, float) else "") for key, value in values.items()}
    builder.add_attributes(keys, "Building", columns)
    return builder.build()


def sources() -> list[City]:
    return [
        register("A", {"height": 10.0, "use": "shop"}, accuracy=0.5, since=2001),
        register("B", {"height": 20.0, "use": "flat"}, accuracy=0.1, since=2011),
        register("C", {"height": 30.0, "use": "office"}, accuracy=None, since=2006),
    ]


@pytest.mark.parametrize(
    ("policy", "height", "use"),
    [
        ("first", 10.0, "shop"),
        ("newest", 20.0, "flat"),
        ("most accurate", 20.0, "flat"),
        ({"height": ["C", "B"]}, 30.0, "shop"),
        ({"height": ["C"], "*": "newest"}, 30.0, "flat"),
        ({"use": "newest"}, 10.0, "flat"),
        ({"*": ["C", "A"]}, 30.0, "office"),
    ],
)
def test_a_policy_chooses_the_claim_and_the_column(policy: Any, height: float, use: str) -> None:
    city = fuse(sources(), policy=policy)
    assert (city["A"].attributes["height"], city["A"].attributes["use"]) == (height, use)
    for name, value in (("height", height), ("use", use)):
        claims = city.why("A", name)
        assert sum(claim.chosen for claim in claims) == 1
        assert claims[0].value == value
        assert len({claim.source for claim in claims} - {None}) == 3
    disputed = city.issues[(city.issues["code"] == "conflict") & (city.issues["record"] == "use") & city.issues["object"].notna()]
    assert all(f"{use} is chosen" in text for text in disputed["message"])
    assert len(disputed) == 1


def test_a_fused_city_is_resolved_anew_and_back() -> None:
    city = fuse(sources())
    newest = resolve(city, "newest")
    assert newest["A"].attributes["use"] == "flat"
    assert resolve(newest, "first")["A"].attributes["use"] == "shop"
    assert city["A"].attributes["use"] == "shop"
    assert any("policy 'newest' chose another claim than before" in text for text in newest.issues["message"])


def test_every_claim_of_a_source_is_of_the_day_its_record_began() -> None:
    years = {claim.source: claim.time.year for claim in fuse(sources()).why("A", "use") if claim.time}
    assert years == {"A": 2001, "B": 2011, "C": 2006}


def test_dates_of_sources_stand_in_for_those_of_records() -> None:
    plain = [register("A", {"use": "shop"}), register("B", {"use": "flat"})]
    assert fuse(plain, policy="newest", dates={"A": "2001-01-01", "B": "2002-05-01"})["A"].attributes["use"] == "flat"
    assert fuse(plain, policy="newest", dates={"A": "2003-01-01", "B": "2002-05-01"})["A"].attributes["use"] == "shop"


def test_a_policy_that_says_nothing_changes_nothing_and_is_told() -> None:
    plain = [register("A", {"use": "shop"}), register("B", {"use": "flat"})]
    for policy in ("newest", "most accurate"):
        city = fuse(plain, policy=policy)
        assert city["A"].attributes["use"] == "shop"
        assert any("says nothing about 1 disputed values" in text for text in city.issues["message"])


def test_a_source_without_the_value_is_passed_over() -> None:
    city = fuse([*sources()[:2], register("C", {"height": 30.0}, since=2020)], policy="newest")
    assert (city["A"].attributes["height"], city["A"].attributes["use"]) == (30.0, "flat")


def test_units_are_those_of_the_column() -> None:
    city = fuse([register("A", {"width": 10.0}), register("B", {"width": 12000.0}, unit="mm", since=2020)], policy="newest")
    assert city["A"].attributes["width"] == pytest.approx(12.0)
    assert city.unit("Building", "width") == "m"


def test_what_parts_say_is_never_the_value_of_the_whole() -> None:
    whole = register("A", {"use": "shop"}, since=2001)
    builder = CityBuilder("EPSG:4549+5737", name="P")
    source = builder.add_source(SourceRecord("P"))
    halves = [shapely.box(500000, 3460000, 500005, 3460010), shapely.box(500005, 3460000, 500010, 3460010)]
    begun = [datetime(2020, 1, 1, tzinfo=UTC)] * 2
    keys = builder.add_objects("Building", ["p", "q"], footprints=halves, valid_from=begun, source=source)
    builder.add_attributes(keys, "Building", {"use": Column(["flat", "office"])})
    city = fuse([whole, builder.build()], policy="newest")
    assert city["A"].attributes["use"] == "shop"


def test_roofs_that_stand_on_a_stated_height_follow_it() -> None:
    cities = [register("A", {"height": 10.0}, since=2001, z_ground=[5.0]), register("B", {"height": 20.0}, since=2011)]
    city = fuse(cities)
    assert city["A"].core["z_roof"] == 15.0
    later = resolve(city, "newest")
    assert later["A"].attributes["height"] == 20.0
    assert later["A"].core["z_roof"] == 25.0
    assert later.why("A", "z_roof")[0].value == 25.0
    blocks = later.geometry_table(lod="1").filter(pa.compute.equal(later.geometry_table(lod="1")["role"], "solid"))
    assert blocks.num_rows == 1
    assert fuse(cities, policy="newest")["A"].core["z_roof"] == 25.0


def test_names_follow_the_policy_and_periods_and_grades_do_not() -> None:
    cities = [
        register("A", {}, since=2001, names=["Old Hall"], grades=["secret"]),
        register("B", {}, since=2011, names=["New Hall"], grades=["public"]),
    ]
    city = fuse(cities, policy="newest")
    assert city["A"].name == "New Hall"
    assert city["A"].core["grade"] == "secret"
    assert city["A"].core["valid_from"].year == 2001


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("latest", "policy 'latest' is not known; give first, newest, most accurate"),
        ({"height": "best"}, "policy 'best' is not known"),
        ({"height": ["Z"]}, "sources Z are not in the city; it has A, B, C"),
        ({"z_roof": "newest"}, "roof heights are chosen by heights="),
        ({"grade": ["A"]}, "grade cannot be chosen by a policy"),
    ],
)
def test_what_no_policy_can_do_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fuse(sources(), policy=policy)
