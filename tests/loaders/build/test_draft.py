"""Drafts of build files: where their paths lead, and what they say about coordinate systems."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import geopandas
import pyarrow as pa
import pytest
import shapely

from cim.loaders import read
from cim.loaders.build import Draft, Found, build, draft
from cim.loaders.protocol import Description, LayerInfo
from cim.model import City


def write(folder: Path, crs: int, box: shapely.Geometry) -> Path:
    """Write a file with one building into a folder."""
    folder.mkdir(parents=True)
    geopandas.GeoDataFrame({"name": ["a"]}, geometry=[box], crs=crs).to_file(folder / "buildings.gpkg", layer="buildings", engine="pyogrio")
    return folder


def near(crs: int, longitude: float, latitude: float) -> shapely.Geometry:
    """Return a small square around a place, in a coordinate system."""
    return geopandas.GeoSeries([shapely.Point(longitude, latitude).buffer(1e-4)], crs=4326).to_crs(crs).iloc[0]


@pytest.mark.parametrize(
    ("longitude", "latitude", "fitting"), [(14.4, 50.1, "EPSG:32633"), (120.6, 31.3, "EPSG:4549"), (-70.7, -33.4, "EPSG:32719")]
)
def test_files_in_web_mercator_are_drafted_with_a_system_that_fits_the_place(
    tmp_path: Path, longitude: float, latitude: float, fitting: str
) -> None:
    text = draft(write(tmp_path / "a", 3857, near(3857, longitude, latitude))).toml()
    line = next(line for line in text.splitlines() if line.startswith("# crs") and "give a projected system" in line)
    assert "EPSG:3857 (Web Mercator: not for measuring)" in line
    assert fitting in line
    assert "degrees" not in line


def test_files_in_degrees_are_still_said_to_be(tmp_path: Path) -> None:
    text = draft(write(tmp_path / "a", 4326, near(4326, 14.4, 50.1))).toml()
    assert "EPSG:4326 (degrees)" in text
    assert "EPSG:32633" in text


def test_web_mercator_coordinates_that_lie_nowhere_get_no_advice(tmp_path: Path) -> None:
    text = draft(write(tmp_path / "a", 3857, shapely.box(9e12, 9e12, 9.1e12, 9.1e12))).toml()
    assert "such as EPSG" not in text


@pytest.mark.parametrize(("home", "path"), [("a", "buildings.gpkg"), (".", "a/buildings.gpkg"), ("b/c", "../../a/buildings.gpkg")])
def test_paths_of_a_draft_lead_from_the_folder_of_the_build_file_to_the_source(tmp_path: Path, home: str, path: str) -> None:
    found = draft(write(tmp_path / "a", 4549, near(4549, 120.0, 31.0)))
    assert tomllib.loads(found.toml(relative_to=tmp_path / home))["source"][0]["path"] == path
    assert tomllib.loads(found.toml())["source"][0]["path"] == "buildings.gpkg"


def test_a_real_city_in_web_mercator_is_drafted(shared_data: Callable[..., Path]) -> None:
    found = draft(shared_data("city", "bubenec"))
    assert "EPSG:32633" in found.toml()
    assert "crs" not in tomllib.loads(found.toml())["city"]


def test_what_belongs_to_another_source_is_no_source_of_its_own(tmp_path: Path) -> None:
    names = (
        "tiles/tileset.json", "tiles/a/tileset.json", "tiles/a/b.b3dm", "photo/metadata.xml", "photo/Data/t/t.osgb", "photo/Data/t/x.obj",
        "m.obj", "m.mtl", "m.png", "m.metadata.json", "ortho.png", "ortho.pgw", "city.cim/a.parquet", "b.aux.xml", "c.xml",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [file.path for file in draft(tmp_path).files]
    assert found == ["c.xml", "m.obj", "ortho.png", "photo", "tiles/tileset.json"]


def _identifiers(city: City) -> list[tuple[str, str, str]]:
    table = city.tables["identifiers"]
    ids = city.ids(table["object"].to_numpy())
    return sorted(zip(ids, table["scheme"].to_pylist(), table["value"].to_pylist(), strict=True))


def _same(drafted: City, alone: City) -> None:
    """Compare what a draft built with what reading alone says: objects, validity, identifiers, attributes."""
    assert _identifiers(drafted) == _identifiers(alone)
    core = ["id", "type", "name", "valid_from", "valid_to"]
    assert drafted.tables["objects"].select(core).sort_by("id") == alone.tables["objects"].select(core).sort_by("id")
    for type in alone.types():
        by_id = [
            pa.table({name: table[name] for name in sorted(set(table.column_names) - {"object"})})
            .append_column("its id", pa.array(city.ids(table["object"].to_numpy())))
            .sort_by("its id")
            for city in (drafted, alone)
            for table in [city.attributes[type]]
        ]
        wanted = by_id[1].column_names
        assert set(wanted) <= set(by_id[0].column_names)
        assert by_id[0].select(wanted) == by_id[1]


def _built(folder: Path) -> City:
    (folder / "a.toml").write_text(draft(folder).toml(), encoding="utf-8")
    return build(folder / "a.toml")


@pytest.mark.data
def test_the_draft_of_a_register_builds_what_reading_it_gives(tmp_path: Path, shared_data: Callable[..., Path]) -> None:
    source = shared_data("city", "delft") / "bgt_pand.sqlite"
    (tmp_path / source.name).write_bytes(source.read_bytes())
    alone, drafted = read(source), _built(tmp_path)
    assert {scheme for _, scheme, _ in _identifiers(drafted)} == {"bag", "imgeo", "gml:id"}
    assert drafted.tables["objects"]["valid_from"].null_count == 0
    _same(drafted, alone)


def test_two_fields_of_one_scheme_come_through_a_draft(tmp_path: Path) -> None:
    shapes = [shapely.box(500000 + 20 * n, 3460000, 500010 + 20 * n, 3460010) for n in range(3)]
    columns = {"guid": ["a", "b", "c"], "uuid": ["d", "e", "f"], "层数": [1, 2, 3], "启用日期": ["2020-01-01", "2021-01-01", None]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=4549).to_file(tmp_path / "房屋.gpkg", engine="pyogrio")
    alone, drafted = read(tmp_path / "房屋.gpkg"), _built(tmp_path)
    assert len(_identifiers(alone)) == 6
    assert drafted.tables["objects"]["valid_from"].null_count == 1
    _same(drafted, alone)


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        (
            ["EPSG:28992+5709", "urn:ogc:def:crs:EPSG::7415", "EPSG:28992", "EPSG:7415"],
            'crs = "EPSG:7415"  # guess: stated by 3 of 4 layers',
        ),
        (["EPSG:28992+5709", "EPSG:28992+5709", "EPSG:7415"], 'crs = "EPSG:28992+5709"  # guess: stated by 3 of 3 layers'),
        (["no system", "EPSG:4549"], 'crs = "EPSG:4549"  # guess: stated by 1 of 2 layers'),
    ],
)
def test_equal_systems_vote_together_under_the_notation_that_most_use(stated: list[str], line: str) -> None:
    layers = [LayerInfo("a", 1, "Polygon", crs, None, (), "Building") for crs in stated]
    files = tuple(Found(f"{number}.gpkg", Description("GeoPackage", (layer,))) for number, layer in enumerate(layers))
    assert line in Draft("a", files).toml().splitlines()


def _line(crs: str | None, bounds: tuple[float, float, float, float] | None = None) -> str:
    """Return the line of the time zone in the draft of one layer."""
    layer = LayerInfo("a", 1, "Polygon", crs, bounds, (), "Building")
    text = Draft("a", (Found("a.gpkg", Description("GeoPackage", (layer,))),)).toml()
    return next(line for line in text.splitlines() if line.startswith("time_zone"))


@pytest.mark.parametrize(
    ("crs", "bounds", "zone"),
    [
        ("EPSG:4549", None, "Asia/Shanghai"),
        ("EPSG:4490", None, "Asia/Shanghai"),
        ("EPSG:2437", None, "Asia/Shanghai"),  # Beijing 1954
        ("EPSG:4326", (120.5, 31.2, 120.7, 31.4), "Asia/Shanghai"),
        ("EPSG:4326", (126.9, 37.4, 127.1, 37.6), "UTC"),  # Seoul, in the box of the area of use of CGCS2000
        ("EPSG:28992", (84000.0, 446000.0, 85000.0, 447000.0), "UTC"),
        (None, None, "UTC"),
    ],
)
def test_the_time_zone_is_drafted_as_a_guess_and_only_in_china_as_that_of_china(
    crs: str | None, bounds: tuple[float, float, float, float] | None, zone: str
) -> None:
    line = _line(crs, bounds)
    assert line.startswith(f'time_zone = "{zone}"  # guess: ')
    assert tomllib.loads(line)["time_zone"] == zone


def test_a_field_that_ends_like_an_id_is_drafted_as_the_id(tmp_path: Path) -> None:
    shapes = [shapely.LineString([(500000, 3460000 + 50 * n), (500100, 3460000 + 50 * n)]) for n in range(3)]
    columns = {"OBJECTID": [1, 2, 3], "用地代码": ["R2", "B1", "G1"], "起点编号": ["n1", "n2", "n3"], "道路编号": ["r1", "r2", "r3"]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=4549).to_file(tmp_path / "道路.gpkg", engine="pyogrio")
    (source,) = tomllib.loads(draft(tmp_path).toml())["source"]
    assert source["id"] == "道路编号"
    assert sorted(_built(tmp_path).tables["objects"]["id"].to_pylist()) == ["r1", "r2", "r3"]
