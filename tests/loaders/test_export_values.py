"""What a shown object holds of sources above the grade goes: shapes, heights, storeys, claims, and all that was derived from them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

from cim.errors import UsageError
from cim.loaders.build import build
from cim.loaders.disclosure import graded
from cim.loaders.export import FORMATS, export_city
from cim.loaders.floors import storeys
from cim.loaders.fusion import add_blocks, fuse
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import extrude
from cim.model.loss import Losses
from tests.loaders.export_cities import EAST, FILES, NORTH
from tests.loaders.test_export_disclosure import contents

TOP = 24.8125
"""Height that only the secret survey knows [m]; its digits are looked for in the files."""


def surveyed(secret: str | None = "机密", number: float | None = None, own: str | None = None) -> City:
    """Return a house of a public register whose roof, model and use a survey of another grade knows, with storeys."""
    builder = CityBuilder("EPSG:4549+5737")
    register = builder.add_source(SourceRecord(name="register", grade="公开"))
    survey = builder.add_source(SourceRecord(name="skyscan", grade=secret))
    shape = np.array([shapely.box(EAST, NORTH, EAST + 10, NORTH + 10)])
    keys = builder.add_objects("Building", ["house"], footprints=shape, z_ground=[2.0], z_roof=[TOP], source=register,
                               grades=None if own is None else [own])  # fmt: skip
    builder.add_attributes(keys, "Building", {"height": Column([TOP - 2.0], unit="m"), "usage": Column(["depot"]), "year": Column([1990]),
                                              "storeys_above_ground": Column([number])})  # fmt: skip
    body = extrude(shape, np.array([2.0]), np.array([TOP]))
    builder.add_geometries(keys, lod="3", role="solid", type=body.type, vertices=body.vertices, boundaries=body.boundaries, source=survey)
    builder.add_claims(keys, "z_roof", [str(TOP)], source=survey, method="90th percentile", chosen=True)
    builder.add_claims(keys, "z_ground", ["2.0"], source=register, method="read", chosen=True)
    builder.add_claims(keys, "height", [str(TOP - 2.0)], method="roof height minus ground height", chosen=True)
    builder.add_claims(keys, "usage", ['"depot"'], source=survey, method="read", chosen=True)
    builder.add_claims(keys, "year", ["1990"], source=register, method="read", chosen=True)
    builder.add_claims(keys, "year", ["1984"], source=survey, method="read", chosen=False)
    builder.add_matches(keys, survey, ["S-77"])
    builder.add_identifiers(keys, "skyscan", ["S-77"])
    builder.add_properties(keys, "singulate", ["volume"], ["2281.25"])
    builder.add_issue("conflict", f"z_roof: {TOP} m is chosen", object=int(keys[0]))
    return storeys(add_blocks(builder.build()), storey_height=3.0)


def counts(losses: Losses) -> dict[str, int]:
    return {row["what"]: row["count"] for row in losses.report().rows()}


@pytest.mark.parametrize("secret", ["机密", None])
def test_what_a_secret_source_says_of_a_public_object_goes_and_is_counted(secret: str | None) -> None:
    city, losses = surveyed(secret), Losses()
    assert city.types() == {"Building": 1, "BuildingStorey": 8}  # 22.8125 m / 3 m, rounded
    shown = graded(city, "public", losses)
    house = shown["house"]
    assert shown.types() == {"Building": 1}
    assert {name: house.attributes[name] for name in ("height", "usage", "year")} == {"height": None, "usage": None, "year": 1990}
    objects = shown.tables["objects"].to_pylist()[0]
    assert (objects["z_ground"], objects["z_roof"], objects["bbox"]["zmin"], objects["bbox"]["zmax"]) == (2.0, None, 2.0, 2.0)
    assert shown.tables["geometries"]["lod"].to_pylist() == ["0"]  # at the ground, which is public
    assert shown.tables["surfaces"].num_rows == shown.tables["matches"].num_rows == shown.tables["identifiers"].num_rows == 0
    assert shown.tables["properties"].num_rows == 0
    assert {(row["attribute"], row["value"]) for row in shown.tables["claims"].to_pylist()} == {("z_ground", "2.0"), ("year", "1990")}
    assert objects["cim_level"] != city.tables["objects"]["cim_level"].to_pylist()[0]  # the finer model is not there any more
    told = counts(losses)
    assert told["geometries from sources above the grade, and geometries derived from them"] == 2
    assert told["values from sources above the grade, and values derived from them"] == 3
    assert told["storeys whose number or shape follows from sources above the grade"] == 8


def test_storeys_whose_number_is_public_stay_without_elevation_and_block() -> None:
    shown = graded(surveyed(number=5.0), "public", Losses())
    assert shown.types() == {"Building": 1, "BuildingStorey": 5}
    assert shown.column("BuildingStorey", "storey_number").to_pylist() == [1, 2, 3, 4, 5]
    assert shown.column("BuildingStorey", "elevation").null_count == 5
    assert shown.tables["objects"]["z_roof"].null_count == 6
    assert shown.tables["geometries"].num_rows == 1


@pytest.mark.parametrize("format", FORMATS)
def test_no_byte_of_a_file_tells_a_secret_height(tmp_path: Path, format: str) -> None:
    secrets = [word.encode() for word in ("depot", "skyscan", "S-77", "24.81", "22.81")] + [np.float64(TOP).tobytes()]
    path = tmp_path / "all" / FILES[format]
    export_city(surveyed(), format, path)
    assert any(secret in contents(path) for secret in secrets)  # the search would find them
    path = tmp_path / "shown" / FILES[format]
    export_city(surveyed(), format, path, grade="public")
    assert not [secret for secret in secrets if secret in contents(path)]


def test_a_city_whose_sources_may_all_leave_stays_as_it_is() -> None:
    city, losses = surveyed("public"), Losses()
    assert graded(city, "public", losses) is city
    assert not losses.rows


def test_a_footprint_that_a_secret_register_lent_goes_and_its_values_with_it() -> None:
    def register(name: str, grade: str, shape: shapely.Geometry, **values: Column) -> City:
        builder = CityBuilder("EPSG:28992", name=name)
        source = builder.add_source(SourceRecord(name=name, grade=grade))
        keys = builder.add_objects("Building", [f"{name}1"], footprints=[shape], source=source)
        builder.add_attributes(keys, "Building", values)
        builder.add_identifiers(keys, "register", ["B-1"])
        return builder.build()

    points = register("list", "公开", shapely.Point(4, 4), year=Column([1990]))
    plan = register("plan", "机密", shapely.box(0, 0, 9, 9), usage=Column(["depot"]))
    for cities, kept in (((points, plan), True), ((plan, points), False)):
        losses = Losses()
        shown = graded(fuse(list(cities)), "public", losses)
        assert len(shown) == int(kept)
        if kept:
            assert shown["list1"].footprint is None
            assert shown["list1"].attributes == {"year": 1990, "usage": None}
            assert shown.tables["objects"]["bbox"].null_count == 1
            assert counts(losses)["values from sources above the grade, and values derived from them"] == 2


@pytest.mark.parametrize(("grade", "depth"), [("机密", None), ("公开", 1.5)])
def test_a_depth_computed_from_a_secret_terrain_goes(grade: str, depth: float | None) -> None:
    builder = CityBuilder("EPSG:28992")
    register = builder.add_source(SourceRecord(name="pipes", grade="公开"))
    builder.add_source(SourceRecord(name="ground", reader="terrain", grade=grade))
    keys = builder.add_objects("GenericOccupiedSpace", ["p"], footprints=[shapely.LineString([(0, 0), (9, 0)])], source=register)
    builder.add_attributes(keys, "GenericOccupiedSpace", {"cover_depth": Column([1.5], unit="m")})
    builder.add_claims(keys, "cover_depth", ["1.5"], method="terrain less invert level and diameter", chosen=True)
    assert graded(builder.build(), "public", Losses())["p"].attributes["cover_depth"] == depth


def test_a_grade_of_its_own_holds_for_what_the_own_source_says_only() -> None:
    builder = CityBuilder("EPSG:4549")
    mine = builder.add_source(SourceRecord(name="mine"))
    keys = builder.add_objects("Building", ["a"], grades=["public"], source=mine)
    builder.add_attributes(keys, "Building", {"year": Column([1990])})
    builder.add_claims(keys, "year", ["1990"], source=mine, chosen=True)
    assert graded(builder.build(), "public", Losses())["a"].attributes["year"] == 1990


@pytest.mark.parametrize(("source", "lent"), [("机密", "公开"), ("公开", "机密"), (None, "公开")])
def test_a_grade_that_another_source_lends_never_lowers_that_of_the_record(source: str | None, lent: str) -> None:
    builder = CityBuilder("EPSG:4549")
    first, second = (builder.add_source(SourceRecord(name=name, grade=grade)) for name, grade in (("a", source), ("b", "公开")))
    keys = builder.add_objects("Building", ["a"], grades=[lent], source=first)
    builder.add_claims(keys, "grade", [json.dumps(lent)], source=second, chosen=True)
    assert len(graded(builder.build(), "public", Losses())) == 0


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("grade", "words"),
    [
        (None, "nothing may leave at grade public: 2 objects have no grade; set grade= for their source in the build file"),
        ("机密", "nothing may leave at grade public: 2 objects are above it; ask for a higher grade"),
    ],
)
def test_when_nothing_may_leave_every_format_says_so_and_writes_nothing(tmp_path: Path, format: str, grade: str | None, words: str) -> None:
    builder = CityBuilder("EPSG:4549")
    builder.add_objects("Building", ["a", "b"], footprints=[shapely.box(0, 0, 1, 1)] * 2, grades=[grade, grade])
    path = tmp_path / "out" / FILES[format]
    with pytest.raises(UsageError, match=words):
        export_city(builder.build(), format, path, grade="public")
    assert not path.parent.exists()


def test_heights_measured_in_a_secret_cloud_do_not_leave_with_a_public_register(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    folder = shared_data("city", "delft")
    file = tmp_path / "b.toml"
    file.write_text(
        f"""[city]
crs = "EPSG:7415"
[[source]]
path = '{folder}/bgt_pand.sqlite'
class = "Building"
grade = "公开"
[[source]]
path = '{folder}/ahn3_cropped_2.laz'
crs = "EPSG:7415"
grade = "机密"
[[source]]
path = '{folder}/dtm_05m_filled.tif'
crs = "EPSG:7415"
options = {{surface = "terrain"}}
grade = "公开"
[[step]]
do = "storeys"
storey_height = 3.0
""",
        "utf-8",
    )
    city = build(file)
    measured = len(city) - city.tables["objects"]["z_roof"].null_count - city.types()["BuildingStorey"]
    assert measured >= 20
    path = tmp_path / "out.gpkg"
    told = {row["what"]: row["count"] for row in export_city(city, "geopackage", path, grade="public").rows()}
    assert told["values from sources above the grade, and values derived from them"] == 2 * measured  # z_roof and height
    with sqlite3.connect(path) as base:
        columns = {row[1] for row in base.execute('pragma table_info("Building")')}
        assert base.execute('select count(*) from "Building"').fetchone() == (160,)
    assert "z_ground" in columns
    assert not {"z_roof", "height"} & columns
    export_city(city, "cityjson", tmp_path / "out.city.json", grade="public")
    found = json.loads((tmp_path / "out.city.json").read_text("utf-8"))["CityObjects"].values()
    assert not [one for one in found if "measuredHeight" in one.get("attributes", {}) or one["type"] == "BuildingStorey"]
    assert {shape["lod"] for one in found for shape in one.get("geometry", [])} == {"0"}
    assert pc.max(city.tables["geometries"]["lod"]).as_py() == "1"
